"""Exercises 8.12: a soft dictionary, concat without pairs, two projections, the masked formula, and two bug hunts."""

from common.functions import softmax
from common.gradient_check import numerical_gradient
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.12"


# --- 8.12.1: a dictionary that answers softly -------------------------------------------------------------------


def _lookup_one_by_one(queries, keys, values, beta):
    """Query by query, with weights that are computed from the score's distance to the largest one."""
    answers = []
    for query in queries:
        scores = np.array([beta * (query * key).sum() for key in keys])
        shares = np.exp(scores - scores.max())
        answers.append(sum(share * value for share, value in zip(shares, values, strict=True)) / shares.sum())
    return np.array(answers)


_LOOKUP = """\
def lookup(queries, keys, values, beta):
    return softmax(beta * queries @ keys.T) @ values
"""


def _lookup_inputs(rng, N, T, d, E, beta):
    return normal(rng, queries=(N, d), keys=(T, d), values=(T, E)) | {"beta": beta}


LOOKUP = Exercise(
    number="8.12.1",
    title="A dictionary that answers softly",
    name="lookup",
    points=1,
    call="answers = answer(queries, keys, values, beta)",
    outputs=("answers",),
    cases=(
        Case("N = T = d = E", lambda rng: _lookup_inputs(rng, 3, 3, 3, 3, 2.0)),
        Case("one query", lambda rng: _lookup_inputs(rng, 1, 3, 2, size(rng, 4, 7), 0.5)),
        Case("a very large beta", lambda rng: _lookup_inputs(rng, 2, 4, 3, 2, 500.0)),
        Case("beta = 0", lambda rng: _lookup_inputs(rng, 2, size(rng, 4, 7), 3, 2, 0.0)),
    ),
    reference=_lookup_one_by_one,
    given={"softmax": softmax},
    mistakes=(
        Mistake(
            "The queries are compared with the values, and the keys are mixed: the two roles are exchanged.",
            changed(_LOOKUP, ("keys.T) @ values", "values.T) @ keys")),
        ),
        Mistake(
            "beta multiplies the weights, which then do not add up to 1. It belongs to the scores.",
            changed(_LOOKUP, ("softmax(beta * queries @ keys.T)", "beta * softmax(queries @ keys.T)")),
        ),
        Mistake(
            "The scores are divided by beta. A large beta has to make the answer surer, not vaguer.",
            changed(_LOOKUP, ("beta * queries @ keys.T", "queries @ keys.T / max(beta, 1e-9)")),
        ),
        Mistake(
            "Each query gets the value of its best key alone. That is so only when beta grows without limit.",
            "def lookup(queries, keys, values, beta):\n    return values[(queries @ keys.T).argmax(axis=1)]\n",
        ),
        Mistake(
            "The softmax runs over the queries. The weights of one query, over all keys, should add up to 1.",
            changed(_LOOKUP, ("softmax(beta * queries @ keys.T)", "softmax(beta * keys @ queries.T).T")),
        ),
    ),
    hints=(
        "What is compared with the queries, and what is mixed? beta works before the softmax.",
        "queries @ keys.T holds all scores, (N, T). Multiply by beta, take the softmax, and mix the values by a matrix "
        "product.",
    ),
    section=f'{SECTION}, "A dictionary that answers softly"',
)

# --- 8.12.2: concat without pairs -------------------------------------------------------------------------------


def _concat_pair_by_pair(hs, h, W, v):
    """Luong's formula, literally."""
    s = np.empty((*h.shape[:2], hs.shape[1]))
    for n, k, t in np.ndindex(s.shape):
        s[n, k, t] = np.tanh(np.concatenate((h[n, k], hs[n, t])) @ W) @ v
    return s


_CONCAT = """\
def concat_scores(hs, h, W, v):
    K = h.shape[2]
    q, k = h @ W[:K], hs @ W[K:]
    return np.tanh(q[:, :, None] + k[:, None]) @ v
"""


