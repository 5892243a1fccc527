"""Exercises 8.20: rows found by content, the ring, powers, writing, a step, backward in time; six bug hunts."""

import math

from common.functions import softmax
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.20"


def _weightings(rng, *shape):
    """Weightings of rows, drawn at random; each adds up to 1."""
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1])


# --- 8.20.1: find the row ---------------------------------------------------------------------------------------


def _find_one_by_one(memory, key, strength):
    """Row by row, the cosine by the law of cosines."""
    w = np.empty(memory.shape[:2])
    for n, rows in enumerate(memory):
        k = key[n] / max(math.sqrt(key[n] @ key[n]), 1e-6)
        cosines = []
        for row in rows:
            length = math.sqrt(row @ row)
            unit = row / length if length > 1e-6 else row
            cosines.append(1 - ((k - unit) ** 2).sum() / 2 if length > 1e-6 else 0.0)
        w[n] = softmax(strength[n] * np.array(cosines))
    return w


_FIND = """\
def find_rows(memory, key, strength):
    row_length = np.sqrt((memory**2).sum(axis=2) + 1e-8)
    key_length = np.sqrt((key**2).sum(axis=1, keepdims=True) + 1e-8)
    s = (memory @ key[:, :, None])[:, :, 0] / (row_length * key_length)
    return softmax(strength[:, None] * s)
"""
_LENGTHS = (
    "    row_length = np.sqrt((memory**2).sum(axis=2) + 1e-8)\n"
    "    key_length = np.sqrt((key**2).sum(axis=1, keepdims=True) + 1e-8)\n"
)


def _find_inputs(rng, N, R, W, zero=False):
    """Rows of very different lengths; zero: one of them is 0."""
    drawn = normal(rng, memory=(N, R, W), key=(N, W))
    drawn["memory"] *= rng.uniform(0.3, 3, (N, R, 1))
    drawn["key"] *= rng.uniform(0.5, 3, (N, 1))
    if zero:
        drawn["memory"][:, rng.integers(R)] = 0
    return drawn | {"strength": rng.uniform(1, 6, N)}


