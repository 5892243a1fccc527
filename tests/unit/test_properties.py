"""What holds for all inputs, tried on many: hypothesis draws sizes, numbers and masks, and shrinks what fails."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch08.attention_layer import Attention, AttentionWeight, TimeAttention, WeightSum
from ch08.attention_seq2seq import AttentionSeq2seq
from common.functions import sigmoid, softmax
from common.layers import Affine, Embedding, LayerNorm, Relu, Residual, Tanh
from common.npz import load_arrays, save_arrays
from common.recurrent import Bidirectional
from common.time_layers import TimeGRU, TimeLSTM, TimeRNN, TimeSoftmaxWithLoss
from common.util import clip_grads

MODELS = [Seq2seq, PeekySeq2seq, AttentionSeq2seq]
FEW = settings(max_examples=25)
some = st.integers(1, 5)
seeds = st.integers(0, 2**32 - 1)


def close(got, expected, rtol=1e-9, atol=1e-11):
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)


@st.composite
def states(draw, masks=False):
    """hs_enc (N, T_enc, H), hs_dec (N, T_dec, H), dout (N, T_dec, H) and a mask (N, T_enc) with no empty row."""
    N, T_enc, T_dec, H = (draw(some) for _ in range(4))
    rng = np.random.default_rng(draw(seeds))
    scale = draw(st.sampled_from([0.01, 1.0, 5.0]))
    hs_enc, hs_dec, dout = (scale * rng.standard_normal((N, T, H)) for T in (T_enc, T_dec, T_dec))
    if not masks:
        return hs_enc, hs_dec, dout
    mask = draw(arrays(bool, (N, T_enc)))
    mask[np.arange(N), draw(arrays(int, N, elements=st.integers(0, T_enc - 1)))] = True
    return hs_enc, hs_dec, dout, mask


# --- softmax and sigmoid -----------------------------------------------------------------------------------

any_scores = arrays(
    st.sampled_from([np.float32, np.float64]),
    array_shapes(max_dims=3, max_side=5),
    elements=st.floats(-(2.0**100), 2.0**100, width=32),
)


@FEW
@given(any_scores)
def test_softmax_is_finite_and_sums_to_1_whatever_the_scores(x):
    y = softmax(x)
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    assert (y >= 0).all()
    close(y.sum(axis=-1), 1, rtol=1e-5)


@FEW
@given(arrays(float, (3, 4), elements=st.floats(-50, 50)), st.floats(-1e3, 1e3))
def test_a_constant_added_to_the_scores_changes_nothing(x, constant):
    close(softmax(x + constant), softmax(x), rtol=1e-9)


@FEW
@given(arrays(float, (3, 4), elements=st.floats(-50, 50)))
def test_a_larger_score_has_a_larger_weight(x):
    y = softmax(x)
    order = np.argsort(x, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(y, order, axis=1), axis=1) >= 0).all()


@FEW
@given(any_scores)
def test_sigmoid_stays_in_its_range_and_is_symmetric(x):
    y = sigmoid(x)
    assert ((y >= 0) & (y <= 1)).all()
    close(y + sigmoid(-x), 1, rtol=1e-6)


# --- attention ---------------------------------------------------------------------------------------------


@FEW
@given(states(masks=True), st.booleans())
def test_weights_are_a_distribution_over_what_is_real(drawn, masked):
    hs, h, _, mask = drawn
    layer = TimeAttention()
    layer.forward(hs, h, mask if masked else None)
    assert (layer.weights >= 0).all()
    close(layer.weights.sum(axis=2), 1)
    if masked:
        assert (layer.weights[np.broadcast_to(~mask[:, None], layer.weights.shape)] == 0).all()


@FEW
@given(states(), st.floats(0, 1e20))
def test_attention_to_huge_states_is_finite(drawn, size):
    hs, h, _ = drawn
    layer = TimeAttention()
    assert np.isfinite(layer.forward(hs * size, h * size)).all()
    close(layer.weights.sum(axis=2), 1)


@FEW
@given(states(masks=True), seeds)
def test_permuting_the_encoder_steps_permutes_the_weights_and_leaves_the_context(drawn, seed):
    hs, h, dout, mask = drawn
    order = np.random.default_rng(seed).permutation(hs.shape[1])
    one, two = TimeAttention(), TimeAttention()
    close(two.forward(hs[:, order], h, mask[:, order]), one.forward(hs, h, mask))
    close(two.weights, one.weights[:, :, order])
    (dhs, dh), (dhs_two, dh_two) = one.backward(dout), two.backward(dout)
    close(dhs_two, dhs[:, order])
    close(dh_two, dh)


@FEW
@given(states(), st.floats(-3, 3))
def test_moving_all_encoder_states_along_one_vector_adds_a_constant_to_the_scores(drawn, size):
    hs, h, _ = drawn
    moved = hs + size * np.random.default_rng(1).standard_normal(hs.shape[2])
    close(AttentionWeight().forward(moved, h), AttentionWeight().forward(hs, h), rtol=1e-7)


@FEW
@given(states(), st.data())
def test_masked_is_truncated(drawn, data):
    hs, h, dout = drawn
    N, T, H = hs.shape
    lengths = data.draw(st.lists(st.integers(1, T), min_size=N, max_size=N))
    padded = hs.copy()
    for n, length in enumerate(lengths):
        padded[n, length:] = 99.0
    masked = TimeAttention()
    out = masked.forward(padded, h, np.arange(T) < np.array(lengths)[:, None])
    dhs, dh = masked.backward(dout)
    for n, length in enumerate(lengths):
        row, cut = slice(n, n + 1), TimeAttention()
        close(out[row], cut.forward(hs[row, :length], h[row]))
        close(masked.weights[row, :, :length], cut.weights)
        dhs_cut, dh_cut = cut.backward(dout[row])
        close(dhs[row, :length], dhs_cut)
        assert (dhs[n, length:] == 0).all()
        close(dh[row], dh_cut)


@FEW
@given(states(masks=True))
def test_a_batch_is_its_rows_one_by_one_and_its_steps_one_by_one(drawn):
    hs, h, dout, mask = drawn
    whole = TimeAttention()
    out = whole.forward(hs, h, mask)
    dhs, dh = whole.backward(dout)
    for n in range(len(hs)):
        row, total = slice(n, n + 1), 0
        for t in range(h.shape[1]):
            single = Attention()
            close(out[row, t], single.forward(hs[row], h[row, t], mask[row]))
            dhs_t, dh_t = single.backward(dout[row, t])
            total = total + dhs_t
            close(dh[row, t], dh_t)
        close(dhs[row], total)


@FEW
@given(states())
def test_the_context_lies_between_the_states(drawn):
    hs, h, _ = drawn
    c = Attention().forward(hs, h)
    slack = 1e-12 * (1 + np.abs(hs).max())
    assert (c >= hs.min(axis=1, keepdims=True) - slack).all()
    assert (c <= hs.max(axis=1, keepdims=True) + slack).all()


@FEW
@given(states())
def test_weight_sum_is_linear_and_picks_a_state(drawn):
    hs, h, _ = drawn
    N, T, H = hs.shape
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, N, T))
    close(WeightSum().forward(hs, a + 2 * b), WeightSum().forward(hs, a) + 2 * WeightSum().forward(hs, b))
    np.testing.assert_array_equal(WeightSum().forward(hs, np.eye(T)[np.zeros(N, int)]), hs[:, 0])


# --- normalizing and adding --------------------------------------------------------------------------------

rows = arrays(float, array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=5), elements=st.floats(-100, 100))


def layer_norm(x, eps=1e-5):
    """LayerNorm with gamma = 1 and beta = 0."""
    return LayerNorm(np.ones(x.shape[-1]), np.zeros(x.shape[-1]), eps)


@FEW
@given(rows)
def test_normalized_rows_have_mean_0_and_variance_at_most_1(x):
    y = layer_norm(x).forward(x)
    close(y.mean(axis=-1), 0, atol=1e-9)
    variance = x.var(axis=-1)
    close(y.var(axis=-1), variance / (variance + 1e-5), atol=1e-7)


@FEW
@given(rows, st.floats(0.1, 10), st.floats(-100, 100))
def test_scale_and_offset_of_a_row_are_normalized_away(x, scale, offset):
    layer = layer_norm(x, eps=1e-12)
    assume((x.std(axis=-1) > 0.1).all())
    close(layer.forward(scale * x + offset), layer.forward(x), rtol=1e-6, atol=1e-6)
    dx = layer.backward(np.cos(x))
    close(dx.sum(axis=-1), 0, atol=1e-9)  # so nothing pulls at the offset ...
    close((dx * x).sum(axis=-1), 0, atol=1e-6)  # ... and nothing at the scale


@FEW
@given(rows, st.integers(0, 2**16))
def test_a_permutation_of_the_columns_goes_through_layer_norm(x, seed):
    order = np.random.default_rng(seed).permutation(x.shape[-1])
    close(layer_norm(x).forward(x[..., order]), layer_norm(x).forward(x)[..., order], atol=1e-9)


@FEW
@given(rows)
def test_relu_is_x_where_it_passes_and_tanh_is_odd_and_bounded(x):
    y = Relu().forward(x)
    np.testing.assert_array_equal(y - Relu().forward(-x), x)
    np.testing.assert_array_equal(Relu().forward(y), y)
    np.testing.assert_array_equal(Tanh().forward(-x), -Tanh().forward(x))
    assert (np.abs(Tanh().forward(x)) <= np.minimum(np.abs(x), 1)).all()


@FEW
@given(rows)
def test_a_residual_layer_that_adds_nothing_is_the_identity(x):
    D = x.shape[-1]
    layer = Residual(Affine(np.zeros((D, D)), np.zeros(D)))
    np.testing.assert_array_equal(layer.forward(x), x)
    np.testing.assert_array_equal(layer.backward(x), x)


# --- time layers -------------------------------------------------------------------------------------------


@st.composite
def recurrent(draw):
    """A stateful layer and xs (N, T, D)."""
    layer_class, gates = draw(st.sampled_from([(TimeRNN, 1), (TimeLSTM, 4), (TimeGRU, 3)]))
    N, T, D, H = (draw(some) for _ in range(4))
    rng = np.random.default_rng(draw(seeds))
    params = [rng.standard_normal(s) for s in ((D, gates * H), (H, gates * H), (gates * H,))]
    return layer_class(*params, stateful=True), rng.standard_normal((N, T + 1, D))


@FEW
@given(recurrent(), st.data())
def test_a_sequence_may_be_cut_anywhere(drawn, data):
    layer, xs = drawn
    whole = layer.forward(xs)
    layer.reset_state()
    cut = data.draw(st.integers(1, xs.shape[1] - 1))
    close(layer.forward(xs[:, :cut]), whole[:, :cut])
    close(layer.forward(xs[:, cut:]), whole[:, cut:])


@FEW
@given(recurrent(), st.data())
def test_what_comes_later_changes_nothing_before(drawn, data):
    layer, xs = drawn
    first = layer.forward(xs)
    step = data.draw(st.integers(0, xs.shape[1] - 1))
    changed = xs.copy()
    changed[:, step:] += 1
    layer.reset_state()
    np.testing.assert_array_equal(layer.forward(changed)[:, :step], first[:, :step])
    dhs = np.zeros(first.shape)
    dhs[:, :step] = 1
    assert (layer.backward(dhs)[:, step:] == 0).all()


@FEW
@given(recurrent(), seeds)
def test_a_sequence_read_backward_exchanges_the_two_directions(drawn, seed):
    layer, xs = drawn
    rng = np.random.default_rng(seed)
    other = type(layer)(*(rng.standard_normal(p.shape) for p in layer.params))
    layer.stateful = False
    H = layer.params[1].shape[0]
    hs = Bidirectional(layer, other).forward(xs)
    exchanged = Bidirectional(other, layer).forward(xs[:, ::-1])[:, ::-1]
    close(hs, np.concatenate((exchanged[..., H:], exchanged[..., :H]), axis=2))


@FEW
@given(recurrent())
def test_rows_of_a_batch_do_not_see_each_other(drawn):
    layer, xs = drawn
    hs = layer.forward(xs)
    dxs = layer.backward(np.ones_like(hs))
    for n in range(len(xs)):
        layer.reset_state()
        close(layer.forward(xs[n : n + 1]), hs[n : n + 1])
        close(layer.backward(np.ones_like(hs[n : n + 1])), dxs[n : n + 1])


@FEW
@given(st.data(), some, some, st.integers(1, 6))
def test_embedding_backward_counts_the_ids(data, N, T, V):
    ids = data.draw(arrays(int, (N, T), elements=st.integers(0, V - 1)))
    layer = Embedding(np.zeros((V, 2)))
    layer.forward(ids)
    layer.backward(np.ones((N, T, 2)))
    np.testing.assert_array_equal(layer.grads[0][:, 0], np.bincount(ids.reshape(-1), minlength=V))


@FEW
@given(st.data(), some, some, st.integers(2, 6))
def test_the_gradient_of_the_loss_sums_to_zero_in_every_step(data, N, T, V):
    ts = data.draw(arrays(int, (N, T), elements=st.integers(-1, V - 1)))
    xs = data.draw(arrays(float, (N, T, V), elements=st.floats(-1e3, 1e3)))
    layer = TimeSoftmaxWithLoss()
    assert layer.forward(xs, ts) >= 0
    dxs = layer.backward()
    close(dxs.sum(axis=2), 0, atol=1e-12)
    assert (dxs[ts == -1] == 0).all()


# --- models ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", MODELS)
@FEW
@given(data=st.data(), seed=seeds)
def test_batched_decode_is_generate_and_batch_is_one_by_one(model_class, data, seed):
    V, D, H, N, T = data.draw(st.integers(2, 6)), *(data.draw(some) for _ in range(4))
    rng = np.random.default_rng(seed)
    model = model_class(V, D, H, dtype=np.float64, rng=rng)
    for p in model.params:
        p[...] = 1.5 * rng.standard_normal(p.shape)
    xs, ts = rng.integers(0, V, (N, T)), rng.integers(0, V, (N, 4))
    ids = model.greedy_decode(xs, 0, 3, chunk_size=data.draw(some))
    assert [model.generate(row[None], 0, 3) for row in xs] == ids.tolist()
    losses = [model.forward(xs[n : n + 1], ts[n : n + 1]) for n in range(N)]
    close(model.forward(xs, ts), np.mean(losses))


@pytest.mark.parametrize("model_class", MODELS)
@FEW
@given(seed=seeds, dtype=st.sampled_from([np.float32, np.float64]))
def test_a_saved_model_comes_back(model_class, seed, dtype):
    one, two = (model_class(5, 2, 3, dtype=dtype, rng=s) for s in (seed, seed + 1))
    with tempfile.TemporaryDirectory() as folder:
        two.load_params(one.save_params(Path(folder) / "w.npz"))
    xs, ts = np.ones((2, 4), int), np.ones((2, 3), int)
    assert one.forward(xs, ts) == two.forward(xs, ts)
    assert one.generate(xs[:1], 0, 3) == two.generate(xs[:1], 0, 3)


# --- files and clipping ------------------------------------------------------------------------------------

numbers = arrays(
    st.sampled_from([np.float16, np.float32, np.float64, np.int64, np.bool_]), array_shapes(min_dims=0, min_side=0)
)


@FEW
@given(st.dictionaries(st.text("abc.XY_0", min_size=1, max_size=8), numbers, max_size=4))
def test_any_arrays_come_back_from_a_file(given_arrays):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        save_arrays(path, given_arrays)
        loaded = load_arrays(path)
    assert list(loaded) == list(given_arrays)
    for name, array in given_arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


@settings(max_examples=50)
@given(
    st.lists(arrays(float, array_shapes(max_dims=2, max_side=4), elements=st.floats(-1e6, 1e6)), max_size=4),
    st.floats(1e-3, 1e3),
)
def test_clipped_gradients_point_the_same_way_and_are_no_longer_than_allowed(grads, max_norm):
    before = [g.copy() for g in grads]
    norm = float(np.sqrt(sum((g**2).sum() for g in before)))
    assert clip_grads(grads, max_norm) == pytest.approx(norm)
    after = float(np.sqrt(sum((g**2).sum() for g in grads)))
    assert after <= max_norm * (1 + 1e-9)
    assume(norm > 1e-2)
    assert after == pytest.approx(min(norm, max_norm), rel=1e-3)
    for g, old in zip(grads, before, strict=True):
        close(g * norm, old * after, rtol=1e-6, atol=1e-6)
