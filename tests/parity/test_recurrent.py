"""Recurrent layers against nn.RNN, nn.LSTM and nn.GRU, from zeros, from a given state, and chunk by chunk."""

import numpy as np
import pytest
import torch
from torch import nn

from common.recurrent import Bidirectional
from common.time_layers import GRU, LSTM, RNN, TimeBiLSTM, TimeGRU, TimeLSTM, TimeRNN
from tests.parity import torch_tools as tools
from tests.parity.torch_tools import DTYPES, check_layer, close, leaf, leaves, run

pytestmark = pytest.mark.parametrize("dtype", DTYPES)
each_size = pytest.mark.parametrize("sizes", [(3, 7, 4, 5), (1, 1, 1, 1), (2, 1, 3, 4), (1, 29, 2, 6)], ids=str)


def rnn(xs, Wx, Wh, b, *state):
    return run(nn.RNN, xs, tools.rnn_weights(Wx, Wh, b), *state)


def lstm(xs, Wx, Wh, b, *state):
    return run(nn.LSTM, xs, tools.lstm_weights(Wx, Wh, b), *state)


def gru(xs, Wx, Wh, b, bh, *state):
    return run(nn.GRU, xs, tools.gru_weights(Wx, Wh, b, bh), *state)


def gru_of_the_paper(xs, Wx, Wh, b, *state):
    """r stands before the product with Whh; nn.GRU has no such form, so the steps are written out."""
    h = state[0] if state else torch.zeros(len(xs), len(Wh), dtype=xs.dtype)
    Wxz, Wxr, Wxh, Whz, Whr, Whh, bz, br, bh = (block for W in (Wx, Wh, b) for block in W.chunk(3, dim=-1))
    hs = []
    for x in xs.unbind(1):
        z = torch.sigmoid(x @ Wxz + h @ Whz + bz)
        r = torch.sigmoid(x @ Wxr + h @ Whr + br)
        h = (1 - z) * h + z * torch.tanh(x @ Wxh + (r * h) @ Whh + bh)
        hs.append(h)
    return torch.stack(hs, dim=1), h[None]


