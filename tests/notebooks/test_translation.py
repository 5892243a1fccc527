"""The course in other languages: catalogs, and the notebooks that are made of them."""

import io
import re
import tokenize

import nbformat
import pytest
from babel.messages.catalog import Catalog

from common import language as said
from common.language import language, say, with_particles
from tests.notebooks import address, execute, outputs, translation

v4 = nbformat.v4
HERE = address.NOTEBOOKS / "ch08_02_weight_sum.ipynb"


@pytest.fixture(autouse=True)
def english():
    yield
    language("en")


def notebook(*texts):
    cells = [v4.new_markdown_cell(f"# A title\n\n{address.badge(HERE)}\n\nHello.", id="title")]
    cells += [v4.new_code_cell("import this", id="setup", execution_count=1)]
    for k, text in enumerate(texts):
        make = v4.new_code_cell if text.startswith("x") else v4.new_markdown_cell
        cells.append(make(text, id=f"cell-{k}"))
        if text.startswith("x"):
            cells[-1].execution_count = 2
    return v4.new_notebook(cells=cells)


def catalog(node, **translations):
    """A Catalog of the notebook. Args: translations, by the first letters of the text, with _ for what is no letter."""
    made = translation.update(Catalog(), translation.units(node, HERE), "ko")
    for message in made:
        for start, text in translations.items():
            if message.id and re.sub(r"\W", "_", message.id).startswith(start):
                message.string = text
    return made


def build(node, made):
    return translation.translated(node, HERE, "ko", lambda path: made if path == HERE else Catalog())


# --- units and catalogs --------------------------------------------------------------------------------------------


def test_texts_and_comments_are_translated_and_shapes_are_not():
    node = notebook("Some text.", "x = 1  # (N, T)\nx = '# no comment'  # why\n# Exercise 8.2.1\n### BEGIN SOLUTION")
    found = [(unit.context, unit.text) for unit in translation.units(node, HERE)]
    assert found == [
        ("title", "# A title\n\n[Open in Colab]\n\nHello."),
        ("cell-0", "Some text."),
        ("cell-1#", "# why"),
    ]


def test_a_changed_text_keeps_its_translation_and_is_fuzzy():
    before = catalog(notebook("Some text.", "Other text."), Some="글", Other="다른 글")
    after = translation.update(before, translation.units(notebook("Some new text.", "Other text."), HERE), "ko")
    changed, same = after.get("Some new text.", "cell-0"), after.get("Other text.", "cell-1")
    assert (changed.string, changed.fuzzy, list(changed.previous_id)) == ("글", True, ["Some text."])
    assert (same.string, same.fuzzy) == ("다른 글", False)
    assert [message.id for message in translation.unfinished(after) if message.string] == ["Some new text."]
    assert after.get("Some text.", "cell-0") is None


def test_a_text_that_moved_keeps_its_translation():
    before = catalog(notebook("Some text.", "Other text."), Some="글")
    after = translation.update(before, translation.units(notebook("Other text.", "Some text."), HERE), "ko")
    assert after.get("Some text.", "cell-1").string == "글"


def test_a_file_holds_all_of_a_catalog(tmp_path):
    made = catalog(
        notebook('A "quote",\n\na \\back\\slash\tand 글.', "x = 1  # why"), A__quote="글\n\n둘", __why="# 왜"
    )
    path = tmp_path / "x.po"
    path.write_bytes(translation.po(made))
    again = translation.read(path)
    assert [(m.context, m.id, m.string) for m in again] == [(m.context, m.id, m.string) for m in made]
    assert translation.po(translation.update(again, translation.units(notebook(), HERE), "ko")).count(b"msgctxt") == 1


# --- the notebook --------------------------------------------------------------------------------------------------


def test_code_and_outputs_stay_and_the_language_is_chosen():
    node = notebook("Some text.", "x = 1  # why\nprint('# why')  # why")
    node.cells[-1].outputs = [v4.new_output("stream", text="# why\n")]
    made = build(node, catalog(node, __why="# 왜", Some="글"))
    assert [cell.id for cell in made.cells] == ["title", "setup", "language", "cell-0", "cell-1"]
    assert made.cells[2].source == 'from common.language import language\n\nlanguage("ko")'
    assert made.cells[3].source == "글"
    assert made.cells[4].source == "x = 1  # 왜\nprint('# why')  # 왜"
    assert made.cells[4].outputs == node.cells[-1].outputs
    assert [cell.execution_count for cell in made.cells if cell.cell_type == "code"] == [1, 2, 3]


def test_what_is_not_translated_is_english_with_a_mark():
    node = notebook("Some text.")
    made = build(node, catalog(node))
    assert made.cells[0].source.startswith("# A title\n\n> *이 부분은 아직")
    assert made.cells[3].source == f"{translation.NOT_YET['ko']}\n\nSome text."
    stale = translation.update(catalog(node, Some="글"), translation.units(notebook("Some words."), HERE), "ko")
    assert build(notebook("Some words."), stale).cells[3].source == f"{translation.STALE['ko']}\n\nSome words."


