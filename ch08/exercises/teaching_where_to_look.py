"""Exercises 8.8: hiding separators, word dropout, and the alignment loss."""

from ch08.exercises.seeing_attention import SCORE_CASES, flat
from common.grading.draws import size
from common.grading.exercise import Case, Exercise, Mistake
from common.np import host as np

SECTION = "notebook 8.8"

# --- 8.8.1: where not to look ---------------------------------------------------------------------


def _characters(rng, N, T, share, only_separators=()):
    """Separators and random numbers: in each question one separator to hide, two to show, and a letter drawn low.

    One of those to show has a number equal to the share.

    Args: only_separators, the questions that consist of separators to hide.
    """
    separator, u = rng.random((N, T)) < 0.4, rng.random((N, T))
    separator[:, :4] = [True, True, False, True]
    u[:, 0] = share * rng.uniform(0.1, 0.9, N)
    u[:, 1] = share + (1 - share) * rng.uniform(0.1, 0.9, N)
    u[:, 2] = share * rng.uniform(0.1, 0.9, N)
    u[:, 3] = share
    for n in range(N):
        order = rng.permutation(T)
        separator[n], u[n] = separator[n, order], u[n, order]
    for n in only_separators:
        separator[n], u[n] = True, share * rng.uniform(0.1, 0.9, T)
    return {"separator": separator, "u": u, "share": share}


def _attention_mask(separator, u, share):
    mask = np.ones(separator.shape, bool)
    for n, t in np.ndindex(*mask.shape):
        if separator[n, t] and u[n, t] < share:
            mask[n, t] = False
    for n in range(len(mask)):
        if not mask[n].any():
            mask[n] = True
    return mask


def _mask(hidden="separator & (u < share)", whole="hidden[hidden.all(axis=1)] = False", last="~hidden"):
    return f"""\
def attention_mask(separator, u, share):
    hidden = {hidden}
    {whole}
    return {last}
"""


MASK = Exercise(
    number="8.8.1",
    title="Where not to look",
    name="attention_mask",
    points=1,
    call="mask = answer(separator, u, share)",
    outputs=("mask",),
    cases=(
        Case("one question", lambda rng: _characters(rng, 1, 5, 0.5)),
        Case("a question of separators only", lambda rng: _characters(rng, 3, 5, 0.7, only_separators=[1])),
        Case("several questions", lambda rng: _characters(rng, 4, size(rng, 6, 9), 0.5)),
        Case("nearly all separators hidden", lambda rng: _characters(rng, 4, size(rng, 6, 9), 0.9)),
    ),
    reference=_attention_mask,
    mistakes=(
        Mistake(
            "The mask is inverted: True means that the attention may look there.",
            _mask(last="hidden"),
        ),
        Mistake(
            "Letters and digits are hidden, too. Only separators are.",
            _mask("u < share"),
        ),
        Mistake(
            "Every separator is hidden. Some of them stay in sight: u decides.",
            _mask("separator & (share > 0)"),
        ),
        Mistake(
            "The separators with a large u are hidden. A share of them should be, and u is below share that often.",
            _mask("separator & (u > share)"),
        ),
        Mistake(
            "A question of separators only is hidden as a whole. Attention needs something to look at.",
            _mask(whole="pass"),
        ),
        Mistake(
            "If one question would be hidden as a whole, no question has anything hidden. Decide row by row.",
            _mask(whole="hidden &= not hidden.all(axis=1).any()"),
        ),
    ),
    hints=(
        "First find what is hidden: a character has to meet two conditions. Then look for rows hidden as a whole.",
        "hidden = separator & (u < share). hidden.all(axis=1) says which rows are hidden as a whole; in those, nothing "
        "is hidden. The mask is the opposite of hidden.",
    ),
    section=f'{SECTION}, "The separators are hidden"',
)

# --- 8.8.2: what the decoder reads, and what it should write --------------------------------------


def _answers(rng, N, T_dec):
    """Answers of the digits 0 to 9 after the start mark 10, and what to put in: always another digit."""
    ts = rng.integers(0, 10, (N, T_dec + 1))
    ts[:, 0] = 10
    digits = rng.integers(0, 9, (N, T_dec))
    digits += digits >= ts[:, :-1]
    drop = rng.random((N, T_dec)) < 0.4
    drop[0, :3] = [True, True, False]
    return {"ts": ts, "drop": drop, "digits": digits}


def _fed_and_targets(ts, drop, digits):
    fed = [
        [row[t] if t == 0 or not hit[t] else put[t] for t in range(len(hit))]
        for row, hit, put in zip(ts, drop, digits, strict=True)
    ]
    return np.array(fed), np.array([row[1:] for row in ts])


def _dropped(fed="ts[:, :-1].copy()", drop="drop & (np.arange(drop.shape[1]) > 0)", into="fed[drop] = digits[drop]"):
    return f"""\
def word_dropped(ts, drop, digits):
    fed = {fed}  # what the decoder reads
    targets = ts[:, 1:]  # what it should write
    drop = {drop}  # the start mark stays
    {into}
    return fed, targets
"""


