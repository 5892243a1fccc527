"""Seq2seq: one LSTM reads the question into a single vector, another writes the answer from it.

Source: Sutskever et al. 2014; the book, sections 7.2 and 7.3.
"""

from common.base_model import BaseModel, Composite
from common.decoding import greedy, spread
from common.init import init_affine, init_embedding, init_lstm
from common.np import default_rng, np
from common.parallel import exclusive
from common.recurrent import state_of
from common.time_layers import TimeSoftmaxWithLoss


class Encoder(Composite):
    """Read xs (N, T) ids; hand over the last hidden state h (N, H).

    Args: vocab_size V, wordvec_size D, hidden_size H; dtype of the weights; rng, a NumPy Generator, a seed, or None
    for NumPy's global state.
    """

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.embed = init_embedding(V, D, dtype, rng)
        self.lstm = init_lstm(D, H, dtype, rng)
        self.cache = None

    def forward(self, xs):
        """Return h (N, H), the hidden state after the last character."""
        hs = self.lstm.forward(self.embed.forward(xs))  # (N, T, H)
        self.cache = hs.shape
        return np.ascontiguousarray(hs[:, -1])

    def backward(self, dh):
        """Only the last state was used, so dhs is 0 except dhs[:, -1] = dh (N, H)."""
        dhs = np.zeros(self.cache, dh.dtype)  # (N, T, H)
        dhs[:, -1] = dh
        self.embed.backward(self.lstm.backward(dhs))


class Decoder(Composite):
    """Write the answer: an LSTM that starts from h (N, H), and an affine layer to logits over the vocabulary.

    Args: as for Encoder. In training the right answer is fed in, shifted by one step (teacher forcing): ``forward``
    takes all of it at once. In use the decoder is fed what it wrote last, one ``step`` at a time.
    """

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.embed = init_embedding(V, D, dtype, rng)
        self.lstm = init_lstm(D, H, dtype, rng, stateful=True)
        self.affine = init_affine(H, V, dtype, rng)

    def forward(self, xs, h):
        """Return logits (N, T, V) for the characters after xs (N, T) ids."""
        self.lstm.set_state(h)
        hs = self.lstm.forward(self.embed.forward(xs))  # (N, T, H)
        return self.affine.forward(hs)

    def backward(self, dlogits):
        """Back through the three layers; return dh (N, H), which the LSTM's first state received."""
        dhs = self.affine.backward(dlogits)
        self.embed.backward(self.lstm.backward(dhs))
        return self.lstm.dh

    def start(self, h):
        """Return the state before the first step, (h,). A state of the LSTM is (h, c); a c that is left out is 0."""
        return (h,)

    def step(self, ids, state):
        """Read one character for every row, ids (N,); return (logits (N, V), the state after it, None)."""
        self.lstm.set_state(*state)
        h = self.lstm.forward(self.embed.forward(ids[:, None]))  # (N, 1, H)
        logits = self.affine.forward(h)[:, 0]  # (N, V)
        return logits, state_of(self.lstm), None

    def generate(self, h, start_id, sample_size):
        """Return the list of ids written from h (1, H): each time the one with the largest logit."""
        ids, state = [int(start_id)], self.start(h)
        for _ in range(sample_size):
            logits, state, _ = self.step(np.array(ids[-1:]), state)
            ids.append(int(logits.argmax()))
        return ids[1:]


