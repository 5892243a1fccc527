"""Figures: what they say, where they say it, and that no two texts overlap."""

import itertools

import pytest
from matplotlib import colors
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyArrowPatch

import common.plots as plots
from common.graph_figure import computational_graph
from common.plots import attention_heatmap, font_families, save_figure
from common.svg import Picture, shade

NODES = {
    "hs": (0, 0),
    "both": (1, 0, ""),
    "h": (0, 2, "h\n(N, H)"),
    "AttentionWeight": (2, 1),
    "WeightSum": (3, 0),
    "c": (4, 0),
}
EDGES = [
    ("hs", "both", "(N, T, H)", "dhs = dhs0 + dhs1"),
    ("both", "WeightSum", "hs", "dhs0"),
    ("both", "AttentionWeight", "hs", "dhs1"),
    ("h", "AttentionWeight", "h", "dh"),
    ("AttentionWeight", "WeightSum", "a\n(N, T)", "da"),
    ("WeightSum", "c", "(N, H)", "dc"),
]


def texts(figure):
    (ax,) = figure.axes
    return {text.get_text(): text for text in ax.texts if text.get_text()}


def arrows(figure):
    (ax,) = figure.axes
    return [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]


def test_a_graph_shows_its_nodes_values_and_gradients():
    shown = set(texts(computational_graph(NODES, EDGES, title="Attention")))
    assert shown == {
        *("hs", "h\n(N, H)", "AttentionWeight", "WeightSum", "c", "Attention"),
        *(text for edge in EDGES for text in edge[2:]),
    }


def test_values_stand_above_gradients_and_the_two_differ_without_color():
    figure = computational_graph(
        {"x": (0, 0), "sum": (1, 0), "y": (2, 0)}, [("x", "sum", "3", "dx"), ("sum", "y", "4")]
    )
    value, gradient = texts(figure)["3"], texts(figure)["dx"]
    assert value.get_position()[1] > 0 > gradient.get_position()[1]
    assert (value.get_style(), gradient.get_style()) == ("normal", "italic")
    assert [arrow.get_linestyle() for arrow in arrows(figure)] == ["-", (0, (4, 2.5)), "-"]


def test_the_arrows_of_an_edge_run_both_ways_side_by_side():
    paths = [arrow.get_path().vertices for arrow in arrows(computational_graph(NODES, EDGES))[6:8]]
    (h, turn, up), (down, turn_back, end) = (path[:3] for path in paths)  # the head of the arrow follows
    assert h[0] < turn[0] == up[0]  # from h to the right, then up
    assert h[1] == turn[1] < up[1]
    assert end[0] < turn_back[0] == down[0]  # and back
    assert end[1] == turn_back[1] < down[1]
    assert turn - turn_back == pytest.approx([-0.07, 0.07])


def test_without_gradients_there_is_one_kind_of_arrow_and_no_legend():
    figure = computational_graph(NODES, [edge[:3] for edge in EDGES])
    assert {arrow.get_linestyle() for arrow in arrows(figure)} == {"-"}
    assert figure.axes[0].get_legend() is None


@pytest.mark.parametrize("title", [None, "A title"])
def test_no_two_texts_overlap_and_none_is_cut_off(title):
    figure = computational_graph(NODES, EDGES, title)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = {name: text.get_window_extent() for name, text in texts(figure).items()}
    boxes |= {entry.get_text(): entry.get_window_extent() for entry in figure.axes[0].get_legend().get_texts()}
    for (one, a), (two, b) in itertools.combinations(boxes.items(), 2):
        assert not a.overlaps(b), (one, two)
    for name, box in boxes.items():
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, name
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, name


def test_an_edge_to_a_node_that_is_not_there():
    with pytest.raises(ValueError, match="edge 'x' -> 'z': there is no node 'z'"):
        computational_graph({"x": (0, 0), "y": (1, 0)}, [("x", "z", "3", "dx")])


def test_a_heatmap_has_the_colors_of_the_widgets_whatever_its_weights():
    """From white at 0 to dark blue at 1, also where no weight is that small or that large; a space can be seen."""
    figure = attention_heatmap([[0.5, 0.3, 0.2, 0]], "a b ", "x")
    ax = figure.axes[0]
    (image,) = ax.images
    painted = [colors.to_hex(image.cmap(image.norm(weight))) for weight in (0, 1)]
    assert painted == [shade(0), shade(1)]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "␣", "b"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["x"]


def test_words_as_labels_do_not_overlap():
    question, answer = (
        "two young dogs play outside together".split(),
        "zwei junge Hunde spielen zusammen draußen".split(),
    )
    figure = attention_heatmap([[1 / 6] * 6] * 6, question, answer)
    FigureCanvasAgg(figure).draw()
    ax = figure.axes[0]
    for labels, words in ((ax.get_xticklabels(), question), (ax.get_yticklabels(), answer)):
        boxes = [label.get_window_extent() for label in labels]
        assert [label.get_text() for label in labels] == words
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        assert all(figure.bbox.x0 <= box.x0 and box.y1 <= figure.bbox.y1 for box in boxes)


def test_fonts_are_looked_for_only_where_the_first_one_lacks_a_character():
    assert font_families("september 27, 1994 ␣ äß Ж") == ["DejaVu Sans Mono"]
    families = font_families("ﷺ")  # which DejaVu Sans has, and its Mono has not
    assert families is None or len(families) == 2
    assert not any("Last Resort" in name for name in font_families("가") or [])  # which draws boxes


def test_a_heatmap_in_a_script_that_no_font_of_the_machine_has_is_an_svg(monkeypatch, tmp_path):
    """The reader's browser finds a font for it. With a font, the labels show it."""
    monkeypatch.setattr(plots, "font_families", lambda text: None)
    picture = attention_heatmap([[0.9, 0.1]], "三月", "3", "a title")
    assert isinstance(picture, Picture)
    for text in ("三", "月", "3", "a title", shade(0.9), shade(0.1)):
        assert f">{text}<" in picture.svg or f'"{text}"' in picture.svg
    assert "the question “三月”" in picture.text
    path = save_figure(picture, tmp_path / "a" / "x.png")
    assert path == tmp_path / "a" / "x.svg"
    assert path.read_text(encoding="utf-8") == picture.svg
    monkeypatch.setattr(plots, "font_families", lambda text: ["DejaVu Sans Mono", "DejaVu Serif"])
    (label, *_) = attention_heatmap([[0.9, 0.1]], "ab", "3").axes[0].get_xticklabels()
    assert label.get_fontfamily() == ["DejaVu Sans Mono", "DejaVu Serif"]
