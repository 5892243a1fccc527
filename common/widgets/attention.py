"""The explorer's picture: a question, an answer, how sure the model is of each token, and where it looked."""

from dataclasses import dataclass

from common.np import host, to_cpu
from common.svg import (
    BLUE,
    INK,
    LINE,
    MUTED,
    ORANGE,
    Drawing,
    breadth,
    clipped,
    draw_shades,
    ink_on,
    percent,
    shade,
    visible,
    wrap,
)
from common.widgets.base import CHARACTERS, quoted
from common.widgets.phrases import say

CELL, ROW = 22, 22  # width of a column for one character, height of a row
GAP = 2.5  # between a cell and the border of its place, where the frames run
LETTER = 9  # width of another character in a token
LEFT = 176  # where the columns begin, if the answer's tokens are characters
TOP = 62  # where the question begins
HEAD = 46  # from there to the heatmap
WIDTH, NARROW = 828, 600  # at least, for the sentences below: of a picture alone, and of one beside another
SENTENCE = 7.7  # width of a character of a sentence, at most
RISING = 26  # width of a column whose label rises, where the columns would be too wide otherwise
SLOPE = 0.71  # height, and width, of a letter of a label that rises, as a share
ANSWER = 9.7  # width of a letter of an answer that has lines of its own


def wrapped(sentences, width):
    """Return sentences as lines that fit into ``width`` pixels; a number keeps its percent sign."""
    kept = "\N{NO-BREAK SPACE}%"
    columns = int(width / SENTENCE)
    lines = (wrap(words.replace(" %", kept), columns) for words in sentences)
    return [line.replace(kept, " %") for some in lines for line in some]


def describe_attention(
    question,
    answer,
    confidence,
    weights,
    step,
    gold=None,
    name=None,
    captions=CHARACTERS,
    column=None,
    unknown=(),
):
    """Return in words what the picture shows: a list of sentences. Args: as for ``render_attention``."""
    name = name or say("the_model")
    if not len(answer):
        return [say("answers_nothing", name=name, question=captions.join(question))]
    kind = captions.token
    words = [
        say("reads", name=name, question=captions.join(question), answer=quoted(captions.join(answer))),
        say("step_writes", step=step, token=visible(answer[step]), sure=percent(confidence[step])),
    ]
    if len(unknown):
        places = (say("unknown_place", token=visible(question[i]), kind=kind, place=i) for i in unknown)
        words[1:1] = [say("unknown_to_it", places=", ".join(places))]
    if weights is None:
        return [*words, _no_attention(captions)]
    row = weights[step]
    first, second = host.argsort(-row, kind="stable")[:2] if len(row) > 1 else (0, None)
    most = dict(token=visible(question[first]), kind=kind, place=first, weight=percent(row[first]))
    look = say("looks_most", **most)
    if second is not None and row[second] >= 0.005:
        then = dict(token=visible(question[second]), kind=kind, place=second, weight=percent(row[second]))
        look += say("looks_then", **then)
    words.append(look + ".")
    if gold is not None:
        source = host.flatnonzero(gold[step])
        if len(source):
            text = captions.join([question[i] for i in source])
            words.append(say("gold_from", kind=kind, text=text, share=percent(row[source].sum())))
        else:
            words.append(say("gold_from_nothing", why=captions.said("no_source")))
    if column is not None:
        lit = weights[:, column]
        most = int(lit.argmax())
        words.append(
            say(
                "column_most",
                column=visible(question[column]),
                kind=kind,
                place=column,
                step=most,
                token=visible(answer[most]),
                weight=percent(lit[most]),
            )
        )
    return words


