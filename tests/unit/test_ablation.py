"""Hidden states get no weight, and a model gets its own attention back."""

import numpy as np
import pytest

from ch08.ablation import HidingAttention, attention_replaced
from ch08.attention_layer import TimeAttention
from ch08.attention_seq2seq import AttentionSeq2seq


def test_hidden_states_get_weight_0_and_the_others_share_it():
    rng = np.random.default_rng(0)
    hs_enc, hs_dec = rng.normal(size=(1, 5, 3)), rng.normal(size=(1, 2, 3))
    hidden = np.array([False, True, False, True, False])
    hiding, plain = HidingAttention(hidden), TimeAttention()
    hiding.forward(hs_enc, hs_dec)
    assert (hiding.weights[:, :, hidden] == 0).all()
    plain.forward(hs_enc[:, ~hidden], hs_dec)
    assert np.allclose(hiding.weights[:, :, ~hidden], plain.weights)


def fail_with(model, attention):
    with attention_replaced(model, attention):
        assert model.decoder.attention is attention
        raise KeyError


def test_a_model_gets_its_attention_back_even_after_an_error():
    model = AttentionSeq2seq(5, 3, 4, rng=0)
    own, other = model.decoder.attention, TimeAttention()
    with pytest.raises(KeyError):
        fail_with(model, other)
    assert model.decoder.attention is own


def test_what_is_hidden_while_a_model_answers_gets_no_weight():
    model = AttentionSeq2seq(5, 3, 4, dtype=np.float64, rng=0)
    xs = np.array([[1, 2, 3]])
    with attention_replaced(model, HidingAttention(np.array([True, False, False]))):
        _, _, weights = model.greedy_decode(xs, 0, 4, with_details=True)
    assert (weights[..., 0] == 0).all()
    assert np.allclose(weights.sum(axis=2), 1)