def test_badge_and_links_lead_to_the_translation_where_there_is_one():
    node = notebook(
        "[a](../ch08/x.py#L1) [b](exercises/ch08_02_weight_sum.ipynb) [c](https://a.b/c.ipynb) [d](#A-title) "
        '[e](no.ipynb) <img src="../ch08/y.png"> [f](ch08_02_weight_sum.ipynb#A-title)'
    )
    made = build(node, catalog(node, __A_title="# 제목\n\n[Open in Colab]\n\n안녕하세요."))
    assert "/blob/main/notebooks/ko/ch08_02_weight_sum.ipynb)" in made.cells[0].source
    assert made.cells[3].source.split("\n\n")[1] == (
        "[a](../../ch08/x.py#L1) [b](exercises/ch08_02_weight_sum.ipynb) [c](https://a.b/c.ipynb) "
        "[d](#%EC%A0%9C%EB%AA%A9) "
        '[e](../no.ipynb) <img src="../../ch08/y.png"> [f](ch08_02_weight_sum.ipynb#%EC%A0%9C%EB%AA%A9)'
    )


@pytest.mark.parametrize(
    ("text", "translation_", "kind"),
    [
        ("The `hs` of 3.", "`h`는 3.", "code"),
        ("Two: 3.", "둘: 4.", "numbers"),
        ("$a$ and [x](y)", "$b$, [x](y)", "mathematics"),
        ("$a$ and [x](y)", "$a$, [x](z)", "links"),
        ("## A\n\nb", "### A\n\nb", "headings"),
        ("| a | b |\n|---|---|", "| a |\n|---|", "columns of tables"),
        ("```\na\n```", "a", "fenced blocks"),
    ],
)
def test_what_a_translation_loses_is_found(text, translation_, kind):
    assert [fault.split(":")[0] for fault in translation.faults(text, translation_, "cell")] == [kind]
    assert translation.faults(text, text, "cell") == []


def test_where_a_line_is_broken_does_not_matter():
    """Code and mathematics may go over the end of a line in one language, and not in the other."""
    text, other = "Call `f(a,\nb)` with $x +\ny$.", "$x + y$[으로/로] `f(a, b)`를 불러요."
    assert translation.faults(text, other, "cell") == translation.faults(other, text, "cell") == []
    assert translation.faults(text, other.replace("b", "c"), "cell")


def test_a_catalog_that_is_saved_meanwhile_is_left_alone(tmp_path, monkeypatch):
    notebooks, name = tmp_path / "notebooks", "ch08_02_weight_sum"
    lesson, place = notebooks / f"{name}.ipynb", notebooks / "ko" / "catalogs" / f"{name}.po"
    place.parent.mkdir(parents=True)
    lesson.write_bytes((address.NOTEBOOKS / lesson.name).read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((address.ROOT / "pyproject.toml").read_bytes())
    place.write_bytes(translation.po(translation.Catalog(locale="ko")))
    monkeypatch.setattr(address, "NOTEBOOKS", notebooks)
    monkeypatch.setattr(address, "ROOT", tmp_path)
    monkeypatch.setattr(translation, "MESSAGES", tmp_path)
    monkeypatch.setattr(translation, "messages", dict)
    joined = translation.mo

    def slowly(catalog):
        place.write_text("a translator's work")
        return joined(catalog)

    monkeypatch.setattr(translation, "mo", slowly)
    translation.build("ko")
    assert place.read_text() == "a translator's work"
    assert (notebooks / "ko" / lesson.name).is_file()


def test_names_in_messages_and_marks_of_comments_must_stay():
    assert translation.faults("{name} is {got}.", "{name}[은/는] 이상해요.")[0].startswith("names: lost ['{got}']")
    assert translation.faults("{name} is 3.", "3이에요, {name}[은/는].") == []
    assert translation.faults("# why", "왜", "cell#")
    assert not translation.faults("# why", "# 왜", "cell#")


# --- messages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("c[은/는]", "c는"),
        ("dhs[이/가]", "dhs가"),
        ("`dm`[을/를]", "`dm`을"),
        ("3[이/가] 6[이/가] 2[이/가]", "3이 6이 2가"),
        ("(2, 3)[과/와]", "(2, 3)과"),
        ("7[으로/로] 3[으로/로] 2[으로/로]", "7로 3으로 2로"),
        ("기울기[을/를] 가중합[을/를]", "기울기를 가중합을"),
        ("a[0] stays [은/는", "a[0] stays [은/는"),
    ],
)
def test_particles_follow_the_sound(text, right):
    assert with_particles(text) == right


def test_english_is_said_unless_another_language_is_chosen(tmp_path, monkeypatch):
    made = translation.Messages()
    made.add("{what} is all zeros.", "{what}[은/는] 모두 0이에요.")
    (tmp_path / "ko.mo").write_bytes(translation.mo(made))
    monkeypatch.setattr(said, "FOLDER", tmp_path)
    assert said.languages() == ["en", "ko"]
    assert say("{what} is all zeros.", what="dm") == "dm is all zeros."
    assert language("ko") is None
    assert language() == "ko"
    assert say("{what} is all zeros.", what="dm") == "dm은 모두 0이에요."
    assert say("{not a name} and [은/는]") == "{not a name} and 는"
    assert say("") == ""
    with pytest.raises(ValueError, match="'de' is not here; there are en, ko"):
        language("de")
    assert language() == "ko"
    language("en")
    assert say("{what} is all zeros.", what="dm") == "dm is all zeros."


