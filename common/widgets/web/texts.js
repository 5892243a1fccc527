// Texts as the explorer reads them (common/widgets/texts.py): cut into characters, and looked through for what a model
// cannot read.
"use strict";

// The characters of a text, without spaces at its end; spaces of every kind become the ordinary one.
function characters(text) {
  return [...text.replace(/\p{Zs}/gu, " ").replace(/ +$/, "")];
}

// Whether a sentence about these tokens needs the names of all characters (a file of its own, see names.py).
function needsNames(tokens) {
  return tokens.some((token) => !PAGE.vocabulary.includes(token));
}

// A sentence on why a model cannot read the tokens, or null if it can.
function complaint(tokens) {
  const { token: kind, nothing_to_read } = PAGE.captions;
  const blank = /^[\s\x1c-\x1f\x85]*$/;
  if (tokens.every((token) => blank.test(token) && token !== "\ufeff")) return nothing_to_read;
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
  const printable = Boolean(found) !== PAGE.names.odd.some(([first, last]) => first <= point && point <= last);
  return say(printable ? "token_name" : "control_character", { token, name });
}

// The name of a character in lower case, or "". Ranges such as the CJK ideographs are named by their number.
function nameOf(point) {
  for (const [first, last, prefix] of PAGE.names.ranges)
    if (first <= point && point <= last) return prefix + point.toString(16).padStart(4, "0");
  for (const [first, names] of PAGE.names.single.filter(([first]) => first <= point).slice(-1))
    return names.split("|")[point - first] || "";
  return "";
}

function knownCharacters() {
  const listed = PAGE.vocabulary.filter((c) => c !== " ").sort((a, b) => a.codePointAt(0) - b.codePointAt(0));
  const space = PAGE.vocabulary.includes(" ") ? say("known_space") : "";
  return say("known", { space, characters: listed.join("") });
}