# name: (layer over time, single step, gates, biases, PyTorch)
KINDS = {
    "rnn": (TimeRNN, RNN, 1, 1, rnn),
    "lstm": (TimeLSTM, LSTM, 4, 1, lstm),
    "gru": (TimeGRU, GRU, 3, 1, gru_of_the_paper),
    "gru with bh": (TimeGRU, GRU, 3, 2, gru),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def draw(rng, dtype):
    return lambda *shape: rng.normal(size=shape).astype(dtype)


def draw_params(draw, D, H, gates, biases):
    return [draw(D, gates * H), draw(H, gates * H)] + [draw(gates * H) for _ in range(biases)]


def build(kind, draw, D, H, stateful):
    """Return a layer over time with random weights."""
    layer, _, gates, biases, _ = KINDS[kind]
    Wx, Wh, b, *bh = draw_params(draw, D, H, gates, biases)
    return layer(Wx, Wh, b, stateful, *bh)


class FromState:
    """A stateful layer as a function of its first state: backward returns the gradients of that state, too."""

    def __init__(self, layer):
        self.layer, self.params, self.grads = layer, layer.params, layer.grads

    def forward(self, xs, *state):
        self.layer.set_state(*state)
        return self.layer.forward(xs)

    def backward(self, dhs):
        dxs = self.layer.backward(dhs)
        return (dxs, self.layer.dh, self.layer.dc) if isinstance(self.layer, TimeLSTM) else (dxs, self.layer.dh)


def last_state(layer):
    return (layer.h, layer.c) if isinstance(layer, TimeLSTM) else (layer.h,)


@each_kind
@each_size
def test_from_zeros(draw, kind, sizes):
    N, T, D, H = sizes
    theirs = KINDS[kind][-1]
    layer = build(kind, draw, D, H, stateful=False)
    for n, t in ((N + 1, T + 2), (N, T)):  # the second call finds the kept arrays larger, and not empty
        check_layer(layer, lambda xs, *ps: theirs(xs, *ps)[0], draw(n, t, D), zero_ok=t == 1)


@each_kind
@each_size
def test_from_a_state_and_back_to_its_gradient(draw, kind, sizes):
    N, T, D, H = sizes
    theirs = KINDS[kind][-1]
    layer = build(kind, draw, D, H, stateful=True)
    count = 2 if kind == "lstm" else 1

    def expression(xs, *args):
        state, params = args[:count], args[count:]
        return theirs(xs, *params, *state)[0]

    check_layer(FromState(layer), expression, draw(N, T, D), *(draw(N, H) for _ in range(count)))


@each_kind
def test_stateful_chunk_by_chunk(draw, kind):
    """Truncated backpropagation: the state goes on from chunk to chunk, the gradient stops between them."""
    N, D, H = 3, 4, 5
    theirs = KINDS[kind][-1]
    layer = build(kind, draw, D, H, stateful=True)
    state = ()
    for T in (4, 1, 6):
        before = [leaf(s.detach().numpy()) for s in state]
        check_layer(layer, lambda xs, *ps, s=before: theirs(xs, *ps, *s)[0], (xs := draw(N, T, D)))
        for name, s in zip("hc", before):
            close(f"gradient of the first {name}", getattr(layer, f"d{name}"), s.grad)
        _, state = theirs(torch.tensor(xs), *leaves(layer.params), *before)
        state = [s[0] for s in (state if kind == "lstm" else (state,))]
        for name, got, expected in zip("hc", last_state(layer), state):
            close(f"last {name}", got, expected)
    layer.reset_state()
    check_layer(layer, lambda xs, *ps: theirs(xs, *ps)[0], draw(N, 3, D))


@each_kind
@pytest.mark.parametrize("sizes", [(3, 4, 5), (1, 1, 1)], ids=str)
def test_single_step(draw, kind, sizes):
    N, D, H = sizes
    _, cell, gates, biases, theirs = KINDS[kind]
    count = 2 if kind == "lstm" else 1

    def expression(x, *args):
        state, params = args[:count], args[count:]
        _, last = theirs(x[:, None], *params, *state)
        return tuple(s[0] for s in last) if kind == "lstm" else last[0]

    layer = cell(*draw_params(draw, D, H, gates, biases))
    check_layer(layer, expression, draw(N, D), *(draw(N, H) for _ in range(count)))


@each_size
def test_bilstm(draw, sizes):
    N, T, D, H = sizes
    params = draw_params(draw, D, H, 4, 1) + draw_params(draw, D, H, 4, 1)

    def expression(xs, *ps):
        both = tools.lstm_weights(*ps[:3]) | {f"{name}_reverse": W for name, W in tools.lstm_weights(*ps[3:]).items()}
        return run(nn.LSTM, xs, both, bidirectional=True)[0]

    layer = TimeBiLSTM(*params)
    for n, t in ((N + 1, T + 2), (N, T)):
        check_layer(layer, expression, draw(n, t, D), zero_ok=t == 1)


@each_size
@pytest.mark.parametrize("combine", ["concat", "sum", "mean"])
def test_bidirectional(draw, sizes, combine):
    N, T, D, H = sizes
    params = draw_params(draw, D, H, 3, 2) + draw_params(draw, D, H, 3, 2)

    def expression(xs, *ps):
        both = tools.gru_weights(*ps[:4]) | {f"{name}_reverse": W for name, W in tools.gru_weights(*ps[4:]).items()}
        hs = run(nn.GRU, xs, both, bidirectional=True)[0]
        return hs if combine == "concat" else (hs[..., :H] + hs[..., H:]) / (2 if combine == "mean" else 1)

    one, two = (TimeGRU(*ps[:3], bh=ps[3]) for ps in (params[:4], params[4:]))
    check_layer(Bidirectional(one, two, combine), expression, draw(N, T, D), zero_ok=T == 1)


EXCHANGE = {
    "rnn": (nn.RNN, tools.rnn_weights),
    "lstm": (nn.LSTM, tools.lstm_weights),
    "gru with bh": (nn.GRU, tools.gru_weights),
}


@pytest.mark.parametrize("kind", EXCHANGE)
def test_weights_copied_into_a_module_and_gradients_out_of_it(draw, dtype, kind):
    """The exchange of trained weights: the same numbers, with no help from autograd on the way."""
    N, T, D, H = 2, 5, 3, 4
    module, to_torch = EXCHANGE[kind]
    layer = build(kind, draw, D, H, stateful=False)
    theirs = module(D, H, batch_first=True, dtype=getattr(torch, dtype))
    theirs.load_state_dict(to_torch(*map(torch.tensor, layer.params)))
    xs, dhs = draw(N, T, D), draw(N, T, H)
    hs, _ = theirs(torch.tensor(xs))
    close("hs", layer.forward(xs), hs)
    hs.backward(torch.tensor(dhs))
    layer.backward(dhs)
    for name, got in to_torch(*map(torch.tensor, layer.grads)).items():
        if got.any():  # a bias that we have not has a gradient there
            close(name, got.numpy(), getattr(theirs, name).grad)


@pytest.mark.parametrize("scale", [30, 1000])
def test_saturated_lstm(draw, dtype, scale):
    """Gates far out, where exp(-z) overflows."""
    Wx, Wh, b = (scale * p for p in draw_params(draw, 3, 4, 4, 1))
    with np.errstate(under="ignore"):
        check_layer(TimeLSTM(Wx, Wh, b), lambda *args: lstm(*args)[0], draw(2, 5, 3), zero_ok=True)
