"""The models of sections 8.9 to 8.11: reading both ways, other places for the context, depth."""

from functools import partial

import numpy as np
import pytest

from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionDecoder, AttentionEncoder, AttentionSeq2seq
from ch08.bidirectional_seq2seq import BiAttentionEncoder, BiAttentionSeq2seq
from ch08.deep_seq2seq import DeepAttentionSeq2seq
from ch08.input_feeding_seq2seq import InputFeedingSeq2seq
from ch08.same_step_seq2seq import SameStepSeq2seq
from common.gradient_check import gradient_check
from common.optimizer import Adam
from common.parallel import DataParallel

V, D, H, T_ENC, T_DEC = 9, 4, 12, 7, 5
MODELS = {
    "both ways": BiAttentionSeq2seq,
    "both ways, sum": partial(BiAttentionSeq2seq, combine="sum"),
    "both ways, mean": partial(BiAttentionSeq2seq, combine="mean"),
    "input feeding": InputFeedingSeq2seq,
    "same step": SameStepSeq2seq,
    "deep": partial(DeepAttentionSeq2seq, layers=3),
    "deep, no residuals": partial(DeepAttentionSeq2seq, layers=3, residual=False),
    "two layers": partial(DeepAttentionSeq2seq, layers=2),
}
each_model = pytest.mark.parametrize("name", MODELS)


def make_model(name, *sizes, seed=3):
    """A model in float64 with weights large enough for different questions to get different answers."""
    model, rng = MODELS[name](*(sizes or (V, D, H)), dtype=np.float64, rng=seed), np.random.default_rng(seed)
    for p in model.params:
        p[...] = rng.standard_normal(p.shape) if p.ndim == 2 else 0.1 * rng.standard_normal(p.shape)
    return model


def ids(rng, *shapes, high=V):
    return [rng.integers(0, high, shape) for shape in shapes]


# --- gradients -------------------------------------------------------------------------------------------------


@each_model
@pytest.mark.parametrize(("N", "T_enc", "T_dec"), [(2, 4, 3), (1, 1, 1), (3, 1, 4)])
def test_every_gradient(rng, name, N, T_enc, T_dec):
    model = make_model(name, 4, 2, 2)
    xs, ts, decoder_xs = ids(rng, (N, T_enc), (N, T_dec + 1), (N, T_dec), high=4)
    mask = rng.random((N, T_enc)) < 0.5
    mask[:, T_enc // 2] = True
    gradient_check(model, xs, ts, decoder_xs, mask)


@pytest.mark.parametrize("name", [name for name in MODELS if "ways" in name])
def test_every_gradient_of_a_model_that_is_told_where_to_look(rng, name):
    model = make_model(name, 4, 2, 2)
    model.alignment_loss.weight = 1.5
    gold = rng.random((2, 3, 4)) < 0.5
    gold[..., 2] |= gold.any(axis=2)  # something of it can be seen
    gradient_check(model, *ids(rng, (2, 4), (2, 4), (2, 3), high=4), np.ones((2, 4), bool), gold)


@each_model
def test_parts_of_a_batch_make_the_gradients_of_the_whole(rng, name):
    model, whole = make_model(name), make_model(name)
    xs, ts = ids(rng, (9, T_ENC), (9, T_DEC + 1))
    parts = DataParallel(model, min_rows=1)
    assert parts.forward(xs, ts) == pytest.approx(whole.forward(xs, ts), rel=1e-12)
    parts.backward()
    whole.backward()
    for which, got, expected in zip(model.param_names, model.grads, whole.grads, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-13, err_msg=which)


# --- decoding --------------------------------------------------------------------------------------------------


@each_model
def test_steps_are_the_forward_pass_one_token_at_a_time(rng, name):
    model = make_model(name)
    xs, ts = ids(rng, (4, T_ENC), (4, T_DEC + 1))
    state, losses = model.start(xs), []
    for t in range(T_DEC):
        assert isinstance(state, tuple)
        assert all(len(array) == 4 for array in state)
        logits, state, weights = model.step(ts[:, t], state)
        assert logits.shape == (4, V)
        np.testing.assert_allclose(weights.sum(axis=1), 1)
        assert weights.shape == (4, T_ENC)
        shifted = logits - logits.max(axis=1, keepdims=True)
        losses.append((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(4), ts[:, t + 1]]).mean())
    assert model.forward(xs, ts) == pytest.approx(np.mean(losses), rel=1e-12)


