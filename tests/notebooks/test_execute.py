"""Running a notebook twice changes no byte; one that fails stays as it was; the command line."""

import base64
import io

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest

from tests.notebooks import __main__ as command_line
from tests.notebooks import address, execute

v4 = nbformat.v4

CELLS = [
    "import sys\n\nprint('a')\nprint('b', file=sys.stderr)\nprint('c')\nsys.stdout.flush()\nprint('d')",
    "import matplotlib.pyplot as plt\n\n_ = plt.plot([1, 3, 2])\nplt.show()",
    "import ipywidgets\n\nipywidgets.IntSlider(description='Step')",
]


def stored(path, sources, **metadata):
    cells = [v4.new_code_cell(source) for source in sources]
    notebook = v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(notebook, path)
    return path


def test_a_second_run_changes_no_byte(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")  # must not reach the kernel: it would draw nothing
    path = stored(tmp_path / "x.ipynb", CELLS, kernelspec={"name": "gone", "display_name": "Gone"}, widgets={"a": 1})
    execute.execute_file(path)
    text = path.read_text(encoding="utf-8")
    execute.execute_file(path)
    assert path.read_text(encoding="utf-8") == text
    notebook = execute.read(path)
    first, second, third = notebook.cells
    assert sorted((output.name, output.text) for output in first.outputs if output.name == "stderr") == [
        ("stderr", "b\n")
    ]
    assert "".join(output.text for output in first.outputs if output.name == "stdout") == "a\nc\nd\n"
    assert second.outputs[0].data.keys() == {"text/plain", "image/png"}
    assert third.outputs[0].data == {"text/plain": "IntSlider(value=0, description='Step')"}
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3]
    assert notebook.metadata == execute.METADATA
    assert list(tmp_path.iterdir()) == [path]


def test_pieces_of_a_stream_become_one_unless_something_stands_between(tmp_path):
    """A kernel may send `print(x)` as two messages: the text, and the end of the line."""
    source = "import sys\n\nfor text in ('a', '\\n', 'b'):\n    sys.stdout.write(text)\n    sys.stdout.flush()"
    source += "\ndisplay(1)\nprint('c')"
    notebook = execute.run_cells(v4.new_notebook(cells=[v4.new_code_cell(source)]), tmp_path)
    assert [output.get("text") for output in notebook.cells[0].outputs] == ["a\nb", None, "c\n"]


def test_running_a_notebook_notes_no_progress_of_whoever_runs_it(tmp_path, monkeypatch):
    monkeypatch.delenv("ATTENTION_PROGRESS")
    source = "import os\n\nprint(os.environ['ATTENTION_PROGRESS'])"
    notebook = execute.run_cells(v4.new_notebook(cells=[v4.new_code_cell(source)]), tmp_path)
    assert notebook.cells[0].outputs[0].text == "off\n"


def test_a_notebook_that_fails_stays_as_it_was(tmp_path, capsys):
    bad = stored(tmp_path / "bad.ipynb", ["print(1)", "1 / 0"])
    good = stored(tmp_path / "good.ipynb", ["print(1)"])
    before = bad.read_bytes()
    with pytest.raises(SystemExit, match=r"1 failed: .*bad\.ipynb"):
        command_line.main(["run", str(bad), str(good)])
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert bad.read_bytes() == before
    assert execute.read(good).cells[0].outputs[0].text == "1\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.ipynb", "good.ipynb"]


