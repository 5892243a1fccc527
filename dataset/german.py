"""Say a meaning in German: endings, verb second or verb last, separable verbs, compounds.

See `dataset.english` for what `say` returns. Past is the perfect (hat ... gelesen), but war and hatte.
"""

from dataset.lexicon import ADJECTIVES, FREQUENCIES, IN, PREPOSITIONS, PROFESSIONS, TIMES, VEHICLES, Person, Verb

DEFINITE = {  # case, then gender or plural
    "nom": {"m": "der", "f": "die", "n": "das", "pl": "die"},
    "acc": {"m": "den", "f": "die", "n": "das", "pl": "die"},
    "dat": {"m": "dem", "f": "der", "n": "dem", "pl": "den"},
}
ENDINGS = {  # of dieser, and of an adjective without a word before it that shows the case
    "nom": {"m": "er", "f": "e", "n": "es", "pl": "e"},
    "acc": {"m": "en", "f": "e", "n": "es", "pl": "e"},
    "dat": {"m": "em", "f": "er", "n": "em", "pl": "en"},
}
EIN = {  # ein, kein, mein, unser: no ending where dieser has er or es
    "nom": {"m": "", "f": "e", "n": "", "pl": "e"},
    "acc": {"m": "en", "f": "e", "n": "", "pl": "e"},
    "dat": {"m": "em", "f": "er", "n": "em", "pl": "en"},
}
WEAK = {  # of an adjective after der or dieser
    "nom": {"m": "e", "f": "e", "n": "e", "pl": "en"},
    "acc": {"m": "en", "f": "e", "n": "e", "pl": "en"},
    "dat": {"m": "en", "f": "en", "n": "en", "pl": "en"},
}
STEMS = {"a": "ein", "no": "kein", "my": "mein", "our": "unser"}
NUMBERS = {"two": "zwei", "three": "drei"}
CONTRACTIONS = {"in dem": "im", "an dem": "am", "zu dem": "zum", "zu der": "zur", "in das": "ins", "an das": "ans"}
JOINTS = {"because": "weil", "before": "bevor", "although": "obwohl", "that": "dass"}
QUESTIONS = {"who": "wer", "what": "was", "where": "wo"}

# ich, du, er, and the plural (wir, sie)
SEIN = {"present": ("bin", "bist", "ist", "sind"), "past": ("war", "warst", "war", "waren")}
HABEN = {"present": ("habe", "hast", "hat", "haben"), "past": ("hatte", "hattest", "hatte", "hatten")}
MODALS = {
    "can": ("kann", "kannst", "kann", "können"),
    "must": ("muss", "musst", "muss", "müssen"),
    "want": ("will", "willst", "will", "wollen"),
    "will": ("werde", "wirst", "wird", "werden"),
}
THAT = {  # present, participle
    "know": (("weiß", "weißt", "weiß", "wissen"), "gewusst"),
    "think": (("denke", "denkst", "denkt", "denken"), "gedacht"),
    "say": (("sage", "sagst", "sagt", "sagen"), "gesagt"),
}
WEATHER = {"rain": ("regnet", "geregnet"), "snow": ("schneit", "geschneit")}


def say(sentence):
    """The tokens of a `dataset.meanings.Sentence`: a list of (word, set of units)."""
    main, second, joint = sentence.main, sentence.second, sentence.joint
    end = {"statement": ".", "question": "?", "command": "!"}[sentence.mood]
    if second is None:
        words = {"question": _question, "command": _command}.get(sentence.mood, _main)(main, "")
    elif joint in ("when", "although"):
        word = JOINTS.get(joint) or ("wenn" if second.tense == "present" else "als")
        words = [(word, {"j"}), *_last(second, "2"), (",", {"comma"}), *_verb_first(main, "")]
    else:
        words = [*_main(main, ""), (",", set()), (JOINTS[joint], {"j"}), *_last(second, "2")]
    return [*_without_double_comma(words), (end, {"end"})]


def _without_double_comma(words):
    return [word for i, word in enumerate(words) if word[0] != "," or i + 1 == len(words) or words[i + 1][0] != ","]


def number(subject):
    """0 to 3 for the verb forms of ich, du, er and the plural; None is wer, es, or a relative pronoun."""
    if subject is None:
        return 2
    if isinstance(subject.head, Person):
        return 3 if subject.head.plural else subject.head.person - 1
    return 3 if subject.plural else 2


