"""Exercises 8.17: a merge, a ring, and five bug hunts on what depth, a search and several processes get wrong."""

from common.grading.draws import size
from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.17"

# --- 8.17.1: the next merge -------------------------------------------------------------------------------------


def _values(words, counts):
    """Return how good each pair is, a dict, by looking for the pair and its pieces in every place."""
    places = [(pieces, k, count) for pieces, count in zip(words, counts, strict=True) for k in range(len(pieces))]

    def occurrences(*wanted):
        return sum(count for pieces, k, count in places if tuple(pieces[k : k + len(wanted)]) == wanted)

    pairs = {tuple(pieces[k : k + 2]) for pieces, k, _ in places if k + 1 < len(pieces)}
    return {pair: occurrences(*pair) / (occurrences(pair[0]) * occurrences(pair[1])) for pair in pairs}


def _merge_by_positions(words, counts):
    """Words are rebuilt from positions."""
    values = _values(words, counts)
    left, right = best = max(values, key=values.get)
    merged = []
    for pieces in words:
        new, k = [], 0
        while k < len(pieces):
            found = tuple(pieces[k : k + 2]) == best
            new.append(left + right[2:] if found else pieces[k])
            k += 2 if found else 1
        merged.append(new)
    return list(best), values[best], merged


_MERGE = """\
def merge(words, counts):
    pairs, single = {}, {}
    for pieces, count in zip(words, counts):
        for piece in pieces:
            single[piece] = single.get(piece, 0) + count
        for pair in zip(pieces, pieces[1:]):
            pairs[pair] = pairs.get(pair, 0) + count
    values = {pair: pairs[pair] / (single[pair[0]] * single[pair[1]]) for pair in pairs}
    best = max(values, key=values.get)
    merged = []
    for pieces in words:
        new = []
        for piece in pieces:
            if new and (new[-1], piece) == best:
                new[-1] += piece[2:]
            else:
                new.append(piece)
        merged.append(new)
    return best, values[best], merged
"""
_VALUE = "pairs[pair] / (single[pair[0]] * single[pair[1]])"
_COUNT = "pairs[pair] = pairs.get(pair, 0) + count"
_JOIN = "new[-1] += piece[2:]"


def _letters(word):
    return [word[0], *("##" + letter for letter in word[1:])]


def _spelled(rng, draw):
    """Words as lists of pieces in a random order, drawn again until one pair is better than all others."""
    while True:
        words, counts = draw()
        *_, second, best = sorted(_values(words, counts).values())
        if best > 1.01 * second:
            order = rng.permutation(len(words))
            return {"words": [words[k] for k in order], "counts": [int(counts[k]) for k in order]}


def _of_letters(rng, words, *ranges):
    return _spelled(rng, lambda: ([_letters(word) for word in words], [size(rng, *of) for of in ranges]))


def _random_words(rng, count, letters):
    """Words of few letters, so that pairs come back."""
    drawn = ["".join(rng.choice(list(letters), size(rng, 2, 6))) for _ in range(count)]
    return [_letters(word) for word in drawn], rng.integers(1, 9, count)


