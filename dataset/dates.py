"""The ways `date.txt` writes a date, and which characters of a question each part of the answer comes from.

| form      | lower, Title or UPPER case    | answer       |
|-----------|-------------------------------|--------------|
| `long`    | `september 27, 1994`          | `1994-09-27` |
| `weekday` | `TUESDAY, SEPTEMBER 25, 1984` | `1984-09-25` |
| `short`   | `Jun 17, 2013`                | `2013-06-17` |
| `slashes` | `2/10/93` (month/day/year)    | `1993-02-10` |

The month names are literals here, so nothing depends on the locale of the machine. `may` is a full name
and counts as `long`; the short form leaves May out, so every question has exactly one form.
"""

import datetime
import re

import numpy as np

FORMS = ("long", "weekday", "short", "slashes")
CASES = (str.lower, str.title, str.upper)
MONTHS = tuple("january february march april may june july august september october november december".split())
SHORT_MONTHS = tuple(name[:3] for name in MONTHS)
WEEKDAYS = tuple("monday tuesday wednesday thursday friday saturday sunday".split())  # date.weekday() order
FIRST_YEAR, LAST_YEAR = 1970, 2017  # a two-digit year 70-99 is 19xx, 00-17 is 20xx
QUESTION_WIDTH = 29  # "wednesday, september 25, 1985"
ANSWER_PARTS = {"year": slice(0, 4), "month": slice(5, 7), "day": slice(8, 10)}  # positions in "YYYY-MM-DD"

_WORDS = re.compile(
    r"(?:(?P<weekday>[A-Za-z]+), )?(?P<month>[A-Za-z]+) (?P<day>[1-9][0-9]?), (?P<year>[0-9]{4})", re.ASCII
)
_SLASHES = re.compile(r"(?P<month>[1-9][0-9]?)/(?P<day>[1-9][0-9]?)/(?P<year>[0-9]{2})", re.ASCII)


def write(date, form, case=str.lower):
    """Write a `datetime.date` as a question.

    Args:
        date: the day, from 1970 to 2017 in the form `slashes`, whose years have two digits.
        form: one of `FORMS`.
        case: one of `CASES`; it makes no difference to `slashes`.

    Returns:
        The question, at most 29 characters, not padded.

    Raises:
        ValueError: an unknown form, a short May (its name is short already: use `long`), or a year that two
            digits cannot express.
    """
    month = MONTHS[date.month - 1]
    if form == "slashes":
        if not FIRST_YEAR <= date.year <= LAST_YEAR:
            raise ValueError(f"two digits can express only the years {FIRST_YEAR} to {LAST_YEAR}, not {date.year}")
        return f"{date.month}/{date.day}/{date.year % 100:02d}"
    if form == "long":
        text = f"{month} {date.day}, {date.year:04d}"
    elif form == "weekday":
        text = f"{WEEKDAYS[date.weekday()]}, {month} {date.day}, {date.year:04d}"
    elif form == "short":
        if month == "may":
            raise ValueError("May has no short form: its full name has three letters, use 'long'")
        text = f"{month[:3]} {date.day}, {date.year:04d}"
    else:
        raise ValueError(f"unknown form {form!r}: choose one of {', '.join(FORMS)}")
    return case(text)


def parse(question):
    """Read a question of any known form, with or without padding spaces at its end.

    A weekday name must be a real one but need not be the right one for the date: it does not affect the
    answer. Years of four digits may lie outside 1970 to 2017.

    Returns:
        `(date, form, spans)`: a `datetime.date`, one of `FORMS`, and the spans of `gold_spans`.

    Raises:
        ValueError: the text is not in a known form, or there is no such day.
    """
    text = question.rstrip(" ")
    match = _SLASHES.fullmatch(text) or _WORDS.fullmatch(text)
    if match is None:
        raise _unknown(question, "it does not match any of them")

    if match.re is _SLASHES:
        form, year, month = "slashes", _century(question, match["year"]), int(match["month"])
    else:
        year = int(match["year"])
        form, month = _named_month(question, match)
    try:
        date = datetime.date(year, month, int(match["day"]))
    except ValueError as error:
        raise ValueError(f"there is no such day as {text!r}: {error}") from None
    return date, form, {part: match.span(part) for part in ANSWER_PARTS}


def to_iso(question):
    """The right answer to a question: `to_iso("2/10/93") == "1993-02-10"`.

    Raises:
        ValueError: the text is not in a known form, or there is no such day.
    """
    date, _, _ = parse(question)
    return date.isoformat()


def gold_spans(question):
    """Where in the question each part of the answer is written.

    Nothing comes from the weekday; all four digits of the year in the answer come from a two-digit year.

    Args:
        question: a question of any form, with or without padding spaces at its end.

    Returns:
        `{"year": (start, end), "month": (start, end), "day": (start, end)}`: offsets from 0, end exclusive.

    Raises:
        ValueError: the text is not in a known form, or there is no such day.
    """
    _, _, spans = parse(question)
    return spans


def gold_mask(question, width=QUESTION_WIDTH):
    """The characters that an ideal reader looks at while writing each character of the answer.

    Args:
        question: a question of any form, padded or not.
        width: the number of columns, the padded width of a question. For a model that reads its input
            reversed, flip the columns: `gold_mask(question)[:, ::-1]`.

    Returns:
        bool array (10, width). Row k belongs to character k of "YYYY-MM-DD"; the rows of "-" are all False.

    Raises:
        ValueError: the text is not in a known form, or is longer than `width`.
    """
    length = len(question.rstrip(" "))
    if length > width:
        raise ValueError(f"the question {question!r} has {length} characters, but the mask has only {width} columns")
    mask = np.zeros((10, width), dtype=bool)
    for part, (start, end) in gold_spans(question).items():
        mask[ANSWER_PARTS[part], start:end] = True
    return mask


def _named_month(question, match):
    """(form, month from 1 to 12) of a question with a month name, after checking its words and their case."""
    words = match["month"] if match["weekday"] is None else f"{match['weekday']}, {match['month']}"
    if not any(case(words) == words for case in CASES):
        raise _unknown(question, "all words must be lower, Title or UPPER case alike")
    name = match["month"].lower()
    if match["weekday"] is not None and match["weekday"].lower() not in WEEKDAYS:
        raise _unknown(question, f"{match['weekday']!r} is not a weekday")
    if name in MONTHS:
        return "long" if match["weekday"] is None else "weekday", MONTHS.index(name) + 1
    if name in SHORT_MONTHS and match["weekday"] is None:
        return "short", SHORT_MONTHS.index(name) + 1
    raise _unknown(question, f"{match['month']!r} is not a valid month name here")


def _century(question, two_digits):
    year = 1900 + int(two_digits)
    year += 100 * (year < FIRST_YEAR)
    if year > LAST_YEAR:
        raise _unknown(question, f"a two-digit year is 70-99 (19xx) or 00-17 (20xx), not {two_digits}")
    return year


def _unknown(question, why):
    return ValueError(
        f"{question!r} is not a date in a known form: {why}. Known forms: 'september 27, 1994', "
        "'tuesday, september 25, 1984', 'jun 17, 2013', '2/10/93'"
    )
