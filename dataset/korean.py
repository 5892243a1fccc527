"""Say a meaning in Korean: particles, verb last, subjects left out, in the polite style that ends in -요.

See `dataset.english` for what `say` returns. A word is what stands between two spaces: a noun and its particle, a stem
and its ending.
"""

from typing import NamedTuple

from dataset.lexicon import ADJECTIVES, FREQUENCIES, PROFESSIONS, TIMES, TOWNS, VEHICLES, Person, Verb
from dataset.meanings import bare

FIRST = 0xAC00  # 가; a syllable is FIRST + 588 * first consonant + 28 * vowel + final consonant
FINALS = {"ㄴ": 4, "ㄹ": 8, "ㅆ": 20}
# after a consonant: after a vowel
PARTICLES = {"은": "는", "이": "가", "을": "를", "과": "와", "이에": "예", "이었어": "였어"}
DETERMINERS = {"this": "이", "my": "제", "our": "우리"}
NUMBERS = {"two": "두", "three": "세"}
WEATHER = {"rain": "비가", "snow": "눈이"}


class Forms(NamedTuple):
    """What endings are added to: the stem, with 아 or 어, with (으). state: it conjugates as an adjective does."""

    stem: str
    a: str
    eu: str
    state: bool = False


DO, COME = Forms("하", "해", "하"), Forms("오", "와", "오")
THERE, NOT_THERE = Forms("있", "있어", "있으", True), Forms("없", "없어", "없으", True)
NEGATIVES = {"have": NOT_THERE, "know": Forms("모르", "몰라", "모르")}  # verbs with a word of their own for "not"
THAT = {
    "know": Forms("알", "알아", "아"),
    "think": Forms("생각하", "생각해", "생각하"),
    "say": Forms("말하", "말해", "말하"),
}
COMMANDS = {"eat": "드세요", "sleep": "주무세요"}  # politeness has words of its own


def say(sentence):
    """The tokens of a `dataset.meanings.Sentence`: a list of (word, set of units)."""
    main, second, joint = sentence.main, sentence.second, sentence.joint
    end = {"statement": ".", "question": "?", "command": "!"}[sentence.mood]
    if second is None:
        time, subject = _fixed(TIMES[main.time].korean, "t") if main.time else [], _topic(main, "")
        ending = _command if sentence.mood == "command" else _polite
        words = time + subject if main.time_first else subject + time
        words = [*words, *_rest(main, ""), *_predicate(main, "", ending)]
    elif joint == "that":
        words = [*_topic(main, ""), *_subject(second, "2"), *_rest(second, "2")]
        words += _predicate(second, "2", _fact if main.verb == "know" else _reported)
        words += _predicate(main, "", _polite)
    else:
        if _share_subject(main, second):
            before, between = [*_topic(main, ""), *_topic(second, "2")], []  # one of them is silent
        else:
            before, between = _subject(second, "2"), _topic(main, "")
        words = [*before, *_rest(second, "2"), *_predicate(second, "2", JOINTS[joint])]
        words += [*between, *_rest(main, ""), *_predicate(main, "", _polite)]
    return [*words, (end, {"end"})]


def with_particle(noun, particle):
    """The noun with a particle; of two forms (은, 는) the one that fits its last sound.

    >>> with_particle("책", "은"), with_particle("차", "은")
    ('책은', '차는')
    """
    if particle in PARTICLES and _final(noun) == 0:
        particle = PARTICLES[particle]
    return noun + particle


def _final(text):
    """The number of the final consonant of the last syllable, 0 after a vowel."""
    return (ord(text[-1]) - FIRST) % 28


def _add(text, final):
    """Put a final consonant under the last syllable, which has none: 가, ㄹ gives 갈."""
    return text[:-1] + chr(ord(text[-1]) + FINALS[final])


def _past(forms):
    return _add(forms.a, "ㅆ")


# Endings: functions (forms, tense, units, c) that return the last words of a clause.


def _polite(forms, tense, units, c):
    return [(_past(forms) + "어요" if tense == "past" else forms.a + "요", units)]


def _command(forms, tense, units, c):
    return [(forms.eu + "세요", units)]


def _because(forms, tense, units, c):
    return [((_past(forms) if tense == "past" else forms.stem) + "기", units), ("때문에", {"j"})]


def _before(forms, tense, units, c):
    return [(forms.stem + "기", units), ("전에", {"j"})]


def _when(forms, tense, units, c):
    return [(_past(forms) + "을" if tense == "past" else _add(forms.eu, "ㄹ"), units), ("때", {"j"})]


def _although(forms, tense, units, c):
    return [((_past(forms) if tense == "past" else forms.stem) + "지만", units | {"j"})]


