"""The explorer's second picture: why a step looks where it looks. Scores, softmax, context, in numbers."""

from dataclasses import dataclass

from common.functions import softmax
from common.np import host, to_cpu
from common.svg import BLUE, INK, LINE, MUTED, ORANGE, PALE, Drawing, number, percent, visible
from common.widgets.base import CHARACTERS
from common.widgets.phrases import say

TERMS, TOKENS = 8, 6  # shown one by one: the largest products, the largest weights
ROW, WIDTH = 24, 860


@dataclass(frozen=True)
class Reasons:
    """What one step of a model with attention computes its context from.

    terms: (T, K), the score of hidden state t is terms[t].sum(). hs: (T, H), the hidden states in reading order.
    formula: a term in letters.
    """

    terms: object
    hs: object
    formula: str = "h[j]·hs[t][j]"

    def compute(self):
        """Return (terms, scores (T,), weights (T,), context (H,)) as arrays of the host."""
        terms, hs = (host.asarray(to_cpu(v), float) for v in (self.terms, self.hs))
        if terms.ndim != 2 or hs.ndim != 2 or len(terms) != len(hs):
            raise ValueError(f"Reasons: terms must be (T, K) and hs (T, H), got {terms.shape} and {hs.shape}")
        scores = terms.sum(axis=1)
        weights = to_cpu(softmax(scores))
        return terms, scores, weights, weights @ hs


def describe_reasons(question, reasons, step, column, captions=CHARACTERS):
    """Return in words what the picture shows: a list of sentences. Args: as for ``render_reasons``."""
    terms, scores, weights, context = reasons.compute()
    question, t = _padded(question, len(scores)), column
    top = _largest(terms[t])
    largest = int(weights.argmax())
    place = dict(token=visible(question[t]), kind=captions.token, place=column)
    sums = dict(count=terms.shape[1], score=number(scores[t]), top=len(top), sum=number(terms[t, top].sum()))
    most = dict(token=visible(question[largest]), score=number(scores[largest]), weight=percent(weights[largest]))
    return [
        say("why", step=step, **place, weight=percent(weights[t])),
        say("why_score", **sums),
        say("why_softmax", **most),
        say("why_context", count=len(context)),
    ]


def render_reasons(question, reasons, step, column, captions=CHARACTERS):
    """Return the picture as SVG: a score as a sum of products, the softmax of all scores, the context.

    Args: question, a list of tokens, fewer than the hidden states if those of padding come last; reasons, of the lit
    step; step and column, both from 0: which score is taken apart.
    Raises: ValueError for shapes that do not fit.
    """
    terms, scores, weights, context = reasons.compute()
    if not 0 <= column < len(question) <= len(scores):
        raise ValueError(
            f"render_reasons: {len(question)} tokens do not fit {len(scores)} scores and column {column}, from 0"
        )
    words = describe_reasons(question, reasons, step, column, captions)
    question = _padded(question, len(scores))
    drawing = Drawing(WIDTH, 96 + ROW * (TERMS + 3), " ".join(words))
    drawing.text(14, 24, words[0], size=15, bold=True)
    _draw_terms(drawing, 14, terms[column], reasons.formula, say("part_score", token=visible(question[column])))
    _draw_softmax(drawing, 308, question, scores, weights, column)
    _draw_context(drawing, 596, question, host.asarray(to_cpu(reasons.hs), float), weights, context)
    return str(drawing)


def _padded(question, T):
    """Return the tokens of T hidden states: those of the question, then padding."""
    return [*question, *[say("padding")] * (T - len(question))]


def _largest(values, count=TERMS):
    """Return the places of the values that are farthest from 0, the farthest first."""
    return host.argsort(-abs(values), kind="stable")[:count]


def _bars(drawing, x, rows, wide):
    """Draw rows (label, value) as bars from a line in the middle: to the right if positive. Return the y below."""
    middle, reach = x + wide / 2, max(*(abs(value) for _, value in rows), 1e-9)
    for k, (label, value) in enumerate(rows):
        y = 74 + ROW * k
        length = wide / 2 * abs(value) / reach
        color = BLUE if value >= 0 else ORANGE
        drawing.text(x - 8, y + 15, label, size=12, anchor="end", mono=True)
        drawing.rect(middle if value >= 0 else middle - length, y + 3, length, ROW - 8, fill=color)
        drawing.text(x + wide + 52, y + 15, number(value), size=12, anchor="end", mono=True)
    bottom = 74 + ROW * len(rows)
    drawing.line(middle, 72, middle, bottom, LINE)
    return bottom


def _draw_terms(drawing, x, terms, formula, title):
    drawing.text(x, 50, title, bold=True)
    drawing.text(x, 66, say("part_score_how", formula=formula), size=11, color=MUTED)
    top = _largest(terms)
    y = _bars(drawing, x + 86, [(f"j = {j}", terms[j]) for j in top], 110)
    if len(terms) > len(top):
        drawing.text(x, y + 15, say("the_others", count=len(terms) - len(top)), size=11, color=MUTED)
        drawing.text(x + 248, y + 15, number(terms.sum() - terms[top].sum()), size=12, anchor="end", mono=True)
        y += ROW
    drawing.line(x, y + 2, x + 248, y + 2, INK)
    drawing.text(x, y + 20, say("score"), size=12, bold=True)
    drawing.text(x + 248, y + 20, number(terms.sum()), size=12, anchor="end", mono=True, bold=True)


def _draw_softmax(drawing, x, question, scores, weights, column):
    drawing.text(x, 50, say("part_softmax"), bold=True)
    drawing.text(x, 66, say("part_softmax_how"), size=11, color=MUTED)
    top = list(host.argsort(-weights, kind="stable")[:TOKENS])
    if column not in top:
        top[-1] = column
    drawing.text(x + 92, 88, say("score"), size=11, anchor="end", color=MUTED)
    drawing.text(x + 104, 88, say("weight"), size=11, color=MUTED)
    for k, t in enumerate(top):
        y, strong = 94 + ROW * k, t == column
        drawing.text(x, y + 15, f"{t}", size=11, color=MUTED)
        drawing.text(x + 22, y + 15, visible(question[t]), size=14, mono=True, bold=strong)
        drawing.text(x + 92, y + 15, number(scores[t]), size=12, anchor="end", mono=True, bold=strong)
        drawing.rect(x + 104, y + 3, 100, ROW - 8, fill=PALE)
        drawing.rect(x + 104, y + 3, 100 * weights[t], ROW - 8, fill=BLUE)
        drawing.text(x + 256, y + 15, number(weights[t], 3), size=12, anchor="end", mono=True, bold=strong)
    if len(scores) > len(top):
        y = 94 + ROW * len(top)
        drawing.text(x, y + 15, say("the_others", count=len(scores) - len(top)), size=11, color=MUTED)
        drawing.text(x + 256, y + 15, number(1 - weights[top].sum(), 3), size=12, anchor="end", mono=True)


def _draw_context(drawing, x, question, hs, weights, context):
    drawing.text(x, 50, say("part_context"), bold=True)
    first = int(weights.argmax())
    said = say("part_context_how", weight=number(weights[first]), token=visible(question[first]))
    drawing.text(x, 66, said, size=11, color=MUTED)
    y = _bars(drawing, x + 64, [(f"c[{j}]", context[j]) for j in _largest(context)], 110)
    drawing.text(x, y + 20, say("largest_numbers", count=len(context)), size=11, color=MUTED)
    rest = abs(context - weights[first] * hs[first]).max()
    drawing.text(x, y + 38, say("others_change", number=number(rest)), size=11, color=MUTED)
