"""Question and answer files as arrays of character ids.

A data file is UTF-8 text. Each line is a question padded with spaces, `_` (the start mark of the answer), and
an answer padded with spaces; all questions are equally wide, and so are all answers:

    16+75  _91

A file of your own may as well have a question, a tab and an answer in each line, both of any length and without `_`.
Two files of the first form are shipped, `date.txt` and `addition.txt`. Basic use, as in the book:

    from dataset import sequence
    (x_train, t_train), (x_test, t_test) = sequence.load_data("date.txt")
    char_to_id, id_to_char = sequence.get_vocab()

`load_data` remembers the vocabulary of the file loaded last, for `get_vocab`, `encode` and `decode`. Programs
that work with several files use `load` and the `Vocab` in its result instead.
"""

import os
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

START = "_"  # first character of every answer
PAD = " "
SPLITS = ("grouped", "random")
SHIPPED = {"date.txt": "python -m dataset.make_dates", "addition.txt": "python -m dataset.make_additions"}

_FOLDER = Path(__file__).resolve().parent
_ADDITION = re.compile(r" *0*([0-9]+) *\+ *0*([0-9]+) *")  # leading zeros are not part of the number

_vocab = None  # of the file that load_data read last


class Vocab:
    """The characters of one data file, numbered in the order in which they first appear in it.

    `Vocab(chars)` takes a string or list of characters; repeats are dropped.

    Attributes:
        char_to_id, id_to_char: dicts, one the reverse of the other.
        question_width: the length of a padded question, or None: then `encode` does not pad.
        answer_width: the length of a padded answer with its `_`, or None.
        source: where the characters come from, for messages.
    """

    def __init__(self, chars, question_width=None, answer_width=None, source="this vocabulary"):
        self.char_to_id = {char: i for i, char in enumerate(dict.fromkeys(chars))}
        self.id_to_char = {i: char for char, i in self.char_to_id.items()}
        self.question_width = question_width
        self.answer_width = answer_width
        self.source = str(source)

    def __len__(self):
        return len(self.char_to_id)

    def encode(self, text, width=None):
        """Turn a text into ids, padded with spaces.

        Args:
            text: a question; for an answer give `width=vocab.answer_width`.
            width: the length to pad to, by default the question width of the file.

        Returns:
            int array (width,).

        Raises:
            ValueError: an unknown character (named, with its position), or a text that is too long.
        """
        if not isinstance(text, str):
            raise TypeError(f"encode takes a str, not {type(text).__name__}: {text!r}")
        if width is None:
            width = len(text) if self.question_width is None else self.question_width
        for position, char in enumerate(text):
            if char not in self.char_to_id:
                raise ValueError(
                    f"unknown character {_name(char)} at position {position} (the first is 0) "
                    f"of {_show(text)}: {self.source} has {self._listing()}"
                )
        if len(text) > width:
            raise ValueError(f"{_show(text)} is too long: {len(text)} characters, at most {width} fit")
        if len(text) < width and PAD not in self.char_to_id:
            raise ValueError(
                f"{_show(text)} cannot be padded from {len(text)} to {width} characters: {self.source} has no space"
            )
        return np.array([self.char_to_id[char] for char in text.ljust(width, PAD)], dtype=np.int64)

    def decode(self, ids):
        """Turn ids, a list or array (T,), into a text without the padding at its end.

        Raises:
            ValueError: an unknown id (with its position), or ids that are not one row of integers.
        """
        ids = np.asarray(ids)
        if ids.ndim != 1:
            raise ValueError(f"decode takes one row of ids, shape (T,), not {ids.shape}: decode each row by itself")
        if ids.size and not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"decode takes integer ids, not {ids.dtype}")
        ids = ids.tolist()
        for position, i in enumerate(ids):
            if i not in self.id_to_char:
                raise ValueError(
                    f"unknown id {i} at position {position} (the first is 0): "
                    f"{self.source} has ids 0 to {len(self) - 1}"
                )
        return "".join(self.id_to_char[i] for i in ids).rstrip(PAD)

    def _listing(self):
        return f"{len(self)} characters, {_show(''.join(sorted(self.char_to_id)))}"


