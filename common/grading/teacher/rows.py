"""The rows of ``scores.csv``: what came of the steps of a submission, judged, one row for each exercise.

What comes back from a student's process is values at most; they are judged here, in the grader's own process.
"""

import json
import re
import threading
from dataclasses import dataclass, field

from common.grading.check import UNTOUCHED
from common.grading.judge import judge
from common.grading.observe import Outcome, unpack
from common.grading.picture import got_beside_expected
from common.grading.teacher.steps import StepResult, own_seeds
from common.language import ENGLISH, language, say
from common.np import host as np

MAX_MESSAGE = 1500  # characters
MAX_LINE = 200  # characters of a line of code that is shown
MOST_OVERHEAD = 0.1  # seconds that a probe may take by itself; an answer could waste more on purpose
_judging, _speaking = threading.Lock(), threading.Lock()


@dataclass
class Row:
    """One line of scores.csv, with what the feedback page shows beside it.

    said: what is wrong, or what happened. cases: pairs (label, mark); marks are right, wrong, not ended and not run.
    notes: what was repaired. unsolved: whether the answer is still as released. picture: an SVG, got beside expected.
    translated: the same row in the language of the pages, if that is another one.
    """

    student: str
    notebook: str
    exercise: object
    status: str
    points: float | None
    said: str = ""
    cases: list = field(default_factory=list)
    notes: str = ""
    unsolved: bool = False
    picture: str = ""
    translated: "Row | None" = None

    @property
    def shown_points(self):
        """Points as text; empty where the grader failed."""
        return "" if self.points is None else f"{self.points:g}"

    @property
    def message(self):
        """What was said, then the cases if some are right and some are not, then the notes: all in one line."""
        right, wrong = ([label for label, mark in self.cases if mark == wanted] for wanted in ("right", "wrong"))
        found = f"Right for: {'; '.join(right)}." if right and len(right) < len(self.cases) else ""
        found += f" Wrong for: {'; '.join(wrong)}." if right and wrong else ""
        return _cut(" ".join(filter(None, (self.said, found, self.notes))))


def in_both(chosen, make):
    """Return the rows that ``make`` makes, in English, each with its translation. Args: chosen, of ``languages()``."""
    with _speaking:
        rows = make()
        if chosen != ENGLISH:
            language(chosen)
            try:
                for row, translated in zip(rows, make(), strict=True):
                    row.translated = translated
            finally:
                language(ENGLISH)
    return rows


def rows_of(submission, steps, results, seed):
    """Return the rows of a submission. Args: steps, its steps; results, a dict from indices of steps to StepResults."""
    rows = []
    for exercise in submission.assignment.exercises:
        answer = submission.answers.get(exercise.number)
        row = Row(submission.student, submission.assignment.name, exercise, "missing", 0.0)
        if submission.problem and not submission.answers:
            row.status = "missing" if submission.problem.startswith("No notebook") else "error"
            row.said = say(submission.problem)
        elif answer is None:
            row.said = say("There is no answer cell for this exercise. It was deleted, or its first line is missing.")
        else:
            own = {(s.kind, s.case): results.get(k) for k, s in enumerate(steps) if s.exercise is exercise}
            _judge(row, exercise, own, submission, seed)
        notes = [say(submission.note)] if submission.note else []
        if answer and answer.repairs:
            notes.append(say("Repaired: {what}.", what="; ".join(map(say, answer.repairs))))
        row.said, row.notes = reproducible(row.said), reproducible(" ".join(notes))
        rows.append(row)
    return rows


def infra_rows(submission, why):
    """Return the rows of a submission that the grader itself failed to grade; the student is not to blame."""
    what = say(
        "The grader itself failed, twice: {why}. No points were given or taken. Fix the cause and grade again; with "
        "the same --seed all other rows stay the same.",
        why=reproducible(why).rstrip("."),
    )
    exercises = submission.assignment.exercises
    return [Row(submission.student, submission.assignment.name, e, "infra", None, what) for e in exercises]


def stopped_rows(submission):
    """Return the rows of a submission that was not graded because the program was stopped before."""
    what = say("Grading was stopped before this was graded. No points were given or taken: grade again.")
    exercises = submission.assignment.exercises
    return [Row(submission.student, submission.assignment.name, e, "infra", None, what) for e in exercises]


