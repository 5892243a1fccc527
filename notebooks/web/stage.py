"""What Sphinx reads: a copy of notebooks and pages, laid out as in the repository, with what the web needs added.

Nothing here knows Sphinx. A notebook keeps its cells and stored outputs, and no cell is executed. Its setup cell is
folded, its pictures become files, and links to source files lead to the repository. Exercises get their hints, folded;
each lesson leads to its exercises. The front page and the page "About the course" are made of README.md.
"""

import base64
import functools
import hashlib
import html
import json
import os
import re
import shutil
import struct
from pathlib import Path
from string import Template
from urllib.parse import unquote

from common.grading.exercise import find
from common.language import ENGLISH, NAMES, say, speaking
from common.widgets import phrases
from tests.notebooks.address import COLAB, ROOT, address
from tests.notebooks.address import slug as repository_slug

# The parts of the course: a title, and the lesson that begins it. A lesson belongs to the last part that has begun.
PARTS = (
    ("Begin", "00"),
    ("Sequence to sequence", "ch07_00"),
    ("Attention, layer by layer", "ch08_01"),
    ("Better readers, deeper models", "ch08_08"),
    ("Translation", "ch08_13"),
    ("Transformers", "ch08_18"),
    ("Memory", "ch08_21"),
)
# What the site says beside a lesson, in the language of the lesson. A translation is a part of its own, with its own
# front page (`notebooks/ko/README.md`) and side bar. explorer: the sentences above its frame, and what the frame is.
# theme: what Sphinx and its extensions say, as far as a page shows it.
WORDS = {
    "en": {
        "name": NAMES["en"],
        "exercises": "Exercises",
        "hints": ("A hint", "A second hint", "What to read again"),
        "colab": "Open in Colab",
        "setup": "The setup cell",
        "explorer": (
            "Type a date, or choose one. A small model writes it as year, month and day, and you see where it looks.\n"
            "Under *Sentences*, larger ones translate from German and Korean.",
            "The attention explorer: type a date or a sentence, see where the model looks",
        ),
        "widget": '<a href="{front}">The one on the front page</a> needs no notebook.',
        "theme": {},
    },
    "ko": {
        "name": NAMES["ko"],
        "exercises": "연습 문제",
        "hints": ("힌트", "두 번째 힌트", "다시 읽을 곳"),
        "colab": "Colab에서 열기",
        "setup": "설정 셀",
        "explorer": (
            "날짜를 입력하거나 골라 보세요. 작은 모델이 그 날짜를 연, 월, 일로 쓰고, 어디를 보는지 보여 줘요.\n"
            "*문장*에서는 더 큰 모델들이 한국어와 독일어를 번역해요.",
            "어텐션 탐색기: 날짜나 문장을 입력하고, 모델이 어디를 보는지 확인하세요",
        ),
        "widget": '<a href="{front}">첫 페이지의 탐색기</a>는 노트북 없이도 쓸 수 있어요.',
        "theme": {
            "About these documents": "이 강의에 대하여",
            "Back to top": "맨 위로",
            "By": "지은이:",
            "Color mode": "색 모드",
            "Contents": "차례",
            "Copied!": "복사했어요!",
            "Copy": "복사",
            "Copy to clipboard": "클립보드로 복사",
            "Dark": "어둡게",
            "Download source file": "소스 파일 내려받기",
            "Download this page": "이 페이지 내려받기",
            "Failed to copy": "복사하지 못했어요",
            "License: MIT": "라이선스: MIT",
            "Light": "밝게",
            "Link to this heading": "이 제목으로 가는 링크",
            "Main": "강의",
            "Print to PDF": "PDF로 인쇄",
            "Search": "검색",
            "Search the course": "강의에서 찾기",
            "Skip to main content": "본문으로 가기",
            "Source repository": "소스 저장소",
            "System Settings": "시스템 설정",
            "Toggle hidden content": "숨긴 내용 펼치기",
            "Toggle primary sidebar": "왼쪽 목차 열고 닫기",
            "Toggle secondary sidebar": "이 페이지의 차례 열고 닫기",
            "Version warning": "버전 안내",
            "What belongs to this lesson": "이 강의에 딸린 것",
            "next": "다음",
            "next page": "다음 페이지",
            "previous": "이전",
            "previous page": "이전 페이지",
        },
    },
}
ROOMS = ("notebooks", "ch07", "ch08", "common", "dataset", "tests")
PICTURES = "pictures"  # the folder of the site that takes the pictures of outputs
FRONT = ("The lessons", "What is measured")  # sections of README.md that the front page has; the rest is "About"
EXPLORER = "explorer"  # the folder of the site that has the explorer's pages
HERE = Path(__file__).resolve().parent


