"""The report on a graded folder: scores.csv, junit.xml, a page for each student, a summary page.

Names and messages come from students, so everything is escaped for the format it goes into. Nothing in the report
depends on when or where it was made: the same seed and submissions give the same bytes.
"""

import contextlib
import csv
import hashlib
import io
import os
import re
import shutil
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import psutil

from common.grading.teacher.pages import MARKER, index_page, printable, student_page
from common.language import ENGLISH, language, say

HEADER = ["student", "notebook", "exercise", "status", "points", "max_points", "message"]
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins with one of these
AT_WORK = ".grading-"  # begins the name of a folder that says which process is about to write a report here
NOT_OURS = {"lost+found", ".DS_Store", "desktop.ini"}  # systems put these into folders; they stay there


class ReportError(ValueError):
    """A place where a report cannot be written; the text says what to do."""


def check_place(out, submissions):
    """Raise a ReportError if a report cannot go to ``out``: before the work, not after it."""
    out, submissions = Path(out), Path(submissions).resolve()
    if out.resolve() == submissions or submissions in out.resolve().parents:
        raise ReportError(f"{out} is inside the submissions; choose another folder for the report")
    if out.resolve() in submissions.parents:
        raise ReportError(f"{out} contains the submissions; choose another folder for the report")
    try:
        if out.is_symlink() or (out.exists() and not out.is_dir()):
            raise ReportError(f"{out} exists and is not a folder")
        if out.is_dir() and _content(out) and not _is_report(out):
            raise ReportError(f"{out} exists and contains something other than a report; choose another folder")
        made = _make(out)
        tempfile.TemporaryFile(dir=out).close()
        if made:
            out.rmdir()
    except OSError as error:
        raise ReportError(f"a report cannot be written to {out}: {error.strerror}") from None


def _content(folder):
    """Return what lies in a folder and is of interest."""
    return [path for path in folder.iterdir() if path.name not in NOT_OURS and not path.name.startswith(AT_WORK)]


def _is_report(folder):
    index = folder / "index.html"
    return index.is_file() and MARKER in index.read_text(encoding="utf-8", errors="replace")[:500]


def _make(folder):
    """Make a folder; return whether it was not there before."""
    there = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    return not there


class Place:
    """Where the report goes, claimed for as long as the context lasts, so that a second grading keeps away from it.

    ``write`` puts the report there, or elsewhere if that is not possible: graded work is never lost.
    """

    def __init__(self, out):
        self.out = Path(out).resolve()  # the current folder may change
        self.why_not = ""  # why the report will not go to ``out``

    def __enter__(self):
        self.made = _make(self.out)
        self.claim = _claim(self.out)
        for other in self.out.glob(f"{AT_WORK}*"):
            found = re.fullmatch(r"\.grading-(\d+)-(\d+)-\w+", other.name)
            if not found or other == self.claim:
                continue
            if str(_begun(int(found[1]))) == found[2]:
                self.why_not = f"another grading, process {found[1]}, is about to write to {self.out}"
            else:  # left by a process that was killed
                shutil.rmtree(other, ignore_errors=True)
        self.before = self._state()
        return self

    def __exit__(self, *error):
        shutil.rmtree(self.claim, ignore_errors=True)
        if self.made:
            with contextlib.suppress(OSError):  # a report lies there
                self.out.rmdir()

    def _state(self):
        """Return something that differs when another report has been written."""
        try:
            status = (self.out / "index.html").stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def write(self, *report, whole=True):
        """Write a report; return (the folder in which it lies, why it is not the one that was asked for, or "").

        Args: report, see ``write``; whole, whether all was graded: what is not takes no other report's place.
        Raises: OSError if there is no place at all for it.
        """
        why = self.why_not
        if not why and self._state() != self.before:
            why = f"another grading has written a report to {self.out}"
        if not why and not whole and self.before:
            why = f"{self.out} holds an earlier report"
        if not why:
            try:
                write(self.out, *report)
                return self.out, ""
            except OSError as error:
                why = f"it cannot be written to {self.out}: {error.strerror or error}"
        last = OSError(why)
        for place in self._others():
            try:
                write(place, *report)
                return place, why
            except OSError as error:
                last = error
                with contextlib.suppress(OSError):
                    place.rmdir()
        raise last

    def _others(self):
        """Make and yield new folders: beside the one asked for, here, at home, among temporary files."""
        for folder in (self.out.parent, Path.cwd(), Path.home(), Path(tempfile.gettempdir())):
            for k in range(2, 1000):
                place = folder / f"{self.out.name or 'report'}-{k}"
                try:
                    place.mkdir()
                except FileExistsError:
                    continue
                except OSError:
                    break
                yield place
                break


