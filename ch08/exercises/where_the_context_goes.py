"""Exercises 8.10: the vector that is fed, its gradients, Bahdanau's order, and two bug hunts in loops."""

from common.functions import softmax
from common.gradient_check import numerical_gradient
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.10"


def attend(hs_enc, h):
    """The context (N, H) of a query h (N, H)."""
    a = softmax(np.einsum("nth,nh->nt", hs_enc, h))
    return np.einsum("nt,nth->nh", a, hs_enc)


# --- 8.10.1: the vector that is fed -----------------------------------------------------------------------------


class _FedByParts:
    """The weight in two halves, and a gradient of fed that is added up element by element."""

    def __init__(self, W):
        self.upper, self.lower = np.split(W, 2)

    def forward(self, context, h):
        self.inputs = context, h
        self.fed = np.tanh(np.einsum("nk,kh->nh", context, self.upper) + np.einsum("nk,kh->nh", h, self.lower))
        return self.fed

    def backward(self, dout, dfed):
        dz = np.array([dout, dfed]).sum(axis=0) / np.cosh(np.arctanh(self.fed)) ** 2
        return dz @ self.upper.T, dz @ self.lower.T, np.vstack([x.T @ dz for x in self.inputs])


_FED = """\
class Fed:
    def __init__(self, W):
        self.W = W

    def forward(self, context, h):
        self.joined = np.concatenate((context, h), axis=1)
        self.fed = np.tanh(self.joined @ self.W)
        return self.fed

    def backward(self, dout, dfed):
        dz = (dout + dfed) * (1 - self.fed**2)
        dcontext, dh = np.split(dz @ self.W.T, 2, axis=1)
        return dcontext, dh, self.joined.T @ dz
"""


def _fed_inputs(rng, N, H):
    drawn = normal(rng, context=(N, H), h=(N, H), dout=(N, H), dfed=(N, H))
    return drawn | {"W": rng.standard_normal((2 * H, H)) / np.sqrt(2 * H)}


FED = Exercise(
    number="8.10.1",
    title="The vector that is fed",
    name="Fed",
    points=2,
    call="layer = answer(W)\nfed = layer.forward(context, h)\ndcontext, dh, dW = layer.backward(dout, dfed)",
    outputs=("fed", "dcontext", "dh", "dW"),
    cases=(
        Case("one sequence, H = 1", lambda rng: _fed_inputs(rng, 1, 1)),
        Case("N = H", lambda rng: _fed_inputs(rng, 3, 3)),
        Case("N and H differ", lambda rng: _fed_inputs(rng, 2, size(rng, 4, 7))),
    ),
    reference=_FedByParts,
    mistakes=(
        Mistake(
            "The gradient from the next step is lost. fed goes to the output and into the next step.",
            changed(_FED, ("(dout + dfed)", "dout")),
        ),
        Mistake(
            "The gradient from the output is lost. fed goes to the output and into the next step.",
            changed(_FED, ("(dout + dfed)", "dfed")),
        ),
        Mistake(
            "The gradient has not gone back through tanh, whose derivative is 1 minus the square of its output.",
            changed(_FED, (" * (1 - self.fed**2)", "")),
        ),
        Mistake(
            "The state comes first. The upper half of the weight is for the context.",
            changed(_FED, ("(context, h), axis", "(h, context), axis"), ("dcontext, dh = np", "dh, dcontext = np")),
        ),
        Mistake(
            "Context and state are joined and multiplied by the weight, but there is no tanh.",
            changed(_FED, ("np.tanh(self.joined @ self.W)", "self.joined @ self.W"), (" * (1 - self.fed**2)", "")),
        ),
    ),
    hints=(
        "In backward, begin where fed leaves the layer. It leaves for two places: what happens to their gradients?",
        "Add dout and dfed and multiply by 1 - fed**2: that is the gradient inside of tanh. The rest is the rule of a "
        "matrix product, and a cut in two halves.",
    ),
    section=f'{SECTION}, "One step of input feeding"',
)

# --- 8.10.2: one step, backward ---------------------------------------------------------------------------------