def render_attention(
    question,
    answer,
    confidence,
    weights=None,
    step=0,
    gold=None,
    name=None,
    captions=CHARACTERS,
    column=None,
    width=WIDTH,
    unknown=(),
):
    """Return the explorer's picture as SVG.

    Args:
        question, answer: two lists of tokens, each a character or a word; a string is a list of characters.
        confidence: the probability of each token of the answer, (len(answer),).
        weights: (len(answer), len(question)) in reading order, or None for a model without attention.
        step: the place in the answer of the token to highlight. gold: a bool array of the shape of weights, or None.
        name: of the model, or None. captions: the words for tokens.
        column: the place in the question of the token whose column is lit; None lights none.
        width: of the picture in pixels, at least; it grows with the question. Where tokens of several letters would
            make it grow, their labels rise at an angle.
        unknown: the places in the question of the tokens that the model does not know.

    Pressing a row in a widget's box presses button ``step`` of the group "step"; pressing a token of the question,
    button column + 1 of the group "column", whose first button says "none".
    Raises: ValueError for shapes that do not fit.
    """
    confidence, weights, gold = _checked(question, answer, confidence, weights, step, gold, column)
    name = name or say("the_model")
    words = describe_attention(question, answer, confidence, weights, step, gold, name, captions, column, unknown)
    header = _header(answer, confidence, name, captions, width)
    grid = Grid.of(question, answer, width, 22 * (len(header) - 1))
    width = max(width, grid.edge(question) + 14, grid.right + (14 if column is None else 54))
    sentences = [
        line
        for sentence in (words[1:] if weights is not None else words[1:-1])
        for line in wrap(sentence, int((width - 28) / SENTENCE))
    ]
    below = grid.bottom + 26 + 20 * len(sentences)
    legend = 0 if weights is None else 26 if gold is None else 50
    legend += 24 if len(unknown) else 0
    drawing = Drawing(width, max(below + legend, grid.bottom + 60), " ".join(words))
    for k, line in enumerate(header):
        drawing.words(14, 28 + 22 * k, *line)
    _draw_question(drawing, grid, question, weights, step, captions, unknown)
    _draw_answer(drawing, grid, answer, confidence, step, captions)
    if weights is None:
        room = int((width - grid.left - 22) / SENTENCE)
        drawing.lines(grid.left + 8, grid.top + 60, _no_attention(captions), room)
    else:
        _draw_weights(drawing, grid, question, answer, weights)
        if gold is not None:
            _draw_gold(drawing, grid, gold)
        if column is not None:
            _draw_column(drawing, grid, weights, column)
        row = grid.y(step)
        drawing.rect(grid.left - 1, row - 1, grid.right - grid.left + 2, ROW + 2, stroke=BLUE, width=GAP)
        _draw_legend(drawing, below - 8, gold is not None)
    if len(unknown):
        draw_unknown_legend(drawing, below + legend - 32)
    for k, sentence in enumerate(sentences):
        drawing.text(14, grid.bottom + 26 + 20 * k, sentence)
    return str(drawing)


@dataclass(frozen=True)
class Grid:
    """Where the heatmap lies: a column for every token of the question, a row for every one of the answer."""

    left: float
    head: float  # where the question begins
    column: float  # width
    columns: int
    rows: int
    rising: bool  # whether the tokens of the question stand at an angle

    @classmethod
    def of(cls, question, answer, width, lower=0, left=LEFT):
        """Return the grid with columns that hold the longest token, or with labels that rise if that takes too much.

        Args: width, of the picture; lower, the pixels that everything lies lower than under a header of one line; left,
        where the columns begin, if the answer's tokens are characters.
        """
        longest = max(breadth(clipped(token)) for token in question)
        column = CELL + LETTER * (longest - 1)
        left += LETTER * (max(breadth(clipped(token)) for token in answer) - 1)
        head = TOP + lower
        rising = column > RISING and left + column * len(question) > width - 14
        if rising:
            column, head = RISING, head + SLOPE * LETTER * longest - 14
        return cls(left, head, column, len(question), len(answer), rising)

    def edge(self, question):
        """The right end of the labels."""
        if not self.rising:
            return self.right
        ends = (self.x(i + 0.5) + SLOPE * LETTER * breadth(clipped(token)) for i, token in enumerate(question))
        return max(self.right, *ends)

    @property
    def top(self):
        """The upper edge of the heatmap."""
        return self.head + HEAD

    def x(self, i):
        """The left edge of column i."""
        return self.left + self.column * i

    def y(self, k):
        """The upper edge of row k."""
        return self.top + ROW * k

    @property
    def right(self):
        """The right edge."""
        return self.x(self.columns)

    @property
    def bottom(self):
        """The lower edge."""
        return self.y(self.rows)


