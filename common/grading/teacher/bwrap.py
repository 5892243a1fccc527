"""Bubblewrap (the program ``bwrap``): its command line, and whether it works on this machine."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from common.grading.teacher import launch, seccomp
from common.language import Message

COURSE_INSIDE, FOLDER_INSIDE = "/course", "/sandbox"  # where students' code finds the course, and where it works
WRITABLE = ("/tmp", "/dev/shm", FOLDER_INSIDE)  # folders in memory


@dataclass
class Isolation:
    """How students' code is isolated.

    bwrap: the path of the program. refused: the filter of system calls. missing: Messages about what is not isolated,
    empty if everything is.
    """

    bwrap: str | None = None
    refused: bytes = b""
    missing: list = field(default_factory=list)

    @property
    def words(self):
        """The same in words."""
        if self.bwrap:
            return Message("Isolated by bubblewrap: no network, own processes, solutions out of reach, limits.")
        return "NOT ISOLATED. " + " ".join(self.missing)


def detect(course):
    """Return the Isolation that this machine allows. Args: course, a staged folder to try it with."""
    if sys.platform != "linux":
        return without(Message("Bubblewrap exists on Linux only, this is {system}.", system=sys.platform))
    bwrap = shutil.which("bwrap")
    if not bwrap:
        return without(Message("Bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap)."))
    task = json.dumps({**launch.rights(bwrap, 0), "fonts": None, "folders": None, "steps": None}).encode()
    try:
        refused = seccomp.program()
    except seccomp.SeccompError as error:
        return without(error.args[0])
    try:
        with readable(refused) as number:
            done = subprocess.run(
                [*command(bwrap, course, number), *launch.worker_command()],
                input=task,
                env=launch.environment(COURSE_INSIDE, FOLDER_INSIDE),
                pass_fds=[number],
                capture_output=True,
                timeout=60,
            )
        why = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] if done.returncode else None
    except (OSError, subprocess.TimeoutExpired) as error:
        why = [str(error)]
    if why is None:
        return Isolation(bwrap, refused)
    why = " ".join(why) or Message("no reason given")
    return without(Message("Bubblewrap does not work here: {why}.", why=why))


def without(reason):
    """Return the Isolation without bubblewrap: the reason, a Message, and what students' code can do then."""
    missing = [
        reason,
        Message(
            "Students' code runs with your rights: it can read your files, the solutions and other submissions, write "
            "where you can write, and use the network."
        ),
    ]
    if sys.platform == "win32":
        missing.append(
            Message("Windows has no limits on memory, files and processes either; only the grader watches them.")
        )
    missing.append(Message("Grade only submissions that you would run yourself, or use Linux with bubblewrap."))
    return Isolation(missing=missing)


@contextlib.contextmanager
def readable(data):
    """Yield the number of an open file that holds these bytes, for one program to read."""
    reading, writing = os.pipe()
    try:
        with open(writing, "wb") as file:
            file.write(data)  # a few KB; a pipe holds more
        yield reading
    finally:
        os.close(reading)


def command(bwrap, course, refused):
    """Return the command line of bubblewrap up to the program that it is to start.

    Args: course, a staged folder; refused, the number of the open file with the filter of system calls.
    """
    size = str(launch.FOLDER_SIZE)
    options = [bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--die-with-parent"]
    options += ["--new-session", "--unshare-cgroup-try"]
    options += ["--perms", "1777", "--size", size, "--tmpfs", "/tmp"]  # first: Python may lie in it
    if os.geteuid() == 0:  # the worker takes another user's rights, because root has no limits
        options += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        options += ["--unshare-user"]
    shared = ("/usr", *launch.python_folders())
    for path in shared:
        options += [*_folders_above(path), "--ro-bind", path, path]
    for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
        if os.path.islink(path):
            options += ["--symlink", os.readlink(path), path]
        else:
            options += ["--ro-bind-try", path, path]
    for path in ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime"):
        options += ["--ro-bind-try", path, path]
    options += ["--proc", "/proc", "--dev", "/dev", "--size", size, "--tmpfs", "/dev/shm"]
    options += ["--perms", "1777", "--size", size, "--tmpfs", FOLDER_INSIDE]
    if any(launch.COURSE.is_relative_to(path) for path in shared):  # the course lies within what is shared: hide it
        options += ["--tmpfs", str(launch.COURSE)]
        inner = [path for path in shared if Path(path).is_relative_to(launch.COURSE)]
        options += [word for path in inner for word in ("--ro-bind", path, path)]
        options += ["--remount-ro", str(launch.COURSE)]
    options += ["--ro-bind", str(course), COURSE_INSIDE]
    options += ["--seccomp", str(refused)]
    return [*options, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--"]


def _folders_above(path):
    """Return options that make the folders above a path; those that bubblewrap makes itself only root may enter."""
    folders = [str(folder) for folder in reversed(Path(path).parents) if str(folder) not in ("/", "/usr", "/tmp")]
    return [word for folder in folders for word in ("--perms", "0755", "--dir", folder)]
