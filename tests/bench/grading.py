"""How long a class takes to be graded, and how much memory: ``python -m tests.bench.grading --students 30``.

Every student hands in the same notebook with all right answers. The grader runs as a teacher starts it; the memory is
that of its own process, not of the sandboxes, after a third of the class and at its highest. The goal is 30 hand-ins in
45 s with two workers on two idle cores.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common.grading.teacher.launch import COURSE

NOTEBOOK = COURSE / "notebooks" / "solutions" / "ch08_02_weight_sum.ipynb"


def measure(students, workers, folder):
    """Return (seconds, [(hand-ins graded, bytes of the grader's process), ...])."""
    import psutil

    for k in range(students):
        place = folder / "class" / f"student-{k:03}" / NOTEBOOK.name
        place.parent.mkdir(parents=True)
        place.write_bytes(NOTEBOOK.read_bytes())
    command = [sys.executable, "-m", "common.grading", "grade", str(folder / "class"), "--out", str(folder / "report")]
    begun, seen, log = time.monotonic(), [], folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "-n", str(workers)], cwd=COURSE, stdout=output, stderr=output)
        inside = psutil.Process(process.pid)
        while process.poll() is None:
            counts = re.findall(rf"(\d+)/{students}\b", log.read_text(encoding="utf-8", errors="replace"))
            try:
                seen.append((int(counts[-1]) if counts else 0, inside.memory_info().rss))
            except psutil.Error:
                break
            time.sleep(0.2)
        process.wait()
    seconds = time.monotonic() - begun
    rows = (folder / "report" / "scores.csv").read_text(encoding="utf-8").splitlines()[1:]
    if (
        process.returncode
        or len({row.split(",")[0] for row in rows}) != students
        or any(",pass," not in r for r in rows)
    ):
        raise SystemExit(f"The grader did not pass everybody:\n{log.read_text(encoding='utf-8')[-2000:]}")
    return seconds, seen


def main(arguments=None):
    """Print seconds and memory; return 1 if asked to check and 30 hand-ins would take longer than 45 s."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.grading", description=__doc__.split("\n")[0])
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("-n", "--workers", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="fail if it takes more than 1.5 s for each hand-in")
    options = parser.parse_args(arguments)
    if options.students < 3:
        parser.error("--students: at least 3")
    with tempfile.TemporaryDirectory() as folder:
        seconds, seen = measure(options.students, options.workers, Path(folder))
    third = next(memory for done, memory in seen if done >= options.students // 3)
    each, most = seconds / options.students, max(memory for _, memory in seen)
    print(f"{options.students} hand-ins, {options.workers} workers: {seconds:.1f} s, {each:.2f} s each")
    print(f"the grader's memory: {third / 2**20:.0f} MiB after a third, {most / 2**20:.0f} MiB at most")
    return 1 if options.check and seconds > 1.5 * options.students else 0


if __name__ == "__main__":
    sys.exit(main())
