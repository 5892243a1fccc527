"""What the programs of the data share: lines without repeats, and the command line."""

import argparse
from pathlib import Path


class Draw:
    """Random draws that stay the same on every Python version.

    Python promises a stable stream for `random.Random(seed).random()` alone, so everything is drawn from
    that.
    """

    def __init__(self, rng):
        self._random = rng.random

    def below(self, n):
        """A whole number from 0 to n - 1, each equally likely."""
        return int(self._random() * n)

    def one_of(self, items):
        """One item of a sequence, each equally likely."""
        return items[self.below(len(items))]

    def weighted(self, percent):
        """One key of a dict `{key: percent}` whose values add up to 100."""
        left = self.below(100)
        for key, share in percent.items():
            left -= share
            if left < 0:
                return key
        raise ValueError(f"the shares {percent} do not add up to 100")


def seed(text):
    """The value of `--seed`, for argparse: a whole number that both Python and NumPy accept as a seed."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {2**32 - 1}, got {text!r}")
    return number


def run(make_lines, description, default_out, max_lines, argv=None):
    """Command line of a generator: `--out PATH --seed N --lines N`.

    Args:
        make_lines: function `(lines, seed) -> list of str`.
        description: text for `--help`.
        default_out: the file to write when `--out` is not given.
        max_lines: the largest number of lines that can be drawn without a repeat.
        argv: the arguments, by default those of the process.

    Wrong arguments, or a file that cannot be written, end the program with a sentence and exit code 2.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=default_out, help="file to write (default: the shipped file)")
    parser.add_argument("--seed", type=seed, default=1984, help="the same seed gives the same bytes (default: 1984)")
    parser.add_argument("--lines", type=int, default=50_000, help=f"1 to {max_lines} (default: 50000)")
    args = parser.parse_args(argv)
    if not 1 <= args.lines <= max_lines:
        parser.error(f"--lines must be 1 to {max_lines}, so that no line is repeated; got {args.lines}")

    lines = make_lines(args.lines, args.seed)
    try:
        args.out.write_bytes("".join(line + "\n" for line in lines).encode("ascii"))
    except OSError as error:
        parser.error(f"--out: cannot write {str(args.out)!r}: {error.strerror}; name a file that you can write")
    print(f"{len(lines)} lines written to {args.out}")
