"""Drawing by hand: SVG as a string. Fast, crisp at any size, and the same bytes for the same numbers.

No element has an id, so that several pictures can share a page. Every picture has its own white background, so that it
can be read in a dark theme, and a label that says in words what it shows.
"""

import base64
import html
import textwrap
import unicodedata
from contextlib import contextmanager

from common.language import say

INK, MUTED, LINE, PALE = "#1a1a1a", "#595959", "#b8b8b8", "#f0f0f0"
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # Okabe and Ito 2008, as in common.plots
ORANGE_TEXT = "#A94A00"  # on white, ORANGE itself has a contrast of 3.9, and text needs 4.5
SANS, MONO = "Verdana, 'DejaVu Sans', sans-serif", "'DejaVu Sans Mono', Menlo, Consolas, monospace"
DARKEST = (0, 53, 120)  # the color of a weight of 1; 0 is white
SHRINKS = 0.85  # to this share of its width a picture shrinks on a narrow page; then its frame scrolls


def escape(text):
    """Return text that is safe within SVG and HTML; control characters, which XML forbids, become U+FFFD."""
    text = str(text)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return html.escape(text, quote=True)


def number(x, digits=2):
    """Return x with this number of decimals, a real minus sign, and no minus before a zero."""
    text = f"{float(x):.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def percent(x):
    """Return a share of 1 as whole percents: 0.829 -> '83 %'."""
    return f"{100 * float(x):.0f} %"


def shade(weight):
    """Return the color of a weight: from white at 0 to dark blue at 1, in steps of 0.01."""
    w = round(min(max(float(weight), 0.0), 1.0), 2)
    return "#" + "".join(f"{round(255 + w * (dark - 255)):02x}" for dark in DARKEST)


