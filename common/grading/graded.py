"""The notebook that is run to grade a submission, as a list of steps, and what to make of what came of them.

It is a fresh copy of the released notebook: the student's answers in its answer cells, and behind each of them, in
place of the check cell, one probe for each case with inputs drawn for this student. Everything that comes back is
values at most; they are judged here, in the grader's own process.
"""

import ast
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field

from common.grading import cells
from common.grading.judge import judge, loop_in
from common.grading.observe import Outcome, pack_inputs, unpack

GIVEN_SECONDS = 60.0  # for a given cell; the first one with a figure makes matplotlib's caches
# In place of the setup cell: the course is there. quit() ends a cell, and not the kernel at some later time.
SETUP = """\
from pathlib import Path
ROOT = Path(__import__("dataset").__file__).parent.parent
get_ipython().ask_exit = lambda: __import__("sys").exit("quit")
"""
LONGEST_MESSAGE = 1500
MAGIC = re.compile(r"^(\s*+)(?:[%!?].*|.*=\s*[%!].*|.*\?\s*)$")  # a line that is no Python, or may be none
MOST_MAGICS = 10  # that are transformed as IPython does it, which reads all of the source again for each
_judging = threading.Lock()


@dataclass(frozen=True)
class Step:
    """One cell to run. kind: given, answer or probe; a cell that is still as released counts as given."""

    kind: str
    source: str
    seconds: float
    exercise: object = None
    case: int = 0
    must: bool = False  # an error of this cell is the grader's: it is given, and stands before all answers


@dataclass
class Ran:
    """What came of a step: ended, timeout or crashed; the error that ended it; what a probe published, as JSON."""

    how: str = "ended"
    error: dict | None = None  # type, message
    data: str | None = None
    why: str = ""


@dataclass
class Row:
    """One line of scores.csv, with what the feedback page shows beside it."""

    student: str
    notebook: str
    exercise: object
    status: str
    points: float | None
    message: str = ""
    wrong: object = None  # the Verdict to draw
    cases: list = field(default_factory=list)  # (label, right)

    @property
    def shown_points(self):
        """Points as text; empty where the grader failed."""
        return "" if self.points is None else f"{self.points:g}"


def integers(seed, *names):
    """Return four integers that follow from the seed and the names, and from nothing else."""
    text = "\0".join([str(seed), *names]).encode("utf-8", "replace")
    digest = hashlib.sha256(text).digest()
    return [int.from_bytes(digest[k : k + 4], "big") for k in range(0, 16, 4)]


def inputs_of(exercise, student, seed):
    """Return the inputs of all cases, drawn for this student."""
    drawn = integers(seed, student)
    return [exercise.inputs(case, *drawn) for case in exercise.cases]


def steps(submission, seed):
    """Return the steps of a submission, in the order of the released notebook."""
    exercises = {exercise.number: exercise for exercise in submission.assignment.exercises}
    listed = []
    before = True  # all answers
    for cell in submission.assignment.notebook.cells:
        if cell.cell_type != "code" or cells.number_of(cell, "check"):
            continue
        number = cells.number_of(cell)
        before = before and not number
        if number not in submission.answers:
            source = SETUP if cell.id == "setup" else cell.source
            listed.append(Step("given", source, GIVEN_SECONDS, must=before))
            continue
        exercise = exercises[number]
        listed.append(Step("answer", submission.answers[number].source, exercise.seconds, exercise))
        for k, given in enumerate(inputs_of(exercise, submission.student, seed)):
            call, outputs = exercise.call_of(exercise.cases[k])
            arguments = [exercise.name, call, list(outputs), pack_inputs(given), integers(seed, number, str(k))[0]]
            source = (
                "__import__('common.grading.probe', fromlist=['probe']).probe(\n"
                f"    *__import__('json').loads({json.dumps(arguments)!r})\n)"
            )
            listed.append(Step("probe", source, exercise.seconds, exercise, k))
    return listed


def rows(submission, listed, ran, seed):
    """Return the rows of a submission. Args: listed, its steps; ran, a dict from their indices to what came of them."""
    made = []
    for exercise in submission.assignment.exercises:
        answer = submission.answers.get(exercise.number)
        row = Row(submission.student, submission.assignment.name, exercise, "missing", 0.0)
        if submission.problem and not submission.answers:
            row.status = "missing" if submission.problem.startswith("No notebook") else "error"
            row.message = submission.problem
        elif answer is None:
            row.message = "There is no answer cell for this exercise. It has been deleted, or lost its first line."
        else:
            own = {(s.kind, s.case): ran.get(k) for k, s in enumerate(listed) if s.exercise is exercise}
            _judge(row, exercise, answer.source, own, submission, seed)
        notes = [submission.note.strip()] if submission.note else []
        if answer and answer.repairs:
            notes.append(f"Repaired: {'; '.join(answer.repairs)}.")
        row.message = steady(" ".join(filter(None, [row.message, *notes])))
        made.append(row)
    return made


def infra_rows(submission, why):
    """Return the rows of a submission that the grader could not grade, through no fault of the student's."""
    what = (
        f"The grader itself failed, twice: {steady(why).rstrip('.')}. No points were given or taken. "
        "Mend the cause and grade again; the same --seed gives everybody else the same rows."
    )
    exercises = submission.assignment.exercises
    return [Row(submission.student, submission.assignment.name, e, "infra", None, what) for e in exercises]


