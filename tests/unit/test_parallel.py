"""Working on parts of a batch side by side: the same results, no splitting within a part, nothing left running."""

import contextlib
import copy
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from ch07.seq2seq import Seq2seq
from ch08.attention_layer import Attention, TimeAttention
from ch08.attention_seq2seq import AttentionSeq2seq
from common import parallel
from common.base_model import BaseModel, Composite
from common.layers import Affine, Dropout
from common.parallel import DataParallel, exclusive, inner_layers, replica, run, snapshot, split, workers
from common.time_layers import TimeAffine, TimeEmbedding, TimeLSTM, TimeSoftmaxWithLoss
from common.workspace import Workspace


@pytest.fixture(params=[1, 2, 3])
def cores(request, monkeypatch):
    """As if NumPy's BLAS used so many threads, however many this machine has."""

    class Controller:
        lib_controllers = (type("Blas", (), {"num_threads": request.param})(),)

        def limit(self, limits):
            return SimpleNamespace(restore_original_limits=lambda: None)

    monkeypatch.setattr(parallel, "_controller", lambda: Controller())
    return request.param


def parts_of(data_parallel):
    """The models that worked on the parts of the last batch."""
    return data_parallel._last[0]


def test_run_keeps_the_order_and_uses_the_cores(cores):
    names = set()

    def call(k):
        names.add(threading.current_thread().name)
        time.sleep(0.01)
        return k * k

    assert run([lambda k=k: call(k) for k in range(7)]) == [k * k for k in range(7)]
    assert len(names) == cores
    assert run([]) == []


def test_a_part_is_not_split_again(cores):
    inner = run([workers for _ in range(4)])
    assert inner == [1 if cores > 1 else workers()] * 4
    assert workers() == cores


@pytest.mark.parametrize("bad", [0, 1])
def test_an_exception_waits_for_the_other_parts(cores, bad):
    ended = []
    both_began = threading.Barrier(min(cores, 2))

    def call(k):
        both_began.wait()
        if k == bad:
            raise ValueError(f"part {k}")
        time.sleep(0.05)
        ended.append(k)

    with pytest.raises(ValueError, match=f"part {bad}"):
        run([lambda k=k: call(k) for k in range(2)])
    if cores > 1:
        assert ended == [1 - bad]
    assert workers() == cores  # not thought to be within a part anymore


def test_after_an_exception_no_part_begins(cores):
    began = []

    def call(k):
        began.append(k)
        if k == 0:
            raise ValueError("part 0")
        time.sleep(0.05)

    with pytest.raises(ValueError, match="part 0"):
        run([lambda k=k: call(k) for k in range(50)])
    assert len(began) < 50  # one for each core, or some more where the machine is busy


def test_a_core_that_is_done_takes_the_next_part(cores):
    seconds = {}

    def call(k):
        time.sleep(0.3 if k == 0 else 0.001)
        seconds[k] = time.perf_counter()

    run([lambda k=k: call(k) for k in range(9)])
    if cores > 1:
        assert max(seconds, key=seconds.get) == 0  # nobody waited behind the long one


def test_split_covers_everything_once():
    for n in range(1, 12):
        for parts in range(1, 6):
            slices = split(n, parts)
            assert [k for s in slices for k in range(n)[s]] == list(range(n))
            assert len(slices) == min(n, parts)


def problem(model_class, N, dtype=np.float64):
    rng = np.random.default_rng(0)
    model = model_class(7, 4, 5, dtype=dtype, rng=rng)
    return model, rng.integers(0, 7, (N, 6)), rng.integers(0, 7, (N, 4))


@pytest.mark.parametrize("model_class", [Seq2seq, AttentionSeq2seq])
@pytest.mark.parametrize("N", [1, 5, 9])
def test_data_parallel_is_the_model_itself(cores, model_class, N):
    model, xs, ts = problem(model_class, N)
    loss = model.forward(xs, ts)
    model.backward(0.5)
    expected = [g.copy() for g in model.grads]
    both = DataParallel(model, min_rows=1)
    for _ in range(2):  # the second time the parts are there already
        assert both.forward(xs, ts) == pytest.approx(loss, rel=1e-12)
        both.backward(0.5)
        for got, want in zip(model.grads, expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-14)
    assert all(a is b for a, b in zip(both.params, model.params, strict=True))
    assert both.param_names == model.param_names


def test_data_parallel_splits_the_mask_as_well(cores):
    model, xs, ts = problem(AttentionSeq2seq, 9)
    mask = np.random.default_rng(1).random(xs.shape) < 0.5
    mask[:, 0] = True
    loss = model.forward(xs, ts, None, mask)
    assert loss != pytest.approx(model.forward(xs, ts), rel=1e-6)
    assert DataParallel(model, min_rows=1).forward(xs, ts, None, mask) == pytest.approx(loss, rel=1e-12)


