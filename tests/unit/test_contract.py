"""The contract that every layer keeps, whatever it computes: dtype, memory, shapes, repeatability, errors."""

import copy
import pickle

import numpy as np
import pytest

from ch07.peeky_seq2seq import PeekyDecoder, PeekySeq2seq
from ch07.seq2seq import Decoder, Encoder, Seq2seq
from ch08 import ntm_layers
from ch08.alignment import AlignmentLoss
from ch08.attention_layer import Attention, AttentionWeight, TimeAttention, WeightSum
from ch08.attention_seq2seq import AttentionDecoder, AttentionEncoder, AttentionSeq2seq
from ch08.bahdanau_seq2seq import BahdanauSeq2seq
from ch08.gnmt import GNMT
from ch08.luong_seq2seq import LuongSeq2seq
from ch08.multi_head_attention import LearnedPositions, MultiHeadAttention, ScaledDotAttention, SinusoidalPositions
from ch08.ntm import NTM, PlainLSTM
from ch08.score_layers import AdditiveScore, DotScore, GeneralScore
from ch08.transformer import DecoderLayer, EncoderLayer, TiedAffine, Transformer
from common import layers, recurrent, time_layers
from common.base_model import Composite
from common.steps import GRU as StepGRU
from common.unroll import Unroll

N, T, D, H, V = 4, 5, 3, 6, 7


class Case:
    """How to make a layer, and what to feed it: ``kinds`` of inputs, one letter each.

    x (n, D)   h (n, H)   X (n, t, D)   E (n, 2t, H)   Q (n, t, H)   a (n, 2t)   A (n, t, 2t)   s (n, V)   S (n, t, V)
    i (n,) ids below V   I (n, t) ids   Z (n, 2t) ids   J (n, t + 1) ids   b (n,) of 0 and 1   f (n,) floats
    m (n, 2t) mask   p (n, t, 2t) shares of 1   g (n, t, 2t) bool   B (n, t, V) of 0 and 1   M (n, t) mask
    u (n, t) from 0 to 1   3 (n, t, 3) shares of 1

    Options: model, made of sizes; in_place, its loss is given the logits to work in.
    """

    def __init__(self, layer_class, shapes, kinds, arguments=None, **options):
        self.layer_class, self.shapes, self.kinds = layer_class, shapes, kinds
        self.arguments, self.options = arguments or {}, options

    def make(self, dtype=np.float64, seed=1):
        rng = np.random.default_rng(seed)
        if self.options.get("model"):
            return self.layer_class(V, D, H, dtype=dtype, rng=rng)
        params = [rng.standard_normal(shape).astype(dtype) for shape in self.shapes]
        layer = self.layer_class(*params, **self.arguments)
        if hasattr(layer, "rng"):
            layer.rng = np.random.default_rng(3)
        return layer

    def inputs(self, dtype=np.float64, n=N, t=T, seed=2):
        rng = np.random.default_rng(seed)
        shapes = dict(x=(n, D), h=(n, H), X=(n, t, D), E=(n, 2 * t, H), Q=(n, t, H), a=(n, 2 * t), A=(n, t, 2 * t))
        shapes |= dict(s=(n, V), S=(n, t, V), f=(n,))
        ids = dict(i=(V, (n,)), I=(V, (n, t)), b=(2, (n,)), J=(V, (n, t + 1)), Z=(V, (n, 2 * t)), B=(2, (n, t, V)))
        out = []
        for kind in self.kinds:
            if kind in ids:
                out.append(rng.integers(0, *ids[kind]))
            elif kind == "m":
                out.append(rng.uniform(size=(n, 2 * t)) < 0.7)
                out[-1][:, 0] = True
            elif kind == "M":
                out.append(rng.uniform(size=(n, t)) < 0.7)
                out[-1][:, 0] = True
            elif kind == "u":
                out.append(rng.uniform(size=(n, t)).astype(dtype))
            elif kind == "g":
                out.append(rng.uniform(size=(n, t, 2 * t)) < 0.3)
            elif kind in "p3":
                shares = rng.uniform(size=(n, t, 2 * t if kind == "p" else 3))
                out.append((shares / shares.sum(axis=2, keepdims=True)).astype(dtype))
            else:
                out.append(rng.standard_normal(shapes[kind]).astype(dtype))
        return out

    def dout(self, outs, dtype=np.float64, seed=3):
        rng = np.random.default_rng(seed)
        return [rng.standard_normal(np.shape(o)).astype(dtype) if np.ndim(o) else 0.7 for o in outs]