def _concat_inputs(rng, N, T, T_dec, H, H_dec, A):
    drawn = normal(rng, hs=(N, T, H), h=(N, T_dec, H_dec), v=(A,))
    return drawn | {"W": rng.standard_normal((H_dec + H, A))}


CONCAT = Exercise(
    number="8.12.2",
    title="Concat, without joining anything",
    name="concat_scores",
    points=2,
    call="s = answer(hs, h, W, v)",
    outputs=("s",),
    cases=(
        Case("T = T_dec and H = H_dec", lambda rng: _concat_inputs(rng, 2, 3, 3, 4, 4, 5)),
        Case("one query, one key", lambda rng: _concat_inputs(rng, 2, 1, 1, 2, 3, 2)),
        Case("all sizes differ", lambda rng: _concat_inputs(rng, 2, size(rng, 5, 8), 4, 3, 5, 6)),
        Case("a single neuron", lambda rng: _concat_inputs(rng, 1, size(rng, 3, 6), 2, 3, 2, 1)),
    ),
    reference=_concat_pair_by_pair,
    mistakes=(
        Mistake(
            "The parts of W are exchanged. The query comes first in the joined vector, so the upper rows belong to it.",
            changed(_CONCAT, ("h @ W[:K], hs @ W[K:]", "h @ W[-K:], hs @ W[:-K]")),
        ),
        Mistake(
            "There is no tanh. Without it the query adds the same number to the scores of all keys.",
            changed(_CONCAT, ("np.tanh(q[:, :, None] + k[:, None])", "(q[:, :, None] + k[:, None])")),
        ),
        Mistake(
            "Each part goes through a tanh of its own. They are added first, and the tanh gets the sum.",
            changed(_CONCAT, ("np.tanh(q[:, :, None] + k[:, None])", "(np.tanh(q)[:, :, None] + np.tanh(k)[:, None])")),
        ),
        Mistake(
            "The axes of queries and keys are exchanged: s is (N, T_dec, T), a row for each query.",
            changed(_CONCAT, ("q[:, :, None] + k[:, None]", "q[:, None] + k[:, :, None]")),
        ),
        Mistake(
            "Every neuron has the same say. v should weigh what the neurons put out.",
            changed(_CONCAT, (" @ v", ".sum(axis=-1)")),
        ),
        Mistake(
            "Query k meets key k only. Each query should meet every key, which needs two new axes.",
            "def concat_scores(hs, h, W, v):\n    K, T = h.shape[2], min(h.shape[1], hs.shape[1])\n"
            "    s = np.tanh(h[:, :T] @ W[:K] + hs[:, :T] @ W[K:]) @ v\n"
            "    return np.repeat(s[:, :, None], hs.shape[1], axis=2)\n",
        ),
    ),
    hints=(
        "A row vector times W is the sum of its numbers times the rows of W. Which rows meet the numbers of the query?",
        "Multiply h by the first H_dec rows of W and hs by the others. Give the one an axis for the keys, the other an "
        "axis for the queries, and add.",
    ),
    section=f'{SECTION}, "Luong\'s concat is the same score"',
)

# --- 8.12.3: two projections ------------------------------------------------------------------------------------


class _ProjectedByNumbers:
    """The product as a sum over all numbers, and gradients by moving every number a little."""

    def __init__(self, Wq, Wk):
        self.weights = [Wq.copy(), Wk.copy()]

    def forward(self, hs, h):
        self.inputs = [hs.copy(), h.copy()]
        return self._forward()

    def _forward(self):
        (hs, h), (Wq, Wk) = self.inputs, self.weights
        return np.einsum("nkd,da,ha,nth->nkt", h, Wq, Wk, hs) / np.sqrt(len(Wq.T))

    def backward(self, ds):
        return tuple(numerical_gradient(self._forward, array, ds) for array in (*self.inputs, *self.weights))


