"""PeekySeq2seq: every step of the decoder sees the encoder's vector, not only the first.

Source: Cho et al. 2014; the book, section 7.4.2.
"""

from ch07.seq2seq import Decoder, Encoder, Seq2seq
from common.init import init_affine, init_embedding, init_lstm
from common.np import default_rng, np
from common.recurrent import state_of
from common.time_layers import TimeSoftmaxWithLoss


class PeekyDecoder(Decoder):
    """A Decoder whose LSTM and affine layer both read h (N, H) again at every step.

    The LSTM's input is (h, embedding), of size H + D; the affine layer's is (h, hidden state), of size 2H.
    """

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.embed = init_embedding(V, D, dtype, rng)
        self.lstm = init_lstm(H + D, H, dtype, rng, stateful=True)
        self.affine = init_affine(2 * H, V, dtype, rng)
        self.cache = None

    def forward(self, xs, h):
        """Return logits (N, T, V) for the characters after xs (N, T) ids."""
        self.lstm.set_state(h)
        return self._read(xs, h)

    def _read(self, xs, h):
        """Return logits (N, T, V), going on from the LSTM's state."""
        (N, T), H = xs.shape, h.shape[1]
        peek = np.broadcast_to(h[:, None], (N, T, H))  # h again at every step
        out = np.concatenate((peek, self.embed.forward(xs)), axis=2)  # (N, T, H + D)
        hs = self.lstm.forward(out)  # (N, T, H)
        self.cache = H
        return self.affine.forward(np.concatenate((peek, hs), axis=2))

    def backward(self, dlogits):
        """h was used at every step in two places and as the first state: all its gradients are added. Return dh."""
        H = self.cache
        dout = self.affine.backward(dlogits)  # (N, T, 2H): h, hidden state
        dx = self.lstm.backward(dout[:, :, H:])  # (N, T, H + D): h, embedding
        self.embed.backward(dx[:, :, H:])
        return dout[:, :, :H].sum(axis=1) + dx[:, :, :H].sum(axis=1) + self.lstm.dh

    def start(self, h):
        """Return the state before the first step: (what is peeked at, the LSTM's h)."""
        return (h, h)

    def step(self, ids, state):
        """Read one character for every row, ids (N,); return (logits (N, V), the state after it, None)."""
        peek, *lstm_state = state
        self.lstm.set_state(*lstm_state)
        logits = self._read(ids[:, None], peek)[:, 0]  # (N, V)
        return logits, (peek, *state_of(self.lstm)), None


class PeekySeq2seq(Seq2seq):
    """Seq2seq with a PeekyDecoder. Args: as for Seq2seq."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        sizes = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.encoder = Encoder(*sizes, dtype=dtype, rng=rng)
        self.decoder = PeekyDecoder(*sizes, dtype=dtype, rng=rng)
        self.softmax = TimeSoftmaxWithLoss()
