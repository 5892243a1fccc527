"""The explorer as a page (`python -m ch08.web`): the same answers, weights, words and pictures as Python's, and a page
that can be used with a finger, with the keyboard, in the dark and without seeing it."""

import json
import random
import re

import numpy as np
import pytest

from ch08.explorer import EXAMPLES, NAMES, available, explorer, load_pretrained, reader
from ch08.recipes.dates import Dates
from ch08.web import LESSONS, colab_address, lesson_title, write_explorer
from common.widgets.texts import characters, complaint
from common.widgets.web import character_names
from dataset import dates, sequence
from tests.browser.conftest import SHOTS, SIZES, flaws, news, walk_with_keys
from tests.notebooks import address

pytestmark = pytest.mark.timeout(600)
VOCABULARY = "".join(c for c in sequence.load("date.txt").vocab.char_to_id if c != sequence.START)


def test_questions(count):
    """Questions of the test set, without padding."""
    task = Dates()
    rows = np.random.default_rng(0).choice(len(task.x_test), count, replace=False)
    return [task.text(row) for row in task.x_test[rows]]


test_questions.__test__ = False


INVISIBLE = [
    "",
    " ",
    "   ",
    "\u00a0",
    "\ufeff",
    "\x1c",
    "\u2028",
    "\x00",
    "a\tb",
    "\ud55c",
    "e\u0301",
    "\u0301",
    "\u202emay",
]
INVISIBLE += ["\U0001f469\u200d\U0001f4bb", "\ue000", "\u0378", "\U000e0001", "may\u00a04,\u20092012", "may 4, 2012 "]
ODD = """\
1|a|,|----------|xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx|99999999999999999999999999999|9999999999999999999999999999999
märz 4, 2012|MÄRZ|3月4日|三月|한글|🙂 may 4, 2012|_|א|٣|½|ﬁ|Ⅳ|—|−|…|<b>may</b>|&amp;|"|'|\\|{question}|‘may’
 may 4, 2012|may  4,  2012|may 4,2012|May 4 2012|mAy 4, 2012|february 29, 1900|february 29, 2000|february 30, 2001
may 0, 2001|may 32, 2001|may 4, 0000|may 4, 0001|may 4, 9999|1/1/70|1/1/17|1/1/18|1/1/69|13/1/70|31/12/99|32/13/05
27/9/05|2012/3/4|2012-03-04|4.3.2012|4 march 2012|march 4th, 2012|03/04/2012|2012|march|3/4|3/4/5/6|0/0/0|0/0/2000
tuesday, may 4, 2012|TUESDAY, MAY 4, 2012|Tuesday, may 4, 2012|someday, may 4, 2012|tue, may 4, 2012
tuesday, jun 4, 2012|sept 4, 2012|ju 4, 2012"""


def odd_texts(count=200):
    """Texts that nobody should type: empty, too long, foreign, invisible, nearly right, nonsense."""
    rng = random.Random(0)
    texts = [*INVISIBLE, *(text for line in ODD.splitlines() for text in line.split("|"))]
    while len(texts) < count:
        kind = rng.randrange(4)
        if kind == 0:
            texts.append("".join(rng.choices(VOCABULARY, k=rng.randint(1, 31))))
        elif kind == 1:
            texts.append("".join(chr(rng.randrange(32, rng.choice((0x250, 0x2000, 0xD800)))) for _ in range(5)))
        else:
            text = list(rng.choice(EXAMPLES))
            for _ in range(kind):
                text[rng.randrange(len(text))] = rng.choice(VOCABULARY)
            texts.append("".join(text))
    return texts


DECODE = """async ([name, texts]) => {
    await modelOf(name);
    return texts.map((text) => {
        const {answer, confidence, weights} = CHAPTER.decode(models[name], characters(text));
        return [answer.join(''), Array.from(confidence), weights && weights.map((row) => Array.from(row))];
    });
}"""


def compare(page, system, texts):
    """Compare a model's answers; return the largest difference of a confidence or a weight."""
    model, decode = load_pretrained(system, dtype=np.float64), reader(sequence.load("date.txt").vocab)
    differences = [0.0]
    for text, (answer, confidence, weights) in zip(texts, page.evaluate(DECODE, [NAMES[system], texts]), strict=True):
        expected = decode(model, "".join(characters(text)))
        assert answer == expected[0], text
        differences.append(np.abs(confidence - expected[1]).max())
        assert (weights is None) == (expected[2] is None)
        if weights is not None:
            assert np.shape(weights) == expected[2].shape
            differences.append(np.abs(weights - expected[2]).max())
    return max(differences)


