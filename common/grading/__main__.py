"""Release and grade exercises, on the command line.

python -m common.grading list                           the exercises with their points
python -m common.grading release                        write notebooks/exercises/ from notebooks/solutions/
python -m common.grading release --check                only say whether they are up to date
python -m common.grading grade SUBMISSIONS --out REPORT grade a folder of notebooks, or of one folder per student
"""

import argparse
import os
import secrets
import signal
import sys
from pathlib import Path

import nbformat

from common.grading import cells
from common.grading.teacher import report, submissions
from common.grading.teacher.grade import grade
from common.grading.teacher.launch import COURSE
from common.grading.teacher.sandbox import Sandboxes

SOLUTIONS = COURSE / "notebooks" / "solutions"
EXERCISES = COURSE / "notebooks" / "exercises"
USAGE, INFRA, STOPPED = 2, 3, 130  # exit codes


def text_of(notebook):
    """Return the text of a notebook's file."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def release(solutions, exercises, check):
    """Write the released notebooks, or with ``check`` compare them; return the exit code."""
    stale = []
    known = submissions.assignments(solutions)
    texts = {name: text_of(assignment.notebook) for name, assignment in known.items()}  # all of them, or nothing
    for name, text in texts.items():
        path = exercises / f"{name}.ipynb"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(path.name + ".tmp")
            partial.write_text(text, encoding="utf-8", newline="\n")
            os.replace(partial, path)
            print(f"wrote {path}")
    orphans = [path for path in sorted(exercises.glob("*.ipynb")) if path.stem not in texts]
    for path in orphans:
        print(f"{path} has no solution notebook: delete it, or write the solution", file=sys.stderr)
    if check and stale:
        print(f"out of date: {', '.join(p.name for p in stale)}. Run: make exercises", file=sys.stderr)
    if not stale and not orphans:
        print(f"{len(texts)} released notebooks are up to date")
    return 1 if orphans or (check and stale) else 0


def list_exercises(solutions):
    """Print all exercises by notebook."""
    total = count = 0
    for name, assignment in submissions.assignments(solutions).items():
        print(name)
        for exercise in assignment.exercises:
            bug = " (bug hunt)" if exercise.bug else ""
            print(f"  {exercise.number:8}{exercise.points:3g}  {exercise.title}{bug}")
            total, count = total + exercise.points, count + 1
    print(f"{count} exercises, {total:g} points")
    return 0


def grade_folder(options):
    """Grade a folder and write the report; return the exit code."""
    from tqdm import tqdm

    known = submissions.assignments(options.solutions)
    report.check_place(options.out, options.submissions)
    found = submissions.collect(options.submissions, known, options.notebook)
    seed = options.seed if options.seed is not None else secrets.token_hex(8)
    print(f"seed {seed}")
    with Sandboxes(isolate=not options.no_isolation) as sandboxes:
        if sandboxes.isolation.missing:
            print(f"\n*** {sandboxes.isolation.words}\n", file=sys.stderr)
        with tqdm(total=len(found), unit="notebook", desc="grading") as bar:
            rows = grade(found, seed, sandboxes, options.workers, lambda submission: bar.update())
    report.write(options.out, rows, seed, sandboxes.isolation)
    infra = sorted({(row.student, row.notebook): row.message for row in rows if row.status == "infra"}.items())
    print(f"{len(found)} notebooks, {len({s.student for s in found})} students: {Path(options.out) / 'index.html'}")
    for (student, notebook), message in infra:
        print(f"NOT GRADED: {student!r}, {notebook}: {message}", file=sys.stderr)
    return INFRA if infra else 0


def main(arguments=None):
    """The command line; returns the exit code: 0 all graded, 2 wrong use, 3 something could not be graded."""
    parser = argparse.ArgumentParser(
        prog="python -m common.grading", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--solutions", type=Path, default=SOLUTIONS, help="folder of solution notebooks")
    commands.add_parser("list", parents=[common], help="the exercises with their points")
    releasing = commands.add_parser("release", parents=[common], help="write the notebooks for learners")
    releasing.add_argument("--exercises", type=Path, default=EXERCISES, help="folder of released notebooks")
    releasing.add_argument("--check", action="store_true", help="write nothing, only say whether they are up to date")
    grading = commands.add_parser(
        "grade",
        parents=[common],
        help="grade a folder of submissions",
        epilog=submissions.__doc__.split("\n\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    grading.add_argument("submissions", type=Path, metavar="SUBMISSIONS", help="a folder, see below")
    grading.add_argument("--out", type=Path, required=True, metavar="REPORT", help="folder to write the report to")
    grading.add_argument("-n", "--workers", type=_workers, default=1, help="how many to grade at once (1)")
    grading.add_argument("--seed", type=_seed, help="any text; inputs depend on it (by default a new secret one)")
    grading.add_argument(
        "--notebook", action="append", default=[], help="grade every student for this one; may be repeated"
    )
    grading.add_argument("--no-isolation", action="store_true", help="run students' code with your own rights")
    options = parser.parse_args(arguments)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        if options.command == "list":
            return list_exercises(options.solutions)
        if options.command == "release":
            return release(options.solutions, options.exercises, options.check)
        return grade_folder(options)
    except (submissions.SubmissionsError, report.ReportError, cells.NotebookError) as error:
        print(f"{parser.prog} {options.command}: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("\nStopped; no report was written.", file=sys.stderr)
        return STOPPED
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number, frame):
    raise KeyboardInterrupt


def _workers(text):
    number = int(text)
    if not 1 <= number <= 64:
        raise argparse.ArgumentTypeError("1 to 64")
    return number


def _seed(text):
    if not text or not text.isprintable() or len(text) > 100:
        raise argparse.ArgumentTypeError("up to 100 printable characters")
    return text


if __name__ == "__main__":
    sys.exit(main())
