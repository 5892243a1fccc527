"""A step layer over all steps: equal to the fused layers, gradients of everything, caches that do not mix."""

import copy
import pickle

import numpy as np
import pytest

from ch08.attention_layer import Attention
from common.base_model import Composite
from common.gradient_check import gradient_check
from common.layers import Affine, Dropout, Tanh
from common.steps import GRU, LSTM, RNN
from common.time_layers import TimeGRU, TimeLSTM, TimeRNN
from common.unroll import Unroll
from common.workspace import Workspace


class Cell(Composite):
    """A single recurrent step whose hidden state is also what it puts out: (x, h) -> (h, h)."""

    def __init__(self, cell):
        self.cell = cell

    def forward(self, x, *state):
        state = self.cell.forward(x, *state)
        state = state if isinstance(state, tuple) else (state,)
        return state[0], *state

    def backward(self, dout, dh, *dc):
        return self.cell.backward(dout + dh, *dc)


class OneStepAtATime(Composite):
    """A layer with a Workspace as a step: a fused layer over a sequence of one."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x, *state):
        self.layer.set_state(*state)
        h = self.layer.forward(x[:, None])[:, 0]
        return h, *((self.layer.h, self.layer.c) if len(state) == 2 else (self.layer.h,))

    def backward(self, dout, dh, *dc):
        dx = self.layer.backward(dout[:, None], dh, *dc)[:, 0]
        return (dx, self.layer.dh, self.layer.dc) if dc else (dx, self.layer.dh)


class InputFeeding(Composite):
    """The context goes into the next step's input: LSTM, attention, a layer that joins the two. (Luong et al. 2015.)

    (x, h, c, context; hs, mask) -> (context, weights, h, c, context)
    """

    def __init__(self, lstm, affine):
        self.lstm = lstm
        self.attention = Attention()
        self.layers = [affine, Tanh()]
        self.cache = None

    def forward(self, x, h, c, context, hs, mask=None):
        h, c = self.lstm.forward(np.concatenate((x, context), axis=1), h, c)
        both = np.concatenate((self.attention.forward(hs, h, mask), h), axis=1)
        for layer in self.layers:
            both = layer.forward(both)
        self.cache = x.shape[1]
        return both, self.attention.attention_weight.copy(), h, c, both

    def backward(self, dout, dweights, dh, dc, dcontext):
        dboth = dout + dcontext
        for layer in reversed(self.layers):
            dboth = layer.backward(dboth)
        H = dh.shape[1]
        dhs, dquery = self.attention.backward(dboth[:, :H], dweights)
        dx, dh, dc = self.lstm.backward(dboth[:, H:] + dquery + dh, dc)
        return dx[:, : self.cache], dh, dc, dx[:, self.cache :], dhs


def recurrent_params(rng, gates, D, H, biases=1, dtype=np.float64):
    shapes = [(D, gates * H), (H, gates * H)] + [(gates * H,)] * biases
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def input_feeding(rng, D, H, dtype=np.float64):
    lstm = LSTM(*recurrent_params(rng, 4, D + H, H, dtype=dtype))
    return InputFeeding(lstm, Affine(*(rng.standard_normal(s).astype(dtype) for s in ((2 * H, H), H))))


def feeding_inputs(rng, N, T, T_enc, D, H, masked=True):
    mask = np.arange(T_enc)[None] < 1 + np.arange(N)[:, None] % T_enc
    states = [rng.standard_normal((N, H)) for _ in range(3)]
    inputs = [rng.standard_normal((N, T, D)), *states, rng.standard_normal((N, T_enc, H))]
    return inputs + ([mask] if masked else [])


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


KINDS = {"RNN": (RNN, TimeRNN, 1, 1, 1), "LSTM": (LSTM, TimeLSTM, 4, 1, 2)}
KINDS |= {"GRU": (GRU, TimeGRU, 3, 1, 1), "GRU, two biases": (GRU, TimeGRU, 3, 2, 1)}
SIZES = [(3, 5, 4, 6), (1, 4, 3, 2), (3, 1, 2, 4), (2, 5, 1, 3), (2, 3, 3, 1), (1, 1, 1, 1)]


# --- equal to what is fused --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("N", "T", "D", "H"), SIZES)
def test_an_unrolled_step_equals_the_layer_over_time(rng, kind, N, T, D, H):
    cell_class, layer_class, gates, biases, states = KINDS[kind]
    params = recurrent_params(rng, gates, D, H, biases)
    unroll = Unroll(Cell(cell_class(*params)), states)
    Wx, Wh, b, *bh = params
    fused = layer_class(Wx, Wh, b, stateful=True, **({"bh": bh[0]} if bh else {}))
    state = [rng.standard_normal((N, H)) for _ in range(states)]
    for n, t in ((N + 1, T + 1), (N, T)):  # the second call is another batch
        xs, dhs = rng.standard_normal((n, t, D)), rng.standard_normal((n, t, H))
        state = [rng.standard_normal((n, H)) for _ in range(states)]
        fused.set_state(*state)
        hs, *last = unroll.forward(xs, *state)
        close(hs, fused.forward(xs))
        for got, expected in zip(last, (fused.h, fused.c) if states == 2 else (fused.h,), strict=True):
            close(got, expected)
        dxs, *dstate = unroll.backward(dhs)
        close(dxs, fused.backward(dhs))
        for got, expected in zip(dstate, (fused.dh, fused.dc) if states == 2 else (fused.dh,), strict=True):
            close(got, expected)
        for got, expected in zip(unroll.grads, fused.grads, strict=True):
            close(got, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_with_a_workspace_do_not_write_into_each_others_buffers(rng, kind):
    _, layer_class, gates, biases, states = KINDS[kind]
    Wx, Wh, b, *bh = recurrent_params(rng, gates, 3, 4, biases)
    bh = {"bh": bh[0]} if bh else {}
    fused = layer_class(Wx, Wh, b, **bh)
    unroll = Unroll(OneStepAtATime(layer_class(Wx, Wh, b, stateful=True, **bh)), states)
    xs, dhs = rng.standard_normal((2, 6, 3)), rng.standard_normal((2, 6, 4))
    hs, *last = unroll.forward(xs, *np.zeros((states, 2, 4)))
    close(hs, fused.forward(xs))
    close(last[0], hs[:, -1])
    for _ in range(2):
        close(unroll.backward(dhs)[0], fused.backward(dhs))
        for got, expected in zip(unroll.grads, fused.grads, strict=True):
            close(got, expected)


# --- gradients ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("N", "T", "T_enc", "D", "H"), [(2, 3, 4, 3, 2), (1, 2, 3, 1, 2), (3, 1, 2, 2, 3), (2, 4, 1, 2, 1)]
)
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_of_a_step_that_is_fed_its_own_context(rng, N, T, T_enc, D, H, masked):
    """Parameters, xs, three first states and hs, from the outputs, the weights and the last states."""
    unroll = Unroll(input_feeding(rng, D, H), states=3)
    gradient_check(unroll, *feeding_inputs(rng, N, T, T_enc, D, H, masked))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_a_single_step_layer(rng, kind):
    cell_class, _, gates, biases, states = KINDS[kind]
    unroll = Unroll(Cell(cell_class(*recurrent_params(rng, gates, 2, 3, biases))), states)
    gradient_check(unroll, rng.standard_normal((2, 4, 2)), *(rng.standard_normal((2, 3)) for _ in range(states)))


def test_a_step_without_state_sums_its_gradients_over_the_steps(rng):
    W, b, xs = rng.standard_normal((3, 4)), rng.standard_normal(4), rng.standard_normal((2, 5, 3))
    dout = rng.standard_normal((2, 5, 4))
    unroll, whole = Unroll(Affine(W, b), states=0), Affine(W, b)
    close(unroll.forward(xs), whole.forward(xs))
    close(unroll.backward(dout), whole.backward(dout))
    for got, expected in zip(unroll.grads, whole.grads, strict=True):
        close(got, expected)


class Lookup(Composite):
    """Ids have no gradient: (ids, h) -> h + W[ids], no output."""

    def __init__(self, W):
        self.params, self.grads = [W], [np.zeros_like(W)]
        self.cache = None

    def forward(self, ids, h):
        self.cache = ids
        return h + self.params[0][ids]

    def backward(self, dh):
        self.grads[0][...] = 0
        np.add.at(self.grads[0], self.cache, dh)
        return dh.copy()


def test_ids_have_no_gradient_and_a_step_may_put_out_nothing(rng):
    unroll = Unroll(Lookup(rng.standard_normal((5, 3))))
    gradient_check(unroll, np.array([[0, 1, 1], [4, 4, 4]]), rng.standard_normal((2, 3)))
    h = unroll.forward(np.array([[0, 1, 1]]), np.zeros((1, 3)))
    close(h, unroll.params[0][[0, 1, 1]].sum(axis=0)[None])


def test_outputs_that_nobody_reads_and_last_states_left_out(rng):
    unroll = Unroll(input_feeding(rng, 2, 3), states=3)
    outs = unroll.forward(*feeding_inputs(rng, 2, 3, 4, 2, 3))
    out, weights, *last = outs
    dout = rng.standard_normal(out.shape)
    zeros = [np.zeros_like(o) for o in outs[1:]]
    expected = unroll.backward(dout, *zeros)
    grads = [g.copy() for g in unroll.grads]
    for d in ((None,), (None, None, None, None), (zeros[0], None, zeros[2], None)):
        for got, e in zip(unroll.backward(dout, *d), expected, strict=True):
            close(got, e)
        for got, e in zip(unroll.grads, grads, strict=True):
            close(got, e)


# --- caches ------------------------------------------------------------------------------------------------


def test_backward_twice_and_forward_twice_give_the_same_to_the_last_bit(rng):
    inputs = feeding_inputs(rng, 2, 5, 4, 2, 3)
    unroll = Unroll(input_feeding(rng, 2, 3), states=3)
    outs = unroll.forward(*inputs)
    dout = [rng.standard_normal(o.shape) for o in outs]
    first = [*outs, *unroll.backward(*dout), *(g.copy() for g in unroll.grads)]
    again = unroll.backward(*dout)
    for got, expected in zip((*outs, *again, *unroll.grads), first, strict=True):
        np.testing.assert_array_equal(got, expected)
    outs = unroll.forward(*inputs)
    for got, expected in zip((*outs, *unroll.backward(*dout), *unroll.grads), first, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_nothing_handed_in_is_changed_and_nothing_returned_changes_later(rng):
    inputs = feeding_inputs(rng, 2, 3, 4, 2, 3)
    unroll = Unroll(input_feeding(rng, 2, 3), states=3)
    for x in inputs:
        x.flags.writeable = False
    outs = unroll.forward(*inputs)
    dout = [rng.standard_normal(o.shape) for o in outs]
    for d in dout:
        d.flags.writeable = False
    returned = outs + unroll.backward(*dout)
    kept = [r.copy() for r in returned]
    unroll.forward(*(x * 1.5 if x.dtype == float else x for x in inputs))
    unroll.backward(*dout)
    for got, expected in zip(returned, kept, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_the_step_can_be_used_between_forward_and_backward(rng):
    inputs = feeding_inputs(rng, 2, 3, 4, 2, 3)
    unroll = Unroll(input_feeding(rng, 2, 3), states=3)
    out = unroll.forward(*inputs)[0]
    expected = unroll.backward(np.ones_like(out), None)
    out = unroll.forward(*inputs)[0]
    x, *state, hs, mask = inputs
    decoded = unroll.step.forward(x[:1, 0], *(s[:1] for s in state), hs[:1], mask[:1])
    close(decoded[0], out[:1, 0])
    for got, e in zip(unroll.backward(np.ones_like(out), None), expected, strict=True):
        np.testing.assert_array_equal(got, e)


def test_a_layer_used_in_two_places_of_a_step_is_one_layer_in_every_copy(rng):
    class Twice(Composite):
        def __init__(self, affine):
            self.affine, self.parts = affine, (affine, {"inner": [Tanh()]})

        def forward(self, x):
            assert self.parts[0] is self.affine
            return self.parts[1]["inner"][0].forward(self.affine.forward(x))

        def backward(self, dout):
            return self.parts[0].backward(self.parts[1]["inner"][0].backward(dout))

    gradient_check(Unroll(Twice(Affine(rng.standard_normal((3, 3)), np.zeros(3))), 0), rng.standard_normal((2, 3, 3)))


def test_gradients_of_tied_weights_are_summed_in_both_places(rng):
    """A walk over the parameters meets a tied array once, but each of the two layers has its own gradient."""

    class Tied(Composite):
        def __init__(self, W):
            self.one, self.two = Affine(W, np.zeros(3)), Affine(W, np.zeros(3))

        def forward(self, x):
            return self.two.forward(self.one.forward(x))

        def backward(self, dout):
            return self.one.backward(self.two.backward(dout))

    W, xs, dout = rng.standard_normal((3, 3)), *rng.standard_normal((2, 2, 4, 3))
    unroll, whole = Unroll(Tied(W), states=0), Tied(W)
    close(unroll.forward(xs), whole.forward(xs))
    close(unroll.backward(dout), whole.backward(dout))
    for part in ("one", "two"):
        for got, expected in zip(getattr(unroll.step, part).grads, getattr(whole, part).grads, strict=True):
            close(got, expected)


def test_every_step_draws_a_mask_of_its_own():
    unroll = Unroll(Dropout(0.5, rng=3), states=0)
    y = unroll.forward(np.ones((4, 20, 10)))
    assert (y[:, 0] != y[:, 1]).any()
    expected = np.random.default_rng(3)
    for t in range(20):
        np.testing.assert_array_equal(y[:, t] > 0, expected.uniform(size=(4, 10)) < 0.5)
    np.testing.assert_array_equal(unroll.backward(np.ones_like(y)), y)
    unroll.eval()
    np.testing.assert_array_equal(unroll.forward(np.ones((1, 3, 2))), np.ones((1, 3, 2)))


def test_a_cache_that_is_filled_in_place_belongs_to_its_step(rng):
    class Square(Composite):
        def __init__(self):
            self.params, self.grads = [], []
            self.cache = {}

        def forward(self, x):
            self.cache["x"] = x
            return x * x

        def backward(self, dout):
            return 2 * self.cache["x"] * dout

    gradient_check(Unroll(Square(), 0), rng.standard_normal((2, 3, 2)))


def test_copies_share_parameters_and_nothing_else(rng):
    lstm = OneStepAtATime(TimeLSTM(*recurrent_params(rng, 4, 2, 3), stateful=True))
    unroll = Unroll(lstm, states=2)
    unroll.forward(rng.standard_normal((2, 3, 2)), np.zeros((2, 3)), np.zeros((2, 3)))
    steps = [step for step, _ in unroll.cache[0]]
    assert len({id(step) for step in steps} | {id(unroll.step)}) == 4
    for step in steps:
        assert all(a is b for a, b in zip(step.params, unroll.params, strict=True))
        assert all(a is b for a, b in zip(step.grads, unroll.grads, strict=True))
        assert isinstance(step.layer._workspace, Workspace)
    assert len({id(step.layer._workspace) for step in steps}) == 3
    assert unroll.step.layer.cache is None
    assert unroll.step.layer.h is None


def test_parameters_have_the_names_of_the_step_and_are_found_once(rng):
    unroll = Unroll(input_feeding(rng, 2, 3), states=3)
    names = ["step.lstm.Wx", "step.lstm.Wh", "step.lstm.b", "step.layers.0.W", "step.layers.0.b"]
    assert unroll.param_names == names
    unroll.forward(*feeding_inputs(rng, 2, 3, 4, 2, 3))
    assert unroll.param_names == names
    assert len(unroll.params) == len(unroll.grads) == 5


def test_copies_and_pickles(rng):
    unroll = Unroll(input_feeding(rng, 2, 3), states=3)
    inputs = feeding_inputs(rng, 2, 3, 4, 2, 3)
    out = unroll.forward(*inputs)[0]
    expected = unroll.backward(np.ones_like(out), None)
    for other in (copy.deepcopy(unroll), pickle.loads(pickle.dumps(unroll))):
        for got, e in zip(other.backward(np.ones_like(out), None), expected, strict=True):
            np.testing.assert_array_equal(got, e)
        assert not any(np.shares_memory(a, b) for a, b in zip(other.grads, unroll.grads, strict=True))
        for got, e in zip(other.grads, unroll.grads, strict=True):
            np.testing.assert_array_equal(got, e)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_follows_the_parameters(rng, dtype):
    unroll = Unroll(Cell(LSTM(*recurrent_params(rng, 4, 2, 3, dtype=dtype))), states=2)
    for data in (np.float16, np.float32, np.float64):
        inputs = [rng.standard_normal(shape).astype(data) for shape in ((2, 4, 2), (2, 3), (2, 3))]
        outs = unroll.forward(*inputs)
        returned = unroll.backward(*(np.ones(o.shape, data) for o in outs))
        assert {a.dtype for a in (*outs, *returned, *unroll.grads)} == {np.dtype(dtype)}


class OneOfTwo(Lookup):
    """A step that forgets the second part of its state."""

    def forward(self, ids, h, c):
        return super().forward(ids, h + c)


# --- errors ------------------------------------------------------------------------------------------------


def lstm_unrolled(rng):
    return Unroll(Cell(LSTM(*recurrent_params(rng, 4, 2, 3))), states=2)


def test_backward_before_forward(rng):
    with pytest.raises(RuntimeError, match=r"Unroll\.backward: call forward first"):
        lstm_unrolled(rng).backward(np.ones((2, 3, 3)))


@pytest.mark.parametrize("shape", [(2,), (0, 3, 2), (2, 0, 2)])
def test_a_sequence_of_no_steps_or_rows(rng, shape):
    with pytest.raises(ValueError, match=rf"Unroll of Cell: xs is \({str(shape)[1:-1]}\), .* at least 1"):
        lstm_unrolled(rng).forward(np.ones(shape), np.zeros((2, 3)), np.zeros((2, 3)))


@pytest.mark.parametrize("state", [(), (np.zeros((2, 3)),), (np.zeros((2, 3)), None), (np.zeros((2, 3), int),) * 2])
def test_a_first_state_that_is_missing(rng, state):
    with pytest.raises(ValueError, match="the first state must be 2 floating arrays"):
        lstm_unrolled(rng).forward(np.ones((2, 4, 2)), *state)


def test_a_step_that_returns_too_little():
    with pytest.raises(ValueError, match="Unroll of OneOfTwo: forward returned 1 arrays, fewer than the state has"):
        Unroll(OneOfTwo(np.ones((2, 2))), states=2).forward(np.ones((1, 2), int), *np.ones((2, 1, 2)))


def test_gradients_that_do_not_fit(rng):
    unroll = lstm_unrolled(rng)
    unroll.forward(np.ones((2, 4, 2)), np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"Unroll: dout is \(2, 1, 3\), but forward returned \(2, 4, 3\)"):
        unroll.backward(np.ones((2, 1, 3)))
    with pytest.raises(ValueError, match=r"Unroll: dout is \(1, 3\), but forward returned \(2, 3\)"):
        unroll.backward(np.ones((2, 4, 3)), np.ones((2, 3)), np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"gradients of 1 outputs and 2 states, .*got 2"):
        unroll.backward(np.ones((2, 4, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"gradients of 1 outputs and 2 states, .*got 0"):
        unroll.backward()


@pytest.mark.parametrize(
    ("bend", "message"),
    [
        (lambda d: d[:2], "2 gradients, expected 3"),
        (lambda d: (d[0][:1], *d[1:]), r"a gradient \(1, 2\) for argument 0, \(2, 4, 2\)"),
        (lambda d: (d[0], d[1][0], d[2]), r"a gradient \(3,\) for argument 1, \(2, 3\)"),
    ],
)
def test_a_step_that_returns_wrong_gradients(rng, bend, message):
    class Bent(Cell):
        def backward(self, *dout):
            return bend(super().backward(*dout))

    unroll = Unroll(Bent(LSTM(*recurrent_params(rng, 4, 2, 3))), states=2)
    unroll.forward(np.ones((2, 4, 2)), np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=f"Unroll of Bent: backward returned {message}"):
        unroll.backward(np.ones((2, 4, 3)))
