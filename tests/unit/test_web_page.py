"""The explorer as a page: what Python writes. What the page does is tested in a browser (tests/browser)."""

import base64
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from ch08 import translation_explorer, web
from ch08.explorer import CAPTIONS, EXAMPLES, PRETRAINED, right_answer
from ch08.web import colab_address, lesson_title, write_explorer
from ch08.web.__main__ import main
from common.language import language, speaking
from common.widgets.phrases import PHRASES, say
from common.widgets.web import FOLDER, WebModel, wide_characters, write_page
from tests.notebooks import address

MODEL = WebModel("small", "small-1", "Small", {"W": np.float16([[1, -2], [0.5, 65504]]), "b": np.float16([1e-7, 3])})


def write(folder, models=(MODEL,), **changes):
    arguments = dict(scripts=[], chapter={}, captions=CAPTIONS, vocabulary="ab", max_length=3, examples=["ab"])
    arguments |= dict(title="Explorer")
    return write_page(folder, models, **arguments | dict(lessons=[("A & B", "b.html")]) | changes)


def test_a_page_is_whole(tmp_path):
    text = write(tmp_path / "new" / "folder").read_text(encoding="utf-8")
    assert re.findall(r"\{\{\w+\}\}", text) == []
    assert '<a href="b.html" target="_top">A &amp; B</a>' in text
    page = json.loads(re.search(r"const PAGE = (.*);", text)[1])
    assert page["models"] == [{"name": "small", "file": "small-1"}]
    assert page["state"]["model"] == "small"
    assert page["phrases"] == PHRASES
    for script in FOLDER.glob("*.js"):
        assert script.read_text(encoding="utf-8") in text, "the page runs what the folder holds, as it is"


def test_weights_are_float16_numbers_one_array_after_the_other(tmp_path):
    write(tmp_path)
    text = (tmp_path / "files" / "small-1.js").read_text(encoding="utf-8")
    content = json.loads(re.fullmatch(r'receive\("small-1", (.*)\);\n', text)[1])
    assert content["kind"] == "Small"
    assert content["arrays"] == [["W", 2, 2], ["b", 1, 2]]
    low_and_high = np.frombuffer(base64.b64decode(content["data"]), np.uint8).reshape(2, -1)
    numbers = np.ascontiguousarray(low_and_high.T).view("<f2").ravel()
    np.testing.assert_array_equal(numbers, [*MODEL.arrays["W"].ravel(), *MODEL.arrays["b"]])


def test_what_is_typed_into_captions_and_examples_cannot_end_a_script(tmp_path):
    evil = "</script><script>alert(1)</script>"
    text = write(tmp_path, examples=[evil], note=evil, captions=replace(CAPTIONS, label=evil)).read_text("utf-8")
    assert evil not in text


@pytest.mark.parametrize("array", [np.zeros((2, 2), np.float32), np.zeros((1, 2, 2), np.float16)])
def test_other_arrays_are_refused(tmp_path, array):
    with pytest.raises(ValueError, match=r"W of “small” must be float16 with one or two axes, got float"):
        write(tmp_path, [replace(MODEL, arrays={"W": array})])


def test_captions_with_a_function_leave_it_to_the_chapters_script(tmp_path):
    for write_tokens, said in ((None, "false"), ("".join, "true")):
        text = write(tmp_path, captions=replace(CAPTIONS, write=write_tokens)).read_text(encoding="utf-8")
        assert f'"write":{said}' in text


def test_pages_of_one_folder_lead_to_each_other(tmp_path):
    alone = write(tmp_path).read_text(encoding="utf-8")
    assert "<nav" not in alone
    pages = [("A & B", "index.html"), ("Other", "other.html")]
    path = write(tmp_path, file="other.html", pages=pages, sentences=True, data={"more": [1, "ß"]})
    assert path == tmp_path / "other.html"
    text = path.read_text(encoding="utf-8")
    assert '<a href="index.html">A &amp; B</a><a href="other.html" aria-current="page">Other</a>' in text
    assert (tmp_path / "files" / "more.js").read_text(encoding="utf-8") == 'receive("more", [1,"ß"]);\n'


def test_a_model_can_bring_its_words(tmp_path):
    write(tmp_path, [replace(MODEL, more={"source": ["ein", "</script>"]})])
    text = (tmp_path / "files" / "small-1.js").read_text(encoding="utf-8")
    assert text.endswith('"source":["ein","\\u003c/script>"]});\n')


def test_wide_characters_are_those_that_pictures_give_two_letters():
    wide = {point for first, last in wide_characters() for point in range(first, last + 1)}
    assert {ord(char) for char in "가漢かＡ🙂"} <= wide
    assert not {ord(char) for char in "aß½…“א"} & wide
    assert len(wide_characters()) < 200


