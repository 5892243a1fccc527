"""Alignment: does the attention look where the answer comes from, and can it be told to?

For every digit of a date the gold alignment says which characters of the question it comes from: those of the year, of
the month or of the day. The score compares the attention weights with it; the loss teaches them to agree with it.
"""

from typing import NamedTuple

from common.np import host, np, to_cpu
from dataset.dates import gold_mask


class AlignmentScore(NamedTuple):
    """mass: the mean share of attention that lies on the right characters, 0 to 1, over all digits.

    hit: the share of digits whose largest weight lies on a right character. digits: the number of digits counted.
    """

    mass: float
    hit: float
    digits: int


def alignment_score(weights, questions):
    """Score attention weights against the gold alignment.

    Args:
        weights: (N, 10, T) attention weights for the ten characters of each answer, over the characters of the
            question in reading order (reverse them first if the input was reversed).
        questions: N strings, padded or not.

    Returns: an AlignmentScore. The two hyphens of the answer come from nowhere and are not counted.
    Raises: ValueError if the shapes do not fit or a question is not a date.
    """
    weights = host.asarray(to_cpu(weights))
    if weights.ndim != 3 or len(weights) != len(questions) or weights.shape[1] != 10 or len(weights) == 0:
        raise ValueError(
            f"alignment_score: weights must be ({len(questions)}, 10, T) for {len(questions)} questions, "
            f"and there must be at least one; got {weights.shape}"
        )
    gold = gold_alignment(questions, weights.shape[2])  # (N, 10, T)
    digit = gold.any(axis=2)  # (N, 10)
    mass = (weights * gold).sum(axis=2)[digit]
    largest = weights.argmax(axis=2)[..., None]  # (N, 10, 1)
    hit = host.take_along_axis(gold, largest, axis=2)[..., 0][digit]
    return AlignmentScore(float(mass.mean()), float(hit.mean()), int(digit.sum()))


def gold_alignment(questions, width):
    """Return where an ideal reader looks for each of N questions, bool (N, 10, width), in reading order.

    Raises: ValueError if a question is not a date, or longer than width.
    """
    return host.stack([gold_mask(q, width=width) for q in questions])


class AlignmentLoss:
    """How far the attention is from the gold characters: the mean of -log(mass) over all characters of all answers.

    The mass of a character is the attention on its gold characters, sum over t of gold_t a_t, as in
    ``alignment_score``. A character without gold adds 0: hyphens, and questions that are not labeled.

    Shapes: weights (N, T_dec, T_enc) and gold, bool of the same shape, give a number.
    Args: weight, a factor of the loss. floor keeps the logarithm finite: the loss of a character is
    -log((mass + floor) / (1 + floor)).
    Source: the idea is guided alignment, Chen et al. 2016, and supervised attention, Mi et al. 2016 and Liu et al.
    2016. The formula, which lets the gold characters share the attention in any way, is ours.
    """

    def __init__(self, weight=1.0, floor=1e-4):
        self.params, self.grads = [], []
        self.weight, self.floor = weight, floor
        self.cache = None

    def forward(self, weights, gold, count=None):
        """Return the loss, 0 without gold (None).

        count: the number of characters to take the mean over, N T_dec by default; where some are only padding, what the
        loss of the answers counts.

        Raises: ValueError for shapes that do not fit, and if gold is not bool.
        """
        self.cache = None
        if gold is None:
            return 0.0
        gold = np.asarray(gold)
        if weights.ndim != 3 or gold.shape != weights.shape or gold.dtype != bool:
            raise ValueError(
                f"AlignmentLoss: weights must be (N, T_dec, T_enc), got {weights.shape}, and gold bool of that shape, "
                f"got {gold.dtype} {gold.shape}"
            )
        mass = (weights * gold).sum(axis=2) + self.floor  # (N, T_dec)
        mass[~gold.any(axis=2)] = 1 + self.floor
        count = max(mass.size if count is None else count, 1)
        self.cache = (gold, mass, count)
        return -self.weight * np.log(mass / (1 + self.floor)).sum() / count

    def backward(self, dout=1):
        """d(-log mass)/da_t = -gold_t / mass: the less attention is right, the stronger the pull.

        Return da, (N, T_dec, T_enc), or None if there was no gold.
        """
        if self.cache is None:
            return None
        gold, mass, count = self.cache
        scale = -dout * self.weight / count
        return gold * (scale / mass)[:, :, None]  # (N, T_dec, T_enc)


def alignment_error_rate(weights, links):
    """Return the alignment error rate of attention weights, 0 to 1: 0 if every word looks at a word it goes with.

    A word of the translation is linked to the position with its largest weight; with A these links, P the gold ones and
    S those of them that leave no choice, it is 1 - (|A and S| + |A and P|) / (|A| + |S|). A word that goes with several
    (a verb in two pieces) may look at any of them: such links are in P only. A word that goes with none (articles, for
    Korean) is not counted.

    Args:
        weights: N arrays (T_dec, T_enc).
        links: for each, pairs (row, column) that belong together.
    Raises: ValueError if there are no links, or one lies outside the weights.
    Source: Och and Ney 2003, section 3.
    """
    linked = sure = right = right_sure = 0
    for k, (a, pairs) in enumerate(zip(weights, links, strict=True)):
        a = to_cpu(a)
        partners = {}
        for t, s in pairs:
            if not (0 <= t < a.shape[0] and 0 <= s < a.shape[1]):
                raise ValueError(
                    f"alignment_error_rate: link {(t, s)} of sentence {k} is outside its weights {a.shape}"
                )
            partners.setdefault(t, set()).add(s)
        for t, places in partners.items():
            hit = int(a[t].argmax()) in places
            linked += 1
            right += hit
            sure += len(places) == 1
            right_sure += hit and len(places) == 1
    if not linked:
        raise ValueError("alignment_error_rate: there are no gold links")
    return 1 - (right_sure + right) / (linked + sure)
