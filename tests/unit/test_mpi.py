"""Training by the ranks of MPI: equal to one process, stops and goes on together, ends with a sentence when it must."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ch08 import train as ch08_train
from common import parallel
from common.mpiexec import missing, starter
from common.ranks import code_version
from common.training.program import run_program
from common.training.run import locked
from tests.unit.test_gpu_path import run_on_the_device
from tests.unit.training_data import write_dates

ROOT = Path(__file__).resolve().parents[2]
STARTER = starter()
MISSING = missing()
NEEDS_MPI = [pytest.mark.mpi, pytest.mark.skipif(bool(MISSING), reason=str(MISSING))]

SMALL = ["--hidden-size", "8", "--batch-size", "36", "--quiet"]  # of 144 dates: four steps in an epoch
MAIN = """
import os, signal, sys, time
from ch08 import train
from common.optimizer import Adam
from common.training.program import run_program
rank = int(os.environ["PMI_RANK"])

def at_step(number, call):
    update, steps = Adam.update, []
    def patched(self, params, grads):
        steps.append(1)
        if len(steps) == number:
            call(params)
        update(self, params, grads)
    Adam.update = patched
"""
STOPPED_MEASURE = """
from ch08.recipes.dates import Dates
measure, calls = Dates.measure, []

def stopped(self, model, rows=None):
    calls.append(1)
    if len(calls) == 1:
        signal.raise_signal(signal.SIGINT)
    return measure(self, model, rows)

Dates.measure = stopped
"""
END = "\nsys.exit(run_program(train.main))"


def start(*parts, module="ch08.train", code=None, gpu=False):
    """Start mpiexec. Args: parts, each (number of ranks, words, options); code, to run in place of the module."""
    variables = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": "", "HYDRA_LAUNCHER": "fork"}
    if gpu:
        variables |= {"ATTENTION_GPU": "1", "PYTHONPATH": str(ROOT / "tests/cupy_stand_in")}
    command = [STARTER]
    for k, (n, words, *options) in enumerate(parts):
        program = ["-m", module] if code is None else ["-c", code]
        command += [":"] * (k > 0) + ["-n", str(n), *options, sys.executable, *program, *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stdout=pipe, stderr=pipe, text=True)


def finish(process):
    """Wait for mpiexec; return what ``subprocess.run`` would."""
    out, err = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def mpiexec(n, words, **options):
    return finish(start((n, words), **options))


def succeeded(done, code=0):
    assert done.returncode == code, done.stdout + done.stderr
    return done


def failed(done, *sentences):
    """The run must have ended with one line for each of these beginnings, and with no traceback."""
    assert done.returncode not in (0, 130), done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(sentences), done.stderr
    for line, sentence in zip(errors, sentences, strict=True):
        assert line.startswith(f"error: {sentence}")
    assert "Traceback" not in done.stderr


def weights(folder):
    """The parameters that a run has left."""
    with np.load(folder / "weights.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if arrays[name].dtype.kind == "f"}


def equal(a, b, tolerance=0.0):
    """Whether two runs left the same weights, up to the tolerance."""
    a, b = weights(a), weights(b)
    return a.keys() == b.keys() and all(np.abs(a[name] - b[name]).max() <= tolerance for name in a)


def history(folder):
    return json.loads((folder / "history.json").read_text())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A file of 160 dates."""
    return write_dates(tmp_path_factory.mktemp("data") / "dates.txt")


@pytest.fixture(scope="module")
def two(tmp_path_factory, data):
    """What two ranks leave that train for two epochs undisturbed."""
    out = tmp_path_factory.mktemp("two")
    succeeded(mpiexec(2, words(data, out)))
    return out


def words(data, out, *more, epochs=2):
    """Of a command line: every kind of noise that the task of dates has, and attention."""
    return ["attention", "--mpi", "--data", data, "--out", out, "--epochs", epochs, *SMALL, *more]


