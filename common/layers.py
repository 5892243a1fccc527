"""Layers without time: each has ``params``, ``grads``, ``forward`` and ``backward``.

The rules that every layer of the course keeps:

* ``params`` and ``grads`` are parallel lists of arrays; backward writes into ``grads`` in place.
* ``backward`` returns the gradients in the order of forward's arguments. Ids and targets have none and are left out; a
  layer that takes nothing else returns None.
* What backward needs is kept in ``cache``, which is None before the first forward call. Nothing the caller passed in is
  changed, and calling backward twice gives the same answer twice.
* The dtype follows the parameters: float32 to train, float64 to check gradients.

Source: Saito, "Deep Learning from Scratch 2", chapters 1, 3 and 4; the derivations and the code are our own.
"""

from common.base_model import Composite
from common.functions import relu, sigmoid, softmax
from common.np import default_rng, np, uniform


def cast(dtype, *arrays):
    """Return the arrays in this dtype; those that have it already are not copied."""
    return [x.astype(dtype, copy=False) for x in arrays]


def cached(layer):
    """Return what forward kept for backward. Raises: RuntimeError if there was no forward call."""
    if layer.cache is None:
        raise RuntimeError(f"{type(layer).__name__}.backward: call forward first")
    return layer.cache


def check_dout(layer, dout, shape, name="dout"):
    """Raise a ValueError unless the gradient that comes in has the shape of what forward returned.

    It has not if another batch went through the layer in between. NumPy would often find a way to go on all the same.
    """
    if np.shape(dout) != tuple(shape):
        raise ValueError(f"{type(layer).__name__}: {name} is {np.shape(dout)}, but forward returned {tuple(shape)}")


def write_grads(layer, *products):
    """Write the gradients of a layer's parameters, all of them, each a product over the rows of a batch.

    A product (grad, x, d) means grad = x^T d, with x (..., K), d (..., M) and grad (K, M); for x None it means the sum
    of d. In the copy of a layer that does one of many steps (``common.unroll``) they wait in ``layer.waiting``, because
    one product over the rows of all steps is faster than one for every step, and their sum.
    """
    waiting = getattr(layer, "waiting", None)
    if waiting is not None:
        waiting.extend(products)
        return
    for grad, x, d in products:
        d = d.reshape(-1, d.shape[-1])
        if x is None:
            np.sum(d, axis=0, out=grad)
        else:
            np.matmul(x.reshape(-1, x.shape[-1]).T, d, out=grad)


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
        x = cached(self)
        check_dout(self, dout, (*x.shape[:-1], W.shape[1]))
        write_grads(self, (self.grads[0], x, dout))
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
        x = cached(self)
        check_dout(self, dout, (*x.shape[:-1], W.shape[1]))
        write_grads(self, (dW, x, dout), (db, None, dout))
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
        y = cached(self)
        check_dout(self, dout, y.shape)
        dx = dout - np.matmul(y[..., None, :], dout[..., None])[..., 0]  # the sum as a product: faster than einsum
        dx *= y
        return dx


