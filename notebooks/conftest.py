"""How pytest runs the notebooks: nbval runs every cell in one kernel and compares its output with the stored one.

Text is compared letter by letter. Pictures are not: another version of matplotlib draws the same curve with other
pixels. nbval itself leaves out PNG and the views of widgets; pictures inside of HTML are left out here. Their
alternative text is compared.

Notebooks in `solutions/` only have to run without an error. Those in `exercises/` are unfinished on purpose: they
run where they are named on the command line.

What is solved here does not count for the progress of whoever runs it, nor does that show in a notebook.
"""

import os
import re

import pytest

OUTPUT_TIMEOUT = 120  # seconds until the outputs of a finished cell are there; nbval's own 5 are few on a busy machine
PICTURE_IN_HTML = r"data:image/[\w+.-]+;base64,[A-Za-z0-9+/=\s]+"
os.environ["ATTENTION_PROGRESS"] = "off"  # the kernels inherit it


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path):
    """Settings of nbval for one notebook."""
    collectors = yield
    for collector in collectors:
        if hasattr(collector, "sanitize_patterns"):
            collector.sanitize_patterns[PICTURE_IN_HTML] = "picture"
            if file_path.parent.name in ("solutions", "exercises"):
                collector.compare_outputs = False
    return collectors


def pytest_itemcollected(item):
    """Wait long enough for the outputs of a cell."""
    if hasattr(item, "output_timeout"):
        item.output_timeout = OUTPUT_TIMEOUT


def pytest_ignore_collect(collection_path, config):
    """Leave exercises alone, unless the command line names one of them or their folder."""
    exercise = collection_path.parent.name == "exercises" and collection_path.suffix == ".ipynb"
    named = any("exercises" in re.split(r"[\\/]", argument) for argument in config.args)
    return True if exercise and not named else None
