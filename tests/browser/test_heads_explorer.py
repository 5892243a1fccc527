"""The explorer of heads in JupyterLab: rest on a word, press a small heatmap, walk by the keyboard, type nonsense."""

import re

import nbformat
import pytest

from tests.notebooks import execute

pytestmark = pytest.mark.timeout(600)  # JupyterLab starts, a page opens, and a notebook runs from top to bottom

SMALL = """\
import sys

sys.path.insert(0, '..')
from ch08.recipes.translation import sentence_tokens
from ch08.transformer import Transformer
from ch08.translation_explorer import heads_explorer
from ch08.translator import Translator
from dataset import sentences, words

train = sentences.load("de-en").train
source = words.WordVocab.of([sentence_tokens(example.source) for example in train], "de")
target = words.WordVocab.of([sentence_tokens(example.target) for example in train], "en")
model = Transformer(len(source), len(target), 32, 48, layers=3, heads=8, rng=0)
for layer in [*model.encoder.layers, *model.decoder.layers]:  # not trained: let its heads look at something
    layer.attention.query.params[0] *= 3
translator = Translator(model, source, target, tokenize=sentence_tokens, max_length=9)
explorer = heads_explorer(translator, "Die Lehrerin schreibt am Montag einen Brief.")
explorer"""
STILL = "explorer.static(kind='decoder', layer=1, head='mean', row=4)"


class Heads:
    """The explorer of heads on a page."""

    def __init__(self, lab):
        self.lab = lab
        self.box = lab.page.locator(".attention-widget").first
        self.box.wait_for()
        self.box.scroll_into_view_if_needed()
        self.text = self.box.get_by_label("sentence", exact=True)
        self.grid, self.enlarged = (self.box.locator("svg[role=img]").nth(k) for k in range(2))

    def says(self, words, picture=None):
        """Wait until a picture, by default the enlarged one, says these words."""
        from playwright.sync_api import expect

        expect(picture or self.enlarged).to_have_attribute("aria-label", re.compile(words), timeout=120_000)

    def button(self, group, k):
        """Button k of a group."""
        return self.box.locator(f".attention-{group} button").nth(k)

    def rest(self, part):
        """Move the pointer to the middle of a part of the page, in view, and leave it there."""
        part.scroll_into_view_if_needed()
        part.hover()

    def lit(self, group):
        """The labels of the buttons of a group that are pressed."""
        return [text.strip() for text in self.box.locator(f".attention-{group} button.mod-active").all_inner_texts()]


@pytest.fixture
def heads(lab):
    """A page with the explorer and, below it, a still picture."""
    v4 = nbformat.v4
    cells = [v4.new_markdown_cell("# Heads"), v4.new_code_cell(SMALL), v4.new_code_cell(STILL)]
    execute.write(lab.course / "notebooks" / "heads.ipynb", execute.normalise(v4.new_notebook(cells=cells)))
    lab.open("heads")
    lab.run_all()
    return Heads(lab)


def test_a_reader_rests_on_words_presses_heads_and_types(lab, heads):
    heads.says("Encoder, self-attention, layer 0, head 0. “die” .word 1. looks most at")
    assert heads.lit("row") == ["die"]
    heads.lab.shot("first", heads.box)

    heads.rest(heads.button("row", 4))  # a button
    heads.says("“am” .word 4. looks most at")
    heads.rest(heads.enlarged.locator("[data-press=row-2] text").last)  # a word in the picture
    heads.says("“lehrerin” .word 2. looks most at")
    heads.rest(heads.enlarged.locator("[data-press=column-7] rect").first)
    heads.says("“brief” .word 7. is looked at most by")
    assert (heads.lit("row"), heads.lit("column")) == ([], ["brief"])
    heads.lab.shot("column", heads.box)
    lab.page.mouse.move(0, 0)

    heads.grid.locator("[data-press='layer-2 head-5']").click()  # changes both
    heads.says("layer 2, head 5. “brief”")
    heads.says("Enlarged: layer 2, head 5", heads.grid)
    assert (heads.lit("layer"), heads.lit("head")) == (["2"], ["5"])
    heads.grid.locator("[data-press='layer-1 head-8']").click()
    heads.says("layer 1, mean of 8 heads")

    heads.button("kind", 1).click()
    heads.says("Decoder, self-attention, layer 1, mean of 8 heads. Step 0, which writes")
    heads.button("kind", 2).click()
    heads.says("Decoder, cross attention")
    heads.lab.shot("cross", heads.box)
    heads.rest(heads.enlarged.locator("[data-press=column-2] rect").first)
    heads.says("“lehrerin” .word 2. is looked at most by the step that writes")
    lab.page.mouse.move(0, 0)

    alert = heads.box.locator("[data-kind=alert]")
    heads.text.fill("")
    alert.wait_for()
    assert "There is nothing to read yet. Type a sentence" in alert.inner_text()
    frame = heads.box.locator(".widget-html", has=lab.page.locator("svg[role=img]")).last
    assert frame.evaluate("e => getComputedStyle(e).opacity") == "0.35"
    heads.lab.shot("nothing", heads.box)
    heads.text.fill("")
    heads.text.press_sequentially("Der Roboter hört Übermut.")  # key by key, each of which changes the pictures
    heads.box.locator("[data-kind=status]", has_text="Unknown to the model: “roboter”, “übermut”.").wait_for()
    heads.says("Unknown to the model: “roboter” .word 2., “übermut” .word 4.")
    heads.box.get_by_role("button", name="another example").click()
    heads.box.locator("[data-kind=status]", has_text="is wrong: it should be").wait_for()


