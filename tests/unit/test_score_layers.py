"""The three scores: numerical gradients, loops over all pairs, properties, blocks, large numbers, errors, memory."""

import tracemalloc
from copy import deepcopy

import numpy as np
import pytest

from ch08 import score_layers
from ch08.attention_layer import Attention, AttentionWeight, TimeAttention
from ch08.score_layers import AdditiveScore, DotScore, GeneralScore, TanhOfSums
from common.base_model import Composite
from common.gradient_check import gradient_check
from common.layers import Affine

# N, T, T_dec, H_enc, H_dec, A
SIZES = [(2, 4, 3, 5, 2, 3), (1, 1, 1, 1, 1, 1), (3, 1, 2, 2, 3, 4), (2, 5, 1, 1, 4, 1), (1, 3, 6, 3, 1, 2)]
KINDS = ["dot", "scaled", "general", "additive"]
every_kind = pytest.mark.parametrize("kind", KINDS)
every_size = pytest.mark.parametrize("sizes", SIZES, ids=str)


def close(got, expected, **tolerance):
    np.testing.assert_allclose(got, expected, **{"rtol": 1e-10, "atol": 1e-12} | tolerance)


def make(kind, H_enc, H_dec, A=3, dtype=np.float64, seed=5):
    rng = np.random.default_rng(seed)

    def randn(*shape):
        return rng.standard_normal(shape).astype(dtype)

    if kind == "general":
        return GeneralScore(randn(H_dec, H_enc))
    if kind == "additive":
        return AdditiveScore(randn(H_dec, A), randn(H_enc, A), randn(A))
    return DotScore(0.3 if kind == "scaled" else 1.0)


def problem(kind, sizes, single=False, seed=6, dtype=np.float64):
    """A score, hidden states, queries, and a gradient for the scores."""
    N, T, T_dec, H_enc, H_dec, A = sizes
    if kind in ("dot", "scaled"):
        H_dec = H_enc
    rng = np.random.default_rng(seed)
    steps = () if single else (T_dec,)
    shapes = (N, T, H_enc), (N, *steps, H_dec), (N, *steps, T)
    return make(kind, H_enc, H_dec, A, dtype), *(rng.standard_normal(s).astype(dtype) for s in shapes)


def one_score(score, hs_t, h):
    """The definition, for one query and one hidden state."""
    if isinstance(score, DotScore):
        return score.scale * (h @ hs_t)
    if isinstance(score, GeneralScore):
        return h @ score.params[0] @ hs_t
    Wq, Wk, v = score.params
    return v @ np.tanh(h @ Wq + hs_t @ Wk)