def _main(clause, c):
    """Verb second."""
    first = _fixed(TIMES[clause.time].german, f"{c}t") if clause.time_first else []
    if first:
        return [*first, *_verb_first(clause, c)]
    (finite, end), subject = _verbs(clause, c), _subject(clause, c)
    return [*subject, finite, *_middle(clause, c), *end]


def _verb_first(clause, c, asks=False):
    finite, end = _verbs(clause, c, asks)
    return [finite, *_subject(clause, c), *_middle(clause, c), *end]


def _question(clause, c):
    asked = [(QUESTIONS[clause.question], {"q"})] if clause.question else []
    return [*asked, *_verb_first(clause, c, asks=clause.question != "who")]


def _command(clause, c):
    verb = clause.verb
    end = [(verb.prefix, {f"{c}v"})] if verb.prefix else []
    return [(verb.imperative, {f"{c}v", f"{c}do"}), *_middle(clause, c), *end]


def _last(clause, c):
    """Verb last, as after weil: the finite verb follows all others, and a separable verb is one word."""
    finite, end = _verbs(clause, c)
    if isinstance(clause.verb, Verb) and end == [(clause.verb.prefix, {f"{c}v"})]:
        form, units = finite
        return [*_subject(clause, c), *_middle(clause, c), *((word, units) for word in _joined(clause.verb, form))]
    return [*_subject(clause, c), *_middle(clause, c), *end, finite]


def _joined(verb, form):
    """Prefix and verb where they meet: anrufen; spazieren gehen is written as two words."""
    return f"{verb.prefix}{' ' if verb.prefix == 'spazieren' else ''}{form}".split()


def _subject(clause, c):
    if clause.subject is None:
        return [("es", {f"{c}it"})] if clause.verb in WEATHER else []
    return _phrase(clause.subject, "nom", f"{c}s", c)


def _verbs(clause, c, asks=False):
    """(finite verb, verbs and prefix at the end). asks: English has "do" here, for which the auxiliary stands."""
    verb, who, past = clause.verb, number(clause.subject), clause.tense == "past"
    if verb in ("adjective", "profession", "there"):
        return (SEIN[clause.tense][who], {f"{c}b"}), []
    if verb in WEATHER:
        present, participle = WEATHER[verb]
        return (("hat", {f"{c}v"}), [(participle, {f"{c}v"})]) if past else ((present, {f"{c}v"}), [])
    if verb in THAT:
        present, participle = THAT[verb]
        if past:
            return (HABEN["present"][who], {f"{c}v"}), [(participle, {f"{c}v"})]
        return (present[who], {f"{c}v"}), []
    if verb.key == "have" and not clause.modal:
        return (HABEN[clause.tense][who], {f"{c}v", f"{c}do"}), []
    if clause.modal:
        infinitive = _joined(verb, verb.infinitive)
        return (MODALS[clause.modal][who], {f"{c}m", f"{c}do"}), [(word, {f"{c}v"}) for word in infinitive]
    if past:
        auxiliary = (HABEN if verb.auxiliary == "haben" else SEIN)["present"][who]
        unit = f"{c}do" if clause.negative or asks else f"{c}v"
        return (auxiliary, {unit}), [(word, {f"{c}v"}) for word in verb.participle.split()]
    stem = verb.infinitive[:-2]
    first = "mag" if verb.key == "like" else stem + "e"
    form = (first, verb.second, verb.third_german, verb.infinitive)[who]
    return (form, {f"{c}v", f"{c}do"}), [(verb.prefix, {f"{c}v"})] if verb.prefix else []


