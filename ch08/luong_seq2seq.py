"""LuongSeq2seq: the LSTM reads first, then the attention is asked, in six steps.

    xs -> embed -> LSTM -> hs_enc (N, T_enc, H), and its last state (h, c), where the decoder's LSTM starts

    ts -> embed -> LSTM -> h_t
      1. score              s_t = score(h_t, hs_enc)          dot, general or concat
      2. distribution       a_t = softmax(s_t)
      3. value              context_t = a_t hs_enc
      4. concatenation      [context_t; h_t]
      5. attentional state  fed_t = tanh([context_t; h_t] Wc + bc)
      6. output             logits_t = fed_t W + b

The query is the state after the step, so all steps are computed at once. With input feeding the LSTM of step t + 1
reads fed_t beside its word: then the steps have to wait for one another.

Sentences of a batch are padded at their ends with ``pad_id``, and padding counts nowhere: not in the encoder, whose
last state is that of the last word, not in the attention, not in the loss.

Source: Luong et al. 2015, equations 5 to 8 (global attention) and section 3.3 (input feeding); here with one layer.
"""

from ch07.seq2seq import Seq2seq
from ch08.attention_layer import WeightSum
from ch08.attention_seq2seq import AttentionDecoder
from ch08.score_layers import AdditiveScore, DotScore, GeneralScore
from common.base_model import Composite
from common.init import init_affine, init_embedding, init_lstm
from common.layers import Softmax, Tanh
from common.np import default_rng, normal, np
from common.recurrent import Bidirectional, state_of
from common.steps import LSTM
from common.time_layers import TimeDropout, TimeSoftmaxWithLoss
from common.unroll import Unroll


def make_score(name, H, dtype, rng):
    """Return the score of this name for vectors of size H. Raises: ValueError for an unknown one."""
    if name == "dot":
        return DotScore()
    if name == "general":
        return GeneralScore(normal(rng, (H, H), H**-0.5, dtype))
    if name == "concat":
        shapes = (H, H), (H, H), (H,)
        return AdditiveScore(*(normal(rng, shape, H**-0.5, dtype) for shape in shapes))
    raise ValueError(f'LuongSeq2seq: score must be "dot", "general" or "concat", got {name!r}')


