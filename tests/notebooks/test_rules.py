"""Every rule for notebooks finds what breaks it, and leaves a good notebook alone."""

import base64

import nbformat
import pytest

from tests.notebooks import address, execute, rules

PATH = address.NOTEBOOKS / "ch99_example.ipynb"
TITLE = f"# An example\n\n{address.badge(PATH)}\n\nA sum of `TimeLSTM` and `softmax(x)`."


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def result(text, **data):
    return nbformat.v4.new_output("execute_result", {"text/plain": text, **data}, execution_count=1)


def picture(text="Figure. Line chart."):
    """A figure as common/alt_text.py has a notebook show it."""
    source = base64.b64encode(b"picture").decode()
    html = f'<img alt="{text}" width="99" src="data:image/png;base64,{source}"/>'
    return nbformat.v4.new_output("display_data", {"text/plain": text, "text/html": html})


WIDGET = "AttentionExplorer: type a date. Run this cell to use it."  # as common/widgets/base.py names itself


def good():
    """The cells of a notebook that keeps all rules; tests break one of them."""
    cells = [text(TITLE), code(address.setup_source(), stream(address.READY)), text("## Numbers")]
    for k in range(4):
        cells += [code(f"x_{k} = {k}\nprint(x_{k})", stream(f"{k}\n")), code(f"x_{k}", result(str(k)))]
        cells += [text(f"### Part {k}\n\nSee [the numbers](#Numbers), and `x_{k}`."), text("Text.")]
    return [
        *cells,
        code("plt.show()", picture()),
        text(f"## {rules.CLOSING}\n\n- One\n- Two\n- Three: in `common/layers.py` stands `common.layers.Affine`."),
        text("## End\n\n**Next.** Nothing."),
    ]


def text(source):
    return nbformat.v4.new_markdown_cell(source, id="x")


def code(source, *outputs):
    return nbformat.v4.new_code_cell(source, id="x", outputs=list(outputs), execution_count=1)


def tagged(cell, tag):
    cell.metadata.tags = [tag]
    return cell


def notebook(cells):
    """A Notebook of these cells, stored as `make notebooks` would."""
    return rules.Notebook(PATH, execute.text_of(execute.normalise(nbformat.v4.new_notebook(cells=good_ids(cells)))))


def good_ids(cells):
    for k, cell in enumerate(cells):
        cell.id = f"c{k}"
    return cells


def broken(n, cell):
    """The good notebook with another cell n."""
    cells = good()
    cells[n] = cell
    return notebook(cells)


def after(*cells):
    """The good notebook with more cells before its last one."""
    return notebook([*good()[:-1], *cells, good()[-1]])


def breaks(book):
    """The names of the rules that a notebook breaks."""
    return {rule.__name__ for rule in rules.RULES + rules.ADVICE if rule(book)}


def test_a_good_notebook_keeps_every_rule():
    book = notebook(good())
    assert {rule.__name__: rule(book) for rule in rules.RULES + rules.ADVICE if rule(book)} == {}


def reports(prose, printed):
    """The good notebook with a cell that prints and a text that speaks of it."""
    return after(code("print(x)", stream(printed)), text(prose))


def long_cell(lines):
    return code("\n".join(f"a{k} = {k}" for k in range(lines)))


