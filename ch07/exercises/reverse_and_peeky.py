"""Exercises 7.2: reversing padded questions, peeky concatenation forward and backward, two bugs of peeky decoders."""

from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 7.2"


# --- 7.2.1: reversing questions ---------------------------------------------------------------------------------------


def _padded(rng, T, *lengths):
    """Questions of these lengths; the characters of a question all differ."""
    pad_id = int(rng.integers(T + 4))
    others = np.delete(np.arange(T + 4), pad_id)
    xs = np.full((len(lengths), T), pad_id)
    for row, length in zip(xs, lengths):
        row[:length] = rng.permutation(others)[:length]
    return {"xs": xs, "pad_id": pad_id}


def _reverse(xs, pad_id):
    T = xs.shape[1]
    order = np.argsort(np.where(xs == pad_id, np.arange(T), -1 - np.arange(T)), axis=1, kind="stable")
    return np.take_along_axis(xs, order, axis=1)


REVERSE = Exercise(
    number="7.2.1",
    title="Reverse the questions, leave the padding",
    name="reverse_questions",
    call="backward = answer(xs, pad_id)",
    outputs=("backward",),
    cases=(
        Case("no padding", lambda rng: _padded(rng, 4, 4, 4)),
        Case("one question with padding", lambda rng: _padded(rng, 5, 3)),
        Case("questions of different lengths", lambda rng: _padded(rng, 6, 3, size(rng, 4, 6), 2)),
        Case("one question of a single character, one full, one empty", lambda rng: _padded(rng, 5, 1, 5, 0)),
    ),
    reference=_reverse,
    mistakes=(
        Mistake(
            "The padding has moved to the front. Only the characters of a question are to be reversed; the padding "
            "stays after them.",
            "def reverse_questions(xs, pad_id):\n    return xs[:, ::-1]",
        ),
        Mistake(
            "The order of the questions is reversed. Each question should stay in its row and be reversed within it.",
            "def reverse_questions(xs, pad_id):\n    return xs[::-1]",
        ),
        Mistake(
            "All questions are treated as if they were as long as the first. Each row has a length of its own.",
            "def reverse_questions(xs, pad_id):\n"
            "    length = (xs[0] != pad_id).sum()\n"
            "    return np.concatenate((xs[:, :length][:, ::-1], xs[:, length:]), axis=1)",
        ),
        Mistake(
            "The padding has moved to the front, but the characters are still in their old order.",
            "def reverse_questions(xs, pad_id):\n"
            "    order = np.argsort(xs != pad_id, axis=1, kind='stable')\n"
            "    return np.take_along_axis(xs, order, axis=1)",
        ),
    ),
    hints=(
        "A question's length is the number of ids in its row that are not pad_id. Begin with one row.",
        "Copy xs. For each row, of length L, write xs[n, :L][::-1] into the first L places of the copy.",
    ),
    section=f'{SECTION}, "Reading backward"',
    points=2,
)


# --- 7.2.2 and 7.2.3: the peeky concatenation -------------------------------------------------------------------------


def _joined(h, xs):
    H, D = h.shape[1], xs.shape[2]
    return (h @ np.eye(H, H + D))[:, None] + xs @ np.eye(D, H + D, H)  # each part moved to its columns


def _to_join(rng, N, T, D, H):
    return normal(rng, h=(N, H), xs=(N, T, D))