def test_data_parallel_splits_the_gold_alignment_as_well(cores):
    model, xs, ts = problem(AttentionSeq2seq, 9)
    gold = np.random.default_rng(1).random((9, 3, 6)) < 0.3
    loss = model.forward(xs, ts, None, None, gold)
    model.backward()
    expected = [g.copy() for g in model.grads]
    assert loss > model.forward(xs, ts)
    both = DataParallel(model, min_rows=1)
    assert both.forward(xs, ts, None, None, gold) == pytest.approx(loss, rel=1e-12)
    both.backward()
    for got, want in zip(model.grads, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-14)


def test_data_parallel_follows_changed_parameters(cores):
    model, xs, ts = problem(AttentionSeq2seq, 8)
    both = DataParallel(model, min_rows=1)
    before = both.forward(xs, ts)
    for p in model.params:
        p += 0.1
    assert both.forward(xs, ts) == pytest.approx(model.forward(xs, ts), rel=1e-12)
    assert both.forward(xs, ts) != pytest.approx(before, rel=1e-3)


def test_small_batches_are_not_split(cores):
    model, xs, ts = problem(AttentionSeq2seq, 8)
    both = DataParallel(model, min_rows=8)
    both.forward(xs, ts)
    assert len(parts_of(both)) == 1


def test_time_attention_in_parts_is_attention(cores, monkeypatch):
    rng = np.random.default_rng(0)
    hs, hd, dout = (rng.standard_normal(s) for s in ((7, 5, 3), (7, 4, 3), (7, 4, 3)))
    mask = rng.random((7, 5)) < 0.7
    mask[:, 0] = True
    whole = Attention()
    want = whole.forward(hs, hd, mask), *whole.backward(dout)
    monkeypatch.setattr(TimeAttention, "scores_in_cache", 2 * 4 * 5)  # two rows at a time
    layer = TimeAttention()
    got = layer.forward(hs, hd, mask), *layer.backward(dout)
    assert len(layer.parts) == 4
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(layer.weights, whole.attention_weight)
    assert [a.shape for a in layer.attention_weights] == [(7, 5)] * 4
    mask[5] = False
    with pytest.raises(ValueError, match="row 5 is all padding"):
        layer.forward(hs, hd, mask)


# --- replicas --------------------------------------------------------------------------------------------------


def test_a_replica_shares_parameters_and_nothing_else():
    model, xs, ts = problem(AttentionSeq2seq, 4)
    model.forward(xs, ts)
    weights = model.decoder.attention.weights.copy()
    other = replica(model)
    assert all(a is b for a, b in zip(other.params, model.params, strict=True))
    other.forward(xs[::-1], ts[::-1])
    np.testing.assert_array_equal(model.decoder.attention.weights, weights)
    model.backward()
    expected = [g.copy() for g in model.grads]
    model.forward(xs, ts)
    model.backward()
    for got, want in zip(model.grads, expected, strict=True):
        np.testing.assert_array_equal(got, want)


class ByHand:
    """A model in the style of the book: its lists are put together by hand."""

    def __init__(self, tie=False, rng=None):
        rng = np.random.default_rng(rng)
        W = rng.standard_normal((7, 4))
        self.embed = TimeEmbedding(W)
        self.lstm = TimeLSTM(rng.standard_normal((4, 16)), rng.standard_normal((4, 16)), np.zeros(16), stateful=True)
        self.affine = TimeAffine(W.T if tie else rng.standard_normal((4, 7)), np.zeros(7))
        self.layers = [self.embed, self.lstm, self.affine]
        self.loss_layer = TimeSoftmaxWithLoss()
        self.params, self.grads = [], []
        for layer in self.layers:
            self.params += layer.params
            self.grads += layer.grads

    def forward(self, xs, ts):
        for layer in self.layers:
            xs = layer.forward(xs)
        return self.loss_layer.forward(xs, ts)

    def backward(self, dout=1):
        dout = self.loss_layer.backward(dout)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)

    def reset_state(self):
        self.lstm.reset_state()


class ByWalk(ByHand, Composite):
    """The same, but its parameters are found by a walk over the attributes."""

    def __init__(self, tie=False, rng=None):
        super().__init__(tie, rng)
        self.params = self.grads = None


