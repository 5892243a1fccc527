"""Exercises 8.19: layer norm, a step with a cache, and six bug hunts in a Transformer."""

from common.functions import softmax
from common.gradient_check import numerical_gradient
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.19"


# --- 8.19.1: layer norm -----------------------------------------------------------------------------------------


def _norm_by_words(x, gamma, beta, eps):
    """Every word by itself."""
    y = np.empty(x.shape)
    for n, t in np.ndindex(x.shape[:2]):
        row = x[n, t]
        mean = sum(row) / len(row)
        variance = sum((row - mean) ** 2) / len(row)
        y[n, t] = gamma * (row - mean) / np.sqrt(variance + eps) + beta
    return y


class _NormByNumbers:
    """Every word by itself; gradients by moving every number a little."""

    def __init__(self, gamma, beta, eps):
        self.gamma, self.beta, self.eps = gamma.copy(), beta.copy(), eps

    def forward(self, x):
        self.x = x.copy()
        return self._forward()

    def _forward(self):
        return _norm_by_words(self.x, self.gamma, self.beta, self.eps)

    def backward(self, dy):
        return tuple(numerical_gradient(self._forward, array, dy) for array in (self.x, self.gamma, self.beta))


_NORM = """\
class Norm:
    def __init__(self, gamma, beta, eps):
        self.gamma, self.beta, self.eps = gamma, beta, eps

    def forward(self, x):
        deviation = x - x.mean(axis=-1, keepdims=True)
        variance = (deviation**2).mean(axis=-1, keepdims=True)
        self.scale = 1 / np.sqrt(variance + self.eps)  # (N, T, 1)
        self.x_hat = deviation * self.scale
        return self.gamma * self.x_hat + self.beta

    def backward(self, dy):
        dgamma, dbeta = (dy * self.x_hat).sum(axis=(0, 1)), dy.sum(axis=(0, 1))
        g = self.gamma * dy
        along = (g * self.x_hat).mean(axis=-1, keepdims=True)
        dx = self.scale * (g - g.mean(axis=-1, keepdims=True) - self.x_hat * along)
        return dx, dgamma, dbeta
"""
_NORM_CALL = "norm = answer(gamma, beta, eps)\ny = norm.forward(x)\ndx, dgamma, dbeta = norm.backward(dy)"
_NORM_OUTPUTS = ("y", "dx", "dgamma", "dbeta")


def _norm_inputs(rng, N, T, D):
    """eps is large enough to be seen, and gamma is not at its first value."""
    drawn = normal(rng, x=(N, T, D), gamma=(D,), beta=(D,), dy=(N, T, D))
    return drawn | {"eps": float(rng.uniform(0.1, 0.5))}


_NORM_CASES = (
    Case("one word", lambda rng: _norm_inputs(rng, 1, 1, 4)),
    Case("N = T = D", lambda rng: _norm_inputs(rng, 3, 3, 3)),
    Case("all sizes differ", lambda rng: _norm_inputs(rng, 2, size(rng, 3, 5), 6)),
)

