"""Training: batches, interrupts, resuming, the programs of chapters 7 and 8."""

import json
import math
import signal
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ch07 import train as ch07_train
from ch07.seq2seq import Seq2seq
from ch07.training import Recipe, Task, run_program, train
from ch08 import compare as ch08_compare
from ch08 import train as ch08_train
from ch08 import visualize_attention
from ch08.alignment import gold_alignment
from ch08.attention_layer import TimeAttention
from ch08.attention_seq2seq import AttentionSeq2seq
from common.optimizer import Adam
from dataset import make_additions, make_dates

RECIPE = Recipe(
    "test",
    epochs=3,
    hidden_size=8,
    batch_size=16,
    warmup_steps=4,
    trim=True,
    noise=0.2,
    hide=0.5,
    explore=0.3,
    word_dropout=0.3,
)
PLAIN = Recipe("plain", epochs=3, hidden_size=8, batch_size=16)


@pytest.fixture(autouse=True)
def ctrl_c_is_heard():
    """A program started in the background ignores Ctrl-C; these tests press it whoever started them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def dates(tmp_path_factory):
    """A small file of dates: 160 lines, so 144 for training."""
    path = tmp_path_factory.mktemp("data") / "dates.txt"
    path.write_text("\n".join(make_dates.make_lines(160)) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def additions(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "additions.txt"
    path.write_text("\n".join(make_additions.make_lines(160)) + "\n", encoding="utf-8")
    return path


def press_ctrl_c(monkeypatch, at_step):
    """Let the program receive Ctrl-C during training step ``at_step``, in the middle of the optimizer's update."""
    original = Adam.update
    calls = []

    def update(self, params, grads):
        calls.append(1)
        if len(calls) == at_step:
            signal.raise_signal(signal.SIGINT)
        original(self, params, grads)

    monkeypatch.setattr(Adam, "update", update)


# --- batches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
def test_trimmed_batches_are_the_untrimmed_rows_without_padding(dates, reverse):
    task = Task(dates, reverse=reverse, trim=True)
    whole = {task.text(x): tuple(t) for x, t in zip(task.x_train, task.t_train, strict=True)}
    seen, padding, cells = [], 0, 0
    for xb, tb in task.batches(PLAIN, seed=0)(epoch=1):
        assert len(xb) == 16
        for x, t in zip(xb, tb, strict=True):
            assert whole[task.text(x)] == tuple(t)
            seen.append(task.text(x))
        length = max(len(task.text(x)) for x in xb)
        assert xb.shape[1] == length
        padding += sum(length - len(task.text(x)) for x in xb)
        cells += xb.size
    assert len(seen) == len(set(seen)) == len(task.x_train) // 16 * 16
    assert padding / cells < 0.12  # untrimmed: about 45 %


def test_batches_depend_on_seed_and_epoch_only(dates):
    task = Task(dates, trim=True)

    def first(seed, epoch):
        return next(iter(task.batches(PLAIN, seed)(epoch)))[1]

    assert np.array_equal(first(0, 1), first(0, 1))
    assert not np.array_equal(first(0, 1), first(0, 2))
    assert not np.array_equal(first(0, 1), first(1, 1))


@pytest.mark.parametrize("trim", [False, True])
def test_task_decode_is_greedy_decode_row_by_row(dates, trim):
    task = Task(dates, trim=trim)
    model = AttentionSeq2seq(len(task.vocab), 4, 8, dtype=np.float64, rng=0)
    for p in model.params:
        p *= 8
    ids, probs, weights = task.decode(model, task.x_test, with_details=True)
    assert np.array_equal(ids, task.decode(model, task.x_test))
    assert np.allclose(weights.sum(axis=2), 1, atol=1e-5)
    for k, row in enumerate(task.x_test):
        text = task.text(row)
        x = task.vocab.encode(text, width=len(text) if trim else 29)[::-1][None]
        one, p, w = model.greedy_decode(x, task.start_id, 10, with_details=True)
        assert np.array_equal(one[0], ids[k])
        assert np.allclose(p[0], probs[k], atol=1e-5)
        assert np.allclose(w[0, :, ::-1], weights[k, :, : x.shape[1]], atol=1e-5)
        assert (weights[k, :, x.shape[1] :] == 0).all()


