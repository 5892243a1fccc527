"""Optimizers against their formulas written out for single numbers; clipping; evaluating one question."""

import io
import math
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from common import optimizer
from common.gradient_check import gradient_check
from common.layers import Dropout
from common.optimizer import merge_tied, same_memory
from common.parallel import DataParallel
from common.time_layers import TimeAffine, TimeEmbedding, TimeLSTM, TimeSoftmaxWithLoss
from common.util import clip_grads, echo, eval_perplexity, eval_seq2seq

NAMES = ["SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop", "Adam"]


def plain_path(name, p, gradients, lr):
    """The way of one number p along the gradients, from the formulas of the papers."""
    v = h = m = 0.0
    path = []
    for n, g in enumerate(gradients, start=1):
        if name == "SGD":
            p = p - lr * g
        elif name == "Momentum":
            v = 0.9 * v - lr * g
            p = p + v
        elif name == "Nesterov":
            v = 0.9 * v - lr * g
            p = p + 0.9 * v - lr * g
        elif name == "AdaGrad":
            h = h + g * g
            p = p - lr * g / (math.sqrt(h) + 1e-7)
        elif name == "RMSprop":
            h = 0.99 * h + 0.01 * g * g
            p = p - lr * g / (math.sqrt(h) + 1e-7)
        elif name == "Adam":
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g * g
            p = p - lr * math.sqrt(1 - 0.999**n) / (1 - 0.9**n) * m / (math.sqrt(v) + 1e-7)
        path.append(p)
    return path


