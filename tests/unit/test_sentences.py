"""Our own sentences: grammar checked by tables of this file alone, splits, alignments, generator and loader."""

import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import dataset
from dataset import lexicon, make_sentences, meanings, sentences
from dataset.generator import Draw

FOLDER = Path(dataset.__file__).parent
FILE = FOLDER / "sentences.txt"

# --- German, from a grammar book and not from dataset.german ---

GENDER = {
    **dict.fromkeys("Mann Junge Lehrer Koch Student Nachbar Gast Freund Bruder Hund Hase Bär Brief Roman".split(), "m"),
    **dict.fromkeys(
        "Kuchen Apfel Kaffee Saft Mantel Hut Schlüssel Tisch Schreibtisch Garten Park Bahnhof".split(), "m"
    ),
    **dict.fromkeys("Apfelkuchen Käse Regenschirm Fernseher Computer Koffer Film Markt Strand Wald".split(), "m"),
    **dict.fromkeys("Frau Ärztin Malerin Kollegin Schwester Tante Katze Zeitung Suppe Kartoffelsuppe".split(), "f"),
    **dict.fromkeys(
        "Banane Milch Jacke Tasche Uhr Lampe Kiste Blume Tür Frage Küche Schule Stadt Bibliothek".split(), "f"
    ),
    **dict.fromkeys("Kind Mädchen Pferd Buch Wörterbuch Brot Ei Wasser Bier Kleid Hemd Bild Radio Auto".split(), "n"),
    **dict.fromkeys("Fahrrad Geschenk Fenster Küchenfenster Wort Lied Wohnzimmer Büro Haus Museum Hotel".split(), "n"),
}
PLURAL_ONLY = set("Männer Kinder Studenten Freunde Nachbarn Gäste Bücher Briefe Zeitungen Äpfel Kleider Bilder".split())
PLURALS = {
    "Kuchen",
    "Apfelkuchen",
    "Lehrer",
    "Schlüssel",
    "Fernseher",
    "Computer",
    "Koffer",
    "Fenster",
    "Mädchen",
    "Wohnzimmer",
}
N_NOUNS = {"Junge": "Jungen", "Student": "Studenten", "Nachbar": "Nachbarn", "Hase": "Hasen", "Bär": "Bären"}
ARTICLES = {  # (case, gender): the forms of "the", "this", and the endings of ein, kein, mein, unser
    ("nom", "m"): ("der", "dieser", ""),
    ("nom", "f"): ("die", "diese", "e"),
    ("nom", "n"): ("das", "dieses", ""),
    ("nom", "p"): ("die", "diese", "e"),
    ("acc", "m"): ("den", "diesen", "en"),
    ("acc", "f"): ("die", "diese", "e"),
    ("acc", "n"): ("das", "dieses", ""),
    ("acc", "p"): ("die", "diese", "e"),
    ("dat", "m"): ("dem", "diesem", "em"),
    ("dat", "f"): ("der", "dieser", "er"),
    ("dat", "n"): ("dem", "diesem", "em"),
    ("dat", "p"): ("den", "diesen", "en"),
}
STRONG = {
    **{("nom", "m"): "er", ("nom", "f"): "e", ("nom", "n"): "es", ("nom", "p"): "e"},
    **{("acc", "m"): "en", ("acc", "f"): "e", ("acc", "n"): "es", ("acc", "p"): "e"},
    **{("dat", "m"): "em", ("dat", "f"): "er", ("dat", "n"): "em", ("dat", "p"): "en"},
}
SHORT = {"im": "in dem", "am": "an dem", "zum": "zu dem", "zur": "zu der", "ins": "in das", "ans": "an das"}
DATIVE = {"mit", "zu", "hinter", "vor", "neben", "unter", "nach"}
EITHER = {"in", "an", "auf"}
GOING = re.compile(r"\b(geh\w*|komm\w*|gegangen|gekommen|fahr\w*|fähr\w*|gefahren)\b", re.IGNORECASE)
DETERMINER = re.compile(r"(der|die|das|den|dem|dies\w+|(?:ein|kein|mein|unser)(?:e|en|em|er)?)", re.IGNORECASE)
SINGULAR = {"Ich": {"bin", "war", "hatte", "kann", "muss", "will", "mag", "weiß"}}
THIRD = {"ist", "war", "hat", "hatte", "kann", "muss", "will", "mag", "weiß", "wird"}
PREFIXES = {"an", "auf", "zu", "ein", "aus", "mit", "weg", "spazieren"}

