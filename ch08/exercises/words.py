"""Exercises 8.13: a batch of sentences, three bug hunts on what padding does, perplexity and BLEU of a test set."""

from collections import Counter

from common.functions import softmax
from common.gradient_check import numerical_gradient
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.13"
WORDS = "the a dog cat sleeps sees garden house . in man old".split()


# --- 8.13.1: a batch of sentences -------------------------------------------------------------------------------


def _encode_by_place(sentences, vocabulary):
    """Place by place: which word, mark or padding stands there?"""
    cut = [sentence.split() for sentence in sentences]
    lengths = np.array([len(row) + 2 for row in cut])
    ids = np.empty((len(cut), max(lengths)), dtype=int)
    for n, t in np.ndindex(ids.shape):
        if t == 0:
            ids[n, t] = 1
        elif t == lengths[n] - 1:
            ids[n, t] = 2
        elif t >= lengths[n]:
            ids[n, t] = 0
        else:
            word = cut[n][t - 1]
            ids[n, t] = 4 + vocabulary.index(word) if word in vocabulary else 3
    return ids, lengths


_ENCODE = """\
def encode_batch(sentences, vocabulary):
    word_to_id = {word: k for k, word in enumerate(vocabulary, 4)}
    rows = [[1, *(word_to_id.get(word, 3) for word in sentence.split()), 2] for sentence in sentences]
    lengths = np.array([len(row) for row in rows])
    T = lengths.max()
    return np.array([row + [0] * (T - len(row)) for row in rows]), lengths
"""


def _texts(rng, lengths, known):
    """Sentences of words drawn from WORDS, of which the first ``known`` are in the vocabulary, in some order."""
    drawn = [" ".join(str(word) for word in rng.choice(WORDS, length)) for length in lengths]
    return {"sentences": drawn, "vocabulary": [str(word) for word in rng.permutation(WORDS[:known])]}


def _with_unknown(rng):
    drawn = _texts(rng, rng.permutation([3, 5]), 8)
    first, *_, last = drawn["vocabulary"]
    drawn["sentences"].insert(1, f"dragon {last} robot {first} dragon")
    return drawn


ENCODE = Exercise(
    number="8.13.1",
    title="A batch of sentences",
    name="encode_batch",
    points=2,
    call="ids, lengths = answer(sentences, vocabulary)\nids = np.arange(100)[ids]",  # integers, as an embedding needs
    outputs=("ids", "lengths"),
    cases=(
        Case("one sentence", lambda rng: _texts(rng, [size(rng, 2, 5)], 12)),
        Case("sentences of different lengths", lambda rng: _texts(rng, rng.permutation([2, 4, 6]), 12)),
        Case("words that are not in the vocabulary", _with_unknown),
        Case("an empty sentence beside another", lambda rng: _texts(rng, [0, size(rng, 2, 5)], 12)),
    ),
    reference=_encode_by_place,
    mistakes=(
        Mistake(
            "Words that are not known are left out. They were said, so their place should hold the id 3.",
            changed(
                _ENCODE,
                (
                    "(word_to_id.get(word, 3) for word in sentence.split())",
                    "(word_to_id[word] for word in sentence.split() if word in word_to_id)",
                ),
            ),
        ),
        Mistake(
            "Words that are not known get the id of padding, and a mask will hide them.",
            changed(_ENCODE, ("get(word, 3)", "get(word, 0)")),
        ),
        Mistake(
            "The words are numbered from 0. The ids 0 to 3 belong to the marks.",
            changed(_ENCODE, ("enumerate(vocabulary, 4)", "enumerate(vocabulary)")),
        ),
        Mistake(
            "The words are numbered from 3, so the first of them looks like an unknown one.",
            changed(_ENCODE, ("enumerate(vocabulary, 4)", "enumerate(vocabulary, 3)")),
        ),
        Mistake(
            "There is no end mark, so a decoder would not learn when to stop.",
            changed(_ENCODE, (", 2] for sentence", "] for sentence")),
        ),
        Mistake(
            "There is no start mark, the first thing that a decoder reads.",
            changed(_ENCODE, ("[[1, *(", "[[*(")),
        ),
        Mistake(
            "The padding comes first. It belongs at the end, after the end mark.",
            changed(_ENCODE, ("row + [0] * (T - len(row))", "[0] * (T - len(row)) + row")),
        ),
        Mistake(
            "The end mark stands at the end of the row, after the padding. It belongs to the sentence, before it.",
            changed(
                _ENCODE,
                ("row + [0] * (T - len(row))", "row[:-1] + [0] * (T - len(row)) + [2]"),
            ),
        ),
        Mistake(
            "The lengths are those of the sentences alone. The two marks are read as well, so they count.",
            changed(_ENCODE, ("for row in rows]), lengths", "for row in rows]), lengths - 2")),
        ),
    ),
    hints=(
        "Write the row of one sentence first: 1, an id for each word, 2. How wide is the batch then?",
        "A dict from words to ids, made with enumerate(vocabulary, 4), answers get(word, 3). The width is the largest "
        "length; np.zeros((N, width), int) is a batch of padding into which the rows can be written.",
    ),
    section=f'{SECTION}, "From words to numbers"',
)

