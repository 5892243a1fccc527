"""Training: batches, the loop, interrupting and going on."""

import math
import signal
import threading
import time
from contextlib import contextmanager

from common.checkpoint import load_checkpoint, save_checkpoint
from common.np import default_rng, host
from common.optimizer import merge_tied
from common.util import clip_grads, echo

COUNTERS = "current_epoch", "batch", "step", "eval_interval", "loss_list"  # what a checkpoint keeps of a Trainer


class DivergedError(FloatingPointError):
    """The loss became NaN or infinite, so the parameters are worth nothing anymore."""


# --- batches and learning rates --------------------------------------------------------------------------------


def shuffled_batches(x, t, batch_size, rng=None):
    """Yield (x, t) batches in a new random order; the rows of a last, smaller batch are left out, as in the book.

    Fewer rows than ``batch_size`` make one batch of all of them.
    """
    n, size = len(x), min(batch_size, len(x))
    order = default_rng(rng).permutation(n)
    for k in range(0, n - size + 1, size):
        rows = order[k : k + size]
        yield x[rows], t[rows]


def warmup_cosine(peak, warmup_steps, total_steps):
    """Return a schedule step -> learning rate: up in a line to ``peak``, then down along half a cosine to 0.

    Steps count from 1. Source: Loshchilov and Hutter 2017, equation 5, without restarts.
    """

    def rate(step):
        if step <= warmup_steps:
            return peak * step / max(warmup_steps, 1)
        done = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1)
        return peak * 0.5 * (1 + math.cos(math.pi * done))

    return rate


# --- the loop --------------------------------------------------------------------------------------------------


