"""Figures of a machine with a memory: how a head finds its rows, the machine itself, its heads over time. Chapter 8.20.

Rows of the memory are drawn in the order of the ring, so that a head that goes on past the last row stays in sight.
"""

from common.alt_text import set_alt
from common.language import say
from common.np import host, to_cpu
from common.svg import (
    BLUE,
    GREEN,
    INK,
    LINE,
    MUTED,
    ORANGE,
    PALE,
    Drawing,
    Picture,
    breadth,
    ink_on,
    number,
    shade,
)

MOST_ROWS = 48  # of those that heads look at
USED = 0.1  # a row that never gets this weight is not drawn


def used_rows(*weights, also=(), most=MOST_ROWS):
    """Return the rows of a memory that are worth drawing, in the order of the ring, as a list.

    These are the rows that heads look at, and those between them; the latter only if all are at most ``most``.
    Args: weights, weightings (..., R); also, rows that are drawn in any case.
    """
    peaks = host.max([to_cpu(w).reshape(-1, w.shape[-1]).max(axis=0) for w in weights], axis=0)  # (R,)
    best = host.argsort(-peaks, kind="stable")[:most].tolist()
    rows = sorted({r for r in best if peaks[r] >= USED} | {best[0]} | {int(r) for r in also})
    R = len(peaks)
    gaps = [(rows[k] - rows[k - 1]) % R for k in range(len(rows))]  # from the row before it on the ring
    first = gaps.index(max(gaps))  # the ring is cut where most rows are free
    rows = rows[first:] + rows[:first]
    span = (rows[-1] - rows[0]) % R + 1
    return [(rows[0] + k) % R for k in range(span)] if span <= most else rows


# --- addressing ---

CELL, HIGH, LINKS = 74, 32, 96  # width and height of a cell; room for the lines between two columns
LEFT, TOP = 58, 58


def addressing_figure(columns, links=(), caption=""):
    """Draw numbers of the rows of a memory in columns, weights from white at 0 to dark blue at 1, lines between them.

    Args:
        columns: a dict title -> numbers (R,), or (R, W) for vectors, which are not shaded. Nor is a column with a
            number that is not a weight.
        links: tuples (from column, to column, weights (R, R)): a line from row j to row i as thick as weights[i, j].
            One from a column to itself is not drawn.
        caption: a line below.
    Returns: a Picture, with its numbers in words.
    """
    arrays = [host.asarray(to_cpu(column), float) for column in columns.values()]
    R, titles = len(arrays[0]), list(columns)
    wide = [CELL if array.ndim == 1 else 46 * array.shape[1] for array in arrays]
    places = [LEFT + sum(wide[:k]) + LINKS * k for k in range(len(arrays))]
    bottom = TOP + HIGH * R
    width = max(places[-1] + wide[-1] + 24, LEFT + 7.2 * breadth(caption) + 14)
    label = " ".join(f"{title}: {_in_words(array)}." for title, array in zip(titles, arrays, strict=True))
    drawing = Drawing(width, bottom + (44 if caption else 16), f"{label} {caption}".strip())
    for r in range(R):
        drawing.text(LEFT - 10, TOP + HIGH * r + 21, say("row {row}", row=r), size=12, anchor="end", color=MUTED)
    for start, end, weights in links:
        a, b = titles.index(start), titles.index(end)
        x1, x2 = (places[a] + wide[a], places[b]) if a < b else (places[a], places[b] + wide[b])
        for (i, j), w in host.ndenumerate(to_cpu(weights)):
            if w >= 0.005:
                y1, y2 = (TOP + HIGH * (r + 0.5) for r in (j, i))
                drawing.line(x1 + 3, y1, x2 - 3, y2, ORANGE, max(14 * float(w), 0.8))
    for title, array, x, w in zip(titles, arrays, places, wide, strict=True):
        for k, line in enumerate(title.split("\n")):
            drawing.text(x + w / 2, TOP - 26 + 16 * k, line, anchor="middle", bold=not k, size=12)
        _draw_column(drawing, x, w, array)
    if caption:
        drawing.text(LEFT, bottom + 28, caption, color=INK)
    return Picture(drawing, drawing.label)


def _in_words(array):
    """Return numbers in words: row by row for vectors."""
    if array.ndim == 1:
        return ", ".join(_short(x) for x in array)
    return "; ".join(", ".join(_short(x) for x in row) for row in array)


