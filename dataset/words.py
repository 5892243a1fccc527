"""Sentences as arrays of word ids: words and marks, vocabularies, padding, batches of like length.

source, target = words.read_pairs("train.de", "train.en")  # or one file with a tab in each line
vocab = words.WordVocab.of(source, "de", min_count=2)
ids, lengths = vocab.encode_all(source)  # (N, T), padded, and (N,)
for rows in words.length_batches(lengths, 128, rng=0):
    xs = ids[rows, : lengths[rows].max()]
"""

import gzip
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dataset.sequence import Vocab, split_lines

PAD, START, END, UNKNOWN = MARKS = ("<pad>", "<start>", "<end>", "<unk>")
PAD_ID, START_ID, END_ID, UNKNOWN_ID = range(4)

# --- words and marks ---------------------------------------------------------------------------------------------

_LOWER = "a-zß-öø-ÿāăąćčďęěğğıłńňőœřśşšťůűźżž"
_UPPER = "A-ZÀ-ÖØ-ÞŁŚŞŠŽ"
_LETTER = _LOWER + _UPPER
_QUOTES = "'\"“”„‚‘’´`«»‹›"
_MARKS = r"…,:;!?¿¡()\[\]{}<>_#*&" + _QUOTES
_UNITS = "km|km²|m|m²|cm|cm²|mm|ha|ft|kg|g|mg|t|lb|oz|mph|kmh|hPa|Pa|mb|MB|GB|kb|KB|TB|T|G|M|K|%"


class _Rules(NamedTuple):
    """How a language is cut: what stands before and after a word, what divides one, and what stays whole."""

    prefix: re.Pattern
    suffix: re.Pattern
    infix: re.Pattern
    whole: frozenset  # in lower case
    clitics: re.Pattern  # two groups: a word and what leans on it


_GERMAN_WHOLE = """
    a.d. a.m. a.z. abb. abk. abs. abt. abzgl. allg. apr. aug. b.a. b.sc. bd. betr. bhf. biol. bsp. bspw. bzgl. bzw.
    ca. chr. cie. co. d.c. d.h. dez. dgl. di. dipl. do. dr. e.g. e.v. ebd. ehem. eigtl. engl. entspr. erm. etc. ev.
    evtl. fa. fam. feb. fr. frl. frz. g.m.b.h. geb. gebr. gegr. gem. ggf. ggfs. h.c. hbf. hg. hr. hrn. hrsg. i.a.
    i.d.r. i.e. i.o. i.v. ii. iii. inc. incl. ing. inkl. insb. iv. jan. jh. jhd. jr. jul. jun. jur. k.o. kath. lat.
    lt. m.a. m.e. m.sc. max. mi. min. mind. mio. mo. mr. mrd. mrz. mtl. mwst. n.chr. n.y. n.y.c. nat. nov. nr. o.a.
    o.g. o.k. o.ä. okt. orig. p.a. p.s. pers. phil. pkt. prof. red. rer. röm. s.o. sa. sen. sep. sept. so. sog. st.
    std. stellv. str. tel. tsd. tägl. u.a. u.s. u.s.a. u.s.w. univ. usf. usw. uvm. v.a. v.chr. vgl. vllt. vol. vs.
    wiss. z.b. z.t. z.zt. zzgl. österr.
"""
_ENGLISH_WHOLE = """
    a.m. p.m. adm. apr. aug. bros. co. corp. d.c. dec. dr. e.g. feb. gen. gov. i.e. inc. jan. jr. jul. jun. ltd. mr.
    mrs. ms. mt. n.y. nov. oct. ph.d. prof. rep. rev. sen. sep. sept. st. va. vs. wash. o'clock ma'am 'em 'cause
"""


def _single(letters):
    """Return the abbreviations of one letter: 'a.' and so on."""
    return {letter + "." for letter in letters}


