"""What the course says in Korean: widgets, errors. English is what it was (all other tests)."""

import base64
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from ch08.attention_layer import Attention, WeightSum
from ch08.explorer import explorer
from ch08.memory_explorer import memory_explorer
from ch08.translation_explorer import heads_explorer, translation_explorer
from common import (
    depth_figure,
    gnmt_figure,
    lesson_figures,
    lstm_figure,
    memory_figure,
    placement_figure,
    self_attention_figures,
    transformer_figure,
    tree_figure,
    wavefront_figure,
)
from common.language import Message, errors, gathered, language, say, with_particles
from common.layers import Affine
from common.svg import breadth, wrap
from common.widgets import Comparison, GradientViewer, TrainingMonitor, WeightedSumPlayground
from dataset import dates, sentences, sequence
from tests.notebooks import address, translation
from tests.unit.test_lstm_figure import GRADIENT_OF, STEPS, VALUE_OF
from tests.unit.test_tree_figure import STEPS as BRANCHES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ipywidgets

# What stays as it is: names in code, of models, of formats, the models' own texts.
LATIN = re.compile(r"[A-Za-z]{3,}")
NAMES = {"softmax", "exp", "dhs", "SVG", "PNG", "transformer"}


@pytest.fixture(autouse=True)
def korean():
    language("ko")
    yield
    language("en")


def texts_of(box):
    """All that a widget's controls say: their labels, options, hints and pages."""
    for control in [box, *getattr(box, "children", ())]:
        if control is not box:
            yield from texts_of(control)
    for name in ("description", "placeholder", "tooltips", "_options_labels"):
        value = getattr(box, name, None) or ()
        yield from [value] if isinstance(value, str) else value
    if isinstance(box, ipywidgets.HTML) and "<style>" not in box.value:
        yield from seen(box.value)


def seen(html):
    """The words of HTML or SVG that are seen or heard."""
    yield from re.findall(r'(?:aria-label|alt)="([^"]*)"', html)
    yield from re.sub(r"<[^>]*>", "\n", html).split("\n")


def english_in(texts, allowed):
    """The English words in texts, besides what is allowed and what stands in quotation marks, and commands."""
    found = (LATIN.findall(re.sub(r"“[^”]*”|&[a-z]+;|python -m .*", "", text)) for text in texts)
    return sorted({word for words in found for word in words} - NAMES - set(allowed))


def trained_monitor():
    weights = np.full((2, 3), 1 / 3)
    monitor = TrainingMonitor(accuracy=lambda model: 0.5, sample=lambda model: ("1+2", "3 ", weights), interval=0)

    class Trainer:
        step, current_epoch, interrupted, model = 1, 1, True, None

    trainer = Trainer()
    for trainer.step in (1, 2, 3):
        monitor.on_step(trainer, 0.5)
    monitor.finish(trainer)
    return monitor


WIDGETS = {
    "explorer": lambda: explorer(beside="plain", gold=True, why=True, step=4, column=3),
    "explorer, no attention": lambda: explorer(model="plain"),
    "sentences": lambda: translation_explorer(beside="luong", gold=True, text="Der Roboter hat die Frau gesehen."),
    "heads": lambda: heads_explorer(kind="decoder"),
    "heads, a column": lambda: heads_explorer(kind="encoder", column=2, head="mean"),
    "memory": lambda: memory_explorer(step=3, edits={(2, 1): np.ones(20)}),
    "gradients": GradientViewer,
    "monitor": trained_monitor,
    "comparison": lambda: Comparison(steps=3),
    "playground": WeightedSumPlayground,
}


@pytest.mark.parametrize("name", WIDGETS)
def test_a_widget_speaks_korean_throughout(name):
    widget = WIDGETS[name]()
    still = widget.static()
    pictures = [still, *still.others]
    said = [*texts_of(widget.box), *seen(repr(widget).partition(":")[2]), repr(still)]
    said += [text for picture in pictures for text in seen(getattr(picture, "svg", picture.image()))]
    assert sum(bool(re.search("[가-힣]", text)) for text in said) > 5
    # Models have their own names; what they read and write stands in quotation marks somewhere.
    allowed = {word for text in said for quote in re.findall("“([^”]*)”", text) for word in LATIN.findall(quote)}
    allowed |= {word for model in getattr(widget, "models", ()) for word in LATIN.findall(model)}
    allowed |= set(LATIN.findall(widget.captions.example)) if hasattr(widget, "captions") else set()
    assert english_in(said, allowed) == []
    assert re.search(r"\[\w+/\w+\]", " ".join(said)) is None, "a particle was not chosen"
    assert repr(widget).endswith(". 이 셀을 실행하면 쓸 수 있어요.")


