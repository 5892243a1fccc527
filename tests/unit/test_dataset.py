"""The data files, their generators, the loader and the gold spans."""

import ast
import calendar
import datetime
import os
import random
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dataset
from dataset import check_split, dates, generator, make_additions, make_dates, sequence

FOLDER = Path(dataset.__file__).parent
GENERATORS = {"date.txt": make_dates, "addition.txt": make_additions}
ADDITIONS = "".join(f"{f'{a}+{b}':7}_{a + b:<4}\n" for a in range(12) for b in range(10))

# Not the lists of dataset.dates, but Python's own (English unless a program sets another locale).
ENGLISH_MONTHS = [name.lower() for name in list(calendar.month_name)[1:]]
SHORT = [name[:3] for name in ENGLISH_MONTHS]
ENGLISH_DAYS = [name.lower() for name in calendar.day_name]


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch):
    """Each test starts like a new program."""
    monkeypatch.setattr(sequence, "_vocab", None)


@pytest.fixture(scope="module")
def date_rows():
    """(question without padding, answer) of every line of date.txt, read without the library."""
    text = (FOLDER / "date.txt").read_bytes().decode("ascii")
    return [(line[:29].rstrip(" "), line[30:]) for line in text.split("\n")[:-1]]


@pytest.fixture(scope="module", params=["date.txt", "addition.txt"])
def shipped(request):
    return request.param


def write(folder, content, name="my.txt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def texts(vocab, ids):
    """Rows of ids as padded texts, without `Vocab.decode`."""
    chars = np.array([vocab.id_to_char[i] for i in range(len(vocab))])
    return ["".join(row) for row in chars[ids].tolist()]


# --- the files ---


def test_the_generator_makes_the_committed_bytes(shipped, tmp_path, capsys):
    GENERATORS[shipped].main(["--out", str(tmp_path / "made.txt")])
    assert (tmp_path / "made.txt").read_bytes() == (FOLDER / shipped).read_bytes()
    assert capsys.readouterr().out == f"50000 lines written to {tmp_path / 'made.txt'}\n"


@pytest.mark.parametrize("module", GENERATORS.values())
def test_seed_and_number_of_lines_are_the_callers(module):
    assert module.make_lines(300, seed=1) == module.make_lines(300, seed=1)
    assert module.make_lines(300, seed=1) != module.make_lines(300, seed=2)
    assert module.make_lines(300, seed=1)[:100] == module.make_lines(100, seed=1)


@pytest.mark.parametrize("module", GENERATORS.values())
@pytest.mark.parametrize("lines", ["0", "-3", "1000000000"])
def test_a_number_of_lines_that_cannot_be_made_is_refused(module, lines, tmp_path, capsys):
    with pytest.raises(SystemExit):
        module.main(["--lines", lines, "--out", str(tmp_path / "made.txt")])
    assert "--lines must be 1 to" in capsys.readouterr().err
    assert not (tmp_path / "made.txt").exists()


SEED = r"argument --seed: expected a whole number from 0 to 4294967295, got '{}'"


@pytest.mark.parametrize("module", GENERATORS.values())
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--out", "."], r"--out: cannot write '\.': Is a directory; name a file that you can write"),
        (["--out", "missing/made.txt"], "--out: cannot write 'missing/made.txt': No such file or directory"),
        (["--out", "a.txt/made.txt"], "--out: cannot write 'a.txt/made.txt': Not a directory"),
        (["--out", ""], "--out: cannot write"),
        (["--out", "x" * 5000], "--out: cannot write .*File name too long"),
        (["--lines", "x"], "argument --lines: invalid int value: 'x'"),
        (["--seed", "x"], SEED.format("x")),
        (["--seed=-1"], SEED.format("-1")),
        (["--seed", "4294967296"], SEED.format("4294967296")),
    ],
)
def test_a_generator_explains_a_bad_argument(module, arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, ADDITIONS, "a.txt")
    with pytest.raises(SystemExit) as end:
        module.main(["--out", "made.txt", *arguments])
    assert end.value.code == 2
    assert re.search(sentence, capsys.readouterr().err.splitlines()[-1])
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_the_largest_number_of_date_lines_can_be_made():
    assert len(set(make_dates.make_lines(make_dates.MAX_LINES))) == make_dates.MAX_LINES


def test_draws_stay_the_same_on_every_python():
    draw = generator.Draw(random.Random(1984))
    assert [draw.below(1000) for _ in range(8)] == [363, 494, 339, 216, 862, 849, 385, 244]


