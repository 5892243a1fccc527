"""Words and marks, vocabularies of words, files of sentence pairs, batches of like length."""

import gzip
import re

import numpy as np
import pytest

from dataset import multi30k
from dataset.sequence import Vocab
from dataset.words import (
    END_ID,
    LANGUAGES,
    MARKS,
    PAD_ID,
    START_ID,
    UNKNOWN_ID,
    WordVocab,
    detokenize,
    length_batches,
    read_lines,
    read_pairs,
    tokenize,
)

# --- tokens --------------------------------------------------------------------------------------------------------

# What spacy.blank("de") and spacy.blank("en") of spaCy 3.8 give, in lower case.
CUT = [
    ("de", "Zwei junge weiße Männer sind im Freien.", "zwei junge weiße männer sind im freien ."),
    ("de", "Ein Mädchen, das ein T-Shirt trägt", "ein mädchen , das ein t-shirt trägt"),
    ("de", "Dr. Müller kommt am 3. Mai, z.B. um 10:30.", "dr. müller kommt am 3. mai , z.b. um 10:30."),
    ("de", "„Schön!“, sagt er (leise).", "„ schön ! “ , sagt er ( leise ) ."),
    ("de", "Ein Mann/eine Frau mit der Nr. 23", "ein mann / eine frau mit der nr. 23"),
    ("de", "Er – groß und grün – rennt ...", "er – groß und grün – rennt ..."),
    ("de", "1,5 km² und 20% vom 2-3 Jährigen", "1,5 km² und 20 % vom 2 - 3 jährigen"),
    ("en", "A man in a t-shirt isn't here.", "a man in a t - shirt is n't here ."),
    ("en", "The man's dogs' house", "the man 's dogs ' house"),
    ("en", "They're what we'll see; I'd say you've won", "they 're what we 'll see ; i 'd say you 've won"),
    ("en", "He cannot leave at 5 o'clock.", "he can not leave at 5 o'clock ."),
    ("en", 'A sign says "Stop!" (in red).', 'a sign says " stop ! " ( in red ) .'),
    ("en", "Mr. Smith of St. Louis has number 23.", "mr. smith of st. louis has number 23 ."),
    ("en", "black/white, 3,000 people... and more", "black / white , 3,000 people ... and more"),
    ("en", "  blanks \t and\u00a0more  ", "blanks and more"),
    ("ko", "나는 책을 읽었다.", "나는 책을 읽었다 ."),
]


@pytest.mark.parametrize(("language", "text", "tokens"), CUT)
def test_tokens(language, text, tokens):
    assert tokenize(text, language) == tokens.split()


def test_nothing_but_blanks_is_lost():
    for language in LANGUAGES:
        for _, text, _ in CUT:
            assert "".join(tokenize(text, language)) == "".join(text.split()).lower()
    assert tokenize("", "de") == []


def test_german_and_english_tokens_are_spacys():
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed; what it gives is frozen above")
    for language, text, tokens in CUT[:-1]:
        cut = [token.text.lower() for token in spacy.blank(language).tokenizer(text) if not token.text.isspace()]
        assert cut == tokens.split()


def test_an_unknown_language_is_an_error():
    with pytest.raises(ValueError, match="unknown language 'fr': choose one of de, en, ko"):
        tokenize("oui", "fr")


@pytest.mark.parametrize(
    "text",
    [
        "a man isn't at the dog's house (his own), is he?",
        'a sign says "stop here" in red.',
        "„schön!“, sagt er.",
        "two t-shirts and/or a hat; 3,000 people...",
        "a well-known man",
        "",
    ],
)
def test_detokenize_is_the_usual_spelling(text):
    language = "de" if "„" in text else "en"
    assert detokenize(tokenize(text, language)) == text


# --- vocabularies --------------------------------------------------------------------------------------------------

SENTENCES = ["A dog runs.", "A dog, a cat.", "The dog sleeps ."]


