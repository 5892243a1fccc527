"""MultiHeadAttention beside loops and beside the layers it grew from; what masks hide; steps; memory; positions."""

import math
import tracemalloc

import numpy as np
import pytest

from ch08.attention_layer import AttentionWeight, TimeAttention, WeightSum
from ch08.multi_head_attention import (
    LearnedPositions,
    MultiHeadAttention,
    ScaledDotAttention,
    SinusoidalPositions,
    sinusoidal_positions,
)
from ch08.score_layers import DotScore
from common.gradient_check import gradient_check

D = 6
MASK = np.array([[True, True, False, True], [False, True, False, False], [True, True, True, True]])


def make(heads=2, seed=1, D=D, **options):
    """A layer with weights that make sharp choices, and biases that are not 0."""
    layer = MultiHeadAttention(D, heads, dtype=np.float64, rng=seed, **options)
    rng = np.random.default_rng(seed)
    for p in layer.params:
        p[...] = 0.7 * rng.standard_normal(p.shape)
    return layer


def by_loops(layer, heads, hs, h, mask=None, causal=False):
    """Return output and weights, from the formula: one row, one head, one query, one key at a time."""
    Wq, bq, Wkv, bkv, Wo, bo = layer.params
    (N, T, D), T_dec = hs.shape, h.shape[1]
    K = D // heads
    weights, found = np.zeros((N, heads, T_dec, T)), np.zeros((N, T_dec, D))
    for n in range(N):
        for m in range(heads):
            columns = slice(m * K, (m + 1) * K)
            for i in range(T_dec):
                q = (h[n, i] @ Wq + bq)[columns]
                keys = [t for t in range(T) if (mask is None or mask[n, t]) and (not causal or t <= i)]
                scores = [q @ (hs[n, t] @ Wkv + bkv)[:D][columns] / math.sqrt(K) for t in keys]
                total = sum(math.exp(s) for s in scores)
                for t, s in zip(keys, scores, strict=True):
                    weights[n, m, i, t] = math.exp(s) / total
                    found[n, i, columns] += weights[n, m, i, t] * (hs[n, t] @ Wkv + bkv)[D:][columns]
    return found @ Wo + bo, weights


# --- what it computes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", [1, 2, 3, 6])
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_formula(rng, heads, masked):
    layer, causal = make(heads), make(heads, causal=True)
    hs, h = rng.standard_normal((3, 4, D)), rng.standard_normal((3, 5, D))
    mask = MASK.copy() if masked else None
    out, weights = by_loops(layer, heads, hs, h, mask)
    np.testing.assert_allclose(layer.forward(hs, h, mask), out, rtol=1e-12)
    np.testing.assert_allclose(layer.weights, weights, rtol=1e-12)
    out, weights = by_loops(layer, heads, hs, hs, mask)
    np.testing.assert_allclose(layer.forward(hs, mask=mask), out, rtol=1e-12)
    np.testing.assert_allclose(layer.weights, weights, rtol=1e-12)
    mask = MASK[[0, 2, 0]] if masked else None
    out, weights = by_loops(causal, heads, hs, hs, mask, causal=True)
    np.testing.assert_allclose(causal.forward(hs, mask=mask), out, rtol=1e-12)
    np.testing.assert_allclose(causal.weights, weights, rtol=1e-12)


