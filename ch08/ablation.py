"""Ablation: change what the attention may look at, and see whether the answer survives."""

from contextlib import contextmanager

from ch08.attention_layer import TimeAttention
from common.np import np


class HidingAttention(TimeAttention):
    """A TimeAttention that gives weight 0 to some hidden states. Shapes: as for TimeAttention.

    Args: hidden, bool (T_enc,), True where a state is hidden, in the order in which the encoder reads.
    """

    def __init__(self, hidden, score=None):
        super().__init__(score)
        self.shown = ~hidden  # (T_enc,), True where it may look

    def forward(self, hs_enc, hs_dec):
        """Return the contexts, (N, T_dec, H)."""
        return super().forward(hs_enc, hs_dec, np.broadcast_to(self.shown, hs_enc.shape[:2]))


@contextmanager
def attention_replaced(model, attention):
    """Give a model another attention layer within a ``with`` block; after it, the model has its own again."""
    own, model.decoder.attention = model.decoder.attention, attention
    try:
        yield model
    finally:
        model.decoder.attention = own
