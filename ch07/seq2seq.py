"""Seq2seq: one LSTM reads the question into a single vector, another writes the answer from it.

Source: Sutskever et al. 2014; the book, sections 7.2 and 7.3.
"""

from functools import partial

from common.base_model import BaseModel
from common.functions import softmax
from common.np import default_rng, normal, np
from common.parallel import run, twin, workers
from common.time_layers import TimeAffine, TimeEmbedding, TimeLSTM, TimeSoftmaxWithLoss, lstm_step


def init_embedding(V, D, dtype, rng):
    """Return a TimeEmbedding with small normal weights (standard deviation 0.01), (V, D)."""
    return TimeEmbedding(normal(rng, (V, D), 0.01, dtype))


def init_lstm(D, H, dtype, rng, stateful=False):
    """Return a TimeLSTM for inputs of size D with normal weights of variance 1/D and 1/H, bias 0."""
    Wx = normal(rng, (D, 4 * H), D**-0.5, dtype)
    Wh = normal(rng, (H, 4 * H), H**-0.5, dtype)
    return TimeLSTM(Wx, Wh, np.zeros(4 * H, dtype), stateful=stateful)


def init_affine(D, V, dtype, rng):
    """Return a TimeAffine from D to V with normal weights of variance 1/D, bias 0."""
    return TimeAffine(normal(rng, (D, V), D**-0.5, dtype), np.zeros(V, dtype))


class Encoder:
    """Read xs (N, T) ids; hand over the last hidden state h (N, H).

    Args: vocab_size V, wordvec_size D, hidden_size H; dtype of the weights; rng, a NumPy Generator, a seed, or None
    for NumPy's global state.
    """

    param_names = ("embed.W", "lstm.Wx", "lstm.Wh", "lstm.b")

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.embed = init_embedding(V, D, dtype, rng)
        self.lstm = init_lstm(D, H, dtype, rng)
        self.params = self.embed.params + self.lstm.params
        self.grads = self.embed.grads + self.lstm.grads
        self.cache = None

    def forward(self, xs):
        """Return h (N, H), the hidden state after the last character."""
        hs = self.lstm.forward(self.embed.forward(xs))
        self.cache = hs.shape
        return np.ascontiguousarray(self.hand_over(hs))

    @staticmethod
    def hand_over(hs):
        """Return what the decoder gets of the hidden states hs (N, T, H): here the last, (N, H)."""
        return hs[:, -1]

    def read(self, xs):
        """Return what forward returns, for answering only: no backward can follow.

        An LSTM reads from left to right, so rows that begin alike have the same states as far as they are alike. Those
        are computed once: at every step the rows form groups by all they have read so far.
        """
        if type(self).forward is not Encoder.forward or type(self.lstm) is not TimeLSTM or self.lstm.stateful:
            return self.forward(xs)  # somebody's own encoder may read in any way
        N, T = xs.shape
        (W,), (Wx, Wh, b) = self.embed.params, self.lstm.params
        Wh = self.lstm.by_gate(Wh)
        table = self.lstm.by_gate(-(W @ Wx + b))  # what each character adds to the gates, (4, V, H); see lstm_step
        H = Wh.shape[2]
        hs = np.empty((N, T, H), Wh.dtype)
        h, c = np.zeros((1, H), Wh.dtype), np.zeros((1, H), Wh.dtype)  # a row for each group
        group = np.zeros(N, int)  # the group of each row of xs
        for t in range(T):
            _, first, next_group = np.unique(group * len(W) + xs[:, t], return_index=True, return_inverse=True)
            before = group[first]
            z = table[:, xs[first, t]]  # (4, groups, H)
            z -= h[before] @ Wh
            c_prev, c, h, tmp = c[before], *np.empty((3, len(first), H), Wh.dtype)
            lstm_step(z, c_prev, c, tmp, h, h)
            hs[:, t] = h[next_group]
            group = next_group
        return self.hand_over(hs)

    def backward(self, dh):
        """Only the last state was used, so dhs is 0 except dhs[:, -1] = dh (N, H)."""
        dhs = np.zeros(self.cache, dh.dtype)
        dhs[:, -1] = dh
        self.embed.backward(self.lstm.backward(dhs))