def _judge(row, exercise, source, own, submission, seed):
    """Fill in status, points and message of an exercise that has an answer."""
    defined = own.get(("answer", 0))
    if defined is None:
        row.status, row.message = "timeout", "The notebook as a whole took too long; this exercise was not reached."
        return
    if defined.how != "ended":
        row.status, row.message = defined.how, f"The answer cell {_ended(defined, exercise)}"
        return
    if defined.error:
        row.status = "error"
        row.message = f"The answer cell raised {defined.error['type']}: {defined.error['message'].rstrip('.')}."
        return
    probes = [own.get(("probe", k)) for k in range(len(exercise.cases))]
    stopped = next((k for k, probe in enumerate(probes) if probe is None or probe.how != "ended"), None)
    try:
        outcomes = [_outcome(probe) for probe in probes[:stopped]]
    except LookupError:
        row.status, row.message = "error", f"The answer cell defines no {exercise.name}."
        return
    inputs = inputs_of(exercise, submission.student, seed)
    never = Outcome(error={"type": "", "message": "", "line": ""})
    padded = outcomes + [never] * (len(probes) - len(outcomes))
    try:
        with _judging:
            result = judge(exercise, inputs, padded)
    except Exception as error:
        with _judging:
            judge(exercise, inputs, [never] * len(probes))  # raises too, if the fault is ours
        row.status, row.message = "fail", f"What {exercise.name} gives back cannot be compared ({error})."
        return
    result.loop = loop(source, exercise) if exercise.no_loops else None
    row.cases = [(verdict.label, verdict.right) for verdict in result.verdicts]
    row.points, row.status = result.points, result.status
    if stopped is None:
        row.message = result.message
        row.wrong = result.first_wrong
        return
    probe = probes[stopped]
    label = exercise.cases[stopped].label
    row.status = probe.how if probe else "timeout"
    row.points = 0.0 if exercise.bug else row.points
    row.cases = row.cases[: stopped + 1]  # the others were not reached
    row.message = f"{exercise.name}, called for {label!r}, {_ended(probe or Ran('timeout'), exercise)}"
    if row.points:
        right = [case for case, is_right in row.cases if is_right]
        row.message += f" Right for: {'; '.join(right)}."


def _ended(ran, exercise):
    if ran.how == "timeout":
        return f"did not end within {exercise.seconds:g} s."
    return f"ended the process it ran in ({ran.why})."


def _outcome(ran):
    """Return the Outcome of a probe. Raises: LookupError where there was nothing to call."""
    if ran.data is None:
        error = ran.error or {"type": "an error", "message": ran.why or "no values came back"}
        return Outcome(error={"line": "", **error})
    try:
        data = json.loads(ran.data)
        if isinstance(data, dict) and data.get("missing") is True:
            raise LookupError
        return unpack(data)
    except LookupError:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
        return Outcome(error={"type": "an error", "message": f"what came back is no answer ({error})", "line": ""})


def loop(source, exercise):
    """Return the first loop in what defines the answer, as words, or None.

    Looked at are the function or class itself and what it uses of the same cell. A cell that is no plain Python (a
    magic command) is looked at as a whole.
    """
    text = python_of(source)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        found = re.search(r"^[ \t]*(for|while)\b", source, re.M)
        return f"{found[1]}, line {source.count(chr(10), 0, found.start(1)) + 1}" if found else None
    defined = {}
    for node in tree.body:
        for name in _defines(node):
            defined.setdefault(name, []).append(node)
    wanted, seen = [exercise.name], set()
    used = []
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in defined.get(name, []):
            used.append(node)
            wanted += [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    used = sorted({id(node): node for node in used}.values(), key=lambda node: node.lineno)
    lines = text.splitlines()
    kept = [""] * len(lines)  # the line numbers stay the cell's
    for node in used or tree.body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        kept[first - 1 : node.end_lineno] = lines[first - 1 : node.end_lineno]
    return loop_in("\n".join(kept))


def _defines(node):
    """Return the names that a statement at the top of a cell sets."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def python_of(source):
    """Return a cell's source with magic commands as plain Python; the text of a cell magic is taken for the cell."""
    from IPython.core.inputtransformer2 import TransformerManager

    lines = source.splitlines()
    for k, line in enumerate(lines):
        if line.strip() and not line.startswith("%%"):
            break
        lines[k] = "#"  # keeps the numbers of the lines: IPython takes empty ones away
    if sum(bool(MAGIC.match(line)) for line in lines) > MOST_MAGICS:
        return "\n".join(MAGIC.sub(r"\1pass", line) for line in lines) + "\n"
    try:
        return TransformerManager().transform_cell("\n".join(lines) + "\n")
    except Exception:
        return source  # no Python at all


def steady(message):
    """Return a message without what differs from run to run (addresses, temporary paths) and without control codes."""
    message = message[: 4 * LONGEST_MESSAGE]
    message = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", message)
    message = re.sub(r"\((?:<ipython-input[^>]*>|\S*\.py|<unknown>|<string>), line (\d+)\)", r"(line \1)", message)
    message = re.sub(r"\S*ipykernel_\d+[/\\]\S+\.py", "the cell", message)
    message = re.sub(r"0x[0-9a-fA-F]{4,}", "0x...", message)
    message = re.sub(r"(?<![\w.)\]])/(?:[\w.-]+/)*(?:tmp|T|sandbox)/[\w./-]+", "a temporary file", message)
    message = "".join(c if c.isprintable() else " " if c in "\n\t\r" else "\ufffd" for c in message)
    message = re.sub(r" {2,}", " ", message).strip()
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 3] + "..."
