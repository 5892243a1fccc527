"""The program that translates sentences and scores a translator on Multi30k."""

import gzip
import io
import sys
from types import SimpleNamespace

import pytest

from ch08 import translate
from ch08.recipes import SYSTEMS
from ch08.translator import joined
from common.metrics import bleu
from common.training.program import run_program
from dataset import words

GERMAN = ["Ein Hund läuft.", "Zwei Hunde schlafen heute.", "Ein Mann liest."]
ENGLISH = ["A dog runs.", "Two dogs sleep today.", "A man reads."]


@pytest.fixture
def weights(tmp_path):
    """A folder with an untrained model of words, which writes something."""
    sides = zip((GERMAN, ENGLISH), ("de", "en"), strict=True)
    vocabs = [words.WordVocab.of(texts, language) for texts, language in sides]
    task = SimpleNamespace(source_vocab=vocabs[0], target_vocab=vocabs[1])
    model = SYSTEMS["multi30k-notes"].model(task, rng=4, wordvec_size=6, hidden_size=8)
    for p in model.params:
        p *= 3
    model.vocab = joined(*vocabs)
    model.save_params(tmp_path / "weights" / "multi30k-notes" / "weights.npz")
    return tmp_path / "weights"


@pytest.fixture
def multi30k(tmp_path):
    folder = tmp_path / "multi30k"
    folder.mkdir()
    for language, texts in (("de", GERMAN), ("en", ENGLISH)):
        (folder / f"test_2016_flickr.{language}.gz").write_bytes(
            gzip.compress("".join(f"{t}\n" for t in texts).encode())
        )
    return folder


def error_of(capsys, *arguments):
    assert run_program(lambda: translate.main(list(map(str, arguments)))) == 1
    return capsys.readouterr().err


def test_each_sentence_has_a_line(capsys):
    assert translate.main(["Der Mann liest einen Brief.", "Die Frau schläft."]) == 0
    out, err = capsys.readouterr()
    assert out == "the man reads a letter.\nthe woman sleeps.\n"
    assert err == ""


def test_a_file_is_piped_in_and_unknown_words_are_named(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("남자는 정원에서 노래해요.\n\n로봇이 자요.\n"))
    assert translate.main(["--model", "bahdanau-ko", "--beam", "1"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "the man sings in the garden."
    assert len(out.splitlines()) == 2
    assert err == "  (unknown to bahdanau-ko: 로봇이)\n"


def test_the_score_is_the_bleu_of_the_words(capsys, weights, multi30k):
    assert (
        translate.main(["--model", "multi30k-notes", "--weights", str(weights), "--multi30k", str(multi30k), "--score"])
        == 0
    )
    out = capsys.readouterr().out.splitlines()
    translator = translate.load_translator("multi30k-notes", weights)
    guesses = [best.tokens for [best] in translator.translate(GERMAN, 5)]
    right = [words.tokenize(text, "en") for text in ENGLISH]
    assert out[0].startswith(f"BLEU {bleu(guesses, right).score:.2f} on lower-cased tokens, 95 % between ")
    assert "sacreBLEU" in out[1]


def test_sacrebleu_agrees(capsys):
    pytest.importorskip("sacrebleu", reason="sacreBLEU is not installed; its figures are frozen in test_metrics.py")
    texts = ["A man, who reads a long book.", "Two dogs run on the beach today."] * 5
    answers = [SimpleNamespace(tokens=words.tokenize(text, "en")[: 5 + k % 4]) for k, text in enumerate(texts)]
    for answer in answers:
        answer.text = words.detokenize(answer.tokens)
    vocab = SimpleNamespace(language="en")
    translator = SimpleNamespace(translate=lambda *_: [[answer] for answer in answers], target_vocab=vocab, join=list)
    ours, plain, lower = translate.score(translator, texts, texts, 5)
    score = ours.split()[1]
    assert f" = {score} (" in plain
    assert "tok:none" in plain
    assert "case:lc" in lower
    assert "tok:13a" in lower


def test_what_cannot_be_done(capsys, monkeypatch, tmp_path, weights):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    assert "there is nothing to translate" in error_of(capsys)
    assert "--score translates Multi30k" in error_of(capsys, "--score")
    both = "--model", "multi30k-notes", "--weights", weights, "--multi30k", tmp_path
    assert "fetch Multi30k with" in error_of(capsys, *both, "--score")
    assert "python -m ch08.train multi30k-notes" in error_of(capsys, *both[:3], tmp_path, "Ein Hund.")
