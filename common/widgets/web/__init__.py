"""The attention explorer as a page: the same pictures and words in plain JavaScript, without a server or a kernel.

``write_page`` writes a folder that works from a disk and from any static host: ``index.html`` with everything but the
weights, and ``files/``, scripts that the page loads when they are asked for: the weights of each model, the names of
all characters, for messages, and what else a chapter has. Several pages can share a folder, and pages in other
languages lie in folders below it and load the same files. A page is in the language that is chosen while it is written
(``common.language``). The JavaScript in this folder is what a page runs, as it is:

| file          | what is in it                                                | the same in Python              |
|---------------|--------------------------------------------------------------|---------------------------------|
| `language.js` | phrases, with particles of Korean                            | `common/language`               |
| `numbers.js`  | rounding, percents, colors                                   | `common/svg.py`                 |
| `drawing.js`  | SVG by hand, lines of text                                   | `common/svg.py`                 |
| `picture.js`  | the heatmap and its sentences                                | `common/widgets/attention.py`   |
| `reasons.js`  | why a step looks where it looks                              | `common/widgets/reasons.py`     |
| `texts.js`    | what a model cannot read, where texts are characters         | `common/widgets/texts.py`       |
| `sentences.js`| where texts are sentences, of several languages              | `common/widgets/sentences.py`   |
| `layers.js`   | embedding, LSTM, GRU, attention, affine; decoding; weights   | `common/steps.py`, the chapters |
| `explorer.js` | the page                                                     | `common/widgets/explorer.py`    |

Words of the chosen language, colors, sizes and examples are written into the page as JSON (``PAGE``), from the modules
that the widget reads. A chapter adds scripts of its own, which define ``CHAPTER``: its models, and what they read.
"""

import base64
import functools
import json
import sys
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from common import language, svg
from common.np import host
from common.npz import atomic_write
from common.svg import escape
from common.widgets import attention, explorer, reasons
from common.widgets.phrases import PHRASES, say

__all__ = ["WebModel", "write_page"]

FOLDER = Path(__file__).resolve().parent
SCRIPTS = ("language", "numbers", "drawing", "picture", "reasons", "texts", "sentences", "layers", "explorer")


@dataclass(frozen=True)
class WebModel:
    """A model of the page.

    name: in the menu. file: the name of its file, without ending. kind: what the chapter's scripts call such a model.
    arrays: a dict name -> float16 array of one or two axes. more: what else its file says, a dict, such as its words.
    """

    name: str
    file: str
    kind: str
    arrays: dict
    more: dict = field(default_factory=dict)


def write_page(
    folder,
    models,
    *,
    scripts,
    chapter,
    captions,
    vocabulary,
    max_length,
    examples,
    lessons,
    model=None,
    title,
    note="",
    file="index.html",
    pages=(),
    languages=(),
    files="files",
    sentences=False,
    data=None,
):
    """Write the page into ``folder``, in the chosen language; return its path. The folder is made if it does not exist.

    Args:
        models: WebModels. model: the name of the one that is shown at first; None for the last one.
        scripts: paths of the chapter's scripts. chapter: a dict, which they find as ``PAGE.chapter``.
        captions: Captions; if they have a ``write`` of their own, the chapter's scripts have it, too, as
            ``CHAPTER.write``. vocabulary: the tokens that the models know, if they are characters. max_length: the most
            that the models read. examples: texts; the first is shown at first.
        lessons: pairs (title, address), where it is explained how this works. title: of the page. note: a sentence at
            its end.
        file: the name of the page. pages: pairs (title, name of the file) of the pages in this folder, this one among
            them, which lead to each other. languages: triples (code, name, address) of this page in other languages,
            and of this one in its own, whose address is "".
        files: the folder of the scripts, from this page; those in a folder above are there, and are not written again.
        sentences: whether texts are sentences (``SENTENCES``) and not characters (``CHARACTERS``).
        data: a dict name -> what a script of that name in ``files/`` holds, for the chapter's scripts.
    Raises: ValueError for arrays that are not float16 of one or two axes.
    """
    folder = Path(folder)
    if not files.startswith("../"):
        contents = {each.file: _packed(each) for each in models} | (data or {})
        if not sentences:
            contents["names"] = character_names()
        for name, content in contents.items():
            _write(folder / files / f"{name}.js", _script(name, content))
    phrases = {name: language.look_up(text) for name, text in PHRASES.items()}
    names = [each.name for each in models]
    page = dict(
        phrases=phrases,
        particles=language.particles(),
        files=files,
        shape=_shape(),
        captions=dict(
            {name: captions.said(name) for name in ("token", "nothing_to_read", "no_truth", "no_source")},
            separator=captions.separator,
            marks=sorted(captions.marks),
            write=captions.write is not None,
        ),
        sentences=sentences,
        vocabulary=list(vocabulary),
        max_length=max_length,
        models=[dict(name=each.name, file=each.file) for each in models],
        examples=list(examples),
        remember=explorer.AttentionExplorer.remember,
        state=dict(text=examples[0], model=model or names[-1], beside=say("label_none"), step=0, gold=False, why=False),
        chapter=chapter,
    )
    sources = [FOLDER / f"{name}.js" for name in SCRIPTS[:-1]] + [Path(path) for path in scripts]
    sources.append(FOLDER / f"{SCRIPTS[-1]}.js")
    code = [f"const PAGE = {_json(page)};", *(path.read_text(encoding="utf-8") for path in sources)]
    links = " · ".join(f'<a href="{escape(address)}" target="_top">{escape(text)}</a>' for text, address in lessons)
    about = captions.said("about")
    gaps = {name: escape(text) for name, text in phrases.items()} | dict(
        language=language.language(),
        title=escape(title),
        description=escape(about[0].upper() + about[1:] + "."),
        label=escape(captions.said("label")),
        example=escape(captions.example),
        pages=_navigation(pages, file),
        languages=_languages(languages),
        lessons=links,
        note=escape(note),
        style=_filled((FOLDER / "style.css").read_text(encoding="utf-8"), _shape()),
        scripts="\n".join(f"<script>\n{text}\n</script>" for text in code),
    )
    path = folder / file
    _write(path, _filled((FOLDER / "page.html").read_text(encoding="utf-8"), gaps))
    return path


