"""The Neural Turing Machine and the LSTM beside it: numerical gradients, state, steps, memory, errors."""

import tracemalloc

import numpy as np
import pytest

from ch08.ntm import FIRST_NUMBER, NTM, PlainLSTM
from common.gradient_check import gradient_check
from common.optimizer import Adam
from common.parallel import replica

D, B, H = 3, 2, 4
SMALL = dict(rows=5, width=3)
KINDS = {
    "LSTM": {},
    "LSTM, learned": dict(first_memory="learned"),
    "feed-forward": dict(controller="feedforward"),
    "feed-forward, learned": dict(controller="feedforward", first_memory="learned"),
    "many heads": dict(read_heads=2, write_heads=3),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind="LSTM", dtype=np.float64, seed=1, **options):
    return NTM(D, B, H, dtype=dtype, rng=seed, **SMALL | KINDS[kind] | options)


def batch(N=2, T=4, seed=2, masked=True):
    rng = np.random.default_rng(seed)
    xs, ts = rng.integers(0, 2, (N, T, D)).astype(float), rng.integers(0, 2, (N, T, B))
    mask = rng.random((N, T)) < 0.6
    mask[0, -1] = True
    return (xs, ts, mask) if masked else (xs, ts)


def close(got, expected, **tolerance):
    np.testing.assert_allclose(got, expected, **{"rtol": 1e-10, "atol": 1e-12} | tolerance)


# --- gradients -------------------------------------------------------------------------------------------------


def smooth(model):
    """Numerical gradients take steps of 1e-3: a cosine of rows that are all but 0 needs a larger eps for that."""
    model.steps.step.addressing.content.similarity.eps = 1.0
    return model


@pytest.mark.parametrize("masked", [False, True])
@every_kind
def test_every_gradient_is_the_numerical_one(kind, masked):
    gradient_check(smooth(make(kind, rows=4, width=2)), *batch(masked=masked))


@pytest.mark.parametrize(("N", "T"), [(1, 1), (1, 3), (3, 1)])
def test_every_gradient_is_the_numerical_one_for_odd_sizes(N, T):
    gradient_check(smooth(make(rows=3, width=1)), *batch(N, T, masked=False))


def test_every_gradient_where_the_memory_is_zero_and_the_first_weights_are_sharp():
    model = smooth(make("LSTM, learned", rows=4, width=2))
    weights, _, memory = model.first.params
    memory[...] = 0
    weights[...] = [0, 30, 0, 0]
    gradient_check(model, *batch())


@pytest.mark.parametrize("layers", [1, 2])
def test_every_gradient_of_the_lstm_is_the_numerical_one(layers):
    gradient_check(PlainLSTM(D, B, H, layers=layers, dtype=np.float64, rng=1), *batch())


# --- state and steps -------------------------------------------------------------------------------------------


@every_kind
def test_step_by_step_is_all_at_once(kind):
    model = make(kind)
    xs, ts, mask = batch(3, 5)
    loss = model.forward(xs, ts, mask)
    weights, memory = model.weights.copy(), model.memory.copy()
    state, logits = model.start(3), []
    for t in range(5):
        now, state, w = model.step(xs[:, t], state)
        logits.append(now)
        np.testing.assert_array_equal(w, weights[:, t])
        np.testing.assert_array_equal(w, state[1])
    np.testing.assert_array_equal(state[0], memory)
    np.testing.assert_array_equal(np.stack(logits, axis=1), model.predict(xs))
    x, t = np.stack(logits, axis=1)[mask], ts[mask]
    close(loss, np.mean(np.logaddexp(0, x) - t * x))


@every_kind
def test_the_state_is_arrays_of_N_rows_that_can_be_reordered(kind):
    model = make(kind)
    xs = batch(3, 5)[0]
    state = model.start(3)
    for t in range(3):
        _, state, _ = model.step(xs[:, t], state)
    assert {len(array) for array in state} == {3}
    order = [2, 0, 0]
    logits, after, _ = model.step(xs[:, 3], state)
    logits2, after2, _ = model.step(xs[order, 3], tuple(array[order] for array in state))
    close(logits2, logits[order])
    for one, two in zip(after, after2, strict=True):
        close(two, one[order])


@every_kind
def test_what_can_be_seen_after_forward(kind):
    model = make(kind)
    xs, ts, mask = batch(2, 4)
    model.forward(xs, ts, mask)
    step = model.steps.step
    readers, writers = step.read_heads, len(step.erases)
    assert model.read_weights.shape == (2, 4, readers, 5)
    assert model.write_weights.shape == (2, 4, writers, 5)
    assert model.memory.shape == (2, 5, 3)
    close(model.weights.sum(axis=3), 1)
    np.testing.assert_array_equal(np.concatenate((model.read_weights, model.write_weights), axis=2), model.weights)
    assert model.count == mask.sum() * B


