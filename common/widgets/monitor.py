"""Training monitor: loss, accuracy and sample heatmaps, while ``Trainer.fit`` runs and afterward."""

import time

from common.language import say
from common.np import host, to_cpu
from common.svg import (
    BLUE,
    INK,
    LINE,
    MUTED,
    ORANGE,
    Drawing,
    draw_heatmap,
    draw_shades,
    heatmap_size,
    number,
    percent,
    visible,
)
from common.widgets.base import CHARACTERS, Picture, Widget, box_of, controls, picture_frame, quoted

POINTS = 200  # of the loss curve, at most
SAMPLES = 60  # that are kept, at most
PACE = 400  # milliseconds of each sample while they play
STATES = {
    "waiting": "Waiting for training to begin",
    "training": "Training",
    "finished": "Finished",
    "stopped": "Stopped",
    "failed": "Cut short, by an error or a second interrupt,",
}


def render_training(
    losses,
    accuracies=(),
    sample=None,
    state="training",
    step=0,
    epoch=0,
    total_steps=None,
    captions=CHARACTERS,
    seconds=None,
    moment=None,
):
    """Return the monitor's picture as SVG.

    Args:
        losses: pairs (step, loss). accuracies: pairs (step, share right in 0 to 1).
        sample: (question, answer, weights (len(answer), len(question)) or None), or None for no sample; question and
            answer are lists of tokens, or strings.
        state: one of ``STATES``. step, epoch: where training is. total_steps: how far it goes, if known.
        captions: the words for tokens.
        seconds: (elapsed, left), either may be None if it is not known; or None.
        moment: the step after which the sample was taken, if that is to be said.
    """
    if state not in STATES:
        raise ValueError(f"render_training: state must be one of {', '.join(STATES)}, not {state!r}")
    words = describe_training(losses, accuracies, sample, state, step, epoch, total_steps, captions, seconds, moment)
    drawing = Drawing(_width(sample), 350, words)
    drawing.words(
        14,
        26,
        (_headline(state, step, epoch, total_steps), dict(size=15, bold=True)),
        ("   " + _clock(state, seconds), dict(color=MUTED)),
    )
    reach = max([total_steps or 0, step, *(s for s, _ in losses[-1:]), *(s for s, _ in accuracies[-1:]), 1])
    top = max([1e-9, *(loss for _, loss in losses)])
    curve = dict(reach=reach, moment=moment)
    _curve(
        drawing,
        48,
        say("loss per {token}", token=captions.said("token")),
        losses,
        _nice(top),
        BLUE,
        None,
        number,
        **curve,
    )
    _curve(drawing, 198, say("right answers"), accuracies, 1.0, ORANGE, "6 3", lambda x, digits=0: percent(x), **curve)
    _sample(drawing, sample, captions, moment)
    return str(drawing)


def describe_training(
    losses,
    accuracies,
    sample,
    state,
    step,
    epoch,
    total_steps=None,
    captions=CHARACTERS,
    seconds=None,
    moment=None,
):
    """Return in words what the picture shows. Args: as for ``render_training``."""
    clock = _clock(state, seconds)
    words = [_headline(state, step, epoch, total_steps) + (f", {clock}." if clock else ".")]
    if losses:
        ends = dict(first=number(losses[0][1], 3), last=number(losses[-1][1], 3))
        words.append(say("The loss went from {first} to {last}.", **ends))
    if accuracies:
        words.append(say("{share} of the answers are right.", share=percent(accuracies[-1][1])))
    if sample:
        when = "" if moment is None else say("After step {step:,}, ", step=moment)
        became = dict(question=captions.join(sample[0]), answer=quoted(captions.join(sample[1])))
        words.append(when + say("“{question}” becomes {answer}", **became))
    return " ".join(words)


def _headline(state, step, epoch, total_steps):
    if state == "waiting":
        return say(STATES[state])
    place = dict(state=say(STATES[state]), epoch=epoch, step=step)
    if total_steps:
        said = say("{state} in epoch {epoch}, step {step:,} of {total:,}", **place, total=total_steps)
    else:
        said = say("{state} in epoch {epoch}, step {step:,}", **place)
    return said + (say(". The model keeps what it has learned") if state == "stopped" else "")


def _clock(state, seconds):
    """Return how long training has taken and will take, in words."""
    elapsed, left = seconds or (None, None)
    if elapsed is None or state == "waiting":
        return ""
    if state != "training":
        return say("after {time}", time=duration(elapsed))
    said = say("{time} so far", time=duration(elapsed))
    return said if left is None else f"{said}, {say('about {time} left', time=duration(left))}"


def duration(seconds):
    """Return a time in words: 7.2 -> "7 s", 125 -> "2 min 5 s"."""
    minutes, seconds = divmod(round(seconds), 60)
    if minutes:
        return say("{minutes} min {seconds} s", minutes=minutes, seconds=seconds)
    return say("{seconds} s", seconds=seconds)


