"""Submitted notebooks: which student, which notebook, and the answer cells in them. Nothing in them is run here.

A folder of submissions (or a .zip archive of one, as a learning management system makes it) holds either notebooks, or
one folder or .zip archive per student with notebooks in it, at any depth:

    submissions/ada.ipynb                            student ada; its exercises say which notebook it is
    submissions/ada__ch08_02_weight_sum.ipynb        student ada (also with one _, - or space)
    submissions/ada/ch08_02_weight_sum.ipynb         student ada
    submissions/ada/homework.ipynb                   student ada; its exercises say which notebook it is
    submissions/ada/week-8/homework.ipynb            student ada; nbgrader's layout
    submissions/ada.zip                              student ada; one notebook in it, or several
    submissions/lovelaceada_1234_56789_homework.ipynb              student lovelaceada_1234; Canvas
    submissions/Ada Lovelace_1234_assignsubmission_file/hw.ipynb   student Ada Lovelace_1234; Moodle

A notebook may also end in .IPYNB, .ipynb.txt or .ipynb.json, or be a Python file that Jupyter exported. What cannot be
read as a notebook is ignored, and a notice says which file it was and why.

Only the answer cells are taken from a submitted notebook. Whatever else a student changed in it has no effect.
"""

import functools
import json
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from common.grading import cells
from common.grading.exercise import find
from common.grading.teacher import handed_in
from common.grading.teacher.handed_in import COPY, Unreadable, spelled
from common.language import Message, gathered

MAX_CHARACTERS = 100_000  # of an answer
MAX_CELLS = 10_000  # of a notebook
MAX_NOTICES = 10  # about one student
HEADLINE = re.compile(r"\s*#+\s*Exercise\s+(\d+\.\d+\.\d+)\b", re.IGNORECASE)
# Where the headline of a cell is searched: Colab and learners put magics, titles and comments above it.
FIRST_LINES, FIRST_CHARACTERS = 10, 10_000
CELL_OF_SCRIPT = re.compile(r"# In\[[ \d]*\]:|# %%|check\(|# Exercise \d+\.\d+\.\d+[ \t]*$")


class SubmissionsError(ValueError):
    """A folder that cannot be graded as a whole; the text says what to do."""


class Ignored(ValueError):
    """A file that is not a hand-in; the text, a Message, completes a sentence that begins with "because"."""


@dataclass(frozen=True)
class Notice:
    """A Message about what was found. student: whom it concerns, if it is one."""

    text: str
    student: str = ""


@dataclass
class Collection:
    """What a folder of submissions holds: the submissions, and notices about everything that is not one of them."""

    submissions: list
    notices: list


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
    """The source of an answer cell, and what had to be repaired to find it, as Messages."""

    source: str
    repairs: list = field(default_factory=list)


@dataclass
class Submission:
    """One student's work on one notebook. problem: why the file could not be read, if so, a Message."""

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

    @functools.cached_property
    def numbers(self):
        """The number of the exercise that the cell answers, by its id or its headline, as a set (empty for none)."""
        by_id = {number for name in self.names if (number := cells.number_of({"id": name}))}
        if by_id:
            return by_id
        for line in self.source[:FIRST_CHARACTERS].splitlines()[:FIRST_LINES]:
            match = HEADLINE.match(line)
            if match and (self.kind == "code" or not line[match.end() :].strip()):  # not a heading with a title
                return {match[1]}
            if line.strip() and line.lstrip()[0] not in "#%!":
                break
        return set()


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


