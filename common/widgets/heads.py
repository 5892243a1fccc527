"""Heads explorer: what every head of every layer of a Transformer looks at, all in small and one enlarged."""

from typing import NamedTuple

from common.language import errors, say
from common.np import host, to_cpu
from common.svg import (
    BLUE,
    INK,
    LINE,
    MUTED,
    Drawing,
    clipped,
    draw_cells,
    draw_shades,
    ink_on,
    percent,
    shade,
    visible,
)
from common.widgets.attention import (
    CELL,
    GAP,
    ROW,
    WIDTH,
    Grid,
    draw_unknown,
    draw_unknown_legend,
    wrapped,
)
from common.widgets.base import (
    CHARACTERS,
    HOVER,
    OLD,
    UNSEEN,
    Picture,
    Widget,
    box_of,
    controls,
    live_region,
    message,
    picture_frame,
    quoted,
)
from common.widgets.explorer import side_by_side
from common.widgets.texts import button_options, complaint

# kind of attention: (its title, who looks at what)
KINDS = {
    "encoder": (
        "Encoder, self-attention",
        "a row for each {token} that looks, a column for each {token} of the same text",
    ),
    "decoder": (
        "Decoder, self-attention",
        "a row for each step, named by the {token} it writes; a column for each {token} that was read before",
    ),
    "cross": (
        "Decoder, cross attention",
        "a row for each step, named by the {token} it writes; a column for each {token} of the question",
    ),
}
MEAN = "mean"  # instead of a head: the mean of all heads of a layer
SMALL = 40, 110  # side of a small heatmap: at least, at most
TALL = 380  # height of all small heatmaps, if they are not at their smallest
BETWEEN = 14  # two small heatmaps
EDGE, TAG = 14, 68  # of the picture of all heads: its margin, the room for the names of the layers
LEFT = 118  # where the columns of the enlarged heatmap begin, if the tokens that look are characters
HIDDEN = "#dedede"  # what a step of the decoder cannot see, as it comes later


class HeadWeights(NamedTuple):
    """The attention weights of all layers and heads.

    weights: (L, M, T_q, T_k); row t says where query t looks. rows, columns: the tokens of the queries and of the keys,
    T_q and T_k of them. In a decoder a query is a step, whose token is the one that it writes.
    """

    weights: object
    rows: list
    columns: list

    @property
    def shape(self):
        """(L, M)"""
        return self.weights.shape[:2]

    def of(self, layer, head):
        """Return the weights (T_q, T_k) of a head, or of ``MEAN``."""
        return self.weights[layer].mean(axis=0) if head == MEAN else self.weights[layer, head]


def spread(weights):
    """Return how many equal weights are spread as widely as the weights (..., T_q, T_k) of a query.

    It is the perplexity of the rows: exp of their mean entropy, 1 to T_k.
    """
    logs = host.log(host.where(weights > 0, weights, 1))
    return host.exp(-(weights * logs).sum(axis=-1).mean(axis=-1))


def _name(layer, head, heads):
    if head == MEAN:
        return say("layer {layer}, mean of {heads} heads", layer=layer, heads=heads)
    return say("layer {layer}, head {head}", layer=layer, head=head)


def _checked(kind, found):
    """Return the HeadWeights with weights of the host. Raises: ValueError for what cannot be drawn."""
    if kind not in KINDS:
        raise ValueError(f"kinds of attention are {', '.join(KINDS)}, got {kind!r}")
    weights, rows, columns = host.asarray(to_cpu(found.weights), float), list(found.rows), list(found.columns)
    if weights.ndim != 4 or 0 in weights.shape or weights.shape[2:] != (len(rows), len(columns)):
        raise ValueError(
            f"the weights of kind {kind!r} must be (L, M, {len(rows)}, {len(columns)}), for as many tokens that look "
            f"and that are looked at, with every size at least 1, got {weights.shape}"
        )
    return HeadWeights(weights, rows, columns)


def _check_places(found, layer, head, row=None, column=None):
    """Raise a ValueError for a layer, a head, a row or a column that is not there."""
    L, M, T_q, T_k = found.weights.shape
    if layer not in range(L) or (head != MEAN and head not in range(M)):
        raise ValueError(f"layer must be 0 to {L - 1}, got {layer!r}, and head 0 to {M - 1} or {MEAN!r}, got {head!r}")
    for what, place, count in (("row", row, T_q), ("column", column, T_k)):
        if place is not None and place not in range(count):
            raise ValueError(f"{what} must be 0 to {count - 1}, or None, got {place!r}")
    if row is not None and column is not None:
        raise ValueError(f"either a row or a column is lit, got row {row} and column {column}")


