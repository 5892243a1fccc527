"""Depth: stacks of LSTMs, with and without skip connections, learn to read dates (section 8.11)."""

import functools

from ch08.deep_seq2seq import DeepAttentionSeq2seq
from ch08.recipes.dates import FAST, date_model, fast_dates, prepare_fast
from common.training.recipe import System


def _stack(about, **options):
    """Return a System; H is half of what the flat models have, as every layer takes its time and its memory."""
    model = functools.partial(date_model, functools.partial(DeepAttentionSeq2seq, **options), hidden_size=128)
    return System(about, fast_dates, model, FAST, prepare_fast)


SYSTEMS = {
    "deep": _stack("4 layers, with residual connections", layers=4),
    "deep-plain": _stack("4 layers, without", layers=4, residual=False),
    "deep-8": _stack("8 layers, with residual connections", layers=8),
    "deep-8-plain": _stack("8 layers, without", layers=8, residual=False),
}