# --- 8.13.2: a score of 0 ---------------------------------------------------------------------------------------


def _weights_row_by_row(scores, mask):
    """The softmax of the real scores alone, put back where they came from."""
    a = np.zeros_like(scores)
    for row, s, real in zip(a, scores, mask, strict=True):
        row[real] = softmax(s[real])
    return a


_WEIGHTS = """\
def attention_weights(scores, mask):
    s = np.where(mask, scores, -np.inf)
    return softmax(s)
"""
_MASK = "np.where(mask, scores, -np.inf)"


def _scores(rng, lengths, T, low=0.0, padding=0.0):
    """Scores around ``low``; those of padding are higher by ``padding``."""
    mask = np.arange(T) < np.array(lengths)[:, None]
    scores = low + rng.standard_normal(mask.shape)
    scores[~mask] += padding
    return {"scores": scores, "mask": mask}


WEIGHTS = Exercise(
    number="8.13.2",
    title="Bug hunt: a hundred words, one of them real",
    name="attention_weights",
    points=2,
    call="a = answer(scores, mask)",
    outputs=("a",),
    cases=(
        Case("one sentence with padding", lambda rng: _scores(rng, [2], 3)),
        Case("N = T", lambda rng: _scores(rng, rng.permutation([1, 2, 3]), 3)),
        Case("scores far below 0", lambda rng: _scores(rng, rng.permutation([3, 5]), size(rng, 6, 9), low=-20.0)),
        Case("large scores at padding", lambda rng: _scores(rng, rng.permutation([2, 4]), 5, padding=1e4)),
    ),
    reference=_weights_row_by_row,
    given={"softmax": softmax},
    bug=Mistake(
        "Padding still has weight. Times 0 its score is 0, and a score of 0 is a score like any other.",
        changed(_WEIGHTS, (_MASK, "scores * mask")),
    ),
    mistakes=(
        Mistake(
            "The weights of padding are set to 0 after the softmax, so the others no longer add up to 1.",
            changed(_WEIGHTS, (_MASK, "scores"), ("softmax(s)", "softmax(s) * mask")),
        ),
        Mistake(
            "Padding is taken out after the softmax. Where its score is far above the others, nothing is left of them, "
            "and 0 is divided by 0.",
            changed(
                _WEIGHTS,
                (_MASK, "scores"),
                ("return softmax(s)", "a = softmax(s) * mask\n    return a / a.sum(axis=-1, keepdims=True)"),
            ),
        ),
        Mistake(
            "The mask is inverted now: True marks a word, False marks padding.",
            changed(_WEIGHTS, (_MASK, "np.where(mask, -np.inf, scores)")),
        ),
        Mistake(
            "The scores of padding are lower by a little now. How low would they have to be for a weight of 0?",
            changed(_WEIGHTS, (_MASK, "np.where(mask, scores, scores - 10)")),
        ),
        Mistake(
            "Padding gets the lowest score of its sentence, and so as much weight as the least of its words.",
            changed(
                _WEIGHTS, (_MASK, "np.where(mask, scores, np.where(mask, scores, np.inf).min(axis=-1, keepdims=True))")
            ),
        ),
    ),
    hints=(
        "What is e to the 0? Compare it with e to the score of a word, when all scores are far below 0.",
        "Which score has a weight of exactly 0 after the softmax? np.where(mask, ..., ...) puts it in place.",
    ),
    section=f'{SECTION}, "Place 2: the attention"',
)

