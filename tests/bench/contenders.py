"""What is timed: for every job the contenders, each a function that builds its own data and returns a call.

A builder returns ``(call, note)``. The modules it needs are imported inside it, because each contender
runs in a process of its own that must load nothing of the others.
"""

from functools import partial
from importlib import import_module

import numpy as np

STEP = {"N": 128, "T_enc": 29, "T_dec": 10, "V": 59, "D": 16, "H": 256}
ATTENTION = {"N": 16, "T": 256, "H": 256}
ADDITIVE = {"N": 64, "T_enc": 30, "T_dec": 10, "H": 256, "A": 256}
ADDITIVE_LONG = {"N": 16, "T_enc": 256, "T_dec": 256, "H": 256, "A": 256}
# The sizes of the PyTorch notes: V words in the source language, V_target in the other.
TRANSLATION = {"N": 128, "T_enc": 14, "T_dec": 14, "V": 7800, "V_target": 5900, "D": 256, "H": 512}
MULTI30K = {"N": 64, "T_enc": 16, "T_dec": 16, "V": 4004, "V_target": 4004, "D": 192, "H": 320}
# The sizes of a Transformer that PyTorch's own tutorials train on Multi30k.
TRANSFORMER = {"N": 128, "T_enc": 14, "T_dec": 14, "V": 5900, "V_target": 5900, "D": 256, "H": 512}
TRANSFORMER_OPTIONS = {"layers": 3, "heads": 8, "dropout": 0.1}
SELF_ATTENTION = {"N": 4, "T": 512, "D": 256, "heads": 8}
BEAM = {"V": 3000, "V_target": 3000, "D": 256, "H": 256}
BEAM_SEARCH = {"start_id": 1, "end_id": 2, "max_length": 20, "beam_size": 5}
TRANSFORMER_WORDS = 40
COPY = {"N": 32, "length": 20}
COPY_SIZES = 9, 8, 100  # inputs, outputs, H; the memory has 128 rows of width 20
DATES, DATES_ONE_BY_ONE = 5000, 200
SENTENCES, SENTENCES_ONE_BY_ONE = 1000, 50
MAX_GRAD = 5.0


def random_ids(N, *, T_enc, T_dec, V, V_target=None, **_):
    """A batch of random questions (N, T_enc) and answers (N, T_dec + 1); in translation 0 would be padding."""
    rng = np.random.default_rng(1)
    if V_target is None:
        return rng.integers(0, V, (N, T_enc)), rng.integers(0, V, (N, T_dec + 1))
    return rng.integers(1, V, (N, T_enc)), rng.integers(1, V_target, (N, T_dec + 1))


def model_sizes(V, D, H, V_target=None, **_):
    """What a model takes by position: translators have two vocabularies."""
    return (V, D, H) if V_target is None else (V, V_target, D, H)


def random_states(N, T, H):
    """Encoder states, decoder states and the gradient of the contexts, each (N, T, H)."""
    return random_attention(N, T, T, H)[0]


def random_attention(N, T_enc, T_dec, H, *shapes):
    """Encoder states, decoder states and the gradient of the contexts; parameters of a score of these shapes."""
    rng = np.random.default_rng(1)
    states = [(N, T_enc, H), (N, T_dec, H), (N, T_dec, H)]
    return [
        [rng.standard_normal(shape, dtype=np.float32) / np.float32(16) for shape in group] for group in (states, shapes)
    ]


def numpy_step(model_class, Adam, clip_grads, wrap=lambda model: model, options=None, sizes=STEP):
    """Forward, backward, clip, Adam: what a trainer does with one batch. Args: options, of the model."""
    xs, ts = random_ids(**sizes)
    rng = np.random.default_rng(0)
    model = wrap(model_class(*model_sizes(**sizes), rng=rng, **(options or {})))
    optimizer = Adam(lr=0.001)

    def step():
        loss = model.forward(xs, ts)
        model.backward()
        clip_grads(model.grads, MAX_GRAD)
        optimizer.update(model.params, model.grads)
        return loss

    return step