def test_shares_that_do_not_add_up_are_refused():
    draw = generator.Draw(random.Random(0))
    with pytest.raises(ValueError, match="do not add up to 100"):
        draw.weighted({"a": 0, "b": 0})


def test_lines_are_distinct_ascii_of_one_width_with_lf(shipped):
    raw = (FOLDER / shipped).read_bytes()
    assert raw.endswith(b"\n")
    assert b"\r" not in raw
    lines = raw.decode("ascii").split("\n")[:-1]
    assert len(lines) == len(set(lines)) == 50_000
    mark, width = (29, 40) if shipped == "date.txt" else (7, 12)
    assert {(len(line), line.index("_"), line.count("_")) for line in lines} == {(width, mark, 1)}


def test_additions_are_correct_and_of_all_sizes():
    lines = (FOLDER / "addition.txt").read_text(encoding="ascii").split("\n")[:-1]
    sizes = Counter()
    for line in lines:
        a, b, total = map(int, re.fullmatch(r"(\d{1,3})\+(\d{1,3}) *_(\d{1,4}) *", line).groups())
        assert a + b == total
        assert line == f"{str(a) + '+' + str(b):7}_{total:<4}"
        sizes[tuple(sorted((len(str(a)), len(str(b)))))] += 1
    assert sizes[1, 1] == 100  # all there are
    assert min(sizes.values()) == 100
    assert len(sizes) == 6
    for pair in ((2, 2), (2, 3), (1, 3), (3, 3)):
        assert sizes[pair] > 5_000


def test_dates_have_the_forms_and_shares_of_the_course(date_rows):
    months, short = "|".join(ENGLISH_MONTHS), "|".join(name[:3] for name in ENGLISH_MONTHS)
    patterns = {
        "long": rf"({months}) [1-9]\d?, \d{{4}}",
        "weekday": rf"({'|'.join(ENGLISH_DAYS)}), ({months}) [1-9]\d?, \d{{4}}",
        "short": rf"({short}) [1-9]\d?, \d{{4}}",
        "slashes": r"[1-9]\d?/[1-9]\d?/\d\d",
    }
    counts, cases = Counter(), Counter()
    for question, _ in date_rows:
        form = next(form for form, p in patterns.items() if re.fullmatch(p, question.lower()))
        assert dates.parse(question)[1] == form
        counts[form] += 1
        if form != "slashes":
            words = re.findall("[A-Za-z]+", question)
            tests = {"lower": str.islower, "Title": str.istitle, "UPPER": str.isupper}
            (case,) = (name for name, is_so in tests.items() if all(map(is_so, words)))
            cases[form, case] += 1
    share = {form: count / 500 for form, count in counts.items()}
    assert share == pytest.approx({"long": 28, "weekday": 25, "short": 23, "slashes": 24}, abs=0.6)
    assert len(cases) == 9
    assert min(cases.values()) > 3_500
    assert max(len(question) for question, _ in date_rows) == 29


def test_dates_and_weekdays_are_correct(date_rows):
    seen_days = set()
    for question, answer in date_rows:
        day = datetime.date.fromisoformat(answer)
        assert 1970 <= day.year <= 2017
        seen_days.add(day)
        words = question.lower().replace(",", "").split(" ")
        if "/" in question:
            month, number, year = map(int, question.split("/"))
            assert (day.month, day.day, day.year % 100) == (month, number, year)
            continue
        if len(words) == 4:
            assert ENGLISH_DAYS[calendar.weekday(day.year, day.month, day.day)] == words.pop(0)
        assert ENGLISH_MONTHS[day.month - 1].startswith(words[0])
        assert (int(words[1]), int(words[2])) == (day.day, day.year)
    assert len(seen_days) > 16_500  # of 17,532


def test_dataset_imports_numpy_and_the_standard_library_only():
    allowed = {"numpy", "dataset"} | set(sys.stdlib_module_names) - {"pickle", "shelve", "marshal"}
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, path
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                assert node.module.split(".")[0] in allowed, path


# --- loading and splitting ---


