"""One training run: the loop, its history, interrupting and resuming."""

import json
import os
import platform
import sys
import tempfile
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.checkpoint import read_extra
from common.metrics import shown
from common.np import GPU, host
from common.npz import atomic_write
from common.ranks import Alone, code_version
from common.trainer import Trainer

CHECKPOINT = "checkpoint.npz"
EVERY, QUICK_ROWS = 50, 500  # steps between two quick looks at unseen data, and the rows they use


@dataclass
class Run:
    """What a training run left: the model, its task, and the history that stands in ``history.json``."""

    model: object
    task: object
    history: dict
    interrupted: bool = False

    @property
    def seconds(self):
        """Seconds of training, without those of measuring."""
        return self.history["epochs"][-1]["train_seconds"] if self.history["epochs"] else 0.0


def train(
    system, name, *, seed=0, out=None, resume=False, progress=True, label=None, sizes=None, options=None, ranks=None
):
    """Train one system and return a Run.

    Args:
        system: a System. name: what it is called.
        seed: of the weights and of the batches.
        out: folder for the checkpoint (after every epoch and when interrupted), or None for no files.
        resume: go on from the checkpoint in ``out``; with as many cores as before, the result is that of a run that
            was never interrupted.
        progress: show a progress bar. label: its text.
        sizes: for ``system.model``, such as {"hidden_size": 64}. options: for ``system.task``, such as {"data": path}.
        ranks: the processes that train together, a ``common.ranks.Ranks``, each of which calls this function with the
            same arguments; the first of them measures and writes. None: this process alone.

    Raises: DivergedError; ValueError if the checkpoint was made with other settings or other data, or if there are more
    ranks than rows in a batch; RuntimeError if the ranks differ in what they were started with, or in their weights.
    """
    ranks = ranks or Alone()
    recipe = system.recipe
    if recipe.batch_size < ranks.size:
        raise ValueError(f"a batch of {recipe.batch_size} rows has no part for each of {ranks.size} ranks; start fewer")
    task = system.task(batch_size=recipe.batch_size, seed=seed, **(options or {}))
    model = system.model(task, rng=host.random.default_rng(seed), **(sizes or {}))
    model.vocab = task.tokens
    if system.prepare:
        system.prepare(model, task)
    model = ranks.own(model)
    trainer = Trainer(ranks.parallel(model), recipe.optimizer())
    trainer.agree = ranks.agree
    history = History(name, seed, sizes, recipe, task)
    if ranks.size > 1:
        settings = flat(history.settings) | {"task.data": None}  # the contents count, not where they lie
        ranks.check_same({**settings, **versions(), "code": code_version(), "resume": resume})
    checkpoint = None if out is None else Path(out) / CHECKPOINT
    if resume:
        _restore(ranks, history, trainer, checkpoint)
    ranks.check_weights(model, trainer.step)
    bar = _bar(recipe.epochs * task.steps_per_epoch, trainer.step, label or name, progress and ranks.rank == 0)

    def on_step(trainer, loss):
        history.add_step(trainer.step, loss)
        if trainer.step % EVERY == 0:
            ranks.check_weights(model, trainer.step)
            history.add_measures(trainer.step, ranks.first(lambda: task.measure(model, QUICK_ROWS)))
        bar.update(1)
        bar.set_postfix_str(history.line(), refresh=False)
        history.clock.start()

    def save():
        ranks.check_weights(model, trainer.step)
        history.data.pop("ranks", None)  # those of before it was resumed
        history.data |= ranks.record()
        if checkpoint:
            streams = ranks.gather(trainer.model.random_states())
            ranks.first(lambda: trainer.save(checkpoint, history.state() | {"streams": streams}))

    first = len(history.data["epochs"]) + 1
    skip = trainer.batch if trainer.current_epoch == first else 0  # interrupted in the middle of an epoch
    interrupted = False
    with ranks.listening():
        try:
            for epoch in range(first, recipe.epochs + 1):
                history.clock.start()
                interrupted = not trainer.run_epoch(
                    task.batches(epoch),
                    epoch,
                    skip=skip,
                    max_grad=recipe.max_grad,
                    schedule=recipe.schedule(task.steps_per_epoch),
                    on_step=on_step,
                )
                history.clock.stop()
                skip = 0
                if interrupted:
                    break
                history.end_epoch(epoch, trainer, ranks.first(lambda: task.measure(model)))
                if epoch < recipe.epochs:
                    save()
        except KeyboardInterrupt:
            if trainer.cut_off:  # within an update: there is nothing worth saving
                raise
            interrupted = True  # while measuring, between two steps: nothing is half done
        finally:
            bar.close()
        save()
    return Run(model, task, history.data, interrupted)


def _restore(ranks, history, trainer, checkpoint):
    """Load the checkpoint of rank 0 on all ranks; the others need not see its folder."""

    def restore():
        history.restore(trainer, checkpoint)
        return checkpoint.read_bytes() if ranks.size > 1 else None

    content = ranks.first(restore)
    if ranks.rank:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / CHECKPOINT
            copy.write_bytes(content)
            history.restore(trainer, copy, ranks.rank)