# --- what there is --------------------------------------------------------------------------------


def lessons(root=ROOT, language="en"):
    """The chapter notebooks of a language in reading order."""
    folder = root / "notebooks" / ("" if language == "en" else language)
    return sorted(folder.glob("*.ipynb"))


def language_of(path):
    """The language of a notebook or a page: the folder in `notebooks/` says it."""
    *_, below = re.split(r"(?:^|/)notebooks/", Path(path).as_posix())
    first = below.split("/")[0]
    return first if first in WORDS else "en"


def books(root=ROOT):
    """All notebooks of the site: the lessons of all languages, each with its exercises."""
    found = [path for language in WORDS for path in lessons(root, language)]
    return [book for path in found for book in (path, exercises_of(path)) if book]


def exercises_of(lesson):
    """The notebook with a lesson's exercises, or None."""
    path = lesson.parent / "exercises" / lesson.name
    return path if path.is_file() else None


def pages(root=ROOT):
    """The Markdown pages of all rooms, and CONTRIBUTING.md."""
    found = [path for room in ROOMS for path in sorted((root / room).rglob("*.md"))]
    return [root / "CONTRIBUTING.md", *(path for path in found if ".ipynb_checkpoints" not in path.parts)]


def part_of(name):
    """The title of the part that a lesson belongs to."""
    return [title for title, first in PARTS if first <= name][-1]


# --- links ----------------------------------------------------------------------------------------

CODE = re.compile(r"^(`{3,}|~{3,}).*?^\1|(?<!`)(`+)(?!`).*?(?<!`)\2(?!`)", re.M | re.S)
LINK = re.compile(r"(\]\(\s*<?)([^)\s>]+)(>?[^)]*\))")


def slug(heading):
    """The anchor of a heading: as GitHub and Sphinx write it, whether it is given in words or as Jupyter writes it."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


class Links:
    """Where a link of the repository leads on the site."""

    def __init__(self, published, root=ROOT, repository=None):
        """Args: published, the pages and notebooks that the site has, as paths."""
        self.root, self.published = root, set(published)
        self.blob = f"{repository or address()}/blob/main"

    def target(self, link, page):
        """Return the target for a link on ``page``: a page of the site, or a file in the repository on GitHub.

        Raises: ValueError if the link leads to a file that is not there.
        """
        if re.match(r"[a-z][a-z+.-]*:", link, re.I):
            return link
        file, _, anchor = unquote(link).partition("#")
        path = (page.parent / file).resolve() if file else page
        anchor = f"#{slug(anchor)}" if anchor else ""
        if not path.exists() or not path.is_relative_to(self.root):
            raise ValueError(f"{page.relative_to(self.root)} links to {link}, which is not there")
        if path == self.root / "README.md":
            here = "about.md" if anchor and anchor not in {f"#{slug(heading)}" for heading in FRONT} else "index.md"
            return os.path.relpath(self.root / here, page.parent) + anchor
        if path in self.published:
            return (os.path.relpath(path, page.parent) if file else "") + anchor
        return f"{self.blob}/{path.relative_to(self.root).as_posix()}{anchor}"

    def rewrite(self, text, page):
        """Return a Markdown text with every link of it, outside code, leading to where it belongs on the site."""
        code = [found.span() for found in CODE.finditer(text)]

        def replace(found):
            if any(start < found.start() < end for start, end in code):
                return found[0]
            if found.group(2).startswith("http") or self._is_picture(text, found):
                return found[0]
            return found[1] + self.target(found[2], page) + found[3]

        return LINK.sub(replace, text)

    def _is_picture(self, text, found):
        """Whether what ends at this "](" began with "![": Sphinx copies pictures by itself."""
        depth = 0
        for k in range(found.start(), -1, -1):
            depth += {"]": 1, "[": -1}.get(text[k], 0)
            if depth == 0:
                return text[k - 1 : k] == "!"
        return False


# --- notebooks ------------------------------------------------------------------------------------

BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\(([^)]*)\)")
IMAGE = re.compile(r'(<img\b[^>]*?)\bsrc="data:image/(png|svg\+xml);base64,([^"]+)"([^>]*>)')
FRAME = re.compile(r'<div style="overflow-x:auto">(<img\b[^>]*>)</div>')
CELL = re.compile(r'href="([^":#]+)\.ipynb(?:#cell-id=([\w-]+))?"')


def markdown(text, name):
    """A cell of text."""
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def colab_button(text, language="en"):
    """Replace the badge, a picture from elsewhere, by a link that looks like a button."""
    words = WORDS[language]["colab"]
    return BADGE.sub(rf'<a class="course-button course-colab" href="\1">{words}</a>', text)


def headings(path):
    """The anchors of all headings of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join(joined(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.M)}


