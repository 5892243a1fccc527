"""Figures of single lessons, so that a notebook shows the lesson's code only."""

from common.alt_text import listed, set_alt
from common.graph_figure import computational_graph
from common.language import say
from common.np import host, to_cpu
from common.plots import COLORS, MARKERS, STYLES, new_figure
from common.svg import HEAT_LETTER, LINE, MUTED, ORANGE, ORANGE_TEXT, Drawing, Picture, breadth, ink_on, shade


def peeky_graph():
    """Return the graph of a peeky decoder: the encoder's h, its three uses and their gradients."""
    nodes = {
        "h": (0, 0),
        "dot": (1, 0, ""),
        "LSTM": (5, 0),
        "repeat": (2, 1),
        "dot 2": (3, 1, ""),
        "join": (4, 1, "concatenate"),
        "join 2": (6, 2, "concatenate"),
        "affine": (7, 2),
        "logits": (8, 2),
    }
    edges = [
        ("h", "dot", "(N, H)", "dh"),
        ("dot", "LSTM", "(N, H)", "dh0"),
        ("dot", "repeat", "(N, H)", "sum"),
        ("repeat", "dot 2", "(N, T, H)", "+"),
        ("dot 2", "join", "(N, T, H)", "dv[:H]"),
        ("join", "LSTM", "v", "dv"),
        ("dot 2", "join 2", "(N, T, H)", "du[:H]"),
        ("LSTM", "join 2", "(N, T, H)", "du[H:]"),
        ("join 2", "affine", "u", "du"),
        ("affine", "logits", "(N, T, V)", "dlogits"),
    ]
    return computational_graph(nodes, edges)


def attention_graph():
    """Return the graph of Attention in its smallest parts: hs is used by the scores and by the weighted sum."""
    nodes = {
        "hs": (0, 0),
        "branch": (1, 0, ""),
        "mix": (6, 0, "multiply"),
        "sum over T": (7, 0),
        "match": (2, 1, "multiply"),
        "sum over H": (3, 1),
        "softmax": (4, 1),
        "h": (0, 2),
        "repeat h": (1, 2, "repeat"),
        "repeat a": (5, 1, "repeat"),
        "c": (8, 0),
    }
    edges = [
        ("hs", "branch", "hs", "dhs"),
        ("branch", "mix", "hs", "dhs through c"),
        ("branch", "match", "hs", "dhs\nthrough s"),
        ("match", "sum over H", "(N, T, H)", ""),
        ("h", "repeat h", "h", "dh"),
        ("repeat h", "match", "(N, T, H)", ""),
        ("sum over H", "softmax", "s", "ds"),
        ("softmax", "repeat a", "a", "da"),
        ("repeat a", "mix", "(N, T, H)", ""),
        ("mix", "sum over T", "(N, T, H)", ""),
        ("sum over T", "c", "c", "dc"),
    ]
    return computational_graph(nodes, edges)


def steps_graph(steps=3):
    """Return the graph of several decoder steps that all use hs_enc, each with an Attention of its own."""
    nodes = {"hs_enc": (0, 0)}
    edges = []
    before = ("hs_enc", "(N, T_enc, H)", "dhs_enc")
    for k in range(steps):
        branch, attention, query, out = f"b{k}", f"at{k}", f"hs_dec[:, {k}]", f"out[:, {k}]"
        nodes |= {branch: (1, k, ""), attention: (2, k, "Attention"), query: (1.5, k + 0.5), out: (3, k)}
        edges += [(before[0], branch, *before[1:]), (branch, attention, "hs_enc", f"from step {k}")]
        edges += [(query, attention, "h", "dh"), (attention, out, "c", "dc")]
        before = (branch, "", "")
    return computational_graph(nodes, edges)


