"""The floor: only the matrix products of one training step, into arrays that exist already.

However well the rest is written, a NumPy program that multiplies these matrices one after the other takes at
least this long; one that gives each core rows of its own (``common.parallel``) can save a little here too. Left
out is what a good implementation leaves out too: the product with the first hidden state of the encoder
(it is zero) and the gradient of that state (nobody asks for it).
"""

import numpy as np


def product(rng, a_shape, b_shape, transpose=()):
    """A call that writes a @ b into a fixed array; ``transpose`` names operands that arrive transposed."""
    a, b = (rng.standard_normal(shape, dtype=np.float32) for shape in (a_shape, b_shape))
    a = a.swapaxes(-1, -2) if "a" in transpose else a
    b = b.swapaxes(-1, -2) if "b" in transpose else b
    out = np.matmul(a, b)
    return lambda: np.matmul(a, b, out=out)


def lstm(rng, N, T, D, H, steps):
    """Forward: all inputs at once, one product a step. Backward: one product a step, then dWx, dWh, dx."""
    forward = [product(rng, (T * N, D), (D, 4 * H))]
    forward += [product(rng, (N, H), (H, 4 * H)) for _ in range(steps)]
    backward = [product(rng, (N, 4 * H), (H, 4 * H), "b") for _ in range(steps)]
    backward += [
        product(rng, (T * N, D), (T * N, 4 * H), "a"),
        product(rng, (steps * N, H), (steps * N, 4 * H), "a"),
        product(rng, (T * N, 4 * H), (D, 4 * H), "b"),
    ]
    return forward + backward


def attention(rng, N, T_enc, T_dec, H):
    """Scores and contexts, then da, the two parts of dhs_enc, and dhs_dec."""
    hs_enc, hs_dec, a = (N, T_enc, H), (N, T_dec, H), (N, T_dec, T_enc)
    return [
        product(rng, hs_dec, hs_enc, "b"),
        product(rng, a, hs_enc),
        product(rng, hs_dec, hs_enc, "b"),
        product(rng, a, hs_dec, "a"),
        product(rng, a, hs_dec, "a"),
        product(rng, a, hs_enc),
    ]


def affine(rng, rows, D, V):
    return [
        product(rng, (rows, D), (D, V)),
        product(rng, (rows, D), (rows, V), "a"),
        product(rng, (rows, V), (D, V), "b"),
    ]


def run_all(products):
    def run():
        for multiply in products:
            multiply()

    return run


def make_step(N, T_enc, T_dec, V, D, H):
    rng = np.random.default_rng(0)
    return run_all(
        lstm(rng, N, T_enc, D, H, T_enc - 1)
        + lstm(rng, N, T_dec, D, H, T_dec)
        + attention(rng, N, T_enc, T_dec, H)
        + affine(rng, N * T_dec, 2 * H, V)
    )


def make_attention(N, T, H):
    return run_all(attention(np.random.default_rng(0), N, T, T, H))
