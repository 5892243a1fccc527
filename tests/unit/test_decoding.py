"""Greedy decoding: what generate writes, for many rows at once, whatever a reader puts into the model."""

import threading

import numpy as np
import pytest

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Decoder, Encoder, Seq2seq
from ch08.attention_layer import Attention
from ch08.attention_seq2seq import AttentionDecoder, AttentionSeq2seq
from common.decoding import greedy
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
