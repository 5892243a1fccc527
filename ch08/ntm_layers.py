"""The parts of a Neural Turing Machine: how a head finds its rows of a memory, how it reads them, how it writes them.

    memory, key -> CosineSimilarity -> * strength -> softmax ------ ContentAddressing: rows that look like the key
      -> Interpolation with the weighting before -> CircularShift -> Sharpening -> the weighting w of this step
    memory, w -> Read -> what the head reads            memory, w -> Erase -> Add -> the memory after the step

``Addressing`` is the first two lines in one. Attention by content is that of section 8.2 with another score; new are
attention by place (keep the weighting before, and shift it) and that memory is written where the attention lies.

Shapes: N sequences, a memory of R rows of width W, M heads, S shifts. memory (N, R, W); a weighting w (N, R) has one
weight for each row, its sum is 1; a key is (N, W), and what a head has one number of, such as its strength, is (N,).
With M heads at once a weighting is (N, M, R), a key (N, M, W), a number (N, M); below, (..., R) stands for both.

A memory may lie in main memory in any order. Those made here (``outer``) have the R numbers of a column side by side,
and NumPy keeps that order: its loops over 128 rows take a fifth of the time of loops over 20 columns.

Source: Graves, Wayne and Danihelka 2014, section 3; the derivations and the code are our own.
"""

from ch08.attention_layer import WeightSum
from ch08.score_layers import as_sequence, swap
from common.base_model import Composite
from common.functions import sigmoid, softmax
from common.layers import Softmax, cached, check_dout
from common.np import host, np

# --- finding rows ----------------------------------------------------------------------------------------------


class CosineSimilarity:
    """s_i = k . m_i / (|k| |m_i|): how far the key points in the direction of row i, from -1 to 1.

    The lengths are |v| = sqrt(v . v + eps). So neither a key nor a row of zeros divides by 0: its similarity is 0, and
    the slope stays below 1 / sqrt(eps). A length well above sqrt(eps) is what it would be without.

    Args: eps, above 0. Shapes: memory (N, R, W); key (N, W) -> s (N, R), or key (N, M, W) -> s (N, M, R).
    Source: Graves et al. 2014, equation 6.
    """

    def __init__(self, eps=1e-4):
        if not eps > 0:
            raise ValueError(f"CosineSimilarity: eps must be above 0, or a memory of zeros divides by 0; got {eps}")
        self.params, self.grads = [], []
        self.eps = eps
        self.cache = None

    def forward(self, memory, key):
        """Return s (..., R). Raises: ValueError for shapes that do not fit."""
        _check_memory(self, memory)
        N, R, W = memory.shape
        if key.ndim not in (2, 3) or 0 in key.shape or (len(key), key.shape[-1]) != (N, W):
            raise ValueError(f"{type(self).__name__}: key is {key.shape}, but it must be {(N, W)} or ({N}, M, {W})")
        k = as_sequence(key)  # (N, M, W)
        key_length = np.sqrt(_dot(k, k) + self.eps)[..., None]  # (N, M, 1)
        row_length = np.sqrt((memory * memory).sum(axis=2) + self.eps)[:, None]  # (N, 1, R)
        k_hat = k / key_length
        s = np.matmul(k_hat, swap(memory))  # (N, M, R)
        s /= row_length
        self.cache = (memory, k_hat, key_length, row_length, s, key.shape)
        return s.reshape(*key.shape[:-1], R).copy()

    def backward(self, ds):
        """What stretches a vector does not turn it: of each gradient the part along the vector is taken away.

        With k_hat = k / |k| and m_hat = m / |m|: dk = (g - (g . k_hat) k_hat) / |k|, g the sum of ds_i m_hat_i, and
        dm_i = ds_i (k_hat - s_i m_hat_i) / |m_i|. Return (dmemory, dkey).
        """
        memory, k_hat, key_length, row_length, s, shape = cached(self)
        check_dout(self, ds, (*shape[:-1], s.shape[-1]), "ds")
        scaled = as_sequence(ds) / row_length  # (N, M, R)
        dkey = np.matmul(scaled, memory)  # (N, M, W)
        dkey -= _dot(dkey, k_hat)[..., None] * k_hat
        dkey /= key_length
        along = (scaled * s).sum(axis=1)[:, None] / row_length  # (N, 1, R)
        dmemory = swap(np.matmul(swap(k_hat), scaled))  # (N, R, W)
        dmemory -= swap(along) * memory
        return dmemory, dkey.reshape(shape)


