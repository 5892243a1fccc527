"""What a sentence says before it is said in a language, and how such meanings are drawn.

A `Sentence` is one or two clauses and what joins them; a `Clause` is a verb (or an adjective, or a profession) with its
phrases. `dataset.english`, `dataset.german` and `dataset.korean` each say a sentence; none of them draws anything, so
the same meaning always gives the same three sentences.

Every distinction that English or German makes can be seen in Korean, too, or follows from a rule, so each of the three
sentences determines the other two. The rules, all of which hold in ordinary Korean as well:

- Where the subject is left out, it is "I" in a statement, "you" in a question, and the subject of the other clause
  where that has one.
- A subject with 은/는 is "the ...", one with 이/가 in a main clause "a ...".
- Objects say "the" (그) and "this" (이). A bare noun means what `bare` returns: "the" for people, animals and places
  and with verbs such as "open", else "a".
"""

from typing import NamedTuple

from dataset import lexicon
from dataset.lexicon import (
    ADJECTIVES,
    BESIDE,
    NAMES,
    NOUNS,
    ON_TOP,
    PRONOUNS,
    TOWNS,
    VERBS,
    Noun,
    Person,
    Spot,
    Verb,
    fits,
)


class Phrase(NamedTuple):
    """A noun, name or pronoun with what stands before it.

    determiner: the, a, this, my, our, "" (none), or a number, two or three. silent: Korean leaves it out.
    """

    head: Noun | Person
    determiner: str = ""
    adjective: str = ""
    plural: bool = False
    who: "Clause | None" = None  # a relative clause: the woman who sings
    silent: bool = False


class Place(NamedTuple):
    """Where something happens, or where somebody goes (`to`): a noun after a preposition, or a town."""

    noun: Noun | None
    town: str
    spot: Spot | None  # behind the house; None for the noun's own preposition
    to: bool


class Clause(NamedTuple):
    """verb is a `Verb`, or the name of a special one.

    "adjective" (is tired), "profession" (is a doctor), "there" (is in the garden), "rain", "snow".
    """

    subject: Phrase | None
    verb: Verb | str
    thing: Phrase | None = None  # the object
    receiver: Phrase | None = None
    place: Place | None = None
    complement: str = ""  # key of an adjective or a profession
    time: str = ""
    time_first: bool = False
    frequency: str = ""
    vehicle: str = ""
    tense: str = "present"  # or past
    modal: str = ""  # can, must, want, will
    negative: bool = False
    question: str = ""  # what, where, who: the part that is asked for


class Sentence(NamedTuple):
    """mood: statement, question, command. joint: how `second` belongs to `main`.

    "because" and "before" follow the main clause, "when" and "although" precede it; "know", "think" and "say" make
    `second` what somebody (the subject of `main`, whose verb this is) knows, thinks or says.
    """

    main: Clause
    mood: str = "statement"
    joint: str = ""
    second: Clause | None = None


KINDS = {
    "statement": 53,
    "question": 11,
    "asked": 6,
    "command": 6,
    "relative": 4,
    "because": 6,
    "before": 2,
    "when": 5,
    "although": 3,
    "that": 4,
}
THAT = ("know", "think", "say")
SHORT = tuple(verb for verb in VERBS.values() if "sub" in verb.flags)
INSTEAD = {"read": "write", "cut": "bake", "put on": "try on"}  # "I read" may be present or past


def _verbs_by_kind(table):
    return {kind: tuple(verbs.split(", ")) for kind, verbs in table.items()}