class Data(NamedTuple):
    """What `load` returns: ids of questions `x` (N, T_x) and answers `t` (N, T_t), and their vocabulary."""

    x_train: np.ndarray
    t_train: np.ndarray
    x_test: np.ndarray
    t_test: np.ndarray
    vocab: Vocab


def load_data(file_name="addition.txt", seed=1984, split="grouped"):
    """Read a data file, split it, and remember its vocabulary for `get_vocab`, `encode` and `decode`.

    The split decides what the test accuracy means:

    - `"grouped"` (the default) leaks nothing: no answer is on both sides, so no calendar date is; for
      additions no unordered pair of numbers is, so `3+5` and `5+3` stay together. 10 % of the lines are
      test lines (of the shipped files exactly 5,000 of 50,000), or as near to that as whole groups allow.
    - `"random"` is the book's split: the lines are shuffled and the last 10 % are the test lines.

    Accuracies reported for the book are not comparable with ours. In the book's own `date.txt` 28 % of the
    test questions are in the training set word for word, and 93 % of the test dates are: a model that only
    memorizes looks good there. Here are the same two shares for the shipped files, as measured by
    `python -m dataset.check_split`:

    | file           | split   | test questions also in training | test lines whose date or number pair is |
    |----------------|---------|---------------------------------|-----------------------------------------|
    | `date.txt`     | random  |  0.0 %                          | 93.2 %                                  |
    | `date.txt`     | grouped |  0.0 %                          |  0.0 %                                  |
    | `addition.txt` | random  |  0.0 %                          | 31.9 %                                  |
    | `addition.txt` | grouped |  0.0 %                          |  0.0 %                                  |

    Args:
        file_name: `"date.txt"` or `"addition.txt"` for the shipped files, whatever the working directory is.
            Any other name is a path. Write `"./date.txt"` for a file of your own with such a name.
        seed: the same seed gives the same split; None gives a new one each time. NumPy's global state is
            neither used nor changed.
        split: `"grouped"` or `"random"`.

    Returns:
        `(x_train, t_train), (x_test, t_test)`, int arrays (N, width). Questions of dates have 29 columns,
        answers 11; additions 7 and 5. Answers start with the id of `_`. The lines are in shuffled order.

    Raises:
        FileNotFoundError: there is no such file; the message has the command that makes it.
        IsADirectoryError: the name is that of a folder.
        OSError: the file cannot be read.
        ValueError: the name is that of a pipe or a device; a fault in the file, as `file:line: what is wrong`; or a
            file that cannot be split in two. The vocabulary of an earlier load stays.
    """
    global _vocab
    data = load(file_name, seed, split)
    _vocab = data.vocab
    return (data.x_train, data.t_train), (data.x_test, data.t_test)