FIND = Exercise(
    number="8.20.1",
    title="Bug hunt: the wrong row",
    name="find_rows",
    points=2,
    call="w = answer(memory, key, strength)",
    outputs=("w",),
    cases=(
        Case("one memory of three rows", lambda rng: _find_inputs(rng, 1, 3, 2)),
        Case("all sizes are 3", lambda rng: _find_inputs(rng, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _find_inputs(rng, 2, size(rng, 4, 7), 3)),
        Case("a row of zeros", lambda rng: _find_inputs(rng, 2, 4, 3, zero=True)),
    ),
    reference=_find_one_by_one,
    given={"softmax": softmax},
    bug=Mistake(
        "The similarity is the dot product, so a long row counts more than one that points where the key points. The "
        "cosine divides by both lengths.",
        changed(_FIND, (_LENGTHS, ""), (" / (row_length * key_length)", "")),
    ),
    mistakes=(
        Mistake(
            "Divided by the length of the key only: long rows still win.",
            changed(_FIND, ("(row_length * key_length)", "key_length")),
        ),
        Mistake(
            "Divided by the lengths of the rows only: the longer the key, the more pointed the weighting.",
            changed(_FIND, ("(row_length * key_length)", "row_length")),
        ),
        Mistake(
            "There is one length for all rows together, that of the whole memory. Each row has its own.",
            changed(_FIND, ("(memory**2).sum(axis=2)", "(memory**2).sum(axis=(1, 2), keepdims=True)[:, :, 0]")),
        ),
        Mistake(
            "The squares of the lengths are divided by: their roots are missing.",
            changed(
                _FIND,
                ("np.sqrt((memory**2).sum(axis=2) + 1e-8)", "(memory**2).sum(axis=2) + 1e-8"),
                ("np.sqrt((key**2).sum(axis=1, keepdims=True) + 1e-8)", "(key**2).sum(axis=1, keepdims=True) + 1e-8"),
            ),
        ),
        Mistake(
            "A row of zeros has the length 0, and 0 / 0 is not a number. Something tiny belongs under the root.",
            changed(_FIND, ("sum(axis=2) + 1e-8", "sum(axis=2)")),
        ),
        Mistake(
            "The length is a sum of absolute values. Here it is the root of the sum of the squares.",
            changed(
                _FIND,
                ("np.sqrt((memory**2).sum(axis=2) + 1e-8)", "np.abs(memory).sum(axis=2) + 1e-8"),
                (
                    "np.sqrt((key**2).sum(axis=1, keepdims=True) + 1e-8)",
                    "np.abs(key).sum(axis=1, keepdims=True) + 1e-8",
                ),
            ),
        ),
    ),
    hints=(
        "Make one row ten times as long, and nothing else. What should become of its weight, and what does?",
        "cosine = dot product / (length of the row * length of the key). A length is np.sqrt((v**2).sum() + 1e-8), so "
        "that a row of zeros has the similarity 0.",
    ),
    section=f'{SECTION}, "1. By content"',
)

# --- 8.20.2: after the last row ---------------------------------------------------------------------------------


def _shift_one_by_one(w, shift):
    out = np.zeros(w.shape)
    N, R = w.shape
    for n, r, j in np.ndindex(N, R, 3):
        out[n, (r + j - 1) % R] += shift[n, j] * w[n, r]
    return out


_SHIFT = """\
def move(w, shift):
    R = w.shape[1]
    around = np.pad(w, ((0, 0), (1, 1)), mode="wrap")
    back, stay, on = (shift[:, j, None] for j in range(3))
    return back * around[:, 2:] + stay * w + on * around[:, :R]
"""


def _shift_inputs(rng, N, R):
    return {"w": _weightings(rng, N, R), "shift": _weightings(rng, N, 3)}


def _at_the_ends(rng, N, R):
    """All of the weight on the last row or on the first one."""
    return _shift_inputs(rng, N, R) | {"w": np.eye(R)[rng.choice([0, R - 1], N)]}


MOVE = Exercise(
    number="8.20.2",
    title="Bug hunt: a weighting gets lighter",
    name="move",
    points=2,
    call="out = answer(w, shift)",
    outputs=("out",),
    cases=(
        Case("one weighting of four rows", lambda rng: _shift_inputs(rng, 1, 4)),
        Case("all weight at one end", lambda rng: _at_the_ends(rng, 3, 5)),
        Case("as many weightings as rows", lambda rng: _shift_inputs(rng, 4, 4)),
        Case("many rows", lambda rng: _shift_inputs(rng, 2, size(rng, 5, 9))),
    ),
    reference=_shift_one_by_one,
    bug=Mistake(
        "What is pushed past an end is lost, and zeros come in at the other one. The memory is a ring: after the last "
        "row comes row 0.",
        changed(_SHIFT, (', mode="wrap"', "")),
    ),
    mistakes=(
        Mistake(
            "Beside the last row lies the last row again. What leaves at one end has to come in at the other.",
            changed(_SHIFT, ('mode="wrap"', 'mode="edge"')),
        ),
        Mistake(
            "What is lost at an end is spread over all rows by dividing by the sum. It has to come in at the other "
            "end.",
            changed(
                _SHIFT,
                (', mode="wrap"', ""),
                (
                    "    return back * around[:, 2:] + stay * w + on * around[:, :R]",
                    "    out = back * around[:, 2:] + stay * w + on * around[:, :R]\n"
                    "    with np.errstate(invalid='ignore'):\n"
                    "        return out / out.sum(axis=1, keepdims=True)",
                ),
            ),
        ),
        Mistake(
            "It goes around now, and in the wrong direction: the last of the three is for one row on, so row i gets "
            "what row i - 1 had.",
            changed(
                _SHIFT, ("back * around[:, 2:]", "back * around[:, :R]"), ("on * around[:, :R]", "on * around[:, 2:]")
            ),
        ),
        Mistake(
            "The neighbors are those in the batch. A weighting is shifted along its rows.",
            changed(
                _SHIFT,
                ('np.pad(w, ((0, 0), (1, 1)), mode="wrap")', 'np.pad(w, ((1, 1), (0, 0)), mode="wrap")'),
                ("R = w.shape[1]", "R = len(w)"),
                ("around[:, 2:]", "around[2:]"),
                ("around[:, :R]", "around[:R]"),
            ),
        ),
        Mistake(
            "At the ends the order is reversed, as in a mirror. After the last row comes row 0.",
            changed(_SHIFT, ('mode="wrap"', 'mode="reflect"')),
        ),
    ),
    hints=(
        "Put all of the weight on the last row, and all of the shift on the last of the three. Where does it go?",
        "np.pad puts something at either end of the rows. Look up its argument mode: which of its values puts the last "
        "weight before the first one?",
    ),
    section=f'{SECTION}, "3. By place"',
)

# --- 8.20.3: the same way back ----------------------------------------------------------------------------------


def _shift_back_one_by_one(w, shift, dout):
    dw, dshift = np.zeros(w.shape), np.zeros(shift.shape)
    N, R = w.shape
    for n, r, j in np.ndindex(N, R, 3):
        arrived = dout[n, (r + j - 1) % R]
        dw[n, r] += shift[n, j] * arrived
        dshift[n, j] += w[n, r] * arrived
    return dw, dshift


_SHIFT_BACK = """\
def move_backward(w, shift, dout):
    back, stay, on = (shift[:, j, None] for j in range(3))
    dw = back * np.roll(dout, 1, axis=1) + stay * dout + on * np.roll(dout, -1, axis=1)
    arrived = [(dout * np.roll(w, j, axis=1)).sum(axis=1) for j in (-1, 0, 1)]
    return dw, np.stack(arrived, axis=1)
"""


def _shift_back_inputs(rng, N, R):
    return _shift_inputs(rng, N, R) | normal(rng, dout=(N, R))


MOVE_BACK = Exercise(
    number="8.20.3",
    title="Back around the ring",
    name="move_backward",
    points=3,
    call="dw, dshift = answer(w, shift, dout)",
    outputs=("dw", "dshift"),
    cases=(
        Case("one weighting of four rows", lambda rng: _shift_back_inputs(rng, 1, 4)),
        Case("three weightings of three rows", lambda rng: _shift_back_inputs(rng, 3, 3)),
        Case("many rows", lambda rng: _shift_back_inputs(rng, 2, size(rng, 5, 9))),
    ),
    large=(
        Case(
            "100,000 weightings",
            lambda rng: _shift_back_inputs(rng, 2, 4),
            "dw, dshift = answer(w, shift, dout)\ndw, dshift = dw[::1000], dshift[::1000]",
            repeat=dict.fromkeys(("w", "shift", "dout"), (50_000, 0)),
        ),
    ),
    reference=_shift_back_one_by_one,
    mistakes=(
        Mistake(
            "The gradient is shifted in the direction of forward. It has to go back: what row 2 got from row 1 comes "
            "to row 1.",
            changed(
                _SHIFT_BACK,
                ("back * np.roll(dout, 1,", "back * np.roll(dout, -1,"),
                ("on * np.roll(dout, -1,", "on * np.roll(dout, 1,"),
            ),
        ),
        Mistake(
            "dshift has its first and its last number exchanged.",
            changed(_SHIFT_BACK, ("(-1, 0, 1)", "(1, 0, -1)")),
        ),
        Mistake(
            "dshift is a sum over the batch. Every weighting has shifts of its own.",
            changed(
                _SHIFT_BACK,
                (
                    "return dw, np.stack(arrived, axis=1)",
                    "d = np.stack(arrived, axis=1)\n    return dw, 0 * d + d.sum(axis=0)",
                ),
            ),
        ),
        Mistake(
            "dshift is a mean over the rows. What the rows get is added.",
            changed(_SHIFT_BACK, (".sum(axis=1) for", ".mean(axis=1) for")),
        ),
        Mistake(
            "The rows of dout are taken as they are, without the shift: dw has the sum of the three shifts everywhere.",
            changed(
                _SHIFT_BACK,
                (
                    "back * np.roll(dout, 1, axis=1) + stay * dout + on * np.roll(dout, -1, axis=1)",
                    "(back + stay + on) * dout",
                ),
            ),
        ),
        Mistake(
            "For dshift, w has to be shifted as in forward. Here all three get the product with w as it was.",
            changed(_SHIFT_BACK, ("np.roll(w, j, axis=1)", "np.roll(w, 0 * j, axis=1)")),
        ),
    ),
    hints=(
        "Forward is a sum of three products: out = back * (w, rolled by -1) + stay * w + on * (w, rolled by 1). Each "
        "has two factors.",
        "dw: roll each product's gradient the other way, back * np.roll(dout, 1, axis=1) and so on. dshift: for each "
        "of the three, the sum over the rows of dout times the rolled w.",
    ),
    section=f'{SECTION}, "3. By place"',
)

# --- 8.20.4: sharper --------------------------------------------------------------------------------------------


def _sharpen_by_ratio(w, gamma):
    """Relative to the largest weight, whose power is then 1."""
    ratio = w / w.max(axis=1, keepdims=True)
    powers = np.array([[x**g for x in row] for row, g in zip(ratio, gamma, strict=True)])
    return powers / powers.sum(axis=1, keepdims=True)


_SHARPEN = """\
def sharpen(w, gamma):
    powers = (w / w.max(axis=1, keepdims=True)) ** gamma[:, None]
    return powers / powers.sum(axis=1, keepdims=True)
"""


def _sharpen_inputs(rng, N, R, low=1.5, high=4.0, zero=False):
    w = _weightings(rng, N, R)
    if zero:
        w[:, rng.integers(R)] = 0
    return {"w": w / w.sum(axis=1, keepdims=True), "gamma": rng.uniform(low, high, N)}


SHARPEN = Exercise(
    number="8.20.4",
    title="Sharper, without an accident",
    name="sharpen",
    points=2,
    call="y = answer(w, gamma)",
    outputs=("y",),
    cases=(
        Case("one weighting of three rows", lambda rng: _sharpen_inputs(rng, 1, 3)),
        Case("as many weightings as rows", lambda rng: _sharpen_inputs(rng, 4, 4)),
        Case("a weight of 0", lambda rng: _sharpen_inputs(rng, 2, size(rng, 4, 7), zero=True)),
        Case("a large power over many rows", lambda rng: _sharpen_inputs(rng, 2, 60, 400, 600)),
    ),
    reference=_sharpen_by_ratio,
    given={"softmax": softmax},
    mistakes=(
        Mistake(
            "A tiny number in the denominator hides 0 / 0, and makes all weights 0 where the power is large.",
            changed(
                _SHARPEN,
                ("(w / w.max(axis=1, keepdims=True)) **", "w **"),
                ("powers.sum(axis=1, keepdims=True)", "(powers.sum(axis=1, keepdims=True) + 1e-16)"),
            ),
        ),
        Mistake(
            "The powers do not add up to 1 again: divide by their sum.",
            changed(_SHARPEN, ("return powers / powers.sum(axis=1, keepdims=True)", "return w ** gamma[:, None]")),
        ),
        Mistake(
            "Right for small powers. But a small weight to a large power is 0 in a computer, and where all are, 0 / 0 "
            "is not a number. Divide by the largest weight first, or use logarithms.",
            changed(_SHARPEN, ("(w / w.max(axis=1, keepdims=True)) **", "w **")),
        ),
        Mistake(
            "That is a softmax of gamma times w. Sharpening takes powers of w, which is a softmax of gamma times log "
            "w.",
            "def sharpen(w, gamma):\n    return softmax(gamma[:, None] * w)\n",
        ),
        Mistake(
            "The power is 1 / gamma, which makes the weighting flatter.",
            changed(_SHARPEN, ("** gamma[:, None]", "** (1 / gamma[:, None])")),
        ),
        Mistake(
            "The sum runs over the batch. Every weighting adds up to 1 by itself.",
            changed(_SHARPEN, ("powers.sum(axis=1, keepdims=True)", "powers.sum(axis=0, keepdims=True)")),
        ),
        Mistake(
            "Divided by the largest weight, and not by the sum: the largest is 1 now, and the others come on top.",
            changed(_SHARPEN, ("return powers / powers.sum(axis=1, keepdims=True)", "return powers")),
        ),
    ),
    hints=(
        "What is 0.02 to the power of 500, and what would it be if the largest weight were 1?",
        "All weights of a row may be divided by the same number before the power: the largest of them. Then divide the "
        "powers by their sum.",
    ),
    section=f'{SECTION}, "4. Sharper again"',
)

# --- 8.20.5: not a number ---------------------------------------------------------------------------------------


def _sharpen_back_by_ratio(w, gamma, dy):
    """The weights above 0 only, by the derivative of powers and of a quotient."""
    dw, dgamma = np.zeros(w.shape), np.zeros(len(w))
    for n, (row, g, d) in enumerate(zip(w, gamma, dy, strict=True)):
        some = row > 0
        x, d = row[some], d[some]
        p = x**g
        total = p.sum()
        dp = d / total - (d * p).sum() / total**2
        dw[n, some] = dp * g * x ** (g - 1)
        dgamma[n] = (dp * p * np.log(x)).sum()
    return dw, dgamma


_SHARPEN_BACK = """\
def sharpen_backward(w, gamma, dy):
    safe = np.where(w > 0, w, 1.0)
    powers = w ** gamma[:, None]
    y = powers / powers.sum(axis=1, keepdims=True)
    d = y * (dy - (y * dy).sum(axis=1, keepdims=True))
    dw = gamma[:, None] * d / safe
    dgamma = (d * np.log(safe)).sum(axis=1)
    return dw, dgamma
"""


def _sharpen_back_inputs(rng, N, R, zeros=0):
    w = _weightings(rng, N, R) + 0.05
    for row in w:
        row[rng.permutation(R)[:zeros]] = 0
    w /= w.sum(axis=1, keepdims=True)
    return {"w": w, "gamma": rng.uniform(1.5, 4, N)} | normal(rng, dy=(N, R))


SHARPEN_BACK = Exercise(
    number="8.20.5",
    title="Bug hunt: not a number",
    name="sharpen_backward",
    points=2,
    call="dw, dgamma = answer(w, gamma, dy)",
    outputs=("dw", "dgamma"),
    cases=(
        Case("one weighting of three rows", lambda rng: _sharpen_back_inputs(rng, 1, 3)),
        Case("as many weightings as rows", lambda rng: _sharpen_back_inputs(rng, 4, 4)),
        Case("two weights of 0", lambda rng: _sharpen_back_inputs(rng, 2, size(rng, 4, 7), zeros=2)),
    ),
    reference=_sharpen_back_by_ratio,
    bug=Mistake(
        "At a weight of 0 the power is 0 and the logarithm minus infinity: their product is not a number, and neither "
        "is 0 / 0. Such a weight has no part in either gradient.",
        changed(
            _SHARPEN_BACK,
            ("    safe = np.where(w > 0, w, 1.0)\n", ""),
            ("/ safe", "/ w"),
            ("np.log(safe)", "np.log(w)"),
        ),
    ),
    mistakes=(
        Mistake(
            "The logarithm is safe now; dw still has 0 / 0 where the weight is 0.",
            changed(_SHARPEN_BACK, ("/ safe", "/ w")),
        ),
        Mistake(
            "The division is safe now; dgamma still has 0 times minus infinity where a weight is 0.",
            changed(_SHARPEN_BACK, ("np.log(safe)", "np.log(w)")),
        ),
        Mistake(
            "Safe, but not only where the weight is 0: small weights have been replaced, too.",
            changed(_SHARPEN_BACK, ("np.where(w > 0, w, 1.0)", "np.maximum(w, 0.3)")),
        ),
        Mistake(
            "Everything that belongs to a weighting with a 0 in it is 0 now. Only the weight of 0 itself has no part.",
            changed(
                _SHARPEN_BACK,
                (
                    "    return dw, dgamma",
                    "    whole = w.min(axis=1) > 0\n    return dw * whole[:, None], dgamma * whole",
                ),
            ),
        ),
        Mistake(
            "dw has lost its factor gamma.",
            changed(_SHARPEN_BACK, ("gamma[:, None] * d / safe", "d / safe")),
        ),
        Mistake(
            "The weighted sum of dy is missing: what one weight gains, the others lose.",
            changed(_SHARPEN_BACK, ("(dy - (y * dy).sum(axis=1, keepdims=True))", "dy")),
        ),
    ),
    hints=(
        "Which two lines have a log or a division by w in them? What do they give for w = 0, and what should they?",
        "d is 0 where w is 0. So whatever stands in the place of such a weight, as long as it is above 0, the product "
        "is 0: np.where(w > 0, w, 1.0).",
    ),
    section=f'{SECTION}, "4. Sharper again"',
)

# --- 8.20.6: what was written -----------------------------------------------------------------------------------


def _write_one_by_one(memory, w, erase, add):
    out = np.empty(memory.shape)
    for n, r, j in np.ndindex(memory.shape):
        kept = memory[n, r, j] - memory[n, r, j] * w[n, r] * erase[n, j]
        out[n, r, j] = kept + w[n, r] * add[n, j]
    return out


_WRITE = """\
def write(memory, w, erase, add):
    w = w[:, :, None]
    kept = memory * (1 - w * erase[:, None])
    return kept + w * add[:, None]
"""


def _write_inputs(rng, N, R, W):
    drawn = normal(rng, memory=(N, R, W), add=(N, W))
    return drawn | {"w": _weightings(rng, N, R), "erase": rng.random((N, W))}


def _overwrite_inputs(rng, N, R, W):
    """One row is pointed at with all of the weight, and all of it is erased."""
    return _write_inputs(rng, N, R, W) | {"w": np.eye(R)[rng.integers(0, R, N)], "erase": np.ones((N, W))}


WRITE = Exercise(
    number="8.20.6",
    title="Bug hunt: nothing stays",
    name="write",
    points=2,
    call="before = memory\nafter = answer(memory, w, erase, add)",
    outputs=("after", "before"),
    cases=(
        Case("one row overwritten", lambda rng: _overwrite_inputs(rng, 1, 3, 2)),
        Case("all sizes are 3", lambda rng: _write_inputs(rng, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _write_inputs(rng, 2, size(rng, 4, 7), 3)),
    ),
    reference=_write_one_by_one,
    bug=Mistake(
        "What is added is erased at once. First erase what was there, then add.",
        changed(
            _WRITE,
            ("    kept = memory * (1 - w * erase[:, None])\n", "    added = memory + w * add[:, None]\n"),
            ("return kept + w * add[:, None]", "return added * (1 - w * erase[:, None])"),
        ),
    ),
    mistakes=(
        Mistake(
            "The order is right; the erase vector is used without the weights, so all rows lose something.",
            changed(_WRITE, ("(1 - w * erase[:, None])", "(1 - erase[:, None] + 0 * w)")),
        ),
        Mistake(
            "The order is right; what is added is added to all rows, without the weights.",
            changed(_WRITE, ("kept + w * add[:, None]", "kept + add[:, None]")),
        ),
        Mistake(
            "The rows that are pointed at lose everything, whatever the erase vector says.",
            changed(_WRITE, ("(1 - w * erase[:, None])", "(1 - w)")),
        ),
        Mistake(
            "The memory that came in was changed, too: an operation in place. The next one to use it finds another.",
            changed(
                _WRITE,
                ("    kept = memory * (1 - w * erase[:, None])\n", "    memory *= 1 - w * erase[:, None]\n"),
                ("return kept", "return memory"),
            ),
        ),
        Mistake(
            "Nothing is erased anymore.",
            changed(_WRITE, ("memory * (1 - w * erase[:, None])", "memory + 0 * erase[:, None]")),
        ),
        Mistake(
            "What is kept and what is erased are exchanged: an erase of 1 means that the number goes.",
            changed(_WRITE, ("(1 - w * erase[:, None])", "(w * erase[:, None])")),
        ),
    ),
    hints=(
        "Weight 1 on a row, erase 1 everywhere. What should stand in the row afterward, and what does?",
        "Two lines, in the other order: memory * (1 - w e) first, and to the result w a.",
    ),
    section=f'{SECTION}, "Read, erase, add"',
)

# --- 8.20.7: four gradients -------------------------------------------------------------------------------------


def _write_back_one_by_one(memory, w, erase, add, dout):
    dmemory, dw, derase, dadd = (np.zeros(x.shape) for x in (memory, w, erase, add))
    for n, r, j in np.ndindex(memory.shape):
        m, u, e, a, d = memory[n, r, j], w[n, r], erase[n, j], add[n, j], dout[n, r, j]
        dmemory[n, r, j] = d - d * u * e
        dw[n, r] += d * a - d * m * e
        derase[n, j] -= d * m * u
        dadd[n, j] += d * u
    return dmemory, dw, derase, dadd


_WRITE_BACK = """\
def write_backward(memory, w, erase, add, dout):
    dmemory = dout * (1 - w[:, :, None] * erase[:, None])
    taken = memory * dout
    dw = (dout @ add[:, :, None] - taken @ erase[:, :, None])[:, :, 0]
    derase = -(w[:, None] @ taken)[:, 0]
    dadd = (w[:, None] @ dout)[:, 0]
    return dmemory, dw, derase, dadd
"""
_WRITE_BACK_CALL = "dmemory, dw, derase, dadd = answer(memory, w, erase, add, dout)"


def _write_back_inputs(rng, N, R, W):
    return _write_inputs(rng, N, R, W) | normal(rng, dout=(N, R, W))


WRITE_BACK = Exercise(
    number="8.20.7",
    title="Four gradients of a write",
    name="write_backward",
    points=3,
    call=_WRITE_BACK_CALL,
    outputs=("dmemory", "dw", "derase", "dadd"),
    cases=(
        Case("one memory of three rows", lambda rng: _write_back_inputs(rng, 1, 3, 2)),
        Case("all sizes are 3", lambda rng: _write_back_inputs(rng, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _write_back_inputs(rng, 2, size(rng, 4, 7), 3)),
    ),
    large=(
        Case(
            "100,000 memories",
            lambda rng: _write_back_inputs(rng, 2, 2, 2),
            f"{_WRITE_BACK_CALL}\ndmemory, dw, derase, dadd = (d[::1000] for d in (dmemory, dw, derase, dadd))",
            repeat=dict.fromkeys(("memory", "w", "erase", "add", "dout"), (50_000, 0)),
        ),
    ),
    reference=_write_back_one_by_one,
    mistakes=(
        Mistake(
            "dmemory is dout itself. Of each number the share 1 - w e was kept, and so much of the gradient comes "
            "back.",
            changed(_WRITE_BACK, ("dout * (1 - w[:, :, None] * erase[:, None])", "1.0 * dout")),
        ),
        Mistake(
            "dw has what was added only. The weight also decided how much was erased.",
            changed(_WRITE_BACK, (" - taken @ erase[:, :, None]", "")),
        ),
        Mistake(
            "dw has the sign of the erased part wrong: more weight means that less is left.",
            changed(_WRITE_BACK, (" - taken @ erase", " + taken @ erase")),
        ),
        Mistake(
            "derase has the wrong sign: more erasing means that less is left.",
            changed(_WRITE_BACK, ("-(w[:, None] @ taken)", "(w[:, None] @ taken)")),
        ),
        Mistake(
            "derase lacks the memory: what is lost is w e times what was there.",
            changed(_WRITE_BACK, ("-(w[:, None] @ taken)", "-(w[:, None] @ dout)")),
        ),
        Mistake(
            "dadd is a mean over the rows. Each row got its part of the vector, and the parts are added.",
            changed(_WRITE_BACK, ("(w[:, None] @ dout)[:, 0]", "(w[:, :, None] * dout).mean(axis=1)")),
        ),
        Mistake(
            "dw is made with the memory after the erasing. Forward multiplied the memory that came in.",
            changed(
                _WRITE_BACK,
                ("taken @ erase[:, :, None])", "(taken * (1 - w[:, :, None] * erase[:, None])) @ erase[:, :, None])"),
            ),
        ),
    ),
    hints=(
        "For one number: m (1 - u e) + u a, with the weight u. Its four derivatives are 1 - u e, a - m e, -m u and u.",
        "Multiply each by dout and sum over what was shared: dw over the numbers of a row, derase and dadd over the "
        "rows.",
    ),
    section=f'{SECTION}, "Read, erase, add"',
)

# --- 8.20.8: one step of the machine ----------------------------------------------------------------------------


def _step_one_by_one(memory, previous, contents, gates, shifts, erase, add):
    w = np.empty(previous.shape)
    for n, m in np.ndindex(previous.shape[:2]):
        g = gates[n, m]
        w[n, m] = _shift_one_by_one((g * contents[n, m] + (1 - g) * previous[n, m])[None], shifts[n, m][None])[0]
    after = _write_one_by_one(memory, w[:, 1], erase, add)
    reads = np.array([row_weights @ rows for row_weights, rows in zip(w[:, 0], after, strict=True)])
    return after, w, reads


def _move(w, shift):
    """As in 8.20.2, for any number of heads: w (..., R), shift (..., 3)."""
    return sum(shift[..., j, None] * np.roll(w, j - 1, axis=-1) for j in range(3))


def _write(memory, w, erase, add):
    return memory * (1 - w[:, :, None] * erase[:, None]) + w[:, :, None] * add[:, None]


_STEP = """\
def step(memory, previous, contents, gates, shifts, erase, add):
    g = gates[:, :, None]
    w = move(g * contents + (1 - g) * previous, shifts)
    memory = write(memory, w[:, 1], erase, add)
    r = (w[:, 0, :, None] * memory).sum(axis=1)
    return memory, w, r
"""
_READ_LINE = "    r = (w[:, 0, :, None] * memory).sum(axis=1)\n"
_WRITE_LINE = "    memory = write(memory, w[:, 1], erase, add)\n"


def _step_inputs(rng, N, R, W):
    drawn = _write_inputs(rng, N, R, W)
    del drawn["w"]
    return drawn | {
        "previous": _weightings(rng, N, 2, R),
        "contents": _weightings(rng, N, 2, R),
        "gates": rng.random((N, 2)),
        "shifts": _weightings(rng, N, 2, 3),
    }


def _same_row(rng, N, R, W):
    """Both heads are on the same row, which is overwritten in this step."""
    row = np.eye(R)[rng.integers(0, R, N)]
    both = np.stack((row, row), axis=1)
    still = np.broadcast_to([0.0, 1.0, 0.0], (N, 2, 3)).copy()
    return _step_inputs(rng, N, R, W) | {"previous": both, "contents": both, "shifts": still, "erase": np.ones((N, W))}


STEP = Exercise(
    number="8.20.8",
    title="Bug hunt: one step of the machine",
    name="step",
    points=2,
    call="after, w, r = answer(memory, previous, contents, gates, shifts, erase, add)",
    outputs=("after", "w", "r"),
    cases=(
        Case("both heads on one row", lambda rng: _same_row(rng, 1, 3, 2)),
        Case("all sizes are 3", lambda rng: _step_inputs(rng, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _step_inputs(rng, 2, size(rng, 4, 7), 3)),
    ),
    reference=_step_one_by_one,
    given={"move": _move, "write": _write},
    bug=Mistake(
        "The head reads before the other one writes, so it gets what stood there in the step before.",
        changed(_STEP, (_WRITE_LINE + _READ_LINE, _READ_LINE + _WRITE_LINE)),
    ),
    mistakes=(
        Mistake(
            "The order is right now, and the heads are exchanged: head 0 reads, head 1 writes.",
            changed(
                _STEP,
                ("(memory, w[:, 1], erase", "(memory, w[:, 0], erase"),
                ("(w[:, 0, :, None]", "(w[:, 1, :, None]"),
            ),
        ),
        Mistake(
            "Both heads go on from the weighting that the reading head had. Each has its own.",
            changed(_STEP, ("(1 - g) * previous", "(1 - g) * previous[:, :1]")),
        ),
        Mistake(
            "The head reads with the weighting of the step before. All heads address first, then they write and read.",
            changed(_STEP, ("(w[:, 0, :, None] * memory)", "(previous[:, 0, :, None] * memory)")),
        ),
        Mistake(
            "The gate is upside down: a gate of 1 takes what was found by content, and drops the weighting before.",
            changed(_STEP, ("g * contents + (1 - g) * previous", "(1 - g) * contents + g * previous")),
        ),
        Mistake(
            "It reads after writing, and what it reads is the sum of all rows, without the weights.",
            changed(_STEP, ("(w[:, 0, :, None] * memory).sum(axis=1)", "memory.sum(axis=1)")),
        ),
    ),
    hints=(
        "Let both heads be on row 0, and let the writing head overwrite it. What should the reading head get?",
        "In the paper r_t reads M_t, the memory after this step's write. One of the lines stands too early.",
    ),
    section=f'{SECTION}, "A step of the machine"',
)

# --- 8.20.9: back through time ----------------------------------------------------------------------------------


def _back_one_by_one(gates, shifts, dws):
    """Each content on its own: forward through all later steps, by the products of what it meets on its way."""
    T, N, R = dws.shape
    ahead = np.zeros((T + 1, N, R))  # the gradient that reaches the weighting before step t
    dcontents = np.empty(dws.shape)
    for t in range(T - 1, -1, -1):
        for n in range(N):
            whole = dws[t, n] + ahead[t + 1, n]
            dgated = np.array([sum(shifts[t, n, j] * whole[(r + j - 1) % R] for j in range(3)) for r in range(R)])
            dcontents[t, n] = gates[t, n] * dgated
            ahead[t, n] = dgated - gates[t, n] * dgated
    return dcontents, ahead[0]


def _move_back(dout, shift):
    """The gradient of what was moved: shifted the other way. dout (N, R), shift (N, 3)."""
    return sum(shift[..., j, None] * np.roll(dout, 1 - j, axis=-1) for j in range(3))


_BACK = """\
def loop_backward(gates, shifts, dws):
    dcontents, dprevious = np.empty_like(dws), 0.0
    for t in reversed(range(len(dws))):
        dmoved = move_back(dws[t] + dprevious, shifts[t])
        g = gates[t][:, None]
        dcontents[t] = g * dmoved
        dprevious = (1 - g) * dmoved
    return dcontents, dprevious
"""


def _back_inputs(rng, T, N, R, gate=None):
    drawn = {"gates": rng.random((T, N)), "shifts": _weightings(rng, T, N, 3)} | normal(rng, dws=(T, N, R))
    return drawn if gate is None else drawn | {"gates": np.full((T, N), gate)}


BACK = Exercise(
    number="8.20.9",
    title="Bug hunt: half of a loop",
    name="loop_backward",
    points=3,
    call="dcontents, dfirst = answer(gates, shifts, dws)",
    outputs=("dcontents", "dfirst"),
    cases=(
        Case("two steps, one weighting", lambda rng: _back_inputs(rng, 2, 1, 3)),
        Case("all sizes are 3", lambda rng: _back_inputs(rng, 3, 3, 3)),
        Case("many steps", lambda rng: _back_inputs(rng, size(rng, 5, 8), 2, 4)),
        Case("closed gates", lambda rng: _back_inputs(rng, 4, 2, 5, gate=0.1)),
    ),
    reference=_back_one_by_one,
    given={"move_back": _move_back},
    bug=Mistake(
        "Each step has only its own gradient: what later steps say of a weighting that they went on from is forgotten.",
        changed(_BACK, ("dws[t] + dprevious", "dws[t]")),
    ),
    mistakes=(
        Mistake(
            "What comes from later steps replaces the gradient of this step. A weighting is used twice: read, and gone "
            "on from.",
            changed(_BACK, ("dws[t] + dprevious", "dws[t] if t == len(dws) - 1 else dprevious")),
        ),
        Mistake(
            "The share that goes to the step before is g. What was kept of the weighting before is 1 - g.",
            changed(_BACK, ("dprevious = (1 - g) * dmoved", "dprevious = g * dmoved")),
        ),
        Mistake(
            "All of the gradient goes to the step before. The content had its share in the weighting.",
            changed(_BACK, ("dprevious = (1 - g) * dmoved", "dprevious = dmoved")),
        ),
        Mistake(
            "The gradient of the next step's weighting is added as it arrived there. It has to go through that step's "
            "shift and gate first.",
            changed(_BACK, ("dws[t] + dprevious", "dws[t] + (dws[t + 1] if t + 1 < len(dws) else 0.0)")),
        ),
        Mistake(
            "The steps are added up from the first to the last. A gradient comes from later steps.",
            changed(_BACK, ("in reversed(range(len(dws)))", "in range(len(dws))")),
        ),
        Mistake(
            "What comes from later steps is added behind the shift. It belongs to the weighting, so it goes through "
            "the shift as well.",
            changed(_BACK, ("move_back(dws[t] + dprevious, shifts[t])", "move_back(dws[t], shifts[t]) + dprevious")),
        ),
    ),
    hints=(
        "Two steps. The second goes on from the weighting of the first. Change the first content a little: which of "
        "the two weightings changes?",
        "The loop computes dprevious in each step, and uses it once, at the end. Where in the step before does it "
        "belong?",
    ),
    section=f'{SECTION}, "Backward through time"',
)

# --- 8.20.10: a program -----------------------------------------------------------------------------------------

_MACHINE = """\
gate, shift, writes = answer(len(xs))
places, memory, found = [start, start], np.zeros((rows, xs.shape[1])), []
for t in range(2 * len(xs)):
    for head in range(2):
        place = 0 if gate[t][head] == 1 else places[head]
        places[head] = (place + shift[t][head]) % rows
    if writes[t]:
        memory[places[1]] = xs[t] if t < len(xs) else 0
    found.append(memory[places[0]].copy())
copies = np.array(found[len(xs) :])
"""


def _program_by_steps(L):
    """The reading head waits on row 0 until it is needed; the writing head stays where it is then."""
    gate = [[1, int(t == 0)] if t <= L else [0, 0] for t in range(2 * L)]
    shift = [[0 if t <= L else 1, 1 if 0 < t < L else 0] for t in range(2 * L)]
    return gate, shift, [1] * L + [0] * L


_PROGRAM = """\
def program(L):
    T = 2 * L
    gate, shift = np.zeros((T, 2), int), np.ones((T, 2), int)
    gate[L, 0], gate[0, 1] = 1, 1
    shift[L, 0], shift[0, 1] = 0, 0
    return gate, shift, np.arange(T) < L
"""


def _program_inputs(rng, L, spare):
    """Vectors of four bits, no two alike. A reading head that never jumps is on an empty row when the reading begins,
    or, where there is none, on row 2 or later."""
    bits = rng.permutation(16)[:L, None] >> np.arange(4) & 1
    rows = L + spare
    late = int(rng.integers(L if spare else 2, rows))
    return {"xs": bits + 0.5, "rows": rows, "start": (late - L) % rows}


PROGRAM = Exercise(
    number="8.20.10",
    title="A program of gates and shifts",
    name="program",
    points=3,
    call=_MACHINE,
    outputs=("copies",),
    cases=(
        Case("three vectors", lambda rng: _program_inputs(rng, 3, 2)),
        Case("as many vectors as rows", lambda rng: _program_inputs(rng, size(rng, 4, 7), 0)),
        Case("many vectors", lambda rng: _program_inputs(rng, size(rng, 8, 13), 3)),
    ),
    reference=_program_by_steps,
    mistakes=(
        Mistake(
            "The reading head never goes back to row 0 when the reading begins, so it does not find the first vector.",
            changed(_PROGRAM, ("gate[L, 0], gate[0, 1] = 1, 1", "gate[0, 1] = 1")),
        ),
        Mistake(
            "The reading head goes back to row 0 and at once one row on, or goes back a step too early: it begins with "
            "the second vector.",
            changed(_PROGRAM, ("shift[L, 0], shift[0, 1] = 0, 0", "shift[0, 1] = 0")),
        ),
        Mistake(
            "The gate of the writing head is always open: all vectors are written into the same row, and the last one "
            "stays.",
            changed(_PROGRAM, ("    return", "    gate[:, 1], shift[:, 1] = 1, 0\n    return")),
        ),
        Mistake(
            "The gate of the reading head is always open while it reads: it finds the first vector again and again.",
            changed(_PROGRAM, ("    return", "    gate[L:, 0], shift[L:, 0] = 1, 0\n    return")),
        ),
        Mistake(
            "The writing head goes on writing while the other one reads, and where the ring is full it overwrites what "
            "has not been read yet.",
            changed(_PROGRAM, ("np.arange(T) < L", "np.arange(T) < T")),
        ),
        Mistake(
            "The reading head goes the other way round the ring than the writing head did.",
            changed(_PROGRAM, ("    return", "    shift[L + 1 :, 0] = -1\n    return")),
        ),
    ),
    hints=(
        "Say it in words first: what does the writing head do at step 0, and at each step after it? And the reading "
        "head at step L?",
        "A gate of 1 jumps to row 0, then the shift is added. Both heads need one jump with shift 0, the writing head "
        "at step 0 and the reading head at step L; otherwise gate 0, shift 1.",
    ),
    section=f'{SECTION}, "A loop with a counter"',
)

EXERCISES = (FIND, MOVE, MOVE_BACK, SHARPEN, SHARPEN_BACK, WRITE, WRITE_BACK, STEP, BACK, PROGRAM)