class LuongEncoder(Composite):
    """Read xs (N, T) ids; padding is skipped. Args: as for LuongSeq2seq.

    With ``bidirectional`` two LSTMs of half the size read, one from each end; their hidden states stand side by side.
    """

    def __init__(
        self,
        vocab_size,
        wordvec_size,
        hidden_size,
        *,
        bidirectional=False,
        dropout=0.0,
        pad_id=0,
        dtype=np.float32,
        rng=None,
    ):
        V, D, H = vocab_size, wordvec_size, hidden_size
        if bidirectional and H % 2:
            raise ValueError(f"LuongEncoder: two LSTMs share hidden_size, so it must be even, got {H}")
        self.pad_id, self.bidirectional = pad_id, bidirectional
        self.embed = init_embedding(V, D, dtype, rng)
        self.dropout = TimeDropout(dropout, rng)
        if bidirectional:
            self.lstm = Bidirectional(init_lstm(D, H // 2, dtype, rng), init_lstm(D, H // 2, dtype, rng))
        else:
            self.lstm = init_lstm(D, H, dtype, rng)

    def forward(self, xs):
        """Return all that the decoder needs: hs (N, T, H), the last h and c (N, H), mask (N, T), True = a word.

        Raises: ValueError for a row that is all padding.
        """
        mask = xs != self.pad_id
        empty = np.flatnonzero(~mask.any(axis=1))
        if len(empty):
            raise ValueError(
                f"LuongEncoder: row {int(empty[0])} of xs is all padding, so there is nothing to attend to"
            )
        hs = self.lstm.forward(self.dropout.forward(self.embed.forward(xs)), mask)  # (N, T, H)
        if self.bidirectional:
            ahead, back = self.lstm.last_states  # (h, c) of each, (N, H / 2): after the last word, and after the first
            h, c = (np.concatenate(parts, axis=1) for parts in zip(ahead, back, strict=True))
        else:
            h, c = self.lstm.h, self.lstm.c
        return hs, h, c, mask

    def backward(self, dhs, dh, dc):
        """Args: dhs (N, T, H); dh and dc (N, H), the gradients of the last state."""
        dlast = dh, dc
        if self.bidirectional:
            dlast = zip(np.split(dh, 2, axis=1), np.split(dc, 2, axis=1), strict=True)  # each LSTM's half of both
        self.embed.backward(self.dropout.backward(self.lstm.backward(dhs, *dlast)))


class LuongAttention(Composite):
    """From hidden states and a query to the attentional state: steps 1 to 5.

    Args: score, a layer of ``ch08.score_layers``; hidden_size H. Shapes: hs (N, T, H); h (N, H) -> fed (N, H) and
    a (N, T), or h (N, T_dec, H) -> fed (N, T_dec, H) and a (N, T_dec, T).
    """

    def __init__(self, score, hidden_size, dtype, rng):
        H = hidden_size
        self.score = score
        self.softmax = Softmax()
        self.weight_sum = WeightSum()
        self.affine = init_affine(2 * H, H, dtype, rng)
        self.tanh = Tanh()

    def forward(self, hs, h, mask):
        """Return (fed, a). mask: (N, T) bool, False where hs is padding; there the weight is 0, exactly."""
        s = self.score.forward(hs, h)  # 1. score
        s = np.where(mask if s.ndim == 2 else mask[:, None], s, -np.inf)
        a = self.softmax.forward(s)  # 2. distribution
        context = self.weight_sum.forward(hs, a)  # 3. value
        both = np.concatenate((context, h), axis=-1)  # 4. concatenation, (..., 2H)
        fed = self.tanh.forward(self.affine.forward(both))  # 5. attentional state, (..., H)
        return fed, a

    def backward(self, dfed, da=None):
        """The five steps in reverse order. hs was compared and mixed, h asked and was joined: both have two gradients.

        da: what a loss says of the weights, or None. Return (dhs, dh).
        """
        dboth = self.affine.backward(self.tanh.backward(dfed))
        dcontext, dh = np.split(dboth, 2, axis=-1)
        dhs, dweights = self.weight_sum.backward(dcontext)
        if da is not None:
            dweights += da
        dhs_score, dquery = self.score.backward(self.softmax.backward(dweights))  # ds is 0 where the weight is 0
        return dhs + dhs_score, dh + dquery


class LuongDecoder(AttentionDecoder):
    """Write the translation. Args: as for LuongSeq2seq.

    ``weights`` holds those of the last forward call, (N, T_dec, T_enc).
    """

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, score="dot", dropout=0.0, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.embed = init_embedding(V, D, dtype, rng)
        self.embed_dropout = TimeDropout(dropout, rng)
        self.lstm = init_lstm(D, H, dtype, rng, stateful=True)
        self.attention = LuongAttention(make_score(score, H, dtype, rng), H, dtype, rng)
        self.dropout = TimeDropout(dropout, rng)
        self.affine = init_affine(H, V, dtype, rng)
        self.weights = None

    def forward(self, xs, hs_enc, h, c, mask):
        """Return logits (N, T, V) for the words after xs (N, T) ids. Args: hs_enc, h, c, mask, of the encoder."""
        self.lstm.set_state(h, c)
        hs = self.lstm.forward(self.embed_dropout.forward(self.embed.forward(xs)))  # (N, T, H)
        fed, self.weights = self.attention.forward(hs_enc, hs, mask)  # steps 1 to 5, (N, T, H)
        return self.affine.forward(self.dropout.forward(fed))  # 6. output

    def backward(self, dlogits):
        """Back through the layers. Return (dhs_enc (N, T_enc, H), dh and dc (N, H) of the first state)."""
        dfed = self.dropout.backward(self.affine.backward(dlogits))
        dhs_enc, dhs = self.attention.backward(dfed)
        self.embed.backward(self.embed_dropout.backward(self.lstm.backward(dhs)))
        return dhs_enc, self.lstm.dh, self.lstm.dc

    def start(self, encoded):
        """Return the state before the first step: (hs_enc, mask, the LSTM's h and c). Args: encoded, by the encoder."""
        hs_enc, h, c, mask = encoded
        return hs_enc, mask, h, c

    def step(self, ids, state):
        """Read one word for every row, ids (N,).

        Returns: (logits (N, V), the state after it, attention weights (N, T_enc)).
        """
        hs_enc, mask, *lstm_state = state
        self.lstm.set_state(*lstm_state)
        h = self.lstm.forward(self.embed_dropout.forward(self.embed.forward(ids[:, None])))[:, 0]  # (N, H)
        fed, a = self.attention.forward(hs_enc, h, mask)  # (N, H) and (N, T_enc)
        return self.affine.forward(self.dropout.forward(fed)), (hs_enc, mask, *state_of(self.lstm)), a


class LuongFeedingStep(Composite):
    """One step of the decoder with input feeding. Shapes: x (N, D); h, c, fed (N, H); hs_enc (N, T_enc, H)."""

    def __init__(self, attention, wordvec_size, hidden_size, dtype, rng):
        D, H = wordvec_size, hidden_size
        Wx = normal(rng, (D + H, 4 * H), (D + H) ** -0.5, dtype)
        Wh = normal(rng, (H, 4 * H), H**-0.5, dtype)
        self.lstm = LSTM(Wx, Wh, np.zeros(4 * H, dtype))
        self.attention = attention

    def forward(self, x, h, c, fed, hs_enc, mask):
        """Return (fed, attention weights (N, T_enc), and the state after the step: h, c, fed)."""
        h, c = self.lstm.forward(np.concatenate((x, fed), axis=1), h, c)
        fed, a = self.attention.forward(hs_enc, h, mask)  # steps 1 to 5
        return fed, a, h, c, fed

    def backward(self, dout, da, dh, dc, dfed):
        """fed went to the output and into the next step: its gradients are added. So are the two of h.

        da: what a loss says of the weights, or None. Return (dx, dh, dc, dfed, dhs_enc).
        """
        H = dh.shape[1]
        dhs_enc, dh_asked = self.attention.backward(dout + dfed, da)
        dboth, dh, dc = self.lstm.backward(dh + dh_asked, dc)  # (N, D + H)
        return dboth[:, :-H], dh, dc, dboth[:, -H:], dhs_enc


class LuongFeedingDecoder(AttentionDecoder):
    """A LuongDecoder with input feeding: it takes one step after the other, in training as well."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, score="dot", dropout=0.0, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.embed = init_embedding(V, D, dtype, rng)
        self.embed_dropout = TimeDropout(dropout, rng)
        attention = LuongAttention(make_score(score, H, dtype, rng), H, dtype, rng)
        self.steps = Unroll(LuongFeedingStep(attention, D, H, dtype, rng), states=3)
        self.dropout = TimeDropout(dropout, rng)
        self.affine = init_affine(H, V, dtype, rng)
        self.weights = None

    def forward(self, xs, hs_enc, h, c, mask):
        """Return logits (N, T, V) for the words after xs (N, T) ids. Args: hs_enc, h, c, mask, of the encoder."""
        embedded = self.embed_dropout.forward(self.embed.forward(xs))  # (N, T, D)
        fed = np.zeros_like(h)  # nothing was fed yet
        outs, self.weights, *_ = self.steps.forward(embedded, h, c, fed, hs_enc, mask)
        return self.affine.forward(self.dropout.forward(outs))  # 6. output

    def backward(self, dlogits):
        """Back through the layers. Return (dhs_enc (N, T_enc, H), dh and dc (N, H) of the first state)."""
        douts = self.dropout.backward(self.affine.backward(dlogits))
        dxs, dh, dc, _, dhs_enc = self.steps.backward(douts, None)
        self.embed.backward(self.embed_dropout.backward(dxs))
        return dhs_enc, dh, dc

    def start(self, encoded):
        """Return the state before the first step: (hs_enc, mask, the LSTM's h and c, fed)."""
        hs_enc, h, c, mask = encoded
        return hs_enc, mask, h, c, np.zeros_like(h)

    def step(self, ids, state):
        """Read one word for every row, ids (N,). Returns: as for LuongDecoder."""
        hs_enc, mask, *state = state
        x = self.embed_dropout.forward(self.embed.forward(ids))  # (N, D)
        out, a, *state = self.steps.step.forward(x, *state, hs_enc, mask)
        return self.affine.forward(self.dropout.forward(out)), (hs_enc, mask, *state), a


class LuongSeq2seq(Seq2seq):
    """A translator with Luong's global attention.

    Args:
        source_vocab_size, target_vocab_size, wordvec_size D, hidden_size H of both LSTMs.
        score: "dot", "general" or "concat". input_feeding: whether the attentional state is read at the next step.
        bidirectional: whether two LSTMs of half the size read the sentence, one from each end. The paper has one.
        dropout: the share of the numbers of the embeddings and of the attentional states before the output layer that
            are dropped in training.
        label_smoothing: the share of the target that all words get alike in training, see ``CrossEntropy``.
        pad_id: the id of padding, in questions and answers.
        dtype: of the weights. rng: a NumPy Generator, a seed, or None for NumPy's global state.
    """

    def __init__(
        self,
        source_vocab_size,
        target_vocab_size,
        wordvec_size,
        hidden_size,
        *,
        score="dot",
        input_feeding=False,
        bidirectional=False,
        dropout=0.0,
        label_smoothing=0.0,
        pad_id=0,
        dtype=np.float32,
        rng=None,
    ):
        sizes = wordvec_size, hidden_size
        rng = None if rng is None else default_rng(rng)
        options = dict(dropout=dropout, dtype=dtype, rng=rng)
        decoder = LuongFeedingDecoder if input_feeding else LuongDecoder
        self.encoder = LuongEncoder(source_vocab_size, *sizes, bidirectional=bidirectional, pad_id=pad_id, **options)
        self.decoder = decoder(target_vocab_size, *sizes, score=score, **options)
        self.softmax = TimeSoftmaxWithLoss(label_smoothing)
        self.softmax.ignore_label = pad_id

    def forward(self, xs, ts, decoder_xs=None):
        """Return the mean loss per word.

        Args: xs (N, T_enc) ids; ts (N, T_dec + 1) ids with the start mark first; both padded with ``pad_id``.
        decoder_xs (N, T_dec): what the decoder reads instead of ts[:, :-1]. Raises: ValueError for shapes that do not
        fit, and for a row of xs that is all padding.
        """
        decoder_xs = self.decoder_input(xs, ts, decoder_xs)
        hs_enc, h, c, mask = self.encoder.forward(xs)  # (N, T_enc, H), twice (N, H), (N, T_enc)
        logits = self.decoder.forward(decoder_xs, hs_enc, h, c, mask)  # (N, T_dec, V)
        return self.softmax.forward(logits, ts[:, 1:], out=logits)

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into ``grads``."""
        dlogits = self.softmax.backward(dout)
        dhs_enc, dh, dc = self.decoder.backward(dlogits)
        self.encoder.backward(dhs_enc, dh, dc)
