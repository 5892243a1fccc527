"""The figures of chapter 8.11: a readable drawing of the stack, and norms drawn where they belong."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from common.depth_figure import norms_by_layer, norms_while_training, stack_figure

LABELS = "with skip connections", "without"


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("layers", [2, 4])
def test_no_two_texts_of_the_drawing_overlap_and_all_are_inside(layers, residual):
    figure = stack_figure(layers, residual)
    FigureCanvasAgg(figure).draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.axes[0].texts if text.get_text()]
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), (one, two)
    width, height = figure.canvas.get_width_height()
    for text, box in boxes:
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text


@pytest.mark.parametrize("residual", [True, False])
def test_the_drawing_has_every_layer_and_a_sum_for_each_skip(residual):
    figure = stack_figure(3, residual)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in shown if text.startswith("LSTM")] == ["LSTM 0", "LSTM 1", "LSTM 2"]
    assert shown.count("+") == (2 if residual else 0)
    assert ("goes past it" in figure.alt_text) == residual


def test_norms_by_layer_draws_each_series_from_the_first_layer_to_the_top():
    norms = {
        part: {L: {label: np.arange(1.0, L + 1) * k for k, label in enumerate(LABELS, 1)} for L in (2, 4)}
        for part in ("decoder", "encoder")
    }
    figure = norms_by_layer(norms)
    assert [ax.get_title() for ax in figure.axes] == [
        f"{part}, {L} layers" for part in ("decoder", "encoder") for L in (2, 4)
    ]
    for ax, L in zip(figure.axes, (2, 4, 2, 4), strict=True):
        assert ax.get_yscale() == "log"
        for k, line in enumerate(ax.lines, 1):
            np.testing.assert_array_equal(line.get_xdata(), range(L))
            np.testing.assert_array_equal(line.get_ydata(), np.arange(1.0, L + 1) * k)
    assert "2 and 4 layers" in figure.alt_text


def test_norms_while_training_draws_a_line_for_each_layer():
    steps, layers = 30, 3
    constant = np.tile([1e-4, 1e-2, 1.0], (steps, 1))
    figure = norms_while_training({"decoder": dict.fromkeys(LABELS, constant)})
    assert [ax.get_title() for ax in figure.axes] == [f"decoder, {label}" for label in LABELS]
    for ax in figure.axes:
        assert len(ax.lines) == layers
        for line, value in zip(ax.lines, constant[0], strict=True):
            np.testing.assert_allclose(line.get_ydata(), value)
            assert list(line.get_xdata()) == list(range(1, steps + 1))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["layer 2", "layer 1", "layer 0"]
