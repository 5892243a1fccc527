"""Every layer and every model against numerical gradients, in float64, every element, relative error at most 1e-6.

The sizes are odd on purpose: one sample, one step, one unit, more encoder than decoder steps and fewer. Where all
sizes are 1, a wrong axis or a forgotten transpose cannot be seen; where they differ, a wrong sum can.
"""

import numpy as np
import pytest

from ch07.peeky_seq2seq import PeekyDecoder, PeekySeq2seq
from ch07.seq2seq import Decoder, Encoder, Seq2seq
from ch08.alignment import AlignmentLoss
from ch08.attention_layer import Attention, AttentionWeight, TimeAttention, WeightSum
from ch08.attention_seq2seq import AttentionDecoder, AttentionEncoder, AttentionSeq2seq
from common import layers, time_layers
from common.gradient_check import gradient_check, numerical_gradient
from common.recurrent import Bidirectional, state_of

CELLS = {  # blocks of H columns, number of biases, states
    "RNN": (time_layers.RNN, time_layers.TimeRNN, 1, 1, 1),
    "LSTM": (time_layers.LSTM, time_layers.TimeLSTM, 4, 1, 2),
    "GRU": (time_layers.GRU, time_layers.TimeGRU, 3, 1, 1),
    "GRU, two biases": (time_layers.GRU, time_layers.TimeGRU, 3, 2, 1),
}
NTDH = [(2, 3, 4, 3), (1, 4, 3, 2), (3, 1, 2, 4), (2, 5, 1, 3), (2, 3, 3, 1), (1, 1, 1, 1), (4, 2, 2, 5)]
NTTH = [(2, 4, 3, 5), (1, 3, 2, 4), (3, 1, 4, 2), (2, 5, 1, 3), (3, 2, 4, 1), (1, 1, 1, 1), (2, 3, 3, 3)]


@pytest.fixture
def randn(rng):
    return lambda *shape: rng.standard_normal(shape)


def recurrent_params(randn, gates, biases, D, H):
    return [randn(D, gates * H), randn(H, gates * H)] + [randn(gates * H) for _ in range(biases)]


def make_time_layer(kind, randn, D, H, stateful=False):
    _, layer_class, gates, biases, _ = CELLS[kind]
    Wx, Wh, b, *bh = recurrent_params(randn, gates, biases, D, H)
    return layer_class(Wx, Wh, b, stateful, **({"bh": bh[0]} if bh else {}))


def make_mask(N, T):
    """Rows of different lengths, the first and the last step left out in some, never all."""
    mask = np.arange(T)[None] < (np.arange(N)[:, None] % T) + 1
    mask[0] = True
    mask[-1] = mask[-1, ::-1]
    return mask


# --- layers without time -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 4), (1, 4), (3, 1), (2, 3, 4), (1, 1, 1), (2, 1, 3, 2), (4,)])
@pytest.mark.parametrize("M", [1, 5])
def test_matmul_and_affine(randn, shape, M):
    gradient_check(layers.MatMul(randn(shape[-1], M)), randn(*shape))
    gradient_check(layers.Affine(randn(shape[-1], M), randn(M)), randn(*shape))
    gradient_check(time_layers.TimeAffine(randn(shape[-1], M), randn(M)), randn(*shape))


@pytest.mark.parametrize("shape", [(3, 4), (1, 5), (4, 1), (2, 3, 4), (5,)])
def test_softmax_and_sigmoid(randn, shape):
    gradient_check(layers.Softmax(), randn(*shape))
    gradient_check(layers.Sigmoid(), 3 * randn(*shape))


ANY_SHAPE = [(3, 4), (1, 5), (4, 1), (2, 3, 4), (1, 1, 1), (2, 1, 3, 2), (5,)]