NORM = Exercise(
    number="8.19.1",
    title="Layer norm",
    name="Norm",
    points=3,
    call=_NORM_CALL,
    outputs=_NORM_OUTPUTS,
    cases=_NORM_CASES,
    reference=_NormByNumbers,
    mistakes=(
        Mistake(
            "Mean and variance are treated as fixed numbers in backward. Both depend on all numbers of the row.",
            changed(_NORM, ("(g - g.mean(axis=-1, keepdims=True) - self.x_hat * along)", "g")),
        ),
        Mistake(
            "The gradient of the mean is missing: dx should have no part that would move all numbers alike.",
            changed(_NORM, (" - g.mean(axis=-1, keepdims=True)", "")),
        ),
        Mistake(
            "The gradient of the variance is missing: dx should have no part that would stretch the deviations.",
            changed(_NORM, (" - self.x_hat * along", "")),
        ),
        Mistake(
            "gamma is missing in dx: what arrives at x_hat is gamma times dy.",
            changed(_NORM, ("g = self.gamma * dy", "g = dy")),
        ),
        Mistake(
            "gamma comes after the two means in backward. It belongs before them: they are means of gamma times dy.",
            changed(
                _NORM,
                ("g = self.gamma * dy", "g = dy"),
                ("self.scale * (g", "self.gamma * self.scale * (g"),
            ),
        ),
        Mistake(
            "dx is not divided by the standard deviation.",
            changed(_NORM, ("dx = self.scale * (", "dx = 1.0 * (")),
        ),
        Mistake(
            "eps is added to the standard deviation. It belongs to the variance, inside the root.",
            changed(_NORM, ("1 / np.sqrt(variance + self.eps)", "1 / (np.sqrt(variance) + self.eps)")),
        ),
        Mistake(
            "eps is left out: a row of equal numbers would be divided by 0.",
            changed(_NORM, ("variance + self.eps", "variance")),
        ),
        Mistake(
            "The variance is divided by D - 1. Layer norm divides by D.",
            changed(
                _NORM,
                (
                    "(deviation**2).mean(axis=-1, keepdims=True)",
                    "(deviation**2).sum(axis=-1, keepdims=True) / max(x.shape[-1] - 1, 1)",
                ),
            ),
        ),
        Mistake(
            "dgamma is that of beta. gamma was multiplied by x_hat.",
            changed(_NORM, ("(dy * self.x_hat).sum", "dy.sum")),
        ),
        Mistake(
            "dgamma and dbeta are means. gamma and beta served all words, so their gradients are sums.",
            changed(
                _NORM,
                (
                    "(dy * self.x_hat).sum(axis=(0, 1)), dy.sum(axis",
                    "(dy * self.x_hat).mean(axis=(0, 1)), dy.mean(axis",
                ),
            ),
        ),
    ),
    hints=(
        "Keep x_hat and 1 / sqrt(variance + eps), with keepdims. What does x_hat do if the whole row is moved, or its "
        "deviations stretched?",
        "With g = gamma * dy: dx = scale * (g - mean(g) - x_hat * mean(g * x_hat)), all means over the last axis. "
        "dgamma is the sum of dy * x_hat over all words, dbeta that of dy.",
    ),
    section=f'{SECTION}, "Layer norm"',
)

# --- 8.19.2: the wrong axis -------------------------------------------------------------------------------------

_AXIS = """\
def norm_of_words(x, gamma, beta):
    mean = x.mean(axis=2, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=2, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta
"""


def _axis_inputs(rng, N, T, D, spread=1.0):
    """With a spread of 0.003 the variance is about as large as 1e-5, which is added to it."""
    drawn = normal(rng, x=(N, T, D), gamma=(D,), beta=(D,))
    return drawn | {"x": spread * drawn["x"]}


