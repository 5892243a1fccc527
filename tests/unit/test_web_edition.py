"""What the web edition is made of, before Sphinx reads it. `tests/browser/test_site.py` looks at the built site."""

import base64
import json
import re

import pytest

from common.grading.exercise import exercises
from common.language import language
from notebooks.web import stage
from notebooks.web.__main__ import clear
from tests.notebooks import rules
from tests.notebooks.address import ROOT

REPOSITORY = "https://github.com/ada/my-course"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAAAAADRSSBWAAAAC0lEQVR4nGNk+A8AAQMBATxlm4AAAAAASUVORK5CYII="
)  # 2 x 1


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """The folder that Sphinx would read."""
    folder = tmp_path_factory.mktemp("staged") / "source"
    stage.stage(folder)
    return folder


# --- links ----------------------------------------------------------------------------------------


@pytest.fixture
def course(tmp_path):
    """A small repository: two lessons, a page, a file of code."""
    for name in ("README.md", "notebooks/a.ipynb", "notebooks/b.ipynb", "tests/README.md", "ch08/layer.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    published = [tmp_path / name for name in ("notebooks/a.ipynb", "notebooks/b.ipynb", "tests/README.md")]
    return tmp_path, stage.Links(published, tmp_path, REPOSITORY)


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("b.ipynb", "b.ipynb"),
        ("b.ipynb#Does-it-hurt-here?", "b.ipynb#does-it-hurt-here"),
        ("#The-notebooks,-in-order", "#the-notebooks-in-order"),
        ("../tests/README.md#how-to-run", "../tests/README.md#how-to-run"),
        ("../README.md", "../index.md"),
        ("../README.md#what-is-measured", "../index.md#what-is-measured"),
        ("../README.md#two-commands", "../about.md#two-commands"),
        ("../ch08/layer.py", f"{REPOSITORY}/blob/main/ch08/layer.py"),
        ("../ch08", f"{REPOSITORY}/blob/main/ch08"),
        ("https://arxiv.org/abs/1409.0473#x", "https://arxiv.org/abs/1409.0473#x"),
    ],
)
def test_a_link_leads_to_a_page_of_the_site_or_to_the_repository(course, link, target):
    root, links = course
    assert links.target(link, root / "notebooks" / "a.ipynb") == target
    assert links.rewrite(f"see [the `x` of it]({link}).", root / "notebooks" / "a.ipynb").endswith(f"]({target}).")


def test_a_link_to_nothing_is_an_error_that_names_the_page(course):
    root, links = course
    with pytest.raises(ValueError, match=r"notebooks/a\.ipynb links to c\.ipynb, which is not there"):
        links.rewrite("[c](c.ipynb)", root / "notebooks" / "a.ipynb")


@pytest.mark.parametrize(
    "text",
    ["`[c](c.ipynb)`", "```\n[c](c.ipynb)\n```", "``a ` [c](c.ipynb)``", "~~~\n[c](c.ipynb)\n~~~", "![c](c.png)"],
)
def test_code_and_pictures_are_left_alone(course, text):
    root, links = course
    assert links.rewrite(text, root / "notebooks" / "a.ipynb") == text


# --- what is added and changed --------------------------------------------------------------------


def test_a_picture_becomes_a_file_and_keeps_its_words(tmp_path):
    data = base64.b64encode(PNG).decode()
    image = f'<img alt="2 &lt; 3" width="300" style="max-width:100%" src="data:image/png;base64,{data}">'
    frame = f'<div style="overflow-x:auto">{image}</div>'
    shown = stage.Pictures(tmp_path).extract(frame, "../")
    (file,) = (tmp_path / stage.PICTURES).iterdir()
    assert file.read_bytes() == PNG
    assert f'src="../{stage.PICTURES}/{file.name}"' in shown
    assert 'alt="2 &lt; 3"' in shown
    assert 'width="300"' in shown
    assert 'height="150"' in shown, "the shape of the picture: nothing moves when it arrives"
    assert "<div" not in shown