def collect(place, known, only=()):
    """Return the Collection in a folder or archive of submissions, sorted by student and notebook.

    Args: known, the assignments by name; only, the names of those that every student is graded for. Without it
    students are graded for the notebooks that they handed in.
    Raises: SubmissionsError for a folder that does not exist or holds no notebook, and for an unknown name.
    """
    place, only = Path(place), tuple(dict.fromkeys(only))
    for name in only:
        if name not in known:
            raise SubmissionsError(f"no notebook {name!r}; there are {', '.join(known)}")
    if not place.is_dir() and not (place.is_file() and place.suffix.lower() == ".zip"):
        raise SubmissionsError(f"{place} is not a folder of submissions, nor a .zip archive of one")
    try:
        students, notices = _read(place, known)
    except (OSError, Unreadable) as error:
        raise SubmissionsError(f"{place} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not any(students.values()):
        said = "".join(f"\n{notice.text}" for notice in notices[:20])
        raise SubmissionsError(f"no notebook (*.ipynb) in {place}, nor in the folders of students in it{said}")
    fallback = _most_common(students, known, only)
    submissions = []
    for student, works in students.items():
        for work in works:
            work.name = work.name or fallback
        for name in only or sorted({work.name for work in works} or {fallback}):
            mine = [work for work in works if work.name == name]
            submissions.append(_submission(student, known[name], mine, works, notices))
        if only:
            left = [work for work in works if work.name not in only]
            why = [Message("it belongs to {name}, which is not graded now", name=work.name) for work in left]
            notices += map(_ignored, (work.file for work in left), why)
    notices = [*_without_floods(notices), *_alike(students)]
    return Collection(sorted(submissions, key=lambda s: (s.student, s.assignment.name)), notices)


def _without_floods(notices):
    """Return the notices; of those about one student the first, and how many there are besides."""
    by_student = {}
    for notice in notices:
        by_student.setdefault(notice.student, []).append(notice)
    kept = []
    for student, mine in by_student.items():
        kept += mine[:MAX_NOTICES]
        if len(mine) > MAX_NOTICES:
            more = len(mine) - MAX_NOTICES
            kept.append(
                Notice(Message("ignored: {count:,} more files of {student}", count=more, student=student), student)
            )
    return kept


@dataclass
class _Work:
    """A file that counts as handed in. name: of its assignment, None if nothing tells; elsewhere: numbers in it."""

    file: object
    name: str | None = None
    answers: dict = field(default_factory=dict)
    elsewhere: tuple = ()
    problem: str = ""


def _read(place, known):
    """Return (the works of each student, notices)."""
    students, notices, read = {}, [], Counter()
    for file in handed_in.files(place, known):
        if "/" in file.path:  # the student has a folder or an archive, so they are known even if nothing can be read
            students.setdefault(file.student, [])
        if file.read is None:
            continue
        work = _Work(file)
        try:
            content = _content(file, read)
            work.name = _named(file.stem, known, content)
            work.answers = answers(content, known[work.name]) if work.name else {}
            work.elsewhere = tuple(sorted({number for cell in content for number in cell.numbers}))
        except Ignored as error:
            notices.append(_ignored(file, error.args[0]))
            continue
        except Unreadable as error:
            work.problem = error.args[0]
            work.name = _named(file.stem, known, [])
        students.setdefault(file.student, []).append(work)
    return students, notices


def _ignored(file, why):
    return Notice(Message("ignored: {file}, because {why}", file=file.path, why=why), file.student)


def _content(file, read):
    """Return the cells of a file. Args: read, a Counter of the bytes that were read of each student.

    Raises: Unreadable; Ignored for what is not meant to be a notebook.
    """
    if file.name.startswith("."):
        raise Ignored(Message("its name begins with a dot"))
    if file.ending in (".gz", ".tgz", ".tar", ".rar", ".7z", ".xz", ".bz2"):
        raise Ignored(Message("only .zip archives are opened"))
    # An archive, or a folder, which has no name, is here only if it could not be opened: reading it says why.
    if file.name and file.ending not in (".ipynb", ".zip", ".py", ".txt", ".json"):
        raise Ignored(Message("it is not a notebook (.ipynb)"))
    if read[file.student] > handed_in.MAX_OF_STUDENT:
        most = handed_in.MAX_OF_STUDENT / handed_in.MB
        raise Unreadable(Message("The files before it have {most:.0f} MB already.", most=most))
    try:
        data = file.read()
        read[file.student] += len(data)
        content = cells_of_script(_text(data)) if file.ending == ".py" else cells_of_notebook(_text(data))
    except Unreadable as error:
        if file.ending == ".py":
            raise Ignored(_continued(error.args[0])) from None
        if file.ending in (".txt", ".json"):
            raise Ignored(Message("it is not a notebook (.ipynb)")) from None
        raise
    if file.ending == ".py" and not any(cell.numbers for cell in content):
        raise Ignored(Message("no line in it begins an answer, such as '# Exercise 8.2.1'"))
    return content


def _continued(sentence):
    """Return a sentence, a Message, as the end of another one."""
    return sentence.written(sentence[:1].lower() + sentence[1:].rstrip("."))


def _named(stem, known, content):
    """Return the assignment a file belongs to, by its name or else by its answer cells; None if neither tells."""
    for name in sorted(known, key=len, reverse=True):
        if re.fullmatch(rf"(?:.+[_ -])?{spelled(name)}{COPY}", stem):
            return name
    found = {number for cell in content for number in cell.numbers}
    counts = {name: len(found & set(assignment.numbers)) for name, assignment in known.items()}
    best = max(counts, key=counts.get)
    return best if counts[best] else None


def _most_common(students, known, only):
    named = [work.name for works in students.values() for work in works]
    counts = Counter(name for name in named if name and (not only or name in only))
    if counts:
        return min(counts, key=lambda name: (-counts[name], name))
    return (list(only) or list(known))[0]


def _submission(student, assignment, works, all_works, notices):
    """Return one student's submission: the best of their files for this notebook. A notice is added for each other."""
    submission = Submission(student, assignment)
    if not works:
        said = [Message("No notebook was handed in for this.")]
        others = sorted({work.name for work in all_works})
        if others:
            said.append(Message("Handed in: {notebooks}.", notebooks=", ".join(others)))
        about = [notice.text for notice in notices if notice.student == student]
        if about and not others:
            text = "; ".join(about[:3])
            said.append(gathered(about[:3]).written(f"{text[:1].upper()}{text[1:]}."))
        submission.problem = gathered(said)
        return submission
    released = {number: cell.source for cell in assignment.notebook.cells if (number := cells.number_of(cell))}

    def rank(work):
        changed = sum(answer.source.strip() != released[n].strip() for n, answer in work.answers.items())
        file = work.file
        return bool(work.problem), -changed, -len(work.answers), file.stem != assignment.name, file.path

    best, *others = sorted(works, key=rank)
    notes = []
    if others:
        graded = best.file.path.partition("/")[2] or best.file.path
        counted = dict(count=len(works), file=graded)
        notes.append(Message("{count} files were handed in for this notebook; graded: {file}.", **counted))
        for work in others:
            counts = dict(file=best.file.path, notebook=assignment.name)
            why = work.problem or Message("{file} is graded for {notebook}", **counts)
            notices.append(_ignored(work.file, _continued(why)))
    submission.problem, submission.answers = best.problem, best.answers
    if not best.problem and best.file.ending == ".py":
        notes.append(Message("Read from a Python file, which keeps no ids."))
        for answer in submission.answers.values():
            answer.repairs = []
    if not best.problem and not best.answers and best.elsewhere:
        numbers = ", ".join(best.elsewhere)
        notes.append(Message("The file holds exercises of another notebook: {numbers}.", numbers=numbers))
    submission.note = gathered(notes)
    return submission


def _alike(students):
    """Return notices about names that are easily taken for each other: each of them is graded alone."""
    groups = {}
    for student in students:
        groups.setdefault(unicodedata.normalize("NFC", student).casefold(), []).append(student)
    notices = []
    for group in groups.values():
        if len(group) > 1:
            same = len({unicodedata.normalize("NFC", student) for student in group}) < len(group)
            told = dict(names=" and ".join(map(ascii if same else repr, group)), count=len(group))
            said = Message(
                "alike: the students {names} look the same but are written with different characters; they are graded "
                "as {count} students",
                **told,
            )
            if not same:
                said = Message(
                    "alike: the students {names} differ in case only; they are graded as {count} students", **told
                )
            notices.append(Notice(said))
    return notices


def _text(data):
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable(Message("The file is not a notebook: its text is not UTF-8.")) from None


def _too_many(count):
    return Message("The file has {count:,} cells, more than {most:,}.", count=count, most=MAX_CELLS)


def cells_of_notebook(text):
    """Return the cells in the text of a notebook. Raises: Unreadable."""
    if not text.strip():
        raise Unreadable(Message("The file is empty."))
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable(Message("The file is not a notebook: its JSON is broken.")) from None
    found = data.get("cells") if isinstance(data, dict) else None
    if found is None and isinstance(data, dict) and isinstance(data.get("worksheets"), list):  # before nbformat 4
        found = [c for sheet in data["worksheets"] if isinstance(sheet, dict) for c in sheet.get("cells") or []]
    if not isinstance(found, list):
        raise Unreadable(Message("The file is not a notebook: it has no cells."))
    if len(found) > MAX_CELLS:
        raise Unreadable(_too_many(len(found)))
    return [cell for cell in map(_cell, found) if cell]


def cells_of_script(text):
    """Return the cells in a Python file that Jupyter, Colab or an editor made of a notebook."""
    sources = [[]]
    for line in re.split(r"\r\n?|\n", text):
        if CELL_OF_SCRIPT.match(line):
            sources.append([])
        sources[-1].append(line)
    if len(sources) > MAX_CELLS:
        raise Unreadable(_too_many(len(sources)))
    return [_Cell("code", "\n".join(lines).strip("\n"), set()) for lines in sources]


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


def _defines(source, name):
    """Whether a cell sets ``name``, as far as its text tells."""
    return bool(re.search(rf"^[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+{name}\b|^[ \t]*{name}[ \t]*=", source, re.M))


def answers(content, assignment):
    """Return the answers in a notebook's cells, by number, with what had to be repaired."""
    released = {number: cell.source for cell in assignment.notebook.cells if (number := cells.number_of(cell))}
    checks = {n: cell.source for cell in assignment.notebook.cells if (n := cells.number_of(cell, "check"))}
    found = {}
    for number in assignment.numbers:
        places = [k for k, cell in enumerate(content) if number in cell.numbers]
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
            count = len(changed)
            if wanted in cell.names:
                repairs.append(Message("{count} cells answer this exercise (the one at its place counts)", count=count))
            else:
                repairs.append(Message("{count} cells answer this exercise (the last one counts)", count=count))
        if cell.kind != "code":
            repairs.append(Message("the answer was in a {kind} cell", kind=cell.kind or Message("nameless")))
        if wanted not in cell.names:
            repairs.append(Message("the answer cell was found by its headline"))
        source = cell.source
        if len(source) > MAX_CHARACTERS:
            source = f"raise ValueError('the answer has more than {MAX_CHARACTERS:,} characters')"
        repairs += _check_repairs(content, number, checks[number], place)
        found[number] = Answer(source, repairs)
    return found


def _check_repairs(content, number, released, answer_place):
    """Return as Messages what happened to a check cell. It has no effect: the grader replaces it with its own."""
    wanted = cells.cell_id("check", number)
    places = [k for k, cell in enumerate(content) if wanted in cell.names]
    if not places:
        calls = re.compile(rf"^[ \t]*check\([ \t]*['\"]{re.escape(number)}['\"]", re.M)
        places = [k for k, cell in enumerate(content) if cell.kind == "code" and calls.search(cell.source)]
    if not places:
        return [Message("the check cell was missing")]
    first = content[places[0]]
    repairs = []
    if len(places) > 1:
        repairs.append(Message("the check cell was there {count} times", count=len(places)))
    if first.kind != "code":
        repairs.append(Message("the check cell was not a code cell"))
    elif first.source.strip() != released.strip():
        repairs.append(Message("the check cell had been changed"))
    if places[-1] < answer_place:
        repairs.append(Message("the check cell was before the answer"))
    return repairs
