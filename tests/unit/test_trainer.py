"""Trainer and RnnlmTrainer: batches, the loop, interrupts, checkpoints."""

import io
import json
import math
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest

from ch07.seq2seq import Seq2seq
from common.base_model import BaseModel
from common.npz import load_arrays, save_arrays
from common.optimizer import SGD, Adam, Momentum
from common.time_layers import TimeAffine, TimeEmbedding, TimeLSTM, TimeSoftmaxWithLoss
from common.trainer import DivergedError, RnnlmTrainer, Trainer, shuffled_batches, warmup_cosine
from tests.unit.training_data import press_ctrl_c

pytestmark = pytest.mark.usefixtures("ctrl_c_is_heard")


def small_problem(seed=0):
    rng = np.random.default_rng(seed)
    return Seq2seq(6, 4, 8, rng=rng), rng.integers(0, 6, (64, 5)), rng.integers(0, 6, (64, 4))


def snapshot(model):
    return [p.copy() for p in model.params]


def assert_params(model, expected):
    for name, p, e in zip(model.param_names, model.params, expected, strict=True):
        np.testing.assert_array_equal(p, e, err_msg=name)


# --- batches ---------------------------------------------------------------------------------------------------


def test_shuffled_batches_hold_every_row_once_but_the_last_few():
    x = np.arange(10)
    seen = [a for a, b in shuffled_batches(x, x * 2, 3, rng=0) if (b == a * 2).all()]
    assert [len(a) for a in seen] == [3, 3, 3]
    assert len(set(np.concatenate(seen))) == 9
    assert not np.array_equal(np.concatenate(seen), np.arange(9))


def test_fewer_rows_than_a_batch_make_one_batch():
    x = np.arange(4)
    assert [sorted(a) for a, _ in shuffled_batches(x, x, 128, rng=0)] == [[0, 1, 2, 3]]


def test_warmup_cosine():
    rate = warmup_cosine(0.1, warmup_steps=10, total_steps=110)
    assert rate(1) == pytest.approx(0.01)
    assert rate(10) == pytest.approx(0.1)
    assert rate(60) == pytest.approx(0.05)
    assert rate(110) == pytest.approx(0, abs=1e-12)
    assert rate(500) == pytest.approx(0, abs=1e-12)


# --- fit -------------------------------------------------------------------------------------------------------


def test_fit_learns_prints_and_records(capsys):
    model, x, t = small_problem()
    trainer = Trainer(model, Adam(0.05))
    trainer.fit(x, t[:, [0, 1, 1, 1]], max_epoch=20, batch_size=16, max_grad=5.0, eval_interval=2, rng=0)
    assert len(trainer.loss_list) == 40
    assert trainer.loss_list[-1] < 0.8 * trainer.loss_list[0]
    assert trainer.current_epoch == 20
    out = capsys.readouterr().out
    assert out.isascii()  # it can be printed wherever a script's output goes
    lines = out.splitlines()
    assert lines[0].startswith("| epoch 1 |  iter 2 / 4 | time ")
    assert lines[-1].startswith("| epoch 20 |  iter 4 / 4 |")


def test_fit_takes_its_first_arguments_by_position_as_in_the_book():
    model, x, t = small_problem()
    trainer = Trainer(model, SGD())
    trainer.fit(x, t, 2, 16, 5.0, 4)
    assert (trainer.step, len(trainer.loss_list), trainer.eval_interval) == (8, 2, 4)


def test_fit_is_the_loop_that_a_reader_would_write():
    model, x, t = small_problem()
    mine, _, _ = small_problem()
    trainer = Trainer(model, Adam(0.01))
    trainer.fit(x, t, max_epoch=2, batch_size=16, eval_interval=1, rng=7, verbose=False)
    optimizer, rng, losses = Adam(0.01), np.random.default_rng(7), []
    for _ in range(2):
        for xb, tb in shuffled_batches(x, t, 16, rng):
            losses.append(mine.forward(xb, tb))
            mine.backward()
            optimizer.update(mine.params, mine.grads)
    assert_params(model, mine.params)
    assert trainer.loss_list == pytest.approx(losses)


def test_fit_follows_numpys_global_state_by_default():
    results = []
    for _ in range(2):
        np.random.seed(3)
        model = Seq2seq(6, 4, 8)
        _, x, t = small_problem()
        Trainer(model, SGD(0.1)).fit(x, t, max_epoch=2, batch_size=16, verbose=False)
        results.append(model.params)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


