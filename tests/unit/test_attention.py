"""Attention: equal to the plain version with repeat and sum, values by hand, masks, errors, memory."""

import tracemalloc

import numpy as np
import pytest

from ch08.attention_layer import Attention, AttentionWeight, TimeAttention, WeightSum
from common.functions import softmax

SIZES = [(2, 4, 3, 5), (1, 3, 2, 4), (3, 1, 4, 2), (2, 5, 1, 3), (3, 2, 4, 1), (1, 1, 1, 1)]


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


def plain_weight_sum(hs, a, dc):
    """The book's way for one query: a repeated H times, multiplied, summed. Return c, dhs, da."""
    N, T, H = hs.shape
    ar = a.reshape(N, T, 1).repeat(H, axis=2)  # (N, T, H)
    c = (hs * ar).sum(axis=1)
    dt = dc.reshape(N, 1, H).repeat(T, axis=1)
    return c, dt * ar, (dt * hs).sum(axis=2)


def plain_attention_weight(hs, h, da, mask=None):
    """The book's way for one query: h repeated T times, multiplied, summed, softmax. Return a, dhs, dh."""
    N, T, H = hs.shape
    hr = h.reshape(N, 1, H).repeat(T, axis=1)  # (N, T, H)
    s = (hs * hr).sum(axis=2)
    if mask is not None:
        s = np.where(mask, s, -np.inf)
    a = softmax(s)
    ds = np.zeros_like(s)
    for n in range(N):
        jacobian = np.diag(a[n]) - np.outer(a[n], a[n])
        ds[n] = jacobian @ da[n]
    dt = ds.reshape(N, T, 1).repeat(H, axis=2)
    return a, dt * hr, (dt * hs).sum(axis=1)


def plain_attention(hs, h, dc, mask=None):
    """Return a, c, dhs, dh."""
    a = plain_attention_weight(hs, h, np.zeros(hs.shape[:2]), mask)[0]
    c, dhs, da = plain_weight_sum(hs, a, dc)
    _, dhs1, dh = plain_attention_weight(hs, h, da, mask)
    return a, c, dhs + dhs1, dh


def some_mask(rng, N, T):
    mask = rng.uniform(size=(N, T)) < 0.6
    mask[:, T // 2] = True
    return mask


@pytest.mark.parametrize(("N", "T", "_", "H"), SIZES)
def test_weight_sum_equals_repeat_and_sum(rng, N, T, _, H):
    hs, a, dc = rng.standard_normal((N, T, H)), rng.standard_normal((N, T)), rng.standard_normal((N, H))
    layer = WeightSum()
    c, dhs, da = plain_weight_sum(hs, a, dc)
    close(layer.forward(hs, a), c)
    got = layer.backward(dc)
    close(got[0], dhs)
    close(got[1], da)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("N", "T", "_", "H"), SIZES)
def test_attention_weight_equals_repeat_and_sum(rng, masked, N, T, _, H):
    hs, h, da = rng.standard_normal((N, T, H)), rng.standard_normal((N, H)), rng.standard_normal((N, T))
    mask = some_mask(rng, N, T) if masked else None
    layer = AttentionWeight()
    a, dhs, dh = plain_attention_weight(hs, h, da, mask)
    close(layer.forward(hs, h, mask), a)
    got = layer.backward(da)
    close(got[0], dhs)
    close(got[1], dh)


