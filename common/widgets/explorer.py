"""Attention explorer: what a model answers to any text, how sure it is, and where it looked."""

import unicodedata

from common.np import to_cpu
from common.widgets.attention import describe_attention, render_attention
from common.widgets.base import CHARACTERS, Picture, Widget, box_of, controls, live_region, message


def characters(text):
    """Return the characters of a text as a list of tokens, without spaces at its end."""
    return list(text.rstrip(" "))


def complaint(tokens, vocabulary, max_length, captions=CHARACTERS):
    """Return a sentence on why a model cannot read the tokens, or None if it can.

    Args: vocabulary, the tokens the model knows; max_length, the most tokens it reads.
    """
    if not any(token.strip() for token in tokens):
        return captions.nothing_to_read
    for position, token in enumerate(tokens, start=1):
        if token not in vocabulary:
            return f"{_named(token)}, {captions.token} {position}, is unknown to the model.{_known(vocabulary)}"
    if len(tokens) > max_length:
        return f"This is too long: {len(tokens)} {captions.token}s. The model reads at most {max_length}."
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
        models: a dict name -> model.
        decode: called as decode(model, tokens); returns (the answer's tokens, the probability of each of them,
            attention weights (len(answer), len(tokens)) in reading order or None).
        text: the text in the box at first.
        vocabulary: the tokens that the models know. max_length: the most tokens they read.
        tokenize: called as tokenize(text), returns the tokens; by default ``characters``.
        captions: the words for texts and tokens, see ``Captions``.
        model, step, gold: the rest of the first state; model is a name, by default the last one; steps count from 1.
        gold_mask: called as gold_mask(tokens); returns bool (len(answer), len(tokens)), True where a token of the
            answer comes from, or raises ValueError for a text without one. None: there is none to show.
        truth: called as truth(tokens); returns the right answer as text, or raises ValueError if it has none. May be
            None.
        note: a sentence that is always shown below the picture.

    Controls: ``text``, ``model``, ``step``, ``gold``, ``message`` (HTML), ``picture`` (HTML). The last good answer is
    in ``question`` and ``answer`` (text), ``question_tokens`` and ``answer_tokens`` (lists), ``confidence`` and
    ``weights`` (None without attention); ``complaint`` is None, or says why the text in the box cannot be read.

        explorer.text.value = "abc"
        explorer.step.value = 3
        explorer.answer, explorer.weights[explorer.step.value - 1]

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
        step=1,
        gold=False,
        gold_mask=None,
        truth=None,
        note="",
    ):
        if not models:
            raise ValueError("AttentionExplorer needs at least one model: models={'a name': model}")
        self.models, self.decode, self.tokenize = dict(models), decode, tokenize
        self.vocabulary, self.max_length, self.captions = frozenset(vocabulary), max_length, captions
        self.gold_mask, self.truth = gold_mask, truth
        self.about = captions.about
        self._answers = {}
        self._start = dict(text=text, model=model or list(self.models)[-1], step=step, gold=gold)
        self._check_start()
        self._make_controls(note)
        for control in (self.text, self.model, self.step, self.gold):
            control.observe(self._draw, names="value")
        self._draw()

    def _check_start(self):
        """Raise a ValueError for a first state that cannot be shown, before anything is shown."""
        text, model = self._start["text"], self._start["model"]
        if model not in self.models:
            raise ValueError(f"AttentionExplorer has no model {model!r}; it has {', '.join(self.models)}")
        self.complaint = self._complaint(text)
        if self.complaint:
            raise ValueError(f"AttentionExplorer cannot start with {text!r}. {self.complaint}")
        self.static()

    def _make_controls(self, note):
        """Make the controls in the first state, and the box that holds them."""
        w = controls()
        start, captions = self._start, self.captions
        label, wide, narrow = {"description_width": "initial"}, {"width": "340px"}, {"width": "260px"}
        self.text = w.Text(
            value=start["text"],
            description=captions.label,
            placeholder=captions.example,
            style=label,
            layout=wide,
        )
        self.model = w.Dropdown(
            options=list(self.models), value=start["model"], description="model", style=label, layout=narrow
        )
        answer = self._read(start["model"], self.tokenize(start["text"]))[0]
        self.step = w.IntSlider(
            value=start["step"], min=1, max=len(answer), description="step", style=label, layout=wide
        )
        self.gold = w.Checkbox(
            value=start["gold"],
            description="show the gold alignment",
            indent=False,
            disabled=self.gold_mask is None,
            layout=narrow,
        )
        self.message, self.picture = live_region(), w.HTML()
        wrap = {"flex_flow": "row wrap"}
        rows = [w.HBox([self.text, self.model], layout=wrap), w.HBox([self.step, self.gold], layout=wrap)]
        notes = [w.HTML(message(note))] if note else []
        self.box = box_of([*rows, self.message, self.picture, *notes])

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
        return f"{answer} is right" if answer.rstrip() == right else f"{answer} is wrong: it should be {right}"

    def _draw(self, change=None):
        """Answer what the controls say; a text that cannot be read leaves the last good picture in place."""
        tokens, model = self.tokenize(self.text.value), self.model.value
        self.complaint = self._complaint(self.text.value)
        if self.complaint:
            kept = f" The picture below still shows “{self.question}”."
            self.message.value = message(self.complaint + kept, kind="alert")
            if change is not None and change["owner"] is self.text:
                return
            tokens = self.question_tokens  # the other controls continue to work on the last good text
        self.question_tokens = list(tokens)
        self.answer_tokens, self.confidence, self.weights = self._read(model, tokens)
        self.question, self.answer = self.captions.join(tokens), self.captions.join(self.answer_tokens)
        if self.step.max != len(self.answer_tokens):
            self.step.max = len(self.answer_tokens)
        self.picture.value, _, news = self._picture(model, tokens, self.step.value, self.gold.value)
        if not self.complaint:
            self.message.value = message(news)

    def _picture(self, model, tokens, step, gold):
        """Return (SVG, the same in words, news for the message line)."""
        answer, confidence, weights = self._read(model, tokens)
        mask, why_not = None, ""
        if gold and self.gold_mask is not None:
            mask, why_not = self._gold(tokens, answer, weights)
        shown = (tokens, answer, confidence, weights, step, mask, f"Model “{model}”", self.captions)
        news = self._verdict(tokens, answer) + (f"; {why_not}." if why_not else ".")
        return render_attention(*shown), " ".join(describe_attention(*shown)), news

    def static(self, text=None, model=None, step=None, gold=None):
        """Return the Picture of the first state, or of another text, model, step or gold.

        Raises: ValueError for a text that the models cannot read.
        """
        given = dict(text=text, model=model, step=step, gold=gold)
        state = self._start | {name: value for name, value in given.items() if value is not None}
        text = state.pop("text")
        why = self._complaint(text)
        if why:
            raise ValueError(f"cannot draw {text!r}. {why}")
        svg, words, news = self._picture(tokens=self.tokenize(text), **state)
        return Picture(svg, f"{words} {news}")
