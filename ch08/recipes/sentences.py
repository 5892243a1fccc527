"""Our own sentences: German and Korean to English (sections 8.14 to 8.16)."""

import functools
from dataclasses import replace

from ch08.bahdanau_seq2seq import BahdanauSeq2seq
from ch08.luong_seq2seq import LuongSeq2seq
from ch08.recipes.translation import Translation, file_corpus, prepare, sentence_corpus, translation_model
from ch08.word_seq2seq import WordSeq2seq
from common.training.recipe import Recipe, System

RECIPE = Recipe(epochs=6, batch_size=32, learning_rate=0.004, warmup_steps=200, weight_decay=0.1, beta2=0.99)
LONGER = replace(RECIPE, epochs=9)


def sentence_task(pair, data=None, *, batch_size, seed, **options):
    """Return the task of translating our own sentences.

    Args: pair, such as "de-en"; data, a file of your own pairs in their place; options, for Translation.
    """
    if data is None:
        return Translation(sentence_corpus(pair), batch_size=batch_size, seed=seed, **options)
    corpus = file_corpus(data, tuple(pair.split("-")))
    return Translation(corpus, batch_size=batch_size, seed=seed, **options | {"labeled": 0})


def prepare_guided(model, task):
    """Change a new model's first weights as ``prepare`` does, and let the few labeled sentences have a say."""
    prepare(model)
    model.alignment_loss.weight = 10.0


def _system(about, pair, model_class, hidden_size=128, labeled=0, recipe=RECIPE, **options):
    model = functools.partial(model_class, **{"label_smoothing": 0.1} | options)
    return System(
        about,
        functools.partial(sentence_task, pair, labeled=labeled),
        functools.partial(translation_model, model, wordvec_size=64, hidden_size=hidden_size),
        recipe,
        prepare_guided if labeled else prepare,
    )


GERMAN, KOREAN = "German to English", "Korean to English"
LUONG = dict(model_class=LuongSeq2seq, score="general", hidden_size=192, recipe=LONGER)
PLAIN = dict(model_class=WordSeq2seq, hidden_size=192, recipe=LONGER)

SYSTEMS = {
    "bahdanau": _system(f"{GERMAN}, additive attention, two readers", "de-en", BahdanauSeq2seq),
    "bahdanau-guided": _system(f"{GERMAN}, told where to look 1 time in 100", "de-en", BahdanauSeq2seq, labeled=180),
    "luong": _system(f"{GERMAN}, general score", "de-en", **LUONG),
    "plain-words": _system(f"{GERMAN}, without attention", "de-en", **PLAIN),
    "plain-words-unsmoothed": _system(
        f"{GERMAN}, without attention and label smoothing", "de-en", **PLAIN, label_smoothing=0
    ),
    "bahdanau-ko": _system(f"{KOREAN}, additive attention, two readers", "ko-en", BahdanauSeq2seq),
    "luong-ko": _system(f"{KOREAN}, general score", "ko-en", **LUONG),
    "plain-words-ko": _system(f"{KOREAN}, without attention", "ko-en", **PLAIN),
}