LSTM = [(D, 4 * H), (H, 4 * H), (4 * H,)]
GRU = [(D, 3 * H), (H, 3 * H), (3 * H,)]
RNN = [(D, H), (H, H), (H,)]
ADDITIVE = [(D, V), (H, V), (V,)]


def dropout_that_is_off():
    layer = layers.Dropout()
    layer.train_flg = False
    return layer


class TimeAttentionInParts(TimeAttention):
    """Rows go through Attention one, two or a few at a time."""

    scores_in_cache = 100


class GuidedSeq2seq(AttentionSeq2seq):
    """The loss of the alignment counts, and with a factor."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.alignment_loss.weight = 3.0


def translator(model_class, **settings):
    """A model of translation with one vocabulary for both languages."""
    return lambda V, D, H, **options: model_class(V, V, D, H, **settings, **options)


def machine(**settings):
    """A Neural Turing Machine for vectors of size D."""
    return lambda V, D, H, **options: NTM(D, V, H, rows=4, width=3, **settings, **options)


def plain_lstm(V, D, H, **options):
    return PlainLSTM(D, V, H, layers=2, **options)


def multi_head(heads, **settings):
    return lambda V, D, H, **options: MultiHeadAttention(H, heads, **settings, **options)


def transformer_layer(layer_class, pre_norm):
    return lambda V, D, H, dtype, rng: layer_class(H, 5, 2, pre_norm, 0.0, dtype, rng)


class Step(Composite):
    """A GRU as a step that puts out its state and sums all that it is handed besides."""

    def __init__(self, *params):
        self.gru = StepGRU(*params)
        self.cache = None

    def forward(self, x, h, shared):
        h = self.gru.forward(x, h + shared)
        return h.copy(), h

    def backward(self, dout, dh):
        dx, dh = self.gru.backward(dout + dh)
        return dx, dh, dh.copy()


def unrolled(*params):
    return Unroll(Step(*params))


def residual(Wx, Wh, b):
    return layers.Residual(time_layers.TimeRNN(Wx, Wh, b))


def bidirectional(combine):
    def make(*params):
        one, two = time_layers.TimeGRU(*params[:3]), time_layers.TimeRNN(*params[3:])
        return recurrent.Bidirectional(one, two, combine)

    return make


def additive(layer_class):
    return lambda Wq, Wk, v: layer_class(AdditiveScore(Wq, Wk, v))


def score_of_keys(Wq, v):
    return AdditiveScore(Wq, None, v)


def gru_with_two_biases(Wx, Wh, b, bh):
    return time_layers.TimeGRU(Wx, Wh, b, bh=bh)


def stateful_gru_with_two_biases(Wx, Wh, b, bh):
    return time_layers.TimeGRU(Wx, Wh, b, True, bh)


CASES = {
    "MatMul": Case(layers.MatMul, [(D, H)], "x"),
    "Affine": Case(layers.Affine, [(D, H), (H,)], "x"),
    "Softmax": Case(layers.Softmax, [], "s"),
    "Sigmoid": Case(layers.Sigmoid, [], "s"),
    "Tanh": Case(layers.Tanh, [], "s"),
    "Relu": Case(layers.Relu, [], "s"),
    "LayerNorm": Case(layers.LayerNorm, [(D,), (D,)], "x"),
    "LayerNorm over time": Case(layers.LayerNorm, [(D,), (D,)], "X"),
    "Residual": Case(residual, [(H, H), (H, H), (H,)], "Q"),
    "SoftmaxWithLoss": Case(layers.SoftmaxWithLoss, [], "si"),
    "SigmoidWithLoss": Case(layers.SigmoidWithLoss, [], "fb"),
    "Dropout": Case(layers.Dropout, [], "x"),
    "Dropout, no share": Case(layers.Dropout, [], "x", dict(dropout_ratio=0)),
    "Dropout, off": Case(dropout_that_is_off, [], "x"),
    "Embedding": Case(layers.Embedding, [(V, D)], "i"),
    "RNN": Case(time_layers.RNN, RNN, "xh"),
    "LSTM": Case(time_layers.LSTM, LSTM, "xhh"),
    "GRU": Case(time_layers.GRU, GRU, "xh"),
    "GRU, two biases": Case(time_layers.GRU, GRU + GRU[2:], "xh"),
    "TimeRNN": Case(time_layers.TimeRNN, RNN, "X"),
    "TimeLSTM": Case(time_layers.TimeLSTM, LSTM, "X"),
    "TimeGRU": Case(time_layers.TimeGRU, GRU, "X"),
    "TimeGRU, two biases": Case(gru_with_two_biases, GRU + GRU[2:], "X"),
    "TimeRNN, stateful": Case(time_layers.TimeRNN, RNN, "X", dict(stateful=True)),
    "TimeLSTM, stateful": Case(time_layers.TimeLSTM, LSTM, "X", dict(stateful=True)),
    "TimeGRU, stateful": Case(time_layers.TimeGRU, GRU, "X", dict(stateful=True)),
    "TimeGRU, two biases, stateful": Case(stateful_gru_with_two_biases, GRU + GRU[2:], "X"),
    "TimeBiLSTM": Case(time_layers.TimeBiLSTM, LSTM + LSTM, "X"),
    "TimeBiLSTM, stateful": Case(time_layers.TimeBiLSTM, LSTM + LSTM, "X", dict(stateful=True)),
    "Bidirectional": Case(bidirectional("concat"), GRU + RNN, "X"),
    "Bidirectional, sum": Case(bidirectional("sum"), GRU + RNN, "X"),
    "Bidirectional, mean": Case(bidirectional("mean"), GRU + RNN, "X"),
    "Unroll": Case(unrolled, GRU, "Xhh"),
    "TimeEmbedding": Case(time_layers.TimeEmbedding, [(V, D)], "I"),
    "TimeAffine": Case(time_layers.TimeAffine, [(D, H), (H,)], "X"),
    "TimeDropout": Case(time_layers.TimeDropout, [], "X"),
    "TimeSoftmaxWithLoss": Case(time_layers.TimeSoftmaxWithLoss, [], "SI"),
    "WeightSum": Case(WeightSum, [], "Ea"),
    "WeightSum, many": Case(WeightSum, [], "EA"),
    "AttentionWeight": Case(AttentionWeight, [], "Eh"),
    "AttentionWeight, many": Case(AttentionWeight, [], "EQm"),
    "Attention": Case(Attention, [], "Ehm"),
    "Attention, many": Case(Attention, [], "EQ"),
    "TimeAttention": Case(TimeAttention, [], "EQ"),
    "TimeAttention, mask": Case(TimeAttention, [], "EQm"),
    "TimeAttention, parts": Case(TimeAttentionInParts, [], "EQ"),
    "TimeAttention, mask, parts": Case(TimeAttentionInParts, [], "EQm"),
    "DotScore": Case(DotScore, [], "EQ", dict(scale=0.3)),
    "GeneralScore": Case(GeneralScore, [(D, H)], "EX"),
    "GeneralScore, one query": Case(GeneralScore, [(D, H)], "Ex"),
    "AdditiveScore": Case(AdditiveScore, ADDITIVE, "EX"),
    "AdditiveScore, one query": Case(AdditiveScore, ADDITIVE, "Ex"),
    "AdditiveScore, keys": Case(score_of_keys, [(D, H), (H,)], "EX"),
    "AttentionWeight, additive": Case(additive(AttentionWeight), ADDITIVE, "EXm"),
    "Attention, additive": Case(additive(Attention), ADDITIVE, "Exm"),
    "TimeAttention, additive": Case(additive(TimeAttention), ADDITIVE, "EXm"),
    "TimeAttention, additive, parts": Case(additive(TimeAttentionInParts), ADDITIVE, "EXm"),
    "CosineSimilarity": Case(ntm_layers.CosineSimilarity, [], "EQ"),
    "CosineSimilarity, one key": Case(ntm_layers.CosineSimilarity, [], "Eh"),
    "ContentAddressing": Case(ntm_layers.ContentAddressing, [], "EQu"),
    "Interpolation": Case(ntm_layers.Interpolation, [], "ppu"),
    "CircularShift": Case(ntm_layers.CircularShift, [], "p3"),
    "Sharpening": Case(ntm_layers.Sharpening, [], "pu"),
    "Addressing": Case(ntm_layers.Addressing, [], "EpQuu3u"),
    "Read": Case(ntm_layers.Read, [], "Ea"),
    "Erase": Case(ntm_layers.Erase, [], "Eah"),
    "Add": Case(ntm_layers.Add, [], "Eah"),
    "Softplus": Case(ntm_layers.Softplus, [], "s"),
    "TimeSigmoidWithLoss": Case(ntm_layers.TimeSigmoidWithLoss, [], "SBM"),
    "ScaledDotAttention": Case(ScaledDotAttention, [], "XEm", dict(heads=3)),
    "MultiHeadAttention": Case(multi_head(3), [], "Q", model=True),
    "MultiHeadAttention, causal": Case(multi_head(2, causal=True), [], "Q", model=True),
    "MultiHeadAttention, cross": Case(multi_head(2), [], "EQm", model=True),
    "SinusoidalPositions": Case(SinusoidalPositions, [], "Q"),
    "LearnedPositions": Case(LearnedPositions, [(9, H)], "Q"),
    "TiedAffine": Case(TiedAffine, [(V, H), (V,)], "Q"),
    "EncoderLayer": Case(transformer_layer(EncoderLayer, True), [], "Em", model=True),
    "EncoderLayer, post-norm": Case(transformer_layer(EncoderLayer, False), [], "Em", model=True),
    "DecoderLayer": Case(transformer_layer(DecoderLayer, True), [], "EQm", model=True),
    "DecoderLayer, post-norm": Case(transformer_layer(DecoderLayer, False), [], "EQm", model=True),
    "AlignmentLoss": Case(AlignmentLoss, [], "pg"),
    "Encoder": Case(Encoder, [], "I", model=True),
    "AttentionEncoder": Case(AttentionEncoder, [], "I", model=True),
    "Decoder": Case(Decoder, [], "Ih", model=True),
    "PeekyDecoder": Case(PeekyDecoder, [], "Ih", model=True),
    "AttentionDecoder": Case(AttentionDecoder, [], "IE", model=True),
    "Seq2seq": Case(Seq2seq, [], "IJ", model=True),
    "Seq2seq, fed other characters": Case(Seq2seq, [], "IJI", model=True),
    "PeekySeq2seq": Case(PeekySeq2seq, [], "IJ", model=True),
    "AttentionSeq2seq": Case(AttentionSeq2seq, [], "IJ", model=True),
    "AttentionSeq2seq, guided": Case(GuidedSeq2seq, [], "ZJImg", model=True),
    "BahdanauSeq2seq": Case(translator(BahdanauSeq2seq), [], "ZJ", model=True, in_place=True),
    "GNMT": Case(translator(GNMT, layers=3), [], "ZJ", model=True, in_place=True),
    "GNMT, 1 layer": Case(translator(GNMT, layers=1), [], "ZJ", model=True, in_place=True),
    "LuongSeq2seq": Case(translator(LuongSeq2seq), [], "ZJ", model=True, in_place=True),
    "NTM": Case(machine(), [], "XBM", model=True),
    "NTM, feed-forward, learned": Case(
        machine(controller="feedforward", first_memory="learned", write_heads=2), [], "XBM", model=True
    ),
    "PlainLSTM": Case(plain_lstm, [], "XBM", model=True),
    "LuongSeq2seq, concat, fed": Case(
        translator(LuongSeq2seq, score="concat", input_feeding=True), [], "ZJ", model=True, in_place=True
    ),
    "Transformer, a Seq2seq": Case(translator(Transformer, heads=3, layers=2), [], "ZJ", model=True, in_place=True),
}
RANDOM = {"Dropout", "TimeDropout"}
MEANS = "Loss", "Seq2seq", "NTM", "PlainLSTM"  # what has these in its name returns a mean over the batch


@pytest.fixture(params=CASES, name="case")
def _case(request):
    case = CASES[request.param]
    case.name = request.param
    return case


def as_list(x):
    if x is None:
        return []
    return list(x) if isinstance(x, tuple) else [x]


def reset(layer):
    for part in (layer, getattr(layer, "lstm", None)):
        if hasattr(part, "reset_state"):
            part.reset_state()
    if hasattr(layer, "rng"):
        layer.rng = np.random.default_rng(3)


def run(case, layer, inputs, dtype=np.float64):
    """Forward and backward once; return outputs, returned gradients and grads, all as they are (no copies)."""
    outs = as_list(layer.forward(*inputs))
    returned = as_list(layer.backward(*case.dout(outs, dtype)))
    return outs, returned, list(layer.grads)


def arrays_inside(thing, seen=None):
    """Every array that can be reached from the attributes of a layer."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        yield thing
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from arrays_inside(part, seen)
    elif isinstance(thing, dict):
        yield from arrays_inside(list(thing.values()), seen)
    elif type(thing).__module__.split(".")[0] in ("common", "ch07", "ch08"):
        yield from arrays_inside(vars(thing), seen)


