"""Learn to read dates: ``python -m ch08.train`` trains AttentionSeq2seq (or a model without attention) and shows it.

Four recipes: ``book`` is that of the book, section 8.3; ``fast`` reaches the same accuracy in a fraction of the time;
``aligned`` is ``fast`` changed so that the attention shows more clearly where each digit comes from; ``guided`` is
``aligned``, but for one training question in a hundred it is told where.
"""

import argparse
import functools
import sys
from dataclasses import replace

from ch07.peeky_seq2seq import PeekySeq2seq
from ch07.seq2seq import Seq2seq
from ch07.training import (
    Recipe,
    Task,
    add_training_flags,
    run_program,
    show_examples,
    train,
    with_flags,
    write_json,
)
from ch08.alignment import alignment_score, gold_alignment
from ch08.attention_seq2seq import AttentionSeq2seq
from common.np import np
from common.plots import attention_heatmap, learning_curve, save_figure

MODELS = {"seq2seq": Seq2seq, "peeky": PeekySeq2seq, "attention": AttentionSeq2seq}
RECIPES = {
    "book": Recipe("book", epochs=10, hidden_size=256),
    "fast": Recipe(
        "fast",
        epochs=1,
        hidden_size=256,
        batch_size=72,
        learning_rate=0.004,
        warmup_steps=100,
        trim=True,
        padded=0.1,
        noise=0.15,
        weight_decay=0.1,
        beta2=0.99,  # so that the small gradients of the end are not measured against the large ones of the start
    ),
}
RECIPES["aligned"] = replace(
    RECIPES["fast"], name="aligned", epochs=2, warmup_steps=150, hide=0.97, explore=0.2, word_dropout=0.2
)
RECIPES["guided"] = replace(RECIPES["aligned"], name="guided", labeled=450)


def prepare_fast(model, rng):
    """Change a new model's first weights for the fast recipe, so that the attention has something to choose from.

    Dot-product attention can prefer one hidden state to another only once they differ. The book's word vectors
    (standard deviation 0.01) make all hidden states small and alike, and most of its first epochs go into growing them:
    here they start at 1.
    """
    for part in (model.encoder, model.decoder):
        W = part.embed.params[0]
        W *= 100


def prepare_aligned(model, rng, *, separator):
    """Change a new model's first weights as ``prepare_fast`` does, and let separators clear the encoder's memory.

    What a state has forgotten can only be fetched where it was read. The first number of every word vector is 1 for a
    separator and 0 otherwise. In all cells but two a 1 closes the forget gate and the input gate: nothing is kept,
    nothing added. The last two cells are counters. They keep what they have, only a separator adds to it, and so every
    state knows how many separators came before it. Training may change all of it.

    Args: separator, for every id of the vocabulary whether it is one (``Task.separator``).
    """
    prepare_fast(model, rng)
    W = model.encoder.embed.params[0]  # (V, D)
    Wx, Wh, b = model.encoder.lstm.params  # (D, 4H), (H, 4H), (4H,)
    H = len(Wh)
    counters = slice(max(H - 2, 0), H)
    W[:, 0] = np.asarray(separator)
    f, g, i, o = Wx[0].reshape(4, H)  # what a separator adds to the gates, in the order f, g, i, o
    bf, _, bi, _ = b.reshape(4, H)
    g[:] = o[:] = 0
    f[:] = i[:] = -8  # sigmoid(-8) is 0.0003
    f[counters], bf[counters] = 0, 8  # always open
    i[counters], bi[counters] = 16, -8  # open at a separator only
    g[counters] = 3  # tanh(3) is 0.995: about 1 is added


def prepare_guided(model, rng, *, separator):
    """Change a new model's first weights as ``prepare_aligned`` does, and let the few labeled questions have a say."""
    prepare_aligned(model, rng, separator=separator)
    model.alignment_loss.weight = 10.0


