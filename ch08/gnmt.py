"""GNMT: Google's translator of 2016 in small, with many LSTMs on top of each other.

    encoder   xs -> embed -+-> LSTM, first to last --+-> side by side -> LSTM 1 -> LSTM 2 (+ its input) -> ... -> hs_enc
                           +-> LSTM, last to first --+                                                  |
                                                                                          affine -> keys (N, T_enc, H)

    decoder   one step of the bottom layer:
                  h_(t-1) --- query ---> additive score against the keys -> a_t -> context_t = a_t hs_enc
                  (x_t, context_t) -> LSTM 0 -> h_t
              all steps of the layers above at once:
                  hs of LSTM 0 -> LSTM 1 of (hs, contexts) -> LSTM 2 of (hs, contexts) (+ hs) -> ... -> affine -> logits

The bottom layer asks with its output of the step before, so its steps have to wait for one another. Then all contexts
are known, and every layer above is computed for all steps at once.

Source: Wu et al. 2016, section 3. As there, both stacks have the same number of layers (8 in the paper), the bottom
layer of the encoder reads in both directions (3.2), the output of a layer has its input added to it from the third
layer from the bottom on (3.1), the query is the bottom decoder layer's output of the previous step, the context goes to
every decoder layer, and the output layer reads the top layer alone. The paper does not say where the decoder starts:
here each of its LSTMs starts from the last state of the encoder's on the same level, the bottom one from that of the
LSTM that ends at the first word.

Sentences of a batch are padded at their ends with ``pad_id``, and padding counts nowhere: not in the encoder, whose
LSTMs skip it, not in the attention, not in the loss.
"""

from ch07.seq2seq import Seq2seq
from ch08.attention_layer import AttentionWeight, WeightSum
from ch08.attention_seq2seq import AttentionDecoder
from ch08.score_layers import AdditiveScore
from common.base_model import Composite
from common.init import init_affine, init_embedding, init_lstm
from common.np import default_rng, normal, np
from common.recurrent import Bidirectional, state_of
from common.steps import LSTM
from common.time_layers import TimeDropout, TimeSoftmaxWithLoss
from common.unroll import Unroll

FIRST_RESIDUAL = 2  # the third layer from the bottom, counted from 0


class GNMTEncoder(Composite):
    """Read xs (N, T) ids with L layers; padding is skipped. Args: as for GNMT."""

    def __init__(
        self,
        vocab_size,
        wordvec_size,
        hidden_size,
        *,
        layers,
        residual,
        dropout=0.0,
        pad_id=0,
        dtype=np.float32,
        rng=None,
    ):
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.pad_id, self.residual = pad_id, residual
        self.embed = init_embedding(V, D, dtype, rng)
        readers = Bidirectional(init_lstm(D, H, dtype, rng), init_lstm(D, H, dtype, rng))
        self.lstms = [readers, *(init_lstm(2 * H if k == 1 else H, H, dtype, rng) for k in range(1, layers))]
        self.dropouts = [TimeDropout(dropout, rng) for _ in range(layers)]

    def forward(self, xs):
        """Return all that the decoder needs: hs, mask (N, T), True = a word, the last h and c (N, H) of every layer.

        hs is (N, T, H), of the top layer; with one layer (N, T, 2H), of both readers. The last state of the bottom
        layer is that of the reader that ends at the first word.
        """
        mask = xs != self.pad_id
        hs = self.embed.forward(xs)  # (N, T, D)
        for k, (lstm, dropout) in enumerate(zip(self.lstms, self.dropouts, strict=True)):
            below, hs = hs, lstm.forward(dropout.forward(hs), mask)
            if self.residual and k >= FIRST_RESIDUAL:
                hs += below
        readers, *above = self.lstms
        last = [readers.last_states[1], *map(state_of, above)]
        return hs, mask, *(array for state in last for array in state)

    def backward(self, dhs, *dlast):
        """A sum hands its gradient on unchanged to both: to the LSTM, and past it to the layer below.

        Args: dhs, of the shape of hs; dlast, the gradients (N, H) of the last h and c of each layer.
        """
        for k in reversed(range(len(self.lstms))):
            dstate = dlast[2 * k : 2 * k + 2]
            dbelow = self.lstms[k].backward(dhs, *(dstate if k else ((), dstate)))
            dbelow = self.dropouts[k].backward(dbelow)
            if self.residual and k >= FIRST_RESIDUAL:
                dbelow += dhs
            dhs = dbelow
        self.embed.backward(dhs)


