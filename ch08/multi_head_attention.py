"""Multi-head attention: several small attentions side by side, each with projections of its own.

    h  -> query -----> q ---+
                            |  split into M heads; in each: scores q k^T / sqrt(K), softmax, weights times v
    hs -> key_value -> k ---+----------------------------------------------> c, heads side by side -> output
                    -> v ---+

Cross attention: h asks, hs answers. Self-attention: hs asks itself. It does not know in what order its inputs stand:
permute them, and the outputs are permuted alike. So a model without recurrence adds positions to its inputs, either
sinusoids (``SinusoidalPositions``) or learned vectors (``LearnedPositions``).

Letters: N rows of a batch, T steps, D numbers of a step, M heads, K = D / M numbers of a step in one head.
Source: Vaswani et al. 2017, sections 3.2 and 3.5.
"""

from functools import partial

from ch08.attention_layer import check_mask
from ch08.score_layers import swap
from common.base_model import Composite
from common.functions import softmax
from common.init import init_affine
from common.layers import cached, check_dout
from common.np import np
from common.parallel import run


class ScaledDotAttention:
    """c = softmax(q k^T / sqrt(K)) v in each of M heads; a head has K = D / M neighboring columns of q, k, v and c.

    Args: heads M; causal: whether query t sees keys up to t only. With fewer queries than keys the queries are the last
    ones: the last query sees all keys.
    Shapes: q (N, T_q, D); kv (N, T_k, 2D), the keys and, beside them, the values; c (N, T_q, D).
    ``weights`` holds those of the last forward call, (N, M, T_q, T_k). Backward needs them: do not change them before.

    The weights are the one array of their size: blocks of rows and heads, with as many scores as a core's cache holds,
    go through the three steps, and back through them, one after the other, and the blocks go to the cores.
    Source: Vaswani et al. 2017, equation 1 and section 3.2.2.
    """

    scores_in_cache = 2**16

    def __init__(self, heads, causal=False):
        self.params, self.grads = [], []
        self.heads, self.causal = heads, causal
        self.weights = self.cache = None

    def forward(self, q, kv, mask=None):
        """Return c. mask: (N, T_k) bool, False where a key is padding; its weight is 0, exactly.

        Raises: ValueError for a mask that leaves a query nothing to attend to.
        """
        N, T_q, D = q.shape
        T_k = kv.shape[1]
        q = self._split(q * (D // self.heads) ** -0.5)  # (N, M, T_q, K)
        k, v = self._split(kv[..., :D]), self._split(kv[..., D:])  # (N, M, T_k, K)
        hidden = self._hidden(mask, N, T_q, T_k, q.dtype)
        self.weights = weights = np.empty((N, self.heads, T_q, T_k), q.dtype)
        c = np.empty((N, T_q, D), q.dtype)
        c_heads = self._split(c)

        def forward_block(block):
            s = np.matmul(q[block], swap(k[block]), out=weights[block])
            if hidden is not None:
                s += hidden[block[0]]
            a = softmax(s, out=s)
            np.matmul(a, v[block], out=c_heads[block])

        run([partial(forward_block, block) for block in self._blocks(weights.shape)])
        self.cache = (q, k, v)
        return c

    def backward(self, dc):
        """Two products and a softmax: da = dc v^T, dv = a^T dc; ds = a (da - sum(a da)); dq = ds k, dk = ds^T q.

        Where a weight is 0 because the key is hidden, ds is 0 as well. The scale belongs to q. Return (dq, dkv).
        """
        q, k, v = cached(self)
        weights = self.weights
        N, M, T_q, K = q.shape
        D = M * K
        check_dout(self, dc, (N, T_q, D))
        dc = self._split(dc)
        dq, dkv = np.empty((N, T_q, D), q.dtype), np.empty((N, k.shape[2], 2 * D), q.dtype)
        dq_heads, dk, dv = self._split(dq), self._split(dkv[..., :D]), self._split(dkv[..., D:])

        def backward_block(block):
            a, d = weights[block], dc[block]
            np.matmul(swap(a), d, out=dv[block])
            ds = np.matmul(d, swap(v[block]))  # da
            ds -= np.matmul(a[..., None, :], ds[..., None])[..., 0]
            ds *= a
            np.matmul(ds, k[block], out=dq_heads[block])
            np.matmul(swap(ds), q[block], out=dk[block])

        run([partial(backward_block, block) for block in self._blocks(weights.shape)])
        dq *= K**-0.5
        return dq, dkv

    def _split(self, x):
        """Return a view of x (N, T, D) as heads, (N, M, T, K). The transpose keeps the numbers of a step together."""
        N, T, D = x.shape
        return x.reshape(N, T, self.heads, D // self.heads).swapaxes(1, 2)

    def _hidden(self, mask, N, T_q, T_k, dtype):
        """Return what to add to the scores, (N, 1, T_q or 1, T_k): -inf where a key is hidden, else 0; None adds 0."""
        hidden = None
        if self.causal and T_q > T_k:
            raise ValueError(f"causal attention: {T_q} queries cannot be the last ones of {T_k} keys")
        if self.causal and T_q > 1:
            hidden = np.triu(np.full((1, 1, T_q, T_k), -np.inf, dtype), 1 + T_k - T_q)
        if mask is not None:
            mask = check_mask(mask, N, T_k)
            first = T_k - T_q + 1 if self.causal else T_k  # so many keys the first query sees
            blind = np.flatnonzero(~mask[:, :first].any(axis=1))
            if len(blind):
                raise ValueError(
                    f"mask: row {int(blind[0])} begins with padding, so its first query has nothing to attend to"
                )
            padding = np.where(mask, 0, -np.inf).astype(dtype)[:, None, None]  # (N, 1, 1, T_k)
            hidden = padding if hidden is None else hidden + padding
        return None if hidden is None else np.broadcast_to(hidden, (N, *hidden.shape[1:]))

    def _blocks(self, shape):
        """Return the blocks, pairs of slices (rows of the batch, heads). Args: shape, (N, M, T_q, T_k)."""
        N, M, T_q, T_k = shape
        n = max(self.scores_in_cache // (M * T_q * T_k), 1)
        m = max(self.scores_in_cache // (T_q * T_k), 1)
        return [(slice(i, i + n), slice(j, j + m)) for i in range(0, N, n) for j in range(0, M, m)]


class MultiHeadAttention(Composite):
    """Projections of queries, keys and values, attention in M heads, and a projection of what the heads found.

    Args:
        wordvec_size D, a multiple of ``heads`` M.
        causal: whether a query sees nothing that comes after it, for self-attention in a decoder.
        dtype: of the weights. rng: a NumPy Generator, a seed, or None for NumPy's global state.
    Shapes: hs (N, T, D), h (N, T_dec, D), out of the shape of h.
    ``weights`` holds those of the last forward call, (N, M, T_dec, T). Backward needs them: do not change them before.

    The projections have biases. Those of keys and values are one product, ``key_value``: keys are its first D columns.
    Source: Vaswani et al. 2017, section 3.2.2, where there are no biases.
    """

    def __init__(self, wordvec_size, heads=8, *, causal=False, dtype=np.float32, rng=None):
        D = wordvec_size
        if heads < 1 or D % heads:
            raise ValueError(f"MultiHeadAttention: wordvec_size {D} must be a multiple of heads, {heads}")
        self.query = init_affine(D, D, dtype, rng)
        self.key_value = init_affine(D, 2 * D, dtype, rng)
        self.attention = ScaledDotAttention(heads, causal)
        self.output = init_affine(D, D, dtype, rng)
        self.cache = None

    @property
    def weights(self):
        """The weights of the last forward call, (N, M, T_dec, T), or None before it."""
        return self.attention.weights

    def forward(self, hs, h=None, mask=None):
        """Return what the queries h found in hs, (N, T_dec, D). Without h, hs asks itself: self-attention.

        mask: (N, T) bool, True where hs is real and False where it is padding; padding gets the weight 0, exactly.
        Raises: ValueError for shapes that do not fit, and for a mask that leaves a query nothing to attend to.
        """
        self.cache = ("self" if h is None else "cross",)
        h = hs if h is None else h
        self._check(hs, h)
        q = self.query.forward(h)  # (N, T_dec, D)
        kv = self.key_value.forward(hs)  # (N, T, 2D)
        return self.output.forward(self.attention.forward(q, kv, mask))

    def backward(self, dout):
        """The steps in reverse order. Return (dhs, dh), or their sum dhs where hs asked itself."""
        (kind,) = cached(self)
        dq, dkv = self.attention.backward(self.output.backward(dout))
        dhs = self.key_value.backward(dkv)
        dh = self.query.backward(dq)
        if kind == "cross":
            return dhs, dh
        dhs += dh
        return dhs

    def ask(self, h, kv, mask=None):
        """Return what the queries h (N, T_dec, D) find in keys and values that are known already, kv (N, T, 2D)."""
        return self.output.forward(self.attention.forward(self.query.forward(h), kv, mask))

    def step(self, x, kv):
        """Take one more step of self-attention: x (N, 1, D) asks the steps before it and itself.

        Args: kv (N, t, 2D), the keys and values of the t steps before; they need not be computed again.
        Returns: (out (N, 1, D), kv (N, t + 1, 2D), a new array).
        """
        kv = np.concatenate((kv, self.key_value.forward(x)), axis=1)
        return self.ask(x, kv), kv

    def _check(self, hs, h):
        D = len(self.query.params[0])
        fits = hs.ndim == h.ndim == 3 and hs.shape[2] == h.shape[2] == D and len(hs) == len(h)
        if not fits or 0 in hs.shape or 0 in h.shape:
            raise ValueError(
                f"MultiHeadAttention: hs must be (N, T, {D}) and h (N, T_dec, {D}), with every size at least 1, "
                f"got {hs.shape} and {h.shape}"
            )


# --- positions -------------------------------------------------------------------------------------------------


def sinusoidal_positions(T, D, start=0):
    """Return T rows of D waves, a float64 array (T, D): column 2i is sin(t / 10000^(2i / D)), the next its cosine.

    Row t is that of step start + t. Every pair of columns is a hand of a clock; each hand is slower than the one
    before, and a shift by a fixed number of steps turns it by a fixed angle, whatever t is.
    Source: Vaswani et al. 2017, section 3.5.
    """
    t = np.arange(start, start + T)[:, None]
    angles = t * 10000.0 ** (-np.arange(0, D, 2) / D)  # (T, D / 2), rounded up
    positions = np.empty((T, D))
    positions[:, 0::2] = np.sin(angles)
    positions[:, 1::2] = np.cos(angles[:, : D // 2])
    return positions


class SinusoidalPositions:
    """y_t = x_t + a row of waves that says what t is, see ``sinusoidal_positions``. Shapes: x and y (N, T, D)."""

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, x, start=0):
        """Return y. start: the position of the first step, for a model that takes one step after the other."""
        self.cache = x.shape
        return x + sinusoidal_positions(*x.shape[1:], start).astype(x.dtype)

    def backward(self, dout):
        """The waves are fixed: dx = dout."""
        check_dout(self, dout, cached(self))
        return dout.copy()


class LearnedPositions:
    """y_t = x_t + W_t. Shapes: W (T_max, D), one row for every position; x and y (N, T, D), T at most T_max.

    Source: Gehring et al. 2017, section 3.1.
    """

    param_names = ("W",)

    def __init__(self, W):
        self.params = [W]
        self.grads = [np.zeros_like(W)]
        self.cache = None

    def forward(self, x, start=0):
        """Return y. start: the position of the first step, for a model that takes one step after the other.

        Raises: ValueError if there are not enough positions, or their size is not that of x.
        """
        (W,) = self.params
        end = start + x.shape[1]
        if x.ndim != 3 or x.shape[2] != W.shape[1] or end > len(W):
            raise ValueError(
                f"LearnedPositions: there are {len(W)} positions of size {W.shape[1]}, which do not fit x {x.shape} "
                f"from position {start} on"
            )
        self.cache = (x.shape, slice(start, end))
        return x.astype(W.dtype, copy=False) + W[start:end]

    def backward(self, dout):
        """dx = dout; a position served all rows of the batch, so dW_t is the sum of dout_t over them."""
        (dW,) = self.grads
        shape, steps = cached(self)
        check_dout(self, dout, shape)
        dW[...] = 0
        np.sum(dout, axis=0, out=dW[steps])
        return dout.astype(dW.dtype)