def test_links_of_an_output_lead_to_pages():
    text = '<a href="exercises/x.ipynb#cell-id=spec-8-2-1">a</a> <a href="y.ipynb">b</a> <a href="https://z.org/q.ipynb">c</a>'
    changed = stage.site_links(text)
    assert re.findall('href="([^"]*)"', changed) == [
        "exercises/x.html#spec-8-2-1",
        "y.html",
        "https://z.org/q.ipynb",
    ]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("00_start_here", "Begin"),
        ("ch07_02_reverse_and_peeky", "Sequence to sequence"),
        ("ch08_07_seeing_attention", "Attention, layer by layer"),
        ("ch08_17_anything", "Translation"),
        ("ch08_20_anything", "Transformers"),
        ("ch08_30_anything", "Memory"),
    ],
)
def test_a_lesson_finds_its_part(name, part):
    assert stage.part_of(name) == part


def test_only_an_earlier_site_is_removed(tmp_path):
    clear(tmp_path / "new")
    for name, kept in ((".buildinfo", False), (f"{stage.EXPLORER}/index.html", False), ("thesis.txt", True)):
        folder = tmp_path / name.replace("/", "-")
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("")
        if kept:
            with pytest.raises(SystemExit, match="holds something that is not a site"):
                clear(folder)
        else:
            clear(folder)
        assert folder.exists() == kept


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("notebooks/ko/exercises/a.ipynb", "ko"),
        ("/srv/ko/notebooks/ko/a.ipynb", "ko"),
        ("/srv/ko/notebooks/exercises/a.ipynb", "en"),
        ("about", "en"),
    ],
)
def test_the_folder_says_the_language(path, language):
    assert stage.language_of(path) == language


# --- the whole course -----------------------------------------------------------------------------


