"""Who reads, and where the context goes: the models of sections 8.9 and 8.10 learn to read dates."""

import functools

from ch08.bidirectional_seq2seq import BiAttentionSeq2seq
from ch08.input_feeding_seq2seq import InputFeedingSeq2seq
from ch08.recipes.dates import FAST, date_model, fast_dates, prepare_fast
from ch08.same_step_seq2seq import SameStepSeq2seq
from common.training.recipe import System


def _dates(about, model_class, **options):
    """Return a System that trains a model on the dates as the system ``attention`` does."""
    model = functools.partial(date_model, functools.partial(model_class, **options))
    return System(about, fast_dates, model, FAST, prepare_fast)


SYSTEMS = {
    "bidirectional": _dates("two readers, one from each end", BiAttentionSeq2seq),
    "bidirectional-sum": _dates("two readers, their states added", BiAttentionSeq2seq, combine="sum"),
    "bidirectional-mean": _dates("two readers, the mean of their states", BiAttentionSeq2seq, combine="mean"),
    "input-feeding": _dates("the context feeds the next step (Luong)", InputFeedingSeq2seq),
    "same-step": _dates("the context feeds its own step (Bahdanau)", SameStepSeq2seq),
}