MERGE = Exercise(
    number="8.17.1",
    title="Another next merge",
    name="merge",
    points=2,
    call="pair, value, merged = answer(words, counts)",
    outputs=("pair", "value", "merged"),
    cases=(
        Case("two words", lambda rng: _of_letters(rng, ["hut", "hund"], (3, 6), (7, 9))),
        Case(
            "words of very different counts",
            lambda rng: _of_letters(rng, ["hof", "hut", "hund", "mut"], (20, 30), (2, 4), (3, 9), (8, 12)),
        ),
        Case(
            "a word in which the pair overlaps itself",
            lambda rng: _of_letters(rng, ["seeeee", "so", "mo"], (1, 3), (15, 30), (15, 30)),
        ),
        Case(
            "pieces that were merged before",
            lambda rng: _spelled(
                rng,
                lambda: (
                    [["st", "##r", "##oh"], ["st", "##r", "##and"], ["m", "##oh", "##n"], ["h", "##o", "##n"]],
                    rng.integers(1, 9, 4),
                ),
            ),
        ),
        Case("many words", lambda rng: _spelled(rng, lambda: _random_words(rng, 12, "adest"))),
        Case("many words of few letters", lambda rng: _spelled(rng, lambda: _random_words(rng, 9, "nos"))),
    ),
    reference=_merge_by_positions,
    mistakes=(
        Mistake(
            "This is the most frequent pair, as in the lesson. Here its count is divided by those of its two pieces.",
            changed(_MERGE, (_VALUE, "pairs[pair]")),
        ),
        Mistake(
            "The count of a pair is divided by the sum of its pieces' counts. It should be their product.",
            changed(_MERGE, (_VALUE, "pairs[pair] / (single[pair[0]] + single[pair[1]])")),
        ),
        Mistake(
            "The count of a pair is divided by that of its first piece alone.",
            changed(_MERGE, (_VALUE, "pairs[pair] / single[pair[0]]")),
        ),
        Mistake(
            "Each word counts once. A word that occurs 20 times has its pairs and pieces 20 times.",
            changed(
                _MERGE,
                (_COUNT, "pairs[pair] = pairs.get(pair, 0) + 1"),
                ("single.get(piece, 0) + count", "single.get(piece, 0) + 1"),
            ),
        ),
        Mistake(
            "A pair has the count of the last word it was seen in. The counts of all words with it are added up.",
            changed(_MERGE, (_COUNT, "pairs[pair] = count")),
        ),
        Mistake(
            "The merged piece still has ## in its middle. Only the mark of the first piece stays.",
            changed(_MERGE, (_JOIN, "new[-1] += piece")),
        ),
        Mistake(
            "The merged piece has lost its mark: one that continues a word begins with ##.",
            changed(_MERGE, (_JOIN, 'new[-1] = new[-1].removeprefix("##") + piece[2:]')),
        ),
        Mistake(
            "The pair is merged once in each word. It is merged wherever it stands.",
            changed(
                _MERGE,
                ("        new = []\n", "        new, done = [], False\n"),
                ("if new and (new", "if not done and new and (new"),
                (_JOIN, f"{_JOIN}\n                done = True"),
            ),
        ),
        Mistake(
            "The words are returned as they were: the pair was found, and not merged.",
            changed(_MERGE, ("values[best], merged", "values[best], words")),
        ),
    ),
    hints=(
        "Two dicts: piece -> how often it occurs in all words, each with its count, and the same for neighbors."
        " Which key of the second has the largest quotient?",
        "Go through a word with a list new: if new[-1] and the next piece are the pair, make one of them; otherwise "
        "append the piece. The next piece without its mark is piece[2:].",
    ),
    section=f'{SECTION}, "Ten words by hand"',
)

# --- 8.17.2: the layer that is skipped --------------------------------------------------------------------------


def _stack_by_list(x, Ws):
    """What every layer puts out, in a list."""
    outs = [x]
    for k, W in enumerate(Ws):
        said = np.tanh(np.einsum("nd,dh->nh", outs[k], W))
        outs.append(said + outs[k] if k >= 2 else said)
    return outs[-1]


_STACK = """\
def stack(x, Ws):
    h = x
    for k, W in enumerate(Ws):
        below = h
        h = np.tanh(h @ W)
        if k >= 2:
            h = h + below
    return h
"""
_SUM = "        below = h\n        h = np.tanh(h @ W)\n        if k >= 2:\n            h = h + below\n"


def _stack_inputs(rng, L, N, D, H):
    Ws = [rng.standard_normal((H if k else D, H)) / np.sqrt(H if k else D) for k in range(L)]
    return {"x": rng.standard_normal((N, D)), "Ws": Ws}


