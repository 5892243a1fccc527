"""Exercises 7.0: the LSTM's step and a sequence backward, the embedding, softmax with cross entropy."""

from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.layers import Affine, SoftmaxWithLoss
from common.np import host as np
from common.time_layers import LSTM, TimeEmbedding, TimeRNN, TimeSoftmaxWithLoss

SECTION = "notebook 7.0"


# --- 7.0.1: one step of the LSTM, backward ----------------------------------------------------------------------------


def _step_back(rng, N, D, H):
    shapes = dict(x=(N, D), h=(N, H), c=(N, H), Wx=(D, 4 * H), Wh=(H, 4 * H), b=(4 * H,))
    x, h, c, Wx, Wh, b = normal(rng, **shapes).values()
    lstm = LSTM(Wx, Wh, b)
    _, c_new = lstm.forward(x, h, c)
    gates = np.concatenate(lstm.cache[3:7], axis=1)  # f, g, i, o
    douts = normal(rng, dh_new=(N, H), dc_new=(N, H))
    return {**douts, "x": x, "h": h, "c": c, "c_new": c_new, "gates": gates, "Wx": Wx, "Wh": Wh}


def _last_step_back(rng, N, D, H):
    """The last step of a sequence: nothing comes back along the memory."""
    return _step_back(rng, N, D, H) | {"dc_new": np.zeros((N, H))}


def _lstm_backward(dh_new, dc_new, x, h, c, c_new, gates, Wx, Wh):
    lstm = LSTM(Wx, Wh, np.zeros(Wx.shape[1]))
    lstm.cache = (x, h, c, *np.split(gates, 4, axis=1), np.tanh(c_new))
    return *lstm.backward(dh_new, dc_new), *lstm.grads


_BACKWARD = """
def lstm_backward(dh_new, dc_new, x, h, c, c_new, gates, Wx, Wh):
    f, g, i, o = np.split(gates, 4, axis=1)
    shown = np.tanh(c_new)
    dmemory = dc_new + dh_new * o * (1 - shown**2)
    df, dg, di, do = dmemory * c, dmemory * i, dmemory * g, dh_new * shown
    dzf, dzg, dzi, dzo = df * f * (1 - f), dg * (1 - g**2), di * i * (1 - i), do * o * (1 - o)
    dz = np.concatenate((dzf, dzg, dzi, dzo), axis=1)
    return dz @ Wx.T, dz @ Wh.T, dmemory * f, x.T @ dz, h.T @ dz, dz.sum(axis=0)
"""

LSTM_BACKWARD = Exercise(
    number="7.0.1",
    title="One step of the LSTM, backward",
    name="lstm_backward",
    call="dx, dh, dc, dWx, dWh, db = answer(dh_new, dc_new, x, h, c, c_new, gates, Wx, Wh)",
    outputs=("dx", "dh", "dc", "dWx", "dWh", "db"),
    cases=(
        Case("one number each", lambda rng: _step_back(rng, 1, 1, 1)),
        Case("the last step, where dc_new is 0", lambda rng: _last_step_back(rng, 2, 2, 3)),
        Case("D = H", lambda rng: _step_back(rng, 2, 3, 3)),
        Case("N, D and H all differ", lambda rng: _step_back(rng, 3, size(rng, 4, 7), 2)),
    ),
    reference=_lstm_backward,
    mistakes=(
        Mistake(
            "dc_new is left out. The new memory is used twice, for h_new and in the next step: both gradients count.",
            changed(_BACKWARD, ("dc_new + dh_new * o", "dh_new * o")),
        ),
        Mistake(
            "The gradient that comes through h_new does not reach the memory. The new memory is used twice, for h_new "
            "and in the next step: both gradients count.",
            changed(_BACKWARD, ("dc_new + dh_new * o * (1 - shown**2)", "dc_new")),
        ),
        Mistake(
            "The derivative of tanh(c_new) is computed from c_new. It is 1 - y ** 2, where y is the output of tanh.",
            changed(_BACKWARD, ("(1 - shown**2)", "(1 - c_new**2)")),
        ),
        Mistake(
            "g is treated like a gate. It went through tanh, so its derivative is a different one.",
            changed(_BACKWARD, ("dg * (1 - g**2)", "dg * g * (1 - g)")),
        ),
        Mistake(
            "The gradients stop at the gates: the derivatives of sigmoid and tanh are missing.",
            changed(
                _BACKWARD,
                ("df * f * (1 - f), dg * (1 - g**2), di * i * (1 - i), do * o * (1 - o)", "df, dg, di, do"),
            ),
        ),
        Mistake(
            "dc is the gradient of the new memory. On its way to the old one it passes the forget gate.",
            changed(_BACKWARD, ("dmemory * f,", "dmemory,")),
        ),
        Mistake(
            "The gradients of i and g are swapped: what multiplies g in forward is its factor in backward.",
            changed(_BACKWARD, ("dmemory * i, dmemory * g", "dmemory * g, dmemory * i")),
        ),
        Mistake(
            "The forget gate gets the new memory as its factor. In forward f multiplied the old one, c.",
            changed(_BACKWARD, ("dmemory * c,", "dmemory * c_new,")),
        ),
        Mistake(
            "db is not summed over the batch. The same b was added to every row.",
            changed(_BACKWARD, ("dz.sum(axis=0)", "dz")),
        ),
    ),
    hints=(
        "Work from the end. First the gradient of c_new: it was used for h_new and handed on, so it is a sum of two "
        "parts. Then f, g, i, o. Then z.",
        "With y for the output: sigmoid' = y (1 - y), tanh' = 1 - y ** 2. Join the four parts into dz (N, 4H) in the "
        "order f, g, i, o. From there on it is a matrix product's backward, once with x and Wx, once with h and Wh.",
    ),
    section=f'{SECTION}, "One step backward, gate by gate" and "Many numbers, many rows"',
    points=3,
)


