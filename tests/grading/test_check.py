"""What check says about wrong answers, what comes through from a learner's process, and what release refuses."""

import copy
import functools
import itertools
import json
import sys

import nbformat
import numpy as np
import pytest

from common.grading import WrongAnswer, check, hint
from common.grading.cells import NotebookError, cell_id, number_of, release
from common.grading.check import observed
from common.grading.exercise import Case, Exercise, Mistake, exercises, find
from common.grading.judge import judge, loop_in, show
from common.grading.observe import Outcome, Unsupported, observe, pack, plain, unpack
from common.grading.picture import got_beside_expected

NUMBER = next(number for number, exercise in exercises(8).items() if exercise.name == "weighted_sum")
EXERCISE = find(NUMBER)
RIGHT = EXERCISE.reference


def said(answer, number=NUMBER):
    with pytest.raises(WrongAnswer) as caught:
        check(number, answer)
    return str(caught.value)


def test_right(capsys):
    check(NUMBER, RIGHT)
    assert capsys.readouterr().out == "Exercise 8.2.2 ok\n"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda hs, a: RIGHT(hs, a)[:, :1], "c has the shape (1, 1), expected (1, 3)."),
        (lambda hs, a: RIGHT(hs, a).T, "The last two axes look swapped."),
        (lambda hs, a: RIGHT(hs, a)[None], "so a reshape or an axis of size 1 is the cause."),
        (lambda hs, a: 2 * RIGHT(hs, a), "c is 2 times what it should be, everywhere."),
        (lambda hs, a: -RIGHT(hs, a), "c has the wrong sign."),
        (lambda hs, a: RIGHT(hs, a) + 0.5, "c is too large by 0.5, everywhere."),
        (lambda hs, a: RIGHT(hs, a)[:, ::-1], "c is right but reversed along axis 1."),
        (lambda hs, a: 0 * RIGHT(hs, a), "c is all zeros."),
        (lambda hs, a: RIGHT(hs, a) * np.nan, "c contains nan: a number overflowed"),
        (lambda hs, a: RIGHT(hs, a) + np.array([[0, 0, 1.0]]), "c[0, 2] is "),
        (lambda hs, a: RIGHT(hs, a).tolist(), "c is a list or tuple: "),
        (lambda hs, a: None, "c is None: None; expected an array: "),
        (lambda hs, a: RIGHT(hs, a).astype(object), "c is an array of dtype object, expected an array: "),
        (lambda hs, a: object(), "c is an object of type object, expected an array: "),
        (lambda hs, a: hs[7], "weighted_sum raised IndexError: index 7 is out of bounds"),
        (lambda hs: hs, "weighted_sum raised TypeError: "),
    ],
)
def test_message_names_what_can_be_seen(answer, sentence):
    assert sentence in said(answer)


def test_message_shows_the_smallest_failing_input_and_the_cases_that_are_right():
    text = said(lambda hs, a: RIGHT(hs, a) if hs.shape[0] == 1 else RIGHT(hs, a) + hs[:, 0])
    assert "Right for: one sequence. Wrong for: T = H." in text
    assert "Input: hs = " in text
    assert "(2, 3, 3), a = [[" in text


def test_changed_input_is_noticed_and_named():
    def answer(hs, a):
        c = RIGHT(hs, a)
        a[0, 0] = 7.0
        return c

    assert "weighted_sum changes its input a." in said(answer)


def test_loop_is_noticed_even_where_the_values_are_right():
    def answer(hs, a):
        c = 0
        for t in range(a.shape[1]):
            c = c + hs[:, t] * a[:, t, None]
        return c

    text = said(answer)
    assert "Right for small arrays. For 500,000 steps, it takes many times as long as whole arrays would" in text
    assert text.endswith("The loop: for, line 3.")


@pytest.mark.parametrize(
    "source",
    ["for i in x: pass", "while x: pass", "y = [i for i in x]", "y = sum(i for i in x)", "f = np.vectorize(g)"]
    + ["y = map(f, x)", "np.apply_along_axis(f, 0, x)"],
)
def test_loops_are_seen(source):
    assert loop_in(source)


