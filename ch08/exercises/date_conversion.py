"""Exercises 8.6: exact match, a learning rate with warm-up and cosine, a split by day, batches without padding."""

from common.grading.exercise import Case, Exercise, Mistake, changed
from common.np import host as np

SECTION = "notebook 8.6"

# --- 8.6.1: exact match ---------------------------------------------------------------------------


def _answers(rng, T, wrong):
    """Right answers ts with the start mark 0 in front; answers ids, of which row n has wrong[n] wrong characters.

    All characters of a row differ, the wrong ones too: shifted by a column, nothing matches. A wrong id is in turn
    smaller and larger than the right one, and may be the right one elsewhere.
    """
    ts, ids = np.zeros((len(wrong), T + 1), int), np.zeros((len(wrong), T), int)
    smaller = True
    for right, row, count in zip(ts[:, 1:], ids, wrong):
        drawn = 1 + rng.permutation(T + 9)
        right[:] = row[:] = drawn[:T]
        for column, other in zip(rng.permutation(T)[:count], drawn[T:]):
            row[column], right[column] = sorted((right[column], other), reverse=not smaller)
            smaller = not smaller
    return {"ids": ids, "ts": ts}


def _exact_match(ids, ts):
    pairs = [(answer, right[1:]) for answer, right in zip(ids.tolist(), ts.tolist())]
    whole = sum(answer == right for answer, right in pairs)
    single = sum(a == r for answer, right in pairs for a, r in zip(answer, right))
    return whole / len(pairs), single / ids.size


def _two_shares(exact="right.all(axis=1).mean()", characters="right.mean()", right="ids == ts[:, 1:]"):
    return f"""\
def exact_match(ids, ts):
    right = {right}
    return {exact}, {characters}
"""


EXACT = Exercise(
    number="8.6.1",
    title="Two measures of the same answers",
    name="exact_match",
    points=1,
    call="exact, characters = answer(ids, ts)",
    outputs=("exact", "characters"),
    cases=(
        Case("one answer with one mistake", lambda rng: _answers(rng, 3, [1])),
        Case("as many answers as characters", lambda rng: _answers(rng, 4, rng.permutation([0, 0, 1, 3]))),
        Case("answers of one character", lambda rng: _answers(rng, 1, [0, 1, 0, 0, 1])),
        Case("seven dates", lambda rng: _answers(rng, 10, rng.permutation([0, 0, 0, 1, 1, 2, rng.integers(3, 9)]))),
    ),
    reference=_exact_match,
    mistakes=(
        Mistake(
            "Every character is compared with the one before it. ts begins with the start mark, so the first character "
            "to compare is in its second column.",
            _two_shares(right="ids == ts[:, :-1]"),
        ),
        Mistake(
            "ts has one column more than ids: the start mark comes first. It is not part of the answer.",
            _two_shares(right="ids == ts"),
        ),
        Mistake(
            "The start mark counts as one more right character here. It was given to the model, not written by it.",
            _two_shares(right="np.insert(ids, 0, ts[:, 0], axis=1) == ts"),
        ),
        Mistake(
            "The two figures are swapped: first exact match, then the share of characters.",
            _two_shares("right.mean()", "right.all(axis=1).mean()"),
        ),
        Mistake(
            "An answer counts as soon as one of its characters is right. Exact match requires all of them.",
            _two_shares("right.any(axis=1).mean()"),
        ),
        Mistake(
            "This is the share of columns that are right in all answers. An answer is a row: ask for every row.",
            _two_shares("right.all(axis=0).mean()"),
        ),
        Mistake(
            "These are counts. A share is the count divided by the total, a number from 0 to 1.",
            _two_shares("right.all(axis=1).sum()", "right.sum()"),
        ),
        Mistake(
            "These are percentages. A share is a number from 0 to 1.",
            _two_shares("100 * right.all(axis=1).mean()", "100 * right.mean()"),
        ),
        Mistake(
            "Exact match is computed from the share of characters. That holds only if mistakes are independent of one "
            "another, and often several are in one answer. Count the answers.",
            _two_shares("right.mean() ** ids.shape[1]"),
        ),
    ),
    hints=(
        "Make one array (N, T) first: which characters are right? Which columns of ts belong to which columns of ids?",
        "right = ids == ts[:, 1:] is True or False for every character. all(axis=1) says for each row whether all of "
        "it is True, and the mean of True and False is a share.",
    ),
    section=f'{SECTION}, "A model, and something to learn"',
)