def _nice(top):
    """Return a round number that is not below top, for the end of an axis."""
    power = 10.0 ** host.floor(host.log10(top))
    return float(next(m * power for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * power >= top * 0.999))


def _curve(drawing, y, name, pairs, top, color, dash, show, reach, moment):
    left, width, height = 66, 300, 96
    now = say(": {number} now", number=show(pairs[-1][1], 3)) if pairs else say(": not measured yet")
    drawing.words(left, y + 12, (name, dict(bold=True)), (now, {}))
    y += 22
    for k in range(3):
        height_k = y + height * k / 2
        drawing.line(left, height_k, left + width, height_k, "#dddddd" if k < 2 else LINE)
        drawing.text(left - 8, height_k + 4, show(top * (1 - k / 2)), size=11, anchor="end", color=MUTED)
    drawing.text(left, y + height + 15, "0", size=11, color=MUTED)
    drawing.text(left + width, y + height + 15, say("{count:,} steps", count=reach), size=11, anchor="end", color=MUTED)
    points = [(left + width * s / reach, y + height * (1 - min(v / top, 1))) for s, v in pairs]
    if len(points) > 1:
        drawing.polyline(points, color, 2, dash)
    if points:
        drawing.circle(*points[-1], 4, fill=color)
    if moment is not None:
        x = left + width * moment / reach
        drawing.line(x, y, x, y + height, INK, 1.5)


def _width(sample):
    """Return the width of the picture: the sample has the room it needs."""
    if sample is None or sample[2] is None:
        return 860
    return max(860, 424 + heatmap_size(*sample[:2])[2])


def _sample(drawing, sample, captions, moment):
    if sample is None:
        return
    x, y = 410, 60
    question, answer, weights = sample
    when = say("a sample") if moment is None else say("a sample, after step {step:,}", step=moment)
    if weights is None:
        drawing.text(x, y - 8, when, bold=True)
        drawing.text(x + 24, y + 40, captions.join(map(visible, question)), mono=True)
        drawing.text(x + 24, y + 64, captions.join(map(visible, answer)), mono=True, bold=True)
        drawing.text(x + 24, y + 88, say("No attention: nothing to show."), color=MUTED)
        return
    drawing.text(x, y - 8, when, bold=True)
    looks = say("where each {token} of the answer looks", token=captions.said("token"))
    drawing.text(x, y + 10, looks, size=11, color=MUTED)
    draw_heatmap(drawing, x, y + 16, question, answer, weights)
    draw_shades(drawing, x + 24, y + 28 + heatmap_size(question, answer)[3])