def test_with_one_head_it_is_time_attention_with_projections(rng):
    """TimeAttention has no projections, and its values are its keys."""
    layer, attention = make(1), TimeAttention(DotScore(1 / math.sqrt(D)))
    W, b = layer.key_value.params
    W[:, D:], b[D:] = W[:, :D], b[:D]
    hs, h, mask = rng.standard_normal((3, 4, D)), rng.standard_normal((3, 5, D)), MASK
    q = h @ layer.query.params[0] + layer.query.params[1]
    states = hs @ W[:, :D] + b[:D]
    Wo, bo = layer.output.params
    out = attention.forward(states, q, mask) @ Wo + bo
    np.testing.assert_allclose(layer.forward(hs, h, mask), out, rtol=1e-12)
    np.testing.assert_allclose(layer.weights[:, 0], attention.weights, rtol=1e-12)
    dout = rng.standard_normal(out.shape)
    dhs, dh = layer.backward(dout)
    dstates, dq = attention.backward(dout @ Wo.T)
    np.testing.assert_allclose(dhs, dstates @ W[:, :D].T, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(dh, dq @ layer.query.params[0].T, rtol=1e-10, atol=1e-13)


def test_heads_are_attentions_side_by_side(rng):
    layer, heads = ScaledDotAttention(3), 3
    q, kv, dc = (rng.standard_normal(shape) for shape in ((3, 5, D), (3, 4, 2 * D), (3, 5, D)))
    c = layer.forward(q, kv, MASK)
    dq, dkv = layer.backward(dc)
    K = D // heads
    for m in range(heads):
        columns, values = slice(m * K, (m + 1) * K), slice(D + m * K, D + (m + 1) * K)
        weight, weight_sum = AttentionWeight(DotScore(K**-0.5)), WeightSum()
        a = weight.forward(kv[..., columns], q[..., columns], MASK)
        np.testing.assert_allclose(c[..., columns], weight_sum.forward(kv[..., values], a), rtol=1e-12)
        np.testing.assert_allclose(layer.weights[:, m], a, rtol=1e-12)
        dv, da = weight_sum.backward(dc[..., columns])
        dk, dq_head = weight.backward(da)
        for got, expected in ((dkv[..., values], dv), (dkv[..., columns], dk), (dq[..., columns], dq_head)):
            np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("scores", [1, 9, 100, 10**6])
def test_blocks_of_any_size_compute_the_same(rng, monkeypatch, scores):
    hs, h, dout = (rng.standard_normal((3, n, D)) for n in (4, 5, 5))
    layer, other = make(3), make(3)
    expected = layer.forward(hs, h, MASK), *layer.backward(dout), layer.weights, *layer.grads
    monkeypatch.setattr(ScaledDotAttention, "scores_in_cache", scores)
    got = other.forward(hs, h, MASK), *other.backward(dout), other.weights, *other.grads
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-12, atol=1e-14)


# --- gradients -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("n", "t"), [(2, 4), (1, 1), (3, 2)])
def test_every_gradient_of_self_attention(rng, heads, causal, n, t):
    layer = make(heads, causal=causal)
    hs, mask = rng.standard_normal((n, t, D)), np.ones((n, t), bool)
    gradient_check(layer, hs)
    mask[0, 1:] = False
    gradient_check(layer, hs, None, mask)


@pytest.mark.parametrize("heads", [1, 2, 3])
@pytest.mark.parametrize(("n", "t", "t_dec"), [(3, 4, 3), (1, 1, 2), (2, 3, 1)])
def test_every_gradient_of_cross_attention(rng, heads, n, t, t_dec):
    layer = make(heads)
    hs, h = rng.standard_normal((n, t, D)), rng.standard_normal((n, t_dec, D))
    gradient_check(layer, hs, h)
    gradient_check(layer, hs, h, MASK[:n, :t] | ~MASK[:n, :t].any(axis=1, keepdims=True))


def test_every_gradient_with_one_number_for_each_head(rng):
    gradient_check(make(1, D=1), rng.standard_normal((2, 3, 1)))
    gradient_check(make(4, D=4), rng.standard_normal((1, 3, 4)), rng.standard_normal((1, 2, 4)))


def test_with_the_same_queries_and_states_both_kinds_are_one(rng):
    layer, other = make(2), make(2)
    hs, dout = rng.standard_normal((2, 3, D)), rng.standard_normal((2, 3, D))
    np.testing.assert_allclose(layer.forward(hs), other.forward(hs, hs), rtol=1e-12)
    np.testing.assert_allclose(layer.backward(dout), sum(other.backward(dout)), rtol=1e-12)


# --- properties ------------------------------------------------------------------------------------------------


def test_permuting_the_inputs_permutes_the_outputs(rng):
    layer, order = make(3), np.array([2, 0, 3, 1])
    hs = rng.standard_normal((3, 4, D))
    out = layer.forward(hs)
    weights = layer.weights
    np.testing.assert_allclose(layer.forward(hs[:, order]), out[:, order], rtol=1e-12)
    np.testing.assert_allclose(layer.weights, weights[:, :, order][..., order], rtol=1e-12)


def test_the_order_of_keys_makes_no_difference_to_other_queries(rng):
    layer, order = make(3), np.array([2, 0, 3, 1])
    hs, h = rng.standard_normal((3, 4, D)), rng.standard_normal((3, 5, D))
    out = layer.forward(hs, h, MASK)
    np.testing.assert_allclose(layer.forward(hs[:, order], h, MASK[:, order]), out, rtol=1e-12)


