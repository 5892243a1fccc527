"""Attention explorer: what a model answers to any text, how sure it is, and where it looked."""

import unicodedata

from common.np import host, to_cpu
from common.svg import BLUE, INK, LINE, MUTED, ORANGE, Drawing, ink_on, percent, shade, visible
from common.widgets.base import Picture, Widget, controls, say

CELL, ROW = 22, 22  # width of a column, height of a row
LEFT = 176  # where the columns begin
TOP = 62  # where the painted question begins
HEAD = 46  # from there to the heatmap
NO_ATTENTION = (
    "This model has no attention: the whole question went through one vector of fixed size, "
    "so there are no weights to show. The bars say how sure it is of each character."
)


def describe_attention(question, answer, confidence, weights, step, gold=None, name="The model"):
    """Return in words what the picture shows: a list of sentences. Args: as for ``render_attention``."""
    if not answer:
        return [f"{name} answers “{question}” with nothing."]
    k = step - 1
    words = [
        f"{name} reads “{question}” and writes “{answer}”.",
        f"Step {step} of {len(answer)} writes “{visible(answer[k])}”, {percent(confidence[k])} sure.",
    ]
    if weights is None:
        return [*words, NO_ATTENTION]
    row = weights[k]
    first, second = host.argsort(-row, kind="stable")[:2] if len(row) > 1 else (0, None)
    look = f"It looks most at “{visible(question[first])}” (character {first + 1}, {percent(row[first])})"
    if second is not None and row[second] >= 0.005:
        look += f", then at “{visible(question[second])}” (character {second + 1}, {percent(row[second])})"
    words.append(look + ".")
    if gold is not None:
        source = host.flatnonzero(gold[k])
        if len(source):
            text = "".join(question[i] for i in source)
            share = percent(row[source].sum())
            words.append(f"Gold alignment: the right character comes from “{text}”; {share} of the weight lies there.")
        else:
            words.append("Gold alignment: this place of the answer is always a hyphen, whatever the question.")
    return words


def render_attention(question, answer, confidence, weights=None, step=1, gold=None, name="The model", columns=29):
    """Return the explorer's picture as SVG.

    Args:
        question, answer: two strings. confidence: the probability of each character of the answer, (len(answer),).
        weights: (len(answer), len(question)) in reading order, or None for a model without attention.
        step: the character of the answer to light, from 1. gold: a bool array of the shape of weights, or None.
        name: of the model. columns: room for so many characters of the question at least.

    Raises: ValueError for shapes that do not fit.
    """
    confidence, weights, gold = _checked(question, answer, confidence, weights, step, gold)
    words = describe_attention(question, answer, confidence, weights, step, gold, name)
    wide = LEFT + CELL * max(columns, len(question)) + 14
    bottom = TOP + HEAD + ROW * len(answer)
    drawing = Drawing(wide, bottom + 130, " ".join(words))
    drawing.words(
        14,
        28,
        (f"{name} writes  ", dict(color=MUTED)),
        (answer.replace(" ", "␣"), dict(size=20, bold=True, mono=True)),
        (f"   {_sureness(answer, confidence)}", dict(color=MUTED)),
    )
    _draw_question(drawing, question, weights, step)
    _draw_answer(drawing, answer, confidence, step)
    if weights is None:
        drawing.lines(LEFT + 8, TOP + HEAD + 60, NO_ATTENTION, 70)
    else:
        _draw_weights(drawing, question, answer, weights)
        if gold is not None:
            _draw_gold(drawing, gold)
        drawing.rect(
            LEFT - 1, TOP + HEAD + ROW * (step - 1) - 1, CELL * len(question) + 2, ROW + 2, stroke=BLUE, width=3
        )
        _draw_legend(drawing, bottom + 104, gold is not None)
    y = bottom + 26
    for sentence in words[1:] if weights is not None else words[1:2]:
        drawing.text(14, y, sentence)
        y += 20
    return str(drawing)


