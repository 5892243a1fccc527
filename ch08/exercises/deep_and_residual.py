"""Exercises 8.11: a sum in both directions, norms by layer, the context of all layers, dropout, and two bug hunts."""

from common.gradient_check import numerical_gradient
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.11"


def _weights(rng, L, H):
    """Weights (L, H, H) of layers that neither swell nor fade."""
    return rng.standard_normal((L, H, H)) / np.sqrt(H)


# --- 8.11.1: a layer and what goes past it ----------------------------------------------------------------------


class _SkipByNumbers:
    """The layer's forward, and gradients by moving every number a little."""

    def __init__(self, W):
        self.W = W.copy()

    def forward(self, x):
        self.x = x.copy()
        return self._forward()

    def _forward(self):
        return np.array([row + np.tanh(self.W.T @ row) for row in self.x])

    def backward(self, dout):
        return tuple(numerical_gradient(self._forward, array, dout) for array in (self.x, self.W))


_SKIP = """\
class Skip:
    def __init__(self, W):
        self.W = W

    def forward(self, x):
        self.x, self.f = x, np.tanh(x @ self.W)
        return self.f + x

    def backward(self, dout):
        dz = dout * (1 - self.f**2)
        return dz @ self.W.T + dout, self.x.T @ dz
"""


def _skip_inputs(rng, N, H):
    return {"W": _weights(rng, 1, H)[0]} | normal(rng, x=(N, H), dout=(N, H))


SKIP = Exercise(
    number="8.11.1",
    title="A layer, and past it",
    name="Skip",
    points=2,
    call="layer = answer(W)\ny = layer.forward(x)\ndx, dW = layer.backward(dout)",
    outputs=("y", "dx", "dW"),
    cases=(
        Case("one row, H = 1", lambda rng: _skip_inputs(rng, 1, 1)),
        Case("N = H", lambda rng: _skip_inputs(rng, 3, 3)),
        Case("N and H differ", lambda rng: _skip_inputs(rng, 2, size(rng, 4, 7))),
    ),
    reference=_SkipByNumbers,
    mistakes=(
        Mistake(
            "The gradient that goes past the layer is lost: x reaches y along two ways.",
            changed(_SKIP, ("dz @ self.W.T + dout", "dz @ self.W.T")),
        ),
        Mistake(
            "What goes past the layer was multiplied by the derivative of tanh. A sum passes a gradient on unchanged.",
            changed(_SKIP, ("dz @ self.W.T + dout", "dz @ self.W.T + dz")),
        ),
        Mistake(
            "The derivative of tanh is made with the sum y. It needs what tanh put out.",
            changed(_SKIP, ("(1 - self.f**2)", "(1 - (self.f + self.x)**2)")),
        ),
        Mistake(
            "The input is overwritten by what the layer says, so that is added to itself.",
            changed(_SKIP, ("return self.f + x", "return self.f + self.f")),
        ),
        Mistake(
            "The input is added before tanh. A skip connection adds it to what the layer puts out.",
            changed(_SKIP, ("np.tanh(x @ self.W)", "np.tanh(x @ self.W + x)"), ("return self.f + x", "return self.f")),
        ),
        Mistake(
            "The gradient has not gone back through tanh, whose derivative is 1 minus the square of its output.",
            changed(_SKIP, (" * (1 - self.f**2)", "")),
        ),
    ),
    hints=(
        "y is a sum of two terms, and x is in both. What does each term send back to x?",
        "Keep f = tanh(x W). dz = dout * (1 - f**2) is the gradient inside of tanh; to x go dz W^T and, past the "
        "layer, dout itself. dW is that of a matrix product.",
    ),
    section=f'{SECTION}, "A sum passes its gradient on"',
)

# --- 8.11.2: norms by layer -------------------------------------------------------------------------------------


def _norms_by_jacobians(fs, Ws, dout):
    """A matrix of derivatives for every row and layer, multiplied from the top."""
    found = []
    for past in (0, 1):
        squares = np.zeros(len(Ws))
        for n, d in enumerate(dout):
            for k in range(len(Ws) - 1, -1, -1):
                squares[k] += d @ d
                d = (Ws[k] @ np.diag(1 / np.cosh(np.arctanh(fs[k, n])) ** 2) + past * np.eye(len(d))) @ d
        found.append(np.sqrt(squares))
    return tuple(found)


