"""The widgets: what changes when a control changes, what they say when they cannot, pictures that stay the same."""

import base64
import html
import itertools
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import common.widgets.monitor as monitor_module
from ch07.seq2seq import Seq2seq
from ch08.attention_layer import Attention, WeightSum
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.bidirectional_seq2seq import BiAttentionSeq2seq
from ch08.deep_seq2seq import DeepAttentionSeq2seq
from ch08.explorer import CAPTIONS, NAMES, available, explorer, load_pretrained, reader, right_answer
from ch08.input_feeding_seq2seq import InputFeedingSeq2seq
from ch08.same_step_seq2seq import SameStepSeq2seq
from common.optimizer import Adam
from common.svg import Drawing, contrast, escape, ink_on, number, shade
from common.trainer import Trainer
from common.widgets import (
    AttentionExplorer,
    Captions,
    Comparison,
    GradientViewer,
    HeadsExplorer,
    HeadWeights,
    MemoryExplorer,
    MemoryRun,
    MemorySequence,
    Reading,
    Reasons,
    TrainingMonitor,
    WeightedSumPlayground,
    attention_graph,
    render_attention,
    render_comparison,
    render_graph,
    render_moments,
    render_reasons,
    render_training,
    render_weighted_sum,
)
from common.widgets.base import BOX, LIVE, OLD, SCRIPT, message
from common.widgets.explorer import characters, complaint
from dataset import dates, sequence

SVG = "{http://www.w3.org/2000/svg}"
VOCABULARY = " ,/0123456789abcdefghijklmnopqrstuvwxyz<&"


def drawn(svg):
    """Parse a picture (so it must be well-formed XML) and return (its label, its texts)."""
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    texts = ["".join(t.itertext()) for t in root.iter(f"{SVG}text")]
    return root.get("aria-label"), texts


def fake_decode(model, tokens):
    """A decoder that needs no weights: it looks at character k while it writes digit k."""
    T = len(tokens)
    answer = f"19{T:02d}-01-02"
    weights = np.full((10, T), 0.1 / T)
    weights[np.arange(10), np.arange(10) % T] += 0.9
    return answer, np.linspace(1, 0.4, 10), None if model == "plain" else weights


def gold_mask(tokens):
    return dates.gold_mask("".join(tokens), len(tokens))


def truth(tokens):
    return dates.to_iso("".join(tokens))


def make_explorer(**options):
    options = dict(text="jan 2, 1918", vocabulary=VOCABULARY, max_length=29) | options
    return AttentionExplorer({"plain": "plain", "attention": "attention"}, fake_decode, **options)


@pytest.fixture(scope="module")
def vocab():
    return sequence.load("date.txt").vocab


@pytest.fixture
def folder(tmp_path, vocab):
    """A folder with the weights of two small models of three."""
    for name, model_class in (("seq2seq", Seq2seq), ("attention", AttentionSeq2seq)):
        model_class(len(vocab), 5, 6, rng=0).save_params(tmp_path / name / "weights.npz", dtype="float16")
    return tmp_path


# --- drawing ---------------------------------------------------------------------------------------------------


def test_numbers_have_a_real_minus_and_no_minus_before_zero():
    assert [number(x) for x in (1.234, -1.235, -0.001, 0)] == ["1.23", "−1.24", "0.00", "0.00"]
    assert number(2, 0) == "2"


def test_shade_runs_from_white_to_dark_in_one_hue_and_stays_in_range():
    colors = [shade(w) for w in np.linspace(0, 1, 11)]
    light = [sum(int(c[k : k + 2], 16) for k in (1, 3, 5)) for c in colors]
    assert colors[0] == "#ffffff"
    assert light == sorted(light, reverse=True)
    assert len(set(light)) == 11
    assert shade(-1) == shade(0)
    assert shade(7) == shade(1)


@given(st.text())
def test_any_text_can_be_drawn_and_shown_as_a_message(text):
    drawing = Drawing(100, 50, text)
    drawing.text(1, 2, text)
    drawing.rect(1, 2, 3, 4, title=text)
    drawn(str(drawing))
    parser = HTMLParser()
    seen = []
    parser.handle_starttag = lambda tag, attrs: seen.append(tag)
    parser.feed(message(text))
    assert seen == ["div"]


def test_escape_of_markup():
    assert escape("<b>\"'&\x00") == "&lt;b&gt;&quot;&#x27;&amp;\ufffd"


def test_the_same_picture_in_every_process(root):
    code = (
        "import hashlib; from common.widgets import *; from common.widgets.explorer import complaint\n"
        "a = render_attention('may 1', '1', [0.5], [[0.1, 0.3, 0.2, 0.2, 0.2]], gold=[[1, 0, 0, 1, 1]])\n"
        "b = render_graph([[1, 0], [0, 1]], [1, 2]) + render_weighted_sum([[1, 0], [0, 1]], [1, 2])\n"
        "c = render_training([(1, 2.0)], [(1, 0.5)]) + complaint(['?'], frozenset('zyxabc'), 5)\n"
        "print(hashlib.sha256((a + b + c).encode()).hexdigest())"
    )
    sums = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "12"
    }
    assert len(sums) == 1


