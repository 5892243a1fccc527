"""The models: loss, gradient of every parameter, greedy decode, and twenty steps of training together."""

from functools import partial

import numpy as np
import pytest
import torch

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.bidirectional_seq2seq import BiAttentionSeq2seq
from ch08.deep_seq2seq import DeepAttentionSeq2seq
from ch08.gnmt import GNMT
from ch08.input_feeding_seq2seq import InputFeedingSeq2seq
from ch08.luong_seq2seq import LuongSeq2seq
from ch08.same_step_seq2seq import SameStepSeq2seq
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


# --- the models of sections 8.9 to 8.11, 8.15 and 8.17, and the nn.Modules that tests/bench races against -----------

# The translators: source and target have V words each, and 0 is padding.
LUONG = partial(LuongSeq2seq, V), partial(torch_model.LuongSeq2seq, V)
OF_GOOGLE = partial(GNMT, V), partial(torch_model.GNMT, V)
TRANSLATORS = LUONG[0], OF_GOOGLE[0]
ONE_PAGE = {
    "attention": (AttentionSeq2seq, torch_model.AttentionSeq2seq, {}),
    "both ways": (BiAttentionSeq2seq, torch_model.BiAttentionSeq2seq, {}),
    "both ways, sum": (BiAttentionSeq2seq, torch_model.BiAttentionSeq2seq, {"combine": "sum"}),
    "both ways, mean": (BiAttentionSeq2seq, torch_model.BiAttentionSeq2seq, {"combine": "mean"}),
    "input feeding": (InputFeedingSeq2seq, torch_model.InputFeedingSeq2seq, {}),
    "same step": (SameStepSeq2seq, torch_model.SameStepSeq2seq, {}),
    "deep": (DeepAttentionSeq2seq, torch_model.DeepAttentionSeq2seq, {"layers": 3}),
    "deep, plain": (DeepAttentionSeq2seq, torch_model.DeepAttentionSeq2seq, {"layers": 2, "residual": False}),
    "luong": (*LUONG, {"score": "dot"}),
    "luong, feeding": (*LUONG, {"score": "general", "input_feeding": True}),
    "luong, two readers": (*LUONG, {"score": "general", "bidirectional": True}),
    "luong, two readers, feeding": (*LUONG, {"score": "general", "input_feeding": True, "bidirectional": True}),
    "gnmt, 1 layer": (*OF_GOOGLE, {"layers": 1}),
    "gnmt, 2 layers": (*OF_GOOGLE, {"layers": 2}),
    "gnmt, 4 layers": (*OF_GOOGLE, {"layers": 4}),
    "gnmt, 4 layers, plain": (*OF_GOOGLE, {"layers": 4, "residual": False}),
}
OURS_TO_THEIRS = {  # the beginning of a name
    "encoder.embed.W": "embed_enc.weight",
    "decoder.embed.W": "embed_dec.weight",
    "encoder.lstm.forward_layer": "lstm_enc",
    "encoder.lstm.backward_layer": "lstm_enc",
    "encoder.lstms.0.forward_layer": "enc.0",
    "encoder.lstms.0.backward_layer": "enc.0",
    "encoder.lstms": "enc",
    "decoder.lstms": "dec",
    "encoder.lstm": "lstm_enc",
    "decoder.lstm": "lstm_dec",
    "decoder.steps.step.lstm": "cell",
    "decoder.steps.step.affine": "joined",
    "decoder.attention.score.W": "keys.weight",
    "decoder.attention.affine": "joined",
    "decoder.steps.step.attention.score.W": "keys.weight",
    "decoder.steps.step.attention.affine": "joined",
    "decoder.bottom.step.lstm": "cell",
    "decoder.bottom.step.attention_weight.score.Wq": "query.weight",
    "decoder.bottom.step.attention_weight.score.v": "v.weight",
    "decoder.keys": "keys",
    "decoder.affine": "affine",
}


def in_torch(names, arrays):
    """Return our parameters or gradients under the names and in the layout of the nn.Module, as a state dict."""
    out, lstms = {}, {}
    for name, array in zip(names, map(torch.tensor, arrays), strict=True):
        ours = next(beginning for beginning in OURS_TO_THEIRS if name.startswith(beginning))
        theirs, rest = OURS_TO_THEIRS[ours], name.removeprefix(ours).lstrip(".")
        if ours.endswith(("affine", "keys")):
            out[f"{theirs}.{'weight' if rest == 'W' else 'bias'}"] = array.T if rest == "W" else array
        elif ours.endswith("W"):
            out[theirs] = array
        elif ours.endswith(("Wq", ".v")):
            out[theirs] = array.T if array.ndim == 2 else array[None]
        else:  # one of Wx, Wh, b; in front of it the number of the layer
            *number, which = rest.split(".")
            lstms.setdefault((ours, ".".join([theirs, *number])), {})[which] = array
    for (ours, theirs), weights in lstms.items():
        for name, W in to_lstm(weights["Wx"], weights["Wh"], weights["b"]).items():
            name = name.removesuffix("_l0") if theirs == "cell" else name
            out[f"{theirs}.{name}{'_reverse' if 'backward' in ours else ''}"] = W
    return out


@pytest.mark.parametrize("name", ONE_PAGE)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("N", "T_enc", "T_dec"), [(6, 9, 4), (1, 1, 1), (2, 3, 8)])
def test_the_same_model_as_a_module_of_pytorch(rng, name, dtype, N, T_enc, T_dec):
    ours, theirs, options = ONE_PAGE[name]
    model = ours(V, D, H - 1, dtype=np.dtype(dtype), rng=rng, **options)
    for p in model.params:
        p[...] = 0.7 * rng.normal(size=p.shape)
    theirs = theirs(V, D, H - 1, **options).to(getattr(torch, dtype))
    theirs.load_state_dict(in_torch(model.param_names, model.params))
    padding = 1 if ours in TRANSLATORS else 0  # 0 is padding for these and a character like others for the rest
    model.forward(*(padding + ids % (V - padding) for ids in batch(rng, N + 1, T_enc + 2, T_dec + 2)))  # not to matter
    xs, ts = (padding + ids % (V - padding) for ids in batch(rng, N, T_enc, T_dec))
    expected = theirs(torch.tensor(xs), torch.tensor(ts))
    expected.backward()
    close("loss", model.forward(xs, ts), expected)
    model.backward()
    for which, grad in in_torch(model.param_names, model.grads).items():
        if "bias_hh" not in which:  # our one bias is their first
            # From a zero state, one step gives the recurrent weights of the encoder no gradient; nor is anything fed.
            close(which, grad.numpy(), theirs.get_parameter(which).grad, zero_ok=1 in (T_enc, T_dec))
