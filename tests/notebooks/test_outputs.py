"""What translated notebooks show in their own language is kept as long as the English outputs stay what they were."""

import copy

import pytest
from nbformat import v4

from tests.notebooks import execute, outputs

PNG = "aGVsbG8="


def stream(text):
    return v4.new_output("stream", text=text)


def shown(plain, html="", png=""):
    data = {"text/plain": plain} | ({"text/html": html} if html else {}) | ({"image/png": png} if png else {})
    return v4.new_output("execute_result", data, execution_count=1)


def notebook(*cells, **metadata):
    """A notebook with these outputs, a list for each cell."""
    made = [v4.new_code_cell("x", id=f"c{k}", outputs=list(each), execution_count=k) for k, each in enumerate(cells, 1)]
    for cell in made:
        cell.metadata.update(metadata)
    return v4.new_notebook(cells=made)


def played(monkeypatch, tmp_path, english, korean):
    """The cells that are stored after a notebook with these English outputs has shown the others."""

    def run_cells(made, folder):
        for cell, now in zip(made.cells, korean.cells, strict=True):
            cell.outputs, cell.execution_count = now.outputs, now.execution_count

    monkeypatch.setattr(execute, "run_cells", run_cells)
    path = tmp_path / "x.ipynb"
    outputs.execute_file(path, lambda: copy.deepcopy(english))
    return execute.read(path).cells


def test_what_a_notebook_says_is_stored_beside_the_english_outputs_and_kept(monkeypatch, tmp_path):
    english = notebook([stream("1 ok\n")], [stream("3\n")])
    said, same = played(monkeypatch, tmp_path, english, notebook([stream("1 맞아요\n")], [stream("3\n")]))
    assert (said.outputs[0].text, same.outputs[0].text) == ("1 맞아요\n", "3\n")
    assert (outputs.MADE_BESIDE in said.metadata, outputs.MADE_BESIDE in same.metadata) == (True, False)

    built = notebook([stream("1 ok\n")], [stream("4\n")])
    outputs.keep(built, v4.new_notebook(cells=[said, same]))
    assert [cell.outputs[0].text for cell in built.cells] == ["1 맞아요\n", "4\n"]
    again = notebook([stream("1 ok\n")], [stream("4\n")])
    outputs.keep(again, built)
    assert again == built


def test_outputs_made_beside_others_give_way_to_the_english_ones(monkeypatch, tmp_path):
    (said,) = played(monkeypatch, tmp_path, notebook([stream("1 ok\n")]), notebook([stream("1 맞아요\n")]))
    built = notebook([stream("2 ok\n")])
    outputs.keep(built, v4.new_notebook(cells=[said]))
    assert (built.cells[0].outputs[0].text, dict(built.cells[0].metadata)) == ("2 ok\n", {})


@pytest.mark.parametrize(("text", "kept"), [("8초\n", "7 s\n"), ("7초\n", "7초\n")])
def test_a_number_that_varies_is_the_one_of_the_english_notebook(monkeypatch, tmp_path, text, kept):
    english = notebook([stream("7 s\n")], tags=["nbval-ignore-output"])
    (cell,) = played(monkeypatch, tmp_path, english, notebook([stream(text)]))
    assert cell.outputs[0].text == kept


def test_texts_are_compared_and_pictures_are_not():
    picture = (
        '<img alt="{}" width="9" style="max-width:100%;min-width:9px;height:auto" src="data:image/png;base64,{}"/>'
    )
    stored = notebook([shown("a", picture.format("선", "QUJD"), PNG)], [stream("1\n")])
    assert outputs.differences(stored, notebook([shown("a", picture.format("선", "REVG"))], [stream("1\n")])) == []
    (wrong,) = outputs.differences(stored, notebook([shown("a", picture.format("line", "QUJD"))], [stream("1\n")]))
    assert wrong.startswith("cell c1 shows\n")
    (wrong,) = outputs.differences(stored, notebook([shown("a", picture.format("선", "QUJD"))], [stream("2\n")]))
    assert wrong.startswith("cell c2 shows\n")
    stored, elsewhere = (notebook([shown("a", f'<a href="{to}">b</a>')]) for to in ("x", 'y" target="_blank'))
    assert outputs.differences(stored, elsewhere) == []
    ignored = notebook([stream("1\n")], tags=["nbval-ignore-output"])
    assert outputs.differences(ignored, notebook([stream("2\n")])) == []


def test_numbers_may_come_in_another_order():
    english, korean = [stream("2 of 5 rows, &#x27;3.5&#x27;")], [stream("'3.5', 5행 중 2")]
    assert outputs.numbers(english) == outputs.numbers(korean) == {"2": 1, "5": 1, "3.5": 1}
    assert outputs.numbers(english) != outputs.numbers([stream("2 of 6 rows, 3.5")])
