"""Compare what an answer gives with what is right, and name the mistake.

An answer is judged case by case, on several draws of each. The right values come from the exercise's ``reference``. If
they differ, the message is the first of these that applies: a mistake from the exercise's list that gives the same
values or error; the error the answer raised; what can be seen in the values themselves (shape, kind, nan, sign, factor,
axis), with the first wrong element. ``check`` and the grader both judge with this module.

Where an exercise asks for whole arrays, ``large`` cases tell: hundreds of thousands of rows must be right, and must not
take many times the processor time of the reference. How an answer loops (for, recursion, map, exec) does not matter.
"""

import ast
import re
from dataclasses import dataclass, field

from common.grading.observe import Unsupported, observe, plain_or_unsupported
from common.language import say
from common.np import host as np

MAX_VALUE = 300  # characters of a value that is written out
MAX_ERROR = 1200  # characters of an error's text
# What whole arrays may take on a large case: this multiple of the time of the reference, plus this many seconds.
TIMES_REFERENCE, MORE_SECONDS = 4, 0.2
LARGE_TOLERANCE = 0.01  # for large cases: a float32 sum of half a million numbers is not more precise than that
# Functions of NumPy and Python that hide a loop.
HIDDEN_LOOPS = set(
    "vectorize apply_along_axis apply_over_axes fromiter frompyfunc nditer ndenumerate ndindex map starmap".split()
)


@dataclass
class Verdict:
    """What came of one case. message is empty if it is right; got and expected are the first values that differ."""

    label: str
    message: str = ""
    what: str = ""
    got: object = None
    expected: object = None
    inputs: dict = field(default_factory=dict)
    unsolved: bool = False  # still the released stub

    @property
    def right(self):
        """Whether there is nothing to say against it."""
        return not self.message


@dataclass
class Result:
    """What came of one exercise."""

    exercise: object
    verdicts: list
    not_large: str = ""  # what is to be said of the large cases

    @property
    def right(self):
        """The number of cases that are right."""
        return sum(verdict.right for verdict in self.verdicts)

    @property
    def points(self):
        """Points by case. A bug hunt is all or nothing, because the bug itself passes some cases.

        A wrong large case costs half.
        """
        share = self.right / len(self.verdicts)
        if self.exercise.bug and share < 1:
            share = 0.0
        return round(self.exercise.points * share * (0.5 if self.not_large else 1.0), 2)

    @property
    def status(self):
        """pass, partial or fail."""
        if self.points == self.exercise.points:
            return "pass"
        return "partial" if self.points > 0 else "fail"

    @property
    def first_wrong(self):
        """The first case that is wrong, or None. Cases run from small to large, so it is the smallest wrong one."""
        return next((verdict for verdict in self.verdicts if not verdict.right), None)

    @property
    def message(self):
        """One paragraph: the mistake, and which cases are right and wrong. Empty if all is right."""
        wrong = self.first_wrong
        if wrong is None:
            return f"{say('Right for small arrays.')} {self.not_large}" if self.not_large else ""
        if wrong.unsolved:
            return wrong.message
        right = "; ".join(say(verdict.label) for verdict in self.verdicts if verdict.right)
        found = say("Right for: {right}. Wrong for: {wrong}.", right=right, wrong=say(wrong.label)) if right else ""
        return " ".join(filter(None, (wrong.message, found, self.not_large)))


def judge(exercise, outcomes, large, own=()):
    """Return the Result.

    Args: outcomes, for each case a list with one Outcome for each of its draws; large, for each large case its Outcome,
    or None if the call did not end; own, the seeds of the student's own draws.
    """
    with np.errstate(all="ignore"):  # what an answer returns may be of any size
        verdicts = [
            judge_case(exercise, case, exercise.draws(case, *own), drawn)
            for case, drawn in zip(exercise.cases, outcomes, strict=True)
        ]
        small = all(verdict.right for verdict in verdicts)
        pairs = zip(exercise.large, large, strict=True)
        said = [judge_large(exercise, case, *exercise.draws(case, *own), o, small) for case, o in pairs]
    return Result(exercise, verdicts, next(filter(None, said), ""))


