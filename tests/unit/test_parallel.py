"""Working on parts of a batch side by side: the same results, no splitting within a part, nothing left running."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from ch07.seq2seq import Encoder, Seq2seq
from ch08.attention_layer import Attention, TimeAttention
from ch08.attention_seq2seq import AttentionSeq2seq
from common import parallel
from common.parallel import DataParallel, replica, run, split, workers
from common.time_layers import TimeGRU


@pytest.fixture(params=[1, 2, 3])
def cores(request, monkeypatch):
    """As if NumPy's BLAS used so many threads, however many this machine has."""

    class Controller:
        lib_controllers = (type("Blas", (), {"num_threads": request.param})(),)

        def limit(self, limits):
            return SimpleNamespace(restore_original_limits=lambda: None)

    monkeypatch.setattr(parallel, "_controller", lambda: Controller())
    return request.param


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
    assert workers() == cores  # not thought to be within a part any more


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
    assert both.params is model.params
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
    assert len(both._parts) == 1


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


# --- decoding --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", [Seq2seq, AttentionSeq2seq])
def test_decoding_in_chunks_and_with_shared_beginnings_is_decoding_one_by_one(cores, model_class):
    rng = np.random.default_rng(1)
    model, xs, _ = problem(model_class, 11)
    for p in model.params:
        p[...] = rng.standard_normal(p.shape)
    xs[3:8, :4] = xs[2, :4]  # five rows that begin like row 2
    xs[9] = xs[2]
    ids, probs, weights = model.greedy_decode(xs, 0, 5, with_details=True, chunk_size=3)
    for n in range(11):
        one, p, w = (
            None if a is None else a[0]
            for a in model.decoder.greedy_decode(model.encoder.forward(xs[n : n + 1]), 0, 5, True)
        )
        np.testing.assert_array_equal(ids[n], one)
        np.testing.assert_allclose(probs[n], p, rtol=1e-9)
        if weights is not None:
            np.testing.assert_allclose(weights[n], w, rtol=1e-9, atol=1e-14)
    assert (weights is None) == (model_class is Seq2seq)


def test_read_is_forward():
    model, xs, _ = problem(AttentionSeq2seq, 9)
    xs[4:, :3] = xs[0, :3]
    np.testing.assert_allclose(model.encoder.read(xs), model.encoder.forward(xs), rtol=1e-12, atol=1e-15)


def test_read_computes_equal_beginnings_once(monkeypatch):
    from ch07 import seq2seq

    rows = []
    original = seq2seq.lstm_step

    def counted(z, *args):
        rows.append(z.shape[1])  # z (4, N, H)
        original(z, *args)

    monkeypatch.setattr(seq2seq, "lstm_step", counted)
    model, _, _ = problem(Seq2seq, 1)
    model.encoder.read(np.array([[1, 2, 3], [1, 2, 4], [1, 2, 3], [5, 2, 3]]))
    assert rows == [2, 2, 3]


def test_an_encoder_of_ones_own_is_read_by_its_own_forward():
    class LastButOne(Encoder):
        def forward(self, xs):
            return super().forward(xs[:, :-1])

    encoder = LastButOne(7, 4, 5, rng=0)
    xs = np.arange(6)[None]
    np.testing.assert_array_equal(encoder.read(xs), encoder.forward(xs))

    model, xs, _ = problem(Seq2seq, 2)
    rng = np.random.default_rng(0)
    model.encoder.lstm = TimeGRU(*(rng.standard_normal(s) for s in ((4, 15), (5, 15), (15,))))
    np.testing.assert_array_equal(model.encoder.read(xs), model.encoder.forward(xs))


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
