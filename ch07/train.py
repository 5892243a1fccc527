"""Learn additions: ``python -m ch07.train`` trains the plain, the reversed and the peeky model of chapter 7.

Source of the recipe: the book, sections 7.3.4 and 7.4.
"""

import functools
import sys

if __name__ == "__main__" and not __package__:
    sys.exit("Run this from the root of the repository, as a module: python -m ch07.train")

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from common.training.program import compare_main, run_program
from common.training.recipe import Recipe, System
from common.training.task import Pairs
from dataset import sequence

RECIPE = Recipe(epochs=25)


def additions(data="addition.txt", split="grouped", *, batch_size=128, seed=0, reverse=False):
    """Return the task: sums to write, as questions and answers."""
    pairs = sequence.load(data, split=split)
    task = Pairs(pairs, name=str(data), batch_size=batch_size, seed=seed, reverse=reverse)
    task.settings["split"] = split
    return task


def model_of(model_class, task, *, rng, wordvec_size=16, hidden_size=128):
    """Return a new model for the characters of a task."""
    return model_class(len(task.vocab), wordvec_size, hidden_size, rng=rng)


plain = functools.partial(model_of, Seq2seq)
peeky = functools.partial(model_of, PeekySeq2seq)
reversed_additions = functools.partial(additions, reverse=True)

SYSTEMS = {
    "plain": System("Seq2seq", additions, plain, RECIPE),
    "reversed": System("Seq2seq, questions reversed", reversed_additions, plain, RECIPE),
    "peeky": System("PeekySeq2seq, questions reversed", reversed_additions, peeky, RECIPE),
}

main = functools.partial(compare_main, SYSTEMS, list(SYSTEMS), program="python -m ch07.train", out="runs/ch07")

if __name__ == "__main__":
    sys.exit(run_program(main))