# --- Korean, from Unicode ---

KOREAN = (
    "남자 여자 아이 소년 소녀 의사 교사 요리사 학생 손님 친구 이웃 동료 남동생 여동생 사촌 이모 삼촌 "
    "개 고양이 말 토끼 곰 책 신문 편지 소설 시 잡지 빵 케이크 수프 샐러드 생선 고기 치즈 "
    "피자 사과 달걀 커피 물 우유 와인 주스 코트 재킷 원피스 셔츠 모자 가방 우산 열쇠 사진 그림 "
    "컵 공 인형 의자 탁자 책상 램프 텔레비전 컴퓨터 자전거 자동차 상자 선물 꽃 창문 문 단어 질문 "
    "이름 음악 축구 농구 부엌 정원 공원 학교 도서관 사무실 역 안나 클라라 벤 막스 파울 준 권 "
    "마리 벌 대 개 장 송이"
).split()


def ends_in_consonant(word):
    """A Hangul syllable has code 0xAC00 + 28 * (consonant and vowel) + final consonant."""
    assert 0xAC00 <= ord(word[-1]) <= 0xD7A3, word
    return (ord(word[-1]) - 0xAC00) % 28 != 0


@pytest.fixture(scope="module")
def rows():
    """{split: [(English, German, Korean, German alignment, Korean alignment)]}, read without the library."""
    found, split = {}, None
    for line in FILE.read_text(encoding="utf-8").split("\n"):
        if line in ("# train", "# valid", "# test"):
            split = found.setdefault(line[2:], [])
        elif line and not line.startswith("#"):
            split.append(tuple(line.split("\t")))
    return found


@pytest.fixture(scope="module")
def every_row(rows):
    return [row for split in rows.values() for row in split]