AXIS = Exercise(
    number="8.19.2",
    title="Bug hunt: a norm that knows the future",
    name="norm_of_words",
    points=1,
    call="y = answer(x, gamma, beta)",
    outputs=("y",),
    cases=(
        Case("one sentence of two words", lambda rng: _axis_inputs(rng, 1, 2, 3)),
        Case("N = T = D", lambda rng: _axis_inputs(rng, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _axis_inputs(rng, 2, size(rng, 3, 6), 7)),
        Case("numbers that are nearly equal", lambda rng: _axis_inputs(rng, 2, 4, 3, spread=0.003)),
    ),
    reference=lambda x, gamma, beta: _norm_by_words(x, gamma, beta, 1e-5),
    bug=Mistake(
        "The means are taken over the words of a sentence. They belong to the numbers of one word.",
        changed(_AXIS, ("axis=2", "axis=1")),
    ),
    mistakes=(
        Mistake(
            "The variance is still one of the words of a sentence.",
            changed(_AXIS, ("((x - mean) ** 2).mean(axis=2", "((x - mean) ** 2).mean(axis=1")),
        ),
        Mistake(
            "The mean is still one of the words of a sentence.",
            changed(_AXIS, ("x.mean(axis=2", "x.mean(axis=1")),
        ),
        Mistake(
            "The means are taken over the sentence as a whole, its words and their numbers.",
            changed(_AXIS, ("axis=2", "axis=(1, 2)")),
        ),
        Mistake(
            "The means are taken over the batch now, so a sentence depends on its neighbors.",
            changed(_AXIS, ("axis=2", "axis=0")),
        ),
    ),
    hints=(
        "x is (N, T, D). Along which of the three axes do the numbers of one word lie?",
        "Nothing of another word, and nothing of another sentence, may be in a mean.",
    ),
    section=f'{SECTION}, "Layer norm"',
)

# --- 8.19.3: right while gamma is 1 -----------------------------------------------------------------------------

_TRAINED = changed(_NORM, ("class Norm:", "class TrainedNorm:"))
_GAMMA_OUTSIDE = changed(
    _TRAINED,
    ("        g = self.gamma * dy\n", ""),
    ("(g * self.x_hat)", "(dy * self.x_hat)"),
    ("self.scale * (g - g.mean", "self.gamma * self.scale * (dy - dy.mean"),
)

GAMMA = Exercise(
    number="8.19.3",
    title="Bug hunt: right on the first day",
    name="TrainedNorm",
    points=2,
    call=_NORM_CALL,
    outputs=_NORM_OUTPUTS,
    cases=_NORM_CASES,
    reference=_NormByNumbers,
    bug=Mistake(
        "The two means that backward takes away are made without gamma, and gamma is multiplied in at the end. It "
        "differs from column to column, so the order matters.",
        _GAMMA_OUTSIDE,
    ),
    mistakes=(
        Mistake(
            "gamma is in the first mean now, but the second one, with x_hat, is still made without it.",
            changed(_TRAINED, ("(g * self.x_hat).mean", "(dy * self.x_hat).mean")),
        ),
        Mistake(
            "gamma is in the second mean now, but the first one is still made without it.",
            changed(_TRAINED, ("g - g.mean(", "g - dy.mean(")),
        ),
        Mistake(
            "Now gamma counts twice: it is in the means, and still multiplied in at the end.",
            changed(_TRAINED, ("dx = self.scale", "dx = self.gamma * self.scale")),
        ),
        Mistake(
            "Now gamma is not in dx at all.",
            changed(_TRAINED, ("g = self.gamma * dy", "g = dy")),
        ),
        Mistake(
            "dgamma has a gamma in it now. It was right: the derivative of gamma x_hat with respect to gamma is x_hat.",
            changed(_TRAINED, ("(dy * self.x_hat).sum", "(self.gamma * dy * self.x_hat).sum")),
        ),
    ),
    hints=(
        "dgamma and dbeta are right. What arrives at x_hat, if dy arrives at gamma * x_hat + beta?",
        "Everything that follows in backward speaks of x_hat's gradient, g = gamma * dy, the two means as well.",
    ),
    section=f'{SECTION}, "Backward"',
)

# --- 8.19.4: a residual around the wrong thing ------------------------------------------------------------------


def _norm_of_rows(x):
    """Layer norm without gamma and beta, x (N, D)."""
    deviation = x - x.mean(axis=1, keepdims=True)
    return deviation / np.sqrt((deviation**2).mean(axis=1, keepdims=True) + 1e-5)


def _norm_backward(dy, x):
    """The gradient of x, given that of norm(x)."""
    x_hat = _norm_of_rows(x)
    g = dy - dy.mean(axis=1, keepdims=True) - x_hat * (dy * x_hat).mean(axis=1, keepdims=True)
    return g / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)


class _BlockByNumbers:
    """The block's forward, and gradients by moving every number a little."""

    def __init__(self, W):
        self.W = W.copy()

    def forward(self, x):
        self.x = x.copy()
        return self._forward()

    def _forward(self):
        return np.array([row + np.tanh(self.W.T @ _norm_of_rows(row[None])[0]) for row in self.x])

    def backward(self, dy):
        return tuple(numerical_gradient(self._forward, array, dy) for array in (self.x, self.W))