# --- train and resume ------------------------------------------------------------------------------------------


def same_result(a, b):
    """Return whether two runs have the same weights, bit by bit, and the same history but for the seconds."""
    for run in (a, b):
        for epoch in run.history["epochs"]:
            epoch.pop("train_seconds", None)
    return a.history == b.history and all(
        np.array_equal(p, q) for p, q in zip(a.model.params, b.model.params, strict=True)
    )


@pytest.mark.parametrize("at_step", [1, 5, 9, 13, 26, 27])
def test_resume_gives_what_an_uninterrupted_run_gives(dates, tmp_path, monkeypatch, at_step):
    task = Task(dates, trim=True)  # 9 batches an epoch
    whole = train(AttentionSeq2seq, task, RECIPE, seed=5, progress=False)
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at_step)
        first = train(AttentionSeq2seq, task, RECIPE, seed=5, out=tmp_path, progress=False)
    assert first.interrupted
    second = train(AttentionSeq2seq, task, RECIPE, seed=5, out=tmp_path, resume=True, progress=False)
    assert not second.interrupted
    assert same_result(whole, second)


def test_resume_after_an_interrupt_while_measuring(dates, tmp_path, monkeypatch):
    task = Task(dates, trim=True)
    whole = train(AttentionSeq2seq, task, RECIPE, seed=5, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(Task, "accuracy", lambda self, model: signal.raise_signal(signal.SIGINT))
        assert train(AttentionSeq2seq, task, RECIPE, seed=5, out=tmp_path, progress=False).interrupted
    second = train(AttentionSeq2seq, task, RECIPE, seed=5, out=tmp_path, resume=True, progress=False)
    assert same_result(whole, second)


def test_resume_with_other_settings_is_refused(dates, tmp_path):
    task = Task(dates, trim=True)
    train(AttentionSeq2seq, task, RECIPE, seed=5, out=tmp_path, progress=False)
    for recipe, seed, what in (
        (RECIPE, 6, "seed = 5, not 6"),
        (replace(RECIPE, batch_size=8), 5, "batch_size = 16, not 8"),
        (replace(RECIPE, epochs=4), 5, "epochs = 3, not 4"),  # the schedule depends on it
    ):
        with pytest.raises(ValueError, match=what):
            train(AttentionSeq2seq, task, recipe, seed=seed, out=tmp_path, resume=True, progress=False)


def test_a_run_at_a_constant_rate_can_be_made_longer(dates, tmp_path):
    task = Task(dates)
    long = Recipe("test", epochs=2, hidden_size=8, batch_size=16)
    whole = train(AttentionSeq2seq, task, long, progress=False)
    train(AttentionSeq2seq, task, replace(long, epochs=1), out=tmp_path, progress=False)
    longer = train(AttentionSeq2seq, task, long, out=tmp_path, resume=True, progress=False)
    assert same_result(whole, longer)


def test_resume_without_an_earlier_run(dates, tmp_path):
    with pytest.raises(FileNotFoundError, match="no earlier run"):
        train(AttentionSeq2seq, Task(dates), RECIPE, out=tmp_path, resume=True, progress=False)


# --- the programs ----------------------------------------------------------------------------------------------

SMALL = ["--epochs", "1", "--hidden-size", "8", "--batch-size", "32", "--quiet"]


@pytest.mark.parametrize("model", ["seq2seq", "peeky", "attention"])
@pytest.mark.parametrize("recipe", ["book", "fast"])
def test_ch08_train_writes_what_it_says(dates, tmp_path, capsys, model, recipe):
    args = ["--model", model, "--recipe", recipe, "--data", str(dates), "--out", str(tmp_path), *SMALL]
    assert ch08_train.main(args) == 0
    out = capsys.readouterr().out
    assert out.count("right: ") + out.count("  right  ") >= 10
    assert ("alignment: " in out) == (model == "attention")
    for name in (f"{model}.npz", "history.json", "learning_curve.png") + ("attention.png",) * (model == "attention"):
        assert str(tmp_path / name) in out
        assert (tmp_path / name).stat().st_size > 100
    history = json.loads((tmp_path / "history.json").read_text())
    assert history["recipe"]["name"] == recipe
    assert history["epochs"][0]["test_accuracy"] == pytest.approx(history["test_accuracy"])
    fresh = ch08_train.MODELS[model](len(Task(dates).vocab), 16, 8)
    fresh.load_params(tmp_path / f"{model}.npz")


def test_ch08_train_keeps_what_was_learned_when_interrupted(dates, tmp_path, monkeypatch, capsys):
    args = ["--data", str(dates), "--out", str(tmp_path), *SMALL]
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at_step=2)
        assert ch08_train.main(args) == 130
    assert "--resume" in capsys.readouterr().out
    assert (tmp_path / "attention.npz").is_file()
    assert ch08_train.main([*args, "--resume"]) == 0


