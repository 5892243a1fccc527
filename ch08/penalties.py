"""What the two penalties of beam search are worth: ``python -m ch08.penalties gnmt``.

Translates test sentences with every pair of a length penalty and a coverage penalty, and prints how good the
translations are and how long. Source: Wu et al. 2016, section 7, whose table 2 is such a table.
"""

import argparse
import math
import shlex
import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:
    sys.exit("Run this from the root of the repository, as a module: python -m ch08.penalties")

from ch08.explorer import PRETRAINED
from ch08.recipes.translation import sentence_tokens
from ch08.translation_explorer import PHOTOGRAPHS, TRANSLATORS, load_translator
from common.metrics import bleu, exact_match, shown
from common.training.program import positive_int, run_program
from common.training.run import read_json, versions, write_json
from common.util import echo
from dataset import multi30k, sentences, words

VALUES = (0.0, 0.2, 0.6, 1.0)  # 0.2 is the paper's choice for both, 0.6 for the length our default


def make_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ch08.penalties", description="Translate test sentences with several penalties of beam search."
    )
    names = [name for name in TRANSLATORS if not name.startswith("plain")]  # those with attention
    parser.add_argument("name", nargs="?", default="gnmt", choices=names, help="(default: gnmt)")
    for flag in ("--length", "--coverage"):
        parser.add_argument(
            flag, type=penalty, nargs="+", default=VALUES, metavar="X", help=f"penalties (default: {VALUES})"
        )
    parser.add_argument("--beam", type=positive_int, default=5, help="width of the beam (default: 5)")
    parser.add_argument("--rows", type=positive_int, help="number of test sentences (default: all)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file for the figures; others in it are kept")
    parser.add_argument(
        "--weights",
        type=Path,
        default=PRETRAINED,
        metavar="DIR",
        help="folder with NAME/weights.npz, such as runs/ch08 (default: the shipped weights)",
    )
    parser.add_argument(
        "--multi30k", type=Path, default=multi30k.FOLDER, metavar="DIR", help="its files (default: runs/multi30k)"
    )
    return parser


def penalty(text):
    """The type of a flag that is a penalty."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number from 0, not {text!r}")
    return value


def main(argv=None):
    """Print the tables, write the figures where asked; return the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    args = make_parser().parse_args(argv)
    source, right = load_test(args.name, args.rows, args.multi30k)
    translator = load_translator(args.name, args.weights)
    rows = []
    for length in args.length:
        for coverage in args.coverage:
            answers = translator.translate(source, args.beam, length_penalty=length, coverage_penalty=coverage)
            found = measured([translator.join(best.tokens) for [best] in answers], right)
            rows.append({"length_penalty": length, "coverage_penalty": coverage, **found})
            echo(f"length penalty {length:g}, coverage penalty {coverage:g}: {found}", file=sys.stderr)
    for measure in ("bleu", "exact_match", "length"):
        echo(table(rows, measure))
    if args.out:
        entry = {
            "command": shlex.join(["python", "-m", "ch08.penalties", *map(str, argv)]),
            "versions": versions(),
            "sentences": len(source),
            "beam": args.beam,
            "rows": rows,
        }
        write_json(args.out, (read_json(args.out) if args.out.is_file() else {}) | {args.name: entry})
        echo(f"wrote {args.out}")
    return 0


def load_test(name, rows=None, folder=multi30k.FOLDER):
    """Return the sentences, texts, that a translator is tested with, and their translations, lists of words.

    Args: name, a key of TRANSLATORS; rows, their number, None for all; folder, where the files of Multi30k are.
    """
    pair = TRANSLATORS[name][0]
    if name in PHOTOGRAPHS:
        source, target = multi30k.load("test_2016_flickr", folder, pair.split("-"))
        right = [words.tokenize(text, pair.split("-")[1]) for text in target]
    else:
        test = sentences.load(pair).test
        source = [example.source for example in test]
        right = [sentence_tokens(example.target) for example in test]
    return source[:rows], right[:rows]


def measured(guesses, right):
    """Return how good translations are, lists of words: bleu; exact_match; length, of all of them to the right ones."""
    return {
        "bleu": bleu(guesses, right).score,
        "exact_match": exact_match(guesses, right),
        "length": sum(map(len, guesses)) / sum(map(len, right)),
    }


def table(rows, measure):
    """Return one measure as a table in text: a line for each length penalty, a column for each coverage penalty."""
    found = {(row["length_penalty"], row["coverage_penalty"]): row[measure] for row in rows}
    lengths, coverages = (sorted(set(penalties)) for penalties in zip(*found, strict=True))
    lines = [f"\n{measure.replace('_', ' ')}, by length penalty (down) and coverage penalty (across)"]
    lines.append(" " * 6 + "".join(f"{coverage:9g}" for coverage in coverages))
    for length in lengths:
        lines.append(f"{length:6g}" + "".join(f"{shown(measure, found[length, c]):>9}" for c in coverages))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_program(main))
