"""Check what `make test` printed where PyTorch is not installed: `python .ci/check_test.py LOG`.

Its last line must say that tests passed and that none failed. Nothing may be skipped but comparisons with libraries and
data that the README does not install, and what root cannot test.
"""

import re
import sys
from pathlib import Path

FEWEST = 1500  # tests, cells of notebooks among them
MAY_BE_SKIPPED = re.compile(
    r": (PyTorch is not installed|mpi4py is not installed|there is no mpiexec|(sacreBLEU|spaCy) is not installed;.*"
    r"|Multi30k is not here:.*|root may write everywhere)$"
)


def problems(log):
    """What is wrong, as a list of sentences."""
    last = re.search(r"^=+ (.*) in [\d.]+s.*=+\s*$", log, re.M)
    if not last:
        return ["no closing line"]
    counts = {what: int(number) for number, what in re.findall(r"(\d+) (\w+)", last[1])}
    wrong = []
    if counts.get("passed", 0) < FEWEST:
        wrong.append(f"the closing line has {counts.get('passed', 0)} passed tests, fewer than {FEWEST}: {last[1]}")
    wrong += [
        f"the closing line says: {last[1]}" for what in ("failed", "error", "errors", "xfailed") if what in counts
    ]
    skipped = re.findall(r"^SKIPPED \[\d+\] (.*)$", log, re.M)
    wrong += [f"skipped: {line}" for line in skipped if not MAY_BE_SKIPPED.search(line)]
    return wrong


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for sentence in found:
        print("make test:", sentence)
    sys.exit(bool(found))
