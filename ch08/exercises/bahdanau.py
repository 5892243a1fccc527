"""Exercises 8.14: the additive score, one decoder step, a context used twice, and four bug hunts in a translator."""

from common.functions import sigmoid, softmax
from common.gradient_check import numerical_gradient
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.14"


# --- 8.14.1: the additive score ---------------------------------------------------------------------------------


class _ScoreByNumbers:
    """Every pair of a query and a key by itself; gradients by moving every number a little."""

    def __init__(self, Wq, v):
        self.weights = [Wq.copy(), v.copy()]

    def forward(self, h, keys):
        self.inputs = [h.copy(), keys.copy()]
        return self._forward()

    def _forward(self):
        (Wq, v), (h, keys) = self.weights, self.inputs
        e = np.empty(keys.shape[:2])
        for n, t in np.ndindex(e.shape):
            e[n, t] = sum(v * np.tanh(h[n] @ Wq + keys[n, t]))
        return e

    def backward(self, de):
        return tuple(numerical_gradient(self._forward, array, de) for array in (*self.inputs, *self.weights))


_SCORE = """\
class Score:
    def __init__(self, Wq, v):
        self.Wq, self.v = Wq, v

    def forward(self, h, keys):
        u = np.tanh((h @ self.Wq)[:, None] + keys)
        self.cache = h, u
        return u @ self.v

    def backward(self, de):
        h, u = self.cache
        dv = (de[:, :, None] * u).sum(axis=(0, 1))
        dkeys = de[:, :, None] * self.v * (1 - u**2)
        dq = dkeys.sum(axis=1)
        return dq @ self.Wq.T, dkeys, h.T @ dq, dv
"""


def _score_inputs(rng, N, T, H, A):
    return normal(rng, h=(N, H), keys=(N, T, A), Wq=(H, A), v=(A,), de=(N, T))


SCORE = Exercise(
    number="8.14.1",
    title="The additive score",
    name="Score",
    points=3,
    call="score = answer(Wq, v)\ne = score.forward(h, keys)\ndh, dkeys, dWq, dv = score.backward(de)",
    outputs=("e", "dh", "dkeys", "dWq", "dv"),
    cases=(
        Case("one sentence", lambda rng: _score_inputs(rng, 1, 2, 3, 2)),
        Case("N = T and H = A", lambda rng: _score_inputs(rng, 3, 3, 2, 2)),
        Case("all sizes differ", lambda rng: _score_inputs(rng, 2, size(rng, 4, 6), 3, 7)),
    ),
    reference=_ScoreByNumbers,
    mistakes=(
        Mistake(
            "There is no tanh: the scores are sums, and the part of the query is the same for all places.",
            changed(
                _SCORE,
                ("np.tanh((h @ self.Wq)[:, None] + keys)", "(h @ self.Wq)[:, None] + keys"),
                ("self.v * (1 - u**2)", "self.v * np.ones_like(u)"),
            ),
        ),
        Mistake(
            "The tanh is taken of the query and of the key, and then they are added. They have to meet inside it.",
            changed(
                _SCORE,
                ("np.tanh((h @ self.Wq)[:, None] + keys)", "np.tanh(h @ self.Wq)[:, None] + np.tanh(keys)"),
            ),
        ),
        Mistake(
            "The gradient of the tanh is missing in backward: 1 - u**2.",
            changed(_SCORE, (" * (1 - u**2)", " * np.ones_like(u)")),
        ),
        Mistake(
            "The gradient of the tanh is taken of the scores' sum twice: u is the tanh already, so it is 1 - u**2.",
            changed(_SCORE, ("(1 - u**2)", "(1 - np.tanh(u) ** 2)")),
        ),
        Mistake(
            "A query meets all keys of its sentence, so its gradient is their sum, not their mean.",
            changed(_SCORE, ("dq = dkeys.sum(axis=1)", "dq = dkeys.mean(axis=1)")),
        ),
        Mistake(
            "The gradient of the query is that of its last key alone. It met all of them.",
            changed(_SCORE, ("dq = dkeys.sum(axis=1)", "dq = dkeys[:, -1]")),
        ),
        Mistake(
            "v is missing in the gradient of the keys: it weighs what the neurons say.",
            changed(_SCORE, ("de[:, :, None] * self.v * (1 - u**2)", "de[:, :, None] * (1 - u**2)")),
        ),
        Mistake(
            "dv is averaged. The loss is moved by v at every place, so its gradient is a sum.",
            changed(_SCORE, ("(de[:, :, None] * u).sum(axis=(0, 1))", "(de[:, :, None] * u).mean(axis=(0, 1))")),
        ),
    ),
    hints=(
        "Write the neurons of all places as one array u (N, T, A): the query is the same for all T places of its row.",
        "Backward from the end: dv is a sum over N and T of de times u; de times v times (1 - u**2) is the gradient of "
        "the sum, and so that of the keys; added up over T it is that of h @ Wq.",
    ),
    section=f'{SECTION}, "Where to look: the additive score"',
)

