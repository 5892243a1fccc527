"""Where students' code runs: apart from the machine, the network, the solutions and everybody else's work.

On Linux with bubblewrap (the program ``bwrap``) every submission gets a machine of its own, as it were: no network, no
other process in sight, no file but Python, its packages and a small copy of the course without solutions and specs; a
fresh folder in memory is all it can write to. Limits of memory, processes, file size and time hold everywhere. Without
bubblewrap the limits, a fresh folder and a fresh environment remain, and ``Isolation.missing`` says what does not.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue

from common.grading.graded import Ran

COURSE = Path(__file__).resolve().parents[2]
PARTS = ("__init__.py", "config.py", "np.py", "gradient_check.py", "plots.py")  # of common/, for notebooks
GRADING = ("observe.py", "probe.py", "runner.py", "worker.py")  # of common/grading/
STUB = '''\
"""Stands in for the grading package while a notebook is graded: check and hint do nothing."""


class WrongAnswer(AssertionError):
    """Never raised here."""


def check(number, answer):
    """Do nothing; the grader has its own cells."""


def hint(number, which=None):
    """Do nothing."""
'''
MIB = 2**20
MEMORY = 2048 * MIB  # of one process
MEMORY_OF_ALL = 2560 * MIB  # of all processes of one submission
PROCESSES = 32
THREADS = 128  # of all processes
FILES = 256 * MIB  # that can be written, in each of three folders
LIMITS = {"AS": MEMORY, "NPROC": THREADS, "FSIZE": 64 * MIB, "CPU": 900, "CORE": 0, "NOFILE": 1024}
STARTUP = 120.0  # seconds until the kernel is there
GRACE = 10.0  # seconds on top of a step's own, until the grader ends it from outside
LONGEST_LINE = 8 * MIB  # of what a worker reports
MOST_OUTPUT = 64 * MIB
TICK = 0.2  # seconds between two looks at memory and processes
FIRST_UID = 61_184  # systemd keeps these numbers free for passing users


class Failed(RuntimeError):
    """The sandbox failed before any of the student's code ran: the grader's trouble."""


class Interrupted(RuntimeError):
    """Grading was stopped."""


@dataclass
class Isolation:
    """How students' code is kept apart. missing: sentences about what is not, empty where all is."""

    bwrap: str | None = None
    missing: list = field(default_factory=list)

    @property
    def words(self):
        """One sentence."""
        if self.bwrap:
            return "Isolated by bubblewrap: no network, own processes, solutions out of reach, limits."
        return "NOT ISOLATED. " + " ".join(self.missing)


def stage(folder):
    """Put into ``folder`` what students' code may import of the course: an allowlist, no exercise, no solution."""
    grading = folder / "common" / "grading"
    grading.mkdir(parents=True)
    for name in PARTS:
        shutil.copy(COURSE / "common" / name, folder / "common")
    for name in GRADING:
        shutil.copy(COURSE / "common" / "grading" / name, grading)
    (grading / "__init__.py").write_text(STUB, encoding="utf-8")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(COURSE / "dataset", folder / "dataset", ignore=ignore)
    fonts = _fonts()
    if fonts:
        shutil.copy(fonts, folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


@functools.cache
def _fonts():
    """Return matplotlib's list of fonts; making it anew takes seconds in every sandbox."""
    import matplotlib
    import matplotlib.font_manager as manager

    path = Path(matplotlib.get_cachedir(), f"fontlist-v{manager.FontManager.__version__}.json")
    return path if path.is_file() else None


def detect(course):
    """Return the Isolation that this machine allows. Args: course, a staged folder to try it with."""
    if sys.platform != "linux":
        return Isolation(missing=[f"Bubblewrap exists on Linux only, this is {sys.platform}.", *_open()])
    bwrap = shutil.which("bwrap")
    if not bwrap:
        return Isolation(missing=["Bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap).", *_open()])
    command = [*_bwrap(bwrap, course), *worker_command()]
    task = json.dumps({**_rights(bwrap, 0), "fonts": None, "steps": None}).encode()
    environment = _environment("/course", "/sandbox")
    try:
        done = subprocess.run(command, input=task, env=environment, capture_output=True, timeout=60)
        why = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] if done.returncode else None
    except (OSError, subprocess.TimeoutExpired) as error:
        why = [str(error)]
    if why is None:
        return Isolation(bwrap)
    return Isolation(missing=[f"Bubblewrap does not work here: {' '.join(why) or 'no reason given'}.", *_open()])


