"""The explorer of translations: what is typed, what a beam finds, what is marked, and what is said about it."""

import html
import re
import shutil
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest

import ch08.translation_explorer as module
from ch08.bahdanau_seq2seq import BahdanauSeq2seq
from ch08.gnmt import GNMT
from ch08.luong_seq2seq import LuongSeq2seq
from ch08.recipes import SYSTEMS
from ch08.recipes.translation import sentence_tokens
from ch08.translation_explorer import NAMES, TRANSLATORS, examples, load_translator, translation_explorer
from ch08.translator import Translator, joined
from ch08.word_seq2seq import WordSeq2seq
from common.widgets import render_attention
from common.widgets.attention import RISING
from common.widgets.base import OLD, quoted
from dataset import sentences, words

SVG = "{http://www.w3.org/2000/svg}"
CLASSES = {
    "plain-words": WordSeq2seq,
    "luong": LuongSeq2seq,
    "bahdanau": BahdanauSeq2seq,
    "gnmt": GNMT,
    "bahdanau-ko": BahdanauSeq2seq,
}
GERMAN = "Das Mädchen schläft."
KOREAN = "남자는 배고프지만 정원에서 노래해요."


def vocabularies(pair):
    train = sentences.load(pair).train
    source, target = pair.split("-")
    return (
        words.WordVocab.of([sentence_tokens(example.source) for example in train], source),
        words.WordVocab.of([sentence_tokens(example.target) for example in train], target),
    )


@pytest.fixture(scope="module")
def both():
    return {pair: vocabularies(pair) for pair in ("de-en", "ko-en")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, both):
    """A folder with small models of both languages, with and without attention."""
    path = tmp_path_factory.mktemp("pretrained")
    for name, model_class in CLASSES.items():
        source, target = both[TRANSLATORS[name][0]]
        task = SimpleNamespace(source_vocab=source, target_vocab=target)
        model = SYSTEMS[name].model(task, rng=0, wordvec_size=5, hidden_size=6)
        assert isinstance(model, model_class)
        model.vocab = joined(source, target)
        model.save_params(path / name / "weights.npz", dtype="float16")
    return path


def right_model(pair, example, both):
    """A translator that writes the right translation of one sentence, and as second choice one with an unknown word."""
    source, target = both[pair]
    ids = [*target.encode(sentence_tokens(example.target), marks=False), words.END_ID]

    def start(xs):
        return np.zeros((len(xs), 1), int), xs

    def step(written, state):
        t, xs = state
        logits = np.full((len(xs), len(target)), -20.0)
        logits[np.arange(len(xs)), [ids[min(k, len(ids) - 1)] for k in t[:, 0]]] = 0
        logits[:, words.UNKNOWN_ID] = -3
        weights = np.full(xs.shape, 1 / xs.shape[1])
        return logits, (t + 1, xs), weights

    model = SimpleNamespace(start=start, step=step, params=[], grads=[])
    return Translator(model, source, target, tokenize=sentence_tokens, max_length=len(ids))


@pytest.fixture
def explorer(folder):
    return translation_explorer(folder=folder, beam=3)


def said(explorer):
    return html.unescape(re.sub("<[^>]*>", "", explorer.message.value))


def texts(svg):
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]


# --- loading ---


def test_the_table_names_systems_and_their_languages():
    assert TRANSLATORS.keys() <= SYSTEMS.keys()
    for name, (pair, label) in TRANSLATORS.items():
        assert name in module.PHOTOGRAPHS or SYSTEMS[name].task.args[0] == pair
        assert label.startswith(module.LANGUAGES[pair[:2]])


def test_load_translator_reads_sizes_and_vocabularies_from_the_file(folder, both):
    for name in CLASSES:
        translator = load_translator(name, folder, np.float64)
        assert translator.source_vocab.language == TRANSLATORS[name][0][:2]
        assert translator.target_vocab.language == "en"
        assert list(translator.source_vocab.char_to_id) == list(both[TRANSLATORS[name][0]][0].char_to_id)
        assert {p.dtype for p in translator.model.params} == {np.dtype(np.float64)}
        [[answer]] = translator.translate([GERMAN])
        assert len(answer.probs) > 0


