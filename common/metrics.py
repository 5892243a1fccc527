"""Numbers that say how good answers are: exact match, perplexity, BLEU, and how far chance alone would move them.

    counts = bleu_counts(guesses, references)  # (N, 10): what BLEU is made of, sentence by sentence
    found = bleu_of(counts)                    # or bleu(guesses, references); found.score is 0 to 100
    low, high = bootstrap_interval(lambda rows: bleu_of(rows).score, counts)

Sentences are lists of tokens, words or ids. BLEU depends on how they were cut into tokens, so say it with every figure.
"""

import math
import re
from collections import Counter
from typing import NamedTuple

from common.np import default_rng, host, to_cpu

LESS_IS_BETTER = frozenset({"alignment_error", "perplexity", "own_words_perplexity", "bit_errors", "bits"})
# All others are shares from 0 to 1.
NOT_A_SHARE = frozenset({"bleu", "perplexity", "own_words_perplexity", "bit_errors", "bits"})


def shown(name, value):
    """Return a measured value as text, a share as a percentage: shown("exact_match", 0.5) == "50.00%".

    Bits have four decimals: a task that is solved costs less than a hundredth of one.
    """
    if family(name) == "bits":
        return f"{value:.4f}"
    return f"{value:.2f}" if family(name) in NOT_A_SHARE else f"{value:.2%}"


def family(name):
    """Return the name of a measure without what it was measured on: family("bit_errors_120") == "bit_errors"."""
    return re.sub(r"_\d.*", "", name)


def exact_match(guesses, truths):
    """Return the share of the guesses that equal the truth in every token.

    Args: N guesses and N truths: lists of tokens, or arrays of ids (N, T).
    Raises: ValueError if they are not equally many, or none.
    """
    pairs = _pairs("exact_match", guesses, truths)
    return sum(guess == truth for guess, truth in pairs) / len(pairs)


def perplexity(losses, counts=None):
    """Return exp of the mean loss per token: among how many equally likely tokens the model seems to choose.

    Two kinds are published, and they cannot be compared: with the right tokens fed in, and with the model's own, as
    when it writes. The losses decide which one this is (``common.decoding.forced_log_probs`` gives both).

    Args: losses, the mean loss of each batch in nats, (B,), or a single one; counts, the number of tokens that each is
    a mean of, None if all are equal. Infinite where the exponential is too large for a float.
    Raises: ValueError if there are no losses, or losses and counts do not fit.
    """
    losses = host.atleast_1d(host.asarray(to_cpu(losses), dtype=float))
    counts = host.ones(len(losses)) if counts is None else host.atleast_1d(host.asarray(to_cpu(counts), dtype=float))
    if losses.ndim != 1 or losses.shape != counts.shape or not counts.sum() > 0:
        raise ValueError(f"perplexity: losses {losses.shape} and counts {counts.shape} must be (B,), B at least 1")
    mean = float(losses @ counts) / float(counts.sum())
    return math.exp(mean) if mean < 700 else mean * math.inf  # exp(710) is too large for a float


class Bleu(NamedTuple):
    """BLEU and its parts: score (0 to 100), precisions of 1- to 4-grams (0 to 1), brevity penalty, both lengths."""

    score: float
    precisions: tuple
    brevity: float
    guess_length: int
    reference_length: int


def bleu(guesses, references, max_order=4, smooth=True):
    """Return the BLEU of a corpus, a ``Bleu``.

    It is the geometric mean of the precisions of 1- to 4-grams times exp(1 - r / c) where the guesses, of c tokens in
    all, are shorter than the references, of r tokens. An n-gram of a guess counts as right as many times as it is in
    the reference. Counts are summed over the corpus before anything is divided: the mean of BLEUs of sentences is
    another number.

    Args: guesses and references, N lists of tokens each; max_order, of the longest n-grams; smooth: an n-gram precision
    of 0, which would make all of it 0, counts as half of one n-gram, the next as a quarter, as sacreBLEU does by
    default. The score is that of sacreBLEU for the same tokens, with one reference for each guess.
    Raises: ValueError if there are not as many references as guesses, or none; TypeError for a sentence that is a str.
    Source: Papineni et al. 2002; Post 2018 (sacreBLEU).
    """
    return bleu_of(bleu_counts(guesses, references, max_order), smooth)


