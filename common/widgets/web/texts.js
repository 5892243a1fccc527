// Texts as the explorer reads them (common/widgets/texts.py): cut into characters, and looked through for what a model
// cannot read. CHARACTERS answers what explorer.js asks about such texts, as AttentionExplorer does.
"use strict";

// Spaces of every kind that Python strips and splits at.
const SPACE = /[\t-\r\x1c-\x20\x85\p{Z}]/u;

// The characters of a text, without spaces at its end; spaces of every kind become the ordinary one.
function characters(text) {
  return [...text.replace(/\p{Zs}/gu, " ").replace(/ +$/, "")];
}

// A sentence on why a model cannot read the tokens, or null if it can.
function complaint(tokens) {
  const { token: kind, nothing_to_read } = PAGE.captions;
  if (tokens.every((token) => SPACE.test(token))) return nothing_to_read;
  if (tokens.length > PAGE.max_length) return say("too_long", { count: tokens.length, kind, most: PAGE.max_length });
  const place = tokens.findIndex((token) => !PAGE.vocabulary.includes(token));
  if (place < 0) return null;
  return say("unknown_token", { token: named(tokens[place]), kind, place, known: knownCharacters() });
}

// A character in quotes, with its name.
function named(token) {
  const point = token.codePointAt(0);
  const found = nameOf(point);
  const name = found || "U+" + point.toString(16).toUpperCase().padStart(4, "0");
  const printable = Boolean(found) !== received.names.odd.some(([first, last]) => first <= point && point <= last);
  return say(printable ? "token_name" : "control_character", { token, name });
}

// The name of a character in lower case, or "". Ranges such as the CJK ideographs are named by their number.
function nameOf(point) {
  for (const [first, last, prefix] of received.names.ranges)
    if (first <= point && point <= last) return prefix + point.toString(16).padStart(4, "0");
  for (const [first, names] of received.names.single.filter(([first]) => first <= point).slice(-1))
    return names.split("|")[point - first] || "";
  return "";
}

function knownCharacters() {
  const listed = PAGE.vocabulary.filter((c) => c !== " ").sort((a, b) => a.codePointAt(0) - b.codePointAt(0));
  const space = PAGE.vocabulary.includes(" ") ? say("known_space") : "";
  return say("known", { space, characters: listed.join("") });
}

const CHARACTERS = {
  tokenize: characters,

  // A sentence about an unknown character needs the names of all (a file of its own).
  files: (tokens) => (tokens.some((token) => !PAGE.vocabulary.includes(token)) ? ["names"] : []),

  complaint,

  unknown: () => [],

  verdict(name, tokens, answer) {
    const [question, written] = [join(tokens), join(answer)];
    const right = CHAPTER.truth(tokens);
    if (right === null) return say("no_truth", { question, no_truth: PAGE.captions.no_truth, answer: written });
    const more = CHAPTER.remark(tokens);
    const said = say(written.trimEnd() === right ? "right" : "wrong", { answer: written, right });
    return more ? said + say("and") + more : said;
  },

  gold(name, tokens) {
    const mask = CHAPTER.goldMask(tokens);
    return { mask, missing: mask ? "" : say("no_gold") };
  },

  examples: () => PAGE.examples,

  language: () => null,

  remarks: () => "",
};