@pytest.mark.parametrize("shape", ANY_SHAPE)
@pytest.mark.parametrize("layer_class", [layers.Tanh, layers.Relu])
def test_tanh_and_relu(randn, layer_class, shape):
    x = randn(*shape)
    x += np.sign(x) * 0.1  # the numerical gradient knows nothing of a bend
    gradient_check(layer_class(), x)


@pytest.mark.parametrize("shape", ANY_SHAPE)
@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_layer_norm(randn, shape, eps):
    D = shape[-1]
    gradient_check(layers.LayerNorm(randn(D), randn(D), eps), 2 + 3 * randn(*shape))


@pytest.mark.parametrize("shape", ANY_SHAPE)
def test_residual(randn, shape):
    D = shape[-1]
    gradient_check(layers.Residual(layers.Affine(randn(D, D), randn(D))), randn(*shape))
    gradient_check(layers.Residual(layers.Residual(layers.Tanh())), randn(*shape))


@pytest.mark.parametrize("N", [1, 4])
@pytest.mark.parametrize("V", [2, 5])
def test_softmax_with_loss(randn, rng, N, V):
    t = rng.integers(0, V, N)
    gradient_check(layers.SoftmaxWithLoss(), 3 * randn(N, V), t)
    gradient_check(layers.SoftmaxWithLoss(), 3 * randn(N, V), np.eye(V, dtype=int)[t])
    gradient_check(layers.SoftmaxWithLoss(), 3 * randn(N, V), t, dout=1)


def test_softmax_with_loss_where_the_right_class_is_nearly_impossible():
    gradient_check(layers.SoftmaxWithLoss(), np.array([[0.0, -12.0, 3.0], [20.0, 0.0, 1.0]]), np.array([1, 2]))


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 1), (2, 3)])
def test_sigmoid_with_loss(randn, rng, shape):
    gradient_check(layers.SigmoidWithLoss(), 3 * randn(*shape), rng.integers(0, 2, shape))


@pytest.mark.parametrize("layer_class", [layers.Dropout, time_layers.TimeDropout])
@pytest.mark.parametrize("ratio", [0, 0.3, 0.8])
@pytest.mark.parametrize("train", [True, False])
def test_dropout_that_drops_the_same_every_time(randn, layer_class, ratio, train):
    layer = layer_class(ratio)
    layer.train_flg = train

    def before():
        layer.rng = np.random.default_rng(5)

    gradient_check(layer, randn(3, 2, 4), before=before)


@pytest.mark.parametrize("layer_class", [layers.Embedding, time_layers.TimeEmbedding])
@pytest.mark.parametrize("ids", [[[0, 2, 2, 1], [2, 4, 0, 0]], [[3]], [[0], [0], [0]], [1, 1, 3], 2])
@pytest.mark.parametrize("D", [1, 3])
def test_embedding_with_repeated_ids(randn, layer_class, ids, D):
    gradient_check(layer_class(randn(5, D)), np.array(ids))


# --- recurrent layers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(("N", "D", "H"), [(2, 3, 4), (1, 3, 2), (3, 1, 2), (2, 3, 1), (1, 1, 1)])
def test_cell(randn, kind, N, D, H):
    cell_class, _, gates, biases, states = CELLS[kind]
    cell = cell_class(*recurrent_params(randn, gates, biases, D, H))
    gradient_check(cell, randn(N, D), *(randn(N, H) for _ in range(states)))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(("N", "T", "D", "H"), NTDH)
def test_time_layer(randn, kind, N, T, D, H):
    gradient_check(make_time_layer(kind, randn, D, H), randn(N, T, D))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(("N", "T", "D", "H"), NTDH)
def test_time_layer_and_its_first_state(randn, kind, N, T, D, H):
    states = [randn(N, H) for _ in range(CELLS[kind][-1])]
    gradient_check(make_time_layer(kind, randn, D, H, stateful=True), randn(N, T, D), states=states)


def test_time_lstm_with_the_first_h_alone(randn):
    gradient_check(make_time_layer("LSTM", randn, 2, 3, stateful=True), randn(2, 3, 2), states=[randn(2, 3)])