def buffers(layer):
    """Arrays inside a layer, without those that it shows to readers: last states, their gradients, the weights."""
    public = [vars(p).get(n) for p in parts(layer) for n in ("h", "c", "dh", "dc", "attention_weight")]
    return [a for a in arrays_inside(layer) if not any(a is p for p in public)]


def parts(layer):
    """The layer and the layers inside it."""
    yield layer
    for value in vars(layer).values():
        if type(value).__module__.split(".")[0] in ("common", "ch07", "ch08"):
            yield from parts(value)


def assert_same(got, expected, what):
    assert len(got) == len(expected)
    for k, (g, e) in enumerate(zip(got, expected, strict=True)):
        np.testing.assert_array_equal(g, e, err_msg=f"{what} {k}")


# --- dtype and shape -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_has_the_dtype_of_the_parameters(case, dtype):
    layer = case.make(dtype)
    inputs = case.inputs(dtype)
    outs, returned, grads = run(case, layer, inputs, dtype)
    states = [getattr(layer, n) for n in ("h", "c", "dh", "dc") if getattr(layer, n, None) is not None]
    for array in outs + returned + grads + states:
        assert array.dtype == dtype
    assert all(np.isfinite(array).all() for array in outs + returned + grads)


@pytest.mark.parametrize("data", [np.float64, np.float16])
def test_dtype_of_the_inputs_does_not_change_that_of_a_layer_with_parameters(case, data):
    layer = case.make(np.float32)
    if not layer.params:
        return  # a layer without parameters follows its inputs
    outs, returned, grads = run(case, layer, case.inputs(data), data)
    if case.name == "AttentionDecoder":
        returned = []  # the gradient for enc comes from TimeAttention, which has no parameters
    for array in outs + returned + grads:
        assert array.dtype == np.float32


