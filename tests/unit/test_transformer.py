"""Transformer: gradients of all its forms, what it must not see, cached steps, tied weights, several cores.

What all models of translation have in common is in test_translation_models.py.
"""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from ch08.multi_head_attention import LearnedPositions
from ch08.transformer import DecoderLayer, EncoderLayer, PostNorm, PreNorm, TiedAffine, Transformer
from common import parallel
from common.base_model import Composite, sublayers
from common.decoding import beam, forced_log_probs, greedy
from common.gradient_check import gradient_check
from common.layers import Dropout
from common.optimizer import SGD, merge_tied
from common.parallel import DataParallel, inner_layers
from dataset.words import END_ID, PAD_ID, START_ID

V, D, H = 7, 4, 5
XS = np.array([[4, 6, 3, 5], [5, 3, PAD_ID, PAD_ID], [6, PAD_ID, PAD_ID, PAD_ID]])
TS = np.array([[1, 5, 4, 2, 0], [1, 6, 2, 0, 0], [1, 3, 5, 6, 2]])

each_norm = pytest.mark.parametrize("pre_norm", [True, False])
each_tie = pytest.mark.parametrize("tied", [False, True, "all"])
each_kind_of_positions = pytest.mark.parametrize("positions", ["sinusoidal", "learned"])


def away_from_kinks(layer):
    """Bring the input of every ReLU far away from 0, where it has no derivative."""
    for name, p in zip(layer.param_names, layer.params, strict=True):
        if name.endswith("affine1.b"):
            p[...] = 9
            p[::2] = -9
    return layer


def make(seed=3, sizes=(V, V, D, H), shake=0.4, **options):
    """A model of two layers in which nothing is at its first value, such as gamma at 1."""
    options = dict(layers=2, heads=2, max_length=6, dtype=np.float64) | options
    model = Transformer(*sizes, rng=seed, **options)
    rng = np.random.default_rng(seed)
    for p in {id(p): p for p in model.params}.values():
        p += shake * rng.standard_normal(p.shape)
    return model


def smooth(**options):
    """A model of one layer that numerical gradients can follow: they move a number by 0.002 at most."""
    return away_from_kinks(make(**dict(seed=1, shake=0.2, layers=1) | options))


def logits_of(model, xs=XS, ts=TS):
    return model.decoder.forward(ts[:, :-1], *model.encoder.forward(xs))


# --- gradients -------------------------------------------------------------------------------------------------


@each_norm
@pytest.mark.parametrize(("positions", "tied"), [("sinusoidal", False), ("learned", True), ("sinusoidal", "all")])
def test_every_gradient(pre_norm, positions, tied):
    model = smooth(pre_norm=pre_norm, positions=positions, tied=tied, label_smoothing=0.1)
    gradient_check(model, XS[:2, :3], TS[:2, :4])


def test_every_gradient_of_two_layers():
    gradient_check(smooth(layers=2), XS[:2, :2], TS[:2, 1:])


@each_norm
@pytest.mark.parametrize(("n", "t", "t_enc"), [(2, 3, 4), (1, 1, 1), (3, 1, 2)])
def test_every_gradient_of_a_layer(rng, pre_norm, n, t, t_enc):
    options = dict(dropout=0.0, dtype=np.float64, rng=rng)
    x, hs_enc = rng.standard_normal((n, t, D)), rng.standard_normal((n, t_enc, D))
    mask = np.ones((n, t_enc), bool)
    mask[0, 1:] = False
    encoder, decoder = (away_from_kinks(kind(D, H, 2, pre_norm, **options)) for kind in (EncoderLayer, DecoderLayer))
    gradient_check(encoder, hs_enc)
    gradient_check(encoder, hs_enc, mask)
    gradient_check(decoder, hs_enc, x)
    gradient_check(decoder, hs_enc, x, mask)


@each_norm
def test_every_gradient_with_dropout(pre_norm):
    model = smooth(pre_norm=pre_norm, dropout=0.3, tied=True)
    parts = [layer for layer in inner_layers(model) if isinstance(layer, Dropout)]
    assert len(parts) == 7, "two on embeddings, one for each part of a layer"

    def the_same_numbers():
        for seed, part in enumerate(parts):
            part.rng = np.random.default_rng(seed)

    gradient_check(model, XS[:2, :3], TS[:2, :4], before=the_same_numbers)


