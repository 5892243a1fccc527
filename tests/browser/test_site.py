"""The web edition, built by the command of `make site`: every link in it, and how it reads in headless Chromium.

The pages are opened as files, as a reader without a server opens them, and nothing outside can be reached.
"""

import html.parser
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from notebooks.web import stage
from tests.browser.conftest import SHOTS, serious
from tests.notebooks import address

pytestmark = pytest.mark.timeout(900)  # the site is built first

SITE = address.ROOT / "runs" / "site"
WIDTHS = {"phone": 360, "tablet": 768, "desk": 1440}
# Pages of every kind. 0 has a widget and a table that a cell made, 8.3 formulas, 8.16 charts and heatmaps.
KINDS = (
    "index.html",
    "about.html",
    "notebooks/00_start_here.html",
    "notebooks/ch08_03_attention_weight.html",
    "notebooks/ch08_16_beam_search.html",
    "notebooks/exercises/ch08_02_weight_sum.html",
    "ch08/pretrained/README.html",
    "search.html",
)


@pytest.fixture(scope="session")
def site():
    """The folder of the site, built anew as `make site` builds it, and what the build printed."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed: pip install -e '.[site]'")
    makefile = (address.ROOT / "Makefile").read_text(encoding="utf-8")
    (arguments,) = re.findall(r"^\t\$\(PY\) (-m notebooks\.web) \$\(ARGS\)$", makefile, re.M)
    command = [sys.executable, *shlex.split(arguments)]
    done = subprocess.run(command, cwd=address.ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "warning" not in (done.stdout + done.stderr).lower()
    return SITE


class Page(html.parser.HTMLParser):
    """What a page links to and shows, and the places in it that a link can lead to."""

    LINKS = {"a": "href", "link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}

    def __init__(self, text):
        super().__init__()
        self.targets, self.shown, self.ids, self.images = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Called by the parser for every tag."""
        attributes = dict(attributes)
        self.ids.update(filter(None, (attributes.get("id"), attributes.get("name") if tag == "a" else None)))
        target = attributes.get(self.LINKS.get(tag))
        if target and not (tag == "link" and attributes.get("rel") == "canonical"):
            (self.targets if tag == "a" else self.shown).append(target)
        if tag == "img":
            self.images.append((target, attributes.get("alt")))


@pytest.fixture(scope="session")
def pages(site):
    """Every page of the site, read. In `_static` the theme has templates, too, which are not pages."""
    paths = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    return {path: Page(path.read_text(encoding="utf-8")) for path in paths}