# The models of chapter 8: class, and which of its kind -> (module, sizes, options that our model and the one in PyTorch
# have in common).
MODELS = {
    "AttentionSeq2seq": ("ch08.attention_seq2seq", STEP, {}),
    "BiAttentionSeq2seq": ("ch08.bidirectional_seq2seq", STEP, {}),
    "InputFeedingSeq2seq": ("ch08.input_feeding_seq2seq", STEP, {}),
    "SameStepSeq2seq": ("ch08.same_step_seq2seq", STEP, {}),
    "DeepAttentionSeq2seq": ("ch08.deep_seq2seq", STEP, {"layers": 4, "residual": True}),
    "BahdanauSeq2seq": ("ch08.bahdanau_seq2seq", TRANSLATION, {"dropout": 0.5}),
    "LuongSeq2seq": ("ch08.luong_seq2seq", TRANSLATION, {"score": "dot", "dropout": 0.5}),
    "LuongSeq2seq, feeding": (
        "ch08.luong_seq2seq",
        TRANSLATION,
        {"score": "general", "input_feeding": True, "dropout": 0.5},
    ),
    "LuongSeq2seq, of the course": (
        "ch08.luong_seq2seq",
        MULTI30K,
        {"score": "general", "input_feeding": True, "bidirectional": True, "dropout": 0.4},
    ),
    "GNMT": ("ch08.gnmt", MULTI30K, {"layers": 4, "dropout": 0.2}),
    "Transformer": ("ch08.transformer", TRANSFORMER, TRANSFORMER_OPTIONS),
}


def class_name(name):
    return name.partition(",")[0]


def step_library(name="AttentionSeq2seq", **sizes):
    from common.optimizer import Adam
    from common.parallel import DataParallel
    from common.util import clip_grads

    module, usual, options = MODELS[name]
    model_class = getattr(import_module(module), class_name(name))
    step = numpy_step(model_class, Adam, clip_grads, DataParallel, options, usual | sizes)
    return step, "data-parallel, as ch08.train runs it"


def step_plain():
    from tests.bench.plain import Adam, AttentionSeq2seq, clip_grads

    return numpy_step(AttentionSeq2seq, Adam, clip_grads), ""


def step_torch(name="AttentionSeq2seq", **sizes):
    from tests.bench import torch_model

    _, usual, options = MODELS[name]
    sizes = usual | sizes
    xs, ts = random_ids(**sizes)
    make = partial(getattr(torch_model, class_name(name)), *model_sizes(**sizes), **options)
    step, adam = torch_model.fastest_step(make, xs, ts, MAX_GRAD, calls=3 if sizes != STEP else 8)
    return step, f"Adam: {adam} (the fastest of three)"


def copy_batch(N, length):
    """A batch of the copy task: xs (N, T, 9), ts (N, T, 8) and mask (N, T), T = 2 length + 1."""
    bits = np.random.default_rng(1).integers(0, 2, (N, length, 8))
    T = 2 * length + 1
    xs, ts, mask = np.zeros((N, T, 9), np.float32), np.zeros((N, T, 8), np.int8), np.zeros((N, T), bool)
    xs[:, :length, :8] = ts[:, length + 1 :] = bits
    xs[:, length, 8] = mask[:, length + 1 :] = 1
    return xs, ts, mask


def ntm_library():
    from ch08.ntm import NTM
    from common.optimizer import Adam
    from common.parallel import DataParallel
    from common.util import clip_grads

    xs, ts, mask = copy_batch(**COPY)
    model, optimizer = DataParallel(NTM(*COPY_SIZES, rng=0)), Adam(lr=0.001)

    def step():
        model.forward(xs, ts, mask)
        model.backward()
        clip_grads(model.grads, MAX_GRAD)
        optimizer.update(model.params, model.grads)

    return step, "data-parallel, as ch08.train runs it"


def ntm_torch(N=COPY["N"]):
    from tests.bench import torch_model

    xs, ts, _ = copy_batch(N, COPY["length"])
    step, adam = torch_model.fastest_step(partial(torch_model.NTM, *COPY_SIZES), xs, ts, MAX_GRAD)
    return step, f"Adam: {adam} (the fastest of three)"


def ntm_one_by_one():
    step, note = ntm_torch(N=1)
    return step, f"PyTorch, a batch of one sequence, timed once, times {COPY['N']}. {note}"


def step_floor():
    from tests.bench.floor import make_step

    return make_step(**STEP), "matrix products only"


def numpy_attention(TimeAttention):
    return both_ways(TimeAttention(), *random_states(**ATTENTION))


def both_ways(layer, hs_enc, hs_dec, dout):
    """Forward and backward."""

    def run():
        layer.forward(hs_enc, hs_dec)
        layer.backward(dout)

    return run


def attention_library():
    from ch08.attention_layer import TimeAttention

    return numpy_attention(TimeAttention), ""