@pytest.mark.parametrize("kind", CELLS)
def test_second_part_of_a_sequence_starts_from_the_state_of_the_first(randn, kind):
    layer = make_time_layer(kind, randn, 2, 3, stateful=True)
    first, second = randn(2, 4, 2), randn(2, 3, 2)

    def before():
        layer.reset_state()
        layer.forward(first)

    gradient_check(make_time_layer(kind, randn, 2, 3), first)
    # the first part depends on the parameters too, and backward stops between the parts: so check the inputs only
    before()
    layer.forward(second)
    dout = randn(2, 3, 3)
    dxs = layer.backward(dout)

    def f():
        before()
        return layer.forward(second)

    np.testing.assert_allclose(dxs, numerical_gradient(f, second, dout), rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(("N", "T", "D", "H"), NTDH)
@pytest.mark.parametrize("stateful", [False, True])
def test_time_bilstm(randn, N, T, D, H, stateful):
    params = recurrent_params(randn, 4, 1, D, H) + recurrent_params(randn, 4, 1, D, H)
    layer = time_layers.TimeBiLSTM(*params, stateful=stateful)
    states = [(randn(N, H), randn(N, H)) for _ in range(2)]

    def before():  # counts only where stateful
        layer.forward_lstm.set_state(*states[0])
        layer.backward_lstm.set_state(*states[1])

    gradient_check(layer, randn(N, T, D), before=before)


@pytest.mark.parametrize(("N", "T", "D", "H"), NTDH)
@pytest.mark.parametrize("combine", ["concat", "sum", "mean"])
@pytest.mark.parametrize(("one", "two"), [("LSTM", "GRU"), ("RNN", "LSTM"), ("GRU, two biases", "RNN")])
def test_bidirectional_and_the_first_states(randn, N, T, D, H, combine, one, two):
    a, b = make_time_layer(one, randn, D, H, stateful=True), make_time_layer(two, randn, D, H, stateful=True)
    layer = Bidirectional(a, b, combine)
    xs, dhs = randn(N, T, D), randn(N, T, 2 * H if combine == "concat" else H)
    states = [tuple(randn(N, H) for _ in range(CELLS[kind][-1])) for kind in (one, two)]

    def before():
        layer.set_state(*states)

    gradient_check(layer, xs, before=before)
    before()
    layer.forward(xs)
    layer.backward(dhs)
    gradients = layer.first_gradients
    assert [len(g) for g in gradients] == [len(s) for s in states]

    def f():
        before()
        return layer.forward(xs)

    for state, gradient in zip(states, gradients, strict=True):
        for s, g in zip(state, gradient, strict=True):
            np.testing.assert_allclose(g, numerical_gradient(f, s, dhs), rtol=1e-6, atol=1e-10)


class WithLastState:
    """A recurrent layer whose last state is an output, too, as where a decoder starts from it."""

    def __init__(self, layer):
        self.layer, self.params, self.grads = layer, layer.params, layer.grads

    def forward(self, xs, *state):
        self.layer.set_state(*state)
        return self.layer.forward(xs), *state_of(self.layer)

    def backward(self, dhs, *dlast):
        dxs = self.layer.backward(dhs, *dlast)
        return (dxs, self.layer.dh, self.layer.dc) if len(dlast) == 2 else (dxs, self.layer.dh)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(("N", "T", "D", "H"), NTDH)
def test_a_gradient_for_the_last_state(randn, kind, N, T, D, H):
    layer = WithLastState(make_time_layer(kind, randn, D, H, stateful=True))
    gradient_check(layer, randn(N, T, D), *(randn(N, H) for _ in range(CELLS[kind][-1])))


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_for_the_last_state_that_do_not_fit(randn, kind):
    layer = make_time_layer(kind, randn, 2, 3)
    layer.forward(randn(2, 4, 2))
    for k, what in enumerate(("dh", "dc")[: CELLS[kind][-1]]):
        with pytest.raises(ValueError, match=rf"{what} is \(1, 3\), but forward returned \(2, 3\)"):
            layer.backward(randn(2, 4, 3), *[None] * k, randn(1, 3))


class BothLastStates:
    """Two directions whose last states are outputs."""

    def __init__(self, layer):
        self.layer, self.params, self.grads = layer, layer.params, layer.grads

    def forward(self, xs):
        hs = self.layer.forward(xs)
        (h1, c1), (h2,) = self.layer.last_states
        return hs, h1, c1, h2

    def backward(self, dhs, dh1, dc1, dh2):
        return self.layer.backward(dhs, (dh1, dc1), (dh2,))


@pytest.mark.parametrize("combine", ["concat", "mean"])
def test_gradients_for_the_last_states_of_both_directions(randn, combine):
    layer = Bidirectional(make_time_layer("LSTM", randn, 2, 3), make_time_layer("GRU", randn, 2, 3), combine)
    gradient_check(BothLastStates(layer), randn(2, 4, 2))


@pytest.mark.parametrize("sizes", [(3, 2), (1, 4)])
def test_bidirectional_of_two_sizes(randn, sizes):
    a, b = (make_time_layer("GRU", randn, 2, H) for H in sizes)
    gradient_check(Bidirectional(a, b), randn(2, 3, 2))


@pytest.mark.parametrize(("N", "T", "V"), [(2, 3, 5), (1, 4, 3), (3, 1, 2), (1, 1, 2), (2, 2, 1)])
def test_time_softmax_with_loss(randn, rng, N, T, V):
    ts = rng.integers(0, V, (N, T))
    gradient_check(time_layers.TimeSoftmaxWithLoss(), 3 * randn(N, T, V), ts)
    gradient_check(time_layers.TimeSoftmaxWithLoss(), 3 * randn(N, T, V), np.eye(V, dtype=int)[ts])


@pytest.mark.parametrize("ignore_label", [-1, 0, 2])
@pytest.mark.parametrize("everything", [False, True])
def test_time_softmax_with_loss_and_ignored_steps(randn, ignore_label, everything):
    ts = np.array([[1, ignore_label, 3, ignore_label], [ignore_label, 1, 1, 3]])
    if everything:
        ts[...] = ignore_label
    layer = time_layers.TimeSoftmaxWithLoss()
    layer.ignore_label = ignore_label
    gradient_check(layer, randn(2, 4, 5), ts)


# --- attention ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("N", "T_enc", "T_dec", "H"), NTTH)
def test_weight_sum(randn, N, T_enc, T_dec, H):
    gradient_check(WeightSum(), randn(N, T_enc, H), randn(N, T_enc))
    gradient_check(WeightSum(), randn(N, T_enc, H), randn(N, T_dec, T_enc))


@pytest.mark.parametrize("layer_class", [AttentionWeight, Attention])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("N", "T_enc", "T_dec", "H"), NTTH)
def test_attention_weight_and_attention(randn, layer_class, masked, N, T_enc, T_dec, H):
    mask = [make_mask(N, T_enc)] if masked else []
    gradient_check(layer_class(), randn(N, T_enc, H), randn(N, H), *mask)
    gradient_check(layer_class(), randn(N, T_enc, H), randn(N, T_dec, H), *mask)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("N", "T_enc", "T_dec", "H"), NTTH)