def test_what_cannot_be_read_is_said_in_korean():
    shown = explorer()
    shown.text.value = "may 1, 19é4"
    assert shown.complaint.startswith("문자 9, “é” (latin small letter e with acute): 모델이 모르는 것이에요.")
    assert "<b>확인해 보세요:</b>" in shown.message.value
    shown.text.value = "may 1, 1994"
    assert "1994-05-01: 맞았어요." in shown.message.value
    sentences = translation_explorer(gold=True)
    sentences.text.value = "Der Roboter hat die Lehrerin angerufen."
    assert "이 강의의 문장이 아니에요. 그래서" in sentences.message.value
    assert "이 강의의 문장 가운데 이 문장의 정답 정렬이 없어요." in sentences.message.value


def test_a_widget_made_in_english_again_is_english():
    language("en")
    assert explorer().beside._options_labels[0] == "none"
    assert "Run this cell to use it." in repr(GradientViewer())


def test_lines_of_korean_are_broken_by_their_width():
    text = "가중치가 거의 모두 한 벡터에 있어서 맥락 벡터는 그 벡터와 거의 같아요"
    lines = wrap(text, 20)
    assert " ".join(lines) == text
    assert max(map(breadth, lines)) <= 20
    assert wrap("one-two three", 8) == ["one-two", "three"]


def test_a_percentage_is_read_aloud():
    assert with_particles("가중치의 83 %[이/가] 3[이/가]") == "가중치의 83 %가 3이"


# --- figures -------------------------------------------------------------------------------------------------------

W = np.full((3, 3), 1 / 3)
HEADS = {"write head": np.eye(3), "read head": np.eye(3)}
NORMS = {part: {depth: {"그냥": np.ones(depth)} for depth in (2, 4)} for part in ("인코더", "디코더")}
FIGURES = {
    "GNMT": lambda: [
        gnmt_figure.gnmt_figure(4),
        gnmt_figure.coverage_figure({"가": ("나다라", W), "나": ("나다", W[:2])}, "마바사"),
    ],
    "ring": lambda: [gnmt_figure.ring_figure(np.ones((3, 3)))],
    "depth": lambda: [
        *(depth_figure.stack_figure(3, residual) for residual in (True, False)),
        depth_figure.norms_while_training({"디코더": {"하나": np.ones((5, 2)), "둘": np.ones((5, 2))}}),
    ],
    "self-attention": lambda: [
        self_attention_figures.looks({"가": W}, "나다라"),
        self_attention_figures.head_tables(*np.ones((3, 1, 3, 2)), W[None], W[None], "나다라"),
        self_attention_figures.split_figure({"가": np.zeros((2, 2), int)}),
        self_attention_figures.position_map(np.ones((2, 4))),
        self_attention_figures.dials(np.ones((4, 4)), [0, 1], [0, 2]),
    ],
    "memory": lambda: [
        memory_figure.addressing_figure({"가": W[0], "나": W[1]}, caption="다"),
        *map(memory_figure.machine_figure, (None, *memory_figure.PARTS)),
        memory_figure.memory_heatmap(np.ones((3, 2)), np.ones((3, 2)), HEADS, range(3), (1, 0)),
    ],
    "placement": lambda: map(placement_figure.placement_figure, placement_figure.PLACES),
    "wavefront": lambda: [wavefront_figure.wavefront_figure(3, 5, both_ways=both) for both in (False, True)],
    "lesson": lambda: [
        lesson_figures.alignment_rows({"German": ["가"], "Korean": ["나"]}, [[(0, 0)]]),
        lesson_figures.padding_panels({"가": [1, 2], "나": [2, 2]}),
    ],
    "LSTM": lambda: [lstm_figure.lstm_step_picture(VALUE_OF, GRADIENT_OF), lstm_figure.lstm_time_picture(STEPS)],
    "tree": lambda: [tree_figure.beam_tree(BRANCHES, best=(2, 0))],
    "transformer": lambda: [
        *map(transformer_figure.transformer_figure, (None, *transformer_figure.PARTS)),
        transformer_figure.norm_places_figure(),
    ],
}
NAMES_IN_FIGURES = {"GNMT", "LSTM", "GRU", "Affine", "norm", "post", "pre", "tanh", "fed", "enc", "prev"}
NAMES_IN_FIGURES |= {word for branches in BRANCHES for branch in branches for word in LATIN.findall(branch.token)}
NAMES_IN_FIGURES |= {"start", "hs_enc", "dc_prev", "dh_prev", "c_prev", "h_prev"}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_in_korean_what_it_shows(name):
    """Its alternative text, and where the browser draws it what is written in it."""
    for figure in FIGURES[name]():
        if not hasattr(figure, "svg"):
            assert english_in([figure.alt_text], NAMES_IN_FIGURES) == []
            assert re.search("[가-힣]", figure.alt_text)
            assert re.search(r"\[\w+/\w+\]|[{}]", figure.alt_text) is None
            continue
        said = [figure.text, *seen(figure.svg)]
        assert english_in(said, NAMES_IN_FIGURES) == []
        assert re.search(r"\[\w+/\w+\]|[{}]", " ".join(said)) is None


