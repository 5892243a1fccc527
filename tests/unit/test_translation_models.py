"""The translators: gradients with padding, which counts nowhere; decoding; own words."""

import tracemalloc
from functools import partial

import numpy as np
import pytest

from ch08.bahdanau_seq2seq import BahdanauSeq2seq
from ch08.gnmt import GNMT
from ch08.luong_seq2seq import LuongSeq2seq
from ch08.transformer import Transformer
from ch08.word_seq2seq import WordSeq2seq
from common.decoding import beam, forced_log_probs, greedy
from common.gradient_check import gradient_check
from common.layers import Dropout
from common.optimizer import Adam
from common.parallel import DataParallel, inner_layers
from common.trainer import Trainer
from common.training.batch import Batch
from dataset.words import END_ID, PAD_ID, START_ID

V_SOURCE, V_TARGET, D, H = 9, 8, 4, 6
MODELS = {
    "bahdanau": BahdanauSeq2seq,
    "words": WordSeq2seq,
    "luong, dot": LuongSeq2seq,
    "luong, general": partial(LuongSeq2seq, score="general"),
    "luong, concat": partial(LuongSeq2seq, score="concat"),
    "luong, dot, feeding": partial(LuongSeq2seq, input_feeding=True),
    "luong, general, feeding": partial(LuongSeq2seq, score="general", input_feeding=True),
    "luong, concat, feeding": partial(LuongSeq2seq, score="concat", input_feeding=True),
    "luong, two readers": partial(LuongSeq2seq, bidirectional=True),
    "luong, two readers, feeding": partial(LuongSeq2seq, bidirectional=True, input_feeding=True),
    "gnmt": partial(GNMT, layers=2),  # other depths: test_gnmt.py
    "transformer": partial(Transformer, layers=2, heads=2),
    "transformer, post-norm": partial(Transformer, layers=2, heads=2, pre_norm=False),
    "transformer, learned, tied": partial(
        Transformer, layers=1, heads=2, positions="learned", max_length=24, tied=True
    ),
}
SEEDS = {"transformer, post-norm": 0}  # of weights, else 3: different sentences must get different translations
HANDED_ON = {
    "bahdanau": 3,
    "gnmt": 3,
    "words": 0,
    "transformer": 3,
    "transformer, post-norm": 3,
}  # arrays of a state, else 2
each_model = pytest.mark.parametrize("name", MODELS)


def make_model(name, *sizes, seed=None, dtype=np.float64, **options):
    """A model with weights large enough for different sentences to get different translations."""
    seed = SEEDS.get(name, 3) if seed is None else seed
    model = MODELS[name](*(sizes or (V_SOURCE, V_TARGET, D, H)), dtype=dtype, rng=seed, **options)
    rng = np.random.default_rng(seed)
    for p in model.params:
        p[...] = (1.5 if p.ndim == 2 else 0.1) * rng.standard_normal(p.shape)
    for which, p in zip(model.param_names, model.params, strict=True):
        if which.endswith("gamma"):
            p += 1
        if which == "encoder.embed.W" and name.startswith("transformer"):
            p *= 4  # so that a word counts for more than its position and those around it
        if which.endswith("cross_attention.output.W"):
            p *= 3
        elif which.endswith(("attention.output.W", "affine2.W")):
            p *= 0.3
    return model


def small_model(name, **options):
    """A model small enough to move every number of it."""
    if not name.startswith("transformer"):
        return make_model(name, 5, 5, 2, 2, **options)
    model = make_model(name, 5, 5, 4, 3, layers=1, **options)  # a layer norm of two numbers returns 1 and -1
    for which, p in zip(model.param_names, model.params, strict=True):
        if p.ndim == 2 and (".layers." in which or which == "encoder.embed.W"):
            p *= 0.2  # large ones, normed, bend so sharply that numerical gradients cannot follow
        if which.endswith("affine1.b"):  # before a ReLU: away from its kink, where there is no gradient
            p[...] = 4
            p[::2] = -4
    return model