def test_what_is_normal_form():
    stream = v4.new_output("stream", text="a\n")
    error = v4.new_output("stream", name="stderr", text="x\n")
    view = v4.new_output(
        "display_data", {"text/plain": "W()", execute.WIDGET_VIEW: {"model_id": "1"}}, metadata={"a": 1}
    )
    only_view = v4.new_output("display_data", {execute.WIDGET_VIEW: {"model_id": "1"}})
    outputs = [stream, stream, error, stream, view, only_view]
    cells = [
        v4.new_markdown_cell("x", id="same", metadata={"a": 1}),
        v4.new_code_cell("x", id="same", outputs=outputs, execution_count=7, metadata={"tags": ["t"], "execution": {}}),
        v4.new_code_cell("y", id="other"),
        v4.new_code_cell("z", id="third", execution_count=3),
    ]
    notebook = nbformat.from_dict({"cells": cells, "metadata": {"widgets": {}}, "nbformat": 4, "nbformat_minor": 5})
    execute.normalise(notebook)
    assert [cell.id for cell in notebook.cells] == ["same", "cell-01", "other", "third"]
    assert [cell.metadata for cell in notebook.cells] == [{}, {"tags": ["t"]}, {}, {}]
    assert [cell.get("execution_count") for cell in notebook.cells] == [None, 1, None, 2]
    found = notebook.cells[1].outputs
    assert [output.get("text") for output in found] == ["a\na\n", "x\n", "a\n", None, None]
    assert (found[3].data, found[3].metadata) == ({"text/plain": "W()"}, {})
    assert execute.WIDGET_VIEW in found[4].data
    text = execute.text_of(notebook)
    assert execute.text_of(execute.normalise(nbformat.reads(text, as_version=4))) == text


def png(array, **metadata):
    file = io.BytesIO()
    plt.imsave(file, array, metadata=metadata)
    return base64.b64encode(file.getvalue()).decode()


def with_picture(data, html=False):
    shown = {"text/html": f'<img alt="a" src="data:image/png;base64,{data}"/>'} if html else {"image/png": data}
    output = v4.new_output("display_data", shown)
    return v4.new_notebook(cells=[v4.new_code_cell("x", id="x", outputs=[output], execution_count=1)])


def test_a_picture_of_the_same_pixels_keeps_its_bytes(rng):
    array = rng.random((4, 4))
    old, same, other = png(array, Software="1"), png(array, Software="2"), png(1 - array, Software="1")
    assert old != same
    for new, expected in ((same, old), (other, other)):
        notebook = execute.keep_equal_pictures(with_picture(new), with_picture(old))
        assert notebook.cells[0].outputs[0].data["image/png"] == expected
        notebook = execute.keep_equal_pictures(with_picture(new, html=True), with_picture(old, html=True))
        assert notebook == with_picture(expected, html=True)
    wide = png(np.zeros((4, 5)))
    assert execute.keep_equal_pictures(with_picture(wide), with_picture(old)) == with_picture(wide)


def test_a_new_notebook_and_its_check(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(address, "ROOT", tmp_path)
    monkeypatch.setattr(address, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(address, "address", lambda: "https://github.com/ada/course")
    assert command_line.main(["new", "ch99_1_more", "More"]) is None
    path = tmp_path / "notebooks" / "ch99_1_more.ipynb"
    notebook = execute.read(path)
    assert notebook.cells[0].source.startswith("# More\n\n[![Open in Colab]")
    assert notebook.cells[1].source == address.setup_source()
    assert command_line.main(["check", "ch99_1_more"]) == 1
    out = capsys.readouterr().out
    assert "ch99_1_more.ipynb: cell_count: 3 cells" in out
    with pytest.raises(SystemExit, match="there already"):
        command_line.main(["new", "ch99_1_more", "More"])
    with pytest.raises(SystemExit, match="no notebook ch99_2; there are: ch99_1_more"):
        command_line.main(["run", "ch99_2"])


def test_an_old_setup_cell_is_replaced_and_keeps_its_output(tmp_path):
    path = tmp_path / "x.ipynb"
    ready = [v4.new_output("stream", text=address.READY)]
    old = v4.new_code_cell(address.setup_source("https://github.com/ada/x"), outputs=ready, execution_count=1)
    execute.write(path, execute.normalise(v4.new_notebook(cells=[v4.new_markdown_cell("# X"), old])))
    assert command_line.update_setup_cell(path)
    cell = execute.read(path).cells[1]
    assert cell.source == address.setup_source()
    assert [output.text for output in cell.outputs] == [address.READY]
    assert not command_line.update_setup_cell(path)
