"""Functions and layers without recurrence."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from common import functions
from common.layers import (
    Affine,
    Dropout,
    Embedding,
    LayerNorm,
    MatMul,
    Relu,
    Residual,
    Sigmoid,
    SigmoidWithLoss,
    Softmax,
    SoftmaxWithLoss,
    Tanh,
)
from common.time_layers import TimeAffine, TimeDropout, TimeEmbedding, TimeSoftmaxWithLoss
from tests.parity.torch_tools import DTYPES, check_layer, close

both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def draw(rng, request):
    """Draw standard normal numbers of the test's dtype."""
    dtype = request.node.callspec.params["dtype"]
    return lambda *shape: rng.normal(size=shape).astype(dtype)


@both_dtypes
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (functions.sigmoid, torch.sigmoid),
        (functions.relu, torch.relu),
        (functions.softmax, lambda x: torch.softmax(x, dim=-1)),
    ],
    ids=["sigmoid", "relu", "softmax"],
)
def test_functions(draw, dtype, ours, theirs):
    for x in (draw(7), draw(3, 5), draw(2, 3, 4), 300 * draw(4, 6), draw(1, 1)):
        close("value", ours(x), theirs(torch.tensor(x)), zero_ok=x.size == 1)


@both_dtypes
def test_cross_entropy_error_is_nll_of_the_probability_plus_a_tiny_floor(draw, dtype):
    y, t = functions.softmax(draw(6, 5)), np.array([0, 4, 2, 2, 1, 3])
    expected = F.nll_loss(torch.log(torch.tensor(y) + 1e-7), torch.tensor(t))
    close("ids", functions.cross_entropy_error(y, t), expected)
    close("one-hot", functions.cross_entropy_error(y, np.eye(5)[t]), expected)


@both_dtypes
@pytest.mark.parametrize("leading", [(4,), (3, 5), (1, 1), (2, 3, 4)])
def test_affine_and_matmul(draw, dtype, leading):
    x, W, b = draw(*leading, 6), draw(6, 3), draw(3)
    for layer in (Affine, TimeAffine):
        check_layer(layer(W, b), lambda x, W, b: F.linear(x, W.T, b), x)
    check_layer(MatMul(W), lambda x, W: F.linear(x, W.T), x)


@both_dtypes
@pytest.mark.parametrize("layer", [Embedding, TimeEmbedding])
@pytest.mark.parametrize("shape", [(9,), (3, 11), (1, 1)])
def test_embedding_adds_up_repeated_ids(draw, rng, dtype, layer, shape):
    check_layer(layer(draw(5, 4)), lambda ids, W: F.embedding(ids, W), rng.integers(5, size=shape))


@both_dtypes
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4)])
def test_softmax_and_sigmoid(draw, dtype, shape):
    check_layer(Softmax(), lambda x: torch.softmax(x, dim=-1), 3 * draw(*shape))
    check_layer(Sigmoid(), torch.sigmoid, 3 * draw(*shape))


@both_dtypes
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4)])
def test_tanh_and_relu(draw, dtype, shape):
    check_layer(Tanh(), torch.tanh, 3 * draw(*shape))
    x = draw(*shape)
    x.reshape(-1)[0] = 0  # the slope at the bend
    check_layer(Relu(), F.relu, x)


@both_dtypes
@pytest.mark.parametrize("eps", [1e-5, 0.1])
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (1, 2, 1, 6)])
def test_layer_norm(draw, dtype, eps, shape):
    D = shape[-1]
    layer = LayerNorm(draw(D), draw(D), eps)
    check_layer(layer, lambda x, *ps: F.layer_norm(x, (D,), *ps, eps=eps), 2 + 3 * draw(*shape))


@both_dtypes
@pytest.mark.parametrize("leading", [(4,), (3, 5), (1, 1)])
def test_residual(draw, dtype, leading):
    layer = Residual(Affine(draw(6, 6), draw(6)))
    check_layer(layer, lambda x, W, b: x + F.linear(x, W.T, b), draw(*leading, 6))