class Trainer:
    """Train a model with an optimizer.

    ``fit`` trains for some epochs and may be called again to go on. Interrupting it (Ctrl-C, or the stop button of
    Jupyter) ends it after the current step: what was learned is kept, ``interrupted`` is then True, and calling ``fit``
    again goes on with the next epoch. So does a second Ctrl-C. A third one stops at once, wherever that is, raises
    KeyboardInterrupt and sets ``cut_off``: then ``save`` refuses, since nobody could go on exactly from there, until
    ``load`` has been called.

    Attributes: ``loss_list``, a mean loss for every ``eval_interval`` steps; ``current_epoch``, epochs begun so far;
    ``batch``, batches done in this epoch; ``step``, updates made so far; ``count``, the targets of the last batch (its
    rows, if it is a tuple), over which its loss is the mean; ``agree``, called after every step with whether Ctrl-C was
    pressed, returns whether to stop: several processes that train together stop after the same step.
    """

    def __init__(self, model, optimizer):
        self.model = model
        self.optimizer = optimizer
        self.loss_list = []
        self.eval_interval = None
        self.current_epoch = 0
        self.batch = 0
        self.step = 0
        self.count = 0
        self.interrupted = self.cut_off = False
        self.agree = bool
        self._sum = self._targets = 0  # of this epoch: loss times targets, targets

    @property
    def epoch_loss(self):
        """The mean loss of this epoch so far, over all targets, or None before its first batch."""
        return self._sum / self._targets if self._targets else None

    def fit(
        self,
        x,
        t,
        max_epoch=10,
        batch_size=32,
        max_grad=None,
        eval_interval=20,
        *,
        rng=None,
        batches=None,
        schedule=None,
        on_step=None,
        on_epoch=None,
        verbose=True,
    ):
        """Train for ``max_epoch`` epochs.

        Args:
            x, t: questions (N, T_enc) and answers (N, T_dec + 1), or whatever ``model.forward`` takes, N rows each.
            batch_size: rows in a batch. max_grad: the norm to which gradients are clipped, or None for no clipping.
            eval_interval: after so many steps the mean loss is printed and added to ``loss_list``; None: never.
            rng: the source of the order of the rows; a Generator, a seed, or None for NumPy's global state.
            batches: called with the epoch's number (from 1), yields the batches of ``run_epoch``; instead of shuffled
                rows.
            schedule: called with the number of the step (from 1), returns the learning rate; None leaves it alone.
            on_step: called as on_step(trainer, loss) after every step.
            on_epoch: called as on_epoch(trainer) after every whole epoch.
            verbose: print a line for every ``eval_interval`` steps.

        Raises: DivergedError if the loss is no longer a number; ValueError for sizes that make no sense.
        """
        _check_sizes(x, t, batch_size=batch_size, eval_interval=eval_interval)
        self.eval_interval = eval_interval
        per_epoch = None
        if batches is None:
            rng, per_epoch = default_rng(rng), max(len(x) // batch_size, 1)

            def batches(epoch):
                return shuffled_batches(x, t, batch_size, rng)

        report = _Report(self.loss_list, eval_interval, per_epoch, verbose)
        for _ in range(max_epoch):
            epoch = self.current_epoch + 1
            whole = self.run_epoch(
                batches(epoch), epoch, max_grad=max_grad, schedule=schedule, on_step=_both(report.on_step, on_step)
            )
            if not whole:
                report.stopped(self)
                return
            if on_epoch:
                on_epoch(self)

    def run_epoch(self, batches, epoch, *, skip=0, max_grad=None, schedule=None, on_step=None):
        """Train on the batches of one epoch; return True if it ran to its end, False if it was interrupted.

        Args: batches, an iterable of tuples of arrays, for ``model.forward(*batch)``, or of objects with ``arrays``, a
        dict for ``model.forward(**batch.arrays)``, and ``count``, the number of targets that the loss is the mean
        over; epoch, its number; skip, so many batches were trained on before; the others as for ``fit``.
        """
        if not skip:
            self._sum = self._targets = 0
        self.current_epoch, self.batch, self.interrupted = epoch, skip, False
        k = -1
        with _interrupts(self) as interrupted:
            for k, batch in enumerate(batches):
                if k < skip:
                    continue
                loss = self._train_on(batch, max_grad, schedule)
                if on_step:
                    on_step(self, loss)
                if self.agree(interrupted()):
                    self.interrupted = True
                    return False
        if k < 0:
            raise ValueError(f"epoch {epoch} has no batches")
        return True

    def _train_on(self, batch, max_grad, schedule):
        """One update: forward, backward, clip, optimizer. Return the loss."""
        named = hasattr(batch, "arrays")
        loss = float(self.model.forward(**batch.arrays) if named else self.model.forward(*batch))
        if not math.isfinite(loss):
            raise self._diverged(f"the loss became {loss}")
        self.model.backward()
        params, grads = merge_tied(self.model.params, self.model.grads)
        if max_grad is not None:
            try:
                clip_grads(grads, max_grad)
            except FloatingPointError:
                raise self._diverged("a gradient became infinite or NaN") from None
        if schedule:
            self.optimizer.lr = schedule(self.step + 1)
        before, self.cut_off = self.cut_off, True  # until parameters, optimizer and counters agree again
        self.optimizer.update(params, grads)
        self.step += 1
        self.batch += 1
        self.count = batch.count if named else len(batch[0])
        self._sum += loss * self.count
        self._targets += self.count
        self.cut_off = before
        return loss

    def _diverged(self, what):
        return DivergedError(
            f"{what} in epoch {self.current_epoch}, step {self.step + 1}. "
            "Try a smaller learning rate or a smaller max_grad."
        )

    def plot(self, ylim=None):
        """Draw ``loss_list`` over the steps with matplotlib. Args: ylim, (low, high) of the loss axis."""
        _plot(self.loss_list, "loss", self.eval_interval, ylim)

    def save(self, path, extra=None):
        """Write everything that going on needs to an .npz file: parameters, vocabulary, optimizer, counters.

        Args: extra, a dict that JSON can hold, kept alongside.
        Raises: RuntimeError if a step was cut off; ValueError that says what in extra JSON cannot hold; OSError with
        path and reason. Then an older file is as it was.
        """
        if self.cut_off:
            raise RuntimeError(
                "training was cut off within a step, so nobody could go on exactly from here: load an earlier "
                "checkpoint, or keep the weights alone with model.save_params()"
            )
        counters = {name: getattr(self, name) for name in COUNTERS} | {"epoch": [self._sum, self._targets]}
        save_checkpoint(path, self.model, self.optimizer, counters, extra)

    def load(self, path):
        """Take over what ``save`` wrote and return ``extra``; model and optimizer must be of the same kind and size.

        Raises: FileNotFoundError, or ValueError that names what does not fit; then nothing has changed.
        """
        counters, extra = load_checkpoint(path, self.model, self.optimizer)
        for name in COUNTERS:
            setattr(self, name, counters[name])
        self._sum, self._targets = counters["epoch"]
        self.cut_off = False
        return extra


class RnnlmTrainer:
    """Train a language model on one long text, cut into ``batch_size`` streams that are read side by side.

    Source: the book, sections 5.5 and 6.4 (truncated backpropagation through time). The model keeps its state from
    batch to batch. Interrupts as for Trainer.

    Attributes: ``ppl_list``, a perplexity for every ``eval_interval`` steps; ``time_idx``, where in its stream every
    row goes on; ``trainer``, the Trainer that makes the updates and counts them.
    """

    def __init__(self, model, optimizer):
        self.model = model
        self.optimizer = optimizer
        self.trainer = Trainer(model, optimizer)
        self.time_idx = 0
        self.ppl_list = []
        self.eval_interval = None

    @property
    def current_epoch(self):
        """Epochs begun so far."""
        return self.trainer.current_epoch

    @property
    def interrupted(self):
        """Whether the last call of ``fit`` was interrupted."""
        return self.trainer.interrupted

    def get_batch(self, x, t, batch_size, time_size):
        """Return the next ``time_size`` steps of every stream: ids (batch_size, time_size) of x, and of t.

        Stream i begins at i * (len(x) // batch_size). What would lie behind the end comes from the beginning.
        """
        starts = host.arange(batch_size) * (len(x) // batch_size)
        steps = self.time_idx + host.arange(time_size)
        self.time_idx += time_size
        places = (starts[:, None] + steps) % len(x)  # (batch_size, time_size)
        return x[places], t[places]

    def fit(
        self,
        xs,
        ts,
        max_epoch=10,
        batch_size=20,
        time_size=35,
        max_grad=None,
        eval_interval=20,
        *,
        schedule=None,
        on_step=None,
        on_epoch=None,
        verbose=True,
    ):
        """Train for ``max_epoch`` epochs, from the beginning of the text.

        Args: xs, ts: ids (T,) of the text and of what follows each of them, ``corpus[:-1]`` and ``corpus[1:]``;
        batch_size, streams; time_size, steps in a batch; the others as for ``Trainer.fit``. An epoch has as many
        batches as the text has whole ones, at least one.

        Raises: DivergedError if the loss is no longer a number; ValueError for sizes that make no sense.
        """
        _check_sizes(xs, ts, batch_size=batch_size, time_size=time_size, eval_interval=eval_interval)
        if batch_size > len(xs):
            raise ValueError(f"fit: a text of {len(xs)} ids cannot be cut into {batch_size} streams")
        self.time_idx, self.eval_interval = 0, eval_interval
        per_epoch = max(len(xs) // (batch_size * time_size), 1)
        report = _Report(self.ppl_list, eval_interval, per_epoch, verbose, "perplexity", _perplexity)
        for _ in range(max_epoch):
            batches = (self.get_batch(xs, ts, batch_size, time_size) for _ in range(per_epoch))
            whole = self.trainer.run_epoch(
                batches,
                self.current_epoch + 1,
                max_grad=max_grad,
                schedule=schedule,
                on_step=_both(report.on_step, on_step),
            )
            if not whole:
                report.stopped(self.trainer)
                return
            if on_epoch:
                on_epoch(self.trainer)

    def plot(self, ylim=None):
        """Draw ``ppl_list`` over the steps with matplotlib. Args: ylim, (low, high) of the perplexity axis."""
        _plot(self.ppl_list, "perplexity", self.eval_interval, ylim)


# --- what the loops share --------------------------------------------------------------------------------------


def _check_sizes(x, t, **sizes):
    if len(x) != len(t) or len(x) == 0:
        raise ValueError(f"fit: x has {len(x)} rows and t {len(t)}; both need the same number, at least 1")
    for name, size in sizes.items():
        if size is not None and size < 1:
            raise ValueError(f"fit: {name} must be at least 1, got {size}")


def _both(first, second):
    """Return a function that calls the first, then the second if there is one."""
    if second is None:
        return first

    def call(*args):
        first(*args)
        second(*args)

    return call


def _perplexity(loss):
    return math.exp(min(loss, 700))  # above, a float has no room


class _Report:
    """Every ``interval`` steps: the mean of the losses since then goes into a list and onto the screen."""

    def __init__(self, values, interval, per_epoch, verbose, label="loss", value_of=float):
        self.values, self.interval, self.verbose = values, interval, verbose
        self.of = "" if per_epoch is None else f" / {per_epoch}"
        self.label, self.value_of = label, value_of
        self.start, self.sum, self.targets = time.time(), 0, 0

    def on_step(self, trainer, loss):
        self.sum += loss * trainer.count
        self.targets += trainer.count
        if self.interval is None or trainer.step % self.interval:
            return
        value = self.value_of(self.sum / self.targets)
        self.sum = self.targets = 0
        self.values.append(value)
        if self.verbose:
            echo(
                f"| epoch {trainer.current_epoch} |  iter {trainer.batch}{self.of} "
                f"| time {int(time.time() - self.start)}[s] | {self.label} {value:.2f}"
            )

    def stopped(self, trainer):
        if self.verbose:
            echo(
                f"Stopped in epoch {trainer.current_epoch} after {trainer.step} steps. "
                "The model keeps what it has learned."
            )


def _plot(values, label, interval, ylim):
    from matplotlib import pyplot as plt  # only here: importing the library must stay quick

    if not values:
        raise ValueError(f"plot: there is no {label} yet; call fit with an eval_interval first")
    if ylim is not None:
        plt.ylim(*ylim)
    plt.plot(range(1, len(values) + 1), values, label="training")
    plt.xlabel(f"steps (x {interval})")
    plt.ylabel(label)
    plt.legend()
    plt.show()


@contextmanager
def _interrupts(trainer):
    """Within the block, Ctrl-C only raises a flag, so that no step is cut in half; the third time it stops at once.

    Yields a function that says whether the flag is up. Only the main thread can do this, and only where Ctrl-C is not
    ignored; elsewhere the flag is never up.
    """
    presses = []

    def handler(signum, frame):
        presses.append(signum)
        if len(presses) >= 3:
            trainer.cut_off = True
            raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGINT)
    if not in_main or previous in (signal.SIG_IGN, None):
        yield lambda: False
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: bool(presses)
    finally:
        signal.signal(signal.SIGINT, previous)