# --- 8.14.2: half a sentence ------------------------------------------------------------------------------------


def _first_state_by_reading(ahead, back, W, b):
    """The two halves of the weight by themselves; each reader's last state is the one that has read everything."""
    upper, lower = np.split(W, 2)
    return np.tanh(np.array([a[-1] @ upper + z[0] @ lower + b for a, z in zip(ahead, back, strict=True)]))


_FIRST = """\
def first_state(ahead, back, W, b):
    last = np.concatenate((ahead[:, -1], back[:, 0]), axis=1)  # (N, 2H)
    return np.tanh(last @ W + b)
"""


def _both_ways(rng, N, T, H):
    drawn = normal(rng, ahead=(N, T, H), back=(N, T, H), b=(H,))
    return drawn | {"W": rng.standard_normal((2 * H, H)) / np.sqrt(2 * H)}


FIRST = Exercise(
    number="8.14.2",
    title="Bug hunt: half of it has read one word",
    name="first_state",
    points=2,
    call="h = answer(ahead, back, W, b)",
    outputs=("h",),
    cases=(
        Case("one sentence", lambda rng: _both_ways(rng, 1, 3, 2)),
        Case("N = T = H", lambda rng: _both_ways(rng, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _both_ways(rng, 2, size(rng, 4, 7), 3)),
    ),
    reference=_first_state_by_reading,
    bug=Mistake(
        "The last place of the second reader is where it began: there it has read one word.",
        changed(_FIRST, ("back[:, 0]", "back[:, -1]")),
    ),
    mistakes=(
        Mistake(
            "Both are taken at place 0 now. There it is the first reader that has read one word.",
            changed(_FIRST, ("ahead[:, -1]", "ahead[:, 0]")),
        ),
        Mistake(
            "The halves have changed places. The upper half of W belongs to the first reader.",
            changed(_FIRST, ("(ahead[:, -1], back[:, 0])", "(back[:, 0], ahead[:, -1])")),
        ),
        Mistake(
            "Both halves are the first reader's now. fc should be given both directions.",
            changed(_FIRST, ("back[:, 0]", "ahead[:, -1]")),
        ),
        Mistake(
            "This is the mean over all places. The exercise asks for the two states that have read the whole sentence.",
            changed(_FIRST, ("(ahead[:, -1], back[:, 0])", "(ahead.mean(axis=1), back.mean(axis=1))")),
        ),
        Mistake(
            "The tanh is gone. The decoder's GRU makes states between -1 and 1, and its first one should be like that.",
            changed(_FIRST, ("np.tanh(last @ W + b)", "last @ W + b")),
        ),
    ),
    hints=(
        "Each reader has one state that knows the whole sentence. In which order did the second one read?",
        "It began at the last word and ended at the first, and its states stand at the words they belong to.",
    ),
    section=f'{SECTION}, "The first state of the decoder"',
)

# --- 8.14.3: stacked states -------------------------------------------------------------------------------------


def _stacked_by_rows(last, W, b):
    """Sentence by sentence, so that nothing of another one can get in."""
    return np.array([np.tanh(np.append(last[0, n], last[1, n]) @ W + b) for n in range(last.shape[1])])


_STACKED = """\
def from_stacked(last, W, b):
    both = last.transpose(1, 0, 2).reshape(last.shape[1], -1)  # (N, 2H)
    return np.tanh(both @ W + b)
"""


def _stacked(rng, N, H):
    drawn = normal(rng, last=(2, N, H), b=(H,))
    return drawn | {"W": rng.standard_normal((2 * H, H)) / np.sqrt(2 * H)}


STACKED = Exercise(
    number="8.14.3",
    title="Bug hunt: right alone, wrong in company",
    name="from_stacked",
    points=2,
    call="h = answer(last, W, b)",
    outputs=("h",),
    cases=(
        Case("two sentences", lambda rng: _stacked(rng, 2, 3)),
        Case("N = H", lambda rng: _stacked(rng, 3, 3)),
        Case("several sentences", lambda rng: _stacked(rng, size(rng, 4, 7), 2)),
        Case("one sentence", lambda rng: _stacked(rng, 1, 2)),
    ),
    reference=_stacked_by_rows,
    bug=Mistake(
        "A reshape does not exchange axes: it takes the numbers in the order in which they lie, and the states of the "
        "first reader for all sentences come first.",
        changed(_STACKED, ("last.transpose(1, 0, 2).reshape(last.shape[1], -1)", "last.reshape(last.shape[1], -1)")),
    ),
    mistakes=(
        Mistake(
            "The axes are in the right order for the sentences, but the two readers are mixed number by number.",
            changed(_STACKED, ("transpose(1, 0, 2)", "transpose(1, 2, 0)")),
        ),
        Mistake(
            "The halves have changed places. last[0] is the first reader's.",
            changed(_STACKED, ("last.transpose", "last[::-1].transpose")),
        ),
        Mistake(
            "Both halves are the first reader's now.",
            changed(_STACKED, ("last.transpose", "last[[0, 0]].transpose")),
        ),
        Mistake(
            "Both halves are the second reader's now.",
            changed(_STACKED, ("last.transpose", "last[[1, 1]].transpose")),
        ),
    ),
    hints=(
        "Number the entries of last for N = 2 and H = 1: which of them belong to sentence 0? Which does reshape put "
        "into row 0?",
        "Bring the sentences to the front before you reshape, or put last[0] and last[1] side by side.",
    ),
    section=f'{SECTION}, "The first state of the decoder"',
)

# --- 8.14.4: one step of the decoder ----------------------------------------------------------------------------


def gru_step(x, h, Wx, Wh, b, bh):
    """One step of a GRU in PyTorch's form, as in the lesson: the state after it, (N, H)."""
    z_x, r_x, new_x = np.split(x @ Wx + b, 3, axis=1)
    z_h, r_h, new_h = np.split(h @ Wh + bh, 3, axis=1)
    z, r = sigmoid(z_x + z_h), sigmoid(r_x + r_h)
    return (1 - z) * h + z * np.tanh(new_x + r * new_h)


def _step_by_rows(x, h, keys, hs_enc, mask, Wq, v, gru):
    """Every sentence by itself, over its real places alone."""
    outs, states, looks = [], [], np.zeros(mask.shape)
    for n, real in enumerate(mask):
        e = np.array([np.tanh(h[n] @ Wq + key) @ v for key in keys[n, real]])
        looks[n, real] = np.exp(e) / np.exp(e).sum()
        c = sum(a * state for a, state in zip(looks[n], hs_enc[n], strict=True))
        states.append(gru_step(np.append(x[n], c)[None], h[n : n + 1], *gru)[0])
        outs.append(np.concatenate((states[-1], c, x[n])))
    return np.array(outs), np.array(states), looks


_STEP = """\
def decoder_step(x, h, keys, hs_enc, mask, Wq, v, gru):
    e = np.tanh((h @ Wq)[:, None] + keys) @ v
    a = softmax(np.where(mask, e, -np.inf))
    c = (a[:, :, None] * hs_enc).sum(axis=1)
    after = gru_step(np.concatenate((x, c), axis=1), h, *gru)
    return np.concatenate((after, c, x), axis=1), after, a
"""


def _step_inputs(rng, lengths, T, D, H, C):
    """C is the size of a state of the encoder; in the lesson it is 2H."""
    N, mask = len(lengths), np.arange(T) < np.array(lengths)[:, None]
    drawn = normal(rng, x=(N, D), h=(N, H), keys=(N, T, H), hs_enc=(N, T, C), Wq=(H, H), v=(H,))
    gru = [rng.standard_normal(shape) for shape in ((D + C, 3 * H), (H, 3 * H), (3 * H,), (3 * H,))]
    return drawn | {"mask": mask, "gru": gru}


STEP = Exercise(
    number="8.14.4",
    title="One step of the decoder",
    name="decoder_step",
    points=3,
    call="out, after, a = answer(x, h, keys, hs_enc, mask, Wq, v, gru)",
    outputs=("out", "after", "a"),
    cases=(
        Case("one sentence without padding", lambda rng: _step_inputs(rng, [2], 2, 2, 2, 4)),
        Case("all sizes are 3", lambda rng: _step_inputs(rng, rng.permutation([1, 2, 3]), 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _step_inputs(rng, rng.permutation([3, 5]), size(rng, 6, 8), 2, 3, 4)),
    ),
    reference=_step_by_rows,
    given={"softmax": softmax, "gru_step": gru_step},
    mistakes=(
        Mistake(
            "Padding is not masked: its scores belong at -inf before the softmax.",
            changed(_STEP, ("np.where(mask, e, -np.inf)", "e")),
        ),
        Mistake(
            "The mask comes after the softmax, so the weights of the words no longer add up to 1.",
            changed(_STEP, ("softmax(np.where(mask, e, -np.inf))", "softmax(e) * mask")),
        ),
        Mistake(
            "The weights depend on the query alone: the encoder's states, through their keys, are not asked.",
            changed(_STEP, ("np.tanh((h @ Wq)[:, None] + keys) @ v", "np.tanh((h @ Wq)[:, None] + 0 * keys) @ v")),
        ),
        Mistake(
            "The context is a sum of keys. Keys are for the score; what is fetched are the encoder's states.",
            changed(
                _STEP,
                (
                    "(a[:, :, None] * hs_enc).sum(axis=1)",
                    "np.resize((a[:, :, None] * keys).sum(axis=1), (len(h), hs_enc.shape[2]))",
                ),
            ),
        ),
        Mistake(
            "The output gets the state before the step. It should have the one after it, which has read the word.",
            changed(
                _STEP, ("np.concatenate((after, c, x), axis=1), after", "np.concatenate((h, c, x), axis=1), after")
            ),
        ),
        Mistake(
            "The state that is returned is the one before the step.",
            changed(_STEP, ("axis=1), after, a", "axis=1), h, a")),
        ),
        Mistake(
            "The GRU reads the context first and then the embedding. The upper rows of Wx belong to the embedding.",
            changed(_STEP, ("np.concatenate((x, c), axis=1)", "np.concatenate((c, x), axis=1)")),
        ),
        Mistake(
            "The output's parts are in another order: state, context, embedding.",
            changed(_STEP, ("np.concatenate((after, c, x), axis=1)", "np.concatenate((c, after, x), axis=1)")),
        ),
        Mistake(
            "It reads before it looks, as Luong's decoder does: here the query is the state before the step.",
            changed(
                _STEP,
                (
                    "    e = ",
                    "    zeros = np.zeros((len(h), hs_enc.shape[2]))\n"
                    "    query = gru_step(np.concatenate((x, zeros), axis=1), h, *gru)\n    e = ",
                ),
                ("(h @ Wq)", "(query @ Wq)"),
            ),
        ),
        Mistake(
            "There is no tanh between the sum and v.",
            changed(_STEP, ("np.tanh((h @ Wq)[:, None] + keys)", "((h @ Wq)[:, None] + keys)")),
        ),
    ),
    hints=(
        "Look, read, write: scores, weights and context come from h and the encoder, before gru_step is called.",
        "np.concatenate((x, c), axis=1) is what the GRU reads; the output is (state after, c, x), also side by side.",
    ),
    section=f'{SECTION}, "One step, line by line"',
)

# --- 8.14.5: a context that is used twice -----------------------------------------------------------------------


class _ReadingByNumbers:
    """Gradients by moving every number a little."""

    def __init__(self, Wx, Wc, Wh):
        self.weights = [Wx.copy(), Wc.copy(), Wh.copy()]

    def forward(self, x, c, h):
        self.inputs = [x.copy(), c.copy(), h.copy()]
        return self._forward()

    def _forward(self):
        after = np.tanh(sum(array @ W for array, W in zip(self.inputs, self.weights, strict=True)))
        return np.hstack((after, *self.inputs[1::-1])), after

    def backward(self, dout, dafter):
        both = (dout, dafter)
        return tuple(numerical_gradient(self._forward, array, both) for array in (*self.inputs, *self.weights))


_READING = """\
class Reading:
    def __init__(self, Wx, Wc, Wh):
        self.Wx, self.Wc, self.Wh = Wx, Wc, Wh

    def forward(self, x, c, h):
        after = np.tanh(x @ self.Wx + c @ self.Wc + h @ self.Wh)
        self.cache = x, c, h, after
        return np.concatenate((after, c, x), axis=1), after

    def backward(self, dout, dafter):
        x, c, h, after = self.cache
        H, C = h.shape[1], c.shape[1]
        dz = (dafter + dout[:, :H]) * (1 - after**2)
        dx = dz @ self.Wx.T + dout[:, H + C :]
        dc = dz @ self.Wc.T + dout[:, H : H + C]
        return dx, dc, dz @ self.Wh.T, x.T @ dz, c.T @ dz, h.T @ dz
"""


def _reading_inputs(rng, N, D, C, H):
    drawn = normal(rng, x=(N, D), c=(N, C), h=(N, H), dout=(N, H + C + D), dafter=(N, H))
    return drawn | {
        name: rng.standard_normal((rows, H)) / np.sqrt(3 * rows) for name, rows in (("Wx", D), ("Wc", C), ("Wh", H))
    }


READING = Exercise(
    number="8.14.5",
    title="A context that was used twice",
    name="Reading",
    points=3,
    call="step = answer(Wx, Wc, Wh)\nout, after = step.forward(x, c, h)\n"
    "dx, dc, dh, dWx, dWc, dWh = step.backward(dout, dafter)",
    outputs=("out", "after", "dx", "dc", "dh", "dWx", "dWc", "dWh"),
    cases=(
        Case("one sentence", lambda rng: _reading_inputs(rng, 1, 2, 4, 3)),
        Case("all sizes are 3", lambda rng: _reading_inputs(rng, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _reading_inputs(rng, 2, size(rng, 4, 6), 6, 3)),
    ),
    reference=_ReadingByNumbers,
    mistakes=(
        Mistake(
            "The context went to the output as well. That part of its gradient is missing.",
            changed(_READING, (" + dout[:, H : H + C]", "")),
        ),
        Mistake(
            "The context was read by the state as well. That part of its gradient is missing.",
            changed(_READING, ("dz @ self.Wc.T + dout[:, H : H + C]", "dout[:, H : H + C]")),
        ),
        Mistake(
            "The embedding went to the output as well. That part of its gradient is missing.",
            changed(_READING, (" + dout[:, H + C :]", "")),
        ),
        Mistake(
            "The embedding was read by the state as well. That part of its gradient is missing.",
            changed(_READING, ("dz @ self.Wx.T + dout[:, H + C :]", "dout[:, H + C :]")),
        ),
        Mistake(
            "The new state went to the output as well as to the next step. The part of the output is missing.",
            changed(_READING, ("(dafter + dout[:, :H])", "dafter")),
        ),
        Mistake(
            "The new state went to the next step as well as to the output. The part of the next step is missing.",
            changed(_READING, ("(dafter + dout[:, :H])", "dout[:, :H]")),
        ),
        Mistake(
            "The parts of dout are cut in another order. In out, state, context and embedding stand side by side.",
            changed(
                _READING,
                ("H, C = h.shape[1], c.shape[1]", "H, C, D = h.shape[1], c.shape[1], x.shape[1]"),
                ("+ dout[:, H + C :]", "+ dout[:, H : H + D]"),
                ("+ dout[:, H : H + C]", "+ dout[:, H + D :]"),
            ),
        ),
        Mistake(
            "The gradient of the tanh is missing: 1 - after**2.",
            changed(_READING, (" * (1 - after**2)", "")),
        ),
    ),
    hints=(
        "Draw the four arrays and an arrow for each use. Where two arrows begin, two gradients are added.",
        "First everything that reaches the new state, dafter and the first H columns of dout, then back through the "
        "tanh. What goes on to x and to c is not all: their columns of dout are to be added.",
    ),
    section=f'{SECTION}, "Backward: what was used twice"',
)

# --- 8.14.6: the states that were fetched -----------------------------------------------------------------------


class _LookByNumbers:
    """Sentence by sentence; gradients by moving every number a little."""

    def __init__(self, Wq, Wk, v):
        self.weights = [Wq.copy(), Wk.copy(), v.copy()]

    def forward(self, h, hs_enc):
        self.inputs = [h.copy(), hs_enc.copy()]
        return self._forward()

    def _forward(self):
        (Wq, Wk, v), rows = self.weights, []
        for query, states in zip(*self.inputs, strict=True):
            e = np.array([np.tanh(query @ Wq + state @ Wk) @ v for state in states])
            rows.append(softmax(e) @ states)
        return np.array(rows)

    def backward(self, dc):
        return tuple(numerical_gradient(self._forward, array, dc) for array in (*self.inputs, *self.weights))


_LOOK = """\
class Look:
    def __init__(self, Wq, Wk, v):
        self.Wq, self.Wk, self.v = Wq, Wk, v

    def forward(self, h, hs_enc):
        u = np.tanh((h @ self.Wq)[:, None] + hs_enc @ self.Wk)  # (N, T, A)
        a = softmax(u @ self.v)  # (N, T)
        self.cache = h, hs_enc, u, a
        return (a[:, :, None] * hs_enc).sum(axis=1)

    def backward(self, dc):
        h, hs_enc, u, a = self.cache
        da = (hs_enc * dc[:, None]).sum(axis=2)
        de = a * (da - (a * da).sum(axis=1, keepdims=True))
        dsum = de[:, :, None] * self.v * (1 - u**2)  # of query + key
        dq = dsum.sum(axis=1)
        dhs_enc = a[:, :, None] * dc[:, None] + dsum @ self.Wk.T
        dWk, dv = np.einsum("ntc,nta->ca", hs_enc, dsum), np.einsum("nt,nta->a", de, u)
        return dq @ self.Wq.T, dhs_enc, h.T @ dq, dWk, dv
"""
_BOTH = "a[:, :, None] * dc[:, None] + dsum @ self.Wk.T"


def _look_inputs(rng, N, T, H, C, A):
    return normal(rng, h=(N, H), hs_enc=(N, T, C), Wq=(H, A), Wk=(C, A), v=(A,), dc=(N, C))


LOOK = Exercise(
    number="8.14.6",
    title="Bug hunt: an encoder that learns only to be found",
    name="Look",
    points=3,
    call="look = answer(Wq, Wk, v)\nc = look.forward(h, hs_enc)\ndh, dhs_enc, dWq, dWk, dv = look.backward(dc)",
    outputs=("c", "dh", "dhs_enc", "dWq", "dWk", "dv"),
    cases=(
        Case("one sentence of two words", lambda rng: _look_inputs(rng, 1, 2, 2, 3, 2)),
        Case("all sizes are 3", lambda rng: _look_inputs(rng, 3, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _look_inputs(rng, 2, size(rng, 4, 6), 3, 6, 7)),
    ),
    reference=_LookByNumbers,
    given={"softmax": softmax},
    bug=Mistake(
        "The states were used twice, for the keys and as what is fetched. Only the gradient of the keys is there.",
        changed(_LOOK, (_BOTH, "dsum @ self.Wk.T")),
    ),
    mistakes=(
        Mistake(
            "Now the gradient of what is fetched is there, and that of the keys is gone. They have to be added.",
            changed(_LOOK, (_BOTH, "a[:, :, None] * dc[:, None]")),
        ),
        Mistake(
            "The gradient of the context is handed to every state in full. A state had the share a in it.",
            changed(_LOOK, (_BOTH, "np.ones_like(a)[:, :, None] * dc[:, None] + dsum @ self.Wk.T")),
        ),
        Mistake(
            "The gradients of the two uses are averaged. They are added.",
            changed(_LOOK, (_BOTH, f"({_BOTH}) / 2")),
        ),
        Mistake(
            "The states are weighed with the scores' gradient. A state had the share a in the context.",
            changed(_LOOK, (_BOTH, "de[:, :, None] * dc[:, None] + dsum @ self.Wk.T")),
        ),
    ),
    hints=(
        "In forward, hs_enc stands in two lines. How many terms should its gradient have?",
        "The last line of forward is a weighted sum, as in chapter 8.2: what does it send back to each state?",
    ),
    section=f'{SECTION}, "Backward: what was used twice"',
)

# --- 8.14.7: a coin too many ------------------------------------------------------------------------------------

_TABLE = "step = lambda ids, state: (logits[state, np.arange(len(ids)), ids], state + 1)\n"


class _WriterByTable:
    """All sentences side by side, the words kept in a table: what is read next is looked up there."""

    def __init__(self, step, coins):
        self.step, self.forced = step, [False, *coins]  # of the steps that read

    def eval(self):
        self.forced = [False] * len(self.forced)

    def write(self, state, ts):
        table = np.zeros(ts.shape, dtype=int)
        table[:, 0] = ts[:, 0]
        for t, forced in zip(range(ts.shape[1] - 1), self.forced, strict=False):
            logits, state = self.step(ts[:, t] if forced else table[:, t], state)
            table[:, t + 1] = logits.argmax(axis=1)
        return table[:, 1:]


_WRITER = """\
class Writer:
    def __init__(self, step, coins):
        self.step, self.coins, self.training = step, coins, True

    def eval(self):
        self.training = False

    def write(self, state, ts):
        told = self.coins & self.training  # (T,)
        ids, written = ts[:, 0], []
        for t in range(ts.shape[1] - 1):
            logits, state = self.step(ids, state)
            written.append(logits.argmax(axis=1))
            ids = ts[:, t + 1] if told[t] else written[-1]
        return np.stack(written, axis=1)
"""
_TOLD = "self.coins & self.training"
_READS = "ts[:, t + 1] if told[t] else written[-1]"


def _answers(rng, N, T, V, training):
    """Logits (T, N, V, V) of every step, sentence and word read; the right answers; and which coins fall on "right"."""
    coins = rng.permutation(np.arange(T) % 2 == 0)
    ts = np.concatenate((np.ones((N, 1), int), rng.integers(0, V, (N, T))), axis=1)
    return {"logits": rng.standard_normal((T, N, V, V)), "ts": ts, "coins": coins, "training": training}


WRITE = Exercise(
    number="8.14.7",
    title="Bug hunt: half of the answers were whispered",
    name="Writer",
    points=2,
    call=_TABLE
    + "writer = answer(step, coins)\nif not training:\n    writer.eval()\nids = np.arange(100)[writer.write(0, ts)]",
    outputs=("ids",),
    cases=(
        Case("one sentence, in use", lambda rng: _answers(rng, 1, 8, 9, False)),
        Case("several sentences, in use", lambda rng: _answers(rng, 3, size(rng, 9, 12), 8, False)),
        Case("one sentence, in training", lambda rng: _answers(rng, 1, 8, 9, True)),
        Case("several sentences, in training", lambda rng: _answers(rng, 3, size(rng, 9, 12), 8, True)),
    ),
    reference=_WriterByTable,
    bug=Mistake(
        "Which steps are told the right word was settled before eval was called, so in use they are told it, too.",
        changed(
            _WRITER,
            (
                "self.step, self.coins, self.training = step, coins, True",
                "self.step, self.training = step, True\n        self.told = coins & self.training",
            ),
            ("        told = self.coins & self.training  # (T,)\n", ""),
            ("told[t]", "self.told[t]"),
        ),
    ),
    mistakes=(
        Mistake(
            "Now no right word is read anymore, not even in training, where the coin says so.",
            changed(_WRITER, (_READS, "written[-1]")),
        ),
        Mistake(
            "In training all right words are read now, whatever the coin says.",
            changed(_WRITER, (_TOLD, "np.full(len(self.coins), self.training)")),
        ),
        Mistake(
            "In use all right words are read now. It should be the other way around: none there.",
            changed(_WRITER, (_TOLD, "self.coins | (not self.training)")),
        ),
        Mistake(
            "The coin is read the wrong way around: True means that the right word is read.",
            changed(_WRITER, (_TOLD, "~self.coins & self.training")),
        ),
        Mistake(
            "The right word comes one step late: after step t the next one to read is ts[:, t + 1].",
            changed(_WRITER, (_READS, "ts[:, t] if told[t] else written[-1]")),
        ),
    ),
    hints=(
        "In use, may anything of ts but the start mark make a difference to what is written?",
        "When is it settled which steps are told the right word? Is eval called before that, or after?",
    ),
    section=f'{SECTION}, "Whose words does it read?"',
)

EXERCISES = (SCORE, FIRST, STACKED, STEP, READING, LOOK, WRITE)
