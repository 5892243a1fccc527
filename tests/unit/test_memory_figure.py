"""The figures of chapter 8.20: what they are given is what they draw."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from common import memory_figure as figures
from common.svg import ORANGE, shade

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture):
    return [t.text for t in ET.fromstring(picture.svg).iter(f"{SVG}text")]


def test_rows_in_use_follow_the_ring_across_its_end():
    w = np.zeros((3, 8))
    w[0, 7], w[1, 0], w[2, 1] = 1, 0.5, 0.1
    assert figures.used_rows(w) == [7, 0, 1]
    assert figures.used_rows(w, also=[4]) == [4, 5, 6, 7, 0, 1], "with those between them"
    assert figures.used_rows(w[:, :, None].swapaxes(1, 2), most=2) == [7, 0]
    assert figures.used_rows(w[[0, 0]] + np.eye(8)[3], most=3) == [3, 7], "those between would be too many"


def test_rows_that_no_head_looks_at_are_left_out_but_one_stays():
    assert figures.used_rows(np.full((2, 50), 0.02)) == [0]
    assert figures.used_rows(np.eye(4)) == [0, 1, 2, 3]
    assert figures.used_rows(np.eye(6)[:1], np.eye(6)[5:]) == [5, 0], "of several arrays"


def test_a_weighting_is_shaded_and_other_numbers_are_not():
    columns = {"memory": np.array([[0, 3], [-1, 0.5]]), "similarity\nto the key": np.array([0, -1]), "w": [0.25, 0.75]}
    picture = figures.addressing_figure(columns, caption="with a caption")
    fills = [rect.get("fill") for rect in ET.fromstring(picture.svg).iter(f"{SVG}rect")]
    assert fills == ["#ffffff"] * 7 + [shade(0.25), shade(0.75)]
    assert texts(picture)[:2] == ["row 0", "row 1"]
    assert texts(picture)[-3:] == ["0.25", "0.75", "with a caption"]
    assert picture.text.startswith("memory: 0, 3; −1, 0.5. similarity\nto the key: 0, −1. w: 0.25, 0.75.")


def test_a_line_goes_from_row_to_row_as_thick_as_its_weight():
    links = [("a", "b", np.array([[0, 0.5], [0, 0]])), ("c", "b", np.diag([0, 1.0]))]
    picture = figures.addressing_figure({"a": [0.5, 0.5], "b": [0.5, 0.5], "c": [0, 1]}, links)
    lines = [line.attrib for line in ET.fromstring(picture.svg).iter(f"{SVG}line")]
    assert [line["stroke"] for line in lines] == [ORANGE] * 2
    assert [float(line["stroke-width"]) for line in lines] == [7, 14]
    down, level = lines
    assert float(down["y1"]) - float(down["y2"]) == figures.HIGH, "from row 1 of a to row 0 of b"
    assert float(level["x1"]) > float(level["x2"]), "from right to left"
    assert level["y1"] == level["y2"]


@pytest.mark.parametrize("part", [None, *figures.PARTS])
def test_the_machine_has_one_part_in_color_or_all(part):
    picture = figures.machine_figure(part)
    root = ET.fromstring(picture.svg)
    colors = {line.get("stroke") for line in root.iter(f"{SVG}polyline")}
    assert colors == ({*figures.PARTS.values()} if part is None else {figures.PARTS[part], "#b8b8b8"})
    assert ("In color" in picture.text) == (part is not None)
    width = float(root.get("width"))
    for text in root.iter(f"{SVG}text"):
        assert 0 < float(text.get("x")) < width


def test_a_part_that_is_not_there():
    with pytest.raises(ValueError, match="there is no part 'wheel'; there are controller, address, write, read"):
        figures.machine_figure("wheel")


def test_the_heatmap_shows_bits_and_weights_over_time():
    rng = np.random.default_rng(0)
    inputs, outputs = rng.integers(0, 2, (5, 3)), rng.random((5, 2))
    writes, reads = np.eye(8)[[7, 0, 1, 2, 3]], np.eye(8)[[3, 3, 7, 0, 1]]
    heads = {"write head": writes, "read head": reads}
    figure = figures.memory_heatmap(inputs, outputs, heads, changed=(1, 0))
    shown = [ax.images[0].get_array() for ax in figure.axes[:4]]
    rows = [7, 0, 1, 2, 3]
    for array, expected in zip(shown, (inputs, outputs, writes[:, rows], reads[:, rows]), strict=True):
        np.testing.assert_array_equal(array, expected.T)
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == [str(r) for r in rows]
    for ax in figure.axes[2:4]:
        (cross,) = ax.lines
        assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (1, rows.index(0))
    assert "The write head is on the rows 7, 0, 1, 2, 3." in figure.alt_text
    assert "Row 0 was changed by hand after step 1." in figure.alt_text
    assert not re.search("changed", figures.memory_heatmap(inputs, outputs, heads).alt_text)


def test_steps_that_differ_and_more_heads_than_two():
    bits, w = np.zeros((4, 2)), np.eye(4)
    with pytest.raises(ValueError, match=r"memory_heatmap: every array needs the same number of steps, got .*\(3, 2\)"):
        figures.memory_heatmap(bits, bits[:3], {"head": w})
    figure = figures.memory_heatmap(bits, bits, {"a": w, "b": w[::-1], "c": w})
    assert [ax.get_title() for ax in figure.axes[:6]] == ["input", "output", "", "a", "b", "c"]
    assert not figure.axes[2].axison