def _short(x):
    """Return a number with as many of at most 3 decimals as it needs."""
    text = number(x, 3)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _draw_column(drawing, x, width, array):
    weights = array.ndim == 1 and array.min() >= 0 and array.sum() < 1.001
    rows = array[:, None] if array.ndim == 1 else array
    cell = width / rows.shape[1]
    for (r, j), value in host.ndenumerate(rows):
        y = TOP + HIGH * r
        drawing.rect(x + cell * j, y, cell, HIGH, fill=shade(value) if weights else "#ffffff", stroke=LINE)
        ink = ink_on(value) if weights else INK
        drawing.text(x + cell * (j + 0.5), y + 21, _short(value), anchor="middle", color=ink)


# --- the machine ---

PARTS = {"controller": INK, "address": GREEN, "write": BLUE, "read": ORANGE}  # what can be highlighted: its color


def machine_figure(highlight=None):
    """Draw a Neural Turing Machine: controller, heads, memory, and the three things that happen in a step.

    Args: highlight, a key of PARTS: the part that is in color, while the others are gray; None, all are in color.
    Returns: a Picture with alternative text. Raises: ValueError for another part.
    """
    if highlight is not None and highlight not in PARTS:
        raise ValueError(f"machine_figure: there is no part {highlight!r}; there are {', '.join(PARTS)}")
    words = say(
        "A Neural Turing Machine in one step. The controller gets the input x_t and what was read in the step before, "
        "r_(t−1). From what it puts out, the heads say a key, a strength, a gate, a shift and a power, and the writing "
        "head also what to erase and to add. 1. Address: each head finds its weighting w_t from these, from its "
        "weighting before and from the memory M_(t−1). 2. Write: the rows under the writing head are erased in part, "
        "and something is added to them: M_t. 3. Read: the rows of M_t under the reading head are mixed into r_t, "
        "which goes to the output layer and, in the next step, to the controller. The output layer makes the output "
        "y_t."
    )
    if highlight:
        words += " " + say("In color: {part}.", part=say(highlight))
    drawing = Drawing(684, 400, words)

    def color(part):
        return PARTS[part] if highlight in (None, part) else LINE

    def box(x, y, w, h, part, title, *lines):
        lit = highlight in (None, part)
        drawing.rect(x, y, w, h, PALE if lit else "#ffffff", color(part), 2.4 if highlight == part else 1.6, radius=8)
        drawing.text(x + w / 2, y + 20, title, anchor="middle", bold=True, color=INK if lit else MUTED)
        for k, line in enumerate(lines):
            drawing.text(x + w / 2, y + 38 + 16 * k, line, size=11, anchor="middle", color=INK if lit else MUTED)

    def arrow(part, *points, dash=None):
        drawing.arrow(list(points), color(part), 2.4 if highlight == part else 1.8, dash=dash)

    def note(x, y, text, part, symbol=None):
        """Write a text and, behind it, a letter with an index."""
        ink = INK if highlight in (None, part) else MUTED
        drawing.text(x, y, text, size=12, color=ink, halo=True)
        if symbol:
            letter, index = symbol
            x += 6.4 * breadth(text)
            drawing.text(x, y, letter, italic=True, color=ink, halo=True)
            drawing.text(x + (11 if letter in "wM" else 8), y + 4, index, size=10, color=ink, halo=True)

    # the memory, a grid; beside it the weighting of this step
    left, top, cell, rows, columns = 520, 84, 24, 9, 6
    weights = (0, 0, 0.04, 0.9, 0.06, 0, 0, 0, 0)
    for r in range(rows):
        for j in range(columns):
            drawing.rect(left + cell * j, top + cell * r, cell, cell, "#ffffff", LINE)
        fill = shade(weights[r]) if highlight != "controller" else "#ffffff"
        drawing.rect(left - 40, top + cell * r, 18, cell, fill, LINE)
    bottom, middle = top + cell * rows, top + cell * 3.5
    drawing.rect(left, top, cell * columns, bottom - top, stroke=INK, width=1.6)
    drawing.text(left + 4, top - 10, say("memory"), bold=True)
    note(left - 40, top - 10, "", "address", ("w", "t"))

    box(40, 196, 150, 64, "controller", say("Controller"), say("an LSTM"))
    box(40, 92, 150, 36, "controller", say("Output layer"))
    said = say("key, strength, gate,"), say("shift, power;"), say("erase, add")
    box(248, 184, 176, 88, "address", say("Heads"), *said)
    box(248, 84, 176, 56, "address", say("1. Address"), say("content, gate, shift, power"))
    arrow("controller", (115, 330), (115, 262))
    note(110, 348, "", "controller", ("x", "t"))
    arrow("controller", (115, 196), (115, 130))
    arrow("controller", (115, 92), (115, 54))
    note(110, 44, "", "controller", ("y", "t"))
    arrow("controller", (190, 228), (246, 228))
    arrow("address", (336, 184), (336, 142))
    arrow("address", (424, 112), (478, 112))
    arrow("address", (640, top), (640, 40), (386, 40), (386, 82))
    note(452, 32, say("looks at "), "address", ("M", "t−1"))
    arrow("address", (286, 84), (286, 40), (316, 40), (316, 82), dash="4 3")
    note(240, 52, "", "address", ("w", "t−1"))
    arrow("write", (424, 240), (478, 240))
    arrow("write", (left - 20, middle), (left - 1, middle))
    note(427, 260, say("2. write"), "write")
    arrow("read", (592, bottom), (592, 382), (20, 382), (20, 240), (38, 240))
    note(250, 374, say("3. read, for the controller's next step: "), "read", ("r", "t"))
    arrow("read", (20, 240), (20, 110), (38, 110))
    return Picture(drawing, drawing.label)


