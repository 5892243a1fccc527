"""Draw where a model looks: ``python -m ch08.visualize_attention "may 20, 1985"`` writes a heatmap for each date.

Without dates it takes some that the model has never seen. Without weights it uses those that the course ships.
"""

import argparse
import re
import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:
    sys.exit("Run this from the root of the repository, as a module: python -m ch08.visualize_attention")

from ch08.explorer import PRETRAINED, explorer, load_pretrained, reader
from ch08.recipes import SYSTEMS
from ch08.recipes.dates import Dates
from common.plots import attention_heatmap, save_figure
from common.training.program import positive_int, run_program
from common.util import echo


def make_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ch08.visualize_attention", description="Draw the attention weights for some dates."
    )
    parser.add_argument("dates", nargs="*", metavar="DATE", help='such as "may 20, 1985" (default: unseen ones)')
    parser.add_argument("--count", type=positive_int, default=5, help="number of unseen dates (default: 5)")
    parser.add_argument("--system", choices=list(SYSTEMS), default="attention", help="(default: attention)")
    parser.add_argument(
        "--weights",
        type=Path,
        default=PRETRAINED,
        metavar="DIR",
        help="folder with SYSTEM/weights.npz, such as runs/ch08 (default: the shipped weights)",
    )
    parser.add_argument(
        "--explorer", action="store_true", help="also write the attention explorer's picture of each date, as SVG"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/attention"), metavar="DIR", help="(default: runs/attention)"
    )
    return parser


def main(argv=None):
    """Draw the heatmaps, say what was read; return the exit code."""
    args = make_parser().parse_args(argv)
    task = Dates()
    model = load_pretrained(args.system, args.weights)
    trim = not args.system.endswith("-book")  # the book's recipe learns questions with their padding
    read = reader(task.vocab, trim=trim)
    dates = args.dates or [task.text(row) for row in task.x_test[: args.count]]
    names = file_names(dates)
    answers = [read(model, date) for date in dates]  # all of them before the first file, so a bad one leaves none
    for date, name, (answer, confidence, weights) in zip(dates, names, answers, strict=True):
        if weights is None:
            raise ValueError(f"{args.system} has no attention to draw; choose another --system")
        path = save_figure(attention_heatmap(weights, date, answer), args.out / f"{name}.png")
        echo(f"{date} -> {answer}  (least sure character: {confidence.min():.0%})  {path}")
        if args.explorer:
            picture = explorer({"attention": model}, trim=trim).static(text=date, step=5, gold=True)
            path.with_suffix(".svg").write_text(picture.svg, encoding="utf-8")
    return 0


def file_names(texts):
    """Return a file name without ending for every text; texts that would get the same one are numbered."""
    names = []
    for text in texts:
        stem = re.sub(r"[^0-9A-Za-z]+", "-", text).strip("-").lower()[:60] or "empty"
        taken = sum(re.fullmatch(rf"{re.escape(stem)}(-\d+)?", name) is not None for name in names)
        name = f"{stem}-{taken + 1}" if taken else stem
        while name in names:
            taken += 1
            name = f"{stem}-{taken + 1}"
        names.append(name)
    return names


if __name__ == "__main__":
    sys.exit(run_program(main))
