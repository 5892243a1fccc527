"""Exercises 8.16: one step of a beam, the best of the finished, and four bug hunts on what a beam has to keep apart."""

from common.functions import softmax
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.16"


def _log_table(rng, V, end=None, ends=0.2):
    """log p of the next word (columns) after each word (rows), (V, V). After ``end`` the model says anything."""
    p = softmax(1.5 * rng.standard_normal((V, V)))
    if end is not None:
        p[:, end] = 0
        p = (1 - ends) * p / p.sum(axis=1, keepdims=True)
        p[:, end] = ends
    return np.log(p)


# --- 8.16.1: one step of a beam ---------------------------------------------------------------------------------


def _step_by_list(totals, log_probs, width):
    """All extensions in a list, sorted."""
    found = [
        (total + log_p, row, word)
        for row, (total, logs) in enumerate(zip(totals, log_probs, strict=True))
        for word, log_p in enumerate(logs)
    ]
    found = sorted(found, reverse=True)[:width]
    new, parents, words = zip(*found, strict=True)
    return np.array(parents), np.array(words), np.array(new)


_STEP = """\
def beam_step(totals, log_probs, width):
    sums = totals[:, None] + log_probs
    best = np.argsort(-sums.ravel())[:width]
    parents, words = best // sums.shape[1], best % sums.shape[1]
    return parents, words, sums.ravel()[best]
"""


def _beam(rng, B, V, width):
    """Beginnings that are far enough apart for their sums to matter, and near enough for their words to."""
    totals = -np.sort(rng.uniform(0.5, 2.5, B))
    return {
        "totals": rng.permutation(totals),
        "log_probs": np.log(softmax(rng.standard_normal((B, V)))),
        "width": width,
    }


STEP = Exercise(
    number="8.16.1",
    title="One step of a beam",
    name="beam_step",
    points=2,
    call="parents, words, new_totals = answer(totals, log_probs, width)\n"
    "parents, words = np.arange(100)[parents], np.arange(100)[words]",  # integers, to index a state with
    outputs=("parents", "words", "new_totals"),
    cases=(
        Case("two beginnings", lambda rng: _beam(rng, 2, size(rng, 4, 7), 3)),
        Case("B = V = width", lambda rng: _beam(rng, 3, 3, 3)),
        Case("B, V and width all differ", lambda rng: _beam(rng, 4, size(rng, 6, 9), 3)),
        Case("one beginning", lambda rng: _beam(rng, 1, size(rng, 4, 7), 2)),
        Case("one that is far ahead", lambda rng: _beam(rng, 3, 5, 4) | {"totals": np.array([-9.0, -0.1, -8.0])}),
    ),
    reference=_step_by_list,
    mistakes=(
        Mistake(
            "Each beginning keeps its own best word. The best extensions may come from the same beginning.",
            "def beam_step(totals, log_probs, width):\n"
            "    sums = totals[:, None] + log_probs\n"
            "    words = sums.argmax(axis=1)\n"
            "    new = sums.max(axis=1)\n"
            "    parents = np.argsort(-new)[:width]\n"
            "    return parents, words[parents], new[parents]\n",
        ),
        Mistake(
            "What was written before does not count: only the new words are compared.",
            changed(_STEP, ("totals[:, None] + log_probs", "log_probs")),
        ),
        Mistake(
            "The choice is right, but the sums are those of the new words alone.",
            changed(_STEP, ("sums.ravel()[best]", "log_probs.ravel()[best]")),
        ),
        Mistake(
            "The sums returned are those of the parents: the new word is missing.",
            changed(_STEP, ("sums.ravel()[best]", "totals[parents]")),
        ),
        Mistake(
            "Logarithms are multiplied. Probabilities are multiplied, their logarithms added.",
            changed(_STEP, ("totals[:, None] + log_probs", "-totals[:, None] * log_probs")),
        ),
        Mistake(
            "These are the least likely extensions, or they come in the wrong order: the best one first.",
            changed(_STEP, ("-sums.ravel()", "sums.ravel()")),
        ),
        Mistake(
            "The right ones, but the worst of them first.",
            changed(_STEP, ("[:width]", "[:width][::-1]")),
        ),
        Mistake(
            "Rows and columns are exchanged: a place in the flat array is row * V + column.",
            changed(
                _STEP,
                ("best // sums.shape[1], best % sums.shape[1]", "best % sums.shape[0], best // sums.shape[0]"),
            ),
        ),
        Mistake(
            "Parents and words are exchanged.",
            changed(_STEP, ("return parents, words", "return words, parents")),
        ),
    ),
    hints=(
        "How many extensions are there, and where in an array (B, V) is the sum of the extension of row b by word v?",
        "sums = totals[:, None] + log_probs; np.argsort(-sums, axis=None)[:width] are places in the flat array, and "
        "np.divmod(places, V) gives the row and the column of each.",
    ),
    section=f'{SECTION}, "Side by side: the beam as a batch"',
)

