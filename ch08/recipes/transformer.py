"""The Transformer on dates, on our own sentences, and on Multi30k (section 8.19)."""

import functools

from ch08.recipes.dates import Dates
from ch08.recipes.sentences import GERMAN, KOREAN, sentence_task
from ch08.recipes.translation import multi30k_task, translation_model
from ch08.transformer import Transformer
from common.np import np
from common.training.recipe import Recipe, System

# Self-attention has no first and last word, so nothing is gained by reading a question in reverse.
transformer_dates = functools.partial(Dates, reverse=False)


def date_transformer(task, *, rng, dtype=np.float32, wordvec_size=64, hidden_size=128, **options):
    """Return a new model for the characters of a task: one vocabulary for questions and answers."""
    V = len(task.vocab)
    options = dict(layers=2, heads=4) | options
    return Transformer(V, V, wordvec_size, hidden_size, pad_id=task.pad_id, dtype=dtype, rng=rng, **options)


def _sentences(about, pair):
    model = functools.partial(Transformer, layers=2, heads=4, dropout=0.1, label_smoothing=0.1)
    return System(
        about,
        functools.partial(sentence_task, pair),
        functools.partial(translation_model, model, wordvec_size=128, hidden_size=256),
        SENTENCES,
    )


DATES = Recipe(epochs=2, batch_size=64, learning_rate=0.002, warmup_steps=200, max_grad=1.0, beta2=0.99)
SENTENCES = Recipe(epochs=10, batch_size=64, learning_rate=0.003, warmup_steps=200, max_grad=1.0, beta2=0.99)
MULTI30K = Recipe(epochs=16, batch_size=128, learning_rate=0.0015, warmup_steps=800, max_grad=1.0, beta2=0.98)

SYSTEMS = {
    "transformer-dates": System("a small Transformer", transformer_dates, date_transformer, DATES),
    "transformer": _sentences(f"{GERMAN}, a small Transformer", "de-en"),
    "transformer-ko": _sentences(f"{KOREAN}, a small Transformer", "ko-en"),
    "multi30k-transformer": System(
        "Multi30k, German to English, a Transformer of joint sub-words",
        functools.partial(multi30k_task, pieces=5000, joint=True, beam_size=5),
        functools.partial(
            translation_model,
            functools.partial(Transformer, layers=3, heads=8, tied="all", dropout=0.25, label_smoothing=0.1),
            wordvec_size=256,
            hidden_size=512,
        ),
        MULTI30K,
    ),
}