def test_the_shapes_of_the_course(shipped):
    x_width, t_width = (29, 11) if shipped == "date.txt" else (7, 5)
    (x_train, t_train), (x_test, t_test) = sequence.load_data(shipped, seed=1984)
    assert x_train.shape == (45_000, x_width)
    assert t_train.shape == (45_000, t_width)
    assert x_test.shape == (5_000, x_width)
    assert t_test.shape == (5_000, t_width)
    for array in (x_train, t_train, x_test, t_test):
        assert np.issubdtype(array.dtype, np.integer)
        assert array.flags.c_contiguous
    char_to_id, id_to_char = sequence.get_vocab()
    assert len(char_to_id) == (59 if shipped == "date.txt" else 13)
    assert set(t_train[:, 0]) | set(t_test[:, 0]) == {char_to_id["_"]}
    assert id_to_char == {i: char for char, i in char_to_id.items()}


def test_addition_is_the_default():
    (x_train, _), _ = sequence.load_data()
    assert x_train.shape == (45_000, 7)


@pytest.mark.parametrize("split", sequence.SPLITS)
def test_every_line_lands_on_exactly_one_side(shipped, split):
    data = sequence.load(shipped, split=split)
    rows = [
        x + t
        for xs, ts in ((data.x_train, data.t_train), (data.x_test, data.t_test))
        for x, t in zip(texts(data.vocab, xs), texts(data.vocab, ts))
    ]
    assert Counter(rows) == Counter((FOLDER / shipped).read_text(encoding="ascii").split("\n")[:-1])


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 1984])
def test_no_date_is_on_both_sides(seed):
    data = sequence.load("date.txt", seed)
    train, test = (set(texts(data.vocab, t)) for t in (data.t_train, data.t_test))
    assert not train & test
    assert len(data.x_test) == 5_000


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 1984])
def test_no_pair_of_numbers_is_on_both_sides(seed):
    data = sequence.load("addition.txt", seed)
    train, test = (
        {frozenset(map(int, text.split("+"))) for text in texts(data.vocab, x)} for x in (data.x_train, data.x_test)
    )
    assert not train & test
    assert len(data.x_test) == 5_000


def test_the_random_split_is_the_books(shipped):
    lines = (FOLDER / shipped).read_text(encoding="ascii").split("\n")[:-1]
    order = np.arange(len(lines))
    np.random.RandomState(1984).shuffle(order)  # the book calls np.random.seed(1984), then np.random.shuffle
    data = sequence.load(shipped, split="random")
    mark = lines[0].index("_")
    assert texts(data.vocab, data.x_train) == [lines[i][:mark] for i in order[:45_000]]
    assert texts(data.vocab, data.t_test) == [lines[i][mark:] for i in order[45_000:]]


@pytest.mark.parametrize("split", sequence.SPLITS)
def test_the_seed_decides_the_split_and_the_global_state_stays(split, tmp_path):
    path = write(tmp_path, ADDITIONS)
    state = np.random.get_state()
    first, again, other = (sequence.load(path, seed, split) for seed in (1, 1, 2))
    for a, b in zip(state, np.random.get_state()):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(first[:4], again[:4]):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.x_test, other.x_test)


def test_the_shares_in_the_docstring_are_the_measured_ones(shipped, capsys):
    check_split.main([shipped])
    printed = capsys.readouterr().out
    for split in sequence.SPLITS:
        row = re.search(rf"`{shipped}` +\| {split} +\| +([\d.]+) % +\| +([\d.]+) %", sequence.load_data.__doc__)
        stated = [float(share) for share in row.groups()]
        measured = [100 * share for share in check_split.seen_shares(shipped, split)]
        assert stated == pytest.approx(measured, abs=0.051)
        assert f"{shipped}, {split} split: {stated[0]}% of the test questions were seen" in printed
        assert f"in training, {stated[1]}% of the test dates or number pairs" in printed
        if split == "grouped":
            assert measured == [0, 0]


def test_check_split_explains_what_it_cannot_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, ADDITIONS + "1+1", "bad.txt")
    write(tmp_path, ADDITIONS, "good.txt")
    sentences = {
        "missing.txt": "no data file missing.txt: looked in",
        ".": ". is a folder",
        "": "no data file .: its name is empty",
        "bad.txt": "bad.txt:121: no '_' between question and answer",
        "x" * 5000: "no data file xxx",
    }
    for name, sentence in sentences.items():
        assert check_split.main(["good.txt", name]) == 1
        printed = capsys.readouterr()
        assert len(printed.out.splitlines()) == 2
        (line,) = printed.err.splitlines()
        assert line.split(": ", 1)[1].startswith(sentence)
    for seed in ("-1", "x"):
        with pytest.raises(SystemExit) as end:
            check_split.main([f"--seed={seed}"])
        assert end.value.code == 2
        assert re.search(SEED.format(seed), capsys.readouterr().err)
    assert check_split.main(["good.txt", "--seed", "3"]) == 0


