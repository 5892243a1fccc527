"""Mutation testing: break the layers in many small ways, one at a time, and see whether a test notices.

    python -m tests.mutation                        # all the files below
    python -m tests.mutation common/layers.py       # one of them
    python -m tests.mutation -k TimeLSTM            # only mutants whose place has this in its name

A mutant is the library with one operator, constant, slice, argument or statement changed. It is killed if a test fails
(or hangs). A survivor is a change that no test noticed: a gap in the tests, or a change that changes nothing. What is
known to change nothing stands in _EQUIVALENT below, with the reason.

How it works: pytest collects the tests once and runs them once, noting which functions each of them calls. Then every
mutant gets a forked process that puts the changed code into the functions in memory and runs the tests that call the
changed function, quickest first, until one fails. No file is written. Needs os.fork: Linux or macOS.
"""

import argparse
import functools
import importlib
import os
import signal
import sys
import time
import types
from pathlib import Path

import pytest

from tests import mutators

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    "common/layers.py",
    "common/steps.py",
    "common/recurrent.py",
    "common/time_layers.py",
    "common/unroll.py",
    "ch08/score_layers.py",
    "ch08/attention_layer.py",
    "ch08/alignment.py",
]
TESTS = [
    "layers",
    "time_layers",
    "unroll",
    "score_layers",
    "attention",
    "alignment",
    "contract",
    "gradients",
    "properties",
]
# Whole models take long and reach nothing in FILES that the tests of the layers do not reach.
LEFT_OUT = "not seq2seq and not gnmt and not model and not test_encoder and not test_decoder"

ALLOWED_TO_LIVE = "known to change nothing"


def _read_equivalent():
    """Return {(place, change): reason} from the lists below."""
    return {(place, change): reason for reason, pairs in _EQUIVALENT.items() for place, change in pairs}


