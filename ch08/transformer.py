"""Transformer: a translator without recurrence. Every word looks at all words, many times over.

    xs -> embed * sqrt(D) + positions -> [self-attention, feed-forward] x L -> hs_enc (N, T_enc, D)
                                                                                  | keys and values of every layer
    ts -> embed * sqrt(D) + positions -> [causal self-attention, cross attention, feed-forward] x L -> affine -> logits

Around every part of a layer there are a residual connection, dropout, and a layer norm, which stands in one of two
places:

    pre-norm     x + dropout(part(norm(x)))        and a norm at the end of each stack
    post-norm    norm(x + dropout(part(x)))        as the paper has it

Nothing waits for the step before, so in training all steps are computed at once; a causal mask keeps a step from seeing
the word it is to predict. In use the decoder takes one step after the other and keeps keys and values of earlier words.

Sentences of a batch are padded at their ends with ``pad_id``, and padding counts nowhere: the encoder's padding has
weight 0 in all attention, the decoder's comes after all words, where none of them looks, and the loss leaves it out.

Sources: Vaswani et al. 2017 (the model); Xiong et al. 2020 (pre-norm); Press and Wolf 2017 (tied embeddings).
"""

import math

from ch07.seq2seq import Seq2seq
from ch08.attention_seq2seq import AttentionDecoder
from ch08.multi_head_attention import LearnedPositions, MultiHeadAttention, SinusoidalPositions
from common.base_model import Composite
from common.init import init_affine, init_embedding, init_layer_norm
from common.layers import Relu, cached, cast, check_dout, write_grads
from common.np import default_rng, normal, np
from common.time_layers import TimeDropout, TimeEmbedding, TimeSoftmaxWithLoss


class PreNorm(Composite):
    """y = x + dropout(part(norm(x))): what stands around a part of a layer, before it and after it.

    ``read`` makes what the part reads of x, and ``forward`` makes y of x and what the part returned. Backward, it is
    ``backward``, the part, and ``read_backward``. Shapes: all (N, T, D).
    """

    def __init__(self, wordvec_size, dropout, dtype, rng):
        self.norm = init_layer_norm(wordvec_size, dtype)
        self.dropout = TimeDropout(dropout, rng)

    def read(self, x):
        """Return norm(x)."""
        return self.norm.forward(x)

    def forward(self, x, out):
        """Return x + dropout(out). Args: out, what the part returned."""
        y = self.dropout.forward(out)
        y += x
        return y

    def backward(self, dy):
        """Return (dx, dout): each term of the sum gets dy."""
        return dy, self.dropout.backward(dy)

    def read_backward(self, dx, dread):
        """x went past the part and, through the norm, into it: return the sum. Args: dread, what the part returned."""
        dx_norm = self.norm.backward(dread)
        dx_norm += dx
        return dx_norm


class PostNorm(PreNorm):
    """y = norm(x + dropout(part(x))): what stands around a part of a layer, before it and after it. Use: as PreNorm."""

    def read(self, x):
        """Return x."""
        return x

    def forward(self, x, out):
        """Return norm(x + dropout(out)). Args: out, what the part returned."""
        return self.norm.forward(super().forward(x, out))

    def backward(self, dy):
        """Return (dx, dout): each term of the sum gets what the norm hands back."""
        return super().backward(self.norm.backward(dy))

    def read_backward(self, dx, dread):
        """x went past the part and into it: return the sum. Args: dread, what the part returned."""
        dread += dx
        return dread


class FeedForward(Composite):
    """y = relu(x W1 + b1) W2 + b2, for every step by itself. Shapes: x and y (N, T, D), between them (N, T, H)."""

    def __init__(self, wordvec_size, hidden_size, dtype, rng):
        D, H = wordvec_size, hidden_size
        self.affine1 = init_affine(D, H, dtype, rng)
        self.relu = Relu()
        self.affine2 = init_affine(H, D, dtype, rng)

    def forward(self, x):
        """Return y."""
        return self.affine2.forward(self.relu.forward(self.affine1.forward(x)))

    def backward(self, dout):
        """Back through the three layers. Return dx."""
        return self.affine1.backward(self.relu.backward(self.affine2.backward(dout)))