@pytest.mark.parametrize("kind", [PreNorm, PostNorm])
def test_what_stands_around_a_part(rng, kind):
    """The part here is x -> 2 x. Its gradient goes both ways, past the part and into it."""

    class Doubled(Composite):
        def __init__(self):
            self.around = kind(D, 0.0, np.float64, rng)

        def forward(self, x):
            return self.around.forward(x, 2 * self.around.read(x))

        def backward(self, dy):
            dx, dout = self.around.backward(dy)
            return self.around.read_backward(dx, 2 * dout)

    layer, x = Doubled(), rng.standard_normal((2, 3, D))
    for p in layer.params:
        p[...] = rng.standard_normal(D)
    norm = layer.around.norm.forward
    expected = x + 2 * norm(x) if kind is PreNorm else norm(x + 2 * x)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=1e-12)
    gradient_check(layer, x)


# --- what it sees ----------------------------------------------------------------------------------------------


class NoPositions:
    def __init__(self):
        self.params, self.grads = [], []

    def forward(self, x, start=0):
        return x.copy()


@each_norm
def test_without_positions_the_order_of_words_makes_no_difference(pre_norm):
    model, order = make(pre_norm=pre_norm), np.array([3, 1, 0, 2])
    logits, other = logits_of(model), logits_of(model, XS[:, order])
    assert np.abs(logits[0] - other[0]).max() > 0.01, "with positions it does"
    model.encoder.positions = NoPositions()
    hs, _ = model.encoder.forward(XS)
    logits = logits_of(model)
    np.testing.assert_allclose(model.encoder.forward(XS[:, order])[0], hs[:, order], rtol=1e-10)
    np.testing.assert_allclose(logits_of(model, XS[:, order]), logits, rtol=1e-10)


@each_norm
@each_kind_of_positions
def test_no_later_word_changes_an_earlier_logit(pre_norm, positions):
    model = make(pre_norm=pre_norm, positions=positions)
    logits = logits_of(model)
    for t in range(TS.shape[1] - 1):
        other = TS.copy()
        other[:, t] = 3 + (other[:, t] - 2) % 4
        changed = np.abs(logits_of(model, ts=other) - logits).max(axis=(0, 2))
        np.testing.assert_array_equal(changed[:t], 0)
        assert (changed[t:] > 1e-6).all()


@each_norm
def test_padding_changes_no_state_of_a_word(pre_norm):
    model = make(pre_norm=pre_norm)
    hs, mask = model.encoder.forward(XS)
    for x, h, words in zip(XS, hs, mask, strict=True):
        np.testing.assert_allclose(model.encoder.forward(x[None, words])[0][0], h[words], rtol=1e-12)
    W = model.encoder.embed.params[0]
    W[PAD_ID] = 1e3
    np.testing.assert_array_equal(model.encoder.forward(XS)[0][mask], hs[mask])


def test_words_enter_with_variance_1():
    model = Transformer(2000, 2000, 64, 8, heads=2, layers=1, rng=0, dtype=np.float64)
    W = model.encoder.embed.params[0]
    assert W.std() == pytest.approx(1 / 8, rel=0.02)
    model.encoder.positions = NoPositions()
    read = []
    model.encoder.layers[0].forward = lambda x, mask: read.append(x) or x
    model.encoder.forward(np.arange(1, 1001).reshape(100, 10))
    assert read[0].var() == pytest.approx(1, rel=0.03)
    np.testing.assert_allclose(read[0][3, 4], 8 * W[35], rtol=1e-12)


def test_weights_of_every_head_and_layer_can_be_read():
    model = make(layers=3)
    logits_of(model)
    T, T_enc = TS.shape[1] - 1, XS.shape[1]
    for layer in model.encoder.layers:
        assert layer.attention.weights.shape == (3, 2, T_enc, T_enc)
    for layer in model.decoder.layers:
        assert layer.attention.weights.shape == (3, 2, T, T)
        assert layer.cross_attention.weights.shape == (3, 2, T, T_enc)
    last = model.decoder.layers[-1].cross_attention.weights
    np.testing.assert_allclose(model.decoder.weights, (last[:, 0] + last[:, 1]) / 2, rtol=1e-12)
    assert len({float(layer.cross_attention.weights[0, 0, 0, 0]) for layer in model.decoder.layers}) == 3


# --- decoding --------------------------------------------------------------------------------------------------


