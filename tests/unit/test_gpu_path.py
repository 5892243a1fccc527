"""The whole path on a GPU, played with a strict stand-in for CuPy: its arrays refuse to become NumPy arrays in silence.

Each system trains two steps, decodes, is saved, loaded and resumed, and feeds the explorer. On a machine with a GPU,
`ATTENTION_REAL_GPU=1 pytest tests/unit/test_gpu_path.py` takes CuPy itself.
"""

import os
import subprocess
import sys

import pytest

from ch07.train import SYSTEMS as CH07
from ch08.recipes import dates
from tests.unit.training_data import write_dates

TRAIN = """
import sys
from pathlib import Path
from ch08.train import main
from common.np import GPU, np
assert GPU and np.__name__ == "cupy"
name, data, out = sys.argv[1:]
words = [name, "--data", data, "--epochs", "2", "--hidden-size", "8", "--batch-size", "72", "--quiet", "--out", out]
assert main(argv=words) == 0
assert main(argv=[*words, "--resume"]) == 0

from ch08.explorer import explorer, reader
from ch08.recipes import SYSTEMS
from common.training.run import train
from dataset import sequence

options = dict(sizes={"hidden_size": 8}, options={"data": data}, progress=False, out=Path(out) / "again")
run = train(SYSTEMS[name], name, **options)
assert len(run.history["epochs"]) == SYSTEMS[name].recipe.epochs
assert all(isinstance(p, np.ndarray) for p in run.model.params)
weights = run.model.save_params(Path(out) / "again.npz", dtype="float16")
other = SYSTEMS[name].model(run.task, rng=1, hidden_size=8)
other.load_params(weights)
xs = run.task.x_test
assert (run.task.decode(run.model, xs) == run.task.decode(run.model, xs)).all()
assert set(run.task.measure(other)) >= {"exact_match"}
generated = run.model.generate(np.asarray(xs[:1]), run.task.start_id, 10)
assert len(generated) == 10
picture = explorer({name: run.model}).static(text="may 1, 1990", step=3)
assert picture.svg.startswith("<svg")
print("all on the device")
"""

REMEMBER = """
import sys
from dataclasses import replace
from functools import partial
from ch08.recipes.memory import SYSTEMS
from common.np import GPU, np
from common.training.program import train_main
assert GPU and np.__name__ == "cupy"
name, out = sys.argv[1:]
task = partial(SYSTEMS[name].task, steps_per_epoch=2, test_size=4)
systems = {name: replace(SYSTEMS[name], task=task, recipe=replace(SYSTEMS[name].recipe, epochs=1, batch_size=4))}
words = ["--hidden-size", "8", "--quiet", "--out", out]
assert train_main(systems, name, program="p", out=out, argv=words) == 0
assert train_main(systems, name, program="p", out=out, argv=[*words, "--epochs", "2", "--resume"]) == 0
print("all on the device")
"""

ADD = """
import sys
from ch07.train import main
data, out = sys.argv[1:]
words = ["--data", data, "--epochs", "1", "--hidden-size", "8", "--batch-size", "72", "--quiet", "--out", out]
assert main(argv=words) == 0
print("all on the device")
"""

CHECK = """
from ch08.attention_seq2seq import AttentionSeq2seq
from common.gradient_check import gradient_check
from common.np import np
from common.util import eval_seq2seq
model = AttentionSeq2seq(5, 2, 3, dtype=np.float64, rng=0)
xs, ts = np.array([[1, 2, 3]]), np.array([[0, 4, 2]])
print("relative error", gradient_check(model, xs, ts) < 1e-6)
assert eval_seq2seq(model, xs, ts, dict(enumerate("abcde")), verbose=True, is_reverse=True) in (0, 1)
from common.optimizer import Adam
from common.trainer import Trainer
trainer = Trainer(model, Adam())
trainer.fit(np.tile(xs, (6, 1)), np.tile(ts, (6, 1)), max_epoch=2, batch_size=3, max_grad=5.0, eval_interval=1, rng=0)
print("all on the device")
"""

