"""What a learner has tried and solved: noted by ``check`` in runs/progress.json, shown by ``progress()`` as a grid.

The file is one JSON object, such as {"8.2.1": "solved", "8.2.2": "tried"}; the exercise noted last comes last. The
environment variable ATTENTION_PROGRESS names another folder for it, absolute or below the course's root, such as one on
a mounted drive. If it is ``off``, nothing is kept.
"""

import itertools
import json
import os
import sys
import time
import tomllib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from common.grading.exercise import NUMBER, exercises
from common.language import ENGLISH, language, say
from common.npz import atomic_write, check_writable
from common.svg import escape
from common.training.run import locked

ROOT = Path(__file__).resolve().parents[2]
NAME = "progress.json"
SOLVED, TRIED, OPEN = "solved", "tried", "open"
SIGNS = {SOLVED: "✓", TRIED: "◐", OPEN: "○"}
LARGEST = 100_000  # bytes; a larger file is not one of ours
PATIENCE = 5.0  # seconds to wait for other kernels that note something
COLAB = "https://colab.research.google.com/github"
# Colors that can be read on white and on black: the page's own for text, a thin layer of ours behind it.
STYLES = {
    SOLVED: "border:1px solid;background:rgba(0,158,115,.3);font-weight:bold",
    TRIED: "border:1px dashed;background:rgba(230,159,0,.25)",
    OPEN: "border:1px solid rgba(128,128,128,.5)",
}


# --- the file -----------------------------------------------------------------------------------------------------


def place():
    """Return the path of the file, or None if nothing is to be kept."""
    folder = os.environ.get("ATTENTION_PROGRESS", "").strip() or "runs"
    return None if folder.lower() == "off" else ROOT / os.path.expanduser(folder) / NAME


def note(number, passed):
    """Note that an exercise was solved or, if not ``passed``, tried. What was solved once stays solved.

    Several kernels may do so at once. A folder that cannot be written to is not an error: ``progress`` tells of it.
    """
    path = place()
    if path is None:
        return
    try:
        _check_mounted(path.parent)
        with _alone(path.parent):
            known = _entries(path)
            if known is None:
                _put_aside(path)
                known = {}
            state = SOLVED if passed or known.get(number) == SOLVED else TRIED
            if [*known.items()][-1:] == [(number, state)]:
                return
            known.pop(number, None)
            known[number] = state
            with atomic_write(path) as file:
                file.write((json.dumps(known, indent=1) + "\n").encode())
    except OSError:
        pass  # an answer is not wrong because a disk is full


def read():
    """Return what was noted: a dict such as {"8.2.1": "solved", "8.2.2": "tried"}, the exercise noted last at its end.

    It is empty where nothing was noted, and for a file that cannot be read.
    """
    path = place()
    try:
        return (path and _entries(path)) or {}
    except OSError:
        return {}


def _check_mounted(folder):
    """Raise an OSError if the place of the folder is not there, such as a drive before it is mounted."""
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {folder.parent}")


def _entries(path):
    """Return what the file holds, {} if there is none, None if it is not one of ours. Raises: OSError."""
    if not path.exists():
        return {}
    if not path.is_file() or path.stat().st_size > LARGEST:
        return None
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    ours = isinstance(data, dict) and all(NUMBER.fullmatch(k) and v in (SOLVED, TRIED) for k, v in data.items())
    return data if ours else None


def _put_aside(path):
    """Rename a file that is not one of ours, so that nothing in it is lost."""
    others = (path.with_name(f"progress-broken-{k}.json") for k in itertools.count(1))
    os.replace(path, next(other for other in others if not os.path.lexists(other)))


@contextmanager
def _alone(folder):
    """Hold a folder, so that no other kernel writes between reading and writing."""
    with ExitStack() as stack:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                stack.enter_context(locked(folder))
                break
            except RuntimeError:  # another kernel has it, or this file system has no locks: then do without
                if time.monotonic() > end:
                    break
                time.sleep(0.01)
        yield


# --- the grid -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """The exercises of one notebook. title: such as 8.2 weight sum; link: to the notebook, None if it is not there."""

    title: str
    link: str | None
    exercises: tuple


