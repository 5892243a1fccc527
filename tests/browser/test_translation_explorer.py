"""The explorer of translations in JupyterLab: type umlauts and Hangul, press an answer of the beam."""

import re

import nbformat
import pytest

from tests.browser.test_explorer import Explorer
from tests.notebooks import execute

pytestmark = pytest.mark.timeout(600)  # JupyterLab starts, a page opens, and a notebook runs from top to bottom

SMALL = """\
import sys

sys.path.insert(0, '..')
from ch08.bahdanau_seq2seq import BahdanauSeq2seq
from ch08.recipes.translation import sentence_tokens
from ch08.translation_explorer import translation_explorer
from ch08.translator import Translator
from dataset import sentences, words


def small(pair):
    train, (source, target) = sentences.load(pair).train, pair.split("-")
    source = words.WordVocab.of([sentence_tokens(example.source) for example in train], source)
    target = words.WordVocab.of([sentence_tokens(example.target) for example in train], target)
    model = BahdanauSeq2seq(len(source), len(target), 5, 6, rng=0)
    return Translator(model, source, target, tokenize=sentence_tokens, max_length=5)


explorer = translation_explorer({"Deutsch": small("de-en"), "한국어": small("ko-en")}, model="Deutsch", beam=3)
explorer"""


def test_a_reader_types_umlauts_and_hangul(lab):
    from playwright.sync_api import expect

    v4 = nbformat.v4
    cells = [v4.new_markdown_cell("# Translations"), v4.new_code_cell(SMALL)]
    execute.write(lab.course / "notebooks" / "translations.ipynb", execute.normalise(v4.new_notebook(cells=cells)))
    lab.open("translations")
    lab.run_all()
    explorer = Explorer(lab, "sentence")
    explorer.text.fill("")
    explorer.text.press_sequentially("Die Köchin hört Übermut.")  # key by key, each of which changes the picture
    explorer.says("reads “die köchin hört übermut.”")
    assert "“übermut” (word 4)" in explorer.see()
    assert "Unknown to “Deutsch”: “übermut”" in explorer.message("status")

    table = explorer.box.get_by_role("table", name=re.compile("^Answers of “Deutsch”"))
    assert table.get_by_role("row").count() == 4, "the heads and three answers"
    best = explorer.see()
    table.get_by_role("row").nth(2).click()
    explorer.changed(best)
    expect(table.get_by_role("row").nth(2)).to_have_attribute("aria-current", "true")
    explorer.shot("german")

    explorer.box.get_by_label("model", exact=True).select_option("한국어")
    explorer.says("Model “한국어” reads “")
    assert "reads Korean, so an example in Korean stands in the box now" in explorer.message("status")
    explorer.text.fill("")
    explorer.text.press_sequentially("남자는 정원에서 노래해요.")
    explorer.says("reads “남자는 정원에서 노래해요.”")
    example = explorer.see()
    explorer.box.get_by_role("button", name="another example").click()
    explorer.changed(example)
    explorer.shot("korean")
