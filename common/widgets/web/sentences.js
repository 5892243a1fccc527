// Sentences as the explorer reads them (common/widgets/sentences.py, which explains it): models may read different
// languages, an unknown word is read all the same. SENTENCES answers what explorer.js asks, as SentenceExplorer does.
//
// CHAPTER has, moreover:
//   unknown(model, tokens)               the places of the words that a model does not know
//   truth(name, tokens)                  the right answer, or null
//   goldMask(name, tokens, answer)       { mask, missing }: where each token of the answer comes from, or why not
"use strict";

function spoken(tokens) {
  return tokens.filter((token) => !PAGE.captions.marks.includes(token));
}

const SENTENCES = {
  files: () => [],

  complaint(tokens) {
    const { token: kind, nothing_to_read } = PAGE.captions;
    const count = spoken(tokens).length;
    if (!count) return nothing_to_read;
    return count > PAGE.max_length ? say("too_long", { count, kind, most: PAGE.max_length }) : null;
  },

  verdict(name, tokens, answer) {
    const [question, written] = [join(tokens), join(answer)];
    const said = say("token", { token: written });
    const right = CHAPTER.truth(name, tokens);
    if (right === null) return say("no_truth", { question, no_truth: PAGE.captions.no_truth, answer: said });
    return say(written === right ? "right" : "wrong", { answer: said, right: say("token", { token: right }) });
  },

  gold: (name, tokens, answer) => CHAPTER.goldMask(name, tokens, answer),

  // What is said, after the verdict, of words that a model does not know, and of a model of another language beside it.
  remarks(tokens, { model, beside }) {
    const { language } = CHAPTER.language(model);
    const unknown = CHAPTER.unknown(models[model], tokens).map((i) => tokens[i]);
    let said = "";
    if (unknown.length) {
      const listed = unknown.map((token) => say("token", { token })).join(", ");
      said += say("unknown_to_model", { name: model, tokens: listed });
      const known = spoken(tokens).filter((token) => !unknown.includes(token) && /\p{L}/u.test(token));
      if (!known.length) said += say("knows_none", { kind: PAGE.captions.token, language });
    }
    if (isApart(model, beside)) said += say("not_beside", { name: beside, ...CHAPTER.language(beside) });
    return said;
  },
};
