"""Exercises 8.15: Luong's six steps, their backward pass, the general score, and three bug hunts in a translator."""

from common.functions import softmax
from common.gradient_check import numerical_gradient
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.15"


# --- 8.15.1: six steps ------------------------------------------------------------------------------------------


def _six_steps_in_parts(h, hs, mask, Wa, Wc, W):
    """The matrix of the score meets the encoder's states, padding is a factor, and Wc is cut in two."""
    s = h @ (hs @ Wa.T).swapaxes(1, 2)
    e = np.exp(s - s.max(axis=2, keepdims=True)) * mask[:, None]
    a = e / e.sum(axis=2, keepdims=True)
    upper, lower = np.split(Wc, 2)
    return np.tanh((a @ hs) @ upper + h @ lower) @ W, a


_SIX = """\
def six_steps(h, hs, mask, Wa, Wc, W):
    s = h @ Wa @ hs.swapaxes(1, 2)
    a = softmax(np.where(mask[:, None], s, -np.inf))
    context = a @ hs
    both = np.concatenate((context, h), axis=2)
    fed = np.tanh(both @ Wc)
    return fed @ W, a
"""
_SIX_CALL = "logits, a = answer(h, hs, mask, Wa, Wc, W)"


def _six_inputs(rng, lengths, T, T_dec, H, V):
    N, mask = len(lengths), np.arange(T) < np.array(lengths)[:, None]
    drawn = normal(rng, h=(N, T_dec, H), hs=(N, T, H), Wa=(H, H), W=(H, V))
    return drawn | {"mask": mask, "Wc": rng.standard_normal((2 * H, H)) / np.sqrt(2 * H)}


