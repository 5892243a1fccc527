"""Figures in a notebook: the words for those who cannot see them, and pixels for those with fine screens."""

import base64
import html
import io
import re

import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from common.alt_text import alt_text, bundle, install, png, set_alt
from common.graph_figure import computational_graph
from common.plots import accuracy_curves, attention_heatmap, learning_curve, unrolled_model
from tests.notebooks import execute

v4 = nbformat.v4


def axes():
    return Figure(figsize=(3, 2)).subplots()


def bars():
    ax = axes()
    drawn = ax.bar([0, 1], [1, 2], label="weights $a$")
    ax.bar_label(drawn)
    ax.set_xticks([0, 1], ["m", "a\ny"])
    ax.set(ylabel="attention weight", title="Step 7 writes 2")
    return ax.figure


def untitled():
    ax = axes()
    ax.scatter([1, 2], [3, 4])
    return ax.figure


def drawing():
    ax = axes()
    ax.axis("off")
    ax.text(0, 0, "encoder")
    ax.text(0, 1, "0.25")
    return ax.figure


FIGURES = {
    "bars": (bars, "Figure. Bar chart: Step 7 writes 2; weights a; horizontal: (m a y); vertical: attention weight."),
    "points without a word": (untitled, "Figure. Scatter plot."),
    "a drawing": (drawing, "Figure. Drawing; in it: encoder."),
    "curves": (
        lambda: accuracy_curves({"a": [[0, 1]], "b": [[1, 0]]}, "two runs"),
        "Figure. Line chart: two runs; a, b; horizontal: epoch; vertical: unseen questions right (%).",
    ),
    "two scales": (
        lambda: learning_curve([(1, 2.0), (2, 1.0)], [(2, 0.5)]),
        "Figure. Line chart; training loss (left); horizontal: training step; vertical: mean loss. "
        "Line chart; exact match on unseen questions (right); vertical: unseen questions right (%).",
    ),
    "a heatmap": (
        lambda: attention_heatmap([[0.5, 0.5]], "ab", "x", "before"),
        "Attention heatmap, before: the columns are the question “ab”, the rows the answer “x”; the darker a cell, "
        "the larger the weight.",
    ),
    "words": (
        lambda: attention_heatmap([[0.5, 0.5]], ["two", "dogs"], ["Hunde"]),
        "Attention heatmap: the columns are the question “two dogs”, the rows the answer “Hunde”; the darker a cell, "
        "the larger the weight.",
    ),
    "a model": (
        lambda: unrolled_model("8+27", "35", peeky=True),
        "An encoder, one LSTM step for each character, reads “8+27”. Its last hidden state h starts a decoder, which "
        "reads “_3” and writes “35”. Every step of the decoder sees h.",
    ),
    "a graph": (
        lambda: computational_graph(
            {"x": (0, 0), "one": (1, 0, ""), "two": (2, 0, ""), "y": (3, 0)},
            [("x", "one", "2", "dx"), ("one", "two"), ("two", "y")],
        ),
        "Computational graph. x to a branch: 2, gradient dx. a branch to y.",
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_in_words(name):
    make, words = FIGURES[name]
    figure = make()
    assert alt_text(figure) == words
    assert alt_text(set_alt(figure, " Better\n  words ")) == "Better words"


def test_a_colorbar_is_not_worth_a_word():
    figure = attention_heatmap([[0.5, 0.5]], "ab", "x")
    del figure.alt_text
    assert alt_text(figure) == "Figure. Heatmap; horizontal: question (a b); vertical: answer (x)."


def test_an_image_has_two_pixels_for_one_and_its_words():
    data = bundle(set_alt(bars(), 'a < b & "c"'))
    assert data["text/plain"] == 'a < b & "c"'
    alt, width, least, source = re.fullmatch(
        r'<div style="overflow-x:auto"><img alt="([^"]+)" width="(\d+)" '
        r'style="max-width:100%;min-width:(\d+)px;height:auto" src="data:image/png;base64,([^"]+)"/></div>',
        data["text/html"],
    ).groups()
    assert html.unescape(alt) == data["text/plain"]
    assert int(least) == round(0.85 * int(width))
    image = Image.open(io.BytesIO(base64.b64decode(source)))
    np.testing.assert_allclose(image.width, 2 * int(width), atol=1)
    assert 250 < int(width) < 330, "3 inches, 100 to the inch"
    assert bundle(Figure()) == {}


def test_an_image_is_small():
    """Four times the pixels in fewer bytes than the plain PNG."""
    figure = accuracy_curves({f"run {k}": [np.linspace(0, 1, 25) ** k] for k in (1, 2, 3)})
    plain = io.BytesIO()
    figure.savefig(plain, format="png", bbox_inches="tight")
    assert len(png(figure)[0]) < len(plain.getvalue())


def test_install_outside_of_a_notebook_does_nothing():
    install()


def test_a_notebook_stores_and_shows_words_with_every_figure(root, tmp_path):
    """However it is shown: plt.show(), the last line of a cell, display(), the end of a cell."""
    cells = [
        f"import sys\n\nsys.path.insert(0, {str(root)!r})",
        "from common.alt_text import install, set_alt, show\n\ninstall()",
        "%matplotlib inline\nimport matplotlib.pyplot as plt\n\n_ = plt.plot([1, 2])\nplt.title('one')\nplt.show()",
        "from common.plots import unrolled_model\n\nunrolled_model('1+2', '3')",
        "figure, ax = plt.subplots()\nax.set_title('three')\ndisplay(figure)\nplt.close()",
        "figure, ax = plt.subplots()\n_ = ax.set_title('four')",
        "figure, ax = plt.subplots()\nshow(figure, 'five')",
        "install()\nfigure, ax = plt.subplots()\n_ = set_alt(figure, 'six')\nplt.show()",
    ]
    notebook = execute.run_cells(v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells]), tmp_path)
    outputs = [[output for output in cell.outputs if "data" in output] for cell in notebook.cells[2:]]
    assert [len(found) for found in outputs] == [1] * 6
    for (output,), word in zip(outputs, ("one", "An encoder", "three", "four", "five", "six"), strict=True):
        assert output.data.keys() == {"text/plain", "text/html"}
        assert word in output.data["text/plain"]
        assert (
            output.data["text/html"].split(">", 1)[1].startswith(f'<img alt="{html.escape(output.data["text/plain"])}"')
        )
