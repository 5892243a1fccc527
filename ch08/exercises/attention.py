"""Exercises 8.4: Attention from its two parts, its two gradients of hs, all decoder steps at once, padding."""

from ch08.attention_layer import Attention, AttentionWeight, TimeAttention, WeightSum
from common.functions import softmax
from common.gradient_check import numerical_gradient
from common.grading.draws import batches, normal, size
from common.grading.exercise import Case, Exercise, Mistake
from common.layers import Softmax
from common.np import host as np

SECTION = "notebook 8.4"


def _one(rng, T, H):
    """One sequence, drawn again where dh happens to be so small that a float32 would not tell it from 0."""
    while True:
        drawn = normal(rng, hs=(T, H), h=(H,), dc=(H,))
        if np.abs(_numerical(**drawn)[1]).max() > 0.03:
            return drawn


def _steps(rng, N, T_enc, T_dec, H, scale=1.0):
    """What all decoder steps need: states, queries, and an incoming gradient."""
    drawn = normal(rng, hs_enc=(N, T_enc, H), hs_dec=(N, T_dec, H), dout=(N, T_dec, H))
    return {**drawn, "hs_dec": scale * drawn["hs_dec"]}


def _two_batches(rng, N, T_enc, T_dec, H):
    enc, dec = (N, T_enc, H), (N, T_dec, H)
    return normal(rng, hs_enc=enc, hs_dec=dec, hs_enc2=enc, hs_dec2=dec)


def _padded(rng, T_dec, H, lengths):
    N, T_enc = len(lengths), max(lengths) + 1
    batch = _steps(rng, N, T_enc, T_dec, H)
    return {**batch, "mask": np.arange(T_enc) < np.array(lengths)[:, None]}


# --- 8.4.1: Attention -----------------------------------------------------------------------------


def _attention(kept="a", returned="dhs_c + dhs_s, dh"):
    return f"""\
class Attention:
    def __init__(self):
        self.weight_layer = AttentionWeight()
        self.sum_layer = WeightSum()
        self.attention_weight = None

    def forward(self, hs, h):
        a = self.weight_layer.forward(hs, h)
        c = self.sum_layer.forward(hs, a)
        self.attention_weight = {kept}
        return c

    def backward(self, dc):
        dhs_c, da = self.sum_layer.backward(dc)
        dhs_s, dh = self.weight_layer.backward(da)
        return {returned}
"""


ATTENTION = Exercise(
    number="8.4.1",
    title="Attention from its two parts",
    name="Attention",
    points=3,
    call="layer = answer()\nc = layer.forward(hs, h)\na = layer.attention_weight\ndhs, dh = layer.backward(dc)",
    outputs=("c", "a", "dhs", "dh"),
    cases=batches(lambda rng, N, T, H: normal(rng, hs=(N, T, H), h=(N, H), dc=(N, H)), one_state=False),
    reference=Attention,
    given={"AttentionWeight": AttentionWeight, "WeightSum": WeightSum},
    mistakes=(
        Mistake(
            "dhs has only the part that comes through the context. hs feeds the scores as well.",
            _attention(returned="dhs_c, dh"),
        ),
        Mistake(
            "dhs has only the part that comes through the scores. hs is also what is weighted.",
            _attention(returned="dhs_s, dh"),
        ),
        Mistake(
            "backward returns its gradients in the wrong order: they come in the order of forward's arguments.",
            _attention(returned="dh, dhs_c + dhs_s"),
        ),
        Mistake(
            "The two gradients of hs are averaged. At a branch node every path counts in full.",
            _attention(returned="(dhs_c + dhs_s) / 2, dh"),
        ),
        Mistake(
            "attention_weight holds the context. It should hold the weights, one for every encoder step.",
            _attention(kept="c"),
        ),
        Mistake(
            "attention_weight is still None after forward. It should hold the weights of the last call.",
            _attention(kept="None"),
        ),
    ),
    hints=(
        "Forward calls the two layers in order. Backward calls them in reverse order. Where did hs branch?",
        "The sum layer's backward returns (a gradient of hs, da); da goes into the weight layer's backward, which "
        "returns (another gradient of hs, dh). Both gradients of hs have the shape of hs. Add them.",
    ),
    section=f'{SECTION}, "The rule of a branch"',
)

