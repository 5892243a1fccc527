"""The explorer of a memory: what is drawn and said, what a change by hand does; an NTM's run is its own."""

import functools
import html
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from ch08.memory_explorer import draw_copy, load_ntm, memory_explorer, run_memory
from ch08.ntm import NTM
from common.functions import sigmoid
from common.svg import ORANGE
from common.widgets import MemoryExplorer, MemoryRun, MemorySequence, render_memory
from common.widgets.memory import describe_memory, wrong_bits

SVG = "{http://www.w3.org/2000/svg}"
R, W = 6, 4


def draw(length, example):
    """Copy vectors of 3 bits, a fourth is the mark."""
    bits = np.random.default_rng([example, length]).integers(0, 2, (length, 3))
    inputs, expected = np.zeros((2 * length, 4)), np.zeros((2 * length, 3))
    inputs[:length, :3], inputs[length - 1, 3] = bits, 1
    expected[length:] = bits
    return MemorySequence(inputs, expected, np.arange(2 * length) >= length)


def run(inputs, edits):
    """A machine that copies without having learned it: vector t goes to row t - 1 of the ring, and is read there."""
    T, L = len(inputs), len(inputs) // 2
    memory, memories, outputs = np.zeros((R, W)), [np.zeros((R, W))], []
    places = (np.arange(T) % L - 1) % R
    for t in range(T):
        if t < L:
            memory[places[t], :3] = 2.0 * inputs[t, :3] - 1
        outputs.append(sigmoid(5 * memory[places[t], :3]))
        for (step, row), numbers in edits.items():
            if step == t:
                memory[row] = numbers
        memories.append(memory.copy())
    weights = np.eye(R)[places][:, None]
    said = [[f"the machine says {t}"] for t in range(T)]
    return MemoryRun(np.array(outputs), np.array(memories), weights, weights, said)


def make(**options):
    return MemoryExplorer(run, draw, **{"length": 4, "lengths": (1, 6)} | options)


@pytest.fixture
def explorer():
    return make()


def said(explorer):
    return html.unescape(re.sub("<[^>]*>", "", explorer.message.value))


def label(svg):
    return ET.fromstring(svg).get("aria-label")


def pressed(svg):
    return [part.get("data-press") for part in ET.fromstring(svg).iter(f"{SVG}g") if part.get("data-press")]


# --- pictures ---


def test_the_picture_says_what_happens_at_a_step():
    sequence = draw(4, 0)
    found = run(sequence.inputs, {})
    words = describe_memory(sequence, found, 1, 0)
    digits = "".join(str(int(b)) for b in sequence.inputs[1])
    assert words[0] == f"Step 1 reads {digits}."
    assert "The write head is on row 0 (100 %)." in words
    assert "The machine says 1." in words
    assert words[-1].startswith("After the step row 0 holds ")
    written = "".join(str(int(b)) for b in sequence.expected[5])
    assert describe_memory(sequence, found, 5, 0)[0] == f"Step 5 writes {written}, all bits right."


def test_wrong_bits_are_framed_and_counted():
    sequence = draw(4, 0)
    found = run(sequence.inputs, {(3, 0): -found_row(sequence, 0)})
    wrong = wrong_bits(found, sequence)
    assert np.argwhere(wrong)[:, 0].tolist() == [5, 5, 5], "row 0 is read at step 5"
    svg = render_memory(sequence, found, 5, 0, 0, {(3, 0): None})
    frames = [r for r in ET.fromstring(svg).iter(f"{SVG}rect") if r.get("stroke") == ORANGE]
    assert len(frames) == 3
    assert "3 of 3 bits wrong." in label(svg)
    assert "Row 0 was changed by hand after step 3." in label(svg)


def found_row(sequence, row):
    return run(sequence.inputs, {}).memories[len(sequence.inputs), row]


def test_every_number_of_the_rows_in_use_can_be_pressed():
    sequence = draw(3, 0)
    svg = render_memory(sequence, run(sequence.inputs, {}), 2, 5, 1)
    rows = [5, 0, 1]  # in the order of the ring
    expected = [f"row-{k}" for k in range(3)] + [f"row-{k} column-{j}" for k in range(3) for j in range(W)]
    assert pressed(svg) == expected
    names = [t.text for t in ET.fromstring(svg).iter(f"{SVG}text") if (t.text or "").startswith("row ")]
    assert names == [f"row {r}" for r in rows]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (dict(step=6), "step must be 0 to 5, got 6"),
        (dict(row=6), "row must be 0 to 5, got 6"),
        (dict(column=-1), "column must be 0 to 3, got -1"),
        (dict(sequence=draw(2, 0)), r"a run of 4 steps .* and 5 memories, got \(6, 3\) and 7"),
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong, complaint):
    sequence = draw(3, 0)
    good = dict(sequence=sequence, run=run(sequence.inputs, {}), step=0, row=0, column=0)
    with pytest.raises(ValueError, match=complaint):
        render_memory(**good | wrong)


