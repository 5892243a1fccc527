"""Texts as the explorers read them: cut into tokens, looked through for what a model cannot read, put on buttons."""

import unicodedata

from common.svg import visible
from common.widgets.base import CHARACTERS
from common.widgets.phrases import say


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
        return captions.said("nothing_to_read")
    if len(tokens) > max_length:
        return say("too_long", count=len(tokens), kind=captions.token, most=max_length)
    for position, token in enumerate(tokens):
        if token not in vocabulary:
            place = dict(kind=captions.token, place=position)
            return say("unknown_token", token=_named(token), **place, known=_known(vocabulary))
    return None


def _named(token):
    """Return a token in quotes, a single character also with its name."""
    if len(token) != 1:
        return say("token", token=token)
    name = unicodedata.name(token, "").lower() or f"U+{ord(token):04X}"
    return say("token_name", token=token, name=name) if token.isprintable() else say("control_character", name=name)


def _known(vocabulary):
    """Return a sentence that lists the vocabulary, if its tokens are characters."""
    if any(len(token) != 1 for token in vocabulary):
        return ""
    space = say("known_space") if " " in vocabulary else ""
    return say("known", space=space, characters="".join(sorted(set(vocabulary) - {" "})))


def button_options(tokens):
    """Return the options of a row of buttons, pairs (label, place).

    ipywidgets finds a button by its label, so equal ones get spaces at their end, which a page does not show.
    """
    return tuple((visible(token) + " " * tokens[:k].count(token), k) for k, token in enumerate(tokens))
