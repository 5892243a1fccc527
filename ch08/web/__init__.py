"""The attention explorer as two pages, of dates and of sentences, in each language: ``python -m ch08.web`` writes them.

``common.widgets.web`` says how. English pages lie in a folder, those in another language in a folder below it, ``ko/``;
all load the same weights. ``models.js`` holds the models, ``dates.js`` what a page knows of dates, and
``sentences.js`` what it knows of sentences.
"""

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

from ch08 import translation_explorer as translation
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
from ch08.recipes.translation import sentence_tokens
from common import language
from common.base_model import VOCAB
from common.language import say
from common.npz import load_arrays
from common.widgets.web import WebModel, write_page
from dataset import dates, sentences, sequence, words

__all__ = ["write_explorer"]

ROOT = Path(__file__).resolve().parents[2]
GITHUB, COLAB = "https://github.com/", "https://colab.research.google.com/github/"
# How it works, and how to read what it shows.
LESSONS = ("ch08_05_attention_seq2seq", "ch08_07_seeing_attention")
LESSONS_ON_SENTENCES = ("ch08_14_bahdanau", "ch08_15_luong")
DATES, SENTENCES = "index.html", "sentences.html"  # the files of the pages
# Two models of each language, so that two can stand side by side. A page loads the one that it shows, about 2 MB.
TRANSLATORS = ("luong", "bahdanau", "luong-ko", "bahdanau-ko")
FIRST_TRANSLATOR = {"ko": "bahdanau-ko"}  # shown at first by a page in this language, its language first in the menu
NOTE = "Everything is computed in your browser, with the weights that the course ships. Nothing you type leaves it."
GREEDY = (
    "The page takes the likeliest word at each step and knows the right translations of our 1,000 test sentences; the "
    "explorer in the notebook knows all our sentences and searches with a beam (8.16)."
)
# The notebook's explorer has all our sentences, the page those of the test.
NOT_OURS = "is not one of our test sentences"
NO_GOLD = "our test sentences have no gold alignment for this one"


def write_explorer(folder, lesson=None, weights=PRETRAINED):
    """Write the pages into ``folder``; return the path of the first one, ``index.html``.

    Args: lesson, called as lesson(up, name) with the way from a page to ``folder``, such as "../", and the name of a
    notebook, such as "ko/ch08_07_seeing_attention", returns its address; None for Colab's. weights: the folder with the
    models, as for ``ch08.explorer.explorer``; without those of sentences the page of sentences is left out.
    Raises: FileNotFoundError if there are no weights; ValueError for a model that ``models.js`` does not know.
    """
    found = available(weights)
    if not found:
        raise FileNotFoundError(f"{weights} has no weights. To train a model: python -m ch08.train")
    translators = [system for system in TRANSLATORS if system in translation.available(weights)]
    lesson = lesson or (lambda up, name: colab_address(name))
    for code in language.languages():  # English first, with the weights
        with language.speaking(code):
            _write_dates(folder, found, weights, lesson, bool(translators))
            if translators:
                _write_sentences(folder, translators, weights, lesson)
    return Path(folder) / DATES


def _place(folder, file, lesson, lessons, several=True):
    """Return how a page in the chosen language lies among the others: arguments of ``write_page``.

    Args: file, of the page. lessons, the names of notebooks. several, whether there are pages of both kinds.
    """
    here = language.language()
    up = "" if here == language.ENGLISH else "../"
    folders = {code: "" if code == language.ENGLISH else f"{code}/" for code in language.languages()}
    return dict(
        folder=Path(folder) / folders[here],
        file=file,
        files=f"{up}files",
        pages=[(say("Dates"), DATES), (say("Sentences"), SENTENCES)] if several else [],
        languages=[
            (code, language.NAMES[code], "" if code == here else f"{up}{folders[code]}{file}") for code in folders
        ],
        lessons=[(lesson_title(name), lesson(up, name)) for name in map(_in_language, lessons)],
    )


def _in_language(name):
    """Return the name of a notebook in the chosen language, or of the English one if it is not translated yet."""
    translated = f"{language.language()}/{name}"
    return translated if (ROOT / "notebooks" / f"{translated}.ipynb").is_file() else name