def test_load_translator_says_what_is_wrong(tmp_path, both):
    with pytest.raises(KeyError, match="no translator 'nobody'; there are plain-words"):
        load_translator("nobody", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"python -m ch08.train luong; then load_translator\('luong'"):
        load_translator("luong", tmp_path)
    path = tmp_path / "bahdanau" / "weights.npz"
    path.parent.mkdir()
    np.savez(path, a=np.ones(2))
    with pytest.raises(ValueError, match="does not hold bahdanau: its arrays are a"):
        load_translator("bahdanau", tmp_path)
    model = BahdanauSeq2seq(9, 8, 3, 4, rng=0)
    model.save_params(path)
    with pytest.raises(ValueError, match="holds no vocabulary"):
        load_translator("bahdanau", tmp_path)
    model.vocab = list("abcdefghi")
    model.save_params(path)
    with pytest.raises(ValueError, match="not that of two languages"):
        load_translator("bahdanau", tmp_path)
    source, target = both["de-en"]
    other = LuongSeq2seq(len(source), len(target), 3, 4, rng=0)
    other.vocab = joined(source, target)
    other.save_params(path)
    with pytest.raises(ValueError, match="does not fit this BahdanauSeq2seq"):
        load_translator("bahdanau", tmp_path)
    with pytest.raises(FileNotFoundError, match="has no weights"):
        translation_explorer(folder=tmp_path / "nothing")


# --- typing ---


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        (GERMAN, []),
        ("DAS MÄDCHEN SCHLÄFT.", []),
        ("Der Roboter schläft.", ["roboter"]),
        ("<b>Das</b> Mädchen & „Paul“ \"'", ["<", "b", ">", "<", "/", "b", ">", "&", "„", "“", '"', "'"]),
        ("Das Mädchen 😀 schläft.", ["😀"]),
        ("x" * 500, ["x" * 500]),
        (KOREAN, ["남자는", "배고프지만", "정원에서", "노래해요"]),
    ],
)
def test_whatever_is_typed_is_read_and_what_is_unknown_is_marked(explorer, text, unknown):
    e = explorer
    e.text.value = text
    assert e.complaint is None
    assert [e.question_tokens[i] for i in e._unknown(e.model.value, e.question_tokens)] == unknown
    label = ET.fromstring(e.picture.value).get("aria-label")
    assert ("Unknown to it: " in label) == bool(unknown)
    assert e.picture.value.count('stroke-dasharray="2 2"') == (len(unknown) + 1 if unknown else 0), "and the legend"
    for token in unknown:
        assert f"“{token}”" in said(e)
    assert "<b>Das" not in e.picture.value + e.message.value + e.table.value
    assert ("it reads German" in said(e)) == (text in (KOREAN, "x" * 500))


def test_nothing_and_too_much_are_refused_and_the_last_picture_stays(explorer):
    e = explorer
    e.text.value = GERMAN
    before = e.picture.value
    for text, complaint in (("", "nothing to read yet"), (" \t ", "nothing"), ("das " * 41, "too long: 41 words")):
        e.text.value = text
        assert complaint in said(e)
        assert "still shows “das mädchen schläft.”" in said(e)
        assert e.picture.value == before
        assert OLD in e.table._dom_classes
    e.beam.value = 2
    assert len(e.alternatives) == 2, "the controls continue to work on the last good text"
    e.text.value = " ".join(["das"] * 40)
    assert e.complaint is None
    with pytest.raises(ValueError, match="cannot draw"):
        e.static(text="")


