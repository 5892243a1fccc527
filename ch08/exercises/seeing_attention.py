"""Exercises 8.7: reading a heatmap, restoring its reading order, and the alignment score."""

import datetime

from common.functions import softmax
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake
from common.np import host as np
from dataset.dates import FORMS, gold_mask, write

SECTION = "notebook 8.7"


def _question(rng, form=None):
    form = form or str(rng.choice(FORMS))
    date = datetime.date(size(rng, 1970, 2018), int(rng.choice([1, 2, 3, 9, 10, 12])), size(rng, 1, 29))
    return write(date, form)


def _rows(rng, *shape):
    """Attention weights: random, sharp, every row sums to 1."""
    return softmax(2 * rng.standard_normal(shape))


# --- 8.7.1: reading a heatmap ---------------------------------------------------------------------


def _heatmap(rng, form, T_dec=10):
    question = _question(rng, form)
    return {"weights": _rows(rng, T_dec, len(question)), "question": question}


def _word(rng):
    """A word whose letters all differ; each step looks at a different one, so that every wrong column shows."""
    looked_at = np.eye(6)[rng.permutation(6)[:5]]
    return {
        "weights": softmax(rng.random((5, 6)) + 2 * looked_at),
        "question": "".join(rng.permutation(list("abcdef"))),
    }


def _most_attended(weights, question):
    columns = np.argsort(weights, axis=1)[:, -1]
    return "".join(np.array(list(question))[columns])


READ = Exercise(
    number="8.7.1",
    title="Read a heatmap",
    name="most_attended",
    points=1,
    call="looked_at = answer(weights, question)",
    outputs=("looked_at",),
    cases=(
        Case("five steps of a short word", _word),
        Case("a date of numbers", lambda rng: _heatmap(rng, "slashes")),
        Case("a date with its month in words", lambda rng: _heatmap(rng, "long")),
        Case("a long question", lambda rng: _heatmap(rng, "weekday")),
    ),
    reference=_most_attended,
    mistakes=(
        Mistake(
            "The largest weight of every column is taken. A row of the heatmap is one step of the decoder.",
            'def most_attended(weights, question):\n    return "".join(question[i] for i in weights.argmax(axis=0))',
        ),
        Mistake(
            "These are the characters with the smallest weights, the white cells.",
            'def most_attended(weights, question):\n    return "".join(question[i] for i in weights.argmin(axis=1))',
        ),
        Mistake(
            "The question is read backward. Here the weights are in reading order, as the question is.",
            "def most_attended(weights, question):\n"
            '    return "".join(question[-1 - i] for i in weights.argmax(axis=1))',
        ),
        Mistake(
            "The columns are counted from 1. The first character has index 0.",
            "def most_attended(weights, question):\n"
            '    return "".join(question[i - 1] for i in weights.argmax(axis=1))',
        ),
    ),
    hints=(
        "argmax gives the position of the largest number. Along which axis do the characters of the question lie?",
        "weights.argmax(axis=1) gives one column for every step. Take question[i] for each and join them.",
    ),
    section=f'{SECTION}, "Digit by digit"',
)

# --- 8.7.2: reading order -------------------------------------------------------------------------


def _read_backward(rng, T_dec, lengths):
    """Weights as they come from the model: row n fills lengths[n] columns, followed by zeros."""
    T = max(lengths)
    weights = np.zeros((len(lengths), T_dec, T))
    for n, length in enumerate(lengths):
        weights[n, :, :length] = _rows(rng, T_dec, length)
    return {"weights": weights, "lengths": np.array(lengths)}


def _turn_back(weights, lengths):
    T = weights.shape[2]
    column = np.arange(T)
    source = np.where(column < lengths[:, None], lengths[:, None] - 1 - column, column)  # (N, T)
    return np.take_along_axis(weights, source[:, None], axis=2)


def _turned(line):
    return (
        "def turn_back(weights, lengths):\n    turned = weights.copy()\n    for n, length in enumerate(lengths):\n"
        f"        {line}\n    return turned\n"
    )


