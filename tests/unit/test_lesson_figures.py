"""The figures of single lessons: what they are given is what they draw."""

import itertools
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from common import lesson_figures


@pytest.mark.parametrize("name", ["peeky_graph", "attention_graph", "steps_graph", "decoder_graph"])
def test_no_two_texts_of_a_graph_overlap(name):
    figure = getattr(lesson_figures, name)()
    FigureCanvasAgg(figure).draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.axes[0].texts if text.get_text()]
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), (one, two)


def test_a_graph_of_steps_has_as_many_as_asked_for():
    for steps in (1, 4):
        texts = [text.get_text() for text in lesson_figures.steps_graph(steps).axes[0].texts]
        assert texts.count("Attention") == steps
        assert [f"from step {k}" in texts for k in range(5)] == [k < steps for k in range(5)]


def test_a_table_shows_every_number():
    figure = lesson_figures.tables({"a": np.array([[0.25, 1.0]]), "c": np.array([0.5])})
    assert [ax.get_title() for ax in figure.axes] == ["a", "c"]
    assert [[text.get_text() for text in ax.texts] for ax in figure.axes] == [["0.25", "1.00"], ["0.50"]]


def test_weights_stand_side_by_side_in_one_scale():
    weights = np.array([[0.5, 0.5, 0.0]])
    figure = lesson_figures.weight_tables({"no mask": weights, "mask": weights}, first_padding=2)
    for ax in figure.axes[:2]:
        assert ax.images[0].get_clim() == (0, 1)
        assert ax.lines[0].get_xdata() == [1.5, 1.5]
    assert not lesson_figures.weight_tables({"no mask": weights}).axes[0].lines


def test_bars_are_as_high_as_the_numbers():
    (ax,) = lesson_figures.bar_panels({"scores s": np.array([3.0, -1.0])}, ylim=(-2, 4)).axes
    assert [bar.get_height() for bar in ax.patches] == [3, -1]
    assert ax.get_ylim() == (-2, 4)


def test_the_curve_of_the_dot_product_falls_from_1_to_minus_1():
    (line, *_) = lesson_figures.dot_product_curve().axes[0].lines
    assert line.get_ydata()[[0, 90, 180]] == pytest.approx([1, 0, -1])


def test_the_shares_of_distances_add_up_to_100():
    distances = {"forward": np.array([1, 2, 2, 5]), "backward": np.array([3, 3, 3, 3])}
    lines = lesson_figures.distance_shares(distances).axes[0].lines
    assert [line.get_ydata().tolist() for line in lines] == [[0, 25, 50, 0, 0, 25], [0, 0, 0, 100, 0, 0]]


ROWS = {"German": ["Sie", "hat", "gelacht"], "English": ["She", "laughed"], "Korean": ["웃었어요"]}
LINKS = [[(0, 0), (1, 1), (2, 1)], [(1, 0)]]


def test_an_alignment_has_a_line_for_each_link_and_says_them():
    picture = lesson_figures.alignment_rows(ROWS, LINKS)
    assert picture.svg.count("<polyline") == 4
    assert all(f">{token}</text>" in picture.svg for tokens in ROWS.values() for token in tokens)
    assert "German: “Sie hat gelacht” English: “She laughed” Korean: “웃었어요”" in picture.text
    assert "German and English: Sie – She, hat – laughed, gelacht – laughed;" in picture.text
    assert picture.text.endswith("English and Korean: laughed – 웃었어요")


def test_what_is_highlighted_is_orange_with_all_that_it_leads_to():
    svg = lesson_figures.alignment_rows(ROWS, LINKS, {(1, 1)}).svg
    colored = [token for tokens in ROWS.values() for token in tokens if 'bold"' in _element(svg, token)]
    assert colored == ["hat", "gelacht", "laughed", "웃었어요"]
    assert svg.count(f'stroke="{lesson_figures.ORANGE}"') == 3
    assert lesson_figures.ORANGE not in lesson_figures.alignment_rows(ROWS, LINKS).svg


def _element(svg, text):
    return svg[: svg.index(f">{text}</text>")].rpartition("<")[2]


def test_no_two_tokens_of_a_row_touch_and_all_are_in_the_picture():
    picture = lesson_figures.alignment_rows(ROWS, LINKS)
    width = float(re.search(r'width="([\d.]+)"', picture.svg)[1])
    for tokens in ROWS.values():
        ends = []
        for token in tokens:
            x = float(re.search(r'x="([\d.]+)"', _element(picture.svg, token))[1])
            half = lesson_figures.HEAT_LETTER * lesson_figures.breadth(token) / 2
            ends.append((x - half, x + half))
        assert all(a[1] < b[0] for a, b in itertools.pairwise(ends))
        assert ends[0][0] > 60
        assert ends[-1][1] < width


def test_padding_is_gray_and_words_are_blue():
    figure = lesson_figures.padding_panels({"random": np.array([2, 4]), "by length": np.array([3, 3])})
    assert [ax.get_title() for ax in figure.axes] == ["random", "by length"]
    first, second = (np.asarray(ax.images[0].get_array()) for ax in figure.axes)
    np.testing.assert_array_equal(first, [[1, 1, 0, 0], [1, 1, 1, 1]])
    assert second.shape == (2, 3)
    assert second.all()
    assert {ax.get_xlim() for ax in figure.axes} == {(-0.5, 3.5)}  # one scale
    assert "random and by length" in figure.alt_text