def bleu_counts(guesses, references, max_order=4):
    """Return what BLEU is made of, for each sentence: an int array (N, 2 + 2 * max_order).

    The columns: tokens of the guess, tokens of the reference, the numbers of right 1- to max_order-grams, and the
    numbers of all of them. Args: as for ``bleu``.
    """
    rows = []
    for k, (guess, reference) in enumerate(_pairs("bleu", guesses, references)):
        if isinstance(guess, str) or isinstance(reference, str):
            raise TypeError(f"bleu takes lists of tokens, but sentence {k} (the first is 0) is a str: split it first")
        right, total = [], []
        for n in range(1, max_order + 1):
            mine, theirs = ngrams(guess, n), ngrams(reference, n)
            right.append((mine & theirs).total())  # & takes the smaller count
            total.append(mine.total())
        rows.append([len(guess), len(reference), *right, *total])
    return host.array(rows)


def ngrams(tokens, n):
    """Return a Counter of the n-grams of a list of tokens, tuples of n tokens that stand side by side."""
    return Counter(zip(*(tokens[k:] for k in range(n))))


def bleu_of(counts, smooth=True):
    """Return the ``Bleu`` of the sentences whose ``bleu_counts`` are given, (N, 2 + 2 * max_order)."""
    c, r, *numbers = host.asarray(counts).sum(axis=0).tolist()
    order = len(numbers) // 2
    right, total = numbers[:order], numbers[order:]
    brevity = 1.0 if c >= r else math.exp(1 - r / c) if c else 0.0
    precisions, missing = [], 1
    for k, n in zip(right, total):
        if k == 0 and smooth and any(right):
            missing *= 2
            k = 1 / missing
        precisions.append(k / n if n else 0.0)
    score = 0.0
    if all(precisions):
        score = 100 * brevity * math.exp(sum(map(math.log, precisions)) / order)
    return Bleu(score, tuple(precisions), brevity, c, r)


def bootstrap_interval(measure, rows, samples=1000, level=0.95, rng=0):
    """Return (low, high): between these lies a measure for ``level`` of all test sets that might have been drawn.

    Each sample draws N rows with replacement from the N rows and measures them; the ends are quantiles of the results.

    Args: measure, a function of rows that returns a number; rows, an array whose first axis is that of the test items,
    such as ``bleu_counts``; rng, a Generator or a seed.
    Raises: ValueError if there are no rows or samples, or level is not between 0 and 1.
    Source: Koehn 2004, section 3.
    """
    rows, rng = host.asarray(to_cpu(rows)), default_rng(rng)
    if rows.ndim == 0 or len(rows) == 0 or samples < 1 or not 0 < level < 1:
        raise ValueError(
            f"bootstrap_interval: rows {rows.shape} and samples {samples} must be at least 1, level {level} in (0, 1)"
        )
    N = len(rows)
    found = [float(measure(rows[(rng.random(N) * N).astype(int)])) for _ in range(samples)]
    low, high = host.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _pairs(name, guesses, truths):
    """Return a list of (guess, truth), arrays as lists."""
    guesses, truths = _as_lists(guesses), _as_lists(truths)
    if len(guesses) != len(truths) or not guesses:
        raise ValueError(
            f"{name}: {len(guesses)} guesses and {len(truths)} truths; there must be as many, and at least one"
        )
    return list(zip(guesses, truths))


def _as_lists(rows):
    """Return rows as a list of what can be compared with ==: arrays become lists, tuples too."""
    if hasattr(rows, "tolist"):
        return rows.tolist()
    return [row.tolist() if hasattr(row, "tolist") else row if isinstance(row, str) else list(row) for row in rows]
