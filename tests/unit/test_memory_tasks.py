"""The memory tasks: what their sequences hold, which batches come when, what is measured; a run of every system."""

import json
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ch08.ntm import NTM, PlainLSTM
from ch08.recipes.memory import SYSTEMS, AssociativeRecall, Copy, PrioritySort, RepeatCopy
from common.alt_text import alt_text
from common.memory_figure import used_rows
from common.metrics import family, shown
from common.training.program import compare_main, train_main
from common.training.run import History

TASKS = {task.name: task for task in (Copy, RepeatCopy, AssociativeRecall, PrioritySort)}
every_task = pytest.mark.parametrize("name", TASKS)


def make(name="copy", **options):
    return TASKS[name](**dict(batch_size=3, seed=1, steps_per_epoch=4, test_size=5) | options)


class Oracle:
    """A model that knows the targets of a batch, all but those that it is to get wrong."""

    def __init__(self, batch, wrong=(), logit=50.0):
        self.logits = logit * (2.0 * batch["ts"] - 1)
        for index in wrong:
            self.logits[index] *= -1

    def forward(self):
        raise AssertionError("a task asks what a model predicts")

    def predict(self, xs):
        return self.logits[: len(xs)]


# --- sequences -------------------------------------------------------------------------------------------------


def test_copy():
    xs, ts, first = make().draw(np.random.default_rng(0), 4, length=3)
    assert (xs.shape, ts.shape, first) == ((4, 7, 9), (4, 7, 8), 4)
    np.testing.assert_array_equal(ts[:, 4:], xs[:, :3, :8])
    np.testing.assert_array_equal(xs[:, :, 8], np.eye(7)[[3] * 4])
    assert not xs[:, 4:].any()
    assert not xs[:, 3, :8].any()
    assert not ts[:, :4].any()


@pytest.mark.parametrize("times", [1, 3])
def test_repeat_copy(times):
    xs, ts, first = make("repeat copy").draw(np.random.default_rng(0), 4, length=2, times=times)
    assert (xs.shape, ts.shape, first) == ((4, 4 + 2 * times, 10), (4, 4 + 2 * times, 9), 3)
    for k in range(times):
        np.testing.assert_array_equal(ts[:, 3 + 2 * k : 5 + 2 * k, :8], xs[:, :2, :8])
    assert (ts[:, -1] == np.eye(9)[8]).all()
    assert not ts[:, :-1, 8].any()
    assert (xs[:, 2, 8] == 1).all()
    assert not xs[:, 3:].any()


def test_the_number_of_repetitions_has_mean_0_and_variance_1():
    task = make("repeat copy")
    read = [task.draw(np.random.default_rng(0), 1, length=1, times=n)[0][0, 1, 9] for n in range(1, 11)]
    assert np.mean(read) == pytest.approx(0, abs=1e-6)
    assert np.var(read) == pytest.approx(1, rel=1e-6)
    assert (np.diff(read) > 0).all()


def test_associative_recall():
    xs, ts, first = make("associative recall").draw(np.random.default_rng(0), 50, items=4)
    assert (xs.shape, ts.shape, first) == ((50, 24, 8), (50, 24, 6), 21)
    items = xs[:, :16].reshape(50, 4, 4, 8)
    assert (items[:, :, 0] == np.eye(8)[6]).all()
    assert not items[:, :, 1:, 6:].any()
    assert (xs[:, [16, 20]] == np.eye(8)[7]).all()
    assert not xs[:, 21:].any()
    asked_for = set()
    for row in range(50):
        (k,) = (k for k in range(4) if (items[row, k, 1:, :6] == xs[row, 17:20, :6]).all())
        np.testing.assert_array_equal(ts[row, 21:], items[row, k + 1, 1:, :6])
        asked_for.add(k)
    assert asked_for == {0, 1, 2}


def test_priority_sort():
    xs, ts, first = make("priority sort").draw(np.random.default_rng(0), 4, count=6, sorted=4)
    assert (xs.shape, ts.shape, first) == ((4, 11, 10), (4, 11, 8), 7)
    for row in range(4):
        by_priority = sorted(range(6), key=lambda k, row=row: xs[row, k, 8], reverse=True)
        for place, k in enumerate(by_priority[:4]):
            np.testing.assert_array_equal(ts[row, 7 + place], xs[row, k, :8])
    assert (np.abs(xs[:, :6, 8]) < 1).all()
    assert (xs[:, 6] == np.eye(10)[9]).all()
    assert not xs[:, 7:].any()


