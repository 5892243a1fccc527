"""Training monitor: loss, accuracy and a sample heatmap while ``Trainer.fit`` runs."""

import time

from common.np import host, to_cpu
from common.svg import BLUE, LINE, MUTED, ORANGE, Drawing, ink_on, number, percent, shade, visible
from common.widgets.base import CHARACTERS, Picture, Widget, controls

POINTS = 200  # of the loss curve, at most
STATES = {
    "waiting": "Waiting for training to begin",
    "training": "Training",
    "finished": "Finished",
    "stopped": "Stopped",
    "failed": "Cut short, by an error or a second interrupt,",
}


def render_training(
    losses, accuracies=(), sample=None, state="training", step=0, epoch=0, total_steps=None, captions=CHARACTERS
):
    """Return the monitor's picture as SVG.

    Args:
        losses: pairs (step, loss). accuracies: pairs (step, share right in 0 to 1).
        sample: (question, answer, weights (len(answer), len(question)) or None), or None for no sample; question and
            answer are lists of tokens, or strings.
        state: one of ``STATES``. step, epoch: where training is. total_steps: how far it goes, if known.
        captions: the words for tokens.
    """
    if state not in STATES:
        raise ValueError(f"render_training: state must be one of {', '.join(STATES)}, not {state!r}")
    words = describe_training(losses, accuracies, sample, state, step, epoch, total_steps, captions)
    drawing = Drawing(860, 350, words)
    drawing.text(14, 26, _headline(state, step, epoch, total_steps), size=15, bold=True)
    reach = max([total_steps or 0, step, *(s for s, _ in losses[-1:]), *(s for s, _ in accuracies[-1:]), 1])
    top = max([1e-9, *(loss for _, loss in losses)])
    _curve(drawing, 48, f"loss per {captions.token}", losses, reach, _nice(top), BLUE, None, number)
    _curve(drawing, 198, "right answers", accuracies, reach, 1.0, ORANGE, "6 3", lambda x, digits=0: percent(x))
    _sample(drawing, sample, captions)
    return str(drawing)


def describe_training(losses, accuracies, sample, state, step, epoch, total_steps=None, captions=CHARACTERS):
    """Return in words what the picture shows. Args: as for ``render_training``."""
    words = [_headline(state, step, epoch, total_steps) + "."]
    if losses:
        words.append(f"The loss went from {number(losses[0][1], 3)} to {number(losses[-1][1], 3)}.")
    if accuracies:
        words.append(f"{percent(accuracies[-1][1])} of the answers are right.")
    if sample:
        words.append(f"“{captions.join(sample[0])}” becomes “{captions.join(sample[1])}”.")
    return " ".join(words)


def _headline(state, step, epoch, total_steps):
    if state == "waiting":
        return STATES[state]
    of = f" of {total_steps:,}" if total_steps else ""
    return f"{STATES[state]} in epoch {epoch}, step {step:,}{of}" + (
        ". The model keeps what it has learned" if state == "stopped" else ""
    )


def _nice(top):
    """Return a round number that is not below top, for the end of an axis."""
    power = 10.0 ** host.floor(host.log10(top))
    return float(next(m * power for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * power >= top * 0.999))


def _curve(drawing, y, name, pairs, reach, top, color, dash, show):
    left, width, height = 66, 300, 96
    now = f": {show(pairs[-1][1], 3)} now" if pairs else ": not measured yet"
    drawing.words(left, y + 12, (name, dict(bold=True)), (now, {}))
    y += 22
    for k in range(3):
        height_k = y + height * k / 2
        drawing.line(left, height_k, left + width, height_k, "#dddddd" if k < 2 else LINE)
        drawing.text(left - 8, height_k + 4, show(top * (1 - k / 2)), size=11, anchor="end", color=MUTED)
    drawing.text(left, y + height + 15, "0", size=11, color=MUTED)
    drawing.text(left + width, y + height + 15, f"{reach:,} steps", size=11, anchor="end", color=MUTED)
    points = [(left + width * s / reach, y + height * (1 - min(v / top, 1))) for s, v in pairs]
    if len(points) > 1:
        drawing.polyline(points, color, 2, dash)
    if points:
        drawing.circle(*points[-1], 4, fill=color)


def _sample(drawing, sample, captions):
    left, y = 410, 60
    if sample is None:
        return
    question, answer, weights = sample
    cell = min(16, 400 / max(len(question), 1))
    left += 24
    if weights is None:
        drawing.text(left - 24, y, "a sample", bold=True)
        drawing.text(left, y + 40, captions.join(map(visible, question)), mono=True)
        drawing.text(left, y + 64, captions.join(map(visible, answer)), mono=True, bold=True)
        drawing.text(left, y + 88, "No attention: nothing to show.", color=MUTED)
        return
    drawing.text(left - 24, y, "a sample: where each character of the answer looks", bold=True)
    for i, char in enumerate(question):
        drawing.text(left + cell * (i + 0.5), y + 30, visible(char), anchor="middle", mono=True)
    for k, char in enumerate(answer):
        row = y + 38 + 18 * k
        drawing.text(left - 12, row + 14, visible(char), anchor="middle", mono=True)
        for i, w in enumerate(weights[k]):
            drawing.rect(left + cell * i, row, cell, 18, fill=shade(w), stroke="#e6e6e6")
    row = y + 38 + 18 * len(answer) + 12
    drawing.text(left, row + 13, "weight", size=11, color=MUTED)
    for j, w in enumerate((0, 0.5, 1)):
        drawing.rect(left + 50 + 44 * j, row, 44, 17, fill=shade(w), stroke=LINE)
        drawing.text(left + 72 + 44 * j, row + 13, percent(w), size=11, anchor="middle", color=ink_on(w))