def test_a_diverging_run_ends_with_one_line(dates, tmp_path, monkeypatch, capsys):
    def spoil(model, rng):
        model.params[0][...] = np.nan

    monkeypatch.setattr(ch08_train, "prepare_fast", spoil)
    args = ["--data", str(dates), "--out", str(tmp_path), *SMALL]
    assert run_program(lambda: ch08_train.main(args)) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the loss became nan in epoch 1, step 1.")
    assert error.count("\n") == 1
    assert not (tmp_path / "attention.npz").exists()


def test_a_missing_file_ends_with_one_line(tmp_path, capsys):
    assert run_program(lambda: ch08_train.main(["--data", str(tmp_path / "no.txt"), "--quiet"])) == 1
    assert "no.txt" in capsys.readouterr().err


def test_ch07_train_trains_the_three_variants(additions, tmp_path, capsys):
    assert ch07_train.main(["--data", str(additions), "--out", str(tmp_path), *SMALL]) == 0
    out = capsys.readouterr().out
    for name in ("plain", "reversed", "peeky"):
        assert f"{name}: " in out
        history = json.loads((tmp_path / name / "history.json").read_text())
        assert history["reverse"] == (name != "plain")
        assert (tmp_path / name / "weights.npz").is_file()
    curves = json.loads((tmp_path / "curves.json").read_text())
    assert [(r["model"], r["seed"]) for r in curves["runs"]] == [("plain", 0), ("reversed", 0), ("peeky", 0)]
    assert all(sorted(e) == ["epoch", "loss", "test_accuracy"] for r in curves["runs"] for e in r["epochs"])
    assert curves["command"].startswith("python -m ch07.train --data ")
    assert "--quiet" not in curves["command"]  # it changes nothing of the result
    assert (curves["recipe"], curves["split"]) == ("book", "grouped")


def test_ch07_train_goes_on_with_the_same_command(additions, tmp_path, monkeypatch, capsys):
    args = ["--data", str(additions), "--out", str(tmp_path), "--split", "random", *SMALL]
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at_step=6)  # in the second of three runs
        assert ch07_train.main(args) == 130
    assert "the same command and --resume" in capsys.readouterr().out
    assert not (tmp_path / "curves.json").exists()
    assert ch07_train.main([*args, "--resume"]) == 0
    resumed = (tmp_path / "curves.json").read_text()
    assert ch07_train.main(args) == 0
    assert (tmp_path / "curves.json").read_text() == resumed
    with pytest.raises(FileNotFoundError, match="no earlier run"):
        ch07_train.main([*args, "--resume", "--out", str(tmp_path / "elsewhere")])


def test_compare_goes_on_where_it_stopped(dates, tmp_path, monkeypatch, capsys):
    args = [
        "--data",
        str(dates),
        "--out",
        str(tmp_path),
        "--seeds",
        "0",
        "1",
        "--models",
        "seq2seq",
        "attention",
        *SMALL,
    ]
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at_step=6)  # in the second of four runs
        assert ch08_compare.main(args) == 130
    assert not (tmp_path / "curves.json").exists()
    assert ch08_compare.main(args) == 0
    curves = json.loads((tmp_path / "curves.json").read_text())
    assert [(r["model"], r["seed"]) for r in curves["runs"]] == [
        ("seq2seq", 0),
        ("seq2seq", 1),
        ("attention", 0),
        ("attention", 1),
    ]
    assert curves["command"].startswith("python -m ch08.compare --data ")
    assert (tmp_path / "curves.png").is_file()
    stamp = (tmp_path / "runs/attention-1/history.json").stat().st_mtime_ns
    assert ch08_compare.main(args) == 0
    assert (tmp_path / "runs/attention-1/history.json").stat().st_mtime_ns == stamp


