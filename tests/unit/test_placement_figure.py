"""The drawing of the three places for the context: readable, and different where the decoders differ."""

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch

from common.placement_figure import PLACES, placement_figure

each_place = pytest.mark.parametrize("place", PLACES)


def texts(figure):
    return [text for text in figure.axes[0].texts if text.get_text()]


@each_place
def test_no_two_texts_overlap_and_all_are_inside(place):
    figure = placement_figure(place)
    FigureCanvasAgg(figure).draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), (one, two)
    width, height = figure.canvas.get_width_height()
    for text, box in boxes:
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text


@each_place
def test_both_steps_are_drawn_and_told_in_words(place):
    figure = placement_figure(place)
    shown = [text.get_text() for text in texts(figure)]
    cell = "GRU" if place == "translator" else "LSTM"
    assert all(shown.count(word) == 2 for word in (cell, "Affine", "logits", "c", "query", "attention"))
    assert shown.count("tanh") == shown.count("fed") == (2 if place in ("next step", "attentional state") else 0)
    assert all(words in figure.alt_text for words in PLACES[place])


def test_each_context_stands_above_a_state_of_the_encoder():
    ax = placement_figure("output").axes[0]
    boxes = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch) and patch.get_y() < 0.5]
    states = {round(box.get_x() + box.get_width() / 2, 6) for box in boxes}
    ends = {round(line.get_xdata()[0], 6) for line in ax.lines if line.get_marker() == "None"}
    assert len(ends) == 6
    assert ends <= states


def test_an_unknown_place_is_named():
    with pytest.raises(ValueError, match="no place 'input'; there are output, next step, same step"):
        placement_figure("input")
