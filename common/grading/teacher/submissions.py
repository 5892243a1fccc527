"""Submitted notebooks: which student, which notebook, and the answer cells in them. Nothing in them is run here.

A folder of submissions holds either notebooks, or one folder per student with notebooks in it:

    submissions/ada.ipynb                            student ada; its exercises say which notebook it is
    submissions/ada__ch08_02_weight_sum.ipynb       student ada (also with one _, - or space)
    submissions/ada/ch08_02_weight_sum.ipynb         student ada
    submissions/ada/homework.ipynb                   student ada; its exercises say which notebook it is

Only the answer cells are taken from a submitted notebook. Whatever else a student changed in it has no effect.
"""

import json
import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from common.grading import cells
from common.grading.exercise import find

MAX_BYTES = 20_000_000  # of a notebook
MAX_CHARACTERS = 100_000  # of an answer
MAX_CELLS = 10_000  # of a notebook
HEADLINE = re.compile(r"\s*#+\s*Exercise\s+(\d+\.\d+\.\d+)\b", re.IGNORECASE)
FIRST_LINES = 10  # among which the headline is searched: Colab and learners put magics, titles and comments above it
COPY = r"(?:[ _-]*\(\d+\)|[ _-]*[Cc]opy\d*)?"  # what browsers and JupyterLab add to the name of a copy


class SubmissionsError(ValueError):
    """A folder that cannot be graded as a whole; the text says what to do."""


class Unreadable(ValueError):
    """A submitted file that cannot be read; the text is for the student."""


@dataclass(frozen=True)
class Assignment:
    """A released notebook and its exercises."""

    name: str
    notebook: object  # NotebookNode
    exercises: tuple

    @property
    def numbers(self):
        """The numbers of the exercises in order."""
        return [exercise.number for exercise in self.exercises]


@dataclass
class Answer:
    """The source of an answer cell, and what had to be repaired to find it."""

    source: str
    repairs: list = field(default_factory=list)


@dataclass
class Submission:
    """One student's work on one notebook. problem: why the file could not be read, if so."""

    student: str
    assignment: Assignment
    answers: dict = field(default_factory=dict)  # number -> Answer
    problem: str = ""
    note: str = ""  # added to the message of every row


@dataclass
class _Cell:
    kind: str
    source: str
    names: set  # ids


def assignments(solutions):
    """Return the released notebooks that a folder of solution notebooks makes, by name.

    Raises: SubmissionsError if the folder has none; NotebookError for one that cannot be released.
    """
    found = {}
    for path in sorted(Path(solutions).glob("*.ipynb")):
        try:
            notebook = cells.release(nbformat.read(str(path), as_version=4))
        except cells.NotebookError as error:
            raise cells.NotebookError(f"{path.name}: {error}") from None
        numbers = cells.numbers(notebook)
        found[path.stem] = Assignment(path.stem, notebook, tuple(find(number) for number in numbers))
    if not found:
        raise SubmissionsError(f"no solution notebooks in {solutions}")
    return found


def collect(folder, known, only=()):
    """Return the submissions in a folder, sorted by student and notebook.

    Args: known, the assignments by name; only, the names of those that every student is graded for. Without it
    students are graded for the notebooks that they handed in.
    Raises: SubmissionsError for a folder that does not exist or holds no notebook, and for an unknown name.
    """
    folder = Path(folder)
    for name in only:
        if name not in known:
            raise SubmissionsError(f"no notebook {name!r}; there are {', '.join(known)}")
    if not folder.is_dir():
        raise SubmissionsError(f"{folder} is not a folder of submissions")
    files = _files(folder, known)
    if not files:
        raise SubmissionsError(f"no notebook (*.ipynb) in {folder}, nor in the folders of students in it")
    read = [(student, path, *_read(path)) for student, path in files]
    named = [_named(path, known, content) for _, path, content, _ in read]
    fallback = _most_common(named, known, only)
    by_student = {}
    for (student, path, content, problem), name in zip(read, named, strict=True):
        by_student.setdefault(student, []).append((path, content, problem, name or fallback))
    submissions = []
    for student, handed_in in by_student.items():
        for name in only or sorted({name for *_, name in handed_in}):
            mine = [one for one in handed_in if one[3] == name]
            submissions.append(_submission(student, known[name], mine, handed_in))
    return sorted(submissions, key=lambda s: (s.student, s.assignment.name))


