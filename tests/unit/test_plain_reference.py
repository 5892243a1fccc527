"""The plain implementation in tests/bench/plain.py: right by numerical gradients, equal to the library."""

import numpy as np
import pytest

from ch08.attention_layer import TimeAttention
from ch08.attention_seq2seq import AttentionSeq2seq
from common import optimizer, util
from tests.bench import plain

# N, T_enc, T_dec, V, D, H: N=1, one step, H=1 and T_enc != T_dec among them
SIZES = [(2, 4, 3, 7, 3, 5), (1, 1, 1, 3, 2, 1), (3, 2, 5, 6, 1, 4), (2, 5, 1, 4, 3, 1)]


def make_plain(V, D, H):
    """A float64 model whose weights are large enough for every gradient to matter."""
    rng = np.random.default_rng(3)
    model = plain.AttentionSeq2seq(V, D, H, dtype=np.float64, rng=rng)
    for param in model.params:
        param[...] = rng.standard_normal(param.shape) * 0.5
    return model


def make_batch(N, T_enc, T_dec, V):
    rng = np.random.default_rng(4)
    return rng.integers(0, V, (N, T_enc)), rng.integers(0, V, (N, T_dec + 1))


def make_states(N, T_enc, T_dec, H):
    rng = np.random.default_rng(5)
    return [rng.standard_normal((N, T, H)) for T in (T_enc, T_dec, T_dec)]


def make_library(V, D, H, weights):
    model = AttentionSeq2seq(V, D, H, dtype=np.float64)
    for param, weight in zip(model.params, weights, strict=True):
        param[...] = weight
    return model


def numerical_gradient(f, x, eps=1e-5):
    """Central differences of the number f() in every element of x."""
    grad = np.empty_like(x)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + eps
        above = f()
        x[index] = kept - eps
        below = f()
        x[index] = kept
        grad[index] = (above - below) / (2 * eps)
    return grad


def assert_close(got, expected, name, rtol=1e-6):
    """Relative to the largest element; differences below 1e-10 are the noise of central differences."""
    error = np.abs(got - expected).max()
    assert error <= max(rtol * np.abs(expected).max(), 1e-10), f"{name}: off by {error:.2e}"


@pytest.mark.parametrize("size", SIZES)
def test_every_gradient_of_the_model_is_the_numerical_one(size):
    N, T_enc, T_dec, V, D, H = size
    model = make_plain(V, D, H)
    xs, ts = make_batch(N, T_enc, T_dec, V)
    model.forward(xs, ts)
    model.backward()
    grads = [grad.copy() for grad in model.grads]
    for k, (param, grad) in enumerate(zip(model.params, grads, strict=True)):
        expected = numerical_gradient(lambda: model.forward(xs, ts), param)
        assert_close(grad, expected, f"{size} params[{k}] {param.shape}")


@pytest.mark.parametrize("size", SIZES)
def test_gradients_of_attention_inputs_are_the_numerical_ones(size):
    N, T_enc, T_dec, _, _, H = size
    hs_enc, hs_dec, dout = make_states(N, T_enc, T_dec, H)
    layer = plain.TimeAttention()
    layer.forward(hs_enc, hs_dec)
    dhs_enc, dhs_dec = layer.backward(dout)

    def f():
        return float((layer.forward(hs_enc, hs_dec) * dout).sum())

    assert_close(dhs_enc, numerical_gradient(f, hs_enc), f"{size} dhs_enc")
    assert_close(dhs_dec, numerical_gradient(f, hs_dec), f"{size} dhs_dec")


@pytest.mark.parametrize("size", SIZES)
def test_model_equals_the_library_forward_and_backward(size):
    N, T_enc, T_dec, V, D, H = size
    reference = make_plain(V, D, H)
    model = make_library(V, D, H, reference.params)
    xs, ts = make_batch(N, T_enc, T_dec, V)
    assert model.forward(xs, ts) == pytest.approx(reference.forward(xs, ts), rel=1e-12)
    model.backward()
    reference.backward()
    for name, grad, expected in zip(model.param_names, model.grads, reference.grads, strict=True):
        assert_close(grad, expected, f"{size} {name}", rtol=1e-11)


@pytest.mark.parametrize("size", SIZES)
def test_attention_equals_the_library_forward_and_backward(size):
    N, T_enc, T_dec, _, _, H = size
    hs_enc, hs_dec, dout = make_states(N, T_enc, T_dec, H)
    layer, reference = TimeAttention(), plain.TimeAttention()
    assert_close(layer.forward(hs_enc, hs_dec), reference.forward(hs_enc, hs_dec), "out", rtol=1e-12)
    for got, expected in zip(layer.attention_weights, reference.attention_weights, strict=True):
        assert_close(got, expected, "attention weights", rtol=1e-12)
    for name, got, expected in zip(("dhs_enc", "dhs_dec"), layer.backward(dout), reference.backward(dout), strict=True):
        assert_close(got, expected, f"{size} {name}", rtol=1e-11)


def test_training_goes_the_same_way_as_the_library():
    N, T_enc, T_dec, V, D, H = 4, 6, 3, 7, 3, 5
    reference = make_plain(V, D, H)
    model = make_library(V, D, H, reference.params)
    xs, ts = make_batch(N, T_enc, T_dec, V)
    adam, plain_adam = optimizer.Adam(lr=0.01), plain.Adam(lr=0.01)
    losses = []
    for _ in range(30):
        loss, expected = model.forward(xs, ts), reference.forward(xs, ts)
        losses.append(loss)
        assert loss == pytest.approx(expected, rel=1e-7)
        model.backward()
        reference.backward()
        util.clip_grads(model.grads, 0.5)
        plain.clip_grads(reference.grads, 0.5)
        adam.update(model.params, model.grads)
        plain_adam.update(reference.params, reference.grads)
    assert losses[-1] < 0.8 * losses[0]
    row = xs[:1]
    assert model.generate(row, 0, T_dec) == reference.generate(row, 0, T_dec)


def test_backward_twice_gives_the_same_gradients():
    model = make_plain(7, 3, 5)
    model.forward(*make_batch(2, 4, 3, 7))
    model.backward()
    first = [grad.copy() for grad in model.grads]
    model.backward()
    for grad, expected in zip(model.grads, first, strict=True):
        np.testing.assert_array_equal(grad, expected)


def test_clip_grads_leaves_small_gradients_alone():
    grads = [np.array([3.0]), np.array([[4.0]])]
    plain.clip_grads(grads, 6.0)
    assert [grad.item() for grad in grads] == [3.0, 4.0]
    plain.clip_grads(grads, 2.5)
    np.testing.assert_allclose([grad.item() for grad in grads], [1.5, 2.0], rtol=1e-6)
