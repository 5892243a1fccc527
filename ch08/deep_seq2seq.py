"""DeepAttentionSeq2seq: LSTMs stacked on each other in encoder and decoder, with or without skip connections.

    encoder   xs -> embed -> LSTM 0 -> LSTM 1 (+ its input) -> ... -> hs_enc (N, T_enc, H), of the top layer
    decoder   ts -> embed -> LSTM 0 -> hs --- query ---> attention over hs_enc -> c (N, T_dec, H)
                               |                            |
                               +-> LSTM 1 of (hs, c) (+ hs) -> ... -> LSTM L-1 of (hs, c) (+ hs)
                                                            |                    |
                                                           (c, hs of the top layer) -> affine -> logits

Each LSTM of the decoder starts from the last state of the encoder's LSTM of the same layer. Only the first layer asks,
and the context goes to all layers above. So no layer waits for a later one, and each is computed for all steps at once.
With one layer this is AttentionSeq2seq.

Source: Wu et al. 2016, section 3 (where the context goes, residual connections); He et al. 2016.
"""

from ch07.seq2seq import Seq2seq
from ch08.attention_layer import TimeAttention
from ch08.attention_seq2seq import AttentionDecoder
from common.base_model import Composite
from common.init import init_affine, init_embedding, init_lstm
from common.np import default_rng, np
from common.recurrent import state_of
from common.time_layers import TimeDropout, TimeSoftmaxWithLoss


class DeepEncoder(Composite):
    """Read xs (N, T) ids with L LSTMs, each reading what the one below says.

    Args: as for Encoder; layers L; residual: add to what a layer says what it read, from the second layer on; dropout:
    the share of what a layer says that the next one does not get to see in training.
    """

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, layers, residual, dropout, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.residual = residual
        self.embed = init_embedding(V, D, dtype, rng)
        self.lstms = [init_lstm(H if k else D, H, dtype, rng) for k in range(layers)]
        self.dropouts = [TimeDropout(dropout) for _ in range(layers - 1)]

    def forward(self, xs):
        """Return (hs (N, T, H) of the top layer, the last h (N, H) of every LSTM)."""
        hs = self.lstms[0].forward(self.embed.forward(xs))  # (N, T, H)
        for lstm, dropout in zip(self.lstms[1:], self.dropouts, strict=True):
            below = dropout.forward(hs)
            hs = lstm.forward(below)
            if self.residual:
                hs += below
        return hs, [lstm.h for lstm in self.lstms]

    def backward(self, dhs, dlast):
        """A sum hands its gradient on unchanged to both: to the LSTM, and past it to the layer below.

        Args: dhs (N, T, H); dlast, the gradients (N, H) of the last h of every LSTM.
        """
        for k in range(len(self.lstms) - 1, 0, -1):
            dbelow = self.lstms[k].backward(dhs, dlast[k])
            if self.residual:
                dbelow += dhs
            dhs = self.dropouts[k - 1].backward(dbelow)
        self.embed.backward(self.lstms[0].backward(dhs, dlast[0]))


