"""The rules for notebooks. Each is a function that takes a Notebook and returns what is wrong, as sentences.

RULES hold for every chapter notebook. ADVICE is printed by `python -m tests.notebooks check` and fails nothing.
A sentence names the cell by its number in the file: 0 is the title.
"""

import ast
import builtins
import functools
import html
import importlib.util
import inspect
import io
import itertools
import keyword
import re
import sys
import tokenize
from pathlib import Path
from urllib.parse import unquote

import matplotlib.pyplot
import nbformat
import numpy
from IPython.core.inputtransformer2 import TransformerManager

from tests.notebooks import address, execute

FEWEST_CELLS, MOST_CELLS = 20, 70
MANY_LINES, MOST_LINES = 15, 25  # of code in a cell: the first is advice
MOST_IN_A_ROW = 2  # code cells
MOST_BYTES, MOST_OUTPUT_BYTES = 2_000_000, 300_000
MOST_DECIMALS = 6
OURS = ("common", "dataset", "ch07", "ch08")
# What Colab has before a cell runs: pyproject's dependencies and the widgets. No notebook may need more.
ON_COLAB = {"numpy", "matplotlib", "tqdm", "ipywidgets", "IPython", "mpl_toolkits"}
IGNORE_OUTPUT = "nbval-ignore-output"  # the tag of a cell whose output cannot be stable
NO_WIDGETS = {"Output", "interact", "interactive", "interactive_output", "interact_manual"}


class Notebook:
    """A notebook with its path, the text of the file and, for each code cell, the parsed source."""

    def __init__(self, path, text=None):
        self.path = Path(path)
        self.text = self.path.read_text(encoding="utf-8") if text is None else text
        self.node = nbformat.reads(self.text, as_version=4)
        self.cells = list(enumerate(self.node.cells))
        self.code = [(n, cell) for n, cell in self.cells if cell.cell_type == "code"]
        self.prose = [(n, cell.source) for n, cell in self.cells if cell.cell_type == "markdown"]

    def trees(self):
        """Number, cell and syntax tree of every code cell; magics become calls of get_ipython()."""
        return [(n, cell, tree(cell.source)) for n, cell in self.code]


@functools.cache
def tree(source):
    """The syntax tree of a cell. A cell that is not Python has an empty one: it cannot have run either."""
    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError:
        return ast.parse("")


def without_code(markdown):
    """Markdown without fenced blocks and code spans, so that what they show is not taken for text."""
    return re.sub(r"`[^`\n]*`", "", without_fences(markdown))


def without_fences(markdown):
    return re.sub(r"^(```|~~~).*?^\1", "", markdown, flags=re.M | re.S)


# --- first cells ----------------------------------------------------------------------------------


def setup_cell(notebook):
    """Cell 1 is the setup cell, letter by letter, and its output is the one fixed line."""
    if len(notebook.cells) < 2 or notebook.cells[1][1].cell_type != "code":
        return ["cell 1 is not the setup cell"]
    cell = notebook.cells[1][1]
    if cell.source != address.setup_source():
        return ["cell 1 differs from the setup cell; `make notebooks` and `make badges` update it"]
    printed = "".join(output.get("text", f"<{output.output_type}>") for output in cell.outputs)
    return [] if printed == address.READY else [f"cell 1 shows {printed!r} and not {address.READY!r}"]


def badge(notebook):
    """Cell 0 has the Colab badge of this very notebook, and it is the only one."""
    expected = address.badge(notebook.path)
    found = [
        (n, link) for n, source in notebook.prose for link in re.findall(r"\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\)", source)
    ]
    if found == [(0, expected)]:
        return []
    return [f"the Colab badge must stand once, in cell 0, and read {expected}"]


# --- stored outputs -------------------------------------------------------------------------------


def no_errors(notebook):
    """No stored output is an error."""
    return [
        f"cell {n} shows an error: {output.ename}"
        for n, cell in notebook.code
        for output in cell.outputs
        if output.output_type == "error"
    ]