# --- 8.13.3: the gradient that does not arrive ------------------------------------------------------------------


class _ReaderByNumbers:
    """Every sentence by itself, its real steps alone; gradients by moving every number a little."""

    def __init__(self, Wx, Wh):
        self.weights = [Wx.copy(), Wh.copy()]

    def forward(self, xs, mask):
        self.xs, self.mask = xs.copy(), mask
        return self._forward()

    def _forward(self):
        Wx, Wh = self.weights
        last = np.zeros((len(self.xs), len(Wh)))
        for n, real in enumerate(self.mask):
            for x in self.xs[n, real]:
                last[n] = np.tanh(x @ Wx + last[n] @ Wh)
        return last

    def backward(self, dlast):
        return tuple(numerical_gradient(self._forward, array, dlast) for array in (self.xs, *self.weights))


_READER = """\
class MaskedReader:
    def __init__(self, Wx, Wh):
        self.Wx, self.Wh = Wx, Wh  # (D, H), (H, H)

    def forward(self, xs, mask):
        h = np.zeros((len(xs), len(self.Wh)))  # (N, H)
        self.cache = []
        for t in range(xs.shape[1]):
            real = mask[:, t, None]
            new = np.tanh(xs[:, t] @ self.Wx + h @ self.Wh)
            self.cache.append((xs[:, t], h, new, real))
            h = np.where(real, new, h)  # at padding the state stays as it is
        return h

    def backward(self, dh):
        dWx, dWh, dxs = np.zeros_like(self.Wx), np.zeros_like(self.Wh), []
        for x, h, new, real in reversed(self.cache):
            dz = np.where(real, dh * (1 - new**2), 0)  # padding has no part in it
            dWx += x.T @ dz
            dWh += h.T @ dz
            dxs.insert(0, dz @ self.Wx.T)
            dh = np.where(real, dz @ self.Wh.T, dh)
        return np.stack(dxs, axis=1), dWx, dWh
"""
_STAYS = "np.where(real, dz @ self.Wh.T, dh)"


def _read(rng, lengths, T, D, H, front=False):
    mask = np.arange(T) < np.array(lengths)[:, None]
    drawn = normal(rng, xs=(len(lengths), T, D), dlast=(len(lengths), H), Wx=(D, H), Wh=(H, H))
    return drawn | {"mask": mask[:, ::-1].copy() if front else mask}


READER = Exercise(
    number="8.13.3",
    title="Bug hunt: only the longest sentence learns",
    name="MaskedReader",
    points=3,
    call="reader = answer(Wx, Wh)\nlast = reader.forward(xs, mask)\ndxs, dWx, dWh = reader.backward(dlast)",
    outputs=("last", "dxs", "dWx", "dWh"),
    cases=(
        Case("one sentence with padding in front", lambda rng: _read(rng, [2], 3, 2, 2, front=True)),
        Case("one sentence with padding", lambda rng: _read(rng, [2], 3, 2, 2)),
        Case("N = T and D = H", lambda rng: _read(rng, rng.permutation([1, 2, 3]), 3, 3, 3)),
        Case("all sizes differ", lambda rng: _read(rng, rng.permutation([3, 5]), size(rng, 6, 9), 4, 3)),
    ),
    reference=_ReaderByNumbers,
    bug=Mistake(
        "The gradient ends at the padding. Where the state stays as it is, its gradient stays as it is, too.",
        changed(_READER, (_STAYS, "dz @ self.Wh.T")),
    ),
    mistakes=(
        Mistake(
            "Now the state is read at the padded end: forward no longer keeps it as it was.",
            changed(
                _READER,
                ("h = np.where(real, new, h)  # at padding the state stays as it is", "h = new"),
                ("np.where(real, dh * (1 - new**2), 0)", "dh * (1 - new**2)"),
                (_STAYS, "dz @ self.Wh.T"),
            ),
        ),
        Mistake(
            "The gradient goes on unchanged at words as well. There the state has been made anew.",
            changed(_READER, (_STAYS, "dz @ self.Wh.T + dh")),
        ),
        Mistake(
            "The gradient goes through the weights at padding as well. Nothing was multiplied there.",
            changed(_READER, (_STAYS, "(dh * (1 - new**2)) @ self.Wh.T")),
        ),
        Mistake(
            "Padding has a gradient now, and adds to those of the weights. Only the state goes past it.",
            changed(_READER, ("np.where(real, dh * (1 - new**2), 0)", "dh * (1 - new**2)")),
        ),
        Mistake(
            "The two cases are exchanged: at a word the gradient goes back through the step, at padding it stays.",
            changed(_READER, (_STAYS, "np.where(real, dh, dz @ self.Wh.T)")),
        ),
    ),
    hints=(
        "Follow the gradient of a short sentence from its last column to its last word. What is dz at padding, and "
        "what becomes of dh there?",
        "forward has h = np.where(real, new, h): where real is False, the old h goes on. So in backward dh has to go "
        "on there, untouched.",
    ),
    section=f'{SECTION}, "Place 1: the states"',
)