class TestMPI:
    """Needs an MPI."""

    pytestmark = NEEDS_MPI

    # --- equal to one process ----------------------------------------------------------------------------------

    @pytest.mark.parametrize("n", [2, 3])
    def test_ranks_make_the_steps_of_one_process(self, data, tmp_path, n):
        succeeded(mpiexec(n, words(data, tmp_path / "many")))
        alone = [word for word in words(data, tmp_path / "one") if word != "--mpi"]
        assert ch08_train.main(argv=list(map(str, alone))) == 0
        assert equal(tmp_path / "one", tmp_path / "many", 1e-5)
        one, many = history(tmp_path / "one"), history(tmp_path / "many")
        assert [e["loss"] for e in many["epochs"]] == pytest.approx([e["loss"] for e in one["epochs"]], abs=2e-5)
        assert many["measures"] == one["measures"]
        size = sum(array.size for array in weights(tmp_path / "one").values())
        assert many["ranks"] == {"size": n, "allreduces_per_step": 3.0, "bytes_per_step": 4.0 * size + 16 + 4}

    def test_a_seeded_run_is_the_same_twice(self, data, two, tmp_path):
        succeeded(mpiexec(2, words(data, tmp_path)))
        assert equal(two, tmp_path)

    def test_sentences_of_different_lengths_with_dropout(self, tmp_path, monkeypatch):
        """Ranks have different numbers of targets; each drops what the same part of a DataParallel would drop."""
        lines = [f"Der {'große ' * (k % 7)}Satz {k}.\tThe {'big ' * (k % 5)}sentence {k}." for k in range(130)]
        pairs = tmp_path / "pairs.tsv"
        pairs.write_text("\n".join(lines), encoding="utf-8")
        sizes = ["--data", pairs, "--epochs", 1, "--hidden-size", 8, "--batch-size", 48, "--quiet"]
        succeeded(mpiexec(2, ["multi30k-notes", "--mpi", *sizes, "--out", tmp_path / "many"]))
        monkeypatch.setattr(parallel, "workers", lambda: 2)
        monkeypatch.setattr(parallel, "run", lambda calls: [call() for call in calls])
        monkeypatch.setattr(parallel.DataParallel, "__init__", _small_parts)
        assert ch08_train.main(argv=list(map(str, ["multi30k-notes", *sizes, "--out", tmp_path / "one"]))) == 0
        assert equal(tmp_path / "one", tmp_path / "many", 1e-5)

    def test_the_parts_of_a_batch(self):
        """Sums, gradients where ranks count differently, ranks without targets and without rows, exceptions for all."""
        done = succeeded(finish(start((3, []), code=PARTS)))
        assert sorted(filter(str.isdigit, done.stdout)) == ["0", "1", "2"]  # lines of ranks can run into one another

    def test_chapter_7_trains_its_three_variants(self, additions_file, tmp_path):
        sizes = ["--data", additions_file, "--epochs", 1, *SMALL]
        done = succeeded(mpiexec(2, ["--mpi", "--out", tmp_path / "many", *sizes], module="ch07.train"))
        assert done.stdout.count("\nreversed ") == 2  # a line when it is done, and one of the table
        again = succeeded(mpiexec(2, ["--mpi", "--out", tmp_path / "many", *sizes], module="ch07.train"))
        assert again.stdout == done.stdout  # nothing was trained again
        curves = json.loads((tmp_path / "many" / "curves.json").read_text())
        assert [run["system"] for run in curves["runs"]] == ["plain", "reversed", "peeky"]

    def test_on_the_device(self, data, two, tmp_path):
        """On the strict stand-in for CuPy; two ranks share its one device."""
        succeeded(mpiexec(2, words(data, tmp_path), gpu=True))
        assert equal(two, tmp_path, 1e-5)

    # --- interrupting and resuming -----------------------------------------------------------------------------

    def test_ctrl_c_on_one_rank_stops_all_and_any_number_can_resume(self, data, two, tmp_path):
        code = MAIN + "if rank == 1: at_step(6, lambda params: signal.raise_signal(signal.SIGINT))" + END
        out = tmp_path / "2"
        done = succeeded(mpiexec(2, words(data, out), code=code), 130)
        assert done.stdout.count("Interrupted; what was learned is kept.") == 1
        assert history(out)["loss"] == []
        for n in (1, 3):
            shutil.copytree(out, tmp_path / f"{n}")
        succeeded(mpiexec(2, words(data, out, "--resume")))
        assert equal(two, out)
        succeeded(mpiexec(3, words(data, tmp_path / "3", "--resume")))
        assert equal(two, tmp_path / "3", 1e-5)
        alone = [word for word in words(data, tmp_path / "1", "--resume") if word != "--mpi"]
        assert ch08_train.main(argv=list(map(str, alone))) == 0
        assert equal(two, tmp_path / "1", 1e-5)

    def test_every_rank_goes_on_with_its_own_dropout(self, data, tmp_path):
        """Each in a stream of its own: with other masks the weights would be others."""

        def dropping(folder, *more):
            return ["transformer-dates", *words(data, tmp_path / folder, *more)[1:]]

        code = MAIN + "if rank == 1: at_step(6, lambda params: signal.raise_signal(signal.SIGINT))" + END
        succeeded(mpiexec(2, dropping("whole")))
        succeeded(mpiexec(2, dropping("cut"), code=code), 130)
        succeeded(mpiexec(2, dropping("cut", "--resume")))
        assert equal(tmp_path / "whole", tmp_path / "cut")

    def test_ctrl_c_while_rank_0_measures(self, data, two, tmp_path):
        succeeded(mpiexec(2, words(data, tmp_path), code=MAIN + STOPPED_MEASURE + END), 130)
        succeeded(mpiexec(2, words(data, tmp_path, "--resume")))
        assert equal(two, tmp_path)

    def test_ctrl_c_at_the_keyboard(self, data, tmp_path):
        """mpiexec hands it on to all ranks, which get it at different moments."""
        process = start((2, words(data, tmp_path, epochs=5000)))
        while not (tmp_path / "checkpoint.npz").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        done = succeeded(finish(process), 130)
        assert "Go on with the same command and --resume." in done.stdout
        assert weights(tmp_path)

    # --- failures ----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("how", ["killed", "raises"])
    def test_a_rank_that_dies_ends_the_others_and_the_checkpoint_is_whole(self, data, two, tmp_path, how):
        """It dies in the second epoch; mpiexec has the word when there is nobody left to say one."""
        fault = {
            "killed": "lambda params: os.kill(os.getpid(), signal.SIGKILL)",
            "raises": "lambda params: [][1]",
        }[how]
        done = mpiexec(2, words(data, tmp_path), code=MAIN + f"if rank == 1: at_step(6, {fault})" + END)
        assert done.returncode not in (0, 130)
        sentence = (
            "BAD TERMINATION" if how == "killed" else "error: rank 1 failed: IndexError: list index out of range;"
        )
        assert sentence in done.stdout + done.stderr
        assert not (tmp_path / "weights.npz").exists()
        succeeded(mpiexec(2, words(data, tmp_path, "--resume")))
        assert equal(two, tmp_path)

    def test_a_rank_with_other_data_or_settings(self, data, tmp_path):
        other = write_dates(tmp_path / "other.txt", seed=5)
        out = tmp_path / "out"
        done = finish(start((1, words(data, out)), (1, words(other, out))))
        failed(done, "rank 1 has other data than rank 0; all ranks must be started with the same")
        done = finish(start((1, words(data, out)), (1, words(data, out, "--seed", 3))))
        failed(done, "rank 1 has seed = 3, and rank 0 has 0; all ranks must")
        assert not (out / "checkpoint.npz").exists()

    def test_a_rank_with_another_version_of_the_code(self, data, tmp_path):
        for folder in ("common", "dataset", "ch07", "ch08"):
            shutil.copytree(
                ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "pretrained")
            )
        with (tmp_path / "ch08" / "attention_layer.py").open("a") as file:
            file.write("# changed\n")
        given = words(data, tmp_path / "out")
        done = finish(start((1, given), (2, given, "-wdir", str(tmp_path))))
        failed(done, "rank 1 has another version of the code than rank 0; all ranks")

    def test_weights_that_drift_apart_are_noticed(self, data, tmp_path):
        code = MAIN + "def drift(params): params[0][0, 0] += 1e-7\nif rank == 1: at_step(3, drift)" + END
        done = mpiexec(2, words(data, tmp_path), code=code)
        failed(done, "after step 4 the weights of rank 1 are not those of rank 0, so what the ranks compute")

    def test_more_ranks_than_rows_in_a_batch(self, data, tmp_path):
        done = mpiexec(3, words(data, tmp_path, "--batch-size", 2))
        failed(done, "a batch of 2 rows has no part for each of 3 ranks; start fewer")

    def test_what_only_rank_0_can_see_is_said_once(self, data, tmp_path):
        with locked(tmp_path / "out"):
            failed(mpiexec(2, words(data, tmp_path / "out")), "another run is writing into")
        failed(mpiexec(2, words(data, tmp_path / "out", "--resume")), f"{tmp_path / 'out' / 'checkpoint.npz'} does not")

    def test_one_process_is_told_how_to_start_several(self, data, tmp_path):
        command = [sys.executable, "-m", "ch08.train", *map(str, words(data, tmp_path))]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
        failed(
            done, "--mpi is for several processes, and this is one; start them with mpiexec -n 2 python -m ch08.train"
        )

    def test_processes_that_do_not_see_each_other(self, data, tmp_path):
        """As when mpiexec belongs to another MPI than the one that mpi4py has loaded."""
        command = [sys.executable, "-m", "ch08.train", *map(str, words(data, tmp_path))]
        variables = os.environ | {"OMPI_COMM_WORLD_SIZE": "2"}
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, env=variables)
        failed(
            done, "mpiexec has started 2 processes, but this one sees 1: it belongs to another MPI than the one that"
        )


