"""The figures of chapter 8.17: readable, and what they are given is what they draw."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from common import gnmt_figure as figures
from common.scaling import Network, simulate_ring

WORDS = ("heute", "lesen", "sie")


@pytest.mark.parametrize("layers", [2, 3, 4, 8])
def test_no_two_texts_of_the_stacks_overlap_and_all_are_inside(layers):
    figure = figures.gnmt_figure(layers)
    FigureCanvasAgg(figure).draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.axes[0].texts if text.get_text()]
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), (one, two)
    width, height = figure.canvas.get_width_height()
    for text, box in boxes:
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text


@pytest.mark.parametrize(("layers", "sums"), [(2, 0), (3, 2), (8, 12)])
def test_both_stacks_have_all_layers_and_sums_from_the_third_on(layers, sums):
    figure = figures.gnmt_figure(layers)
    shown = [text.get_text() for text in figure.axes[0].texts]
    for k in range(1, layers):
        assert shown.count(f"LSTM {k}") == 2
    assert [text for text in shown if text.startswith("LSTM 0")] == ["LSTM 0 →", "LSTM 0 ←", "LSTM 0"]
    assert shown.count("+") == sums
    assert ("third layer" in figure.alt_text) == (sums > 0)


def test_coverage_shows_weights_and_the_sums_of_their_columns():
    weights = np.array([[0.25, 0.75, 0], [0.5, 0.5, 0]])
    figure = figures.coverage_figure({"A": (("they", "read"), weights), "B": (("read",), weights[:1])}, WORDS)
    a, b = figure.axes
    assert [tick.get_text() for tick in a.get_xticklabels()] == list(WORDS)
    assert [tick.get_text() for tick in a.get_yticklabels()] == ["they", "read", "sum"]
    assert [text.get_text() for text in a.texts] == ["0.25", "0.75", "", "0.5", "0.5", "", "0.75", "1.25", ""]
    np.testing.assert_array_equal(a.images[0].get_array()[-1], [0.75, 1, 0])  # no darker than a weight of 1
    assert [text.get_text() for text in b.texts[3:]] == ["0.25", "0.75", ""]
    assert "they read" in figure.alt_text


@pytest.mark.parametrize("R", [2, 3, 4])
def test_the_ring_is_drawn_round_by_round_until_all_sums_are_complete(R):
    buffers = np.array([[10.0**r] * R for r in range(R)])
    figure = figures.ring_figure(buffers)
    assert len(figure.axes) == 2 * R - 1
    shown = [np.array([float(text.get_text()) for text in ax.texts]).reshape(R, R) for ax in figure.axes]
    np.testing.assert_array_equal(shown[0], buffers)
    simulated = list(buffers.copy())
    simulate_ring(simulated, Network(0.0, 1.0))
    np.testing.assert_array_equal(shown[-1], simulated)
    shaded = [(np.asarray(ax.images[0].get_array()) > 0).sum() for ax in figure.axes]
    assert shaded == [0] * (R - 1) + [R * (k + 1) for k in range(R)]  # R are complete halfway, R more in every round


def test_machines_are_drawn_on_two_logarithmic_axes():
    figure = figures.machine_curves(
        [1, 8, 64], {"slow": [4.0, 2, 1], "fast": [4.0, 1, 0.5]}, ylabel="s", ideal=[4, 0.5, 0.1]
    )
    (ax,) = figure.axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [list(line.get_ydata()) for line in ax.lines] == [[4, 2, 1], [4, 1, 0.5], [4, 0.5, 0.1]]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "8", "64"]