class Masked(BaseModel):
    """Scores x W; the loss is the mean over the targets that are not -1, and ``count`` says how many those are."""

    def __init__(self, W, layer=None):
        self.affine = Affine(W, np.zeros(W.shape[1]))
        self.between = layer
        self.weight = 1.0

    def forward(self, xs, ts=None, weights=None):
        N, T, _ = xs.shape
        ts = np.zeros((N, T), int) if ts is None else ts
        xs = xs if self.between is None else self.between.forward(xs)
        scores = self.affine.forward(xs)
        self.softmax = TimeSoftmaxWithLoss()
        self.count = int((ts >= 0).sum())
        return self.weight * self.softmax.forward(scores, ts)

    def backward(self, dout=1):
        dx = self.affine.backward(self.softmax.backward(dout * self.weight))
        if self.between is not None:
            self.between.backward(dx)


def padded_problem():
    """Long rows in the first half, which the model gets right; short ones in the second, which it gets wrong."""
    rng = np.random.default_rng(0)
    xs = rng.standard_normal((8, 6, 3))
    W = 2 * rng.standard_normal((3, 4))
    ts = (xs @ W).argmax(axis=2)
    ts[4:] = (xs[4:] @ W).argmin(axis=2)
    ts[4:, 1:] = -1
    return Masked(W), xs, ts


def gradients_of(model, *batch, dout=1):
    loss = model.forward(*batch)
    model.backward(dout)
    return loss, [g.copy() for g in model.grads]


