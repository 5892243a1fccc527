"""Every exercise: the solution is right, the stub and every planted mistake are not, and the message names the mistake.

The solutions are in notebooks/solutions, the references and the mistakes in ch07/exercises and ch08/exercises: each
is written without the other, and they are compared here.
"""

import ast
import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest

from common.grading import WrongAnswer, check
from common.grading.cells import cell_id, number_of, release
from common.grading.check import UNTOUCHED
from common.grading.exercise import exercises, find
from common.grading.judge import judge
from common.grading.observe import observe, pack, pack_inputs, unpack, unpack_inputs
from tests.notebooks import address, rules

SOLUTIONS = sorted((address.NOTEBOOKS / "solutions").glob("*.ipynb"))
EXERCISES = [exercise for chapter in (7, 8) for exercise in exercises(chapter).values()]
HUNTS = [exercise for exercise in EXERCISES if exercise.bug]
MISTAKES = [(exercise, mistake) for exercise in EXERCISES for mistake in exercise.all_mistakes()]
STUB = 'def answer(*args, **kwargs):\n    raise NotImplementedError("Exercise {}")\n{} = answer'
# What the sandbox holds of the course while a submission is graded.
IN_SANDBOX = {"common.config", "common.gradient_check", "common.grading", "common.np", "common.plots", "dataset"}


def name_of(value):
    return value.number if hasattr(value, "number") else value.says[:30]


def graded(exercise, answer, *seeds):
    """The Result of an answer, as the grader makes it: what goes out and what comes back as JSON."""

    def call(case, inputs):
        arrived = unpack_inputs(pack_inputs(inputs))
        return unpack(pack(observe(*exercise.call_of(case), answer, arrived, case.repeat)))

    outcomes = [[call(case, inputs) for inputs in exercise.draws(case, *seeds)] for case in exercise.cases]
    return judge(exercise, outcomes, [call(case, *exercise.draws(case, *seeds)) for case in exercise.large], seeds)


def solution_of(exercise):
    """The solution's answer cell, run with what the notebook gives to it."""
    notebook = nbformat.read(notebook_of(exercise), as_version=4)
    cells = [cell for cell in notebook.cells if cell.get("id") == cell_id("answer", exercise.number)]
    assert len(cells) == 1, f"Exercise {exercise.number} is in no solution notebook, or in two"
    return cells[0].source


def notebook_of(exercise):
    for path in SOLUTIONS:
        if f'"{cell_id("answer", exercise.number)}"' in path.read_text(encoding="utf-8"):
            return path
    raise AssertionError(f"Exercise {exercise.number} is in no solution notebook")


def test_there_are_enough():
    assert len(EXERCISES) >= 30
    assert sum(exercise.bug is not None for exercise in EXERCISES) >= 8


def test_numbers_are_consecutive():
    for path in SOLUTIONS:
        notebook = nbformat.read(path, as_version=4)
        numbers = [number for cell in notebook.cells if (number := number_of(cell))]
        prefix = numbers[0].rsplit(".", 1)[0]
        assert numbers == [f"{prefix}.{k + 1}" for k in range(len(numbers))], path.name
    assert len({exercise.number for exercise in EXERCISES}) == len(EXERCISES)


@pytest.mark.parametrize("exercise", EXERCISES, ids=name_of)
def test_reference_is_right(exercise, capsys):
    check(exercise.number, exercise.reference)
    assert capsys.readouterr().out == f"Exercise {exercise.number} ok\n"


@pytest.mark.parametrize("exercise", EXERCISES, ids=name_of)
def test_solution_is_right_for_any_seed(exercise):
    answer = exercise.run(solution_of(exercise))
    for seed in range(3, 8):
        result = graded(exercise, answer, seed)
        assert (result.status, result.message) == ("pass", "")


def in_float32(value):
    """Inputs with the numbers as the book's layers hold them."""
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        return value.astype(np.float32)
    return type(value)(map(in_float32, value)) if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("number", ["8.3.6", "8.4.3", "8.5.5", "8.16.2"])  # where numbers cancel, or sums tie