def test_float32_is_near_float64(case):
    layer, precise = case.make(np.float32), case.make(np.float64)
    for single, double in zip(layer.params, precise.params, strict=True):
        double[...] = single
    inputs = case.inputs(np.float32)
    doubles = [x.astype(np.float64) if x.dtype == np.float32 else x for x in inputs]
    for got, expected in zip(run(case, layer, inputs, np.float32), run(case, precise, doubles), strict=True):
        for g, e in zip(got, expected, strict=True):
            np.testing.assert_allclose(g, e, rtol=2e-3, atol=2e-4)


def test_gradients_have_the_shapes_of_what_they_belong_to(case):
    layer, inputs = case.make(), case.inputs()
    _, returned, grads = run(case, layer, inputs)
    assert [g.shape for g in grads] == [p.shape for p in layer.params]
    if case.name in ("Encoder", "AttentionEncoder"):
        assert returned == []
    else:
        assert [g.shape for g in returned] == [x.shape for x in inputs if x.dtype.kind == "f"]


def test_the_params_are_the_arrays_that_were_given(case):
    if case.options.get("model"):
        layer = case.make()
        inner = (
            [p for part in (layer.encoder, layer.decoder) for p in part.params] if isinstance(layer, Seq2seq) else None
        )
        assert inner is None or all(a is b for a, b in zip(inner, layer.params, strict=True))
        return
    given = [np.zeros(shape) for shape in case.shapes]
    layer = case.layer_class(*given, **case.arguments)
    assert all(a is b for a, b in zip(given, layer.params, strict=True))


