"""How a worker is started: its command, its environment, its limits, and where Python lies."""

import functools
import os
import sys
from pathlib import Path

COURSE = Path(__file__).resolve().parents[3]
MIB = 2**20
MEMORY = 2048 * MIB  # of one process
THREADS = 128  # of all processes
FOLDER_SIZE = 256 * MIB  # of each of the folders in memory that can be written to
OPEN_FILES = 256  # of one process; each socket among them may hold 200 KB that no limit on memory counts
LIMITS = {"AS": MEMORY, "NPROC": THREADS, "FSIZE": 64 * MIB, "CPU": 900, "CORE": 0, "NOFILE": OPEN_FILES}
FIRST_UID = 61_184  # systemd keeps the numbers from here on free for temporary users


def worker_command():
    """Return the command that starts a worker."""
    return [sys.executable, "-s", "-P", "-m", "common.grading.teacher.worker"]


def rights(bwrap, slot):
    """Return the limits of a worker and, where the grader is root, the number of the user it becomes.

    Args: bwrap, whether it starts in bubblewrap; slot, the number of the sandbox, for a user of its own.
    """
    limits = dict(LIMITS)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not (bwrap and (root or _counts_processes_by_namespace())):
        del limits["NPROC"]  # it would count all processes of this user; Session counts those of the sandbox
    return {"limits": limits, "uid": FIRST_UID + (os.getpid() * 64 + slot) % 4000 if bwrap and root else None}


@functools.cache
def _counts_processes_by_namespace():
    """Whether Linux counts the processes of a sandbox apart from the user's others (since 5.14)."""
    try:
        return tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (5, 14)
    except (ValueError, AttributeError):
        return False


def environment(course, folder):
    """Return all environment variables that students' code gets.

    Args: course, the staged course, and folder, the one to write to, both as seen from within the sandbox.
    """
    prefixes = (sys.prefix, sys.base_prefix)
    extra = [p for p in package_folders() if not any(Path(p).is_relative_to(prefix) for prefix in prefixes)]
    variables = {
        "HOME": f"{folder}/home",
        "TMPDIR": f"{folder}/tmp",
        "GRADING_FOLDER": f"{folder}/notebook",
        "IPYTHONDIR": f"{folder}/home/ipython",
        "JUPYTER_RUNTIME_DIR": f"{folder}/run",
        "MPLCONFIGDIR": f"{folder}/home/matplotlib",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "PYTHONPATH": os.pathsep.join([str(course), *extra]),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONUTF8": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "LANG": "C.UTF-8",
        "USER": "student",
        "MALLOC_ARENA_MAX": "2",  # on a machine with many cores the arenas alone would fill the memory limit
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    if os.name == "nt":  # Windows cannot start Python without these
        variables |= {name: os.environ[name] for name in ("SYSTEMROOT", "PATH") if name in os.environ}
        variables |= {"TEMP": variables["TMPDIR"], "TMP": variables["TMPDIR"]}
        variables["USERPROFILE"] = variables["HOME"]
    return variables


@functools.cache
def python_folders():
    """Return the folders outside /usr that hold Python and its packages; none of them lies within another."""
    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, *package_folders()}
    places = sorted({os.path.realpath(p) for p in places if os.path.isdir(p)} | {sys.prefix}, key=len)
    kept = []
    for place in places:
        inside = [Path(place).is_relative_to(other) for other in ("/usr", *kept)]
        if not any(inside):
            kept.append(place)
    return tuple(kept)


def package_folders():
    """Return the folders of installed packages."""
    return [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages") and os.path.isdir(p)]


@functools.cache
def font_list():
    """Return the path of matplotlib's list of fonts, or None; making it takes seconds in each sandbox."""
    import matplotlib
    import matplotlib.font_manager as manager

    path = Path(matplotlib.get_cachedir(), f"fontlist-v{manager.FontManager.__version__}.json")
    return path if path.is_file() else None
