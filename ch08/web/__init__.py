"""The attention explorer of the date models as a page: ``python -m ch08.web`` writes it, see ``common.widgets.web``.

``models.js`` holds the models, ``dates.js`` what the page knows of dates.
"""

import json
import re
import tomllib
from pathlib import Path

from ch08.explorer import (
    CAPTIONS,
    EXAMPLES,
    FIRST,
    NAMES,
    NEW_FORM,
    ONLY_DOT,
    PRETRAINED,
    available,
    load_pretrained,
)
from common.base_model import VOCAB
from common.npz import load_arrays
from common.widgets.web import WebModel, write_page
from dataset import dates, sequence

__all__ = ["write_explorer"]

ROOT = Path(__file__).resolve().parents[2]
GITHUB, COLAB = "https://github.com/", "https://colab.research.google.com/github/"
LESSONS = ("ch08_05_attention_seq2seq", "ch08_07_seeing_attention")  # how it works, and how to read what it shows
SCRIPTS = ("models.js", "dates.js")
NOTE = "Everything is computed in your browser, with the weights that the course ships. Nothing you type leaves it."


def write_explorer(folder, lesson=None, weights=PRETRAINED):
    """Write the page into ``folder``; return the path of its ``index.html``.

    Args: lesson, called with the name of a notebook such as "ch08_07_seeing_attention", returns its address; None for
    Colab's. weights: the folder with the models, as for ``ch08.explorer.explorer``.
    Raises: FileNotFoundError if there are no weights; ValueError for a model that ``models.js`` does not know.
    """
    found = available(weights)
    if not found:
        raise FileNotFoundError(f"{weights} has no weights. To train a model: python -m ch08.train")
    vocab = sequence.load("date.txt").vocab
    chapter = dict(
        characters=list(vocab.char_to_id),
        start=sequence.START,
        answer_length=10,
        months=dates.MONTHS,
        weekdays=dates.WEEKDAYS,
        first_year=dates.FIRST_YEAR,
        last_year=dates.LAST_YEAR,
        answer_parts={part: (places.start, places.stop) for part, places in dates.ANSWER_PARTS.items()},
        new_form=NEW_FORM,
        only_dot=ONLY_DOT,
    )
    return write_page(
        folder,
        [_model(system, weights) for system in found],
        scripts=[Path(__file__).with_name(name) for name in SCRIPTS],
        chapter=chapter,
        captions=CAPTIONS,
        vocabulary=[char for char in vocab.char_to_id if char != sequence.START],
        max_length=dates.QUESTION_WIDTH,
        examples=EXAMPLES,
        lessons=[(lesson_title(name), (lesson or colab_address)(name)) for name in LESSONS],
        model=NAMES[FIRST] if FIRST in found else None,
        note=NOTE,
    )


def _model(system, folder):
    model = load_pretrained(system, folder)  # which checks that the file holds what it should
    arrays = load_arrays(Path(folder) / system / "weights.npz")
    arrays.pop(VOCAB, None)
    kind = type(model).__name__
    if kind not in known_kinds():
        raise ValueError(f"ch08/web/models.js has no {kind}, which {system} needs: write its start and step there")
    return WebModel(NAMES[system], system, kind, arrays)


def known_kinds():
    """Return the names of the classes that ``models.js`` holds: the keys of its MODELS."""
    return re.findall(r"^  (\w+): \(w\) =>", Path(__file__).with_name("models.js").read_text(encoding="utf-8"), re.M)


def lesson_title(name):
    """Return the title of a notebook, such as "8.7 Seeing attention": its first line."""
    notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    return "".join(notebook["cells"][0]["source"]).splitlines()[0].lstrip("# ").strip()


def colab_address(name):
    """Return the address of a notebook in Colab, as its badge has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository = project["urls"]["Repository"].removeprefix(GITHUB).removesuffix(".git")
    return f"{COLAB}{repository}/blob/main/notebooks/{name}.ipynb"
