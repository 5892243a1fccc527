"""The drawing of a Transformer, with any of its parts in color, and the two places of its norms. See chapter 8.19."""

from common.language import say
from common.svg import BLUE, GREEN, INK, LINE, MUTED, ORANGE, PALE, PINK, Drawing, Picture

ENCODER, DECODER = 96, 296  # pixels: the middle of either column
WIDE, HIGH = 150, 27  # of a box
ROW = 38  # from one row to the next
BESIDE = 86  # from the middle of a column to its residual line
PARTS = {  # what can be highlighted: its color
    "embedding": BLUE,
    "norm": INK,
    "residual": PINK,
    "attention": ORANGE,
    "feed_forward": GREEN,
    "decoder": ORANGE,
}
BOXES = SELF_ATTENTION, CAUSAL_SELF_ATTENTION, CROSS_ATTENTION, FEED_FORWARD, NORM, EMBEDDING, AFFINE = (
    "Self-attention",
    "Causal self-attention",
    "Cross attention",
    "Feed-forward",
    "Norm",
    "Embedding × √D",
    "Affine",
)


def transformer_figure(highlight=None):
    """Draw a pre-norm Transformer: the encoder on the left, the decoder on the right, both from bottom to top.

    Args: highlight, a key of PARTS: the part that is in color, while the others are gray ("decoder": what only a
    decoder has); None, all are in color.
    Returns: a Picture with alternative text. Raises: ValueError for another part.
    """
    if highlight is not None and highlight not in PARTS:
        raise ValueError(f"transformer_figure: there is no part {highlight!r}; there are {', '.join(PARTS)}")
    drawing = _Drawing(410, 556, _words(highlight), highlight)
    top = drawing.stack(ENCODER, [SELF_ATTENTION, FEED_FORWARD], "xs", say("the sentence"))
    hs_enc = drawing.box(ENCODER, top, NORM, "norm")
    parts = [CAUSAL_SELF_ATTENTION, CROSS_ATTENTION, FEED_FORWARD]
    ask = drawing.stack(DECODER, parts, "ts", say("the words so far"), to_output=True)
    drawing.hs_enc(hs_enc, ask)
    return Picture(str(drawing.picture), drawing.picture.label)


def norm_places_figure():
    """Draw a layer of an encoder twice, with its norms before its parts and after its sums. Return a Picture."""
    label = say(
        "A layer of an encoder, twice. Pre-norm: x goes through a norm into the attention, and what the attention "
        "returns is added to x; the same with the feed-forward part. Nothing stands on the line past the parts. "
        "Post-norm: x goes into the attention, what it returns is added to x, the sum goes through a norm; the same "
        "with the feed-forward part. The line past the parts goes through both norms."
    )
    drawing = _Drawing(410, 350, label, None)
    for x, name, pre_norm in ((ENCODER, "pre-norm", True), (DECODER, "post-norm", False)):
        drawing.picture.text(x, 26, name, anchor="middle", bold=True)
        drawing.picture.text(x, 335, "x", anchor="middle", italic=True)
        y = 320
        for part in (SELF_ATTENTION, FEED_FORWARD):
            y, _ = drawing.part(x, y, part, pre_norm)
        drawing.up(x, y, 42)
    return Picture(str(drawing.picture), label)


def _words(highlight):
    words = say(
        "A Transformer. The encoder, on the left: the ids xs are embedded, times the square root of D, and positions "
        "are added. L layers follow, each a self-attention and a feed-forward part; before each part stands a norm, "
        "and what the part returns is added to what went past it. A last norm makes hs_enc. The decoder, on the right: "
        "the ids ts are embedded in the same way. Each of its L layers has three parts, a causal self-attention, a "
        "cross attention that gets keys and values from hs_enc, and a feed-forward part, each with a norm before it "
        "and a sum after it. A last norm and an affine layer make the logits."
    )
    lit = say("In color: {part}.", part=say(highlight.replace("_", "-"))) if highlight else ""
    return f"{words} {lit}".rstrip()


