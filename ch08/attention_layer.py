"""Attention: choose among the encoder's hidden states by how well they match the decoder's.

``AttentionWeight`` turns similarities into weights, ``WeightSum`` turns weights into a context vector, ``Attention``
joins the two, and ``TimeAttention`` is Attention for all decoder steps at once.

Every layer takes one query per sequence or a whole sequence of them: h (N, H_dec) gives a (N, T) and c (N, H), while
h (N, T_dec, H_dec) gives a (N, T_dec, T) and c (N, T_dec, H). A single query is a sequence of one, so the formulas are
written once. Each is one matrix product: nothing of shape (N, T_dec, T, H) is ever made, and nothing is repeated.

How well a query matches is the affair of a score (``ch08.score_layers``). By default that is the dot product, for which
H_dec = H; others have parameters, which are then those of the attention, too.

Elsewhere h is called the query, and hs is both the keys (in AttentionWeight) and the values (in WeightSum).
Source: the book, sections 8.1 and 8.2; Luong et al. 2015, equations 4 and 7.
"""

from copy import deepcopy
from functools import partial

from ch08.score_layers import DotScore, as_sequence, check_shapes, kept, sum_of_outer, swap
from common.base_model import Composite, walk
from common.layers import Softmax, cast
from common.np import np
from common.parallel import run


def _in_dtype_of(score, *arrays):
    """Return the arrays in the dtype of the score's parameters, or as they are if it has none."""
    return cast(score.params[0].dtype, *arrays) if score.params else arrays


def check_mask(mask, N, T):
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
        check_shapes("WeightSum", hs, a, "a", hs.shape[1] if hs.ndim > 1 else None)
        self.cache = (hs, a)
        c = np.matmul(as_sequence(a), hs, out=as_sequence(out))  # (N, T_dec, H)
        return c.reshape(*a.shape[:-1], hs.shape[2])

    def backward(self, dc):
        """A product's rule: da = dc hs^T, dhs = a^T dc (summed over the decoder steps). Return (dhs, da)."""
        hs, a = kept(self, self.cache)
        dc = as_sequence(dc)
        dhs = sum_of_outer(as_sequence(a), dc)  # (N, T, H)
        da = np.matmul(dc, swap(hs))  # (N, T_dec, T)
        return dhs, da.reshape(a.shape)


class AttentionWeight(Composite):
    """a = softmax(s): the weight of a hidden state is how well it matches the query h, as the score s says.

    Args: score, a layer of ``ch08.score_layers`` or of that form; None is a DotScore. Its parameters are those of the
    layer. Shapes: hs (N, T, H); h (N, H_dec) -> a (N, T), or h (N, T_dec, H_dec) -> a (N, T_dec, T).
    """

    def __init__(self, score=None):
        self.score = DotScore() if score is None else score
        self.softmax = Softmax()

    @property
    def cache(self):
        """The weights, as the softmax keeps them; the score keeps the rest."""
        return self.softmax.cache

    def forward(self, hs, h, mask=None, out=None):
        """Return the weights a; along the last axis they sum to 1.

        mask: (N, T) bool, True where hs is real and False where it is padding; padding gets the weight 0, exactly.
        out: an array to write the weights into. The layer keeps it, so do not change it before backward.
        Raises: ValueError for shapes that do not fit, and for a row of the mask that is all padding.
        """
        check_shapes("AttentionWeight", hs, h, "h")
        s = self.score.forward(hs, h)
        if mask is not None:
            padding = as_sequence(~check_mask(mask, *hs.shape[:2]))  # (N, 1, T)
            as_sequence(s)[np.broadcast_to(padding, as_sequence(s).shape)] = -np.inf
        return self.softmax.forward(s, out)

    def backward(self, da):
        """ds by the softmax's rule, then the score's. Return (dhs, dh).

        The weight of padding is 0 whatever its score, so by the same rule its ds is 0.
        """
        kept(self, self.cache)
        return self.score.backward(self.softmax.backward(da))


class Attention(Composite):
    """AttentionWeight, then WeightSum: from the states hs and the query h to the context c.

    Args: score, see AttentionWeight.
    Shapes: hs (N, T, H); h (N, H_dec) -> c (N, H), or h (N, T_dec, H_dec) -> c (N, T_dec, H).
    ``attention_weight`` holds the weights of the last forward call; backward needs them, so do not change them before.
    """

    def __init__(self, score=None):
        self.attention_weight_layer = AttentionWeight(score)
        self.weight_sum_layer = WeightSum()
        self.attention_weight = None

    @property
    def score(self):
        """The layer that compares h with the states."""
        return self.attention_weight_layer.score

    @property
    def cache(self):
        """The caches of the two layers."""
        return self.attention_weight_layer.cache, self.weight_sum_layer.cache

    def forward(self, hs, h, mask=None, out=None):
        """Return the context c. mask: see AttentionWeight. out: an array to write c into."""
        check_shapes("Attention", hs, h, "h")
        hs, h = _in_dtype_of(self.attention_weight_layer.score, hs, h)
        a = np.empty((*h.shape[:-1], hs.shape[1]), np.result_type(hs, h, np.float16))  # floating, whatever came
        self.attention_weight = self.attention_weight_layer.forward(hs, h, mask, out=a)
        return self.weight_sum_layer.forward(hs, self.attention_weight, out)

    def backward(self, dout, da=None):
        """hs went into both layers, so its two gradients are added. Return (dhs, dh).

        da: what a loss says of the weights themselves, of their shape (see ``ch08.alignment.AlignmentLoss``). The
        weights then have two gradients as well, and they are added.
        """
        weights = kept(self, self.attention_weight)
        dhs, dweights = self.weight_sum_layer.backward(*cast(weights.dtype, dout))
        if da is not None:
            dweights += da
        dhs1, dh = self.attention_weight_layer.backward(dweights)
        dhs += dhs1
        return dhs, dh