# --- 8.13.4: the loss that padding improves ---------------------------------------------------------------------


class _LossByWords:
    """Word by word, in a list; gradients by moving every logit a little."""

    def forward(self, logits, ts):
        self.logits, self.ts = logits.copy(), ts
        return self._forward()

    def _forward(self):
        real = [(row, i) for rows, ids in zip(self.logits, self.ts, strict=True) for row, i in zip(rows, ids) if i]
        return sum(np.log(np.exp(row - row[i]).sum()) for row, i in real) / len(real)

    def backward(self):
        return numerical_gradient(self._forward, self.logits, 1.0)


_LOSS = """\
class WordLoss:
    def forward(self, logits, ts):
        p = softmax(logits)  # (N, T, V)
        real = ts != 0  # 0 is padding
        truth = np.eye(p.shape[2])[ts]  # (N, T, V), 1 at the right id
        losses = np.where(real, -np.log((p * truth).sum(axis=2)), 0)  # (N, T)
        self.count = real.sum()
        self.cache = p, truth, real
        return losses.sum() / self.count

    def backward(self):
        p, truth, real = self.cache
        dlogits = np.where(real[:, :, None], p - truth, 0)
        return dlogits / self.count
"""


def _answers(rng, lengths, T, V):
    """Answers of these lengths, with padding behind them."""
    mask = np.arange(T) < np.array(lengths)[:, None]
    ts = np.where(mask, rng.integers(1, V, mask.shape), 0)
    return normal(rng, logits=(len(lengths), T, V)) | {"ts": ts}


LOSS = Exercise(
    number="8.13.4",
    title="Bug hunt: the more padding, the better the model",
    name="WordLoss",
    points=2,
    call="layer = answer()\nloss = layer.forward(logits, ts)\ndlogits = layer.backward()",
    outputs=("loss", "dlogits"),
    cases=(
        Case("two answers of the same length", lambda rng: _answers(rng, [2, 2], 3, 4)),
        Case("one answer with padding", lambda rng: _answers(rng, [2], 3, 4)),
        Case("N = T = V", lambda rng: _answers(rng, rng.permutation([1, 2, 3]), 3, 3)),
        Case("all sizes differ", lambda rng: _answers(rng, rng.permutation([3, 6]), size(rng, 6, 9), 5)),
    ),
    reference=_LossByWords,
    given={"softmax": softmax},
    bug=Mistake(
        "The sum is right, and it is divided by the number of all places, padding too.",
        changed(_LOSS, ("self.count = real.sum()", "self.count = ts.size")),
    ),
    mistakes=(
        Mistake(
            "The loss is right now, but the gradient is still divided by the number of all places.",
            changed(_LOSS, ("return dlogits / self.count", "return dlogits / real.size")),
        ),
        Mistake(
            "It is divided by the number of sentences now. The mean is to be per word.",
            changed(_LOSS, ("self.count = real.sum()", "self.count = len(ts)")),
        ),
        Mistake(
            "Every sentence has a mean of its own, and these are averaged: a word of a short sentence counts more.",
            changed(
                _LOSS,
                ("self.count = real.sum()", "self.count = real.sum(axis=1, keepdims=True) * len(ts)"),
                ("losses.sum() / self.count", "(losses / self.count).sum()"),
                ("dlogits / self.count", "dlogits / self.count[:, :, None]"),
            ),
        ),
        Mistake(
            "Now padding is in the sum as well. It belongs neither there nor into the number.",
            changed(
                _LOSS,
                ("np.where(real, -np.log((p * truth).sum(axis=2)), 0)", "-np.log((p * truth).sum(axis=2))"),
                ("self.count = real.sum()", "self.count = ts.size"),
                ("np.where(real[:, :, None], p - truth, 0)", "p - truth"),
            ),
        ),
        Mistake(
            "It is not divided at all now: that is the sum, and it grows with the batch.",
            changed(_LOSS, ("self.count = real.sum()", "self.count = 1")),
        ),
    ),
    hints=(
        "losses is 0 at padding, so the sum does not change when padding is added. What else is in the mean?",
        "How many places should the sum be divided by? real knows which of them are words.",
    ),
    section=f'{SECTION}, "Place 3: the loss"',
)

