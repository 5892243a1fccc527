"""Drawing by hand: SVG as a string. Fast, crisp at any size, and the same bytes for the same numbers.

No element has an id, so that several pictures can share a page. Every picture has its own white background, so that it
can be read in a dark theme, and a label that says in words what it shows.
"""

import html
import textwrap

INK, MUTED, LINE, PALE = "#1a1a1a", "#595959", "#b8b8b8", "#f0f0f0"
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # Okabe and Ito 2008, as in common.plots
SANS, MONO = "Verdana, 'DejaVu Sans', sans-serif", "'DejaVu Sans Mono', Menlo, Consolas, monospace"
DARKEST = (0, 53, 120)  # the color of a weight of 1; 0 is white


def escape(text):
    """Return text that is safe within SVG and HTML; control characters, which XML forbids, become U+FFFD."""
    text = "".join(c if c.isprintable() or c == " " else "\ufffd" for c in str(text))
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


def ink_on(weight):
    """Return the color of text on ``shade(weight)``."""
    return "#ffffff" if weight > 0.6 else INK


def visible(token):
    """Return a token as it can be seen: the space becomes an open box."""
    return "␣" if token == " " else token


def _n(x):
    """Return a coordinate with at most one decimal."""
    return f"{x:.1f}".rstrip("0").rstrip(".") if x % 1 else f"{x:.0f}"


class Drawing:
    """A picture of ``width`` times ``height`` pixels (it shrinks on narrower screens).

    Coordinates run to the right and down; the y of a text is its baseline. ``str(drawing)`` is the SVG.
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
            f'style="max-width:100%;height:auto;background:#ffffff">'
        )
        paper = f'<rect width="{w}" height="{h}" fill="#ffffff"/>'
        return head + paper + "".join(self.parts) + "</svg>"

    def rect(self, x, y, w, h, fill="none", stroke=None, width=1, dash=None, radius=0, title=None):
        """Draw a box. title: a text that is shown when the mouse rests on it."""
        extra = f' rx="{_n(radius)}"' if radius else ""
        head = f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" fill="{fill}"'
        head += extra + _stroke(stroke, width, dash)
        self.parts.append(f"{head}><title>{escape(title)}</title></rect>" if title else f"{head}/>")

    def text(self, x, y, text, **style):
        """Write one line.

        style: size, color, bold, italic, mono; anchor, which is start, middle or end; halo, a white rim that keeps the
        text readable on lines.
        """
        self.parts.append(f'<text x="{_n(x)}" y="{_n(y)}"{_style(**style)}>{escape(text)}</text>')

    def words(self, x, y, *pieces):
        """Write several pieces, one after the other on one line, each a tuple (text, dict of style as for ``text``)."""
        spans = "".join(f"<tspan{_style(**style)}>{escape(text)}</tspan>" for text, style in pieces)
        self.parts.append(f'<text x="{_n(x)}" y="{_n(y)}" xml:space="preserve">{spans}</text>')

    def lines(self, x, y, text, columns, leading=18, **style):
        """Write a text, broken into lines of at most ``columns`` characters; return the y below it."""
        for line in textwrap.wrap(text, columns, break_on_hyphens=False):
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
