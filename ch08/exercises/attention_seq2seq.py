"""Exercises 8.5: joining context and state, what goes back to the encoder, first weights."""

from ch07.exercises.given import RNN
from ch08.attention_layer import TimeAttention
from common.functions import softmax
from common.gradient_check import numerical_gradient
from common.grading.draws import normal, size
from common.grading.exercise import Case, Exercise, Mistake
from common.np import host as np

SECTION = "notebook 8.5"

# --- 8.5.1: how wide the affine layer is ----------------------------------------------------------


def _sizes(rng, least, most):
    V, D, H = rng.choice(np.arange(least, most), 3, replace=False)
    return {"V": int(V), "D": int(D), "H": int(H)}


WIDTH = Exercise(
    number="8.5.1",
    title="How wide is the affine layer?",
    name="affine_shape",
    points=1,
    call="rows, columns = answer(V, D, H)",
    outputs=("rows", "columns"),
    cases=(
        Case("small sizes", lambda rng: _sizes(rng, 2, 10)),
        Case("the sizes of the date model", lambda rng: {"V": 59, "D": 16, "H": size(rng, 128, 300)}),
        Case("large sizes", lambda rng: _sizes(rng, 100, 1000)),
    ),
    reference=lambda V, D, H: (H + H, V),
    mistakes=(
        Mistake(
            "This is the weight of a decoder without attention: only the hidden state goes in.",
            "def affine_shape(V, D, H):\n    return H, V",
        ),
        Mistake(
            "Embeddings go into the LSTM. What goes into the affine layer?",
            "def affine_shape(V, D, H):\n    return D + H, V",
        ),
        Mistake(
            "Rows and columns are swapped: x W needs one row for every number of x.",
            "def affine_shape(V, D, H):\n    return V, 2 * H",
        ),
        Mistake(
            "One logit for every character comes out, so there are as many columns as characters in the vocabulary.",
            "def affine_shape(V, D, H):\n    return 2 * H, H",
        ),
    ),
    hints=(
        "How many numbers does the context have? And the decoder's hidden state? They are put side by side.",
        "The weight has one row for every number that goes in and one column for every logit that comes out. "
        "Context and hidden state have H numbers each.",
    ),
    section=f'{SECTION}, "Joining context and hidden state"',
)

# --- 8.5.2: side by side, and back ----------------------------------------------------------------


def _pair(rng, N, T, H):
    return normal(rng, c=(N, T, H), hs=(N, T, H), djoined=(N, T, 2 * H))


class _Join:
    """Forward and backward by hand: allocate, then copy."""

    def forward(self, c, hs):
        joined = np.empty((*c.shape[:2], c.shape[2] + hs.shape[2]))
        joined[..., : c.shape[2]], joined[..., c.shape[2] :] = c, hs
        self.width = c.shape[2]
        return joined

    def backward(self, djoined):
        return djoined[..., : self.width], djoined[..., self.width :]


def _join(joined="np.concatenate((c, hs), axis=2)", split="np.split(djoined, 2, axis=2)"):
    return f"""\
class Join:
    def forward(self, c, hs):
        return {joined}

    def backward(self, djoined):
        dc, dhs = {split}
        return dc, dhs
"""


