"""Say a meaning in English.

Each word comes with its units, the parts of the meaning that it carries: `("calls", {"v"})`. Words of two languages
that share a unit belong together; that is the whole of the gold alignment. `say` returns such pairs, marks included.

Units: `s`, `o`, `r`, `p` and a part (`o.noun0`, `o.det`) for subject, object, receiver and place, `v` for the verb,
`do` for the auxiliary "do", `m` for a modal verb, `not`, `b` for "is", `c` for an adjective or profession after it,
`t.` and `f.` for time and frequency, `q` for who, what and where. The units of a second clause begin with `2`, those of
a relative clause with `w`.
"""

from dataset.lexicon import ADJECTIVES, FREQUENCIES, IN, PREPOSITIONS, TIMES, VEHICLES, Person

BE = {"present": ("am", "are", "is"), "past": ("was", "were", "was")}
THAT_PAST = {"know": "knew", "think": "thought", "say": "said"}


def say(sentence):
    """The tokens of a `dataset.meanings.Sentence`: a list of (word, set of units)."""
    end = {"statement": ".", "question": "?", "command": "!"}[sentence.mood]
    words = {"question": _question, "command": _command}.get(sentence.mood, _statement)(sentence.main, "")
    if sentence.second is not None:
        second = _statement(sentence.second, "2")
        joint = [(sentence.joint, {"j"})]
        if sentence.joint in ("when", "although"):
            words = [*joint, *second, (",", {"comma"}), *words]
        else:
            words = [*words, *joint, *second]
    return [*words, (end, {"end"})]


def number(subject):
    """0, 1 or 2 for the verb forms of "I", of "you" and plurals, and of "she"; None is "who" or "it"."""
    if subject is None:
        return 2
    if isinstance(subject.head, Person):
        return 1 if subject.head.plural or subject.head.person == 2 else 0 if subject.head.person == 1 else 2
    return 1 if subject.plural else 2


def _statement(clause, c):
    return [*_time(clause, c, first=True), *_subject(clause, c), *_core(clause, c), *_time(clause, c)]


def _question(clause, c):
    asked = [(clause.question.capitalize(), {"q"})] if clause.question else []
    if clause.question == "who":
        return asked + _core(clause, c)
    auxiliary, *verbs = _verbs(clause, c, inverted=True)
    words = [*asked, auxiliary, *_subject(clause, c), *_frequency(clause, c), *verbs]
    return [*words, *_rest(clause, c), *_time(clause, c)]


def _command(clause, c):
    return [*_verbs(clause, c, command=True), *_rest(clause, c)]


def _core(clause, c):
    """What follows the subject: the verbs, with "often" before the main verb, and their phrases."""
    verbs = _verbs(clause, c)
    at = next((i for i, (_, units) in enumerate(verbs) if f"{c}v" in units), len(verbs))
    return [*verbs[:at], *_frequency(clause, c), *verbs[at:], *_rest(clause, c)]


def _subject(clause, c):
    if clause.subject is None:
        return [] if clause.question or c.endswith("w") else [("it", {f"{c}it"})]
    return _phrase(clause.subject, f"{c}s", c)