def test_a_vocabulary_counts_words():
    vocab = WordVocab.of(SENTENCES, "en", min_count=2)
    assert list(vocab.word_to_id) == [*MARKS, ".", "a", "dog"]  # each 3 times
    assert isinstance(vocab, Vocab)
    assert vocab.word_to_id is vocab.char_to_id
    assert [vocab.pad_id, vocab.start_id, vocab.end_id, vocab.unknown_id] == [0, 1, 2, 3]
    assert len(WordVocab.of(SENTENCES, "en")) == 4 + 8
    assert list(WordVocab.of([s.upper() for s in SENTENCES], "en").word_to_id) == list(
        WordVocab.of(SENTENCES, "en").word_to_id
    )


def test_encode_and_decode():
    vocab = WordVocab.of(SENTENCES, "en", min_count=2)
    ids = vocab.encode("A dog, a wolf.", width=9)
    np.testing.assert_array_equal(ids, [START_ID, 5, 6, UNKNOWN_ID, 5, UNKNOWN_ID, 4, END_ID, PAD_ID])
    np.testing.assert_array_equal(vocab.encode(["a", "dog"], marks=False), [5, 6])
    assert vocab.tokens(ids) == ["a", "dog", "<unk>", "a", "<unk>", "."]
    assert vocab.decode([*ids, 5, 6]) == "a dog <unk> a <unk>."  # nothing after the end mark
    with pytest.raises(ValueError, match=r"'A dog runs\.' is too long: 6 ids, at most 5 fit"):
        vocab.encode("A dog runs.", width=5)
    with pytest.raises(ValueError, match=r"unknown id 99 at position 1 \(the first is 0\): here has ids 0 to 4"):
        WordVocab(["a"], "en", "here").tokens([4, 99])
    with pytest.raises(ValueError, match=r"tokens takes one row of ids, shape \(T,\), not \(1, 2\)"):
        vocab.tokens([[1, 2]])


def test_encode_all_pads_to_the_longest():
    vocab = WordVocab.of(SENTENCES, "en")
    ids, lengths = vocab.encode_all(SENTENCES)
    np.testing.assert_array_equal(lengths, [6, 8, 6])
    assert ids.shape == (3, 8)
    np.testing.assert_array_equal((ids != PAD_ID).sum(axis=1), lengths)
    for row, sentence in zip(ids, SENTENCES, strict=True):
        np.testing.assert_array_equal(row, vocab.encode(sentence, width=8))
    assert vocab.encode_all([])[0].shape == (0, 0)


def test_a_mark_cannot_be_a_word():
    with pytest.raises(ValueError, match="mine: '<end>' is a mark of every vocabulary and cannot be a word"):
        WordVocab(["a", "<end>"], "en", "mine")
    assert "<pad>" not in list(WordVocab.of([["<pad>", "a"]], "en").word_to_id)[4:]


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        content = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


def test_two_files_packed_or_not(write):
    source, target = write("a.de.gz", "eins\nzwei\n"), write("a.en", "\ufeffone\r\ntwo\r\n\r\n")
    assert read_pairs(source, target) == (["eins", "zwei"], ["one", "two"])


def test_a_tab_separated_file_of_the_readers_own(write):
    path = write("own.tsv", "Go.\tGeh.\tCC-BY\nHi.\tHallo!\n")
    assert read_pairs(path) == (["Go.", "Hi."], ["Geh.", "Hallo!"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("eins\n\nzwei\n", "f.de:2: an empty line; there must be a sentence in each line"),
        ("", "f.de:1: the file is empty"),
        ("eins\nzwölf\n".encode("latin-1"), r"f.de:2: not UTF-8 text \(byte 0xF6\); save the file as UTF-8"),
    ],
)
def test_a_fault_is_named_with_file_and_line(write, content, message):
    with pytest.raises(ValueError, match=message):
        read_lines(write("f.de", content))