# --- 7.0.2: a state too late ------------------------------------------------------------------------------------------


class _Rnn:
    def __init__(self, Wx, Wh):
        self.layer = TimeRNN(Wx, Wh, np.zeros(len(Wh)))

    def forward(self, xs):
        return self.layer.forward(xs)

    def backward(self, dhs):
        return self.layer.backward(dhs), *self.layer.grads[:2]


def _sequences(rng, N, T, D, H):
    drawn = normal(rng, xs=(N, T, D), dhs=(N, T, H), Wx=(D, H), Wh=(H, H))
    return drawn | {"Wx": drawn["Wx"] / np.sqrt(D), "Wh": drawn["Wh"] / np.sqrt(H)}


_RNN = '''\
class RNN:
    """h = tanh(x Wx + h_prev Wh), from a state of zeros. Reads xs (N, T, D), returns hs (N, T, H)."""

    def __init__(self, Wx, Wh):
        self.Wx, self.Wh = Wx, Wh

    def forward(self, xs):
        states = [np.zeros((len(xs), len(self.Wh)))]
        for t in range(xs.shape[1]):
            states.append(np.tanh(xs[:, t] @ self.Wx + states[t] @ self.Wh))
        self.cache = (xs, states)
        return np.stack(states[1:], axis=1)

    def backward(self, dhs):
        """Return dxs (N, T, D), dWx (D, H) and dWh (H, H)."""
        xs, states = self.cache
        dxs, dWx, dWh = np.zeros_like(xs), np.zeros_like(self.Wx), np.zeros_like(self.Wh)
        dh = np.zeros_like(dhs[:, 0])
        for t in reversed(range(xs.shape[1])):
            dz = (dhs[:, t] + dh) * (1 - states[t + 1] ** 2)
            dxs[:, t] = dz @ self.Wx.T
            dWx += xs[:, t].T @ dz
            dWh += states[t].T @ dz
            dh = dz @ self.Wh.T
        return dxs, dWx, dWh
'''