# --- 8.13.5: the perplexity of a test set -----------------------------------------------------------------------


def _perplexity_of_words(log_p, ts):
    """All words in one list, then the geometric mean of 1 / p."""
    words = [p for ps, ids in zip(log_p, ts, strict=True) for p, i in zip(ps.ravel(), ids.ravel()) if i != 0]
    return np.prod([np.exp(-p / len(words)) for p in words])


_PERPLEXITY = """\
def corpus_perplexity(log_p, ts):
    total, count = 0.0, 0
    for p, ids in zip(log_p, ts):
        real = ids != 0
        total -= p[real].sum()
        count += real.sum()
    return np.exp(total / count)
"""


def _measured(rng, *batches):
    """Batches of answers, each given as (lengths, T); log_p at padding is some number as well."""
    ts, log_p = [], []
    for lengths, T in batches:
        mask = np.arange(T) < np.array(lengths)[:, None]
        ts.append(np.where(mask, rng.integers(2, 9, mask.shape), 0))
        log_p.append(-rng.gamma(2.0, 0.5 * T / 3, mask.shape))  # longer ones are harder
    return {"log_p": log_p, "ts": ts}


PERPLEXITY = Exercise(
    number="8.13.5",
    title="The perplexity of a test set",
    name="corpus_perplexity",
    points=2,
    call="found = answer(log_p, ts)",
    outputs=("found",),
    cases=(
        Case("one batch without padding", lambda rng: _measured(rng, ([3, 3], 3))),
        Case("one batch with padding", lambda rng: _measured(rng, (rng.permutation([1, 2, 4]), 4))),
        Case(
            "batches of different sizes", lambda rng: _measured(rng, ([2], 2), ([6, 5, size(rng, 3, 6)], 6), ([4], 4))
        ),
    ),
    reference=_perplexity_of_words,
    mistakes=(
        Mistake(
            "This is the mean of the perplexities of the batches. Perplexity is a mean over words, and batches are an "
            "accident.",
            "def corpus_perplexity(log_p, ts):\n"
            "    return np.mean([np.exp(-p[ids != 0].mean()) for p, ids in zip(log_p, ts)])\n",
        ),
        Mistake(
            "The mean losses of the batches are averaged as if all batches had the same number of words.",
            "def corpus_perplexity(log_p, ts):\n"
            "    return np.exp(np.mean([-p[ids != 0].mean() for p, ids in zip(log_p, ts)]))\n",
        ),
        Mistake(
            "The mean losses of the batches are weighted by their sentences. It is words that count.",
            "def corpus_perplexity(log_p, ts):\n"
            "    losses = [-p[ids != 0].mean() for p, ids in zip(log_p, ts)]\n"
            "    return np.exp(np.average(losses, weights=[len(ids) for ids in ts]))\n",
        ),
        Mistake(
            "Padding is in the sum and in the number.",
            changed(_PERPLEXITY, ("ids != 0", "ids >= 0")),
        ),
        Mistake(
            "The sum leaves padding out, but the number it is divided by does not.",
            changed(_PERPLEXITY, ("real.sum()", "real.size")),
        ),
        Mistake(
            "That is the mean loss. Perplexity is e to its power.",
            changed(_PERPLEXITY, ("np.exp(total / count)", "total / count")),
        ),
        Mistake(
            "log_p are natural logarithms, so the base is e, not 2.",
            changed(_PERPLEXITY, ("np.exp(total / count)", "2 ** (total / count)")),
        ),
        Mistake(
            "The sign is missing: a loss is minus the logarithm of a probability. A perplexity is at least 1.",
            changed(_PERPLEXITY, ("total -=", "total +=")),
        ),
    ),
    hints=(
        "What would you compute if all words came in a single batch? Then the same, with two numbers that grow from "
        "batch to batch.",
        "Add up minus log_p over the places where ts is not 0, and count these places. Divide once, at the end, and "
        "take the exponential.",
    ),
    section=f'{SECTION}, "Among how many words? Perplexity"',
)