def cells(staged, name):
    """The cells of a staged notebook."""
    return json.loads((staged / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def test_every_notebook_and_every_page_is_there_and_in_the_contents(staged):
    contents = (staged / "index.md").read_text(encoding="utf-8")
    books = [path for path in stage.books() if path.parent.name != "exercises"]
    assert len(books) > len(stage.lessons()) > 20
    for path in books:
        name = path.relative_to(ROOT / "notebooks").with_suffix("").as_posix()
        assert f"\nnotebooks/{name}\n" in contents, name
        if (path.parent / "exercises" / path.name).is_file():
            assert f"<exercises/{path.stem}>" in cells(staged, name)[-1]["source"], name
    there = {path.relative_to(staged) for path in staged.rglob("*.md")}
    for path in [*ROOT.glob("notebooks/**/*.md"), *ROOT.glob("tests/*.md"), *ROOT.glob("ch08/pretrained/**/*.md")]:
        assert path.relative_to(ROOT) in there, path
        assert f"\n{path.relative_to(ROOT).with_suffix('').as_posix()}\n" in contents


def test_no_cell_is_lost_and_outputs_keep_their_text(staged):
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        stored = json.loads(path.read_text(encoding="utf-8"))["cells"]
        shown = {cell["id"]: cell for cell in cells(staged, path.stem)}
        for cell in stored:
            assert cell["id"] in shown, f"{path.stem}: {cell['id']}"
            if cell["cell_type"] == "code":
                assert shown[cell["id"]]["source"] == stage.joined(cell["source"])
                before = [output.get("text") for output in cell["outputs"]]
                assert [output.get("text") for output in shown[cell["id"]]["outputs"]] == before


def test_every_picture_keeps_its_alternative_text_and_is_a_file(staged):
    pictures = 0
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        alternatives = []
        for there in (json.loads(path.read_text(encoding="utf-8"))["cells"], cells(staged, path.stem)):
            found = [html for cell in there for output in cell.get("outputs", []) for html in [output.get("data", {})]]
            text = "".join(stage.joined(data.get("text/html", "")) for data in found)
            tags = re.findall(r"<img\b[^>]*>", text)
            alternatives.append([rules.attribute(tag, "alt") for tag in tags])
        assert all(alternatives[0])
        assert alternatives[0] == alternatives[1]
        for tag in tags:
            file = rules.attribute(tag, "src")
            assert (staged / "notebooks" / file).is_file(), f"{path.stem}: {file[:80]}"
            pictures += 1
    assert pictures > 50


def test_every_exercise_has_its_hints_folded_below_its_check(staged):
    for chapter in (7, 8):
        for number, exercise in exercises(chapter).items():
            here = f"ch{chapter:02}_{int(number.split('.')[1]):02}_*.ipynb"
            (path,) = (staged / "notebooks" / "exercises").glob(here)
            shown = json.loads(path.read_text(encoding="utf-8"))["cells"]
            dashed = number.replace(".", "-")
            place = next(k for k, cell in enumerate(shown) if cell["id"] == f"check-{dashed}")
            text = shown[place + 1]["source"]
            assert text.count("<details>") == 3
            assert "<details open" not in text
            for hint in exercise.hints:
                assert stage.html.escape(hint, quote=False) in text
            spec = next(cell for cell in shown if cell["id"] == f"spec-{dashed}")
            assert spec["source"].startswith(f'<span id="spec-{dashed}"></span>\n\n## ')


def test_what_to_read_again_leads_to_the_section():
    shown = stage.reading('notebook 8.6, "What was measured" and "No such heading"', ROOT / "notebooks")
    page = "../ch08_06_date_conversion.html"
    link = f"<a href='{page}#what-was-measured'>What was measured</a>"
    assert shown.startswith(f"<a href='{page}'>Notebook 8.6</a>, “{link}” and")
    assert "“No such heading”." in shown


def test_every_section_that_a_hint_names_is_there():
    wrong = []
    for chapter in (7, 8):
        for number, exercise in exercises(chapter).items():
            named = len(re.findall('"[^"]+"', exercise.section))
            if stage.reading(exercise.section, ROOT / "notebooks").count(".html#") != named:
                wrong.append(f"{number}: {exercise.section}")
    assert wrong == []


def test_the_korean_edition_is_on_the_site_with_its_own_words(staged):
    (lesson,) = (path for path in stage.lessons(language="ko") if path.stem == "ch08_02_weight_sum")
    name = f"ko/exercises/{lesson.stem}"
    text = "\n".join(cell["source"] for cell in cells(staged, name))
    assert "<summary>힌트" in text
    assert "<p>길이가 H인 영벡터" in text
    assert f"<a href='../{lesson.stem}.html'>노트북 8.2</a>" in text
    assert f"<a href='../{lesson.stem}.html#" in text
    assert language() == "en"


def test_the_korean_part_says_what_it_adds_in_korean(staged):
    """Its front page begins with the Korean explorer; buttons and what stands for a widget are Korean."""
    front = (staged / "notebooks/ko/README.md").read_text(encoding="utf-8")
    assert '<iframe src="../../explorer/ko/index.html" title="어텐션 탐색기' in front
    assert "[English]" not in front, "the side bar leads there"
    books = sorted((staged / "notebooks" / "ko").rglob("*.ipynb"))
    texts = [front, *(path.read_text(encoding="utf-8") for path in books)]
    words = [stage.WORDS["en"][name] for name in ("colab", "setup")]
    assert [word for word in words if any(word in text for text in texts)] == []
    shown = [data for cell in cells(staged, "ko/ch08_07_seeing_attention") for data in outputs(cell, "text/html")]
    (widget,) = (data for data in shown if "course-widget" in data)
    said = "AttentionExplorer: 날짜를 입력하고, 모델의 답과 보는 곳을 확인하세요. 이 셀을 실행하면 쓸 수 있어요."
    assert f'">{said} <a href="../../notebooks/ko/README.html">' in widget
    assert stage.WORDS["ko"].keys() == stage.WORDS["en"].keys()


def outputs(cell, kind):
    """What a staged cell shows as ``kind``."""
    return [output["data"][kind] for output in cell.get("outputs", ()) if kind in output.get("data", {})]


def test_the_side_bar_has_the_parts_of_one_language():
    part = '<p aria-level="2" class="caption" role="heading"><span class="caption-text">{}</span></p><ul>{}</ul>'
    contents = "<i></i>" + part.format("Begin", "a") + part.format("한국어", "b") + part.format("The course", "c")
    assert re.findall("<ul>(.)", stage.navigation(contents, "en")) == ["a", "c"]
    assert re.findall("<ul>(.)", stage.navigation(contents, "ko")) == ["b"]
    assert stage.navigation(contents, "ko").startswith("<i></i>")


def test_every_page_leads_to_its_counterpart():
    known = {"index", "about", "notebooks/a", "notebooks/b", "notebooks/exercises/a", "notebooks/ko/README"}
    known |= {"notebooks/ko/a", "notebooks/ko/exercises/a", "notebooks/ko/GLOSSARY", "search"}
    for page, there in (
        ("index", "notebooks/ko/README"),
        ("about", "notebooks/ko/README"),
        ("search", "notebooks/ko/README"),
        ("notebooks/a", "notebooks/ko/a"),
        ("notebooks/exercises/a", "notebooks/ko/exercises/a"),
        ("notebooks/b", "notebooks/ko/README"),
    ):
        assert stage.counterparts(page, known) == [("ko", there)]
    for page, there in (
        ("notebooks/ko/a", "notebooks/a"),
        ("notebooks/ko/exercises/a", "notebooks/exercises/a"),
        ("notebooks/ko/README", "index"),
        ("notebooks/ko/GLOSSARY", "index"),
    ):
        assert stage.counterparts(page, known) == [("en", there)]
    assert stage.counterparts("index", {"index"}) == []


def test_the_korean_part_is_whole(staged):
    """Its front page, its glossary and all its lessons are in its part of the side bar, and in no other."""
    front = (staged / "index.md").read_text(encoding="utf-8")
    (korean,) = re.findall(r"```\{toctree\}\n:hidden:\n:caption: 한국어\n\n(.*?)```", front, flags=re.DOTALL)
    entries = korean.split()
    assert entries[0] == "notebooks/ko/README"
    assert entries[-1] == "notebooks/ko/GLOSSARY"
    assert entries[1:-1] == [f"notebooks/ko/{path.stem}" for path in stage.lessons(language="ko")]
    assert front.count("notebooks/ko/GLOSSARY") == 1
    assert "../../index.md#what-is-measured" in (staged / "notebooks/ko/README.md").read_text(encoding="utf-8")


def test_nothing_is_shown_from_elsewhere(staged):
    """No badge, no picture of another server: what a page shows comes with the site."""
    for path in [*staged.rglob("*.md"), *staged.rglob("*.ipynb")]:
        text = path.read_text(encoding="utf-8")
        assert "colab-badge.svg" not in text, path.name
        assert not re.search(r'<img[^>]*src=\\?"https?:', text), path.name
    assert "course-colab" in cells(staged, "ch08_02_weight_sum")[0]["source"]


def test_the_front_page_lists_every_lesson_with_what_the_readme_says_and_all_results(staged):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    front = (staged / "index.md").read_text(encoding="utf-8")
    listed = stage.rows(readme)
    assert len(listed) == len(stage.lessons())
    for name, (title, minutes, what) in listed.items():
        assert f"- [{title}](notebooks/{name}) · {minutes}\u00a0min" in front
        assert f"{what[1:]}." in front
    measured = stage.sections(readme)["What is measured"]
    rows = [line for line in measured.splitlines() if line.startswith("|")]
    assert len(rows) > 15
    assert all(row in front for row in rows)


def test_what_the_readme_says_is_on_the_front_page_or_on_the_page_about_the_course(staged):
    about = (staged / "about.md").read_text(encoding="utf-8")
    _, *headings = stage.sections((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(headings) > 5
    for heading in headings:
        assert (heading in stage.FRONT) != (f"\n## {heading}\n" in about), heading
