"""First weights: the numbers that a generator gives, in the order of the arrays, and nothing else drawn."""

import numpy as np
import pytest

from common.init import init_affine, init_embedding, init_lstm
from common.time_layers import TimeAffine, TimeEmbedding, TimeLSTM


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_first_weights_are_the_next_numbers_of_the_generator(dtype):
    V, D, H = 5, 3, 4
    rng, expected = np.random.default_rng(7), np.random.default_rng(7)

    def drawn(shape, scale):
        return (scale * expected.standard_normal(shape)).astype(dtype)

    embed = init_embedding(V, D, dtype, rng)
    lstm = init_lstm(D, H, dtype, rng)
    affine = init_affine(H, V, dtype, rng)
    assert (type(embed), type(lstm), type(affine)) == (TimeEmbedding, TimeLSTM, TimeAffine)
    wanted = [
        drawn((V, D), 0.01),
        drawn((D, 4 * H), D**-0.5),
        drawn((H, 4 * H), H**-0.5),
        np.zeros(4 * H, dtype),
        drawn((H, V), H**-0.5),
        np.zeros(V, dtype),
    ]
    for got, array in zip(embed.params + lstm.params + affine.params, wanted, strict=True):
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, array)
    assert rng.standard_normal() == expected.standard_normal()


def test_an_lstm_keeps_its_state_only_if_told_to():
    assert not init_lstm(2, 3, np.float32, None).stateful
    assert init_lstm(2, 3, np.float32, None, stateful=True).stateful


def test_without_a_generator_numpys_global_state_decides():
    np.random.seed(5)
    one = init_affine(3, 2, np.float64, None).params[0]
    np.random.seed(5)
    np.testing.assert_array_equal(init_affine(3, 2, np.float64, None).params[0], one)