def random_mask(N, T):
    mask = np.random.default_rng(3).random((N, T)) < 0.5
    mask[:, T // 2] = True
    return mask


@pytest.fixture
def two_cores(monkeypatch):
    """The additive score cuts a batch as for two cores, whatever the machine has."""
    monkeypatch.setattr(score_layers, "workers", lambda: 2)


# --- values and gradients --------------------------------------------------------------------------------------


@every_kind
@every_size
@pytest.mark.parametrize("single", [False, True])
def test_scores_are_those_of_the_definition_pair_by_pair(kind, sizes, single):
    score, hs, h, _ = problem(kind, sizes, single)
    s = score.forward(hs, h)
    for index in np.ndindex(s.shape):
        n, t = index[0], index[-1]
        close(s[index], one_score(score, hs[n, t], h[index[:-1]]))


@every_kind
@every_size
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("block_size", [1, 2**16])
def test_every_gradient_is_the_numerical_one(monkeypatch, kind, sizes, single, block_size):
    monkeypatch.setattr(AdditiveScore, "block_size", block_size)
    score, hs, h, _ = problem(kind, sizes, single)
    gradient_check(score, hs, h)


@pytest.mark.parametrize("layer_class", [AttentionWeight, Attention, TimeAttention])
@pytest.mark.parametrize("masked", [False, True])
@every_kind
@every_size
def test_every_gradient_through_the_attention_is_the_numerical_one(layer_class, masked, kind, sizes):
    score, hs, h, _ = problem(kind, sizes)
    layer = layer_class(score)
    assert len(layer.params) == {"general": 1, "additive": 3}.get(kind, 0)
    mask = [random_mask(*hs.shape[:2])] if masked else []
    gradient_check(layer, hs, h, *mask)
    if layer_class is not TimeAttention:
        gradient_check(layer, hs, h[:, 0].copy(), *mask)


@every_kind
def test_every_gradient_of_parts_of_the_batch_is_the_numerical_one(kind):
    score, hs, h, _ = problem(kind, SIZES[0])
    layer = TimeAttention(score)
    layer.scores_in_cache = 1
    gradient_check(layer, hs, h, random_mask(*hs.shape[:2]))
    assert len(layer.parts) == 2


# --- properties ------------------------------------------------------------------------------------------------


def test_general_with_the_identity_is_dot():
    dot, hs, h, ds = problem("dot", SIZES[0])
    general = GeneralScore(np.eye(hs.shape[2]))
    close(general.forward(hs, h), dot.forward(hs, h))
    for got, expected in zip(general.backward(ds), dot.backward(ds), strict=True):
        close(got, expected)


def test_additive_is_concat_with_its_weight_cut_in_two():
    score, hs, h, ds = problem("additive", SIZES[0])
    Wq, Wk, v = score.params
    W = np.concatenate((Wq, Wk))  # (H_dec + H_enc, A)
    N, T_dec, H_dec = h.shape
    T = hs.shape[1]
    both = np.concatenate(
        (np.broadcast_to(h[:, :, None], (N, T_dec, T, H_dec)), np.broadcast_to(hs[:, None], (N, T_dec, *hs.shape[1:]))),
        axis=3,
    )
    u = np.tanh(both @ W)
    close(score.forward(hs, h), u @ v)
    score.backward(ds)
    dz = ds[..., None] * v * (1 - u * u)  # (N, T_dec, T, A)
    close(np.concatenate(score.grads[:2]), np.einsum("nitk,nita->ka", both, dz))
    close(score.grads[2], np.einsum("nit,nita->a", ds, u))


@every_kind
def test_permuting_the_states_permutes_the_scores(rng, kind):
    score, hs, h, ds = problem(kind, SIZES[0])
    other, order = deepcopy(score), rng.permutation(hs.shape[1])
    close(other.forward(hs[:, order], h), score.forward(hs, h)[..., order])
    (dhs, dh), (dhs2, dh2) = score.backward(ds), other.backward(ds[..., order])
    close(dhs2, dhs[:, order])
    close(dh2, dh)
    for one, two in zip(score.grads, other.grads, strict=True):
        close(one, two)


@every_kind
def test_a_batch_is_its_rows_and_its_queries_one_by_one(kind):
    score, hs, h, ds = problem(kind, SIZES[0])
    s = score.forward(hs, h)
    dhs, dh = score.backward(ds)
    single, grads, dhs_sum = deepcopy(score), [np.zeros_like(g) for g in score.grads], np.zeros_like(hs)
    for n, i in np.ndindex(*h.shape[:2]):
        row = slice(n, n + 1)
        close(single.forward(hs[row], h[row, i]), s[row, i])
        dhs_i, dh_i = single.backward(ds[row, i])
        dhs_sum[row] += dhs_i
        close(dh_i, dh[row, i])
        for total, grad in zip(grads, single.grads, strict=True):
            total += grad
    close(dhs, dhs_sum)
    for got, total in zip(score.grads, grads, strict=True):
        close(got, total)


@every_kind
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rows_at_a_time", [1, 2, 100])
def test_time_attention_is_attention_step_by_step(two_cores, kind, masked, rows_at_a_time):
    sizes = (5, 4, 3, 6, 2, 3)
    score, hs, h, _ = problem(kind, sizes)
    mask = random_mask(5, 4) if masked else None
    single = Attention(deepcopy(score))
    layer = TimeAttention(score)
    layer.scores_in_cache = rows_at_a_time * 4 * 3
    dout = np.random.default_rng(7).standard_normal((5, 3, 6))
    for _ in range(2):  # the second time with what the first one left
        out = layer.forward(hs, h, mask)
        dhs, dh = layer.backward(dout)
        assert len(layer.parts) == {1: 5, 2: 3, 100: 1}[rows_at_a_time]
        dhs_sum, grads = np.zeros_like(hs), [np.zeros_like(g) for g in score.grads]
        for i in range(3):
            close(out[:, i], single.forward(hs, h[:, i], mask))
            close(layer.attention_weights[i], single.attention_weight)
            if masked:
                np.testing.assert_array_equal(layer.attention_weights[i][~mask], 0)
            dhs_i, dh_i = single.backward(dout[:, i])
            dhs_sum += dhs_i
            close(dh[:, i], dh_i)
            for total, grad in zip(grads, single.grads, strict=True):
                total += grad
        close(dhs, dhs_sum)
        for got, total in zip(layer.grads, grads, strict=True):
            close(got, total)


# --- blocks, small and large numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("block_size", [1, 10, 20, 30, 45, 90, 10**6])
def test_blocks_cover_every_neuron_once_and_keep_to_their_size(block_size):
    score = make("additive", 2, 2, A=2)
    score.block_size = block_size
    N, T_dec, T = 4, 3, 5
    met = np.zeros((N, T_dec, T), int)
    blocks = score._blocks((N, T_dec, T))
    for rows, steps in blocks:
        met[rows, steps] += 1
        assert met[rows, steps].size * 2 <= max(block_size, T * 2)
    np.testing.assert_array_equal(met, 1)
    assert len(blocks) == {1: 12, 10: 12, 20: 8, 30: 4, 45: 4, 90: 2, 10**6: 1}[block_size]


@pytest.mark.parametrize("block_size", [1, 10, 24, 50, 100])
def test_the_size_of_the_blocks_changes_nothing(two_cores, block_size):
    whole, hs, h, ds = problem("additive", (4, 4, 3, 5, 2, 3))
    cut = deepcopy(whole)
    cut.block_size = block_size
    close(cut.forward(hs, h), whole.forward(hs, h))
    for got, expected in zip(cut.backward(ds), whole.backward(ds), strict=True):
        close(got, expected)
    for got, expected in zip(cut.grads, whole.grads, strict=True):
        close(got, expected)


@pytest.mark.parametrize("N", [1, 2, 5])
@pytest.mark.parametrize("single", [False, True])
def test_rows_that_go_to_two_cores_are_scored_as_on_one(two_cores, monkeypatch, N, single):
    score, hs, h, ds = problem("additive", (N, 4, 3, 5, 2, 3), single)
    alone = deepcopy(score)
    s, back = score.forward(hs, h), score.backward(ds)
    assert len(score.cache[0]) == min(N, 2)
    monkeypatch.setattr(score_layers, "workers", lambda: 1)
    close(s, alone.forward(hs, h))
    assert len(alone.cache[0]) == 1
    for got, expected in zip(back, alone.backward(ds), strict=True):
        close(got, expected)
    for got, expected in zip(score.grads, alone.grads, strict=True):
        close(got, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-3, 1, 20, 43, 44, 60, 350, 1000, 1e20])
