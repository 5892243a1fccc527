"""Exercises 8.9: what two readers know, how their states are joined, where each ends, and what padding does to it."""

from ch07.exercises.given import RNN
from common.gradient_check import numerical_gradient
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.9"

# --- 8.9.1: what each reader has read -------------------------------------------------------------


def _text(rng, T, t):
    """A text without a letter that comes twice, and a step."""
    return {"text": "".join(rng.choice(list("abcdefghijklmnop"), T, replace=False)), "t": t}


def _has_read(text, t):
    ahead, back = "", ""
    for k in range(t + 1):
        ahead += text[k]
    for k in range(len(text) - 1, t - 1, -1):
        back += text[k]
    return ahead, back


def _slices(ahead="text[: t + 1]", back="text[t:][::-1]"):
    return f"def has_read(text, t):\n    return {ahead}, {back}"


HAS_READ = Exercise(
    number="8.9.1",
    title="What has each reader read?",
    name="has_read",
    points=1,
    call="ahead, back = answer(text, t)",
    outputs=("ahead", "back"),
    cases=(
        # Where the two readers have read the same number of characters, several mistakes come to the same.
        Case("a step in the middle", lambda rng: _text(rng, 6, int(rng.choice([1, 3, 4])))),
        Case("the first step", lambda rng: _text(rng, size(rng, 4, 7), 0)),
        Case("the last step", lambda rng: _text(rng, 6, 5)),
        Case("a longer text", lambda rng: _text(rng, 2 * size(rng, 5, 7) + 1, size(rng, 2, 4))),
    ),
    reference=_has_read,
    mistakes=(
        Mistake(
            "The first reader's text lacks the character of this step: its state has read that, too.",
            _slices(ahead="text[:t]"),
        ),
        Mistake(
            "The second reader's text lacks the character of this step: its state has read that, too.",
            _slices(back="text[t + 1 :][::-1]"),
        ),
        Mistake(
            "The second reader's text is in the order of the question. It begins with what it read first.",
            _slices(back="text[t:]"),
        ),
        Mistake(
            "This is what the second reader has read after as many characters as the first. Its outputs are flipped "
            "back, so at this step stands the state at this character.",
            _slices(back="text[::-1][: t + 1]"),
        ),
    ),
    hints=(
        "Both states have read the character of their own step. Where did each reader begin?",
        "The first reader began at the left: text[: t + 1]. The second began at the right and has come as far as t; "
        "reverse what lies there, since its last character was read first.",
    ),
    section=f'{SECTION}, "Why the outputs are flipped back"',
)

# --- 8.9.2: joined in three ways ------------------------------------------------------------------


def _states(rng, N, T, H, combine):
    width = 2 * H if combine == "concat" else H
    return normal(rng, ahead=(N, T, H), back=(N, T, H), dhs=(N, T, width)) | {"combine": combine}


class _Joined:
    """As a product with a matrix of zeros and the shares of each state; backward uses its transpose."""

    def __init__(self, combine):
        self.combine = combine

    def forward(self, ahead, back):
        H, one = ahead.shape[2], np.eye(ahead.shape[2])
        nothing = np.zeros((H, H))
        if self.combine == "concat":
            self.M = np.block([[one, nothing], [nothing, one]])
        else:
            self.M = np.vstack((one, one)) * {"sum": 1.0, "mean": 0.5}[self.combine]
        return np.dstack((ahead, back)) @ self.M

    def backward(self, dhs):
        both = dhs @ self.M.T
        return tuple(np.split(both, 2, axis=2))


_JOINED = """\
class Joined:
    def __init__(self, combine):
        self.combine = combine

    def forward(self, ahead, back):
        if self.combine == "concat":
            return np.concatenate((ahead, back), axis=2)
        return ahead + back if self.combine == "sum" else (ahead + back) / 2

    def backward(self, dhs):
        if self.combine == "concat":
            H = dhs.shape[2] // 2
            return dhs[..., :H], dhs[..., H:]
        return (dhs, dhs) if self.combine == "sum" else (dhs / 2, dhs / 2)
"""

