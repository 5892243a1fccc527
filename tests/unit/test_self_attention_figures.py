"""The figures of chapter 8.18: what they are given is what they draw."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from common import self_attention_figures as figures
from common.plots import COLORS

WORDS = ("dogs", "chase", "cats")


def test_no_two_texts_of_the_graph_overlap_and_x_has_three_gradients():
    figure = figures.self_attention_graph()
    FigureCanvasAgg(figure).draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.axes[0].texts if text.get_text()]
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), (one, two)
    assert {f"through {role}" for role in "qkv"} <= {text for text, _ in boxes}


def test_a_line_is_as_thick_as_its_weight_and_a_weight_of_0_has_none():
    weights = np.array([[0.25, 0.75, 0], [0, 1, 0], [0.5, 0, 0.5]])
    (ax,) = figures.looks({"one": weights}, WORDS).axes
    lines = {(line.get_xdata()[0], line.get_xdata()[1]): line.get_linewidth() for line in ax.lines}
    assert lines == {(t, u): pytest.approx(9 * w) for (t, u), w in np.ndenumerate(weights) if w}
    assert all(list(line.get_ydata()) == [1, 0] for line in ax.lines)  # from the word that asks, above
    assert [text.get_text() for text in ax.texts[:6:2]] == list(WORDS)


def test_heads_have_the_colors_of_their_tables():
    panels = dict.fromkeys(("one head", "head 0", "head 1"), np.eye(3))
    axes = figures.looks(panels, WORDS, first_head=1).axes
    assert [to_hex(ax.lines[0].get_color()) for ax in axes] == ["#666666", *(to_hex(c) for c in COLORS[:2])]


def test_tables_hold_what_a_head_computes():
    rng = np.random.default_rng(0)
    q, k, v = rng.integers(-2, 3, (3, 2, 3, 1)).astype(float)
    scores = q @ k.swapaxes(1, 2)
    weights = np.array([[[0.25, 0.25, 0.5], [1, 0, 0], [0, 0.5, 0.5]]] * 2)
    grid = np.reshape(figures.head_tables(q, k, v, scores, weights, WORDS).axes, (2, 6))
    for m, row in enumerate(grid):
        expected = q[m], k[m].T, scores[m], weights[m], v[m], weights[m] @ v[m]
        for ax, array in zip(row, expected, strict=True):
            shown = [float(text.get_text().replace("−", "-")) for text in ax.texts]
            np.testing.assert_allclose(shown, array.ravel(), atol=0.005)


def test_the_split_shows_the_head_of_each_number():
    heads = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])
    figure = figures.split_figure({"some": heads})
    assert [int(text.get_text()) for text in figure.axes[0].texts] == heads.ravel().tolist()
    assert "some: row by row the heads 0 0 1 1; 0 1 0 1." in figure.alt_text


def test_positions_are_drawn_as_columns_and_as_hands():
    positions = np.array([[0.0, 1, 0.5, -0.5], [1, 0, 0.25, 0.75]])
    np.testing.assert_array_equal(figures.position_map(positions).axes[0].images[0].get_array(), positions.T)
    first, second = figures.dials(positions, pairs=(0, 1), shown=(0, 1)).axes
    for ax, columns in ((first, slice(0, 2)), (second, slice(2, 4))):
        tips = [[line.get_xdata()[-1], line.get_ydata()[-1]] for line in ax.lines[::2]]
        np.testing.assert_array_equal(tips, positions[:, columns])


def test_square_maps_share_one_scale():
    panels = {"a": np.eye(3), "b": -np.eye(3)}
    axes = figures.square_maps(panels, "row", "column").axes[:2]
    assert [ax.images[0].get_clim() for ax in axes] == [(0, 1)] * 2
    assert (axes[0].get_xlabel(), axes[0].get_ylabel()) == ("column", "row")
