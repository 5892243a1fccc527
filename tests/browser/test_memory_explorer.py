"""The explorer of a memory in JupyterLab: walk through time, press a number, drag it, empty a row, undo it."""

import re

import nbformat
import pytest

from tests.notebooks import execute

pytestmark = pytest.mark.timeout(600)  # JupyterLab starts, a page opens, and a notebook runs from top to bottom

CELL = """\
import sys

sys.path.insert(0, '..')
from ch08.memory_explorer import memory_explorer

explorer = memory_explorer(length=4)
explorer"""
STILL = "explorer.static(step=6)"
T = 9  # steps for four vectors


class Memory:
    """The explorer of a memory on a page."""

    def __init__(self, lab):
        self.lab = lab
        self.box = lab.page.locator(".attention-widget").first
        self.box.wait_for()
        self.box.scroll_into_view_if_needed()
        self.picture = self.box.locator("svg[role=img]").first
        self.message = self.box.locator("[data-kind=status]").first

    def says(self, words):
        """Wait until the picture says these words."""
        from playwright.sync_api import expect

        expect(self.picture).to_have_attribute("aria-label", re.compile(words), timeout=120_000)

    def news(self, words):
        """Wait until the message has these words."""
        from playwright.sync_api import expect

        expect(self.message).to_contain_text(words, timeout=120_000)

    def slider(self, name):
        """The handle of a slider."""
        return self.box.get_by_role("slider", name=name, exact=True)

    def drag(self, name, share):
        """Drag a slider to a share of its way, 0 to 1."""
        handle = self.slider(name)
        handle.scroll_into_view_if_needed()
        base = handle.locator("xpath=ancestor::*[contains(@class, 'noUi-base')]")
        start, way, mouse = handle.bounding_box(), base.bounding_box(), self.lab.page.mouse
        mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
        mouse.down()
        mouse.move(way["x"] + share * way["width"], way["y"] + way["height"] / 2, steps=5)
        mouse.up()

    def lit(self, group):
        """The labels of the buttons of a group that are pressed."""
        return [text.strip() for text in self.box.locator(f".attention-{group} button.mod-active").all_inner_texts()]

    def crosses(self):
        """The number of wrong bits that are framed."""
        return self.picture.locator("rect[stroke='#D55E00']").count()


@pytest.fixture
def memory(lab):
    """A page with the explorer and, below it, a still picture."""
    v4 = nbformat.v4
    cells = [v4.new_markdown_cell("# Memory"), v4.new_code_cell(CELL), v4.new_code_cell(STILL)]
    execute.write(lab.course / "notebooks" / "memory.ipynb", execute.normalise(v4.new_notebook(cells=cells)))
    lab.open("memory")
    lab.run_all()
    return Memory(lab)


def test_a_reader_walks_through_time_and_changes_the_memory(lab, memory):
    memory.news("All 32 bits that it writes are right.")
    memory.says("Step 0 reads [01]{9}")
    assert "Changed by hand" not in memory.message.inner_text(), "a slider that is shown changes nothing"
    lab.shot("first", memory.box)

    memory.drag("step", 1)
    memory.says(f"Step {T - 1} writes [01]+, all bits right")
    memory.slider("step").press("Home")
    memory.says("Step 0 reads")
    for _ in range(4):
        memory.slider("step").press("ArrowRight")
    memory.says("Step 4 reads 000000001")  # the mark

    memory.picture.locator("[data-press='row-3 column-5']").click()  # chooses both: a vector that is not read yet
    memory.says("After the step row \\d+ holds")
    assert memory.lit("column") == ["5"]
    (row,) = memory.lit("row")
    memory.box.get_by_role("button", name="set the row to 0").click()
    memory.news(f"Changed by hand: row {row} after step 4. Without that, 0 would be wrong.")
    memory.news("of the 32 bits that it writes are wrong, at step")
    assert memory.crosses() >= 1
    lab.shot("emptied", memory.box)

    memory.box.get_by_role("button", name="undo", exact=True).click()
    memory.news("All 32 bits that it writes are right.")
    assert memory.crosses() == 0

    memory.box.get_by_role("button", name="swap with the row below").click()
    memory.news("after step 4, row ")
    memory.news("are wrong, at step")
    memory.box.get_by_role("button", name="undo all").click()
    memory.news("All 32 bits that it writes are right.")

    memory.drag("its value", 0.02)  # one number of the row
    memory.news(f"Changed by hand: row {row} after step 4.")
    memory.says(f"row {row} holds (−?\\d\\.\\d, ){{5}}−(1\\.9|2\\.0)")
    lab.shot("dragged", memory.box)

    memory.box.get_by_role("button", name="another example").click()
    memory.news("All 32 bits that it writes are right.")
    memory.drag("vectors", 1)
    memory.news("All 80 bits that it writes are right.")
    memory.drag("step", 1)
    memory.says("Step 20 writes")
    lab.shot("long", memory.box)


def test_the_keyboard_reaches_everything_and_it_is_said(lab, memory):
    from playwright.sync_api import expect

    memory.slider("step").press("End")
    spoken = memory.box.get_by_role("status").last
    expect(spoken).to_contain_text(f"Step {T - 1} writes")
    assert spoken.evaluate("e => e.getBoundingClientRect().width") <= 1, "the picture says it to those who see it"
    memory.box.locator(".attention-row button").nth(2).press("Enter")
    (row,) = memory.lit("row")
    expect(spoken).to_contain_text(f"After the step row {row} holds")
    memory.slider("its value").press("PageUp")
    memory.news(f"Changed by hand: row {row} after step {T - 1}.")
    memory.box.get_by_role("button", name="undo", exact=True).press("Enter")
    memory.news("All 32 bits")


@pytest.mark.parametrize("width", [1200, 600, 400])  # a page, one at 200 %, a phone
def test_the_picture_keeps_a_readable_size_in_a_frame_that_scrolls(lab, memory, width):
    page = lab.page
    page.set_viewport_size({"width": width, "height": 1000})
    page.wait_for_timeout(500)  # until the page has found its layout
    memory.slider("step").press("End")
    memory.says(f"Step {T - 1} writes")
    lab.shot(f"{width}", memory.box)
    shown, own = memory.picture.bounding_box()["width"], int(memory.picture.get_attribute("width"))
    assert shown >= 0.85 * own - 1
    smallest = min(int(s) for s in re.findall(r'font-size="(\d+)"', memory.picture.evaluate("e => e.outerHTML")))
    assert smallest * shown / own >= 9
    (frame,) = memory.box.locator(".widget-html", has=page.locator("svg[role=img]")).all()
    assert frame.evaluate("e => e.getBoundingClientRect().right") <= width, "the frame ends on the page"
    still = page.locator(".jp-CodeCell").last
    still.scroll_into_view_if_needed()
    lab.shot(f"still-{width}", still)
    (words,) = still.locator("img").evaluate_all("all => all.map(e => e.alt)")
    assert "Step 6 writes" in words


def test_it_can_be_read_in_the_dark(lab, memory):
    page = lab.page
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Theme").first.hover()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^JupyterLab Dark$")).click()
    page.locator("body[data-jp-theme-name='JupyterLab Dark']").wait_for(state="attached")
    memory.box.scroll_into_view_if_needed()
    lab.shot("dark", memory.box)
