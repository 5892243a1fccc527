"""Layers over time: equal to loops of single steps, state, extremes, errors, and what readers' scripts read."""

import copy
import tracemalloc

import numpy as np
import pytest

from common import layers, recurrent, steps, time_layers
from common.base_model import walk
from common.recurrent import Bidirectional, lstm_step, state_of
from common.time_layers import (
    GRU,
    LSTM,
    RNN,
    TimeAffine,
    TimeBiLSTM,
    TimeEmbedding,
    TimeGRU,
    TimeLSTM,
    TimeRNN,
    TimeSoftmaxWithLoss,
)
from common.workspace import Workspace

KINDS = {
    "RNN": (RNN, TimeRNN, 1, 1),
    "LSTM": (LSTM, TimeLSTM, 4, 1),
    "GRU": (GRU, TimeGRU, 3, 1),
    "GRU, two biases": (GRU, TimeGRU, 3, 2),
}
SIZES = [(3, 5, 4, 6), (1, 4, 3, 2), (3, 1, 2, 4), (2, 5, 1, 3), (2, 3, 3, 1), (1, 1, 1, 1)]


def make_params(kind, D, H, dtype=np.float64):
    rng = np.random.default_rng(1)
    _, _, gates, biases = KINDS[kind]
    shapes = [(D, gates * H), (H, gates * H)] + [(gates * H,)] * biases
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def make_layer(kind, D, H, stateful=False, dtype=np.float64):
    Wx, Wh, b, *bh = make_params(kind, D, H, dtype)
    return KINDS[kind][1](Wx, Wh, b, stateful, **({"bh": bh[0]} if bh else {}))


def loop(kind, params, xs, dhs, h, c):
    """The plain way: one cell per step, gradients added up. Return hs, dxs, grads, (h, dh), (c, dc)."""
    cell_class = KINDS[kind][0]
    N, T, D = xs.shape
    cells, hs, dxs = [], [], np.zeros_like(xs)
    for t in range(T):
        cells.append(cell_class(*params))
        if kind == "LSTM":
            h, c = cells[-1].forward(xs[:, t], h, c)
        else:
            h = cells[-1].forward(xs[:, t], h)
        hs.append(h)
    dh, dc = np.zeros_like(h), np.zeros_like(h)
    grads = [np.zeros_like(p) for p in params]
    for t in reversed(range(T)):
        if kind == "LSTM":
            dxs[:, t], dh, dc = cells[t].backward(dhs[:, t] + dh, dc)
        else:
            dxs[:, t], dh = cells[t].backward(dhs[:, t] + dh)
        for total, g in zip(grads, cells[t].grads, strict=True):
            total += g
    return np.stack(hs, axis=1), dxs, grads, (h, dh), (c, dc)


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize(("N", "T", "D", "H"), SIZES)
def test_a_time_layer_equals_a_loop_of_cells(rng, kind, stateful, N, T, D, H):
    layer = make_layer(kind, D, H, stateful)
    xs, dhs = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, H))
    h0, c0 = rng.standard_normal((2, N, H))
    layer.set_state(*((h0, c0) if kind == "LSTM" else (h0,)))
    start = (h0, c0) if stateful else (np.zeros((N, H)), np.zeros((N, H)))
    hs, dxs, grads, (h, dh), (c, dc) = loop(kind, layer.params, xs, dhs, *start)
    close(layer.forward(xs), hs)
    close(layer.backward(dhs), dxs)
    for got, expected in zip(layer.grads, grads, strict=True):
        close(got, expected)
    close(layer.h, h)
    close(layer.dh, dh)
    if kind == "LSTM":
        close(layer.c, c)
        close(layer.dc, dc)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_named_as_they_are_handed_in(kind):
    for layer in (KINDS[kind][0](*make_params(kind, 3, 4)), make_layer(kind, 3, 4)):
        names = ("Wx", "Wh", "b", "bh")[: len(layer.params)]
        assert [name for name, _, _ in walk(layer)] == list(names)


# --- cells by hand -----------------------------------------------------------------------------------------


def test_rnn_by_hand():
    cell = RNN(np.array([[1.0]]), np.array([[2.0]]), np.array([0.5]))
    np.testing.assert_allclose(cell.forward(np.array([[0.3]]), np.array([[-0.2]])), np.tanh([[0.4]]))


def test_lstm_gates_stand_in_the_order_f_g_i_o():
    b = np.array([0.1, 0.2, 0.3, 0.4])
    cell = LSTM(np.zeros((1, 4)), np.zeros((1, 4)), b)
    h, c = cell.forward(np.ones((1, 1)), np.ones((1, 1)), np.full((1, 1), 2.0))
    f, i, o = 1 / (1 + np.exp(-b[[0, 2, 3]]))
    expected = f * 2 + np.tanh(0.2) * i
    np.testing.assert_allclose(c, [[expected]])
    np.testing.assert_allclose(h, [[o * np.tanh(expected)]])