def test_500_dates_are_read_as_python_reads_them(open_page):
    assert compare(open_page(), "attention", test_questions(500)) < 1e-8


def test_every_model_reads_as_in_python(open_page):
    """Dates, and texts that are none: on those a model is unsure, and a wrong number shows."""
    page, texts = open_page(), [*test_questions(20), *EXAMPLES, *readable(odd_texts())[:20]]
    assert page.locator("#model option").all_inner_texts() == [NAMES[system] for system in available()]
    assert {system: compare(page, system, texts) < 1e-8 for system in available()} == dict.fromkeys(available(), True)


def readable(texts):
    return [text for text in texts if complaint(characters(text), VOCABULARY, dates.QUESTION_WIDTH) is None]


PICTURES = """async ([text, state]) => {
    await Promise.all([modelOf(state.model), ...(state.beside === NONE ? [] : [modelOf(state.beside)])]);
    const {first, picture, second, reasons, news} = pictures(characters(text), state);
    return [describeAttention(first).join(' ') + ' ' + news, picture, ...[second, reasons].filter((svg) => svg)];
}"""


def test_200_odd_texts_are_answered_in_the_same_words_and_pictures(open_page):
    """A text that no model reads gets the same complaint; any other the same picture, byte for byte, in any state."""
    page, python, rng = open_page(), explorer(), random.Random(1)
    menu, texts = list(python.models), odd_texts()
    page.evaluate("async () => { await loadFile('names'); }")
    complaints = page.evaluate("(texts) => texts.map((text) => complaint(characters(text)))", texts)
    expected = [complaint(characters(text), python.vocabulary, python.max_length, python.captions) for text in texts]
    assert complaints == expected
    assert len(texts) == 200
    assert 60 < expected.count(None) < 160
    for text in [*EXAMPLES, *readable(texts)]:
        state = dict(model=rng.choice(menu), beside=rng.choice(["none", *menu]), step=rng.randrange(10))
        state |= dict(gold=rng.random() < 0.5, why=rng.random() < 0.5)
        column = rng.choice(["none", rng.randrange(len(characters(text)))])
        shown = page.evaluate(PICTURES, [text, state | dict(column=None if column == "none" else column)])
        picture = python.static(text=text, column=column, **state)
        assert shown == [picture.text, picture.svg, *(other.svg for other in picture.others)], (text, state)


def test_every_character_has_pythons_name(open_page):
    """Of every plane, also those that are named by their number, and those without a name."""
    page = open_page()
    page.evaluate("async () => { await loadFile('names'); }")
    points = [*range(0x3000), *range(0x3000, 0x110000, 97)]
    points = [point for point in points if not 0xD800 <= point < 0xE000 and chr(point) not in VOCABULARY]
    said = page.evaluate("(points) => points.map((point) => named(String.fromCodePoint(point)))", points)
    captions = explorer().captions
    for point, words in zip(points, said, strict=True):
        text = "a" + chr(point) + "a"  # so that it is not read as an empty text
        message = complaint(list(text), VOCABULARY, 29, captions)
        assert message.startswith(f"{words}, character 1, is unknown"), hex(point)


def test_the_first_visit_takes_less_than_3_mb(explorer_site):
    files = {file.name: file.stat().st_size for file in explorer_site.parent.rglob("*.*")}
    assert files["index.html"] + files["attention.js"] < 3e6
    assert {f"{system}.js" for system in available()} < set(files)


