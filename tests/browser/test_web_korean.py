"""The explorer's pages in Korean (`ko/`): the same code as the English ones, with the words of Python's explorer."""

import random
import re

import numpy as np
import pytest

from ch08 import explorer, translation_explorer, web
from common.language import PARTICLES, say, speaking, with_particles
from dataset import sentences
from tests.browser.conftest import SHOTS, SIZES, flaws, news, serious
from tests.browser.test_web_explorer import PICTURES as DATES
from tests.browser.test_web_explorer import odd_texts, readable
from tests.browser.test_web_sentences import PICTURES as SENTENCES

pytestmark = pytest.mark.timeout(600)
# What stays English: names of models and formats, the models' own texts (in quotation marks elsewhere, or as tokens).
NAMES = {"SVG", "PNG", "English", "exp", "seq2seq", *re.findall(r"\w+", " ".join(explorer.NAMES.values()))}
PIECES = """() => {
    const texts = [document.title, document.querySelector('meta[name=description]').content];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walk.nextNode()); ) {
        const parent = node.parentElement;
        if (!parent.closest('script, style, .token, #examples, #example, [data-press] > text')) texts.push(node.data);
    }
    for (const element of document.querySelectorAll('[aria-label], [title], [placeholder], [alt]'))
        for (const name of ['aria-label', 'title', 'placeholder', 'alt'])
            texts.push(element.getAttribute(name) ?? '');
    return texts;
}"""


@pytest.fixture
def korean():
    """What Python says is Korean."""
    with speaking("ko"):
        yield


def english_on(page, shown):
    """The English words on a page, besides names, what stands in quotation marks, and the texts that are shown."""
    allowed = {word for text in shown for word in re.findall("[A-Za-z]{3,}", text)}
    texts = [re.sub("“[^”]*”", "", text) for text in page.evaluate(PIECES)]
    return sorted({word for text in texts for word in re.findall(r"[A-Za-z]\w{2,}", text)} - NAMES - allowed)


def test_particles_are_those_of_python(open_page):
    """After characters of every kind, alone, after others, and in quotation marks."""
    points = [*range(32, 0x500), *range(0x1100, 0x1200), *range(0x2000, 0x3400), *range(0xAC00, 0xD7B0, 3), 0x1F642]
    texts = [f"{chr(point)}[{PARTICLES[point % len(PARTICLES)]}]" for point in points]
    texts += [
        f"{before}[{choice}]" for before in ("", "7 ", "83 %", "“l”", "(서울)", "x" + 30 * " ") for choice in PARTICLES
    ]
    texts += ["1[은/는] 2[이/가] 3[으로/로] [은는] [a/b]"]
    page = open_page(file="ko/index.html")
    assert page.evaluate("(texts) => texts.map(withParticles)", texts) == [with_particles(text) for text in texts]


def test_dates_are_answered_in_pythons_korean(open_page, korean):
    """The same words and the same pictures, byte for byte; a text that no model reads gets the same complaint."""
    page, python, rng = open_page(file="ko/index.html"), explorer.explorer(), random.Random(2)
    menu, none = list(python.models), "none"
    texts = odd_texts()
    page.evaluate("async () => { await loadFile('names'); }")
    complaints = page.evaluate("(texts) => texts.map((text) => complaint(characters(text)))", texts)
    assert complaints == [python._complaint(text, menu[0]) for text in texts]
    for text in [*explorer.EXAMPLES, *rng.sample(readable(texts), 25)]:
        state = dict(model=rng.choice(menu), beside=rng.choice([none, *menu]), step=rng.randrange(10))
        state |= dict(gold=rng.random() < 0.5, why=rng.random() < 0.5)
        beside = say("none") if state["beside"] == none else state["beside"]
        shown = page.evaluate(DATES, [text, state | dict(beside=beside, column=0)])
        picture = python.static(text=text, column=0, **state)
        assert shown == [picture.text, picture.svg, *(other.svg for other in picture.others)], (text, state)