# reason: the mutants, as (place, change), that change nothing a caller can see.
_EQUIVALENT = {
    "a random number in [0, 1) is never exactly the limit": [
        (
            "Dropout.forward",
            "factor = (uniform(self.rng, x.shape) < keep).astype(x.dtype) / x.dtype.type(keep)  ->  "
            "factor = (uniform(self.rng, x.shape) <= keep).astype(x.dtype) / x.dtype.type(keep)",
        ),
    ],
    "the order of equal ids changes no sum, beyond its rounding": [
        ("Embedding.backward", "order = np.argsort(ids, kind='stable')  ->  order = np.argsort(ids)"),
    ],
    "0 is the default": [
        (
            "Embedding.backward",
            "dW[ids[starts]] = np.add.reduceat(dout.reshape(-1, dW.shape[1])[order], starts, axis=0)  ->  "
            "dW[ids[starts]] = np.add.reduceat(dout.reshape(-1, dW.shape[1])[order], starts)",
        ),
    ],
    "the other weight is checked first": [
        (
            "_Recurrent.__init__",
            "for what, p, shape in (('Wx', Wx, (Wx.shape[0], self.gates * H)), ('Wh', Wh, (H, self.gates * H))):  ->  "
            "for what, p, shape in (('Wh', Wh, (H, self.gates * H)), ('Wx', Wx, (Wx.shape[0], self.gates * H))):",
        ),
    ],
    "max does not mind which comes first": [
        (
            "CrossEntropy._mean_loss",
            "return (losses if counts is None else losses[counts]).sum() / max(self.count, 1)  ->  "
            "return (losses if counts is None else losses[counts]).sum() / max(1, self.count)",
        ),
        ("CrossEntropy.backward", "share = dout / max(self.count, 1)  ->  share = dout / max(1, self.count)"),
    ],
    "the loss of a step that does not count is dropped, whatever it is": [
        (
            "CrossEntropy._mean_loss",
            "t = t if counts is None else np.where(counts, t, 0)  ->  "
            "t = t if counts is None else np.where(counts, t, 1)",
        ),
    ],
    "the last axis is the default since NumPy 2.3": [
        (
            "CrossEntropy._mean_loss",
            "losses = -np.take_along_axis(y, t[..., None], axis=-1)[..., 0]  ->  "
            "losses = -np.take_along_axis(y, t[..., None])[..., 0]",
        ),
    ],
    "all parameters of a layer have one dtype": [
        (
            "_Recurrent._last_gradient",
            "carried = np.zeros((N, H), self.params[0].dtype)  ->  carried = np.zeros((N, H), self.params[1].dtype)",
        ),
        (
            "_Recurrent._array",
            "return self._workspace.array(name, shape, self.params[0].dtype)  ->  "
            "return self._workspace.array(name, shape, self.params[1].dtype)",
        ),
    ],
    "the product of no rows is 0, so a sequence of one step needs no case of its own": [
        ("TimeRNN.backward", "if T > 1:  ->  if T >= 1:"),
        ("TimeRNN.backward", "if T > 1:  ->  if T > 0:"),
    ],
    "buffers that are named otherwise or larger than needed": [
        (
            "TimeLSTM.forward",
            "h, c = (self._array('h', T + 1, N, H), self._array('c', T + 1, N, H))  ->  "
            "h, c = (self._array('c', T + 1, N, H), self._array('h', T + 1, N, H))",
        ),
        (
            "TimeLSTM.forward",
            "h, c = (self._array('h', T + 1, N, H), self._array('c', T + 1, N, H))  ->  "
            "c, h = (self._array('h', T + 1, N, H), self._array('c', T + 1, N, H))",
        ),
        (
            "TimeLSTM.forward",
            "h, c = (self._array('h', T + 1, N, H), self._array('c', T + 1, N, H))  ->  "
            "h, c = (self._array('h', T + 1, N, H), self._array('c', T + 2, N, H))",
        ),
    ],
    "a first state of zeros adds nothing; leaving it out saves its products": [
        (
            "TimeLSTM.forward",
            "first = 0 if self._fill_state(h[0], self.h, 'h') else 1  ->  "
            "first = 0 if self._fill_state(h[0], self.h, 'h') else 0",
        ),
    ],
    "a single part can also go the way of several, at the price of a copy": [
        ("TimeAttention.forward", "if len(self.parts) == 1:  ->  if len(self.parts) == 0:"),
        ("TimeAttention.backward", "if len(self.parts) == 1:  ->  if len(self.parts) == 0:"),
    ],
    "the order of two axes, of two numbers or of two choices does not matter here": [
        (
            "Attention.forward",
            "a = np.empty((*h.shape[:-1], hs.shape[1]), np.result_type(hs, h, np.float16))  ->  "
            "a = np.empty((*h.shape[:-1], hs.shape[1]), np.result_type(h, hs, np.float16))",
        ),
        (
            "DotScore.forward",
            "hs, h = cast(np.result_type(hs, h, np.float16), hs, h)  ->  "
            "hs, h = cast(np.result_type(h, hs, np.float16), hs, h)",
        ),
        ("TimeGRU.forward", "np.add(h[t], tmp, out=h[t + 1])  ->  np.add(tmp, h[t], out=h[t + 1])"),
        ("swap", "return x.swapaxes(-1, -2)  ->  return x.swapaxes(-2, -1)"),
        (
            "TimeAttention.attention_weights",
            "return None if weights is None else list(weights.swapaxes(0, 1))  ->  "
            "return None if weights is None else list(weights.swapaxes(1, 0))",
        ),
        (
            "TimeAttention._split",
            "size = max(self.scores_in_cache // scores_per_row, 1)  ->  "
            "size = max(1, self.scores_in_cache // scores_per_row)",
        ),
    ],
    "no step is left out, so nothing is set to 0": [
        (
            "CrossEntropy.backward",
            "if counts is not None and self.count < counts.size:  ->  "
            "if counts is not None and self.count <= counts.size:",
        ),
    ],
    "how many rows go through at once changes the time, not the result": [
        ("TimeAttention", "scores_in_cache = 2 ** 16  ->  scores_in_cache = 3 ** 16"),
        ("TimeAttention", "scores_in_cache = 2 ** 16  ->  scores_in_cache = 2 ** 17"),
        ("TimeAttention", "scores_in_cache = 2 ** 16  ->  scores_in_cache = 2 ** 15"),
    ],
}
EQUIVALENT = _read_equivalent()


