"""Compare the three models over several seeds: ``python -m ch08.compare``.

Every run has a folder of its own under DIR/runs, so an interrupted comparison goes on where it stopped. At the end
DIR/curves.json holds the accuracy of every run after every epoch, and DIR/curves.png shows it.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

from ch07.training import CHECKPOINT, positive_int, run_program, versions, with_flags, write_json
from ch08.train import MODELS, RECIPES, measure, run_recipe
from common.plots import accuracy_curves, save_figure

LABELS = {
    "seq2seq": "Seq2seq (one vector, seen once)",
    "peeky": "PeekySeq2seq (one vector, seen at every step)",
    "attention": "AttentionSeq2seq (all hidden states)",
}


def make_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ch08.compare", description="Train the three models over several seeds and draw their curves."
    )
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), help="(default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="(default: 0 1 2)")
    parser.add_argument("--recipe", choices=list(RECIPES), default="book", help="(default: book)")
    parser.add_argument("--data", default="date.txt", metavar="PATH", help="data file (default: date.txt)")
    parser.add_argument("--split", choices=("grouped", "random"), default="grouped", help="(default: grouped)")
    parser.add_argument("--epochs", type=positive_int, help="(default: the recipe's)")
    parser.add_argument("--hidden-size", type=positive_int, help="(default: the recipe's)")
    parser.add_argument("--batch-size", type=positive_int, help="(default: the recipe's)")
    parser.add_argument("--out", type=Path, default=Path("runs/compare"), metavar="DIR", help="(default: runs/compare)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def one_run(model, seed, recipe, args):
    """Train one model with one seed, or read the result if it is there; return the history, None if interrupted."""
    folder = args.out / "runs" / f"{model}-{seed}"
    result = folder / "history.json"
    if result.is_file():
        return json.loads(result.read_text(encoding="utf-8"))
    run = run_recipe(
        model,
        recipe,
        data=args.data,
        split=args.split,
        seed=seed,
        out=folder,
        resume=(folder / CHECKPOINT).is_file(),
        progress=not args.quiet,
        label=f"{model}, seed {seed}",
    )
    if run.interrupted:
        return None
    accuracy, score = measure(run)
    run.history["test_accuracy"] = accuracy
    if score:
        run.history["alignment"] = {"mass": round(score.mass, 4), "hit": round(score.hit, 4)}
    run.model.save_params(folder / f"{model}.npz", dtype="float16")
    write_json(result, run.history)
    return run.history


def main(argv=None):
    """Train what is missing, write the curves, print the table; return the exit code."""
    args = make_parser().parse_args(argv)
    recipe = with_flags(RECIPES[args.recipe], args)
    histories = {}
    for seed in args.seeds:
        for model in args.models:
            history = one_run(model, seed, recipe, args)
            if history is None:
                print("Interrupted; the same command goes on from here.")
                return 130
            histories.setdefault(model, []).append(history)
            best = max(e["test_accuracy"] for e in history["epochs"])
            print(f"{model:10} seed {seed}: best {best:.2%}, last {history['test_accuracy']:.2%}", flush=True)

    command = "python -m ch08.compare " + shlex.join(sys.argv[1:] if argv is None else argv)
    runs = [
        {
            "model": model,
            "seed": history["seed"],
            "epochs": [
                {k: e[k] for k in ("epoch", "loss", "test_accuracy", "train_seconds")} for e in history["epochs"]
            ],
            "alignment": history.get("alignment"),
        }
        for model, several in histories.items()
        for history in several
    ]
    write_json(
        args.out / "curves.json",
        {"command": command.strip(), "versions": versions(), "recipe": args.recipe, "split": args.split, "runs": runs},
    )
    curves = {LABELS[m]: [[e["test_accuracy"] for e in h["epochs"]] for h in hs] for m, hs in histories.items()}
    save_figure(accuracy_curves(curves), args.out / "curves.png")
    print(f"wrote {args.out / 'curves.json'} and {args.out / 'curves.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