LATE = Exercise(
    number="7.0.2",
    title="Bug hunt: two gradients of three",
    name="RNN",
    call="rnn = answer(Wx, Wh)\nhs = rnn.forward(xs)\ndxs, dWx, dWh = rnn.backward(dhs)",
    outputs=("hs", "dxs", "dWx", "dWh"),
    cases=(
        Case("one question, one step", lambda rng: _sequences(rng, 1, 1, 2, 2)),
        Case("D = H", lambda rng: _sequences(rng, 2, 3, 2, 2)),
        Case("N, T, D and H all differ", lambda rng: _sequences(rng, 3, size(rng, 4, 7), 1, 2)),
    ),
    reference=_Rnn,
    bug=Mistake(
        "The step used the state before it, and dWh is formed with the state after it: off by one.",
        changed(_RNN, ("dWh += states[t].T @ dz", "dWh += states[t + 1].T @ dz")),
    ),
    mistakes=(
        Mistake(
            "The slope of tanh is taken at the state before the step. It belongs to what the step returned.",
            changed(_RNN, ("1 - states[t + 1] ** 2", "1 - states[t] ** 2")),
        ),
        Mistake(
            "No gradient runs from a step to the one before it: every step is treated as if it were the last.",
            changed(_RNN, ("            dh = dz @ self.Wh.T\n", "")),
        ),
        Mistake(
            "dWh is the gradient of a single step. All steps use the same Wh, and their gradients add up.",
            changed(_RNN, ("dWh += states[t].T", "dWh = states[t].T")),
        ),
    ),
    hints=(
        "Two of three gradients are right, so dz is. What is dWh formed from besides?",
        "In forward, which state is multiplied by Wh at step t: states[t] or states[t + 1]?",
    ),
    section=f'{SECTION}, "Over time"',
    points=2,
)


# --- 7.0.3: embedding, backward ---------------------------------------------------------------------------------------


def _embedded(rng, ids, V, D):
    ids = np.array(ids)
    return {"ids": ids, "dout": rng.standard_normal((*ids.shape, D)), "V": V}


def _relabeled(rng, ids, V):
    """Other ids, repeated at the same places."""
    return rng.permutation(V)[np.array(ids)]


def _embedding_backward(ids, dout, V):
    layer = TimeEmbedding(np.zeros((V, dout.shape[2])))
    layer.forward(ids)
    layer.backward(dout)
    return layer.grads[0]


EMBEDDING = Exercise(
    number="7.0.3",
    title="The gradient of the embedding matrix",
    name="embedding_backward",
    call="dW = answer(ids, dout, V)",
    outputs=("dW",),
    cases=(
        Case("no id twice", lambda rng: _embedded(rng, _relabeled(rng, [[0, 1]], 4), 4, 3)),
        Case(
            "two questions that share two ids",
            lambda rng: _embedded(rng, _relabeled(rng, [[0, 1, 2], [2, 0, 3]], 5), 5, size(rng, 6, 9)),
        ),
        Case(
            "padding: an id three times in one question",
            lambda rng: _embedded(rng, _relabeled(rng, [[0, 1, 5, 5], [2, 0, 1, 5], [3, 5, 5, 5]], 7), 7, 2),
        ),
    ),
    reference=_embedding_backward,
    mistakes=(
        Mistake(
            "An id that occurs in several places gets only the gradient of the last of them. NumPy writes a repeated "
            "id only once, and the last one wins, even with +=.",
            "def embedding_backward(ids, dout, V):\n"
            "    dW = np.zeros((V, dout.shape[2]))\n"
            "    dW[ids] += dout\n"
            "    return dW",
        ),
        Mistake(
            "An id that occurs twice within one question gets only one of its gradients.",
            "def embedding_backward(ids, dout, V):\n"
            "    dW = np.zeros((V, dout.shape[2]))\n"
            "    for n in range(len(ids)):\n"
            "        dW[ids[n]] += dout[n]\n"
            "    return dW",
        ),
        Mistake(
            "The gradients of an id that occurs in several places are averaged. Each place adds its own in full.",
            "def embedding_backward(ids, dout, V):\n"
            "    dW = np.zeros((V, dout.shape[2]))\n"
            "    np.add.at(dW, ids, dout)\n"
            "    return dW / np.maximum(np.bincount(ids.ravel(), minlength=V), 1)[:, None]",
        ),
        Mistake(
            "dW has as many columns as a question has characters. A row of W is an embedding: it has D numbers.",
            "def embedding_backward(ids, dout, V):\n"
            "    D = dout.shape[1]\n"
            "    dW = np.zeros((V, D))\n"
            "    for id_, gradient in zip(ids.reshape(-1), dout.reshape(-1, D)):\n"
            "        dW[id_] += gradient\n"
            "    return dW",
        ),
        Mistake(
            "This is the gradient at every place. The task asks for the gradient of W: one row for each of the V "
            "ids, including those that do not occur.",
            "def embedding_backward(ids, dout, V):\n    return dout",
        ),
        Mistake(
            "Only the first question is counted. Every question adds its gradients to the same W.",
            "def embedding_backward(ids, dout, V):\n"
            "    dW = np.zeros((V, dout.shape[2]))\n"
            "    np.add.at(dW, ids[0], dout[0])\n"
            "    return dW",
        ),
    ),
    hints=(
        "A row of W that was taken three times is used in three places. What happens to the gradients of a value that "
        "is used in several places?",
        "Start from zeros of shape (V, D). Go through all n and t and add dout[n, t] to the row ids[n, t]. "
        "np.add.at does it in one call, and dW[ids] += dout does not.",
    ),
    section=f'{SECTION}, "The embedding: rows that are taken twice"',
    points=2,
)