def _small_parts(self, model, min_rows=1):
    self.__setstate__({"model": model, "min_rows": 1})


PARTS = """
import numpy as np
from common.base_model import BaseModel
from common.layers import MatMul
from common.ranks import connected

class Toy(BaseModel):
    "Mean over the targets that count of (x w - t)^2."
    def __init__(self):
        self.w = MatMul(np.arange(6.0).reshape(3, 2))
    def forward(self, x, mask):
        self.mask, self.count = mask, int(mask.sum())
        self.y = self.w.forward(x)
        with np.errstate(invalid="ignore"):
            return (self.y**2 * mask[:, None]).sum() / np.float64(self.count)
    def backward(self, dout=1):
        self.w.backward(2 * self.y * self.mask[:, None] * dout / self.count)

with connected("toy") as ranks:
    rng = np.random.default_rng(0)
    for N in (7, 3, 2, 1):
        x, mask = rng.standard_normal((N, 3)), rng.random(N) < 0.7
        mask[: N // 3] = False  # nothing counts in the first part
        mask[-1] = True
        alone, model = Toy(), ranks.parallel(Toy())
        assert abs(alone.forward(x, mask) - model.forward(x, mask=mask)) < 1e-12
        alone.backward(3.0), model.backward(3.0)
        assert np.abs(alone.grads[0] - model.grads[0]).max() < 1e-12
        assert model.count == mask.sum()
    assert model.forward(x, ~mask) == 0  # no target at all
    model.backward()
    assert not model.grads[0].any()

    shared = np.full((2, 2), ranks.rank, np.float32)
    mixed = [shared, np.arange(3.0), shared]
    ranks.sum_arrays(mixed)
    assert (shared == 3).all() and (mixed[1] == [0, 3, 6]).all() and shared.dtype == np.float32
    assert ranks.sum_numbers(1, 0.5) == [3, 1.5]
    assert ranks.agree(ranks.rank == 2) and not ranks.agree(False)
    assert ranks.first(lambda: ranks.rank + 5) == 5
    class Local(Exception):
        def __init__(self, a, b):
            super().__init__(a)
    for error, kind in (
        (OSError(28, "full"), OSError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (Local(1, 2), RuntimeError),  # cannot be sent as it is
    ):
        def fail():
            raise error
        try:
            ranks.first(fail)
        except BaseException as caught:
            assert isinstance(caught, kind if ranks.rank else type(error)), repr(caught)
        else:
            raise AssertionError("nothing was raised")
    print(ranks.rank)
"""