TURN_BACK = Exercise(
    number="8.7.2",
    title="Back to reading order",
    name="turn_back",
    points=2,
    call="turned = answer(weights, lengths)",
    outputs=("turned",),
    cases=(
        Case("one question, no padding", lambda rng: _read_backward(rng, 2, [3])),
        Case("two questions, one of them padded", lambda rng: _read_backward(rng, 3, [2, 4])),
        Case("as many steps as columns", lambda rng: _read_backward(rng, 5, [3, 5, 4])),
        Case(
            "lengths of dates, and one single character",
            lambda rng: _read_backward(rng, 10, [7, size(rng, 8, 13), 18, 1]),
        ),
    ),
    reference=_turn_back,
    mistakes=(
        Mistake(
            "The whole width is reversed, padding included. Short questions now begin with their padding.",
            "def turn_back(weights, lengths):\n    return weights[:, :, ::-1].copy()",
        ),
        Mistake(
            "The rows are reversed, so the answer is read backward. The columns are the question's.",
            "def turn_back(weights, lengths):\n    return weights[:, ::-1].copy()",
        ),
        Mistake(
            "Nothing is reversed: the first column is still the last character.",
            "def turn_back(weights, lengths):\n    return weights.copy()",
        ),
        Mistake(
            "All questions are reversed as if they had the length of the first one.",
            "def turn_back(weights, lengths):\n    L, turned = lengths[0], weights.copy()\n"
            "    turned[:, :, :L] = weights[:, :, :L][:, :, ::-1]\n    return turned",
        ),
        Mistake(
            "Columns and rows are reversed. The answer was written in order; only the question was read backward.",
            _turned("turned[n, :, :length] = weights[n, :, :length][::-1, ::-1]"),
        ),
    ),
    hints=(
        "Do it for one question first: reverse its first lengths[n] columns and leave the others where they are.",
        "For each n: turned[n, :, :L] = weights[n, :, :L][:, ::-1] with L = lengths[n], in a copy of the weights.",
    ),
    section=f'{SECTION}, "One question, one heatmap"',
)

# --- 8.7.3 and 8.7.4: the alignment score ---------------------------------------------------------


def _aligned(rng, forms, T):
    gold = np.stack([gold_mask(_question(rng, form), T) for form in forms])  # (N, 10, T)
    weights = softmax(2 * rng.standard_normal(gold.shape) + 1.5 * gold)
    n, k = np.argwhere(gold.any(axis=2))[0]
    peak = np.eye(T)[gold[n, k].argmax()]
    weights[n, k] = (1 + peak) / (T + 1)  # always one hit with less than half of the weight on gold
    return {"weights": weights, "gold": gold}


def _some_rows(rng, N, T_dec, T):
    """Gold alignments of any kind, not only of dates: a row may have no gold character."""
    gold = rng.random((N, T_dec, T)) < 0.3
    gold[:, 0], gold[:, 1, 0] = False, True
    return {"weights": softmax(2 * rng.standard_normal(gold.shape) + 1.5 * gold), "gold": gold}


SCORE_CASES = (
    Case("two short questions", lambda rng: _aligned(rng, ["slashes"] * 2, 8)),
    Case("ten characters of question and answer", lambda rng: _aligned(rng, ["slashes"] * 3, 10)),
    Case("questions of all forms, padded", lambda rng: _aligned(rng, FORMS, 29)),
    Case("a single question", lambda rng: _aligned(rng, ["slashes"], 8)),
    Case("another task, with other rows without gold", lambda rng: _some_rows(rng, 3, 5, size(rng, 6, 9))),
)


def _mass(weights, gold):
    shares = [row[right].sum() for row, right in zip(weights.reshape(-1, weights.shape[2]), flat(gold)) if right.any()]
    return float(np.mean(shares))


def flat(gold):
    """Return the rows of all questions below one another, (N T_dec, T)."""
    return gold.reshape(-1, gold.shape[2])


MASS = Exercise(
    number="8.7.3",
    title="Alignment score: the mass",
    name="mass",
    points=2,
    call="m = answer(weights, gold)",
    outputs=("m",),
    cases=SCORE_CASES,
    reference=_mass,
    mistakes=(
        Mistake(
            "The hyphens are counted as rows of mass 0. They come from nowhere, so they do not count.",
            "def mass(weights, gold):\n    return float((weights * gold).sum(axis=2).mean())",
        ),
        Mistake(
            "This is the mean weight of a gold character. The mass of a row is the sum over its gold characters.",
            "def mass(weights, gold):\n    return float(weights[gold].mean())",
        ),
        Mistake(
            "This is the mass of a whole question, summed over its digits. Take the mean over the digits.",
            "def mass(weights, gold):\n    return float((weights * gold).sum() / len(weights))",
        ),
        Mistake(
            "The sum runs over the steps of the decoder. A row's mass is a sum over the characters of the question.",
            "def mass(weights, gold):\n    return float((weights * gold).sum(axis=1)[gold.any(axis=1)].mean())",
        ),
        Mistake(
            "Only the largest gold weight of each row is counted. The mass is all the weight on gold characters.",
            "def mass(weights, gold):\n    return float((weights * gold).max(axis=2)[gold.any(axis=2)].mean())",
        ),
    ),
    hints=(
        "Start with one row: which of its weights lie on gold characters, and what is their sum? Then: which rows "
        "count?",
        "(weights * gold).sum(axis=2) is the mass of every row, (N, T_dec). gold.any(axis=2) says which rows are "
        "digits. Take the mean over those only.",
    ),
    section=f'{SECTION}, "The alignment score"',
)