class History:
    """What a run remembers: its settings, losses and measures. ``data`` is what stands in ``history.json``."""

    def __init__(self, name, seed, sizes, recipe, task):
        self.settings = {
            "system": name,
            "seed": seed,
            "sizes": sizes or {},
            "recipe": recipe.settings(),
            "task": task.settings,
        }
        self.data = {**self.settings, "versions": versions(), "epochs": [], "loss": [], "measures": []}
        self.clock = Clock()
        self.recent = deque(maxlen=10)  # losses
        self.smooth, self.headline = None, None

    def add_step(self, step, loss):
        """Remember the loss of a step, every tenth in ``data``."""
        self.clock.stop()
        self.recent.append(loss)
        self.smooth = loss if self.smooth is None else 0.95 * self.smooth + 0.05 * loss
        if step % 10 == 0:
            self.data["loss"].append([step, round(sum(self.recent) / len(self.recent), 5)])

    def add_measures(self, step, measures):
        """Remember what was measured after a step, the headline first."""
        self.headline = next(iter(measures.items()), None)
        self.data["measures"].append([step, measures])

    def end_epoch(self, epoch, trainer, measures):
        """Remember the epoch: its mean loss, its measures, the seconds of training so far."""
        self.headline = next(iter(measures.items()), None)
        loss = round(trainer.epoch_loss, 5)
        seconds = round(self.clock.total, 2)
        self.data["epochs"].append(
            {"epoch": epoch, "step": trainer.step, "loss": loss, **measures, "train_seconds": seconds}
        )

    def line(self):
        """Return one line for the progress bar."""
        if self.headline is None:
            return f"loss {self.smooth:.3f}"
        name, value = self.headline
        return f"loss {self.smooth:.3f}, unseen {name.replace('_', ' ')} {shown(name, value)}"

    def state(self):
        """Return what going on needs, for the checkpoint."""
        return {"history": self.data, "settings": self.settings, "spent": self.clock.total, "recent": list(self.recent)}

    def restore(self, trainer, checkpoint, rank=0):
        """Load the checkpoint into the trainer and this history; rank 0, 1, ... goes on with its own random streams.

        Raises: ValueError for other settings or data.
        """
        if checkpoint is None:
            raise ValueError("resume needs the folder of the earlier run: give out as well")
        if not checkpoint.is_file():
            raise FileNotFoundError(
                f"{checkpoint} does not exist; there is no earlier run to go on with in that folder"
            )
        self._check(read_extra(checkpoint), checkpoint)
        state = trainer.load(checkpoint)
        streams = state.get("streams")  # older checkpoints have none
        if isinstance(streams, list) and rank < len(streams):
            try:
                trainer.model.set_random_states(streams[rank])
            except ValueError as error:
                raise ValueError(f"{checkpoint} does not fit this model: {error}") from None
        self.data = state["history"] | {"recipe": self.settings["recipe"]}
        self.clock.total, self.recent = state["spent"], deque(state["recent"], maxlen=10)
        if self.recent:
            self.smooth = self.recent[-1]

    def _check(self, state, checkpoint):
        if not isinstance(state, dict) or not {"history", "settings", "spent", "recent"} <= state.keys():
            raise ValueError(f"{checkpoint} is not the checkpoint of such a run; start anew without resume")
        before, now = flat(state["settings"]), flat(self.settings)
        before["task.data"] = now["task.data"] = None  # the contents count, not where they lie
        if now["recipe.warmup_steps"] is None:  # at a constant rate a run may be made longer
            before["recipe.epochs"] = now["recipe.epochs"]
        for key in before.keys() | now.keys():
            if before.get(key) != now.get(key):
                what = "other data" if key == "task.content" else f"{key} = {before.get(key)}, not {now.get(key)}"
                raise ValueError(f"{checkpoint} was made with {what}; resume with the same, or start anew elsewhere")


def flat(settings):
    """Return nested settings as one dict: {"recipe": {"epochs": 1}} as {"recipe.epochs": 1}."""
    out = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            out |= {f"{key}.{inner}": v for inner, v in flat(value).items()}
        else:
            out[key] = value
    return out


class Clock:
    """Seconds between start and stop, added up in ``total``."""

    def __init__(self):
        self.total, self._since = 0.0, None

    def start(self):
        """Count from now on."""
        self._since = time.perf_counter()

    def stop(self):
        """Count until now."""
        if self._since is not None:
            self.total += time.perf_counter() - self._since
        self._since = None


def _bar(total, done, label, progress):
    from tqdm.auto import tqdm  # only here: importing the library must stay quick

    return tqdm(total=total, initial=done, desc=label, unit="step", disable=not progress, file=sys.stderr)


def versions():
    """Return the versions a result was made with."""
    return {"python": platform.python_version(), "numpy": host.__version__, "gpu": GPU}


def peak_memory():
    """Return the most memory this process has used so far, in MB, or None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))


def write_json(path, value):
    """Write ``value`` as JSON, whole or not at all, whoever else writes there."""
    with atomic_write(path) as file:
        file.write((json.dumps(value, indent=1) + "\n").encode())


def read_json(path):
    """Return what a JSON file holds. Raises: ValueError that names the file if it is not whole."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}; delete it and run again") from None


@contextmanager
def locked(folder):
    """Hold a folder for one run: within the block nobody else gets it. Raises: RuntimeError if somebody has it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    while True:
        file = path.open("a")
        try:
            _lock(file)
        except OSError:
            file.close()
            raise RuntimeError(f"another run is writing into {folder}; wait for it, or name another folder") from None
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()  # whoever had the lock has just removed this file: take the new one
    try:
        yield
    finally:
        if os.name == "posix":
            path.unlink(missing_ok=True)
        file.close()


def _lock(file):
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
