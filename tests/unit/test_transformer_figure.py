"""The drawings of chapter 8.19: all parts are there, inside the picture, and the one under discussion stands out."""

import xml.etree.ElementTree as ET

import pytest

from common.svg import LINE
from common.transformer_figure import PARTS, norm_places_figure, transformer_figure

SVG = "{http://www.w3.org/2000/svg}"
BOXES = ["Norm", "Self-attention", "Causal self-attention", "Cross attention", "Feed-forward"]


def texts(picture):
    return [text for text in ET.fromstring(picture.svg).iter(f"{SVG}text") if text.text]


@pytest.mark.parametrize("highlight", [None, *PARTS])
def test_a_transformer_has_all_its_parts_and_no_text_leaves_the_picture(highlight):
    picture = transformer_figure(highlight)
    shown = [text.text for text in texts(picture)]
    assert [shown.count(name) for name in BOXES] == [7, 1, 1, 1, 2]
    assert shown.count("+") == 7, "five parts and twice the positions"
    root = ET.fromstring(picture.svg)
    assert float(root.get("width")) <= 420, "readable without scrolling on a narrow page"
    for text in root.iter(f"{SVG}text"):
        assert 0 < float(text.get("x")) < float(root.get("width"))
        assert 0 < float(text.get("y")) < float(root.get("height"))


@pytest.mark.parametrize(
    ("highlight", "bold"),
    [
        (None, set()),
        ("norm", {"Norm"}),
        ("attention", {"Self-attention", "Causal self-attention", "Cross attention"}),
        ("feed_forward", {"Feed-forward"}),
        ("decoder", {"Causal self-attention", "Cross attention"}),
        ("embedding", {"Embedding × √D", "Affine"}),
        ("residual", set()),
    ],
)
def test_what_is_highlighted_is_bold_and_all_else_gray(highlight, bold):
    picture = transformer_figure(highlight)
    assert {text.text for text in texts(picture) if text.get("font-weight") == "bold"} - {"+"} == bold
    colors = {rect.get("stroke") for rect in ET.fromstring(picture.svg).iter(f"{SVG}rect")} - {None, LINE}
    if highlight is None:
        assert len(colors) == 4
    elif highlight == "residual":
        assert not colors
        assert PARTS["residual"] in picture.svg
    else:
        assert colors == {PARTS[highlight]}
    assert ("In color" in picture.text) == (highlight is not None)


def test_the_norm_stands_before_the_part_or_after_the_sum():
    columns = {}
    for text in texts(norm_places_figure()):
        columns.setdefault(float(text.get("x")), []).append((float(text.get("y")), text.text))
    pre, post = ([name for _, name in sorted(column)] for column in columns.values())
    assert pre == ["pre-norm", "+", "Feed-forward", "Norm", "+", "Self-attention", "Norm", "x"]
    assert post == ["post-norm", "Norm", "+", "Feed-forward", "Norm", "+", "Self-attention", "x"]


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="no part 'head'; there are embedding, norm"):
        transformer_figure("head")
