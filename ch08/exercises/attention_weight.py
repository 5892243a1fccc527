"""Exercises 8.3: scores, softmax, its gradient, masks, temperature, the layer AttentionWeight, and three bug hunts."""

from ch08.attention_layer import AttentionWeight
from common.grading.draws import batches, normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.layers import Softmax
from common.np import host as np

SECTION = "notebook 8.3"


def _states(rng, N, T, H):
    return normal(rng, hs=(N, T, H), h=(N, H))


def _softmax(s):
    return Softmax().forward(s)


def _far_apart(rng):
    """Two rows of four scores: one row far below the other, in each two scores 2000 above the rest, in other columns.

    Only the largest score of each row can be subtracted: exp overflows with the smallest, the mean, the first or the
    last one, and with the largest of all scores one row becomes 0. All are multiples of 1/8, no two of a row equal, so
    that float32 holds them and their dot products.
    """
    s = np.stack([rng.permutation(8)[:4] for _ in range(2)]) / 8 - 1000
    s[[0, 0, 1, 1], rng.permutation(4)] += 2000
    return s - rng.permutation([[0], [3000]])


def _states_far_apart(rng):
    """States and h whose scores are far apart."""
    s, h = _far_apart(rng), rng.choice([-1.0, 1.0], (2, 4))
    hs = s[:, :, None] * h[:, None, :] / 4  # (N, T, H): the dot product with h is s
    return {"hs": hs, "h": h}


# 8.3.1


def _scores(hs, h):
    return np.einsum("nth,nh->nt", hs, h)


SCORES_SOURCE = """\
def scores(hs, h):
    return (hs * h[:, None, :]).sum(axis=2)
"""

SCORES = Exercise(
    number="8.3.1",
    title="Scores by dot product, without a loop",
    name="scores",
    call="s = answer(hs, h)",
    outputs=("s",),
    cases=(
        Case("N = T", lambda rng: _states(rng, 3, 3, 2)),  # first: with more than one sequence, hs @ h.T shows
        *batches(_states),
    ),
    reference=_scores,
    mistakes=(
        Mistake(
            "The products are summed over time. A score is a dot product: its sum runs over the hidden axis.",
            changed(SCORES_SOURCE, ("axis=2", "axis=1")),
        ),
        Mistake(
            "h meets the wrong states: without a time axis, NumPy lines up its sequences with the time steps of hs. "
            "That runs only if N = T or N = 1.",
            changed(SCORES_SOURCE, ("h[:, None, :]", "h")),
        ),
        Mistake(
            "Every state is compared with the h of every sequence. Each sequence has its own h.",
            "def scores(hs, h):\n    return hs @ h.T",
        ),
        Mistake(
            "The products are not summed: a score is one number for each state.",
            changed(SCORES_SOURCE, (".sum(axis=2)", "")),
        ),
        Mistake(
            "This is the mean of the products, not their sum.",
            changed(SCORES_SOURCE, ("sum(axis=2)", "mean(axis=2)")),
        ),
        Mistake(
            "This is the cosine: the dot product divided by both lengths. Here the lengths count as well.",
            "def scores(hs, h):\n"
            "    lengths = np.linalg.norm(hs, axis=2) * np.linalg.norm(h, axis=1)[:, None]\n"
            "    return (hs * h[:, None, :]).sum(axis=2) / lengths",
        ),
    ),
    hints=(
        "Every time step of a sequence meets the same h. Which axis does h lack?",
        "h[:, None, :] is (N, 1, H), and NumPy stretches it over time. Multiply by hs, then sum over the last axis.",
    ),
    section=f'{SECTION}, "For a batch, without a loop"',
    points=2,
    large=(
        Case(
            "500,000 sequences",
            lambda rng: _states(rng, 2, 2, 2),
            "s = answer(hs, h)[::1000]",
            repeat={"hs": (250_000, 0), "h": (250_000, 0)},
        ),
        Case(
            "500,000 steps",
            lambda rng: _states(rng, 2, 2, 2),
            "s = answer(hs, h)[:, ::1000]",
            repeat={"hs": (250_000, 1)},
        ),
    ),
)


