"""Alignment: the gold alignment, the score, and the loss that draws the attention to it."""

import math

import numpy as np
import pytest

from ch08.alignment import AlignmentLoss, alignment_score, gold_alignment
from dataset.dates import gold_mask

# --- gold and score --------------------------------------------------------------------------------------------


def test_gold_alignment_is_the_gold_mask_of_every_question():
    questions = ["may 7, 1994", "2/10/93  "]
    gold = gold_alignment(questions, 12)
    assert gold.shape == (2, 10, 12)
    assert gold.dtype == bool
    assert all(np.array_equal(rows, gold_mask(q, width=12)) for rows, q in zip(gold, questions, strict=True))
    with pytest.raises(ValueError, match="no date"):
        gold_alignment(["2/10/93", "no date"], 12)


def test_alignment_of_the_gold_mask_itself_is_perfect():
    questions = ["september 27, 1994", "2/10/93"]
    gold = np.stack([gold_mask(q).astype(float) for q in questions])
    weights = gold / np.maximum(gold.sum(axis=2, keepdims=True), 1)
    assert alignment_score(weights, questions) == (1.0, 1.0, 16)
    assert alignment_score(weights.tolist(), questions) == (1.0, 1.0, 16)


def test_alignment_counts_mass_and_largest_weight_apart():
    weights = np.zeros((1, 10, 7))
    weights[:, :, 5] = 0.4  # the 9 of the year in 2/10/93
    weights[:, :, 4] = 0.6  # a slash
    mass, hit, digits = alignment_score(weights, ["2/10/93"])
    assert mass == pytest.approx(0.4 * 4 / 8)
    assert (hit, digits) == (0.0, 8)
    mass, hit, _ = alignment_score(weights[:, :, [0, 1, 2, 3, 5, 4, 6]], ["2/10/93"])
    assert mass == pytest.approx(0.6 * 4 / 8)
    assert hit == pytest.approx(4 / 8)


def test_alignment_of_uniform_weights_is_the_share_of_the_characters():
    mass, _, _ = alignment_score(np.full((1, 10, 7), 1 / 7), ["2/10/93"])
    assert mass == pytest.approx((4 * 2 + 2 * 1 + 2 * 2) / 8 / 7)


@pytest.mark.parametrize(
    ("shape", "questions"),
    [((1, 9, 7), ["2/10/93"]), ((2, 10, 7), ["2/10/93"]), ((0, 10, 7), []), ((10, 7), ["2/1/93"])],
)
def test_alignment_refuses_shapes_that_do_not_fit(shape, questions):
    with pytest.raises(ValueError, match="alignment_score"):
        alignment_score(np.zeros(shape), questions)


# --- loss ------------------------------------------------------------------------------------------------------

# The third row of the first question has no gold, the second question has none at all.
WEIGHTS = np.array([[[0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [0.6, 0.4, 0.0]], [[1.0, 0.0, 0.0], [0.3, 0.3, 0.4], [0, 0, 1]]])
GOLD = np.zeros((2, 3, 3), bool)
GOLD[0, 0, :2] = GOLD[0, 1, 1] = True


def test_alignment_loss_is_the_mean_of_minus_log_mass():
    loss = AlignmentLoss(weight=2.0, floor=0.01)
    assert loss.forward(WEIGHTS, GOLD) == pytest.approx(2 * -math.log((0.5 + 0.01) / 1.01) / 6, rel=1e-12)
    assert loss.forward(WEIGHTS, GOLD.tolist()) == loss.forward(WEIGHTS, GOLD)
    da = loss.backward()
    expected = np.zeros((2, 3, 3))
    expected[0, 0, :2] = -2 / 0.51 / 6
    expected[0, 1, 1] = -2 / 1.01 / 6
    np.testing.assert_allclose(da, expected, rtol=1e-12)
    np.testing.assert_allclose(loss.backward(0.5), da / 2, rtol=1e-12)


def test_alignment_loss_has_weight_1_and_hardly_any_floor_unless_told():
    assert AlignmentLoss().forward(WEIGHTS, GOLD) == pytest.approx(-math.log(0.5) / 6, rel=1e-3)
    assert (AlignmentLoss().weight, AlignmentLoss().floor) == (1.0, 1e-4)


def test_alignment_loss_is_0_where_all_attention_is_right_or_nothing_is_known():
    loss = AlignmentLoss()
    assert loss.forward(WEIGHTS, np.ones_like(GOLD)) == pytest.approx(0, abs=1e-12)
    assert loss.forward(WEIGHTS, np.zeros_like(GOLD)) == 0
    assert not loss.backward().any()


def test_alignment_loss_stays_finite_where_no_attention_is_right():
    gold = np.zeros_like(GOLD)
    gold[1, 0, 1] = True
    loss = AlignmentLoss()
    assert loss.forward(WEIGHTS, gold) == pytest.approx(-math.log(1e-4) / 6, rel=1e-4)
    assert loss.backward()[1, 0, 1] == pytest.approx(-1e4 / 6)


@pytest.mark.parametrize(
    ("weights", "gold"),
    [
        (np.ones((2, 3)), np.ones((2, 3), bool)),
        (np.ones((2, 3, 4)), np.ones((2, 3, 5), bool)),
        (np.ones((2, 3, 4)), np.ones((2, 3, 4))),
    ],
)
def test_alignment_loss_refuses_what_does_not_fit(weights, gold):
    with pytest.raises(ValueError, match="AlignmentLoss: weights must be"):
        AlignmentLoss().forward(weights, gold)


def test_alignment_loss_without_gold_is_0_and_forgets_what_was_before():
    loss = AlignmentLoss()
    loss.forward(np.full((1, 1, 2), 0.5), np.array([[[True, False]]]))
    assert loss.backward() is not None
    assert loss.forward(None, None, 3) == 0.0
    assert loss.backward() is None


@pytest.mark.parametrize("count", [None, 0, 1])
def test_alignment_loss_of_a_single_character(count):
    loss = AlignmentLoss(floor=0.0)
    assert loss.forward(np.array([[[0.25, 0.75]]]), np.array([[[True, False]]]), count) == pytest.approx(math.log(4))
    np.testing.assert_allclose(loss.backward(), [[[-4.0, 0.0]]])