# --- messages that are said later ----------------------------------------------------------------------------------


def test_a_message_is_english_until_it_is_said():
    why = Message("The file is empty.")
    ignored = Message("ignored: {file}, because {why}", file="{x}.pdf", why=why.written("the file is empty"))
    assert ignored == "ignored: {x}.pdf, because the file is empty"
    assert say(ignored) == "{x}.pdf를 무시했어요. 파일이 비어 있어요."
    assert say(gathered([why, ignored])) == "파일이 비어 있어요. {x}.pdf를 무시했어요. 파일이 비어 있어요."
    assert (gathered([]), say(gathered([]))) == ("", "")
    language("en")
    assert say(ignored) == ignored


# --- errors --------------------------------------------------------------------------------------------------------


def caught(call):
    with pytest.raises(Exception) as found:  # noqa: PT011
        call()
    return found.value


def test_an_error_is_translated_where_it_is_shown():
    hs, h, wide = np.ones((2, 3, 4)), np.ones((2, 4)), np.ones((2, 5))
    error = caught(lambda: Attention().forward(hs, h, mask=np.array([[True] * 3, [False] * 3])))
    assert errors.said(error) == "마스크: 행 1이 모두 패딩이라, 볼 곳이 없어요"
    error = caught(lambda: Affine(np.ones((3, 2)), np.ones(2)).forward(wide))
    assert errors.said(error) == "Affine: x (2, 5)가 W (3, 2)와 맞지 않아요. x의 열은 3개여야 해요"
    assert str(error).startswith("Affine: x (2, 5) does not fit"), "the code speaks English"
    assert errors.said(caught(lambda: WeightSum().backward(h))) == "WeightSum.backward: 먼저 forward를 호출하세요"
    language("en")
    assert errors.said(error) == str(error)


def test_a_clause_in_an_error_is_translated_too(tmp_path):
    """It may come from a choice, a constant, or a function of the file; what a learner typed stays as it is."""
    said = errors.said(caught(lambda: dates.parse("hello")))
    assert said.startswith("'hello'는 아는 형식의 날짜가 아니에요. 어느 것과도 맞지 않아요. 아는 형식: 'september 27")
    said = errors.said(caught(lambda: dates.parse("tuesdy, september 25, 1984")))
    assert "'tuesdy'는 요일이 아니에요" in said
    path = tmp_path / "mine.txt"
    path.write_text("1+2_3\n", encoding="utf-8")
    said = errors.said(caught(lambda: sequence.load(path, split="x")))
    assert said == "모르는 분할 'x'예요. 'grouped'나 'random'을 고르세요"
    for text, expected in (
        ("1+2_3\n\n1+2_3\n", "2: 빈 줄이에요"),
        ("1+2_3\n1+23_\n", "2: '_'가 열 5에 있는데, 줄 1에서는 열 4에 있어요: '1+23_'"),
        ("_3\n_3\n", "1: '_3'에서 질문에 문자가 하나도 없어요"),
        ("1_ 3\n1_  \n", "2: '1_  '에서 답이 비어 있어요"),
    ):
        path.write_text(text, encoding="utf-8")
        said = errors.said(caught(lambda: sequence.load(path)))
        assert said == f"{path}:{expected}"
    said = errors.said(caught(lambda: sequence.load(tmp_path / "none.txt")))
    assert said.startswith(f"데이터 파일 {tmp_path / 'none.txt'}가 없어요: {Path.cwd()}에서 찾아봤어요.")
    vocab = sequence.Vocab("abc", source="어휘")
    assert errors.said(caught(lambda: vocab.encode("abd"))).startswith(
        "'abd'에서 위치 2(첫째가 0)에 모르는 문자 'd' (U+0064 LATIN SMALL LETTER D)가 있어요. 어휘에는 문자 3개 'abc'가"
    )
    path.write_text("# train\na\tb\n", encoding="utf-8")
    said = errors.said(caught(lambda: sentences.load(path=path)))
    assert said.startswith(f"{path}:2: 탭으로 나뉜 칸이 2개인데, 5개여야 해요. `python -m dataset.make_sentences`")


