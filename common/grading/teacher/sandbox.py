"""Where students' code runs: apart from the machine, the network, the solutions and everybody else's work.

On Linux with bubblewrap every submission gets what looks like a machine of its own: no network, no other process in
sight, no files but Python, its packages and a small copy of the course without solutions and specs; it can write to a
fresh folder in memory only. Limits on memory, processes, file size and time hold everywhere. Without bubblewrap the
limits, a fresh folder and a fresh environment remain, and ``Isolation.missing`` says what does not.
"""

import compileall
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from queue import Empty, Queue

from common.grading.teacher import bwrap, launch
from common.grading.teacher.launch import COURSE, MIB
from common.grading.teacher.memory import available, new_group
from common.grading.teacher.steps import StepResult
from common.language import Message

STAGED = (  # of common/, for notebooks and for the worker
    *(
        "__init__.py",
        "alt_text.py",
        "config.py",
        "np.py",
        "optimizer.py",
        "gradient_check.py",
        "language/__init__.py",
        "plots.py",
        "svg.py",
        "grading/observe.py",
    ),
    *(f"grading/teacher/{name}.py" for name in ("probe", "runner", "worker")),
)
STUB = '''\
"""Stands in for the grading package while a notebook is graded: check and hint do nothing."""


class WrongAnswer(AssertionError):
    """Never raised here."""


def check(number, answer, noted=True):
    """Do nothing; the grader has its own cells."""


def hint(number, which=None):
    """Do nothing."""
'''
NO_DEBUGGER = '''\
"""Keeps the kernel from loading a debugger, which takes longer than most notebooks."""

raise ImportError("nobody debugs while a notebook is graded")
'''
MEMORY_OF_ALL = 2560 * MIB  # of all processes of one submission, and of the files that they write
FILES = 20_000  # that they may write; each takes about a kilobyte, however empty it is
RESERVE = 512 * MIB  # of the machine's memory, that grading must leave
PROCESSES = 32
STARTUP = 300.0  # seconds until the kernel is there
PATIENCE = 3  # times the processor time that a step may take, until it is too late on the clock: others compute too
GRACE = 10.0  # seconds on top of that, until the grader ends a step from outside
MAX_LINE = 8 * MIB  # of what a worker reports
MAX_OUTPUT = 64 * MIB
TICK = 0.2  # seconds between two looks at memory and processes


class SandboxError(RuntimeError):
    """The sandbox failed before any of the student's code ran: the fault is the grader's."""


class Interrupted(RuntimeError):
    """Grading was stopped."""


class Crowded(RuntimeError):
    """The machine ran short of memory while several submissions ran, and nobody knows which of them took it."""


