"""What the exercises of both chapters share: the small recurrent layer that their notebooks write out."""

from common.np import host as np


class RNN:
    """Stands in for the LSTM, with one state and no gates: h = tanh(x Wx + h Wh). Reads xs (N, T, D).

    It starts from the state that ``set_state`` gave, else from zeros; after backward ``dh`` is that state's gradient.
    """

    def __init__(self, Wx, Wh):
        self.Wx, self.Wh = Wx, Wh
        self.start = self.hs = self.dh = None

    def set_state(self, h):
        """Begin the next forward call with h (N, H)."""
        self.start = h

    def forward(self, xs):
        """Return the hidden states of all steps, (N, T, H)."""
        h = np.zeros((len(xs), len(self.Wh))) if self.start is None else self.start
        hs = []
        for t in range(xs.shape[1]):
            h = np.tanh(xs[:, t] @ self.Wx + h @ self.Wh)
            hs.append(h)
        self.hs = np.stack(hs, axis=1)
        return self.hs

    def backward(self, dhs):
        """Return dxs (N, T, D). A state's gradient is its own, dhs[:, t], plus that of the step after it."""
        dh, dxs = 0, []
        for t in reversed(range(dhs.shape[1])):
            dz = (dhs[:, t] + dh) * (1 - self.hs[:, t] ** 2)
            dxs.insert(0, dz @ self.Wx.T)
            dh = dz @ self.Wh.T
        self.dh = dh
        return np.stack(dxs, axis=1)