# --- over time ---


def memory_heatmap(inputs, outputs, weights, rows=None, changed=None):
    """Draw what a machine reads and writes, and below it where its heads are, over T steps.

    Args:
        inputs (T, D), outputs (T, B), from 0 (white) to 1 (black); what does not count is nan.
        weights: a dict name of a head -> its weightings (T, R), drawn from white at 0 to dark blue at 1.
        rows: which rows of the memory are shown, in order; None for those that the heads use.
        changed: (step, row) where the memory was changed by hand, marked by a cross, or None.
    Returns: a matplotlib Figure, with its content in words. Raises: ValueError if the numbers of steps differ.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    inputs, outputs = (host.asarray(to_cpu(x), float) for x in (inputs, outputs))
    weights = {name: host.asarray(to_cpu(w), float) for name, w in weights.items()}
    panels = {"input": inputs, "output": outputs, **weights}
    if len({len(array) for array in panels.values()}) > 1:
        shapes = {name: array.shape for name, array in panels.items()}
        raise ValueError(f"memory_heatmap: every array needs the same number of steps, got {shapes}")
    rows = used_rows(*weights.values()) if rows is None else list(rows)
    blues = LinearSegmentedColormap.from_list("weights", [shade(0), shade(1)])
    heights, columns = [max(inputs.shape[1], outputs.shape[1]), max(len(rows), 6)], max(len(weights), 2)
    figure = Figure(figsize=(4 * columns + 0.4, 0.9 + 0.19 * sum(heights)), layout="constrained")
    above, below = figure.subplots(2, columns, sharex=True, height_ratios=heights)
    for ax, (name, bits) in zip(above[:2], list(panels.items())[:2], strict=True):
        ax.imshow(bits.T, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="none")
        ax.set(title=name, yticks=[], ylabel="bits")
    every = max(1, len(rows) // 8)
    for ax, (name, w) in zip(below, weights.items(), strict=False):
        image = ax.imshow(w[:, rows].T, cmap=blues, vmin=0, vmax=1, aspect="auto", interpolation="none")
        ax.set_yticks(range(0, len(rows), every), rows[::every])
        ax.set(title=name, xlabel="step", ylabel="row of the memory")
        ax.xaxis.get_major_locator().set_params(integer=True)
        if changed is not None:
            ax.plot(changed[0], rows.index(changed[1]), "x", color=ORANGE, markersize=11, markeredgewidth=3)
    for ax in (*above[2:], *below[len(weights) :]):
        ax.axis("off")
    figure.colorbar(image, ax=below, ticks=[0, 0.5, 1], label="weight")
    words = [
        say(
            "Over {steps} steps: the bits that a machine reads, those that it writes, the weights of its heads.",
            steps=len(inputs),
        )
    ]
    for name, w in weights.items():
        on = ", ".join(str(r) for r in w.argmax(axis=1))
        words.append(say("The {head} is on the rows {rows}.", head=say(name), rows=on))
    if changed is not None:
        words.append(say("Row {row} was changed by hand after step {step}.", step=changed[0], row=changed[1]))
    return set_alt(figure, " ".join(words))
