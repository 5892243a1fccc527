"""The parts of the Neural Turing Machine: numerical gradients, definitions, properties, numbers at the edge, errors."""

import numpy as np
import pytest

from ch08.ntm_layers import (
    Add,
    Addressing,
    CircularShift,
    ContentAddressing,
    CosineSimilarity,
    Erase,
    Interpolation,
    Read,
    Sharpening,
    Softplus,
    TimeSigmoidWithLoss,
    outer,
)
from common.gradient_check import gradient_check, numerical_gradient
from common.layers import SigmoidWithLoss

# N, M (None: one head, without an axis), R, W, S
SIZES = [(2, None, 4, 3, 3), (2, 3, 5, 2, 5), (1, 1, 3, 1, 3), (3, 2, 1, 4, 1), (1, None, 3, 2, 3), (2, None, 2, 2, 5)]
every_size = pytest.mark.parametrize("sizes", SIZES, ids=str)


def close(got, expected, **tolerance):
    np.testing.assert_allclose(got, expected, **{"rtol": 1e-10, "atol": 1e-12} | tolerance)


class Problem:
    """Random arguments of the layers."""

    def __init__(self, sizes, seed=4, dtype=np.float64):
        self.rng, self.dtype = np.random.default_rng(seed), dtype
        self.N, M, self.R, self.W, self.S = sizes
        self.heads = () if M is None else (M,)

    def normal(self, *shape):
        return self.rng.standard_normal(shape).astype(self.dtype)

    def number(self, low=0.0):
        return (low + self.rng.random((self.N, *self.heads))).astype(self.dtype)

    def weights(self, size=None):
        w = self.rng.random((self.N, *self.heads, size or self.R)) + 0.05
        return (w / w.sum(axis=-1, keepdims=True)).astype(self.dtype)

    def memory(self):
        return self.normal(self.N, self.R, self.W)

    def key(self):
        return self.normal(self.N, *self.heads, self.W)

    def addressing(self):
        """The arguments of ``Addressing``."""
        numbers = self.number(0.5), self.number(), self.weights(self.S), self.number(1.1)
        return self.memory(), self.weights(), self.key(), *numbers


def one_hot(R, *rows):
    return np.eye(R)[list(rows)]


# --- gradients -------------------------------------------------------------------------------------------------


@every_size
def test_every_gradient_of_finding_rows_is_the_numerical_one(sizes):
    p = Problem(sizes)
    eps = 0.1  # where lengths are near the root of eps, its share in the gradient is largest
    gradient_check(CosineSimilarity(eps), p.memory(), p.key())
    gradient_check(ContentAddressing(eps), p.memory(), p.key(), p.number())
    gradient_check(Interpolation(), p.weights(), p.weights(), p.number())
    gradient_check(CircularShift(), p.weights(), p.weights(p.S))
    gradient_check(Sharpening(), p.weights(), p.number(1.0))
    gradient_check(Addressing(eps), *p.addressing())


@every_size
def test_every_gradient_of_reading_and_writing_is_the_numerical_one(sizes):
    p = Problem(sizes)
    gradient_check(Read(), p.memory(), p.weights())
    gradient_check(Softplus(), 3 * p.memory())
    p.heads = ()
    gradient_check(Erase(), p.memory(), p.weights(), p.rng.random((p.N, p.W)))
    gradient_check(Add(), p.memory(), p.weights(), p.key())


@pytest.mark.parametrize("masked", [False, True])
def test_every_gradient_of_the_loss_is_the_numerical_one(rng, masked):
    x, t = 3 * rng.standard_normal((3, 4, 2)), rng.integers(0, 2, (3, 4, 2))
    mask = [np.array([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1]], bool)] if masked else []
    gradient_check(TimeSigmoidWithLoss(), x, t, *mask)