def test_a_small_addition_file_keeps_both_orders_together(tmp_path):
    lines = [f"{f'{a}+{b}':7}_{a + b:<4}\n" for a in range(10) for b in range(10)]
    lines[7] = "00+07  _7   \n"  # the same pair as 0+7 and 7+0
    data = sequence.load(write(tmp_path, "".join(lines)))
    train, test = (
        {tuple(sorted(map(int, text.split("+")))) for text in texts(data.vocab, x)} for x in (data.x_train, data.x_test)
    )
    assert not train & test
    assert len(data.x_test) == 10


def test_what_a_grouped_split_keeps_together():
    pair = sequence.group_key("16+75  ", "91  ")
    for same in ("75+16", "016+075", " 75 + 16 ", "0075+16"):
        assert sequence.group_key(same, "?") == pair
    for other in ("16+750", "160+75", "61+75", "0+91"):
        assert sequence.group_key(other, "91") != pair
    assert sequence.group_key("0+00", "0") == sequence.group_key("000+0", "0") != sequence.group_key("0+1", "1")
    assert sequence.group_key("2/10/93", "1993-02-10  ") == "1993-02-10"
    assert sequence.group_key("1+2+3", "6") == "6"


@pytest.mark.parametrize("split", sequence.SPLITS)
def test_lines_come_in_shuffled_order(split, tmp_path):
    path = write(tmp_path, "".join(f"q{i:3} _{i:3}\n" for i in range(100)))
    data = sequence.load(path, split=split)
    rows = [int(text[1:]) for text in texts(data.vocab, data.t_train)]
    assert rows != sorted(rows)
    assert np.mean(np.diff(rows) > 0) < 0.7


@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=9),
    target=st.integers(1, 12),
)
def test_picked_groups_come_as_near_to_the_target_as_can_be(sizes, target):
    total = sum(sizes)
    target = min(target, total - 1)
    picked = sequence._pick(sizes, target, total)
    assert len(set(picked)) == len(picked)
    got = sum(sizes[i] for i in picked)
    sums = {0}
    for size in sizes:
        sums |= {s + size for s in sums}
    assert 0 < got < total
    assert abs(got - target) == min(abs(s - target) for s in sums if 0 < s < total)


def test_a_file_of_any_unicode(tmp_path):
    words = ["één", "twee", "drie", "четыре", "пять", "六", "칠", "🙂🙂", "ten", "un"]
    path = write(tmp_path, "".join(f"{word:6}_{i:<3}\n" for i, word in enumerate(words)))
    data = sequence.load(path)
    vocab = data.vocab
    assert data.x_train.shape == (9, 6)
    assert data.t_test.shape == (1, 4)
    read = {vocab.decode(x): vocab.decode(t) for x, t in zip(data.x_train, data.t_train)}
    read |= {vocab.decode(x): vocab.decode(t) for x, t in zip(data.x_test, data.t_test)}
    assert read == {word: f"_{i}" for i, word in enumerate(words)}


@pytest.mark.parametrize(
    "content",
    [
        ADDITIONS.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + ADDITIONS.encode(),
        b"\xef\xbb\xbf" + ADDITIONS.replace("\n", "\r\n").encode(),
        ADDITIONS.replace("\n", "\r").encode(),
        ADDITIONS.rstrip("\n").encode(),
        ADDITIONS.encode() + b"\n",
        ADDITIONS.encode() + b"\r\n  \n",
    ],
    ids=["CRLF", "BOM", "BOM and CRLF", "CR", "no last line end", "blank last line", "blank last lines"],
)
def test_files_from_other_systems_are_read_correctly(content, tmp_path):
    plain = sequence.load(write(tmp_path, ADDITIONS, "plain.txt"))
    other = sequence.load(write(tmp_path, content))
    assert other.vocab.char_to_id == plain.vocab.char_to_id
    for a, b in zip(plain[:4], other[:4]):
        np.testing.assert_array_equal(a, b)


