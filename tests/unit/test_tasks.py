"""Batch, Pairs and Dates: what is learned, and how a model is measured on it."""

import math

import numpy as np
import pytest

from ch07.seq2seq import Seq2seq
from ch07.train import additions as additions_task
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.recipes.dates import Dates
from common.training.batch import Batch
from dataset import sequence
from tests.unit.training_data import write_dates


def first_batch(task, epoch=1):
    return next(iter(task.batches(epoch)))


def reading_order(task, array):
    return array[..., ::-1] if task.reverse else array


# --- Batch -----------------------------------------------------------------------------------------------------


def test_a_batch_is_named_arrays_and_a_count():
    batch = Batch(6, xs=np.zeros((2, 5)), ts=np.ones((2, 4)), mask=None)
    assert sorted(batch.arrays) == ["ts", "xs"]
    assert batch.count == 6
    assert batch["ts"].sum() == 8
    assert repr(batch) == "Batch(6 targets: xs (2, 5), ts (2, 4))"
    with pytest.raises(ValueError, match=r"different numbers of rows: \{'xs': 2, 'ts': 3\}"):
        Batch(6, xs=np.zeros((2, 5)), ts=np.zeros((3, 4)))


def test_the_count_is_what_the_models_loss_averages_over(dates_file):
    task = Dates(dates_file, batch_size=16, hide=0.5)
    model = AttentionSeq2seq(len(task.vocab), 4, 8, rng=0)
    batch = first_batch(task)
    model.forward(**batch.arrays)
    assert batch.count == model.count == 160


# --- Pairs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
def test_untrimmed_batches_hold_every_row_once_but_the_last_few(dates_file, reverse):
    task = Dates(dates_file, batch_size=32, reverse=reverse, trim=False)
    assert task.steps_per_epoch == 4
    batches = list(task.batches(1))
    assert len(batches) == 4
    whole = {task.text(x): tuple(t) for x, t in zip(task.x_train, task.t_train, strict=True)}
    seen = set()
    for batch in batches:
        for x, t in zip(reading_order(task, batch["xs"]), batch["ts"], strict=True):
            assert x.shape == (29,)
            assert whole[task.text(x)] == tuple(t)
            seen.add(task.text(x))
    assert len(seen) == 128


def test_few_rows_make_one_batch(dates_file):
    for trim in (False, True):
        task = Dates(dates_file, batch_size=1000, trim=trim)
        assert task.steps_per_epoch == 1
        (batch,) = task.batches(1)
        assert len(batch["xs"]) == 144


@pytest.mark.parametrize("reverse", [False, True])
def test_trimmed_batches_are_the_untrimmed_rows_without_padding(dates_file, reverse):
    task = Dates(dates_file, batch_size=16, reverse=reverse)
    whole = {task.text(x): tuple(t) for x, t in zip(task.x_train, task.t_train, strict=True)}
    seen, padding, cells = [], 0, 0
    for batch in task.batches(1):
        xs = reading_order(task, batch["xs"])
        assert len(xs) == 16
        for x, t in zip(xs, batch["ts"], strict=True):
            assert whole[task.text(x)] == tuple(t)
            seen.append(task.text(x))
        length = max(len(task.text(x)) for x in xs)
        assert xs.shape[1] == length
        padding += sum(length - len(task.text(x)) for x in xs)
        cells += xs.size
    assert len(seen) == len(set(seen)) == len(task.x_train) // 16 * 16
    assert padding / cells < 0.12  # untrimmed: about 45 %


def test_batches_depend_on_seed_and_epoch_only(dates_file):
    def first(seed, epoch):
        return first_batch(Dates(dates_file, batch_size=16, seed=seed, noise=0.3), epoch)["ts"]

    assert np.array_equal(first(0, 1), first(0, 1))
    assert not np.array_equal(first(0, 1), first(0, 2))
    assert not np.array_equal(first(0, 1), first(1, 1))


def test_a_share_of_the_batches_is_padded(dates_file):
    def widths(padded):
        return [batch["xs"].shape[1] for batch in Dates(dates_file, batch_size=16, padded=padded).batches(1)]

    assert widths(1e-9) == widths(0.0)
    assert max(widths(1.0)) <= 29
    assert sum(widths(1.0)) > sum(widths(0.0)) + 20


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_decode_is_greedy_decode_row_by_row(dates_file, trim, reverse):
    task = Dates(dates_file, trim=trim, reverse=reverse)
    model = AttentionSeq2seq(len(task.vocab), 4, 8, dtype=np.float64, rng=0)
    for p in model.params:
        p *= 8
    ids, probs, weights = task.decode(model, task.x_test, with_details=True)
    assert np.array_equal(ids, task.decode(model, task.x_test))
    assert np.allclose(weights.sum(axis=2), 1, atol=1e-5)
    for k, row in enumerate(task.x_test):
        text = task.text(row)
        x = reading_order(task, task.vocab.encode(text, width=len(text) if trim else 29))[None]
        one, p, w = model.greedy_decode(x, task.start_id, 10, with_details=True)
        assert np.array_equal(one[0], ids[k])
        assert np.allclose(p[0], probs[k], atol=1e-5)
        assert np.allclose(reading_order(task, w[0]), weights[k, :, : x.shape[1]], atol=1e-5)
        assert (weights[k, :, x.shape[1] :] == 0).all()


