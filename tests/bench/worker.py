"""One contender in a process of its own: ``python -m tests.bench.worker JOB CONTENDER [SIZES]``, SIZES as JSON.

It builds its call, says hello, then answers each line on its input (a number of calls) with the seconds
of every call. All messages are JSON, one a line. It ends when its input closes.
"""

import json
import platform
import sys
import time

import numpy as np

from tests.bench.contenders import JOBS


def versions():
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    found = {
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "BLAS": f"{blas.get('name', '?')} {blas.get('version', '?')}",
    }
    if "torch" in sys.modules:
        found["PyTorch"] = sys.modules["torch"].__version__
    return found


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(job, contender, sizes="{}"):
    answers, sys.stdout = sys.stdout, sys.stderr  # what a contender prints must not mix with the answers

    def say(message):
        print(json.dumps(message), file=answers, flush=True)

    try:
        call, note = JOBS[job][contender](**json.loads(sizes))
    except ImportError as error:
        say({"missing": str(error)})
        return
    call()
    say({"note": note, "versions": versions()})
    for line in sys.stdin:
        call()  # bring caches and clock back after the pause; not counted
        say([timed(call) for _ in range(int(line))])


if __name__ == "__main__":
    main(*sys.argv[1:])