# --- 8.16.2: identical beams ------------------------------------------------------------------------------------


def _search_by_list(log_table, start, width, length):
    """The best sequences of ``length`` words, beginnings as tuples."""
    live = [((start,), 0.0)]
    for _ in range(length):
        longer = [((*ids, i), total + log_p) for ids, total in live for i, log_p in enumerate(log_table[ids[-1]])]
        live = sorted(longer, key=lambda pair: -pair[1])[:width]
    return np.array([ids[1:] for ids, _ in live]), np.array([total for _, total in live])


_SEARCH = """\
def search(log_table, start, width, length):
    V = len(log_table)
    ids = np.full((width, 1), start)  # a row for each hypothesis
    totals = np.where(np.arange(width) == 0, 0.0, -np.inf)
    for _ in range(length):
        sums = totals[:, None] + log_table[ids[:, -1]]  # (width, V)
        best = np.argsort(-sums, axis=None, kind="stable")[:width]
        parents, words = np.divmod(best, V)
        ids = np.column_stack((ids[parents], words))
        totals = sums.ravel()[best]
    return ids[:, 1:], totals
"""
_FIRST = "np.where(np.arange(width) == 0, 0.0, -np.inf)"


def _table(rng, V, width, length):
    """A table in which no two sums that are compared are alike: the same pairs of words in another order make a tie."""
    while True:
        drawn = {"log_table": _log_table(rng, V), "start": size(rng, 0, V), "width": width, "length": length}
        live = [_search_by_list(**drawn | {"width": width + 1, "length": k + 1})[1] for k in range(length)]
        if all(np.diff(totals).max() < -1e-3 for totals in live):
            return drawn


SEARCH = Exercise(
    number="8.16.2",
    title="Bug hunt: four times the work",
    name="search",
    points=2,
    call="ids, totals = answer(log_table, start, width, length)",
    outputs=("ids", "totals"),
    cases=(
        Case("one word", lambda rng: _table(rng, size(rng, 4, 7), 3, 1)),
        Case("two words, width 2", lambda rng: _table(rng, size(rng, 4, 7), 2, 2)),
        Case("width = length", lambda rng: _table(rng, size(rng, 6, 9), 4, 4)),
        Case("V = width", lambda rng: _table(rng, 4, 4, 3)),
    ),
    reference=_search_by_list,
    bug=Mistake(
        "All hypotheses are the same: each of the equal rows of the first step offers the same best word.",
        changed(_SEARCH, (_FIRST, "np.zeros(width)")),
    ),
    mistakes=(
        Mistake(
            "Now each row keeps its own best word. The best of all extensions may come from one row.",
            changed(
                _SEARCH,
                (_FIRST, "np.zeros(width)"),
                (
                    'best = np.argsort(-sums, axis=None, kind="stable")[:width]',
                    "best = np.arange(width) * V + sums.argmax(axis=1)\n"
                    "        best = np.argsort(-sums[0])[:width] if t == 0 else best",
                ),
            ),
        ),
        Mistake(
            "Only the first step takes the rows apart; after that row 0 alone is extended.",
            changed(
                _SEARCH,
                (_FIRST, "np.zeros(width)"),
                ("best = np.argsort(-sums, axis=None", "best = np.argsort(-sums[0], axis=None"),
            ),
        ),
        Mistake(
            "The rows are told apart by small numbers in their sums. Equal words still come several times.",
            changed(_SEARCH, (_FIRST, "-0.1 * np.arange(width)")),
        ),
        Mistake(
            "No word is taken twice in a step now. Two hypotheses may well end in the same word.",
            changed(
                _SEARCH,
                (_FIRST, "np.zeros(width)"),
                (
                    'best = np.argsort(-sums, axis=None, kind="stable")[:width]',
                    'words = np.argsort(-sums.max(axis=0), kind="stable")[:width]\n'
                    "        best = sums.argmax(axis=0)[words] * V + words",
                ),
            ),
        ),
    ),
    hints=(
        "Look at the first step only. Which numbers are in sums, and how often is each of them there?",
        "Before the first word there is one beginning, not width of them. What would the sum of a row have to be, so "
        "that none of its extensions can ever be chosen?",
    ),
    section=f'{SECTION}, "Side by side: the beam as a batch"',
)

