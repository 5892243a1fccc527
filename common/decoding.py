"""Decoding: let a model write. All that is known of a model here is ``start`` and ``step``.

``start(xs)`` reads N inputs and returns the first state, a tuple of arrays with N rows each. ``step(ids, state)`` reads
the N tokens written last and returns ``(logits, state, weights)``: logits (N, V) for the next tokens, the new state,
and the attention weights (N, T_enc), or None for a model without attention. Nothing else is carried from step to step,
so the rows of a state may be reordered or copied between two steps. Where inputs are padded, ``start`` finds the
padding by its id (``xs != pad_id``), and the mask (N, T_enc) is one of the arrays of the state.
"""

from functools import partial
from typing import NamedTuple

from common.functions import softmax
from common.np import errstate, host, np, to_cpu
from common.parallel import replica, run, workers

_CACHED_ROWS = 32  # of logits: as many as a processor's cache holds are searched at a time
_FEWEST_ROWS = 16  # of a chunk: with fewer, a step is mostly Python, which the cores cannot share
_LEAST_COVERAGE = float(host.finfo(host.float32).tiny)  # what counts for a position that got no attention at all


class Decoded(NamedTuple):
    """What was written: ids (N, T), the probability of each (N, T), attention weights (N, T, T_enc) or None."""

    ids: object
    probs: object
    weights: object


class Hypothesis(NamedTuple):
    """One way to answer, on the CPU.

    ids (T,), the end mark among them where it was written; score, which hypotheses are compared by; log_probs (T,), the
    log-probability of each token; weights (T, T_enc), where each step looked, or None.
    """

    ids: object
    score: float
    log_probs: object
    weights: object


def greedy(model, xs, start_id, length, chunk_size=128, *, end_id=None, pad_id=None):
    """Write at most ``length`` tokens for every row of xs (N, T_enc), each time the one with the largest logit.

    Without ``end_id`` exactly ``length`` tokens are written. With it, a row is done when it has written the end mark;
    from there on it holds ``pad_id`` (without that the end mark again), probability 1 and weights 0, and T is the
    length of the longest row. With ``pad_id``, moreover, rows of like length are read together and padding that none of
    them needs is left out: for models that mask padding.

    The model itself is left alone: copies that share its parameters work on ``chunk_size`` rows at a time, which bounds
    the memory, and side by side on all cores. Dropout is off.

    Returns: a Decoded. Raises: ValueError if xs is not (N, T_enc) with N at least 1, or length is below 1.
    """
    _check("greedy", xs, length)
    fill = end_id if pad_id is None else pad_id
    chunks = _chunks(xs, chunk_size, pad_id)
    parts = spread(model, chunks, lambda part, chunk: _greedy_chunk(part, xs[chunk], start_id, length, end_id, fill))
    ids, probs, weights = zip(*parts, strict=True)
    N, T = len(xs), max(part.shape[1] for part in ids)
    if weights[0] is not None:
        T_enc = weights[0].shape[2] if pad_id is None else xs.shape[1]
        weights = _joined(weights, chunks, (N, T, T_enc), 0)
    else:
        weights = None
    return Decoded(_joined(ids, chunks, (N, T), fill or 0), _joined(probs, chunks, (N, T), 1), weights)