# What one does because one is tired, it rains ("weather") or somebody does something ("others"), and what although.
BECAUSE = _verbs_by_kind(
    {
        "tired": "sleep, stay, drink, wait, close, turn off",
        "sad": "cry, call, write, sing, stay, walk, drink, listen to, talk",
        "sick": "sleep, stay, drink, call, cry, wait",
        "happy": "sing, dance, laugh, call, greet, invite, bake, give, bring, talk, run",
        "hungry": "eat, cook, bake, cut, shop, cry",
        "weather": "stay, read, close, wait, drink, cook, bake, listen to, sleep, look for",
        "others": "wait, laugh, cry, sing, stay, go, come, close, open, turn on, turn off, tidy up, cook",
    }
)
ALTHOUGH = _verbs_by_kind(
    {
        "tired": "work, read, write, dance, run, study, tidy up, clean, repair, learn, play, cook",
        "sad": "laugh, sing, dance, work, play, greet, help",
        "sick": "work, swim, run, teach, dance, travel, play, shop, carry",
        "happy": "cry, stay, wait, work",
        "hungry": "wait, work, read, sing, swim, sell, play, give, write",
        "weather": "walk, run, swim, go, travel, play, wait, open, work, plant, shop, visit, paint",
        "others": "sleep, work, sing, laugh, read, write, turn on, dance, stay, play, listen to, eat",
    }
)
ACTIVE = tuple(key for key, verb in VERBS.items() if not {"state", "chance"} & verb.flags)
WHEN = BECAUSE | {"weather": BECAUSE["weather"] + ALTHOUGH["weather"], "others": ACTIVE}
STATES = ("tired", "sad", "sick", "happy", "hungry")


def bare(verb, noun):
    """What a Korean noun without a determiner means as an object: "the" or "a", "" for what is not counted."""
    if isinstance(verb, Verb) and "indef" in verb.flags:
        return "a"
    if isinstance(verb, Verb) and "def" in verb.flags:
        return "the"
    if noun.tags & {"person", "animal", "place", "opening"} or (noun.key == "house"):
        return "the"
    return "a" if noun.plural else ""


def pairs(sentence):
    """The combinations in a sentence: verb and object, verb and place, adjective and noun, as a set of tuples of keys.

    Subjects, receivers and names are not among them: who does something is free.
    """
    found = set()
    for clause in clauses(sentence):
        verb = _key(clause.verb)
        if clause.thing is not None and isinstance(clause.thing.head, Noun):
            found.add((verb, clause.thing.head.key))
        if clause.place is not None:
            found.add((verb, clause.place.town or clause.place.noun.key))
        if clause.verb == "adjective" and _is_thing(clause.subject.head):
            found.add((clause.complement, clause.subject.head.key))
        for phrase in (clause.subject, clause.thing, clause.receiver):
            if phrase is not None and phrase.adjective and _is_thing(phrase.head):
                found.add((phrase.adjective, phrase.head.key))
    return found


def draw_sentence(draw):
    """Draw one meaning; `draw` is a `dataset.generator.Draw`."""
    kind = draw.weighted(KINDS)
    while True:
        sentence = _MAKERS[kind](draw)
        if not _repeats(sentence):
            return sentence


def clauses(sentence):
    """All clauses of a sentence, those of relative clauses too."""
    found = [clause for clause in (sentence.main, sentence.second) if clause is not None]
    return found + [
        clause.subject.who for clause in found if clause.subject is not None and clause.subject.who is not None
    ]


def _repeats(sentence):
    """Whether a word comes twice where nobody would say it twice: the lawyer calls the lawyer, cleans the clean car."""
    used = []
    for clause in clauses(sentence):
        used.append(_key(clause.verb))
        for phrase in (clause.subject, clause.thing, clause.receiver):
            if phrase is not None and not phrase.silent:
                used += [phrase.head.key] + ([phrase.adjective] if phrase.adjective else [])
        if clause.place is not None:
            used.append(clause.place.town or clause.place.noun.key)
    return len(used) > len(set(used))


def _key(verb):
    return verb.key if isinstance(verb, Verb) else verb


def _statement(draw):
    tense, modal = _tense(draw)
    subject = _subject(draw, indefinite=True)
    verb = _predicate(draw)
    negative = draw.below(100) < 15 and subject.determiner != "a" and modal != "must"
    return Sentence(_clause(draw, subject, verb, tense, modal, negative, adverbs=True))


def _question(draw):
    tense, modal = _tense(draw)
    modal = "" if modal == "must" else modal  # "Must you ...?" is stiff
    subject = Phrase(PRONOUNS["you"], silent=True) if draw.below(2) else _subject(draw, first=False)
    clause = _clause(draw, subject, _predicate(draw), tense, modal, adverbs=True)
    return Sentence(clause._replace(time_first=False), "question")


