"""Figures of chapter 8.18: who looks at whom, what a head computes, how columns become heads, and positions."""

from common.alt_text import set_alt
from common.graph_figure import computational_graph
from common.language import say
from common.lesson_figures import _blues, _panels
from common.np import host, to_cpu
from common.plots import COLORS, MARKERS, STYLES
from common.svg import ink_on


def self_attention_graph():
    """Draw the graph of self-attention: x is used three times, so its gradient is a sum of three.

    Returns: a matplotlib Figure, with its content in words for screen readers.
    """
    nodes = {
        "x": (0, 1),
        "three": (1, 1, ""),
        "Wq": (2, 0, "times Wq"),
        "Wk": (2, 1, "times Wk"),
        "Wv": (2, 2, "times Wv"),
        "split": (3, 1, "score"),
        "mask": (4, 1, "mask,\nsoftmax"),
        "sum": (5, 2, "weighted\nsum"),
        "Wo": (6, 2, "heads side by\nside, times Wo"),
        "out": (7, 2),
    }
    edges = [
        ("x", "three", "(N, T, D)", "dx"),
        ("three", "Wq", "x", "through q"),
        ("three", "Wk", "x", "through k"),
        ("three", "Wv", "x", "through v"),
        ("Wq", "split", "q", "dq"),
        ("Wk", "split", "k", "dk"),
        ("split", "mask", "s", "ds"),
        ("mask", "sum", "a", "da"),
        ("Wv", "sum", "v", "dv"),
        ("sum", "Wo", "c", "dc"),
        ("Wo", "out", "", "dout"),
    ]
    return computational_graph(nodes, edges)


def looks(panels, words, first_head=None):
    """Draw who looks at whom: words that ask above, words that are asked below, lines as thick as the weights.

    Args: panels, a dict title -> weights (T, T), a row for each word that asks; words, T of them; first_head, the panel
    from which on there are heads, each in its color, as in ``head_tables``. Returns: a matplotlib Figure.
    """
    figure, axes = _panels(len(panels), 0.72 * len(words) + 0.5, 2.6)
    for k, (ax, (title, weights)) in enumerate(zip(axes, panels.items(), strict=True)):
        color = "0.4" if first_head is None or k < first_head else COLORS[(k - first_head) % 4]
        for (asks, asked), weight in host.ndenumerate(to_cpu(weights)):
            if weight > 0:
                ax.plot([asks, asked], [1, 0], color=color, linewidth=9 * weight, alpha=0.75)
        for t, word in enumerate(words):
            ax.text(t, 1.12, word, ha="center", va="bottom", fontsize=12)
            ax.text(t, -0.12, word, ha="center", va="top", fontsize=12)
        ax.set_title(title, fontsize=12)
        ax.set(xlim=(-0.55, len(words) - 0.45), ylim=(-0.4, 1.4))
        ax.axis("off")
    axes[0].text(-0.5, 0.62, "asks", fontsize=9, color="0.35", rotation=90, va="bottom", ha="center")
    axes[0].text(-0.5, 0.38, "is asked", fontsize=9, color="0.35", rotation=90, va="top", ha="center")
    return set_alt(
        figure,
        say(
            "Who looks at whom, {panels}: above, the words that ask, “{words}”; below, the same words, which are "
            "asked. The thicker a line, the larger the weight.",
            panels=", ".join(panels),
            words=" ".join(words),
        ),
    )


def head_tables(q, k, v, scores, weights, words):
    """Draw what each head computes, a row of tables for each: its columns of q, k and v, scores, weights, context.

    Args: q, k, v (M, T, K); scores, weights (M, T, T); words, T of them. Returns: a matplotlib Figure.
    """
    from matplotlib.figure import Figure

    q, k, v, scores, weights = (to_cpu(array) for array in (q, k, v, scores, weights))
    M, T, K = q.shape
    widths = [K, T, T, T, K, K]
    figure = Figure(figsize=(1.9 + 0.62 * sum(widths), (0.55 + 0.45 * (T + K)) * M), layout="constrained")
    grid = figure.subplots(M, 6, squeeze=False, width_ratios=widths)
    for m, row in enumerate(grid):
        context = weights[m] @ v[m]
        tables = {
            "q": (q[m], words, ()),
            "k transposed": (k[m].T, (), words),
            "scores": (scores[m], (), words),
            "weights": (weights[m], (), words),
            "v": (v[m], words, ()),
            "context": (context, (), ()),
        }
        for ax, (name, (array, at_left, above)) in zip(row, tables.items(), strict=True):
            shaded = name == "weights"
            _table(ax, array, COLORS[m % 4], shaded)
            ax.set_title(name, fontsize=11, pad=4)
            ax.set_yticks(range(len(at_left)), at_left, fontsize=10)
            ax.set_xticks(range(len(above)), above, fontsize=10, rotation=90)
        row[0].set_ylabel(f"head {m}", fontsize=12, weight="bold")
    return set_alt(
        figure,
        say(
            "What each of {heads} heads computes for “{words}”, in a row of tables: its columns of q, of k and of "
            "v, the scores of each word with each word, the weights, and the context.",
            heads=M,
            words=" ".join(words),
        ),
    )


