"""Single steps of recurrent layers, written plainly, to read: RNN, LSTM, GRU.

``common.recurrent`` does the same for whole sequences, fast. The rules of ``common.layers`` hold here too.
"""

from common.functions import sigmoid
from common.layers import cached, cast, check_dout, write_grads
from common.np import np


def _check(layer, x, **states):
    """Raise a ValueError unless x is (N, D) and every state (N, H), with the D and H of the layer's weights."""
    D, H = layer.params[0].shape[0], layer.params[1].shape[0]
    name = type(layer).__name__
    if x.ndim != 2 or x.shape[1] != D:
        raise ValueError(f"{name}: x is {x.shape}, but it must be (N, {D})")
    for what, state in states.items():
        if state.shape != (len(x), H):
            raise ValueError(f"{name}: {what} is {state.shape}, but for x {x.shape} it must be {(len(x), H)}")


class RNN:
    """One step of a simple recurrent layer: h = tanh(x Wx + h_prev Wh + b).

    Shapes: Wx (D, H), Wh (H, H), b (H,), x (N, D), h (N, H).
    """

    param_names = ("Wx", "Wh", "b")

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.cache = None

    def forward(self, x, h_prev):
        """Return h (N, H)."""
        Wx, Wh, b = self.params
        _check(self, x, h_prev=h_prev)
        x, h_prev = cast(Wx.dtype, x, h_prev)
        h = np.tanh(x @ Wx + h_prev @ Wh + b)
        self.cache = (x, h_prev, h)
        return h.copy()

    def backward(self, dh):
        """tanh' = 1 - h^2; the rest is an affine map in x and one in h_prev. Return (dx, dh_prev)."""
        Wx, Wh, _ = self.params
        dWx, dWh, db = self.grads
        x, h_prev, h = cached(self)
        check_dout(self, dh, h_prev.shape, "dh")
        (dh,) = cast(Wx.dtype, dh)
        dz = dh * (1 - h**2)
        write_grads(self, (dWx, x, dz), (dWh, h_prev, dz), (db, None, dz))
        return dz @ Wx.T, dz @ Wh.T


class LSTM:
    """One step of an LSTM: c = f * c_prev + g * i, h = o * tanh(c).

    The gates stand side by side in the order f, g, i, o: z = x Wx + h_prev Wh + b is (N, 4H); f, i and o go through a
    sigmoid, the candidate g through tanh.
    Shapes: Wx (D, 4H), Wh (H, 4H), b (4H,), x (N, D), h and c (N, H).
    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; the book, section 6.3.
    """

    param_names = ("Wx", "Wh", "b")

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.cache = None

    def forward(self, x, h_prev, c_prev):
        """Return (h, c), each (N, H)."""
        Wx, Wh, b = self.params
        _check(self, x, h_prev=h_prev, c_prev=c_prev)
        x, h_prev, c_prev = cast(Wx.dtype, x, h_prev, c_prev)
        zf, zg, zi, zo = np.split(x @ Wx + h_prev @ Wh + b, 4, axis=1)
        f, g, i, o = sigmoid(zf), np.tanh(zg), sigmoid(zi), sigmoid(zo)
        c = f * c_prev + g * i
        tanh_c = np.tanh(c)
        self.cache = (x, h_prev, c_prev, f, g, i, o, tanh_c)
        return o * tanh_c, c

    def backward(self, dh, dc):
        """c reaches the loss along two ways, through h and through the next c: their gradients are added.

        sigmoid' = y (1 - y), tanh' = 1 - y^2. Return (dx, dh_prev, dc_prev).
        """
        Wx, Wh, _ = self.params
        dWx, dWh, db = self.grads
        x, h_prev, c_prev, f, g, i, o, tanh_c = cached(self)
        check_dout(self, dh, h_prev.shape, "dh")
        check_dout(self, dc, c_prev.shape, "dc")
        dh, dc = cast(Wx.dtype, dh, dc)
        dc = dc + dh * o * (1 - tanh_c**2)
        dzf = dc * c_prev * f * (1 - f)
        dzg = dc * i * (1 - g**2)
        dzi = dc * g * i * (1 - i)
        dzo = dh * tanh_c * o * (1 - o)
        dz = np.concatenate((dzf, dzg, dzi, dzo), axis=1)  # (N, 4H)
        write_grads(self, (dWx, x, dz), (dWh, h_prev, dz), (db, None, dz))
        return dz @ Wx.T, dz @ Wh.T, dc * f


