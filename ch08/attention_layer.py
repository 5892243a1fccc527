"""Attention: choose among the encoder's hidden states by how well they match the decoder's.

``AttentionWeight`` turns similarities into weights, ``WeightSum`` turns weights into a context vector, ``Attention``
joins the two, and ``TimeAttention`` is Attention for all decoder steps at once.

Every layer takes one query per sequence or a whole sequence of them: h (N, H) gives a (N, T) and c (N, H), while
h (N, T_dec, H) gives a (N, T_dec, T) and c (N, T_dec, H). A single query is a sequence of one, so the formulas are
written once. Each is one matrix product: nothing of shape (N, T_dec, T, H) is ever made, and nothing is repeated.

Elsewhere h is called the query, and hs is both the keys (in AttentionWeight) and the values (in WeightSum).
Source: the book, sections 8.1 and 8.2; Luong et al. 2015, equations 4 and 7, with the "dot" score of section 3.1.
"""

from functools import partial

from common.layers import Softmax
from common.np import np
from common.parallel import run


def _as_sequence(x):
    """Return x with a step axis: (N, K) -> (N, 1, K); (N, T_dec, K) stays, and so does None."""
    return x[:, None] if x is not None and x.ndim == 2 else x


def _swap(x):
    """Transpose the last two axes."""
    return x.swapaxes(-1, -2)


def _check(name, hs, other, what, axis):
    """Raise a ValueError unless hs is (N, T, H) and ``other`` is a batch of N whose last axis fits hs's ``axis``."""
    if hs.ndim != 3 or 0 in hs.shape:
        raise ValueError(f"{name}: hs must be (N, T, H) with every size at least 1, got {hs.shape}")
    if other.ndim not in (2, 3) or other.shape[0] != hs.shape[0] or other.shape[-1] != hs.shape[axis]:
        N, K = hs.shape[0], hs.shape[axis]
        raise ValueError(
            f"{name}: hs is {hs.shape}, so {what} must be {(N, K)} or ({N}, T_dec, {K}), got {other.shape}"
        )


def _check_mask(mask, N, T):
    """Return the mask, (N, T) bool with at least one True in every row, or raise a ValueError that says what is off."""
    mask = np.asarray(mask)
    if mask.shape != (N, T) or mask.dtype != bool:
        raise ValueError(f"mask must be bool {(N, T)}, True = real, got {mask.dtype} {mask.shape}")
    empty = np.flatnonzero(~mask.any(axis=1))
    if len(empty):
        raise ValueError(f"mask: row {int(empty[0])} is all padding, so there is nothing to attend to")
    return mask


class WeightSum:
    """c = sum over t of a_t hs_t: the hidden states, mixed by their weights.

    Shapes: hs (N, T, H); a (N, T) -> c (N, H), or a (N, T_dec, T) -> c (N, T_dec, H).
    """

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, hs, a, out=None):
        """Return the context c = a hs. out: an array to write c into. Raises: ValueError for shapes that do not fit."""
        _check("WeightSum", hs, a, "a", 1)
        self.cache = (hs, a)
        c = np.matmul(_as_sequence(a), hs, out=_as_sequence(out))  # (N, T_dec, H)
        return c.reshape(*a.shape[:-1], hs.shape[2])

    def backward(self, dc):
        """A product's rule: da = dc hs^T, dhs = a^T dc (summed over the decoder steps). Return (dhs, da)."""
        hs, a = self.cache
        dc = _as_sequence(dc)
        dhs = np.matmul(_swap(_as_sequence(a)), dc)  # (N, T, H)
        da = np.matmul(dc, _swap(hs))  # (N, T_dec, T)
        return dhs, da.reshape(a.shape)


class AttentionWeight:
    """a = softmax(h hs^T): the weight of a hidden state is how well it matches the query h, by dot product.

    Shapes: hs (N, T, H); h (N, H) -> a (N, T), or h (N, T_dec, H) -> a (N, T_dec, T).
    """

    def __init__(self):
        self.params, self.grads = [], []
        self.softmax = Softmax()
        self.cache = None

    def forward(self, hs, h, mask=None, out=None):
        """Return the weights a; along the last axis they sum to 1.

        mask: (N, T) bool, True where hs is real and False where it is padding; padding gets the weight 0, exactly.
        out: an array to write the weights into. The layer keeps it, so do not change it before backward.
        Raises: ValueError for shapes that do not fit, and for a row of the mask that is all padding.
        """
        _check("AttentionWeight", hs, h, "h", 2)
        self.cache = (hs, h)
        s = np.matmul(_as_sequence(h), _swap(hs), out=_as_sequence(out))  # (N, T_dec, T) scores
        if mask is not None:
            padding = ~_check_mask(mask, *hs.shape[:2])
            s[np.broadcast_to(padding[:, None], s.shape)] = -np.inf
        a = self.softmax.forward(s, out=None if out is None else s)
        return a.reshape(*h.shape[:-1], hs.shape[1])

    def backward(self, da):
        """ds by the softmax's rule, then the product's: dhs = ds^T h, dh = ds hs. Return (dhs, dh).

        The weight of padding is 0 whatever its score, so by the same rule its ds is 0.
        """
        hs, h = self.cache
        ds = self.softmax.backward(_as_sequence(da))  # (N, T_dec, T)
        dhs = np.matmul(_swap(ds), _as_sequence(h))  # (N, T, H)
        dh = np.matmul(ds, hs)  # (N, T_dec, H)
        return dhs, dh.reshape(h.shape)


