"""Scores: how well does a query h match each hidden state hs_t? Three answers behind one interface.

    DotScore        s_t = scale (h . hs_t)           nothing to learn; h and hs_t must have the same size
    GeneralScore    s_t = h W hs_t^T                 a matrix learns what of h asks for what of hs_t
    AdditiveScore   s_t = v . tanh(h Wq + hs_t Wk)   a small network looks at both

A score is a layer: ``forward(hs, h)`` returns s; ``backward(ds)`` writes ``grads`` and returns (dhs, dh). Any layer of
this form can be given to ``ch08.attention_layer``.

Shapes of all three: hs (N, T, H_enc); h (N, H_dec) -> s (N, T), or h (N, T_dec, H_dec) -> s (N, T_dec, T). A single
query is a sequence of one, so the formulas are written once.

Sources: Luong et al. 2015, section 3.1 (dot, general, concat); Bahdanau et al. 2015, appendix A.1.2 (additive);
Vaswani et al. 2017, section 3.2.1 (dot with scale = 1 / sqrt(H)).
"""

import math
from functools import partial

from common.layers import cast
from common.np import errstate, host, np
from common.parallel import run, split, workers


class DotScore:
    """s_t = scale (h . hs_t): large where the query points the way the hidden state points.

    Args: scale, a number; 1 / sqrt(H) keeps the scores from growing with H (Vaswani et al. 2017).
    Shapes: see above, with H_dec = H_enc. Source: the book, section 8.1; Luong et al. 2015, "dot".
    """

    def __init__(self, scale=1.0):
        self.params, self.grads = [], []
        self.scale = float(scale)  # a float64 of NumPy would turn float32 scores into float64
        self.cache = None

    def forward(self, hs, h):
        """Return s = (scale h) hs^T. Raises: ValueError for shapes that do not fit."""
        check_sizes(self, hs, h, (hs.shape[-1], hs.shape[-1]), "a dot product needs vectors of one size")
        hs, h = cast(np.result_type(hs, h, np.float16), hs, h)  # floating, whatever came
        q = as_sequence(h if self.scale == 1 else h * self.scale)  # (N, T_dec, H)
        self.cache = (hs, q, h.shape)
        return np.matmul(q, swap(hs)).reshape(*h.shape[:-1], hs.shape[1])

    def backward(self, ds):
        """A product's rule: dhs = ds^T (scale h), summed over the queries, and dh = scale ds hs. Return (dhs, dh)."""
        hs, q, shape = kept(self, self.cache)
        ds = as_sequence(ds)  # (N, T_dec, T)
        dhs = sum_of_outer(ds, q)  # (N, T, H)
        dh = np.matmul(ds, hs)  # (N, T_dec, H)
        if self.scale != 1:
            dh *= self.scale
        return dhs, dh.reshape(shape)


class GeneralScore:
    """s_t = h W hs_t^T: W translates the query into the language of the hidden states. With W = I it is DotScore.

    Shapes: see above, with W (H_dec, H_enc). Source: Luong et al. 2015, "general".
    """

    param_names = ("W",)

    def __init__(self, W):
        self.params = [W]
        self.grads = [np.zeros_like(W)]
        self.cache = None

    def forward(self, hs, h):
        """Return s = (h W) hs^T. Raises: ValueError for shapes that do not fit."""
        (W,) = self.params
        check_sizes(self, hs, h, W.shape, f"W is {W.shape}")
        hs, h = cast(W.dtype, hs, h)
        q = np.matmul(as_sequence(h), W)  # (N, T_dec, H_enc)
        self.cache = (hs, h, q)
        return np.matmul(q, swap(hs)).reshape(*h.shape[:-1], hs.shape[1])

    def backward(self, ds):
        """Two products: dhs = ds^T q and dq = ds hs, then dW = h^T dq, summed over all queries, and dh = dq W^T.

        Return (dhs, dh).
        """
        (W,), (dW,) = self.params, self.grads
        hs, h, q = kept(self, self.cache)
        (ds,) = cast(W.dtype, as_sequence(ds))  # (N, T_dec, T)
        dhs = sum_of_outer(ds, q)  # (N, T, H_enc)
        dq = np.matmul(ds, hs)  # (N, T_dec, H_enc)
        np.matmul(rows_of(h).T, rows_of(dq), out=dW)
        return dhs, np.matmul(dq, W.T).reshape(h.shape)