def leads_nowhere(pages, path, target):
    """Whether a target on the page ``path`` is a file that is missing, or an anchor that its page lacks."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return False
    file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not file.is_file():
        return True
    fragment = unquote(parts.fragment)
    return bool(fragment) and file in pages and fragment not in pages[file].ids


# --- what does not need a browser -----------------------------------------------------------------


def test_every_lesson_exercise_and_page_is_on_the_site(site, pages):
    expected = [path.relative_to(address.ROOT) for path in [*stage.books(), *stage.pages()]]
    assert [path for path in expected if site / path.with_suffix(".html") not in pages] == []


def test_every_link_and_every_anchor_of_the_site_leads_somewhere(pages):
    count, wrong = 0, []
    for path, page in pages.items():
        for target in [*page.targets, *page.shown]:
            count += 1
            if leads_nowhere(pages, path, target):
                wrong.append(f"{path.relative_to(SITE)}: {target}")
    assert wrong == []
    assert count > 5000


def test_a_link_that_leads_nowhere_is_found(pages):
    path = SITE / "index.html"
    assert not leads_nowhere(pages, path, "about.html#two-commands")
    assert leads_nowhere(pages, path, "about.html#three-commands")
    assert leads_nowhere(pages, path, "abuot.html")
    assert leads_nowhere(pages, path, "#nowhere")


def test_links_to_the_outside_are_safe_and_those_to_the_repository_lead_to_its_files(pages):
    blob = f"{address.address()}/blob/main/"
    seen = 0
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            assert parts.scheme in ("https", "mailto") or not parts.scheme + parts.netloc, f"{path}: {target}"
            if target.startswith(blob):
                seen += 1
                assert (address.ROOT / unquote(urlsplit(target).path.split("/blob/main/")[1])).exists(), target
    assert seen > 3


def test_pages_fetch_nothing_from_elsewhere(site, pages):
    shown = [(path, target) for path, page in pages.items() for target in page.shown]
    assert [(path, target) for path, target in shown if urlsplit(target).scheme not in ("", "data")] == []
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?https?:|@import\s+['\"]?https?:", path.read_text(encoding="utf-8")), path
    assert (site / "_static" / "tex-svg.js").stat().st_size > 1e6


def test_every_picture_has_alternative_text(pages):
    images = [(path, image) for path, page in pages.items() for image in page.images]
    assert len(images) > 100
    assert [(path, target) for path, (target, alternative) in images if not alternative] == []


def test_the_notebook_that_a_page_offers_is_that_of_the_repository(site, pages):
    for path in stage.books():
        name = path.relative_to(address.ROOT).as_posix()
        page = pages[site / Path(name).with_suffix(".html")]
        assert any(target.endswith(f"../_sources/{name}") for target in page.targets)
        assert (site / "_sources" / name).read_bytes() == path.read_bytes(), name


def test_lessons_open_in_colab_and_lead_on(site, pages):
    """Each has its own button, and all lessons and exercises hang together by "next", in reading order."""
    for path in stage.books():
        name = path.relative_to(address.ROOT)
        page = pages[site / name.with_suffix(".html")]
        assert f"{address.COLAB}{address.slug(address.address())}/blob/main/{name.as_posix()}" in page.targets, name
    reached, path = [], site / "index.html"
    while path:
        reached.append(path.relative_to(site).with_suffix(".ipynb"))
        text = path.read_text(encoding="utf-8")
        following = re.search(r'<a class="right-next"\s+href="([^"]+)"', text)
        path = (path.parent / following[1]).resolve() if following else None
    order = [name for name in reached if (address.ROOT / name).is_file()]
    assert order == [path.relative_to(address.ROOT) for path in stage.books()]


# --- in the browser -------------------------------------------------------------------------------


@pytest.fixture
def page(browser, site):
    """An empty page of the browser, with what went wrong on it."""
    page = browser.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("requestfailed", lambda request: note(page, request))
    yield page
    page.close()


def note(page, request):
    """Keep what could not be loaded; a picture that was still on its way when the page was left is not meant."""
    if "ERR_ABORTED" not in (request.failure or ""):
        page.problems.append(f"{request.url}: {request.failure}")


def visit(page, name, width=1440, theme="light"):
    """Open a page of the site as a file, and wait until its formulas are drawn."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.goto((SITE / name).as_uri())
    page.evaluate("window.MathJax?.startup?.promise.then(() => null)")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))")


def overflow(page):
    """How many pixels a page is wider than the window."""
    return page.evaluate("document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth")


def test_on_a_phone_no_page_is_too_wide_and_axe_finds_nothing_serious(page, pages, axe):
    """Every page. A wide table, formula or picture scrolls by itself. 720 pixels at 200 % zoom are as 360.

    Contrast is measured in the next test: all pages have the same colors. A Korean page has the elements of the English
    one with other words, so axe, which takes seconds, sees two of them.
    """
    wide, wrong = {}, {}
    for path in pages:
        name = path.relative_to(SITE).as_posix()
        visit(page, name, WIDTHS["phone"])
        if overflow(page) > 0:
            wide[name] = overflow(page)
        seen = "/ko/" not in name or Path(name).stem in ("README", "ch08_02_weight_sum")
        if seen and (found := serious(axe, page, contrast=False)):
            wrong[name] = found
    SHOTS.mkdir(parents=True, exist_ok=True)
    (SHOTS / "site-axe.json").write_text(json.dumps(wrong, indent=1))
    assert wide == {}
    assert {name: found[:3] for name, found in wrong.items()} == {}
    assert page.problems == []