JOIN = Exercise(
    number="8.5.2",
    title="Side by side, and back",
    name="Join",
    points=2,
    call="layer = answer()\njoined = layer.forward(c, hs)\ndc, dhs = layer.backward(djoined)",
    outputs=("joined", "dc", "dhs"),
    cases=(
        Case("one sequence, one step", lambda rng: _pair(rng, 1, 1, 2)),
        Case("N = T = H", lambda rng: _pair(rng, 2, 2, 2)),
        Case("N, T and H all differ", lambda rng: _pair(rng, 2, size(rng, 4, 8), 3)),
    ),
    reference=_Join,
    mistakes=(
        Mistake(
            "The hidden state comes first. The upper half of the weight is for the context: that one comes first.",
            _join("np.concatenate((hs, c), axis=2)"),
        ),
        Mistake(
            "The two are joined along time, one after the other. They belong side by side at every step.",
            _join("np.concatenate((c, hs), axis=1)"),
        ),
        Mistake(
            "The two are added, so they can no longer be told apart. Put them side by side.",
            _join("c + hs", "djoined, djoined"),
        ),
        Mistake(
            "backward returns the halves in the wrong order: the first half belongs to what was joined first.",
            _join(split="np.split(djoined, 2, axis=2)[::-1]"),
        ),
        Mistake(
            "backward takes every second number. Forward put all of c before all of hs.",
            _join(split="djoined[:, :, ::2], djoined[:, :, 1::2]"),
        ),
    ),
    hints=(
        "np.concatenate joins arrays along one axis. Which axis holds the numbers of one step?",
        "np.concatenate((c, hs), axis=2) makes (N, T, 2H). Backward cuts the gradient where forward joined: "
        "the first H numbers of every step belong to c. np.split does that.",
    ),
    section=f'{SECTION}, "Joining context and hidden state"',
)

# --- 8.5.3: the last state is used twice ----------------------------------------------------------


def _gradients(rng, N, T, H):
    return normal(rng, dhs_enc=(N, T, H), dh=(N, H))


def _to_encoder(dhs_enc, dh):
    last = np.zeros_like(dhs_enc)
    last[:, -1] = dh
    return dhs_enc + last


def _sum(line):
    return f"def to_encoder(dhs_enc, dh):\n    d = dhs_enc.copy()\n    {line}\n    return d\n"


LAST_STATE = Exercise(
    number="8.5.3",
    title="The last state is used twice",
    name="to_encoder",
    points=2,
    call="d = answer(dhs_enc, dh)",
    outputs=("d",),
    cases=(
        Case("one sequence of one step", lambda rng: _gradients(rng, 1, 1, 2)),
        Case("N = T_enc", lambda rng: _gradients(rng, 3, 3, 2)),
        Case("N, T_enc and H all differ", lambda rng: _gradients(rng, 2, size(rng, 4, 7), 3)),
    ),
    reference=_to_encoder,
    mistakes=(
        Mistake(
            "dh replaces the gradient that the attention sends to the last state. The state is used twice: both count.",
            _sum("d[:, -1] = dh"),
        ),
        Mistake(
            "dh goes to every encoder step. The decoder's LSTM started from one of them.",
            _sum("d += dh[:, None]"),
        ),
        Mistake(
            "dh goes to the first encoder step. The decoder's LSTM started from the state after the last character.",
            _sum("d[:, 0] += dh"),
        ),
        Mistake(
            "The index picks the last sequence of the batch. Time is the second axis.",
            _sum("d[-1] += dh"),
        ),
        Mistake(
            "dh is not used: the path through the start of the decoder's LSTM is forgotten.",
            "def to_encoder(dhs_enc, dh):\n    return dhs_enc.copy()",
        ),
    ),
    hints=(
        "Which of the T_enc states did the decoder's LSTM start from? Only that one is used a second time.",
        "Copy dhs_enc, then add dh to the part [:, -1] of the copy: every sequence, last step, all H numbers.",
    ),
    section=f'{SECTION}, "The decoder, backward"',
)

# --- 8.5.4: the whole backward pass of the decoder ------------------------------------------------


class _DecoderByNumbers:
    """The decoder's forward, and gradients by moving every number a little."""

    def __init__(self, Wx, Wh, Wc, Ws):
        self.weights = Wx, Wh, Wc, Ws

    def forward(self, xs, hs_enc):
        Wx, Wh, Wc, Ws = self.weights
        self.inputs = xs.copy(), hs_enc.copy()
        h, logits = hs_enc[:, -1], []
        for t in range(xs.shape[1]):
            h = np.tanh(xs[:, t] @ Wx + h @ Wh)
            a = softmax(np.einsum("nth,nh->nt", hs_enc, h))
            logits.append(np.einsum("nt,nth->nh", a, hs_enc) @ Wc + h @ Ws)
        return np.stack(logits, axis=1)

    def backward(self, dlogits):
        inputs = self.inputs
        return tuple(numerical_gradient(lambda: self.forward(*inputs), x, dlogits) for x in inputs)


