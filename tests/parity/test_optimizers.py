"""Optimizers against torch.optim, step by step, and clip_grads against clip_grad_norm_.

Where the definitions meet and where they differ:

* Momentum: ours is v = m v - lr g, p += v; PyTorch's is v = m v + g, p -= lr v. The same as long as lr stays.
* Nesterov: the same remark.
* AdaGrad and RMSprop: eps stands beside the root in both; ours is 1e-7.
* Adam: ours adds eps = 1e-7 to the root of v as it is, as the end of section 2 of the paper does; PyTorch adds it to
  the root after the correction, as algorithm 1 of the paper does. So ours is PyTorch's with eps / sqrt(1 - beta2^n) in
  step n, and the test sets exactly that.
"""

import numpy as np
import pytest
import torch

from common.optimizer import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop, merge_tied
from common.time_layers import TimeAffine, TimeEmbedding, TimeSoftmaxWithLoss
from common.util import clip_grads
from tests.parity.torch_tools import DTYPES, close, leaves

EPS = 1e-7
optim = torch.optim
PAIRS = {
    "SGD": (lambda: SGD(0.1), lambda p: optim.SGD(p, 0.1)),
    "Momentum": (lambda: Momentum(0.1, 0.8), lambda p: optim.SGD(p, 0.1, momentum=0.8)),
    "Nesterov": (lambda: Nesterov(0.1, 0.8), lambda p: optim.SGD(p, 0.1, momentum=0.8, nesterov=True)),
    "AdaGrad": (lambda: AdaGrad(0.1), lambda p: optim.Adagrad(p, 0.1, eps=EPS)),
    "RMSprop": (lambda: RMSprop(0.1, 0.95), lambda p: optim.RMSprop(p, 0.1, alpha=0.95, eps=EPS)),
    "Adam": (lambda: Adam(0.1, 0.8, 0.99), lambda p: optim.Adam(p, 0.1, betas=(0.8, 0.99))),
    "Adam, defaults": (Adam, optim.Adam),
    "RMSprop, defaults": (RMSprop, lambda p: optim.RMSprop(p, 0.01, eps=EPS)),
}


def draw_grads(rng, params, n):
    """Gradients of ordinary size, of the size of eps, where it counts most, and in every third step all 0."""
    scales = (1, EPS, float(n % 3 > 0))
    return [(scale * rng.normal(size=p.shape)).astype(p.dtype) for scale, p in zip(scales, params)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PAIRS)
def test_ten_updates(rng, name, dtype):
    params = [rng.normal(size=shape).astype(dtype) for shape in ((3, 4), (5,), (1, 2))]
    theirs = leaves(params)
    ours, torchs = (make(*args) for make, args in zip(PAIRS[name], ((), (theirs,))))
    for n in range(1, 11):
        grads = draw_grads(rng, params, n)
        for p, g in zip(theirs, grads):
            p.grad = torch.tensor(g)
        if isinstance(ours, Adam):
            torchs.param_groups[0]["eps"] = EPS / (1 - ours.beta2**n) ** 0.5
        torchs.step()
        ours.update(params, grads)
        for k, (p, expected) in enumerate(zip(params, theirs)):
            close(f"params[{k}] after update {n}", p, expected)


def test_adam_with_the_same_eps_is_not_pytorchs():
    """The difference the note above speaks of is real: a gradient of the size of eps tells them apart."""
    p, g = np.ones(1), np.full(1, EPS)
    (theirs,) = leaves([p])
    theirs.grad = torch.tensor(g)
    optim.Adam([theirs], 0.1, eps=EPS).step()
    Adam(0.1).update([p], [g])
    np.testing.assert_allclose(theirs.item(), 1 - 0.1 * 1 / 2)  # lr g / (g + eps)
    root = (1 - 0.999) ** 0.5
    np.testing.assert_allclose(p, 1 - 0.1 * root / (root + 1))  # lr g / (g + eps / root)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-3, 1, 10])
def test_clip_grads(rng, dtype, scale):
    grads = [(scale * rng.normal(size=shape)).astype(dtype) for shape in ((3, 4), (5,), (2, 2, 2))]
    theirs = leaves(grads)
    for t in theirs:
        t.grad = t.detach().clone()
    expected = torch.nn.utils.clip_grad_norm_(theirs, 2.0)
    assert (expected > 2) == (scale >= 1)  # both sides of the threshold
    np.testing.assert_allclose(clip_grads(grads, 2.0), expected.item(), rtol=1e-10 if dtype == "float64" else 1e-5)
    for k, (got, t) in enumerate(zip(grads, theirs)):
        close(f"grads[{k}]", got, t.grad)


@pytest.mark.parametrize("max_norm", [None, 0.05])
@pytest.mark.parametrize("name", PAIRS)
def test_twenty_updates_of_an_embedding_tied_to_the_output(rng, name, max_norm):
    """scores = W[ids] W^T + b: PyTorch has one parameter W, we have TimeEmbedding(W) and TimeAffine(W.T, b)."""
    V, D = 7, 4
    W, b = rng.normal(size=(V, D)), rng.normal(size=V)
    theirs = leaves([W, b])
    embed, affine, loss_layer = TimeEmbedding(W), TimeAffine(W.T, b), TimeSoftmaxWithLoss()
    ours, torchs = (make(*args) for make, args in zip(PAIRS[name], ((), (theirs,))))
    for n in range(1, 21):
        xs, ts = rng.integers(0, V, (2, 3, 5))
        loss_layer.forward(affine.forward(embed.forward(xs)), ts)
        embed.backward(affine.backward(loss_layer.backward()))
        params, grads = embed.params + affine.params, embed.grads + affine.grads

        torchs.zero_grad()
        scores = theirs[0][torch.tensor(xs)] @ theirs[0].T + theirs[1]
        torch.nn.functional.cross_entropy(scores.flatten(0, 1), torch.tensor(ts).flatten()).backward()
        if max_norm is not None:
            params, grads = merge_tied(params, grads)
            expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
            np.testing.assert_allclose(clip_grads(grads, max_norm), expected.item(), rtol=1e-10)
        if isinstance(ours, Adam):
            torchs.param_groups[0]["eps"] = EPS / (1 - ours.beta2**n) ** 0.5
        torchs.step()
        ours.update(params, grads)
    close("W", W, theirs[0])
    close("b", b, theirs[1])