def _open():
    """Say what students' code can do without bubblewrap."""
    said = [
        "Students' code runs with your rights: it can read your files, the solutions and other submissions, write "
        "where you can write, and use the network."
    ]
    if sys.platform == "win32":
        said.append("Windows has no limits for memory, files and processes either; only the grader's watch remains.")
    said.append("Grade only submissions that you would run yourself, or use Linux with bubblewrap.")
    return said


def _bwrap(bwrap, course):
    """Return the command line of bubblewrap up to the program."""
    command = [bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--die-with-parent"]
    command += ["--new-session", "--unshare-cgroup-try"]
    command += ["--perms", "1777", "--size", str(FILES), "--tmpfs", "/tmp"]  # first: Python may lie in it
    if os.geteuid() == 0:  # the worker takes another user's rights, because root has no limits
        command += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        command += ["--unshare-user"]
    for path in ("/usr", *_prefixes()):
        command += [*_parents(path), "--ro-bind", path, path]
    for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
        else:
            command += ["--ro-bind-try", path, path]
    for path in ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime"):
        command += ["--ro-bind-try", path, path]
    command += ["--proc", "/proc", "--dev", "/dev", "--size", str(FILES), "--tmpfs", "/dev/shm"]
    command += ["--perms", "1777", "--size", str(FILES), "--tmpfs", "/sandbox"]
    bound = [Path(path) for path in ("/usr", *_prefixes())]
    if any(COURSE.is_relative_to(path) for path in bound):  # the course lies within what is shared
        command += ["--tmpfs", str(COURSE)]
        inner = [path for path in bound if path.is_relative_to(COURSE)]
        command += [word for path in inner for word in ("--ro-bind", str(path), str(path))]
    command += ["--ro-bind", str(course), "/course"]
    return [*command, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--"]


def _parents(path):
    """Return options that make the folders above a path; those that bubblewrap makes itself only root may enter."""
    folders = [str(folder) for folder in reversed(Path(path).parents) if str(folder) not in ("/", "/usr", "/tmp")]
    return [word for folder in folders for word in ("--perms", "0755", "--dir", folder)]


@functools.cache
def _prefixes():
    """Return the folders that hold Python and its packages, outer ones only."""
    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, *_packages()}
    places = sorted({os.path.realpath(p) for p in places if os.path.isdir(p)} | {sys.prefix}, key=len)
    kept = []
    for place in places:
        inside = [Path(place).is_relative_to(other) for other in ("/usr", *kept)]
        if not any(inside):
            kept.append(place)
    return tuple(kept)


def _packages():
    """Return the folders of installed packages."""
    return [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages") and os.path.isdir(p)]


def _rights(bwrap, slot):
    """Return the limits of a worker and, where the grader is root, the number of the user it becomes."""
    limits = dict(LIMITS)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not (bwrap and (root or _counts_processes_by_namespace())):
        del limits["NPROC"]  # it would count all processes of this user; Session counts the sandbox's own
    return {"limits": limits, "uid": FIRST_UID + (os.getpid() * 64 + slot) % 4000 if bwrap and root else None}


def _environment(course, folder):
    """Return all the environment variables that students' code gets."""
    prefixes = (sys.prefix, sys.base_prefix)
    extra = [p for p in _packages() if not any(Path(p).is_relative_to(prefix) for prefix in prefixes)]
    environment = {
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
        "MALLOC_ARENA_MAX": "2",  # on a machine with many cores they would fill the limit of memory by themselves
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    if os.name == "nt":  # Windows cannot start Python without these
        environment |= {name: os.environ[name] for name in ("SYSTEMROOT", "PATH") if name in os.environ}
        environment |= {"TEMP": environment["TMPDIR"], "TMP": environment["TMPDIR"]}
        environment["USERPROFILE"] = environment["HOME"]
    return environment


class Sandboxes:
    """A place to run submissions in; make it once and use it from several threads.

    Use it as a context: it owns a temporary folder. ``stop`` ends everything that runs.
    """

    def __init__(self, isolate=True):
        self.isolate = isolate

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True)
        self.course = Path(self.folder.name) / "course"
        stage(self.course)
        if self.isolate:
            self.isolation = detect(self.course)
        else:
            self.isolation = Isolation(missing=["It was asked for (--no-isolation).", *_open()])
        self.stopped = threading.Event()
        self.slots = Queue()
        for slot in range(64):
            self.slots.put(slot)
        return self

    def __exit__(self, *error):
        self.stop()
        self.folder.cleanup()

    def stop(self):
        """End everything that runs, soon."""
        self.stopped.set()

    def run(self, steps):
        """Run steps, pairs (index, Step), in a fresh sandbox; return (ran, culprit, how).

        Returns: ran, a dict from indices to Ran; culprit, the index of the step that ended it all, or None if all
        steps have run. Raises: Failed, Interrupted.
        """
        slot = self.slots.get()
        try:
            with Session(self, slot, steps) as session:
                return session.watch()
        finally:
            self.slots.put(slot)


class Session:
    """One sandbox and the worker in it."""

    def __init__(self, sandboxes, slot, steps):
        self.sandboxes, self.steps = sandboxes, dict(steps)
        bwrap = sandboxes.isolation.bwrap
        self.private = None
        if bwrap:
            course, folder = "/course", "/sandbox"
            command = _bwrap(bwrap, sandboxes.course)
        else:
            # Short, because the names of sockets may have 100 letters. A copy of the course, because it can be changed.
            self.private = tempfile.mkdtemp(prefix="g-")
            folder = self.private
            course = shutil.copytree(sandboxes.course, Path(folder) / "course")
            command = []
        self.environment = _environment(course, folder)
        self.command = [*command, *worker_command()]
        fonts = _fonts()
        self.task = {
            **_rights(bwrap, slot),
            "steps": [{"i": i, "source": step.source, "seconds": step.seconds} for i, step in self.steps.items()],
            "fonts": f"{course}/{fonts.name}" if fonts else None,
        }
        self.lines = Queue()
        self.ran = {}
        self.begun = None  # index of the step that runs
        self.ready = self.done = False

    def __enter__(self):
        self.errors = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self.private,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                start_new_session=True,
            )
        except OSError as error:
            self._clean()
            raise Failed(f"the sandbox does not start: {error}") from None
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.writer = threading.Thread(target=self._write, daemon=True)
        self.writer.start()
        return self

    def __exit__(self, *error):
        self.kill()
        self.process.wait()
        self.reader.join(10)
        self.writer.join(10)
        self.process.stdout.close()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self._clean()

    def _clean(self):
        self.errors.close()
        if self.private:
            shutil.rmtree(self.private, ignore_errors=True)

    def _write(self):
        try:
            self.process.stdin.write(json.dumps(self.task).encode())
            self.process.stdin.close()
        except OSError:
            pass  # it is gone; the reader says so

    def _read(self):
        """Take lines from the worker, none of them too long, until there is no more."""
        total = 0
        while total <= MOST_OUTPUT:
            line = self.process.stdout.readline(LONGEST_LINE)
            if not line:
                break
            total += len(line)
            self.lines.put(line)
        self.lines.put(None)

    def watch(self):
        """Follow the worker until it has ended; return (ran, culprit)."""
        deadline = time.monotonic() + STARTUP
        next_look = 0.0
        while True:
            if self.sandboxes.stopped.is_set():
                raise Interrupted
            now = time.monotonic()
            if now >= next_look:
                why = self._too_much()
                next_look = time.monotonic() + TICK
                if why:
                    return self._culprit("crashed", why)
            if now > deadline:
                return self._culprit("timeout", "nothing happened for too long")
            try:
                line = self.lines.get(timeout=TICK)
            except Empty:
                continue
            if line is None:
                return self._culprit("crashed", "the process was ended from within")
            event = self._event(line)
            name = event.get("event")
            if name == "ready":
                self.ready = True
            elif name == "begin":
                self.begun = event["i"]
                deadline = time.monotonic() + self.steps[self.begun].seconds + GRACE
            elif name == "end":
                ran = self.ran[event["i"]] = Ran(error=_error(event.get("error")), data=_text(event.get("data")))
                if ran.error and self.steps[event["i"]].must:
                    raise Failed(f"a given cell raised {ran.error['type']}: {ran.error['message']}")
                if len(self.ran) == len(self.steps):
                    return self.ran, None
                deadline = time.monotonic() + GRACE
            elif name in ("timeout", "crashed"):
                return self._culprit(name, _text(event.get("why")) or "")
            elif name == "failed":
                return self._culprit("crashed", _text(event.get("why")) or "")

    def _event(self, line):
        """Return what a line says, {} for what cannot be read: a student may have written it."""
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return {}
        if not isinstance(event, dict):
            return {}
        if event.get("event") in ("begin", "end") and event.get("i") not in self.steps:
            return {}
        return event

    def _culprit(self, how, why):
        """Return (ran, index of the step that ended it all). Raises: Failed if no student's code had run by then."""
        begun = list(self.steps)[: list(self.steps).index(self.begun) + 1] if self.begun is not None else []
        if not any(self.steps[i].kind != "given" for i in begun):
            raise Failed(f"{why or how}. {self._last_words()}".strip())
        self.ran[self.begun] = Ran(how, why=why)
        return self.ran, self.begun

    def _last_words(self):
        """The end of what the worker wrote to standard error."""
        self.kill()
        self.process.wait()
        size = self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(0, size - 2000))
        return " ".join(self.errors.read().decode("utf-8", "replace").split())[-500:]

    def _family(self):
        """All processes of the sandbox."""
        import psutil

        try:
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.Error:
            return []

    def _too_much(self):
        """Say which limit of the whole sandbox is passed, or return None."""
        import psutil

        family = self._family()
        if len(family) > PROCESSES:
            return f"more than {PROCESSES} processes"

        def used(exact):
            total = 0
            for process in family:
                try:
                    memory = process.memory_full_info() if exact else process.memory_info()
                    total += getattr(memory, "pss", memory.rss)  # pss counts what several processes share once
                except psutil.Error:
                    continue
            return total

        if used(False) > MEMORY_OF_ALL and used(True) > MEMORY_OF_ALL:  # the exact way is slow
            return f"more than {MEMORY_OF_ALL // MIB} MiB of memory"
        return None

    def kill(self):
        """End the sandbox and everything in it. Its first process takes all the others with it, in bubblewrap."""
        if self.sandboxes.isolation.bwrap:
            self.process.kill()
            return
        for _ in range(5):
            family = [*self._family(), *self._strays()]
            if hasattr(os, "killpg"):
                try:
                    os.killpg(self.process.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass
            for process in family:
                try:
                    process.kill()
                except Exception:
                    continue  # gone by now, or not ours
            if not family:
                break

    def _strays(self):
        """Processes that left the family, found by their environment."""
        import psutil

        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("GRADING_FOLDER") == self.environment["GRADING_FOLDER"]:
                    found.append(process)
            except (psutil.Error, OSError, RuntimeError):
                continue
        return found


def worker_command():
    """Return the command that starts a worker."""
    return [sys.executable, "-s", "-P", "-m", "common.grading.worker"]


@functools.cache
def _counts_processes_by_namespace():
    """Whether Linux counts the processes of a sandbox apart from the user's others (since 5.14)."""
    try:
        return tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (5, 14)
    except (ValueError, AttributeError):
        return False


def _error(value):
    if not isinstance(value, dict):
        return None
    return {key: _text(value.get(key)) or "" for key in ("type", "message")}


def _text(value):
    return value if isinstance(value, str) else None