def _asked(draw):
    """Who, what or where?"""
    what = draw.one_of(("what", "where", "who"))
    tense = draw.one_of(("present", "past"))
    if what == "who":
        verb = _verb(draw, lambda verb: verb.key != "have")
        clause = _clause(draw, Phrase(PRONOUNS["he"]), verb, tense)
        return Sentence(clause._replace(subject=None, question="who"), "question")
    subject = Phrase(PRONOUNS["you"], silent=True) if draw.below(2) else _subject(draw, first=False)
    if what == "what":
        verb = _verb(draw, _asks_what)
        return Sentence(Clause(subject, verb, question="what", tense=tense), "question")
    verb = _verb(draw, lambda verb: verb.places and not {"vehicle", "rec"} & verb.flags and verb.preposition != "to")
    clause = _clause(draw, subject, verb, tense)
    return Sentence(clause._replace(place=None, question="where"), "question")


def _command(draw):
    verb = _verb(draw, lambda verb: not {"state", "noimp", "chance"} & verb.flags)
    clause = _clause(draw, Phrase(PRONOUNS["you"], silent=True), verb, "present", negative=draw.below(4) == 0)
    return Sentence(clause, "command")


def _relative(draw):
    tense = draw.one_of(("present", "past"))
    head = _person(draw, lambda noun: "kin" not in noun.tags)
    who = _clause(draw, None, _verb(draw, lambda verb: "state" not in verb.flags), tense)
    subject = Phrase(head, "the", who=who)
    return Sentence(_clause(draw, subject, _predicate(draw), tense))


def _because(draw):
    tense = draw.one_of(("present", "past"))
    if draw.below(2):
        subject, state = _subject(draw, plain=True), draw.one_of(STATES)
        main = _clause(draw, subject, _one_of_verbs(draw, BECAUSE[state]), tense)
        second = Clause(_again(subject), "adjective", complement=state, tense=tense)
        return Sentence(main, joint="because", second=second)
    second = _circumstance(draw, tense)
    verb = _one_of_verbs(draw, BECAUSE[_kind_of(second)])
    return Sentence(_clause(draw, _other_subject(draw, second), verb, tense), joint="because", second=second)


def _before(draw):
    subject = _subject(draw, plain=True)
    first = _verb(draw, lambda verb: not {"state", "chance"} & verb.flags)
    then = _one_of_verbs(draw, ("sleep", "eat", "drink", "work", "dance", "sing", "open"))
    main = _clause(draw, subject, first, "present")
    second = _clause(draw, _again(subject), then, "present")
    return Sentence(main, joint="before", second=second)


def _when(draw):
    return _preceding(draw, "when", WHEN)


def _although(draw):
    return _preceding(draw, "although", ALTHOUGH)


def _preceding(draw, joint, verbs):
    """A second clause that comes first. verbs: which go with it, by what it says."""
    tense = draw.one_of(("present", "past"))
    if draw.below(2):
        subject, state = _subject(draw, plain=True), draw.one_of(STATES)
        second, again = Clause(subject, "adjective", complement=state, tense=tense), _again(subject)
    else:
        second = _circumstance(draw, tense)
        again = _other_subject(draw, second, named=second.subject is not None)
    verb = _one_of_verbs(draw, verbs[_kind_of(second)])
    return Sentence(_clause(draw, again, verb, tense), joint=joint, second=second)


def _kind_of(clause):
    if clause.verb == "adjective":
        return clause.complement
    return "weather" if clause.subject is None else "others"


def _one_of_verbs(draw, keys):
    return VERBS[draw.one_of(keys)]


def _that(draw):
    tense = draw.one_of(("present", "past"))
    second = _clause(draw, _subject(draw, first=False, plain=True), _predicate(draw, nouns=False), tense)
    main = Clause(_other_subject(draw, second), draw.one_of(THAT), tense="present" if draw.below(2) else tense)
    return Sentence(main, joint="that", second=second)


_MAKERS = {
    "statement": _statement,
    "question": _question,
    "asked": _asked,
    "command": _command,
    "relative": _relative,
    "because": _because,
    "before": _before,
    "when": _when,
    "although": _although,
    "that": _that,
}


def _asks_what(verb):
    """Whether one asks "What does he ...?": with all verbs but those that have to do with people."""
    return bool(verb.objects) and ("person" not in verb.objects or verb.key in ("see", "like"))


def _is_thing(head):
    return isinstance(head, Noun) and "person" not in head.tags


def _tense(draw):
    """(tense, modal)"""
    choice = draw.weighted({"present": 34, "past": 36, "can": 8, "must": 8, "want": 7, "will": 7})
    return (choice, "") if choice in ("present", "past") else ("present", choice)