def stage(folder):
    """Put into ``folder`` what students' code may import of the course: an allowlist, no exercise, no solution."""
    for name in STAGED:
        place = folder / "common" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(COURSE / "common" / name, place)
    (folder / "common" / "grading" / "__init__.py").write_text(STUB, encoding="utf-8")
    (folder / "common" / "grading" / "teacher" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "debugpy.py").write_text(NO_DEBUGGER, encoding="utf-8")
    shutil.copytree(COURSE / "dataset", folder / "dataset", ignore=shutil.ignore_patterns("__pycache__"))
    fonts = launch.font_list()
    if fonts:
        shutil.copy(fonts, folder)
    compileall.compile_dir(folder, quiet=2)  # else each submission would do it
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def _groups_work():
    """Whether a sandbox can be put into a control group here."""
    group = new_group(MEMORY_OF_ALL)
    if group is None:
        return False
    try:
        return subprocess.run(group.command(["true"]), stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False
    finally:
        group.remove()


def _too_much_memory():
    return f"more than {MEMORY_OF_ALL // MIB} MiB of memory"


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
            self.isolation = bwrap.detect(self.course)
        else:
            self.isolation = bwrap.without(Message("You asked for this (--no-isolation)."))
        self.grouped = _groups_work()
        self.stopped = threading.Event()
        self.door, self.change, self.inside = threading.Lock(), threading.Condition(), 0
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
        """Run steps, pairs (index, Step), in a fresh sandbox; return (results, culprit).

        Returns: results, a dict from indices to StepResults; culprit, the index of the step that ended the run, or
        None if all steps have run. Raises: SandboxError, Interrupted.
        """
        slot = self.slots.get()
        try:
            try:
                with self._entered(), Session(self, slot, steps) as session:
                    return session.watch()
            except Crowded:
                with self._entered(alone=True), Session(self, slot, steps, alone=True) as session:
                    return session.watch()
        finally:
            self.slots.put(slot)

    @contextlib.contextmanager
    def _entered(self, alone=False):
        """Be among the sessions that run. Args: alone, whether the others have to end first, and new ones to wait."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.door)
            with self.change:
                if alone:
                    self.change.wait_for(lambda: not self.inside)
                else:
                    stack.close()
                self.inside += 1
            try:
                yield
            finally:
                with self.change:
                    self.inside -= 1
                    self.change.notify_all()


class Session:
    """One sandbox and the worker in it. alone: whether no other one runs meanwhile."""

    def __init__(self, sandboxes, slot, steps, alone=False):
        self.sandboxes, self.steps, self.alone = sandboxes, dict(steps), alone
        program = sandboxes.isolation.bwrap
        self.private = None
        if program:
            course, folder = bwrap.COURSE_INSIDE, bwrap.FOLDER_INSIDE
        else:
            # A short name, because socket paths may have 100 characters. A copy of the course, because students' code
            # can change it.
            self.private = tempfile.mkdtemp(prefix="g-")
            folder = self.private
            course = shutil.copytree(sandboxes.course, Path(folder) / "course")
        self.environment = launch.environment(course, folder)
        fonts = launch.font_list()
        self.task = {
            **launch.rights(program, slot),
            "steps": [
                {"i": i, "source": step.source, "seconds": step.seconds, "clock": PATIENCE * step.seconds}
                for i, step in self.steps.items()
            ],
            "fonts": f"{course}/{fonts.name}" if fonts else None,
            "folders": None,
        }
        self.group = None  # the control group it is in
        self.connection, self.folders = None, []  # folders of the sandbox, kept open to see how full they are
        self.lines = Queue()
        self.results = {}
        self.begun = None  # index of the step that is running

    def __enter__(self):
        self.errors = tempfile.TemporaryFile()
        self.available = available()  # bytes, before it begins
        try:
            self.process = self._start()
        except OSError as error:
            self._clean()
            raise SandboxError(f"the sandbox does not start: {error}") from None
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.writer = threading.Thread(target=self._write, daemon=True)
        self.writer.start()
        return self

    def _start(self):
        options = dict(env=self.environment, cwd=self.private, start_new_session=True)
        options |= dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        isolation = self.sandboxes.isolation
        self.group = new_group(MEMORY_OF_ALL) if self.sandboxes.grouped else None
        grouped = self.group.command if self.group else list
        if not isolation.bwrap:
            return subprocess.Popen(grouped(launch.worker_command()), **options)
        self.connection, theirs = socket.socketpair()
        with theirs, bwrap.readable(isolation.refused) as refused:
            self.task["folders"] = {"to": theirs.fileno(), "paths": bwrap.WRITABLE}
            command = [*bwrap.command(isolation.bwrap, self.sandboxes.course, refused), *launch.worker_command()]
            return subprocess.Popen(grouped(command), pass_fds=[refused, theirs.fileno()], **options)

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
        for number in self.folders:
            os.close(number)
        if self.connection:
            self.connection.close()
        self.errors.close()
        if self.group:
            self.group.remove()
        if self.private:
            shutil.rmtree(self.private, ignore_errors=True)

    def _write(self):
        try:
            self.process.stdin.write(json.dumps(self.task).encode())
            self.process.stdin.close()
            if self.connection:
                _, self.folders, _, _ = socket.recv_fds(self.connection, 16, len(bwrap.WRITABLE))
        except OSError:
            pass  # the worker is gone; the reader will report it

    def _read(self):
        """Queue the worker's lines, long ones in pieces, until it ends or has written too much."""
        total = 0
        while total <= MAX_OUTPUT:
            line = self.process.stdout.readline(MAX_LINE)
            if not line:
                break
            total += len(line)
            self.lines.put(line)
        self.lines.put(None)

    def watch(self):
        """Follow the worker until it has ended; return (results, culprit)."""
        deadline = time.monotonic() + STARTUP
        next_look = 0.0
        while True:
            if self.sandboxes.stopped.is_set():
                raise Interrupted
            late = time.monotonic() > deadline
            if time.monotonic() >= next_look:
                why = self._too_much()
                next_look = time.monotonic() + TICK
                if why:
                    return self._culprit("crashed", why)
            try:
                line = self.lines.get(timeout=TICK)
            except Empty:
                if late:  # and all that has arrived was read: this process itself may have been busy
                    return self._culprit("timeout", "nothing happened for too long")
                continue
            if line is None:
                return self._culprit("crashed", "the process was ended from within")
            event = self._event(line)
            name = event.get("event")
            if name == "begin":
                self.begun = event["i"]
                deadline = time.monotonic() + PATIENCE * self.steps[self.begun].seconds + GRACE
            elif name == "end":
                error, data, seconds = _error(event.get("error")), _text(event.get("data")), event.get("seconds")
                result = StepResult(error=error, data=data, seconds=seconds if isinstance(seconds, float) else 0.0)
                self.results[event["i"]] = result
                if result.error and self.steps[event["i"]].must_pass:
                    raise SandboxError(f"a given cell raised {result.error['type']}: {result.error['message']}")
                if len(self.results) == len(self.steps):
                    return self.results, None
                deadline = time.monotonic() + GRACE
            elif name in ("timeout", "crashed", "failed"):
                return self._culprit("crashed" if name == "failed" else name, _text(event.get("why")) or "")
            elif late:
                return self._culprit("timeout", "nothing happened for too long")

    def _event(self, line):
        """Return the event in a line, {} if it cannot be read: a student may have written the line."""
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
        """Return (results, index of the step that ended the run). Raises: SandboxError if no student's code had run."""
        begun = list(self.steps)[: list(self.steps).index(self.begun) + 1] if self.begun is not None else []
        if not any(self.steps[i].kind != "given" for i in begun):
            raise SandboxError(f"{why or how}. {self._last_words()}".strip())
        if self.group and self.group.exceeded():
            how, why = "crashed", _too_much_memory()
        self.results[self.begun] = StepResult(how, why=why)
        return self.results, self.begun

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
        """Return which limit of the whole sandbox is exceeded, in words, or None.

        Raises: Crowded, and SandboxError if the machine is too small, or others fill it.
        """
        import psutil

        if available() < RESERVE:
            if not self.alone:
                raise Crowded
            if self.available < 2 * RESERVE:
                left = f"{self.available // MIB} MiB of memory"
                raise SandboxError(f"the machine had only {left} left before this began: end other programs")
            return "the machine ran out of memory, though nothing else was graded meanwhile"
        written = [os.fstatvfs(number) for number in self.folders]
        if sum(one.f_files - one.f_ffree for one in written) > FILES:
            return f"more than {FILES:,} files"
        family = self._family()
        if len(family) > PROCESSES:
            return f"more than {PROCESSES} processes"

        def used(exact):
            total = sum((one.f_blocks - one.f_bfree) * one.f_frsize for one in written)
            for process in family:
                try:
                    memory = process.memory_full_info() if exact else process.memory_info()
                    total += getattr(memory, "pss", memory.rss)  # pss counts once what several processes share
                except psutil.Error:
                    continue
            return total

        if self.group and self.group.exceeded():
            return _too_much_memory()
        if used(False) > MEMORY_OF_ALL and used(True) > MEMORY_OF_ALL:  # the exact count is slow
            return _too_much_memory()
        return None

    def kill(self):
        """End the sandbox and everything in it."""
        if self.sandboxes.isolation.bwrap:
            # Bubblewrap's first process takes all others with it; but its second one may not yet have said so.
            if self.process.returncode is None:
                with contextlib.suppress(OSError):
                    os.killpg(self.process.pid, signal.SIGKILL)
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


def _error(value):
    if not isinstance(value, dict):
        return None
    return {key: _text(value.get(key)) or "" for key in ("type", "message")}


def _text(value):
    return value if isinstance(value, str) else None