def test_a_new_layer_has_an_empty_cache_and_gradients_of_zero(case):
    for part in parts(case.make()):
        assert hasattr(part, "cache") == hasattr(part, "backward") or isinstance(part, Composite)
        assert vars(part).get("cache") is None
        for grad in getattr(part, "grads", []):
            np.testing.assert_array_equal(grad, 0)


# --- memory --------------------------------------------------------------------------------------------------


def test_nothing_that_is_handed_in_is_changed(case):
    layer, inputs = case.make(), case.inputs()
    for x in inputs:
        x.flags.writeable = False
    outs = as_list(layer.forward(*inputs))
    params = [p.copy() for p in layer.params]
    dout = case.dout(outs)
    for d in dout:
        if isinstance(d, np.ndarray):
            d.flags.writeable = False
    layer.backward(*dout)
    assert_same(layer.params, params, "params")


def test_grads_stay_the_same_array_objects(case):
    layer = case.make()
    before = list(layer.grads)
    inner = [g for part in parts(layer) for g in getattr(part, "grads", [])]
    run(case, layer, case.inputs())
    assert all(a is b for a, b in zip(before, layer.grads, strict=True))
    assert all(a is b for a, b in zip(inner, [g for p in parts(layer) for g in getattr(p, "grads", [])], strict=True))