_BLOCK = """\
class Block:
    def __init__(self, W):
        self.W = W

    def forward(self, x):
        h = norm(x)
        f = np.tanh(h @ self.W)
        self.cache = x, h, f
        return x + f

    def backward(self, dy):
        x, h, f = self.cache
        dz = dy * (1 - f**2)
        dW = h.T @ dz
        return dy + norm_backward(dz @ self.W.T, x), dW
"""
_AROUND_NORM = (
    ("return x + f", "return h + f"),
    ("dy + norm_backward(dz @ self.W.T, x)", "norm_backward(dy + dz @ self.W.T, x)"),
)


def _block_inputs(rng, N, D):
    return {"W": rng.standard_normal((D, D)) / np.sqrt(D)} | normal(rng, x=(N, D), dy=(N, D))


BLOCK = Exercise(
    number="8.19.4",
    title="Bug hunt: around the wrong thing",
    name="Block",
    points=2,
    call="block = answer(W)\ny = block.forward(x)\ndx, dW = block.backward(dy)",
    outputs=("y", "dx", "dW"),
    cases=(
        Case("one word", lambda rng: _block_inputs(rng, 1, 4)),
        Case("N = D", lambda rng: _block_inputs(rng, 4, 4)),
        Case("N and D differ", lambda rng: _block_inputs(rng, 2, size(rng, 5, 8))),
    ),
    reference=_BlockByNumbers,
    given={"norm": _norm_of_rows, "norm_backward": _norm_backward},
    bug=Mistake(
        "The sum goes around the part alone: what is added is the norm of x, and x itself is lost.",
        changed(_BLOCK, *_AROUND_NORM),
    ),
    mistakes=(
        Mistake(
            "forward is right now, but backward still sends what goes past the part through the norm.",
            changed(_BLOCK, _AROUND_NORM[1]),
        ),
        Mistake(
            "backward is right now, but forward still adds the norm of x.",
            changed(_BLOCK, _AROUND_NORM[0]),
        ),
        Mistake(
            "Now the norm stands after the sum: that is post-norm, whose line past the parts is not free.",
            changed(
                _BLOCK,
                (
                    "        h = norm(x)\n        f = np.tanh(h @ self.W)\n",
                    "        h = x\n        f = np.tanh(h @ self.W)\n",
                ),
                ("return x + f", "return norm(x + f)"),
                (
                    "        dz = dy",
                    "        dy = norm_backward(dy, x + f)\n        dz = dy",
                ),
                ("norm_backward(dz @ self.W.T, x)", "dz @ self.W.T"),
            ),
        ),
        Mistake(
            "Now nothing is added at all: y is only what the part returns.",
            changed(_BLOCK, ("return x + f", "return f"), ("dy + norm_backward", "norm_backward")),
        ),
        Mistake(
            "The gradient that goes past the part is lost in backward.",
            changed(_BLOCK, ("dy + norm_backward", "norm_backward")),
        ),
        Mistake(
            "Now the part reads x without the norm.",
            changed(
                _BLOCK,
                ("h = norm(x)", "h = x"),
                ("norm_backward(dz @ self.W.T, x)", "dz @ self.W.T"),
            ),
        ),
    ),
    hints=(
        "A part that returns 0 should change nothing. What does this block return then?",
        "y = x + part(norm(x)). Backward, dy itself goes past the part and the norm; only the part's gradient goes "
        "through norm_backward.",
    ),
    section=f'{SECTION}, "A sum around every part"',
)

# --- 8.19.5: the shift ------------------------------------------------------------------------------------------


def _pair_by_place(words):
    """Place by place: what has been said before it, and what comes."""
    N, T = words.shape
    reads, writes = np.zeros((N, T + 1), int), np.zeros((N, T + 1), int)
    for n, row in enumerate(words):
        said = [int(word) for word in row if word]
        for t in range(len(said) + 1):
            reads[n, t] = 1 if t == 0 else said[t - 1]
            writes[n, t] = said[t] if t < len(said) else 2
        if len(said) < T:
            reads[n, len(said) + 1] = 2  # the end mark, after which nothing is asked
    return reads, writes