def decoder_graph():
    """Return the graph of the decoder with attention: two branch nodes, where gradients are added."""
    nodes = {
        "hs_enc": (0, 0),
        "e": (1, 0, ""),
        "last": (2, 1, "last step"),
        "LSTM": (3, 1),
        "xs": (0, 2),
        "Embedding": (2, 2),
        "d": (4, 1, ""),
        "Attention": (4, 0),
        "join": (5, 1, "concatenate"),
        "Affine": (6, 1),
        "logits": (7, 1),
    }
    edges = [
        ("hs_enc", "e", "hs_enc", "dhs_enc"),
        ("e", "Attention", "hs_enc", "dhs_enc: all steps"),
        ("e", "last", "hs_enc", "last step"),
        ("last", "LSTM", "h", "lstm.dh"),
        ("xs", "Embedding", "ids"),
        ("Embedding", "LSTM", "(N, T_dec, D)", ""),
        ("LSTM", "d", "hs", "sum"),
        ("d", "Attention", "hs", "dhs_query"),
        ("d", "join", "hs", "dhs"),
        ("Attention", "join", "c", "dc"),
        ("join", "Affine", "(c, hs)", "dout"),
        ("Affine", "logits", "logits", "dlogits"),
    ]
    return computational_graph(nodes, edges)


def tables(arrays):
    """Draw arrays side by side with their numbers, from 0 (white) to 1 (dark blue).

    Args: arrays, a dict title -> array with one or two axes. Returns: a matplotlib Figure.
    """
    figure, axes = _panels(len(arrays), 2.3, 2.9)
    for ax, (title, array) in zip(axes, arrays.items(), strict=True):
        x = host.atleast_2d(to_cpu(array))
        ax.imshow(x, cmap=_blues(), vmin=0, vmax=1)
        for (row, column), value in host.ndenumerate(x):
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink_on(value))
        ax.set(title=title, xticks=[], yticks=range(len(x)))
    return figure


def weight_tables(panels, first_padding=None):
    """Draw attention weights (T_dec, T_enc) side by side; first_padding: where a dashed line stands.

    Args: panels, a dict title -> weights. Returns: a matplotlib Figure.
    """
    figure, axes = _panels(len(panels), 3.5, 3.6, sharey=True)
    for ax, (title, weights) in zip(axes, panels.items(), strict=True):
        image = ax.imshow(to_cpu(weights), cmap=_blues(), vmin=0, vmax=1)
        ax.set(title=title, xlabel="encoder step t", xticks=range(weights.shape[1]))
        if first_padding is not None:
            ax.axvline(first_padding - 0.5, color=COLORS[1], linestyle="--")
    axes[0].set_ylabel("decoder step k")
    figure.colorbar(image, ax=axes, label="attention weight")
    return figure


def bar_panels(panels, ylim=None):
    """Draw the numbers of several vectors as bars, one panel for each.

    Args: panels, a dict title -> vector; ylim, limits of the vertical axis. Returns: a matplotlib Figure.
    """
    figure, axes = _panels(len(panels), 2.6, 2.4)
    for ax, (title, values) in zip(axes, panels.items(), strict=True):
        shown = ax.bar(range(len(values)), to_cpu(values), color=COLORS[0])
        ax.bar_label(shown, fmt="%.2f", padding=1, fontsize=9)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.margins(y=0.2)
        ax.set(title=title, xlabel="state", xticks=range(len(values)), ylim=ylim)
    return figure


def dot_product_curve():
    """Draw the dot product of two vectors of length 1 over the angle between them. Returns: a matplotlib Figure."""
    figure, ax = new_figure(6, 2.6)
    angles = host.linspace(0, 180, 181)
    ax.plot(angles, host.cos(host.radians(angles)), color=COLORS[0])
    for angle, words in ((0, "same direction"), (90, "right angle"), (180, "opposite")):
        y = host.cos(host.radians(angle))
        ax.plot(angle, y, MARKERS[0], color=COLORS[1])
        ax.text(angle + 3, y + 0.12, words)
    ax.set(xlabel="angle between the vectors (degrees)", ylabel="dot product", ylim=(-1.2, 1.5))
    ax.set(xlim=(-8, 215), xticks=range(0, 181, 45))
    return figure


