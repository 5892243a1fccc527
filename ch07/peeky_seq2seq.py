"""PeekySeq2seq: every step of the decoder sees the encoder's vector, not only the first.

Source: Cho et al. 2014; the book, section 7.4.2.
"""

from ch07.seq2seq import Decoder, Seq2seq
from common.np import np


class PeekyDecoder(Decoder):
    """A Decoder whose LSTM and affine layer both read h (N, H) again at every step.

    The LSTM's input is (h, word vector), of size H + D; the affine layer's is (h, hidden state), of size 2H.
    """

    input_states, output_states = 1, 2

    def _steps(self, xs, enc):
        out = self.embed.forward(xs)
        N, T, _ = out.shape
        H = enc.shape[1]
        hs = np.broadcast_to(enc[:, None], (N, T, H))  # h again at every step
        out = self.lstm.forward(np.concatenate((hs, out), axis=2))  # (N, T, H)
        self.cache = H
        return self.affine.forward(np.concatenate((hs, out), axis=2))

    def backward(self, dscore):
        """h was used at every step in two places and as the first state: all its gradients are added. Return dh."""
        H = self.cache
        dout = self.affine.backward(dscore)  # (N, T, 2H): h, hidden state
        dx = self.lstm.backward(dout[:, :, H:])  # (N, T, H + D): h, word vector
        self.embed.backward(dx[:, :, H:])
        return dout[:, :, :H].sum(axis=1) + dx[:, :, :H].sum(axis=1) + self.lstm.dh


class PeekySeq2seq(Seq2seq):
    """Seq2seq with a PeekyDecoder. Args: as for Seq2seq."""

    decoder_class = PeekyDecoder