def test_solution_in_float32_is_right(number):
    exercise = find(number)
    answer = exercise.run(solution_of(exercise))

    def call(case, inputs):
        outcome = observe(*exercise.call_of(case), answer, {name: in_float32(value) for name, value in inputs.items()})
        outcome.inputs = unpack_inputs(pack_inputs(inputs))  # a cast copies
        return outcome

    for seed in range(20):
        outcomes = [[call(case, inputs) for inputs in exercise.draws(case, seed)] for case in exercise.cases]
        wrong = judge(exercise, outcomes, [None] * len(exercise.large), (seed,)).first_wrong
        assert wrong is None, wrong.message


@pytest.mark.parametrize("exercise", EXERCISES, ids=name_of)
def test_released_answer_gets_no_points(exercise):
    source = exercise.bug.source if exercise.bug else STUB.format(exercise.number, exercise.name)
    result = graded(exercise, exercise.run(source), 1)
    assert (result.status, result.points) == ("fail", 0)
    assert exercise.bug or result.message == f'Not solved yet. hint("{exercise.number}") gives a hint.'


@pytest.mark.parametrize("exercise", EXERCISES, ids=name_of)
def test_there_are_three_mistakes(exercise):
    assert len(exercise.all_mistakes()) >= 3


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES, ids=name_of)
def test_mistake_loses_points_and_is_named(exercise, mistake):
    answer = exercise.run(mistake.source)
    for seed in range(3, 6):
        result = graded(exercise, answer, seed)
        assert result.points < exercise.points
        assert mistake.says in result.message
    with pytest.raises(WrongAnswer) as caught:
        check(exercise.number, answer)
    assert mistake.says in str(caught.value)


@pytest.mark.parametrize("exercise", EXERCISES, ids=name_of)
def test_inputs_repeat_with_a_seed_and_differ_without(exercise):
    for case in exercise.cases:
        first, again = exercise.inputs(case, 1), exercise.inputs(case, 1)
        np.testing.assert_equal(first, again)
        others = [exercise.inputs(case, seed) for seed in range(2, 12)]
        assert any(pack_inputs(other) != pack_inputs(first) for other in others), case.label


@pytest.mark.parametrize("exercise", EXERCISES, ids=name_of)
def test_sentences_say_enough(exercise):
    """Hints and mistakes are sentences, and neither holds the solution."""
    texts = [*exercise.hints, *(mistake.says for mistake in exercise.all_mistakes())]
    assert all(text.strip().endswith((".", "?", ")")) and len(text) > 20 for text in texts)
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("exercise", HUNTS, ids=name_of)
def test_hunt_shows_its_symptom_before_the_check_and_explains_it_after(exercise):
    cells = nbformat.read(notebook_of(exercise), as_version=4).cells
    ids = [cell.id for cell in cells]
    answer, checked, why = (ids.index(cell_id(role, exercise.number)) for role in ("answer", "check", "why"))
    between = cells[answer + 1 : checked]
    assert all(cell.id.startswith("symptom") for cell in between)
    assert {cell.cell_type for cell in between} == {"markdown", "code"}
    assert why == checked + 1
    text = " ".join(cells[why].source.split())
    assert text.startswith("**What was wrong:** ")
    assert "**Why the symptom followed:** " in text
    assert 2 <= len(re.findall(r"\.(?= |$)", re.sub(r"`[^`]*`", "", text))) <= 4, "two to four sentences"
    assert re.search(r"\d", text), "quote a number of the symptom"


def test_only_hunts_have_symptoms_and_explanations():
    for path in SOLUTIONS:
        cells = nbformat.read(path, as_version=4).cells
        explained = {number for cell in cells if (number := number_of(cell, "why"))}
        assert explained == {e.number for e in HUNTS if notebook_of(e) == path}
        released = nbformat.read(address.NOTEBOOKS / "exercises" / path.name, as_version=4).cells
        assert not [cell.id for cell in released if cell.id.startswith("why")]
        assert sum(c.id.startswith("symptom") for c in released) == sum(c.id.startswith("symptom") for c in cells)