# --- 8.6.2: warm-up and cosine --------------------------------------------------------------------


def _schedule(rng, warmup_steps, total_steps):
    return {"peak": float(rng.uniform(0.001, 0.01)), "warmup_steps": int(warmup_steps), "total_steps": int(total_steps)}


def _learning_rate(step, peak, warmup_steps, total_steps):
    if step < warmup_steps:
        return float(np.interp(step, [0, warmup_steps], [0, peak]))
    quarter = np.interp(step, [warmup_steps, total_steps], [0, np.pi / 2])
    return float(peak * np.cos(quarter) ** 2)  # half a cosine from 1 to 0 is a quarter of one, squared


_RATE = """\
def learning_rate(step, peak, warmup_steps, total_steps):
    if step <= warmup_steps:
        return peak * step / warmup_steps
    done = (step - warmup_steps) / (total_steps - warmup_steps)
    return peak * 0.5 * (1 + np.cos(np.pi * done))
"""
_FALL = "0.5 * (1 + np.cos(np.pi * done))"

RATE = Exercise(
    number="8.6.2",
    title="Warm up, then cool down",
    name="learning_rate",
    points=2,
    call="rates = np.array([answer(s, peak, warmup_steps, total_steps) for s in range(1, total_steps + 1)])",
    outputs=("rates",),
    cases=(
        Case("six steps, two of them warm-up", lambda rng: _schedule(rng, 2, 6)),
        Case("no warm-up", lambda rng: _schedule(rng, 0, 4)),
        Case("warm-up until the second to last step", lambda rng: _schedule(rng, 3, 4)),
        Case("a long training run", lambda rng: _schedule(rng, 100, rng.integers(200, 400))),
    ),
    reference=_learning_rate,
    mistakes=(
        Mistake(
            "The first step has the rate 0, as if steps were counted from 0. They are counted from 1.",
            changed(_RATE, ("peak * step /", "peak * (step - 1) /")),
        ),
        Mistake(
            "The fall is counted from the first step. It begins after the warm-up: there the cosine is at its top.",
            changed(_RATE, ("(step - warmup_steps) / (total_steps - warmup_steps)", "step / total_steps")),
        ),
        Mistake(
            "The fall does not end in time: the last rate is not 0. How many steps are left after the warm-up?",
            changed(_RATE, ("/ (total_steps - warmup_steps)", "/ total_steps")),
        ),
        Mistake(
            "There is no warm-up: the largest rate comes right away.",
            "def learning_rate(step, peak, warmup_steps, total_steps):\n"
            f"    done = step / total_steps\n    return peak * {_FALL}\n",
        ),
        Mistake(
            "There is no fall: the rate stays at its peak after the warm-up.",
            changed(_RATE, (f"peak * {_FALL}", "peak")),
        ),
        Mistake(
            "The rate falls in a line. Half a cosine falls slowly, then faster, then slowly again.",
            changed(_RATE, (_FALL, "(1 - done)")),
        ),
        Mistake(
            "The rate falls below 0, and the model would climb up its loss. The cosine runs from 1 to -1: it has to be "
            "raised and halved.",
            changed(_RATE, (_FALL, "np.cos(np.pi * done)")),
        ),
        Mistake(
            "The rate jumps to twice its peak after the warm-up. 1 plus a cosine runs from 2 to 0.",
            changed(_RATE, (_FALL, "(1 + np.cos(np.pi * done))")),
        ),
        Mistake(
            "This is a quarter of a cosine: it falls fastest at the end. The task asks for half of one, from top to "
            "bottom.",
            changed(_RATE, (_FALL, "np.cos(0.5 * np.pi * done)")),
        ),
        Mistake(
            "This is a whole cosine: the rate falls and climbs again. The task asks for half of one.",
            changed(_RATE, (_FALL, "0.5 * (1 + np.cos(2 * np.pi * done))")),
        ),
        Mistake(
            "The angle is in degrees. np.cos wants radians: half a turn is np.pi.",
            changed(_RATE, (_FALL, "0.5 * (1 + np.cos(180 * done))")),
        ),
        Mistake(
            "Without a warm-up this divides by 0. Check first whether the step belongs to the warm-up.",
            "def learning_rate(step, peak, warmup_steps, total_steps):\n    up = step / warmup_steps\n"
            "    done = max(step - warmup_steps, 0) / (total_steps - warmup_steps)\n"
            f"    return peak * min(up, {_FALL})\n",
        ),
    ),
    hints=(
        "There are two cases. What share of the warm-up is done at this step? And after it: what share of the "
        "remaining steps, as a number from 0 to 1?",
        "After the warm-up, done = (step - warmup_steps) / (total_steps - warmup_steps). np.cos(np.pi * done) runs "
        "from 1 to -1. Add 1, halve it, and it runs from 1 to 0.",
    ),
    section=f'{SECTION}, "Why these numbers"',
)

