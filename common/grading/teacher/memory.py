"""How much memory is left, on the machine or in the container that the grader runs in."""

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