def sentences(rng, lengths, V, width=None):
    """Rows of ids (N, T) of words, 4 and more where V allows, with these lengths, padded."""
    out = np.full((len(lengths), width or max(lengths)), PAD_ID)
    for row, length in zip(out, lengths, strict=True):
        row[:length] = rng.integers(min(4, V - 3), V, length)
    return out


def pairs(rng, source, target, V_source=V_SOURCE, V_target=V_TARGET):
    """A batch: xs with ``source`` words a row, ts with the start mark, ``target`` words and the end mark."""
    xs = sentences(rng, source, V_source)
    ts = np.full((len(target), max(target) + 2), PAD_ID)
    for row, length in zip(ts, target, strict=True):
        row[: length + 2] = [START_ID, *rng.integers(min(4, V_target - 3), V_target, length), END_ID]
    return xs, ts


# --- gradients -------------------------------------------------------------------------------------------------


@each_model
@pytest.mark.parametrize(("source", "target"), [((4, 2, 1), (1, 3, 2)), ((1,), (1,)), ((1, 1), (3, 1))])
def test_every_gradient_with_padding(rng, name, source, target):
    model = small_model(name)
    xs, ts = pairs(rng, source, target, 5, 5)
    gradient_check(model, xs, ts)


@each_model
def test_every_gradient_where_the_decoder_reads_other_words_and_padding_stands_anywhere(rng, name):
    model = small_model(name)
    xs, ts = np.array([[0, 3, 0, 1, 2], [4, 0, 0, 0, 0]]), np.array([[1, 0, 3, 4], [1, 4, 2, 0]])
    gradient_check(model, xs, ts, np.array([[2, 3, 1], [4, 4, 0]]))


def test_every_gradient_with_gold_alignments(rng):
    model = make_model("bahdanau", 5, 5, 2, 2)
    model.alignment_loss.weight = 2.0
    xs, ts = pairs(rng, (4, 2, 1), (1, 3, 2), 5, 5)
    gold = np.zeros((3, ts.shape[1] - 1, xs.shape[1]), bool)
    gold[0, 0, 1:3] = gold[1, 2, 1] = True
    plain = model.forward(xs, ts)
    assert model.forward(xs, ts, gold=gold) > plain
    gradient_check(model, xs, ts, None, gold)


@pytest.mark.parametrize("teacher_forcing", [0.0, 0.5])
def test_every_gradient_where_the_decoder_reads_its_own_words(rng, teacher_forcing):
    model = make_model("bahdanau", 5, 5, 2, 2, teacher_forcing=teacher_forcing, dropout=0.4)
    xs, ts = pairs(rng, (3, 2), (5, 4), 5, 5)

    def the_same_coins():
        layers = (model.encoder.dropout, model.decoder.steps.step.dropout, model.decoder)
        generator = np.random.default_rng(9)
        for layer in layers:
            layer.rng = generator

    the_same_coins()
    model.forward(xs, ts)
    assert (model.decoder.read != ts[:, :-1]).any()
    gradient_check(model, xs, ts, before=the_same_coins)


@each_model
def test_every_gradient_with_dropout(rng, name):
    model = small_model(name, dropout=0.3)
    xs, ts = pairs(rng, (3, 1), (2, 3), 5, 5)
    parts = [layer for layer in inner_layers(model) if isinstance(layer, Dropout)]
    assert len(parts) >= 2

    def the_same_numbers():
        for seed, part in enumerate(parts):
            part.rng = np.random.default_rng(seed)

    gradient_check(model, xs, ts, before=the_same_numbers)


@each_model
def test_parts_of_a_batch_make_the_gradients_of_the_whole(rng, name):
    """Parts are weighted by the number of words that are not padding."""
    model, whole = make_model(name), make_model(name)
    xs, ts = pairs(rng, rng.integers(1, 6, 9), rng.integers(1, 7, 9))
    parts = DataParallel(model, min_rows=1)
    assert parts.forward(xs, ts) == pytest.approx(whole.forward(xs, ts), rel=1e-12)
    assert whole.count == (ts[:, 1:] != PAD_ID).sum()
    parts.backward()
    whole.backward()
    for which, got, expected in zip(model.param_names, model.grads, whole.grads, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-13, err_msg=which)