def test_sentences_are_answered_in_pythons_korean(open_page, korean):
    page, rng = open_page(file="ko/sentences.html"), random.Random(2)
    names = {system: say(translation_explorer.NAMES[system]) for system in web.TRANSLATORS}
    models = {name: translation_explorer.load_translator(s, dtype=np.float64) for s, name in names.items()}
    python = translation_explorer.translation_explorer(models, beam=1)
    test_only = [(say(translation_explorer.NO_GOLD), say(web.NO_GOLD))]
    test_only += [(say(translation_explorer.CAPTIONS.no_truth), say(web.NOT_OURS))]
    known = {example.source for pair in ("de-en", "ko-en") for example in sentences.load(pair).test}
    texts = [*translation_explorer.examples("ko-en"), *translation_explorer.examples("de-en"), "", 41 * "눈 "]
    for text in texts:
        state = dict(model=rng.choice([*models]), beside=rng.choice(["none", *models]), gold=rng.random() < 0.7)
        beside = say("none") if state["beside"] == "none" else state["beside"]
        shown = page.evaluate(SENTENCES, [text, state | dict(beside=beside, step=0, column=None, why=False)])
        complaint = python._complaint(text, state["model"])
        if complaint:
            assert shown == complaint
            continue
        picture = python.static(text=text, step=0, **state)
        said = picture.text
        for ours, theirs in () if text in known and _reads(state["model"], text) else test_only:
            said = said.replace(ours, theirs)
        assert shown == [said, picture.svg, *(other.svg for other in picture.others[:-1])], (text, state)


def _reads(model, text):
    return ("한국어" in model) == bool(re.search("[가-힣]", text))


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_a_visitor_reads_korean_throughout(open_page, axe, size):
    """Every text and every name that a screen reader says; it fits, can be read, and axe finds nothing serious."""
    page = open_page(SIZES[size], "ko/index.html")
    assert news(page, "1994") == "1994-09-27: 맞았어요."
    page.get_by_label("날짜", exact=True).fill("june 31, 1994")
    assert "데이터에 있는 형식의 날짜가 아니에요. 그래서" in news(page, "아니에요")
    page.get_by_label("나란히", exact=True).select_option("peeky")
    for name in ("정답 정렬 보이기", "까닭 보이기"):
        page.get_by_role("checkbox", name=name).check()
    page.locator("#reasons svg").wait_for()
    assert english_on(page, ["june 31, 1994", *explorer.EXAMPLES]) == []
    page.get_by_label("날짜", exact=True).fill("märz")
    assert "문자 1, “ä” (latin small letter a with diaeresis): 모델이 모르는 것이에요." in news(page, "확인해 보세요:")
    assert page.evaluate("document.documentElement.lang") == "ko"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=SHOTS / f"web-korean-{size}.png", full_page=True)
    assert flaws(page) + serious(axe, page) == []
    page.get_by_role("link", name="문장").click()
    assert page.locator("#model").input_value() == "한국어, 바다나우", "the sentences of the reader's language first"
    page.get_by_label("나란히", exact=True).select_option("한국어, 루옹")
    page.get_by_label("문장", exact=True).fill("로봇이 정원에서 노래해요.")
    assert "“한국어, 바다나우” 모델이 모르는 것: “로봇이”." in news(page, "나란히 보는")
    shown = page.evaluate("[question, answerOf(state.model, question).answer, answerOf(state.beside, question).answer]")
    assert english_on(page, [word for tokens in shown for word in tokens]) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=SHOTS / f"web-korean-sentences-{size}.png", full_page=True)
    assert flaws(page) + serious(axe, page) == []
    page.get_by_label("모델", exact=True).select_option("독일어, 루옹")
    news(page, "모델은 독일어를 읽으므로, 이제 칸에 독일어 예문이 있어요.")


def test_a_page_leads_to_itself_in_the_other_language_and_to_the_lessons(open_page):
    page = open_page(file="sentences.html")
    page.get_by_role("link", name="한국어", exact=True).click()
    page.get_by_role("heading", name="번역 탐색기").wait_for()
    links = page.locator("footer a")
    lessons = [f"ko/{name}" for name in web.LESSONS_ON_SENTENCES]
    assert links.all_inner_texts() == [web.lesson_title(name) for name in lessons]
    assert [link.get_attribute("href") for link in links.all()] == [web.colab_address(name) for name in lessons]
    page.get_by_role("link", name="English", exact=True).click()
    page.get_by_role("heading", name="Translation explorer").wait_for()