def assert_same(got, want):
    assert got[0] == pytest.approx(want[0], rel=1e-12)
    for a, b in zip(got[1], want[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("model_class", [ByHand, ByWalk])
def test_lists_by_hand_and_by_walk(cores, model_class, tie):
    xs, ts = np.random.default_rng(2).integers(0, 7, (2, 9, 5))
    model = model_class(tie, rng=1)
    want = gradients_of(model, xs, ts)
    both = DataParallel(model, min_rows=1)
    for _ in range(3):
        model.reset_state()
        assert_same(gradients_of(both, xs, ts), want)
    assert len(parts_of(both)) == cores
    for part in parts_of(both)[1:]:
        assert type(part) is model_class
        assert all(p is q for p, q in zip(part.params, model.params, strict=True))
        assert not {id(g) for g in part.grads} & {id(g) for g in model.grads}
        assert part.layers[0] is part.embed  # what stood in two places still does
        assert part.grads[0] is part.embed.grads[0]


def test_a_gradient_that_is_listed_twice_is_added_once(cores):
    model, xs, ts = padded_problem()
    want = gradients_of(model, xs, ts)
    model.params, model.grads = model.params, model.grads
    model._params, model._grads = model._params * 2, model._grads * 2
    loss, grads = gradients_of(DataParallel(model, min_rows=1), xs, ts)
    assert_same((loss, grads[:2]), want)


def test_a_stateful_model_goes_on_in_every_part_until_it_is_reset(cores):
    xs, ts = np.random.default_rng(2).integers(0, 7, (2, 6, 15))
    model = ByHand(rng=1)
    pieces = [(xs[:, k : k + 5], ts[:, k : k + 5]) for k in (0, 5, 10)]
    want = [gradients_of(model, *piece) for piece in pieces]
    both = DataParallel(model, min_rows=1)
    for _ in range(2):
        both.reset_state()
        for piece, expected in zip(pieces, want, strict=True):
            assert_same(gradients_of(both, *piece), expected)


def test_what_is_set_later_reaches_every_part(cores):
    rng = np.random.default_rng(0)
    model = Masked(rng.standard_normal((3, 4)), Dropout(0.5, rng=0))
    _, xs, ts = padded_problem()
    both = DataParallel(model, min_rows=1)
    gradients_of(both, xs, ts)

    model.between.train_flg = False
    model.weight = 100
    want = gradients_of(model, xs, ts)
    assert_same(gradients_of(both, xs, ts), want)
    for weight in (2.0, 3.0, 4.0):  # a new object may lie where an old one lay
        model.weight = weight
        assert_same(gradients_of(both, xs, ts), gradients_of(model, xs, ts))

    model.between = Affine(rng.standard_normal((3, 3)), np.zeros(3))  # a layer in the place of another
    want = gradients_of(model, xs, ts)
    assert len(want[1]) == 4
    assert_same(gradients_of(both, xs, ts), want)
    model.between = Affine(rng.standard_normal((3, 3)), np.zeros(3))  # and of another of its class
    assert_same(gradients_of(both, xs, ts), gradients_of(model, xs, ts))
    model.affine.params[0] = rng.standard_normal((3, 4))  # an array in the place of another
    assert_same(gradients_of(both, xs, ts), gradients_of(model, xs, ts))
    model.extra = 5
    gradients_of(both, xs, ts)
    assert all(part.extra == 5 for part in parts_of(both))
    del model.extra
    gradients_of(both, xs, ts)
    assert not any(hasattr(part, "extra") for part in parts_of(both))


def test_a_layer_replaced_in_a_list_reaches_every_part(cores):
    xs, ts = np.random.default_rng(2).integers(0, 7, (2, 9, 5))
    model = ByWalk(rng=1)
    both = DataParallel(model, min_rows=1)
    gradients_of(both, xs, ts)
    model.layers[2] = model.affine = TimeAffine(np.random.default_rng(3).standard_normal((4, 7)), np.ones(7))
    model.reset_state()
    want = gradients_of(model, xs, ts)
    model.reset_state()
    assert_same(gradients_of(both, xs, ts), want)


def test_an_old_replica_is_used_again_with_its_memory():
    model, xs, ts = problem(AttentionSeq2seq, 4)
    other = replica(model)
    other.forward(xs, ts)
    other.backward()
    blocks = dict(other.encoder.lstm._workspace._blocks)
    grads = [g.copy() for g in other.grads]
    arrays = list(other.grads)
    again = replica(model, other)
    assert again is other
    assert all(a is b for a, b in zip(again.grads, arrays, strict=True))
    assert all(again.encoder.lstm._workspace._blocks[name] is block for name, block in blocks.items())
    assert not any(np.shares_memory(a, b) for a, b in zip(again.grads, model.grads, strict=True))
    again.forward(xs, ts)
    again.backward()
    for got, want in zip(again.grads, grads, strict=True):
        np.testing.assert_array_equal(got, want)


def test_one_old_layer_does_not_stand_for_two_new_ones():
    class Two(Composite):
        def __init__(self, a, b):
            self.a, self.b = a, b

        def forward(self, x):
            return self.b.forward(self.a.forward(x))

    shared = Affine(np.eye(2), np.zeros(2))
    model = Two(shared, shared)
    other = replica(model)
    assert other.a is other.b
    model.b = Affine(2 * np.eye(2), np.ones(2))
    other = replica(model, other)
    assert other.a is not other.b
    assert other.a.grads[0] is not other.b.grads[0]
    np.testing.assert_array_equal(other.forward(np.ones((1, 2))), model.forward(np.ones((1, 2))))


def test_what_a_replica_shares_and_what_it_owns():
    class Odds:
        def __init__(self, W):
            self.params, self.grads = [W], [np.zeros_like(W)]
            self.dW = self.grads[0]
            self.turned = W.T  # a view of a parameter must stay one
            self.buffer = np.zeros(3)
            self.words = {0: "a", 1: "b"}
            self.inner = {"one": Affine(W, np.zeros(3)), "pair": (Dropout(rng=1), 0.5)}
            self.act = self.helper
            self.workspace = Workspace()
            self.layer_class = Affine
            self.np = np

        def helper(self):
            return self

        def forward(self, x):
            return x

    layer = Odds(np.ones((3, 3)))
    other = replica(layer)
    assert other.params[0] is layer.params[0] is other.inner["one"].params[0]
    assert other.dW is other.grads[0] is not layer.dW
    assert other.turned is layer.turned
    assert not np.shares_memory(other.buffer, layer.buffer)
    assert other.words is layer.words
    assert other.inner["one"] is not layer.inner["one"]
    assert other.inner["pair"][0] is not layer.inner["pair"][0]
    assert other.inner["pair"][1] == 0.5
    assert other.act() is other
    assert other.workspace is not layer.workspace
    assert other.layer_class is Affine
    assert other.np is np
    assert inner_layers(layer) == [layer, layer.inner["one"], layer.inner["pair"][0]]


def test_an_array_of_the_layers_own_is_kept_between_calls():
    """A buffer that forward writes in place is not copied anew; one that was set since is."""

    class Buffered:
        params, grads = [], []

        def __init__(self):
            self.buffer = np.zeros(2)

        def forward(self, x):
            self.buffer[...] = x
            return self.buffer.copy()

    layer = Buffered()
    other = replica(layer)
    other.forward(5)
    kept, seen = other.buffer, snapshot(layer)
    assert replica(layer, other, seen).buffer is kept
    layer.buffer = np.ones(2)
    np.testing.assert_array_equal(replica(layer, other, seen).buffer, 1)


# --- random numbers --------------------------------------------------------------------------------------------


def dropout_masks(rng, steps=3):
    """The masks that the parts of one batch drew in some steps: (steps, parts) arrays."""
    model = Masked(np.ones((3, 4)), Dropout(0.5, rng=rng))
    both = DataParallel(model, min_rows=1)
    masks = []
    for _ in range(steps):
        both.forward(np.ones((12, 6, 3)))
        masks.append([part.between.cache[0] for part in parts_of(both)])
    return masks


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState, lambda s: plain_generator(s)])
def test_every_part_draws_masks_of_its_own_that_follow_from_the_seed(cores, make):
    masks, again, other = (dropout_masks(make(seed)) for seed in (0, 0, 1))
    flat = [m.tobytes() for step in masks for m in step]
    assert len(set(flat)) == 3 * cores
    assert flat == [m.tobytes() for step in again for m in step]
    assert flat != [m.tobytes() for step in other for m in step]


