"""Charts of the lessons: bars, curves, tables of shares, points in rows. Each function returns a matplotlib Figure.

Blue shades stand for attention weights everywhere (``common.plots``), so a table of shares is gray.
"""

from common.np import host
from common.plots import COLORS, MARKERS, STYLES, new_figure
from common.svg import shade, visible


def bars(series, places, *, xlabel="", ylabel, top, guess=None, size=(7, 3)):
    """Draw bars side by side: for each place one of every series.

    Args: series, a dict label -> a number for each place; places, their names; top, the end of the vertical axis;
    guess, where a dotted line shows what guessing reaches.
    """
    figure, ax = new_figure(*size)
    x, width = host.arange(len(places)), 0.8 / len(series)
    for k, (label, values) in enumerate(series.items()):
        at = x + width * (k - (len(series) - 1) / 2)
        ax.bar(at, values, width, color=COLORS[k], label=label, hatch="//" if k % 2 else None, edgecolor="white")
    ax.set_xticks(x, places)
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, top))
    _guess(ax, guess)
    if len(series) > 1:
        figure.legend(loc="outside upper center", ncols=len(series))
    return figure


def curves(x, series, *, xlabel, ylabel, ylim, log=False, markers=True, guess=None, size=(7, 3.8)):
    """Draw curves over the same x.

    Args: series, a dict label -> a number for each x; log, the vertical axis is logarithmic; guess, as for bars.
    """
    figure, ax = new_figure(*size)
    for k, (label, y) in enumerate(series.items()):
        ax.plot(x, y, STYLES[k], color=COLORS[k], marker=MARKERS[k] if markers else None, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=ylim, yscale="log" if log else "linear")
    ax.grid(color="0.9")
    _guess(ax, guess)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _guess(ax, height):
    if height is not None:
        ax.axhline(height, color="0.4", linestyle=":", label="guessing")


def share_table(shares, rows, columns, *, xlabel, ylabel):
    """Draw shares from 0 (white) to 1 (black) as a table of percentages.

    Args: shares (R, C); rows and columns, the names of its R rows and C columns.
    """
    shares = host.asarray(shares)
    R, C = shares.shape
    figure, ax = new_figure(1.2 + 0.6 * max(C, 4), 0.9 + 0.42 * R)
    ax.imshow(shares, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    for i, j in host.ndindex(R, C):
        ax.text(j, i, f"{100 * shares[i, j]:.0f}", ha="center", va="center", color="w" if shares[i, j] > 0.62 else "k")
    ax.set_xticks(range(C), columns)
    ax.set_yticks(range(R), rows)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return figure


def point_rows(groups, *, xlabel, xlim, size=(7, 2.2)):
    """Draw each group of numbers as a row of points, the first group on top. Args: groups, a dict label -> numbers."""
    figure, ax = new_figure(*size)
    for y, values in enumerate(groups.values()):
        ax.plot(values, host.full(len(values), y), MARKERS[y], color=COLORS[y], alpha=0.5)
    ax.set_yticks(range(len(groups)), groups)
    ax.set(xlim=xlim, ylim=(len(groups) - 0.5, -0.5), xlabel=xlabel)
    return figure


def heatmaps(read, question):
    """Draw the attention weights of several models for one question side by side.

    Args: read, a dict label -> (answer, weights (len(answer), len(question))), in reading order.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    blues = LinearSegmentedColormap.from_list("weights", [shade(0), shade(1)])
    rows = max(len(answer) for answer, _ in read.values())
    figure = Figure(figsize=((0.9 + 0.3 * len(question)) * len(read), 1.0 + 0.3 * rows), layout="constrained")
    letters = {"family": "DejaVu Sans Mono", "fontsize": 14}
    for ax, (label, (answer, weights)) in zip(figure.subplots(1, len(read), squeeze=False)[0], read.items()):
        T_dec, T = weights.shape
        ax.pcolormesh(weights, cmap=blues, vmin=0, vmax=1, edgecolors="0.85", linewidth=0.5)
        ax.set_aspect("equal")
        ax.invert_yaxis()  # the first step on top
        ax.set_xticks(host.arange(T) + 0.5, [visible(c) for c in question], **letters)
        ax.set_yticks(host.arange(T_dec) + 0.5, list(answer), **letters)
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        ax.set_title(label)
    return figure
