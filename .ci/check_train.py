"""Check what `make train` printed and wrote: `python .ci/check_train.py LOG START`.

LOG holds its output, START is a file made before it began. The accuracy must be at least 99 %, ten examples must be
shown, and every file it says it wrote must be there, new and whole.
"""

import re
import sys
from pathlib import Path

import numpy as np

LEAST = 99.0  # percent of the held-out dates


def problems(log, start):
    """What is wrong, as a list of sentences."""
    accuracy = re.search(r"^([\d.]+)% of ([\d,]+) unseen questions right", log, re.M)
    if not accuracy:
        return ["the accuracy on unseen questions was not printed"]
    wrong = []
    if float(accuracy[1]) < LEAST:
        wrong.append(f"{accuracy[1]}% of the unseen dates are right, less than {LEAST}%")
    examples = re.findall(r"^  (?:right|WRONG)  ", log, re.M)
    if len(examples) != 10:
        wrong.append(f"{len(examples)} examples were shown, not 10")
    written = re.search(r"^wrote (.*)$", log, re.M)
    files = [Path(name) for name in written[1].split(", ")] if written else []
    kinds = sorted(path.suffix for path in files)
    if kinds != [".json", ".npz", ".png", ".png"]:
        wrong.append(f"expected weights, history, curve and heatmap, and it wrote {kinds}")
    for path in files:
        if not path.is_file():
            wrong.append(f"{path} is not there")
        elif path.stat().st_mtime < start:
            wrong.append(f"{path} is older than this run")
        elif path.suffix == ".png" and not path.read_bytes().endswith(b"IEND\xaeB\x60\x82"):
            wrong.append(f"{path} is not a whole PNG")
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                if not all(np.isfinite(arrays[name]).all() for name in arrays.files if arrays[name].dtype.kind == "f"):
                    wrong.append(f"{path} holds numbers that are not finite")
    return wrong


if __name__ == "__main__":
    log_path, start_path = map(Path, sys.argv[1:])
    found = problems(log_path.read_text(encoding="utf-8"), start_path.stat().st_mtime)
    for sentence in found:
        print("make train:", sentence)
    sys.exit(bool(found))