def _verb(draw, wanted):
    return draw.one_of([verb for verb in VERBS.values() if wanted(verb)])


def _predicate(draw, nouns=True):
    """A verb, or the name of a special one."""
    choice = draw.weighted({"verb": 80, "adjective": 10, "there": 5, "profession": 5})
    if choice == "verb" or (choice == "profession" and not nouns):
        return draw.one_of(list(VERBS.values()))
    return choice


def _clause(draw, subject, verb, tense, modal="", negative=False, adverbs=False):
    """A clause with everything that its verb needs, and some of what it can have.

    The subject is changed where it cannot be that of the verb: things may be hot and in the kitchen, but do not read.
    """
    if verb == "adjective":
        subject, complement = _described(draw, subject)
        return Clause(subject, verb, complement=complement, tense=tense, negative=negative)
    if verb == "profession":
        return _has_profession(draw, subject, tense, negative)
    if verb == "there":
        subject, place = _located(draw, subject)
        return Clause(subject, verb, place=place, tense=tense, negative=negative)
    if {"state", "chance"} & verb.flags:
        modal = ""
    if verb.key in INSTEAD and not _third(subject) and tense == "past":
        verb = VERBS[INSTEAD[verb.key]]
    if adverbs:
        subject = _animal_now_and_then(draw, subject, verb)
    clause = Clause(subject, verb, tense=tense, modal=modal, negative=negative)
    clause = _with_thing(draw, clause)
    clause = _with_place(draw, clause)
    if "vehicle" in verb.flags:
        clause = clause._replace(vehicle=draw.one_of(list(lexicon.VEHICLES)))
    return _with_adverb(draw, clause) if adverbs else clause


def _third(subject):
    """Whether the subject takes "reads", not "read"."""
    if subject is None:
        return True
    if isinstance(subject.head, Person):
        return subject.head.person == 3 and not subject.head.plural
    return not subject.plural


def _with_thing(draw, clause):
    verb = clause.verb
    if not verb.objects or ("bare" in verb.flags and draw.below(3)):
        return clause
    key = draw.one_of(fits(verb.objects))
    thing = _object(draw, verb, NOUNS[key], clause.negative)
    receiver = None
    if "rec" in verb.flags:
        receiver = _object(draw, verb, _person(draw), False)
    return clause._replace(thing=thing, receiver=receiver)


def _with_place(draw, clause):
    verb = clause.verb
    must = verb.particle == "에" and not verb.objects
    if not verb.places or (not must and draw.below(100) < (66 if clause.thing else 40)):
        return clause
    return clause._replace(place=_place(draw, verb.places, to=verb.preposition == "to"))


def _place(draw, places, to=False):
    """Draw one of the places that a verb fits."""
    choices = [Place(NOUNS[key], "", None, to) for key in fits(tuple(word for word in places if word not in _SPECIAL))]
    if "town_name" in places:
        choices += [Place(None, town, None, to) for town in TOWNS]
    if "beside" in places:
        landmarks = fits(("landmark", *(word for word in places if word == "-tree")))
        choices += [Place(NOUNS[draw.one_of(landmarks)], "", spot, to) for spot in BESIDE]
    return draw.one_of(choices)


_SPECIAL = ("town_name", "beside", "-tree")


def _with_adverb(draw, clause):
    choice = draw.below(100)
    often = clause.thing is None or clause.thing.determiner not in ("a", "the", "this", "two", "three")
    if (
        choice < 12
        and often
        and not clause.negative
        and clause.modal in ("", "must")
        and "state" not in clause.verb.flags
    ):
        return clause._replace(frequency=draw.one_of(list(lexicon.FREQUENCIES)))
    if choice < 40:
        tense = "future" if clause.modal == "will" else clause.tense
        times = [key for key, tenses in lexicon.TENSES.items() if tense in tenses or clause.modal in tenses]
        if "state" in clause.verb.flags or clause.negative or clause.modal in ("can", "want"):
            times = ["today"] if tense == "present" and "state" not in clause.verb.flags else []
        times = [key for key in times if often or key != "every day"]
        if not times:
            return clause
        silent = clause.subject.silent or (clause.subject.head is PRONOUNS["I"])
        first = not silent and clause.subject.determiner != "a" and draw.below(2) == 0
        return clause._replace(time=draw.one_of(times), time_first=first)
    return clause