@dataclass(frozen=True)
class Grid:
    """All exercises with their states. A notebook shows it as a table of links, a terminal as text."""

    rows: tuple
    states: dict  # by number
    problem: str = ""  # why nothing can be kept, in words

    @property
    def summary(self):
        """Such as '12 of 63 solved, 3 tried'."""
        every = [self.states.get(exercise.number, OPEN) for row in self.rows for exercise in row.exercises]
        counts = dict(solved=every.count(SOLVED), total=len(every), tried=every.count(TRIED))
        return say("{solved} of {total} solved, {tried} tried", **counts)

    def go_on(self):
        """Return (Row, Exercise) to go on with, None if all are solved.

        That is the exercise noted last or, if it is solved, the next one in order that is not.
        """
        every = [(row, exercise) for row in self.rows for exercise in row.exercises]
        numbers = [exercise.number for _, exercise in every]
        last = next((number for number in reversed(self.states) if number in numbers), numbers[0])
        start = numbers.index(last)
        rest = every[start:] + every[:start]
        return next((one for one in rest if self.states.get(one[1].number) != SOLVED), None)

    def __repr__(self):
        wide = max(len(row.title) for row in self.rows)
        first = say("Exercises: {summary} ({legend})", summary=self.summary, legend=_legend(", "))
        lines = [first, *([self.problem] if self.problem else [])]
        for row in self.rows:
            lines.append("  ".join([f"{row.title:{wide}}", *(self._mark(exercise) for exercise in row.exercises)]))
        found = self.go_on()
        lines.append(f"{say('Go on here:')} {_name(found[1])}" if found else say("All are solved."))
        return "\n".join(lines)

    def _mark(self, exercise):
        return f"{SIGNS[self.states.get(exercise.number, OPEN)]} {exercise.number}"

    def _repr_html_(self):
        cell = "border:0;padding:3px 8px 3px 0;text-align:left;vertical-align:top"
        lines = [
            '<div style="max-width:60em;line-height:1.5">',
            f"<p><b>{self.summary}</b> &nbsp; {_legend(' &nbsp; ')}</p>",
            f"<p>{escape(self.problem)}</p>" if self.problem else "",
            '<table style="border-collapse:collapse;margin:0">',
        ]
        for row in self.rows:
            marks = "\n".join(self._html_mark(row, exercise) for exercise in row.exercises)
            title = _anchor(row.link, row.title)
            lines.append(f'<tr style="background:none"><th scope="row" style="{cell}">{title}</th>')
            lines.append(f'<td style="{cell}">{marks}</td></tr>')
        found = self.go_on()
        end = say("All are solved.")
        if found:
            row, exercise = found
            link = _anchor(_link_to(row, exercise), _name(exercise))
            end = f"<b>{say('Go on here:')}</b> {link}"
        lines += ["</table>", f"<p>{end}</p>", "</div>"]
        return "\n".join(filter(None, lines))

    def _html_mark(self, row, exercise):
        state = self.states.get(exercise.number, OPEN)
        style = f"color:inherit;display:inline-block;margin:1px;padding:0 5px;border-radius:3px;{STYLES[state]}"
        label = f"{_name(exercise)}: {say(state)}"
        return _anchor(_link_to(row, exercise), self._mark(exercise), style, label)


def progress():
    """Return a grid of all exercises: which are solved, tried, open, with links to their notebooks.

    As the last line of a cell it shows itself. Its links work in JupyterLab and, for a published course, on Colab.
    """
    path = place()
    problem = ""
    try:
        if path is not None:
            _check_mounted(path.parent)
            check_writable(path.parent)
    except OSError as error:
        problem = say("Your progress cannot be kept: {error}", error=error)
    return Grid(tuple(_rows()), read(), problem)


def _rows():
    """Yield a Row for each exercise notebook, in order; its link leads to the notebook in the chosen language."""
    folder_of_notebooks = ROOT / "notebooks" / ("" if language() == ENGLISH else language()) / "exercises"
    for folder in sorted(ROOT.glob("ch[0-9][0-9]/exercises")):
        by_section = {}
        for exercise in exercises(folder.parent.name[2:]).values():
            by_section.setdefault(exercise.number.rsplit(".", 1)[0], []).append(exercise)
        for section, members in by_section.items():
            chapter, part = map(int, section.split("."))
            found = folder_of_notebooks.glob(f"ch{chapter:02}_{part:02}_*.ipynb")
            path = min(found, key=lambda one: len(one.name), default=None)  # a copy has a longer name
            name = path.stem.split("_", 2)[2].replace("_", " ") if path else ""
            yield Row(f"{section} {name}".strip(), _link(path) if path else None, tuple(members))


def _link(path):
    """Return the address of a notebook: on Colab the published one, else relative to the notebook that runs."""
    if "google.colab" in sys.modules:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        repository = project["urls"]["Repository"].removeprefix("https://github.com/")
        return f"{COLAB}/{repository}/blob/main/{quote(path.relative_to(ROOT).as_posix())}"
    here = Path.cwd()
    start = here if here.is_relative_to(ROOT) else ROOT / "notebooks"
    return quote(Path(os.path.relpath(path, start)).as_posix())


def _link_to(row, exercise):
    """Return the address of an exercise: that of its notebook and, for JupyterLab, of the cell with the task in it."""
    if row.link is None or row.link.startswith(COLAB):
        return row.link
    return f"{row.link}#cell-id=spec-{exercise.number.replace('.', '-')}"


def _anchor(link, text, style="color:inherit", label=""):
    """Return a link in HTML, or only the styled text where there is nothing to link to. label: for screen readers."""
    label = f' title="{escape(label)}" aria-label="{escape(label)}"' if label else ""
    if not link:
        return f'<span style="{style}"{label}>{escape(text)}</span>'
    target = ' target="_blank"' if link.startswith(COLAB) else ""
    return f'<a href="{escape(link)}"{target} style="{style}"{label}>{escape(text)}</a>'


def _name(exercise):
    """Return the number and the title of an exercise."""
    return f"{exercise.number} {say(exercise.title)}"


def _legend(between):
    return between.join(f"{sign}\u00a0{say(state)}" for state, sign in SIGNS.items())  # a space where no line ends
