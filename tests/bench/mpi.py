"""Two ranks of MPI against two threads: ``python -m tests.bench.mpi``; needs the extra ``mpi``.

Each run is a program of its own that trains for one epoch; they take turns. Compared are the seconds of training that
the histories tell, without those of starting and measuring. At most 1.1 is the goal. The same runs tell what a step
costs with any number of rows, the numbers that ``python -m common.scaling`` takes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from common.mpiexec import starter

GOAL = 1.1
THREADS = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"
# contender: ranks, threads of each, rows in a batch
CONTENDERS = {
    "2 ranks, 1 thread each": (2, 1, 128),
    "1 process, 2 threads": (1, 2, 128),
    "1 process, 1 thread": (1, 1, 128),
    "1 process, 1 thread, 32 rows": (1, 1, 32),
}


def run(ranks, threads, rows, system, data, out):
    """Train for one epoch -> (seconds of a step, its all-reduces or None)."""
    program = [sys.executable, "-m", "ch08.train", system, "--epochs", "1", "--batch-size", str(rows), "--quiet"]
    program += ["--out", str(out), *(["--data", str(data)] if data else [])]
    if ranks > 1:
        program = [starter() or "mpiexec", "-n", str(ranks), *program, "--mpi"]
    variables = os.environ | dict.fromkeys(THREADS, str(threads))
    subprocess.run(program, env=variables, stdout=subprocess.DEVNULL, check=True)
    history = json.loads((out / "history.json").read_text())
    last = history["epochs"][-1]
    return last["train_seconds"] / last["step"], history.get("ranks")


def main(argv=None):
    parser = argparse.ArgumentParser("python -m tests.bench.mpi", description=__doc__)
    parser.add_argument("--system", default="attention", help="default: %(default)s")
    parser.add_argument("--lines", type=int, default=12_000, help="dates to train with; 0: the system's own data")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="exit code 1 if the goal is missed")
    args = parser.parse_args(argv)
    seconds, sent = {name: [] for name in CONTENDERS}, None
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "dates.txt" if args.lines else None
        if data:
            command = [sys.executable, "-m", "dataset.make_dates", "--lines", str(args.lines), "--out", str(data)]
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        for number in range(args.rounds):
            for name, (ranks, threads, rows) in CONTENDERS.items():
                found, traffic = run(ranks, threads, rows, args.system, data, Path(folder) / "out")
                seconds[name].append(found)
                sent = traffic or sent
                print(f"round {number + 1}  {name:<30}{1000 * found:8.1f} ms a step", flush=True)
    ranks, threads, one, few = seconds.values()
    ratio = median(a / b for a, b in zip(ranks, threads, strict=True))
    print(f"\n{args.system}: 2 ranks / 2 threads {ratio:.3f}   goal: at most {GOAL}")
    print(f"2 ranks / 1 thread {median(a / b for a, b in zip(ranks, one, strict=True)):.3f}")
    print(f"all-reduces of a step: {sent['allreduces_per_step']:g}, {sent['bytes_per_step']:,.0f} bytes")
    per_row = (median(one) - median(few)) / (128 - 32)
    fixed = median(few) - 32 * per_row
    print(f"one thread: {1000 * per_row:.3f} ms for each row and {1000 * fixed:.1f} ms whatever the rows")
    print(
        f"python -m common.scaling --rows 128 --row {1000 * per_row:.3f} --fixed {1000 * max(fixed, 0):.1f} "
        f"--parameters {(sent['bytes_per_step'] - 20) / 4:.0f}"
    )
    return 1 if args.check and ratio > GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
