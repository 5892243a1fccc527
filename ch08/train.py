"""Train a system of chapter 8: ``python -m ch08.train NAME``; without a name, AttentionSeq2seq learns to read dates.

``python -m ch08.train --list`` shows all of them, with the time, memory and result that were measured.
"""

import functools
import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:
    sys.exit("Run this from the root of the repository, as a module: python -m ch08.train")

from ch08.recipes import SYSTEMS
from common.training.program import run_program, train_main

RESULTS = Path(__file__).resolve().parent / "pretrained" / "results.json"

main = functools.partial(
    train_main, SYSTEMS, "attention", program="python -m ch08.train", out="runs/ch08", results=RESULTS
)

if __name__ == "__main__":
    sys.exit(run_program(main))