class TimeAttention:
    """Attention for all decoder steps at once.

    Args: score, see AttentionWeight.
    Shapes: hs_enc (N, T_enc, H), hs_dec (N, T_dec, H_dec), out (N, T_dec, H).
    ``weights`` holds the weights of the last forward call, (N, T_dec, T_enc); ``attention_weights`` the same as a list
    with one (N, T_enc) array for every decoder step.

    The rows of the batch do not know of each other, so they go through Attention in ``parts``, as many at a time as
    keep the scores within a core's cache, and the parts go to the cores. The first part has the score itself; the
    others have copies with the same parameters and gradients of their own, of which there are at most ``most_copies``.
    """

    scores_in_cache = 2**16
    most_copies = 7

    def __init__(self, score=None):
        self.score = DotScore() if score is None else score
        self.parts = [Attention(self.score)]
        self._rows = self._inputs = None

    @property
    def params(self):
        """The parameters of the score."""
        return self.score.params

    @property
    def grads(self):
        """The gradients of the score; those of the parts are added up in them."""
        return self.score.grads

    @property
    def param_names(self):
        """Names such as ``score.W``."""
        return [f"score.{name}" for name, _, _ in walk(self.score)]

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
            raise ValueError(f"TimeAttention: hs_dec must be (N, T_dec, H_dec), got {hs_dec.shape}")
        check_shapes("TimeAttention", hs_enc, hs_dec, "hs_dec")
        N, T_enc, H = hs_enc.shape
        T_dec = hs_dec.shape[1]
        if mask is not None:
            mask = check_mask(mask, N, T_enc)
        hs_enc, hs_dec = _in_dtype_of(self.score, hs_enc, hs_dec)
        self._inputs = (hs_enc, hs_dec)
        self._rows = self._split(N, T_dec * T_enc)
        if len(self.parts) == 1:
            return self.parts[0].forward(hs_enc, hs_dec, mask)
        out = np.empty((N, T_dec, H), np.result_type(hs_enc, hs_dec, np.float16))

        def forward_part(part, rows):
            part.forward(hs_enc[rows], hs_dec[rows], None if mask is None else mask[rows], out=out[rows])

        run([partial(forward_part, part, rows) for part, rows in zip(self.parts, self._rows, strict=True)])
        return out

    def _split(self, N, scores_per_row):
        """Return the rows of each part, as slices, and see that there are so many parts."""
        size = max(self.scores_in_cache // scores_per_row, 1)
        if self.score.params:
            size = max(size, -(-N // (self.most_copies + 1)))
        rows = [slice(k, k + size) for k in range(0, N, size)]
        if len(self.parts) != len(rows) or self.parts[0].attention_weight_layer.score is not self.score:
            shared = {id(p): p for p in self.score.params}  # the parameters are not copied
            copies = [deepcopy(self.score, dict(shared)) for _ in rows[1:]]
            self.parts = [Attention(score) for score in (self.score, *copies)]
        return rows

    def backward(self, dout, da=None):
        """Attention's rule; the products sum over the decoder steps that hs_enc served. Return (dhs_enc, dhs_dec).

        The parameters of the score served all parts, so their gradients are added up.
        da: (N, T_dec, T_enc) or None, see Attention.
        """
        hs_enc, hs_dec = kept(self, self._inputs)
        if len(self.parts) == 1:
            return self.parts[0].backward(dout, da)
        dtype = self.parts[0].attention_weight.dtype
        dhs_enc, dhs_dec = np.empty(hs_enc.shape, dtype), np.empty(hs_dec.shape, dtype)

        def backward_part(part, rows):
            dhs_enc[rows], dhs_dec[rows] = part.backward(dout[rows], None if da is None else da[rows])

        run([partial(backward_part, part, rows) for part, rows in zip(self.parts, self._rows, strict=True)])
        for part in self.parts[1:]:
            for grad, more in zip(self.score.grads, part.grads, strict=True):
                grad += more
        return dhs_enc, dhs_dec