# --- controls ---


def test_the_first_state(explorer):
    e = explorer
    assert (e.length.value, e.step.value, e.step.max, e.row.value, e.column.value) == (4, 0, 7, 5, 0)
    assert [r for _, r in e.row.options] == [5, 0, 1, 2]
    assert len(e.column.options) == W
    assert said(e) == "All 12 bits that it writes are right."
    assert e.undo.disabled
    assert not e.wrong.any()


def test_a_number_that_is_changed_changes_what_is_written(explorer):
    e = explorer
    e.step.value, e.row.value, e.column.value = 3, 0, 1
    before = e.value.value
    assert abs(before) == 1, "the slider shows the number"
    e.value.value = -2 * before
    assert e.edits.keys() == {(3, 0)}
    assert e.shown.memories[4, 0, 1] == -2 * before
    assert e.shown.memories[3, 0, 1] == before, "only after that step"
    assert np.argwhere(e.wrong).tolist() == [[5, 1]]
    assert said(e) == (
        "1 of the 12 bits that it writes are wrong, at step 5. Changed by hand: row 0 after step 3. Without that, 0 "
        "would be wrong."
    )
    assert "row 0 *" in e.picture.value
    e.value.value = before
    assert not e.wrong.any()
    assert len(e.edits) == 1
    e.undo.click()
    assert e.edits == {}, "dragging a slider is one change"
    assert e.undo.disabled


def test_a_page_that_rounds_what_the_slider_shows_changes_nothing():
    third = np.full(W, 1 / 3)
    e = make(step=3, row=0, edits={(3, 0): third})
    assert e.value.value == 0.33
    e.value.value = 0.3300000001
    np.testing.assert_array_equal(e.edits[3, 0], third)
    assert e.undo.disabled
    e.value.value = 0.34
    assert not e.undo.disabled


def test_a_row_set_to_0_and_swapped_and_undone(explorer):
    e = explorer
    e.step.value, e.row.value = 3, 2
    last = e.shown.memories[4, 2].copy()
    e.swap.click()  # the last of the rows that are drawn changes places with the first
    assert e.edits.keys() == {(3, 2), (3, 5)}
    np.testing.assert_array_equal(e.shown.memories[4, 5], last)
    assert e.wrong.any()
    e.clear.click()
    assert not e.shown.memories[4, 2].any()
    e.undo.click()
    assert e.edits.keys() == {(3, 2), (3, 5)}
    e.clear.click()
    e.undo_all.click()
    assert e.edits == {}
    assert not e.wrong.any()
    e.undo.click()
    assert e.edits == {}


def test_a_change_is_made_at_the_step_that_is_lit_and_stays_when_time_moves(explorer):
    e = explorer
    e.step.value, e.row.value = 3, 0
    e.clear.click()
    e.step.value = 1
    assert e.shown.memories[2, 0].any(), "it has not happened yet"
    assert e.edits.keys() == {(3, 0)}
    e.step.value = 7
    assert not e.shown.memories[8, 0].any()


def test_another_example_or_length_starts_over(explorer):
    e = explorer
    e.step.value = 6
    e.clear.click()
    first = e.sequence.inputs.copy()
    e.another.click()
    assert (e.step.value, e.edits) == (0, {})
    assert (e.sequence.inputs != first).any()
    e.length.value = 2
    assert (e.step.value, e.step.max, e.play.max, len(e.sequence.inputs)) == (0, 3, 3, 4)
    assert [r for _, r in e.row.options] == [5, 0]
    e.length.value = 6
    assert e.step.max == 11


def test_playing_walks_through_the_steps(explorer):
    explorer.play.value = 5
    assert explorer.step.value == 5
    assert "Step 5 writes" in label(explorer.picture.value)
    assert "Step 5 writes" in explorer.heard.value