class CrossEntropy:
    """What SoftmaxWithLoss and TimeSoftmaxWithLoss share: the mean of -log softmax(x)[t], and its gradient.

    Of the size of x there is one array at a time beside x itself: backward turns the exponentials that forward left
    into the gradient and gives them away. A second backward forms them again from x.

    Args: label_smoothing e, in [0, 1). In training (``train_flg``) the loss is the cross entropy against a target that
    gives 1 - e to the right class and e to all V classes alike, so that the model is not drawn to ever larger logits.
    In use it is the plain one. Source: Szegedy et al. 2016, section 7.
    ``count`` is the number of targets that the loss of the last forward call averages over.
    """

    def __init__(self, label_smoothing=0.0):
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"{type(self).__name__}: label_smoothing must be in [0, 1), got {label_smoothing}")
        self.params, self.grads = [], []
        self.label_smoothing = label_smoothing
        self.train_flg = True
        self.count = 0
        self.cache = None

    def _check_scores(self, x):
        if x.size == 0:
            raise ValueError(f"{type(self).__name__}: there are no scores in an array of shape {x.shape}")

    def _check_ids(self, x, t, counts=None):
        """Raise unless the ids t (...) fit x (..., V). counts: which of them count, by default all."""
        name, V = type(self).__name__, x.shape[-1]
        if t.dtype.kind not in "iu":
            raise TypeError(f"{name}: targets are integer ids or one-hot, got {t.shape} of {t.dtype} for {x.shape}")
        wrong = (t < 0) | (t >= V)
        if counts is not None:
            wrong &= counts
        if wrong.any():
            raise ValueError(f"{name}: target id {int(t[wrong][0])} is outside the {V} classes")

    def _mean_loss(self, x, t, counts=None, out=None):
        """Return the mean of log(sum(exp(x))) - x[t] over the rows of x (..., V) that count, 0 if none does.

        With smoothing, x[t] becomes (1 - e) x[t] + e mean(x): what the target of the class docstring picks.
        out: the array for the exponentials, and then for the gradient; it may be x, which is not read again.
        """
        if x.dtype.kind != "f":
            x = x.astype(float)
        t = t if counts is None else np.where(counts, t, 0)
        e = self.label_smoothing if self.train_flg else 0
        largest = x.max(axis=-1, keepdims=True)  # taken away, it keeps exp from overflowing
        y = np.subtract(x, largest, out=np.empty(x.shape, x.dtype) if out is None else out)
        picked = np.take_along_axis(y, t[..., None], axis=-1)[..., 0]
        if e:
            picked = (1 - e) * picked + e * y.mean(axis=-1)
        sums = np.exp(y, out=y).sum(axis=-1, keepdims=True)
        losses = np.log(sums[..., 0]) - picked
        self.count = t.size if counts is None else int(counts.sum())
        self.cache = (x if out is None else None, t, counts, e, largest, sums, [y], [])
        return (losses if counts is None else losses[counts]).sum() / max(self.count, 1)

    def backward(self, dout=1):
        """dx = (y - target) * dout / count: probability minus truth; 0 in a row that does not count.

        Return dx, the shape of x. Raises: RuntimeError if it was called with dout = 0 before, forward wrote into
        ``out``, and now another dout is asked for.
        """
        x, t, counts, e, largest, sums, exponentials, gradient = cached(self)
        share = dout / max(self.count, 1)
        if exponentials:
            dx = exponentials.pop()
        elif x is None:
            return self._again(share, *gradient)
        else:
            dx = np.subtract(x, largest, out=np.empty(x.shape, x.dtype))
            np.exp(dx, out=dx)
        V = dx.shape[-1]
        dx *= share / sums
        if e:
            dx -= share * e / V
        dx.reshape(-1, V)[np.arange(t.size), t.reshape(-1)] -= share * (1 - e)
        if counts is not None and self.count < counts.size:
            dx[~counts] = 0
        if x is None:
            gradient[:] = share, dx
        return dx

    def _again(self, share, before, dx):
        """Return the gradient for another share; ``out`` holds it for the share before, and x is gone."""
        if share == before:
            return dx
        if before == 0:
            raise RuntimeError(
                f"{type(self).__name__}.backward: the call before, with dout = 0, left nothing in the array that "
                "forward was given as out; call forward again"
            )
        return dx * (share / before)


class SoftmaxWithLoss(CrossEntropy):
    """Softmax, then the mean cross entropy. Shapes: x (N, V) scores, t (N,) ids or (N, V) one-hot; loss a float."""

    def forward(self, x, t):
        """Return the mean loss over the batch: log(sum(exp(x))) - x[correct class], finite for scores of any size.

        Raises: ValueError for shapes or ids that do not fit, TypeError for ids that are not integers.
        """
        self._check_scores(x)
        t = np.asarray(t)
        if t.shape == x.shape and x.ndim == 2:
            t = t.argmax(axis=1)  # one-hot -> ids
        t = t.reshape(-1)
        if x.ndim != 2 or len(t) != len(x):
            raise ValueError(f"SoftmaxWithLoss: scores {x.shape} must be (N, V) and targets (N,), got {t.shape}")
        self._check_ids(x, t)
        return self._mean_loss(x, t)


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
        y = cached(self)
        check_dout(self, dout, y.shape)
        return dout * y * (1 - y)


class Tanh:
    """y = tanh(x), any shape."""

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, x):
        """Return tanh(x), same shape."""
        self.cache = np.tanh(x)
        return self.cache.copy()

    def backward(self, dout):
        """dx = dout * (1 - y^2)."""
        y = cached(self)
        check_dout(self, dout, y.shape)
        return dout * (1 - y * y)


class Relu:
    """y = max(0, x), any shape."""

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, x):
        """Return max(0, x), same shape."""
        self.cache = x > 0
        return relu(x)

    def backward(self, dout):
        """dx = dout where x was above 0, else 0; at 0 itself the slope counts as 0."""
        above = cached(self)
        check_dout(self, dout, above.shape)
        return np.where(above, dout, 0)


class SigmoidWithLoss:
    """Sigmoid, then the mean binary cross entropy. Shapes: x (N,) scores, t (N,) of 0 and 1; loss a float.

    ``count`` is the number of targets that the loss of the last forward call averages over.
    """

    def __init__(self):
        self.params, self.grads = [], []
        self.count = 0
        self.cache = None

    def forward(self, x, t):
        """Return the mean of -log(probability of the true answer), from the scores, so nothing overflows.

        Raises: ValueError if t has not as many elements as x, or both have none.
        """
        t = np.asarray(t)
        if t.size != x.size or x.size == 0:
            raise ValueError(f"SigmoidWithLoss: scores {x.shape} and targets {t.shape} must be (N,), N at least 1")
        t = t.reshape(x.shape).astype(x.dtype)  # not int64, which would make all that follows float64
        self.cache = (x, t)
        self.count = x.size
        # -log(sigmoid(x)) = log(1 + exp(-x)); for t = 0 the sign of x changes
        return (np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))).mean()

    def backward(self, dout=1):
        """dx = (y - t) * dout / N. Return dx, the shape of x.

        Near 1, y - 1 has lost its digits; it is -sigmoid(-x), which keeps them.
        """
        x, t = cached(self)
        return ((1 - t) * sigmoid(x) - t * sigmoid(-x)) * (dout / x.size)