def _verbs(clause, c, inverted=False, command=False):
    """The verbs and "not". inverted: the first is one that can stand before the subject; command: no ending."""
    who, negation = number(clause.subject), [("not", {f"{c}not"})] if clause.negative else []
    if clause.verb in ("adjective", "profession", "there"):
        return [(BE[clause.tense][who], {f"{c}b"}), *negation]
    if clause.verb in ("rain", "snow"):
        return [(clause.verb + ("s" if clause.tense == "present" else "ed"), {f"{c}v"})]
    if clause.verb in ("know", "think", "say"):
        present = clause.verb + "s" if who == 2 else clause.verb
        return [(THAT_PAST[clause.verb] if clause.tense == "past" else present, {f"{c}v"})]
    base = [(word, {f"{c}v"}) for word in clause.verb.key.split()]
    if clause.modal in ("can", "will", "must"):
        if clause.modal == "can" and clause.negative:
            return [("cannot", {f"{c}m", f"{c}not"}), *base]
        return [(clause.modal, {f"{c}m"}), *negation, *base]
    if clause.modal == "want":
        base = [("to", set()), *base]
        if not clause.negative and not inverted:
            return [("wants" if who == 2 else "want", {f"{c}m"}), *base]
        base = [("want", {f"{c}m"}), *base]
    if clause.negative or inverted:
        do = "do" if command else "did" if clause.tense == "past" else "does" if who == 2 else "do"
        return [(do, {f"{c}do"}), *negation, *base]
    if command:
        return base
    form = clause.verb.past if clause.tense == "past" else clause.verb.third if who == 2 else clause.verb.key
    return [(word, {f"{c}v"}) for word in form.split()]


def _rest(clause, c):
    """Receiver, object, complement, place and vehicle, in this order (but: explains it to her)."""
    words = []
    receiver = _phrase(clause.receiver, f"{c}r", c) if clause.receiver is not None else []
    explains = receiver and "to" in clause.verb.flags
    if not explains:
        words += receiver
    if clause.thing is not None:
        if clause.verb.preposition:
            words.append((clause.verb.preposition, {f"{c}op"}))
        words += _phrase(clause.thing, f"{c}o", c)
    if explains:
        words += [("to", {f"{c}r.prep"}), *receiver]
    if clause.verb == "adjective":
        words.append((clause.complement, {f"{c}c"}))
    if clause.verb == "profession":
        article = _article("a", clause.complement)
        words += [(article, {f"{c}c.det"}), *((word, {f"{c}c"}) for word in clause.complement.split())]
    words += _place(clause, c)
    if clause.vehicle:
        words += _fixed(VEHICLES[clause.vehicle].english, f"{c}vehicle")
    return words


def _place(clause, c):
    place = clause.place
    if place is None:
        return []
    if place.spot is not None:
        preposition = place.spot.english
    else:
        own = "in" if place.town else PREPOSITIONS.get(place.noun.key, IN)[0]
        preposition = getattr(clause.verb, "preposition", "") if clause.thing is None else ""
        preposition = preposition if preposition in ("to", "at") else own
    words = [(word, {f"{c}p.prep"}) for word in preposition.split()]
    if place.town:
        return [*words, (place.town, {f"{c}p.noun0"})]
    return [*words, ("the", {f"{c}p.det"}), *_noun(place.noun.key, f"{c}p")]


def _time(clause, c, first=False):
    return _fixed(TIMES[clause.time].english, f"{c}t") if clause.time and clause.time_first == first else []


def _frequency(clause, c):
    return _fixed(FREQUENCIES[clause.frequency].english, f"{c}f") if clause.frequency else []


def _fixed(words, unit):
    return [(word, {f"{unit}.{letter}" for letter in letters}) for word, letters in words]


def _phrase(phrase, unit, c):
    if isinstance(phrase.head, Person):
        return [(phrase.head.key, {f"{unit}.noun0"})]
    words = []
    noun = phrase.head.plural if phrase.plural else phrase.head.key
    if phrase.determiner:
        words.append((_article(phrase.determiner, phrase.adjective or noun), {f"{unit}.det"}))
    if phrase.adjective:
        words.append((ADJECTIVES[phrase.adjective].key, {f"{unit}.adj"}))
    words += _noun(noun, unit)
    if phrase.who is not None:
        words += [("who", {f"{c}who"}), *_core(phrase.who, f"{c}w")]
    return words


def _noun(text, unit):
    return [(word, {f"{unit}.noun{i}"}) for i, word in enumerate(text.split())]


def _article(determiner, following):
    """ "an" before a vowel; the one word in u that begins like "you" is university."""
    sounds = following[0] in "aeiou" and not following.startswith("uni")
    return "an" if determiner == "a" and sounds else determiner
