"""Exercises 8.2: repeat and sum, the weighted sum, its backward pass, and two layers that are not quite right."""

from ch08.attention_layer import WeightSum
from common.grading.draws import batches, normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.2"


def _weights(rng, *shape):
    """Rows that sum to 1. A single weight is any number, because it would not show that 1 is left out."""
    weights = rng.uniform(0.1, 0.9, shape)
    return weights if shape[-1] == 1 else weights / weights.sum(axis=-1, keepdims=True)


def _batch(rng, N, T, H):
    return {**normal(rng, hs=(N, T, H)), "a": _weights(rng, N, T)}


def _with_dc(rng, N, T, H):
    return {**_batch(rng, N, T, H), **normal(rng, dc=(N, H))}


# 8.2.1


def _by_hand(rng):
    return {"hs": rng.permutation([[1.0, 0.0], [2.0, 5.0]]), "a": rng.permutation([0.75, 0.25])}


def _one_sequence(rng, T, H):
    return {"hs": rng.standard_normal((T, H)), "a": _weights(rng, T)}


def _one_hot(rng):
    T = size(rng, 3, 6)
    return {"hs": rng.standard_normal((T, 2)), "a": np.eye(T)[rng.integers(T)]}


def _context(hs, a):
    return WeightSum().forward(hs[None], a[None])[0]


CONTEXT = Exercise(
    number="8.2.1",
    title="The weighted sum of one sequence",
    name="context",
    call="c = answer(hs, a)",
    outputs=("c",),
    cases=(
        Case("two states, to be checked by hand", _by_hand),
        Case("all weight on one state", _one_hot),
        Case("more states than hidden numbers", lambda rng: _one_sequence(rng, size(rng, 4, 7), 3)),
        Case("one state", lambda rng: {"hs": rng.standard_normal((1, size(rng, 2, 5))), "a": np.ones(1)}),
    ),
    reference=_context,
    mistakes=(
        Mistake(
            "The weights are applied along the hidden axis: a[0] multiplies the first number of every state. "
            "It belongs to the whole first state.",
            "def context(hs, a):\n    return (hs * a).sum(axis=0)",
        ),
        Mistake(
            "The weights are applied along the hidden axis, and the numbers of each state are added up, as hs @ a "
            "does. A weight belongs to a whole state, and the states are to be added up.",
            "def context(hs, a):\n    return hs @ a",
        ),
        Mistake(
            "The sum runs over the hidden axis, so there is one number for each state. "
            "c is as long as a state: add up the states.",
            "def context(hs, a):\n    return (hs * a[:, None]).sum(axis=1)",
        ),
        Mistake(
            "The states are weighted, but not added up.",
            "def context(hs, a):\n    return hs * a[:, None]",
        ),
        Mistake(
            "The sum is divided by T. The weights already add up to 1, so there is no need to divide.",
            "def context(hs, a):\n    return (hs * a[:, None]).sum(axis=0) / len(a)",
        ),
        Mistake(
            "This selects the state with the largest weight. A weighted sum mixes all of them.",
            "def context(hs, a):\n    return hs[a.argmax()]",
        ),
    ),
    hints=(
        "Start with c, a vector of H zeros. Each state adds its share to it.",
        "The share of state t is a[t] * hs[t]. A loop over t will do.",
    ),
    section=f'{SECTION}, "A weighted sum of one sequence"',
)


# 8.2.2


def _weighted_sum(hs, a):
    return WeightSum().forward(hs, a)


