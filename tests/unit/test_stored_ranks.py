"""What notebook 8.17 shows where there is no MPI: it has the form that the cells read, and agrees with the formulas."""

import json

import pytest


def test_the_stored_ranks_agree_with_one_process_and_with_the_formula(root):
    stored = json.loads((root / "ch08" / "pretrained" / "ranks.json").read_text(encoding="utf-8"))
    assert stored["pencil"].splitlines() == [
        f"rank {r} of 2: own gradient {own}, agreed -3.5" for r, own in enumerate((-8.0, -2.0))
    ]
    one, two = (stored["runs"][size] for size in "12")
    assert [epoch["loss"] for epoch in two["epochs"]] == pytest.approx([e["loss"] for e in one["epochs"]], abs=1e-3)
    assert one["parameters"] == two["parameters"]
    assert two["ranks"]["allreduces_per_step"] == 3
    assert two["ranks"]["bytes_per_step"] == 4 * two["parameters"] + 16 + 4
