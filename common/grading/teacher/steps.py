"""The notebook that is run to grade a submission, as a list of steps.

It is a fresh copy of the released notebook: the student's answers are in its answer cells, and each of them is
followed by one probe per case: with the inputs that ``check`` uses, and with some drawn for this student. The probes
stand in for the check cell; they come before the cells that show the symptom of a bug hunt, so that nothing runs
between an answer and its probes.
"""

import ast
import hashlib
import json
import re
from dataclasses import dataclass

from common.grading import cells
from common.grading.observe import pack_inputs

GIVEN_SECONDS = 60.0  # for a given cell; the first one with a figure fills matplotlib's caches
# In place of the setup cell: the course is already there. quit() ends the cell instead of the kernel. Figures are not
# drawn, because nobody sees them, and pyplot, which takes half a second to load, waits for an answer that uses it.
SETUP = """\
from pathlib import Path
__import__("os").environ["MPLBACKEND"] = "agg"
__import__("common.grading.teacher.probe", fromlist=["later"]).load_later("matplotlib.pyplot")
ROOT = Path(__import__("dataset").__file__).parent.parent
get_ipython().ask_exit = lambda: __import__("sys").exit("quit")
"""


@dataclass(frozen=True)
class Step:
    """One cell to run. kind: given, answer or probe; an answer cell that is missing counts as given.

    case: of a probe, the index among the exercise's cases, the large ones after the others.
    """

    kind: str
    source: str
    seconds: float
    exercise: object = None
    case: int = 0
    must_pass: bool = False  # an error here is the grader's fault: the cell is given and comes before all answers


@dataclass
class StepResult:
    """What came of a step. how: ended, timeout or crashed. data: what a probe published, as JSON.

    seconds: of processor time that the student's process took for it, measured from outside.
    """

    how: str = "ended"
    error: dict | None = None  # type and message of the error that ended it
    data: str | None = None
    why: str = ""
    seconds: float = 0.0


def derive_integers(seed, *names):
    """Return four integers that depend on the seed and the names only."""
    text = "\0".join([str(seed), *names]).encode("utf-8", "replace")
    digest = hashlib.sha256(text).digest()
    return [int.from_bytes(digest[k : k + 4], "big") for k in range(0, 16, 4)]


def own_seeds(student, seed):
    """Return the seeds of the draws that only this student gets."""
    return derive_integers(seed, student)


def steps_of(submission, seed):
    """Return the steps of a submission, in the order of the released notebook."""
    exercises = {exercise.number: exercise for exercise in submission.assignment.exercises}
    steps = []
    before_answers = True
    for cell in submission.assignment.notebook.cells:
        if cell.cell_type != "code" or cells.number_of(cell, "check"):
            continue
        number = cells.number_of(cell)
        before_answers = before_answers and not number
        if number not in submission.answers:
            source = SETUP if cell.id == "setup" else without_drawing(cell.source)
            steps.append(Step("given", source, GIVEN_SECONDS, must_pass=before_answers))
            continue
        exercise = exercises[number]
        steps.append(Step("answer", submission.answers[number].source, exercise.seconds, exercise))
        for k, case in enumerate((*exercise.cases, *exercise.large)):
            draws = exercise.draws(case, *own_seeds(submission.student, seed))
            source = _probe_source(exercise, case, draws, derive_integers(seed, number, str(k))[0])
            steps.append(Step("probe", source, exercise.seconds, exercise, k))
    return steps


def without_drawing(source):
    """Return the source of a released cell without the statements that draw, and those that need what these define."""
    source = re.sub(r"(?m)^%matplotlib inline$", "", source)
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # another magic
        return source
    drawing, kept = {"plt"}, []
    for statement in statements:
        names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):  # defining it costs nothing, and it may be called
            drawing |= {statement.name} if names & drawing else set()
            kept.append(statement)
        elif names & drawing:
            drawing |= {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        else:
            kept.append(statement)
    return source if len(kept) == len(statements) else ast.unparse(ast.Module(kept, []))


def _probe_source(exercise, case, draws, seed):
    """Return the cell that calls an answer for a case. It relies on no name that an answer may have changed."""
    call, outputs = exercise.call_of(case)
    arguments = [exercise.name, call, list(outputs), [pack_inputs(inputs) for inputs in draws], case.repeat, seed]
    return (
        "__import__('common.grading.teacher.probe', fromlist=['probe']).probe(\n"
        f"    *__import__('json').loads({json.dumps(arguments)!r})\n)"
    )