WRITE = """
from ch08.attention_seq2seq import AttentionSeq2seq
from common.decoding import beam, forced_log_probs, greedy
from common.metrics import bleu, exact_match, perplexity
from common.np import np
model = AttentionSeq2seq(9, 4, 6, rng=0)
xs = np.array([[3, 4, 5, 0], [5, 6, 7, 8], [8, 0, 0, 0]])
ids, probs, weights = greedy(model, xs, 1, 5, chunk_size=2, end_id=2, pad_id=0)
assert isinstance(ids, np.ndarray) and weights.shape == (3, ids.shape[1], 4)
hypotheses = beam(model, xs, 1, 2, 5, beam_size=3, n_best=2, chunk_size=2, pad_id=0)
assert [len(row) for row in hypotheses] == [2, 2, 2]
covering = beam(model, xs, 1, 2, 5, beam_size=3, coverage_penalty=0.2, chunk_size=2, pad_id=0)
assert all(row[0].score < 0 for row in covering)
ts = np.concatenate((np.full((3, 1), 1), ids), axis=1)
log_probs = forced_log_probs(model, xs, ts, own_tokens=True, pad_id=0)
assert perplexity(-log_probs.mean()) > 1
assert exact_match(ids, ids) == 1
assert bleu(ids, [row[0].ids for row in hypotheses]).score <= 100
print("all on the device")
"""

TRANSLATE = """
from ch08.bahdanau_seq2seq import BahdanauSeq2seq
from ch08.gnmt import GNMT
from ch08.luong_seq2seq import LuongSeq2seq
from ch08.transformer import Transformer
from common.decoding import beam, greedy
from common.np import np
from common.optimizer import Adam
xs, ts = np.array([[4, 5, 6, 3], [5, 4, 0, 0]]), np.array([[1, 4, 5, 2], [1, 6, 2, 0]])
for model in (
    BahdanauSeq2seq(9, 8, 4, 6, dropout=0.3, teacher_forcing=0.5, rng=0),
    LuongSeq2seq(9, 8, 4, 6, dropout=0.3, rng=0),
    LuongSeq2seq(9, 8, 4, 6, score="concat", input_feeding=True, rng=0),
    GNMT(9, 8, 4, 6, layers=3, dropout=0.3, rng=0),
    Transformer(9, 8, 4, 6, heads=2, dropout=0.3, label_smoothing=0.1, rng=0),
    Transformer(9, 9, 4, 6, heads=2, pre_norm=False, positions="learned", tied="all", rng=0),
):
    optimizer = Adam()
    for _ in range(6):
        model.forward(xs, ts)
        model.backward()
        optimizer.update(model.params, model.grads)
    assert all(isinstance(p, np.ndarray) for p in model.params)
    assert greedy(model, xs, 1, 5, end_id=2, pad_id=0).weights.shape[2] == 4
    assert len(beam(model, xs, 1, 2, 5, beam_size=3, pad_id=0)) == 2
    assert len(model.generate(xs[:1], 1, 3)) == 3
print("all on the device")
"""


def run_on_the_device(root, code, *words):
    folders = [root] if os.environ.get("ATTENTION_REAL_GPU") else [root / "tests/cupy_stand_in", root]
    libraries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    env = {**os.environ, "ATTENTION_GPU": "1", "PYTHONPATH": os.pathsep.join([*map(str, folders), *libraries])}
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith("all on the device\n")


# Of the other systems one for each model and score: the rest differs in numbers only.
OTHERS = ("bidirectional", "input-feeding", "same-step", "deep", "general", "additive")


@pytest.mark.parametrize("name", [*dates.SYSTEMS, *OTHERS])
def test_a_system_trains_on_the_device(root, tmp_path, name):
    data = write_dates(tmp_path / "dates.txt")
    run_on_the_device(root, TRAIN, name, data, tmp_path / "out")


@pytest.mark.parametrize("name", ["ntm-recall", "lstm-recall"])
def test_a_memory_task_trains_on_the_device(root, tmp_path, name):
    run_on_the_device(root, REMEMBER, name, tmp_path / "out")


def test_additions_are_learned_on_the_device(root, tmp_path, additions_file):
    assert list(CH07) == ["plain", "reversed", "peeky"]
    run_on_the_device(root, ADD, additions_file, tmp_path / "out")


def test_checking_and_fitting_on_the_device(root):
    run_on_the_device(root, CHECK)


def test_decoding_and_metrics_on_the_device(root):
    run_on_the_device(root, WRITE)


def test_translation_models_on_the_device(root):
    run_on_the_device(root, TRANSLATE)
