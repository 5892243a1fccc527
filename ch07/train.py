"""Learn additions: ``python -m ch07.train`` trains the plain, the reversed and the peeky model of chapter 7.

Every variant has a folder of its own under DIR. At the end DIR/curves.json holds the accuracy of each after every
epoch, with the command that made it.

Source of the recipe: the book, sections 7.3.4 and 7.4.
"""

import argparse
import shlex
import sys

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch07.training import (
    CHECKPOINT,
    Recipe,
    Task,
    add_training_flags,
    run_program,
    show_examples,
    train,
    versions,
    with_flags,
    write_json,
)

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


def curves(command, histories):
    """Return what ``curves.json`` holds. Args: command, a list of words; histories, a dict variant -> history."""
    same = [word for word in command if word not in ("--resume", "--quiet")]  # the result is the same without them
    runs = [
        {
            "model": name,
            "seed": history["seed"],
            "epochs": [{k: e[k] for k in ("epoch", "loss", "test_accuracy")} for e in history["epochs"]],
        }
        for name, history in histories.items()
    ]
    first = next(iter(histories.values()))
    return {
        "command": shlex.join(["python", "-m", "ch07.train", *same]),
        "versions": versions(),
        "recipe": first["recipe"]["name"],
        "split": first["split"],
        "runs": runs,
    }


def main(argv=None):
    """Train the variants asked for; write weights, ``history.json`` and ``curves.json``; return the exit code."""
    args = make_parser().parse_args(argv)
    recipe = with_flags(RECIPE, args)
    histories = {}
    for k, name in enumerate(args.variant):
        model_class, reverse = VARIANTS[name]
        task = Task(args.data, split=args.split or "grouped", reverse=reverse)
        folder = args.out / name
        begun = k == 0 or (folder / CHECKPOINT).is_file()  # the later ones may never have been reached
        run = train(
            model_class,
            task,
            recipe,
            seed=args.seed,
            out=folder,
            resume=args.resume and begun,
            progress=not args.quiet,
            label=name,
        )
        weights = run.model.save_params(folder / "weights.npz")
        write_json(folder / "history.json", run.history)
        print(f"{name}: {task.accuracy(run.model):.1%} of the {len(task.x_test):,} test additions right")
        show_examples(run, 5)
        print(f"wrote {weights} and {folder / 'history.json'}")
        if run.interrupted:
            print("Interrupted; what was learned is kept. Go on with the same command and --resume.")
            return 130
        histories[name] = run.history
    write_json(args.out / "curves.json", curves(sys.argv[1:] if argv is None else argv, histories))
    print(f"wrote {args.out / 'curves.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
