"""AttentionSeq2seq the plain way: one layer object per time step, as the book writes it (chapters 5 to 8).

Nothing here is clever. Every step has its own ``LSTM`` and its own ``Attention``, every gate its own
slice, every weight is repeated until the shapes match, every layer hands out fresh arrays and every
gradient is summed step by step. That makes it easy to check against the formulas, so it serves twice:

- as the yardstick of ``python -m tests.bench`` (how much does the fused library gain over this?),
- as an independent reference for the tests: same weights in, same loss and same gradients out. It shares
  no code with the library. The parameters stand in the same order, so they can be copied one by one.

Shapes: ``N`` batch, ``T`` time steps, ``D`` embedding size, ``H`` hidden size, ``V`` vocabulary size.
All layers follow the dtype of their parameters. Gates stand in the order f, g, i, o.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    """Softmax of each row of x (N, T)."""
    x = x - x.max(axis=1, keepdims=True)
    x = np.exp(x)
    return x / x.sum(axis=1, keepdims=True)


class Embedding:
    """One step of embeddings: row ``idx[n]`` of W for every sample."""

    def __init__(self, W):
        self.params = [W]
        self.grads = [np.zeros_like(W)]
        self.idx = None

    def forward(self, idx):
        (W,) = self.params
        self.idx = idx
        return W[idx]

    def backward(self, dout):
        """dW[k] is the sum of dout over the samples that used row k."""
        (dW,) = self.grads
        dW[...] = 0
        np.add.at(dW, self.idx, dout)


class TimeEmbedding:
    """One ``Embedding`` per step: ids (N, T) -> vectors (N, T, D)."""

    def __init__(self, W):
        self.params = [W]
        self.grads = [np.zeros_like(W)]
        self.layers = []

    def forward(self, xs):
        (W,) = self.params
        N, T = xs.shape
        out = np.empty((N, T, W.shape[1]), dtype=W.dtype)
        self.layers = []
        for t in range(T):
            layer = Embedding(W)
            out[:, t, :] = layer.forward(xs[:, t])
            self.layers.append(layer)
        return out

    def backward(self, dout):
        grad = 0
        for t, layer in enumerate(self.layers):
            layer.backward(dout[:, t, :])
            grad = grad + layer.grads[0]
        self.grads[0][...] = grad


class LSTM:
    """One step of an LSTM: c = f * c_prev + g * i, h = o * tanh(c)."""

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.cache = None

    def forward(self, x, h_prev, c_prev):
        Wx, Wh, b = self.params
        N, H = h_prev.shape
        A = np.dot(x, Wx) + np.dot(h_prev, Wh) + b  # (N, 4H)
        f = sigmoid(A[:, :H])
        g = np.tanh(A[:, H : 2 * H])
        i = sigmoid(A[:, 2 * H : 3 * H])
        o = sigmoid(A[:, 3 * H :])
        c = f * c_prev + g * i
        h = o * np.tanh(c)
        self.cache = (x, h_prev, c_prev, f, g, i, o, c)
        return h, c

    def backward(self, dh, dc):
        """The chain rule through h = o * tanh(c), then c = f * c_prev + g * i, then the four gates."""
        Wx, Wh, b = self.params
        x, h_prev, c_prev, f, g, i, o, c = self.cache
        tanh_c = np.tanh(c)
        dc = dc + dh * o * (1 - tanh_c**2)

        df = dc * c_prev * f * (1 - f)
        dg = dc * i * (1 - g**2)
        di = dc * g * i * (1 - i)
        do = dh * tanh_c * o * (1 - o)
        dA = np.concatenate((df, dg, di, do), axis=1)  # (N, 4H)

        self.grads[0][...] = np.dot(x.T, dA)
        self.grads[1][...] = np.dot(h_prev.T, dA)
        self.grads[2][...] = dA.sum(axis=0)
        return np.dot(dA, Wx.T), np.dot(dA, Wh.T), dc * f


class TimeLSTM:
    """One ``LSTM`` per step: (N, T, D) -> (N, T, H). ``dh`` is the gradient of the first hidden state."""

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.layers = []
        self.h, self.c, self.dh = None, None, None

    def set_state(self, h, c=None):
        self.h, self.c = h, c

    def forward(self, xs):
        Wx, Wh, b = self.params
        N, T, D = xs.shape
        H = Wh.shape[0]
        if self.h is None:
            self.h = np.zeros((N, H), dtype=Wx.dtype)
        if self.c is None:
            self.c = np.zeros((N, H), dtype=Wx.dtype)
        hs = np.empty((N, T, H), dtype=Wx.dtype)
        self.layers = []
        for t in range(T):
            layer = LSTM(Wx, Wh, b)
            self.h, self.c = layer.forward(xs[:, t, :], self.h, self.c)
            hs[:, t, :] = self.h
            self.layers.append(layer)
        return hs

    def backward(self, dhs):
        """Step by step from the last to the first, the gradients of the shared weights summed."""
        Wx, Wh, b = self.params
        N, T, H = dhs.shape
        dxs = np.empty((N, T, Wx.shape[0]), dtype=Wx.dtype)
        dh, dc = 0, 0
        grads = [0, 0, 0]
        for t in reversed(range(T)):
            layer = self.layers[t]
            dxs[:, t, :], dh, dc = layer.backward(dhs[:, t, :] + dh, dc)
            for k, grad in enumerate(layer.grads):
                grads[k] = grads[k] + grad
        for k, grad in enumerate(grads):
            self.grads[k][...] = grad
        self.dh = dh
        return dxs


class TimeAffine:
    """The same affine layer at every step: (N, T, D) -> (N, T, V)."""

    def __init__(self, W, b):
        self.params = [W, b]
        self.grads = [np.zeros_like(W), np.zeros_like(b)]
        self.x = None

    def forward(self, x):
        N, T, D = x.shape
        W, b = self.params
        self.x = x
        return (np.dot(x.reshape(N * T, D), W) + b).reshape(N, T, -1)

    def backward(self, dout):
        N, T, D = self.x.shape
        W, b = self.params
        dout = dout.reshape(N * T, -1)
        self.grads[0][...] = np.dot(self.x.reshape(N * T, D).T, dout)
        self.grads[1][...] = dout.sum(axis=0)
        return np.dot(dout, W.T).reshape(N, T, D)


class TimeSoftmaxWithLoss:
    """Mean cross entropy over all steps: scores (N, T, V), right ids (N, T)."""

    def __init__(self):
        self.cache = None

    def forward(self, scores, ts):
        N, T, V = scores.shape
        ys = softmax(scores.reshape(N * T, V))
        ts = ts.reshape(N * T)
        self.cache = (ys, ts, scores.shape)
        return float(-np.log(ys[np.arange(N * T), ts]).sum() / (N * T))

    def backward(self, dout=1):
        """(y - one_hot(t)) / (N * T)."""
        ys, ts, shape = self.cache
        dx = ys.copy()
        dx[np.arange(len(ts)), ts] -= 1
        dx = dx * dout / len(ts)
        return dx.reshape(shape)


class WeightSum:
    """c = sum over t of a[t] * hs[t], with the weights repeated to the shape of hs."""

    def __init__(self):
        self.cache = None

    def forward(self, hs, a):
        N, T, H = hs.shape
        ar = a.reshape(N, T, 1).repeat(H, axis=2)  # (N, T, H)
        t = hs * ar
        self.cache = (hs, ar)
        return np.sum(t, axis=1)  # (N, H)

    def backward(self, dc):
        """Backwards, a sum repeats the gradient, a repeat sums it, a product takes the other factor."""
        hs, ar = self.cache
        N, T, H = hs.shape
        dt = dc.reshape(N, 1, H).repeat(T, axis=1)  # (N, T, H)
        dhs = dt * ar
        da = np.sum(dt * hs, axis=2)  # (N, T)
        return dhs, da


class AttentionWeight:
    """a = softmax over t of hs[t] . h, with h repeated to the shape of hs."""

    def __init__(self):
        self.cache = None

    def forward(self, hs, h):
        N, T, H = hs.shape
        hr = h.reshape(N, 1, H).repeat(T, axis=1)  # (N, T, H)
        s = np.sum(hs * hr, axis=2)
        a = softmax(s)  # (N, T)
        self.cache = (hs, hr, a)
        return a

    def backward(self, da):
        """ds = a * (da - sum(a * da)) through the softmax, then the product hs * hr backwards."""
        hs, hr, a = self.cache
        N, T, H = hs.shape
        ds = a * da
        ds = ds - a * np.sum(ds, axis=1, keepdims=True)
        dt = ds.reshape(N, T, 1).repeat(H, axis=2)  # (N, T, H)
        dhs = dt * hr
        dh = np.sum(dt * hs, axis=1)  # (N, H)
        return dhs, dh


class Attention:
    """The context of one decoder step: ``AttentionWeight``, then ``WeightSum``."""

    def __init__(self):
        self.attention_weight_layer = AttentionWeight()
        self.weight_sum_layer = WeightSum()
        self.attention_weight = None

    def forward(self, hs, h):
        a = self.attention_weight_layer.forward(hs, h)
        self.attention_weight = a
        return self.weight_sum_layer.forward(hs, a)

    def backward(self, dout):
        """hs was used twice, so its two gradients add up."""
        dhs0, da = self.weight_sum_layer.backward(dout)
        dhs1, dh = self.attention_weight_layer.backward(da)
        return dhs0 + dhs1, dh


class TimeAttention:
    """One ``Attention`` per decoder step: (N, T_enc, H), (N, T_dec, H) -> (N, T_dec, H)."""

    def __init__(self):
        self.layers = []
        self.attention_weights = []

    def forward(self, hs_enc, hs_dec):
        N, T, H = hs_dec.shape
        out = np.empty_like(hs_dec)
        self.layers = []
        self.attention_weights = []
        for t in range(T):
            layer = Attention()
            out[:, t, :] = layer.forward(hs_enc, hs_dec[:, t, :])
            self.layers.append(layer)
            self.attention_weights.append(layer.attention_weight)
        return out

    def backward(self, dout):
        dhs_enc = 0
        dhs_dec = np.empty_like(dout)
        for t, layer in enumerate(self.layers):
            dhs, dhs_dec[:, t, :] = layer.backward(dout[:, t, :])
            dhs_enc = dhs_enc + dhs
        return dhs_enc, dhs_dec


def lstm_weights(D, H, normal, dtype):
    """Wx, Wh, b with the book's scale: 1/sqrt(number of inputs), zero bias."""
    Wx = (normal((D, 4 * H)) / np.sqrt(D)).astype(dtype)
    Wh = (normal((H, 4 * H)) / np.sqrt(H)).astype(dtype)
    return Wx, Wh, np.zeros(4 * H, dtype=dtype)


