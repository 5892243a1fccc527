"""Arrays in .npz files: never pickle, never half-written, never larger in memory than the file can be worth."""

import errno
import math
import os
import re
import secrets
import shutil
import zipfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from common.np import host

LIMIT = 2**30  # bytes that the compressed arrays of a file may take in memory, if nobody knows better
_at_work = set()  # temporary files that this process is writing


def narrow(name, array, dtype, advice=""):
    """Return ``array`` as the float ``dtype``. Infinities and NaN stay what they are.

    Raises: ValueError if it is not a float type or a number does not fit; advice ends that message.
    """
    if host.dtype(dtype).kind != "f":
        raise ValueError(f"dtype must be a float type such as 'float16', got {dtype!r}")
    with host.errstate(over="ignore", invalid="ignore"):
        out = array.astype(dtype)
    if (host.isfinite(array) & ~host.isfinite(out)).any():
        raise ValueError(f"{name!r} has numbers too large for {host.dtype(dtype)}{advice}")
    return out


# --- writing ---------------------------------------------------------------------------------------------------


def save_arrays(path, arrays):
    """Write a dict of NumPy arrays to ``path``, whole or not at all.

    Raises: TypeError for an array of objects, which only pickle could store; OSError with path and reason.
    """
    arrays = {name: host.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise TypeError(f"{name!r} is an array of objects; only numbers, bools and strings can be saved")
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        # not np.savez(file, **arrays), which cannot take an array by the name of "file"
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                host.lib.format.write_array(member, array, allow_pickle=False)


@contextmanager
def atomic_write(path):
    """Yield a binary file that takes the place of ``path`` once the block has ended; if it fails, nothing changes.

    The file is written beside ``path`` under a name with this process's number. What a killed process left of the same
    target is removed. Raises: OSError (PermissionError and so on) whose message has the path and the reason.
    """
    target = Path(os.path.realpath(path))  # a link stays one
    with _explained(path):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder; give the name of a file")
        if target.exists() and not target.is_file():
            raise OSError(errno.EINVAL, "it is not an ordinary file")
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target)
        tmp = target.with_name(f"{_prefix(target)}{os.getpid()}-{secrets.token_hex(4)}.tmp")
        _at_work.add(tmp)
        try:
            with tmp.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(tmp, target)
        except BaseException:
            with suppress(OSError):
                tmp.unlink()
            raise
        finally:
            _at_work.discard(tmp)


def check_writable(folder, size=0):
    """Raise an OSError that says why if ``size`` bytes cannot be written into ``folder``; leave nothing behind.

    The folder need not exist yet. For use before a long run, so that its results are not lost.
    """
    folder = Path(folder)
    made = []
    with _explained(folder):
        try:
            for part in reversed([part for part in (folder, *folder.parents) if not part.exists()]):
                part.mkdir()
                made.append(part)
            if not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "it is a file, not a folder")
            probe = folder / f".{os.getpid()}-{secrets.token_hex(4)}.tmp"
            try:
                probe.write_bytes(b"probe")
            finally:
                with suppress(OSError):
                    probe.unlink()
            free = shutil.disk_usage(folder).free
            if free < size:
                raise OSError(errno.ENOSPC, f"{_size(size)} are needed and {_size(free)} are free")
        finally:
            for part in reversed(made):
                with suppress(OSError):
                    part.rmdir()


