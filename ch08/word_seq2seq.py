"""WordSeq2seq: a translator without attention. All that is known of a sentence stands in one state of an LSTM.

    xs -> embed -> LSTM -> its last state (h, c) --+
                                                   v
    ts -> embed ---------------------------------> LSTM -> hs -> affine -> logits

It is the model of chapter 7 with two vocabularies, and the decoder takes over all of the state, c as well as h.
Sentences of a batch are padded at their ends with ``pad_id``: the last state is that after the last word, and padding
does not count in the loss.

Source: Sutskever et al. 2014; here with one layer, and sentences are read from the first word to the last.
"""

from ch07.seq2seq import Decoder, Seq2seq
from common.base_model import Composite
from common.init import init_affine, init_embedding, init_lstm
from common.np import default_rng, np
from common.recurrent import state_of
from common.time_layers import TimeDropout, TimeSoftmaxWithLoss


class WordEncoder(Composite):
    """Read xs (N, T) ids; padding is skipped. Args: as for WordSeq2seq."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dropout=0.0, pad_id=0, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.pad_id = pad_id
        self.embed = init_embedding(V, D, dtype, rng)
        self.dropout = TimeDropout(dropout, rng)
        self.lstm = init_lstm(D, H, dtype, rng)
        self.cache = None

    def forward(self, xs):
        """Return the state after the last word of each row: h and c, (N, H) each.

        Raises: ValueError for a row that is all padding.
        """
        mask = xs != self.pad_id
        empty = np.flatnonzero(~mask.any(axis=1))
        if len(empty):
            raise ValueError(f"WordEncoder: row {int(empty[0])} of xs is all padding, so there is nothing to translate")
        hs = self.lstm.forward(self.dropout.forward(self.embed.forward(xs)), mask)  # (N, T, H)
        self.cache = hs.shape
        return self.lstm.h, self.lstm.c

    def backward(self, dh, dc):
        """Only the last state was used: dhs is 0. Args: dh and dc (N, H)."""
        dhs = np.zeros(self.cache, dh.dtype)  # (N, T, H)
        self.embed.backward(self.dropout.backward(self.lstm.backward(dhs, dh, dc)))


class WordDecoder(Decoder):
    """Write the translation from a state h and c (N, H). Args: as for WordSeq2seq."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dropout=0.0, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.embed = init_embedding(V, D, dtype, rng)
        self.embed_dropout = TimeDropout(dropout, rng)
        self.lstm = init_lstm(D, H, dtype, rng, stateful=True)
        self.dropout = TimeDropout(dropout, rng)
        self.affine = init_affine(H, V, dtype, rng)

    def forward(self, xs, h, c):
        """Return logits (N, T, V) for the words after xs (N, T) ids."""
        self.lstm.set_state(h, c)
        hs = self.lstm.forward(self.embed_dropout.forward(self.embed.forward(xs)))  # (N, T, H)
        return self.affine.forward(self.dropout.forward(hs))

    def backward(self, dlogits):
        """Back through the layers. Return dh and dc (N, H), which the first state received."""
        dhs = self.dropout.backward(self.affine.backward(dlogits))
        self.embed.backward(self.embed_dropout.backward(self.lstm.backward(dhs)))
        return self.lstm.dh, self.lstm.dc

    def start(self, encoded):
        """Return the state before the first step: what the encoder returned, (h, c)."""
        return encoded

    def step(self, ids, state):
        """Read one word for every row, ids (N,). Return (logits (N, V), the state after it, None)."""
        self.lstm.set_state(*state)
        hs = self.lstm.forward(self.embed_dropout.forward(self.embed.forward(ids[:, None])))  # (N, 1, H)
        return self.affine.forward(self.dropout.forward(hs[:, 0])), state_of(self.lstm), None


class WordSeq2seq(Seq2seq):
    """A translator in which one state carries the whole sentence.

    Args:
        source_vocab_size, target_vocab_size, wordvec_size D, hidden_size H of both LSTMs.
        dropout: the share of the numbers of the embeddings, and of the states before the output layer, that are dropped
            in training.
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
        label_smoothing=0.0,
        pad_id=0,
        dtype=np.float32,
        rng=None,
    ):
        sizes = wordvec_size, hidden_size
        rng = None if rng is None else default_rng(rng)
        options = dict(dropout=dropout, dtype=dtype, rng=rng)
        self.encoder = WordEncoder(source_vocab_size, *sizes, pad_id=pad_id, **options)
        self.decoder = WordDecoder(target_vocab_size, *sizes, **options)
        self.softmax = TimeSoftmaxWithLoss(label_smoothing)
        self.softmax.ignore_label = pad_id

    def forward(self, xs, ts, decoder_xs=None):
        """Return the mean loss per word. Args: as for ``BahdanauSeq2seq.forward``."""
        decoder_xs = self.decoder_input(xs, ts, decoder_xs)
        h, c = self.encoder.forward(xs)  # (N, H) each
        logits = self.decoder.forward(decoder_xs, h, c)  # (N, T_dec, V)
        return self.softmax.forward(logits, ts[:, 1:], out=logits)

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into ``grads``."""
        dlogits = self.softmax.backward(dout)
        dh, dc = self.decoder.backward(dlogits)
        self.encoder.backward(dh, dc)
