"""The explorer's page of sentences (`python -m ch08.web`): the same words, answers, weights and pictures as Python's
translation explorer with a beam of 1, and a page for fingers, keys, screen readers and the dark."""

import gzip
import json
import random
import sys
import unicodedata

import numpy as np
import pytest

from ch08.recipes.translation import sentence_tokens
from ch08.translation_explorer import (
    CAPTIONS,
    EXAMPLES,
    LONGEST,
    NAMES,
    NO_GOLD,
    TRANSLATORS,
    examples,
    load_translator,
    translation_explorer,
)
from ch08.web import LESSONS_ON_SENTENCES, NOT_OURS, colab_address, lesson_title
from ch08.web import NO_GOLD as NO_GOLD_ON_PAGE
from ch08.web import TRANSLATORS as SHOWN
from common import svg
from dataset import sentences, words
from tests.browser.conftest import SHOTS, SIZES, flaws, news, serious, walk_with_keys

pytestmark = pytest.mark.timeout(600)
FILE = "sentences.html"
GERMAN, KOREAN = "Der Mann liest einen Brief.", "남자는 배고프지만 정원에서 노래해요."


@pytest.fixture
def open_sentences(open_page):
    """Open the page of sentences."""
    return lambda size=SIZES["desk"], **media: open_page(size, FILE, **media)


def test_sentences_of(pair, count):
    """Sentences of the test set."""
    found = [example.source for example in sentences.load(pair).test]
    return [str(text) for text in np.random.default_rng(0).choice(found, count, replace=False)]


test_sentences_of.__test__ = False

ODD = [
    *("", " ", "   ", "\u00a0", "\u3000", "\ufeff", "\x1c", "\u2028", "\x00", "\x07", "\t", "."),
    *("...", "?!", "…", "-", "/", "_", "__", "'", '"', "“ ”", "„“", "( )", "„Hallo“, sagte er.", '"Hallo", sagte er.'),
    *("E-Mail", "und/oder", "O'Brien's", "don't", "can’t", "3,5 %", "20.000", "½ Ⅳ ² ٣", "a_b", "x²", "3er"),
    *(
        "🙂",
        "Der Mann 🙂 liest.",
        "👩\u200d💻 liest",
        "🇩🇪🇰🇷",
        "❤\ufe0f",
        "\u202eDer Mann",
        "a\u200bb",
        "\ue000",
        "\u0301",
        "e\u0301",
    ),
    *("İstanbul", "ΣΑΣ ΟΔΟΣ", "STRASSE", "Straẞe", "ǅ", "ﬁ", "DŽ", "Über ÜBER", "É"),
    *("<start>", "<end>", "<unk> <pad>", "##wort", "## #x", "<b>Der</b> &amp; Mann", "</script>", "{question}", "\\n"),
    *("constructor", "__proto__ toString", "hasOwnProperty valueOf", "length 0 1", "undefined null NaN"),
    *("Der Mann liest einen Brief", "der mann liest einen brief.", "DER MANN LIEST EINEN BRIEF.", "Der  Mann\tliest ."),
    *("Der Mann\u00a0liest\u2009einen\u3000Brief.", "DerMannliest", "Der,Mann;liest:einen!Brief?", "Mann", "."),
    *(
        KOREAN,
        f"{GERMAN} {KOREAN}",
        "남자",
        "남자는배고프지만",
        "한글이 아름다워요",
        "三月 かな",
        "ＤＥＲ Ｍａｎｎ",
        "ｱｲｳ",
    ),
    *("The robot called the teacher.", "мужчина читает", "الرجل يقرأ", "आदमी पढ़ता है", "ก็"),
    *("Donaudampfschifffahrtsgesellschaftskapitän", 300 * "a", 300 * "가", " ".join(["der"] * LONGEST)),
    *(" ".join(["der"] * (LONGEST + 1)), 200 * "a ", LONGEST * ".", (LONGEST + 1) * ".", 13 * GERMAN),
]
ODD += [
    unicodedata.normalize("NFD", text) for text in (KOREAN, examples("ko-en")[0], "Die Köchin hört Übermut.", "ÜBER")
]


