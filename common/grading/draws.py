"""What the cases of many exercises have in common: a drawn size, arrays of normal numbers, the sizes of a batch."""

from common.grading.exercise import Case


def size(rng, low, high):
    """Return a size from ``low`` up to, but not including, ``high``."""
    return int(rng.integers(low, high))


def normal(rng, **shapes):
    """Return arrays of normal numbers by name: ``normal(rng, hs=(N, T, H), h=(N, H))``."""
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def batches(draw, one_state=True):
    """Return cases of N sequences of T states of H numbers, drawn by ``draw(rng, N, T, H)``.

    Sizes that differ tell the axes apart. Equal ones, and those of 1, are for what runs only with others, such as a
    squeeze. one_state: whether T = 1 is among them; not where it gives points away, as a softmax of one score does.
    """
    return (
        Case("one sequence", lambda rng: draw(rng, 1, 2, 3)),
        Case("T = H", lambda rng: draw(rng, 2, 3, 3)),
        *([Case("one state in each sequence", lambda rng: draw(rng, 2, 1, size(rng, 3, 6)))] if one_state else []),
        Case("N, T and H all differ", lambda rng: draw(rng, 2, size(rng, 3, 6), 7)),
    )
