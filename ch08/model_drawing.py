"""The drawing of the model with the weights that the course ships: ``from ch08.model_drawing import draw_model``."""

import functools

from ch08.explorer import load_pretrained, reader
from common.model_figure import model_figure
from common.np import np
from dataset import sequence

QUESTION, STEP = "Mar 17, 1985", 5  # the step that writes the first digit of the month, for which it must be read whole


def draw_model(question=QUESTION, step=STEP, highlight=None, both_ways=False):
    """Return a Figure of one step of a shipped date model, with its own weights.

    Args: question, a date; step, 0 to 9; highlight, the part in color, see ``common.model_figure.PARTS``; both_ways,
    the system ``bidirectional`` instead of ``attention``.
    """
    answer, weights = _read("bidirectional" if both_ways else "attention", question)
    return model_figure(question, answer, weights, step, highlight, both_ways=both_ways)


@functools.cache
def _read(system, question):
    model = load_pretrained(system, dtype=np.float64)
    answer, _, weights = reader(sequence.load("date.txt").vocab)(model, question)
    return answer, weights