def _write_dates(folder, systems, weights, lesson, several):
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
        new_form=say(NEW_FORM),
        only_dot=say(ONLY_DOT),
    )
    write_page(
        models=[_model(NAMES[system], system, load_pretrained(system, weights), weights) for system in systems],
        scripts=_scripts("models.js", "dates.js"),
        chapter=chapter,
        captions=CAPTIONS,
        vocabulary=[char for char in vocab.char_to_id if char != sequence.START],
        max_length=dates.QUESTION_WIDTH,
        examples=EXAMPLES,
        model=NAMES[FIRST] if FIRST in systems else None,
        title=say("Attention explorer"),
        note=say(NOTE),
        **_place(folder, DATES, lesson, LESSONS, several),
    )


def _write_sentences(folder, systems, weights, lesson):
    first = FIRST_TRANSLATOR.get(language.language(), translation.FIRST)
    first = first if first in systems else systems[-1]
    pair_of = {system: translation.TRANSLATORS[system][0] for system in systems}
    systems = sorted(systems, key=lambda system: pair_of[system] != pair_of[first])
    names = {system: say(translation.NAMES[system]) for system in systems}
    examples = {pair: translation.examples(pair) for pair in pair_of.values()}
    chapter = dict(
        start=words.START,
        end=words.END,
        unknown=words.UNKNOWN,
        clinging=sorted(words.CLINGING),
        clitic=words.CLITIC.pattern,
        pairs={names[system]: pair for system, pair in pair_of.items()},
        languages={code: say(name) for code, name in translation.LANGUAGES.items()},
        examples=examples,
        no_gold=say(NO_GOLD),
        other_translation=say(translation.OTHER_TRANSLATION),
    )
    example = examples[pair_of[first]][0]
    write_page(
        models=[_translator(name, system, weights) for system, name in names.items()],
        scripts=_scripts("models.js", "sentences.js"),
        chapter=chapter,
        captions=replace(translation.CAPTIONS, no_truth=NOT_OURS, example=example),
        vocabulary=(),
        max_length=translation.LONGEST,
        examples=examples[pair_of[first]],
        model=names[first],
        title=say("Translation explorer"),
        note=f"{say(NOTE)} {say(GREEDY)}",
        sentences=True,
        data={pair: _test_sentences(pair) for pair in examples},
        **_place(folder, SENTENCES, lesson, LESSONS_ON_SENTENCES),
    )


def _test_sentences(pair):
    """Return rows (words of a test sentence, words of its translation, links), words with blanks between them."""
    return [
        (" ".join(sentence_tokens(example.source)), " ".join(sentence_tokens(example.target)), example.links)
        for example in sentences.load(pair).test
    ]


def _scripts(*names):
    return [Path(__file__).with_name(name) for name in names]


def _translator(name, system, folder):
    translator = translation.load_translator(system, folder)
    vocabularies = dict(
        source=list(translator.source_vocab.word_to_id), target=list(translator.target_vocab.word_to_id)
    )
    return _model(name, system, translator.model, folder, vocabularies)


def _model(name, system, model, folder, more=None):
    """Return a WebModel. Args: model, loaded, which has checked that the file holds what it should; more, its words."""
    arrays = load_arrays(Path(folder) / system / "weights.npz")
    arrays.pop(VOCAB, None)
    kind = type(model).__name__
    if kind not in known_kinds():
        raise ValueError(f"ch08/web/models.js has no {kind}, which {system} needs: write its start and step there")
    return WebModel(name, system, kind, arrays, more or {})


def known_kinds():
    """Return the names of the classes that ``models.js`` holds: the keys of its MODELS."""
    return re.findall(r"^  (\w+): \(w\) =>", Path(__file__).with_name("models.js").read_text(encoding="utf-8"), re.M)


def lesson_title(name):
    """Return the title of a notebook, such as "8.7 Seeing attention": its first line.

    Args: name, such as "ch08_07_seeing_attention", or "ko/ch08_07_seeing_attention".
    """
    notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    return "".join(notebook["cells"][0]["source"]).splitlines()[0].lstrip("# ").strip()


def colab_address(name):
    """Return the address of a notebook in Colab, as its badge has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    repository = project["urls"]["Repository"].removeprefix(GITHUB).removesuffix(".git")
    return f"{COLAB}{repository}/blob/main/notebooks/{name}.ipynb"
