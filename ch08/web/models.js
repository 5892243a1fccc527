// The models that read dates or sentences, forward only: start(ids) reads a question, step(id, state) reads the token
// written last and says what comes next. Each has the name of its class, and the page of that class (ch08/, ch07/)
// explains it.
//
// `w` is a dict name -> weight, as in weights.npz.
"use strict";

// The weights of one LSTM; a GRU has a bias more.
function lstmOf(w, name) {
  return { Wx: w[`${name}.Wx`], Wh: w[`${name}.Wh`], b: w[`${name}.b`], bh: w[`${name}.bh`] };
}

// All states of an encoder with one LSTM.
function statesOf(w, ids) {
  const inputs = ids.map((id) => embed(w["encoder.embed.W"], id));
  return readAll(lstmOf(w, "encoder.lstm"), inputs);
}

function encode(w, ids) {
  return statesOf(w, ids).map((state) => state.h);
}

function logitsOf(w, x) {
  return affine(x, w["decoder.affine.W"], w["decoder.affine.b"]);
}

// The scores of all hidden states hs for a query h: dot product, general or additive (ch08/score_layers.py).
function scorer(w, hs) {
  const [W, Wq, Wk, v] = ["W", "Wq", "Wk", "v"].map((name) => w[`decoder.attention.score.${name}`]);
  if (W)
    return (h) => {
      const q = product(h, W);
      return hs.map((key) => dot(q, key));
    };
  if (!Wq) return (h) => hs.map((key) => dot(h, key));
  const keys = hs.map((h) => product(h, Wk)); // once for all steps
  return additive(Wq, v, keys);
}

function additive(Wq, v, keys) {
  return (h) => {
    const q = product(h, Wq);
    return keys.map((key) => dot(key.map((k, a) => Math.tanh(q[a] + k)), v.data));
  };
}

// What two readers say of inputs, one from each end: both states for every input, the last of each, side by side.
function readBothWays(ofAhead, ofBack, inputs, step = lstm) {
  const ahead = readAll(ofAhead, inputs, step).map((state) => state.h);
  const back = readAll(ofBack, [...inputs].reverse(), step).map((state) => state.h);
  const hs = ahead.map((h, t) => joined(h, back[inputs.length - 1 - t]));
  return { hs, last: joined(ahead.at(-1), back.at(-1)) };
}