# --- 7.0.4: softmax with cross entropy --------------------------------------------------------------------------------


def _places(rng, N, T, V, ignored=0):
    ts = rng.integers(0, V, (N, T))
    ts.flat[rng.permutation(N * T)[:ignored]] = -1
    return {"logits": rng.standard_normal((N, T, V)), "ts": ts}


def _far_apart(rng):
    """Logits that overflow exp unless the largest of each place is taken away, and underflow if it is another's."""
    places = _places(rng, 2, 2, 3)
    logits, ts = places["logits"], places["ts"]
    logits[0, 0] += 1000
    logits[0, 1] += (-1000, 1000, -1000)
    logits[1] -= 1000
    ts[0, 1], ts[1, 1] = 1, -1
    return places


def _loss_and_gradient(logits, ts):
    layer = TimeSoftmaxWithLoss()
    return layer.forward(logits, ts), layer.backward()


_LOSS = """
def loss_and_gradient(logits, ts):
    counts = ts != -1
    p = np.exp(logits - logits.max(axis=2, keepdims=True))
    p /= p.sum(axis=2, keepdims=True)
    y = np.eye(logits.shape[2])[ts]
    losses = -np.log((p * y).sum(axis=2))
    dlogits = p - y
    dlogits[~counts] = 0
    return losses[counts].sum() / counts.sum(), dlogits / counts.sum()
"""

LOSS = Exercise(
    number="7.0.4",
    title="Softmax with cross entropy, without the padding",
    name="loss_and_gradient",
    call="loss, dlogits = answer(logits, ts)",
    outputs=("loss", "dlogits"),
    cases=(
        Case("one row, one step", lambda rng: _places(rng, 1, 1, 3)),
        Case("no padding", lambda rng: _places(rng, 2, size(rng, 3, 6), 4)),
        Case("some ids are -1", lambda rng: _places(rng, 3, size(rng, 4, 7), 5, ignored=4)),
        Case("large logits", _far_apart),
    ),
    reference=_loss_and_gradient,
    mistakes=(
        Mistake(
            "The mean is taken over all places, padding too. Divide by the number of ids that count.",
            changed(_LOSS, (".sum() / counts.sum(), dlogits / counts.sum()", ".sum() / ts.size, dlogits / ts.size")),
        ),
        Mistake(
            "Places that do not count have a gradient. Whatever the model says there, the loss does not change.",
            changed(_LOSS, ("    dlogits[~counts] = 0\n", "    dlogits[~counts] = p[~counts]\n")),
        ),
        Mistake(
            "The id -1 is taken for the last of the V ids, as NumPy counts. It means that the place does not count.",
            changed(
                _LOSS,
                ("    dlogits[~counts] = 0\n", ""),
                ("losses[counts].sum() / counts.sum(), dlogits / counts.sum()", "losses.mean(), dlogits / ts.size"),
            ),
        ),
        Mistake(
            "The gradient is that of the sum of the losses. The loss is their mean, which divides.",
            changed(_LOSS, ("dlogits / counts.sum()", "dlogits")),
        ),
        Mistake(
            "The signs are reversed: the gradient is probability minus truth. Moving against it raises the logit of "
            "the right id.",
            changed(_LOSS, ("dlogits = p - y", "dlogits = y - p")),
        ),
        Mistake(
            "The truth is missing in the gradient. The right id's logit is used once more, with a minus sign.",
            changed(_LOSS, ("dlogits = p - y", "dlogits = p.copy()")),
        ),
        Mistake(
            "exp of a large logit is inf, and inf / inf is nan. Subtract the largest logit of each place first.",
            changed(_LOSS, ("np.exp(logits - logits.max(axis=2, keepdims=True))", "np.exp(logits)")),
        ),
    ),
    hints=(
        "Write it for the case that all places count: p - y, divided by their number. Then ask what a place that does "
        "not count adds to the loss, and what to its gradient.",
        "counts = ts != -1 says which places count. Set the rows of dlogits elsewhere to 0, and divide both results by "
        "counts.sum().",
    ),
    section=f'{SECTION}, "Softmax with cross entropy"',
    points=2,
)


