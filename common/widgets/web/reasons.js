// Why a step looks where it looks, as a picture. The same as common/widgets/reasons.py, which explains it.
//
// `reasons` is { terms, hs }: for each hidden state the products whose sum is its score, and the hidden state.
"use strict";

function computeReasons({ terms, hs }) {
  const scores = terms.map((row) => sum(row));
  const weights = softmax(scores);
  const context = hs[0].map((_, j) => sum(hs.map((h, t) => weights[t] * h[j])));
  return { terms, hs, scores, weights, context };
}

// The places of the values that are farthest from 0, the farthest first.
function farthest(values) {
  return descending(Array.from(values, Math.abs)).slice(0, PAGE.shape.TERMS);
}

function describeReasons(question, reasons, step, column) {
  const { terms, scores, weights, context } = computeReasons(reasons);
  const top = farthest(terms[column]);
  const [largest] = descending(weights);
  const total = number(sum(top.map((j) => terms[column][j])));
  const named = { token: visible(question[column]), kind: PAGE.captions.token, place: column };
  const most = { token: visible(question[largest]), score: number(scores[largest]), weight: percent(weights[largest]) };
  return [
    say("why", { step, ...named, weight: percent(weights[column]) }),
    say("why_score", { count: terms[0].length, score: number(scores[column]), top: top.length, sum: total }),
    say("why_softmax", most),
    say("why_context", { count: context.length }),
  ];
}

function renderReasons(question, reasons, step, column) {
  const { REASON_ROW, TERMS, REASONS_WIDTH } = PAGE.shape;
  const words = describeReasons(question, reasons, step, column);
  const computed = computeReasons(reasons);
  const drawing = new Drawing(REASONS_WIDTH, 96 + REASON_ROW * (TERMS + 3), words.join(" "));
  drawing.text(14, 24, words[0], { size: 15, bold: true });
  drawTerms(drawing, 14, computed.terms[column], say("part_score", { token: visible(question[column]) }));
  drawSoftmax(drawing, 308, question, computed, column);
  drawContext(drawing, 596, question, computed);
  return String(drawing);
}

const small = (more = {}) => ({ size: 11, color: PAGE.shape.MUTED, ...more });
const figure = (more = {}) => ({ size: 12, anchor: "end", mono: true, ...more });

// Rows [label, value] as bars from a line in the middle: to the right if positive. Returns the y below.
function drawBars(drawing, x, rows, wide) {
  const { REASON_ROW: ROW, BLUE, ORANGE, LINE } = PAGE.shape;
  const middle = x + wide / 2;
  const reach = Math.max(...rows.map(([, value]) => Math.abs(value)), 1e-9);
  rows.forEach(([label, value], k) => {
    const y = 74 + ROW * k;
    const length = ((wide / 2) * Math.abs(value)) / reach;
    const fill = value >= 0 ? BLUE : ORANGE;
    drawing.text(x - 8, y + 15, label, figure());
    drawing.rect(value >= 0 ? middle : middle - length, y + 3, length, ROW - 8, { fill });
    drawing.text(x + wide + 52, y + 15, number(value), figure());
  });
  const bottom = 74 + ROW * rows.length;
  drawing.line(middle, 72, middle, bottom, LINE);
  return bottom;
}

function drawTerms(drawing, x, terms, title) {
  drawing.text(x, 50, title, { bold: true });
  drawing.text(x, 66, say("part_score_how", { formula: PAGE.shape.FORMULA }), small());
  const top = farthest(terms);
  const rows = top.map((j) => [`j = ${j}`, terms[j]]);
  let y = drawBars(drawing, x + 86, rows, 110);
  if (terms.length > top.length) {
    drawing.text(x, y + 15, say("the_others", { count: terms.length - top.length }), small());
    drawing.text(x + 248, y + 15, number(sum(terms) - sum(top.map((j) => terms[j]))), figure());
    y += PAGE.shape.REASON_ROW;
  }
  drawing.line(x, y + 2, x + 248, y + 2);
  drawing.text(x, y + 20, say("score"), { size: 12, bold: true });
  drawing.text(x + 248, y + 20, number(sum(terms)), figure({ bold: true }));
}

function drawSoftmax(drawing, x, question, { scores, weights }, column) {
  const { REASON_ROW: ROW, TOKENS, BLUE, PALE } = PAGE.shape;
  drawing.text(x, 50, say("part_softmax"), { bold: true });
  drawing.text(x, 66, say("part_softmax_how"), small());
  const top = descending(weights).slice(0, TOKENS);
  if (!top.includes(column)) top[top.length - 1] = column;
  drawing.text(x + 92, 88, say("score"), small({ anchor: "end" }));
  drawing.text(x + 104, 88, say("weight"), small());
  top.forEach((t, k) => {
    const y = 94 + ROW * k;
    const bold = t === column;
    drawing.text(x, y + 15, t, small());
    drawing.text(x + 22, y + 15, visible(question[t]), { size: 14, mono: true, bold });
    drawing.text(x + 92, y + 15, number(scores[t]), figure({ bold }));
    drawing.rect(x + 104, y + 3, 100, ROW - 8, { fill: PALE });
    drawing.rect(x + 104, y + 3, 100 * weights[t], ROW - 8, { fill: BLUE });
    drawing.text(x + 256, y + 15, number(weights[t], 3), figure({ bold }));
  });
  if (scores.length > top.length) {
    const y = 94 + ROW * top.length;
    drawing.text(x, y + 15, say("the_others", { count: scores.length - top.length }), small());
    drawing.text(x + 256, y + 15, number(1 - sum(top.map((t) => weights[t])), 3), figure());
  }
}

function drawContext(drawing, x, question, { hs, weights, context }) {
  drawing.text(x, 50, say("part_context"), { bold: true });
  const [first] = descending(weights);
  const said = { weight: number(weights[first]), token: visible(question[first]) };
  drawing.text(x, 66, say("part_context_how", said), small());
  const rows = farthest(context).map((j) => [`c[${j}]`, context[j]]);
  const y = drawBars(drawing, x + 64, rows, 110);
  drawing.text(x, y + 20, say("largest_numbers", { count: context.length }), small());
  const rest = Math.max(...context.map((value, j) => Math.abs(value - weights[first] * hs[first][j])));
  drawing.text(x, y + 38, say("others_change", { number: number(rest) }), small());
}
