"""What check says about wrong answers, what comes through from a learner's process, and what release refuses."""

import copy
import json
import sys

import nbformat
import numpy as np
import pytest

from common.grading import WrongAnswer, check, hint
from common.grading.cells import NotebookError, release
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
    assert "Right for small arrays. For 200,000 steps, it takes many times as long as whole arrays would" in text
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


def test_stub():
    def answer(hs, a):
        raise NotImplementedError("Exercise 8.2.2")

    assert said(answer) == 'Exercise 8.2.2: Not solved yet. hint("8.2.2") gives a hint.'


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
    result = judge(exercise, *observed(exercise, abs))
    assert (result.points, result.status, result.right) == (0, "fail", 1)
    assert result.message.startswith(bug.says)


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


def solution(answer=SOLUTION, **changes):
    v4 = nbformat.v4
    cells = {
        "title": v4.new_markdown_cell("# Title", id="title"),
        "answer": v4.new_code_cell(answer, id="answer-8-2-2"),
        "check": v4.new_code_cell(CHECK, id="check-8-2-2"),
    } | changes
    notebook = v4.new_notebook()  # filled later: nbformat itself refuses some of what is tried here
    notebook.cells = [cell for cell in cells.values() if cell]
    return notebook


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
    ],
)
def test_release_refuses(changes, sentence):
    with pytest.raises(NotebookError, match="cell") as caught:
        release(solution(**changes))
    assert sentence in str(caught.value)
