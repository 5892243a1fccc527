"""The task of translating, translators, and the alignment error rate."""

import numpy as np
import pytest

from ch08.alignment import alignment_error_rate
from ch08.bahdanau_seq2seq import BahdanauSeq2seq
from ch08.luong_seq2seq import LuongSeq2seq
from ch08.recipes.translation import Corpus, Side, Translation, file_corpus, sentence_corpus, translation_model
from ch08.translator import Translator, joined, vocabularies
from ch08.word_seq2seq import WordSeq2seq
from common.decoding import forced_log_probs
from common.metrics import bleu, perplexity
from dataset import sentences, words

SOURCE = ["a b c", "b c", "c a b d", "d", "a d c b", "b a"]
TARGET = ["x y z", "y z", "z x y w", "w", "x w z y", "y x"]
LINKS = [tuple((k, k) for k in range(len(text.split()))) for text in SOURCE]


def side(rows, links=True):
    tokens = [[text.split() for text in texts[rows]] for texts in (SOURCE, TARGET)]
    return Side(*tokens, LINKS[rows] if links else None)


def small_corpus(links=True):
    return Corpus("small", ("de", "en"), side(slice(0, 4), links), side(slice(4, 5), links), side(slice(4, 6), links))


def small_task(links=True, **options):
    return Translation(small_corpus(links), batch_size=3, seed=1, **options)


def small_model(task, model_class=BahdanauSeq2seq):
    return translation_model(model_class, task, rng=2, dtype=np.float64, wordvec_size=4, hidden_size=5)


# --- batches ---------------------------------------------------------------------------------------------------


def test_an_epoch_has_every_pair_once_with_its_marks():
    task = small_task()
    seen, steps = [], 0
    for batch in task.batches(1):
        steps += 1
        xs, ts = batch["xs"], batch["ts"]
        assert batch.count == (ts[:, 1:] != words.PAD_ID).sum()
        assert (xs[:, 0] == words.START_ID).all()
        assert (xs != words.PAD_ID).any(axis=0).all(), "padding that no row needs"
        assert (ts != words.PAD_ID).any(axis=0).all()
        for x, t in zip(xs, ts, strict=True):
            seen.append((" ".join(task.source_vocab.tokens(x)), " ".join(task.target_vocab.tokens(t))))
    assert sorted(seen) == sorted(zip(SOURCE[:4], TARGET[:4], strict=True))
    assert steps == task.steps_per_epoch == 2


def test_epochs_differ_and_can_be_repeated():
    task = Translation(sentence_corpus("ko-en"), batch_size=500, seed=3)
    first, again, other = ([b["xs"].tolist() for b in task.batches(epoch)] for epoch in (1, 1, 2))
    assert first == again
    assert first != other


def test_gold_stands_where_the_links_are():
    task = small_task(labeled=2)
    rows = 0
    for batch in task.batches(1):
        if "gold" not in batch.arrays:
            continue
        for x, t, gold in zip(batch["xs"], batch["ts"], batch["gold"], strict=True):
            text = " ".join(task.source_vocab.tokens(x))
            expected = np.zeros((len(t) - 1, len(x)), bool)
            if text in SOURCE[:2]:
                rows += 1
                for k in range(len(text.split())):
                    expected[k, k + 1] = True
            np.testing.assert_array_equal(gold, expected)
    assert rows == 2


def test_gold_needs_links():
    with pytest.raises(ValueError, match="small has no gold links, so labeled must be 0, got 2"):
        small_task(links=False, labeled=2)


def test_words_below_the_minimum_count_are_unknown():
    corpus = sentence_corpus("de-en")
    task = Translation(corpus, min_count=3)
    counts = {}
    for sentence in corpus.train.source:
        for word in sentence:
            counts[word] = counts.get(word, 0) + 1
    assert set(task.source_vocab.word_to_id) - set(words.MARKS) == {w for w, c in counts.items() if c >= 3}


def test_tokens_of_our_sentences_are_those_that_links_count():
    for pair in ("de-en", "ko-en"):
        corpus = sentence_corpus(pair)
        for part, split in zip((corpus.train, corpus.valid, corpus.test), sentences.load(pair), strict=True):
            assert len(part.source) == len(split)
            for source, target, links, example in zip(*part, split, strict=True):
                assert source == [token.lower() for token in sentences.tokens(example.source)]
                assert target == [token.lower() for token in sentences.tokens(example.target)]
                assert links == example.links