@pytest.mark.parametrize("exercise", HUNTS, ids=name_of)
def test_no_unused_name_gives_a_bug_away(exercise):
    """An argument or variable that is not used for anything points at the line: only what the solution ignores may."""
    assert unused(exercise.bug.source) <= unused(solution_of(exercise))


def unused(source):
    """Arguments and variables of functions, and attributes, that are set and never read."""
    nodes = list(ast.walk(ast.parse(source)))
    named = [node for node in nodes if isinstance(node, (ast.Name, ast.Attribute))]
    read = {ast.unparse(node) for node in named if isinstance(node.ctx, ast.Load)}
    arguments = {node.arg for node in nodes if isinstance(node, ast.arg)}
    return (arguments | {ast.unparse(node) for node in named if isinstance(node.ctx, ast.Store)}) - read


def test_unused_names_are_found():
    source = "def f(x, y):\n    o.a, o.b = x, 1\n    z = o.a\n    return f"
    assert unused(source) == {"y", "o.b", "z"}


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_exercise_notebook_is_what_its_solution_makes(path):
    made = nbformat.writes(release(nbformat.read(path, as_version=4))) + "\n"
    stored = (address.NOTEBOOKS / "exercises" / path.name).read_text(encoding="utf-8")
    assert stored == made, "run `make exercises`"


def test_no_exercise_notebook_without_a_solution():
    names = {path.name for path in (address.NOTEBOOKS / "exercises").glob("*.ipynb")}
    assert names == {path.name for path in SOLUTIONS}


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_notebook_has_setup_badge_headings_and_checks_that_say_ok(path):
    notebook = rules.Notebook(path)
    assert notebook.node.cells[1].source == address.setup_source()
    assert address.badge(address.NOTEBOOKS / "exercises" / path.name) in notebook.node.cells[0].source
    assert (address.NOTEBOOKS / path.name).is_file(), "an exercise notebook is named after its chapter notebook"
    checks = {number: cell for _, cell in notebook.code if (number := number_of(cell, "check"))}
    assert [cell.outputs[0].text for cell in checks.values()] == [f"Exercise {number} ok\n" for number in checks]
    assert rules.no_errors(notebook) == rules.executed_in_order(notebook) == []
    released = rules.Notebook(address.NOTEBOOKS / "exercises" / path.name)
    assert all(not cell.outputs for _, cell in released.code)
    headings = [line for _, text in notebook.prose for line in text.splitlines() if line.startswith("## Exercise ")]
    mine = [e for e in EXERCISES if notebook_of(e) == path]
    assert headings == [f"## Exercise {e.number}: {e.title}" for e in mine]


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_notebook_imports_only_what_the_sandbox_has(path):
    for _, cell, tree in rules.Notebook(path).trees():
        if cell.get("id") == "setup":
            continue
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                ours = name.split(".")[0] in rules.OURS
                assert not ours or name in IN_SANDBOX or name.startswith("dataset."), f"{path.name}: {name}"


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_every_released_check_is_red(path, tmp_path):
    """A learner's notebook under plain nbval-lax, nothing solved: each check fails, and no other cell does."""
    notebook = release(nbformat.read(path, as_version=4))
    notebook.cells[1].source = notebook.cells[1].source.replace("Path.cwd()", f"Path({str(address.ROOT)!r})")
    nbformat.write(notebook, tmp_path / "learner.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(
        [*command, "--color=no", "--rootdir", str(tmp_path), str(tmp_path)], capture_output=True, text=True
    )
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    expected = [f"Cell {k}" for k, cell in enumerate(code) if number_of(cell, "check")]
    failed = [line.split("::")[1] for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert [name.split(" - ")[0] for name in failed] == expected, done.stdout[-3000:]
    # The code of a bug hunt runs, so its check could name the bug. It must not while nobody has looked for it.
    numbers = filter(None, (number_of(cell, "check") for cell in code))
    named = set(re.findall(rf"Exercise ([\d.]+): {re.escape(UNTOUCHED)}", done.stdout))
    assert named == {number for number in numbers if find(number).bug}