def judge_case(exercise, case, inputs, outcomes):
    """Return the Verdict on the Outcomes of a case: that of the first draw that is wrong."""
    for given, outcome in zip(inputs, outcomes, strict=True):
        verdict = judge_draw(exercise, case, given, outcome)
        if not verdict.right:
            break
    return verdict


def judge_large(exercise, case, inputs, outcome, right_for_small):
    """Return what is wrong with the Outcome of a large case, in words; "" if nothing is.

    An answer that is wrong for small arrays, too, has been told why: then only the time counts.
    """
    _, outputs = exercise.call_of(case)
    what = say(case.label)
    slow = say("For {what}, it takes many times as long as whole arrays would: it handles them one by one.", what=what)
    if outcome is None:
        return slow if right_for_small else ""
    expected = _expected(exercise, case, inputs)
    if right_for_small and outcome.error:
        return say("For {what}, {error}", what=what, error=_raised(exercise, outcome, outputs))
    got, right = outcome.values, expected.values
    if right_for_small and not all(n in got and same(got[n], right[n], LARGE_TOLERANCE) for n in outputs):
        return say("For {what}, the values are wrong.", what=what)
    if outcome.seconds > TIMES_REFERENCE * expected.seconds + MORE_SECONDS:
        return slow
    return ""


def _expected(exercise, case, inputs):
    """Return the Outcome of the reference."""
    expected = observe(*exercise.call_of(case), exercise.reference, inputs, case.repeat)
    if expected.error or any(isinstance(value, Unsupported) for value in expected.values.values()):
        raise RuntimeError(f"Exercise {exercise.number}, case {case.label!r}: the reference fails: {expected}")
    return expected


def judge_draw(exercise, case, inputs, outcome):
    """Return the Verdict on one Outcome."""
    _, outputs = exercise.call_of(case)
    expected = _expected(exercise, case, inputs)
    verdict = Verdict(case.label, inputs=inputs)
    if unsolved(outcome, exercise) and not outcome.values:
        verdict.unsolved = True
        verdict.message = say('Not solved yet. hint("{number}") gives a hint.', number=exercise.number)
        return verdict
    for name in outputs:
        if name not in outcome.values:
            break
        got, right = outcome.values[name], expected.values[name]
        if not same(got, right, exercise.tolerance):
            verdict.what, verdict.got, verdict.expected = name, got, right
            break
    else:
        if not outcome.error:
            changed = _changed(inputs, outcome, expected)
            if changed:
                verdict.message = say(
                    "{name} changes its input {input}. The caller still needs that array: "
                    "work on a copy, or write the result to a new array.",
                    name=exercise.name,
                    input=changed[0],
                )
            return verdict
    known = _known_mistake(exercise, case, inputs, outcome)
    verdict.message = known or (
        difference(verdict, inputs, exercise.tolerance) if verdict.what else _raised(exercise, outcome, outputs)
    )
    return verdict


def _changed(inputs, outcome, expected):
    """Return the names of the inputs that the answer changed, and the reference did not."""
    before = {name: plain_or_unsupported(value) for name, value in inputs.items()}
    allowed = {name for name, value in before.items() if not same(expected.inputs[name], value, 0)}
    return [
        name for name, value in before.items() if name not in allowed and not same(outcome.inputs.get(name), value, 0)
    ]


def unsolved(outcome, exercise):
    """Whether the answer is still the released stub."""
    error = outcome.error or {}
    number = rf"\b{re.escape(exercise.number)}\b"  # 8.1.1 is not 8.1.10
    return error.get("type") == "NotImplementedError" and bool(re.search(number, error.get("message", "")))


def _raised(exercise, outcome, outputs):
    error = outcome.error
    if not error:
        return say("{name} does not give {outputs}.", name=exercise.name, outputs=", ".join(outputs))
    if unsolved(outcome, exercise):
        done = ", ".join(name for name in outputs if name in outcome.values)
        rest = ", ".join(name for name in outputs if name not in outcome.values)
        return say("Right so far: {done}. Not solved yet: {rest}.", done=done, rest=rest)
    line = " " + say("Line: `{line}`.", line=error["line"]) if error["line"] else ""
    message = error["message"] if len(error["message"]) <= MAX_ERROR else error["message"][: MAX_ERROR - 3] + "..."
    raised = dict(name=exercise.name, error=error["type"], message=message.rstrip("."))
    return say("{name} raised {error}: {message}.", **raised) + line