class AdditiveScore:
    """s_t = v . tanh(h Wq + hs_t Wk): A neurons look at the query and the hidden state, and v weighs what they say.

    Luong's "concat", v . tanh([h; hs_t] W), is the same score: Wq is the upper part of W and Wk the lower.
    Shapes: see above, with Wq (H_dec, A), Wk (H_enc, A), v (A,). Source: Bahdanau et al. 2015.

    A decoder that asks one step at a time would compute hs Wk again at every step. With Wk None it does so itself, once
    (a bias is welcome), and hands over these keys (N, T, A) instead of hs.

    Every query meets every hidden state, which takes N T_dec T A neurons. They are never all there: blocks of them, of
    ``block_size`` numbers or the T A of one query, are computed, used and forgotten, and computed again in backward.
    """

    param_names = ("Wq", "Wk", "v")
    block_size = 2**17  # fits in a core's cache: measured, half or twice as much is as fast

    def __init__(self, Wq, Wk, v):
        self.params = [Wq, v] if Wk is None else [Wq, Wk, v]
        if Wk is None:
            self.param_names = ("Wq", "v")
        self.grads = [np.zeros_like(p) for p in self.params]
        self.cache = None

    def forward(self, hs, h):
        """Return s. Every core takes rows of its own. Raises: ValueError for shapes that do not fit."""
        Wq, *Wk, v = self.params
        size, of_keys = (len(Wk[0]), f"Wk is {Wk[0].shape}") if Wk else (len(v), f"v is {v.shape}")
        check_sizes(self, hs, h, (len(Wq), size), f"Wq is {Wq.shape} and {of_keys}")
        hs, h = cast(v.dtype, hs, h)
        s = np.empty((*h.shape[:-1], hs.shape[1]), v.dtype)
        parts = split(len(hs), workers())
        self.cache = parts, run([partial(self._forward_rows, hs[p], h[p], as_sequence(s[p])) for p in parts])
        return s

    def _forward_rows(self, hs, h, s):
        """Write s (N, T_dec, T); return what backward needs. Wk meets the states once, not once for every query."""
        Wq, *Wk, v = self.params
        keys = np.matmul(hs, Wk[0]) if Wk else hs
        neurons = TanhOfSums(np.matmul(as_sequence(h), Wq), keys)
        for rows, steps in self._blocks(s.shape):
            s[rows, steps] = np.matmul(neurons.block(rows, steps), v)
        return hs, h, neurons

    def backward(self, ds):
        """With q = h Wq, k = hs Wk and u = tanh(q + k): dv = sum of ds u, and d(q + k) = ds v (1 - u^2).

        A query meets all hidden states, so dq is the sum of d(q + k) over them, and dk its sum over the queries. The
        rest is products: dWq = h^T dq, dh = dq Wq^T, dWk = hs^T dk, dhs = dk Wk^T. Return (dhs, dh).
        """
        parts, caches = kept(self, self.cache)
        (ds,) = cast(self.params[-1].dtype, as_sequence(ds))  # (N, T_dec, T)
        done = run([partial(self._backward_rows, ds[p], *cache) for p, cache in zip(parts, caches, strict=True)])
        dhs, dh, *grads = zip(*done, strict=True)
        for grad, of_parts in zip(self.grads, grads, strict=True):
            grad[...] = sum(of_parts)
        return np.concatenate(dhs), np.concatenate(dh)

    def _backward_rows(self, ds, hs, h, neurons):
        """Return dhs, dh, dWq, dWk (if there is a Wk), dv."""
        Wq, *Wk, v = self.params
        dq, dk, dv = np.empty_like(neurons.q), np.zeros_like(neurons.k), np.zeros_like(v)
        for rows, steps in self._blocks(ds.shape):
            u, d = neurons.block(rows, steps), ds[rows, steps]  # (rows, steps, T, A) and (rows, steps, T)
            dv += np.matmul(d.reshape(-1), rows_of(u))
            u *= u
            np.subtract(1, u, out=u)
            u *= d[..., None]  # ds (1 - u^2); v comes after the sums
            np.sum(u, axis=2, out=dq[rows, steps])
            dk[rows] += u.sum(axis=1)
        dq *= v
        dk *= v
        dWq, dh = np.matmul(rows_of(h).T, rows_of(dq)), np.matmul(dq, Wq.T).reshape(h.shape)
        if not Wk:
            return dk, dh, dWq, dv
        return np.matmul(dk, Wk[0].T), dh, dWq, np.matmul(rows_of(hs).T, rows_of(dk)), dv

    def _blocks(self, shape):
        """Return the blocks, pairs of slices (rows of the batch, decoder steps). Args: shape, (N, T_dec, T)."""
        N, T_dec, T = shape
        per_step = T * len(self.params[-1])
        n = max(self.block_size // (per_step * T_dec), 1)
        m = max(self.block_size // per_step, 1)
        return [(slice(k, k + n), slice(t, t + m)) for k in range(0, N, n) for t in range(0, T_dec, m)]


class TanhOfSums:
    """tanh(q_i + k_t) for all pairs of a query and a hidden state of the same row, block by block.

    tanh(x) = 1 - 2 / (1 + exp(2x)), and exp(2 (q + k)) = exp(2q) exp(2k): one exponential for every query and one for
    every hidden state is enough, a pair costs a product, which is several times faster than a tanh. The error is that
    of the number 1, so where all numbers are small, or some so large that an exponential overflows, tanh it is.

    Shapes: q (N, T_dec, A), k (N, T, A).
    """

    def __init__(self, q, k):
        largest = max(float(np.abs(q).max()), float(np.abs(k).max()))
        self.factors = 1 / 16 < largest < -math.log(host.finfo(q.dtype).tiny) / 2
        self.q, self.k = (np.exp(2 * q), np.exp(2 * k)) if self.factors else (q, k)

    def block(self, rows, steps):
        """Return a new array (rows, steps, T, A) for a slice of the batch and a slice of the queries."""
        q, k = self.q[rows, steps, None], self.k[rows, None]
        if not self.factors:
            u = q + k
            return np.tanh(u, out=u)
        with errstate(over="ignore"):  # exp(2x) = inf is right: the tanh is 1
            u = q * k
        u += 1
        np.divide(-2, u, out=u)
        u += 1
        return u


# --- for all attention layers --------------------------------------------------------------------------------


def as_sequence(x):
    """Return x with a step axis: (N, K) -> (N, 1, K); (N, T_dec, K) stays, and so does None."""
    return x[:, None] if x is not None and x.ndim == 2 else x


def swap(x):
    """Transpose the last two axes."""
    return x.swapaxes(-1, -2)


def sum_of_outer(a, d):
    """Return a^T d: for each row the sum over the queries of the outer products, a (N, T_dec, T), d (N, T_dec, H).

    Of a single query it is one outer product, and a matrix product takes several times as long as that.
    """
    return swap(a) * d if a.shape[1] == 1 else np.matmul(swap(a), d)


def rows_of(x):
    """Return x (..., K) as a matrix (number of rows, K)."""
    return x.reshape(-1, x.shape[-1])


def kept(layer, cache):
    """Return what forward kept for backward, or raise a RuntimeError if it kept nothing yet."""
    if cache is None:
        raise RuntimeError(f"{type(layer).__name__}.backward: call forward first")
    return cache


def check_shapes(name, hs, other, what, size=None):
    """Raise a ValueError unless hs is (N, T, H) and ``other`` (N, size) or (N, T_dec, size). size None: any size."""
    if hs.ndim != 3 or 0 in hs.shape:
        raise ValueError(f"{name}: hs must be (N, T, H) with every size at least 1, got {hs.shape}")
    N, K = len(hs), "H_dec" if size is None else size
    if other.ndim not in (2, 3) or len(other) != N or 0 in other.shape or size not in (None, other.shape[-1]):
        raise ValueError(
            f"{name}: hs is {hs.shape}, so {what} must be ({N}, {K}) or ({N}, T_dec, {K}), got {other.shape}"
        )


def check_sizes(score, hs, h, sizes, why):
    """Raise a ValueError unless the queries h and the hidden states hs have these two sizes, H_dec and H_enc."""
    name = type(score).__name__
    check_shapes(name, hs, h, "h")
    if (h.shape[-1], hs.shape[-1]) != sizes:
        raise ValueError(f"{name}: h of size {h.shape[-1]} and hs of size {hs.shape[-1]} do not fit: {why}")