# --- what is here --------------------------------------------------------------------------------------------------


def code_of(source):
    """The tokens of code, without comments."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [(token.type, token.string) for token in tokens if token.type not in (tokenize.COMMENT, tokenize.NL)]


@pytest.mark.parametrize("chosen", translation.LANGUAGES)
def test_translations_are_up_to_date_and_whole(chosen):
    assert translation.build(chosen, check=True) == [], f"run: make {chosen}"
    assert [fault for row in translation.state(chosen) for fault in row[-1]] == []


@pytest.mark.parametrize("chosen", translation.LANGUAGES)
def test_translated_notebooks_have_the_same_code_and_their_outputs_the_same_numbers(chosen):
    pairs = [(path, translation.target(path, chosen)) for path in translation.begun(chosen)]
    assert pairs
    for english_path, path in pairs:
        english, other = execute.read(english_path), execute.read(path)
        cells = [cell for cell in other.cells if cell.id != "language"]
        assert [cell.id for cell in cells] == [cell.id for cell in english.cells]
        for mine, theirs in zip(cells, english.cells, strict=True):
            if mine.cell_type == "code":
                assert code_of(mine.source) == code_of(theirs.source)
                if outputs.MADE_BESIDE in mine.metadata:  # else carried over, which the test above compares
                    where = f"{path.name}, {mine.id}"
                    assert outputs.numbers(mine.outputs) == outputs.numbers(theirs.outputs), where


def test_no_translation_uses_a_word_that_the_glossary_rejects():
    rows = re.findall(r"^\|([^|]*)\|([^|]*)\|[^|]*\|([^|]*)\|$", glossary(), flags=re.M)[2:]
    assert len(rows) > 50
    rejected = {word.strip(): korean.strip() for _, korean, words in rows for word in words.split(",") if word.strip()}
    assert not set(rejected) & {korean.strip() for _, korean, _ in rows}
    for path, catalog in translation.all_catalogs("ko").items():
        for message in translation.finished(catalog):
            found = [word for word in rejected if re.search(rf"(?<![가-힣]){word}", message.string)]
            assert not found, f"{path.name}: {found[0]} in {message.string!r}; say {rejected[found[0]]}"


def glossary():
    return (address.NOTEBOOKS / "ko" / "GLOSSARY.md").read_text(encoding="utf-8")


# --- the README ----------------------------------------------------------------------------------------------------

COMMAND = re.compile(r"(?:make|git|cd|cp|conda|pip|mpiexec|python3?|\.venv/bin/python)\b")


def commands_in(text):
    """The commands of a page: lines of its code, and what stands in backticks."""
    lines = re.findall(r"^    (\S.*)$", text, flags=re.M)
    spans = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]
    return {line for line in [*lines, *spans] if COMMAND.match(line)}


def readmes(chosen):
    pages = address.ROOT / "README.md", address.NOTEBOOKS / chosen / "README.md"
    return pages, [page.read_text(encoding="utf-8") for page in pages]


@pytest.mark.parametrize("chosen", translation.LANGUAGES)
def test_a_readme_has_the_commands_of_the_english_one_and_both_lead_to_each_other(chosen):
    (_, page), (english, other) = readmes(chosen)
    assert len(commands_in(english)) > 30
    assert commands_in(other) == commands_in(english)
    assert f"(notebooks/{chosen}/README.md)" in english[:200]
    assert "[English](../../README.md)" in other[:200]
    assert translation.LANGUAGES[chosen] in english[:200]
    for link in re.findall(r"\]\(([^)\s]+)\)", other):
        file, _, anchor = link.partition("#")
        if not link.startswith("http"):
            there = page.parent / file
            assert there.exists(), link
            titles = translation.headings(there.read_text(encoding="utf-8")) if anchor else []
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert not anchor or anchor in anchors, link


@pytest.mark.parametrize("chosen", translation.LANGUAGES)
def test_a_readme_lists_every_lesson_in_its_language_where_there_is_one(chosen):
    _, (english, other) = readmes(chosen)
    names = re.findall(r"\]\(notebooks/(\w+)\.ipynb\), (\d+)", english)
    assert len(names) > 20
    listed = re.findall(r"^\| \[([^\]]+)\]\(((?:\.\./)?\w+\.ipynb)\), (\d+)\S* \|", other, flags=re.M)
    assert [minutes for *_, minutes in listed] == [minutes for _, minutes in names]
    for (title, file, _), (name, _) in zip(listed, names, strict=True):
        there = (address.NOTEBOOKS / chosen / f"{name}.ipynb").is_file()
        assert file == (f"{name}.ipynb" if there else f"../{name}.ipynb")
        assert bool(re.search("[가-힣]", title)) == there