_PROJECTED = """\
class ProjectedScore:
    def __init__(self, Wq, Wk):
        self.Wq, self.Wk = Wq, Wk
        self.scale = Wq.shape[1] ** -0.5

    def forward(self, hs, h):
        q, k = h @ self.Wq, hs @ self.Wk
        self.cache = hs, h, q, k
        return q @ k.swapaxes(1, 2) * self.scale

    def backward(self, ds):
        hs, h, q, k = self.cache
        ds = ds * self.scale
        dq, dk = ds @ k, ds.swapaxes(1, 2) @ q
        dWq = (h.swapaxes(1, 2) @ dq).sum(axis=0)
        dWk = (hs.swapaxes(1, 2) @ dk).sum(axis=0)
        return dk @ self.Wk.T, dq @ self.Wq.T, dWq, dWk
"""


def _projected_inputs(rng, N, T, T_dec, H, H_dec, d):
    drawn = normal(rng, hs=(N, T, H), h=(N, T_dec, H_dec), ds=(N, T_dec, T))
    return drawn | normal(rng, Wq=(H_dec, d), Wk=(H, d))


PROJECTED = Exercise(
    number="8.12.3",
    title="Two projections, one score",
    name="ProjectedScore",
    points=3,
    call="score = answer(Wq, Wk)\ns = score.forward(hs, h)\ndhs, dh, dWq, dWk = score.backward(ds)",
    outputs=("s", "dhs", "dh", "dWq", "dWk"),
    cases=(
        Case("one sequence", lambda rng: _projected_inputs(rng, 1, 2, 3, 3, 3, 2)),
        Case("T = T_dec and H = H_dec", lambda rng: _projected_inputs(rng, 2, 3, 3, 4, 4, 3)),
        Case("all sizes differ", lambda rng: _projected_inputs(rng, 2, size(rng, 5, 8), 4, 3, 5, 6)),
    ),
    reference=_ProjectedByNumbers,
    mistakes=(
        Mistake(
            "The matrices of query and key are exchanged. h goes through Wq, hs through Wk.",
            changed(
                _PROJECTED,
                ("q, k = h @ self.Wq, hs @ self.Wk", "q, k = h @ self.Wk, hs @ self.Wq"),
                ("dk @ self.Wk.T, dq @ self.Wq.T, dWq, dWk", "dk @ self.Wq.T, dq @ self.Wk.T, dWk, dWq"),
            ),
        ),
        Mistake(
            "The scale is made from the size of the decoder's states. It is the size d of query and key that counts.",
            changed(_PROJECTED, ("Wq.shape[1] ** -0.5", "Wq.shape[0] ** -0.5")),
        ),
        Mistake(
            "The scores are divided by d. Their variance is d, their deviation its square root.",
            changed(_PROJECTED, ("Wq.shape[1] ** -0.5", "Wq.shape[1] ** -1.0")),
        ),
        Mistake(
            "The scale is missing in backward. What was multiplied by a number gets a gradient times that number.",
            changed(_PROJECTED, ("        ds = ds * self.scale\n", "")),
        ),
        Mistake(
            "The scores are not scaled at all.",
            changed(_PROJECTED, ("Wq.shape[1] ** -0.5", "1.0")),
        ),
        Mistake(
            "The gradient of a projection is the mean over the batch. Every sequence has used it, so they are added.",
            changed(_PROJECTED, (".sum(axis=0)", ".mean(axis=0)")),
        ),
        Mistake(
            "dhs and dh have not gone back through the projections.",
            changed(_PROJECTED, ("dk @ self.Wk.T, dq @ self.Wq.T, dWq", "dk, dq, dWq")),
        ),
    ),
    hints=(
        "It is a scaled dot product of two matrix products. Write down q and k first, then the rule of each product.",
        "dq = ds k and dk = ds^T q, both times the scale. Then dh = dq Wq^T, dhs = dk Wk^T, and the gradient of a "
        "projection is its input, transposed, times dq or dk, added over the batch.",
    ),
    section=f'{SECTION}, "Queries, keys and values of one sequence"',
)

# --- 8.12.4: keys and values part -------------------------------------------------------------------------------