def test_gru_gates_stand_in_the_order_z_r_h():
    b, x, h_prev = np.array([0.1, 0.2, 0.3]), np.ones((1, 1)), np.full((1, 1), 2.0)
    Wh = np.array([[0.0, 0.0, 0.7]])
    z, r = 1 / (1 + np.exp(-b[:2]))
    paper = np.tanh(0.3 + r * 2 * 0.7)
    np.testing.assert_allclose(GRU(np.zeros((1, 3)), Wh, b).forward(x, h_prev), [[(1 - z) * 2 + z * paper]])
    bh = np.array([0.0, 0.0, 0.25])
    torch = np.tanh(0.3 + r * (2 * 0.7 + 0.25))
    np.testing.assert_allclose(GRU(np.zeros((1, 3)), Wh, b, bh).forward(x, h_prev), [[(1 - z) * 2 + z * torch]])


# --- state -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_stateful_layer_goes_on_where_it_stopped(rng, kind):
    xs = rng.standard_normal((2, 7, 3))
    whole = make_layer(kind, 3, 4).forward(xs)
    layer = make_layer(kind, 3, 4, stateful=True)
    pieces = [layer.forward(xs[:, a:b]) for a, b in ((0, 3), (3, 4), (4, 7))]
    close(np.concatenate(pieces, axis=1), whole)
    close(layer.h, whole[:, -1])
    layer.reset_state()
    assert layer.h is None
    close(layer.forward(xs), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_without_state_starts_from_zeros(rng, kind):
    Wx, Wh, b, *_ = make_params(kind, 3, 4)
    xs, layer = rng.standard_normal((2, 4, 3)), KINDS[kind][1](Wx, Wh, b)
    assert layer.stateful is False
    first = layer.forward(xs)
    close(layer.forward(xs), first)
    layer.set_state(np.ones((2, 4)))
    close(layer.forward(xs), first)
    close(layer.h, first[:, -1])


def test_time_lstm_state_of_h_alone_starts_with_c_at_zero(rng):
    layer, xs, h = make_layer("LSTM", 3, 4, stateful=True), rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 4))
    layer.forward(xs)
    layer.set_state(h)
    assert layer.h is h
    assert layer.c is None
    hs = layer.forward(xs)
    layer.set_state(h, np.zeros((2, 4)))
    close(layer.forward(xs), hs)
    layer.reset_state()
    assert layer.h is None
    assert layer.c is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_belongs_to_the_caller(rng, kind):
    layer, xs, h = make_layer(kind, 3, 4, stateful=True), rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 4))
    h.flags.writeable = False
    layer.set_state(h)
    layer.forward(xs)
    last = layer.h
    kept = last.copy()
    layer.forward(xs)
    np.testing.assert_array_equal(last, kept)
    layer.backward(rng.standard_normal((2, 5, 4)))
    dh = layer.dh
    kept = dh.copy()
    layer.backward(rng.standard_normal((2, 5, 4)))
    np.testing.assert_array_equal(dh, kept)
    assert layer.dh is not dh


def test_before_the_first_call_there_is_no_state():
    for kind in KINDS:
        layer = make_layer(kind, 2, 3)
        assert layer.h is None
        assert layer.dh is None
    assert make_layer("LSTM", 2, 3).c is None
    assert make_layer("LSTM", 2, 3).dc is None


def test_time_bilstm_is_two_lstms(rng):
    one, two = make_params("LSTM", 3, 4), [p + 0.1 for p in make_params("LSTM", 3, 4)]
    layer, there, back = TimeBiLSTM(*one, *two), TimeLSTM(*one), TimeLSTM(*two)
    xs, dhs = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 5, 8))
    hs = layer.forward(xs)
    assert hs.shape == (2, 5, 8)
    close(hs[:, :, :4], there.forward(xs))
    close(hs[:, :, 4:], back.forward(xs[:, ::-1])[:, ::-1])
    dxs = there.backward(dhs[:, :, :4]) + back.backward(dhs[:, ::-1, 4:])[:, ::-1]
    close(layer.backward(dhs), dxs)
    for got, expected in zip(layer.grads, there.grads + back.grads, strict=True):
        close(got, expected)