_PAIR = """\
def training_pair(words):
    N, T = words.shape
    ts = np.zeros((N, T + 2), int)
    ts[:, 0] = 1
    ts[:, 1:-1] = words
    ts[np.arange(N), (words != 0).sum(axis=1) + 1] = 2
    reads, writes = ts[:, :-1], ts[:, 1:]
    return reads, writes
"""
_SHIFT = "ts[:, :-1], ts[:, 1:]"


def _padded_words(rng, lengths, T):
    mask = np.arange(T) < np.array(lengths)[:, None]
    return {"words": np.where(mask, rng.integers(3, 20, mask.shape), 0)}


PAIR = Exercise(
    number="8.19.5",
    title="Bug hunt: it has seen the word",
    name="training_pair",
    points=2,
    call="reads, writes = (np.arange(100)[ids] for ids in answer(words))",
    outputs=("reads", "writes"),
    cases=(
        Case("one sentence", lambda rng: _padded_words(rng, [3], 3)),
        Case("two sentences of the same length", lambda rng: _padded_words(rng, [4, 4], 4)),
        Case(
            "sentences of different lengths",
            lambda rng: _padded_words(rng, rng.permutation([2, 3, size(rng, 5, 7)]), 6),
        ),
    ),
    reference=_pair_by_place,
    bug=Mistake(
        "The shift goes the other way: at each place the decoder is to write what it has read one place before.",
        changed(_PAIR, (_SHIFT, "ts[:, 1:], ts[:, :-1]")),
    ),
    mistakes=(
        Mistake(
            "There is no shift now: at each place the decoder is to write the very word that it reads.",
            changed(_PAIR, (_SHIFT, "ts[:, :-1], ts[:, :-1]")),
        ),
        Mistake(
            "There is no shift now, and no start mark: the decoder reads the word that it is to write.",
            changed(_PAIR, (_SHIFT, "ts[:, 1:], ts[:, 1:]")),
        ),
        Mistake(
            "The shift is one too far: the word that comes next is never asked for.",
            changed(_PAIR, (_SHIFT, "ts[:, :-1], np.concatenate((ts[:, 2:], ts[:, -1:] * 0), axis=1)")),
        ),
        Mistake(
            "The last column is gone, and with it the end mark of the longest sentence.",
            changed(_PAIR, (_SHIFT, "ts[:, :-2], ts[:, 1:-1]")),
        ),
        Mistake(
            "All end marks stand in the last column now. Each belongs behind the last word of its sentence.",
            changed(_PAIR, ("ts[np.arange(N), (words != 0).sum(axis=1) + 1] = 2", "ts[:, -1] = 2")),
        ),
    ),
    hints=(
        "Write down, for the sentence 5 6 with its marks, what is read and what is to be written at each place. What "
        "has the causal mask let the decoder see at that place?",
        "The decoder reads everything but the last column, and is to write everything but the first.",
    ),
    section=f'{SECTION}, "The shift by one"',
)

# --- 8.19.6: one word too many ----------------------------------------------------------------------------------


def _loss_by_words(log_p, ts):
    """The words that are to be written, in one list."""
    losses = [-log_p[n, t, ts[n, t + 1]] for n, t in np.ndindex(log_p.shape[:2]) if ts[n, t + 1] != 0]
    return sum(losses) / len(losses), len(losses)


_COUNTED = """\
def loss_and_count(log_p, ts):
    writes = ts[:, 1:]
    N, T = writes.shape
    counts = writes != 0  # 0 is padding
    losses = -log_p[np.arange(N)[:, None], np.arange(T), writes]
    return losses[counts].mean(), counts.sum()
"""


def _answers(rng, lengths, T, V):
    """Answers of these lengths with a start mark before them and an end mark behind, T + 1 places, and log p."""
    place = np.arange(T + 1)
    lengths = np.array(lengths)[:, None]
    ts = np.where(place <= lengths, rng.integers(3, V, (len(lengths), T + 1)), 0)
    ts[:, 0] = 1
    ts[place == lengths + 1] = 2
    logits = 2 * rng.standard_normal((len(lengths), T, V))
    return {"log_p": np.log(softmax(logits)), "ts": ts}


