"""The three scores and the attention that uses them against the plain PyTorch expressions, forward and backward."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ch08.attention_layer import Attention, AttentionWeight, TimeAttention
from ch08.score_layers import AdditiveScore, DotScore, GeneralScore
from tests.parity.torch_tools import DTYPES, check_layer, close, leaf

# N, T_enc, T_dec, H_enc, H_dec, A; T_dec None: one query per sequence, without a step axis
SIZES = [(3, 7, None, 4, 3, 5), (3, 7, 2, 3, 4, 5), (2, 3, 8, 5, 2, 1), (1, 4, 1, 1, 1, 2), (2, 1, 3, 4, 4, 3)]
KINDS = ["dot", "general", "additive"]
pytestmark = [
    pytest.mark.parametrize("dtype", DTYPES),
    pytest.mark.parametrize("sizes", SIZES, ids=str),
]


def dot(hs, h):
    return torch.einsum("nth,n...h->n...t", hs, h)


def general(hs, h, W):
    return dot(hs, h @ W)


def additive(hs, h, Wq, Wk, v):
    """The straightforward way: all neurons at once, (N, T_dec, T_enc, A)."""
    q, k = h @ Wq, hs @ Wk
    k = k if h.ndim == 2 else k[:, None]
    return torch.tanh(q[..., None, :] + k) @ v


EXPRESSIONS = {"dot": dot, "general": general, "additive": additive}


def problem(rng, kind, sizes, dtype):
    """A score, hs, h and a mask."""
    N, T, T_dec, H_enc, H_dec, A = sizes
    H_dec = H_enc if kind == "dot" else H_dec
    steps = () if T_dec is None else (T_dec,)

    def randn(*shape):
        return rng.normal(size=shape).astype(dtype)

    score = {
        "dot": DotScore,
        "general": lambda: GeneralScore(randn(H_dec, H_enc)),
        "additive": lambda: AdditiveScore(randn(H_dec, A), randn(H_enc, A), randn(A)),
    }[kind]()
    mask = rng.random((N, T)) < 0.6
    mask[:, 0] = True
    return score, randn(N, T, H_enc), randn(N, *steps, H_dec), mask


def weights(expression):
    """The PyTorch expression of the weights from (hs, h, mask, *params)."""

    def compute(hs, h, mask, *params):
        s = expression(hs, h, *params)
        if mask is not None:
            s = s.masked_fill(~(mask if h.ndim == 2 else mask[:, None]), -torch.inf)
        return torch.softmax(s, dim=-1)

    return compute


def context(expression):
    return lambda hs, *rest: torch.einsum("n...t,nth->n...h", weights(expression)(hs, *rest), hs)


@pytest.mark.parametrize("kind", KINDS)
def test_score(rng, kind, sizes, dtype):
    score, hs, h, _ = problem(rng, kind, sizes, dtype)
    check_layer(score, EXPRESSIONS[kind], hs, h)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_attention_with_a_score(rng, kind, masked, sizes, dtype):
    score, hs, h, mask = problem(rng, kind, sizes, dtype)
    mask = mask if masked else None
    one_step = hs.shape[1] == 1 or (masked and (mask.sum(axis=1) == 1).all())  # the softmax has no choice
    check_layer(AttentionWeight(score), weights(EXPRESSIONS[kind]), hs, h, mask, zero_ok=one_step)
    check_layer(Attention(score), context(EXPRESSIONS[kind]), hs, h, mask, zero_ok=one_step)
    if h.ndim == 2:
        return
    for scores_in_cache in (2**16, 1):  # in one part, in a part for every row
        layer = TimeAttention(score)
        layer.scores_in_cache = scores_in_cache
        check_layer(layer, context(EXPRESSIONS[kind]), hs, h, mask, zero_ok=one_step)
        expected = weights(EXPRESSIONS[kind])(leaf(hs), leaf(h), leaf(mask), *map(leaf, score.params))
        close("weights", layer.weights, expected)


def test_scaled_dot_product_attention(rng, sizes, dtype):
    _, hs, h, mask = problem(rng, "dot", sizes, dtype)
    H = hs.shape[2]

    def sdpa(hs, h, mask):
        q = h if h.ndim == 3 else h[:, None]
        return F.scaled_dot_product_attention(q, hs, hs, attn_mask=mask[:, None]).reshape(h.shape)

    zero_ok = bool((mask.sum(axis=1) == 1).all())
    check_layer(Attention(DotScore(scale=1 / np.sqrt(H))), sdpa, hs, h, mask, zero_ok=zero_ok)


def test_additive_is_luongs_concat(rng, sizes, dtype):
    score, hs, h, _ = problem(rng, "additive", sizes, dtype)

    def concat(hs, h, Wq, Wk, v):
        h = h if h.ndim == 3 else h[:, None]
        shape = (len(hs), h.shape[1], hs.shape[1])
        pairs = torch.cat((h[:, :, None].expand(*shape, -1), hs[:, None].expand(*shape, -1)), dim=3)
        return (torch.tanh(pairs @ torch.cat((Wq, Wk))) @ v).reshape(*steps, hs.shape[1])

    steps = h.shape[:-1]
    check_layer(score, concat, hs, h)
