"""The course in another language: `notebooks/ko/` is made from the English notebooks and gettext catalogs.

    notebooks/ch08_02_weight_sum.ipynb  +  notebooks/ko/catalogs/ch08_02_weight_sum.po  ->  notebooks/ko/...ipynb

A catalog has an entry for each text cell and for each comment in code; its context is the cell's id. Poedit and Weblate
open it, and nobody needs Python to translate. `update` brings a catalog up to date with its notebook: the entry of a
cell that has changed keeps its translation, marked fuzzy. `translated` shows such a cell, and one that was never
translated, in English, with a mark. Code is that of the English notebook, and so are outputs but where they speak
(`tests.notebooks.outputs`).
"""

import ast
import copy
import importlib
import io
import re
import tokenize
from dataclasses import dataclass
from urllib.parse import quote, unquote

import nbformat
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

import common.widgets
from ch08 import explorer, translation_explorer, web
from common import lstm_figure, memory_figure, model_figure, placement_figure, transformer_figure, tree_figure
from common.grading.check import UNTOUCHED
from common.grading.judge import KINDS
from common.grading.progress import SIGNS
from common.grading.teacher import pages
from common.language import errors
from common.widgets import base, comparison, gradients, heads, monitor
from common.widgets.phrases import PHRASES
from tests.notebooks import address, execute, outputs

LANGUAGES = {"ko": "한국어"}
# What stands above a cell that is shown in English.
NOT_YET = {"ko": "> *이 부분은 아직 옮기지 못했어요. 영어 원문을 보여 드려요.*"}
STALE = {"ko": "> *영어 원문이 바뀌어서 다시 옮기는 중이에요. 새 영어 원문을 보여 드려요.*"}
HEAD, MINUTES = {"ko": "| 강의와 걸리는 시간 | |"}, {"ko": "분"}  # of the table of lessons
BADGE = "[Open in Colab]"  # what stands for the badge in a catalog
LANGUAGE_CELL = 'from common.language import language\n\nlanguage("{0}")'
FOLDERS = ("", "exercises")  # of notebooks/; solutions are for teachers
MESSAGES = address.ROOT / "common" / "language"
# Whose texts each catalog has, the first folder that fits; and texts that are handed to ``say`` under a name, so that
# no search for its calls finds them.
EXPLORERS = "ch08/explorer.py", "ch08/translation_explorer.py", "ch08/memory_explorer.py"
CATALOGS = dict.fromkeys(("common/widgets/", "ch08/web/", *EXPLORERS), "widgets")
CATALOGS |= {"common/grading/teacher/": "grader", "common/grading/": "common"}
CATALOGS |= dict.fromkeys(("common/", "ch07/", "ch08/"), "figures")
# What they raise is translated, too: the layers and models of the lessons, and what is built around them.
RAISING = (
    *(f"common/{name}.py" for name in ("functions", "layers", "steps", "recurrent", "time_layers", "unroll")),
    *(f"common/{name}.py" for name in ("base_model", "optimizer", "util", "trainer", "gradient_check", "decoding")),
    *(f"ch07/{name}.py" for name in ("seq2seq", "peeky_seq2seq")),
    *(f"ch08/{name}_layer{s}.py" for name, s in (("attention", ""), ("score", "s"), ("ntm", "s"))),
    *(f"ch08/{name}_seq2seq.py" for name in ("attention", "bidirectional", "input_feeding", "same_step", "deep")),
    *(f"ch08/{name}_seq2seq.py" for name in ("word", "bahdanau", "luong")),
    *(f"ch08/{name}.py" for name in ("alignment", "gnmt", "multi_head_attention", "transformer", "ntm", "penalties")),
    *EXPLORERS,
    *sorted(path.relative_to(address.ROOT).as_posix() for path in address.ROOT.glob("common/widgets/*.py")),
    *sorted(path.relative_to(address.ROOT).as_posix() for path in address.ROOT.glob("common/*_figure*.py")),
    *(f"dataset/{name}.py" for name in ("sequence", "dates", "words", "sentences", "multi30k")),
)