def reading(section, folder):
    """What to read again, such as 'notebook 8.3, "Temperature"', as HTML with links to the places that it names.

    Args: folder, that of the lessons. A lesson that is not there (in this language) yet is named without a link.
    """
    chapter, number = map(int, re.match(r"\S+ (\d+)\.(\d+)", section).groups())
    lesson = next(folder.glob(f"ch{chapter:02}_{number:02}_*.ipynb"), None)
    if lesson is None:
        return f"{html.escape(section, quote=False)}."
    page, known = f"../{lesson.stem}.html", headings(lesson)

    def link(found):
        there = slug(found[1])
        return f"“<a href='{page}#{there}'>{found[1]}</a>”" if there in known else f"“{found[1]}”"

    text = re.sub(r'"([^"]+)"', link, html.escape(section, quote=False))
    return re.sub(r"^\S+ [\d.]+", lambda found: f"<a href='{page}'>{found[0][0].upper()}{found[0][1:]}</a>", text) + "."


def hints(number, path):
    """The hints of an exercise as Markdown: each folded, in the order in which `hint` gives them.

    Args: path, of the notebook with the exercise, which says in what language and where the lessons are.
    """
    exercise = find(number)
    with speaking(language_of(path)):
        texts = [html.escape(say(hint), quote=False) for hint in exercise.hints]
        texts.append(reading(say(exercise.section), path.parent.parent))
    folded = [
        f"<details>\n<summary>{title}<span class='visually-hidden'>, {number}</span></summary>\n"
        f"<p>{text}</p>\n</details>"
        for title, text in zip(WORDS[language_of(path)]["hints"], texts)
    ]
    return '<div class="course-hints">\n' + "\n".join(folded) + "\n</div>"


def size(data, kind):
    """Width and height of a picture in its own pixels, (None, None) for an SVG that does not say."""
    if kind == "png":
        return struct.unpack(">II", data[16:24])
    found = re.search(rb'<svg[^>]*?\bwidth="(\d+)"[^>]*?\bheight="(\d+)"', data)
    return (int(found[1]), int(found[2])) if found else (None, None)


class Pictures:
    """Pictures that outputs hold as data become files, so that a page is light and the browser fetches what is seen."""

    def __init__(self, folder):
        self.folder = folder / PICTURES
        self.folder.mkdir(parents=True, exist_ok=True)

    def extract(self, text, up):
        """Return HTML whose pictures are files. Args: up, the way from the page to the root of the site ("../")."""

        def replace(found):
            before, kind, code, after = found.groups()
            kind = kind.removesuffix("+xml")
            data = base64.b64decode(code)
            name = f"{hashlib.sha256(data).hexdigest()[:16]}.{kind}"
            (self.folder / name).write_bytes(data)
            width, height = size(data, kind)
            tag = before + after
            shown = re.search(r'\bwidth="(\d+)"', tag)
            if width:  # so that nothing moves when the picture arrives
                if not shown:
                    before = f'{before}width="{width}" '
                height = round(height * (int(shown[1]) if shown else width) / width)
                before = f'{before}height="{height}" '
            return f'{before}loading="lazy" src="{up}{PICTURES}/{name}"{after}'

        return FRAME.sub(r"\1", IMAGE.sub(replace, text))


def joined(text):
    """The text of a field that a notebook may hold as lines."""
    return text if isinstance(text, str) else "".join(text)


def site_links(text):
    """Links of an output, which lead to notebooks, lead to their pages; to a cell, to its anchor."""
    return CELL.sub(lambda found: f'href="{found[1]}.html{"#" + found[2] if found[2] else ""}"', text)


@functools.cache
def widget_sentence(language):
    """The sentence that stands for a widget, in a language: a pattern with its name and what it is about."""
    with speaking(language):
        sentence = say(phrases.PHRASES["run_cell"])
    return re.compile(re.escape(sentence).replace(r"\{widget\}", r"(\w+)").replace(r"\{about\}", "(.*)"))


def widget_of(text, language):
    """The name of the widget for which a stored text stands, and what it is about; None for any other text.

    A translation may have the English outputs.
    """
    found = widget_sentence(language).fullmatch(text) or widget_sentence(ENGLISH).fullmatch(text)
    return found and found.groups()


