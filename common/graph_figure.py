"""The figure of a computational graph: operations, values of the forward pass, gradients of the backward pass."""

import itertools
import math

from common.alt_text import set_alt
from common.language import say
from common.plots import COLORS

SIZE = 10  # of the text, in points
MARGIN = 0.14  # inches between a label and what is next to it
APART = 0.035  # inches from the middle of an edge to each of its two arrows
ROW = 1.15  # inches from row to row


def computational_graph(nodes, edges, title=None):
    """Draw a computational graph: each edge has its forward value above and its gradient below.

    Args:
        nodes: a dict name -> (column, row), or (column, row, text) to show a text other than the name. Columns count to
            the right, rows down; both may be fractions. The positions of the columns on the page are computed.
            A node without edges into it, or without edges out of it, is a variable: a white box with square corners.
            Every other node is an operation: a gray box with round corners. The text "" makes a dot, where one value
            branches.
        edges: a list of (start, end, value, gradient), four strings; without a gradient (start, end, value). An edge
            between two rows runs level, then up or down into its end; from a dot it runs up or down first, then level.
        title: a line above the graph.

    A text may have several lines. A forward arrow is solid, with its value upright. A backward arrow is dashed, with
    its gradient in italics. Returns: a matplotlib Figure, which a notebook shows as a cell's last line after
    ``%matplotlib inline``.
    Raises: ValueError for an edge to or from an unknown node.

    The weighted sum of one sequence:

        computational_graph(
            {"a": (0, 0), "repeat": (1, 0), "multiply": (2, 0), "hs": (0, 1), "sum": (3, 0), "c": (4, 0)},
            [
                ("a", "repeat", "(T,)", "da"),
                ("repeat", "multiply", "ar\\n(T, H)", "dar"),
                ("hs", "multiply", "(T, H)", "dhs"),
                ("multiply", "sum", "t\\n(T, H)", "dt"),
                ("sum", "c", "(H,)", "dc"),
            ],
        )
    """
    nodes = {name: _Node(name, place, edges) for name, place in nodes.items()}
    for edge in edges:
        for name in edge[:2]:
            if name not in nodes:
                raise ValueError(f"computational_graph: edge {edge[0]!r} -> {edge[1]!r}: there is no node {name!r}")
    edges = [_Edge(nodes[start], nodes[end], *texts) for start, end, *texts in edges]
    _place_columns(nodes.values(), edges)
    ax = _paper(nodes.values(), edges, title)
    for edge in edges:
        edge.draw(ax)
    for node in nodes.values():
        node.draw(ax)
    return set_alt(ax.figure, _words(edges, title))


def _words(edges, title):
    """Return the graph in words: its edges, with their values and gradients."""
    named = f", {title}" if title else ""
    words = [say("Computational graph{title}.", title=named)]
    for edge in edges:
        shown = ", ".join(filter(None, (edge.value, edge.gradient and say("gradient {name}", name=edge.gradient))))
        if not shown and edge.start.is_dot and edge.end.is_dot:
            continue  # a piece of a line
        start, end = (node.text or say("a branch") for node in (edge.start, edge.end))
        way = say("{start} to {end}", start=start, end=end)
        words.append(f"{way}: {shown}." if shown else f"{way}.")
    return " ".join(words)


class _Node:
    """A box with a text, or a dot. Its center is (x, y), in inches."""

    def __init__(self, name, place, edges):
        self.column, row, self.text = (*place, name)[:3]
        self.x, self.y = None, -ROW * row
        self.is_dot = self.text == ""
        self.is_variable = not (any(e[1] == name for e in edges) and any(e[0] == name for e in edges))
        lines = self.text.count("\n") + 1
        self.half_width = 0.05 if self.is_dot else _text_width(self.text) / 2 + 0.11
        self.half_height = 0.05 if self.is_dot else 0.09 * lines + 0.09

    def draw(self, ax):
        from matplotlib.patches import Circle, FancyBboxPatch

        if self.is_dot:
            ax.add_patch(Circle((self.x, self.y), 0.05, color="black", zorder=3))
            return
        style = "square,pad=0" if self.is_variable else "round,pad=0,rounding_size=0.12"
        corner = (self.x - self.half_width, self.y - self.half_height)
        face = "white" if self.is_variable else "0.9"
        ax.add_patch(
            FancyBboxPatch(
                corner, 2 * self.half_width, 2 * self.half_height, boxstyle=style, facecolor=face, edgecolor="black"
            )
        )
        ax.text(self.x, self.y, self.text, ha="center", va="center", size=SIZE, zorder=3)


