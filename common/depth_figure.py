"""The figures of depth: a decoder of stacked LSTMs, and the norms of its gradients by layer. See chapter 8.11."""

from common.alt_text import listed, set_alt
from common.graph_figure import draw_arrow, inch_axes
from common.language import say
from common.np import host
from common.plots import COLORS, MARKERS, STYLES
from common.svg import INK

BLUE, ORANGE, GREEN, PINK = COLORS
GREEN_INK, PINK_INK = "#00694c", "#9c3d73"  # of texts: COLORS' are too light for them
LABEL, SMALL = 14, 12  # sizes of text in points
LSTM, CONTEXT, SKIP = 2.6, 4.6, 1.5  # inches: x of the LSTMs, of the context's way up, of the skip connections
BOTTOM, APART = 1.25, 1.15  # inches: y of the first LSTM; from one to the next
SERIES = {"with skip connections": (BLUE, 0), "without": (ORANGE, 1)}  # color, and number of STYLES and MARKERS


def stack_figure(layers, residual):
    """Draw one step of a decoder with ``layers`` LSTMs: the first asks, and the context goes to all above it.

    Args: layers, at least 2; residual, whether each layer's input is added to what it says.
    Returns: a matplotlib Figure on a white ground, with its content in words for screen readers.
    """
    drawing = _Stack(inch_axes(7.4, BOTTOM + APART * layers + 0.75), layers, residual)
    drawing.attention()
    for k in range(layers):
        drawing.layer(k)
    drawing.output()
    words = say(
        "One step of a decoder with {layers} LSTMs, one above the other. LSTM 0 reads the character x and asks the "
        "attention over the encoder's states hs_enc. The context c goes up to every LSTM above it and to the affine "
        "layer. Each LSTM also reads what the one below says.",
        layers=layers,
    )
    skips = say("What each layer above the first has read from below goes past it and is added to what it says.")
    logits = say("The affine layer makes the logits of the context and of what the top layer says.")
    return set_alt(drawing.ax.figure, f"{words} {skips if residual else ''} {logits}")


class Sketch:
    """A drawing of boxes and texts while it is drawn. Coordinates are inches; ax, its Axes."""

    def __init__(self, ax):
        self.ax = ax

    def text(self, x, y, text, color=INK, size=LABEL, ha="center", **style):
        """Write a text with its middle at (x, y), or its end at x, as ha says."""
        self.ax.text(x, y, text, color=color, size=size, ha=ha, va="center", zorder=4, **style)

    def box(self, x, y, width, text, edge, ink, height=0.4):
        """Draw a box around (x, y) with a text in it. Args: edge, ink, the colors of both."""
        from matplotlib.patches import FancyBboxPatch

        shape = "round,pad=0,rounding_size=0.06"
        corner = (x - width / 2, y - height / 2)
        self.ax.add_patch(
            FancyBboxPatch(
                corner, width, height, boxstyle=shape, facecolor="white", edgecolor=edge, linewidth=1.6, zorder=3
            )
        )
        self.text(x, y, text, ink)

    def circle(self, x, y, radius, color):
        """Draw a white circle with an edge of this color."""
        from matplotlib.patches import Circle

        self.ax.add_patch(Circle((x, y), radius, facecolor="white", edgecolor=color, linewidth=2, zorder=3))

    def dot(self, x, y, color):
        """Draw a dot, where a line branches."""
        self.ax.plot(x, y, "o", color=color, markersize=6, zorder=3)