_RULES = {
    "de": _Rules(
        prefix=re.compile(rf"\.\.+|``|[{_MARKS}§%=—–$£€]|\+(?![0-9])"),
        suffix=re.compile(
            rf"(?:\.\.+|''|[{_MARKS}/]|(?<=[0-9])(?:\+|[$£€]|{_UNITS})"
            rf"|(?<=[{_LOWER}%²\-+{_MARKS}])\.|(?<=[{_UPPER}][{_UPPER}])\.)$"
        ),
        infix=re.compile(
            rf"\.\.+|…|(?<=[{_LOWER}])\.(?=[{_UPPER}])|(?<=[{_LETTER}])[,!?:<>=](?=[{_LETTER}])"
            rf"|(?<=[0-9{_LETTER}])/(?=[0-9{_LETTER}])|(?<=[{_LETTER}])[{_QUOTES[1:]}()\[\]](?=[{_LETTER}])"
            rf"|(?<=[{_LETTER}])--(?=[{_LETTER}])|(?<=[0-9])-(?=[0-9])"
        ),
        whole=frozenset({*_GERMAN_WHOLE.split(), *_single("abcdefghijklmnopqrstuvwxyzäöü")}),
        clitics=re.compile(r"(auf|du|er|hinter|ich|ihr|sie|unter|vor|wir|über)(['’][sm])", re.I),
    ),
    "en": _Rules(
        prefix=re.compile(rf"\.\.+|[{_MARKS}§%=—–$£€]|\+(?![0-9])"),
        suffix=re.compile(
            rf"(?:\.\.+|['’][sS]|[{_MARKS}—–]|(?<=[0-9])(?:\+|[$£€]|{_UNITS})"
            rf"|(?<=[0-9{_LOWER}%²\-+{_MARKS}])\.|(?<=[{_UPPER}][{_UPPER}])\.)$"
        ),
        infix=re.compile(
            rf"\.\.+|…|(?<=[0-9])[+\-*^](?=[0-9-])|(?<=[{_LOWER}{_QUOTES}])\.(?=[{_UPPER}{_QUOTES}])"
            rf"|(?<=[{_LETTER}]),(?=[{_LETTER}])|(?<=[{_LETTER}])(?:--+|[-–—~])(?=[{_LETTER}])"
            rf"|(?<=[{_LETTER}0-9])[:<>=/](?=[{_LETTER}])"
        ),
        whole=frozenset({*_ENGLISH_WHOLE.split(), *_single("abcdefghijklmnopqrstuvwxyz")}),
        clitics=re.compile(r"(.+?)(n['’]t|['’](?:ll|re|ve|d|m))|(can)(not)", re.I),
    ),
}
_RULES["ko"] = _RULES["en"]._replace(
    suffix=re.compile(rf"(?:\.\.+|[{_MARKS}.])$"), whole=frozenset(), clitics=re.compile(r"(?!)")
)
LANGUAGES = tuple(_RULES)


def tokenize(text, language):
    """Return the words and marks of a text as a list, in lower case.

    German and English are cut as the blank tokenizers of spaCy do it: marks stand alone, abbreviations and ordinals
    keep their period (`dr.`, German `3.`), English clitics and hyphens are cut off (`do n't`, `man 's`, `t - shirt`),
    German hyphens are not. Korean is cut at blanks and marks.

    Args: language, one of LANGUAGES. Raises: ValueError for another one.
    """
    if language not in _RULES:
        raise ValueError(f"unknown language {language!r}: choose one of {', '.join(LANGUAGES)}")
    rules = _RULES[language]
    return [token.lower() for chunk in text.split() for token in _cut(chunk, rules)]


def _cut(chunk, rules):
    """Return the tokens of a text without blanks: marks off its ends, then what is left divided."""
    front, back = [], []
    while chunk and chunk.lower() not in rules.whole:
        if clitic := rules.clitics.fullmatch(chunk):
            word, rest = (group for group in clitic.groups() if group)
            chunk, back = word, [rest, *back]
        elif mark := rules.prefix.match(chunk):
            front.append(mark[0])
            chunk = chunk[mark.end() :]
        elif mark := rules.suffix.search(chunk):
            back = [mark[0], *back]
            chunk = chunk[: mark.start()]
        else:
            break
    if chunk.lower() in rules.whole:
        return [*front, chunk, *back]
    place, middle = 0, []
    for mark in rules.infix.finditer(chunk):
        middle += [chunk[place : mark.start()], mark[0]]
        place = mark.end()
    return [*front, *filter(None, [*middle, chunk[place:]]), *back]