class EncoderLayer(Composite):
    """Self-attention, then feed-forward. Shapes: x and y (N, T, D), mask (N, T). Args: as for Transformer."""

    def __init__(self, wordvec_size, hidden_size, heads, pre_norm, dropout, dtype, rng):
        D, H = wordvec_size, hidden_size
        Around = PreNorm if pre_norm else PostNorm
        self.attention = MultiHeadAttention(D, heads, dtype=dtype, rng=rng)
        self.around_attention = Around(D, dropout, dtype, rng)
        self.feed_forward = FeedForward(D, H, dtype, rng)
        self.around_feed_forward = Around(D, dropout, dtype, rng)

    def forward(self, x, mask=None):
        """Return y. mask: bool, True = a word."""
        out = self.attention.forward(self.around_attention.read(x), mask=mask)
        x = self.around_attention.forward(x, out)
        out = self.feed_forward.forward(self.around_feed_forward.read(x))
        return self.around_feed_forward.forward(x, out)

    def backward(self, dy):
        """The two parts in reverse order. Return dx."""
        dx, dout = self.around_feed_forward.backward(dy)
        dx = self.around_feed_forward.read_backward(dx, self.feed_forward.backward(dout))
        dx, dout = self.around_attention.backward(dx)
        return self.around_attention.read_backward(dx, self.attention.backward(dout))


class DecoderLayer(Composite):
    """Causal self-attention, cross attention, then feed-forward. Args: as for Transformer.

    Shapes: x and y (N, T, D), hs_enc (N, T_enc, D), mask (N, T_enc).
    """

    def __init__(self, wordvec_size, hidden_size, heads, pre_norm, dropout, dtype, rng):
        D, H = wordvec_size, hidden_size
        Around = PreNorm if pre_norm else PostNorm
        self.attention = MultiHeadAttention(D, heads, causal=True, dtype=dtype, rng=rng)
        self.around_attention = Around(D, dropout, dtype, rng)
        self.cross_attention = MultiHeadAttention(D, heads, dtype=dtype, rng=rng)
        self.around_cross_attention = Around(D, dropout, dtype, rng)
        self.feed_forward = FeedForward(D, H, dtype, rng)
        self.around_feed_forward = Around(D, dropout, dtype, rng)

    def forward(self, hs_enc, x, mask=None):
        """Return y. mask: bool, True = a word of the sentence that was read."""
        out = self.attention.forward(self.around_attention.read(x))
        x = self.around_attention.forward(x, out)
        out = self.cross_attention.forward(hs_enc, self.around_cross_attention.read(x), mask)
        x = self.around_cross_attention.forward(x, out)
        out = self.feed_forward.forward(self.around_feed_forward.read(x))
        return self.around_feed_forward.forward(x, out)

    def backward(self, dy):
        """The three parts in reverse order. Return (dhs_enc, dx)."""
        dx, dout = self.around_feed_forward.backward(dy)
        dx = self.around_feed_forward.read_backward(dx, self.feed_forward.backward(dout))
        dx, dout = self.around_cross_attention.backward(dx)
        dhs_enc, dread = self.cross_attention.backward(dout)
        dx = self.around_cross_attention.read_backward(dx, dread)
        dx, dout = self.around_attention.backward(dx)
        return dhs_enc, self.around_attention.read_backward(dx, self.attention.backward(dout))

    def step(self, x, kv, kv_enc, mask):
        """Take one step, x (N, 1, D). It is forward for the last of t + 1 steps.

        Args: kv (N, t, 2D), keys and values of the t steps before; kv_enc (N, T_enc, 2D), those of the encoder.
        Returns: (y (N, 1, D), kv (N, t + 1, 2D), a new array).
        """
        out, kv = self.attention.step(self.around_attention.read(x), kv)
        x = self.around_attention.forward(x, out)
        out = self.cross_attention.ask(self.around_cross_attention.read(x), kv_enc, mask)
        x = self.around_cross_attention.forward(x, out)
        out = self.feed_forward.forward(self.around_feed_forward.read(x))
        return self.around_feed_forward.forward(x, out), kv