class _MaskedByNumbers:
    """Only the real keys of each sequence take part; gradients by moving every number a little."""

    def forward(self, q, k, v, mask):
        self.inputs, self.mask = [array.copy() for array in (q, k, v)], mask
        return self._forward()

    def _forward(self):
        contexts = []
        for q, k, v, real in zip(*self.inputs, self.mask, strict=True):
            contexts.append(softmax(q @ k[real].T / np.sqrt(q.shape[1])) @ v[real])
        return np.array(contexts)

    def backward(self, dc):
        return tuple(numerical_gradient(self._forward, array, dc) for array in self.inputs)


_MASKED = """\
class MaskedAttention:
    def forward(self, q, k, v, mask):
        self.scale = q.shape[2] ** -0.5
        s = q @ k.swapaxes(1, 2) * self.scale
        s = np.where(mask[:, None], s, -np.inf)
        a = softmax(s)
        self.cache = q, k, v, a
        return a @ v

    def backward(self, dc):
        q, k, v, a = self.cache
        dv = a.swapaxes(1, 2) @ dc
        da = dc @ v.swapaxes(1, 2)
        ds = a * (da - (a * da).sum(axis=2, keepdims=True)) * self.scale
        dk = ds.swapaxes(1, 2) @ q
        return ds @ k, dk, dv
"""


def _masked_inputs(rng, N, T, T_dec, d, E, large=1.0):
    """Every sequence keeps its first key and loses its last one; ``large`` multiplies the hidden keys."""
    mask = np.arange(T) < rng.permutation(np.arange(N) % (T - 1) + 1)[:, None]
    drawn = normal(rng, q=(N, T_dec, d), k=(N, T, d), v=(N, T, E), dc=(N, T_dec, E)) | {"mask": mask}
    drawn["k"][~mask] *= large
    return drawn


MASKED = Exercise(
    number="8.12.4",
    title="Keys and values part",
    name="MaskedAttention",
    points=3,
    call="layer = answer()\nc = layer.forward(q, k, v, mask)\ndq, dk, dv = layer.backward(dc)",
    outputs=("c", "dq", "dk", "dv"),
    cases=(
        Case("T_dec = T and d = E", lambda rng: _masked_inputs(rng, 3, 4, 4, 3, 3)),
        Case("all sizes differ", lambda rng: _masked_inputs(rng, 4, size(rng, 5, 8), 3, 2, 5)),
        Case("padding with large keys", lambda rng: _masked_inputs(rng, 3, 4, 2, 3, 2, large=1e4)),
    ),
    reference=_MaskedByNumbers,
    given={"softmax": softmax},
    mistakes=(
        Mistake(
            "The mask is not used: padding gets weight.",
            changed(_MASKED, ("        s = np.where(mask[:, None], s, -np.inf)\n", "")),
        ),
        Mistake(
            "Padding gets the score 0, which is a score like any other. Its weight has to be 0.",
            changed(_MASKED, ("-np.inf", "0.0")),
        ),
        Mistake(
            "The weights of padding are set to 0 after the softmax, so the others no longer add up to 1.",
            changed(
                _MASKED,
                ("        s = np.where(mask[:, None], s, -np.inf)\n", ""),
                ("a = softmax(s)", "a = softmax(s) * mask[:, None]"),
            ),
        ),
        Mistake(
            "The mask is inverted: True marks a real key, False marks padding.",
            changed(_MASKED, ("np.where(mask[:, None],", "np.where(~mask[:, None],")),
        ),
        Mistake(
            "The gradient has not gone back through the softmax.",
            changed(_MASKED, ("a * (da - (a * da).sum(axis=2, keepdims=True)) * self.scale", "da * self.scale")),
        ),
        Mistake(
            "In the softmax's rule, the weighted sum of da is missing: what one weight gains, the others lose.",
            changed(_MASKED, ("(da - (a * da).sum(axis=2, keepdims=True))", "da")),
        ),
        Mistake(
            "The scale is missing in backward. What was multiplied by a number gets a gradient times that number.",
            changed(_MASKED, ("keepdims=True)) * self.scale", "keepdims=True))")),
        ),
        Mistake(
            "The gradients of keys and values are added. Here they are two arguments, and each has its own.",
            changed(
                _MASKED,
                ("        return", "        both = dk + (dv if dv.shape == dk.shape else 0)\n        return"),
                ("ds @ k, dk, dv", "ds @ k, both, both"),
            ),
        ),
    ),
    hints=(
        "Go back through forward line by line: the sum, the softmax, the scale, the product. Keys and values meet "
        "nowhere.",
        "dv = a^T dc and da = dc v^T; then the softmax's rule gives ds, times the scale; dq = ds k and dk = ds^T q. "
        "The mask has done its work in the weights.",
    ),
    section=f'{SECTION}, "Queries, keys and values of one sequence"',
)