def render_moments(samples, captions=CHARACTERS, count=4):
    """Return a picture of how attention forms, as SVG: ``count`` of the samples, side by side, two in a row.

    Args: samples, a list of (step, question, answer, weights), in order; captions, the words for tokens.
    """
    shown = _spread(samples, count)
    wide = max(heatmap_size(question, answer)[2] for _, question, answer, _ in shown) + 40
    tall = 38 + max(heatmap_size(question, answer)[3] for _, question, answer, _ in shown)
    drawing = Drawing(max(2 * wide, 620), 34 + tall * -(-len(shown) // 2), describe_moments(samples, captions, count))
    drawing.text(14, 24, say("How attention forms: the same question after more and more steps"), bold=True)
    for k, (step, question, answer, weights) in enumerate(shown):
        x, y = 14 + drawing.width / 2 * (k % 2), 44 + tall * (k // 2)
        said = say("after step {step:,}: {answer}", step=step, answer=captions.join(answer))
        drawing.text(x, y + 12, said, color=MUTED)
        draw_heatmap(drawing, x, y + 16, question, answer, weights)
    return str(drawing)


def describe_moments(samples, captions=CHARACTERS, count=4):
    """Return in words what the picture shows. Args: as for ``render_moments``."""
    words = [say("How attention forms on “{question}”.", question=captions.join(samples[0][1]))]
    for step, _, answer, weights in _spread(samples, count):
        words.append(
            say(
                "After step {step:,} it becomes “{answer}”; a row's largest weight is {share} on average.",
                step=step,
                answer=captions.join(answer),
                share=percent(weights.max(axis=1).mean()),
            )
        )
    return " ".join(words)


def _spread(items, count):
    """Return ``count`` of the items, from the first to the last, at equal distances."""
    if len(items) <= count:
        return list(items)
    return [items[round(k * (len(items) - 1) / (count - 1))] for k in range(count)]


class TrainingMonitor(Widget):
    """Watch training: show it, then hand its two methods to ``Trainer.fit``.

    When training has ended, a slider goes through the samples taken on the way: one watches how attention forms.

    Args:
        accuracy: called as accuracy(model), returns the share of right answers; a few hundred questions are enough.
        sample: called as sample(model), returns (question, answer, weights or None), in reading order.
        interval: the fewest seconds between two pictures. max_overhead: the share of the time that measuring and
            drawing may take; if they are slow, pictures come less often.
        total_steps: the number of steps training will take, for the axis and the time that is left; may be None.
        captions: the words for tokens.

    Attributes: ``picture``, ``state`` (waiting, training, finished, stopped or failed), ``losses`` (one for every
    step), ``accuracies`` (pairs of step and share), ``samples`` (step, question, answer, weights; at most ``SAMPLES``),
    ``moment`` (the slider; its value counts samples from 0), ``play``, ``seconds`` spent on watching, ``elapsed``
    seconds of training.

    In a notebook the last picture comes when the cell ends; elsewhere call ``finish(trainer)``.

        monitor = TrainingMonitor(accuracy=lambda model: task.accuracy(model, 200))
        monitor.show()
        trainer.fit(x, t, on_step=monitor.on_step, on_epoch=monitor.on_epoch)
        monitor.moment.value = 0
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
        self.state, self.losses, self.accuracies, self.samples = "waiting", [], [], []
        self.seconds = self.elapsed = 0.0
        self._step = self._epoch = 0
        self._began = self._next = None  # when training began, and when the next picture is due
        self._trainer = None
        self._whole = False  # whether the last epoch is complete
        self._make_controls()
        self._draw()

    def _make_controls(self):
        w = controls()
        self.picture = picture_frame()
        self.moment = w.SelectionSlider(
            options=[(say("after training"), 0)],
            description=say("sample after step"),
            style={"description_width": "initial"},
            layout={"width": "480px"},
            disabled=True,
        )
        self.play = w.Play(
            min=0, max=0, interval=PACE, show_repeat=False, description=say("play the samples"), disabled=True
        )
        w.link((self.play, "value"), (self.moment, "index"))
        self.moment.observe(self._moved, names="value")
        row = [w.HBox([self.moment, self.play], layout={"flex_flow": "row wrap"})] if self.sample else []
        self.box = box_of([self.picture, *row], file="training")

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
        self.elapsed += time.perf_counter() - self._began
        if trainer.interrupted:
            self.state = "stopped"
        else:
            self.state = "finished" if self._whole else "failed"
        if self.state != "failed":
            self._measure(trainer)
        self._trainer = None
        self._offer_samples()
        self._draw()

    def _begin(self, trainer):
        self.state, self._trainer = "training", trainer
        _remember(self._at_end)
        self._began = time.perf_counter()
        self._take_sample(trainer)
        self._next = time.perf_counter() + self.interval
        self.moment.disabled = self.play.disabled = True
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
        self._take_sample(trainer)

    def _take_sample(self, trainer):
        """Keep where the model looks now. Of too many samples every other one goes, but not the first or the last."""
        if not self.sample or (self.samples and self.samples[-1][0] == self._step):
            return
        question, answer, weights = self.sample(trainer.model)
        self.samples.append((self._step, question, answer, None if weights is None else host.array(to_cpu(weights))))
        if len(self.samples) > SAMPLES:
            self.samples = [*self.samples[:-1:2], self.samples[-1]]

    def _offer_samples(self):
        """Let the reader go through the samples; the last one is shown."""
        if not self.samples:
            return
        last = len(self.samples) - 1
        self.moment.options = [(f"{step:,}", k) for k, (step, *_) in enumerate(self.samples)]
        self.play.max = last
        self.moment.value = last
        self.moment.disabled = self.play.disabled = not last

    def _moved(self, change):
        """The reader goes to another sample."""
        if self.state != "training":
            self._draw()

    def _clock(self):
        """Return (seconds elapsed, seconds left or None)."""
        elapsed = self.elapsed
        if self.state == "training":
            elapsed += time.perf_counter() - self._began
        steps = (self.total_steps or 0) - self._step
        left = elapsed / len(self.losses) * steps if steps > 0 and len(self.losses) > 1 else None
        return elapsed, left

    def _state(self, moment=None):
        """Return the arguments of ``render_training``. moment: which sample, by default the last."""
        step, *sample = self.samples[-1 if moment is None else moment] if self.samples else (None, None)
        chosen = None if self.state in ("waiting", "training") or len(self.samples) < 2 else step
        progress = self.state, self._step, self._epoch, self.total_steps
        sample = tuple(sample) if self.samples else None
        return self._curve(), self.accuracies, sample, *progress, self.captions, self._clock(), chosen

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
        ended = self.state not in ("waiting", "training")
        self.picture.value = render_training(*self._state(self.moment.value if ended and self.samples else None))

    def static(self, moment=None):
        """Return the Picture as it is now, and below it how attention formed, in a few of the samples.

        Args: moment, which sample the picture shows, from 0; by default the last.
        What it shows depends on the training, so nbval cannot compare it.
        """
        state = self._state(moment)
        moments = [sample for sample in self.samples if sample[3] is not None]
        strip = []
        if len(moments) > 1 and self.state != "training":
            strip = [Picture(render_moments(moments, self.captions), describe_moments(moments, self.captions))]
        return Picture(render_training(*state), describe_training(*state), strip)


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
