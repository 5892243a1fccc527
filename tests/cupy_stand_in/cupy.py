"""A strict stand-in for CuPy that runs without a GPU: a class of arrays of its own, backed by NumPy in main memory.

Where real CuPy refuses something, so does this: an implicit conversion to NumPy, arithmetic or assignment that mixes
host and device arrays, functions that CuPy lacks, arguments that its functions do not take. So code that runs here
keeps host and device apart. Put this folder on PYTHONPATH and set ATTENTION_GPU=1.

It has what the course uses and some more; anything else is an AttributeError. Sources: CuPy's reference, "Differences
between CuPy and NumPy", and CuPy's own code where that says nothing.
"""

import operator
import types
import warnings

import numpy
from numpy import (  # noqa: F401  names that CuPy takes over from NumPy
    bool_,
    e,
    finfo,
    float16,
    float32,
    float64,
    floating,
    iinfo,
    inf,
    int8,
    int16,
    int32,
    int64,
    integer,
    intp,
    isscalar,
    nan,
    ndindex,
    newaxis,
    pi,
    uint8,
    uint16,
    uint32,
    uint64,
)

dtype = numpy.dtype

# Generator.shuffle would swap rows through views, which works for arrays of NumPy's own only. It warns and goes on.
warnings.filterwarnings("error", message="you are shuffling a 'ndarray' object", category=UserWarning)


def _host(x):
    """The NumPy array behind a device array, also within lists and tuples; scalars pass, host arrays do not."""
    if isinstance(x, ndarray):
        return x._array
    if isinstance(x, numpy.ndarray):
        raise TypeError(f"Unsupported type {type(x)}: a host array {x.shape} where a device array is expected")
    if isinstance(x, list | tuple):
        return type(x)(map(_host, x))
    return x


def _device(x):
    """A result of NumPy as CuPy returns it: reductions give arrays without axes, not scalars."""
    if isinstance(x, numpy.ndarray | numpy.generic):
        return ndarray(numpy.asarray(x))
    if isinstance(x, list | tuple):
        return type(x)(map(_device, x))
    return x


def _index(key):
    """An index: CuPy takes host arrays here, too, and copies them to the device."""
    if isinstance(key, tuple):
        return tuple(map(_index, key))
    return key._array if isinstance(key, ndarray) else key


def _parts(key):
    return key if isinstance(key, tuple) else (key,)


class ndarray:
    """An array on the "device"."""

    __array_priority__ = 100
    __hash__ = None

    def __init__(self, array):
        self._array = array

    def __array__(self, *args, **kwargs):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        """numpy.exp(x) of a device array is cupy.exp(x)."""
        if method != "__call__" or ufunc.__name__ not in _UFUNCS:
            return NotImplemented
        out = kwargs.pop("out", None)
        return globals()[ufunc.__name__](*inputs, **kwargs, **({"out": out[0]} if out else {}))

    def __array_function__(self, function, types_, args, kwargs):
        """numpy.sum(x) of a device array is cupy.sum(x)."""
        found = globals().get(function.__name__)
        if found is None or (function.__module__ or "").startswith("numpy."):
            return NotImplemented
        return found(*args, **kwargs)

    def get(self):
        """Copy to the host."""
        return self._array.copy()

    def set(self, array):
        """Copy from the host."""
        self._array[...] = array

    @property
    def shape(self):
        return self._array.shape

    @shape.setter
    def shape(self, shape):
        self._array = self._array.reshape(shape)

    T = property(lambda self: ndarray(self._array.T))

    @property
    def base(self):
        """The array that this one is a view of, or None."""
        return None if self._array.base is None else ndarray(self._array.base)

    @property
    def data(self):
        """Where the memory lies, ``data.ptr``."""
        return types.SimpleNamespace(ptr=self._array.__array_interface__["data"][0])

    def __len__(self):
        return len(self._array)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[k] for k in range(len(self)))

    def __getitem__(self, key):
        return ndarray(numpy.asarray(self._array[_index(key)]))

    def __setitem__(self, key, value):
        basic = not [part for part in _parts(key) if isinstance(part, list | ndarray | numpy.ndarray)]
        if basic and isinstance(value, list | tuple):  # with an array as index CuPy takes them
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self._array[_index(key)] = _host(value)

    def __repr__(self):
        return f"cupy.{self._array!r}"

    def __format__(self, spec):
        return format(self._array.item() if self.ndim == 0 else self._array, spec)

    def __copy__(self):
        return ndarray(self._array.copy())

    def __deepcopy__(self, memo):
        return ndarray(self._array.copy())

    def __reduce__(self):
        return asarray, (self._array.copy(),)

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        """Convert to a type; the very array if it has it and `copy` is False."""
        return self if not copy and self.dtype == numpy.dtype(dtype) else ndarray(self._array.astype(dtype))


