"""Decoding: what generate writes, for many rows at once, whatever a reader puts into the model; and with a beam."""

import itertools
import threading

import numpy as np
import pytest

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Decoder, Encoder, Seq2seq
from ch08.attention_layer import Attention
from ch08.attention_seq2seq import AttentionDecoder, AttentionSeq2seq
from common.decoding import beam, forced_log_probs, greedy
from common.functions import softmax
from common.layers import Dropout
from common.time_layers import TimeDropout, TimeEmbedding, TimeGRU, TimeLSTM, TimeRNN

V, D, H, T_ENC, T_DEC = 9, 4, 12, 7, 5
MODELS = [Seq2seq, PeekySeq2seq, AttentionSeq2seq]


def make_model(model_class, seed=3):
    """A model with weights large enough for different questions to get different answers."""
    model, rng = model_class(V, D, H, dtype=np.float64, rng=seed), np.random.default_rng(seed)
    for p in model.params:
        p[...] = rng.standard_normal(p.shape) if p.ndim == 2 else 0
    return model


def questions(N=20, seed=1):
    return np.random.default_rng(seed).integers(0, V, (N, T_ENC))


def assert_greedy_is_generate(model, xs):
    ids = model.greedy_decode(xs, 2, T_DEC, chunk_size=6)
    one_by_one = [model.generate(x[None], 2, T_DEC) for x in xs]
    np.testing.assert_array_equal(ids, one_by_one)
    assert len({tuple(row) for row in one_by_one}) > 2, "a few answers for all questions prove little"


# --- start and step --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", MODELS)
def test_steps_are_the_forward_pass_one_token_at_a_time(model_class):
    model, xs = make_model(model_class), questions(4)
    ts = np.random.default_rng(5).integers(0, V, (4, T_DEC + 1))
    state = model.start(xs)
    for t in range(T_DEC):
        assert isinstance(state, tuple)
        assert all(len(array) == 4 for array in state)
        logits, state, weights = model.step(ts[:, t], state)
        assert logits.shape == (4, V)
        expected = model.decoder.forward(ts[:, : t + 1], model.encoder.forward(xs))[:, -1]
        np.testing.assert_allclose(logits, expected, rtol=1e-10, atol=1e-12)
        if model_class is AttentionSeq2seq:
            np.testing.assert_allclose(weights, model.decoder.attention.weights[:, -1], rtol=1e-10)
        else:
            assert weights is None


@pytest.mark.parametrize("model_class", MODELS)
def test_rows_of_a_state_can_be_reordered_between_two_steps(model_class):
    model, xs = make_model(model_class), questions(4)
    order = np.array([2, 2, 0, 3])
    _, state, _ = model.step(np.full(4, 2), model.start(xs))
    expected, _, _ = model.step(np.array([1, 5, 7, 4])[order], tuple(array[order] for array in state))
    model.generate(xs[:1], 2, 3)  # whatever the layers hold does not matter
    logits, _, _ = model.step(np.array([1, 5, 7, 4]), state)
    np.testing.assert_allclose(expected, logits[order], rtol=1e-12)


def test_greedy_knows_start_and_step_only():
    class Counter:
        """Writes the numbers after the one in xs, modulo V."""

        def start(self, xs):
            return (xs[:, :1] * 1.0,)

        def step(self, ids, state):
            (last,) = state
            state = (last + 1,)
            logits = 5.0 * (np.arange(V) == (last + 1) % V)  # (N, V)
            return logits, state, np.full((len(ids), 3), 1 / 3)

    xs = np.arange(7)[:, None]
    ids, probs, weights = greedy(Counter(), xs, start_id=0, length=4, chunk_size=2)
    np.testing.assert_array_equal(ids, (xs + np.arange(1, 5)) % V)
    np.testing.assert_allclose(probs, softmax(5.0 * np.eye(V)[0]).max())
    assert weights.shape == (7, 4, 3)


@pytest.mark.parametrize(
    ("xs", "length"), [(np.zeros(3, int), 2), (np.zeros((0, 3), int), 2), (np.zeros((2, 3), int), 0)]
)
def test_what_greedy_refuses(xs, length):
    with pytest.raises(ValueError, match=r"greedy takes \(N, T_enc\) with N at least 1, and at least one step"):
        greedy(make_model(Seq2seq), xs, 2, length)


# --- greedy_decode is generate, whatever is in the model -------------------------------------------------------


@pytest.mark.parametrize("model_class", MODELS)
def test_greedy_decode_is_generate(model_class):
    assert_greedy_is_generate(make_model(model_class), questions())


@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_with_a_replaced_embedding(model_class, part):
    class Shifted(TimeEmbedding):
        def forward(self, ids):
            return super().forward((ids + 1) % V)

    model, xs = make_model(model_class), questions()
    before = model.greedy_decode(xs, 2, T_DEC)
    layer = getattr(model, part)
    layer.embed = Shifted(layer.embed.params[0])
    assert_greedy_is_generate(model, xs)
    assert (model.greedy_decode(xs, 2, T_DEC) != before).any()