def mutants(file):
    """Return all mutants of a file, with the reason of those that are known to change nothing."""
    found = mutators.mutants((ROOT / file).read_text(encoding="utf-8"), file)
    for mutant in found:
        mutant.reason = EQUIVALENT.get((mutant.place, mutant.change))
    return found


# --- applying one ------------------------------------------------------------------------------------------


def apply(mutant):
    """Put the changed code into the functions and classes of the module that everybody has imported already."""
    module = importlib.import_module(module_name(mutant.file))
    namespace = {"__name__": module.__name__}
    exec(compile(mutant.make(), str(ROOT / mutant.file), "exec"), namespace)
    transplant(vars(module), namespace, functools.partial(setattr, module), module.__name__)


def transplant(old, new, put_in, owner):
    """Copy the code of functions and the plain values from the namespace ``new`` to ``old``, classes included."""
    for name in old.keys() - new.keys() if isinstance(old, types.MappingProxyType) else ():
        put_in(name, None)  # a class attribute was deleted
    for name, value in new.items():
        there = old.get(name)
        if name.startswith("__") and not isinstance(value, types.FunctionType):
            continue
        if isinstance(value, staticmethod):
            value, there = value.__func__, there.__func__
        if isinstance(value, property):
            value, there = value.fget, there.fget
        if isinstance(value, types.FunctionType):
            if value.__module__ == owner:
                there.__code__, there.__defaults__ = value.__code__, value.__defaults__
                there.__kwdefaults__ = value.__kwdefaults__
        elif isinstance(value, type):
            if value.__module__ == owner:
                transplant(vars(there), vars(value), functools.partial(setattr, there), owner)
        elif isinstance(value, int | float | str | tuple) and value != there:
            put_in(name, value)


def module_name(file):
    return file.removesuffix(".py").replace("/", ".")


# --- running tests -----------------------------------------------------------------------------------------