def test_a_tab_separated_file_gives_the_arrays_of_the_padded_one(tmp_path):
    pairs = [("seven", "7"), ("twenty one", "21"), ("  ten", "10"), ("one hundred", "100")]
    plain = write(tmp_path, "".join(f"{question:11}_{answer:3}\n" for question, answer in pairs), "plain.txt")
    tabs = write(tmp_path, "".join(f"{question}\t{answer}\n" for question, answer in pairs), "own.tsv")
    loose = write(tmp_path, "".join(f"{question} \t{answer}  \r\n" for question, answer in pairs), "loose.tsv")
    expected = sequence.load(plain)
    for path in (tabs, loose):
        data = sequence.load(path)
        assert data.vocab.char_to_id == expected.vocab.char_to_id
        for a, b in zip(expected[:4], data[:4]):
            np.testing.assert_array_equal(a, b)


# --- which file ---


def test_a_shipped_name_means_the_shipped_file_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, ADDITIONS, "date.txt")
    write(tmp_path, ADDITIONS, "mine.txt")
    assert sequence.load("date.txt").x_train.shape == (45_000, 29)
    assert sequence.load("./date.txt").x_train.shape == (108, 7)
    assert sequence.load("mine.txt").x_train.shape == (108, 7)
    assert sequence.load(tmp_path / "mine.txt").x_train.shape == (108, 7)


def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no data file nowhere/x\.txt: .*make_dates --out nowhere/x\.txt"):
        sequence.load_data("nowhere/x.txt")
    monkeypatch.setattr(sequence, "_FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"date\.txt: make it with `python -m dataset\.make_dates`") as error:
        sequence.load_data("date.txt")
    assert str(tmp_path / "date.txt") in str(error.value)
    with pytest.raises(FileNotFoundError, match=r"`python -m dataset\.make_additions`"):
        sequence.load_data()


def test_a_name_that_is_not_that_of_a_file_is_an_error(tmp_path):
    for load in (sequence.find, sequence.load, sequence.load_data):
        with pytest.raises(FileNotFoundError, match=r"no data file \.: its name is empty\. The shipped files"):
            load("")
        with pytest.raises(IsADirectoryError, match="is a folder: name a data file"):
            load(tmp_path)
        with pytest.raises(FileNotFoundError, match=r"no data file x*[.]{3}: looked in") as error:
            load("x" * 5000)
        assert len(str(error.value)) < 1500
        with pytest.raises(FileNotFoundError, match="no data file"):
            load("a\0b")
        with pytest.raises(ValueError, match="is not a regular file: save the data in a file"):
            load(os.devnull)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_before_it_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is not a regular file"):
        sequence.load(tmp_path / "pipe")


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    path = write(tmp_path, ADDITIONS)

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError, match=rf"{re.escape(str(path))} cannot be read: Permission denied"):
        sequence.load(path)


# --- bad files ---

GOOD = "1+1    _2   \n1+2    _3   \n"


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", 1, "the file is empty"),
        (b"\n\r\n  \n", 1, "the file is empty"),
        (b"\xef\xbb\xbf", 1, "the file is empty"),
        ("1+1    =2   \n" + GOOD, 1, "no '_' between question and answer in '1+1    =2   '"),
        (GOOD + "1+3     4   \n", 3, "no '_' between question and answer"),
        (GOOD + "\n" + GOOD, 3, "blank line"),
        (GOOD + "1_3    _4   \n", 3, "2 times '_' in '1_3    _4   '"),
        ("1_3    _4   \n" + GOOD, 1, "2 times '_'"),
        (GOOD + "1+3    _4\n", 3, "9 characters, but line 1 has 12"),
        (GOOD + "1+3    _4    \n", 3, "13 characters, but line 1 has 12"),
        (GOOD + "1+3   _4    \n", 3, "'_' in column 7, but in column 8 of line 1"),
        ("_2\n_3\n", 1, "the question has no characters in '_2'"),
        ("1+1_\n1+2_\n", 1, "the answer has no characters in '1+1_'"),
        (GOOD + "       _4   \n", 3, "the question is blank in '       _4   '"),
        (GOOD + "1+3    _    \n", 3, "the answer is blank in '1+3    _    '"),
        ("a\tb\n\nc\td\n", 2, "blank line"),
        ("a\tb\nc d\n", 2, "0 tabs in 'c d'; there must be one, between question and answer"),
        ("a\tb\nc\td\te\n", 2, r"2 tabs in 'c\td\te'"),
        ("a\tb\nc_\td\n", 2, r"'_' in 'c_\td'; it marks the start of an answer"),
        ("a\tb\n \td\n", 2, "the question is blank"),
        ("a\t\nb\t\n", 1, "the answer has no characters"),
        (GOOD.encode() + b"1+\xe9    _4   \n", 3, "not UTF-8 text (byte 0xE9)"),
        (GOOD.encode("utf-16"), 1, "not UTF-8 text (byte 0xFF)"),
        (GOOD + "\ufeff1+3    _4   \n", 3, r"13 characters, but line 1 has 12; pad with spaces: '\ufeff1+3"),
    ],
)
def test_a_fault_in_a_file_is_reported_with_its_line(content, line, words, tmp_path):
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        sequence.load_data(path)
    assert str(error.value).startswith(f"{path}:{line}: ")