def plain_generator(seed):
    """A Generator whose bit generator cannot spawn: it stands on a legacy seed."""
    bits = np.random.MT19937()
    bits._legacy_seeding(seed)
    return np.random.Generator(bits)


@pytest.mark.parametrize("rng", [None, np.random])
def test_the_global_random_state_is_shared(cores, rng):
    masks = [m.tobytes() for step in dropout_masks(rng) for m in step]
    assert len(set(masks)) == 3 * cores


def test_layers_that_share_a_generator_share_the_stream_of_their_replica():
    rng = np.random.default_rng(0)
    model = Masked(np.ones((3, 4)), Dropout(rng=rng))
    model.after = Dropout(rng=rng)
    other = replica(model)
    assert other.after.rng is other.between.rng is not rng


# --- DataParallel: what it weighs, takes and refuses -----------------------------------------------------------


def test_parts_count_by_their_targets_not_by_their_rows(cores):
    model, xs, ts = padded_problem()
    want = gradients_of(model, xs, ts)
    both = DataParallel(model, min_rows=1)
    assert_same(gradients_of(both, xs, ts), want)
    assert both.count == 28
    if cores == 2:
        halves = [gradients_of(model, xs[rows], ts[rows]) for rows in (slice(4), slice(4, 8))]
        by_rows = (halves[0][0] + halves[1][0]) / 2
        assert abs(by_rows / want[0] - 1) > 0.1  # what weights by rows would give is far off
        dW = (halves[0][1][0] + halves[1][1][0]) / 2
        assert np.abs(dW - want[1][0]).max() > 0.5 * np.abs(want[1][0]).max()


@pytest.mark.parametrize("ignored", [slice(0, 4), slice(4, 8), slice(2, 3), slice(None)])
def test_a_part_without_any_target(cores, ignored):
    model, xs, ts = padded_problem()
    ts[ignored] = -1
    want = gradients_of(model, xs, ts)
    for g in model.grads:
        g[...] = 7
    both = DataParallel(model, min_rows=1)
    assert_same(gradients_of(both, xs, ts), want)
    assert both.count == (ts >= 0).sum()


def test_a_part_without_targets_may_be_nan(cores):
    class Mean(Masked):
        """A loss that divides by the number of targets without a second look."""

        def forward(self, xs, ts):
            self.scores, self.real = self.affine.forward(xs), ts >= 0
            self.count = int(self.real.sum())
            with np.errstate(invalid="ignore"):
                return (self.scores.sum(axis=2) * self.real).sum() / np.float64(self.count)

        def backward(self, dout=1):
            with np.errstate(invalid="ignore"):
                d = self.real * dout / np.float64(self.count)
            self.affine.backward(np.repeat(d[:, :, None], 4, axis=2))

    _, xs, ts = padded_problem()
    ts[4:] = -1
    model = Mean(np.ones((3, 4)))
    assert_same(gradients_of(DataParallel(model, min_rows=1), xs, ts), gradients_of(model, xs, ts))


def test_a_model_without_count_weighs_its_rows(cores):
    model = ByHand(rng=1)
    model.count = lambda: 3  # a method of that name is not a number of targets
    xs, ts = np.random.default_rng(2).integers(0, 7, (2, 7, 5))
    want = gradients_of(model, xs, ts)
    model.reset_state()
    both = DataParallel(model, min_rows=1)
    assert_same(gradients_of(both, xs, ts), want)
    assert both.count == 7 if cores > 1 else True


def test_arguments_by_name_and_none(cores):
    model, xs, ts = padded_problem()
    want = gradients_of(model, xs, ts)
    both = DataParallel(model, min_rows=1)
    loss = both.forward(xs, ts=ts, weights=None)
    both.backward()
    assert_same((loss, model.grads), want)
    assert both.forward(xs=xs, ts=None) == pytest.approx(model.forward(xs), rel=1e-12)