class _StepByNumbers:
    """The step's forward, and gradients by moving every number a little."""

    def __init__(self, Wx, Wf, Wh, Wc, Ws):
        self.weights = Wx, Wf, Wh, Wc, Ws

    def forward(self, x, h, fed, hs_enc):
        self.inputs = [array.copy() for array in (x, h, fed, hs_enc)]
        return self._forward(*self.inputs)

    def _forward(self, x, h, fed, hs_enc):
        Wx, Wf, Wh, Wc, Ws = self.weights
        h = np.tanh(np.hstack((x, fed, h)) @ np.vstack((Wx, Wf, Wh)))
        fed = np.tanh(np.hstack((attend(hs_enc, h), h)) @ np.vstack((Wc, Ws)))
        return fed, h, fed

    def backward(self, dout, dh, dfed):
        douts = dout, dh, dfed
        return tuple(numerical_gradient(lambda: self._forward(*self.inputs), x, douts) for x in self.inputs)


_STEP = """\
class Step:
    def __init__(self, Wx, Wf, Wh, Wc, Ws):
        self.Wx, self.Wf, self.Wh, self.Wc, self.Ws = Wx, Wf, Wh, Wc, Ws
        self.attention = Attention()

    def forward(self, x, h, fed, hs_enc):
        self.h = np.tanh(x @ self.Wx + fed @ self.Wf + h @ self.Wh)
        context = self.attention.forward(hs_enc, self.h)
        self.fed = np.tanh(context @ self.Wc + self.h @ self.Ws)
        return self.fed, self.h, self.fed

    def backward(self, dout, dh, dfed):
        dz = (dout + dfed) * (1 - self.fed**2)
        dhs_enc, dquery = self.attention.backward(dz @ self.Wc.T)
        dh = (dh + dquery + dz @ self.Ws.T) * (1 - self.h**2)
        return dh @ self.Wx.T, dh @ self.Wh.T, dh @ self.Wf.T, dhs_enc
"""


class Attention:
    """One query for each sequence: hs_enc (N, T_enc, H), h (N, H) -> context (N, H)."""

    def forward(self, hs_enc, h):
        """Return the context (N, H)."""
        self.inputs = hs_enc, h
        self.weights = softmax(np.einsum("nth,nh->nt", hs_enc, h))
        return np.einsum("nt,nth->nh", self.weights, hs_enc)

    def backward(self, dcontext):
        """Return dhs_enc (N, T_enc, H) and dh (N, H)."""
        (hs_enc, h), a = self.inputs, self.weights
        da = np.einsum("nth,nh->nt", hs_enc, dcontext)
        ds = a * (da - (a * da).sum(axis=1, keepdims=True))
        dhs_enc = np.einsum("nt,nh->nth", a, dcontext) + np.einsum("nt,nh->nth", ds, h)
        return dhs_enc, np.einsum("nt,nth->nh", ds, hs_enc)


def _weights(rng, D, H):
    shapes = {"Wx": (D, H), "Wf": (H, H), "Wh": (H, H), "Wc": (H, H), "Ws": (H, H)}
    return {name: rng.standard_normal(shape) / np.sqrt(H) for name, shape in shapes.items()}


def _step_inputs(rng, N, T_enc, D, H):
    states = normal(rng, x=(N, D), h=(N, H), fed=(N, H), hs_enc=(N, T_enc, H))
    return _weights(rng, D, H) | states | normal(rng, dout=(N, H), dh=(N, H), dfed=(N, H))


STEP = Exercise(
    number="8.10.2",
    title="Three gradients of one state",
    name="Step",
    points=3,
    call="step = answer(Wx, Wf, Wh, Wc, Ws)\nout, h_new, fed_new = step.forward(x, h, fed, hs_enc)\n"
    "dx, dh_before, dfed_before, dhs_enc = step.backward(dout, dh, dfed)",
    outputs=("out", "h_new", "fed_new", "dx", "dh_before", "dfed_before", "dhs_enc"),
    cases=(
        Case("one sequence", lambda rng: _step_inputs(rng, 1, 2, 2, 3)),
        Case("N = T_enc = H", lambda rng: _step_inputs(rng, 3, 3, 2, 3)),
        Case("all sizes differ", lambda rng: _step_inputs(rng, 2, size(rng, 4, 6), 5, 3)),
    ),
    reference=_StepByNumbers,
    given={"softmax": softmax, "Attention": Attention},
    mistakes=(
        Mistake(
            "The gradient that the attention sends to its query is lost. h has three uses.",
            changed(_STEP, ("dh + dquery + dz", "dh + dz")),
        ),
        Mistake(
            "The gradient that comes to h past the attention is lost. h was joined with the context, too.",
            changed(_STEP, ("dh + dquery + dz @ self.Ws.T", "dh + dquery")),
        ),
        Mistake(
            "The gradient that comes to h from the next step is lost.",
            changed(_STEP, ("dh + dquery + dz", "dquery + dz")),
        ),
        Mistake(
            "The gradient that comes to fed from the next step is lost.",
            changed(_STEP, ("(dout + dfed)", "dout")),
        ),
        Mistake(
            "The gradient of h has not gone back through its tanh.",
            changed(_STEP, (" * (1 - self.h**2)", "")),
        ),
        Mistake(
            "backward returns its gradients in the wrong order: h comes before fed in the arguments of forward.",
            changed(_STEP, ("dh @ self.Wh.T, dh @ self.Wf.T", "dh @ self.Wf.T, dh @ self.Wh.T")),
        ),
    ),
    hints=(
        "Go through forward from its last line to its first. How often is each value used, counting the next step?",
        "fed: add dout and dfed, then back through tanh. h: add what comes from the next step (dh), from the attention "
        "(its second gradient) and through Ws, then back through tanh. That goes through Wx, Wh and Wf.",
    ),
    section=f'{SECTION}, "One step of input feeding"',
)

