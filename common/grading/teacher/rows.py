"""The rows of ``scores.csv``: what came of the steps of a submission, judged, one row for each exercise.

What comes back from a student's process is values at most; they are judged here, in the grader's own process.
"""

import ast
import json
import re
import threading
from dataclasses import dataclass, field

from common.grading.judge import judge, loop_in
from common.grading.observe import Outcome, unpack
from common.grading.teacher.steps import StepResult, inputs_of

MAX_MESSAGE = 1500  # characters
MAGIC = re.compile(r"^(\s*+)(?:[%!?].*|.*=\s*[%!].*|.*\?\s*)$")  # a line that is not Python, or may not be
MAX_MAGICS = 10  # that are transformed as IPython does it, which reads the whole source again for each
_judging = threading.Lock()


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


def rows_of(submission, steps, results, seed):
    """Return the rows of a submission. Args: steps, its steps; results, a dict from indices of steps to StepResults."""
    rows = []
    for exercise in submission.assignment.exercises:
        answer = submission.answers.get(exercise.number)
        row = Row(submission.student, submission.assignment.name, exercise, "missing", 0.0)
        if submission.problem and not submission.answers:
            row.status = "missing" if submission.problem.startswith("No notebook") else "error"
            row.message = submission.problem
        elif answer is None:
            row.message = "There is no answer cell for this exercise. It was deleted, or its first line is missing."
        else:
            own = {(s.kind, s.case): results.get(k) for k, s in enumerate(steps) if s.exercise is exercise}
            _judge(row, exercise, answer.source, own, submission, seed)
        notes = [submission.note.strip()] if submission.note else []
        if answer and answer.repairs:
            notes.append(f"Repaired: {'; '.join(answer.repairs)}.")
        row.message = reproducible(" ".join(filter(None, [row.message, *notes])))
        rows.append(row)
    return rows


def infra_rows(submission, why):
    """Return the rows of a submission that the grader itself failed to grade; the student is not to blame."""
    what = (
        f"The grader itself failed, twice: {reproducible(why).rstrip('.')}. No points were given or taken. "
        "Fix the cause and grade again; with the same --seed all other rows stay the same."
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
        row.status, row.message = defined.how, f"The answer cell {_how_it_ended(defined, exercise)}"
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
        row.status, row.message = "error", f"The answer cell does not define {exercise.name}."
        return
    inputs = inputs_of(exercise, submission.student, seed)
    not_reached = Outcome(error={"type": "", "message": "", "line": ""})
    padded = outcomes + [not_reached] * (len(probes) - len(outcomes))
    try:
        with _judging:
            result = judge(exercise, inputs, padded)
    except Exception as error:
        with _judging:
            judge(exercise, inputs, [not_reached] * len(probes))  # raises as well if the fault is ours
        row.status, row.message = "fail", f"What {exercise.name} returns cannot be compared ({error})."
        return
    result.loop = loop_in_answer(source, exercise) if exercise.no_loops else None
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
    row.message = f"{exercise.name}, called for {label!r}, {_how_it_ended(probe or StepResult('timeout'), exercise)}"
    if row.points:
        right = [case for case, is_right in row.cases if is_right]
        row.message += f" Right for: {'; '.join(right)}."


def _how_it_ended(result, exercise):
    if result.how == "timeout":
        return f"did not end within {exercise.seconds:g} s."
    return f"ended the process it ran in ({result.why})."


def _outcome(result):
    """Return the Outcome of a probe. Raises: LookupError where there was nothing to call."""
    if result.data is None:
        error = result.error or {"type": "an error", "message": result.why or "no values came back"}
        return Outcome(error={"line": "", **error})
    try:
        data = json.loads(result.data)
        if isinstance(data, dict) and data.get("missing") is True:
            raise LookupError
        return unpack(data)
    except LookupError:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
        return Outcome(error={"type": "an error", "message": f"what came back is not an answer ({error})", "line": ""})


def loop_in_answer(source, exercise):
    """Return the first loop in what defines the answer, in words, or None.

    That is the function or class itself and whatever it uses from the same cell; in a cell that is not plain Python
    (a magic command), the whole cell.
    """
    text = plain_python(source)
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
    kept = [""] * len(lines)  # so that line numbers stay those of the cell
    for node in used or tree.body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        kept[first - 1 : node.end_lineno] = lines[first - 1 : node.end_lineno]
    return loop_in("\n".join(kept))


def _defines(node):
    """Return the names that a top-level statement of a cell sets."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def plain_python(source):
    """Return a cell's source with magic commands turned into Python; the body of a cell magic stands for the cell."""
    from IPython.core.inputtransformer2 import TransformerManager

    lines = source.splitlines()
    for k, line in enumerate(lines):
        if line.strip() and not line.startswith("%%"):
            break
        lines[k] = "#"  # keeps the line numbers: IPython removes empty lines
    if sum(bool(MAGIC.match(line)) for line in lines) > MAX_MAGICS:
        return "\n".join(MAGIC.sub(r"\1pass", line) for line in lines) + "\n"
    try:
        return TransformerManager().transform_cell("\n".join(lines) + "\n")
    except Exception:
        return source  # not Python at all


def reproducible(message):
    """Return a message without what differs from run to run (addresses, temporary paths) and without control codes."""
    message = message[: 4 * MAX_MESSAGE]
    message = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", message)
    message = re.sub(r"\((?:<ipython-input[^>]*>|\S*\.py|<unknown>|<string>), line (\d+)\)", r"(line \1)", message)
    message = re.sub(r"\S*ipykernel_\d+[/\\]\S+\.py", "the cell", message)
    message = re.sub(r"0x[0-9a-fA-F]{4,}", "0x...", message)
    message = re.sub(r"(?<![\w.)\]])/(?:[\w.-]+/)*(?:tmp|T|sandbox)/[\w./-]+", "a temporary file", message)
    message = "".join(c if c.isprintable() else " " if c in "\n\t\r" else "\ufffd" for c in message)
    message = re.sub(r" {2,}", " ", message).strip()
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 3] + "..."
