"""Functions and layers without time: values worked out by hand, extremes, errors."""

import copy
import pickle

import numpy as np
import pytest

from common.base_model import walk
from common.functions import cross_entropy_error, relu, sigmoid, softmax
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
    cast,
)
from common.time_layers import TimeDropout

# --- functions ---------------------------------------------------------------------------------------------


def test_sigmoid_by_hand_and_at_the_ends():
    np.testing.assert_allclose(sigmoid(np.array([0.0, np.log(3), -np.log(3)])), [0.5, 0.75, 0.25])
    np.testing.assert_array_equal(sigmoid(np.array([1e4, -1e4])), [1, 0])
    assert 0 < sigmoid(np.array([-700.0]))[0] < 1e-300  # exact far below where 1 - sigmoid(x) is 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_keeps_its_digits_everywhere(dtype):
    x = np.concatenate([s * np.geomspace(1e-7, 20, 2000) for s in (1, -1)]).astype(dtype)
    exact = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    assert np.abs(sigmoid(x) / exact - 1).max() < 4 * np.finfo(dtype).eps


def test_sigmoid_of_integers_and_lists():
    np.testing.assert_array_equal(sigmoid([0, 1000]), [0.5, 1])
    assert sigmoid(0) == 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_keep_the_dtype(dtype):
    x = np.array([[-2.0, 0.0, 3.0]], dtype)
    assert sigmoid(x).dtype == relu(x).dtype == softmax(x).dtype == dtype


def test_relu():
    np.testing.assert_array_equal(relu(np.array([[-1.5, 0.0, 2.0]])), [[0, 0, 2]])


def test_softmax_by_hand_on_any_rank():
    row = np.log(np.array([1.0, 2.0, 5.0]))
    expected = np.array([1, 2, 5]) / 8
    np.testing.assert_allclose(softmax(row), expected)
    np.testing.assert_allclose(softmax(np.stack([row, row + 3])), [expected, expected])
    np.testing.assert_allclose(softmax(np.tile(row, (2, 3, 4, 1))), np.tile(expected, (2, 3, 4, 1)))


def test_softmax_of_integers_and_lists():
    np.testing.assert_allclose(softmax([0, 0]), [0.5, 0.5])
    np.testing.assert_allclose(softmax(np.array([[3, 3, 3]])), [[1 / 3] * 3])


def test_softmax_into_an_array_the_scores_themselves_say():
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    expected, out = softmax(x), np.empty_like(x)
    for given in (out, x):
        assert softmax(x.copy() if given is out else x, out=given) is given
        np.testing.assert_array_equal(given, expected)
    with pytest.raises(TypeError):
        softmax(x, out=np.empty(x.shape, int))


def test_softmax_of_extreme_scores():
    np.testing.assert_array_equal(softmax(np.array([1e30, -1e30, 0])), [1, 0, 0])
    np.testing.assert_array_equal(softmax(np.array([-np.inf, 0, 0])), [0, 0.5, 0.5])
    np.testing.assert_array_equal(softmax(np.full((1, 4), 1e38, np.float32)), [[0.25] * 4])


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_softmax_needs_scores(shape):
    with pytest.raises(ValueError, match=r"at least one score.*got shape \("):
        softmax(np.zeros(shape))


def test_cross_entropy_by_hand():
    y = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
    expected = (np.log(2) - np.log(0.75)) / 2
    assert cross_entropy_error(y, np.array([0, 2])) == pytest.approx(expected, rel=1e-6)
    assert cross_entropy_error(y, np.array([[1, 0, 0], [0, 0, 1]])) == pytest.approx(expected, rel=1e-6)
    assert cross_entropy_error(y[0], 1) == pytest.approx(np.log(4), rel=1e-6)
    assert cross_entropy_error(y[0], np.array([0, 1, 0])) == pytest.approx(np.log(4), rel=1e-6)
    assert np.isfinite(cross_entropy_error(np.array([[1.0, 0.0]]), np.array([1])))


def test_cross_entropy_names_the_shapes():
    with pytest.raises(ValueError, match=r"\(2, 3\) and targets \(3,\)"):
        cross_entropy_error(np.full((2, 3), 1 / 3), np.array([0, 1, 2]))