def said_by_name():
    """{name of a catalog: texts}"""
    captions = base.CHARACTERS, explorer.CAPTIONS, translation_explorer.CAPTIONS, translation_explorer.HEADS_CAPTIONS
    names = "token", "label", "about", "nothing_to_read", "no_truth", "no_source"
    widgets = [
        *(explorer.NEW_FORM, explorer.ONLY_DOT, explorer.NO_WEIGHTS),
        *PHRASES.values(),
        *(getattr(each, name) for each in captions for name in names),
        *(kind.about for kind in vars(common.widgets).values() if isinstance(kind, type) and hasattr(kind, "about")),
        *(text for texts in heads.KINDS.values() for text in texts),
        *heads.KINDS,
        *monitor.STATES.values(),
        *(comparison.WAITING, comparison.DONE, gradients.TITLE),
        *translation_explorer.LANGUAGES.values(),
        *(translation_explorer.OF_PHOTOGRAPHS, translation_explorer.NO_GOLD, translation_explorer.OTHER_TRANSLATION),
        *(
            web.NOTE,
            web.GREEDY,
            web.NOT_OURS,
            web.NO_GOLD,
            *(translation_explorer.NAMES[name] for name in web.TRANSLATORS),
        ),
    ]
    grader = [*pages.COLORS, *pages.MARKS]
    drawn = [
        *(part.replace("_", " ") for part in (*model_figure.PARTS, *memory_figure.PARTS)),
        *(part.replace("_", "-") for part in transformer_figure.PARTS),
        *transformer_figure.BOXES,
        *(text for texts in placement_figure.PLACES.values() for text in texts),
        *(word for _, word, _, _ in lstm_figure.GATES),
        *(tree_figure.KEPT, tree_figure.DROPPED, tree_figure.FINISHED),
        *("German", "English", "Korean"),
    ]
    return {
        "common": [UNTOUCHED, *KINDS, *SIGNS],
        "grader": grader,
        "figures": drawn,
        "widgets": [text for text in widgets if isinstance(text, str)],
    }


FIXED = re.compile(r"# Exercise \d|# \([\w ,.*/+-]*\)$|#\W*$|### ")  # comments that are not prose


@dataclass(frozen=True)
class Unit:
    """Something to translate: the text of a cell, or a comment in it. context: the cell's id, of a comment with #."""

    context: str
    text: str


def sources():
    """The English notebooks: chapters, then exercises."""
    return [path for folder in FOLDERS for path in sorted((address.NOTEBOOKS / folder).glob("*.ipynb"))]


def begun(language):
    """The English notebooks that have a catalog."""
    return [path for path in sources() if catalog_path(path, language).is_file()]


def target(path, language):
    """Where the notebook made of `path` lies."""
    return address.NOTEBOOKS / language / path.relative_to(address.NOTEBOOKS)


def catalog_path(path, language):
    """Where the catalog of the notebook `path` lies."""
    return address.NOTEBOOKS / language / "catalogs" / path.relative_to(address.NOTEBOOKS).with_suffix(".po")


class Messages(Catalog):
    """A Catalog whose file says nothing that changes by itself, such as the day."""

    mime_headers = (("Content-Type", "text/plain; charset=utf-8"),)


# --- what there is to translate ------------------------------------------------------------------------------------


def units(notebook, path):
    """The Units of a notebook in order. Args: path, of its file: the badge names it."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found.append(Unit(cell.id, cell.source.replace(address.badge(path), BADGE)))
        elif cell.id != "setup":
            found += [Unit(f"{cell.id}#", token.string) for token in comments(cell.source)]
    return list(dict.fromkeys(found))


def comments(source):
    """The tokens of the comments in code that are prose: not shapes, nor an exercise's headline."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token for token in tokens if token.type == tokenize.COMMENT and not FIXED.match(token.string)]


