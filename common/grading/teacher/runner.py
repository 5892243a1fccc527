"""Runs the cells of a graded notebook through nbval, within the sandbox, and reports what came of each.

nbval trusts the notebook and its kernel. These subclasses of its collectors do not:

- a cell has no markers and no tags: nothing in its source or metadata can skip it or excuse an error;
- each cell has its own limit of processor time and, far above it, of time on the clock: how much else the machine
  computes must not matter; a kernel that died is noticed at once;
- after a timeout or a crash no further cell runs: the grader starts again without the culprit;
- of a cell's output only a probe's message is kept, and malformed messages are ignored.
"""

import json
import os
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from queue import Empty

import nbval.kernel
import psutil
import pytest
from nbformat import NotebookNode
from nbval.plugin import IPyNbCell, IPyNbFile, NbCellError

from common.grading.teacher.probe import MIME

MAX_DATA = 2**22  # characters that a probe may publish
MAX_TEXT = 4000
STARTUP = 240  # seconds
READ_OUTPUT = 15  # seconds, to read what a cell printed after it has ended
READ_LATE = 1  # seconds, to read what came before a deadline
LOOK = 0.2  # seconds between two looks at the processor time
NOTEBOOK = "graded.ipynb"


class Stopped(Exception):
    """The cell ended the kernel, or did not end in time."""

    def __init__(self, how, why=""):
        super().__init__(how)
        self.how, self.why = how, why


class Kernel(nbval.kernel.RunningKernel):
    """nbval's kernel that notices its death and a deadline, and uses files instead of ports where it can."""

    limits = None  # of the processor time as ``seconds`` counts it, and of ``time.monotonic()``
    looked, used = 0.0, 0.0  # when ``seconds`` was last called for the limit, and what it returned
    failed = None  # the error in the reply to a cell

    def __init__(self, folder, startup):
        sockets = os.path.join(os.environ["JUPYTER_RUNTIME_DIR"], "k")
        transport = {"transport": "ipc", "ip": sockets} if os.name == "posix" else {}
        manager = nbval.kernel.KernelManager(
            kernel_name=nbval.kernel.CURRENT_ENV_KERNEL_NAME,
            kernel_spec_manager=nbval.kernel.NbvalKernelspecManager(),
            **transport,
        )
        options = ["--HistoryManager.enabled=False", "--IPKernelApp.log_level=50"]
        manager.start_kernel(
            extra_arguments=options,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ),
        )
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=startup)
        self.km, self.kc = manager, client
        self._ensure_iopub_up()

    def seconds(self):
        """Return the processor time that students' code has taken: that of all processes of the sandbox but this one.

        Not only that of the kernel, since its children could compute for it.
        """
        here = os.getpid()
        if os.getppid() == 1:  # in a sandbox, where no other processes are
            family = psutil.process_iter()
        else:
            try:
                kernel = psutil.Process(self.km.provisioner.process.pid)
                family = [kernel, *kernel.children(recursive=True)]
            except (psutil.Error, AttributeError):
                family = []
        total = 0.0
        for process in family:
            try:
                times = process.cpu_times() if process.pid != here else None
            except psutil.Error:
                continue  # it has ended, and its time counts as that of a child
            if times:
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def execute_cell_input(self, cell_input, allow_stdin=None):
        """Send a cell and keep the message's id."""
        self.msg_id = super().execute_cell_input(cell_input, allow_stdin)
        return self.msg_id

    def get_message(self, stream, timeout=None):
        """Return a message. Raises: Empty after ``timeout``, Stopped if it is too late or the kernel is dead.

        What has arrived is read before it is said to be late.
        """
        get = self.kc.get_iopub_msg if stream == "iopub" else self.kc.get_shell_msg
        give_up_at = time.monotonic() + (timeout or 0)
        while True:
            late = self._late()
            if late > READ_LATE:
                raise Stopped("timeout")
            try:
                message = get(timeout=0.2)
                if isinstance(message.get("parent_header"), dict) and isinstance(message.get("content"), dict):
                    if stream == "shell" and message["content"].get("status") == "error":
                        self.failed = error_in(message["content"])
                    return message
            except Empty:
                if not self.km.is_alive():
                    code = getattr(self.km.provisioner, "process", None)
                    raise Stopped("crashed", _exit_in_words(code.poll() if code else None)) from None
                if late > 0:
                    raise Stopped("timeout") from None
            except Exception:
                continue  # ignore a message that cannot be read
            if time.monotonic() > give_up_at:
                raise Empty

    def _late(self):
        """Return by how many seconds the limits of the cell are exceeded, at most 0 if they are not."""
        if self.limits is None:
            return 0.0
        now = time.monotonic()
        if now > self.looked + LOOK:
            self.looked, self.used = now, self.seconds()
        processor, clock = self.limits
        return max(self.used - processor, now - clock)


