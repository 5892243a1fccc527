"""The programs of chapters 7 and 8: what they print and write, and what they say when something is wrong."""

import inspect
import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ch07 import train as ch07_train
from ch08 import compare as ch08_compare
from ch08 import train as ch08_train
from ch08 import visualize_attention
from ch08.explorer import load_pretrained
from ch08.recipes import SYSTEMS, memory
from ch08.recipes.sentences import sentence_task
from ch08.recipes.translation import multi30k_task
from common.training import program
from common.training.program import run_program, train_main
from common.training.run import locked
from tests.unit.training_data import press_ctrl_c, write_dates

pytestmark = pytest.mark.usefixtures("ctrl_c_is_heard")

SMALL = ["--epochs", "1", "--hidden-size", "8", "--batch-size", "32", "--quiet"]


@pytest.fixture
def arguments(dates_file, tmp_path):
    """The flags of a run that takes no time."""
    return ["--data", str(dates_file), "--out", str(tmp_path / "out"), *SMALL]


def error_of(capsys, main, words):
    """Run a program that must fail with one line; return the line."""
    assert run_program(partial(main, argv=list(map(str, words)))) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


# --- ch08.train ------------------------------------------------------------------------------------------------


# Tasks that make their own batches have no data: tests/unit/test_memory_tasks.py trains their systems.
WITH_DATA = [name for name, system in SYSTEMS.items() if "data" in inspect.signature(system.task).parameters]


@pytest.mark.parametrize("name", WITH_DATA)
def test_train_writes_what_it_says(arguments, tmp_path, capsys, name):
    task = SYSTEMS[name].task
    translates = getattr(task, "func", task) in (sentence_task, multi30k_task)
    if translates:
        pairs = tmp_path / "pairs.tsv"
        pairs.write_text("".join(f"Der {k}. Satz ist da.\tSentence {k} is here.\n" for k in range(1, 301)))
        arguments = [*arguments, "--data", str(pairs)]
    assert ch08_train.main(argv=[name, *arguments]) == 0
    out = capsys.readouterr().out
    attention = not name.startswith(("seq2seq", "peeky", "plain"))
    assert out.count("  WRONG  ") + out.count("  right  ") >= 10
    assert ("alignment: " in out) == (attention and not translates)
    assert ("perplexity " in out) == translates
    folder = tmp_path / "out"
    files = ["weights.npz", "history.json", "learning_curve.png"] + ["attention.png"] * attention
    for file in files:
        assert str(folder / file) in out
        assert (folder / file).stat().st_size > 100
    assert {p.name for p in folder.iterdir()} == {*files, "checkpoint.npz"}
    history = json.loads((folder / "history.json").read_text())
    assert history["system"] == name
    headline = "bleu" if name.startswith("multi30k") else "exact_match"
    assert next(iter(history["final"])) == headline
    assert history["epochs"][0][headline] == history["final"][headline]
    assert ("mass" in history["final"]) == (attention and not translates)


def test_what_was_trained_can_be_loaded(tmp_path, capsys):
    assert ch08_train.main(argv=["peeky", *SMALL[:-3], "--batch-size", "9000", "--out", str(tmp_path / "peeky")]) == 0
    model = load_pretrained("peeky", tmp_path)
    assert model.decoder.affine.params[0].shape == (16, 59)
    with pytest.raises(FileNotFoundError, match=r"python -m ch08\.train seq2seq; then load_pretrained\('seq2seq'"):
        load_pretrained("seq2seq", tmp_path)
    with pytest.raises(KeyError, match="there is no system 'nothing'"):
        load_pretrained("nothing")


def test_without_a_name_the_default_is_trained(arguments, tmp_path, capsys):
    assert ch08_train.main(argv=arguments) == 0
    assert json.loads((tmp_path / "out" / "history.json").read_text())["system"] == "attention"


