"""GNMT at several depths: every gradient, steps, parts of a batch, and the wiring that the paper has.

What it shares with the other translators is in test_translation_models.py.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from ch08.gnmt import GNMT
from ch08.recipes import SYSTEMS
from common.decoding import beam, forced_log_probs
from common.functions import sigmoid, softmax
from common.gradient_check import gradient_check
from common.layers import Dropout
from common.parallel import DataParallel, inner_layers
from dataset.words import END_ID, PAD_ID, START_ID

V, D, H = 7, 3, 4
XS = np.array([[1, 4, 5, 6, 2], [1, 5, 2, 0, 0], [1, 6, 6, 2, 0]])
TS = np.array([[1, 4, 2, 0], [1, 6, 5, 2], [1, 5, 5, 3]])
DEPTHS = [(1, True), (2, True), (3, True), (3, False), (4, True), (4, False)]
each_depth = pytest.mark.parametrize(("layers", "residual"), DEPTHS)


def make_model(layers, residual=True, sizes=(V, V, D, H), scale=0.7, **options):
    model = GNMT(*sizes, layers=layers, residual=residual, dtype=np.float64, rng=3, **options)
    rng = np.random.default_rng(3)
    for p in model.params:
        p[...] = scale * rng.standard_normal(p.shape)
    return model


# --- gradients, steps, parts -----------------------------------------------------------------------------------


@each_depth
def test_every_gradient_with_padding_and_dropout(layers, residual):
    model = make_model(layers, residual, (V, V, 1, 2), dropout=0.3)
    dropouts = [layer for layer in inner_layers(model) if isinstance(layer, Dropout)]
    assert len(dropouts) == 2 * layers + 1

    def the_same_numbers():
        for seed, layer in enumerate(dropouts):
            layer.rng = np.random.default_rng(seed)

    gradient_check(model, XS[:2, :4], TS[:2], before=the_same_numbers)


@each_depth
def test_steps_are_the_forward_pass_one_word_at_a_time(layers, residual):
    model = make_model(layers, residual)
    logits = model.decoder.forward(TS[:, :-1], *model.encoder.forward(XS))
    weights, first = model.decoder.weights, model.start(XS)
    assert len(first) == 3 + 2 * layers
    state = first
    for t in range(TS.shape[1] - 1):
        got, state, a = model.step(TS[:, t], state)
        np.testing.assert_allclose(got, logits[:, t], rtol=1e-10)
        np.testing.assert_allclose(a, weights[:, t], rtol=1e-10)
        assert all(array.shape == (3, H) for array in state[3:])
        assert all(array is old for array, old in zip(state[:3], first, strict=False))


@each_depth
def test_parts_of_a_batch_make_the_gradients_of_the_whole(layers, residual):
    model, whole = make_model(layers, residual), make_model(layers, residual)
    parts = DataParallel(model, min_rows=1)
    assert parts.forward(XS, TS) == pytest.approx(whole.forward(XS, TS), rel=1e-12)
    parts.backward()
    whole.backward()
    for which, got, expected in zip(model.param_names, model.grads, whole.grads, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-13, err_msg=which)


def test_a_beam_with_coverage_writes_what_the_model_says():
    model = make_model(4, scale=1.5)
    options = dict(beam_size=3, n_best=3, coverage_penalty=0.3, pad_id=PAD_ID)
    for x, hypotheses in zip(XS, beam(model, XS, START_ID, END_ID, 6, **options), strict=True):
        for hypothesis in hypotheses:
            forced = forced_log_probs(model, x[None, x != PAD_ID], np.array([[START_ID, *hypothesis.ids]]))
            np.testing.assert_allclose(hypothesis.log_probs, forced[0], rtol=1e-9)


# --- the wiring ------------------------------------------------------------------------------------------------


def lstm_step(weights, x, h, c):
    Wx, Wh, b = weights
    f, g, i, o = np.split(x @ Wx + h @ Wh + b, 4)
    c = sigmoid(f) * c + np.tanh(g) * sigmoid(i)
    return sigmoid(o) * np.tanh(c), c


def read(weights, xs):
    """Return the hidden states after each of xs (T, D), and the last h and c."""
    h = c = np.zeros(len(weights[1]))
    hs = []
    for x in xs:
        h, c = lstm_step(weights, x, h, c)
        hs.append(h)
    return np.array(hs), (h, c)


def logits_by_hand(model, layers, residual, x, t):
    """The formulas of the paper for one sentence, one step and one layer at a time."""
    named = dict(zip(model.param_names, model.params, strict=True))

    def lstm(name):
        return [named[f"{name}.{which}"] for which in ("Wx", "Wh", "b")]

    embedded = named["encoder.embed.W"][x]
    ahead, _ = read(lstm("encoder.lstms.0.forward_layer"), embedded)
    back, state = read(lstm("encoder.lstms.0.backward_layer"), embedded[::-1])
    hs, states = np.concatenate((ahead, back[::-1]), axis=1), [state]
    for k in range(1, layers):
        out, state = read(lstm(f"encoder.lstms.{k}"), hs)
        states.append(state)
        hs = out + hs if residual and k >= 2 else out
    keys = hs @ named["decoder.keys.W"] + named["decoder.keys.b"]
    bottom = "decoder.bottom.step"
    Wq, v = (named[f"{bottom}.attention_weight.score.{which}"] for which in ("Wq", "v"))
    logits, weights = [], []
    for word in t:
        a = softmax(np.tanh(states[0][0] @ Wq + keys) @ v)  # the query is what the bottom layer said before
        context = a @ hs
        below = named["decoder.embed.W"][word]
        for k in range(layers):
            name = f"decoder.lstms.{k - 1}" if k else f"{bottom}.lstm"
            states[k] = lstm_step(lstm(name), np.concatenate((below, context)), *states[k])
            below = states[k][0] + below if residual and k >= 2 else states[k][0]
        logits.append(below @ named["decoder.affine.W"] + named["decoder.affine.b"])
        weights.append(a)
    return np.array(logits), np.array(weights)


@each_depth
def test_the_formulas_of_the_paper(layers, residual):
    model = make_model(layers, residual)
    logits = model.decoder.forward(TS[:, :-1], *model.encoder.forward(XS))
    for n, x in enumerate(XS):
        words = x[x != PAD_ID]
        expected, weights = logits_by_hand(model, layers, residual, words, TS[n, :-1])
        np.testing.assert_allclose(logits[n], expected, rtol=1e-10)
        np.testing.assert_allclose(model.decoder.weights[n, :, : len(words)], weights, rtol=1e-10)
        np.testing.assert_array_equal(model.decoder.weights[n, :, len(words) :], 0)


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_residual_connections_begin_at_the_third_layer(layers):
    with_, without = (make_model(layers, residual).forward(XS, TS) for residual in (True, False))
    assert (with_ == without) == (layers < 3)


def test_first_weights_follow_the_seed_and_the_dtype_is_float32():
    one, two = (GNMT(V, V, D, H, rng=5) for _ in range(2))
    assert len(one.params) == 1 + 15 + 1 + 2 + 2 + 3 + 9 + 2  # 4 layers, and one more LSTM at the encoder's bottom
    for p, q in zip(one.params, two.params, strict=True):
        assert p.dtype == np.float32
        np.testing.assert_array_equal(p, q)


@pytest.mark.parametrize("layers", [0, -1])
def test_less_than_one_layer(layers):
    with pytest.raises(ValueError, match=rf"GNMT: layers must be at least 1, got {layers}"):
        GNMT(V, V, D, H, layers=layers)


# --- the systems -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "layers", "residual"),
    [
        ("gnmt-1", 1, True),
        ("gnmt-2", 2, True),
        ("gnmt", 4, True),
        ("gnmt-plain", 4, False),
        ("gnmt-8", 8, True),
        ("gnmt-8-plain", 8, False),
        ("multi30k-gnmt", 4, True),
    ],
)
def test_systems_begin_with_large_embeddings(name, layers, residual):
    """Embeddings of 0.1 hardly get through a stack: the same recipe is then right on a fifth of the sentences."""
    system, task = SYSTEMS[name], SimpleNamespace(source_vocab=range(300), target_vocab=range(200))
    model = system.model(task, rng=1)
    system.prepare(model, task)
    for part in (model.encoder, model.decoder):
        assert part.residual == residual
        assert part.embed.params[0].std() == pytest.approx(1, rel=0.05)
    assert len(model.encoder.lstms) == len(model.decoder.lstms) + 1 == layers