def beam(
    model,
    xs,
    start_id,
    end_id,
    max_length,
    beam_size=5,
    length_penalty=0.6,
    n_best=1,
    *,
    coverage_penalty=0.0,
    chunk_size=64,
    pad_id=None,
):
    """Write the likeliest answers to every row of xs (N, T_enc): keep ``beam_size`` beginnings alive, not only one.

    At each step every live hypothesis is extended by every token. Of the ``beam_size`` best of these extensions, those
    that wrote the end mark are finished and take no further step; the best ``beam_size`` of the others live on. A row
    of xs is done when no live hypothesis can still get among the ``n_best``. It is also done when ``beam_size`` have
    finished, but not while the best live one is still ahead of the ``n_best`` of them: bad short answers finish first.
    What lives after ``max_length`` steps is cut off, and counts only where fewer than ``n_best`` have finished. With
    ``beam_size`` 1 and no coverage penalty this is ``greedy`` up to the end mark.

    Finished hypotheses Y of an input X are compared by their score

        s(X, Y)  = log P(Y | X) / lp(Y) + cp(X, Y)
        lp(Y)    = ((5 + T) / (5 + 1)) ** length_penalty              T: the tokens of Y, the end mark among them
        cp(X, Y) = coverage_penalty * sum over i of log(min(sum over j of p_ij, 1))

    Long answers multiply more probabilities below 1; without lp short ones would win. p_ij is the attention weight of
    step j on position i of X; positions that hold ``pad_id`` are left out. cp is 0 if every position got a weight of 1
    in all steps together, and negative if an answer leaves a part of X out. (A position that got exactly 0 counts as if
    it had got 1.2e-38, so that scores stay finite.) While they grow, hypotheses are compared by log P alone.

    What a hypothesis has left out so far, it can still look at. So a live one counts, where the search asks whether it
    can still win, as if its cp became 0: none is given up that could still get among the ``n_best`` or, when
    ``beam_size`` have finished, that may be ahead of them. With a coverage penalty a search may take more steps.

    Args: max_length, of an answer, in tokens; coverage_penalty, 0 or more, for models with attention weights (0.2 in
    the paper, as the length penalty); chunk_size, rows of xs at a time, see ``greedy``; pad_id, of xs: rows of like
    length are read together, for models that mask padding.
    Returns: a list of N lists of at most ``n_best`` Hypotheses, the best first.
    Raises: ValueError for sizes and penalties that do not fit, and for a coverage penalty with a model without weights;
    FloatingPointError if logits are NaN or infinite.
    Source: Sutskever et al. 2014, section 3.2; Wu et al. 2016, section 7 (the penalties).
    """
    _check("beam", xs, max_length)
    if not 1 <= n_best <= beam_size or length_penalty < 0:
        raise ValueError(
            f"beam: n_best {n_best} must be 1 to beam_size, {beam_size}, and length_penalty {length_penalty} at least 0"
        )
    if not coverage_penalty >= 0:
        raise ValueError(
            f"beam: coverage_penalty must be at least 0, got {coverage_penalty}: the logarithms are negative"
        )
    search = partial(
        _beam_chunk,
        start_id=start_id,
        end_id=end_id,
        max_length=max_length,
        beam_size=beam_size,
        length_penalty=length_penalty,
        coverage_penalty=coverage_penalty,
        n_best=n_best,
        pad_id=pad_id,
    )
    chunks = _chunks(xs, chunk_size, pad_id)
    found = [None] * len(xs)
    for (rows, _), part in zip(chunks, spread(model, chunks, lambda part, chunk: search(part, xs[chunk])), strict=True):
        for k, hypotheses in zip(host.arange(len(xs))[rows].tolist(), part, strict=True):
            found[k] = hypotheses if pad_id is None else [_widened(h, xs.shape[1]) for h in hypotheses]
    return found


def forced_log_probs(model, xs, ts, own_tokens=False, chunk_size=128, *, pad_id=None):
    """Return the log-probability of each token of ts[:, 1:] (N, T): what the model gives the right answer.

    Args: xs (N, T_enc); ts (N, T + 1) with the start mark first. own_tokens: False feeds in the right tokens, as in
    training; True the model's own, those with the largest logit, as when it writes. The perplexity of the second kind
    is the larger one: after its first other word the model is asked for the words of a sentence that it is not writing.
    pad_id, of xs and ts: what is padding in ts[:, 1:] gets 0, and rows of like length are read together.
    Raises: ValueError if the shapes do not fit.
    """
    _check("forced_log_probs", xs, ts.shape[1] - 1 if ts.ndim == 2 and len(ts) == len(xs) else 0)
    chunks = _chunks(xs, chunk_size, pad_id)
    parts = spread(model, chunks, lambda part, chunk: _forced_chunk(part, xs[chunk], ts[chunk[0]], own_tokens))
    out = _joined(parts, chunks, ts[:, 1:].shape, 0)
    if pad_id is not None:
        out[ts[:, 1:] == pad_id] = 0
    return out


