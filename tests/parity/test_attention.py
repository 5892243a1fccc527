"""The attention layers against matmul and softmax, and against PyTorch's own scaled_dot_product_attention."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ch08.attention_layer import Attention, AttentionWeight, TimeAttention, WeightSum
from tests.parity.torch_tools import DTYPES, check_layer, close

# N, T_enc, T_dec, H; T_dec None: one query per sequence, without a step axis
SIZES = [(3, 7, None, 4), (3, 7, 2, 4), (2, 3, 8, 5), (1, 4, 1, 1), (2, 1, 3, 4)]
pytestmark = [pytest.mark.parametrize("dtype", DTYPES), pytest.mark.parametrize("sizes", SIZES, ids=str)]
masked = pytest.mark.parametrize("masked", [False, True])


@pytest.fixture
def case(rng, dtype, sizes):
    """hs, h, a, mask. With one encoder step the softmax has no choice: its gradient is 0, hence ``zero_ok`` below."""
    N, T, T_dec, H = sizes
    steps = () if T_dec is None else (T_dec,)
    hs, h, a = (rng.normal(size=shape).astype(dtype) for shape in ((N, T, H), (N, *steps, H), (N, *steps, T)))
    mask = np.arange(T) < np.arange(T, T - N, -1).clip(1)[:, None]  # row 0 is whole, row 1 lacks its last step, ...
    if N > 2:
        mask[2] = ~mask[2]  # real only at the end
    return hs, h, a, mask


def weights(hs, h, mask=None):
    s = torch.einsum("nth,n...h->n...t", hs, h)
    if mask is not None:
        s = s.masked_fill(~(mask if h.ndim == 2 else mask[:, None]), -torch.inf)
    return torch.softmax(s, dim=-1)


def context(hs, h, mask=None):
    return torch.einsum("n...t,nth->n...h", weights(hs, h, mask), hs)


def sdpa(hs, h, mask=None):
    """Queries h, keys and values hs; scale=1 because the score is the bare dot product."""
    q = h if h.ndim == 3 else h[:, None]
    c = F.scaled_dot_product_attention(q, hs, hs, attn_mask=None if mask is None else mask[:, None], scale=1)
    return c.reshape(h.shape)


def test_weight_sum(case):
    hs, _, a, _ = case
    check_layer(WeightSum(), lambda hs, a: torch.einsum("nth,n...t->n...h", hs, a), hs, a)


@masked
def test_attention_weight(case, masked):
    hs, h, _, mask = case
    check_layer(AttentionWeight(), weights, hs, h, mask if masked else None, zero_ok=hs.shape[1] == 1)


@masked
@pytest.mark.parametrize("expression", [context, sdpa])
def test_attention(case, masked, expression):
    hs, h, _, mask = case
    layer, mask = Attention(), mask if masked else None
    check_layer(layer, expression, hs, h, mask, zero_ok=hs.shape[1] == 1)
    close("attention_weight", layer.attention_weight, weights(*map(torch.tensor, (hs, h)), as_tensor(mask)))


@masked
@pytest.mark.parametrize("expression", [context, sdpa])
def test_time_attention(case, masked, expression):
    hs, h, _, mask = case
    h = h if h.ndim == 3 else h[:, None]
    layer, mask = TimeAttention(), mask if masked else None
    check_layer(layer, expression, hs, h, mask, zero_ok=hs.shape[1] == 1)
    expected = weights(*map(torch.tensor, (hs, h)), as_tensor(mask))
    close("weights", layer.weights, expected)
    for t, a in enumerate(layer.attention_weights):
        close(f"attention_weights[{t}]", a, expected[:, t])


def as_tensor(mask):
    return None if mask is None else torch.tensor(mask)