class Seq2seq(BaseModel):
    """Encoder and decoder, joined by one vector of size H.

    Args: vocab_size, wordvec_size, hidden_size; dtype of the weights; rng, a NumPy Generator, a seed, or None for
    NumPy's global state.
    """

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        sizes = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.encoder = Encoder(*sizes, dtype=dtype, rng=rng)
        self.decoder = Decoder(*sizes, dtype=dtype, rng=rng)
        self.softmax = TimeSoftmaxWithLoss()

    def forward(self, xs, ts, decoder_xs=None):
        """Return the mean loss per character.

        Args: xs (N, T_enc) ids of the questions; ts (N, T_dec + 1) ids of the answers with the start mark first. The
        decoder reads ``decoder_xs`` (N, T_dec), or ts[:, :-1] without it, and is to write ts[:, 1:].
        """
        decoder_xs = self.decoder_input(xs, ts, decoder_xs)
        h = self.encoder.forward(xs)
        logits = self.decoder.forward(decoder_xs, h)
        return self.softmax.forward(logits, ts[:, 1:])

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into ``grads``."""
        dlogits = self.softmax.backward(dout)
        dh = self.decoder.backward(dlogits)
        self.encoder.backward(dh)

    @property
    def count(self):
        """The number of characters that the loss of the last forward call is a mean over."""
        return self.softmax.count

    def decoder_input(self, xs, ts, decoder_xs=None):
        """Return what the decoder reads in training, (N, T_dec). Raises: ValueError for shapes that do not fit."""
        name = type(self).__name__
        if xs.ndim != 2 or ts.ndim != 2 or len(xs) != len(ts) or ts.shape[1] < 2:
            raise ValueError(f"{name}: xs {xs.shape} and ts {ts.shape} must be (N, T_enc) and (N, T_dec + 1)")
        if decoder_xs is None:
            return ts[:, :-1]
        if decoder_xs.shape != ts[:, 1:].shape:
            raise ValueError(f"{name}: decoder_xs {decoder_xs.shape} must be (N, T_dec), here {ts[:, 1:].shape}")
        return decoder_xs

    def start(self, xs):
        """Read the questions xs (N, T_enc); return the decoder's first state, a tuple of arrays with N rows."""
        return self.decoder.start(self.encoder.forward(xs))

    def step(self, ids, state):
        """Read the characters written last, ids (N,).

        Returns: (logits (N, V), state, attention weights (N, T_enc) or None).
        """
        return self.decoder.step(ids, state)

    def generate(self, xs, start_id, sample_size):
        """Return the list of ``sample_size`` ids that the model writes for one question xs (1, T_enc).

        It goes through the model's own layers, so a backward call needs a new forward call after it, and of several
        threads one at a time gets the model.
        """
        if xs.ndim != 2 or len(xs) != 1:
            raise ValueError(f"generate takes one question, (1, T_enc), got {xs.shape}; greedy_decode takes many")
        with exclusive(self):
            self.softmax.cache = None
            return self.decoder.generate(self.encoder.forward(xs), start_id, sample_size)

    def greedy_decode(self, xs, start_id, sample_size, with_details=False, chunk_size=128):
        """Answer many questions: what ``generate`` writes, for all rows of xs (N, T_enc) at once.

        A decoder or model with a ``generate`` of its own is asked row by row, so that what you wrote is what runs.

        Args: chunk_size, the number of rows at a time, which bounds the memory. Returns: ids (N, sample_size); with
        ``with_details`` a tuple (ids, probabilities of the ids (N, sample_size), attention weights
        (N, sample_size, T_enc) or None for a model without attention).
        """
        if xs.ndim != 2 or sample_size < 1:
            raise ValueError(f"greedy_decode takes (N, T_enc) and at least one step, got {xs.shape} and {sample_size}")
        if len(xs) == 0 and not with_details:
            return np.empty((0, sample_size), int)
        if len(xs) == 0:
            raise ValueError("greedy_decode: xs has no rows")
        if not (_overwrites(self, "generate", "step") or _overwrites(self.decoder, "generate", "step")):
            decoded = greedy(self, xs, start_id, sample_size, chunk_size)
            return tuple(decoded) if with_details else decoded.ids
        if with_details:
            raise TypeError(
                f"greedy_decode: {type(self.decoder).__name__} has a generate of its own, which gives ids only; "
                "give it start and step, as ch07.seq2seq.Decoder has them, for probabilities and weights"
            )
        rows = [slice(k, k + 1) for k in range(len(xs))]
        return np.array(spread(self, rows, lambda model, row: model.generate(xs[row], start_id, sample_size)))


def _overwrites(obj, method, other):
    """Whether ``method`` comes from a class further down than ``other`` does, or there is no ``other`` at all."""
    for owner in type(obj).__mro__:
        if method in vars(owner) or other in vars(owner):
            return other not in vars(owner)
    return False