def attention_plain():
    from tests.bench.plain import TimeAttention

    return numpy_attention(TimeAttention), ""


def attention_torch():
    from tests.bench.torch_model import make_attention

    return make_attention(*random_states(**ATTENTION)), "softmax(q k^T) v, autograd"


def attention_floor():
    from tests.bench.floor import make_attention

    return make_attention(**ATTENTION), "matrix products only"


def general_problem():
    """States and the weight of the score, at the size of the job "attention"."""
    N, T, H = ATTENTION.values()
    return random_attention(N, T, T, H, (H, H))


def general_library():
    from ch08.attention_layer import TimeAttention
    from ch08.score_layers import GeneralScore

    states, params = general_problem()
    return both_ways(TimeAttention(GeneralScore(*params)), *states), ""


def general_torch():
    from tests.bench.torch_model import general, make_attention

    states, params = general_problem()
    return make_attention(*states, *params, score=general), "softmax(h W hs^T) hs, autograd"


def additive_problem(N, T_enc, T_dec, H, A):
    return random_attention(N, T_enc, T_dec, H, (H, A), (H, A), (A,))


def additive_library(sizes):
    from ch08.attention_layer import TimeAttention
    from ch08.score_layers import AdditiveScore

    states, params = additive_problem(**sizes)
    return both_ways(TimeAttention(AdditiveScore(*params)), *states), "blocks of neurons, computed again in backward"


def additive_torch(sizes):
    from tests.bench.torch_model import additive, make_attention

    states, params = additive_problem(**sizes)
    return make_attention(*states, *params, score=additive), "all neurons (N, T_dec, T_enc, A) at once, autograd"


def self_attention_problem(N, T, D, heads):
    """Queries (N, T, D), keys and values (N, T, 2D), the gradient of the contexts (N, T, D); the number of heads."""
    rng = np.random.default_rng(1)
    return *(rng.standard_normal((N, T, n * D), dtype=np.float32) for n in (1, 2, 1)), heads


def self_attention_library():
    from ch08.multi_head_attention import ScaledDotAttention

    q, kv, dout, heads = self_attention_problem(**SELF_ATTENTION)
    return both_ways(ScaledDotAttention(heads, causal=True), q, kv, dout), "the weights are kept"


def self_attention_torch():
    from tests.bench.torch_model import make_self_attention

    return make_self_attention(*self_attention_problem(**SELF_ATTENTION)), "F.scaled_dot_product_attention"


def decode_model(AttentionSeq2seq):
    """An untrained model and the unseen dates, padded and reversed: the time does not depend on the weights."""
    from dataset import sequence

    model = AttentionSeq2seq(STEP["V"], STEP["D"], STEP["H"], rng=np.random.default_rng(0))
    return model, sequence.load("date.txt").x_test[:DATES, ::-1]


def decode_batched():
    from ch08.attention_seq2seq import AttentionSeq2seq

    model, xs = decode_model(AttentionSeq2seq)
    return lambda: model.greedy_decode(xs, 0, STEP["T_dec"]), f"{DATES:,} dates"


def decode_torch():
    from dataset import sequence
    from tests.bench.torch_model import make_decode

    xs = sequence.load("date.txt").x_test[:DATES, ::-1].copy()
    call, size = make_decode(xs, STEP["V"], STEP["D"], STEP["H"], 0, STEP["T_dec"])
    return call, f"{DATES:,} dates, {size:,} at a time (the fastest of four)"


def one_by_one(AttentionSeq2seq):
    model, xs = decode_model(AttentionSeq2seq)
    rows = [xs[n : n + 1] for n in range(DATES_ONE_BY_ONE)]

    def run():
        for row in rows:
            model.generate(row, 0, STEP["T_dec"])

    return run, f"{DATES_ONE_BY_ONE} dates timed, times {DATES // DATES_ONE_BY_ONE}"


def decode_one_by_one():
    from ch08.attention_seq2seq import AttentionSeq2seq

    return one_by_one(AttentionSeq2seq)


def decode_plain():
    from tests.bench.plain import AttentionSeq2seq

    return one_by_one(AttentionSeq2seq)