def _decoder_inputs(rng, N, T_enc, T_dec, H, V, D):
    weights = normal(rng, Wx=(D, H), Wh=(H, H), Wc=(H, V), Ws=(H, V))
    return weights | normal(rng, xs=(N, T_dec, D), hs_enc=(N, T_enc, H), dlogits=(N, T_dec, V))


def _decoder(dhs="dhs + dhs_query", last="d_enc[:, -1] += self.rnn.dh", returned="dxs, d_enc"):
    return f"""\
class Decoder:
    def __init__(self, Wx, Wh, Wc, Ws):
        self.rnn = RNN(Wx, Wh)
        self.attention = TimeAttention()
        self.Wc, self.Ws = Wc, Ws

    def forward(self, xs, hs_enc):
        self.rnn.set_state(hs_enc[:, -1])
        hs = self.rnn.forward(xs)
        c = self.attention.forward(hs_enc, hs)
        return c @ self.Wc + hs @ self.Ws

    def backward(self, dlogits):
        dc, dhs = dlogits @ self.Wc.T, dlogits @ self.Ws.T
        d_enc, dhs_query = self.attention.backward(dc)
        dxs = self.rnn.backward({dhs})
        {last}
        return {returned}
"""


DECODER = Exercise(
    number="8.5.4",
    title="What goes back to the encoder",
    name="Decoder",
    points=3,
    call="decoder = answer(Wx, Wh, Wc, Ws)\nlogits = decoder.forward(xs, hs_enc)\n"
    "dxs, dhs_enc = decoder.backward(dlogits)",
    outputs=("logits", "dxs", "dhs_enc"),
    cases=(
        Case("one sequence, one decoder step", lambda rng: _decoder_inputs(rng, 1, 2, 1, 2, 3, 2)),
        Case("N = T_enc = T_dec = H", lambda rng: _decoder_inputs(rng, 2, 2, 2, 2, 3, 2)),
        Case("all sizes differ", lambda rng: _decoder_inputs(rng, 2, size(rng, 4, 6), 3, 3, 5, 4)),
    ),
    reference=_DecoderByNumbers,
    given={"RNN": RNN, "TimeAttention": TimeAttention},
    mistakes=(
        Mistake(
            "The gradient that the attention sends to the queries is lost. hs is used twice: for the logits, and by "
            "the attention.",
            _decoder(dhs="dhs"),
        ),
        Mistake(
            "The gradient that the logits send to hs directly is lost. hs is used twice.",
            _decoder(dhs="dhs_query"),
        ),
        Mistake(
            "The gradient from the attention is right, but the encoder's last state also started the decoder.",
            _decoder(last="pass"),
        ),
        Mistake(
            "The gradient of the decoder's first state goes to all encoder steps. It started from the last one only.",
            _decoder(last="d_enc += self.rnn.dh[:, None]"),
        ),
        Mistake(
            "The gradient of the decoder's first state replaces that of the attention. Both count.",
            _decoder(last="d_enc[:, -1] = self.rnn.dh"),
        ),
        Mistake(
            "backward returns its gradients in the wrong order: they come in the order of forward's arguments.",
            _decoder(returned="d_enc, dxs"),
        ),
    ),
    hints=(
        "Go through forward from its last line to its first. Two values are used twice: find them, and add there.",
        "dc = dlogits Wc^T, and dlogits Ws^T is one part of the gradient of hs; the attention's backward returns the "
        "other, and the gradient of hs_enc. The sum for hs goes into rnn.backward; after that, rnn.dh belongs to "
        "hs_enc[:, -1].",
    ),
    section=f'{SECTION}, "The decoder, backward"',
)