def _middle(clause, c):
    """Between the two parts of the verb: time, receiver, definite object, nicht, place, indefinite object."""
    time = [] if clause.time_first or not clause.time else _fixed(TIMES[clause.time].german, f"{c}t")
    time += _fixed(FREQUENCIES[clause.frequency].german, f"{c}f") if clause.frequency else []
    receiver = _phrase(clause.receiver, "dat", f"{c}r", c) if clause.receiver is not None else []
    thing, definite, no = [], True, False
    if clause.thing is not None:
        phrase, case = clause.thing, clause.verb.case
        definite = isinstance(phrase.head, Person) or phrase.determiner in ("the", "this", "my", "our")
        no = clause.negative and not definite
        preposition = [] if case in ("acc", "dat") else [(case, {f"{c}op"})]
        thing = preposition + _phrase(phrase, "dat" if preposition else case, f"{c}o", c, no=no)
        definite = definite and not preposition
    complement = _complement(clause, c)
    negation = [("nicht", {f"{c}not"})] if clause.negative and not no and clause.verb != "profession" else []
    place = _vehicle(clause, c) + _place(clause, c)
    first = [*receiver, *(thing if definite else [])]
    first = [*first, *time] if negation else [*time, *first]
    last = [] if definite else thing
    if negation and clause.thing is not None:
        return [*first, *negation, *last, *place]  # nicht mit der Kollegin im Büro
    return [*first, *negation, *place, *last, *complement]


def _complement(clause, c):
    if clause.verb == "adjective":
        return [(ADJECTIVES[clause.complement].german, {f"{c}c"})]
    if clause.verb != "profession":
        return []
    man, woman, _ = PROFESSIONS[clause.complement]
    gender = clause.subject.head.gender if clause.subject is not None else "m"
    noun = (woman if gender == "f" else man, {f"{c}c"})
    if not clause.negative:
        return [noun]
    return [("kein" + EIN["nom"][gender], {f"{c}not", f"{c}c.det"}), noun]


def _vehicle(clause, c):
    return _fixed(VEHICLES[clause.vehicle].german, f"{c}vehicle") if clause.vehicle else []


def _place(clause, c):
    place = clause.place
    if place is None:
        return []
    unit = f"{c}p.prep"
    if place.town:
        return [("nach" if place.to else "in", {unit}), (place.town, {f"{c}p.noun0"})]
    if place.spot is not None:
        preposition, case = place.spot.german, place.spot.case
    else:
        _, there, towards = PREPOSITIONS.get(place.noun.key, IN)
        preposition, case = towards.split() if place.to else (there, "dat")
    article = DEFINITE[case][place.noun.gender]
    short = CONTRACTIONS.get(f"{preposition} {article}")
    words = [(short, {unit, f"{c}p.det"})] if short else [(preposition, {unit}), (article, {f"{c}p.det"})]
    return [*words, _noun(place.noun, case, False, f"{c}p")]


def _fixed(words, unit):
    return [(word, {f"{unit}.{letter}" for letter in letters}) for word, letters in words]


def _phrase(phrase, case, unit, c, no=False):
    """The phrase in a case. no: with kein instead of ein or nothing."""
    if isinstance(phrase.head, Person):
        return [(phrase.head.german, {f"{unit}.noun0"})]
    kind = "pl" if phrase.plural else phrase.head.gender
    determiner = "no" if no else phrase.determiner
    words, endings = [], ENDINGS
    if determiner in ("the", "this"):
        word = DEFINITE[case][kind] if determiner == "the" else "dies" + ENDINGS[case][kind]
        words, endings = [(word, {f"{unit}.det"})], WEAK
    elif determiner in STEMS:
        ending = EIN[case][kind]
        words = [(STEMS[determiner] + ending, {f"{unit}.det"} | ({f"{c}not"} if no else set()))]
        endings = WEAK if ending else ENDINGS
    elif determiner in NUMBERS:
        words = [(NUMBERS[determiner], {f"{unit}.det"})]
    if phrase.adjective:
        words.append((ADJECTIVES[phrase.adjective].german_stem + endings[case][kind], {f"{unit}.adj"}))
    words.append(_noun(phrase.head, case, phrase.plural, unit))
    if phrase.who is not None:
        relative = (DEFINITE["nom"][kind], {f"{c}who"})
        words += [(",", set()), relative, *_last(phrase.who, f"{c}w"), (",", set())]
    return words


def _noun(noun, case, plural, unit):
    """One word, whose parts are the words of the English noun: Apfelkuchen, apple cake."""
    if plural:
        text = noun.german_plural
        text += "n" if case == "dat" and text[-1] not in "ns" else ""
    else:
        text = noun.german if case == "nom" else noun.oblique
    return text, {f"{unit}.noun{i}" for i in range(len(noun.key.split()))}
