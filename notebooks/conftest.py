"""How pytest runs the notebooks: nbval runs every cell in one kernel and compares its output with the stored one.

Text is compared letter by letter. Pictures are not: another version of matplotlib draws the same curve with other
pixels. nbval itself leaves out PNG and the views of widgets; pictures inside of HTML, and how wide they are, are left
out here. Their alternative text is compared.

Notebooks in `solutions/` only have to run without an error. Those in `exercises/` are unfinished on purpose: they
run where they are named on the command line.

After the last cell of a chapter, in the same kernel, every cell runs once more: alone after the full run, as a reader
does who changes a line, and where no cell trains all of them in order. They have to print what they printed before.
Cells that train are left out, since the others take seconds.

What is solved here does not count for the progress of whoever runs it, nor does that show in a notebook.
"""

import ast
import inspect
import itertools
import json
import os
import re
from pathlib import Path

import pytest
from IPython.core.inputtransformer2 import TransformerManager

IGNORE_OUTPUT = "nbval-ignore-output"  # the tag of a cell whose output cannot be stable
OUTPUT_TIMEOUT = 120  # seconds until the outputs of a finished cell are there; nbval's own 5 are few on a busy machine
PICTURE_IN_HTML = r"data:image/[\w+.-]+;base64,[A-Za-z0-9+/=\s]+"
# Of a figure its letters decide; without a font for them it is an SVG (common/plots.py), which has no width here.
SIZE_IN_HTML = r'(?: width="\d+")? style="max-width:100%;min-width:\d+px;height:auto"'

NOTEBOOKS = Path(__file__).parent
LANGUAGES = ("ko",)  # folders of translations
os.environ["ATTENTION_PROGRESS"] = "off"  # the kernels inherit it


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path):
    """Settings of nbval for one notebook."""
    collectors = yield
    for collector in collectors:
        if hasattr(collector, "sanitize_patterns"):
            collector.sanitize_patterns[PICTURE_IN_HTML] = "picture"
            collector.sanitize_patterns[SIZE_IN_HTML] = ""
            if file_path.parent.name in ("solutions", "exercises"):
                collector.compare_outputs = False
            else:
                once_more = OnceMore.from_parent(collector, name="once more")
                collector.collect = lambda cells=collector.collect, last=once_more: itertools.chain(cells(), [last])
    return collectors


def pytest_itemcollected(item):
    """Wait long enough for the outputs of a cell."""
    if hasattr(item, "output_timeout"):
        item.output_timeout = OUTPUT_TIMEOUT


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Note that a cell of a notebook failed: what runs after it says nothing."""
    report = yield
    if report.failed:
        item.parent.has_failed = True
    return report


class OnceMore(pytest.Item):
    """The last test of a notebook: its cells can be run again."""

    def runtest(self):
        if getattr(self.parent, "has_failed", False) or self.parent.timed_out:
            pytest.skip("a cell of this notebook failed")
        cells = quick_cells(self.parent.nb.cells)
        all_of_them = len(cells) == sum(cell.cell_type == "code" for cell in self.parent.nb.cells)
        source = f"{inspect.getsource(run_again)}\nrun_again({cells!r}, {all_of_them})"
        printed = self.kernel_prints(f"exec({source!r}, {{}})")
        wrong = json.loads(printed.splitlines()[-1])
        if wrong:
            pytest.fail("\n\n".join(wrong), pytrace=False)

    def kernel_prints(self, source):
        """Run source in the notebook's kernel and return what it prints."""
        kernel, printed = self.parent.kernel, []
        sent = kernel.execute_cell_input(source, allow_stdin=False)
        kernel.await_reply(sent, timeout=self.config.option.nbval_cell_timeout)
        while True:
            message = kernel.get_message("iopub", timeout=OUTPUT_TIMEOUT)
            if message["parent_header"].get("msg_id") != sent:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif content.get("execution_state") == "idle":
                return "".join(printed)

    def reportinfo(self):
        return self.path, 0, f"{self.path.name}: once more"


def quick_cells(cells):
    """(number, source, stored text or None) of each code cell that does not train."""
    trees = {
        n: ast.parse(TransformerManager().transform_cell(cell.source))
        for n, cell in enumerate(cells)
        if cell.cell_type == "code"
    }
    training = {"fit"}  # and every function of the notebook that calls one of them
    functions = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for _ in functions:
        training |= {function.name for function in functions if calls(function.body) & training}
    quick = []
    for n, tree in trees.items():
        at_once = [node for node in tree.body if not isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        if not calls(at_once) & training:
            stored = "".join(output.text for output in cells[n].outputs if output.get("name") == "stdout")
            ignored = IGNORE_OUTPUT in cells[n].metadata.get("tags", [])
            quick.append((n, cells[n].source, None if ignored else stored))
    return quick


def calls(statements):
    """The names of the functions and methods that these statements call."""
    found = [node.func for body in statements for node in ast.walk(body) if isinstance(node, ast.Call)]
    return {function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "") for function in found}


def run_again(cells, all_of_them):
    """In the kernel: run cells once more and print, as JSON, what is wrong.

    First each alone, with the names that the full run left, then, if this is `all_of_them`, once more in order.
    """
    import json

    from IPython import get_ipython
    from IPython.utils.capture import capture_output

    shell = get_ipython()
    names, wrong = shell.user_ns, []

    def run(number, source, stored, how):
        with capture_output() as captured:
            error = shell.run_cell(source, store_history=False)
            error = error.error_in_exec or error.error_before_exec
        if error:
            wrong.append(f"cell {number}, {how}: {type(error).__name__}: {error}")
        elif stored is not None and captured.stdout != stored:
            wrong.append(f"cell {number}, {how}, prints\n{captured.stdout}instead of\n{stored}")

    for cell in cells:
        before = dict(names)
        run(*cell, "run alone after a full run")
        names.clear()
        names.update(before)
    for cell in cells if all_of_them else []:
        run(*cell, "run in a second full run")
    print(json.dumps(wrong))


def pytest_ignore_collect(collection_path, config):
    """Leave exercises and translations alone, unless the command line names one of them or their folder.

    A translation has the code of its original (`tests/notebooks/test_translation.py`), and CI plays it and compares its
    outputs (`tests/notebooks/test_colab.py`).
    """
    if collection_path.suffix != ".ipynb":
        return None
    named = {part for argument in config.args for part in re.split(r"[\\/]", argument)}
    unless_named = {"exercises", *LANGUAGES} & set(collection_path.relative_to(NOTEBOOKS).parts[:-1])
    return True if unless_named - named else None