STACK = Exercise(
    number="8.17.2",
    title="Bug hunt: two lines that never meet",
    name="stack",
    points=2,
    call="h = answer(x, Ws)",
    outputs=("h",),
    cases=(
        Case("two layers", lambda rng: _stack_inputs(rng, 2, 1, 3, 3)),
        Case("four layers", lambda rng: _stack_inputs(rng, 4, 1, 2, 2)),
        Case("L = N = D = H", lambda rng: _stack_inputs(rng, 4, 4, 4, 4)),
        Case("eight layers, all sizes differ", lambda rng: _stack_inputs(rng, 8, 2, 3, size(rng, 4, 7))),
    ),
    reference=_stack_by_list,
    bug=Mistake(
        "What is added to a layer's output is what the layer below has read. It should be what this layer has read.",
        changed(
            _STACK,
            ("    h = x\n", "    h = below = x\n"),
            (
                _SUM,
                "        said = np.tanh(h @ W)\n        if k >= 2:\n            said = said + below\n"
                "        below, h = h, said\n",
            ),
        ),
    ),
    mistakes=(
        Mistake(
            "The sum begins one layer too early: the second layer's output has its input added already.",
            changed(_STACK, ("k >= 2", "k >= 1")),
        ),
        Mistake(
            "The sum begins one layer too late. Counted from 0, the third layer from the bottom is number 2.",
            changed(_STACK, ("k >= 2", "k >= 3")),
        ),
        Mistake(
            "What a layer says is added to itself: its input was overwritten before the sum.",
            changed(
                _STACK,
                ("        below = h\n        h = np.tanh(h @ W)\n", "        h = np.tanh(h @ W)\n        below = h\n"),
            ),
        ),
        Mistake(
            "The input is added before tanh. A residual connection adds it to what the layer puts out.",
            changed(
                _STACK,
                ("np.tanh(h @ W)", "np.tanh(h @ W + (below if k >= 2 else 0))"),
                ("        if k >= 2:\n            h = h + below\n", ""),
            ),
        ),
        Mistake(
            "Each sum adds what the third layer has read. Every layer adds its own input.",
            changed(_STACK, ("        below = h\n", "        below = h if k <= 2 else below\n")),
        ),
        Mistake(
            "Nothing is added anymore.",
            changed(_STACK, ("        if k >= 2:\n            h = h + below\n", "")),
        ),
    ),
    hints=(
        "Four layers. Write down for k = 2 and k = 3 which layer's output the name below holds when it is added.",
        "Keep h before the layer overwrites it, and add that to what the layer says. One line has to move to the "
        "beginning of the loop.",
    ),
    section=f'{SECTION}, "The encoder"',
)

# --- 8.17.3: a penalty that rewards -----------------------------------------------------------------------------


def _scores_by_loops(log_probs, weights, alpha, beta):
    scores = []
    for logs, rows in zip(log_probs, weights, strict=True):
        cp = 0.0
        for column in rows.T:
            seen = float(sum(column))
            cp += float(np.log(seen)) if seen < 1 else 0.0
        scores.append(float(sum(logs)) * (6 / (5 + len(logs))) ** alpha + beta * cp)
    return np.array(scores)


_SCORES = """\
def scores(log_probs, weights, alpha, beta):
    found = []
    for logs, a in zip(log_probs, weights):
        lp = ((5 + len(logs)) / 6) ** alpha
        cp = beta * np.log(np.minimum(a.sum(axis=0), 1)).sum()
        found.append(logs.sum() / lp + cp)
    return np.array(found)
"""


def _hypotheses(rng, lengths, S, alpha, beta):
    """Attention that leaves out some positions and looks at others twice."""
    logs = [-rng.uniform(0.1, 0.9, T) for T in lengths]
    weights = [rng.dirichlet(np.full(S, 0.6), T) + 0.002 for T in lengths]
    weights = [a / a.sum(axis=1, keepdims=True) for a in weights]
    return {"log_probs": logs, "weights": weights, "alpha": alpha, "beta": beta}