def _reported(forms, tense, units, c):
    """-다고: what somebody thinks or says."""
    if tense == "past":
        form = _past(forms) + "다고"
    elif forms.state:
        form = forms.stem + "다고"
    elif _final(forms.stem) in (0, FINALS["ㄹ"]):
        form = _add(forms.eu, "ㄴ") + "다고"
    else:
        form = forms.stem + "는다고"
    return [(form, units | {"j"})]


def _fact(forms, tense, units, c):
    """-는 것을: what somebody knows."""
    return [*_before_noun(forms, tense, units, c), ("것을", {"j"})]


def _before_noun(forms, tense, units, c):
    return [(_adnominal(forms, tense), units)]


def _adnominal(forms, tense="present"):
    """The form before a noun: 읽는, 읽은, 큰, 있는."""
    if forms.state and tense == "past":
        return _past(forms) + "던"
    if tense == "past" or (forms.state and forms.stem[-1] not in "있없"):
        return _add(forms.eu, "ㄴ")
    return (forms.eu if _final(forms.stem) == FINALS["ㄹ"] else forms.stem) + "는"


JOINTS = {"because": _because, "before": _before, "when": _when, "although": _although}


def _predicate(clause, c, ending):
    """The verb with all its parts; `ending` goes to the last of them."""
    verb, tense, negative = clause.verb, clause.tense, clause.negative
    if verb == "profession":
        return _profession(clause, c)
    if verb in WEATHER:
        return [(WEATHER[verb], {f"{c}v"}), *ending(COME, tense, {f"{c}v"}, c)]
    if verb in THAT:
        return ending(THAT[verb], tense, {f"{c}v"}, c)
    no = {f"{c}not", f"{c}do"}
    if verb == "there":
        return ending(NOT_THERE if negative else THERE, tense, {f"{c}b"} | (no if negative else set()), c)
    if verb == "adjective":
        word = ADJECTIVES[clause.complement]
        forms, units, no = Forms(word.stem, word.a_form, word.eu_form, True), {f"{c}c", f"{c}b"}, {f"{c}not", f"{c}b"}
    else:
        forms = THERE if verb.key == "have" else Forms(verb.stem, verb.a_form, verb.eu_form)
        units = {f"{c}v", f"{c}do"}
    if clause.modal:
        return _modal(clause, c, forms)
    if not negative:
        if ending is _command and verb.key in COMMANDS:
            return [(COMMANDS[verb.key], units)]
        return ending(forms, tense, units, c)
    if isinstance(verb, Verb) and verb.key in NEGATIVES:
        return ending(NEGATIVES[verb.key], tense, units | no, c)
    units = units - no
    if ending is _command:
        return [(forms.stem + "지", units), ("마세요", no)]
    cannot = isinstance(verb, Verb) and verb.key == "understand"
    forms_of_not = Forms("못하", "못해", "못하") if cannot else Forms("않", "않아", "않으")
    return [(forms.stem + "지", units), *ending(forms_of_not, tense, no, c)]


def _modal(clause, c, forms):
    """can, must, want and will, always in the present and at the end of a sentence."""
    verb, modal, no = {f"{c}v"}, {f"{c}m", f"{c}do"}, {f"{c}not", f"{c}do"}
    if clause.modal == "can":
        end = ("없어요", modal | no) if clause.negative else ("있어요", modal)
        return [(_add(forms.eu, "ㄹ"), verb), ("수", modal), end]
    if clause.modal == "must":
        return [(forms.a + "야", verb), ("해요", modal)]
    if clause.modal == "will":
        if clause.negative:
            return [(forms.stem + "지", verb), ("않을", no), ("거예요", modal)]
        return [(_add(forms.eu, "ㄹ"), verb), ("거예요", modal)]
    words = [(forms.stem + "고", verb)]
    if clause.subject is not None and isinstance(clause.subject.head, Person) and clause.subject.head.person < 3:
        return words + ([("싶지", modal - no), ("않아요", no)] if clause.negative else [("싶어요", modal)])
    if clause.negative:
        return [*words, ("싶어", modal - no), ("하지", modal - no), ("않아요", no)]
    return [*words, ("싶어", modal), ("해요", modal)]


def _profession(clause, c):
    noun, units = PROFESSIONS[clause.complement][2], {f"{c}c", f"{c}b"}
    past = clause.tense == "past"
    if clause.negative:
        end = "아니었어요" if past else "아니에요"
        return [(with_particle(noun, "이"), {f"{c}c"}), (end, {f"{c}not", f"{c}b"})]
    return [(with_particle(noun, "이었어" if past else "이에") + "요", units)]