@each_model
def test_rows_of_a_state_can_be_reordered_between_two_steps(rng, name):
    model, order = make_model(name), np.array([2, 2, 0, 3])
    (xs,) = ids(rng, (4, T_ENC))
    _, state, _ = model.step(np.full(4, 2), model.start(xs))
    expected, _, _ = model.step(np.array([1, 5, 7, 4])[order], tuple(array[order] for array in state))
    model.generate(xs[:1], 2, 3)  # whatever the layers hold does not matter
    logits, _, _ = model.step(np.array([1, 5, 7, 4]), state)
    np.testing.assert_allclose(expected, logits[order], rtol=1e-12)


@each_model
def test_greedy_decode_is_generate(rng, name):
    model = make_model(name)
    (xs,) = ids(rng, (20, T_ENC))
    one_by_one = [model.generate(x[None], 2, T_DEC) for x in xs]
    got, probs, weights = model.greedy_decode(xs, 2, T_DEC, with_details=True, chunk_size=6)
    np.testing.assert_array_equal(got, one_by_one)
    assert len({tuple(row) for row in one_by_one}) > 2, "a few answers for all questions prove little"
    assert probs.shape == (20, T_DEC)
    assert weights.shape == (20, T_DEC, T_ENC)


@each_model
def test_a_masked_state_has_no_influence(rng, name):
    """With the last character of the question hidden from the attention, its weight is 0 at every step."""
    model = make_model(name)
    xs, ts = ids(rng, (3, T_ENC), (3, T_DEC + 1))
    mask = np.ones((3, T_ENC), bool)
    mask[:, 2] = False
    assert model.forward(xs, ts, mask=mask) != model.forward(xs, ts)
    model.forward(xs, ts, mask=mask)
    weights = getattr(model.decoder, "weights", None)
    weights = model.decoder.attention.weights if weights is None else weights
    assert weights.shape == (3, T_DEC, T_ENC)
    np.testing.assert_array_equal(weights[:, :, 2], 0)
    assert (np.delete(weights, 2, axis=2) > 0).all()


@each_model
def test_a_saved_model_comes_back_and_its_names_are_unique(tmp_path, name):
    model, other = make_model(name), make_model(name, seed=4)
    assert len(set(model.param_names)) == len(model.params) == len(model.grads)
    assert all(p.dtype == np.float32 for p in MODELS[name](V, D, H).params)
    other.load_params(model.save_params(tmp_path / "weights.npz"))
    for p, q in zip(model.params, other.params, strict=True):
        np.testing.assert_array_equal(p, q)


# --- both directions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("combine", "size"), [("concat", 6), ("sum", 12), ("mean", 12)])
def test_every_state_knows_both_sides(rng, combine, size):
    encoder = BiAttentionEncoder(V, D, H, combine=combine, dtype=np.float64, rng=0)
    (xs,) = ids(rng, (1, T_ENC))
    changed = xs.copy()
    changed[0, -1] = (xs[0, -1] + 1) % V
    (before, h_before), (after, h_after) = encoder.forward(xs), encoder.forward(changed)
    assert before.shape == (1, T_ENC, H)
    assert (before != after).any(axis=2).all()
    assert (h_before != h_after).any()
    one_way = AttentionEncoder(V, D, H, dtype=np.float64, rng=0)
    np.testing.assert_array_equal(one_way.forward(xs)[:, :-1], one_way.forward(changed)[:, :-1])
    assert [len(p) for p in encoder.lstm.forward_layer.params[1:2]] == [size]


@pytest.mark.parametrize("combine", ["concat", "sum", "mean"])
def test_the_decoder_starts_from_what_has_read_everything(rng, combine):
    """The last state of the second LSTM stands at the beginning; at the end it has read one character."""
    encoder = BiAttentionEncoder(V, D, H, combine=combine, dtype=np.float64, rng=0)
    (xs,) = ids(rng, (2, T_ENC))
    _, h = encoder.forward(xs)
    ahead, back = (
        layer.forward(encoder.embed.forward(ids))[:, -1]
        for layer, ids in (
            (encoder.lstm.forward_layer, xs),
            (encoder.lstm.backward_layer, xs[:, ::-1]),
        )
    )
    joined = {"concat": np.hstack([ahead, back]), "sum": ahead + back, "mean": (ahead + back) / 2}
    np.testing.assert_allclose(h, joined[combine])