class Attention:
    """AttentionWeight, then WeightSum: from the states hs and the query h to the context c.

    Shapes: hs (N, T, H); h (N, H) -> c (N, H), or h (N, T_dec, H) -> c (N, T_dec, H).
    ``attention_weight`` holds the weights of the last forward call; backward needs them, so do not change them before.
    """

    def __init__(self):
        self.params, self.grads = [], []
        self.attention_weight_layer = AttentionWeight()
        self.weight_sum_layer = WeightSum()
        self.attention_weight = None

    @property
    def cache(self):
        """The caches of the two layers."""
        return self.attention_weight_layer.cache, self.weight_sum_layer.cache

    def forward(self, hs, h, mask=None, out=None):
        """Return the context c. mask: see AttentionWeight. out: an array to write c into."""
        _check("Attention", hs, h, "h", 2)
        a = np.empty((*h.shape[:-1], hs.shape[1]), np.result_type(hs, h, np.float16))  # floating, whatever came
        self.attention_weight = self.attention_weight_layer.forward(hs, h, mask, out=a)
        return self.weight_sum_layer.forward(hs, self.attention_weight, out)

    def backward(self, dout, da=None):
        """hs went into both layers, so its two gradients are added. Return (dhs, dh).

        da: what a loss says of the weights themselves, of their shape (see ``ch08.alignment.AlignmentLoss``). The
        weights then have two gradients as well, and they are added.
        """
        dhs, dweights = self.weight_sum_layer.backward(dout)
        if da is not None:
            dweights += da
        dhs1, dh = self.attention_weight_layer.backward(dweights)
        dhs += dhs1
        return dhs, dh


class TimeAttention:
    """Attention for all decoder steps at once.

    Shapes: hs_enc (N, T_enc, H), hs_dec (N, T_dec, H), out (N, T_dec, H).
    ``weights`` holds the weights of the last forward call, (N, T_dec, T_enc); ``attention_weights`` the same as a list
    with one (N, T_enc) array for every decoder step.

    The rows of the batch do not know of each other, so they go through Attention in ``parts``, as many at a time as
    keep the scores within a core's cache, and the parts go to the cores.
    """

    scores_in_cache = 2**16

    def __init__(self):
        self.params, self.grads = [], []
        self.parts = [Attention()]
        self._rows = self._inputs = None

    @property
    def cache(self):
        """The caches of the parts."""
        return [part.cache for part in self.parts]

    @property
    def weights(self):
        """The weights of the last forward call, (N, T_dec, T_enc), or None before it."""
        weights = [part.attention_weight for part in self.parts]
        return weights[0] if len(weights) == 1 else np.concatenate(weights)

    @property
    def attention_weights(self):
        """The weights of the last forward call: for every decoder step an array (N, T_enc); None before it."""
        weights = self.weights
        return None if weights is None else list(weights.swapaxes(0, 1))

    def forward(self, hs_enc, hs_dec, mask=None):
        """Return the contexts, (N, T_dec, H). mask: (N, T_enc), see AttentionWeight."""
        if hs_dec.ndim != 3:
            raise ValueError(f"TimeAttention: hs_dec must be (N, T_dec, H), got {hs_dec.shape}")
        _check("TimeAttention", hs_enc, hs_dec, "hs_dec", 2)
        N, T_enc, _ = hs_enc.shape
        if mask is not None:
            mask = _check_mask(mask, N, T_enc)
        size = max(self.scores_in_cache // (hs_dec.shape[1] * T_enc), 1)
        self._inputs = (hs_enc, hs_dec)
        self._rows = [slice(k, k + size) for k in range(0, N, size)]
        if len(self.parts) != len(self._rows):
            self.parts = [Attention() for _ in self._rows]
        if len(self.parts) == 1:
            return self.parts[0].forward(hs_enc, hs_dec, mask)
        out = np.empty_like(hs_dec)

        def forward_part(part, rows):
            part.forward(hs_enc[rows], hs_dec[rows], None if mask is None else mask[rows], out=out[rows])

        run([partial(forward_part, part, rows) for part, rows in zip(self.parts, self._rows, strict=True)])
        return out

    def backward(self, dout, da=None):
        """Attention's rule; the products sum over the decoder steps that hs_enc served. Return (dhs_enc, dhs_dec).

        da: (N, T_dec, T_enc) or None, see Attention.
        """
        if len(self.parts) == 1:
            return self.parts[0].backward(dout, da)
        hs_enc, hs_dec = self._inputs
        dhs_enc, dhs_dec = np.empty_like(hs_enc), np.empty_like(hs_dec)

        def backward_part(part, rows):
            dhs_enc[rows], dhs_dec[rows] = part.backward(dout[rows], None if da is None else da[rows])

        run([partial(backward_part, part, rows) for part, rows in zip(self.parts, self._rows, strict=True)])
        return dhs_enc, dhs_dec
