"""Sentence explorer: the answers that a beam search finds to a text, from models that may read different languages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from common import language
from common.language import errors
from common.svg import BLUE, INK, LINE, escape, number, percent
from common.widgets.base import OLD, controls, message
from common.widgets.explorer import NONE, AttentionExplorer, side_by_side
from common.widgets.phrases import say

LARGEST_BEAM = 8


class Alternative(NamedTuple):
    """One answer of a beam search.

    tokens: T, the mark for the end among them where it was written. confidence (T,): the probability of each, given
    those before it. weights: (T, length of the question), or None. score: what the search compares answers by.
    """

    tokens: list
    confidence: object
    weights: object
    score: float


@dataclass(frozen=True)
class Reading:
    """What a model reads.

    language: its name; models of one language can stand side by side. tokenize: called with a text, returns its tokens,
    the marks around it included. examples: texts; where example k of several languages says the same, choosing a model
    of another language keeps what is said. max_length: the most tokens that are read, marks not counted. truth: called
    with the tokens, returns the right answer as text, or raises ValueError if none is known. gold_mask: called with the
    tokens of the question and of the answer, returns bool (answer, question), or raises ValueError that says why not.
    """

    language: str
    tokenize: Callable
    examples: Sequence = ()
    max_length: int = 40
    truth: Callable | None = None
    gold_mask: Callable | None = None


class SentenceExplorer(AttentionExplorer):
    """Type a sentence, choose a model, and see the answers of its beam, how sure it is of them, and where it looked.

    Args:
        models: a dict name -> model, or a mapping that loads a model when it is first asked for.
        search: called as search(model, tokens, beam_size); returns the Alternatives, the best first.
        reading: called with a model's name; returns its Reading.
        unknown: called as unknown(model, tokens); returns the places of the tokens that the model does not know. They
            are read all the same, and marked.
        captions: the words for texts and tokens, see ``Captions``.
        text: the text in the box at first; None for the first example of the first model.
        model, beside, step, column, gold: as for AttentionExplorer.
        beam: how many beginnings the search keeps. alternative: the place of the answer that is shown, 0 is the best.
        note: a sentence that is always shown below the picture.

    Controls: those of AttentionExplorer without ``why``; ``example`` (a button: the next example), ``beam``,
    ``alternative`` (a button for each answer; the rows of the table can be pressed, too), ``table`` (HTML). What the
    table holds is in ``alternatives``, a list of Alternatives.

        explorer.text.value = "Ein Mann schläft."
        explorer.alternatives[1].score
        explorer.alternative.value = 1

    Raises: ValueError as AttentionExplorer, and for an alternative that the beam does not have.
    """

    def __init__(
        self,
        models,
        search,
        *,
        reading,
        unknown,
        captions,
        text=None,
        model=None,
        beam=5,
        alternative=0,
        **options,
    ):
        if not 1 <= beam <= LARGEST_BEAM or not 0 <= alternative < beam:
            raise ValueError(
                f"{type(self).__name__}: beam must be 1 to {LARGEST_BEAM}, got {beam}, "
                f"and alternative 0 to {beam - 1}, got {alternative}"
            )
        self.reading, self.find_unknown = reading, unknown
        self._more = dict(beam=beam, alternative=alternative)
        if models and model is None:
            model = list(models)[-1]
        if models and text is None and model in models:
            text = reading(model).examples[0]
        super().__init__(
            models,
            search,
            text=text,
            model=model,
            vocabulary=(),
            max_length=0,
            captions=captions,
            gold_mask=self._gold,  # each Reading has its own
            **options,
        )

    # --- what differs from model to model ---

    def _tokenize(self, text, model):
        return self.reading(model).tokenize(text)

    def _words(self, tokens):
        return [token for token in tokens if token not in self.captions.marks]

    def _complaint(self, text, model):
        reading = self.reading(model)
        count = len(self._words(reading.tokenize(text)))
        if not count:
            return self.captions.said("nothing_to_read")
        if count > reading.max_length:
            return say("too_long", count=count, kind=self.captions.token, most=reading.max_length)
        return None

    def _unknown(self, model, tokens):
        return self.find_unknown(self.models[model], list(tokens))

    def _decode(self, model, tokens, beam):
        return self.decode(self.models[model], list(tokens), beam)

    def _right(self, model, tokens):
        """Return the right answer as text, or None."""
        truth = self.reading(model).truth
        try:
            return None if truth is None else truth(list(tokens))
        except ValueError:
            return None

    def _verdict(self, model, tokens, answer):
        written, right = self.captions.join(answer), self._right(model, tokens)
        shown = say("token", token=written)
        if right is None:
            question = self.captions.join(tokens)
            return say("no_truth", question=question, no_truth=self.captions.said("no_truth"), answer=shown)
        return say("right" if written == right else "wrong", answer=shown, right=say("token", token=right))

    def _gold(self, model, tokens, answer, weights):
        if weights is None:
            return None, say("no_gold_without_attention")
        gold_mask = self.reading(model).gold_mask
        if gold_mask is None:
            return None, say("no_gold")
        try:
            return gold_mask(list(tokens), list(answer)), ""
        except ValueError as error:
            return None, errors.said(error)

    def _title(self, model):
        return language.say(model)

    def _pictures(self, tokens, *, model, beside, **state):
        reads = self.reading(model).language
        apart = beside != NONE and self.reading(beside).language != reads
        *pictures, news = super()._pictures(tokens, model=model, beside=NONE if apart else beside, **state)
        unknown = [tokens[i] for i in self._unknown(model, tokens)]
        if unknown:
            known = [t for t in self._words(tokens) if t not in unknown and any(map(str.isalpha, t))]
            listed = ", ".join(say("token", token=token) for token in unknown)
            news += say("unknown_to_model", name=self._title(model), tokens=listed)
            words = dict(kind=self.captions.token, language=language.say(reads))
            news += "" if known else say("knows_none", **words)
        if apart:
            news += say("not_beside", name=self._title(beside), language=language.say(self.reading(beside).language))
        return *pictures, news

    def _further(self, tokens, state):
        return [self._table(tokens, **{name: state[name] for name in ("model", "beam", "alternative")})]

    def _table(self, tokens, model, beam, alternative):
        found = [Alternative(*one) for one in self._found(model, tokens, beam=beam)]
        return AlternativesTable(
            found, alternative, self._right(model, tokens), self.captions, f"“{self._title(model)}”"
        )

    # --- controls ---

    def _make_controls(self):
        super()._make_controls()
        w, start = controls(), self._start
        self.example = w.Button(description=say("another_example"), layout={"width": "150px"})
        self.example.on_click(lambda _: self._next_example())
        self.beam = w.IntSlider(
            value=start["beam"],
            min=1,
            max=LARGEST_BEAM,
            description=say("label_beam"),
            style={"description_width": "initial"},
            layout={"width": "260px"},
        )
        self.alternative = self._buttons(say("label_alternative"), "alternative")
        self.alternative.style.description_width = "100px"
        tokens = self._tokenize(start["text"], start["model"])
        self._offer_alternatives(self._found(start["model"], tokens, beam=start["beam"]))
        if start["alternative"] >= len(self.alternatives):
            raise ValueError(
                f"{type(self).__name__}: alternative must be 0 to {len(self.alternatives) - 1}, "
                f"got {start['alternative']}: the beam found no more"
            )
        self.alternative.value = start["alternative"]
        self.table = w.HTML()
        self.text.layout.width = "560px"

    def _rows(self):
        several = [self.beside] if len(self.models) > 1 else []
        return [
            side_by_side(self.text, self.example),
            side_by_side(self.model, *several, self.beam),
            side_by_side(self.step, self.play, self.gold),
            self.row,
            self.column,
            self.message,
            side_by_side(self.picture, self.second),
            self.alternative,
            self.table,
        ]

    def _settings(self):
        return super()._settings() | dict(beam=self.beam, alternative=self.alternative)

    def _next_example(self):
        """Put the next example of the model's language into the box; after another text, the first."""
        examples = list(self.reading(self.model.value).examples)
        if examples:
            place = examples.index(self.text.value) + 1 if self.text.value in examples else 0
            self.text.value = examples[place % len(examples)]

    def _changed(self, change):
        if self._setting:
            return
        owner, said = change["owner"], ""
        if any(owner is control for control in (self.text, self.model, self.beam)):
            with self._silently():
                self.alternative.value = 0
                if owner is self.model:
                    said = self._change_language(change["old"], change["new"])
        super()._changed(change)
        if said:
            self.message.value = message(f"{said} {self.news}")

    def _change_language(self, old, new):
        """Put an example of the new model's language into the box; return a sentence that says so, or ""."""
        before, now = self.reading(old), self.reading(new)
        if now.language == before.language or not now.examples:
            return ""
        examples = list(before.examples)
        place = examples.index(self.text.value) if self.text.value in examples else 0
        self.text.value = now.examples[place % len(now.examples)]
        return say("language_changed", name=new, language=language.say(now.language))

    def _label_controls(self):
        super()._label_controls()
        with self._silently():
            self._offer_alternatives(self._found(self.model.value, self.question_tokens, beam=self.beam.value))

    def _offer_alternatives(self, found):
        self.alternatives = [Alternative(*one) for one in found]
        options = tuple((str(k + 1), k) for k in range(len(found)))
        if self.alternative.options != options:
            self.alternative.options = options

    def _draw(self, change=None):
        super()._draw(change)
        chosen = dict(model=self.model.value, beam=self.beam.value, alternative=self.alternative.value)
        (self.table.add_class if self.complaint else self.table.remove_class)(OLD)
        if not self.complaint or change is None or change["owner"] is not self.text:
            self.table.value = self._table(self.question_tokens, **chosen).image()