def test_fit_continues_to_count_epochs():
    model, x, t = small_problem()
    trainer = Trainer(model, SGD())
    trainer.fit(x, t, max_epoch=2, verbose=False)
    trainer.fit(x, t, max_epoch=1, verbose=False)
    assert trainer.current_epoch == 3
    assert trainer.step == 6


def test_schedule_and_callbacks():
    model, x, t = small_problem()
    rates, steps, epochs = [], [], []
    trainer = Trainer(model, SGD())
    trainer.fit(
        x,
        t,
        max_epoch=2,
        batch_size=32,
        schedule=lambda step: step / 100,
        on_step=lambda trainer, loss: (rates.append(trainer.optimizer.lr), steps.append((trainer.step, loss))),
        on_epoch=lambda trainer: epochs.append((trainer.current_epoch, trainer.epoch_loss)),
        verbose=False,
    )
    assert rates == [0.01, 0.02, 0.03, 0.04]
    assert [step for step, _ in steps] == [1, 2, 3, 4]
    losses = [loss for _, loss in steps]
    assert epochs == [(1, pytest.approx(np.mean(losses[:2]))), (2, pytest.approx(np.mean(losses[2:])))]


def test_a_loss_that_is_not_a_number_stops_before_the_update():
    model, _, t = small_problem()
    model.params[0][0] = np.nan
    before = snapshot(model)
    trainer = Trainer(model, Adam())
    with pytest.raises(DivergedError, match=r"the loss became nan in epoch 1, step 1\. Try a smaller learning rate"):
        trainer.fit(np.zeros((4, 5), int), t[:4], verbose=False)
    assert_params(model, before)
    assert trainer.step == 0
    assert not trainer.cut_off


def test_a_gradient_that_is_not_a_number_stops_before_the_update(monkeypatch):
    model, x, t = small_problem()
    before = snapshot(model)
    backward = Seq2seq.backward

    def spoil(self, dout=1):
        backward(self, dout)
        self.grads[2][0] = np.nan

    monkeypatch.setattr(Seq2seq, "backward", spoil)
    with pytest.raises(DivergedError, match="a gradient became infinite or NaN in epoch 1, step 1"):
        Trainer(model, Adam()).fit(x, t, max_grad=5.0, verbose=False)
    assert_params(model, before)