# 8.3.2

SOFTMAX_SOURCE = """\
def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
"""


def _large(rng):
    levels = np.array([[1000.0], [-1000.0]])
    return {"s": rng.standard_normal((2, size(rng, 4, 6))) + rng.permutation(levels)}


SOFTMAX = Exercise(
    number="8.3.2",
    title="A softmax for scores of any size",
    name="softmax",
    call="a = answer(s)",
    outputs=("a",),
    cases=(
        Case("one sequence", lambda rng: {"s": rng.standard_normal((1, 3))}),
        Case("N = T", lambda rng: {"s": rng.standard_normal((3, 3))}),
        Case("scores near 1000 and near -1000", _large),
        Case("scores far apart in the same row", lambda rng: {"s": _far_apart(rng)}),
        Case("three axes", lambda rng: {"s": 2 * rng.standard_normal((2, 3, size(rng, 4, 6)))}),
    ),
    reference=_softmax,
    mistakes=(
        Mistake(
            "Something is subtracted from each row, but not its largest score: where one score lies far above the "
            "others, exp still overflows.",
            changed(SOFTMAX_SOURCE, ("s.max(", "s.min(")),
        ),
        Mistake(
            "exp of a large score is infinite, and of a very negative one 0, so you divide infinity by infinity or "
            "0 by 0. Only differences of scores count: make the largest one 0 first.",
            changed(SOFTMAX_SOURCE, (" - s.max(axis=-1, keepdims=True)", "")),
        ),
        Mistake(
            "The largest score of the whole array is subtracted. A row that lies far below it is left with zeros only. "
            "Each row has its own largest score.",
            changed(SOFTMAX_SOURCE, ("s.max(axis=-1, keepdims=True)", "s.max()")),
        ),
        Mistake(
            "The weights of a column add up to 1, not those of a row: softmax runs over the sequences here, "
            "and should run over time.",
            changed(SOFTMAX_SOURCE, ("axis=-1", "axis=0")),
        ),
        Mistake(
            "All weights of the array together add up to 1. Each row should.",
            "def softmax(s):\n    e = np.exp(s - s.max())\n    return e / e.sum()",
        ),
        Mistake(
            "The sums have lost their axis, so the rows are divided by one another's sums. That runs only if N = T "
            "(or N = 1).",
            changed(SOFTMAX_SOURCE, ("e.sum(axis=-1, keepdims=True)", "e.sum(axis=-1)")),
        ),
        Mistake(
            "With three axes, softmax runs over the middle one. Time is always the last.",
            changed(SOFTMAX_SOURCE, ("axis=-1", "axis=1")),
        ),
        Mistake(
            "The scores are divided by their sum, without exp. Scores can be negative, and so are these weights.",
            "def softmax(s):\n    return s / s.sum(axis=-1, keepdims=True)",
        ),
    ),
    hints=(
        "Subtract something from each row before you call exp. It cancels on paper, and keeps exp small.",
        "Subtract s.max(axis=-1, keepdims=True). Then exp, then divide by the sum, with the same axis and keepdims.",
    ),
    section=f'{SECTION}, "Large scores"',
    points=2,
)


# 8.3.3


def _softmax_backward(y, dout):
    layer = Softmax()
    layer.forward(np.log(y))
    return layer.backward(dout)


SOFTMAX_BACKWARD_SOURCE = """\
def softmax_backward(y, dout):
    return y * (dout - (y * dout).sum(axis=-1, keepdims=True))
"""


def _weights_and_gradient(rng, *shape):
    return {"y": _softmax(rng.standard_normal(shape)), "dout": rng.standard_normal(shape)}


