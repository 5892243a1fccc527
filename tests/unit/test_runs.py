"""One training run: resuming, interrupts, the lock on a folder, the files."""

import copy
import json
import multiprocessing
import signal
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ch07.seq2seq import Seq2seq
from ch08.attention_layer import TimeAttention
from ch08.attention_seq2seq import AttentionSeq2seq
from ch08.recipes.dates import SYSTEMS, Dates, date_model, prepare_aligned
from ch08.recipes.transformer import date_transformer
from common.training.recipe import Recipe, System
from common.training.run import locked, read_json, train, write_json
from tests.unit.training_data import press_ctrl_c, write_dates

pytestmark = pytest.mark.usefixtures("ctrl_c_is_heard")

RECIPE = Recipe(epochs=3, batch_size=16, warmup_steps=4)
NOISE = dict(padded=0.1, noise=0.2, hide=0.5, explore=0.3, explore_steps=4, word_dropout=0.3)
SIZES = {"hidden_size": 8}


@pytest.fixture
def system(dates_file):
    """Attention on the small file, with everything random that a task of dates has."""
    return System("small", partial(Dates, data=dates_file, **NOISE), partial(date_model, AttentionSeq2seq), RECIPE)


def run(system, **options):
    return train(system, "small", sizes=SIZES, progress=False, **{"seed": 5, **options})


def same_result(a, b):
    """Whether two runs have the same weights, bit by bit, and the same history except for the seconds."""
    histories = [copy.deepcopy(r.history) for r in (a, b)]
    for history in histories:
        for epoch in history["epochs"]:
            epoch.pop("train_seconds")
    return histories[0] == histories[1] and all(
        np.array_equal(p, q) for p, q in zip(a.model.params, b.model.params, strict=True)
    )


# --- resuming --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_step", [1, 5, 9, 13, 26, 27])
def test_resume_gives_what_an_uninterrupted_run_gives(system, tmp_path, monkeypatch, at_step):
    whole = run(system)
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at_step)
        first = run(system, out=tmp_path)
    assert first.interrupted
    second = run(system, out=tmp_path, resume=True)
    assert not second.interrupted
    assert same_result(whole, second)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("at_step", [2, 7])
def test_resume_goes_on_with_the_same_dropout(dates_file, tmp_path, monkeypatch, parts, at_step):
    monkeypatch.setattr("common.parallel.workers", lambda: parts)
    model = partial(date_transformer, layers=1, dropout=0.4)
    small = System("small", partial(Dates, data=dates_file), model, replace(RECIPE, batch_size=48))
    whole = run(small)
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at_step)
        assert run(small, out=tmp_path).interrupted
    assert same_result(whole, run(small, out=tmp_path, resume=True))


def test_random_states_that_do_not_fit_are_refused(dates_file, tmp_path):
    small = System("small", partial(Dates, data=dates_file), partial(date_transformer, layers=1, dropout=0.4), RECIPE)
    run(small, out=tmp_path)
    checkpoint = tmp_path / "checkpoint.npz"
    arrays = dict(np.load(checkpoint))
    content = json.loads(arrays["trainer"].item())
    for wrong in ([[[]]], [[[{"state": 3}]]], [["a"]], ["a"], [3], [[]]):
        content["extra"]["streams"] = wrong
        np.savez(checkpoint, **arrays | {"trainer": np.array(json.dumps(content))})
        with pytest.raises(ValueError, match=r"checkpoint\.npz does not fit this model: "):
            run(small, out=tmp_path, resume=True)


def test_resume_after_an_interrupt_while_measuring(system, tmp_path, monkeypatch):
    whole = run(system)
    with monkeypatch.context() as patch:
        patch.setattr(Dates, "measure", lambda self, model, rows=None: signal.raise_signal(signal.SIGINT))
        assert run(system, out=tmp_path).interrupted
    assert same_result(whole, run(system, out=tmp_path, resume=True))


def test_resume_with_other_settings_is_refused(system, tmp_path):
    run(system, out=tmp_path)
    for changed, seed, what in (
        (system, 6, "seed = 5, not 6"),
        (replace(system, recipe=replace(RECIPE, batch_size=8)), 5, "recipe.batch_size = 16, not 8"),
        (replace(system, recipe=replace(RECIPE, epochs=4)), 5, "recipe.epochs = 3, not 4"),  # the schedule needs it
        (replace(system, task=partial(system.task, noise=0.1)), 5, "task.noise = 0.2, not 0.1"),
    ):
        with pytest.raises(ValueError, match=what):
            run(changed, seed=seed, out=tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"sizes\.hidden_size = 8, not 9"):
        train(system, "small", seed=5, sizes={"hidden_size": 9}, progress=False, out=tmp_path, resume=True)