@pytest.mark.parametrize("rows_at_a_time", [0, 1, 2, 100])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("N", "T_enc", "T_dec", "H"), SIZES)
def test_time_attention_equals_a_loop_over_decoder_steps(rng, rows_at_a_time, masked, N, T_enc, T_dec, H):
    hs_enc, hs_dec, dout = (rng.standard_normal((N, T, H)) for T in (T_enc, T_dec, T_dec))
    mask = some_mask(rng, N, T_enc) if masked else None
    layer, single = TimeAttention(), Attention()
    layer.scores_in_cache = rows_at_a_time * T_enc * T_dec
    out = layer.forward(hs_enc, hs_dec, mask)
    assert len(layer.parts) == -(-N // max(rows_at_a_time, 1))
    dhs_enc, dhs_dec = layer.backward(dout)
    total = np.zeros_like(hs_enc)
    for t in range(T_dec):
        a, c, dhs, dh = plain_attention(hs_enc, hs_dec[:, t], dout[:, t], mask)
        close(out[:, t], c)
        close(layer.attention_weights[t], a)
        close(layer.weights[:, t], a)
        close(dhs_dec[:, t], dh)
        total += dhs
        close(single.forward(hs_enc, hs_dec[:, t], mask), c)
        close(single.attention_weight, a)
        for got, expected in zip(single.backward(dout[:, t]), (dhs, dh), strict=True):
            close(got, expected)
    close(dhs_enc, total)


# --- by hand -----------------------------------------------------------------------------------------------


def test_attention_by_hand():
    hs = np.array([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    h = np.array([[np.log(2), np.log(3)]])  # scores log 2, log 3, log 6
    layer = Attention()
    close(layer.forward(hs, h), [[(2 + 6) / 11, (3 + 6) / 11]])
    close(layer.attention_weight, [[2 / 11, 3 / 11, 6 / 11]])
    close(layer.forward(hs, h, np.array([[True, True, False]])), [[0.4, 0.6]])
    np.testing.assert_array_equal(layer.attention_weight[0, 2], 0)


def test_weight_sum_by_hand():
    layer, hs = WeightSum(), np.array([[[1.0, 2.0], [3.0, 4.0]]])
    close(layer.forward(hs, np.array([[0.25, 0.75]])), [[2.5, 3.5]])
    dhs, da = layer.backward(np.array([[1.0, 10.0]]))
    close(dhs, [[[0.25, 2.5], [0.75, 7.5]]])
    close(da, [[21, 43]])


# --- masks -------------------------------------------------------------------------------------------------


def test_padding_gets_the_weight_zero_exactly_whatever_stands_there(rng):
    hs, h = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 5, 3))
    hs[0, 2:] = 1e200
    mask = np.array([[True, True, False, False], [False, True, True, True]])
    layer = TimeAttention()
    out = layer.forward(hs, h, mask)
    for a in layer.attention_weights:
        np.testing.assert_array_equal(a[~mask], 0)
        close(a.sum(axis=1), [1, 1])
    close(out[0], TimeAttention().forward(hs[:1, :2], h[:1])[0])
    dhs, _ = layer.backward(rng.standard_normal(out.shape))
    np.testing.assert_array_equal(dhs[~mask], 0)


def test_a_mask_with_everything_real_changes_nothing(rng):
    hs, h, dout = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 5, 3))
    masked, plain = TimeAttention(), TimeAttention()
    np.testing.assert_array_equal(masked.forward(hs, h, np.ones((2, 4), bool)), plain.forward(hs, h))
    for got, expected in zip(masked.backward(dout), plain.backward(dout), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_the_mask_of_one_call_does_not_stay_for_the_next(rng):
    hs, h = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 3))
    layer = Attention()
    layer.forward(hs, h, np.array([[True, False, False, False]] * 2))
    np.testing.assert_array_equal(layer.forward(hs, h), Attention().forward(hs, h))


@pytest.mark.parametrize("layer", [AttentionWeight(), Attention(), TimeAttention()])
@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((2, 3), bool), r"mask must be bool \(2, 4\), True = real, got bool \(2, 3\)"),
        (np.ones((4, 2), bool), r"mask must be bool \(2, 4\), True = real, got bool \(4, 2\)"),
        (np.ones(4, bool), r"got bool \(4,\)"),
        (np.ones((2, 4)), r"got float64 \(2, 4\)"),
        (np.array([[True] * 4, [False] * 4]), "row 1 is all padding"),
        (np.array([[False] * 4, [True] * 4]), "row 0 is all padding"),
    ],
)
def test_masks_that_are_none(layer, mask, message):
    with pytest.raises(ValueError, match=message):
        layer.forward(np.ones((2, 4, 3)), np.ones((2, 5, 3)), mask)