@pytest.mark.parametrize("name", KINDS)
def test_pages_of_every_kind_at_three_widths_in_both_modes(page, axe, name):
    """The screenshots are for people."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    wrong = []
    for theme in ("light", "dark"):
        for what, width in WIDTHS.items():
            visit(page, name, width, theme)
            assert page.evaluate("document.documentElement.dataset.theme") == theme
            assert overflow(page) == 0, f"{width} pixels"
            page.screenshot(path=SHOTS / f"site-{Path(name).stem}-{what}-{theme}.png")
        wrong += [f"{theme}: {found}" for found in serious(axe, page)]
    assert wrong[:3] == []
    assert page.problems == []


def test_axe_finds_a_planted_mistake(page, axe):
    visit(page, "about.html")
    page.evaluate("document.querySelector('article').insertAdjacentHTML('beforeend', '<img src=\"a.png\">')")
    assert any(found.startswith("image-alt") for found in serious(axe, page))


@pytest.mark.parametrize("width", [WIDTHS["phone"], WIDTHS["desk"]])
@pytest.mark.parametrize("language", stage.WORDS)
def test_the_front_page_begins_with_the_explorer(page, width, language):
    """It answers in its frame, which is as high as it needs to be, and follows the page from light to dark."""
    visit(page, f"{stage.front_of(language)}.html", width)
    assert overflow(page) == 0
    page.screenshot(path=SHOTS / f"site-front-{language}-{width}.png")
    frame = page.frame_locator(".course-explorer iframe")
    frame.locator("#text").fill("2/10/93")
    frame.locator("#news", has_text="1993-02-10").wait_for()
    root = frame.locator("html")
    assert root.get_attribute("lang") == language
    assert not frame.locator(".languages").is_visible(), "the page around the frame has this switch"
    page.wait_for_timeout(500)  # milliseconds: the frame has said how high it is
    assert root.evaluate("root => root.scrollHeight - root.clientHeight") == 0
    ground = "root => getComputedStyle(document.body).backgroundColor"
    light = root.evaluate(ground)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_timeout(500)
    assert root.evaluate(ground) != light


def test_on_a_korean_page_the_theme_speaks_korean(page):
    visit(page, "notebooks/ko/ch08_07_seeing_attention.html")
    said = """() => {
        const places = '[title], [aria-label], [placeholder], [data-tooltip], [data-bs-original-title], header, footer';
        const words = (e) => [e.title, e.ariaLabel, e.placeholder, e.innerText, ...Object.values(e.dataset)];
        const seen = [...document.querySelectorAll(places)].filter((e) => !e.closest('.output, svg'));
        return seen.flatMap(words).filter((text) => text).join(' | ');
    }"""
    shown = page.evaluate(said)
    theme = stage.WORDS["ko"]["theme"]
    for word in ("Search the course", "Copy", "Contents", "next", "previous", "Color mode", "Toggle primary sidebar"):
        assert theme[word] in shown
    left = [word for word in theme if re.search(rf"\b{re.escape(word)}\b", shown)]
    assert set(left) <= {"Download this page"}, "the theme has no translation for the name of this button"
    widget = page.locator(".course-widget").first
    assert "이 셀을 실행하면 쓸 수 있어요." in widget.inner_text()
    page.locator(".logo").first.click()
    page.wait_for_url("**/notebooks/ko/README.html")
    page.go_back()
    widget.get_by_role("link").click()
    page.wait_for_url("**/notebooks/ko/README.html")


def test_search_finds_a_lesson(page):
    visit(page, "index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("temperature softmax")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html*")
    page.locator("#search-results li a", has_text="Attention weights").first.click()
    page.wait_for_url("**/ch08_03_attention_weight.html*")


def test_the_mode_can_be_chosen_and_stays(page):
    visit(page, "index.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.get_by_role("button", name="Color mode").click()
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    visit(page, "about.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.evaluate("localStorage.clear()")


def test_code_is_copied_without_its_output(page, browser):
    visit(page, "notebooks/ch08_02_weight_sum.html")
    page.evaluate("navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve(); }")
    cell = page.locator("div.cell", has_text="np.array([[1, 0, 1]").first
    assert cell.locator("div.cell_output button.copybtn").count() == 0
    cell.locator("div.cell_input").hover()
    cell.locator("button.copybtn").click()
    page.wait_for_function("document.querySelector('button.copybtn.success') !== null")


def test_hints_are_folded_and_open_one_by_one_with_the_keyboard(page):
    visit(page, "notebooks/exercises/ch08_02_weight_sum.html")
    hints = page.locator(".course-hints").first.locator("details")
    assert hints.count() == 3
    assert not hints.first.locator("p").is_visible()
    hints.first.locator("summary").focus()
    page.keyboard.press("Enter")
    assert hints.first.locator("p").is_visible()
    assert not hints.nth(1).locator("p").is_visible()


def test_formulas_are_drawn_and_a_screen_reader_gets_them_as_mathml(page):
    visit(page, "notebooks/ch08_03_attention_weight.html", WIDTHS["phone"])
    count = page.locator("mjx-container svg").count()
    assert count > 20
    assert page.locator("mjx-container mjx-assistive-mml math").count() == count
    assert page.locator("text=Math input error").count() == 0
    # One that is wider than the phone can be scrolled with the keyboard.
    wide = page.evaluate(
        "[...document.querySelectorAll('mjx-container')]"
        ".filter(e => e.firstElementChild.getBoundingClientRect().width > e.clientWidth + 1)"
        ".map(e => e.getAttribute('tabindex'))"
    )
    assert set(wide) == {"0"}