def _checked(question, answer, confidence, weights, step, gold):
    confidence = host.asarray(to_cpu(confidence), float)
    if len(question) == 0 or len(answer) == 0 or confidence.shape != (len(answer),):
        raise ValueError(
            f"render_attention: question and answer must not be empty, and confidence must be ({len(answer)},), "
            f"got {confidence.shape}"
        )
    if not 1 <= step <= len(answer):
        raise ValueError(f"render_attention: step must be 1 to {len(answer)}, got {step}")
    shape = len(answer), len(question)
    for what, array in (("weights", weights), ("gold", gold)):
        if array is not None and host.shape(to_cpu(array)) != shape:
            raise ValueError(f"render_attention: {what} must be {shape}, got {host.shape(to_cpu(array))}")
    return (
        confidence,
        None if weights is None else host.asarray(to_cpu(weights), float),
        None if gold is None else host.asarray(to_cpu(gold), bool),
    )


def _sureness(answer, confidence):
    k = int(confidence.argmin())
    return f"least sure of character {k + 1}, “{visible(answer[k])}”: {percent(confidence[k])}"


def _draw_question(drawing, question, weights, step):
    """Write the question, painted with the weights of the step, the larger ones in numbers below."""
    row = host.zeros(len(question)) if weights is None else weights[step - 1]
    drawing.text(14, TOP + 16, "question" if weights is None else "question, and weights")
    drawing.text(14, TOP + 34, "" if weights is None else f"of step {step} in percent", size=11, color=MUTED)
    for i, (char, w) in enumerate(zip(question, row, strict=True)):
        x = LEFT + CELL * i
        title = None if weights is None else f"character {i + 1}, “{visible(char)}”: weight {percent(w)} in step {step}"
        drawing.rect(x, TOP, CELL, 24, fill=shade(w), stroke=LINE, title=title)
        color = MUTED if char == " " and w <= 0.6 else ink_on(w)
        drawing.text(x + CELL / 2, TOP + 17, visible(char), size=15, anchor="middle", color=color, mono=True)
        if w >= 0.005:
            drawing.text(x + CELL / 2, TOP + 37, f"{100 * w:.0f}", size=10, anchor="middle")


def _draw_answer(drawing, answer, confidence, step):
    """Write the answer downwards, each character with its confidence as a bar and a number."""
    for k, (char, p) in enumerate(zip(answer, confidence, strict=True)):
        y, on = TOP + HEAD + ROW * k, k == step - 1
        if on:
            drawing.rect(10, y + 1, LEFT - 14, ROW - 2, fill="#e6f1f8")
            drawing.text(14, y + 16, "▶", size=12, color=BLUE)
        drawing.text(46, y + 16, k + 1, size=11, anchor="end", color=MUTED)
        drawing.text(62, y + 17, visible(char), size=15, anchor="middle", bold=on, mono=True)
        drawing.rect(78, y + 6, 48, 10, fill="#ffffff", stroke=LINE)
        drawing.rect(78, y + 6, 48 * round(p, 2), 10, fill=INK)
        drawing.text(LEFT - 8, y + 16, percent(p), size=11, anchor="end", bold=p < 0.5)


def _draw_weights(drawing, question, answer, weights):
    top = TOP + HEAD
    for k, i in zip(*host.nonzero(weights >= 0.005), strict=True):  # the rest stays white
        w = weights[k, i]
        title = f"step {k + 1} writes “{visible(answer[k])}”: weight {percent(w)} on “{visible(question[i])}”"
        drawing.rect(LEFT + CELL * i, top + ROW * k, CELL, ROW, fill=shade(w), title=title)
    right, bottom = LEFT + CELL * len(question), top + ROW * len(answer)
    for i in range(len(question) + 1):
        drawing.line(LEFT + CELL * i, top, LEFT + CELL * i, bottom, "#dcdcdc")
    for k in range(len(answer) + 1):
        drawing.line(LEFT, top + ROW * k, right, top + ROW * k, "#dcdcdc")


def _draw_gold(drawing, gold):
    """Put a dashed frame round the right places; rows with the same places share one."""
    k = 0
    while k < len(gold):
        end = k + 1
        while end < len(gold) and (gold[end] == gold[k]).all():
            end += 1
        for first, last in _runs(gold[k]):
            box = LEFT + CELL * first + 2, TOP + HEAD + ROW * k + 2, CELL * (last - first) - 4, ROW * (end - k) - 4
            drawing.rect(*box, stroke="#ffffff", width=4)
            drawing.rect(*box, stroke=ORANGE, width=2.5, dash="6 3")
        k = end


