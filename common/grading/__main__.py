"""Release and grade exercises, on the command line.

python -m common.grading list                           the exercises with their points
python -m common.grading release                        write notebooks/exercises/ from notebooks/solutions/
python -m common.grading release --check                only say whether they are up to date
python -m common.grading grade SUBMISSIONS --out REPORT grade a folder of notebooks, or of one folder per student
"""

import argparse
import contextlib
import functools
import os
import secrets
import signal
import sys
import threading
import traceback
from pathlib import Path

import nbformat

from common.grading import cells
from common.grading.teacher import pages, report, submissions
from common.grading.teacher.grade import grade
from common.grading.teacher.launch import COURSE
from common.grading.teacher.rows import in_both, stopped_rows
from common.grading.teacher.sandbox import Sandboxes
from common.language import ENGLISH, languages

SOLUTIONS = COURSE / "notebooks" / "solutions"
EXERCISES = COURSE / "notebooks" / "exercises"
USAGE, INFRA, ELSEWHERE, STOPPED = 2, 3, 4, 130  # exit codes
SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # ask to stop
MOST_NOTICES = 20  # that are said on the screen at once


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


class Lasting:
    """A stream that goes on when its terminal or pipe is gone: the report counts for more than what is said of it."""

    def __init__(self, stream):
        self.stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text):
        """Write text; what the terminal cannot show is spelled out."""
        try:
            self.stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            self.stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), self.stream.fileno())  # else Python fails at its end, when it flushes

    def flush(self):
        """Do nothing: ``write`` has done it."""

    def fileno(self):
        """Return the number of the file, by which the width of a terminal is found."""
        return self.stream.fileno()


def say(*lines, file=None):
    """Print lines. Names come from students, so what would move the cursor or change colors is left out."""
    print(*map(pages.printable, lines), sep="\n", file=Lasting(file or sys.stdout))


class Progress:
    """A line on the screen that says who is being graded and how long it will take."""

    def __init__(self, total):
        from tqdm import tqdm

        layout = "grading {n_fmt}/{total_fmt}, {elapsed} so far, {remaining} left{postfix}"
        self.bar = tqdm(total=total, bar_format=layout, file=Lasting(sys.stderr), dynamic_ncols=True, smoothing=0.1)
        self.names, self.lock = [], threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.bar.close()

    def begun(self, submission):
        """Show a student's name."""
        self._show(lambda: self.names.append(submission.student))

    def done(self, submission):
        """Count a submission."""
        self.bar.update()  # seldom draws; what follows always does
        self._show(lambda: self.names.remove(submission.student))

    def _show(self, change):
        with self.lock:
            change()
            names = [pages.printable(name if len(name) <= 24 else f"{name[:23]}…") for name in self.names[:4]]
            self.bar.set_postfix_str(", ".join(names) + (", ..." if len(self.names) > 4 else ""))


def grade_folder(options):
    """Grade a folder and write the report; return the exit code."""
    known = submissions.assignments(options.solutions)
    report.check_place(options.out, options.submissions)
    found = submissions.collect(options.submissions, known, options.notebook)
    todo, notices = found.submissions, found.notices
    seed = options.seed if options.seed is not None else secrets.token_hex(8)
    say(f"seed {seed}")
    _say_notices(notices)
    done, stopped = {}, None
    with report.Place(options.out) as place, Sandboxes(isolate=not options.no_isolation) as sandboxes:
        if place.why_not:
            say(f"The report will be written elsewhere: {place.why_not}.", file=sys.stderr)
        if sandboxes.isolation.missing:
            say("", f"*** {sandboxes.isolation.words}", "", file=sys.stderr)
        try:
            with Progress(len(todo)) as progress:

                def keep(submission, rows):
                    done[id(submission)] = rows
                    progress.done(submission)

                grade(todo, seed, sandboxes, options.workers, progress.begun, keep, options.language)
        except (KeyboardInterrupt, Exception) as error:  # even a mistake in the grader costs no graded work
            stopped = error
            if not done:
                raise
        with _undisturbed():
            rows = []
            for one in todo:
                rows += done.get(id(one)) or in_both(options.language, functools.partial(stopped_rows, one))
            code = _write(place, rows, seed, sandboxes.isolation, notices, options.language, stopped)
    if isinstance(stopped, Exception):
        traceback.print_exception(stopped, file=Lasting(sys.stderr))
    ended = f"Stopped after {len(done)} of {len(todo)} notebooks" if stopped else f"{len(todo)} notebooks"
    say(f"{ended}, {len({one.student for one in todo})} students, {len(notices)} notices")
    _say_notices(notices)
    infra = sorted({(row.student, row.notebook): row.message for row in rows if row.status == "infra"}.items())
    for (student, notebook), message in infra[:MOST_NOTICES]:
        say(f"NOT GRADED: {student!r}, {notebook}: {message}", file=sys.stderr)
    if len(infra) > MOST_NOTICES:
        say(f"NOT GRADED: {len(infra) - MOST_NOTICES} more; scores.csv names them", file=sys.stderr)
    if isinstance(stopped, KeyboardInterrupt):
        return STOPPED
    return code or (INFRA if infra else 0)


def _say_notices(notices):
    for notice in notices[:MOST_NOTICES]:
        say(notice.text, file=sys.stderr)
    if len(notices) > MOST_NOTICES:
        say(f"and {len(notices) - MOST_NOTICES} more; index.html lists them", file=sys.stderr)


def _write(place, rows, seed, isolation, notices, chosen, stopped):
    """Write the report, if need be elsewhere, if need be only the scores to the screen; return the exit code."""
    try:
        folder, why = place.write(rows, seed, isolation, notices, chosen, whole=not stopped)
    except Exception as error:
        say(*report.scores(rows).splitlines())
        say(f"NO REPORT WAS WRITTEN ({error}). The lines above are scores.csv: copy them.", file=sys.stderr)
        return ELSEWHERE
    say(f"{folder / 'index.html'}")
    if why:
        say(f"THE REPORT IS IN {folder}: {why}.", file=sys.stderr)
    return ELSEWHERE if why else 0


@contextlib.contextmanager
def _undisturbed():
    """Let nothing stop the program for a moment."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, *SIGNALS)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments=None):
    """The command line; returns the exit code.

    0: all graded; 2: wrong use; 3: something could not be graded; 4: the report is not where it was to be; 130: stopped
    """
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
    grading.add_argument(
        "--language", choices=languages(), default=ENGLISH, help="of the pages (en); scores.csv stays English"
    )
    grading.add_argument("--no-isolation", action="store_true", help="run students' code with your own rights")
    options = parser.parse_args(arguments)
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # nohup
            signal.signal(number, _stop)
    try:
        if options.command == "list":
            return list_exercises(options.solutions)
        if options.command == "release":
            return release(options.solutions, options.exercises, options.check)
        return grade_folder(options)
    except (submissions.SubmissionsError, report.ReportError, cells.NotebookError) as error:
        say(*f"{parser.prog} {options.command}: {error}".split("\n"), file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        say("", "Stopped; no report was written.", file=sys.stderr)
        return STOPPED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