WEIGHTED_SUM = Exercise(
    number="8.2.2",
    title="The weighted sums of a batch, without a loop",
    name="weighted_sum",
    call="c = answer(hs, a)",
    outputs=("c",),
    cases=batches(_batch),
    reference=_weighted_sum,
    mistakes=(
        Mistake(
            "c is summed over the hidden axis. The sum runs over time, the axis of the weights.",
            "def weighted_sum(hs, a):\n    return (hs * a[:, :, None]).sum(axis=2)",
        ),
        Mistake(
            "c is not summed over time: these are the weighted states, not their sum.",
            "def weighted_sum(hs, a):\n    return hs * a[:, :, None]",
        ),
        Mistake(
            "The weights are not used: this is the plain mean of the states.",
            "def weighted_sum(hs, a):\n    return hs.mean(axis=1)",
        ),
        Mistake(
            "The weights are applied along the hidden axis. That runs only if T = H, and even then it is wrong.",
            "def weighted_sum(hs, a):\n    return (hs * a[:, None, :]).sum(axis=1)",
        ),
        Mistake(
            "The sequences of the batch are mixed with one another: each one has its own states and its own weights.",
            "def weighted_sum(hs, a):\n    return np.tensordot(a, hs, axes=(1, 1)).sum(axis=1)",
        ),
    ),
    hints=(
        "Give a a third axis, so that every weight meets the H numbers of its hidden state.",
        "a[:, :, None] is (N, T, 1). Multiply, then sum over axis 1. einsum or matmul can do it in one call.",
    ),
    section=f'{SECTION}, "A batch"',
    points=2,
    large=(
        Case(
            "500,000 sequences",
            lambda rng: _batch(rng, 2, 2, 2),
            "c = answer(hs, a)[::1000]",
            repeat={"hs": (250_000, 0), "a": (250_000, 0)},
        ),
        Case("500,000 steps", lambda rng: _batch(rng, 2, 2, 2), repeat={"hs": (250_000, 1), "a": (250_000, 1)}),
    ),
)


# 8.2.3


def _shapes(N, T, H):
    return (N, T, H), (N, H), (N, T, H), (N, T)


def _sizes(N, T, H):
    return {"N": N, "T": T, "H": H}


def _shapes_mistake(says, shapes):
    return Mistake(says, f"def shapes(N, T, H):\n    return {shapes}")


SHAPES = Exercise(
    number="8.2.3",
    title="Predict the shapes",
    name="shapes",
    call="ar, c, dhs, da = answer(N, T, H)",
    outputs=("ar", "c", "dhs", "da"),
    cases=(
        Case("N, T and H all differ", lambda rng: _sizes(2, size(rng, 3, 5), size(rng, 5, 8))),
        Case("one sequence", lambda rng: _sizes(1, size(rng, 4, 8), 3)),
        Case("T = H", lambda rng: _sizes(size(rng, 2, 4), 4, 4)),
    ),
    reference=_shapes,
    mistakes=(
        _shapes_mistake(
            "ar is repeated: every weight has been copied H times. What you return is a before the copies are made.",
            "(N, T, 1), (N, H), (N, T, H), (N, T)",
        ),
        _shapes_mistake(
            "c has been summed over time. The time axis is gone, and the hidden axis stays.",
            "(N, T, H), (N, T), (N, T, H), (N, T)",
        ),
        _shapes_mistake(
            "A gradient has the shape of what it is the gradient of. da is the gradient of a, not of the repeated ar.",
            "(N, T, H), (N, H), (N, T, H), (N, T, H)",
        ),
        _shapes_mistake(
            "A gradient has the shape of what it is the gradient of. dhs belongs to all states, not to the context.",
            "(N, T, H), (N, H), (N, H), (N, T)",
        ),
        _shapes_mistake(
            "The batch axis is missing: these are the shapes for a single sequence.",
            "(T, H), (H,), (T, H), (T,)",
        ),
    ),
    hints=(
        "The gradient of a loss with respect to x says for every number of x how the loss changes. What shape is that?",
        "ar and hs are multiplied element by element, so they have the same shape. The sum over time removes the axis "
        "T.",
    ),
    section=f'{SECTION}, "All three together"',
)


# 8.2.4


class _Repeat:
    def forward(self, a, H):
        return np.einsum("nt,h->nth", a, np.ones(H))

    def backward(self, dar):
        return np.einsum("nth->nt", dar)


REPEAT_SOURCE = """\
class Repeat:
    def forward(self, a, H):
        return np.stack([a] * H, axis=2)

    def backward(self, dar):
        return dar.sum(axis=2)
"""


def _repeat_case(rng, N, T, H):
    return {"a": _weights(rng, N, T), "H": H, "dar": rng.standard_normal((N, T, H))}