class AttentionEncoder:
    """ids (N, T) -> all hidden states (N, T, H)."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, normal, dtype):
        V, D, H = vocab_size, wordvec_size, hidden_size
        self.embed = TimeEmbedding((normal((V, D)) / 100).astype(dtype))
        self.lstm = TimeLSTM(*lstm_weights(D, H, normal, dtype))
        self.params = self.embed.params + self.lstm.params
        self.grads = self.embed.grads + self.lstm.grads

    def forward(self, xs):
        self.lstm.set_state(None)
        return self.lstm.forward(self.embed.forward(xs))

    def backward(self, dhs):
        self.embed.backward(self.lstm.backward(dhs))


class AttentionDecoder:
    """ids (N, T_dec), encoder states (N, T_enc, H) -> scores (N, T_dec, V)."""

    def __init__(self, vocab_size, wordvec_size, hidden_size, normal, dtype):
        V, D, H = vocab_size, wordvec_size, hidden_size
        affine_W = (normal((2 * H, V)) / np.sqrt(2 * H)).astype(dtype)
        self.embed = TimeEmbedding((normal((V, D)) / 100).astype(dtype))
        self.lstm = TimeLSTM(*lstm_weights(D, H, normal, dtype))
        self.attention = TimeAttention()
        self.affine = TimeAffine(affine_W, np.zeros(V, dtype=dtype))
        self.params = self.embed.params + self.lstm.params + self.affine.params
        self.grads = self.embed.grads + self.lstm.grads + self.affine.grads

    def step(self, xs, enc_hs):
        """Go on from the state that the LSTM is in."""
        dec_hs = self.lstm.forward(self.embed.forward(xs))
        c = self.attention.forward(enc_hs, dec_hs)
        return self.affine.forward(np.concatenate((c, dec_hs), axis=2))

    def forward(self, xs, enc_hs):
        self.lstm.set_state(enc_hs[:, -1])
        return self.step(xs, enc_hs)

    def backward(self, dscores):
        dout = self.affine.backward(dscores)
        H = dout.shape[2] // 2
        dc, ddec_hs = dout[:, :, :H], dout[:, :, H:]
        denc_hs, ddec_hs1 = self.attention.backward(dc)
        self.embed.backward(self.lstm.backward(ddec_hs + ddec_hs1))
        denc_hs[:, -1] += self.lstm.dh
        return denc_hs

    def generate(self, enc_hs, start_id, sample_size):
        self.lstm.set_state(enc_hs[:, -1])
        char_id, sampled = start_id, []
        for _ in range(sample_size):
            char_id = int(self.step(np.array([[char_id]]), enc_hs).argmax())
            sampled.append(char_id)
        return sampled


class AttentionSeq2seq:
    """The whole model.

    ``params``: encoder embed W, LSTM Wx, Wh, b, then decoder embed W, LSTM Wx, Wh, b, affine W, b.
    """

    def __init__(self, vocab_size, wordvec_size, hidden_size, *, dtype=np.float32, rng=None):
        normal = (rng or np.random.default_rng(0)).standard_normal
        self.encoder = AttentionEncoder(vocab_size, wordvec_size, hidden_size, normal, dtype)
        self.decoder = AttentionDecoder(vocab_size, wordvec_size, hidden_size, normal, dtype)
        self.softmax = TimeSoftmaxWithLoss()
        self.params = self.encoder.params + self.decoder.params
        self.grads = self.encoder.grads + self.decoder.grads

    def forward(self, xs, ts):
        """xs (N, T_enc), ts (N, T_dec + 1) starting with the start mark -> loss."""
        scores = self.decoder.forward(ts[:, :-1], self.encoder.forward(xs))
        return self.softmax.forward(scores, ts[:, 1:])

    def backward(self, dout=1):
        self.encoder.backward(self.decoder.backward(self.softmax.backward(dout)))

    def generate(self, xs, start_id, sample_size):
        """The most likely characters for one sample, xs (1, T_enc)."""
        return self.decoder.generate(self.encoder.forward(xs), start_id, sample_size)


def clip_grads(grads, max_norm):
    """Scale all gradients in place so that their common norm is at most max_norm."""
    total = np.sqrt(sum(np.sum(grad**2) for grad in grads))
    rate = max_norm / (total + 1e-6)
    if rate < 1:
        for grad in grads:
            grad *= rate


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1, with the bias corrections moved into the step size)."""

    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999):
        self.lr, self.beta1, self.beta2 = lr, beta1, beta2
        self.iter = 0
        self.m, self.v = None, None

    def update(self, params, grads):
        if self.m is None:
            self.m = [np.zeros_like(param) for param in params]
            self.v = [np.zeros_like(param) for param in params]
        self.iter += 1
        lr_t = self.lr * np.sqrt(1 - self.beta2**self.iter) / (1 - self.beta1**self.iter)
        for param, grad, m, v in zip(params, grads, self.m, self.v, strict=True):
            m += (1 - self.beta1) * (grad - m)
            v += (1 - self.beta2) * (grad**2 - v)
            param -= lr_t * m / (np.sqrt(v) + 1e-7)