def _header(answer, confidence, name, captions, width):
    """Return the lines above the picture, each a list of pieces: an answer that is too long gets lines of its own."""
    written = captions.join([visible(token) for token in answer])
    sure = _least_sure(answer, confidence, captions)
    writes = say("writes", name=name)
    if 7 * breadth(f"{writes}     {sure}") + 12 * breadth(written) <= width - 28:
        return [
            [
                (f"{writes}  ", dict(color=MUTED)),
                (written, dict(size=20, bold=True, mono=True)),
                (f"   {sure}", dict(color=MUTED)),
            ]
        ]
    lines = wrap(written, int((width - 28) / ANSWER))
    style = dict(size=16, bold=True, mono=True)
    return [[(f"{writes}   ({sure})", dict(color=MUTED))], *([(line, style)] for line in lines)]


def _no_attention(captions):
    return say("no_attention", kind=captions.token)


def _checked(question, answer, confidence, weights, step, gold, column):
    """Return confidence, weights and gold as arrays of the host."""
    confidence = host.asarray(to_cpu(confidence), float)
    if len(question) == 0 or len(answer) == 0 or confidence.shape != (len(answer),):
        raise ValueError(
            f"render_attention: question and answer must not be empty, and confidence must be ({len(answer)},), "
            f"got {confidence.shape}"
        )
    if not 0 <= step < len(answer):
        raise ValueError(f"render_attention: step must be 0 to {len(answer) - 1}, got {step}")
    if column is not None and weights is None:
        raise ValueError(f"render_attention: column must be None without weights, got {column}")
    if column is not None and not 0 <= column < len(question):
        raise ValueError(f"render_attention: column must be 0 to {len(question) - 1}, or None, got {column}")
    shape = len(answer), len(question)
    for what, array in (("weights", weights), ("gold", gold)):
        if array is not None and host.shape(to_cpu(array)) != shape:
            raise ValueError(f"render_attention: {what} must be {shape}, got {host.shape(to_cpu(array))}")
    return (
        confidence,
        None if weights is None else host.asarray(to_cpu(weights), float),
        None if gold is None else host.asarray(to_cpu(gold), bool),
    )


def _least_sure(answer, confidence, captions):
    k = int(confidence.argmin())
    return say("least_sure", kind=captions.token, place=k, token=visible(answer[k]), sure=percent(confidence[k]))


def _draw_question(drawing, grid, question, weights, step, captions, unknown):
    """Write the question, painted with the weights of the step, the larger ones in numbers below."""
    row = host.zeros(len(question)) if weights is None else weights[step]
    top = grid.head
    drawing.text(14, top + 16, say("question" if weights is None else "question_and_weights"))
    drawing.text(14, top + 34, "" if weights is None else say("of_step", step=step), size=11, color=MUTED)
    for i, (token, w) in enumerate(zip(question, row, strict=True)):
        x = grid.x(i)
        place = say("place", kind=captions.token, place=i, token=visible(token))
        title = None if weights is None else say("place_weight", place=place, weight=percent(w), step=step)
        middle = x + grid.column / 2
        if token in captions.marks:
            style = dict(size=11, color=MUTED if grid.rising or w < 0.2 else ink_on(w))
        else:
            style = dict(size=15, color=INK if grid.rising else ink_on(w), italic=i in unknown)
        with drawing.pressed(f"column-{i + 1}"):
            drawing.rect(x, top, grid.column, 24, fill=shade(w), stroke=LINE, title=title)
            if grid.rising:
                drawing.text(middle + 3, top - 5, clipped(token), mono=True, rising=True, **style)
            else:
                drawing.text(middle, top + 17, clipped(token), anchor="middle", mono=True, **style)
            if i in unknown:
                draw_unknown(drawing, x, top, grid.column)
            if w >= 0.005:
                drawing.text(middle, top + 37, f"{100 * w:.0f}", size=11, anchor="middle")


def draw_unknown(drawing, x, y, wide):
    """Frame a box of the question whose token is unknown."""
    drawing.rect(x + 2, y + 2, wide - 4, 20, stroke="#ffffff", width=3)  # the dashes stand out on dark weights, too
    drawing.rect(x + 2, y + 2, wide - 4, 20, stroke=ORANGE, width=2, dash="2 2")