class TiedAffine:
    """y = x W^T + b: the logit of a word is how well x matches its embedding, a row of W.

    Shapes: x (N, T, D), W (V, D), the array of a TimeEmbedding, b (V,), y (N, T, V).
    Each of the two layers has a gradient of its own; an optimizer adds them up (``common.optimizer.merge_tied``).
    """

    param_names = ("W", "b")

    def __init__(self, W, b):
        self.params = [W, b]
        self.grads = [np.zeros_like(W), np.zeros_like(b)]
        self.cache = None

    def forward(self, x):
        """Return y."""
        W, b = self.params
        (x,) = cast(W.dtype, x)
        y = np.matmul(x.reshape(-1, W.shape[1]), W.T).reshape(*x.shape[:-1], len(W))
        y += b
        self.cache = x
        return y

    def backward(self, dout):
        """dx = dout W; dW = dout^T x and db = sum of dout, both over all steps. Return dx."""
        W, _ = self.params
        dW, db = self.grads
        x = cached(self)
        check_dout(self, dout, (*x.shape[:-1], len(W)))
        (dout,) = cast(W.dtype, dout)
        write_grads(self, (dW, dout, x), (db, None, dout))
        return np.matmul(dout.reshape(-1, len(W)), W).reshape(x.shape)


def init_positions(positions, max_length, wordvec_size, dtype, rng):
    """Return the layer of this name, "sinusoidal" or "learned". Raises: ValueError for an unknown one."""
    if positions == "sinusoidal":
        return SinusoidalPositions()
    if positions == "learned":
        return LearnedPositions(normal(rng, (max_length, wordvec_size), wordvec_size**-0.5, dtype))
    raise ValueError(f'Transformer: positions must be "sinusoidal" or "learned", got {positions!r}')


class TransformerEncoder(Composite):
    """Read xs (N, T) ids; padding has no weight anywhere. Args: as for Transformer."""

    def __init__(
        self,
        vocab_size,
        wordvec_size,
        hidden_size,
        *,
        layers=3,
        heads=8,
        pre_norm=True,
        positions="sinusoidal",
        max_length=512,
        dropout=0.0,
        pad_id=0,
        dtype=np.float32,
        rng=None,
    ):
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.pad_id, self.scale = pad_id, math.sqrt(D)
        self.embed = init_embedding(V, D, dtype, rng, D**-0.5)
        self.positions = init_positions(positions, max_length, D, dtype, rng)
        self.dropout = TimeDropout(dropout, rng)
        self.layers = [EncoderLayer(D, H, heads, pre_norm, dropout, dtype, rng) for _ in range(layers)]
        self.norm = init_layer_norm(D, dtype) if pre_norm else None

    def forward(self, xs):
        """Return all that the decoder needs: hs (N, T, D) and mask (N, T), True = a word.

        Raises: ValueError for a row that is all padding.
        """
        mask = xs != self.pad_id
        empty = np.flatnonzero(~mask.any(axis=1))
        if len(empty):
            raise ValueError(
                f"TransformerEncoder: row {int(empty[0])} of xs is all padding, so there is nothing to attend to"
            )
        x = self.embed.forward(xs)
        x *= self.scale  # (N, T, D)
        x = self.dropout.forward(self.positions.forward(x))
        for layer in self.layers:
            x = layer.forward(x, mask)
        return x if self.norm is None else self.norm.forward(x), mask

    def backward(self, dhs):
        """The layers in reverse order. Args: dhs (N, T, D)."""
        dx = dhs if self.norm is None else self.norm.backward(dhs)
        for layer in reversed(self.layers):
            dx = layer.backward(dx)
        dx = self.positions.backward(self.dropout.backward(dx))
        self.embed.backward(dx * self.scale)


