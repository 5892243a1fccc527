"""The drawing of a decoder's two steps: where the context can go, see chapters 8.10, 8.14 and 8.15."""

from common.alt_text import set_alt
from common.graph_figure import draw_arrow, inch_axes
from common.language import say
from common.plots import COLORS
from common.svg import INK

PLACES = {  # where the context goes, in words: the query's part and the context's
    "output": (
        "the LSTM's state h of the step",
        "the context is joined with h and goes through an affine layer to the logits: no LSTM reads it.",
    ),
    "next step": (
        "the LSTM's state h of the step",
        "the context is joined with h and goes through a tanh layer; its result, fed, goes through an affine layer to "
        "the logits, and into the LSTM of the next step.",
    ),
    "same step": (
        "the LSTM's state h of the step before",
        "the context goes into the LSTM of the same step, and with its h through an affine layer to the logits.",
    ),
    "translator": (
        "the GRU's state h of the step before",
        "the context goes into the GRU of the same step, and with its h and x through an affine layer to the logits.",
    ),
    "attentional state": (
        "the LSTM's state h of the step",
        "the context is joined with h and goes through a tanh layer; its result, fed, goes through an affine layer to "
        "the logits: no LSTM reads it.",
    ),
}
BLUE, ORANGE, GREEN = COLORS[:3]
GREEN_INK = "#00694c"  # of texts: COLORS' green is too light for them
LABEL, SMALL = 14, 12  # sizes of text in points
APART = 3.5  # inches from step to step
LSTM, CIRCLE = 1.15, 1.35  # inches: x of the first LSTM; from an LSTM to the context
STATE = APART / 8  # inches from one state of the encoder to the next, so that both contexts stand above one
ROWS = {"states": 0.4, "context": 1.5, "x": 1.95, "low": 2.35, "lstm": 2.85, "branch": 3.45, "joined": 4.1, "fed": 4.65}


def placement_figure(place):
    """Draw two steps of a decoder with attention, and in orange where the context goes.

    Args: place, a key of PLACES: "output" (AttentionSeq2seq), "next step" (InputFeedingSeq2seq), "same step"
    (SameStepSeq2seq), "translator" (BahdanauSeq2seq) or "attentional state" (LuongSeq2seq).
    Returns: a matplotlib Figure on a white ground, with its content in words for screen readers.
    Raises: ValueError for another place.
    """
    if place not in PLACES:
        raise ValueError(f"placement_figure: there is no place {place!r}; there are {', '.join(PLACES)}")
    top = ROWS["fed"] + (1.4 if place in ("next step", "attentional state") else 0.3)
    drawing = _Drawing(inch_axes(2 * APART + 0.35, top), place)
    drawing.states()
    for step in (0, 1):
        drawing.step(LSTM + APART * step, "t" if step == 0 else "t+1")
    query, context = PLACES[place]
    return set_alt(
        drawing.ax.figure,
        say(
            "Two steps of a decoder, t and t+1. At each the attention over the encoder's states hs_enc gets as its "
            "query {query}; {context} The {cell} hands its state on to the next step.",
            query=say(query),
            context=say(context),
            cell=drawing.cell,
        ),
    )


