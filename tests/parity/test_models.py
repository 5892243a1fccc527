"""The three models: loss, gradient of every parameter, greedy decode, and twenty steps of training together."""

import numpy as np
import pytest
import torch

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionSeq2seq
from common.optimizer import Adam
from common.util import clip_grads
from tests.bench import torch_model
from tests.parity import torch_tools
from tests.parity.torch_tools import DTYPES, close
from tests.parity.torch_tools import lstm_weights as to_lstm

V, D, H = 11, 5, 7
MODELS = {
    "seq2seq": (Seq2seq, torch_tools.Seq2seq),
    "peeky": (PeekySeq2seq, torch_tools.PeekySeq2seq),
    "attention": (AttentionSeq2seq, torch_tools.AttentionSeq2seq),
}
each_model = pytest.mark.parametrize("name", MODELS)


def make(name, rng, dtype="float64", scale=0.7):
    """Return one of our models with weights large enough that no layer is near 0, and the same model in PyTorch."""
    ours, theirs = MODELS[name]
    model = ours(V, D, H, dtype=np.dtype(dtype), rng=rng)
    for p in model.params:
        p[...] = scale * rng.normal(size=p.shape)
    return model, theirs(model)


def batch(rng, N, T_enc, T_dec):
    return rng.integers(V, size=(N, T_enc)), rng.integers(V, size=(N, T_dec + 1))


@each_model
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("N", "T_enc", "T_dec"), [(6, 9, 4), (1, 1, 1), (2, 3, 8)])
def test_loss_and_every_gradient(rng, name, dtype, N, T_enc, T_dec):
    model, theirs = make(name, rng, dtype)
    model.forward(*batch(rng, N + 1, T_enc + 2, T_dec + 2))  # what it leaves behind must not matter
    xs, ts = batch(rng, N, T_enc, T_dec)
    expected = theirs.loss(xs, ts)
    expected.backward()
    close("loss", model.forward(xs, ts), expected)
    model.backward()
    assert len(model.grads) == len(theirs.weights)
    for grad, (which, p) in zip(model.grads, theirs.weights.items(), strict=True):
        # From a zero state, one step gives the recurrent weights of the encoder no gradient.
        close(which, grad, p.grad, zero_ok=T_enc == 1)


