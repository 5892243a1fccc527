"""What the course says in Korean: widgets, errors. English is what it was (all other tests)."""

import base64
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

from ch08.attention_layer import Attention, WeightSum
from ch08.explorer import explorer
from ch08.memory_explorer import memory_explorer
from ch08.translation_explorer import heads_explorer, translation_explorer
from common.language import errors, language, with_particles
from common.layers import Affine
from common.svg import breadth, wrap
from common.widgets import Comparison, GradientViewer, TrainingMonitor, WeightedSumPlayground
from tests.notebooks import address, translation

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
