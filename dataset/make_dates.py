"""Make `date.txt`: `python -m dataset.make_dates [--out PATH] [--seed N] [--lines N]`.

Every line is a question padded with spaces to 29 characters, `_`, and the answer as an ISO date. The dates
lie between 1970 and 2017, no line is repeated, and the weekdays are right. The same seed gives the same bytes on
every machine.
"""

import datetime
import random
from pathlib import Path

from dataset.dates import CASES, FIRST_YEAR, LAST_YEAR, QUESTION_WIDTH, write
from dataset.generator import Draw, run

PERCENT = {"long": 28, "weekday": 25, "short": 23, "slashes": 24}
MAX_LINES = 70_000  # the form `slashes` can write only the 17,532 days of 48 years
FIRST_DAY = datetime.date(FIRST_YEAR, 1, 1).toordinal()
LAST_DAY = datetime.date(LAST_YEAR, 12, 31).toordinal()


def make_lines(lines=50_000, seed=1984):
    """Draw that many distinct lines, without line endings.

    The form is drawn first and kept: a day that cannot be used is drawn again, so repeats do not change the
    shares.
    """
    draw = Draw(random.Random(seed))
    made = {}  # a dict keeps the order in which lines were drawn
    while len(made) < lines:
        form = draw.weighted(PERCENT)
        line = _line(draw, form)
        while line in made:
            line = _line(draw, form)
        made[line] = None
    return list(made)


def _line(draw, form):
    date = _day(draw)
    while form == "short" and date.month == 5:  # "may" is the long form
        date = _day(draw)
    return f"{write(date, form, draw.one_of(CASES)):{QUESTION_WIDTH}}_{date.isoformat()}"


def _day(draw):
    return datetime.date.fromordinal(FIRST_DAY + draw.below(LAST_DAY - FIRST_DAY + 1))


def main(argv=None):
    """Write the file; see `--help`."""
    run(make_lines, "Make date.txt.", Path(__file__).with_name("date.txt"), MAX_LINES, argv)


if __name__ == "__main__":
    main()