SCORES = Exercise(
    number="8.17.3",
    title="Bug hunt: the less it reads, the better",
    name="scores",
    points=2,
    call="s = answer(log_probs, weights, alpha, beta)",
    outputs=("s",),
    cases=(
        Case("one hypothesis", lambda rng: _hypotheses(rng, [3], 4, 0.0, 0.5)),
        Case("without coverage", lambda rng: _hypotheses(rng, [2, 5], 4, 0.6, 0.0)),
        Case("T = S", lambda rng: _hypotheses(rng, [4, 4], 4, 0.2, 0.2)),
        Case(
            "three of different lengths",
            lambda rng: _hypotheses(rng, rng.permutation([2, 6, 9]), size(rng, 4, 7), 0.6, 0.3),
        ),
    ),
    reference=_scores_by_loops,
    bug=Mistake(
        "The coverage penalty is subtracted. It is a sum of logarithms of numbers up to 1, so it is negative already: "
        "subtracted, it rewards what was left out.",
        changed(_SCORES, ("/ lp + cp", "/ lp - cp")),
    ),
    mistakes=(
        Mistake(
            "The penalty is always 0: it is left out, or the sum runs over the positions, where weights add up to 1.",
            changed(_SCORES, ("a.sum(axis=0)", "a.sum(axis=1)")),
        ),
        Mistake(
            "Positions that were looked at twice make up for those that were left out: the sums are not cut off at 1.",
            changed(_SCORES, ("np.minimum(a.sum(axis=0), 1)", "a.sum(axis=0)")),
        ),
        Mistake(
            "The coverage penalty is divided by the length factor as well. Only the log-probability is.",
            changed(_SCORES, ("logs.sum() / lp + cp", "(logs.sum() + cp) / lp")),
        ),
        Mistake(
            "The weight of the penalty, beta, is gone.",
            changed(_SCORES, ("beta * np.log", "np.log")),
        ),
        Mistake(
            "Without the logarithm this counts how much was covered. The penalty sums the logarithms of the coverage.",
            changed(_SCORES, ("np.log(np.minimum(a.sum(axis=0), 1)).sum()", "np.minimum(a.sum(axis=0), 1).sum()")),
        ),
    ),
    hints=(
        "What is the logarithm of a coverage of 1? Of one half? Which sign has their sum?",
        "A score is the better the larger it is. Should a hypothesis that has left out half of a sentence get a larger "
        "one or a smaller one? Look at the line in which both parts come together.",
    ),
    section=f'{SECTION}, "Two corrections of a score"',
)

# --- 8.17.4: around the ring ------------------------------------------------------------------------------------


def _ring_by_messages(buffers):
    """Lists of numbers, and a list of messages for every round."""
    R = len(buffers)
    machines = [[float(number) for number in buffer] for buffer in buffers]
    states = []
    for turn in range(2 * R - 2):
        messages = []
        for r in range(R):
            chunk = (r - turn) % R if turn < R - 1 else (r - turn + R) % R
            messages.append(((r + 1) % R, chunk, machines[r][chunk]))
        for receiver, chunk, number in messages:
            if turn < R - 1:
                machines[receiver][chunk] += number
            else:
                machines[receiver][chunk] = number
        states.append([list(machine) for machine in machines])
    return np.array(states)


_RING = """\
def ring(buffers):
    R = len(buffers)
    a, states = buffers.copy(), []
    for t in range(2 * (R - 1)):
        for r in range(R):
            k = (r - t) % R
            if t < R - 1:
                a[(r + 1) % R, k] += a[r, k]
            else:
                a[(r + 1) % R, k] = a[r, k]
        states.append(a.copy())
    return np.array(states)
"""
_ADD, _REPLACE = "a[(r + 1) % R, k] += a[r, k]", "a[(r + 1) % R, k] = a[r, k]"


def _buffers(rng, R):
    return {"buffers": rng.integers(1, 10, (R, R)) * 10.0 ** np.arange(R)[:, None]}


