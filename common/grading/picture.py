"""A small picture of two arrays: what an answer gave, and what was expected."""

from common.language import say
from common.np import host as np
from common.svg import BLUE, LINE, MUTED, ORANGE, ORANGE_TEXT, PALE, Drawing, number

MAX_SHOWN = 12  # rows or columns that are drawn
WIDTH, HEIGHT = 58, 26  # of a cell


def as_tables(got, expected):
    """Return both values as matrices that can be drawn, or None if one is empty or is not a number or array.

    Of arrays with more than two axes it is one matrix: the first with a wrong element if the shapes are equal, else the
    first.
    """
    if any(isinstance(value, (list, str)) or value is None for value in (got, expected)):
        return None
    tables = [np.atleast_2d(np.asarray(value, dtype=np.float64)) for value in (got, expected)]
    if 0 in tables[0].shape + tables[1].shape:
        return None
    wrong = np.argwhere(_wrong(*tables)) if tables[0].shape == tables[1].shape else ()
    first = wrong[0] if len(wrong) else np.zeros(64, dtype=int)
    return [table[tuple(first[: table.ndim - 2])] for table in tables]


def _wrong(got, expected):
    """Return where two arrays of equal shape differ."""
    size = max(float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0)), 1e-3)
    with np.errstate(invalid="ignore"):
        return ~(np.abs(got - expected) <= 1e-6 * size) & ~(got == expected)


def got_beside_expected(what, got, expected):
    """Return an SVG of both arrays side by side, wrong elements marked; None if there is nothing to draw.

    Of arrays with three or more axes one matrix is drawn, of large ones the first rows and columns.
    """
    tables = as_tables(got, expected)
    if tables is None:
        return None
    shown = [table[:MAX_SHOWN, :MAX_SHOWN] for table in tables]
    columns = [max(table.shape[1], 2) for table in shown]
    rows = max(len(table) for table in shown)
    left, gap = 10, 50
    width = 2 * left + gap + WIDTH * sum(columns)
    height = 52 + HEIGHT * rows + 20
    same_shape = np.shape(got) == np.shape(expected)
    drawing = Drawing(max(width, 260), height, say("{what}: what the answer gave, beside what was expected", what=what))
    wrong = _wrong(*tables)[:MAX_SHOWN, :MAX_SHOWN] if same_shape else None
    whole = all(np.asarray(value).dtype.kind in "iub" for value in (got, expected))
    x = left
    for title, value, table, cells, color in zip(
        ("got", "expected"), (got, expected), shown, columns, (ORANGE_TEXT, BLUE), strict=True
    ):
        headline = say("{what} got", what=what) if title == "got" else say("{what} expected", what=what)
        drawing.text(x, 20, headline, bold=True, color=color)
        drawing.text(x, 38, say("shape {shape}", shape=np.shape(value)), size=11, color=MUTED)
        for row in range(table.shape[0]):
            for column in range(table.shape[1]):
                bad = title == "got" and wrong is not None and wrong[row, column]
                cx, cy = x + WIDTH * column, 48 + HEIGHT * row
                fill = "#fde3d3" if bad else PALE
                drawing.rect(cx, cy, WIDTH - 2, HEIGHT - 2, fill=fill, stroke=ORANGE if bad else LINE)
                text = _short(table[row, column], whole)
                drawing.text(cx + WIDTH - 8, cy + 17, text, size=11, anchor="end", mono=True, bold=bad)
        x += WIDTH * cells + gap
    cut = any(np.size(value) > table.size for value, table in zip((got, expected), shown, strict=True))
    notes = [say("framed: wrong")] if wrong is not None and wrong.any() else []
    if cut:
        notes.append(say("not all of it is drawn"))
    drawing.text(left, height - 8, "; ".join(notes), size=11, color=MUTED)
    return str(drawing)


def _short(x, whole):
    if whole:
        return number(x, 0)
    if not np.isfinite(x):
        return str(x)
    if x != 0 and not 1e-3 <= abs(x) < 1e4:
        return f"{x:.0e}"
    return number(x, 3 if abs(x) < 10 else 1)