def test_code_without_loops_has_none():
    assert loop_in("y = np.einsum('ij,j->i', x, w)  # for every i") is None
    assert loop_in("map = 3\ny = map + 1") is None
    assert loop_in("not Python at all") is None
    assert loop_in("-" * 100_000 + "1") is None


def test_a_shape_may_be_given_as_an_array_or_a_list(capsys):
    right = find("8.2.3").reference
    for kind in (list, np.array):
        check("8.2.3", lambda N, T, H, kind=kind: tuple(kind(shape) for shape in right(N, T, H)))
    assert capsys.readouterr().out == 2 * "Exercise 8.2.3 ok\n"
    assert "expected" in said(lambda N, T, H: tuple(np.array(shape) + 1 for shape in right(N, T, H)), "8.2.3")


def test_stub():
    def answer(hs, a):
        raise NotImplementedError("Exercise 8.2.2")

    assert said(answer) == 'Exercise 8.2.2: Not solved yet. hint("8.2.2") gives a hint.'


def test_the_stub_of_another_exercise_is_not_this_ones():
    def answer(hs, a):
        raise NotImplementedError("Exercise 8.2.20")

    assert "Not solved yet" not in said(answer)


def test_a_half_solved_answer_is_not_reported_as_unsolved(capsys):
    exercise = next(exercise for exercise in exercises(8).values() if exercise.name == "Repeat")
    half = type("Repeat", (exercise.reference,), {"backward": stub_of(exercise)})
    with pytest.raises(WrongAnswer, match=r"Right so far: ar\. Not solved yet: da\.") as caught:
        check(exercise.number, half)
    assert "Not solved yet. hint" not in str(caught.value)


def stub_of(exercise):
    def backward(self, *args):
        raise NotImplementedError(f"Exercise {exercise.number}")

    return backward


def test_infinite_scores_and_nan_never_count_as_right():
    always = type("Always", (np.ndarray,), {"__eq__": lambda self, other: True})
    assert "differs" in said(lambda hs, a: (RIGHT(hs, a) + np.array([[1, 0, 0]])).view(always))


def test_a_section_with_two_digits_is_not_taken_for_one_with_one():
    assert find("8.10.1").number == number_of({"id": cell_id("answer", "8.10.1")}) == "8.10.1"
    with pytest.raises(LookupError, match=r"no exercise 8\.10\.99; there are 8\.10\.1, 8\.10\.2, "):
        find("8.10.99")
    with pytest.raises(LookupError, match=r"no exercise 8\.1\.99; there are (8\.1\.\d+(, |\.$))+$"):
        find("8.1.99")
    parts = [tuple(map(int, number.split("."))) for number in exercises(8)]
    assert parts == sorted(parts)


def test_wrong_numbers_of_exercises():
    with pytest.raises(LookupError, match=r"There is no exercise 8\.2\.99; there are 8\.2\.1"):
        check("8.2.99", RIGHT)
    with pytest.raises(LookupError, match=r"numbers look like 8\.2\.1"):
        check("weighted sum", RIGHT)
    with pytest.raises(TypeError, match="string such as"):
        check(8.2, RIGHT)
    with pytest.raises(LookupError, match="Chapter 99 has no exercises"):
        check("99.1.1", RIGHT)
    with pytest.raises(TypeError, match="needs the function or class, got int"):
        check(NUMBER, 3)


def test_only_the_message_is_shown_in_a_notebook():
    assert WrongAnswer("Exercise 1.1.1: no")._render_traceback_() == ["Exercise 1.1.1: no"]


def test_hints_come_one_after_the_other(capsys, monkeypatch):
    monkeypatch.setattr(sys.modules["common.grading.check"], "_hints_given", {})
    for _ in range(4):
        hint(NUMBER)
    hint(NUMBER, 1)
    lines = capsys.readouterr().out.splitlines()
    starts = [f"Exercise 8.2.2, hint {k} of 3: " for k in (1, 2, 3, 3, 1)]
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts
    assert "Read again: " in lines[2]


