"""Exercises 8.1: what crosses the bottleneck, the last real state of padded questions, the last state's gradient."""

from ch07.exercises.given import RNN
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake
from common.np import host as np
from common.time_layers import TimeRNN

SECTION = "notebook 8.1"


# --- 8.1.1: how many numbers ------------------------------------------------------------------------------------------


def _count(N, T, H):
    hs = np.zeros((N, T, H))
    return hs[:, -1].size, hs.size


def _question(rng, N, T, H):
    return {"N": N, "T": T, "H": H + size(rng, 0, 5)}


COUNT = Exercise(
    number="8.1.1",
    title="How many numbers cross?",
    name="numbers_handed_over",
    call="last_state, all_states = answer(N, T, H)",
    outputs=("last_state", "all_states"),
    cases=(
        Case("one question of one character", lambda rng: _question(rng, 1, 1, 4)),
        Case("one question of 29 characters", lambda rng: _question(rng, 1, 29, 4)),
        Case("seven questions of 200 characters", lambda rng: _question(rng, 7, 200, 32)),
    ),
    reference=_count,
    mistakes=(
        Mistake(
            "The last state does not grow with the question: each question has one, however long it is.",
            "def numbers_handed_over(N, T, H):\n    return N * T * H, N * T * H",
        ),
        Mistake(
            "These are the numbers for one question. A batch has N of them.",
            "def numbers_handed_over(N, T, H):\n    return H, T * H",
        ),
        Mistake(
            "These are vectors, not numbers. Each hidden state has H numbers.",
            "def numbers_handed_over(N, T, H):\n    return N, N * T",
        ),
        Mistake(
            "Sizes are added here. An array of shape (T, H) holds T times H numbers.",
            "def numbers_handed_over(N, T, H):\n    return N * H, N * (T + H)",
        ),
        Mistake(
            "The two are swapped: first the last state alone, then all states.",
            "def numbers_handed_over(N, T, H):\n    return N * T * H, N * H",
        ),
    ),
    hints=(
        "Write down the two shapes first: what Encoder returns, and what AttentionEncoder returns.",
        "An array holds as many numbers as the product of its shape. The shapes are (N, H) and (N, T, H).",
    ),
    section=f'{SECTION}, "One size for every question" and "Hand over every hidden state"',
)


# --- 8.1.2: the last real state ---------------------------------------------------------------------------------------


def _states(rng, T, H, lengths):
    return {**normal(rng, hs=(len(lengths), T, H)), "lengths": np.array(lengths)}


def _last_real(hs, lengths):
    return np.einsum("nt,nth->nh", np.eye(hs.shape[1])[lengths - 1], hs)


LAST_REAL = Exercise(
    number="8.1.2",
    title="The last state that is not padding",
    name="last_real_state",
    call="h = answer(hs, lengths)",
    outputs=("h",),
    cases=(
        Case("one question", lambda rng: _states(rng, 4, 2, [2])),
        Case("N = T", lambda rng: _states(rng, 3, 2, [2, 1, 2])),
        Case("N, T and H all differ", lambda rng: _states(rng, 5, 3, [size(rng, 2, 4), 4])),
        Case("no padding in one row, one character in another", lambda rng: _states(rng, 4, 2, [4, 1, 3])),
    ),
    reference=_last_real,
    large=(
        Case(
            "1,000,000 questions",
            lambda rng: _states(rng, 3, 2, [2, 3]),
            "h = answer(hs, lengths)[::1000]",
            repeat={"hs": (500_000, 0), "lengths": (500_000, 0)},
        ),
    ),
    mistakes=(
        Mistake(
            "h is the state after the last column, where shorter questions have padding. Each row has its own last "
            "character.",
            "def last_real_state(hs, lengths):\n    return hs[:, -1]",
        ),
        Mistake(
            "h is the state one step too late. A question of 3 characters has the states 0, 1 and 2.",
            "def last_real_state(hs, lengths):\n    return hs[np.arange(len(hs)), lengths]",
        ),
        Mistake(
            "Every length is used for every row: that gives N states for each question. Row n needs only lengths[n].",
            "def last_real_state(hs, lengths):\n    return hs[:, lengths - 1]",
        ),
        Mistake(
            "All rows use the length of the longest question. Each row has a length of its own.",
            "def last_real_state(hs, lengths):\n    return hs[:, lengths.max() - 1] + 0 * lengths[:, None]",
        ),
        Mistake(
            "h is the mean of the real states. The task asks for the last of them.",
            "def last_real_state(hs, lengths):\n"
            "    real = np.arange(hs.shape[1]) < lengths[:, None]\n"
            "    return (hs * real[:, :, None]).sum(axis=1) / lengths[:, None]",
        ),
        Mistake(
            "The states are summed up to the last real one. The task asks for that one alone.",
            "def last_real_state(hs, lengths):\n"
            "    real = np.arange(hs.shape[1]) < lengths[:, None]\n"
            "    return (hs * real[:, :, None]).sum(axis=1)",
        ),
    ),
    hints=(
        "For row n you want hs[n, lengths[n] - 1]. NumPy takes a whole array of row numbers and an array of positions "
        "at once.",
        "hs[rows, positions] with two arrays of length N picks N states. The rows are 0, 1, ..., N - 1: np.arange(N).",
    ),
    section=f'{SECTION}, "One size for every question"',
    points=2,
)


# --- 8.1.3: handing over the last state, backward ---------------------------------------------------------------------


