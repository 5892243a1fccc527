"""Learn additions: ``python -m ch07.train`` trains the plain, the reversed and the peeky model of chapter 7.

Source of the recipe: the book, sections 7.3.4 and 7.4.
"""

import argparse
import sys

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch07.training import Recipe, Task, add_training_flags, run_program, show_examples, train, with_flags, write_json

RECIPE = Recipe("book", epochs=25, hidden_size=128)
VARIANTS = {  # name: (model, is the question reversed?)
    "plain": (Seq2seq, False),
    "reversed": (Seq2seq, True),
    "peeky": (PeekySeq2seq, True),
}


def make_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ch07.train",
        description="Train the sequence-to-sequence models of chapter 7 on additions and compare them.",
    )
    parser.add_argument(
        "--variant",
        nargs="+",
        choices=list(VARIANTS),
        default=list(VARIANTS),
        help="plain Seq2seq, the same with reversed questions, PeekySeq2seq with reversed questions (default: all)",
    )
    parser.add_argument("--data", default="addition.txt", metavar="PATH", help="data file (default: addition.txt)")
    add_training_flags(parser, out="runs/ch07")
    return parser


def main(argv=None):
    """Train the variants asked for; write their weights and ``history.json``; return the exit code."""
    args = make_parser().parse_args(argv)
    recipe = with_flags(RECIPE, args)
    for name in args.variant:
        model_class, reverse = VARIANTS[name]
        task = Task(args.data, split=args.split or "grouped", reverse=reverse)
        folder = args.out / name
        run = train(
            model_class,
            task,
            recipe,
            seed=args.seed,
            out=folder,
            resume=args.resume,
            progress=not args.quiet,
            label=name,
        )
        weights = run.model.save_params(folder / "weights.npz")
        write_json(folder / "history.json", run.history)
        print(f"{name}: {task.accuracy(run.model):.1%} of the {len(task.x_test):,} test additions right")
        show_examples(run, 5)
        print(f"wrote {weights} and {folder / 'history.json'}")
        if run.interrupted:
            print(f"interrupted; go on with: python -m ch07.train --variant {name} --out {args.out} --resume")
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