def test_a_visitor_types_a_date_and_walks_through_the_answer(open_page):
    page = open_page()
    assert news(page, "1994-09-27") == "1994-09-27 is right."
    page.get_by_label("date", exact=True).fill("march 4, 2012")
    assert news(page, "2012-03-04") == "2012-03-04 is right."
    label = page.locator("#picture svg").get_attribute("aria-label")
    assert "reads “march 4, 2012” and writes “2012-03-04”. Step 0 writes “2”" in label
    page.locator("#picture [data-press=step-5]").first.click()
    assert page.locator("#step").input_value() == "5"
    assert "Step 5 writes “0”" in page.locator("#said").inner_text()
    page.locator("#picture [data-press=column-1]").first.click()
    assert "“m”, character 0, gets most in step" in page.locator("#said").inner_text()
    page.get_by_role("button", name="Jun 17, 2013").click()
    assert news(page, "2013-06-17") == "2013-06-17 is right."
    assert page.get_by_role("radio", name="none").is_checked(), "another question has other columns"
    page.get_by_label("beside it", exact=True).select_option("peeky")
    assert "beside it, “peeky” writes 2013-06-17." in news(page, "beside it")
    page.get_by_label("show the gold alignment").check()
    assert "Gold alignment: " in page.locator("#picture svg").get_attribute("aria-label")
    page.get_by_role("checkbox", name="show why").check()
    assert "Why does step 5 give" in page.locator("#reasons svg").get_attribute("aria-label")
    page.get_by_label("date", exact=True).fill("jänner")
    complaint = news(page, "Please check:")
    assert "“ä” (latin small letter a with diaeresis), character 1, is unknown to the model." in complaint
    assert complaint.endswith("The picture below still shows “Jun 17, 2013”.")
    assert page.locator("#picture").evaluate("(e) => Number(getComputedStyle(e).opacity)") < 0.5
    page.get_by_label("model", exact=True).select_option("guided")
    page.locator("#picture svg[aria-label*='Model “guided” reads “Jun 17, 2013”']").wait_for()


def test_the_steps_play(open_page):
    page = open_page()
    page.clock.install()
    button = page.get_by_role("button", name="play the steps")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    page.clock.run_for(2500)
    assert page.locator("#step").input_value() == "3"
    button.click()
    page.clock.run_for(2500)
    assert page.locator("#step").input_value() == "3"
    button.click()
    page.clock.run_for(20_000)
    assert page.locator("#step").input_value() == "9"
    assert button.get_attribute("aria-pressed") == "false"


def test_the_keyboard_is_enough(open_page):
    page = open_page()
    needed = "text", "model", "beside", "step", "column", "play", "gold", "why", "picture", "save-svg"
    walk_with_keys(page, needed, "Step 1 writes")
    page.keyboard.press("ArrowRight")
    assert "Step 2 writes" in page.locator("#said").inner_text()
    page.locator("#question input").first.focus()
    page.keyboard.press("ArrowRight")
    assert "character 0, gets most in step" in page.locator("#said").inner_text()


def test_a_screen_reader_hears_names_and_news(open_page):
    page = open_page()
    page.get_by_role("textbox", name="date").wait_for()
    page.get_by_role("combobox", name="model", exact=True).wait_for()
    page.get_by_role("slider", name="step").wait_for()
    page.get_by_role("group", name="answer").get_by_role("radio").first.wait_for()
    assert page.get_by_role("status").inner_text() == "1994-09-27 is right."
    region = page.locator("#news").element_handle()
    page.get_by_label("date", exact=True).fill("may 4, 2012")
    news(page, "2012-05-04")
    assert region.evaluate("(e) => e.isConnected"), "what changes in a region that stays is announced"
    page.locator("#step").fill("4")
    assert page.locator("#said").get_attribute("aria-live") == "polite"
    unnamed = """() => [...document.querySelectorAll('input, select, button, a, svg[role=img], [role=group]')]
        .filter((e) => !(e.labels?.[0]?.textContent || e.textContent || '').trim() && !e.getAttribute('aria-label'))
        .map((e) => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(unnamed) == []
    assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_and_can_be_read(open_page, size, scheme):
    """Nothing sticks out of the page, what is pressed is large enough for a finger, all text has a contrast of 4.5."""
    page = open_page(SIZES[size], color_scheme=scheme)
    page.get_by_label("date", exact=True).fill("wednesday, september 25, 1985")
    news(page, "1985-09-25")
    page.get_by_role("checkbox", name="show why").check()
    for beside in ("none", "plain"):
        page.get_by_label("beside it", exact=True).select_option(beside)
        page.wait_for_function("(two) => document.body.classList.contains('two') === two", arg=beside != "none")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=SHOTS / f"web-{size}-{scheme}{'-two' if beside != 'none' else ''}.png", full_page=True)
    assert flaws(page) == []


def test_a_finger_is_enough(open_page):
    """On a phone's screen that is touched: an example, a step, a token."""
    page = open_page(SIZES["phone"])
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", dict(enabled=True))

    def tap(locator):
        locator.scroll_into_view_if_needed()
        box = locator.bounding_box()
        point = dict(x=box["x"] + box["width"] / 2, y=box["y"] + box["height"] / 2)
        session.send("Input.dispatchTouchEvent", dict(type="touchStart", touchPoints=[point]))
        session.send("Input.dispatchTouchEvent", dict(type="touchEnd", touchPoints=[]))

    tap(page.get_by_role("button", name="2/10/93"))
    assert news(page, "1993-02-10") == "1993-02-10 is right."
    tap(page.locator("#answer label").nth(6))
    said = page.locator("#said", has_text="Step 6 writes “2”")
    said.wait_for()
    assert said.bounding_box()["height"] > 20, (
        "the sentences stand on the page: in the picture one would have to scroll"
    )
    tap(page.locator("#question label.token").nth(1))
    page.locator("#said", has_text="“2”, character 0, gets most").wait_for()