def test_accuracy_is_the_share_of_answers_right_in_every_character(dates):
    task = Task(dates)

    class Oracle:
        def greedy_decode(self, xs, start_id, sample_size, with_details=False):
            out = task.t_test[:, 1:].copy()
            out[0, 3] += 1
            return out

    n = len(task.x_test)
    assert math.isclose(task.accuracy(Oracle()), (n - 1) / n)


# --- noise -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
def test_noise_changes_separators_only(dates, reverse):
    task = Task(dates, reverse=reverse, trim=True)
    xs = task.x_train
    before = xs.copy()
    noisy = task.noisy(xs, 0.5, np.random.default_rng(0))
    assert np.array_equal(xs, before)
    assert noisy.shape == xs.shape
    changed = gone = 0
    for old, new in zip(xs, noisy, strict=True):
        a, b = task.text(old), task.text(new)
        digits_and_slashes = [c for c in a if c.isdigit()]
        assert [c for c in b if c.isdigit()] == digits_and_slashes
        letters = "".join(c for c in a if c.isalpha())
        rest = iter(b)
        assert all(c in rest for c in letters)  # all letters of the question are there, in their order
        if "/" in a:
            assert len(b) == len(a)
        changed += a != b
        gone += len(a) - len(b)
    assert changed > 0.7 * len(xs)
    assert gone > 0.3 * len(xs)


def test_no_noise_changes_nothing(dates):
    task = Task(dates, trim=True)
    assert np.array_equal(task.noisy(task.x_train, 0.0, np.random.default_rng(0)), task.x_train)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_mask_hides_the_share_it_is_asked_for(dates, reverse):
    task = Task(dates, reverse=reverse, trim=True)
    xs, rng = task.x_train, np.random.default_rng(0)
    separator = np.array([[not task.vocab.id_to_char[i].isalnum() for i in row] for row in xs])
    assert np.array_equal(task.mask(xs, 1.0, 0.0, rng), ~separator)
    assert task.mask(xs, 0.0, 0.0, rng).all()
    seen = task.mask(xs, 0.7, 0.2, rng)
    assert seen[separator].mean() == pytest.approx(0.3, abs=0.02)
    assert seen[~separator].mean() == pytest.approx(0.8, abs=0.02)


def test_a_question_of_which_nothing_would_be_left_stays_whole(dates):
    task = Task(dates, trim=True)
    xs = np.array([task.vocab.encode(text, 6) for text in (" ,/,, ", "1, 2//")])
    assert task.mask(xs, 1.0, 0.0, np.random.default_rng(0)).tolist() == [
        [True] * 6,
        [True, False, False, True, False, False],
    ]


def test_batches_bring_the_mask_that_hides(dates):
    task = Task(dates, trim=True)
    for xs, ts, decoder_xs, mask in task.batches(replace(PLAIN, noise=0.2, padded=0.5, hide=1.0), 0)(1):
        assert len(ts) == 16
        assert decoder_xs is None
        assert np.array_equal(mask, task.mask(xs, 1.0, 0.0, np.random.default_rng(0)))
    assert all(len(batch) == 2 for batch in task.batches(replace(PLAIN, noise=0.2), 0)(1))


def test_other_characters_are_hidden_in_the_first_batches_only(dates):
    task = Task(dates, trim=True)

    def hides_others(epoch, steps):
        batches = task.batches(replace(PLAIN, hide=0.5, explore=0.5, warmup_steps=steps), 0)(epoch)
        return [bool((~mask & ~task.separator[xs]).any()) for xs, _, _, mask in batches]

    first = hides_others(1, 3)
    assert len(first) > 3
    assert first == [k < 3 for k in range(len(first))]
    assert not any(hides_others(2, 3))
    only_first = task.batches(replace(PLAIN, explore=0.5, warmup_steps=2), 0)(1)
    assert [len(batch) for batch in only_first][:4] == [4, 4, 2, 2]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("hide", [0.0, 0.5])