def load(file_name="addition.txt", seed=1984, split="grouped"):
    """Like `load_data`, but return a `Data` with its own `Vocab` and remember nothing."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose 'grouped' or 'random'")
    path = find(file_name)
    lines = _read_lines(path)
    if "\t" in lines[0] and START not in lines[0]:
        lines = _from_tabs(path, lines)
    codes, mark = _to_codes(path, lines)

    vocab = Vocab("".join(lines), question_width=mark, answer_width=codes.shape[1] - mark, source=path)
    code_to_id = np.zeros(codes.max() + 1, dtype=np.int64)
    code_to_id[[ord(char) for char in vocab.char_to_id]] = np.arange(len(vocab))
    ids = code_to_id[codes]  # (N, T_x + T_t)

    rng = np.random.RandomState(seed)
    if split == "random":
        train, test = _split_random(path, len(lines), rng)
    else:
        train, test = _split_grouped(path, [group_key(line[:mark], line[mark + 1 :]) for line in lines], rng)
    x, t = ids[:, :mark], ids[:, mark:]
    return Data(x[train], t[train], x[test], t[test], vocab)


def get_vocab():
    """The vocabulary of the file that `load_data` read last: `(char_to_id, id_to_char)`, two new dicts."""
    vocab = current_vocab()
    return dict(vocab.char_to_id), dict(vocab.id_to_char)


def encode(text, width=None):
    """`Vocab.encode` for the file that `load_data` read last."""
    return current_vocab().encode(text, width)


def decode(ids):
    """`Vocab.decode` for the file that `load_data` read last."""
    return current_vocab().decode(ids)


def current_vocab():
    """The `Vocab` of the file that `load_data` read last.

    Raises:
        RuntimeError: nothing was loaded yet.
    """
    if _vocab is None:
        raise RuntimeError("no vocabulary yet: call dataset.sequence.load_data('date.txt') (or another file) first")
    return _vocab


def find(file_name):
    """The `Path` of a shipped file (by its name) or of any other.

    Raises:
        FileNotFoundError: nothing is there, or the name is empty.
        IsADirectoryError: there is a folder.
        ValueError: there is a pipe or a device.
    """
    name = os.fspath(file_name)
    path = _FOLDER / name if name in SHIPPED else Path(name)
    if name and os.path.isfile(path):
        return path
    if name and os.path.isdir(path):
        raise IsADirectoryError(f"{path} is a folder: name a data file, in it or elsewhere")
    if name and os.path.exists(path):
        raise ValueError(f"{path} is not a regular file: save the data in a file and name that")
    raise FileNotFoundError(f"no data file {_cut(str(path))}: {_advice(name)}")


def _advice(name):
    """Say what to do about a file that is not there."""
    if not name:
        return f"its name is empty. The shipped files are {' and '.join(SHIPPED)}"
    if name in SHIPPED:
        return f"make it with `{SHIPPED[name]}`, run in {_FOLDER.parent}"
    return (
        f"looked in {Path.cwd()}. The shipped files are {' and '.join(SHIPPED)}; "
        f"`{SHIPPED['date.txt']} --out {_cut(name)}` makes a file of dates there"
    )


def group_key(question, answer):
    """What a grouped split keeps together: an addition's unordered pair of numbers, else the answer."""
    match = _ADDITION.fullmatch(question)
    return tuple(sorted(match.groups())) if match else answer.rstrip(PAD)


def _read_lines(path):
    """The lines of a UTF-8 file, with or without a byte order mark, ending in LF, CRLF or CR."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise type(error)(f"{path} cannot be read: {error.strerror}") from None
    lines = split_lines(path, raw)
    if not lines:
        raise ValueError(f"{path}:1: the file is empty; expected lines such as '16+75  _91  '")
    return lines


def split_lines(path, raw):
    """The lines of the bytes of a text file, without blank ones at its end. Raises: ValueError if it is not UTF-8."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise ValueError(f"{path}:{line}: not UTF-8 text (byte 0x{byte:02X}); save the file as UTF-8") from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _from_tabs(path, lines):
    """Turn lines `question<tab>answer` into the padded form, every question as wide as the longest one."""
    pairs = []
    for number, line in enumerate(lines, start=1):
        if line.count("\t") != 1 or START in line:
            raise ValueError(f"{path}:{number}: {_tab_fault(line)}")
        pairs.append([part.rstrip(PAD) for part in line.split("\t")])
    question_width, answer_width = (max(map(len, part)) for part in zip(*pairs))
    return [question.ljust(question_width) + START + answer.ljust(answer_width) for question, answer in pairs]


def _tab_fault(line):
    """Say what is wrong with a line of a tab-separated file."""
    if not line.strip():
        return "blank line"
    if START in line:
        return f"'_' in {_show(line)}; it marks the start of an answer and cannot occur in a text"
    return f"{line.count(chr(9))} tabs in {_show(line)}; there must be one, between question and answer"