SOFTMAX_BACKWARD = Exercise(
    number="8.3.3",
    title="The backward pass of softmax",
    name="softmax_backward",
    call="dx = answer(y, dout)",
    outputs=("dx",),
    cases=(
        Case("two sequences", lambda rng: _weights_and_gradient(rng, 2, 3)),
        Case("N = T", lambda rng: _weights_and_gradient(rng, 3, 3)),
        Case("one sequence", lambda rng: _weights_and_gradient(rng, 1, size(rng, 4, 7))),
        Case("three axes", lambda rng: _weights_and_gradient(rng, 2, 3, size(rng, 4, 6))),
    ),
    reference=_softmax_backward,
    mistakes=(
        Mistake(
            "This is only y * dout. It forgets that all weights share one sum: when one grows, the others shrink.",
            changed(SOFTMAX_BACKWARD_SOURCE, (" - (y * dout).sum(axis=-1, keepdims=True)", "")),
        ),
        Mistake(
            "These are only the slopes on the diagonal of the Jacobian, y * (1 - y). "
            "A score moves the other weights as well.",
            "def softmax_backward(y, dout):\n    return y * (1 - y) * dout",
        ),
        Mistake(
            "The plain mean of dout is subtracted. The mean to subtract is weighted by y.",
            changed(SOFTMAX_BACKWARD_SOURCE, ("(y * dout).sum(", "dout.mean(")),
        ),
        Mistake(
            "The plain sum of dout is subtracted. Each dout counts as much as its weight.",
            changed(SOFTMAX_BACKWARD_SOURCE, ("(y * dout).sum(", "dout.sum(")),
        ),
        Mistake(
            "The sum runs over the sequences of the batch. They are independent of one another: sum over time.",
            changed(SOFTMAX_BACKWARD_SOURCE, ("axis=-1", "axis=0")),
        ),
        Mistake(
            "The weighted mean is subtracted after the product with y. Subtract it from dout, before the product.",
            "def softmax_backward(y, dout):\n    p = y * dout\n    return p - p.sum(axis=-1, keepdims=True)",
        ),
        Mistake(
            "With three axes, the sum runs over the middle one. Time is always the last.",
            changed(SOFTMAX_BACKWARD_SOURCE, ("axis=-1", "axis=1")),
        ),
    ),
    hints=(
        "Take the mean of each row of dout, weighted by y. How far does each dout lie above it?",
        "The weighted mean of a row is (y * dout).sum(axis=-1, keepdims=True). A score's gradient is its weight times "
        "the distance of its dout from that mean.",
    ),
    section=f'{SECTION}, "Without the table"',
    points=2,
)


# 8.3.4


def _masked_softmax(s, mask):
    if not mask.any(axis=1).all():
        raise ValueError("a row is all padding")
    return _softmax(np.where(mask, s, -np.inf))


MASKED_SOURCE = """\
def masked_softmax(s, mask):
    if not mask.any(axis=1).all():
        raise ValueError("a row is all padding")
    s = np.where(mask, s, -np.inf)
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
"""


def _masked(rng, lengths, T, padding_score=0.0):
    """Real states first, then padding, whose scores are raised by ``padding_score``."""
    mask = np.arange(T) < np.array(lengths)[:, None]
    s = rng.standard_normal(mask.shape) + np.where(mask, 0.0, padding_score)
    return {"s": s, "mask": mask}


def _masked_far_apart(rng):
    padding = rng.standard_normal((2, size(rng, 1, 3)))
    s = np.concatenate((_far_apart(rng), padding), axis=1)
    return {"s": s, "mask": np.arange(s.shape[1]) < np.full((2, 1), 4)}