# --- 8.4.2: a backward that never ran -------------------------------------------------------------


def _lookup(first="self.mix.forward(dc)", second="self.weights.backward(da)", dhs="dhs_mix + dhs_match"):
    return f"""\
class Lookup:
    def __init__(self):
        self.match = AttentionWeight()
        self.mix = WeightSum()

    def forward(self, hs, h):
        self.weights = self.match.forward(hs, h)
        return self.mix.forward(hs, self.weights)

    def backward(self, dc):
        dhs_mix, da = {first}
        dhs_match, dh = {second}
        return {dhs}, dh
"""


NEVER_RAN = Exercise(
    number="8.4.2",
    title="Bug hunt: a backward that never ran",
    name="Lookup",
    points=2,
    call="layer = answer()\nc = layer.forward(hs, h)\ndhs, dh = layer.backward(dc)",
    outputs=("c", "dhs", "dh"),
    cases=ATTENTION.cases,
    reference=Attention,
    given=ATTENTION.given,
    bug=Mistake(
        "backward asks a layer to go forward. That is the TypeError: forward wants two arguments and got one.",
        _lookup(),
    ),
    mistakes=(
        Mistake(
            "One bug is fixed, and the next one shows: weights is an array, and an array has no backward.",
            _lookup(first="self.mix.backward(dc)"),
        ),
        Mistake(
            "Both calls are right now, but the gradient of hs through the scores is lost.",
            _lookup("self.mix.backward(dc)", "self.match.backward(da)", "dhs_mix"),
        ),
        Mistake(
            "Both calls are right now, but the gradient of hs through the context is lost.",
            _lookup("self.mix.backward(dc)", "self.match.backward(da)", "dhs_match"),
        ),
    ),
    hints=(
        "Read the error's text, then the line it names. Which method of that object should a backward pass call?",
        "There are two wrong lines, and the second error shows only after the first is fixed. A layer has a backward, "
        "an array does not. Which attribute is the layer that made the weights?",
    ),
    section=f'{SECTION}, "The class Attention"',
)

# --- 8.4.3: one of the two gradients forgotten ----------------------------------------------------


def _numerical(hs, h, dc):
    """Both gradients by moving every number a little."""

    def context():
        return softmax(hs @ h) @ hs

    return numerical_gradient(context, hs, dc), numerical_gradient(context, h, dc)


def _attention_backward(dhs):
    return f"""\
def attention_backward(hs, h, dc):
    a = softmax(hs @ h)  # (T,)
    da = hs @ dc  # (T,)
    ds = a * (da - (a * da).sum())  # (T,), the softmax's rule
    dhs = {dhs}  # (T, H)
    dh = ds @ hs  # (H,)
    return dhs, dh
"""


FORGOTTEN = Exercise(
    number="8.4.3",
    title="Bug hunt: right signs, wrong numbers",
    name="attention_backward",
    points=2,
    call="dhs, dh = answer(hs, h, dc)",
    outputs=("dhs", "dh"),
    cases=(
        Case("two states", lambda rng: _one(rng, 2, 3)),
        Case("T = H", lambda rng: _one(rng, 3, 3)),
        Case("more states than numbers in a state", lambda rng: _one(rng, size(rng, 5, 8), 4)),
    ),
    reference=_numerical,
    given={"softmax": softmax},
    bug=Mistake(
        "One of the two gradients of hs is forgotten. The states also decide how large the weights are.",
        _attention_backward("np.outer(a, dc)"),
    ),
    mistakes=(
        Mistake(
            "The second gradient of hs is computed from da. That is the gradient of the weights; it still has to go "
            "through the softmax, to the scores.",
            _attention_backward("np.outer(a, dc) + np.outer(da, h)"),
        ),
        Mistake(
            "Now only the gradient through the scores is left. The gradient through the context was right, too.",
            _attention_backward("np.outer(ds, h)"),
        ),
        Mistake(
            "The second gradient of hs is computed from dc. In a score, a state is multiplied by something else.",
            _attention_backward("np.outer(a, dc) + np.outer(ds, dc)"),
        ),
    ),
    hints=(
        "dh is right, so everything up to ds is right. dhs is wrong everywhere: that is the mark of a forgotten "
        "branch.",
        "A score is s_t = hs_t . h. So a state gets ds_t times h through its score, for every t: an outer product, "
        "to be added to the one that is already there.",
    ),
    section=f'{SECTION}, "The rule of a branch"',
)