# --- padding ---------------------------------------------------------------------------------------------------


@each_model
def test_more_padding_changes_neither_loss_nor_gradients(rng, name):
    model = make_model(name)
    xs, ts = pairs(rng, (5, 2, 3), (4, 1, 3))
    loss = model.forward(xs, ts)
    model.backward()
    grads = [g.copy() for g in model.grads]
    assert model.forward(np.pad(xs, ((0, 0), (0, 3))), np.pad(ts, ((0, 0), (0, 2)))) == pytest.approx(loss, rel=1e-12)
    model.backward()
    for which, got, expected in zip(model.param_names, model.grads, grads, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-14, err_msg=which)
    for which in ("encoder.embed.W", "decoder.embed.W"):
        np.testing.assert_array_equal(model.grads[model.param_names.index(which)][PAD_ID], 0)


@each_model
def test_a_batch_is_its_sentences_one_by_one(rng, name):
    model = make_model(name)
    xs, ts = pairs(rng, (5, 1, 3), (2, 4, 3))
    mean = model.forward(xs, ts)
    if name != "words":
        weights = model.decoder.weights
        np.testing.assert_array_equal(weights[np.broadcast_to((xs == PAD_ID)[:, None], weights.shape)], 0)
        np.testing.assert_allclose(weights.sum(axis=2), 1)
    total = 0
    for x, t in zip(xs, ts, strict=True):
        one = model.forward(x[None, x != PAD_ID], t[None, t != PAD_ID])
        total += one * model.count
    assert mean == pytest.approx(total / (ts[:, 1:] != PAD_ID).sum(), rel=1e-12)


@each_model
def test_a_sentence_without_words_is_an_error(rng, name):
    model = make_model(name)
    xs, ts = pairs(rng, (3, 2), (2, 2))
    xs[1] = PAD_ID
    with pytest.raises(ValueError, match=r"row 1 .*is all padding, so there is nothing to (attend to|translate)"):
        model.forward(xs, ts)


@each_model
def test_another_padding_id(rng, name):
    model, other = make_model(name), make_model(name, pad_id=1)
    swapped = np.arange(max(V_SOURCE, V_TARGET))
    swapped[:2] = 1, 0
    for one, two in zip(model.params, other.params, strict=True):
        two[...] = one
    for part in (other.encoder, other.decoder):
        W = part.embed.params[0]
        W[[0, 1]] = W[[1, 0]]
    W, b = other.decoder.affine.params
    b[[0, 1]] = b[[1, 0]]
    if W is not other.decoder.embed.params[0]:
        W[:, [0, 1]] = W[:, [1, 0]]
    xs, ts = pairs(rng, (4, 2), (3, 1))
    assert other.forward(swapped[xs], swapped[ts]) == pytest.approx(model.forward(xs, ts), rel=1e-12)


# --- decoding --------------------------------------------------------------------------------------------------


@each_model
def test_steps_are_the_forward_pass_one_word_at_a_time(rng, name):
    model = make_model(name)
    xs, ts = pairs(rng, (5, 2, 3), (4, 1, 3))
    logits = model.decoder.forward(ts[:, :-1], *model.encoder.forward(xs))
    weights, state = getattr(model.decoder, "weights", None), model.start(xs)
    first = state
    for t in range(ts.shape[1] - 1):
        assert isinstance(state, tuple)
        assert all(len(array) == 3 for array in state)
        got, state, a = model.step(ts[:, t], state)
        np.testing.assert_allclose(got, logits[:, t], rtol=1e-10)
        if name == "words":
            assert a is None
        else:
            np.testing.assert_allclose(a, weights[:, t], rtol=1e-10)
        kept = sum(array is old for array, old in zip(state, first, strict=True))
        assert kept == HANDED_ON.get(name, 2), "what no step changes is handed on as the same object"


@each_model
def test_forced_log_probabilities_are_the_loss(rng, name):
    model = make_model(name)
    xs, ts = pairs(rng, (5, 2, 3, 4), (4, 1, 3, 2))
    forced = forced_log_probs(model, xs, ts, pad_id=PAD_ID, chunk_size=3)
    assert -forced.sum() / (ts[:, 1:] != PAD_ID).sum() == pytest.approx(model.forward(xs, ts), rel=1e-12)