def test_still_pictures(explorer):
    e = explorer
    first = e.static()
    assert first.svg == e.picture.value
    e.step.value, e.row.value, e.column.value = 3, 0, 2
    e.clear.click()
    still = e.static(3, 0, 2, edits={(3, 0): np.zeros(W)})
    assert still.svg == e.picture.value
    assert "Changed by hand: row 0 after step 3." in repr(still)
    assert e.static().svg == first.svg, "the first state, whatever the controls say"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (dict(length=7), "length must be 1 to 6, got 7"),
        (dict(step=8), "step must be 0 to 7, got 8"),
        (dict(row=9), "row must be 0 to 5, got 9"),
        (dict(column=4), "column must be 0 to 3, got 4"),
    ],
)
def test_a_first_state_that_cannot_be(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        make(**wrong)


def test_a_first_state_with_a_change():
    e = make(step=3, row=0, column=2, edits={(3, 0): np.zeros(W)})
    assert (e.step.value, e.row.value, e.column.value) == (3, 0, 2)
    assert e.wrong.any()
    assert e.undo.disabled, "what it began with stays"


# --- a Neural Turing Machine ---


@pytest.fixture(scope="module")
def model():
    return NTM(9, 8, 12, rows=10, width=5, dtype=np.float64, rng=0)


def test_a_run_is_that_of_the_model(model):
    sequence = draw_copy(3, 0)
    found = run_memory(model, sequence.inputs)
    model.forward(sequence.inputs[None], sequence.expected[None], sequence.counts[None])
    np.testing.assert_allclose(found.reads, model.read_weights[0])
    np.testing.assert_allclose(found.writes, model.write_weights[0])
    np.testing.assert_allclose(found.memories[-1], model.memory[0])
    np.testing.assert_allclose(found.outputs, sigmoid(model.predict(sequence.inputs[None]))[0])
    assert found.memories.shape == (8, 10, 5)
    np.testing.assert_allclose(found.memories[0], 1e-6)


def test_a_change_by_hand_is_what_the_machine_goes_on_with(model):
    sequence = draw_copy(3, 0)
    first = run_memory(model, sequence.inputs)
    numbers = np.arange(5.0)
    changed = run_memory(model, sequence.inputs, {(2, 4): numbers})
    np.testing.assert_array_equal(changed.memories[3, 4], numbers)
    np.testing.assert_array_equal(changed.memories[:3], first.memories[:3])
    np.testing.assert_array_equal(changed.outputs[:3], first.outputs[:3])
    assert (changed.outputs[3:] != first.outputs[3:]).any()
    state = model.start(1)
    for t, x in enumerate(sequence.inputs[:, None]):
        logits, state, _ = model.step(x, state)
        if t == 2:
            state[0][0, 4] = numbers
    np.testing.assert_allclose(changed.outputs[-1], sigmoid(logits)[0])


@pytest.mark.parametrize("edits", [{(7, 0): np.zeros(5)}, {(0, 10): np.zeros(5)}, {(0, 0): np.zeros(4)}])
def test_a_change_that_does_not_fit(model, edits):
    with pytest.raises(ValueError, match="with a step of 0 to 6 and a row of 0 to 9, got"):
        run_memory(model, draw_copy(3, 0).inputs, edits)


def test_what_the_heads_say_makes_their_weights(model):
    """The gate, the shift and the power in the sentences are those of the step."""
    sequence = draw_copy(2, 0)
    found = run_memory(model, sequence.inputs)
    state = model.start(1)
    for _, x in zip(range(2), sequence.inputs[:, None], strict=False):
        _, state, _ = model.step(x, state)
    _, gate = model.steps.step.addressing.interpolation.cache
    assert f"gate {gate[0, 0, 0]:.2f}" in found.said[1][0]
    assert found.said[1][0].startswith("the read head says gate ")
    assert found.said[1][1].startswith("the write head says gate ")


def test_several_heads_have_numbers():
    found = run_memory(NTM(9, 8, 12, rows=6, width=5, read_heads=2, write_heads=1, rng=0), draw_copy(1, 0).inputs)
    assert [words.split(" says")[0] for words in found.said[0]] == [
        "the read head 0",
        "the read head 1",
        "the write head 0",
    ]
    assert found.reads.shape == (3, 2, 6)


@pytest.mark.parametrize("options", [{}, dict(controller="feedforward", first_memory="learned", read_heads=2)])
def test_a_file_knows_its_sizes(tmp_path, options):
    made = NTM(9, 8, 12, rows=6, width=5, dtype=np.float64, rng=3, **options)
    (tmp_path / "some").mkdir()
    made.save_params(tmp_path / "some" / "weights.npz")
    loaded = load_ntm("some", tmp_path, np.float64)
    xs = draw_copy(2, 0).inputs[None]
    np.testing.assert_array_equal(loaded.predict(xs), made.predict(xs))


def test_a_file_that_is_missing_or_holds_something_else(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"python -m ch08\.train ntm-copy"):
        load_ntm("ntm-copy", tmp_path)
    (tmp_path / "other").mkdir()
    np.savez(tmp_path / "other" / "weights.npz", W=np.zeros(3))
    with pytest.raises(ValueError, match="does not hold a Neural Turing Machine: its arrays are W"):
        load_ntm("other", tmp_path)


def test_the_explorer_of_a_model(model):
    e = memory_explorer(model, length=2)
    assert isinstance(e.draw, type(draw_copy))
    assert isinstance(e.run, functools.partial)
    assert len(e.sequence.inputs) == 5
    e.length.value = 10
    assert e.step.max == 20