# --- 8.13.6: BLEU -----------------------------------------------------------------------------------------------


def _bleu_by_removal(guesses, references):
    """Each n-gram that is found is taken away from the reference; logarithms only at the end."""
    rights, totals, c, r = [0] * 4, [0] * 4, 0, 0
    for guess, reference in zip(guesses, references, strict=True):
        guess, reference = guess.split(), reference.split()
        c, r = c + len(guess), r + len(reference)
        for n in range(1, 5):
            left = [reference[k : k + n] for k in range(len(reference) - n + 1)]
            for k in range(len(guess) - n + 1):
                totals[n - 1] += 1
                if guess[k : k + n] in left:
                    left.remove(guess[k : k + n])
                    rights[n - 1] += 1
    if min(rights) == 0:
        return 0.0
    mean = sum(np.log(right) - np.log(total) for right, total in zip(rights, totals)) / 4
    return 100 * np.exp(mean + min(0, 1 - r / c))


_BLEU = """\
def corpus_bleu(guesses, references):
    right, total, c, r = np.zeros(4), np.zeros(4), 0, 0
    for guess, reference in zip(guesses, references):
        guess, reference = guess.split(), reference.split()
        c, r = c + len(guess), r + len(reference)
        for n in (1, 2, 3, 4):
            mine = Counter(tuple(guess[k : k + n]) for k in range(len(guess) - n + 1))
            theirs = Counter(tuple(reference[k : k + n]) for k in range(len(reference) - n + 1))
            right[n - 1] += sum((mine & theirs).values())
            total[n - 1] += sum(mine.values())
    if right.min() == 0:
        return 0.0
    precisions = right / total
    penalty = np.exp(1 - r / c) if c < r else 1.0
    return 100 * penalty * precisions.prod() ** 0.25
"""


def _translations(rng, *changes):
    """References of 9 to 12 words; each guess is one with ``more`` words put in (or, below 0, left out) near its end.

    changes: pairs (words that are replaced, more), one for each sentence. The first five words are always right.
    """
    guesses, references = [], []
    for replaced, more in changes:
        words = [str(word) for word in rng.choice(WORDS[:6], size(rng, 9, 13))]
        guess = words[: len(words) + min(more, 0)] + ["the"] * max(more, 0)
        for place in rng.choice(np.arange(5, 8), replaced, replace=False):
            guess[place] = "robot"
        guesses.append(" ".join(guess))
        references.append(" ".join(words))
    return {"guesses": guesses, "references": references}


def _short(rng):
    drawn = _translations(rng, (1, 0))
    drawn["guesses"].append("the cat")
    drawn["references"].append("the old cat")
    return drawn


def _nothing_right(rng):
    """Words are right, but no four in a row."""
    words = [str(word) for word in rng.permutation(WORDS[:9])]
    return {"guesses": [" ".join([*words[:3], "robot", *words[4:7]])], "references": [" ".join(words[:7])]}


def _four_right(rng):
    """A single 4-gram is right."""
    words = [str(word) for word in rng.permutation(WORDS[:9])]
    return {"guesses": [" ".join([*words[:4], "robot", *words[5:8]])], "references": [" ".join(words[:8])]}


def _repeated(rng):
    drawn = _translations(rng, (0, 3), (1, 2))
    drawn["guesses"].append("the the the the the")
    drawn["references"].append("the cat sees the dog")
    return drawn