def _as_equal(count, captions):
    """Return the words for a number of tokens."""
    return dict(count=count, token=captions.said("token"))


def describe_head_grid(kind, found, layer, head, captions=CHARACTERS):
    """Return in words what the small heatmaps show: a list of sentences. Args: as for ``render_head_grid``."""
    found = _checked(kind, found)
    _check_places(found, layer, head)
    L, M = found.shape
    words = [
        say(
            "{kind}: small heatmaps of {heads} heads in each of {layers} layers, and of the mean of a layer's heads.",
            kind=say(KINDS[kind][0]),
            heads=M,
            layers=L,
        ),
        say("Enlarged: {name}.", name=_name(layer, head, M)),
    ]
    if L * M > 1:
        wide = spread(found.weights)
        ends = [divmod(int(place), M) for place in (wide.argmin(), wide.argmax())]
        most, least = (
            say(
                "{name} (as equal weights on {count:.1f} {token}s)",
                name=_name(*end, M),
                **_as_equal(wide[end], captions),
            )
            for end in ends
        )
        words += [say("Most focused: {name}.", name=most), say("Least focused: {name}.", name=least)]
    return words


def render_head_grid(kind, found, layer, head, captions=CHARACTERS, width=WIDTH):
    """Return a grid of small heatmaps as SVG: a row for each layer, a column for each head and for their mean.

    Args: kind, one of ``KINDS``; found, HeadWeights; layer and head (or ``MEAN``), which one is framed; captions, the
    words for tokens; width, of the picture in pixels, at least.
    Pressing a heatmap in a widget's box presses buttons of the groups "layer" and "head"; the last head is the mean.
    Raises: ValueError for what does not fit.
    """
    found = _checked(kind, found)
    words = describe_head_grid(kind, found, layer, head, captions)
    (L, M), T_q, T_k = found.shape, len(found.rows), len(found.columns)
    left, top = EDGE + TAG, 62
    room = min((width - left - EDGE) / (M + 1), TALL / L) - BETWEEN
    side = max(min(max(room, SMALL[0]), SMALL[1]) // max(T_q, T_k), 1.5)
    wide, high = side * T_k, side * T_q
    across, down = max(wide, 44) + BETWEEN, max(high, 24) + BETWEEN
    width = max(width, left + across * (M + 1) + EDGE)
    lines = wrapped(words[2:], width - 2 * EDGE)
    bottom = top + down * L
    drawing = Drawing(width, bottom + 20 * len(lines) + 44, " ".join(words))
    drawing.text(EDGE, 24, say(KINDS[kind][0]), size=15, bold=True)
    columns = (*range(M), MEAN)
    for j, which in enumerate(columns):
        label = say("mean") if which == MEAN else say("head {head}", head=which)
        drawing.text(left + across * j + wide / 2, top - 8, label, size=12, anchor="middle", bold=which == head)
    for k in range(L):
        drawing.text(EDGE, top + down * k + high / 2 + 4, say("layer {layer}", layer=k), size=12, bold=k == layer)
        for j, which in enumerate(columns):
            x, y = left + across * j, top + down * k
            weights = found.of(k, which)
            with drawing.pressed(f"layer-{k} head-{j}"):
                wide_as = dict(name=_name(k, which, M), **_as_equal(spread(weights), captions))
                title = say("{name}: as equal weights on {count:.1f} {token}s", **wide_as)
                drawing.rect(x - 4, y - 4, wide + 8, high + 8, fill="#ffffff", title=title)
                if kind == "decoder":
                    _draw_hidden(drawing, x, y, T_q, T_k, side, side)
                draw_cells(drawing, x, y, weights, side)
                lit = (k, which) == (layer, head)
                drawing.rect(x - 1, y - 1, wide + 2, high + 2, stroke=LINE)
                if lit:
                    drawing.rect(x - 4, y - 4, wide + 8, high + 8, stroke=BLUE, width=3)
    for k, line in enumerate(lines):
        drawing.text(EDGE, bottom + 16 + 20 * k, line)
    _draw_legend(drawing, bottom + 20 * len(lines) + 16, kind, say("the one that is enlarged"))
    return str(drawing)


def describe_head(kind, found, layer, head, row=None, column=None, captions=CHARACTERS, unknown=()):
    """Return in words what the enlarged heatmap shows: a list of sentences. Args: as for ``render_head``."""
    found = _checked(kind, found)
    _check_places(found, layer, head, row, column)
    weights = found.of(layer, head)
    words = [
        f"{say(KINDS[kind][0])}, {_name(layer, head, found.shape[1])}.",
        *([_said_of_row(kind, found, weights, row, captions)] if row is not None else []),
        *([_said_of_column(kind, found, weights, column, captions)] if column is not None else []),
        say(
            "A row is spread, on average, as equal weights on {count:.1f} {token}s would be.",
            **_as_equal(spread(weights), captions),
        ),
    ]
    if len(unknown) and kind != "decoder":
        places = ", ".join(f"“{visible(found.columns[i])}” ({captions.said('token')} {i})" for i in unknown)
        words.append(say("Unknown to the model: {tokens}.", tokens=places))
    return words


def _who(kind, found, row, captions):
    """Return who looks: a token, or a step of the decoder."""
    token = f"“{visible(found.rows[row])}”"
    if kind == "encoder":
        return f"{token} ({captions.said('token')} {row})"
    return say("step {step}, which writes {token},", step=row, token=token)


def _said_of_row(kind, found, weights, row, captions):
    def named(i):
        return f"“{visible(found.columns[i])}” ({captions.said('token')} {i}, {percent(weights[row, i])})"

    who = _who(kind, found, row, captions)
    places = _two(weights[row], named, say(", then at "))
    return say("{who} looks most at {places}.", who=who[0].upper() + who[1:], places=places)


def _said_of_column(kind, found, weights, column, captions):
    def named(k):
        place = captions.said("token") if kind == "encoder" else say("step")
        return f"“{visible(found.rows[k])}” ({place} {k}, {percent(weights[k, column])})"

    looked = f"“{visible(found.columns[column])}” ({captions.said('token')} {column})"
    places = _two(weights[:, column], named, say(", then by "))
    if kind == "encoder":
        return say("{token} is looked at most by {places}.", token=looked, places=places)
    return say("{token} is looked at most by the step that writes {places}.", token=looked, places=places)


def _two(weights, named, between):
    """Name the place with the largest weight and, if it has any to speak of, the next one."""
    places = [int(k) for k in host.argsort(-weights, kind="stable")[:2]]
    return between.join(named(k) for j, k in enumerate(places) if not j or weights[k] >= 0.005)


def render_head(kind, found, layer, head, row=None, column=None, captions=CHARACTERS, unknown=(), width=WIDTH):
    """Return the heatmap of one head, with its tokens, as SVG.

    Args:
        kind, one of ``KINDS``; found, HeadWeights; layer and head, or ``MEAN``.
        row: the query that is lit: the keys are painted with its weights. column: the key that is lit: the queries are
            painted with the weights that they give it. One of them may be given.
        captions: the words for tokens. unknown: the places in the question of the tokens that the model does not know.
        width: of the picture in pixels, at least.

    Pressing a row or a column in a widget's box presses its button of the group "row" or "column".
    Raises: ValueError for what does not fit.
    """
    found = _checked(kind, found)
    words = describe_head(kind, found, layer, head, row, column, captions, unknown)
    weights = found.of(layer, head)
    unknown = () if kind == "decoder" else unknown
    grid = Grid.of(found.columns, found.rows, width, lower=16, left=LEFT)
    width = max(width, grid.edge(found.columns) + EDGE, grid.right + EDGE)
    lines = wrapped(words[1:], width - 2 * EDGE)
    below = grid.bottom + 26 + 20 * len(lines)
    drawing = Drawing(width, below + 26 + (24 if len(unknown) else 0), " ".join(words))
    drawing.text(EDGE, 24, words[0].rstrip("."), size=15, bold=True)
    drawing.text(EDGE, 43, say(KINDS[kind][1], token=captions.said("token")), size=11, color=MUTED)
    _draw_columns(drawing, grid, found, weights, row, column, captions, unknown)
    _draw_rows(drawing, grid, found, weights, row, column, captions, unknown if kind == "encoder" else ())
    _draw_weights(drawing, grid, kind, found, weights, captions)
    _draw_lit(drawing, grid, row, column)
    for k, line in enumerate(lines):
        drawing.text(EDGE, grid.bottom + 26 + 20 * k, line)
    _draw_legend(drawing, below - 8, kind, say("the {token} that is lit", token=captions.said("token")))
    if len(unknown):
        draw_unknown_legend(drawing, below + 18)
    return str(drawing)


def _draw_columns(drawing, grid, found, weights, row, column, captions, unknown):
    """Write the keys, painted with the weights of the row that is lit, the larger ones in numbers below."""
    top, painted = grid.head, host.zeros(grid.columns) if row is None else weights[row]
    drawing.text(EDGE, top + 16, say("looked at"))
    if row is not None:
        drawing.text(EDGE, top + 34, say("in percent"), size=11, color=MUTED)
    for i, (token, w) in enumerate(zip(found.columns, painted, strict=True)):
        x, lit = grid.x(i), i == column
        style = _style(token, captions, w, lit, i in unknown, outside=grid.rising)
        with drawing.pressed(f"column-{i}"):
            title = f"{captions.said('token')} {i}, “{visible(token)}”"
            title += "" if row is None else say(": weight {weight}", weight=percent(w))
            drawing.rect(x, top, grid.column, 24, fill=shade(w), stroke=LINE, title=title)
            if grid.rising:
                drawing.text(x + grid.column / 2 + 3, top - 5, clipped(token), rising=True, **style)
            else:
                drawing.text(x + grid.column / 2, top + 17, clipped(token), anchor="middle", **style)
            if i in unknown:
                draw_unknown(drawing, x, top, grid.column)
            if w >= 0.005:
                drawing.text(x + grid.column / 2, top + 37, f"{100 * w:.0f}", size=11, anchor="middle")


def _draw_rows(drawing, grid, found, weights, row, column, captions, unknown):
    """Write the queries downward, painted with the weights that they give the column that is lit."""
    painted = host.zeros(grid.rows) if column is None else weights[:, column]
    wide = _label_width(grid)
    for k, (token, w) in enumerate(zip(found.rows, painted, strict=True)):
        y, lit = grid.y(k), k == row
        with drawing.pressed(f"row-{k}"):
            drawing.rect(10, y, grid.left - 12, ROW, fill="transparent")
            drawing.text(46, y + 16, k, size=11, anchor="end", color=MUTED)
            drawing.rect(52, y, wide, ROW, fill=shade(w), stroke=LINE)
            if k in unknown:
                draw_unknown(drawing, 52, y - 1, wide)
            style = _style(token, captions, w, lit, k in unknown)
            drawing.text(52 + wide / 2, y + 16, clipped(token), anchor="middle", **style)
            if w >= 0.005:
                drawing.text(grid.left - 8, y + 16, percent(w), size=11, anchor="end")


def _style(token, captions, weight, lit, unknown, outside=False):
    """Return how a token is written on its weight, or beside it."""
    color = INK if outside else ink_on(weight)
    if token in captions.marks:
        return dict(size=11, mono=True, bold=lit, color=color if weight >= 0.2 and not outside else MUTED)
    return dict(size=15, mono=True, bold=lit, color=color, italic=unknown)


def _draw_weights(drawing, grid, kind, found, weights, captions):
    if kind == "decoder":
        _draw_hidden(drawing, grid.left, grid.top, grid.rows, grid.columns, grid.column, ROW)
    for i in range(grid.columns + 1):
        drawing.line(grid.x(i), grid.top, grid.x(i), grid.bottom, "#dcdcdc")
    for k in range(grid.rows + 1):
        drawing.line(grid.left, grid.y(k), grid.right, grid.y(k), "#dcdcdc")
    for k, line in enumerate(weights):
        with drawing.pressed(f"row-{k}"):
            drawing.rect(grid.left, grid.y(k), grid.right - grid.left, ROW, fill="transparent")
            who = _who(kind, found, k, captions)
            for i in host.flatnonzero(line >= 0.005):  # the rest stays white
                words = dict(who=who, share=percent(line[i]), token=visible(found.columns[i]))
                title = say("{who} puts {share} of its weight on “{token}”", **words)
                x, y, w, h = grid.x(i) + GAP, grid.y(k) + GAP, grid.column - 2 * GAP, ROW - 2 * GAP
                drawing.rect(x, y, w, h, fill=shade(line[i]), title=title)


def _label_width(grid):
    """Return the width of the longest query."""
    return grid.left - LEFT + CELL


def _draw_lit(drawing, grid, row, column):
    """Frame the row or the column that is lit, and its token."""
    if row is not None:
        y = grid.y(row)
        boxes = (52, y, _label_width(grid), ROW), (grid.left - 1, y - 1, grid.right - grid.left + 2, ROW + 2)
        drawing.text(EDGE, y + 16, "▶", size=12, color=BLUE)
    elif column is not None:
        x = grid.x(column)
        boxes = (x, grid.head, grid.column, 24), (x - 1, grid.top - 1, grid.column + 2, ROW * grid.rows + 2)
        drawing.text(x + grid.column / 2, grid.head + 38, "▼", size=12, anchor="middle", color=BLUE)
    else:
        return
    for box in boxes:
        drawing.rect(*box, stroke=BLUE, width=GAP)


def _draw_hidden(drawing, x, y, rows, columns, wide, high):
    """Paint what comes after each step."""
    for k in range(min(rows, columns - 1)):
        drawing.rect(x + wide * (k + 1), y + high * k, wide * (columns - 1 - k), high, fill=HIDDEN)


def _draw_legend(drawing, y, kind, lit):
    draw_shades(drawing, EDGE, y, (0, 0.25, 0.5, 0.75, 1))
    drawing.rect(304, y + 1, 30, 15, stroke=BLUE, width=GAP)
    drawing.text(342, y + 13, lit, size=11, color=MUTED)
    if kind == "decoder":
        drawing.rect(516, y + 1, 30, 15, fill=HIDDEN, stroke=LINE)
        drawing.text(554, y + 13, say("hidden: it comes later"), size=11, color=MUTED)


class HeadsExplorer(Widget):
    """Type a text and see what every head of every layer looks at: all of them in small, one enlarged.

    Args:
        read: called as read(tokens), the tokens of a text with the marks around it; returns (the answer's tokens,
            {kind: HeadWeights}), with one or more of the kinds "encoder", "decoder" and "cross". It may raise a
            ValueError: a sentence that says why the text cannot be read.
        reading: a Reading, which says how a text becomes tokens and what its right answer is.
        captions: the words for texts and tokens, see ``Captions``.
        text: in the box at first; None for the first example.
        kind, layer, head, row, column: the rest of the first state. kind None is the first that ``read`` returns; head,
            a number or "mean", all heads of the layer together; row, the place of the token that looks, and column, of
            the one that is looked at. One of the two is lit; if both are None, the row of the first word.
        unknown: called as unknown(tokens); returns the places of the tokens that the model does not know. None: all
            are known.
        note: a sentence that is always shown below the pictures.

    Controls: ``text``, ``example`` (a button: the next example), ``kind``, ``layer``, ``head``, ``row``, ``column``
    (each a row of buttons), ``message`` (HTML), ``picture`` (all heads) and ``enlarged``. A small heatmap can be
    pressed; resting on a token, in the buttons or in the enlarged picture, lights it. The last text that could be read
    is in ``question`` and ``answer`` (text), ``question_tokens`` and ``answer_tokens`` (lists), ``kinds`` (what
    ``read`` returned) and ``weights`` (T_q, T_k), those of the enlarged head; ``complaint`` is None, or says why the
    text in the box cannot be read.

        explorer.kind.value, explorer.layer.value, explorer.head.value = "cross", 2, "mean"
        explorer.row.value = 3                       # what token 3 looks at
        explorer.column.value = 1                    # who looks at token 1
        explorer.weights[3]

    Raises: ValueError for a first state that cannot be shown.
    """

    remember = 64  # texts that need not be read again

    def __init__(
        self,
        read,
        *,
        reading,
        captions=CHARACTERS,
        text=None,
        kind=None,
        layer=0,
        head=0,
        row=None,
        column=None,
        unknown=None,
        note="",
    ):
        self.read, self.reading, self.captions, self.find_unknown = read, reading, captions, unknown
        self.about = captions.about
        self._known = {}
        if text is None:
            text = next(iter(reading.examples), "")
        self._start = dict(text=text, kind=kind, layer=layer, head=head, row=row, column=column)
        self.static()  # says what is wrong before anything is shown
        self._make_controls(note)
        self._draw()

    def _make_controls(self, note):
        w, captions = controls(), self.captions
        self.text = w.Text(
            value=self._start["text"],
            description=captions.said("label"),
            placeholder=captions.example,
            style={"description_width": "initial"},
            layout={"width": "560px"},
        )
        self.example = w.Button(description=say("another example"), layout={"width": "150px"})
        self.example.on_click(lambda _: self._next_example())
        self.kind, self.layer = self._buttons(say("kind"), "kind"), self._buttons(say("layer"), "layer")
        self.head = self._buttons(say("head"), "head")
        self.row, self.column = self._buttons(say("looks"), "row"), self._buttons(say("looked at"), "column")
        for buttons in (self.row, self.column):
            buttons.add_class(HOVER)
        self.message, self.heard = live_region(), live_region()
        self.heard.add_class(UNSEEN)
        self.picture, self.enlarged = picture_frame(), picture_frame()
        with self._silently():
            self._offer(self._read(self._start["text"])[2], self._start)
        self.box = box_of(
            [
                side_by_side(self.text, *([self.example] if self.reading.examples else [])),
                side_by_side(self.kind, self.layer, self.head),
                self.message,
                self.picture,
                self.row,
                self.column,
                self.enlarged,
                self.heard,
                *([w.HTML(message(note))] if note else []),
            ],
            file="heads",
        )
        for control in self._settings().values():
            control.observe(self._changed, names="value")

    def _buttons(self, description, group):
        """Return a row of buttons, which pictures can press as ``group``."""
        made = controls().ToggleButtons(
            options=[""],
            description=description,
            style={"button_width": "auto", "description_width": "70px"},
            layout={"width": "auto", "max_width": "100%"},
        )
        made.add_class(f"attention-{group}")
        return made

    def _settings(self):
        """Return the controls whose values are the state of the explorer, as ``static`` takes them."""
        return {name: getattr(self, name) for name in self._start}

    def _next_example(self):
        """Put the next example into the box; after another text, the first."""
        examples = list(self.reading.examples)
        place = examples.index(self.text.value) + 1 if self.text.value in examples else 0
        self.text.value = examples[place % len(examples)]

    def _read(self, text):
        """Return (tokens, answer tokens, {kind: HeadWeights}), from memory if the text was read before.

        Raises: ValueError, a sentence, for a text that cannot be read.
        """
        tokens = list(self.reading.tokenize(text))
        words = [token for token in tokens if token not in self.captions.marks]
        problem = complaint(words, frozenset(words), self.reading.max_length, self.captions)
        if problem:
            raise ValueError(problem)
        key = tuple(tokens)
        if key not in self._known:
            answer, kinds = self.read(list(tokens))
            kinds = {kind: _checked(kind, found) for kind, found in kinds.items()}
            if len(self._known) >= self.remember:
                del self._known[next(iter(self._known))]
            self._known[key] = list(answer), kinds
        return tokens, *self._known[key]

    def _completed(self, kinds, state):
        """Return a state of which nothing is left open: its kind, and a row or a column. Raises: ValueError."""
        state = state | {"kind": next(iter(kinds)) if state["kind"] is None else state["kind"]}
        if state["kind"] not in kinds:
            raise ValueError(f"there is no kind {state['kind']!r}; there are {', '.join(kinds)}")
        found = kinds[state["kind"]]
        _check_places(found, *(state[name] for name in ("layer", "head", "row", "column")))
        if state["row"] is None and state["column"] is None:
            marks = self.captions.marks
            state["row"] = next((k for k, token in enumerate(found.rows) if token not in marks), 0)
        return state

    def _offer(self, kinds, state):
        """Give the buttons what can be chosen now, and choose what the state says."""
        state = self._completed(kinds, state)
        found, token = kinds[state["kind"]], self.captions.said("token")
        L, M = found.shape
        options = dict(
            kind=tuple((say(kind), kind) for kind in kinds),
            layer=tuple((str(k), k) for k in range(L)),
            head=(*((str(m), m) for m in range(M)), (say("mean of all"), MEAN)),
            row=button_options(found.rows),
            column=button_options(found.columns),
        )
        for name, offered in options.items():
            control = getattr(self, name)
            if control.options != offered:
                control.options = offered
            control.value = state[name]
        self.kind.tooltips = [say(KINDS[kind][0]) for kind in kinds]
        kind = token if state["kind"] == "encoder" else say("step")
        self.row.tooltips = [say("what {kind} {place} looks at", kind=kind, place=k) for k in range(len(found.rows))]
        self.column.tooltips = [
            say("who looks at {kind} {place}", kind=token, place=i) for i in range(len(found.columns))
        ]

    def _changed(self, change):
        """A reader, or a program, has changed a control."""
        if self._setting:
            return
        if change["owner"] in (self.row, self.column) and change["new"] is not None:
            with self._silently():  # one of the two is lit
                (self.column if change["owner"] is self.row else self.row).value = None
        self._draw(change)

    def _draw(self, change=None):
        """Show what the controls say; a text that cannot be read leaves the last good pictures in place, dimmed."""
        try:
            shown, self.complaint = self._read(self.text.value), None
        except ValueError as error:
            self.complaint = errors.said(error)
        for picture in (self.picture, self.enlarged):
            (picture.add_class if self.complaint else picture.remove_class)(OLD)
        if self.complaint:
            kept = say(" The pictures below still show {question}", question=quoted(self.question))
            self.message.value = message(self.complaint + kept, kind="alert")
            if change["owner"] is self.text:
                return
        else:
            self.question_tokens, self.answer_tokens, self.kinds = shown
            self.question, self.answer = map(self.captions.join, shown[:2])
        with self._silently():
            self._offer(self.kinds, self._possible())
        state = {name: control.value for name, control in self._settings().items() if name != "text"}
        self.weights = self.kinds[state["kind"]].of(state["layer"], state["head"])
        small, large = self._pictures(self.question_tokens, self.kinds, state)
        self.picture.value, self.enlarged.value = small.svg, large.svg
        self.heard.value = large.text
        if not self.complaint:
            self.message.value = message(self._news(self.question_tokens, self.answer_tokens))

    def _possible(self):
        """Return the state of the controls, as far as there is such a thing in what is shown now."""
        state = {name: control.value for name, control in self._settings().items()}
        if state["kind"] not in self.kinds:
            state["kind"] = next(iter(self.kinds))
        found = self.kinds[state["kind"]]
        L, M = found.shape
        state["layer"] = min(state["layer"] or 0, L - 1)
        state["head"] = MEAN if state["head"] == MEAN else min(state["head"] or 0, M - 1)
        for name, tokens in (("row", found.rows), ("column", found.columns)):
            if getattr(self, name).options != button_options(tokens):  # the tokens are others now
                state[name] = None
        return state

    def _unknown(self, tokens):
        return () if self.find_unknown is None else tuple(self.find_unknown(list(tokens)))

    def _pictures(self, tokens, kinds, state):
        """Return two Pictures: of all heads, and of the one that is enlarged."""
        kind, layer, head, row, column = (state[name] for name in ("kind", "layer", "head", "row", "column"))
        found = kinds[kind]
        shown = kind, found, layer, head, row, column, self.captions, self._unknown(tokens)
        small = kind, found, layer, head, self.captions
        return (
            Picture(render_head_grid(*small), " ".join(describe_head_grid(*small))),
            Picture(render_head(*shown), " ".join(describe_head(*shown))),
        )

    def _news(self, tokens, answer):
        """Return sentences on the answer and on what the model does not know."""
        question, written = self.captions.join(tokens), self.captions.join(answer)
        try:
            right = None if self.reading.truth is None else self.reading.truth(list(tokens))
        except ValueError:
            right = None
        if right is None:
            words = dict(question=question, answer=quoted(written))
            said = say("The model reads “{question}” and writes {answer}", **words)
        elif written.rstrip() == right:
            said = say("“{answer}” is right.", answer=written)
        else:
            said = say("“{answer}” is wrong: it should be {right}", answer=written, right=quoted(right))
        unknown = ", ".join(f"“{visible(tokens[i])}”" for i in self._unknown(tokens))
        return f"{said} {say('Unknown to the model: {tokens}.', tokens=unknown)}" if unknown else said

    def static(self, text=None, kind=None, layer=None, head=None, *, row=None, column=None):
        """Return the Picture of the first state, or of another text, kind, layer, head, row or column.

        Raises: ValueError for what is not there, or a text that cannot be read.
        """
        given = dict(text=text, kind=kind, layer=layer, head=head, row=row, column=column)
        given = {name: value for name, value in given.items() if value is not None}
        lit = {} if given.keys() <= {"layer", "head"} else dict(row=None, column=None)
        state = self._start | lit | given
        try:
            tokens, answer, kinds = self._read(state["text"])
        except ValueError as error:
            raise ValueError(f"{type(self).__name__} cannot draw {state['text']!r}. {error}") from None
        small, large = self._pictures(tokens, kinds, self._completed(kinds, state))
        return Picture(small.svg, f"{self._news(tokens, answer)} {small.text}", [large])