def test_a_memory_that_is_overwritten_between_two_steps_is_read():
    model = make()
    xs = batch(2, 4)[0]
    _, state, weights = model.step(xs[:, 0], model.start(2))
    memory = state[0].copy()
    memory[:, 0] = 3
    logits, _, _ = model.step(xs[:, 1], state)
    changed, _, _ = model.step(xs[:, 1], (memory, *state[1:]))
    assert (np.abs(changed - logits) > 1e-6).all()


def test_going_step_by_step_leaves_what_backward_needs_of_the_steps():
    model, other = make(), make()
    xs, ts, mask = batch()
    for m in (model, other):
        m.forward(xs, ts, mask)
    state = model.start(2)
    model.steps.step.forward(xs[:, 0], *state)
    close(model.backward(), other.backward())
    for one, two in zip(model.grads, other.grads, strict=True):
        close(one, two)


@every_kind
def test_a_batch_is_its_rows_one_by_one(kind):
    model, single = make(kind), make(kind)
    xs, ts = batch(3, 4, masked=False)
    loss, dxs = model.forward(xs, ts), model.backward()
    losses, total = [], [np.zeros_like(g) for g in single.grads]
    for k in range(3):
        losses.append(single.forward(xs[k : k + 1], ts[k : k + 1]))
        close(3 * dxs[k : k + 1], single.backward())
        for sum_, grad in zip(total, single.grads, strict=True):
            sum_ += grad / 3
    close(loss, np.mean(losses))
    for sum_, grad in zip(total, model.grads, strict=True):
        close(sum_, grad)


# --- memory ----------------------------------------------------------------------------------------------------


def test_the_first_state_is_that_of_the_parameters():
    memory, weights, reads, h, c = make().start(3)
    assert (memory == FIRST_NUMBER).all()
    assert (weights.argmax(axis=2) == 0).all()
    assert not h.any()
    assert not c.any()
    model = make("LSTM, learned")
    assert model.param_names[:3] == ["first.weights", "first.reads", "first.memory"]
    memory, weights, reads, *_ = model.start(3)
    for k in range(3):
        np.testing.assert_array_equal(memory[k], model.first.params[2])
        np.testing.assert_array_equal(reads[k], model.first.params[1].reshape(-1))


def test_the_gates_begin_nearly_closed():
    for kind in KINDS:
        heads = make(kind).steps.step.heads
        (_, _, gate, _, _), erase, _ = heads.forward(np.zeros((1, H)))
        close(gate, 1 / (1 + np.exp(2)))
        close(erase, 0.5)


def rows_differ(model):
    xs, ts, _ = batch(1, 8)
    model.forward(xs, ts)
    return np.ptp(model.memory, axis=1).max() > 1e-3


def test_equal_weights_on_equal_rows_would_never_tell_rows_apart():
    model = make()
    assert rows_differ(model)
    model.first.params[0][...] = 0
    assert not rows_differ(model)


@every_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_that_of_the_parameters(kind, dtype):
    model = make(kind, dtype)
    xs, ts, mask = batch()
    for data in (xs, xs.astype(np.float32), xs.astype(np.int64)):
        model.forward(data, ts, mask)
        arrays = [model.backward(), model.weights, model.memory, model.predict(data), *model.grads]
        assert {a.dtype for a in arrays} == {np.dtype(dtype)}


@every_kind
def test_nothing_is_changed_and_everything_repeats(kind):
    model = make(kind)
    arguments = batch()
    for array in arguments:
        array.flags.writeable = False
    first = model.forward(*arguments)
    weights, memory = model.weights, model.memory
    kept = weights.copy(), memory.copy()
    dxs, grads = model.backward(), [g.copy() for g in model.grads]
    for got, expected in zip([model.backward(), *model.grads], [dxs, *grads], strict=True):
        np.testing.assert_array_equal(got, expected)
    model.forward(*batch(3, 6, seed=9))
    np.testing.assert_array_equal(weights, kept[0])
    np.testing.assert_array_equal(memory, kept[1])
    assert model.forward(*arguments) == first


