"""How much of the test set was seen in training: `python -m dataset.check_split [FILE ...] [--seed N]`.

Without a file it looks at the two shipped ones. For each split it prints the share of test questions that
are in the training set word for word, and the share whose date (for additions: whose unordered pair of
numbers) is.
"""

import argparse
import sys

from dataset import sequence
from dataset.generator import seed


def seen_shares(file_name, split="grouped", seed=1984):
    """Measure one split of one file.

    Returns:
        `(questions, groups)`, fractions of the test rows for which the same question is in the training set, and for
        which the same date or the same unordered pair of numbers is.
    """
    data = sequence.load(file_name, seed, split)
    train = _rows(data.x_train, data.t_train, data.vocab)
    test = _rows(data.x_test, data.t_test, data.vocab)
    questions = {question for question, _ in train}
    groups = {group for _, group in train}
    return (
        sum(question in questions for question, _ in test) / len(test),
        sum(group in groups for _, group in test) / len(test),
    )


def _rows(x, t, vocab):
    pairs = ((vocab.decode(question), vocab.decode(answer[1:])) for question, answer in zip(x, t))
    return [(question, sequence.group_key(question, answer)) for question, answer in pairs]


def main(argv=None):
    """Print the shares; see `--help`. Returns the exit code: 1 where a file cannot be read or split."""
    parser = argparse.ArgumentParser(description="How much of the test set was seen in training.")
    parser.add_argument("files", nargs="*", default=list(sequence.SHIPPED), metavar="FILE")
    parser.add_argument("--seed", type=seed, default=1984, help="seed of the split (default: 1984)")
    args = parser.parse_args(argv)
    for file_name in args.files:
        for split in reversed(sequence.SPLITS):
            try:
                questions, groups = seen_shares(file_name, split, args.seed)
            except (OSError, ValueError) as error:
                print(f"{parser.prog}: {error}", file=sys.stderr)
                return 1
            print(
                f"{file_name}, {split} split: {questions:.1%} of the test questions were seen in training, "
                f"{groups:.1%} of the test dates or number pairs"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