def _files(folder, known):
    """Return (student, path) for every notebook, and for every student's folder without one."""
    files = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__MACOSX":  # what operating systems leave in an archive
            continue
        if path.suffix == ".ipynb":
            files.append((_student(path.stem, known), path))
        elif path.is_symlink() and path.is_dir():
            files.append((readable(path.name), path))  # it may lead anywhere; reading it will report that
        elif path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix == ".ipynb" and not p.name.startswith("."))
            files += [(readable(path.name), notebook) for notebook in inside] or [(readable(path.name), None)]
    if all(path is None for _, path in files):
        return []
    return files


def _student(stem, known):
    for name in known:
        match = re.fullmatch(rf"(.+?)[_ -]+{_spelled(name)}{COPY}", stem)
        if match:
            return readable(match[1])
    return readable(stem)


def _spelled(name):
    """Return a pattern for a notebook's name, or the one it once had: ch08_2_weight_sum for ch08_02_weight_sum."""
    return re.sub(r"_0(?=\d_)", "_0?", re.escape(name))


def readable(name):
    """Return a file name as text that can be written: bytes that are not UTF-8 are spelled out, as \\xf6."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _named(path, known, content):
    """Return the assignment a file belongs to, by its name or else by its answer cells; None if neither tells."""
    if path is None:
        return None
    for name in sorted(known, key=len, reverse=True):
        if re.fullmatch(rf"(?:.+[_ -])?{_spelled(name)}{COPY}", path.stem):
            return name
    found = {number for cell in content for number in _numbers(cell)}
    counts = {name: len(found & set(assignment.numbers)) for name, assignment in known.items()}
    best = max(counts, key=counts.get)
    return best if counts[best] else None


def _most_common(named, known, only):
    counts = Counter(name for name in named if name and (not only or name in only))
    if counts:
        return min(counts, key=lambda name: (-counts[name], name))
    return (list(only) or list(known))[0]


def _submission(student, assignment, files, handed_in):
    """Read one student's answers from the best of their files for this notebook."""
    submission = Submission(student, assignment)
    files = [one for one in files if one[0] is not None]
    if not files:
        others = sorted({name for path, _, _, name in handed_in if path is not None})
        submission.problem = "No notebook was handed in for this."
        if others:
            submission.problem += f" Handed in: {', '.join(others)}."
        return submission
    files.sort(key=lambda one: (bool(one[2]), one[0].stem != assignment.name, one[0].name))
    path, content, problem, _ = files[0]
    if len(files) > 1:
        submission.note = f"{len(files)} files were handed in for this notebook; graded: {readable(path.name)}."
    if problem:
        submission.problem = problem
        return submission
    submission.answers = answers(content, assignment)
    if not submission.answers:
        elsewhere = sorted({number for cell in content for number in _numbers(cell)})
        if elsewhere:
            submission.note += f" The file holds exercises of another notebook: {', '.join(elsewhere)}."
    return submission


def _read(path):
    """Return (cells, problem) of a file."""
    if path is None:
        return [], ""
    try:
        return read_cells(path), ""
    except Unreadable as error:
        return [], str(error)


def read_cells(path):
    """Return the cells of a submitted notebook. Raises: Unreadable."""
    text = _text(path)
    if not text.strip():
        raise Unreadable("The file is empty.")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("The file is not a notebook: its JSON is broken.") from None
    found = data.get("cells") if isinstance(data, dict) else None
    if found is None and isinstance(data, dict) and isinstance(data.get("worksheets"), list):  # before nbformat 4
        found = [c for sheet in data["worksheets"] if isinstance(sheet, dict) for c in sheet.get("cells") or []]
    if not isinstance(found, list):
        raise Unreadable("The file is not a notebook: it has no cells.")
    if len(found) > MAX_CELLS:
        raise Unreadable(f"The file has {len(found):,} cells, more than {MAX_CELLS:,}.")
    return [cell for cell in map(_cell, found) if cell]


