"""BahdanauSeq2seq: a translator with additive attention, the network that began it all.

    xs -> embed -+-> GRU, first to last ---+-- side by side --> hs_enc (N, T_enc, 2H) -> affine -> keys (N, T_enc, H)
                 +-> GRU, last to first ---+
                        |  the last state of each, side by side -> affine -> tanh -> h (N, H), the decoder's first state

    one step:  h_(t-1) --- query ---> additive score against the keys -> a_t -> c_t = a_t hs_enc
               (x_t, c_t) -> GRU -> h_t                            (h_t, c_t, x_t) -> affine -> logits

The query is the state before the step: the decoder looks first and reads its word then. Sentences of a batch are padded
at their ends with ``pad_id``, and padding counts nowhere: not in the encoder (each reader begins with a real word and
ends with one), not in the attention, not in the loss.

Sources: Bahdanau et al. 2015, section 3 and appendix A; here as the widely used PyTorch notes have it, with two last
states instead of one, an affine output instead of maxout, and dropout on the embeddings.
"""

from ch07.seq2seq import Seq2seq
from ch08.alignment import AlignmentLoss
from ch08.attention_layer import AttentionWeight, WeightSum
from ch08.attention_seq2seq import AttentionDecoder
from ch08.score_layers import AdditiveScore
from common.base_model import Composite, named_params, set_arrays
from common.init import init_affine, init_embedding
from common.layers import Dropout, Tanh
from common.np import default_rng, normal, np, uniform
from common.recurrent import Bidirectional, TimeGRU
from common.steps import GRU
from common.time_layers import TimeDropout, TimeSoftmaxWithLoss
from common.unroll import Unroll


def gru_weights(D, H, dtype, rng):
    """Return Wx (D, 3H), Wh (H, 3H), b and bh (3H,) of a GRU in PyTorch's form, as ``common.steps.GRU`` takes them."""
    Wx = normal(rng, (D, 3 * H), D**-0.5, dtype)
    Wh = normal(rng, (H, 3 * H), H**-0.5, dtype)
    return Wx, Wh, np.zeros(3 * H, dtype), np.zeros(3 * H, dtype)


def _time_gru(D, H, dtype, rng):
    Wx, Wh, b, bh = gru_weights(D, H, dtype, rng)
    return TimeGRU(Wx, Wh, b, bh=bh)