def test_messages_do_not_repeat_a_whole_file(tmp_path):
    with pytest.raises(ValueError, match="2 times '_'") as error:
        sequence.load_data(write(tmp_path, "a_b_" + 5_000 * "c"))
    assert len(str(error.value)) < 300 + len(str(tmp_path))


def test_a_side_without_lines_is_an_error(tmp_path):
    path = write(tmp_path, GOOD)
    with pytest.raises(ValueError, match=r"2 lines are too few, the test set would be empty"):
        sequence.load_data(path, split="random")
    assert len(sequence.load(path).x_test) == 1  # grouped: one line each
    with pytest.raises(ValueError, match=r"all lines have the same answer"):
        sequence.load_data(write(tmp_path, "yes_1\nno _1\n"))
    with pytest.raises(ValueError, match=r"all lines have the same answer"):
        sequence.load_data(write(tmp_path, "1+2_3\n2+1_3\n"))


def test_an_unknown_split_is_an_error():
    with pytest.raises(ValueError, match="unknown split 'none': choose 'grouped' or 'random'"):
        sequence.load_data("date.txt", split="none")


# --- vocabulary, encode, decode ---


def test_ids_count_first_appearances_line_by_line(tmp_path):
    data = sequence.load(write(tmp_path, "ba _x \nbc _a!\n"))
    assert list(data.vocab.char_to_id.items()) == [
        ("b", 0), ("a", 1), (" ", 2), ("_", 3), ("x", 4), ("c", 5), ("!", 6),
    ]  # fmt: skip


def test_ids_of_the_shipped_files_count_first_appearances(shipped):
    seen = []
    for char in (FOLDER / shipped).read_text(encoding="ascii")[:100_000].replace("\n", ""):
        if char not in seen:
            seen.append(char)
    sequence.load_data(shipped)
    char_to_id, _ = sequence.get_vocab()
    assert list(char_to_id) == seen
    assert list(char_to_id.values()) == list(range(len(seen)))


def test_the_vocabulary_is_that_of_the_last_file_never_a_mixture():
    sequence.load_data("addition.txt")
    additions = sequence.get_vocab()
    sequence.load_data("date.txt")
    assert "+" not in sequence.get_vocab()[0]
    assert len(sequence.get_vocab()[1]) == 59
    sequence.load_data("addition.txt")
    assert sequence.get_vocab() == additions
    other = sequence.load("date.txt").vocab
    assert sequence.get_vocab() == additions  # load remembers nothing
    assert other.decode(other.encode("2/10/93")) == "2/10/93"


def test_a_failed_load_leaves_the_vocabulary(tmp_path):
    sequence.load_data("addition.txt")
    before = sequence.current_vocab()
    for name in ("missing.txt", "bad.txt"):
        write(tmp_path, "no mark here\n", "bad.txt")
        with pytest.raises((ValueError, FileNotFoundError)):
            sequence.load_data(tmp_path / name)
    with pytest.raises(ValueError, match="too few"):
        sequence.load_data(write(tmp_path, GOOD), split="random")
    assert sequence.current_vocab() is before


def test_the_callers_dicts_are_their_own():
    sequence.load_data("addition.txt")
    char_to_id, id_to_char = sequence.get_vocab()
    char_to_id.clear()
    id_to_char.clear()
    assert sequence.decode(sequence.encode("16+75")) == "16+75"


@pytest.mark.parametrize("call", [sequence.get_vocab, lambda: sequence.encode("1+1"), lambda: sequence.decode([0])])
def test_before_any_load_the_error_says_what_to_do(call):
    with pytest.raises(RuntimeError, match=r"call dataset\.sequence\.load_data"):
        call()