def test_time_attention(randn, masked, N, T_enc, T_dec, H):
    mask = [make_mask(N, T_enc)] if masked else []
    gradient_check(TimeAttention(), randn(N, T_enc, H), randn(N, T_dec, H), *mask)


class WithItsWeights:
    """An attention whose weights go somewhere, too: they are an output, and their gradient comes in."""

    params, grads = (), ()

    def __init__(self, layer):
        self.layer = layer

    def forward(self, hs, h, mask=None):
        out = self.layer.forward(hs, h, mask)
        return out, self.layer.weights if isinstance(self.layer, TimeAttention) else self.layer.attention_weight

    def backward(self, dout, da):
        return self.layer.backward(dout, da)


class SmallParts(TimeAttention):
    """So few scores at a time that every batch is split."""

    scores_in_cache = 1


@pytest.mark.parametrize("layer_class", [Attention, TimeAttention, SmallParts])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("N", "T_enc", "T_dec", "H"), NTTH)
def test_a_gradient_for_the_weights_themselves(randn, layer_class, masked, N, T_enc, T_dec, H):
    mask = [make_mask(N, T_enc)] if masked else []
    gradient_check(WithItsWeights(layer_class()), randn(N, T_enc, H), randn(N, T_dec, H), *mask)
    if layer_class is Attention:
        gradient_check(WithItsWeights(Attention()), randn(N, T_enc, H), randn(N, H), *mask)