def odd_texts(count):
    """Texts that no lesson has: empty, too long, foreign, invisible, decomposed, nearly right, nonsense."""
    rng = random.Random(0)
    known = [list(load_translator(name).source_vocab.word_to_id)[4:] for name in ("luong", "luong-ko")]
    assigned = [chr(k) for k in range(32, sys.maxunicode) if unicodedata.category(chr(k)) not in ("Cn", "Cs", "Co")]
    texts = list(ODD)
    while len(texts) < count:
        kind = rng.randrange(4)
        if kind == 0:
            texts.append(" ".join(rng.choices(rng.choice(known), k=rng.randint(1, 20))))
        elif kind == 1:
            texts.append("".join(rng.choices(assigned, k=8)) + rng.choice(known[0]))
        else:
            text = list(rng.choice(examples(rng.choice(("de-en", "ko-en")))))
            for _ in range(kind):
                text[rng.randrange(len(text))] = rng.choice("aeß .,?!'“-X가")
            texts.append("".join(text))
    return texts


DECODE = """async ([name, texts]) => {
    await modelOf(name);
    return texts.map((text) => {
        const {answer, confidence, weights} = CHAPTER.decode(models[name], CHAPTER.tokenize(text));
        return [answer, Array.from(confidence), weights.map((row) => Array.from(row))];
    });
}"""


def compare(page, system, texts):
    """Compare a model's greedy answers; return the largest difference of a confidence or a weight."""
    translator, differences = load_translator(system, dtype=np.float64), [0.0]
    for text, (answer, confidence, weights) in zip(texts, page.evaluate(DECODE, [NAMES[system], texts]), strict=True):
        [[best]] = translator.translate([text])
        assert answer == [*best.tokens, *[words.END] * (len(best.probs) - len(best.tokens))], text
        assert np.shape(weights) == best.weights.shape
        differences += [np.abs(confidence - best.probs).max(), np.abs(weights - best.weights).max()]
    return max(differences)


def readable(texts):
    return [text for text in texts if 0 < len(sentence_tokens(text)) <= LONGEST]


@pytest.mark.parametrize("system", SHOWN)
def test_200_sentences_are_translated_as_python_translates_them(open_sentences, system):
    """The weights that are shipped are float16, and both compute with them in float64: the bound needs no slack."""
    pair = TRANSLATORS[system][0]
    assert compare(open_sentences(), system, test_sentences_of(pair, 200)) < 1e-8


@pytest.mark.parametrize("system", SHOWN)
def test_odd_texts_are_translated_as_python_translates_them(open_sentences, system):
    """On these a model is unsure, and a wrong number shows."""
    texts = readable(odd_texts(160))
    assert len(texts) > 100
    assert compare(open_sentences(), system, texts) < 1e-8


def test_the_menu_has_two_models_of_each_language(open_sentences):
    page = open_sentences()
    assert page.locator("#model option").all_inner_texts() == [NAMES[system] for system in SHOWN]
    assert sorted(TRANSLATORS[system][0] for system in SHOWN) == ["de-en", "de-en", "ko-en", "ko-en"]