class Runner:
    """A pytest plugin that, instead of running the tests once, runs them once for every mutant."""

    def __init__(self, wanted, jobs):
        self.wanted, self.jobs = wanted, jobs
        self.calls = {}  # item -> names of the functions it calls
        self.seconds = {}
        self.outcomes = []  # (mutant, "killed" | "hangs" | "survived" | "no test" | "broken")
        self.failed = False

    def pytest_runtest_logreport(self, report):
        self.failed |= report.failed

    def pytest_report_teststatus(self, report):
        return report.outcome, "", ""  # no dots

    def run(self, items):
        """Run the tests until one fails; return True if none did."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return False
        return True

    def first_run(self, items):
        """Run all tests on the unchanged library; note what each calls and how long it takes."""
        files = {str(ROOT / m.file) for m in self.wanted}
        for item in items:
            called = self.calls[item] = set()

            def note(frame, event, _, called=called):
                if event == "call" and frame.f_code.co_filename in files:
                    called.add((frame.f_code.co_filename, frame.f_code.co_qualname.split(".<")[0]))

            start = time.process_time()
            sys.setprofile(note)
            try:
                passed = self.run([item])
            finally:
                sys.setprofile(None)
            self.seconds[item] = time.process_time() - start
            if not passed:
                pytest.exit(f"{item.nodeid} fails on the library as it is: fix that first", 1)

    def tests_for(self, mutant):
        """The tests that call the changed function, quickest first; all tests for what stands outside functions."""
        place = (str(ROOT / mutant.file), mutant.place)
        items = [item for item, called in self.calls.items() if place in called]
        outer = place[1]
        while not items and "." in outer:  # a function within a function runs when that one does
            outer = outer.rpartition(".")[0]
            items = [item for item, called in self.calls.items() if (place[0], outer) in called]
        if not items and mutant.place.split(".")[-1].lstrip("_")[0].isupper():
            items = list(self.calls)  # a class attribute
        return sorted(items, key=self.seconds.get)

    def start(self, mutant, items):
        """Fork a process for the mutant; return its id. It exits with 0 if all tests pass, else 1.

        It may use several times the seconds of processor time that its tests took before; then the system ends it.
        """
        sys.stdout.flush()
        limit = int(20 + 4 * sum(self.seconds[item] for item in items))
        pid = os.fork()
        if pid:
            return pid
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            code = 2
            import resource  # not on Windows

            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 10))
            apply(mutant)
            code = 1  # from here on a mutant may break anything, pytest included: then it was noticed
            code = 0 if self.run(items) else 1
        finally:
            os._exit(code)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        start = time.perf_counter()
        self.first_run(session.items)
        total = time.perf_counter() - start
        print(f"\n{len(session.items)} tests pass in {total:.0f} s. {len(self.wanted)} mutants, {self.jobs} at a time.")
        waiting, running = list(reversed(self.wanted)), {}
        while waiting or running:
            while waiting and len(running) < self.jobs:
                mutant = waiting.pop()
                items = self.tests_for(mutant)
                if not items:
                    self.note(mutant, "no test")
                    continue
                running[self.start(mutant, items)] = mutant
            if running:
                pid, status = os.wait()
                outcome = {0: "survived", 1: "killed", -signal.SIGXCPU: "hangs"}
                self.note(running.pop(pid), outcome.get(os.waitstatus_to_exitcode(status), "broken"))
        return True

    def note(self, mutant, outcome):
        self.outcomes.append((mutant, outcome))
        alive = [m for m, o in self.outcomes if o not in ("killed", "hangs")]
        if outcome not in ("killed", "hangs"):
            print(f"{ALLOWED_TO_LIVE if mutant.reason else outcome}: {mutant}", flush=True)
        if len(self.outcomes) % 100 == 0:
            print(f"... {len(self.outcomes)} of {len(self.wanted)} done, {len(alive)} alive", flush=True)


def summary(outcomes):
    """Return the table of results as lines of text, and the number of survivors that nobody has explained."""
    lines = [f"{'file':26} mutants  killed   share  known to change nothing  survivors"]
    unexplained = 0
    files = [*dict.fromkeys(m.file for m, _ in outcomes)]
    for file in [*files, "all"]:
        part = [(m, o) for m, o in outcomes if file in (m.file, "all")]
        killed = sum(o in ("killed", "hangs") for _, o in part)
        known = sum(o not in ("killed", "hangs") and m.reason is not None for m, o in part)
        unexplained = len(part) - killed - known
        share = killed / len(part)
        lines.append(f"{file:26} {len(part):7} {killed:7} {share:7.1%} {known:24} {unexplained:10}")
    return lines, unexplained


def main():
    """Run from the command line; return the exit status, 1 if there are survivors without an explanation."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", default=FILES, help=f"files to change (default: {' '.join(FILES)})")
    parser.add_argument("-k", default="", metavar="TEXT", help="only mutants whose function or change has this text")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--list", action="store_true", help="list the mutants and stop")
    args = parser.parse_args()
    if not hasattr(os, "fork"):
        parser.error("this system has no os.fork; run it on Linux or macOS")
    wanted = [m for file in args.files for m in mutants(file) if args.k in f"{m.place}: {m.change}"]
    if args.list or not wanted:
        print(*wanted, f"{len(wanted)} mutants", sep="\n")
        return 0
    os.chdir(ROOT)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # before NumPy is imported: forked processes must not share its threads
    os.environ["CI"] = "1"  # hypothesis draws the same examples every time
    runner = Runner(wanted, args.jobs)
    start = time.perf_counter()
    options = ["-o", "addopts=", "--import-mode=importlib", "-q", "--no-header", "--no-summary", "-s", "-k", LEFT_OUT]
    options += ["-p", "no:cacheprovider", "-o", "timeout=0"]
    status = pytest.main(options + [f"tests/unit/test_{name}.py" for name in TESTS], plugins=[runner])
    if len(runner.outcomes) < len(wanted):
        print(f"stopped early (pytest status {status})")
        return 2
    lines, unexplained = summary(runner.outcomes)
    print(*lines, f"{(time.perf_counter() - start) / 60:.1f} minutes", sep="\n")
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