def test_pictures_need_no_ipywidgets(root):
    code = (
        "import sys; sys.modules['ipywidgets'] = None\n"
        "from common.widgets import render_weighted_sum, WeightedSumPlayground\n"
        "render_weighted_sum([[1, 0], [0, 1]], [1, 2])\n"
        "try: WeightedSumPlayground()\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "pip install ipywidgets" in result.stdout


# --- what all widgets share ------------------------------------------------------------------------------------


def make_heads_explorer():
    def read(tokens):
        T = len(tokens)
        return tokens, {"encoder": HeadWeights(np.full((2, 3, T, T), 1 / T), tokens, tokens)}

    return HeadsExplorer(read, reading=Reading("letters", str.split), text="a text of words")


def make_memory_explorer():
    def run(inputs, edits):
        T = len(inputs)
        weights = np.full((T, 1, 4), 0.25)
        return MemoryRun(np.zeros((T, 2)), np.zeros((T + 1, 4, 3)), weights, weights, [["a head says nothing"]] * T)

    def draw(length, example):
        return MemorySequence(np.zeros((length, 2)), np.zeros((length, 2)), np.ones(length, bool))

    return MemoryExplorer(run, draw, length=3)


MAKERS = {
    "playground": WeightedSumPlayground,
    "explorer": make_explorer,
    "heads": make_heads_explorer,
    "memory": make_memory_explorer,
    "viewer": GradientViewer,
    "monitor": TrainingMonitor,
    "comparison": lambda: Comparison(steps=5),
}


@pytest.fixture(params=MAKERS)
def widget(request):
    return MAKERS[request.param]()


def test_what_a_notebook_stores_is_the_same_for_two_widgets_of_a_kind(widget):
    bundle, other = widget._repr_mimebundle_(), type(widget)._repr_mimebundle_(widget)
    assert set(bundle) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    assert bundle["text/plain"] == other["text/plain"]
    assert not re.search(r"0x[0-9a-f]+|[0-9a-f]{32}", bundle["text/plain"])
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.box.model_id


def test_show_displays_the_widget(widget, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    widget.show()
    assert shown == [widget]


def test_a_picture_is_labeled_has_no_ids_and_brings_its_own_white(widget):
    svg = widget.picture.value
    label, _ = drawn(svg)
    assert len(label) > 20
    assert " id=" not in svg
    assert "url(" not in svg
    assert "<script" not in svg
    assert "http" not in svg[50:]
    first = ET.fromstring(svg)[0]
    assert first.tag == f"{SVG}rect"
    assert first.get("fill") == "#ffffff"


def test_static_is_the_first_picture_with_alternative_text(widget):
    picture = widget.static()
    assert picture.svg == widget.picture.value
    assert re.search(r"\w{3}", picture.text)
    shown = [picture, *picture.others]
    assert repr(picture) == " ".join(one.text for one in shown)
    images = re.fullmatch(r'<div style="overflow-x:auto">(.*)</div>', picture._repr_html_())[1]
    assert images == "".join(one.image() for one in shown)
    for one in shown:
        alt, least, data = re.fullmatch(
            r'<img alt="([^"]+)" style="max-width:100%;min-width:(\d+)px;height:auto" '
            r'src="data:image/svg\+xml;base64,([^"]+)"/>',
            one.image(),
        ).groups()
        assert html.unescape(alt) == one.text
        assert int(least) >= min(620, width_of(one.svg))
        assert base64.b64decode(data).decode() == one.svg


def width_of(svg):
    return int(ET.fromstring(svg).get("width"))


def test_a_picture_stays_readable_on_a_narrow_page(widget):
    """Its letters shrink by a sixth at most, to 9 pixels; then its frame scrolls."""
    svg = widget.picture.value
    least = int(re.search(r"--least:(\d+)px;", svg)[1])
    assert least >= min(620, width_of(svg))
    letters = min(int(size) for size in re.findall(r'font-size="(\d+)"', svg))
    assert letters * least / width_of(svg) >= 9
    assert widget.picture.layout.overflow == "auto"


def test_text_stands_out_from_what_it_is_on():
    for w in np.linspace(0, 1, 101):
        assert contrast(ink_on(w), shade(w)) >= 4.5
    assert round(contrast("#000000", "#ffffff"), 1) == 21.0


def test_every_text_of_a_picture_is_dark_on_white(widget):
    """Or as light or dark as its cell asks for, which the test above looks at."""
    for color in set(re.findall(r'<text[^>]* fill="(#\w{6})"', widget.picture.value)) - {"#ffffff"}:
        assert contrast(color, "#ffffff") >= 4.5


def test_a_picture_can_be_saved(widget):
    (saves,) = [c.value for c in widget.box.children if 'data-kind="svg"' in str(getattr(c, "value", ""))]
    assert re.findall(r'data-kind="(\w+)"', saves) == ["svg", "png"]
    assert "//" not in SCRIPT, "the script becomes one line, and the rest of a comment would be all of it"


# --- weighted sum playground -----------------------------------------------------------------------------------


def test_playground_computes_what_the_layer_computes():
    playground = WeightedSumPlayground()
    np.testing.assert_allclose(playground.weights, [0.8, 0.1, 0.03, 0.05, 0.02], atol=0.006)
    c = WeightSum().forward(playground.hs[None], playground.weights[None])[0]
    np.testing.assert_allclose(playground.context, c)


def test_playground_follows_its_sliders():
    playground = WeightedSumPlayground()
    before, first = playground.picture.value, playground.static().svg
    playground.scores[2].value = 4.0
    assert playground.weights.argmax() == 2
    label, texts = drawn(playground.picture.value)
    assert playground.picture.value != before
    assert number(playground.weights[2]) in texts
    assert "hs[2] has the largest weight" in label
    playground.temperature.value = 0.1
    assert playground.weights[2] > 0.999
    assert "nearly a copy" in drawn(playground.picture.value)[0]
    playground.temperature.value = 5.0
    for slider in playground.scores:
        slider.value = 0.0
    np.testing.assert_allclose(playground.context, playground.hs.mean(axis=0))
    assert "nearly the mean" in drawn(playground.picture.value)[0]
    assert playground.static().svg == first


def test_playground_static_of_another_state():
    playground = WeightedSumPlayground()
    assert "temperature 0.5" in playground.static(temperature=0.5).svg
    scores = np.array([0, 0, 0, 0, 3.0])
    assert "hs[4] has the largest weight" in playground.static(scores=scores).text


def test_playground_takes_other_vectors():
    playground = WeightedSumPlayground(hs=[[1, 0], [0, 1]])
    assert len(playground.scores) == 2
    WeightedSumPlayground(hs=[[0.5, 0.5]]), WeightedSumPlayground(hs=np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"must be \(T, 2\), got \(2, 3\)"):
        WeightedSumPlayground(hs=np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"scores \(T,\)"):
        WeightedSumPlayground(hs=np.ones((2, 2)), scores=[1, 2, 3])
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        render_weighted_sum(np.ones((2, 2)), [1, 2], 0)


# --- gradient viewer -------------------------------------------------------------------------------------------


def test_graph_equals_the_attention_layer(rng):
    hs, h, y = rng.standard_normal((3, 2)), rng.standard_normal(2), rng.standard_normal(2)
    g = attention_graph(hs, h, y)
    layer = Attention()
    c = layer.forward(hs[None], h[None])
    dhs, dh = layer.backward(c - y)
    for got, expected in ((g["c"], c), (g["a"], layer.attention_weight), (g["dhs"], dhs), (g["dh"], dh)):
        np.testing.assert_allclose(got, expected[0], rtol=1e-12, atol=1e-14)
    dhs_c, da = layer.weight_sum_layer.backward(c - y)
    dhs_s, _ = layer.attention_weight_layer.backward(da)
    np.testing.assert_allclose(g["dhs_c"], dhs_c[0])
    np.testing.assert_allclose(g["dhs_s"], dhs_s[0])
    np.testing.assert_allclose(g["da"], da[0])


def test_graph_gradients_are_slopes(rng):
    hs, h, y = rng.standard_normal((3, 2)), rng.standard_normal(2), rng.standard_normal(2)
    g, eps = attention_graph(hs, h, y), 1e-6
    for name, x in (("hs", hs), ("h", h)):
        for place in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[place] += eps
            down[place] -= eps
            args = (lambda v: (v, h, y)) if name == "hs" else (lambda v: (hs, v, y))
            slope = (attention_graph(*args(up))["L"] - attention_graph(*args(down))["L"]) / (2 * eps)
            np.testing.assert_allclose(g[f"d{name}"][place], slope, rtol=1e-6, atol=1e-9)


def test_graph_says_what_does_not_fit():
    with pytest.raises(ValueError, match=r"got \(3, 2\), \(3,\), \(2,\)"):
        attention_graph(np.ones((3, 2)), np.ones(3))
    with pytest.raises(ValueError, match=r"hs must be \(T, 2\), got \(3, 4\)"):
        GradientViewer(hs=np.ones((3, 4)), h=np.ones(4), y=np.ones(4))


def test_viewer_follows_its_sliders_and_puts_the_last_one_into_words():
    viewer = GradientViewer()
    first = viewer.picture.value
    assert "gradient dh[0]" in drawn(first)[0]
    viewer.hs[1][0].value = -2.0
    assert viewer.graph["hs"][1, 0] == -2
    label, texts = drawn(viewer.picture.value)
    assert f"gradient dhs[1][0] is {number(viewer.graph['dhs'][1, 0], 3)}" in label
    for name in ("hs", "h", "s", "a", "c", "L", "dhs", "dh", "ds", "da", "dc", "dL", "dhs_c", "dhs_s"):
        for x in np.ravel(viewer.graph[name]):
            assert number(x) in texts, name
    viewer.h[1].value = 3.0
    assert viewer.graph["h"][1] == 3
    assert "gradient dh[1]" in drawn(viewer.picture.value)[0]
    assert viewer.static().svg == first


def test_values_and_gradients_differ_without_color():
    texts = list(ET.fromstring(render_graph([[1, 0], [0, 1]], [1, 2])).iter(f"{SVG}text"))
    styles = {t.text: t.get("font-style") for t in texts if t.text in ("s", "ds", "a", "da")}
    assert styles == {"s": None, "ds": "italic", "a": None, "da": "italic"}


# --- attention explorer ----------------------------------------------------------------------------------------


def test_explorer_answers_typed_text():
    e = make_explorer()
    e.text.value = "2/3/18"
    assert (e.question, e.answer, e.complaint) == ("2/3/18", "1906-01-02", None)
    label, texts = drawn(e.picture.value)
    assert "reads “2/3/18” and writes “1906-01-02”" in label
    assert any("1906-01-02" in t for t in texts)
    assert [t for t in texts if t == "40 %"], "the confidence of the last character"
    assert 'data-kind="status"' in e.message.value
    assert "1906-01-02" in e.message.value


def test_explorer_messages_change_within_one_live_region():
    """The region, which the page marks (the browser test sees it), stays; nothing in its text is one of its own."""
    e = make_explorer()
    region = e.message
    for text in ("2/3/18", "?"):
        e.text.value = text
        assert e.message is region
        assert "role=" not in region.value
    assert LIVE in region._dom_classes
    assert BOX in e.box._dom_classes


def test_explorer_step_highlights_a_row_and_paints_the_question():
    e = make_explorer(text="abcdefghij")
    pictures = set()
    for step in range(10):
        e.step.value = step
        label, texts = drawn(e.picture.value)
        pictures.add(e.picture.value)
        assert f"Step {step} writes “{e.answer[step]}”" in label
        assert f"looks most at “{'abcdefghij'[step]}” (character {step}, 91 %)" in label
        assert f"of step {step} in percent" in texts
        assert "91" in texts
        assert "▶" in texts
    assert len(pictures) == 10


def test_explorer_model_without_attention_says_so():
    e = make_explorer()
    e.model.value = "plain"
    label, texts = drawn(e.picture.value)
    assert e.weights is None
    assert "no attention" in label
    assert "no weights to show" in label
    assert any("This model has no attention" in t for t in texts)
    assert [t for t in texts if t == "40 %"], "confidence all the same"
    e.model.value = "attention"
    assert "no attention" not in drawn(e.picture.value)[0]


def test_explorer_gold_overlay():
    e = make_explorer(text="jan 2, 1918", gold_mask=gold_mask, truth=truth, captions=CAPTIONS)
    assert not e.gold.disabled
    assert "gold" not in e.picture.value.lower()
    e.gold.value = True
    label, texts = drawn(e.picture.value)
    assert "the right character comes from “1918”" in label
    assert any("gold alignment" in t for t in texts)
    assert e.picture.value.count('stroke-dasharray="6 3"') == 4  # year, month, day, and the legend
    e.step.value = 4
    assert "always a hyphen" in drawn(e.picture.value)[0]
    e.text.value = "monday"
    assert "there is no gold alignment to show" in e.message.value
    assert "is not a date" in e.message.value
    assert "stroke-dasharray" not in e.picture.value
    assert "monday" in drawn(e.picture.value)[0]
    e.model.value = "plain"
    assert "without attention the gold alignment cannot be shown" in e.message.value


def test_no_frame_covers_a_cell():
    """All cells are of one size, and the frames of gold, step and column run in the gaps between them."""
    weights = np.full((2, 3), 1 / 3)
    svg = render_attention("abc", "12", [1, 1], weights, 1, gold=[[1, 1, 0], [0, 0, 1]], column=1)
    rects = list(ET.fromstring(svg).iter(f"{SVG}rect"))
    boxes = {r: [float(r.get(side, 0)) for side in ("x", "y", "width", "height")] for r in rects}
    cells = [boxes[r] for r in rects if (r.findtext(f"{SVG}title") or "").startswith("step ")]
    assert len(cells) == 6
    assert len({tuple(cell[2:]) for cell in cells}) == 1
    bottom = max(y + h for _, y, _, h in cells) + 3
    frames = [r for r in rects if r.get("fill") == "none" and boxes[r][1] < bottom]
    assert len(frames) == 4, "two of gold, the step, the column"
    for frame in frames:
        half = float(frame.get("stroke-width")) / 2
        left, top, wide, tall = boxes[frame]
        lines = [(left, top, wide, 0), (left, top + tall, wide, 0), (left, top, 0, tall), (left + wide, top, 0, tall)]
        for (x, y, w, h), (cx, cy, cw, ch) in itertools.product(lines, cells):
            apart_x = x - half >= cx + cw - 0.05 or x + w + half <= cx + 0.05
            apart_y = y - half >= cy + ch - 0.05 or y + h + half <= cy + 0.05
            assert apart_x or apart_y


def test_columns_are_wide_enough_for_chinese():
    svg = render_attention(["三月", "5"], ["3"], [1.0], [[0.9, 0.1]])
    places = {t.text: float(t.get("x")) for t in ET.fromstring(svg).iter(f"{SVG}text")}
    assert places["5"] - places["三月"] >= 4 * 9, "a character of it takes the room of two letters"


def test_explorer_without_gold_mask_disables_the_box():
    assert make_explorer().gold.disabled
    assert "stroke-dasharray" not in make_explorer(gold=True).picture.value


def test_explorer_says_when_the_gold_mask_does_not_fit_the_answer():
    e = make_explorer(gold_mask=lambda tokens: np.zeros((3, len(tokens)), bool), gold=True)
    assert "the gold alignment is (3, 11), which does not fit an answer of 10 characters" in e.message.value


def test_explorer_says_right_and_wrong():
    e = make_explorer(text="jan 2, 1911", truth=truth)
    assert "1911-01-02 is right." in e.message.value
    e.text.value = "jan 3, 1911"
    assert "1911-01-02 is wrong: it should be 1911-01-03." in e.message.value
    e.text.value = "foo"
    assert "“foo” has no known right answer, so 1903-01-02 is neither right nor wrong" in e.message.value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing to read"),
        ("    ", "nothing to read"),
        ("caf\u00e9", "“é” (latin small letter e with acute), character 3, is unknown"),
        ("1\t2", "A control character (U+0009), character 1, is unknown"),
        ("a" * 30, "too long: 30 characters. The model reads at most 29."),
        ("?" * 300, "too long: 300 characters. The model reads at most 29."),
        ("<script>alert(1)</>", "“(” (left parenthesis), character 13, is unknown"),
        ("<img src=x onerror=y>", "“=”"),
    ],
)
def test_explorer_complains_and_keeps_the_last_good_picture(text, words):
    e = make_explorer(vocabulary=VOCABULARY + ">")
    e.text.value = "may 1, 1990"
    before = e.picture.value, e.answer
    e.text.value = text
    message = html.unescape(e.message.value)
    assert words in message
    assert (e.picture.value, e.answer) == before
    assert "The picture below still shows “may 1, 1990”." in message
    assert 'data-kind="alert"' in e.message.value
    assert e.complaint
    assert OLD in e.picture._dom_classes, "the old answer is dimmed"
    assert "<script" not in e.message.value
    assert "<img" not in e.message.value
    e.text.value = "may 2, 1990"
    assert OLD not in e.picture._dom_classes
    assert e.complaint is None
    assert 'data-kind="status"' in e.message.value
    assert "may 2, 1990" in e.picture.value