def test_list_shows_every_system_and_what_was_measured(tmp_path, capsys):
    assert ch08_train.main(argv=["--list"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n{name} " in out for name in SYSTEMS)
    assert all(system.about in out for system in SYSTEMS.values())
    results = tmp_path / "results.json"
    found = {
        "seeds": [5, 6],
        "seconds": 34.2,
        "peak_mb": 210,
        "measures": {"exact_match": {"worst": 0.99, "best": 1.0}},
    }
    results.write_text(json.dumps({"attention": found}))
    train_main(SYSTEMS, "attention", program="p", out=tmp_path, results=results, argv=["--list"])
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("attention ")]
    assert line.split()[:9] == ["attention", "34", "s", "210", "MB", "99.00%", "to", "100.00%,", "2"]
    assert "not measured" in out


def test_list_says_what_a_headline_counts_that_is_not_a_share(tmp_path, capsys):
    results = tmp_path / "results.json"
    found = {"seeds": [5], "seconds": 1.0, "peak_mb": 2, "measures": {"bit_errors": {"worst": 12.5, "best": 0.0}}}
    results.write_text(json.dumps({"ntm-copy": found}))
    train_main(SYSTEMS, "attention", program="p", out=tmp_path, results=results, argv=["--list"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ntm-copy ")]
    assert "12.50 to 0.00 wrong bits, 1 seed " in line


def test_half_size_weights(arguments, tmp_path):
    assert ch08_train.main(argv=["--half", *arguments]) == 0
    with np.load(tmp_path / "out" / "weights.npz") as arrays:
        kinds = {a.dtype for a in arrays.values() if a.dtype.kind == "f"}
    assert kinds == {np.dtype("float16")}


def test_data_with_answers_of_uneven_length(additions_file, tmp_path, capsys):
    words = ["--data", str(additions_file), "--out", str(tmp_path), *SMALL]
    assert ch08_train.main(argv=words) == 0
    assert (tmp_path / "attention.png").is_file()
    assert "alignment" not in capsys.readouterr().out


def test_a_readers_own_file_of_questions_tabs_and_answers(tmp_path, capsys):
    path = tmp_path / "words.tsv"
    path.write_text("".join(f"{'x' * n}\t{n * n}\n" for n in range(1, 60)), encoding="utf-8")
    assert ch08_train.main(argv=["--data", str(path), "--out", str(tmp_path / "out"), *SMALL]) == 0
    out = capsys.readouterr().out
    assert "of 5 unseen questions right" in out
    assert (tmp_path / "out" / "weights.npz").is_file()


def test_what_was_learned_is_kept_when_interrupted(arguments, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at_step=2)
        assert ch08_train.main(argv=arguments) == 130
    assert "--resume" in capsys.readouterr().out
    assert (tmp_path / "out" / "weights.npz").is_file()
    assert ch08_train.main(argv=[*arguments, "--resume"]) == 0


# --- errors ----------------------------------------------------------------------------------------------------


def test_a_diverging_run_ends_with_one_line(arguments, tmp_path, capsys):
    def spoil(model, task):
        model.params[0][...] = np.nan

    systems = {"spoiled": replace(SYSTEMS["attention"], prepare=spoil)}
    main = partial(train_main, systems, "spoiled", program="p", out=tmp_path)
    assert error_of(capsys, main, arguments).startswith("error: the loss became nan in epoch 1, step 1.")
    assert not (tmp_path / "out" / "weights.npz").exists()


def test_data_that_cannot_be_read(tmp_path, capsys):
    for data in (tmp_path / "no.txt", tmp_path, "", "x" * 5000):
        error = error_of(capsys, ch08_train.main, ["--data", data, "--out", tmp_path / "out", "--quiet"])
        assert "data" in error or "no.txt" in error


def test_labels_need_dates(tmp_path, capsys):
    words = ["guided", "--data", "addition.txt", "--out", tmp_path / "out", *SMALL]
    assert "only dates tell where their digits come from" in error_of(capsys, ch08_train.main, words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--seed", "-1"], "argument --seed: must be at least 0, not -1"),
        (["--seed", "x"], "argument --seed: must be a whole number, not 'x'"),
        (["--epochs", "x"], "argument --epochs: must be a whole number, not 'x'"),
        (["--epochs", "0"], "argument --epochs: must be at least 1, not 0"),
        (["--batch-size", "1.5"], "argument --batch-size: must be a whole number, not '1.5'"),
        (["nothing"], "there is no system 'nothing'; there are attention, aligned,"),
    ],
)
def test_flags_that_make_no_sense_are_named(words, says, capsys):
    for main in (ch08_train.main, ch08_compare.main) if "seed" not in words[0] else (ch08_train.main,):
        with pytest.raises(SystemExit) as stop:
            main(argv=words)
        assert stop.value.code == 2
        assert says in capsys.readouterr().err


def test_out_is_checked_before_training(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(program, "train", lambda *a, **k: pytest.fail("trained first"))
    (tmp_path / "file").write_text("mine")
    for main in (ch08_train.main, ch08_compare.main, ch07_train.main):
        for out in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
            assert str(out)[:40] in error_of(capsys, main, [*arguments, "--out", out])
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named_before_training(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(program, "train", lambda *a, **k: pytest.fail("trained first"))
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "closed" in error_of(capsys, ch08_train.main, [*arguments, "--out", tmp_path / "closed"])


def test_a_disk_that_fills_up_while_training_loses_nothing(arguments, tmp_path, monkeypatch, capsys):
    real = program.train

    def train_and_fill(*args, **kwargs):
        run = real(*args, **kwargs)
        save = run.model.save_params

        def full(path, dtype=None):
            if Path(path).is_relative_to(tmp_path / "out"):
                raise OSError(28, "No space left on device")
            return save(path, dtype=dtype)

        run.model.save_params = full
        return run

    monkeypatch.setattr(program, "train", train_and_fill)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert ch08_train.main(argv=arguments) == 0
    captured = capsys.readouterr()
    assert "No space left on device" in captured.err
    (weights,) = tmp_path.glob("attention-from-scratch-*/weights.npz")
    assert str(weights) in captured.out


def test_two_runs_into_one_folder(arguments, tmp_path, capsys):
    with locked(tmp_path / "out"):
        for main in (ch08_train.main, ch08_compare.main):
            assert "another run is writing into" in error_of(capsys, main, arguments)


def test_a_task_that_makes_its_own_batches_takes_no_data(tmp_path, capsys):
    for flag in (["--data", "dates.txt"], ["--split", "random"]):
        error = error_of(capsys, ch08_train.main, ["ntm-copy", *flag, "--out", tmp_path / "out", "--quiet"])
        assert f"{flag[0]} does not apply here: {SYSTEMS['ntm-copy'].about}" in error
    assert set(SYSTEMS) - set(WITH_DATA) == set(memory.SYSTEMS)


def test_a_flag_that_a_system_does_not_have(tmp_path, capsys):
    systems = {"fixed": replace(SYSTEMS["attention"], model=lambda task, *, rng: None)}
    main = partial(train_main, systems, "fixed", program="p", out=tmp_path)
    assert "--hidden-size does not apply here" in error_of(capsys, main, ["--hidden-size", "8", "--quiet"])


# --- comparing -------------------------------------------------------------------------------------------------


def test_ch07_train_trains_the_three_variants(additions_file, tmp_path, capsys):
    assert ch07_train.main(argv=["--data", str(additions_file), "--out", str(tmp_path), *SMALL]) == 0
    out = capsys.readouterr().out
    for name in ("plain", "reversed", "peeky"):
        assert f"\n{name} " in "\n" + out
        history = json.loads((tmp_path / f"{name}-0" / "history.json").read_text())
        assert history["task"]["reverse"] == (name != "plain")
        assert (tmp_path / f"{name}-0" / "weights.npz").is_file()
    curves = json.loads((tmp_path / "curves.json").read_text())
    assert [(r["system"], r["seed"]) for r in curves["runs"]] == [("plain", 0), ("reversed", 0), ("peeky", 0)]
    assert all({"epoch", "loss", "exact_match"} <= e.keys() for r in curves["runs"] for e in r["epochs"])
    assert curves["command"].startswith("python -m ch07.train --data ")
    assert "--quiet" not in curves["command"]  # it does not affect the result


def test_compare_goes_on_where_it_stopped(arguments, tmp_path, monkeypatch, capsys):
    words = ["seq2seq", "attention", "--seeds", "0", "1", *arguments]
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at_step=6)  # in the second of four runs
        assert ch08_compare.main(argv=words) == 130
    folder = tmp_path / "out"
    assert not (folder / "curves.json").exists()
    assert ch08_compare.main(argv=words) == 0
    curves = json.loads((folder / "curves.json").read_text())
    order = [("seq2seq", 0), ("attention", 0), ("seq2seq", 1), ("attention", 1)]
    assert [(r["system"], r["seed"]) for r in curves["runs"]] == order
    assert curves["command"].startswith("python -m ch08.compare seq2seq attention --seeds 0 1 --data ")
    assert (folder / "curves.png").is_file()
    stamp = (folder / "attention-1/history.json").stat().st_mtime_ns
    assert ch08_compare.main(argv=words) == 0
    assert (folder / "attention-1/history.json").stat().st_mtime_ns == stamp


def test_compare_does_not_take_old_runs_for_new_ones(arguments, tmp_path, capsys):
    words = ["seq2seq", "--seeds", "0", *arguments]
    assert ch08_compare.main(argv=words) == 0
    capsys.readouterr()
    error = error_of(capsys, ch08_compare.main, [*words, "--batch-size", "16"])
    assert "seq2seq-0 holds a run with recipe.batch_size = 32, not 16; name another folder with --out" in error
    other = write_dates(tmp_path / "other.txt", seed=5)
    assert "task.content" in error_of(capsys, ch08_compare.main, [*words, "--data", other])


def test_compare_takes_over_what_train_has_trained(arguments, tmp_path, capsys):
    folder = tmp_path / "out" / "seq2seq-4"
    words = [word if word != str(tmp_path / "out") else str(folder) for word in arguments]
    assert ch08_train.main(argv=["seq2seq", "--seed", "4", *words]) == 0
    trained = json.loads((folder / "history.json").read_text())
    assert ch08_compare.main(argv=["seq2seq", "--seeds", "4", *arguments]) == 0
    compared = json.loads((folder / "history.json").read_text())
    assert compared["epochs"] == trained["epochs"]
    assert compared["final"] == trained["final"]
    assert compared["seconds"] > 0


def test_a_corrupt_history_is_named(arguments, tmp_path, capsys):
    words = ["seq2seq", "--seeds", "0", *arguments]
    assert ch08_compare.main(argv=words) == 0
    capsys.readouterr()
    (tmp_path / "out/seq2seq-0/history.json").write_text('{"ep')
    assert "history.json cannot be read as JSON" in error_of(capsys, ch08_compare.main, words)


def test_compare_writes_the_table_for_the_list(arguments, tmp_path, capsys):
    results = tmp_path / "results.json"
    main = partial(program.compare_main, SYSTEMS, ["seq2seq"], program="p", out=tmp_path, results=results)
    assert main(argv=["seq2seq", "--seeds", "3", "4", "--update-list", *arguments]) == 0
    found = json.loads(results.read_text())["seq2seq"]
    assert found["seeds"] == [3, 4]
    curves = json.loads((tmp_path / "out" / "curves.json").read_text())
    values = {r["seed"]: r["final"]["exact_match"] for r in curves["runs"]}
    assert found["measures"]["exact_match"]["worst"] == min(values.values())
    assert values[found["measures"]["exact_match"]["worst_seed"]] == min(values.values())


def test_the_steps_to_99_percent_are_those_of_the_slowest_and_the_median_seed():
    def run(seed, *shares):
        looks = [[50 * (k + 1), {"exact_match": share, "mass": 1.0}] for k, share in enumerate(shares)]
        return {"seed": seed, "measures": looks, "final": {}, "seconds": 1.0, "peak_mb": 1}

    runs = [run(0, 0.5, 0.99, 0.98), run(1, 0.0, 0.0, 1.0), run(2, 0.995, 0.2, 1.0)]
    assert program.summarize(runs, "p")["steps_to_99"] == {"worst": 150, "median": 100}
    assert program.summarize([*runs, run(3, 0.9)], "p")["steps_to_99"] is None


# --- pictures --------------------------------------------------------------------------------------------------


def test_visualize_attention_draws_what_it_is_asked_for(tmp_path, capsys):
    assert visualize_attention.main(["may 20, 1985", "2/10/93", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("may 20, 1985 -> 1985-05-20")
    assert lines[1].startswith("2/10/93 -> 1993-02-10")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2-10-93.png", "may-20-1985.png"]


def test_texts_that_would_make_one_file_name_get_two():
    texts = ["may 20, 1985", "MAY 20, 1985", "may 20 1985", "", "x" * 300]
    names = visualize_attention.file_names(texts)
    assert names[:4] == ["may-20-1985", "may-20-1985-2", "may-20-1985-3", "empty"]
    assert len(set(names)) == 5
    assert len(names[4]) == 60


def test_visualize_attention_writes_the_explorers_picture(tmp_path):
    assert visualize_attention.main(["may 20, 1985", "--explorer", "--out", str(tmp_path)]) == 0
    svg = (tmp_path / "may-20-1985.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert "1985-05-20" in svg


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["may 20, 1985", "café"], "é"),
        ([""], "the date is empty"),
        (["  "], "the date is empty"),
        (["--system", "peeky", "may 20, 1985"], "peeky has no attention to draw"),
    ],
)
def test_visualize_attention_refuses_what_it_cannot_draw(tmp_path, capsys, words, says):
    assert run_program(lambda: visualize_attention.main([*words, "--out", str(tmp_path)])) == 1
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