def test_bug_hunt_is_all_or_nothing():
    bug = Mistake("The sign is wrong for negative numbers.", "def f(x):\n    return abs(x)")
    exercise = Exercise(
        number="8.2.1",
        title="t",
        name="f",
        call="y = answer(x)",
        outputs=("y",),
        cases=(Case("positive", lambda rng: {"x": 1.0}), Case("negative", lambda rng: {"x": -1.0})),
        reference=lambda x: x,
        mistakes=(),
        hints=("a hint", "another"),
        section="",
        bug=bug,
    )
    result = judge(exercise, observed(exercise, exercise.cases, abs), [])
    assert (result.points, result.status, result.right) == (0, "fail", 1)
    assert result.message.startswith(bug.says)


# --- whatever an answer returns or raises, check answers with its own message --------------------------------------
# What must hold: check raises WrongAnswer, "Exercise NUMBER: ..." in a readable length, and nothing else; only
# KeyboardInterrupt, the learner's Ctrl-C, goes through.


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def holds_itself():
    value = []
    value.append(value)
    return value


class Spiteful:
    """Every question about it raises an error."""

    def fail(self, *args, **kwargs):
        raise ValueError("no")

    __repr__ = __str__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __float__ = __int__ = __array__ = fail
    __getitem__ = __format__ = __array_ufunc__ = __array_function__ = __index__ = fail


class Masked(Spiteful):
    """Not even its class can be asked for."""

    @property
    def __class__(self):
        raise ValueError("no")


class Metaclass(type):
    def __getattribute__(cls, name):
        raise ValueError("no")


def spiteful(base):
    """A class of values of a kind that check knows, with methods that raise."""
    return type("Spiteful", (Spiteful, base), {})


class Finalized(np.ndarray):
    def __array_finalize__(self, obj):
        if type(obj) is Finalized:
            raise ValueError("no")


async def coroutine():
    return 1


VALUES = {
    "an int of 400 digits": lambda: 10**400,
    "a negative int of 400 digits": lambda: -(10**400),
    "an int of 5000 digits, more than Python writes out": lambda: 10**5000,
    "two ints of 5000 digits": lambda: (10**5000, 10**5000),
    "a list of ints of 400 digits": lambda: [10**400] * 3,
    "shapes of ints of 400 digits": lambda: [(10**400, 1)] * 4,
    "nan": lambda: float("nan"),
    "nan as an int": lambda: np.array([[np.nan]]).astype(int),
    "nan in shapes": lambda: [(float("nan"), 1)] * 4,
    "a complex number": lambda: 1j,
    "a long double": lambda: np.longdouble(1) / 3,
    "a long double too large for a float": lambda: np.longdouble("1e4000"),
    "a half": lambda: np.float16(0.5),
    "None": lambda: None,
    "two Nones": lambda: (None, None),
    "shapes that are None": lambda: [None] * 4,
    "shapes with None in them": lambda: [(None, 3)] * 4,
    "nothing in a tuple": lambda: (),
    "a list of 1000 levels": lambda: nested(1000),
    "a list of 100,000 levels": lambda: nested(100_000),
    "a list that holds itself": holds_itself,
    "two lists that hold themselves": lambda: (holds_itself(), holds_itself()),
    "an array of lists that hold themselves": lambda: np.array([holds_itself(), None], dtype=object),
    "a million numbers in a list": lambda: [0] * 10**6,
    "an array of terabytes that takes no memory": lambda: np.broadcast_to(0.0, (10**6, 10**6)),
    "an array of 32 axes": lambda: np.zeros((1,) * 32),
    "an empty array": lambda: np.zeros((0, 3)),
    "an array of strings": lambda: np.array(["a"]),
    "an array of dates": lambda: np.array(["1993-02-10"], dtype="datetime64[D]"),
    "an array of records": lambda: np.zeros(2, dtype=[("x", float)]),
    "an array of complex numbers": lambda: np.ones((1, 3), dtype=complex),
    "an array of long doubles": lambda: np.ones((1, 3), dtype=np.longdouble),
    "an array of large unsigned ints": lambda: np.full((1, 3), 2**64 - 1, dtype=np.uint64),
    "an array of bytes in another order": lambda: np.ones((1, 3), dtype=">f8"),
    "a masked array": lambda: np.ma.masked_all((1, 3)),
    "a matrix": lambda: np.zeros((1, 3)).view(np.recarray),
    "an array that cannot be copied": lambda: np.zeros((1, 3)).view(Finalized),
    "half of a surrogate pair": lambda: "\ud800",
    "a long string": lambda: "x" * 10**7,
    "bytes": lambda: b"x",
    "a dict": lambda: {1: 2},
    "a set": lambda: {1},
    "a generator": lambda: (x for x in range(3)),
    "an endless iterator": lambda: itertools.count(),
    "a range": lambda: range(3),
    "NotImplemented": lambda: NotImplemented,
    "a class": lambda: int,
    "a function": lambda: len,
    "a spiteful object": Spiteful,
    "a masked object": Masked,
    "a spiteful class": lambda: Metaclass("X", (), {}),
    "an object of a spiteful class": lambda: type.__call__(Metaclass("X", (), {})),
    "a list of spiteful objects": lambda: [Spiteful()] * 4,
    "an array of spiteful objects": lambda: np.array([Spiteful, Masked], dtype=object),
    "a spiteful int": lambda: spiteful(int)(1),
    "a spiteful float": lambda: spiteful(float)(1),
    "a spiteful string": lambda: spiteful(str)("x"),
    "a spiteful list": lambda: spiteful(list)([1]),
    "a spiteful tuple": lambda: spiteful(tuple)((1, 2)),
    "a spiteful array": lambda: np.zeros((1, 3)).view(spiteful(np.ndarray)),
}


