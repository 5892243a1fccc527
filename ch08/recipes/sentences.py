"""Our own sentences: German and Korean to English (sections 8.14 and 8.15)."""

import functools

from ch08.bahdanau_seq2seq import BahdanauSeq2seq
from ch08.luong_seq2seq import LuongSeq2seq
from ch08.recipes.translation import Translation, file_corpus, sentence_corpus, translation_model
from ch08.word_seq2seq import WordSeq2seq
from common.training.recipe import Recipe, System

RECIPE = Recipe(epochs=4, batch_size=64, learning_rate=0.004, warmup_steps=100, beta2=0.99)


def sentence_task(pair, data=None, *, batch_size, seed, **options):
    """Return the task of translating our own sentences. Args: pair, such as "de-en"; data, a file of your own pairs."""
    corpus = sentence_corpus(pair) if data is None else file_corpus(data, tuple(pair.split("-")))
    return Translation(corpus, batch_size=batch_size, seed=seed, **options)


def prepare(model, task=None):
    """Let the embeddings start at 1 rather than at the book's 0.01, as ``ch08.recipes.dates.prepare_fast`` does."""
    for part in (model.encoder, model.decoder):
        W = part.embed.params[0]
        W *= 100


def _system(about, pair, model_class, **options):
    model = functools.partial(
        translation_model, functools.partial(model_class, **options), wordvec_size=64, hidden_size=128
    )
    return System(about, functools.partial(sentence_task, pair), model, RECIPE, prepare)


SYSTEMS = {
    "bahdanau": _system("German to English, additive attention", "de-en", BahdanauSeq2seq),
    "luong": _system("German to English, general score", "de-en", LuongSeq2seq, score="general"),
    "plain-words": _system("German to English, without attention", "de-en", WordSeq2seq),
    "bahdanau-ko": _system("Korean to English, additive attention", "ko-en", BahdanauSeq2seq),
    "luong-ko": _system("Korean to English, general score", "ko-en", LuongSeq2seq, score="general"),
    "plain-words-ko": _system("Korean to English, without attention", "ko-en", WordSeq2seq),
}