# --- 8.6.3: a split by day ------------------------------------------------------------------------


def _lines(rng, learned, tested, absent=0):
    """learned[k] lines of the k-th training day, tested[k] lines of the k-th test day; the last line is for training.

    absent: the number of further test days that occur in no line. Days are large numbers, so none is a row number.
    """
    days = 1000 + rng.permutation(9000)[: len(learned) + len(tested) + absent]
    all_lines = np.repeat(days[: len(learned) + len(tested)], [*learned, *tested])
    last, rest = all_lines[:1], all_lines[1:]
    return {"days": np.append(rng.permutation(rest), last), "test_days": days[len(learned) :]}


def _one_line(rng):
    return {"days": 1000 + rng.integers(9000, size=1), "test_days": 20_000 + rng.integers(9, size=3)}


def _grouped_split(days, test_days):
    sides = [], []
    kept = set(test_days.tolist())
    for row, day in enumerate(days.tolist()):
        sides[day in kept].append(row)
    return sides


def _split(test="np.isin(days, test_days)", train="~test", rows="np.flatnonzero(train), np.flatnonzero(test)"):
    return f"""\
def grouped_split(days, test_days):
    test = {test}
    train = {train}
    return {rows}
"""


SPLIT = Exercise(
    number="8.6.3",
    title="Split by day",
    name="grouped_split",
    points=2,
    call="train, test = (np.array(rows, dtype=int) for rows in answer(days, test_days))",
    outputs=("train", "test"),
    cases=(
        Case("seven lines of four days", lambda rng: _lines(rng, [2, 1], [2, 2])),
        Case("more test days than training days", lambda rng: _lines(rng, [2], [1, 3, 2])),
        Case("a test day that no line has", lambda rng: _lines(rng, [3, 1, 2], [2, 2, 1], absent=1)),
        Case("forty lines", lambda rng: _lines(rng, rng.permutation([1, 2, 3, 4, 5, 5]), rng.permutation([9, 7, 4]))),
        Case("a single line, of a training day", _one_line),
    ),
    reference=_grouped_split,
    mistakes=(
        Mistake(
            "The two are swapped: first the training rows, then the test rows.",
            _split(rows="np.flatnonzero(test), np.flatnonzero(train)"),
        ),
        Mistake(
            "These are the days. The task asks for the rows in which they occur, counted from 0.",
            _split(rows="days[train], days[test]"),
        ),
        Mistake(
            "These are True and False for every row. The task asks for the row numbers.",
            _split(rows="train, test"),
        ),
        Mistake(
            "The test rows are right, but they are also among the training rows. The model would know the answers.",
            _split(train="np.ones(len(days), bool)"),
        ),
        Mistake(
            "Only the first line of each test day is kept for testing. Its other lines are used for training, and they "
            "have the same answer: that is the leak.",
            _split("np.isin(np.arange(len(days)), [days.tolist().index(d) for d in test_days if d in days])"),
        ),
        Mistake(
            "The right number of lines is kept for testing, but they are the last ones, whatever their day. Some days "
            "are on both sides.",
            _split("np.arange(len(days)) >= len(days) - np.isin(days, test_days).sum()"),
        ),
        Mistake(
            "Only the first of the test days is kept for testing.",
            _split("days == test_days[0]"),
        ),
        Mistake(
            "The numbers in test_days are used as rows. They are days: find the rows in which these days occur.",
            _split("np.isin(np.arange(len(days)), test_days)"),
        ),
        Mistake(
            "days == test_days compares the first with the first, the second with the second. Look for the day of each "
            "line among all test days.",
            _split("days == test_days"),
        ),
    ),
    hints=(
        "Take one line: which side does it go to? That depends on its day alone, never on its row.",
        "np.isin(days, test_days) is True for every line whose day is kept for testing, and np.flatnonzero returns "
        "the rows in which an array is True.",
    ),
    section=f'{SECTION}, "Why a random split flatters"',
)

# --- 8.6.4: batches without padding ---------------------------------------------------------------


