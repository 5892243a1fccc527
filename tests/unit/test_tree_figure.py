"""The tree of a beam search: every beginning is drawn, said in words, and leads to the one that it extends."""

import itertools
import re

import numpy as np
import pytest

from common.decoding import beam
from common.svg import ORANGE
from common.tree_figure import DROPPED, FINISHED, KEPT, Branch, beam_tree, search_steps, share

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


def test_the_legend_is_inside_a_picture_of_a_single_step():
    svg = beam_tree([[Branch(0, "a", 1.0, FINISHED)]], best=(0, 0)).svg
    width = float(re.search(r'width="([\d.]+)"', svg)[1])
    assert float(re.search(r'<text x="([\d.]+)"[^>]*>the answer<', svg)[1]) + 7 * len("the answer") < width


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
    assert "slept after she 17 % dropped" in text
    assert "<end> after sleeps 25 % finished" in text


def test_a_dropped_branch_is_dashed_box_and_line():
    svg = beam_tree(STEPS).svg
    assert svg.count('stroke-dasharray="4 3"') == 2 * 2 + 1  # and the legend's


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (1, "100 %"),
        (0.165, "17 %"),
        (0.324, "32 %"),
        (0.0996, "10 %"),
        (0.0432, "4.3 %"),
        (4.32e-4, "0.043 %"),
        (3e-9, "< 0.001 %"),
    ],
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
        beam_tree([*STEPS[:2], [branch]])


WORDS = dict(enumerate(["<start>", "she", "they", "sleeps", "sleep", "well", "<end>"]))
TABLE = np.zeros((7, 7))
TABLE[0, [1, 2]] = 0.55, 0.45
TABLE[1, [3, 4, 6]] = 0.5, 0.2, 0.3
TABLE[2, [3, 4, 6]] = 0.1, 0.8, 0.1
TABLE[[3, 4], 5], TABLE[[3, 4], 6] = 0.1, 0.9
TABLE[5, 6] = 1


class Table:
    params, grads = [], []

    def start(self, xs):
        return (xs,)

    def step(self, ids, state):
        with np.errstate(divide="ignore"):
            return np.log(TABLE[ids]), state, None


class Recurrent:
    """Its state says what was written, so the next logits are wrong where a row has the state of another."""

    params, grads = [], []

    def __init__(self, seed):
        draw = np.random.default_rng(seed).standard_normal
        self.E, self.W, self.V = draw((7, 4)), draw((4, 4)), draw((4, 7))

    def start(self, xs):
        return (np.zeros((len(xs), 4)),)

    def step(self, ids, state):
        h = np.tanh(state[0] @ self.W + self.E[ids])
        return 2 * h @ self.V + np.eye(7)[6], (h,), None  # the end mark is likely enough


def test_the_steps_of_a_search_are_those_found_by_hand():
    steps, best = search_steps(Table(), np.array([[0]]), 2, 0, 6, WORDS)
    assert best == (2, 0)
    first = [(branch.token, round(branch.probability, 4), branch.fate) for branch in steps[0]]
    assert first == [("she", 0.55, KEPT), ("they", 0.45, KEPT)]  # what is impossible is not drawn
    found = [(branch.parent, branch.token, round(branch.probability, 4), branch.fate) for branch in steps[1]]
    assert found == [
        (1, "sleep", 0.36, KEPT), (0, "sleeps", 0.275, KEPT), (0, "<end>", 0.165, DROPPED), (0, "sleep", 0.11, DROPPED),
    ]  # fmt: skip
    assert [branch.fate for branch in steps[2]] == [FINISHED, FINISHED, KEPT, KEPT]


@pytest.mark.parametrize("model", [Table(), *map(Recurrent, range(9))])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_best_of_the_recorded_steps_is_what_the_library_finds(width, model):
    steps, (t, k) = search_steps(model, np.array([[0]]), width, 0, 6, WORDS)
    ((found,),) = beam(model, np.array([[0]]), 0, 6, 30, width, 0.0)
    assert steps[t][k].probability == pytest.approx(np.exp(found.score))
    words = beam_tree(steps, (t, k)).text.partition("The answer: ")[2].split()
    assert words == [WORDS[i] for i in found.ids]


def test_a_search_that_is_cut_off_has_no_answer():
    steps, best = search_steps(Table(), np.array([[0]]), 2, 0, 6, WORDS, max_length=2)
    assert len(steps) == 2
    assert best is None