@every_task
def test_what_counts_is_what_is_written(name):
    task = make(name)
    for batch in task.batches(1):
        xs, ts, mask = (batch[key] for key in ("xs", "ts", "mask"))
        assert (len(xs), xs.shape[2], ts.shape[2]) == (3, task.input_size, task.output_size)
        assert mask.dtype == bool
        assert (mask == mask[:1]).all()
        assert not xs[mask].any(), "something is read while the answer is written"
        assert not ts[~mask].any()
        assert batch.count == mask.sum() * task.output_size
        model = NTM(task.input_size, task.output_size, 4, rows=4, width=3, rng=0)
        model.forward(**batch.arrays)
        assert model.count == batch.count


# --- batches ---------------------------------------------------------------------------------------------------


def contents(batches):
    return [batch["xs"].tolist() for batch in batches]


@every_task
def test_epochs_and_seeds_differ_and_can_be_repeated(name):
    task = make(name)
    first = contents(task.batches(1))
    assert len(first) == task.steps_per_epoch
    assert contents(make(name).batches(1)) == first
    assert contents(task.batches(2)) != first
    assert contents(make(name, seed=2).batches(1)) != first


@pytest.mark.parametrize(
    ("name", "key", "sizes"),
    [
        ("copy", "length", range(1, 21)),
        ("repeat copy", "length", range(1, 11)),
        ("repeat copy", "times", range(1, 11)),
        ("associative recall", "items", range(2, 7)),
    ],
)
def test_all_lengths_of_the_paper_occur(name, key, sizes):
    rng, task = np.random.default_rng(0), make(name)
    assert {task.sizes(rng)[key] for _ in range(500)} == set(sizes)


@every_task
def test_the_tests_are_the_same_for_all_seeds_and_no_two_are_alike(name):
    task, other = make(name), make(name, seed=9, batch_size=2)
    seen = []
    for test in task.tests:
        whole = task.test(test)
        assert whole["xs"].tolist() == other.test(test)["xs"].tolist()
        few = task.test(test, 2)
        assert few["xs"].tolist() == whole["xs"][:2].tolist()
        assert few.count * 5 == whole.count * 2
        seen += [row.tobytes() for row in whole["xs"]]
    assert len(set(seen)) == 5 * len(task.tests)


def test_settings_can_be_written_as_json_and_tell_tasks_apart():
    settings = [json.dumps(make(name).settings) for name in TASKS]
    assert len(set(settings)) == 4
    assert make().settings != make(test_size=6).settings
    assert make().settings == make(seed=5).settings


# --- measures --------------------------------------------------------------------------------------------------


@every_task
def test_a_model_that_is_always_right_and_one_that_guesses(name):
    task = make(name)
    batch = task.test(next(iter(task.tests)))
    found = task.measure(Oracle(batch), rows=5)
    assert list(found) == ["bit_errors", "bits"]
    assert found["bit_errors"] == 0
    assert found["bits"] == pytest.approx(0, abs=1e-9)
    bits = batch.count / 5
    assert task.measure(Oracle(batch, logit=0.0), rows=5)["bits"] == pytest.approx(bits)


def test_wrong_bits_and_lost_bits_of_a_sequence():
    task = make()
    batch = task.test("20")
    model = Oracle(batch, [(0, 21, 0), (0, 40, 7), (3, 30, 2), (3, 3, 1)], logit=2.0)  # the last one does not count
    wrong, cost = task.errors(model, batch)
    assert wrong.tolist() == [2, 0, 0, 1, 0]
    right, lost = (math.log2(1 + math.exp(x)) for x in (-2, 2))
    np.testing.assert_allclose(cost, [160 * right + k * (lost - right) for k in wrong])
    assert task.measure(model, rows=2) == {"bit_errors": 1.0, "bits": pytest.approx(cost[:2].mean())}
    lines = task.examples(model)
    assert [line[:5] for line in lines] == ["WRONG", "right", "right", "WRONG", "right"]
    assert lines[0] == f"WRONG  2 of 160 bits wrong, {cost[0]:.3f} bits lost"


def test_longer_sequences_are_measured_too():
    task = make()
    model = NTM(9, 8, 4, rows=4, width=3, rng=0)
    found = task.measure(model)
    ends = ["", "_30", "_50", "_120"]
    assert list(found) == [f"{name}{end}" for end in ends for name in ("bit_errors", "bits")]
    for end, length in zip(ends, (20, 30, 50, 120), strict=True):
        assert 0.3 * 8 * length < found[f"bit_errors{end}"] < 0.7 * 8 * length
        assert found[f"bits{end}"] > 7 * length