def test_memory_grows_with_the_steps_that_backward_needs_and_not_in_predict():
    model = NTM(9, 8, 100, rng=0)  # the sizes of the tasks

    def peak(call, T):
        xs, ts = np.zeros((32, T, 9), np.float32), np.zeros((32, T, 8), np.int8)
        model.forward(xs[:, :1], ts[:, :1])  # so that nothing is left of the call before
        tracemalloc.start()
        try:
            call(xs, ts)
            return tracemalloc.get_traced_memory()[1] / 1e6
        finally:
            tracemalloc.stop()

    def train(xs, ts):
        model.forward(xs, ts)
        model.backward()

    forward, both = ((peak(call, 16) - peak(call, 8)) / 8 for call in (model.forward, train))
    assert forward == pytest.approx(0.84, abs=0.03)
    assert both <= 1.0
    assert abs(peak(lambda xs, ts: model.predict(xs), 16) - peak(lambda xs, ts: model.predict(xs), 8)) < 0.1


def test_a_replica_computes_the_same():
    model = make("many heads")
    other = replica(model)
    assert other.forward(*batch()) == model.forward(*batch())
    np.testing.assert_array_equal(other.backward(), model.backward())


def test_parameters_can_be_saved_and_loaded(tmp_path):
    for kind in KINDS:
        model, other = make(kind), make(kind, seed=8)
        assert model.forward(*batch()) != other.forward(*batch())
        other.load_params(model.save_params(tmp_path / "weights.npz"))
        assert model.forward(*batch()) == other.forward(*batch())


@pytest.mark.parametrize("model_class", [NTM, PlainLSTM])
def test_a_batch_can_be_learned_by_heart(model_class):
    options = SMALL if model_class is NTM else {}
    model, optimizer = model_class(D, B, 16, rng=3, **options), Adam(lr=0.02)
    arguments = batch(4, 5)
    first = model.forward(*arguments)
    for _ in range(150):
        model.forward(*arguments)
        model.backward()
        optimizer.update(model.params, model.grads)
    assert model.forward(*arguments) < 0.05 * first


@every_kind
@pytest.mark.parametrize("scale", [1e-3, 30])
def test_weights_of_any_size_give_finite_losses_and_gradients(kind, scale):
    """Large weights make strengths and exponents large, weightings one-hot and bits certain; all in float32."""
    model = make(kind, np.float32)
    for p in model.params:
        p *= np.float32(scale)
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        loss = model.forward(*batch(3, 40))
        dxs = model.backward()
    assert np.isfinite(loss)
    np.testing.assert_allclose(model.weights.sum(axis=3), 1, rtol=1e-5)
    for grad in (dxs, *model.grads):
        assert np.isfinite(grad).all()


# --- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(controller="gru"), "controller must be one of lstm, feedforward, got 'gru'"),
        (dict(first_memory="zero"), 'first_memory must be "constant" or "learned", got \'zero\''),
        (dict(read_heads=0), "heads of both kinds, got 0 to read and 1 to write"),
        (dict(write_heads=0), "heads of both kinds, got 1 to read and 0 to write"),
    ],
)
def test_settings_that_make_no_sense_are_named(options, says):
    with pytest.raises(ValueError, match=says):
        NTM(D, B, H, **options)
    with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
        PlainLSTM(D, B, H, layers=0)


def test_inputs_that_do_not_fit_are_named():
    model = make()
    xs, ts, mask = batch()
    for other in (model, PlainLSTM(D, B, H)):
        for wrong in (xs[:, 0], xs[:, :0], xs[..., :2]):
            with pytest.raises(ValueError, match=r"xs must be \(N, T, 3\), N and T at least 1, got \("):
                other.predict(wrong)
            with pytest.raises(ValueError, match=r"xs must be \(N, T, 3\)"):
                other.forward(wrong, ts, mask)
    with pytest.raises(ValueError, match=r"t is \(2, 3, 2\), but it must be \(2, 4, 2\)"):
        model.forward(xs, ts[:, :3], mask)
    with pytest.raises(RuntimeError, match="call forward first"):
        make().backward()


@pytest.mark.parametrize(("options", "share"), [({}, 0.12), ({"first_gate": 0.0}, 0.5), ({"first_gate": 2.0}, 0.88)])
def test_how_far_the_gates_begin_open(options, share):
    """Those of the heads that read; heads that write begin by going their way."""
    model = NTM(3, 2, 4, rows=5, width=3, read_heads=2, rng=0, **options)
    (_, _, gate, _, _), _, _ = model.steps.step.heads.forward(np.zeros((1, 4), np.float32))
    np.testing.assert_allclose(gate, [[share, share, 0.12]], atol=0.005)