def test_batches_bring_the_gold_alignment_of_the_first_rows(dates, reverse, hide):
    task = Task(dates, reverse=reverse, trim=True)
    K = 40
    gold = task.ordered(gold_alignment([task.text(row) for row in task.x_train[:K]], task.x_train.shape[1]))
    annotated = 0
    for batch in task.batches(replace(PLAIN, noise=0.5, padded=0.5, hide=hide), 0, gold)(1):
        if len(batch) < 5:
            assert len(batch) == (4 if hide else 2)
            continue
        xs, ts, decoder_xs, mask, marked = batch
        assert decoder_xs is None
        assert (mask is not None) == bool(hide)
        assert marked.shape == (16, 10, xs.shape[1])
        assert marked.dtype == bool
        for x, t, rows in zip(xs, ts, marked, strict=True):
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
    assert all(len(batch) == 2 for batch in task.batches(PLAIN, 0, gold[:0])(1))


def test_labels_draw_the_attention_to_the_gold_characters(dates):
    recipe = replace(ch08_train.RECIPES["guided"], epochs=20, hidden_size=16, batch_size=16, warmup_steps=20)
    mass = []
    for labeled in (0, 144):
        run = ch08_train.run_recipe("attention", replace(recipe, labeled=labeled), data=dates, progress=False)
        mass.append(ch08_train.measure(run)[1].mass)
    assert mass[1] > mass[0] + 0.1


@pytest.mark.parametrize("name", ["padded", "noise", "hide", "explore", "word_dropout", "gold"])
def test_what_needs_trim_says_so(dates, name):
    gold = np.ones((1, 10, 29), bool) if name == "gold" else None
    with pytest.raises(ValueError, match=f"for {name} the Task must have trim=True"):
        Task(dates).batches(PLAIN if name == "gold" else replace(PLAIN, **{name: 0.1}), 0, gold)


def test_word_dropout_replaces_characters_that_the_decoder_is_fed(dates):
    task = Task(dates, trim=True)
    answers = task.t_train.copy()
    decoder_xs = task.word_dropout(task.t_train, 0.3, np.random.default_rng(0))
    assert decoder_xs.shape == (144, 10)
    assert np.array_equal(decoder_xs[:, 0], task.t_train[:, 0])  # the start mark stays
    changed = decoder_xs != task.t_train[:, :-1]
    # one time in ten the random digit is the one that was there; the answers have eight digits and two hyphens
    assert changed[:, 1:].mean() == pytest.approx(0.3 * (0.9 * 7 + 2) / 9, abs=0.03)
    assert set(np.unique(decoder_xs[changed])) == {task.vocab.char_to_id[c] for c in "0123456789"}
    assert np.array_equal(task.t_train, answers)

    with_dropout = list(task.batches(replace(PLAIN, word_dropout=0.3), 0)(1))
    assert len(with_dropout) > 3
    for _, ts, decoder_xs in with_dropout:
        assert decoder_xs.shape == (16, 10)
        assert 0 < (decoder_xs != ts[:, :-1]).mean() < 0.6


def test_the_decoder_reads_what_it_is_fed_and_learns_the_answer(dates):
    task = Task(dates, trim=True)
    xs, ts = task.x_train[:5], task.t_train[:5]
    decoder_xs = task.word_dropout(ts, 0.5, np.random.default_rng(0))
    for model_class in (Seq2seq, AttentionSeq2seq):
        model = model_class(len(task.vocab), 4, 6, rng=0)
        assert model.forward(xs, ts, ts[:, :-1]) == model.forward(xs, ts)
        assert model.forward(xs, ts, decoder_xs) != model.forward(xs, ts)
        score = model.decoder.forward(decoder_xs, model.encoder.forward(xs))
        assert model.forward(xs, ts, decoder_xs) == model.softmax.forward(score, ts[:, 1:])
        with pytest.raises(ValueError, match=r"decoder_xs \(5, 9\) must be .* \(5, 10\)"):
            model.forward(xs, ts, decoder_xs[:, 1:])


def test_separators_are_hidden_in_training_only(dates, monkeypatch):
    seen = set()
    time_attention_forward = TimeAttention.forward

    def forward(layer, hs_enc, hs_dec, mask=None):
        seen.add(mask is not None and not mask.all())
        return time_attention_forward(layer, hs_enc, hs_dec, mask)

    monkeypatch.setattr(TimeAttention, "forward", forward)
    recipe = replace(ch08_train.RECIPES["fast"], hide=0.9, hidden_size=4, batch_size=16)
    run = ch08_train.run_recipe("attention", recipe, data=dates, progress=False)
    assert True in seen
    seen.clear()
    run.task.accuracy(run.model)
    assert seen == {False}


