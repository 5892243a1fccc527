"""Attention explorer: what a model answers to any text, how sure it is, and where it looked."""

import unicodedata

from common.np import to_cpu
from common.svg import visible
from common.widgets.attention import NARROW, WIDTH, describe_attention, render_attention
from common.widgets.base import (
    CHARACTERS,
    OLD,
    Picture,
    Widget,
    box_of,
    controls,
    live_region,
    message,
    picture_frame,
)
from common.widgets.reasons import describe_reasons, render_reasons

NONE = "none"  # in the menu of the model to show beside, and of the columns
PACE = 800  # milliseconds of each step while the steps play


def characters(text):
    """Return the characters of a text as a list of tokens, without spaces at its end.

    Spaces of every kind, such as the no-break space of a copied text, become the ordinary one.
    """
    return list("".join(" " if unicodedata.category(c) == "Zs" else c for c in text).rstrip(" "))


def complaint(tokens, vocabulary, max_length, captions=CHARACTERS):
    """Return a sentence on why a model cannot read the tokens, or None if it can.

    Args: vocabulary, the tokens the model knows; max_length, the most tokens it reads.
    """
    if not any(token.strip() for token in tokens):
        return captions.nothing_to_read
    if len(tokens) > max_length:
        return f"This is too long: {len(tokens)} {captions.token}s. The model reads at most {max_length}."
    for position, token in enumerate(tokens):
        if token not in vocabulary:
            return f"{_named(token)}, {captions.token} {position}, is unknown to the model.{_known(vocabulary)}"
    return None


def _named(token):
    """Return a token in quotes, a single character also with its name."""
    if len(token) != 1:
        return f"“{token}”"
    name = unicodedata.name(token, "").lower() or f"U+{ord(token):04X}"
    return f"“{token}” ({name})" if token.isprintable() else f"A control character ({name})"


def _known(vocabulary):
    """Return a sentence that lists the vocabulary, if its tokens are characters."""
    if any(len(token) != 1 for token in vocabulary):
        return ""
    space = "the space and " if " " in vocabulary else ""
    return f" It knows {space}“{''.join(sorted(set(vocabulary) - {' '}))}”."