def _wrap(function, allowed=None):
    """A function of NumPy for device arrays. `allowed`: the only keywords that CuPy's takes, where it takes fewer."""

    def wrapped(*args, **kwargs):
        unknown = set(kwargs) - set(kwargs if allowed is None else allowed)
        if unknown:
            first = sorted(unknown)[0]  # not min(unknown): here `min` is CuPy's
            raise TypeError(f"cupy.{function.__name__}() got an unexpected keyword argument {first!r}")
        result = function(*map(_host, args), **{name: _host(value) for name, value in kwargs.items()})
        out = kwargs.get("out")
        return out if isinstance(out, ndarray) else _device(result)

    wrapped.__name__ = wrapped.__qualname__ = function.__name__
    return wrapped


class _Ufunc:
    """A function of elements with the methods that CuPy has."""

    def __init__(self, function):
        self._function = function
        self.__name__ = function.__name__
        self._call = _wrap(function)

    def __call__(self, *args, **kwargs):
        return self._call(*args, **kwargs)

    def __getattr__(self, name):
        if name not in ("at", "accumulate", "outer", "reduce", "reduceat"):
            raise AttributeError(name)
        if name == "reduceat" and self.__name__ != "add":
            raise NotImplementedError(f"cupy.{self.__name__}.reduceat: CuPy has it for add only")
        return _wrap(getattr(self._function, name))


_UFUNCS = """
    abs absolute add bitwise_and bitwise_or cos divide equal exp expm1 floor floor_divide ceil greater greater_equal
    invert isfinite isinf isnan less less_equal log log10 log1p log2 logical_and logical_not logical_or logical_xor
    matmul maximum minimum multiply negative not_equal power reciprocal remainder sign sin sqrt square subtract tanh
    true_divide
""".split()
_REDUCTIONS = {  # CuPy's take no `where` and no `initial`
    "all": "axis out keepdims",
    "any": "axis out keepdims",
    "argmax": "axis dtype out keepdims",
    "argmin": "axis dtype out keepdims",
    "max": "axis out keepdims",
    "mean": "axis dtype out keepdims",
    "min": "axis out keepdims",
    "prod": "axis dtype out keepdims",
    "std": "axis dtype out ddof keepdims",
    "sum": "axis dtype out keepdims",
    "var": "axis dtype out ddof keepdims",
}
_FUNCTIONS = """
    allclose append arange array_equal atleast_1d bincount broadcast_to clip concatenate copyto cumsum diff dot
    empty empty_like expand_dims eye flatnonzero full full_like hstack isin linspace may_share_memory moveaxis ndim
    nonzero ones ones_like outer ravel repeat reshape result_type shape size sort split squeeze stack swapaxes take
    take_along_axis tensordot tile transpose tril triu vstack where zeros zeros_like
""".split()
_METHODS = """
    all any argmax argmin conj copy cumsum diagonal dot fill flatten max mean min nonzero prod ravel repeat reshape
    round sort squeeze std sum swapaxes take trace transpose var view clip
""".split()

for _name in _UFUNCS:
    globals()[_name] = _Ufunc(getattr(numpy, _name))
for _name in _FUNCTIONS:
    globals()[_name] = _wrap(getattr(numpy, _name))
for _name, _allowed in _REDUCTIONS.items():
    globals()[_name] = _wrap(getattr(numpy, _name), ["a", *_allowed.split()])
for _name in _METHODS:
    setattr(ndarray, _name, _wrap(getattr(numpy.ndarray, _name), _REDUCTIONS.get(_name, "").split() or None))
for _name in ("dtype", "ndim", "size", "strides", "nbytes", "itemsize", "flags"):
    setattr(ndarray, _name, property(operator.attrgetter(f"_array.{_name}")))
for _name in ("item", "tolist", "__float__", "__int__", "__bool__", "__complex__", "__index__"):  # wait for the device
    setattr(ndarray, _name, lambda self, *args, _name=_name: getattr(self._array, _name)(*args))