def sentences():
    """Random sentences of 6 to 18 words, padded with 0, (SENTENCES, 18)."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(6, 19, SENTENCES)
    xs = rng.integers(3, BEAM["V"], (SENTENCES, 18))
    xs[np.arange(18) >= lengths[:, None]] = 0
    return xs


def translator():
    """An untrained model: it hardly ever writes the end mark, so that every search goes on to the last step."""
    from ch08.bahdanau_seq2seq import BahdanauSeq2seq

    return BahdanauSeq2seq(*model_sizes(**BEAM), rng=np.random.default_rng(0))


def beam_batched():
    from common.decoding import beam

    model, xs = translator(), sentences()
    return lambda: beam(model, xs, **BEAM_SEARCH, pad_id=0), f"{SENTENCES:,} sentences"


def beam_torch():
    from tests.bench.torch_model import BahdanauSeq2seq, make_beam

    call, size = make_beam(BahdanauSeq2seq(*model_sizes(**BEAM)), sentences(), **BEAM_SEARCH)
    return call, f"{SENTENCES:,} sentences, {size:,} at a time (the fastest of four)"


def beam_one_by_one():
    from common.decoding import beam

    model, rows = translator(), [row[None, row != 0] for row in sentences()[:SENTENCES_ONE_BY_ONE]]

    def run():
        for row in rows:
            beam(model, row, **BEAM_SEARCH)

    return run, f"{SENTENCES_ONE_BY_ONE} sentences timed, times {SENTENCES // SENTENCES_ONE_BY_ONE}"


def transformer_decode(Transformer):
    """An untrained model, which hardly ever ends, and as many random sentences as a batch of training has."""
    sizes = model_sizes(**TRANSFORMER)
    options = TRANSFORMER_OPTIONS | {"dropout": 0.0}
    return Transformer(*sizes, **options), random_ids(**TRANSFORMER)[0]


def transformer_decode_library():
    from ch08.transformer import Transformer

    model, xs = transformer_decode(Transformer)
    return lambda: model.eval().greedy_decode(xs, 1, TRANSFORMER_WORDS), "keys and values are kept"


def transformer_decode_torch():
    from tests.bench.torch_model import Transformer, make_greedy

    return make_greedy(*transformer_decode(Transformer), 1, TRANSFORMER_WORDS), "keys and values are kept"


def step_of(name):
    """The contenders of a job: a training step of another model."""
    return {"library": partial(step_library, name), "torch": partial(step_torch, name)}


# job -> contender -> builder. Their order is the order of the turns.
JOBS = {
    "step": {"library": step_library, "plain": step_plain, "torch": step_torch, "floor": step_floor},
    "step-bidirectional": step_of("BiAttentionSeq2seq"),
    "step-feeding": step_of("InputFeedingSeq2seq"),
    "step-same": step_of("SameStepSeq2seq"),
    "step-deep": step_of("DeepAttentionSeq2seq"),
    "step-bahdanau": step_of("BahdanauSeq2seq"),
    "step-luong": step_of("LuongSeq2seq, feeding"),
    "step-luong-plain": step_of("LuongSeq2seq"),
    "step-multi30k": step_of("LuongSeq2seq, of the course"),
    "step-gnmt": step_of("GNMT"),
    "step-transformer": step_of("Transformer"),
    "step-ntm": {"library": ntm_library, "torch": ntm_torch, "one by one": ntm_one_by_one},
    "self-attention": {"library": self_attention_library, "torch": self_attention_torch},
    "attention": {
        "library": attention_library,
        "plain": attention_plain,
        "torch": attention_torch,
        "floor": attention_floor,
    },
    "general": {"library": general_library, "torch": general_torch},
    "additive": {"library": partial(additive_library, ADDITIVE), "torch": partial(additive_torch, ADDITIVE)},
    "additive-long": {
        "library": partial(additive_library, ADDITIVE_LONG),
        "torch": partial(additive_torch, ADDITIVE_LONG),
    },
    "decode-transformer": {"library": transformer_decode_library, "torch": transformer_decode_torch},
    "decode": {
        "batched": decode_batched,
        "torch": decode_torch,
        "one by one": decode_one_by_one,
        "plain": decode_plain,
    },
    "beam": {"batched": beam_batched, "torch": beam_torch, "one by one": beam_one_by_one},
}
# A contender that decodes one by one runs a part of the rows only.
SCALE = {
    ("decode", "one by one"): DATES / DATES_ONE_BY_ONE,
    ("decode", "plain"): DATES / DATES_ONE_BY_ONE,
    ("beam", "one by one"): SENTENCES / SENTENCES_ONE_BY_ONE,
    ("step-ntm", "one by one"): COPY["N"],
}