def _text(path):
    if path.is_symlink():
        raise Unreadable("The file is a symbolic link. Hand in the notebook itself.")
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("This is not a regular file.")
            if status.st_size > MAX_BYTES:
                size, most = status.st_size / 1e6, MAX_BYTES / 1e6
                raise Unreadable(f"The file has {size:.0f} MB, more than {most:.0f} MB. Clear its outputs.")
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"The file cannot be read: {error.strerror}.") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("The file is not a notebook: its text is not UTF-8.") from None


def _cell(data):
    """Return a _Cell with its source as one text, None for anything malformed."""
    if not isinstance(data, dict):
        return None
    source = data.get("source", data.get("input", ""))
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        return None
    source = source.encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair cannot be written
    metadata = data.get("metadata")
    names = [data.get("id"), metadata.get("id") if isinstance(metadata, dict) else None]  # Colab keeps it there
    kind = data.get("cell_type")
    return _Cell(kind if isinstance(kind, str) else "", source, {name for name in names if isinstance(name, str)})


def _numbers(cell):
    """Return the number of the exercise that a cell answers, by its id or its headline, as a set (empty for none)."""
    by_id = {number for name in cell.names if (number := cells.number_of({"id": name}))}
    if by_id:
        return by_id
    for line in cell.source.splitlines()[:FIRST_LINES]:
        match = HEADLINE.match(line)
        if match and (cell.kind == "code" or not line[match.end() :].strip()):  # not a heading with a title
            return {match[1]}
        if line.strip() and line.lstrip()[0] not in "#%!":
            break
    return set()


def _defines(source, name):
    """Whether a cell sets ``name``, as far as its text tells."""
    return bool(re.search(rf"^[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+{name}\b|^[ \t]*{name}[ \t]*=", source, re.M))


def answers(content, assignment):
    """Return the answers in a notebook's cells, by number, with what had to be repaired."""
    released = {number: cell.source for cell in assignment.notebook.cells if (number := cells.number_of(cell))}
    checks = {n: cell.source for cell in assignment.notebook.cells if (n := cells.number_of(cell, "check"))}
    found = {}
    for number in assignment.numbers:
        places = [k for k, cell in enumerate(content) if number in _numbers(cell)]
        if not places:
            continue
        # An unchanged copy of the released cell is not an answer, nor is a note or a trial below the answer. Of the
        # cells that define what is asked for, the released one counts, else the last one, as in a kernel.
        name, wanted = find(number).name, cells.cell_id("answer", number)
        places = [k for k in places if _defines(content[k].source, name)] or places
        changed = [k for k in places if content[k].source.strip() != released[number].strip()] or places
        place = ([k for k in changed if wanted in content[k].names] or changed)[-1]
        cell, repairs = content[place], []
        if len(changed) > 1:
            which = "the one at its place" if wanted in cell.names else "the last one"
            repairs.append(f"{len(changed)} cells answer this exercise ({which} counts)")
        if cell.kind != "code":
            repairs.append(f"the answer was in a {cell.kind or 'nameless'} cell")
        if wanted not in cell.names:
            repairs.append("the answer cell was found by its headline")
        source = cell.source
        if len(source) > MAX_CHARACTERS:
            source = f"raise ValueError('the answer has more than {MAX_CHARACTERS:,} characters')"
        repairs += _check_repairs(content, number, checks[number], place)
        found[number] = Answer(source, repairs)
    return found


def _check_repairs(content, number, released, answer_place):
    """Return in words what happened to a check cell. It has no effect: the grader replaces it with its own."""
    wanted = cells.cell_id("check", number)
    places = [k for k, cell in enumerate(content) if wanted in cell.names]
    if not places:
        calls = re.compile(rf"^[ \t]*check\([ \t]*['\"]{re.escape(number)}['\"]", re.M)
        places = [k for k, cell in enumerate(content) if cell.kind == "code" and calls.search(cell.source)]
    if not places:
        return ["the check cell was missing"]
    first = content[places[0]]
    repairs = []
    if len(places) > 1:
        repairs.append(f"the check cell was there {len(places)} times")
    if first.kind != "code":
        repairs.append("the check cell was not a code cell")
    elif first.source.strip() != released.strip():
        repairs.append("the check cell had been changed")
    if places[-1] < answer_place:
        repairs.append("the check cell was before the answer")
    return repairs
