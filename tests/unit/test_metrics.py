"""Exact match, perplexity, BLEU and the bootstrap: against cases counted by hand, and BLEU against sacreBLEU.

sacreBLEU is not installed for the tests. What it gives for a thousand lines is frozen here; where it is installed
(`pip install sacrebleu`), it is asked again, with every tokenization that needs no further download.
"""

import math
import random

import numpy as np
import pytest

from common.metrics import bleu, bleu_counts, bleu_of, bootstrap_interval, exact_match, ngrams, perplexity

# --- exact match ---------------------------------------------------------------------------------------------------


def test_exact_match_is_the_share_of_rows_equal_in_every_token():
    guesses = np.array([[1, 2, 3], [1, 2, 4], [5, 5, 5], [7, 8, 9]])
    truths = np.array([[1, 2, 3], [1, 2, 3], [5, 5, 5], [9, 8, 7]])
    assert exact_match(guesses, truths) == 0.5
    assert exact_match(list(guesses), truths.tolist()) == 0.5
    assert exact_match([["a", "b"], ("c",)], [("a", "b"), ["c", "d"]]) == 0.5
    assert exact_match(["a dog", "a cat"], ["a dog", "a cow"]) == 0.5
    assert isinstance(exact_match(guesses, truths), float)


@pytest.mark.parametrize("measure", [exact_match, bleu])
def test_guesses_and_truths_are_equally_many_and_not_none(measure):
    with pytest.raises(ValueError, match="2 guesses and 1 truths; there must be as many, and at least one"):
        measure([[1], [2]], [[1]])
    with pytest.raises(ValueError, match="0 guesses and 0 truths"):
        measure([], [])


# --- perplexity ----------------------------------------------------------------------------------------------------


def test_perplexity_is_exp_of_the_mean_loss_per_token():
    assert perplexity(math.log(8)) == pytest.approx(8)  # as if 8 tokens were equally likely
    assert perplexity([math.log(2), math.log(8)]) == pytest.approx(4)
    assert perplexity([math.log(2), math.log(8)], [3, 1]) == pytest.approx(2**1.5)  # (3 ln 2 + ln 8) / 4
    assert perplexity(np.float32(0)) == 1
    assert perplexity(1000) == math.inf
    assert math.isnan(perplexity(math.nan))


@pytest.mark.parametrize(("losses", "counts"), [([], None), ([1, 2], [3]), ([1.0], [0]), ([[1, 2]], [[1, 1]])])
def test_what_perplexity_refuses(losses, counts):
    with pytest.raises(ValueError, match=r"perplexity: losses .* and counts .* must be \(B,\), B at least 1"):
        perplexity(losses, counts)


# --- BLEU by hand --------------------------------------------------------------------------------------------------

THE = "the the the the the the the".split()
CAT = "the cat is on the mat".split()


def test_ngrams():
    assert ngrams("a b a b".split(), 2) == {("a", "b"): 2, ("b", "a"): 1}
    assert ngrams("a b".split(), 3) == {}


def test_a_word_counts_as_often_as_the_reference_has_it():
    """The example of Papineni et al., section 2.1: 2 of 7."""
    assert bleu([THE], [CAT], max_order=1).precisions == (2 / 7,)


def test_bleu_counted_by_hand():
    guess, reference = "the cat sat on the mat".split(), "the cat is on the mat".split()
    # 5 of 6 words; "the cat", "on the", "the mat" of 5 pairs; "on the mat" of 4 triples; none of 3 quadruples
    counts = bleu_counts([guess], [reference])
    np.testing.assert_array_equal(counts, [[6, 6, 5, 3, 1, 0, 6, 5, 4, 3]])
    found = bleu([guess], [reference])
    assert found.precisions == pytest.approx((5 / 6, 3 / 5, 1 / 4, 1 / 2 / 3))
    assert found.score == pytest.approx(100 * (5 / 6 * 3 / 5 / 4 / 6) ** (1 / 4))
    assert bleu([guess], [reference], smooth=False).score == 0
    assert bleu([guess], [reference], max_order=2).score == pytest.approx(100 * math.sqrt(5 / 6 * 3 / 5))


def test_zero_precisions_are_halved_again_and_again():
    found = bleu([["a", "b", "x", "c", "y", "d"]], [["a", "z", "b", "q", "c", "d"]])
    assert found.precisions == pytest.approx((4 / 6, 1 / 2 / 5, 1 / 4 / 4, 1 / 8 / 3))


def test_short_guesses_are_punished_and_long_ones_are_not():
    words = "one two three four five six seven eight".split()
    short = bleu([words[:6]], [words])
    assert short.precisions == (1, 1, 1, 1)
    assert short.brevity == pytest.approx(math.exp(1 - 8 / 6))
    assert short.score == pytest.approx(100 * math.exp(1 - 8 / 6))
    assert (short.guess_length, short.reference_length) == (6, 8)
    assert bleu([words], [words[:6]]).brevity == 1
    assert bleu([words], [words]).score == pytest.approx(100)


def test_counts_are_summed_over_the_corpus_before_anything_is_divided():
    guesses = ["a b c d e".split(), "a b".split()]
    references = ["a b c d e".split(), "x y z".split()]
    found = bleu(guesses, references)
    assert found.precisions == pytest.approx((5 / 7, 4 / 5, 1, 1))
    assert found.score == pytest.approx(100 * math.exp(1 - 8 / 7) * (5 / 7 * 4 / 5) ** (1 / 4))