def make_problem(dtype=np.float64, steps=6):
    rng = np.random.default_rng(1)
    shapes = [(3,), (2, 4), (3,)]
    params = [rng.standard_normal(s).astype(dtype) for s in shapes]
    grads = [[rng.standard_normal(s).astype(dtype) for s in shapes] for _ in range(steps)]
    return params, grads


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lr", [0.01, 0.3])
def test_update_follows_the_formula(name, lr):
    params, grads = make_problem()
    start = [p.copy() for p in params]
    steps = []
    opt = getattr(optimizer, name)(lr=lr)
    for g in grads:
        opt.update(params, g)
        steps.append([p.copy() for p in params])
    for k, p in enumerate(start):
        for index in np.ndindex(p.shape):
            expected = plain_path(name, p[index], [g[k][index] for g in grads], lr)
            np.testing.assert_allclose([s[k][index] for s in steps], expected, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_update_works_in_place_keeps_the_dtype_and_leaves_the_gradients(name):
    params, grads = make_problem(np.float32)
    arrays, kept = list(params), [[g.copy() for g in step] for step in grads]
    opt = getattr(optimizer, name)()
    for step in grads:
        for g in step:
            g.flags.writeable = False
        opt.lr = np.float64(0.01)  # as a schedule may set it
        opt.update(params, step)
    assert all(a is b for a, b in zip(arrays, params, strict=True))
    assert all(p.dtype == np.float32 for p in params)
    for step, old in zip(grads, kept, strict=True):
        for g, o in zip(step, old, strict=True):
            np.testing.assert_array_equal(g, o)


@pytest.mark.parametrize(
    ("name", "lr"),
    [("SGD", 0.01), ("Momentum", 0.01), ("Nesterov", 0.01), ("AdaGrad", 0.01), ("RMSprop", 0.01), ("Adam", 0.001)],
)
def test_default_learning_rates_are_those_of_the_book(name, lr):
    assert getattr(optimizer, name)().lr == lr
    assert getattr(optimizer, name)(0.5).lr == 0.5


def test_other_settings_count():
    params, grads = make_problem(steps=3)
    for opt, other in (
        (optimizer.Momentum(momentum=0.5), optimizer.Momentum()),
        (optimizer.Nesterov(momentum=0.5), optimizer.Nesterov()),
        (optimizer.RMSprop(decay_rate=0.5), optimizer.RMSprop()),
        (optimizer.Adam(beta1=0.5), optimizer.Adam()),
        (optimizer.Adam(beta2=0.5), optimizer.Adam()),
    ):
        one, two = [p.copy() for p in params], [p.copy() for p in params]
        for g in grads:
            opt.update(one, g)
            other.update(two, g)
        assert any((p != q).any() for p, q in zip(one, two, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_finds_the_bottom_of_a_bowl(name):
    x, lr = np.array([3.0, -2.0]), {"AdaGrad": 1.0, "Adam": 0.1, "RMSprop": 0.05}.get(name, 0.05)
    opt = getattr(optimizer, name)(lr=lr)
    for _ in range(400):
        opt.update([x], [2 * x * np.array([1.0, 5.0])])
    assert np.abs(x).max() < 0.06


@pytest.mark.parametrize("name", NAMES)
def test_a_state_that_was_saved_goes_on_exactly(name):
    params, grads = make_problem(np.float32, steps=8)
    one, two = [p.copy() for p in params], [p.copy() for p in params]
    opt = getattr(optimizer, name)(lr=0.05)
    for g in grads:
        opt.update(one, g)
    first = getattr(optimizer, name)(lr=0.05)
    for g in grads[:4]:
        first.update(two, g)
    state = first.state_dict()
    assert all(isinstance(key, str) and isinstance(value, np.ndarray) for key, value in state.items())
    kept = {key: value.copy() for key, value in state.items()}
    second = getattr(optimizer, name)()
    second.load_state_dict(state)
    for g in grads[4:]:
        second.update(two, g)
    for p, q in zip(one, two, strict=True):
        np.testing.assert_array_equal(p, q)
    assert second.lr == 0.05
    assert second.iter == 8
    for key, value in kept.items():
        np.testing.assert_array_equal(state[key], value)  # copies: training on does not change a saved state


def test_a_state_before_the_first_update():
    opt = optimizer.Adam(lr=0.5)
    other = optimizer.Adam()
    other.load_state_dict(opt.state_dict())
    params, grads = make_problem(steps=1)
    expected = [p.copy() for p in params]
    opt.update(expected, grads[0])
    other.update(params, grads[0])
    for p, q in zip(params, expected, strict=True):
        np.testing.assert_array_equal(p, q)


def test_the_state_of_another_optimizer_is_refused():
    params, grads = make_problem(steps=1)
    adam = optimizer.Adam()
    adam.update(params, grads[0])
    with pytest.raises(ValueError, match=r"not a state of Momentum: m\.0"):
        optimizer.Momentum().load_state_dict(adam.state_dict())
    with pytest.raises(ValueError, match="not a state of Adam: lr or iter is missing"):
        optimizer.Adam().load_state_dict({})


@pytest.mark.parametrize("name", NAMES)
def test_lists_that_do_not_fit(name):
    params, grads = make_problem(steps=1)
    opt = getattr(optimizer, name)()
    with pytest.raises(ValueError, match=f"{name}: 3 params but 2 grads"):
        opt.update(params, grads[0][:2])
    with pytest.raises(ValueError, match=rf"{name}: params\[1\] is \(2, 4\) but grads\[1\] is \(4, 2\)"):
        opt.update(params, [grads[0][0], grads[0][1].T, grads[0][2]])


@pytest.mark.parametrize("name", NAMES[1:])
def test_other_params_than_in_the_update_before(name):
    params, grads = make_problem(steps=1)
    opt = getattr(optimizer, name)()
    opt.update(params, grads[0])
    with pytest.raises(ValueError, match=f"{name}: the params are not those of the update before"):
        opt.update(params[:2], grads[0][:2])
    with pytest.raises(ValueError, match="make a new one"):
        opt.update(params[::-1][1:] + params[:1], grads[0][::-1][1:] + grads[0][:1])


# --- tied weights ------------------------------------------------------------------------------------------


def test_arrays_that_are_the_same_memory_become_one():
    W, b = np.arange(6.0).reshape(2, 3), np.zeros(3)
    gW, gT, gb, gv = np.ones((2, 3)), np.arange(6.0).reshape(3, 2), np.ones(3), np.full((2, 1, 3), 10.0)
    params, grads = merge_tied([W, b, W.T, W[:, None]], [gW, gb, gT, gv])
    assert params[0] is W
    assert params[1] is b
    assert len(params) == len(grads) == 2
    np.testing.assert_array_equal(grads[0], gW + gT.T + 10)
    assert grads[1] is gb
    np.testing.assert_array_equal(gW, 1)  # the layers' own gradients stay
    again = merge_tied(params, grads)
    assert [a is b for a, b in zip(again[0] + again[1], params + grads, strict=True)] == [True] * 4


def test_the_first_of_the_tied_gives_the_layout():
    W = np.arange(6.0).reshape(2, 3)
    (p,), (g,) = merge_tied([W.T, W], [np.zeros((3, 2)), W])
    assert p.shape == g.shape == (3, 2)
    np.testing.assert_array_equal(g, W.T)


def test_transposes_of_more_axes():
    W = np.arange(24.0).reshape(2, 3, 4)
    (p,), (g,) = merge_tied([W, W.transpose(2, 0, 1)], [np.zeros_like(W), W.transpose(2, 0, 1).copy()])
    assert p is W
    np.testing.assert_array_equal(g, W)


def test_a_gradient_that_is_listed_twice_counts_once():
    W, dW, other = np.ones((2, 2)), np.ones((2, 2)), np.full((2, 2), 5.0)
    _, (g,) = merge_tied([W, W], [dW, dW])
    assert g is dW
    _, (g,) = merge_tied([W, W.T, W], [dW, dW.T, other])
    np.testing.assert_array_equal(g, 6)


def test_nothing_tied_changes_nothing():
    big = np.zeros((4, 9))
    params = [big[:, :3], big[:, 3:6], big[:, 6:], np.ones(3), np.ones(3), np.zeros((0, 3)), np.zeros((0, 3)), big[:0]]
    grads = [np.ones_like(p) for p in params]  # equal values, and columns of one array: all are parameters of their own
    got = merge_tied(params, grads)
    assert all(a is b for a, b in zip(got[0] + got[1], params + grads, strict=True))
    assert same_memory([]) == []
    one = np.array(3.0)
    assert merge_tied([one, one.reshape(())], [np.array(1.0), np.array(2.0)])[1] == [3.0]


@pytest.mark.parametrize(
    "view",
    [
        lambda W: W[:2],
        lambda W: W[1:, 1:],
        lambda W: W[::-1],
        lambda W: W.reshape(-1),
        lambda W: W.reshape(3, 4).T,
        lambda W: W[0, 0:1],
        lambda W: W.view(np.int64),
    ],
)
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_views_that_overlap_in_another_way_are_refused(view, name):
    W = np.ones((4, 3))
    params = [np.ones(2), W, view(W)]
    kept = [p.copy() for p in params]
    message = r"params\[1\] \(4, 3\) and params\[2\] .* share memory.* move the shared part twice; give both layers"
    with pytest.raises(ValueError, match=message):
        getattr(optimizer, name)().update(params, [np.ones(p.shape) for p in params])
    for p, old in zip(params, kept, strict=True):
        np.testing.assert_array_equal(p, old)
    with pytest.raises(ValueError, match="merge_tied: 3 params but 2 grads"):
        merge_tied(params, params[:2])


@pytest.mark.parametrize("name", NAMES)
def test_tied_weights_take_one_step_along_the_sum(name):
    rng = np.random.default_rng(0)
    W = rng.standard_normal((2, 3))
    one = W.copy()
    tied, plain = getattr(optimizer, name)(0.1), getattr(optimizer, name)(0.1)
    for _ in range(5):
        a, b = rng.standard_normal((2, 3)), rng.standard_normal((3, 2))
        tied.update([W, W.T], [a, b])
        plain.update([one], [a + b.T])
        np.testing.assert_array_equal(W, one)
    assert tied.state_dict().keys() == plain.state_dict().keys()


def test_the_gradient_check_of_tied_weights():
    class Tied:
        """scores = W[ids] W^T"""

        def __init__(self, W):
            self.embed, self.affine = TimeEmbedding(W), TimeAffine(W.T, np.zeros(len(W)))
            self.params = self.embed.params + self.affine.params
            self.grads = self.embed.grads + self.affine.grads

        def forward(self, ids):
            return self.affine.forward(self.embed.forward(ids))

        def backward(self, dout):
            self.embed.backward(self.affine.backward(dout))

    assert (
        gradient_check(Tied(np.random.default_rng(0).standard_normal((5, 3))), np.array([[1, 2, 2], [0, 4, 1]])) < 1e-6
    )


# --- clip_grads --------------------------------------------------------------------------------------------


def test_gradients_below_the_limit_stay_as_they_are():
    grads = [np.array([3.0]), np.array([[4.0]])]
    assert clip_grads(grads, 5.1) == 5
    assert [g.item() for g in grads] == [3, 4]


def test_gradients_above_the_limit_are_scaled_together_and_in_place():
    grads = [np.array([3.0, 0.0]), np.array([[4.0]])]
    arrays = list(grads)
    assert clip_grads(grads, 2.5) == 5
    np.testing.assert_allclose(grads[0], [1.5, 0], rtol=1e-6)
    np.testing.assert_allclose(grads[1], [[2]], rtol=1e-6)
    assert all(a is b for a, b in zip(arrays, grads, strict=True))


def test_clipping_nothing_and_zeros():
    assert clip_grads([], 1.0) == 0
    grads = [np.zeros((2, 2), np.float32)]
    assert clip_grads(grads, 1.0) == 0
    np.testing.assert_array_equal(grads[0], 0)
    assert grads[0].dtype == np.float32


def test_clipping_arrays_that_are_not_contiguous():
    wide = np.ones((4, 6))
    clip_grads([wide[:, ::2].T], 1.0)
    assert np.sqrt((wide[:, ::2] ** 2).sum()) == pytest.approx(1, rel=1e-5)
    np.testing.assert_array_equal(wide[:, 1::2], 1)


def test_an_array_that_is_listed_twice_is_clipped_once():
    g, other = np.array([3.0, 0.0]), np.array([[4.0]])
    assert clip_grads([g, other, g, g[:]], 2.5) == 5
    np.testing.assert_allclose(g, [1.5, 0], rtol=1e-6)
    square = np.full((2, 2), 2.0)
    assert clip_grads([square, square.T], 2.0) == 4
    np.testing.assert_allclose(square, 1, rtol=1e-6)


@pytest.mark.parametrize("max_norm", [0, -1, -1e-9, math.nan, -math.inf])
def test_a_norm_must_be_positive(max_norm):
    g = np.array([3.0, 4.0])
    with pytest.raises(ValueError, match="max_norm must be positive"):
        clip_grads([g], max_norm)
    np.testing.assert_array_equal(g, [3, 4])


def test_an_infinite_norm_clips_nothing():
    g = np.array([3.0, 4.0])
    assert clip_grads([g], math.inf) == 5
    np.testing.assert_array_equal(g, [3, 4])


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("float16", 300), ("float16", 6e4), ("float16", 1e-6), ("float32", 1e30), ("float32", 1e-30), ("float64", 1e200)],
)
def test_squares_that_do_not_fit_into_the_dtype(dtype, value):
    grads = [np.full(2, value, dtype), np.full((1, 2), value, dtype)]
    value = float(grads[0][0])
    assert clip_grads(grads, value) == pytest.approx(2 * value, rel=1e-6)
    if value > 1:  # the 1e-6 in the scale hides smaller ones
        assert all(g.dtype == dtype for g in grads)
        np.testing.assert_allclose([float(x) for g in grads for x in g.reshape(-1)], value / 2, rtol=1e-3)


def test_the_norm_of_many_numbers_of_half_precision():
    assert clip_grads([np.full(100_000, 0.01, np.float16)], 100.0) == pytest.approx(np.sqrt(1e5) * 0.01, rel=1e-3)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_gradients_that_are_not_numbers(bad, dtype):
    grads = [np.array([3, 4], dtype), np.array([[1, bad]], dtype)]
    with pytest.raises(FloatingPointError, match=r"grads\[1\] \(1, 2\) has elements that are infinite or NaN"):
        clip_grads(grads, 1.0)
    np.testing.assert_array_equal(grads[0], [3, 4])
    np.testing.assert_array_equal(grads[1], np.array([[1, bad]], dtype))


# --- eval_seq2seq ------------------------------------------------------------------------------------------

ID_TO_CHAR = dict(enumerate("_abc "))


class Parrot:
    """Answers with what it was given, and writes down what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, None

    def generate(self, xs, start_id, sample_size):
        self.asked = (np.asarray(xs).tolist(), start_id, sample_size)
        return self.answer


@pytest.mark.parametrize(("answer", "expected"), [([1, 2, 4], 1), ([1, 2, 3], 0), ([2, 1, 4], 0)])
@pytest.mark.parametrize("shape", [(1, 4), (4,)])
def test_right_or_wrong(capsys, answer, expected, shape):
    model, question = Parrot(answer), np.array([[3, 2, 1, 1, 4]])
    correct = np.array([0, 1, 2, 4]).reshape(shape)
    assert eval_seq2seq(model, question, correct, ID_TO_CHAR) == expected
    assert model.asked == ([[3, 2, 1, 1, 4]], 0, 3)
    assert capsys.readouterr().out == ""


def test_ids_of_any_integer_kind():
    model = Parrot([np.int64(1), np.int32(2), np.array(4)])
    assert eval_seq2seq(model, np.array([[3]]), np.array([[0, 1, 2, 4]]), ID_TO_CHAR) == 1


@pytest.mark.parametrize(("is_reverse", "shown"), [(False, "cbaa "), (True, " aabc")])
def test_verbose_prints_question_truth_and_answer(capsys, is_reverse, shown):
    question, correct = np.array([[3, 2, 1, 1, 4]]), np.array([[0, 1, 2, 4]])
    eval_seq2seq(Parrot([1, 2, 4]), question, correct, ID_TO_CHAR, True, is_reverse)
    eval_seq2seq(Parrot([1, 3, 4]), question, correct, ID_TO_CHAR, verbose=True, is_reverse=is_reverse)
    right, wrong = capsys.readouterr().out.split("---\n")[:2]
    assert right.splitlines() == [f"Q {shown}", "T ab ", "☑ ab "]
    assert wrong.splitlines() == [f"Q {shown}", "T ab ", "☒ ac "]


def test_a_question_may_be_a_list():
    assert eval_seq2seq(Parrot([1, 2, 4]), [[3]], [0, 1, 2, 4], ID_TO_CHAR) == 1


# --- echo --------------------------------------------------------------------------------------------------


def test_echo_prints_as_print_does(capsys):
    for options in ({}, {"sep": "-"}, {"end": "!"}, {"flush": True}):
        echo("☑", 1, None, **options)
        got = capsys.readouterr().out
        print("☑", 1, None, **options)
        assert got == capsys.readouterr().out
    echo()
    assert capsys.readouterr().out == "\n"
    file = io.StringIO()
    echo("to a file", file=file)
    assert file.getvalue() == "to a file\n"


@pytest.mark.parametrize("encoding", ["cp949", "cp932", "cp1252", "ascii", "utf-8"])
def test_echo_replaces_what_the_stream_cannot_show(encoding):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    echo("a ☑ ☒ 語 \ud800 b", file=file, flush=True)
    text = raw.getvalue().decode(encoding)
    assert text.startswith("a ")
    assert text.endswith("? b" + os.linesep)
    right, wrong = ("☑", "☒") if encoding == "utf-8" else ("[v]", "[x]")
    assert f"{right} {wrong}" in text
    assert ("語" in text) == (encoding in ("cp949", "cp932", "utf-8"))


def test_echo_without_a_console(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    echo("nobody reads this")


@pytest.mark.parametrize("encoding", ["cp949", "cp932", "cp1252", "ascii", "utf-8"])
def test_a_script_prints_on_any_output(root, encoding):
    script = """
        import numpy as np
        from common.util import eval_perplexity, eval_seq2seq
        class Model:
            def generate(self, *args):
                return [1, 2]
            def forward(self, xs, ts):
                return 1.0
        chars = {0: "_", 1: "é", 2: "語", 3: "☃"}
        for correct in ([[0, 1, 2]], [[0, 1, 3]]):
            eval_seq2seq(Model(), np.array([[3, 1]]), np.array(correct), chars, verbose=True)
        eval_perplexity(Model(), np.arange(40), 2, 3)
    """
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONUTF8"} | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode(encoding).splitlines()
    right, wrong = ("☑", "☒") if encoding == "utf-8" else ("[v]", "[x]")
    assert [lines[2].split()[0], lines[6].split()[0]] == [right, wrong]
    assert lines[-2:] == ["evaluating perplexity ...", "6 / 6"]


# --- eval_perplexity ---------------------------------------------------------------------------------------


class Reader:
    """A language model that writes down what it is given; its loss is the mean id of the targets."""

    def __init__(self):
        self.pieces, self.resets = [], []

    def reset_state(self):
        self.resets.append(len(self.pieces))

    def forward(self, xs, ts):
        self.pieces.append((xs.tolist(), ts.tolist()))
        return np.float32(ts.mean())


def test_the_corpus_is_read_in_rows_as_in_the_book(capsys):
    model, corpus = Reader(), np.arange(27)
    got = eval_perplexity(model, corpus, batch_size=2, time_size=4)
    # 26 transitions in 2 rows of 13, of which three pieces of 4 are read; each row goes on where its piece before ended
    assert model.pieces == [
        (
            [[k, k + 1, k + 2, k + 3], [k + 13, k + 14, k + 15, k + 16]],
            [[k + 1, k + 2, k + 3, k + 4], [*range(k + 14, k + 18)]],
        )
        for k in (0, 4, 8)
    ]
    assert got == pytest.approx(math.exp(np.mean([ts for _, ts in model.pieces])), rel=1e-6)
    assert isinstance(got, float)
    assert model.resets == [0, 3]
    assert capsys.readouterr().out == "evaluating perplexity ...\n3 / 3\n"


def test_on_a_terminal_the_line_is_written_over(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    eval_perplexity(Reader(), np.arange(27), 2, 4)
    assert sys.stdout.getvalue() == "evaluating perplexity ...\n\r1 / 3\r2 / 3\r3 / 3\n"


def test_a_corpus_that_is_just_long_enough_and_one_that_is_not():
    eval_perplexity(Reader(), np.arange(9) % 2, 2, 4)
    message = (
        r"a corpus of 8 ids is too short for batch_size 2 and time_size 4: it needs 9; make one of the two smaller"
    )
    with pytest.raises(ValueError, match=message):
        eval_perplexity(Reader(), np.arange(8), 2, 4)
    with pytest.raises(ValueError, match="a corpus of 0 ids is too short"):
        eval_perplexity(Reader(), np.arange(0))
    for corpus in (np.ones(400), np.ones((2, 400), int)):
        with pytest.raises(ValueError, match=r"the corpus must be \(L,\) ids"):
            eval_perplexity(Reader(), corpus)
    with pytest.raises(ValueError, match="batch_size 0 and time_size 35 must be at least 1"):
        eval_perplexity(Reader(), np.arange(400), 0)


@pytest.mark.parametrize(
    ("loss", "expected"), [(0.0, 1.0), (800.0, math.inf), (math.inf, math.inf), (math.nan, math.nan)]
)
def test_perplexities_at_the_ends(loss, expected):
    class Constant:
        def forward(self, xs, ts):
            return loss

    np.testing.assert_equal(eval_perplexity(Constant(), np.arange(50), 2, 3), expected)


class Language:
    """Embedding, dropout, LSTM and affine layer, as in the book."""

    def __init__(self, rng):
        self.embed, self.drop = TimeEmbedding(rng.standard_normal((6, 3))), Dropout(0.5)
        self.lstm = TimeLSTM(rng.standard_normal((3, 16)), rng.standard_normal((4, 16)), np.zeros(16), stateful=True)
        self.affine, self.loss_layer = TimeAffine(rng.standard_normal((4, 6)), np.zeros(6)), TimeSoftmaxWithLoss()
        self.params, self.grads = [], []

    def forward(self, xs, ts):
        for layer in (self.embed, self.drop, self.lstm, self.affine):
            xs = layer.forward(xs)
        return self.loss_layer.forward(xs, ts)

    def reset_state(self):
        self.lstm.reset_state()


class WithFlag(Language):
    """The same, with the flag of the book's BetterRnnlm, which is on where nobody says otherwise."""

    def forward(self, xs, ts, train_flg=True):
        self.drop.train_flg = train_flg
        return super().forward(xs, ts)


@pytest.mark.parametrize("model_class", [Language, WithFlag])
@pytest.mark.parametrize("wrap", [lambda model: model, DataParallel])
def test_perplexity_is_measured_without_dropout_and_leaves_no_state(rng, model_class, wrap):
    model, corpus = model_class(rng), rng.integers(0, 6, 100)
    model.lstm.set_state(np.ones((7, 4)))  # of a batch of another size
    got = eval_perplexity(wrap(model), corpus, 3, 5)
    assert model.drop.train_flg
    assert model.lstm.h is None
    model.drop.dropout_ratio = 0.0
    rows = corpus[: 3 * 33].reshape(3, 33), corpus[1 : 3 * 33 + 1].reshape(3, 33)  # 30 of 33 are whole pieces of 5
    model.reset_state()
    assert got == pytest.approx(math.exp(model.forward(*(r[:, :30] for r in rows))), rel=1e-10)


# --- on a device -------------------------------------------------------------------------------------------

DEVICE = """
import types
import numpy
from numpy import *
from numpy import ndarray, dtype
cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=lambda: 1))

def unravel_index(indices, dims):
    if not isinstance(indices, ndarray):
        raise TypeError("CuPy wants an array here")
    return numpy.unravel_index(indices, dims)
"""


def test_the_gradient_check_finds_its_place_on_a_device(root, tmp_path):
    (tmp_path / "cupy.py").write_text(DEVICE, encoding="utf-8")
    script = """
        from common.np import GPU, np
        from common.gradient_check import gradient_check
        from common.layers import Affine
        print(GPU, gradient_check(Affine(np.ones((2, 3)), np.ones(3)), np.ones((4, 2))) < 1e-6)
    """
    environment = {**os.environ, "ATTENTION_GPU": "1", "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
    assert done.stdout.split() == ["True", "True"], done.stderr