def _operator(name, reverse=False):
    function = getattr(operator, name)

    def apply(self, *others):
        operands = [self._array, *map(_host, others)]
        return _device(function(*(reversed(operands) if reverse else operands)))

    return apply


def _in_place(name):
    function = getattr(operator, name)

    def apply(self, other):
        self._array = function(self._array, _host(other))
        return self

    return apply


for _name in "add sub mul truediv floordiv mod pow matmul and_ or_ xor".split():
    setattr(ndarray, f"__{_name.rstrip('_')}__", _operator(_name))
    setattr(ndarray, f"__r{_name.rstrip('_')}__", _operator(_name, reverse=True))
    setattr(ndarray, f"__i{_name.rstrip('_')}__", _in_place(f"i{_name.rstrip('_')}"))
for _name in "lt le eq ne gt ge neg pos abs invert".split():
    setattr(ndarray, f"__{_name}__", _operator(_name))


# --- functions that differ from NumPy's ---------------------------------------------------------------------------


def asarray(a, dtype=None, order=None):
    """Copy to the device what is not there yet."""
    if isinstance(a, ndarray):
        return a if dtype is None or a.dtype == dtype else a.astype(dtype)

    def of_host(x):
        return x._array if isinstance(x, ndarray) else list(map(of_host, x)) if isinstance(x, list | tuple) else x

    array = numpy.array(of_host(a), dtype)
    if array.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {array.dtype}")
    return ndarray(array)


def array(object, dtype=None, copy=True, order="K", ndmin=0):
    """Copy to a new array."""
    return ndarray(numpy.array(asarray(object, dtype)._array, copy=True, ndmin=ndmin))


def ascontiguousarray(a, dtype=None):
    """Copy to the device and into one block, where needed."""
    return ndarray(numpy.ascontiguousarray(asarray(a, dtype)._array))


def asnumpy(a):
    """Copy to the host."""
    return a.get() if isinstance(a, ndarray) else numpy.asarray(a)


def argsort(a, axis=-1, kind=None):
    """Indices that sort; every sort of CuPy is stable."""
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    return ndarray(_device_only(a, "argsort").argsort(axis=axis, kind="stable"))


ndarray.argsort = argsort


def lexsort(keys):
    """Sort by the last row first; the keys are one array, not a tuple."""
    return ndarray(numpy.lexsort(_device_only(keys, "lexsort")))


def unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None):
    """The different values, sorted."""
    return _device(numpy.unique(_device_only(ar, "unique"), return_index, return_inverse, return_counts, axis=axis))


def unravel_index(indices, dims, order="C"):
    """Indices into a flat array as one index for each axis; an int is not taken."""
    return _device(numpy.unravel_index(_device_only(indices, "unravel_index"), dims, order))


def einsum(subscripts, *operands, dtype=None, optimize=False):
    """Without NumPy's out, order and casting."""
    return _device(numpy.einsum(subscripts, *map(_host, operands), dtype=dtype, optimize=optimize))


def shares_memory(a, b, max_work=None):
    """Whether two device arrays have an element in common."""
    return numpy.shares_memory(_device_only(a, "shares_memory"), _device_only(b, "shares_memory"), max_work)


def may_share_memory(a, b, max_work=None):
    """Whether the memory of two device arrays overlaps."""
    return numpy.may_share_memory(_device_only(a, "may_share_memory"), _device_only(b, "may_share_memory"), max_work)


def _device_only(x, name):
    if not isinstance(x, ndarray):
        raise TypeError(f"cupy.{name} takes a device array, not {type(x)}")
    return x._array


def __getattr__(name):
    raise AttributeError(f"module 'cupy' has no attribute {name!r} (of the strict stand-in in tests/cupy_stand_in)")


class _Device:
    """One of the "devices"; there is a single one unless a test counts more."""

    current = 0

    def __init__(self, number=0):
        self.id = number

    def use(self):
        """Make this the current device."""
        if not 0 <= self.id < cuda.runtime.getDeviceCount():
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        _Device.current = self.id


cuda = types.SimpleNamespace(Device=_Device, runtime=types.SimpleNamespace(getDeviceCount=lambda: 1))
linalg = types.SimpleNamespace(norm=_wrap(numpy.linalg.norm))
random = types.SimpleNamespace(seed=numpy.random.seed)