@every_size
def test_gradients_where_memory_and_key_are_zero(sizes):
    """The slope is large there, 1 / sqrt(eps), and right."""
    p = Problem(sizes)
    for eps in (1.0, 1e-4):
        for memory, key in ((0 * p.memory(), p.key()), (p.memory(), 0 * p.key()), (0 * p.memory(), 0 * p.key())):
            layer = CosineSimilarity(eps)
            s = layer.forward(memory, key)
            np.testing.assert_array_equal(s, 0)
            ds = p.normal(*s.shape)
            for got, x in zip(layer.backward(ds), (memory, key), strict=True):
                step = 0.01 * eps**0.5
                expected = numerical_gradient(lambda layer=layer, m=memory, k=key: layer.forward(m, k), x, ds, step)
                close(got, expected, rtol=1e-6, atol=1e-6)
            gradient_check(ContentAddressing(1.0), memory, key, p.number())


@pytest.mark.parametrize("gamma", [1.5, 3.0, 20.0])
def test_gradients_of_sharpening_at_weights_of_zero(gamma):
    """w^gamma log w is 0 times infinity there; all the same every gradient is a number, and the right one."""
    w = np.array([[0.5, 0.0, 0.3, 0.2, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]])
    gammas, dy = np.full(2, gamma), np.random.default_rng(1).standard_normal((2, 5))
    layer = Sharpening()
    y = layer.forward(w, gammas)
    dw, dgamma = layer.backward(dy)
    assert (y[w == 0] == 0).all()
    assert (dw[w == 0] == 0).all()
    expected = numerical_gradient(lambda: layer.forward(w, gammas), gammas, dy)
    close(dgamma, expected, rtol=1e-7, atol=1e-10)
    above = w[:1, w[0] > 0]  # the same without the rows of weight 0

    def without():
        return Sharpening().forward(above, gammas[:1])

    close(dw[:1, w[0] > 0], numerical_gradient(without, above, dy[:1, w[0] > 0]), rtol=1e-7, atol=1e-7)


# --- definitions -----------------------------------------------------------------------------------------------


def test_the_similarity_is_the_cosine_of_the_angle():
    memory = np.array([[[3.0, 0.0], [0.0, -2.0], [1.0, 1.0], [-5.0, 0.0], [0.0, 0.0]]])
    s = CosineSimilarity(1e-12).forward(memory, np.array([[2.0, 0.0]]))
    close(s, [[1, 0, 0.5**0.5, -1, 0]], atol=1e-9)


@every_size
def test_neither_the_length_of_the_key_nor_that_of_a_row_matters(sizes):
    p = Problem(sizes)
    memory, key, layer = p.memory(), p.key(), CosineSimilarity(1e-20)
    close(layer.forward(memory * (1 + p.rng.random((p.N, p.R, 1))), 7 * key), layer.forward(memory, key))


def test_a_strength_turns_similarity_into_attention():
    p = Problem(SIZES[0])
    memory = p.memory()
    key = memory[:, 2].copy()
    layer = ContentAddressing()
    weak, strong, huge = (layer.forward(memory, key, np.full(2, b)) for b in (0.0, 5.0, 1e6))
    close(weak, 0.25)
    assert (strong[:, 2] > weak[:, 2]).all()
    close(huge, one_hot(4, 2, 2), atol=1e-4)


def test_the_gate_chooses():
    p = Problem(SIZES[0])
    content, previous = p.weights(), p.weights()
    got = Interpolation().forward(content, previous, np.array([1.0, 0.0]))
    close(got, np.stack((content[0], previous[1])))


@pytest.mark.parametrize("R", [3, 5])
def test_a_shift_moves_every_weight_and_wraps(R):
    layer, w = CircularShift(), np.eye(R)
    for j, step in enumerate((-1, 0, 1)):
        got = layer.forward(w, one_hot(3, *[j] * R))
        np.testing.assert_array_equal(got, np.roll(np.eye(R), step, axis=1))  # row i goes to i + step
    close(layer.forward(one_hot(R, R - 1), np.array([[0.1, 0.2, 0.7]]))[0, [0, R - 1, R - 2]], [0.7, 0.2, 0.1])


