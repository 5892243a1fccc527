"""Layers over whole sequences: embedding, affine map, dropout and loss of every step.

This is where the book has all layers with time, so the single steps (``common.steps``) and the recurrent layers
(``common.recurrent``) can be imported from here, too. The rules of ``common.layers`` hold here as well.
"""

from common.functions import sigmoid, softmax
from common.layers import Affine, CrossEntropy, Dropout, Embedding, MatMul, Sigmoid, Softmax, SoftmaxWithLoss
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


class TimeSoftmaxWithLoss(CrossEntropy):
    """Softmax and cross entropy of every step, averaged over the steps that count.

    Shapes: xs (N, T, V) scores, ts (N, T) ids or (N, T, V) one-hot. A step whose id is ``ignore_label`` (-1) adds
    nothing to the loss or the gradient; if all steps are ignored, both are 0.
    Args: label_smoothing, the share of the target that all V ids get alike in training, see ``CrossEntropy``.
    """

    def __init__(self, label_smoothing=0.0):
        super().__init__(label_smoothing)
        self.ignore_label = -1

    def forward(self, xs, ts, out=None):
        """Return the mean of -log(probability of the right id).

        out: a floating array of the shape of xs to work in, xs itself if you like: then nothing of that size is made,
        here or in backward. The layer keeps it, and backward returns it, so do not change it before.
        Raises: ValueError for shapes or ids that do not fit, TypeError for ids that are not integers.
        """
        if xs.ndim != 3:
            raise ValueError(f"TimeSoftmaxWithLoss: xs must be (N, T, V), got {xs.shape}")
        self._check_scores(xs)
        N, T, V = xs.shape
        ts = np.asarray(ts)
        if ts.ndim == 3 and ts.shape == xs.shape:
            ts = ts.argmax(axis=2)  # one-hot -> ids
        if ts.shape != (N, T):
            raise ValueError(
                f"TimeSoftmaxWithLoss: xs is {xs.shape}, so ts must be {(N, T)} or one-hot, got {ts.shape}"
            )
        if out is not None and not (out.shape == xs.shape and out.dtype.kind == "f" and out.flags.c_contiguous):
            raise ValueError(
                f"TimeSoftmaxWithLoss: out must be a floating array {xs.shape}, contiguous in memory, "
                f"got {out.dtype} {out.shape}"
            )
        counts = ts != self.ignore_label  # (N, T)
        self._check_ids(xs, ts, counts)
        return self._mean_loss(xs, ts, counts, out)