def test_resume_looks_at_the_contents_of_the_data_not_at_the_path(system, tmp_path):
    data = write_dates(tmp_path / "one.txt")
    run(system, out=tmp_path / "out", options={"data": data})
    moved = data.rename(tmp_path / "two.txt")
    run(system, out=tmp_path / "out", options={"data": moved}, resume=True)
    write_dates(moved, seed=3)
    with pytest.raises(ValueError, match=r"checkpoint\.npz was made with other data"):
        run(system, out=tmp_path / "out", options={"data": moved}, resume=True)


def test_a_run_at_a_constant_rate_can_be_made_longer(system, tmp_path):
    long = replace(system, recipe=Recipe(epochs=2, batch_size=16))
    short = replace(system, recipe=Recipe(epochs=1, batch_size=16))
    run(short, out=tmp_path)
    assert same_result(run(long), run(long, out=tmp_path, resume=True))


def test_resume_without_an_earlier_run(system, tmp_path):
    with pytest.raises(FileNotFoundError, match="no earlier run"):
        run(system, out=tmp_path, resume=True)
    with pytest.raises(ValueError, match="give out as well"):
        run(system, resume=True)


# --- what is trained -------------------------------------------------------------------------------------------


def test_labels_draw_the_attention_to_the_gold_characters(dates_file):
    system = SYSTEMS["guided"]
    recipe = replace(system.recipe, epochs=20, batch_size=16, warmup_steps=20)
    mass = []
    for labeled in (0, 144):
        task = partial(system.task, data=dates_file, explore_steps=20, labeled=labeled)
        trained = train(replace(system, recipe=recipe, task=task), "guided", sizes={"hidden_size": 16}, progress=False)
        mass.append(trained.task.measure(trained.model)["mass"])
    assert mass[1] > mass[0] + 0.1


def test_separators_are_hidden_in_training_only(system, monkeypatch):
    seen = set()
    time_attention_forward = TimeAttention.forward

    def forward(layer, hs_enc, hs_dec, mask=None):
        seen.add(mask is not None and not mask.all())
        return time_attention_forward(layer, hs_enc, hs_dec, mask)

    monkeypatch.setattr(TimeAttention, "forward", forward)
    trained = run(system)
    assert True in seen
    seen.clear()
    trained.task.measure(trained.model)
    assert seen == {False}


def test_a_model_knows_the_vocabulary_it_learned(system):
    trained = run(replace(system, recipe=Recipe(epochs=1, batch_size=64)))
    assert list(trained.model.vocab) == list(trained.task.vocab.char_to_id)


class Separators:
    separator = np.arange(11) < 3


def test_separators_clear_the_memory_at_the_start_of_aligned():
    model = AttentionSeq2seq(11, 4, 6, rng=0)
    prepare_aligned(model, Separators)
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
def test_two_cells_count_the_separators_at_the_start_of_aligned(H):
    model = AttentionSeq2seq(11, 4, H, rng=0)
    prepare_aligned(model, Separators)
    xs = np.array([[5, 0, 7, 7, 2, 9, 1, 1, 4, 10]])
    for T in range(1, 11):
        model.encoder.forward(xs[:, :T])
        counted = model.encoder.lstm.c[0, -2:]
        assert counted == pytest.approx(Separators.separator[xs[0, :T]].sum(), abs=0.1)


def test_a_system_without_attention_trains_on_the_same_task(system, dates_file):
    plain = replace(system, model=partial(date_model, Seq2seq), task=partial(Dates, data=dates_file, noise=0.2))
    assert list(run(plain).history["epochs"][-1]) == ["epoch", "step", "loss", "exact_match", "train_seconds"]


# --- files -----------------------------------------------------------------------------------------------------


def test_a_folder_is_for_one_run_at_a_time(tmp_path):
    with locked(tmp_path / "out"):
        other = multiprocessing.get_context("spawn").Process(target=try_to_lock, args=(tmp_path / "out",))
        other.start()
        other.join()
        assert other.exitcode == 3
        with pytest.raises(RuntimeError, match="another run is writing into"), locked(tmp_path / "out"):
            pass
    with locked(tmp_path / "out"):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def try_to_lock(folder):
    """In another process: exit with 3 if the folder is taken."""
    try:
        with locked(folder):
            pass
    except RuntimeError:
        raise SystemExit(3) from None


def test_json_under_two_writers_is_whole(tmp_path):
    path, problems = tmp_path / "a.json", []

    def write(value):
        try:
            for _ in range(50):
                write_json(path, [value] * 1000)
        except Exception as error:
            problems.append(error)

    writers = [threading.Thread(target=write, args=(k,)) for k in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert problems == []
    assert read_json(path) in ([1] * 1000, [2] * 1000)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_broken_json_is_named(tmp_path):
    (tmp_path / "history.json").write_text('{"epochs": [')
    with pytest.raises(ValueError, match=r"history\.json cannot be read as JSON: .*; delete it and run again"):
        read_json(tmp_path / "history.json")
    write_json(tmp_path / "history.json", {"a": 1})
    assert json.loads((tmp_path / "history.json").read_text()) == {"a": 1}