class Decoder:
    """Write the answer: an LSTM that starts from h (N, H), and an affine layer to scores over the vocabulary.

    Args: as for Encoder. While training, the right answer is fed in, shifted by one step (teacher forcing); while
    generating, the decoder is fed its own last character.
    """

    param_names = ("embed.W", "lstm.Wx", "lstm.Wh", "lstm.b", "affine.W", "affine.b")
    input_states = 0  # vectors of size H that join the word vector at the LSTM's input
    output_states = 1  # vectors of size H that the affine layer reads

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.embed = init_embedding(V, D, dtype, rng)
        self.lstm = init_lstm(D + self.input_states * H, H, dtype, rng, stateful=True)
        self.affine = init_affine(self.output_states * H, V, dtype, rng)
        self.params, self.grads = [], []
        for layer in (self.embed, self.lstm, self.affine):
            self.params += layer.params
            self.grads += layer.grads
        self.cache = None

    def _start(self, enc):
        """Set the LSTM's first state from what the encoder handed over."""
        self.lstm.set_state(enc)

    def _steps(self, xs, enc):
        """Return scores (N, T, V) for the characters after xs (N, T), going on from the LSTM's state."""
        return self.affine.forward(self.lstm.forward(self.embed.forward(xs)))

    def forward(self, xs, enc, **options):
        """Return scores (N, T, V).

        Args: xs (N, T) ids; enc, what the encoder's forward returned; options, for the steps: a decoder with attention
        takes a mask (N, T_enc).
        """
        self._start(enc)
        return self._steps(xs, enc, **options)

    def backward(self, dscore):
        """Back through the three layers; return dh (N, H), which the LSTM's first state received."""
        self.embed.backward(self.lstm.backward(self.affine.backward(dscore)))
        return self.lstm.dh

    def _weights(self):
        """Return the attention weights (N, T_dec, T_enc) of the last steps, or None for a model without attention."""
        return None

    def greedy_decode(self, enc, start_id, sample_size, with_details=False):
        """Write ``sample_size`` characters for every row, each time taking the one with the highest score.

        Returns: see ``Seq2seq.greedy_decode``.
        """
        ids = np.full((len(enc), 1), start_id)
        out, probs, weights = [], [], []
        self._start(enc)
        for _ in range(sample_size):
            score = self._steps(ids, enc)  # (N, 1, V)
            ids = score.argmax(axis=2)  # (N, 1)
            out.append(ids)
            if with_details:
                probs.append(softmax(score).max(axis=2))
                weights.append(self._weights())
        ids = np.concatenate(out, axis=1)
        if not with_details:
            return ids
        return (
            ids,
            np.concatenate(probs, axis=1),
            None if weights[0] is None else np.concatenate(weights, axis=1),
        )

    def generate(self, enc, start_id, sample_size):
        """Return the ids written for one sample, as a list."""
        return [int(i) for i in self.greedy_decode(enc, start_id, sample_size)[0]]


