"""Start a program as several processes, the ranks of MPI, from a notebook or a script.

    why = missing()                                  # None, or a sentence: what is not there
    if not why:
        print(mpiexec(2, ["-m", "ch08.train", "gnmt", "--mpi"], folder=ROOT))

On Colab there is no mpi4py, and a notebook then shows what was stored.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# Without a network between machines, and as root in a container, MPICH and Open MPI want to be told so. A rank writes
# what it has printed at its end, at once: unbuffered, the lines of several would run into one another.
HERE = {
    "PYTHONUNBUFFERED": "",
    "HYDRA_LAUNCHER": "fork",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


def starter():
    """Return the path of mpiexec, that of this Python's environment first, or None."""
    return shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")


def missing():
    """Return None if several processes can be started here, or what is missing, as a sentence."""
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed"
    if starter() is None:
        return "there is no mpiexec"
    return None


def mpiexec(size, words, *, folder, seconds=600):
    """Run Python ``size`` times side by side on this machine, with one thread each; return what all printed.

    The lines come in alphabetical order, since those of several processes mix as they like. Args: words, of Python's
    command line; folder, to run in. Raises: RuntimeError with what was written to standard error if a rank fails, or
    if there is no MPI; subprocess.TimeoutExpired after ``seconds``.
    """
    why = missing()
    if why:
        raise RuntimeError(f'{why}: pip install -e ".[mpi]" installs what is needed')
    command = [starter(), "-n", str(size), sys.executable, *map(str, words)]
    environment = os.environ | dict.fromkeys(THREADS, "1") | HERE
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        raise RuntimeError(f"{size} processes ended with exit code {done.returncode}:\n{done.stderr.strip()}")
    return "\n".join(sorted(done.stdout.splitlines()))