COUNTED = Exercise(
    number="8.19.6",
    title="Bug hunt: what comes after the end",
    name="loss_and_count",
    points=2,
    call="loss, count = answer(log_p, ts)",
    outputs=("loss", "count"),
    cases=(
        Case("two answers of the same length", lambda rng: _answers(rng, [2, 2], 3, 5)),
        Case("one answer with padding", lambda rng: _answers(rng, [2], 5, 5)),
        Case("N = T", lambda rng: _answers(rng, rng.permutation([1, 2, 2]), 3, 6)),
        Case("all sizes differ", lambda rng: _answers(rng, rng.permutation([1, 3]), size(rng, 4, 7), 9)),
    ),
    reference=_loss_by_words,
    bug=Mistake(
        "A place counts if a word is read there. It should count if there is a word to write: after the end mark there "
        "is none.",
        changed(_COUNTED, ("counts = writes != 0", "counts = ts[:, :-1] != 0")),
    ),
    mistakes=(
        Mistake(
            "Now all places count, whatever is to be written there.",
            changed(_COUNTED, ("counts = writes != 0", "counts = writes >= 0")),
        ),
        Mistake(
            "Now the end mark does not count where it is to be written. The model has to learn when to stop.",
            changed(_COUNTED, ("counts = writes != 0", "counts = (writes != 0) & (writes != 2)")),
        ),
        Mistake(
            "The sum is over the right places now, but it is divided by the number of places where a word is read.",
            changed(_COUNTED, ("losses[counts].mean()", "losses[counts].sum() / (ts[:, :-1] != 0).sum()")),
        ),
        Mistake(
            "The sum is over the right places now, but it is divided by the number of all places.",
            changed(_COUNTED, ("losses[counts].mean()", "losses[counts].sum() / counts.size")),
        ),
        Mistake(
            "The loss is right now, but count is still the number of places where a word is read.",
            changed(_COUNTED, ("counts.sum()", "(ts[:, :-1] != 0).sum()")),
        ),
        Mistake(
            "It is the loss of the words that are read. The decoder is asked for those that come next.",
            changed(_COUNTED, ("np.arange(T), writes]", "np.arange(T), ts[:, :-1]]")),
        ),
    ),
    hints=(
        "How many words has an answer of two words and its end mark to write? And how many does it read, in a row with "
        "padding behind it?",
        "The end mark is read in every row but the longest, and nothing is to be written there. Ask what is to be "
        "written whether it is padding.",
    ),
    section=f'{SECTION}, "The whole model in eleven lines"',
)

# --- 8.19.7: one step with a cache ------------------------------------------------------------------------------


def _step_by_rows(x, K, V, Wq, Wk, Wv):
    """Sentence by sentence, key by key."""
    cs, keys, values = [], [], []
    for word, k, v in zip(x, K, V, strict=True):
        k, v = np.array([*k, word @ Wk]), np.array([*v, word @ Wv])
        e = np.exp([(word @ Wq) @ key / len(key) ** 0.5 for key in k])
        cs.append(sum(weight * value for weight, value in zip(e / e.sum(), v, strict=True)))
        keys.append(k)
        values.append(v)
    return np.array(cs), np.array(keys), np.array(values)


_CACHED = """\
def step(x, K, V, Wq, Wk, Wv):
    q, k, v = x @ Wq, x @ Wk, x @ Wv  # (N, A)
    K = np.concatenate((K, k[:, None]), axis=1)  # (N, t + 1, A)
    V = np.concatenate((V, v[:, None]), axis=1)
    s = (K * q[:, None]).sum(axis=2) / np.sqrt(K.shape[2])
    a = softmax(s)
    return (a[:, :, None] * V).sum(axis=1), K, V
"""
_STEPS = """\
keys, values = np.zeros((len(xs), 0, Wk.shape[1])), np.zeros((len(xs), 0, Wv.shape[1]))
found, states = [], []
for t in range(xs.shape[1]):
    c, keys, values = answer(xs[:, t], keys, values, Wq, Wk, Wv)
    found.append(c)
    states.append(keys)
cs, K, V, first = np.stack(found, axis=1), keys, values, states[0]
"""