def test_exact_match_is_the_share_of_answers_right_in_every_character(dates_file):
    task = Dates(dates_file, trim=False)

    class Oracle:
        def greedy_decode(self, xs, start_id, sample_size, with_details=False):
            out = task.t_test[:, 1:].copy()
            out[0, 3] += 1
            return (out, np.ones(out.shape), None) if with_details else out

    n = len(task.x_test)
    assert task.measure(Oracle()) == {"exact_match": pytest.approx((n - 1) / n)}
    assert math.isclose(task.exact_match(task.t_test[:3, 1:]), 1)
    lines = task.examples(Oracle(), count=n)
    assert len(lines) == n
    assert lines[0].startswith("WRONG  ")
    assert lines[0].endswith(f"   (right: {task.text(task.t_test[0, 1:])})")
    assert all(line.startswith("right  ") for line in lines[1:])


def test_settings_tell_one_data_file_from_another_by_its_contents(tmp_path):
    one = Dates(write_dates(tmp_path / "one.txt"))
    same = Dates(write_dates(tmp_path / "same.txt"))
    other = Dates(write_dates(tmp_path / "one.txt", seed=7))
    assert one.settings["content"] == same.settings["content"] != other.settings["content"]
    swapped = (tmp_path / "same.txt").read_text().translate(str.maketrans("ab", "ba"))
    (tmp_path / "swapped.txt").write_text(swapped)
    assert Dates(tmp_path / "swapped.txt").settings["content"] != one.settings["content"]


def test_answers_of_uneven_length_can_be_drawn(additions_file):
    task = additions_task(additions_file)
    model = AttentionSeq2seq(len(task.vocab), 4, 8, rng=0)
    for answer in ("7   ", "1234", "    "):
        ids = np.array([[task.vocab.char_to_id[c] for c in answer]])

        class Fixed:
            def greedy_decode(self, xs, start_id, sample_size, with_details=False):
                return ids, np.ones((1, 4)), np.full((1, 4, xs.shape[1]), 1 / xs.shape[1])  # noqa: B023

        assert list(task.figures(Fixed())) == ["attention"]
    assert list(task.figures(model)) == ["attention"]
    assert task.figures(Seq2seq(len(task.vocab), 4, 8, rng=0)) == {}
    assert list(task.measure(model)) == ["exact_match"]  # additions have no gold alignment here


# --- Dates: noise, hiding, labels ------------------------------------------------------------------------------


def test_noise_changes_separators_only(dates_file):
    task = Dates(dates_file, noise=0.5)
    xs = task.x_train
    before = xs.copy()
    noisy, origin = task.noisy(xs, np.random.default_rng(0))
    assert np.array_equal(xs, before)
    assert noisy.shape == origin.shape == xs.shape
    changed = gone = 0
    for old, new, places in zip(xs, noisy, origin, strict=True):
        a, b = task.text(old), task.text(new)
        assert sorted(places) == list(range(29))
        assert [c for c in b if c.isdigit()] == [c for c in a if c.isdigit()]
        letters = "".join(c for c in a if c.isalpha())
        rest = iter(b)
        assert all(c in rest for c in letters)  # all letters of the question are there, in their order
        assert all(a[places[k]] == c for k, c in enumerate(b) if c.isdigit())
        if "/" in a:
            assert len(b) == len(a)
        changed += a != b
        gone += len(a) - len(b)
    assert changed > 0.7 * len(xs)
    assert gone > 0.3 * len(xs)


def test_no_noise_changes_nothing(dates_file):
    task = Dates(dates_file)
    noisy, origin = task.noisy(task.x_train, np.random.default_rng(0))
    assert np.array_equal(noisy, task.x_train)
    assert (origin == np.arange(29)).all()


def test_a_mask_hides_the_share_it_is_asked_for(dates_file):
    task, rng = Dates(dates_file, hide=1.0), np.random.default_rng(0)
    xs = task.x_train
    separator = np.array([[not task.vocab.id_to_char[i].isalnum() for i in row] for row in xs])
    assert np.array_equal(task.mask(xs, 0.0, rng), ~separator)
    task.hide = 0.0
    assert task.mask(xs, 0.0, rng).all()
    task.hide = 0.7
    seen = task.mask(xs, 0.2, rng)
    assert seen[separator].mean() == pytest.approx(0.3, abs=0.02)
    assert seen[~separator].mean() == pytest.approx(0.8, abs=0.02)


def test_a_question_that_would_be_hidden_completely_stays_whole(dates_file):
    task = Dates(dates_file, hide=1.0)
    xs = np.array([task.vocab.encode(text, 6) for text in (" ,/,, ", "1, 2//")])
    assert task.mask(xs, 0.0, np.random.default_rng(0)).tolist() == [
        [True] * 6,
        [True, False, False, True, False, False],
    ]