@contextmanager
def _explained(path, failed="written"):
    """Turn an OSError into one of the same kind whose message is a sentence with the path and the reason."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        if isinstance(error, FileExistsError | NotADirectoryError) and error.filename:
            reason = f"a file is in the way, where a folder should be ({error.filename})"
        told = type(error)(f"{path} cannot be {failed}: {reason}")
        told.errno = error.errno
        raise told from error


def _prefix(target):
    """Return how the names of temporary files for ``target`` begin; they must not be longer than names may be."""
    name = target.name
    if len(os.fsencode(name)) > 200:
        name = f"{zlib.crc32(os.fsencode(name)):08x}"
    return f".{name}."


def _remove_stale(target):
    """Remove the temporary files for ``target`` of processes that are gone."""
    pattern = re.compile(re.escape(_prefix(target)) + r"([1-9]\d*)-[0-9a-f]{8}\.tmp")
    for name in os.listdir(target.parent):
        match = pattern.fullmatch(name)
        tmp = target.with_name(name)
        if match and tmp not in _at_work and not _other_process(int(match[1])):
            with suppress(OSError):
                tmp.unlink()


def _other_process(pid):
    """Whether a process other than this one runs under a number."""
    if os.name != "posix" or pid == os.getpid():  # Windows: os.kill would end it; but open files cannot be removed
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it belongs to somebody else
        return True
    return True


def _size(count):
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


# --- reading ---------------------------------------------------------------------------------------------------


class Header(NamedTuple):
    """What a file says of an array before its numbers are read."""

    shape: tuple
    dtype: host.dtype


def load_arrays(path):
    """Return the arrays of an .npz file as a dict. Raises: as ``open_arrays``."""
    with open_arrays(path) as file:
        return file.read()


@contextmanager
def open_arrays(path, limit=LIMIT):
    """Open an .npz file; yield an object with ``headers``, a dict name -> Header, and ``read()``, all arrays as a dict.

    No array is read before ``read`` is called, so that names, shapes and types can be checked first. An array cannot
    be larger than what the file holds; compressed arrays may take ``limit`` bytes together.

    Raises: FileNotFoundError with the path; ValueError if the file is not an .npz file, is damaged or cut off, or holds
    pickled objects (those are never loaded: a pickle can run any code).
    """
    path = Path(path)
    if not os.path.isfile(path):
        what = "is a folder, not a file" if os.path.isdir(path) else "does not exist"
        raise FileNotFoundError(f"{path.absolute()} {what}; save_params() or a training run with --out writes it")
    with _explained(path, "read"):
        raw = path.open("rb")
    with raw:
        start = raw.read(4)
        if start[:2] != b"PK":
            kind = "a pickle" if start[:1] == b"\x80" else "not an .npz file"
            raise ValueError(f"{path} is {kind}; only .npz files of save_params() are loaded, never pickles")
        yield _ArrayFile(path, raw, limit)


class _ArrayFile:
    def __init__(self, path, raw, limit):
        self._path = path
        with _parsing(path):
            self._archive = zipfile.ZipFile(raw)
            raw.seek(-22, os.SEEK_END)  # where the end of the table of contents says how many entries it has
            end = raw.read()
            if end[:4] != b"PK\5\6" or int.from_bytes(end[10:12], "little") != min(
                len(self._archive.infolist()), 0xFFFF
            ):
                raise ValueError("its table of contents is damaged")
            self._members = {}
            for info in self._archive.infolist():
                name = info.filename.removesuffix(".npy")
                if name in self._members:
                    raise ValueError(f"{name!r} is in it twice")
                self._members[name] = info
            self.headers = {name: self._header(name, info) for name, info in self._members.items()}
            self._check_size(os.fstat(raw.fileno()).st_size, limit)

    def _header(self, name, info):
        """Return the Header of an array. Raises: ValueError if it is not one, or not of the size it says."""
        fmt = host.lib.format
        with self._archive.open(info) as member:
            try:
                version = fmt.read_magic(member)
            except ValueError:
                raise ValueError(f"{name!r} is not an array") from None
            read = {(1, 0): fmt.read_array_header_1_0, (2, 0): fmt.read_array_header_2_0}.get(version)
            if read is None:
                raise ValueError(f"{name!r} is an array of version {version}, and only numbers and text are read")
            shape, _, dtype = read(member)
            begin = member.tell()
        if dtype.hasobject:
            raise ValueError(f"{name!r} holds pickled objects")
        if dtype.kind == "V":
            raise ValueError(f"{name!r} holds records, and only numbers and text are read")
        if min(shape, default=0) < 0 or begin + math.prod(shape) * dtype.itemsize != info.file_size:
            raise ValueError(f"{name!r} is said to be {shape} of {dtype}, but takes {info.file_size - begin} bytes")
        return Header(shape, dtype)

    def _check_size(self, real_size, limit):
        stored = compressed = 0
        for info in self._members.values():
            if info.compress_type == zipfile.ZIP_STORED:
                stored += info.file_size
            else:
                compressed += info.file_size
        if stored > real_size:
            raise ValueError(f"its arrays are said to take {_size(stored)}, and the file has {_size(real_size)}")
        if compressed > limit:
            raise ValueError(
                f"its compressed arrays would take {_size(compressed)}, and at most {_size(limit)} are expected"
            )

    def read(self):
        """Return all arrays as a dict."""
        arrays = {}
        for name, info in self._members.items():
            with _parsing(self._path), self._archive.open(info) as member:
                arrays[name] = host.lib.format.read_array(member, allow_pickle=False)
                if member.read(1):  # only at its end is the check sum compared
                    raise ValueError(f"{name!r} is followed by other data")
        return arrays


@contextmanager
def _parsing(path):
    """Turn what zip, its methods of compression and the array headers raise for broken bytes into one sentence."""
    try:
        yield
    except Exception as error:  # zlib.error, LZMAError, RuntimeError (encrypted), TokenError, struct.error...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} cannot be read as an .npz file of numbers: {reason}") from error