# --- 8.4.4: the list that is never emptied --------------------------------------------------------


def _loop(made="", start="", before="", after=""):
    """LoopTimeAttention with lines in four places: __init__, forward's start, its loop, its end."""
    lines = [
        "class LoopTimeAttention:",
        "    def __init__(self):",
        f"        {made or 'self.attention_weights = None'}",
        "",
        "    def forward(self, hs_enc, hs_dec):",
        "        out = np.empty_like(hs_dec)  # (N, T_dec, H)",
        f"        {start}" if start else None,
        "        for k in range(hs_dec.shape[1]):",
        f"            {before}" if before else None,
        "            a = AttentionWeight().forward(hs_enc, hs_dec[:, k])  # (N, T_enc)",
        "            self.attention_weights.append(a)",
        "            out[:, k] = WeightSum().forward(hs_enc, a)",
        f"        {after}" if after else None,
        "        return out",
    ]
    return "\n".join(line for line in lines if line is not None) + "\n"


NEW_LIST = "self.attention_weights = []"
NEVER_EMPTIED = Exercise(
    number="8.4.4",
    title="Bug hunt: yesterday's heatmap",
    name="LoopTimeAttention",
    points=2,
    call="layer = answer()\nlayer.forward(hs_enc2, hs_dec2)\nout = layer.forward(hs_enc, hs_dec)\n"
    "weights = layer.attention_weights",
    outputs=("out", "weights"),
    cases=(
        Case(
            "one call",
            lambda rng: _two_batches(rng, 1, 3, 2, 2),
            call="layer = answer()\nout = layer.forward(hs_enc, hs_dec)\nweights = layer.attention_weights",
        ),
        Case("a second call", lambda rng: _two_batches(rng, 1, 3, 2, 4)),
        Case(
            "the weights of the first call, kept by the caller, after a second call",
            lambda rng: _two_batches(rng, 2, size(rng, 4, 7), 3, 2),
            call="layer = answer()\nlayer.forward(hs_enc, hs_dec)\nkept = layer.attention_weights\n"
            "out = layer.forward(hs_enc2, hs_dec2)\nweights = layer.attention_weights",
            outputs=("out", "weights", "kept"),
        ),
    ),
    reference=TimeAttention,
    given=ATTENTION.given,
    bug=Mistake(
        "The list of attention weights is never emptied: after a second call it still begins with the weights of the "
        "first.",
        _loop(made=NEW_LIST),
    ),
    mistakes=(
        Mistake(
            "The list is emptied at every step, so that only the weights of the last step are left.",
            _loop(made=NEW_LIST, before=NEW_LIST),
        ),
        Mistake(
            "The list is emptied after the last step, before anyone could look at it.",
            _loop(made=NEW_LIST, after=NEW_LIST),
        ),
        Mistake(
            "The old list is emptied and used again. A caller who kept it from an earlier call finds other weights in "
            "it.",
            _loop(made=NEW_LIST, start="self.attention_weights.clear()"),
        ),
    ),
    hints=(
        "How long is the list after one call, after two, after three? How often is the list made?",
        "Every call of forward needs a list of its own. In which line of which method should it be made?",
    ),
    section=f'{SECTION}, "All steps of the decoder"',
)

# --- 8.4.5: all steps at once ---------------------------------------------------------------------


class _AllSteps(Attention):
    """The library's Attention takes one query per sequence or a sequence of them."""

    @property
    def weights(self):
        return self.attention_weight


def _time_attention(
    s="hs_dec @ hs_enc.swapaxes(1, 2)",
    a="self.softmax.forward(s)",
    kept="self.a",
    out="self.a @ hs_enc",
    ds="self.softmax.backward(dout @ hs_enc.swapaxes(1, 2))",
    dhs_enc="self.a.swapaxes(1, 2) @ dout + ds.swapaxes(1, 2) @ hs_dec",
    dhs_dec="ds @ hs_enc",
):
    return f"""\
class TimeAttention:
    def __init__(self):
        self.softmax = Softmax()

    def forward(self, hs_enc, hs_dec):
        self.cache = hs_enc, hs_dec
        s = {s}
        self.a = {a}
        self.weights = {kept}
        return {out}

    def backward(self, dout):
        hs_enc, hs_dec = self.cache
        ds = {ds}
        return {dhs_enc}, {dhs_dec}
"""