# --- 8.5.5: the last state's second use, forgotten ------------------------------------------------


class _OneStepByNumbers(_DecoderByNumbers):
    """One step: x (N, D) instead of xs (N, T, D)."""

    def forward(self, x, hs_enc):
        logits = super().forward(x[:, None], hs_enc)[:, 0]
        self.inputs = x.copy(), hs_enc.copy()
        return logits


def _one_step(rng, N, T_enc, H, V, D):
    drawn = _decoder_inputs(rng, N, T_enc, 1, H, V, D)
    drawn["x"], drawn["dlogits"] = drawn.pop("xs")[:, 0], drawn["dlogits"][:, 0]
    for name in ("Wx", "Wh"):
        drawn[name] /= 2 * H**0.5  # where tanh is flat, dx would be rounding errors
    return drawn


def _one_step_decoder(last=None):
    return f"""\
class OneStepDecoder:
    def __init__(self, Wx, Wh, Wc, Ws):
        self.Wx, self.Wh, self.Wc, self.Ws = Wx, Wh, Wc, Ws

    def forward(self, x, hs_enc):
        h = np.tanh(x @ self.Wx + hs_enc[:, -1] @ self.Wh)  # (N, H), starts from the encoder's last state
        a = softmax(np.einsum("nth,nh->nt", hs_enc, h))  # (N, T_enc)
        c = np.einsum("nt,nth->nh", a, hs_enc)  # (N, H)
        self.cache = hs_enc, h, a
        return c @ self.Wc + h @ self.Ws  # (N, V)

    def backward(self, dlogits):
        hs_enc, h, a = self.cache
        dc = dlogits @ self.Wc.T  # (N, H)
        da = np.einsum("nth,nh->nt", hs_enc, dc)
        ds = a * (da - (a * da).sum(axis=1, keepdims=True))  # (N, T_enc)
        dhs_enc = np.einsum("nt,nh->nth", a, dc) + np.einsum("nt,nh->nth", ds, h)
        dh = dlogits @ self.Ws.T + np.einsum("nt,nth->nh", ds, hs_enc)
        dz = dh * (1 - h**2)  # (N, H), through tanh
{f"        {last}" + chr(10) if last else ""}\
        return dz @ self.Wx.T, dhs_enc
"""


NOT_ADDED = Exercise(
    number="8.5.5",
    title="Bug hunt: one encoder step is wrong",
    name="OneStepDecoder",
    points=2,
    call="decoder = answer(Wx, Wh, Wc, Ws)\nlogits = decoder.forward(x, hs_enc)\n"
    "dx, dhs_enc = decoder.backward(dlogits)",
    outputs=("logits", "dx", "dhs_enc"),
    cases=(
        Case("one sequence", lambda rng: _one_step(rng, 1, 2, 3, 4, 2)),
        Case("N = T_enc = H", lambda rng: _one_step(rng, 3, 3, 3, 4, 2)),
        Case("all sizes differ", lambda rng: _one_step(rng, 2, size(rng, 4, 7), 3, 6, 5)),
    ),
    reference=_OneStepByNumbers,
    given={"softmax": softmax},
    bug=Mistake(
        "The gradient of the encoder's last state is incomplete: that state is used in two lines of forward.",
        _one_step_decoder(),
    ),
    mistakes=(
        Mistake(
            "What is added to the last state has not gone back through tanh.",
            _one_step_decoder("dhs_enc[:, -1] += dh @ self.Wh.T"),
        ),
        Mistake(
            "The gradient of the start goes to all encoder steps now, so all of them are wrong.",
            _one_step_decoder("dhs_enc += (dz @ self.Wh.T)[:, None]"),
        ),
        Mistake(
            "What is added to the last state went back through the weight itself, not through its transpose.",
            _one_step_decoder("dhs_enc[:, -1] += dz @ self.Wh"),
        ),
        Mistake(
            "dz is added as it is. Forward multiplied the last state by a weight before tanh.",
            _one_step_decoder("dhs_enc[:, -1] += dz"),
        ),
        Mistake(
            "The gradient from the start replaces the one that the attention sends. Both count.",
            _one_step_decoder("dhs_enc[:, -1] = dz @ self.Wh.T"),
        ),
    ),
    hints=(
        "Only the last encoder step is wrong. Which line of forward uses the last step and no other?",
        "In forward, hs_enc[:, -1] is multiplied by Wh, inside tanh. dz is the gradient inside tanh: "
        "pass it back through that product and add it to dhs_enc[:, -1].",
    ),
    section=f'{SECTION}, "The decoder, backward"',
)

