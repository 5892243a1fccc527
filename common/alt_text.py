"""Figures in a notebook: sharp on every screen, and with alternative text.

JupyterLab gives the image of an output no alternative text, whatever its metadata say. So ``install``, which the setup
cell of every notebook calls, has matplotlib's figures shown as HTML, ``<img alt="...">`` with a PNG in it: JupyterLab,
Colab, VS Code and GitHub show that, and a screen reader reads it. The same words are the plain text of the output.

The words come from ``set_alt`` or, without it, from what is written in the figure: its title, axes and legend. They
hold no measured number, so that they are the same on every machine.
"""

import base64
import io
import re

from common.language import say
from common.svg import escape, least_width

SCALE = 2  # pixels of the image for one of the page, for screens that have them
PALETTE = 256  # colors of an image, which make it less than half as large


def set_alt(figure, text):
    """Give a figure alternative text: what it shows, in words. Return the figure.

    plt.show() and a figure as the last line of a cell then use it.
    """
    figure.alt_text = " ".join(text.split())
    return figure


def listed(names):
    """Return names as a list in words: a, b and c."""
    *first, last = map(str, names)
    return say("{one} and {other}", one=", ".join(first), other=last) if first else last


def show(figure, alt=None):
    """Show a figure in a notebook here. Args: alt, what it shows in words; None: see ``alt_text``."""
    from IPython.display import display
    from matplotlib import pyplot

    display(figure if alt is None else set_alt(figure, alt))
    pyplot.close(figure)  # or the end of the cell would show it again


def alt_text(figure):
    """Return the alternative text of a figure: what ``set_alt`` gave it, or what is written in it."""
    text = getattr(figure, "alt_text", None)
    if text:
        return text
    title = figure.get_suptitle() if hasattr(figure, "get_suptitle") else ""
    axes = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    parts = [_describe(ax) for ax in axes]
    return " ".join([say("Figure."), *([f"{title}."] if title else []), *filter(None, parts)])


def _describe(ax):
    """Return a sentence on an Axes: what kind of chart, of what."""
    kind, names = _kind(ax), _names(ax)
    title = _plain(ax.get_title())
    words = f"{kind}: {title}" if title else kind
    if names:
        words += f"; {', '.join(names)}"
    for axis, name in ((ax.xaxis, say("horizontal")), (ax.yaxis, say("vertical"))):
        label = _plain(axis.label.get_text())
        ticks = _categories(axis)
        if (label or ticks) and ax.axison:
            words += f"; {name}: {label}{' ' if label and ticks else ''}{ticks}"
    if not ax.axison and not names:
        written = dict.fromkeys(_plain(text.get_text()) for text in ax.texts)
        inside = say("in it")
        words += f"; {inside}: {', '.join(filter(_is_word, written))}" if written else ""
    return words + "."


def _kind(ax):
    from matplotlib.container import BarContainer

    if ax.images or any(type(c).__name__ == "QuadMesh" for c in ax.collections):
        return say("Heatmap")
    if any(isinstance(c, BarContainer) for c in ax.containers):
        return say("Bar chart")
    if any(type(c).__name__ == "PathCollection" for c in ax.collections):
        return say("Scatter plot")
    return say("Line chart") if ax.lines and ax.axison else say("Drawing")


def _names(ax):
    """Return what the legend lists."""
    return [_plain(label) for label in ax.get_legend_handles_labels()[1]]


def _categories(axis):
    """Return the labels of the ticks if they are words."""
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    if not isinstance(axis.get_major_formatter(), (FixedFormatter, FuncFormatter)):
        return ""
    labels = [_plain(label.get_text()) for label in axis.get_ticklabels()]
    return f"({' '.join(labels)})" if any(map(_is_word, labels)) else ""


def _is_word(text):
    """Return whether there is a letter in it: a number would differ from machine to machine."""
    return re.search(r"[^\W\d_]", text) is not None


def _plain(text):
    """Return a text of a figure on one line, without the marks of formulas."""
    return " ".join(text.replace("$", "").split())


def install():
    """Have the notebook that runs here show figures as ``bundle`` makes them. Elsewhere, and again, it does nothing."""
    try:
        from IPython import get_ipython
    except ModuleNotFoundError:
        return
    shell = get_ipython()
    formatter = getattr(shell, "display_formatter", None)
    if formatter is None or not hasattr(shell, "kernel"):
        return

    def show_figure(figure, include=None, exclude=None):
        # %matplotlib inline would add a PNG without alternative text.
        formatter.formatters["image/png"].pop(type(figure), None)
        return bundle(figure)

    formatter.mimebundle_formatter.for_type_by_name("matplotlib.figure", "Figure", show_figure)


def bundle(figure):
    """Return what a notebook shows and stores of a figure: a dict of text/plain and text/html; {} without axes."""
    if not figure.axes and not figure.lines and not figure.texts:
        return {}
    image, width = png(figure)
    text = alt_text(figure)
    # Without a height, which some page would keep while it makes the image narrower.
    size = f'width="{width}" style="max-width:100%;min-width:{least_width(width)}px;height:auto"'
    source = base64.b64encode(image).decode()
    html = f'<img alt="{escape(text)}" {size} src="data:image/png;base64,{source}"/>'
    return {"text/plain": text, "text/html": f'<div style="overflow-x:auto">{html}</div>'}


def png(figure):
    """Return (PNG of a figure, its width on a page in pixels)."""
    from PIL import Image

    drawn, stored = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=SCALE * figure.dpi, bbox_inches="tight", facecolor="white")
    image = Image.open(drawn).convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE)
    image.save(stored, "png", optimize=True)
    return stored.getvalue(), round(image.width / SCALE)