class GNMTStep(Composite):
    """One step of the decoder's bottom layer: look, then read.

    Shapes: x (N, D); h and c (N, H), its state; keys (N, T_enc, H); hs_enc (N, T_enc, M), with M = H or, if the encoder
    has one layer only, 2H; context (N, M).
    """

    def __init__(self, wordvec_size, hidden_size, memory_size, dtype, rng):
        D, H, M = wordvec_size, hidden_size, memory_size
        Wq, v = normal(rng, (H, H), H**-0.5, dtype), normal(rng, (H,), H**-0.5, dtype)
        self.attention_weight = AttentionWeight(AdditiveScore(Wq, None, v))
        self.weight_sum = WeightSum()
        Wx = normal(rng, (D + M, 4 * H), (D + M) ** -0.5, dtype)
        Wh = normal(rng, (H, 4 * H), H**-0.5, dtype)
        self.lstm = LSTM(Wx, Wh, np.zeros(4 * H, dtype))

    def forward(self, x, h, c, keys, hs_enc, mask):
        """Return (h, context, attention weights (N, T_enc), and the state after the step: h, c)."""
        a = self.attention_weight.forward(keys, h, mask)
        context = self.weight_sum.forward(hs_enc, a)
        h, c = self.lstm.forward(np.concatenate((x, context), axis=1), h, c)
        return h, context, a, h, c

    def backward(self, dout, dcontext, da, dh, dc):
        """Three values were used twice, and the gradients of each are added.

        The output h went to the layers above and into the next step, the context into this LSTM and to the layers
        above, the state before into the LSTM and the query. dcontext is None where no layer is above; da: the gradient
        of a loss on the weights, or None. Return (dx, dh, dc, dkeys, dhs_enc).
        """
        dboth, dh, dc = self.lstm.backward(dout + dh, dc)  # (N, D + M)
        D = dboth.shape[1] - self.weight_sum.cache[0].shape[2]
        dcontext = dboth[:, D:] if dcontext is None else dboth[:, D:] + dcontext
        dhs_enc, dweights = self.weight_sum.backward(dcontext)
        if da is not None:
            dweights += da
        dkeys, dquery = self.attention_weight.backward(dweights)
        return dboth[:, :D], dh + dquery, dc, dkeys, dhs_enc


class GNMTDecoder(AttentionDecoder):
    """Write the translation with L layers: the bottom one step by step, those above for all steps at once.

    Args: as for GNMT. ``weights`` holds those of the last forward call, (N, T_dec, T_enc).
    """

    def __init__(
        self, vocab_size, wordvec_size, hidden_size, *, layers, residual, dropout=0.0, dtype=np.float32, rng=None
    ):
        V, D, H = vocab_size, wordvec_size, hidden_size
        M = 2 * H if layers == 1 else H  # with one layer the encoder hands over the states of both readers
        self.residual = residual
        self.embed = init_embedding(V, D, dtype, rng)
        self.embed_dropout = TimeDropout(dropout, rng)
        self.keys = init_affine(M, H, dtype, rng)
        self.bottom = Unroll(GNMTStep(D, H, M, dtype, rng), states=2)
        self.lstms = [init_lstm(H + M, H, dtype, rng, stateful=True) for _ in range(1, layers)]  # layers 1 to L-1
        self.dropouts = [TimeDropout(dropout, rng) for _ in self.lstms]
        self.dropout = TimeDropout(dropout, rng)
        self.affine = init_affine(H, V, dtype, rng)
        self.weights = None

    def forward(self, xs, hs_enc, mask, *first):
        """Return logits (N, T, V) for the words after xs (N, T) ids. Args: hs_enc, mask, first, of the encoder."""
        keys = self.keys.forward(hs_enc)  # (N, T_enc, H), once for all steps
        embedded = self.embed_dropout.forward(self.embed.forward(xs))  # (N, T, D)
        hs, contexts, self.weights, *_ = self.bottom.forward(embedded, *first[:2], keys, hs_enc, mask)
        return self._above(hs, contexts, first[2:])

    def _above(self, hs, contexts, first):
        """Return the logits (N, T, V). Args: hs (N, T, H) of the bottom layer; first, where the layers above start."""
        for k, (lstm, dropout) in enumerate(zip(self.lstms, self.dropouts, strict=True), 1):
            lstm.set_state(*first[2 * k - 2 : 2 * k])
            below, hs = hs, lstm.forward(np.concatenate((dropout.forward(hs), contexts), axis=2))
            if self.residual and k >= FIRST_RESIDUAL:
                hs += below
        return self.affine.forward(self.dropout.forward(hs))

    def backward(self, dlogits):
        """The contexts went to every layer, hs_enc became keys and values: the gradients of each are added up.

        Return (dhs_enc, of the shape of hs_enc, then dh and dc (N, H) of the first state of each layer).
        """
        dhs, dcontexts = self.dropout.backward(self.affine.backward(dlogits)), None
        H = dhs.shape[2]
        for k in range(len(self.lstms), 0, -1):
            dboth = self.lstms[k - 1].backward(dhs)  # (N, T, H + M)
            dcontexts = dboth[:, :, H:] if dcontexts is None else dcontexts + dboth[:, :, H:]
            dbelow = self.dropouts[k - 1].backward(dboth[:, :, :H])
            if self.residual and k >= FIRST_RESIDUAL:
                dbelow += dhs
            dhs = dbelow
        dxs, *dfirst, dkeys, dhs_enc = self.bottom.backward(dhs, dcontexts, None)
        dhs_enc += self.keys.backward(dkeys)
        self.embed.backward(self.embed_dropout.backward(dxs))
        return dhs_enc, *dfirst, *(d for lstm in self.lstms for d in (lstm.dh, lstm.dc))

    def start(self, encoded):
        """Return the state before the first step: (hs_enc, keys, mask, then h and c of each layer).

        Args: encoded, what the encoder returned.
        """
        hs_enc, mask, *first = encoded
        return hs_enc, self.keys.forward(hs_enc), mask, *first

    def step(self, ids, state):
        """Read one word for every row, ids (N,).

        Returns: (logits (N, V), the state after it, attention weights (N, T_enc)).
        """
        hs_enc, keys, mask, h, c, *first = state
        x = self.embed_dropout.forward(self.embed.forward(ids))  # (N, D)
        out, context, a, h, c = self.bottom.step.forward(x, h, c, keys, hs_enc, mask)
        logits = self._above(out[:, None], context[:, None], first)[:, 0]  # (N, V)
        above = (array for lstm in self.lstms for array in state_of(lstm))
        return logits, (hs_enc, keys, mask, h, c, *above), a


