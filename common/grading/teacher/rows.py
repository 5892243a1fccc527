"""The rows of ``scores.csv``: what came of the steps of a submission, judged, one row for each exercise.

What comes back from a student's process is values at most; they are judged here, in the grader's own process.
"""

import json
import re
import threading
from dataclasses import dataclass, field

from common.grading.judge import judge
from common.grading.observe import Outcome, unpack
from common.grading.teacher.steps import StepResult, own_seeds

MAX_MESSAGE = 1500  # characters
MOST_OVERHEAD = 0.1  # seconds that a probe may take by itself; an answer could waste more on purpose
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
            _judge(row, exercise, own, submission, seed)
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


def _judge(row, exercise, own, submission, seed):
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
    probes = [own.get(("probe", k)) for k in range(len(exercise.cases) + len(exercise.large))]
    probes, large = probes[: len(exercise.cases)], probes[len(exercise.cases) :]
    draws = [len(exercise.draws(case, *own_seeds(submission.student, seed))) for case in exercise.cases]
    stopped = next((k for k, probe in enumerate(probes) if probe is None or probe.how != "ended"), None)
    try:
        outcomes = [_outcomes(probe, number) for probe, number in zip(probes[:stopped], draws, strict=False)]
        usual = min((probe.seconds for probe in probes[:stopped]), default=0.0)
        large = [_large_outcome(probe, usual) for probe in large]
    except LookupError:
        row.status, row.message = "error", f"The answer cell does not define {exercise.name}."
        return
    not_reached = Outcome(error={"type": "", "message": "", "line": ""})
    nothing = [[not_reached] * number for number in draws]
    try:
        with _judging:
            seeds = own_seeds(submission.student, seed)
            result = judge(exercise, outcomes + nothing[len(outcomes) :], large, seeds)
    except Exception as error:
        with _judging:
            judge(exercise, nothing, [not_reached] * len(large), seeds)  # raises as well if the fault is ours
        row.status, row.message = "fail", f"What {exercise.name} returns cannot be compared ({error})."
        return
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


def _large_outcome(result, usual):
    """Return the Outcome of the probe of a large case, None if it did not end.

    Its time is the one measured from outside, less what a probe takes by itself.
    Args: usual, the seconds of a small one.
    """
    if result is None or result.how != "ended":
        return None
    (outcome,) = _outcomes(result, 1)
    outcome.seconds = result.seconds - min(usual, MOST_OVERHEAD)
    return outcome


def _outcomes(result, number):
    """Return the Outcomes of a probe, ``number`` of them. Raises: LookupError where there was nothing to call."""
    if result.data is None:
        error = result.error or {"type": "an error", "message": result.why or "no values came back"}
        return [Outcome(error={"line": "", **error})] * number
    try:
        data = json.loads(result.data)
        if isinstance(data, dict) and data.get("missing") is True:
            raise LookupError
        if not isinstance(data, list) or len(data) != number:
            raise ValueError(f"not {number} outcomes")
        return [unpack(one) for one in data]
    except LookupError:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
        message = f"what came back is not an answer ({error})"
        return [Outcome(error={"type": "an error", "message": message, "line": ""})] * number


def reproducible(message):
    """Return a message without what differs from run to run (addresses, temporary paths) and without control codes.

    A student may have written it. So no pattern reads the same letters again from a later beginning: the time is
    proportional to the length.
    """
    message = message[: 4 * MAX_MESSAGE]
    message = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", message)
    file = r"<ipython-input[^<>]*>|[^\s()]*\.py|<unknown>|<string>"
    message = re.sub(rf"\((?:{file}), line (\d+)\)", r"(line \1)", message)
    message = re.sub(r"\S+", _without_cell, message)
    message = re.sub(r"0x[0-9a-fA-F]{4,}", "0x...", message)
    message = re.sub(r"(?<![\w./)\]-])/+(?:[\w.-]+/+)*(?:tmp|T|sandbox)/+[\w./-]+", "a temporary file", message)
    message = "".join(c if c.isprintable() else " " if c in "\n\t\r" else "\ufffd" for c in message)
    message = re.sub(r" {2,}", " ", message).strip()
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 3] + "..."


def _without_cell(word):
    """Return a word in which the file that IPython names after a cell is called the cell. Args: word, a match."""
    begin, end = re.search(r"ipykernel_\d+[/\\]", word[0]), word[0].rfind(".py")
    return f"the cell{word[0][end + 3 :]}" if begin and end > begin.end() else word[0]