MASKED_SOFTMAX = Exercise(
    number="8.3.4",
    title="Padding gets no weight",
    name="masked_softmax",
    call="a = answer(s, mask)\npadding_is_0 = bool((a[~mask] == 0).all())",
    outputs=("a", "padding_is_0"),
    cases=(
        Case("no padding", lambda rng: _masked(rng, [3, 3], 3)),
        Case("padding at the end of some rows", lambda rng: _masked(rng, [2, 4, size(rng, 1, 4)], 4)),
        Case("padding with scores far above the others", lambda rng: _masked(rng, [size(rng, 1, 4), 3], 5, 1000.0)),
        Case("real scores far apart in the same row", _masked_far_apart),
        Case(
            "a row that is all padding",
            lambda rng: _masked(rng, rng.permutation([0, 2]), 3),
            call="try:\n    a = answer(s, mask)\nexcept ValueError:\n    a = 'ValueError'",
            outputs=("a",),
        ),
    ),
    reference=_masked_softmax,
    mistakes=(
        Mistake(
            "The weights of padding were set to 0 after softmax, so the rows no longer add up to 1. "
            "Act before softmax, on the scores.",
            changed(MASKED_SOURCE, ("    s = np.where(mask, s, -np.inf)\n", ""), ("return e /", "return mask * e /")),
        ),
        Mistake(
            "Padding has the score 0 now. exp(0) is 1, so it still gets weight.",
            changed(MASKED_SOURCE, ("-np.inf", "0.0")),
        ),
        Mistake(
            "The mask is inverted: True marks a real state, False marks padding.",
            changed(MASKED_SOURCE, ("np.where(mask, s, -np.inf)", "np.where(mask, -np.inf, s)")),
        ),
        Mistake(
            "The largest score is taken over padding as well. Where padding scores far above the rest, "
            "nothing is left of the real states: 0 divided by 0. Mask first, then take the maximum.",
            changed(
                MASKED_SOURCE,
                ("    s = np.where(mask, s, -np.inf)\n", ""),
                ("np.exp(s - s.max(axis=1, keepdims=True))", "np.exp(s - s.max(axis=1, keepdims=True)) * mask"),
            ),
        ),
        Mistake(
            "exp overflows for large scores. Masked or not, the largest score of each row has to be subtracted.",
            changed(MASKED_SOURCE, ("s - s.max(axis=1, keepdims=True)", "s")),
        ),
        Mistake(
            "A large negative number instead of minus infinity gives a row of padding equal weights, as if nothing "
            "were wrong. There is nothing to attend to: raise a ValueError.",
            changed(
                MASKED_SOURCE,
                ('    if not mask.any(axis=1).all():\n        raise ValueError("a row is all padding")\n', ""),
                ("-np.inf", "-1e9"),
            ),
        ),
        Mistake(
            "A row that is all padding comes out as nan: minus infinity minus minus infinity. "
            "Look for such a row first, and raise a ValueError.",
            changed(
                MASKED_SOURCE,
                ('    if not mask.any(axis=1).all():\n        raise ValueError("a row is all padding")\n', ""),
            ),
        ),
    ),
    hints=(
        "Which score gives a weight of exactly 0? Give it to the padding, then do what softmax always does.",
        "np.where(mask, s, -np.inf) masks the scores. Before it, mask.any(axis=1) says which rows have a real state.",
    ),
    section=f'{SECTION}, "Padding gets no weight"',
    points=2,
)


# 8.3.5


def _temperature_softmax(s, tau):
    return _softmax(s / tau)


TEMPERATURE_SOURCE = """\
def softmax_at(s, tau):
    x = s / tau
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
"""


def _ice_cold(rng):
    """Small scores, of which tau makes large ones."""
    return {"s": _far_apart(rng) / 1024, "tau": 1 / 1024}


TEMPERATURE = Exercise(
    number="8.3.5",
    title="Temperature",
    name="softmax_at",
    call="a = answer(s, tau)",
    outputs=("a",),
    cases=(
        Case("cold: tau = 0.5", lambda rng: {"s": rng.standard_normal((1, 3)), "tau": 0.5}),
        Case("hot: tau = 4", lambda rng: {"s": 3 * rng.standard_normal((2, size(rng, 3, 6))), "tau": 4.0}),
        Case("colder than ice: tau = 1/1024", _ice_cold),
    ),
    reference=_temperature_softmax,
    mistakes=(
        Mistake(
            "The scores are multiplied by tau, so hot and cold are swapped.",
            changed(TEMPERATURE_SOURCE, ("s / tau", "s * tau")),
        ),
        Mistake(
            "The weights are divided by tau, not the scores, so the rows no longer add up to 1.",
            changed(TEMPERATURE_SOURCE, ("x = s / tau", "x = s"), ("return e /", "return e / tau /")),
        ),
        Mistake(
            "tau is not used: this is softmax at the temperature 1.",
            changed(TEMPERATURE_SOURCE, ("x = s / tau", "x = s")),
        ),
        Mistake(
            "exp overflows: a small tau turns small scores into large numbers. "
            "Divide by tau first, then make the largest 0.",
            changed(TEMPERATURE_SOURCE, (" - x.max(axis=-1, keepdims=True)", "")),
        ),
        Mistake(
            "The largest score of the whole array is subtracted. At a low temperature, a row far below it is left with "
            "zeros only. Each row has its own largest score.",
            changed(TEMPERATURE_SOURCE, ("x.max(axis=-1, keepdims=True)", "x.max()")),
        ),
    ),
    hints=(
        "The scores change, softmax does not. What happens to them?",
        "Divide the scores by tau, then call your softmax from Exercise 8.3.2.",
    ),
    section=f'{SECTION}, "Temperature: sharp and flat"',
)