def _gradient(rng, N, T, H):
    return {**normal(rng, dh=(N, H)), "T": T}


def _last_backward(dh, T):
    return np.eye(T)[-1][None, :, None] * dh[:, None]


LAST_BACKWARD = Exercise(
    number="8.1.3",
    title="The gradient of what was handed over",
    name="last_state_backward",
    call="dhs = answer(dh, T)",
    outputs=("dhs",),
    cases=(
        Case("one question of one character", lambda rng: _gradient(rng, 1, 1, 2)),
        Case("T = H", lambda rng: _gradient(rng, 2, 3, 3)),
        Case("N, T and H all differ", lambda rng: _gradient(rng, 3, size(rng, 4, 7), 2)),
    ),
    reference=_last_backward,
    mistakes=(
        Mistake(
            "Every step gets dh. Only the last state was handed over; nothing outside used the others.",
            "def last_state_backward(dh, T):\n    return np.repeat(dh[:, None], T, axis=1)",
        ),
        Mistake(
            "dh is at the first step. It belongs to the state that was handed over.",
            "def last_state_backward(dh, T):\n"
            "    dhs = np.zeros((len(dh), T, dh.shape[1]))\n"
            "    dhs[:, 0] = dh\n"
            "    return dhs",
        ),
        Mistake(
            "dh is divided among the steps, as if the mean of the states had been handed over. It was the last one.",
            "def last_state_backward(dh, T):\n    return np.repeat(dh[:, None], T, axis=1) / T",
        ),
        Mistake(
            "This is the gradient of the last state alone. The LSTM's backward wants one for each of the T steps.",
            "def last_state_backward(dh, T):\n    return dh[:, None]",
        ),
    ),
    hints=(
        "Forward was h = hs[:, -1]. Which elements of hs does h depend on, and with which factor?",
        "Zeros of shape (N, T, H), and dh in the last step.",
    ),
    section=f'{SECTION}, "Hand over every hidden state"',
)


# --- 8.1.4: two gradients for one state -------------------------------------------------------------------------------


class _Encoder:
    def __init__(self, Wx, Wh):
        self.rnn = TimeRNN(Wx, Wh, np.zeros(len(Wh)))

    def forward(self, xs):
        hs = self.rnn.forward(xs)
        return hs, hs[:, -1]

    def backward(self, dhs, dh):
        return self.rnn.backward(np.concatenate((dhs[:, :-1], (dhs[:, -1] + dh)[:, None]), axis=1))


def _read(rng, N, T, D, H):
    return normal(rng, xs=(N, T, D), dhs=(N, T, H), dh=(N, H), Wx=(D, H), Wh=(H, H))


_ENCODER = '''\
class Encoder:
    """Hand over all hidden states hs (N, T, H), for the attention, and the last one h (N, H), to start the decoder."""

    def __init__(self, Wx, Wh):
        self.rnn = RNN(Wx, Wh)

    def forward(self, xs):
        """xs (N, T, D): embeddings."""
        hs = self.rnn.forward(xs)
        return hs, hs[:, -1]

    def backward(self, dhs, dh):
        """The gradients of hs and h -> dxs (N, T, D)."""
        dhs = dhs.copy()  # the caller's array stays unchanged
        dhs[:, -1] += dh
        return self.rnn.backward(dhs)
'''
_ADD = "        dhs[:, -1] += dh\n"

TWO_GRADIENTS = Exercise(
    number="8.1.4",
    title="Bug hunt: an error that fades",
    name="Encoder",
    call="encoder = answer(Wx, Wh)\nhs, h = encoder.forward(xs)\ndxs = encoder.backward(dhs, dh)",
    outputs=("hs", "h", "dxs"),
    cases=(
        Case("one question of two characters", lambda rng: _read(rng, 1, 2, 1, 2)),
        Case("T = H", lambda rng: _read(rng, 2, 3, 2, 3)),
        Case("N, T, D and H all differ", lambda rng: _read(rng, 3, size(rng, 5, 8), 4, 2)),
    ),
    reference=_Encoder,
    given={"RNN": RNN},
    bug=Mistake(
        "dh replaces the gradient that the last state got within hs. A value used twice gets the sum.",
        _ENCODER.replace(_ADD, "        dhs[:, -1] = dh\n"),
    ),
    mistakes=(
        Mistake(
            "The gradient dh is lost. The last hidden state was handed over twice, within hs and as h: its two "
            "gradients add up.",
            _ENCODER.replace(_ADD, ""),
        ),
        Mistake(
            "dh is added at the first step. It belongs to the last one: h is the state after the last character.",
            _ENCODER.replace(_ADD, "        dhs[:, 0] += dh\n"),
        ),
        Mistake(
            "dh is added at every step. Only the last state was handed over as h.",
            _ENCODER.replace(_ADD, "        dhs += dh[:, None]\n"),
        ),
        Mistake(
            "Only dh is passed on now, and the gradients of hs are lost.",
            _ENCODER.replace(_ADD, "        dhs[:] = 0\n        dhs[:, -1] = dh\n"),
        ),
    ),
    hints=(
        "backward is given two gradients. Follow the numbers of each: do all of them reach the RNN?",
        "h is hs[:, -1]. So dh is one more gradient of that state, besides the one that dhs holds already.",
    ),
    section=f'{SECTION}, "Backward: a gradient for every state"',
    points=2,
)

EXERCISES = (COUNT, LAST_REAL, LAST_BACKWARD, TWO_GRADIENTS)