def test_the_keyboard_reaches_every_word_and_it_is_said(lab, heads):
    from playwright.sync_api import expect

    heads.button("row", 1).focus()
    lab.page.keyboard.press("Tab")
    heads.says("“lehrerin” .word 2. looks most at")
    lab.page.keyboard.press("Tab")
    heads.says("“schreibt” .word 3. looks most at")
    expect(heads.button("row", 3)).to_be_focused()
    spoken = heads.box.get_by_role("status").last
    expect(spoken).to_contain_text("“schreibt” (word 3) looks most at")
    assert spoken.evaluate("e => e.getBoundingClientRect().width") <= 1, "the picture says it to those who see it"
    heads.button("head", 3).press("Enter")
    heads.says("layer 0, head 3. “schreibt”")


def test_a_pointer_that_passes_lights_nothing(lab, heads):
    """Only where it rests: else every word on its way would be drawn, one after the other."""
    page = lab.page
    heads.button("row", 1).scroll_into_view_if_needed()
    page.evaluate(
        """() => {
            window.pressed = [];
            for (const b of document.querySelectorAll('.attention-row button'))
                b.addEventListener('click', () => window.pressed.push(b.textContent.trim()));
            const over = (e) => e.dispatchEvent(new MouseEvent('mouseover', {bubbles: true}));
            document.querySelectorAll('.attention-row button').forEach(over);
        }"""
    )
    page.wait_for_function("() => window.pressed.length")
    page.wait_for_timeout(300)
    assert page.evaluate("() => window.pressed") == ["<end>"]


@pytest.mark.parametrize("width", [1200, 600, 400])  # a page, one at 200 %, a phone
def test_pictures_keep_a_readable_size_in_a_frame_that_scrolls(lab, heads, width):
    page = lab.page
    page.set_viewport_size({"width": width, "height": 1000})
    page.wait_for_timeout(500)  # until the page has found its layout
    heads.button("kind", 1).click()
    heads.says("Decoder, self-attention")
    lab.shot(f"{width}", heads.box)
    for picture in (heads.grid, heads.enlarged):
        shown, own = picture.bounding_box()["width"], int(picture.get_attribute("width"))
        assert shown >= 0.85 * own - 1
        smallest = min(int(s) for s in re.findall(r'font-size="(\d+)"', picture.evaluate("e => e.outerHTML")))
        assert smallest * shown / own >= 9
    for frame in heads.box.locator(".widget-html", has=page.locator("svg[role=img]")).all():
        assert frame.evaluate("e => e.getBoundingClientRect().right") <= width, "the frame ends on the page"
    still = page.locator(".jp-CodeCell").last
    still.scroll_into_view_if_needed()
    lab.shot(f"still-{width}", still)
    words = still.locator("img").evaluate_all("all => all.map(e => e.alt)")
    assert len(words) == 2
    assert "Enlarged: layer 1, mean of 8 heads" in words[0]
    assert "Step 4, which writes" in words[1]


def test_it_can_be_read_in_the_dark(lab, heads):
    page = lab.page
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Theme").first.hover()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^JupyterLab Dark$")).click()
    page.locator("body[data-jp-theme-name='JupyterLab Dark']").wait_for(state="attached")
    heads.box.scroll_into_view_if_needed()
    lab.shot("dark", heads.box)
