"""BahdanauSeq2seq beside the notes' network in PyTorch, LuongSeq2seq beside its formulas: loss and all gradients.

Padding is left out on PyTorch's side: packed sequences for the one, sentence by sentence for the other.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ch08.bahdanau_seq2seq import BahdanauSeq2seq
from ch08.luong_seq2seq import LuongSeq2seq
from ch08.word_seq2seq import WordSeq2seq
from tests.parity.torch_tools import DTYPES, close, leaves, lstm_weights, run

V_SOURCE, V_TARGET, D, H = 11, 9, 5, 7
SIZES = [((6, 2, 4, 1), (3, 5, 1, 2)), ((1,), (1,)), ((3, 3), (4, 4))]


def padded(rng, lengths, V):
    """Rows of ids from 1 to V - 1 of these lengths, filled up with 0."""
    out = np.zeros((len(lengths), max(lengths)), int)
    for row, length in zip(out, lengths, strict=True):
        row[:length] = rng.integers(1, V, length)
    return out


def batch(rng, source, target):
    return padded(rng, source, V_SOURCE), padded(rng, [length + 1 for length in target], V_TARGET)


def cross_entropy(logits, ts):
    return F.cross_entropy(logits.flatten(0, 1), ts[:, 1:].flatten(), ignore_index=0)


# --- Bahdanau --------------------------------------------------------------------------------------------------


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V_SOURCE, D)
        self.rnn = nn.GRU(D, H, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(2 * H, H)

    def forward(self, xs):
        lengths = (xs != 0).sum(dim=1)
        packed = pack_padded_sequence(self.embedding(xs), lengths, batch_first=True, enforce_sorted=False)
        hs, last = self.rnn(packed)
        hs, _ = pad_packed_sequence(hs, batch_first=True)
        return hs, torch.tanh(self.fc(torch.cat((last[0], last[1]), dim=1)))


class Additive(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.Linear(3 * H, H)
        self.v = nn.Linear(H, 1, bias=False)

    def forward(self, h, hs, mask):
        both = torch.cat((h[:, None].expand(-1, hs.shape[1], -1), hs), dim=2)
        scores = self.v(torch.tanh(self.attn(both)))[:, :, 0]
        return scores.masked_fill(~mask, -torch.inf).softmax(dim=1)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = Additive()
        self.embedding = nn.Embedding(V_TARGET, D)
        self.rnn = nn.GRU(D + 2 * H, H)
        self.fc_out = nn.Linear(3 * H + D, V_TARGET)

    def forward(self, ids, h, hs, mask):
        x, a = self.embedding(ids), self.attention(h, hs, mask)
        c = (a[:, None] @ hs)[:, 0]
        h = self.rnn(torch.cat((x, c), dim=1)[None], h[None])[1][0]
        return self.fc_out(torch.cat((h, c, x), dim=1)), h


class Notes(nn.Module):
    """The network of the notes; own: whether it reads its own words from the second step on."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()

    def forward(self, xs, ts, own=False):
        xs, ts = torch.as_tensor(xs), torch.as_tensor(ts)
        hs, h = self.encoder(xs)
        ids, out = ts[:, 0], []
        for t in range(1, ts.shape[1]):
            logits, h = self.decoder(ids, h, hs, xs != 0)
            ids = logits.argmax(dim=1) if own else ts[:, t]
            out.append(logits)
        return torch.stack(out, dim=1)


def notes(dtype):
    torch.manual_seed(0)
    theirs = Notes().to(getattr(torch, dtype))
    for p in theirs.parameters():
        nn.init.normal_(p, std=0.7)
    return theirs


def as_arrays(theirs, of=lambda p: p):
    return {name: of(p).detach().numpy() for name, p in theirs.named_parameters()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("source", "target"), SIZES)
@pytest.mark.parametrize("own", [False, True])
def test_the_notes_network_with_its_weights(rng, dtype, source, target, own):
    theirs = notes(dtype)
    model = BahdanauSeq2seq.from_torch(as_arrays(theirs), dtype=np.dtype(dtype), teacher_forcing=float(not own))
    xs, ts = batch(rng, source, target)
    expected = theirs(xs, ts, own)
    loss = cross_entropy(expected, torch.as_tensor(ts))
    loss.backward()
    got = model.decoder.forward(ts[:, :-1], *model.encoder.forward(xs))
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    close("logits", got, expected)
    close("loss", model.forward(xs, ts), loss)
    model.backward()
    # The way that weights go is the way of their gradients.
    grads = BahdanauSeq2seq.from_torch(as_arrays(theirs, lambda p: p.grad), dtype=np.dtype(dtype))
    for which, grad, grad_there in zip(model.param_names, model.grads, grads.params, strict=True):
        close(which, grad, torch.tensor(grad_there), zero_ok=max(source) == 1)


@pytest.mark.parametrize("own", [False, True])
def test_the_notes_network_writes_the_same(rng, own):
    theirs = notes("float64")
    model = BahdanauSeq2seq.from_torch(as_arrays(theirs), dtype=np.float64)
    xs, _ = batch(rng, (6, 2, 4, 1, 5, 3), (1,) * 6)
    with torch.no_grad():
        ids = theirs(xs, np.full((6, 7), 2), own=True).argmax(dim=2).numpy()
    np.testing.assert_array_equal(model.greedy_decode(xs, 2, 6), ids)