def test_time_bilstm_stateful_and_reset(rng):
    params, xs = make_params("LSTM", 3, 4), rng.standard_normal((2, 5, 3))
    plain, layer = TimeBiLSTM(*params, *params), TimeBiLSTM(*params, *params, stateful=True)
    assert not plain.forward_lstm.stateful
    assert not plain.backward_lstm.stateful
    first = layer.forward(xs)
    close(plain.forward(xs), first)
    close(plain.forward(xs), first)
    second = layer.forward(xs)
    assert np.abs(second - first)[:, :, :4].max() > 1e-3
    assert np.abs(second - first)[:, :, 4:].max() > 1e-3
    layer.reset_state()
    close(layer.forward(xs), first)


@pytest.mark.parametrize("combine", ["concat", "sum", "mean"])
def test_bidirectional_joins_any_two_layers(rng, combine):
    a, b = make_layer("GRU", 3, 4, stateful=True), make_layer("RNN", 3, 4, stateful=True)
    layer, xs = Bidirectional(a, b, combine), rng.standard_normal((2, 5, 3))
    there, back = make_layer("GRU", 3, 4).forward(xs), make_layer("RNN", 3, 4).forward(xs[:, ::-1])[:, ::-1]
    joined = {"concat": np.concatenate((there, back), axis=2), "sum": there + back, "mean": (there + back) / 2}
    close(layer.forward(xs), joined[combine])
    (h,), (h_back,) = layer.last_states
    close(h, there[:, -1])
    close(h_back, back[:, 0])
    assert layer.param_names == [f"{d}_layer.{n}" for d in ("forward", "backward") for n in ("Wx", "Wh", "b")]


def test_bidirectional_goes_on_from_its_last_states(rng):
    layer = Bidirectional(make_layer("LSTM", 3, 4, stateful=True), make_layer("GRU", 3, 2, stateful=True))
    assert layer.last_states == ((), ())
    assert layer.first_gradients == ((), ())
    xs = rng.standard_normal((2, 5, 3))
    first, states = layer.forward(xs), layer.last_states
    assert [len(s) for s in states] == [2, 1]
    second = layer.forward(xs)
    layer.set_state(*states)
    close(layer.forward(xs), second)
    layer.set_state()
    close(layer.forward(xs), first)
    layer.reset_state()
    close(layer.forward(xs), first)


def test_a_layer_put_in_the_place_of_another_is_trained(rng):
    layer = TimeBiLSTM(*make_params("LSTM", 3, 4), *make_params("LSTM", 3, 4))
    assert layer.forward_lstm is layer.forward_layer
    assert layer.backward_lstm is layer.backward_layer
    layer.backward_layer = make_layer("GRU", 3, 4)
    parts = layer.forward_lstm.params + layer.backward_layer.params
    assert all(a is b for a, b in zip(layer.params, parts, strict=True))
    assert layer.forward(rng.standard_normal((2, 5, 3))).shape == (2, 5, 8)


