"""The attention explorer in JupyterLab: type a date, drag the slider, type rubbish, as a reader would."""

import re

import nbformat
import pytest

from tests.notebooks import execute

pytestmark = pytest.mark.timeout(600)  # JupyterLab starts, a page opens, and a notebook runs from top to bottom

WORDS = """\
from common.np import np
from common.widgets import AttentionExplorer, Captions


def decode(model, tokens):
    answer = [token.upper() for token in tokens[:3]]
    weights = np.full((len(answer), len(tokens)), 1 / len(tokens))
    return answer, np.full(len(answer), 0.9), weights


explorer = AttentionExplorer(
    {"capitals": None},
    decode,
    vocabulary="abcdefghij",
    max_length=29,
    text="abc",
    captions=Captions(label="date"),
    gold_mask=lambda tokens: np.eye(3, len(tokens), dtype=bool),
)
explorer"""
PAIR = """\
import ipywidgets

word, answer = ipywidgets.Text(description="word", continuous_update=False), ipywidgets.HTML("nothing yet")
word.observe(lambda change: setattr(answer, "value", change["new"].upper()), "value")
ipywidgets.VBox([word, answer])"""


class Explorer:
    """The first attention explorer on a page."""

    def __init__(self, lab, label="date"):
        self.lab, page = lab, lab.page
        self.box = page.locator(".widget-vbox").filter(has=page.get_by_label(label, exact=True)).first
        self.box.wait_for()
        self.text = self.box.get_by_label(label, exact=True)
        self.slider = self.box.locator(".widget-slider")
        self.picture = self.box.locator("svg[role=img]").first  # another model's may stand beside it
        self.region = self.box.get_by_role("status")
        self.named = self.box.get_by_role("slider", name="step", exact=True)
        self.box.scroll_into_view_if_needed()

    def see(self):
        """What the picture says in words."""
        return self.picture.get_attribute("aria-label")

    def drag(self, share):
        """Drag the slider to a share of its way, 0 to 1."""
        mouse, handle, rail = (
            self.lab.page.mouse,
            self.slider.locator(".noUi-handle"),
            self.slider.locator(".noUi-base"),
        )
        handle.scroll_into_view_if_needed()
        start, way = handle.bounding_box(), rail.bounding_box()
        y = start["y"] + start["height"] / 2
        mouse.move(start["x"] + start["width"] / 2, y)
        mouse.down()
        mouse.move(way["x"] + way["width"] * share / 2, y, steps=5)
        mouse.move(way["x"] + way["width"] * share, y, steps=5)
        mouse.up()

    def step(self):
        """The step that the slider shows."""
        return int(self.slider.locator(".widget-readout").inner_text())

    def changed(self, before):
        """What the picture says, once that differs from `before`."""
        from playwright.sync_api import expect

        expect(self.picture).not_to_have_attribute("aria-label", before, timeout=120_000)
        return self.see()

    def says(self, words):
        """What the picture says, once `words` are in it: a slider that is dragged passes through other steps."""
        from playwright.sync_api import expect

        expect(self.picture).to_have_attribute("aria-label", re.compile(re.escape(words)), timeout=120_000)
        return self.see()

    def message(self, kind):
        """The message of this kind (status, alert), once there is one."""
        message = self.region.locator(f"[data-kind={kind}]")
        message.wait_for()
        return message.inner_text()

    def shot(self, what):
        """Keep a screenshot of the explorer."""
        return self.lab.shot(what, self.box)


def use(explorer, date, answer, steps, rubbish, complaint):
    """Type a date, drag the slider, type rubbish, type another date; each time look at the picture and the message."""
    before = explorer.see()
    region = explorer.region.element_handle()
    explorer.text.fill(date)
    reading = explorer.changed(before)
    assert f"reads “{date}” and writes “{answer}”" in reading
    explorer.message("status")
    explorer.shot("typed")

    explorer.drag(1)
    assert explorer.step() == steps - 1
    explorer.says(f"Step {steps - 1} writes “{answer[-1]}”")
    explorer.drag(0.5)
    assert 0 < explorer.step() < steps - 1
    middle = explorer.says(f"Step {explorer.step()} writes ")
    explorer.shot("dragged")

    explorer.text.fill(rubbish)
    assert re.search(complaint, explorer.message("alert"))
    assert explorer.see() == middle, "the last good picture stays"
    explorer.shot("rubbish")

    explorer.text.fill(date)
    explorer.message("status")
    assert explorer.see() == middle
    assert region.evaluate("region => region.isConnected"), "what changes in a region that stays is announced"
    explorer.named.wait_for()


def test_the_machinery_on_a_small_notebook(lab):
    """Controls, slider and messages work with a model that answers in capitals; no chapter is needed for it."""
    v4 = nbformat.v4
    path = "import sys\n\nsys.path.insert(0, '..')\n"
    cells = [v4.new_markdown_cell("# Small"), v4.new_code_cell(PAIR), v4.new_code_cell(path + WORDS)]
    execute.write(lab.course / "notebooks" / "small.ipynb", execute.normalise(v4.new_notebook(cells=cells)))
    lab.open("small")
    lab.run_all()
    page = lab.page
    page.get_by_label("word", exact=True).fill("hello")
    page.get_by_label("word", exact=True).press("Enter")
    page.locator(".widget-html-content", has_text="HELLO").wait_for()
    explorer = Explorer(lab)
    use(explorer, "bead", "BEA", 3, "bäd", r"“ä” \(latin small letter a with diaeresis\), character 1, is unknown")
    before = explorer.see()
    explorer.text.fill("ab")  # two steps: the slider is made anew
    explorer.changed(before)
    explorer.named.wait_for()
    assert explorer.named.get_attribute("aria-valuemax") == "1.0"


def test_a_cell_that_fails_is_noticed(lab):
    v4 = nbformat.v4
    cells = [v4.new_code_cell("1 / 0", id="a"), v4.new_code_cell("1", id="b")]
    execute.write(lab.course / "notebooks" / "fails.ipynb", execute.normalise(v4.new_notebook(cells=cells)))
    lab.open("fails")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        lab.run_all()


@pytest.mark.parametrize(
    "notebook",
    ["00_start_here", "ch08_07_seeing_attention", "ch08_08_teaching_where_to_look", "ch08_10_where_the_context_goes"],
)
def test_a_reader_uses_the_explorer(lab, notebook):
    lab.open(notebook)
    lab.run_all()
    explorer = Explorer(lab)
    lab.shot("opened")
    use(explorer, "march 4, 2012", "2012-03-04", 10, "märz", r"“ä” .*character 1, is unknown to the model")
