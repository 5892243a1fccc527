"""The figures of chapter 8.17: GNMT's two stacks, what a translation has covered, numbers that go around a ring."""

from common.alt_text import set_alt
from common.depth_figure import GREEN_INK, PINK_INK, SMALL, Sketch
from common.graph_figure import draw_arrow, inch_axes
from common.language import say
from common.lesson_figures import _blues
from common.np import host, to_cpu
from common.plots import COLORS
from common.svg import ink_on

BLUE, ORANGE, GREEN, PINK = COLORS
BLUE_INK, ORANGE_INK = "#005a8c", "#a94a00"  # of texts
ENCODER, DECODER = 1.95, 6.25  # inches: x of the two stacks
HALF = 0.68  # from the middle of the encoder to each of its two readers
QUERY, CONTEXT = 4.0, 4.85  # x of the attention, of the context's way up
BOTTOM, APART = 1.2, 1.1  # y of the first LSTM; from one to the next
FIRST_RESIDUAL = 2


def gnmt_figure(layers):
    """Draw GNMT with ``layers`` LSTMs in each stack, at least 2: the encoder at the left, a decoder step at the right.

    Returns: a matplotlib Figure on a white ground, with its content in words for screen readers.
    """
    drawing = _Stacks(inch_axes(7.9, BOTTOM + APART * layers + 0.45), layers)
    drawing.encoder()
    drawing.attention()
    drawing.decoder()
    words = say(
        "GNMT with {layers} layers. Encoder, left: the sentence is read by two LSTMs, one in each direction; LSTM 1 "
        "reads both, and each further LSTM what the one below says. The top layer's states hs_enc go to the attention. "
        "Decoder, right, one step: the attention is asked by the output that LSTM 0 had in the step before; its "
        "context goes into every LSTM. The top LSTM's output goes to the affine layer, which makes the logits.",
        layers=layers,
    )
    if layers > FIRST_RESIDUAL:
        words += " " + say(
            "From the third layer on, what a layer reads from below goes past it and is added to what it says."
        )
    return set_alt(drawing.ax.figure, words)