RING = Exercise(
    number="8.17.4",
    title="Around the ring",
    name="ring",
    points=3,
    call="states = answer(buffers)",
    outputs=("states",),
    cases=(
        Case("three machines", lambda rng: _buffers(rng, 3)),
        Case("two machines", lambda rng: _buffers(rng, 2)),
        Case("more machines", lambda rng: _buffers(rng, size(rng, 4, 6))),
    ),
    reference=_ring_by_messages,
    tolerance=1e-9,  # numbers of different sizes, all whole
    mistakes=(
        Mistake(
            "In the second half what arrives is added again. It is a finished sum, which takes the place of what was "
            "there.",
            changed(_RING, (_REPLACE, _ADD)),
        ),
        Mistake(
            "In the first half what arrives takes the place of what was there. It is to be added.",
            changed(_RING, (_ADD, _REPLACE)),
        ),
        Mistake(
            "Each machine sends the same chunk in every round. In round t it sends the one that it got in the round "
            "before.",
            changed(_RING, ("(r - t) % R", "r")),
        ),
        Mistake(
            "The second half begins with the chunk that began the first one. The rounds are counted on: t does not "
            "begin again at 0.",
            changed(_RING, ("(r - t) % R", "(r - (t if t < R - 1 else t - (R - 1))) % R")),
        ),
        Mistake(
            "The messages run against the ring: machine r sends to machine r + 1.",
            changed(_RING, ("a[(r + 1) % R, k]", "a[(r - 1) % R, k]")),
        ),
        Mistake(
            "The chunks run the other way: in round t machine r sends chunk (r - t) mod R.",
            changed(_RING, ("(r - t) % R", "(r + t) % R")),
        ),
        Mistake(
            "It is added one round too long: there are R - 1 rounds of adding.",
            changed(_RING, ("if t < R - 1", "if t < R")),
        ),
        Mistake(
            "All rounds show the final sums. The exercise asks for a copy of what the machines hold after each round.",
            changed(_RING, ("states.append(a.copy())", "states.append(a)")),
        ),
        Mistake(
            "The second half is missing: after the first one every sum is known to one machine only.",
            changed(_RING, ("range(2 * (R - 1))", "range(R - 1)")),
        ),
    ),
    hints=(
        "A loop over the rounds, in it a loop over the machines. Which chunk does machine r send in round t, to whom, "
        "and what does that one do with it?",
        "k = (r - t) % R in every round. While t < R - 1: a[(r + 1) % R, k] += a[r, k], from then on = instead of +=. "
        "After each round append a copy of all.",
    ),
    section=f'{SECTION}, "The ring"',
)

# --- 8.17.5: a mean of means ------------------------------------------------------------------------------------


def _step_of_all_words(w, xs, ts, mask, R):
    """One process, word by word: however many ranks there are, this is what they should get together."""
    total, dw, count = 0.0, np.zeros(len(w)), 0
    for x, t, is_word in zip(xs.reshape(-1, len(w)), ts.ravel(), mask.ravel(), strict=True):
        if is_word:
            error = float(x @ w) - float(t)
            total, dw, count = total + error**2 / 2, dw + error * x, count + 1
    return total / count, dw / count


_STEP = """\
def gradient(w, xs, ts, mask, R):
    N = len(xs)
    losses, grads, counts = [], [], []
    for r in range(R):  # what each rank does
        rows = slice(r * N // R, (r + 1) * N // R)
        x, t = xs[rows][mask[rows]], ts[rows][mask[rows]]  # (words, D) and (words,)
        error = x @ w - t
        losses.append((error**2).mean() / 2)
        grads.append(error @ x / len(t))
        counts.append(len(t))
    shares = np.array(counts) / sum(counts)
    return shares @ losses, shares @ grads
"""
_BUG_STEP = (
    ("losses, grads, counts = [], [], []", "losses, grads = [], []"),
    ("        counts.append(len(t))\n", ""),
    ("    shares = np.array(counts) / sum(counts)\n", ""),
    ("return shares @ losses, shares @ grads", "return np.mean(losses), np.mean(grads, axis=0)"),
)


