"""A step that is fed its own context, unrolled, against PyTorch's autograd through the same loop."""

import pytest
import torch

from common.unroll import Unroll
from tests.parity.torch_tools import DTYPES, check_layer
from tests.unit.test_unroll import feeding_inputs, input_feeding


def loop(xs, h, c, context, hs, mask, Wx, Wh, b, W, bias):
    """The same steps, one after the other."""
    outs, weights = [], []
    for x in xs.unbind(1):
        f, g, i, o = (torch.cat((x, context), dim=1) @ Wx + h @ Wh + b).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.tanh(g) * torch.sigmoid(i)
        h = torch.sigmoid(o) * torch.tanh(c)
        scores = (hs @ h[:, :, None])[..., 0].masked_fill(~mask, -torch.inf)  # (N, T_enc)
        a = torch.softmax(scores, dim=1)
        context = torch.tanh(torch.cat(((a[:, None] @ hs)[:, 0], h), dim=1) @ W + bias)
        outs.append(context)
        weights.append(a)
    return torch.stack(outs, dim=1), torch.stack(weights, dim=1), h, c, context


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("N", "T", "T_enc", "D", "H"), [(3, 6, 5, 4, 3), (1, 1, 2, 1, 1), (2, 3, 1, 2, 4)])
def test_input_feeding(rng, dtype, N, T, T_enc, D, H):
    inputs = [x if x.dtype == bool else x.astype(dtype) for x in feeding_inputs(rng, N, T, T_enc, D, H)]
    check_layer(Unroll(input_feeding(rng, D, H, dtype), states=3), loop, *inputs, zero_ok=True)
