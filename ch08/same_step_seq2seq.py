"""SameStepSeq2seq: the decoder looks first and writes then, as Bahdanau's does.

    one step:  h_(t-1) --- query ---> attention over hs_enc -> c_t
               (x_t, c_t) -> LSTM -> h_t                (c_t, h_t) -> affine -> logits

The LSTM reads the context of its own step. So the query is the state before: whoever asks has not read x_t yet.

Source: Bahdanau et al. 2015, section 3.1 and appendix A.2.2 (with a GRU and the additive score there).
"""

from ch07.seq2seq import Seq2seq
from ch08.attention_layer import Attention
from ch08.attention_seq2seq import AttentionDecoder, AttentionEncoder
from common.base_model import Composite
from common.init import init_affine, init_embedding
from common.np import default_rng, normal, np
from common.steps import LSTM
from common.time_layers import TimeSoftmaxWithLoss
from common.unroll import Unroll


class SameStep(Composite):
    """One step of the decoder. Shapes: x (N, D); h, c (N, H); hs_enc (N, T_enc, H)."""

    def __init__(self, wordvec_size, hidden_size, dtype, rng):
        D, H = wordvec_size, hidden_size
        Wx = normal(rng, (D + H, 4 * H), (D + H) ** -0.5, dtype)
        Wh = normal(rng, (H, 4 * H), H**-0.5, dtype)
        self.attention = Attention()
        self.lstm = LSTM(Wx, Wh, np.zeros(4 * H, dtype))

    def forward(self, x, h, c, hs_enc, mask=None):
        """Return ([context; h] (N, 2H), attention weights (N, T_enc), and the state after the step: h, c)."""
        context = self.attention.forward(hs_enc, h, mask)  # (N, H)
        h, c = self.lstm.forward(np.concatenate((x, context), axis=1), h, c)
        return np.concatenate((context, h), axis=1), self.attention.attention_weight, h, c

    def backward(self, dout, da, dh, dc):
        """The context went to the LSTM and to the output, the state before to the LSTM and the query: all are added.

        da: what a loss says of the weights, or None. Return (dx, dh, dc, dhs_enc).
        """
        H = dh.shape[1]
        dx, dh, dc = self.lstm.backward(dh + dout[:, H:], dc)
        dhs_enc, dquery = self.attention.backward(dx[:, -H:] + dout[:, :H], da)
        return dx[:, :-H], dh + dquery, dc, dhs_enc


class SameStepDecoder(AttentionDecoder):
    """Write the answer, one step after the other, in training as well.

    Args: as for Encoder. ``weights`` holds those of the last forward call, (N, T_dec, T_enc).
    """

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.embed = init_embedding(V, D, dtype, rng)
        self.steps = Unroll(SameStep(D, H, dtype, rng), states=2)
        self.affine = init_affine(2 * H, V, dtype, rng)
        self.weights = None

    def forward(self, xs, hs_enc, mask=None):
        """Return logits (N, T, V) for the characters after xs (N, T) ids. Args: hs_enc (N, T_enc, H); mask."""
        hs_enc, *state = self.start(hs_enc)
        outs, self.weights, *_ = self.steps.forward(self.embed.forward(xs), *state, hs_enc, mask)
        return self.affine.forward(outs)

    def backward(self, dlogits):
        """Back through the layers; c started as zeros. Return dhs_enc (N, T_enc, H)."""
        dxs, dh, _, dhs_enc = self.steps.backward(self.affine.backward(dlogits), None)
        self.embed.backward(dxs)
        dhs_enc[:, -1] += dh
        return dhs_enc

    def start(self, hs_enc):
        """Return the state before the first step: (hs_enc, the LSTM's h and c)."""
        h = hs_enc[:, -1]
        return (hs_enc, h, np.zeros_like(h))

    def step(self, ids, state):
        """Read one character for every row, ids (N,).

        Returns: (logits (N, V), the state after it, attention weights (N, T_enc)).
        """
        hs_enc, *state = state
        x = self.embed.forward(ids[:, None])[:, 0]  # (N, D)
        out, weights, *state = self.steps.step.forward(x, *state, hs_enc)
        return self.affine.forward(out[:, None])[:, 0], (hs_enc, *state), weights


class SameStepSeq2seq(Seq2seq):
    """Seq2seq whose LSTM reads the context of its own step. Args: as for Seq2seq."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        sizes = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.encoder = AttentionEncoder(*sizes, dtype=dtype, rng=rng)
        self.decoder = SameStepDecoder(*sizes, dtype=dtype, rng=rng)
        self.softmax = TimeSoftmaxWithLoss()

    def forward(self, xs, ts, decoder_xs=None, mask=None):
        """Return the mean loss per character. Args: as for AttentionSeq2seq."""
        decoder_xs = self.decoder_input(xs, ts, decoder_xs)
        hs_enc = self.encoder.forward(xs)  # (N, T_enc, H)
        logits = self.decoder.forward(decoder_xs, hs_enc, mask)  # (N, T_dec, V)
        return self.softmax.forward(logits, ts[:, 1:])

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into ``grads``."""
        dlogits = self.softmax.backward(dout)
        self.encoder.backward(self.decoder.backward(dlogits))