def contrast(color, other):
    """Return the contrast of two colors such as "#0072B2", 1 to 21. Source: WCAG 2.2; text needs 4.5."""
    light, dark = sorted((_luminance(color), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color):
    shares = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ink_on(weight):
    """Return the color of text on ``shade(weight)``: black or white, whichever stands out more."""
    ground = shade(weight)
    return max("#000000", "#ffffff", key=lambda ink: contrast(ink, ground))


def visible(token):
    """Return a token as it can be seen: the space becomes an open box."""
    return "␣" if token == " " else token


def breadth(token):
    """Return how many letters wide a token is: characters of Chinese, Japanese and Korean take the room of two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in token)


def wrap(text, columns):
    """Return a text as lines of at most so many letters, broken between words; see ``breadth``."""
    fill = "\ue000"  # beside each letter that takes the room of two; no font has it, no text holds it
    wide = "".join(c + fill * (breadth(c) - 1) for c in text)
    return [line.replace(fill, "") for line in textwrap.wrap(wide, columns, break_on_hyphens=False)]


def clipped(token, letters=24):
    """Return a token as it can be seen, cut off after a number of letters."""
    return visible(token if len(token) <= letters else token[: letters - 1] + "…")


def _n(x):
    """Return a coordinate with at most one decimal."""
    return f"{x:.1f}".rstrip("0").rstrip(".") if x % 1 else f"{x:.0f}"


def least_width(width):
    """Return the pixels that a picture of this width keeps on a narrow page, where its frame then scrolls."""
    return round(SHRINKS * width)


class Picture:
    """A still picture that a notebook shows and stores, also for readers without a kernel.

    It is shown as an HTML image with alternative text: JupyterLab displays that in a notebook that is not trusted yet,
    where it hides a bare SVG. Attributes: ``svg``, the drawing; ``text``, what it shows, in words; ``others``, further
    Pictures to show beside it.
    """

    def __init__(self, svg, text, others=()):
        self.svg, self.text, self.others = str(svg), text, tuple(others)

    def _repr_html_(self):
        images = "".join(picture.image() for picture in (self, *self.others))
        return f'<div style="overflow-x:auto">{images}</div>'

    def image(self):
        """Return the picture as an HTML image."""
        data = base64.b64encode(self.svg.encode()).decode()
        width = float(self.svg.split('width="', 1)[1].split('"', 1)[0])
        style = f"max-width:100%;min-width:{least_width(width)}px;height:auto"
        return f'<img alt="{escape(self.text)}" style="{style}" src="data:image/svg+xml;base64,{data}"/>'

    def __repr__(self):
        return " ".join(picture.text for picture in (self, *self.others))


class Drawing:
    """A picture of ``width`` times ``height`` pixels (it shrinks on narrower screens).

    Coordinates run to the right and down; the y of a text is its baseline. ``str(drawing)`` is the SVG. Its style
    names the least width for a page that heeds it, such as a widget's (a file of its own would be cut off by it).
    Args: label, what the picture shows, in words, for those who cannot see it.
    """

    def __init__(self, width, height, label):
        self.width, self.height, self.label = width, height, label
        self.parts = []

    def __str__(self):
        w, h = _n(self.width), _n(self.height)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img" '
            f'aria-label="{escape(self.label)}" font-family="{SANS}" font-size="13" '
            f'style="--least:{least_width(self.width)}px;max-width:100%;height:auto;background:#ffffff">'
        )
        paper = f'<rect width="{w}" height="{h}" fill="#ffffff"/>'
        return head + paper + "".join(self.parts) + "</svg>"

    @contextmanager
    def pressed(self, name):
        """Whatever is drawn inside is one thing to press: a widget's script reads ``name``, see ``widgets.base``."""
        self.parts.append(f'<g data-press="{escape(name)}" style="cursor:pointer">')
        yield
        self.parts.append("</g>")

    def rect(self, x, y, w, h, fill="none", stroke=None, width=1, dash=None, radius=0, title=None):
        """Draw a box. title: a text that is shown when the mouse rests on it."""
        extra = f' rx="{_n(radius)}"' if radius else ""
        head = f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" fill="{fill}"'
        head += extra + _stroke(stroke, width, dash)
        self.parts.append(f"{head}><title>{escape(title)}</title></rect>" if title else f"{head}/>")

    def text(self, x, y, text, **style):
        """Write one line.

        style: size, color, bold, italic, mono; anchor, which is start, middle or end; halo, a white rim that keeps the
        text readable on lines; rising, whether the line rises to the right at 45 degrees.
        """
        rising = f' transform="rotate(-45 {_n(x)} {_n(y)})"' if style.pop("rising", False) else ""
        self.parts.append(f'<text x="{_n(x)}" y="{_n(y)}"{rising}{_style(**style)}>{escape(text)}</text>')

    def words(self, x, y, *pieces):
        """Write several pieces, one after the other on one line, each a tuple (text, dict of style as for ``text``)."""
        spans = "".join(f"<tspan{_style(**style)}>{escape(text)}</tspan>" for text, style in pieces)
        self.parts.append(f'<text x="{_n(x)}" y="{_n(y)}" xml:space="preserve">{spans}</text>')

    def lines(self, x, y, text, columns, leading=18, **style):
        """Write a text, broken into lines of at most ``columns`` characters; return the y below it."""
        for line in wrap(text, columns):
            self.text(x, y, line, **style)
            y += leading
        return y

    def line(self, x1, y1, x2, y2, color=INK, width=1, dash=None):
        """Draw a straight line."""
        ends = f'x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"'
        self.parts.append(f"<line {ends}{_stroke(color, width, dash)}/>")

    def polyline(self, points, color=INK, width=1, dash=None, fill="none"):
        """Draw a line through points, a list of (x, y)."""
        places = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self.parts.append(f'<polyline points="{places}" fill="{fill}"{_stroke(color, width, dash)}/>')

    def circle(self, x, y, radius, fill=INK, stroke=None, width=1):
        """Draw a disc."""
        place = f'cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"'
        self.parts.append(f'<circle {place} fill="{fill}"{_stroke(stroke, width, None)}/>')

    def arrow(self, points, color=INK, width=1.5, dash=None, head=8):
        """Draw a line through points, a list of (x, y), with a head at the last one."""
        (x1, y1), (x2, y2) = points[-2:]
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        if length < 1e-6:
            return
        dx, dy = (x2 - x1) / length, (y2 - y1) / length
        head = min(head, length)
        bx, by = x2 - head * dx, y2 - head * dy  # where the head begins
        half = 0.45 * head
        self.polyline([*points[:-1], (bx, by)], color, width, dash)
        tip = (x2, y2), (bx - half * dy, by + half * dx), (bx + half * dy, by - half * dx)
        places = " ".join(f"{_n(x)},{_n(y)}" for x, y in tip)
        self.parts.append(f'<polygon points="{places}" fill="{color}"/>')


HEAT_CELL, HEAT_ROW, HEAT_LETTER = 16, 18, 8  # of draw_heatmap: a column, a row, a further letter of a token


def heatmap_size(question, answer):
    """Return (width of a column, room for the tokens of the answer, whole width, height) of ``draw_heatmap``."""
    column = HEAT_CELL + HEAT_LETTER * (max(map(breadth, question), default=1) - 1)
    room = 24 + HEAT_LETTER * (max(map(breadth, answer), default=1) - 1)
    return column, room, room + column * len(question), 22 + HEAT_ROW * len(answer)


def draw_heatmap(drawing, x, y, question, answer, weights):
    """Draw weights (len(answer), len(question)) with the tokens as labels, the upper left corner at (x, y)."""
    column, room, _, _ = heatmap_size(question, answer)
    left, top = x + room, y + 22
    for i, token in enumerate(question):
        drawing.text(left + column * (i + 0.5), y + 14, visible(token), anchor="middle", mono=True)
    for k, token in enumerate(answer):
        row = top + HEAT_ROW * k
        drawing.text(left - 8, row + 14, visible(token), anchor="end", mono=True)
        for i, w in enumerate(weights[k]):
            drawing.rect(left + column * i, row, column, HEAT_ROW, fill=shade(w), stroke="#e6e6e6")


def draw_cells(drawing, x, y, weights, side):
    """Draw weights (rows, columns) as squares, ``side`` pixels wide, without lines and labels.

    The squares of a shade are one path, in steps of 0.05: a picture can hold dozens of such heatmaps.
    """
    levels = (20 * weights + 0.5).astype(int)
    drawing.parts.append(f'<g transform="translate({_n(x)} {_n(y)}) scale({_n(side)})" shape-rendering="crispEdges">')
    for level in sorted(set(levels.ravel().tolist()) - {0}):
        rows, columns = (levels == level).nonzero()
        squares = "".join(f"M{i} {k}h1v1h-1z" for k, i in zip(rows.tolist(), columns.tolist(), strict=True))
        drawing.parts.append(f'<path fill="{shade(level / 20)}" d="{squares}"/>')
    drawing.parts.append("</g>")


def draw_shades(drawing, x, y, weights=(0, 0.5, 1)):
    """Draw the colors of some weights, with the weights in them."""
    drawing.text(x, y + 13, say("weight"), size=11, color=MUTED)
    for j, w in enumerate(weights):
        drawing.rect(x + 50 + 44 * j, y, 44, 17, fill=shade(w), stroke=LINE)
        drawing.text(x + 72 + 44 * j, y + 13, percent(w), size=11, anchor="middle", color=ink_on(w))


def _style(size=13, anchor="start", color=INK, bold=False, italic=False, mono=False, halo=False):
    style = f' fill="{color}"'
    style += f' font-size="{size}"' if size != 13 else ""
    style += f' text-anchor="{anchor}"' if anchor != "start" else ""
    style += ' font-weight="bold"' if bold else ""
    style += ' font-style="italic"' if italic else ""
    style += f' font-family="{MONO}"' if mono else ""
    style += ' stroke="#ffffff" stroke-width="4" stroke-linejoin="round" paint-order="stroke"' if halo else ""
    return style


def _stroke(color, width, dash):
    if color is None:
        return ""
    return f' stroke="{color}" stroke-width="{_n(width)}"' + (f' stroke-dasharray="{dash}"' if dash else "")
