"""The array backend: NumPy, or CuPy when ``common.config.GPU`` is true.

This is the only module of the library that imports either by name. Everywhere else: ``from common.np import np``.
"""

import numpy

from common import config

__all__ = ["GPU", "np"]

GPU = bool(config.GPU)


def _load_cupy():
    """Return CuPy with a working device, or raise a RuntimeError that says what is missing and what to do."""
    back = "To run on the CPU, set common.config.GPU = False and unset ATTENTION_GPU."
    try:
        import cupy
    except ImportError as error:
        raise RuntimeError(
            f"The GPU was asked for (common.config.GPU is True), but CuPy cannot be imported: {error}. "
            f"Install the CuPy build for your CUDA version. {back}"
        ) from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises its own classes here, which exist only where CuPy does
        raise RuntimeError(
            f"The GPU was asked for (common.config.GPU is True), but CUDA does not answer: {error}. {back}"
        ) from None
    if count == 0:
        raise RuntimeError(f"The GPU was asked for (common.config.GPU is True), but none was found. {back}")
    return cupy


np = _load_cupy() if GPU else numpy
host = numpy  # for what must lie in main memory: files and figures
errstate = numpy.errstate  # CuPy never warns, so it needs none


def use_device(number):
    """Compute on the GPU of this number, counted around where there are fewer; with NumPy this changes nothing."""
    if GPU:
        np.cuda.Device(number % np.cuda.runtime.getDeviceCount()).use()


def to_cpu(x):
    """Return ``x`` as a NumPy array (a copy only if it lives on the GPU)."""
    return x.get() if hasattr(x, "get") and not isinstance(x, numpy.ndarray) else numpy.asarray(x)


def to_gpu(x):
    """Return ``x`` as an array of the chosen backend; with NumPy this changes nothing."""
    return np.asarray(x)


def default_rng(rng=None):
    """Return the source of randomness to draw from.

    ``rng`` is a ``numpy.random.Generator`` or ``RandomState``, an integer seed for a new Generator, or None for
    NumPy's global state (so that ``np.random.seed(0)`` makes a run repeatable).
    """
    if rng is None:
        return numpy.random
    if isinstance(rng, int | numpy.integer):
        return numpy.random.default_rng(rng)
    if not hasattr(rng, "standard_normal"):
        raise TypeError(f"rng must be a NumPy Generator, a RandomState, an integer or None, not {type(rng).__name__}")
    return rng


def uniform(rng, shape):
    """Draw numbers from [0, 1) with any kind of ``rng`` that ``default_rng`` accepts."""
    return np.asarray(default_rng(rng).uniform(size=shape))


def normal(rng, shape, scale, dtype):
    """Draw ``scale`` times standard normal numbers, as an array of ``dtype`` on the chosen backend."""
    return np.asarray((scale * default_rng(rng).standard_normal(shape)).astype(dtype))
