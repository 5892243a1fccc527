"""Use every core: parts of a batch side by side, each with a BLAS of one thread.

A BLAS with several threads speeds up the matrix products only; between them one core computes exponentials while the
others wait. Here every core takes its own rows through all of it. NumPy releases Python's lock while it computes, so
threads are enough.

The number of parts is the number of threads that NumPy's BLAS would use (``OPENBLAS_NUM_THREADS=1`` turns all this
off). Without the package threadpoolctl, or on the GPU, everything runs in one part.
"""

import copy
import functools
import os
import signal
import threading
import types
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

from common.base_model import Composite
from common.np import GPU, host, np
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


class _OneBlasThread:
    """While anyone is inside, BLAS computes with one thread. The last one to leave restores what was there before."""

    def __init__(self):
        self.lock, self.inside, self.limit = threading.Lock(), 0, None

    def __enter__(self):
        with self.lock:
            if self.inside == 0:
                self.limit = _controller().limit(limits=1)
            self.inside += 1

    def __exit__(self, *error):
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.restore()

    def restore(self):
        """Give BLAS its threads back."""
        limit, self.limit = self.limit, None
        if limit is not None:
            limit.restore_original_limits()


_one_blas_thread = _OneBlasThread()
_locks = {}  # for ``exclusive``: id of a model -> (weak reference to it, its lock)
_locks_guard = threading.Lock()


def _after_fork():
    """Start anew in a forked child: it has only the thread that forked, so no pool, and nobody releases the locks."""
    global _one_blas_thread, _locks_guard, _state
    _pool.cache_clear()
    _one_blas_thread.restore()
    _one_blas_thread, _locks_guard, _state = _OneBlasThread(), threading.Lock(), threading.local()
    _locks.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def workers():
    """Return how many parts run side by side here and now: 1 within a part."""
    if getattr(_state, "busy", False) or _controller() is None:
        return 1
    return max((lib.num_threads for lib in _controller().lib_controllers), default=1)


def limit_threads(n):
    """Compute with at most n threads from now on, in parts or within BLAS."""
    if workers() > n:
        _controller().limit(limits=n)


def run(calls):
    """Call every function of a list, side by side where there are cores, and return their results in order.

    A core that is done takes the next call. After an exception no call begins; it is raised when all that have begun
    have ended. The same holds for Ctrl-C: when KeyboardInterrupt is raised, nothing goes on in the background.
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

    with _signals_deferred(waiting.clear), _one_blas_thread:
        futures = [_pool(n - 1).submit(work) for _ in range(1, n)]
        try:
            work()
        finally:  # whatever happened here, no part may go on in the background
            begun = _ended(futures)
    for future in begun:
        future.result()  # raises what it raised
    return results


def _ended(futures):
    """Wait for the futures that have begun and return them; the others, kept back by a busy pool, never begin."""
    begun = [future for future in futures if not future.cancel()]
    wait(begun)
    return begun


# Those whose handlers programs set; Ctrl-C comes first, so that it is deferred first and raised again last.
_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGBREAK", "SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]


@contextmanager
def _signals_deferred(stop):
    """Within the block, what the handler of Ctrl-C or of another signal raises is kept back, and ``stop`` is called.

    It is raised at the end of the block; raised at any moment, it could leave locks closed and parts running. A handler
    that does not raise, such as one that sets a flag, stops nothing. Only the main thread gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: old for number in _SIGNALS if callable(old := signal.getsignal(number))}
    raised = []

    def handler(number, frame):
        try:
            previous[number](number, frame)
        except BaseException as error:
            raised.append(error)
            stop()

    try:
        for number in previous:
            signal.signal(number, handler)
        yield
    finally:
        for number in reversed(previous):
            signal.signal(number, previous[number])
        if raised:
            raise raised[0]