# 8.3.6

ATTENTION_WEIGHT_SOURCE = """\
class AttentionWeight:
    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, hs, h):
        s = np.einsum("nth,nh->nt", hs, h)
        e = np.exp(s - s.max(axis=1, keepdims=True))
        a = e / e.sum(axis=1, keepdims=True)
        self.cache = hs, h, s, a
        return a

    def backward(self, da):
        hs, h, s, a = self.cache
        ds = a * (da - (a * da).sum(axis=1, keepdims=True))
        dhs = ds[:, :, None] * h[:, None, :]
        dh = np.einsum("nt,nth->nh", ds, hs)
        return dhs, dh
"""
_DS = "ds = a * (da - (a * da).sum(axis=1, keepdims=True))"


def _large_states(rng):
    """Scores near 2000 that differ by little: dot products of multiples of 1/16, so that float32 holds them."""
    N, T, H = 2, 3, 4
    hs, h = 500 + 0.3 * rng.standard_normal((N, T, H)), rng.uniform(0.8, 1.2, (N, H))
    hs, h = np.round(16 * hs) / 16, np.round(16 * h) / 16
    return {"hs": hs, "h": h, **normal(rng, da=(N, T))}


ATTENTION_WEIGHT = Exercise(
    number="8.3.6",
    title="The whole layer AttentionWeight",
    name="AttentionWeight",
    call="layer = answer()\na = layer.forward(hs, h)\ndhs, dh = layer.backward(da)",
    outputs=("a", "dhs", "dh"),
    cases=(
        *batches(lambda rng, N, T, H: normal(rng, hs=(N, T, H), h=(N, H), da=(N, T)), one_state=False),
        # Not dh: it is a small difference of large numbers, and float32 does not hold enough digits of them.
        Case("large scores", _large_states, outputs=("a", "dhs")),
        Case(
            "large scores, far apart",
            lambda rng: {**_states_far_apart(rng), **normal(rng, da=(2, 4))},
            outputs=("a", "dhs"),
        ),
    ),
    reference=AttentionWeight,
    mistakes=(
        Mistake(
            "forward returns the scores. They still have to become weights.",
            changed(ATTENTION_WEIGHT_SOURCE, ("a = e / e.sum(axis=1, keepdims=True)", "a = s")),
        ),
        Mistake(
            "Something is subtracted from the scores of each row, but not the largest of them: where one lies far "
            "above the others, exp still overflows.",
            changed(ATTENTION_WEIGHT_SOURCE, ("s.max(", "s.min(")),
        ),
        Mistake(
            "exp overflows for large scores. Subtract the largest score of each row first.",
            changed(ATTENTION_WEIGHT_SOURCE, (" - s.max(axis=1, keepdims=True)", "")),
        ),
        Mistake(
            "forward: softmax runs over the sequences of the batch. Each sequence has its own weights.",
            changed(
                ATTENTION_WEIGHT_SOURCE,
                ("s.max(axis=1, keepdims=True)", "s.max(axis=0)"),
                ("e.sum(axis=1, keepdims=True)", "e.sum(axis=0)"),
            ),
        ),
        Mistake(
            "backward leaves out softmax: da, the gradient of the weights, is used where ds, "
            "the gradient of the scores, belongs.",
            changed(ATTENTION_WEIGHT_SOURCE, (_DS, "ds = da")),
        ),
        Mistake(
            "backward: the gradient through softmax is only a * da. The weighted mean of da is not subtracted.",
            changed(ATTENTION_WEIGHT_SOURCE, (_DS, "ds = a * da")),
        ),
        Mistake(
            "backward continues with the scores s, where their gradient ds belongs.",
            changed(ATTENTION_WEIGHT_SOURCE, (_DS, "ds = s")),
        ),
        Mistake(
            "backward continues with the weights a, where the gradient of the scores belongs.",
            changed(ATTENTION_WEIGHT_SOURCE, (_DS, "ds = a")),
        ),
        Mistake(
            "dh is summed over the hidden axis. h was repeated over time, so its gradient is summed over time.",
            changed(ATTENTION_WEIGHT_SOURCE, ("nt,nth->nh", "nt,nth->nt")),
        ),
        Mistake(
            "dh is not summed: every time step has its own copy of h, and their gradients add up.",
            changed(ATTENTION_WEIGHT_SOURCE, ("nt,nth->nh", "nt,nth->nth")),
        ),
        Mistake(
            "The two gradients come in the wrong order. They come in the order of forward's arguments: dhs, then dh.",
            changed(ATTENTION_WEIGHT_SOURCE, ("return dhs, dh", "return dh, dhs")),
        ),
    ),
    hints=(
        "forward is scores, then softmax. backward goes in reverse: da through softmax to ds, "
        "then ds through the dot product.",
        "ds is softmax_backward(a, da). dhs[n, t] is the number ds[n, t] times the vector h[n]. "
        "dh[n] is the sum over t of ds[n, t] times hs[n, t].",
    ),
    section=f'{SECTION}, "The backward pass, step by step"',
    points=3,
)


