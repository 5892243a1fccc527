"""Encoder, decoder and the three models: values, order of parameters, decoding, errors."""

import numpy as np
import pytest

from ch07.peeky_seq2seq import PeekyDecoder, PeekySeq2seq
from ch07.seq2seq import Encoder, Seq2seq
from ch08.attention_layer import TimeAttention
from ch08.attention_seq2seq import AttentionDecoder, AttentionEncoder, AttentionSeq2seq
from common.base_model import BaseModel
from common.functions import softmax
from common.optimizer import Adam
from common.time_layers import LSTM, TimeSoftmaxWithLoss

V, D, H, T_ENC, T_DEC = 7, 3, 5, 6, 4
MODELS = [Seq2seq, PeekySeq2seq, AttentionSeq2seq]


def make_model(model_class, dtype=np.float64, seed=8, spread=1.0):
    """A model with weights large enough for different questions to get different answers."""
    model = model_class(V, D, H, dtype=dtype, rng=seed)
    rng = np.random.default_rng(seed)
    for p in model.params:
        p[...] = spread * rng.standard_normal(p.shape)
    return model


def make_batch(N=3, seed=2):
    rng = np.random.default_rng(seed)
    return rng.integers(0, V, (N, T_ENC)), rng.integers(0, V, (N, T_DEC + 1))


# --- plain versions: one cell per step, everything by name -------------------------------------------------


def plain_lstm(embed_W, Wx, Wh, b, ids, h, c, more=None):
    """Yield the hidden state of each step; ``more`` (N, H) is put in front of each embedding."""
    cell = LSTM(Wx, Wh, b)
    for t in range(ids.shape[1]):
        x = embed_W[ids[:, t]]
        h, c = cell.forward(x if more is None else np.hstack([more, x]), h, c)
        yield h


def plain_scores(model, xs, ids):
    """The logits (N, T_dec, V) of a model, written out step by step from its params."""
    p = dict(zip(model.param_names, model.params, strict=True))
    N = len(xs)
    zeros = np.zeros((N, H))
    enc = list(plain_lstm(*(p[f"encoder.{n}"] for n in ("embed.W", "lstm.Wx", "lstm.Wh", "lstm.b")), xs, zeros, zeros))
    peeky = isinstance(model, PeekySeq2seq)
    lstm = [p[f"decoder.{n}"] for n in ("embed.W", "lstm.Wx", "lstm.Wh", "lstm.b")]
    scores = []
    for h in plain_lstm(*lstm, ids, enc[-1], zeros, enc[-1] if peeky else None):
        if peeky:
            h = np.hstack([enc[-1], h])
        if isinstance(model, AttentionSeq2seq):
            a = softmax(np.stack([(h * e).sum(axis=1) for e in enc], axis=1))
            h = np.hstack([sum(a[:, t : t + 1] * e for t, e in enumerate(enc)), h])
        scores.append(h @ p["decoder.affine.W"] + p["decoder.affine.b"])
    return np.stack(scores, axis=1)


@pytest.mark.parametrize("model_class", MODELS)
def test_loss_equals_the_plain_version(model_class):
    model, (xs, ts) = make_model(model_class), make_batch()
    scores = plain_scores(model, xs, ts[:, :-1])
    y = softmax(scores)
    expected = -np.mean([np.log(y[n, t, ts[n, t + 1]]) for n in range(3) for t in range(T_DEC)])
    assert model.forward(xs, ts) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("model_class", MODELS)
def test_generate_equals_the_plain_version(model_class):
    model, (xs, _) = make_model(model_class), make_batch(N=6)
    for row in xs:
        ids = [2]
        for _ in range(T_DEC):
            ids.append(int(plain_scores(model, row[None], np.array([ids]))[0, -1].argmax()))
        got = model.generate(row[None], 2, T_DEC)
        assert got == ids[1:]
        assert all(type(i) is int for i in got)