def test_two_halves_need_an_even_size():
    with pytest.raises(ValueError, match="two equal halves make hidden_size, so it must be even, got 7"):
        BiAttentionSeq2seq(V, D, 7)
    BiAttentionSeq2seq(V, D, 7, combine="sum")
    with pytest.raises(ValueError, match='combine must be "concat", "sum" or "mean"'):
        BiAttentionSeq2seq(V, D, 8, combine="max")


# --- depth -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("residual", [True, False])
def test_one_layer_is_attention_seq2seq(rng, residual):
    deep, flat = DeepAttentionSeq2seq(V, D, H, layers=1, residual=residual, rng=5), AttentionSeq2seq(V, D, H, rng=5)
    xs, ts = ids(rng, (4, T_ENC), (4, T_DEC + 1))
    assert deep.forward(xs, ts) == flat.forward(xs, ts)
    deep.backward()
    flat.backward()
    for p, q in zip(deep.grads, flat.grads, strict=True):
        np.testing.assert_array_equal(p, q)


def test_residuals_add_what_a_layer_read(rng):
    model = DeepAttentionSeq2seq(V, D, H, layers=3, dtype=np.float64, rng=0)
    for lstm in model.encoder.lstms[1:] + model.decoder.lstms[1:]:
        for p in lstm.params:
            p[...] = 0  # says nothing: only the sum is left
    (xs,) = ids(rng, (2, T_ENC))
    hs, last = model.encoder.forward(xs)
    np.testing.assert_array_equal(hs, model.encoder.lstms[0].forward(model.encoder.embed.forward(xs)))
    assert len(last) == 3


def test_dropout_is_between_the_layers_and_off_in_use(rng):
    model = DeepAttentionSeq2seq(V, D, H, layers=3, dropout=0.5, rng=0)
    xs, ts = ids(rng, (4, T_ENC), (4, T_DEC + 1))
    assert model.forward(xs, ts) != model.forward(xs, ts)
    model.eval()
    assert model.forward(xs, ts) == model.forward(xs, ts)
    model.train()
    np.testing.assert_array_equal(model.greedy_decode(xs, 0, T_DEC), model.greedy_decode(xs, 0, T_DEC))
    assert len(model.encoder.dropouts) == len(model.decoder.dropouts) == 2


@pytest.mark.parametrize("layers", [0, -1])
def test_no_layers(layers):
    with pytest.raises(ValueError, match=f"layers must be at least 1, got {layers}"):
        DeepAttentionSeq2seq(V, D, H, layers=layers)


# --- a reader's own encoder ------------------------------------------------------------------------------------


def test_a_two_way_encoder_of_a_readers_own_with_the_decoder_of_the_course(rng):
    """As readers write it: TimeBiLSTM in the encoder, states of size 2H, and the decoder made for 2H."""
    from common.time_layers import TimeBiLSTM, TimeEmbedding

    class BiEncoder:
        def __init__(self, vocab_size, wordvec_size, hidden_size):
            V, D, H = vocab_size, wordvec_size, hidden_size
            rn = np.random.default_rng(0).standard_normal
            self.embed = TimeEmbedding((rn((V, D)) / 10).astype("f"))
            weights = [(rn(shape) / 2).astype("f") for shape in ((D, 4 * H), (H, 4 * H), (4 * H,)) * 2]
            self.lstm = TimeBiLSTM(*weights)
            self.params = self.embed.params + self.lstm.params
            self.grads = self.embed.grads + self.lstm.grads

        def forward(self, xs):
            return self.lstm.forward(self.embed.forward(xs))

        def backward(self, dhs):
            return self.embed.backward(self.lstm.backward(dhs))

    model = AttentionSeq2seq(V, D, H)
    model.encoder = BiEncoder(V, D, H)
    model.decoder = AttentionDecoder(V, D, 2 * H)
    xs, ts = ids(rng, (4, T_ENC), (4, T_DEC + 1))
    before = model.forward(xs, ts)
    optimizer = Adam(lr=0.02)
    for _ in range(60):
        model.forward(xs, ts)
        model.backward()
        optimizer.update(model.params, model.grads)
    assert model.forward(xs, ts) < before / 10
    answers = model.greedy_decode(xs, 0, T_DEC)
    assert answers.shape == (4, T_DEC)
    assert isinstance(model, Seq2seq)
