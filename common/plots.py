"""Figures of the course. Every function draws on a matplotlib Axes or returns a Figure; none of them displays it.

matplotlib is imported only when something is drawn, so that training without figures starts quickly.
"""

import functools
from pathlib import Path

from common.alt_text import set_alt
from common.language import say
from common.np import host, to_cpu
from common.svg import (
    MUTED,
    ORANGE_TEXT,
    Drawing,
    Picture,
    breadth,
    draw_heatmap,
    draw_shades,
    heatmap_size,
    shade,
    visible,
)


def new_figure(width, height):
    """Return (figure, axes) without a window, so that nothing needs to be closed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def attention_heatmap(weights, question, answer, title=None):
    """Draw attention weights: one row for each token of the answer, one column for each one of the question.

    Args: weights (len(answer), len(question)) or wider (padding is cut off), in reading order; question and answer, two
    strings (each character is a token) or two lists of tokens, such as words.
    Returns: a matplotlib Figure. The scale is always 0 (white) to 1 (dark blue), as in the widgets. Where this machine
    has no font for a character of the tokens, a Picture: an SVG, whose letters the reader's browser draws.
    """
    weights = host.asarray(to_cpu(weights))
    question = question.rstrip() if isinstance(question, str) else question
    question, answer = list(question), list(answer)
    if weights.ndim != 2 or weights.shape[0] != len(answer) or weights.shape[1] < len(question):
        raise ValueError(
            f"attention_heatmap: weights are {weights.shape}, but answer and question need "
            f"({len(answer)}, {len(question)})"
        )
    weights = weights[:, : len(question)]
    join = "".join if all(len(token) == 1 for token in [*question, *answer]) else " ".join
    named = f", {title}" if title else ""
    alt = say(
        "Attention heatmap{title}: the columns are the question “{question}”, the rows the answer “{answer}”; the "
        "darker a cell, the larger the weight.",
        title=named,
        question=join(question),
        answer=join(answer),
    )
    families = font_families("".join([*question, *answer]))
    if families is None:
        return Picture(_heatmap_drawing(weights, question, answer, title, alt), alt)
    from matplotlib.colors import LinearSegmentedColormap

    blues = LinearSegmentedColormap.from_list("weights", [shade(0), shade(1)])
    wide, tall = (LETTER * (max(map(breadth, tokens)) - 1) for tokens in (answer, question))  # beyond one letter
    figure, ax = new_figure(1.1 + 0.3 * len(question) + wide, 0.6 + 0.3 * len(answer) + tall)
    image = ax.imshow(weights, cmap=blues, vmin=0, vmax=1, aspect="equal")
    letters = {"family": families, "fontsize": 14}  # nearly fill a cell: readable on a narrow screen, too
    upright = {"rotation": 90} if tall else {}  # words beside one another would overlap
    ax.set_xticks(range(len(question)), [visible(token) for token in question], **letters, **upright)
    ax.set_yticks(range(len(answer)), [visible(token) for token in answer], **letters)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.tick_params(length=0)
    ax.set_xticks(host.arange(len(question) + 1) - 0.5, minor=True)
    ax.set_yticks(host.arange(len(answer) + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="0.85", linewidth=0.5)
    ax.tick_params(which="minor", length=0)
    ax.set_xlabel("question", fontsize=12)
    ax.set_ylabel("answer", fontsize=12)
    if title:
        ax.set_title(title)
    bar = figure.colorbar(image, ax=ax, ticks=[0, 0.5, 1], aspect=30, pad=0.01)
    bar.set_label("attention weight", fontsize=12)
    bar.ax.tick_params(labelsize=12)
    return set_alt(figure, alt)


LETTER = 0.12  # inches that a letter of a label takes


def _heatmap_drawing(weights, question, answer, title, alt):
    _, room, width, height = heatmap_size(question, answer)
    drawing = Drawing(max(width + 28, 240), height + 66, alt)
    drawing.text(14, 22, title or say("rows: the answer; columns: the question"), size=12, color=MUTED)
    draw_heatmap(drawing, 14, 30, question, answer, weights)
    draw_shades(drawing, 14, height + 40)
    return drawing


@functools.cache
def font_families(text, first="DejaVu Sans Mono"):
    """Return the fonts of this machine that have all characters of a text, for ``family=``; None if one has no font.

    The first one, which matplotlib brings, comes first and is enough for most scripts; others are looked for only where
    it lacks a character, such as one of Chinese.
    """
    from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

    families = [first]
    have = set(get_font(findfont(FontProperties(family=first))).get_charmap())
    for entry in sorted(fontManager.ttflist, key=lambda entry: ("Mono" not in entry.name, entry.name)):
        missing = {ord(c) for c in text if c.isprintable()} - have
        if not missing:
            return families
        if entry.style != "normal" or entry.name in families or entry.name.startswith("Last Resort"):
            continue  # matplotlib's last resort has a box for every character
        more = missing & set(get_font(entry.fname).get_charmap())
        if more:
            families.append(entry.name)
            have |= more
    return families if {ord(c) for c in text if c.isprintable()} <= have else None


STYLES = ("-", "--", "-.", ":")
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # distinguishable by color-blind readers (Okabe and Ito 2008)
MARKERS = ("o", "s", "^", "D")


# what a curve shows: the factor, its name in a legend, the label of its axis, the end of its axis (None: as needed)
MEASURES = {
    "exact_match": (100, "exact match", "unseen questions right (%)", 102),
    "bleu": (1, "BLEU", "BLEU on unseen sentences", 102),
    "bit_errors": (1, "bit errors", "wrong bits in an unseen sequence", None),
}


def learning_curve(loss, values, measure="exact_match"):
    """Draw the training loss, and what was measured on unseen questions, over the steps of one run.

    Args: loss, pairs (step, loss); values, pairs (step, value); measure, "exact_match" (a share from 0 to 1), "bleu"
    (0 to 100) or "bit_errors" (a number). Returns: a matplotlib Figure.
    """
    scale, name, axis_label, top = MEASURES[measure]
    figure, ax = new_figure(7, 4)
    right = ax.twinx()
    lines = []
    for axis, pairs, color, style, marker, label in (
        (ax, loss, COLORS[0], "-", "", "training loss (left)"),
        (right, [(s, scale * v) for s, v in values], COLORS[1], "--", "o", f"{name} on unseen questions (right)"),
    ):
        steps, values = zip(*pairs, strict=True) if pairs else ((), ())
        lines += axis.plot(steps, values, color=color, linestyle=style, marker=marker, label=label)
    ax.set_xlabel("training step")
    ax.set_ylabel("mean loss")
    ax.set_ylim(bottom=0)
    right.set_ylabel(axis_label)
    right.set_ylim(-2, top)
    figure.legend(handles=lines, loc="outside upper center", ncols=2)  # so that it covers nothing
    return figure


def accuracy_curves(curves, title=None, measure="exact_match"):
    """Draw what was measured over the epochs of several runs.

    Args: curves, a dict label -> list of runs, each a list of values, epoch by epoch; measure, "exact_match" (shares
    from 0 to 1), "bleu" (0 to 100) or "bit_errors" (numbers). With more than one run, the line is the median and a band
    runs from the lowest to the highest. Returns: a matplotlib Figure.
    """
    scale, _, axis_label, top = MEASURES[measure]
    figure, ax = new_figure(7, 4)
    for k, (label, runs) in enumerate(curves.items()):
        values = scale * host.array(runs)  # (runs, epochs)
        epochs = host.arange(1, values.shape[1] + 1)
        color, style, marker = COLORS[k % 4], STYLES[k % 4], MARKERS[k % 4]
        ax.plot(epochs, host.median(values, axis=0), color=color, linestyle=style, marker=marker, label=label)
        if len(values) > 1:
            ax.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=color, alpha=0.15, linewidth=0)
    ax.set_xlabel("epoch")
    ax.set_ylabel(axis_label)
    ax.set_ylim(-2, top)
    ax.grid(color="0.9")
    figure.legend(loc="outside upper center")  # so that it covers nothing
    if title:
        ax.set_title(title)
    return figure


def save_figure(figure, path):
    """Write a figure to ``path`` (PNG, twice the pixels of a usual screen), or a Picture as SVG; return the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(figure, Picture):
        path = path.with_suffix(".svg")
        path.write_text(figure.svg, encoding="utf-8")
        return path
    figure.savefig(path, dpi=200)
    return path