BLEU = Exercise(
    number="8.13.6",
    title="BLEU",
    name="corpus_bleu",
    points=3,
    call="found = answer(guesses, references)",
    outputs=("found",),
    cases=(
        Case("one translation", lambda rng: _translations(rng, (2, 0))),
        Case("one shorter, one longer than its reference", lambda rng: _translations(rng, (1, -1), (1, 4))),
        Case("translations shorter than their references", lambda rng: _translations(rng, (1, -1), (0, -2), (2, 0))),
        Case("a word said too often", _repeated),
        Case("a translation of two words", _short),
        Case("four words in a row are right", _four_right),
        Case("no four words in a row are right", _nothing_right),
    ),
    reference=_bleu_by_removal,
    given={"Counter": Counter},
    mistakes=(
        Mistake(
            "An n-gram counts each time it is said. It counts at most as often as the reference has it.",
            changed(
                _BLEU,
                ("sum((mine & theirs).values())", "sum(count for gram, count in mine.items() if gram in theirs)"),
            ),
        ),
        Mistake(
            "This is the mean of the sentences' BLEUs. Add the counts of all sentences first, then divide.",
            changed(_BLEU, ("def corpus_bleu", "def one")) + "\n\ndef corpus_bleu(guesses, references):\n"
            "    return np.mean([one([g], [r]) for g, r in zip(guesses, references)])\n",
        ),
        Mistake(
            "There is no brevity penalty: whoever writes little makes few mistakes.",
            changed(_BLEU, ("np.exp(1 - r / c) if c < r else 1.0", "1.0")),
        ),
        Mistake(
            "The lengths in the brevity penalty are exchanged.",
            changed(_BLEU, ("np.exp(1 - r / c) if c < r", "np.exp(1 - c / r) if c > r")),
        ),
        Mistake(
            "Long translations get a bonus. The penalty is for those that are too short, and is never above 1.",
            changed(_BLEU, ("np.exp(1 - r / c) if c < r else 1.0", "np.exp(1 - r / c)")),
        ),
        Mistake(
            "The penalty is that of each sentence by itself. It belongs to all translations together.",
            changed(
                _BLEU,
                (
                    "right, total, c, r = np.zeros(4), np.zeros(4), 0, 0",
                    "right, total, c, r = np.zeros(4), np.zeros(4), 0, 0\n    penalties = []",
                ),
                (
                    "        for n in (1",
                    "        penalties.append(np.exp(min(0, 1 - len(reference) / len(guess))))\n        for n in (1",
                ),
                ("np.exp(1 - r / c) if c < r else 1.0", "np.mean(penalties)"),
            ),
        ),
        Mistake(
            "Translations and references are exchanged: the precisions are those of the references.",
            changed(_BLEU, ("in zip(guesses, references)", "in zip(references, guesses)")),
        ),
        Mistake(
            "A precision of 0 is left out of the mean. The geometric mean with a 0 in it is 0.",
            changed(
                _BLEU,
                (
                    "    if right.min() == 0:\n        return 0.0\n",
                    "    right, total = right[right > 0], total[right > 0]\n",
                ),
                ("precisions.prod() ** 0.25", "precisions.prod() ** (1 / len(precisions))"),
            ),
        ),
        Mistake(
            "This is the ordinary mean of the precisions. The geometric one is the fourth root of their product.",
            changed(
                _BLEU,
                ("    if right.min() == 0:\n        return 0.0\n", ""),
                ("precisions.prod() ** 0.25", "precisions.mean()"),
            ),
        ),
        Mistake(
            "The product of the precisions is missing its fourth root.",
            changed(_BLEU, ("precisions.prod() ** 0.25", "precisions.prod()")),
        ),
        Mistake(
            "The 4-grams are not counted.",
            changed(
                _BLEU,
                ("(1, 2, 3, 4)", "(1, 2, 3)"),
                ("np.zeros(4), np.zeros(4)", "np.zeros(3), np.zeros(3)"),
                ("** 0.25", "** (1 / 3)"),
            ),
        ),
        Mistake(
            "The result is between 0 and 1. BLEU is given from 0 to 100.",
            changed(_BLEU, ("100 * penalty", "penalty")),
        ),
    ),
    hints=(
        "Write a function that counts the right n-grams of one sentence, and try it on the example. Four sums of "
        "right ones, four of all, and two lengths are all that has to be kept.",
        "mine & theirs, of two Counters of tuples, takes the smaller count of each n-gram. After all sentences: "
        "divide, multiply the precisions, take the fourth root, times exp(1 - r / c) where c is below r, times 100.",
    ),
    section=f'{SECTION}, "How good is a translation? BLEU by hand"',
)

EXERCISES = (ENCODE, WEIGHTS, READER, LOSS, PERPLEXITY, BLEU)
