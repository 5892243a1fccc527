"""Write the attention explorer as pages: ``python -m ch08.web``, then open ``runs/site/explorer/index.html``."""

import argparse
import sys
from pathlib import Path

from ch08.explorer import PRETRAINED
from ch08.web import write_explorer
from common.training.program import run_program
from common.util import echo


def make_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ch08.web",
        description="Write the attention explorer as two pages, of dates and of sentences, that need no server.",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/site/explorer"), metavar="DIR", help="(default: runs/site/explorer)"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        default=PRETRAINED,
        metavar="DIR",
        help="folder with SYSTEM/weights.npz, such as runs/ch08 (default: the shipped weights)",
    )
    return parser


def main(argv=None):
    """Write the page, say where it is; return the exit code."""
    args = make_parser().parse_args(argv)
    path = write_explorer(args.out, weights=args.weights)
    files = [file for file in path.parent.rglob("*") if file.is_file()]
    echo(f"wrote {path} and {len(files) - 1} files beside it, {sum(f.stat().st_size for f in files) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
