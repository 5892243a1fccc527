"""Mutation testing of the exercises: break every solution in many small ways, and see whether it still passes.

    python -m tests.exercise_mutation                   # all exercises
    python -m tests.exercise_mutation 8.3.2 8.3.6       # some of them
    python -m tests.exercise_mutation --list 8.3.2      # show the mutants and stop
    python -m tests.exercise_mutation --seeds 100       # no mutants: solutions and planted mistakes on 100 draws each

A mutant is an exercise's solution with one change (``tests/mutators.py`` has the list). It is killed if every draw of
the cases sees that it is wrong: each of those that ``check`` makes, and each of several students'. So neither ``check``
nor the grader gives it all points, and none of them owes that to luck. A survivor is a wrong answer that passes, or a
change that changes nothing. tests/grading/mutants.json records what came of every exercise; each survivor in it has a
reason, to be written there by hand. A new one makes tests/grading/test_mutants.py fail.

Needs os.fork: Linux or macOS.
"""

import argparse
import ast
import dataclasses
import functools
import hashlib
import importlib
import inspect
import json
import os
import pkgutil
import signal
import sys
import time
import warnings
from pathlib import Path

import nbformat

from common.grading import cells, draws, judge, observe
from common.grading.exercise import DRAWS, Exercise, exercises
from common.grading.teacher.steps import own_seeds
from tests import mutators

ROOT = Path(__file__).resolve().parents[1]
SOLUTIONS = ROOT / "notebooks" / "solutions"
RECORD = ROOT / "tests" / "grading" / "mutants.json"
CHAPTERS = (7, 8)
STUDENTS = ("ada", "bob", "cleo")
SECONDS = 3  # of processor time for one mutant; one that takes longer hangs
MEMORY = 2**31  # bytes that a mutant may take
# Keywords of an Exercise on which a verdict depends.
JUDGED = {"number", "name", "call", "outputs", "cases", "reference", "given", "tolerance"}

NOTHING = "changes nothing"  # so begins the reason of a mutant that is right as well
# Changes that the task of no exercise is about.
ALWAYS = {
    "self.params, self.grads = ([], [])  ->  (deleted)": "a layer without parameters: nothing reads the two lists",
    "self.params, self.grads = ([], [])  ->  self.grads, self.params = ([], [])": "the lists are equal",
    "self.cache = None  ->  (deleted)": "forward sets it before backward reads it",
}


@functools.cache
def find_all():
    """Return {number: exercise} of all chapters."""
    return {number: exercise for chapter in CHAPTERS for number, exercise in exercises(chapter).items()}


@functools.cache
def solutions():
    """Return {number: source of the answer cell} from the solution notebooks."""
    notebooks = [nbformat.read(path, as_version=4) for path in sorted(SOLUTIONS.glob("*.ipynb"))]
    found = [cell for notebook in notebooks for cell in notebook.cells]
    return {number: cell.source for cell in found if (number := cells.number_of(cell))}


# --- mutants and their verdicts ----------------------------------------------------------------------------


def mutants_of(exercise):
    """Return the mutants of an exercise's solution."""
    found = mutators.mutants(solutions()[exercise.number], exercise.number, mutators.slips)
    for mutant in found:
        mutant.reason = ALWAYS.get(mutant.change)
    return found


def draw(exercise, count=DRAWS, students=STUDENTS):
    """Return several draws of the inputs of all cases: ``count`` of those for everybody, and one for each student."""
    seeds = [*((k,) for k in range(count)), *(own_seeds(student, "a seed for mutants") for student in students)]
    return [[exercise.inputs(case, *seed) for case in exercise.cases] for seed in seeds]


def message(exercise, answer, inputs):
    """Return what the first wrong case says of an answer in one draw; empty if it gets all points for its values."""
    for case, given in zip(exercise.cases, inputs, strict=True):
        outcome = observe.observe(*exercise.call_of(case), answer, given)
        verdict = judge.judge_draw(exercise, case, given, outcome)
        if not verdict.right:
            return verdict.message
    return ""


def passes(exercise, source, drawn):
    """Return the number of draws that find nothing wrong with an answer."""
    # Which mistake it is does not matter here, and finding out takes most of the time.
    exercise = dataclasses.replace(exercise, mistakes=(), bug=None)
    try:
        answer = exercise.run(source)
    except Exception:
        return 0
    return sum(not message(exercise, answer, inputs) for inputs in drawn)