class _Stacks(Sketch):
    """The drawing of both stacks."""

    def __init__(self, ax, layers):
        super().__init__(ax)
        self.layers = layers

    def y(self, k):
        return BOTTOM + APART * k

    def encoder(self):
        y = self.y(0)
        self.text(ENCODER, y - 0.95, "the sentence", style="italic")
        for side, arrow in ((-HALF, "→"), (HALF, "←")):
            x = ENCODER + side
            points = [(ENCODER, y - 0.78), (ENCODER, y - 0.55), (x, y - 0.55), (x, y - 0.21)]
            draw_arrow(self.ax, points, BLUE)
            self.box(x, y, 1.2, f"LSTM 0 {arrow}", BLUE, BLUE_INK)
            draw_arrow(self.ax, [(x, y + 0.21), (x, y + 0.5), (ENCODER, y + 0.5), (ENCODER, self.y(1) - 0.21)], BLUE)
        for k in range(1, self.layers):
            self.above(k, ENCODER, ENCODER - 1.0, BLUE, BLUE_INK)
        top = self.y(self.layers) - 0.3
        self.ax.plot([ENCODER, ENCODER], [self.y(self.layers - 1) + 0.21, top], color=BLUE, linewidth=1.4)
        draw_arrow(self.ax, [(ENCODER, top), (QUERY, top), (QUERY, y + 0.25)], BLUE)
        self.text((ENCODER + QUERY) / 2, top + 0.17, "hs_enc", BLUE_INK, style="italic")

    def attention(self):
        y, top = self.y(0), self.y(self.layers - 1)
        self.circle(QUERY, y, 0.25, ORANGE)
        self.text(QUERY, y, "a", ORANGE_INK, style="italic", weight="bold")
        self.text(QUERY - 0.1, y - 0.42, "attention", size=SMALL, ha="right")
        draw_arrow(self.ax, [(QUERY + 0.25, y), (DECODER - 0.56, y)], ORANGE, width=2.6)
        draw_arrow(self.ax, [(CONTEXT, y), (CONTEXT, top), (DECODER - 0.56, top)], ORANGE, width=2.6)
        self.dot(CONTEXT, y, ORANGE)
        self.text(CONTEXT - 0.1, y + 0.5, "c", ORANGE_INK, ha="right", style="italic", weight="bold")
        x = DECODER - 0.35
        points = [(x, y - 0.21), (x, y - 0.72), (QUERY, y - 0.72), (QUERY, y - 0.26)]
        draw_arrow(self.ax, points, GREEN, (0, (4, 2.5)))
        self.text((QUERY + x) / 2, y - 0.9, "query: h of the step before", GREEN_INK, SMALL)

    def decoder(self):
        y, end = self.y(0), self.y(self.layers)
        self.text(DECODER + 0.32, y - 0.95, "the last word", ha="left", style="italic")
        draw_arrow(self.ax, [(DECODER + 0.26, y - 0.95), (DECODER + 0.1, y - 0.95), (DECODER + 0.1, y - 0.21)], GREEN)
        self.box(DECODER, y, 1.1, "LSTM 0", GREEN, GREEN_INK)
        draw_arrow(self.ax, [(DECODER, y + 0.21), (DECODER, self.y(1) - 0.21)], GREEN)
        for k in range(1, self.layers):
            if k < self.layers - 1:
                self.dot(CONTEXT, self.y(k), ORANGE)
                draw_arrow(self.ax, [(CONTEXT, self.y(k)), (DECODER - 0.56, self.y(k))], ORANGE, width=2.6)
            self.above(k, DECODER, DECODER + 0.95, GREEN, GREEN_INK)
        draw_arrow(self.ax, [(DECODER, self.y(self.layers - 1) + 0.21), (DECODER, end - 0.51)], GREEN)
        self.box(DECODER, end - 0.3, 1.0, "Affine", GREEN, GREEN_INK)
        draw_arrow(self.ax, [(DECODER, end - 0.09), (DECODER, end + 0.14)], GREEN)
        self.text(DECODER, end + 0.28, "logits")

    def above(self, k, x, skip, color, ink):
        """Draw LSTM k of a stack and, from the third on, what goes past it. Args: x of the stack; skip, x of that."""
        y = self.y(k)
        self.box(x, y, 1.1, f"LSTM {k}", color, ink)
        if k < self.layers - 1:
            draw_arrow(self.ax, [(x, y + 0.21), (x, self.y(k + 1) - 0.21)], color)
        if k >= FIRST_RESIDUAL:
            side = 1 if skip > x else -1
            below, sum_at = y - APART + 0.7, y + 0.42
            draw_arrow(self.ax, [(x, below), (skip, below), (skip, sum_at), (x + 0.14 * side, sum_at)], PINK, width=2.6)
            self.circle(x, sum_at, 0.13, PINK)
            self.text(x, sum_at, "+", PINK_INK)


def coverage_figure(panels, question):
    """Draw attention weights with their sums over the steps, one panel for each hypothesis.

    Args: panels, a dict title -> (tokens, weights (T, S)), a row for each token; question, the S tokens of the
    sentence. Returns: a matplotlib Figure.
    """
    from matplotlib.figure import Figure

    longest = max(len(tokens) for tokens, _ in panels.values())
    S = len(question)
    figure = Figure(figsize=(0.9 + len(panels) * (0.62 * S + 0.75), 1.35 + 0.36 * (longest + 2)), layout="constrained")
    for ax, (title, (tokens, weights)) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        weights = to_cpu(weights)
        sums = weights.sum(axis=0)
        T = len(tokens)
        shown = host.vstack((weights, host.zeros((1, S)), host.minimum(sums, 1)))
        ax.imshow(shown, cmap=_blues(), vmin=0, vmax=1, aspect="auto")
        for (row, column), value in host.ndenumerate(shown):
            if row != T:
                number = sums[column] if row == T + 1 else value
                text = f"{number:.2f}".rstrip("0").rstrip(".") if number else ""
                ax.text(column, row, text, ha="center", va="center", fontsize=10, color=ink_on(value))
        ax.set_xticks(range(S), question, rotation=45, ha="left")
        ax.set_yticks([*range(T), T + 1], [*tokens, "sum"])
        ax.set_ylim(longest + 1.5, -0.5)
        ax.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
        ax.set_title(title, loc="left", weight="bold")
        for spine in ax.spines.values():
            spine.set_visible(False)
    hypotheses = "; ".join(f"{title}: {' '.join(tokens)}" for title, (tokens, _) in panels.items())
    return set_alt(
        figure,
        say(
            "Attention weights of {count} hypotheses over the words of “{question}”, a row for each "
            "token, and below them the sum of each column. {hypotheses}.",
            count=len(panels),
            question=" ".join(question),
            hypotheses=hypotheses,
        ),
    )