def test_numbers_and_flags_go_to_every_part(cores):
    class Flagged(Masked):
        def forward(self, xs, ts, train_flg=True):
            self.flag = train_flg
            return super().forward(xs, ts)

    _, xs, ts = padded_problem()
    both = DataParallel(Flagged(np.ones((3, 4))), min_rows=1)
    both.forward(xs, ts, train_flg=False)
    assert [part.flag for part in parts_of(both)] == [False] * cores


@pytest.mark.parametrize(
    ("batch", "named", "message"),
    [
        ((np.zeros((0, 6, 3)), np.zeros((0, 6), int)), {}, "the batch has no rows"),
        ((np.zeros((4, 6, 3)),), {"ts": np.zeros((3, 6), int)}, r"number of rows, got {'argument 0': 4, 'ts': 3}"),
        ((np.zeros((4, 6, 3)), np.zeros((0, 6), int)), {}, r"number of rows, got {'argument 0': 4, 'argument 1': 0}"),
        ((np.float64(3),), {}, "argument 0 is a float64 without rows|no array"),
        ((np.zeros((4, 6, 3)), np.array(3)), {}, "argument 1 is a ndarray without rows"),
        ((None,), {}, "no array"),
        ((), {}, "no array"),
    ],
)
def test_batches_that_cannot_be_split(cores, batch, named, message):
    model, _, _ = padded_problem()
    with pytest.raises(ValueError, match=message):
        DataParallel(model, min_rows=1).forward(*batch, **named)


def test_backward_without_forward(cores):
    model, xs, ts = padded_problem()
    both = DataParallel(model, min_rows=1)
    with pytest.raises(RuntimeError, match="call forward first"):
        both.backward()
    both.forward(xs, ts)
    both.backward()
    both.backward()
    with pytest.raises(ValueError, match="target id 9"):
        both.forward(xs, np.full_like(ts, 9))
    with pytest.raises(RuntimeError, match="call forward first"):
        both.backward()  # not the gradients of the batch before
    with pytest.raises(ValueError, match="min_rows must be at least 1"):
        DataParallel(model, min_rows=0)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_of_data_parallel(cores, copied):
    model, xs, ts = problem(AttentionSeq2seq, 8)
    both = DataParallel(model, min_rows=2)
    want = gradients_of(both, xs, ts)
    other = copied(both)
    assert isinstance(other, DataParallel)
    assert other.min_rows == 2
    assert (other.model is model) == (copied is copy.copy)  # a shallow copy is another DataParallel of the same model
    assert_same(gradients_of(other, xs, ts), want)
    assert not {id(p) for p in parts_of(other)[1:]} & {id(p) for p in parts_of(both)[1:]}
    if other.model is not model:
        for p in other.params:
            p += 1
        assert other.forward(xs, ts) != pytest.approx(want[0], rel=1e-3)
    assert_same(gradients_of(both, xs, ts), want)


def test_a_copy_of_a_layer_does_not_carry_its_workspace():
    layer = TimeLSTM(np.ones((2, 12)), np.ones((3, 12)), np.zeros(12))
    want = layer.forward(np.ones((2, 4, 2))), layer.backward(np.ones((2, 4, 3)))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other._workspace._blocks == {}
        np.testing.assert_array_equal(other.backward(np.ones((2, 4, 3))), want[1])
        np.testing.assert_array_equal(other.forward(np.ones((2, 4, 2))), want[0])
        assert not np.shares_memory(other._workspace._blocks["h"], layer._workspace._blocks["h"])


def test_attributes_are_read_from_the_model_and_set_on_it():
    model, _, _ = padded_problem()
    both = DataParallel(model)
    both.weight = 3.0
    assert model.weight == both.weight == 3.0
    assert "weight" not in vars(both)
    with pytest.raises(AttributeError, match="nonsense"):
        both.nonsense  # noqa: B018
    assert not hasattr(DataParallel.__new__(DataParallel), "anything")


# --- threads ---------------------------------------------------------------------------------------------------


def in_threads(*calls):
    """Run the calls in threads of their own; return what they returned or raised."""
    results = [None] * len(calls)

    def work(k):
        try:
            results[k] = calls[k]()
        except Exception as error:
            results[k] = error

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(calls))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
        assert not t.is_alive()
    return results