# 8.3.7

DOT_BUG = '''\
class DotScore:
    """The score of every state: its dot product with h."""

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None

    def forward(self, hs, h):
        N, T, H = hs.shape
        hr = np.repeat(h.reshape(N, 1, H), T, axis=1)  # (N, T, H)
        s = (hs * hr).sum(axis=2)  # (N, T)
        self.cache = (hs, hr, s)
        return s

    def backward(self, ds):
        hs, hr, s = self.cache
        N, T = ds.shape
        dp = np.repeat(s.reshape(N, T, 1), hs.shape[2], axis=2)  # (N, T, H)
        dhs, dhr = dp * hr, dp * hs  # (N, T, H)
        dh = dhr.sum(axis=1)  # (N, H)
        return dhs, dh
'''
_DOT_FIXED = changed(DOT_BUG, ("np.repeat(s.reshape", "np.repeat(ds.reshape"))


class _DotScore:
    def forward(self, hs, h):
        self.cache = hs, h
        return np.einsum("nth,nh->nt", hs, h)

    def backward(self, ds):
        hs, h = self.cache
        return np.einsum("nt,nh->nth", ds, h), np.einsum("nt,nth->nh", ds, hs)


DOT_SCORE = Exercise(
    number="8.3.7",
    title="Bug hunt: right shapes, wrong gradients",
    name="DotScore",
    call="layer = answer()\ns = layer.forward(hs, h)\ndhs, dh = layer.backward(ds)",
    outputs=("s", "dhs", "dh"),
    cases=batches(lambda rng, N, T, H: normal(rng, hs=(N, T, H), h=(N, H), ds=(N, T))),
    reference=_DotScore,
    bug=Mistake(
        "The gradients that backward returns do not depend on ds, the gradient that comes in.",
        DOT_BUG,
    ),
    mistakes=(
        Mistake(
            "ds is used now, but the score is still in the product. The derivative of a score does not contain the "
            "score.",
            changed(DOT_BUG, ("np.repeat(s.reshape", "np.repeat((s * ds).reshape")),
        ),
        Mistake(
            "The other factors are swapped: dhs needs h, and dh needs hs.",
            changed(_DOT_FIXED, ("dhs, dhr = dp * hr, dp * hs", "dhs, dhr = dp * hs, dp * hr")),
        ),
        Mistake(
            "The other factors are gone: ds is repeated, but multiplied by neither h nor hs.",
            changed(_DOT_FIXED, ("dhs, dhr = dp * hr, dp * hs", "dhs, dhr = dp, dp")),
        ),
        Mistake(
            "dh is summed over the hidden axis now. h was repeated over time, so the sum runs over time.",
            changed(_DOT_FIXED, ("dhr.sum(axis=1)", "dhr.sum(axis=2)")),
        ),
    ),
    hints=(
        "Twice the gradient in should give twice the gradient out. Where in backward do the numbers in ds get lost?",
        "The backward pass of sum is a repeat. What has to be repeated: the output of sum, or its gradient?",
    ),
    section=f'{SECTION}, "The backward pass, step by step"',
    points=2,
)


