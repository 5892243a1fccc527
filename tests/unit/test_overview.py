"""The table of all systems: its figures are those that were measured."""

import json

import pytest

from ch08 import overview
from ch08.recipes import SYSTEMS
from ch08.train import RESULTS
from common.training.run import read_json


@pytest.fixture(scope="module")
def measured():
    return read_json(RESULTS)


def test_a_row_holds_what_was_measured(measured):
    (row,) = overview.overview(["attention"])
    found = measured["attention"]
    assert (row.measure, row.median, row.worst) == (
        "exact_match",
        *(found["measures"]["exact_match"][k] for k in ("median", "worst")),
    )
    assert row.alignment == ("mass", found["measures"]["mass"]["median"])
    assert row.seeds == len(found["seeds"])
    assert row.parameters == 591_259
    task = SYSTEMS["attention"].task(batch_size=SYSTEMS["attention"].recipe.batch_size, seed=0)
    assert row.step == pytest.approx(
        1000 * found["seconds"] / (SYSTEMS["attention"].recipe.epochs * task.steps_per_epoch)
    )


def test_what_is_not_known_is_left_open(tmp_path):
    path = tmp_path / "results.json"
    values = dict(median=36.2, worst=30.1, best=40.0, worst_seed=10)
    found = {"measures": {"bleu": values}, "seeds": [10, 11], "seconds": None}
    path.write_text(json.dumps({"multi30k-luong": found, "gone": {}}))
    (row,) = overview.overview(results=path)
    assert (row.name, row.measure, row.median, row.worst, row.seeds) == ("multi30k-luong", "bleu", 36.2, 30.1, 2)
    assert (row.alignment, row.seconds, row.step) == (None, None, None)
    header, line = overview.table([row]).splitlines()
    assert "alignment" in header
    assert line.split()[:5] == ["multi30k-luong", "36.20", "30.10", "2", "-"]
    assert line.endswith("in BLEU")


def test_the_table_has_a_line_for_each_row_and_lines_of_one_width():
    rows = overview.overview(["attention", "bahdanau"])
    header, *lines = overview.table(rows).splitlines()
    assert {len(line) for line in lines} == {len(header)}
    assert [line.split()[0] for line in lines] == ["attention", "bahdanau"]
    assert "% error" in lines[1]


def test_a_name_that_was_not_measured(capsys):
    with pytest.raises(KeyError, match="'nothing' was not measured; there are attention, "):
        overview.overview(["nothing"])
    with pytest.raises(SystemExit):
        overview.main(["nothing"])
    assert "was not measured" in capsys.readouterr().err


def test_the_program_prints_the_table(capsys):
    assert overview.main(["seq2seq"]) == 0
    assert capsys.readouterr().out == overview.table(overview.overview(["seq2seq"])) + "\n"