class _Drawing:
    """The figure while it is drawn. Coordinates are inches."""

    def __init__(self, ax, place):
        self.ax, self.place = ax, place
        self.cell = "GRU" if place == "translator" else "LSTM"

    def text(self, x, y, text, color=INK, size=LABEL, ha="center", **style):
        self.ax.text(x, y, text, color=color, size=size, ha=ha, va="center", zorder=4, **style)

    def box(self, x, y, width, text, edge, ink, height=0.4):
        from matplotlib.patches import FancyBboxPatch

        self.ax.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=0.06",
                facecolor="white",
                edgecolor=edge,
                linewidth=1.6,
                zorder=3,
            )
        )
        self.text(x, y, text, ink)

    def dot(self, x, y, color):
        self.ax.plot(x, y, "o", color=color, markersize=6, zorder=3)

    def arrow(self, points, color, width=1.6):
        draw_arrow(self.ax, points, color, width=width)

    def states(self):
        """The encoder's states, which all steps share."""
        y, above = ROWS["states"], LSTM + CIRCLE
        for k in range(-3, 11):
            self.box(above + STATE * k, y, 0.29, "", BLUE, INK, 0.36)
        self.text(0.5, y, "hs_enc", BLUE, style="italic")

    def step(self, x, name):
        """One step: its LSTM at x, its context to the right of it."""
        c, rows = x + CIRCLE, ROWS
        self.attention(c)
        self.text(x, rows["x"], f"x at {name}")
        self.arrow([(x, rows["x"] + 0.2), (x, rows["lstm"] - 0.22)], GREEN)
        self.box(x, rows["lstm"], 0.85, self.cell, GREEN, GREEN_INK)
        self.arrow([(max(x - APART + 0.43, 0.1), rows["lstm"]), (x - 0.45, rows["lstm"])], GREEN)
        self.text(x - (1.05 if x > APART else 0.75), rows["lstm"] + 0.17, "state", GREEN_INK, SMALL)
        if x > APART:
            self.arrow([(x + 0.43, rows["lstm"]), (x + 2.2, rows["lstm"])], GREEN)
        self.arrow([(x, rows["lstm"] + 0.21), (x, rows["joined"] - 0.22)], GREEN)
        self.text(x - 0.15, rows["branch"], "h", GREEN_INK, style="italic")
        {
            "output": self.to_output,
            "next step": self.to_next_step,
            "same step": self.to_same_step,
            "translator": self.to_translator,
            "attentional state": self.to_attentional_state,
        }[self.place](x, c)

    def attention(self, c):
        """The attention, with the context that it makes."""
        from matplotlib.patches import Circle

        y = ROWS["context"]
        for shift in (-STATE, 0, STATE):
            self.ax.plot([c + shift, c], [ROWS["states"] + 0.18, y], color=ORANGE, linewidth=1.2, zorder=1)
        self.ax.add_patch(Circle((c, y), 0.24, facecolor="white", edgecolor=ORANGE, linewidth=2.2, zorder=3))
        self.text(c, y, "c", ORANGE, style="italic", weight="bold")
        self.text(c - 0.32, y - 0.42, "attention", size=SMALL, ha="right")

    def query_of_this_step(self, x, c):
        self.dot(x, ROWS["branch"], GREEN)
        self.arrow([(x, ROWS["branch"]), (c - 0.1, ROWS["branch"]), (c - 0.1, ROWS["context"] + 0.23)], GREEN)
        self.text((x + c) / 2, ROWS["branch"] + 0.16, "query", GREEN_INK, SMALL)

    def to_output(self, x, c):
        self.query_of_this_step(x, c)
        self.up_to_the_output(x, c)
        self.logits(x, ROWS["joined"])

    def to_attentional_state(self, x, c):
        self.query_of_this_step(x, c)
        self.arrow(
            [(c + 0.1, ROWS["context"] + 0.22), (c + 0.1, ROWS["joined"]), (x + 0.41, ROWS["joined"])], ORANGE, 2.6
        )
        self.box(x, ROWS["joined"], 0.8, "tanh", ORANGE, INK)
        self.arrow([(x, ROWS["joined"] + 0.2), (x, ROWS["fed"] + 0.3)], ORANGE, 2.6)
        self.text(x - 0.12, ROWS["fed"], "fed", INK, ha="right", style="italic")
        self.logits(x, ROWS["fed"] + 0.52)

    def to_next_step(self, x, c):
        """As in the attentional state, which goes into the next step as well."""
        self.to_attentional_state(x, c)
        self.dot(x, ROWS["fed"], ORANGE)
        into = [(x - 0.25, ROWS["low"]), (x - 0.25, ROWS["lstm"] - 0.22)]  # the LSTM, from below
        if x < APART:  # what the step before has fed comes from outside of the drawing
            self.arrow([(0.1, ROWS["low"]), *into], ORANGE, 2.6)
            self.text(0.1, ROWS["low"] - 0.17, "fed at t-1", INK, SMALL, ha="left")
            self.arrow(
                [(x, ROWS["fed"]), (APART + 0.5, ROWS["fed"]), (APART + 0.5, ROWS["low"])]
                + [(x + APART, y) for x, y in into],
                ORANGE,
                2.6,
            )
        else:
            self.arrow([(x, ROWS["fed"]), (x + 2.2, ROWS["fed"])], ORANGE, 2.6)

    def to_same_step(self, x, c):
        before = x - 0.85
        self.dot(before, ROWS["lstm"], GREEN)
        self.arrow([(before, ROWS["lstm"]), (before, ROWS["context"]), (c - 0.26, ROWS["context"])], GREEN)
        self.text(x - 0.2, ROWS["context"] + 0.16, "query", GREEN_INK, SMALL)
        self.arrow(
            [
                (c - 0.1, ROWS["context"] + 0.22),
                (c - 0.1, ROWS["low"]),
                (x + 0.25, ROWS["low"]),
                (x + 0.25, ROWS["lstm"] - 0.22),
            ],
            ORANGE,
            2.6,
        )
        self.up_to_the_output(x, c)
        self.logits(x, ROWS["joined"])

    def to_translator(self, x, c):
        """As in the same step; the embedding goes to the output as well."""
        self.to_same_step(x, c)
        low, high = ROWS["low"], ROWS["joined"] - 0.38
        self.dot(x, low, GREEN)
        self.arrow(
            [(x, low), (x - 0.52, low), (x - 0.52, high), (x - 0.25, high), (x - 0.25, ROWS["joined"] - 0.22)], GREEN
        )

    def up_to_the_output(self, x, c):
        self.arrow(
            [(c + 0.1, ROWS["context"] + 0.22), (c + 0.1, ROWS["joined"]), (x + 0.485, ROWS["joined"])], ORANGE, 2.6
        )

    def logits(self, x, y):
        self.box(x, y, 0.95, "Affine", GREEN, GREEN_INK)
        self.arrow([(x, y + 0.2), (x, y + 0.48)], GREEN)
        self.text(x, y + 0.62, "logits")