def test_explorer_controls_continue_to_work_on_the_last_good_text():
    e = make_explorer()
    e.text.value = "?"
    e.step.value = 4
    assert "Step 4 writes" in e.picture.value
    assert e.question == "jan 2, 1918"
    assert "unknown" in e.message.value
    e.model.value = "plain"
    assert "no attention" in e.picture.value
    assert "unknown" in e.message.value


def test_explorer_escapes_what_is_typed():
    e = make_explorer()
    e.text.value = "<b&"  # all of it in the vocabulary
    assert e.complaint is None
    assert "<b&" not in e.picture.value
    assert "<b&" not in e.message.value
    assert "reads “<b&”" in drawn(e.picture.value)[0]


def test_explorer_reads_every_kind_of_space():
    e = make_explorer()
    e.text.value = "may\u00a01,\u20021990\u00a0"
    assert (e.complaint, e.question) == (None, "may 1, 1990")


def test_explorer_says_what_a_remark_adds():
    e = make_explorer(text="jan 2, 1911", truth=truth, remark=lambda tokens: "an old one")
    assert "1911-01-02 is right; an old one." in e.message.value


def test_explorer_buttons_choose_the_step_and_the_column():
    e = make_explorer(text="jan 2, 1918")
    assert [label.strip() for label, _ in e.row.options] == list(e.answer)
    assert [label.strip() for label, _ in e.column.options] == ["none", *"jan␣2,␣1918"]
    for options in (e.row.options, e.column.options):
        assert len({label for label, _ in options}) == len(options), "a page finds a button by its label"
    e.row.value = 7
    assert e.step.value == 7
    assert f"Step 7 writes “{e.answer[7]}”" in e.picture.value
    e.step.value = 3
    assert e.row.value == 3
    assert "gets most in step" not in e.picture.value
    e.column.value = 4
    label, texts = drawn(e.picture.value)
    assert "“2”, character 4, gets most in step 4, which writes “-”: 91 %." in label
    assert "in 4" in texts
    assert texts.count("91 %") == 1
    e.text.value = "may 1"
    assert e.column.value == "none", "another question, another column"
    assert len(e.column.options) == 6
    e.column.value = 2
    e.model.value = "plain"
    assert e.column.disabled
    assert "no attention" in e.picture.value