def raising(error):
    def answer(*args):
        raise error

    return answer


def endless(*args):
    return endless(*args)


class NoText(Exception):
    def __str__(self):
        raise ValueError("no text")


class OddText(Exception):
    def __str__(self):
        return 3


RAISED = {
    "an error without a text": raising(NoText()),
    "an error whose text is a number": raising(OddText()),
    "an error whose text cannot be written": raising(ValueError("\ud800")),
    "an error with a long text": raising(ValueError("x" * 10**6)),
    "a group of errors": raising(ExceptionGroup("some", [ValueError("x")])),
    "StopIteration": raising(StopIteration()),
    "MemoryError": raising(MemoryError()),
    "an allocation that is too large": lambda *args: np.zeros((10**6, 10**7)),
    "an endless recursion": endless,
    "a WrongAnswer of its own": raising(WrongAnswer("Exercise 8.2.2: forged")),
    "exit()": lambda *args: sys.exit(),
    "exit with a text": lambda *args: sys.exit("bye"),
    "GeneratorExit": raising(GeneratorExit()),
    "an error of no kind that Exception covers": raising(type("Strange", (BaseException,), {})("x")),
    "a spiteful error": raising(type("Spite", (Spiteful, Exception), {})()),
}


@pytest.mark.parametrize("number", ["8.2.2", "8.1.1", "8.2.3"], ids=["an array", "two numbers", "four shapes"])
@pytest.mark.parametrize("name", VALUES)
def test_whatever_is_returned_is_a_wrong_answer(name, number):
    assert_only_its_own_message(lambda *args: VALUES[name](), number)


@pytest.mark.parametrize("name", RAISED)
def test_whatever_is_raised_is_a_wrong_answer(name):
    assert_only_its_own_message(RAISED[name], "8.2.2")


def assert_only_its_own_message(answer, number):
    text = said(answer, number)
    assert text.startswith(f"Exercise {number}: ")
    assert len(text) < 3000
    assert "forged" not in text or "raised" in text


