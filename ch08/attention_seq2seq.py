"""AttentionSeq2seq: the decoder looks at all hidden states of the encoder and chooses, at every step.

    xs -> AttentionEncoder -> hs_enc (N, T_enc, H) ----------------+-----------+
                                 | last state                      |           | keys and values
    ts -> embed -> LSTM -------> hs (N, T_dec, H) --- query ---> attention ----+
                                 |                                 | c (N, T_dec, H)
                                 +---> (c, hs) -> affine -> logits (N, T_dec, V) -> softmax with loss

Source: the book, section 8.2; Luong et al. 2015 with the "dot" score.
"""

from ch07.seq2seq import Encoder, Seq2seq
from ch08.alignment import AlignmentLoss
from ch08.attention_layer import TimeAttention
from common.base_model import Composite
from common.init import init_affine, init_embedding, init_lstm
from common.np import default_rng, np
from common.recurrent import state_of
from common.time_layers import TimeSoftmaxWithLoss


class AttentionEncoder(Encoder):
    """An Encoder that hands over every hidden state, hs (N, T, H), not only the last."""

    def forward(self, xs):
        """Return hs (N, T, H), the hidden state after each character."""
        return self.lstm.forward(self.embed.forward(xs))

    def backward(self, dhs):
        """Args: dhs (N, T, H), from the attention of all decoder steps and, at the last state, the decoder's start."""
        self.embed.backward(self.lstm.backward(dhs))


class AttentionDecoder(Composite):
    """Write the answer: at every step the affine layer reads (context, hidden state), of size 2H.

    Args: as for Encoder. ``attention`` is a TimeAttention; its ``attention_weights`` show where each step looked.
    """

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.embed = init_embedding(V, D, dtype, rng)
        self.lstm = init_lstm(D, H, dtype, rng, stateful=True)
        self.attention = TimeAttention()
        self.affine = init_affine(2 * H, V, dtype, rng)

    def forward(self, xs, hs_enc, mask=None):
        """Return logits (N, T, V) for the characters after xs (N, T) ids.

        Args: hs_enc (N, T_enc, H), of the encoder; mask (N, T_enc), see TimeAttention.
        """
        self.lstm.set_state(hs_enc[:, -1])
        hs = self.lstm.forward(self.embed.forward(xs))  # (N, T, H)
        # An attention of your own need not know of masks.
        c = self.attention.forward(hs_enc, hs) if mask is None else self.attention.forward(hs_enc, hs, mask)
        return self.affine.forward(np.concatenate((c, hs), axis=2))  # c and hs are (N, T, H)

    def backward(self, dlogits, da=None):
        """Split what the affine layer read, (context, hidden state), and add up where a value was used twice.

        The hidden states fed both the affine layer and the attention; the encoder's last state fed both the attention
        and the LSTM's start. da: see TimeAttention. Return dhs_enc (N, T_enc, H).
        """
        dout = self.affine.backward(dlogits)  # (N, T, 2H)
        H = dout.shape[2] // 2
        dc, dhs = dout[:, :, :H], dout[:, :, H:]
        dhs_enc, dquery = self.attention.backward(dc) if da is None else self.attention.backward(dc, da)
        self.embed.backward(self.lstm.backward(dhs + dquery))
        dhs_enc[:, -1] += self.lstm.dh
        return dhs_enc

    def start(self, hs_enc):
        """Return the state before the first step: (hs_enc, the LSTM's h)."""
        return (hs_enc, hs_enc[:, -1])

    def step(self, ids, state):
        """Read one character for every row, ids (N,).

        Returns: (logits (N, V), the state after it, attention weights (N, T_enc)).
        """
        hs_enc, *lstm_state = state
        self.lstm.set_state(*lstm_state)
        h = self.lstm.forward(self.embed.forward(ids[:, None]))  # (N, 1, H)
        c = self.attention.forward(hs_enc, h)  # (N, 1, H)
        logits = self.affine.forward(np.concatenate((c, h), axis=2))[:, 0]  # (N, V)
        weights = getattr(self.attention, "attention_weights", [None])[0]
        return logits, (hs_enc, *state_of(self.lstm)), weights

    def generate(self, hs_enc, start_id, sample_size):
        """Return the list of ids written from hs_enc (1, T_enc, H): each time the one with the largest logit."""
        ids, state = [int(start_id)], self.start(hs_enc)
        for _ in range(sample_size):
            logits, state, _ = self.step(np.array(ids[-1:]), state)
            ids.append(int(logits.argmax()))
        return ids[1:]


class AttentionSeq2seq(Seq2seq):
    """Seq2seq with attention. Args: as for Seq2seq. Decoding is Seq2seq's: it knows ``start`` and ``step`` only.

    ``alignment_loss`` is an AlignmentLoss; it counts where forward is given the gold alignment.
    """

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        sizes = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.encoder = AttentionEncoder(*sizes, dtype=dtype, rng=rng)
        self.decoder = AttentionDecoder(*sizes, dtype=dtype, rng=rng)
        self.softmax = TimeSoftmaxWithLoss()
        self.alignment_loss = AlignmentLoss()

    def forward(self, xs, ts, decoder_xs=None, mask=None, gold=None):
        """Return the mean loss per character.

        Args: xs (N, T_enc), ts (N, T_dec + 1), decoder_xs (N, T_dec): as for Seq2seq. mask: bool (N, T_enc), False
        hides a hidden state of the encoder from the attention (the encoder reads its character all the same); None
        hides nothing. gold: bool (N, T_dec, T_enc), where the attention should look; the loss then has
        ``alignment_loss`` added to it.
        """
        decoder_xs = self.decoder_input(xs, ts, decoder_xs)
        hs_enc = self.encoder.forward(xs)  # (N, T_enc, H)
        logits = self.decoder.forward(decoder_xs, hs_enc, mask)  # (N, T_dec, V)
        loss = self.softmax.forward(logits, ts[:, 1:])
        weights = None if gold is None else self.decoder.attention.weights
        return loss + self.alignment_loss.forward(weights, gold, self.softmax.count)

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into ``grads``."""
        dlogits = self.softmax.backward(dout)
        da = self.alignment_loss.backward(dout)
        dhs_enc = self.decoder.backward(dlogits, da)
        self.encoder.backward(dhs_enc)
