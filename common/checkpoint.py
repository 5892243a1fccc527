"""Checkpoints: what going on with training needs, in one .npz file; read whole and checked before anything changes.

The arrays are called ``model/<name>`` and ``optimizer/<name>``; ``trainer`` holds the counters as JSON, ``vocab`` the
tokens in the order of their ids.
"""

import json
import math

from common.base_model import check_headers, fit_arrays, match_vocab, named_params, set_arrays, vocab_array
from common.np import host, np, to_cpu
from common.npz import LIMIT, open_arrays, save_arrays
from common.optimizer import merge_tied


def save_checkpoint(path, model, optimizer, counters, extra=None):
    """Write a checkpoint. Args: counters, as ``load_checkpoint`` returns them; extra, whatever JSON can hold.

    Raises: ValueError that says what in extra JSON cannot hold; TypeError for an optimizer without state_dict; OSError
    with path and reason. Then an older file is as it was.
    """
    if not hasattr(optimizer, "state_dict"):
        raise TypeError(f"{type(optimizer).__name__} has no state_dict() and load_state_dict(), as a checkpoint needs")
    fault = _not_json(extra, "extra")
    if fault:
        raise ValueError(f"a checkpoint keeps extra as JSON, which cannot hold this: {fault}")
    arrays = {f"model/{name}": to_cpu(p) for name, p in named_params(model).items()}
    arrays |= {f"optimizer/{name}": to_cpu(a) for name, a in optimizer.state_dict().items()}
    arrays["trainer"] = host.array(json.dumps(counters | {"extra": extra}))
    tokens = getattr(model, "vocab", None)
    if tokens is not None:
        arrays["vocab"] = vocab_array(tokens)
    save_arrays(path, arrays)


def load_checkpoint(path, model, optimizer):
    """Bring model and optimizer into the state that a checkpoint holds; return (counters, extra).

    counters: current_epoch, batch, step, eval_interval, loss_list, and epoch, a list of two sums over the epoch at work
    (loss times targets, targets).

    Raises: FileNotFoundError, or ValueError that names file and array or what else does not fit; then nothing has
    changed.
    """
    where = f"{path} does not fit this model"
    params = named_params(model)
    with open_arrays(path, LIMIT + 32 * sum(p.nbytes for p in params.values())) as file:
        if "trainer" not in file.headers:
            raise ValueError(f"{path} is not a checkpoint of a Trainer; it has no array 'trainer'")
        headers = _parts(path, file.headers)
        check_headers(where, headers["model"], params)
        _check_optimizer(path, headers["optimizer"], model, optimizer)
        arrays = _parts(path, file.read())
    values = fit_arrays(where, arrays["model"], params)
    state = _fit_state(path, arrays["optimizer"], model, optimizer)
    counters = _read_counters(path, arrays[""]["trainer"])
    known = getattr(model, "vocab", None)
    tokens = match_vocab(where, arrays[""].get("vocab"), known)

    before = optimizer.state_dict()
    try:
        optimizer.load_state_dict(state)
    except (ValueError, KeyError) as error:
        optimizer.load_state_dict(before)
        raise ValueError(f"{path} does not fit this {type(optimizer).__name__}: {error}") from None
    set_arrays(values, params)
    if tokens != known:
        model.set_vocab(tokens)
    extra = counters.pop("extra")
    return counters, extra


def read_extra(path):
    """Return what stands as ``extra`` in a checkpoint, without a model that it would have to fit.

    Raises: as load_checkpoint.
    """
    with open_arrays(path, LIMIT) as file:
        if "trainer" not in file.headers:
            raise ValueError(f"{path} is not a checkpoint of a Trainer; it has no array 'trainer'")
        return _read_counters(path, file.read()["trainer"])["extra"]


def _parts(path, entries):
    """Return the entries of a checkpoint as three dicts: those of the model, the optimizer and, under "", the rest."""
    parts = {"model": {}, "optimizer": {}, "": {}}
    for name, entry in entries.items():
        part, _, rest = name.partition("/")
        if part in ("model", "optimizer") and rest:
            parts[part][rest] = entry
        elif name in ("trainer", "vocab"):
            parts[""][name] = entry
        else:
            raise ValueError(f"{path} has an array that a checkpoint has not: {name!r}")
    return parts


