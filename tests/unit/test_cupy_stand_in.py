"""The strict stand-in for CuPy refuses what CuPy refuses, and layers and optimizers run on it, forward and backward."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

STAND_IN = os.path.join("tests", "cupy_stand_in")


def run(root, script, gpu):
    """What a script prints, with the stand-in in place of CuPy, on the "GPU" or on NumPy."""
    environment = {name: value for name, value in os.environ.items() if name not in ("ATTENTION_GPU", "PYTHONPATH")}
    environment |= {"PYTHONPATH": f"{root}{os.pathsep}{root / STAND_IN}", "PYTHONUTF8": "1"}
    environment |= {"ATTENTION_GPU": "1"} if gpu else {}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the stand-in ---------------------------------------------------------------------------------

ALLOWED = """
    import copy, pickle
    import cupy, numpy

    h = numpy.arange(6.0).reshape(2, 3)
    d = cupy.asarray(h)
    e = d.copy()
    e += 1
    e[0] = 7
    e[:, numpy.array([0])] = 5  # CuPy copies indices to the device
    e[[0, 1], 0] = [5, 5]  # and, where an index is an array, lists of values
    total = cupy.zeros((2, 2))
    same = cupy.matmul(d, d.T, out=total)
    cupy.add.at(total, cupy.array([0, 0]), 1.0)
    checks = [
        isinstance(d, cupy.ndarray),
        not isinstance(d, numpy.ndarray),
        same is total,
        numpy.array_equal(total.get(), h @ h.T + [[2], [0]]),
        numpy.array_equal(d.get(), h),
        numpy.array_equal(e.get(), [[5, 7, 7], [5, 5, 6]]),
        numpy.array_equal((2 - d * numpy.float64(2)).get(), 2 - h * 2),
        numpy.array_equal(cupy.asnumpy(numpy.exp(d)), numpy.exp(h)),
        isinstance(numpy.sum(d, axis=0), cupy.ndarray),
        isinstance(d.sum(), cupy.ndarray),
        d.sum().shape == (),
        float(d.max()) == d.max().item() == 5.0,
        bool(d[0, 0] == 0),
        [10, 20, 30][d[0, 2].astype(int)] == 30,
        f"{d[1, 2]:.2f}" == "5.00",
        cupy.asarray(d) is d,
        cupy.array(d) is not d,
        isinstance(pickle.loads(pickle.dumps(d)), cupy.ndarray),
        numpy.array_equal(copy.deepcopy(d).get(), h),
        numpy.array_equal(cupy.asarray([d[0, 1], d[0, 2]]).get(), [1, 2]),
        numpy.array_equal(cupy.argsort(-d[0]).get(), [2, 1, 0]),
        [part.shape for part in cupy.split(d, 3, axis=1)] == [(2, 1)] * 3,
        [list(map(int, row)) for row in d] == [[0, 1, 2], [3, 4, 5]],
    ]
    print([k for k, right in enumerate(checks) if not right])