# --- 8.10.3: never fed ------------------------------------------------------------------------------------------


def _decode_by_one_row(xs, hs_enc, Wx, Wf, Wh, Wc, Ws):
    """Row by row, all steps of one sequence at a time."""
    outs = np.zeros((*xs.shape[:2], len(Wh)))
    for row, states, out in zip(xs, hs_enc, outs, strict=True):
        h, before = states[-1:], np.zeros((1, len(Wh)))
        for t, x in enumerate(row):
            h = np.tanh(np.hstack((x[None], before, h)) @ np.vstack((Wx, Wf, Wh)))
            before = np.tanh(np.hstack((attend(states[None], h), h)) @ np.vstack((Wc, Ws)))
            out[t] = before[0]
    return outs


_DECODE = """\
def decode(xs, hs_enc, Wx, Wf, Wh, Wc, Ws):
    h = hs_enc[:, -1]  # (N, H)
    fed = np.zeros_like(h)
    outs = []
    for t in range(xs.shape[1]):
        h = np.tanh(xs[:, t] @ Wx + fed @ Wf + h @ Wh)
        context = attend(hs_enc, h)
        fed = np.tanh(context @ Wc + h @ Ws)
        outs.append(fed)
    return np.stack(outs, axis=1)  # (N, T, H)
"""


def _decode_inputs(rng, N, T_enc, T, D, H):
    return normal(rng, xs=(N, T, D), hs_enc=(N, T_enc, H)) | _weights(rng, D, H)


NEVER_FED = Exercise(
    number="8.10.3",
    title="Bug hunt: a weight without effect",
    name="decode",
    points=2,
    call="outs = answer(xs, hs_enc, Wx, Wf, Wh, Wc, Ws)",
    outputs=("outs",),
    cases=(
        Case("two steps", lambda rng: _decode_inputs(rng, 1, 2, 2, 2, 3)),
        Case("N = T_enc = T", lambda rng: _decode_inputs(rng, 3, 3, 3, 2, 4)),
        Case("all sizes differ", lambda rng: _decode_inputs(rng, 2, size(rng, 5, 8), 4, 5, 3)),
    ),
    reference=_decode_by_one_row,
    given={"attend": attend},
    bug=Mistake(
        "What a step puts out never reaches the next one: every step is fed the vector of the start.",
        changed(
            _DECODE,
            ("        fed = np.tanh(context @ Wc + h @ Ws)\n        outs.append(fed)\n", "        out = OUT\n"),
            ("out = OUT\n", "out = np.tanh(context @ Wc + h @ Ws)\n        outs.append(out)\n"),
        ),
    ),
    mistakes=(
        Mistake(
            "The context itself is fed. Luong feeds what the tanh layer makes of context and state.",
            changed(_DECODE, ("outs.append(fed)", "outs.append(fed)\n        fed = context")),
        ),
        Mistake(
            "The state h is fed, which the LSTM has anyway. What is new to it is what the attention found.",
            changed(_DECODE, ("outs.append(fed)", "outs.append(fed)\n        fed = h")),
        ),
        Mistake(
            "The fed vector takes the place of the state. It should join the input, and the state goes on as it is.",
            changed(_DECODE, ("outs.append(fed)", "outs.append(fed)\n        h = fed")),
        ),
        Mistake(
            "Before the first step nothing was found yet, so zeros are fed there, and not a state of the encoder.",
            changed(_DECODE, ("np.zeros_like(h)", "h")),
        ),
        Mistake(
            "Every step feeds the sum of all vectors so far. Only the last one goes into the next step.",
            changed(
                _DECODE,
                (
                    "fed = np.tanh(context @ Wc + h @ Ws)",
                    "out = np.tanh(context @ Wc + h @ Ws)\n        fed = fed + out",
                ),
                ("outs.append(fed)", "outs.append(out)"),
            ),
        ),
    ),
    hints=(
        "The loop reads fed at every step. Where is it written?",
        "What the tanh layer puts out at step t has to be in fed when step t + 1 begins.",
    ),
    section=f'{SECTION}, "The loop comes back"',
)

