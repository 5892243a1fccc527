"""``check`` and ``hint``: what a learner calls in a notebook."""

import ast
import inspect
import textwrap

from common.grading.exercise import find
from common.grading.judge import judge, loop_in
from common.grading.observe import observe
from common.grading.picture import got_beside_expected
from common.grading.progress import note
from common.language import say

UNTOUCHED = "this is the code as released, with the bug still in it. Look at the symptom, find the line, and fix it."
_hints_given = {}


class WrongAnswer(AssertionError):
    """The answer is not right yet; the text says why. In a notebook only the text is shown, without a traceback."""

    def _render_traceback_(self):
        return [str(self)]


def check(number, answer, noted=True):
    """Print ``Exercise 8.2.1 ok``, or raise a WrongAnswer that names the mistake.

    Args: number, a string; answer, the function or class that the exercise asks for; noted, whether it counts for the
    learner's progress (see ``progress``). What is still as released does not.
    In a notebook a picture of the value beside the expected one is shown above the message.
    Raises: WrongAnswer; LookupError for an unknown number; TypeError for an answer that cannot be called.
    """
    exercise = find(number)
    if not callable(answer):
        raise TypeError(f"check({number!r}, {exercise.name}) needs the function or class, got {type(answer).__name__}")
    outcomes = observed(exercise, exercise.cases, answer)
    result = judge(exercise, outcomes, [None] * len(exercise.large))
    if exercise.large and not result.first_wrong:  # only what is right may take its time
        result = judge(exercise, outcomes, [drawn[0] for drawn in observed(exercise, exercise.large, answer)])
    source = source_of(answer)
    wrong = result.first_wrong
    passed = not result.message
    untouched = not passed and _untouched(exercise, source)
    if noted and not untouched and not (wrong and wrong.unsolved):
        note(number, passed)
    if passed:
        print(say("Exercise {number} ok", number=number))
        return
    picture = got_beside_expected(wrong.what, wrong.got, wrong.expected) if wrong and wrong.what else None
    if picture:
        _display(picture)
    loop = loop_in(source) if result.not_large and source else None
    said = f"{result.message} {say('The loop: {loop}.', loop=loop)}" if loop else result.message
    raise WrongAnswer(say("Exercise {number}: {said}", number=number, said=say(UNTOUCHED) if untouched else said))


def observed(exercise, cases, answer, own=()):
    """Call an answer on all draws of these cases; return a list of Outcomes for each. Args: own, see ``judge``."""
    return [
        [observe(*exercise.call_of(case), answer, inputs, case.repeat) for inputs in exercise.draws(case, *own)]
        for case in cases
    ]


def hint(number, which=None):
    """Print a hint: the first call prints the first, the next the second, and then the section to read again.

    Args: number, of the exercise; which, 1 to 3, prints that one.
    """
    exercise = find(number)
    texts = [*map(say, exercise.hints), say("Read again: {section}.", section=say(exercise.section))]
    if which is None:
        which = _hints_given[number] = _hints_given.get(number, 0) + 1
    which = min(max(which, 1), len(texts))
    place = dict(number=number, which=which, count=len(texts), text=texts[which - 1])
    print(say("Exercise {number}, hint {which} of {count}: {text}", **place))


def source_of(answer):
    """Return the code of a function, or of a class's methods; None if Python cannot find it."""
    parts = vars(answer).values() if inspect.isclass(answer) else [answer]
    try:
        return "\n".join(textwrap.dedent(inspect.getsource(part)) for part in parts if inspect.isfunction(part))
    except (OSError, TypeError, ValueError):
        return None


def _untouched(exercise, source):
    """Whether a bug hunt's code is still as released: then the message must not give away the bug."""
    if not exercise.bug or source is None:
        return False
    tree = ast.parse(exercise.bug.source)
    node = next(node for node in tree.body if getattr(node, "name", None) == exercise.name)
    released = [part for part in node.body if isinstance(part, ast.FunctionDef)] if hasattr(node, "bases") else [node]
    try:
        return ast.dump(ast.Module(released, [])) == ast.dump(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a line of a dict, for example
        return False


def _display(svg):
    """Show a picture if this is a notebook."""
    try:
        from IPython import get_ipython
        from IPython.display import HTML, display
    except ImportError:
        return
    if get_ipython() is not None:
        display(HTML(svg))