def test_encode_gives_the_row_of_the_file():
    (x_train, t_train), _ = sequence.load_data("date.txt")
    vocab = sequence.current_vocab()
    for x, t in zip(x_train[:200], t_train[:200]):
        np.testing.assert_array_equal(sequence.encode(sequence.decode(x)), x)
        np.testing.assert_array_equal(sequence.encode(sequence.decode(t), width=11), t)
    assert sequence.encode("2/10/93").shape == (29,)
    assert sequence.encode("2/10/93").dtype == x_train.dtype
    assert (vocab.question_width, vocab.answer_width) == (29, 11)


@given(st.text(alphabet="0123456789+_ab ☃", max_size=12), st.integers(0, 4))
def test_encode_then_decode_gives_the_text_back(text, extra):
    vocab = sequence.Vocab("0123456789+_ab ☃☃")
    ids = vocab.encode(text)
    assert ids.shape == (len(text),)  # no width known: no padding
    assert vocab.decode(ids) == text.rstrip(" ")
    padded = vocab.encode(text, width=len(text) + extra)
    assert padded.shape == (len(text) + extra,)
    assert vocab.decode(padded.tolist()) == text.rstrip(" ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "9/8/é",
            "unknown character 'é' (U+00E9 LATIN SMALL LETTER E WITH ACUTE) at position 4 (the first is 0)",
        ),
        ("9\u00a08", r"unknown character '\xa0' (U+00A0 NO-BREAK SPACE) at position 1"),
        ("9/8/91\n", r"unknown character '\n' (U+000A without a name) at position 6"),
        ("9+8", "unknown character '+' (U+002B PLUS SIGN) at position 1"),
        ("tuesday, september 25,  1984 1", "is too long: 30 characters, at most 29 fit"),
    ],
)
def test_text_that_the_file_cannot_write(text, words):
    sequence.load_data("date.txt")
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        sequence.encode(text)
    if "unknown" in words:
        assert "date.txt has 59 characters, ' ,-/0123456789" in str(error.value)


def test_no_padding_without_a_space():
    vocab = sequence.Vocab("abc", question_width=3)
    assert vocab.encode("cab").tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match="'ca' cannot be padded from 2 to 3 characters: this vocabulary has no space"):
        vocab.encode("ca")


def test_encode_takes_text_only():
    with pytest.raises(TypeError, match="takes a str, not bytes"):
        sequence.Vocab("abc").encode(b"abc")


def test_decode_refuses_what_is_not_a_row_of_ids():
    vocab = sequence.Vocab("abc ")
    assert vocab.decode([]) == ""
    assert vocab.decode(np.array([0, 3, 1, 3, 3], dtype=np.int32)) == "a b"
    with pytest.raises(ValueError, match=r"unknown id 4 at position 1 .*has ids 0 to 3"):
        vocab.decode([0, 4])
    with pytest.raises(ValueError, match="unknown id -1 at position 0"):
        vocab.decode([-1])
    with pytest.raises(ValueError, match=r"not \(2, 1\): decode each row by itself"):
        vocab.decode([[0], [1]])
    with pytest.raises(ValueError, match="integer ids, not float64"):
        vocab.decode([0.0, 1.0])


# --- forms and gold spans ---

DAYS = st.dates(datetime.date(1970, 1, 1), datetime.date(2017, 12, 31))


def independent_spans(question):
    """Split the text at its separators instead of matching a pattern."""
    text = question.rstrip(" ")
    if "/" in text:
        first, second = text.index("/"), text.rindex("/")
        return {"month": (0, first), "day": (first + 1, second), "year": (second + 1, len(text))}
    end = text.rindex(",")
    day = text.rindex(" ", 0, end) + 1
    month = text.rfind(" ", 0, day - 1) + 1
    return {"month": (month, day - 1), "day": (day, end), "year": (end + 2, len(text))}


def test_gold_spans_of_every_shipped_question(date_rows):
    for question, answer in date_rows:
        spans = dates.gold_spans(question)
        assert spans == independent_spans(question)
        year, month, day = (question[slice(*spans[part])].lower() for part in ("year", "month", "day"))
        assert answer[:4].endswith(year)
        assert int(day) == int(answer[8:])
        assert int(answer[5:7]) == (int(month) if month.isdigit() else 1 + SHORT.index(month[:3]))
        assert dates.to_iso(question) == answer