# --- 8.5.6: first weights -------------------------------------------------------------------------

# Statistics of an array w whose standard deviation should be s: rounded, so that they hold for any good draw.
STATISTICS = """\
def mean_of(w):
    return round(float(w.mean() / max(w.std(), 1e-9)), 1) + 0.0
def spread_of(w, s):
    return round(float(w.std() / s), 1)
def near_of(w):
    return round(float((abs(w - w.mean()) < w.std()).mean()), 1)
"""


def _layer_sizes(rng, H=None, V=None):
    return {"H": H or size(rng, 64, 96), "V": V or size(rng, 150, 250), "seed": int(rng.integers(10**6))}


def _init_affine(H, V, rng):
    return rng.normal(0, (2 * H) ** -0.5, (2 * H, V)), np.zeros(V)


def _affine(W, b="np.zeros(V)"):
    return f"def init_affine(H, V, rng):\n    return {W}, {b}\n"


INIT = Exercise(
    number="8.5.6",
    title="First weights for the affine layer",
    name="init_affine",
    points=2,
    call=STATISTICS + "W, b = answer(H, V, np.random.default_rng(seed))\n"
    "again, _ = answer(H, V, np.random.default_rng(seed))\nshape = W.shape\n"
    "same_seed_same_weights = bool((W == again).all())\nmean_over_spread = mean_of(W)\n"
    "spread_times_root_2H = spread_of(W, (2 * H) ** -0.5)\nshare_within_one_spread = near_of(W)",
    outputs=(
        "shape",
        "b",
        "same_seed_same_weights",
        "mean_over_spread",
        "spread_times_root_2H",
        "share_within_one_spread",
    ),
    cases=(
        Case("H and V of ordinary size", lambda rng: _layer_sizes(rng)),
        Case("a large vocabulary", lambda rng: _layer_sizes(rng, H=40, V=600)),
        Case("the sizes of the date model", lambda rng: _layer_sizes(rng, H=256, V=59)),
    ),
    reference=_init_affine,
    mistakes=(
        Mistake(
            "The spread is that of a layer with H inputs. This one has more of them.",
            _affine("rng.standard_normal((2 * H, V)) / np.sqrt(H)"),
        ),
        Mistake(
            "The weights are not scaled down: their spread is 1, and the first logits will be far too large.",
            _affine("rng.standard_normal((2 * H, V))"),
        ),
        Mistake(
            "The spread is far too small: the number of inputs counts, but by its square root.",
            _affine("rng.standard_normal((2 * H, V)) / (2 * H)"),
        ),
        Mistake(
            "The spread follows the number of logits that come out. It depends on how many numbers go in.",
            _affine("rng.standard_normal((2 * H, V)) / np.sqrt(V)"),
        ),
        Mistake(
            "All weights are positive. rng.random draws from 0 to 1; normal numbers lie on both sides of 0.",
            _affine("rng.random((2 * H, V)) / np.sqrt(2 * H)"),
        ),
        Mistake(
            "rng is not used: the same seed gives other weights each time, so no run can be repeated.",
            _affine("np.random.default_rng().standard_normal((2 * H, V)) / np.sqrt(2 * H)"),
        ),
        Mistake(
            "The bias is drawn at random. It should start at 0.",
            _affine("rng.standard_normal((2 * H, V)) / np.sqrt(2 * H)", "rng.standard_normal(V)"),
        ),
    ),
    hints=(
        "rng.standard_normal(shape) draws numbers with mean 0 and spread 1. How many inputs does the layer have?",
        "Divide the normal numbers by the square root of the number of inputs, 2H. np.zeros makes the bias.",
    ),
    section='notebook 8.3, "Why scores grow with the hidden size"',
)