def _table(ax, array, color, shaded):
    """Draw numbers in cells; shaded: from white at 0 to dark blue at 1, else with a frame in the color of the head."""
    rows, columns = array.shape
    ax.imshow(array if shaded else host.zeros(array.shape), cmap=_blues(), vmin=0, vmax=1, aspect="equal")
    for (i, j), value in host.ndenumerate(array):
        text = f"{value:.2f}".rstrip("0").rstrip(".").replace("-", "−")
        ink = ink_on(value) if shaded else "black"
        ax.text(j, i, "0" if text == "−0" else text, ha="center", va="center", fontsize=10, color=ink)
    for spine in ax.spines.values():
        spine.set(color=color, linewidth=2)
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    ax.tick_params(length=0)


def split_figure(panels):
    """Draw which numbers of x go to which head: x (T, D) as a grid, a color for each head.

    Args: panels, a dict title -> the head of each number, whole numbers (T, D). Returns: a matplotlib Figure.
    """
    from matplotlib.colors import ListedColormap

    figure, axes = _panels(len(panels), 3.3, 2.7)
    for ax, (title, heads) in zip(axes, panels.items(), strict=True):
        heads = to_cpu(heads)
        ax.imshow(heads, cmap=ListedColormap(COLORS), vmin=-0.5, vmax=3.5, alpha=0.45)
        for (t, d), m in host.ndenumerate(heads):
            ax.text(d, t, int(m), ha="center", va="center", fontsize=11)
        T, D = heads.shape
        ax.set_xticks(range(D))
        ax.set_yticks(range(T))
        ax.set(title=title, xlabel="column of q", ylabel="word t")
        ax.tick_params(length=0)
    said = [say("Which numbers go to which head: a row for each word, a column for each number of its vector.")]
    for title, heads in panels.items():
        said.append(say("{title}: row by row the heads {heads}.", title=title, heads=_rows(heads)))
    return set_alt(figure, " ".join(said))


def _rows(heads):
    return "; ".join(" ".join(map(str, row)) for row in to_cpu(heads).tolist())


def position_map(positions):
    """Draw vectors of positions, (T, D), from −1 (orange) over 0 (white) to 1 (blue). Returns: a matplotlib Figure."""
    from matplotlib.colors import LinearSegmentedColormap

    figure, (ax,) = _panels(1, 7, 3.4)
    colors = LinearSegmentedColormap.from_list("signs", [COLORS[1], "white", COLORS[0]])
    image = ax.imshow(to_cpu(positions).T, cmap=colors, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    ax.set(xlabel="position t", ylabel="number of the vector")
    figure.colorbar(image, ax=ax, ticks=[-1, 0, 1])
    return set_alt(
        figure,
        say(
            "Vectors of positions, one in each column from left to right: the numbers at the top go up and down every "
            "few positions, each pair further down more slowly, those at the bottom hardly at all."
        ),
    )


def dials(positions, pairs, shown):
    """Draw pairs of numbers as hands of clocks, one dial for each pair, with the hands of some positions.

    Args: positions (T, D); pairs, which pairs, 0 is the first two numbers; shown, positions. Returns: a Figure.
    """
    positions = to_cpu(positions)
    figure, axes = _panels(len(pairs), 2.4, 2.6)
    for ax, pair in zip(axes, pairs, strict=True):
        ax.add_patch(_circle())
        for k, t in enumerate(shown):
            x, y = positions[t, 2 * pair : 2 * pair + 2]  # the sine to the right, the cosine up
            ax.plot([0, x], [0, y], color=COLORS[k % 4], linestyle=STYLES[k % 4], linewidth=2)
            ax.plot(x, y, MARKERS[k % 4], color=COLORS[k % 4], label=f"position {t}" if ax is axes[0] else None)
        ax.set(title=f"numbers {2 * pair} and {2 * pair + 1}", xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal")
        ax.axis("off")
    figure.legend(loc="outside lower center", ncols=len(shown))
    return set_alt(
        figure,
        say(
            "Dials with a hand for each of the positions {positions}. On the first dial the hands are far apart, on "
            "each further one closer together.",
            positions=", ".join(map(str, shown)),
        ),
    )


def _circle():
    from matplotlib.patches import Circle

    return Circle((0, 0), 1, facecolor="none", edgecolor="0.7")


def square_maps(panels, rows, columns):
    """Draw numbers from 0 (white) to 1 (dark blue) of each two positions, such as weights or cosines; below 0 is white.

    Args: panels, a dict title -> numbers (T, T); rows and columns, what the two positions are.
    Returns: a matplotlib Figure.
    """
    figure, axes = _panels(len(panels), 3.0, 3.2, sharey=True)
    for ax, (title, numbers) in zip(axes, panels.items(), strict=True):
        image = ax.imshow(to_cpu(numbers), cmap=_blues(), vmin=0, vmax=1)
        ax.set(title=title, xlabel=columns)
        for axis in (ax.xaxis, ax.yaxis):
            axis.get_major_locator().set_params(integer=True)
    axes[0].set_ylabel(rows)
    figure.colorbar(image, ax=axes, ticks=[0, 0.5, 1], shrink=0.8)
    return figure
