"""How fast and how small: ``python -m tests.bench``.

Every contender runs in a process of its own (in one process the thread pools of OpenBLAS and PyTorch
disturb each other), one at a time, in turn A B C A B C, so that a slow minute of the machine hits all of
them. A round gives the median of its calls; the table shows the median over the rounds. A ratio is taken
within each round, then the median. Times in milliseconds belong to this machine and this minute; compare
ratios, and only within one run.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import geometric_mean, median

from tests.bench.contenders import JOBS, SCALE
from tests.bench.memory import attention_growth, training_peak_mb

THREADS = 2
THREAD_VARIABLES = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"
PAUSE = 0.05  # seconds, until the thread pool of the contender before has gone to sleep
TITLES = {
    "step": "Training step, N=128 T_enc=29 T_dec=10 D=16 H=256 V=59: forward, backward, clip, Adam",
    "step-bidirectional": "Training step of BiAttentionSeq2seq, sizes as above",
    "step-feeding": "Training step of InputFeedingSeq2seq, sizes as above",
    "step-same": "Training step of SameStepSeq2seq, sizes as above",
    "step-deep": "Training step of DeepAttentionSeq2seq with 4 layers, sizes as above",
    "step-bahdanau": "Training step of BahdanauSeq2seq, N=128 T_enc=T_dec=14 D=256 H=512, 7,800 and 5,900 words",
    "step-luong": "Training step of LuongSeq2seq with input feeding and a general score, sizes as for step-bahdanau",
    "step-luong-plain": "Training step of LuongSeq2seq with a dot product and no feeding, sizes as for step-bahdanau",
    "step-multi30k": "Training step of the LuongSeq2seq of multi30k-luong, N=64 T_enc=T_dec=16 D=192 H=320 V=4,004",
    "step-gnmt": "Training step of GNMT with 4 layers in encoder and decoder each, sizes as for step-multi30k",
    "step-transformer": "Training step of Transformer, N=128 T_enc=T_dec=14 D=256 H=512 V=5,900, 3+3 layers, 8 heads",
    "step-ntm": "Training step of NTM, copy of 20 vectors, N=32 T=41 H=100, memory 128 x 20, one head of each kind",
    "self-attention": "Causal self-attention without its projections, N=4 T=512 D=256, 8 heads: forward, backward",
    "attention": "TimeAttention, N=16 T_enc=T_dec=256 H=256: forward, backward",
    "general": "TimeAttention with a GeneralScore, N=16 T_enc=T_dec=256 H=256: forward, backward",
    "additive": "TimeAttention with an AdditiveScore, N=64 T_enc=30 T_dec=10 H=A=256: forward, backward",
    "additive-long": "TimeAttention with an AdditiveScore, N=16 T_enc=T_dec=256 H=A=256: forward, backward",
    "decode": "Greedy decode of 5,000 dates",
    "decode-transformer": "Greedy decode of 128 sentences by the Transformer of step-transformer, 40 words each",
    "beam": "Beam search of 1,000 sentences of 6 to 18 words, beam 5, 20 tokens, BahdanauSeq2seq D=H=256 V=3,000",
}
# Not additive-long: PyTorch needs 4 GB and half a minute a call. Not the translators: a round takes up to a minute.
DEFAULT = "step,step-bidirectional,step-feeding,step-same,step-deep,attention,general,additive,decode,memory,scaling"
CALLS = {"library": 10, "plain": 5, "torch": 10, "floor": 10, "batched": 1, "one by one": 1}  # in a round
SINGLE_CALLS = "additive-long", "beam"  # jobs whose calls take many seconds
# Jobs whose calls take about a second.
FEW_CALLS = dict.fromkeys(
    ("step-bahdanau", "step-luong", "step-luong-plain", "step-multi30k", "step-gnmt", "step-transformer"), 3
)
# job, contender, compared with, at most
GOALS = [
    ("step", "library", "torch", 1.0),
    ("step", "library", "plain", 0.55),
    ("step-bidirectional", "library", "torch", 1.0),
    ("step-feeding", "library", "torch", 1.0),
    ("step-same", "library", "torch", 1.0),
    ("step-deep", "library", "torch", 1.0),
    ("step-bahdanau", "library", "torch", 1.0),
    ("step-luong", "library", "torch", 1.0),
    ("step-luong-plain", "library", "torch", 1.0),
    ("step-multi30k", "library", "torch", 1.0),
    ("step-gnmt", "library", "torch", 1.0),
    ("step-transformer", "library", "torch", 1.0),
    ("step-ntm", "library", "torch", 1.0),
    ("step-ntm", "library", "one by one", 0.1),
    ("self-attention", "library", "torch", 1.0),
    ("decode-transformer", "library", "torch", 1.0),
    ("attention", "library", "plain", 1 / 25),
    ("attention", "library", "torch", 1.0),
    ("general", "library", "torch", 1.0),
    ("additive", "library", "torch", 1.0),
    ("additive-long", "library", "torch", 1.0),
    ("decode", "batched", "torch", 1.0),
    ("beam", "batched", "torch", 1.0),
    ("beam", "batched", "one by one", 0.1),
]
# The training step as work grows: one size at a time, the others as in "step".
GROWTH = {"T_enc": (16, 64, 256, 1024), "H": (64, 128, 512, 1024), "V": (1000, 5000, 20000), "N": (1, 8, 32, 512)}
MEAN_GOAL, WORST_GOAL = 1.0, 1.1
GROWTH_GOAL, TRAINING_GOAL_MB = 0.1, 700

HOW_TO_READ = """How to read this
  ms     median over the rounds, in brackets the fastest and the slowest round
  ratio  first / second, below 1 means that the first is faster; median of the ratios within each round
  plain  one layer object per step, as the book writes it; floor: the same matrix products and nothing else
  Times differ from machine to machine, ratios much less. Wide brackets: something else was running."""


class Contender:
    """A worker process that is asked for blocks of timed calls."""

    def __init__(self, job, name, sizes=None):
        self.name = name
        self.scale = SCALE.get((job, name), 1)
        self.rounds = []
        command = [sys.executable, "-m", "tests.bench.worker", job, name, json.dumps(sizes or {})]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hello = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"The contender {self.name!r} stopped, see its message above.")
        return json.loads(line)

    def run(self, calls):
        """One round: the median milliseconds of its calls."""
        time.sleep(PAUSE)
        self.process.stdin.write(f"{calls}\n")
        self.process.stdin.flush()
        self.rounds.append(median(self.read()) * 1000 * self.scale)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def race(job, rounds, quick):
    """All contenders of a job in turn -> {contender: milliseconds of every round}, versions."""
    print(f"\n{TITLES[job]}")
    contenders, versions = [], {}
    for name in JOBS[job]:
        contender = Contender(job, name)
        if "missing" in contender.hello:
            print(f"  {name:<11} SKIPPED: {contender.hello['missing']}")
            contender.close()
        else:
            versions |= contender.hello["versions"]
            contenders.append(contender)
    for number in range(rounds + 1):
        for contender in contenders:
            slow = job in SINGLE_CALLS or (contender.name == "plain" and job != "step")
            contender.run(1 if quick or slow or number == 0 else FEW_CALLS.get(job, CALLS[contender.name]))
    for contender in contenders:
        contender.close()
        del contender.rounds[0]  # the warm-up
        ms = contender.rounds
        spread = f"({min(ms):.1f} - {max(ms):.1f})"
        print(f"  {contender.name:<11}{median(ms):>10.1f} ms  {spread:<22}{contender.hello['note']}")
    return {contender.name: contender.rounds for contender in contenders}, versions


def scaling(rounds, goals):
    """The training step against PyTorch for growing sizes, with one thread and with two: a table of ratios."""
    print("\nTraining step as work grows: library / torch, one size changed at a time, others as above")
    print(f"  {'':<14}{'1 thread':>10}{'2 threads':>11}{'ms (2 threads)':>17}")
    found = {}
    for sizes in [{}, *({name: value} for name, values in GROWTH.items() for value in values)]:
        label = "".join(f"{name}={value}" for name, value in sizes.items()) or "as above"
        ratios = {}
        for threads in (1, 2):
            for name in THREAD_VARIABLES:
                os.environ[name] = str(threads)
            pair = [Contender("step", name, sizes) for name in ("library", "torch")]
            if "missing" in pair[1].hello:
                print("  not measured, PyTorch is not installed")
                return
            for number in range(rounds + 1):
                for contender in pair:
                    contender.run(1 if number == 0 else 3)
            for contender in pair:
                contender.close()
                del contender.rounds[0]
            ratios[threads] = median(a / b for a, b in zip(pair[0].rounds, pair[1].rounds, strict=True))
        found[label] = ratios
        print(f"  {label:<14}{ratios[1]:>10.2f}{ratios[2]:>11.2f}{median(pair[0].rounds):>17.1f}", flush=True)
    values = [ratio for ratios in found.values() for ratio in ratios.values()]
    goals.add("scaling: geometric mean / torch", geometric_mean(values), MEAN_GOAL)
    goals.add("scaling: worst entry / torch", max(values), WORST_GOAL)


class Goals:
    """Prints a figure beside its goal and remembers both."""

    def __init__(self):
        self.results = []

    def add(self, name, value, goal, unit=""):
        met = value <= goal
        self.results.append({"name": name, "value": value, "goal": goal, "met": met})
        inverse = f"  (1/{1 / value:.1f})" if not unit and 0 < value < 0.2 else ""
        verdict = "ok" if met else "MISSED"
        print(f"  {name:<35}{value:>8.3g}{unit}{inverse}   goal: at most {goal:.3g}{unit}   {verdict}")

    def fail(self, name, goal, why):
        self.results.append({"name": name, "value": None, "goal": goal, "met": False})
        print(f"  {name}: MISSED, {why}")


def compare(job, times, goals):
    for goal_job, first, second, goal in GOALS:
        if goal_job != job:
            continue
        name = f"{job}: {first} / {second}"
        if first in times and second in times:
            goals.add(name, median(a / b for a, b in zip(times[first], times[second], strict=True)), goal)
        elif first in times and second == "torch":
            print(f"  {name}: not measured, PyTorch is not installed")
        else:
            goals.fail(name, goal, "a contender is missing")
    for first, second in (("library", "floor"), ("torch", "floor"), ("batched", "plain")):
        if first in times and second in times:
            ratio = median(a / b for a, b in zip(times[first], times[second], strict=True))
            print(f"  {f'{job}: {first} / {second}':<35}{ratio:>8.3g}")


def measure_memory(goals):
    print("\nMemory")
    command = [sys.executable, "-m", "tests.bench.memory"]
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    name = "attention: growth with H"
    if child.returncode:
        goals.fail(name, GROWTH_GOAL, "see the message above")
    else:
        peaks = json.loads(child.stdout)
        base = peaks["base"]
        print(f"  attention peak {base / 1e6:.1f} MB at N=4, T_enc=T_dec=128, H=64", end="")
        print(f"; T doubled: x {peaks['T doubled'] / base:.2f}; H doubled: x {peaks['H doubled'] / base:.2f}")
        goals.add(name, attention_growth(peaks), GROWTH_GOAL)
        print("    (an array of shape (N, T_dec, T_enc, H) counts 1, one of shape (N, T, H) counts 1/128)")
    peak = training_peak_mb()
    if isinstance(peak, str):
        goals.fail("training: peak memory", TRAINING_GOAL_MB, peak)
    else:
        goals.add("training: peak memory", peak, TRAINING_GOAL_MB, " MB")


def parse_args(argv):
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m tests.bench", description=__doc__, formatter_class=raw)
    parser.add_argument("--quick", action="store_true", help="2 rounds of single calls: a rough look")
    parser.add_argument("--rounds", type=int, help="rounds to take the median of (default 6, with --quick 2)")
    parser.add_argument("--only", default=DEFAULT, help="default: %(default)s")
    parser.add_argument("--json", metavar="OUT", help="write all figures to this file")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a goal is missed")
    args = parser.parse_args(argv)
    args.only = args.only.split(",")
    unknown = set(args.only) - {*JOBS, "memory", "scaling"}
    if unknown:
        parser.error(f"--only: unknown {', '.join(sorted(unknown))}; choose from {', '.join(JOBS)}, memory, scaling")
    if args.rounds is None:
        args.rounds = 2 if args.quick else 6
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    return args


def main(argv=None):
    args = parse_args(argv)
    for name in THREAD_VARIABLES:
        os.environ[name] = str(THREADS)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    print(f"{os.cpu_count()} cores, {THREADS} threads, {args.rounds} rounds and a warm-up", end="")
    print("" if load is None else f", load before the start {load:.2f}")
    if load is not None and load > 0.5:
        print("Something else is running. OpenBLAS on all cores can become tens of times slower while another")
        print("program holds one of them, so trust these figures only if the brackets are narrow.")
    goals, times, versions = Goals(), {}, {}
    for job in JOBS:
        if job in args.only:
            times[job], found = race(job, args.rounds, args.quick)
            versions |= found
            compare(job, times[job], goals)
    if "memory" in args.only:
        measure_memory(goals)
    if "scaling" in args.only:
        scaling(args.rounds, goals)

    print(f"\n{HOW_TO_READ}")
    print("\n" + ", ".join(f"{name} {version}" for name, version in versions.items()))
    missed = [result["name"] for result in goals.results if not result["met"]]
    print(f"{len(goals.results) - len(missed)} of {len(goals.results)} goals met", end="")
    print(f"; missed: {', '.join(missed)}" if missed else ".")
    if args.json:
        record = {"versions": versions, "cores": os.cpu_count(), "threads": THREADS, "load": load}
        record |= {"rounds_ms": times, "goals": goals.results}
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
            file.write("\n")
    return 1 if args.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
