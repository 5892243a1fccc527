// The layers of a model with attention, forward only, one step for one sequence (common/steps.py and the chapters'
// layers explain them). A vector is a Float64Array. A weight is { rows, columns, data }, row after row.
"use strict";

// Row `id` of the embedding.
function embed(W, id) {
  return Float64Array.from(W.data.subarray(id * W.columns, (id + 1) * W.columns));
}

// out += x W. Row by row, so that W is read in the order in which it lies in memory; four rows at a time, because
// reading and writing `out` takes as long as the product itself.
function addProduct(out, x, { columns, data }) {
  let k = 0;
  for (; k + 4 <= x.length; k += 4) {
    const [x0, x1, x2, x3] = [x[k], x[k + 1], x[k + 2], x[k + 3]];
    const r0 = k * columns;
    const [r1, r2, r3] = [r0 + columns, r0 + 2 * columns, r0 + 3 * columns];
    for (let j = 0; j < columns; j++)
      out[j] += x0 * data[r0 + j] + x1 * data[r1 + j] + x2 * data[r2 + j] + x3 * data[r3 + j];
  }
  for (; k < x.length; k++) for (let j = 0; j < columns; j++) out[j] += x[k] * data[k * columns + j];
  return out;
}

function product(x, W) {
  return addProduct(new Float64Array(W.columns), x, W);
}

// x W + b
function affine(x, W, b) {
  return addProduct(Float64Array.from(b.data), x, W);
}

function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

// One step of an LSTM: from the input x and the state { h, c } to the next state. The gates stand in the order f, g, i, o.
function lstm({ Wx, Wh, b }, x, { h, c }) {
  const H = h.length;
  const gates = addProduct(affine(x, Wx, b), h, Wh); // 4H numbers
  const next = { h: new Float64Array(H), c: new Float64Array(H) };
  for (let j = 0; j < H; j++) {
    const f = sigmoid(gates[j]);
    const g = Math.tanh(gates[H + j]);
    const i = sigmoid(gates[2 * H + j]);
    const o = sigmoid(gates[3 * H + j]);
    next.c[j] = f * c[j] + g * i;
    next.h[j] = o * Math.tanh(next.c[j]);
  }
  return next;
}

// One step of a GRU in the form with two biases: from the input x and the state { h } to the next state. The gates stand
// in the order z, r, h.
function gru({ Wx, Wh, b, bh }, x, { h }) {
  const H = h.length;
  const [ofInput, ofState] = [affine(x, Wx, b), affine(h, Wh, bh)]; // 3H numbers each
  const next = h.map((before, j) => {
    const z = sigmoid(ofInput[j] + ofState[j]);
    const r = sigmoid(ofInput[H + j] + ofState[H + j]);
    return (1 - z) * before + z * Math.tanh(ofInput[2 * H + j] + r * ofState[2 * H + j]);
  });
  return { h: next };
}

// The state before the first step: c is 0, and so is h unless it is given. A GRU has no c.
function firstState(H, h = new Float64Array(H)) {
  return { h, c: new Float64Array(H) };
}

// The states of an LSTM, or of a GRU if that is the step, which reads inputs, one after the other.
function readAll(weights, inputs, step = lstm) {
  const states = [];
  let state = firstState(weights.Wh.rows);
  for (const x of inputs) states.push((state = step(weights, x, state)));
  return states;
}

function softmax(scores) {
  const largest = Math.max(...scores);
  const exps = Array.from(scores, (s) => Math.exp(s - largest));
  const total = sum(exps);
  return exps.map((e) => e / total);
}

function dot(x, y) {
  let total = 0;
  for (let j = 0; j < x.length; j++) total += x[j] * y[j];
  return total;
}

// Attention: `scores` say how well each of the states hs matches the query. Returns the weights and the context.
function attend(hs, scores) {
  const weights = softmax(scores);
  const context = new Float64Array(hs[0].length);
  hs.forEach((h, t) => {
    for (let j = 0; j < h.length; j++) context[j] += weights[t] * h[j];
  });
  return { weights, context };
}

function joined(x, y) {
  const both = new Float64Array(x.length + y.length);
  both.set(x);
  both.set(y, x.length);
  return both;
}

// Write `length` tokens, or as many as there are up to the end mark, each time the one with the largest logit. `model` has
// start(ids) and step(id, state). Returns { ids, confidence, weights }, weights null without attention.
function greedy(model, ids, startId, length, endId = null) {
  const written = { ids: [], confidence: [], weights: [] };
  let state = model.start(ids);
  let id = startId;
  for (let k = 0; k < length && id !== endId; k++) {
    const { logits, weights, ...next } = model.step(id, state);
    const probabilities = softmax(logits);
    id = logits.indexOf(Math.max(...logits));
    state = next;
    written.ids.push(id);
    written.confidence.push(probabilities[id]);
    written.weights.push(weights);
  }
  return { ...written, weights: written.weights[0] ? written.weights : null };
}

// A model's weights from their file: base64 of float16 numbers, one array after the other, first the low bytes of all, then
// the high bytes. Returns a dict name -> weight.
function decodeWeights({ arrays, data }) {
  const text = atob(data);
  const half = (k) => HALF[text.charCodeAt(k) + 256 * text.charCodeAt(k + text.length / 2)];
  const found = {};
  let start = 0;
  for (const [name, rows, columns] of arrays) {
    const values = new Float32Array(rows * columns);
    for (let k = 0; k < values.length; k++) values[k] = half(start + k);
    start += values.length;
    found[name] = { rows, columns, data: values };
  }
  return found;
}

// The number of every float16: a sign, five bits of the exponent, ten of the fraction.
const HALF = Float32Array.from({ length: 65536 }, (_, bits) => {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
});