def test_an_error_of_a_widget_is_translated():
    assert errors.said(caught(lambda: Comparison(steps=0))) == "Comparison: steps는 1 이상이어야 하는데, 0이에요"
    said = errors.said(caught(lambda: explorer(text="may 1, 19é4")))
    assert said.startswith("AttentionExplorer: 'may 1, 19é4'로 시작할 수 없어요. 문자 9, “é”")


def test_an_error_of_someone_else_stays_as_it_is():
    assert errors.said(caught(lambda: np.ones(3) + np.ones(2))).startswith("operands could not be broadcast")
    assert errors.said(ValueError("never raised")) == "never raised"
    assert errors.said(KeyError(3)) == "3"


def test_gaps_of_an_error_have_names(tmp_path):
    path = tmp_path / "x.py"
    path.write_text(
        "raise ValueError(f'{type(a).__name__}: x {x.shape}, {x.shape}, {int(t[0])!r} {{}}')\n"
        "raise ValueError(\n    f'{name} is '\n    f'{np.shape(dout)}'\n)\nraise TypeError(text)\nraise\n"
    )
    found = errors.raised_in(path)
    assert [(first, last, text) for first, last, text, _ in found] == [(2, 5, "{name} is {dout}")]
    assert found[0][3].fullmatch("dh is (2, 3)").groups() == ("dh", "(2, 3)")


def test_clauses_of_an_error_are_found(tmp_path):
    path = tmp_path / "x.py"
    path.write_text(
        "ADVICE = 'try again'\nOTHER = 'not raised'\n"
        "def made(x, why):\n    return ValueError(f'{x} is wrong: {why}')\n"
        "def fault(x):\n    if x:\n        return f'no mark in {x}'\n    return 'blank line'\n"
        "def quiet():\n    return 'never seen'\n"
        "raise made(x, f'{x} is odd')\nraise ValueError(f'{fault(x)}; {ADVICE}')\n"
        "raise ValueError(f\"the {'answer' if x else 'question'} is {5}\")\n"
    )
    raised = [text for *_, text, _ in errors.raised_in(path)]
    assert raised == ["{x} is wrong: {why}", "{x}; {ADVICE}", "the {question} is {value}"]
    clauses = [text for text, _ in errors.clauses_in(path)]
    assert set(clauses) - set(raised) == {
        "{x} is odd",
        "no mark in {x}",
        "blank line",
        "try again",
        "answer",
        "question",
    }


def test_a_notebook_shows_an_error_in_both_languages():
    lines = (
        "from IPython.core.interactiveshell import InteractiveShell",
        "shell = InteractiveShell.instance()",
        "shell.run_cell('from common.language import language; language(\"ko\"); import numpy as np')",
        "shell.run_cell('from ch08.attention_layer import WeightSum; WeightSum().backward(np.ones((1, 2)))')",
        "shell.run_cell('1 / 0')",
        "shell.run_cell('language(\"en\"); WeightSum().backward(np.ones((1, 2)))')",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, cwd=address.ROOT, timeout=120)
    shown = re.sub(r"\x1b\[[\d;]*m", "", done.stdout.decode() + done.stderr.decode())
    assert done.returncode == 0
    assert shown.count("RuntimeError: WeightSum.backward: call forward first") == 2
    assert shown.count("RuntimeError: WeightSum.backward: 먼저 forward를 호출하세요") == 1
    assert shown.count("ZeroDivisionError: division by zero") == 1


def test_all_that_is_said_outside_of_notebooks_is_translated():
    catalogs = translation.all_catalogs("ko")
    for name in (name for name, units in translation.messages().items() if units and not name.startswith("ch0")):
        catalog = catalogs.get(translation.messages_path(name, "ko"))
        assert catalog is not None, name
        assert [message.id for message in translation.unfinished(catalog)] == [], name


def test_pictures_hold_no_raw_names():
    """Nothing like {name} is left in a picture."""
    for picture in (explorer().static(), WeightedSumPlayground().static()):
        source = base64.b64decode(re.search(r"base64,([^\"]+)", picture.image())[1]).decode()
        assert "{" not in " ".join(seen(source))