def test_tanh_of_sums_is_right_for_numbers_of_any_size(rng, dtype, size):
    q = (size * rng.uniform(-1, 1, (2, 3, 4))).astype(dtype)
    k = (size * rng.uniform(-1, 1, (2, 5, 4))).astype(dtype)
    k[:, 0] = 0.01 * size - q[:, 0]  # a small sum of large numbers
    q[0, 1], k[0, 1], k[0, 2] = size, size, -size
    got = TanhOfSums(q, k).block(slice(0, 2), slice(0, 3))
    close(got, np.tanh(q[:, :, None] + k[:, None]), rtol=0, atol=100 * max(size, 1) * np.finfo(dtype).eps)
    close(TanhOfSums(q, k).block(slice(1, 2), slice(1, 3)), got[1:, 1:], rtol=0, atol=0)


@pytest.mark.parametrize(("dtype", "limit"), [(np.float32, 43.6), (np.float64, 354.1)])
def test_products_of_exponentials_stand_in_for_the_tanh_only_where_they_are_exact_enough(dtype, limit):
    zero = np.zeros((1, 1, 1), dtype)
    for size, product in ((limit, True), (limit + 0.2, False), (0.07, True), (0.06, False)):
        for x in (zero + size, zero - size):
            assert TanhOfSums(zero, x).factors == product
            assert TanhOfSums(x, zero).factors == product