# 8.3.8

BATCH_BUG = '''\
def attention_weights(hs, h):
    """Return a (N, T): how much each state of hs (N, T, H) counts for h (N, H)."""
    s = (hs * h[:, None, :]).sum(axis=2)  # (N, T)
    e = np.exp(s - s.max(axis=0))
    return e / e.sum(axis=0)
'''
_BATCH_FIXED = changed(BATCH_BUG, ("(axis=0)", "(axis=1, keepdims=True)"))


def _attention_weights(hs, h):
    return AttentionWeight().forward(hs, h)


ATTENTION_WEIGHTS = Exercise(
    number="8.3.8",
    title="Bug hunt: sequences that steal from one another",
    name="attention_weights",
    call="a = answer(hs, h)",
    outputs=("a",),
    cases=(
        Case("two sequences", lambda rng: _states(rng, 2, 3, 2)),
        Case("N = T", lambda rng: _states(rng, 3, 3, 2)),
        Case("one sequence", lambda rng: _states(rng, 1, size(rng, 4, 7), 3)),
        Case("large scores, far apart", _states_far_apart),
    ),
    reference=_attention_weights,
    bug=Mistake(
        "The weights of a sequence do not add up to 1, and depend on the other sequences of the batch: "
        "softmax runs over the wrong axis.",
        BATCH_BUG,
    ),
    mistakes=(
        Mistake(
            "Half of it is fixed: the maximum is still taken over the batch, so the scores of one row "
            "are shifted by different amounts.",
            changed(_BATCH_FIXED, ("s.max(axis=1, keepdims=True)", "s.max(axis=0)")),
        ),
        Mistake(
            "The axis is right, but nothing is subtracted anymore: exp overflows for large scores.",
            changed(_BATCH_FIXED, (" - s.max(axis=1, keepdims=True)", "")),
        ),
        Mistake(
            "Half of it is fixed: the sum still runs over the batch.",
            changed(_BATCH_FIXED, ("e.sum(axis=1, keepdims=True)", "e.sum(axis=0)")),
        ),
        Mistake(
            "All weights of the batch together add up to 1. Each row should.",
            changed(BATCH_BUG, ("(axis=0)", "()")),
        ),
        Mistake(
            "The axis is right, but the sums have lost theirs: the rows are divided by one another's sums, "
            "or do not fit at all.",
            changed(BATCH_BUG, ("(axis=0)", "(axis=1)")),
        ),
        Mistake(
            "Softmax runs over the hidden axis. First the sum over the hidden axis makes the scores, "
            "then softmax turns them into weights.",
            changed(
                BATCH_BUG,
                ("(hs * h[:, None, :]).sum(axis=2)", "hs * h[:, None, :]"),
                ("(axis=0)", "(axis=2, keepdims=True)"),
            ),
        ),
    ),
    hints=(
        "Add up the weights of each row, then of each column. Which of them are 1, and which should be?",
        "The scores are (N, T). The weights of one sequence lie along T, axis 1; keepdims=True keeps that axis.",
    ),
    section=f'{SECTION}, "From scores to weights: softmax"',
    points=2,
)


# 8.3.9