@pytest.mark.parametrize("reverse", [False, True])
def test_batches_bring_the_mask_that_hides(dates_file, reverse):
    task = Dates(dates_file, batch_size=16, noise=0.2, padded=0.5, hide=1.0, reverse=reverse)
    for batch in task.batches(1):
        assert sorted(batch.arrays) == ["mask", "ts", "xs"]
        assert np.array_equal(batch["mask"], ~task.separator[batch["xs"]])
    plain = Dates(dates_file, batch_size=16, noise=0.2)
    assert all(sorted(batch.arrays) == ["ts", "xs"] for batch in plain.batches(1))


def test_other_characters_are_hidden_in_the_first_batches_only(dates_file):
    def hides_others(epoch):
        task = Dates(dates_file, batch_size=16, hide=0.5, explore=0.5, explore_steps=3)
        return [bool((~b["mask"] & ~task.separator[b["xs"]]).any()) for b in task.batches(epoch)]

    first = hides_others(1)
    assert len(first) > 3
    assert first == [k < 3 for k in range(len(first))]
    assert not any(hides_others(2))
    only_first = Dates(dates_file, batch_size=16, explore=0.5, explore_steps=2).batches(1)
    assert ["mask" in batch.arrays for batch in only_first][:4] == [True, True, False, False]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("hide", [0.0, 0.5])
def test_batches_bring_the_gold_alignment_of_the_first_rows(dates_file, reverse, hide):
    K = 40
    task = Dates(dates_file, batch_size=16, noise=0.5, padded=0.5, hide=hide, labeled=K, reverse=reverse)
    annotated = 0
    for batch in task.batches(1):
        assert ("mask" in batch.arrays) == bool(hide)
        if "gold" not in batch.arrays:
            continue
        xs, gold = reading_order(task, batch["xs"]), reading_order(task, batch["gold"])
        assert gold.shape == (16, 10, xs.shape[1])
        assert gold.dtype == bool
        for x, t, rows in zip(xs, batch["ts"], gold, strict=True):
            if not rows.any():
                continue
            annotated += 1
            # noise moves characters, and the gold moves with them
            read = {part: task.text(x[rows[k]]) for part, k in (("year", 2), ("day", 8))}
            answer = task.vocab.decode(t[1:])
            assert read["year"][-2:] == answer[2:4]
            assert int(read["day"]) == int(answer[8:])
            assert not rows[[4, 7]].any()
    assert K - 16 <= annotated <= K


def test_labels_need_dates(additions_file):
    with pytest.raises(ValueError, match="only dates tell where their digits come from"):
        Dates(additions_file, labeled=5)


def test_word_dropout_replaces_characters_that_the_decoder_is_fed(dates_file):
    task = Dates(dates_file, batch_size=16, word_dropout=0.3)
    answers = task.t_train.copy()
    decoder_xs = task.word_dropped(task.t_train, np.random.default_rng(0))
    assert decoder_xs.shape == (144, 10)
    assert np.array_equal(decoder_xs[:, 0], task.t_train[:, 0])  # the start mark stays
    changed = decoder_xs != task.t_train[:, :-1]
    # one time in ten the random digit is the one that was there; the answers have eight digits and two hyphens
    assert changed[:, 1:].mean() == pytest.approx(0.3 * (0.9 * 7 + 2) / 9, abs=0.03)
    assert set(np.unique(decoder_xs[changed])) == {task.vocab.char_to_id[c] for c in "0123456789"}
    assert np.array_equal(task.t_train, answers)
    for batch in task.batches(1):
        assert batch["decoder_xs"].shape == (16, 10)
        assert 0 < (batch["decoder_xs"] != batch["ts"][:, :-1]).mean() < 0.6


def test_the_decoder_reads_what_it_is_fed_and_learns_the_answer(dates_file):
    task = Dates(dates_file, word_dropout=0.5)
    xs, ts = task.x_train[:5], task.t_train[:5]
    decoder_xs = task.word_dropped(ts, np.random.default_rng(0))
    for model_class in (Seq2seq, AttentionSeq2seq):
        model = model_class(len(task.vocab), 4, 6, rng=0)
        assert model.forward(xs, ts, ts[:, :-1]) == model.forward(xs, ts)
        assert model.forward(xs, ts, decoder_xs) != model.forward(xs, ts)
        logits = model.decoder.forward(decoder_xs, model.encoder.forward(xs))
        assert model.forward(xs, ts, decoder_xs) == model.softmax.forward(logits, ts[:, 1:])
        with pytest.raises(ValueError, match=r"decoder_xs \(5, 9\) must be .* \(5, 10\)"):
            model.forward(xs, ts, decoder_xs[:, 1:])


def test_a_task_serves_the_shipped_dates():
    task = Dates()
    assert task.x_test.shape == (5000, 29)
    assert task.text(task.x_test[0]) == "MONDAY, MAY 20, 1985"
    assert len(task.vocab) == len(sequence.load("date.txt").vocab)