def targets(ids, V, one_hot):
    return np.eye(V, dtype=int)[ids] if one_hot else ids


def cross_entropy(x, t, **options):
    """PyTorch takes one-hot targets as class probabilities, of the scores' dtype."""
    return F.cross_entropy(x, t if t.ndim == 1 else t.to(x.dtype), **options)


@both_dtypes
@pytest.mark.parametrize("scale", [1, 30])
@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize(("N", "V"), [(5, 4), (1, 2)])
def test_softmax_with_loss(draw, rng, dtype, scale, one_hot, N, V):
    t = targets(rng.integers(V, size=N), V, one_hot)
    check_layer(SoftmaxWithLoss(), cross_entropy, scale * draw(N, V), t, zero_ok=N == 1)


@both_dtypes
@pytest.mark.parametrize("scale", [1, 30])
def test_sigmoid_with_loss(draw, rng, dtype, scale):
    def expression(x, t):
        return F.binary_cross_entropy_with_logits(x, t.to(x.dtype))

    check_layer(SigmoidWithLoss(), expression, scale * draw(7), rng.integers(2, size=7))


@both_dtypes
@pytest.mark.parametrize("scale", [1, 30])
@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize(("N", "T", "V"), [(3, 4, 5), (1, 1, 2)])
def test_time_softmax_with_loss(draw, rng, dtype, scale, one_hot, N, T, V):
    def expression(xs, ts):
        return cross_entropy(xs.flatten(0, 1), ts.flatten(0, 1))

    ts = targets(rng.integers(V, size=(N, T)), V, one_hot)
    check_layer(TimeSoftmaxWithLoss(), expression, scale * draw(N, T, V), ts, zero_ok=N == 1)


@both_dtypes
@pytest.mark.parametrize("label", [-1, 2])
def test_time_softmax_with_loss_leaves_out_the_ignored(draw, rng, dtype, label):
    def expression(xs, ts):
        return cross_entropy(xs.flatten(0, 1), ts.flatten(), ignore_index=label)

    ts = rng.integers(5, size=(3, 6))
    ts[:, 4:], ts[0] = label, label
    layer = TimeSoftmaxWithLoss()
    layer.ignore_label = label
    check_layer(layer, expression, draw(3, 6, 5), ts)
    assert not layer.backward()[ts == label].any()


@both_dtypes
@pytest.mark.parametrize("scale", [1, 30])
@pytest.mark.parametrize("label", [-1, 2])
@pytest.mark.parametrize("e", [0.1, 0.5])
def test_label_smoothing(draw, rng, dtype, scale, label, e):
    def expression(xs, ts):
        return cross_entropy(xs.flatten(0, -2), ts.flatten(), ignore_index=label, label_smoothing=e)

    xs, ts = scale * draw(3, 6, 5), rng.integers(5, size=(3, 6))
    ts[:, 4:], ts[0] = label, label
    layer = TimeSoftmaxWithLoss(label_smoothing=e)
    layer.ignore_label = label
    check_layer(layer, expression, xs, ts)
    assert not layer.backward()[ts == label].any()
    label = -1
    check_layer(SoftmaxWithLoss(e), expression, xs[1], rng.integers(5, size=6))


@both_dtypes
@pytest.mark.parametrize("layer", [Dropout, TimeDropout])
@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.9])
def test_dropout_with_the_same_mask(draw, dtype, layer, ratio):
    x = draw(3, 5, 4)
    mask = torch.tensor(np.random.default_rng(7).uniform(size=x.shape) < 1 - ratio)
    assert 0 < mask.sum() < mask.numel()
    check_layer(layer(ratio, rng=7), lambda x: x * mask / (1 - ratio), x)

    still = layer(ratio, rng=7)
    still.train_flg = False
    check_layer(still, lambda x: F.dropout(x, ratio, training=False), x)