# --- 8.5.7: not divided ---------------------------------------------------------------------------


def _output(W, logits="joined @ self.W + self.b"):
    return f"""\
class OutputLayer:
    def __init__(self, H, V, rng):
        self.W = {W}
        self.b = np.zeros(V)

    def forward(self, joined):
        return {logits}
"""


class _Output:
    def __init__(self, H, V, rng):
        self.W, self.b = _init_affine(H, V, rng)

    def forward(self, joined):
        return np.einsum("ntk,kv->ntv", joined, self.W) + self.b


def _with_joined(rng, H, V):
    trained_b = normal(rng, trained_b=(V,))  # at first the bias is 0, and would not show
    return {**_layer_sizes(rng, H, V), "joined": rng.uniform(-1, 1, (2, 3, 2 * H)), **trained_b}


NOT_DIVIDED = Exercise(
    number="8.5.7",
    title="Bug hunt: worse than guessing",
    name="OutputLayer",
    points=2,
    call=STATISTICS + "layer = answer(H, V, np.random.default_rng(seed))\nW, b = layer.W, layer.b\nshape = W.shape\n"
    "layer.b = trained_b\nlogits = layer.forward(joined)\n"
    "logits_are_joined_W_plus_b = bool(np.allclose(logits, joined @ W + trained_b, atol=1e-4))\n"
    "mean_over_spread = mean_of(W)\nspread_times_root_2H = spread_of(W, (2 * H) ** -0.5)",
    outputs=("shape", "b", "logits_are_joined_W_plus_b", "mean_over_spread", "spread_times_root_2H"),
    cases=(
        Case("a small model", lambda rng: _with_joined(rng, 70, 100 + size(rng, 0, 20))),
        Case("a large vocabulary", lambda rng: _with_joined(rng, 40, 600)),
        Case("the sizes of the date model", lambda rng: _with_joined(rng, 256, 59)),
    ),
    reference=_Output,
    bug=Mistake(
        "The weights have a spread of 1. A logit is a sum of 2H products, so it grows with the width of the layer.",
        _output("rng.standard_normal((2 * H, V))"),
    ),
    mistakes=(
        Mistake(
            "The logits are scaled down instead of the weights. Then forward is no longer an affine layer, and "
            "backward would need the same factor.",
            _output("rng.standard_normal((2 * H, V))", "(joined @ self.W + self.b) / np.sqrt(self.W.shape[0])"),
        ),
        Mistake(
            "The weights are divided as if only H numbers went in. The layer reads context and hidden state.",
            _output("rng.standard_normal((2 * H, V)) / np.sqrt(H)"),
        ),
        Mistake(
            "The weights are far too small now: the number of inputs counts, but by its square root.",
            _output("rng.standard_normal((2 * H, V)) / (2 * H)"),
        ),
        Mistake(
            "A fixed factor cannot be right: how small the weights must be depends on the width of the layer.",
            _output("0.1 * rng.standard_normal((2 * H, V))"),
        ),
        Mistake(
            "The bias is not added. At first it is 0, but training changes it.",
            _output("rng.standard_normal((2 * H, V)) / np.sqrt(2 * H)", "joined @ self.W"),
        ),
        Mistake(
            "All weights are 0. The first loss is that of a guess, but no gradient passes through weights of 0, so the "
            "layers before this one do not learn at first.",
            _output("np.zeros((2 * H, V))"),
        ),
    ),
    hints=(
        "What is the loss of a guess among V characters? Which numbers make it so much larger here?",
        "A sum of 2H products of independent numbers has a spread that grows with the square root of 2H. Divide the "
        "first weights by that root.",
    ),
    section='notebook 8.3, "Why scores grow with the hidden size"',
)