class _Edge:
    """A line from node to node with at most one corner, and its two labels."""

    def __init__(self, start, end, value="", gradient=None):
        self.start, self.end, self.value, self.gradient = start, end, value, gradient
        self.label_width = max(_text_width(value), _text_width(gradient or ""))

    def room(self):
        """The space in inches that the label needs between the columns of the two ends."""
        ends = 2 * MARGIN + self.label_width
        if self.start.y == self.end.y:
            return self.start.half_width + self.end.half_width + ends
        return (self.end if self.start.is_dot else self.start).half_width + ends

    def points(self):
        """The line, from the border of the start to the border of the end."""
        a, b = self.start, self.end
        corner = (a.x, b.y) if a.is_dot else (b.x, a.y)
        line = [(a.x, a.y), corner, (b.x, b.y)]
        line = [p for k, p in enumerate(line) if k == 0 or p != line[k - 1]]
        line[0] = _towards(line[0], line[1], a)
        line[-1] = _towards(line[-1], line[-2], b)
        return line

    def draw(self, ax):
        line = self.points()
        if self.gradient is None:
            draw_arrow(ax, line, COLORS[0])
        else:
            draw_arrow(ax, _beside(line, APART), COLORS[0])
            draw_arrow(ax, _beside(line, -APART)[::-1], COLORS[1], (0, (4, 2.5)))
        pieces = [(p, q) for p, q in itertools.pairwise(line) if p[1] == q[1]]
        (x1, y1), (x2, y2) = pieces[0] if pieces else line[:2]
        x, y, away = (x1 + x2) / 2, (y1 + y2) / 2, APART + 0.06
        if pieces:
            places = dict(ha="center", va="bottom"), dict(ha="center", va="top")
            shift = (0, away)
        else:  # straight up or down: the labels go to the sides
            side = 1 if y2 < y1 else -1
            places = [dict(ha="left" if s > 0 else "right", va="center") for s in (side, -side)]
            shift = (side * away, 0)
        ax.text(x + shift[0], y + shift[1], self.value, size=SIZE, **places[0])
        ax.text(x - shift[0], y - shift[1], self.gradient or "", size=SIZE, style="italic", **places[1])


def _text_width(text):
    """Return the width of the longest line in inches."""
    from matplotlib.textpath import TextPath

    widths = [TextPath((0, 0), line, size=SIZE).get_extents().width for line in text.split("\n") if line.strip()]
    return max(widths, default=0) / 72


def _place_columns(nodes, edges):
    """Set the x of every node: the columns are as close as the labels between them allow."""
    columns = sorted({node.column for node in nodes})
    x = {}
    for k, column in enumerate(columns):
        here = max(node.half_width for node in nodes if node.column == column)
        before = max((node.half_width for node in nodes if k and node.column == columns[k - 1]), default=0)
        x[column] = x[columns[k - 1]] + before + here + MARGIN if k else here
        for edge in edges:
            first, last = sorted((edge.start.column, edge.end.column))
            if last == column != first:
                x[column] = max(x[column], x[first] + edge.room())
    for node in nodes:
        node.x = x[node.column]


def _paper(nodes, edges, title):
    """Return an Axes that measures in inches, with room for the legend below and the title above."""
    from matplotlib.lines import Line2D

    right = max(node.x + node.half_width for node in nodes)
    top, bottom = max(node.y for node in nodes) + 0.55, min(node.y for node in nodes) - 0.6
    two_ways = any(edge.gradient is not None for edge in edges)
    top += 0.3 * bool(title)
    bottom -= 0.3 * two_ways
    width = math.ceil(2 * max(right + 0.2, 5)) / 2
    ax = inch_axes(width, round(top - bottom, 1))
    ax.set_xlim((right - width) / 2, (right + width) / 2)
    ax.set_ylim(bottom, top)
    if title:
        ax.text(right / 2, top - 0.1, title, ha="center", va="top", size=SIZE + 1, weight="bold")
    if two_ways:
        forward = Line2D([], [], color=COLORS[0], label="value, forward")
        back = Line2D([], [], color=COLORS[1], linestyle=(0, (4, 2.5)), label="gradient, backward (italics)")
        ax.legend(handles=[forward, back], loc="lower center", ncols=2, frameon=False, fontsize=SIZE - 1)
    return ax


def _towards(point, other, node):
    """Return where the line from the center of a node to another point crosses the node's border."""
    (x, y), (dx, dy) = point, _direction(point, other)
    return x + dx * (node.half_width + 0.02), y + dy * (node.half_height + 0.02)


def _direction(p, q):
    """Return a step of length 1 along a horizontal or vertical line."""
    dx, dy = q[0] - p[0], q[1] - p[1]
    return dx / (abs(dx) + abs(dy)), dy / (abs(dx) + abs(dy))


def _beside(line, distance):
    """Return the line shifted to the left of its direction."""
    steps = [_direction(p, q) for p, q in itertools.pairwise(line)]
    shifted = []
    for k, (x, y) in enumerate(line):
        around = {steps[max(k - 1, 0)], steps[min(k, len(steps) - 1)]}
        shifted.append((x - distance * sum(dy for _, dy in around), y + distance * sum(dx for dx, _ in around)))
    return shifted


def inch_axes(width, height):
    """Return the Axes of a new Figure without a frame, width times height inches, which measures in inches."""
    from matplotlib.figure import Figure

    ax = Figure(figsize=(width, height), facecolor="white").add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set_xlim(0, width)
    ax.set_ylim(0, height)
    return ax


def draw_arrow(ax, points, color, style="-", width=1.4):
    """Draw a line through points, a list of (x, y), with a head at the last one. style: of the line."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    patch = FancyArrowPatch(path=Path(points), arrowstyle="-|>", mutation_scale=9, color=color, linewidth=width)
    patch.set_linestyle(style)
    ax.add_patch(patch)