# --- 8.16.3: the state of another -------------------------------------------------------------------------------


def _write_by_list(E, W, out, h, width, length):
    """Each hypothesis carries its own state along."""
    live = [([], 0.0, h)]
    for _ in range(length):
        longer = []
        for ids, total, state in live:
            logits = state @ out
            logs = logits - np.log(np.exp(logits).sum())
            longer += [([*ids, i], total + logs[i], np.tanh(state @ W + E[i])) for i in range(len(logs))]
        live = sorted(longer, key=lambda hypothesis: -hypothesis[1])[:width]
    return np.array([ids for ids, _, _ in live]), np.array([total for _, total, _ in live])


_WRITE = """\
def write(E, W, out, h, width, length):
    state = h[None]  # (B, H), a row for each hypothesis; one before the first word
    ids, totals = np.zeros((1, 0), int), np.zeros(1)
    for _ in range(length):
        sums = totals[:, None] + np.log(softmax(state @ out))  # (B, V)
        best = np.argsort(-sums, axis=None)[:width]
        parents, words = np.divmod(best, sums.shape[1])
        ids = np.column_stack((ids[parents], words))
        totals = sums.ravel()[best]
        state = np.tanh(state[parents] @ W + E[words])
    return ids, totals
"""


def _writer(rng, V, H, width, length):
    drawn = normal(rng, E=(V, H), W=(H, H), out=(H, V), h=(H,))
    return drawn | {"width": width, "length": length}


WRITE = Exercise(
    number="8.16.3",
    title="Bug hunt: another's memory",
    name="write",
    points=2,
    call="ids, totals = answer(E, W, out, h, width, length)",
    outputs=("ids", "totals"),
    cases=(
        Case("one hypothesis", lambda rng: _writer(rng, 5, 3, 1, 3)),
        Case("two words", lambda rng: _writer(rng, size(rng, 5, 8), 4, 3, 2)),
        Case("V = H = width", lambda rng: _writer(rng, 4, 4, 4, 4)),
        Case("five words, all sizes differ", lambda rng: _writer(rng, size(rng, 6, 9), 5, 3, 5)),
    ),
    reference=_write_by_list,
    given={"softmax": softmax},
    bug=Mistake(
        "The words follow their parents and the states do not: a hypothesis goes on with the memory of another.",
        changed(_WRITE, ("state[parents] @ W", "state @ W")),
    ),
    mistakes=(
        Mistake(
            "Every hypothesis goes on with the state of the best one.",
            changed(_WRITE, ("state[parents] @ W", "state[:1] @ W")),
        ),
        Mistake(
            "The states are reordered after the step, so each has read the word of another hypothesis.",
            changed(
                _WRITE,
                ("np.tanh(state[parents] @ W + E[words])", "np.tanh(state @ W + E[words])[parents]"),
            ),
        ),
        Mistake(
            "The states are reordered by the words. What says where a hypothesis comes from is its parent.",
            changed(_WRITE, ("state[parents] @ W", "state[words % len(state)] @ W")),
        ),
        Mistake(
            "Now the words do not follow their parents either: beginnings and endings of different sentences.",
            changed(
                _WRITE,
                (
                    "np.column_stack((ids[parents], words))",
                    "np.column_stack((ids if len(ids) == len(words) else ids[parents], words))",
                ),
            ),
        ),
    ),
    hints=(
        "After the second step, where did hypothesis 1 come from? Whose state does row 1 hold then?",
        "Everything that belongs to a hypothesis has to be taken from the row of its parent. ids is; what else is "
        "carried from step to step?",
    ),
    section=f'{SECTION}, "Side by side: the beam as a batch"',
)