def _known_mistake(exercise, case, inputs, outcome):
    """Return the sentence of the first mistake that gives the same outcome, or None."""
    call, outputs = exercise.call_of(case)
    for mistake, answer in zip(exercise.all_mistakes(), _wrong_answers(exercise), strict=True):
        wrong = observe(call, outputs, answer, inputs)
        if (wrong.error is None) != (outcome.error is None) or set(wrong.values) != set(outcome.values):
            continue
        if wrong.error and (wrong.error["type"], wrong.error["message"]) != (
            outcome.error["type"],
            outcome.error["message"],
        ):
            continue
        if wrong.values or wrong.error:
            if all(same(outcome.values[name], wrong.values[name], exercise.tolerance) for name in wrong.values):
                return say(mistake.says)
    return None


def _wrong_answers(exercise):
    return [exercise.run(mistake.source) for mistake in exercise.all_mistakes()]


def same(got, expected, tolerance):
    """Whether two values are equal: same kind, same shape, numbers within tolerance of the largest expected one."""
    got = _as_list(got, expected)
    if kind(got) != kind(expected):
        return False
    if isinstance(expected, list):
        return len(got) == len(expected) and all(same(g, e, tolerance) for g, e in zip(got, expected))
    if isinstance(expected, np.ndarray):
        if got.shape != expected.shape:
            return False
        return _close(got, expected, tolerance)
    if isinstance(expected, (int, float)) and not isinstance(expected, bool):
        return _close(np.asarray(got), np.asarray(expected), tolerance)
    return type(got) is type(expected) and got == expected


def _as_list(got, expected):
    """Return an array as a list where numbers in a list are expected: a shape may be given either way."""
    numbers = isinstance(expected, list) and all(isinstance(e, (int, float)) for e in expected)
    return got.tolist() if numbers and isinstance(got, np.ndarray) and got.ndim == 1 else got


KINDS = (
    "None", "an array of bool", "an array", "True or False", "a number", "a string", "a list or tuple"
)  # fmt: skip


def kind(value):
    """Return the kind of a value in words; values of different kinds are never equal. A 0-d array is a number."""
    if isinstance(value, Unsupported):
        return str(value)
    if value is None:
        return "None"
    if isinstance(value, np.ndarray) and value.ndim:
        return "an array of bool" if value.dtype == bool else "an array"
    if isinstance(value, bool) or (isinstance(value, np.ndarray) and value.dtype == bool):
        return "True or False"
    if isinstance(value, (int, float, np.ndarray)):
        return "a number"
    return "a string" if isinstance(value, str) else "a list or tuple"


