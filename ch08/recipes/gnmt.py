"""GNMT on our own sentences, at several depths, and on Multi30k (section 8.17)."""

import functools

from ch08.gnmt import GNMT
from ch08.recipes.sentences import GERMAN, RECIPE, sentence_task
from ch08.recipes.translation import LUONG, multi30k_task, prepare, translation_model
from common.training.recipe import System

# Every LSTM makes small numbers smaller, and a stack does so several times: with embeddings of 0.1, which suit the
# models with one LSTM, four layers were right on 21.5 % of the test sentences (seed 0).
prepare_deep = functools.partial(prepare, scale=1.0)


def _system(about, layers, **options):
    """Return a System of this depth; all have the same H, so a deeper one has more parameters and takes longer."""
    model = functools.partial(GNMT, layers=layers, label_smoothing=0.1, **options)
    return System(
        f"{GERMAN}, GNMT with {about}",
        functools.partial(sentence_task, "de-en"),
        functools.partial(translation_model, model, wordvec_size=64, hidden_size=96),
        RECIPE,
        prepare_deep,
    )


def _captions(about, layers, **options):
    """Return the System of this depth for Multi30k."""
    model = functools.partial(GNMT, layers=layers, dropout=0.3, label_smoothing=0.1, **options)
    return System(
        f"Multi30k, German to English, GNMT with {about} and sub-words",
        functools.partial(multi30k_task, pieces=4000, beam_size=5),
        functools.partial(translation_model, model, wordvec_size=192, hidden_size=256),
        LUONG,
        prepare_deep,
    )


# With 1 and 2 layers there is no layer to which a residual connection belongs.
SYSTEMS = {
    "gnmt": _system("4 layers", 4),
    "gnmt-1": _system("1 layer", 1),
    "gnmt-2": _system("2 layers", 2),
    "gnmt-plain": _system("4 layers, without residual connections", 4, residual=False),
    "gnmt-8": _system("8 layers", 8),
    "gnmt-8-plain": _system("8 layers, without residual connections", 8, residual=False),
    "multi30k-gnmt": _captions("4 layers", 4),
    "multi30k-gnmt-1": _captions("1 layer", 1),
    "multi30k-gnmt-2": _captions("2 layers", 2),
    "multi30k-gnmt-plain": _captions("4 layers, without residual connections", 4, residual=False),
    "multi30k-gnmt-8": _captions("8 layers", 8),
    "multi30k-gnmt-8-plain": _captions("8 layers, without residual connections", 8, residual=False),
}