class BahdanauEncoder(Composite):
    """Read xs (N, T) ids in both directions; padding is skipped. Args: as for BahdanauSeq2seq."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dropout=0.0, pad_id=0, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.pad_id = pad_id
        self.embed = init_embedding(V, D, dtype, rng)
        self.dropout = TimeDropout(dropout, rng)
        self.gru = Bidirectional(_time_gru(D, H, dtype, rng), _time_gru(D, H, dtype, rng))
        self.fc = init_affine(2 * H, H, dtype, rng)
        self.tanh = Tanh()

    def forward(self, xs):
        """Return all that the decoder needs: hs (N, T, 2H), its first state h (N, H), mask (N, T), True = a word."""
        mask = xs != self.pad_id
        hs = self.gru.forward(self.dropout.forward(self.embed.forward(xs)), mask)  # (N, T, 2H)
        (ahead,), (back,) = self.gru.last_states  # (N, H) each: after the last word, and after the first
        h = self.tanh.forward(self.fc.forward(np.concatenate((ahead, back), axis=1)))  # (N, H)
        return hs, h, mask

    def backward(self, dhs, dh):
        """Args: dhs (N, T, 2H) and dh (N, H). Each GRU gets, for its last state, its half of what fc hands back."""
        dahead, dback = np.split(self.fc.backward(self.tanh.backward(dh)), 2, axis=1)
        dxs = self.gru.backward(dhs, (dahead,), (dback,))
        self.embed.backward(self.dropout.backward(dxs))


class BahdanauStep(Composite):
    """One step of the decoder. Shapes: x (N, D); h (N, H); keys (N, T_enc, H); hs_enc (N, T_enc, 2H)."""

    def __init__(self, wordvec_size, hidden_size, dropout, dtype, rng):
        D, H = wordvec_size, hidden_size
        self.dropout = Dropout(dropout, rng)
        Wq, v = normal(rng, (H, H), H**-0.5, dtype), normal(rng, (H,), H**-0.5, dtype)
        self.attention_weight = AttentionWeight(AdditiveScore(Wq, None, v))
        self.weight_sum = WeightSum()
        self.gru = GRU(*gru_weights(D + 2 * H, H, dtype, rng))

    def forward(self, x, h, keys, hs_enc, mask):
        """Return ([h; c; x] (N, 3H + D), attention weights (N, T_enc), and the state after the step: h)."""
        x = self.dropout.forward(x)
        a = self.attention_weight.forward(keys, h, mask)  # (N, T_enc)
        c = self.weight_sum.forward(hs_enc, a)  # (N, 2H)
        h = self.gru.forward(np.concatenate((x, c), axis=1), h)
        return np.concatenate((h, c, x), axis=1), a, h

    def backward(self, dout, da, dh):
        """x and c went to the GRU and to the output, the state before to the GRU and the query: all are added.

        da: what a loss says of the weights, or None. Return (dx, dh, dkeys, dhs_enc).
        """
        H = dh.shape[1]
        dh_out, dc_out, dx_out = dout[:, :H], dout[:, H : 3 * H], dout[:, 3 * H :]
        dboth, dh = self.gru.backward(dh + dh_out)  # (N, D + 2H) and (N, H)
        dhs_enc, dweights = self.weight_sum.backward(dboth[:, -2 * H :] + dc_out)
        if da is not None:
            dweights += da
        dkeys, dquery = self.attention_weight.backward(dweights)
        dx = self.dropout.backward(dboth[:, : -2 * H] + dx_out)
        return dx, dh + dquery, dkeys, dhs_enc


class BahdanauDecoder(AttentionDecoder):
    """Write the translation, one step after the other, in training as well. Args: as for BahdanauSeq2seq.

    ``weights`` holds those of the last forward call, (N, T_dec, T_enc); ``read`` the ids that it read, (N, T_dec).
    """

    def __init__(
        self,
        vocab_size,
        wordvec_size,
        hidden_size,
        *,
        dropout=0.0,
        teacher_forcing=1.0,
        dtype=np.float32,
        rng=None,
    ):
        V, D, H = vocab_size, wordvec_size, hidden_size
        if not 0 <= teacher_forcing <= 1:
            raise ValueError(f"teacher_forcing is a probability, in [0, 1], got {teacher_forcing}")
        self.teacher_forcing, self.rng, self.train_flg = teacher_forcing, rng, True
        self.embed = init_embedding(V, D, dtype, rng)
        self.keys = init_affine(2 * H, H, dtype, rng)
        self.steps = Unroll(BahdanauStep(D, H, dropout, dtype, rng), states=1)
        self.affine = init_affine(3 * H + D, V, dtype, rng)
        self.weights = self.read = None

    def forward(self, xs, hs_enc, h, mask):
        """Return logits (N, T, V) for the words after xs (N, T) ids. Args: hs_enc, h, mask, of the encoder.

        In training each step but the first reads the word of xs with the probability ``teacher_forcing``, and otherwise
        the one with the largest logit of the step before. In use (``eval``) it reads xs.
        """
        self.read = xs.copy()
        feed = self._own_word if self.train_flg and self.teacher_forcing < 1 else None
        keys = self.keys.forward(hs_enc)  # (N, T_enc, H), once for all steps
        embedded = self.embed.forward(xs)  # (N, T, D)
        outs, self.weights, _ = self.steps.forward(embedded, h, keys, hs_enc, mask, feed=feed)
        if feed:
            self.embed.forward(self.read)  # backward is to know what was read
        return self.affine.forward(outs)

    def _own_word(self, t, out, a):
        """Toss a coin for step t + 1. Return None, or the embedding (N, D) of the words that step t would write."""
        if float(uniform(self.rng, ())) < self.teacher_forcing:
            return None
        self.read[:, t + 1] = self.affine.forward(out).argmax(axis=1)
        return self.embed.forward(self.read[:, t + 1])

    def backward(self, dlogits, da=None):
        """hs_enc became the keys and the values: its gradients are added. A chosen word has no gradient.

        da: (N, T_dec, T_enc), what a loss says of the weights, or None. Return (dhs_enc (N, T_enc, 2H), dh (N, H)).
        """
        dxs, dh, dkeys, dhs_enc = self.steps.backward(self.affine.backward(dlogits), da)
        self.embed.backward(dxs)
        dhs_enc += self.keys.backward(dkeys)
        return dhs_enc, dh

    def start(self, encoded):
        """Return the state before the first step: (hs_enc, keys, mask, h). Args: encoded, what the encoder returned."""
        hs_enc, h, mask = encoded
        return hs_enc, self.keys.forward(hs_enc), mask, h

    def step(self, ids, state):
        """Read one word for every row, ids (N,).

        Returns: (logits (N, V), the state after it, attention weights (N, T_enc)).
        """
        hs_enc, keys, mask, h = state
        out, a, h = self.steps.step.forward(self.embed.forward(ids), h, keys, hs_enc, mask)
        return self.affine.forward(out), (hs_enc, keys, mask, h), a


class BahdanauSeq2seq(Seq2seq):
    """A translator with a reader for each direction and additive attention.

    ``alignment_loss`` is an AlignmentLoss; it counts where forward is given the gold alignment.

    Args:
        source_vocab_size, target_vocab_size, wordvec_size D; hidden_size H of the decoder, of each reader, and of the
            score.
        dropout: the share of the numbers of the embeddings that are dropped in training.
        teacher_forcing: the probability with which a step reads, in training, the right word rather than the model's
            own. With 1.0 all words are known before.
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
        dropout=0.0,
        teacher_forcing=1.0,
        label_smoothing=0.0,
        pad_id=0,
        dtype=np.float32,
        rng=None,
    ):
        sizes = wordvec_size, hidden_size
        rng = None if rng is None else default_rng(rng)
        options = dict(dropout=dropout, dtype=dtype, rng=rng)
        self.encoder = BahdanauEncoder(source_vocab_size, *sizes, pad_id=pad_id, **options)
        self.decoder = BahdanauDecoder(target_vocab_size, *sizes, teacher_forcing=teacher_forcing, **options)
        self.softmax = TimeSoftmaxWithLoss(label_smoothing)
        self.softmax.ignore_label = pad_id
        self.alignment_loss = AlignmentLoss()

    def forward(self, xs, ts, decoder_xs=None, gold=None):
        """Return the mean loss per word.

        Args: xs (N, T_enc) ids; ts (N, T_dec + 1) ids with the start mark first; both padded with ``pad_id``.
        decoder_xs (N, T_dec): what the decoder reads instead of ts[:, :-1]. gold: bool (N, T_dec, T_enc), where the
        attention should look; the loss then has ``alignment_loss`` added to it. Raises: ValueError for shapes that do
        not fit, and for a row of xs that is all padding.
        """
        decoder_xs = self.decoder_input(xs, ts, decoder_xs)
        hs_enc, h, mask = self.encoder.forward(xs)  # (N, T_enc, 2H), (N, H), (N, T_enc)
        logits = self.decoder.forward(decoder_xs, hs_enc, h, mask)  # (N, T_dec, V)
        loss = self.softmax.forward(logits, ts[:, 1:], out=logits)
        return loss + self.alignment_loss.forward(self.decoder.weights, gold, self.softmax.count)

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into ``grads``."""
        dlogits = self.softmax.backward(dout)
        da = self.alignment_loss.backward(dout)
        dhs_enc, dh = self.decoder.backward(dlogits, da)
        self.encoder.backward(dhs_enc, dh)

    @classmethod
    def from_torch(cls, arrays, *, dtype=np.float32, **options):
        """Return a model with the weights of the PyTorch notes' network of the same form.

        Args: arrays, a dict of NumPy arrays with the names of its ``state_dict``, such as ``encoder.rnn.weight_ih_l0``;
        options, ``dropout``, ``teacher_forcing`` and ``pad_id`` as for a new model (in the notes the id of padding is
        1). Raises: ValueError for a name that is missing or unknown, and for shapes that do not fit.
        """
        left = {name: np.asarray(array) for name, array in arrays.items()}

        def take(name):
            if name not in left:
                raise ValueError(f"from_torch: there is no array {name!r}; there are {', '.join(sorted(arrays))}")
            return left.pop(name)

        def affine(ours, theirs):
            return {f"{ours}.W": take(f"{theirs}.weight").T, f"{ours}.b": take(f"{theirs}.bias")}

        def gru(ours, theirs, end="_l0"):
            names = {"Wx": "weight_ih", "Wh": "weight_hh", "b": "bias_ih", "bh": "bias_hh"}
            return {f"{ours}.{name}": _gates(take(f"{theirs}.{names[name]}{end}")) for name in names}

        attention, bias = take("decoder.attention.attn.weight").T, take("decoder.attention.attn.bias")
        H = len(bias)  # the upper H rows of the matrix are the query's
        values = {
            "encoder.embed.W": take("encoder.embedding.weight"),
            **gru("encoder.gru.forward_layer", "encoder.rnn"),
            **gru("encoder.gru.backward_layer", "encoder.rnn", "_l0_reverse"),
            **affine("encoder.fc", "encoder.fc"),
            "decoder.embed.W": take("decoder.embedding.weight"),
            "decoder.keys.W": attention[H:],
            "decoder.keys.b": bias,
            "decoder.steps.step.attention_weight.score.Wq": attention[:H],
            "decoder.steps.step.attention_weight.score.v": take("decoder.attention.v.weight").reshape(-1),
            **gru("decoder.steps.step.gru", "decoder.rnn"),
            **affine("decoder.affine", "decoder.fc_out"),
        }
        if left:
            raise ValueError(f"from_torch: the model has no array {sorted(left)[0]!r}")
        V_source, D = values["encoder.embed.W"].shape
        model = cls(V_source, len(values["decoder.embed.W"]), D, H, dtype=dtype, rng=0, **options)
        params = named_params(model)
        for name, param in params.items():
            if values[name].shape != param.shape:
                raise ValueError(
                    f"from_torch: {name} is {values[name].shape}, but with D = {D} and H = {H} it must be {param.shape}"
                )
        set_arrays(values, params)
        return model


def _gates(W):
    """Return weights or a bias of PyTorch's GRU, gates r, z, n in rows, in our order z, r, h, in columns.

    Its z is 1 - z here, and 1 - sigmoid(x) = sigmoid(-x): the sign of these weights changes.
    """
    r, z, n = np.split(W, 3)
    return np.concatenate((-z, r, n)).T