def messages():
    """What the course says to a learner, {name of a catalog: list of Units}: one for the exercises of each notebook,
    one for each of ``CATALOGS``: what passes through ``say`` in its folders."""
    found = dict.fromkeys(CATALOGS.values())
    found = {name: [] for name in ("common", *found)}
    for package in ("ch07", "ch08"):
        for exercise in importlib.import_module(f"{package}.exercises").EXERCISES:
            mistakes = [mistake.says for mistake in exercise.all_mistakes()]
            labels = [case.label for case in (*exercise.cases, *exercise.large)]
            texts = [exercise.title, *labels, *mistakes, *exercise.hints, exercise.section]
            chapter, section, _ = exercise.number.split(".")
            name = f"ch{int(chapter):02}_{int(section):02}"
            found.setdefault(name, []).extend(Unit("", text) for text in texts)
    for path in sorted(path for top in ("common", "ch07", "ch08") for path in (address.ROOT / top).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if re.search(r"from common\.language import .*\b(say|Message)\b", source):
            here = path.relative_to(address.ROOT).as_posix()
            name = next(name for start, name in CATALOGS.items() if here.startswith(start))
            found[name] += [Unit("", text) for text in said_in(source)]
    found["errors"] = []
    for path in (address.ROOT / file for file in RAISING):
        raised = [text for *_, text, _ in errors.raised_in(path)] + [text for text, _ in errors.clauses_in(path)]
        found["errors"] += [Unit("", text) for text in raised]
    for name, texts in said_by_name().items():
        found[name] += [Unit("", text) for text in texts]
    seen = set()
    return {name: [u for u in dict.fromkeys(units) if not (u in seen or seen.add(u))] for name, units in found.items()}


def said_in(source):
    """The texts that code hands to ``say`` or ``Message`` as they are, in order."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    calls = [node for node in calls if getattr(node.func, "id", "") in ("say", "Message")]
    texts = [node.args[0] for node in sorted(calls, key=lambda node: (node.lineno, node.col_offset))]
    return [text.value for text in texts if isinstance(text, ast.Constant)]


def messages_path(name, language):
    """Where a catalog of messages lies."""
    return MESSAGES / language / f"{name}.po"


# --- catalogs ------------------------------------------------------------------------------------------------------


def read(path):
    """The Catalog in a file; an empty one if there is none."""
    if not path.is_file():
        return Catalog()
    with path.open("rb") as file:
        return read_po(file, abort_invalid=True)


def po(catalog):
    """The bytes of a Catalog's file, without what changes by itself: dates and versions."""
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=0, omit_header=True)
    header = ("", f"Language: {catalog.locale_identifier}\\n", "Content-Type: text/plain; charset=utf-8\\n")
    first = 'msgid ""\nmsgstr ' + "\n".join(f'"{line}"' for line in header) + "\n\n"
    return (first + buffer.getvalue().decode().strip() + "\n").encode()


def mo(catalog):
    """The bytes of a Catalog as the gettext module reads it."""
    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def update(catalog, found, language):
    """A new Catalog with an entry for each Unit, from an older one.

    A text that has an entry keeps it, wherever it stands now. A changed text takes the entry of its context, fuzzy.
    """
    new = Catalog(locale=language)
    by_text = {((m.context or ""), m.id): m for m in catalog if m.id}
    anywhere = {m.id: m for m in catalog if m.id and m.string and not m.fuzzy}
    wanted = {unit.context for unit in found}
    left = {}  # entries whose text is gone, by context
    now = {(unit.context, unit.text) for unit in found}
    for message in catalog:
        if (
            message.id
            and message.string
            and ((message.context or ""), message.id) not in now
            and (message.context or "") in wanted
        ):
            left.setdefault((message.context or ""), []).append(message)
    for unit in found:
        old = by_text.get((unit.context, unit.text))
        if old is None or not old.string:
            old = anywhere.get(unit.text, old)
        if old is not None:
            new.add(unit.text, old.string, context=unit.context or None, flags=old.flags, previous_id=old.previous_id)
        elif len(left.get(unit.context, [])) == 1:
            (before,) = left.pop(unit.context)
            flags = {*before.flags, "fuzzy"}
            new.add(unit.text, before.string, context=unit.context or None, flags=flags, previous_id=[before.id])
        else:
            new.add(unit.text, "", context=unit.context or None)
    return new