_NORMS = """\
def norms(fs, Ws, dout):
    found = []
    for past in (0, 1):
        dh, row = dout, []
        for f, W in zip(fs[::-1], Ws[::-1]):
            row.append(np.sqrt((dh**2).sum()))
            dh = (dh * (1 - f**2)) @ W.T + past * dh
        found.append(np.array(row[::-1]))
    return found
"""


def _norms_inputs(rng, L, N, H):
    fs = np.tanh(rng.standard_normal((L, N, H)))
    return {"fs": fs, "Ws": _weights(rng, L, H), "dout": rng.standard_normal((N, H))}


NORMS = Exercise(
    number="8.11.2",
    title="How much arrives where?",
    name="norms",
    points=2,
    call="plain, skip = answer(fs, Ws, dout)",
    outputs=("plain", "skip"),
    cases=(
        Case("two layers", lambda rng: _norms_inputs(rng, 2, 1, 2)),
        Case("L = N = H", lambda rng: _norms_inputs(rng, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _norms_inputs(rng, 4, 2, size(rng, 5, 8))),
    ),
    reference=_norms_by_jacobians,
    mistakes=(
        Mistake(
            "The norms stand in the order in which the gradient travels. The first layer's comes first.",
            changed(_NORMS, ("row[::-1]", "row")),
        ),
        Mistake(
            "These are the norms below each layer. The exercise asks for the gradient that arrives at its output.",
            changed(
                _NORMS,
                ("            row.append(np.sqrt((dh**2).sum()))\n", ""),
                ("+ past * dh\n", "+ past * dh\n            row.append(np.sqrt((dh**2).sum()))\n"),
            ),
        ),
        Mistake(
            "These are sums of squares. A norm is the square root of one.",
            changed(_NORMS, ("np.sqrt((dh**2).sum())", "(dh**2).sum()")),
        ),
        Mistake(
            "The gradient goes up through the layers: it has to go from the last layer to the first.",
            changed(_NORMS, ("zip(fs[::-1], Ws[::-1])", "zip(fs, Ws)"), ("row[::-1]", "row")),
        ),
        Mistake(
            "A gradient goes back through a matrix product by the transposed weight.",
            changed(_NORMS, ("@ W.T", "@ W")),
        ),
        Mistake(
            "With a skip connection, only what goes past the layers is counted. What goes through them is added to it.",
            changed(_NORMS, ("(dh * (1 - f**2)) @ W.T + past * dh", "dh if past else (dh * (1 - f**2)) @ W.T")),
        ),
    ),
    hints=(
        "Begin with dout at the last layer, and note the norm before you go through the layer.",
        "Through layer k: dz = dh * (1 - fs[k]**2), and below it dz @ Ws[k].T; with a skip connection plus dh. At the "
        "end, reverse the list.",
    ),
    section=f'{SECTION}, "Measured: before training"',
)

# --- 8.11.3: the context of all layers --------------------------------------------------------------------------


class _UpperByNumbers:
    """The layers' forward, and gradients by moving every number a little."""

    def __init__(self, Ws):
        self.halves = [np.split(W, 2) for W in Ws]

    def forward(self, h, c):
        self.inputs = h.copy(), c.copy()
        return self._forward()

    def _forward(self):
        h, c = self.inputs
        for of_h, of_c in self.halves:
            h = h + np.tanh(h @ of_h + c @ of_c)
        return np.hstack((c, h))

    def backward(self, dout):
        return tuple(numerical_gradient(self._forward, array, dout) for array in self.inputs)


_UPPER = """\
class Upper:
    def __init__(self, Ws):
        self.Ws = Ws

    def forward(self, h, c):
        self.fs = []
        for W in self.Ws:
            f = np.tanh(np.concatenate((h, c), axis=1) @ W)
            self.fs.append(f)
            h = h + f
        return np.concatenate((c, h), axis=1)

    def backward(self, dout):
        dc, dh = np.split(dout, 2, axis=1)
        H = dh.shape[1]
        for W, f in zip(self.Ws[::-1], self.fs[::-1]):
            dboth = (dh * (1 - f**2)) @ W.T
            dc = dc + dboth[:, H:]
            dh = dh + dboth[:, :H]
        return dh, dc
"""


def _upper_inputs(rng, L, N, H):
    Ws = rng.standard_normal((L, 2 * H, H)) / np.sqrt(2 * H)
    return {"Ws": Ws} | normal(rng, h=(N, H), c=(N, H), dout=(N, 2 * H))


UPPER = Exercise(
    number="8.11.3",
    title="One context, many readers",
    name="Upper",
    points=3,
    call="layers = answer(Ws)\nout = layers.forward(h, c)\ndh, dc = layers.backward(dout)",
    outputs=("out", "dh", "dc"),
    cases=(
        Case("one layer", lambda rng: _upper_inputs(rng, 1, 1, 2)),
        Case("L = N = H", lambda rng: _upper_inputs(rng, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _upper_inputs(rng, 4, 2, size(rng, 5, 8))),
    ),
    reference=_UpperByNumbers,
    mistakes=(
        Mistake(
            "The context's gradient from the output is lost. c was joined with h there, too.",
            changed(_UPPER, ("        H = dh.shape[1]\n", "        H = dh.shape[1]\n        dc = 0 * dc\n")),
        ),
        Mistake(
            "Only one layer's gradient of c is left. Every layer has read c, so their gradients are added up.",
            changed(
                _UPPER, ("        H = dh", "        top = dc\n        H = dh"), ("dc = dc + dboth", "dc = top + dboth")
            ),
        ),
        Mistake(
            "The gradient of c comes from the output alone. Every layer has read c, too.",
            changed(_UPPER, ("            dc = dc + dboth[:, H:]\n", "")),
        ),
        Mistake(
            "The gradient that goes past each layer is lost: what a layer reads is added to what it says.",
            changed(_UPPER, ("dh = dh + dboth", "dh = dboth")),
        ),
        Mistake(
            "The halves are mixed up: a layer reads h first and then c, the output has c first and then h.",
            changed(_UPPER, ("dc, dh = np.split", "dh, dc = np.split")),
        ),
        Mistake(
            "The layers are gone through in the order of forward. Backward begins with the last one.",
            changed(_UPPER, ("zip(self.Ws[::-1], self.fs[::-1])", "zip(self.Ws, self.fs)")),
        ),
    ),
    hints=(
        "How many uses has c? The layers and the output: each sends back a gradient, and they are added up.",
        "Split dout: its first half begins the sum dc, its second half is dh. For each layer from the last one: dboth "
        "= (dh * (1 - f**2)) @ W.T; its first half goes to h, beside what goes past, its second half to c.",
    ),
    section=f'{SECTION}, "Backward: the context of all layers"',
)

# --- 8.11.4: right forward, wrong backward ----------------------------------------------------------------------


class _StackByNumbers:
    """The stack's forward, and gradients by moving every number a little."""

    def __init__(self, Ws):
        self.Ws = Ws.copy()

    def forward(self, x):
        self.x = x.copy()
        return self._forward()

    def _forward(self):
        h = self.x
        for W in self.Ws:
            h = h + np.tanh(np.einsum("nk,kh->nh", h, W))
        return h

    def backward(self, dout):
        return tuple(numerical_gradient(self._forward, array, dout) for array in (self.x, self.Ws))


_STACK = """\
class Stack:
    def __init__(self, Ws):
        self.Ws = Ws  # (L, H, H)

    def forward(self, x):
        h = x.copy()
        self.cache = []
        for W in self.Ws:
            f = np.tanh(h @ W)
            self.cache.append((h, f))
            h = h + f
        return h

    def backward(self, dout):
        dh, dWs = dout, np.zeros_like(self.Ws)
        for k in reversed(range(len(self.Ws))):
            h, f = self.cache[k]
            dz = dh * (1 - f**2)
            dWs[k] = h.T @ dz
            dh = dh + dz @ self.Ws[k].T
        return dh, dWs
"""


def _stack_inputs(rng, L, N, H):
    return {"Ws": _weights(rng, L, H)} | normal(rng, x=(N, H), dout=(N, H))


STACK = Exercise(
    number="8.11.4",
    title="Bug hunt: half of the gradients",
    name="Stack",
    points=2,
    call="stack = answer(Ws)\ny = stack.forward(x)\ndx, dWs = stack.backward(dout)",
    outputs=("y", "dx", "dWs"),
    cases=(
        Case("two layers", lambda rng: _stack_inputs(rng, 2, 1, 2)),
        Case("L = N = H", lambda rng: _stack_inputs(rng, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _stack_inputs(rng, 4, 2, size(rng, 5, 8))),
    ),
    reference=_StackByNumbers,
    bug=Mistake(
        "What the cache holds has changed since it was put there: all layers share one array, and the sum is written "
        "into it.",
        changed(_STACK, ("h = h + f\n", "h += f\n")),
    ),
    mistakes=(
        Mistake(
            "Now the sum is not made at all: each layer's input is no longer added to what it says.",
            changed(_STACK, ("h = h + f\n", "h = f\n")),
        ),
        Mistake(
            "The gradient of a weight is made with what its layer said. The weight was multiplied by what it read.",
            changed(_STACK, ("h.T @ dz", "f.T @ dz")),
        ),
        Mistake(
            "The gradient that goes past each layer is lost.",
            changed(_STACK, ("dh = dh + dz", "dh = dz")),
        ),
        Mistake(
            "The cache gets a layer's sum. The weight was multiplied by what the layer read, before the sum.",
            changed(
                _STACK,
                ("            self.cache.append((h, f))\n            h = h + f\n", "            h = SUM\n"),
                ("h = SUM\n", "h = h + f\n            self.cache.append((h, f))\n"),
            ),
        ),
    ),
    hints=(
        "dx does not need h from the cache, dWs does. After forward, what do the entries of the cache hold for h?",
        "In NumPy, h += f changes the array in place, and so everywhere else where it stands. Make a new array.",
    ),
    section=f'{SECTION}, "A sum passes its gradient on"',
)

# --- 8.11.5: dropout --------------------------------------------------------------------------------------------


class _DropoutByElements:
    """A factor for every element, looked up one by one."""

    def __init__(self, ratio):
        self.ratio = ratio

    def forward(self, x, u, training):
        self.factor = np.ones(x.shape)
        if training:
            for place, number in np.ndenumerate(u):
                self.factor[place] = 0.0 if number < self.ratio else 1 / (1 - self.ratio)
        return x * self.factor

    def backward(self, dout):
        return dout * self.factor


_DROPOUT = """\
class Dropout:
    def __init__(self, ratio):
        self.ratio = ratio

    def forward(self, x, u, training):
        self.factor = (u >= self.ratio) / (1 - self.ratio) if training else 1.0
        return x * self.factor

    def backward(self, dout):
        return dout * self.factor
"""


def _dropout_inputs(rng, N, T, H):
    ratio = round(float(rng.uniform(0.2, 0.4)), 2)
    return {"ratio": ratio, "u": rng.random((N, T, H))} | normal(rng, x=(N, T, H), dout=(N, T, H))


DROPOUT = Exercise(
    number="8.11.5",
    title="Dropout, on and off",
    name="Dropout",
    points=2,
    call="layer = answer(ratio)\ny = layer.forward(x, u, True)\ndx = layer.backward(dout)\n"
    "y_used = layer.forward(x, u, False)\ndx_used = layer.backward(dout)",
    outputs=("y", "dx", "y_used", "dx_used"),
    cases=(
        Case("one sequence", lambda rng: _dropout_inputs(rng, 1, 2, 8)),
        Case("N, T and H differ", lambda rng: _dropout_inputs(rng, 2, 3, size(rng, 5, 9))),
    ),
    reference=_DropoutByElements,
    mistakes=(
        Mistake(
            "What is kept in training is not scaled up, so the next layer gets less than it will get in use.",
            changed(_DROPOUT, (" / (1 - self.ratio) if", " * 1.0 if")),
        ),
        Mistake(
            "In use, too, everything is scaled. There nothing is dropped, so nothing needs to be made up for.",
            changed(_DROPOUT, ("else 1.0", "else 1 / (1 - self.ratio)")),
        ),
        Mistake(
            "Numbers are dropped in use, too.",
            changed(_DROPOUT, (" if training else 1.0", "")),
        ),
        Mistake(
            "Kept and dropped are swapped: dropped is where u is below ratio.",
            changed(_DROPOUT, ("u >= self.ratio", "u < self.ratio")),
        ),
        Mistake(
            "What was dropped gets a gradient. It had no part in the result.",
            changed(_DROPOUT, ("return dout * self.factor", "return dout / (1 - self.ratio)")),
        ),
        Mistake(
            "In backward the scale is missing. A number that went forward times a factor gets its gradient times it.",
            changed(_DROPOUT, ("return dout * self.factor", "return dout * (self.factor > 0)")),
        ),
    ),
    hints=(
        "Both directions multiply by the same factor. What is it where a number is kept, dropped, and in use?",
        "In training the factor is (u >= ratio) / (1 - ratio), in use it is 1. Keep it for backward.",
    ),
    section=f'{SECTION}, "Dropout between the layers"',
)

# --- 8.11.6: where dropout does not belong ----------------------------------------------------------------------


def _read_by_rows(xs, masks, Wx, Wh):
    outs, last = np.zeros((*xs.shape[:2], len(Wh))), []
    for row, mask, out in zip(xs, masks, outs, strict=True):
        h = np.zeros(len(Wh))
        for t, x in enumerate(row):
            h = np.tanh(Wx.T @ x + Wh.T @ h)
            out[t] = np.where(mask[t], h * mask[t], 0)
        last.append(h)
    return outs, np.array(last)


_READ = """\
def read(xs, masks, Wx, Wh):
    N, T, _ = xs.shape
    H = len(Wh)
    h, outs = np.zeros((N, H)), np.zeros((N, T, H))
    for t in range(T):
        h = np.tanh(xs[:, t] @ Wx + h @ Wh)
        outs[:, t] = h * masks[:, t]
    return outs, h
"""


def _read_inputs(rng, N, T, D, H):
    weights = {"Wx": rng.standard_normal((D, H)) / np.sqrt(D), "Wh": _weights(rng, 1, H)[0]}
    return normal(rng, xs=(N, T, D)) | {"masks": (rng.random((N, T, H)) < 0.75) / 0.75} | weights


READ = Exercise(
    number="8.11.6",
    title="Bug hunt: what reaches the end",
    name="read",
    points=2,
    call="outs, h = answer(xs, masks, Wx, Wh)",
    outputs=("outs", "h"),
    cases=(
        Case("two steps", lambda rng: _read_inputs(rng, 1, 2, 2, 4)),
        Case("N = T = D = H", lambda rng: _read_inputs(rng, 4, 4, 4, 4)),
        Case("all sizes differ", lambda rng: _read_inputs(rng, 2, 5, 3, size(rng, 6, 9))),
    ),
    reference=_read_by_rows,
    bug=Mistake(
        "Dropout hits the state that goes on to the next step, so at every step a part of the memory is erased.",
        changed(_READ, ("h @ Wh)\n", "h @ Wh) * masks[:, t]\n"), ("outs[:, t] = h * masks[:, t]", "outs[:, t] = h")),
    ),
    mistakes=(
        Mistake(
            "Now nothing is dropped at all: the next layer sees everything.",
            changed(_READ, ("outs[:, t] = h * masks[:, t]", "outs[:, t] = h")),
        ),
        Mistake(
            "This drops parts of what the layer reads of its own past. Dropout belongs to what the next layer reads.",
            changed(
                _READ,
                ("h @ Wh)", "(h * masks[:, t]) @ Wh)"),
                ("outs[:, t] = h * masks[:, t]", "outs[:, t] = h"),
            ),
        ),
        Mistake(
            "The state that is returned went through dropout. What starts the decoder is the state as it is.",
            changed(_READ, ("return outs, h", "return outs, outs[:, -1]")),
        ),
        Mistake(
            "What goes to the next layer is dropped twice.",
            changed(_READ, ("outs[:, t] = h * masks[:, t]", "outs[:, t] = h * masks[:, t] * masks[:, t]")),
        ),
    ),
    hints=(
        "Two places read h of a step: the next layer, through outs, and the next step. Which of them may get holes?",
        "Keep h whole, and multiply by the mask only what is written into outs.",
    ),
    section=f'{SECTION}, "Dropout between the layers"',
)

EXERCISES = (SKIP, NORMS, UPPER, STACK, DROPOUT, READ)
