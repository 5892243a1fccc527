"""Memory: how the library's attention grows, and what training needs at its peak.

``python -m tests.bench.memory`` prints the traced peaks of the attention as JSON (the bench runs it in a
process of its own, which loads no more than that needs).
"""

import json
import os
import subprocess
import sys
import tempfile
import tracemalloc

import numpy as np

N = 4
SIZES = {"base": (128, 64), "T doubled": (256, 64), "H doubled": (128, 128)}  # (T, H)
TRAINING = ["-m", "ch08.train", "--epochs", "1", "--out"]


def attention_peak(T, H):
    """Bytes at the peak of a fresh TimeAttention, forward and backward, T_enc = T_dec = T."""
    from ch08.attention_layer import TimeAttention

    rng = np.random.default_rng(0)
    hs_enc, hs_dec, dout = (rng.standard_normal((N, T, H), dtype=np.float32) for _ in range(3))
    tracemalloc.start()
    layer = TimeAttention()
    layer.forward(hs_enc, hs_dec)
    layer.backward(dout)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def attention_growth(peaks):
    """Bytes per element of (N, T_dec, T_enc) that one more hidden unit costs, in elements.

    An array (N, T_dec, T_enc, H) costs 1 here, and a few arrays (N, T, H) cost a few times 1/T.
    """
    (T, H), (_, H2) = SIZES["base"], SIZES["H doubled"]
    return (peaks["H doubled"] - peaks["base"]) / ((H2 - H) * N * T * T * 4)


def training_peak_mb():
    """Peak memory of one epoch of ``python -m ch08.train`` in MB, or a str that says why there is none."""
    if not hasattr(os, "wait4"):
        return "this system does not report the peak memory of a child process"
    with tempfile.TemporaryDirectory() as out, tempfile.TemporaryFile("w+") as log:
        child = subprocess.Popen([sys.executable, *TRAINING, out], stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            log.seek(0)
            return f"training stopped with exit code {child.returncode}: {log.read()[-300:].strip()}"
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    attention_peak(2, 2)  # load everything first
    print(json.dumps({name: attention_peak(T, H) for name, (T, H) in SIZES.items()}))