def error_in(content):
    """Return type and message of the error in a message's content."""
    return {"type": str(content.get("ename", ""))[:200], "message": str(content.get("evalue", ""))[:MAX_TEXT]}


def _exit_in_words(code):
    if code is None:
        return "it is gone"
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


class GradedFile(IPyNbFile):
    """nbval's notebook with the cells of the grader's task."""

    def setup(self):
        """Start a kernel."""
        try:
            self.kernel = Kernel(os.getcwd(), STARTUP)
        except Exception as error:
            self.plan.report("failed", why=f"no kernel: {type(error).__name__}: {error}"[:MAX_TEXT])
            os._exit(1)
        self.plan.report("ready")

    def collect(self):
        """Yield the steps as cells, without any options that nbval would read from them."""
        for number, step in enumerate(self.plan.steps):
            cell = NotebookNode(cell_type="code", source=step["source"], metadata={}, outputs=[], execution_count=None)
            yield GradedCell.from_parent(
                self, name=f"Cell {number}", cell_num=number, cell=cell, options=defaultdict(bool)
            )

    def get_kernel_message(self, timeout=None, stream="iopub"):
        """Return the next message about how the cell ended; keep what a probe publishes."""
        kernel = self.kernel
        while True:
            try:
                message = kernel.get_message(stream, timeout)
            except Empty:  # a message was lost in a flood of output; the cell has ended nevertheless
                return {
                    "msg_type": "status",
                    "content": {"execution_state": "idle"},
                    "parent_header": {"msg_id": kernel.msg_id},
                }
            content, kind = message["content"], message.get("msg_type")
            if message["parent_header"].get("msg_id") != kernel.msg_id:
                continue
            if kind == "status" and "execution_state" in content:
                return message
            if kind == "error":
                self.error = error_in(content)
                message["content"] = {"ename": "", "evalue": "", "traceback": []}
                return message
            if kind == "display_data" and isinstance(content.get("data"), dict) and MIME in content["data"]:
                self.data = content["data"][MIME]


class GradedCell(IPyNbCell):
    """nbval's cell with its own deadline, reported to the grader."""

    def setup(self):
        """Do nothing: nbval would expect the cells after a timeout to fail."""

    def runtest(self):
        """Run the cell as nbval does, and report."""
        file, plan = self.parent, self.parent.plan
        step = plan.steps[self.cell_num]
        file.error = file.data = file.kernel.failed = None
        plan.report("begin", i=step["i"])
        before = file.kernel.seconds()
        file.kernel.limits = before + step["seconds"], time.monotonic() + step["clock"]
        self.config.option.nbval_cell_timeout = step["clock"] + 1
        self.output_timeout = READ_OUTPUT
        try:
            if not file.kernel.km.is_alive():  # it died after reporting that the previous cell was done
                raise Stopped("crashed", "it was gone before the cell began")
            super().runtest()
        except NbCellError:
            pass  # file.error has it
        except Stopped as stopped:
            plan.report(stopped.how, i=step["i"], why=stopped.why)
            os._exit(0)  # the kernel and everything it started end with the sandbox
        except Exception as error:
            file.error = file.error or {"type": type(error).__name__, "message": str(error)[:MAX_TEXT]}
        finally:
            file.kernel.limits = None
        file.error = file.error or file.kernel.failed  # the message with the error can be lost
        data = None
        if file.data is not None:
            try:
                data = json.dumps(file.data)
            except (ValueError, TypeError, RecursionError):
                data = '"not JSON"'
            if len(data) > MAX_DATA:
                data, file.error = None, {"type": "an error", "message": "what the answer returns is too large"}
        plan.report("end", i=step["i"], error=file.error, data=data, seconds=file.kernel.seconds() - before)


class Plan:
    """A pytest plugin that collects the one notebook, and reports to the grader."""

    def __init__(self, steps, out):
        self.steps, self.out = steps, out

    def report(self, event, **more):
        """Write one event to the grader."""
        self.out.write(json.dumps({"event": event, **more}) + "\n")
        self.out.flush()

    def pytest_collect_file(self, file_path, parent):
        """Collect the graded notebook."""
        if file_path.name != NOTEBOOK:
            return None
        file = GradedFile.from_parent(parent, path=file_path)
        file.plan = self
        return file


def run(task, out):
    """Run the steps of a task: dicts with i, source and seconds."""
    here = Path.cwd()
    (here / "pytest.ini").write_text("[pytest]\n")
    (here / NOTEBOOK).write_text("")
    plan = Plan(task["steps"], out)
    options = ["-p", "nbval.plugin", "-p", "no:cacheprovider", "-p", "no:warnings", "--noconftest", "--capture=no"]
    pytest.main(["-c", "pytest.ini", "--rootdir=.", *options, NOTEBOOK], plugins=[plan])
    plan.report("done")
    os._exit(0)