# --- the optimizer's state -------------------------------------------------------------------------------------


def _state_arrays(names, model, optimizer):
    """Return for every array that the state must have the parameter of the same shape; {} before the first update."""
    params, _ = merge_tied(model.params, model.grads)
    if not any("." in name for name in names):
        return {}
    return {f"{slot}.{k}": p for slot in optimizer.slots for k, p in enumerate(params)}


def _check_optimizer(path, headers, model, optimizer):
    """Raise a ValueError if the headers are not those of the optimizer's single numbers and state arrays."""
    where = f"{path} does not fit this {type(optimizer).__name__}"
    arrays = {name: header for name, header in headers.items() if "." in name}
    check_headers(where, arrays, _state_arrays(headers, model, optimizer))
    for name in headers.keys() - arrays.keys():
        shape, dtype = headers[name]
        if shape != () or dtype.kind not in "fiu":
            raise ValueError(f"{where}: {name!r} is {shape} of {dtype} in the file, and must be a number")


def _fit_state(path, arrays, model, optimizer):
    """Return the state for ``load_state_dict``. Raises: ValueError for numbers that no optimizer can have."""
    where = f"{path} does not fit this {type(optimizer).__name__}"
    state = {}
    for name, p in _state_arrays(arrays, model, optimizer).items():
        array = arrays[name]
        dtype = host.result_type(p.dtype, host.float32)  # a state may be kept in more digits than the parameter
        if array.dtype.itemsize > dtype.itemsize:
            array = fit_arrays(where, {name: array}, {name: host.empty(0, dtype)})[name]
        state[name] = np.asarray(array)
    for name in arrays.keys() - state.keys():
        number = arrays[name]
        if not host.isfinite(number) or (name == "iter" and (number.dtype.kind == "f" or number < 0)):
            raise ValueError(f"{where}: {name!r} is {number} in the file")
        state[name] = np.asarray(number)
    if optimizer.slots and int(arrays.get("iter", 0)) > 0 and not any("." in name for name in arrays):
        raise ValueError(f"{where}: it has made {int(arrays['iter'])} updates and has no {optimizer.slots[0]!r}")
    return state


# --- counters --------------------------------------------------------------------------------------------------


def _not_json(value, where):
    """Return a sentence about the first thing in ``value`` that JSON cannot hold, or None."""
    if value is None or isinstance(value, bool | int | str):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{where} is {value}"
    if isinstance(value, dict):
        odd = [key for key in value if not isinstance(key, str)]
        if odd:
            return f"{where} has the key {odd[0]!r}, which is not a string"
        faults = (_not_json(item, f"{where}[{key!r}]") for key, item in value.items())
    elif isinstance(value, list | tuple):
        faults = (_not_json(item, f"{where}[{k}]") for k, item in enumerate(value))
    else:
        return f"{where} is of type {type(value).__name__}"
    return next((fault for fault in faults if fault), None)


def _read_counters(path, array):
    """Return the dict that the array 'trainer' holds. Raises: ValueError that names what is wrong in it."""
    try:
        counters = json.loads(array.item()) if array.shape == () and array.dtype.kind == "U" else None
    except (ValueError, RecursionError):
        counters = None
    if not isinstance(counters, dict):
        raise ValueError(f"{path}: 'trainer' is not the JSON of a checkpoint")
    counters = {"eval_interval": None, "epoch": [0, 0]} | counters  # older checkpoints have neither
    for name, is_right in CHECKS.items():
        if name not in counters or not is_right(counters[name]):
            found = repr(counters[name])[:80] if name in counters else "missing"
            raise ValueError(f"{path}: {name!r} in 'trainer' is {found}")
    return {name: counters[name] for name in CHECKS}


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


CHECKS = {
    "current_epoch": _is_count,
    "batch": _is_count,
    "step": _is_count,
    "eval_interval": lambda value: value is None or _is_count(value),
    "loss_list": lambda value: isinstance(value, list) and all(map(_is_number, value)),
    "epoch": lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)),
    "extra": lambda value: True,
}
