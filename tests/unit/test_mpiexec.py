"""Starting several processes from a notebook: what they print, and a sentence where it does not work."""

import shutil
from importlib import util

import pytest

from common import mpiexec as module
from common.mpiexec import missing, mpiexec

NEEDS_MPI = [pytest.mark.mpi, pytest.mark.skipif(bool(missing()), reason=str(missing()))]
HELLO = "from mpi4py import MPI; print(f'rank {MPI.COMM_WORLD.rank} of {MPI.COMM_WORLD.size}')"


class TestMPI:
    """Needs an MPI."""

    pytestmark = NEEDS_MPI

    def test_the_lines_of_all_ranks_come_in_order(self, root):
        assert mpiexec(3, ["-c", HELLO], folder=root) == "rank 0 of 3\nrank 1 of 3\nrank 2 of 3"

    def test_each_runs_in_the_folder_with_one_thread(self, tmp_path):
        code = "import os; print(os.getcwd(), os.environ['OPENBLAS_NUM_THREADS'])"
        assert mpiexec(2, ["-c", code], folder=tmp_path) == "\n".join([f"{tmp_path} 1"] * 2)

    def test_what_a_rank_wrote_before_it_failed_is_in_the_error(self, root):
        with pytest.raises(RuntimeError, match=r"(?s)2 processes ended with exit code [1-9].*no such file"):
            mpiexec(2, ["-c", "import sys; sys.exit('no such file')"], folder=root)


def test_without_mpi4py_it_says_so(monkeypatch):
    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "mpi4py" else found(name))
    assert missing() == "mpi4py is not installed"
    with pytest.raises(RuntimeError, match=r"mpi4py is not installed: pip install -e"):
        mpiexec(2, ["-c", ""], folder=".")


def test_without_an_mpiexec_it_says_so(monkeypatch):
    monkeypatch.setattr(util, "find_spec", lambda name: object())
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    assert module.starter() is None
    assert missing() == "there is no mpiexec"