def _hits(weights, gold):
    hits = np.zeros(gold.shape[:2], bool)
    for n, k in np.ndindex(*hits.shape):
        hits[n, k] = gold[n, k, np.argmax(weights[n, k])]
    return hits, float(hits.sum() / sum(row.any() for row in flat(gold)))


def _hit_rate(hits="np.take_along_axis(gold, weights.argmax(axis=2)[..., None], axis=2)[..., 0]", share=None):
    return f"""\
def hit_rate(weights, gold):
    digits = gold.any(axis=2)
    hits = {hits}
    return hits, float({share or "hits[digits].mean()"})
"""


HIT = Exercise(
    number="8.7.4",
    title="Alignment score: the hits",
    name="hit_rate",
    points=2,
    call="hits, share = answer(weights, gold)",
    outputs=("hits", "share"),
    cases=SCORE_CASES,
    reference=_hits,
    mistakes=(
        Mistake(
            "The hits are right. But the hyphens count as misses in the share; they come from nowhere.",
            _hit_rate(share="hits.mean()"),
        ),
        Mistake(
            "The hits are right. But they are only counted, not divided by the number of digits.",
            _hit_rate(share="hits.sum()"),
        ),
        Mistake(
            "Here a row is a hit if more than half of its weight lies on gold. That is a question about the mass.",
            _hit_rate("(weights * gold).sum(axis=2) > 0.5"),
        ),
        Mistake(
            "Only the first gold character of a row counts as a hit. Any gold character will do.",
            _hit_rate("(weights.argmax(axis=2) == gold.argmax(axis=2)) & digits"),
        ),
        Mistake(
            "A row counts as a hit if there is any weight on gold. Ask where its largest weight lies.",
            _hit_rate("((weights * gold) > 0).any(axis=2)"),
        ),
    ),
    hints=(
        "weights.argmax(axis=2) gives a column for every row, (N, T_dec). Look up in gold whether that column is gold.",
        "np.take_along_axis(gold, largest[..., None], axis=2)[..., 0] looks it up for all rows; a loop works as well. "
        "gold.any(axis=2) says which rows are digits: take the mean of the hits over those.",
    ),
    section=f'{SECTION}, "The alignment score"',
)

# --- 8.7.5: not in reading order ------------------------------------------------------------------


def encoder_states(ids, vectors):
    """A small encoder: each state is the embedding of what is read, plus half of the state before."""
    hs, h = [], 0
    for x in vectors[ids]:
        h = 0.5 * h + x
        hs.append(h)
    return np.array(hs)


def _toy(rng, T, T_dec, H, V):
    return {"ids": rng.permutation(V)[:T], **normal(rng, queries=(T_dec, H), vectors=(V, H))}


def _reading_order(ids, queries, vectors):
    states = encoder_states(ids[::-1], vectors)[::-1]
    return softmax(queries @ states.T)


def _heatmap_weights(last, read="ids[::-1]  # the model was trained on reversed questions"):
    return f"""\
def heatmap_weights(ids, queries, vectors):
    read = {read}
    hs = encoder_states(read, vectors)  # (T, H)
    weights = softmax(queries @ hs.T)  # (T_dec, T)
    return {last}
"""


NOT_TURNED = Exercise(
    number="8.7.5",
    title="Bug hunt: looking at the wrong end",
    name="heatmap_weights",
    points=2,
    call="weights = answer(ids, queries, vectors)",
    outputs=("weights",),
    cases=(
        Case("three characters, two steps", lambda rng: _toy(rng, 3, 2, 4, 5)),
        Case("as many steps as characters", lambda rng: _toy(rng, 4, 4, 4, 6)),
        Case("a longer question", lambda rng: _toy(rng, size(rng, 7, 12), 5, 3, 15)),
    ),
    reference=_reading_order,
    given={"softmax": softmax, "encoder_states": encoder_states},
    bug=Mistake(
        "The columns are in the order in which the model reads, last character first. A heatmap is in reading order.",
        _heatmap_weights("weights"),
    ),
    mistakes=(
        Mistake(
            "The rows are reversed now, so the answer runs backward. It was the question that was read backward.",
            _heatmap_weights("weights[::-1]"),
        ),
        Mistake(
            "Rows and columns are reversed. The answer was written in order; only the question was read backward.",
            _heatmap_weights("weights[::-1, ::-1]"),
        ),
        Mistake(
            "The model reads the question forward now. It was trained on reversed questions: it would see states that "
            "it has never seen. Fix the picture, not the model.",
            _heatmap_weights("weights", read="ids"),
        ),
    ),
    hints=(
        "Compare a row of the heatmap with the characters below it, counted from the left and from the right.",
        "The weights are right, but their columns are in the wrong order. Which axis of weights is the question's, and "
        "how do you reverse an array along it?",
    ),
    section=f'{SECTION}, "One question, one heatmap"',
)

EXERCISES = (READ, TURN_BACK, MASS, HIT, NOT_TURNED)
