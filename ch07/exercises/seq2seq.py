"""Exercises 7.1: shapes, arrays for teacher forcing, the LSTM's step, the encoder's gradient, greedy decoding."""

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


# --- 7.1.2: questions and answers as arrays ---------------------------------------------------------------------------


def _texts(rng, V, *lengths):
    """Answers of these lengths; the ids of padding and start mark are drawn, and not among the others."""
    ids = rng.permutation(V + 2)
    answers = [[int(id_) for id_ in rng.choice(ids[2:], length)] for length in lengths]
    return {"answers": answers, "size": max(lengths), "pad_id": int(ids[0]), "start_id": int(ids[1])}


def _wider(rng, V, *lengths):
    return _texts(rng, V, *lengths) | {"size": max(lengths) + size(rng, 2, 5)}


def _teacher(answers, size, pad_id, start_id):
    writes = np.stack([np.pad(answer, (0, size - len(answer)), constant_values=pad_id) for answer in answers])
    reads = np.roll(writes, 1, axis=1)
    reads[:, 0] = start_id
    return reads, writes


_TEACHER = """
def teacher_arrays(answers, size, pad_id, start_id):
    rows = [answer + [pad_id] * (size - len(answer)) for answer in answers]
    ts = np.array([[start_id] + row for row in rows])
    return ts[:, :-1], ts[:, 1:]
"""

TEACHER = Exercise(
    number="7.1.2",
    title="What the decoder reads, and what it must write",
    name="teacher_arrays",
    call="reads, writes = answer(answers, size, pad_id, start_id)",
    outputs=("reads", "writes"),
    cases=(
        Case("one answer, no padding", lambda rng: _texts(rng, 6, 3)),
        Case("answers of different lengths", lambda rng: _texts(rng, 7, 4, 2, 3)),
        Case("padding after every answer", lambda rng: _wider(rng, 8, 2, size(rng, 3, 6), 1)),
    ),
    reference=_teacher,
    mistakes=(
        Mistake(
            "The decoder reads what it has to write at the same step. It must not see that character before it is "
            "written: what it reads is one step behind.",
            changed(_TEACHER, ("return ts[:, :-1], ts[:, 1:]", "return ts[:, 1:], ts[:, 1:]")),
        ),
        Mistake(
            "The start mark is among what the decoder has to write. It is read first, and never written.",
            changed(_TEACHER, ("return ts[:, :-1], ts[:, 1:]", "return ts[:, :-1], ts[:, :-1]")),
        ),
        Mistake(
            "The two arrays come back in the wrong order: first what is read, then what is written.",
            changed(_TEACHER, ("return ts[:, :-1], ts[:, 1:]", "return ts[:, 1:], ts[:, :-1]")),
        ),
        Mistake(
            "The padding stands before the answers. It belongs after them, so that every answer begins at step 0.",
            changed(_TEACHER, ("answer + [pad_id] * (size - len(answer))", "[pad_id] * (size - len(answer)) + answer")),
        ),
        Mistake(
            "The start mark pads the answers, too. It has one place, before each answer; after it comes pad_id.",
            changed(_TEACHER, ("[pad_id] *", "[start_id] *")),
        ),
    ),
    hints=(
        "Write one array first, with the start mark, the answer and the padding in each row. How many columns has it?",
        "ts is (N, size + 1). What the decoder reads lacks its last column, what it must write lacks its first.",
    ),
    section=f'{SECTION}, "Addition as text" and "Teacher forcing"',
    points=2,
)


# --- 7.1.3: one step of the LSTM --------------------------------------------------------------------------------------


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


# --- 7.1.4: the gradient that enters the encoder ----------------------------------------------------------------------


def _handed(rng, N, T, H):
    return {**normal(rng, dh=(N, H)), "T": T}


def _encoder_gradient(dh, T):
    return np.arange(1, T + 1)[:, None] // T * dh[:, None]  # 0 at all steps but the last, where it is 1


_HANDED = """
def encoder_gradient(dh, T):
    dhs = np.zeros((len(dh), T, dh.shape[1]))
    dhs[:, -1] = dh
    return dhs
"""

HANDED = Exercise(
    number="7.1.4",
    title="The gradient that enters the encoder",
    name="encoder_gradient",
    call="dhs = answer(dh, T)",
    outputs=("dhs",),
    cases=(
        Case("one question of two characters", lambda rng: _handed(rng, 1, 2, 3)),
        Case("N = T", lambda rng: _handed(rng, 3, 3, 2)),
        Case("N, T and H all differ", lambda rng: _handed(rng, 2, size(rng, 4, 7), 3)),
    ),
    reference=_encoder_gradient,
    mistakes=(
        Mistake(
            "dh arrives at the first step. The state that was handed over is the last one.",
            changed(_HANDED, ("dhs[:, -1]", "dhs[:, 0]")),
        ),
        Mistake(
            "Every state gets dh. Only the last one was handed over; nothing outside the LSTM used the others.",
            changed(_HANDED, ("    dhs[:, -1] = dh\n", "    dhs[:] = dh[:, None]\n")),
        ),
        Mistake(
            "dh is divided among the steps. The last state was handed over whole, and gets the whole gradient.",
            changed(_HANDED, ("    dhs[:, -1] = dh\n", "    dhs[:] = dh[:, None] / T\n")),
        ),
        Mistake(
            "The axes are in another order: steps come first here. The encoder's states are (N, T, H), and so is dhs.",
            changed(_HANDED, ("return dhs", "return dhs.transpose(1, 0, 2)")),
        ),
    ),
    hints=(
        "dhs has the shape of hs. Which of these states did something outside the encoder use?",
        "Start from zeros of shape (N, T, H) and write dh into one of the T steps.",
    ),
    section=f'{SECTION}, "Backward: everything through one arrow"',
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

EXERCISES = (SHAPES, TEACHER, LSTM_FORWARD, HANDED, GREEDY, IDS)