class GRU:
    """One step of a GRU: h = (1 - z) * h_prev + z * h_hat.

    z = sigmoid(x Wxz + h_prev Whz + bz), r = sigmoid(x Wxr + h_prev Whr + br), and the candidate

    * h_hat = tanh(x Wxh + (r * h_prev) Whh + bh), the form of the paper and of the book, if there is one bias;
    * h_hat = tanh(x Wxh + bxh + r * (h_prev Whh + bhh)), the form of cuDNN and PyTorch, if ``bh`` is given: there r
      stands after the product, which is why that form needs a bias of its own inside.

    PyTorch's update gate is 1 - z: turn the sign of the z columns to exchange weights, and its order is r, z, n.
    Shapes: Wx (D, 3H) and Wh (H, 3H) in the order z, r, h; b and bh (3H,); x (N, D), h (N, H).
    Source: Cho et al. 2014, equations 5 to 8; the book, appendix C.
    """

    param_names = ("Wx", "Wh", "b", "bh")

    def __init__(self, Wx, Wh, b, bh=None):
        self.params = [Wx, Wh, b] if bh is None else [Wx, Wh, b, bh]
        self.grads = [np.zeros_like(p) for p in self.params]
        self.cache = None

    def forward(self, x, h_prev):
        """Return h (N, H)."""
        Wx, Wh, b, *bh = self.params
        H = Wh.shape[0]
        _check(self, x, h_prev=h_prev)
        x, h_prev = cast(Wx.dtype, x, h_prev)
        x_part = x @ Wx + b  # (N, 3H)
        if bh:
            h_part = h_prev @ Wh + bh[0]
            z, r = np.split(sigmoid(x_part[:, : 2 * H] + h_part[:, : 2 * H]), 2, axis=1)
            inner = h_part[:, 2 * H :]
            h_hat = np.tanh(x_part[:, 2 * H :] + r * inner)
        else:
            z, r = np.split(sigmoid(x_part[:, : 2 * H] + h_prev @ Wh[:, : 2 * H]), 2, axis=1)
            inner = r * h_prev
            h_hat = np.tanh(x_part[:, 2 * H :] + inner @ Wh[:, 2 * H :])
        self.cache = (x, h_prev, z, r, inner, h_hat)
        return (1 - z) * h_prev + z * h_hat

    def backward(self, dh):
        """h_prev reaches the loss along four ways (the carry, z, r and the candidate): all are added.

        Return (dx, dh_prev).
        """
        Wx, Wh, _, *bh = self.params
        dWx, dWh, db, *dbh = self.grads
        H = Wh.shape[0]
        x, h_prev, z, r, inner, h_hat = cached(self)
        check_dout(self, dh, h_prev.shape, "dh")
        (dh,) = cast(Wx.dtype, dh)
        dz = dh * (h_hat - h_prev) * z * (1 - z)
        dh_hat = dh * z * (1 - h_hat**2)  # before tanh
        dh_prev = dh * (1 - z)
        if bh:
            dr = dh_hat * inner * r * (1 - r)
            dhidden = np.concatenate((dz, dr, dh_hat * r), axis=1)  # (N, 3H)
            dh_prev += dhidden @ Wh.T
            of_hidden = [(dWh, h_prev, dhidden), (dbh[0], None, dhidden)]
        else:
            dinner = dh_hat @ Wh[:, 2 * H :].T
            dr = dinner * h_prev * r * (1 - r)
            dzr = np.concatenate((dz, dr), axis=1)
            dh_prev += dinner * r + dzr @ Wh[:, : 2 * H].T
            of_hidden = [(dWh[:, : 2 * H], h_prev, dzr), (dWh[:, 2 * H :], inner, dh_hat)]
        dx_part = np.concatenate((dz, dr, dh_hat), axis=1)  # (N, 3H)
        write_grads(self, (dWx, x, dx_part), (db, None, dx_part), *of_hidden)
        return dx_part @ Wx.T, dh_prev