def executed_in_order(notebook):
    """Every code cell has run, from top to bottom in a fresh kernel."""
    counts = [cell.execution_count for n, cell in notebook.code]
    if counts == list(range(1, len(counts) + 1)):
        return []
    return ["the cells were not run once each from top to bottom: use `make notebooks`"]


def outputs_present(notebook):
    """A cell that prints, shows a picture or ends in a value has the output to show for it."""
    wrong = []
    for n, cell, module in notebook.trees():
        streams = [output for output in cell.outputs if output.output_type == "stream"]
        values = [output for output in cell.outputs if output.output_type in ("display_data", "execute_result")]
        if any(v.data.get("text/plain", "").startswith("<Figure") and "image/png" not in v.data for v in values):
            wrong.append(f"cell {n} shows the name of a figure and no picture: `%matplotlib inline` comes first")
        names = {called(node) for node in at_top_level(module) if isinstance(node, ast.Call)}
        if "print" in names and not streams:
            wrong.append(f"cell {n} prints, and no printed output is stored")
        if "display" in names and not values:
            wrong.append(f"cell {n} displays something, and no such output is stored")
        last = module.body[-1] if module.body else None
        # A call may return None, so only an expression that is not a call is sure to show a value.
        silent = (ast.Call, ast.Await, ast.Yield)
        if isinstance(last, ast.Expr) and not isinstance(last.value, silent) and not values:
            if not (isinstance(last.value, ast.Constant) and last.value.value in (None, ...)):
                wrong.append(f"cell {n} ends in a value, and no output is stored")
    return wrong


def at_top_level(module):
    """All nodes that run when the cell runs: those outside of functions and classes."""
    waiting = list(module.body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield node
            waiting += ast.iter_child_nodes(node)


def called(node):
    """'print' of print(...), 'show' of plt.show()."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def stable_text(notebook):
    """No stored text that another run would change: addresses, long decimals, standard error, paths of a kernel."""
    wrong = []
    for n, cell in notebook.code:
        if varies(cell):
            continue
        if any(output.get("name") == "stderr" for output in cell.outputs):
            wrong.append(f"cell {n} writes to standard error (a warning, a progress bar)")
        for text in texts(cell):
            for pattern, what in (
                (r"\bat 0x[0-9a-f]{6,}", "an address in memory"),
                (rf"(?<![\w#.])\d*\.\d{{{MOST_DECIMALS + 1},}}", f"more than {MOST_DECIMALS} decimals"),
                (r"ipykernel_\d+", "a path of its kernel"),
            ):
                found = re.search(pattern, text)
                if found:
                    wrong.append(f"cell {n} shows {what}: {found[0]}")
    return wrong


def varies(cell):
    """Whether a cell is tagged as one whose output differs from run to run; it only has to run."""
    return IGNORE_OUTPUT in cell.metadata.get("tags", [])


def texts(cell):
    """The plain texts among the outputs."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
        elif isinstance(output.get("data", {}).get("text/plain"), str):
            yield output.data["text/plain"]


def figures_not_truth(notebook):
    """No output says True or False: the threshold of a claim is an assert, and the reader sees what was measured.

    Values of options are not claims: TimeLSTM(stateful=True), {'trim': False}.
    """
    return [
        f"cell {n} shows {line!r}: assert the threshold, print the figure"
        for n, cell in notebook.code
        for text in texts(cell)
        for line in text.splitlines()
        if re.search(r"(?<!=)(?<!': )\b(?:True|False)\b", line)
    ]


def size(notebook):
    """The file and every single output stay small."""
    wrong = []
    if len(notebook.text.encode()) > MOST_BYTES:
        wrong.append(f"the file has {len(notebook.text.encode()):,} bytes, more than {MOST_BYTES:,}")
    for n, cell in notebook.code:
        for output in cell.outputs:
            if len(str(output)) > MOST_OUTPUT_BYTES:
                wrong.append(f"an output of cell {n} has {len(str(output)):,} bytes, more than {MOST_OUTPUT_BYTES:,}")
    return wrong


def normalised(notebook):
    """The file has the form that `make notebooks` writes: metadata, cell ids, counts, streams, no widget state."""
    expected = execute.text_of(execute.normalise(nbformat.reads(notebook.text, as_version=4)))
    if notebook.text == expected:
        return []
    pairs = zip(notebook.text.splitlines(), expected.splitlines())
    line = next((k for k, (a, b) in enumerate(pairs, 1) if a != b), "the last")
    return [f"line {line} of the file: not in the form that `make notebooks` writes"]


# --- code -----------------------------------------------------------------------------------------


def no_output_widgets(notebook):
    """No widgets.Output and no interact: nbval does not emulate them. No third-party widgets."""
    wrong = []
    for n, cell, module in notebook.trees():
        used = set()
        for node in ast.walk(module):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.ImportFrom):
                used |= {alias.name for alias in node.names}
        wrong += [f"cell {n} uses {name}" for name in sorted(used & NO_WIDGETS)]
        if re.search(r"^\s*%matplotlib\s+(?!inline\b)\S", cell.source, re.M):
            wrong.append(f"cell {n} chooses another backend of matplotlib than inline")
    return wrong


