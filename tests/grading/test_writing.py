"""The page that says how to write an exercise: its example is an exercise that works, to the letter."""

import re

import nbformat
import numpy as np
import pytest

import ch08.exercises
from common.grading import WrongAnswer, check, hint
from common.grading.cells import cell_id, release
from common.grading.exercise import Exercise
from tests.notebooks import address

PAGE = address.NOTEBOOKS / "exercises" / "WRITING.md"
SPEC, ANSWER, CHECK = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def exercise(monkeypatch):
    """The example, made known to ``check`` as the page says."""
    names = {}
    exec(SPEC, names)
    (made,) = (value for value in names.values() if isinstance(value, Exercise))
    assert made.number not in {exercise.number for exercise in ch08.exercises.EXERCISES}
    monkeypatch.setattr(ch08.exercises, "EXERCISES", (*ch08.exercises.EXERCISES, made))
    return made


def test_solution_and_reference_are_right(exercise, capsys):
    check(exercise.number, exercise.reference)
    exec(CHECK, {"check": check, exercise.name: exercise.run(ANSWER)})
    assert capsys.readouterr().out == 2 * f"Exercise {exercise.number} ok\n"


def test_each_mistake_is_named(exercise):
    assert len(exercise.mistakes) >= 3
    for mistake in exercise.mistakes:
        with pytest.raises(WrongAnswer, match=re.escape(f"Exercise {exercise.number}: {mistake.says}")):
            check(exercise.number, exercise.run(mistake.source))


def test_hints_are_given(exercise, capsys):
    for k in (1, 2, 3):
        hint(exercise.number, k)
    said = capsys.readouterr().out
    assert all(text in said for text in (*exercise.hints, f"Read again: {exercise.section}."))
    chapter = (address.NOTEBOOKS / "ch08_04_attention.ipynb").read_text(encoding="utf-8")
    assert f'"## {exercise.section.split(chr(34))[1]}\\n"' in chapter


def test_the_example_by_hand(exercise):
    answer = exercise.run(ANSWER)
    np.testing.assert_allclose(answer(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])), [np.log(2), 0.0])


def test_the_notebook_is_released_without_the_solution(exercise):
    v4 = nbformat.v4
    notebook = v4.new_notebook(
        cells=[
            v4.new_markdown_cell(f"## Exercise {exercise.number}: {exercise.title}", id="spec"),
            v4.new_code_cell(ANSWER.rstrip(), id=cell_id("answer", exercise.number)),
            v4.new_code_cell(CHECK.rstrip(), id=cell_id("check", exercise.number)),
        ]
    )
    source = release(notebook).cells[1].source
    assert source.endswith(f'\n    raise NotImplementedError("Exercise {exercise.number}")')
    assert "np.log" not in source
    with pytest.raises(WrongAnswer, match="Not solved yet"):
        check(exercise.number, exercise.run(source))


def test_the_page_names_the_ids_and_the_heading_of_its_example(exercise):
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    for role in ("answer", "check", "why"):
        assert f"`{cell_id(role, exercise.number)}`" in page
    assert f"`## Exercise {exercise.number}: {exercise.title}`" in page
    assert f"-k {exercise.number}" in page


def test_the_example_is_short():
    lines = "\n".join((SPEC, ANSWER, CHECK)).splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 35
    assert max(map(len, lines)) <= 120