"""

REFUSED = {
    "numpy.asarray(d)": "TypeError: Implicit conversion",
    "numpy.array([d[0], d[1]])": "TypeError: Implicit conversion",
    "numpy.concatenate([h, d])": "TypeError: Unsupported type",
    "numpy.savetxt('x.txt', d)": "TypeError: no implementation found for 'numpy.savetxt'",
    "h.__setitem__(0, d[0])": "TypeError: Implicit conversion",
    "d.__setitem__(0, (1.0, 2.0, 3.0))": "ValueError: non-scalar",
    "d[0].__setitem__(..., [1.0, 2.0, 3.0])": "ValueError: non-scalar",
    "h[d[0].astype(int) > 0]": "TypeError: Implicit conversion",
    "h + d": "TypeError: Unsupported type",
    "d + h": "TypeError: Unsupported type",
    "d.__iadd__(h)": "TypeError: Unsupported type",
    "d.__setitem__(0, h[0])": "TypeError: Unsupported type",
    "d == h": "TypeError: Unsupported type",
    "h @ d.T": "TypeError: Unsupported type",
    "numpy.add(h, d)": "TypeError: Unsupported type",
    "cupy.exp(h)": "TypeError: Unsupported type",
    "cupy.sum(h)": "TypeError: Unsupported type",
    "cupy.where(d > 0, d, h)": "TypeError: Unsupported type",
    "cupy.concatenate([d, h])": "TypeError: Unsupported type",
    "cupy.matmul(d, d.T, out=numpy.zeros((2, 2)))": "TypeError: Unsupported type",
    "rng.permutation(d)": "TypeError: Implicit conversion",
    "rng.choice(d[0])": "TypeError: Implicit conversion",
    "rng.normal(d)": "TypeError: Implicit conversion",
    "rng.shuffle(d)": "UserWarning: you are shuffling",
    "numpy.random.permutation(d)": "TypeError: Implicit conversion",
    "numpy.random.shuffle(d)": "UserWarning: you are shuffling",
    "cupy.lexsort((h[0], h[1]))": "TypeError: cupy.lexsort takes a device array",
    "cupy.argsort(h)": "TypeError: cupy.argsort takes a device array",
    "cupy.argsort(d, kind='mergesort')": "ValueError: kind can only be",
    "cupy.unravel_index(3, (2, 3))": "TypeError: cupy.unravel_index takes a device array",
    "cupy.einsum('ij->i', d, out=d[0])": "TypeError: einsum() got an unexpected keyword",
    "cupy.sum(d, where=d > 1)": "TypeError: cupy.sum() got an unexpected keyword argument 'where'",
    "d.max(initial=0)": "TypeError: cupy.max() got an unexpected keyword argument 'initial'",
    "cupy.maximum.reduceat(d, [0])": "NotImplementedError: cupy.maximum.reduceat",
    "cupy.asarray(['text'])": "ValueError: Unsupported dtype",
    "cupy.errstate()": "AttributeError: module 'cupy' has no attribute 'errstate'",
    "cupy.vectorize": "AttributeError: module 'cupy' has no attribute 'vectorize'",
    "cupy.load('x.npy')": "AttributeError: module 'cupy' has no attribute 'load'",
    "hash(d)": "TypeError: unhashable type",
    "iter(d[0, 0])": "TypeError: iteration over a 0-d array",
}


def test_what_cupy_does_works(root):
    assert run(root, ALLOWED, gpu=True) == "[]\n"


def test_what_cupy_refuses_is_an_error(root):
    script = f"""
        import json
        import cupy, numpy

        h, rng, said = numpy.arange(6.0).reshape(2, 3), numpy.random.default_rng(0), []
        d = cupy.asarray(h)
        for expression in {list(REFUSED)!r}:
            try:
                said.append(f"no error: {{eval(expression)!r}}")
            except Exception as error:
                said.append(f"{{type(error).__name__}}: {{error}}")
        print(json.dumps(said))
    """
    said = json.loads(run(root, script, gpu=True))
    wrong = [(expression, got) for (expression, want), got in zip(REFUSED.items(), said) if not got.startswith(want)]
    assert wrong == []


# --- the library on it ----------------------------------------------------------------------------

# Every array that a call returns, as a list of numbers; the same script runs on NumPy, and the numbers agree.
BEGIN = """
    import json

    import numpy

    from common.np import np
    from common import layers, optimizer, time_layers, util
    from ch08.attention_layer import Attention, AttentionWeight, TimeAttention, WeightSum

    rng = numpy.random.default_rng(0)
    results = {}

    def randn(*shape):
        return np.asarray(rng.standard_normal(shape))

    def note(name, arrays):
        for array in arrays if isinstance(arrays, list | tuple) else [arrays]:
            if array is not None:
                assert isinstance(array, np.ndarray | np.floating | float), (name, type(array))
                results.setdefault(name, []).append(numpy.ravel(util.to_cpu(np.asarray(array))).tolist())

    def both(layer, *inputs, loss=False, name=None):
        name = name or type(layer).__name__
        for _ in range(2):  # a second call works with memory of the first
            out = layer.forward(*inputs)
            note(name, out)
            outs = out if isinstance(out, tuple) else (out,)
            note(name, layer.backward() if loss else layer.backward(*map(np.ones_like, outs)))
            note(name, layer.grads)

    N, T, D, H, V = 2, 3, 4, 5, 6
    x, xs = randn(N, D), randn(N, T, D)
    ids, ts = np.asarray(rng.integers(0, V, N)), np.asarray(rng.integers(0, V, (N, T)))
    hs, h, mask = randn(N, T, H), randn(N, H), np.asarray([[True, True, False], [True, True, True]])