def test_the_future_changes_nothing(rng):
    layer = make(3, causal=True)
    hs = rng.standard_normal((2, 5, D))
    out = layer.forward(hs)
    assert (np.triu(layer.weights, 1) == 0).all()
    assert (layer.weights[:, :, np.arange(5), np.arange(5)] > 0).all(), "a word sees itself"
    for t in range(4):
        later = hs.copy()
        later[:, t + 1 :] = 1e3
        np.testing.assert_array_equal(layer.forward(later)[:, : t + 1], out[:, : t + 1])
    dout = np.zeros_like(hs)
    dout[:, 2] = rng.standard_normal((2, D))
    layer.forward(hs)
    dhs = layer.backward(dout)
    np.testing.assert_array_equal(dhs[:, 3:], 0)
    assert (dhs[:, :3] != 0).all()


def test_padding_changes_nothing(rng):
    layer = make(3)
    hs, h = rng.standard_normal((3, 4, D)), rng.standard_normal((3, 5, D))
    out = layer.forward(hs, h, MASK)
    np.testing.assert_array_equal(layer.weights[np.broadcast_to(~MASK[:, None, None], layer.weights.shape)], 0)
    np.testing.assert_allclose(layer.weights.sum(axis=3), 1)
    other = np.where(MASK[..., None], hs, 1e3)
    np.testing.assert_array_equal(layer.forward(other, h, MASK), out)
    dhs, _ = layer.backward(rng.standard_normal(out.shape))
    np.testing.assert_array_equal(dhs[~MASK], 0)
    assert (dhs[MASK] != 0).all()
    for n in range(3):
        alone = layer.forward(hs[n : n + 1, MASK[n]], h[n : n + 1])
        np.testing.assert_allclose(alone, out[n : n + 1], rtol=1e-12)


def test_scores_of_any_size(rng):
    layer = make(2)
    out = layer.forward(1e4 * rng.standard_normal((2, 3, D)))
    assert np.isfinite(out).all()
    assert np.isfinite(layer.backward(np.ones_like(out))).all()


