"""Call an answer and record what it returns. Of all the grading code, only this runs beside a learner's code.

It knows neither what is right nor what is compared: it returns values. ``pack`` turns them into JSON (arrays as raw
bytes in base64), ``unpack`` checks everything and turns it back into plain values; nothing is ever unpickled.
"""

import base64
import math
import time
import traceback
from dataclasses import dataclass, field

from common.np import host as np

DTYPES = set("bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split())
MAX_BYTES = 2**24  # of one array
MAX_LARGE_BYTES = 2**17  # of one array that a large case returns; it asks for a few rows
MAX_CHARACTERS = 10_000  # of one string
MAX_DEPTH = 8  # of lists in lists
MAX_ITEMS = 10_000  # of one list
MAX_VALUES = 100_000  # in one outcome, an array counted as one
MAX_BITS = 1000  # of an integer; it still fits into a float


@dataclass
class Outcome:
    """What came of one call: values by name, the inputs as they were after it, the error that ended it, if any.

    seconds: of processor time of the thread that called.
    """

    values: dict = field(default_factory=dict)
    inputs: dict = field(default_factory=dict)
    error: dict | None = None  # type, message, line
    seconds: float = 0.0


def observe(call, outputs, answer, inputs, repeat=None):
    """Run ``call`` with copies of ``inputs``; return an Outcome. An error of the answer is recorded, not raised.

    Args: repeat, of a large case: {name: (times, axis)} of the arrays that are repeated. The inputs are then not looked
    at again after the call, and of an array that is far larger than the right one only its size is returned: the grader
    takes the time until the values arrive, and must not count their transport.
    """
    given = {name: copied(value) for name, value in inputs.items()}
    for name, (times, axis) in (repeat or {}).items():
        given[name] = np.tile(given[name], [times if k == axis else 1 for k in range(given[name].ndim)])
    names = {"np": np, "answer": answer, **given}
    outcome = Outcome()
    begin = time.thread_time()
    try:
        with np.errstate(all="ignore"):
            exec(compile(call, "<check>", "exec"), names)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        outcome.error = described(error)
    outcome.seconds = time.thread_time() - begin
    outcome.values = {name: plain_or_unsupported(names[name]) for name in outputs if name in names}
    if repeat:
        outcome.values = {name: small_or_unsupported(value) for name, value in outcome.values.items()}
    else:
        outcome.inputs = {name: plain_or_unsupported(value) for name, value in given.items()}
    return outcome


class Unsupported(str):
    """Stands for a value that cannot be an answer, such as an object; the text says what it is."""


def plain_or_unsupported(value):
    """Return ``plain(value)``, or an Unsupported that says why there is none."""
    try:
        return plain(value)
    except TypeError as error:
        return Unsupported(str(error))
    except KeyboardInterrupt:
        raise
    except BaseException:  # of a class that defines how it is read
        return Unsupported("an object that cannot be read")


def small_or_unsupported(value):
    """Return what ``plain_or_unsupported`` returned, or an Unsupported if it is a large array."""
    if isinstance(value, np.ndarray) and value.nbytes > MAX_LARGE_BYTES:
        return Unsupported(f"an array of {value.nbytes:,} bytes")
    return value


def copied(value):
    """Copy arrays, also those in lists, so that an answer cannot change what the next call gets."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, (list, tuple)):
        return type(value)(map(copied, value))
    return value


def plain(value, depth=0):
    """Return value as None, bool, int, float, str, a list of such, or a plain array. Raises: TypeError."""
    if depth > MAX_DEPTH:
        raise TypeError("lists nested too deeply")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # not that of a subclass
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        number = int(value)
        if number.bit_length() > MAX_BITS:
            raise TypeError(f"an integer of about {math.ceil(number.bit_length() * math.log10(2)):,} digits")
        return number
    if isinstance(value, (float, np.floating)):
        return float(value)
    if isinstance(value, (list, tuple)):
        own = list if isinstance(value, list) else tuple  # a subclass may never end
        if own.__len__(value) > MAX_ITEMS:
            raise TypeError(f"a {own.__name__} of {own.__len__(value):,} items")
        return [plain(v, depth + 1) for v in own.__iter__(value)]
    if isinstance(value, np.ndarray):
        array = np.array(value, order="C", subok=False)
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype(np.float64)
        if array.dtype.name not in DTYPES:
            raise TypeError(f"an array of dtype {array.dtype}")
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    raise TypeError(f"an object of type {type(value).__name__}")


def described(error):
    """Return type, message and line of an error; the line is the last one in an answer's cell."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is ours
    cells = [frame for frame in frames if frame.filename.startswith("<") or "ipykernel" in frame.filename]
    try:
        message = str(error)[:MAX_CHARACTERS]
    except Exception:
        message = "(an error whose text cannot be read)"
    return {"type": type(error).__name__, "message": message, "line": (cells[-1].line or "") if cells else ""}


def pack(outcome):
    """Return an Outcome as values that JSON can hold."""
    return {
        "values": {name: _pack(value) for name, value in outcome.values.items()},
        "inputs": {name: _pack(value) for name, value in outcome.inputs.items()},
        "error": outcome.error,
        "seconds": outcome.seconds,
    }


def _pack(value):
    if isinstance(value, Unsupported):
        return {"unsupported": str(value)}
    if isinstance(value, np.ndarray):
        data = base64.b64encode(value.tobytes()).decode("ascii")
        return {"dtype": value.dtype.name, "shape": list(value.shape), "data": data}
    if isinstance(value, float):
        return {"float": value.hex()}  # exact, and JSON has no nan
    if isinstance(value, list):
        return [_pack(v) for v in value]
    return value


def pack_inputs(inputs):
    """Return a case's inputs as values that JSON can hold."""
    return {name: _pack(plain(value)) for name, value in inputs.items()}


def unpack(data):
    """Return the Outcome from which ``pack`` made ``data``. Raises: ValueError for anything not of that form."""
    if not isinstance(data, dict) or not isinstance(data.get("values"), dict):
        raise ValueError("no values")
    if not isinstance(data.get("inputs"), dict):
        raise ValueError("no inputs")
    _check_size(data)
    values, inputs = ({_text(name): _unpack(v) for name, v in data[what].items()} for what in ("values", "inputs"))
    error = data.get("error")
    if error is not None:
        if not isinstance(error, dict):
            raise ValueError("an error that is not an object")
        error = {key: _text(error.get(key, "")) for key in ("type", "message", "line")}
    seconds = data.get("seconds")
    return Outcome(values, inputs, error, float(seconds) if isinstance(seconds, (int, float)) else 0.0)


def _check_size(data):
    """Check that JSON values are few enough to be compared and written out in no time. Raises: ValueError."""
    left, total = [data], 0
    while left:
        value = left.pop()
        if isinstance(value, (list, dict)):
            total += len(value)
            if total > MAX_VALUES:
                raise ValueError(f"more than {MAX_VALUES:,} values")
            left += value.values() if isinstance(value, dict) else value


def unpack_inputs(data):
    """Return the inputs from which ``pack_inputs`` made ``data``."""
    return {name: _unpack(value) for name, value in data.items()}


def _unpack(value, depth=0):
    if depth > MAX_DEPTH:
        raise ValueError("lists nested too deeply")
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_unpack(v, depth + 1) for v in value]
    if not isinstance(value, dict):
        raise ValueError(f"a value of type {type(value).__name__}")
    if "unsupported" in value:
        return Unsupported(_text(value["unsupported"]))
    if "float" in value:
        return float.fromhex(_text(value["float"]))
    dtype, shape, data = value.get("dtype"), value.get("shape"), value.get("data")
    if not isinstance(dtype, str) or dtype not in DTYPES or not isinstance(data, str) or not isinstance(shape, list):
        raise ValueError("an array without a plain dtype, shape or data")
    if len(shape) > MAX_DEPTH or not all(type(n) is int and 0 <= n <= MAX_BYTES for n in shape):
        raise ValueError("an array with an invalid shape")
    size = np.dtype(dtype).itemsize
    for n in shape:
        size *= n
    if size > MAX_BYTES or len(data) > 2 * MAX_BYTES:
        raise ValueError(f"an array of more than {MAX_BYTES:,} bytes")
    raw = base64.b64decode(data, validate=True)
    if len(raw) != size:
        raise ValueError("an array whose bytes do not fit its shape")
    return np.frombuffer(raw, dtype=dtype).reshape(shape).copy()


def _text(value):
    if not isinstance(value, str):
        raise ValueError(f"expected text, not {type(value).__name__}")
    return value[:MAX_CHARACTERS]