def _draw_answer(drawing, grid, answer, confidence, step, captions):
    """Write the answer downward, each token with its confidence as a bar and a number."""
    wider = grid.left - LEFT  # than for a character
    for k, (token, p) in enumerate(zip(answer, confidence, strict=True)):
        y, highlighted = grid.y(k), k == step
        with drawing.pressed(f"step-{k}"):
            drawing.rect(10, y + 1, grid.left - 14, ROW - 2, fill="#e6f1f8" if highlighted else "#ffffff")
            if highlighted:
                drawing.text(14, y + 16, "▶", size=12, color=BLUE)
            drawing.text(46, y + 16, k, size=11, anchor="end", color=MUTED)
            quiet = dict(size=11, color=MUTED) if token in captions.marks else dict(size=15)
            middle = 62 + wider / 2
            drawing.text(middle, y + 17, clipped(token), anchor="middle", bold=highlighted, mono=True, **quiet)
            drawing.rect(78 + wider, y + 6, 48, 10, fill="#ffffff", stroke=LINE)
            drawing.rect(78 + wider, y + 6, 48 * round(p, 2), 10, fill=INK)
            drawing.text(grid.left - 8, y + 16, percent(p), size=11, anchor="end", bold=p < 0.5)


def _draw_weights(drawing, grid, question, answer, weights):
    for i in range(len(question) + 1):
        drawing.line(grid.x(i), grid.top, grid.x(i), grid.bottom, "#dcdcdc")
    for k in range(len(answer) + 1):
        drawing.line(grid.left, grid.y(k), grid.right, grid.y(k), "#dcdcdc")
    for k, row in enumerate(weights):
        with drawing.pressed(f"step-{k}"):
            drawing.rect(grid.left, grid.y(k), grid.right - grid.left, ROW, fill="transparent")
            for i in host.flatnonzero(row >= 0.005):  # the rest stays white
                cell = dict(token=visible(answer[k]), weight=percent(row[i]), source=visible(question[i]))
                title = say("cell", step=k, **cell)
                x, y, w, h = grid.x(i) + GAP, grid.y(k) + GAP, grid.column - 2 * GAP, ROW - 2 * GAP
                drawing.rect(x, y, w, h, fill=shade(row[i]), title=title)


def _draw_column(drawing, grid, weights, column):
    """Frame a column of the heatmap, and write its weights at the right."""
    x = grid.x(column)
    drawing.rect(x - 1, grid.head - 1, grid.column + 2, grid.bottom - grid.head + 2, stroke=INK, width=2)
    drawing.text(grid.right + 44, grid.top - 8, say("in_column", place=column), size=11, anchor="end", color=MUTED)
    for k, w in enumerate(weights[:, column]):
        drawing.text(grid.right + 44, grid.y(k) + 15, percent(w), size=11, anchor="end", bold=w >= 0.5)


def _draw_gold(drawing, grid, gold):
    """Put a dashed frame around the right places; rows with the same places share one."""
    k = 0
    while k < len(gold):
        end = k + 1
        while end < len(gold) and (gold[end] == gold[k]).all():
            end += 1
        for first, last in _runs(gold[k]):
            box = grid.x(first) + 1.2, grid.y(k) + 1.2, grid.column * (last - first) - 2.4, ROW * (end - k) - 2.4
            drawing.rect(*box, stroke=ORANGE, width=2, dash="6 3")
        k = end


def _runs(row):
    """Yield (first, end) of every unbroken run of True."""
    edges = host.flatnonzero(host.diff(host.concatenate(([0], row.astype(int), [0]))))
    return zip(edges[::2], edges[1::2], strict=True)


def _draw_legend(drawing, y, gold):
    draw_shades(drawing, 14, y, (0, 0.25, 0.5, 0.75, 1))
    drawing.rect(304, y + 1, 30, 15, stroke=BLUE, width=GAP)
    drawing.text(342, y + 13, say("legend_step"), size=11, color=MUTED)
    if gold:
        drawing.rect(62, y + 25, 30, 15, stroke=ORANGE, width=2, dash="6 3")
        drawing.text(100, y + 37, say("legend_gold"), size=11, color=MUTED)


def draw_unknown_legend(drawing, y):
    """Write what ``draw_unknown`` marks."""
    draw_unknown(drawing, 62, y - 2, 30)
    drawing.text(100, y + 12, say("legend_unknown"), size=11, color=MUTED)