RUN_AGAIN = (
    'If the cell above says "Error displaying widget: model not found", run it again: a widget ends with its kernel.'
)


def widgets_come_back(notebook):
    """The cell below a widget says what to do when a notebook was saved and opened again with a new kernel."""
    cells = [cell for _, cell in notebook.cells]
    return [
        f"cell {n} shows a widget, and the cell below it is not text with the sentence: {RUN_AGAIN}"
        for n, cell in notebook.code
        if any(text.rstrip("'").endswith("Run this cell to use it.") for text in texts(cell))
        and not any(c.cell_type == "markdown" and RUN_AGAIN in " ".join(c.source.split()) for c in cells[n + 1 : n + 2])
    ]


def no_trailing_semicolon(notebook):
    """No line of code ends in a semicolon: nbval does not hide the value, as Jupyter does. Write `_ = ...`."""
    wrong = []
    for n, cell in notebook.code:
        source = TransformerManager().transform_cell(cell.source)
        try:
            tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type != tokenize.COMMENT]
        except (tokenize.TokenError, SyntaxError):
            continue
        ends = (tokenize.NEWLINE, tokenize.NL, tokenize.ENDMARKER)
        if any(a.type == tokenize.OP and a.string == ";" and b.type in ends for a, b in itertools.pairwise(tokens)):
            wrong.append(f"cell {n} has a line that ends in a semicolon")
    return wrong


def no_skipping(notebook):
    """No cell is left out of the tests or expected to fail; what cannot be stable is tagged, out of the reader's sight.

    The one tag is IGNORE_OUTPUT, on a cell that has an output.
    """
    markers = ("NBVAL_", "PYTEST_VALIDATE_IGNORE_OUTPUT")
    wrong = [f"cell {n} says {word}" for n, cell in notebook.code for word in markers if word in cell.source]
    for n, cell in notebook.cells:
        wrong += [f"cell {n} has the tag {tag}" for tag in cell.metadata.get("tags", []) if tag != IGNORE_OUTPUT]
        if varies(cell) and not cell.get("outputs"):
            wrong.append(f"cell {n} has the tag {IGNORE_OUTPUT} and no output")
    return wrong


def imports_on_colab(notebook):
    """Imports only what Colab has installed, and ours."""
    wrong = []
    for n, _, module in notebook.trees():
        for node in ast.walk(module):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "."]
            for name in names:
                top = name.split(".")[0]
                if top not in {*OURS, *ON_COLAB} and top not in sys.stdlib_module_names:
                    wrong.append(f"cell {n} imports {name}, which Colab does not bring")
        if re.search(r"^\s*[%!]\s*(pip|conda|apt|apt-get)\b", notebook.node.cells[n].source, re.M):
            wrong.append(f"cell {n} installs a package")
    return wrong