def test_ctrl_c_stops():
    with pytest.raises(KeyboardInterrupt):
        check(NUMBER, raising(KeyboardInterrupt()))


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize(
    "answer",
    [
        lambda hs, a: (yield),
        lambda *args: coroutine(),
        functools.partial(lambda hs, a: None),
        np.sum,
        np.vectorize(lambda hs, a: 0.0),
        print,
        type("Answer", (), {}),
        type("Answer", (), {"__init__": raising(ValueError("no"))}),
        type("Answer", (), {"__new__": lambda cls, *args: 3}),
        type("Answer", (Spiteful,), {"__call__": lambda self, *args: None})(),
        type("Answer", (), {"f": property(raising(ValueError("no")))}),
    ],
    ids=[
        "generator",
        "coroutine",
        "partial",
        "ufunc",
        "vectorize",
        "print",
        "class",
        "init",
        "new",
        "object",
        "property",
    ],
)
def test_whatever_is_checked_is_a_wrong_answer(answer):
    assert_only_its_own_message(answer, "8.2.2")


def test_a_function_that_claims_to_wrap_itself():
    def answer(hs, a):
        return None

    answer.__wrapped__ = answer
    assert_only_its_own_message(answer, "8.2.2")


LINES_OF_A_DICT = {
    "right": lambda hs, h: find("8.3.8").reference(hs, h),
    "wrong": lambda hs, h: hs[:, 0],
}


def test_a_hunt_answered_with_a_function_whose_source_cannot_be_parsed_alone(capsys):
    check("8.3.8", LINES_OF_A_DICT["right"])
    assert capsys.readouterr().out == "Exercise 8.3.8 ok\n"
    assert_only_its_own_message(LINES_OF_A_DICT["wrong"], "8.3.8")


def test_a_layer_whose_methods_return_and_raise_anything():
    exercise = next(exercise for exercise in exercises(8).values() if exercise.name == "Repeat")
    for method in (raising(SystemExit()), lambda *args: 10**400, lambda *args: nested(1000), lambda *args: Spiteful()):
        layer = type("Repeat", (exercise.reference,), {"backward": method})
        assert_only_its_own_message(layer, exercise.number)


@pytest.mark.parametrize(
    "change",
    [
        lambda hs: setattr(hs, "shape", (-1,)),
        lambda hs: setattr(hs, "dtype", np.int64),
        lambda hs: hs.setflags(write=False),
        lambda hs: hs.fill(np.nan),
        lambda hs: hs.resize((0,), refcheck=False),
    ],
    ids=["shape", "dtype", "read-only", "nan", "size"],
)
@pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")
def test_whatever_is_done_to_the_inputs_is_a_wrong_answer(change):
    def answer(hs, a):
        change(hs)

    assert_only_its_own_message(answer, "8.2.2")


def test_a_shape_may_be_an_array(capsys):
    """A shape is a shape, given as a tuple, a list or an array."""
    reference = find("8.2.3").reference
    for kind in (tuple, list, np.array):
        check("8.2.3", lambda N, T, H, kind=kind: [kind(shape) for shape in reference(N, T, H)])
    assert capsys.readouterr().out == 3 * "Exercise 8.2.3 ok\n"


# --- what comes from a learner's process ------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -2.5, float("nan"), float("inf"), "text", [1, [2.0, "x"]], np.arange(6).reshape(2, 3)]
    + [np.float32(0.5), np.array(1.5), np.zeros((0, 3)), np.array([True, False]), np.arange(6.0)[::2]],
)
def test_values_arrive_as_they_were_sent(value):
    sent = Outcome({"y": plain(value)}, {"x": 3}, None, 0.25)
    arrived = unpack(json.loads(json.dumps(pack(sent), allow_nan=False)))
    np.testing.assert_equal(arrived.values["y"], sent.values["y"])
    assert type(arrived.values["y"]) is type(sent.values["y"])
    assert (arrived.inputs, arrived.error, arrived.seconds) == ({"x": 3}, None, 0.25)


class Evil:
    def __reduce__(self):
        raise AssertionError("unpickled")

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("asked for an array")


def test_of_a_large_case_only_small_arrays_travel():
    """The grader takes the time until the values arrive: megabytes of wrong ones looked like a slow answer."""
    sizes = {"x": (500_000, 0)}
    outcome = observe("y = answer(x)", ("y",), lambda x: x, {"x": np.ones((1, 2))}, sizes)
    assert outcome.values["y"] == "an array of 8,000,000 bytes"
    assert len(json.dumps(pack(outcome))) < 200
    outcome = observe("y = answer(x)", ("y",), lambda x: x[:1000], {"x": np.ones((1, 2))}, sizes)
    assert outcome.values["y"].shape == (1000, 2)