class LayerNorm:
    """y = gamma * (x - mean) / sqrt(variance + eps) + beta: the numbers of the last axis get mean 0 and variance 1.

    Shapes: x and y (..., D), gamma and beta (D,). Mean and variance (divided by D) are those of each row of x by
    itself, so the rows of a batch do not know of each other.
    Source: Ba et al. 2016, equations 3 and 4.
    """

    param_names = ("gamma", "beta")

    def __init__(self, gamma, beta, eps=1e-5):
        if gamma.ndim != 1 or gamma.shape != beta.shape or gamma.size == 0:
            raise ValueError(f"LayerNorm: gamma {gamma.shape} and beta {beta.shape} must both be (D,), D at least 1")
        self.params = [gamma, beta]
        self.grads = [np.zeros_like(gamma), np.zeros_like(beta)]
        self.eps = eps
        self.cache = None

    def forward(self, x):
        """Return y (..., D). Raises: ValueError if x has not D columns."""
        gamma, beta = self.params
        if x.ndim == 0 or x.shape[-1:] != gamma.shape:
            raise ValueError(f"LayerNorm: x {x.shape} does not fit gamma {gamma.shape}: x needs {len(gamma)} columns")
        (x,) = cast(gamma.dtype, x)
        centered = x - x.mean(axis=-1, keepdims=True)
        variance = (centered * centered).mean(axis=-1, keepdims=True)  # (..., 1)
        scale = 1 / np.sqrt(variance + self.eps)  # (..., 1)
        x_hat = centered * scale
        self.cache = (x_hat, scale)
        return gamma * x_hat + beta

    def backward(self, dout):
        """dx = scale (dx_hat - mean(dx_hat) - x_hat mean(dx_hat x_hat)) with dx_hat = gamma dout.

        Mean and variance depend on every number of the row: what they take away is the part of dx_hat that would move
        all numbers alike, and the part that would stretch them. dgamma = sum of dout x_hat, dbeta = sum of dout.
        Return dx (..., D).
        """
        gamma, _ = self.params
        dgamma, dbeta = self.grads
        x_hat, scale = cached(self)
        check_dout(self, dout, x_hat.shape)
        (dout,) = cast(gamma.dtype, dout)
        D = len(gamma)
        np.sum((dout * x_hat).reshape(-1, D), axis=0, out=dgamma)
        np.sum(dout.reshape(-1, D), axis=0, out=dbeta)
        dx_hat = gamma * dout
        along_x = (dx_hat * x_hat).mean(axis=-1, keepdims=True)  # (..., 1)
        return scale * (dx_hat - dx_hat.mean(axis=-1, keepdims=True) - x_hat * along_x)


class Residual(Composite):
    """y = x + layer(x): what the layer computes is added to what it was given.

    Shapes: x and y (..., D); the layer must return the shape of its input.
    Source: He et al. 2016, equation 1.
    """

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x):
        """Return x + layer(x). Raises: ValueError if the layer returns another shape than that of x."""
        y = self.layer.forward(x)
        if y.shape != x.shape:
            raise ValueError(
                f"Residual: {type(self.layer).__name__} made {y.shape} of x {x.shape}; to be added they must be alike"
            )
        y += x
        return y

    def backward(self, dout):
        """x reaches y along two ways, the layer and past it: dx = dout + what the layer's backward returns."""
        dx = self.layer.backward(dout)
        dx += dout
        return dx


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
        self.rng = None if rng is None else default_rng(rng)  # None: the global state, which cannot be copied
        self.train_flg = True
        self.cache = None

    def forward(self, x):
        """Return x with some elements at 0 (training) or a copy of x. Any shape."""
        keep = 1 - self.dropout_ratio
        if self.train_flg and keep < 1:
            factor = (uniform(self.rng, x.shape) < keep).astype(x.dtype) / x.dtype.type(keep)
        else:
            factor = 1
        self.cache = (factor, x.shape)
        return x * factor

    def backward(self, dout):
        """dx = dout where the input was kept (scaled alike), 0 where it was dropped."""
        factor, shape = cached(self)
        check_dout(self, dout, shape)
        return dout * factor


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
        ids = cached(self)
        check_dout(self, dout, (*ids.shape, dW.shape[1]))
        dW[...] = 0
        ids = ids.reshape(-1)
        if ids.size == 0:
            return None
        order = np.argsort(ids, kind="stable")  # equal ids side by side, so each sum is over one slice
        ids = ids[order]
        starts = np.flatnonzero(np.concatenate([np.array([True]), ids[1:] != ids[:-1]]))
        dW[ids[starts]] = np.add.reduceat(dout.reshape(-1, dW.shape[1])[order], starts, axis=0)
        return None
