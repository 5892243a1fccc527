"""What `make lab` shows first: the first notebook, in a server that reaches the whole course."""

import re

import nbformat
import pytest

from tests.notebooks import execute, rules

pytestmark = pytest.mark.timeout(600)  # JupyterLab starts and a page opens


def test_make_lab_opens_the_first_notebook_and_its_links_lead_to_the_code(lab):
    """The address that JupyterLab prints leads to the notebook; a link to ../ch08/ opens the file."""
    lab.enter()
    assert lab.current_tab() == "00_start_here.ipynb"
    lab.shot("opened")
    link = lab.page.locator(".jp-RenderedMarkdown").get_by_role("link", name="ch08/attention_layer.py", exact=True)
    link.scroll_into_view_if_needed()
    link.click()
    code = lab.page.locator(".jp-FileEditor .cm-content", has_text=re.compile("class WeightSum"))
    code.wait_for()
    assert lab.current_tab() == "attention_layer.py"
    lab.shot("followed")


def test_a_widget_of_a_saved_notebook_comes_back_when_its_cell_is_run_again(lab):
    """What the sentence below every widget says: JupyterLab's words for a widget whose kernel is gone, and the cure."""
    v4 = nbformat.v4
    cells = [v4.new_code_cell("import ipywidgets\n\nipywidgets.Text(description='word')", id="a")]
    path = lab.course / "notebooks" / "saved.ipynb"
    execute.write(path, execute.normalise(v4.new_notebook(cells=cells)))
    lab.open("saved")
    lab.run_all()
    box = lab.page.get_by_label("word", exact=True)
    box.wait_for()
    lab.save(path)
    lab.stop_kernels()
    lab.open("saved")
    words = "Error displaying widget: model not found"
    assert words in rules.RUN_AGAIN
    lab.page.locator(".jp-OutputArea-output", has_text=words).wait_for()
    lab.run_all()
    box.wait_for()