# --- 7.0.5: divided twice ---------------------------------------------------------------------------------------------


class _Classifier:
    def __init__(self, W, b):
        self.affine, self.loss = Affine(W, b), SoftmaxWithLoss()

    def forward(self, x, t):
        return self.loss.forward(self.affine.forward(x), t)

    def backward(self):
        self.affine.backward(self.loss.backward())
        return self.affine.grads


def _classified(rng, N, D, V):
    return normal(rng, x=(N, D), W=(D, V), b=(V,)) | {"t": rng.integers(0, V, N)}


def _apart(rng):
    """The first number of each row of x drives one logit up or down by 3,000."""
    drawn = _classified(rng, 3, 2, 3)
    drawn["x"][:, 0] = 1, -1, 0
    drawn["W"][0] = 0, 3000, 0
    drawn["t"][:2] = 1, 2
    return drawn


_CLASSIFIER = '''\
class Classifier:
    """An affine layer, softmax, and the mean cross entropy over the N rows of a batch."""

    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x, t):
        """x (N, D), ids t (N,). Return the loss."""
        z = x @ self.W + self.b  # (N, V)
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        self.cache = (x, t, p)
        return -np.log(p[np.arange(len(t)), t]).mean()

    def backward(self):
        """Return dW (D, V) and db (V,)."""
        x, t, p = self.cache
        dz = p.copy()
        dz[np.arange(len(t)), t] -= 1  # probability minus truth
        dz /= len(t)
        return x.T @ dz, dz.sum(axis=0)
'''

TWICE = Exercise(
    number="7.0.5",
    title="Bug hunt: the same batch, ten times over",
    name="Classifier",
    call="model = answer(W, b)\nloss = model.forward(x, t)\ndW, db = model.backward()",
    outputs=("loss", "dW", "db"),
    cases=(
        Case("one row", lambda rng: _classified(rng, 1, 2, 3)),
        Case("N = D", lambda rng: _classified(rng, 3, 3, 2)),
        Case("N, D and V all differ", lambda rng: _classified(rng, size(rng, 5, 9), 2, 4)),
        Case("large logits", _apart),
    ),
    reference=_Classifier,
    bug=Mistake(
        "The gradients are divided by the number of rows twice: once in dz, where it belongs, and once more in the "
        "affine layer.",
        changed(_CLASSIFIER, ("return x.T @ dz, dz.sum(axis=0)", "return x.T @ dz / len(x), dz.mean(axis=0)")),
    ),
    mistakes=(
        Mistake(
            "dW is right now, and db is still divided twice. A bias is added to every row: its gradient is a sum.",
            changed(_CLASSIFIER, ("return x.T @ dz, dz.sum(axis=0)", "return x.T @ dz, dz.mean(axis=0)")),
        ),
        Mistake(
            "db is right now, and dW is still divided twice. The product x.T @ dz is the sum over rows already.",
            changed(_CLASSIFIER, ("return x.T @ dz, dz.sum(axis=0)", "return x.T @ dz / len(x), dz.sum(axis=0)")),
        ),
        Mistake(
            "Nothing is divided anymore: these are the gradients of the sum. The loss is a mean over N rows.",
            changed(_CLASSIFIER, ("        dz /= len(t)\n", "")),
        ),
    ),
    hints=(
        "The loss is a mean over N rows. By what does its gradient have to be divided, and how often does that happen?",
        "dz is divided by N already. From there on it is an affine layer: rows share W and b, so gradients add up.",
    ),
    section=f'{SECTION}, "Softmax with cross entropy" and "The affine layer"',
    points=2,
)

EXERCISES = (LSTM_BACKWARD, LATE, EMBEDDING, LOSS, TWICE)