def make_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ch08.train",
        description="Train a model to read dates, and show what it learned.",
    )
    parser.add_argument("--model", choices=list(MODELS), default="attention", help="(default: attention)")
    parser.add_argument("--recipe", choices=list(RECIPES), default="fast", help="(default: fast)")
    parser.add_argument("--data", default="date.txt", metavar="PATH", help="data file (default: date.txt)")
    parser.add_argument("--half", action="store_true", help="write the weights as float16, at half the size")
    add_training_flags(parser, out="runs/ch08")
    return parser


def run_recipe(model_name, recipe, *, data="date.txt", split="grouped", **options):
    """Train a model by a recipe and return the Run. ``options``: as for ``ch07.training.train``."""
    if model_name != "attention" and (recipe.hide or recipe.explore or recipe.labeled):
        raise ValueError(
            f"the recipe {recipe.name} is for the model with attention; {model_name} has none. Use fast or book"
        )
    task = Task(data, split=split, reverse=True, trim=recipe.trim)
    prepare = {
        "fast": prepare_fast,
        "aligned": functools.partial(prepare_aligned, separator=task.separator),
        "guided": functools.partial(prepare_guided, separator=task.separator),
    }.get(recipe.name)
    gold = None
    if recipe.labeled:
        rows = task.x_train[: recipe.labeled]
        try:
            gold = task.ordered(gold_alignment([task.text(row) for row in rows], rows.shape[1]))
        except ValueError as error:
            raise ValueError(f"the recipe {recipe.name} needs dates to know where digits come from: {error}") from None
    return train(MODELS[model_name], task, recipe, prepare=prepare, gold=gold, **options)


def measure(run, rows=None):
    """Return the test accuracy and, for a model with attention that reads dates, the alignment score (else None)."""
    task = run.task
    xs = task.x_test[:rows]
    ids, _, weights = task.decode(run.model, xs, with_details=True)
    accuracy = float((ids == task.t_test[:rows, 1:]).all(axis=1).mean())
    if weights is None:
        return accuracy, None
    try:
        return accuracy, alignment_score(weights, [task.text(row) for row in xs])
    except ValueError:  # the data are no dates, so there is no gold alignment
        return accuracy, None


def main(argv=None):
    """Train, print examples and scores, write weights, curve and heatmap; return the exit code."""
    args = make_parser().parse_args(argv)
    recipe = with_flags(RECIPES[args.recipe], args)
    run = run_recipe(
        args.model,
        recipe,
        data=args.data,
        split=args.split or "grouped",
        seed=args.seed,
        out=args.out,
        resume=args.resume,
        progress=not args.quiet,
    )
    # The weights first: whatever ends the program while it prints, they are there.
    files = [run.model.save_params(args.out / f"{args.model}.npz", dtype="float16" if args.half else None)]
    history = run.history
    accuracy, score = measure(run)
    history["test_accuracy"] = accuracy
    seconds = history["epochs"][-1]["train_seconds"] if history["epochs"] else 0
    print(f"\n{accuracy:.2%} of {len(run.task.x_test):,} unseen questions right ({seconds:.0f} s of training)")
    if score:
        history["alignment"] = {"mass": round(score.mass, 4), "hit": round(score.hit, 4)}
        print(
            f"alignment: {score.mass:.1%} of the attention lies on the characters a digit comes from; "
            f"the largest weight lies there for {score.hit:.1%} of the digits"
        )
    print("\nTen of them:")
    show_examples(run)

    write_json(args.out / "history.json", history)
    files.append(args.out / "history.json")
    curve = learning_curve(history["loss"], history["accuracy"])
    files.append(save_figure(curve, args.out / "learning_curve.png"))
    if args.model == "attention":
        row = run.task.x_test[:1]
        ids, _, weights = run.task.decode(run.model, row, with_details=True)
        heatmap = attention_heatmap(weights[0], run.task.text(row[0]), run.task.vocab.decode(ids[0]))
        files.append(save_figure(heatmap, args.out / "attention.png"))
    print("\nwrote " + ", ".join(map(str, files)))
    if run.interrupted:
        print("Interrupted; what was learned is kept. Go on with the same command and --resume.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