SIX_STEPS = Exercise(
    number="8.15.1",
    title="Six steps, and no loop",
    name="six_steps",
    points=3,
    call=_SIX_CALL,
    outputs=("logits", "a"),
    cases=(
        Case("one sentence without padding", lambda rng: _six_inputs(rng, [2], 2, 2, 2, 3)),
        Case("all sizes are 3", lambda rng: _six_inputs(rng, rng.permutation([1, 2, 3]), 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _six_inputs(rng, rng.permutation([3, 5]), size(rng, 6, 8), 4, 3, 5)),
    ),
    large=(
        Case(
            "100,000 sentences",
            lambda rng: _six_inputs(rng, [1, 2], 2, 2, 2, 2),
            f"{_SIX_CALL}\nlogits, a = logits[::1000], a[::1000]",
            repeat=dict.fromkeys(("h", "hs", "mask"), (50_000, 0)),
        ),
        Case(
            "100,000 decoder steps",
            lambda rng: _six_inputs(rng, [2], 2, 2, 2, 2),
            f"{_SIX_CALL}\nlogits, a = logits[:, ::1000], a[:, ::1000]",
            repeat={"h": (50_000, 1)},
        ),
    ),
    reference=_six_steps_in_parts,
    given={"softmax": softmax},
    mistakes=(
        Mistake(
            "Padding is not masked: its scores belong at -inf before the softmax.",
            changed(_SIX, ("np.where(mask[:, None], s, -np.inf)", "s")),
        ),
        Mistake(
            "The mask comes after the softmax, so the weights of the words no longer add up to 1.",
            changed(_SIX, ("softmax(np.where(mask[:, None], s, -np.inf))", "softmax(s) * mask[:, None]")),
        ),
        Mistake(
            "The matrix of the score is transposed. It takes the query, on its left, to the encoder's states.",
            changed(_SIX, ("h @ Wa @", "h @ Wa.T @")),
        ),
        Mistake(
            "There is no matrix in the score. This is dot; asked for is general.",
            changed(_SIX, ("h @ Wa @", "h @")),
        ),
        Mistake(
            "The parts are joined in another order. The context comes first, then the state.",
            changed(_SIX, ("(context, h)", "(h, context)")),
        ),
        Mistake(
            "The tanh of the attentional state is missing.",
            changed(_SIX, ("np.tanh(both @ Wc)", "both @ Wc")),
        ),
        Mistake(
            "The output gets the context itself. It should get the attentional state, which knows the decoder's, too.",
            changed(_SIX, ("return fed @ W", "return context @ W")),
        ),
        Mistake(
            "The output gets the decoder's state, so nothing that the attention has found is of use.",
            changed(_SIX, ("return fed @ W", "return h @ W")),
        ),
    ),
    hints=(
        "s has a row for each step of the decoder and a column for each word: (N, T_dec, T). mask lacks an axis.",
        "h @ Wa @ hs.swapaxes(1, 2), where, softmax; a @ hs; concatenate along the last axis; tanh; the output.",
    ),
    section=f'{SECTION}, "Six steps"',
)

# --- 8.15.2: the attentional state, backward --------------------------------------------------------------------


class _StateByNumbers:
    """Every query by itself; gradients by moving every number a little."""

    def __init__(self, Wc):
        self.Wc = Wc.copy()

    def forward(self, hs, h):
        self.inputs = [hs.copy(), h.copy()]
        return self._forward()

    def _forward(self):
        hs, h = self.inputs
        fed = np.empty(h.shape)
        for n, k in np.ndindex(h.shape[:2]):
            fed[n, k] = np.tanh(np.append(softmax(hs[n] @ h[n, k]) @ hs[n], h[n, k]) @ self.Wc)
        return fed

    def backward(self, dfed):
        return tuple(numerical_gradient(self._forward, array, dfed) for array in (*self.inputs, self.Wc))


_STATE = """\
class AttentionalState:
    def __init__(self, Wc):
        self.Wc = Wc

    def forward(self, hs, h):
        a = softmax(h @ hs.swapaxes(1, 2))
        both = np.concatenate((a @ hs, h), axis=2)
        fed = np.tanh(both @ self.Wc)
        self.cache = hs, h, a, both, fed
        return fed

    def backward(self, dfed):
        hs, h, a, both, fed = self.cache
        dz = dfed * (1 - fed**2)
        dWc = np.einsum("nki,nkj->ij", both, dz)
        dcontext, dh_joined = np.split(dz @ self.Wc.T, 2, axis=2)
        da = dcontext @ hs.swapaxes(1, 2)
        ds = a * (da - (a * da).sum(axis=2, keepdims=True))
        dhs = a.swapaxes(1, 2) @ dcontext + ds.swapaxes(1, 2) @ h
        dh = dh_joined + ds @ hs
        return dhs, dh, dWc
"""
_DHS, _DH = "a.swapaxes(1, 2) @ dcontext + ds.swapaxes(1, 2) @ h", "dh_joined + ds @ hs"


def _state_inputs(rng, N, T, T_dec, H):
    drawn = normal(rng, hs=(N, T, H), h=(N, T_dec, H), dfed=(N, T_dec, H))
    return drawn | {"Wc": rng.standard_normal((2 * H, H)) / np.sqrt(2 * H)}


STATE = Exercise(
    number="8.15.2",
    title="Two gradients of h, two of hs",
    name="AttentionalState",
    points=3,
    call="layer = answer(Wc)\nfed = layer.forward(hs, h)\ndhs, dh, dWc = layer.backward(dfed)",
    outputs=("fed", "dhs", "dh", "dWc"),
    cases=(
        Case("one sentence, one step", lambda rng: _state_inputs(rng, 1, 2, 1, 2)),
        Case("all sizes are 3", lambda rng: _state_inputs(rng, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _state_inputs(rng, 2, size(rng, 5, 7), 4, 3)),
    ),
    reference=_StateByNumbers,
    given={"softmax": softmax},
    mistakes=(
        Mistake(
            "h was the query as well. The gradient that comes through the scores is missing.",
            changed(_STATE, (_DH, "dh_joined")),
        ),
        Mistake(
            "h was joined with the context as well. That part of its gradient is missing.",
            changed(_STATE, (_DH, "ds @ hs")),
        ),
        Mistake(
            "The encoder's states were compared with the query as well. That part of their gradient is missing.",
            changed(_STATE, (_DHS, "a.swapaxes(1, 2) @ dcontext")),
        ),
        Mistake(
            "The encoder's states were mixed as well. That part of their gradient is missing.",
            changed(_STATE, (_DHS, "ds.swapaxes(1, 2) @ h")),
        ),
        Mistake(
            "The halves of the gradient have changed places. The context was the first one.",
            changed(_STATE, ("dcontext, dh_joined =", "dh_joined, dcontext =")),
        ),
        Mistake(
            "The gradient of the tanh is missing: 1 - fed**2.",
            changed(_STATE, (" * (1 - fed**2)", "")),
        ),
        Mistake(
            "The gradient of the softmax is not complete: a weight that grows takes from all others.",
            changed(_STATE, ("(da - (a * da).sum(axis=2, keepdims=True))", "da")),
        ),
        Mistake(
            "dWc is that of the first step alone. All steps share the weight, so their gradients are added.",
            changed(_STATE, ('np.einsum("nki,nkj->ij", both, dz)', 'np.einsum("ni,nj->ij", both[:, 0], dz[:, 0])')),
        ),
    ),
    hints=(
        "In forward, count how often h is used to compute something, and how often hs. (The cache only keeps them.)",
        "Tanh; Wc; split into dcontext and the first part of dh; the weighted sum gives da and the first part of dhs; "
        "the softmax gives ds; the product of h and hs gives the second part of both.",
    ),
    section=f'{SECTION}, "Backward: what was used twice"',
)

# --- 8.15.3: general --------------------------------------------------------------------------------------------


class _GeneralByNumbers:
    """The score as a sum over all pairs of numbers; gradients by moving every number a little."""

    def __init__(self, W):
        self.W = W.copy()

    def forward(self, hs, h):
        self.inputs = [hs.copy(), h.copy()]
        return self._forward()

    def _forward(self):
        hs, h = self.inputs
        return np.einsum("nki,ij,ntj->nkt", h, self.W, hs)

    def backward(self, ds):
        return tuple(numerical_gradient(self._forward, array, ds) for array in (*self.inputs, self.W))


_GENERAL = """\
class General:
    def __init__(self, W):
        self.W = W

    def forward(self, hs, h):
        q = h @ self.W
        self.cache = hs, h, q
        return q @ hs.swapaxes(1, 2)

    def backward(self, ds):
        hs, h, q = self.cache
        dq = ds @ hs
        dhs = ds.swapaxes(1, 2) @ q
        dW = (h.swapaxes(1, 2) @ dq).sum(axis=0)
        return dhs, dq @ self.W.T, dW
"""


def _general_inputs(rng, N, T, T_dec, H, C):
    return normal(rng, hs=(N, T, C), h=(N, T_dec, H), W=(H, C), ds=(N, T_dec, T))


GENERAL = Exercise(
    number="8.15.3",
    title="General, and its gradients",
    name="General",
    points=3,
    call="score = answer(W)\ns = score.forward(hs, h)\ndhs, dh, dW = score.backward(ds)",
    outputs=("s", "dhs", "dh", "dW"),
    cases=(
        Case("one sentence, one step", lambda rng: _general_inputs(rng, 1, 2, 1, 2, 2)),
        Case("all sizes are 3", lambda rng: _general_inputs(rng, 3, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _general_inputs(rng, 2, size(rng, 5, 7), 4, 3, 7)),
    ),
    reference=_GeneralByNumbers,
    mistakes=(
        Mistake(
            "The matrix is transposed in forward. It has a row for each number of the query.",
            changed(_GENERAL, ("q = h @ self.W\n", "q = h @ self.W.T\n")),
        ),
        Mistake(
            "The encoder's states met the translated query, h W, and not h: their gradient needs it.",
            changed(_GENERAL, ("ds.swapaxes(1, 2) @ q", "ds.swapaxes(1, 2) @ h")),
        ),
        Mistake(
            "The gradient of the query has not gone back through the matrix.",
            changed(_GENERAL, ("dq @ self.W.T", "dq")),
        ),
        Mistake(
            "The gradient of the query goes back through the matrix itself. Backward it is transposed.",
            changed(_GENERAL, ("dq @ self.W.T", "dq @ self.W")),
        ),
        Mistake(
            "dW is transposed: the rows are those of the query's numbers.",
            changed(_GENERAL, ("(h.swapaxes(1, 2) @ dq)", "(dq.swapaxes(1, 2) @ h)")),
        ),
        Mistake(
            "dW is averaged over the batch. Each sentence moves the same matrix, so its gradient is a sum.",
            changed(_GENERAL, ("dq).sum(axis=0)", "dq).mean(axis=0)")),
        ),
        Mistake(
            "dW is that of the last step alone. All queries share the matrix.",
            changed(_GENERAL, ("(h.swapaxes(1, 2) @ dq)", "(h[:, -1:].swapaxes(1, 2) @ dq[:, -1:])")),
        ),
    ),
    hints=(
        "General is dot with another query. Name the query q = h W, and do first what dot does, forward and backward.",
        "dq = ds hs and dhs = ds^T q for each sentence; then q = h W is a matrix product like that of an affine layer.",
    ),
    section=f'{SECTION}, "Three scores"',
)

# --- 8.15.4: which axis? ----------------------------------------------------------------------------------------


def _look_by_query(hs, h):
    context, a = np.empty(h.shape), np.empty((*h.shape[:2], hs.shape[1]))
    for n, k in np.ndindex(h.shape[:2]):
        a[n, k] = softmax(hs[n] @ h[n, k])
        context[n, k] = a[n, k] @ hs[n]
    return context, a


_LOOK = """\
def look(hs, h):
    s = h @ hs.swapaxes(1, 2)
    e = np.exp(s - s.max(axis=2, keepdims=True))
    a = e / e.sum(axis=2, keepdims=True)
    return a @ hs, a
"""


def _look_inputs(rng, N, T, T_dec, H, scale=1):
    drawn = normal(rng, hs=(N, T, H), h=(N, T_dec, H))
    return drawn | {"h": scale * drawn["h"]}


LOOK = Exercise(
    number="8.15.4",
    title="Bug hunt: a hundred percent of everything",
    name="look",
    points=2,
    call="context, a = answer(hs, h)",
    outputs=("context", "a"),
    cases=(
        Case("one sentence", lambda rng: _look_inputs(rng, 1, 3, 2, 2)),
        Case("all sizes are 3", lambda rng: _look_inputs(rng, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _look_inputs(rng, 2, size(rng, 5, 7), 4, 3)),
        Case("a single step", lambda rng: _look_inputs(rng, 2, size(rng, 3, 6), 1, 2)),
        Case("large scores", lambda rng: _look_inputs(rng, 2, 5, 3, 4, scale=2000)),
    ),
    reference=_look_by_query,
    bug=Mistake(
        "The weights of one word over all steps add up to 1. It should be those of one step over all words.",
        changed(_LOOK, ("axis=2", "axis=1")),
    ),
    mistakes=(
        Mistake(
            "Now the sentences of the batch share their weights. A step should look at the words of its own sentence.",
            changed(_LOOK, ("axis=2", "axis=0")),
        ),
        Mistake(
            "All steps of a sentence together have the weight 1 now. Each step should have it for itself.",
            changed(_LOOK, ("axis=2", "axis=(1, 2)")),
        ),
        Mistake(
            "The sum runs over the words now, but what is subtracted before is still another number for each word.",
            changed(_LOOK, ("s.max(axis=2", "s.max(axis=1")),
        ),
        Mistake(
            "What is subtracted is right now, but the sum still runs over the steps.",
            changed(_LOOK, ("e.sum(axis=2", "e.sum(axis=1")),
        ),
    ),
    hints=(
        "What does each of the three axes of s count? Along which of them should weights add up to 1?",
        "For one step the scores were (N, T), and the words were axis 1. Now the steps have an axis in between.",
    ),
    section=f'{SECTION}, "Six steps"',
)

# --- 8.15.5: what is fed? ---------------------------------------------------------------------------------------

_STEPS = """\
h, fed, outs = first, np.zeros_like(first), []
for t in range(xs.shape[1]):
    out, h, fed = answer(xs[:, t], h, fed, hs, Wx, Wh, Wc)
    outs.append(out)
outs = np.stack(outs, axis=1)
"""


def _feeding_by_rows(x, h, fed, hs, Wx, Wh, Wc):
    """Every sentence by itself, with the weights in parts."""
    of_word, of_fed = np.split(Wx, [x.shape[1]])
    of_context, of_state = np.split(Wc, 2)
    after, outs = np.empty_like(h), np.empty_like(h)
    for n, states in enumerate(hs):
        after[n] = np.tanh(x[n] @ of_word + fed[n] @ of_fed + h[n] @ Wh)
        context = softmax(states @ after[n]) @ states
        outs[n] = np.tanh(context @ of_context + after[n] @ of_state)
    return outs, after, outs


_FEEDING = """\
def feeding_step(x, h, fed, hs, Wx, Wh, Wc):
    h = np.tanh(np.concatenate((x, fed), axis=1) @ Wx + h @ Wh)
    a = softmax(np.einsum("nh,nth->nt", h, hs))
    context = np.einsum("nt,nth->nh", a, hs)
    fed = np.tanh(np.concatenate((context, h), axis=1) @ Wc)
    return fed, h, fed
"""


def _feeding_inputs(rng, N, T, T_dec, D, H):
    drawn = normal(rng, xs=(N, T_dec, D), first=(N, H), hs=(N, T, H))
    weights = {"Wx": (D + H, H), "Wh": (H, H), "Wc": (2 * H, H)}
    return drawn | {name: rng.standard_normal(shape) / np.sqrt(shape[0]) for name, shape in weights.items()}


FEEDING = Exercise(
    number="8.15.5",
    title="Bug hunt: a layer that the future does not know",
    name="feeding_step",
    points=2,
    call=_STEPS,
    outputs=("outs", "h", "fed"),
    cases=(
        Case("two steps", lambda rng: _feeding_inputs(rng, 1, 2, 2, 2, 3)),
        Case("all sizes are 3", lambda rng: _feeding_inputs(rng, 3, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _feeding_inputs(rng, 2, size(rng, 5, 7), 4, 2, 3)),
    ),
    reference=_feeding_by_rows,
    given={"softmax": softmax},
    bug=Mistake(
        "The context itself is fed. The next step should read what the tanh layer made of context and state.",
        changed(
            _FEEDING,
            ("    fed = np.tanh(", "    out = np.tanh("),
            ("return fed, h, fed", "return out, h, context"),
        ),
    ),
    mistakes=(
        Mistake(
            "The state is fed, which the next step has anyway. What is new to it is what the attention found.",
            changed(_FEEDING, ("return fed, h, fed", "return fed, h, h")),
        ),
        Mistake(
            "The next step is fed what this step was fed: the vector of the start, forever.",
            changed(
                _FEEDING, ("    fed = np.tanh(", "    out = np.tanh("), ("return fed, h, fed", "return out, h, fed")
            ),
        ),
        Mistake(
            "The attentional state takes the place of the state. It should join the input; the state goes on as it is.",
            changed(_FEEDING, ("return fed, h, fed", "return fed, fed, fed")),
        ),
        Mistake(
            "The attentional state is fed without its tanh. Output and next step should get the same vector.",
            changed(
                _FEEDING,
                ("fed = np.tanh(np.concatenate((context, h), axis=1) @ Wc)", "z = np.hstack((context, h)) @ Wc"),
                ("return fed, h, fed", "return np.tanh(z), h, z"),
            ),
        ),
        Mistake(
            "Now the output gets the context, too. It should get the attentional state, as the next step does.",
            changed(_FEEDING, ("return fed, h, fed", "return context, h, fed")),
        ),
    ),
    hints=(
        "The function returns three things: for the output, for the state, and for the next step to read. Compare the "
        "first and the third with the drawing of input feeding.",
        "Two of the three are the same array.",
    ),
    section=f'{SECTION}, "Input feeding"',
)

# --- 8.15.6: yesterday's vector ---------------------------------------------------------------------------------

_TWO_SENTENCES = """\
writer = answer(Wx, Wh, Wc)
texts = []
for hs in (first, second, first):
    writer.start(hs)
    texts.append(np.stack([writer.step(xs[:, t]) for t in range(xs.shape[1])], axis=1))
one, other, again = texts
"""


class _WriterWithoutMemory:
    """Keeps what it has read since start, and computes all of it anew at each step."""

    def __init__(self, Wx, Wh, Wc):
        self.weights = Wx, Wh, Wc

    def start(self, hs):
        self.hs, self.read = hs, []

    def step(self, x):
        self.read.append(x)
        h, fed = self.hs[:, -1], np.zeros(self.hs[:, -1].shape)
        for word in self.read:
            fed, h, _ = _feeding_by_rows(word, h, fed, self.hs, *self.weights)
        return fed


_WRITER = """\
class Writer:
    def __init__(self, Wx, Wh, Wc):
        self.Wx, self.Wh, self.Wc = Wx, Wh, Wc

    def start(self, hs):
        self.hs, self.h = hs, hs[:, -1]
        self.fed = np.zeros_like(self.h)

    def step(self, x):
        read = np.concatenate((x, self.fed), axis=1)
        self.h = np.tanh(read @ self.Wx + self.h @ self.Wh)
        a = softmax(np.einsum("nh,nth->nt", self.h, self.hs))
        context = np.einsum("nt,nth->nh", a, self.hs)
        self.fed = np.tanh(np.concatenate((context, self.h), axis=1) @ self.Wc)
        return self.fed
"""
_ZEROED = "        self.fed = np.zeros_like(self.h)\n"


def _writer_inputs(rng, N, T, T_dec, D, H):
    drawn = normal(rng, xs=(N, T_dec, D), first=(N, T, H), second=(N, T + 1, H))
    weights = {"Wx": (D + H, H), "Wh": (H, H), "Wc": (2 * H, H)}
    return drawn | {name: rng.standard_normal(shape) / np.sqrt(shape[0]) for name, shape in weights.items()}


WRITER = Exercise(
    number="8.15.6",
    title="Bug hunt: it depends on what came before",
    name="Writer",
    points=2,
    call=_TWO_SENTENCES,
    outputs=("one", "other", "again"),
    cases=(
        Case("one word each", lambda rng: _writer_inputs(rng, 1, 2, 1, 2, 2)),
        Case("all sizes are 3", lambda rng: _writer_inputs(rng, 3, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _writer_inputs(rng, 2, size(rng, 5, 7), 4, 2, 3)),
    ),
    reference=_WriterWithoutMemory,
    given={"softmax": softmax},
    bug=Mistake(
        "A new sentence begins with what the last one fed: start sets the state, and not the fed vector.",
        changed(
            _WRITER,
            ("= Wx, Wh, Wc\n", "= Wx, Wh, Wc\n        self.fed = None\n"),
            (_ZEROED, "        if self.fed is None:\n            self.fed = np.zeros_like(self.h)\n"),
        ),
    ),
    mistakes=(
        Mistake(
            "Now nothing is fed at all: the vector is set to zeros at every step.",
            changed(_WRITER, ("    def step(self, x):\n", "    def step(self, x):\n" + _ZEROED)),
        ),
        Mistake(
            "A sentence begins with the encoder's last state instead of zeros. Nothing was found yet.",
            changed(_WRITER, ("np.zeros_like(self.h)", "self.h")),
        ),
        Mistake(
            "A sentence begins with ones. Nothing was found yet, and that is zeros.",
            changed(_WRITER, ("np.zeros_like(self.h)", "np.ones_like(self.h)")),
        ),
        Mistake(
            "The state is zero at the start now. It is the fed vector that should be; the state is the encoder's last.",
            changed(_WRITER, ("self.hs, self.h = hs, hs[:, -1]", "self.hs, self.h = hs, 0 * hs[:, -1]")),
        ),
    ),
    hints=(
        "Translate the same sentence twice. What can the second time know that the first did not?",
        "Each attribute that step changes has to be set anew when a sentence begins. There are two.",
    ),
    section=f'{SECTION}, "Input feeding"',
)

EXERCISES = (SIX_STEPS, STATE, GENERAL, LOOK, FEEDING, WRITER)