class _Drawing:
    """The picture while it is drawn, from bottom to top."""

    def __init__(self, width, height, label, highlight):
        self.picture, self.highlight = Drawing(width, height, label), highlight

    def color(self, part):
        return PARTS[part] if self.highlight in (None, part) else LINE

    def up(self, x, y, end, part=None):
        self.picture.arrow([(x, y), (x, end)], MUTED if part is None else self.color(part), 1.4, head=7)

    def box(self, x, y, text, part):
        """Draw a box whose lower edge is at y, with an arrow from there to the row above. Return where that ends."""
        color, lit = self.color(part), self.highlight in (None, part)
        fill = PALE if part == "norm" and lit else "#ffffff"
        self.picture.rect(
            x - WIDE / 2, y - HIGH, WIDE, HIGH, fill, color, 2.2 if self.highlight == part else 1.4, radius=6
        )
        self.picture.text(
            x,
            y - HIGH / 2 + 4.5,
            say(text),
            size=12,
            anchor="middle",
            color=INK if lit else MUTED,
            bold=self.highlight == part,
        )
        self.up(x, y - HIGH, y - ROW)
        return y - ROW

    def plus(self, x, y, part):
        """Draw a sum whose lower edge is at y. Return the y of the next row."""
        color = self.color(part)
        self.picture.circle(x, y - 9, 9, "#ffffff", color, 1.6)
        self.picture.text(
            x, y - 4.5, "+", anchor="middle", bold=True, color=color if self.highlight != "norm" else MUTED
        )
        return y - 18

    def part(self, x, y, name, pre_norm=True):
        """Draw a part with its norm, its residual line and its sum. Return (y of the next row, the part's middle)."""
        kind = "feed_forward" if name == FEED_FORWARD else "attention"
        if self.highlight == "decoder" and name in (CAUSAL_SELF_ATTENTION, CROSS_ATTENTION):
            kind = "decoder"
        branch = y - 5
        self.up(x, y, y - 19)
        y -= 19
        if pre_norm:
            y = self.box(x, y, NORM, "norm")
        middle = y - HIGH / 2
        y = self.box(x, y, name, kind)
        side = x - BESIDE if x == ENCODER else x + BESIDE
        into = x + (-10 if x == ENCODER else 10)
        residual = self.color("residual")
        self.picture.circle(x, branch, 3.2, residual)
        self.picture.arrow([(x, branch), (side, branch), (side, y - 9), (into, y - 9)], residual, 2.2)
        y = self.plus(x, y, "residual")
        if not pre_norm:
            self.up(x, y, y - 11)
            y = self.box(x, y - 11, NORM, "norm") + 11
            self.picture.line(x, y, x, y - 1, MUTED)
        return y, middle

    def stack(self, x, parts, ids, what, to_output=False):
        """Draw a column. Return the y of the row above its layers, or for a decoder that of its cross attention."""
        picture, y = self.picture, 534
        picture.words(x - 48, y + 12, (ids, dict(italic=True)), (f"  {what}", dict(size=11, color=MUTED)))
        self.up(x, y - 2, y - 12)
        y = self.box(x, y - 12, EMBEDDING, "embedding")
        waves = self.color("embedding")
        y = self.plus(x, y, "embedding")
        side = 1 if x == ENCODER else -1
        picture.arrow([(x + side * 36, y + 9), (x + side * 11, y + 9)], waves, 1.4, head=7)
        picture.text(
            x + side * 40, y + 13, say("positions"), size=11, anchor="start" if side > 0 else "end", color=MUTED
        )
        bottom, middles = y - 4, []
        for name in parts:
            y, middle = self.part(x, y - 2, name)
            middles.append(middle)
        left = x - BESIDE - 8 if x == ENCODER else x - WIDE / 2 - 8
        picture.rect(left, y - 6, BESIDE + WIDE / 2 + 16, bottom - y + 6, "none", LINE, 1.2, dash="5 4", radius=10)
        corner, anchor = (x + WIDE / 2, "end") if x == ENCODER else (x - WIDE / 2, "start")
        picture.text(corner, y + 12, say("L layers"), size=11, anchor=anchor, color=MUTED)
        self.up(x, y, y - 22)
        y -= 22
        if not to_output:
            return y
        y = self.box(x, y, NORM, "norm")
        y = self.box(x, y, AFFINE, "embedding")
        picture.text(x, y - 5, say("logits"), anchor="middle")
        return middles[1]

    def hs_enc(self, y, ask):
        """Draw the way from the encoder's top at y to the cross attention at ask."""
        part = "decoder" if self.highlight == "decoder" else "attention"
        color, between = self.color(part), (ENCODER + DECODER) / 2 + 4
        self.picture.arrow(
            [(ENCODER, y + 3), (ENCODER, y - 8), (between, y - 8), (between, ask), (DECODER - WIDE / 2, ask)], color, 2
        )
        self.picture.words(
            30, y - 16, ("hs_enc", dict(italic=True)), (f"  {say('keys and values')}", dict(size=11, color=MUTED))
        )