def test_explorer_plays_the_steps():
    e = make_explorer()
    assert (e.play.min, e.play.max) == (0, 9)
    e.play.value = 4
    assert (e.step.value, e.row.value) == (4, 4)
    e.step.value = 9
    assert e.play.value == 9


def test_explorer_with_a_shorter_answer_goes_to_its_last_step():
    def decode(model, tokens):
        return tokens, np.ones(len(tokens)), np.eye(len(tokens))

    e = AttentionExplorer({"m": "m"}, decode, vocabulary="abc", max_length=9, text="abcabc", step=5)
    e.text.value = "ab"
    assert (e.step.value, e.play.value, e.row.value, e.step.max) == (1, 1, 1, 1)
    assert "Step 1 writes “b”" in e.picture.value
    e.text.value = "abca"
    assert (e.step.value, e.step.max, len(e.row.options)) == (1, 3, 4)


def test_a_picture_names_what_can_be_pressed():
    """A row is its button of the steps; a token of the question is one button later, as button 0 is "none"."""
    e = make_explorer(text="may 1")
    assert set(re.findall(r'data-press="([\w-]+)"', e.picture.value)) == {
        *(f"step-{k}" for k in range(10)),
        *(f"column-{k}" for k in range(1, 6)),
    }
    for control, group in ((e.row, "step"), (e.column, "column")):
        assert f"attention-{group}" in control._dom_classes


