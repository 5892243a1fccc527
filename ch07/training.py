"""What the training programs of chapters 7 and 8 share: the task, the recipe, one run with its files, the flags."""

import argparse
import json
import platform
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from common.np import GPU, host, np, to_cpu
from common.optimizer import Adam
from common.parallel import DataParallel
from common.trainer import DivergedError, Trainer, shuffled_batches, warmup_cosine
from dataset import sequence


class Task:
    """Questions and answers to learn, as arrays of ids, with the ways to measure a model on them.

    Args: file_name and split as for ``dataset.sequence.load_data``; reverse, turn every question round, so that the
    model reads its first character last; trim, leave the padding of the questions out wherever a batch allows it.
    """

    def __init__(self, file_name, split="grouped", reverse=True, trim=False):
        self.file_name, self.split, self.reverse, self.trim = str(file_name), split, reverse, trim
        data = sequence.load(file_name, split=split)
        self.vocab = data.vocab
        self.pad_id = self.vocab.char_to_id.get(sequence.PAD)
        self.start_id = self.vocab.char_to_id[sequence.START]
        chars = [self.vocab.id_to_char[i] for i in range(len(self.vocab))]
        self.separator = host.array([not c.isalnum() and c != sequence.START for c in chars])  # for every id
        self.x_train, self.x_test = self.ordered(data.x_train), self.ordered(data.x_test)
        self.t_train, self.t_test = data.t_train, data.t_test

    @property
    def answer_length(self):
        """Characters of an answer, without the start mark."""
        return self.t_train.shape[1] - 1

    def ordered(self, xs):
        """Return questions, (N, T) or with more axes in front of T, in the order the model reads them (or back)."""
        return xs[..., ::-1] if self.reverse else xs

    def text(self, row):
        """Return a question, as the model reads it, as a string in reading order, without padding."""
        return self.vocab.decode(row[::-1] if self.reverse else row)

    def lengths(self, xs):
        """Return the length of every question without its padding, (N,)."""
        real = xs != self.pad_id
        return real.shape[1] - (real if self.reverse else real[:, ::-1]).argmax(axis=1)

    def cut(self, xs, length):
        """Return the columns (last axis) that hold ``length`` characters of every question, its padding left out."""
        return xs[..., -length:] if self.reverse else xs[..., :length]

    def noisy(self, xs, share, rng):
        """Return a copy of the questions xs with unreliable separators: whatever is no letter, digit or padding.

        A ``share`` of them is gone or, one time in two, some other character that is no digit. Slashes are never gone:
        without them the numbers on both sides would run together.
        """
        return self._noisy(xs, share, rng)[0]

    def _noisy(self, xs, share, rng):
        """Return what ``noisy`` returns, and for every character the column it came from, (N, T)."""
        chars = host.array([self.vocab.id_to_char[i] for i in range(len(self.vocab))])
        letters_etc = host.flatnonzero([not c.isdigit() and c != sequence.START for c in chars])
        other = self.separator & (chars != "/")
        real = host.logical_or.accumulate(xs != self.pad_id, axis=1)
        if not self.reverse:
            real = host.logical_or.accumulate((xs != self.pad_id)[:, ::-1], axis=1)[:, ::-1]
        hit = real & self.separator[xs] & (rng.uniform(size=xs.shape) < share)
        gone = hit & other[xs] & (rng.uniform(size=xs.shape) < 0.5)
        out = xs.copy()
        swapped = hit & ~gone
        out[swapped] = rng.choice(letters_etc, swapped.sum())
        out[gone] = self.pad_id
        # what is gone becomes padding, at the end where padding belongs
        order = host.argsort(~gone if self.reverse else gone, axis=1, kind="stable")
        return host.take_along_axis(out, order, axis=1), order

    def mask(self, xs, separators, others, rng):
        """Return a mask (N, T) for the attention, False where a character of the questions xs (N, T) is hidden.

        Args: separators, others: the random share to hide of the separators, and of the other characters.
        A question of which nothing would be left stays whole, as attention needs something to look at.
        """
        hidden = rng.random(xs.shape) < host.where(self.separator[xs], separators, others)
        hidden[hidden.all(axis=1)] = False
        return ~hidden

    def word_dropout(self, ts, share, rng):
        """Return what the decoder is fed while it learns to write ts[:, 1:]: a copy of ts[:, :-1], (N, T_dec).

        A ``share`` of it, but never the start mark, is replaced by random letters or digits of the answers (for dates:
        by digits). Source: Bowman et al. 2016 (word dropout); there a mark for an unknown word takes the place.
        """
        chars = host.unique(self.t_train[:, 1:])
        out = ts[:, :-1].copy()
        hit = rng.random(out.shape) < share
        hit[:, 0] = False
        out[hit] = rng.choice(chars[~self.separator[chars]], hit.sum())
        return out

    def batches(self, recipe, seed, gold=None):
        """Return a function epoch -> batches of the training rows, the same for the same seed and epoch.

        With ``trim``, rows of like length come together and only the longest row of a batch decides its width; a share
        of the batches is given a random width between that and the full one, so that the model can read padded
        questions as well.

        Args: recipe, a Recipe, of which batch_size, padded, noise, hide, explore and word_dropout count here. gold:
        bool (K, T_dec, T), where the attention should look for the first K training rows, columns in the order in which
        the model reads (see ``ordered``).

        A batch is (xs, ts, decoder_xs, mask, gold), as a model's forward takes them, without those at the end that are
        None: decoder_xs (N, T_dec), see ``word_dropout``; mask (N, width), see ``mask``; gold (N, T_dec, width), all
        False for the rows that have none.
        """
        if not self.trim:
            names = "padded", "noise", "hide", "explore", "word_dropout"
            asked = [name for name in names if getattr(recipe, name)] + ["gold"] * (gold is not None)
            if asked:
                raise ValueError(f"batches: for {', '.join(asked)} the Task must have trim=True")
            size = recipe.batch_size
            return lambda epoch: shuffled_batches(self.x_train, self.t_train, size, _epoch_rng(seed, epoch))
        lengths = self.lengths(self.x_train)

        def by_length(epoch):
            rng = _epoch_rng(seed, epoch)
            order = rng.permutation(len(lengths))
            order = order[np.argsort(lengths[order], kind="stable")]
            size = min(recipe.batch_size, len(order))
            first = rng.integers(len(order) % size + 1)  # which rows are left out changes from epoch to epoch
            starts = first + size * np.arange(len(order) // size)
            for step, k in enumerate(rng.permutation(starts), 1):
                rows = order[k : k + size]
                width = lengths[rows].max()
                if rng.random() < recipe.padded:
                    width = rng.integers(width, self.x_train.shape[1] + 1)
                xs, ts = self.cut(self.x_train[rows], width), self.t_train[rows]
                batch_gold = None if gold is None else self._gold_of(gold, rows, width)
                if recipe.noise:
                    xs, origin = self._noisy(xs, recipe.noise, rng)
                    if batch_gold is not None:
                        batch_gold = host.take_along_axis(batch_gold, origin[:, None], axis=2)
                others = recipe.explore if epoch == 1 and step <= (recipe.warmup_steps or 0) else 0.0
                mask = self.mask(xs, recipe.hide, others, rng) if recipe.hide or others else None
                decoder_xs = self.word_dropout(ts, recipe.word_dropout, rng) if recipe.word_dropout else None
                batch = [xs, ts, decoder_xs, mask, batch_gold]
                while batch[-1] is None:
                    batch.pop()
                yield tuple(batch)

        return by_length

    def _gold_of(self, gold, rows, width):
        """Return the gold alignment of these training rows, (N, T_dec, width), or None if none of them has one."""
        known = rows < len(gold)
        if not known.any():
            return None
        out = host.zeros((len(rows), *gold.shape[1:]), bool)
        out[known] = gold[rows[known]]
        return self.cut(out, width)

    def decode(self, model, xs, with_details=False):
        """Answer questions greedily; with ``trim`` rows of one length go together and without their padding.

        Returns: as ``Seq2seq.greedy_decode``; attention weights are in reading order, (N, T_dec, T), 0 on padding
        that was left out.
        """
        N, T = xs.shape
        ids = host.empty((N, self.answer_length), int)
        probs = host.empty((N, self.answer_length), host.float32)
        weights = None
        lengths = self.lengths(xs) if self.trim else np.full(N, T)
        for length in host.unique(to_cpu(lengths)):
            rows = host.flatnonzero(to_cpu(lengths) == length)
            out = model.greedy_decode(self.cut(xs[rows], length), self.start_id, self.answer_length, with_details)
            if not with_details:
                ids[rows] = to_cpu(out)
                continue
            ids[rows], probs[rows] = to_cpu(out[0]), to_cpu(out[1])
            if out[2] is not None:
                if weights is None:
                    weights = host.zeros((N, self.answer_length, T), host.float32)
                weights[rows, :, :length] = to_cpu(out[2])[:, :, ::-1] if self.reverse else to_cpu(out[2])
        return (ids, probs, weights) if with_details else ids

    def accuracy(self, model, rows=None):
        """Return the share of test questions that the model answers right in every character (exact match).

        Args: rows, so many test rows only, or None for all.
        """
        xs, ts = self.x_test[:rows], self.t_test[:rows]
        return float((self.decode(model, xs) == to_cpu(ts)[:, 1:]).all(axis=1).mean())


def _epoch_rng(seed, epoch):
    """Return the Generator of one epoch, so that training can go on in the middle of it."""
    return host.random.default_rng([seed, epoch])


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    name; epochs; batch_size; learning_rate of Adam; max_grad, the norm gradients are clipped to; hidden_size and
    wordvec_size; warmup_steps, with which the learning rate rises to learning_rate and then falls to 0 along a
    cosine, or None for a constant rate; trim: leave padding out, but for a share ``padded`` of the batches; noise: the
    share of unreliable separators (see ``Task.noisy``); hide: the share of separators hidden from the attention, and
    explore: that of the other characters while the learning rate warms up (see ``Task.mask``); word_dropout: the share
    of the characters fed to the decoder that are replaced (see ``Task.word_dropout``); labeled: so many training
    questions come with their gold alignment (``ch08.train`` sees to it); weight_decay and beta2 of Adam.
    """

    name: str
    epochs: int
    hidden_size: int
    batch_size: int = 128
    learning_rate: float = 0.001
    max_grad: float = 5.0
    wordvec_size: int = 16
    warmup_steps: int | None = None
    trim: bool = False
    padded: float = 0.0
    noise: float = 0.0
    hide: float = 0.0
    explore: float = 0.0
    word_dropout: float = 0.0
    labeled: int = 0
    weight_decay: float = 0.0
    beta2: float = 0.999


@dataclass
class Run:
    """What one training run left: the model, its task, and the history that stands in ``history.json``."""

    model: object
    task: Task
    history: dict
    interrupted: bool = False


CHECKPOINT = "checkpoint.npz"


def train(
    model_class, task, recipe, *, seed=0, out=None, resume=False, prepare=None, gold=None, progress=True, label=None
):
    """Train one model and return a Run.

    Args:
        model_class: Seq2seq or a class like it. task: a Task. recipe: a Recipe.
        seed: of the weights and of the order of the batches.
        out: folder for the checkpoint (after every epoch and when interrupted), or None for no files.
        resume: go on from the checkpoint in ``out``; the result is that of a run that was never interrupted.
        prepare: called as prepare(model, rng) on the new model, to change its first weights.
        gold: the gold alignment of the first training rows, see ``Task.batches``, for a model with attention.
        progress: show a progress bar. label: its text.

    Raises: DivergedError; ValueError if the checkpoint was made with other settings.
    """
    rng = host.random.default_rng(seed)
    model = model_class(len(task.vocab), recipe.wordvec_size, recipe.hidden_size, rng=rng)
    if prepare:
        prepare(model, rng)
    steps = max(len(task.x_train) // recipe.batch_size, 1)  # per epoch
    total = steps * recipe.epochs
    schedule = None
    if recipe.warmup_steps is not None:
        schedule = warmup_cosine(recipe.learning_rate, recipe.warmup_steps, total)
    optimizer = Adam(lr=recipe.learning_rate, beta2=recipe.beta2, weight_decay=recipe.weight_decay)
    trainer = Trainer(DataParallel(model), optimizer)
    settings = {
        "model": model_class.__name__,
        "seed": seed,
        "recipe": asdict(recipe),
        "data": task.file_name,
        "split": task.split,
        "reverse": task.reverse,
    }
    history = {**settings, "versions": versions(), "epochs": [], "loss": [], "accuracy": []}
    checkpoint = Path(out) / CHECKPOINT if out is not None else None
    spent, losses = 0.0, []  # before this process; of this epoch
    if resume:
        history, spent, losses = _restore(trainer, checkpoint, settings)
    first = len(history["epochs"]) + 1
    skip = trainer.batch if trainer.current_epoch == first else 0  # interrupted in the middle of an epoch
    batches = task.batches(recipe, seed, gold)
    bar = _bar(total, trainer.step, label or model_class.__name__, progress)
    seen = {"loss": None, "acc": history["epochs"][-1]["test_accuracy"] if history["epochs"] else None}

    def save():
        if checkpoint:
            extra = {"history": history, "settings": settings, "spent": spent + clock.total, "losses": losses}
            trainer.save(checkpoint, extra)

    def on_step(trainer, loss):
        clock.stop()
        losses.append(loss)
        seen["loss"] = loss if seen["loss"] is None else 0.95 * seen["loss"] + 0.05 * loss
        if trainer.step % 50 == 0:
            seen["acc"] = task.accuracy(model, 500)
            history["accuracy"].append([trainer.step, seen["acc"]])
        if trainer.step % 10 == 0:
            history["loss"].append([trainer.step, round(sum(losses[-10:]) / len(losses[-10:]), 5)])
        bar.update(1)
        acc = "" if seen["acc"] is None else f", unseen right {seen['acc']:.1%}"
        bar.set_postfix_str(f"loss {seen['loss']:.3f}{acc}", refresh=False)
        clock.start()

    clock = _Clock()
    interrupted = False
    try:
        for epoch in range(first, recipe.epochs + 1):
            clock.start()
            whole = trainer.run_epoch(
                batches(epoch), epoch, skip=skip, max_grad=recipe.max_grad, schedule=schedule, on_step=on_step
            )
            clock.stop()
            skip = 0
            if not whole:
                interrupted = True
                break
            seen["acc"] = task.accuracy(model)
            mean = sum(losses) / len(losses)
            losses.clear()
            history["epochs"].append(
                {
                    "epoch": epoch,
                    "step": trainer.step,
                    "loss": round(mean, 5),
                    "test_accuracy": seen["acc"],
                    "train_seconds": round(spent + clock.total, 2),
                }
            )
            save()
    except KeyboardInterrupt:  # while measuring, between two epochs: nothing is half done
        interrupted = True
    finally:
        bar.close()
    if interrupted:
        save()
    return Run(model, task, history, interrupted)


class _Clock:
    """Seconds of training, without those of measuring."""

    def __init__(self):
        self.total, self._since = 0.0, None

    def start(self):
        self._since = time.perf_counter()

    def stop(self):
        if self._since is not None:
            self.total += time.perf_counter() - self._since
        self._since = None


def _bar(total, done, label, progress):
    from tqdm.auto import tqdm  # only here: importing the library must stay quick

    return tqdm(total=total, initial=done, desc=label, unit="step", disable=not progress, file=sys.stderr)


def _restore(trainer, checkpoint, settings):
    """Load the checkpoint into the trainer; return (history, seconds spent, losses of the epoch at work)."""
    if checkpoint is None:
        raise ValueError("resume needs the folder of the earlier run: give out as well")
    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint} does not exist; there is no earlier run to go on with in that folder")
    extra = trainer.load(checkpoint)
    before, now = _flat(extra["settings"]), _flat(settings)
    if settings["recipe"]["warmup_steps"] is None:  # at a constant rate a run may be made longer
        before["epochs"] = now["epochs"]
    for name, value in now.items():
        old = before.get(name)  # None: made before there was such a setting
        if old != value:
            raise ValueError(f"{checkpoint} was made with {name} = {old}, not {value}; resume with the same")
    return extra["history"] | settings, extra["spent"], extra["losses"]


def _flat(settings):
    """Return the settings with those of the recipe beside the others."""
    return {k: v for k, v in settings.items() if k != "recipe"} | settings["recipe"]


def versions():
    """Return the versions a result was made with."""
    return {"python": platform.python_version(), "numpy": host.__version__, "gpu": GPU}


def write_json(path, value):
    """Write ``value`` as JSON, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.tmp")
    tmp.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    tmp.replace(path)


def show_examples(run, count=10):
    """Print ``count`` test questions with the model's answers, marked right or wrong."""
    task = run.task
    xs, ts = task.x_test[:count], to_cpu(task.t_test)[:count, 1:]
    width = max(len(task.text(row)) for row in xs)
    for row, truth, ids in zip(xs, ts, task.decode(run.model, xs), strict=True):
        right = (truth == ids).all()
        wanted = "" if right else f"   (right: {task.vocab.decode(truth)})"
        print(f"  {'right' if right else 'WRONG'}  {task.text(row):<{width}}  {task.vocab.decode(ids)}{wanted}")


def positive_int(text):
    """The type of a flag that counts something."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def add_training_flags(parser, out):
    """Add the flags that every training program has."""
    parser.add_argument("--epochs", type=positive_int, help="times through the training data (default: the recipe's)")
    parser.add_argument("--hidden-size", type=positive_int, help="size H of the hidden states (default: the recipe's)")
    parser.add_argument("--batch-size", type=positive_int, help="rows in a batch (default: the recipe's)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the batches (default: 0)")
    parser.add_argument("--split", choices=sequence.SPLITS, help="how test rows are chosen (see dataset.sequence)")
    parser.add_argument("--out", type=Path, default=Path(out), metavar="DIR", help=f"for the results (default: {out})")
    parser.add_argument("--resume", action="store_true", help="go on with the interrupted run in DIR")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def with_flags(recipe, args):
    """Return the recipe with what the flags ask for instead."""
    given = {name: getattr(args, name, None) for name in ("epochs", "hidden_size", "batch_size")}
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def run_program(main):
    """Run a program's main and turn the errors a user can mend into one line and exit code 1 (2 for interrupted)."""
    try:
        return main()
    except (DivergedError, FileNotFoundError, NotADirectoryError, PermissionError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
