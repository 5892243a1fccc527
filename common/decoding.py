"""Decoding: let a model write. All that is known of a model here is ``start`` and ``step``.

``start(xs)`` reads N inputs and returns the first state, a tuple of arrays with N rows each. ``step(ids, state)`` reads
the N tokens written last and returns ``(logits, state, weights)``: logits (N, V) for the next tokens, the new state,
and the attention weights (N, T_enc), or None for a model without attention. Nothing else is carried from step to step,
so the rows of a state may be reordered or copied between two steps.
"""

from functools import partial
from typing import NamedTuple

from common.functions import softmax
from common.np import np
from common.parallel import replica, run, workers


class Decoded(NamedTuple):
    """What was written: ids (N, T), the probability of each (N, T), attention weights (N, T, T_enc) or None."""

    ids: object
    probs: object
    weights: object


def greedy(model, xs, start_id, length, chunk_size=128):
    """Write ``length`` tokens for every row of xs (N, T_enc), each time the one with the largest logit.

    The model itself is left alone: copies that share its parameters work on ``chunk_size`` rows at a time, which bounds
    the memory, and side by side on all cores. Dropout is off.

    Returns: a Decoded. Raises: ValueError if xs is not (N, T_enc) with N at least 1, or length is below 1.
    """
    if xs.ndim != 2 or len(xs) == 0 or length < 1:
        raise ValueError(
            f"greedy takes (N, T_enc) with N at least 1, and at least one step, got {xs.shape} and {length}"
        )
    chunks = [slice(k, k + chunk_size) for k in range(0, len(xs), chunk_size)]
    parts = spread(model, chunks, lambda part, rows: _greedy_chunk(part, xs[rows], start_id, length))
    return Decoded(*(None if p[0] is None else np.concatenate(p) for p in zip(*parts, strict=True)))


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


def _greedy_chunk(model, xs, start_id, length):
    state = model.start(xs)
    ids = np.full(len(xs), start_id)
    out, probs, weights = [], [], []
    for _ in range(length):
        logits, state, a = model.step(ids, state)
        ids = logits.argmax(axis=1)  # (N,)
        out.append(ids)
        probs.append(softmax(logits).max(axis=1))
        weights.append(a)
    weights = None if weights[0] is None else np.stack(weights, axis=1)  # (N, T, T_enc)
    return np.stack(out, axis=1), np.stack(probs, axis=1), weights