LAYER_BUG = '''\
class TemperatureSoftmax:
    """Weights of scores at a temperature: softmax(s / tau), along the last axis."""

    def __init__(self, tau):
        self.params, self.grads = [], []
        self.tau = tau
        self.cache = None

    def forward(self, s):
        x = s / self.tau  # (N, T)
        e = np.exp(x - x.max(axis=1, keepdims=True))
        a = e / e.sum(axis=1, keepdims=True)
        self.cache = a
        return a

    def backward(self, da):
        a = self.cache
        dx = a * da  # (N, T)
        return dx / self.tau
'''
_LAYER_FIXED = changed(LAYER_BUG, ("dx = a * da", "dx = a * (da - (a * da).sum(axis=1, keepdims=True))"))


class _TemperatureSoftmax:
    def __init__(self, tau):
        self.tau, self.softmax = tau, Softmax()

    def forward(self, s):
        return self.softmax.forward(s / self.tau)

    def backward(self, da):
        return self.softmax.backward(da) / self.tau


def _scores_and_da(rng, N, T, tau):
    return {**normal(rng, s=(N, T), da=(N, T)), "tau": tau}


TEMPERATURE_SOFTMAX = Exercise(
    number="8.3.9",
    title="Bug hunt: it learns, then it unlearns",
    name="TemperatureSoftmax",
    call="layer = answer(tau)\na = layer.forward(s)\nds = layer.backward(da)",
    outputs=("a", "ds"),
    cases=(
        Case("two sequences, tau = 1", lambda rng: _scores_and_da(rng, 2, 3, 1.0)),
        Case("N = T, tau = 0.5", lambda rng: _scores_and_da(rng, 3, 3, 0.5)),
        Case("one sequence, tau = 3", lambda rng: _scores_and_da(rng, 1, size(rng, 4, 7), 3.0)),
        Case("colder than ice: tau = 1/1024", lambda rng: {**_ice_cold(rng), **normal(rng, da=(2, 4))}),
    ),
    reference=_TemperatureSoftmax,
    bug=Mistake(
        "A row of ds does not add up to 0. All weights share one sum: what one of them gains, the others lose, "
        "and backward ignores that.",
        LAYER_BUG,
    ),
    mistakes=(
        Mistake(
            "The plain mean is subtracted. The mean to subtract from da is weighted by a.",
            changed(LAYER_BUG, ("a * da  #", "a * (da - da.mean(axis=1, keepdims=True))  #")),
        ),
        Mistake(
            "The rows add up to 0, but all weights share the correction equally: the mean is subtracted after the "
            "product.",
            changed(LAYER_BUG, ("a * da  #", "a * da - (a * da).mean(axis=1, keepdims=True)  #")),
        ),
        Mistake(
            "The sum runs over the batch. What one weight gains is lost by the others of the same sequence.",
            changed(_LAYER_FIXED, ("(a * da).sum(axis=1, keepdims=True)", "(a * da).sum(axis=0)")),
        ),
        Mistake(
            "These are only the slopes on the diagonal of the Jacobian, a * (1 - a).",
            changed(LAYER_BUG, ("a * da  #", "a * (1 - a) * da  #")),
        ),
        Mistake(
            "backward is right now, but forward subtracts nothing anymore: exp overflows for large scores.",
            changed(_LAYER_FIXED, (" - x.max(axis=1, keepdims=True)", "")),
        ),
        Mistake(
            "The temperature is missing in backward: s was divided by tau, so its gradient is divided by tau, too.",
            changed(_LAYER_FIXED, ("return dx / self.tau", "return dx")),
        ),
    ),
    hints=(
        "Give every weight the same da. Moving weight gains nothing then, so ds should be 0. Is it?",
        "Compare backward with your softmax_backward from Exercise 8.3.3. Which part is missing?",
    ),
    section=f'{SECTION}, "Without the table"',
    points=2,
)

EXERCISES = (
    SCORES,
    SOFTMAX,
    SOFTMAX_BACKWARD,
    MASKED_SOFTMAX,
    TEMPERATURE,
    ATTENTION_WEIGHT,
    DOT_SCORE,
    ATTENTION_WEIGHTS,
    TEMPERATURE_SOFTMAX,
)