def test_measuring_leaves_the_model_as_it_was():
    task = make()
    model = NTM(9, 8, 4, rows=4, width=3, rng=0)
    batch = next(iter(task.batches(1)))
    model.forward(**batch.arrays)
    model.backward()
    expected = [g.copy() for g in model.grads]
    task.measure(model, 2)
    model.backward()
    for got, want in zip(model.grads, expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_the_picture_shows_every_head_over_time():
    task = make("associative recall")
    model = NTM(8, 6, 4, rows=9, width=3, read_heads=2, write_heads=1, rng=0)
    (figure,) = task.figures(model).values()
    titles = [ax.get_title() for ax in figure.axes[:-1]]  # the last one is the scale
    assert titles == ["input", "output", "", "read head 0", "read head 1", "write head 0"]
    batch = task.test("6", 1)
    model.forward(**batch.arrays)
    shown = np.asarray(figure.axes[5].images[0].get_array())
    rows = used_rows(model.weights[0])
    np.testing.assert_allclose(shown, model.write_weights[0, :, 0].T[rows], rtol=1e-6)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), batch["xs"][0].T)
    assert "Over 32 steps" in alt_text(figure)
    assert task.figures(PlainLSTM(8, 6, 4, rng=0)) == {}


def test_measures_that_are_not_shares_are_shown_as_numbers():
    assert shown("bit_errors", 2.5) == "2.50"
    assert shown("bits_120", 0.1234) == "0.1234"
    assert shown("exact_match", 0.5) == "50.00%"
    assert family("bit_errors_10_times_20") == "bit_errors"
    assert family("exact_match") == "exact_match"


def test_the_progress_bar_shows_wrong_bits_as_a_number():
    history = History("ntm-copy", 0, None, SYSTEMS["ntm-copy"].recipe, make())
    history.add_step(1, 0.5)
    assert history.line() == "loss 0.500"
    history.add_measures(1, {"bit_errors": 2.5, "bits": 3.0})
    assert history.line() == "loss 0.500, unseen bit errors 2.50"


# --- systems ---------------------------------------------------------------------------------------------------


def small(system):
    """The system with an epoch of two batches and tests of two sequences."""
    task = partial(system.task, steps_per_epoch=2, test_size=10)
    return replace(system, task=task, recipe=replace(system.recipe, epochs=1, batch_size=4))


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_can_be_trained_by_command(name, tmp_path, capsys):
    systems = {name: small(SYSTEMS[name])}
    words = ["--hidden-size", "8", "--quiet", "--out", str(tmp_path / "out")]
    assert train_main(systems, name, program="p", out=tmp_path, argv=words) == 0
    out = capsys.readouterr().out
    assert out.count("  WRONG  ") + out.count("  right  ") == 10
    folder = tmp_path / "out"
    files = ["weights.npz", "history.json", "learning_curve.png"] + ["attention.png"] * name.startswith("ntm")
    for file in files:
        assert str(folder / file) in out
        assert (folder / file).stat().st_size > 100
    assert {p.name for p in folder.iterdir()} == {*files, "checkpoint.npz"}
    history = json.loads((folder / "history.json").read_text())
    assert history["system"] == name
    assert next(iter(history["final"])) == "bit_errors"
    assert history["epochs"][0]["bit_errors"] == history["final"]["bit_errors"]
    assert f"{history['final']['bit_errors']:.2f} bit errors" in out


def test_two_systems_can_be_compared(tmp_path, capsys):
    systems = {name: small(SYSTEMS[name]) for name in ("ntm-recall", "lstm-recall")}
    results = tmp_path / "results.json"
    main = partial(compare_main, systems, list(systems), program="p", out=tmp_path / "out", results=results)
    assert main(argv=["--seeds", "1", "2", "--hidden-size", "8", "--quiet", "--update-list"]) == 0
    for found in json.loads(results.read_text()).values():
        assert found["steps_to_99"] is None
        for measure in found["measures"].values():
            assert measure["best"] <= measure["median"] <= measure["worst"]
    assert "%" not in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name.startswith("lstm")])
def test_the_lstm_has_about_as_many_parameters(name):
    sizes = []
    for system in (SYSTEMS[name.replace("lstm", "ntm")], SYSTEMS[name]):
        model = system.model(system.task(batch_size=2), rng=0)
        assert isinstance(model, NTM | PlainLSTM)
        sizes.append(sum(p.size for p in model.params))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)
