"""What the translation models stand on: padding in recurrent layers, what Unroll is fed, additive scores of keys."""

import numpy as np
import pytest

from ch08.score_layers import AdditiveScore
from common.gradient_check import gradient_check
from common.recurrent import Bidirectional, TimeGRU, TimeLSTM, TimeRNN
from common.steps import RNN
from common.unroll import Unroll

D, H = 3, 2
KINDS = {"rnn": (TimeRNN, 1, 1), "lstm": (TimeLSTM, 4, 1), "gru": (TimeGRU, 3, 1), "gru, two biases": (TimeGRU, 3, 2)}
each_kind = pytest.mark.parametrize("kind", KINDS)
MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]], bool)


def make(kind, rng, stateful=False):
    layer, gates, biases = KINDS[kind]
    shapes = [(D, gates * H), (H, gates * H), (gates * H,), (gates * H,)][: 2 + biases]
    Wx, Wh, b, *bh = (rng.standard_normal(shape) for shape in shapes)
    return layer(Wx, Wh, b, stateful, **dict(zip(["bh"], bh, strict=False)))


def first_states(kind, rng):
    return [rng.standard_normal((len(MASK), H)) for _ in range(2 if kind == "lstm" else 1)]


@each_kind
@pytest.mark.parametrize("stateful", [False, True])
def test_every_gradient_with_a_mask(rng, kind, stateful):
    states = first_states(kind, rng) if stateful else None
    gradient_check(make(kind, rng, stateful), rng.standard_normal((*MASK.shape, D)), MASK, states=states)


@each_kind
def test_rows_with_padding_are_their_real_steps_alone(rng, kind):
    layer = make(kind, rng, stateful=True)
    states, xs = first_states(kind, rng), rng.standard_normal((*MASK.shape, D))
    dhs, dlast = rng.standard_normal((*MASK.shape, H)), first_states(kind, rng)
    layer.set_state(*states)
    hs = layer.forward(xs, MASK)
    last = [layer.h.copy()] + ([layer.c.copy()] if kind == "lstm" else [])
    dxs = layer.backward(dhs * MASK[:, :, None], *dlast)
    dfirst = [layer.dh.copy()] + ([layer.dc.copy()] if kind == "lstm" else [])
    grads = [g.copy() for g in layer.grads]
    sums = [np.zeros_like(g) for g in grads]
    np.testing.assert_array_equal(dxs[~MASK], 0)
    for n, real in enumerate(MASK):
        if not real.any():  # nothing was read: the state and its gradient are handed on
            for got, expected in zip(last + dfirst, states + dlast, strict=True):
                np.testing.assert_array_equal(got[n], expected[n])
            continue
        layer.set_state(*(state[n : n + 1] for state in states))
        np.testing.assert_allclose(hs[n, real], layer.forward(xs[n : n + 1, real])[0])
        for got, expected in zip(last, (layer.h, getattr(layer, "c", None)), strict=False):
            np.testing.assert_allclose(got[n], expected[0])
        alone = layer.backward(dhs[n : n + 1, real], *(d[n : n + 1] for d in dlast))
        np.testing.assert_allclose(dxs[n, real], alone[0])
        for got, expected in zip(dfirst, (layer.dh, getattr(layer, "dc", None)), strict=False):
            np.testing.assert_allclose(got[n], expected[0])
        for total, grad in zip(sums, layer.grads, strict=True):
            total += grad
    for got, expected in zip(grads, sums, strict=True):
        np.testing.assert_allclose(got, expected)


@each_kind
def test_a_mask_with_everything_real_changes_nothing_and_does_not_stay(rng, kind):
    layer = make(kind, rng)
    xs, dhs = rng.standard_normal((*MASK.shape, D)), rng.standard_normal((*MASK.shape, H))
    hs = layer.forward(xs)
    dxs = layer.backward(dhs)
    layer.forward(xs, MASK)
    layer.backward(dhs)
    for mask in (np.ones(MASK.shape, bool), None):
        np.testing.assert_array_equal(layer.forward(xs, mask), hs)
        np.testing.assert_array_equal(layer.backward(dhs), dxs)


@each_kind
def test_what_is_masked_has_the_dtype_of_the_parameters(rng, kind):
    layer, gates, biases = KINDS[kind]
    Wx, Wh, b = (rng.standard_normal(s).astype("f") for s in ((D, gates * H), (H, gates * H), (gates * H,)))
    layer = layer(Wx, Wh, b)
    xs = rng.standard_normal((*MASK.shape, D)).astype("f")
    hs = layer.forward(xs, MASK)
    assert hs.dtype == layer.backward(hs).dtype == layer.dh.dtype == np.float32