def test_objects_become_words():
    outcome = observe("y = answer()", ("y",), Evil, {})
    assert isinstance(outcome.values["y"], Unsupported)
    assert unpack(pack(outcome)).values["y"] == "an object of type Evil"
    full = np.empty(1, dtype=object)
    full[0] = Evil()
    outcome = observe("y = answer()", ("y",), lambda: full, {})
    assert outcome.values["y"] == "an array of dtype object"


def test_lists_that_hold_themselves_become_words():
    def answer():
        y = []
        y.append(y)
        return y

    assert observe("y = answer()", ("y",), answer, {}).values["y"] == "lists nested too deeply"


ARRAY = {"dtype": "float64", "shape": [2], "data": "AAAAAAAAAAAAAAAAAAAAAA=="}


@pytest.mark.parametrize(
    "value",
    [
        {**ARRAY, "dtype": "object"},
        {**ARRAY, "dtype": "O"},
        {**ARRAY, "dtype": ["float64"]},
        {**ARRAY, "shape": [3]},
        {**ARRAY, "shape": [-1]},
        {**ARRAY, "shape": [True, 2]},
        {**ARRAY, "shape": [10**12]},
        {**ARRAY, "shape": 2},
        {**ARRAY, "data": "not base64!"},
        {**ARRAY, "data": None},
        {},
        {"float": "rubbish"},
        {"float": 1},
        json.loads("[" * 20 + "]" * 20),
    ],
)
def test_forged_values_are_refused(value):
    good = {"values": {"y": ARRAY}, "inputs": {}, "error": None, "seconds": 0}
    unpack(good)
    with pytest.raises(ValueError):  # noqa: PT011 (many reasons; none of them is another kind of error)
        unpack({**good, "values": {"y": value}})


@pytest.mark.parametrize("data", [None, [], "x", {}, {"values": []}, {"values": {}, "error": "x"}])
def test_forged_outcomes_are_refused(data):
    with pytest.raises(ValueError):  # noqa: PT011
        unpack(data)


# --- pictures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (np.zeros((2, 3)), np.ones((2, 3))),
        (np.zeros(3), np.ones((2, 3))),
        (np.full((20, 30), np.nan), np.ones((20, 30))),
        (1.5, 2.5),
        (np.zeros((2, 3, 4)), np.ones((2, 3, 4))),
        (np.array([1e300, np.inf]), np.array([1e-300, -5.0])),
    ],
)
def test_picture_of_numbers(got, expected):
    svg = got_beside_expected("dhs", got, expected)
    assert svg.startswith("<svg")
    assert "dhs got" in svg


@pytest.mark.parametrize("got", ["text", [1, 2], None, np.zeros((0, 3)), Unsupported("an object")])
def test_no_picture_where_there_is_nothing_to_draw(got):
    assert got_beside_expected("y", got, np.ones(2)) is None


def test_long_values_are_not_written_out():
    assert show(np.zeros((9, 9))) == "an array (9, 9)"
    assert len(show("x" * 1000)) == 300


# --- release ---------------------------------------------------------------------------------------------

SOLUTION = """# Exercise 8.2.2
def weighted_sum(hs, a):
    \"\"\"What it does.\"\"\"
    ### BEGIN SOLUTION
    return np.einsum("nt,nth->nh", a, hs)
    ### END SOLUTION"""
CHECK = 'check("8.2.2", weighted_sum)'


CHECK_CELL = nbformat.v4.new_code_cell(CHECK, id="check-8-2-2")


def solution(answer=SOLUTION, **changes):
    """A solution notebook of one exercise; changes, cells by name, replace others and come in the order given."""
    v4 = nbformat.v4
    cells = {
        "title": v4.new_markdown_cell("# Title", id="title"),
        "answer": v4.new_code_cell(answer, id="answer-8-2-2"),
        "check": CHECK_CELL,
    }
    if "check" in changes:
        del cells["check"]
    cells |= changes
    notebook = v4.new_notebook()  # filled later: nbformat itself refuses some of what is tried here
    notebook.cells = [cell for cell in cells.values() if cell]
    return notebook