def test_two_threads_with_one_data_parallel_are_right_or_refused(cores):
    model, _, _ = padded_problem()
    rng = np.random.default_rng(5)
    batches = [(rng.standard_normal((8, 6, 3)), rng.integers(0, 4, (8, 6))) for _ in range(4)]
    want = [gradients_of(model, *batch) for batch in batches]
    both = DataParallel(model, min_rows=1)
    bad = []

    def train(k):
        for _ in range(30):
            if both.forward(*batches[k]) != pytest.approx(want[k][0], rel=1e-12):
                bad.append(k)
            with contextlib.suppress(RuntimeError):  # the other thread was faster: this is refused
                both.backward()

    assert in_threads(*(lambda k=k: train(k) for k in range(4))) == [None] * 4
    assert bad == []
    assert_same(gradients_of(both, *batches[0]), want[0])


def test_backward_of_another_threads_forward_is_refused(cores):
    model, xs, ts = padded_problem()
    both = DataParallel(model, min_rows=1)
    both.forward(xs, ts)
    (error,) = in_threads(both.backward)
    assert isinstance(error, RuntimeError)
    assert "made by another thread" in str(error)


class Toy:
    """Answers with what it was asked, but keeps it in an attribute meanwhile, as layers do."""

    def answer(self, x):
        with exclusive(self):
            self.x = x
            time.sleep(0.0005)
            with exclusive(self):  # may be entered again
                return self.x


def test_exclusive_makes_one_model_right_in_many_threads():
    toy = Toy()
    wrong = in_threads(*(lambda k=k: [k for _ in range(20) if toy.answer(k) != k] for k in range(6)))
    assert wrong == [[]] * 6


def test_exclusive_keeps_other_models_apart_and_leaves_no_trace():
    toy, other = Toy(), Toy()
    with exclusive(toy):
        assert in_threads(lambda: other.answer(3)) == [3]
        for made in (copy.copy(toy), copy.deepcopy(toy), pickle.loads(pickle.dumps(toy))):
            assert in_threads(lambda made=made: made.answer(3)) == [3]
    assert vars(toy).keys() <= {"x"}
    key, gone = id(toy), weakref.ref(toy)
    assert key in parallel._locks
    del toy
    assert gone() is None
    assert key not in parallel._locks


def test_exclusive_takes_a_data_parallel_for_its_model():
    model, _, _ = padded_problem()
    entered = threading.Event()

    def enter():
        with exclusive(model):
            entered.set()

    with exclusive(DataParallel(model)):
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.1)
    thread.join(60)
    assert entered.is_set()


def test_blas_gets_its_threads_back_when_the_last_thread_leaves(monkeypatch):
    """Two threads overlap in ``run``: the first enters, the second enters, the first leaves, the second leaves."""
    threads, log = [4], []

    class Controller:
        @property
        def lib_controllers(self):
            return (SimpleNamespace(num_threads=threads[0]),)

        def limit(self, limits):
            before, threads[0] = threads[0], limits
            return SimpleNamespace(restore_original_limits=lambda: threads.__setitem__(0, before))

    controller = Controller()
    monkeypatch.setattr(parallel, "_controller", lambda: controller)
    block = parallel._one_blas_thread
    with block:
        assert threads == [1]
    assert threads == [4]
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def first():
        with block:
            first_in.set()
            second_in.wait(30)
        log.append(threads[0])
        first_out.set()

    def second():
        first_in.wait(30)
        with block:
            second_in.set()
            first_out.wait(30)
        log.append(threads[0])

    assert in_threads(first, second) == [None, None]
    assert log == [1, 4]
    assert in_threads(*[lambda: [run([lambda: time.sleep(0.001)] * 3) for _ in range(20)]] * 4) != []
    assert threads == [4]
    assert block.inside == 0


@pytest.mark.parametrize("cores", [2, 3], indirect=True)
def test_parts_that_a_busy_pool_keeps_back_are_not_waited_for(cores):
    """Another thread's long part holds the pool; this thread does its calls alone and goes on."""
    release, started = threading.Event(), threading.Barrier(cores + 1)

    def long():
        started.wait(30)
        release.wait(30)

    other = threading.Thread(target=run, args=([long] * cores,))
    other.start()
    started.wait(30)
    assert in_threads(lambda: run([lambda k=k: k for k in range(5)])) == [[0, 1, 2, 3, 4]]
    release.set()
    other.join(60)


# --- processes and signals -------------------------------------------------------------------------------------

TWO_THREADS = """
import os, signal, sys, threading, time
from types import SimpleNamespace
from common import parallel
from common.parallel import exclusive, run, workers

class Blas:  # as if NumPy's BLAS used two threads, however many cores there are
    num_threads = 2
class Controller:
    lib_controllers = (Blas,)
    def limit(self, limits):
        before, Blas.num_threads = Blas.num_threads, limits
        return SimpleNamespace(restore_original_limits=lambda: setattr(Blas, "num_threads", before))
controller = Controller()
parallel._controller = lambda: controller
assert workers() == 2
"""