JOIN = Exercise(
    number="7.2.2",
    title="Show h to every step",
    name="peeky_input",
    call="vs = answer(h, xs)",
    outputs=("vs",),
    cases=(
        Case("one question, one step", lambda rng: _to_join(rng, 1, 1, 1, 2)),
        Case("D = H", lambda rng: _to_join(rng, 2, 3, 2, 2)),
        Case("N, T, D and H all differ", lambda rng: _to_join(rng, 2, size(rng, 4, 7), 1, 3)),
    ),
    reference=_joined,
    mistakes=(
        Mistake(
            "The embedding comes before h. The course puts h first, and the weights expect it there.",
            "def peeky_input(h, xs):\n"
            "    hs = np.repeat(h[:, None], xs.shape[1], axis=1)\n"
            "    return np.concatenate((xs, hs), axis=2)",
        ),
        Mistake(
            "The rows are mixed up: some questions see the h of another one. tile repeats the whole block of rows.",
            "def peeky_input(h, xs):\n"
            "    hs = np.tile(h, (xs.shape[1], 1)).reshape(len(h), xs.shape[1], -1)\n"
            "    return np.concatenate((hs, xs), axis=2)",
        ),
        Mistake(
            "Only the first step sees h. Peeking means that every step sees it.",
            "def peeky_input(h, xs):\n"
            "    hs = np.zeros((*xs.shape[:2], h.shape[1]))\n"
            "    hs[:, 0] = h\n"
            "    return np.concatenate((hs, xs), axis=2)",
        ),
        Mistake(
            "h is added to the embeddings. It belongs next to each of them, so that a row has H + D numbers.",
            "def peeky_input(h, xs):\n    return h[:, None] + xs",
        ),
        Mistake(
            "The two are joined along the time axis: h comes before the first embedding, as if there were more "
            "steps. It belongs next to each embedding.",
            "def peeky_input(h, xs):\n"
            "    hs = np.repeat(h[:, None], xs.shape[1], axis=1)\n"
            "    return np.concatenate((hs, xs), axis=1)",
        ),
    ),
    hints=(
        "First give h a time axis of length T, the same h at every step. Then both arrays are (N, T, something).",
        "np.repeat(h[:, None], T, axis=1) is (N, T, H). np.concatenate joins two arrays along axis 2.",
    ),
    section=f'{SECTION}, "Peeking"',
    points=2,
    large=(
        Case(
            "500,000 questions",
            lambda rng: _to_join(rng, 2, 2, 2, 2),
            "vs = answer(h, xs)[::1000]",
            repeat={"h": (250_000, 0), "xs": (250_000, 0)},
        ),
        Case(
            "500,000 steps",
            lambda rng: _to_join(rng, 1, 2, 2, 2),
            "vs = answer(h, xs)[:, ::1000]",
            repeat={"xs": (250_000, 1)},
        ),
    ),
)


def _split(dvs, H):
    ones = np.ones(dvs.shape[1])
    return np.einsum("nth,t->nh", dvs[:, :, :H], ones), dvs[:, :, H:]


def _to_split(rng, N, T, D, H):
    return {**normal(rng, dvs=(N, T, H + D)), "H": H}


_SPLIT = """
def peeky_input_backward(dvs, H):
    dhs, dxs = dvs[:, :, :H], dvs[:, :, H:]
    return dhs.sum(axis=1), dxs
"""

SPLIT = Exercise(
    number="7.2.3",
    title="The gradient of what was shown",
    name="peeky_input_backward",
    call="dh, dxs = answer(dvs, H)",
    outputs=("dh", "dxs"),
    cases=(
        Case("one question, one step", lambda rng: _to_split(rng, 1, 1, 2, 1)),
        Case("D = H, N = T", lambda rng: _to_split(rng, 2, 2, 3, 3)),
        Case("N, T, D and H all differ", lambda rng: _to_split(rng, 3, size(rng, 4, 7), 1, 2)),
    ),
    reference=_split,
    mistakes=(
        Mistake(
            "dh is not summed over time. h was shown to every step, so each step sends a gradient back to the same h.",
            changed(_SPLIT, ("dhs.sum(axis=1)", "dhs")),
        ),
        Mistake(
            "dh is the gradient of the last step alone. h was shown to every step, and each contributes.",
            changed(_SPLIT, ("dhs.sum(axis=1)", "dhs[:, -1]")),
        ),
        Mistake(
            "dh is the mean over the steps. Each of them used h in full, so the gradients add up.",
            changed(_SPLIT, ("dhs.sum(axis=1)", "dhs.mean(axis=1)")),
        ),
        Mistake(
            "The two parts are swapped: the first columns belong to h, the others to the embeddings.",
            changed(_SPLIT, ("dvs[:, :, :H], dvs[:, :, H:]", "dvs[:, :, -H:], dvs[:, :, :-H]")),
        ),
        Mistake(
            "dh is summed over the questions. Each question has its own h; what is shared is h over the steps.",
            changed(_SPLIT, ("dhs.sum(axis=1)", "dhs.sum(axis=0)")),
        ),
    ),
    hints=(
        "Concatenation forward is a split backward. And what does a repeat become backward?",
        "Columns :H of dvs belong to the repeated h, columns H: to xs. Sum the first part over axis 1.",
    ),
    section=f'{SECTION}, "Three gradients for one vector"',
    points=2,
)