@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize(("layer", "gates"), [(TimeRNN, 1), (TimeGRU, 3), (TimeLSTM, 4)])
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_with_another_recurrent_layer(model_class, layer, gates, part):
    model, xs, rng = make_model(model_class), questions(), np.random.default_rng(0)
    owner = getattr(model, part)
    rows = owner.lstm.params[0].shape[0]
    weights = [rng.standard_normal(shape) for shape in ((rows, gates * H), (H, gates * H))] + [np.zeros(gates * H)]
    owner.lstm = layer(*weights, stateful=part == "decoder")
    assert_greedy_is_generate(model, xs)


def test_with_a_custom_recurrent_layer():
    class Leaky:
        """The least that the book's code needs from a recurrent layer."""

        def __init__(self, W):
            self.params, self.grads, self.h = [W], [np.zeros_like(W)], None

        def set_state(self, h, c=None):
            self.h = h

        def forward(self, xs):
            out = []
            for t in range(xs.shape[1]):
                self.h = 0.9 * self.h + 0.2 * np.tanh(xs[:, t] @ self.params[0])
                out.append(self.h)
            return np.stack(out, axis=1)

    for model_class in (Seq2seq, AttentionSeq2seq):
        model = make_model(model_class)
        model.decoder.lstm = Leaky(np.random.default_rng(0).standard_normal((D, H)))
        assert_greedy_is_generate(model, questions())


def test_with_a_custom_attention():
    class Loop:
        def __init__(self):
            self.params, self.grads, self.attention_weights = [], [], None

        def forward(self, hs_enc, hs_dec):
            layers = [Attention() for _ in range(hs_dec.shape[1])]
            out = [layer.forward(hs_enc, 2 * hs_dec[:, t]) for t, layer in enumerate(layers)]
            self.attention_weights = [layer.attention_weight for layer in layers]
            return np.stack(out, axis=1)

        def backward(self, dout):
            return np.zeros((len(dout), T_ENC, H)), np.zeros_like(dout)

    model, xs = make_model(AttentionSeq2seq), questions()
    model.decoder.attention = Loop()
    assert_greedy_is_generate(model, xs)
    _, _, weights = model.greedy_decode(xs, 2, T_DEC, with_details=True)
    assert weights.shape == (20, T_DEC, T_ENC)
    model.forward(xs, np.zeros((20, T_DEC + 1), int))  # trains as well, without knowing masks and labels
    model.backward()


def test_with_a_custom_encoder():
    class LastButOne(Encoder):
        def forward(self, xs):
            return super().forward(xs[:, :-1])

    model = make_model(Seq2seq)
    encoder = LastButOne(V, D, H, dtype=np.float64)
    for mine, p in zip(encoder.params, model.encoder.params, strict=True):
        mine[...] = p
    model.encoder = encoder
    assert_greedy_is_generate(model, questions())


def test_a_custom_generate_is_what_runs():
    class Backward(Decoder):
        def generate(self, h, start_id, sample_size):
            return super().generate(h, start_id, sample_size)[::-1]

    class Threes(AttentionDecoder):
        def generate(self, hs_enc, start_id, sample_size):
            return [3] * sample_size

    class Twice(Seq2seq):
        def generate(self, xs, start_id, sample_size):
            return [2 * i % V for i in super().generate(xs, start_id, sample_size)]

    model = make_model(Seq2seq)
    plain = model.greedy_decode(questions(), 2, T_DEC)
    decoder = Backward(V, D, H, dtype=np.float64)
    for mine, p in zip(decoder.params, model.decoder.params, strict=True):
        mine[...] = p
    model.decoder = decoder
    np.testing.assert_array_equal(model.greedy_decode(questions(), 2, T_DEC), plain[:, ::-1])
    with pytest.raises(
        TypeError, match="Backward has a generate of its own, which gives ids only; give it start and step"
    ):
        model.greedy_decode(questions(), 2, T_DEC, with_details=True)

    model = make_model(AttentionSeq2seq)
    model.decoder = Threes(V, D, H, dtype=np.float64)
    assert (model.greedy_decode(questions(), 2, T_DEC) == 3).all()
    np.testing.assert_array_equal(make_model(Twice).greedy_decode(questions(), 2, T_DEC), 2 * plain % V)


def test_a_custom_step_below_a_custom_generate_is_batched():
    class Shy(Decoder):
        def generate(self, h, start_id, sample_size):
            raise AssertionError("row by row")

    class Loud(Shy):
        def step(self, ids, state):
            logits, state, _ = super().step(ids, state)
            return -logits, state, None

    model = make_model(Seq2seq)
    model.decoder = Loud(V, D, H, dtype=np.float64, rng=2)
    ids, _, weights = model.greedy_decode(questions(), 2, T_DEC, with_details=True)
    assert ids.shape == (20, T_DEC)
    assert weights is None