@pytest.mark.parametrize("guesses", [[[]], [["x", "y", "z", "w"]], [["a", "b", "c"]]])
def test_bleu_is_0_without_words_without_a_match_and_without_any_4_gram(guesses):
    assert bleu(guesses, [["a", "b", "c", "d"]]).score == 0


def test_ids_are_as_good_as_words():
    guesses, references = np.array([[3, 4, 5, 6, 7], [3, 3, 4, 4, 5]]), np.array([[3, 4, 5, 6, 3], [3, 4, 4, 5, 5]])
    words = [[["abcdefgh"[i] for i in row] for row in rows] for rows in (guesses, references)]
    assert bleu(guesses, list(references)) == bleu(*words)


def test_a_str_is_not_a_list_of_tokens():
    with pytest.raises(TypeError, match=r"bleu takes lists of tokens, but sentence 1 \(the first is 0\) is a str"):
        bleu([["a"], "a dog"], [["a"], ["a", "dog"]])


# --- BLEU and sacreBLEU --------------------------------------------------------------------------------------------

# What sacreBLEU 2.6.0 gives for thousand_lines(), signature nrefs:1|case:mixed|eff:no|tok:none|smooth:exp
FROZEN = (
    43.912064039885955,
    (82.52831801667023, 56.58775705404113, 40.94583670169766, 30.238605078005506),
    (9358, 10391),
)


def thousand_lines(seed=7):
    """Return guesses and references, 1,000 strings each: the reference with words changed, dropped and moved."""
    rng = random.Random(seed)
    words = [w + e for w in ("cat", "Straße", "über", "don't", "10.5", "Dr.", "well-known", "x") for e in ("", "s")]
    words += [",", ".", "!", "(", ")", '"', "日本", "3,000", "$5", "&amp;"]
    references, guesses = [], []
    for _ in range(1000):
        length = 1 + int(rng.random() * 20)
        reference = [words[int(rng.random() ** 2 * len(words))] for _ in range(length)]
        guess = [words[int(rng.random() * len(words))] if rng.random() < 0.2 else w for w in reference]
        guess = [w for w in guess if rng.random() > 0.1]
        if len(guess) > 3 and rng.random() < 0.3:
            guess[1], guess[2] = guess[2], guess[1]
        references.append(" ".join(reference))
        guesses.append(" ".join(guess))
    return guesses, references


def test_bleu_of_a_thousand_lines_is_what_sacrebleu_gives():
    guesses, references = ([line.split() for line in lines] for lines in thousand_lines())
    found = bleu(guesses, references)
    assert found.score == pytest.approx(FROZEN[0], abs=1e-6)
    assert [100 * p for p in found.precisions] == pytest.approx(FROZEN[1], abs=1e-6)
    assert (found.guess_length, found.reference_length) == FROZEN[2]


@pytest.mark.parametrize("tokenize", ["none", "13a", "intl", "char", "zh"])
@pytest.mark.parametrize("lines", [slice(None), slice(1), slice(17, 20), slice(400, 401)])
def test_bleu_is_sacrebleus_given_its_tokens(tokenize, lines):
    sacrebleu = pytest.importorskip("sacrebleu", reason="sacreBLEU is not installed; its figures are frozen above")
    guesses, references = (part[lines] for part in thousand_lines())
    metric = sacrebleu.BLEU(tokenize=tokenize)
    theirs = metric.corpus_score(guesses, [references])
    cut = metric.tokenizer
    found = bleu([cut(line).split() for line in guesses], [cut(line).split() for line in references])
    assert found.score == pytest.approx(theirs.score, abs=1e-6)
    assert found.brevity == pytest.approx(theirs.bp, abs=1e-9)


# --- bootstrap -----------------------------------------------------------------------------------------------------


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(1).standard_normal(400)
    low, high = bootstrap_interval(np.mean, values, samples=2000)
    half = 1.96 * values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    narrow = bootstrap_interval(np.mean, values, samples=2000, level=0.5)
    assert (narrow[1] - narrow[0]) / (high - low) == pytest.approx(0.6745 / 1.96, rel=0.1)


def test_the_interval_of_bleu_is_repeatable_and_holds_the_score():
    counts = bleu_counts(*([line.split() for line in lines] for lines in thousand_lines()))
    interval = bootstrap_interval(lambda rows: bleu_of(rows).score, counts, samples=300)
    assert interval == bootstrap_interval(lambda rows: bleu_of(rows).score, counts, samples=300)
    assert interval[0] < bleu_of(counts).score < interval[1]
    assert (
        bootstrap_interval(lambda rows: bleu_of(rows).score, counts[:1], samples=3) == (bleu_of(counts[:1]).score,) * 2
    )


@pytest.mark.parametrize(("rows", "options"), [([], {}), ([1], {"samples": 0}), ([1], {"level": 95}), (3, {})])
def test_what_the_bootstrap_refuses(rows, options):
    with pytest.raises(ValueError, match=r"bootstrap_interval: rows .* must be at least 1, level"):
        bootstrap_interval(np.mean, rows, **options)
