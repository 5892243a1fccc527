"""Running notebooks and storing them in one fixed form, so that a second run changes no byte."""

import base64
import copy
import io
import os
import re
import tempfile
import time
from pathlib import Path

import nbformat
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_TIMEOUT = 600  # seconds; no cell of the course takes a tenth of it, but some machines are busy
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class ThisPython(KernelSpecManager):
    """Whatever kernel a notebook names, it runs in the Python that runs this."""

    def get_kernel_spec(self, kernel_name):
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


def run_cells(notebook, folder, *, env=None, timeout=CELL_TIMEOUT):
    """Execute all cells of a NotebookNode in place, in `folder`; a cell that fails raises CellExecutionError.

    With the environment of this process, it neither shows nor changes what whoever runs this has solved.
    """
    env = {**os.environ, "ATTENTION_PROGRESS": "off"} if env is None else dict(env)
    env.pop("MPLBACKEND", None)  # the kernel draws into the notebook unless told otherwise
    with tempfile.TemporaryDirectory() as ipython:
        env.setdefault("IPYTHONDIR", ipython)  # a reader's own settings of IPython stay out
        manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisPython())
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=timeout,
            startup_timeout=300,  # a busy machine needs more than the usual minute
            store_widget_state=False,
            record_timing=False,
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute(env=env, cleanup_kc=True)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _merged(cell.outputs)
    return notebook


def normalise(notebook):
    """Bring a NotebookNode into the form that is committed, in place: see the lines below for what that is."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(copy.deepcopy(METADATA))
    count = 0
    used = set()
    for number, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if not re.fullmatch(r"[\w-]{1,64}", cell.get("id", "")) or cell.id in used:
            cell.id = next(name for name in _free_ids(number) if name not in used)
        used.add(cell.id)
        if cell.cell_type != "code":
            continue
        executed = cell.execution_count is not None
        count += executed
        cell.execution_count = count if executed else None
        cell.outputs = [_normal_output(output, cell.execution_count) for output in _merged(cell.outputs)]
    return notebook


def _free_ids(number):
    """cell-07, then cell-07b, cell-07c ..."""
    yield f"cell-{number:02}"
    for letter in "bcdefghijklmnopqrstuvwxyz":
        yield f"cell-{number:02}{letter}"


def _merged(outputs):
    """A stream arrives in pieces that depend on timing: neighbors of the same name become one.

    nbclient's own coalesce_streams would move a text that stands below a picture above it.
    """
    merged = []
    for output in outputs:
        previous = merged[-1] if merged else None
        if output.output_type == "stream" and previous and previous.get("name") == output.name:
            previous.text += output.text
        else:
            merged.append(copy.deepcopy(output))
    return merged


def _normal_output(output, count):
    """No metadata, the cell's own number, and no view of a widget whose model died with its kernel."""
    if "metadata" in output:
        output.metadata = nbformat.from_dict({})
    if "execution_count" in output:
        output.execution_count = count
    if output.get("data", {}).keys() > {WIDGET_VIEW}:
        del output.data[WIDGET_VIEW]
    return output


def keep_equal_pictures(notebook, before):
    """Where a PNG shows the same pixels as before, keep the old bytes: a PNG names the version that drew it."""
    old_cells = {cell.id: cell for cell in before.cells if cell.cell_type == "code" and "id" in cell}
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.id not in old_cells:
            continue
        for (data, kind, new), (_, _, old) in zip(_pictures(cell), _pictures(old_cells[cell.id])):
            if new != old and _same_pixels(new, old):
                data[kind] = data[kind].replace(new, old)
    return notebook


PNG_IN_HTML = re.compile(r"(?<=data:image/png;base64,)[A-Za-z0-9+/=]+")


def _pictures(cell):
    """(data, kind, PNG) of every PNG among the outputs, alone or in HTML."""
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            yield data, "image/png", data["image/png"]
        for found in PNG_IN_HTML.findall(data.get("text/html", "")):
            yield data, "text/html", found


def _same_pixels(*pictures):
    from matplotlib.image import imread

    a, b = (imread(io.BytesIO(base64.b64decode(picture))) for picture in pictures)
    return a.shape == b.shape and (a == b).all()


def text_of(notebook):
    """The text of the file, valid nbformat 4.5."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def read(path):
    """The NotebookNode in a file, in nbformat 4."""
    return nbformat.read(str(path), as_version=4)


def write(path, notebook):
    """Write the whole file, or leave the old one as it is."""
    text = text_of(notebook)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".tmp")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def execute_file(path):
    """Run the notebook and write it back with its new outputs; return the seconds. Untouched if a cell fails."""
    before = normalise(read(path))
    notebook = copy.deepcopy(before)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    start = time.perf_counter()
    run_cells(notebook, Path(path).parent)
    seconds = time.perf_counter() - start
    notebook = keep_equal_pictures(normalise(notebook), before)
    write(path, notebook)
    return seconds
