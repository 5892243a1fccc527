"""Every single-step mutant of every solution is seen by the cases, or has a reason to live in mutants.json.

The record says what came of each exercise, and for which source. An exercise that has changed since is measured here.
"""

import os
import sys

import pytest

from tests import exercise_mutation
from tests.exercise_mutation import find_all, fingerprint, read_record

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the mutants run in forked processes")


@pytest.mark.parametrize("number", find_all())
def test_mutants_are_killed_or_explained(number):
    exercise, old = find_all()[number], read_record().get(number, {})
    if old.get("hash") == fingerprint(exercise):
        new = old
    else:
        new = exercise_mutation.entry(exercise, *exercise_mutation.measure(exercise, os.cpu_count()), old)
    unexplained = [mutant for mutant, reason in new["alive"].items() if not reason]
    assert not unexplained, (
        f"wrong answers pass Exercise {number}. Add a case that sees them; or, where they are right as well, run "
        f"`python -m tests.exercise_mutation {number}` and write the reason into tests/grading/mutants.json"
    )


def test_record_holds_all_exercises_and_98_percent_are_killed():
    record = read_record()
    assert list(record) == list(find_all())
    nothing = sum(exercise_mutation.changing_nothing(entry) for entry in record.values())
    total, killed = (sum(entry[what] for entry in record.values()) for what in ("mutants", "killed"))
    assert killed >= 0.98 * (total - nothing)


# --- the tool itself ----------------------------------------------------------------------------------------


def hang():
    while True:
        pass


def test_a_task_that_hangs_ends_alone(monkeypatch):
    monkeypatch.setattr(exercise_mutation, "SECONDS", 1)
    assert exercise_mutation.run([lambda: 1, hang, lambda: 3, lambda: 4], jobs=1) == [1, 0, 3, 4]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts the memory")
def test_a_task_that_takes_too_much_memory_ends():
    def large():
        try:
            return bytearray(2 * exercise_mutation.MEMORY)[-1]
        except MemoryError:
            return "MemoryError"

    assert exercise_mutation.run([large, lambda: 2], jobs=2) == ["MemoryError", 2]


def test_a_task_that_fails_is_reported():
    def fail():
        raise KeyError("a fault of the tool")

    with pytest.raises(RuntimeError, match="a task ended its process with status 1"):
        exercise_mutation.run([lambda: 1, fail], jobs=1)