REPEAT = Exercise(
    number="8.2.4",
    title="Repeat, forward and backward",
    name="Repeat",
    call="layer = answer()\nar = layer.forward(a, H)\nda = layer.backward(dar)",
    outputs=("ar", "da"),
    cases=(
        *batches(_repeat_case),
        Case("H = 1, a single copy", lambda rng: _repeat_case(rng, 2, size(rng, 3, 6), 1)),
    ),
    reference=_Repeat,
    mistakes=(
        Mistake(
            "da is the mean over the copies. Every copy affects the loss, so their gradients add up.",
            changed(REPEAT_SOURCE, ("dar.sum(axis=2)", "dar.mean(axis=2)")),
        ),
        Mistake(
            "da is summed over time. The copies lie along the last axis, so the sum runs over that one.",
            changed(REPEAT_SOURCE, ("dar.sum(axis=2)", "dar.sum(axis=1)")),
        ),
        Mistake(
            "da is the gradient of one copy only. All H copies come from the same weight.",
            changed(REPEAT_SOURCE, ("dar.sum(axis=2)", "dar[:, :, 0]")),
        ),
        Mistake(
            "da is not summed: it is still as large as the copies.",
            changed(REPEAT_SOURCE, ("dar.sum(axis=2)", "dar")),
        ),
        Mistake(
            "ar has a last axis of size 1: the weights got a new axis, but no copies.",
            changed(REPEAT_SOURCE, ("np.stack([a] * H, axis=2)", "a[:, :, None]")),
        ),
        Mistake(
            "The copies come in the wrong order: the whole row is repeated, then cut. "
            "In ar[n, t] all H numbers are the same weight, a[n, t].",
            changed(REPEAT_SOURCE, ("np.stack([a] * H, axis=2)", "np.tile(a, H).reshape(*a.shape, H)")),
        ),
    ),
    hints=(
        "Forward: an axis of size 1 at the end, then H copies along it. Backward: what does a copy become?",
        "np.repeat(x, H, axis=2) copies along the last axis. Backward, add up the gradients of the copies, over axis "
        "2.",
    ),
    section=f'{SECTION}, "Backward through repeat: a sum"',
)


# 8.2.5


class _Sum:
    def forward(self, p):
        self.ones = np.ones(p.shape[1])
        return np.einsum("nth->nh", p)

    def backward(self, dc):
        return np.einsum("nh,t->nth", dc, self.ones)


SUM_SOURCE = """\
class Sum:
    def forward(self, p):
        self.T = p.shape[1]
        return p.sum(axis=1)

    def backward(self, dc):
        return np.stack([dc] * self.T, axis=1)
"""


SUM = Exercise(
    number="8.2.5",
    title="Sum, forward and backward",
    name="Sum",
    call="layer = answer()\nc = layer.forward(p)\ndp = layer.backward(dc)",
    outputs=("c", "dp"),
    cases=batches(lambda rng, N, T, H: normal(rng, p=(N, T, H), dc=(N, H))),
    reference=_Sum,
    mistakes=(
        Mistake(
            "dp is only a share of dc: it is divided by T. Every term enters the sum with the factor 1, "
            "so every term gets the whole gradient.",
            changed(SUM_SOURCE, ("[dc] * self.T, axis=1)", "[dc] * self.T, axis=1) / self.T")),
        ),
        Mistake(
            "dp has no copies: its time axis has size 1.",
            changed(SUM_SOURCE, ("np.stack([dc] * self.T, axis=1)", "dc[:, None, :]")),
        ),
        Mistake(
            "dp holds the right numbers in the wrong places: each number was copied T times in a row, then cut. "
            "dp[n, t] is the whole vector dc[n].",
            changed(
                SUM_SOURCE, ("np.stack([dc] * self.T, axis=1)", "np.repeat(dc, self.T).reshape(len(dc), self.T, -1)")
            ),
        ),
        Mistake(
            "dp has its last two axes swapped: the copies lie along the last axis. Time is axis 1.",
            changed(SUM_SOURCE, ("[dc] * self.T, axis=1)", "[dc] * self.T, axis=2)")),
        ),
        Mistake(
            "c is summed over the hidden axis. Sum over time, axis 1.",
            changed(SUM_SOURCE, ("p.sum(axis=1)", "p.sum(axis=2)")),
        ),
        Mistake(
            "c is the mean over time, not the sum.",
            changed(SUM_SOURCE, ("p.sum(axis=1)", "p.mean(axis=1)")),
        ),
    ),
    hints=(
        "dc does not say how many terms were added. Store T in forward, so that backward knows it.",
        "Backward: every time step gets the whole dc. Give dc a time axis of size 1, then repeat it T times along it.",
    ),
    section=f'{SECTION}, "Backward through sum: a repeat"',
)


