"""Memory: four tasks that need one, for the Neural Turing Machine and for an LSTM of equal size.

    copy                 read some vectors, write them again                        lengths 1 to 20
    repeat copy          read some vectors and a number, write them that often       lengths and numbers 1 to 10
    associative recall   read items and then one of them, write the one after it    2 to 6 items
    priority sort        read vectors with priorities, write the most important     16 of 20, in order

A sequence is read first, and written while nothing more is read: what is written can come only from memory. Every batch
holds sequences of one length, drawn anew, so nothing is ever seen twice; the tests hold longer ones as well.

Source: Graves, Wayne and Danihelka 2014, section 4.
"""

import functools
import math
from dataclasses import replace

from ch08.ntm import NTM, PlainLSTM
from common.memory_figure import memory_heatmap
from common.np import host, np, to_cpu
from common.parallel import replica
from common.training.batch import Batch
from common.training.recipe import Recipe, System

TEST_SEED = 2014  # the tests are the same for all runs


class MemoryTask:
    """Sequences of vectors to read and bits to write, drawn as they are needed.

    A task says what one is like: ``input_size`` and ``output_size``; ``draw(rng, rows, **sizes)``, which returns
    xs (rows, T, input_size), ts (rows, T, output_size) and the number of the first step at which something is written;
    ``sizes(rng)``, drawn for each batch; ``tests``, a dict from the ending of a measure's name to sizes, the headline's
    first.

    Args: batch_size; seed, of the batches; steps_per_epoch; test_size, the number of sequences in each test.
    """

    tests = {}

    def __init__(self, *, batch_size=32, seed=0, steps_per_epoch=100, test_size=64):
        self.batch_size, self.seed = batch_size, seed
        self.steps_per_epoch, self.test_size = steps_per_epoch, test_size
        self.tokens = None
        self.settings = {"sequences": self.name, "steps_per_epoch": steps_per_epoch, "test_size": test_size}

    def batches(self, epoch):
        """Yield the Batches (xs, ts, mask) of an epoch."""
        rng = host.random.default_rng([self.seed, epoch])
        for _ in range(self.steps_per_epoch):
            yield self.batch(rng, self.batch_size, **self.sizes(rng))

    def batch(self, rng, rows, **sizes):
        """Return a Batch of ``rows`` sequences; mask (rows, T) is True where something is written."""
        xs, ts, first = self.draw(rng, rows, **sizes)
        mask = host.zeros(xs.shape[:2], bool)
        mask[:, first:] = True
        return Batch(mask.sum() * self.output_size, xs=np.asarray(xs), ts=np.asarray(ts), mask=np.asarray(mask))

    def test(self, name, rows=None):
        """Return the Batch of one of the tests, or its first rows. Args: name, a key of ``tests``."""
        seed = [TEST_SEED, list(self.tests).index(name)]
        whole = self.batch(host.random.default_rng(seed), self.test_size, **self.tests[name])
        if rows is None or rows >= self.test_size:
            return whole
        arrays = {key: array[:rows] for key, array in whole.arrays.items()}
        return Batch(whole.count // self.test_size * rows, **arrays)

    def measure(self, model, rows=None):
        """Return {"bit_errors": wrong bits in a sequence, "bits": the loss of a sequence in bits}, means over a test.

        Guessing costs one bit for each bit. Those of the other tests follow, such as "bit_errors_30".
        Args: rows, the number of sequences of a quick look at the first test alone; None: all of all tests.
        """
        found = {}
        for name in self.tests if rows is None else list(self.tests)[:1]:
            end = f"_{name}" if found else ""
            wrong, cost = self.errors(model, self.test(name, rows))
            found[f"bit_errors{end}"], found[f"bits{end}"] = float(wrong.mean()), float(cost.mean())
        return found

    def errors(self, model, batch):
        """Return (wrong bits (N,), loss in bits (N,)) of the sequences of a Batch."""
        xs, ts, mask = (batch[name] for name in ("xs", "ts", "mask"))
        logits = to_cpu(replica(model).predict(xs)).astype(float)
        ts, mask = to_cpu(ts), to_cpu(mask)
        against = host.where(ts == 1, -logits, logits)  # above 0: the bit is wrong
        cost = host.logaddexp(0, against) / math.log(2)
        return ((against >= 0).sum(axis=2) * mask).sum(axis=1), (cost.sum(axis=2) * mask).sum(axis=1)

    def examples(self, model, count=10):
        """Return a line for each of ``count`` test sequences: right or wrong, and how many bits are."""
        batch = self.test(next(iter(self.tests)), count)
        bits = batch.count // len(batch["xs"])
        wrong, cost = self.errors(model, batch)
        return [
            f"{'WRONG' if k else 'right'}  {k} of {bits} bits wrong, {loss:.3f} bits lost"
            for k, loss in zip(wrong.tolist(), cost.tolist(), strict=True)
        ]

    def figures(self, model):
        """Return {"attention": what the heads do in the first test sequence} for a model with a memory, else {}."""
        if not hasattr(model, "start"):
            return {}
        xs = self.test(next(iter(self.tests)), 1)["xs"]
        run, logits, weights = replica(model), [], []
        state = run.start(1)
        for t in range(xs.shape[1]):
            now, state, w = run.step(xs[:, t], state)
            logits.append(to_cpu(now)[0]), weights.append(to_cpu(w)[0])
        weights = host.stack(weights, axis=1)  # (M, T, R), those of the reading heads first
        readers, writers = run.read_heads, len(weights) - run.read_heads
        names = [f"{kind} head {k}" for kind, n in (("read", readers), ("write", writers)) for k in range(n)]
        outputs = 1 / (1 + host.exp(-host.stack(logits)))
        return {"attention": memory_heatmap(xs[0], outputs, dict(zip(names, weights, strict=True)))}


def bits(rng, *shape):
    """Return random bits as float32."""
    return rng.integers(0, 2, shape).astype(host.float32)


class Copy(MemoryTask):
    """Read vectors of 8 bits and a mark; write the vectors. Inputs: 8 bits, the mark."""

    name = "copy"
    input_size, output_size = 9, 8
    tests = {str(length): {"length": length} for length in (20, 30, 50, 120)}

    def sizes(self, rng):
        """Return {"length": 1 to 20}."""
        return {"length": int(rng.integers(1, 21))}

    def draw(self, rng, rows, length):
        """Return xs, ts (rows, 2 length + 1, ...) and the first step of the copy."""
        vectors = bits(rng, rows, length, 8)
        first = length + 1
        xs, ts = _empty(rows, first + length, self.input_size, self.output_size)
        xs[:, :length, :8] = vectors
        xs[:, length, 8] = 1
        ts[:, first:] = vectors
        return xs, ts, first


class RepeatCopy(MemoryTask):
    """Read vectors of 8 bits, then a mark with a number; write the vectors that often, then an end mark.

    Inputs: 8 bits, the mark, the number, scaled to mean 0 and variance 1 over the numbers 1 to 10. Outputs: 8 bits, the
    end mark.
    """

    name = "repeat copy"
    input_size, output_size = 10, 9
    tests = {
        "10_times_10": {"length": 10, "times": 10},
        "20_times_10": {"length": 20, "times": 10},
        "10_times_20": {"length": 10, "times": 20},
    }

    def sizes(self, rng):
        """Return {"length": 1 to 10, "times": 1 to 10}."""
        return {"length": int(rng.integers(1, 11)), "times": int(rng.integers(1, 11))}

    def draw(self, rng, rows, length, times):
        """Return xs, ts (rows, length + 2 + times length, ...) and the first step of the copies."""
        vectors = bits(rng, rows, length, 8)
        first = length + 1
        xs, ts = _empty(rows, first + times * length + 1, self.input_size, self.output_size)
        xs[:, :length, :8] = vectors
        xs[:, length, 8] = 1
        xs[:, length, 9] = (times - 5.5) / math.sqrt(8.25)
        ts[:, first:-1, :8] = host.tile(vectors, (1, times, 1))
        ts[:, -1, 8] = 1
        return xs, ts, first


class AssociativeRecall(MemoryTask):
    """Read items, each a mark and three vectors of 6 bits; read one of them again between two query marks; write the
    item that came after it. Inputs: 6 bits, the mark of an item, the mark of a query.
    """

    name = "associative recall"
    input_size, output_size = 8, 6
    tests = {str(items): {"items": items} for items in (6, 10, 15, 20)}

    def sizes(self, rng):
        """Return {"items": 2 to 6}."""
        return {"items": int(rng.integers(2, 7))}

    def draw(self, rng, rows, items):
        """Return xs, ts (rows, 4 items + 8, ...) and the first step of the answer."""
        vectors = bits(rng, rows, items, 3, 6)
        asked = rng.integers(0, items - 1, rows)  # the last item has none after it
        first = 4 * items + 5
        xs, ts = _empty(rows, first + 3, self.input_size, self.output_size)
        story = xs[:, : 4 * items].reshape(rows, items, 4, self.input_size)  # a view
        story[:, :, 0, 6] = 1
        story[:, :, 1:, :6] = vectors
        xs[:, [4 * items, first - 1], 7] = 1
        xs[:, 4 * items + 1 : first - 1, :6] = vectors[host.arange(rows), asked]
        ts[:, first:] = vectors[host.arange(rows), asked + 1]
        return xs, ts, first


class PrioritySort(MemoryTask):
    """Read 20 vectors of 8 bits, each with a priority from -1 to 1, and a mark; write the 16 with the highest ones, the
    highest first. Inputs: 8 bits, the priority, the mark.
    """

    name = "priority sort"
    input_size, output_size = 10, 8
    tests = {"16_of_20": {"count": 20, "sorted": 16}}

    def sizes(self, rng):
        """Return {"count": 20, "sorted": 16}."""
        return {"count": 20, "sorted": 16}

    def draw(self, rng, rows, count, sorted):
        """Return xs, ts (rows, count + 1 + sorted, ...) and the first step of the answer."""
        vectors, priorities = bits(rng, rows, count, 8), rng.uniform(-1, 1, (rows, count))
        first = count + 1
        xs, ts = _empty(rows, first + sorted, self.input_size, self.output_size)
        xs[:, :count, :8] = vectors
        xs[:, :count, 8] = priorities
        xs[:, count, 9] = 1
        order = host.argsort(-priorities, axis=1)[:, :sorted]
        ts[:, first:] = host.take_along_axis(vectors, order[..., None], axis=1)
        return xs, ts, first


def _empty(rows, T, input_size, output_size):
    """Return (xs, ts), float32 and int8 arrays of zeros."""
    return host.zeros((rows, T, input_size), host.float32), host.zeros((rows, T, output_size), host.int8)


def memory_model(model_class, task, *, rng, dtype=np.float32, hidden_size=100, **options):
    """Return a new model for a task. Args: options, for the class, such as rows or layers."""
    return model_class(task.input_size, task.output_size, hidden_size, dtype=dtype, rng=rng, **options)


def _systems(name, task, recipe, lstm_recipe, lstm_size, **options):
    """Return {"ntm-<name>", "lstm-<name>"}: the LSTM has about as many parameters. Args: options, of the machine."""
    return {
        f"ntm-{name}": System(
            f"{task.name}: a Neural Turing Machine", task, functools.partial(memory_model, NTM, **options), recipe
        ),
        f"lstm-{name}": System(
            f"{task.name}: an LSTM",
            task,
            functools.partial(memory_model, PlainLSTM, hidden_size=lstm_size),
            lstm_recipe,
        ),
    }


# Epochs of 100 batches. At a rate of 0.001 the machine needs three times as many batches.
MACHINE = Recipe(epochs=70, batch_size=32, learning_rate=0.003, max_grad=1.0)
BASELINE = Recipe(epochs=50, batch_size=32, learning_rate=0.001, max_grad=10.0)
SOONER = replace(MACHINE, epochs=30)  # recall needs fewer, and its sequences are longer
REPEATING = replace(MACHINE, epochs=60)

SYSTEMS = {
    **_systems("copy", Copy, MACHINE, BASELINE, 119),
    "ntm-copy-learned": System(
        "copy: a Neural Turing Machine whose first memory is learned, not constant",
        Copy,
        functools.partial(memory_model, NTM, first_memory="learned"),
        MACHINE,
    ),
    "ntm-copy-still": System(
        "copy: a Neural Turing Machine whose heads do not begin by walking",
        Copy,
        functools.partial(memory_model, NTM, walking=False),
        MACHINE,
    ),
    # To go back to the first vector again and again, a reading head needs the content: its gate begins half open.
    **_systems("repeat-copy", RepeatCopy, REPEATING, BASELINE, 119, first_gate=0.0),
    "ntm-repeat-copy-closed": System(
        "repeat copy: a Neural Turing Machine whose gates begin nearly closed",
        RepeatCopy,
        functools.partial(memory_model, NTM),
        REPEATING,
    ),
    **_systems("recall", AssociativeRecall, SOONER, BASELINE, 119),
    **_systems("sort", PrioritySort, MACHINE, BASELINE, 119),
}
