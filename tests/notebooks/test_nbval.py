"""What `pytest` says of a notebook: text is compared, pictures are not, solutions only have to run."""

import base64
import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from tests.notebooks import address, execute

v4 = nbformat.v4
PNG = base64.b64encode(b"\x89PNG of another version").decode()
DRAW = "import matplotlib.pyplot as plt\n\n_ = plt.plot([1, 2])\nplt.show()"
SIZED = 'width="{0}" style="max-width:100%;min-width:{0}px;height:auto"'  # as common/alt_text.py writes it
SHOW = 'from IPython.display import HTML\n\nHTML(\'<img alt="a line" src="data:image/svg+xml;base64,QUJD"/>\')'


def code(source, *outputs):
    return v4.new_code_cell(source, outputs=list(outputs), execution_count=1)


def tagged(cell):
    """The same cell with the tag that says: its output varies."""
    cell.metadata.tags = ["nbval-ignore-output"]
    return cell


def printed(text):
    return v4.new_output("stream", text=text)


def html(markup):
    return v4.new_output("execute_result", {"text/plain": "<IPython.core.display.HTML object>", "text/html": markup})


def figure(text):
    return v4.new_output("display_data", {"text/plain": text, "image/png": PNG})


@pytest.fixture
def course(tmp_path):
    """A folder with the settings of the course and two cells in an exercise and in a solution."""
    shutil.copy(address.ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "notebooks").mkdir()
    shutil.copy(address.NOTEBOOKS / "conftest.py", tmp_path / "notebooks")
    for folder in ("exercises", "solutions"):
        store(tmp_path / "notebooks" / folder / "x.ipynb", [code("print(1)", printed("2\n")), code("1 / 0")])
    return tmp_path


def store(path, cells):
    execute.write(path, execute.normalise(v4.new_notebook(cells=cells)))


def pytest_says(course, *arguments):
    """The lines that pytest prints for the course."""
    command = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", *arguments]
    env = {name: value for name, value in os.environ.items() if name != "ATTENTION_PROGRESS"}
    done = subprocess.run(command, cwd=course, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout.splitlines()


def test_text_is_compared_pictures_are_not_and_solutions_have_to_run(course):
    cells = [
        code("print(1)\nprint(2)", printed("1\n2\n")),
        code("print(1)", printed("2\n")),  # fails: other text
        code("print(1)"),  # fails: no text
        code(DRAW, figure("<Figure size 640x480 with 1 Axes>")),
        code(DRAW, figure("<Figure size 640x480 with 2 Axes>")),  # fails: other axes
        code("plt.close()", figure("<Figure size 640x480 with 1 Axes>")),  # fails: no picture
        code(SHOW, html('<img alt="a line" src="data:image/svg+xml;base64,REVG"/>')),
        code(
            SHOW.replace("src", f"{SIZED.format(99)} src"),
            html(f'<img alt="a line" {SIZED.format(98)} src="data:image/svg+xml;base64,REVG"/>'),
        ),
        code(SHOW, html('<img alt="a curve" src="data:image/svg+xml;base64,QUJD"/>')),  # fails: other text
        tagged(code("print(1)", printed("2\n"))),
        code("1 / 0"),  # fails: an error
        code("import sys\n\nassert sys.executable == " + repr(sys.executable)),
        code("import os\n\nassert os.environ['ATTENTION_PROGRESS'] == 'off'"),  # a run is not whoever runs it
    ]
    store(course / "notebooks" / "ch99_x.ipynb", cells)
    lines = pytest_says(course, "-rA")
    failed = {line.split(" - ")[0].removeprefix("FAILED ") for line in lines if line.startswith("FAILED")}
    chapter = {f"notebooks/ch99_x.ipynb::Cell {k}" for k in (1, 2, 4, 5, 8, 10)}
    assert failed == chapter | {"notebooks/solutions/x.ipynb::Cell 1"}
    assert sum(line.startswith("PASSED") for line in lines) == 7 + 1
    assert sum(line.startswith("SKIPPED") for line in lines) == 1  # ch99_x once more: some of its cells failed


def test_every_cell_of_a_chapter_runs_once_more(course):
    """Alone after a full run, and all in order; a cell that trains is left out, and so is what it changes."""
    once, again = course / "notebooks" / "ch99_once.ipynb", course / "notebooks" / "ch99_again.ipynb"
    cells = [
        code("a = [1]\nb = 5"),
        code("print(len(a))", printed("1\n")),  # a is longer by then
        code("a = a + [b]"),
        code("print(b)", printed("5\n")),  # b is a string by then
        code("for b in 'xy':\n    pass"),
        code("b.upper()", v4.new_output("execute_result", {"text/plain": "'Y'"}, execution_count=1)),
        code("del a\nc = 1"),  # there is no a by then
    ]
    store(once, cells)
    trains = [
        code("class Model:\n    runs = 0\n\n    def fit(self):\n        self.runs += 1\n\n\nmodel = Model()"),
        code("def train():\n    model.fit()\n\n\ndef twice():\n    train()\n    train()"),
        code("model = Model()\ntwice()\nprint(model.runs)", printed("2\n")),
        code("model.fit()\nprint(model.runs)", printed("3\n")),
        code("print(model.runs)", printed("3\n")),
        tagged(code("model.seen = hasattr(model, 'seen')\nprint(model.seen)", printed("False\n"))),
    ]
    store(again, trains)
    out = "\n".join(pytest_says(course, "-rA", "notebooks/ch99_once.ipynb", "notebooks/ch99_again.ipynb"))
    assert "PASSED notebooks/ch99_again.ipynb::once more" in out
    assert "FAILED notebooks/ch99_once.ipynb::once more" in out
    assert [line for line in out.splitlines() if line.startswith("cell ")] == [
        "cell 1, run alone after a full run: NameError: name 'a' is not defined",
        "cell 2, run alone after a full run: NameError: name 'a' is not defined",
        "cell 3, run alone after a full run, prints",
        "cell 6, run alone after a full run: NameError: name 'a' is not defined",
    ]
    assert "in a second full run" not in out


def test_a_second_full_run_finds_what_the_first_one_changed(course):
    first = "import builtins\n\nbuiltins.runs = getattr(builtins, 'runs', 0)"
    cells = [code(first), code("print(builtins.runs > 1)", printed("False\n")), code("builtins.runs += 1")]
    store(course / "notebooks" / "ch99_x.ipynb", cells)
    out = "\n".join(pytest_says(course, "notebooks/ch99_x.ipynb"))
    assert "cell 1, run in a second full run, prints\nTrue\ninstead of\nFalse\n" in out
    assert "run alone" not in out


def test_exercises_run_where_they_are_named(course):
    lines = pytest_says(course, "--collect-only", "--nbval-lax", "notebooks/exercises/x.ipynb")
    assert "notebooks/exercises/x.ipynb::Cell 1" in lines