def finished(catalog):
    """The messages of a catalog that are translated."""
    return [message for message in catalog if message.id and message.string and not message.fuzzy]


def unfinished(catalog):
    """The messages of a catalog that are not translated, or only as they once were."""
    return [message for message in catalog if message.id and (message.fuzzy or not message.string)]


# --- the translated notebook ---------------------------------------------------------------------------------------


def translated(notebook, path, language, catalogs):
    """The notebook in another language, a new NotebookNode.

    Args: notebook, of the English file `path`; catalogs: path of an English notebook -> its Catalog.
    """
    catalog, made = catalogs(path), copy.deepcopy(notebook)
    for cell in made.cells:
        if cell.cell_type == "markdown":
            text = cell.source.replace(address.badge(path), BADGE)
            message = catalog.get(text, cell.id)
            text = shown(message, text, language)
            text = moved_links(text, path, language, catalogs)
            cell.source = text.replace(BADGE, address.badge(target(path, language)))
        elif cell.id != "setup":
            cell.source = with_comments(cell.source, cell.id, catalog)
    place = next((k for k, cell in enumerate(made.cells) if cell.id == "setup"), 0) + 1
    chooses = nbformat.v4.new_code_cell(LANGUAGE_CELL.format(language), id="language")
    made.cells.insert(place, chooses)
    count = 0
    for cell in made.cells:
        if cell.cell_type == "code" and (cell.execution_count is not None or (cell is chooses and count)):
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = count
    return made


def shown(message, text, language):
    """The translation of a cell; where it is missing or out of date, the English text with a mark."""
    if message is not None and message.string and not message.fuzzy:
        return message.string
    mark = (STALE if message is not None and message.string else NOT_YET)[language]
    title = re.match(r"# .*\n*", text)  # a notebook begins with its title
    return f"{title[0].rstrip()}\n\n{mark}\n\n{text[title.end() :]}" if title else f"{mark}\n\n{text}"


def with_comments(source, cell_id, catalog):
    """Code with its comments translated. A translation stays on the line of its comment."""
    lines = source.splitlines(keepends=True)
    for token in reversed(comments(source)):
        message = catalog.get(token.string, f"{cell_id}#")
        if message is not None and message.string and not message.fuzzy:
            (row, start), (_, end) = token.start, token.end
            line = lines[row - 1]
            lines[row - 1] = line[:start] + message.string.strip() + line[end:]
    return "".join(lines)


LINK = re.compile(r"(\]\(|\b(?:src|href)=[\"'])([^)\"'\s]+)")


def moved_links(text, path, language, catalogs):
    """Markdown whose relative links lead from the translated notebook to where they led from `path`.

    A link to a notebook leads to its translation, one to a heading there to the translated heading.
    """
    place, known = target(path, language).parent, {path, *begun(language)}

    def moved(found):
        link = found[2]
        if re.match(r"[a-z]+:", link):
            return found[0]
        file, _, anchor = unquote(link).partition("#")
        there = (path.parent / file).resolve() if file else path
        if there in known:
            anchor = translated_anchor(anchor, there, catalogs)
            there = target(there, language)
        new = "" if not file else relative(there, place)
        return found[1] + quote(new) + (f"#{quote(anchor)}" if anchor else "")

    return LINK.sub(moved, text)


def relative(path, folder):
    """The path from a folder, with forward slashes."""
    up = []
    while not path.is_relative_to(folder):
        folder, up = folder.parent, [*up, ".."]
    return "/".join([*up, *path.relative_to(folder).parts])


def headings(text):
    """The headings of Markdown, without fenced blocks."""
    return re.findall(r"^#{1,6} +(.+?)\s*$", re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.M | re.S), flags=re.M)