# --- construction ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_params_are_in_the_order_of_the_book(model_class, dtype):
    model = model_class(V, D, H, dtype=dtype)
    more_in = H if model_class is PeekySeq2seq else 0
    more_out = 0 if model_class is Seq2seq else H
    expected = {
        "encoder.embed.W": (V, D),
        "encoder.lstm.Wx": (D, 4 * H),
        "encoder.lstm.Wh": (H, 4 * H),
        "encoder.lstm.b": (4 * H,),
        "decoder.embed.W": (V, D),
        "decoder.lstm.Wx": (D + more_in, 4 * H),
        "decoder.lstm.Wh": (H, 4 * H),
        "decoder.lstm.b": (4 * H,),
        "decoder.affine.W": (H + more_out, V),
        "decoder.affine.b": (V,),
    }
    assert dict(zip(model.param_names, [p.shape for p in model.params], strict=True)) == expected
    assert [g.shape for g in model.grads] == [p.shape for p in model.params]
    assert all(p.dtype == dtype for p in model.params + model.grads)
    for name, p in zip(model.param_names, model.params, strict=True):
        part, layer, letter = name.split(".")
        inside = getattr(getattr(model, part), layer)
        assert any(p is q for q in inside.params), f"{name} is not the array that the layer uses ({letter})"


def test_default_dtype_is_float32():
    assert all(p.dtype == np.float32 for p in Seq2seq(V, D, H).params)


@pytest.mark.parametrize("model_class", MODELS)
def test_a_seed_makes_a_model_repeatable(model_class):
    np.random.seed(5)
    first = model_class(V, D, H)
    np.random.seed(5)
    second = model_class(V, D, H)
    for rng in (7, np.random.default_rng(7)):
        for p, q in zip(model_class(V, D, H, rng=7).params, model_class(V, D, H, rng=rng).params, strict=True):
            np.testing.assert_array_equal(p, q)
    for p, q in zip(first.params, second.params, strict=True):
        np.testing.assert_array_equal(p, q)
    assert any((p != q).any() for p, q in zip(first.params, model_class(V, D, H).params, strict=True))


@pytest.mark.parametrize("model_class", MODELS)
def test_start_weights_have_the_sizes_of_the_book(model_class):
    model = model_class(500, 60, 80, rng=0)
    for name, p in zip(model.param_names, model.params, strict=True):
        if name.endswith("b"):
            np.testing.assert_array_equal(p, 0)
        else:
            scale = 0.01 if "embed" in name else len(p) ** -0.5
            assert p.std() == pytest.approx(scale, rel=0.05), name
            assert abs(p.mean()) < 0.05 * scale, name


@pytest.mark.parametrize("bad", ["seed", 1.5, object()])
def test_what_is_not_a_random_generator(bad):
    with pytest.raises(TypeError, match=r"rng must be a NumPy Generator, a RandomState"):
        Seq2seq(V, D, H, rng=bad)


def test_encoder_hands_over_the_last_state_and_attention_encoder_all_of_them():
    xs, _ = make_batch()
    one, all_of_them = Encoder(V, D, H, rng=1), AttentionEncoder(V, D, H, rng=1)
    hs = all_of_them.forward(xs)
    assert hs.shape == (3, T_ENC, H)
    np.testing.assert_array_equal(one.forward(xs), hs[:, -1])


def test_the_parts_are_what_their_names_say():
    assert isinstance(Seq2seq(V, D, H), BaseModel)
    peeky, attention = PeekySeq2seq(V, D, H), AttentionSeq2seq(V, D, H)
    assert type(peeky.encoder) is Encoder
    assert type(peeky.decoder) is PeekyDecoder
    assert type(attention.encoder) is AttentionEncoder
    assert type(attention.decoder) is AttentionDecoder
    assert isinstance(attention.decoder.attention, TimeAttention)
    assert isinstance(attention, Seq2seq)
    assert isinstance(attention.softmax, TimeSoftmaxWithLoss)


# --- training and decoding ---------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", MODELS)
def test_a_model_memorizes_a_handful_of_answers(model_class):
    model, (xs, ts) = model_class(V, D, 16, rng=0), make_batch(N=5)
    ts[:, 0] = 0
    optimizer = Adam(lr=0.02)
    for _ in range(150):
        loss = model.forward(xs, ts)
        model.backward()
        optimizer.update(model.params, model.grads)
    assert loss < 0.1
    np.testing.assert_array_equal(model.greedy_decode(xs, 0, T_DEC), ts[:, 1:])
    for row, answer in zip(xs, ts[:, 1:], strict=True):
        assert model.generate(row[None], 0, T_DEC) == answer.tolist()