# --- 8.10.4: Bahdanau's order -----------------------------------------------------------------------------------


def _same_step_by_parts(x, h, hs_enc, Wx, Wc, Wh):
    context = np.stack([states.T @ softmax(states @ query) for states, query in zip(hs_enc, h, strict=True)])
    return context, np.tanh(np.hstack((x, context, h)) @ np.vstack((Wx, Wc, Wh)))


_SAME_STEP = """\
def same_step(x, h, hs_enc, Wx, Wc, Wh):
    context = attend(hs_enc, h)
    h_new = np.tanh(x @ Wx + context @ Wc + h @ Wh)
    return context, h_new
"""


def _same_step_inputs(rng, N, T_enc, D, H):
    weights = _weights(rng, D, H)
    return {name: weights[name] for name in ("Wx", "Wc", "Wh")} | normal(rng, x=(N, D), h=(N, H), hs_enc=(N, T_enc, H))


SAME_STEP = Exercise(
    number="8.10.4",
    title="Look first, then read",
    name="same_step",
    points=1,
    call="context, h_new = answer(x, h, hs_enc, Wx, Wc, Wh)",
    outputs=("context", "h_new"),
    cases=(
        Case("one sequence", lambda rng: _same_step_inputs(rng, 1, 2, 2, 3)),
        Case("N = T_enc = H", lambda rng: _same_step_inputs(rng, 3, 3, 2, 3)),
        Case("all sizes differ", lambda rng: _same_step_inputs(rng, 2, size(rng, 4, 7), 5, 3)),
    ),
    reference=_same_step_by_parts,
    given={"attend": attend},
    mistakes=(
        Mistake(
            "The query is a state that has read x already. In Bahdanau's order the state before asks.",
            "def same_step(x, h, hs_enc, Wx, Wc, Wh):\n    context = attend(hs_enc, np.tanh(x @ Wx + h @ Wh))\n"
            "    return context, np.tanh(x @ Wx + context @ Wc + h @ Wh)\n",
        ),
        Mistake(
            "The recurrent layer does not read the context: it should go into the step that asked for it.",
            changed(_SAME_STEP, (" + context @ Wc", "")),
        ),
        Mistake(
            "The context takes the place of the state before. The recurrent layer reads x, context and state.",
            changed(_SAME_STEP, (" + h @ Wh", "")),
        ),
        Mistake(
            "The context that is returned was asked for by the new state. Return the one that the step has read.",
            changed(_SAME_STEP, ("return context, h_new", "return attend(hs_enc, h_new), h_new")),
        ),
    ),
    hints=(
        "The recurrent layer needs the context. Which state is there before it has run?",
        "attend(hs_enc, h) with the state before, then tanh of three products: of x, of the context and of h.",
    ),
    section=f'{SECTION}, "The LSTM of the same step"',
)

# --- 8.10.5: which fed? -----------------------------------------------------------------------------------------


class _LoopByNumbers:
    """The loop's forward, and gradients by moving every number a little."""

    def __init__(self, Wx, Wf, Wh, Wc, Ws):
        self.Wf, self.rest = Wf.copy(), (Wx, Wh, Wc, Ws)

    def forward(self, xs, contexts):
        self.inputs = xs.copy(), contexts.copy()
        return self._forward()

    def _forward(self):
        Wx, Wh, Wc, Ws = self.rest
        xs, contexts = self.inputs
        h = fed = np.zeros((len(xs), len(Wh)))
        outs = []
        for x, context in zip(xs.swapaxes(0, 1), contexts.swapaxes(0, 1), strict=True):
            h = np.tanh(np.hstack((x, fed, h)) @ np.vstack((Wx, self.Wf, Wh)))
            fed = np.tanh(np.hstack((context, h)) @ np.vstack((Wc, Ws)))
            outs.append(fed)
        return np.stack(outs, axis=1)

    def backward(self, douts):
        return tuple(numerical_gradient(self._forward, array, douts) for array in (self.inputs[0], self.Wf))