def _subject(draw, first=True, indefinite=False, plain=False):
    """A subject who acts: a person, a name or a pronoun.

    first: also "I" and "we"; indefinite: also "a woman"; plain: without an adjective, and only what one
    pronoun takes up in all languages (not das Mädchen, which is es and she).
    """
    choice = draw.weighted({"noun": 52, "name": 15, "first": 18, "pronoun": 15})
    if choice == "name":
        return Phrase(NAMES[draw.one_of(list(NAMES))])
    if choice == "first" and first:
        return Phrase(PRONOUNS["I"], silent=True) if draw.below(3) else Phrase(PRONOUNS["we"])
    if choice == "pronoun":
        return Phrase(PRONOUNS[draw.one_of(("he", "she", "they"))])
    head = _person(draw)
    plural = "group" in head.tags and (draw.below(4) == 0 or (plain and head.gender == "n"))
    if "kin" in head.tags:
        return Phrase(head, draw.one_of(("my", "our")))
    determiner = "the"
    if "close" in head.tags and draw.below(2):
        determiner = draw.one_of(("my", "our"))
    elif not plural and not plain:
        determiner = draw.weighted({"the": 80, "a": 13, "this": 7})
        if determiner == "a" and not indefinite:
            determiner = "the"
    adjective = _adjective_for(draw, head) if not plain and draw.below(100) < 15 else ""
    return Phrase(head, determiner, adjective, plural)


def _other_subject(draw, clause, named=False):
    """A subject that nobody takes for that of the clause. named: not he, she or they, who could be just that."""
    taken = clause.subject.head if clause.subject is not None else None
    while True:
        subject = _subject(draw, plain=True)
        third = _is_pronoun(subject) and subject.head.key in ("he", "she", "they")
        if subject.head != taken and not (third and (named or taken in PRONOUNS.values())):
            return subject


def _is_pronoun(phrase):
    return phrase.head in PRONOUNS.values()


def _again(subject):
    """The same subject as a pronoun, which Korean leaves out."""
    if _is_pronoun(subject):
        return subject._replace(silent=True)
    if subject.plural:
        return Phrase(PRONOUNS["they"], silent=True)
    gender = subject.head.gender
    return Phrase(PRONOUNS["she" if gender == "f" else "he"], silent=True)


def _circumstance(draw, tense):
    """A short clause with a subject of its own: it rains, the children sleep.

    The subject is not a pronoun: "because she is tired" would leave open who.
    """
    choice = draw.below(10)
    if choice < 3:
        return Clause(None, draw.one_of(("rain", "snow")), tense=tense)
    subject = _subject(draw, first=False, plain=True)
    while _is_pronoun(subject):
        subject = _subject(draw, first=False, plain=True)
    if choice < 5:
        return Clause(subject, "adjective", complement=draw.one_of(STATES), tense=tense)
    return _clause(draw, subject, draw.one_of(SHORT), tense)


def _person(draw, wanted=lambda noun: True):
    return draw.one_of([noun for noun in NOUNS.values() if "person" in noun.tags and wanted(noun)])


def _adjective_for(draw, noun, predicate=False):
    """An adjective that fits the noun, "" if there is none; predicate: one that can follow "is"."""
    choices = [
        adjective.key
        for adjective in ADJECTIVES.values()
        if noun.key in fits(adjective.tags)
        and not (predicate and adjective.a_form == "-")
        and not (adjective.key == "new" and noun.key == "bird")
    ]
    return draw.one_of(choices) if choices else ""