def unrolled_model(question, answer, peeky=False, title=None, start="_"):
    """Draw an encoder that reads ``question`` and a decoder that writes ``answer``, one column for each step.

    Args: question and answer, strings as the model reads and writes them (a space is drawn as an open box); peeky, let
    every step of the decoder see h; start, what the decoder reads first. Returns: a matplotlib Figure.
    """
    written = list(answer)
    read = list(question) + [start] + written[:-1]
    T = len(question)
    letters = font_families("".join(read + written)) or ["DejaVu Sans Mono"]
    figure, ax = new_figure(1 + 0.85 * len(read), 3.4)

    def box(x, y, text, color):
        style = {"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": color, "linewidth": 1.5}
        ax.text(x, y, text, ha="center", va="center", fontsize=9, bbox=style)

    def arrow(start, end, color="0.4", width=1.2, style="-"):
        props = {"arrowstyle": "->", "color": color, "linewidth": width, "linestyle": style, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", end, start, arrowprops=props)

    def char(x, y, c):
        ax.text(x, y, visible(c), ha="center", va="center", family=letters, fontsize=13)

    at = [k + (k >= T) * 0.6 for k in range(len(read))]  # a gap between encoder and decoder, for h
    for k, x in enumerate(at):
        char(x, 0, read[k])
        arrow((x, 0.2), (x, 0.75))
        box(x, 1, "LSTM", COLORS[0] if k < T else COLORS[2])
        if k and k != T:
            arrow((at[k - 1] + 0.33, 1), (x - 0.33, 1))
        if k >= T:
            arrow((x, 1.25), (x, 1.95))
            box(x, 2.2, "Affine", COLORS[2])
            arrow((x, 2.45), (x, 3))
            char(x, 3.2, written[k - T])
    arrow((at[T - 1] + 0.33, 1), (at[T] - 0.33, 1), COLORS[1], 3)
    middle = (at[T - 1] + at[T]) / 2
    ax.text(middle, 0.72, "h", ha="center", color=ORANGE_TEXT, fontsize=13, weight="bold")
    if peeky:
        ax.plot([middle, middle, at[-1] + 0.2], [1, 1.6, 1.6], color=COLORS[1], linestyle="--", linewidth=1.5)
        for x in at[T:]:
            arrow((x - 0.2, 1.6), (x - 0.2, 1.95), COLORS[1], 1.5, "--")
            arrow((x + 0.2, 1.6), (x + 0.2, 1.25), COLORS[1], 1.5, "--")
    for x, text in ((at[0], "encoder reads"), (at[T], "decoder reads")):
        ax.text(x - 0.3, -0.45, text, ha="left", va="center", fontsize=9, color="0.3")
    ax.text(at[T] - 0.6, 3.2, "writes", ha="right", va="center", fontsize=9, color="0.3")
    ax.set_xlim(-0.6, at[-1] + 0.6)
    ax.set_ylim(-0.7, 3.5)
    ax.axis("off")
    if title:
        ax.set_title(title)
    alt = say(
        "An encoder, one LSTM step for each character, reads “{question}”. Its last hidden state h starts a decoder, "
        "which reads “{read}” and writes “{answer}”.",
        question=question,
        read=start + answer[:-1],
        answer=answer,
    )
    peeks = say("Every step of the decoder sees h.") if peeky else ""
    return set_alt(figure, f"{alt} {peeks}")
