"""Optimizers against their formulas written out for single numbers; clipping; evaluating one question."""

import math

import numpy as np
import pytest

from common import optimizer
from common.util import clip_grads, eval_seq2seq

NAMES = ["SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop", "Adam"]


def plain_path(name, p, gradients, lr):
    """The way of one number p along the gradients, from the formulas of the papers."""
    v = h = m = 0.0
    path = []
    for n, g in enumerate(gradients, start=1):
        if name == "SGD":
            p = p - lr * g
        elif name == "Momentum":
            v = 0.9 * v - lr * g
            p = p + v
        elif name == "Nesterov":
            v = 0.9 * v - lr * g
            p = p + 0.9 * v - lr * g
        elif name == "AdaGrad":
            h = h + g * g
            p = p - lr * g / (math.sqrt(h) + 1e-7)
        elif name == "RMSprop":
            h = 0.99 * h + 0.01 * g * g
            p = p - lr * g / (math.sqrt(h) + 1e-7)
        elif name == "Adam":
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g * g
            p = p - lr * math.sqrt(1 - 0.999**n) / (1 - 0.9**n) * m / (math.sqrt(v) + 1e-7)
        path.append(p)
    return path


def make_problem(dtype=np.float64, steps=6):
    rng = np.random.default_rng(1)
    shapes = [(3,), (2, 4), (3,)]
    params = [rng.standard_normal(s).astype(dtype) for s in shapes]
    grads = [[rng.standard_normal(s).astype(dtype) for s in shapes] for _ in range(steps)]
    return params, grads


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lr", [0.01, 0.3])
def test_update_follows_the_formula(name, lr):
    params, grads = make_problem()
    start = [p.copy() for p in params]
    steps = []
    opt = getattr(optimizer, name)(lr=lr)
    for g in grads:
        opt.update(params, g)
        steps.append([p.copy() for p in params])
    for k, p in enumerate(start):
        for index in np.ndindex(p.shape):
            expected = plain_path(name, p[index], [g[k][index] for g in grads], lr)
            np.testing.assert_allclose([s[k][index] for s in steps], expected, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_update_works_in_place_keeps_the_dtype_and_leaves_the_gradients(name):
    params, grads = make_problem(np.float32)
    arrays, kept = list(params), [[g.copy() for g in step] for step in grads]
    opt = getattr(optimizer, name)()
    for step in grads:
        for g in step:
            g.flags.writeable = False
        opt.lr = np.float64(0.01)  # as a schedule may set it
        opt.update(params, step)
    assert all(a is b for a, b in zip(arrays, params, strict=True))
    assert all(p.dtype == np.float32 for p in params)
    for step, old in zip(grads, kept, strict=True):
        for g, o in zip(step, old, strict=True):
            np.testing.assert_array_equal(g, o)


@pytest.mark.parametrize(
    ("name", "lr"),
    [("SGD", 0.01), ("Momentum", 0.01), ("Nesterov", 0.01), ("AdaGrad", 0.01), ("RMSprop", 0.01), ("Adam", 0.001)],
)
def test_default_learning_rates_are_those_of_the_book(name, lr):
    assert getattr(optimizer, name)().lr == lr
    assert getattr(optimizer, name)(0.5).lr == 0.5


def test_other_settings_count():
    params, grads = make_problem(steps=3)
    for opt, other in (
        (optimizer.Momentum(momentum=0.5), optimizer.Momentum()),
        (optimizer.Nesterov(momentum=0.5), optimizer.Nesterov()),
        (optimizer.RMSprop(decay_rate=0.5), optimizer.RMSprop()),
        (optimizer.Adam(beta1=0.5), optimizer.Adam()),
        (optimizer.Adam(beta2=0.5), optimizer.Adam()),
    ):
        one, two = [p.copy() for p in params], [p.copy() for p in params]
        for g in grads:
            opt.update(one, g)
            other.update(two, g)
        assert any((p != q).any() for p, q in zip(one, two, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_finds_the_bottom_of_a_bowl(name):
    x, lr = np.array([3.0, -2.0]), {"AdaGrad": 1.0, "Adam": 0.1, "RMSprop": 0.05}.get(name, 0.05)
    opt = getattr(optimizer, name)(lr=lr)
    for _ in range(400):
        opt.update([x], [2 * x * np.array([1.0, 5.0])])
    assert np.abs(x).max() < 0.06


@pytest.mark.parametrize("name", NAMES)
def test_a_state_that_was_saved_goes_on_exactly(name):
    params, grads = make_problem(np.float32, steps=8)
    one, two = [p.copy() for p in params], [p.copy() for p in params]
    opt = getattr(optimizer, name)(lr=0.05)
    for g in grads:
        opt.update(one, g)
    first = getattr(optimizer, name)(lr=0.05)
    for g in grads[:4]:
        first.update(two, g)
    state = first.state_dict()
    assert all(isinstance(key, str) and isinstance(value, np.ndarray) for key, value in state.items())
    kept = {key: value.copy() for key, value in state.items()}
    second = getattr(optimizer, name)()
    second.load_state_dict(state)
    for g in grads[4:]:
        second.update(two, g)
    for p, q in zip(one, two, strict=True):
        np.testing.assert_array_equal(p, q)
    assert second.lr == 0.05
    assert second.iter == 8
    for key, value in kept.items():
        np.testing.assert_array_equal(state[key], value)  # copies: training on does not change a saved state


def test_a_state_before_the_first_update():
    opt = optimizer.Adam(lr=0.5)
    other = optimizer.Adam()
    other.load_state_dict(opt.state_dict())
    params, grads = make_problem(steps=1)
    expected = [p.copy() for p in params]
    opt.update(expected, grads[0])
    other.update(params, grads[0])
    for p, q in zip(params, expected, strict=True):
        np.testing.assert_array_equal(p, q)


def test_the_state_of_another_optimizer_is_refused():
    params, grads = make_problem(steps=1)
    adam = optimizer.Adam()
    adam.update(params, grads[0])
    with pytest.raises(ValueError, match=r"no state of Momentum: m\.0"):
        optimizer.Momentum().load_state_dict(adam.state_dict())
    with pytest.raises(ValueError, match="no state of Adam: lr or iter is missing"):
        optimizer.Adam().load_state_dict({})


@pytest.mark.parametrize("name", NAMES)
def test_lists_that_do_not_fit(name):
    params, grads = make_problem(steps=1)
    opt = getattr(optimizer, name)()
    with pytest.raises(ValueError, match=f"{name}: 3 params but 2 grads"):
        opt.update(params, grads[0][:2])
    with pytest.raises(ValueError, match=rf"{name}: params\[1\] is \(2, 4\) but grads\[1\] is \(4, 2\)"):
        opt.update(params, [grads[0][0], grads[0][1].T, grads[0][2]])


@pytest.mark.parametrize("name", NAMES[1:])
def test_other_params_than_in_the_update_before(name):
    params, grads = make_problem(steps=1)
    opt = getattr(optimizer, name)()
    opt.update(params, grads[0])
    with pytest.raises(ValueError, match=f"{name}: the params are not those of the update before"):
        opt.update(params[:2], grads[0][:2])
    with pytest.raises(ValueError, match="make a new one"):
        opt.update(params[::-1][1:] + params[:1], grads[0][::-1][1:] + grads[0][:1])


# --- clip_grads --------------------------------------------------------------------------------------------


def test_gradients_below_the_limit_stay_as_they_are():
    grads = [np.array([3.0]), np.array([[4.0]])]
    assert clip_grads(grads, 5.1) == 5
    assert [g.item() for g in grads] == [3, 4]


def test_gradients_above_the_limit_are_scaled_together_and_in_place():
    grads = [np.array([3.0, 0.0]), np.array([[4.0]])]
    arrays = list(grads)
    assert clip_grads(grads, 2.5) == 5
    np.testing.assert_allclose(grads[0], [1.5, 0], rtol=1e-6)
    np.testing.assert_allclose(grads[1], [[2]], rtol=1e-6)
    assert all(a is b for a, b in zip(arrays, grads, strict=True))


def test_clipping_nothing_and_zeros():
    assert clip_grads([], 1.0) == 0
    grads = [np.zeros((2, 2), np.float32)]
    assert clip_grads(grads, 1.0) == 0
    np.testing.assert_array_equal(grads[0], 0)
    assert grads[0].dtype == np.float32


def test_clipping_arrays_that_are_not_contiguous():
    wide = np.ones((4, 6))
    clip_grads([wide[:, ::2].T], 1.0)
    assert np.sqrt((wide[:, ::2] ** 2).sum()) == pytest.approx(1, rel=1e-5)
    np.testing.assert_array_equal(wide[:, 1::2], 1)


# --- eval_seq2seq ------------------------------------------------------------------------------------------

ID_TO_CHAR = dict(enumerate("_abc "))


class Parrot:
    """Answers with what it was given, and writes down what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, None

    def generate(self, xs, start_id, sample_size):
        self.asked = (np.asarray(xs).tolist(), start_id, sample_size)
        return self.answer


@pytest.mark.parametrize(("answer", "expected"), [([1, 2, 4], 1), ([1, 2, 3], 0), ([2, 1, 4], 0)])
@pytest.mark.parametrize("shape", [(1, 4), (4,)])
def test_right_or_wrong(capsys, answer, expected, shape):
    model, question = Parrot(answer), np.array([[3, 2, 1, 1, 4]])
    correct = np.array([0, 1, 2, 4]).reshape(shape)
    assert eval_seq2seq(model, question, correct, ID_TO_CHAR) == expected
    assert model.asked == ([[3, 2, 1, 1, 4]], 0, 3)
    assert capsys.readouterr().out == ""


def test_ids_of_any_integer_kind():
    model = Parrot([np.int64(1), np.int32(2), np.array(4)])
    assert eval_seq2seq(model, np.array([[3]]), np.array([[0, 1, 2, 4]]), ID_TO_CHAR) == 1


@pytest.mark.parametrize(("is_reverse", "shown"), [(False, "cbaa "), (True, " aabc")])
def test_verbose_prints_question_truth_and_answer(capsys, is_reverse, shown):
    question, correct = np.array([[3, 2, 1, 1, 4]]), np.array([[0, 1, 2, 4]])
    eval_seq2seq(Parrot([1, 2, 4]), question, correct, ID_TO_CHAR, True, is_reverse)
    eval_seq2seq(Parrot([1, 3, 4]), question, correct, ID_TO_CHAR, verbose=True, is_reverse=is_reverse)
    right, wrong = capsys.readouterr().out.split("---\n")[:2]
    assert right.splitlines() == [f"Q {shown}", "T ab ", "☑ ab "]
    assert wrong.splitlines() == [f"Q {shown}", "T ab ", "☒ ac "]
