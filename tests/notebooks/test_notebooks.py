"""The notebooks of the course keep the rules of `rules.py`, ruff's among them, and the README lists them."""

import re
import subprocess
import sys

import pytest

from tests.notebooks import address, rules

CHAPTERS = address.chapters()


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_chapters_keep_the_rules(rule):
    wrong = [f"{path.name}: {sentence}" for path in CHAPTERS for sentence in rule(rules.Notebook(path))]
    assert wrong == []


def test_chapters_are_named_in_reading_order():
    assert [path.name for path in CHAPTERS if not re.fullmatch(r"(00|ch\d\d_\d+)_[a-z0-9_]+\.ipynb", path.name)] == []


def test_notebooks_pass_ruff():
    paths = [str(path) for path in address.all_notebooks()]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", *paths, str(address.NOTEBOOKS / "conftest.py")],
            cwd=address.ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


def test_no_page_names_another_address():
    """Links to Colab and clone commands all lead to the address in pyproject.toml."""
    slug = address.slug(address.address())
    for path in [*address.ROOT.glob("*.md"), *address.NOTEBOOKS.rglob("*.md"), *address.all_notebooks()]:
        text = path.read_text(encoding="utf-8")
        linked = re.findall(r"colab\.research\.google\.com/github/([\w-]+/[\w.-]+)/", text)
        linked += re.findall(r"git clone https://github\.com/([\w-]+/[\w.-]+?)(?:\.git)?(?![\w.-])", text)
        assert set(linked) <= {slug}, path


def test_readme_lists_every_chapter_with_its_title_its_time_and_its_badge():
    text = (address.ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line.replace("\N{NO-BREAK SPACE}", " ") for line in text.splitlines() if line.startswith("|")]
    for path in CHAPTERS:
        (row,) = [line for line in rows if address.badge(path) in line] or ["no row"]
        first = rules.Notebook(path).node.cells[0].source
        title, minutes = re.match(r"# (.*)", first)[1], re.search(r"Time: about (\d+) minutes", first)[1]
        assert f"[{title}](notebooks/{path.name}), {minutes} min:" in row, f"README: the row of {path.name}"
