"""What a score is good for: the model of section 8.5 with each of the scores learns to read dates (section 8.12)."""

import functools

from ch08.attention_layer import TimeAttention
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.recipes.dates import FAST, date_model, fast_dates, prepare_fast
from ch08.score_layers import AdditiveScore, DotScore, GeneralScore
from common.np import normal, np
from common.training.recipe import System


def scaled_dot(H, dtype, rng):
    """Return a dot product divided by the root of the size."""
    return DotScore(H**-0.5)


def general(H, dtype, rng):
    """Return a GeneralScore with the usual first weights."""
    return GeneralScore(normal(rng, (H, H), H**-0.5, dtype))


def additive(H, dtype, rng):
    """Return an AdditiveScore of H neurons with the usual first weights."""
    Wq, Wk = (normal(rng, (H, H), H**-0.5, dtype) for _ in range(2))
    return AdditiveScore(Wq, Wk, normal(rng, (H,), H**-0.5, dtype))


def scored_model(score, task, *, rng, dtype=np.float32, wordvec_size=16, hidden_size=256):
    """Return a new AttentionSeq2seq whose attention asks ``score(H, dtype, rng)``."""
    sizes = dict(wordvec_size=wordvec_size, hidden_size=hidden_size)
    model = date_model(AttentionSeq2seq, task, rng=rng, dtype=dtype, **sizes)
    model.decoder.attention = TimeAttention(score(hidden_size, dtype, rng))
    return model


def _system(about, score):
    return System(about, fast_dates, functools.partial(scored_model, score), FAST, prepare_fast)


SYSTEMS = {
    "scaled-dot": _system("attention with the dot product over sqrt(H)", scaled_dot),
    "general": _system("attention with a matrix between query and key (Luong)", general),
    "additive": _system("attention with a small network as its score (Bahdanau)", additive),
}
