"""Activation functions and the cross entropy, on whole arrays and in any floating dtype."""

from common.np import np


def sigmoid(x):
    """Return 1 / (1 + exp(-x)), computed so that no exponential overflows.

    Args: x, any shape. Returns: the same shape, values in [0, 1].
    """
    x = np.asarray(x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def relu(x):
    """Return max(0, x), element by element. Any shape."""
    return np.maximum(0, x)


def softmax(x, out=None):
    """Return exp(x) / sum(exp(x)) along the last axis; the sums of the result along it are 1.

    The largest score of each row is subtracted first: that changes nothing in the result and keeps exp from
    overflowing. A score of -inf gets a weight of 0.

    Args: x (..., K) scores; out, a floating array of x's shape to write into, possibly x itself. Returns: (..., K).
    Raises: ValueError if the last axis is empty or x has no axis.
    """
    x = np.asarray(x)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"softmax needs at least one score in the last axis, got shape {x.shape}")
    if x.dtype.kind != "f":
        x = x.astype(float)
    y = np.subtract(x, x.max(axis=-1, keepdims=True), out=out)
    np.exp(y, out=y)
    y *= 1 / y.sum(axis=-1, keepdims=True)  # one division for each row is faster than one for each number
    return y


def cross_entropy_error(y, t):
    """Return the mean over the batch of -log y[correct class].

    Args: y (N, V) or (V,) probabilities; t (N,) class ids, a single id, or one-hot rows of y's shape.
    Returns: a float. Raises: ValueError if the shapes do not match.
    """
    y, t = np.asarray(y), np.asarray(t)
    if y.ndim == 1:
        y, t = y.reshape(1, -1), t.reshape(1, -1)
    if t.shape == y.shape and t.size and y.shape[1] > 1:
        t = t.argmax(axis=1)
    t = t.reshape(-1)
    if y.ndim != 2 or t.shape[0] != y.shape[0] or y.size == 0:
        raise ValueError(f"cross_entropy_error: probabilities {y.shape} and targets {t.shape} do not match")
    if ((t < 0) | (t >= y.shape[1])).any():
        raise ValueError(f"cross_entropy_error: there is a target outside the {y.shape[1]} classes: {t.tolist()}")
    tiny = 1e-7  # the log of an exact 0 would be -inf
    return -np.log(y[np.arange(len(t)), t.astype(int)] + tiny).mean()