def translated_anchor(anchor, path, catalogs):
    """The anchor of the heading's translation, as Jupyter spells anchors; the same where there is none."""
    for message in finished(catalogs(path)):
        for before, after in zip(headings(message.id), headings(message.string), strict=False):
            if before.replace(" ", "-") == anchor:
                return after.replace(" ", "-")
    return anchor


# --- is a translation whole? ---------------------------------------------------------------------------------------


def faults(text, translation, context=None):
    """What a translation lacks or adds, as sentences.

    Of a cell, whose context is its id: code, mathematics, links, headings, tables, numbers. Of a comment: its #. Of a
    message: the names in braces, code and numbers.
    """
    text, translation = unwrapped(text), unwrapped(translation)
    if context and context.endswith("#"):
        return [] if re.fullmatch(r"#.*", translation) else ["a comment is one line that begins with #"]
    kinds = {
        "code": lambda t: set(re.findall(r"`[^`\n]+`", without_fences(t))),
        "numbers": lambda t: set(re.findall(r"\d+(?:[.,]\d+)*", without_math(without_code(t)))),
    }
    if context is None:
        kinds["names"] = lambda t: sorted(re.findall(r"\{[^{}]*\}", t))
    else:
        kinds |= {
            "mathematics": lambda t: sorted(re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$", without_code(t), flags=re.S)),
            "links": lambda t: sorted(found[1] for found in LINK.findall(without_code(t))),
            "headings": lambda t: re.findall(r"^#{1,6}(?= )", without_fences(t), flags=re.M),
            "fenced blocks": lambda t: re.findall(r"^(?:```|~~~)\w*", t, flags=re.M),
            "columns of tables": lambda t: [
                line.count("|") for line in without_code(t).splitlines() if line.startswith("|")
            ],
        }
    wrong = []
    for kind, of in kinds.items():
        before, after = of(text), of(translation)
        if before != after:
            lost, added = [x for x in before if x not in after], [x for x in after if x not in before]
            wrong.append(f"{kind}: lost {lost}, added {added}")
    return wrong


# Code or mathematics within a paragraph.
SPAN = re.compile(r"`[^`\n]*(?:\n(?!\s*\n)[^`\n]*)?`|(?<!\$)\$(?!\$)[^$\n]*(?:\n(?!\s*\n)[^$\n]*)?\$(?!\$)")


def unwrapped(text):
    """A text in which no code and no mathematics within a paragraph goes over the end of a line."""
    return SPAN.sub(lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text)


def without_fences(text):
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.M | re.S)


def without_code(text):
    return re.sub(r"`[^`\n]+`", "", without_fences(text))


def without_math(text):
    return re.sub(r"\$\$.+?\$\$|\$[^$\n]+\$", "", text, flags=re.S)


# --- the command ---------------------------------------------------------------------------------------------------


def begin(language, names):
    """Write empty catalogs for notebooks and the messages of their exercises, where there are none.

    Args: names, of chapter notebooks, or of ``CATALOGS``: the messages that no exercise has.
    """
    texts = messages()
    for name in names:
        paths = [path for path in sources() if path.stem == name]
        if (not paths and name not in texts) or name in ("", "."):
            known = [*texts, *(path.stem for path in sources())]
            raise SystemExit(f"no notebook or catalog {name}; there are: {', '.join(dict.fromkeys(known))}")
        places = [catalog_path(path, language) for path in paths]
        places += [messages_path(known, language) for known in texts if name.startswith(known)]
        for place in places:
            if not place.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(po(Catalog(locale=language)))


