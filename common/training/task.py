"""What is learned: the Task protocol, and Pairs, which serves questions and answers."""

import hashlib
from typing import Protocol

from common.metrics import exact_match
from common.np import host, np, to_cpu
from common.plots import attention_heatmap
from common.training.batch import Batch


class Task(Protocol):
    """Batches to learn from, and the ways to measure a model.

    settings: a dict that JSON can hold; two tasks with equal settings serve the same batches. tokens: what the weights
    of a model are stored with, in the order of their ids, or None. steps_per_epoch: the number of batches in an epoch.
    test_size: the number of test rows.
    """

    settings: dict
    test_size: int
    tokens: list | None
    steps_per_epoch: int

    def batches(self, epoch):
        """Yield the Batches of an epoch, counted from 1: the same ones whenever they are asked for."""

    def measure(self, model, rows=None):
        """Return {name: number} on unseen data, the headline first. Args: rows, the number of test rows, None: all."""

    def examples(self, model):
        """Return lines of text that show what the model does."""

    def figures(self, model):
        """Return {file name without ending: matplotlib Figure}, of what the model does."""


class Pairs:
    """Questions and answers as ids.

    All arrays are on the CPU and in reading order. ``batch`` and ``decode`` are the doors to a model: there they move
    to the model's device and, with ``reverse``, are reversed in time, because the model reads the last character first.

    Args: data, with x_train, t_train, x_test, t_test (ids of questions (N, T) and of answers (N, T_dec + 1) with the
    start mark first) and vocab (char_to_id, id_to_char, decode), as ``dataset.sequence.load`` returns it; name, of the
    data, for people; batch_size; seed, of the batches; trim, rows of like length come together, and the padding that no
    row of a batch needs is left out; padded, the share of the batches that keep some of it all the same; pad, the
    padding character; start, the start mark.
    """

    def __init__(
        self, data, *, name, batch_size=128, seed=0, reverse=False, trim=False, padded=0.0, pad=" ", start="_"
    ):
        self.batch_size, self.seed = batch_size, seed
        self.reverse, self.trim, self.padded = reverse, trim, padded
        self.x_train, self.t_train, self.x_test, self.t_test = data[:4]
        self.vocab = data.vocab
        self.pad_id = self.vocab.char_to_id.get(pad)
        self.start_id = self.vocab.char_to_id[start]
        self.settings = {
            "data": name,
            "content": content_hash(*data[:4], host.array(list(self.vocab.char_to_id))),
            "reverse": reverse,
            "trim": trim,
            "padded": padded,
        }

    @property
    def tokens(self):
        """The characters in the order of their ids."""
        return list(self.vocab.char_to_id)

    @property
    def test_size(self):
        """Test questions."""
        return len(self.x_test)

    @property
    def answer_length(self):
        """Characters of an answer, without the start mark."""
        return self.t_train.shape[1] - 1

    @property
    def steps_per_epoch(self):
        """Batches in an epoch: the rows of a last, smaller one are left out. Few rows make one batch of all of them."""
        return max(len(self.x_train) // self.batch_size, 1)

    def epoch_rng(self, epoch):
        """Return the Generator of one epoch, so that training can go on in the middle of a run."""
        return host.random.default_rng([self.seed, epoch])

    def batches(self, epoch):
        """Yield the Batches (xs, ts) of an epoch."""
        for rows, width in self.draw(self.epoch_rng(epoch)):
            yield self.batch(self.x_train[rows, :width], self.t_train[rows])

    def draw(self, rng):
        """Yield (rows, width) of the batches of an epoch: row numbers, and the columns of the questions to keep.

        With ``trim``, rows of like length come together and only the longest row of a batch decides its width; a share
        of the batches is given a random width between that and the full one, so that the model can read padded
        questions as well.
        """
        N, T = self.x_train.shape
        size = min(self.batch_size, N)
        order = rng.permutation(N)
        if not self.trim:
            yield from ((order[k : k + size], T) for k in range(0, N - size + 1, size))
            return
        lengths = self.lengths(self.x_train)
        order = order[host.argsort(lengths[order], kind="stable")]
        first = rng.integers(N % size + 1)  # which rows are left out changes from epoch to epoch
        for k in rng.permutation(first + size * host.arange(N // size)):
            rows = order[k : k + size]
            width = lengths[rows].max()
            if rng.random() < self.padded:
                width = rng.integers(width, T + 1)
            yield rows, width

    def batch(self, xs, ts, decoder_xs=None, **more):
        """Return the Batch that a model takes.

        Args: arrays in reading order; decoder_xs (N, T_dec), or None; more, arrays whose last axis is that of xs, or
        None.
        """
        decoder_xs = None if decoder_xs is None else np.asarray(decoder_xs)
        at_the_door = {name: self._door(array) for name, array in more.items()}
        return Batch(ts[:, 1:].size, xs=self._door(xs), ts=np.asarray(ts), decoder_xs=decoder_xs, **at_the_door)

    def _door(self, array):
        """Return an array (..., T) as the model reads it, on the model's device; None stays None."""
        if array is None:
            return None
        return np.asarray(host.ascontiguousarray(array[..., ::-1] if self.reverse else array))

    def lengths(self, xs):
        """Return the length of every question without its padding, (N,)."""
        return xs.shape[1] - (xs != self.pad_id)[:, ::-1].argmax(axis=1)

    def text(self, row):
        """Return ids (T,) as a string without the padding at its end."""
        return self.vocab.decode(row)

    def decode(self, model, xs, with_details=False):
        """Answer questions xs (N, T) greedily; with ``trim`` rows of one length go together, without their padding.

        Returns: ids (N, T_dec), or with ``with_details`` (ids, probabilities (N, T_dec), attention weights
        (N, T_dec, T) or None), all on the CPU and in reading order; the weights are 0 on padding that was left out.
        """
        N, T = xs.shape
        ids = host.empty((N, self.answer_length), int)
        probs = host.empty((N, self.answer_length), host.float32)
        weights = None
        lengths = self.lengths(xs) if self.trim else host.full(N, T)
        for length in host.unique(lengths):
            rows = host.flatnonzero(lengths == length)
            questions = self._door(xs[rows, :length])
            out = model.greedy_decode(questions, self.start_id, self.answer_length, with_details)
            if not with_details:
                ids[rows] = to_cpu(out)
                continue
            ids[rows], probs[rows] = to_cpu(out[0]), to_cpu(out[1])
            if out[2] is not None:
                if weights is None:
                    weights = host.zeros((N, self.answer_length, T), host.float32)
                read = to_cpu(out[2])  # in the order in which the model read
                weights[rows, :, :length] = read[:, :, ::-1] if self.reverse else read
        return (ids, probs, weights) if with_details else ids

    def measure(self, model, rows=None):
        """Return {"exact_match": the share of test questions that are answered right in every character}."""
        ids = self.decode(model, self.x_test[:rows])
        return {"exact_match": self.exact_match(ids)}

    def exact_match(self, ids):
        """Return the share of the first test questions whose answers ids (N, T_dec) are right in every character."""
        return exact_match(ids, self.t_test[: len(ids), 1:])

    def examples(self, model, count=10):
        """Return a line for each of ``count`` test questions: right or wrong, the question, the model's answer."""
        xs, ts = self.x_test[:count], self.t_test[:count, 1:]
        questions = [self.text(row) for row in xs]
        width = max(map(len, questions))
        lines = []
        for question, truth, ids in zip(questions, ts, self.decode(model, xs), strict=True):
            right = (truth == ids).all()
            wanted = "" if right else f"   (right: {self.text(truth)})"
            lines.append(f"{'right' if right else 'WRONG'}  {question:<{width}}  {self.text(ids)}{wanted}")
        return lines

    def figures(self, model):
        """Return {"attention": the heatmap of the first test question} for a model with attention, else {}."""
        row = self.x_test[:1]
        ids, _, weights = self.decode(model, row, with_details=True)
        if weights is None:
            return {}
        answer = self.text(ids[0]) or " "  # the padding at its end is not drawn
        return {"attention": attention_heatmap(weights[0, : len(answer)], self.text(row[0]), answer)}


def content_hash(*arrays):
    """Return a short name for the contents of arrays: other contents, another name."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(host.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