class GNMT(Seq2seq):
    """A translator of ``layers`` LSTMs in encoder and decoder each.

    Args:
        source_vocab_size, target_vocab_size, wordvec_size D; hidden_size H of every LSTM and of the score.
        layers: of the encoder and of the decoder, at least 1. The encoder's bottom layer has two LSTMs.
        residual: whether a layer's output has its input added to it, from the third layer from the bottom on.
        dropout: the share of the numbers that are dropped in training of what each LSTM reads from below (not of the
            contexts, nor of what a residual connection adds) and of what the output layer reads.
        label_smoothing: the share of the target that all words get alike in training, see ``CrossEntropy``.
        pad_id: the id of padding, in questions and answers.
        dtype: of the weights. rng: a NumPy Generator, a seed, or None for NumPy's global state.

    Raises: ValueError for less than one layer. Source: Wu et al. 2016, section 3.
    """

    def __init__(
        self,
        source_vocab_size,
        target_vocab_size,
        wordvec_size,
        hidden_size,
        *,
        layers=4,
        residual=True,
        dropout=0.0,
        label_smoothing=0.0,
        pad_id=0,
        dtype=np.float32,
        rng=None,
    ):
        if layers < 1:
            raise ValueError(f"GNMT: layers must be at least 1, got {layers}")
        sizes = wordvec_size, hidden_size
        rng = None if rng is None else default_rng(rng)
        options = dict(layers=layers, residual=residual, dropout=dropout, dtype=dtype, rng=rng)
        self.encoder = GNMTEncoder(source_vocab_size, *sizes, pad_id=pad_id, **options)
        self.decoder = GNMTDecoder(target_vocab_size, *sizes, **options)
        self.softmax = TimeSoftmaxWithLoss(label_smoothing)
        self.softmax.ignore_label = pad_id

    def forward(self, xs, ts, decoder_xs=None):
        """Return the mean loss per word.

        Args: xs (N, T_enc) ids; ts (N, T_dec + 1) ids with the start mark first; both padded with ``pad_id``.
        decoder_xs (N, T_dec): what the decoder reads instead of ts[:, :-1]. Raises: ValueError for shapes that do not
        fit, and for a row of xs that is all padding.
        """
        decoder_xs = self.decoder_input(xs, ts, decoder_xs)
        hs_enc, mask, *last = self.encoder.forward(xs)  # (N, T_enc, M), (N, T_enc), h and c (N, H) of each layer
        logits = self.decoder.forward(decoder_xs, hs_enc, mask, *last)  # (N, T_dec, V)
        return self.softmax.forward(logits, ts[:, 1:], out=logits)

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into ``grads``."""
        dlogits = self.softmax.backward(dout)
        dhs_enc, *dlast = self.decoder.backward(dlogits)
        self.encoder.backward(dhs_enc, *dlast)
