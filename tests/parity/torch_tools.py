"""How to compare with PyTorch: weights carried over, outputs and gradients side by side.

PyTorch gets our weights as leaves in our own layout and brings them into its layout by differentiable steps. So its
autograd gives the gradient of each of our parameters, and the functions below are also the rule by which trained
weights are exchanged.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)

TOLERANCE = {
    "float64": {"rtol": 1e-10, "atol": 1e-12},
    "float32": {"rtol": 1e-4, "atol": 1e-5},
    "int64": {"rtol": 0, "atol": 0},
}
DTYPES = ("float64", "float32")


def leaf(x):
    """Return a copy of an array as a tensor; with a gradient if it is floating. None stays None."""
    if x is None:
        return None
    x = np.array(x)
    return torch.tensor(x, requires_grad=x.dtype.kind == "f")


def leaves(params):
    return [leaf(p) for p in params]


def close(what, got, expected, zero_ok=False, **tolerance):
    """Assert the same dtype, shape and values; an expected value that is 0 everywhere would prove nothing."""
    expected = expected.detach().numpy()
    got = np.asarray(got)
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape), what
    assert zero_ok or expected.any(), f"{what}: PyTorch says 0 everywhere, the comparison proves nothing"
    tolerance = TOLERANCE[expected.dtype.name] | tolerance
    np.testing.assert_allclose(got, expected, err_msg=what, **tolerance)


def _tuple(x):
    return x if isinstance(x, tuple) else () if x is None else (x,)


def check_layer(layer, expression, *inputs, zero_ok=False, seed=1):
    """Compare a layer with a PyTorch expression of (*inputs, *params), forward and backward.

    Compared are: every output, the gradient of every floating input, the gradient of every parameter. Backward starts
    from random gradients. ``zero_ok``: outputs or gradients that are 0 everywhere are right here.
    """
    xs, ps = leaves(inputs), leaves(layer.params)
    ours, theirs = _tuple(layer.forward(*inputs)), _tuple(expression(*xs, *ps))
    assert len(ours) == len(theirs)
    rng = np.random.default_rng(seed)
    douts = [rng.normal(size=y.shape).astype(str(y.dtype).removeprefix("torch.")) for y in theirs]
    torch.autograd.backward(theirs, [torch.as_tensor(d) for d in douts])
    dinputs = _tuple(layer.backward(*douts))
    xs = [x for x in xs if x is not None and x.requires_grad]
    for k, (got, expected) in enumerate(zip(ours, theirs, strict=True)):
        close(f"output {k}", got, expected, zero_ok)
    for k, (got, x) in enumerate(zip(dinputs, xs, strict=True)):
        close(f"gradient of input {k}", got, x.grad, zero_ok)
    for k, (got, p) in enumerate(zip(layer.grads, ps, strict=True)):
        close(f"gradient of parameter {k}", got, p.grad, zero_ok)


def rnn_weights(Wx, Wh, b, bh=None):
    """PyTorch keeps its weights transposed and has two biases; where we have one, the other is 0."""
    bh = torch.zeros_like(b) if bh is None else bh
    return {"weight_ih_l0": Wx.T, "weight_hh_l0": Wh.T, "bias_ih_l0": b, "bias_hh_l0": bh}


def lstm_weights(Wx, Wh, b):
    """Our gates f, g, i, o in PyTorch's order i, f, g, o."""

    def gates(W):
        f, g, i, o = W.chunk(4, dim=-1)
        return torch.cat((i, f, g, o), dim=-1)

    return rnn_weights(gates(Wx), gates(Wh), gates(b))


def gru_weights(Wx, Wh, b, bh):
    """Our gates z, r, h in PyTorch's order r, z, n; its z is 1 - z, and 1 - sigmoid(x) = sigmoid(-x)."""

    def gates(W):
        z, r, h = W.chunk(3, dim=-1)
        return torch.cat((r, -z, h), dim=-1)

    return rnn_weights(gates(Wx), gates(Wh), gates(b), gates(bh))


def run(cell, xs, weights, *state, **options):
    """Return (hs, state) of nn.RNN, nn.LSTM or nn.GRU with these weights. State: none, or one or two (N, H)."""
    module = cell(xs.shape[2], weights["weight_hh_l0"].shape[1], batch_first=True, dtype=xs.dtype, **options)
    state = tuple(s[None] for s in state)  # (layers, N, H)
    args = (xs, state if len(state) == 2 else state[0]) if state else (xs,)
    return torch.func.functional_call(module, weights, args)


class Seq2seq:
    """Seq2seq in PyTorch with the weights of one of our models, by name in ``weights``."""

    def __init__(self, model):
        self.weights = dict(zip(model.param_names, leaves(model.params), strict=True))

    def embed(self, part, ids):
        return F.embedding(ids, self.weights[f"{part}.embed.W"])

    def lstm(self, part, xs, *state):
        return run(nn.LSTM, xs, lstm_weights(*(self.weights[f"{part}.lstm.{n}"] for n in ("Wx", "Wh", "b"))), *state)

    def affine(self, x):
        return F.linear(x, self.weights["decoder.affine.W"].T, self.weights["decoder.affine.b"])

    def encode(self, xs):
        return self.lstm("encoder", self.embed("encoder", xs))[0]  # (N, T_enc, H)

    def steps(self, ids, enc, *state):
        """Return scores, attention weights or None, and the next state."""
        hs, state = self.lstm("decoder", self.embed("decoder", ids), *state)
        return self.affine(hs), None, state

    def start(self, enc):
        return enc[:, -1], torch.zeros_like(enc[:, -1])

    def loss(self, xs, ts):
        xs, ts = torch.as_tensor(xs), torch.as_tensor(ts)
        enc = self.encode(xs)
        scores, _, _ = self.steps(ts[:, :-1], enc, *self.start(enc))
        return F.cross_entropy(scores.flatten(0, 1), ts[:, 1:].flatten())

    @torch.no_grad()
    def greedy_decode(self, xs, start_id, sample_size):
        """Return ids, their probabilities and a list of attention weights, one character after the other."""
        enc = self.encode(torch.as_tensor(xs))
        state, ids = self.start(enc), torch.full((len(xs), 1), start_id)
        out, probs, weights = [], [], []
        for _ in range(sample_size):
            scores, a, state = self.steps(ids, enc, *state)
            state = [s[0] for s in state]
            p, ids = scores.softmax(dim=2).max(dim=2)
            out.append(ids), probs.append(p), weights.append(a)
        return torch.cat(out, dim=1), torch.cat(probs, dim=1), weights


class PeekySeq2seq(Seq2seq):
    """The encoder's last state joins the LSTM's input and the affine layer's input at every step."""

    def steps(self, ids, enc, *state):
        h = enc[:, -1:].expand(-1, ids.shape[1], -1)
        hs, state = self.lstm("decoder", torch.cat((h, self.embed("decoder", ids)), dim=2), *state)
        return self.affine(torch.cat((h, hs), dim=2)), None, state


class AttentionSeq2seq(Seq2seq):
    """The affine layer reads (context, hidden state). mask (N, T_enc): False hides a state from the attention."""

    mask = None

    def steps(self, ids, enc, *state):
        hs, state = self.lstm("decoder", self.embed("decoder", ids), *state)
        scores = hs @ enc.transpose(1, 2)  # (N, T_dec, T_enc)
        if self.mask is not None:
            scores = scores.masked_fill(~torch.as_tensor(self.mask)[:, None], -torch.inf)
        self.a = a = torch.softmax(scores, dim=2)
        return self.affine(torch.cat((a @ enc, hs), dim=2)), a, state
