"""What an exercise is, and how to find one by its number."""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from common.np import host as np

NUMBER = re.compile(r"(\d+)\.(\d+)\.(\d+)")
DRAWS = 3  # of each case, the same for everybody; the grader adds one that is the student's own


@dataclass(frozen=True)
class Case:
    """One kind of input.

    label: what is special about it; it follows "Wrong for" in messages, such as "several sequences, T and H differ".
    draw: given a NumPy Generator, returns the inputs by name: arrays, numbers, strings, lists of them. Draw small
    sizes; another call must give other numbers, and other sizes where sizes are free.
    call, outputs: if they differ from those of the exercise.
    repeat: for a large case, the arrays that are repeated before the call, {name: (times, axis)}.
    """

    label: str
    draw: Callable
    call: str | None = None
    outputs: tuple[str, ...] | None = None
    repeat: dict | None = None


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people give.

    says: the sentence the learner reads; it names the mistake, not the corrected line.
    source: the wrong answer, as it would be written in the answer cell. An answer with the same wrong results as this
    code most likely makes this mistake. The tests plant it and expect ``says`` in the message.
    """

    says: str
    source: str


def changed(source, *pairs):
    """Return code with mistakes put into it: every old piece is replaced by its new one, pairs (old, new) in order.

    Raises: ValueError if an old piece is not there.
    """
    for old, new in pairs:
        if old not in source:
            raise ValueError(f"{old!r} is not in the source")
        source = source.replace(old, new)
    return source


@dataclass(frozen=True)
class Exercise:
    """An exercise: the learner defines ``name`` in one cell, and calls check(number, name).

    call: code that runs with an input case's names, ``np`` and ``answer``, the learner's object. It sets ``outputs``,
    which are compared in this order with what ``reference`` gives for the same call.
    reference: the right function or class, written independently of the solution notebook: each proves the other.
    mistakes: at least three. hints: two, from a nudge to nearly the answer. section: what to read again.
    bug: for a bug hunt, what the released cell holds: the wrong answer to fix. It counts as the first mistake.
    given: what the notebook provides to the answer besides ``np``, by name (the mistakes' code runs with it).
    large: cases that decide whether the answer works on whole arrays; if not, it loses half of its points. Two rows,
    repeated until a loop over them takes many times as long as the reference. Their call returns a few of the rows.
    """

    number: str
    title: str
    name: str
    call: str
    outputs: tuple[str, ...]
    cases: tuple[Case, ...]
    reference: Callable
    mistakes: tuple[Mistake, ...]
    hints: tuple[str, str]
    section: str
    points: int = 1
    bug: Mistake | None = None
    given: dict = field(default_factory=dict)
    large: tuple[Case, ...] = ()
    seconds: float = 10.0  # of processor time, for each case, when it is graded
    tolerance: float = 1e-4  # largest error, relative to the largest expected number: the book computes in float32

    def __post_init__(self):
        if not NUMBER.fullmatch(self.number):
            raise ValueError(f"an exercise's number looks like 8.2.1, not {self.number!r}")
        if not self.cases or len(self.hints) != 2:
            raise ValueError(f"Exercise {self.number} needs at least one case and two hints")

    def all_mistakes(self):
        """The mistakes; a bug hunt's bug is the first of them."""
        return ((self.bug,) if self.bug else ()) + tuple(self.mistakes)

    def inputs(self, case, *seeds):
        """Return the inputs of a case, drawn from ``seeds`` (integers): the same seeds give the same inputs."""
        place = (*self.cases, *self.large).index(case)
        return case.draw(np.random.default_rng([*map(int, self.number.split(".")), place, *seeds]))

    def draws(self, case, *own):
        """Return the inputs on which a case is judged, a list: the same for everybody, then one drawn from ``own``.

        A large case is judged on one of them.
        """
        seeds = [*((k,) for k in range(DRAWS)), *([own] if own else [])]
        return [self.inputs(case, *seed) for seed in ([own or (0,)] if case.repeat else seeds)]

    def call_of(self, case):
        """Return (call, outputs) of a case."""
        return case.call or self.call, case.outputs or self.outputs

    def run(self, source):
        """Run code as an answer cell would; return what it defines as ``name``."""
        names = {"np": np, "__name__": "answer", **self.given}
        exec(compile(source, f"<answer {self.number}>", "exec"), names)
        return names[self.name]


def exercises(chapter):
    """Return the exercises of a chapter by their numbers, in order. Raises: LookupError if the chapter has none."""
    try:
        module = importlib.import_module(f"ch{int(chapter):02d}.exercises")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("ch"):
            raise LookupError(f"Chapter {chapter} has no exercises.") from None
        raise
    return {exercise.number: exercise for exercise in module.EXERCISES}


def find(number):
    """Return the exercise of this number, a string such as '8.2.1'.

    Raises: TypeError for something that is not a string, LookupError with the nearest numbers for an unknown one.
    """
    if not isinstance(number, str):
        raise TypeError(f"the number of an exercise is a string such as '8.2.1', not {number!r}")
    match = NUMBER.fullmatch(number)
    if not match:
        raise LookupError(f"There is no exercise {number!r}; numbers look like 8.2.1.")
    chapter = exercises(match[1])
    if number not in chapter:
        near = [n for n in chapter if n.startswith(f"{match[1]}.{match[2]}.")] or list(chapter)
        raise LookupError(f"There is no exercise {number}; there are {', '.join(near)}.")
    return chapter[number]
