"""Recurrent layers over whole sequences: xs (N, T, D) in, hs (N, T, H) out.

``TimeRNN``, ``TimeLSTM`` and ``TimeGRU`` do for all steps at once, and fast, what the layers of ``common.steps`` do for
one:

* the inputs of all steps go through one matrix product before the loop, because they wait for nothing;
* only h W_h stays in the loop;
* backward keeps the gradients of the gates of all steps and forms dWx, dWh and db with one product each after the loop;
* arrays are time-major, so that step t is one contiguous block, and are kept from call to call (``Workspace``).

Where sequences are padded, ``forward(xs, mask)`` is told so: mask (N, T) bool, True where a step is real. At padding
the state stays as it is: hs repeats it, and the last state is that after the last real step of each row. What stands in
xs there has no influence and no gradient.

The rules of ``common.layers`` hold here too. What forward or backward returns belongs to the caller.
"""

from common.base_model import Composite
from common.functions import sigmoid
from common.layers import cached, check_dout
from common.np import errstate, np
from common.workspace import Workspace


class _Recurrent:
    """What TimeRNN, TimeLSTM and TimeGRU share: parameters, state, shape checks and the two products over all steps."""

    param_names = ("Wx", "Wh", "b", "bh")
    gates = 1  # blocks of H columns in the weights

    def __init__(self, Wx, Wh, b, stateful=False, bh=None):
        self.params = [Wx, Wh, b] if bh is None else [Wx, Wh, b, bh]
        name, H = type(self).__name__, Wh.shape[0]
        for what, p, shape in (("Wx", Wx, (Wx.shape[0], self.gates * H)), ("Wh", Wh, (H, self.gates * H))):
            if p.shape != shape:
                raise ValueError(f"{name}: {what} is {p.shape}, but with H = {H} it must be {shape}")
        for what, p in zip(("b", "bh"), self.params[2:], strict=False):
            if p.shape != (self.gates * H,):
                raise ValueError(f"{name}: {what} is {p.shape}, but with H = {H} it must be {(self.gates * H,)}")
        self.grads = [np.zeros_like(p) for p in self.params]
        self.stateful = stateful
        self.h, self.dh = None, None
        self.cache = None
        self._workspace = Workspace()

    def set_state(self, h=None):
        """Start the next forward call from h (N, H), None meaning zeros; it counts only if the layer is stateful."""
        self.h = h

    def reset_state(self):
        """Start the next forward call from zeros."""
        self.h = None

    def _array(self, name, *shape):
        return self._workspace.array(name, shape, self.params[0].dtype)

    def _fill_state(self, out, state, what):
        """Write the state to start from, or zeros, into ``out`` (N, H). Return whether there is a state."""
        started = self.stateful and state is not None
        if not started:
            out[...] = 0
        elif state.shape != out.shape:
            raise ValueError(
                f"{type(self).__name__}: the state {what} is {state.shape}, but this batch needs {out.shape}; "
                "call reset_state() or set_state() first"
            )
        else:
            out[...] = state
        return started

    def _padding(self, mask, T, N):
        """Return where a mask (N, T) says padding, as (T, N, 1), or None where nothing is."""
        if mask is None:
            return None
        mask = np.asarray(mask)
        if mask.shape != (N, T) or mask.dtype != bool:
            raise ValueError(
                f"{type(self).__name__}: mask must be bool {(N, T)}, True = real, got {mask.dtype} {mask.shape}"
            )
        return None if mask.all() else ~mask.T[:, :, None]

    def _last_gradient(self, given, N, H, what):
        """Return an array (N, H) to carry a gradient back in, beginning with what came for the last state, or 0."""
        carried = np.zeros((N, H), self.params[0].dtype)
        if given is not None:
            check_dout(self, given, (N, H), what)
            carried += given
        return carried

    def by_gate(self, W):
        """Return the weights (K, gates * H) gate by gate, (gates, K, H), as an array of its own.

        A product with them gives (gates, N, H): each gate is one block of memory, and NumPy works on a block about
        three times as fast as on columns of a wider array. Small products read a copy faster than a view.
        """
        return np.ascontiguousarray(W.reshape(len(W), self.gates, -1).transpose(1, 0, 2))

    def _write_columns(self, out, blocks):
        """Write the blocks (gates, N, H) side by side into ``out`` (N, gates * H): the way back from ``by_gate``."""
        out.reshape(len(out), self.gates, -1)[...] = blocks.transpose(1, 0, 2)

    def _input_product(self, xs, out_name, negative=False):
        """Return x Wx + b of all steps, (T, gates, N, H): the bias rides along as the weight of a column of ones."""
        Wx, _, b, *_ = self.params
        if xs.ndim != 3 or xs.shape[2] != Wx.shape[0] or 0 in xs.shape:
            raise ValueError(
                f"{type(self).__name__}: xs is {xs.shape}, but it must be (N, T, {Wx.shape[0]}) with N and T at least 1"
            )
        N, T, D = xs.shape
        x1 = self._array("x1", T, N, D + 1)
        x1[:, :, :D] = xs.transpose(1, 0, 2)
        x1[:, :, D] = 1
        W1 = np.concatenate((Wx, b[None]))  # (D + 1, gates * H)
        if negative:
            np.negative(W1, out=W1)
        out = self._array(out_name, T, self.gates, N, Wx.shape[1] // self.gates)
        np.matmul(x1[:, None], self.by_gate(W1), out=out)
        return x1, out

    def _back(self):
        """Return Wh^T as an array of its own: small products read it up to twice as fast as a view."""
        return np.ascontiguousarray(self.params[1].T)

    def _input_backward(self, x1, dz):
        """From dz (T, N, gates * H) of all steps: write dWx and db (one product), return dxs (N, T, D)."""
        Wx = self.params[0]
        T, N, D = x1.shape[0], x1.shape[1], x1.shape[2] - 1
        dz = dz.reshape(T * N, -1)
        dW1 = x1.reshape(T * N, D + 1).T @ dz  # the column of ones makes the last row the sum over all steps
        self.grads[0][...] = dW1[:D]
        self.grads[2][...] = dW1[D]
        dxs = np.empty((N, T, D), Wx.dtype)
        dxs[...] = (dz @ Wx.T).reshape(T, N, D).transpose(1, 0, 2)
        return dxs


class TimeRNN(_Recurrent):
    """RNN over a whole sequence. Shapes: xs (N, T, D), hs (N, T, H), Wx (D, H), Wh (H, H), b (H,).

    stateful: go on from the last state of the call before. ``h`` is the last state, ``dh`` the gradient of the first.
    """

    def forward(self, xs, mask=None):
        """Return hs (N, T, H). mask: see above. Raises: ValueError for shapes that do not fit."""
        Wh = self.params[1]
        x1, z = self._input_product(xs, "h")
        z = z[:, 0]
        T, N, H = z.shape
        h0 = self._array("h0", N, H)
        self._fill_state(h0, self.h, "h")
        tmp = self._array("tmp", N, H)
        padding = self._padding(mask, T, N)
        h_prev = h0
        for t in range(T):
            h = z[t]  # x Wx + b of this step; becomes h in place
            np.matmul(h_prev, Wh, out=tmp)
            h += tmp
            np.tanh(h, out=h)
            if padding is not None:
                np.copyto(h, h_prev, where=padding[t])
            h_prev = h
        self.cache = (x1, h0, z, padding)
        self.h = z[T - 1].copy()
        return z.transpose(1, 0, 2).copy()

    def backward(self, dhs, dh=None):
        """Backward through time: dz_t = (dhs_t + dz_{t+1} Wh^T) * (1 - h_t^2). Return dxs (N, T, D).

        dh: (N, H), the gradient of the last state from what reads it besides hs, such as a decoder that starts there.
        """
        back, dWh = self._back(), self.grads[1]
        x1, h0, hs, padding = cached(self)
        T, N, H = hs.shape
        check_dout(self, dhs, (N, T, H), "dhs")
        dz = self._array("dz", T, N, H)
        dh = self._last_gradient(dh, N, H, "dh")
        for t in reversed(range(T)):
            dh += dhs[:, t]
            np.multiply(hs[t], hs[t], out=dz[t])
            np.subtract(1, dz[t], out=dz[t])
            dz[t] *= dh
            if padding is not None:  # the state stayed as it was, and so does its gradient
                np.copyto(dz[t], 0, where=padding[t])
                stays = np.where(padding[t], dh, 0)
            np.matmul(dz[t], back, out=dh)
            if padding is not None:
                dh += stays
        np.matmul(h0.T, dz[0], out=dWh)
        if T > 1:
            dWh += hs[:-1].reshape(-1, H).T @ dz[1:].reshape(-1, H)
        self.dh = dh
        return self._input_backward(x1, dz)


def lstm_step(z, c_prev, c, tanh_c, h, tmp):
    """One step of an LSTM, all in place, as ``TimeLSTM`` explains it.

    Args: z (4, N, H) holds -(x Wx + h_prev Wh + b) and becomes the gates f, g, i, o; c_prev (N, H); c, tanh_c and h
    (N, H) are written; tmp (N, H) is overwritten.
    """
    f, g, i, o = z
    np.tanh(g, out=g)
    np.negative(g, out=g)
    for gates in (f, z[2:]):
        with errstate(over="ignore"):  # exp(-z) = inf is right: the gate is 0
            np.exp(gates, out=gates)
        gates += 1
        np.reciprocal(gates, out=gates)
    np.multiply(f, c_prev, out=c)
    np.multiply(g, i, out=tmp)
    c += tmp
    np.tanh(c, out=tanh_c)
    np.multiply(o, tanh_c, out=h)


class TimeLSTM(_Recurrent):
    """LSTM over a whole sequence, fused over time.

    Shapes: xs (N, T, D), hs (N, T, H), Wx (D, 4H), Wh (H, 4H), b (4H,); gates in the order f, g, i, o (see ``LSTM``).
    stateful: go on from the last state of the call before. ``h`` and ``c`` are the last state, ``dh`` and ``dc`` the
    gradients of the first.

    How it is fast. The gates of a step are one block (4, N, H), gate by gate, and everything happens in place.
    sigmoid(z) = 1 / (1 + exp(-z)), and the minus sign is free: the input product is formed with -Wx and -b, and h Wh
    is subtracted from it. (tanh(z) = 2 sigmoid(2z) - 1 would save a tanh, but loses the digits of a small z.)
    In backward h saves products: h = o tanh_c, so o (1 - tanh_c^2) = o - h tanh_c and the gradient of o's score is
    dh h (1 - o). A first state of zeros is not multiplied by anything.
    """

    gates = 4

    def __init__(self, Wx, Wh, b, stateful=False):
        super().__init__(Wx, Wh, b, stateful)
        self.c, self.dc = None, None

    def set_state(self, h=None, c=None):
        """Start the next forward call from h and c (N, H), None meaning zeros; it counts only if stateful."""
        self.h, self.c = h, c

    def reset_state(self):
        """Start the next forward call from zeros."""
        self.h, self.c = None, None

    def forward(self, xs, mask=None):
        """Return hs (N, T, H). mask: see above. Raises: ValueError for shapes that do not fit."""
        x1, gates = self._input_product(xs, "gates", negative=True)
        T, _, N, H = gates.shape
        Wh = self.by_gate(self.params[1])
        h, c = self._array("h", T + 1, N, H), self._array("c", T + 1, N, H)  # h[t], c[t]: the state before step t
        tanh_c = self._array("tanh_c", T, N, H)
        tmp4, tmp = self._array("tmp4", 4, N, H), self._array("tmp", N, H)
        first = 0 if self._fill_state(h[0], self.h, "h") else 1  # the first step whose h_prev is not 0
        self._fill_state(c[0], self.c, "c")
        padding = self._padding(mask, T, N)
        for t in range(T):
            if t >= first:
                np.matmul(h[t], Wh, out=tmp4)
                gates[t] -= tmp4
            lstm_step(gates[t], c[t], c[t + 1], tanh_c[t], h[t + 1], tmp)
            if padding is not None:
                np.copyto(h[t + 1], h[t], where=padding[t])
                np.copyto(c[t + 1], c[t], where=padding[t])
        self.cache = (x1, gates, h, c, tanh_c, first, padding)
        self.h, self.c = h[T].copy(), c[T].copy()
        return h[1:].transpose(1, 0, 2).copy()

    def backward(self, dhs, dh=None, dc=None):
        """Backward through time, with dc and dh carried from step t + 1 to step t (the derivatives: see ``LSTM``).

        Args: dhs (N, T, H); dh and dc (N, H), the gradients of the last state from what reads it besides hs, such as a
        decoder that starts there. Returns: dxs (N, T, D); ``self.dh`` and ``self.dc`` then hold the gradients of the
        first state.
        """
        back, dWh = self._back(), self.grads[1]
        x1, gates, h, c, tanh_c, first, padding = cached(self)
        T, N, H = tanh_c.shape
        check_dout(self, dhs, (N, T, H), "dhs")
        dz = self._array("dz", T, N, 4 * H)
        d, tmp = self._array("d", 4, N, H), self._array("tmp", N, H)  # d: dz of one step, gate by gate
        df, dg, di, do = d
        dh, dc = self._last_gradient(dh, N, H, "dh"), self._last_gradient(dc, N, H, "dc")
        for t in reversed(range(T)):
            f, g, i, o = gates[t]
            dh += dhs[:, t]
            if padding is not None:
                dh_stays = np.where(padding[t], dh, 0)  # the state stayed as it was, and so do its gradients
                dc_stays = dc.copy()
            np.multiply(h[t + 1], tanh_c[t], out=tmp)
            np.subtract(o, tmp, out=tmp)  # o (1 - tanh_c^2), because h = o tanh_c
            tmp *= dh
            dc += tmp
            np.subtract(1, gates[t], out=d)
            do *= h[t + 1]
            do *= dh
            df *= f
            df *= c[t]
            df *= dc
            np.multiply(g, i, out=tmp)
            di *= tmp
            di *= dc
            tmp *= g
            np.subtract(i, tmp, out=dg)  # i (1 - g^2)
            dg *= dc
            dc *= f
            if padding is not None:
                np.copyto(d, 0, where=padding[t])
                np.copyto(dc, dc_stays, where=padding[t])
            self._write_columns(dz[t], d)
            np.matmul(dz[t], back, out=dh)
            if padding is not None:
                dh += dh_stays
        h_prev = h[first:-1].reshape(-1, H)  # where h_prev is 0, dWh gets nothing
        np.matmul(h_prev.T, dz[first:].reshape(-1, 4 * H), out=dWh)
        self.dh, self.dc = dh, dc
        return self._input_backward(x1, dz)


class TimeGRU(_Recurrent):
    """GRU over a whole sequence. Shapes: xs (N, T, D), hs (N, T, H), Wx (D, 3H), Wh (H, 3H), b and bh (3H,).

    Gates in the order z, r, h. Without ``bh`` the form of the book, with it the form of PyTorch: see ``GRU``.
    stateful: go on from the last state of the call before. ``h`` is the last state, ``dh`` the gradient of the first.
    """

    gates = 3

    def forward(self, xs, mask=None):
        """Return hs (N, T, H). mask: see above. Raises: ValueError for shapes that do not fit."""
        bh = self.params[3:]
        x1, gates = self._input_product(xs, "gates")
        T, _, N, H = gates.shape
        Wh = self.by_gate(self.params[1])
        h = self._array("h", T + 1, N, H)
        inner = self._array("inner", T, N, H)  # r * h_prev, or h_prev Whh + bhh
        h_part, tmp = self._array("h_part", 3, N, H), self._array("tmp", N, H)
        self._fill_state(h[0], self.h, "h")
        padding = self._padding(mask, T, N)
        for t in range(T):
            zr, (z, r, h_hat) = gates[t, :2], gates[t]
            if bh:
                np.matmul(h[t], Wh, out=h_part)
                h_part += bh[0].reshape(3, 1, H)
                zr += h_part[:2]
                zr[...] = sigmoid(zr)
                inner[t] = h_part[2]
                np.multiply(r, inner[t], out=tmp)
            else:
                np.matmul(h[t], Wh[:2], out=h_part[:2])
                zr += h_part[:2]
                zr[...] = sigmoid(zr)
                np.multiply(r, h[t], out=inner[t])
                np.matmul(inner[t], Wh[2], out=tmp)
            h_hat += tmp
            np.tanh(h_hat, out=h_hat)
            np.subtract(h_hat, h[t], out=tmp)
            tmp *= z
            np.add(h[t], tmp, out=h[t + 1])  # h_prev + z * (h_hat - h_prev)
            if padding is not None:
                np.copyto(h[t + 1], h[t], where=padding[t])
        self.cache = (x1, gates, h, inner, padding)
        self.h = h[T].copy()
        return h[1:].transpose(1, 0, 2).copy()

    def backward(self, dhs, dh=None):
        """Backward through time (the derivatives: see ``GRU``). Return dxs (N, T, D). dh: see ``TimeRNN.backward``."""
        back, bh, dWh = self._back(), self.params[3:], self.grads[1]
        x1, gates, h, inner, padding = cached(self)
        T, N, H = inner.shape
        check_dout(self, dhs, (N, T, H), "dhs")
        dgates = self._array("dgates", T, N, 3 * H)
        dhidden = self._array("dhidden", T, N, 3 * H) if bh else dgates  # what reaches h_prev Wh
        d = self._array("d", 3, N, H)  # dgates of one step, gate by gate
        dz, dr, dh_hat = d
        dh = self._last_gradient(dh, N, H, "dh")
        for t in reversed(range(T)):
            z, r, h_hat = gates[t]
            dh += dhs[:, t]
            dz[...] = dh * (h_hat - h[t]) * z * (1 - z)
            dh_hat[...] = dh * z * (1 - h_hat * h_hat)
            if padding is None:
                dh *= 1 - z
            else:  # the state stayed as it was, and so does its gradient
                np.copyto(d, 0, where=padding[t])
                dh *= np.where(padding[t], 1, 1 - z)
            if bh:
                dr[...] = dh_hat * inner[t] * r * (1 - r)
                self._write_columns(dgates[t], d)
                dh_hat *= r
                self._write_columns(dhidden[t], d)
                dh += dhidden[t] @ back
            else:
                dinner = dh_hat @ back[2 * H :]
                dr[...] = dinner * h[t] * r * (1 - r)
                self._write_columns(dgates[t], d)
                dh += dinner * r
                dh += dgates[t, :, : 2 * H] @ back[: 2 * H]
        h_prev, dhidden = h[:-1].reshape(T * N, H), dhidden.reshape(T * N, 3 * H)
        if bh:
            np.matmul(h_prev.T, dhidden, out=dWh)
            np.sum(dhidden, axis=0, out=self.grads[3])
        else:
            dWh[:, : 2 * H] = h_prev.T @ dhidden[:, : 2 * H]
            dWh[:, 2 * H :] = inner.reshape(T * N, H).T @ dhidden[:, 2 * H :]
        self.dh = dh
        return self._input_backward(x1, dgates)


def state_of(layer):
    """Return the present state of a recurrent layer, (h,) or (h, c), without what is None; () before the first call.

    ``layer.set_state(*state_of(layer))`` goes on where the layer was. layer: any layer with ``h``, or ``h`` and ``c``.
    """
    return _without_none(getattr(layer, "h", None), getattr(layer, "c", None))


def _without_none(h, c):
    """Return (h, c), (h,) or (); h stays where c needs its place."""
    return (h, c) if c is not None else (h,) if h is not None else ()


class Bidirectional(Composite):
    """Two recurrent layers over the same sequence: one reads it forward, the other backward.

    Args: forward_layer and backward_layer, two layers from xs (N, T, D) to hs (N, T, H); combine, what becomes of their
    two hidden states of a step: "concat" puts them side by side, (N, T, 2H); "sum" and "mean" give (N, T, H).
    Source: Schuster and Paliwal 1997.
    """

    def __init__(self, forward_layer, backward_layer, combine="concat"):
        if combine not in ("concat", "sum", "mean"):
            raise ValueError(f'{type(self).__name__}: combine must be "concat", "sum" or "mean", got {combine!r}')
        if forward_layer is backward_layer:
            raise ValueError(f"{type(self).__name__}: one layer cannot read both ways, it needs two")
        self.forward_layer, self.backward_layer = forward_layer, backward_layer
        self.combine = combine
        self.cache = None

    def forward(self, xs, mask=None):
        """Return hs: at step t, what one layer knows of steps 0..t joined with what the other knows of t..T-1.

        mask: (N, T) bool, False where xs is padding, for two layers that know masks; each then begins with the first
        real step that it meets, and its last state is that after its last one.
        """
        masks = ((), ()) if mask is None else ((mask,), (mask[:, ::-1],))  # a layer of your own need not know masks
        ahead = self.forward_layer.forward(xs, *masks[0])
        back = self.backward_layer.forward(xs[:, ::-1], *masks[1])[:, ::-1]
        if self.combine == "concat":
            out = np.concatenate((ahead, back), axis=2)
        elif ahead.shape != back.shape:
            raise ValueError(f"{type(self).__name__}: hidden states {ahead.shape} and {back.shape} cannot be added")
        else:
            out = ahead + back
            if self.combine == "mean":
                out *= 0.5
        self.cache = (ahead.shape[2], out.shape)
        return out

    def backward(self, dhs, forward_dlast=(), backward_dlast=()):
        """Each layer gets its part of dhs; both read xs, so what they return is added. Return dxs (N, T, D).

        forward_dlast, backward_dlast: the gradients of ``last_states``, where something started from them.
        """
        H, shape = cached(self)
        check_dout(self, dhs, shape, "dhs")
        if self.combine == "concat":
            dahead, dback = dhs[..., :H], dhs[..., H:]
        else:
            dahead = dback = 0.5 * dhs if self.combine == "mean" else dhs
        dxs = self.forward_layer.backward(dahead, *forward_dlast)
        dxs += self.backward_layer.backward(dback[:, ::-1], *backward_dlast)[:, ::-1]
        return dxs

    @property
    def last_states(self):
        """The last state of each layer, ((h, c), (h, c)); each has read the whole sequence. A decoder can start there.

        h is also a part of hs: the forward layer's stands at the last step, the backward layer's at step 0.
        """
        return state_of(self.forward_layer), state_of(self.backward_layer)

    @property
    def first_gradients(self):
        """After backward: the gradients of the first state of each layer, ((dh, dc), (dh, dc))."""
        layers = self.forward_layer, self.backward_layer
        return tuple(_without_none(getattr(layer, "dh", None), getattr(layer, "dc", None)) for layer in layers)

    def set_state(self, forward_state=(), backward_state=()):
        """Start the next forward call from these states, such as ``last_states``; () means zeros."""
        self.forward_layer.set_state(*forward_state)
        self.backward_layer.set_state(*backward_state)

    def reset_state(self):
        """Start the next forward call of both layers from zeros."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()


class TimeBiLSTM(Bidirectional):
    """Two LSTMs, one reading forward and one backward; their hidden states stand side by side.

    Shapes: xs (N, T, D), out (N, T, 2H); the weights with 1 read forward, those with 2 backward.
    Source: Schuster and Paliwal 1997; the book, section 8.3.1.
    """

    def __init__(self, Wx1, Wh1, b1, Wx2, Wh2, b2, stateful=False):
        super().__init__(TimeLSTM(Wx1, Wh1, b1, stateful), TimeLSTM(Wx2, Wh2, b2, stateful))

    @property
    def forward_lstm(self):
        """The LSTM that reads forward."""
        return self.forward_layer

    @property
    def backward_lstm(self):
        """The LSTM that reads backward."""
        return self.backward_layer
