"""Exercises 8.18: heads, attention in them and its backward pass, a causal mask, positions, and five bug hunts."""

import math

from common.functions import softmax
from common.gradient_check import numerical_gradient
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.18"


# --- 8.18.1: heads and back again -------------------------------------------------------------------------------


class _HeadsByTurns:
    """Columns are cut into heads as a sum over indices that only renames the axes."""

    def __init__(self, heads):
        self.heads = heads

    def split(self, x):
        N, T, D = x.shape
        return np.einsum("ntmk->nmtk", x.reshape(N, T, self.heads, D // self.heads))

    def merge(self, c):
        N, M, T, K = c.shape
        joined = np.empty((N, T, M * K))
        for m in range(M):
            joined[..., m * K : (m + 1) * K] = c[:, m]
        return joined


_HEADS = """\
class Heads:
    def __init__(self, heads):
        self.heads = heads

    def split(self, x):
        N, T, D = x.shape
        return x.reshape(N, T, self.heads, D // self.heads).swapaxes(1, 2)

    def merge(self, c):
        N, M, T, K = c.shape
        return c.swapaxes(1, 2).reshape(N, T, M * K)
"""


def _heads_inputs(rng, N, T, M, K):
    return normal(rng, x=(N, T, M * K), c=(N, M, T, K)) | {"M": M}


HEADS = Exercise(
    number="8.18.1",
    title="Heads, and back again",
    name="Heads",
    points=2,
    call="heads = answer(M)\nparts = heads.split(x)\njoined = heads.merge(c)",
    outputs=("parts", "joined"),
    cases=(
        Case("one sentence, two heads", lambda rng: _heads_inputs(rng, 1, 3, 2, 2)),
        Case("all sizes are 3", lambda rng: _heads_inputs(rng, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _heads_inputs(rng, 2, size(rng, 5, 8), 4, 3)),
        Case("one head", lambda rng: _heads_inputs(rng, 2, size(rng, 3, 6), 1, 4)),
        Case("heads of one number", lambda rng: _heads_inputs(rng, 2, size(rng, 3, 6), 4, 1)),
    ),
    large=(
        Case(
            "100,000 sentences",
            lambda rng: _heads_inputs(rng, 2, 2, 2, 2),
            "heads = answer(M)\nparts = heads.split(x)[::1000]\njoined = heads.merge(c)[::1000]",
            repeat=dict.fromkeys(("x", "c"), (50_000, 0)),
        ),
    ),
    reference=_HeadsByTurns,
    mistakes=(
        Mistake(
            "split takes the numbers in the order in which they lie, so a head gets all numbers of some words. It "
            "should get some numbers of all words.",
            changed(
                _HEADS,
                (
                    "x.reshape(N, T, self.heads, D // self.heads).swapaxes(1, 2)",
                    "x.reshape(N, self.heads, T, D // self.heads)",
                ),
            ),
        ),
        Mistake(
            "merge takes the numbers in the order in which they lie, head after head. A word should get its numbers "
            "from all heads.",
            changed(_HEADS, ("c.swapaxes(1, 2).reshape(", "c.reshape(")),
        ),
        Mistake(
            "The heads take turns: each gets every M-th column. It should get K columns that are neighbors.",
            changed(
                _HEADS,
                (
                    "T, self.heads, D // self.heads).swapaxes(1, 2)",
                    "T, D // self.heads, self.heads).transpose(0, 3, 1, 2)",
                ),
                ("c.swapaxes(1, 2).reshape(N, T, M * K)", "c.transpose(0, 2, 3, 1).reshape(N, T, M * K)"),
            ),
        ),
        Mistake(
            "The heads are in reverse order. The first columns belong to head 0.",
            changed(
                _HEADS,
                ("D // self.heads).swapaxes(1, 2)", "D // self.heads).swapaxes(1, 2)[:, ::-1]"),
                ("c.swapaxes(1, 2)", "c[:, ::-1].swapaxes(1, 2)"),
            ),
        ),
    ),
    hints=(
        "First cut the columns into M groups of K, without moving anything. Then let two axes change places.",
        "x.reshape(N, T, M, K), then the axes of words and heads change places. merge does the same in reverse order.",
    ),
    section=f'{SECTION}, "All heads at once"',
)

# --- 8.18.2: two halves -----------------------------------------------------------------------------------------


def _look_by_heads(x, Wq, Wk, Wv, heads):
    """Sentence by sentence and head by head, with the columns cut out of the matrices."""
    out = np.empty(x.shape)
    K = x.shape[2] // heads
    for n, words in enumerate(x):
        for m in range(heads):
            columns = slice(m * K, (m + 1) * K)
            s = (words @ Wq[:, columns]) @ (words @ Wk[:, columns]).T / math.sqrt(K)
            out[n, :, columns] = softmax(s) @ words @ Wv[:, columns]
    return out


_LOOK = """\
def self_attention(x, Wq, Wk, Wv, heads):
    N, T, D = x.shape
    K = D // heads
    q, k, v = ((x @ W).reshape(N, T, heads, K).swapaxes(1, 2) for W in (Wq, Wk, Wv))
    a = softmax(q @ k.swapaxes(2, 3) / np.sqrt(K))
    return (a @ v).swapaxes(1, 2).reshape(N, T, D)
"""
_SPLIT, _MERGE = ".reshape(N, T, heads, K).swapaxes(1, 2)", "(a @ v).swapaxes(1, 2).reshape(N, T, D)"
_SPLIT_WRONG, _MERGE_WRONG = ".reshape(N, heads, T, K)", "(a @ v).reshape(N, T, D)"


def _look_inputs(rng, N, T, M, K):
    drawn = normal(rng, x=(N, T, M * K), Wq=(M * K, M * K), Wk=(M * K, M * K), Wv=(M * K, M * K))
    return drawn | {"M": M}


LOOK = Exercise(
    number="8.18.2",
    title="Bug hunt: two halves of a sentence",
    name="self_attention",
    points=2,
    call="out = answer(x, Wq, Wk, Wv, M)",
    outputs=("out",),
    cases=(
        Case("one sentence, two heads", lambda rng: _look_inputs(rng, 1, 4, 2, 2)),
        Case("all sizes are 3", lambda rng: _look_inputs(rng, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _look_inputs(rng, 2, size(rng, 5, 8), 4, 3)),
        Case("one head", lambda rng: _look_inputs(rng, 2, size(rng, 3, 6), 1, 4)),
    ),
    reference=_look_by_heads,
    given={"softmax": softmax},
    bug=Mistake(
        "A head gets all numbers of some words, so it sees a part of the sentence only. It should get some numbers of "
        "all words.",
        changed(_LOOK, (_SPLIT, _SPLIT_WRONG), (_MERGE, _MERGE_WRONG)),
    ),
    mistakes=(
        Mistake(
            "The heads are cut out rightly now, and put side by side wrongly: the contexts of a head lie one after the "
            "other.",
            changed(_LOOK, (_MERGE, _MERGE_WRONG)),
        ),
        Mistake(
            "The contexts are put side by side rightly now, but the heads are still cut out wrongly.",
            changed(_LOOK, (_SPLIT, _SPLIT_WRONG)),
        ),
        Mistake(
            "Now the heads of one word look at each other, and no word at another: heads stand where the words should "
            "be.",
            changed(_LOOK, (_SPLIT, ".reshape(N, T, heads, K)"), (_MERGE, _MERGE_WRONG)),
        ),
        Mistake(
            "A head gets every M-th column now. It should get K columns that are neighbors, as in the matrices that "
            "are given.",
            changed(
                _LOOK,
                (_SPLIT, ".reshape(N, T, K, heads).transpose(0, 3, 1, 2)"),
                (_MERGE, "(a @ v).transpose(0, 2, 3, 1).reshape(N, T, D)"),
            ),
        ),
    ),
    hints=(
        "Take N = 1, T = 4, D = 4 and number the 16 numbers of a query. Which of them does head 0 get?",
        "reshape never changes the order of the numbers in memory: word after word. Heads are cut out of every word, "
        "so two axes have to change places, before and after.",
    ),
    section=f'{SECTION}, "All heads at once"',
)

# --- 8.18.3: attention in heads ---------------------------------------------------------------------------------


def _attend_one_by_one(q, k, v, heads, visible):
    """Every query of every head by itself, over the keys that it may see; all sentences at once."""
    N, T_q, D = q.shape
    K = D // heads
    c, a = np.zeros((N, T_q, D)), np.zeros((N, heads, T_q, k.shape[1]))
    for m, t in np.ndindex(heads, T_q):
        columns, seen = slice(m * K, (m + 1) * K), visible[t]
        s = np.einsum("ni,nui->nu", q[:, t, columns], k[:, seen, columns]) / math.sqrt(K)
        a[:, m, t, seen] = softmax(s)
        c[:, t, columns] = np.einsum("nu,nui->ni", a[:, m, t, seen], v[:, seen, columns])
    return c, a


_ATTEND = """\
def attend(q, k, v, heads, visible):
    (N, T_q, D), T_k = q.shape, k.shape[1]
    K = D // heads
    q = q.reshape(N, T_q, heads, K).swapaxes(1, 2)
    k = k.reshape(N, T_k, heads, K).swapaxes(1, 2)
    v = v.reshape(N, T_k, heads, K).swapaxes(1, 2)
    s = q @ k.swapaxes(2, 3) / np.sqrt(K)
    s = np.where(visible, s, -np.inf)
    a = softmax(s)
    return (a @ v).swapaxes(1, 2).reshape(N, T_q, D), a
"""
_ATTEND_CALL = "c, a = answer(q, k, v, M, visible)"


def _attend_inputs(rng, N, T_q, T_k, M, K):
    """Every query sees about half of the keys, and at least one."""
    visible = rng.random((T_q, T_k)) < 0.5
    visible[np.arange(T_q), rng.integers(0, T_k, T_q)] = True
    visible[0] = np.arange(T_k) == 0  # one that sees a single key
    return normal(rng, q=(N, T_q, M * K), k=(N, T_k, M * K), v=(N, T_k, M * K)) | {"M": M, "visible": visible}


ATTEND = Exercise(
    number="8.18.3",
    title="Attention in heads",
    name="attend",
    points=3,
    call=_ATTEND_CALL,
    outputs=("c", "a"),
    cases=(
        Case("one sentence, two heads", lambda rng: _attend_inputs(rng, 1, 2, 4, 2, 3)),
        Case("as many words as numbers in a head", lambda rng: _attend_inputs(rng, 3, 3, 3, 2, 3)),
        Case("all sizes differ", lambda rng: _attend_inputs(rng, 2, 5, size(rng, 6, 9), 4, 3)),
    ),
    large=(
        Case(
            "100,000 sentences",
            lambda rng: _attend_inputs(rng, 2, 2, 2, 2, 2),
            f"{_ATTEND_CALL}\nc, a = c[::1000], a[::1000]",
            repeat=dict.fromkeys(("q", "k", "v"), (50_000, 0)),
        ),
    ),
    reference=_attend_one_by_one,
    given={"softmax": softmax},
    mistakes=(
        Mistake(
            "The scale is made from D, the size of all heads together. The sum runs over the K numbers of one head.",
            changed(_ATTEND, ("np.sqrt(K)", "np.sqrt(D)")),
        ),
        Mistake(
            "The scores are divided by K. Their variance is K, their deviation its root.",
            changed(_ATTEND, ("np.sqrt(K)", "K")),
        ),
        Mistake(
            "The scores are not scaled.",
            changed(_ATTEND, (" / np.sqrt(K)", "")),
        ),
        Mistake(
            "visible is not used: the queries see all keys.",
            changed(_ATTEND, ("    s = np.where(visible, s, -np.inf)\n", "")),
        ),
        Mistake(
            "What is hidden gets the score 0, which is a score like any other. Its weight has to be 0.",
            changed(_ATTEND, ("-np.inf", "0.0")),
        ),
        Mistake(
            "The weights of what is hidden are set to 0 after the softmax, so the others no longer add up to 1.",
            changed(
                _ATTEND,
                ("    s = np.where(visible, s, -np.inf)\n", ""),
                ("a = softmax(s)", "a = softmax(s) * visible"),
            ),
        ),
        Mistake(
            "The contexts of a head lie one after the other. A word should have what all heads found for it.",
            changed(_ATTEND, ("(a @ v).swapaxes(1, 2).reshape", "(a @ v).reshape")),
        ),
        Mistake(
            "There is only one head: all D numbers make one score.",
            changed(
                _ATTEND,
                ("    K = D // heads\n", "    K = D // heads\n    M, heads, K = heads, 1, D\n"),
                ("T_q, D), a", "T_q, D), np.repeat(a, M, axis=1)"),
            ),
        ),
        Mistake(
            "The softmax runs over the queries. The weights of one query, over all keys, should add up to 1.",
            changed(
                _ATTEND,
                (
                    "a = softmax(s)",
                    "s = np.where(np.isinf(s), -1e9, s)\n    a = softmax(s.swapaxes(2, 3)).swapaxes(2, 3)",
                ),
            ),
        ),
    ),
    hints=(
        "Split q, k and v, and the rest is the formula of chapter 8.12 for arrays with one axis more.",
        "q k^T / sqrt(K), where visible, softmax, times v: shapes (N, M, T_q, T_k), then (N, M, T_q, K), then merged.",
    ),
    section=f'{SECTION}, "All heads at once"',
)

# --- 8.18.4: the more heads, the less they care -----------------------------------------------------------------


def _weights_by_heads(x, Wq, Wk, heads):
    K = x.shape[2] // heads
    a = np.empty((len(x), heads, x.shape[1], x.shape[1]))
    for m in range(heads):
        q, k = (x @ W[:, m * K : (m + 1) * K] for W in (Wq, Wk))
        e = np.exp(np.einsum("nti,nui->ntu", q, k) * K**-0.5)
        a[:, m] = e / e.sum(axis=2, keepdims=True)
    return a


_WEIGHTS = """\
def head_weights(x, Wq, Wk, heads):
    D = x.shape[2]
    q, k = (np.stack(np.split(x @ W, heads, axis=2), axis=1) for W in (Wq, Wk))
    s = q @ k.swapaxes(2, 3) / np.sqrt(D // heads)
    return softmax(s)
"""


def _weights_inputs(rng, N, T, M, K):
    drawn = normal(rng, x=(N, T, M * K), Wq=(M * K, M * K), Wk=(M * K, M * K))
    return {"M": M} | {name: array * (1 if name == "x" else (M * K) ** -0.5) for name, array in drawn.items()}


WEIGHTS = Exercise(
    number="8.18.4",
    title="Bug hunt: the more heads, the less they care",
    name="head_weights",
    points=2,
    call="a = answer(x, Wq, Wk, M)",
    outputs=("a",),
    cases=(
        Case("one sentence, two heads", lambda rng: _weights_inputs(rng, 1, 3, 2, 3)),
        Case("all sizes differ", lambda rng: _weights_inputs(rng, 2, size(rng, 5, 8), 3, 4)),
        Case("many heads", lambda rng: _weights_inputs(rng, 2, 3, 8, 2)),
        Case("one head", lambda rng: _weights_inputs(rng, 2, size(rng, 3, 6), 1, 5)),
    ),
    reference=_weights_by_heads,
    given={"softmax": softmax},
    bug=Mistake(
        "The scale is made from D, the size of all heads together. The sum runs over the K numbers of one head.",
        changed(_WEIGHTS, ("np.sqrt(D // heads)", "np.sqrt(D)")),
    ),
    mistakes=(
        Mistake(
            "The scores are divided by K itself now. Their variance is K, and their deviation its root.",
            changed(_WEIGHTS, ("np.sqrt(D // heads)", "(D // heads)")),
        ),
        Mistake(
            "The scale is gone. Without it, scores grow with the size of a head.",
            changed(_WEIGHTS, (" / np.sqrt(D // heads)", "")),
        ),
        Mistake(
            "The number of heads is in the scale now, and not their size.",
            changed(_WEIGHTS, ("np.sqrt(D // heads)", "np.sqrt(heads)")),
        ),
        Mistake(
            "The scale comes after the softmax now, so the weights no longer add up to 1.",
            changed(_WEIGHTS, (" / np.sqrt(D // heads)", ""), ("softmax(s)", "softmax(s) / np.sqrt(D // heads)")),
        ),
    ),
    hints=(
        "A score is a sum of products. How many are there in one head? What does it have to be divided by?",
        "With one head the code is right. Which size in it should change with the number of heads, and does not?",
    ),
    section=f'{SECTION}, "Why the square root, and of what"',
)

# --- 8.18.5: one vector, three roles ----------------------------------------------------------------------------


class _RolesByNumbers:
    """The formula by sums over all indices; gradients by moving every number a little."""

    def __init__(self, Wq, Wk, Wv):
        self.weights = [Wq.copy(), Wk.copy(), Wv.copy()]

    def forward(self, x):
        self.x = x.copy()
        return self._forward()

    def _forward(self):
        Wq, Wk, Wv = self.weights
        s = np.einsum("nti,ij,kj,nuk->ntu", self.x, Wq, Wk, self.x) / math.sqrt(Wq.shape[1])
        return np.einsum("ntu,nui,ij->ntj", softmax(s), self.x, Wv)

    def backward(self, dc):
        return tuple(numerical_gradient(self._forward, array, dc) for array in (self.x, *self.weights))


_ROLES = """\
class SelfAttention:
    def __init__(self, Wq, Wk, Wv):
        self.weights = Wq, Wk, Wv
        self.scale = Wq.shape[1] ** -0.5

    def forward(self, x):
        q, k, v = (x @ W for W in self.weights)
        a = softmax(self.scale * q @ k.swapaxes(1, 2))
        self.cache = x, q, k, v, a
        return a @ v

    def backward(self, dc):
        Wq, Wk, Wv = self.weights
        x, q, k, v, a = self.cache
        dv = a.swapaxes(1, 2) @ dc
        da = dc @ v.swapaxes(1, 2)
        ds = a * (da - (a * da).sum(axis=2, keepdims=True)) * self.scale
        dq, dk = ds @ k, ds.swapaxes(1, 2) @ q
        dWq, dWk, dWv = (np.einsum("nti,ntj->ij", x, d) for d in (dq, dk, dv))
        dx = dq @ Wq.T + dk @ Wk.T + dv @ Wv.T
        return dx, dWq, dWk, dWv
"""
_DX = "dq @ Wq.T + dk @ Wk.T + dv @ Wv.T"


def _roles_inputs(rng, N, T, D, K):
    return normal(rng, x=(N, T, D), dc=(N, T, K)) | {
        name: rng.standard_normal((D, K)) / np.sqrt(D) for name in ("Wq", "Wk", "Wv")
    }


ROLES = Exercise(
    number="8.18.5",
    title="One vector, three gradients",
    name="SelfAttention",
    points=4,
    call="layer = answer(Wq, Wk, Wv)\nc = layer.forward(x)\ndx, dWq, dWk, dWv = layer.backward(dc)",
    outputs=("c", "dx", "dWq", "dWk", "dWv"),
    cases=(
        Case("one sentence of two words", lambda rng: _roles_inputs(rng, 1, 2, 2, 3)),
        Case("all sizes are 3", lambda rng: _roles_inputs(rng, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _roles_inputs(rng, 2, size(rng, 5, 7), 4, 3)),
    ),
    reference=_RolesByNumbers,
    given={"softmax": softmax},
    mistakes=(
        Mistake(
            "The words were queries as well. That part of dx is missing.",
            changed(_ROLES, (_DX, "dk @ Wk.T + dv @ Wv.T")),
        ),
        Mistake(
            "The words were keys as well. That part of dx is missing.",
            changed(_ROLES, (_DX, "dq @ Wq.T + dv @ Wv.T")),
        ),
        Mistake(
            "The words were values as well. That part of dx is missing.",
            changed(_ROLES, (_DX, "dq @ Wq.T + dk @ Wk.T")),
        ),
        Mistake(
            "The scale is missing in backward. What was multiplied by a number gets a gradient times that number.",
            changed(_ROLES, ("keepdims=True)) * self.scale", "keepdims=True))")),
        ),
        Mistake(
            "In the softmax's rule, the weighted sum of da is missing: what one weight gains, the others lose.",
            changed(_ROLES, ("(da - (a * da).sum(axis=2, keepdims=True))", "da")),
        ),
        Mistake(
            "The gradients of query and key are exchanged: dq is ds k, and dk is ds^T q.",
            changed(_ROLES, ("dq, dk = ds @ k, ds.swapaxes(1, 2) @ q", "dk, dq = ds @ k, ds.swapaxes(1, 2) @ q")),
        ),
        Mistake(
            "dk lacks a transpose: key u gets something from each query t, and ds has the row t and the column u.",
            changed(_ROLES, ("ds.swapaxes(1, 2) @ q", "ds @ q")),
        ),
        Mistake(
            "dv lacks a transpose: value u gets something from each query t, and a has the row t and the column u.",
            changed(_ROLES, ("a.swapaxes(1, 2) @ dc", "a @ dc")),
        ),
        Mistake(
            "The gradients of the matrices are means over the batch. All sentences share a matrix, so they are added.",
            changed(_ROLES, ('"nti,ntj->ij", x, d)', '"nti,ntj->ij", x, d) / len(x)')),
        ),
    ),
    hints=(
        "From the right: the weighted sum gives da and dv; the softmax ds; the score dq and dk. Then three products, "
        "each with x as its input.",
        "dv = a^T dc, da = dc v^T, ds = a (da - sum of a da) times the scale, dq = ds k, dk = ds^T q; dW = x^T d, "
        "added over the batch, for each of the three; dx is the sum of three products with transposed matrices.",
    ),
    section=f'{SECTION}, "Backward: one vector, three roles"',
)

# --- 8.18.6: a triangle -----------------------------------------------------------------------------------------


def _causal_one_by_one(T_q, T_k):
    """Query i stands at place T_k - T_q + i."""
    return np.array([[u <= T_k - T_q + i for u in range(T_k)] for i in range(T_q)])


_CAUSAL = """\
def causal(T_q, T_k):
    return np.tril(np.ones((T_q, T_k), bool), k=T_k - T_q)
"""


def _causal_inputs(T_q, T_k):
    return {"T_q": T_q, "T_k": T_k}


CAUSAL = Exercise(
    number="8.18.6",
    title="A triangle for the last words",
    name="causal",
    points=1,
    call="visible = np.asarray(answer(T_q, T_k)).astype(float)",
    outputs=("visible",),
    cases=(
        Case("as many queries as keys", lambda rng: _causal_inputs(*[size(rng, 3, 7)] * 2)),
        Case("one query, the last word", lambda rng: _causal_inputs(1, size(rng, 3, 7))),
        Case("the last three words", lambda rng: _causal_inputs(3, size(rng, 5, 9))),
    ),
    reference=_causal_one_by_one,
    mistakes=(
        Mistake(
            "The queries are taken for the first words. They are the last ones: the last query sees all keys.",
            changed(_CAUSAL, (", k=T_k - T_q", "")),
        ),
        Mistake(
            "Each word sees the next one, too. That is the word it has to predict.",
            changed(_CAUSAL, ("k=T_k - T_q", "k=T_k - T_q + 1")),
        ),
        Mistake(
            "No word sees itself, and the first one nothing at all.",
            changed(_CAUSAL, ("k=T_k - T_q", "k=T_k - T_q - 1")),
        ),
        Mistake(
            "The triangle is upside down: each word sees what comes after it, and not what was before.",
            changed(_CAUSAL, ("np.tril", "np.triu")),
        ),
        Mistake(
            "The mask is inverted: True marks what may be seen.",
            changed(_CAUSAL, ("return np", "return ~np")),
        ),
    ),
    hints=(
        "At which place of the text does query i stand, if the last query stands at the last key?",
        "Query i stands at T_k - T_q + i and sees the keys up to there. np.tril has an argument for where it ends.",
    ),
    section=f'{SECTION}, "A mask that hides the future"',
)

# --- 8.18.7: what is missing in the sum -------------------------------------------------------------------------


def _past_one_by_one(q, k, v):
    """Word by word, over the keys up to it."""
    c = np.empty((*q.shape[:2], v.shape[2]))
    for n, t in np.ndindex(q.shape[:2]):
        c[n, t] = softmax(k[n, : t + 1] @ q[n, t] / math.sqrt(q.shape[2])) @ v[n, : t + 1]
    return c


_PAST = """\
def past_attention(q, k, v):
    T = q.shape[1]
    past = np.tril(np.ones((T, T), bool))
    s = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2])
    a = softmax(np.where(past, s, -np.inf))
    return a @ v
"""


def _past_inputs(rng, N, T, K, E, later=1.0):
    """later multiplies the keys, so that scores become so large that a softmax has one weight above 0."""
    drawn = normal(rng, q=(N, T, K), k=(N, T, K), v=(N, T, E))
    return drawn | {"k": later * drawn["k"]}


PAST = Exercise(
    number="8.18.7",
    title="Bug hunt: the future has no weight, and yet",
    name="past_attention",
    points=2,
    call="c = answer(q, k, v)",
    outputs=("c",),
    cases=(
        Case("one sentence", lambda rng: _past_inputs(rng, 1, 3, 2, 2)),
        Case("all sizes are 3", lambda rng: _past_inputs(rng, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _past_inputs(rng, 2, size(rng, 5, 8), 3, 4)),
        Case("large scores", lambda rng: _past_inputs(rng, 3, 6, 4, 3, later=1e4)),
    ),
    reference=_past_one_by_one,
    given={"softmax": softmax},
    bug=Mistake(
        "The mask comes after the softmax: what the future would have got is missing, and the rest adds up to less "
        "than 1.",
        changed(_PAST, ("softmax(np.where(past, s, -np.inf))", "softmax(s) * past")),
    ),
    mistakes=(
        Mistake(
            "The weights are divided by their sum now. Where the future had all of the weight, that is 0 divided by 0.",
            changed(
                _PAST,
                (
                    "a = softmax(np.where(past, s, -np.inf))",
                    "a = softmax(s) * past\n    with np.errstate(invalid='ignore'):\n"
                    "        a = a / a.sum(axis=2, keepdims=True)",
                ),
            ),
        ),
        Mistake(
            "The mask comes before the softmax now, but as a factor: a score of 0 has a weight like any other.",
            changed(_PAST, ("np.where(past, s, -np.inf)", "s * past")),
        ),
        Mistake(
            "The mask is inverted now: only the future is seen.",
            changed(_PAST, ("np.where(past, s, -np.inf)", "np.where(past, -1e9, s)")),
        ),
        Mistake(
            "The mask is gone, and every word sees the future.",
            changed(_PAST, ("np.where(past, s, -np.inf)", "s")),
        ),
    ),
    hints=(
        "Word 0 sees itself alone. What should its weight be, whatever the scores are?",
        "A softmax divides by a sum over all keys. Whatever must not count in that sum has to be out of it before.",
    ),
    section=f'{SECTION}, "A mask that hides the future"',
)

# --- 8.18.8: a good student -------------------------------------------------------------------------------------

_READ = """\
def read_so_far(x, Wq, Wk, Wv):
    T = x.shape[1]
    q, k, v = x @ Wq, x @ Wk, x @ Wv
    hidden = np.triu(np.ones((T, T), bool), k=1)
    s = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2])
    s[:, hidden] = -np.inf
    return softmax(s) @ v
"""


def _read_word_by_word(x, Wq, Wk, Wv):
    return _past_one_by_one(x @ Wq, x @ Wk, x @ Wv)


def _read_inputs(rng, N, T, D, K):
    return normal(rng, x=(N, T, D)) | {name: rng.standard_normal((D, K)) / np.sqrt(D) for name in ("Wq", "Wk", "Wv")}


READ = Exercise(
    number="8.18.8",
    title="Bug hunt: brilliant in training",
    name="read_so_far",
    points=2,
    call="c = answer(x, Wq, Wk, Wv)",
    outputs=("c",),
    cases=(
        Case("one sentence", lambda rng: _read_inputs(rng, 1, 3, 2, 2)),
        Case("all sizes are 3", lambda rng: _read_inputs(rng, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _read_inputs(rng, 2, size(rng, 5, 8), 3, 4)),
        Case("a single word", lambda rng: _read_inputs(rng, 2, 1, 3, 2)),
    ),
    reference=_read_word_by_word,
    given={"softmax": softmax},
    bug=Mistake(
        "Each word sees the next one, too. That is the word it has to predict.",
        changed(_READ, ("k=1)", "k=2)")),
    ),
    mistakes=(
        Mistake(
            "No word sees itself now. Every word may, and the first one has nothing else to look at.",
            changed(_READ, ("k=1)", "k=0)")),
        ),
        Mistake(
            "Now the past is hidden and the future is seen.",
            changed(_READ, ("np.triu(np.ones((T, T), bool), k=1)", "np.tril(np.ones((T, T), bool), k=-1)")),
        ),
        Mistake(
            "Each word sees itself and the one before, and what was earlier is hidden as well.",
            changed(
                _READ,
                ("bool), k=1)", "bool), k=1) | np.tril(np.ones((T, T), bool), k=-2)"),
            ),
        ),
        Mistake(
            "Nothing is hidden anymore.",
            changed(_READ, ("k=1)", "k=T)")),
        ),
    ),
    hints=(
        "Write down hidden for three words, with True and False. Which of the nine should be True?",
        "np.triu(..., k=0) has the diagonal, where a word meets itself. What may a word see, and what comes right "
        "after?",
    ),
    section=f'{SECTION}, "A mask that hides the future"',
)

# --- 8.18.9: hands of clocks ------------------------------------------------------------------------------------


def _waves_one_by_one(T, D, start):
    P = np.empty((T, D))
    for t, i in np.ndindex(T, D // 2):
        angle = (start + t) / math.pow(10000.0, 2 * i / D)
        P[t, 2 * i], P[t, 2 * i + 1] = math.sin(angle), math.cos(angle)
    return P


_WAVES = """\
def positions(T, D, start):
    t = np.arange(start, start + T)[:, None]
    angles = t * 10000.0 ** (-np.arange(0, D, 2) / D)
    P = np.empty((T, D))
    P[:, 0::2], P[:, 1::2] = np.sin(angles), np.cos(angles)
    return P
"""


def _waves_inputs(T, D, start):
    return {"T": T, "D": D, "start": start}


WAVES = Exercise(
    number="8.18.9",
    title="Hands of clocks",
    name="positions",
    points=2,
    call="P = answer(T, D, start)",
    outputs=("P",),
    cases=(
        Case("from the start", lambda rng: _waves_inputs(size(rng, 3, 6), 6, 0)),
        Case("one later step", lambda rng: _waves_inputs(1, 4, size(rng, 3, 9))),
        Case("many waves", lambda rng: _waves_inputs(size(rng, 5, 9), 16, size(rng, 100, 200))),
        Case("a single pair", lambda rng: _waves_inputs(size(rng, 3, 6), 2, 1)),
    ),
    reference=_waves_one_by_one,
    mistakes=(
        Mistake(
            "The exponent counts 2i twice, so the hands become slow too soon.",
            changed(_WAVES, ("(-np.arange(0, D, 2) / D)", "(-2 * np.arange(0, D, 2) / D)")),
        ),
        Mistake(
            "The exponent has i where it should have 2i, so the last hands are too fast.",
            changed(_WAVES, ("np.arange(0, D, 2) / D", "np.arange(D // 2) / D")),
        ),
        Mistake(
            "All sines come first, then all cosines. They take turns: number 2i is a sine, the next one its cosine.",
            changed(_WAVES, ("P[:, 0::2], P[:, 1::2]", "P[:, : D // 2], P[:, D // 2 :]")),
        ),
        Mistake(
            "Sine and cosine are exchanged. At position 0 the first number is 0 and the second 1.",
            changed(_WAVES, ("np.sin(angles), np.cos(angles)", "np.cos(angles), np.sin(angles)")),
        ),
        Mistake(
            "start is not used: a text that goes on begins at position 0 again.",
            changed(_WAVES, ("np.arange(start, start + T)", "np.arange(T)")),
        ),
        Mistake(
            "Each number has a frequency of its own. A sine and its cosine share one, or they are not a hand of a "
            "clock.",
            "def positions(T, D, start):\n    t = np.arange(start, start + T)[:, None]\n"
            "    angles = t * 10000.0 ** (-np.arange(D) / D)\n"
            "    return np.where(np.arange(D) % 2, np.cos(angles), np.sin(angles))\n",
        ),
        Mistake(
            "The positions count from 1. The first one is 0.",
            changed(_WAVES, ("np.arange(start, start + T)", "1 + np.arange(start, start + T)")),
        ),
    ),
    hints=(
        "One angle for each position and each pair: an array (T, D / 2). Its sines go to the even columns.",
        "np.arange(0, D, 2) holds 2i for all pairs. Positions as a column times frequencies as a row makes all angles.",
    ),
    section=f'{SECTION}, "What order means to a model that has none"',
)

# --- 8.18.10: dogs chase cats -----------------------------------------------------------------------------------


def _placed_one_by_one(x, P):
    out = np.empty(x.shape)
    for n, t in np.ndindex(x.shape[:2]):
        out[n, t] = x[n, t] + P[t]
    return out


_PLACED = """\
def with_positions(x, P):
    steps = x.shape[1]
    return x + P[:steps]
"""


def _placed_inputs(rng, N, T, D, T_max):
    return normal(rng, x=(N, T, D), P=(T_max, D))


PLACED = Exercise(
    number="8.18.10",
    title="Bug hunt: who chases whom",
    name="with_positions",
    points=2,
    call="out = answer(x, P)",
    outputs=("out",),
    cases=(
        Case("two sentences of three words", lambda rng: _placed_inputs(rng, 2, 3, 2, 5)),
        Case("all sizes are 3", lambda rng: _placed_inputs(rng, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _placed_inputs(rng, 2, size(rng, 4, 7), 3, 9)),
        Case("more sentences than words", lambda rng: _placed_inputs(rng, 6, 2, size(rng, 3, 6), 7)),
    ),
    reference=_placed_one_by_one,
    bug=Mistake(
        "All words of a sentence get the same position, and each sentence another one: the position is that in the "
        "batch.",
        changed(_PLACED, ("x.shape[1]", "len(x)"), ("P[:steps]", "P[:steps, None]")),
    ),
    mistakes=(
        Mistake(
            "Every word gets position 0. All words are moved in the same way, so nothing tells them apart.",
            changed(_PLACED, ("P[:steps]", "P[:1]")),
        ),
        Mistake(
            "The positions count from 1. The first word has position 0.",
            changed(_PLACED, ("P[:steps]", "np.roll(P, -1, axis=0)[:steps]")),
        ),
        Mistake(
            "The positions run from the end: the first word gets the last one.",
            changed(_PLACED, ("P[:steps]", "P[:steps][::-1]")),
        ),
        Mistake(
            "No position is added at all.",
            changed(_PLACED, ("x + P[:steps]", "x + 0 * P[:steps]")),
        ),
    ),
    hints=(
        "x has three axes. Which of them counts the words? Which one does len(x) count?",
        "P[:T] has the shape (T, D), and x (N, T, D): broadcasting lines them up from the right, with no new axis.",
    ),
    section=f'{SECTION}, "What order means to a model that has none"',
)

EXERCISES = (HEADS, LOOK, ATTEND, WEIGHTS, ROLES, CAUSAL, PAST, READ, WAVES, PLACED)
