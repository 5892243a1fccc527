"""BiAttentionSeq2seq: two LSTMs read the question, one from each end, so that every state knows both sides.

    xs -> embed -+-> LSTM, first to last ---+-- joined --> hs_enc (N, T_enc, H) --> keys and values of the attention
                 +-> LSTM, last to first ---+
                        |  the last state of each, joined in the same way --> h (N, H) --> where the decoder starts

Everything after the encoder is AttentionSeq2seq's. Source: the book, section 8.3.1; Bahdanau et al. 2015, section 3.2.
"""

from ch08.attention_seq2seq import AttentionDecoder, AttentionSeq2seq
from common.base_model import Composite
from common.init import init_embedding, init_lstm
from common.np import default_rng, np
from common.recurrent import Bidirectional


class BiAttentionEncoder(Composite):
    """Read xs (N, T) ids in both directions; hand over all states hs (N, T, H) and one to start from, h (N, H).

    Args: vocab_size, wordvec_size; hidden_size H, of a joined state; combine: "concat" puts the states of two LSTMs of
    size H/2 side by side (Bahdanau's way), "sum" and "mean" add those of two LSTMs of size H; dtype, rng.
    Raises: ValueError for "concat" and an odd H.
    """

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, combine="concat", dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        if combine == "concat":
            if H % 2:
                raise ValueError(f"BiAttentionEncoder: two equal halves make hidden_size, so it must be even, got {H}")
            H //= 2
        self.embed = init_embedding(V, D, dtype, rng)
        self.lstm = Bidirectional(init_lstm(D, H, dtype, rng), init_lstm(D, H, dtype, rng), combine)

    def forward(self, xs):
        """Return (hs (N, T, H), h (N, H)).

        The last state of the second LSTM stands at the question's beginning: hs[:, -1] holds what it knew after one
        character. That is why h is handed over as well.
        """
        hs = self.lstm.forward(self.embed.forward(xs))  # (N, T, H)
        (ahead, _), (back, _) = self.lstm.last_states  # each LSTM's (h, c)
        return hs, self._join(ahead, back)

    def backward(self, dhs, dh):
        """Args: dhs (N, T, H) and dh (N, H). Each LSTM gets, for its last state, its share of dh."""
        dahead, dback = self._split(dh)
        self.embed.backward(self.lstm.backward(dhs, (dahead,), (dback,)))

    def _join(self, ahead, back):
        """Return one state (N, H) made of two, as Bidirectional joins those of a step."""
        if self.lstm.combine == "concat":
            return np.concatenate((ahead, back), axis=1)
        return ahead + back if self.lstm.combine == "sum" else (ahead + back) / 2

    def _split(self, dh):
        """Return what reaches each of the two states: its half, all of it, or 1/2 of it."""
        if self.lstm.combine == "concat":
            return np.split(dh, 2, axis=1)
        return (dh, dh) if self.lstm.combine == "sum" else (dh / 2, dh / 2)


class BiAttentionDecoder(AttentionDecoder):
    """An AttentionDecoder that starts from h, a state of its own, rather than from the last of hs_enc."""

    def forward(self, xs, hs_enc, h, mask=None):
        """Return logits (N, T, V). Args: xs (N, T) ids; hs_enc (N, T_enc, H) and h (N, H), of the encoder; mask."""
        self.lstm.set_state(h)
        hs = self.lstm.forward(self.embed.forward(xs))  # (N, T, H)
        c = self.attention.forward(hs_enc, hs, mask)  # (N, T, H)
        return self.affine.forward(np.concatenate((c, hs), axis=2))

    def backward(self, dlogits, da=None):
        """As AttentionDecoder's, but the LSTM's start has a gradient of its own. Return (dhs_enc, dh)."""
        dout = self.affine.backward(dlogits)  # (N, T, 2H)
        dc, dhs = np.split(dout, 2, axis=2)
        dhs_enc, dquery = self.attention.backward(dc, da)
        self.embed.backward(self.lstm.backward(dhs + dquery))
        return dhs_enc, self.lstm.dh

    def start(self, encoded):
        """Return the state before the first step: what the encoder handed over is just that, (hs_enc, the LSTM's h)."""
        return encoded


class BiAttentionSeq2seq(AttentionSeq2seq):
    """Seq2seq with attention and a reader for each direction. Args: as for Seq2seq; combine: see BiAttentionEncoder."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, combine="concat", dtype=np.float32, rng=None):
        sizes = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        super().__init__(*sizes, dtype=dtype, rng=rng)
        self.encoder = BiAttentionEncoder(*sizes, combine=combine, dtype=dtype, rng=rng)
        self.decoder = BiAttentionDecoder(*sizes, dtype=dtype, rng=rng)

    def forward(self, xs, ts, decoder_xs=None, mask=None, gold=None):
        """Return the mean loss per character. Args: as for AttentionSeq2seq."""
        decoder_xs = self.decoder_input(xs, ts, decoder_xs)
        hs_enc, h = self.encoder.forward(xs)  # (N, T_enc, H) and (N, H)
        logits = self.decoder.forward(decoder_xs, hs_enc, h, mask)  # (N, T_dec, V)
        loss = self.softmax.forward(logits, ts[:, 1:])
        weights = None if gold is None else self.decoder.attention.weights
        return loss + self.alignment_loss.forward(weights, gold, self.softmax.count)

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into ``grads``."""
        dlogits = self.softmax.backward(dout)
        da = self.alignment_loss.backward(dout)
        dhs_enc, dh = self.decoder.backward(dlogits, da)
        self.encoder.backward(dhs_enc, dh)
