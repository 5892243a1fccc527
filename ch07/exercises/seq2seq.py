"""Exercises 7.1: shapes, the embedding's backward, the LSTM's step forward and backward, greedy decoding."""

from itertools import pairwise

from ch07.exercises.given import RNN
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np
from common.time_layers import LSTM, TimeEmbedding, TimeRNN

SECTION = "notebook 7.1"


# --- 7.1.1: shapes ----------------------------------------------------------------------------------------------------


def _sizes(rng, N, T, S, D, H, V):
    return {"N": N, "T": T, "S": S, "D": D, "H": H, "V": V + size(rng, 0, 3)}


def _shapes(N, T, S, D, H, V):
    ids, states = np.zeros((N, T), int), np.zeros((N, T, H))
    embeddings, h = np.zeros((V, D))[ids], states[:, -1]
    logits = np.zeros((N, S, H))[:, 1:] @ np.zeros((H, V))
    return embeddings.shape, states.shape, h.shape, logits.shape, h.shape


_SHAPES = """
def seq2seq_shapes(N, T, S, D, H, V):
    embeddings = (N, T, D)
    hs = (N, T, H)
    h = (N, H)
    logits = (N, S - 1, V)
    dh = (N, H)
    return embeddings, hs, h, logits, dh
"""

SHAPES = Exercise(
    number="7.1.1",
    title="Which shapes pass through the model?",
    name="seq2seq_shapes",
    call="embeddings, hs, h, logits, dh = answer(N, T, S, D, H, V)",
    outputs=("embeddings", "hs", "h", "logits", "dh"),
    cases=(
        Case("one question", lambda rng: _sizes(rng, 1, 7, 5, 16, 32, 13)),
        Case("three questions", lambda rng: _sizes(rng, 3, 6, 4, 2, 5, 8)),
        Case("the answer is longer than the question", lambda rng: _sizes(rng, 4, 3, size(rng, 9, 12), 2, 6, 5)),
    ),
    reference=_shapes,
    mistakes=(
        Mistake(
            "The decoder does not read the last character of the answer: nothing comes after it. Count again how many "
            "of the S characters it reads.",
            changed(_SHAPES, ("(N, S - 1, V)", "(N, S, V)")),
        ),
        Mistake(
            "h has a time axis here. The encoder hands over its last hidden state only, one vector for each question.",
            changed(_SHAPES, ("h = (N, H)\n    logits", "h = (N, T, H)\n    logits")),
        ),
        Mistake(
            "dh has a time axis here. A gradient has the shape of the value it belongs to, and dh belongs to h.",
            changed(_SHAPES, ("dh = (N, H)", "dh = (N, T, H)")),
        ),
        Mistake(
            "An embedding has D numbers. V is the number of rows of W, the matrix it is taken from.",
            changed(_SHAPES, ("(N, T, D)", "(N, T, V)")),
        ),
        Mistake(
            "There are not H logits: at every step there is one logit for each character of the vocabulary.",
            changed(_SHAPES, ("(N, S - 1, V)", "(N, S - 1, H)")),
        ),
    ),
    hints=(
        "Follow the arrows of the first picture: which arrows carry one vector for each step, and which carry a single "
        "one?",
        "The decoder reads ts[:, :-1]. And a gradient always has the shape of the value it belongs to.",
    ),
    section=f'{SECTION}, "The encoder hands over the last hidden state" and "Teacher forcing"',
)


# --- 7.1.2: embedding, backward ---------------------------------------------------------------------------------------


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
    number="7.1.2",
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
    section=f'{SECTION}, "Addition as text"',
    points=2,
)


# --- 7.1.3 and 7.1.4: one step of the LSTM ----------------------------------------------------------------------------


def sigmoid(z):
    """Numbers between 0 and 1, without overflow: the sigmoid is a tanh, shifted and squeezed."""
    return (np.tanh(z / 2) + 1) / 2


def _step(rng, N, D, H, scale=1.0):
    drawn = normal(rng, x=(N, D), h=(N, H), c=(N, H), Wx=(D, 4 * H), Wh=(H, 4 * H), b=(4 * H,))
    return {name: scale * value for name, value in drawn.items()}


def _lstm_forward(x, h, c, Wx, Wh, b):
    return LSTM(Wx, Wh, b).forward(x, h, c)


_FORWARD = """
def lstm_forward(x, h, c, Wx, Wh, b):
    z = x @ Wx + h @ Wh + b
    zf, zg, zi, zo = np.split(z, 4, axis=1)
    f, g, i, o = sigmoid(zf), np.tanh(zg), sigmoid(zi), sigmoid(zo)
    c_new = f * c + g * i
    h_new = o * np.tanh(c_new)
    return h_new, c_new
"""