def split(n, parts):
    """Return ``parts`` slices (or n, if that is less) that cover range(n) evenly."""
    parts = max(min(n, parts), 1)
    return [slice(k * n // parts, (k + 1) * n // parts) for k in range(parts)]


@contextmanager
def exclusive(model):
    """Within the block, no other thread is in a block of the same model; it waits until this one has left.

    A model keeps what it computes in its layers, so two threads that use it at once would read each other's numbers.
    The same thread may enter again. A DataParallel and its model are one. The parts of ``run`` work for the thread
    that called it, so they must not enter: take the lock around ``run`` and give each part a replica.
    """
    model = model.model if isinstance(model, DataParallel) else model
    key = id(model)
    with _locks_guard:
        if key not in _locks:
            _locks[key] = weakref.ref(model, lambda _: _locks.pop(key, None)), threading.RLock()
        lock = _locks[key][1]
    with lock:
        yield


# --- replicas --------------------------------------------------------------------------------------------------


_NO_LAYERS = (np.ndarray, type)
_NO_LAYERS_IN = frozenset(("params", "grads", "_params", "_grads", "cache"))  # attributes


def _is_layer(value):
    """Whether a value is a layer or a model, or close enough to one: it has ``forward``."""
    return hasattr(value, "forward") and hasattr(value, "__dict__") and not isinstance(value, type)


_PLAIN = frozenset((str, int, float, bool, type(None)))


def _items(value):
    """Return what a list, tuple or dict holds; nothing for other values and where all are numbers and strings."""
    if not isinstance(value, list | tuple | dict):
        return ()
    items = value.values() if isinstance(value, dict) else value
    return () if _PLAIN.issuperset(map(type, items)) else items  # a vocabulary may be long, and this is fast


def inner_layers(layer):
    """Return a list of a layer and all layers in it, also those in lists, tuples and dicts, each once."""
    found = {}

    def visit(value):
        if type(value) in _PLAIN or id(value) in found:
            return
        if _is_layer(value):
            found[id(value)] = value
            inside = [v for name, v in vars(value).items() if name not in _NO_LAYERS_IN]
        else:
            inside = _items(value)
        for inner in inside:
            visit(inner)

    visit(layer)
    return list(found.values())


def snapshot(layer):
    """Return what the attributes of a layer and of all layers in it are now, for ``replica``; caches are left out."""
    return {
        id(inner): (inner, {name: value for name, value in vars(inner).items() if name != "cache"})
        for inner in inner_layers(layer)
    }


def replica(layer, old=None, seen=None):
    """Return a copy of a layer or model that can compute at the same time as the original.

    * Parameters are shared: the same arrays.
    * Gradients, workspaces, caches and other arrays are the replica's own, and so are the layers in it. What stands
      in two places of the original stands in two places of the replica.
    * A NumPy Generator or RandomState gives the replica a random stream of its own, which follows from the original's
      seed. NumPy's global state is shared; it locks itself, but the order of the draws is open.
    * All else, such as ``train_flg`` or a weight of the loss, is what the original has now.

    Args: layer, with ``forward``; old, an earlier replica, whose memory is used again: it is changed and returned if
    it is of the same class; seen, what ``snapshot`` returned after the last forward or backward call of both. An
    attribute that is still the object that was seen then was written by the layer's own calls, such as the state of a
    stateful layer. There the replica keeps what its own calls wrote; whatever was set since, it takes over.

    A number that is written into an array which is neither a parameter nor set anew does not reach the replica.
    """
    params = [p for inner in inner_layers(layer) for p in _listed_params(inner)]
    done = {id(p): p for p in params}  # id of an original -> what the replica has in its place
    used = set()  # ids of what was taken from the old replica

    def own(value, before=None, keep=False):
        """Return what the replica has in place of ``value``; until now it had ``before``, which it may keep."""
        if id(value) in done:
            return done[id(value)]
        if type(value) in _PLAIN or not _needs_copy(value):
            return before if keep else value
        if _is_layer(value):
            made = reusable(before, type(before) is type(value))
            made = type(value).__new__(type(value)) if made is None else made
            done[id(value)] = made
            update(made, value)
            return made
        if isinstance(value, types.MethodType):
            return types.MethodType(value.__func__, own(value.__self__, getattr(before, "__self__", None)))
        if isinstance(value, Workspace):
            made = reusable(before, isinstance(before, Workspace)) or Workspace()
        elif _items(value) and any(map(_holds_layers, _items(value))):
            made = own_items(value, before)
        elif keep:
            made = before
        elif _items(value):
            made = own_items(value, before)
        elif isinstance(value, np.ndarray):
            made = value if any(np.may_share_memory(value, p) for p in params) else value.copy()
        else:
            made = _new_stream(value)
        done[id(value)] = made
        return made

    def own_items(values, before):
        """Return a list, tuple or dict of the same kind with items of the replica's own."""
        if isinstance(values, dict):
            made = copy.copy(values)
            made.update((k, own(v, before.get(k) if isinstance(before, dict) else None)) for k, v in values.items())
            return made
        before = list(before) if isinstance(before, list | tuple) else []
        items = [own(v, b) for v, b in zip(values, before + [None] * len(values), strict=False)]
        return items if isinstance(values, list) else values._make(items) if hasattr(values, "_make") else tuple(items)

    def own_grads(grads, before):
        """Return gradients of the replica's own: those it had, where shape and dtype fit."""
        before = list(before) if isinstance(before, list | tuple) else []
        for grad, b in zip(grads, before + [None] * len(grads), strict=False):
            if id(grad) not in done:
                fits = isinstance(b, np.ndarray) and (b.shape, b.dtype) == (grad.shape, grad.dtype)
                b = reusable(b, fits)
                done[id(grad)] = np.zeros_like(grad) if b is None else b
        return [done[id(grad)] for grad in grads]

    def reusable(before, fits):
        """Return ``before`` if it fits and stands in no other place already, else None."""
        if not fits or id(before) in used:
            return None
        used.add(id(before))
        return before

    def update(made, layer):
        """Give the replica ``made`` the attributes of its original."""
        mine, now = vars(made), vars(layer)
        was = seen[id(layer)][1] if seen and id(layer) in seen else None
        for name in (set(mine) if was is None else was.keys()) - now.keys():
            mine.pop(name, None)
        for name, value in now.items():
            before = mine.get(name)
            if name == "cache":
                mine[name] = before
            elif name in ("params", "_params"):
                mine[name] = copy.copy(value)
            elif name in ("grads", "_grads"):
                mine[name] = value if value is None else own_grads(value, before)
            else:
                keep = was is not None and name in mine and name in was and was[name] is value
                mine[name] = own(value, before, keep)

    made = own(layer, old)
    done.clear()  # the functions above know each other, and what they know would live until the garbage is collected
    return made


def _listed_params(layer):
    """Return the parameters in a layer's own list; those of a Composite without one are in the layers in it."""
    params = layer._params if isinstance(layer, Composite) else getattr(layer, "params", None)
    return params or []


_WRITTEN_TO = (Workspace, np.ndarray, host.random.Generator, host.random.RandomState)


def _needs_copy(value):
    """Whether a replica may not share the value: it can be written to in a forward or backward call."""
    return (
        _is_layer(value)
        or isinstance(value, _WRITTEN_TO)
        or (isinstance(value, types.MethodType) and _is_layer(value.__self__))
        or any(map(_needs_copy, _items(value)))
    )


def _holds_layers(value):
    return _is_layer(value) or any(map(_holds_layers, _items(value)))


def _new_stream(rng):
    """Return a random generator of the same kind whose stream follows from the seed of ``rng`` but is another."""
    if isinstance(rng, host.random.RandomState):
        return host.random.RandomState(rng.randint(2**32, size=4, dtype=host.uint32))
    try:
        return rng.spawn(1)[0]
    except TypeError:  # its bit generator was made without a SeedSequence
        return host.random.default_rng(rng.integers(2**32, size=4))


# --- random streams --------------------------------------------------------------------------------------------


def random_states(layer):
    """Return where the random streams in a layer and in all layers in it are, a list that JSON can hold.

    What draws from NumPy's global state, or from a RandomState, is not in it.
    """
    return [_plain_state(rng.bit_generator.state) for rng in _streams(layer)]


def set_random_states(layer, states):
    """Take the streams of a layer to where those of ``random_states`` were. Raises: ValueError if they do not fit."""
    streams = _streams(layer)
    if not isinstance(states, list) or len(states) != len(streams):
        found = len(states) if isinstance(states, list) else f"a {type(states).__name__}"
        raise ValueError(f"the layer has {len(streams)} random streams, and the states are those of {found}")
    for rng, state in zip(streams, states, strict=True):
        try:
            rng.bit_generator.state = state
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise ValueError(f"that is not the state of a {type(rng.bit_generator).__name__}: {error}") from None


def _streams(layer):
    """Return the Generators that stand in the attributes of a layer and of all layers in it, each once."""
    found = {}
    for inner in inner_layers(layer):
        for value in vars(inner).values():
            if isinstance(value, host.random.Generator):
                found[id(value)] = value
    return list(found.values())


def _plain_state(value):
    """Return the state of a bit generator with lists for arrays and Python's numbers for NumPy's."""
    if isinstance(value, dict):
        return {key: _plain_state(inner) for key, inner in value.items()}
    return value.tolist() if isinstance(value, host.ndarray | host.generic) else value


# --- training --------------------------------------------------------------------------------------------------


class DataParallel:
    """A model that works on the parts of a batch side by side, for ``Trainer`` and whoever else trains.

    Every part has a replica of the model (see ``replica``), the first the model itself. forward returns the mean loss
    over the whole batch, backward adds the gradients up in ``model.grads``: up to rounding, what the model itself
    would give.

    A part counts as much as it has targets. A model says how many its last forward call averaged the loss over in
    ``count``; without one, every row counts alike.

    Everything else is the model's: attributes are read from it and set on it. What is set on the model or on one of its
    layers reaches every part with the next forward call.

    Args: model, whose loss is a mean; min_rows, parts with fewer rows are not worth it.
    """

    _own = frozenset(("model", "min_rows", "_replicas", "_seen", "_last"))

    def __init__(self, model, min_rows=24):
        if min_rows < 1:
            raise ValueError(f"DataParallel: min_rows must be at least 1, got {min_rows}")
        self.__setstate__({"model": model, "min_rows": min_rows})

    def __getstate__(self):
        return {"model": self.model, "min_rows": self.min_rows}  # a copy makes replicas of its own

    def __setstate__(self, state):
        vars(self).update(state, _replicas=[], _seen=None, _last=None)

    def __getattr__(self, name):
        if name in self._own or name.startswith("__"):  # this object is not complete: it is being copied
            raise AttributeError(name)
        return getattr(self.model, name)

    def __setattr__(self, name, value):
        if name in self._own:
            super().__setattr__(name, value)
        else:
            setattr(self.model, name, value)

    @property
    def count(self):
        """The number of targets of the last forward call."""
        return self.model.count if self._last is None else sum(self._last[1])

    def forward(self, *arrays, **named):
        """Return the mean loss.

        Args: what the model's forward takes, by position or by name. Arrays have N rows each and are split; None,
        numbers and strings go to every part. Raises: ValueError if there are no rows or not equally many.
        """
        N = number_of_rows(arrays, named)
        with exclusive(self.model):
            self._last = None
            slices = split(N, min(workers(), max(N // self.min_rows, 1)))
            parts = self._parts(len(slices))
            calls = [
                functools.partial(
                    part.forward,
                    *(rows_of(value, rows) for value in arrays),
                    **{name: rows_of(value, rows) for name, value in named.items()},
                )
                for part, rows in zip(parts, slices, strict=True)
            ]
            losses = run(calls)
            self._look()
            counts = [_count(part, rows.stop - rows.start) for part, rows in zip(parts, slices, strict=True)]
            self._last = (parts, counts, threading.get_ident())
        if len(parts) == 1:
            return losses[0]
        return sum((n / sum(counts) * loss for n, loss in zip(counts, losses, strict=True) if n), 0.0)

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into the model's ``grads``.

        Raises: RuntimeError if there was no forward call, or if the last one was made by another thread.
        """
        with exclusive(self.model):
            if self._last is None:
                raise RuntimeError(
                    "DataParallel.backward: there is no forward call to go back from; call forward first"
                )
            parts, counts, thread = self._last
            if thread != threading.get_ident():
                raise RuntimeError(
                    "DataParallel.backward: the last forward call was made by another thread, so its gradients are not "
                    "those you want; train one model from one thread, or each thread a copy of its own"
                )
            if len(parts) == 1:
                self.model.backward(dout)
            else:
                self._backward_in_parts(parts, counts, dout)
            self._look()

    def _backward_in_parts(self, parts, counts, dout):
        whole, total = parts[0].grads, sum(counts)
        counted = [(part, n / total) for part, n in zip(parts, counts, strict=True) if n]
        run([functools.partial(part.backward, dout * share) for part, share in counted])
        if not counts[0]:  # nothing in the first part counts, so its backward was not called
            for grad in whole:
                grad[...] = 0
        for part, _ in counted:
            if part is not parts[0]:
                pairs = {id(grad): (grad, more) for grad, more in zip(whole, part.grads, strict=True)}
                for grad, more in pairs.values():  # an array that is listed twice gets its sum once
                    grad += more

    def random_states(self):
        """Return where the random streams of all parts are, for ``set_random_states``: a list for each part."""
        parts = [self.model, *self._replicas]
        return [random_states(part) for part in parts]

    def set_random_states(self, states):
        """Take the random streams of the parts to where they were. Raises: ValueError if the states do not fit."""
        if not isinstance(states, list) or not states:
            raise ValueError("the states of random streams must be a list with one item for each part")
        with exclusive(self.model):
            for part, own in zip(self._parts(len(states)), states, strict=True):
                set_random_states(part, own)
            self._look()  # the next forward call keeps the replicas' streams

    def _parts(self, n):
        """Return the model and n - 1 replicas that are up to date."""
        self._replicas += [None] * (n - 1 - len(self._replicas))
        for k in range(n - 1):
            self._replicas[k] = replica(self.model, self._replicas[k], self._seen)
        return [self.model, *self._replicas[: n - 1]]

    def _look(self):
        """Remember what the model's own calls have written, so that what is set from outside stands out."""
        if self._replicas:
            self._seen = snapshot(self.model)


def number_of_rows(arrays, named):
    """Return N of the arrays of a batch, or raise a ValueError."""
    named = {f"argument {k}": value for k, value in enumerate(arrays)} | named
    rows = {}
    for name, value in named.items():
        if _is_split(value):
            if not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0:
                raise ValueError(
                    f"DataParallel.forward: {name} is a {type(value).__name__} without rows; "
                    "arrays with N rows can be split into parts, None, numbers and strings are handed on"
                )
            rows[name] = len(value)
    if len(set(rows.values())) > 1:
        raise ValueError(f"DataParallel.forward: all arrays must have the same number of rows, got {rows}")
    if not any(rows.values()):
        raise ValueError("DataParallel.forward: the batch has no rows" if rows else "DataParallel.forward: no array")
    return next(iter(rows.values()))


def _is_split(value):
    """Whether an argument is split into parts, rather than handed to every part as it is."""
    return not (value is None or isinstance(value, bool | int | float | str))


def rows_of(value, rows):
    """Return the rows (a slice) of an argument of forward that has rows, anything else as it is."""
    return value[rows] if _is_split(value) else value


def _count(part, rows):
    """Return how many targets the last forward call of a part averaged over."""
    count = getattr(part, "count", None)
    return rows if count is None or callable(count) else int(count)