@every_size
def test_a_shift_is_the_circular_convolution_of_the_paper(sizes):
    p = Problem(sizes)
    w, shift = p.weights(), p.weights(p.S)
    got, half = CircularShift().forward(w, shift), p.S // 2
    for i in range(p.R):
        close(got[..., i], sum(shift[..., j] * w[..., (i - (j - half)) % p.R] for j in range(p.S)))


@every_size
def test_weightings_stay_weightings(sizes):
    p = Problem(sizes)
    memory, previous, key, strength, gate, shift, gamma = p.addressing()
    for w in (
        ContentAddressing().forward(memory, key, strength),
        Interpolation().forward(p.weights(), previous, gate),
        CircularShift().forward(previous, shift),
        Sharpening().forward(previous, gamma),
        Addressing().forward(memory, previous, key, strength, gate, shift, gamma),
    ):
        close(w.sum(axis=-1), 1)
        assert (w >= 0).all()


@every_size
def test_sharpening_keeps_the_order_and_favors_the_largest(sizes):
    p = Problem(sizes)
    w = p.weights()
    layer = Sharpening()
    close(layer.forward(w, p.number() * 0 + 1), w)
    largest = w.max(axis=-1)
    for gamma in (1.5, 4.0, 30.0):
        y = layer.forward(w, p.number() * 0 + gamma)
        close(y, w**gamma / (w**gamma).sum(axis=-1, keepdims=True), atol=1e-150)
        np.testing.assert_array_equal(np.argsort(y, axis=-1), np.argsort(w, axis=-1))
        assert (y.max(axis=-1) >= largest - 1e-12).all()
        largest = y.max(axis=-1)


def test_reading_a_single_row_gives_that_row():
    p = Problem((2, None, 4, 3, 3))
    memory = p.memory()
    np.testing.assert_array_equal(Read().forward(memory, one_hot(4, 1, 3)), memory[[0, 1], [1, 3]])


def test_writing_replaces_a_row_and_leaves_the_others_alone():
    p = Problem((2, None, 4, 3, 3))
    memory, new, w = p.memory(), p.key(), one_hot(4, 1, 3)
    erased = Erase().forward(memory, w, np.ones((2, 3)))
    written = Add().forward(erased, w, new)
    expected = memory.copy()
    expected[[0, 1], [1, 3]] = 0
    np.testing.assert_array_equal(erased, expected)
    expected[[0, 1], [1, 3]] = new
    np.testing.assert_array_equal(written, expected)
    np.testing.assert_array_equal(Erase().forward(memory, w, np.zeros((2, 3))), memory)


def test_several_heads_erase_and_add_in_any_order():
    p = Problem((2, None, 4, 3, 3))
    memory, w, e = p.memory(), [p.weights() for _ in range(2)], p.rng.random((2, 2, 3))

    def after(layer, order, start):
        for k in order:
            start = layer.forward(start, w[k], e[k])
        return start

    for layer in (Erase(), Add()):
        close(after(layer, (0, 1), memory), after(layer, (1, 0), memory))


@every_size
def test_all_heads_at_once_are_the_heads_one_by_one(sizes):
    p = Problem(sizes)
    if not p.heads:
        return
    memory, *arguments = p.addressing()
    layer, single = Addressing(), Addressing()
    w = layer.forward(memory, *arguments)
    dw = p.normal(*w.shape)
    dmemory, *grads = layer.backward(dw)
    total = np.zeros_like(memory)
    for m in range(w.shape[1]):
        close(single.forward(memory, *(x[:, m] for x in arguments)), w[:, m])
        dm, *ds = single.backward(dw[:, m])
        total += dm
        for got, expected in zip(ds, grads, strict=True):
            close(got, expected[:, m])
    close(total, dmemory)


