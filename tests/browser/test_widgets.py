"""All widgets in JupyterLab: pressed, played, saved, on a narrow page, zoomed and in the dark."""

import re

import nbformat
import pytest
from PIL import Image

from tests.notebooks import execute

pytestmark = pytest.mark.timeout(600)  # JupyterLab starts, a page opens, and a notebook runs from top to bottom

PATH = "import sys\n\nsys.path.insert(0, '..')"
EXPLORER = "from ch08.explorer import explorer\n\nwidget = explorer(gold=True, step=5)\nwidget"
OTHERS = (
    "from common.widgets import GradientViewer\n\nGradientViewer()",
    ("from common.widgets import WeightedSumPlayground\n\nWeightedSumPlayground()"),
)
MONITOR = """\
from types import SimpleNamespace

from common.np import np
from common.widgets import Comparison, TrainingMonitor


def sample(model):
    k = model / 12
    return "may 1, 1990", "1990-05-01", k * np.eye(10, 11) + (1 - k) / 11


monitor = TrainingMonitor(accuracy=lambda model: model / 12, sample=sample, interval=0, max_overhead=1, total_steps=12)
monitor"""
TRAIN = """\
trainer = SimpleNamespace(step=0, current_epoch=1, model=0, interrupted=False)
for step in range(1, 13):
    trainer.step = trainer.model = step
    monitor.on_step(trainer, 4 / step)
monitor.on_epoch(trainer)"""
COMPARISON = """\
comparison = Comparison(steps=3)
comparison.show()


def train(on_step):
    for step in (1, 2, 3):
        on_step(trainer, 1.0)


_ = comparison.run({"plain": train, "attention": train})"""
STILL = "widget.static(beside='guided', why=True)"
FIGURE = """\
%matplotlib inline
from common.alt_text import install
from common.plots import attention_heatmap

install()
attention_heatmap(widget.weights, widget.question, widget.answer)"""
CELLS = [PATH, EXPLORER, *OTHERS, MONITOR, TRAIN, COMPARISON, STILL, FIGURE]
WIDGETS = ["explorer", "gradients", "playground", "monitor", "comparison"]


@pytest.fixture
def all_of_them(lab):
    """The page with all widgets; the boxes, in the order of WIDGETS."""
    v4 = nbformat.v4
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in CELLS])
    execute.write(lab.course / "notebooks" / "widgets.ipynb", execute.normalise(notebook))
    lab.open("widgets")
    lab.run_all()
    boxes = lab.page.locator(".attention-widget")
    boxes.nth(len(WIDGETS) - 1).wait_for()
    return [boxes.nth(k) for k in range(len(WIDGETS))]


def says(picture, words):
    """Wait until the picture says these words."""
    from playwright.sync_api import expect

    expect(picture).to_have_attribute("aria-label", re.compile(words), timeout=120_000)


def downloads(lab, box, kind):
    """Press the link that saves a widget's pictures; return the files."""
    found = []

    def keep(download):
        found.append(download)

    lab.page.on("download", keep)
    count = box.locator("svg[role=img]").count()
    box.get_by_role("button", name=kind, exact=True).click()
    for _ in range(100):
        if len(found) >= count:
            break
        lab.page.wait_for_timeout(100)
    lab.page.remove_listener("download", keep)
    return [(download.suggested_filename, download.path()) for download in found]