_LAYER_CALL = """\
layer = answer()
out = layer.forward(hs_enc, hs_dec)
weights = layer.weights
dhs_enc, dhs_dec = layer.backward(dout)
"""

ALL_STEPS = Exercise(
    number="8.4.5",
    title="All decoder steps without a loop",
    name="TimeAttention",
    points=3,
    call=_LAYER_CALL,
    outputs=("out", "weights", "dhs_enc", "dhs_dec"),
    cases=(
        Case("one sequence, two steps", lambda rng: _steps(rng, 1, 3, 2, 2)),
        Case("N = T_enc = T_dec = H", lambda rng: _steps(rng, 3, 3, 3, 3)),
        Case("all sizes differ", lambda rng: _steps(rng, 2, size(rng, 4, 7), 3, 7)),
        Case("scores of a thousand", lambda rng: _steps(rng, 2, 4, 3, 5, scale=1000.0)),
        Case(
            "long sequences, whose pairs of steps need too much memory",
            lambda rng: _steps(rng, 2, 30, 24, 64, scale=0.1),
            call="import tracemalloc\ntracemalloc.start()\ntry:\n"
            "    tracemalloc.reset_peak()\n    before = tracemalloc.get_traced_memory()[0]\n"
            "    layer = answer()\n    out = layer.forward(hs_enc, hs_dec)\n"
            "    dhs_enc, dhs_dec = layer.backward(dout)\n    most = tracemalloc.get_traced_memory()[1] - before\n"
            "finally:\n    tracemalloc.stop()\nweights = layer.weights\n"
            "smaller_than_all_pairs = most < 8 * 2 * 30 * 24 * 64 / 2",
            outputs=("out", "weights", "dhs_enc", "dhs_dec", "smaller_than_all_pairs"),
        ),
    ),
    large=(
        Case(
            "100,000 sequences",
            lambda rng: _steps(rng, 2, 2, 2, 2),
            f"{_LAYER_CALL}out, dhs_enc, dhs_dec = out[::1000], dhs_enc[::1000], dhs_dec[::1000]",
            ("out", "dhs_enc", "dhs_dec"),
            repeat=dict.fromkeys(("hs_enc", "hs_dec", "dout"), (50_000, 0)),
        ),
        Case(
            "100,000 decoder steps",
            lambda rng: _steps(rng, 1, 2, 2, 2),
            f"{_LAYER_CALL}out, dhs_dec = out[:, ::1000], dhs_dec[:, ::1000]",
            ("out", "dhs_enc", "dhs_dec"),
            repeat=dict.fromkeys(("hs_dec", "dout"), (50_000, 1)),
        ),
    ),
    reference=_AllSteps,
    given={"Softmax": Softmax},
    mistakes=(
        Mistake(
            "The softmax runs over the decoder steps. Every step divides its attention among the encoder steps.",
            _time_attention(a="Softmax().forward(s.swapaxes(1, 2)).swapaxes(1, 2)", ds="dout @ hs_enc.swapaxes(1, 2)"),
        ),
        Mistake(
            "reshape does not swap two axes: it cuts the same numbers into other rows, and so mixes the states with "
            "one another. swapaxes(1, 2) swaps them.",
            _time_attention(
                s="hs_dec @ hs_enc.reshape(len(hs_enc), hs_enc.shape[2], -1)",
                ds="self.softmax.backward(dout @ hs_enc.reshape(len(hs_enc), hs_enc.shape[2], -1))",
                dhs_enc="self.a.reshape(len(dout), -1, dout.shape[1]) @ dout"
                " + ds.reshape(len(dout), -1, dout.shape[1]) @ hs_dec",
            ),
        ),
        Mistake(
            "weights has its axes swapped: the decoder steps come first, then the encoder steps.",
            _time_attention(kept="self.a.swapaxes(1, 2)"),
        ),
        Mistake(
            "dhs_enc lacks the part that comes through the scores.",
            _time_attention(dhs_enc="self.a.swapaxes(1, 2) @ dout"),
        ),
        Mistake(
            "dhs_enc lacks the part that comes through the context.",
            _time_attention(dhs_enc="ds.swapaxes(1, 2) @ hs_dec"),
        ),
        Mistake(
            "The gradient of the weights is used as that of the scores: the softmax is between the two.",
            _time_attention(ds="dout @ hs_enc.swapaxes(1, 2)"),
        ),
        Mistake(
            "The backward pass of the scores uses the weights where it needs the gradient of the scores.",
            _time_attention(dhs_dec="self.a @ hs_enc"),
        ),
        Mistake(
            "The values are right, but somewhere an array (N, T_dec, T_enc, H) is made, one vector for every pair of "
            "steps.",
            _time_attention(out="(self.a[..., None] * hs_enc[:, None]).sum(axis=2)"),
        ),
    ),
    hints=(
        "Put the step k into the formulas: s_kt is the sum over j of hs_dec_kj hs_enc_tj. That is a matrix product, "
        "with one factor transposed.",
        "s = hs_dec @ hs_enc.swapaxes(1, 2), and out is the weights times hs_enc. For Z = XY the backward pass is "
        "dX = dZ Y^T and dY = X^T dZ. Use it for both products; hs_enc is in both.",
    ),
    section=f'{SECTION}, "Two matrix products instead of a loop"',
)