def test_the_order_in_which_a_memory_lies_does_not_matter():
    p = Problem((3, None, 5, 4, 3))
    memory, w, v = p.memory(), p.weights(), p.rng.random((3, 4))
    close(outer(w, v), w[:, :, None] * v[:, None])
    turned = np.ascontiguousarray(memory.swapaxes(1, 2)).swapaxes(1, 2)
    for layer, more in ((CosineSimilarity(), (v,)), (Read(), (w,)), (Erase(), (w, v)), (Add(), (w, v))):
        out = layer.forward(memory, *more)
        dout = p.normal(*out.shape)
        expected = layer.backward(dout)
        close(layer.forward(turned, *more), out)
        for got, want in zip(layer.backward(dout), expected, strict=True):
            close(got, want)


# --- numbers at the edge ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("strength", [0.0, 50.0, 1e4, 1e30])
@pytest.mark.parametrize("gamma", [1.0, 40.0, 1e4])
@pytest.mark.parametrize("kind", ["zero memory", "constant memory", "zero key", "huge", "one row", "tiny weights"])
def test_everything_stays_finite(dtype, strength, gamma, kind):
    p = Problem((2, 2, 6, 4, 3), dtype=dtype)
    memory, previous, key, _, gate, shift, _ = p.addressing()
    if kind == "zero memory":
        memory *= 0
    elif kind == "constant memory":
        memory[...] = 1e-6
    elif kind == "zero key":
        key *= 0
    elif kind == "huge":
        memory, key = 1e10 * memory, 1e10 * key
    elif kind == "one row":
        previous[...] = np.eye(6)[0]
        gate[...], shift[...] = 0, (0, 1, 0)
    else:
        previous[...] = np.finfo(dtype).tiny / 8
        previous[..., 3] = 1
        gate[...] = 0
    numbers = (np.full((2, 2), x, dtype) for x in (strength, gamma))
    layer, (strengths, gammas) = Addressing(), numbers
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        w = layer.forward(memory, previous, key, strengths, gate, shift, gammas)
        grads = layer.backward(p.normal(2, 2, 6))
    assert w.dtype == dtype
    close(w.sum(axis=-1), 1, rtol=1e-5)
    for grad in grads:
        assert grad.dtype == dtype
        assert np.isfinite(grad).all()


def test_sharpened_weights_are_never_denormal():
    w = np.logspace(0, -30, 20, dtype=np.float32)[None]
    for gamma in (1.0, 1.3, 2.0):
        y = Sharpening().forward(w / w.sum(), np.array([gamma], np.float32))
        assert (y[y > 0] > 1e-19).all()
        assert (y == 0).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softplus_and_the_loss_of_numbers_of_any_size(dtype):
    x = np.array([-1e30, -200, -1, 0, 1, 200, 1e30], dtype)
    layer = Softplus()
    with np.errstate(all="raise", under="ignore"):
        y = layer.forward(x)
        dx = layer.backward(np.ones_like(x))
    close(y, [0, 0, np.log1p(np.exp(-1)), np.log(2), 1 + np.log1p(np.exp(-1)), 200, 1e30], rtol=1e-6)
    close(dx, [0, 0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1, 1], rtol=1e-6, atol=1e-30)
    assert y.dtype == dx.dtype == dtype
    loss, t = TimeSigmoidWithLoss(), np.array([0, 0, 0, 1, 1, 1, 1]).reshape(1, 7, 1)
    assert np.isfinite(loss.forward(x.reshape(1, 7, 1), t))
    assert np.isfinite(loss.forward(x.reshape(1, 7, 1), 1 - t))
    assert np.isfinite(loss.backward()).all()


# --- the loss --------------------------------------------------------------------------------------------------


def test_the_loss_without_a_mask_is_that_of_sigmoid_with_loss(rng):
    x, t = 3 * rng.standard_normal((3, 4, 2)), rng.integers(0, 2, (3, 4, 2))
    layer, other = TimeSigmoidWithLoss(), SigmoidWithLoss()
    close(layer.forward(x, t), other.forward(x.reshape(-1), t.reshape(-1)))
    close(layer.backward(0.3).reshape(-1), other.backward(0.3))
    assert layer.count == other.count == 24


