"""Make `addition.txt`: `python -m dataset.make_additions [--out PATH] [--seed N] [--lines N]`.

Every line is a sum of two numbers from 0 to 999, padded with spaces to 7 characters, `_`, and the result
padded to 4: `16+75  _91  `. Each number is drawn below 10, 100 or 1000 with equal probability, so that short
questions are not rare. No line is repeated (`3+5` and `5+3` may both occur). The same seed gives the same
bytes on every machine.
"""

import random
from pathlib import Path

from dataset.generator import Draw, run

QUESTION_WIDTH = 7  # "999+999"
ANSWER_WIDTH = 4  # "1998"
MAX_LINES = 200_000


def make_lines(lines=50_000, seed=1984):
    """Draw that many distinct lines, without line endings; a line that came before is drawn again."""
    draw = Draw(random.Random(seed))
    made = {}  # a dict keeps the order in which lines were drawn
    while len(made) < lines:
        a, b = _number(draw), _number(draw)
        made[f"{f'{a}+{b}':{QUESTION_WIDTH}}_{a + b:<{ANSWER_WIDTH}}"] = None
    return list(made)


def _number(draw):
    return draw.below(draw.one_of((10, 100, 1000)))


def main(argv=None):
    """Write the file; see `--help`."""
    run(make_lines, "Make addition.txt.", Path(__file__).with_name("addition.txt"), MAX_LINES, argv)


if __name__ == "__main__":
    main()
