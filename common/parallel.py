"""Use every core: parts of a batch side by side, each with a BLAS of one thread.

A BLAS with several threads speeds up the matrix products only; between them one core computes exponentials while the
others wait. Here every core takes its own rows through all of it. NumPy releases Python's lock while it computes, so
threads are enough.

The number of parts is the number of threads that NumPy's BLAS would use (``OPENBLAS_NUM_THREADS=1`` turns all this
off). Without the package threadpoolctl, or on the GPU, everything runs in one part.
"""

import copy
import functools
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait

from common.np import GPU
from common.workspace import Workspace

_state = threading.local()  # .busy: this thread is working on a part, so what it calls must not split again


@functools.cache
def _controller():
    """Return the controller of the BLAS threads, or None where there is nothing to control."""
    if GPU:
        return None
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")


@functools.cache
def _pool(size):
    return ThreadPoolExecutor(size, thread_name_prefix="batch-part")


def workers():
    """Return how many parts run side by side here and now: 1 within a part."""
    if getattr(_state, "busy", False) or _controller() is None:
        return 1
    return max((lib.num_threads for lib in _controller().lib_controllers), default=1)


def run(calls):
    """Call every function of a list, side by side where there are cores, and return their results in order.

    A core that is done takes the next call. After an exception no call begins; it is raised when all have ended.
    """
    n = min(workers(), len(calls))
    if n <= 1:
        return [call() for call in calls]
    results = [None] * len(calls)
    waiting = deque(enumerate(calls))

    def work():
        _state.busy = True
        try:
            while waiting:
                try:
                    k, call = waiting.popleft()
                except IndexError:  # another core took the last one
                    return
                results[k] = call()
        except BaseException:
            waiting.clear()
            raise
        finally:
            _state.busy = False

    with _controller().limit(limits=1):
        futures = [_pool(n - 1).submit(work) for _ in range(1, n)]
        try:
            work()
        finally:
            wait(futures)  # whatever happened here, no part may go on in the background
    for future in futures:
        future.result()  # raises what it raised
    return results


def split(n, parts):
    """Return ``parts`` slices (or n, if that is less) that cover range(n) evenly."""
    parts = max(min(n, parts), 1)
    return [slice(k * n // parts, (k + 1) * n // parts) for k in range(parts)]


def twin(layer):
    """Return a copy of a layer or model that shares parameters and gradients but nothing that a forward call writes.

    So both can answer at the same time.
    """
    other = copy.copy(layer)
    for name, value in vars(layer).items():
        if isinstance(value, Workspace):
            setattr(other, name, Workspace())
        elif hasattr(value, "forward"):
            setattr(other, name, twin(value))
        elif isinstance(value, list) and any(hasattr(v, "forward") for v in value):
            setattr(other, name, [twin(v) for v in value])
    return other


class DataParallel:
    """A model that works on the parts of a batch side by side, for ``Trainer`` and whoever else trains.

    Every part has a copy of the model with gradients of its own and the same parameters. forward returns the mean
    loss over all rows, backward adds the gradients up in ``model.grads``: up to rounding, what the model itself would
    give. Everything else is the model's.

    Args: model, a BaseModel whose loss is a mean over the rows; min_rows, parts with fewer rows are not worth it.
    """

    def __init__(self, model, min_rows=48):
        self.model = model
        self.min_rows = min_rows
        self._parts = [model]
        self._shares = None

    def __getattr__(self, name):
        return getattr(self.model, name)

    def forward(self, *batch):
        """Return the mean loss. Args: the arrays that the model's forward takes, of N rows each, or None for some."""
        N = len(batch[0])
        rows = split(N, min(workers(), max(N // self.min_rows, 1)))
        while len(self._parts) < len(rows):
            shared = {id(p): p for p in self.model.params}  # the parameters are not copied
            self._parts.append(copy.deepcopy(self.model, shared))
        self._shares = [(r.stop - r.start) / N for r in rows]
        calls = [
            functools.partial(part.forward, *(None if array is None else array[r] for array in batch))
            for part, r in zip(self._parts, rows, strict=False)
        ]
        return sum(share * loss for share, loss in zip(self._shares, run(calls), strict=True))

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into the model's ``grads``."""
        parts = self._parts[: len(self._shares)]
        run([functools.partial(part.backward, dout * share) for part, share in zip(parts, self._shares, strict=True)])
        for part in parts[1:]:
            for grad, more in zip(self.model.grads, part.grads, strict=True):
                grad += more