JOINED = Exercise(
    number="8.9.2",
    title="Joined in three ways, and back",
    name="Joined",
    points=2,
    call="layer = answer(combine)\nhs = layer.forward(ahead, back)\ndahead, dback = layer.backward(dhs)",
    outputs=("hs", "dahead", "dback"),
    cases=(
        Case("concat, one sequence", lambda rng: _states(rng, 1, 2, 3, "concat")),
        Case("sum", lambda rng: _states(rng, 2, size(rng, 3, 6), 4, "sum")),
        Case("mean", lambda rng: _states(rng, 2, size(rng, 3, 6), 4, "mean")),
        Case("concat, N, T and H all differ", lambda rng: _states(rng, 2, size(rng, 3, 6), 7, "concat")),
    ),
    reference=_Joined,
    mistakes=(
        Mistake(
            "The gradient of the mean is that of the sum. Each state went in by half.",
            changed(_JOINED, ("(dhs / 2, dhs / 2)", "(dhs, dhs)")),
        ),
        Mistake(
            "The gradient of a sum is shared out between the two. Each state went in whole, so each gets all of it.",
            changed(_JOINED, ('(dhs, dhs) if self.combine == "sum" else (dhs / 2, dhs / 2)', "(dhs / 2, dhs / 2)")),
        ),
        Mistake(
            "The mean is not divided by two.",
            changed(_JOINED, ("(ahead + back) / 2", "ahead + back"), ("(dhs / 2, dhs / 2)", "(dhs, dhs)")),
        ),
        Mistake(
            "The second reader's state comes first. Put that of the first reader in front.",
            changed(_JOINED, ("(ahead, back), axis=2", "(back, ahead), axis=2")),
        ),
        Mistake(
            "backward hands out the halves in the wrong order: the first half belongs to what was joined first.",
            changed(_JOINED, ("dhs[..., :H], dhs[..., H:]", "dhs[..., H:], dhs[..., :H]")),
        ),
        Mistake(
            "The states are joined along time, one reader after the other. They belong side by side at every step.",
            changed(_JOINED, ("axis=2", "axis=1")),
        ),
    ),
    hints=(
        "Forward is one line for each of the three. For backward, ask of each state: which part of it went in, and "
        "times what?",
        "concat: split the gradient where forward joined, in the middle of the last axis. sum: both get all of it. "
        "mean: both went in times 1/2, so both get half of it.",
    ),
    section=f'{SECTION}, "Forward"',
)

# --- 8.9.3: where each reader ends ----------------------------------------------------------------


def _ends(rng, N, T, H):
    return normal(rng, hs=(N, T, 2 * H), dhs=(N, T, 2 * H), dh=(N, 2 * H))