def test_a_mask_may_be_a_list(rng):
    hs, h = rng.standard_normal((1, 2, 3)), rng.standard_normal((1, 3))
    close(AttentionWeight().forward(hs, h, [[False, True]]), [[0, 1]])


# --- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [AttentionWeight(), Attention()])
@pytest.mark.parametrize("shape", [(3, 3), (2,), (3, 5, 3), (2, 1, 5, 3), (2, 0, 3)])
def test_queries_that_do_not_fit(layer, shape):
    name = type(layer).__name__
    message = (
        rf"{name}: hs is \(2, 4, 3\), so h must be \(2, H_dec\) or \(2, T_dec, H_dec\), got \({str(shape)[1:-1]}\)"
    )
    with pytest.raises(ValueError, match=f"^{message}"):
        layer.forward(np.ones((2, 4, 3)), np.ones(shape))


@pytest.mark.parametrize("layer", [AttentionWeight(), Attention()])
@pytest.mark.parametrize("shape", [(2, 4), (2, 5, 4)])
def test_queries_of_another_size_do_not_fit_the_dot_product(layer, shape):
    with pytest.raises(ValueError, match="h of size 4 and hs of size 3 do not fit: a dot product needs vectors of one"):
        layer.forward(np.ones((2, 4, 3)), np.ones(shape))


@pytest.mark.parametrize("shape", [(2, 3), (3, 4), (4,), (2, 5, 3), (3, 5, 4), (2, 1, 5, 4)])
def test_weights_that_do_not_fit(shape):
    message = rf"WeightSum: hs is \(2, 4, 3\), so a must be \(2, 4\) or \(2, T_dec, 4\), got \({str(shape)[1:-1]}\)"
    with pytest.raises(ValueError, match=message):
        WeightSum().forward(np.ones((2, 4, 3)), np.ones(shape))


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 0, 3), (0, 4, 3), (2, 4, 0), (1, 2, 4, 3)])
def test_hidden_states_that_are_none(shape):
    for layer in (AttentionWeight(), WeightSum(), Attention()):
        message = rf"^{type(layer).__name__}: hs must be \(N, T, H\) .* got \({str(shape)[1:-1]}\)"
        with pytest.raises(ValueError, match=message):
            layer.forward(np.ones(shape), np.ones((2, 3)))


def test_time_attention_names_itself_and_the_row_of_the_batch():
    layer = TimeAttention()
    with pytest.raises(ValueError, match=r"TimeAttention: hs is \(2, 4, 3\), so hs_dec must be .* got \(3, 5, 3\)"):
        layer.forward(np.ones((2, 4, 3)), np.ones((3, 5, 3)))
    layer.scores_in_cache = 1  # every row goes through a part of its own, where its number is 0
    with pytest.raises(ValueError, match="row 1 is all padding"):
        layer.forward(np.ones((2, 4, 3)), np.ones((2, 5, 3)), np.array([[True] * 4, [False] * 4]))
    with pytest.raises(ValueError, match=r"mask must be bool \(2, 4\)"):
        layer.forward(np.ones((2, 4, 3)), np.ones((2, 5, 3)), np.ones((1, 4), bool))


def test_time_attention_takes_sequences_only():
    with pytest.raises(ValueError, match=r"TimeAttention: hs_dec must be \(N, T_dec, H_dec\), got \(2, 3\)"):
        TimeAttention().forward(np.ones((2, 4, 3)), np.ones((2, 3)))


def test_weight_sum_has_nothing_to_go_back_from_before_forward():
    with pytest.raises(RuntimeError, match=r"^WeightSum\.backward: call forward first$"):
        WeightSum().backward(np.ones((2, 3)))


# --- what readers read -------------------------------------------------------------------------------------


