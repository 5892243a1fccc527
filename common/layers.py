"""Layers without time: each has ``params``, ``grads``, ``forward`` and ``backward``.

The rules that every layer of the course keeps:

* ``params`` and ``grads`` are parallel lists of arrays; backward writes into ``grads`` in place.
* ``backward`` returns the gradients in the order of forward's arguments. Ids and targets have none and are left out; a
  layer that takes nothing else returns None.
* What backward needs is kept in ``cache``. Nothing the caller passed in is changed, and calling backward twice gives
  the same answer twice.
* The dtype follows the parameters: float32 to train, float64 to check gradients.

Source: Saito, "Deep Learning from Scratch 2", chapters 1, 3 and 4; the derivations and the code are our own.
"""

from common.functions import sigmoid, softmax
from common.np import default_rng, np


def cast(dtype, *arrays):
    """Return the arrays in this dtype; those that have it already are not copied."""
    return [x.astype(dtype, copy=False) for x in arrays]


def _product(layer, x, W):
    """Return x W over the last axis of x, or raise a ValueError that names both shapes."""
    if x.ndim == 0 or x.shape[-1] != W.shape[0]:
        raise ValueError(f"{type(layer).__name__}: x {x.shape} does not fit W {W.shape}: x needs {W.shape[0]} columns")
    (x,) = cast(W.dtype, x)
    return np.matmul(x.reshape(-1, W.shape[0]), W).reshape(*x.shape[:-1], W.shape[1])


class MatMul:
    """y = x W.

    Shapes: x (..., D), W (D, M), y (..., M). All leading axes are treated as one batch.
    """

    param_names = ("W",)

    def __init__(self, W):
        self.params = [W]
        self.grads = [np.zeros_like(W)]
        self.cache = None

    def forward(self, x):
        """Return x W, shape (..., M). Raises: ValueError if x has not D columns."""
        (W,) = self.params
        y = _product(self, x, W)
        self.cache = x
        return y

    def backward(self, dout):
        """dx = dout W^T; dW = x^T dout, summed over the batch. Return dx (..., D)."""
        (W,) = self.params
        x = self.cache
        D, M = W.shape
        np.matmul(x.reshape(-1, D).T, dout.reshape(-1, M), out=self.grads[0])
        return _product(self, dout, W.T)


class Affine:
    """y = x W + b.

    Shapes: x (..., D), W (D, M), b (M,), y (..., M). All leading axes are treated as one batch.
    """

    param_names = ("W", "b")

    def __init__(self, W, b):
        self.params = [W, b]
        self.grads = [np.zeros_like(W), np.zeros_like(b)]
        self.cache = None

    def forward(self, x):
        """Return x W + b, shape (..., M). Raises: ValueError if x has not D columns."""
        W, b = self.params
        y = _product(self, x, W)
        y += b
        self.cache = x
        return y

    def backward(self, dout):
        """dx = dout W^T; dW = x^T dout; b was repeated over the batch, so db = sum of dout. Return dx (..., D)."""
        W, _ = self.params
        dW, db = self.grads
        x = self.cache
        D, M = W.shape
        np.matmul(x.reshape(-1, D).T, dout.reshape(-1, M), out=dW)
        np.sum(dout.reshape(-1, M), axis=0, out=db)
        return _product(self, dout, W.T)


class Softmax:
    """y = exp(x) / sum(exp(x)) along the last axis. Shapes: x and y (..., K)."""

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, x, out=None):
        """Return weights of the shape of x; each row sums to 1.

        out: an array to write them into, x itself if you like. The layer keeps it, so do not change it before backward.
        """
        self.cache = softmax(x, out)
        return self.cache.copy() if out is None else out

    def backward(self, dout):
        """dx = y * (dout - sum(y * dout)): a score gains only if its gradient is above the weighted mean.

        Return dx (..., K).
        """
        y = self.cache
        dx = dout - np.matmul(y[..., None, :], dout[..., None])[..., 0]  # the sum as a product: faster than einsum
        dx *= y
        return dx