def _navigation(pages, current):
    """Return the links to the pages of a folder as HTML, or "" for a page that is alone."""
    if len(pages) < 2:
        return ""
    here = ' aria-current="page"'
    links = (f'<a href="{escape(to)}"{here if to == current else ""}>{escape(text)}</a>' for text, to in pages)
    return f'<nav aria-label="{escape(say("pages"))}">{"".join(links)}</nav>'


def _languages(languages):
    """Return the way to the same page in other languages as HTML, or "" if there is none."""
    if len(languages) < 2:
        return ""
    each = (
        f'<a lang="{code}" hreflang="{code}" href="{escape(address)}">{escape(name)}</a>'
        if address
        else f'<span lang="{code}" aria-current="true">{escape(name)}</span>'
        for code, name, address in languages
    )
    return f'<p class="languages" role="group" aria-label="{escape(say("languages"))}">{"".join(each)}</p>'


@functools.cache
def wide_characters():
    """Return pairs (first, last) of the numbers of characters that take the room of two letters."""
    runs = []
    for point in range(sys.maxunicode + 1):
        char = chr(point)
        if unicodedata.category(char) == "Cn" or svg.breadth(char) == 1:  # nobody has assigned it, or it is narrow
            continue
        if runs and runs[-1][1] == point - 1:
            runs[-1][1] = point
        else:
            runs.append([point, point])
    return runs


def character_names():
    """Return what the page needs for messages about single characters: the names of all, in lower case.

    ranges: triples (first, last, prefix) of characters whose names end in their number. single: pairs (first, names)
    of other characters that follow one another, the names joined by "|". odd: pairs (first, last) of characters that
    have a name and cannot be seen, or can be seen and have none.
    """
    single, ranges, odd = [], [], []
    for point in range(sys.maxunicode + 1):
        name = unicodedata.name(chr(point), "").lower()
        if bool(name) != chr(point).isprintable():
            if odd and odd[-1][1] == point - 1:
                odd[-1][1] = point
            else:
                odd.append([point, point])
        if not name:
            continue
        number = f"{point:04x}"
        prefix = name.removesuffix(number)
        if prefix == name and single and single[-1][0] + len(single[-1][1]) == point:
            single[-1][1].append(name)
        elif prefix == name:
            single.append([point, [name]])
        elif ranges and ranges[-1][1:] == [point - 1, prefix]:
            ranges[-1][1] = point
        else:
            ranges.append([point, point, prefix])
    return dict(ranges=ranges, single=[[first, "|".join(names)] for first, names in single], odd=odd)


def _shape():
    """Return the colors and sizes of the pictures."""
    colors = {name: getattr(svg, name) for name in ("INK", "MUTED", "LINE", "PALE", "BLUE", "ORANGE", "SANS", "MONO")}
    grid = ("CELL", "ROW", "GAP", "LETTER", "LEFT", "TOP", "HEAD", "WIDTH", "NARROW", "SENTENCE")
    grid += ("RISING", "SLOPE", "ANSWER")
    return (
        colors
        | {name: getattr(attention, name) for name in grid}
        | dict(WIDE=wide_characters())
        | dict(DARKEST=svg.DARKEST, SHRINKS=svg.SHRINKS, PACE=explorer.PACE, FORMULA=reasons.Reasons.formula)
        | dict(TERMS=reasons.TERMS, TOKENS=reasons.TOKENS, REASON_ROW=reasons.ROW, REASONS_WIDTH=reasons.WIDTH)
    )


def _packed(model):
    """Return a model's kind and arrays: names and shapes, and the numbers as base64.

    The low bytes of all numbers come first, then the high ones, which are alike: a server that compresses what it sends
    finds 4 % more.
    """
    for name, array in model.arrays.items():
        if array.dtype != host.float16 or array.ndim not in (1, 2):
            raise ValueError(
                f"write_page: {name} of “{model.name}” must be float16 with one or two axes, "
                f"got {array.dtype} {array.shape}"
            )
    shapes = [[name, *(1, *array.shape)[-2:]] for name, array in model.arrays.items()]
    numbers = host.concatenate([array.ravel() for array in model.arrays.values()]).astype("<f2")
    data = numbers.view(host.uint8).reshape(-1, 2).T.tobytes()
    return dict(kind=model.kind, arrays=shapes, data=base64.b64encode(data).decode()) | model.more


def _script(file, content):
    return f"receive({json.dumps(file)}, {_json(content)});\n"


def _json(content):
    """Return JSON that is safe within a script of a page."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _filled(template, gaps):
    """Return a template with its gaps, {{name}}, filled in."""
    for name, text in gaps.items():
        template = template.replace("{{" + name + "}}", str(text))
    return template


def _write(path, text):
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))