def test_the_picture_is_saved(open_page, tmp_path):
    page = open_page()
    picture = page.locator("#picture svg").evaluate("(e) => e.outerHTML")
    for kind in ("svg", "png"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind.upper(), exact=True).click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert path.name == f"attention.{kind}"
        content = path.read_bytes()
        assert content == picture.encode() if kind == "svg" else content.startswith(b"\x89PNG")


def test_how_it_works_leads_to_the_lessons(open_page):
    links = open_page().locator("footer a")
    assert links.all_inner_texts() == [lesson_title(name) for name in LESSONS]
    for link, name in zip(links.all(), LESSONS, strict=True):
        badge = address.badge(address.NOTEBOOKS / f"{name}.ipynb")
        assert f"({link.get_attribute('href')})" in badge
        assert link.get_attribute("href") == colab_address(name)


def test_a_site_gives_its_own_addresses_of_lessons(tmp_path):
    page = write_explorer(tmp_path, lesson=lambda up, name: f"{up}../{name}.html").read_text(encoding="utf-8")
    assert all(f'href="../{name}.html"' in page for name in LESSONS)


def test_weights_that_cannot_be_loaded_are_missed(open_page):
    page = open_page()
    page.route(re.compile(r"files/guided\.js$"), lambda route: route.abort())
    page.evaluate("change('model', 'guided')")
    assert "files/guided.js could not be loaded." in news(page, "Please check:")
    assert "“attention” reads" in page.locator("#picture svg").get_attribute("aria-label")
    assert open_page.errors.pop() == "Failed to load resource: net::ERR_FAILED"


def test_in_a_frame_it_says_how_high_it_is_and_takes_the_mode_of_the_page_around_it(explorer_site, browser, tmp_path):
    outer = explorer_site.parent.parent / "outer.html"
    script = "window.heights = []; addEventListener('message', (event) => heights.push(event.data.attentionExplorer));"
    inner = f"<iframe src='{explorer_site.as_uri()}' width=800></iframe>"
    outer.write_text(f"<script>{script}</script>{inner}", encoding="utf-8")
    page = browser.new_page()
    page.goto(outer.as_uri())
    frame = page.frame_locator("iframe")
    frame.locator("#picture svg").wait_for()
    assert not frame.get_by_role("heading").is_visible()
    height = "() => document.documentElement.offsetHeight"
    page.wait_for_function("(height) => heights.at(-1) === height", arg=page.frames[1].evaluate(height))
    frame.get_by_role("link", name="Sentences").click()
    frame.get_by_role("textbox", name="sentence").wait_for()
    assert page.url == outer.as_uri(), "the other page opens in the frame"
    frame.locator("#picture svg").wait_for()
    page.wait_for_function("(height) => heights.at(-1) === height", arg=page.frames[1].evaluate(height))
    for theme, color in (("dark", "rgb(22, 25, 29)"), ("light", "rgb(255, 255, 255)")):
        page.evaluate("(theme) => frames[0].postMessage({theme}, '*')", theme)
        page.frames[1].wait_for_function(
            "(color) => getComputedStyle(document.body).backgroundColor === color", arg=color
        )
    page.close()


def test_the_page_asks_for_nothing_from_elsewhere(explorer_site, browser):
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(explorer_site.as_uri())
    page.locator("#picture svg").wait_for()
    folder = explorer_site.parent.as_uri()
    page.close()
    assert sorted(url.removeprefix(folder) for url in asked if not url.startswith("data:")) == [
        "/files/attention.js",
        "/index.html",
    ]


def test_names_of_characters_are_stored_in_runs():
    names = character_names()
    assert ["cjk unified ideograph-"] == [prefix for first, _, prefix in names["ranges"] if first == 0x4E00]
    assert len(json.dumps(names)) < 1.3e6