def _runs(row):
    """Yield (first, end) of every unbroken run of True."""
    edges = host.flatnonzero(host.diff(host.concatenate(([0], row.astype(int), [0]))))
    return zip(edges[::2], edges[1::2], strict=True)


def _draw_legend(drawing, y, gold):
    drawing.text(14, y + 12, "weight", size=11, color=MUTED)
    for j, w in enumerate((0, 0.25, 0.5, 0.75, 1)):
        drawing.rect(62 + 44 * j, y, 44, 17, fill=shade(w), stroke=LINE)
        drawing.text(84 + 44 * j, y + 13, percent(w), size=11, anchor="middle", color=ink_on(w))
    drawing.rect(304, y + 1, 30, 15, stroke=BLUE, width=3)
    drawing.text(342, y + 13, "the step that is lit", size=11, color=MUTED)
    if gold:
        drawing.rect(478, y + 1, 30, 15, stroke=ORANGE, width=2.5, dash="6 3")
        drawing.text(516, y + 13, "gold alignment: where the right answer comes from", size=11, color=MUTED)


def complaint(text, alphabet, max_length):
    """Return a sentence on why a model cannot read the text, or None if it can.

    Args: alphabet, the characters the model knows; max_length, the most characters it reads.
    """
    if not text.strip():
        return "There is nothing to read yet. Type a date, such as september 27, 1994."
    for position, char in enumerate(text, start=1):
        if char not in alphabet:
            name = unicodedata.name(char, "").lower() or f"U+{ord(char):04X}"
            shown = f"“{char}” ({name})" if char.isprintable() else f"A control character ({name})"
            known = "".join(sorted(set(alphabet) - {" "}))
            return f"{shown}, character {position}, is unknown to the model. Known are the space and “{known}”."
    if len(text) > max_length:
        return f"This is too long: {len(text)} characters. The model reads at most {max_length}."
    return None


