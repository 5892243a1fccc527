"""Attention explorer: what a model answers to any text, how sure it is, and where it looked."""

from common.language import errors
from common.np import to_cpu
from common.widgets.attention import NARROW, WIDTH, describe_attention, render_attention
from common.widgets.base import (
    CHARACTERS,
    OLD,
    Picture,
    Widget,
    box_of,
    closed,
    controls,
    live_region,
    message,
    picture_frame,
    quoted,
)
from common.widgets.phrases import PHRASES, say
from common.widgets.reasons import describe_reasons, render_reasons
from common.widgets.texts import button_options, characters, complaint

NONE = PHRASES["label_none"]  # the value, in the menu of the model to show beside, and of the columns
PACE = 800  # milliseconds of each step while the steps play


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
    _more = {}  # what else the first state has in a subclass: how its answers are found

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
        self._start |= self._more
        self._check_start()
        self._make_controls()
        self.notes = [controls().HTML(message(note))] if note else []
        self.box = box_of([*self._rows(), *self.notes], file="attention")
        for control in self._settings().values():
            control.observe(self._changed, names="value")
        self.row.observe(self._changed, names="value")
        self._draw()

    def _check_start(self):
        """Raise a ValueError for a first state that cannot be shown, before anything is shown."""
        text = self._start["text"]
        self._check_models(self._start)
        self.complaint = self._complaint(text, self._start["model"])
        if self.complaint:
            raise ValueError(f"{type(self).__name__} cannot start with {text!r}. {self.complaint}")
        self.static()

    def _make_controls(self):
        """Make the controls in the first state."""
        w = controls()
        start, captions = self._start, self.captions
        label, wide, narrow = {"description_width": "initial"}, {"width": "340px"}, {"width": "260px"}
        titled = [(self._title(name), name) for name in self.models]
        names = titled if any(title != name for title, name in titled) else list(self.models)
        self.text = w.Text(
            value=start["text"],
            description=captions.said("label"),
            placeholder=captions.example,
            style=label,
            layout=wide,
        )
        self.model = w.Dropdown(
            options=names, value=start["model"], description=say("label_model"), style=label, layout=narrow
        )
        self.beside = w.Dropdown(
            options=[(say("label_none"), NONE), *titled],
            value=start["beside"],
            description=say("label_beside"),
            style=label,
            layout=narrow,
        )
        answer = self._read(start["model"], self._tokenize(start["text"], start["model"]), **self._more)[0]
        self.step = w.IntSlider(
            value=start["step"], min=0, max=len(answer) - 1, description=say("label_step"), style=label, layout=wide
        )
        self.play = w.Play(
            value=start["step"],
            min=0,
            max=len(answer) - 1,
            interval=PACE,
            show_repeat=False,
            description=say("label_play"),
        )
        w.link((self.play, "value"), (self.step, "value"))
        self.row = self._buttons(say("label_answer"), "step")
        self.column = self._buttons(say("label_question"), "column")
        self.gold = self._box(say("label_gold"), start["gold"], self.gold_mask)
        self.why = self._box(say("label_why"), start["why"], self.explain)
        self.message, self.picture, self.second, self.reasons = (
            live_region(),
            picture_frame(),
            picture_frame(),
            picture_frame(),
        )
        for picture in (self.picture, self.second):
            picture.layout.flex = "1 1 510px"  # two of them share a row where they fit

    def _rows(self):
        """Return what the box shows, from top to bottom."""
        several = [self.beside] if len(self.models) > 1 else []
        return [
            side_by_side(self.text, self.model, *several),
            side_by_side(self.step, self.play, self.gold, self.why),
            self.row,
            self.column,
            self.message,
            side_by_side(self.picture, self.second),
            self.reasons,
        ]

    def _settings(self):
        """Return the controls whose values are the state of the explorer, as ``static`` takes them."""
        names = "text", "model", "beside", "step", "column", "gold", "why"
        return {name: getattr(self, name) for name in names}

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

    def _title(self, model):
        """Return what a model is called where a reader sees it."""
        return model

    # What follows is told the model, as a subclass may have models that read different texts.

    def _tokenize(self, text, model):
        return self.tokenize(text)

    def _complaint(self, text, model):
        return complaint(self._tokenize(text, model), self.vocabulary, self.max_length, self.captions)

    def _unknown(self, model, tokens):
        """Return the places of the tokens that the model reads without knowing them."""
        return ()

    def _decode(self, model, tokens):
        """Return the alternatives, the best first, each (answer tokens, confidence, weights). Here there is one."""
        return [self.decode(self.models[model], list(tokens))]

    def _found(self, model, tokens, **search):
        """Return what ``_decode`` returns, on the CPU, from memory if the model was asked before."""
        key = model, tuple(tokens), *search.values()
        if key not in self._answers:
            found = self._decode(model, tokens, **search)
            if len(self._answers) >= self.remember:
                del self._answers[next(iter(self._answers))]
            self._answers[key] = [
                (list(answer), to_cpu(confidence), None if weights is None else to_cpu(weights), *more)
                for answer, confidence, weights, *more in found
            ]
        return self._answers[key]

    def _read(self, model, tokens, alternative=0, **search):
        """Return (answer tokens, confidence, weights) of an alternative, or of the last one if there are fewer."""
        found = self._found(model, tokens, **search)
        return found[min(alternative, len(found) - 1)][:3]

    def _gold(self, model, tokens, answer, weights):
        """Return (mask or None, why it is missing or '')."""
        if weights is None:
            return None, say("no_gold_without_attention")
        try:
            mask = to_cpu(self.gold_mask(list(tokens)))
        except ValueError:
            return None, say("no_gold")
        if mask.shape != (len(answer), len(tokens)):
            words = dict(shape=mask.shape, count=len(answer), kind=self.captions.token)
            return None, say("gold_does_not_fit", **words)
        return mask, ""

    def _verdict(self, model, tokens, answer):
        """Return a sentence on whether the answer is right."""
        question, answer = self.captions.join(tokens), self.captions.join(answer)
        if self.truth is None:
            return say("the_answer", answer=answer)
        try:
            right = self.truth(list(tokens))
        except ValueError:
            return say("no_truth", question=question, no_truth=self.captions.said("no_truth"), answer=answer)
        more = self.remark(list(tokens)) if self.remark else ""
        verdict = say("right" if answer.rstrip() == right else "wrong", answer=answer, right=right)
        return f"{verdict}{say('and')}{more}" if more else verdict

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
        state = {name: control.value for name, control in self._settings().items()}
        model = state["model"]
        self.complaint = self._complaint(state["text"], model)
        tokens = self._tokenize(state.pop("text"), model)
        for picture in (self.picture, self.second, self.reasons):
            (picture.add_class if self.complaint else picture.remove_class)(OLD)
        if self.complaint:
            kept = say("still_shows", question=quoted(self.question))
            self.message.value = message(self.complaint + kept, kind="alert")
            if change is not None and change["owner"] is self.text:
                return
            tokens = self.question_tokens  # the other controls continue to work on the last good text
        self.question_tokens = list(tokens)
        self.answer_tokens, self.confidence, self.weights = self._read(
            model, tokens, **{name: state[name] for name in self._more}
        )
        self.question, self.answer = self.captions.join(tokens), self.captions.join(self.answer_tokens)
        self._label_controls()
        state |= dict(step=self.step.value, column=self.column.value)  # another answer may lack what was lit
        first, second, reasons, self.news = self._pictures(tokens, **state)
        for control, picture in ((self.picture, first), (self.second, second), (self.reasons, reasons)):
            control.value = picture.svg if picture else ""
            control.layout.display = None if picture else "none"
        if not self.complaint:
            self.message.value = message(self.news)

    def _label_controls(self):
        """Give the steps and the buttons the tokens of the question and the answer."""
        with self._silently():
            self.step.max = self.play.max = len(self.answer_tokens) - 1
            kind = self.captions.token
            rows = button_options(self.answer_tokens)
            columns = ((say("label_none"), NONE), *button_options(self.question_tokens))
            if self.row.options != rows:
                self.row.options = rows
                self.row.tooltips = [say("tip_step", kind=kind, place=k) for _, k in rows]
            if self.column.options != columns:
                self.column.options = columns
                tips = (say("tip_column", kind=kind, place=k) for _, k in columns[1:])
                self.column.tooltips = [say("tip_no_column"), *tips]
                first = self._tokenize(self._start["text"], self._start["model"]) == self.question_tokens
                self.column.value = self._start["column"] if first else NONE
            self.row.value = self.step.value
            self.column.disabled = self.weights is None

    def _pictures(self, tokens, *, model, beside, step, column, gold, why, **search):
        """Return (Picture, Picture of the model beside or None, of the reasons or None, news for the message line)."""
        width = WIDTH if beside == NONE else NARROW
        first, answer, missing = self._picture(model, tokens, step, column, gold, width, **search)
        news = self._verdict(model, tokens, answer)
        second = reasons = None
        if beside != NONE:
            search_beside = {name: value for name, value in search.items() if name != "alternative"}
            last = len(self._read(beside, tokens, **search_beside)[0]) - 1
            second, other, _ = self._picture(beside, tokens, min(step, last), column, gold, width, **search_beside)
            news += say("and") + say("beside_writes", name=self._title(beside), answer=self.captions.join(other))
        if why and self.explain is not None:
            reasons, why_not = self._reasons(model, tokens, step, column)
            missing = [*missing, *why_not]
        return first, second, reasons, closed(say("and").join([news, *missing]))

    def _picture(self, model, tokens, step, column, gold, width, **search):
        """Return (Picture, the answer, reasons why something cannot be shown)."""
        answer, confidence, weights = self._read(model, tokens, **search)
        mask, why_not = None, ""
        if gold and self.gold_mask is not None:
            mask, why_not = self._gold(model, tokens, answer, weights)
        lit = None if weights is None or column == NONE else column
        shown = (tokens, answer, confidence, weights, step, mask, say("model", name=model), self.captions, lit)
        unknown = self._unknown(model, tokens)
        picture = Picture(
            render_attention(*shown, width, unknown), " ".join(describe_attention(*shown, unknown=unknown))
        )
        return picture, answer, [why_not] if why_not else []

    def _reasons(self, model, tokens, step, column):
        """Return (Picture or None, reasons why there is none): of the token that is lit, or looked at most."""
        weights = self._read(model, tokens)[2]
        if weights is None:
            return None, [say("no_why_without_attention")]
        try:
            reasons = self.explain(self.models[model], list(tokens), step)
        except ValueError as error:
            return None, [errors.said(error)]
        shown = (tokens, reasons, step, int(weights[step].argmax()) if column == NONE else column, self.captions)
        return Picture(render_reasons(*shown), " ".join(describe_reasons(*shown))), []

    def _further(self, tokens, state):
        """Return what else a still picture shows."""
        return []

    def _check_models(self, state):
        for name in {state["model"], state["beside"]} - {NONE}:
            if name not in self.models:
                raise ValueError(f"{type(self).__name__} has no model {name!r}; it has {', '.join(self.models)}")

    def static(self, text=None, model=None, step=None, gold=None, *, beside=None, column=None, why=None, **more):
        """Return the Picture of the first state, or of another text, model, step, gold, beside, column or why.

        Raises: ValueError for a model that is not there, or a text that the models cannot read.
        """
        given = dict(text=text, model=model, step=step, gold=gold, beside=beside, column=column, why=why)
        state = self._start | more | {name: value for name, value in given.items() if value is not None}
        self._check_models(state)
        text, model = state.pop("text"), state["model"]
        why_not = self._complaint(text, model)
        if why_not:
            raise ValueError(f"cannot draw {text!r}. {why_not}")
        tokens = self._tokenize(text, model)
        first, second, reasons, news = self._pictures(tokens, **state)
        others = [*(picture for picture in (second, reasons) if picture), *self._further(tokens, state)]
        return Picture(first.svg, f"{first.text} {news}", others)


def side_by_side(*children):
    """Return a row of controls, which wraps where they do not fit."""
    return controls().HBox(children, layout={"flex_flow": "row wrap"})