@pytest.mark.parametrize(("N", "T_enc", "T_dec", "H"), NTTH)
def test_alignment_loss(rng, N, T_enc, T_dec, H):
    weights = rng.uniform(0.1, 1, (N, T_dec, T_enc))
    gold = rng.random(weights.shape) < 0.4
    gradient_check(AlignmentLoss(weight=2.5), weights, gold)
    gradient_check(AlignmentLoss(), weights, np.ones_like(gold))


# --- encoders, decoders, models ----------------------------------------------------------------------------

# N, T_enc, T_dec, V, D, H
SIZES = [(2, 4, 3, 5, 2, 3), (1, 1, 1, 3, 2, 1), (3, 2, 5, 4, 1, 2), (2, 5, 1, 4, 3, 1)]


def spread(layer, randn):
    """Replace the small weights of the start by larger ones: with those every gradient matters."""
    for p in layer.params:
        p[...] = 0.7 * randn(*p.shape)
    return layer


@pytest.mark.parametrize("encoder_class", [Encoder, AttentionEncoder])
@pytest.mark.parametrize("size", SIZES)
def test_encoder(randn, rng, encoder_class, size):
    N, T_enc, _, V, D, H = size
    encoder = spread(encoder_class(V, D, H, dtype=np.float64, rng=1), randn)
    gradient_check(encoder, rng.integers(0, V, (N, T_enc)))


@pytest.mark.parametrize("decoder_class", [Decoder, PeekyDecoder, AttentionDecoder])
@pytest.mark.parametrize("size", SIZES)
def test_decoder_and_what_the_encoder_hands_over(randn, rng, decoder_class, size):
    N, T_enc, T_dec, V, D, H = size
    decoder = spread(decoder_class(V, D, H, dtype=np.float64, rng=1), randn)
    enc = randn(N, T_enc, H) if decoder_class is AttentionDecoder else randn(N, H)
    gradient_check(decoder, rng.integers(0, V, (N, T_dec)), enc)


@pytest.mark.parametrize("model_class", [Seq2seq, PeekySeq2seq, AttentionSeq2seq])
@pytest.mark.parametrize("size", SIZES)
def test_model_end_to_end(randn, rng, model_class, size):
    N, T_enc, T_dec, V, D, H = size
    model = spread(model_class(V, D, H, dtype=np.float64, rng=1), randn)
    xs, ts, decoder_xs = (rng.integers(0, V, (N, T)) for T in (T_enc, T_dec + 1, T_dec))
    gradient_check(model, xs, ts)
    gradient_check(model, xs, ts, decoder_xs)