class ContentAddressing(Composite):
    """w = softmax(strength * s): the more a row resembles the key, the more of the attention is on it.

    The cosine alone lies between -1 and 1, and the softmax of that is nearly flat; the strength makes it as pointed as
    the head likes. It is a factor, so softmax sees a score of strength * 1 at most, and never overflows.

    Args: eps, see ``CosineSimilarity``. Shapes: memory (N, R, W), key (..., W), strength (...) >= 0 -> w (..., R).
    Source: Graves et al. 2014, equation 5.
    """

    def __init__(self, eps=1e-4):
        self.similarity = CosineSimilarity(eps)
        self.softmax = Softmax()
        self.cache = None

    def forward(self, memory, key, strength):
        """Return w (..., R); its sum is 1."""
        s = self.similarity.forward(memory, key)
        _check(self, "strength", strength, key.shape[:-1])
        self.cache = (s, strength)
        return self.softmax.forward(strength[..., None] * s)

    def backward(self, dw):
        """Softmax's rule, then a product's: ds = strength dscore, dstrength = sum of dscore s.

        Return (dmemory, dkey, dstrength).
        """
        s, strength = cached(self)
        dscore = self.softmax.backward(dw)
        dmemory, dkey = self.similarity.backward(strength[..., None] * dscore)
        return dmemory, dkey, _dot(dscore, s)


class Interpolation:
    """w = g content + (1 - g) previous: a gate of 1 looks the content up anew, a gate of 0 stays with what was.

    Shapes: content, previous and w (..., R), gate g (...) in [0, 1]. Source: Graves et al. 2014, equation 7.
    """

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, content, previous, gate):
        """Return w (..., R). Raises: ValueError for shapes that do not fit."""
        _check(self, "previous", previous, content.shape)
        _check(self, "gate", gate, content.shape[:-1])
        difference = content - previous
        g = gate[..., None]
        self.cache = (difference, g)
        return g * difference + previous

    def backward(self, dw):
        """dcontent = g dw, dprevious = (1 - g) dw, dg = sum of dw (content - previous); in forward's order."""
        difference, g = cached(self)
        check_dout(self, dw, difference.shape, "dw")
        dcontent = g * dw
        return dcontent, dw - dcontent, _dot(dw, difference)


