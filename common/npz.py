"""Arrays in .npz files: never pickle, never half-written."""

import os
import tempfile
import zipfile
import zlib
from pathlib import Path

from common.np import host


def narrow(name, array, dtype):
    """Return ``array`` as the float ``dtype``. Raises: ValueError if it is no float type or a number does not fit."""
    if host.dtype(dtype).kind != "f":
        raise ValueError(f"dtype must be a float type such as 'float16', got {dtype!r}")
    with host.errstate(over="ignore"):
        out = array.astype(dtype)
    if (host.isfinite(array) & ~host.isfinite(out)).any():
        raise ValueError(f"{name!r} has numbers too large for {host.dtype(dtype)}; save it as float32")
    return out


def save_arrays(path, arrays):
    """Write a dict of NumPy arrays to ``path``: first to a file beside it, then moved into place in one step.

    Raises: TypeError for an array of objects, which only pickle could store.
    """
    path = Path(path)
    for name, array in arrays.items():
        if host.asarray(array).dtype.hasobject:
            raise TypeError(f"{name!r} is an array of objects; only numbers, bools and strings can be saved")
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, tmp = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(fd, "wb") as file:
            host.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(tmp, 0o666 & ~_umask())  # mkstemp makes it private; an ordinary file is not
        os.replace(tmp, path)
    except BaseException:
        Path(tmp).unlink(missing_ok=True)
        raise


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load_arrays(path):
    """Return the arrays of an .npz file as a dict.

    Raises: FileNotFoundError with the path; ValueError if the file is no .npz file, is cut off, or holds pickled
    objects (those are never loaded: a pickle can run any code).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.absolute()} does not exist; save_params() or a training run with --out writes it"
        )
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] != b"PK":
        kind = "a pickle" if start[:1] == b"\x80" else "no .npz file"
        raise ValueError(f"{path} is {kind}; only .npz files of save_params() are loaded, never pickles")
    try:
        with path.open("rb") as raw, host.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
            strange = [name for name, array in arrays.items() if not isinstance(array, host.ndarray)]
            if strange:
                raise ValueError(f"{strange[0]!r} is no array")
            return arrays
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, KeyError, NotImplementedError) as error:
        raise ValueError(f"{path} cannot be read as an .npz file of numbers: {error}") from error