def test_scores_of_small_numbers_keep_their_digits():
    score, hs, h, _ = problem("additive", SIZES[0], dtype=np.float32)
    precise = AdditiveScore(*(p.astype(np.float64) for p in score.params))
    close(score.forward(1e-4 * hs, 1e-4 * h), precise.forward(1e-4 * hs, 1e-4 * h), rtol=2e-5, atol=0)


def test_states_of_any_size_give_finite_weights_and_gradients():
    score, hs, h, _ = problem("additive", SIZES[0])
    layer = TimeAttention(score)
    out = layer.forward(1e150 * hs, 1e150 * h)
    close(layer.weights.sum(axis=2), 1)
    for array in (out, *layer.backward(np.ones_like(out)), *layer.grads):
        assert np.isfinite(array).all()


def test_what_stands_in_the_padding_does_not_count():
    for kind in KINDS:
        score, hs, h, _ = problem(kind, (2, 4, 3, 5, 2, 3))
        mask = np.array([[True, True, False, False]] * 2)
        hs[:, 2:] = 1e150
        layer, cut = TimeAttention(score), TimeAttention(deepcopy(score))
        out = layer.forward(hs, h, mask)
        close(out, cut.forward(hs[:, :2], h))
        np.testing.assert_array_equal(layer.weights[:, :, 2:], 0)
        dhs, dh = layer.backward(np.ones_like(out))
        dhs_cut, dh_cut = cut.backward(np.ones_like(out))
        np.testing.assert_array_equal(dhs[:, 2:], 0)
        close(dhs[:, :2], dhs_cut)
        close(dh, dh_cut)


# --- the scale -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.25, np.float64(0.25), 2, 0, -1.5])
def test_scale_multiplies_the_scores_and_keeps_their_dtype(scale):
    plain, hs, h, ds = problem("dot", SIZES[0], dtype=np.float32)
    scaled = DotScore(scale)
    s = scaled.forward(hs, h)
    assert s.dtype == np.float32
    close(s, scale * plain.forward(hs, h), rtol=1e-5, atol=1e-6)
    for got, expected in zip(scaled.backward(ds), plain.backward(ds), strict=True):
        assert got.dtype == np.float32
        close(got, scale * expected, rtol=1e-5, atol=1e-6)


def test_whole_numbers_are_scored_too():
    s = DotScore().forward(np.array([[[1, 2], [3, 4]]]), np.array([[1, 1]]))
    assert s.dtype == np.float64
    np.testing.assert_array_equal(s, [[3, 7]])
    np.testing.assert_array_equal(GeneralScore(np.eye(2)).forward(np.array([[[1, 2]]]), np.array([[1, 1]])), [[3]])


# --- the parameters belong to the attention ----------------------------------------------------------------------


class Decoder(Composite):
    def __init__(self, attention):
        self.attention = attention


@every_kind
def test_the_parameters_of_the_score_are_those_of_the_attention(kind):
    score, hs, h, _ = problem(kind, SIZES[0])
    for layer in (AttentionWeight(score), Attention(score), TimeAttention(score)):
        for mine, its in ((layer.params, score.params), (layer.grads, score.grads)):
            assert len(mine) == len(its)
            assert all(a is b for a, b in zip(mine, its, strict=True))
    names = {"general": ["W"], "additive": ["Wq", "Wk", "v"]}.get(kind, [])
    attention = TimeAttention(score)
    attention.scores_in_cache = 1
    for _ in range(2):  # before and after the batch was split
        assert attention.param_names == [f"score.{n}" for n in names]
        assert Decoder(attention).param_names == [f"attention.score.{n}" for n in names]
        attention.forward(hs, h)
    assert Attention(score).param_names == [f"attention_weight_layer.score.{n}" for n in names]


def test_the_score_is_the_dot_product_if_none_is_given():
    for layer in (AttentionWeight(), Attention().attention_weight_layer, TimeAttention()):
        assert isinstance(layer.score, DotScore)
        assert layer.score.scale == 1
        assert layer.params == layer.grads == []