def test_texts_are_cut_into_words_as_python_cuts_them(open_sentences):
    """Also around every character that both know: words, marks, spaces, capitals, how wide it is, how it is shown."""
    page, texts = open_sentences(), odd_texts(300)
    assert [tokens[1:-1] for tokens in page.evaluate("(texts) => texts.map(CHAPTER.tokenize)", texts)] == [
        sentence_tokens(text) for text in texts
    ]
    points = [*range(0x3000), *range(0x3000, sys.maxunicode + 1, 7)]
    points = [point for point in points if unicodedata.category(chr(point)) not in ("Cn", "Cs")]
    expected = [
        [
            point,
            ["<start>", *sentence_tokens(f"a{chr(point)}b Σ{chr(point)}"), "<end>"],
            svg.breadth(chr(point)),
            svg.escape(chr(point)),
        ]
        for point in points
    ]
    wrong = """(expected) => JSON.parse(expected).filter(([point, tokens, wide, shown]) => {
        const c = String.fromCodePoint(point);
        const same = JSON.stringify(CHAPTER.tokenize(`a${c}b Σ${c}`)) === JSON.stringify(tokens);
        return !(same && breadth(c) === wide && escape(c) === shown);
    })"""
    assert len(points) > 20_000
    assert page.evaluate(wrong, json.dumps(expected)) == []


def test_words_become_a_text_as_in_python(open_sentences):
    rng = random.Random(0)
    parts = [
        "a",
        "the",
        "man",
        "n't",
        "’s",
        "'m",
        "-",
        "/",
        "(",
        ")",
        "[",
        "„",
        "“",
        "”",
        '"',
        "'",
        ".",
        ",",
        "…",
        "%",
        "«",
        "»",
    ]
    rows = [rng.choices(parts, k=rng.randrange(9)) for _ in range(2000)]
    assert open_sentences().evaluate("(rows) => rows.map(detokenize)", rows) == [words.detokenize(row) for row in rows]


PICTURES = """async ([text, state]) => {
    const alone = state.beside === NONE || isApart(state.model, state.beside);
    await Promise.all([modelOf(state.model), ...(alone ? [] : [modelOf(state.beside)])]);
    const tokens = CHAPTER.tokenize(text);
    await Promise.all(CHAPTER.files(tokens, state.model).map(loadFile));
    const problem = CHAPTER.complaint(tokens);
    if (problem) return problem;
    const {first, picture, second, news} = pictures(tokens, state);
    return [describeAttention(first).join(' ') + ' ' + news, picture, ...(second ? [second] : [])];
}"""


def test_it_says_and_draws_what_the_notebooks_explorer_does(open_sentences):
    """The same complaint, or the same words and the same pictures, byte for byte, in any state.

    The page knows only the test sentences among ours, and says so.
    """
    page, rng = open_sentences(), random.Random(1)
    python = translation_explorer(beam=1)
    menu = [NAMES[system] for system in SHOWN]
    texts = [*examples("de-en"), *examples("ko-en"), *test_sentences_of("de-en", 20), *odd_texts(200)]
    pairs = {NAMES[system]: TRANSLATORS[system][0] for system in SHOWN}
    known = {pair: {example.source for example in sentences.load(pair).test} for pair in pairs.values()}
    drawn = 0
    for text in texts:
        state = dict(model=rng.choice(menu), beside=rng.choice(["none", *menu]), gold=rng.random() < 0.5)
        complaint = python._complaint(text, state["model"])
        if complaint:
            assert page.evaluate(PICTURES, [text, state | dict(step=0, column=None, why=False)]) == complaint
            continue
        tokens = python._tokenize(text, state["model"])
        state["step"] = rng.randrange(len(python._read(state["model"], tokens, beam=1)[0]))
        column = rng.choice(["none", rng.randrange(len(tokens))])
        shown = page.evaluate(PICTURES, [text, state | dict(column=None if column == "none" else column, why=False)])
        picture = python.static(text=text, column=column, **state)
        said = picture.text
        if text not in known[pairs[state["model"]]]:
            said = said.replace(CAPTIONS.no_truth, NOT_OURS).replace(NO_GOLD, NO_GOLD_ON_PAGE)
        assert shown == [said, picture.svg, *(other.svg for other in picture.others[:-1])], (text, state)
        drawn += 1
    assert 150 < drawn < len(texts) - 10


