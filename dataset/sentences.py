"""Our own sentences in English, German and Korean, with their gold alignments.

    from dataset import sentences
    data = sentences.load("de-en")
    data.train[0].source, data.train[0].target      # two sentences
    sentences.gold_mask(data.train[0])               # bool (target tokens, source tokens)

`python -m dataset.make_sentences` makes the file and says what is in it: 18,000 sentences for training, and 1,000 each
for validation and test with combinations of words that training never has. Any two of the three languages are a pair.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

LANGUAGES = ("en", "de", "ko")
SPLITS = ("train", "valid", "test")
FILE = Path(__file__).with_name("sentences.txt")

_TOKEN = re.compile(r"\w+|[^\w\s]")
_PLACE = re.compile(r"-|[0-9a-z]|\([0-9a-z]{2,}\)")


class Example(NamedTuple):
    """A sentence, its translation, and which of their tokens go together.

    links: pairs (target position, source position), sorted, positions from 0 in `tokens(target)`, `tokens(source)`.
    """

    source: str
    target: str
    links: tuple


class Splits(NamedTuple):
    """Lists of `Example`, in the order of the file."""

    train: list
    valid: list
    test: list


def load(pair="de-en", path=None):
    """Read the sentences of two languages.

    Args:
        pair: source and target, two of `LANGUAGES` with a hyphen between: "de-en", "ko-en", "en-de" and so on. German
            and Korean tokens go together where they go with the same English token.
        path: a file that `python -m dataset.make_sentences --out PATH` made; by default the shipped one.

    Returns:
        `Splits`: train, valid and test, lists of `Example`.

    Raises:
        FileNotFoundError: there is no such file; the message has the command that makes it.
        ValueError: an unknown pair, or a fault in the file, as `file:line: what is wrong`.
    """
    languages = _languages(pair)
    path = FILE if path is None else Path(path)
    splits = {split: [] for split in SPLITS}
    rows = None
    for number, line in enumerate(_lines(path), start=1):
        if line.startswith("#"):
            rows = splits.get(line[1:].strip(), rows)
        elif line:
            if rows is None:
                raise ValueError(f"{path}:{number}: a sentence before the first of the lines {_headings()}; {_ADVICE}")
            try:
                rows.append(_example(line, *languages))
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}; {_ADVICE}") from None
    empty = [split for split, rows in splits.items() if not rows]
    if empty:
        raise ValueError(f"{path}: no sentences under '# {empty[0]}'; {_ADVICE}")
    return Splits(**splits)


def tokens(sentence):
    """The words and marks of a sentence, in natural case: `tokens("She reads.") == ["She", "reads", "."]`."""
    return _TOKEN.findall(sentence)


def gold_mask(example, rows=None, columns=None):
    """The source tokens that an ideal reader looks at while writing each target token.

    Args:
        example: an `Example`.
        rows, columns: the size of the mask where it has to be larger: with an end mark, or padded for a batch.

    Returns:
        bool array (rows, columns), by default (target tokens, source tokens). A row is all False where nothing goes
        with the token: Korean has no articles, and the "to" of "wants to read" is not in "will lesen".

    Raises:
        ValueError: the sentence or its translation has more tokens than the mask has columns or rows.
    """
    needed = len(tokens(example.target)), len(tokens(example.source))
    rows = needed[0] if rows is None else rows
    columns = needed[1] if columns is None else columns
    if rows < needed[0] or columns < needed[1]:
        raise ValueError(
            f"gold_mask: {example.target!r} and {example.source!r} have {needed[0]} and {needed[1]} tokens, but the "
            f"mask has only {rows} rows and {columns} columns"
        )
    mask = np.zeros((rows, columns), dtype=bool)
    for target, source in example.links:
        mask[target, source] = True
    return mask


_ADVICE = "make the file anew with `python -m dataset.make_sentences`"


def _headings():
    return ", ".join(f"'# {split}'" for split in SPLITS)


def _languages(pair):
    languages = tuple(pair.split("-")) if isinstance(pair, str) else ()
    if len(languages) != 2 or languages[0] == languages[1] or not set(languages) <= set(LANGUAGES):
        raise ValueError(
            f"unknown pair {pair!r}: name source and target, two of {', '.join(LANGUAGES)}, such as 'de-en' or 'en-ko'"
        )
    return languages


def _lines(path):
    try:
        return path.read_bytes().decode("utf-8").split("\n")
    except FileNotFoundError:
        command = "python -m dataset.make_sentences" + ("" if path == FILE else f" --out {path}")
        raise FileNotFoundError(
            f"no sentences in {path}: make them with `{command}`, run in {FILE.parents[1]}"
        ) from None
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}:{number}: not UTF-8 text; {_ADVICE}") from None


def _example(line, source, target):
    """Read one line for two of the languages."""
    fields = line.rstrip("\r").split("\t")
    if len(fields) != 5:
        raise ValueError(f"{len(fields)} fields separated by tabs, but there must be 5")
    texts = dict(zip(LANGUAGES, fields))
    count = {language: len(tokens(text)) for language, text in texts.items()}
    english = {  # for each token of a language, the English tokens that go with it
        "en": [{i} for i in range(count["en"])],
        "de": _positions(fields[3], count["de"], count["en"], "German"),
        "ko": _positions(fields[4], count["ko"], count["en"], "Korean"),
    }
    sources = {}  # English position: source positions
    for s, positions in enumerate(english[source]):
        for i in positions:
            sources.setdefault(i, []).append(s)
    links = {(t, s) for t, positions in enumerate(english[target]) for i in positions for s in sources.get(i, ())}
    return Example(texts[source], texts[target], tuple(sorted(links)))


def _positions(field, count, english_count, name):
    """[{English token, ...} for each token]"""
    places = _PLACE.findall(field)
    if "".join(places) != field or len(places) != count:
        raise ValueError(f"the {name} alignment {field!r} must have one place for each of {count} {name} tokens")
    found = [{int(digit, 36) for digit in place.strip("()-")} for place in places]
    largest = max((max(numbers) for numbers in found if numbers), default=0)
    if largest >= english_count:
        raise ValueError(
            f"the {name} alignment {field!r} names token {largest}; the English ones are 0 to {english_count - 1}"
        )
    return found