# --- 7.2.4: an affine layer that is too small -------------------------------------------------------------------------


def _states(rng, N, T, H, V):
    return {**normal(rng, h=(N, H), hs=(N, T, H), weights=(2 * H, V), bias=(V,)), "H": H, "V": V}


class _PeekyAffine:
    def __init__(self, H, V, rng):
        self.W, self.b = np.zeros((2 * H, V)), np.zeros(V)

    def forward(self, h, hs):
        H = h.shape[1]
        return (h @ self.W[:H])[:, None] + hs @ self.W[H:] + self.b


_AFFINE = '''\
class PeekyAffine:
    """Logits for every step, from h and the step's own hidden state."""

    def __init__(self, H, V, rng):
        self.W = 0.1 * rng.standard_normal((2 * H, V))
        self.b = np.zeros(V)

    def forward(self, h, hs):
        """h (N, H), hs (N, T, H) -> logits (N, T, V)."""
        N, T, H = hs.shape
        us = np.concatenate((np.repeat(h[:, None], T, axis=1), hs), axis=2)  # (N, T, 2H)
        return us @ self.W + self.b
'''

WIDTH = Exercise(
    number="7.2.4",
    title="Bug hunt: the decoder that repeats itself",
    name="PeekyAffine",
    call="""\
layer = answer(H, V, np.random.default_rng(0))
W_shape, b = layer.W.shape, layer.b
layer.W, layer.b = np.resize(weights, W_shape), bias
logits = layer.forward(h, hs)
""",
    outputs=("logits", "W_shape", "b"),
    cases=(
        Case("one question, three steps", lambda rng: _states(rng, 1, 3, 2, 3)),
        Case("T = H", lambda rng: _states(rng, 2, 3, 3, 2)),
        Case("N, T, H and V all differ", lambda rng: _states(rng, 3, size(rng, 4, 7), 2, 7)),
    ),
    reference=_PeekyAffine,
    bug=Mistake(
        "W is (H, V), though its input is 2H wide. To make the product fit, the hidden states are cut off: the logits "
        "depend on h alone, and every step gets the same ones.",
        changed(_AFFINE, ("(2 * H, V)", "(H, V)"), ("us @ self.W", "us[:, :, :H] @ self.W")),
    ),
    mistakes=(
        Mistake(
            "W is still (H, V), and now h is cut off instead of the hidden states. Both must count.",
            changed(_AFFINE, ("(2 * H, V)", "(H, V)"), ("us @ self.W", "us[:, :, H:] @ self.W")),
        ),
        Mistake(
            "h and the hidden states are added and share one W of H rows. Each of the two needs H rows of its own.",
            changed(_AFFINE, ("(2 * H, V)", "(H, V)"), ("us @ self.W", "(us[:, :, :H] + us[:, :, H:]) @ self.W")),
        ),
        Mistake(
            "The hidden states come before h. The course puts h first, and weights trained with it expect that.",
            changed(_AFFINE, ("(np.repeat(h[:, None], T, axis=1), hs)", "(hs, np.repeat(h[:, None], T, axis=1))")),
        ),
    ),
    hints=(
        "All steps get the same logits. What differs from step to step, h or hs? Where does it get lost?",
        "us is 2H wide. How many rows must W have so that us @ W works without cutting anything off?",
    ),
    section=f'{SECTION}, "Peeking"',
    points=2,
)


# --- 7.2.5: a forgotten gradient --------------------------------------------------------------------------------------


class TanhLayer:
    """Stands in for the LSTM, without memory: hs = tanh(vs Wx). Shapes: vs (N, T, H + D), hs (N, T, H)."""

    def __init__(self, Wx):
        self.Wx = Wx

    def forward(self, vs):
        """Return hs (N, T, H)."""
        self.hs = np.tanh(vs @ self.Wx)
        return self.hs

    def backward(self, dhs):
        """Return dvs (N, T, H + D)."""
        return (dhs * (1 - self.hs**2)) @ self.Wx.T