class AttentionExplorer(Widget):
    """Type a text, choose a model, walk through the answer, and see where the model looked.

    What is typed is split into tokens, a list of strings: characters, words, whatever the models read.

    Args:
        models: a dict name -> model, or a mapping that loads a model when it is first asked for.
        decode: called as decode(model, tokens); returns (the answer's tokens, the probability of each of them,
            attention weights (len(answer), len(tokens)) in reading order or None).
        text: the text in the box at first.
        vocabulary: the tokens that the models know. max_length: the most tokens they read.
        tokenize: called as tokenize(text), returns the tokens; by default ``characters``.
        captions: the words for texts and tokens, see ``Captions``.
        model, step, gold, beside, column, why: the rest of the first state. model is a name, by default the last one;
            beside, the name of a second model, whose heatmap of the same text is shown beside the first, or None;
            step, the place in the answer of the token that is lit; column, that in the question of the token whose
            column is lit, or None; why, show how the step that is lit comes to its weights and its context.
        gold_mask: called as gold_mask(tokens); returns bool (len(answer), len(tokens)), True where a token of the
            answer comes from, or raises ValueError for a text without one. None: there is none to show.
        truth: called as truth(tokens); returns the right answer as text, or raises ValueError if it has none. May be
            None.
        remark: called as remark(tokens); returns what else is to be said of a text that has a right answer, or "".
            May be None.
        explain: called as explain(model, tokens, step); returns the ``Reasons`` of that step, or raises ValueError that
            says why there are none. None: there is nothing to explain.
        note: a sentence that is always shown below the picture.

    Controls: ``text``, ``model``, ``beside``, ``step``, ``play`` (walks through the steps), ``row`` (a button for each
    token of the answer: the step that writes it), ``column`` (a button for each token of the question), ``gold``,
    ``why``, ``message`` (HTML), ``picture``, ``second`` (the other model's), ``reasons`` (HTML). A row or a token in a
    picture can be pressed, too. The last good answer is in ``question`` and ``answer`` (text), ``question_tokens`` and
    ``answer_tokens`` (lists), ``confidence`` and ``weights`` (None without attention); ``complaint`` is None, or says
    why the text in the box cannot be read.

        explorer.text.value = "abc"
        explorer.step.value = 3
        explorer.answer, explorer.weights[explorer.step.value]
        explorer.beside.value = "another model"

    Raises: ValueError for no models, a model that is not there, a first text that the models cannot read, a step that
    the answer does not have.
    """

    remember = 64  # answers that need not be computed again

    def __init__(
        self,
        models,
        decode,
        *,
        text,
        vocabulary,
        max_length,
        tokenize=characters,
        captions=CHARACTERS,
        model=None,
        beside=None,
        step=0,
        column=None,
        gold=False,
        why=False,
        gold_mask=None,
        truth=None,
        remark=None,
        explain=None,
        note="",
    ):
        if not models:
            raise ValueError("AttentionExplorer needs at least one model: models={'a name': model}")
        self.models, self.decode, self.tokenize = models, decode, tokenize
        self.vocabulary, self.max_length, self.captions = frozenset(vocabulary), max_length, captions
        self.gold_mask, self.truth, self.remark, self.explain = gold_mask, truth, remark, explain
        self.about = captions.about
        self._answers = {}
        self._start = dict(text=text, model=model or list(self.models)[-1], beside=beside or NONE)
        self._start |= dict(step=step, column=NONE if column is None else column, gold=gold, why=why)
        self._check_start()
        self._make_controls(note)
        self._setting = False  # whether this object, and not the reader, is changing a control
        for control in (self.text, self.model, self.beside, self.step, self.row, self.column, self.gold, self.why):
            control.observe(self._changed, names="value")
        self._draw()

    def _check_start(self):
        """Raise a ValueError for a first state that cannot be shown, before anything is shown."""
        text = self._start["text"]
        self.complaint = self._complaint(text)
        if self.complaint:
            raise ValueError(f"AttentionExplorer cannot start with {text!r}. {self.complaint}")
        self.static()

    def _make_controls(self, note):
        """Make the controls in the first state, and the box that holds them."""
        w = controls()
        start, captions = self._start, self.captions
        label, wide, narrow = {"description_width": "initial"}, {"width": "340px"}, {"width": "260px"}
        names = list(self.models)
        self.text = w.Text(
            value=start["text"],
            description=captions.label,
            placeholder=captions.example,
            style=label,
            layout=wide,
        )
        self.model = w.Dropdown(options=names, value=start["model"], description="model", style=label, layout=narrow)
        self.beside = w.Dropdown(
            options=[NONE, *names], value=start["beside"], description="beside it", style=label, layout=narrow
        )
        answer = self._read(start["model"], self.tokenize(start["text"]))[0]
        self.step = w.IntSlider(
            value=start["step"], min=0, max=len(answer) - 1, description="step", style=label, layout=wide
        )
        self.play = w.Play(
            value=start["step"],
            min=0,
            max=len(answer) - 1,
            interval=PACE,
            show_repeat=False,
            description="play the steps",
        )
        w.link((self.play, "value"), (self.step, "value"))
        self.row, self.column = self._buttons("answer", "step"), self._buttons("question", "column")
        self.gold = self._box("show the gold alignment", start["gold"], self.gold_mask)
        self.why = self._box("show why", start["why"], self.explain)
        self.message, self.picture, self.second, self.reasons = (
            live_region(),
            picture_frame(),
            picture_frame(),
            picture_frame(),
        )
        self.notes = [w.HTML(message(note))] if note else []
        for picture in (self.picture, self.second):
            picture.layout.flex = "1 1 510px"  # two of them share a row where they fit
        wrap = {"flex_flow": "row wrap"}
        several = [self.beside] if len(names) > 1 else []
        rows = [
            w.HBox([self.text, self.model, *several], layout=wrap),
            w.HBox([self.step, self.play, self.gold, self.why], layout=wrap),
            self.row,
            self.column,
            self.message,
            w.HBox([self.picture, self.second], layout=wrap),
            self.reasons,
        ]
        self.box = box_of([*rows, *self.notes], file="attention")

    def _buttons(self, description, group):
        """Return a row of buttons, which pictures can press as ``group``."""
        w = controls()
        made = w.ToggleButtons(
            options=[""],
            description=description,
            style={"button_width": "auto", "description_width": "70px"},
            layout={"width": "auto", "max_width": "100%"},
        )
        made.add_class(f"attention-{group}")
        return made

    def _box(self, description, value, source):
        layout = {"width": "210px"}
        return controls().Checkbox(
            value=value, description=description, indent=False, disabled=source is None, layout=layout
        )

    def _complaint(self, text):
        return complaint(self.tokenize(text), self.vocabulary, self.max_length, self.captions)

    def _read(self, model, tokens):
        """Return (answer tokens, confidence, weights), from memory if the model was asked before."""
        key = model, tuple(tokens)
        if key not in self._answers:
            answer, confidence, weights = self.decode(self.models[model], list(tokens))
            if len(self._answers) >= self.remember:
                del self._answers[next(iter(self._answers))]
            self._answers[key] = list(answer), to_cpu(confidence), None if weights is None else to_cpu(weights)
        return self._answers[key]

    def _gold(self, tokens, answer, weights):
        """Return (mask or None, why it is missing or '')."""
        if weights is None:
            return None, "without attention the gold alignment cannot be shown"
        try:
            mask = to_cpu(self.gold_mask(list(tokens)))
        except ValueError:
            return None, "there is no gold alignment to show"
        if mask.shape != (len(answer), len(tokens)):
            return None, (
                f"the gold alignment is {mask.shape}, which does not fit an answer of "
                f"{len(answer)} {self.captions.token}s"
            )
        return mask, ""

    def _verdict(self, tokens, answer):
        """Return a sentence on whether the answer is right."""
        question, answer = self.captions.join(tokens), self.captions.join(answer)
        if self.truth is None:
            return f"The answer is {answer}"
        try:
            right = self.truth(list(tokens))
        except ValueError:
            return f"“{question}” {self.captions.no_truth}, so {answer} is neither right nor wrong"
        more = self.remark(list(tokens)) if self.remark else ""
        verdict = f"{answer} is right" if answer.rstrip() == right else f"{answer} is wrong: it should be {right}"
        return f"{verdict}; {more}" if more else verdict

    def _changed(self, change):
        """A reader, or a program, has changed a control."""
        if self._setting:
            return
        if change["owner"] is self.row:
            self.step.value = self.row.value  # which draws
        else:
            self._draw(change)

    def _draw(self, change=None):
        """Answer what the controls say; a text that cannot be read leaves the last good picture in place, dimmed."""
        tokens, model = self.tokenize(self.text.value), self.model.value
        self.complaint = self._complaint(self.text.value)
        for picture in (self.picture, self.second, self.reasons):
            (picture.add_class if self.complaint else picture.remove_class)(OLD)
        if self.complaint:
            kept = f" The picture below still shows “{self.question}”."
            self.message.value = message(self.complaint + kept, kind="alert")
            if change is not None and change["owner"] is self.text:
                return
            tokens = self.question_tokens  # the other controls continue to work on the last good text
        self.question_tokens = list(tokens)
        self.answer_tokens, self.confidence, self.weights = self._read(model, tokens)
        self.question, self.answer = self.captions.join(tokens), self.captions.join(self.answer_tokens)
        self._label_controls()
        state = dict(model=model, beside=self.beside.value, step=self.step.value, column=self.column.value)
        first, second, reasons, news = self._pictures(tokens, gold=self.gold.value, why=self.why.value, **state)
        for control, picture in ((self.picture, first), (self.second, second), (self.reasons, reasons)):
            control.value = picture.svg if picture else ""
            control.layout.display = None if picture else "none"
        if not self.complaint:
            self.message.value = message(news)

    def _label_controls(self):
        """Give the steps and the buttons the tokens of the question and the answer."""
        self._setting = True
        try:
            self.step.max = self.play.max = len(self.answer_tokens) - 1
            token = self.captions.token
            rows = _options(self.answer_tokens)
            columns = ((NONE, NONE), *_options(self.question_tokens))
            if self.row.options != rows:
                self.row.options = rows
                self.row.tooltips = [f"the step that writes {token} {k}" for _, k in rows]
            if self.column.options != columns:
                self.column.options = columns
                self.column.tooltips = ["light no column", *(f"the column of {token} {k}" for _, k in columns[1:])]
                first = self.tokenize(self._start["text"]) == self.question_tokens
                self.column.value = self._start["column"] if first else NONE
            self.row.value = self.step.value
            self.column.disabled = self.weights is None
        finally:
            self._setting = False

    def _pictures(self, tokens, *, model, beside, step, column, gold, why):
        """Return (Picture, Picture of the model beside or None, of the reasons or None, news for the message line)."""
        width = WIDTH if beside == NONE else NARROW
        first, answer, missing = self._picture(model, tokens, step, column, gold, width)
        news = self._verdict(tokens, answer)
        second = reasons = None
        if beside != NONE:
            last = len(self._read(beside, tokens)[0])
            second, other, _ = self._picture(beside, tokens, min(step, last - 1), column, gold, width)
            news += f"; beside it, “{beside}” writes {self.captions.join(other)}"
        if why and self.explain is not None:
            reasons, why_not = self._reasons(model, tokens, step, column)
            missing = [*missing, *why_not]
        return first, second, reasons, "; ".join([news, *missing]) + "."

    def _picture(self, model, tokens, step, column, gold, width):
        """Return (Picture, the answer, reasons why something cannot be shown)."""
        answer, confidence, weights = self._read(model, tokens)
        mask, why_not = None, ""
        if gold and self.gold_mask is not None:
            mask, why_not = self._gold(tokens, answer, weights)
        lit = None if weights is None or column == NONE else column
        shown = (tokens, answer, confidence, weights, step, mask, f"Model “{model}”", self.captions, lit)
        picture = Picture(render_attention(*shown, width), " ".join(describe_attention(*shown)))
        return picture, answer, [why_not] if why_not else []

    def _reasons(self, model, tokens, step, column):
        """Return (Picture or None, reasons why there is none): of the token that is lit, or looked at most."""
        weights = self._read(model, tokens)[2]
        if weights is None:
            return None, ["without attention there is nothing to explain"]
        try:
            reasons = self.explain(self.models[model], list(tokens), step)
        except ValueError as error:
            return None, [str(error)]
        shown = (tokens, reasons, step, int(weights[step].argmax()) if column == NONE else column, self.captions)
        return Picture(render_reasons(*shown), " ".join(describe_reasons(*shown))), []

    def static(self, text=None, model=None, step=None, gold=None, *, beside=None, column=None, why=None):
        """Return the Picture of the first state, or of another text, model, step, gold, beside, column or why.

        Raises: ValueError for a model that is not there, or a text that the models cannot read.
        """
        given = dict(text=text, model=model, step=step, gold=gold, beside=beside, column=column, why=why)
        state = self._start | {name: value for name, value in given.items() if value is not None}
        text = state.pop("text")
        for name in {state["model"], state["beside"]} - {NONE}:
            if name not in self.models:
                raise ValueError(f"AttentionExplorer has no model {name!r}; it has {', '.join(self.models)}")
        why_not = self._complaint(text)
        if why_not:
            raise ValueError(f"cannot draw {text!r}. {why_not}")
        first, second, reasons, news = self._pictures(self.tokenize(text), **state)
        others = [picture for picture in (second, reasons) if picture]
        return Picture(first.svg, f"{first.text} {news}", others)


def _options(tokens):
    """Return the options of a row of buttons, pairs (label, place).

    ipywidgets finds a button by its label, so equal ones get spaces at their end, which a page does not show.
    """
    return tuple((visible(token) + " " * tokens[:k].count(token), k) for k, token in enumerate(tokens))
