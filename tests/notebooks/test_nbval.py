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
SHOW = 'from IPython.display import HTML\n\nHTML(\'<img alt="a line" src="data:image/svg+xml;base64,QUJD"/>\')'


def code(source, *outputs):
    return v4.new_code_cell(source, outputs=list(outputs), execution_count=1)


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
        code(SHOW, html('<img alt="a curve" src="data:image/svg+xml;base64,QUJD"/>')),  # fails: other text
        code("# NBVAL_IGNORE_OUTPUT\nprint(1)", printed("2\n")),
        code("1 / 0"),  # fails: an error
        code("import sys\n\nassert sys.executable == " + repr(sys.executable)),
        code("import os\n\nassert os.environ['ATTENTION_PROGRESS'] == 'off'"),  # a run is not whoever runs it
    ]
    store(course / "notebooks" / "ch99_x.ipynb", cells)
    lines = pytest_says(course, "-rA")
    failed = {line.split(" - ")[0].removeprefix("FAILED ") for line in lines if line.startswith("FAILED")}
    chapter = {f"notebooks/ch99_x.ipynb::Cell {k}" for k in (1, 2, 4, 5, 7, 9)}
    assert failed == chapter | {"notebooks/solutions/x.ipynb::Cell 1"}
    assert sum(line.startswith("PASSED") for line in lines) == 6 + 1


def test_exercises_run_where_they_are_named(course):
    lines = pytest_says(course, "--collect-only", "--nbval-lax", "notebooks/exercises/x.ipynb")
    assert "notebooks/exercises/x.ipynb::Cell 1" in lines