def test_every_phrase_is_said_somewhere():
    """In Python, in the page's script, or as a label of its HTML."""
    sources = [*FOLDER.parent.glob("*.py"), *FOLDER.glob("*.*")]
    text = "".join(path.read_text(encoding="utf-8") for path in sources if path.name != "phrases.py")
    used = set(re.findall(r"[\"'{](\w+)[\"'}]", text))
    assert PHRASES.keys() - used == set()
    assert say("step_writes", step=1, token="a", sure="5 %") == "Step 1 writes “a”, 5 % sure."


def test_the_explorer_needs_weights(tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match=r"has no weights\. To train a model: python -m ch08\.train"):
        write_explorer(tmp_path / "out", weights=tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_model_without_javascript_is_refused(tmp_path, monkeypatch):
    assert {"Seq2seq", "AttentionSeq2seq", "DeepAttentionSeq2seq"} < set(web.known_kinds())
    monkeypatch.setattr(web, "known_kinds", lambda: ["AttentionSeq2seq"])
    with pytest.raises(ValueError, match=r"models\.js has no Seq2seq, which seq2seq needs"):
        write_explorer(tmp_path)


def test_the_command_says_what_it_wrote(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "page")]) == 0
    assert re.fullmatch(r"wrote .*index\.html and 21 files beside it, \d+\.\d MB\n", capsys.readouterr().out)


def test_without_weights_of_translators_there_is_no_page_of_sentences(tmp_path):
    shutil.copytree(PRETRAINED / "attention", tmp_path / "weights" / "attention")
    text = write_explorer(tmp_path / "page", weights=tmp_path / "weights").read_text(encoding="utf-8")
    assert "<nav" not in text
    assert [path.name for path in (tmp_path / "page").rglob("*.html")] == ["index.html"] * 2
    names = {path.stem for path in (tmp_path / "page" / "files").iterdir()}
    assert names == {"attention", "names"}


def test_the_page_of_sentences_says_what_it_does_not_know(tmp_path):
    """The notebook speaks of our sentences, the page, in the same words, of the test sentences."""
    assert web.NOT_OURS.replace("our test", "our") == translation_explorer.CAPTIONS.no_truth
    assert web.NO_GOLD.replace("our test", "our") == translation_explorer.NO_GOLD
    assert set(web.TRANSLATORS) <= set(translation_explorer.available())


# --- in Korean ------------------------------------------------------------------------------------


def test_a_page_is_in_the_chosen_language(tmp_path):
    address = [("en", "English", "../index.html"), ("ko", "한국어", "")]
    with speaking("ko"):
        text = write(tmp_path / "ko", languages=address, files="../files").read_text(encoding="utf-8")
    assert not (tmp_path / "files").exists(), "the English page writes them"
    assert '<html lang="ko">' in text
    assert '<a lang="en" hreflang="en" href="../index.html">English</a><span lang="ko" aria-current="true">' in text
    page = json.loads(re.search(r"const PAGE = (.*);", text)[1])
    assert page["files"] == "../files"
    assert page["captions"]["token"] == "문자"
    assert page["state"]["beside"] == page["phrases"]["label_none"] == "없음"
    assert page["phrases"].keys() == PHRASES.keys()
    only_signs = {"unknown_place", "place", "token", "token_name", "and"}
    assert {name for name, said in page["phrases"].items() if not re.search("[가-힣]", said)} == only_signs


def test_pages_in_all_languages_load_the_same_weights(tmp_path):
    shutil.copytree(PRETRAINED / "attention", tmp_path / "weights" / "attention")
    shutil.copytree(PRETRAINED / "luong-ko", tmp_path / "weights" / "luong-ko")
    write_explorer(tmp_path / "page", lambda up, name: f"{up}{name}", tmp_path / "weights")
    assert {path.name for path in (tmp_path / "page" / "ko").iterdir()} == {"index.html", "sentences.html"}
    names = {path.stem for path in (tmp_path / "page" / "files").iterdir()}
    assert names == {"attention", "names", "luong-ko", "ko-en"}
    text = (tmp_path / "page" / "ko" / "index.html").read_text(encoding="utf-8")
    assert '<a href="../ko/ch08_07_seeing_attention" target="_top">8.7 어텐션 들여다보기</a>' in text
    assert language() == "en"


def test_lessons_have_their_titles_and_their_badges_address():
    assert lesson_title("ch08_07_seeing_attention") == "8.7 Seeing attention"
    badge = address.badge(address.NOTEBOOKS / "ch08_07_seeing_attention.ipynb")
    assert f"({colab_address('ch08_07_seeing_attention')})" in badge


def test_examples_have_right_answers():
    assert {right_answer(text)[:2] for text in EXAMPLES} <= {"19", "20"}
    assert right_answer("27/9/05") == "2005-09-27", "a two-digit year keeps its zero"