def test_a_reader_presses_plays_compares_asks_why_and_saves(lab, all_of_them):
    explorer, monitor = all_of_them[0], all_of_them[3]
    picture = explorer.locator("svg[role=img]").first
    says(picture, "Step 5 writes")
    picture.locator("[data-press=step-2]").first.click()  # in the picture
    says(picture, "Step 2 writes “9”")
    explorer.locator(".attention-step button").nth(8).press("Enter")  # by the keyboard
    says(picture, "Step 8 writes “2”")
    assert explorer.locator(".attention-step button.mod-active").count() == 1
    picture.locator("[data-press=column-11]").click()
    says(picture, "“2”, character 10, gets most in step 8")
    explorer.locator(".attention-column button").first.click()  # none
    from playwright.sync_api import expect

    expect(picture).not_to_have_attribute("aria-label", re.compile("gets most in step"), timeout=120_000)
    explorer.get_by_label("show why").check()
    explorer.get_by_label("beside it").select_option("guided")
    says(explorer.locator("svg[role=img]").nth(1), "Model “guided”.* Step 8 writes")
    says(explorer.locator("svg[role=img]").nth(2), "Why does step 8 give “2”, character 10")
    lab.shot("beside-and-why", explorer)
    explorer.locator(".attention-step button").first.click()
    says(picture, "Step 0 writes")
    explorer.locator(".widget-play button").first.click()
    says(picture, "Step 1 writes")
    explorer.locator(".widget-play button").first.click()

    files = downloads(lab, explorer, "SVG")
    assert [name for name, _ in files] == ["attention.svg", "attention-2.svg", "attention-3.svg"]
    assert files[0][1].read_text(encoding="utf-8").startswith("<svg xmlns=")
    ((name, path),) = downloads(lab, monitor, "PNG")
    assert name == "training.png"
    with Image.open(path) as image:
        assert image.width == 2 * int(monitor.locator("svg[role=img]").get_attribute("width"))

    seen = monitor.locator("svg[role=img]")
    says(seen, "After step 12, ")
    handle = monitor.get_by_role("slider", name="sample after step")
    handle.press("Home")
    says(seen, "After step 1, ")
    handle.press("ArrowRight")
    says(seen, "After step 2, ")
    lab.shot("moment", monitor)


def test_an_unreadable_text_dims_the_old_answer(lab, all_of_them):
    from playwright.sync_api import expect

    explorer = all_of_them[0]
    frame = explorer.locator(".widget-html", has=lab.page.locator("svg[role=img]")).first
    assert frame.evaluate("e => getComputedStyle(e).opacity") == "1"
    explorer.get_by_label("date", exact=True).fill("märz")
    expect(frame).to_have_class(re.compile("attention-old"), timeout=120_000)
    assert frame.evaluate("e => getComputedStyle(e).opacity") == "0.35"
    lab.shot("dimmed", explorer)


@pytest.mark.parametrize("width", [1200, 600, 400])  # a page, one at 200 %, a phone
def test_pictures_keep_a_readable_size_in_a_frame_that_scrolls(lab, all_of_them, width):
    page = lab.page
    page.set_viewport_size({"width": width, "height": 1000})
    page.wait_for_timeout(500)  # until the page has found its layout
    for name, box in zip(WIDGETS, all_of_them, strict=True):
        box.scroll_into_view_if_needed()
        lab.shot(f"{name}-{width}", box)
        picture = box.locator("svg[role=img]").first
        shown, own = picture.bounding_box()["width"], int(picture.get_attribute("width"))
        assert shown >= max(620, 0.85 * own - 1), name
        smallest = min(int(s) for s in re.findall(r'font-size="(\d+)"', picture.evaluate("e => e.outerHTML")))
        assert smallest * shown / own >= 9, name
        frame = box.locator(".widget-html", has=page.locator("svg[role=img]")).first
        right = frame.evaluate("e => e.getBoundingClientRect().right")
        assert right <= width, f"{name}: the frame ends on the page"
        assert frame.evaluate("e => e.scrollWidth > e.clientWidth") == (shown > frame.bounding_box()["width"] + 1), name
    for k, what in ((-2, "still"), (-1, "figure")):
        cell = page.locator(".jp-CodeCell").nth(len(CELLS) + k)
        cell.scroll_into_view_if_needed()
        lab.shot(f"{what}-{width}", cell)
        assert len(cell.locator("img").first.get_attribute("alt")) > 40


def test_widgets_can_be_read_in_the_dark(lab, all_of_them):
    page = lab.page
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.locator(".lm-Menu-item", has_text="Theme").first.hover()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^JupyterLab Dark$")).click()
    page.locator("body[data-jp-theme-name='JupyterLab Dark']").wait_for(state="attached")
    for name, box in zip(WIDGETS, all_of_them, strict=True):
        box.scroll_into_view_if_needed()
        lab.shot(f"{name}-dark", box)


def test_stored_figures_have_their_words_before_anything_has_run(lab):
    """JupyterLab does not trust the notebook yet, and shows HTML without what it takes for dangerous."""
    lab.open("ch08_02_weight_sum")
    images = lab.page.locator(".jp-OutputArea-output img")
    images.first.wait_for()
    shown = images.evaluate_all("all => all.map(e => [e.alt, e.naturalWidth / e.getBoundingClientRect().width])")
    assert len(shown) == 7
    for alt, sharpness in shown[:-1]:  # the last one is an SVG, which is sharp at any size
        assert len(alt) > 30
        assert round(sharpness, 1) >= 2, alt
    lab.shot("stored")