@pytest.mark.parametrize(("N", "T_enc", "T_dec"), [(6, 9, 4), (1, 1, 1), (2, 3, 8)])
def test_with_a_mask(rng, N, T_enc, T_dec):
    model, theirs = make("attention", rng)
    xs, ts = batch(rng, N, T_enc, T_dec)
    theirs.mask = rng.random((N, T_enc)) < 0.5
    theirs.mask[:, T_enc // 2] = True
    expected = theirs.loss(xs, ts)
    expected.backward()
    close("loss", model.forward(xs, ts, mask=theirs.mask), expected)
    model.backward()
    for grad, (which, p) in zip(model.grads, theirs.weights.items(), strict=True):
        close(which, grad, p.grad, zero_ok=T_enc == 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("N", "T_enc", "T_dec"), [(6, 9, 4), (1, 1, 1), (2, 3, 8)])
def test_told_where_to_look(rng, dtype, N, T_enc, T_dec):
    model, theirs = make("attention", rng, dtype)
    model.alignment_loss.weight = 2.0
    xs, ts = batch(rng, N, T_enc, T_dec)
    gold = rng.random((N, T_dec, T_enc)) < 0.4
    loss = theirs.loss(xs, ts)
    mass = (theirs.a * torch.tensor(gold)).sum(dim=2)[torch.tensor(gold).any(dim=2)]
    loss = loss - 2 * torch.log((mass + 1e-4) / (1 + 1e-4)).sum() / (N * T_dec)
    loss.backward()
    close("loss", model.forward(xs, ts, gold=gold), loss)
    model.backward()
    for grad, (which, p) in zip(model.grads, theirs.weights.items(), strict=True):
        close(which, grad, p.grad, zero_ok=T_enc == 1)


@each_model
def test_greedy_decode_writes_what_pytorch_writes(rng, name):
    model, _ = make(name, rng)
    for which, p in zip(model.param_names, model.params):
        if which.endswith(".b"):
            p[...] = 0  # no favorite character
        if which == "decoder.lstm.Wh":
            p *= 4  # lively: what it writes depends on what it read
    theirs = MODELS[name][1](model)
    xs, _ = batch(rng, 40, 9, 1)
    ids, probs, weights = theirs.greedy_decode(xs, start_id=3, sample_size=6)
    assert len(torch.unique(ids, dim=0)) >= 20  # a model that always writes the same would prove nothing
    got_ids, got_probs, got_weights = model.greedy_decode(xs, 3, 6, with_details=True)
    close("ids", got_ids, ids)
    close("probabilities", got_probs, probs)
    if name == "attention":
        close("attention weights", got_weights, torch.cat(weights, dim=1))
    else:
        assert got_weights is None
    close("ids in chunks", model.greedy_decode(xs, 3, 6, chunk_size=7), ids)
    for x, row in zip(xs[:5], ids.tolist()):
        assert model.generate(x[None], 3, 6) == row


@each_model
def test_twenty_steps_of_training_stay_together(rng, name):
    max_norm, steps = 0.5, 20
    model, theirs = make(name, rng)
    ours, torchs = Adam(lr=0.01), torch.optim.Adam(theirs.weights.values(), lr=0.01)
    losses, clipped = [], 0
    for n in range(1, steps + 1):
        xs, ts = batch(rng, 6, 9, 4)
        ts[:, 1:] = xs[:, :4]  # something to learn: copy the first characters
        torchs.param_groups[0]["eps"] = 1e-7 / (1 - 0.999**n) ** 0.5  # see test_optimizers.py
        torchs.zero_grad()
        expected = theirs.loss(xs, ts)
        expected.backward()
        norm = torch.nn.utils.clip_grad_norm_(theirs.weights.values(), max_norm)
        torchs.step()

        losses.append(model.forward(xs, ts))
        close(f"loss of step {n}", losses[-1], expected, rtol=1e-9)
        model.backward()
        close(f"norm of step {n}", clip_grads(model.grads, max_norm), norm, rtol=1e-9)
        ours.update(model.params, model.grads)
        clipped += norm.item() > max_norm
    assert clipped
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    for p, (which, expected) in zip(model.params, theirs.weights.items(), strict=True):
        close(which, p, expected, rtol=1e-8, atol=1e-10)


def test_the_benchmark_times_the_same_model(rng):
    """The nn.Module that tests/bench races against, weights copied in, gradients copied out."""
    model, _ = make("attention", rng)
    theirs = torch_model.AttentionSeq2seq(V, D, H).double()

    def in_torch(arrays):
        embed_enc, *lstm_enc, embed_dec, Wx, Wh, b, W_out, b_out = map(torch.tensor, arrays)
        out = {"embed_enc.weight": embed_enc, "embed_dec.weight": embed_dec, "affine.weight": W_out.T}
        for part, weights in (("lstm_enc", lstm_enc), ("lstm_dec", (Wx, Wh, b))):
            out |= {f"{part}.{name}": W for name, W in to_lstm(*weights).items()}
        return out | {"affine.bias": b_out}

    theirs.load_state_dict(in_torch(model.params))
    xs, ts = batch(rng, 6, 9, 4)
    expected = theirs(torch.tensor(xs), torch.tensor(ts))
    expected.backward()
    close("loss", model.forward(xs, ts), expected)
    model.backward()
    for name, grad in in_torch(model.grads).items():
        if "bias_hh" not in name:  # our one bias is their first
            close(name, grad.numpy(), theirs.get_parameter(name).grad)
