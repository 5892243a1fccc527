"""Training: batches, the loop, interrupting and going on."""

import json
import math
import signal
import threading
import time
from contextlib import contextmanager

from common.np import default_rng, host, np, to_cpu
from common.npz import load_arrays, save_arrays
from common.util import clip_grads


class DivergedError(FloatingPointError):
    """The loss became NaN or infinite, so the parameters are worth nothing any more."""


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


class Trainer:
    """Train a model with an optimizer.

    ``fit`` trains for some epochs and may be called again to go on. Interrupting it (Ctrl-C, or the stop button of
    Jupyter) ends it after the current step: what was learned is kept, ``interrupted`` is then True, and calling ``fit``
    again goes on with the next epoch.

    Attributes: ``loss_list``, a mean loss for every ``eval_interval`` steps; ``current_epoch``, epochs begun so far;
    ``batch``, batches done in this epoch; ``step``, updates made so far.
    """

    def __init__(self, model, optimizer):
        self.model = model
        self.optimizer = optimizer
        self.loss_list = []
        self.eval_interval = None
        self.current_epoch = 0
        self.batch = 0
        self.step = 0
        self.interrupted = False

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
            batches: called with the epoch's number (from 1), yields (x, t) batches; instead of shuffled rows. A batch
                may hold more arrays of as many rows, such as a mask: all are handed to ``model.forward``.
            schedule: called with the number of the step (from 1), returns the learning rate; None leaves it alone.
            on_step: called as on_step(trainer, loss) after every step.
            on_epoch: called as on_epoch(trainer) after every whole epoch.
            verbose: print a line for every ``eval_interval`` steps.

        Raises: DivergedError if the loss is no longer a number; ValueError for sizes that make no sense.
        """
        if len(x) != len(t) or len(x) == 0:
            raise ValueError(f"fit: x has {len(x)} rows and t {len(t)}; both need the same number, at least 1")
        if batch_size < 1 or (eval_interval is not None and eval_interval < 1):
            raise ValueError(f"fit: batch_size ({batch_size}) and eval_interval ({eval_interval}) must be at least 1")
        rng = default_rng(rng)
        self.eval_interval = eval_interval
        total = max(len(x) // batch_size, 1)
        start, losses = time.time(), []

        def report(trainer, loss):
            losses.append(loss)
            if eval_interval and trainer.step % eval_interval == 0:
                mean = sum(losses) / len(losses)
                losses.clear()
                trainer.loss_list.append(mean)
                if verbose:
                    print(
                        f"| epoch {trainer.current_epoch} |  iter {trainer.batch} / {total} "
                        f"| time {int(time.time() - start)}[s] | loss {mean:.2f}"
                    )
            if on_step:
                on_step(trainer, loss)

        for _ in range(max_epoch):
            epoch = self.current_epoch + 1
            source = batches(epoch) if batches else shuffled_batches(x, t, batch_size, rng)
            whole = self.run_epoch(source, epoch, max_grad=max_grad, schedule=schedule, on_step=report)
            if not whole:
                if verbose:
                    print(f"Stopped in epoch {epoch} after {self.step} steps. The model keeps what it has learned.")
                return
            if on_epoch:
                on_epoch(self)

    def run_epoch(self, batches, epoch, *, skip=0, max_grad=None, schedule=None, on_step=None):
        """Train on the batches of one epoch; return True if it ran to its end, False if it was interrupted.

        Args: batches, an iterable of tuples of arrays for ``model.forward``; epoch, its number; skip, so many batches
        were trained on before.
        """
        self.current_epoch, self.batch, self.interrupted = epoch, skip, False
        with _interrupt_flag() as interrupted:
            for k, batch in enumerate(batches):
                if k < skip:
                    continue
                loss = self._train_on(batch, max_grad, schedule)
                self.batch = k + 1
                if on_step:
                    on_step(self, loss)
                if interrupted():
                    self.interrupted = True
                    return False
        return True

    def _train_on(self, batch, max_grad, schedule):
        """One update: forward, backward, clip, optimizer. Return the loss."""
        loss = float(self.model.forward(*batch))
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss} in epoch {self.current_epoch}, step {self.step + 1}. "
                "Try a smaller learning rate or a smaller max_grad."
            )
        self.model.backward()
        self.step += 1
        if schedule:
            self.optimizer.lr = schedule(self.step)
        if max_grad is not None:
            clip_grads(self.model.grads, max_grad)
        self.optimizer.update(self.model.params, self.model.grads)
        return loss

    def plot(self, ylim=None):
        """Draw ``loss_list`` over the steps with matplotlib. Args: ylim, (low, high) of the loss axis."""
        from matplotlib import pyplot as plt  # only here: importing the library must stay quick

        if not self.loss_list:
            raise ValueError("plot: there is no loss yet; call fit with an eval_interval first")
        if ylim is not None:
            plt.ylim(*ylim)
        plt.plot(range(1, len(self.loss_list) + 1), self.loss_list, label="training")
        plt.xlabel(f"steps (x {self.eval_interval})")
        plt.ylabel("loss")
        plt.legend()
        plt.show()

    def save(self, path, extra=None):
        """Write everything that going on needs to an .npz file: parameters, optimizer, counters.

        Args: extra, a dict that JSON can hold, kept alongside.
        """
        arrays = {f"model/{n}": to_cpu(p) for n, p in zip(self.model.param_names, self.model.params, strict=True)}
        arrays.update({f"optimizer/{n}": a for n, a in self.optimizer.state_dict().items()})
        counters = {
            "current_epoch": self.current_epoch,
            "batch": self.batch,
            "step": self.step,
            "loss_list": self.loss_list,
            "extra": extra,
        }
        arrays["trainer"] = host.array(json.dumps(counters))
        save_arrays(path, arrays)

    def load(self, path):
        """Take over what ``save`` wrote and return ``extra``; model and optimizer must be of the same kind and size.

        Raises: FileNotFoundError, or ValueError that names what does not fit; then nothing has changed.
        """
        arrays = load_arrays(path)
        if "trainer" not in arrays:
            raise ValueError(f"{path} is no checkpoint of a Trainer; it has no array 'trainer'")
        for name, p in zip(self.model.param_names, self.model.params, strict=True):
            got = arrays.get(f"model/{name}")
            if got is None or got.shape != p.shape:
                what = "missing" if got is None else f"{got.shape} in the file"
                raise ValueError(f"{path} does not fit this model: {name!r} is {what} and {p.shape} in the model")
        self.optimizer.load_state_dict(
            {n.removeprefix("optimizer/"): np.asarray(a) for n, a in arrays.items() if n.startswith("optimizer/")}
        )
        for name, p in zip(self.model.param_names, self.model.params, strict=True):
            p[...] = np.asarray(arrays[f"model/{name}"])
        counters = json.loads(str(arrays["trainer"]))
        self.current_epoch, self.batch, self.step = (counters[k] for k in ("current_epoch", "batch", "step"))
        self.loss_list = counters["loss_list"]
        return counters["extra"]


@contextmanager
def _interrupt_flag():
    """Within the block, Ctrl-C only raises a flag, so that no update is cut in half; a second Ctrl-C stops at once.

    Yields a function that says whether the flag is up. Only the main thread can do this; elsewhere it is never up.
    """
    pressed = []

    def handler(signum, frame):
        if pressed:
            raise KeyboardInterrupt
        pressed.append(signum)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, previous)