def ring_figure(buffers):
    """Draw the sum of arrays around a ring: what the machines hold after each round; complete sums are shaded.

    Args: buffers (R, R), a row for each machine, a number for each chunk. Returns: a matplotlib Figure.
    """
    from matplotlib.figure import Figure

    buffers = to_cpu(buffers)
    R, sums = len(buffers), buffers.sum(axis=0)
    states = [buffers, *_rounds(buffers)]
    figure = Figure(figsize=(0.7 + 0.5 * R * len(states), 0.75 + 0.36 * R), layout="constrained")
    for k, ax in enumerate(figure.subplots(1, len(states), sharey=True)):
        ax.imshow(0.28 * (states[k] == sums), cmap=_blues(), vmin=0, vmax=1, aspect="auto")
        for (row, column), number in host.ndenumerate(states[k]):
            ax.text(column, row, f"{number:g}", ha="center", va="center", fontsize=10)
        ax.set(title="before" if k == 0 else f"round {k - 1}", xticks=range(R), yticks=range(R), xlabel="chunk")
        ax.set_xticks(host.arange(0.5, R - 1), minor=True)
        ax.set_yticks(host.arange(0.5, R - 1), minor=True)
        ax.grid(which="minor", color="0.8")
        ax.tick_params(which="both", length=0)
    figure.axes[0].set_ylabel("machine")
    return set_alt(
        figure,
        say(
            "What {machines} machines hold before the first round and after each of {rounds}: a row for each machine, "
            "a column for each chunk. Sums that are complete are shaded; after the last round all are.",
            machines=R,
            rounds=len(states) - 1,
        ),
    )


def _rounds(buffers):
    """Yield what the machines hold after each round, as ``common.scaling.simulate_ring`` has them send."""
    R = len(buffers)
    sender = host.arange(R)
    receiver, held = (sender + 1) % R, buffers.copy()
    for turn in range(2 * (R - 1)):
        chunk = (sender - turn) % R
        held[receiver, chunk] = held[sender, chunk] + (held[receiver, chunk] if turn < R - 1 else 0)
        yield held.copy()


def machine_curves(machines, series, *, ylabel, ideal=None):
    """Draw curves over numbers of machines, both axes logarithmic.

    Args: series, a dict label -> a number for each of machines; ideal, one for each of machines, dotted.
    Returns: a matplotlib Figure.
    """
    from common.charts import curves

    numbers = [value for values in series.values() for value in values] + list(ideal if ideal is not None else [])
    figure = curves(
        machines, series, xlabel="machines", ylabel=ylabel, ylim=(min(numbers) / 1.3, max(numbers) * 1.3), log=True
    )
    (ax,) = figure.axes
    if ideal is not None:
        ax.plot(machines, ideal, ":", color="0.4")
        middle = len(machines) // 2
        ax.text(machines[middle], ideal[middle] / 1.15, "if sending took no time", color="0.35", ha="right", va="top")
    ax.set_xscale("log", base=2)
    ax.set_xticks(machines, [str(size) for size in machines])
    return figure