# --- 8.12.5: a mask on the wrong side ---------------------------------------------------------------------------


def _self_attention_one_by_one(x, mask):
    """Sentence by sentence, with the real places alone; padded places get zeros."""
    out = np.zeros_like(x)
    for n, real in enumerate(mask):
        kept = x[n, real]
        out[n, real] = softmax(kept @ kept.T / np.sqrt(x.shape[2])) @ kept
    return out


_SELF = """\
def self_attention(x, mask):
    s = x @ x.swapaxes(1, 2) / np.sqrt(x.shape[2])  # (N, T, T)
    s = np.where(mask[:, None, :], s, -1e9)
    return softmax(s) @ x  # (N, T, H)
"""


def _self_inputs(rng, lengths, T, H, large=1.0):
    mask = np.arange(T) < np.array(lengths)[:, None]
    x = rng.standard_normal((len(lengths), T, H))
    x[~mask] *= large
    return {"x": x, "mask": mask}


SELF = Exercise(
    number="8.12.5",
    title="Bug hunt: it matters who sits beside you",
    name="self_attention",
    points=2,
    call="real_places = answer(x, mask)[mask]",
    outputs=("real_places",),
    cases=(
        Case("one sentence with padding", lambda rng: _self_inputs(rng, [2], 3, 2)),
        Case("N = T", lambda rng: _self_inputs(rng, rng.permutation([1, 2, 3]), 3, 4)),
        Case("all sizes differ", lambda rng: _self_inputs(rng, rng.permutation([3, 5]), size(rng, 6, 9), 4)),
        Case("padding with large numbers", lambda rng: _self_inputs(rng, rng.permutation([2, 4]), 5, 3, large=1e4)),
    ),
    reference=_self_attention_one_by_one,
    given={"softmax": softmax},
    bug=Mistake(
        "Real places still find padding. A mask along the queries keeps padding from asking, not from being found.",
        changed(_SELF, ("mask[:, None, :]", "mask[:, :, None]")),
    ),
    mistakes=(
        Mistake(
            "The mask is inverted now: True marks a real place, False marks padding.",
            changed(_SELF, ("np.where(mask[:, None, :], s, -1e9)", "np.where(mask[:, None, :], -1e9, s)")),
        ),
        Mistake(
            "The scores of padding are multiplied by 0, and a score of 0 still has a weight.",
            changed(_SELF, ("np.where(mask[:, None, :], s, -1e9)", "s * mask[:, None, :]")),
        ),
        Mistake(
            "The padding's weights are set to 0 after the softmax, so the others no longer add up to 1.",
            changed(
                _SELF,
                ("    s = np.where(mask[:, None, :], s, -1e9)\n", ""),
                ("softmax(s) @ x", "(softmax(s) * mask[:, None, :]) @ x"),
            ),
        ),
        Mistake(
            "Padding is taken out after the softmax. Where its score is far above the others, nothing is left of them, "
            "and 0 is divided by 0.",
            changed(
                _SELF,
                ("    s = np.where(mask[:, None, :], s, -1e9)\n", ""),
                (
                    "return softmax(s) @ x",
                    "a = softmax(s) * mask[:, None, :]\n    return a / a.sum(axis=2, keepdims=True) @ x",
                ),
            ),
        ),
        Mistake(
            "The vectors of padding are set to 0 before they are compared: they keep a score of 0, and a weight.",
            changed(
                _SELF,
                ("    s = np.where(mask[:, None, :], s, -1e9)\n", ""),
                ("    s =", "    x = x * mask[:, :, None]\n    s ="),
            ),
        ),
    ),
    hints=(
        "The scores are (N, T, T): a row for each place that asks, a column for each place that is found. What should "
        "padding not do?",
        "Padding must not be found, so the mask belongs to the columns, the last axis. To which axis does "
        "mask[:, :, None] bring it?",
    ),
    section=f'{SECTION}, "The neighbors in the batch"',
)