LSTM_FORWARD = Exercise(
    number="7.1.3",
    title="One step of the LSTM",
    name="lstm_forward",
    call="h_new, c_new = answer(x, h, c, Wx, Wh, b)",
    outputs=("h_new", "c_new"),
    cases=(
        Case("one number each", lambda rng: _step(rng, 1, 1, 1)),
        Case("D = H", lambda rng: _step(rng, 2, 3, 3)),
        Case("N, D and H all differ", lambda rng: _step(rng, 3, size(rng, 4, 7), 2)),
        Case("large weights", lambda rng: _step(rng, 2, 3, 4, 20.0)),
    ),
    reference=_lstm_forward,
    given={"sigmoid": sigmoid},
    mistakes=(
        Mistake(
            "The four parts are in a different order here: i, f, g, o. The course and the book use f, g, i, o.",
            changed(_FORWARD, ("zf, zg, zi, zo =", "zi, zf, zg, zo =")),
        ),
        Mistake(
            "The candidate g went through the sigmoid. It may be negative: g needs tanh.",
            changed(_FORWARD, ("np.tanh(zg)", "sigmoid(zg)")),
        ),
        Mistake(
            "h_new shows the memory as it is: the tanh in front of the output gate is missing.",
            changed(_FORWARD, ("np.tanh(c_new)", "c_new")),
        ),
        Mistake(
            "h_new is computed from the old memory. The output gate shows the memory after this step.",
            changed(_FORWARD, ("np.tanh(c_new)", "np.tanh(c)")),
        ),
        Mistake("The bias b is not added.", changed(_FORWARD, (" + b", ""))),
        Mistake(
            "The old hidden state h plays no part. The gates look at x and at h.",
            changed(_FORWARD, (" + h @ Wh", "")),
        ),
        Mistake(
            "f and i are swapped: f is for the old memory, i for the candidate.",
            changed(_FORWARD, ("f * c + g * i", "i * c + g * f")),
        ),
        Mistake(
            "h_new and c_new come back in the wrong order: first h_new, then c_new.",
            changed(_FORWARD, ("return h_new, c_new", "return c_new, h_new")),
        ),
    ),
    hints=(
        "Make z, of shape (N, 4H), in one line. Then cut it into four parts of H columns each.",
        "np.split(z, 4, axis=1) gives the parts in the order f, g, i, o. sigmoid for f, i and o, tanh for g. The last "
        "two lines of the formula do the rest.",
    ),
    section=f'{SECTION}, "The LSTM as a box"',
    points=3,
)


def _step_back(rng, N, D, H):
    x, h, c, Wx, Wh, b = _step(rng, N, D, H).values()
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
    number="7.1.4",
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
    section=f'{SECTION}, "The LSTM as a box"; in the book, section 6.3',
    points=3,
)


# --- 7.1.5: greedy decoding -------------------------------------------------------------------------------------------


def _table(rng, V, way, size):
    """A table of logits: greedy decoding follows ``way`` from id to id; 0 is the start mark, V - 1 the end mark."""
    ids = rng.permutation(V)
    table = rng.standard_normal((V, V)) - 8
    for a, b in pairwise((*way, 1) if way[-1] == V - 1 else way):  # something else follows the end mark
        table[ids[a], ids[b]] = -1.0
    return {"table": table, "start_id": int(ids[0]), "end_id": int(ids[V - 1]), "size": size}


def _greedy(step, start_id, end_id, size):
    def rest(id_, left):
        best = int(np.argsort(step(id_))[-1]) if left else end_id
        return [] if best == end_id else [best, *rest(best, left - 1)]

    return rest(start_id, size)


_GREEDY = """
def greedy_decode(step, start_id, end_id, size):
    written, id_ = [], start_id
    for _ in range(size):
        id_ = int(step(id_).argmax())
        if id_ == end_id:
            break
        written.append(id_)
    return written
"""