def _sentences(rng, lengths, T, D, R):
    """Words of as many sentences, and padding whose numbers must not matter."""
    N = len(lengths)
    mask = np.arange(T) < np.array(lengths)[:, None]
    xs, ts = rng.standard_normal((N, T, D)), rng.standard_normal((N, T)) + 2 * np.arange(N)[:, None]
    return {"w": rng.standard_normal(D), "xs": xs, "ts": ts, "mask": mask, "R": R}


GRADIENT = Exercise(
    number="8.17.5",
    title="Bug hunt: two ranks, another gradient",
    name="gradient",
    points=2,
    call="loss, dw = answer(w, xs, ts, mask, R)",
    outputs=("loss", "dw"),
    cases=(
        Case("one rank", lambda rng: _sentences(rng, [2, 4], 4, 3, 1)),
        Case("three sentences, two ranks", lambda rng: _sentences(rng, rng.permutation([1, 3, 5]), 5, 2, 2)),
        Case("N = R = T = D", lambda rng: _sentences(rng, rng.permutation([1, 2, 3]), 3, 3, 3)),
        Case(
            "five sentences, three ranks",
            lambda rng: _sentences(rng, rng.permutation([1, 1, 2, 6, 7]), 7, size(rng, 2, 5), 3),
        ),
    ),
    reference=_step_of_all_words,
    bug=Mistake(
        "Every rank counts as much as any other, however few words it has. The loss is the mean over all words of the "
        "batch.",
        changed(_STEP, *_BUG_STEP),
    ),
    mistakes=(
        Mistake(
            "The gradient is right, and the loss is still a mean of means.",
            changed(_STEP, ("return shares @ losses", "return np.mean(losses)")),
        ),
        Mistake(
            "The loss is right, and the gradient is still a mean of means.",
            changed(_STEP, ("shares @ grads", "np.mean(grads, axis=0)")),
        ),
        Mistake(
            "The ranks are weighted by their sentences, or by all places with padding. What the loss counts are words.",
            changed(_STEP, ("counts.append(len(t))", "counts.append(len(xs[rows]))")),
        ),
        Mistake(
            "Loss and gradients are added up without a division by the number of all words.",
            changed(_STEP, ("shares = np.array(counts) / sum(counts)", "shares = np.array(counts)")),
        ),
        Mistake(
            "The weights are right, and then the sum is divided by the number of ranks once more.",
            changed(_STEP, ("/ sum(counts)", "/ sum(counts) / R")),
        ),
    ),
    hints=(
        "Two ranks with means of 1 and 3 words: how much does the word of the first weigh in the mean of the means?",
        "Keep for each rank the number of its words, len(t). Its share is that number divided by the sum of all; loss "
        "and gradient are sums over the ranks, each times its share.",
    ),
    section=f'{SECTION}, "Two ranks and a pencil"',
)

# --- 8.17.6: who reads what -------------------------------------------------------------------------------------