def script(root, text, **environment):
    """Run a script with two BLAS threads in a process of its own; return its output."""
    command = [sys.executable, "-c", TWO_THREADS + textwrap.dedent(text)]
    environment = {**os.environ, "PYTHONUTF8": "1", **environment}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
def test_a_forked_child_can_use_the_pool(root):
    out = script(
        root,
        """
        import multiprocessing
        def squares(_):
            return run([lambda k=k: k * k for k in range(4)]), workers()
        print(squares(0))
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(*pool.map_async(squares, range(2)).get(60))
        """,
    )
    assert "".join(out) == "([0,1,4,9],2)" * 3


@needs_fork
def test_a_child_forked_while_others_compute_has_free_locks_and_all_threads(root):
    out = script(
        root,
        """
        model = Blas()
        inside, go_on = threading.Event(), threading.Event()
        def part():
            inside.set()
            go_on.wait(60)
        def other():
            with exclusive(model):
                run([part, part])
        thread = threading.Thread(target=other)
        thread.start()
        inside.wait(60)
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)  # a child that hangs is killed
            with exclusive(model):
                assert workers() == 2, workers()
                names = set()
                def call():
                    names.add(threading.current_thread().name)
                    time.sleep(0.05)
                run([call] * 4)
            os._exit(0 if len(names) == 2 and workers() == 2 else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        go_on.set()
        thread.join(60)
        print(workers())
        """,
    )
    assert out == ["0", "2"]


@needs_fork
def test_real_blas_has_its_threads_in_a_forked_child(root):
    """With the real threadpoolctl, where this machine has two cores."""
    command = """
        import os, threading
        from common.parallel import run, workers
        n = workers()
        inside, go_on = threading.Event(), threading.Event()
        def part():
            inside.set()
            go_on.wait(60)
        thread = threading.Thread(target=run, args=([part, part],))
        thread.start()
        inside.wait(60)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if workers() == n and run([lambda: 1] * 3) == [1] * 3 else 1)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        go_on.set()
        thread.join(60)
        print(code, workers() == n)
    """
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(command)],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.stdout.split() == ["0", "True"], done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a process cannot send itself Ctrl-C")
def test_after_ctrl_c_nothing_goes_on_in_the_background(root):
    """Real signals at many moments, one or two of them; a part that runs on would write its mark later."""
    out = script(
        root,
        """
        import random
        random.seed(0)
        marks, interrupted = [], 0
        def part():
            for _ in range(10):
                time.sleep(0.001)
                marks.append(threading.current_thread().name)
        for trial in range(60):
            seconds = random.uniform(0, 0.03)
            presses = 1 + trial % 2
            def press():
                time.sleep(seconds)
                for _ in range(presses):
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.002)
            presser = threading.Thread(target=press)
            try:
                presser.start()
                run([part] * 8)
                time.sleep(1)  # the signal came before or after
            except KeyboardInterrupt:
                interrupted += 1
            try:
                count = len(marks)
                presser.join()
                time.sleep(0.02)
            except KeyboardInterrupt:
                presser.join()
                count = len(marks)
                time.sleep(0.02)
            assert len(marks) == count, "a part goes on"
            assert workers() == 2, workers()
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            assert run([lambda k=k: k for k in range(3)]) == [0, 1, 2]
        print(interrupted > 50)
        """,
    )
    assert out == ["True"]


@pytest.mark.skipif(os.name == "nt", reason="a process cannot send itself Ctrl-C")
def test_a_handler_that_only_sets_a_flag_stops_nothing(root):
    out = script(
        root,
        """
        pressed = []
        signal.signal(signal.SIGINT, lambda *_: pressed.append(1))
        def part(k):
            if k == 0:
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            return k
        print(*run([lambda k=k: part(k) for k in range(6)]), len(pressed))
        """,
    )
    assert out == ["0", "1", "2", "3", "4", "5", "1"]


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no SIGALRM")
def test_an_exception_of_another_signal_waits_as_well(root):
    out = script(
        root,
        """
        marks = []
        def alarm(*_):
            raise TimeoutError
        signal.signal(signal.SIGALRM, alarm)
        def part():
            for _ in range(30):
                time.sleep(0.002)
                marks.append(1)
        for seconds in (0.01, 0.03, 0.05):
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                run([part] * 6)
                print("no exception")
            except TimeoutError:
                pass
            count = len(marks)
            time.sleep(0.02)
            assert len(marks) == count, "a part goes on"
            assert workers() == 2
        print("fine")
        """,
    )
    assert out == ["fine"]
