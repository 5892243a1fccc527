"""The explorer of heads: what is drawn, which word is lit, what it says; a Transformer's weights are its own."""

import html
import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest

from ch08.bahdanau_seq2seq import BahdanauSeq2seq
from ch08.recipes import SYSTEMS
from ch08.recipes.translation import sentence_tokens
from ch08.transformer import Transformer
from ch08.translation_explorer import examples, heads_explorer, read_heads
from ch08.translator import Translator, joined
from common.base_model import named_params
from common.svg import shade
from common.widgets import Captions, HeadsExplorer, HeadWeights, Reading, render_head, render_head_grid
from common.widgets.base import HOVER, LIVE, OLD, SCRIPT, UNSEEN
from common.widgets.heads import HIDDEN, KINDS, MEAN, spread
from dataset import sentences, words

SVG = "{http://www.w3.org/2000/svg}"
L, M = 2, 3
CAPTIONS = Captions(token="word", separator=" ", marks=frozenset({"<start>", "<end>"}))
GERMAN = "Das Mädchen schläft."


def softmaxed(rng, *shape, causal=False):
    scores = 2 * rng.standard_normal(shape)
    if causal:
        scores = np.where(np.tri(*shape[-2:], dtype=bool), scores, -np.inf)
    weights = np.exp(scores)
    return weights / weights.sum(axis=-1, keepdims=True)


def read(tokens):
    """Heads that need no model: random, except for two. Head 0 of layer 0 of each kind looks at the word itself."""
    if "crash" in tokens:
        raise ValueError("This model fears crashes.")
    rng = np.random.default_rng(len(tokens))
    written = [*(token.upper() for token in tokens[1:-1]), "<end>"]
    read_before = ["<start>", *written[:-1]]
    T, U = len(tokens), len(written)
    kinds = {
        "encoder": HeadWeights(softmaxed(rng, L, M, T, T), tokens, tokens),
        "decoder": HeadWeights(softmaxed(rng, L, M, U, U, causal=True), written, read_before),
        "cross": HeadWeights(softmaxed(rng, L, M, U, T), written, tokens),
    }
    for found in kinds.values():
        found.weights[0, 0] = np.eye(*found.weights.shape[2:])
    kinds["encoder"].weights[1, 2] = 1 / T
    return written, kinds


def tokenize(text):
    return ["<start>", *text.split(), "<end>"]


def truth(tokens):
    if "b" not in tokens:
        raise ValueError("unknown")
    return "A B C"


READING = Reading("letters", tokenize, examples=("a b c", "d e b b"), max_length=5, truth=truth)


def make(**options):
    return HeadsExplorer(
        read, reading=READING, captions=CAPTIONS, unknown=lambda t: [i for i, x in enumerate(t) if x == "x"], **options
    )


@pytest.fixture
def explorer():
    return make()


def said(explorer):
    return html.unescape(re.sub("<[^>]*>", "", explorer.message.value))


def label(svg):
    return ET.fromstring(svg).get("aria-label")


def presses(svg):
    return [part.get("data-press") for part in ET.fromstring(svg).iter(f"{SVG}g") if part.get("data-press")]


def texts(svg):
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]


# --- pictures ---


def test_the_grid_has_a_heatmap_for_every_head_and_for_the_mean_of_every_layer():
    _, kinds = read(tokenize("a b c"))
    svg = render_head_grid("encoder", kinds["encoder"], 1, 2, CAPTIONS)
    assert presses(svg) == [f"layer-{k} head-{j}" for k in range(L) for j in range(M + 1)]
    assert "Enlarged: layer 1, head 2." in label(svg)
    assert "Most focused: layer 0, head 0 (as equal weights on 1.0 words)." in label(svg)
    assert "Least focused: layer 1, head 2 (as equal weights on 5.0 words)." in label(svg)
    bold = [text.text for text in ET.fromstring(svg).iter(f"{SVG}text") if text.get("font-weight") == "bold"]
    assert bold == ["Encoder, self-attention", "head 2", "layer 1"], "which one is framed shows without color, too"


def test_small_heatmaps_show_the_weights_to_a_twentieth():
    _, kinds = read(tokenize("a b c"))
    found = kinds["cross"]
    root = ET.fromstring(render_head_grid("cross", found, 0, 0))
    small = [part for part in root.iter(f"{SVG}g") if part.get("shape-rendering")]
    assert len(small) == L * (M + 1)
    for place, part in enumerate(small):
        layer, head = divmod(place, M + 1)
        shades = np.full(found.weights.shape[2:], shade(0))
        for path in part:
            for i, k in re.findall(r"M(\d+) (\d+)h1v1h-1z", path.get("d")):
                shades[int(k), int(i)] = path.get("fill")
        weights = found.of(layer, MEAN if head == M else head)
        np.testing.assert_array_equal(shades, np.vectorize(lambda w: shade(int(20 * w + 0.5) / 20))(weights))