def test_float32_stays_float32(rng):
    layer = MultiHeadAttention(8, 2, rng=0)
    hs = rng.standard_normal((2, 3, 8)).astype(np.float32)
    out = layer.forward(hs, mask=np.array([[True, True, False]] * 2))
    arrays = [out, layer.weights, layer.backward(out), *layer.grads, layer.key_value.forward(hs)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


def test_first_weights_follow_the_generator():
    one, two = (MultiHeadAttention(64, 4, rng=np.random.default_rng(3)) for _ in range(2))
    for p, q in zip(one.params, two.params, strict=True):
        np.testing.assert_array_equal(p, q)
    assert one.param_names == ["query.W", "query.b", "key_value.W", "key_value.b", "output.W", "output.b"]
    assert [p.shape for p in one.params] == [(64, 64), (64,), (64, 128), (128,), (64, 64), (64,)]
    for name, p in zip(one.param_names, one.params, strict=True):
        assert p.std() == pytest.approx(0 if name.endswith("b") else 1 / 8, rel=0.05)


# --- steps and memory ------------------------------------------------------------------------------------------


def test_steps_are_the_forward_pass_one_at_a_time(rng):
    layer = make(3, causal=True)
    x = rng.standard_normal((2, 5, D))
    out = layer.forward(x)
    weights, kv = layer.weights, np.empty((2, 0, 2 * D))
    for t in range(5):
        before = kv.copy()
        got, grown = layer.step(x[:, t : t + 1], kv)
        np.testing.assert_allclose(got, out[:, t : t + 1], rtol=1e-12)
        np.testing.assert_allclose(layer.weights, weights[:, :, t : t + 1, : t + 1], rtol=1e-12)
        assert grown.shape == (2, t + 1, 2 * D)
        assert not np.shares_memory(grown, kv)
        np.testing.assert_array_equal(kv, before)
        kv = grown


def test_causal_queries_are_the_last_ones(rng):
    layer, kv = ScaledDotAttention(2, causal=True), rng.standard_normal((2, 5, 2 * D))
    q = rng.standard_normal((2, 5, D))
    whole = layer.forward(q, kv)
    for count in range(1, 6):
        np.testing.assert_allclose(layer.forward(q[:, -count:], kv), whole[:, -count:], rtol=1e-12)


def test_keys_and_values_that_are_known_can_be_asked(rng):
    layer = make(3)
    hs, h = rng.standard_normal((3, 4, D)), rng.standard_normal((3, 2, D))
    out = layer.forward(hs, h, MASK)
    kv = layer.key_value.forward(hs)
    for t in range(2):
        np.testing.assert_allclose(layer.ask(h[:, t : t + 1], kv, MASK), out[:, t : t + 1], rtol=1e-12)


def test_the_weights_are_the_one_array_of_their_size(rng):
    T = 512
    layer = MultiHeadAttention(16, 4, rng=0)
    x = rng.standard_normal((4, T, 16)).astype(np.float32)
    layer.backward(layer.forward(x))
    layer.attention.weights = layer.attention.cache = None
    tracemalloc.start()
    try:
        layer.backward(layer.forward(x))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    weights = 4 * 4 * T * T * 4
    assert weights < peak < 1.3 * weights


# --- errors ----------------------------------------------------------------------------------------------------


def test_sizes_that_do_not_divide():
    with pytest.raises(ValueError, match="wordvec_size 10 must be a multiple of heads, 4"):
        MultiHeadAttention(10, 4)
    with pytest.raises(ValueError, match="wordvec_size 10 must be a multiple of heads, 0"):
        MultiHeadAttention(10, 0)


@pytest.mark.parametrize(
    ("hs", "h"),
    [((2, 3, 5), None), ((2, 6), None), ((2, 3, D), (3, 3, D)), ((2, 3, D), (2, D)), ((2, 0, D), None)],
)
def test_shapes_that_do_not_fit(hs, h):
    with pytest.raises(ValueError, match=r"hs must be \(N, T, 6\) and h \(N, T_dec, 6\).*got \("):
        make().forward(np.ones(hs), None if h is None else np.ones(h))


def test_a_query_with_nothing_to_attend_to():
    mask = np.array([[True, False], [False, False]])
    with pytest.raises(ValueError, match="mask: row 1 is all padding, so there is nothing to attend to"):
        make().forward(np.ones((2, 2, D)), mask=mask)
    with pytest.raises(ValueError, match="row 1 begins with padding, so its first query has nothing to attend to"):
        make(causal=True).forward(np.ones((2, 2, D)), mask=np.array([[True, False], [False, True]]))
    with pytest.raises(ValueError, match="mask must be bool"):
        make().forward(np.ones((2, 2, D)), mask=np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="3 queries cannot be the last ones of 2 keys"):
        make(causal=True).forward(np.ones((2, 2, D)), np.ones((2, 3, D)))


def test_backward_needs_forward():
    with pytest.raises(RuntimeError, match="backward: call forward first"):
        make().backward(np.ones((2, 3, D)))
    with pytest.raises(RuntimeError, match=r"ScaledDotAttention\.backward: call forward first"):
        ScaledDotAttention(2).backward(np.ones((2, 3, D)))
    layer = make()
    layer.forward(np.ones((2, 3, D)))
    with pytest.raises(ValueError, match=r"dout is .* but forward returned"):
        layer.backward(np.ones((1, 3, D)))


# --- positions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("D", [1, 2, 5, 8])
def test_sinusoids_are_the_formula(D):
    got = sinusoidal_positions(7, D)
    assert got.shape == (7, D)
    for t in range(7):
        for j in range(D):
            angle = t / 10000 ** (2 * (j // 2) / D)
            assert got[t, j] == pytest.approx(math.cos(angle) if j % 2 else math.sin(angle), abs=1e-15)
    np.testing.assert_array_equal(sinusoidal_positions(3, D, 4), got[4:])


def test_a_shift_turns_every_pair_of_columns_by_an_angle():
    P, shift = sinusoidal_positions(50, 8), 7
    for i in range(4):
        angle = shift / 10000 ** (2 * i / 8)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        pair = P[:, 2 * i : 2 * i + 2]
        np.testing.assert_allclose(pair[:-shift] @ turn, pair[shift:], atol=1e-12)


def test_every_gradient_of_positions(rng):
    x = rng.standard_normal((2, 3, 4))
    gradient_check(SinusoidalPositions(), x)
    gradient_check(LearnedPositions(rng.standard_normal((6, 4))), x)
    layer = LearnedPositions(rng.standard_normal((6, 4)))
    gradient_check(layer, x, 2)
    np.testing.assert_array_equal(layer.grads[0][[0, 1, 5]], 0)


def test_positions_of_a_step_are_those_of_the_whole(rng):
    x = rng.standard_normal((2, 5, 4))
    for layer in (SinusoidalPositions(), LearnedPositions(rng.standard_normal((6, 4)))):
        whole = layer.forward(x)
        assert (whole != x).any()
        for t in range(5):
            np.testing.assert_array_equal(layer.forward(x[:, t : t + 1], t), whole[:, t : t + 1])


def test_more_steps_than_positions():
    layer = LearnedPositions(np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"there are 4 positions of size 3, which do not fit x \(2, 5, 3\) from"):
        layer.forward(np.ones((2, 5, 3)))
    with pytest.raises(ValueError, match="from position 4 on"):
        layer.forward(np.ones((2, 1, 3)), 4)
    with pytest.raises(ValueError, match="which do not fit x"):
        layer.forward(np.ones((2, 4, 2)))
