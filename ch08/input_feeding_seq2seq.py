"""InputFeedingSeq2seq: what the attention found at one step is read by the LSTM at the next.

    one step:  (x_t, fed_(t-1)) -> LSTM -> h_t --- query ---> attention over hs_enc -> c_t
                                            |                                           |
               fed_t = tanh([c_t; h_t] W + b) <-----------------------------------------+
               fed_t -> affine -> logits                  and fed_t goes into step t + 1

In AttentionSeq2seq a step never learns where the one before it looked. Here it does, and pays for it: the LSTM waits
for the attention, so the steps of the decoder can no longer be computed all at once.

Source: Luong et al. 2015, section 3.3 (input feeding) and equation 5 (the attentional vector, here ``fed``).
"""

from ch07.seq2seq import Seq2seq
from ch08.attention_layer import Attention
from ch08.attention_seq2seq import AttentionDecoder, AttentionEncoder
from common.base_model import Composite
from common.init import init_affine, init_embedding
from common.layers import Affine, Tanh
from common.np import default_rng, normal, np
from common.steps import LSTM
from common.time_layers import TimeSoftmaxWithLoss
from common.unroll import Unroll


class InputFeedingStep(Composite):
    """One step of the decoder. Shapes: x (N, D); h, c, fed (N, H); hs_enc (N, T_enc, H)."""

    def __init__(self, wordvec_size, hidden_size, dtype, rng):
        D, H = wordvec_size, hidden_size
        Wx = normal(rng, (D + H, 4 * H), (D + H) ** -0.5, dtype)
        Wh = normal(rng, (H, 4 * H), H**-0.5, dtype)
        self.lstm = LSTM(Wx, Wh, np.zeros(4 * H, dtype))
        self.attention = Attention()
        self.affine = Affine(normal(rng, (2 * H, H), (2 * H) ** -0.5, dtype), np.zeros(H, dtype))
        self.tanh = Tanh()

    def forward(self, x, h, c, fed, hs_enc, mask=None):
        """Return (fed, attention weights (N, T_enc), and the state after the step: h, c, fed)."""
        h, c = self.lstm.forward(np.concatenate((x, fed), axis=1), h, c)
        context = self.attention.forward(hs_enc, h, mask)  # (N, H)
        fed = self.tanh.forward(self.affine.forward(np.concatenate((context, h), axis=1)))
        return fed, self.attention.attention_weight, h, c, fed

    def backward(self, dout, da, dh, dc, dfed):
        """fed went to the output and into the next step: its gradients are added. So are the three of h.

        da: what a loss says of the weights, or None. Return (dx, dh, dc, dfed, dhs_enc).
        """
        H = dh.shape[1]
        dboth = self.affine.backward(self.tanh.backward(dout + dfed))  # (N, 2H)
        dhs_enc, dquery = self.attention.backward(dboth[:, :H], da)
        dx, dh, dc = self.lstm.backward(dh + dboth[:, H:] + dquery, dc)
        return dx[:, :-H], dh, dc, dx[:, -H:], dhs_enc


class InputFeedingDecoder(AttentionDecoder):
    """Write the answer, one step after the other, in training as well.

    Args: as for Encoder. ``weights`` holds those of the last forward call, (N, T_dec, T_enc).
    """

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.embed = init_embedding(V, D, dtype, rng)
        self.steps = Unroll(InputFeedingStep(D, H, dtype, rng), states=3)
        self.affine = init_affine(H, V, dtype, rng)
        self.weights = None

    def forward(self, xs, hs_enc, mask=None):
        """Return logits (N, T, V) for the characters after xs (N, T) ids. Args: hs_enc (N, T_enc, H); mask."""
        hs_enc, *state = self.start(hs_enc)
        outs, self.weights, *_ = self.steps.forward(self.embed.forward(xs), *state, hs_enc, mask)
        return self.affine.forward(outs)

    def backward(self, dlogits):
        """Back through the layers; c and fed started as zeros. Return dhs_enc (N, T_enc, H)."""
        dxs, dh, _, _, dhs_enc = self.steps.backward(self.affine.backward(dlogits), None)
        self.embed.backward(dxs)
        dhs_enc[:, -1] += dh
        return dhs_enc

    def start(self, hs_enc):
        """Return the state before the first step: (hs_enc, the LSTM's h and c, fed). Nothing was fed yet: zeros."""
        zeros = np.zeros_like(hs_enc[:, -1])
        return (hs_enc, hs_enc[:, -1], zeros, zeros)

    def step(self, ids, state):
        """Read one character for every row, ids (N,).

        Returns: (logits (N, V), the state after it, attention weights (N, T_enc)).
        """
        hs_enc, *state = state
        x = self.embed.forward(ids[:, None])[:, 0]  # (N, D)
        out, weights, *state = self.steps.step.forward(x, *state, hs_enc)
        return self.affine.forward(out[:, None])[:, 0], (hs_enc, *state), weights


class InputFeedingSeq2seq(Seq2seq):
    """Seq2seq with attention and input feeding. Args: as for Seq2seq."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        sizes = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.encoder = AttentionEncoder(*sizes, dtype=dtype, rng=rng)
        self.decoder = InputFeedingDecoder(*sizes, dtype=dtype, rng=rng)
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