def distance_shares(distances):
    """Draw how many pairs of characters have each distance.

    Args: distances, a dict label -> whole numbers. Returns: a matplotlib Figure.
    """
    figure, ax = new_figure(7, 3.4)
    longest = max(int(d.max()) for d in distances.values())
    for k, (label, d) in enumerate(distances.items()):
        share = 100 * host.bincount(d, minlength=longest + 1) / len(d)
        ax.plot(range(longest + 1), share, STYLES[k], color=COLORS[k], marker=MARKERS[k], label=label)
    ax.set(xlabel="distance between corresponding characters", ylabel="share of pairs (%)")
    ax.grid(color="0.9")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def alignment_rows(rows, links, highlight=()):
    """Draw sentences one below the other, with a line between any two tokens that belong together.

    Args: rows, a dict language -> list of tokens; links, for each row but the last a list of pairs (position in it,
    position in the row below); highlight, pairs (row, position) of tokens that are drawn in orange, with their lines
    and what these lead to. Returns: a Picture, an SVG, so that the reader's browser draws the letters of any script.
    """
    rows = {say(language): tokens for language, tokens in rows.items()}
    sentences = list(rows.values())
    left, gap, leading = 14 + HEAT_LETTER * max(map(breadth, rows)) + 16, 14, 96
    widths = [[HEAT_LETTER * breadth(token) for token in tokens] for tokens in sentences]
    across = max(sum(row) + gap * (len(row) - 1) for row in widths)
    places = []  # the middle of each token; every sentence is spread over the whole width
    for row in widths:
        space = (across - sum(row)) / max(len(row) - 1, 1)
        places.append([left + sum(row[:k]) + space * k + width / 2 for k, width in enumerate(row)])
    lines = [((r, a), (r + 1, b)) for r, pairs in enumerate(links) for a, b in pairs]
    lit = set(highlight).union(*(ends for ends in lines if set(ends) & set(highlight)))

    drawing = Drawing(left + across + 14, 40 + leading * (len(rows) - 1), _alignment_in_words(rows, links))
    for one, other in sorted(lines, key=lambda ends: set(ends) <= lit):  # those in orange on top
        (r, a), (below, b) = one, other
        style = (ORANGE, 2) if {one, other} <= lit else (LINE, 1.4)
        drawing.polyline([(places[r][a], 33 + leading * r), (places[below][b], 11 + leading * below)], *style)
    for r, (language, tokens) in enumerate(rows.items()):
        drawing.text(14, 27 + leading * r, language, size=12, color=MUTED)
        for k, token in enumerate(tokens):
            style = {"color": ORANGE_TEXT, "bold": True} if (r, k) in lit else {}
            drawing.text(places[r][k], 27 + leading * r, token, anchor="middle", mono=True, **style)
    return Picture(drawing, drawing.label)


def _alignment_in_words(rows, links):
    """Return in words what ``alignment_rows`` shows."""
    names, sentences = list(rows), list(rows.values())
    words = say("Sentences with lines between the words that belong together.") + " "
    words += " ".join(f"{name}: “{' '.join(tokens)}”" for name, tokens in rows.items())
    for r, pairs in enumerate(links):
        joined = ", ".join(f"{sentences[r][a]} – {sentences[r + 1][b]}" for a, b in sorted(pairs))
        words += f" {listed(names[r : r + 2])}: {joined};"
    return words.rstrip(";")


def padding_panels(batches):
    """Draw how batches are filled: a row for each sentence, blue where it has a word and gray where it is padded.

    Args: batches, a dict title -> lengths (N,). Returns: a matplotlib Figure.
    """
    from matplotlib.colors import ListedColormap

    figure, axes = _panels(len(batches), 3.4, 2.9)
    width = max(int(max(lengths)) for lengths in batches.values())
    for ax, (title, lengths) in zip(axes, batches.items(), strict=True):
        real = host.arange(max(lengths)) < host.asarray(lengths)[:, None]
        ax.imshow(real, cmap=ListedColormap(["0.85", COLORS[0]]), vmin=0, vmax=1, aspect="auto", interpolation="none")
        ax.set(title=title, xlabel="step", ylabel="sentence", xlim=(-0.5, width - 0.5))
        ax.xaxis.get_major_locator().set_params(integer=True)
    return set_alt(
        figure,
        say(
            "How batches are filled, {names}: a row for each sentence, blue words, gray padding.",
            names=listed(batches),
        ),
    )


def _panels(count, width, height, **options):
    """Return (figure, axes (count,)) of panels side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * count, height), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False, **options)[0]


def _blues():
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("weights", [shade(0), shade(1)])