def _to_codes(path, lines):
    """Check every line; return the characters as numbers (N, width) and the column of the `_`."""
    mark, width = lines[0].find(START), len(lines[0])
    for number, line in enumerate(lines, start=1):
        if len(line) != width or line.find(START) != mark or line.count(START) != 1:
            raise ValueError(f"{path}:{number}: {_fault(line, width, mark)}")
    if mark == 0 or mark == width - 1:
        raise ValueError(f"{path}:1: the {'answer' if mark else 'question'} has no characters in {_show(lines[0])}")

    codes = np.frombuffer("".join(lines).encode("utf-32-le"), dtype="<u4").reshape(len(lines), width)
    filled = codes != ord(PAD)
    for part, columns in (("question", filled[:, :mark]), ("answer", filled[:, mark + 1 :])):
        blank = np.flatnonzero(~columns.any(axis=1))
        if len(blank):
            raise ValueError(f"{path}:{blank[0] + 1}: the {part} is blank in {_show(lines[blank[0]])}")
    return codes, mark


def _fault(line, width, mark):
    """Say what is wrong with a line that does not look like the first one."""
    if not line.strip():
        return "blank line"
    if line.count(START) == 0:
        return f"no '_' between question and answer in {_show(line)}"
    if line.count(START) > 1:
        return f"{line.count(START)} times '_' in {_show(line)}; it must occur once, between question and answer"
    if len(line) != width:
        return f"{len(line)} characters, but line 1 has {width}; pad with spaces: {_show(line)}"
    return f"'_' in column {line.find(START) + 1}, but in column {mark + 1} of line 1: {_show(line)}"


def _split_random(path, n, rng):
    """Row numbers (train, test) the book's way."""
    order = np.arange(n)
    rng.shuffle(order)
    n_test = n // 10
    if n_test == 0:
        raise ValueError(f"{path}: {n} lines are too few, the test set would be empty; a random split needs 10")
    return order[:-n_test], order[-n_test:]


def _split_grouped(path, keys, rng):
    """Row numbers (train, test) with every key on only one side."""
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    if len(number) == 1:
        raise ValueError(
            f"{path}: all lines have the same answer, so one side of a grouped split would be empty; "
            "add lines or use split='random'"
        )
    group = np.array([number[key] for key in keys])  # (N,)
    sizes = np.bincount(group)
    shuffled = rng.permutation(len(sizes))
    chosen = shuffled[_pick(sizes[shuffled].tolist(), max(1, len(keys) // 10), len(keys))]

    order = rng.permutation(len(keys))
    is_test = np.isin(group, chosen)[order]
    return order[~is_test], order[is_test]


def _pick(sizes, target, total):
    """Positions of groups whose sizes add up to `target`, or as near as possible, leaving groups on both sides.

    The earliest such groups are taken. Bit s of `reached` says that some groups so far add up to s;
    `last[s]` is the group that made s possible, so that s - sizes[last[s]] was possible before it.
    """
    limit = min(total - 1, target + max(sizes))  # the nearest sum is never farther
    reached, last = 1, [None] * (limit + 1)
    for i, size in enumerate(sizes):
        new = (reached << size) & ~reached & ((1 << (limit + 1)) - 1)
        reached |= new
        while new:
            lowest = new & -new
            last[lowest.bit_length() - 1] = i
            new ^= lowest
        if last[target] is not None:
            break

    left = min((s for s in range(1, limit + 1) if last[s] is not None), key=lambda s: abs(s - target))
    picked = []
    while left:
        picked.append(last[left])
        left -= sizes[last[left]]
    return picked


def _name(char):
    """A character with its code point and Unicode name: 'é' (U+00E9 LATIN SMALL LETTER E WITH ACUTE)."""
    return f"{char!r} (U+{ord(char):04X} {unicodedata.name(char, 'without a name')})"


def _show(text):
    """A text in quotes, cut to a length that fits in a message."""
    return repr(_cut(text, 80))


def _cut(text, width=300):
    """The beginning of a text that is longer than `width`."""
    return text if len(text) <= width else text[: width - 3] + "..."