class _Start:
    def forward(self, hs):
        self.shape = hs.shape
        return np.stack([[*row[-1][: len(row[0]) // 2], *row[0][len(row[0]) // 2 :]] for row in hs])

    def backward(self, dhs, dh):
        N, T, width = self.shape
        through_start = np.zeros(self.shape)
        for n in range(N):
            for k in range(width):
                through_start[n, T - 1 if k < width // 2 else 0, k] = dh[n, k]
        return dhs + through_start


_START = """\
class Start:
    def forward(self, hs):
        H = hs.shape[2] // 2
        return np.concatenate((hs[:, -1, :H], hs[:, 0, H:]), axis=1)

    def backward(self, dhs, dh):
        H = dhs.shape[2] // 2
        total = dhs.copy()
        total[:, -1, :H] += dh[:, :H]
        total[:, 0, H:] += dh[:, H:]
        return total
"""

START = Exercise(
    number="8.9.3",
    title="Which state is the last?",
    name="Start",
    points=2,
    call="layer = answer()\nh = layer.forward(hs)\ntotal = layer.backward(dhs, dh)",
    outputs=("h", "total"),
    cases=(
        Case("one sequence of two steps", lambda rng: _ends(rng, 1, 2, 1)),
        Case("several sequences", lambda rng: _ends(rng, 3, size(rng, 4, 7), 2)),
        Case("one step", lambda rng: _ends(rng, 2, 1, size(rng, 2, 5))),
    ),
    reference=_Start,
    mistakes=(
        Mistake(
            "The last step is taken for both halves. There the second reader has read a single character.",
            changed(_START, ("hs[:, 0, H:]", "hs[:, -1, H:]"), ("total[:, 0, H:]", "total[:, -1, H:]")),
        ),
        Mistake(
            "Step 0 is taken for both halves. There the first reader has read a single character.",
            changed(_START, ("hs[:, -1, :H]", "hs[:, 0, :H]"), ("total[:, -1, :H]", "total[:, 0, :H]")),
        ),
        Mistake(
            "Both are the states after one character. Each reader ends where the other begins.",
            changed(
                _START,
                ("hs[:, -1, :H], hs[:, 0, H:]", "hs[:, 0, :H], hs[:, -1, H:]"),
                ("total[:, -1, :H]", "total[:, 0, :H]"),
                ("total[:, 0, H:]", "total[:, -1, H:]"),
            ),
        ),
        Mistake(
            "forward is right, but backward sends all of dh to the last step. Each half goes where it came from.",
            changed(_START, ("total[:, 0, H:]", "total[:, -1, H:]")),
        ),
        Mistake(
            "dh replaces the gradient that comes from elsewhere. The state is used twice: both count.",
            changed(_START, ("+= dh", "= dh")),
        ),
        Mistake(
            "The halves are swapped: that of the first reader comes first.",
            changed(_START, ("(hs[:, -1, :H], hs[:, 0, H:])", "(hs[:, 0, H:], hs[:, -1, :H])")),
        ),
    ),
    hints=(
        "Which characters has the first reader read at the last step, and which the second? Where is it the other way "
        "around?",
        "The first half of h is hs[:, -1, :H], the second is hs[:, 0, H:]. In backward, copy dhs and add each half of "
        "dh in the place it came from.",
    ),
    section=f'{SECTION}, "Which state is the last one?"',
)

# --- 8.9.4: padding -------------------------------------------------------------------------------


def _padded(rng, lengths, T, D):
    """Sequences of these lengths; behind the end of each stands padding, far below all else."""
    lengths = np.array(lengths)
    xs = rng.standard_normal((len(lengths), T, D))
    xs[np.arange(T) >= lengths[:, None]] -= 20
    return {"xs": xs, "lengths": lengths}


def _flip_inside(xs, lengths):
    return np.stack([np.concatenate((row[:n][::-1], row[n:])) for row, n in zip(xs, lengths, strict=True)])


def _flipped(source):
    return f"""\
def flip_inside(xs, lengths):
    T, n = np.arange(xs.shape[1]), lengths[:, None]
    source = {source}
    return np.take_along_axis(xs, source[:, :, None], axis=1)
"""


FLIP = Exercise(
    number="8.9.4",
    title="Reversed, but not the padding",
    name="flip_inside",
    points=2,
    call="flipped = answer(xs, lengths)",
    outputs=("flipped",),
    cases=(
        Case("one sequence and its padding", lambda rng: _padded(rng, [3], 5, 2)),
        Case("lengths that differ", lambda rng: _padded(rng, [size(rng, 4, 6), 2, 3], 6, 3)),
        Case("one without padding, one of length 1", lambda rng: _padded(rng, [1, 5, 2], 5, size(rng, 2, 4))),
    ),
    reference=_flip_inside,
    mistakes=(
        Mistake(
            "The padding is reversed along with the sequence, so the second reader begins with it.",
            "def flip_inside(xs, lengths):\n    return xs[:, ::-1].copy()",
        ),
        Mistake(
            "What is fetched lies one step too far to the right: the last step of n is number n - 1.",
            _flipped("np.where(n > T, np.minimum(n - T, xs.shape[1] - 1), T)"),
        ),
        Mistake(
            "All sequences are reversed within the length of the first. Each has a length of its own.",
            _flipped("np.where(T < n[0], n[0] - 1 - T, T) + 0 * n"),
        ),
        Mistake(
            "What stands behind the end of a sequence is gone. Padding stays where it was.",
            _flipped("np.where(n > T, n - 1 - T, T)").replace("axis=1)", "axis=1) * (n > T)[:, :, None]"),
        ),
        Mistake(
            "The padding is reversed as well, in its own place. Leave it as it was.",
            _flipped("np.where(n > T, n - 1 - T, xs.shape[1] - 1 - T + n)"),
        ),
    ),
    hints=(
        "Step 0 of the result is step n - 1 of a sequence of length n, step 1 is step n - 2. Where does step t come "
        "from? And if t is not below n?",
        "Make an array (N, T) of steps: n - 1 - t where t < n, else t, with np.where and n = lengths[:, None]. "
        "np.take_along_axis(xs, steps[:, :, None], axis=1) fetches them.",
    ),
    section=f'{SECTION}, "Why the outputs are flipped back"',
)

# --- 8.9.5: not flipped back ----------------------------------------------------------------------


def _weights(rng, D, H):
    return normal(rng, Wx1=(D, H), Wh1=(H, H), Wx2=(D, H), Wh2=(H, H))


def _run(xs, Wx, Wh):
    """Return the states of a plain RNN, a list of (N, H)."""
    h, hs = np.zeros((len(xs), len(Wh))), []
    for t in range(xs.shape[1]):
        h = np.tanh(xs[:, t] @ Wx + h @ Wh)
        hs.append(h)
    return hs


class _ReadBothWays:
    """Two loops over time, and gradients by moving every number a little."""

    def __init__(self, Wx1, Wh1, Wx2, Wh2):
        self.first, self.second = (Wx1, Wh1), (Wx2, Wh2)

    def forward(self, xs):
        self.xs = np.array(xs)
        ahead, back = _run(self.xs, *self.first), _run(self.xs[:, ::-1], *self.second)
        return np.stack([a + b for a, b in zip(ahead, reversed(back), strict=True)], axis=1)

    def backward(self, dhs):
        xs = self.xs
        return numerical_gradient(lambda: self.forward(xs), xs, dhs)


_BOTH_WAYS = """\
class ReadBothWays:
    def __init__(self, Wx1, Wh1, Wx2, Wh2):
        self.ahead, self.back = RNN(Wx1, Wh1), RNN(Wx2, Wh2)

    def forward(self, xs):
        before = self.ahead.forward(xs)  # (N, T, H), what comes before
        after = self.back.forward(xs[:, ::-1])[:, ::-1]  # (N, T, H), what comes after
        return before + after

    def backward(self, dhs):
        dxs = self.ahead.backward(dhs)
        return dxs + self.back.backward(dhs[:, ::-1])[:, ::-1]
"""


def _both_ways_inputs(rng, N, T, D, H):
    return _weights(rng, D, H) | normal(rng, xs=(N, T, D), dhs=(N, T, H))


NOT_FLIPPED = Exercise(
    number="8.9.5",
    title="Bug hunt: every gradient is right",
    name="ReadBothWays",
    points=2,
    call="layer = answer(Wx1, Wh1, Wx2, Wh2)\nhs = layer.forward(xs)\ndxs = layer.backward(dhs)",
    outputs=("hs", "dxs"),
    cases=(
        Case("two sequences of two steps", lambda rng: _both_ways_inputs(rng, 2, 2, 2, 3)),
        Case("N, T, D and H all differ", lambda rng: _both_ways_inputs(rng, 3, size(rng, 4, 6), 2, 6)),
    ),
    reference=_ReadBothWays,
    given={"RNN": RNN},
    bug=Mistake(
        "The states of the second RNN stand in the order in which it read: at step 0 is what has read the last input.",
        changed(_BOTH_WAYS, ("[:, ::-1])[:, ::-1]  #", "[:, ::-1])  #"), ("(dhs[:, ::-1])[:, ::-1]", "(dhs)[:, ::-1]")),
    ),
    mistakes=(
        Mistake(
            "forward is right now. But backward still belongs to the old forward: what was flipped there must be "
            "flipped here.",
            changed(_BOTH_WAYS, ("(dhs[:, ::-1])[:, ::-1]", "(dhs)[:, ::-1]")),
        ),
        Mistake(
            "forward is right now. In backward, the second RNN's dxs stand in the order in which it read.",
            changed(_BOTH_WAYS, ("(dhs[:, ::-1])[:, ::-1]", "(dhs[:, ::-1])")),
        ),
        Mistake(
            "Now both RNNs read from the first step on. Then no state knows what comes after.",
            changed(_BOTH_WAYS, ("(xs[:, ::-1])[:, ::-1]", "(xs)"), ("(dhs[:, ::-1])[:, ::-1]", "(dhs)")),
        ),
        Mistake(
            "The batch is reversed, not time: that is the second axis.",
            changed(_BOTH_WAYS, ("[:, ::-1])[:, ::-1]  #", "[:, ::-1])[::-1]  #"), ("(dhs[:, ::-1])", "(dhs[::-1])")),
        ),
    ),
    hints=(
        "Write down what the second RNN has read at its first step, and what stands at the first step of `before`.",
        "The second RNN's first output belongs to the last step. Flip what comes out of it in forward, and what goes "
        "into its backward.",
    ),
    section=f'{SECTION}, "Why the outputs are flipped back"',
)

# --- 8.9.6: the second reader's gradient is dropped -----------------------------------------------


class _TwoWayEncoder:
    def __init__(self, W, Wx1, Wh1, Wx2, Wh2):
        self.W, self.first, self.second = np.array(W), (Wx1, Wh1), (Wx2, Wh2)

    def forward(self, ids):
        self.ids, xs = ids, self.W[ids]
        ahead, back = _run(xs, *self.first), _run(xs[:, ::-1], *self.second)
        return np.concatenate((np.stack(ahead, axis=1), np.stack(back[::-1], axis=1)), axis=2)

    def backward(self, dhs):
        return numerical_gradient(lambda: self.forward(self.ids), self.W, dhs)


_ENCODER = """\
class TwoWayEncoder:
    def __init__(self, W, Wx1, Wh1, Wx2, Wh2):
        self.W = W  # (V, D)
        self.first, self.second = RNN(Wx1, Wh1), RNN(Wx2, Wh2)

    def forward(self, ids):
        self.ids = ids
        xs = self.W[ids]  # (N, T, D)
        left = self.first.forward(xs)
        right = self.second.forward(xs[:, ::-1])[:, ::-1]
        return np.concatenate((left, right), axis=2)

    def backward(self, dhs):
        H = dhs.shape[2] // 2
        dxs = self.first.backward(dhs[:, :, :H])  # (N, T, D)
        dxs = dxs + self.second.backward(dhs[:, ::-1, H:])[:, ::-1]
        dW = np.zeros_like(self.W)
        np.add.at(dW, self.ids, dxs)
        return dW
"""


def _encoder_inputs(rng, N, T, V, D, H):
    ids = np.stack([rng.permutation(V)[:T] for _ in range(N)])
    ids[0, -1] = ids[0, 0]  # a character that comes twice
    return {"ids": ids} | _weights(rng, D, H) | normal(rng, W=(V, D), dhs=(N, T, 2 * H))


DROPPED = Exercise(
    number="8.9.6",
    title="Bug hunt: half of what was heard",
    name="TwoWayEncoder",
    points=2,
    call="encoder = answer(W, Wx1, Wh1, Wx2, Wh2)\nhs = encoder.forward(ids)\ndW = encoder.backward(dhs)",
    outputs=("hs", "dW"),
    cases=(
        Case("one question", lambda rng: _encoder_inputs(rng, 1, 4, 6, 2, 3)),
        Case("several questions", lambda rng: _encoder_inputs(rng, 3, size(rng, 4, 6), 7, 3, 4)),
    ),
    reference=_TwoWayEncoder,
    given={"RNN": RNN},
    bug=Mistake(
        "The embeddings get the first RNN's gradient only. Both RNNs read them.",
        changed(
            _ENCODER,
            ("dxs = dxs + self.second.backward(dhs[:, ::-1, H:])[:, ::-1]", "self.second.backward(dhs[:, ::-1, H:])"),
        ),
    ),
    mistakes=(
        Mistake(
            "The second RNN's gradient is added in the order in which it read. Flip it back, as forward did.",
            changed(_ENCODER, ("H:])[:, ::-1]", "H:])")),
        ),
        Mistake(
            "The second RNN's gradient replaces the first one's. Two readers, two gradients: they are added.",
            changed(_ENCODER, ("dxs = dxs + self", "dxs = self")),
        ),
        Mistake(
            "The two gradients are averaged. At a branch node every path counts in full.",
            changed(_ENCODER, ("dxs = dxs + self", "dxs = 0.5 * dxs + 0.5 * self")),
        ),
        Mistake(
            "dhs goes into the second RNN's backward in the order of the question. It read from the end.",
            changed(_ENCODER, ("dhs[:, ::-1, H:]", "dhs[:, :, H:]")),
        ),
        Mistake(
            "A character that comes twice counts once: its gradients must be added up.",
            changed(_ENCODER, ("np.add.at(dW, self.ids, dxs)", "dW[self.ids] += dxs")),
        ),
    ),
    hints=(
        "Count the uses of xs in forward. How many gradients of xs must come back?",
        "The second RNN's backward returns a gradient of what it read, in the order it read. Where does it go?",
    ),
    section=f'{SECTION}, "Backward: two readers, one sum"',
)

EXERCISES = (HAS_READ, JOINED, START, FLIP, NOT_FLIPPED, DROPPED)
