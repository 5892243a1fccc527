"""What students handed in: the files in a folder of submissions and in .zip archives, and whose they are.

Nothing is unpacked to the disk. A name in an archive is only text, so it cannot lead anywhere, and no more is read of a
file than it may hold, whatever the archive says of its size.
"""

import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.language import Message

MB = 1_000_000
MAX_BYTES = 20 * MB  # of a notebook
MAX_ARCHIVE = 100 * MB  # of a .zip archive
MAX_DIRECTORY = 1 * MB  # of an archive's list of its files
MAX_OF_STUDENT = 100 * MB  # read of one student's files
MAX_FILES = 1000  # of one student
MAX_DEPTH = 12  # folders within folders
MAX_NAME = 255  # characters of a name that are looked at
QUIET = {"__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini", "timestamp.txt"}  # of systems, archives and nbgrader
COPY = r"(?:[ _-]*\(\d+\)|[ _-]*[Cc]opy\d*|-\d+){0,3}"  # what browsers, JupyterLab and Canvas add to a copy's name
MOODLE = re.compile(r"(.+?_\d+)_assignsubmission_(?:file|onlinetext)(?:_(.*))?")
CANVAS = re.compile(r"(.+?)(?:_LATE)?_(\d{3,})_\d{5,}_(.+)")  # name, number of the person, of the file; file
ENDING = re.compile(r"\.(?:ipynb|py)\.(?:txt|json|zip)$|\.\w{1,8}$", re.IGNORECASE)


class Unreadable(ValueError):
    """A submitted file that cannot be read; the text, a Message, is for the student."""


@dataclass(frozen=True)
class File:
    """A file that a student handed in.

    path: where it lies in the folder of submissions, to be shown; an archive counts as a folder. name: the file's own,
    without what a learning management system wrote in front. read: returns its bytes, at most as many as it is given,
    or raises Unreadable. None for a student's folder in which nothing lies.
    """

    student: str
    path: str
    name: str
    read: Callable | None

    @property
    def stem(self):
        """The name without its ending."""
        return ENDING.sub("", self.name)

    @property
    def ending(self):
        """The ending in small letters, such as .ipynb or .py; of x.ipynb.txt it is .ipynb."""
        found = ENDING.search(self.name)
        return re.sub(r"(?<=.)\.(?:txt|json)$|.*(?=\.zip$)", "", found[0].lower()) if found else ""


def readable(name):
    """Return a file name as text that can be written: bytes that are not UTF-8 are spelled out, as \\xf6."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def spelled(name):
    """Return a pattern for a notebook's name, or the one it once had: ch08_2_weight_sum for ch08_02_weight_sum."""
    return re.sub(r"_0(?=\d_)", "_0?", re.escape(name))


def files(place, known):
    """Yield a File for everything that was handed in, in order.

    Args: place, a folder of submissions or a .zip archive of one; known, the names of notebooks, which are no part of
    a student's name. Raises: OSError if the folder itself cannot be read; Unreadable for an archive that is none.
    """
    place = Path(place)
    if place.is_dir():
        pairs = _in_folder(_entered(place))
    else:
        pairs = _without_top(place.stem, _in_archive(_archive(place)))
    counts = {}
    for parts, read in _opened(pairs):
        student, name = _whose(parts, known)
        counts[student] = counts.get(student, 0) + 1
        if counts[student] <= MAX_FILES:
            yield File(student, "/".join(parts), name, read)
        elif counts[student] == MAX_FILES + 1:
            yield File(
                student,
                f"{parts[0]}/...",
                "",
                _refused(Message("There are more than {count:,} files.", count=MAX_FILES)),
            )


def _quiet(name):
    """Whether a name is of no interest: what systems leave behind, and hidden files that are not notebooks."""
    hidden = name.startswith(".") and not (name.endswith(".ipynb") and not name.startswith("._"))
    return hidden or name in QUIET


def _refused(why):
    """Return a reader that raises Unreadable. Args: why, a Message."""

    def read(most=MAX_BYTES):
        raise Unreadable(why)

    return read


# --- folders ---------------------------------------------------------------------------------------------------


def _entered(folder):
    """Return the folder in which the students' folders lie: nbgrader's ``submitted``, or one of the same name."""
    inside = [path for path in folder.iterdir() if not _quiet(path.name)]
    if len(inside) == 1 and inside[0].name in ("submitted", folder.name) and inside[0].is_dir():
        return inside[0]
    return folder


def _in_folder(folder, above=()):
    """Yield (parts of the path, reader) for every file, and for a folder that is empty or cannot be read.

    A folder's last part is empty; the reader of an empty one is None.
    """
    empty = True
    for path in sorted(folder.iterdir()):
        if _quiet(path.name):
            continue
        parts, empty = (*above, readable(path.name)), False
        if path.is_symlink() and path.is_dir():
            yield (*parts, ""), _reader(path)  # it may lead anywhere; reading it will report that
        elif not path.is_dir():
            yield parts, _reader(path)
        elif len(parts) > MAX_DEPTH:
            yield (*parts, ""), _refused(Message("The folder lies more than {depth} folders deep.", depth=MAX_DEPTH))
        else:
            try:
                yield from _in_folder(path, parts)
            except OSError as error:
                yield (*parts, ""), _refused(Message("The folder cannot be read: {error}.", error=error.strerror))
    if empty and above and above[-1].lower().endswith(".ipynb"):
        yield above, _refused(Message("This is an empty folder, which cannot be read as a notebook."))
    elif empty and above:
        yield (*above, ""), None