_LOOP = """\
class FeedingLoop:
    def __init__(self, Wx, Wf, Wh, Wc, Ws):
        self.Wx, self.Wf, self.Wh, self.Wc, self.Ws = Wx, Wf, Wh, Wc, Ws

    def forward(self, xs, contexts):
        h = fed = np.zeros((len(xs), len(self.Wh)))  # (N, H)
        self.cache = []
        for t in range(xs.shape[1]):
            before = fed
            h = np.tanh(xs[:, t] @ self.Wx + fed @ self.Wf + h @ self.Wh)
            fed = np.tanh(contexts[:, t] @ self.Wc + h @ self.Ws)
            self.cache.append((h, fed, before))
        return np.stack([fed for _, fed, _ in self.cache], axis=1)  # (N, T, H)

    def backward(self, douts):
        dh = dfed = np.zeros_like(douts[:, 0])
        dxs, dWf = [], np.zeros_like(self.Wf)
        for t in reversed(range(douts.shape[1])):
            h, fed, before = self.cache[t]
            dtanh = (douts[:, t] + dfed) * (1 - fed**2)
            dz = (dh + dtanh @ self.Ws.T) * (1 - h**2)
            dWf += before.T @ dz
            dh, dfed = dz @ self.Wh.T, dz @ self.Wf.T
            dxs.append(dz @ self.Wx.T)
        return np.stack(dxs[::-1], axis=1), dWf
"""


def _loop_inputs(rng, N, T, D, H):
    return normal(rng, xs=(N, T, D), contexts=(N, T, H), douts=(N, T, H)) | _weights(rng, D, H)


WHICH_FED = Exercise(
    number="8.10.5",
    title="Bug hunt: one gradient of many",
    name="FeedingLoop",
    points=2,
    call="loop = answer(Wx, Wf, Wh, Wc, Ws)\nouts = loop.forward(xs, contexts)\ndxs, dWf = loop.backward(douts)",
    outputs=("outs", "dxs", "dWf"),
    cases=(
        Case("two steps", lambda rng: _loop_inputs(rng, 1, 2, 2, 2)),
        Case("N = T = H", lambda rng: _loop_inputs(rng, 3, 3, 2, 3)),
        Case("all sizes differ", lambda rng: _loop_inputs(rng, 2, size(rng, 4, 6), 5, 3)),
        Case("one step", lambda rng: _loop_inputs(rng, 2, 1, 3, 4)),
    ),
    reference=_LoopByNumbers,
    bug=Mistake(
        "The gradient of Wf is made with a vector of the step itself, which is not what forward multiplied by Wf.",
        changed(
            _LOOP,
            ("            before = fed\n", ""),
            ("(h, fed, before)", "(h, fed)"),
            ("[fed for _, fed, _ in", "[fed for _, fed in"),
            ("h, fed, before =", "h, fed ="),
            ("before.T @ dz", "fed.T @ dz"),
        ),
    ),
    mistakes=(
        Mistake(
            "Now the derivative of tanh is taken at the vector of the step before. It belongs to what tanh put out.",
            changed(_LOOP, ("(1 - fed**2)", "(1 - before**2)")),
        ),
        Mistake(
            "The gradient of Wf is that of one step only. All steps use Wf, so their gradients are added up.",
            changed(_LOOP, ("dWf += before.T @ dz", "dWf = before.T @ dz")),
        ),
        Mistake(
            "The gradient of Wf is made with the state h. In forward, Wf was multiplied by what was fed.",
            changed(_LOOP, ("before.T @ dz", "h.T @ dz")),
        ),
        Mistake(
            "The gradient that comes back from the next step is lost. fed goes to the output and into that step.",
            changed(_LOOP, ("(douts[:, t] + dfed)", "douts[:, t]")),
        ),
    ),
    hints=(
        "Only dWf is wrong. In forward, what exactly is multiplied by Wf at step t?",
        "When step t multiplies by Wf, fed is still what step t - 1 put out. Keep that in the cache, too.",
    ),
    section=f'{SECTION}, "The loop comes back"',
)

EXERCISES = (FED, STEP, NEVER_FED, SAME_STEP, WHICH_FED)