def test_a_score_that_is_put_in_anothers_place_is_the_one_that_works():
    first, hs, h, _ = problem("general", SIZES[0])
    second = make("additive", 5, 2)
    layer, fresh = TimeAttention(first), TimeAttention(deepcopy(second))
    layer.backward(layer.forward(hs, h))
    layer.score = second
    out = layer.forward(hs, h)
    close(out, fresh.forward(hs, h))
    layer.backward(out), fresh.backward(out)
    assert [p.shape for p in layer.params] == [p.shape for p in second.params]
    for got, expected in zip(layer.grads, fresh.grads, strict=True):
        close(got, expected)


def test_parts_share_the_parameters_and_have_gradients_of_their_own():
    score, hs, h, dout = problem("additive", (5, 4, 3, 4, 2, 3))
    layer = TimeAttention(score)
    layer.scores_in_cache = 1
    grads = list(layer.grads)
    layer.forward(hs, h)
    assert [part.attention_weight_layer.score is score for part in layer.parts] == [True] + [False] * 4
    for part in layer.parts[1:]:
        assert all(a is b for a, b in zip(part.params, score.params, strict=True))
        assert not any(np.shares_memory(a, b) for a, b in zip(part.grads, score.grads, strict=True))
    layer.backward(dout)
    assert all(a is b for a, b in zip(layer.grads, grads, strict=True))
    parts = layer.parts
    layer.forward(hs, h)
    assert layer.parts is parts  # the copies are made once


@pytest.mark.parametrize(("N", "parts", "copies"), [(7, 7, 7), (8, 8, 7), (9, 5, 7), (33, 7, 7), (4, 2, 1), (4, 1, 0)])
def test_there_are_only_so_many_gradients_however_large_the_batch_is(N, parts, copies):
    score, hs, h, _ = problem("general", (N, 4, 3, 5, 2, 3))
    layer, free = TimeAttention(score), TimeAttention()
    layer.scores_in_cache = free.scores_in_cache = 1
    layer.most_copies = free.most_copies = copies
    layer.forward(hs, h)
    assert len(layer.parts) == parts
    free.forward(hs, hs)
    assert len(free.parts) == N  # without parameters there is nothing to copy


class ScoreOfLayers(Composite):
    """A reader's own: the part of h that an affine layer picks, times the state. Only what a layer must have."""

    def __init__(self, W, b):
        self.affine, self.dot = Affine(W, b), DotScore()

    def forward(self, hs, h):
        return self.dot.forward(hs, self.affine.forward(h))

    def backward(self, ds):
        dhs, dq = self.dot.backward(ds)
        return dhs, self.affine.backward(dq)


def test_a_score_of_ones_own_needs_nothing_but_what_a_layer_has(rng):
    hs, h = rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 2, 6))
    layer = TimeAttention(ScoreOfLayers(rng.standard_normal((6, 5)), rng.standard_normal(5)))
    layer.scores_in_cache = 1
    assert layer.param_names == ["score.affine.W", "score.affine.b"]
    gradient_check(layer, hs, h, random_mask(3, 4))
    assert len(layer.parts) == 3


@every_kind
@pytest.mark.parametrize("scores_in_cache", [1, 2**16])
@pytest.mark.parametrize("data", [np.float64, np.float16])
def test_everything_follows_the_dtype_of_the_parameters(kind, scores_in_cache, data):
    score, hs, h, _ = problem(kind, SIZES[0], dtype=np.float32)
    layer = TimeAttention(score)
    layer.scores_in_cache = scores_in_cache
    hs, h = hs.astype(data), h.astype(data)
    out = layer.forward(hs, h)
    dout = np.ones(out.shape, np.float64)
    expected = np.float32 if layer.params else data
    for array in (out, layer.weights, *layer.backward(dout)):
        assert array.dtype == expected
    assert all(g.dtype == np.float32 for g in layer.grads)


def test_mixed_inputs_without_parameters_take_the_wider_dtype(rng):
    hs, h = rng.standard_normal((2, 4, 3)).astype(np.float32), rng.standard_normal((2, 5, 3))
    for size in (1, 2**16):
        layer = TimeAttention()
        layer.scores_in_cache = size
        out = layer.forward(hs, h)
        for array in (out, *layer.backward(out)):
            assert array.dtype == np.float64
    whole = np.array([[[1, 0], [0, 1]]] * 2)
    layer.scores_in_cache = 1
    out = layer.forward(whole, whole)
    close(out, np.repeat([[[np.e, 1], [1, np.e]]], 2, axis=0) / (1 + np.e))
    assert layer.backward(out)[0].dtype == np.float64


