"""Training by several processes, the ranks of MPI, on one machine or on many.

Every rank has the whole model and makes the same batches, but computes with its own rows of them. The gradients of all
ranks are summed, weighted by the targets that each rank's loss counts, so all ranks make the same step and stay equal.

``train`` (``common/training/run.py``) asks an ``Alone`` or a ``Ranks``, and does not know which.
"""

import hashlib
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

from common.np import host, np, to_cpu, use_device
from common.parallel import DataParallel, limit_threads, number_of_rows, replica, rows_of
from common.util import echo

STARTED_BY = (
    "PMI_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "PMIX_RANK",
)  # set by the starters of MPICH and Open MPI, and by Slurm
GRACE = 2.0  # seconds in which the other ranks may fail as well, before one that failed ends them all
PAUSE = 0.002  # seconds between two looks whether rank 0 has finished


class Alone:
    """A single process: what it would do for the other ranks is nothing."""

    rank, size = 0, 1

    def first(self, call):
        """Call a function on rank 0 and return on every rank what it returned; what it raises is raised on all."""
        return call()

    def gather(self, value):
        """Return what all ranks hand over, a list: on rank 0; on the others, None."""
        return [value]

    def agree(self, flag):
        """Return whether the flag is up on any rank."""
        return flag

    def own(self, model):
        """Return the model for this rank: the same weights, but random streams of its own."""
        return model

    def parallel(self, model):
        """Return the model as one that computes with this rank's part of a batch, on all cores it has."""
        return DataParallel(model)

    def check_same(self, facts):
        """Raise a RuntimeError on all ranks unless a dict of facts is the same on all."""

    def check_weights(self, model, step):
        """Raise a RuntimeError on all ranks unless the weights are equal on all, bit by bit."""

    def record(self):
        """Return what the history should say about the ranks, a dict."""
        return {}

    @contextmanager
    def listening(self):
        """Within the block Ctrl-C is answered by all ranks together."""
        yield


