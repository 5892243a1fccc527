// What the page knows of sentences: their words, the right translation and the gold alignment of our test sentences. The
// same as dataset/sentences.py, dataset/words.py and ch08/translation_explorer.py, which explain it. PAGE.chapter holds
// their constants.
"use strict";

// The words and marks of a sentence, in lower case.
function sentenceTokens(text) {
  const words = /[\p{L}\p{N}_]+|[^\p{L}\p{N}_]/gu;
  return (text.match(words) || []).filter((token) => !SPACE.test(token)).map((token) => token.toLowerCase());
}

// Words and marks as a text: no blank before a period or after a bracket, clitics and hyphens joined again.
function detokenize(tokens) {
  const clitic = new RegExp(`^(?:${PAGE.chapter.clitic})$`);
  let text = "";
  let quoting = false;
  let glue = true; // whether the next token follows without a blank
  tokens.forEach((token, k) => {
    const joins = ["-", "/"].includes(token) && 0 < k && k < tokens.length - 1;
    const opens = ["(", "[", "{", "„", "«", "‚"].includes(token) || (['"', "“"].includes(token) && !quoting);
    const closes = ['"', "“", "”"].includes(token) && !opens;
    const clings = PAGE.chapter.clinging.includes(token) || clitic.test(token) || closes;
    text += glue || clings || joins ? token : ` ${token}`;
    if (['"', "“", "”", "„"].includes(token)) quoting = opens;
    glue = opens || joins;
  });
  return text;
}

// The test sentence that the tokens are, { target, links }, or undefined. Its file is there.
function testSentence(name, tokens) {
  const pair = PAGE.chapter.pairs[name];
  byTokens[pair] ??= new Map(received[pair].map(([source, ...rest]) => [source, rest]));
  const [target, links] = byTokens[pair].get(spoken(tokens).join(" ")) ?? [];
  return target && { target: target.split(" "), links };
}

const byTokens = {};

// What the explorer asks, see explorer.js.
const CHAPTER = {
  ...SENTENCES,

  tokenize(text) {
    const { start, end } = PAGE.chapter;
    return [start, ...sentenceTokens(text), end];
  },

  write: detokenize,

  files: (tokens, name) => [PAGE.chapter.pairs[name]],

  language(name) {
    const code = PAGE.chapter.pairs[name].split("-")[0];
    return { code, language: PAGE.chapter.languages[code] };
  },

  examples: (name) => PAGE.chapter.examples[PAGE.chapter.pairs[name]],

  unknown: ({ source }, tokens) => tokens.map((_, i) => i).filter((i) => !source.has(tokens[i])),

  truth(name, tokens) {
    const found = testSentence(name, tokens);
    return found ? detokenize(found.target) : null;
  },

  goldMask(name, tokens, answer) {
    const { no_gold, other_translation } = PAGE.chapter;
    const found = testSentence(name, tokens);
    if (!found) return { mask: null, missing: no_gold };
    if (spoken(answer).join(" ") !== found.target.join(" ")) return { mask: null, missing: other_translation };
    const mask = answer.map(() => tokens.map(() => false));
    for (const [t, s] of found.links) mask[t][s + 1] = true; // the start mark stands at 0
    return { mask, missing: "" };
  },

  // A model with its two vocabularies: `source` leads from a word to its number, `target` from a number to its word.
  model(content) {
    const source = new Map(content.source.map((word, id) => [word, id]));
    return { ...MODELS[content.kind](decodeWeights(content)), source, target: content.target };
  },

  // { answer, confidence, weights }: the likeliest word at each step, up to the end mark.
  decode(model, tokens) {
    const { start, end, unknown } = PAGE.chapter;
    const idOf = (token) => model.source.get(token) ?? model.source.get(unknown);
    const [first, last] = [start, end].map((mark) => model.target.indexOf(mark));
    const longest = 2 * tokens.length + 10;
    const { ids, confidence, weights } = greedy(model, tokens.map(idOf), first, longest, last);
    return { answer: ids.map((id) => model.target[id]), confidence, weights };
  },
};