GREEDY = Exercise(
    number="7.1.5",
    title="Greedy decoding with an end mark",
    name="greedy_decode",
    call="""\
calls = []
def step(id_):
    calls.append(id_)
    if len(calls) > 1000:
        raise RuntimeError("step was called 1,000 times: the loop does not end")
    return table[id_].copy()
written = list(answer(step, start_id, end_id, size))
""",
    outputs=("written",),
    cases=(
        Case("the end mark comes after two characters", lambda rng: _table(rng, 4, (0, 1, 2, 3), 5)),
        Case("the end mark does not come", lambda rng: _table(rng, 5, (0, 1, 2, 3, 1), size(rng, 5, 8))),
        Case("the end mark comes at once", lambda rng: _table(rng, 4, (0, 3), 3)),
        Case("the end mark would come one step too late", lambda rng: _table(rng, 6, (0, 2, 1, 3, 5), 3)),
    ),
    reference=_greedy,
    mistakes=(
        Mistake(
            "The end mark is among the characters written. It says that the answer has ended; it is not part of it.",
            changed(
                _GREEDY,
                (
                    "        if id_ == end_id:\n            break\n        written.append(id_)",
                    "        written.append(id_)\n        if id_ == end_id:\n            break",
                ),
            ),
        ),
        Mistake(
            "The start mark is among the characters written. The decoder reads it first, but does not write it.",
            changed(_GREEDY, ("written, id_ = [], start_id", "written, id_ = [start_id], start_id")),
        ),
        Mistake(
            "Every step reads the start mark. From the second step on, the decoder reads what it wrote in the step "
            "before.",
            changed(_GREEDY, ("step(id_)", "step(start_id)")),
        ),
        Mistake(
            "Nothing stops at the end mark: the decoder keeps writing after it.",
            changed(_GREEDY, ("            break", "            continue")),
        ),
        Mistake(
            "Only the end mark stops the decoder. A model that never writes it would go on forever; size is the limit.",
            changed(_GREEDY, ("for _ in range(size):", "while True:")),
        ),
        Mistake(
            "The decoder stops one step early: it may write up to size characters.",
            changed(_GREEDY, ("range(size)", "range(size - 1)")),
        ),
    ),
    hints=(
        "Keep one variable for the character that is read next. Before the loop it is the start mark.",
        "In a loop of at most size steps: take the argmax of step(id_); if it is the end mark, break; otherwise append "
        "it. The next step reads it.",
    ),
    section=f'{SECTION}, "Greedy decoding"',
    points=2,
)


# --- 7.1.6: ids instead of embeddings ---------------------------------------------------------------------------------


class _Encoder:
    def __init__(self, W, Wx, Wh):
        self.embed, self.rnn = TimeEmbedding(W), TimeRNN(Wx, Wh, np.zeros(len(Wh)))

    def forward(self, xs):
        return self.rnn.forward(self.embed.forward(xs))[:, -1]


def _questions(rng, N, T, V, D, H):
    weights = normal(rng, W=(V, D), Wx=(D, H), Wh=(H, H))
    return {"xs": rng.integers(0, V, (N, T)), **{name: W / np.sqrt(len(W)) for name, W in weights.items()}}


_ENCODER = '''\
class Encoder:
    """Read xs (N, T) ids; hand over the last hidden state h (N, H)."""

    def __init__(self, W, Wx, Wh):
        self.W = W  # one embedding in each row, (V, D)
        self.rnn = RNN(Wx, Wh)

    def forward(self, xs):
        embeddings = self.W[xs]  # (N, T, D)
        hs = self.rnn.forward(embeddings)  # (N, T, H)
        self.cache = (embeddings, hs)  # for the backward pass
        return hs[:, -1]  # (N, H)
'''

IDS = Exercise(
    number="7.1.6",
    title="Bug hunt: four questions, one h",
    name="Encoder",
    call="h = answer(W, Wx, Wh).forward(xs)",
    outputs=("h",),
    cases=(
        Case("as many questions as numbers in an embedding, N = D", lambda rng: _questions(rng, 2, 3, 5, 2, 4)),
        Case("one question", lambda rng: _questions(rng, 1, 4, 6, 3, 2)),
        Case("N, T, D and H all differ", lambda rng: _questions(rng, 3, size(rng, 5, 8), 9, 4, 2)),
    ),
    reference=_Encoder,
    given={"RNN": RNN},
    bug=Mistake(
        "The RNN reads the ids themselves, not their embeddings. It runs only where N happens to equal D.",
        changed(_ENCODER, ("self.rnn.forward(embeddings)", "self.rnn.forward(xs)")),
    ),
    mistakes=(
        Mistake(
            "h is the first hidden state. It has seen nothing but the first character.",
            changed(_ENCODER, ("hs[:, -1]", "hs[:, 0]")),
        ),
        Mistake(
            "All hidden states are handed over. This encoder hands over the last one.",
            changed(_ENCODER, ("return hs[:, -1]", "return hs")),
        ),
        Mistake(
            "h is the mean of all hidden states. This encoder hands over the last one.",
            changed(_ENCODER, ("hs[:, -1]", "hs.mean(axis=1)")),
        ),
    ),
    hints=(
        "Which of the encoder's weights does h depend on? Follow each of them through forward.",
        "The embeddings are looked up, and then? Look at what the RNN is given.",
    ),
    section=f'{SECTION}, "Addition as text" and "The encoder hands over the last hidden state"',
    points=2,
)

EXERCISES = (SHAPES, EMBEDDING, LSTM_FORWARD, LSTM_BACKWARD, GREEDY, IDS)