def widget(name, about, up, language="en"):
    """What stands where a notebook has a widget: its sentence, and for the explorer the way to the one on the site."""
    with speaking(language):
        sentence = html.escape(phrases.say("run_cell", widget=name, about=say(about)), quote=False)
    link = " " + WORDS[language]["widget"].format(front=f"{up}{front_of(language)}.html")
    return f'<p class="course-widget">{sentence}{link if name == "AttentionExplorer" else ""}</p>'


def front_of(language):
    """The name of the page that is the front page in a language."""
    return "index" if language == ENGLISH else f"notebooks/{language}/README"


def frame_of_explorer(language="en"):
    """The explorer's page, in a frame, as the front page in a language shows it."""
    words, title = WORDS[language]["explorer"]
    up = "../" * front_of(language).count("/")
    page = f"{up}{EXPLORER}/{'' if language == ENGLISH else f'{language}/'}index.html"
    return f'{words}\n\n<div class="course-explorer">\n<iframe src="{page}" title="{title}"></iframe>\n</div>'


def notebook(path, links, pictures, root=ROOT):
    """Return the notebook at ``path``, a dictionary, as the site shows it."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["metadata"]["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    up = "../" * (len(path.relative_to(root).parts) - 1)
    language = language_of(path.relative_to(root))
    words, cells = WORDS[language], []
    for cell in content["cells"]:
        cell["source"] = joined(cell["source"])
        if cell["cell_type"] == "markdown":
            cell["source"] = links.rewrite(colab_button(cell["source"], language), path)
            if cell["id"].startswith("spec-"):
                cell["source"] = f'<span id="{cell["id"]}"></span>\n\n{cell["source"]}'  # where links to a cell lead
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "text/html" in data:
                data["text/html"] = pictures.extract(site_links(joined(data["text/html"])), up)
            elif found := widget_of(joined(data.get("text/plain", "")), language):
                data["text/html"] = widget(*found, up, language)
        if cell["id"] == "setup":
            cell["metadata"] = {"tags": ["hide-input", "remove-output"]}
            cell["metadata"]["mystnb"] = {f"code_prompt_{when}": words["setup"] for when in ("show", "hide")}
        cells.append(cell)
        checked = re.fullmatch(r"check-(\d+)-(\d+)-(\d+)", cell["id"])
        if checked and path.parent.name == "exercises":
            cells.append(markdown(hints(".".join(checked.groups()), path), f"hints-{cell['id']}"))
    if exercises_of(path):
        cells.append(markdown(toctree([f"{words['exercises']} <exercises/{path.stem}>"]), "exercises"))
    content["cells"] = cells
    return content


# --- pages ----------------------------------------------------------------------------------------


def toctree(entries, caption=None):
    """A table of contents that only the side bar shows."""
    lines = ["```{toctree}", ":hidden:", *([f":caption: {caption}"] if caption else []), "", *entries, "```"]
    return "\n".join(lines)


def sections(text):
    """The parts of a page by their headings of level two; what comes first has the name ""."""
    parts = re.split(r"^## (.*)\n", text, flags=re.M)
    return {"": parts[0], **{heading: body.strip() for heading, body in zip(parts[1::2], parts[2::2])}}


def rows(table):
    """What the README's table of lessons says: {file name: (title, minutes, what you learn)}."""
    form = r"^\| \[([^\]]+)\]\(notebooks/([\w.]+)\), (\d+)\s+min:<br>(.*?) \|"
    return {name: (title, minutes, what) for title, name, minutes, what in re.findall(form, table, re.M)}


def list_of_lessons(table, root=ROOT):
    """The front page's list: parts, and in each the lessons with their time, what you learn, and the exercises."""
    known, lines, part = rows(table), [], None
    for path in lessons(root):
        if part_of(path.stem) != part:
            part = part_of(path.stem)
            lines += [f"\n### {part}\n"]
        title, minutes, what = known.get(path.name, (title_of(path), "", ""))
        extras = [f"{minutes}\u00a0min"] if minutes else []
        if exercises_of(path):
            extras.append(f"[exercises](notebooks/exercises/{path.name})")
        lines.append(f"- [{title}](notebooks/{path.name})" + "".join(f" · {extra}" for extra in extras))
        lines += [f"  <br>{what[:1].upper()}{what[1:]}."] if what else []
    return "\n".join(lines)