class _Stack(Sketch):
    """The drawing of the stack."""

    def __init__(self, ax, layers, residual):
        super().__init__(ax)
        self.layers, self.residual = layers, residual

    def y(self, k):
        return BOTTOM + APART * k

    def attention(self):
        """The encoder's states, the attention, and the way of its context upward."""
        y, top = self.y(0) + 0.5, self.y(self.layers) + 0.1
        for k in range(-2, 3):
            self.ax.plot([CONTEXT + 1.75, CONTEXT], [y + 0.3 * k, y], color=ORANGE, linewidth=1.2, zorder=1)
            self.box(CONTEXT + 1.75, y + 0.3 * k, 0.36, "", BLUE, INK, 0.24)
        self.text(CONTEXT + 1.75, y - 0.98, "hs_enc", BLUE, style="italic")
        self.circle(CONTEXT, y, 0.24, ORANGE)
        self.text(CONTEXT, y, "c", ORANGE, style="italic", weight="bold")
        self.text(CONTEXT + 0.8, y + 0.62, "attention", size=SMALL)
        draw_arrow(self.ax, [(CONTEXT, y + 0.24), (CONTEXT, top), (LSTM + 0.5, top)], ORANGE, width=2.6)

    def layer(self, k):
        """One LSTM, what it reads, and its way up to the next one."""
        y = self.y(k)
        if k == 0:
            self.text(LSTM, y - 0.95, "x", style="italic")
            draw_arrow(self.ax, [(LSTM, y - 0.75), (LSTM, y - 0.21)], GREEN)
            self.dot(LSTM, y + 0.5, GREEN)
            draw_arrow(self.ax, [(LSTM, y + 0.5), (CONTEXT - 0.25, y + 0.5)], GREEN)
            self.text((LSTM + CONTEXT) / 2, y + 0.67, "query", GREEN_INK, SMALL)
        else:
            self.dot(CONTEXT, y, ORANGE)
            draw_arrow(self.ax, [(CONTEXT, y), (LSTM + 0.56, y)], ORANGE, width=2.6)
        self.box(LSTM, y, 1.1, f"LSTM {k}", GREEN, GREEN_INK)
        draw_arrow(self.ax, [(LSTM, y + 0.21), (LSTM, self.y(k + 1) - 0.21)], GREEN)
        if k and self.residual:
            below, sum_at = y - APART + 0.68, y + 0.47
            draw_arrow(self.ax, [(LSTM, below), (SKIP, below), (SKIP, sum_at), (LSTM - 0.15, sum_at)], PINK, width=2.6)
            self.circle(LSTM, sum_at, 0.14, PINK)
            self.text(LSTM, sum_at, "+", PINK_INK)
            if k == 1:
                self.text(SKIP - 0.12, y, "skip", PINK_INK, SMALL, ha="right")

    def output(self):
        y = self.y(self.layers)
        self.box(LSTM, y, 1.0, "Affine", GREEN, GREEN_INK, 0.42)
        draw_arrow(self.ax, [(LSTM, y + 0.21), (LSTM, y + 0.48)], GREEN)
        self.text(LSTM, y + 0.61, "logits")


def norms_by_layer(norms):
    """Draw the gradient's norm at every layer: one column of panels for each depth, one row for each part.

    Args: norms, a dict part -> {depth: {label: a norm for each layer, the first layer first}}, with the labels of
    SERIES. Layers run from left (0, far from the loss) to right (the top). Returns: a matplotlib Figure.
    """
    figure, axes = _grid(len(norms), len(next(iter(norms.values()))))
    for row, (part, depths) in zip(axes, norms.items(), strict=True):
        for ax, (depth, series) in zip(row, depths.items(), strict=True):
            for label, values in series.items():
                color, k = SERIES[label]
                ax.plot(range(depth), values, STYLES[k], color=color, marker=MARKERS[k], label=label)
            ax.set(yscale="log", title=f"{part}, {depth} layers", xticks=range(depth), xlim=(-0.4, depth - 0.6))
            ax.grid(color="0.9")
        row[0].set_ylabel("norm of the gradient")
    for ax in axes[-1]:
        ax.set_xlabel("layer")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return set_alt(
        figure,
        say(
            "Norm of the gradient that arrives at each layer, on a logarithmic axis, in a panel for each of "
            "{parts} and for {depths} layers. Without skip connections the line falls straight from the top layer down "
            "to layer 0, the deeper the stack the further; with them it is nearly level.",
            parts=listed(map(say, norms)),
            depths=listed(next(iter(norms.values()))),
        ),
    )


def norms_while_training(norms):
    """Draw the gradient's norm at every layer over the steps of a training: a row for each part, a column for each run.

    Args: norms, a dict part -> {label: norms (steps, layers)}. Returns: a matplotlib Figure.
    """
    from matplotlib import colormaps

    figure, axes = _grid(len(norms), len(next(iter(norms.values()))), width=4.0)
    for row, (part, runs) in zip(axes, norms.items(), strict=True):
        for ax, (label, values) in zip(row, runs.items(), strict=True):
            values = host.asarray(values)
            L = values.shape[1]
            for k in range(L):
                color = colormaps["viridis"](0.92 * k / max(L - 1, 1))
                smooth = _smoothed(values[:, k])
                ax.plot(range(1, len(smooth) + 1), smooth, color=color, label=f"layer {k}")
            ax.set(yscale="log", title=f"{part}, {label}")
            ax.grid(color="0.9")
        row[0].set_ylabel("norm of the gradient")
    for ax in axes[-1]:
        ax.set_xlabel("training step")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right upper")  # the top layer on top
    return set_alt(
        figure,
        say(
            "Norm of the gradient that arrives at each layer, on a logarithmic axis, over the steps of a training, in "
            "a panel for each of {parts} and for each of two runs: {runs}.",
            parts=listed(map(say, norms)),
            runs=", ".join(next(iter(norms.values()))),
        ),
    )


def _grid(rows, columns, width=2.9):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns + 0.4, 2.3 * rows + 0.6), layout="constrained")
    return figure, figure.subplots(rows, columns, sharey=True, squeeze=False)


def _smoothed(values, share=0.2):
    """Running geometric mean: single batches make the lines jump."""
    logs, out = host.log(values), []
    for value in logs:
        out.append(value if not out else (1 - share) * out[-1] + share * value)
    return host.exp(host.array(out))