@pytest.mark.parametrize(
    ("x", "t", "kwargs", "message"),
    [
        ([1], [], {}, "x has 1 rows and t 0"),
        ([], [], {}, "x has 0 rows"),
        ([1], [1], {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ([1], [1], {"eval_interval": 0}, "eval_interval must be at least 1, got 0"),
    ],
)
def test_fit_refuses_sizes_that_make_no_sense(x, t, kwargs, message):
    with pytest.raises(ValueError, match=f"fit: {message}"):
        Trainer(Seq2seq(3, 2, 2), SGD()).fit(np.array(x), np.array(t), **kwargs)


def test_a_batch_size_above_the_data_makes_one_batch_of_all():
    model, x, t = small_problem()
    trainer = Trainer(model, SGD())
    trainer.fit(x, t, max_epoch=3, batch_size=1000, verbose=False)
    assert (trainer.step, trainer.count) == (3, 64)


def test_an_epoch_without_batches_says_so():
    model, x, t = small_problem()
    with pytest.raises(ValueError, match="epoch 1 has no batches"):
        Trainer(model, SGD()).fit(x, t, batches=lambda epoch: [], verbose=False)


def test_plot_draws_the_losses(monkeypatch):
    from matplotlib import pyplot as plt

    model, x, t = small_problem()
    trainer = Trainer(model, SGD())
    with pytest.raises(ValueError, match="no loss yet"):
        trainer.plot()
    trainer.fit(x, t, max_epoch=2, batch_size=16, eval_interval=2, verbose=False)
    monkeypatch.setattr(plt, "show", lambda: None)
    trainer.plot(ylim=(0, 3))
    assert plt.gca().lines[0].get_ydata().tolist() == trainer.loss_list
    assert plt.gca().get_ylim() == (0, 3)
    plt.close("all")


# --- batches with names and a count ----------------------------------------------------------------------------


@dataclass
class Batch:
    arrays: dict
    count: int


class Constant(BaseModel):
    """Its loss is the mean of the targets that count; it has one parameter, which does not change."""

    def __init__(self):
        self.w = TimeAffine(np.zeros((1, 1)), np.zeros(1))

    def forward(self, *, values):
        return values.mean()

    def backward(self, dout=1):
        return None


def test_batches_with_names_are_weighted_by_what_counts():
    batches = [Batch({"values": np.full(n, value)}, n) for n, value in ((1, 5.0), (3, 1.0), (6, 2.0))]
    trainer = Trainer(Constant(), SGD())
    trainer.fit([0], [0], max_epoch=2, eval_interval=3, batches=lambda epoch: batches, verbose=False)
    assert trainer.epoch_loss == pytest.approx(2.0)  # (5 + 3 + 12) / 10
    assert trainer.loss_list == pytest.approx([2.0, 2.0])
    assert trainer.count == 6


def test_named_arrays_and_tuples_train_alike():
    (model, x, t), (other, _, _) = small_problem(), small_problem()
    pairs = list(shuffled_batches(x, t, 16, rng=0))
    Trainer(model, Adam()).run_epoch(pairs, 1, max_grad=1.0)
    Trainer(other, Adam()).run_epoch([Batch({"ts": t, "xs": x}, t[:, 1:].size) for x, t in pairs], 1, max_grad=1.0)
    assert_params(model, other.params)


def test_an_array_that_two_layers_share_is_updated_once_with_both_gradients():
    class Tied(BaseModel):
        def __init__(self, tied):
            W = np.random.default_rng(0).standard_normal((4, 4))
            self.embed = TimeEmbedding(W)
            self.affine = TimeAffine(W if tied else W.copy(), np.zeros(4))
            self.loss = TimeSoftmaxWithLoss()

        def forward(self, xs, ts):
            return self.loss.forward(self.affine.forward(self.embed.forward(xs)), ts)

        def backward(self, dout=1):
            self.embed.backward(self.affine.backward(self.loss.backward(dout)))

    xs = np.random.default_rng(1).integers(0, 4, (5, 3))
    tied, untied = Tied(True), Tied(False)
    untied.forward(xs, xs)
    untied.backward()
    W, both = untied.params[0].copy(), untied.grads[0] + untied.grads[1]
    trainer = Trainer(tied, Momentum(0.1))
    trainer.run_epoch([(xs, xs)], 1)
    np.testing.assert_allclose(tied.params[0], W - 0.1 * both, rtol=1e-12)
    assert len(trainer.optimizer.state_dict()) == 4  # lr, iter, v of W and of b


# --- interrupts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_fit_after_a_whole_update(monkeypatch, capsys, times):
    model, x, t = small_problem()
    reference, _, _ = small_problem()
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at_step=3, times=times)
        trainer = Trainer(model, Adam())
        trainer.fit(x, t, max_epoch=5, batch_size=16, rng=1)
    assert trainer.interrupted
    assert (trainer.current_epoch, trainer.batch, trainer.step) == (1, 3, 3)
    assert "Stopped in epoch 1 after 3 steps" in capsys.readouterr().out
    pairs = list(shuffled_batches(x, t, 16, rng=np.random.default_rng(1)))[:3]
    Trainer(reference, Adam()).run_epoch(pairs, 1)
    assert_params(model, reference.params)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    trainer.fit(x, t, max_epoch=1, batch_size=16, rng=1, verbose=False)
    assert (trainer.interrupted, trainer.current_epoch) == (False, 2)


@pytest.mark.parametrize("where", ["forward", "update", "on_step"])
def test_a_third_ctrl_c_stops_at_once_and_nothing_is_saved(tmp_path, monkeypatch, where):
    model, x, t = small_problem()
    trainer, path = Trainer(model, Adam()), tmp_path / "a.npz"
    trainer.save(path)
    old = path.read_bytes()

    def press(*args):
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        pytest.fail("it went on")

    with monkeypatch.context() as patch:
        if where == "forward":
            patch.setattr(Seq2seq, "forward", press)
        elif where == "update":
            patch.setattr(Adam, "update", press)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(x, t, on_step=press if where == "on_step" else None, verbose=False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert trainer.cut_off
    with pytest.raises(RuntimeError, match="training was cut off within a step"):
        trainer.save(path)
    assert path.read_bytes() == old
    trainer.fit(x, t, max_epoch=1, verbose=False)
    with pytest.raises(RuntimeError, match="load an earlier checkpoint"):
        trainer.save(path)
    trainer.load(path)
    trainer.save(path)
    assert path.read_bytes() == old


def test_an_update_that_fails_halfway_is_not_saved(tmp_path):
    model, x, t = small_problem()
    trainer = Trainer(model, SGD())

    def fail(params, grads):
        params[0] += 1
        raise MemoryError

    trainer.optimizer.update = fail
    with pytest.raises(MemoryError):
        trainer.fit(x, t, verbose=False)
    with pytest.raises(RuntimeError, match="cut off"):
        trainer.save(tmp_path / "a.npz")


def test_an_error_in_a_callback_is_not_an_update_cut_off(tmp_path):
    model, x, t = small_problem()
    trainer = Trainer(model, SGD())

    def stop(trainer, loss):
        raise StopAsyncIteration

    with pytest.raises(StopAsyncIteration):
        trainer.fit(x, t, on_step=stop, verbose=False)
    trainer.save(tmp_path / "a.npz")
    assert trainer.step == trainer.batch == 1


def test_fit_stops_after_the_step_after_which_others_want_to(monkeypatch):
    """Several processes that train together ask each other after every step."""
    model, x, t = small_problem()
    trainer, asked = Trainer(model, Adam()), []
    trainer.agree = lambda pressed: asked.append(pressed) or len(asked) == 3
    trainer.fit(x, t, batch_size=16, verbose=False)
    assert (trainer.interrupted, trainer.step, asked) == (True, 3, [False, False, False])
    asked.clear()
    press_ctrl_c(monkeypatch, at_step=2)
    trainer.fit(x, t, batch_size=16, verbose=False)
    assert (trainer.step, asked) == (6, [False, True, True])


def test_ctrl_c_stays_ignored_where_it_was_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    model, x, t = small_problem()
    seen = []

    def on_step(trainer, loss):
        seen.append(signal.getsignal(signal.SIGINT))
        signal.raise_signal(signal.SIGINT)

    Trainer(model, SGD()).fit(x, t, max_epoch=1, on_step=on_step, verbose=False)
    assert seen == [signal.SIG_IGN] * 2


def test_fit_runs_outside_of_the_main_thread():
    model, x, t = small_problem()
    trainer = Trainer(model, SGD())
    thread = threading.Thread(target=lambda: trainer.fit(x, t, max_epoch=1, verbose=False))
    thread.start()
    thread.join()
    assert trainer.step == 2


TRAINING = """
import signal, sys, time
import numpy as np
from ch07.seq2seq import Seq2seq
from common.optimizer import Adam
from common.trainer import Trainer, shuffled_batches

signal.signal(signal.SIGINT, signal.default_int_handler)

def said(text):
    print(text, flush=True)

class Slow(Adam):
    def _step(self, p, g, *state):
        super()._step(p, g, *state)
        if self.iter == 3 and p.shape == (8, 6):  # all but the last parameter are new
            said("in update")
            end = time.monotonic() + (1.5 if sys.argv[2] != "3" else 60)
            while time.monotonic() < end:
                time.sleep(0.01)

rng = np.random.default_rng(0)
model, x, t = Seq2seq(6, 4, 8, rng=rng), rng.integers(0, 6, (64, 5)), rng.integers(0, 6, (64, 4))
trainer = Trainer(model, Slow(0.01))
try:
    trainer.run_epoch(shuffled_batches(x, t, 8, rng=1), 1)
except KeyboardInterrupt:
    said("KeyboardInterrupt")
said(f"interrupted {trainer.interrupted}")
try:
    trainer.save(sys.argv[1])
    said("saved")
except RuntimeError as error:
    said(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl-C alone")
@pytest.mark.parametrize("times", [1, 2, 3])
def test_ctrl_c_from_outside_in_the_middle_of_an_update(tmp_path, root, times):
    path = tmp_path / "a.npz"
    command = [sys.executable, "-c", TRAINING, str(path), str(times)]
    run = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "in update\n"
    for _ in range(times):
        run.send_signal(signal.SIGINT)
        time.sleep(0.2)  # two signals at once may arrive as one
    out, err = run.communicate(timeout=600)
    assert err == ""
    if times == 3:
        assert out.startswith("KeyboardInterrupt\ninterrupted False\ntraining was cut off within a step")
        assert not path.exists()
        return
    assert out.splitlines() == ["interrupted True", "saved"]
    rng = np.random.default_rng(0)
    model, x, t = Seq2seq(6, 4, 8, rng=rng), rng.integers(0, 6, (64, 5)), rng.integers(0, 6, (64, 4))
    whole = Trainer(model, Adam(0.01))
    whole.run_epoch(shuffled_batches(x, t, 8, rng=1), 1)
    resumed = Trainer(Seq2seq(6, 4, 8), Adam())
    resumed.load(path)
    assert resumed.step == resumed.batch == 3
    resumed.run_epoch(shuffled_batches(x, t, 8, rng=1), 1, skip=resumed.batch)
    assert_params(resumed.model, model.params)
    assert resumed.epoch_loss == pytest.approx(whole.epoch_loss)


# --- checkpoints -----------------------------------------------------------------------------------------------


def trained(seed=0, optimizer=None, model=None, epochs=1):
    problem, x, t = small_problem(seed)
    trainer = Trainer(model or problem, optimizer or Adam(0.01))
    trainer.fit(x, t, max_epoch=epochs, batch_size=16, eval_interval=2, rng=seed, verbose=False)
    return trainer


def state_of(trainer):
    names = "current_epoch", "batch", "step", "loss_list", "eval_interval", "epoch_loss", "cut_off"
    counters = json.dumps({name: getattr(trainer, name) for name in names} | {"vocab": trainer.model.vocab})
    state = {name: a.tobytes() for name, a in sorted(trainer.optimizer.state_dict().items())}
    return counters, state, [p.tobytes() for p in trainer.model.params]


def refuse(trainer, path, *parts, error=ValueError):
    """Loading must fail with a message that has all the parts, and change nothing."""
    before = state_of(trainer)
    with pytest.raises(error) as caught:
        trainer.load(path)
    for part in (str(path), *parts):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert state_of(trainer) == before


@pytest.mark.parametrize("optimizer", [SGD, Momentum, Adam])
def test_continuing_from_a_checkpoint_is_continuing(tmp_path, optimizer):
    whole, first = trained(optimizer=optimizer(0.01)), trained(optimizer=optimizer(0.01))
    whole.model.vocab = first.model.vocab = list("abcdef")
    extra = {"text": "Ж", "numbers": [1, 2.5, None, True]}
    first.save(tmp_path / "a.npz", extra)
    other = trained(seed=3, optimizer=optimizer(0.5), epochs=2)
    assert other.load(tmp_path / "a.npz") == extra
    assert state_of(other) == state_of(whole)
    _, x, t = small_problem()
    for trainer in (whole, other):
        trainer.fit(x, t, max_epoch=2, batch_size=16, rng=5, verbose=False)
    assert state_of(other) == state_of(whole)


def test_a_checkpoint_of_another_model_changes_nothing(tmp_path):
    trained().save(tmp_path / "a.npz")
    other = trained(model=Seq2seq(6, 4, 9, rng=0))
    refuse(other, tmp_path / "a.npz", "'encoder.lstm.Wx' is (4, 32) in the file and (4, 36) in the model")


def test_a_checkpoint_before_the_first_update(tmp_path):
    model, _, _ = small_problem()
    Trainer(model, Adam(0.5)).save(tmp_path / "a.npz")
    other = trained()
    other.load(tmp_path / "a.npz")
    assert (other.step, other.optimizer.iter, other.optimizer.lr) == (0, 0, 0.5)
    assert_params(other.model, model.params)


def test_vocabularies_of_checkpoints(tmp_path):
    path, trainer = tmp_path / "a.npz", trained()
    trainer.model.vocab = list("abcdef")
    trainer.save(path)
    other = trained(seed=1)
    other.model.vocab = list("abcfed")
    refuse(other, path, "id 3 is 'd' in the file and 'f' here")
    other.model.vocab = None
    other.load(path)
    assert other.model.vocab == tuple("abcdef")


B = "decoder.affine.b"


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({f"model/{B}": np.zeros(7)}, f"{B!r} is (7,) in the file and (6,) in the model"),
        ({f"model/{B}": np.zeros(6, complex)}, f"{B!r} holds complex128"),
        ({f"model/{B}": np.full(6, 1e300)}, f"{B!r} has numbers too large for float32"),
        ({f"model/{B}": None}, f"has no array {B!r}"),
        ({"model/more": np.zeros(1)}, "has an array that the model has not: 'more'"),
        ({"other": np.zeros(1)}, "has an array that a checkpoint has not: 'other'"),
        ({"optimizer/m.9": np.zeros(7)}, "does not fit this Adam: 'm.9' is (7,) in the file and (6,) in the model"),
        ({"optimizer/v.9": np.zeros(6, complex)}, "'v.9' holds complex128"),
        ({"optimizer/v.9": np.full(6, 1e300)}, "'v.9' has numbers too large for float32"),
        ({"optimizer/v.9": None}, "does not fit this Adam: it has no array 'v.9'"),
        ({"optimizer/v.10": np.zeros(6)}, "does not fit this Adam: it has an array that the model has not: 'v.10'"),
        ({"optimizer/h.0": np.zeros(6)}, "'h.0'"),
        ({"optimizer/lr": None}, "lr"),
        ({"optimizer/lr": np.array(np.nan)}, "'lr' is nan"),
        ({"optimizer/lr": np.array("fast")}, "'lr' is () of <U4 in the file, and must be a number"),
        ({"optimizer/lr": np.zeros(2)}, "'lr' is (2,) of float64"),
        ({"optimizer/iter": np.array(-1)}, "'iter' is -1"),
        ({"optimizer/iter": np.array(1.5)}, "'iter' is 1.5"),
        ({"trainer": None}, "is not a checkpoint of a Trainer"),
        ({"trainer": np.array('{"step": 3')}, "'trainer' is not the JSON of a checkpoint"),
        ({"trainer": np.array("[" * 100_000)}, "'trainer' is not the JSON of a checkpoint"),
        ({"trainer": np.array(["a", "b"])}, "'trainer' is not the JSON of a checkpoint"),
        ({"trainer": np.array(3.0)}, "'trainer' is not the JSON of a checkpoint"),
        ({"trainer": {"step": -1}}, "'step' in 'trainer' is -1"),
        ({"trainer": {"step": 1.5}}, "'step' in 'trainer' is 1.5"),
        ({"trainer": {"batch": True}}, "'batch' in 'trainer' is True"),
        ({"trainer": {"current_epoch": None}}, "'current_epoch' in 'trainer' is None"),
        ({"trainer": {"loss_list": [1, "x"]}}, "'loss_list' in 'trainer' is [1, 'x']"),
        ({"trainer": {"loss_list": [math.nan]}}, "'loss_list' in 'trainer' is [nan]"),
        ({"trainer": {"epoch": [1]}}, "'epoch' in 'trainer' is [1]"),
        ({"vocab": np.zeros(3)}, "the vocabulary in it is not a list of tokens"),
    ],
)
def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path, changes, part):
    path = tmp_path / "a.npz"
    trained(seed=2).save(path)
    arrays = load_arrays(path)
    for name, array in changes.items():
        if isinstance(array, dict):
            array = np.array(json.dumps(json.loads(arrays[name].item()) | array))
        arrays[name] = array
    save_arrays(path, {name: a for name, a in arrays.items() if a is not None})
    refuse(trained(), path, part)


def test_the_state_of_another_optimizer(tmp_path):
    path = tmp_path / "a.npz"
    trained(optimizer=Momentum()).save(path)
    refuse(trained(), path, "does not fit this Adam: it has no array 'm.0'")
    trained(optimizer=SGD()).save(path)
    refuse(trained(), path, "does not fit this Adam: it has made 4 updates and has no 'm'")
    trained().save(path)
    refuse(trained(optimizer=SGD()), path, "does not fit this SGD: it has an array that the model has not: 'm.0'")


def test_files_of_other_programs(tmp_path):
    trainer, path = trained(), tmp_path / "a.npz"
    refuse(trainer, path, "does not exist", error=FileNotFoundError)
    trainer.model.save_params(path)
    refuse(trainer, path, "is not a checkpoint of a Trainer")
    for data, part in (
        (b"", "is not an .npz file"),
        (b"PK\5\6" + bytes(18), "is not a checkpoint"),
        (b"\x80\4.", "is a pickle"),
        (b"\x89PNG", "not an .npz"),
    ):
        path.write_bytes(data)
        refuse(trainer, path, part)
    with io.BytesIO() as file:
        np.save(file, np.zeros(3))
        path.write_bytes(file.getvalue())
    refuse(trainer, path, "is not an .npz file")


def test_an_old_checkpoint_is_still_read(tmp_path):
    path, trainer = tmp_path / "a.npz", trained()
    trainer.save(path, {"a": 1})
    arrays = load_arrays(path)
    counters = json.loads(arrays["trainer"].item())
    del counters["epoch"], counters["eval_interval"]
    save_arrays(path, arrays | {"trainer": np.array(json.dumps(counters))})
    other = trained(seed=1)
    assert other.load(path) == {"a": 1}
    assert other.loss_list == trainer.loss_list


def test_damage_anywhere_in_a_checkpoint_is_noticed_or_changes_nothing(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "a.npz"
    source, trainer = trained(seed=2), trained()
    source.save(path, {"a": 1})
    data, right = path.read_bytes(), state_of(source)
    places = [*rng.integers(0, len(data), 50), *rng.integers(len(data) - 2000, len(data), 50)]
    for k, place in enumerate(map(int, places)):
        flipped = data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]
        path.write_bytes(data[:place] if k % 2 else flipped)
        before = state_of(trainer)
        try:
            trainer.load(path)
        except ValueError:
            assert state_of(trainer) == before
        else:
            assert state_of(trainer) == right
            trainer = trained()


class Odd:
    pass


@pytest.mark.parametrize(
    ("extra", "part"),
    [
        ({"a": [1, {"b": math.nan}]}, "extra['a'][1]['b'] is nan"),
        ({"a": math.inf}, "extra['a'] is inf"),
        ({"a": np.float32(1)}, "extra['a'] is of type float32"),
        ({"a": np.zeros(2)}, "extra['a'] is of type ndarray"),
        ({"a": Odd()}, "extra['a'] is of type Odd"),
        ({1: 2}, "extra has the key 1, which is not a string"),
        ({"a": {1, 2}}, "extra['a'] is of type set"),
        (b"x", "extra is of type bytes"),
    ],
)
def test_what_json_cannot_hold_is_refused_before_anything_is_written(tmp_path, extra, part):
    trainer, path = trained(), tmp_path / "a.npz"
    with pytest.raises(ValueError, match="a checkpoint keeps extra as JSON") as caught:
        trainer.save(path, extra)
    assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_optimizer_without_a_state(tmp_path):
    class Own:
        def update(self, params, grads):
            for p, g in zip(params, grads, strict=True):
                p -= 0.1 * g

    trainer = trained(optimizer=Own())
    with pytest.raises(TypeError, match=r"Own has no state_dict\(\)"):
        trainer.save(tmp_path / "a.npz")


# --- language models -------------------------------------------------------------------------------------------


class Rnnlm(BaseModel):
    def __init__(self, vocab_size, wordvec_size, hidden_size, seed=0):
        V, D, H = vocab_size, wordvec_size, hidden_size
        rng = np.random.default_rng(seed)
        self.layers = [
            TimeEmbedding(rng.standard_normal((V, D)) / 10),
            TimeLSTM(
                rng.standard_normal((D, 4 * H)) / D**0.5,
                rng.standard_normal((H, 4 * H)) / H**0.5,
                np.zeros(4 * H),
                stateful=True,
            ),
            TimeAffine(rng.standard_normal((H, V)) / H**0.5, np.zeros(V)),
        ]
        self.loss = TimeSoftmaxWithLoss()

    def forward(self, xs, ts):
        for layer in self.layers:
            xs = layer.forward(xs)
        return self.loss.forward(xs, ts)

    def backward(self, dout=1):
        dout = self.loss.backward(dout)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)

    def reset_state(self):
        self.layers[1].reset_state()


# 0 0 1 0 2 0 3: what follows a 0 is known from what came before it only
CORPUS = np.tile([0, 0, 1, 0, 2, 0, 3], 60)


def test_a_language_model_learns_a_repeated_sequence(capsys, monkeypatch):
    from matplotlib import pyplot as plt

    trainer = RnnlmTrainer(Rnnlm(4, 6, 16), Adam(0.02))
    with pytest.raises(ValueError, match="no perplexity yet"):
        trainer.plot()
    trainer.fit(CORPUS[:-1], CORPUS[1:], 16, 5, 7, max_grad=1.0, eval_interval=11)
    assert trainer.ppl_list[0] > 2.5
    assert trainer.ppl_list[-1] < 1.05
    assert len(trainer.ppl_list) == 16
    assert trainer.current_epoch == 16
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.splitlines()[0].startswith("| epoch 1 |  iter 11 / 11 | time ")
    assert f"| perplexity {trainer.ppl_list[-1]:.2f}" in out.splitlines()[-1]
    monkeypatch.setattr(plt, "show", lambda: None)
    trainer.plot(ylim=(1, 4))
    assert plt.gca().lines[0].get_ydata().tolist() == trainer.ppl_list
    plt.close("all")


def test_streams_go_on_from_batch_to_batch_and_wrap():
    x = np.arange(10)
    trainer = RnnlmTrainer(Rnnlm(10, 2, 2), SGD())
    batches = [trainer.get_batch(x, x + 1, 2, 3) for _ in range(3)]
    assert [xs.tolist() for xs, _ in batches] == [
        [[0, 1, 2], [5, 6, 7]],
        [[3, 4, 5], [8, 9, 0]],
        [[6, 7, 8], [1, 2, 3]],
    ]
    assert all((ts == xs + 1).all() for xs, ts in batches)
    assert trainer.time_idx == 9


def test_fit_begins_at_the_beginning_and_runs_over_the_end_from_epoch_to_epoch():
    seen = []

    class Watched(Rnnlm):
        def forward(self, xs, ts):
            seen.append(xs[0].tolist())
            return super().forward(xs, ts)

    trainer = RnnlmTrainer(Watched(8, 2, 2), SGD())
    text = np.arange(8)
    for _ in range(2):
        trainer.fit(text[:-1], text[1:], max_epoch=2, batch_size=2, time_size=2, eval_interval=None, verbose=False)
    assert seen == [[0, 1], [2, 3]] * 2
    assert trainer.ppl_list == []
    assert trainer.current_epoch == 4


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"time_size": 0}, "time_size must be at least 1"),
        ({"eval_interval": 0}, "eval_interval must be at least 1"),
        ({"batch_size": 12}, "a text of 9 ids cannot be cut into 12 streams"),
    ],
)
def test_rnnlm_sizes_that_make_no_sense(kwargs, message):
    trainer = RnnlmTrainer(Rnnlm(4, 2, 2), SGD())
    with pytest.raises(ValueError, match=f"fit: {message}"):
        trainer.fit(CORPUS[:9], CORPUS[1:10], **kwargs)
    with pytest.raises(ValueError, match="x has 9 rows and t 8"):
        trainer.fit(CORPUS[:9], CORPUS[1:9])
    with pytest.raises(ValueError, match="x has 0 rows"):
        trainer.fit(CORPUS[:0], CORPUS[:0])


def test_a_text_shorter_than_a_batch_is_read_again_and_again():
    trainer = RnnlmTrainer(Rnnlm(4, 2, 2), SGD())
    trainer.fit(CORPUS[:9], CORPUS[1:10], max_epoch=2, batch_size=2, time_size=35, eval_interval=1, verbose=False)
    assert len(trainer.ppl_list) == 2


def test_ctrl_c_ends_a_language_models_training_after_a_whole_update(monkeypatch, capsys):
    press_ctrl_c(monkeypatch, at_step=4, times=2)
    trainer = RnnlmTrainer(Rnnlm(4, 2, 2), Adam())
    trainer.fit(CORPUS[:-1], CORPUS[1:], 5, 5, 7)
    assert trainer.interrupted
    assert trainer.trainer.step == 4
    assert capsys.readouterr().out.startswith("Stopped in epoch 1 after 4 steps")


def test_a_perplexity_beyond_all_floats_is_large():
    trainer = RnnlmTrainer(Rnnlm(4, 2, 2), SGD(0.0))
    trainer.model.layers[2].params[1][0] = -1e6
    trainer.fit(CORPUS[:-1], CORPUS[1:], 1, 5, 7, eval_interval=1, verbose=False)
    assert min(trainer.ppl_list) > 1e300