def title_of(path):
    """The first heading of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return re.search(r"^# (.*)$", joined(cells[0]["source"]), re.M)[1]


def contents(others, root=ROOT):
    """The tables of contents for the side bar: the parts of the course, the other pages, the other languages."""
    lines = []
    for part, _ in PARTS:
        entries = [f"notebooks/{path.stem}" for path in lessons(root) if part_of(path.stem) == part]
        lines += [toctree(entries, part)] if entries else []
    lines.append(toctree(["about", *(page for page in others if language_of(page) == "en")], "The course"))
    for language in list(WORDS)[1:]:
        entries = [f"notebooks/{language}/{path.stem}" for path in lessons(root, language)]
        mine = sorted((page for page in others if language_of(page) == language), reverse=True)  # README.md is first
        lines += [toctree([*mine[:1], *entries, *mine[1:]], WORDS[language]["name"])] if mine or entries else []
    return "\n\n".join(lines)


def navigation(contents_as_html, language):
    """The parts of the side bar's table of contents that are in a language."""
    parts = re.split(r'(?=<p aria-level="2" class="caption")', contents_as_html)
    others = [words["name"] for code, words in WORDS.items() if code != "en"]

    def language_of_part(part):
        title = re.search(r'<span class="caption-text">(.*?)</span>', part)
        return next((code for code in WORDS if title and WORDS[code]["name"] == title[1] in others), "en")

    return parts[0] + "".join(part for part in parts[1:] if language_of_part(part) == language)


def counterparts(page, known):
    """Pairs (language, page): the same page in each other language, or that language's front page.

    Args: page, its name, such as "notebooks/ko/00_start_here"; known, the names of all pages.
    """
    own = language_of(page)
    below = page.removeprefix("notebooks/").removeprefix(f"{own}/" if own != "en" else "")
    found = []
    for language in WORDS:
        if language == own:
            continue
        there = f"notebooks/{below}" if language == "en" else f"notebooks/{language}/{below}"
        front = front_of(language)
        if not page.startswith("notebooks/") or there not in known or below == "README":
            there = front
        found += [(language, there)] if there in known else []
    return found


def front_page(readme, others, root=ROOT):
    """The text of the front page, made of README.md and home.txt."""
    parts = sections(readme)
    introduction = parts[""].split("\n\n")[2]  # after the title and the languages
    first = lessons(root)[0].relative_to(root)
    return Template((HERE / "home.txt").read_text(encoding="utf-8")).substitute(
        introduction=introduction,
        explorer=frame_of_explorer(),
        first=first.with_suffix(".html").as_posix(),
        colab=f"{COLAB}{repository_slug(address())}/blob/main/{first.as_posix()}",
        repository=address(),
        lessons=list_of_lessons(parts["The lessons"], root),
        measured=parts["What is measured"],
        contents=contents(others, root),
    )


def page(path, links, root=ROOT):
    """The text of a Markdown page; the front page of a translation begins with the explorer."""
    name = path.relative_to(root).with_suffix("").as_posix()
    language = language_of(name)
    text = colab_button(links.rewrite(path.read_text(encoding="utf-8"), path), language)
    if name == front_of(language):
        title, _, rest = text.split("\n\n", 2)  # the line between them leads to the languages, as the side bar does
        text = "\n\n".join([title, frame_of_explorer(language), rest])
    return text


def about_page(readme):
    """What README.md says beside the front page's sections."""
    parts = {heading: body for heading, body in sections(readme).items() if heading and heading not in FRONT}
    return "# About the course\n\n" + "\n\n".join(f"## {heading}\n\n{body}" for heading, body in parts.items()) + "\n"


def stage(folder, root=ROOT):
    """Write everything that Sphinx reads into ``folder``, which must not be there yet."""
    folder.mkdir(parents=True)
    texts = pages(root)
    links, pictures = Links([*books(root), *texts], root), Pictures(folder)
    for path in books(root):
        write(folder / path.relative_to(root), json.dumps(notebook(path, links, pictures, root)))
    for path in texts:
        write(folder / path.relative_to(root), page(path, links, root))
        for picture in (*path.parent.glob("*.png"), *path.parent.glob("*.svg")):
            shutil.copy2(picture, folder / picture.relative_to(root))
    readme = root / "README.md"
    text = links.rewrite(readme.read_text(encoding="utf-8"), readme)
    others = [path.relative_to(root).with_suffix("").as_posix() for path in texts]
    write(folder / "about.md", about_page(text))
    write(folder / "index.md", front_page(text, others, root))


def write(path, text):
    """Write a file, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