class CircularShift:
    """w_i = sum over j of shift_j previous_(i - (j - half)), half = (S - 1) / 2: attention moves to rows beside it.

    shift holds S weights whose sum is 1, S odd. For S = 3 they are for one row back, stay, one row on: with all of it
    on the last, row i gets what row i - 1 had. The memory is a ring: after the last row comes row 0.

    Shapes: w and previous (..., R), shift (..., S). Source: Graves et al. 2014, equation 8.
    """

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, w, shift):
        """Return the shifted weighting (..., R). Raises: ValueError for an even S, or one above 2 R + 1."""
        R, S = w.shape[-1], shift.shape[-1]
        _check(self, "shift", shift, (*w.shape[:-1], S))
        if S % 2 == 0 or S > 2 * R + 1:
            raise ValueError(
                f"CircularShift: for {R} rows the number of shifts must be odd, at most {2 * R + 1}, got {S}"
            )
        ring = _ring(w, S // 2)
        self.cache = (ring, shift)
        # ring[half + i] is w_i, so w_(i - j + half) is ring[i + S - 1 - j]
        return sum(shift[..., j, None] * ring[..., S - 1 - j : S - 1 - j + R] for j in range(S))

    def backward(self, dout):
        """dw_i = sum over j of shift_j dout_(i + (j - half)): back the other way; dshift_j = sum of dout_i w_(i - ...).

        Return (dw, dshift).
        """
        ring, shift = cached(self)
        S = shift.shape[-1]
        R = ring.shape[-1] - S + 1
        check_dout(self, dout, (*shift.shape[:-1], R))
        dring = _ring(dout, S // 2)
        dw = sum(shift[..., j, None] * dring[..., j : j + R] for j in range(S))
        dshift = [_dot(dout, ring[..., S - 1 - j : S - 1 - j + R]) for j in range(S)]
        return dw, np.stack(dshift, axis=-1)


class Sharpening:
    """y_i = w_i^gamma / sum over k of w_k^gamma: shifting blurs a weighting, a power above 1 makes it pointed again.

    Computed as softmax(gamma log w), of which nothing can underflow that matters: the largest weight is always there. A
    weight of 0 stays 0 and is left out of all derivatives. That is their limit for gamma > 1; written down as it
    stands, w^gamma log w is 0 times infinity there, which is not a number.

    What comes out smaller than the root of the smallest number (1e-19 in float32) is set to 0: products of two such
    numbers would be denormal, and computing with those is many times slower.

    Shapes: w and y (..., R), gamma (...) >= 1. Source: Graves et al. 2014, equation 9.
    """

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, w, gamma):
        """Return y (..., R); its sum is 1, and no two weights change places. Raises: ValueError for other shapes."""
        _check(self, "gamma", gamma, w.shape[:-1])
        tiny = float(host.finfo(w.dtype).tiny)
        w = np.maximum(w, tiny)
        log_w = np.log(w)
        y = softmax(gamma[..., None] * log_w)
        y *= y > tiny**0.5
        self.cache = (w, log_w, gamma, y)
        return y.copy()

    def backward(self, dy):
        """Softmax's rule gives the gradient d of gamma log w; then dw = gamma d / w, dgamma = sum of d log w.

        Return (dw, dgamma).
        """
        w, log_w, gamma, y = cached(self)
        check_dout(self, dy, y.shape, "dy")
        d = y * (dy - _dot(y, dy)[..., None])
        dgamma = _dot(d, log_w)
        d /= w
        d *= gamma[..., None]
        return d, dgamma


class Addressing(Composite):
    """From what a head says to its weighting: look up by content, keep or take it, shift it, sharpen it.

    Args: eps, see ``CosineSimilarity``. Shapes: memory (N, R, W); previous (..., R), the weighting of the step before;
    key (..., W); strength, gate and gamma (...); shift (..., S). Source: Graves et al. 2014, figure 2.
    """

    def __init__(self, eps=1e-4):
        self.content = ContentAddressing(eps)
        self.interpolation = Interpolation()
        self.shift = CircularShift()
        self.sharpening = Sharpening()

    def forward(self, memory, previous, key, strength, gate, shift, gamma):
        """Return the weighting w (..., R) of this step; its sum is 1."""
        w = self.content.forward(memory, key, strength)
        w = self.interpolation.forward(w, previous, gate)
        w = self.shift.forward(w, shift)
        return self.sharpening.forward(w, gamma)

    def backward(self, dw):
        """The four in reverse order. Return the gradients of forward's arguments, seven of them."""
        dw, dgamma = self.sharpening.backward(dw)
        dw, dshift = self.shift.backward(dw)
        dw, dprevious, dgate = self.interpolation.backward(dw)
        dmemory, dkey, dstrength = self.content.backward(dw)
        return dmemory, dprevious, dkey, dstrength, dgate, dshift, dgamma


# --- reading and writing ---------------------------------------------------------------------------------------


class Read(WeightSum):
    """r = sum over i of w_i m_i: the rows, mixed by their weights. It is the weighted sum of section 8.2.

    Shapes: memory (N, R, W); w (N, R) -> r (N, W), or w (N, M, R) -> r (N, M, W).
    Source: Graves et al. 2014, equation 2.
    """

    def backward(self, dr):
        """The rule of WeightSum: dmemory_i = w_i dr, summed over the heads, dw_i = dr . m_i. Return (dmemory, dw)."""
        memory, w = cached(self)
        check_dout(self, dr, (*w.shape[:-1], memory.shape[2]), "dr")
        heads, drs = as_sequence(w), as_sequence(dr)  # (N, M, R) and (N, M, W)
        dmemory = outer(heads[:, 0], drs[:, 0])
        for m in range(1, heads.shape[1]):
            dmemory += outer(heads[:, m], drs[:, m])
        return dmemory, np.matmul(drs, swap(memory)).reshape(w.shape)


class Erase:
    """m_i becomes m_i (1 - w_i e), element by element: what the head points at loses what e says.

    Only where the weight and the erase vector are both 1 is a number set to 0. Shapes: memory (N, R, W), w (N, R),
    erase e (N, W) in [0, 1]. Several heads erase one after the other, in any order.
    Source: Graves et al. 2014, equation 3.
    """

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, memory, w, erase):
        """Return the memory after it, (N, R, W), a new array. Raises: ValueError for shapes that do not fit."""
        _check_write(self, memory, w, erase, "erase")
        self.cache = (memory, w, erase)
        kept = self._kept(w, erase)
        kept *= memory
        return kept

    def backward(self, dout):
        """A product's rule: dmemory = dout (1 - w e); what w e takes away is memory, so dw = -sum of dout memory e.

        Return (dmemory, dw, de).
        """
        memory, w, erase = cached(self)
        check_dout(self, dout, memory.shape)
        taken = memory * dout
        dw = np.matmul(taken, erase[..., None])[..., 0]  # (N, R)
        derase = np.matmul(w[:, None], taken)[:, 0]  # (N, W)
        dmemory = self._kept(w, erase)
        dmemory *= dout
        return dmemory, np.negative(dw, out=dw), np.negative(derase, out=derase)

    def _kept(self, w, erase):
        """Return 1 - w e, the share of every number that is kept, (N, R, W)."""
        kept = outer(w, erase)
        return np.subtract(1, kept, out=kept)