class SoftmaxWithLoss:
    """Softmax, then the mean cross entropy. Shapes: x (N, V) scores, t (N,) ids or (N, V) one-hot; loss a float."""

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, x, t):
        """Return the mean loss over the batch: log(sum(exp(x))) - x[correct class], finite for scores of any size.

        Raises: ValueError for shapes or ids that do not fit.
        """
        t = np.asarray(t)
        if t.shape == x.shape and x.ndim == 2:
            t = t.argmax(axis=1)  # one-hot -> ids
        t = t.reshape(-1)
        if x.ndim != 2 or len(t) != len(x):
            raise ValueError(f"SoftmaxWithLoss: scores {x.shape} must be (N, V) and targets (N,), got {t.shape}")
        N, V = x.shape
        if ((t < 0) | (t >= V)).any():
            raise ValueError(f"SoftmaxWithLoss: target id {int(t[(t < 0) | (t >= V)][0])} is outside the {V} classes")
        y = x - x.max(axis=1, keepdims=True)
        correct = y[np.arange(N), t]
        np.exp(y, out=y)
        sums = y.sum(axis=1, keepdims=True)
        y /= sums
        self.cache = (y, t)
        return (np.log(sums[:, 0]) - correct).mean()

    def backward(self, dout=1):
        """dx = (y - one_hot(t)) * dout / N: probability minus truth. Return dx (N, V)."""
        y, t = self.cache
        N = len(t)
        dx = y.copy()
        dx[np.arange(N), t] -= 1
        dx *= dout / N
        return dx


class Sigmoid:
    """y = 1 / (1 + exp(-x)), any shape."""

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, x):
        """Return sigmoid(x), same shape."""
        self.cache = sigmoid(x)
        return self.cache.copy()

    def backward(self, dout):
        """dx = dout * y * (1 - y)."""
        y = self.cache
        return dout * y * (1 - y)


class SigmoidWithLoss:
    """Sigmoid, then the mean binary cross entropy. Shapes: x (N,) scores, t (N,) of 0 and 1; loss a float."""

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, x, t):
        """Return the mean of -log(probability of the true answer), from the scores, so nothing overflows."""
        t = np.asarray(t).reshape(x.shape).astype(x.dtype)  # not int64, which would make all that follows float64
        self.cache = (sigmoid(x), t)
        # -log(sigmoid(x)) = log(1 + exp(-x)); for t = 0 the sign of x turns round
        return (np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))).mean()

    def backward(self, dout=1):
        """dx = (y - t) * dout / N. Return dx, the shape of x."""
        y, t = self.cache
        return (y - t) * (dout / y.size)


class Dropout:
    """In training, set a share of the inputs to 0 and scale the rest so that the mean stays; otherwise pass through.

    Args: dropout_ratio, in [0, 1); rng, a NumPy Generator, a seed, or None for NumPy's global state.
    ``train_flg`` switches it on and off. Source: Srivastava et al. 2014 (inverted dropout).
    """

    def __init__(self, dropout_ratio=0.5, rng=None):
        if not 0 <= dropout_ratio < 1:
            raise ValueError(f"dropout_ratio must be in [0, 1), got {dropout_ratio}")
        self.params, self.grads = [], []
        self.dropout_ratio = dropout_ratio
        self.rng = default_rng(rng)
        self.train_flg = True
        self.cache = None

    def forward(self, x):
        """Return x with some elements at 0 (training) or a copy of x. Any shape."""
        self.cache = None
        if not self.train_flg or self.dropout_ratio == 0:
            return x.copy()
        keep = 1 - self.dropout_ratio
        kept = np.asarray(self.rng.uniform(size=x.shape) < keep)
        self.cache = kept.astype(x.dtype) / x.dtype.type(keep)
        return x * self.cache

    def backward(self, dout):
        """dx = dout where the input was kept (scaled alike), 0 where it was dropped."""
        return dout.copy() if self.cache is None else dout * self.cache


class Embedding:
    """Pick rows of W by id.

    Shapes: W (V, D), ids (...) integers in [0, V), out (..., D).
    """

    param_names = ("W",)

    def __init__(self, W):
        self.params = [W]
        self.grads = [np.zeros_like(W)]
        self.cache = None

    def forward(self, idx):
        """Return W[idx]. Raises: IndexError for an id outside [0, V), TypeError for ids that are not integers."""
        (W,) = self.params
        idx = np.asarray(idx)
        if idx.dtype.kind not in "iu":
            raise TypeError(f"{type(self).__name__} takes integer ids, got an array of {idx.dtype}")
        if idx.size and (idx.min() < 0 or idx.max() >= len(W)):
            bad = int(idx[(idx < 0) | (idx >= len(W))][0])
            raise IndexError(f"{type(self).__name__}: id {bad} is outside the vocabulary of {len(W)}")
        self.cache = idx.copy()
        return W[idx]

    def backward(self, dout):
        """dW[id] = sum of dout over the places where the id stood: an id seen twice gets both. Return None."""
        (dW,) = self.grads
        dW[...] = 0
        ids = self.cache.reshape(-1)
        if ids.size == 0:
            return None
        order = np.argsort(ids, kind="stable")  # equal ids side by side, so each sum is over one slice
        ids = ids[order]
        starts = np.flatnonzero(np.concatenate([np.array([True]), ids[1:] != ids[:-1]]))
        dW[ids[starts]] = np.add.reduceat(dout.reshape(-1, dW.shape[1])[order], starts, axis=0)
        return None