# --- 8.12.6: the scale of the wrong axis ------------------------------------------------------------------------


def _attention_by_sums(q, k, v):
    s = np.einsum("nqd,nkd->nqk", q / len(q[0, 0]) ** 0.25, k / len(k[0, 0]) ** 0.25)
    return np.einsum("nqk,nke->nqe", softmax(s), v)


_ATTENTION = """\
def attention(q, k, v):
    scale = 1 / np.sqrt(k.shape[2])
    return softmax(scale * q @ k.swapaxes(1, 2)) @ v
"""


def _attention_inputs(rng, N, T, T_dec, d, E):
    return normal(rng, q=(N, T_dec, d), k=(N, T, d), v=(N, T, E))


SCALE = Exercise(
    number="8.12.6",
    title="Bug hunt: the longer, the vaguer",
    name="attention",
    points=2,
    call="c = answer(q, k, v)",
    outputs=("c",),
    cases=(
        Case("two keys of size 8", lambda rng: _attention_inputs(rng, 1, 2, 4, 8, 3)),
        Case("N = T_dec = E", lambda rng: _attention_inputs(rng, 3, 5, 3, 9, 3)),
        Case("many keys of size 2", lambda rng: _attention_inputs(rng, 2, size(rng, 12, 20), 3, 2, 4)),
    ),
    reference=_attention_by_sums,
    given={"softmax": softmax},
    bug=Mistake(
        "The scale comes from the number of keys. What makes dot products large is the number of numbers in a key.",
        changed(_ATTENTION, ("k.shape[2]", "k.shape[1]")),
    ),
    mistakes=(
        Mistake(
            "There is no scale at all now.",
            changed(_ATTENTION, ("1 / np.sqrt(k.shape[2])", "1.0")),
        ),
        Mistake(
            "The scores are divided by d. Their variance is d, their deviation its square root.",
            changed(_ATTENTION, ("np.sqrt(k.shape[2])", "k.shape[2]")),
        ),
        Mistake(
            "The scores are multiplied by the square root of d, not divided by it.",
            changed(_ATTENTION, ("1 / np.sqrt", "np.sqrt")),
        ),
        Mistake(
            "The scale comes from the size of the values, which are not in the dot product.",
            changed(_ATTENTION, ("k.shape[2]", "v.shape[2]")),
        ),
        Mistake(
            "The scale comes from the number of queries. A query does not know how many others there are.",
            changed(_ATTENTION, ("k.shape[2]", "q.shape[1]")),
        ),
        Mistake(
            "Now the weights are scaled, and they no longer add up to 1. Scale the scores.",
            changed(
                _ATTENTION, ("softmax(scale * q @ k.swapaxes(1, 2)) @ v", "scale * softmax(q @ k.swapaxes(1, 2)) @ v")
            ),
        ),
    ),
    hints=(
        "A score is a sum of products. How many products are in it, and which axis do they come from?",
        "k is (N, T, d), and a score adds up d products. Which number does k.shape[1] give?",
    ),
    section=f'{SECTION}, "What the scale is for"',
)

EXERCISES = (LOOKUP, CONCAT, PROJECTED, MASKED, SELF, SCALE)