class Seq2seq(BaseModel):
    """Encoder and decoder, joined by one vector of size H.

    Args: vocab_size, wordvec_size, hidden_size; dtype of the weights; rng, a NumPy Generator, a seed, or None for
    NumPy's global state.
    """

    encoder_class, decoder_class = Encoder, Decoder

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        super().__init__()
        sizes = vocab_size, wordvec_size, hidden_size
        rng = default_rng(rng)
        self.encoder = self.encoder_class(*sizes, dtype=dtype, rng=rng)
        self.decoder = self.decoder_class(*sizes, dtype=dtype, rng=rng)
        self.softmax = TimeSoftmaxWithLoss()
        self.params = self.encoder.params + self.decoder.params
        self.grads = self.encoder.grads + self.decoder.grads

    @property
    def param_names(self):
        """Names such as ``encoder.lstm.Wx``, one for every array in ``params``.

        An encoder or decoder of your own needs no names; the arrays are then numbered.
        """
        parts = ("encoder", self.encoder), ("decoder", self.decoder)
        names = [f"{part}.{name}" for part, layer in parts for name in getattr(layer, "param_names", ())]
        return names if len(names) == len(self.params) else super().param_names

    def forward(self, xs, ts, decoder_xs=None, **options):
        """Return the mean loss per character.

        Args: xs (N, T_enc) ids of the questions; ts (N, T_dec + 1) ids of the answers with the start mark first. The
        decoder reads ``decoder_xs`` (N, T_dec), or ts[:, :-1] without it, and is to write ts[:, 1:]. options: whatever
        else the decoder's forward takes.
        """
        if xs.ndim != 2 or ts.ndim != 2 or len(xs) != len(ts) or ts.shape[1] < 2:
            raise ValueError(
                f"{type(self).__name__}: xs {xs.shape} and ts {ts.shape} must be (N, T_enc) and (N, T_dec + 1)"
            )
        decoder_xs = ts[:, :-1] if decoder_xs is None else decoder_xs
        if decoder_xs.shape != ts[:, 1:].shape:
            raise ValueError(
                f"{type(self).__name__}: decoder_xs {decoder_xs.shape} must be (N, T_dec), here {ts[:, 1:].shape}"
            )
        score = self.decoder.forward(decoder_xs, self.encoder.forward(xs), **options)
        return self.softmax.forward(score, ts[:, 1:])

    def backward(self, dout=1):
        """Write the gradients of the last forward call's loss into ``grads``."""
        self.encoder.backward(self.decoder.backward(self.softmax.backward(dout)))

    def generate(self, xs, start_id, sample_size):
        """Return the list of ``sample_size`` ids that the model writes for one question xs (1, T_enc)."""
        if xs.ndim != 2 or len(xs) != 1:
            raise ValueError(f"generate takes one question, (1, T_enc), got {xs.shape}; greedy_decode takes many")
        return self.decoder.generate(self.encoder.forward(xs), start_id, sample_size)

    def greedy_decode(self, xs, start_id, sample_size, with_details=False, chunk_size=512):
        """Answer many questions: as ``generate``, but for all rows of xs (N, T_enc) at once.

        Args: chunk_size, so many rows at a time, which bounds the memory. Returns: ids (N, sample_size); with
        ``with_details`` a tuple (ids, probabilities of the ids (N, sample_size), attention weights
        (N, sample_size, T_enc) or None for a model without attention).
        """
        if xs.ndim != 2 or sample_size < 1:
            raise ValueError(f"greedy_decode takes (N, T_enc) and at least one step, got {xs.shape} and {sample_size}")
        if len(xs) == 0:
            if with_details:
                raise ValueError("greedy_decode: xs has no rows")
            return np.empty((0, sample_size), int)
        order = np.lexsort(xs.T[::-1])  # rows that begin alike come together, for Encoder.read
        chunks = [order[k : k + chunk_size] for k in range(0, len(xs), chunk_size)]
        idle = [self, *(twin(self) for _ in range(min(workers(), len(chunks)) - 1))]

        def answer(rows):
            model = idle.pop()
            read = getattr(model.encoder, "read", model.encoder.forward)
            out = model.decoder.greedy_decode(read(xs[rows]), start_id, sample_size, with_details)
            idle.append(model)
            return out

        parts = run([partial(answer, rows) for rows in chunks])
        back = np.argsort(order)

        def joined(arrays):
            return None if arrays[0] is None else np.concatenate(arrays)[back]

        return tuple(joined(p) for p in zip(*parts, strict=True)) if with_details else joined(parts)