def test_the_spread_of_weights_is_a_perplexity():
    np.testing.assert_allclose(spread(np.array([[0.25] * 4, [0.5, 0.5, 0, 0]])), np.sqrt(4 * 2))
    np.testing.assert_allclose(spread(np.eye(3)[None]), [1])


@pytest.mark.parametrize(
    ("kind", "lit", "sentence"),
    [
        ("encoder", dict(row=2), "“b” (word 2) looks most at “b” (word 2, 100 %)."),
        ("encoder", dict(column=3), "“c” (word 3) is looked at most by “c” (word 3, 100 %)."),
        ("decoder", dict(row=1), "Step 1, which writes “B”, looks most at “A” (word 1, 100 %)."),
        (
            "decoder",
            dict(column=0),
            "“<start>” (word 0) is looked at most by the step that writes “A” (step 0, 100 %).",
        ),
        ("cross", dict(row=3), "Step 3, which writes “<end>”, looks most at “c” (word 3, 100 %)."),
        ("cross", dict(column=1), "“a” (word 1) is looked at most by the step that writes “B” (step 1, 100 %)."),
    ],
)
def test_the_lit_word_and_what_goes_with_it_is_said(kind, lit, sentence):
    _, kinds = read(tokenize("a b c"))
    svg = render_head(kind, kinds[kind], 0, 0, captions=CAPTIONS, **lit)
    assert sentence in label(svg)
    assert KINDS[kind][0] in label(svg)
    assert "".join(texts(svg)).count("▶▼"[list(lit) == ["column"]]) == 1
    assert svg.count(f'fill="{HIDDEN}"') == (4 if kind == "decoder" else 0), "three rows and the legend"


def test_a_lit_row_paints_the_columns_and_a_lit_column_the_rows_with_numbers():
    _, kinds = read(tokenize("a b c"))
    found = kinds["cross"]
    for lit, weights in ((dict(row=2), found.weights[1, 1, 2]), (dict(column=2), found.weights[1, 1, :, 2])):
        ((name, _),) = lit.items()
        svg = render_head("cross", found, 1, 1, captions=CAPTIONS, **lit)
        other = {"row": "column", "column": "row"}[name]
        for place, w in enumerate(weights):
            (part, *_) = [p for p in ET.fromstring(svg).iter(f"{SVG}g") if p.get("data-press") == f"{other}-{place}"]
            assert shade(w) in {rect.get("fill") for rect in part.iter(f"{SVG}rect")}
            numbers = [t.text for t in part.iter(f"{SVG}text")]
            assert (f"{100 * w:.0f}" + (" %" if other == "row" else "") in numbers) == (w >= 0.005)