def test_of_our_other_sentences_it_says_that_it_does_not_know_them(open_sentences):
    page, text = open_sentences(), sentences.load("de-en").train[0].source
    page.get_by_label("sentence", exact=True).fill(text)
    assert "is not one of our test sentences, so" in news(page, sentence_tokens(text)[1])
    page.get_by_label("show the gold alignment").check()
    assert "our test sentences have no gold alignment for this one" in news(page, "gold")


def test_a_visit_takes_less_than_3_mb(explorer_site):
    """From a disk the page with its first model; compressed, as servers send it, with both German ones."""
    folder = explorer_site.parent
    first = [folder / FILE, *(folder / "files" / f"{name}.js" for name in ("bahdanau", "de-en"))]
    assert sum(file.stat().st_size for file in first) < 2.5e6
    both = [*first, folder / "files" / "luong.js"]
    assert sum(len(gzip.compress(file.read_bytes(), 6)) for file in both) < 3e6
    for name in SHOWN:
        assert (folder / "files" / f"{name}.js").stat().st_size < 2.4e6


def test_a_visitor_types_a_sentence_and_walks_through_its_translation(open_sentences):
    page = open_sentences()
    assert news(page, "the hotel").startswith(
        "“the teacher who tidied up the living room came to the hotel.” is right."
    )
    page.get_by_label("sentence", exact=True).fill(GERMAN)
    news(page, "the man reads a letter.")
    label = page.locator("#picture svg").get_attribute("aria-label")
    assert label.startswith("Model “German, Bahdanau” reads “der mann liest einen brief.” and writes “the man")
    page.locator("#picture [data-press=step-1]").first.click()
    assert "Step 1 writes “man”" in page.locator("#said").inner_text()
    page.locator("#picture [data-press=column-3]").first.click()
    assert "“mann”, word 2, gets most in step 1" in page.locator("#said").inner_text()
    assert page.get_by_role("combobox", name="examples").input_value() == ""
    page.get_by_role("combobox", name="examples").select_option("Ist er hinter dem Baum?")
    assert news(page, "tree") == "“is he behind the tree?” is right."
    page.get_by_label("show the gold alignment").check()
    page.locator("#picture svg[aria-label*='Gold alignment: ']").wait_for()
    page.get_by_role("button", name="another example").click()
    shown = news(page, "woke")
    assert shown.endswith("is right.") or "it should be" in shown
    assert page.get_by_label("sentence", exact=True).input_value() == examples("de-en")[4]
    page.get_by_label("beside it", exact=True).select_option("German, Luong")
    news(page, "beside it, “German, Luong” writes")
    assert page.locator("#second svg").get_attribute("aria-label").startswith("Model “German, Luong” reads")
    page.get_by_label("sentence", exact=True).fill("Der Roboter schläft.")
    assert "Unknown to “German, Bahdanau”: “roboter”." in news(page, "roboter")
    assert page.locator("#question .unknown").all_inner_texts() == ["roboter"]
    page.get_by_label("sentence", exact=True).fill(" ")
    complaint = news(page, "Please check:")
    assert "press “another example”. The picture below still shows “der roboter schläft.”" in complaint
    assert page.get_by_role("checkbox", name="show why").count() == 0, "there is nothing to take apart"


def test_a_model_of_another_language_brings_an_example_in_it(open_sentences):
    page = open_sentences()
    box = page.get_by_label("sentence", exact=True)
    assert box.get_attribute("lang") == "de"
    page.get_by_role("combobox", name="examples").select_option(examples("de-en")[2])
    page.get_by_label("model", exact=True).select_option("Korean, Luong")
    said = news(page, "“Korean, Luong” reads Korean, so an example in Korean stands in the box now.")
    assert "the gardener cried in the park." in said
    assert box.input_value() == examples("ko-en")[2]
    assert box.get_attribute("lang") == "ko"
    assert page.get_by_role("combobox", name="examples").locator("option").all_inner_texts()[1:] == list(
        examples("ko-en")
    )
    assert len(examples("ko-en")) == EXAMPLES + 1
    page.get_by_label("beside it", exact=True).select_option("German, Luong")
    news(page, "“German, Luong” reads German, so it is not shown beside.")
    assert not page.locator("#second").is_visible()
    page.get_by_label("beside it", exact=True).select_option("Korean, Bahdanau")
    news(page, "beside it, “Korean, Bahdanau” writes")
    box.fill("Der Mann liest.")
    news(page, "It knows none of these words; it reads Korean.")
    box.fill(unicodedata.normalize("NFD", KOREAN))
    news(page, "Unknown to “Korean, Luong”")