class AttentionExplorer(Widget):
    """Type a text, choose a model, walk through the answer, and see where the model looked.

    Args:
        models: a dict name -> model. decode: called as decode(model, text); returns (answer, the probability of each of
            its characters, attention weights (len(answer), len(text)) in reading order or None).
        alphabet: the characters that the models know. max_length: the most characters they read.
        text, model, step, gold: the first state; model is a name, by default the last one; steps count from 1.
        gold_mask: called as gold_mask(text, width); returns bool (len(answer), width), True where a character of the
            answer comes from, or raises ValueError for a text without one. None: nothing to lay over.
        truth: called as truth(text); returns the right answer, or raises ValueError if there is none. May be None.
        note: a sentence that always stands below the picture.

    Controls: ``text``, ``model``, ``step``, ``gold``, ``message`` (HTML), ``picture`` (HTML). The last good answer is
    in ``question``, ``answer``, ``confidence`` and ``weights`` (None without attention); ``complaint`` is None, or says
    why the text that stands in the box cannot be read.

        explorer.text.value = "2/10/93"
        explorer.step.value = 3
        explorer.answer, explorer.weights[explorer.step.value - 1]
    """

    about = "type a date and see what the model answers and where it looks"
    remember = 64  # answers that need not be computed again

    def __init__(
        self,
        models,
        decode,
        *,
        alphabet,
        max_length=29,
        text="september 27, 1994",
        model=None,
        step=1,
        gold=False,
        gold_mask=None,
        truth=None,
        note="",
    ):
        if not models:
            raise ValueError("AttentionExplorer needs at least one model: models={'a name': model}")
        self.models, self.decode = dict(models), decode
        self.alphabet, self.max_length = frozenset(alphabet), max_length
        self.gold_mask, self.truth = gold_mask, truth
        self._answers = {}
        model = model or list(self.models)[-1]
        if model not in self.models:
            raise ValueError(f"AttentionExplorer has no model {model!r}; it has {', '.join(self.models)}")
        self.complaint = complaint(text.rstrip(" "), self.alphabet, max_length)
        if self.complaint:
            raise ValueError(f"AttentionExplorer cannot start with {text!r}. {self.complaint}")
        steps = len(self._read(model, text)[1])
        self._start = dict(text=text, model=model, step=step, gold=gold)
        self.static()  # says what is wrong before anything is shown
        w = controls()
        label = {"description_width": "initial"}
        self.text = w.Text(
            value=text, description="date", style=label, placeholder="september 27, 1994", layout={"width": "340px"}
        )
        self.model = w.Dropdown(
            options=list(self.models), value=model, description="model", style=label, layout={"width": "260px"}
        )
        self.step = w.IntSlider(
            value=step, min=1, max=steps, description="step", style=label, layout={"width": "340px"}
        )
        self.gold = w.Checkbox(
            value=gold,
            description="show the gold alignment",
            indent=False,
            disabled=gold_mask is None,
            layout={"width": "260px"},
        )
        self.message, self.picture = w.HTML(), w.HTML()
        rows = [
            w.HBox(row, layout={"flex_flow": "row wrap"}) for row in ([self.text, self.model], [self.step, self.gold])
        ]
        parts = [*rows, self.message, self.picture]
        if note:
            parts.append(w.HTML(say(note)))
        self.box = w.VBox(parts)
        for control in (self.text, self.model, self.step, self.gold):
            control.observe(self._draw, names="value")
        self._draw()

    def _read(self, model, text):
        """Return (question, answer, confidence, weights), from memory if the model was asked before."""
        question = text.rstrip(" ")
        key = model, question
        if key not in self._answers:
            answer, confidence, weights = self.decode(self.models[model], question)
            if len(self._answers) >= self.remember:
                del self._answers[next(iter(self._answers))]
            weights = None if weights is None else to_cpu(weights)
            self._answers[key] = question, answer, to_cpu(confidence), weights
        return self._answers[key]

    def _gold(self, question, answer, weights):
        """Return (mask or None, why there is none or '')."""
        if weights is None:
            return None, "without attention there is nothing to lay the gold alignment over"
        try:
            mask = to_cpu(self.gold_mask(question, len(question)))
        except ValueError:
            return None, "there is no gold alignment to lay over"
        if mask.shape != (len(answer), len(question)):
            return None, f"the gold alignment is {mask.shape}, which fits no answer of {len(answer)} characters"
        return mask, ""

    def _verdict(self, question, answer):
        """Return a sentence on whether the answer is right."""
        if self.truth is None:
            return f"The answer is {answer}"
        try:
            right = self.truth(question)
        except ValueError:
            return f"“{question}” is no date in a form that the data know, so {answer} is neither right nor wrong"
        return f"{answer} is right" if answer.rstrip() == right else f"{answer} is wrong: it should be {right}"

    def _draw(self, change=None):
        text, model = self.text.value, self.model.value
        self.complaint = complaint(text.rstrip(" "), self.alphabet, self.max_length)
        if self.complaint:
            kept = f" The picture below still shows “{self.question}”."
            self.message.value = say(self.complaint + kept, kind="alert")
            if change is not None and change["owner"] is self.text:
                return
            text = self.question  # the other controls go on working on the last good text
        self.question, self.answer, self.confidence, self.weights = self._read(model, text)
        if self.step.max != len(self.answer):
            self.step.max = len(self.answer)
        svg, _, news = self._picture(model, text, self.step.value, self.gold.value)
        self.picture.value = svg
        if not self.complaint:
            self.message.value = say(news)

    def _picture(self, model, text, step, gold):
        """Return (SVG, the same in words, news for the message line)."""
        question, answer, confidence, weights = self._read(model, text)
        mask, why_not = None, ""
        if gold and self.gold_mask is not None:
            mask, why_not = self._gold(question, answer, weights)
        name = f"Model “{model}”"
        svg = render_attention(question, answer, confidence, weights, step, mask, name, self.max_length)
        words = " ".join(describe_attention(question, answer, confidence, weights, step, mask, name))
        news = self._verdict(question, answer) + (f"; {why_not}." if why_not else ".")
        return svg, words, news

    def static(self, text=None, model=None, step=None, gold=None):
        """Return the Picture of the first state, or of another text, model, step or gold.

        Raises: ValueError for a text that the models cannot read.
        """
        given = dict(text=text, model=model, step=step, gold=gold)
        state = self._start | {name: value for name, value in given.items() if value is not None}
        why = complaint(state["text"].rstrip(" "), self.alphabet, self.max_length)
        if why:
            raise ValueError(f"there is no picture of {state['text']!r}. {why}")
        svg, words, news = self._picture(**state)
        return Picture(svg, f"{words} {news}")