class DeepDecoder(AttentionDecoder):
    """Write the answer with L LSTMs; the first asks the attention, those above read its context. Args: as above."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, layers, residual, dropout, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.residual = residual
        self.embed = init_embedding(V, D, dtype, rng)
        self.lstms = [init_lstm(2 * H if k else D, H, dtype, rng, stateful=True) for k in range(layers)]
        self.dropouts = [TimeDropout(dropout) for _ in range(layers - 1)]
        self.attention = TimeAttention()
        self.affine = init_affine(2 * H, V, dtype, rng)

    def forward(self, xs, hs_enc, first, mask=None):
        """Return logits (N, T, V) for the characters after xs (N, T) ids.

        Args: hs_enc (N, T_enc, H); first, the state (N, H) from which each LSTM starts; mask, see TimeAttention.
        """
        for lstm, h in zip(self.lstms, first, strict=True):
            lstm.set_state(h)
        return self._run(xs, hs_enc, mask)

    def _run(self, xs, hs_enc, mask=None):
        """Read xs (N, T) from the state that the LSTMs are in."""
        hs = self.lstms[0].forward(self.embed.forward(xs))  # (N, T, H)
        c = self.attention.forward(hs_enc, hs, mask)  # (N, T, H)
        for lstm, dropout in zip(self.lstms[1:], self.dropouts, strict=True):
            below = dropout.forward(hs)
            hs = lstm.forward(np.concatenate((below, c), axis=2))
            if self.residual:
                hs += below
        return self.affine.forward(np.concatenate((c, hs), axis=2))

    def backward(self, dlogits):
        """The context went to every layer above the first and to the affine layer: its gradients are added up.

        Return (dhs_enc (N, T_enc, H), [the gradient (N, H) of every LSTM's first h]).
        """
        dout = self.affine.backward(dlogits)  # (N, T, 2H)
        H = dout.shape[2] // 2
        dc, dhs = dout[:, :, :H].copy(), dout[:, :, H:]
        for k in range(len(self.lstms) - 1, 0, -1):
            dboth = self.lstms[k].backward(dhs)  # (N, T, 2H)
            dc += dboth[:, :, H:]
            dbelow = dboth[:, :, :H]
            if self.residual:
                dbelow = dbelow + dhs
            dhs = self.dropouts[k - 1].backward(dbelow)
        dhs_enc, dquery = self.attention.backward(dc)
        self.embed.backward(self.lstms[0].backward(dhs + dquery))
        return dhs_enc, [lstm.dh for lstm in self.lstms]

    def start(self, encoded):
        """Return the state before the first step: (hs_enc, then h and c of every LSTM)."""
        hs_enc, first = encoded
        zeros = np.zeros_like(first[0])
        return (hs_enc, *(array for h in first for array in (h, zeros)))

    def step(self, ids, state):
        """Read one character for every row, ids (N,).

        Returns: (logits (N, V), the state after it, attention weights (N, T_enc)).
        """
        hs_enc, *states = state
        for lstm, h, c in zip(self.lstms, states[::2], states[1::2], strict=True):
            lstm.set_state(h, c)
        logits = self._run(ids[:, None], hs_enc)[:, 0]  # (N, V)
        return (
            logits,
            (hs_enc, *(s for lstm in self.lstms for s in state_of(lstm))),
            self.attention.attention_weights[0],
        )


class DeepAttentionSeq2seq(Seq2seq):
    """Seq2seq with attention, ``layers`` LSTMs deep.

    Args: as for Seq2seq; layers, in encoder and decoder alike; residual, whether a layer's input is added to what it
    says; dropout, between the layers. Raises: ValueError for less than one layer.
    """

    def __init__(
        self,
        vocab_size,
        wordvec_size,
        hidden_size,
        *,
        layers=4,
        residual=True,
        dropout=0.0,
        dtype=np.float32,
        rng=None,
    ):
        if layers < 1:
            raise ValueError(f"DeepAttentionSeq2seq: layers must be at least 1, got {layers}")
        sizes = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        depth = dict(layers=layers, residual=residual, dropout=dropout)
        self.encoder = DeepEncoder(*sizes, **depth, dtype=dtype, rng=rng)
        self.decoder = DeepDecoder(*sizes, **depth, dtype=dtype, rng=rng)
        self.softmax = TimeSoftmaxWithLoss()

    def forward(self, xs, ts, decoder_xs=None, mask=None):
        """Return the mean loss per character. Args: as for AttentionSeq2seq."""
        decoder_xs = self.decoder_input(xs, ts, decoder_xs)
        hs_enc, last = self.encoder.forward(xs)
        logits = self.decoder.forward(decoder_xs, hs_enc, last, mask)  # (N, T_dec, V)
        return self.softmax.forward(logits, ts[:, 1:])

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into ``grads``."""
        dlogits = self.softmax.backward(dout)
        dhs_enc, dlast = self.decoder.backward(dlogits)
        self.encoder.backward(dhs_enc, dlast)