def test_explorer_shows_another_model_beside():
    e = make_explorer(truth=truth)
    assert e.beside.options == (("none", "none"), ("plain", "plain"), ("attention", "attention"))
    assert e.second.value == ""
    wide = width_of(e.picture.value)
    e.step.value = 4
    e.beside.value = "plain"
    assert "Model “plain”" in drawn(e.second.value)[0]
    assert "Step 4 writes" in drawn(e.second.value)[0]
    assert "beside it, “plain” writes 1911-01-02." in e.message.value
    assert width_of(e.picture.value) < wide
    picture = make_explorer(beside="plain").static(beside="attention")
    assert [other.svg for other in picture.others] == [make_explorer(beside="attention").second.value]
    assert picture._repr_html_().count("<img alt=") == 2
    with pytest.raises(ValueError, match="no model 'x'"):
        make_explorer(beside="x")


REASONS = Reasons(np.array([[1.0, 2, -0.5], [0, 0, 0.5], [-1, 1, 0]]), np.array([[1.0, 0], [0, 1], [2, 2]]))


def test_reasons_are_a_sum_of_products_a_softmax_and_a_weighted_sum():
    terms, scores, weights, context = REASONS.compute()
    np.testing.assert_allclose(scores, [2.5, 0.5, 0])
    np.testing.assert_allclose(weights, np.exp(scores) / np.exp(scores).sum())
    np.testing.assert_allclose(context, weights[0] * np.array([1, 0]) + [0, weights[1]] + 2 * weights[2])
    label, texts = drawn(render_reasons("ab ", REASONS, 2, 0))
    assert "Why does step 2 give “a”, character 0, a weight of 82 %?" in label
    assert {number(x) for x in (1, 2, -0.5, 2.5)} <= set(texts)
    assert {number(w, 3) for w in weights} <= set(texts)
    assert {f"c[{j}]" for j in (0, 1)} <= set(texts)
    assert "padding" in drawn(render_reasons("ab", REASONS, 1, 1))[1], "a hidden state beyond the question"
    with pytest.raises(ValueError, match="4 tokens do not fit 3 scores and column 1"):
        render_reasons("abcd", REASONS, 1, 1)
    with pytest.raises(ValueError, match=r"terms must be \(T, K\) and hs \(T, H\), got \(2, 2\) and \(3, 2\)"):
        Reasons(np.ones((2, 2)), np.ones((3, 2))).compute()


def test_explorer_shows_why():
    e = make_explorer(text="abc", explain=lambda model, tokens, step: REASONS, why=True)
    assert "Why does step 0 give “a”" in drawn(e.reasons.value)[0]
    e.column.value = 2
    assert "Why does step 0 give “c”" in drawn(e.reasons.value)[0]
    e.model.value = "plain"
    assert e.reasons.value == ""
    assert "without attention there is nothing to explain" in e.message.value
    e.model.value, e.why.value = "attention", False
    assert e.reasons.value == ""
    assert make_explorer().why.disabled

    def cannot(model, tokens, step):
        raise ValueError("no dot product")

    assert "no dot product." in make_explorer(explain=cannot, why=True).message.value


@pytest.fixture(scope="module")
def survivor():
    return make_explorer()


@given(text=st.text(max_size=40))
def test_explorer_survives_any_text(survivor, text):
    e = survivor
    e.text.value = text
    drawn(e.picture.value)
    assert (e.complaint is None) == (complaint(characters(text), VOCABULARY, 29) is None)
    assert re.match(r'<div data-kind="(status|alert)"', e.message.value)
    assert not re.search(r"<(?!/?(div|b)\b)", e.message.value)


def test_explorer_ignores_padding_and_asks_a_model_once():
    asked = []

    def decode(model, tokens):
        asked.append("".join(tokens))
        return fake_decode(model, tokens)

    e = AttentionExplorer({"m": "m"}, decode, vocabulary=VOCABULARY, max_length=29, text="may 1")
    e.text.value = "may 1   "
    e.step.value = 5
    assert asked == ["may 1"]
    assert e.question == "may 1"
    e.text.value = "may 2"
    e.text.value = "may 1"
    assert asked == ["may 1", "may 2"]


def test_explorer_forgets_the_oldest_answers():
    e = make_explorer()
    for k in range(80):
        e.text.value = f"may {k}"
    assert len(e._answers) == AttentionExplorer.remember


def test_explorer_starts_where_it_is_told():
    e = make_explorer(model="plain", step=3)
    assert e.model.value == "plain"
    assert e.step.value == 3
    for wrong, words in (
        (dict(model="nobody"), "no model 'nobody'"),
        (dict(text="?"), "cannot start"),
        (dict(step=10), "0 to 9, got 10"),
    ):
        with pytest.raises(ValueError, match=words):
            make_explorer(**wrong)
    with pytest.raises(ValueError, match="at least one model"):
        AttentionExplorer({}, fake_decode, vocabulary=VOCABULARY, max_length=29, text="a")


def test_explorer_static_of_another_state():
    e = make_explorer()
    picture = e.static(text="may 1", step=2, model="attention")
    assert "reads “may 1”" in picture.text
    assert "Step 2 writes" in picture.text
    assert e.question == "jan 2, 1918", "a still picture changes nothing"
    with pytest.raises(ValueError, match="cannot draw 'é'"):
        e.static(text="é")


def test_render_attention_says_what_does_not_fit():
    ones = np.ones(2)
    with pytest.raises(ValueError, match=r"weights must be \(2, 3\), got \(3, 2\)"):
        render_attention("abc", "12", ones, np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"gold must be \(2, 3\)"):
        render_attention("abc", "12", ones, np.ones((2, 3)), gold=np.ones((2, 2)))
    with pytest.raises(ValueError, match="step must be 0 to 1, got 2"):
        render_attention("abc", "12", ones, step=2)
    with pytest.raises(ValueError, match=r"confidence must be \(2,\), got \(3,\)"):
        render_attention("abc", "12", np.ones(3))


def test_render_attention_of_one_character():
    drawn(render_attention("a", "1", [1.0], [[1.0]], gold=[[True]]))


# --- sentences -------------------------------------------------------------------------------------------------

WORDS = Captions(token="word", separator=" ", label="sentence", example="two dogs play")
GERMAN = {"two": "zwei", "dogs": "Hunde", "play": "spielen", "outside": "draußen", "a": "ein"}


def translate(model, tokens):
    answer = [GERMAN[token] for token in tokens]
    return answer, np.full(len(answer), 0.75), np.eye(len(answer))