class Add:
    """m_i becomes m_i + w_i a: the head adds a where it points.

    Shapes: memory (N, R, W), w (N, R), add a (N, W). Source: Graves et al. 2014, equation 4.
    """

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, memory, w, add):
        """Return the memory after it, (N, R, W), a new array. Raises: ValueError for shapes that do not fit."""
        _check_write(self, memory, w, add, "add")
        self.cache = (w, add)
        out = outer(w, add)
        out += memory
        return out

    def backward(self, dout):
        """dmemory = dout; dw_i = dout_i . a; da = sum over i of w_i dout_i. Return (dmemory, dw, da)."""
        w, add = cached(self)
        check_dout(self, dout, (*w.shape, add.shape[1]))
        dw = np.matmul(dout, add[..., None])[..., 0]  # (N, R)
        dadd = np.matmul(w[:, None], dout)[:, 0]  # (N, W)
        return dout.copy(order="K"), dw, dadd


class Softplus:
    """y = log(1 + exp(x)), any shape: always above 0, nearly x for a large x. Strengths are made with it."""

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, x):
        """Return y, same shape; finite for every x, because the exponential is that of -|x|."""
        self.cache = x
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))

    def backward(self, dout):
        """dx = dout * sigmoid(x)."""
        x = cached(self)
        check_dout(self, dout, x.shape)
        return dout * sigmoid(x)


class TimeSigmoidWithLoss:
    """Sigmoid, then the mean binary cross entropy in nats, over the bits of the steps that count.

    Computed from the logits, so it is finite for logits of any size. ``count`` is the number of bits that the loss of
    the last forward call averages over. Shapes: logits x (N, T, B); targets t (N, T, B) of 0 and 1; mask (N, T) bool,
    True for a step that counts, None for all; the loss is a number, 0 if no step counts.
    """

    def __init__(self):
        self.params, self.grads = [], []
        self.count = 0
        self.cache = None

    def forward(self, x, t, mask=None):
        """Return the mean of -log(probability of the right bit). Raises: ValueError for shapes that do not fit."""
        if x.ndim != 3 or x.size == 0:
            raise ValueError(f"{type(self).__name__}: logits must be (N, T, B), each at least 1, got {x.shape}")
        _check(self, "t", t, x.shape)
        counts = np.ones(x.shape[:2], bool) if mask is None else np.asarray(mask)
        _check(self, "mask", counts, x.shape[:2])
        sign = 1 - 2 * t.astype(x.dtype)  # sigmoid(-x) = 1 - sigmoid(x): only the sign of x depends on the target
        x = sign * x
        self.count = int(counts.sum()) * x.shape[2]
        self.cache = (x, sign, counts)
        losses = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
        return losses[counts].sum() / max(self.count, 1)

    def backward(self, dout=1):
        """dx = (sigmoid(x) - t) dout / count: probability minus truth; 0 at a step that does not count. Return dx."""
        x, sign, counts = cached(self)
        dx = sigmoid(x)  # of the wrong answer, so it keeps its digits where the right one is near 1
        dx *= sign
        dx *= counts[..., None]
        dx *= dout / max(self.count, 1)
        return dx


# --- for all of them -------------------------------------------------------------------------------------------


def outer(w, v):
    """Return w_i v for every row i, (N, R, W), of w (N, R) and v (N, W); columns lie together, see above."""
    return swap(v[..., None] * w[:, None])


def _dot(x, y):
    """Return the sums over the last axis of x y, both (..., K): as products, which is faster than a sum."""
    return np.matmul(x[..., None, :], y[..., None])[..., 0, 0]


def _ring(w, half):
    """Return w (..., R) with its last ``half`` weights before it and its first after it, (..., R + 2 half)."""
    R = w.shape[-1]
    return np.concatenate((w[..., R - half :], w, w[..., :half]), axis=-1)


def _check_memory(layer, memory):
    if memory.ndim != 3 or 0 in memory.shape:
        raise ValueError(f"{type(layer).__name__}: memory must be (N, R, W), each at least 1, got {memory.shape}")


def _check_write(layer, memory, w, vector, what):
    """Raise a ValueError unless memory is (N, R, W), w (N, R) and the vector (N, W)."""
    _check_memory(layer, memory)
    N, R, W = memory.shape
    _check(layer, "w", w, (N, R))
    _check(layer, what, vector, (N, W))


def _check(layer, what, array, shape):
    """Raise a ValueError unless an array has this shape, which follows from the other arguments."""
    if array.shape != tuple(shape):
        raise ValueError(f"{type(layer).__name__}: {what} is {array.shape}, but it must be {tuple(shape)}")
