"""A small picture of two arrays: what an answer gave, and what was expected."""

from common.np import host as np
from common.widgets.svg import BLUE, LINE, MUTED, ORANGE, PALE, Drawing, number

MOST = 12  # rows or columns that are drawn
WIDTH, HEIGHT = 58, 26  # of a cell


def as_table(value):
    """Return a number, vector, matrix or longer array as a matrix that can be drawn, or None."""
    if isinstance(value, (list, str)) or value is None:
        return None
    array = np.asarray(value, dtype=np.float64)
    while array.ndim > 2:
        array = array[0]
    return np.atleast_2d(array)


def got_beside_expected(what, got, expected):
    """Return an SVG of both arrays side by side, wrong elements marked; None where there is nothing to draw.

    Of arrays with three and more axes the first matrix is drawn, of long ones the first rows and columns.
    """
    tables = as_table(got), as_table(expected)
    if tables[0] is None or tables[1] is None or 0 in tables[0].shape + tables[1].shape:
        return None
    shown = [table[:MOST, :MOST] for table in tables]
    columns = [max(table.shape[1], 2) for table in shown]
    rows = max(len(table) for table in shown)
    left, gap = 10, 50
    width = 2 * left + gap + WIDTH * sum(columns)
    height = 52 + HEIGHT * rows + 20
    same_shape = np.shape(got) == np.shape(expected)
    drawing = Drawing(max(width, 260), height, f"{what}: what the answer gave, beside what was expected")
    wrong = None
    if same_shape:
        size = max(float(np.abs(tables[1][np.isfinite(tables[1])]).max(initial=0.0)), 1e-3)
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(shown[0] - shown[1]) <= 1e-6 * size) & ~(shown[0] == shown[1])
    x = left
    for title, value, table, cells, color in zip(
        ("got", "expected"), (got, expected), shown, columns, (ORANGE, BLUE), strict=True
    ):
        drawing.text(x, 20, f"{what} {title}", bold=True, color=color)
        drawing.text(x, 38, f"shape {np.shape(value)}", size=11, color=MUTED)
        for row in range(table.shape[0]):
            for column in range(table.shape[1]):
                bad = title == "got" and wrong is not None and wrong[row, column]
                cx, cy = x + WIDTH * column, 48 + HEIGHT * row
                fill = "#fde3d3" if bad else PALE
                drawing.rect(cx, cy, WIDTH - 2, HEIGHT - 2, fill=fill, stroke=ORANGE if bad else LINE)
                text = _short(table[row, column])
                drawing.text(cx + WIDTH - 8, cy + 17, text, size=11, anchor="end", mono=True, bold=bad)
        x += WIDTH * cells + gap
    cut = any(np.size(value) > table.size for value, table in zip((got, expected), shown, strict=True))
    note = "framed: wrong" if wrong is not None and wrong.any() else ""
    if cut:
        note = (note + "; " if note else "") + "not all of it is drawn"
    drawing.text(left, height - 8, note, size=11, color=MUTED)
    return str(drawing)


def _short(x):
    if not np.isfinite(x):
        return str(x)
    if x != 0 and not 1e-3 <= abs(x) < 1e4:
        return f"{x:.0e}"
    return number(x, 3 if abs(x) < 10 else 1)