# --- 8.5.8: all positive --------------------------------------------------------------------------


def _init_encoder(V, D, H, rng):
    Wx, Wh = rng.normal(0, D**-0.5, (D, 4 * H)), rng.normal(0, H**-0.5, (H, 4 * H))
    return rng.normal(0, 0.01, (V, D)), Wx, Wh, np.zeros(4 * H)


def _encoder(embed="standard_normal", lstm="standard_normal", recurrent=None, less=""):
    return f"""\
def init_encoder(V, D, H, rng):
    embed_W = 0.01 * (rng.{embed}((V, D)){less})
    Wx = (rng.{lstm}((D, 4 * H)){less}) / np.sqrt(D)
    Wh = (rng.{recurrent or lstm}((H, 4 * H)){less}) / np.sqrt(H)
    return embed_W, Wx, Wh, np.zeros(4 * H)
"""


def _encoder_sizes(rng, V, D, H):
    return {"V": V + size(rng, 0, 20), "D": D, "H": H, "seed": int(rng.integers(10**6))}


ALL_POSITIVE = Exercise(
    number="8.5.8",
    title="Bug hunt: all questions look the same",
    name="init_encoder",
    points=2,
    call=STATISTICS + "embed_W, Wx, Wh, b = answer(V, D, H, np.random.default_rng(seed))\n"
    "weights, spreads = [embed_W, Wx, Wh], [0.01, D**-0.5, H**-0.5]\nshapes = [w.shape for w in weights]\n"
    "means_over_spreads = [mean_of(w) for w in weights]\n"
    "spreads_as_wanted = [spread_of(w, s) for w, s in zip(weights, spreads)]\n"
    "shares_within_one_spread = [near_of(w) for w in weights]",
    outputs=("shapes", "b", "means_over_spreads", "spreads_as_wanted", "shares_within_one_spread"),
    cases=(
        Case("a small vocabulary", lambda rng: _encoder_sizes(rng, 200, 64, 64)),
        Case("D smaller than H", lambda rng: _encoder_sizes(rng, 400, 40, 80)),
        Case("D larger than H", lambda rng: _encoder_sizes(rng, 200, 90, 60)),
    ),
    reference=_init_encoder,
    bug=Mistake(
        "All weights are positive, so every product pushes in the same direction. Their mean should be 0.",
        """\
def init_encoder(V, D, H, rng):
    embed_W = 0.01 * rng.random((V, D))
    Wx = rng.random((D, 4 * H)) / np.sqrt(D)
    Wh = rng.random((H, 4 * H)) / np.sqrt(H)
    b = np.zeros(4 * H)
    return embed_W, Wx, Wh, b
""",
    ),
    mistakes=(
        Mistake(
            "The recurrent weights Wh are still all positive, and the state is multiplied by them at every step.",
            _encoder(recurrent="random"),
        ),
        Mistake(
            "Only the recurrent weights are fixed. The embeddings and Wx are still all positive.",
            _encoder(embed="random", lstm="random", recurrent="standard_normal"),
        ),
        Mistake(
            "The embeddings are still all positive.",
            _encoder(embed="random"),
        ),
        Mistake(
            "The numbers lie on both sides of 0 now, but evenly from -1/2 to 1/2. The task asks for normal numbers.",
            _encoder(embed="random", lstm="random", less=" - 0.5"),
        ),
    ),
    hints=(
        "Look at the signs of the weights. What happens to a state that is multiplied by them 29 times?",
        "rng.random draws from 0 to 1. rng.standard_normal draws numbers of both signs with mean 0 and spread 1. All "
        "three arrays need it.",
    ),
    section=f'{SECTION}, "The encoder"',
)

EXERCISES = (WIDTH, JOIN, LAST_STATE, DECODER, NOT_ADDED, INIT, NOT_DIVIDED, ALL_POSITIVE)
