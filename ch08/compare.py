"""Compare systems of chapter 8 over several seeds: ``python -m ch08.compare NAME ... --seeds 0 1 2``.

Without names: the three models for dates by the book's recipe.
"""

import functools
import sys

if __name__ == "__main__" and not __package__:
    sys.exit("Run this from the root of the repository, as a module: python -m ch08.compare")

from ch08.train import RESULTS, SYSTEMS
from common.training.program import compare_main, run_program

BOOK = ("seq2seq-book", "peeky-book", "attention-book")

main = functools.partial(
    compare_main, SYSTEMS, BOOK, program="python -m ch08.compare", out="runs/compare", seeds=(0, 1, 2), results=RESULTS
)

if __name__ == "__main__":
    sys.exit(run_program(main))