# --- the model is left alone -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", MODELS)
def test_greedy_decode_between_forward_and_backward_changes_no_gradient(model_class):
    model, xs = make_model(model_class), questions(4)
    ts = np.random.default_rng(5).integers(0, V, (4, T_DEC + 1))
    model.forward(xs, ts)
    model.backward()
    expected = [g.copy() for g in model.grads]
    model.forward(xs, ts)
    model.greedy_decode(questions(), 2, T_DEC)
    model.backward()
    for got, want in zip(model.grads, expected, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("model_class", MODELS)
def test_backward_after_generate_says_what_is_missing(model_class):
    model = make_model(model_class)
    model.forward(questions(1), np.zeros((1, 2), int))
    model.generate(questions(1), 2, 1)
    with pytest.raises(RuntimeError, match=r"TimeSoftmaxWithLoss\.backward: call forward first"):
        model.backward()


def test_dropout_is_off_while_decoding_and_on_again_afterwards():
    model, xs = make_model(Seq2seq), questions()
    plain = model.greedy_decode(xs, 2, T_DEC)
    embed, dropout = model.encoder.embed, TimeDropout(0.9, rng=0)

    class Dropped:
        params, grads = embed.params, embed.grads

        def __init__(self):
            self.dropout = dropout

        def forward(self, ids):
            return self.dropout.forward(embed.forward(ids))

    model.encoder.embed = Dropped()
    np.testing.assert_array_equal(model.greedy_decode(xs, 2, T_DEC), plain)
    assert dropout.train_flg
    assert isinstance(dropout, Dropout)


@pytest.mark.parametrize("model_class", MODELS)
def test_threads_that_share_a_model_get_right_answers(model_class):
    model, sets = make_model(model_class), [questions(12, seed) for seed in range(6)]
    expected = [model.greedy_decode(xs, 2, T_DEC) for xs in sets]
    one_by_one = [[model.generate(x[None], 2, T_DEC) for x in xs] for xs in sets]
    wrong = []

    def work(k):
        for _ in range(5):
            if (model.greedy_decode(sets[k], 2, T_DEC, chunk_size=4) != expected[k]).any():
                wrong.append(k)
            if [model.generate(x[None], 2, T_DEC) for x in sets[k]] != one_by_one[k]:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- greedy up to the end mark ---------------------------------------------------------------------------------

PAD, START, END = 0, 1, 2


class Toy:
    """The least that decoding knows, with random weights: attends to the characters of xs that are not padding."""

    def __init__(self, seed=4, end_bias=0.0, attends=True):
        draw = np.random.default_rng(seed).standard_normal
        self.E, self.U, self.W = draw((V, H)), draw((H, H)) / 2, draw((H, V))
        self.end_bias, self.attends = end_bias, attends
        self.rows = []  # how many rows each step was asked for

    def start(self, xs):
        mask = xs != PAD  # (N, T_enc)
        memory = self.E[xs] * mask[:, :, None]  # (N, T_enc, H)
        return memory, mask, memory.sum(axis=1)

    def step(self, ids, state):
        memory, mask, h = state
        self.rows.append(len(ids))
        h = np.tanh(h @ self.U + self.E[ids])  # (N, H)
        a = softmax(np.where(mask, (memory @ h[:, :, None])[:, :, 0], -np.inf))  # (N, T_enc)
        c = (a[:, None] @ memory)[:, 0]
        logits = (h + c) @ self.W
        logits[:, END] += self.end_bias
        return logits, (memory, mask, h), a if self.attends else None


def padded(N=23, seed=4):
    """Inputs (N, T_ENC) of lengths 1 to T_ENC, padded at the end."""
    rng = np.random.default_rng(seed)
    xs = rng.integers(3, V, (N, T_ENC))
    xs[np.arange(T_ENC) >= rng.integers(1, T_ENC + 1, (N, 1))] = PAD
    return xs


def test_greedy_stops_at_the_end_mark():
    model, xs = Toy(), padded()
    whole = greedy(model, xs, START, 12)
    ids, probs, weights = greedy(model, xs, START, 12, chunk_size=5, end_id=END)
    ends = [list(row).index(END) + 1 if END in row else 12 for row in whole.ids]
    assert len(set(ends)) > 3, "the rows must end at different steps"
    assert ids.shape[1] == max(ends)
    for k, T in enumerate(ends):
        np.testing.assert_array_equal(ids[k, :T], whole.ids[k, :T])
        np.testing.assert_allclose(probs[k, :T], whole.probs[k, :T], rtol=1e-12)
        np.testing.assert_allclose(weights[k, :T], whole.weights[k, :T], rtol=1e-9)
        assert (ids[k, T:] == END).all()
        assert (probs[k, T:] == 1).all()
        assert (weights[k, T:] == 0).all()


def test_greedy_stops_early_and_never_without_an_end_mark():
    model, xs = Toy(end_bias=100.0), padded(4)
    assert greedy(model, xs, START, 12, end_id=END).ids.tolist() == [[END]] * 4
    assert model.rows == [4]
    assert greedy(model, xs, START, 12).ids.shape == (4, 12)


@pytest.fixture
def one_core(monkeypatch):
    """What is decoded goes through in as few chunks as ``chunk_size`` allows."""
    for room in ("decoding", "parallel"):
        monkeypatch.setattr(f"common.{room}.workers", lambda: 1)


@pytest.mark.parametrize(("rows", "sizes"), [(40, [20, 20]), (23, [16, 7]), (16, [16]), (300, [128, 128, 44])])
def test_every_core_gets_rows(monkeypatch, rows, sizes):
    monkeypatch.setattr("common.decoding.workers", lambda: 2)
    started = []

    class Watched(Toy):
        def start(self, xs):
            started.append(len(xs))
            return super().start(xs)

    model, xs = Watched(), padded(rows)
    ids = greedy(model, xs, START, 3).ids
    assert sorted(started, reverse=True) == sizes
    np.testing.assert_array_equal(ids, np.concatenate([greedy(model, x[None], START, 3).ids for x in xs]))


def test_with_the_padding_id_rows_of_like_length_are_read_without_it(one_core):
    widths = []

    class Watched(Toy):
        def start(self, xs):
            widths.append(xs.shape[1])
            return super().start(xs)

    model, xs = Watched(), padded()
    plain = greedy(model, xs, START, 12, end_id=END)
    assert widths == [T_ENC]
    widths.clear()
    ids, probs, weights = greedy(model, xs, START, 12, chunk_size=4, end_id=END, pad_id=PAD)
    assert sorted(widths) == sorted(
        int((xs != PAD).sum(axis=1)[order].max())
        for order in np.array_split(np.argsort((xs != PAD).sum(axis=1), kind="stable"), range(4, 23, 4))
    )
    after_the_end = np.cumsum(plain.ids == END, axis=1) - (plain.ids == END) > 0
    np.testing.assert_array_equal(ids, np.where(after_the_end, PAD, plain.ids))
    np.testing.assert_allclose(probs, plain.probs, rtol=1e-9)
    np.testing.assert_allclose(weights, plain.weights, rtol=1e-9, atol=1e-12)
    empty = np.zeros((1, T_ENC), int)  # a row of padding only is read as one token
    with np.errstate(all="ignore"):
        greedy(model, empty, START, 1, pad_id=PAD)
    assert widths[-1] == 1


# --- forced ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", MODELS)
def test_forced_log_probs_are_the_losses_of_forward(model_class):
    model, xs = make_model(model_class), questions(6)
    ts = np.random.default_rng(5).integers(0, V, (6, T_DEC + 1))
    forced = forced_log_probs(model, xs, ts, chunk_size=4)
    assert forced.shape == (6, T_DEC)
    assert -forced.mean() == pytest.approx(model.forward(xs, ts), rel=1e-12)


def test_with_its_own_tokens_the_model_is_asked_for_the_right_ones_all_the_same():
    model, xs = Toy(), padded(6)
    ts = np.random.default_rng(5).integers(0, V, (6, T_DEC + 1))
    ts[:, 0] = START
    own = forced_log_probs(model, xs, ts, own_tokens=True)
    wrote = greedy(model, xs, START, T_DEC).ids
    for t in range(T_DEC):
        seen = np.concatenate((ts[:, :1], wrote[:, :t], ts[:, t + 1 : t + 2]), axis=1)
        np.testing.assert_allclose(own[:, t], forced_log_probs(model, xs, seen)[:, t], rtol=1e-12)


def test_forced_log_probs_of_padding_are_0():
    model, xs = Toy(), padded(6)
    ts = np.random.default_rng(5).integers(3, V, (6, T_DEC + 1))
    ts[2, 3:] = PAD
    plain, without = forced_log_probs(model, xs, ts), forced_log_probs(model, xs, ts, chunk_size=4, pad_id=PAD)
    np.testing.assert_allclose(without, np.where(ts[:, 1:] == PAD, 0, plain), rtol=1e-9)
    with pytest.raises(ValueError, match=r"forced_log_probs takes \(N, T_enc\)"):
        forced_log_probs(model, xs, ts[:5])


# --- beam ------------------------------------------------------------------------------------------------------


def normalized(log_probs, alpha):
    return log_probs.sum() / ((5 + len(log_probs)) / 6) ** alpha


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("attends", [True, False])
def test_a_beam_of_1_is_greedy_up_to_the_end_mark(seed, attends):
    model, xs = Toy(seed, attends=attends), padded()
    found = beam(model, xs, START, END, 9, beam_size=1, chunk_size=5)
    ids, probs, weights = greedy(model, xs, START, 9, end_id=END)
    for k, (hypothesis,) in enumerate(found):
        T = list(ids[k]).index(END) + 1 if END in ids[k] else 9
        np.testing.assert_array_equal(hypothesis.ids, ids[k, :T])
        np.testing.assert_allclose(np.exp(hypothesis.log_probs), probs[k, :T], rtol=1e-9)
        if attends:
            np.testing.assert_allclose(hypothesis.weights, weights[k, :T], rtol=1e-9)
        else:
            assert hypothesis.weights is None


@pytest.mark.parametrize("model_class", MODELS)
def test_a_beam_of_1_is_greedy_with_the_models_of_the_book(model_class):
    model, xs = make_model(model_class), questions()
    ids = greedy(model, xs, START, T_DEC, end_id=END).ids
    for row, (hypothesis,) in zip(ids, beam(model, xs, START, END, T_DEC, beam_size=1), strict=True):
        np.testing.assert_array_equal(row[: len(hypothesis.ids)], hypothesis.ids)
        assert (row[len(hypothesis.ids) :] == END).all()


def test_equal_logits_are_taken_in_the_order_of_their_ids():
    class Even:
        def start(self, xs):
            return (xs,)

        def step(self, ids, state):
            return np.zeros((len(ids), V)), state, None

    xs = padded(3)
    for (hypothesis,) in beam(Even(), xs, START, END, 4, beam_size=1):
        np.testing.assert_array_equal(hypothesis.ids, greedy(Even(), xs, START, 4, end_id=END).ids[0])


@pytest.mark.parametrize("alpha", [0, 0.6, 1.5])
def test_the_score_of_a_hypothesis_is_its_forced_score(alpha):
    model, xs = Toy(3), padded()
    for k, hypotheses in enumerate(beam(model, xs, START, END, 7, 4, alpha, n_best=4)):
        assert len(hypotheses) == 4
        assert len({tuple(h.ids) for h in hypotheses}) == 4
        done = [h.score for h in hypotheses if h.ids[-1] == END]
        assert done == sorted(done, reverse=True)
        for h in hypotheses:
            forced = forced_log_probs(model, xs[[k]], np.array([[START, *h.ids]]))[0]
            np.testing.assert_allclose(h.log_probs, forced, rtol=1e-9)
            assert h.score == pytest.approx(normalized(forced, alpha), rel=1e-9)
            assert h.weights.shape == (len(h.ids), T_ENC)
            assert END not in h.ids[:-1]


@pytest.mark.parametrize("alpha", [0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_that_holds_everything_finds_the_best_of_all_answers(alpha, seed):
    model, xs, T = Toy(seed, end_bias=-1.0), padded(3), 3
    others = [i for i in range(V) if i != END]
    answers = [(*part, END) for t in range(T) for part in itertools.product(others, repeat=t)]
    for k, found in enumerate(beam(model, xs, START, END, T, 8**3, alpha, n_best=5)):
        scores = {}
        for answer in answers:
            forced = forced_log_probs(model, xs[[k]], np.array([[START, *answer]]))[0]
            scores[answer] = normalized(forced, alpha)
        best = sorted(scores, key=lambda answer: -scores[answer])[:5]
        assert [tuple(h.ids) for h in found] == best


def plain_beam(model, x, max_length, K, alpha):
    """The best finished answer, one sentence and one hypothesis at a time, by the rule in the docstring of ``beam``."""
    live, finished = [((), 0.0)], []
    for _ in range(max_length):
        extended = []
        for ids, total in live:
            for token in range(V):
                longer = (*ids, token)
                log_prob = forced_log_probs(model, x[None], np.array([[START, *longer]]))[0, -1]
                extended.append((longer, total + log_prob))
        extended.sort(key=lambda pair: -pair[1])
        finished += [(total / ((5 + len(ids)) / 6) ** alpha, ids) for ids, total in extended[:K] if ids[-1] == END]
        live = [(ids, total) for ids, total in extended if ids[-1] != END][:K]
        if len(finished) >= K and max(finished)[0] >= live[0][1] / ((5 + len(live[0][0])) / 6) ** alpha:
            break
    return max(finished)[1] if finished else live[0][0]


@pytest.mark.parametrize(("K", "alpha"), [(2, 0), (3, 1.0), (5, 0.6)])
def test_the_batched_beam_is_the_plain_one(K, alpha):
    model, xs = Toy(5, end_bias=-1.0), padded(8)
    for x, (found,) in zip(xs, beam(model, xs, START, END, 5, K, alpha, chunk_size=3), strict=True):
        assert tuple(found.ids) == plain_beam(model, x, 5, K, alpha)


def test_a_batch_equals_its_rows_one_by_one_with_and_without_padding():
    model, xs = Toy(2), padded()
    alone = [beam(model, x[None], START, END, 9, n_best=3)[0] for x in xs]
    for options in ({}, {"chunk_size": 4}, {"pad_id": PAD, "chunk_size": 4}):
        together = beam(model, xs, START, END, 9, n_best=3, **options)
        for mine, theirs in zip(together, alone, strict=True):
            assert [tuple(h.ids) for h in mine] == [tuple(h.ids) for h in theirs]
            for a, b in zip(mine, theirs, strict=True):
                assert a.score == pytest.approx(b.score, rel=1e-9)
                np.testing.assert_allclose(a.weights, b.weights, rtol=1e-9, atol=1e-12)


def test_finished_sentences_take_no_more_steps(one_core):
    model, xs = Toy(1, end_bias=2.0), padded()
    found = beam(model, xs, START, END, 30, beam_size=3)
    assert model.rows[0] == 23  # one row for each sentence: nothing is written yet
    assert model.rows[1] <= 3 * 23
    assert model.rows == [23, *sorted(model.rows[1:], reverse=True)]
    assert len(model.rows) < 30
    assert model.rows[-1] < model.rows[1]
    assert all(h[0].ids[-1] == END for h in found)


def test_it_ends_when_no_live_hypothesis_can_win():
    model = Toy(2, end_bias=30.0)  # the end mark takes all the probability
    assert [h[0].ids.tolist() for h in beam(model, padded(4), START, END, 30)] == [[END]] * 4
    assert model.rows == [4]


def test_it_goes_on_while_a_live_hypothesis_can_win():
    class Late:
        """Writes the end mark at once with probability 0.4, otherwise 0 and then the end mark."""

        def start(self, xs):
            return (xs[:, :1] * 0.0,)

        def step(self, ids, state):
            (later,) = state
            first, then = np.array([0.6, 1e-9, 0.4]), np.array([1e-9, 1e-9, 1.0])
            return np.log(np.where(later, then, first)), (later + 1,), None

    (found,) = beam(Late(), np.array([[1]]), 1, 2, 9, beam_size=3, length_penalty=0.0)
    assert found[0].ids.tolist() == [0, 2]
    assert np.exp(found[0].score) == pytest.approx(0.6)


@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_bad_answers_that_finish_first_do_not_end_the_search_for_the_good_one(alpha):
    class Short:
        """Writes 0 five times and then the end mark, with probability 0.9; all else ends at once, and is unlikely."""

        def start(self, xs):
            return (np.zeros(len(xs)), np.zeros(len(xs)))  # how much is written; whether all of it is 0

        def step(self, ids, state):
            t, other = state
            other = np.where(t > 0, np.maximum(other, ids != 0), 0)
            on, end = np.array([0.9, 0.04, 0.02, 0.04]), np.array([1e-3, 1e-3, 0.997, 1e-3])
            return np.log(np.where((other + (t == 5))[:, None] > 0, end, on)), (t + 1, other), None

    (found,) = beam(Short(), np.array([[1]]), 1, 2, 9, beam_size=3, length_penalty=alpha)
    assert found[0].ids.tolist() == [0, 0, 0, 0, 0, 2]
    (several,) = beam(Short(), np.array([[1]]), 1, 2, 9, beam_size=3, length_penalty=alpha, n_best=3)
    assert several[0].ids.tolist() == [0, 0, 0, 0, 0, 2]


def test_what_is_cut_off_counts_only_where_too_few_have_finished():
    model, xs = Toy(2, end_bias=-1e9), padded(4)
    for hypotheses in beam(model, xs, START, END, 6, 3, n_best=3):
        assert [len(h.ids) for h in hypotheses] == [6, 6, 6]
        assert hypotheses[0].score >= hypotheses[1].score >= hypotheses[2].score
    seen = set()
    for hypotheses in beam(Toy(2, end_bias=-1.0), padded(), START, END, 3, 3, n_best=3):
        ended = [h.ids[-1] == END for h in hypotheses]
        assert ended == sorted(ended, reverse=True)
        seen.add(sum(ended))
    assert len(seen) > 1


def test_a_larger_penalty_makes_longer_answers():
    model, xs = Toy(1), padded()
    lengths = [np.mean([len(h[0].ids) for h in beam(model, xs, START, END, 12, 5, alpha)]) for alpha in (0.0, 1.0, 3.0)]
    assert lengths[0] < lengths[1] < lengths[2]


def test_arrays_that_are_handed_on_for_a_while_are_reordered_all_the_same():
    class Late(Toy):
        """Its second array differs between the hypotheses of a sentence, and yet some steps hand it on as it is."""

        def start(self, xs):
            return (*super().start(xs), np.zeros((len(xs), 1)), np.zeros(len(xs)))

        def step(self, ids, state):
            *rest, first, t = state
            if len(t) and t[0] % 2 == 0:
                first = first + ids[:, None]
            logits, after, a = super().step(ids, tuple(rest))
            return logits + np.sin(first * np.arange(V)), (*after, first, t + 1), a

    model, xs = Late(6, end_bias=-4.0), padded(12)
    for k, hypotheses in enumerate(beam(model, xs, START, END, 8, 4, n_best=4)):
        for h in hypotheses:
            forced = forced_log_probs(model, xs[[k]], np.array([[START, *h.ids]]))[0]
            np.testing.assert_allclose(h.log_probs, forced, rtol=1e-9)


def test_fewer_tokens_than_hypotheses():
    class Binary:
        def start(self, xs):
            return (xs[:, 0],)

        def step(self, ids, state):
            return np.log([[0.5, 0.3, 0.2]] * len(ids)), state, None

    (found,) = beam(Binary(), np.array([[1]]), 1, 2, 2, beam_size=10, length_penalty=0, n_best=10)
    assert [(tuple(h.ids), round(np.exp(h.score), 9)) for h in found] == [
        ((2,), 0.2), ((0, 2), 0.1), ((1, 2), 0.06), ((0, 0), 0.25), ((0, 1), 0.15), ((1, 0), 0.15), ((1, 1), 0.09),
    ]  # fmt: skip


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_numbers_are_an_error(value):
    class Broken(Toy):
        def step(self, ids, state):
            logits, state, a = super().step(ids, state)
            logits[-1, 3] = value
            return logits, state, a

    with pytest.raises(FloatingPointError, match=r"beam: the logits of step 0 \(the first is 0\) are NaN or infinite"):
        beam(Broken(), padded(2), START, END, 4)


def test_tokens_that_a_model_forbids_are_not_written():
    class Strict(Toy):
        def step(self, ids, state):
            logits, state, a = super().step(ids, state)
            logits[:, [0, 1, *range(4, V)]] = -np.inf
            return logits, state, a

    for hypotheses in beam(Strict(), padded(3), START, END, 4, 5, n_best=2):
        assert {int(i) for h in hypotheses for i in h.ids} <= {2, 3}


@pytest.mark.parametrize("options", [{"n_best": 0}, {"n_best": 6}, {"beam_size": 0}, {"length_penalty": -1}])
def test_what_beam_refuses(options):
    with pytest.raises(ValueError, match=r"beam: n_best .* must be 1 to beam_size, .* and length_penalty"):
        beam(Toy(), padded(2), START, END, 4, **options)
    with pytest.raises(ValueError, match=r"beam takes \(N, T_enc\) with N at least 1"):
        beam(Toy(), padded(2), START, END, 0)


# --- the coverage penalty ---------------------------------------------------------------------------------------


class Table:
    """A model by hand: of what is written so far, the probabilities of the next token and where the step looks."""

    def __init__(self, table):
        self.table = table  # {ids so far: (probabilities of 0, START, END, weights)}

    def start(self, xs):
        return (np.zeros((len(xs), 0), int),)

    def step(self, ids, state):
        (written,) = state
        written = np.concatenate((written, ids[:, None]), axis=1)
        probs, weights = zip(*(self.table[tuple(row[1:])] for row in written.tolist()), strict=True)
        with np.errstate(divide="ignore"):
            return np.log(np.array(probs)), (written,), np.array(weights)


FIRST, SECOND = [0.9, 0.1], [0.1, 0.9]  # where a step looks, of two positions
TWO_WORDS = Table({
    (): ([0.6, 0.4, 0], FIRST),
    (0,): ([0, 0, 1], FIRST),  # 0 and the end mark: the second position got 0.2
    (1,): ([0, 0, 1], SECOND),  # 1 and the end mark: all is covered
})  # fmt: skip
END_OR_ON = Table({
    (): ([0.4, 0, 0.6], FIRST),  # the end mark at once: the first position got 0.9, the second 0.1
    (0,): ([0, 0, 1], SECOND),
})  # fmt: skip


@pytest.mark.parametrize(("beta", "ids", "score"), [
    (0, [0, 2], np.log(0.6)),
    (0.2, [0, 2], np.log(0.6) + 0.2 * np.log(0.2)),
    (0.3, [1, 2], np.log(0.4)),  # the two are equal where beta is log(0.6 / 0.4) / log(1 / 0.2), 0.25
    (1, [1, 2], np.log(0.4)),
])  # fmt: skip
def test_an_answer_that_looks_everywhere_wins_if_coverage_counts_enough(beta, ids, score):
    (found,) = beam(TWO_WORDS, np.array([[5, 6]]), 1, 2, 4, 3, 0, coverage_penalty=beta)
    assert found[0].ids.tolist() == ids
    assert found[0].score == pytest.approx(score, rel=1e-12)


@pytest.mark.parametrize("alpha", [0, 0.2])
@pytest.mark.parametrize("beam_size", [1, 5])
def test_an_answer_that_has_looked_at_little_can_still_look(beam_size, alpha):
    """Whether 1 or fewer than ``beam_size`` have finished: what lives is not given up for what it has yet to cover."""
    options = dict(beam_size=beam_size, length_penalty=alpha)
    (plain,) = beam(END_OR_ON, np.array([[5, 6]]), 1, 2, 9, **options)
    assert plain[0].ids.tolist() == [2]
    (found,) = beam(END_OR_ON, np.array([[5, 6]]), 1, 2, 9, **options, coverage_penalty=0.5)
    assert found[0].ids.tolist() == [0, 2]
    assert found[0].score == pytest.approx(np.log(0.4) / (7 / 6) ** alpha, rel=1e-12)


def by_the_formula(model, x, answer, alpha, beta):
    """s(X, Y) of an answer, from what the model says when it is made to write it; padding in x does not count."""
    state, log_p, coverage = model.start(x[None]), 0, 0
    for last, token in zip((START, *answer), answer, strict=False):
        logits, state, a = model.step(np.array([last]), state)
        log_p += logits[0, token] - np.log(np.exp(logits[0]).sum())
        coverage = coverage + a[0]
    return log_p / ((5 + len(answer)) / 6) ** alpha + beta * np.log(np.minimum(coverage[x != PAD], 1)).sum()


@pytest.mark.parametrize(("alpha", "beta"), [(0, 0.2), (0.2, 0.2), (1, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_that_holds_everything_finds_the_best_of_all_answers_with_coverage(alpha, beta, seed):
    model, xs, T = Toy(seed, end_bias=-1.0), padded(4)[1:], 3
    others = [i for i in range(V) if i != END]
    answers = [(*part, END) for t in range(T) for part in itertools.product(others, repeat=t)]
    options = dict(n_best=5, coverage_penalty=beta, pad_id=PAD)
    for x, found in zip(xs, beam(model, xs, START, END, T, 8**3, alpha, **options), strict=True):
        scores = {answer: by_the_formula(model, x, answer, alpha, beta) for answer in answers}
        best = sorted(scores, key=lambda answer: -scores[answer])[:5]
        assert [tuple(h.ids) for h in found] == best
        np.testing.assert_allclose([h.score for h in found], [scores[answer] for answer in best], rtol=1e-9)


@pytest.mark.parametrize("max_length", [4, 9])
def test_scores_with_coverage_follow_from_the_weights_also_of_what_is_cut_off(max_length):
    model, xs, alpha, beta = Toy(3, end_bias=-1.0), padded(), 0.2, 0.4
    changed = cut = 0
    plain = beam(model, xs, START, END, max_length, 4, alpha, pad_id=PAD)
    found = beam(model, xs, START, END, max_length, 4, alpha, n_best=4, coverage_penalty=beta, chunk_size=5, pad_id=PAD)
    for x, hypotheses, (without,) in zip(xs, found, plain, strict=True):
        changed += hypotheses[0].ids.tolist() != without.ids.tolist()
        for h in hypotheses:
            cut += h.ids[-1] != END
            covered = np.minimum(h.weights.sum(axis=0)[x != PAD], 1)
            expected = normalized(h.log_probs, alpha) + beta * np.log(covered).sum()
            assert h.score == pytest.approx(expected, rel=1e-9)
            assert h.score == pytest.approx(by_the_formula(model, x, h.ids.tolist(), alpha, beta), rel=1e-9)
    assert changed, "coverage must change a winner"
    assert cut if max_length == 4 else True


def test_padding_does_not_count_for_coverage():
    model, xs = Toy(2), padded()
    alone = [beam(model, x[None, x != PAD], START, END, 9, n_best=3, coverage_penalty=0.3)[0] for x in xs]
    together = beam(model, xs, START, END, 9, n_best=3, coverage_penalty=0.3, chunk_size=4, pad_id=PAD)
    for mine, theirs in zip(together, alone, strict=True):
        assert [tuple(h.ids) for h in mine] == [tuple(h.ids) for h in theirs]
        np.testing.assert_allclose([h.score for h in mine], [h.score for h in theirs], rtol=1e-9)


def test_without_a_coverage_penalty_every_result_stays_as_it_is():
    model, xs = Toy(2), padded()
    plain, zero = (beam(model, xs, START, END, 9, 4, n_best=4, **options) for options in ({}, {"coverage_penalty": 0}))
    for mine, theirs in zip(zero, plain, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            assert a.score == b.score == pytest.approx(normalized(a.log_probs, 0.6), rel=1e-12)
            np.testing.assert_array_equal(a.ids, b.ids)


def test_a_position_without_any_attention_costs_much_but_scores_stay_finite():
    hard = Table({
        (): ([0.5, 0.5, 0], [1, 0, 0]),
        (0,): ([0, 0, 1], [1, 0, 0]),  # two positions are left out
        (1,): ([0, 0, 1], [0, 1, 0]),  # one is
    })  # fmt: skip
    (found,) = beam(hard, np.array([[5, 6, 7]]), 1, 2, 4, 3, 0, 2, coverage_penalty=0.2)
    assert [h.ids.tolist() for h in found] == [[1, 2], [0, 2]]
    least = np.log(float(np.finfo(np.float32).tiny))
    np.testing.assert_allclose([h.score for h in found], np.log(0.5) + 0.2 * least * np.array([1, 2]), rtol=1e-12)


def test_what_a_coverage_penalty_needs():
    for penalty in (-0.2, np.nan):
        with pytest.raises(ValueError, match=rf"coverage_penalty must be at least 0, got {penalty}: the log"):
            beam(Toy(), padded(2), START, END, 4, coverage_penalty=penalty)
    with pytest.raises(ValueError, match=r"needs a weight for every .* but Toy\.step returned no attention weights"):
        beam(Toy(attends=False), padded(2), START, END, 4, coverage_penalty=0.2)
    with pytest.raises(ValueError, match=r"of xs, \(1, 2\), but Table\.step returned attention weights \(1, 3\)"):
        beam(Table({(): ([0, 0, 1], [1, 0, 0])}), np.array([[5, 6]]), 1, 2, 4, coverage_penalty=0.2)
    assert beam(Toy(attends=False), padded(2), START, END, 4)[0][0].weights is None