def test_cross_entropy_refuses_targets_that_are_none_and_an_empty_batch():
    for bad in (-1, 3):
        with pytest.raises(ValueError, match=rf"a target outside the 3 classes: \[0, {bad}\]"):
            cross_entropy_error(np.full((2, 3), 1 / 3), np.array([0, bad]))
    with pytest.raises(ValueError, match=r"\(0, 3\) and targets \(0,\)"):
        cross_entropy_error(np.ones((0, 3)), np.zeros(0, int))


# --- layers ------------------------------------------------------------------------------------------------


def test_affine_and_matmul_by_hand():
    W, b = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([10.0, 20.0, 30.0])
    x, dout = np.array([[1.0, 0.0], [2.0, -1.0]]), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 2.0]])
    affine, matmul = Affine(W, b), MatMul(W)
    np.testing.assert_array_equal(matmul.forward(x), [[1, 2, 3], [-2, -1, 0]])
    np.testing.assert_array_equal(affine.forward(x), [[11, 22, 33], [8, 19, 30]])
    for layer in (affine, matmul):
        np.testing.assert_array_equal(layer.backward(dout), [[1, 4], [8, 17]])
        np.testing.assert_array_equal(layer.grads[0], [[1, 2, 4], [0, -1, -2]])
    np.testing.assert_array_equal(affine.grads[1], [1, 1, 2])


@pytest.mark.parametrize("layer", [MatMul(np.ones((3, 2))), Affine(np.ones((3, 2)), np.ones(2))])
@pytest.mark.parametrize("shape", [(4, 2), (), (2, 3, 4)])
def test_a_product_that_does_not_fit_names_layer_and_shapes(layer, shape):
    with pytest.raises(ValueError, match=rf"{type(layer).__name__}: x \({str(shape)[1:-1]}\) .*\(3, 2\).*3 columns"):
        layer.forward(np.ones(shape))


def test_cast_copies_only_what_has_another_dtype():
    x, y = np.ones(3, np.float32), np.ones(3)
    one, two = cast(np.float32, x, y)
    assert one is x
    assert two.dtype == np.float32


def test_an_empty_batch_is_no_error_in_a_product():
    layer = Affine(np.ones((3, 2)), np.ones(2))
    assert layer.forward(np.ones((0, 3))).shape == (0, 2)
    assert layer.backward(np.ones((0, 2))).shape == (0, 3)
    np.testing.assert_array_equal(layer.grads[0], np.zeros((3, 2)))


def test_sigmoid_layer_by_hand():
    layer = Sigmoid()
    np.testing.assert_allclose(layer.forward(np.array([0.0, np.log(3)])), [0.5, 0.75])
    np.testing.assert_allclose(layer.backward(np.array([1.0, 2.0])), [0.25, 0.375])


def test_tanh_layer_by_hand():
    layer = Tanh()
    np.testing.assert_allclose(layer.forward(np.array([0.0, np.log(2)])), [0, 0.6])
    np.testing.assert_allclose(layer.backward(np.array([1.0, 2.0])), [1, 1.28])


def test_relu_layer_by_hand():
    layer = Relu()
    np.testing.assert_array_equal(layer.forward(np.array([-1.0, 0.0, 2.0])), [0, 0, 2])
    np.testing.assert_array_equal(layer.backward(np.array([3.0, 4.0, 5.0])), [0, 0, 5])
    assert np.isnan(layer.forward(np.array([np.nan])))


def test_layer_norm_by_hand():
    layer = LayerNorm(np.array([1.0, 2.0]), np.array([10.0, 20.0]), eps=0)
    np.testing.assert_array_equal(layer.forward(np.array([[3.0, 7.0], [5.0, 1.0]])), [[9, 22], [11, 18]])
    # two numbers become -1 and 1 whatever they are, so nothing depends on x
    np.testing.assert_array_equal(layer.backward(np.array([[1.0, 2.0], [3.0, 4.0]])), np.zeros((2, 2)))
    np.testing.assert_array_equal(layer.grads[0], [2, -2])
    np.testing.assert_array_equal(layer.grads[1], [4, 6])