def make_sentences(**options):
    given = dict(text="two dogs play outside", vocabulary=GERMAN, max_length=5, tokenize=str.split, captions=WORDS)
    return AttentionExplorer({"words": None}, translate, **given | options)


def test_explorer_shows_sentences_word_by_word():
    e = make_sentences(gold=True, gold_mask=lambda tokens: np.eye(len(tokens), dtype=bool))
    assert (e.question, e.answer) == ("two dogs play outside", "zwei Hunde spielen draußen")
    assert e.answer_tokens == ["zwei", "Hunde", "spielen", "draußen"]
    e.step.value = 4
    label, texts = drawn(e.picture.value)
    assert "reads “two dogs play outside” and writes “zwei Hunde spielen draußen”" in label
    assert "looks most at “outside” (word 3, 100 %)" in label
    assert "the right word comes from “outside”" in label
    assert {"outside", "draußen"} <= set(texts)
    assert "character" not in e.picture.value
    assert e.text.description == "sentence"
    assert "The answer is zwei Hunde spielen draußen." in e.message.value


def test_columns_hold_the_longest_word():
    root = ET.fromstring(make_sentences().picture.value)
    places = {t.text: float(t.get("x")) for t in root.iter(f"{SVG}text")}
    columns = [places[word] for word in ("two", "dogs", "play", "outside")]
    assert min(np.diff(columns)) >= 9 * len("outside")
    assert columns[0] - 9 * len("outside") / 2 > max(places[word] for word in ("zwei", "spielen")) + 48


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing to read"),
        ("two cats play", "“cats”, word 1, is unknown to the model."),
        ("a " * 6, "too long: 6 words. The model reads at most 5."),
    ],
)
def test_explorer_complains_about_words(text, words):
    e = make_sentences()
    e.text.value = text
    assert words in e.message.value
    assert "It knows" not in e.message.value, "a list of thousands of words helps nobody"
    assert e.question == "two dogs play outside"


def test_monitor_shows_sentences():
    sample = (["two", "dogs"], ["zwei", "Hunde"], None)
    label, texts = drawn(render_training([(1, 2.0)], [], sample, captions=WORDS))
    assert "“two dogs” becomes “zwei Hunde”." in label
    assert any(text.startswith("loss per word") for text in texts)


def test_widgets_know_no_data_set(root):
    """What models read and write, and the words for it, come in as arguments."""
    months = "january|february|march|april|june|july|august|september|october|november|december"
    for path in (root / "common" / "widgets").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(rf"\bdates?\b|YYYY|hyphen(?!s=)|[\"']_[\"']|{months}", text, re.IGNORECASE), path.name


# --- the explorer with models of the course --------------------------------------------------------------------


def test_reader_returns_weights_in_reading_order(vocab):
    model = AttentionSeq2seq(len(vocab), 5, 6, rng=0)
    text = "may 1, 1990"
    answer, confidence, weights = reader(vocab)(model, text)
    xs = vocab.encode(text, len(text))[::-1][None]
    ids, probs, expected = model.greedy_decode(xs, vocab.char_to_id["_"], 10, with_details=True)
    assert answer == "".join(vocab.id_to_char[i] for i in ids[0].tolist())
    np.testing.assert_array_equal(confidence, probs[0])
    np.testing.assert_array_equal(weights, expected[0][:, ::-1])


@pytest.mark.parametrize("reverse", [True, False])
def test_reader_leaves_the_padding_out_of_the_picture(vocab, reverse):
    model = AttentionSeq2seq(len(vocab), 5, 6, rng=0)
    _, _, weights = reader(vocab, trim=False, reverse=reverse)(model, "may 1")
    xs = vocab.encode("may 1")[None]
    xs = xs[:, ::-1] if reverse else xs
    _, _, full = model.greedy_decode(xs, vocab.char_to_id["_"], 10, with_details=True)
    assert weights.shape == (10, 5)
    assert full.shape == (1, 10, 29)
    np.testing.assert_array_equal(weights, (full[0, :, ::-1] if reverse else full[0])[:, :5])


def test_reading_leaves_the_model_as_it_was(vocab):
    model = AttentionSeq2seq(len(vocab), 5, 6, rng=0)
    data = np.arange(24).reshape(2, 12)
    before = [p.copy() for p in model.params], model.forward(data, data)
    reader(vocab)(model, "may 1, 1990")
    for p, q in zip(before[0], model.params, strict=True):
        np.testing.assert_array_equal(p, q)
    assert model.forward(data, data) == before[1]


def test_explorer_with_some_of_the_weights(folder):
    assert available(folder) == ["seq2seq", "attention"]
    e = explorer(folder=folder)
    assert e.model.options == ("plain", "attention")
    assert e.model.value == "attention"
    (note,) = (html.unescape(note.value) for note in e.notes)
    assert "not in the menu: peeky, aligned, guided" in note
    assert "python -m ch08.train peeky" in note
    e.text.value = "2/10/93"
    assert e.weights.shape == (10, 7)
    assert e.weights.dtype == np.float64, "so that every machine draws the same digits"
    e.text.value = "2_10"
    assert "“_” (low line), character 1, is unknown" in e.message.value
    e.text.value = " "
    assert "Type a date, such as september 27, 1994." in e.message.value
    assert (e.text.description, e.text.placeholder) == ("date", "september 27, 1994")
    assert explorer(folder=folder, model="seq2seq").model.value == "plain"


def test_explorer_without_any_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no weights .*python -m ch08\.train"):
        explorer(folder=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"peeky.weights\.npz does not exist.*ch08\.train peeky"):
        load_pretrained("peeky", tmp_path)


def test_load_pretrained_of_another_kind(tmp_path):
    (tmp_path / "attention").mkdir()
    np.savez(tmp_path / "attention" / "weights.npz", a=np.ones(2))
    with pytest.raises(ValueError, match="does not hold attention: its arrays are a"):
        load_pretrained("attention", tmp_path)