def build(language, check=False):
    """Bring all catalogs up to date and write what is made of them; with `check` only compare.

    A catalog that somebody saves meanwhile is left alone. Returns: the files that differ.
    """
    known, before = {}, {path: path.read_bytes() for path in catalog_files(language)}

    def catalogs(path):
        if path not in known:
            known[path] = up_to_date(catalog_path(path, language), units(execute.read(path), path), language)
        return known[path]

    files = {}  # path -> bytes
    for path in begun(language):
        files[catalog_path(path, language)] = po(catalogs(path))
        made = translated(execute.read(path), path, language, catalogs)
        if target(path, language).is_file():
            outputs.keep(made, execute.read(target(path, language)))
        files[target(path, language)] = execute.text_of(made).encode()
    readme = address.NOTEBOOKS / language / "README.md"
    if readme.is_file():
        files[readme] = with_lessons(readme.read_text(encoding="utf-8"), language, catalogs).encode()
    said = Messages()
    for name, found in messages().items():
        place = messages_path(name, language)
        if place.is_file():
            catalog = up_to_date(place, found, language)
            files[place] = po(catalog)
            for message in finished(catalog):
                said.add(message.id, message.string)
    files[MESSAGES / f"{language}.mo"] = mo(said)
    changed = [path for path, content in files.items() if not path.is_file() or path.read_bytes() != content]
    for path in [] if check else changed:
        if path in before and path.read_bytes() != before[path]:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[path])
    return changed


def execute_file(path):
    """Execute the translated notebook in this file, built anew, and store what it shows; return the seconds."""
    language = path.relative_to(address.NOTEBOOKS).parts[0]
    english = address.NOTEBOOKS / path.relative_to(address.NOTEBOOKS / language)

    def catalogs(path):
        return up_to_date(catalog_path(path, language), units(execute.read(path), path), language)

    return outputs.execute_file(path, lambda: translated(execute.read(english), english, language, catalogs))


def catalog_files(language):
    """The paths of all catalogs that are begun."""
    places = [catalog_path(path, language) for path in begun(language)]
    return places + sorted((MESSAGES / language).glob("*.po"))


LESSONS = re.compile(r"(<!-- lessons: .*? -->\n).*?(<!-- end -->)", re.DOTALL)


def with_lessons(text, language, catalogs):
    """A language's README with its table of lessons: each in that language, or in English as long as it is missing."""
    minutes = re.findall(
        r"\]\(notebooks/(\w+)\.ipynb\), (\d+)", (address.ROOT / "README.md").read_text(encoding="utf-8")
    )
    lines, ready = [], begun(language)
    for name, time in minutes:
        path = address.NOTEBOOKS / f"{name}.ipynb"
        there = target(path, language) if path in ready else path
        title = execute.read(path).cells[0]
        text_of_title = title.source.replace(address.badge(path), BADGE)
        if path in ready:
            text_of_title = shown(catalogs(path).get(text_of_title, title.id), text_of_title, language)
        place = relative(there, address.NOTEBOOKS / language)
        lines.append(f"| [{headings(text_of_title)[0]}]({place}), {time}{MINUTES[language]} | {address.badge(there)} |")
    table = "\n".join(["", HEAD[language], "|---|---|", *lines, "", ""])
    return LESSONS.sub(lambda found: found[1] + table + found[2], text)


def up_to_date(path, found, language):
    """The Catalog in a file, brought up to date for these Units."""
    return update(read(path), found, language)


def all_catalogs(language):
    """Path -> Catalog, brought up to date, of all that are begun."""
    texts = {catalog_path(path, language): units(execute.read(path), path) for path in begun(language)}
    for name, found in messages().items():
        if messages_path(name, language).is_file():
            texts[messages_path(name, language)] = found
    return {path: up_to_date(path, found, language) for path, found in texts.items()}


def state(language):
    """For each catalog (its path, texts, how many are not translated, how many are out of date, faults)."""
    rows = []
    for path, catalog in all_catalogs(language).items():
        rest = unfinished(catalog)
        wrong = [
            f"{message.id.splitlines()[0][:60]!r}: {fault}"
            for message in finished(catalog)
            for fault in faults(message.id, message.string, message.context)
        ]
        rows.append((path, len(catalog), sum(not m.string for m in rest), sum(bool(m.string) for m in rest), wrong))
    return rows
