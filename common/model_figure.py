"""The drawing of the model with attention: the same in every chapter, with the part that is being built in color."""

import itertools

from common.graph_figure import draw_arrow, inch_axes
from common.language import say
from common.np import host, to_cpu
from common.plots import COLORS
from common.svg import INK, MUTED, ink_on, shade, visible

PARTS = {  # what ``highlight`` may name, and the parts of the drawing that it shows in color
    "encoder": ("encoder",),
    "attention_weight": ("attention_weight",),
    "weight_sum": ("weight_sum",),
    "attention": ("attention_weight", "weight_sum"),
    "decoder": ("decoder",),
}
BLUE, ORANGE, GREEN = COLORS[:3]
GREEN_INK = "#00694c"  # of small texts: COLORS' green is too light for them
PALE, PALE_INK, TINT = (
    "#c4c4c4",
    "#757575",
    "#fff1d0",
)  # lines and texts of all else; the ground below the part in color
LETTER, LABEL, SMALL = 17, 14, 12  # sizes of text in points: readable at 400 pixels, too
THICKEST = 15  # points of the line of a weight of 1
COLUMN = 0.42  # inches from character to character
LEFT, BOTTOM = 0.62, 0.0
ROWS = {"character": 0.5, "state": 1.15, "weight": 2.2, "context": 3.6, "answer": 4.5, "top": 4.95}  # inches
SECOND = 0.42  # inches from the states of the first reader up to those of the second


def model_figure(question, answer, weights, step, highlight=None, right_to_left=True, start="_", both_ways=False):
    """Draw one step of a model with attention: states, weights, context, decoder, written character.

    Args:
        question, answer: strings, the whole answer.
        weights: (len(answer), len(question)) attention weights, in reading order; a line is as thick as its weight. Up
            to about 14 characters of the question can be read on a narrow screen.
        step: the step of the decoder that is drawn, from 0; it writes ``answer[step]``.
        highlight: the part in color, a key of PARTS, or None for the whole model; everything else is pale.
        right_to_left: the encoder reads the question from its last character.
        start: what the decoder reads at step 0.
        both_ways: a second LSTM reads in the other direction; its states stand above those of the first.

    Returns: a matplotlib Figure on a white ground; its ``alt_text`` says in words what it shows.
    Raises: ValueError for weights, a step or a part that do not fit.
    """
    weights = host.asarray(to_cpu(weights))
    if weights.shape != (len(answer), len(question)):
        raise ValueError(
            f"model_figure: weights are {weights.shape}, but answer and question need ({len(answer)}, {len(question)})"
        )
    if not 0 <= step < len(answer):
        raise ValueError(f"model_figure: step {step} is none of the {len(answer)} steps, 0 to {len(answer) - 1}")
    if highlight is not None and highlight not in PARTS:
        raise ValueError(f"model_figure: there is no part {highlight!r}; there are {', '.join(PARTS)}")
    drawing = _Drawing(question, answer, weights[step], step, PARTS.get(highlight, ()), start, both_ways)
    drawing.encoder(right_to_left)
    drawing.attention_weight()
    drawing.weight_sum()
    drawing.decoder()
    drawing.ax.figure.alt_text = _in_words(question, answer, weights[step], step, highlight, right_to_left, both_ways)
    return drawing.ax.figure


def _direction(right_to_left, both_ways, say=str):
    """Return in words how the encoder reads: in English, since what stands in a figure needs a font, unless said."""
    ways = say("from right to left"), say("from left to right")
    one, other = ways if right_to_left else ways[::-1]
    return one + say(" and ") + other if both_ways else one


def _in_words(question, answer, a, step, highlight, right_to_left, both_ways):
    """Return what the drawing shows, for those who cannot see it."""
    seen = [
        say("{weight:.2f} on the state at {character!r}", weight=a[t], character=question[t])
        for t in host.argsort(-a, kind="stable")
        if a[t] >= 0.01
    ]
    words = say(
        "A model with attention has read {question!r} {direction}, {states}. At step {step} it has "
        "written {written!r}. Its weights are {weights}. The context, the sum of the states by these weights, goes "
        "with the decoder's state h into an affine layer, which writes {next!r}.",
        question=question,
        direction=_direction(right_to_left, both_ways, say),
        states=say("two states, joined, for each character") if both_ways else say("one state for each character"),
        step=step,
        written=answer[:step],
        weights=", ".join(seen),
        next=answer[step],
    )
    lit = say("In color: {part}.", part=say(highlight.replace("_", " "))) if highlight else ""
    return f"{words} {lit}".rstrip()