def test_marks_are_shown_and_left_out_of_running_text(explorer):
    e = explorer
    e.text.value = GERMAN
    assert e.question_tokens == ["<start>", "das", "mädchen", "schläft", ".", "<end>"]
    assert e.question == "das mädchen schläft."
    assert e.weights.shape == (len(e.answer_tokens), 6)
    np.testing.assert_allclose(e.weights.sum(axis=1), 1)
    sizes = {t.text: t.get("font-size") for t in ET.fromstring(e.picture.value).iter(f"{SVG}text")}
    assert (sizes["<start>"], sizes["das"]) == ("11", "15")


# --- alternatives ---


def test_choosing_an_alternative_shows_its_heatmap(explorer):
    e = explorer
    e.text.value = GERMAN
    scores = [found.score for found in e.alternatives]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert e.table.value.count("<tr data-press=") == 3
    assert e.table.value.count('scope="col"') == 4
    assert "<caption" in e.table.value
    e.alternative.value = 1
    assert e.answer_tokens == e.alternatives[1].tokens
    np.testing.assert_array_equal(e.weights, e.alternatives[1].weights)
    assert re.search(r'data-press="alternative-1"[^>]*aria-current', e.table.value)
    assert e.static(alternative=1, text=GERMAN).svg == e.picture.value
    e.beam.value = 2
    assert (e.alternative.value, len(e.alternatives)) == (0, 2)
    e.alternative.value = 1
    e.text.value = "Der Mann schläft."
    assert e.alternative.value == 0, "a new text begins with its best answer"
    e.beam.value = 1
    assert len(e.alternatives) == 1


@pytest.mark.parametrize("wrong", [dict(beam=0), dict(beam=9), dict(beam=2, alternative=2)])
def test_a_beam_that_cannot_be(folder, wrong):
    with pytest.raises(ValueError, match="beam must be 1 to 8"):
        translation_explorer(folder=folder, **wrong)


# --- examples, languages, models side by side ---


def test_examples_walk_and_end_with_an_unknown_word(explorer, both):
    e = explorer
    shown = examples("de-en")
    assert e.text.value == shown[0]
    for text in (*shown[1:], shown[0]):
        e.example.click()
        assert e.text.value == text
    e.text.value = GERMAN
    e.example.click()
    assert e.text.value == shown[0]
    for pair, (source, _) in both.items():
        known = [all(t in source.word_to_id for t in sentence_tokens(text)) for text in examples(pair)]
        assert known == [True] * module.EXAMPLES + [False]


def test_a_model_of_the_other_language_gets_the_same_example(explorer):
    e = explorer
    e.example.click()
    e.model.value = NAMES["bahdanau-ko"]
    assert e.text.value == examples("ko-en")[1]
    assert "reads Korean, so an example in Korean stands in the box now" in said(e)
    assert e.complaint is None
    e.text.value = KOREAN
    assert "stands in the box now" not in said(e)
    assert e.question == KOREAN
    assert {"남자는", "노래해요"} <= set(texts(e.picture.value))
    e.beside.value = NAMES["luong"]
    assert "“German, Luong” reads German, so it is not shown beside." in said(e)
    assert e.second.layout.display == "none"
    e.model.value = NAMES["bahdanau"]
    assert e.text.value == examples("de-en")[0]
    assert "Model “German, Luong”" in e.second.value
    text = e.text.value
    e.model.value = NAMES["plain-words"]
    assert e.text.value == text, "a model of the same language gets the same text"
    assert "no attention" in e.picture.value


def test_the_menu_holds_what_is_there_and_the_rest_is_named(folder):
    e = translation_explorer(folder=folder, model="luong", beside="bahdanau")
    assert e.model.options == tuple(NAMES[name] for name in TRANSLATORS if name in CLASSES)
    assert (e.model.value, e.beside.value) == (NAMES["luong"], NAMES["bahdanau"])
    note = html.unescape(e.notes[0].value)
    assert "not in the menu: plain-words-unsmoothed, bahdanau-guided, transformer, plain-words-ko, luong-ko" in note
    with pytest.raises(ValueError, match="SentenceExplorer has no model 'nobody'"):
        translation_explorer(folder=folder, model="nobody")


