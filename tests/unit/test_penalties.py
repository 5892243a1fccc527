"""The program that measures the penalties of beam search."""

import json
from functools import partial

import pytest

from ch08 import penalties
from ch08.penalties import load_test, measured, table
from ch08.translation_explorer import load_translator
from common.training.program import run_program


def test_every_pair_of_penalties_is_measured_and_stored(tmp_path, capsys):
    out = tmp_path / "penalties.json"
    out.write_text(json.dumps({"other": 1}))
    words = ["bahdanau", "--rows", "6", "--beam", "3", "--length", "0", "0.6", "--coverage", "0", "50"]
    assert penalties.main([*words, "--out", str(out)]) == 0
    stored = json.loads(out.read_text())
    assert stored.keys() == {"other", "bahdanau"}
    found = stored["bahdanau"]
    assert found["command"].startswith("python -m ch08.penalties bahdanau --rows 6 --beam 3 --length 0 0.6 ")
    assert (found["sentences"], found["beam"]) == (6, 3)
    rows = {(row["length_penalty"], row["coverage_penalty"]): row for row in found["rows"]}
    assert list(rows) == [(0, 0), (0, 50), (0.6, 0), (0.6, 50)]

    source, right = load_test("bahdanau", 6)
    translator = load_translator("bahdanau")
    for (length, coverage), row in rows.items():
        answers = translator.translate(source, 3, length_penalty=length, coverage_penalty=coverage)
        assert {key: row[key] for key in ("bleu", "exact_match", "length")} == measured(
            [best.tokens for [best] in answers], right
        )
    printed = capsys.readouterr().out
    assert all(f"\n{measure}, by length penalty" in printed for measure in ("bleu", "exact match", "length"))
    assert f"wrote {out}" in printed


def test_the_figures_by_hand():
    right = [["the", "man", "sings", "."], ["she", "reads"]]
    found = measured([["the", "man", "sings", "."], ["she", "reads", "a"]], right)
    assert found["exact_match"] == 0.5
    assert found["length"] == pytest.approx(7 / 6)
    assert measured(right, right)["bleu"] == pytest.approx(100)


def test_the_table_has_length_down_and_coverage_across():
    rows = [
        {"length_penalty": length, "coverage_penalty": coverage, "exact_match": share}
        for length, coverage, share in ((0.2, 1, 0.25), (0.2, 0, 0.5), (0, 1, 0.75), (0, 0, 1.0))
    ]
    assert table(rows, "exact_match").splitlines()[2:] == [
        "              0        1",
        "     0  100.00%   75.00%",
        "   0.2   50.00%   25.00%",
    ]


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "much"])
def test_a_penalty_is_a_number_from_0(capsys, value):
    with pytest.raises(SystemExit):
        penalties.main([f"--coverage={value}"])
    assert f"must be a number from 0, not '{value}'" in capsys.readouterr().err


def test_files_that_are_missing(capsys, tmp_path):
    assert run_program(partial(penalties.main, ["multi30k-luong", "--multi30k", str(tmp_path)])) == 1
    assert "fetch Multi30k with" in capsys.readouterr().err
    assert run_program(partial(penalties.main, ["luong", "--weights", str(tmp_path)])) == 1
    assert "python -m ch08.train luong" in capsys.readouterr().err