# 8.2.6


def _weighted_sum_backward(hs, a, dc):
    layer = WeightSum()
    layer.forward(hs, a)
    return layer.backward(dc)


BACKWARD_SOURCE = """\
def weighted_sum_backward(hs, a, dc):
    dhs = a[:, :, None] * dc[:, None, :]
    da = (hs * dc[:, None, :]).sum(axis=2)
    return dhs, da
"""

BACKWARD = Exercise(
    number="8.2.6",
    title="The backward pass of the weighted sum",
    name="weighted_sum_backward",
    call="dhs, da = answer(hs, a, dc)",
    outputs=("dhs", "da"),
    cases=batches(_with_dc),
    reference=_weighted_sum_backward,
    mistakes=(
        Mistake(
            "da is summed over time. A weight was copied along the hidden axis, so its gradient is summed over that.",
            changed(BACKWARD_SOURCE, ("sum(axis=2)", "sum(axis=1)")),
        ),
        Mistake(
            "da is not summed: this is dar, the gradient of the copies.",
            changed(BACKWARD_SOURCE, (".sum(axis=2)", "")),
        ),
        Mistake(
            "da does not depend on hs. The gradient of a product has the other factor, here the state.",
            changed(BACKWARD_SOURCE, ("(hs * dc[:, None, :])", "np.repeat(dc[:, None, :], hs.shape[1], axis=1)")),
        ),
        Mistake(
            "da is multiplied by the weights. Its other factor is the state; a weight is not part of its own gradient.",
            changed(BACKWARD_SOURCE, ("(hs * dc[:, None, :])", "(hs * dhs)")),
        ),
        Mistake(
            "dhs does not depend on the weights: every state gets the whole dc. A state should get its share, by its "
            "weight.",
            changed(BACKWARD_SOURCE, ("a[:, :, None] *", "np.ones_like(a)[:, :, None] *")),
        ),
        Mistake(
            "hs was reshaped to (N, H, T), to be multiplied as a matrix. A reshape cuts the numbers into other rows; "
            "it does not swap axes.",
            changed(
                BACKWARD_SOURCE,
                ("(hs * dc[:, None, :]).sum(axis=2)", "(dc[:, None, :] @ hs.reshape(len(hs), hs.shape[2], -1))[:, 0]"),
            ),
        ),
        Mistake(
            "The two gradients come in the wrong order. They come in the order of forward's arguments: dhs, then da.",
            changed(BACKWARD_SOURCE, ("return dhs, da", "return da, dhs")),
        ),
    ),
    hints=(
        "Work backward from c: sum becomes repeat, multiply the other factor, repeat becomes sum.",
        "dhs[n, t] is a[n, t] times the vector dc[n]. da[n, t] is the dot product of dc[n] and hs[n, t].",
    ),
    section=f'{SECTION}, "All three together"',
    points=2,
)


# 8.2.7

LOOP_BUG = '''\
class LoopWeightSum:
    """The weighted sum, with its backward pass as a loop over time."""

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, hs, a):
        self.cache = (hs, a)
        return np.einsum("nt,nth->nh", a, hs)

    def backward(self, dc):
        hs, a = self.cache
        N, T = dc.shape
        dhs, da = np.zeros_like(hs), np.zeros_like(a)
        for t in range(T):
            dhs[:, t] = a[:, t].reshape(N, 1) * dc  # (N, H)
            da[:, t] = (hs[:, t] * dc).sum(axis=1)  # (N,)
        return dhs, da
'''
_LOOP_FIXED = changed(LOOP_BUG, ("N, T = dc.shape", "N, T = a.shape"))