"""
LAYERS = """
    both(layers.MatMul(randn(D, H)), x)
    both(layers.Affine(randn(D, H), randn(H)), x)
    both(layers.Softmax(), x)
    both(layers.SoftmaxWithLoss(), randn(N, V), ids, loss=True)
    both(layers.SoftmaxWithLoss(), randn(N, V), np.asarray(numpy.eye(V)[:N]), loss=True, name="one-hot")
    both(layers.Sigmoid(), x)
    both(layers.SigmoidWithLoss(), randn(N), np.asarray(numpy.array([1, 0])), loss=True)
    both(layers.Dropout(0.5, rng=numpy.random.default_rng(1)), x)
    both(layers.Embedding(randn(V, D)), ids)
"""
TIME_LAYERS = """
    for kind, gates in ("RNN", 1), ("LSTM", 4), ("GRU", 3):
        weights = [randn(D, gates * H), randn(H, gates * H), randn(gates * H)]
        states = [h, randn(N, H)] if kind == "LSTM" else [h]
        both(getattr(time_layers, kind)(*weights), x, *states)
        both(getattr(time_layers, "Time" + kind)(*weights), xs)
        both(getattr(time_layers, "Time" + kind)(*weights, stateful=True), xs, name=f"Time{kind}, stateful")
    weights = [array for _ in range(2) for array in (randn(D, 4 * H), randn(H, 4 * H), randn(4 * H))]
    both(time_layers.TimeBiLSTM(*weights), xs)
    both(time_layers.TimeEmbedding(randn(V, D)), ts)
    both(time_layers.TimeAffine(randn(D, H), randn(H)), xs)
    both(time_layers.TimeDropout(0.5, rng=numpy.random.default_rng(1)), xs)
    padded = np.asarray(numpy.array([[1, 2, -1], [3, -1, -1]]))
    both(time_layers.TimeSoftmaxWithLoss(), randn(N, T, V), padded, loss=True)
"""
ATTENTION = """
    both(WeightSum(), hs, randn(N, T))
    both(AttentionWeight(), hs, h)
    both(AttentionWeight(), hs, h, mask, name="AttentionWeight, mask")
    both(Attention(), hs, h)
    both(Attention(), hs, h, mask, name="Attention, mask")
    both(TimeAttention(), hs, randn(N, 4, H))
    both(TimeAttention(), hs, randn(N, 4, H), mask, name="TimeAttention, mask")
"""
OPTIMIZERS = """
    for name in "SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop", "Adam":
        made, params = getattr(optimizer, name)(), [randn(D, H), randn(H)]
        for _ in range(3):
            grads = [randn(D, H), randn(H)]
            util.clip_grads(grads, 1.0)
            made.update(params, grads)
        note(name, params)
"""


@pytest.mark.parametrize(
    "script", [LAYERS, TIME_LAYERS, ATTENTION, OPTIMIZERS], ids=["layers", "time", "attention", "opt"]
)
def test_the_library_computes_on_the_device_what_it_computes_on_the_host(root, script):
    script = BEGIN + script + "\n    print(np.__name__, json.dumps(results))"
    (device, got), (host, expected) = (run(root, script, gpu).split(" ", 1) for gpu in (True, False))
    assert (device, host) == ("cupy", "numpy")
    got, expected = json.loads(got), json.loads(expected)
    assert list(got) == list(expected) != []
    for name, arrays in expected.items():
        assert [len(array) for array in got[name]] == [len(array) for array in arrays], name
        for k, array in enumerate(arrays):
            assert got[name][k] == pytest.approx(array, rel=1e-9, abs=1e-12), (name, k)
