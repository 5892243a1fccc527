"""Outputs of translated notebooks: messages, widgets and figures speak the language of their notebook.

A translated notebook is executed like an English one (`python -m tests.notebooks run notebooks/ko/NAME.ipynb`). Where a
cell then shows something else than the English cell, what it shows is stored, with a fingerprint of the English outputs
beside which it was made. `keep` carries it over when the notebook is built anew. If the English outputs have changed
since, they are carried over themselves until the notebook is executed again, which a test asks for.
"""

import hashlib
import html
import json
import re
import time
from collections import Counter

from notebooks.conftest import IGNORE_OUTPUT, PICTURE_IN_HTML, SIZE_IN_HTML
from tests.notebooks import execute

MADE_BESIDE = "made_beside"  # in the metadata of a cell: the fingerprint
LINK_IN_HTML = r' href="[^"]*"(?: target="_blank")?'  # on Colab it leads to Colab


def plain(outputs):
    """Outputs as JSON text, without the numbers of cells."""
    return json.dumps([{**output, "execution_count": None} for output in outputs], sort_keys=True, ensure_ascii=False)


def fingerprint(outputs):
    """What tells these outputs from others, a short string."""
    return hashlib.sha256(plain(outputs).encode()).hexdigest()[:12]


def keep(made, before):
    """Give a notebook just built, in place, the outputs of its own language that it had before.

    Args: made, with the outputs of the English notebook; before, the NotebookNode that it replaces.
    """
    old = {cell.id: cell for cell in before.cells if cell.cell_type == "code"}
    for cell in made.cells:
        if cell.id in old and old[cell.id].metadata.get(MADE_BESIDE) == fingerprint(cell.get("outputs", [])):
            _take(cell, old[cell.id].outputs)


def _take(cell, outputs):
    """Store outputs in place of those of the English cell."""
    cell.metadata[MADE_BESIDE] = fingerprint(cell.outputs)
    cell.outputs = outputs
    for output in outputs:
        if "execution_count" in output:
            output.execution_count = cell.execution_count


def execute_file(path, build):
    """Execute a translated notebook and store what it shows in its language; return the seconds.

    Untouched if a cell fails. Args: build, called without arguments, returns the notebook with the English outputs.
    """
    made = build()
    played = execute.normalise(build())
    for cell in played.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    start = time.perf_counter()
    execute.run_cells(played, path.parent)
    seconds = time.perf_counter() - start
    played = execute.keep_equal_pictures(execute.normalise(played), made)
    shown = {cell.id: cell.outputs for cell in played.cells if cell.cell_type == "code"}
    for cell in made.cells:
        if cell.cell_type == "code" and plain(shown[cell.id]) != plain(cell.outputs):
            varies = IGNORE_OUTPUT in cell.metadata.get("tags", [])
            if not varies or numbers(shown[cell.id]) == numbers(cell.outputs):  # what the text tells of stays
                _take(cell, shown[cell.id])
    execute.write(path, made)
    return seconds


def texts(outputs):
    """What is compared of outputs, as nbval does it: kinds of outputs, and texts without pictures."""
    found = []
    for output in outputs:
        data = output.get("data", {})
        markup = re.sub(PICTURE_IN_HTML, "picture", data.get("text/html", ""))
        markup = re.sub(f"{SIZE_IN_HTML}|{LINK_IN_HTML}", "", markup)
        found.append((output.output_type, output.get("text", ""), data.get("text/plain", ""), markup))
    return found


def differences(stored, played):
    """Sentences: where a notebook that was played shows other texts than those stored."""
    shown = {cell.id: cell for cell in played.cells if cell.cell_type == "code"}
    wrong = []
    for cell in stored.cells:
        if cell.cell_type == "code" and IGNORE_OUTPUT not in cell.metadata.get("tags", []):
            before, after = texts(cell.outputs), texts(shown[cell.id].outputs)
            if before != after:
                wrong.append(f"cell {cell.id} shows\n{after}\ninstead of\n{before}")
    return wrong


def numbers(outputs):
    """The numbers in outputs, as a Counter: in another language they may come in another order."""
    text = html.unescape(" ".join(" ".join(part) for part in texts(outputs)))
    return Counter(re.findall(r"\d+(?:\.\d+)?", text))