def _reader(path):
    def read(most=MAX_BYTES):
        if path.is_symlink():
            raise Unreadable(Message("The file is a symbolic link. Hand in the notebook itself."))
        try:
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
            with open(handle, "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise Unreadable(Message("This is not a regular file."))
                if status.st_size > most:
                    sizes = dict(size=status.st_size / MB, most=most / MB)
                    raise Unreadable(
                        Message("The file has {size:.0f} MB, more than {most:.0f} MB. Clear its outputs.", **sizes)
                    )
                return file.read(most)
        except OSError as error:
            raise Unreadable(Message("The file cannot be read: {error}.", error=error.strerror)) from None

    return read


# --- archives --------------------------------------------------------------------------------------------------


class _Bounded(io.BytesIO):
    """An archive in memory. While it is opened, its list of files is read at once: here only if it is short."""

    opening = True

    def read(self, size=-1):
        if self.opening and size is not None and size > MAX_DIRECTORY:
            raise zipfile.BadZipFile("it lists too many files")
        return super().read(size)


def _opened(pairs, inside=False):
    """Yield the same pairs, with the files of an archive where it stood. Args: inside, whether these are such files."""
    for parts, read in pairs:
        if not parts[-1].lower().endswith(".zip") or read is None:
            yield parts, read
            continue
        if inside:
            yield parts, _refused(Message("This archive lies in another archive. Hand in the notebook itself."))
            continue
        try:
            file = _Bounded(read(MAX_ARCHIVE))
            archive = _archive(file)
            file.opening = False
            found = list(_in_archive(archive, parts))
        except Unreadable as error:
            yield parts, _refused(error.args[0])
            continue
        if not found:
            yield parts, _refused(Message("The archive is empty."))
        yield from _opened(found, inside=True)


def _archive(file):
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Unreadable(Message("The archive cannot be opened: {error}.", error=str(error))) from None


def _in_archive(archive, above=()):
    """Yield (parts of the path, reader) for every file in an archive."""
    for entry in archive.infolist():
        # Names are only shown and compared, so parts such as .. and C: lead nowhere; they are left out all the same.
        parts = [part[:MAX_NAME] for part in re.split(r"[/\\]", entry.filename) if part not in ("", ".", "..")]
        parts = [readable(part.encode("utf-8", "replace").decode("utf-8")) for part in parts]
        if parts and not entry.is_dir() and not any(map(_quiet, parts)):
            yield (*above, *parts[-MAX_DEPTH:]), _entry_reader(archive, entry)


def _entry_reader(archive, entry):
    def read(most=MAX_BYTES):
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise Unreadable(Message("The file is a symbolic link. Hand in the notebook itself."))
        if entry.flag_bits & 1:
            raise Unreadable(Message("The archive is encrypted. Hand in the notebook itself."))
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others cannot be read bit by bit
            raise Unreadable(Message("The archive is compressed in an unusual way. Hand in the notebook itself."))
        try:
            with archive.open(entry) as file:
                data = file.read(most + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
            raise Unreadable(Message("The archive is damaged: {error}.", error=str(error))) from None
        if len(data) > most:
            raise Unreadable(Message("The file has more than {most:.0f} MB. Clear its outputs.", most=most / MB))
        return data

    return read


def _without_top(stem, pairs):
    """Yield the pairs of a whole archive, without the one folder that all files may lie in, see ``_entered``."""
    pairs = list(pairs)
    tops = {parts[0] for parts, _ in pairs}
    enter = tops in ({"submitted"}, {stem}) and all(len(parts) > 1 for parts, _ in pairs)
    return [(parts[1:] if enter else parts, read) for parts, read in pairs]


# --- students --------------------------------------------------------------------------------------------------


def _whose(parts, known):
    """Return (student, name of the file without what a learning management system wrote in front)."""
    first, last = parts[0][:MAX_NAME], parts[-1][:MAX_NAME]
    alone = len(parts) == 1
    moodle = MOODLE.fullmatch(first)
    if moodle:
        return moodle[1], moodle[2] if alone and moodle[2] else last
    if not alone and not first.lower().endswith(".zip"):  # a student's folder
        return first, last
    stem = ENDING.sub("", first)
    canvas = CANVAS.fullmatch(stem)
    if canvas:
        return f"{canvas[1]}_{canvas[2]}", first[canvas.start(3) :] if alone else last
    for name in known:
        match = re.fullmatch(rf"(.+?)[_ -]+{spelled(name)}{COPY}", stem)
        if match:
            return match[1], last
    return stem, last