# --- form -----------------------------------------------------------------------------------------


def rhythm(notebook):
    """No more than two code cells in a row."""
    wrong = []
    row = 0
    for n, cell in notebook.cells:
        row = row + 1 if cell.cell_type == "code" else 0
        if row == MOST_IN_A_ROW + 1:
            wrong.append(f"cell {n} is the third code cell in a row")
    return wrong


def lines_of_code(source):
    """Lines that are neither empty nor a comment nor inside of a docstring."""
    module = tree(source)
    texts = [node for node in ast.walk(module) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    docstrings = {
        k for node in texts if isinstance(node.value.value, str) for k in range(node.lineno, node.end_lineno + 1)
    }
    lines = enumerate(source.splitlines(), 1)
    return sum(1 for k, line in lines if line.strip() and not line.strip().startswith("#") and k not in docstrings)


def _long_cells(notebook, most):
    lines = [(n, lines_of_code(cell.source)) for n, cell in notebook.code if n != 1]
    return [f"cell {n} has {count} lines of code, more than {most}" for n, count in lines if count > most]


def short_cells(notebook):
    """No cell is longer than can be read in one go."""
    return _long_cells(notebook, MOST_LINES)


def shorter_cells(notebook):
    """DESIGN asks for about ten lines."""
    return _long_cells(notebook, MANY_LINES)


def cell_count(notebook):
    """A notebook is a lesson of about forty minutes."""
    count = len(notebook.cells)
    if FEWEST_CELLS <= count <= MOST_CELLS:
        return []
    return [f"{count} cells: a notebook has {FEWEST_CELLS} to {MOST_CELLS}"]


def headings(notebook):
    """One title, first of all; below it no level is skipped, no heading is empty, no two are the same."""
    found = [(n, len(marks), text.strip()) for n, marks, text in all_headings(notebook)]
    if not found or found[0][:2] != (0, 1):
        return ["cell 0 does not begin with the title, `# ...`"]
    wrong = [f"cell {n} has a second title: {text}" for n, level, text in found[1:] if level == 1]
    for (_, above, _), (n, level, text) in itertools.pairwise(found):
        if level > above + 1:
            wrong.append(f"cell {n} skips from level {above} to {level}: {text}")
    names = [text for _, _, text in found]
    wrong += [f"two headings read {text!r}" for text in sorted({text for text in names if names.count(text) > 1})]
    return wrong + [f"cell {n} has an empty heading" for n, _, text in found if not text]


CLOSING = "What you have now"


def closing(notebook):
    """The end says what the reader has now, in three to five lines, and what comes next: `**Next.** ...`."""
    ends = [source for _, source in notebook.prose if re.search(rf"^## {CLOSING}$", source, re.M)]
    if len(ends) != 1:
        return [f"there is no heading `## {CLOSING}`"]
    items = re.findall(r"^[-*] ", ends[0].partition(f"## {CLOSING}\n")[2].partition("\n#")[0], re.M)
    wrong = [] if 3 <= len(items) <= 5 else [f"{CLOSING}: {len(items)} lines, and there should be three to five"]
    if not re.search(r"^\*\*Next\.\*\* ", notebook.prose[-1][1], re.M):
        wrong.append("the last text has no line that begins with **Next.**")
    return wrong


def all_headings(notebook):
    for n, source in notebook.prose:
        for marks, text in re.findall(r"^(#{1,6})(?:[ \t]+(.*))?$", without_fences(source), re.M):
            yield n, marks, text


# --- links, pictures, names -----------------------------------------------------------------------

IMAGE = re.compile(r"!\[([^\]]*)\]\(\s*<?([^)\s>]*)>?[^)]*\)")
LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
TAG = re.compile(r"<(img|a)\b([^>]*)>", re.I)


def attribute(text, name):
    """The value of an attribute of an HTML tag, None where it has none."""
    found = re.search(rf"""\b{name}\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", text, re.I)
    return html.unescape(next(group for group in found.groups() if group is not None)) if found else None


def links(notebook):
    """Every link to a file or a section leads somewhere."""
    wrong = []
    for n, source in notebook.prose:
        text = without_code(source)
        targets = LINK.findall(text) + [t for _, t in IMAGE.findall(text)]
        targets += re.findall(r"^\[[^\]^]+\]:\s*(\S+)", text, re.M)
        for kind, rest in TAG.findall(text):
            targets.append(attribute(rest, "src" if kind.lower() == "img" else "href") or "")
        for target in filter(None, targets):
            if re.match(r"[a-z][a-z+.-]*:", target, re.I):
                if not re.match(r"(https|mailto|attachment|data):", target):
                    wrong.append(f"cell {n} links to {target}: only https, please")
                elif target.startswith("attachment:"):
                    if target.removeprefix("attachment:") not in notebook.node.cells[n].get("attachments", {}):
                        wrong.append(f"cell {n} shows {target}, which is not attached")
                continue
            file, _, anchor = unquote(target).partition("#")
            path = (notebook.path.parent / file).resolve() if file else notebook.path
            if file and (not path.exists() or not path.is_relative_to(address.ROOT)):
                wrong.append(f"cell {n} links to {file}, which is not there")
            elif anchor and anchor not in anchors(notebook if not file else path):
                wrong.append(f"cell {n} links to {target}: no heading and no id of that name")
    return wrong


def anchors(where):
    """What may follow #: ids in HTML, headings as Jupyter spells them in notebooks, as GitHub does in pages."""
    if isinstance(where, Path) and where.suffix == ".ipynb":
        where = Notebook(where)
    if isinstance(where, Notebook):
        text = "\n".join(source for _, source in where.prose)
        named = {heading.strip().replace(" ", "-") for _, _, heading in all_headings(where)}
    elif where.suffix == ".md":
        text = where.read_text(encoding="utf-8")
        plain = re.findall(r"^#{1,6}[ \t]+(.*)$", without_fences(text), re.M)
        named = {re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in plain}
    else:
        return set()
    ids = {attribute(rest, name) for rest in re.findall(r"<\w+\b([^>]*)>", text) for name in ("id", "name")}
    return (named | ids) - {None}


def pictures(notebook):
    """Pictures in the prose have alternative text and come with the course: none is fetched from elsewhere."""
    wrong = []
    for n, source in notebook.prose:
        text = without_code(source)
        found = IMAGE.findall(text)
        found += [
            (attribute(rest, "alt"), attribute(rest, "src") or "")
            for kind, rest in TAG.findall(text)
            if kind.lower() == "img"
        ]
        for alternative, target in found:
            if not (alternative or "").strip():
                wrong.append(f"cell {n} has a picture without alternative text: {target[:60]}")
            if re.match(r"https?:", target) and target != address.BADGE_IMAGE:
                wrong.append(f"cell {n} shows a picture from elsewhere: {target}")
    for n, cell in notebook.code:
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                wrong.append(f"cell {n} shows a PNG without alternative text: run the notebook with `make notebooks`")
            for rest in image_tags(output.get("data", {}).get("text/html", "")):
                if not (attribute(rest, "alt") or "").strip():
                    wrong.append(f"cell {n} shows an <img> without alternative text")
    return wrong


def image_tags(text):
    """The attributes of each <img> in HTML or Markdown."""
    return [rest for kind, rest in TAG.findall(text) if kind.lower() == "img"]


def names(notebook):
    """Every name in backticks that looks like one of ours exists: modules, files, notebooks, classes, functions."""
    own = own_names(notebook)
    wrong = []
    for n, source in notebook.prose:
        for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", without_fences(source)):
            problem = unknown_name(span.strip(), own)
            if problem:
                wrong.append(f"cell {n} speaks of `{span}`: {problem}")
    return wrong


def unknown_name(span, own):
    """What is wrong with the text of a code span; '' where it exists or is not one of our names."""
    roots = "|".join((*OURS, "notebooks", "tests"))
    if re.fullmatch(rf"(?:{roots})(?:/[\w.-]+)*/?", span) and "/" in span:
        return "" if (address.ROOT / span).exists() else "there is no such file or folder"
    if re.fullmatch(r"(?:00|ch\d\d)_\w+(?:\.ipynb)?", span):
        stem = span.removesuffix(".ipynb")
        return "" if any(path.stem == stem for path in address.all_notebooks()) else "there is no such notebook"
    expression = re.match(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", span)
    if not expression:
        return ""
    name = expression[0]
    rest = span[len(name) :]
    parts = name.split(".")
    if parts[0] in OURS and len(parts) > 1 and parts[0] not in own:
        return "" if resolves(name) else "no such thing in the library"
    if rest and not (rest.startswith("(") and rest.endswith(")")):
        return ""  # a formula, an array, a command
    known = own | library_names() | foreign_names()
    for part in parts:
        ours_by_form = rest or "_" in part or re.search(r"[a-z0-9][A-Z]", part) or len(parts) > 1
        if ours_by_form and part not in known:
            return f"{part} is defined neither in the library nor in this notebook"
    return ""


def resolves(dotted):
    """Whether common.layers.Affine.forward can be imported and read."""
    parts = dotted.split(".")
    for k in range(len(parts), 0, -1):
        module = ".".join(parts[:k])
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            continue
        if found:
            thing = importlib.import_module(module)
            for part in parts[k:]:
                if not hasattr(thing, part) and part not in instance_attributes(thing):
                    return False
                thing = getattr(thing, part, None)
            return True
    return False


def instance_attributes(thing):
    """What the methods of a class assign to self."""
    if not inspect.isclass(thing):
        return set()
    text = "".join(inspect.getsource(c) for c in thing.__mro__ if c.__module__.split(".")[0] in OURS)
    return set(re.findall(r"\bself\.(\w+)", text))


def defined(module):
    """All names that a syntax tree binds: definitions, assignments, arguments, attributes of self, imports."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found |= set((node.asname or node.name).split("."))
        elif isinstance(node, ast.keyword) and node.arg:
            found.add(node.arg)
    return found


def own_names(notebook):
    """All names that the notebook's own code binds, in any cell."""
    return set().union(*(defined(module) for _, _, module in notebook.trees()))


@functools.cache
def library_names():
    """All names that the modules of the course bind."""
    paths = [path for room in OURS for path in (address.ROOT / room).rglob("*.py")]
    found = {path.stem for path in paths} | set(OURS) | {"backward", "forward"}
    return found.union(*(defined(ast.parse(path.read_text(encoding="utf-8"))) for path in paths))


@functools.cache
def foreign_names():
    """Names of Python, NumPy, matplotlib and ipywidgets that the prose may speak of."""
    import ipywidgets

    things = (builtins, numpy, numpy.ndarray, numpy.random, numpy.linalg, numpy.testing, matplotlib.pyplot, ipywidgets)
    types = (str, list, dict, set, ipywidgets.Text)
    modules = {*sys.stdlib_module_names, *ON_COLAB, "np", "plt", "widgets", "torch", "jupyter"}
    return set(keyword.kwlist).union(modules, *(dir(thing) for thing in things + types))


# --- numbers in the prose -------------------------------------------------------------------------

NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
ALONE = re.compile(rf"(?<![\w.,/^-])({NUMBER})(?![\w,.]*\d)(\s?%)?")  # not a part of 2026-01-05, 3/4 or x_10
FEWEST_SHOWN = 10  # smaller whole numbers count what the text speaks of: four gates, two arrays
YEARS = range(1900, 2100)
ROUGHLY = re.compile(r"\b(?:about|almost|nearly|some|more than)\s+$", re.I)
CITED = re.compile(r"\bet al\b|[A-Z]\w+,? \(?(?:19|20)\d\d\b")  # Cho et al. 2014, Bengio 2016
LINKED = "(a link)"
ELSEWHERE = re.compile(rf"{re.escape(LINKED)}|\b(?:chapter|section|figure|equation)s? [\d.]+|\b[Ii]n [78]\.\d+\b")
TIME = re.compile(r"\s*(?:to \d+ )?(?:seconds?|minutes?)\b")  # of a cell: another on every machine
# Numbers that no notebook can show: (notebook, number): where it comes from.
NOT_SHOWN = {
    ("ch08_06_date_conversion", "28 %"): "the book's data file does not come with the course; dataset/sequence.py",
}


def numbers(notebook):
    """A number that the prose reports is in the code or in an output of the notebook, possibly with more digits.

    This holds for decimals, percentages and whole numbers from FEWEST_SHOWN on, below the first cell of the lesson.
    Left out are formulas and code (worked out before the reader's eyes), sentences that cite a source or link to one,
    years, times, and NOT_SHOWN.
    """
    lesson = [(n, cell) for n, cell in notebook.code if n > 1]
    if not lesson:
        return []
    shown = [
        number for _, cell in lesson for text in (cell.source, *texts(cell)) for number in re.findall(NUMBER, text)
    ]
    wrong = []
    for n, source in notebook.prose:
        for sentence in sentences(source) if n > lesson[0][0] else []:
            for found in ALONE.finditer(sentence):
                rest, before = sentence[found.end() :], sentence[: found.start()]
                small = found[1].isdigit() and (int(found[1]) < FEWEST_SHOWN or int(found[1]) in YEARS)
                if (small and not found[2]) or TIME.match(rest) or (notebook.path.stem, found[0]) in NOT_SHOWN:
                    continue
                if not any(rounds_to(number, found[1], found[2], ROUGHLY.search(before)) for number in shown):
                    wrong.append(f"cell {n} says {found[0]}, which neither code nor output of the notebook shows")
    return wrong


def sentences(markdown):
    """The sentences of the prose without code and formulas; not those that refer to another place or a source."""
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$", "(a formula)", without_code(markdown), flags=re.S)
    text = re.sub(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\([^)]*\)", LINKED, text).replace("et al.", "et al")
    for sentence in re.split(r"(?<=[.?!:;])\s+|\n\n|\n\s*(?:[-*|#]|\d+\.\s)", text):
        if not CITED.search(sentence) and LINKED not in sentence:
            yield ELSEWHERE.sub("(elsewhere)", sentence)


def rounds_to(shown, said, percent, roughly):
    """Whether the number shown, rounded, is the one said: 0.968 is 0.97 and 96.8 % and 97 %; 7,207 is about 7,000."""
    shown, said = shown.replace(",", ""), said.replace(",", "")
    step = 10.0 ** -len(said.partition(".")[2])  # of the last digit that is said
    if roughly and "." not in said:
        step = 10.0 ** (len(said) - len(said.rstrip("0")))
    finer = 10.0 ** -len(shown.partition(".")[2])
    for scale in (1, 100) if percent else (1,):
        exact = scale * float(shown)
        if exact == float(said) or (scale * finer <= step and abs(exact - float(said)) <= step / 2 + 1e-9):
            return True
    return False


RULES = [
    setup_cell,
    badge,
    no_errors,
    executed_in_order,
    outputs_present,
    stable_text,
    figures_not_truth,
    size,
    normalised,
    no_output_widgets,
    widgets_come_back,
    no_trailing_semicolon,
    no_skipping,
    imports_on_colab,
    rhythm,
    short_cells,
    cell_count,
    headings,
    closing,
    links,
    pictures,
    names,
    numbers,
]
ADVICE = [shorter_cells]