@pytest.fixture(scope="module")
def made():
    """What the generator makes for the shipped file, once."""
    return make_sentences.make_text()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small file of another seed."""
    path = tmp_path_factory.mktemp("sentences") / "small.txt"
    assert make_sentences.main(["--lines", "5000", "--seed", "7", "--out", str(path)]) == 0
    return path


def words_of(text):
    return re.findall(r"\w+|[.,?!]", text)


# --- the file ---


def test_the_file_is_what_the_generator_makes(made):
    assert FILE.read_bytes() == made.encode("utf-8")


def test_the_file_has_the_promised_size(rows):
    assert FILE.stat().st_size <= 3_000_000
    assert {split: len(found) for split, found in rows.items()} == {"train": 18_000, "valid": 1_000, "test": 1_000}
    assert all(len(row) == 5 for found in rows.values() for row in found)


def test_no_sentence_occurs_twice_in_any_language(every_row):
    for language in range(3):
        assert len({row[language].lower() for row in every_row}) == len(every_row)


def test_each_sentence_determines_the_other_two(every_row, small):
    """Also across seeds: the same sentence in one language is the same in the others."""
    more = [line.split("\t")[:3] for line in small.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for language in range(3):
        known = {row[language].lower(): [text.lower() for text in row[:3]] for row in every_row}
        for row in more:
            texts = [text.lower() for text in row]
            assert known.setdefault(texts[language], texts) == texts


def test_the_words_of_the_other_splits_are_common_in_training(rows):
    for language in range(3):
        seen = Counter(word for row in rows["train"] for word in {word.lower() for word in words_of(row[language])})
        for split in ("valid", "test"):
            for row in rows[split]:
                for word in words_of(row[language]):
                    assert seen[word.lower()] >= 5, (word, row)


def test_every_sentence_has_natural_case_and_spaces(every_row):
    for english, german, korean, *_ in every_row:
        for text in (english, german, korean):
            assert re.fullmatch(r"\w+(,? \w+)*[.?!]", text), text
            assert text[0] == text[0].upper()
            assert sentences.tokens(text) == words_of(text)
        assert english[-1] == german[-1] == korean[-1]
        assert re.fullmatch(r"[가-힣 ]+[.?!]", korean), korean


def test_a_sentence_is_short(every_row):
    for text in (text for row in every_row for text in row[:3]):
        assert 2 <= len(words_of(text)) <= 22, text


# --- held-out combinations ---


@pytest.fixture(scope="module")
def combinations(every_row):
    """{English sentence of the file: its combinations}, from the meanings drawn once more."""
    wanted, draw, found = {row[0] for row in every_row}, Draw(random.Random(1984)), {}
    while len(found) < len(wanted):
        sentence = meanings.draw_sentence(draw)
        text = make_sentences.write(make_sentences.LANGUAGES["en"].say(sentence))
        if text in wanted:
            found[text] = meanings.pairs(sentence)
    return found


def test_each_held_out_sentence_has_a_combination_that_is_nowhere_else(rows, combinations):
    sets = {split: set().union(*(combinations[row[0]] for row in found)) for split, found in rows.items()}
    for split, other in (("valid", "test"), ("test", "valid")):
        new = sets[split] - sets["train"] - sets[other]
        assert len(new) >= 50
        for row in rows[split]:
            assert combinations[row[0]] & new, row[0]
            assert not combinations[row[0]] & sets[other] - sets["train"], row[0]


def test_both_words_of_a_held_out_combination_are_trained_with_others(rows, combinations):
    trained = set().union(*(combinations[row[0]] for row in rows["train"]))
    for split in ("valid", "test"):
        for one, other in set().union(*(combinations[row[0]] for row in rows[split])) - trained:
            assert sum(pair[0] == one for pair in trained) >= 2, one
            assert sum(other in pair for pair in trained) >= 2, other


def test_combinations_are_what_the_sentence_says(combinations):
    for text, pairs in list(combinations.items())[:3_000]:
        for _, noun in pairs:
            forms = {noun, lexicon.NOUNS[noun].plural} if noun in lexicon.NOUNS else {noun}
            assert any(form and form in text[0].lower() + text[1:] for form in forms), (noun, text)


# --- German ---


def german_phrases(german):
    """(preposition or None, determiner, adjectives, noun as written, position) of the nouns that GENDER knows."""
    words = words_of(german)
    nouns = set(GENDER) | PLURAL_ONLY | {word + "n" for word in PLURAL_ONLY} | set(N_NOUNS.values())
    for i, word in enumerate(words):
        if word not in nouns:
            continue
        start = i - 1
        adjective = words[start] if start > 0 and words[start][0].islower() and is_adjective(words[start]) else None
        start -= adjective is not None
        determiner = words[start] if start >= 0 else ""
        preposition = words[start - 1].lower() if start > 0 else None
        if determiner.lower() in SHORT:
            preposition, determiner = SHORT[determiner.lower()].split()
        relative = start > 0 and words[start - 1] == ","  # der Pfleger, der Brot schneidet
        if DETERMINER.fullmatch(determiner) and not relative:
            yield preposition, determiner.lower(), adjective, word, start


ADJECTIVE_STEMS = (
    "jung müd freundlich klug berühmt glücklich traurig krank arm faul hungrig groß klein neu alt teur "
    "billig schön rot blau weiß schwarz interessant langweilig lang schwierig wichtig lecker frisch heiß kalt süß "
    "warm schwer schmutzig sauber ruhig"
).split()


def is_adjective(word):
    return any(re.fullmatch(stem + "(e|en|em|er|es)", word) for stem in ADJECTIVE_STEMS)


def readings(determiner, adjective, noun):
    """The (case, gender) that the three agree in."""
    for (case, gender), (the, this, ending) in ARTICLES.items():
        strong = STRONG[case, gender]
        if gender == "p":
            base = noun[:-1] if case == "dat" and noun.endswith("n") and noun[:-1] in PLURAL_ONLY else noun
            ok = base in PLURAL_ONLY | PLURALS or noun in N_NOUNS.values()
            if case == "dat" and not noun.endswith("n"):
                ok = False
        else:
            base = next((singular for singular, oblique in N_NOUNS.items() if oblique == noun), noun)
            ok = GENDER.get(base) == gender
            if base in N_NOUNS:
                ok = ok and (noun == base) == (case == "nom")
        weak = "en" if gender == "p" or case == "dat" or (case, gender) == ("acc", "m") else "e"
        if determiner in (the, this):
            wanted = weak
        elif re.fullmatch(f"(ein|kein|mein|unser){ending}", determiner) and not (
            gender == "p" and determiner[:3] == "ein"
        ):
            wanted = weak if ending else strong
        else:
            continue
        if ok and (adjective is None or re.fullmatch(f"({'|'.join(ADJECTIVE_STEMS)}){wanted}", adjective)):
            yield case, gender


def test_german_articles_adjectives_and_nouns_agree(every_row):
    checked = 0
    for row in every_row:
        for preposition, determiner, adjective, noun, _ in german_phrases(row[1]):
            cases = {case for case, _ in readings(determiner, adjective, noun)}
            assert cases, (determiner, adjective, noun, row[1])
            if preposition in DATIVE:
                assert "dat" in cases, (preposition, determiner, noun, row[1])
            elif preposition in EITHER:
                assert "dat" in cases or ("acc" in cases and GOING.search(row[1])), row[1]
            checked += 1
    assert checked > 15_000


def test_the_checker_of_agreement_sees_a_wrong_ending():
    for wrong in (
        "die Mann",
        "ein Frau",
        "einen Buch",
        "der kluger Mann",
        "ein kluge Kind",
        "den Student",
        "dem Kinder",
    ):
        words = wrong.split()
        assert not list(readings(words[0], words[1] if len(words) == 3 else None, words[-1])), wrong
    assert set(readings("der", None, "Frau")) == {("dat", "f")}
    assert ("acc", "m") in set(readings("einen", "klugen", "Studenten"))


def test_the_subject_is_in_the_nominative_and_objects_are_not(every_row):
    """Sentences that begin with their subject, and verbs whose case is beyond doubt."""
    dative = dict.fromkeys("helfe hilft helfen folge folgt folgen antworte antwortet antworten".split(), "dat")
    accusative = dict.fromkeys("besuche besucht besuchen kaufe kauft kaufen lese liest lesen".split(), "acc")
    object_case, subjects = dative | accusative, {"Ich", "Er", "Sie", "Wir", *lexicon.NAMES}
    seen = Counter()
    for row in every_row:
        words = words_of(row[1])
        for before, determiner, adjective, noun, start in german_phrases(row[1]):
            cases = {case for case, _ in readings(determiner, adjective, noun)}
            length = 2 + (adjective is not None)
            if start == 0 and words[length] != ",":
                assert "nom" in cases, row[1]
                seen["subject"] += 1
            if start == 2 and before == words[1] in object_case and words[0] in subjects:
                assert object_case[words[1]] in cases, row[1]
                seen[object_case[words[1]]] += 1
    assert seen["subject"] > 3_000
    assert seen["dat"] >= 10
    assert seen["acc"] >= 10


def test_german_verbs_agree_with_their_subjects(every_row):
    names = set(lexicon.NAMES)
    seen = Counter()
    for english, german, *_ in every_row:
        first, verb = words_of(german)[:2]
        if first == "Ich":
            assert verb.endswith("e") or verb in SINGULAR["Ich"], german
        elif first == "Wir" or (first == "Sie" and english.startswith("They")):
            assert verb.endswith("en") or verb == "sind", german
        elif first in names or first == "Er" or (first == "Sie" and english.startswith("She")):
            assert verb in THIRD or verb.endswith("t"), german
        else:
            continue
        seen[first] += 1
    assert min(seen[first] for first in ("Ich", "Wir", "Sie", "Er", "Anna")) > 50


def test_german_verbs_are_last_after_a_conjunction(every_row):
    """The last word of such a clause is a finite verb: one that stands second elsewhere, perhaps with a prefix."""
    texts = [row[1] for row in every_row]
    finite = {words_of(text)[1] for text in texts if text.split()[0] in {"Ich", "Er", "Sie", "Wir", *lexicon.NAMES}}
    finite |= {words_of(text)[2] for text in texts if DETERMINER.fullmatch(text.split()[0])}
    finite |= {words_of(text)[0].lower() for text in texts if text.endswith("?")} | {"regnet", "schneit"}
    clauses = 0
    for row in every_row:
        for clause in re.findall(r"\b(?:weil|bevor|dass|[Oo]bwohl|[Ww]enn|[Aa]ls) ([^,.?!]+)", row[1]):
            last = clause.split()[-1]
            bare = [last] + [last.removeprefix(prefix) for prefix in PREFIXES if last.startswith(prefix)]
            assert finite & set(bare), (last, row[1])
            clauses += 1
    assert clauses > 3_000


def test_separated_verbs_align_with_the_same_english_words(every_row):
    separated = 0
    for _, german, _, alignment, _ in every_row:
        words, places = words_of(german), re.findall(r"\([^)]*\)|.", alignment)
        if words[-2] in PREFIXES and "," not in words and not {"muss", "kann"} & set(words) and words[-2] != "zu":
            verb = places[len(words) - 2]
            assert places.count(verb) >= 2 or any(set(verb) <= set(place) for place in places[: len(words) - 2]), german
            separated += 1
    assert separated > 300


def test_german_compounds_are_built_from_their_parts(every_row):
    nouns = {noun.german: noun for noun in lexicon.NOUNS.values()}
    compounds = [("Apfelkuchen", "Kuchen"), ("Kartoffelsuppe", "Suppe"), ("Tomatensalat", "Salat"), ("Apfelsaft", None)]
    compounds += [
        ("Küchenstuhl", "Stuhl"),
        ("Wintermantel", "Mantel"),
        ("Sommerkleid", "Kleid"),
        ("Gartentisch", "Tisch"),
    ]
    text = "\n".join(row[1] for row in every_row)
    for whole, head in compounds:
        assert whole in text
        if head is not None:
            assert nouns[whole].gender == nouns[head].gender
            assert nouns[whole].german_plural.lower().endswith(nouns[head].german_plural.lower())


def test_negation_is_kein_before_an_indefinite_object(every_row):
    for english, german, *_ in every_row:
        if re.search(r"\bnot\b|\bcannot\b", english):
            assert len(re.findall(r"\b(nicht|kein(?:e|en|em|er)?)\b", german)) == 1, german
            assert not re.search(r"\bnicht (ein \w|eine\b|einen\b)|\b(ein|eine|einen) \w.*\bnicht\b", german), german
        else:
            assert not re.search(r"\b(nicht|kein\w*)\b", german), german


# --- Korean ---


def test_korean_particles_fit_the_last_sound(every_row):
    after_consonant, after_vowel = {"은", "이", "을", "과", "이에요"}, {"는", "가", "를", "와", "예요"}
    checked = Counter()
    for row in every_row:
        for word in row[2][:-1].split():
            for noun in KOREAN:
                ending = word.removeprefix(noun)
                if ending != word and ending in after_consonant | after_vowel and word not in ("이가", "대가", "개는"):
                    assert ending in (after_consonant if ends_in_consonant(noun) else after_vowel), (word, row[2])
                    checked[ending] += 1
    assert set(checked) == after_consonant | after_vowel
    assert sum(checked.values()) > 10_000


def test_korean_ends_with_the_verb_in_the_polite_style(every_row):
    for english, _, korean, _, alignment in every_row:
        assert re.search(r"요[.?!]$", korean), korean
        assert korean.endswith("세요!") == english.endswith("!"), korean
        assert re.search(r"-$|-.$", alignment) is None  # the verb and the mark align


def test_korean_leaves_subjects_out_and_english_says_them(every_row):
    for english, _, korean, *_ in every_row:
        if re.match(r"I\b", english):
            assert not korean.startswith(("저는", "제가", "나는")), korean
        assert "당신" not in korean
    assert sum(english.startswith("I ") for english, *_ in every_row) > 1_000


def test_korean_past_follows_english(every_row):
    """ㅆ is final consonant 20; the last word of a past sentence has it before 어요, that of a present one has not."""
    for english, german, korean, *_ in every_row:
        last = korean[:-1].split()[-1]
        past = re.search("[^있없]어요$", last) is not None and (ord(last[-3]) - 0xAC00) % 28 == 20
        if re.fullmatch(r"(Did|Was|Were) .*", english):
            assert past, korean
        if re.match(r"(Does|Do|Can|Will|Is|Are)\b", english) and "," not in german:
            assert not past, korean


# --- English ---


def test_english_articles_and_verbs_agree(every_row):
    vowel = re.compile(r"\b(a|an) (\w)")
    for english, *_ in every_row:
        for article, letter in vowel.findall(english.lower()):
            assert (article == "an") == (letter in "aeiou"), english
        assert not re.search(r"\b(I|They|We) (is|was not were|has|does)\b", english)
        assert not re.search(r"^(He|She|Anna|Paul) (are|have|do|am)\b", english)


# --- alignments ---

FUNCTION = set("a an the do does did to that who it i you he she we they".split())


@pytest.mark.parametrize("pair", ["de-en", "ko-en", "en-de", "en-ko", "de-ko", "ko-de"])
def test_links_are_in_range_and_give_the_mask(pair):
    data = sentences.load(pair)
    for split in data:
        for example in split[::17]:
            target, source = words_of(example.target), words_of(example.source)
            mask = sentences.gold_mask(example)
            assert mask.shape == (len(target), len(source))
            assert mask.dtype == bool
            assert {tuple(link) for link in np.argwhere(mask).tolist()} == set(example.links)
            assert mask[-1, -1]
            assert mask[-1].sum() == mask[:, -1].sum() == 1


@pytest.mark.parametrize("pair", ["de-en", "ko-en"])
def test_every_content_word_is_aligned(pair):
    data = sentences.load(pair)
    for example in (example for split in data for example in split):
        target, source = words_of(example.target), words_of(example.source)
        targets, sources = ({link[side] for link in example.links} for side in (0, 1))
        for i, word in enumerate(target):
            assert i in targets or word.lower() in FUNCTION | {","}, (word, example)
        for i, word in enumerate(source):
            by_train = word == "dem" and source[i - 1] == "mit"  # mit dem Zug, by train
            assert i in sources or word in (",", "그") or by_train, (word, example)


def test_alignments_say_what_a_reader_would():
    examples = (example for split in sentences.load("de-en") for example in split)
    example = next(e for e in examples if re.fullmatch(r"\w+ ruft (den|die) \w+ an\.", e.source))
    assert [link for link in example.links if link[0] == words_of(example.target).index("calls")] == [(1, 1), (1, 4)]

    draw, found = Draw(random.Random(3)), set()
    for _ in range(3_000):
        sentence = meanings.draw_sentence(draw)
        said = {name: module.say(sentence) for name, module in make_sentences.LANGUAGES.items()}
        for word, units in said["de"]:
            for other, theirs in said["en"]:
                if units & theirs:
                    found.add((word, other))
    for link in [("im", "in"), ("im", "the"), ("Apfelkuchen", "apple"), ("Apfelkuchen", "cake"), ("hat", "did")]:
        assert link in found, link
    for link in [("im", "garden"), ("Apfelkuchen", "the"), (",", "the"), ("nicht", "the")]:
        assert link not in found, link


def test_a_translation_through_english_agrees_with_itself():
    """German-Korean links are those through English, and turning the pair around turns the links around."""
    for one, two in (("de-ko", "ko-de"), ("en-de", "de-en")):
        for a, b in zip(sentences.load(one).test, sentences.load(two).test):
            assert (a.source, a.target) == (b.target, b.source)
            assert sorted((s, t) for t, s in a.links) == list(b.links)


# --- loader ---


def test_load_gives_the_sentences_of_the_file(rows):
    data = sentences.load("ko-de")
    for split in ("train", "valid", "test"):
        found = [(example.source, example.target) for example in getattr(data, split)]
        assert found == [(row[2], row[1]) for row in rows[split]]


def test_load_takes_another_file(small):
    data = sentences.load("en-de", path=small)
    assert [len(split) for split in data] == [4_500, 250, 250]
    assert data.train[0] != sentences.load("en-de").train[0]


@pytest.mark.parametrize("pair", ["en", "en-en", "en-fr", "en de", "", "en-de-ko", None, ("en", "de")])
def test_an_unknown_pair_is_refused(pair):
    with pytest.raises(ValueError, match=r"unknown pair .*: name source and target, two of en, de, ko, such as"):
        sentences.load(pair)


def test_a_missing_file_names_the_command(tmp_path, monkeypatch):
    with pytest.raises(
        FileNotFoundError, match=r"no sentences in .*x\.txt: make them with `python -m .* --out .*x\.txt`"
    ):
        sentences.load("de-en", tmp_path / "x.txt")
    monkeypatch.setattr(sentences, "FILE", tmp_path / "sentences.txt")
    with pytest.raises(FileNotFoundError, match=r"make them with `python -m dataset\.make_sentences`, run in"):
        sentences.load("de-en")


GOOD = "She reads.\tSie liest.\t그녀는 읽어요.\t012\t012"
PARTS = "# train\n{}\n# valid\n{}\n# test\n{}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD, r"1: a sentence before the first of the lines '# train', '# valid', '# test'"),
        (PARTS.format(GOOD, "a\tb", GOOD), "4: 2 fields separated by tabs, but there must be 5"),
        (
            PARTS.format(GOOD.replace("\t012\t", "\t01\t"), GOOD, GOOD),
            "2: the German alignment '01' must have one place",
        ),
        (PARTS.format(GOOD[:-3] + "0(1)2", GOOD, GOOD), r"2: the Korean alignment '0\(1\)2' must have one place"),
        (PARTS.format(GOOD, GOOD, GOOD[:-1] + "3"), "6: the Korean alignment '013' names token 3; .* 0 to 2"),
        ("# train\n" + GOOD, "no sentences under '# valid'"),
        ("", "no sentences under '# train'"),
    ],
)
def test_a_fault_in_the_file_is_named_with_its_line(content, message, tmp_path):
    path = tmp_path / "my.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}:? ?{message}.*make the file anew with"):
        sentences.load("de-en", path)


def test_a_file_that_is_not_utf8_is_named_with_its_line(tmp_path):
    path = tmp_path / "my.txt"
    path.write_bytes(b"# train\n\xff\n")
    with pytest.raises(ValueError, match=r"my\.txt:2: not UTF-8 text"):
        sentences.load("de-en", path)


def test_gold_mask_pads_and_refuses_to_cut():
    example = sentences.Example("Sie liest.", "She reads.", ((0, 0), (1, 1), (2, 2)))
    mask = sentences.gold_mask(example, rows=5, columns=4)
    assert np.argwhere(mask).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert mask.shape == (5, 4)
    with pytest.raises(ValueError, match=r"have 3 and 3 tokens, but the mask has only 2 rows and 3 columns"):
        sentences.gold_mask(example, rows=2)


# --- the program ---


def test_check_compares_without_writing(small, capsys, monkeypatch):
    text = small.read_text(encoding="utf-8")
    monkeypatch.setattr(make_sentences, "make_text", lambda lines, seed: text if (lines, seed) == (5000, 7) else "")
    arguments = ["--lines", "5000", "--seed", "7", "--out", str(small), "--check"]
    assert make_sentences.main(arguments) == 0
    before = small.read_bytes()
    changed = small.with_name("changed.txt")
    changed.write_bytes(before + b"# more\n")
    assert make_sentences.main([*arguments[:-2], str(changed), "--check"]) == 1
    assert changed.read_bytes() == before + b"# more\n"
    assert "out of date" in capsys.readouterr().out


def test_the_seed_is_the_callers(small):
    text = small.read_text(encoding="utf-8")
    assert make_sentences.make_text(5000, 7) == text != make_sentences.make_text(5000, 8)


@pytest.mark.parametrize("lines", ["0", "4999", "30001"])
def test_a_number_of_lines_that_cannot_be_made_is_refused(lines, tmp_path, capsys):
    with pytest.raises(SystemExit):
        make_sentences.main(["--lines", lines, "--out", str(tmp_path / "x.txt")])
    assert f"--lines must be 5000 to 30000, got {lines}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make_sentences, "make_text", lambda lines, seed: "# train\n")
    for out, reason in ((tmp_path, "Is a directory"), (tmp_path / "no" / "x.txt", "No such file or directory")):
        with pytest.raises(SystemExit):
            make_sentences.main(["--out", str(out)])
        assert f"--out: cannot write {str(out)!r}: {reason}; name a file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        make_sentences.main(["--out", str(tmp_path / "x.txt"), "--check"])
    assert "cannot read" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    path.write_text("old", encoding="utf-8")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(make_sentences.os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        make_sentences._write_atomically(path, b"new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_tables_name_only_what_exists():
    for verb in lexicon.VERBS.values():
        lexicon.fits(verb.objects)
        assert lexicon.fits(tuple(place for place in verb.places if place not in meanings._SPECIAL)) or (
            not verb.places or "town_name" in verb.places
        )
    for table in (meanings.BECAUSE, meanings.ALTHOUGH):
        assert all(key in lexicon.VERBS for keys in table.values() for key in keys)
    with pytest.raises(ValueError, match="'nonsense' is neither a tag nor a noun"):
        lexicon.fits(("nonsense",))


def test_the_same_bytes_in_a_process_of_its_own(small):
    """Nothing depends on the order of sets, which changes from process to process."""
    command = [
        sys.executable,
        "-m",
        "dataset.make_sentences",
        "--lines",
        "5000",
        "--seed",
        "7",
        "--check",
        "--out",
        str(small),
    ]
    done = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