# --- measuring -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", [BahdanauSeq2seq, LuongSeq2seq, WordSeq2seq])
@pytest.mark.parametrize("headline", ["exact_match", "bleu"])
def test_measures_are_those_of_the_answers(model_class, headline):
    task = small_task(headline=headline, beam_size=2)
    model = small_model(task, model_class)
    found = task.measure(model)
    test = task.corpus.test
    guesses = [best.tokens for [best] in task.translator(model).translate(test.source, 2)]
    expected = (
        bleu(guesses, test.target).score
        if headline == "bleu"
        else np.mean([guess == target for guess, target in zip(guesses, test.target, strict=True)])
    )
    assert next(iter(found)) == headline
    assert found[headline] == pytest.approx(expected)
    xs, ts = task.encoded(test)
    losses = -forced_log_probs(model, xs, ts, pad_id=words.PAD_ID)[ts[:, 1:] != words.PAD_ID]
    assert found["perplexity"] == pytest.approx(perplexity(losses))
    assert ("alignment_error" in found) == (model_class is not WordSeq2seq)
    assert list(task.measure(model, 1)) == [headline]


def test_without_links_there_is_no_alignment_error():
    task = small_task(links=False)
    assert list(task.measure(small_model(task))) == ["exact_match", "perplexity"]


def test_measuring_leaves_the_model_alone():
    task = small_task()
    model = small_model(task)
    batch = next(task.batches(1))
    model.forward(**batch.arrays)
    model.backward()
    grads = [g.copy() for g in model.grads]
    model.forward(**batch.arrays)
    task.measure(model)
    model.backward()
    for got, expected in zip(model.grads, grads, strict=True):
        np.testing.assert_array_equal(got, expected)


# --- the alignment error rate ----------------------------------------------------------------------------------


def test_alignment_error_by_hand():
    weights = np.array([[0.8, 0.2, 0], [0.6, 0.3, 0.1], [0, 0.4, 0.6], [1, 0, 0]])
    # Row 0 looks where it should; row 1 looks at 0, not at 1; row 2 may look at 1 or 2; row 3 goes with nothing.
    links = [(0, 0), (1, 1), (2, 1), (2, 2)]
    assert alignment_error_rate([weights], [links]) == pytest.approx(1 - (1 + 2) / (3 + 2))
    assert alignment_error_rate([weights] * 2, [links, [(0, 0), (3, 0)]]) == pytest.approx(1 - (3 + 4) / (5 + 4))


def test_the_gold_alignment_itself_has_no_error():
    data = sentences.load("ko-en").test[:50]
    weights = [sentences.gold_mask(example).astype(float) for example in data]
    assert alignment_error_rate(weights, [example.links for example in data]) == 0


def test_alignment_error_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"link \(0, 3\) of sentence 1 is outside its weights \(2, 3\)"):
        alignment_error_rate([np.eye(2, 3)] * 2, [[(0, 0)], [(0, 3)]])
    with pytest.raises(ValueError, match="no gold links"):
        alignment_error_rate([np.eye(2)], [[]])


# --- translators -----------------------------------------------------------------------------------------------


def test_a_translation_has_its_words_probabilities_and_weights():
    task = small_task()
    translator = task.translator(small_model(task))
    answers = translator.translate(["a b", ["c", "a", "b", "e"]], beam_size=3, n_best=2)
    assert [len(found) for found in answers] == [2, 2]
    for sentence, found in zip((2, 4), answers, strict=True):
        assert found[0].score >= found[1].score
        for answer in found:
            steps = len(answer.probs)
            assert steps - len(answer.tokens) in (0, 1)
            assert answer.weights.shape == (steps, sentence + 2)
            np.testing.assert_allclose(answer.weights.sum(axis=1), 1)


class Copies:
    """Writes the ids that it reads, start mark aside, and looks at them; ids above ``limit`` become unknown."""

    def __init__(self, limit):
        self.limit = limit

    def start(self, xs):
        return xs, np.ones((len(xs), 1), int)

    def step(self, ids, state):
        xs, t = state
        looked = np.take_along_axis(xs, t, axis=1)[:, 0]
        written = np.where(looked >= self.limit, words.UNKNOWN_ID, looked)
        weights = np.eye(xs.shape[1])[t[:, 0]]
        return 9.0 * np.eye(12)[written], (xs, np.minimum(t + 1, xs.shape[1] - 1)), weights