@each_kind
@pytest.mark.parametrize("mask", [np.ones((4, 3), bool), np.ones((4, 4)), np.ones((1, 4), bool)])
def test_masks_that_do_not_fit(rng, kind, mask):
    layer = make(kind, rng)
    message = rf"{type(layer).__name__}: mask must be bool \(4, 4\), True = real, got {mask.dtype} \({len(mask)}, "
    with pytest.raises(ValueError, match=message):
        layer.forward(rng.standard_normal((4, 4, D)), mask)


@pytest.mark.parametrize("combine", ["concat", "sum"])
def test_two_readers_begin_with_a_real_step_each(rng, combine):
    mask = MASK[:3]
    layer = Bidirectional(make("gru, two biases", rng), make("gru", rng), combine)
    xs = rng.standard_normal((*mask.shape, D))
    gradient_check(layer, xs, mask)
    hs = layer.forward(xs, mask)
    last = layer.last_states
    for n, real in enumerate(mask):
        np.testing.assert_allclose(hs[n, real], layer.forward(xs[n : n + 1, real])[0])
        for (got,), (expected,) in zip(last, layer.last_states, strict=True):
            np.testing.assert_allclose(got[n], expected[0])


# --- what Unroll is fed ----------------------------------------------------------------------------------------


class Step(RNN):
    def forward(self, x, h_prev):
        h = super().forward(x, h_prev)
        return h, h

    def backward(self, dout, dh):
        return super().backward(dout + dh)


def test_what_is_fed_takes_the_place_of_the_next_input(rng):
    unroll = Unroll(Step(*(rng.standard_normal(shape) for shape in ((D, D), (D, D), (D,)))))
    xs, h, dout = (rng.standard_normal(shape) for shape in ((2, 5, D), (2, D), (2, 5, D)))
    given, asked = rng.standard_normal((5, 2, D)), []

    def feed(t, out):
        asked.append((t, out))
        return given[t] if t in (0, 2) else None

    kept = xs.copy()
    outs, last = unroll.forward(xs, h, feed=feed)
    got = unroll.backward(dout)
    np.testing.assert_array_equal(xs, kept)
    assert [t for t, _ in asked] == [0, 1, 2, 3], "after the last step nothing is to be read"
    for t, out in asked:
        np.testing.assert_array_equal(out, outs[:, t])
    grads = [g.copy() for g in unroll.grads]
    xs[:, 1], xs[:, 3] = given[0], given[2]
    expected, expected_last = unroll.forward(xs, h)
    np.testing.assert_array_equal(outs, expected)
    np.testing.assert_array_equal(last, expected_last)
    for one, other in zip((*got, *grads), (*unroll.backward(dout), *unroll.grads), strict=True):
        np.testing.assert_array_equal(one, other)


# --- scores of keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("single", [False, True])
def test_keys_made_before_give_the_scores_and_gradients_of_the_whole(rng, single):
    Wq, Wk, v = (rng.standard_normal(shape) for shape in ((D, 4), (H, 4), (4,)))
    hs, h = rng.standard_normal((3, 5, H)), rng.standard_normal((3, D) if single else (3, 2, D))
    whole, of_keys = AdditiveScore(Wq, Wk, v), AdditiveScore(Wq, None, v)
    s = whole.forward(hs, h)
    np.testing.assert_allclose(of_keys.forward(hs @ Wk, h), s)
    ds = rng.standard_normal(s.shape)
    (dhs, dh), (dkeys, dh_of_keys) = whole.backward(ds), of_keys.backward(ds)
    np.testing.assert_allclose(dkeys @ Wk.T, dhs)
    np.testing.assert_allclose(dh_of_keys, dh)
    assert of_keys.param_names == ("Wq", "v")
    for one, other in zip(of_keys.grads, (whole.grads[0], whole.grads[2]), strict=True):
        np.testing.assert_allclose(one, other)
    np.testing.assert_allclose(np.einsum("nth,nta->ha", hs, dkeys), whole.grads[1])
    gradient_check(of_keys, hs @ Wk, h)


def test_keys_of_another_size_than_the_score(rng):
    score = AdditiveScore(np.ones((D, 4)), None, np.ones(4))
    with pytest.raises(ValueError, match=r"h of size 3 and hs of size 5 do not fit: Wq is \(3, 4\) and v is \(4,\)"):
        score.forward(np.ones((1, 2, 5)), np.ones((1, D)))
