"""Exercises 8.2: repeat and sum, the weighted sum, its backward."""

from ch08.attention_layer import WeightSum
from common.grading.exercise import Case, Exercise, Mistake

SECTION = "notebook 8.2"


def _weights(rng, *shape):
    """Rows that sum to 1."""
    weights = rng.uniform(0.1, 1.0, shape)
    return weights / weights.sum(axis=-1, keepdims=True)


def _batch(rng, N, T, H):
    return {"hs": rng.standard_normal((N, T, H)), "a": _weights(rng, N, T)}


def _weighted_sum(hs, a):
    return WeightSum().forward(hs, a)


EXERCISES = (
    Exercise(
        number="8.2.2",
        title="The weighted sum without a loop",
        name="weighted_sum",
        call="c = answer(hs, a)",
        outputs=("c",),
        cases=(
            Case("one sequence", lambda rng: _batch(rng, 1, 2, 3)),
            Case("T = H", lambda rng: _batch(rng, 2, 3, 3)),
            Case("N, T and H all differ", lambda rng: _batch(rng, 2, int(rng.integers(3, 6)), 7)),
        ),
        reference=_weighted_sum,
        mistakes=(
            Mistake(
                "c is summed over the hidden axis. The sum runs over time, the axis along which the weights stand.",
                "def weighted_sum(hs, a):\n    return (hs * a[:, :, None]).sum(axis=2)",
            ),
            Mistake(
                "c is not summed over time: these are the weighted states, not their sum.",
                "def weighted_sum(hs, a):\n    return hs * a[:, :, None]",
            ),
            Mistake(
                "The weights are not used: this is the plain mean of the states.",
                "def weighted_sum(hs, a):\n    return hs.mean(axis=1)",
            ),
        ),
        hints=(
            "Give a a third axis, so that every weight meets the H numbers of its hidden state.",
            "a[:, :, None] is (N, T, 1). Multiply, then sum over axis 1. einsum or matmul say it in one word.",
        ),
        section=f'{SECTION}, "The weighted sum of a mini-batch"',
        no_loops=True,
    ),
)