# --- errors ----------------------------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("layer_class", [None, AttentionWeight, Attention, TimeAttention])
def test_backward_before_forward_is_a_sentence(kind, layer_class):
    layer = make(kind, 3, 3) if layer_class is None else layer_class(make(kind, 3, 3))
    with pytest.raises(RuntimeError, match=rf"^{type(layer).__name__}\.backward: call forward first$"):
        layer.backward(np.ones((2, 5, 4)))


@pytest.mark.parametrize(
    ("kind", "sizes", "message"),
    [
        ("dot", (3, 4), "DotScore: h of size 4 and hs of size 3 do not fit: a dot product needs vectors of one size"),
        ("general", (3, 4), r"GeneralScore: h of size 4 and hs of size 3 do not fit: W is \(2, 3\)"),
        ("general", (4, 2), r"GeneralScore: h of size 2 and hs of size 4 do not fit: W is \(2, 3\)"),
        ("additive", (3, 4), r"AdditiveScore: h of size 4 and .* do not fit: Wq is \(2, 5\) and Wk is \(3, 5\)"),
        ("additive", (4, 2), r"AdditiveScore: h of size 2 and hs of size 4 do not fit: Wq is \(2, 5\)"),
    ],
)
@pytest.mark.parametrize("layer_class", [None, AttentionWeight, Attention, TimeAttention])
def test_sizes_that_do_not_fit_are_named(kind, sizes, message, layer_class):
    score = make(kind, 3, 2, A=5)
    layer = score if layer_class is None else layer_class(score)
    H_enc, H_dec = sizes
    with pytest.raises(ValueError, match=f"^{message}"):
        layer.forward(np.ones((2, 4, H_enc)), np.ones((2, 5, H_dec)))


@every_kind
@pytest.mark.parametrize("shape", [(3, 3), (3,), (3, 5, 3), (2, 1, 5, 3), (2, 0, 3), (2, 0)])
def test_queries_that_are_none(kind, shape):
    score = make(kind, 3, 3)
    message = rf"^{type(score).__name__}: hs is \(2, 4, 3\), so h must be \(2, H_dec\) or \(2, T_dec, H_dec\), got"
    with pytest.raises(ValueError, match=message):
        score.forward(np.ones((2, 4, 3)), np.ones(shape))


@every_kind
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 0, 3), (0, 4, 3), (2, 4, 0), (1, 2, 4, 3)])
def test_hidden_states_that_are_none(kind, shape):
    with pytest.raises(ValueError, match=r"Score: hs must be \(N, T, H\) with every size at least 1, got"):
        make(kind, 3, 3).forward(np.ones(shape), np.ones((2, 3)))


# --- memory ----------------------------------------------------------------------------------------------------


def peak(call):
    call()  # what is made once
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("with_attention", [False, True])
def test_the_additive_score_never_holds_all_neurons(two_cores, with_attention):
    N, T, T_dec, H, A = 4, 64, 128, 16, 128
    score, hs, h, _ = problem("additive", (N, T, T_dec, H, H, A), dtype=np.float32)
    layer = TimeAttention(score) if with_attention else score
    neurons = N * T * T_dec * A * 4  # bytes of one such array: 16.8 MB
    used = peak(lambda: layer.backward(layer.forward(hs, h)))
    small = N * (T_dec + T) * A * 4  # bytes of q and k, which are kept, and of their gradients
    assert used < neurons / 4
    assert used < 8 * small + 2 * 4 * 4 * score.block_size  # a few blocks for each core


def test_twice_the_queries_take_little_more_memory():
    def used(T_dec):
        score, hs, h, ds = problem("additive", (2, 64, T_dec, 4, 4, 256), dtype=np.float32)
        return peak(lambda: (score.forward(hs, h), score.backward(ds)))

    more = used(256) - used(128)
    assert more < 2 * 128 * 64 * 256 * 4 / 8  # an eighth of the neurons that were added


def test_the_module_says_what_it_offers():
    names = [n for n in vars(score_layers) if n.endswith("Score")]
    assert names == ["DotScore", "GeneralScore", "AdditiveScore"]
