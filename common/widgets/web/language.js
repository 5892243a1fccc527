// What the page says, in the language that it was written in (common/language and common/widgets/phrases.py, which explain
// it). PAGE.particles holds the constants of Korean; it is null on a page in another language.
"use strict";

// A phrase with its gaps filled in.
function say(phrase, words = {}) {
  const said = PAGE.phrases[phrase].replace(/\{(\w+)\}/g, (_, gap) => words[gap]);
  return PAGE.particles ? withParticles(said) : said;
}

const CHOICE = PAGE.particles && new RegExp(`\\[(${PAGE.particles.choices.join("|")})\\]`, "g");

// Every choice of a Korean particle, such as [은/는], becomes the one that fits the sound before it.
function withParticles(text) {
  return text.replace(CHOICE, (_, particles, start) => fitting(text.slice(0, start), ...particles.split("/")));
}

function fitting(before, afterConsonant, afterVowel) {
  const { digits, letters } = PAGE.particles;
  let last = [...before].slice(-20).findLast((c) => /[\p{L}\p{N}%]/u.test(c)) ?? "";
  last = digits[last] ?? last;
  if ("가" <= last && last <= "힣") {
    const final = (last.codePointAt(0) - "가".codePointAt(0)) % 28;
    if (final === 8 && afterConsonant === "으로") return afterVowel; // ㄹ: 칠로, 서울로
    return final ? afterConsonant : afterVowel;
  }
  if (last && letters.includes(last)) return afterConsonant === "으로" && "lrLR".includes(last) ? afterVowel : afterConsonant;
  return afterVowel;
}
