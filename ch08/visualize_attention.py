"""Draw where a model looks: ``python -m ch08.visualize_attention "may 20, 1985"`` writes a heatmap for each date.

Without dates it takes some that the model has never seen. Without weights it uses those that the course ships.
"""

import argparse
import re
import sys
from pathlib import Path

from ch07.training import Task, positive_int, run_program
from ch08.explorer import PRETRAINED, explorer, load_pretrained, reader
from common.plots import attention_heatmap, save_figure


def make_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ch08.visualize_attention", description="Draw the attention weights for some dates."
    )
    parser.add_argument("dates", nargs="*", metavar="DATE", help='such as "may 20, 1985" (default: unseen ones)')
    parser.add_argument("--count", type=positive_int, default=5, help="so many unseen dates (default: 5)")
    parser.add_argument(
        "--weights",
        type=Path,
        default=PRETRAINED,
        metavar="DIR",
        help="folder with attention.npz, such as runs/ch08 (default: the shipped weights)",
    )
    parser.add_argument(
        "--padded", action="store_true", help="hand questions over with their padding, as --recipe book learned them"
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
    task = Task("date.txt")
    model = load_pretrained("attention", args.weights)
    read = reader(task.vocab, trim=not args.padded)
    dates = args.dates or [task.text(row) for row in task.x_test[: args.count]]
    answers = [read(model, date) for date in dates]  # all of them before the first file, so a bad one leaves none
    for date, (answer, confidence, weights) in zip(dates, answers, strict=True):
        name = re.sub(r"[^0-9A-Za-z]+", "-", date).strip("-") or "empty"
        path = save_figure(attention_heatmap(weights, date, answer), args.out / f"{name}.png")
        print(f"{date} -> {answer}  (least sure character: {confidence.min():.0%})  {path}")
        if args.explorer:
            picture = explorer({"attention": model}, trim=not args.padded).static(text=date, step=6, gold=True)
            path.with_suffix(".svg").write_text(picture.svg, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