@pytest.mark.parametrize("trim", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
def test_explorer_takes_the_score_of_a_model_apart(vocab, trim, reverse):
    model = AttentionSeq2seq(len(vocab), 5, 6, rng=0, dtype=np.float64)
    e = explorer({"mine": model}, text="may 1, 1990", step=4, why=True, trim=trim, reverse=reverse)
    terms, scores, weights, context = e.explain(model, e.question_tokens, 4).compute()
    assert terms.shape == (11 if trim else 29, 6)
    np.testing.assert_allclose(weights[:11], e.weights[4], rtol=1e-12)
    assert "Why does step 4 give" in e.reasons.value
    for other in (BiAttentionSeq2seq, DeepAttentionSeq2seq, InputFeedingSeq2seq, SameStepSeq2seq):
        model = other(len(vocab), 5, 6, rng=0, dtype=np.float64)
        e = explorer({"mine": model}, text="may 1, 1990", step=4, why=True, trim=trim, reverse=reverse)
        found = e.explain(model, e.question_tokens, 4).compute()[2]
        np.testing.assert_allclose(found[:11], e.weights[4], rtol=1e-12)
    e = explorer({"one vector": Seq2seq(len(vocab), 5, 6, rng=0)}, why=True)
    assert "without attention there is nothing to explain" in e.message.value


def test_explorer_judges_the_forms_that_8_7_asks_for():
    for text in (
        *("september 27 1994", "september  27,  1994", "  september 27, 1994", "9-27-94", "9/27/1994"),
        *("27 september 1994", "1994-09-27", "1994/9/27", "27/9/94", "Monday, September 27, 1994"),
    ):
        assert right_answer(text) == "1994-09-27", text
    for text in (
        "february 31, 1994",
        "september 45, 1994",
        "",
        "1994",
        "9/27",
        "may",
        "september 27 x 1994",
        "13/13/94",
    ):
        with pytest.raises(ValueError, match=r"day|form"):
            right_answer(text)
    e = explorer(text="1994-09-27")
    assert "1972-04-09 is wrong: it should be 1994-09-27; no training question has this form." in e.message.value


def test_explorer_offers_all_shipped_models_and_starts_with_the_first_one_of_the_lessons():
    e = explorer(beside="guided")
    assert e.model.options == tuple(NAMES.values())
    assert e.model.value == "attention"
    assert "Model “guided”" in e.second.value


def test_explorer_with_a_new_model(vocab):
    e = explorer({"mine": AttentionSeq2seq(len(vocab), 5, 6, rng=0)}, gold=True)
    assert e.model.options == ("mine",)
    assert "stroke-dasharray" in e.picture.value


# --- training monitor ------------------------------------------------------------------------------------------


def small_training(rows=40):
    rng = np.random.default_rng(0)
    x, t = rng.integers(0, 7, (rows, 5)), rng.integers(0, 7, (rows, 4))
    model = AttentionSeq2seq(7, 4, 6, rng=0)
    return model, Trainer(model, Adam()), x, t


def sample(model):
    ids, _, weights = model.greedy_decode(np.array([[1, 2, 3, 4, 5]]), 0, 3, with_details=True)
    return "abcde", "".join(map(str, ids[0])), weights[0]


def fit(monitor, trainer, x, t, **options):
    trainer.fit(
        x, t, batch_size=10, rng=0, verbose=False, on_step=monitor.on_step, on_epoch=monitor.on_epoch, **options
    )


def test_monitor_follows_training():
    model, trainer, x, t = small_training()
    pictures = []
    monitor = TrainingMonitor(accuracy=lambda model: 0.25, sample=sample, interval=0, max_overhead=1, total_steps=12)
    assert monitor.state == "waiting"
    assert "Waiting for training" in monitor.picture.value
    monitor.picture.observe(lambda change: pictures.append(change["new"]), names="value")
    fit(monitor, trainer, x, t, max_epoch=3)
    assert len(monitor.losses) == 12
    assert len(pictures) > 1
    assert "Training in epoch" in pictures[-1]
    monitor.finish()
    assert monitor.state == "finished"
    label, texts = drawn(monitor.picture.value)
    assert "Finished in epoch 3, step 12 of 12" in label
    assert "25 % of the answers are right" in label
    assert any("25 % now" in x for x in texts)
    assert [c for c in "abcde" if c in texts] == list("abcde")
    steps, shares = zip(*monitor.accuracies, strict=True)
    assert steps[-1] == 12
    assert list(steps) == sorted(set(steps))
    assert set(shares) == {0.25}


def test_monitor_changes_nothing_in_training():
    plain, trainer, x, t = small_training()
    trainer.fit(x, t, max_epoch=2, batch_size=10, rng=0, verbose=False)
    watched, trainer, x, t = small_training()
    fit(TrainingMonitor(sample=sample, interval=0, max_overhead=1), trainer, x, t, max_epoch=2)
    for p, q in zip(plain.params, watched.params, strict=True):
        np.testing.assert_array_equal(p, q)


def test_monitor_shows_stopped_and_training_can_go_on():
    model, trainer, x, t = small_training()
    monitor = TrainingMonitor()

    def on_step(trainer, loss):
        monitor.on_step(trainer, loss)
        if trainer.step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    trainer.fit(x, t, max_epoch=3, batch_size=10, rng=0, verbose=False, on_step=on_step, on_epoch=monitor.on_epoch)
    monitor.finish()
    assert monitor.state == "stopped"
    assert "Stopped in epoch 2, step 6. The model keeps what it has learned" in monitor.picture.value
    fit(monitor, trainer, x, t, max_epoch=1)
    assert monitor.state == "training"
    monitor.finish()
    assert monitor.state == "finished"
    assert len(monitor.losses) == 10


def test_monitor_shows_that_training_was_cut_short():
    model, trainer, x, t = small_training()
    monitor = TrainingMonitor()

    def on_step(trainer, loss):
        monitor.on_step(trainer, loss)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trainer.fit(x, t, batch_size=10, rng=0, verbose=False, on_step=on_step)
    monitor.finish()
    assert monitor.state == "failed"
    assert "Cut short" in monitor.picture.value


def test_monitor_finishes_by_itself_when_the_cell_ends(monkeypatch):
    from IPython.core.events import EventManager, available_events

    shell = SimpleNamespace()
    shell.events = EventManager(shell, available_events)
    monkeypatch.setattr(monitor_module, "_shell", lambda: shell)
    model, trainer, x, t = small_training()
    monitor = TrainingMonitor()
    fit(monitor, trainer, x, t, max_epoch=1)
    assert monitor.state == "training"
    shell.events.trigger("post_execute")
    assert monitor.state == "finished"
    assert shell.events.callbacks["post_execute"] == []
    shell.events.trigger("post_execute")
    assert monitor.state == "finished"


def test_monitor_keeps_to_its_interval_and_its_share(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(monitor_module.time, "perf_counter", lambda: now[0])
    looks = []

    def accuracy(model):
        looks.append(now[0])
        now[0] += 0.2  # slow: at 5 % it may come every 4 seconds
        return 0.5

    monitor = TrainingMonitor(accuracy=accuracy)
    trainer = SimpleNamespace(step=0, current_epoch=1, model=None, interrupted=False)
    for step in range(1, 1001):
        trainer.step = step
        now[0] += 0.02
        monitor.on_step(trainer, 1.0)
        if step % 10 == 0:
            monitor.on_epoch(trainer)
    assert looks[0] >= 1.0
    assert min(np.diff(looks)) >= 4.0
    assert 0 < monitor.seconds <= 0.06 * now[0]


def test_monitor_goes_through_the_samples_when_training_has_ended():
    model, trainer, x, t = small_training()
    monitor = TrainingMonitor(sample=sample, interval=0, max_overhead=1, total_steps=12)
    assert monitor.moment.disabled
    seen = []
    monitor.picture.observe(lambda change: seen.append(monitor.moment.disabled), names="value")
    fit(monitor, trainer, x, t, max_epoch=3)
    assert all(seen), "the kernel is busy: it cannot answer"
    monitor.finish()
    steps = [step for step, *_ in monitor.samples]
    assert (steps[0], steps[-1]) == (1, 12)
    assert not monitor.moment.disabled
    assert "a sample, after step 12<" in monitor.picture.value
    monitor.moment.value = 0
    assert "a sample, after step 1<" in monitor.picture.value
    assert f"After step 1, “abcde” becomes “{monitor.samples[0][2]}”" in drawn(monitor.picture.value)[0]
    monitor.play.value = 1
    assert monitor.moment.value == 1
    assert f"after step {steps[1]}<" in monitor.picture.value
    first, (strip,) = monitor.static(moment=0), monitor.static().others
    assert "a sample, after step 1<" in first.svg
    assert "How attention forms" in strip.text
    assert "After step 12 it becomes" in strip.text
    before = len(monitor.samples)
    fit(monitor, trainer, x, t, max_epoch=1)
    monitor.finish()
    assert len(monitor.samples) > before
    assert monitor.moment.value == len(monitor.samples) - 1


def test_monitor_thins_out_the_samples_and_keeps_the_first_and_the_last():
    monitor = TrainingMonitor(sample=lambda model: ("ab", "c", np.ones((1, 2)) / 2))
    trainer = SimpleNamespace(model=None)
    for monitor._step in range(1, 200):
        monitor._take_sample(trainer)
        monitor._take_sample(trainer)  # the same step: once is enough
        steps = [step for step, *_ in monitor.samples]
        assert steps[0] == 1
        assert steps[-1] == monitor._step
        assert len(steps) <= monitor_module.SAMPLES
        assert steps == sorted(set(steps))


def test_moments_are_spread_from_the_first_to_the_last():
    samples = [
        (step, "ab", "c", np.array([[w, 1 - w]])) for step, w in ((1, 0.5), (5, 0.6), (9, 0.7), (20, 0.8), (30, 1))
    ]
    label, texts = drawn(render_moments(samples))
    assert [t for t in texts if t.startswith("after")] == [f"after step {k}: c" for k in (1, 5, 20, 30)]
    assert "After step 30 it becomes “c”; a row's largest weight is 100 % on average." in label


def test_monitor_says_how_long_it_has_taken_and_will_take(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(monitor_module.time, "perf_counter", lambda: now[0])
    monitor = TrainingMonitor(total_steps=100, interval=0)
    trainer = SimpleNamespace(step=0, current_epoch=1, model=None, interrupted=False)
    for trainer.step in range(1, 26):
        monitor.on_step(trainer, 1.0)
        now[0] += 2
    monitor._draw()
    assert "50 s so far, about 2 min 30 s left" in drawn(monitor.picture.value)[0]
    monitor.on_epoch(trainer)
    monitor.finish(trainer)
    assert "Finished in epoch 1, step 25 of 100, after 50 s." in drawn(monitor.picture.value)[0]


# --- comparison ------------------------------------------------------------------------------------------------


def test_comparison_shows_how_far_each_training_is():
    comparison, pictures = Comparison(steps=4), []
    comparison.picture.observe(lambda change: pictures.append(drawn(change["new"])[0]), names="value")

    def train(on_step):
        model, trainer, x, t = small_training()
        trainer.fit(x, t, max_epoch=1, batch_size=10, rng=0, verbose=False, on_step=on_step)
        return trainer.step

    assert comparison.run({"one": train, "two": train}) == comparison.results == {"one": 4, "two": 4}
    assert any("one: step 1 of 4, training. two: step 0 of 4, waiting." in said for said in pictures)
    assert re.search(r"one: step 4 of 4, done after \d+ s\. two: step 4 of 4, done", comparison.static().text)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        Comparison(steps=0)


def test_comparison_stops_whole():
    comparison, begun = Comparison(steps=4), []

    def train(name):
        def run(on_step):
            begun.append(name)
            model, trainer, x, t = small_training()

            def step(trainer, loss):
                on_step(trainer, loss)
                if name == "two" and trainer.step == 2:
                    signal.raise_signal(signal.SIGINT)

            trainer.fit(x, t, max_epoch=1, batch_size=10, rng=0, verbose=False, on_step=step)
            return trainer.step

        return run

    with pytest.raises(KeyboardInterrupt, match="stopped in two: run it again for all 3"):
        comparison.run({name: train(name) for name in ("one", "two", "three")})
    assert begun == ["one", "two"]
    assert comparison.results == {"one": 4}
    assert "two: step 2 of 4, stopped. three: step 0 of 4, waiting. Stopped in two." in comparison.static().text
    assert "Stopped, with all that come after it" in render_comparison(*comparison._state())


def test_monitor_without_training_has_nothing_to_finish():
    monitor = TrainingMonitor()
    monitor.finish()
    assert monitor.state == "waiting"


def test_monitor_thins_out_a_long_curve():
    monitor = TrainingMonitor()
    monitor.losses, monitor._step = [2.0] * 5000 + [1.0] * 5000, 10_000
    curve = monitor._curve()
    assert len(curve) <= monitor_module.POINTS
    assert curve[0][1] == 2
    assert curve[-1] == (10_000, 1.0)


def test_monitor_says_what_is_wrong():
    with pytest.raises(ValueError, match="interval must not be negative"):
        TrainingMonitor(interval=-1)
    with pytest.raises(ValueError, match="max_overhead"):
        TrainingMonitor(max_overhead=0)
    with pytest.raises(ValueError, match="state must be one of"):
        render_training([], state="tired")


def test_render_training_of_a_model_without_attention():
    _, texts = drawn(render_training([(1, 2.0)], [], ("2/1/93", "1993-02-01", None)))
    assert "No attention: nothing to show." in texts