const MODELS = {
  Seq2seq: (w) => ({
    start(ids) {
      const h = encode(w, ids).at(-1);
      return { state: firstState(h.length, h) };
    },
    step(id, { state }) {
      state = lstm(lstmOf(w, "decoder.lstm"), embed(w["decoder.embed.W"], id), state);
      return { logits: logitsOf(w, state.h), weights: null, state };
    },
  }),

  PeekySeq2seq: (w) => ({
    start(ids) {
      const h = encode(w, ids).at(-1);
      return { peek: h, state: firstState(h.length, h) };
    },
    step(id, { peek, state }) {
      state = lstm(lstmOf(w, "decoder.lstm"), joined(peek, embed(w["decoder.embed.W"], id)), state);
      return { logits: logitsOf(w, joined(peek, state.h)), weights: null, peek, state };
    },
  }),

  AttentionSeq2seq: (w) => ({
    start(ids) {
      const hs = encode(w, ids);
      return { hs, score: scorer(w, hs), state: firstState(hs[0].length, hs.at(-1)) };
    },
    step(id, { hs, score, state }) {
      state = lstm(lstmOf(w, "decoder.lstm"), embed(w["decoder.embed.W"], id), state);
      const { weights, context } = attend(hs, score(state.h));
      return { logits: logitsOf(w, joined(context, state.h)), weights, hs, score, state, query: state.h };
    },
  }),

  BiAttentionSeq2seq: (w) => ({
    ...MODELS.AttentionSeq2seq(w),
    start(ids) {
      const inputs = ids.map((id) => embed(w["encoder.embed.W"], id));
      const readers = ["forward", "backward"].map((way) => lstmOf(w, `encoder.lstm.${way}_layer`));
      const { hs, last } = readBothWays(...readers, inputs);
      return { hs, score: scorer(w, hs), state: firstState(last.length, last) };
    },
  }),

  InputFeedingSeq2seq: (w) => ({
    start(ids) {
      const hs = encode(w, ids);
      const H = hs[0].length;
      return { hs, score: scorer(w, hs), state: firstState(H, hs.at(-1)), fed: new Float64Array(H) };
    },
    step(id, { hs, score, state, fed }) {
      state = lstm(lstmOf(w, "decoder.steps.step.lstm"), joined(embed(w["decoder.embed.W"], id), fed), state);
      const { weights, context } = attend(hs, score(state.h));
      const both = joined(context, state.h);
      fed = affine(both, w["decoder.steps.step.affine.W"], w["decoder.steps.step.affine.b"]).map(Math.tanh);
      return { logits: logitsOf(w, fed), weights, hs, score, state, fed, query: state.h };
    },
  }),

  SameStepSeq2seq: (w) => ({
    start(ids) {
      const hs = encode(w, ids);
      return { hs, score: scorer(w, hs), state: firstState(hs[0].length, hs.at(-1)) };
    },
    step(id, { hs, score, state }) {
      const query = state.h;
      const { weights, context } = attend(hs, score(query));
      state = lstm(lstmOf(w, "decoder.steps.step.lstm"), joined(embed(w["decoder.embed.W"], id), context), state);
      return { logits: logitsOf(w, joined(context, state.h)), weights, hs, score, state, query };
    },
  }),

  DeepAttentionSeq2seq: (w) => ({
    // Every layer but the first adds what it reads to what it says.
    start(ids) {
      const states = [];
      let inputs = ids.map((id) => embed(w["encoder.embed.W"], id));
      for (let k = 0; w[`encoder.lstms.${k}.Wx`]; k++) {
        const said = readAll(lstmOf(w, `encoder.lstms.${k}`), inputs).map((state) => state.h);
        states.push(firstState(said[0].length, said.at(-1)));
        inputs = k ? said.map((h, t) => h.map((value, j) => value + inputs[t][j])) : said;
      }
      return { hs: inputs, score: scorer(w, inputs), states };
    },
    step(id, { hs, score, states }) {
      const [first, ...above] = states;
      const bottom = lstm(lstmOf(w, "decoder.lstms.0"), embed(w["decoder.embed.W"], id), first);
      const { weights, context } = attend(hs, score(bottom.h));
      let said = bottom.h;
      const next = above.map((state, k) => {
        const read = lstm(lstmOf(w, `decoder.lstms.${k + 1}`), joined(said, context), state);
        said = said.map((value, j) => value + read.h[j]);
        return read;
      });
      const logits = logitsOf(w, joined(context, said));
      return { logits, weights, hs, score, states: [bottom, ...next], query: bottom.h };
    },
  }),

  // The translators.

  LuongSeq2seq: (w) => ({
    start(ids) {
      const states = statesOf(w, ids);
      const hs = states.map((state) => state.h);
      return { hs, score: scorer(w, hs), state: states.at(-1) };
    },
    step(id, { hs, score, state }) {
      state = lstm(lstmOf(w, "decoder.lstm"), embed(w["decoder.embed.W"], id), state);
      const { weights, context } = attend(hs, score(state.h));
      const both = joined(context, state.h);
      const fed = affine(both, w["decoder.attention.affine.W"], w["decoder.attention.affine.b"]).map(Math.tanh);
      return { logits: logitsOf(w, fed), weights, hs, score, state };
    },
  }),

  BahdanauSeq2seq: (w) => ({
    // Two GRUs read; the decoder looks with its state before the step, and reads its word then.
    start(ids) {
      const inputs = ids.map((id) => embed(w["encoder.embed.W"], id));
      const readers = ["forward", "backward"].map((way) => lstmOf(w, `encoder.gru.${way}_layer`));
      const { hs, last } = readBothWays(...readers, inputs, gru);
      const h = affine(last, w["encoder.fc.W"], w["encoder.fc.b"]).map(Math.tanh);
      const [Wq, v] = ["Wq", "v"].map((name) => w[`decoder.steps.step.attention_weight.score.${name}`]);
      const keys = hs.map((each) => affine(each, w["decoder.keys.W"], w["decoder.keys.b"])); // once for all steps
      return { hs, score: additive(Wq, v, keys), state: { h } };
    },
    step(id, { hs, score, state }) {
      const x = embed(w["decoder.embed.W"], id);
      const { weights, context } = attend(hs, score(state.h));
      state = gru(lstmOf(w, "decoder.steps.step.gru"), joined(x, context), state);
      return { logits: logitsOf(w, joined(joined(state.h, context), x)), weights, hs, score, state };
    },
  }),
};