def test_bidirectional_refuses_what_does_not_go_together():
    a, b = make_layer("LSTM", 3, 4), make_layer("GRU", 3, 2)
    with pytest.raises(ValueError, match=r"""Bidirectional: combine must be "concat", "sum" or "mean", got 'max'"""):
        Bidirectional(a, b, "max")
    with pytest.raises(ValueError, match="Bidirectional: one layer cannot read both ways, it needs two"):
        Bidirectional(a, a)
    with pytest.raises(ValueError, match=r"hidden states \(2, 5, 4\) and \(2, 5, 2\) cannot be added"):
        Bidirectional(a, b, "sum").forward(np.ones((2, 5, 3)))
    layer = Bidirectional(a, b)
    layer.forward(np.ones((2, 5, 3)))
    with pytest.raises(ValueError, match=r"Bidirectional: dhs is \(2, 5, 5\), but forward returned \(2, 5, 6\)"):
        layer.backward(np.ones((2, 5, 5)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_goes_on_from_its_state(rng, kind):
    layer, xs = make_layer(kind, 3, 4, stateful=True), rng.standard_normal((2, 5, 3))
    assert state_of(layer) == ()
    layer.set_state(*state_of(layer))
    layer.forward(xs)
    state = state_of(layer)
    assert len(state) == (2 if kind == "LSTM" else 1)
    assert state[0] is layer.h
    expected = layer.forward(xs)
    layer.set_state(*state)
    close(layer.forward(xs), expected)


def test_state_of_a_layer_of_ones_own():
    class Own:
        h = c = None

    class Alone:
        h = 1

    own = Own()
    assert state_of(own) == ()
    own.h = 3
    assert state_of(own) == (3,)
    own.c = 4
    assert state_of(own) == (3, 4)
    own.h = None
    assert state_of(own) == (None, 4)  # in its place
    assert state_of(Alone()) == (1,)
    assert state_of(object()) == ()


# --- extremes ----------------------------------------------------------------------------------------------


SPREAD = np.concatenate([s * np.geomspace(1e-7, 20, 2000) for s in (1, -1)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gate", ["f", "g", "i", "o"])
def test_gates_of_an_lstm_keep_their_digits_near_0_and_far_from_it(dtype, gate):
    """Relative to what a longer float gives for the same scores: a few units in the last place."""
    z = np.zeros((4, 1, len(SPREAD)), dtype)
    k = "fgio".index(gate)
    z[k] = -SPREAD
    exact = z[k].astype(np.longdouble)
    exact = np.tanh(-exact) if gate == "g" else 1 / (1 + np.exp(exact))
    lstm_step(z, *np.zeros((5, 1, len(SPREAD)), dtype))
    assert np.abs(z[k] / exact - 1).max() < 4 * np.finfo(dtype).eps


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-7, 1e-4, 1e-2])
def test_small_inputs_keep_their_digits_in_float32(kind, size):
    single, precise = make_layer(kind, 3, 4, dtype=np.float32), make_layer(kind, 3, 4)
    for p, s in zip(precise.params, single.params, strict=True):
        s[...] = 0 if p.ndim == 1 else np.abs(s)  # no sum may cancel
        p[...] = s
    xs, dhs = np.full((2, 5, 3), size, np.float32), np.ones((2, 5, 4), np.float32)
    np.testing.assert_allclose(single.forward(xs), precise.forward(xs.astype(float)), rtol=2e-6)
    np.testing.assert_allclose(single.backward(dhs), precise.backward(dhs.astype(float)), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [30.0, 1e3, 1e6])
def test_huge_inputs_saturate_the_gates_and_nothing_more(rng, kind, dtype, size):
    layer = make_layer(kind, 3, 4, dtype=dtype)
    xs = (size * rng.standard_normal((2, 5, 3))).astype(dtype)
    dhs = rng.standard_normal((2, 5, 4)).astype(dtype)
    expected, _, grads, *_ = loop(
        kind, [p.astype(np.float64) for p in layer.params], xs * 1.0, dhs, *np.zeros((2, 2, 4))
    )
    np.testing.assert_allclose(layer.forward(xs), expected, rtol=1e-3, atol=1e-4)
    assert np.isfinite(layer.backward(dhs)).all()
    for got, grad in zip(layer.grads, grads, strict=True):
        np.testing.assert_allclose(got, grad, rtol=2e-3, atol=2e-3 * max(1, np.abs(grad).max()))


def test_long_sequences_stay_exact_in_float32(rng):
    xs = rng.standard_normal((2, 300, 3))
    for kind in KINDS:
        precise = make_layer(kind, 3, 4)
        single = make_layer(kind, 3, 4, dtype=np.float32)
        if kind == "RNN":  # at its weights a chaotic system: halve them
            for p, s in zip(precise.params, single.params, strict=True):
                p *= 0.4
                s *= np.float32(0.4)
        got = single.forward(xs.astype(np.float32))
        np.testing.assert_allclose(got, precise.forward(xs), atol=2e-4)


# --- embedding, affine, loss -------------------------------------------------------------------------------


def test_time_embedding_and_time_affine_equal_a_loop(rng):
    W, A, b = rng.standard_normal((6, 3)), rng.standard_normal((3, 4)), rng.standard_normal(4)
    ids, dout = rng.integers(0, 6, (2, 5)), rng.standard_normal((2, 5, 4))
    embed, affine = TimeEmbedding(W), TimeAffine(A, b)
    out = affine.forward(embed.forward(ids))
    dx = affine.backward(dout)
    embed.backward(dx)
    dW, dA, db = np.zeros_like(W), np.zeros_like(A), np.zeros_like(b)
    for t in range(5):
        one, two = layers.Embedding(W), layers.Affine(A, b)
        close(out[:, t], two.forward(one.forward(ids[:, t])))
        one.backward(two.backward(dout[:, t]))
        dW += one.grads[0]
        dA += two.grads[0]
        db += two.grads[1]
    close(embed.grads[0], dW)
    close(affine.grads[0], dA)
    close(affine.grads[1], db)


def test_time_softmax_with_loss_equals_the_loss_of_all_steps_as_one_batch(rng):
    xs, ts = rng.standard_normal((2, 3, 5)), rng.integers(0, 5, (2, 3))
    layer, flat = TimeSoftmaxWithLoss(), layers.SoftmaxWithLoss()
    assert layer.forward(xs, ts) == pytest.approx(flat.forward(xs.reshape(6, 5), ts.reshape(6)), rel=1e-12)
    close(layer.backward(3), flat.backward(3).reshape(2, 3, 5))
    close(layer.backward(), flat.backward().reshape(2, 3, 5))
    assert layer.forward(xs, np.eye(5)[ts]) == pytest.approx(layer.forward(xs, ts), rel=1e-12)


@pytest.mark.parametrize("ignore_label", [-1, 0, 4, -100])
def test_ignored_steps_count_for_nothing(rng, ignore_label):
    xs, ts = rng.standard_normal((2, 3, 5)), np.array([[1, 2, 3], [3, 1, 2]])
    layer, flat = TimeSoftmaxWithLoss(), layers.SoftmaxWithLoss()
    assert layer.ignore_label == -1
    layer.ignore_label = ignore_label
    left_out = np.array([[False, True, False], [True, True, False]])
    expected = flat.forward(xs[~left_out], ts[~left_out])
    dxs = np.zeros_like(xs)
    dxs[~left_out] = flat.backward(2)
    ts[left_out] = ignore_label
    assert layer.forward(xs, ts) == pytest.approx(expected, rel=1e-12)
    close(layer.backward(2), dxs)


def test_loss_of_the_only_step_that_counts_and_of_ids_in_a_list():
    xs = np.array([[[0.0, np.log(3)], [5, 1], [2, 7]]])
    layer = TimeSoftmaxWithLoss()
    assert layer.forward(xs, [[0, -1, -1]]) == pytest.approx(np.log(4))
    close(layer.backward(), [[[-0.75, 0.75], [0, 0], [0, 0]]])


def test_ignoring_everything_gives_zero():
    layer = TimeSoftmaxWithLoss()
    assert layer.forward(np.ones((2, 3, 4)), np.full((2, 3), -1)) == 0
    np.testing.assert_array_equal(layer.backward(), np.zeros((2, 3, 4)))


def test_time_softmax_with_loss_of_scores_too_large_for_exp():
    layer, xs = TimeSoftmaxWithLoss(), np.array([[[1e5, 0.0], [0.0, 1e5]]])
    assert layer.forward(xs, np.array([[1, 1]])) == 5e4
    np.testing.assert_array_equal(layer.backward(), [[[0.5, -0.5], [0, 0]]])
    xs[0, 1] = 0  # far below the largest score of another step
    assert layer.forward(xs, np.array([[0, 1]])) == pytest.approx(np.log(2) / 2)
    np.testing.assert_array_equal(layer.backward(), [[[0, 0], [0.25, -0.25]]])


def test_square_targets_are_ids_and_not_one_hot(rng):
    """(N, T) targets whose shape looks like something else: N = T = V."""
    xs, ts = rng.standard_normal((3, 3, 3)), np.array([[0, 1, 2], [2, 2, 2], [1, 0, 1]])
    layer = TimeSoftmaxWithLoss()
    assert layer.forward(xs, ts) == pytest.approx(layer.forward(xs, np.eye(3)[ts]), rel=1e-12)


@pytest.mark.parametrize("layer_class", [TimeSoftmaxWithLoss, layers.SoftmaxWithLoss])
def test_the_loss_holds_one_array_of_the_size_of_its_scores_at_a_time(layer_class):
    shape = (4, 50, 2000) if layer_class is TimeSoftmaxWithLoss else (200, 2000)
    xs, ts = np.zeros(shape, np.float32), np.ones(shape[:-1], int)
    layer = layer_class()
    tracemalloc.start()
    try:
        layer.forward(xs, ts)
        dxs = layer.backward()
        once = tracemalloc.get_traced_memory()[1]
        first = dxs[0].copy()
        del dxs
        again = layer.backward()
        twice = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert once < 1.05 * xs.nbytes
    assert twice < 1.3 * xs.nbytes  # with the copy of the first row
    np.testing.assert_array_equal(again[0], first)


def test_the_loss_counts_the_targets_it_averages_over(rng):
    layer, xs = TimeSoftmaxWithLoss(), rng.standard_normal((2, 3, 5))
    assert layer.count == 0
    for ts, count in (([[1, 2, 3], [0, 0, 4]], 6), ([[1, -1, -1], [-1, 0, -1]], 2), ([[-1] * 3] * 2, 0)):
        layer.forward(xs, ts)
        assert layer.count == count
        layer.backward()
        assert layer.count == count
    layer.forward(xs, np.eye(5)[[[1, 2, 3], [0, 0, 4]]])
    assert layer.count == 6


def test_two_copies_of_a_loss_do_not_share_what_backward_changes(rng):
    layer, xs, ts = TimeSoftmaxWithLoss(), rng.standard_normal((2, 3, 5)), rng.integers(0, 5, (2, 3))
    layer.forward(xs, ts)
    other = copy.copy(layer)
    first = layer.backward()
    kept = first.copy()
    np.testing.assert_array_equal(other.backward(), kept)
    np.testing.assert_array_equal(first, kept)


def smoothed_loss(xs, ts, e, ignored=-1):
    """The definition, with all targets as distributions (N, T, V)."""
    V = xs.shape[2]
    log_p = xs - np.log(np.exp(xs).sum(axis=2, keepdims=True))
    target = (1 - e) * np.eye(V)[np.where(ts == ignored, 0, ts)] + e / V
    return -(target * log_p).sum(axis=2)[ts != ignored].mean()


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("e", [0.0, 0.1, 0.9])
def test_label_smoothing_is_the_cross_entropy_against_a_smoothed_target(rng, e, in_place):
    xs, ts = rng.standard_normal((2, 3, 5)), np.array([[1, 2, -1], [-1, 0, 4]])
    layer = TimeSoftmaxWithLoss(label_smoothing=e)
    own = xs.copy()
    assert layer.forward(own, ts, out=own if in_place else None) == pytest.approx(smoothed_loss(xs, ts, e), rel=1e-12)
    dxs = layer.backward(3).copy()
    for place in np.ndindex(xs.shape):
        step = np.zeros_like(xs)
        step[place] = 1e-5
        slope = (smoothed_loss(xs + step, ts, e) - smoothed_loss(xs - step, ts, e)) / 2e-5
        assert dxs[place] == pytest.approx(3 * slope, abs=1e-9)
    close(layer.backward(), dxs / 3)
    assert not dxs[ts == -1].any()


def test_label_smoothing_is_for_training_only(rng):
    xs, ts = rng.standard_normal((2, 3, 5)), rng.integers(0, 5, (2, 3))
    layer, plain = TimeSoftmaxWithLoss(label_smoothing=0.2), TimeSoftmaxWithLoss()
    assert layer.forward(xs, ts) != pytest.approx(plain.forward(xs, ts))
    layer.train_flg = False
    assert layer.forward(xs, ts) == plain.forward(xs, ts)
    layer.train_flg = True  # backward belongs to the forward call, whatever was set since
    np.testing.assert_array_equal(layer.backward(), plain.backward())


@pytest.mark.parametrize("layer_class", [TimeSoftmaxWithLoss, layers.SoftmaxWithLoss])
@pytest.mark.parametrize("e", [-0.1, 1.0])
def test_label_smoothing_out_of_range(layer_class, e):
    with pytest.raises(ValueError, match=rf"{layer_class.__name__}: label_smoothing must be in \[0, 1\), got {e}"):
        layer_class(e)


@pytest.mark.parametrize("e", [0.0, 0.1])
def test_the_loss_works_in_the_array_of_its_scores(rng, e):
    xs, ts = rng.standard_normal((2, 3, 5)), np.array([[1, 2, -1], [3, 0, 4]])
    plain, layer = (TimeSoftmaxWithLoss(e) for _ in range(2))
    loss, own, other = plain.forward(xs, ts), xs.copy(), np.empty_like(xs)
    for out in (own, other):
        assert layer.forward(own if out is own else xs, ts, out=out) == loss
        dxs = layer.backward(2)
        assert dxs is out
        np.testing.assert_array_equal(dxs, plain.backward(2))
        assert layer.backward(2) is out, "the same answer, and no second array"
        np.testing.assert_array_equal(dxs, plain.backward(2))
        close(layer.backward(0.5), plain.backward(0.5))
        np.testing.assert_array_equal(dxs, plain.backward(2))


def test_the_gradient_of_nothing_leaves_nothing_to_scale(rng):
    xs, ts = rng.standard_normal((2, 3, 5)), rng.integers(0, 5, (2, 3))
    layer = TimeSoftmaxWithLoss()
    layer.forward(xs, ts, out=xs)
    assert not layer.backward(0).any()
    assert not layer.backward(0).any()
    with pytest.raises(RuntimeError, match=r"TimeSoftmaxWithLoss.backward: the call before, with dout = 0, left"):
        layer.backward()


@pytest.mark.parametrize(
    "out", [np.empty((2, 3, 4)), np.empty((2, 3, 5), int), np.empty((2, 3, 10))[:, :, ::2], np.empty((2, 5, 3)).mT]
)
def test_an_array_that_the_loss_cannot_work_in(out):
    with pytest.raises(ValueError, match=r"out must be a floating array \(2, 3, 5\), contiguous in memory, got"):
        TimeSoftmaxWithLoss().forward(np.ones((2, 3, 5)), np.ones((2, 3), int), out=out)


@pytest.mark.parametrize("e", [0.0, 0.1])
def test_in_place_the_loss_makes_nothing_of_the_size_of_its_scores(e):
    xs, ts = np.zeros((4, 50, 2000), np.float32), np.ones((4, 50), int)
    layer = TimeSoftmaxWithLoss(e)
    tracemalloc.start()
    try:
        layer.forward(xs, ts, out=xs)
        layer.backward()
        layer.backward()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.05 * xs.nbytes


def test_an_ignored_step_may_hold_anything():
    xs = np.array([[[0.0, np.log(3)], [np.nan, 1], [np.nan, np.nan]]])
    layer = TimeSoftmaxWithLoss()
    assert layer.forward(xs, [[0, -1, -1]]) == pytest.approx(np.log(4))
    close(layer.backward(), [[[-0.75, 0.75], [0, 0], [0, 0]]])


def test_scores_of_any_memory_order_and_of_whole_numbers(rng):
    xs, ts = rng.integers(-4, 5, (2, 3, 5)), rng.integers(0, 5, (2, 3))
    layer = TimeSoftmaxWithLoss()
    expected, dxs = layer.forward(xs.astype(float), ts), layer.backward()
    for same in (xs, np.asfortranarray(xs.astype(float)), xs.astype(float)[::-1].copy()[::-1]):
        assert layer.forward(same, ts) == pytest.approx(expected, rel=1e-14)
        close(layer.backward(), dxs)
        close(layer.backward(), dxs)


# --- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 3), (2, 5, 4), (0, 5, 3), (2, 0, 3), (2, 5, 3, 1)])
def test_inputs_of_the_wrong_shape(kind, shape):
    name = KINDS[kind][1].__name__
    with pytest.raises(ValueError, match=rf"{name}: xs is \({str(shape)[1:-1]}\), but it must be \(N, T, 3\)"):
        make_layer(kind, 3, 4).forward(np.ones(shape))


@pytest.mark.parametrize("kind", KINDS)
def test_steps_name_shapes_that_do_not_fit(kind):
    cell_class = KINDS[kind][0]
    cell, name = cell_class(*make_params(kind, 3, 4)), cell_class.__name__
    h = np.ones((2, 4))
    states = (h, h) if kind == "LSTM" else (h,)
    for shape in ((2, 4), (3,), (2, 1, 3)):
        with pytest.raises(ValueError, match=rf"{name}: x is \({str(shape)[1:-1]}\), but it must be \(N, 3\)"):
            cell.forward(np.ones(shape), *states)
    for k, what in enumerate(("h_prev", "c_prev")[: len(states)]):
        for shape in ((1, 4), (2, 3), (4,)):
            wrong = (*states[:k], np.ones(shape), *states[k + 1 :])
            message = rf"{name}: {what} is \({str(shape)[1:-1]}\), but for x \(2, 3\) it must be \(2, 4\)"
            with pytest.raises(ValueError, match=message):
                cell.forward(np.ones((2, 3)), *wrong)
    cell.forward(np.ones((2, 3)), *states)
    with pytest.raises(ValueError, match=rf"{name}: dh is \(1, 4\), but forward returned \(2, 4\)"):
        cell.backward(h[:1], *states[1:])
    if kind == "LSTM":
        with pytest.raises(ValueError, match=r"LSTM: dc is \(1, 4\), but forward returned \(2, 4\)"):
            cell.backward(h, h[:1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 1, 4), (1, 5, 4), (5, 2, 4)])
def test_gradients_of_the_wrong_shape(kind, shape):
    layer = make_layer(kind, 3, 4)
    layer.forward(np.ones((2, 5, 3)))
    name = KINDS[kind][1].__name__
    message = rf"{name}: dhs is \({str(shape)[1:-1]}\), but forward returned \(2, 5, 4\)"
    with pytest.raises(ValueError, match=message):
        layer.backward(np.ones(shape))


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_another_batch_size(kind):
    layer = make_layer(kind, 3, 4, stateful=True)
    layer.forward(np.ones((2, 5, 3)))
    message = r"the state h is \(2, 4\), but this batch needs \(3, 4\); call reset_state\(\)"
    with pytest.raises(ValueError, match=message):
        layer.forward(np.ones((3, 5, 3)))
    layer.reset_state()
    assert layer.forward(np.ones((3, 5, 3))).shape == (3, 5, 4)


def test_a_c_of_another_size():
    layer = make_layer("LSTM", 3, 4, stateful=True)
    layer.set_state(np.ones((2, 4)), np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"TimeLSTM: the state c is \(2, 1\), but this batch needs \(2, 4\)"):
        layer.forward(np.ones((2, 5, 3)))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_do_not_fit_together(kind):
    _, layer_class, gates, _ = KINDS[kind]
    Wx, Wh, b, *bh = make_params(kind, 3, 4)
    name, columns = layer_class.__name__, gates * 4
    with pytest.raises(ValueError, match=rf"{name}: Wx is \(3, {columns - 1}\), but with H = 4 .* \(3, {columns}\)"):
        layer_class(Wx[:, 1:], Wh, b)
    with pytest.raises(ValueError, match=rf"{name}: Wh is \(4, {columns + 1}\), but with H = 4 .* \(4, {columns}\)"):
        layer_class(Wx, np.ones((4, columns + 1)), b)
    with pytest.raises(ValueError, match=rf"{name}: b is \(1,\), but with H = 4 .* \({columns},\)"):
        layer_class(Wx, Wh, b[:1])
    if bh:
        with pytest.raises(ValueError, match=rf"{name}: bh is \(1,\)"):
            layer_class(Wx, Wh, b, bh=bh[0][:1])


def test_targets_that_do_not_fit():
    layer, xs = TimeSoftmaxWithLoss(), np.ones((2, 3, 4))
    with pytest.raises(ValueError, match=r"xs must be \(N, T, V\), got \(2, 4\)"):
        layer.forward(np.ones((2, 4)), np.zeros(2, int))
    for shape in ((3, 2), (2, 4), (6,), (2, 3, 3)):
        with pytest.raises(ValueError, match=rf"ts must be \(2, 3\) or one-hot, got \({str(shape)[1:-1]}\)"):
            layer.forward(xs, np.zeros(shape, int))
    for none in ((0, 3, 4), (2, 0, 4), (2, 3, 0)):
        for shape in (none[:2], none):
            with pytest.raises(ValueError, match=rf"there are no scores in an array of shape \({str(none)[1:-1]}\)"):
                layer.forward(np.ones(none), np.zeros(shape, int))
    with pytest.raises(TypeError, match=r"targets are integer ids or one-hot, got \(2, 3\) of float64"):
        layer.forward(xs, np.full((2, 3), np.nan))
    for bad in (-2, 4):
        with pytest.raises(ValueError, match=f"target id {bad} is outside the 4 classes"):
            layer.forward(xs, np.array([[0, 1, 3], [3, bad, 0]]))


# --- what readers rely on ----------------------------------------------------------------------------------


def test_star_import_brings_what_the_book_brings():
    names = {}
    exec("from common.time_layers import *", names)
    for name in (
        "np GPU sigmoid softmax RNN TimeRNN LSTM TimeLSTM GRU TimeGRU TimeEmbedding TimeAffine TimeSoftmaxWithLoss "
        "TimeDropout TimeBiLSTM Affine Embedding MatMul Dropout SoftmaxWithLoss"
    ).split():
        assert name in names
    assert "Workspace" not in names
    assert all(hasattr(time_layers, name) for name in time_layers.__all__)


def test_the_names_of_the_book_are_those_of_their_modules():
    for module in (steps, recurrent):
        for name in vars(module).keys() & set(time_layers.__all__):
            assert getattr(time_layers, name) is getattr(module, name)


def test_all_recurrent_layers_keep_what_backward_needs_in_cache():
    for kind in KINDS:
        layer = make_layer(kind, 3, 4)
        assert layer.cache is None
        layer.forward(np.ones((2, 5, 3)))
        assert layer.cache is not None


# --- workspace ---------------------------------------------------------------------------------------------


def test_workspace_hands_out_the_same_memory_again():
    space = Workspace()
    a = space.array("a", (4, 5), np.float64)
    assert a.shape == (4, 5)
    assert a.flags.c_contiguous
    smaller = space.array("a", (2, 3), np.float64)
    assert smaller.shape == (2, 3)
    assert smaller.flags.c_contiguous
    assert np.shares_memory(a, smaller)
    assert np.shares_memory(a, space.array("a", (5, 4), np.float64))


def test_workspace_grows_and_keeps_names_and_dtypes_apart():
    space = Workspace()
    a = space.array("a", (4, 5), np.float64)
    assert not np.shares_memory(a, space.array("b", (4, 5), np.float64))
    larger = space.array("a", (7, 7), np.float64)
    assert larger.shape == (7, 7)
    assert not np.shares_memory(a, larger)
    assert space.array("a", (2,), np.float32).dtype == np.float32
    assert not np.shares_memory(Workspace().array("a", (2,), np.float64), space.array("a", (2,), np.float64))


@pytest.mark.parametrize("kind", KINDS)
def test_a_time_layer_maps_no_new_memory_for_its_buffers_after_the_first_call(kind):
    layer, xs, dhs = make_layer(kind, 3, 4), np.ones((2, 5, 3)), np.ones((2, 5, 4))
    layer.forward(xs)
    layer.backward(dhs)
    blocks = {name: id(block) for name, block in layer._workspace._blocks.items()}
    assert len(blocks) > 4
    layer.forward(xs)
    layer.backward(dhs)
    layer.forward(xs[:1, :2])
    layer.backward(dhs[:1, :2])
    assert {name: id(block) for name, block in layer._workspace._blocks.items()} == blocks
