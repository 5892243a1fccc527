"""Layers over whole sequences: embedding, affine map, dropout and loss of every step.

This is where the book has all layers with time, so the single steps (``common.steps``) and the recurrent layers
(``common.recurrent``) can be imported from here, too. The rules of ``common.layers`` hold here as well.
"""

from common.functions import sigmoid, softmax
from common.layers import Affine, Dropout, Embedding, MatMul, Sigmoid, Softmax, SoftmaxWithLoss
from common.np import GPU, np
from common.recurrent import TimeBiLSTM, TimeGRU, TimeLSTM, TimeRNN, lstm_step
from common.steps import GRU, LSTM, RNN

# Scripts written for the book's time_layers import * from here and expect what it imports itself, np above all.
__all__ = [
    "GPU",
    "GRU",
    "LSTM",
    "RNN",
    "Affine",
    "Dropout",
    "Embedding",
    "MatMul",
    "Sigmoid",
    "Softmax",
    "SoftmaxWithLoss",
    "TimeAffine",
    "TimeBiLSTM",
    "TimeDropout",
    "TimeEmbedding",
    "TimeGRU",
    "TimeLSTM",
    "TimeRNN",
    "TimeSoftmaxWithLoss",
    "lstm_step",
    "np",
    "sigmoid",
    "softmax",
]


class TimeEmbedding(Embedding):
    """Embedding of whole sequences. Shapes: W (V, D), xs (N, T) ids, out (N, T, D)."""


class TimeAffine(Affine):
    """Affine map of every step, all steps in one product. Shapes: x (N, T, D), W (D, M), b (M,), y (N, T, M)."""


class TimeDropout(Dropout):
    """Dropout over whole sequences; every step gets a mask of its own. Shapes: xs (N, T, D)."""


class TimeSoftmaxWithLoss:
    """Softmax and cross entropy of every step, averaged over the steps that count.

    Shapes: xs (N, T, V) scores, ts (N, T) ids or (N, T, V) one-hot. A step whose id is ``ignore_label`` (-1) adds
    nothing to the loss or the gradient; if all steps are ignored, both are 0.
    """

    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None
        self.ignore_label = -1

    def forward(self, xs, ts):
        """Return the mean of -log(probability of the right id). Raises: ValueError for shapes or ids that misfit."""
        if xs.ndim != 3:
            raise ValueError(f"TimeSoftmaxWithLoss: xs must be (N, T, V), got {xs.shape}")
        N, T, V = xs.shape
        ts = np.asarray(ts)
        if ts.ndim == 3 and ts.shape == xs.shape:
            ts = ts.argmax(axis=2)  # one-hot -> ids
        if ts.shape != (N, T):
            raise ValueError(
                f"TimeSoftmaxWithLoss: xs is {xs.shape}, so ts must be {(N, T)} or one-hot, got {ts.shape}"
            )
        counts = ts != self.ignore_label  # (N, T)
        wrong = counts & ((ts < 0) | (ts >= V))
        if wrong.any():
            raise ValueError(f"TimeSoftmaxWithLoss: target id {int(ts[wrong][0])} is outside the vocabulary of {V}")

        ys = xs - xs.max(axis=2, keepdims=True)
        rows, ids = np.flatnonzero(counts), ts[counts]
        correct = ys.reshape(N * T, V)[rows, ids]
        np.exp(ys, out=ys)
        sums = ys.sum(axis=2, keepdims=True)
        ys /= sums  # (N, T, V) probabilities
        n = max(len(rows), 1)
        self.cache = (ys, rows, ids, n)
        return (np.log(sums.reshape(-1)[rows]) - correct).sum() / n

    def backward(self, dout=1):
        """dx = (probability - one_hot) * dout / (steps that count), 0 for ignored steps. Return dxs (N, T, V)."""
        ys, rows, ids, n = self.cache
        V = ys.shape[2]
        dxs = ys.reshape(-1, V).copy()
        dxs[rows, ids] -= 1
        if len(rows) < len(dxs):
            ignored = np.ones(len(dxs), dtype=bool)
            ignored[rows] = False
            dxs[ignored] = 0
        dxs *= dout / n
        return dxs.reshape(ys.shape)