def detokenize(tokens):
    """Return tokens as a text: no blank before a period or after a bracket, clitics and hyphens joined again.

    It is the usual spelling, not always that of the text: a dash that had blanks around it loses them.
    """
    text, quoted = "", False
    glue = True  # whether the next token follows without a blank
    for k, token in enumerate(tokens):
        joins = token in ("-", "/") and 0 < k < len(tokens) - 1
        opens = token in ("(", "[", "{", "„", "«", "‚") or (token in ('"', "“") and not quoted)
        clings = token in CLINGING or CLITIC.fullmatch(token) is not None or (token in ('"', "“", "”") and not opens)
        text += token if glue or clings or joins else " " + token
        if token in ('"', "“", "”", "„"):
            quoted = opens
        glue = opens or joins
    return text


# What joins the word before it; the page on the web reads both (ch08/web/sentences.js).
CLINGING = frozenset([".", "..", "...", ",", ":", ";", "!", "?", ")", "]", "}", "»", "…", "%", "’", "'"])
CLITIC = re.compile(r"n['’]t|['’](?:s|m|d|re|ve|ll)")


# --- vocabularies ------------------------------------------------------------------------------------------------


class WordVocab(Vocab):
    """The words of a language, numbered from 4 on; 0 to 3 are padding, start, end and unknown word.

    A Vocab whose characters are words: the dicts `char_to_id` and `id_to_char` go by the names `word_to_id` and
    `id_to_word`, too. `WordVocab.of` counts the words of sentences.

    Args: words, without the four marks; language, for `tokenize`; source, where the words come from, for messages.
    Raises: ValueError for a word that is one of the marks.
    """

    pad_id, start_id, end_id, unknown_id = PAD_ID, START_ID, END_ID, UNKNOWN_ID

    def __init__(self, words, language, source="this vocabulary"):
        words = list(words)
        if marks := sorted(set(MARKS) & set(words)):
            raise ValueError(f"{source}: {marks[0]!r} is a mark of every vocabulary and cannot be a word")
        super().__init__([*MARKS, *words], source=source)
        self.language = language
        self.word_to_id, self.id_to_word = self.char_to_id, self.id_to_char

    @classmethod
    def of(cls, sentences, language, min_count=1, source="this vocabulary"):
        """The vocabulary of all words that the sentences have at least `min_count` times, the most frequent first."""
        counts = Counter(token for sentence in sentences for token in _tokens(sentence, language))
        for mark in MARKS:
            counts.pop(mark, None)
        kept = [word for word, count in counts.items() if count >= min_count]
        return cls(sorted(kept, key=lambda word: (-counts[word], word)), language, source)

    def encode(self, text, width=None, marks=True):
        """Turn a sentence, a str or a list of tokens, into ids (T,); a word that is not known becomes `unknown_id`.

        Args: width, the length to pad to; marks, whether the start and the end mark stand around the words.
        Raises: ValueError if the sentence is longer than `width`.
        """
        ids = [self.word_to_id.get(token, UNKNOWN_ID) for token in _tokens(text, self.language)]
        if marks:
            ids = [START_ID, *ids, END_ID]
        if width is not None and len(ids) > width:
            raise ValueError(f"{text!r} is too long: {len(ids)} ids, at most {width} fit")
        return np.array(ids + [PAD_ID] * (0 if width is None else width - len(ids)), dtype=np.int64)

    def encode_all(self, sentences, marks=True):
        """Turn N sentences into ids (N, T), padded to the longest, and their lengths (N,) with the marks."""
        rows = [self.encode(sentence, marks=marks) for sentence in sentences]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        ids = np.full((len(rows), lengths.max(initial=0)), PAD_ID)
        for k, row in enumerate(rows):
            ids[k, : len(row)] = row
        return ids, lengths

    def tokens(self, ids):
        """Return the words of ids (T,), a list: up to the end mark, without padding and start marks."""
        ids = np.asarray(ids)
        if ids.ndim != 1:
            raise ValueError(f"tokens takes one row of ids, shape (T,), not {ids.shape}: take each row by itself")
        found = []
        for position, i in enumerate(ids.tolist()):
            if i == END_ID:
                break
            if i not in self.id_to_word:
                raise ValueError(
                    f"unknown id {i} at position {position} (the first is 0): "
                    f"{self.source} has ids 0 to {len(self) - 1}"
                )
            if i not in (PAD_ID, START_ID):
                found.append(self.id_to_word[i])
        return found

    def decode(self, ids):
        """Turn ids (T,) into a text: `detokenize` of their `tokens`."""
        return detokenize(self.tokens(ids))