def test_release_keeps_a_symptom_before_its_check_and_drops_what_says_why_it_was_there():
    made = solution(
        symptom=nbformat.v4.new_markdown_cell("The symptom.", id="symptom-8-2-2"),
        show=nbformat.v4.new_code_cell("print(weighted_sum)", id="symptom-show"),
        more=nbformat.v4.new_code_cell("print(1)", id="symptom-more"),
        check=CHECK_CELL,
        why=nbformat.v4.new_markdown_cell('`return np.einsum("nt,nth->nh", a, hs)` was missing.', id="why-8-2-2"),
        end=nbformat.v4.new_markdown_cell("Done.", id="end"),
    )
    ids = ["title", "answer-8-2-2", "symptom-8-2-2", "symptom-show", "symptom-more", "check-8-2-2", "end"]
    assert [cell.id for cell in release(made).cells] == ids
    assert "einsum" not in nbformat.writes(release(made))


def test_release_leaves_signature_and_stub():
    made = solution()
    made.cells[2].outputs = [nbformat.v4.new_output("stream", text="Exercise 8.2.2 ok\n")]
    before = copy.deepcopy(made)
    released = release(made)
    assert made == before
    assert released.cells[1].source == (
        "# Exercise 8.2.2\ndef weighted_sum(hs, a):\n"
        '    """What it does."""\n    raise NotImplementedError("Exercise 8.2.2")'
    )
    assert released.cells[2].outputs == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (dict(answer=SOLUTION.replace("### END SOLUTION", "")), "without ### END"),
        (dict(answer=SOLUTION.replace("### BEGIN SOLUTION", "")), "### END SOLUTION without"),
        (dict(answer=SOLUTION.replace("    return", "    ### BEGIN SOLUTION\n    return")), "within a solution"),
        (dict(answer="# Exercise 8.2.2\nx = 1"), "no ### BEGIN"),
        (dict(answer=SOLUTION.replace("BEGIN SOLUTION", "BEGIN SOLUTION now")), "on a line of its own"),
        (dict(answer=SOLUTION.replace('    return np.einsum("nt,nth->nh", a, hs)\n', "")), "is empty"),
        (dict(answer=SOLUTION.replace("# Exercise 8.2.2\n", "")), "the first line must be"),
        (dict(check=None), "has no check"),
        (dict(check=nbformat.v4.new_code_cell('check("8.2.1", weighted_sum)', id="check-8-2-2")), "has no check"),
        (dict(title=nbformat.v4.new_markdown_cell("# Title", id="check-8-2-2")), "occurs twice"),
        (dict(title=nbformat.v4.new_code_cell("### BEGIN SOLUTION", id="x")), "is not an answer cell"),
        (dict(more=nbformat.v4.new_markdown_cell('return np.einsum("nt,nth->nh", a, hs)', id="y")), "remains"),
        (dict(more=nbformat.v4.new_code_cell('    return np.einsum("nt,nth->nh", a, hs)', id="y")), "remains"),
        (dict(answer=SOLUTION, look=nbformat.v4.new_code_cell("1", id="look"), check=CHECK_CELL), "has no check"),
        (dict(answer=SOLUTION, symptom=nbformat.v4.new_code_cell("1", id="symptom-1"), check=None), "has no check"),
        (dict(title=nbformat.v4.new_markdown_cell("The axis.", id="why-8-2-2")), "a text cell below its check"),
        (dict(why=nbformat.v4.new_markdown_cell("The axis.", id="why-8-2-1")), "a text cell below its check"),
        (dict(why=nbformat.v4.new_markdown_cell("The axis.", id="why-numbers")), "a text cell below its check"),
        (dict(why=nbformat.v4.new_code_cell("print('The axis.')", id="why-8-2-2")), "a text cell below its check"),
    ],
)
def test_release_refuses(changes, sentence):
    with pytest.raises(NotebookError, match="cell") as caught:
        release(solution(**changes))
    assert sentence in str(caught.value)