def spread(model, items, work):
    """Return [work(part, item) for each item], side by side; each ``part`` is a copy of the model for using it."""
    idle = [replica(model) for _ in range(max(min(workers(), len(items)), 1))]
    for part in idle:
        getattr(part, "eval", lambda: None)()

    def one(item):
        part = idle.pop()
        try:
            return work(part, item)
        finally:
            idle.append(part)

    return run([partial(one, item) for item in items])


# --- chunks of rows ------------------------------------------------------------------------------------------------


def _check(name, xs, length):
    if xs.ndim != 2 or len(xs) == 0 or length < 1:
        raise ValueError(
            f"{name} takes (N, T_enc) with N at least 1, and at least one step, got {xs.shape} and {length}"
        )


def _chunks(xs, size, pad_id):
    """Return a list of indices (rows, columns) of xs. With ``pad_id`` rows of like length come together, trimmed.

    Args: size, the most rows of a chunk; it is smaller where one core would have nothing to do otherwise.
    """
    N, T = xs.shape
    size = min(size, max(-(-N // workers()), _FEWEST_ROWS))
    if pad_id is None:
        return [(slice(k, k + size), slice(T)) for k in range(0, N, size)]
    filled = to_cpu(xs != pad_id)
    lengths = host.where(filled.any(axis=1), T - filled[:, ::-1].argmax(axis=1), 1)
    order = host.argsort(lengths, kind="stable")
    chunks = [order[k : k + size] for k in range(0, N, size)]
    return [(rows, slice(int(lengths[rows].max()))) for rows in chunks]


def _joined(parts, chunks, shape, fill):
    """Return an array of ``shape``, each part in the rows of its chunk; ``fill`` stands where a part is too small."""
    out = np.full(shape, fill, parts[0].dtype)
    for part, (rows, _) in zip(parts, chunks, strict=True):
        out[(rows, *map(slice, part.shape[1:]))] = part
    return out


def _widened(hypothesis, T_enc):
    """Return a Hypothesis whose weights have T_enc columns; those on padding that nobody read are 0."""
    if hypothesis.weights is None or hypothesis.weights.shape[1] == T_enc:
        return hypothesis
    weights = host.zeros((len(hypothesis.weights), T_enc), hypothesis.weights.dtype)
    weights[:, : hypothesis.weights.shape[1]] = hypothesis.weights
    return hypothesis._replace(weights=weights)


# --- a chunk, step by step -----------------------------------------------------------------------------------------


def _greedy_chunk(model, xs, start_id, length, end_id, fill):
    state = model.start(xs)
    ids = np.full(len(xs), start_id)
    done = np.zeros(len(xs), bool)
    out, probs, weights = [], [], []
    for _ in range(length):
        logits, state, a = model.step(ids, state)
        ids, p = logits.argmax(axis=1), softmax(logits).max(axis=1)  # (N,) and (N,)
        if end_id is not None:
            ids, p = np.where(done, fill, ids), np.where(done, 1, p)
            a = None if a is None else np.where(done[:, None], 0, a)
            done |= ids == end_id
        out.append(ids)
        probs.append(p)
        weights.append(a)
        if end_id is not None and done.all():
            break
    weights = None if weights[0] is None else np.stack(weights, axis=1)  # (N, T, T_enc)
    return np.stack(out, axis=1), np.stack(probs, axis=1), weights


def _forced_chunk(model, xs, ts, own_tokens):
    state, ids, out = model.start(xs), ts[:, 0], []
    for t in range(1, ts.shape[1]):
        logits, state, _ = model.step(ids, state)
        wanted = np.take_along_axis(logits, ts[:, t, None], axis=1)[:, 0]  # (N,)
        out.append(wanted - _log_sum_exp(logits))
        ids = logits.argmax(axis=1) if own_tokens else ts[:, t]
    return np.stack(out, axis=1)


class _Step(NamedTuple):
    """One step of a beam, on the CPU: for each row that lives on, the row it extends, the token and its
    log-probability; the weights of the rows before."""

    parents: object
    ids: object
    log_probs: object
    weights: object


def _beam_chunk(
    model, xs, *, start_id, end_id, max_length, beam_size, length_penalty, coverage_penalty, n_best, pad_id
):
    """Return the hypotheses of each row of xs. The live ones of a sentence are B rows side by side in the state."""
    N, K = len(xs), beam_size
    finished = [[] for _ in range(N)]  # for each sentence (score, t, row, log_prob of the end mark)
    cut = [[] for _ in range(N)]
    alive = host.arange(N)  # (S,), the sentences that are not done
    totals = host.zeros((N, 1))  # (S, B), log-probabilities of what was written so far
    ids, state, steps = host.full(N, start_id), model.start(xs), []
    constant = state  # the arrays that every step has handed on as they are
    counts = host.ones(xs.shape, bool) if pad_id is None else to_cpu(xs != pad_id)  # (N, T_enc)
    covered = host.zeros(xs.shape)  # (S * B, T_enc), where what was written so far has looked, summed over the steps

    def penalty(T):
        return ((5 + T) / 6) ** length_penalty

    def coverage(s, row):
        """Return cp of sentence s and the hypothesis in this row."""
        if not coverage_penalty:
            return 0.0
        return coverage_penalty * host.log(host.clip(covered[row, counts[s]], _LEAST_COVERAGE, 1)).sum()

    for t in range(max_length):
        logits, after, weights = model.step(np.asarray(ids), state)
        S, B = totals.shape
        V = logits.shape[1]
        tokens, log_probs = _best(logits, min(2 * K, V))  # (S * B, C) each
        if not host.isfinite(log_probs[:, 0]).all():
            raise FloatingPointError(f"beam: the logits of step {t} (the first is 0) are NaN or infinite")
        weights = None if weights is None else to_cpu(weights)  # (S * B, T_enc)
        if coverage_penalty:
            covered = covered + _checked_weights(model, weights, covered.shape)
        C = tokens.shape[1]
        sums = (totals.reshape(-1, 1) + log_probs).reshape(S, B * C)
        # Of 2K extensions at most K write the end mark, one for each live hypothesis: K that go on are always left.
        best = host.argsort(-sums, axis=1, kind="stable")[:, : 2 * K]
        rows = best // C + B * host.arange(S)[:, None]  # (S, 2K), of the hypothesis that is extended
        sums, tokens, log_probs = (
            host.take_along_axis(array.reshape(S, B * C), best, axis=1) for array in (sums, tokens, log_probs)
        )
        ends = (tokens == end_id) & (sums > -host.inf)
        for s, k in host.argwhere(ends[:, :K]).tolist():
            score = sums[s, k] / penalty(t + 1) + coverage(alive[s], rows[s, k])
            finished[alive[s]].append((score, t, rows[s, k], log_probs[s, k]))

        go_on = host.argsort(tokens == end_id, axis=1, kind="stable")[:, : min(K, B * (V - 1))]
        rows, totals, tokens, log_probs = (
            host.take_along_axis(array, go_on, axis=1) for array in (rows, sums, tokens, log_probs)
        )
        open_ = host.array(
            [
                not _decided(finished[s], n_best, total / penalty(t + 1 if len(finished[s]) >= K else max_length))
                for s, total in zip(alive.tolist(), totals.max(axis=1, initial=-host.inf), strict=True)
            ]
        )
        parents, ids = rows[open_].ravel(), tokens[open_].ravel()
        steps.append(_Step(parents, ids, log_probs[open_].ravel(), weights))
        covered = covered[parents]
        alive, totals, same_rows = alive[open_], totals[open_], open_.all() and rows.shape[1] == B
        if len(alive) == 0 or totals.shape[1] == 0:
            break
        # They say the same in all rows of a sentence, so they change only when sentences leave. The encoder's states
        # are one, and by far the largest.
        parents = np.asarray(parents)
        handed_on = [any(array is old for old in constant) for array in after]
        state = tuple(
            array if same and same_rows else array[parents] for same, array in zip(handed_on, after, strict=True)
        )
        constant = [array for same, array in zip(handed_on, state, strict=True) if same]
    for k, (s, total) in enumerate(zip(alive.tolist(), totals, strict=True)):
        rows = range(k * len(total), (k + 1) * len(total))
        cut[s] = [
            (value / penalty(t + 1) + coverage(s, row), t + 1, row, None)
            for row, value in zip(rows, total, strict=True)
        ]
    return [
        [_traced(steps, end_id, *entry) for entry in (_ranked(done) + _ranked(rest))[:n_best]]
        for done, rest in zip(finished, cut, strict=True)
    ]


def _checked_weights(model, weights, shape):
    """Return the weights, or raise a ValueError unless there is one for every position that is to be covered."""
    if weights is None or weights.shape != shape:
        what = "no attention weights" if weights is None else f"attention weights {weights.shape}"
        raise ValueError(
            f"beam: coverage_penalty needs a weight for every position of xs, {shape}, but {type(model).__name__}.step "
            f"returned {what}; leave coverage_penalty at 0"
        )
    return weights


def _ranked(entries):
    return sorted(entries, key=lambda entry: -entry[0])


def _decided(finished, n_best, bound):
    """Whether the n_best finished hypotheses score at least ``bound``.

    With the best log-probability of a live one divided as for the greatest length, none that lives can exceed it: a
    log-probability only falls as tokens are added, no length divides it by more, and what is added for coverage is at
    most 0, whatever it is so far: every position may still be looked at.
    """
    return len(finished) >= n_best and _ranked(finished)[n_best - 1][0] >= bound


def _traced(steps, end_id, score, t, row, log_prob):
    """Return the Hypothesis that consists of row ``row`` after t steps and, if log_prob is not None, the end mark."""
    ids, log_probs, weights = [], [], []
    if log_prob is not None:
        ids, log_probs, weights = [end_id], [log_prob], [(t, row)]
    for k in range(t - 1, -1, -1):
        ids.append(steps[k].ids[row])
        log_probs.append(steps[k].log_probs[row])
        row = steps[k].parents[row]
        weights.append((k, row))
    seen = None
    if steps[0].weights is not None:
        seen = host.array([steps[k].weights[row] for k, row in reversed(weights)])  # (T, T_enc)
    return Hypothesis(host.array(ids[::-1]), float(score), host.array(log_probs[::-1]), seen)


def _best(logits, count):
    """Return the ``count`` likeliest tokens of each row and their log-probabilities, best first: two (N, count)."""
    N = len(logits)
    ids, log_probs = np.empty((N, count), int), np.empty((N, count), logits.dtype)
    for k in range(0, N, _CACHED_ROWS):
        x = logits[k : k + _CACHED_ROWS].copy()
        total, rows = _log_sum_exp(x), np.arange(len(x))
        for j in range(count):  # a few times argmax is faster than a partition, and takes the first of equal ones
            best = x.argmax(axis=1)
            ids[k : k + len(x), j] = best
            log_probs[k : k + len(x), j] = x[rows, best] - total
            x[rows, best] = -np.inf
    return to_cpu(ids), to_cpu(log_probs)


def _log_sum_exp(x):
    """Return log(sum(exp(x))) along the last axis, computed so that no exponential overflows: (N, V) -> (N,)."""
    with errstate(invalid="ignore", divide="ignore"):
        top = x.max(axis=1)
        return np.log(np.exp(x - top[:, None]).sum(axis=1)) + top