@each_model
def test_a_beam_of_one_is_greedy_and_scores_are_forced_scores(rng, name):
    model = make_model(name)
    xs = sentences(rng, rng.integers(1, 7, 12), V_SOURCE)
    options = dict(pad_id=PAD_ID)
    written = greedy(model, xs, START_ID, 8, 5, end_id=END_ID, **options)
    one = beam(model, xs, START_ID, END_ID, 8, beam_size=1, chunk_size=5, **options)
    assert len({tuple(row) for row in written.ids.tolist()}) > 3, "a few answers for all sentences prove little"
    for row, (hypothesis,) in zip(written.ids, one, strict=True):
        np.testing.assert_array_equal(hypothesis.ids, row[: len(hypothesis.ids)])
        assert (row[len(hypothesis.ids) :] == PAD_ID).all()
    for x, hypotheses in zip(xs, beam(model, xs, START_ID, END_ID, 8, beam_size=3, n_best=2, **options), strict=True):
        for hypothesis in hypotheses:
            forced = forced_log_probs(model, x[None], np.array([[START_ID, *hypothesis.ids]]))
            np.testing.assert_allclose(hypothesis.log_probs, forced[0], rtol=1e-9)
            if hypothesis.weights is not None:
                np.testing.assert_array_equal(hypothesis.weights[:, x == PAD_ID], 0)


@each_model
def test_greedy_decode_is_generate(rng, name):
    model = make_model(name)
    xs = sentences(rng, rng.integers(1, 7, 12), V_SOURCE)
    got, probs, weights = model.greedy_decode(xs, START_ID, 5, with_details=True, chunk_size=5)
    np.testing.assert_array_equal(got, [model.generate(x[None], START_ID, 5) for x in xs])
    assert probs.shape == (12, 5)
    assert weights is None if name == "words" else weights.shape == (12, 5, xs.shape[1])


@each_model
def test_rows_of_a_state_can_be_reordered_between_two_steps(rng, name):
    model, order = make_model(name), np.array([2, 2, 0, 1])
    xs = sentences(rng, (4, 2, 3), V_SOURCE)
    _, state, _ = model.step(np.full(3, START_ID), model.start(xs))
    expected, _, _ = model.step(np.array([4, 5, 6])[order], tuple(array[order] for array in state))
    model.generate(xs[:1], START_ID, 3)  # whatever the layers hold does not matter
    logits, _, _ = model.step(np.array([4, 5, 6]), state)
    np.testing.assert_allclose(expected, logits[order], rtol=1e-12)


# --- training --------------------------------------------------------------------------------------------------


@each_model
def test_three_steps_of_training(rng, name):
    model = MODELS[name](V_SOURCE, V_TARGET, D, H, rng=1)
    assert all(p.dtype == np.float32 for p in model.params)
    xs, ts = pairs(rng, (4, 2, 3, 1), (3, 1, 2, 2))
    before, count = model.forward(xs, ts), model.count
    batch = Batch((ts[:, 1:] != PAD_ID).sum(), xs=xs, ts=ts)
    trainer = Trainer(DataParallel(model, min_rows=2), Adam(lr=0.02))
    options = dict(batches=lambda epoch: [batch], max_grad=5.0, eval_interval=None, verbose=False)
    trainer.fit(xs, ts, max_epoch=3, **options)
    assert trainer.step == 3
    assert batch.count == count == 12
    assert model.forward(xs, ts) < before


@each_model
def test_a_saved_model_comes_back_and_its_names_are_unique(tmp_path, name):
    model, other = make_model(name), make_model(name, seed=4)
    assert len(set(model.param_names)) == len(model.params) == len(model.grads)
    other.load_params(model.save_params(tmp_path / "weights.npz"))
    for p, q in zip(model.params, other.params, strict=True):
        np.testing.assert_array_equal(p, q)


