// What the page knows of dates: the right answer to one, and which characters of the question it comes from. The same
// as dataset/dates.py and ch08/explorer.py, which explain it. PAGE.chapter holds their constants.
"use strict";

// The date in a text of a form that the training data have, and the places of its parts; null for any other text.
function parseDate(text) {
  text = text.replace(/ +$/, "");
  const { first_year, last_year } = PAGE.chapter;
  const slashes = /^(?<month>[1-9][0-9]?)\/(?<day>[1-9][0-9]?)\/(?<year>[0-9]{2})$/d.exec(text);
  const words = /^(?:(?<weekday>[A-Za-z]+), )?(?<month>[A-Za-z]+) (?<day>[1-9][0-9]?), (?<year>[0-9]{4})$/d.exec(text);
  if (!slashes && !words) return null;
  const { groups, indices } = slashes || words;
  let year = Number(groups.year);
  let month = Number(groups.month);
  const day = Number(groups.day);
  if (slashes) {
    year += year + 1900 < first_year ? 2000 : 1900;
    if (year > last_year) return null;
  } else {
    month = namedMonth(groups.weekday, groups.month);
  }
  const days = [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  if (!(month >= 1 && month <= 12 && day <= days[month - 1] && year >= 1)) return null;
  const two = (value) => String(value).padStart(2, "0");
  return { iso: `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`, spans: indices.groups };
}

function isLeap(year) {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

// The month, from 1, of a date with a month's name; 0 if a word is not a known one, or the case of the words differs.
function namedMonth(weekday, month) {
  const { months, weekdays } = PAGE.chapter;
  const words = weekday ? [weekday, month] : [month];
  const title = (word) => word[0].toUpperCase() + word.slice(1).toLowerCase();
  const cases = [(word) => word.toLowerCase(), title, (word) => word.toUpperCase()];
  if (!cases.some((written) => words.every((word) => written(word) === word))) return 0;
  const name = month.toLowerCase();
  if (weekday && !weekdays.includes(weekday.toLowerCase())) return 0;
  if (months.includes(name) || weekday) return months.indexOf(name) + 1;
  return months.findIndex((full) => full.slice(0, 3) === name) + 1;
}

// The right answer to a date, also in the forms of 8.7 that no training question has; null for anything else.
function rightAnswer(text) {
  const found = parseDate(text);
  if (found) return found.iso;
  const words = text.match(/[A-Za-z_]+|\d+/g) || [];
  let names = words.filter((word) => !/\d/.test(word));
  let numbers = words.filter((word) => /\d/.test(word));
  numbers.sort((a, b) => (a.length === 4) - (b.length === 4)); // the year comes last
  if (!names.length && numbers.length === 3) {
    let [month, day, year] = numbers.map(Number);
    if (month > 12) [month, day] = [day, month];
    if (numbers[2].length === 2) return parseDate(`${month}/${day}/${numbers[2]}`)?.iso ?? null;
    if (month >= 1 && month <= 12) [names, numbers] = [[PAGE.chapter.months[month - 1]], [day, year]];
  }
  const written = [names.join(", "), ...numbers.map((n) => `${Number(n)},`)].join(" ");
  return parseDate(written.replace(/,+$/, ""))?.iso ?? null;
}

// Where each character of the answer comes from, rows of true and false; null for a text that no training question is
// like.
function goldMask(tokens) {
  const found = parseDate(tokens.join(""));
  if (!found) return null;
  const mask = Array.from({ length: PAGE.chapter.answer_length }, () => tokens.map(() => false));
  for (const [part, [first, last]] of Object.entries(PAGE.chapter.answer_parts)) {
    const [start, end] = found.spans[part];
    for (let k = first; k < last; k++) mask[k].fill(true, start, end);
  }
  return mask;
}

// What the explorer asks, see explorer.js.
const CHAPTER = {
  ...CHARACTERS,

  truth: (tokens) => rightAnswer(tokens.join("")),

  remark: (tokens) => (parseDate(tokens.join("")) ? "" : PAGE.chapter.new_form),

  goldMask,

  model: (content) => MODELS[content.kind](decodeWeights(content)),

  // { answer, confidence, weights }: the model reads a question from its last character to its first.
  decode(model, tokens) {
    const { answer_length, characters: known, start } = PAGE.chapter;
    const ids = tokens.map((token) => known.indexOf(token)).reverse();
    const { ids: written, confidence, weights } = greedy(model, ids, known.indexOf(start), answer_length);
    const answer = written.map((id) => known[id]);
    return { answer, confidence, weights: weights && weights.map((row) => row.reverse()) };
  },

  // What a step computes its context from: { terms, hs }, or { missing }, which says why that cannot be told.
  explain(model, tokens, step) {
    const { characters: known, start, only_dot } = PAGE.chapter;
    let state = model.start(tokens.map((token) => known.indexOf(token)).reverse());
    let id = known.indexOf(start);
    for (let k = 0; k <= step; k++) {
      const { logits, ...next } = model.step(id, state);
      id = logits.indexOf(Math.max(...logits));
      state = next;
    }
    const { hs, query, weights } = state;
    const terms = hs.map((h) => Array.from(h, (value, j) => value * query[j]));
    const dots = softmax(terms.map(sum));
    if (dots.some((weight, t) => Math.abs(weight - weights[t]) > 1e-4)) return { missing: only_dot };
    return { terms: terms.reverse(), hs: hs.map((h) => Array.from(h)).reverse() };
  },
};