class AlternativesTable:
    """The answers of a beam as a table, which can stand among the ``others`` of a Picture.

    Args: found, Alternatives; chosen, the place of the one whose heatmap is shown; right, the right answer as text, or
    None; captions; name, of the model.
    """

    def __init__(self, found, chosen, right, captions, name):
        self.rows = []
        for k, (tokens, confidence, _, score) in enumerate(found):
            written = captions.join(tokens)
            self.rows.append((k == chosen, k + 1, number(score), _share(confidence), written, written == right))
        self.name = name

    @property
    def text(self):
        """The table in words."""
        said = (
            say("alternative", rank=rank, answer=written, right=_mark(right), score=score, share=share)
            for _, rank, score, share, written, right in self.rows
        )
        return say("alternatives", name=self.name, answers="; ".join(said))

    def image(self):
        """Return the table as HTML. Pressing a row in a widget's box presses a button of the group "alternative"."""
        cell = f"padding:3px 10px;border-top:1px solid {LINE};text-align:"
        heads = ("rank", "right"), ("score", "right"), ("probability", "right"), ("label_answer", "left")
        head = "".join(
            f'<th scope="col" style="padding:3px 10px;text-align:{side}">{say(name)}</th>' for name, side in heads
        )
        body = ""
        for lit, rank, score, share, written, right in self.rows:
            style = f"cursor:pointer;background:{'#e6f1f8' if lit else '#ffffff'}"
            mark = f'<span style="color:{BLUE}" aria-hidden="true">▶ </span>' if lit else ""
            body += (
                f'<tr data-press="alternative-{rank - 1}" style="{style}"{" aria-current=true" if lit else ""}>'
                f'<td style="{cell}right">{mark}{rank}</td><td style="{cell}right">{score}</td>'
                f'<td style="{cell}right">{escape(share)}</td><td style="{cell}left">{escape(written)}'
                f"{f' <b>{_mark(right).strip()}</b>' if right else ''}</td></tr>"
            )
        caption = say("alternatives_caption", name=escape(self.name))
        return (
            f'<div style="overflow-x:auto"><table style="background:#ffffff;color:{INK};border-collapse:collapse;'
            f'font-size:14px;line-height:1.4"><caption style="text-align:left;background:#ffffff;color:{INK};'
            f'padding:4px 10px">{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )


def _mark(right):
    return say("alternative_right") if right else ""


def _share(confidence):
    """Return the probability of a whole answer; below one percent with one digit."""
    p = float(confidence.prod())
    return percent(p) if p >= 0.0095 else f"{100 * p:.1g} %" if p >= 1e-5 else "< 0.001 %"
