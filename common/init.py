"""First weights: layers with small random parameters, drawn in the order in which they stand."""

from common.layers import LayerNorm
from common.np import normal, np
from common.recurrent import TimeLSTM
from common.time_layers import TimeAffine, TimeEmbedding


def init_embedding(V, D, dtype, rng, scale=0.01):
    """Return a TimeEmbedding with normal weights of standard deviation ``scale``, (V, D)."""
    return TimeEmbedding(normal(rng, (V, D), scale, dtype))


def init_lstm(D, H, dtype, rng, stateful=False):
    """Return a TimeLSTM for inputs of size D with normal weights of variance 1/D and 1/H, bias 0."""
    Wx = normal(rng, (D, 4 * H), D**-0.5, dtype)
    Wh = normal(rng, (H, 4 * H), H**-0.5, dtype)
    return TimeLSTM(Wx, Wh, np.zeros(4 * H, dtype), stateful=stateful)


def init_affine(D, V, dtype, rng):
    """Return a TimeAffine from D to V with normal weights of variance 1/D, bias 0."""
    return TimeAffine(normal(rng, (D, V), D**-0.5, dtype), np.zeros(V, dtype))


def init_layer_norm(D, dtype):
    """Return a LayerNorm of size D that changes mean and variance only: gamma 1, beta 0."""
    return LayerNorm(np.ones(D, dtype), np.zeros(D, dtype))