def test_a_model_of_photographs_reads_subwords_and_has_examples_of_its_own(tmp_path, folder):
    letters = [prefix + letter for letter in "abdeilmnrstuwz." for prefix in ("", "##")]
    vocabs = [words.WordVocab([*letters, "hund", "##meister"], language) for language in ("de", "en")]
    task = SimpleNamespace(source_vocab=vocabs[0], target_vocab=vocabs[1])
    model = SYSTEMS["multi30k-luong"].model(task, rng=0, wordvec_size=4, hidden_size=6)
    model.vocab = joined(*vocabs)
    model.save_params(tmp_path / "multi30k-luong" / "weights.npz", dtype="float16")
    for name in ("bahdanau", "luong"):
        shutil.copytree(folder / name, tmp_path / name)
    translator = load_translator("multi30k-luong", tmp_path)
    assert translator.tokenize("Hundmeister.") == ["hund", "##meister", "."]
    assert translator.join(["hund", "##meister"]) == ["hundmeister"]
    e = translation_explorer(folder=tmp_path, model="multi30k-luong", beside="luong", text="Hundmeister!", beam=2)
    for token in ("hund", "##meister", "!"):
        assert f">{token}<" in e.picture.value
    assert "so it is not shown beside" in said(e)
    assert "is not one of our sentences" in said(e)
    e.example.click()
    assert e.text.value == module.CAPTIONS_OF_PHOTOGRAPHS[0]
    e.model.value = NAMES["bahdanau"]
    e.example.click()
    assert e.text.value in examples("de-en")


# --- what is right ---


@pytest.mark.parametrize("pair", ["de-en", "ko-en"])
def test_one_of_our_sentences_is_judged_and_has_a_gold_alignment(pair, both):
    example = sentences.load(pair).test[4]
    e = translation_explorer({"m": right_model(pair, example, both)}, text=example.source, gold=True, beam=2)
    assert f"“{example.target.lower()}” is right." in said(e)
    assert 'stroke-dasharray="6 3"' in e.picture.value
    mask, _ = e._gold("m", e.question_tokens, e.answer_tokens, e.weights)
    assert {(t, s - 1) for t, s in np.argwhere(mask)} == set(example.links)
    assert "<b>(right)</b>" in e.table.value
    e.alternative.value = 1
    assert f"is wrong: it should be “{example.target.lower()}”" in said(e)
    assert "<unk>" in e.answer, "an unknown word is a part of the answer"
    assert "the gold alignment belongs to the right translation" in said(e)
    e.text.value = "Hallo." if pair == "de-en" else "안녕."
    assert "is not one of our sentences" in said(e)
    assert "no gold alignment for this one" in said(e)


# --- pictures ---


def test_a_still_picture_is_the_same_each_time_and_has_the_table(folder):
    first, second = (translation_explorer(folder=folder, text=GERMAN).static() for _ in range(2))
    assert first._repr_html_() == second._repr_html_()
    assert "<table" in first._repr_html_()
    assert "Answers of “German, Bahdanau”, the best first: 1. “" in repr(first)


def test_labels_rise_where_columns_would_be_too_wide():
    question = ["der", *["Kirschkuchen"] * 19, "<end>"]
    answer = [f"word{k}" for k in range(21)]
    weights = np.eye(21)
    svg = render_attention(question, answer, np.ones(21), weights)
    width = float(ET.fromstring(svg).get("width"))
    assert svg.count("rotate(-45") == 21
    assert width < 2 * 21 * RISING, "long sentences stay readable"
    for text in ET.fromstring(svg).iter(f"{SVG}text"):
        if text.get("transform"):
            assert float(text.get("x")) + 0.7 * 9 * len(text.text) <= width
    assert "rotate" not in render_attention(question[:3], answer[:3], np.ones(3), np.eye(3))


def test_a_quoted_sentence_keeps_its_own_period():
    assert [quoted(text) for text in ("Er geht.", "Er geht", "Geht er?")] == ["“Er geht.”", "“Er geht”.", "“Geht er?”"]
