"""Notebooks as Colab runs them: one notebook alone in an empty folder, the course fetched by its setup cell.

The address in the notebook is replaced by that of a git repository made of this working tree. `google.colab` is a
stand-in. Packages that Colab does not bring cannot be imported. Every file that the kernel opens for writing is
written down. On a reader's machine only the setup and the imports of each notebook are run, and the first notebook
whole: `make test` runs all of them once already. With PLAY_COLAB=whole in the environment all are run whole, in Korean
where there is a translation, since the code is that of the English notebook, and what they show has to be what is
stored; CI does so on the lowest NumPy and with the ipywidgets 7.7 that Colab has.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest

from tests.notebooks import address, execute, outputs, rules

SITE = """
import importlib.abc
import os
import sys

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
LOG = os.open(os.environ["WRITTEN"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def note(event, arguments):
    paths = ()
    if event == "open" and isinstance(arguments[0], (str, bytes)) and arguments[2] & WRITING:
        paths = arguments[:1]
    elif event in ("os.mkdir", "os.remove", "os.rmdir"):
        paths = arguments[:1]
    elif event in ("os.rename", "os.link", "os.symlink"):
        paths = arguments[1:2]
    for path in paths:
        os.write(LOG, os.path.abspath(os.fsencode(path)) + b"\\n")


sys.addaudithook(note)


class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in os.environ["MISSING"].split():
            raise ModuleNotFoundError(f"No module named {name!r} on Colab", name=name)


sys.meta_path.insert(0, Missing())
"""
WHOLE = os.environ.get("PLAY_COLAB") == "whole"
MISSING = "pytest hypothesis nbval playwright ruff psutil jupyterlab tests"


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """The address of a git repository made of this working tree: what git knows, and new files it does not ignore."""
    folder = tmp_path_factory.mktemp("published") / "attention-from-scratch"
    folder.mkdir()
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=address.ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (address.ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(address.ROOT / name, folder / name)
    user = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], [*user, "commit", "-qm", "x"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)
    return folder.as_uri()


class Colab:
    """An empty machine: a folder for the notebook, a home, a place for temporary files, the stand-in."""

    def __init__(self, folder):
        self.content, self.home, self.tmp, self.site = (folder / name for name in ("content", "home", "tmp", "site"))
        for place in (self.content, self.home, self.tmp, self.site / "google" / "colab"):
            place.mkdir(parents=True)
        (self.site / "google" / "colab" / "__init__.py").write_text("")
        (self.site / "sitecustomize.py").write_text(SITE)
        self.log = folder / "written"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "IPYTHONDIR": str(self.home / ".ipython"),
            "TMPDIR": str(self.tmp),
            "PYTHONPATH": str(self.site),
            "WRITTEN": str(self.log),
            "MISSING": MISSING,
            "PYTHONDONTWRITEBYTECODE": "1",  # the packages of this environment may not have been compiled yet
        } | {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}

    def run(self, notebook):
        execute.run_cells(notebook, self.content, env=self.env)
        return notebook

    def written_elsewhere(self):
        """What was written outside of the notebook's folder, the home and the place for temporary files."""
        allowed = (self.content, self.home, self.tmp, Path("/dev"))
        paths = map(Path, self.log.read_text().splitlines())
        return [path for path in paths if not any(path.is_relative_to(place) for place in allowed)]

    def changed(self):
        """What git sees in the course that the setup cell fetched."""
        (course,) = (path for path in self.content.iterdir() if path.is_dir())
        done = subprocess.run(["git", "status", "--porcelain"], cwd=course, capture_output=True, text=True, check=True)
        return done.stdout


def for_colab(path, published):
    """The notebook with the address of `published`, without its outputs."""
    text = path.read_text(encoding="utf-8")
    assert text.count(f'REPOSITORY = \\"{address.address()}\\"') == 1
    notebook = nbformat.reads(text.replace(address.address(), published), as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def only_imports(notebook):
    """The setup cell, and of the other cells only the imports."""
    for cell in [cell for cell in notebook.cells if cell.cell_type == "code"][1:]:
        nodes = [node for node in ast.walk(rules.tree(cell.source)) if isinstance(node, (ast.Import, ast.ImportFrom))]
        cell.source = "\n".join(map(ast.unparse, nodes))
    return notebook


def run(notebook, folder):
    colab = Colab(folder)
    nbformat.write(notebook, colab.content / "notebook.ipynb")
    colab.run(notebook)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.outputs[0].text == address.READY
    assert colab.written_elsewhere() == []
    assert colab.changed() == ""
    assert len(list(colab.content.iterdir())) == 2, "more than the notebook and the course"


def whole(path):
    return WHOLE or path == address.chapters()[0]


@pytest.mark.parametrize("path", address.chapters(), ids=lambda path: path.stem)
def test_chapter_runs_on_colab(path, tmp_path, published):
    korean = address.NOTEBOOKS / "ko" / path.name
    notebook = for_colab(korean if WHOLE and korean.is_file() else path, published)
    run(notebook if whole(path) else only_imports(notebook), tmp_path)
    if WHOLE:
        assert outputs.differences(execute.read(korean if korean.is_file() else path), notebook) == []


@pytest.mark.parametrize("path", sorted((address.NOTEBOOKS / "solutions").glob("*.ipynb")), ids=lambda path: path.stem)
def test_solved_exercises_run_on_colab(path, tmp_path, published):
    """Every check answers with nothing installed but what Colab has."""
    notebook = for_colab(path, published)
    run(notebook if WHOLE else only_imports(notebook), tmp_path)
    if WHOLE:
        checks = [cell for cell in notebook.cells if cell.get("id", "").startswith("check-")]
        assert checks
        for cell in checks:
            assert [re.sub(r"[\d.]+", "N", output.text) for output in cell.outputs] == ["Exercise N ok\n"]


# --- the stand-in itself --------------------------------------------------------------------------


def example(published, *sources):
    v4 = nbformat.v4
    return v4.new_notebook(cells=[v4.new_code_cell(text) for text in (address.setup_source(published), *sources)])


def test_a_notebook_of_the_course_runs_with_nothing_but_what_colab_has(tmp_path, published):
    course = "from common.widgets import AttentionExplorer\nfrom ch08.attention_layer import Attention"
    check = f"""
        checkout, environment = Path({str(address.ROOT)!r}), Path(sys.prefix)  # a reader's .venv lies in the checkout
        assert ROOT == here / "attention-from-scratch", ROOT
        stray = [place for place in map(Path, sys.path) if place.is_relative_to(checkout)]
        assert all(place.is_relative_to(environment) for place in stray), stray
        ours = [module for name, module in sys.modules.items() if name.split(".")[0] in ("common", "dataset", "ch08")]
        assert all(Path(module.__file__).is_relative_to(ROOT) for module in ours), ours
    """
    check = textwrap.dedent(check)
    run(example(published, course, check), tmp_path)


@pytest.mark.parametrize("name", MISSING.split())
def test_what_colab_lacks_cannot_be_imported(name, tmp_path):
    Colab(tmp_path)
    env = {"PYTHONPATH": str(tmp_path / "site"), "WRITTEN": str(tmp_path / "written"), "MISSING": MISSING}
    done = subprocess.run([sys.executable, "-c", f"import {name}"], env=env, capture_output=True, text=True)
    assert "on Colab" in done.stderr


@pytest.mark.parametrize(
    "source",
    [
        "open({}, 'w').close()",
        "import os\n\nos.mkdir({})",
        "import pathlib\n\npathlib.Path({}).write_text('x')",
        "import numpy\n\nnumpy.save({} + '.npy', numpy.zeros(1))",
    ],
)
def test_writing_elsewhere_is_found(source, tmp_path):
    colab = Colab(tmp_path)
    code = source.format(repr(str(tmp_path / "elsewhere")))
    subprocess.run([sys.executable, "-c", code], env=colab.env, cwd=colab.content, check=True)
    assert [path.stem for path in colab.written_elsewhere()] == ["elsewhere"]