def _claim(folder):
    """Make a folder within a folder that says, by its name, which process is at work there; return its path."""
    return Path(tempfile.mkdtemp(prefix=f"{AT_WORK}{os.getpid()}-{_begun(os.getpid())}-", dir=folder))


def _begun(pid):
    """Return when a process began, None if it does not run: numbers of processes are used again."""
    try:
        return int(psutil.Process(pid).create_time())
    except (psutil.Error, ValueError, OverflowError):
        return None


def write(out, rows, seed, isolation, notices=(), chosen=ENGLISH):
    """Write the whole report to the folder ``out``, or nothing; an older report there is replaced.

    The pages are in the chosen language, ``scores.csv`` and ``junit.xml`` in English. Other files there stay.
    Everything is written within ``out``, so it may be a mount point. Raises: OSError.
    """
    out = Path(out)
    made = _make(out)
    work = None
    try:
        work = _claim(out)
        new, old = work / "new", work / "old"
        (new / "students").mkdir(parents=True)
        old.mkdir()
        _text(new / "scores.csv", scores(rows))
        _text(new / "junit.xml", junit(rows))
        pages = page_names(rows)
        by_student = {student: [] for student in pages}
        for row in rows:
            by_student[row.student].append(row.translated or row)
        language(chosen)
        for student, name in pages.items():
            mine = [say(notice.text) for notice in notices if notice.student == student]
            _text(new / "students" / name, student_page(student, by_student[student], mine))
        shown = [row.translated or row for row in rows]
        said = [say(notice.text) for notice in notices]
        _text(new / "index.html", index_page(shown, pages, seed, isolation, said))
        _exchange(new, out, old)
    except BaseException:
        if made:
            shutil.rmtree(out, ignore_errors=True)
        raise
    finally:
        language(ENGLISH)
        if work:
            shutil.rmtree(work, ignore_errors=True)


def _exchange(new, out, old):
    """Move everything from ``new`` to ``out``, and what was there to ``old``; if that fails, undo it."""
    moved = []
    try:
        for path in sorted(new.iterdir()):
            if (out / path.name).exists():
                os.replace(out / path.name, old / path.name)
                moved.append((old / path.name, out / path.name))
            os.replace(path, out / path.name)
            moved.append((out / path.name, path))
    except OSError:  # on Windows: a spreadsheet has scores.csv open
        for now, before in reversed(moved):
            os.replace(now, before)
        raise


def _text(path, text):
    path.write_text(text, encoding="utf-8", newline="\n")


def scores(rows):
    """Return scores.csv as text."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    for row in rows:
        exercise = row.exercise
        values = [row.student, row.notebook, exercise.number, row.status, row.shown_points]
        writer.writerow([_cell(value) for value in [*values, f"{exercise.points:g}", row.message]])
    return file.getvalue()


def _cell(value):
    """Return a value as one line that no spreadsheet mistakes for a formula."""
    guard = "'" if value.startswith(FORMULA) else ""
    return guard + printable(value)


def _for_xml(text):
    """Return text without the characters that XML forbids."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


def junit(rows):
    """Return junit.xml as text."""
    suites = ET.Element("testsuites", name="exercises")
    groups = {}
    for row in rows:
        groups.setdefault((row.student, row.notebook), []).append(row)
    for (student, notebook), group in groups.items():
        failures = sum(row.status in ("partial", "fail", "missing") for row in group)
        errors = sum(row.status in ("error", "timeout", "crashed", "infra") for row in group)
        counts = {"tests": str(len(group)), "failures": str(failures), "errors": str(errors)}
        suite = ET.SubElement(suites, "testsuite", name=_for_xml(f"{student}: {notebook}"), **counts)
        for row in group:
            name = f"{row.exercise.number} {row.exercise.title}"
            case = ET.SubElement(suite, "testcase", classname=_for_xml(f"{student}.{notebook}"), name=_for_xml(name))
            if row.status != "pass":
                kind = "failure" if row.status in ("partial", "fail", "missing") else "error"
                said = _for_xml(f"{row.shown_points or 'no'} of {row.exercise.points:g} points. {row.message}")
                ET.SubElement(case, kind, type=row.status, message=said)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def page_names(rows):
    """Return a file name for each student's page: safe characters, and different names on every file system."""
    names, taken = {}, set()
    for student in dict.fromkeys(row.student for row in rows):
        safe = re.sub(r"[^A-Za-z0-9_-]+", "_", student)[:60]
        if safe != student or safe.lower() in taken or not safe.strip("_-"):
            safe += "-" + hashlib.sha256(student.encode("utf-8", "replace")).hexdigest()[:8]
        taken.add(safe.lower())
        names[student] = safe + ".html"
    return names
