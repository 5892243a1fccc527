"""What `make lab` shows first: the first notebook, in a server that reaches the whole course."""

import re

import pytest

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
