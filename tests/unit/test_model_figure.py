"""The drawing of the model: it shows the weights it is given, lights the part asked for, and stays readable."""

import itertools

import numpy as np
import pytest
from matplotlib import colors
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch

from ch08.model_drawing import draw_model
from common.model_figure import PALE, PALE_INK, PARTS, SECOND, THICKEST, TINT, model_figure

QUESTION, ANSWER = "Mar 17, 1985", "1985-03-17"
WEIGHTS = np.zeros((10, 12))
WEIGHTS[:, 4] = 1
WEIGHTS[5, :5] = 0.7, 0.2, 0.1, 0, 0


def figure(step=5, highlight=None, **options):
    return model_figure(QUESTION, ANSWER, WEIGHTS, step, highlight, **options)


def texts(drawn):
    return [text for text in drawn.axes[0].texts if text.get_text()]


def colored(drawn):
    """The texts in full color and the colors of the lines of the weighted sum."""
    words = {text.get_text() for text in texts(drawn) if text.get_color() != PALE_INK}
    return words, {line.get_color() for line in drawn.axes[0].lines}


def test_a_line_is_as_thick_as_its_weight():
    thickness = [line.get_linewidth() for line in figure().axes[0].lines]
    assert thickness[:3] == pytest.approx([0.7 * THICKEST, 0.2 * THICKEST, 0.1 * THICKEST])
    assert set(thickness[3:]) == {0.6}  # every state takes part, however little


def test_it_shows_what_is_read_written_and_weighed():
    shown = [text.get_text() for text in texts(figure())]
    assert shown[:12] == list("Mar␣17,␣1985")
    assert [text for text in shown if text.startswith(".")] == [".70", ".20", ".10"]
    assert shown[-7:] == [*"1985-0", "writes"]
    first = [text.get_text() for text in texts(figure(step=0))]
    assert {"1.00", "_", "last hs"} <= set(first)
    assert first[-2:] == ["1", "writes"]


def grounds(drawn):
    return [colors.to_hex(patch.get_facecolor()) for patch in drawn.axes[0].patches]


@pytest.mark.parametrize("highlight", PARTS)
def test_only_the_part_that_is_named_is_in_color(highlight):
    names = {
        "encoder": {"hs", "M"},
        "attention_weight": {".70", "AttentionWeight: softmax(hs · h)"},
        "weight_sum": {"c", "WeightSum: Σ a hs"},
        "decoder": {"h", "LSTM", "Affine", "writes"},
    }
    words, lines = colored(figure(highlight=highlight))
    for part, own in names.items():
        assert own <= words if part in PARTS[highlight] else not own & words
    assert (lines == {PALE}) == ("weight_sum" not in PARTS[highlight])
    assert TINT in grounds(figure(highlight=highlight))
    assert TINT not in grounds(figure())


def test_the_encoder_reads_in_the_order_that_is_said():
    assert "right to left" in figure().alt_text
    said = [text.get_text() for text in texts(figure(right_to_left=False))]
    assert "encoder: an LSTM that reads from left to right" in said


def test_two_readers_have_a_row_of_states_each():
    one, two = figure(), figure(both_ways=True)
    boxes = [sum(isinstance(patch, FancyBboxPatch) for patch in drawn.axes[0].patches) for drawn in (one, two)]
    assert boxes[1] - boxes[0] == len(QUESTION)
    assert two.get_figheight() - one.get_figheight() == pytest.approx(SECOND)
    assert "from right to left and from left to right, two states, joined, for each character" in two.alt_text
    shown = [text.get_text() for text in texts(figure(step=0, both_ways=True))]
    assert {"both last", "encoder: two LSTMs, one from each end"} <= set(shown)


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("step", range(10))
def test_no_two_texts_overlap_and_none_is_cut_off(step, both_ways):
    drawn = figure(step, both_ways=both_ways)
    FigureCanvasAgg(drawn).draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(drawn)]
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), (one, two)
    for name, box in boxes:
        assert drawn.bbox.x0 <= box.x0 < box.x1 <= drawn.bbox.x1, name
        assert drawn.bbox.y0 <= box.y0 < box.y1 <= drawn.bbox.y1, name


def test_it_can_be_read_at_400_pixels_and_on_a_dark_page():
    drawn = figure()
    smallest = min(text.get_size() for text in texts(drawn)) / 72  # inches
    assert smallest / drawn.get_figwidth() * 400 >= 9
    assert colors.to_hex(drawn.get_facecolor()) == "#ffffff"


def test_its_alternative_text_says_in_words_what_it_shows():
    said = figure(highlight="weight_sum").alt_text
    for words in ("0.70 on the state at 'M', 0.20 on the state at 'a'", "has written '1985-'", "In color: weight sum."):
        assert words in said


def test_the_date_model_is_drawn_with_its_own_weights():
    said = draw_model().alt_text
    assert "'Mar 17, 1985' from right to left" in said
    assert "0.67 on the state at 'M', 0.27 on the state at 'a', 0.06 on the state at 'r'" in said
    assert said.endswith("which writes '0'.")
    said = draw_model(both_ways=True).alt_text
    assert "two states, joined, for each character" in said
    assert said.endswith("which writes '0'.")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": WEIGHTS[:, :5]}, r"weights are \(10, 5\), but answer and question need \(10, 12\)"),
        ({"step": 10}, "step 10 is none of the 10 steps, 0 to 9"),
        ({"highlight": "head"}, "there is no part 'head'; there are encoder, attention_weight"),
    ],
)
def test_what_does_not_fit_is_said(changed, message):
    arguments = {"question": QUESTION, "answer": ANSWER, "weights": WEIGHTS, "step": 5} | changed
    with pytest.raises(ValueError, match=message):
        model_figure(**arguments)