class _PeekyDecoder:
    """Without concatenation: each use of h has a product of its own."""

    def __init__(self, Wx, W):
        self.Wx, self.W = Wx, W

    def forward(self, h, xs):
        H = h.shape[1]
        z = (h @ self.Wx[:H])[:, None] + xs @ self.Wx[H:]
        self.hs = np.tanh(z)
        return (h @ self.W[:H])[:, None] + self.hs @ self.W[H:]

    def backward(self, dlogits):
        H = self.hs.shape[2]
        dz = (dlogits @ self.W[H:].T) * (1 - self.hs**2)
        dh = dlogits.sum(axis=1) @ self.W[:H].T
        return dh + dz.sum(axis=1) @ self.Wx[:H].T, dz @ self.Wx[H:].T


def _decoded(rng, N, T, D, H, V):
    return normal(rng, h=(N, H), xs=(N, T, D), dlogits=(N, T, V), Wx=(H + D, H), W=(2 * H, V))


_DECODER = '''\
class PeekyDecoder:
    """Show h (N, H) to every step in two places: next to the embeddings xs (N, T, D) and next to the hidden states."""

    def __init__(self, Wx, W):
        self.layer = TanhLayer(Wx)
        self.W = W  # of the affine layer, (2H, V)

    def forward(self, h, xs):
        T = xs.shape[1]
        h_repeated = np.repeat(h[:, None], T, axis=1)  # (N, T, H)
        hs = self.layer.forward(np.concatenate((h_repeated, xs), axis=2))  # (N, T, H)
        return np.concatenate((h_repeated, hs), axis=2) @ self.W  # (N, T, V)

    def backward(self, dlogits):
        """Return dh (N, H) and dxs (N, T, D)."""
        H = self.W.shape[0] // 2
        dus = dlogits @ self.W.T  # (N, T, 2H)
        dh, dhs = dus[:, :, :H].sum(axis=1), dus[:, :, H:]
        dvs = self.layer.backward(dhs)  # (N, T, H + D)
        return dh + dvs[:, :, :H].sum(axis=1), dvs[:, :, H:]
'''
_END = "        return dh + dvs[:, :, :H].sum(axis=1), dvs[:, :, H:]"

FORGOTTEN = Exercise(
    number="7.2.5",
    title="Bug hunt: an encoder led astray",
    name="PeekyDecoder",
    call="decoder = answer(Wx, W)\nlogits = decoder.forward(h, xs)\ndh, dxs = decoder.backward(dlogits)",
    outputs=("logits", "dh", "dxs"),
    cases=(
        Case("one question, one step", lambda rng: _decoded(rng, 1, 1, 1, 2, 2)),
        Case("D = H", lambda rng: _decoded(rng, 2, 3, 2, 2, 4)),
        Case("N, T, D, H and V all differ", lambda rng: _decoded(rng, 2, size(rng, 4, 7), 1, 3, 7)),
    ),
    reference=_PeekyDecoder,
    given={"TanhLayer": TanhLayer},
    bug=Mistake(
        "h is used in two places, and the gradient of one of them gets lost: dh holds only what comes from its place "
        "next to the embeddings.",
        changed(_DECODER, (_END, "        dh, dxs = dvs[:, :, :H].sum(axis=1), dvs[:, :, H:]\n        return dh, dxs")),
    ),
    mistakes=(
        Mistake(
            "h is used in two places, and the gradient of one of them gets lost: dh holds only what comes from its "
            "place next to the hidden states.",
            changed(_DECODER, (_END, "        return dh, dvs[:, :, H:]")),
        ),
        Mistake(
            "The gradient from next to the embeddings is that of the last step only. h was shown to every step there, "
            "too.",
            changed(_DECODER, ("dvs[:, :, :H].sum(axis=1)", "dvs[:, -1, :H]")),
        ),
        Mistake(
            "The gradient from next to the hidden states is that of the last step only. h was shown to every step "
            "there, too.",
            changed(_DECODER, ("dus[:, :, :H].sum(axis=1)", "dus[:, -1, :H]")),
        ),
        Mistake(
            "dh is the mean of the two places. A value that is used in two places gets the sum.",
            changed(_DECODER, ("dh + dvs[:, :, :H].sum(axis=1)", "(dh + dvs[:, :, :H].sum(axis=1)) / 2")),
        ),
    ),
    hints=(
        "In forward, count the places where h_repeated is used. In backward, follow dh from line to line.",
        "dh is set twice. What became of its first value?",
    ),
    section=f'{SECTION}, "Three gradients for one vector"',
    points=2,
)

EXERCISES = (REVERSE, JOIN, SPLIT, WIDTH, FORGOTTEN)