def test_an_unknown_word_can_be_taken_from_where_the_model_looked():
    vocab = words.WordVocab("a b c d".split(), "de")
    plain = Translator(Copies(6), vocab, vocab).translate(["a c b zebra ."])[0][0]
    assert plain.tokens == ["a", "<unk>", "b", "<unk>", "<unk>"]
    assert plain.unknown == (1, 3, 4)
    taken = Translator(Copies(6), vocab, vocab, replace_unknown=True).translate(["a c b zebra ."])[0][0]
    assert (taken.tokens, taken.unknown) == (["a", "c", "b", "zebra", "."], (1, 3, 4))
    assert taken.text == "a c b zebra."


def test_the_penalties_of_a_search_are_handed_on():
    vocab = words.WordVocab("a b c d".split(), "de")
    translator = Translator(Copies(99), vocab, vocab)
    plain, covered, short = (
        translator.translate(["a c b"], **options)[0][0]
        for options in ({}, {"coverage_penalty": 0.1}, {"length_penalty": 0})
    )
    assert plain.tokens == covered.tokens == short.tokens == ["a", "c", "b"]
    # Every position was looked at once, but nothing looked at the start mark.
    assert covered.score == pytest.approx(plain.score + 0.1 * np.log(float(np.finfo(np.float32).tiny)), rel=1e-12)
    assert short.score == pytest.approx(plain.score * (9 / 6) ** 0.6, rel=1e-12)


def test_a_translation_without_a_word_is_drawn_as_well():
    """As of a model that was interrupted early."""
    task = small_task()
    model = small_model(task)
    b = model.decoder.affine.params[1]
    b[words.END_ID] += 100
    [[answer]] = task.translator(model).translate([SOURCE[4].split()])
    assert (answer.tokens, answer.weights.shape[0]) == ([], 1)
    assert list(task.figures(model)) == ["attention"]


def test_an_empty_sentence_is_named():
    task = small_task()
    with pytest.raises(ValueError, match=r"sentence 1 \(the first is 0\) has no words"):
        task.translator(small_model(task)).translate(["a", "  "])


def test_vocabularies_go_through_a_models_file(tmp_path):
    task = small_task()
    model = small_model(task)
    model.vocab = task.tokens
    model.save_params(tmp_path / "w.npz")
    other = small_model(task)
    other.load_params(tmp_path / "w.npz")
    source, target = vocabularies(other, ("de", "en"))
    assert source.char_to_id == task.source_vocab.char_to_id
    assert target.char_to_id == task.target_vocab.char_to_id
    assert (source.language, target.language) == ("de", "en")
    assert joined(source, target) == task.tokens


@pytest.mark.parametrize("tokens", [None, ["a", "b"], list(words.MARKS), [*words.MARKS, "a", "<pad>", "b"]])
def test_a_model_without_two_vocabularies_is_an_error(tokens):
    model = small_model(small_task())
    model.vocab = tokens
    with pytest.raises(ValueError, match="does not consist of two"):
        vocabularies(model, ("de", "en"))


# --- a file of one's own ---------------------------------------------------------------------------------------


def test_a_file_of_pairs_is_split_the_same_way_each_time(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("".join(f"Satz {k}.\tSentence {k}.\tsource {k}\n" for k in range(60)), encoding="utf-8")
    corpus = file_corpus(path, ("de", "en"))
    assert corpus == file_corpus(path, ("de", "en"))
    parts = corpus.train, corpus.valid, corpus.test
    assert [len(part.source) for part in parts] == [54, 3, 3]
    pairs = [
        pair
        for part in (corpus.train, corpus.valid, corpus.test)
        for pair in zip(part.source, part.target, strict=True)
    ]
    assert sorted(pairs) == sorted((["satz", f"{k}."], ["sentence", str(k), "."]) for k in range(60))
    assert all(part.links is None for part in parts)


def test_a_file_that_is_too_small_is_named(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("ja\tyes\n" * 9)
    with pytest.raises(ValueError, match=r"mine.tsv has 9 sentence pairs; at least 10 are needed"):
        file_corpus(path)