def _judge(row, exercise, own, submission, seed):
    """Fill in status, points and message of an exercise that has an answer."""
    defined, source = own.get(("answer", 0)), submission.answers[exercise.number].source
    if defined is None:
        row.status, row.said = "timeout", say("The notebook as a whole took too long; this exercise was not reached.")
        return
    if defined.how != "ended":
        row.status, row.said = defined.how, _how_it_ended(say("The answer cell"), defined, exercise)
        return
    if defined.error:
        row.status = "error"
        row.said = say("The answer cell raised {error}", error=_error_in_words(defined.error, source))
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
        row.status, row.said = "error", say("The answer cell does not define {name}.", name=exercise.name)
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
        what = dict(name=exercise.name, error=error)
        row.status, row.said = "fail", say("What {name} returns cannot be compared ({error}).", **what)
        return
    marks = ["right" if verdict.right else "wrong" for verdict in result.verdicts]
    row.points, row.status = result.points, result.status
    if stopped is None:
        _describe(row, exercise, result, source)
    else:
        probe = probes[stopped] or StepResult("timeout")
        row.status, row.points = probe.how, 0.0 if exercise.bug else row.points
        called = say("{name}, called for {case!r},", name=exercise.name, case=say(exercise.cases[stopped].label))
        row.said = _how_it_ended(called, probe, exercise)
        marks[stopped:] = ["not ended", *["not run"] * (len(marks) - stopped - 1)]
    if not row.unsolved:
        row.cases = [(say(verdict.label), mark) for verdict, mark in zip(result.verdicts, marks, strict=True)]


def _describe(row, exercise, result, source):
    """Fill in what is to be said of a Result, and the picture."""
    wrong = result.first_wrong
    untouched = exercise.bug and _code(source) == _code(exercise.bug.source)
    if wrong and not row.points and (wrong.unsolved or untouched):  # then the bug is not named: finding it is the task
        row.unsolved = True
        row.said = wrong.message if wrong.unsolved else say("Not solved yet: {why}", why=say(UNTOUCHED))
    elif wrong:
        row.said = " ".join(filter(None, (wrong.message, result.not_large)))
        row.picture = _picture(wrong)
    else:
        row.said = result.message


def _code(source):
    """Return the lines of a source without comments, docstrings of one line and blank lines, in whatever language."""
    lines = [line.partition("  # ")[0].rstrip() for line in source.splitlines()]
    return [line for line in lines if line and not line.lstrip().startswith(("#", '"""'))]


def _picture(verdict):
    """Return got beside expected as SVG, or nothing where there is nothing to draw."""
    if not verdict.what:
        return ""
    try:
        with np.errstate(all="ignore"):
            return got_beside_expected(verdict.what, verdict.got, verdict.expected) or ""
    except Exception:  # a student's value that the picture was not made for
        return ""


def _error_in_words(error, source):
    """Return type and message of an error, and of a SyntaxError the line of code."""
    kind, message, lines = error["type"], error["message"], source.split("\n")
    place = re.search(r" ?\([^()]{0,100}line (\d{1,6})\)$", message[-120:])
    of_syntax = kind in ("SyntaxError", "IndentationError", "TabError") and not source.startswith("%%")
    if not (of_syntax and place and 1 <= int(place[1]) <= len(lines)):
        return f"{kind}: {message.rstrip('.')}."
    line = lines[int(place[1]) - 1].strip()
    if len(line) > MAX_LINE:
        line = f"{line[: MAX_LINE - 3]}..."
    shown = line if "`" in line else f"`{line}`"  # backticks become code on a page
    where = dict(error=f"{kind}: {message.removesuffix(place[0])}", number=place[1], line=shown)
    return say("{error}. Line {number}: {line}", **where)


def _how_it_ended(what, result, exercise):
    if result.how == "timeout":
        return say("{what} did not end within {seconds:g} s.", what=what, seconds=exercise.seconds)
    return say("{what} ended the process it ran in ({why}).", what=what, why=result.why)


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
    return _cut(message)


def _cut(message):
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 3] + "..."


def _without_cell(word):
    """Return a word in which the file that IPython names after a cell is called the cell. Args: word, a match."""
    begin, end = re.search(r"ipykernel_\d+[/\\]", word[0]), word[0].rfind(".py")
    return f"the cell{word[0][end + 3 :]}" if begin and end > begin.end() else word[0]