def run(tasks, jobs=1):
    """Return the results of tasks, functions without arguments that return a number or a text, in a list.

    They run in ``jobs`` forked processes. One that hangs is ended alone, and its result is 0. Raises: RuntimeError if
    one ends its process in another way.
    """
    results = {}
    shares = [list(range(k, len(tasks), jobs)) for k in range(jobs)]
    running = [(share, *_start(tasks, share)) for share in shares if share]
    while running:
        share, pid, pipe = running.pop(0)
        with os.fdopen(pipe, encoding="utf-8") as lines:
            done = [json.loads(line) for line in lines if line.endswith("\n")]
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        results |= dict(zip(share, done))
        rest = share[len(done) :]
        if rest and status not in (-signal.SIGXCPU, -signal.SIGKILL):
            raise RuntimeError(f"a task ended its process with status {status}: {tasks[rest[0]]}")
        if rest:
            results[rest[0]] = 0
            rest = rest[1:]
        if rest:
            running.append((rest, *_start(tasks, rest)))
    return [results[k] for k in range(len(tasks))]


def _start(tasks, share):
    """Fork a process that runs these tasks one after the other; return its id and the pipe with their results."""
    sys.stdout.flush()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn if pytest runs threads
        pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    code = 1
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        import resource  # not on Windows

        _limit_memory(resource)
        with warnings.catch_warnings(), os.fdopen(writing, "w", encoding="utf-8") as out:
            warnings.simplefilter("ignore")
            for k in share:
                used = resource.getrusage(resource.RUSAGE_SELF)
                limit = int(used.ru_utime + used.ru_stime) + 1 + SECONDS
                resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
                out.write(json.dumps(tasks[k]()) + "\n")
                out.flush()
        code = 0
    finally:
        os._exit(code)


def _limit_memory(resource):
    """Let this process take MEMORY more than it has. Not on macOS, which does not count it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def measure(exercise, jobs=1):
    """Return (mutants, living): all mutants of an exercise, and {mutant: number of draws it passes} of the living.

    Raises: RuntimeError if the solution itself does not pass every draw.
    """
    drawn = draw(exercise)
    found = mutants_of(exercise)
    sources = [solutions()[exercise.number], *(mutant.source() for mutant in found)]
    right, *counts = run([functools.partial(passes, exercise, source, drawn) for source in sources], jobs)
    if right != len(drawn):
        raise RuntimeError(f"the solution of Exercise {exercise.number} passes {right} of {len(drawn)} draws")
    return found, {mutant: count for mutant, count in zip(found, counts, strict=True) if count}


# --- the record --------------------------------------------------------------------------------------------


def read_record():
    """Return the record: {number: {"hash", "mutants", "killed", "alive": {mutant: reason}}}."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}


def write_record(record):
    """Store the record, in the order of the exercises."""
    entries = [(number, record[number]) for number in find_all() if number in record]
    texts = [f'"{number}": {json.dumps(e, indent=2 if e["alive"] else None)}' for number, e in entries]
    RECORD.write_text("{\n" + ",\n".join(texts) + "\n}\n", encoding="utf-8")


def entry(exercise, found, living, old):
    """Return what the record holds of an exercise; reasons are taken from ``old``, its last entry, or empty."""
    reasons = old.get("alive", {})
    known = [mutant for mutant in living if mutant.reason]
    unknown = {name_of(mutant): reasons.get(name_of(mutant), "") for mutant in living if not mutant.reason}
    return {
        "hash": fingerprint(exercise),
        "mutants": len(found),
        "killed": len(found) - len(living),
        "outside the task": len(known),
        "alive": unknown,
    }


def name_of(mutant):
    """The name of a mutant in the record."""
    return f"{mutant.place}: {mutant.change}"