def test_grads_are_set_and_not_added_to(case):
    layer, inputs = case.make(), case.inputs()
    run(case, layer, inputs)
    first = [g.copy() for g in layer.grads]
    for g in layer.grads:
        g[...] = np.nan
    reset(layer)
    run(case, layer, inputs)
    assert_same(layer.grads, first, "grads")


def test_what_is_returned_shares_no_memory_with_anything_else(case):
    layer, inputs = case.make(), case.inputs()
    outs = [o for o in as_list(layer.forward(*inputs)) if isinstance(o, np.ndarray)]
    after_forward = buffers(layer) + inputs
    dout = case.dout(outs) if outs else [0.7]
    returned = as_list(layer.backward(*dout))
    own = [r for r in returned if r is not getattr(getattr(layer, "lstm", None), "dh", None)]
    for out in outs:
        assert not any(np.shares_memory(out, a) for a in after_forward)
        assert not any(np.shares_memory(out, a) for a in buffers(layer) + returned)
    for k, array in enumerate(own):
        assert not any(np.shares_memory(array, a) for a in buffers(layer) + inputs + dout if isinstance(a, np.ndarray))
        assert not any(np.shares_memory(array, a) for a in own[:k])


def test_spoiling_what_is_returned_spoils_nothing(case):
    layer, other, inputs = case.make(), case.make(), case.inputs()
    outs = as_list(other.forward(*inputs))
    expected = as_list(other.backward(*case.dout(outs)))
    outs = as_list(layer.forward(*inputs))
    dout = case.dout(outs)
    for out in outs:
        if isinstance(out, np.ndarray):
            out[...] = np.nan
    returned = as_list(layer.backward(*dout))
    assert_same(returned, expected, "gradient")
    assert_same(layer.grads, other.grads, "grads")
    for array in returned:
        array[...] = np.nan
    assert_same(as_list(layer.backward(*dout)), as_list(other.backward(*dout)), "second gradient")


@pytest.mark.parametrize(("n", "t"), [(N, T), (N + 3, T + 2), (1, 1)])
def test_what_was_returned_stays_as_it_was_after_the_next_calls(case, n, t):
    layer = case.make()
    outs, returned, _ = run(case, layer, case.inputs())
    shown = [
        getattr(layer, name) for name in ("h", "c", "dh", "dc", "attention_weight", "weights") if hasattr(layer, name)
    ]
    shown = [a for a in shown if isinstance(a, np.ndarray)]
    kept = [np.array(a) for a in outs + returned + shown]
    reset(layer)
    run(case, layer, case.inputs(n=n, t=t, seed=8))
    assert_same(outs + returned + shown, kept, "array")


def test_two_layers_share_no_memory(case):
    one, two = case.make(seed=1), case.make(seed=4)
    run(case, one, case.inputs())
    run(case, two, case.inputs(seed=5))
    mine = list(arrays_inside(one))
    for array in arrays_inside(two):
        assert not any(np.shares_memory(array, a) for a in mine)


# --- repeatability -------------------------------------------------------------------------------------------


def test_backward_twice_gives_the_same_twice(case):
    layer = case.make()
    outs, returned, grads = run(case, layer, case.inputs())
    first = [np.array(a) for a in returned + grads]
    again = as_list(layer.backward(*case.dout(outs)))
    assert_same(again + list(layer.grads), first, "gradient")


def test_backward_of_a_second_dout_knows_nothing_of_the_first(case):
    layer, other, inputs = case.make(), case.make(), case.inputs()
    outs = as_list(layer.forward(*inputs))
    other.forward(*inputs)
    second = [0.3 * d for d in case.dout(outs, seed=9)]
    layer.backward(*case.dout(outs))
    got, expected = as_list(layer.backward(*second)), as_list(other.backward(*second))
    if case.options.get("in_place"):  # the loss works in the array of the logits: it scales the first gradient
        for one, two in zip(layer.grads, other.grads, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-15)
    else:
        assert_same(got, expected, "gradient")
        assert_same(layer.grads, other.grads, "grads")