# --- 8.16.4: whose sentence -------------------------------------------------------------------------------------


def _contexts_one_by_one(hs_enc, h):
    B = len(h) // len(hs_enc)
    contexts = []
    for row, query in enumerate(h):
        hs = hs_enc[row // B]
        contexts.append(softmax((hs @ query)[None])[0] @ hs)
    return np.array(contexts)


_CONTEXTS = """\
def beam_contexts(hs_enc, h):
    B = len(h) // len(hs_enc)
    hs = np.repeat(hs_enc, B, axis=0)  # (N * B, T, H)
    a = softmax((hs * h[:, None]).sum(axis=2))  # (N * B, T)
    return (hs * a[:, :, None]).sum(axis=1)  # (N * B, H)
"""


def _rows(rng, N, B, T, H):
    return normal(rng, hs_enc=(N, T, H), h=(N * B, H))


CONTEXTS = Exercise(
    number="8.16.4",
    title="Bug hunt: a neighbor's sentence",
    name="beam_contexts",
    points=2,
    call="c = answer(hs_enc, h)",
    outputs=("c",),
    cases=(
        Case("one sentence, three hypotheses", lambda rng: _rows(rng, 1, 3, 4, 2)),
        Case("two sentences, two hypotheses each", lambda rng: _rows(rng, 2, 2, 3, 3)),
        Case("N, B, T and H all differ", lambda rng: _rows(rng, 3, 2, size(rng, 4, 7), 5)),
        Case("three sentences, one hypothesis each", lambda rng: _rows(rng, 3, 1, 4, 2)),
    ),
    reference=_contexts_one_by_one,
    given={"softmax": softmax},
    bug=Mistake(
        "The sentences come in the order 0, 1, 0, 1, the hypotheses in the order 0, 0, 1, 1: half of them read the "
        "sentence of another.",
        changed(_CONTEXTS, ("np.repeat(hs_enc, B, axis=0)", "np.tile(hs_enc, (B, 1, 1))")),
    ),
    mistakes=(
        Mistake(
            "Each state of a sentence is repeated now, and not the sentence.",
            changed(
                _CONTEXTS,
                (
                    "np.repeat(hs_enc, B, axis=0)",
                    "np.repeat(hs_enc, B, axis=1).reshape(B, len(hs_enc), -1, h.shape[1]).reshape(len(h), -1, "
                    "h.shape[1])",
                ),
            ),
        ),
        Mistake(
            "All hypotheses read the first sentence.",
            changed(_CONTEXTS, ("np.repeat(hs_enc, B, axis=0)", "np.repeat(hs_enc[:1], len(h), axis=0)")),
        ),
        Mistake(
            "The hypotheses are reordered to fit the sentences, and the contexts come out in that order.",
            changed(
                _CONTEXTS,
                (
                    "np.repeat(hs_enc, B, axis=0)  # (N * B, T, H)",
                    "np.tile(hs_enc, (B, 1, 1))\n    h = h.reshape(len(hs_enc), B, -1).swapaxes(0, 1).reshape(h.shape)",
                ),
            ),
        ),
        Mistake(
            "The number of repetitions is the number of sentences. It is that of the hypotheses of each.",
            changed(_CONTEXTS, ("np.repeat(hs_enc, B, axis=0)", "np.repeat(hs_enc, len(hs_enc), axis=0)[: len(h)]")),
        ),
    ),
    hints=(
        "Write down for N = 2 and B = 2 which sentence each of the four rows of h belongs to, and which sentence each "
        "of the four rows of hs is.",
        "np.tile repeats the whole: 0, 1, 0, 1. Which function repeats each row before it goes on to the next?",
    ),
    section=f'{SECTION}, "Side by side: the beam as a batch"',
)

# --- 8.16.5: the best of the finished ---------------------------------------------------------------------------


def _choice_by_score(log_probs, alpha):
    scores = []
    for logs in log_probs:
        total = 0.0
        for log_p in logs:
            total += log_p
        scores.append(total / ((5 + len(logs)) / 6) ** alpha)
    order = sorted(range(len(scores)), key=lambda k: -scores[k])
    return np.array(order), np.array([scores[k] for k in order])


_CHOICE = """\
def best_finished(log_probs, alpha):
    scores = np.array([logs.sum() / ((5 + len(logs)) / 6) ** alpha for logs in log_probs])
    order = np.argsort(-scores)
    return order, scores[order]
"""


def _finished(rng, lengths, alpha):
    """Hypotheses of like probability, so that it is the length that decides."""
    found = []
    for length in lengths:
        share = rng.dirichlet(np.full(length, 3.0))
        found.append(-share * rng.uniform(1.5, 2.0) * (length / 5) ** 0.5)
    return {"log_probs": found, "alpha": alpha}


CHOICE = Exercise(
    number="8.16.5",
    title="The best of the finished",
    name="best_finished",
    points=2,
    call="order, scores = answer(log_probs, alpha)\norder = np.arange(100)[order]",
    outputs=("order", "scores"),
    cases=(
        Case("one hypothesis", lambda rng: _finished(rng, [size(rng, 3, 7)], 0.6)),
        Case("alpha 0", lambda rng: _finished(rng, rng.permutation([2, 5, 9]), 0.0)),
        Case("alpha 0.6", lambda rng: _finished(rng, rng.permutation([2, 4, 7, 12]), 0.6)),
        Case("alpha 1", lambda rng: _finished(rng, rng.permutation([1, 3, 8, 15]), 1.0)),
        Case(
            "alpha above 1", lambda rng: _finished(rng, rng.permutation([1, 3, 8, 15, 16]), float(rng.uniform(1.2, 2)))
        ),
    ),
    reference=_choice_by_score,
    mistakes=(
        Mistake(
            "The length plays no part: these are the sums of the logarithms, ordered.",
            changed(_CHOICE, (" / ((5 + len(logs)) / 6) ** alpha", "")),
        ),
        Mistake(
            "The sums are multiplied by the factor, which favors short sentences even more.",
            changed(_CHOICE, (" / ((5 + len(logs)) / 6) ** alpha", " * ((5 + len(logs)) / 6) ** alpha")),
        ),
        Mistake(
            "This divides by the length to the power alpha. The task has (5 + T) / 6.",
            changed(_CHOICE, ("((5 + len(logs)) / 6) ** alpha", "len(logs) ** alpha")),
        ),
        Mistake(
            "The end mark counts as a word: T is the number of all logarithms.",
            changed(_CHOICE, ("5 + len(logs)", "4 + len(logs)")),
        ),
        Mistake(
            "The power is applied to the 5 + T alone, before it is divided by 6.",
            changed(_CHOICE, ("((5 + len(logs)) / 6) ** alpha", "((5 + len(logs)) ** alpha / 6)")),
        ),
        Mistake(
            "The factor is not raised to the power alpha.",
            changed(_CHOICE, (" ** alpha", "")),
        ),
        Mistake(
            "The worst one comes first. Scores are negative: the largest is the one nearest to 0.",
            changed(_CHOICE, ("np.argsort(-scores)", "np.argsort(scores)")),
        ),
        Mistake(
            "The order is right, but the scores are not in it.",
            changed(_CHOICE, ("return order, scores[order]", "return order, scores")),
        ),
        Mistake(
            "The order holds the rank of each hypothesis. It should hold the hypotheses, the best first.",
            changed(_CHOICE, ("return order,", "return np.argsort(order),")),
        ),
    ),
    hints=(
        "First the score of a single hypothesis: sum, length, factor, division. Check it with the example.",
        "np.argsort sorts from small to large; of minus the scores it gives the positions, the best first. The same "
        "positions put the scores in order.",
    ),
    section=f'{SECTION}, "Short sentences win"',
)

# --- 8.16.6: after the end mark ---------------------------------------------------------------------------------


def _answers_alone(log_table, first, end, length):
    """Every sentence by itself, until it has ended; then they are put into one array."""
    rows, totals = [], []
    for word in first:
        ids, total = [], 0.0
        while len(ids) < length and end not in ids:
            log_p = log_table[word]
            word = int(log_p.argmax())
            total += log_p[word]
            ids.append(word)
        rows.append(ids)
        totals.append(total)
    T = max(map(len, rows))
    return np.array([ids + [0] * (T - len(ids)) for ids in rows]), np.array(totals)


_ANSWERS = """\
def answers(log_table, first, end, length):
    ids, totals, done = first, np.zeros(len(first)), np.zeros(len(first), bool)
    written = []
    for _ in range(length):
        log_p = log_table[ids]  # (N, V)
        ids = log_p.argmax(axis=1)
        totals = totals + np.where(done, 0, log_p.max(axis=1))
        written.append(np.where(done, 0, ids))
        done = done | (ids == end)
        if done.all():
            break
    return np.stack(written, axis=1), totals
"""
_DONE_TOTAL, _DONE_ID = "np.where(done, 0, log_p.max(axis=1))", "np.where(done, 0, ids)"


def _chain(rng, steps, length, end_last=False):
    """Word k is followed by word k - 1, word 2, the end, comes last, and it is followed by the largest one.

    steps: for each row, how many words it writes with the end mark. end_last: the words are numbered the other way
    round, so that the end has the largest id.
    """
    V = max(steps) + 4
    logits = rng.standard_normal((V, V))
    logits[np.arange(3, V), np.arange(2, V - 1)] += 6
    logits[2, V - 1] += 6
    logits[:, :2] -= 6  # padding and start are not written
    order = np.arange(V)
    if end_last:
        order[2:] = order[:1:-1]
    log_table = np.log(softmax(logits))[order][:, order]
    return {"log_table": log_table, "first": order[np.array(steps) + 2], "end": int(order[2]), "length": length}


ANSWERS = Exercise(
    number="8.16.6",
    title="Bug hunt: it talks on",
    name="answers",
    points=2,
    call="ids, totals = answer(log_table, first, end, length)",
    outputs=("ids", "totals"),
    cases=(
        Case("one sentence", lambda rng: _chain(rng, [size(rng, 2, 5)], 9)),
        Case("sentences that end together", lambda rng: _chain(rng, [3, 3], 9)),
        Case("a short sentence beside a long one", lambda rng: _chain(rng, rng.permutation([1, 5]), 9)),
        Case("N = T", lambda rng: _chain(rng, rng.permutation([1, 2, 4, 3]), 9, end_last=True)),
        Case("a sentence that does not end in time", lambda rng: _chain(rng, rng.permutation([2, 3, 7]), 5)),
    ),
    reference=_answers_alone,
    bug=Mistake(
        "A sentence that has written its end mark goes on: it is extended and pays for it until the longest one is "
        "done.",
        changed(_ANSWERS, (_DONE_TOTAL, "log_p.max(axis=1)"), (_DONE_ID, "ids")),
    ),
    mistakes=(
        Mistake(
            "The words after the end mark are gone, but their logarithms are still added.",
            changed(_ANSWERS, (_DONE_TOTAL, "log_p.max(axis=1)")),
        ),
        Mistake(
            "The sums are right, but the words after the end mark are still there.",
            changed(_ANSWERS, (_DONE_ID, "ids")),
        ),
        Mistake(
            "The end mark itself does not count anymore. Its probability belongs to the sentence.",
            changed(
                _ANSWERS,
                ("        totals = totals +", "        done = done | (ids == end)\n        totals = totals +"),
                (_DONE_ID, "np.where(done & (ids != end), 0, ids)"),
            ),
        ),
        Mistake(
            "All sentences stop as soon as the first one has ended.",
            changed(_ANSWERS, ("done.all()", "done.any()")),
        ),
        Mistake(
            "A sentence counts as done only while its last word is the end mark; one step later it goes on.",
            changed(_ANSWERS, ("done = done | (ids == end)", "done = ids == end")),
        ),
        Mistake(
            "The sentence goes on behind its end mark, with the end mark in place of padding.",
            changed(_ANSWERS, (_DONE_ID, "np.where(done, end, ids)")),
        ),
    ),
    hints=(
        "done is known, and it decides when the loop ends. What does it decide for the sentences that are done while "
        "the loop goes on?",
        "A row that was done before this step writes 0 and adds 0: np.where(done, 0, ...), in two places.",
    ),
    section=f'{SECTION}, "Ten lines"',
)

EXERCISES = (STEP, SEARCH, WRITE, CONTEXTS, CHOICE, ANSWERS)
