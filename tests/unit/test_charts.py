"""Charts: the numbers they are given are the ones they show, and the legend covers nothing."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from common import charts, plots


def test_bars_show_every_series_at_every_place():
    figure = charts.bars({"mass": [0.2, 0.4], "hit": [0.1, 0.3]}, ["a", "b"], ylabel="mean", top=1, guess=0.5)
    (ax,) = figure.axes
    assert [bar.get_height() for bar in ax.patches] == [0.2, 0.4, 0.1, 0.3]
    middles = [bar.get_x() + bar.get_width() / 2 for bar in ax.patches]
    assert np.allclose(middles, [-0.2, 0.8, 0.2, 1.2])
    assert [line.get_ydata()[0] for line in ax.lines] == [0.5]


def test_curves_differ_without_color():
    figure = charts.curves([1, 2], {"a": [1, 10], "b": [2, 20]}, xlabel="x", ylabel="y", ylim=(1, 100), log=True)
    (ax,) = figure.axes
    assert [list(line.get_ydata()) for line in ax.lines] == [[1, 10], [2, 20]]
    assert len({(line.get_linestyle(), line.get_marker()) for line in ax.lines}) == 2
    assert ax.get_yscale() == "log"


def test_a_table_of_shares_says_every_share_in_readable_ink():
    figure = charts.share_table([[0.0, 1.0, 0.256]], ["row"], "abc", xlabel="x", ylabel="y")
    (ax,) = figure.axes
    assert [(text.get_text(), text.get_color()) for text in ax.texts] == [("0", "k"), ("100", "w"), ("26", "k")]


def test_points_lie_in_rows_the_first_on_top():
    (ax,) = charts.point_rows({"a": [0.5], "b": [0.1, 0.2]}, xlabel="x", xlim=(0, 1)).axes
    assert [list(line.get_ydata()) for line in ax.lines] == [[0], [1, 1]]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


SERIES = {"Seq2seq, H = 32": [1, 2], "Seq2seq, H = 64": [2, 3], "AttentionSeq2seq": [3, 4]}
WITH_LEGEND = {
    "bars": lambda: charts.bars(SERIES, ["a", "b"], ylabel="y", top=5),
    "curves": lambda: charts.curves([0, 1], SERIES, xlabel="x", ylabel="y", ylim=(0, 5)),
    "accuracy_curves": lambda: plots.accuracy_curves({"a": [[0.1, 0.9]], "b": [[0.5, 1.0]]}, title="A title"),
}


@pytest.mark.parametrize("chart", WITH_LEGEND)
def test_the_legend_lies_beside_the_axes(chart):
    figure = WITH_LEGEND[chart]()
    FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends
    assert legend.get_window_extent().y0 >= figure.axes[0].bbox.y1 - 1


def test_heatmaps_of_one_question_lie_side_by_side_on_one_scale():
    rng = np.random.default_rng(0)
    read = {name: ("19", rng.dirichlet(np.ones(3), 2)) for name in ("a", "b")}
    figure = charts.heatmaps(read, "9/7")
    assert [ax.get_title() for ax in figure.axes] == ["a", "b"]
    for ax, (answer, weights) in zip(figure.axes, read.values(), strict=True):
        (cells,) = ax.collections
        assert np.allclose(cells.get_array(), weights)
        assert cells.get_clim() == (0, 1)
        assert ax.get_ylim()[0] > ax.get_ylim()[1]
        assert [label.get_text() for label in ax.get_yticklabels()] == list(answer)
