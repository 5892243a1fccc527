"""Sub-words: learning them, cutting words and joining them again; a corpus and a translator of sub-words."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ch08.luong_seq2seq import LuongSeq2seq
from ch08.recipes.translation import Translation, subword_corpus, translation_model
from common import subwords
from common.metrics import bleu
from dataset.words import MARKS, UNKNOWN_ID
from tests.unit.test_translation_task import small_corpus

PIECES = {"fuß", "##ball", "##spieler", "##s", "##p", "spiel", "##er", "a", "##b", "ab"}


def test_the_longest_piece_is_cut_off_first():
    assert subwords.cut(["fußballspieler", "spieler"], PIECES) == ["fuß", "##ball", "##spieler", "spiel", "##er"]
    assert subwords.cut(["abb", "ab"], PIECES) == ["ab", "##b", "ab"]
    assert subwords.cut([], PIECES) == []


def test_a_word_that_the_pieces_cannot_write_stays_whole():
    assert subwords.cut(["ballspieler", "fußbad"], PIECES) == ["ballspieler", "fußbad"]


def test_join_begins_a_word_where_none_has_begun():
    assert subwords.join(["##ball", "fuß", "##ball", "##", "a"]) == ["ball", "fußball", "##", "a"]
    assert subwords.join([]) == []


@given(st.lists(st.text("abc", min_size=1, max_size=9), max_size=6))
def test_join_undoes_cut(words):
    pieces = {"a", "b", "c", "##a", "##b", "##c", "ab", "##bca", "cab", "##cc"}
    found = subwords.cut(words, pieces)
    assert subwords.join(found) == words
    assert set(found) <= pieces


SENTENCES = [["haus", "haustür", "tür"], ["türen", "häuser", "haus"], ["hausboot", "boote", "boot"]] * 5


def test_learned_pieces_write_every_word():
    pieces = subwords.learn(SENTENCES, 40)
    assert len(pieces) == len(set(pieces)) <= 40
    assert not set(pieces) & set(MARKS)
    assert "haus" in pieces  # it is frequent
    for sentence in SENTENCES:
        found = subwords.cut(sentence, set(pieces))
        assert subwords.join(found) == sentence
    assert set(subwords.cut(["haustüren"], set(pieces))) <= set(pieces)


def test_another_process_learns_the_same_pieces():
    """A checkpoint is of no use if the vocabulary is another one when the training goes on."""
    code = f"from common import subwords; print(subwords.learn({SENTENCES!r}, 40))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == str(subwords.learn(SENTENCES, 40))


def test_too_few_pieces_for_the_letters():
    with pytest.raises(ValueError, match=r"the sentences have \d+ letters, which do not fit into 5 sub-words"):
        subwords.learn(SENTENCES, 5)


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match="pip install tokenizers"):
        subwords.learn(SENTENCES, 40)


def test_a_corpus_of_subwords():
    corpus = subword_corpus(small_corpus(), 30)
    assert corpus.train.links is None
    assert corpus.name == "small, 30 sub-words"
    assert [corpus.join(tokens) for tokens in corpus.test.target] == small_corpus().test.target
    assert corpus.tokenize("A d!") == ["a", "d", "!"]  # a letter that was never seen stays whole
    with pytest.raises(ValueError, match="has no gold links"):
        Translation(corpus, labeled=1)


def test_the_task_measures_words_and_keeps_every_piece():
    words = [["abab", "cd"], ["cdab"], ["ab", "abcd"], ["cd", "cd"]]
    corpus = small_corpus(links=False)
    train = corpus.train._replace(source=words, target=words)
    test = corpus.test._replace(source=words[:2], target=words[:2])
    corpus = subword_corpus(corpus._replace(train=train, valid=test, test=test), 10)
    task = Translation(corpus, batch_size=2, seed=1, min_count=3, headline="bleu")
    assert list(task.source_vocab.word_to_id)[4:] == corpus.pieces[0]
    assert (task.xs != UNKNOWN_ID).all()
    model = translation_model(LuongSeq2seq, task, rng=2, dtype=np.float64, wordvec_size=4, hidden_size=6)
    answers = task.translator(model).translate(corpus.test.source)
    guesses = [subwords.join(best.tokens) for [best] in answers]
    assert all(best.text == " ".join(guess) for [best], guess in zip(answers, guesses, strict=True))
    assert task.measure(model)["bleu"] == bleu(guesses, words[:2]).score
    assert task.translator(model).translate(["abcd"])[0][0].weights.shape[1] == 2 + len(corpus.tokenize("abcd"))