@pytest.mark.parametrize("sizes", [[(6, 7), (2, 3)], [(2, 3), (6, 7)], [(4, 3), (3, 4)], [(3, 5), (1, 1), (5, 2)]])
def test_batches_of_other_sizes_before_change_nothing(case, sizes):
    layer, fresh = case.make(), case.make()
    for n, t in sizes[:-1]:
        reset(layer)
        run(case, layer, case.inputs(n=n, t=t, seed=8))
    reset(layer)
    n, t = sizes[-1]
    inputs = case.inputs(n=n, t=t)
    for got, expected in zip(run(case, layer, inputs), run(case, fresh, inputs), strict=True):
        for g, e in zip(got, expected, strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-12, atol=1e-14)


def test_each_row_of_a_batch_is_computed_as_if_alone(case):
    """Outputs of row k depend on row k alone; with a sum over the batch as loss, so do the gradients."""
    layer, inputs = case.make(), case.inputs()
    if case.name in RANDOM or any(name in case.name for name in MEANS) or isinstance(layer, Seq2seq):
        return  # one draw for the whole batch, one mean over the whole batch
    outs, returned, grads = run(case, layer, inputs)
    outs, returned, total = [o.copy() for o in outs], [r.copy() for r in returned], [g.copy() for g in grads]
    douts = case.dout(outs)
    sums = [np.zeros_like(g) for g in grads]
    for k in range(N):
        reset(layer)
        row = as_list(layer.forward(*(x[k : k + 1] for x in inputs)))
        row_grads = as_list(layer.backward(*(d[k : k + 1] for d in douts)))
        for g, e in zip(row + row_grads, [a[k : k + 1] for a in outs + returned], strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-10, atol=1e-12)
        for s, g in zip(sums, layer.grads, strict=True):
            s += g
    for s, t in zip(sums, total, strict=True):
        np.testing.assert_allclose(s, t, rtol=1e-10, atol=1e-12)


def test_inputs_need_not_be_contiguous(case):
    layer, other, inputs = case.make(), case.make(), case.inputs()
    spread = []
    for x in inputs:
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
        wide[..., ::2] = x
        spread.append(wide[..., ::2])
    outs = as_list(layer.forward(*spread))
    expected = as_list(other.forward(*inputs))
    dout = case.dout(outs)
    strided = [np.asfortranarray(d) if isinstance(d, np.ndarray) else d for d in dout]
    for g, e in zip(outs + as_list(layer.backward(*strided)), expected + as_list(other.backward(*dout)), strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-12, atol=1e-14)
    for g, e in zip(layer.grads, other.grads, strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_computes_the_same_and_shares_nothing(case, copied):
    layer, inputs = case.make(), case.inputs()
    other = copied(layer)
    for got, expected in zip(run(case, other, case.inputs()), run(case, layer, inputs), strict=True):
        assert_same(got, expected, "array")
    mine = list(arrays_inside(layer))
    for array in arrays_inside(other):
        assert not any(np.shares_memory(array, a) for a in mine)


# --- errors --------------------------------------------------------------------------------------------------

IN_COMMON = [name for name, case in CASES.items() if type(case.make()).__module__.startswith("common.")]


@pytest.mark.parametrize("name", IN_COMMON)
def test_backward_before_forward_says_what_is_missing(name):
    layer, other = CASES[name].make(), CASES[name].make()
    dout = CASES[name].dout(as_list(other.forward(*CASES[name].inputs())))
    with pytest.raises(RuntimeError, match=r"^\w+\.backward: call forward first$"):
        layer.backward(*dout)


@pytest.mark.parametrize("name", [name for name in IN_COMMON if "Loss" not in name])
@pytest.mark.parametrize("sizes", [dict(n=1, t=1), dict(n=N + 1), dict(n=1)])
def test_a_gradient_of_another_batch_is_refused(name, sizes):
    """As when a model answers between forward and backward: NumPy alone would stretch what has size 1."""
    case = CASES[name]
    layer = case.make()
    dout = case.dout(as_list(layer.forward(*case.inputs())))
    grads = [g.copy() for g in layer.grads]
    reset(layer)
    layer.forward(*case.inputs(**sizes))
    with pytest.raises(ValueError, match=r"\w+: \w+ is \(.*\), but forward returned \("):
        layer.backward(*dout)
    assert_same(layer.grads, grads, "grads")