def _share_subject(main, second):
    """Whether what is left out in one clause is the subject of the other, not "I"."""
    if second.subject is None or second.subject.silent:
        return second.subject is not None
    return main.subject.silent and main.subject.head.key != "I"


def _topic(clause, c):
    """The subject of a main clause: 은 or 는, but 이 or 가 for "a ..."."""
    if clause.subject is None:
        return [("누가", {"q"})] if clause.question == "who" else []
    return _named(clause.subject, "이" if clause.subject.determiner == "a" else "은", c)


def _subject(clause, c):
    """The subject of another clause: 이 or 가."""
    return [] if clause.subject is None else _named(clause.subject, "이", c)


def _named(phrase, particle, c):
    if phrase.silent:
        return []
    if isinstance(phrase.head, Person) and " " in phrase.head.korean:
        topic, subject = phrase.head.korean.split()
        return [(topic if particle == "은" else subject, {f"{c}s.noun0"})]
    return _phrase(phrase, particle, f"{c}s", "a" if phrase.determiner == "a" else "the", c)


def _rest(clause, c):
    """All between subject and verb: frequency, vehicle, place, receiver, object."""
    words = _fixed(FREQUENCIES[clause.frequency].korean, f"{c}f") if clause.frequency else []
    words += _fixed(VEHICLES[clause.vehicle].korean, f"{c}vehicle") if clause.vehicle else []
    words += _place(clause, c)
    if clause.receiver is not None:
        words += _phrase(clause.receiver, "에게", f"{c}r", "the", c, {f"{c}r.prep"})
    if clause.question == "what":
        words.append((f"무엇{clause.verb.particle}", {"q"}))
    if clause.thing is not None:
        particle, noun = clause.verb.particle, clause.thing.head
        meant = "" if isinstance(noun, Person) else bare(clause.verb, noun)
        words += _phrase(clause.thing, particle, f"{c}o", meant, c, {f"{c}op"})
    return words


def _place(clause, c):
    acts = isinstance(clause.verb, Verb) and clause.verb.particle != "에" and "into" not in clause.verb.flags
    particle = "에서" if acts else "에"
    if clause.question == "where":
        return [(f"어디{particle}", {"q"})]
    place = clause.place
    if place is None:
        return []
    if place.town:
        return [(TOWNS[place.town] + particle, {f"{c}p.noun0", f"{c}p.prep"})]
    words = _noun(place.noun.korean, place.noun, f"{c}p")
    if place.spot is not None:
        return [*words, (place.spot.korean + particle, {f"{c}p.prep"})]
    *first, (last, units) = words
    return [*first, (last + particle, units | {f"{c}p.prep"})]


def _phrase(phrase, particle, unit, meant, c, extra=frozenset()):
    """A noun with its particle, and the words before it.

    meant: the determiner that a bare noun has here. extra: units of the particle.
    """
    if isinstance(phrase.head, Person):
        return [(with_particle(phrase.head.korean, particle), {f"{unit}.noun0"} | extra)]
    words = []
    if phrase.who is not None:
        words += [*_rest(phrase.who, f"{c}w"), *_predicate(phrase.who, f"{c}w", _before_noun)]
    if phrase.determiner in DETERMINERS:
        words.append((DETERMINERS[phrase.determiner], {f"{unit}.det"}))
    elif phrase.determiner == "the" and meant != "the":
        words.append(("그", {f"{unit}.det"}))
    if phrase.adjective:
        words.append((_attribute(ADJECTIVES[phrase.adjective]), {f"{unit}.adj"}))
    words += _noun(phrase.head.korean, phrase.head, unit)
    if phrase.determiner in NUMBERS:
        number = {f"{unit}.det"}
        return [*words, (NUMBERS[phrase.determiner], number), (with_particle(phrase.head.counter, particle), number)]
    *first, (last, units) = words
    return [*first, (with_particle(last + ("들" if phrase.plural else ""), particle), units | extra)]


def _attribute(adjective):
    if adjective.eu_form == "-":
        return adjective.stem  # 새 is always 새
    return _adnominal(Forms(adjective.stem, adjective.a_form, adjective.eu_form, True))


def _noun(text, noun, unit):
    """The words of a noun. Two in both languages go with each other one by one, else all with all."""
    words, units = text.split(), [f"{unit}.noun{i}" for i in range(len(noun.key.split()))]
    if len(words) == len(units):
        return [(word, {one}) for word, one in zip(words, units)]
    return [(word, set(units)) for word in words]


def _fixed(words, unit):
    return [(word, {f"{unit}.{letter}" for letter in letters}) for word, letters in words]
