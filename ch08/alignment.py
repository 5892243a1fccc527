"""Alignment quality: does the attention look where the answer comes from?

For every digit of a date the gold alignment says which characters of the question it comes from: those of the year, of
the month or of the day. The score compares the attention weights with it.
"""

from typing import NamedTuple

from common.np import host, to_cpu
from dataset.dates import gold_mask


class AlignmentScore(NamedTuple):
    """mass: the mean share of attention that lies on the right characters, 0 to 1, over all digits.

    hit: the share of digits whose largest weight lies on a right character. digits: how many digits were counted.
    """

    mass: float
    hit: float
    digits: int


def alignment_score(weights, questions):
    """Score attention weights against the gold alignment.

    Args:
        weights: (N, 10, T) attention weights for the ten characters of each answer, over the characters of the
            question in reading order (turn them back first if the input was reversed).
        questions: N strings, padded or not.

    Returns: an AlignmentScore. The two hyphens of the answer come from nowhere and are not counted.
    Raises: ValueError if the shapes do not fit or a question is no date.
    """
    weights = host.asarray(to_cpu(weights))
    if weights.ndim != 3 or len(weights) != len(questions) or weights.shape[1] != 10 or len(weights) == 0:
        raise ValueError(
            f"alignment_score: weights must be ({len(questions)}, 10, T) for {len(questions)} questions, "
            f"and there must be one at least; got {weights.shape}"
        )
    gold = host.stack([gold_mask(q, width=weights.shape[2]) for q in questions])  # (N, 10, T)
    digit = gold.any(axis=2)  # (N, 10)
    mass = (weights * gold).sum(axis=2)[digit]
    largest = weights.argmax(axis=2)[..., None]  # (N, 10, 1)
    hit = host.take_along_axis(gold, largest, axis=2)[..., 0][digit]
    return AlignmentScore(float(mass.mean()), float(hit.mean()), int(digit.sum()))