def _object(draw, verb, noun, negative):
    """The phrase for a noun as the object of a verb."""
    if "school_subject" in noun.tags or "sport" in noun.tags:
        return Phrase(noun)
    meant = bare(verb, noun)
    if "person" in noun.tags:
        if "kin" in noun.tags:
            return Phrase(noun, draw.one_of(("my", "our")))
        if draw.below(8) == 0:
            return Phrase(NAMES[draw.one_of(list(NAMES))])
        determiner = draw.one_of(("my", "our", "the")) if "close" in noun.tags else "the"
        plural = "group" in noun.tags and draw.below(4) == 0
        adjective = _adjective_for(draw, noun) if draw.below(100) < 12 else ""
        return Phrase(noun, determiner, adjective, plural)
    adjective = _adjective_for(draw, noun) if draw.below(100) < 20 else ""
    if not noun.plural:
        return Phrase(noun, draw.weighted({"": 75, "the": 17, "this": 8}), adjective)
    if meant == "the":
        determiner = draw.weighted({"the": 80, "this": 12, "our": 8})
        if determiner == "our" and not noun.tags & {"thing", "pet", "opening", "home"}:
            determiner = "the"
        return Phrase(noun, determiner, adjective)
    shares = {"a": 42, "the": 26, "this": 10, "my": 8, "two": 9, "three": 5}
    if isinstance(verb, Verb) and "indef" in verb.flags:
        shares = {"a": 76, "two": 16, "three": 8}
    determiner = draw.weighted(shares)
    if determiner in ("two", "three") and (negative or not noun.counter):
        determiner = "a"
    plural = determiner in ("two", "three") or (determiner == "the" and draw.below(4) == 0)
    return Phrase(noun, determiner, adjective, plural)


def _described(draw, subject):
    """(subject, adjective): half of the time a thing or an animal takes the place of the person."""
    if subject is None or subject.who is not None or subject.silent or subject.determiner == "a" or draw.below(3) == 0:
        if subject is not None and subject.determiner == "a":
            subject = subject._replace(determiner="the")
        person = NOUNS["friend"] if subject is None or isinstance(subject.head, Person) else subject.head
        if subject is not None:
            subject = subject._replace(adjective="")
        return subject, _adjective_for(draw, person, predicate=True)
    while True:
        noun = draw.one_of([noun for noun in NOUNS.values() if "person" not in noun.tags])
        adjective = _adjective_for(draw, noun, predicate=True)
        if adjective:
            determiner = draw.weighted({"the": 70, "this": 20, "my": 10})
            if determiner == "my" and not noun.tags & {"thing", "pet"}:
                determiner = "the"
            return Phrase(
                noun, determiner, plural=bool(noun.plural) and determiner == "the" and draw.below(5) == 0
            ), adjective


def _has_profession(draw, subject, tense, negative):
    """Only where the German noun shows by its gender who it is: Ärztin, Arzt."""
    people = [Phrase(name) for name in NAMES.values()] + [Phrase(PRONOUNS[key]) for key in ("he", "she")]
    people += [Phrase(NOUNS[key], "my") for key in ("brother", "sister", "cousin", "aunt", "uncle", "neighbor")]
    people += [Phrase(NOUNS[key], "this") for key in ("man", "woman")]
    if subject is None or subject.who is None:
        subject = draw.one_of(people)
    elif subject.head.key not in ("man", "woman"):
        subject = subject._replace(head=NOUNS[draw.one_of(("man", "woman"))])
    complement = draw.one_of(list(lexicon.PROFESSIONS))
    return Clause(subject, "profession", complement=complement, tense=tense, negative=negative)


def _located(draw, subject):
    """(subject, place): who or what is where."""
    if subject is None or subject.who is not None or subject.silent or draw.below(3) == 0:
        return subject, _place(draw, ("room", "outdoor", "town", "beside"))
    if draw.below(3) == 0:
        noun = NOUNS[draw.one_of(fits(("animal", "-bear", "-cow", "-horse")))]
        places = ("home", "outdoor", "-beach", "beside")
    else:
        noun = NOUNS[draw.one_of(fits(("light", "food", "-salad", "-soup", "toy")))]
        places = ("kitchen", "living_room", "bedroom", "office")
    place = _place(draw, places)
    if "thing" in noun.tags and draw.below(2):
        place = Place(NOUNS[draw.one_of(fits(("top",)))], "", draw.one_of(ON_TOP), False)
    determiner = subject.determiner if subject.determiner in ("a", "the", "my") else "the"
    if (not noun.plural and determiner == "a") or (determiner == "my" and "food" in noun.tags):
        determiner = "the"
    return Phrase(noun, determiner), place


def _animal_now_and_then(draw, subject, verb):
    if "animal" in verb.flags and subject is not None and subject.determiner in ("the", "a") and subject.who is None:
        if draw.below(3) == 0 and not subject.plural:
            noun = NOUNS[draw.one_of(fits(("animal",)))]
            if verb.key == "swim":
                noun = NOUNS[draw.one_of(("duck", "dog", "bear"))]
            return Phrase(noun, subject.determiner)
    return subject