LOOP_WEIGHT_SUM = Exercise(
    number="8.2.7",
    title="Bug hunt: some states never learn",
    name="LoopWeightSum",
    call="layer = answer()\nc = layer.forward(hs, a)\ndhs, da = layer.backward(dc)",
    outputs=("c", "dhs", "da"),
    cases=(
        Case("T = H", lambda rng: _with_dc(rng, 2, 3, 3)),
        Case("more states than hidden numbers", lambda rng: _with_dc(rng, 2, size(rng, 4, 7), 3)),
        Case("fewer states than hidden numbers", lambda rng: _with_dc(rng, 2, 3, size(rng, 4, 7))),
        Case("one sequence", lambda rng: _with_dc(rng, 1, 5, 2)),
    ),
    reference=WeightSum,
    bug=Mistake(
        "backward is right only if T = H. With more states than hidden numbers, the last states get a gradient of 0; "
        "with fewer, an index is out of range.",
        LOOP_BUG,
    ),
    mistakes=(
        Mistake(
            "The loop takes N steps: now it runs over the sequences, not over time.",
            changed(LOOP_BUG, ("range(T)", "range(N)")),
        ),
        Mistake(
            "da is summed over the whole batch. Each sequence has its own weights: sum over the hidden axis only.",
            changed(_LOOP_FIXED, ("(hs[:, t] * dc).sum(axis=1)", "(hs[:, t] * dc).sum()")),
        ),
        Mistake(
            "dhs does not depend on the weights anymore: every state gets the whole dc.",
            changed(_LOOP_FIXED, ("a[:, t].reshape(N, 1) * dc", "dc")),
        ),
    ),
    hints=(
        "Which states have a gradient of 0? Count how often the loop runs, and how often it should.",
        "dc is (N, H): it has no time axis. Which arrays in the cache have one?",
    ),
    section=f'{SECTION}, "All three together"',
    points=2,
)


# 8.2.8

LEAN_BUG = '''\
class LeanWeightSum:
    """The weighted sum that saves an array: dhs needs no memory of its own."""

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, hs, a):
        N, T, H = hs.shape
        ar = np.repeat(a.reshape(N, T, 1), H, axis=2)  # (N, T, H)
        self.cache = (hs, ar)
        return (hs * ar).sum(axis=1)  # (N, H)

    def backward(self, dc):
        hs, ar = self.cache
        dp = dc[:, None, :]  # (N, 1, H)
        da = (dp * hs).sum(axis=2)  # (N, T)
        ar *= dp  # now it is dhs, (N, T, H)
        return ar, da
'''
_LEAN_FIXED = changed(
    LEAN_BUG, ("        ar *= dp  # now it is dhs, (N, T, H)\n", ""), ("return ar, da", "return ar * dp, da")
)

LEAN_WEIGHT_SUM = Exercise(
    number="8.2.8",
    title="Bug hunt: right once, wrong twice",
    name="LeanWeightSum",
    call=(
        "layer = answer()\nc = layer.forward(hs, a)\n"
        "dhs, da = map(np.array, layer.backward(dc))\n"
        "dhs_again, da_again = layer.backward(dc)"
    ),
    outputs=("c", "dhs", "da", "dhs_again", "da_again"),
    cases=batches(_with_dc),
    reference=WeightSum,
    bug=Mistake(
        "The second call of backward returns a different dhs than the first one, "
        "so the first call has changed something that the second one needs.",
        LEAN_BUG,
    ),
    mistakes=(
        Mistake(
            "ar is left alone, but now hs is changed, and it belongs to the caller. The second da is wrong.",
            changed(_LEAN_FIXED, ("da = (dp * hs).sum(axis=2)", "hs *= dp\n        da = hs.sum(axis=2)")),
        ),
        Mistake(
            "da is computed from ar, the repeated weights. A weight's other factor is its state, so da needs hs.",
            changed(_LEAN_FIXED, ("(dp * hs).sum(axis=2)", "(dp * ar).sum(axis=2)")),
        ),
        Mistake(
            "backward empties the cache, so a second call has nothing to work with.",
            changed(
                _LEAN_FIXED,
                ("        hs, ar = self.cache\n", "        hs, ar = self.cache\n        self.cache = None\n"),
            ),
        ),
        Mistake(
            "dhs has lost the weights: every state gets the whole dc.",
            changed(_LEAN_FIXED, ("return ar * dp, da", "return dp + 0 * ar, da")),
        ),
    ),
    hints=(
        "Print layer.cache[1] before and after backward. It should not change.",
        "`x *= y` writes into the array x itself, no matter who else uses it. `x * y` makes a new one.",
    ),
    section=f'{SECTION}, "The class"',
    points=2,
)

EXERCISES = (
    CONTEXT,
    WEIGHTED_SUM,
    SHAPES,
    REPEAT,
    SUM,
    BACKWARD,
    LOOP_WEIGHT_SUM,
    LEAN_WEIGHT_SUM,
)