def test_the_geometry_does_not_depend_on_what_is_lit():
    """Otherwise the words would move away under the pointer that rests on them."""
    _, kinds = read(tokenize("a b c"))
    places = set()
    for lit in (dict(row=0), dict(row=3), dict(column=4)):
        root = ET.fromstring(render_head("cross", kinds["cross"], 0, 1, captions=CAPTIONS, **lit))
        parts = [part for part in root.iter(f"{SVG}g") if part.get("data-press")]
        places.add(tuple((part.get("data-press"), part[0].get("x"), part[0].get("y")) for part in parts))
    assert len(places) == 1


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (dict(kind="sideways"), "kinds of attention are encoder, decoder, cross, got 'sideways'"),
        (dict(layer=2), "layer must be 0 to 1, got 2"),
        (dict(layer=-1), "layer must be 0 to 1, got -1"),
        (dict(head=3), "head 0 to 2 or 'mean', got 3"),
        (dict(row=5), "row must be 0 to 4, or None, got 5"),
        (dict(column=-1), "column must be 0 to 4, or None, got -1"),
        (dict(row=1, column=1), "either a row or a column is lit, got row 1 and column 1"),
        (dict(found=HeadWeights(np.ones((1, 1, 2, 2)), "ab", "abc")), r"must be \(L, M, 2, 3\).* got \(1, 1, 2, 2\)"),
        (dict(found=HeadWeights(np.ones((2, 3)), "ab", "abc")), r"must be \(L, M, 2, 3\).* got \(2, 3\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong, complaint):
    _, kinds = read(tokenize("a b c"))
    good = dict(kind="encoder", found=kinds["encoder"], layer=0, head=0)
    with pytest.raises(ValueError, match=complaint):
        render_head(**good | wrong)


def test_forty_words_stay_readable():
    _, kinds = read(["<start>", *["Kirschkuchen"] * 40, "<end>"])
    for svg in (
        render_head("encoder", kinds["encoder"], 0, 0, row=0, captions=CAPTIONS),
        render_head_grid("encoder", kinds["encoder"], 0, 0),
    ):
        root = ET.fromstring(svg)
        assert float(root.get("width")) < 1400
        assert float(root.get("height")) < 1300
    assert len(svg) < 200_000


# --- controls ---


def test_the_first_state_lights_the_first_word(explorer):
    e = explorer
    assert (e.text.value, e.kind.value, e.layer.value, e.head.value) == ("a b c", "encoder", 0, 0)
    assert (e.row.value, e.column.value) == (1, None)
    assert (e.question, e.answer) == ("a b c", "A B C")
    assert e.question_tokens == ["<start>", "a", "b", "c", "<end>"]
    assert e.answer_tokens == ["A", "B", "C", "<end>"]
    assert said(e) == "“A B C” is right."
    assert e.row.tooltips[2] == "what word 2 looks at"
    assert [name for name, _ in e.head.options] == ["0", "1", "2", "mean of all"]
    np.testing.assert_array_equal(e.weights, e.kinds["encoder"].weights[0, 0])


def test_every_control_changes_what_is_shown(explorer):
    e = explorer
    e.layer.value = 1
    assert "Enlarged: layer 1, head 0" in label(e.picture.value)
    e.head.value = 2
    np.testing.assert_array_equal(e.weights, e.kinds["encoder"].weights[1, 2])
    e.head.value = MEAN
    np.testing.assert_allclose(e.weights, e.kinds["encoder"].weights[1].mean(axis=0))
    assert "layer 1, mean of 3 heads" in label(e.enlarged.value)
    e.kind.value = "cross"
    assert "Decoder, cross attention, layer 1, mean of 3 heads." in label(e.enlarged.value)
    assert e.row.value == 0, "the rows are other words now: the first of them"
    e.row.value = 2
    assert e.row.tooltips[2] == "what step 2 looks at"
    e.kind.value = "decoder"
    assert e.row.value == 2, "the same steps"
    assert e.weights.shape == (4, 4)
    assert [name.strip() for name, _ in e.column.options] == ["<start>", "A", "B", "C"]


def test_a_row_or_a_column_is_lit(explorer):
    e = explorer
    e.column.value = 2
    assert e.row.value is None
    assert "“b” (word 2) is looked at most by" in label(e.enlarged.value)
    assert "“b” (word 2) is looked at most by" in html.unescape(e.heard.value), "for those who cannot see it"
    e.head.value = 1
    assert (e.row.value, e.column.value) == (None, 2), "another head of the same words"
    e.row.value = 3
    assert e.column.value is None
    assert "“c” (word 3) looks most at" in label(e.enlarged.value)
    e.row.value = None
    assert e.row.value == 1, "something is always lit"


def test_lighting_a_word_asks_the_model_nothing():
    asked = []

    def counted(tokens):
        asked.append(tokens)
        return read(tokens)

    e = HeadsExplorer(counted, reading=READING, captions=CAPTIONS)
    for change in ("row", 2), ("column", 1), ("head", 2), ("layer", 1), ("kind", "cross"):
        getattr(e, change[0]).value = change[1]
    assert len(asked) == 1
    e.example.click()
    e.text.value = "a b c"
    assert len(asked) == 2, "and nothing twice"


def test_what_cannot_be_read_dims_the_last_pictures(explorer):
    e = explorer
    before = e.picture.value, e.enlarged.value
    for text, complaint in (
        ("", "There is nothing to read yet. Type a text."),
        ("a b c d e f", "This is too long: 6 words. The model reads at most 5."),
        ("crash", "This model fears crashes."),
    ):
        e.text.value = text
        assert said(e) == f"Please check: {complaint} The pictures below still show “a b c”."
        assert e.complaint == complaint
        assert (e.picture.value, e.enlarged.value) == before
        assert OLD in e.picture._dom_classes
        assert OLD in e.enlarged._dom_classes
    e.row.value = 2
    assert "“b” (word 2) looks" in label(e.enlarged.value), "the controls continue to work on the last good text"
    e.text.value = "b"
    assert e.complaint is None
    assert OLD not in e.enlarged._dom_classes
    assert said(e) == "“B” is wrong: it should be “A B C”."
    with pytest.raises(ValueError, match="HeadsExplorer cannot draw ''"):
        e.static(text="")


def test_a_text_without_a_right_answer_and_unknown_words(explorer):
    e = explorer
    e.text.value = "x <b>& y"
    assert said(e) == "The model reads “x <b>& y” and writes “X <B>& Y”. Unknown to the model: “x”."
    assert "<b>&" not in e.picture.value + e.enlarged.value + e.message.value.replace("<b>Please", "")
    assert "Unknown to the model: “x” (word 1)." in label(e.enlarged.value)
    assert e.enlarged.value.count('stroke-dasharray="2 2"') == 3, "the row, the column, the legend"
    e.kind.value = "decoder"
    assert 'stroke-dasharray="2 2"' not in e.enlarged.value


def test_equal_words_have_buttons_of_their_own(explorer):
    e = explorer
    e.text.value = "b b b"
    assert len({name for name, _ in e.row.options}) == 5
    e.row.value = 3
    assert e.row.value == 3
    assert "“b” (word 3) looks" in label(e.enlarged.value)


def test_examples_walk(explorer):
    e = explorer
    for text in ("d e b b", "a b c", "d e b b"):
        e.example.click()
        assert e.text.value == text
    e.text.value = "c"
    e.example.click()
    assert e.text.value == "a b c"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (dict(text="a b c d e f"), "too long"),
        (dict(kind="none"), "there is no kind 'none'; there are encoder, decoder, cross"),
        (dict(layer=7), "layer must be 0 to 1, got 7"),
        (dict(head="all"), "head 0 to 2 or 'mean', got 'all'"),
        (dict(row=5), "row must be 0 to 4"),
        (dict(row=1, column=1), "either a row or a column"),
    ],
)
def test_a_first_state_that_cannot_be(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        make(**wrong)


def test_a_first_state(explorer):
    e = make(text="d e b b", kind="cross", layer=1, head=MEAN, column=2)
    assert (e.kind.value, e.layer.value, e.head.value, e.row.value, e.column.value) == ("cross", 1, MEAN, None, 2)
    assert "“e” (word 2) is looked at" in label(e.enlarged.value)


def test_a_still_picture_of_any_state(explorer):
    e = explorer
    first = e.static()
    assert first._repr_html_() == make().static()._repr_html_()
    assert (first.svg, first.others[0].svg) == (e.picture.value, e.enlarged.value)
    assert "“A B C” is right." in repr(first)
    assert first._repr_html_().count("<img alt=") == 2
    still = e.static(kind="cross", layer=1, head=MEAN, row=2)
    e.kind.value, e.layer.value, e.head.value = "cross", 1, MEAN
    e.row.value = 2
    assert (still.svg, still.others[0].svg) == (e.picture.value, e.enlarged.value)
    assert e.static()._repr_html_() == first._repr_html_(), "the first state, whatever the controls say"
    assert "“c” (word 3) is looked at" in repr(e.static(column=3))


def test_an_encoder_alone_can_be_shown():
    e = HeadsExplorer(lambda t: ("", {"encoder": read(t)[1]["encoder"]}), reading=READING, captions=CAPTIONS)
    assert [kind for kind, _ in e.kind.options] == ["encoder"]
    e.text.value = "a"
    assert len(e.row.options) == 3


def test_resting_on_a_word_and_hearing_it(explorer):
    e = explorer
    for control in (e.row, e.column):
        assert HOVER in control._dom_classes
    assert HOVER not in e.head._dom_classes
    assert {LIVE, UNSEEN} <= set(e.heard._dom_classes)
    assert "focusin" in SCRIPT


# --- a Transformer's heads ---


@pytest.fixture(scope="module")
def vocabularies():
    train = sentences.load("de-en").train
    sides = ([sentence_tokens(getattr(e, side)) for e in train] for side in ("source", "target"))
    return [words.WordVocab.of(side, language) for side, language in zip(sides, ("de", "en"), strict=True)]


def small_transformer(vocabularies, **options):
    sizes = [len(vocab) for vocab in vocabularies]
    return Transformer(*sizes, 16, 24, layers=3, heads=4, dropout=0.5, dtype=np.float64, rng=0, **options)


@pytest.fixture(scope="module")
def translator(vocabularies):
    return Translator(small_transformer(vocabularies), *vocabularies, tokenize=sentence_tokens, max_length=6)


def test_the_weights_are_those_of_the_model_without_dropout(translator):
    tokens = ["<start>", *sentence_tokens(GERMAN), "<end>"]
    written, kinds = read_heads(translator, tokens)
    again, same = read_heads(translator, tokens)
    assert written == again
    T, U = len(tokens), len(written)
    for kind, shape in (("encoder", (T, T)), ("decoder", (U, U)), ("cross", (U, T))):
        found = kinds[kind]
        assert found.weights.shape == (3, 4, *shape)
        np.testing.assert_allclose(found.weights.sum(axis=-1), 1)
        np.testing.assert_array_equal(found.weights, same[kind].weights, "dropout is off")
    assert not np.triu(kinds["decoder"].weights, 1).any()
    assert kinds["decoder"].columns == ["<start>", *written[:-1]]
    [[answer]] = translator.translate([sentence_tokens(GERMAN)])
    end = ["<end>"] * (len(answer.probs) - len(answer.tokens))
    assert written == [*answer.tokens, *end]
    np.testing.assert_allclose(kinds["cross"].of(2, MEAN), answer.weights, rtol=1e-10)


def test_the_model_is_left_as_it_was(translator):
    model = translator.model
    model.train()
    before = {name: p.copy() for name, p in named_params(model).items()}
    read_heads(translator, ["<start>", *sentence_tokens(GERMAN), "<end>"])
    assert model.encoder.dropout.train_flg
    assert model.encoder.layers[0].attention.weights is None, "a backward call after it finds what forward left"
    for name, p in named_params(model).items():
        np.testing.assert_array_equal(p, before[name])


def test_an_unknown_word_that_was_replaced_is_read_as_unknown(vocabularies):
    class Writes(Translator):
        """It begins each translation with ``first``, which stands for an unknown word."""

        def translate(self, sentences):
            [[answer]] = super().translate(sentences)
            return [[answer._replace(tokens=[self.first, *answer.tokens[1:]], unknown=(0,))]]

    translator = Writes(small_transformer(vocabularies), *vocabularies, max_length=4)
    tokens = ["<start>", *sentence_tokens(GERMAN), "<end>"]
    found = []
    for translator.first in ("teacher", "<unk>"):
        shown, kinds = read_heads(translator, tokens)
        assert shown[0] == kinds["decoder"].columns[1] == translator.first
        found.append(kinds["decoder"].weights)
    np.testing.assert_array_equal(*found)


def test_heads_explorer_of_a_translator(translator):
    e = heads_explorer(translator)
    assert e.text.value == examples("de-en")[0]
    assert list(e.kinds) == ["encoder", "decoder", "cross"]
    assert "is wrong: it should be" in said(e)
    e.text.value = "Der Roboter schläft."
    assert "Unknown to the model: “roboter”." in said(e)
    assert e.question_tokens[0] == "<start>"
    e = heads_explorer(translator, GERMAN, kind="cross", layer=2, head=MEAN, row=1)
    assert "Step 1, which writes" in label(e.enlarged.value)
    assert e.question == "das mädchen schläft."


def test_heads_explorer_loads_a_transformer(tmp_path, vocabularies):
    source, target = vocabularies
    for name in ("transformer", "bahdanau"):
        task = SimpleNamespace(source_vocab=source, target_vocab=target)
        model = SYSTEMS[name].model(task, rng=0, wordvec_size=8, hidden_size=6)
        model.vocab = joined(source, target)
        model.save_params(tmp_path / name / "weights.npz", dtype="float16")
    e = heads_explorer(text=GERMAN, folder=tmp_path)
    layers = len(SYSTEMS["transformer"].model(task, rng=0, wordvec_size=8, hidden_size=6).encoder.layers)
    assert len(e.layer.options) == layers
    assert e.weights.dtype == np.float64
    assert heads_explorer("transformer", GERMAN, tmp_path).static()._repr_html_() == e.static()._repr_html_()
    with pytest.raises(ValueError, match="heads_explorer: 'bahdanau' is a BahdanauSeq2seq, which has no heads"):
        heads_explorer("bahdanau", folder=tmp_path)
    with pytest.raises(KeyError, match="there is no translator 'nobody'"):
        heads_explorer("nobody", folder=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"python -m ch08\.train transformer-ko"):
        heads_explorer("transformer-ko", folder=tmp_path)
    recurrent = Translator(BahdanauSeq2seq(len(source), len(target), 4, 5, rng=0), source, target)
    with pytest.raises(ValueError, match="which has no heads; it shows a Transformer"):
        heads_explorer(recurrent)