def fingerprint(exercise):
    """Return a hash of all source on which the verdicts depend: solution, cases, reference, judging, mutators."""
    parts = [solutions()[exercise.number], _spec_source(exercise), inspect.getsource(mutators)]
    parts += [_closure(judge, ["judge_draw"], {"_known_mistake", "_raised", "difference"})]
    parts += [_closure(observe, ["observe"])]
    parts += [inspect.getsource(function) for function in (draw, message, passes)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _spec_source(exercise):
    """The source of an exercise without what only helps the learner: of its cases, its call and its reference."""
    chapter = importlib.import_module(f"ch{int(exercise.number.split('.')[0]):02d}.exercises")
    modules = [importlib.import_module(f"{chapter.__name__}.{m.name}") for m in pkgutil.iter_modules(chapter.__path__)]
    for module in modules:
        for name, value in vars(module).items():
            if value is exercise:
                return _closure(module, [name])
    raise LookupError(f"Exercise {exercise.number} is in no module of {chapter.__name__}")


def _closure(module, names, without=frozenset()):
    """The source of some names of a module and of all that they use there, or from another module of exercises."""
    lines, defined = _parsed(module)
    found, waiting = {}, list(names)
    while waiting:
        name = waiting.pop()
        if name in found or name in without or name not in defined:
            continue
        node = defined[name]
        if isinstance(node, ast.ImportFrom):
            if ".exercises" in node.module or node.module == draws.__name__:
                found[name] = inspect.getsource(importlib.import_module(node.module))
            continue
        parts = [node]
        if isinstance(getattr(module, name), Exercise):
            parts = [keyword for keyword in node.value.keywords if keyword.arg in JUDGED]
        found[name] = "\n".join(line for part in parts for line in lines[part.lineno - 1 : part.end_lineno])
        waiting += [used.id for part in parts for used in ast.walk(part) if isinstance(used, ast.Name)]
    return "\n".join(found[name] for name in sorted(found))


@functools.cache
def _parsed(module):
    """The lines of a module, and the statement that defines each of its names."""
    text = inspect.getsource(module)
    return text.splitlines(), {name: node for node in ast.parse(text).body for name in _defines(node)}


def _defines(node):
    """The names that a statement of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    return [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]


def summary(record):
    """Return the table of a record as lines of text."""
    lines = ["exercise  mutants  killed   share  change nothing  alive"]
    rows = [(number, e["mutants"], e["killed"], changing_nothing(e)) for number, e in record.items()]
    for number, mutants, killed, nothing in [*rows, ("all", *map(sum, list(zip(*rows))[1:]))]:
        share, alive = killed / (mutants - nothing), mutants - killed - nothing
        lines.append(f"{number:9} {mutants:7} {killed:7} {share:7.1%} {nothing:15} {alive:6}")
    return lines


def changing_nothing(values):
    """The number of living mutants in an entry of the record that are right as well."""
    return values["outside the task"] + sum(reason.startswith(NOTHING) for reason in values["alive"].values())


# --- seeds -------------------------------------------------------------------------------------------------


def faults(exercise, count):
    """Return what depends on the seed, as text: a solution that fails, a mistake that passes or is not named."""
    drawn = draw(exercise, count, ())
    solution = exercise.run(solutions()[exercise.number])
    found = [
        f"the solution fails with seed {k}" for k, inputs in enumerate(drawn) if message(exercise, solution, inputs)
    ]
    for mistake in exercise.all_mistakes():
        answer = exercise.run(mistake.source)
        messages = [message(exercise, answer, inputs) for inputs in drawn]
        passed = [k for k, text in enumerate(messages) if not text]
        unnamed = [k for k, text in enumerate(messages) if text and mistake.says not in text]
        if passed:
            found.append(f"passes with the seeds {passed}: {mistake.says}")
        if unnamed:
            found.append(f"is not named with the seeds {unnamed}: {mistake.says} Instead: {messages[unnamed[0]]}")
    return "\n".join(found)


# --- the command -------------------------------------------------------------------------------------------


def main():
    """Run from the command line; return the exit status, 1 if something is left to explain or to fix."""
    parser = argparse.ArgumentParser(prog="python -m tests.exercise_mutation", description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", metavar="NUMBER", help="of exercises (default: all)")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--list", action="store_true", help="list the mutants and stop")
    parser.add_argument("--seeds", type=int, metavar="COUNT", help="judge solutions and mistakes on COUNT draws each")
    args = parser.parse_args()
    unknown = [number for number in args.numbers if number not in find_all()]
    if unknown:
        parser.error(f"there is no exercise {unknown[0]}; there are {', '.join(find_all())}")
    if not hasattr(os, "fork"):
        parser.error("this system has no os.fork; run it on Linux or macOS")
    wanted = [exercise for number, exercise in find_all().items() if number in (args.numbers or find_all())]
    start = time.perf_counter()
    if args.list:
        print(*(mutant for exercise in wanted for mutant in mutants_of(exercise)), sep="\n")
        return 0
    if args.seeds:
        return print_faults(wanted, args.seeds)
    record = read_record()
    for exercise in wanted:
        found, living = measure(exercise, args.jobs)
        new = record[exercise.number] = entry(exercise, found, living, record.get(exercise.number, {}))
        for mutant, count in living.items():
            if not mutant.reason and not new["alive"][name_of(mutant)]:
                print(f"alive in {count} of {DRAWS + len(STUDENTS)} draws: {mutant}", flush=True)
    write_record(record)
    print(*summary(record), f"{time.perf_counter() - start:.0f} seconds", sep="\n")
    return int(any(not reason for exercise in wanted for reason in record[exercise.number]["alive"].values()))


def print_faults(wanted, count):
    """Judge the solutions and the mistakes of these exercises on many draws; return the exit status."""
    found = [(exercise.number, text) for exercise in wanted if (text := faults(exercise, count))]
    for number, text in found:
        print(f"Exercise {number}:\n{text}")
    mistakes = sum(len(exercise.all_mistakes()) for exercise in wanted)
    print(f"{len(wanted)} solutions and {mistakes} mistakes, {count} draws each: {len(found)} exercises depend on luck")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