def test_attention_weights_is_a_list_with_one_array_for_each_decoder_step(rng):
    layer = TimeAttention()
    assert layer.attention_weights is None
    assert layer.weights is None
    assert Attention().attention_weight is None
    layer.forward(rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 5, 3)))
    assert isinstance(layer.attention_weights, list)
    assert [a.shape for a in layer.attention_weights] == [(2, 4)] * 5
    assert layer.weights.shape == (2, 5, 4)
    np.testing.assert_array_equal(np.array(layer.attention_weights).transpose(1, 0, 2), layer.weights)


def test_attention_weights_of_an_earlier_call_stay(rng):
    layer = TimeAttention()
    layer.forward(rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 5, 3)))
    first = layer.attention_weights
    kept = [a.copy() for a in first]
    layer.forward(rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 2, 3)))
    assert len(layer.attention_weights) == 2  # not 7: the list does not grow
    for a, b in zip(first, kept, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 5)])
def test_results_are_written_where_the_caller_wants_them(rng, shape):
    hs, h, dout = rng.standard_normal((2, 4, 5)), rng.standard_normal(shape), rng.standard_normal(shape)
    weights, context = np.empty((*shape[:-1], 4)), np.empty(shape)
    a = AttentionWeight().forward(hs, h)
    AttentionWeight().forward(hs, h, out=weights)
    np.testing.assert_array_equal(weights, a)
    WeightSum().forward(hs, a, out=context)
    np.testing.assert_array_equal(context, WeightSum().forward(hs, a))
    plain, written = Attention(), Attention()
    expected = plain.forward(hs, h)
    written.forward(hs, h, out=context)
    np.testing.assert_array_equal(context, expected)
    for got, want in zip(written.backward(dout), plain.backward(dout), strict=True):
        np.testing.assert_array_equal(got, want)


def test_attention_keeps_its_weights_once(rng):
    attention = Attention()
    attention.forward(rng.standard_normal((2, 4, 5)), rng.standard_normal((2, 3, 5)))
    assert np.shares_memory(attention.attention_weight, attention.attention_weight_layer.softmax.cache)
    assert np.shares_memory(attention.attention_weight, attention.weight_sum_layer.cache[1])


def test_whole_numbers_are_states_too():
    attention = Attention()
    c = attention.forward(np.array([[[1, 0], [0, 1]]]), np.array([[0, 0]]))
    np.testing.assert_array_equal(attention.attention_weight, [[0.5, 0.5]])
    np.testing.assert_array_equal(c, [[0.5, 0.5]])


def test_the_composition_is_visible():
    layer = TimeAttention()
    (attention,) = layer.parts
    assert isinstance(attention, Attention)
    assert isinstance(attention.attention_weight_layer, AttentionWeight)
    assert isinstance(attention.weight_sum_layer, WeightSum)
    layer.forward(np.ones((2, 4, 3)), np.ones((2, 5, 3)))
    weight_cache, sum_cache = attention.cache
    assert weight_cache is attention.attention_weight_layer.cache
    assert sum_cache is attention.weight_sum_layer.cache
    assert layer.cache == [attention.cache]
    for part in (layer, attention, attention.attention_weight_layer, attention.weight_sum_layer):
        assert part.params == part.grads == []


# --- memory ------------------------------------------------------------------------------------------------


def peak_of_time_attention(N, T_enc, T_dec, H):
    hs_enc, hs_dec = np.ones((N, T_enc, H)), np.ones((N, T_dec, H))
    layer = TimeAttention()
    tracemalloc.start()
    try:
        layer.backward(layer.forward(hs_enc, hs_dec))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_grows_with_the_square_of_the_steps_and_not_times_the_hidden_size():
    N, T, H = 2, 64, 64
    cube = N * T * T * H * 8  # what one array (N, T_dec, T_enc, H) would take
    peak = peak_of_time_attention(N, T, T, H)
    assert peak < cube / 4
    assert peak < 8 * (8 * N * T * T + 12 * N * T * H)