class TransformerDecoder(AttentionDecoder):
    """Write the translation. Args: as for Transformer; with ``W`` (V, D), the embedding uses this array.

    ``weights`` holds those of the last forward call, (N, T_dec, T_enc): of the last layer's cross attention, the mean
    over its heads. Those of layer l and all heads, (N, M, T_dec, T_enc), are ``layers[l].cross_attention.weights``.
    """

    def __init__(
        self,
        vocab_size,
        wordvec_size,
        hidden_size,
        *,
        layers=3,
        heads=8,
        pre_norm=True,
        positions="sinusoidal",
        max_length=512,
        tied=False,
        dropout=0.0,
        dtype=np.float32,
        rng=None,
        W=None,
    ):
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.scale = math.sqrt(D)
        self.embed = init_embedding(V, D, dtype, rng, D**-0.5) if W is None else TimeEmbedding(W)
        self.positions = init_positions(positions, max_length, D, dtype, rng)
        self.dropout = TimeDropout(dropout, rng)
        self.layers = [DecoderLayer(D, H, heads, pre_norm, dropout, dtype, rng) for _ in range(layers)]
        self.norm = init_layer_norm(D, dtype) if pre_norm else None
        if tied:
            self.affine = TiedAffine(self.embed.params[0], np.zeros(V, dtype))
        else:
            self.affine = init_affine(D, V, dtype, rng)
        self.weights = None

    def forward(self, xs, hs_enc, mask):
        """Return logits (N, T, V) for the words after xs (N, T) ids. Args: hs_enc, mask, of the encoder."""
        x = self.embed.forward(xs)
        x *= self.scale  # (N, T, D)
        x = self.dropout.forward(self.positions.forward(x))
        for layer in self.layers:
            x = layer.forward(hs_enc, x, mask)
        self.weights = self.layers[-1].cross_attention.weights.mean(axis=1)  # (N, T, T_enc)
        return self.affine.forward(x if self.norm is None else self.norm.forward(x))

    def backward(self, dlogits):
        """The layers in reverse order. All of them asked hs_enc: its gradients are added. Return dhs_enc."""
        dx = self.affine.backward(dlogits)
        dx = dx if self.norm is None else self.norm.backward(dx)
        dhs_enc, dx = self.layers[-1].backward(dx)
        for layer in reversed(self.layers[:-1]):
            dhs, dx = layer.backward(dx)
            dhs_enc += dhs
        dx = self.positions.backward(self.dropout.backward(dx))
        self.embed.backward(dx * self.scale)
        return dhs_enc

    def start(self, encoded):
        """Return the state before the first step, a tuple of 1 + 2L arrays. Args: encoded, what the encoder returned.

        They are the mask; for every layer the encoder's keys and values, (N, T_enc, 2D), which no step changes; and for
        every layer those of the words read so far, (N, t, 2D), here with t = 0.
        """
        hs_enc, mask = encoded
        N, _, D = hs_enc.shape
        known = [layer.cross_attention.key_value.forward(hs_enc) for layer in self.layers]
        return (mask, *known, *(np.empty((N, 0, 2 * D), kv.dtype) for kv in known))

    def step(self, ids, state):
        """Read one word for every row, ids (N,). Earlier words are not computed again.

        Returns: (logits (N, V), the state after it, attention weights (N, T_enc)).
        """
        L = len(self.layers)
        mask, known, own = state[0], state[1 : 1 + L], state[1 + L :]
        t = own[0].shape[1]
        x = self.embed.forward(ids[:, None])
        x *= self.scale  # (N, 1, D)
        x = self.dropout.forward(self.positions.forward(x, t))
        grown = []
        for layer, kv, kv_enc in zip(self.layers, own, known, strict=True):
            x, kv = layer.step(x, kv, kv_enc, mask)
            grown.append(kv)
        logits = self.affine.forward(x if self.norm is None else self.norm.forward(x))[:, 0]  # (N, V)
        weights = self.layers[-1].cross_attention.weights[:, :, 0].mean(axis=1)  # (N, T_enc)
        return logits, (mask, *known, *grown), weights