@each_norm
@each_kind_of_positions
@each_tie
def test_cached_steps_are_the_full_forward(pre_norm, positions, tied):
    model = make(pre_norm=pre_norm, positions=positions, tied=tied)
    logits = logits_of(model)
    weights, state = model.decoder.weights, model.start(XS)
    for t in range(TS.shape[1] - 1):
        got, state, a = model.step(TS[:, t], state)
        np.testing.assert_allclose(got, logits[:, t], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(a, weights[:, t], rtol=1e-10)
        assert [array.shape for array in state] == [(3, 4), *[(3, 4, 2 * D)] * 2, *[(3, t + 1, 2 * D)] * 2]


def test_a_step_computes_one_word():
    """T words cost T steps: no layer is given a word that was read before, nor the encoder's states again."""
    model, seen = make(), []
    state = model.start(XS)
    for layer in inner_layers(model.decoder):
        if type(layer).__name__ in ("TimeAffine", "LayerNorm", "FeedForward"):
            layer.forward = lambda x, forward=layer.forward: seen.append(x.shape) or forward(x)
    for t in range(4):
        _, state, _ = model.step(TS[:, t], state)
    assert {shape[:2] for shape in seen} == {(3, 1)}
    per_layer = 3 + 2 + 2 + 1 + 3  # projections, those of cross attention without keys, affine, feed-forward, norms
    assert len(seen) == 4 * (2 * per_layer + 2)


@each_tie
def test_a_beam_of_one_is_greedy(rng, tied):
    model = make(sizes=(V, V, 8, H), tied=tied, max_length=12)
    for p in {id(p): p for p in model.params}.values():
        p *= 3
    xs = rng.integers(3, V, (20, 5))
    xs[::2, 3:] = PAD_ID
    written = greedy(model, xs, START_ID, 8, 4, end_id=END_ID, pad_id=PAD_ID)
    assert len({tuple(row) for row in written.ids.tolist()}) > 3
    one = beam(model, xs, START_ID, END_ID, 8, beam_size=1, chunk_size=5, pad_id=PAD_ID)
    for row, (hypothesis,) in zip(written.ids, one, strict=True):
        np.testing.assert_array_equal(hypothesis.ids, row[: len(hypothesis.ids)])
    for x, hypotheses in zip(xs, beam(model, xs, START_ID, END_ID, 8, beam_size=4, pad_id=PAD_ID), strict=True):
        forced = forced_log_probs(model, x[None], np.array([[START_ID, *hypotheses[0].ids]]))
        np.testing.assert_allclose(hypotheses[0].log_probs, forced[0], rtol=1e-9)


# --- tied weights ----------------------------------------------------------------------------------------------


def test_what_is_tied_is_one_array():
    apart, target, both = (make(tied=tied) for tied in (False, True, "all"))
    for model, count in ((apart, 3), (target, 2), (both, 1)):
        arrays = [model.encoder.embed.params[0], model.decoder.embed.params[0], model.decoder.affine.params[0]]
        assert len({id(array) for array in arrays}) == count
        params, _ = merge_tied(model.params, model.grads)
        assert len(params) == len(model.params) - 3 + count
    assert both.decoder.affine.params[0] is both.encoder.embed.params[0]
    W = Transformer(500, 500, 64, 8, layers=1, tied="all", rng=0).encoder.embed.params[0]
    assert W.std() == pytest.approx(1 / 8, rel=0.02)


def test_a_tied_logit_compares_a_state_with_the_word(rng):
    W, b, x = rng.standard_normal((5, 3)), rng.standard_normal(5), rng.standard_normal((2, 4, 3))
    logits = TiedAffine(W, b).forward(x)
    assert logits[1, 2, 4] == pytest.approx(x[1, 2] @ W[4] + b[4], rel=1e-12)
    gradient_check(TiedAffine(W, b), x)


def test_a_tied_array_takes_one_step_along_the_sum_of_its_gradients():
    model = make(tied="all")
    W = model.encoder.embed.params[0]
    model.forward(XS, TS)
    model.backward()
    total = model.encoder.embed.grads[0] + model.decoder.embed.grads[0] + model.decoder.affine.grads[0]
    expected = W - 0.1 * total
    SGD(lr=0.1).update(*merge_tied(model.params, model.grads))
    np.testing.assert_allclose(W, expected, rtol=1e-12)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_stays_tied(copied):
    model = make(tied="all")
    other = copied(model)
    W = other.encoder.embed.params[0]
    assert other.decoder.embed.params[0] is other.decoder.affine.params[0] is W
    assert not np.shares_memory(W, model.encoder.embed.params[0])


@each_tie
def test_a_tied_model_comes_back(tmp_path, tied):
    model, other = make(tied=tied), make(seed=4, tied=tied)
    other.load_params(model.save_params(tmp_path / "weights.npz"))
    assert other.forward(XS, TS) == model.forward(XS, TS)


# --- several cores ---------------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 2, 3])
def cores(request, monkeypatch):
    """As if NumPy's BLAS used so many threads, however many this machine has."""

    class Controller:
        lib_controllers = (SimpleNamespace(num_threads=request.param),)

        def limit(self, limits):
            return SimpleNamespace(restore_original_limits=lambda: None)

    monkeypatch.setattr(parallel, "_controller", lambda: Controller())
    return request.param


@each_norm
@each_tie
def test_parts_make_the_gradients_of_the_whole(cores, pre_norm, tied):
    model, whole = (make(pre_norm=pre_norm, tied=tied, positions="learned") for _ in range(2))
    parts, xs, ts = DataParallel(model, min_rows=1), np.tile(XS, (3, 1)), np.tile(TS, (3, 1))
    for _ in range(2):
        assert parts.forward(xs, ts) == pytest.approx(whole.forward(xs, ts), rel=1e-12)
        parts.backward()
        whole.backward()
        for which, got, expected in zip(model.param_names, model.grads, whole.grads, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-13, err_msg=which)


def test_a_copy_for_a_part_shares_no_layer():
    """Every layer keeps something for backward, so one that two parts used at once would mix them up."""

    def layers_in(layer):
        return [layer, *(inner for _, sub in sublayers(layer) for inner in layers_in(sub))]

    model = make(pre_norm=False)
    found = layers_in(model)
    assert {id(layer) for layer in found} == {id(layer) for layer in inner_layers(model)}
    other = parallel.replica(model)
    assert not {id(layer) for layer in found} & {id(layer) for layer in layers_in(other)}


# --- settings --------------------------------------------------------------------------------------------------


@each_norm
@each_tie
def test_float32_stays_float32(pre_norm, tied):
    model = Transformer(V, V, D, H, heads=2, pre_norm=pre_norm, tied=tied, dropout=0.2, label_smoothing=0.1, rng=0)
    assert model.forward(XS, TS).dtype == np.float32
    model.backward()
    hs, mask = model.encoder.forward(XS)
    state = model.start(XS)
    logits, after, a = model.step(TS[:, 0], state)
    arrays = [*model.params, *model.grads, hs, *state[1:], *after[1:], logits, a, logits_of(model)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    assert mask.dtype == state[0].dtype == bool


def test_first_weights_follow_the_seed():
    one, two, other = (Transformer(V, V, 8, H, rng=seed) for seed in (1, 1, 2))
    for p, q in zip(one.params, two.params, strict=True):
        np.testing.assert_array_equal(p, q)
    assert any((p != q).any() for p, q in zip(one.params, other.params, strict=True))
    assert (len(one.encoder.layers), len(one.decoder.layers)) == (3, 3)
    assert one.encoder.layers[0].attention.attention.heads == 8


def test_learned_positions_end():
    model = make(positions="learned", max_length=4)
    assert isinstance(model.decoder.positions, LearnedPositions)
    model.forward(XS, TS)
    with pytest.raises(ValueError, match="LearnedPositions: there are 4 positions of size 4, which do not fit"):
        model.forward(np.tile(XS, (1, 2)), TS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(heads=3), "wordvec_size 4 must be a multiple of heads, 3"),
        (dict(layers=0), "layers must be at least 1, got 0"),
        (dict(positions="none"), 'positions must be "sinusoidal" or "learned", got \'none\''),
        (dict(tied="both"), "tied must be False, True or \"all\", got 'both'"),
        (dict(tied="all", sizes=(V, 8, D, H)), "7 words of the source and 8 of the target"),
        (dict(dropout=1.0), r"dropout_ratio must be in \[0, 1\), got 1\.0"),
    ],
)
def test_settings_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_batches_that_do_not_fit():
    model = make()
    with pytest.raises(ValueError, match="TransformerEncoder: row 1 of xs is all padding"):
        model.forward(np.array([[4, 5], [0, 0]]), TS[:2])
    with pytest.raises(ValueError, match=r"Transformer: xs \(2, 4\) and ts \(3, 5\) must be"):
        model.forward(XS[:2], TS)
    with pytest.raises(ValueError, match=r"Transformer: decoder_xs \(3, 5\) must be \(N, T_dec\)"):
        model.forward(XS, TS, TS)
    with pytest.raises(IndexError, match="id 7 is outside the vocabulary of 7"):
        model.forward(np.full((3, 2), V), TS)