# --- without MPI -----------------------------------------------------------------------------------------------


def test_without_mpi4py_the_program_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert run_program(lambda: ch08_train.main(argv=["--mpi", "--out", str(tmp_path / "out")])) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: --mpi needs mpi4py and an MPI (")
    assert error.endswith('); pip install -e ".[mpi]" installs both\n')
    assert not (tmp_path / "out").exists()


def test_the_version_of_the_code_is_that_of_the_loaded_modules(monkeypatch):
    before = code_version()
    assert before == code_version()
    monkeypatch.delitem(sys.modules, "common.ranks")
    assert code_version() != before


def test_ranks_are_spread_over_the_devices_of_a_machine(root):
    code = """
import cupy
from common.np import use_device
cupy.cuda.runtime.getDeviceCount = lambda: 2
for rank, device in enumerate([0, 1, 0, 1, 0]):
    use_device(rank)
    assert cupy.cuda.Device.current == device
print("all on the device")
"""
    run_on_the_device(root, code)


def test_a_rank_takes_no_more_threads_than_its_share(monkeypatch):
    asked, four = [], SimpleNamespace(num_threads=4)
    libraries = SimpleNamespace(lib_controllers=[four], limit=lambda limits: asked.append(limits))
    monkeypatch.setattr(parallel, "_controller", lambda: libraries)
    for n in (8, 4, 2, 1):
        parallel.limit_threads(n)
    assert asked == [2, 1]