def _tokens(sentence, language):
    return tokenize(sentence, language) if isinstance(sentence, str) else list(sentence)


# --- files -------------------------------------------------------------------------------------------------------


def read_lines(path):
    """The sentences of a UTF-8 file, one a line; a name that ends in `.gz` is unpacked.

    Raises: OSError if it cannot be read; ValueError, as `file:line: what is wrong`, for an empty line, bytes that are
    not UTF-8, a file without lines, or one that cannot be unpacked.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except gzip.BadGzipFile as error:
        raise ValueError(f"{path}: cannot be unpacked ({error}); fetch it again") from None
    except EOFError:
        raise ValueError(f"{path}: ends in the middle; fetch it again") from None
    except OSError as error:
        raise type(error)(f"{path} cannot be read: {error.strerror}") from None
    lines = split_lines(path, raw)
    if not lines:
        raise ValueError(f"{path}:1: the file is empty; expected a sentence in each line")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise ValueError(f"{path}:{number}: an empty line; there must be a sentence in each line")
    return [line.strip() for line in lines]


def read_pairs(path, other=None):
    """Sentences and their translations: two lists of N str.

    Args: two files whose lines belong together, or one with `sentence<tab>translation` in each line; what follows
    after another tab, such as a source, is left out.
    Raises: as `read_lines`; ValueError for files of different lengths, and for a line without a tab or with an empty
    side.
    """
    if other is not None:
        lines, others = read_lines(path), read_lines(other)
        if len(lines) != len(others):
            raise ValueError(
                f"{path} has {len(lines)} lines and {other} has {len(others)}; line k of one must translate line k of "
                f"the other, but line {min(len(lines), len(others)) + 1} has no partner"
            )
        return lines, others
    pairs = []
    for number, line in enumerate(read_lines(path), start=1):
        parts = [part.strip() for part in line.split("\t")[:2]]
        if len(parts) < 2 or not all(parts):
            raise ValueError(f"{path}:{number}: expected a sentence, a tab and its translation, got {line[:80]!r}")
        pairs.append(parts)
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


# --- batches -----------------------------------------------------------------------------------------------------


def length_batches(lengths, batch_size, rng=None):
    """Return a list of arrays of row numbers: batches whose rows have like lengths, so that little is padding.

    Every row is in one batch; the last batch may be smaller.

    Args: lengths (N,), or (N, 2) of sentences and translations: rows are sorted by the last column, then by the first.
    rng, a Generator or a seed: rows of equal length are mixed and the batches come in random order; None: sorted.
    """
    lengths = np.asarray(lengths).reshape(len(lengths), -1)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    order = np.arange(len(lengths))
    if rng is not None:
        rng = np.random.default_rng(rng)
        order = rng.permutation(len(lengths))
    order = order[np.lexsort(lengths[order].T)]
    batches = [order[k : k + batch_size] for k in range(0, len(order), batch_size)]
    if rng is not None:
        batches = [batches[k] for k in rng.permutation(len(batches))]
    return batches