@given(day=DAYS, form=st.sampled_from(dates.FORMS), case=st.sampled_from(dates.CASES), padding=st.integers(0, 5))
def test_every_way_to_write_a_day_is_read_back(day, form, case, padding):
    if form == "short" and day.month == 5:
        with pytest.raises(ValueError, match="use 'long'"):
            dates.write(day, form, case)
        return
    question = dates.write(day, form, case)
    assert len(question) <= dates.QUESTION_WIDTH
    padded = question + padding * " "
    assert dates.parse(padded) == (day, form, independent_spans(question))
    assert dates.to_iso(padded) == day.isoformat()


def test_the_examples_of_the_course():
    day = datetime.date(1984, 9, 25)
    assert dates.write(day, "weekday", str.upper) == "TUESDAY, SEPTEMBER 25, 1984"
    assert dates.write(datetime.date(1994, 9, 27), "long") == "september 27, 1994"
    assert dates.write(datetime.date(2013, 6, 17), "short", str.upper) == "JUN 17, 2013"
    assert dates.write(datetime.date(1993, 2, 10), "slashes") == "2/10/93"
    assert dates.write(datetime.date(2005, 2, 1), "slashes") == "2/1/05"
    assert dates.gold_spans("TUESDAY, SEPTEMBER 25, 1984  ") == {
        "month": (9, 18),
        "day": (19, 21),
        "year": (23, 27),
    }


def test_gold_mask_marks_the_source_of_each_answer_character():
    mask = dates.gold_mask("2/10/93")
    assert mask.shape == (10, 29)
    assert mask.dtype == bool
    picture = ["".join(".x"[int(on)] for on in row) for row in mask[:, :8]]
    year, month, day, none = ".....xx.", "x.......", "..xx....", "........"
    assert picture == [year, year, year, year, none, month, month, none, day, day]
    assert not mask[:, 8:].any()


def test_gold_mask_is_the_spans_for_any_width(date_rows):
    for question, _ in date_rows[:500]:
        mask = dates.gold_mask(f"{question:29}")
        np.testing.assert_array_equal(mask, dates.gold_mask(question))
        np.testing.assert_array_equal(mask[:, : len(question)], dates.gold_mask(question, width=len(question)))
        for rows, part in (((0, 1, 2, 3), "year"), ((5, 6), "month"), ((8, 9), "day")):
            for row in rows:
                start, end = independent_spans(question)[part]
                assert np.flatnonzero(mask[row]).tolist() == list(range(start, end))
        assert not mask[[4, 7]].any()


def test_gold_mask_refuses_a_question_wider_than_itself():
    with pytest.raises(ValueError, match="has 18 characters, but the mask has only 17 columns"):
        dates.gold_mask("september 27, 1994", width=17)


def test_a_wrong_weekday_changes_nothing():
    assert dates.to_iso("monday, september 25, 1984") == "1984-09-25"
    assert dates.gold_spans("monday, september 25, 1984")["month"] == (8, 17)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "hello",
        "16+75",
        "1994-09-27",
        " september 27, 1994",
        "september 27, 1994\n",
        "september  27, 1994",
        "september 27 1994",
        "september 07, 1994",
        "september 27, 94",
        "sept 27, 1994",
        "SepTember 27, 1994",
        "tuesday, September 25, 1984",
        "tuesday, sep 25, 1984",
        "someday, september 25, 1984",
        "tue, september 25, 1984",
        "02/10/93",
        "2/10/1993",
        "2-10-93",
        "2/10/18",
        "2/10/69",
        "2/10/9٣",
        "ſeptember 27, 1994",
    ],
)
def test_text_in_an_unknown_form_is_an_error(text):
    for function in (dates.gold_spans, dates.gold_mask, dates.to_iso, dates.parse):
        with pytest.raises(ValueError, match="is not a date in a known form"):
            function(text)


@pytest.mark.parametrize("text", ["february 30, 1990", "13/1/90", "2/29/90", "jan 32, 1990", "april 1, 0000"])
def test_a_day_that_never_was_is_an_error(text):
    with pytest.raises(ValueError, match="there is no such day as"):
        dates.gold_spans(text)


def test_write_refuses_what_cannot_be_read_back():
    with pytest.raises(ValueError, match="unknown form 'roman'"):
        dates.write(datetime.date(1990, 1, 1), "roman")
    for year in (1969, 2018):
        with pytest.raises(ValueError, match="two digits can express only the years 1970 to 2017"):
            dates.write(datetime.date(year, 1, 1), "slashes")