class Transformer(Seq2seq):
    """A translator of attention and feed-forward layers alone.

    Args:
        source_vocab_size, target_vocab_size.
        wordvec_size D: the width of the model, a multiple of ``heads``. hidden_size: that of the feed-forward layers.
        layers: of the encoder, and of the decoder. heads: of every attention.
        pre_norm: whether the norm stands before each part of a layer or, as in the paper, after the sum.
        positions: "sinusoidal", or "learned" for sentences of at most ``max_length`` words.
        tied: True, the output layer uses the embedding of the target; "all", the encoder uses it as well, for one
            vocabulary of both languages; False, all three are apart.
        dropout: the share of the numbers that are dropped in training, of the embeddings and of what each part of a
            layer adds.
        label_smoothing: the share of the target that all words get alike in training, see ``CrossEntropy``.
        pad_id: the id of padding, in questions and answers.
        dtype: of the weights. rng: a NumPy Generator, a seed, or None for NumPy's global state.

    First weights are normal: embeddings of variance 1 / D (times sqrt(D), they enter with variance 1), all others of
    variance 1 / (number of inputs); biases are 0.
    """

    def __init__(
        self,
        source_vocab_size,
        target_vocab_size,
        wordvec_size,
        hidden_size,
        *,
        layers=3,
        heads=8,
        pre_norm=True,
        positions="sinusoidal",
        max_length=512,
        tied=False,
        dropout=0.0,
        label_smoothing=0.0,
        pad_id=0,
        dtype=np.float32,
        rng=None,
    ):
        if layers < 1:
            raise ValueError(f"Transformer: layers must be at least 1, got {layers}")
        if tied not in (False, True, "all"):
            raise ValueError(f'Transformer: tied must be False, True or "all", got {tied!r}')
        if tied == "all" and source_vocab_size != target_vocab_size:
            raise ValueError(
                'Transformer: tied="all" needs one vocabulary of both languages, but there are '
                f"{source_vocab_size} words of the source and {target_vocab_size} of the target"
            )
        sizes = wordvec_size, hidden_size
        rng = None if rng is None else default_rng(rng)
        options = dict(layers=layers, heads=heads, pre_norm=pre_norm, dropout=dropout, dtype=dtype, rng=rng)
        options |= dict(positions=positions, max_length=max_length)
        self.encoder = TransformerEncoder(source_vocab_size, *sizes, pad_id=pad_id, **options)
        W = self.encoder.embed.params[0] if tied == "all" else None
        self.decoder = TransformerDecoder(target_vocab_size, *sizes, tied=bool(tied), W=W, **options)
        self.softmax = TimeSoftmaxWithLoss(label_smoothing)
        self.softmax.ignore_label = pad_id

    def forward(self, xs, ts, decoder_xs=None):
        """Return the mean loss per word.

        Args: xs (N, T_enc) ids; ts (N, T_dec + 1) ids with the start mark first; both padded with ``pad_id``.
        decoder_xs (N, T_dec): what the decoder reads instead of ts[:, :-1]. Raises: ValueError for shapes that do not
        fit, and for a row of xs that is all padding.
        """
        decoder_xs = self.decoder_input(xs, ts, decoder_xs)
        hs_enc, mask = self.encoder.forward(xs)  # (N, T_enc, D), (N, T_enc)
        logits = self.decoder.forward(decoder_xs, hs_enc, mask)  # (N, T_dec, V)
        return self.softmax.forward(logits, ts[:, 1:], out=logits)

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into ``grads``."""
        dlogits = self.softmax.backward(dout)
        dhs_enc = self.decoder.backward(dlogits)
        self.encoder.backward(dhs_enc)