class Ranks(Alone):
    """The processes of a communicator of mpi4py.

    Attributes: rank, of this process, from 0; size, the number of ranks; calls, nbytes, what this rank has handed to
    all-reduces, ``steps``, the number of training steps in which it has.
    """

    def __init__(self, comm):
        self.comm, self.failures = comm, comm.Dup()  # a rank that has failed must not meet the messages of training
        self.rank, self.size = comm.rank, comm.size
        self.calls = self.nbytes = self.steps = 0
        self._presses, self._interruptible = 0, False
        self._buffer = None

    # --- one for all -------------------------------------------------------------------------------------------

    def first(self, call):
        """As Alone.first; the other ranks sleep meanwhile."""
        result = error = None
        if self.rank == 0:
            self._interruptible = True
            try:
                result = call()
            except BaseException as caught:
                error = caught
            finally:
                self._interruptible = False
        self.wait()
        result, told = self.comm.bcast((result, _sendable(error)))
        if told is not None:
            raise told if error is None else error
        return result

    def gather(self, value):
        """As Alone.gather."""
        return self.comm.gather(value)

    def wait(self):
        """Wait until all ranks are here, without keeping a core busy."""
        _complete(self.comm.Ibarrier())

    def agree(self, flag):
        """As Alone.agree, and whether Ctrl-C was pressed between two steps; called once in every step."""
        self.steps += 1
        flags = host.array([flag or self._presses > 0], host.int32)
        return bool(self._sum(flags)[0])

    @contextmanager
    def listening(self):
        """As Alone.listening: it is remembered until the next step ends, but ends at once what rank 0 does for all."""

        def handler(signum, frame):
            self._presses += 1
            if self._interruptible:
                raise KeyboardInterrupt

        previous = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or previous in (signal.SIG_IGN, None):
            yield
            return
        signal.signal(signal.SIGINT, handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    # --- the model ---------------------------------------------------------------------------------------------

    def own(self, model):
        """As Alone.own: rank k draws as the k-th replica of a DataParallel would."""
        made = model
        for _ in range(self.rank):
            made = replica(model)
        return made

    def parallel(self, model):
        """As Alone.parallel, a RankParallel."""
        return RankParallel(model, self)

    def sum_numbers(self, *numbers):
        """Return the sums of numbers over all ranks, a list of floats."""
        return self._sum(host.array(numbers, host.float64)).tolist()

    def sum_arrays(self, arrays):
        """Replace arrays by their sums over all ranks, in place, with one all-reduce over one buffer in main memory."""
        arrays = list({id(array): array for array in arrays}.values())
        size = sum(array.size for array in arrays)
        dtype = host.result_type(*(array.dtype for array in arrays))
        if self._buffer is None or (self._buffer.size, self._buffer.dtype) != (size, dtype):
            self._buffer = host.empty(size, dtype)
        ends = host.cumsum([array.size for array in arrays])[:-1]
        pieces = host.split(self._buffer, ends)  # views
        for piece, array in zip(pieces, arrays, strict=True):
            piece[...] = to_cpu(array).ravel()
        self._sum(self._buffer)
        for piece, array in zip(pieces, arrays, strict=True):
            array[...] = np.asarray(piece.reshape(array.shape).astype(array.dtype, copy=False))

    def _sum(self, array):
        """Replace a contiguous array by its sum over all ranks; return it."""
        from mpi4py import MPI

        self.comm.Allreduce(MPI.IN_PLACE, array, MPI.SUM)
        self.calls += 1
        self.nbytes += array.nbytes
        return array

    # --- what must be equal ------------------------------------------------------------------------------------

    def check_same(self, facts):
        """As Alone.check_same; the message names the rank and the first fact that differs from rank 0's."""
        found = self.comm.allgather(facts)
        for rank, theirs in enumerate(found):
            for key in found[0].keys() | theirs.keys():
                mine, other = found[0].get(key), theirs.get(key)
                if mine != other:
                    what = SENTENCES.get(key, f"{key} = {other}, and rank 0 has {mine}")
                    raise RuntimeError(f"rank {rank} has {what}; all ranks must be started with the same")

    def check_weights(self, model, step):
        """As Alone.check_weights; compared is a hash."""
        digest = hashlib.blake2b(digest_size=16)
        for array in {id(p): p for p in model.params}.values():
            digest.update(host.ascontiguousarray(to_cpu(array)))
        found = self.comm.allgather(digest.digest())
        others = [rank for rank in range(self.size) if found[rank] != found[0]]
        if others:
            raise RuntimeError(
                f"after step {step} the weights of rank {others[0]} are not those of rank 0, so what the ranks compute "
                "together is worth nothing from here on; the last checkpoint is whole, go on from it with --resume"
            )

    def record(self):
        """As Alone.record: the number of ranks, and what each hands to all-reduces in a training step."""
        if not self.steps:
            return {}
        return {
            "ranks": {
                "size": self.size,
                "allreduces_per_step": round(self.calls / self.steps, 2),
                "bytes_per_step": round(self.nbytes / self.steps, 2),
            }
        }

    # --- ending ------------------------------------------------------------------------------------------------

    def failed(self, error):
        """Called on a rank that cannot go on because of an exception.

        If every rank fails within GRACE seconds, all of them end by themselves, and rank 0 reports: it returns the
        exception to raise, on the others SystemExit. If some go on, they would wait for this one forever: then a line
        is written here, and everything is ended.
        """
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
        if not _complete(self.failures.Ibarrier(), GRACE):
            if not isinstance(error, EXPECTED):
                traceback.print_exception(error)
            echo(f"error: rank {self.rank} {_sentence(error)}; all ranks end", file=sys.stderr, flush=True)
            self.comm.Abort(code)
        found = self.failures.allgather(_sentence(error))
        if self.rank:
            return SystemExit(code)
        if len(set(found)) == 1:
            return error
        return RuntimeError("; ".join(f"rank {rank} {text}" for rank, text in enumerate(found)))


EXPECTED = (ArithmeticError, OSError, ValueError, RuntimeError, KeyboardInterrupt)  # their messages are for people
SENTENCES = {
    "task.content": "other data than rank 0",
    "code": "another version of the code than rank 0",
}


def _sentence(error):
    if isinstance(error, KeyboardInterrupt):
        return "was interrupted"
    return f"failed: {error}" if isinstance(error, EXPECTED) else f"failed: {type(error).__name__}: {error}"


def _sendable(error):
    """Return an exception that can be sent to another process: this one, or one with the same message."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _complete(request, seconds=None):
    """Wait until a request is complete, asleep most of the time; return False if ``seconds`` have passed before."""
    begin = time.monotonic()
    while not request.Test():
        if seconds is not None and time.monotonic() - begin > seconds:
            return False
        time.sleep(PAUSE)
    return True


# --- the model -------------------------------------------------------------------------------------------------


class RankParallel(DataParallel):
    """A model that every rank gives its own rows of a batch; otherwise a DataParallel on each rank.

    forward returns the mean loss over the whole batch, backward writes the gradients of that loss into ``grads``: on
    all ranks the same numbers. A rank counts as much as its rows have targets; one without rows counts nothing.
    """

    _own = DataParallel._own | {"ranks", "_part"}

    def __init__(self, model, ranks, min_rows=24):
        super().__init__(model, min_rows)
        self.ranks, self._part = ranks, None

    @property
    def count(self):
        """The number of targets of the last forward call, those of all ranks."""
        return self._part[1]

    def forward(self, *arrays, **named):
        """As DataParallel.forward, of the whole batch."""
        N, rank, size = number_of_rows(arrays, named), self.ranks.rank, self.ranks.size
        rows = slice(rank * N // size, (rank + 1) * N // size)
        self._part, loss, count = None, 0.0, 0
        if rows.start < rows.stop:
            own = [rows_of(value, rows) for value in arrays]
            loss = float(super().forward(*own, **{name: rows_of(value, rows) for name, value in named.items()}))
            count = super().count
        total, targets = self.ranks.sum_numbers(loss * count if count else 0.0, count)
        self._part = (count, targets)
        return total / targets if targets else 0.0

    def backward(self, dout=1):
        """As DataParallel.backward; the gradients are summed over all ranks."""
        if self._part is None:
            raise RuntimeError("RankParallel.backward: there is no forward call to go back from; call forward first")
        count, targets = self._part
        if count:
            super().backward(dout * (count / targets))
        else:
            for grad in self.model.grads:
                grad[...] = 0
        self.ranks.sum_arrays(self.model.grads)


# --- beginning -------------------------------------------------------------------------------------------------


@contextmanager
def connected(program):
    """Connect to the other processes that mpiexec has started; yield the Ranks.

    Each rank computes with its share of the cores of its machine, or with a GPU of its own. What is raised within the
    block on any rank ends all of them, see ``Ranks.failed``. Args: program, as in "python -m ch08.train".

    Raises: RuntimeError where mpi4py or an MPI is missing, or if the program was not started by mpiexec.
    """
    ranks = Ranks(_world(program))
    try:
        neighbors = ranks.comm.Split_type(_mpi().COMM_TYPE_SHARED)
        use_device(neighbors.rank)
        limit_threads(max(_cores() // neighbors.size, 1))
        ranks.check_same({"program": program})
        yield ranks
        ranks.wait()  # a rank that ends early would have the others ended by mpiexec
    except BaseException as error:
        raise ranks.failed(error) from None


def _mpi():
    """Return mpi4py's module MPI, which starts MPI when it is first imported."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RuntimeError(f'--mpi needs mpi4py and an MPI ({reason}); pip install -e ".[mpi]" installs both') from None
    return MPI


def _world(program):
    MPI = _mpi()
    comm = MPI.COMM_WORLD
    started = [os.environ[name] for name in STARTED_BY if name in os.environ]
    if comm.size == 1 and not started:
        raise RuntimeError(
            f"--mpi is for several processes, and this is one; start them with mpiexec -n 2 {program} NAME --mpi"
        )
    sizes = [os.environ[name] for name in STARTED_BY[:2] if name in os.environ]
    if sizes and int(sizes[0]) != comm.size:
        raise RuntimeError(
            f"mpiexec has started {sizes[0]} processes, but this one sees {comm.size}: it belongs to another MPI than "
            f"the one that mpi4py has found, {MPI.Get_library_version().splitlines()[0]}"
        )
    return comm


def _cores():
    """Return the number of cores that the processes of this machine may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def code_version():
    """Return a short name for the source text of the course's loaded modules: other text, another name."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    files = {str(vars(module).get("__file__")) for module in list(sys.modules.values())}
    for file in sorted(file for file in files if file.startswith(f"{root}{os.sep}") and file.endswith(".py")):
        parts = Path(file).relative_to(root).parts
        if parts[0] in sys.modules:  # not what a virtual environment in the root holds
            digest.update("/".join(parts).encode() + Path(file).read_bytes())
    return digest.hexdigest()[:16]