@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize("chunk_size", [1, 3, 4, 100])
def test_greedy_decode_is_generate_for_every_row(model_class, chunk_size):
    model, (xs, _) = make_model(model_class), make_batch(N=10)
    ids, probs, weights = model.greedy_decode(xs, 2, T_DEC, with_details=True, chunk_size=chunk_size)
    np.testing.assert_array_equal(ids, [model.generate(row[None], 2, T_DEC) for row in xs])
    np.testing.assert_array_equal(model.greedy_decode(xs, 2, T_DEC, chunk_size=chunk_size), ids)
    assert len({tuple(row) for row in ids.tolist()}) > 1, "one answer for all questions proves little"
    scores = plain_scores(model, xs, np.hstack([np.full((10, 1), 2), ids[:, :-1]]))
    np.testing.assert_allclose(probs, softmax(scores).max(axis=2), rtol=1e-9)
    if model_class is AttentionSeq2seq:
        assert weights.shape == (10, T_DEC, T_ENC)
        model.forward(xs, np.hstack([np.full((10, 1), 2), ids]))
        np.testing.assert_allclose(weights, model.decoder.attention.weights, rtol=1e-9)
    else:
        assert weights is None


@pytest.mark.parametrize("model_class", MODELS)
def test_decoding_starts_afresh_every_time(model_class):
    model, (xs, ts) = make_model(model_class), make_batch()
    first = model.generate(xs[:1], 2, T_DEC)
    loss = model.forward(xs, ts)
    assert model.generate(xs[:1], 2, T_DEC) == first
    assert model.generate(xs[:1], 2, T_DEC) == first
    assert model.forward(xs, ts) == loss
    assert model.generate(xs[:1], 2, 2) == first[:2]


@pytest.mark.parametrize("model_class", MODELS)
def test_questions_and_answers_of_any_length(model_class):
    model = make_model(model_class)
    for N, T_enc, T_dec in ((4, 9, 2), (1, 1, 1), (2, 3, 8)):
        xs, ts = np.ones((N, T_enc), int), np.ones((N, T_dec + 1), int)
        assert np.isfinite(model.forward(xs, ts))
        model.backward()
        assert model.greedy_decode(xs, 0, T_dec).shape == (N, T_dec)


@pytest.mark.parametrize("model_class", MODELS)
def test_nothing_to_decode(model_class):
    model, none = make_model(model_class), np.empty((0, T_ENC), int)
    assert model.greedy_decode(none, 0, 3).shape == (0, 3)
    with pytest.raises(ValueError, match="no rows"):
        model.greedy_decode(none, 0, 3, with_details=True)


# --- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", MODELS)
def test_shapes_that_do_not_fit(model_class):
    model, (xs, ts) = make_model(model_class), make_batch()
    name = model_class.__name__
    for bad_xs, bad_ts in ((xs[0], ts), (xs, ts[0]), (xs[:2], ts), (xs, ts[:, :1])):
        with pytest.raises(ValueError, match=rf"{name}: xs \(.*\) and ts \(.*\) must be \(N, T_enc\)"):
            model.forward(bad_xs, bad_ts)
    for bad in (xs, xs[0], xs[:0]):
        with pytest.raises(ValueError, match=r"one question, \(1, T_enc\), got \("):
            model.generate(bad, 0, 3)
    with pytest.raises(ValueError, match=r"at least one step, got \(6,\) and 3"):
        model.greedy_decode(xs[0], 0, 3)
    with pytest.raises(ValueError, match="and 0"):
        model.greedy_decode(xs, 0, 0)


@pytest.mark.parametrize("model_class", MODELS)
def test_an_unknown_id_is_named(model_class):
    model, (xs, ts) = make_model(model_class), make_batch()
    bad = xs.copy()
    bad[1, 2] = V
    with pytest.raises(IndexError, match=f"id {V} is outside the vocabulary of {V}"):
        model.forward(bad, ts)
    with pytest.raises(IndexError, match=f"id {V}"):
        model.generate(bad[1:2], 0, 3)


def test_a_base_model_says_what_is_missing():
    class Mine(BaseModel):
        pass

    model = Mine()
    assert model.params == model.grads == []
    for call in (model.forward, model.backward, lambda: model.generate(None, 0, 1)):
        with pytest.raises(NotImplementedError, match=r"Mine has no"):
            call()