def test_the_keyboard_is_enough(open_sentences):
    page = open_sentences()
    needed = "text", "example", "another", "model", "beside", "step", "column", "play", "gold", "picture"
    walk_with_keys(page, needed, "Step 1 writes “teacher”")
    page.locator("#another").focus()
    page.keyboard.press("Enter")
    assert "newspaper" in news(page, "newspaper")


def test_the_steps_play_to_the_end_of_a_sentence(open_sentences):
    page = open_sentences()
    page.clock.install()
    page.get_by_role("button", name="play the steps").click()
    page.clock.run_for(2500)
    assert page.locator("#step").input_value() == "3"
    page.clock.run_for(20_000)
    assert page.locator("#step").input_value() == page.locator("#step").get_attribute("max") == "13"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_can_be_read_and_axe_finds_nothing_serious(open_sentences, axe, size, scheme):
    page = open_sentences(SIZES[size], color_scheme=scheme)
    for model, beside, text in (
        ("German, Bahdanau", "none", examples("de-en")[0]),
        ("German, Luong", "German, Bahdanau", "Der Roboter hat die Lehrerin im Krankenhaus angerufen, weil es regnet."),
        ("Korean, Luong", "Korean, Bahdanau", examples("ko-en")[-1]),
    ):
        page.get_by_label("model", exact=True).select_option(model)
        page.get_by_label("beside it", exact=True).select_option(beside)
        page.get_by_label("sentence", exact=True).fill(text)
        page.locator(f"#picture svg[aria-label*='“{words.detokenize(sentence_tokens(text))}”']").wait_for()
        page.wait_for_function("(two) => document.body.classList.contains('two') === two", arg=beside != "none")
        page.get_by_label("show the gold alignment").set_checked(beside == "none")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), model
        shot = f"web-sentences-{size}-{scheme}-{model.split(',')[0].lower()}{'' if beside == 'none' else '-two'}.png"
        page.screenshot(path=SHOTS / shot, full_page=True)
        assert flaws(page) == []
    assert serious(axe, page) == []


def test_the_pages_lead_to_each_other_and_to_the_lessons(open_sentences):
    page = open_sentences()
    here, there = page.get_by_role("link", name="Sentences"), page.get_by_role("link", name="Dates")
    assert here.get_attribute("aria-current") == "page"
    assert there.get_attribute("aria-current") is None
    links = page.locator("footer a")
    assert links.all_inner_texts() == [lesson_title(name) for name in LESSONS_ON_SENTENCES]
    assert [link.get_attribute("href") for link in links.all()] == [colab_address(n) for n in LESSONS_ON_SENTENCES]
    there.click()
    page.get_by_role("textbox", name="date").wait_for()
    page.get_by_role("link", name="Sentences").click()
    page.get_by_role("textbox", name="sentence").wait_for()


def test_it_asks_only_for_what_it_shows(explorer_site, browser):
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(explorer_site.with_name(FILE).as_uri())
    page.locator("#picture svg").wait_for()
    folder = explorer_site.parent.as_uri()
    page.close()
    assert sorted(url.removeprefix(folder) for url in asked if not url.startswith("data:")) == [
        "/files/bahdanau.js",
        "/files/de-en.js",
        "/sentences.html",
    ]
