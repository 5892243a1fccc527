"""AttentionSeq2seq: the decoder looks at all hidden states of the encoder and chooses, at every step.

Source: the book, section 8.2; Luong et al. 2015 with the "dot" score.
"""

from ch07.seq2seq import Decoder, Encoder, Seq2seq
from ch08.alignment import AlignmentLoss
from ch08.attention_layer import TimeAttention
from common.np import np


class AttentionEncoder(Encoder):
    """An Encoder that hands over every hidden state, hs (N, T, H), not only the last."""

    @staticmethod
    def hand_over(hs):
        """Return what the decoder gets of the hidden states hs (N, T, H): all of them."""
        return hs

    def backward(self, dhs):
        """Args: dhs (N, T, H), from the attention of all decoder steps and, at the last state, the decoder's start."""
        self.embed.backward(self.lstm.backward(dhs))


class AttentionDecoder(Decoder):
    """A Decoder whose affine layer reads (context, hidden state), of size 2H.

    ``attention`` is a TimeAttention; its ``attention_weights`` show where each step looked.
    """

    output_states = 2

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        super().__init__(vocab_size, wordvec_size, hidden_size, dtype=dtype, rng=rng)
        self.attention = TimeAttention()

    def _start(self, enc):
        self.lstm.set_state(enc[:, -1])

    def _steps(self, xs, enc, **mask):
        hs = self.lstm.forward(self.embed.forward(xs))  # (N, T, H)
        c = self.attention.forward(enc, hs, **mask)  # (N, T, H)
        return self.affine.forward(np.concatenate((c, hs), axis=2))

    def _weights(self):
        return self.attention.weights

    def backward(self, dscore, da=None):
        """Split what the affine layer read, (context, hidden state), and add up where a value was used twice.

        The hidden states fed both the affine layer and the attention; the encoder's last state fed both the attention
        and the LSTM's start. da: see TimeAttention. Return dhs_enc (N, T_enc, H).
        """
        dout = self.affine.backward(dscore)  # (N, T, 2H)
        H = dout.shape[2] // 2
        dhs_enc, dhs = self.attention.backward(dout[:, :, :H], da)
        dhs += dout[:, :, H:]
        self.embed.backward(self.lstm.backward(dhs))
        dhs_enc[:, -1] += self.lstm.dh
        return dhs_enc


class AttentionSeq2seq(Seq2seq):
    """Seq2seq with attention. Args: as for Seq2seq.

    ``alignment_loss`` is an AlignmentLoss; it counts where forward is given the gold alignment.
    """

    encoder_class, decoder_class = AttentionEncoder, AttentionDecoder

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        super().__init__(vocab_size, wordvec_size, hidden_size, dtype=dtype, rng=rng)
        self.alignment_loss = AlignmentLoss()
        self._guided = False

    def forward(self, xs, ts, decoder_xs=None, mask=None, gold=None):
        """Return the mean loss per character.

        Args: xs (N, T_enc), ts (N, T_dec + 1), decoder_xs (N, T_dec): as for Seq2seq. mask: bool (N, T_enc), False
        hides a hidden state of the encoder from the attention (the encoder reads its character all the same); None
        hides nothing. gold: bool (N, T_dec, T_enc), where the attention should look; the loss then has
        ``alignment_loss`` added to it.
        """
        loss = super().forward(xs, ts, decoder_xs, **({} if mask is None else {"mask": mask}))
        self._guided = gold is not None
        if self._guided:
            loss += self.alignment_loss.forward(self.decoder.attention.weights, gold)
        return loss

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into ``grads``."""
        if not self._guided:
            return super().backward(dout)
        dscore, da = self.softmax.backward(dout), self.alignment_loss.backward(dout)
        self.encoder.backward(self.decoder.backward(dscore, da))