def _parts_by_places(N, R, batch_size, seed, epoch):
    """The order once, then for each place of a batch the rank whose share it lies in."""
    order = np.random.default_rng([seed, epoch]).permutation(N).tolist()
    found = [[] for _ in range(R)]
    while order:
        batch, order = order[:batch_size], order[batch_size:]
        ends = [(r + 1) * len(batch) // R for r in range(R)]
        for r in range(R):
            found[r].append([row for k, row in enumerate(batch) if (ends[r - 1] if r else 0) <= k < ends[r]])
    return found


_PARTS = """\
def parts(N, R, batch_size, seed, epoch):
    found = []
    for r in range(R):  # what each rank does
        order = np.random.default_rng([seed, epoch]).permutation(N)
        own = []
        for start in range(0, N, batch_size):
            batch = order[start : start + batch_size]
            own.append(batch[r * len(batch) // R : (r + 1) * len(batch) // R])
        found.append(own)
    return found
"""


def _epoch(rng, N, R, batch_size):
    return {"N": N, "R": R, "batch_size": batch_size, "seed": size(rng, 0, 100), "epoch": size(rng, 1, 50)}


PARTS = Exercise(
    number="8.17.6",
    title="Bug hunt: rows that nobody reads",
    name="parts",
    points=2,
    call="found = [[list(map(int, rows)) for rows in own] for own in answer(N, R, batch_size, seed, epoch)]",
    outputs=("found",),
    cases=(
        Case("one rank", lambda rng: _epoch(rng, 6, 1, 3)),
        Case("two ranks", lambda rng: _epoch(rng, 8, 2, 4)),
        Case("three ranks, a smaller last batch", lambda rng: _epoch(rng, 3 * size(rng, 5, 8) + 2, 3, 6)),
        Case("R = batch size", lambda rng: _epoch(rng, 12, 4, 4)),
    ),
    reference=_parts_by_places,
    bug=Mistake(
        "Each rank shuffles in its own way and takes its part of that: what it leaves to others, they do not read.",
        changed(_PARTS, ("default_rng([seed, epoch])", "default_rng([seed, epoch, r])")),
    ),
    mistakes=(
        Mistake(
            "The order is the same in every epoch: the number of the epoch is not in the seed.",
            changed(_PARTS, ("default_rng([seed, epoch])", "default_rng([seed, 0])")),
        ),
        Mistake(
            "All ranks read all rows of each batch.",
            changed(_PARTS, ("batch[r * len(batch) // R : (r + 1) * len(batch) // R]", "batch")),
        ),
        Mistake(
            "Each rank has its rows of the whole data and makes batches of its own. All ranks are to share a batch.",
            changed(
                _PARTS,
                (".permutation(N)\n", ".permutation(N)[r * N // R : (r + 1) * N // R]\n"),
                ("range(0, N, batch_size)", "range(0, len(order), batch_size)"),
                ("batch[r * len(batch) // R : (r + 1) * len(batch) // R]", "batch"),
            ),
        ),
        Mistake(
            "Rows of a batch that cannot be shared evenly are left out.",
            changed(
                _PARTS,
                (
                    "batch[r * len(batch) // R : (r + 1) * len(batch) // R]",
                    "batch[r * (len(batch) // R) : (r + 1) * (len(batch) // R)]",
                ),
            ),
        ),
        Mistake(
            "The last batch, which is smaller, is left out.",
            changed(_PARTS, ("range(0, N, batch_size)", "range(0, N - batch_size + 1, batch_size)")),
        ),
        Mistake(
            "Nothing is shuffled anymore: the rows come in the order of the file.",
            changed(_PARTS, ("np.random.default_rng([seed, epoch]).permutation(N)", "np.arange(N)")),
        ),
    ),
    hints=(
        "Two ranks, 8 rows. Print both orders. Rank 0 takes the first half of each batch: of which order?",
        "All ranks must cut the same order. What goes into the seed may depend on the epoch, but not on the rank.",
    ),
    section=f'{SECTION}, "Everything must be equal"',
)

# --- 8.17.7: cut too early --------------------------------------------------------------------------------------


def _update_by_elements(w, grads, counts, max_norm, rate):
    total, square = [], 0.0
    for column in grads.T:
        number = sum(float(g) * int(c) for g, c in zip(column, counts, strict=True)) / int(sum(counts))
        total.append(number)
        square += number**2
    factor = 1.0 if square**0.5 <= max_norm else max_norm / square**0.5
    return np.array([old - rate * factor * number for old, number in zip(w, total, strict=True)])


_UPDATE = """\
def update(w, grads, counts, max_norm, rate):
    total = np.zeros_like(w)
    for grad, count in zip(grads, counts):  # the all-reduce
        total = total + grad * count / counts.sum()
    norm = np.sqrt((total**2).sum())
    if norm > max_norm:
        total = total * max_norm / norm
    return w - rate * total
"""
_BUG_UPDATE = """\
def update(w, grads, counts, max_norm, rate):
    total = np.zeros_like(w)
    for grad, count in zip(grads, counts):  # the all-reduce
        norm = np.sqrt((grad**2).sum())
        if norm > max_norm:
            grad = grad * max_norm / norm
        total = total + grad * count / counts.sum()
    return w - rate * total
"""


def _gradients(rng, R, n, norms, max_norm):
    """Gradients of given norms; in a batch one rank may have got all of the hard sentences."""
    grads = rng.standard_normal((R, n))
    grads *= np.array(norms)[:, None] / np.sqrt((grads**2).sum(axis=1, keepdims=True))
    counts = rng.permutation(np.arange(2, 2 + 3 * R, 3))
    return {"w": rng.standard_normal(n), "grads": grads, "counts": counts, "max_norm": max_norm, "rate": 0.5}


UPDATE = Exercise(
    number="8.17.7",
    title="Bug hunt: cut too early",
    name="update",
    points=2,
    call="new = answer(w, grads, counts, max_norm, rate)",
    outputs=("new",),
    cases=(
        Case("one rank", lambda rng: _gradients(rng, 1, 3, [4.0], 1.0)),
        Case("nothing to clip", lambda rng: _gradients(rng, 2, 3, [0.5, 0.8], 5.0)),
        Case(
            "one of the ranks has a large gradient",
            lambda rng: _gradients(rng, 2, 4, rng.permutation([0.5, 30.0]), 2.0),
        ),
        Case("R = n, all are large", lambda rng: _gradients(rng, 3, 3, rng.uniform(6, 20, 3), 1.5)),
        Case(
            "each is large, and together they are not",
            lambda rng: {
                "w": rng.standard_normal(2),
                "grads": np.array([[6.0, 0.5], [-2.0, 0.5]]) * rng.uniform(1, 1.2),
                "counts": np.array([1, 3]),
                "max_norm": 1.0,
                "rate": 0.5,
            },
        ),
    ),
    reference=_update_by_elements,
    bug=Mistake(
        "Every rank clips its own gradient before the sum. What is to be clipped is the gradient of the whole batch.",
        _BUG_UPDATE,
    ),
    mistakes=(
        Mistake(
            "Nothing is clipped anymore.",
            changed(_UPDATE, ("    if norm > max_norm:\n        total = total * max_norm / norm\n", "")),
        ),
        Mistake(
            "Every gradient gets the norm max_norm, small ones as well. Only larger ones are to be made shorter.",
            changed(_UPDATE, ("    if norm > max_norm:\n        total", "    if norm > 0:\n        total")),
        ),
        Mistake(
            "It is clipped by the sum of squares. The norm is the square root of it.",
            changed(_UPDATE, ("np.sqrt((total**2).sum())", "(total**2).sum()")),
        ),
        Mistake(
            "Each number is clipped by itself, which changes the direction.",
            changed(_UPDATE, ("total = total * max_norm / norm", "total = np.clip(total, -max_norm, max_norm)")),
        ),
        Mistake(
            "It is clipped after the sum, and by the largest norm of a single rank.",
            changed(_UPDATE, ("np.sqrt((total**2).sum())", "np.sqrt((grads**2).sum(axis=1)).max()")),
        ),
        Mistake(
            "The ranks are no longer weighted by what they count.",
            changed(_UPDATE, ("grad * count / counts.sum()", "grad / len(counts)")),
        ),
        Mistake(
            "The sum is clipped as if it were not divided by the number of all words.",
            changed(_UPDATE, ("np.sqrt((total**2).sum())", "np.sqrt(((counts @ grads)**2).sum())")),
        ),
    ),
    hints=(
        "With one process the norm of which gradient is compared with max_norm? Which line does that here, and when?",
        "First the loop with the sum alone. Below it the norm of total, and if that is too large, total * max_norm / "
        "norm.",
    ),
    section=f'{SECTION}, "Everything must be equal"',
)

EXERCISES = (MERGE, STACK, SCORES, RING, GRADIENT, PARTS, UPDATE)
