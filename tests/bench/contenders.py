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
DATES, DATES_ONE_BY_ONE = 5000, 200
MAX_GRAD = 5.0


def random_ids(N, *, T_enc, T_dec, V, **_):
    """A batch of random questions (N, T_enc) and answers (N, T_dec + 1)."""
    rng = np.random.default_rng(1)
    return rng.integers(0, V, (N, T_enc)), rng.integers(0, V, (N, T_dec + 1))


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


def numpy_step(model_class, Adam, clip_grads, wrap=lambda model: model, options=None, **sizes):
    """Forward, backward, clip, Adam: what a trainer does with one batch. Args: options, of the model."""
    sizes = STEP | sizes
    xs, ts = random_ids(**sizes)
    rng = np.random.default_rng(0)
    model = wrap(model_class(sizes["V"], sizes["D"], sizes["H"], rng=rng, **(options or {})))
    optimizer = Adam(lr=0.001)

    def step():
        loss = model.forward(xs, ts)
        model.backward()
        clip_grads(model.grads, MAX_GRAD)
        optimizer.update(model.params, model.grads)
        return loss

    return step


# The models of chapter 8: class -> (module, options that our model and the one in PyTorch have in common).
MODELS = {
    "AttentionSeq2seq": ("ch08.attention_seq2seq", {}),
    "BiAttentionSeq2seq": ("ch08.bidirectional_seq2seq", {}),
    "InputFeedingSeq2seq": ("ch08.input_feeding_seq2seq", {}),
    "SameStepSeq2seq": ("ch08.same_step_seq2seq", {}),
    "DeepAttentionSeq2seq": ("ch08.deep_seq2seq", {"layers": 4, "residual": True}),
}


def step_library(name="AttentionSeq2seq", **sizes):
    from common.optimizer import Adam
    from common.parallel import DataParallel
    from common.util import clip_grads

    module, options = MODELS[name]
    model_class = getattr(import_module(module), name)
    step = numpy_step(model_class, Adam, clip_grads, DataParallel, options, **sizes)
    return step, "data-parallel, as ch08.train runs it"


def step_plain():
    from tests.bench.plain import Adam, AttentionSeq2seq, clip_grads

    return numpy_step(AttentionSeq2seq, Adam, clip_grads), ""


def step_torch(name="AttentionSeq2seq", **sizes):
    from tests.bench import torch_model

    sizes = STEP | sizes
    xs, ts = random_ids(**sizes)
    make = partial(getattr(torch_model, name), sizes["V"], sizes["D"], sizes["H"], **MODELS[name][1])
    step, adam = torch_model.fastest_step(make, xs, ts, MAX_GRAD, calls=3 if sizes != STEP else 8)
    return step, f"Adam: {adam} (the fastest of three)"


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
    "decode": {
        "batched": decode_batched,
        "torch": decode_torch,
        "one by one": decode_one_by_one,
        "plain": decode_plain,
    },
}
# A contender that decodes one by one runs a part of the dates only.
SCALE = {("decode", "one by one"): DATES / DATES_ONE_BY_ONE, ("decode", "plain"): DATES / DATES_ONE_BY_ONE}