def _close(got, expected, tolerance):
    """Whether all numbers are within tolerance; NaN is wrong unless it is expected."""
    got, expected = np.asarray(got, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    finite = np.isfinite(expected)
    if not np.array_equal(np.isfinite(got), finite):
        return False
    if not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
        return False
    if expected[finite].size == 0:
        return True
    size = max(float(np.abs(expected[finite]).max()), 1e-3)
    return bool(np.abs(got[finite] - expected[finite]).max() <= tolerance * size)


def difference(verdict, inputs, tolerance):
    """Return in words how ``got`` differs from ``expected``, with the input where it is small."""
    name, got, expected = verdict.what, verdict.got, verdict.expected
    return _difference(name, got, expected, tolerance) + with_input(inputs)


def _difference(name, got, expected, tolerance):
    if isinstance(got, Unsupported):
        wanted = dict(kind=say(kind(expected)), expected=show(expected))
        return say("{name} is {got}, expected {kind}: {expected}.", name=name, got=got, **wanted)
    if kind(got) != kind(expected):
        values = dict(wrong=say(kind(got)), got=show(got), kind=say(kind(expected)), expected=show(expected))
        return say("{name} is {wrong}: {got}; expected {kind}: {expected}.", name=name, **values)
    if not isinstance(expected, np.ndarray):
        return say("{name} is {got}, expected {expected}.", name=name, got=show(got), expected=show(expected))
    if got.shape != expected.shape:
        reason = ""
        if got.ndim >= 2 and got.swapaxes(-1, -2).shape == expected.shape:
            reason = " " + say("The last two axes look swapped.")
        elif got.size == expected.size:
            reason = " " + say("The number of elements is right, so a reshape or an axis of size 1 is the cause.")
        shapes = dict(got=got.shape, expected=expected.shape)
        return say("{name} has the shape {got}, expected {expected}.", name=name, **shapes) + reason
    return f"{_values(name, got, expected, tolerance)} {_element(name, got, expected, tolerance)}"


def _values(name, got, expected, tolerance):
    """Return in words what can be seen in arrays of equal shape."""
    g, e = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if not np.isfinite(g).all():
        found = "nan" if np.isnan(g).any() else "inf"
        return say(
            "{name} contains {found}: a number overflowed (exp of a large number?), or 0 was divided by 0.",
            name=name,
            found=found,
        )
    if not g.any() and e.any():
        return say("{name} is all zeros.", name=name)
    if _close(g, -e, tolerance):
        return say("{name} has the wrong sign.", name=name)
    if g.ndim >= 2 and g.shape[-1] == g.shape[-2] and _close(g.swapaxes(-1, -2), e, tolerance):
        return say("{name} is right except that its last two axes are swapped.", name=name)
    for axis in range(g.ndim):
        if g.shape[axis] > 1 and _close(np.flip(g, axis), e, tolerance):
            return say("{name} is right but reversed along axis {axis}.", name=name, axis=axis)
    scale = float((g * e).sum() / (e * e).sum()) if e.any() else 0.0
    if f"{scale:.4g}" not in ("0", "1") and _close(g, scale * e, tolerance):
        return say("{name} is {scale:.4g} times what it should be, everywhere.", name=name, scale=scale)
    offset = float((g - e).mean())
    if _close(g, e + offset, tolerance):
        if offset > 0:
            return say("{name} is too large by {offset:.4g}, everywhere.", name=name, offset=offset)
        return say("{name} is too small by {offset:.4g}, everywhere.", name=name, offset=-offset)
    return say("{name} differs from what it should be.", name=name)


def _element(name, got, expected, tolerance):
    """Return the first wrong element with its index, and the number of wrong ones, in words."""
    g, e = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    size = max(float(np.abs(e[np.isfinite(e)]).max(initial=0.0)), 1e-3)
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(g - e) <= tolerance * size)
    wrong &= ~((g == e) | (np.isnan(g) & np.isnan(e)))
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = f"{name}[{', '.join(map(str, index))}]" if index else name
    return say(
        "{place} is {got:.6g}, expected {expected:.6g}; {count} of {size} elements are wrong.",
        place=place,
        got=g[index],
        expected=e[index],
        count=int(wrong.sum()),
        size=e.size,
    )


def with_input(inputs):
    """Return the inputs in words: written out if short, else as shapes."""
    if not inputs:
        return ""
    return " " + say("Input: {inputs}.", inputs=", ".join(f"{name} = {show(v)}" for name, v in inputs.items()))


def show(value, longest=MAX_VALUE):
    """Return a value in one line; a long array becomes its shape."""
    if isinstance(value, np.ndarray):
        if value.size <= 24:
            with np.printoptions(precision=4, suppress=True, threshold=50, linewidth=10_000):
                text = re.sub(r"\s*\n\s*", " ", str(value))
            if len(text) <= longest:
                return f"{text} {value.shape}" if value.ndim > 1 else text
        return say("an array {shape}", shape=value.shape)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        text = "(" + ", ".join(show(v, longest) for v in value[:longest]) + ")"  # more would not fit
    else:
        text = repr(value)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def loop_in(source):
    """Return the first loop in the source in words, with its line, or None."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.For, ast.While, ast.AsyncFor)):
            return say("{loop}, line {line}", loop=type(node).__name__.lower(), line=node.lineno)
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            return say("a comprehension, line {line}", line=node.lineno)
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None
        if name in HIDDEN_LOOPS - own:
            return say("{loop}, line {line}", loop=name, line=node.lineno)
    return None
