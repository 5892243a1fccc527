"""The process that runs one submission, within the sandbox: limits itself, drops its rights, then runs the cells.

It reads its task, JSON, from standard input and writes a line of JSON to standard output for each event. The kernel it
starts inherits neither.
"""

import ctypes
import json
import os
import shutil
import socket
import sys
from pathlib import Path


def main():
    """Read the task, run it."""
    task = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")  # not inherited by children
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    set_limits(task["limits"])
    if task["uid"] is not None:
        os.setgroups([])
        os.setgid(task["uid"])
        os.setuid(task["uid"])
    protect_memory()
    if task["folders"]:
        show_folders(**task["folders"])
    make_folders(task.get("fonts"))
    os.chdir(os.environ["GRADING_FOLDER"])
    # nbformat imports jsonschema, which parses a grammar of web addresses for three seconds and imports a library of
    # dates; nothing here needs them.
    sys.modules.setdefault("rfc3987_syntax", None)
    sys.modules.setdefault("isoduration", None)
    from common.grading.teacher import runner

    if task["steps"] is not None:  # None: the grader only tests whether the sandbox works
        runner.run(task, out)


def set_limits(limits):
    """Set the limits of this process and of all its children. Args: limits, a dict such as {'AS': 2**31}."""
    try:
        import resource
    except ImportError:  # Windows does not have it
        return
    for name, largest in limits.items():
        which = getattr(resource, f"RLIMIT_{name}", None)
        if which is None:
            continue
        _, hard = resource.getrlimit(which)
        largest = largest if hard == resource.RLIM_INFINITY else min(largest, hard)
        try:
            resource.setrlimit(which, (largest, largest))
        except (OSError, ValueError):  # macOS refuses some; the grader also watches from outside
            continue


def protect_memory():
    """On Linux: keep processes of the same user away from this one's memory and files."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        library.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
        library.prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG: end when the grader ends, whatever else happens


def show_folders(to, paths):
    """Give the grader folders that only this sandbox has, so that it sees how full they are: no limit counts that.

    Args: to, the number of an open socket; paths, of the folders.
    """
    with socket.socket(fileno=to) as connection:
        numbers = [os.open(path, os.O_PATH) for path in paths]
        socket.send_fds(connection, [b"folders"], numbers)
        for number in numbers:
            os.close(number)


def make_folders(fonts):
    """Make the folders that the environment names. Args: fonts, matplotlib's list of fonts, which is slow to make."""
    for name in ("HOME", "TMPDIR", "MPLCONFIGDIR", "JUPYTER_RUNTIME_DIR", "GRADING_FOLDER"):
        Path(os.environ[name]).mkdir(parents=True, exist_ok=True)
    if fonts and Path(fonts).is_file():
        shutil.copy(fonts, os.environ["MPLCONFIGDIR"])


if __name__ == "__main__":
    main()