def _questions(rng, lengths, T, batch_size):
    """Questions as the model reads them: padding 0 first, then the last character. Their answers are two ids.

    Two of the same length are the same question, so that their order does not matter.
    """
    padded = {length: np.append(np.zeros(T - length, int), 1 + rng.permutation(60)[:length]) for length in lengths}
    answers = {length: rng.integers(1, 1000, 2) for length in padded}
    xs, ts = (np.stack([of[length] for length in lengths]) for of in (padded, answers))
    return {"xs": xs, "ts": ts, "lengths": np.array(lengths), "batch_size": batch_size}


def _by_length(xs, ts, lengths, batch_size):
    rows = sorted(range(len(xs)), key=lambda n: lengths[n])
    batches = []
    while rows:
        now, rows = rows[:batch_size], rows[batch_size:]
        padding = xs.shape[1] - max(lengths[n] for n in now)
        batches.append((np.stack([xs[n, padding:] for n in now]), np.stack([ts[n] for n in now])))
    return batches


_BATCHES = '''\
def batches_by_length(xs, ts, lengths, batch_size):
    """xs (N, T), ts (N, T_t), lengths (N,). Return pairs (xs, ts), short questions first."""
    order = np.argsort(lengths, kind="stable")
    batches = []
    for k in range(0, len(xs), batch_size):
        rows = order[k : k + batch_size]
        width = lengths[rows].max()  # of the longest question in this batch
        batches.append((xs[rows, -width:], ts[rows]))
    return batches
'''
_CUT = "xs[rows, -width:]"

BATCHES = Exercise(
    number="8.6.4",
    title="Bug hunt: the short questions teach nothing",
    name="batches_by_length",
    points=2,
    call="batches = answer(xs, ts, lengths, batch_size)\n"
    "questions = [batch[0] for batch in batches]\nanswers = [batch[1] for batch in batches]",
    outputs=("questions", "answers"),
    cases=(
        Case("one question", lambda rng: _questions(rng, [3], 7, 2)),
        Case("three questions, two in a batch", lambda rng: _questions(rng, [5, 2, 4], 7, 2)),
        Case("a batch for each", lambda rng: _questions(rng, rng.permutation([1, 2, 4]), 5, 1)),
        Case("as long as dates", lambda rng: _questions(rng, rng.permutation([6, 29, 18, 7, 12, 8, 18]), 29, 3)),
    ),
    reference=_by_length,
    bug=Mistake(
        "The wrong end is cut off. The model reads the last character first, so the padding comes first: what is "
        "left of a short question is nothing but spaces.",
        changed(_BATCHES, (_CUT, "xs[rows, :width]")),
    ),
    mistakes=(
        Mistake(
            "The questions are reversed now. The model is supposed to read the last character first: keep that order, "
            "and cut off the padding.",
            changed(_BATCHES, (_CUT, "xs[rows, ::-1][:, :width]")),
        ),
        Mistake(
            "Nothing is cut off anymore. The model reads all of the padding, and half of the encoder's steps are "
            "wasted on it.",
            changed(_BATCHES, (_CUT, "xs[rows]")),
        ),
        Mistake(
            "Each batch is one column too wide.",
            changed(_BATCHES, (_CUT, "xs[rows, -width - 1 :]")),
        ),
        Mistake(
            "Each batch is one column too narrow: the last character of the longest question is gone.",
            changed(_BATCHES, (_CUT, "xs[rows, 1 - width :] if width > 1 else xs[rows, :0]")),
        ),
        Mistake(
            "A batch is as wide as its shortest question now, and the others lose characters.",
            changed(_BATCHES, (".max()", ".min()")),
        ),
        Mistake(
            "All batches are as wide as the longest question of all. Each needs the width of its own longest one.",
            changed(_BATCHES, ("lengths[rows].max()", "lengths.max()")),
        ),
        Mistake(
            "The questions are sorted by length, the answers are not: they now belong to other questions.",
            changed(_BATCHES, ("ts[rows]", "ts[k : k + batch_size]")),
        ),
        Mistake(
            "The last batch is dropped if it is not full. The model never sees its questions.",
            changed(_BATCHES, ("len(xs), batch_size", "len(xs) - batch_size + 1, batch_size")),
        ),
    ),
    hints=(
        "Look at one row of a batch of short questions. On which side of the question is its padding, and which "
        "columns were kept?",
        "The order and the widths are right. The questions are read last character first, so their padding comes "
        "first: keep the last columns of every row.",
    ),
    section=f'{SECTION}, "A model, and something to learn" and, on trim, "Why these numbers"',
)

EXERCISES = (EXACT, RATE, SPLIT, BATCHES)