class _Drawing:
    """The figure while it is drawn, part by part. Coordinates are inches; ``x[t]`` is the column of character t."""

    def __init__(self, question, answer, a, step, lit, start, both_ways):
        self.question, self.answer, self.a, self.step, self.lit, self.start = question, answer, a, step, lit, start
        self.both_ways = both_ways
        self.states = [ROWS["state"] + SECOND * k for k in range(2 if both_ways else 1)]  # a row for each reader
        lift = self.states[-1] - ROWS["state"]
        self.rows = {row: y + (lift if y > ROWS["state"] else 0) for row, y in ROWS.items()}
        T = len(question)
        self.x = [LEFT + COLUMN * t for t in range(T)]
        self.decoder_x = self.x[-1] + 1.45
        self.context_x = (self.x[0] + self.x[-1]) / 2
        self.ax = inch_axes(self.decoder_x + 0.55, self.rows["top"])

    def ink(self, part, color):
        """Return the color of lines, pale if another part is highlighted."""
        return color if not self.lit or part in self.lit else PALE

    def text_ink(self, part, color):
        """Return the color of texts, which must stay readable where lines are pale."""
        return color if not self.lit or part in self.lit else PALE_INK

    def ground(self, part, left, bottom, right, top):
        """Color the ground below a part that is highlighted."""
        if part in self.lit:
            self.box((left + right) / 2, (bottom + top) / 2, right - left, top - bottom, TINT, "none", 0.12, zorder=0)

    def box(self, x, y, width, height, face, edge, corner=0.06, zorder=3, line=1.6):
        from matplotlib.patches import FancyBboxPatch

        style = f"round,pad=0,rounding_size={corner}"
        place = (x - width / 2, y - height / 2)
        self.ax.add_patch(
            FancyBboxPatch(
                place, width, height, boxstyle=style, facecolor=face, edgecolor=edge, linewidth=line, zorder=zorder
            )
        )

    def text(self, x, y, text, color, size=LABEL, ha="center", mono=False, **style):
        family = {"family": "DejaVu Sans Mono"} if mono else {}
        return self.ax.text(x, y, text, color=color, size=size, ha=ha, va="center", zorder=4, **family, **style)

    def arrow(self, points, color, width=1.6):
        draw_arrow(self.ax, points, color, width=width)

    def encoder(self, right_to_left):
        """The characters, the states above each, and the arrows along which an LSTM hands on its state."""
        y, low, x = self.rows["state"], self.rows["character"], self.x
        self.ground("encoder", x[0] - 0.56, 0.06, x[-1] + 0.24, self.states[-1] + 0.32)
        color, ink, name = self.ink("encoder", BLUE), self.text_ink("encoder", INK), self.text_ink("encoder", BLUE)
        for t, c in enumerate(self.question):
            self.text(x[t], low, visible(c), ink, LETTER, mono=True)
            self.arrow([(x[t], low + 0.18), (x[t], y - 0.2)], color, 1.2)
            for row in self.states:
                self.box(x[t], row, 0.27, 0.36, "white", color)
        for row, leftward in zip(self.states, (right_to_left, not right_to_left), strict=False):
            for a, b in itertools.pairwise(x[::-1] if leftward else x):
                side = 0.135 if b > a else -0.135
                self.arrow([(a + side, row), (b - side, row)], color, 1.2)
        self.text(x[0] - 0.37, sum(self.states) / len(self.states), "hs", name, style="italic")
        one = f"an LSTM that reads {_direction(right_to_left, both_ways=False)}"
        readers = "two LSTMs, one from each end" if self.both_ways else one
        self.text(x[0] - 0.5, 0.2, f"encoder: {readers}", name, ha="left")

    def attention_weight(self):
        """From the states and h to the weights: a cell for each, as dark as the weight."""
        y, x, part, low = self.rows["weight"], self.x, "attention_weight", self.states[-1]
        self.ground(part, x[0] - 0.56, low + 0.36, x[-1] + 0.3, y + 0.27)
        ink = self.text_ink(part, INK)
        pale = ink == PALE_INK
        for t, weight in enumerate(self.a):
            self.arrow([(x[t], low + 0.2), (x[t], y - 0.2)], self.ink(part, BLUE), 1.0)
            shown = 0.2 * weight if pale else weight
            self.box(x[t], y, 0.38, 0.36, shade(shown), self.ink(part, MUTED), 0.02, line=1)
            if weight >= 0.005:
                number = f"{weight:.2f}".lstrip("0")
                self.text(x[t], y, number, ink if pale else ink_on(weight), SMALL)
        self.text(x[0] - 0.37, y, "a", ink, style="italic")
        label = self.text(self.context_x, low + 0.53, "AttentionWeight: softmax(hs · h)", ink)
        label.set_bbox({"facecolor": TINT if part in self.lit else "white", "edgecolor": "none", "pad": 2})

    def weight_sum(self):
        """From the states, by way of their weights, to the context."""
        from matplotlib.patches import Circle

        y, low, part = self.rows["context"], self.rows["weight"] + 0.19, "weight_sum"
        self.ground(part, self.x[0] - 0.56, low, self.x[-1] + 0.3, y + 0.36)
        color = self.ink(part, ORANGE)
        for x, weight in zip(self.x, self.a, strict=True):
            self.ax.plot(
                [x, self.context_x],
                [low, y],
                color=color,
                linewidth=max(THICKEST * weight, 0.6),
                solid_capstyle="butt",
                zorder=1,
            )
        self.ax.add_patch(
            Circle((self.context_x, y), 0.24, facecolor="white", edgecolor=color, linewidth=2.2, zorder=3)
        )
        self.text(self.context_x, y, "c", self.text_ink(part, ORANGE), LETTER, style="italic", weight="bold")
        self.text(self.x[0] - 0.5, y + 0.1, "WeightSum: Σ a hs", self.text_ink(part, INK), ha="left")

    def decoder(self):
        """The step: what it reads, its LSTM with h, the affine layer, what it writes."""
        x, part = self.decoder_x, "decoder"
        low, state, query, joined, top = (
            self.rows[row] for row in ("character", "state", "weight", "context", "answer")
        )
        self.ground(part, x - 1.03, 0.06, x + 0.51, top + 0.32)
        self.ground(part, x - 0.27 * self.step - 1.1, top - 0.32, x + 0.51, top + 0.32)
        color, ink, name = self.ink(part, GREEN), self.text_ink(part, INK), self.text_ink(part, GREEN_INK)
        self.text(x + 0.45, 0.2, f"decoder, step {self.step}", name, ha="right")
        self.text(x, low, visible(self.answer[self.step - 1] if self.step else self.start), ink, LETTER, mono=True)
        self.arrow([(x, low + 0.18), (x, state - 0.2)], color)
        self.arrow([(x - 0.85, state), (x - 0.38, state)], color)
        before = f"step {self.step - 1}" if self.step else "both last" if self.both_ways else "last hs"
        self.text(x - 0.64, state + 0.2, before, name, SMALL)
        self.box(x, state, 0.72, 0.36, "white", color)
        self.text(x, state, "LSTM", name)
        self.arrow([(x, state + 0.2), (x, joined - 0.2)], color, 2)
        self.arrow([(x, query), (self.x[-1] + 0.2, query)], self.ink("attention_weight", GREEN), 2)
        self.text(x + 0.2, query, "h", name, LETTER, style="italic", weight="bold")
        self.arrow([(self.context_x + 0.25, joined), (x - 0.41, joined)], self.ink("weight_sum", ORANGE), 2)
        self.box(x, joined, 0.78, 0.36, "white", color)
        self.text(x, joined, "Affine", name)
        self.arrow([(x, joined + 0.2), (x, top - 0.22)], color)
        for k, c in enumerate(self.answer[: self.step + 1]):
            self.text(x - 0.27 * (self.step - k), top, visible(c), ink, LETTER, mono=True)
        self.box(x, top, 0.3, 0.4, "none", color)
        self.text(x - 0.27 * self.step - 0.3, top, "writes", name, ha="right")
