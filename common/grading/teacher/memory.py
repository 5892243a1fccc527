"""Memory: how much is left on the machine or in the container that the grader runs in, and a limit the kernel holds."""

import itertools
import os
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")  # where Linux keeps control groups of version 2


def available(own="/proc/self/cgroup", cgroups=CGROUPS):
    """Return the bytes of memory that programs can still get: what the machine has, and what a control group allows.

    Args: own, the file that names the control group of this process; cgroups, the folder of all of them.
    """
    import psutil

    return min([psutil.virtual_memory().available, *_allowed(Path(own), Path(cgroups))])


def _allowed(own, cgroups):
    """Return what is left of each limit that applies: those of the group and of the groups above it."""
    try:
        lines = own.read_text().splitlines()
    except OSError:  # not Linux
        return []
    found = []
    for line in lines:
        if not line.startswith("0::/"):  # of version 1
            continue
        group = cgroups / line.removeprefix("0::/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(cgroups):
                found += _left(folder)
    return found


def _left(folder):
    """Return a list with what is left of a group's limit, an empty one where it has none."""
    try:
        limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
        files = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return [limit - used + int(files["inactive_file"])]  # copies of files are given up when memory is short
    except (OSError, ValueError, KeyError):  # ValueError: the limit is the word max
        return []


class Group:
    """A control group of Linux: the kernel ends a process of it before all of them, with the files that they keep in
    memory, take more than a limit. Nothing is too quick for it, as it may be for somebody who looks from time to time.

    Args: folder, that of the group, which is made; limit, in bytes. Raises: OSError where that is not possible.
    """

    def __init__(self, folder, limit):
        self.folder = folder
        folder.mkdir()
        try:
            old = (folder / "memory.limit_in_bytes").exists()  # version 1
            _write(folder / ("memory.limit_in_bytes" if old else "memory.max"), limit)
            swap, most = ("memory.memsw.limit_in_bytes", limit) if old else ("memory.swap.max", 0)
            if (folder / swap).exists():
                _write(folder / swap, most)
            self.events = folder / ("memory.oom_control" if old else "memory.events")
            self.exceeded()
        except (OSError, ValueError, KeyError):
            self.remove()
            raise

    def command(self, command):
        """Return the command that runs another one in the group."""
        return ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self.folder / "cgroup.procs"), *command]

    def exceeded(self):
        """Return whether the kernel has ended a process of the group."""
        return int(dict(line.split() for line in self.events.read_text().splitlines())["oom_kill"]) > 0

    def remove(self):
        """Remove the group; its processes have ended, but the kernel may need a moment to notice."""
        for _ in range(50):
            try:
                return self.folder.rmdir()
            except FileNotFoundError:
                return None
            except OSError:
                time.sleep(0.02)


def _write(path, number):
    """Write to a file that the kernel has made."""
    with path.open("r+") as file:
        file.write(str(number))


_numbers = itertools.count()


def new_group(limit, own="/proc/self/cgroup", cgroups=CGROUPS):
    """Return a Group beneath the own one or beneath one above it, None where there are none, or no right to make one.

    Args: as of ``Group`` and ``available``.
    """
    name = f"grading-{os.getpid()}-{next(_numbers)}"
    for folder in _parents(Path(own), Path(cgroups)):
        try:
            return Group(folder / name, limit)
        except (OSError, ValueError, KeyError):
            continue
    return None


def _parents(own, cgroups):
    """Yield the folders of groups that may have a group with a limit on memory beneath them."""
    try:
        lines = own.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds == "memory":  # version 1
            yield cgroups / "memory" / path.strip("/")
        elif not kinds:
            group = cgroups / path.strip("/")
            for folder in (group, *group.parents):
                try:
                    if folder.is_relative_to(cgroups) and "memory" in (folder / "cgroup.subtree_control").read_text():
                        yield folder
                except OSError:
                    continue
