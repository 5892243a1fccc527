"""The Neural Turing Machine against PyTorch: each layer, and the whole machine over several steps."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ch08.ntm import NTM, PlainLSTM
from ch08.ntm_layers import (
    Add,
    Addressing,
    CircularShift,
    ContentAddressing,
    CosineSimilarity,
    Erase,
    Interpolation,
    Read,
    Sharpening,
    Softplus,
    TimeSigmoidWithLoss,
)
from tests.bench import torch_model
from tests.parity.torch_tools import DTYPES, check_layer, close, leaves, lstm_weights, run
from tests.unit.test_ntm_layers import Problem

EPS = 1e-4
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
# N, M (None: one head, without an axis), R, W, S
every_size = pytest.mark.parametrize(
    "sizes", [(3, None, 7, 4, 3), (2, 3, 5, 6, 5), (1, 1, 4, 1, 3), (2, 2, 3, 2, 1)], ids=str
)


def length(v):
    return torch.sqrt((v * v).sum(dim=-1, keepdim=True) + EPS)


def cosine(memory, key):
    return torch.einsum("nrw,n...w->n...r", memory / length(memory), key / length(key))


def content(memory, key, strength):
    return torch.softmax(strength[..., None] * cosine(memory, key), dim=-1)


def interpolate(content, previous, gate):
    return gate[..., None] * content + (1 - gate[..., None]) * previous


def shifted(w, shift):
    half = shift.shape[-1] // 2
    return sum(shift[..., j, None] * torch.roll(w, j - half, dims=-1) for j in range(shift.shape[-1]))


def sharpen(w, gamma):
    power = w ** gamma[..., None]
    return power / power.sum(dim=-1, keepdim=True)


def address(memory, previous, key, strength, gate, shift, gamma):
    return sharpen(shifted(interpolate(content(memory, key, strength), previous, gate), shift), gamma)


def read(memory, w):
    return torch.einsum("n...r,nrw->n...w", w, memory)


def erase(memory, w, e):
    return memory * (1 - w[:, :, None] * e[:, None])


def add(memory, w, a):
    return memory + w[:, :, None] * a[:, None]


@every_dtype
@every_size
def test_addressing(sizes, dtype):
    p = Problem(sizes, dtype=dtype)
    flat = {"zero_ok": p.S == 1 or p.W == 1}
    check_layer(CosineSimilarity(EPS), cosine, p.memory(), p.key(), **flat)
    check_layer(ContentAddressing(EPS), content, p.memory(), p.key(), p.number(0.5), **flat)
    check_layer(Interpolation(), interpolate, p.weights(), p.weights(), p.number())
    check_layer(CircularShift(), shifted, p.weights(), p.weights(p.S))
    check_layer(Sharpening(), sharpen, p.weights(), p.number(1.0))
    what = p.memory(), p.weights(), p.key(), p.number(0.5), p.number(), p.weights(p.S), p.number(1.0)
    check_layer(Addressing(EPS), address, *what, **flat)


@every_dtype
@every_size
def test_reading_and_writing(sizes, dtype):
    p = Problem(sizes, dtype=dtype)
    check_layer(Read(), read, p.memory(), p.weights())
    check_layer(Softplus(), F.softplus, p.memory())
    p.heads = ()
    check_layer(Erase(), erase, p.memory(), p.weights(), 1 / (1 + np.exp(-p.key())))
    check_layer(Add(), add, p.memory(), p.weights(), p.key())


@every_dtype
def test_a_memory_and_a_key_of_zeros(dtype):
    p = Problem((2, None, 3, 4, 3), dtype=dtype)
    memory, key = p.memory(), p.key()
    memory[:, 1] = key[0] = 0
    check_layer(CosineSimilarity(EPS), cosine, memory, key)


@every_dtype
def test_the_loss_counts_the_bits_of_some_steps(dtype):
    rng = np.random.default_rng(1)
    x, t = (5 * rng.standard_normal((3, 4, 2))).astype(dtype), rng.integers(0, 2, (3, 4, 2))
    mask = rng.random((3, 4)) < 0.5

    def loss(x, t, mask):
        return F.binary_cross_entropy_with_logits(x[mask], t[mask].to(x.dtype))

    check_layer(TimeSigmoidWithLoss(), loss, x, t, mask)


# --- the machine ---------------------------------------------------------------------------------------------


class TorchNTM:
    """The whole machine with the weights of one of ours, by name in ``weights``."""

    def __init__(self, model):
        self.weights = dict(zip(model.param_names, leaves(model.params), strict=True))
        step = model.steps.step
        self.readers, (M, writing, self.W) = model.read_heads, step.heads.shape
        self.sizes = M * self.W, writing * self.W, M, writing * self.W, M, M, 3 * M
        self.R = model.first.shape[0]

    def controller(self, x, state):
        w = self.weights
        if not state:
            return torch.tanh(x @ w["steps.step.controller.affine.W"] + w["steps.step.controller.affine.b"]), ()
        h, c = state
        Wx, Wh, b = (w[f"steps.step.controller.lstm.{name}"] for name in ("Wx", "Wh", "b"))
        f, g, i, o = (x @ Wx + h @ Wh + b).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.tanh(g) * torch.sigmoid(i)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, (h, c)

    def start(self, N, states, like):
        w = self.weights
        memory = w.get("first.memory", torch.full((self.R, self.W), 1e-6, dtype=like.dtype)).expand(N, -1, -1)
        weights = torch.softmax(w["first.weights"], dim=1).expand(N, -1, -1)
        h = torch.zeros(N, len(w["steps.step.heads.affine.W"]), dtype=like.dtype)
        return memory, weights, w["first.reads"].reshape(-1).expand(N, -1), (h,) * states

    def logits(self, xs, states):
        """Return (logits, weights of all steps, last memory)."""
        w, N = self.weights, len(xs)
        memory, weights, reads, state = self.start(N, states, xs)
        outs, seen = [], []
        for x in xs.unbind(1):
            out, state = self.controller(torch.cat((x, reads), dim=1), state)
            z = out @ w["steps.step.heads.affine.W"] + w["steps.step.heads.affine.b"]
            key, a, gate, e, strength, gamma, shift = z.split(self.sizes, dim=1)
            key, a = (torch.tanh(v).reshape(N, -1, self.W) for v in (key, a))
            gate, e = torch.sigmoid(gate), torch.sigmoid(e).reshape(N, -1, self.W)
            strength, gamma = F.softplus(strength), 1 + F.softplus(gamma)
            shift = torch.softmax(shift.reshape(N, -1, 3), dim=2)
            weights = address(memory, weights, key, strength, gate, shift, gamma)
            writers = weights[:, self.readers :]
            for k in range(writers.shape[1]):
                memory = erase(memory, writers[:, k], e[:, k])
            for k in range(writers.shape[1]):
                memory = add(memory, writers[:, k], a[:, k])
            reads = read(memory, weights[:, : self.readers]).reshape(N, -1)
            outs.append(torch.cat((out, reads), dim=1)), seen.append(weights)
        return torch.stack(outs, dim=1) @ w["affine.W"] + w["affine.b"], torch.stack(seen, dim=1), memory


@every_dtype
@pytest.mark.parametrize("first_memory", ["constant", "learned"])
@pytest.mark.parametrize("controller", ["lstm", "feedforward"])
@pytest.mark.parametrize("heads", [(1, 1), (2, 1), (1, 3)])
def test_the_machine(controller, first_memory, heads, dtype):
    rng = np.random.default_rng(2)
    options = dict(rows=6, width=4, read_heads=heads[0], write_heads=heads[1])
    model = NTM(3, 2, 5, **options, controller=controller, first_memory=first_memory, dtype=np.dtype(dtype), rng=1)
    theirs = TorchNTM(model)
    xs, ts, mask = rng.random((3, 6, 3)).astype(dtype), rng.integers(0, 2, (3, 6, 2)), rng.random((3, 6)) < 0.6
    xs_leaf = torch.tensor(xs, requires_grad=True)
    logits, weights, memory = theirs.logits(xs_leaf, model.controller_states)
    loss = F.binary_cross_entropy_with_logits(logits[torch.tensor(mask)], torch.tensor(ts[mask], dtype=logits.dtype))
    loss.backward()
    close("loss", model.forward(xs, ts, mask), loss)
    close("weights", model.weights, weights)
    close("memory", model.memory, memory)
    close("logits, step by step", model.predict(xs), logits)
    loose = {} if dtype == "float64" else {"rtol": 1e-3, "atol": 3e-5}
    model.forward(xs, ts, mask)
    close("gradient of xs", model.backward(), xs_leaf.grad, **loose)
    for name, grad in zip(model.param_names, model.grads, strict=True):
        close(name, grad, theirs.weights[name].grad, **loose)


@every_dtype
def test_the_module_that_the_bench_races_against(dtype):
    """It copies: its loss is that of the second half of the steps."""
    rng = np.random.default_rng(2)
    model = NTM(3, 2, 5, rows=6, width=4, dtype=np.dtype(dtype), rng=1)
    b = model.steps.step.heads.affine.params[1]
    b[...] = rng.normal(size=b.shape)
    theirs = torch_model.NTM(3, 2, 5, rows=6, width=4).to(getattr(torch, dtype))

    def in_torch(arrays):
        a = dict(zip(model.param_names, map(torch.tensor, arrays), strict=True))
        cell = lstm_weights(*(a[f"steps.step.controller.lstm.{name}"] for name in ("Wx", "Wh", "b")))
        out = {f"cell.{name.removesuffix('_l0')}": value for name, value in cell.items()}
        for name, where in (("heads", "steps.step.heads.affine"), ("affine", "affine")):
            out |= {f"{name}.weight": a[f"{where}.W"].T, f"{name}.bias": a[f"{where}.b"]}
        return out | {"first_weights": a["first.weights"], "first_reads": a["first.reads"]}

    theirs.load_state_dict(in_torch(model.params) | {"first_memory": theirs.first_memory})
    xs, ts = rng.random((3, 7, 3)).astype(dtype), rng.integers(0, 2, (3, 7, 2))
    expected = theirs(torch.tensor(xs), torch.tensor(ts))
    expected.backward()
    close("loss", model.forward(xs, ts, np.repeat([np.arange(7) >= 4], 3, axis=0)), expected)
    model.backward()
    loose = {} if dtype == "float64" else {"rtol": 1e-3, "atol": 3e-5}
    for name, grad in in_torch(model.grads).items():
        if "bias_hh" not in name:  # our one bias is their first
            close(name, grad.numpy(), theirs.get_parameter(name).grad, **loose)


@every_dtype
@pytest.mark.parametrize("layers", [1, 2])
def test_the_plain_lstm(layers, dtype):
    rng = np.random.default_rng(2)
    model = PlainLSTM(3, 2, 5, layers=layers, dtype=np.dtype(dtype), rng=1)
    weights = dict(zip(model.param_names, leaves(model.params), strict=True))
    xs, ts, mask = rng.random((3, 6, 3)).astype(dtype), rng.integers(0, 2, (3, 6, 2)), rng.random((3, 6)) < 0.6
    hs = torch.tensor(xs)
    for k in range(layers):
        hs, _ = run(torch.nn.LSTM, hs, lstm_weights(*(weights[f"lstms.{k}.{name}"] for name in ("Wx", "Wh", "b"))))
    logits = hs @ weights["affine.W"] + weights["affine.b"]
    loss = F.binary_cross_entropy_with_logits(logits[torch.tensor(mask)], torch.tensor(ts[mask], dtype=logits.dtype))
    loss.backward()
    close("loss", model.forward(xs, ts, mask), loss)
    model.backward()
    for name, grad in zip(model.param_names, model.grads, strict=True):
        close(name, grad, weights[name].grad)