def test_arrays_that_do_not_fit():
    arrays = as_arrays(notes("float32"))
    missing = {name: array for name, array in arrays.items() if name != "encoder.fc.bias"}
    with pytest.raises(ValueError, match=r"from_torch: there is no array 'encoder.fc.bias'; there are decoder.att"):
        BahdanauSeq2seq.from_torch(missing)
    with pytest.raises(ValueError, match=r"from_torch: the model has no array 'decoder.rnn.weight_ih_l1'"):
        BahdanauSeq2seq.from_torch(arrays | {"decoder.rnn.weight_ih_l1": arrays["encoder.fc.bias"]})
    with pytest.raises(
        ValueError, match=r"from_torch: encoder.fc.b is \(3,\), but with D = 5 and H = 7 it must be \(7"
    ):
        BahdanauSeq2seq.from_torch(arrays | {"encoder.fc.bias": np.zeros(3)})


# --- Luong -----------------------------------------------------------------------------------------------------


def luong_loss(names, weights, xs, ts, score, input_feeding):
    """The summed loss of all sentences, each by itself, divided by the number of words."""
    w = dict(zip(names, weights, strict=True))
    losses = []
    for x, t in zip(xs, ts, strict=True):
        x, t = torch.as_tensor(x[x != 0]), torch.as_tensor(t[t != 0])
        lstm = lstm_weights(*(w[f"encoder.lstm.{name}"] for name in ("Wx", "Wh", "b")))
        hs, state = run(nn.LSTM, w["encoder.embed.W"][x][None], lstm)
        state, fed = [s[0] for s in state], torch.zeros_like(hs[:, -1])  # (1, H) each
        inside = "decoder.steps.step." if input_feeding else "decoder."
        lstm = lstm_weights(*(w[f"{inside}lstm.{name}"] for name in ("Wx", "Wh", "b")))
        a = f"{inside}attention."
        for now, following in pairwise(t):
            embedded = w["decoder.embed.W"][now][None]
            read = torch.cat((embedded, fed), dim=1) if input_feeding else embedded
            out, state = run(nn.LSTM, read[None], lstm, *state)
            state, h = [s[0] for s in state], out[0]  # h (1, H)
            if score == "dot":
                s = h @ hs[0].T
            elif score == "general":
                s = h @ w[f"{a}score.W"] @ hs[0].T
            else:
                s = (torch.tanh(h @ w[f"{a}score.Wq"] + hs[0] @ w[f"{a}score.Wk"]) @ w[f"{a}score.v"])[None]
            context = s.softmax(dim=1) @ hs[0]
            both = torch.cat((context, h), dim=1)
            fed = torch.tanh(both @ w[f"{a}affine.W"] + w[f"{a}affine.b"])
            logits = fed @ w["decoder.affine.W"] + w["decoder.affine.b"]
            losses.append(F.cross_entropy(logits, following[None]))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("score", ["dot", "general", "concat"])
@pytest.mark.parametrize(
    ("dtype", "source", "target"), [(dtype, *SIZES[0]) for dtype in DTYPES] + [("float64", *SIZES[1])]
)
def test_luong_sentence_by_sentence(rng, dtype, source, target, score, input_feeding):
    options = dict(score=score, input_feeding=input_feeding)
    model = LuongSeq2seq(V_SOURCE, V_TARGET, D, H, dtype=np.dtype(dtype), rng=rng, **options)
    for p in model.params:
        p[...] = 0.7 * rng.normal(size=p.shape)
    weights = leaves(model.params)
    xs, ts = batch(rng, source, target)
    expected = luong_loss(model.param_names, weights, xs, ts, **options)
    expected.backward()
    close("loss", model.forward(xs, ts), expected)
    model.backward()
    for which, grad, p in zip(model.param_names, model.grads, weights, strict=True):
        there = torch.zeros_like(p) if p.grad is None else p.grad
        close(which, grad, there, zero_ok=max(source) == 1)


# --- without attention -------------------------------------------------------------------------------------------


def words_loss(names, weights, xs, ts):
    """The mean loss of WordSeq2seq, sentence by sentence without padding."""
    w, losses = dict(zip(names, weights, strict=True)), []
    lstms = [lstm_weights(*(w[f"{side}.lstm.{name}"] for name in ("Wx", "Wh", "b"))) for side in ("encoder", "decoder")]
    for x, t in zip(xs, ts, strict=True):
        x, t = torch.as_tensor(x[x != 0]), torch.as_tensor(t[t != 0])
        _, state = run(nn.LSTM, w["encoder.embed.W"][x][None], lstms[0])
        hs, _ = run(nn.LSTM, w["decoder.embed.W"][t[:-1]][None], lstms[1], *(part[0] for part in state))
        logits = hs[0] @ w["decoder.affine.W"] + w["decoder.affine.b"]
        losses.append(F.cross_entropy(logits, t[1:], reduction="none"))
    return torch.cat(losses).mean()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_without_attention_sentence_by_sentence(rng, dtype, source, target):
    model = WordSeq2seq(V_SOURCE, V_TARGET, D, H, dtype=np.dtype(dtype), rng=rng)
    for p in model.params:
        p[...] = 0.7 * rng.normal(size=p.shape)
    weights = leaves(model.params)
    xs, ts = batch(rng, source, target)
    expected = words_loss(model.param_names, weights, xs, ts)
    expected.backward()
    close("loss", model.forward(xs, ts), expected)
    model.backward()
    for which, grad, p in zip(model.param_names, model.grads, weights, strict=True):
        close(which, grad, torch.zeros_like(p) if p.grad is None else p.grad, zero_ok=max(source) == 1)
