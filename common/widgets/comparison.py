"""Comparison: several trainings one after the other, how far each of them is, and one stop for all of them."""

import time

from common.language import say
from common.svg import BLUE, GREEN, LINE, MUTED, PALE, Drawing
from common.widgets.base import Picture, Widget, box_of, picture_frame
from common.widgets.monitor import duration

WAITING, DONE = "waiting", "done"
INTERVAL = 0.5  # seconds between two pictures


def render_comparison(rows, stopped=""):
    """Return the picture as SVG: a bar for each training.

    Args: rows, (name, step, number of steps, state in words) of each training; stopped, which one was interrupted.
    """
    drawing = Drawing(740, 44 + 30 * len(rows), describe_comparison(rows, stopped))
    title = say("Stopped, with all that come after it") if stopped else say("Training one after the other")
    drawing.text(14, 22, title, bold=True)
    for k, (name, step, steps, state) in enumerate(rows):
        y = 36 + 30 * k
        drawing.text(14, y + 16, name)
        drawing.rect(190, y + 2, 220, 18, fill=PALE, stroke=LINE)
        drawing.rect(190, y + 2, 220 * min(step / steps, 1), 18, fill=GREEN if state.startswith(say(DONE)) else BLUE)
        said = say("step {step:,} of {steps:,}, {state}", step=step, steps=steps, state=state)
        drawing.text(422, y + 16, said, color=MUTED)
    return str(drawing)


def describe_comparison(rows, stopped=""):
    """Return in words what the picture shows. Args: as for ``render_comparison``."""
    words = [] if rows else [say("Nothing is being trained yet.")]
    for name, step, steps, state in rows:
        said = say("step {step:,} of {steps:,}, {state}", step=step, steps=steps, state=state)
        words.append(f"{name}: {said}.")
    return " ".join([*words, *([say("Stopped in {name}.", name=stopped)] if stopped else [])])


class Comparison(Widget):
    """Run several trainings one after the other and show how far each of them is.

    Stopping one of them (the stop button of Jupyter) stops the whole comparison: half of one is not one.

    Args: steps, the number of steps of each training.
    Attributes: ``picture``; ``results``, a dict name -> what the training of that name returned.

        comparison = Comparison(steps=250)
        comparison.show()
        results = comparison.run({"plain": train_plain, "attention": train_attention})

    where each function takes ``on_step``, gives it to ``Trainer.fit``, and returns its result.
    """

    about = "how far each training is"

    def __init__(self, steps):
        if steps < 1:
            raise ValueError(f"Comparison: steps must be at least 1, got {steps}")
        self.steps, self.results = steps, {}
        self._rows, self._stopped = {}, ""
        self._trainer, self._next = None, 0.0  # of the training that runs; when the next picture is due
        self.picture = picture_frame()
        self.box = box_of([self.picture], file="comparison")
        self._draw()

    def run(self, trainings):
        """Call train(on_step) for each name -> train in a dict; return a dict name -> what it returned.

        Raises: KeyboardInterrupt if one of them is interrupted, as a part is not the whole.
        """
        self.results, self._stopped = {}, ""
        self._rows = dict.fromkeys(trainings, (0, say(WAITING)))
        for name, train in trainings.items():
            began, self._trainer, self._next = time.perf_counter(), None, 0.0
            result = train(on_step=lambda trainer, loss, name=name, began=began: self._on_step(name, began, trainer))
            step = self._rows[name][0]
            if self._trainer is not None and self._trainer.interrupted:
                self._stopped, self._rows[name] = name, (step, say("stopped"))
                self._draw()
                raise KeyboardInterrupt(f"the comparison was stopped in {name}: run it again for all {len(trainings)}")
            took = duration(time.perf_counter() - began)
            self._rows[name] = step, f"{say(DONE)} {say('after {time}', time=took)}"
            self.results[name] = result
            self._draw()
        return self.results

    def _on_step(self, name, began, trainer):
        self._trainer, now = trainer, time.perf_counter()
        step = self._rows[name][0] + 1
        left = (now - began) / step * (self.steps - step)
        self._rows[name] = step, say("about {time} left", time=duration(left)) if step > 1 else say("training")
        if now >= self._next:
            self._next = now + INTERVAL
            self._draw()

    def _state(self):
        return [(name, step, self.steps, state) for name, (step, state) in self._rows.items()], self._stopped

    def _draw(self):
        self.picture.value = render_comparison(*self._state())

    def static(self):
        """Return the Picture as it is now; it has times in it, so nbval cannot compare it."""
        return Picture(render_comparison(*self._state()), describe_comparison(*self._state()))
