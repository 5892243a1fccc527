"""The array backend: NumPy by default, CuPy when asked for, a clear error where there is none; rng arguments."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from common import config
from common import np as backend

# A stand-in for CuPy: NumPy's functions under another name, with a runtime that counts devices.
FAKE_CUPY = """
import types
import numpy
from numpy import *
from numpy import random, ndarray, dtype

def __getattr__(name):
    return getattr(numpy, name)

def _count():
    {count}

cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=_count))
"""


def run(root, script, gpu=None, path=None):
    """Run a script in a process of its own, with ATTENTION_GPU set and a folder in front of the others."""
    environment = {n: v for n, v in os.environ.items() if n not in ("ATTENTION_GPU", "PYTHONPATH")}
    environment["PYTHONUTF8"] = "1"
    if gpu is not None:
        environment["ATTENTION_GPU"] = gpu
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)


def fake_cupy(folder, count="return 1"):
    (folder / "cupy.py").write_text(FAKE_CUPY.format(count=count), encoding="utf-8")
    return folder


def no_cupy(folder):
    """So that the tests mean the same on a machine that has CuPy."""
    (folder / "cupy.py").write_text("raise ImportError(\"No module named 'cupy'\")", encoding="utf-8")
    return folder


def last_line(result):
    return result.stderr.strip().splitlines()[-1]


def test_numpy_is_the_default():
    assert backend.np is np
    assert backend.GPU is config.GPU is False


def test_star_import_of_the_backend_gives_np_and_gpu():
    names = {}
    exec("from common.np import *", names)
    assert {n for n in names if not n.startswith("__")} == {"np", "GPU"}


@pytest.mark.parametrize("value", ["", "0", "no", None])
def test_what_does_not_ask_for_the_gpu(root, tmp_path, value):
    result = run(root, "from common.np import GPU, np; print(GPU, np.__name__)", value, fake_cupy(tmp_path))
    assert result.stdout.split() == ["False", "numpy"], result.stderr


@pytest.mark.parametrize("value", ["1", " True "])
def test_with_cupy_np_is_cupy(root, tmp_path, value):
    result = run(root, "from common.np import GPU, np; print(GPU, np.__name__)", value, fake_cupy(tmp_path))
    assert result.stdout.split() == ["True", "cupy"], result.stderr


def test_a_script_may_ask_for_the_gpu(root, tmp_path):
    script = """
        from common import config
        config.GPU = True
        from common.time_layers import *
        print(GPU, np.__name__)
    """
    result = run(root, script, path=fake_cupy(tmp_path))
    assert result.stdout.split() == ["True", "cupy"], result.stderr


def test_models_work_on_the_backend_that_was_asked_for(root, tmp_path):
    script = """
        from common.np import np
        from ch08.attention_seq2seq import AttentionSeq2seq
        from common.optimizer import Adam
        from common.util import clip_grads, eval_seq2seq, to_cpu, to_gpu
        model, optimizer = AttentionSeq2seq(7, 3, 4, rng=0), Adam()
        xs, ts = np.ones((2, 5), int), np.ones((2, 4), int)
        for _ in range(2):
            loss = model.forward(to_gpu(xs), to_gpu(ts))
            model.backward()
            clip_grads(model.grads, 1.0)
            optimizer.update(model.params, model.grads)
        eval_seq2seq(model, xs[:1], ts[:1], {i: str(i) for i in range(7)})
        print(np.__name__, float(to_cpu(loss)) > 0)
    """
    result = run(root, script, "1", fake_cupy(tmp_path))
    assert result.stdout.split() == ["cupy", "True"], result.stderr


@pytest.mark.parametrize(
    ("module", "make", "message"),
    [
        ("common.np", no_cupy, "CuPy cannot be imported: No module named 'cupy'. Install the CuPy build for your CUDA"),
        ("common.layers", lambda f: fake_cupy(f, "raise OSError('too old')"), "CUDA does not answer: too old"),
        ("ch08.attention_seq2seq", lambda f: fake_cupy(f, "return 0"), "none was found"),
    ],
)
def test_no_gpu_is_a_clear_error(root, tmp_path, module, make, message):
    result = run(root, f"import {module}", "1", make(tmp_path))
    assert result.returncode == 1
    line = last_line(result)
    assert line.startswith("RuntimeError: The GPU was asked for (common.config.GPU is True), ")
    assert message in line
    assert "set common.config.GPU = False and unset ATTENTION_GPU" in line
    assert "During handling" not in result.stderr
    assert "direct cause" not in result.stderr


def test_to_cpu_and_to_gpu():
    x = np.arange(3.0)
    assert backend.to_cpu(x) is x
    assert backend.to_gpu(x) is x
    np.testing.assert_array_equal(backend.to_cpu([1, 2]), [1, 2])
    np.testing.assert_array_equal(backend.to_gpu([1, 2]), [1, 2])

    class OnTheDevice:
        def get(self):
            return x

    assert backend.to_cpu(OnTheDevice()) is x


def test_rng_arguments():
    np.random.seed(3)
    expected = np.random.standard_normal(4)
    np.random.seed(3)
    np.testing.assert_array_equal(backend.default_rng().standard_normal(4), expected)
    for seed in (3, np.int64(3)):
        got = backend.default_rng(seed).standard_normal(4)
        np.testing.assert_array_equal(got, np.random.default_rng(3).standard_normal(4))
    for rng in (np.random.default_rng(1), np.random.RandomState(1), np.random):
        assert backend.default_rng(rng) is rng
    for bad in ("3", 3.0, [1]):
        with pytest.raises(TypeError, match=rf"rng must be .*, not {type(bad).__name__}"):
            backend.default_rng(bad)


@pytest.mark.parametrize("rng", [None, 5, np.random.RandomState(5)])
def test_draws_have_shape_scale_and_dtype(rng):
    x = backend.normal(rng, (200, 30), 0.1, np.float32)
    assert x.shape == (200, 30)
    assert x.dtype == np.float32
    assert x.std() == pytest.approx(0.1, rel=0.05)
    u = backend.uniform(rng, (50, 4))
    assert u.shape == (50, 4)
    assert 0 <= u.min() < 0.1
    assert 0.9 < u.max() < 1