def test_files_that_do_not_belong_together(write):
    a, b = write("a.de", "eins\nzwei\ndrei\n"), write("a.en", "one\ntwo\n")
    with pytest.raises(ValueError, match=r"a\.de has 3 lines and .*a\.en has 2; .* but line 3 has no partner"):
        read_pairs(a, b)


@pytest.mark.parametrize("line", ["only one side", "left\t", "\tright"])
def test_a_line_without_a_translation(write, line):
    with pytest.raises(ValueError, match=r"f\.tsv:2: expected a sentence, a tab and its translation"):
        read_pairs(write("f.tsv", f"Go.\tGeh.\n{line}\nHi.\tHallo\n"))


def test_files_that_cannot_be_read(tmp_path, write):
    with pytest.raises(FileNotFoundError, match="cannot be read: No such file"):
        read_lines(tmp_path / "none")
    broken = tmp_path / "b.gz"
    broken.write_bytes(b"not packed")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        read_lines(broken)
    broken.write_bytes(gzip.compress(b"eins\n" * 1000)[:30])
    with pytest.raises(ValueError, match="ends in the middle; fetch it again"):
        read_lines(broken)


# --- batches -------------------------------------------------------------------------------------------------------


def test_batches_by_length_waste_little_and_hold_every_row_once():
    rng = np.random.default_rng(0)
    source = 3 + rng.poisson(11, 5000)
    lengths = np.stack((source, np.maximum(3, source + rng.integers(-3, 4, 5000))), axis=1)
    batches = length_batches(lengths, 128, rng=1)
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(5000))
    assert sorted(map(len, batches)) == [5000 % 128] + [128] * (5000 // 128)
    computed = sum(len(rows) * lengths[rows].max(axis=0) for rows in batches)
    assert (1 - lengths.sum(axis=0) / computed < (0.15, 0.03)).all()
    again, other = length_batches(lengths, 128, rng=1), length_batches(lengths, 128, rng=2)
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))
    assert any(len(a) != len(b) or (a != b).any() for a, b in zip(batches, other, strict=True))
    widths = [lengths[rows, 1].max() for rows in batches]
    assert widths != sorted(widths)


def test_without_a_source_of_randomness_batches_are_sorted():
    batches = length_batches(np.array([5, 3, 9, 3]), 2)
    assert [rows.tolist() for rows in batches] == [[1, 3], [0, 2]]
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        length_batches([1], 0)


# --- Multi30k itself, where it is ----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", multi30k.LANGUAGES)
def test_of_multi30k_nearly_every_line_is_cut_as_spacy_cuts_it(language):
    if not (multi30k.FOLDER / "train.de.gz").is_file():
        pytest.skip("Multi30k is not here: python -m dataset.multi30k")
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed; tests/README.md has the figure")
    cut = spacy.blank(language).tokenizer
    lines = [line for split in multi30k.SPLITS for line in multi30k.load(split, languages=(language,) * 2)[0]]
    same = [
        tokenize(line, language) == [token.text.lower() for token in cut(line) if not token.text.isspace()]
        for line in lines
    ]
    assert np.mean(same) > 0.9995


def test_of_multi30k_little_is_unknown_and_little_is_padding():
    if not (multi30k.FOLDER / "train.de.gz").is_file():
        pytest.skip("Multi30k is not here: python -m dataset.multi30k")
    sides = multi30k.load("train")
    lengths, shares = [], []
    for sentences, language in zip(sides, multi30k.LANGUAGES, strict=True):
        vocab = WordVocab.of(sentences, language, min_count=2)
        ids, length = vocab.encode_all(sentences)
        lengths.append(length)
        shares.append((ids == UNKNOWN_ID).sum() / length.sum())
        assert re.fullmatch(r"[78]\d\d\d|5[89]\d\d", str(len(vocab)))
    assert max(shares) < 0.04
    lengths = np.stack(lengths, axis=1)
    computed = sum(len(rows) * lengths[rows].max(axis=0) for rows in length_batches(lengths, 128, rng=0))
    assert (1 - lengths.sum(axis=0) / computed < 0.2).all()