BAD = {
    "no setup cell": ("setup_cell", lambda: broken(1, code("import sys"))),
    "setup cell changed": (
        "setup_cell",
        lambda: broken(1, code(address.setup_source() + "  #", stream(address.READY))),
    ),
    "setup cell of another repository": (
        "setup_cell",
        lambda: broken(1, code(address.setup_source("https://github.com/ada/x"), stream(address.READY))),
    ),
    "setup cell says something else": ("setup_cell", lambda: broken(1, code(address.setup_source(), stream("x")))),
    "no badge": ("badge", lambda: broken(0, text("# An example"))),
    "badge of another notebook": ("badge", lambda: broken(0, text(TITLE.replace("ch99", "ch98")))),
    "badge of another repository": (
        "badge",
        lambda: broken(0, text(TITLE.replace(address.slug(address.address()), "ada/x"))),
    ),
    "a badge too many": ("badge", lambda: after(text(address.badge(PATH)))),
    "an error": (
        "no_errors",
        lambda: after(code("1 / x", nbformat.v4.new_output("error", ename="E", evalue="", traceback=[]), result("1"))),
    ),
    "printed nothing": ("outputs_present", lambda: after(code("for k in range(3):\n    print(k)"))),
    "value not stored": ("outputs_present", lambda: after(code("a = 3\na.real + 1"))),
    "display not stored": ("outputs_present", lambda: after(code("display(x)"))),
    "figure without its picture": (
        "outputs_present",
        lambda: after(code("draw()", result("<Figure size 640x480 with 1 Axes>"))),
    ),
    "an address": ("stable_text", lambda: after(code("x", result("<A at 0x7f12ab34cd56>")))),
    "long decimals": ("stable_text", lambda: after(code("print(x)", stream("loss 0.12345678\n")))),
    "a warning": ("stable_text", lambda: after(code("f(x)", stream("Warning: x\n", "stderr")))),
    "a path of the kernel": ("stable_text", lambda: after(code("print(x)", stream("ipykernel_123/1.py\n")))),
    "a claim that holds": ("figures_not_truth", lambda: after(code("print(x)", stream("equal: True\n")))),
    "claims that hold": ("figures_not_truth", lambda: after(code("print(x)", stream("1\n[True, True]\n")))),
    "a claim that does not": ("figures_not_truth", lambda: after(code("a < b", result("False")))),
    "large output": ("size", lambda: after(code("print(x)", stream("x" * 300_001)))),
    "large file": ("size", lambda: after(*(text("y" * 250_000) for _ in range(9)))),
    "Output": ("no_output_widgets", lambda: after(code("out = widgets.Output()"))),
    "interact": ("no_output_widgets", lambda: after(code("from ipywidgets import interact"))),
    "ipympl": ("no_output_widgets", lambda: after(code("%matplotlib widget"))),
    "a widget at the end": ("widgets_come_back", lambda: after(code("explorer", result(WIDGET)))),
    "a widget, then code": (
        "widgets_come_back",
        lambda: after(code("explorer", result(WIDGET)), code("a = 1"), text(rules.RUN_AGAIN)),
    ),
    "a widget, then other text": ("widgets_come_back", lambda: after(code("explorer", result(WIDGET)), text("Text."))),
    "semicolon": ("no_trailing_semicolon", lambda: after(code("plt.plot(x);  # a line"))),
    "semicolon inside": ("no_trailing_semicolon", lambda: after(code("a = 1;\nb = 2"))),
    "skipped": ("no_skipping", lambda: after(code("# NBVAL_SKIP\na = 1"))),
    "expected to fail": ("no_skipping", lambda: after(code("# NBVAL_RAISES_EXCEPTION\na = 1"))),
    "a marker in sight": ("no_skipping", lambda: after(code("# NBVAL_IGNORE_OUTPUT\nprint(t)", stream("1 s\n")))),
    "skipped by a tag": ("no_skipping", lambda: after(tagged(code("a = 1"), "nbval-skip"))),
    "expected to fail by a tag": ("no_skipping", lambda: after(tagged(code("a = 1"), "raises-exception"))),
    "a tag of another tool": ("no_skipping", lambda: after(tagged(text("Text."), "parameters"))),
    "nothing to ignore": ("no_skipping", lambda: after(tagged(code("a = 1"), rules.IGNORE_OUTPUT))),
    "import": ("imports_on_colab", lambda: after(code("def f():\n    import pandas.core"))),
    "from import": ("imports_on_colab", lambda: after(code("from tests.notebooks import rules"))),
    "pip": ("imports_on_colab", lambda: after(code("%pip install x"))),
    "three in a row": ("rhythm", lambda: after(code("a = 1"), code("b = 1"), code("c = 1"))),
    "long cell": ("short_cells", lambda: after(long_cell(rules.MOST_LINES + 1))),
    "longish cell": ("shorter_cells", lambda: after(long_cell(rules.MANY_LINES + 1))),
    "few cells": ("cell_count", lambda: notebook([*good()[:10], *good()[-2:]])),
    "many cells": ("cell_count", lambda: after(*(text("Text.") for _ in range(60)))),
    "no title": ("headings", lambda: broken(0, text(TITLE.replace("# ", "")))),
    "two titles": ("headings", lambda: after(text("# Another"))),
    "a jump": ("headings", lambda: after(text("#### Deep"))),
    "an empty heading": ("headings", lambda: after(text("###"))),
    "the same heading": ("headings", lambda: after(text("## End"))),
    "no closing": ("closing", lambda: broken(-2, text("## What you can do now\n\n- One\n- Two\n- Three"))),
    "a short closing": (
        "closing",
        lambda: broken(-2, text(f"## {rules.CLOSING}\n\n- One\n- Two\n\n### More\n\n- Three")),
    ),
    "nothing next": ("closing", lambda: broken(-1, text("## End\n\nNext: [x](#End)"))),
    "dead link": ("links", lambda: after(text("[x](ch99_missing.ipynb)"))),
    "dead link by reference": ("links", lambda: after(text("[x][1]\n\n[1]: missing.md"))),
    "dead link in HTML": ("links", lambda: after(text('<a href="missing.html">x</a>'))),
    "dead anchor": ("links", lambda: after(text("[x](#nowhere)"))),
    "dead anchor in a page": ("links", lambda: after(text("[x](../CONTRIBUTING.md#nowhere)"))),
    "link out of the house": ("links", lambda: after(text("[x](../../)"))),
    "http": ("links", lambda: after(text("[x](http://example.com)"))),
    "missing attachment": ("links", lambda: after(text("![x](attachment:x.png)"))),
    "missing picture": ("links", lambda: after(text("![x](x.png)"))),
    "no alternative text": ("pictures", lambda: after(text("![](attachment:x.png)"))),
    "no alternative text in HTML": ("pictures", lambda: after(text('<img src="data:x">'))),
    "no alternative text in an output": (
        "pictures",
        lambda: after(code("x", result("x", **{"text/html": '<img alt="" src="data:x">'}))),
    ),
    "a PNG, which has no alternative text": (
        "pictures",
        lambda: after(code("plt.show()", nbformat.v4.new_output("display_data", {"image/png": "QUJD"}))),
    ),
    "picture from elsewhere": ("pictures", lambda: after(text("![x](https://example.com/x.png)"))),
    "unknown class": ("names", lambda: after(text("A `TimeLTSM`."))),
    "unknown function": ("names", lambda: after(text("Call `sofmax(x)`."))),
    "unknown word": ("names", lambda: after(text("The `attention_wait`."))),
    "unknown attribute": ("names", lambda: after(text("`model.attention_wait`"))),
    "unknown thing of a module": ("names", lambda: after(text("`common.layers.Afine`"))),
    "unknown method": ("names", lambda: after(text("`common.layers.Affine.bakward`"))),
    "unknown module": ("names", lambda: after(text("`common.layer`"))),
    "unknown file": ("names", lambda: after(text("`ch08/attention.py`"))),
    "unknown notebook": ("names", lambda: after(text("`ch08_99_more`"))),
    "a decimal that nothing shows": ("numbers", lambda: reports("The error is 0.14.", "0.134 0.15")),
    "a decimal with more digits than are shown": ("numbers", lambda: reports("The error is 0.25.", "0.2 0.3")),
    "a percentage that nothing shows": ("numbers", lambda: reports("It is 96 % right.", "0.9678")),
    "a percentage of too few digits": ("numbers", lambda: reports("It is 95 % right.", "0.9")),
    "a count that nothing shows": ("numbers", lambda: reports("Of 260 misses 85 are left.", "260 84")),
    "a large number that nothing shows": ("numbers", lambda: reports("It has 591,259 parameters.", "591,295")),
    "a round number that is far off": ("numbers", lambda: reports("About 8,000 rows.", "7207")),
    "a round number said as if exact": ("numbers", lambda: reports("There are 7,000 rows.", "7207")),
    "a number below a table": ("numbers", lambda: reports("| a | b |\n|---|---|\n| x | 0.5 |", "0.4")),
    "a number beside another sentence's source": (
        "numbers",
        lambda: reports("Cho et al. 2014 say so. It is 0.5.", "0.4"),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_rule_is_found(case):
    rule, make = BAD[case]
    found = breaks(make())
    expected = {rule}
    if case in ("long cell", "no alternative text"):  # one is advice too, the other lacks its attachment
        expected |= {"shorter_cells"} if case == "long cell" else {"links"}
    assert found == expected


def test_every_rule_has_a_bad_example():
    stored_form = {"executed_in_order", "normalised"}  # below
    assert {rule for rule, _ in BAD.values()} | stored_form == {rule.__name__ for rule in rules.RULES + rules.ADVICE}


def test_cells_that_did_not_run_in_order_are_found():
    for counts in ([1, 3], [2, 1], [None, 1], [1, None]):
        book = notebook(good())
        for (_, cell), count in zip(book.code, counts):
            cell.execution_count = count
        assert rules.executed_in_order(book), counts


@pytest.mark.parametrize(
    "change",
    [
        lambda book: book.metadata.update(widgets={"state": {}}),
        lambda book: book.metadata.kernelspec.update(name="venv"),
        lambda book: book.metadata.language_info.update(version="3.11.7"),
        lambda book: book.cells[3].metadata.update(execution={"iopub.execute_input": "2026"}),
        lambda book: book.cells[3].outputs.append(stream("more")),
        lambda book: book.cells[3].update(execution_count=77),
        lambda book: book.cells[4].outputs[0].metadata.update(height=3),
        lambda book: book.cells[4].outputs[0].data.update({execute.WIDGET_VIEW: {"model_id": "1"}}),
        lambda book: book.update(nbformat_minor=6),
    ],
)
def test_a_notebook_in_another_form_is_found(change):
    book = nbformat.reads(notebook(good()).text, as_version=4)
    change(book)
    written = nbformat.writes(book, version=nbformat.NO_CONVERT) + "\n"
    assert rules.normalised(rules.Notebook(PATH, written)), "not found"


def test_other_white_space_in_the_file_is_found():
    text = notebook(good()).text
    for changed in (text.rstrip(), text.replace("\n ", "\n  "), text + "\n"):
        assert rules.normalised(rules.Notebook(PATH, changed))


FINE = {
    "calls may give nothing": code("plt.plot(x)\nmodel.backward()"),
    "an assignment shows nothing": code("_ = x"),
    "printing in a function is not printing": code("def f():\n    print(1)"),
    "a docstring is no value": code('class A:\n    """Text; more;"""'),
    "semicolons in strings and comments": code("a = ';'  # b;"),
    "options in a name": code("layer", result("TimeLSTM(stateful=True), {'trim': False}")),
    "timings": tagged(code("print(t)", stream("0.123456789 s at 0x123456789\n")), rules.IGNORE_OUTPUT),
    "long docstrings": code('def f():\n    """' + "\n    ".join("abcdefghijklmnopqrstuvwxyz") + '"""\n\n\n    # x'),
    "library attributes": text("`common.time_layers.TimeLSTM.dh`, `model.decoder.attention_weights`, `dataset`"),
    "others' names": text("`np.einsum('nth,nt->nh', hs, a)`, `ipywidgets.IntSlider`, `numpy`, `x[:, None]`, `a * b`"),
    "code that is shown": text("```python\n# a comment\n![](x)\n[x](y)\n```\n\n`[x](y)`, `![](y)`"),
    "living links": text(
        "[a](../CONTRIBUTING.md#add-a-layer) [b](../ch08/) [c](https://example.com) [d](#e)\n<a id='e'></a>"
    ),
    "files": text("`tests/notebooks/`, `ch08/attention_layer.py`"),
    "formulas": text("`a = softmax(s)`, `(N, T, H)`, `hs[:, t]`"),
}


SHOWN = "0.9678 7207 591,259 85\n"
FINE_NUMBERS = [
    "A share of 0.968, or 0.97, or 96.8 %, or 97 %; 591,259 parameters; 85 misses.",
    "About 7,000 rows, nearly 7,200 rows, 3 of them empty.",
    "With $0.5 \\cdot 2 = 1.0$ and\n\n$$x = 0.25$$\n\nyou get `0.75`.",
    "Bahdanau et al. (2015, figure 2) report 26.75. Alain and Bengio 2016 report 0.11.",
    "It scores 87.7 % (see [the notes](../CONTRIBUTING.md)).",
    "From 1970 to 2017, in chapter 8.4, section 3.2.1, in 8.7 and in 8.12. The cell takes 20 to 30 seconds.",
]


@pytest.mark.parametrize("prose", FINE_NUMBERS)
def test_numbers_that_are_shown_cited_or_worked_out(prose):
    assert rules.numbers(reports(prose, SHOWN)) == []


def test_a_number_is_shown_by_code_too_but_not_by_the_setup_cell():
    assert rules.numbers(after(code("rate = 0.125\nsteps = 937"), text("The rate is 0.125, for 937 steps."))) == []
    book = notebook(good())
    book.code[0][1].source += "\nx = 0.125"
    assert rules.numbers(rules.Notebook(PATH, execute.text_of(book.node))) == []
    book.node.cells[-1].source = "It is 0.125."
    assert rules.numbers(rules.Notebook(PATH, execute.text_of(book.node))) != []


def test_every_number_that_is_not_shown_is_still_said():
    stems = {path.stem: rules.Notebook(path) for path in address.chapters()}
    for stem, number in rules.NOT_SHOWN:
        assert any(number in source for _, source in stems[stem].prose), f"{stem} no longer says {number}"


@pytest.mark.parametrize("case", FINE)
def test_what_is_fine_is_left_alone(case):
    book = after(FINE[case])
    assert {rule.__name__: rule(book) for rule in rules.RULES + rules.ADVICE if rule(book)} == {}


def test_a_widget_with_the_sentence_below_it_is_left_alone():
    words = rules.RUN_AGAIN.replace(" it again", "\nit again")  # lines may break anywhere
    assert breaks(after(code("explorer", result(WIDGET)), text(f"{words}\n\nMore."))) == set()