def test_layer_norm_of_numbers_that_are_all_alike_is_beta():
    layer = LayerNorm(np.ones(3), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(layer.forward(np.full((2, 3), 1e8)), [[1, 2, 3]] * 2)
    assert layer.eps == 1e-5
    assert np.isfinite(layer.backward(np.ones((2, 3)))).all()


def test_layer_norm_of_large_numbers_keeps_their_differences():
    x = np.array([[0.0, 1.0, 2.0, 5.0]])
    layer = LayerNorm(np.ones(4), np.zeros(4))
    np.testing.assert_allclose(layer.forward(x + 1e9), layer.forward(x), rtol=1e-6)


def test_layer_norm_refuses_what_does_not_fit():
    for gamma, beta in ((3, 2), ((2, 2), (2, 2)), (0, 0)):
        with pytest.raises(ValueError, match=r"LayerNorm: gamma \(.*\) and beta \(.*\) must both be \(D,\)"):
            LayerNorm(np.ones(gamma), np.ones(beta))
    for shape in ((2, 4), (2, 3, 1), ()):
        with pytest.raises(ValueError, match=rf"x \({str(shape)[1:-1]}\) does not fit gamma \(3,\): x needs 3 columns"):
            LayerNorm(np.ones(3), np.ones(3)).forward(np.ones(shape))


def test_residual_adds_its_input():
    layer = Residual(Affine(np.array([[2.0]]), np.array([1.0])))
    np.testing.assert_array_equal(layer.forward(np.array([[3.0]])), [[10]])
    np.testing.assert_array_equal(layer.backward(np.array([[1.0]])), [[3]])
    assert layer.param_names == ["layer.W", "layer.b"]
    np.testing.assert_array_equal(layer.grads[0], [[3]])


def test_residual_needs_a_layer_that_keeps_the_shape():
    with pytest.raises(ValueError, match=r"Residual: Affine made \(4, 2\) of x \(4, 3\)"):
        Residual(Affine(np.ones((3, 2)), np.ones(2))).forward(np.ones((4, 3)))


def test_parameters_are_named_as_they_are_handed_in():
    W, b = np.ones((3, 3)), np.ones(3)
    for layer, names in (
        (MatMul(W), ["W"]),
        (Affine(W, b), ["W", "b"]),
        (Embedding(W), ["W"]),
        (LayerNorm(b, b + 1), ["gamma", "beta"]),
    ):
        assert [name for name, _, _ in walk(layer)] == names


def test_softmax_layer_by_hand():
    layer = Softmax()
    np.testing.assert_allclose(layer.forward(np.log(np.array([[1.0, 3.0]]))), [[0.25, 0.75]])
    np.testing.assert_allclose(layer.backward(np.array([[1.0, 0.0]])), [[0.1875, -0.1875]])


def test_softmax_with_loss_by_hand():
    layer, x = SoftmaxWithLoss(), np.log(np.array([[1.0, 3.0], [1.0, 1.0]]))
    for t in (np.array([0, 1]), np.array([[1, 0], [0, 1]]), [0, 1], np.array([[0], [1]])):
        assert layer.forward(x, t) == pytest.approx((np.log(4) + np.log(2)) / 2)
        np.testing.assert_allclose(layer.backward(), [[-0.375, 0.375], [0.25, -0.25]])
        np.testing.assert_allclose(layer.backward(2), [[-0.75, 0.75], [0.5, -0.5]])


def test_softmax_with_loss_of_scores_too_large_for_exp():
    layer = SoftmaxWithLoss()
    assert layer.forward(np.array([[1e5, 0.0]]), np.array([1])) == 1e5
    np.testing.assert_array_equal(layer.backward(), [[1, -1]])
    assert layer.forward(np.array([[1e5, 0.0], [0.0, 0.0]]), np.array([0, 1])) == pytest.approx(np.log(2) / 2)
    np.testing.assert_array_equal(layer.backward(), [[0, 0], [0.25, -0.25]])


def test_softmax_with_loss_of_a_single_class():
    layer = SoftmaxWithLoss()
    for t in (np.zeros((3, 1), int), np.ones((3, 1), int), np.zeros(3, int)):  # ids, one-hot rows, ids
        assert layer.forward(np.ones((3, 1)), t) == 0
        np.testing.assert_array_equal(layer.backward(), np.zeros((3, 1)))


def test_softmax_with_loss_refuses_what_does_not_fit():
    layer = SoftmaxWithLoss()
    with pytest.raises(ValueError, match=r"scores \(2, 3\).*got \(3,\)"):
        layer.forward(np.ones((2, 3)), np.array([0, 1, 2]))
    with pytest.raises(ValueError, match=r"scores \(2, 3, 4\)"):
        layer.forward(np.ones((2, 3, 4)), np.array([0, 1]))
    for bad in (-1, 3):
        with pytest.raises(ValueError, match=f"target id {bad} .* 3 classes"):
            layer.forward(np.ones((2, 3)), np.array([0, bad]))


def test_the_losses_count_their_targets():
    layer, binary = SoftmaxWithLoss(), SigmoidWithLoss()
    assert layer.count == binary.count == 0
    for N in (3, 1):
        layer.forward(np.ones((N, 2)), np.zeros(N, int))
        binary.forward(np.ones(N), np.zeros(N, int))
        assert layer.count == binary.count == N


def test_the_losses_refuse_an_empty_batch():
    for shape in ((0, 3), (2, 0)):
        with pytest.raises(ValueError, match=rf"SoftmaxWithLoss: there are no scores .* \({shape[0]}, "):
            SoftmaxWithLoss().forward(np.ones(shape), np.zeros(shape[0], int))
    with pytest.raises(ValueError, match=r"SigmoidWithLoss: scores \(0,\) and targets \(0,\)"):
        SigmoidWithLoss().forward(np.ones(0), np.ones(0))
    with pytest.raises(ValueError, match=r"SigmoidWithLoss: scores \(3,\) and targets \(2,\)"):
        SigmoidWithLoss().forward(np.ones(3), np.ones(2))
    with pytest.raises(TypeError, match=r"SoftmaxWithLoss: targets are integer ids or one-hot, got \(2,\) of float64"):
        SoftmaxWithLoss().forward(np.ones((2, 3)), np.array([0.5, 1]))


def test_the_gradient_of_a_confident_answer_keeps_its_digits():
    """y - 1 would be 0 in float32 for scores above 17."""
    x = np.array([20, 20, -20, -20], np.float32)
    layer = SigmoidWithLoss()
    layer.forward(x, np.array([1, 0, 1, 0]))
    small = np.exp(-20.0)
    np.testing.assert_allclose(layer.backward(4), [-small, 1, -1, small], rtol=1e-6)


def test_sigmoid_with_loss_of_targets_between_0_and_1():
    layer = SigmoidWithLoss()
    assert layer.forward(np.zeros(1), np.array([0.25])) == pytest.approx(np.log(2))
    np.testing.assert_allclose(layer.backward(), [0.25])


def test_sigmoid_with_loss_by_hand():
    layer, x = SigmoidWithLoss(), np.array([np.log(3), np.log(3)])
    assert layer.forward(x, np.array([1, 0])) == pytest.approx((np.log(4 / 3) + np.log(4)) / 2)
    np.testing.assert_allclose(layer.backward(), [-0.125, 0.375])
    np.testing.assert_allclose(layer.backward(4), [-0.5, 1.5])
    assert layer.forward(x.reshape(2, 1), [1, 0]) == pytest.approx((np.log(4 / 3) + np.log(4)) / 2)


def test_sigmoid_with_loss_of_scores_too_large_for_exp():
    layer = SigmoidWithLoss()
    assert layer.forward(np.array([1e5, -1e5]), np.array([0, 0])) == 5e4
    np.testing.assert_array_equal(layer.backward(), [0.5, 0])


@pytest.mark.parametrize("layer_class", [Dropout, TimeDropout])
def test_dropout_drops_a_share_and_keeps_the_mean(layer_class):
    layer = layer_class(0.25, rng=4)
    y = layer.forward(np.ones((100, 10, 20)))
    assert set(np.unique(y)) == {0, 1 / 0.75}
    assert np.mean(y == 0) == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(layer.backward(np.full(y.shape, 3.0)), 3 * y)
    assert len({row.tobytes() for row in y[:, 0]}) == 100  # no two rows alike


@pytest.mark.parametrize("layer_class", [Dropout, TimeDropout])
def test_dropout_off_passes_everything_through(layer_class):
    x = np.arange(6.0).reshape(1, 2, 3)
    off, none = layer_class(0.5), layer_class(0)
    off.train_flg = False
    for layer in (off, none):
        np.testing.assert_array_equal(layer.forward(x), x)
        np.testing.assert_array_equal(layer.backward(2 * x), 2 * x)


def test_dropout_switched_off_after_training_forgets_what_it_dropped():
    layer, x = Dropout(0.9, rng=0), np.ones((5, 5))
    layer.forward(x)
    layer.train_flg = False
    np.testing.assert_array_equal(layer.forward(x), x)
    np.testing.assert_array_equal(layer.backward(x), x)


def test_dropout_draws_from_where_it_is_told_to():
    x = np.ones((4, 5))
    np.testing.assert_array_equal(Dropout(rng=7).forward(x), Dropout(rng=np.random.default_rng(7)).forward(x))
    np.random.seed(3)
    first = Dropout().forward(x)
    np.random.seed(3)
    np.testing.assert_array_equal(Dropout().forward(x), first)
    assert 0 < (Dropout(rng=1).forward(np.ones(1000)) == 0).mean() < 1  # the default share: one half
    assert Dropout().dropout_ratio == 0.5
    layer = Dropout(rng=2)
    assert (layer.forward(x) != layer.forward(x)).any()  # new at every call


def test_dropout_without_a_generator_of_its_own_can_be_copied():
    layer, x = Dropout(), np.ones((4, 5))
    assert layer.rng is None
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.random.seed(3)
        expected = layer.forward(x)
        np.random.seed(3)
        np.testing.assert_array_equal(other.forward(x), expected)


def test_dropout_that_drops_nothing_draws_nothing():
    rng = np.random.default_rng(3)
    Dropout(0, rng).forward(np.ones((4, 5)))
    off = Dropout(0.5, rng)
    off.train_flg = False
    off.forward(np.ones((4, 5)))
    assert rng.uniform() == np.random.default_rng(3).uniform()


@pytest.mark.parametrize("ratio", [-0.1, 1, 1.5])
def test_dropout_refuses_ratios_that_are_none(ratio):
    with pytest.raises(ValueError, match=rf"\[0, 1\), got {ratio}"):
        Dropout(ratio)


def test_embedding_picks_rows_and_adds_up_what_comes_back():
    layer = Embedding(np.arange(8.0).reshape(4, 2))
    np.testing.assert_array_equal(layer.forward(np.array([[3, 1], [3, 3]])), [[[6, 7], [2, 3]], [[6, 7], [6, 7]]])
    assert layer.backward(np.array([[[1.0, 2.0], [10.0, 20.0]], [[3.0, 4.0], [5.0, 6.0]]])) is None
    np.testing.assert_array_equal(layer.grads[0], [[0, 0], [10, 20], [0, 0], [9, 12]])


def test_embedding_takes_lists():
    layer = Embedding(np.arange(4.0)[:, None])
    np.testing.assert_array_equal(layer.forward([2, 0])[:, 0], [2, 0])


def test_embedding_of_nothing():
    layer = Embedding(np.ones((4, 2)))
    assert layer.forward(np.zeros((0, 3), int)).shape == (0, 3, 2)
    layer.grads[0][...] = 5
    layer.backward(np.zeros((0, 3, 2)))
    np.testing.assert_array_equal(layer.grads[0], np.zeros((4, 2)))


def test_embedding_remembers_the_ids_and_not_the_array():
    layer, ids = Embedding(np.ones((4, 1))), np.array([2, 2])
    layer.forward(ids)
    ids[...] = 0
    layer.backward(np.ones((2, 1)))
    np.testing.assert_array_equal(layer.grads[0][:, 0], [0, 0, 2, 0])


def test_embedding_refuses_ids_that_are_none():
    layer = Embedding(np.ones((4, 2)))
    for bad in (-1, 4, 99):
        with pytest.raises(IndexError, match=f"Embedding: id {bad} is outside the vocabulary of 4"):
            layer.forward(np.array([[0, 3], [bad, 1]]))
    for bad in (np.array([1.0]), np.array([True])):
        with pytest.raises(TypeError, match=f"integer ids, got an array of {bad.dtype}"):
            layer.forward(bad)


def test_embedding_takes_small_and_unsigned_integers():
    layer = Embedding(np.arange(4.0)[:, None])
    for dtype in (np.uint8, np.int8, np.int32):
        np.testing.assert_array_equal(layer.forward(np.array([3, 0], dtype))[:, 0], [3, 0])
        layer.backward(np.ones((2, 1)))
        np.testing.assert_array_equal(layer.grads[0][:, 0], [1, 0, 0, 1])