def test_a_share_of_the_batches_is_padded(dates):
    task = Task(dates, trim=True)

    def widths_of(recipe):
        return [x.shape[1] for x, _ in task.batches(recipe, 0)(1)]

    widths = widths_of(PLAIN)
    assert widths_of(replace(PLAIN, padded=1e-9)) == widths
    padded = widths_of(replace(PLAIN, padded=1.0))
    assert max(padded) <= 29
    assert sum(padded) > sum(widths) + 20


# --- pictures --------------------------------------------------------------------------------------------------


def test_visualize_attention_draws_what_it_is_asked_for(tmp_path, capsys):
    assert visualize_attention.main(["may 20, 1985", "2/10/93", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("may 20, 1985 -> 1985-05-20")
    assert lines[1].startswith("2/10/93 -> 1993-02-10")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2-10-93.png", "may-20-1985.png"]


def test_visualize_attention_writes_the_explorers_picture(tmp_path):
    assert visualize_attention.main(["may 20, 1985", "--explorer", "--out", str(tmp_path)]) == 0
    svg = (tmp_path / "may-20-1985.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert "1985-05-20" in svg


def test_visualize_attention_refuses_a_character_it_does_not_know(tmp_path, capsys):
    args = ["may 20, 1985", "café", "--out", str(tmp_path)]
    assert run_program(lambda: visualize_attention.main(args)) == 1
    assert "é" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "field"), [("aligned", "hide"), ("guided", "labeled")])
def test_recipes_for_the_alignment_need_attention(dates, tmp_path, capsys, name, field):
    words = ["--recipe", name, "--data", str(dates), "--out", str(tmp_path), *SMALL]
    assert ch08_train.main(words) == 0
    assert json.loads((tmp_path / "history.json").read_text())["recipe"][field] > 0.9
    for program, flag in ((ch08_train, "--model"), (ch08_compare, "--models")):
        assert run_program(partial(program.main, [*words, flag, "peeky"])) == 1
        assert capsys.readouterr().err.startswith(f"error: the recipe {name} is for")


def test_the_guided_recipe_needs_dates(tmp_path, capsys):
    words = ["--recipe", "guided", "--data", "addition.txt", "--out", str(tmp_path), *SMALL]
    assert run_program(partial(ch08_train.main, words)) == 1
    assert capsys.readouterr().err.startswith("error: the recipe guided needs dates to know where digits come from: '")


def test_separators_clear_the_memory_at_the_start_of_the_aligned_recipe():
    rng = np.random.default_rng(0)
    separator = np.arange(11) < 3
    model = AttentionSeq2seq(11, 4, 6, rng=rng)
    ch08_train.prepare_aligned(model, rng, separator=separator)
    lstm = model.encoder.lstm
    lstm.stateful = True
    kept = []
    for k in range(11):
        lstm.set_state(np.zeros((1, 6), np.float32), np.ones((1, 6), np.float32))
        model.encoder.forward(np.array([[k]]))
        kept.append(np.abs(lstm.c[0, :4]).max())
    assert max(kept[:3]) < 0.01
    assert min(kept[3:]) > 0.3


@pytest.mark.parametrize("H", [1, 2, 9])
def test_two_cells_count_the_separators_at_the_start_of_the_aligned_recipe(H):
    rng = np.random.default_rng(0)
    separator = np.arange(11) < 3
    model = AttentionSeq2seq(11, 4, H, rng=rng)
    ch08_train.prepare_aligned(model, rng, separator=separator)
    xs = np.array([[5, 0, 7, 7, 2, 9, 1, 1, 4, 10]])
    for T in range(1, 11):
        model.encoder.forward(xs[:, :T])
        counted = model.encoder.lstm.c[0, -2:]
        assert counted == pytest.approx(separator[xs[0, :T]].sum(), abs=0.1)


def test_half_size_weights(dates, tmp_path):
    assert ch08_train.main(["--half", "--data", str(dates), "--out", str(tmp_path), *SMALL]) == 0
    with np.load(tmp_path / "attention.npz") as arrays:
        assert {a.dtype for a in arrays.values()} == {np.dtype("float16")}
