"""What holds for every test: all cores, repeatable randomness, figures without a window, and no silent skip in CI.

The whole suite runs on all cores, a file at a time in each process, with one thread each: several libraries that each
want all cores only wait for one another. `-n 0` on the command line, a debugger, or the name of a file or test turns
that off.

Tests in `tests/parity/` compare with PyTorch, tests in `tests/browser/` drive a browser. On a reader's
machine the parity tests are skipped where PyTorch is not installed. With CI=true in the environment a missing
PyTorch is a failure, and so is any other skip of a parity, browser or grading test: there they are promised to run.
"""

import importlib.util
import os
import signal
from pathlib import Path

import hypothesis
import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")  # no window
os.environ.pop("MPLBACKEND", None)  # nothing that the kernels of notebooks would inherit: they draw into the notebook
os.environ["ATTENTION_PROGRESS"] = "off"  # what tests solve is not what whoever runs them has solved

TESTS = Path(__file__).parent
ROOT = TESTS.parent
IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
HAS_TORCH = importlib.util.find_spec("torch") is not None
NO_TORCH = "PyTorch is not installed"
PROMISED = ("parity", "browser", "grading", "mpi")  # markers; but for mpi, also the folders of tests/ that have them

# Time limits per example would fail on a busy machine; pytest-timeout has the last word. CI draws the same
# examples every time, so that a red run is always the fault of the change.
hypothesis.settings.register_profile("course", deadline=None, derandomize=IN_CI)
hypothesis.settings.load_profile("course")


# A shell that starts tests in the background has them ignore Ctrl-C, which some of them press.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What takes longest begins first, so that no core waits for another at the end. The adversaries wait more than they
# compute, so they leave the core that they share to others.
LONGEST_FIRST = ("tests/grading/test_adversarial.py", "notebooks/", "tests/grading/", "tests/notebooks/test_colab.py")
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads how many processes are wanted
def pytest_cmdline_main(config):
    """Use all cores for a run of everything; whatever the number of processes is, keep files together."""
    if hasattr(config, "workerinput"):  # this is one of the processes
        return
    option = config.option
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    plain = not (option.usepdb or option.trace or option.collectonly or option.capture == "no")
    if getattr(option, "numprocesses", 0) is None and whole and plain:
        option.numprocesses = 1 + (os.cpu_count() or 1)  # one waits while the adversaries of the grader run
    if getattr(option, "numprocesses", None):
        for name in THREADS:
            os.environ.setdefault(name, "1")  # read when NumPy and PyTorch are loaded, in the processes to come
        if option.dist == "no":
            option.dist, option.loadscopereorder = "loadfile", False


def _place_in_line(item):
    """The number of the first of LONGEST_FIRST that the test belongs to."""
    named = (k for k, beginning in enumerate(LONGEST_FIRST) if item.nodeid.startswith(beginning))
    return next(named, len(LONGEST_FIRST))


@pytest.fixture(autouse=True)
def _seeded():
    """Every test starts from the same global random state, whatever ran before it."""
    np.random.seed(0)


@pytest.fixture
def rng():
    """A random generator of the test's own."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def root():
    """The root of the repository."""
    return ROOT


def _skip_or_fail():
    if IN_CI:
        message = f"{NO_TORCH}, and CI promises the parity tests. Install it: pip install torch"
        pytest.fail(message, pytrace=False)
    pytest.skip(NO_TORCH)


class _MissingTorch(pytest.Item):
    """Stands for a file of parity tests where there is no PyTorch to import."""

    def runtest(self):
        _skip_or_fail()

    def reportinfo(self):
        return self.path, 0, str(self.path)


class _ModuleWithoutTorch(pytest.Module):
    """A file of parity tests that is not imported."""

    def collect(self):
        return [_MissingTorch.from_parent(self, name=NO_TORCH)]


def _folder(path):
    """The folder of tests/ that holds the file `path`, "" outside of tests/."""
    return path.relative_to(TESTS).parts[0] if path.is_relative_to(TESTS) else ""


def pytest_pycollect_makemodule(module_path, parent):
    """Leave files of tests/parity/ unread where PyTorch is missing: they import it in their first lines."""
    if not HAS_TORCH and _folder(module_path) == "parity":
        return _ModuleWithoutTorch.from_parent(parent, path=module_path)
    return None


# First, because pytest's own choice by marker (-m) comes in the same hook and must see the markers set here.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Tests in tests/parity/ and so on carry the marker of that name; in parallel, the longest begin first."""
    for item in items:
        if _folder(item.path) in PROMISED:
            item.add_marker(_folder(item.path))
    if hasattr(config, "workerinput"):
        items.sort(key=_place_in_line)


def pytest_runtest_setup(item):
    """The same rule for a test marked `parity` that stands elsewhere."""
    if item.get_closest_marker("parity") and not HAS_TORCH and not isinstance(item, _MissingTorch):
        _skip_or_fail()


def _fail_instead_of_skip(report):
    reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"CI promises this test, and it did not run. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a skipped test of a promised folder has failed."""
    report = yield
    expected = hasattr(report, "wasxfail")  # an xfail is reported as skipped, too
    if IN_CI and report.skipped and not expected and any(item.get_closest_marker(name) for name in PROMISED):
        _fail_instead_of_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """In CI a promised file of tests that skips itself as a whole has failed."""
    report = yield
    if IN_CI and report.skipped and _folder(collector.path) in PROMISED:
        _fail_instead_of_skip(report)
    return report