@pytest.mark.parametrize("size", SIZES)
def test_attention_model_with_hidden_states_masked(randn, rng, size):
    N, T_enc, T_dec, V, D, H = size
    model = spread(AttentionSeq2seq(V, D, H, dtype=np.float64, rng=1), randn)
    mask = rng.random((N, T_enc)) < 0.5
    mask[:, T_enc // 2] = True
    xs, ts, decoder_xs = (rng.integers(0, V, (N, T)) for T in (T_enc, T_dec + 1, T_dec))
    gradient_check(model, xs, ts, decoder_xs, mask)


@pytest.mark.parametrize("size", SIZES)
def test_attention_model_that_is_told_where_to_look(randn, rng, size):
    N, T_enc, T_dec, V, D, H = size
    model = spread(AttentionSeq2seq(V, D, H, dtype=np.float64, rng=1), randn)
    model.alignment_loss.weight = 1.5
    xs, ts, decoder_xs = (rng.integers(0, V, (N, T)) for T in (T_enc, T_dec + 1, T_dec))
    mask = rng.random((N, T_enc)) < 0.5
    mask[:, T_enc // 2] = True
    gold = rng.random((N, T_dec, T_enc)) < 0.5
    gold[..., T_enc // 2] |= gold.any(axis=2)  # something of it can be seen
    gradient_check(model, xs, ts, decoder_xs, mask, gold)


@pytest.mark.parametrize("model_class", [Seq2seq, PeekySeq2seq, AttentionSeq2seq])
def test_model_with_ignored_characters(randn, rng, model_class):
    model = spread(model_class(6, 2, 2, dtype=np.float64, rng=1), randn)
    ts = rng.integers(0, 6, (3, 4))
    ts[0, 3] = ts[1, 2] = model.softmax.ignore_label = 5
    gradient_check(model, rng.integers(0, 6, (3, 5)), ts, dout=1)


# --- the check itself --------------------------------------------------------------------------------------


class Cube:
    """y = w x^3, with a gradient that a test can bend."""

    def __init__(self, w=2.0):
        self.params, self.grads = [np.array([w])], [np.zeros(1)]

    def forward(self, x):
        self.x = x
        return self.params[0] * x**3

    def backward(self, dout):
        self.grads[0][...] = (dout * self.x**3).sum()
        return dout * 3 * self.params[0] * self.x**2


def test_numerical_gradient_is_right_and_leaves_x_alone():
    x = np.array([[1.0, -2.0], [0.5, 0.0]])
    before = x.copy()
    np.testing.assert_allclose(numerical_gradient(lambda: x**3, x), 3 * before**2, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        numerical_gradient(lambda: (x**3, np.sin(x)), x, (2.0, before)),
        6 * before**2 + np.cos(before) * before,
        rtol=1e-9,
        atol=1e-9,
    )
    np.testing.assert_array_equal(x, before)
    assert numerical_gradient(lambda: float(np.exp(x).sum()), x).shape == (2, 2)


def test_numerical_gradient_of_a_function_that_reuses_its_output():
    x, out = np.array([0.3, 2.0]), np.empty(2)
    np.testing.assert_allclose(numerical_gradient(lambda: np.multiply(x, x, out=out), x), 2 * x, rtol=1e-9)


def test_numerical_gradient_refuses_float32():
    with pytest.raises(TypeError, match="float32"):
        numerical_gradient(lambda: 0.0, np.zeros(2, np.float32))
    with pytest.raises(TypeError, match="list"):
        numerical_gradient(lambda: 0.0, [1.0])


def test_gradient_check_returns_the_largest_error():
    assert 0 <= gradient_check(Cube(), np.array([[1.0, -2.0, 0.5]])) < 1e-8


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
def test_gradient_check_sees_a_small_relative_error(size):
    class Wrong(Cube):
        def backward(self, dout):
            dx = super().backward(dout)
            dx[0, 2] *= 1 + 3e-6
            return dx

    with pytest.raises(AssertionError, match=r"gradient of x .* index \[0, 2\]"):
        gradient_check(Wrong(), np.array([[1.0, -2.0, 0.5]]), dout=np.full((1, 3), size))


def test_gradient_check_names_function_argument_index_got_and_expected():
    class Wrong(Cube):
        def backward(self, dout):
            dx = super().backward(dout)
            dx[0, 2] = 7
            return dx

    with pytest.raises(AssertionError) as caught:
        gradient_check(Wrong(), np.array([[1.0, -2.0, 0.5]]), dout=np.ones((1, 3)))
    message = str(caught.value)
    for part in ("Wrong.backward", "gradient of x (1, 3)", "index [0, 2]", "got 7,", "expected 1.5", "1 of 3 elements"):
        assert part in message


def test_gradient_check_names_the_parameter():
    class Wrong(Cube):
        param_names = ["w"]

        def backward(self, dout):
            dx = super().backward(dout)
            self.grads[0] *= -1
            return dx

    with pytest.raises(AssertionError, match=r"params\[0\] 'w' \(1,\) is wrong at index \[0\]"):
        gradient_check(Wrong(), np.ones((2, 2)))


def test_gradient_check_reports_every_wrong_gradient_and_no_right_one():
    class Wrong(Cube):
        def __init__(self, *factors):
            super().__init__()
            self.factors = factors

        def backward(self, dout):
            dx = super().backward(dout)
            self.grads[0] *= self.factors[1]
            return self.factors[0] * dx

    def lines(*factors):
        with pytest.raises(AssertionError) as caught:
            gradient_check(Wrong(*factors), np.ones((2, 2)))
        return [line.split(" is wrong")[0] for line in str(caught.value).splitlines()]

    x, w = "Wrong.backward: the gradient of x (2, 2)", "Wrong.backward: the gradient of params[0] (1,)"
    assert lines(2, 2) == [x, w]
    assert lines(1, 2) == [w]
    assert lines(2, 1) == [x]


def test_gradient_check_names_the_state(randn):
    class Wrong(time_layers.TimeLSTM):
        def backward(self, dhs):
            dxs = super().backward(dhs)
            self.dc *= 0.5
            return dxs

    layer = Wrong(randn(2, 12), randn(3, 12), randn(12), stateful=True)
    with pytest.raises(AssertionError, match="the first state c"):
        gradient_check(layer, randn(2, 4, 2), states=[randn(2, 3), randn(2, 3)])


@pytest.mark.parametrize(
    ("bend", "message"),
    [
        (lambda dx: dx * np.nan, "got nan"),
        (lambda dx: dx.sum(axis=0), r"gradient of x is \(2,\), but x is \(2, 2\)"),
        (lambda dx: None, "returned 0 gradients, but must return 1: x"),
        (lambda dx: (dx, dx), "returned 2 gradients, but must return 1: x"),
    ],
)
def test_gradient_check_refuses(bend, message):
    class Wrong(Cube):
        def backward(self, dout):
            return bend(super().backward(dout))

    with pytest.raises(AssertionError, match=message):
        gradient_check(Wrong(), np.ones((2, 2)))


def test_gradient_check_refuses_layers_that_change_their_inputs():
    class ChangesX(Cube):
        def forward(self, x):
            x *= 2
            return super().forward(x)

    class ChangesDout(Cube):
        def backward(self, dout):
            dout *= 2
            return super().backward(dout)

    with pytest.raises(AssertionError, match="ChangesX changes its argument x"):
        gradient_check(ChangesX(), np.ones((2, 2)))
    with pytest.raises(AssertionError, match="ChangesDout changes its argument dout"):
        gradient_check(ChangesDout(), np.ones((2, 2)))


def test_gradient_check_refuses_parameters_without_gradients():
    layer = Cube()
    layer.grads = []
    with pytest.raises(AssertionError, match="1 params, but 0 grads"):
        gradient_check(layer, np.ones((2, 2)))


def test_gradient_check_refuses_float32():
    with pytest.raises(TypeError, match="float32"):
        gradient_check(Cube(), np.ones((2, 2), np.float32))