class TrainingMonitor(Widget):
    """Watch training: show it, then hand its two methods to ``Trainer.fit``.

    Args:
        accuracy: called as accuracy(model), returns the share of right answers; a few hundred questions are enough.
        sample: called as sample(model), returns (question, answer, weights or None), in reading order.
        interval: the fewest seconds between two pictures. max_overhead: the share of the time that measuring and
            drawing may take; if they are slow, pictures come less often.
        total_steps: the number of steps training will take, for the axis; may be None.
        captions: the words for tokens.

    Attributes: ``picture``, ``state`` (waiting, training, finished, stopped or failed), ``losses`` (one for every
    step), ``accuracies`` (pairs of step and share), ``seconds`` spent on watching.

    In a notebook the last picture comes when the cell ends; elsewhere call ``finish(trainer)``.

        monitor = TrainingMonitor(accuracy=lambda model: task.accuracy(model, 200))
        monitor.show()
        trainer.fit(x, t, on_step=monitor.on_step, on_epoch=monitor.on_epoch)
    """

    about = "loss, accuracy and a sample while training runs"

    def __init__(
        self, accuracy=None, sample=None, interval=1.0, max_overhead=0.05, total_steps=None, captions=CHARACTERS
    ):
        if interval < 0 or not 0 < max_overhead <= 1:
            raise ValueError(
                f"TrainingMonitor: interval must not be negative and max_overhead must be above 0 and at most 1, "
                f"got {interval} and {max_overhead}"
            )
        self.accuracy, self.sample = accuracy, sample
        self.interval, self.max_overhead, self.total_steps = interval, max_overhead, total_steps
        self.captions = captions
        self.state, self.losses, self.accuracies, self.seconds = "waiting", [], [], 0.0
        self._last_sample = None
        self._step = self._epoch = 0
        self._next = None  # when the next picture is due
        self._trainer = None
        self._whole = False  # whether the last epoch is complete
        w = controls()
        self.picture = w.HTML()
        self.box = w.VBox([self.picture])
        self._draw()

    def on_step(self, trainer, loss):
        """For ``Trainer.fit(on_step=...)``: keep the loss; draw if it is time."""
        self.losses.append(float(loss))
        self._step, self._epoch, self._whole = trainer.step, trainer.current_epoch, False
        if self.state != "training":
            self._begin(trainer)
        elif time.perf_counter() >= self._next:
            self._look(trainer)

    def on_epoch(self, trainer):
        """For ``Trainer.fit(on_epoch=...)``: the epoch is complete; measure and draw if it is time."""
        self._step, self._epoch, self._whole = trainer.step, trainer.current_epoch, True
        if self.state != "training":
            self._begin(trainer)
        elif time.perf_counter() >= self._next:
            self._look(trainer)

    def finish(self, trainer=None):
        """Show how training ended: finished, stopped by the reader, or by an error. Without training, do nothing."""
        if self.state != "training":
            return
        trainer = trainer or self._trainer
        _forget(self._at_end)
        if trainer.interrupted:
            self.state = "stopped"
        else:
            self.state = "finished" if self._whole else "failed"
        if self.state != "failed":
            self._measure(trainer)
        self._trainer = None
        self._draw()

    def _begin(self, trainer):
        self.state, self._trainer = "training", trainer
        _remember(self._at_end)
        self._next = time.perf_counter() + self.interval
        self._draw()

    def _at_end(self, *args):
        self.finish()

    def _look(self, trainer):
        """Measure and draw, and set the time of the next picture so that watching stays cheap."""
        start = time.perf_counter()
        self._measure(trainer)
        self._draw()
        now = time.perf_counter()
        self.seconds += now - start
        self._next = now + max(self.interval, (now - start) / self.max_overhead)

    def _measure(self, trainer):
        if self.accuracy and (not self.accuracies or self.accuracies[-1][0] != self._step):
            self.accuracies.append((self._step, float(self.accuracy(trainer.model))))
        if self.sample:
            question, answer, weights = self.sample(trainer.model)
            self._last_sample = question, answer, None if weights is None else to_cpu(weights)

    def _state(self):
        sample = self._last_sample
        progress = self.state, self._step, self._epoch, self.total_steps
        return self._curve(), self.accuracies, sample, *progress, self.captions

    def _curve(self):
        """Return the losses as at most ``POINTS`` pairs (step, mean of the steps before it)."""
        n = len(self.losses)
        size = -(-n // POINTS) or 1
        first = self._step - n  # the trainer may have trained before
        return [
            (first + min(k + size, n), sum(self.losses[k : k + size]) / len(self.losses[k : k + size]))
            for k in range(0, n, size)
        ]

    def _draw(self):
        self.picture.value = render_training(*self._state())

    def static(self):
        """Return the Picture as it is now. What it shows depends on the training, so nbval cannot compare it."""
        return Picture(render_training(*self._state()), describe_training(*self._state()))


def _shell():
    """Return the IPython shell of a notebook, or None elsewhere."""
    try:
        from IPython import get_ipython
    except ModuleNotFoundError:
        return None
    return get_ipython()


def _remember(callback):
    """Have IPython call back when the cell has ended, however it ends."""
    shell = _shell()
    if shell is not None:
        shell.events.register("post_execute", callback)


def _forget(callback):
    shell = _shell()
    if shell is not None and callback in shell.events.callbacks["post_execute"]:
        shell.events.unregister("post_execute", callback)