def test_steps_that_do_not_count_do_not_matter(rng):
    x, t, mask = rng.standard_normal((3, 4, 2)), rng.integers(0, 2, (3, 4, 2)), rng.random((3, 4)) < 0.5
    layer = TimeSigmoidWithLoss()
    loss = layer.forward(x, t, mask)
    assert layer.count == 2 * mask.sum()
    assert (layer.backward()[~mask] == 0).all()
    close(layer.forward(np.where(mask[..., None], x, 100.0), t, mask), loss)
    assert layer.forward(x, t, np.zeros((3, 4), bool)) == 0
    assert (layer.backward() == 0).all()


# --- errors ----------------------------------------------------------------------------------------------------

MEMORY, KEY, WEIGHTS = np.zeros((2, 4, 3)), np.zeros((2, 3)), np.full((2, 4), 0.25)


@pytest.mark.parametrize(
    ("layer", "arguments", "says"),
    [
        (CosineSimilarity(), (MEMORY[0], KEY), r"memory must be \(N, R, W\), each at least 1, got \(4, 3\)"),
        (CosineSimilarity(), (MEMORY, KEY[:, :2]), r"key is \(2, 2\), but it must be \(2, 3\) or \(2, M, 3\)"),
        (CosineSimilarity(), (MEMORY, KEY[:1]), r"key is \(1, 3\), but it must be \(2, 3\)"),
        (ContentAddressing(), (MEMORY, KEY, np.ones((2, 1))), r"strength is \(2, 1\), but it must be \(2,\)"),
        (Interpolation(), (WEIGHTS, WEIGHTS[:, :3], np.ones(2)), r"previous is \(2, 3\), but it must be \(2, 4\)"),
        (Interpolation(), (WEIGHTS, WEIGHTS, np.ones((2, 1))), r"gate is \(2, 1\), but it must be \(2,\)"),
        (CircularShift(), (WEIGHTS, np.ones((2, 2))), "for 4 rows the number of shifts must be odd, at most 9, got 2"),
        (CircularShift(), (WEIGHTS, np.ones((2, 11))), "must be odd, at most 9, got 11"),
        (CircularShift(), (WEIGHTS, np.ones((1, 3))), r"shift is \(1, 3\), but it must be \(2, 3\)"),
        (Sharpening(), (WEIGHTS, np.ones((2, 4))), r"gamma is \(2, 4\), but it must be \(2,\)"),
        (Erase(), (MEMORY, WEIGHTS[:, :3], KEY), r"w is \(2, 3\), but it must be \(2, 4\)"),
        (Erase(), (MEMORY, WEIGHTS, KEY[:, :2]), r"erase is \(2, 2\), but it must be \(2, 3\)"),
        (Add(), (MEMORY, WEIGHTS, KEY[:, :2]), r"add is \(2, 2\), but it must be \(2, 3\)"),
        (TimeSigmoidWithLoss(), (MEMORY[0], MEMORY[0]), r"logits must be \(N, T, B\), each at least 1, got \(4, 3\)"),
        (TimeSigmoidWithLoss(), (MEMORY, MEMORY[:, :2]), r"t is \(2, 2, 3\), but it must be \(2, 4, 3\)"),
        (TimeSigmoidWithLoss(), (MEMORY, MEMORY, WEIGHTS[:1] > 0), r"mask is \(1, 4\), but it must be \(2, 4\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(layer, arguments, says):
    with pytest.raises(ValueError, match=f"{type(layer).__name__}: .*{says}"):
        layer.forward(*arguments)


@pytest.mark.parametrize("eps", [0, -1e-3, float("nan")])
def test_eps_must_be_above_0(eps):
    with pytest.raises(ValueError, match="eps must be above 0"):
        CosineSimilarity(eps)
