"""The language in which the course speaks to a learner: English, unless ``language("ko")`` chooses Korean.

What is said goes through ``say``, with its numbers and names apart: ``say("{what} is all zeros.", what="c")``. What an
error says is translated where a notebook shows it (``common.language.errors``). The
translations are gettext's: a folder of catalogs for each language (``ko/*.po``, which Poedit and Weblate open), joined
in one file that is read here (``ko.mo``). ``python -m tests.notebooks translate ko`` brings both up to date.
"""

import contextlib
import gettext
import re
from pathlib import Path

FOLDER = Path(__file__).parent
ENGLISH = "en"
NAMES = {"en": "English", "ko": "한국어"}  # of the languages, in themselves
_state = {"code": ENGLISH, "texts": gettext.NullTranslations()}


def languages():
    """Return the codes of the languages there are, English first."""
    return [ENGLISH, *sorted(path.stem for path in FOLDER.glob("*.mo"))]


def language(code=None):
    """Choose the language of all that is said from now on; without a code, return that of the chosen one.

    Args: code, such as "ko". Raises: ValueError for a language that the course does not have.
    """
    if code is None:
        return _state["code"]
    if code not in languages():
        raise ValueError(f"language: {code!r} is not here; there are {', '.join(languages())}")
    texts = gettext.NullTranslations()
    if code != ENGLISH:
        with (FOLDER / f"{code}.mo").open("rb") as file:
            texts = gettext.GNUTranslations(file)
    _state.update(code=code, texts=texts)
    from common.language import errors

    errors.listen(code != ENGLISH)
    return None


@contextlib.contextmanager
def speaking(code):
    """Within ``with speaking("ko"):`` all is said in that language, and after it in the one before."""
    before = language()
    language(code)
    try:
        yield
    finally:
        language(before)


def say(text, /, **values):
    """Return a text in the chosen language; one that is not translated stays English.

    Args: text, a string or a Message; values, for the names in braces. Without any, braces are braces.
    """
    if isinstance(text, Message):
        if _state["code"] == ENGLISH:
            return str(text)
        text, values = text.template, text.values
    values = {name: say(value) if isinstance(value, Message) else value for name, value in values.items()}
    said = look_up(text)
    return spoken(said.format(**values) if values else said)


class Message(str):
    """An English text that ``say`` can say in another language later: it keeps its template and its values.

    Args: as for ``say``; a value may be a Message, too.
    """

    def __new__(cls, text, /, **values):
        made = super().__new__(cls, text.format(**values) if values else text)
        made.template, made.values = text, values
        return made

    def written(self, english):
        """Return the same Message with another English text; a translation stays as it is."""
        made = super().__new__(Message, english)
        made.template, made.values = self.template, self.values
        return made


def gathered(messages):
    """Return one Message of several, one after the other."""
    values = {f"message{k}": message for k, message in enumerate(messages)}
    return Message(" ".join(f"{{{name}}}" for name in values), **values)


def look_up(text):
    """Return the translation of a text as its catalog has it, with its gaps and its choices."""
    return _state["texts"].gettext(text) if text else text


def spoken(text):
    """Return a text of the chosen language whose gaps are filled, with its choices made."""
    return with_particles(text) if _state["code"] == "ko" else text


# --- Korean --------------------------------------------------------------------------------------------------------

# After a final consonant, after a vowel. A translation writes "{name}[은/는]", since only the value decides.
PARTICLES = ("은/는", "이/가", "을/를", "과/와", "으로/로", "이에요/예요", "이라/라", "이어야/여야", "이거나/거나")
_PARTICLE = re.compile(rf"\[({'|'.join(PARTICLES)})\]")
_DIGITS = dict(zip("0123456789", "영일이삼사오육칠팔구", strict=True))
_LETTERS_WITH_A_FINAL = "lmnrLMNR"  # 엘, 엠, 엔, 알


def with_particles(text):
    """Replace every choice of a Korean particle, such as [은/는], by the one that fits the sound before it."""
    return _PARTICLE.sub(lambda found: _fitting(text[: found.start()][-20:], *found[1].split("/")), text)


def particles():
    """Return what another program needs to choose as ``with_particles`` does; None in a language without choices."""
    if _state["code"] != "ko":
        return None
    return dict(choices=PARTICLES, digits=_DIGITS, letters=_LETTERS_WITH_A_FINAL)


def _fitting(before, after_consonant, after_vowel):
    last = next((char for char in reversed(before) if char.isalnum() or char == "%"), "")  # 퍼센트
    last = _DIGITS.get(last, last)
    if "가" <= last <= "힣":
        final = (ord(last) - ord("가")) % 28
        if final == 8 and after_consonant == "으로":  # ㄹ: 칠로, 서울로
            return after_vowel
        return after_consonant if final else after_vowel
    if last in _LETTERS_WITH_A_FINAL and last:
        return after_vowel if after_consonant == "으로" and last in "lrLR" else after_consonant
    return after_vowel
