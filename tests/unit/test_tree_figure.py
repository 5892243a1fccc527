"""The tree of a beam search: every beginning is drawn, said in words, and leads to the one that it extends."""

import itertools
import re

import pytest

from common import tree_figure
from common.svg import ORANGE
from common.tree_figure import DROPPED, FINISHED, KEPT, Branch, beam_tree, share

STEPS = [
    [Branch(0, "she", 0.55, KEPT), Branch(0, "they", 0.45, KEPT)],
    [
        Branch(1, "sleep", 0.36, KEPT),
        Branch(0, "sleeps", 0.275, KEPT),
        Branch(0, "slept", 0.165, DROPPED),
        Branch(0, "<end>", 0.11, DROPPED),
    ],
    [Branch(0, "<end>", 0.324, FINISHED), Branch(1, "<end>", 0.2475, FINISHED)],
]


def _boxes(svg):
    """(x, y, width, height) of every box but the paper and the legend's."""
    found = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg)
    return [box for box in (tuple(map(float, each)) for each in found) if box[3] > 20]


def _middle(svg, text):
    element = svg[: svg.index(f">{text}</text>")].rpartition("<")[2]
    return float(re.search(r'y="([\d.]+)"', element)[1])


def test_every_branch_has_a_box_with_token_and_probability_and_a_line():
    svg = beam_tree(STEPS).svg
    count = sum(map(len, STEPS))
    assert len(_boxes(svg)) == count + 1  # and the root
    assert svg.count("<polyline") == count
    for branch in itertools.chain(*STEPS):
        assert f">{branch.token.replace('<', '&lt;').replace('>', '&gt;')}</text>" in svg
        assert f">{share(branch.probability)}</text>" in svg


def test_boxes_are_inside_the_picture_and_do_not_touch():
    svg = beam_tree(STEPS).svg
    width, height = (float(re.search(rf'{name}="([\d.]+)"', svg)[1]) for name in ("width", "height"))
    boxes = _boxes(svg)
    assert all(x > 0 and y > 0 and x + w < width and y + h < height for x, y, w, h in boxes)
    for (x, y, w, h), (u, v, s, t) in itertools.combinations(boxes, 2):
        assert x + w < u or u + s < x or y + h < v or v + t < y


def test_children_stand_in_the_order_of_their_parents_so_that_no_lines_cross():
    svg = beam_tree(STEPS).svg
    assert _middle(svg, "she") < _middle(svg, "they")
    assert _middle(svg, "sleeps") < _middle(svg, "slept") < _middle(svg, "sleep")


def test_the_best_path_is_orange_and_named():
    plain, lit = beam_tree(STEPS), beam_tree(STEPS, best=(2, 0))
    assert ORANGE not in plain.svg
    assert lit.svg.count(f'stroke="{ORANGE}"') == 4  # three lines, and the legend's
    assert lit.text.endswith("The answer: they sleep <end>")


def test_the_words_say_where_each_branch_came_from_and_what_became_of_it():
    text = beam_tree(STEPS).text
    assert "Step 0: she 55 % kept, they 45 % kept." in text
    assert "sleep after they 36 % kept" in text
    assert "slept after she 16 % dropped" in text
    assert "<end> after sleeps 25 % finished" in text


def test_a_dropped_branch_is_dashed_box_and_line():
    svg = beam_tree(STEPS).svg
    assert svg.count('stroke-dasharray="4 3"') == 2 * 2 + 1  # and the legend's


@pytest.mark.parametrize(
    ("probability", "text"), [(1, "100 %"), (0.324, "32 %"), (0.0996, "10 %"), (0.0432, "4.3 %"), (4.32e-4, "0.043 %")]
)
def test_a_share_has_two_digits_that_count(probability, text):
    assert share(probability) == text


@pytest.mark.parametrize(
    ("branch", "message"),
    [
        (Branch(2, "well", 0.1, KEPT), "step 2: 'well' extends 2, which was not kept"),
        (Branch(9, "well", 0.1, KEPT), "extends 9, which was not kept"),
        (Branch(0, "well", 0.1, "lost"), "'lost' is not one of kept, dropped, finished"),
    ],
)
def test_a_tree_that_cannot_be_is_refused(branch, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        tree_figure.beam_tree([*STEPS[:2], [branch]])