@each_model
def test_dropout_is_off_in_use_and_follows_the_seed(rng, name):
    one, two = (make_model(name, dropout=0.5) for _ in range(2))
    xs, ts = pairs(rng, (4, 2, 3), (3, 1, 2))
    assert one.forward(xs, ts) == two.forward(xs, ts)
    assert one.forward(xs, ts) != pytest.approx(two.eval().forward(xs, ts), rel=1e-6)
    assert two.forward(xs, ts) == pytest.approx(make_model(name).forward(xs, ts), rel=1e-12)


@each_model
def test_label_smoothing_changes_the_loss_in_training_only(rng, name):
    plain, smoothed = make_model(name), make_model(name, label_smoothing=0.1)
    xs, ts = pairs(rng, (4, 2, 3), (3, 1, 2))
    loss = plain.forward(xs, ts)
    assert smoothed.forward(xs, ts) != pytest.approx(loss, rel=1e-6)
    logits = plain.decoder.forward(ts[:, :-1], *plain.encoder.forward(xs))
    log_p = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    words = ts[:, 1:] != PAD_ID
    expected = 0.9 * loss - 0.1 * log_p.mean(axis=2)[words].mean()
    assert smoothed.forward(xs, ts) == pytest.approx(expected, rel=1e-12)
    assert smoothed.eval().forward(xs, ts) == loss
    gradient_check(small_model(name, label_smoothing=0.1), *pairs(rng, (3, 1), (2, 3), 5, 5))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@each_model
def test_a_step_of_training_holds_one_array_over_the_vocabulary(rng, name, label_smoothing):
    """The logits (N, T, V) become the probabilities and then the gradient."""
    V, T = 3000, 20
    model = MODELS[name](9, V, D, H, rng=1, label_smoothing=label_smoothing)
    xs, ts = pairs(rng, (4,) * 16, (T - 1,) * 16, V_target=V)
    model.forward(xs, ts), model.backward()
    tracemalloc.start()
    try:
        model.forward(xs, ts)
        model.backward()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    one = 16 * T * V * 4
    assert one < peak < 1.4 * one


def test_own_words_are_those_that_the_model_would_write(rng):
    """With a teacher who never speaks, the decoder reads in training what greedy decoding writes."""
    model = make_model("bahdanau", teacher_forcing=0.0)
    xs, ts = pairs(rng, (4, 2, 3), (6, 6, 6))
    own = model.forward(xs, ts)
    np.testing.assert_array_equal(model.decoder.read[:, 1:], model.greedy_decode(xs, START_ID, 6))
    forced = make_model("bahdanau")
    assert forced.forward(xs, ts, model.decoder.read) == pytest.approx(own, rel=1e-12)
    model.backward(), forced.backward()
    for which, got, expected in zip(model.param_names, model.grads, forced.grads, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-13, err_msg=which)
    assert model.eval().forward(xs, ts) == pytest.approx(forced.forward(xs, ts), rel=1e-12)


def test_teacher_forcing_is_a_probability_per_step(rng):
    model = make_model("bahdanau", teacher_forcing=0.75)
    xs, ts = pairs(rng, (4, 2), (40, 40))
    taught = []
    for _ in range(10):
        model.forward(xs, ts)
        own = model.decoder.read != ts[:, :-1]
        assert not own[:, 0].any(), "the first step reads the start mark"
        taught.append(1 - own[:, 1:].any(axis=0).mean())
    assert 0.65 < np.mean(taught) < 0.85


# --- settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("teacher_forcing", [-0.1, 1.5])
def test_a_teacher_forcing_that_is_not_a_probability(teacher_forcing):
    with pytest.raises(ValueError, match=rf"teacher_forcing is a probability, in \[0, 1\], got {teacher_forcing}"):
        BahdanauSeq2seq(9, 8, 4, 6, teacher_forcing=teacher_forcing)


def test_an_unknown_score():
    with pytest.raises(ValueError, match='score must be "dot", "general" or "concat", got \'local\''):
        LuongSeq2seq(9, 8, 4, 6, score="local")
    with pytest.raises(ValueError, match="two LSTMs share hidden_size, so it must be even, got 5"):
        LuongSeq2seq(9, 8, 4, 5, bidirectional=True)