SHARED = Exercise(
    number="8.8.2",
    title="Bug hunt: the better the model, the higher the loss",
    name="word_dropped",
    points=2,
    call="fed, targets = answer(ts, drop, digits)",
    outputs=("fed", "targets"),
    cases=(
        Case("one short answer", lambda rng: _answers(rng, 1, 4)),
        Case("several answers", lambda rng: _answers(rng, 3, size(rng, 4, 7))),
        Case("answers of ten characters", lambda rng: _answers(rng, size(rng, 4, 7), 10)),
    ),
    reference=_fed_and_targets,
    bug=Mistake(
        "A replaced character is replaced in the targets as well, so the model is to write the random digit.",
        _dropped(fed="ts[:, :-1]"),
    ),
    mistakes=(
        Mistake(
            "The targets are right. But the start mark is replaced as well; it tells the decoder to begin.",
            "def word_dropped(ts, drop, digits):\n    return np.where(drop, digits, ts[:, :-1]), ts[:, 1:].copy()",
        ),
        Mistake(
            "Now nothing is replaced in what the decoder reads.",
            _dropped(into="targets = targets.copy()"),
        ),
        Mistake(
            "What should stay is replaced, and what should be replaced stays.",
            _dropped(into="fed[:, 1:] = np.where(drop, fed, digits)[:, 1:]"),
        ),
        Mistake(
            "The decoder reads its own targets: it is fed the character that it should write in the same step.",
            _dropped(fed="ts[:, 1:].copy()", drop="drop & (np.arange(drop.shape[1]) > 0)"),
        ),
    ),
    hints=(
        "Print targets before and after the line that replaces. Which of the two arrays did it write into?",
        "A slice of an array is not a new array: fed and targets look at the same numbers as ts. One of them needs "
        "numbers of its own.",
    ),
    section=f'{SECTION}, "The decoder cannot rely on what it wrote"',
)

# --- 8.8.3: the alignment loss --------------------------------------------------------------------


def _alignment_loss(weights, gold):
    loss, da = 0.0, np.zeros_like(weights)
    rows = len(flat(gold))
    for n, k in np.ndindex(*gold.shape[:2]):
        right = gold[n, k]
        if right.any():
            share = weights[n, k][right].sum()
            loss -= np.log(share) / rows
            da[n, k][right] = -1 / (share * rows)
    return float(loss), da


def _loss(mean="per_row.mean()", da="gold / mass[..., None] / -mass.size", per_row="-np.log(mass)"):
    return f"""\
def alignment_loss(weights, gold):
    known = gold.any(axis=2)
    mass = np.where(known, (weights * gold).sum(axis=2), 1.0)
    per_row = {per_row}
    return {mean}, {da}
"""


LOSS = Exercise(
    number="8.8.3",
    title="Told where to look: the alignment loss",
    name="alignment_loss",
    points=2,
    call="loss, da = answer(weights, gold)",
    outputs=("loss", "da"),
    cases=SCORE_CASES,
    reference=_alignment_loss,
    mistakes=(
        Mistake(
            "The loss is right, but da has the wrong sign. More attention on gold makes the loss smaller: da is "
            "negative.",
            _loss(da="gold / mass[..., None] / mass.size"),
        ),
        Mistake(
            "The loss is right. But it is a mean, and da was not divided by the number of rows.",
            _loss(da="gold / -mass[..., None]"),
        ),
        Mistake(
            "The loss is right. But da divides by each weight on its own. The logarithm is taken of the row's mass.",
            _loss(da="np.where(gold, -1 / weights, 0) / mass.size"),
        ),
        Mistake(
            "The loss is right. But da is not 0 on characters that are not gold; the mass does not depend on them.",
            _loss(da="known[..., None] / mass[..., None] / -mass.size + 0 * weights"),
        ),
        Mistake(
            "The mean is taken over the rows with gold only. A row without gold adds 0, but it still counts.",
            _loss("per_row.sum() / known.sum()", "gold / mass[..., None] / -known.sum()"),
        ),
        Mistake(
            "The logarithm is taken of the mean mass. Take it for every row first, then the mean.",
            _loss("-np.log(mass.mean())", "gold / mass.mean() / -mass.size"),
        ),
        Mistake(
            "Your loss is 1 - mass. The task asks for -log(mass): the smaller the mass, the stronger the pull.",
            _loss(da="gold / -mass.size", per_row="1 - mass"),
        ),
        Mistake(
            "The loss is negative: it should be minus the logarithm. da has the wrong sign for the same reason.",
            _loss(da="gold / mass[..., None] / mass.size", per_row="np.log(mass)"),
        ),
        Mistake(
            "A small number is added to the mass. Here it is not needed: every row with gold has some weight on it.",
            _loss(da="gold / -(mass + 1e-4)[..., None] / mass.size", per_row="-np.log(mass + 1e-4)"),
        ),
        Mistake(
            "A row without gold has the mass 0, and log(0) is not finite. The loss of such a row is 0.",
            "def alignment_loss(weights, gold):\n    mass = (weights * gold).sum(axis=2)\n"
            '    with np.errstate(all="ignore"):\n'
            "        return -np.log(mass).mean(), gold * (-1 / mass)[..., None] / mass.size\n",
        ),
    ),
    hints=(
        "Start with one row: its loss is -log(m), with m the sum of its gold weights. How much does m change if a gold "
        "weight grows a little? And if a weight that is not gold does? Then: what is all of it divided by?",
        "Give rows without gold a mass of 1, for example with np.where: -log(1) is 0. The derivative of -log(m) is "
        "-1 / m, so da is gold * (-1 / m)[..., None], divided by the number of all rows, N * T_dec.",
    ),
    section=f'{SECTION}, "Told where to look"',
)

EXERCISES = (MASK, SHARED, LOSS)