def _step_inputs(rng, N, T, D, A, B):
    """A is the size of a key, B that of a value."""
    drawn = normal(rng, xs=(N, T, D), Wq=(D, A), Wk=(D, A), Wv=(D, B))
    return drawn | {"Wq": drawn["Wq"] / np.sqrt(D), "Wk": drawn["Wk"] / np.sqrt(D)}


CACHED = Exercise(
    number="8.19.7",
    title="One step, and nothing twice",
    name="step",
    points=3,
    call=_STEPS,
    outputs=("cs", "K", "V", "first"),
    cases=(
        Case("one sentence of two words", lambda rng: _step_inputs(rng, 1, 2, 2, 2, 2)),
        Case("all sizes are 3", lambda rng: _step_inputs(rng, 3, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _step_inputs(rng, 2, size(rng, 4, 6), 6, 3, 7)),
    ),
    reference=_step_by_rows,
    given={"softmax": softmax},
    mistakes=(
        Mistake(
            "The scores are not divided by the square root of the size of a key.",
            changed(_CACHED, (" / np.sqrt(K.shape[2])", "")),
        ),
        Mistake(
            "The scores are divided by the size of a key. It should be the square root of it.",
            changed(_CACHED, (" / np.sqrt(K.shape[2])", " / K.shape[2]")),
        ),
        Mistake(
            "The square root is that of the number of keys. It should be that of the size of a key.",
            changed(_CACHED, ("np.sqrt(K.shape[2])", "np.sqrt(K.shape[1])")),
        ),
        Mistake(
            "Only the keys are kept. The values of earlier words are needed as well.",
            changed(
                _CACHED,
                (
                    "    V = np.concatenate((V, v[:, None]), axis=1)\n",
                    "    V = np.repeat(v[:, None], K.shape[1], axis=1)\n",
                ),
            ),
        ),
        Mistake(
            "The new key is put before the others, and the new value behind them, so weights meet the wrong values.",
            changed(_CACHED, ("np.concatenate((K, k[:, None]), axis=1)", "np.concatenate((k[:, None], K), axis=1)")),
        ),
        Mistake(
            "New keys and values are put before the others. The sum does not notice, but place t belongs to step t.",
            changed(
                _CACHED,
                ("np.concatenate((K, k[:, None]), axis=1)", "np.concatenate((k[:, None], K), axis=1)"),
                ("np.concatenate((V, v[:, None]), axis=1)", "np.concatenate((v[:, None], V), axis=1)"),
            ),
        ),
        Mistake(
            "What is kept of a word is its query, not its key.",
            changed(_CACHED, ("np.concatenate((K, k[:, None])", "np.concatenate((K, q[:, None])")),
        ),
        Mistake(
            "The newest word does not see itself. The query of place t looks at all places up to t, t among them.",
            changed(
                _CACHED,
                ("    a = softmax(s)\n", "    s[:, -1] -= 1e9 * (s.shape[1] > 1)\n    a = softmax(s)\n"),
            ),
        ),
    ),
    hints=(
        "Three products make q, k and v of the new word, (N, A) each. What is added to K and V, and at which end?",
        "K = np.concatenate((K, k[:, None]), axis=1), and the same for V. Scores: the sum of K * q[:, None] over the "
        "last axis, divided by the square root of A. Softmax, then the weighted sum of V.",
    ),
    section=f'{SECTION}, "Decoding without doing anything twice"',
)

# --- 8.19.8: what Adam hides ------------------------------------------------------------------------------------


class _SelfByNumbers:
    """Every pair of a query and a key by itself; gradients by moving every number a little."""

    def __init__(self, Wq, Wk, Wv):
        self.weights = [W.copy() for W in (Wq, Wk, Wv)]

    def forward(self, x):
        self.x = x.copy()
        return self._forward()

    def _forward(self):
        Wq, Wk, Wv = self.weights
        c = np.empty((*self.x.shape[:2], Wv.shape[1]))
        for n, t in np.ndindex(self.x.shape[:2]):
            words, query = self.x[n], self.x[n, t] @ Wq
            e = np.exp([query @ (word @ Wk) / len(query) ** 0.5 for word in words])
            c[n, t] = (e / e.sum()) @ words @ Wv
        return c

    def backward(self, dc):
        return tuple(numerical_gradient(self._forward, array, dc) for array in (self.x, *self.weights))


_SELF = """\
class SelfAttention:
    def __init__(self, Wq, Wk, Wv):
        self.Wq, self.Wk, self.Wv = Wq, Wk, Wv

    def forward(self, x):
        q, k, v = x @ self.Wq, x @ self.Wk, x @ self.Wv  # (N, T, A)
        a = softmax(q @ k.swapaxes(1, 2) / np.sqrt(q.shape[2]))  # (N, T, T)
        self.cache = x, q, k, v, a
        return a @ v

    def backward(self, dc):
        x, q, k, v, a = self.cache
        da, dv = dc @ v.swapaxes(1, 2), a.swapaxes(1, 2) @ dc
        ds = a * (da - (a * da).sum(axis=2, keepdims=True))
        ds = ds / np.sqrt(q.shape[2])
        dq, dk = ds @ k, ds.swapaxes(1, 2) @ q
        dx = dq @ self.Wq.T + dk @ self.Wk.T + dv @ self.Wv.T
        dWq, dWk, dWv = (np.einsum("nti,nta->ia", x, d) for d in (dq, dk, dv))
        return dx, dWq, dWk, dWv
"""
_SCALED = "ds / np.sqrt(q.shape[2])"


def _self_inputs(rng, N, T, D, A):
    drawn = normal(rng, x=(N, T, D), Wq=(D, A), Wk=(D, A), Wv=(D, A), dc=(N, T, A))
    return drawn | {"Wq": drawn["Wq"] / np.sqrt(D), "Wk": drawn["Wk"] / np.sqrt(D)}


SELF = Exercise(
    number="8.19.8",
    title="Bug hunt: what Adam hides",
    name="SelfAttention",
    points=2,
    call="layer = answer(Wq, Wk, Wv)\nc = layer.forward(x)\ndx, dWq, dWk, dWv = layer.backward(dc)",
    outputs=("c", "dx", "dWq", "dWk", "dWv"),
    cases=(
        Case("two sentences", lambda rng: _self_inputs(rng, 2, 3, 3, 2)),
        Case("all sizes are 3", lambda rng: _self_inputs(rng, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _self_inputs(rng, size(rng, 4, 6), 3, 2, 7)),
    ),
    reference=_SelfByNumbers,
    given={"softmax": softmax},
    bug=Mistake(
        "The gradient of the scores is divided by the number of sentences. A loss that is a mean has done that.",
        changed(_SELF, (_SCALED, "ds / len(x) / np.sqrt(q.shape[2])")),
    ),
    mistakes=(
        Mistake(
            "Now the scale, the square root of A, is gone from the gradient as well. It belongs there.",
            changed(_SELF, (f"        ds = {_SCALED}\n", "")),
        ),
        Mistake(
            "It is divided by the number of words now. In the softmax's backward pass there is nothing to average.",
            changed(_SELF, (_SCALED, "ds / x.shape[1] / np.sqrt(q.shape[2])")),
        ),
        Mistake(
            "Now all gradients are divided by the number of sentences, and before it were only those of the scores.",
            changed(
                _SELF,
                (
                    "        x, q, k, v, a = self.cache\n",
                    "        x, q, k, v, a = self.cache\n        dc = dc / len(x)\n",
                ),
            ),
        ),
        Mistake(
            "The weighted sum is missing in the backward pass of the softmax.",
            changed(_SELF, ("a * (da - (a * da).sum(axis=2, keepdims=True))", "a * da")),
        ),
    ),
    hints=(
        "Which of the gradients change when a sentence stands in a larger batch, and where do they come from?",
        "dWv is right, dWq and dWk are too small by the same factor. What do they share, that dWv does not have?",
    ),
    section=f'{SECTION}, "Pre-norm or post-norm"',
)

EXERCISES = (NORM, AXIS, GAMMA, BLOCK, PAIR, COUNTED, CACHED, SELF)
