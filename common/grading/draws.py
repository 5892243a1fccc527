"""What the cases of many exercises have in common: a drawn size, arrays of normal numbers, the sizes of a batch."""

from common.grading.exercise import Case


def size(rng, low, high):
    """Return a size from ``low`` up to, but not including, ``high``."""
    return int(rng.integers(low, high))


def normal(rng, **shapes):
    """Return arrays of normal numbers by name: ``normal(rng, hs=(N, T, H), h=(N, H))``."""
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def batches(draw):
    """Return cases of N sequences of T states of H numbers, drawn by ``draw(rng, N, T, H)``.

    Together they tell every axis from every other one: an axis of size 1 hides what is wrong along it, and so do two
    axes of the same size; but what runs only for these would pass without them.
    """
    return (
        Case("one sequence", lambda rng: draw(rng, 1, 2, 3)),
        Case("T = H", lambda rng: draw(rng, 2, 3, 3)),
        Case("one state in each sequence", lambda rng: draw(rng, 2, 1, size(rng, 3, 6))),
        Case("N, T and H all differ", lambda rng: draw(rng, 2, size(rng, 3, 6), 7)),
    )