# --- 8.4.6: padding -------------------------------------------------------------------------------


def _masked(mask, a="softmax(s)"):
    return f"""\
def masked_attention(hs_enc, hs_dec, mask=None):
    s = hs_dec @ hs_enc.swapaxes(1, 2)
    if mask is not None:
        s = {mask}
    a = {a}
    return a @ hs_enc, a
"""


def _masked_attention(hs_enc, hs_dec, mask=None):
    layer = TimeAttention()
    c = layer.forward(hs_enc, hs_dec, mask)
    return c, layer.weights


MASK = Exercise(
    number="8.4.6",
    title="Keep the padding out, at every step",
    name="masked_attention",
    points=2,
    call="c, a = answer(hs_enc, hs_dec, mask)",
    outputs=("c", "a"),
    cases=(
        Case("no mask", lambda rng: _padded(rng, 2, 2, [3]), call="c, a = answer(hs_enc, hs_dec)"),
        Case("one sequence with padding", lambda rng: _padded(rng, 2, 2, [2])),
        Case("two sequences, two decoder steps", lambda rng: _padded(rng, 2, 3, [3, 1])),
        Case("as many decoder steps as encoder steps", lambda rng: _padded(rng, 5, 3, [4, 2, 1])),
        Case("all sizes differ", lambda rng: _padded(rng, 4, 7, [size(rng, 1, 4), 5, 2])),
    ),
    reference=_masked_attention,
    given={"softmax": softmax},
    mistakes=(
        Mistake(
            "The mask is not used: padding gets a weight like any state.",
            _masked("s"),
        ),
        Mistake(
            "The weights are masked after the softmax. They no longer sum to 1, and the context shrinks.",
            _masked("s", a="softmax(s) if mask is None else softmax(s) * mask[:, None]"),
        ),
        Mistake(
            "The scores of padding become 0. A score of 0 is a score like any other: its weight is not 0.",
            _masked("s * mask[:, None]"),
        ),
        Mistake(
            "The mask is inverted: padding is looked at, and the real states are not. True means real.",
            _masked("np.where(mask[:, None], -np.inf, s)"),
        ),
        Mistake(
            "The mask is applied along the wrong axis: its T_enc columns lie along the decoder steps.",
            _masked("np.where(mask[:, :, None], s, -np.inf)"),
        ),
        Mistake(
            "The mask (N, T_enc) has no axis for the decoder steps, unlike the scores (N, T_dec, T_enc). So it is "
            "read as one mask per decoder step, not one per sequence.",
            _masked("np.where(mask, s, -np.inf)"),
        ),
    ),
    hints=(
        "Which number must the score of padding be, so that its weight after the softmax is exactly 0?",
        "The scores are (N, T_dec, T_enc). Give the mask an axis of size 1 for the decoder steps, mask[:, None], and "
        "put -np.inf where it is False, before the softmax. With mask=None nothing is changed.",
    ),
    section=f'{SECTION}, "Masks: padding must not be chosen"',
)

EXERCISES = (ATTENTION, NEVER_RAN, FORGOTTEN, NEVER_EMPTIED, ALL_STEPS, MASK)
