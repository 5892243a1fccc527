"""Translate: ``python -m ch08.translate "Der Mann liest einen Brief."``, or the lines of a file that is piped in.

With ``--score`` it translates the test part of Multi30k and says how good that is, in BLEU.
"""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:
    sys.exit("Run this from the root of the repository, as a module: python -m ch08.translate")

from ch08.explorer import PRETRAINED
from ch08.translation_explorer import FIRST, PHOTOGRAPHS, TRANSLATORS, load_translator
from common.metrics import bleu, bleu_counts, bleu_of, bootstrap_interval
from common.training.program import positive_int, run_program
from common.util import echo
from dataset import multi30k, words


def make_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m ch08.translate", description="Translate sentences into English.")
    parser.add_argument("sentences", nargs="*", metavar="SENTENCE", help="(default: the lines of the standard input)")
    parser.add_argument("--model", choices=list(TRANSLATORS), default=FIRST, help=f"(default: {FIRST})")
    parser.add_argument(
        "--weights",
        type=Path,
        default=PRETRAINED,
        metavar="DIR",
        help="folder with MODEL/weights.npz, such as runs/ch08 (default: the shipped weights)",
    )
    parser.add_argument("--beam", type=positive_int, default=5, help="width of the beam, 1 is greedy (default: 5)")
    parser.add_argument("--score", action="store_true", help="translate the test part of Multi30k and measure BLEU")
    parser.add_argument(
        "--multi30k", type=Path, default=multi30k.FOLDER, metavar="DIR", help="its files (default: runs/multi30k)"
    )
    return parser


def main(argv=None):
    """Print a translation for each sentence, or the score; return the exit code."""
    args = make_parser().parse_args(argv)
    if args.score and (args.sentences or args.model not in PHOTOGRAPHS):
        raise ValueError(f"--score translates Multi30k: no sentences, and --model {' or '.join(PHOTOGRAPHS)}")
    pairs = multi30k.load("test_2016_flickr", args.multi30k, ("de", "en")) if args.score else None
    translator = load_translator(args.model, args.weights)
    if args.score:
        for line in score(translator, *pairs, args.beam):
            echo(line)
        return 0
    sentences = args.sentences or [line.strip() for line in sys.stdin if line.strip()]
    if not sentences:
        raise ValueError("there is nothing to translate: give a sentence, or pipe in a file with one in each line")
    for sentence, [best] in zip(sentences, translator.translate(sentences, args.beam), strict=True):
        echo(best.text)
        known = translator.source_vocab.word_to_id
        unknown = [token for token in translator.tokenize(sentence) if token not in known]
        if unknown:
            print(f"  (unknown to {args.model}: {', '.join(unknown)})", file=sys.stderr)
    return 0


def score(translator, source, target, beam_size):
    """Return lines about the translations of sentences, texts, beside the right ones.

    BLEU on lower-cased tokens, with the interval of 95 % (bootstrap); and what sacreBLEU says, if it is installed.
    """
    answers = [best for [best] in translator.translate(source, beam_size)]
    language = translator.target_vocab.language
    guesses = [translator.join(answer.tokens) for answer in answers]
    right = [words.tokenize(text, language) for text in target]
    low, high = bootstrap_interval(lambda counts: bleu_of(counts).score, bleu_counts(guesses, right))
    lines = [f"BLEU {bleu(guesses, right).score:.2f} on lower-cased tokens, 95 % between {low:.2f} and {high:.2f}"]
    try:
        from sacrebleu.metrics import BLEU
    except ImportError:
        return [*lines, "sacreBLEU is not installed, so its figures are left out: pip install sacrebleu"]
    joined = [[" ".join(tokens) for tokens in side] for side in (guesses, right)]
    for metric, hypotheses, references in (
        (BLEU(tokenize="none", force=True), *joined),
        (BLEU(tokenize="13a", lowercase=True), [answer.text for answer in answers], target),
    ):
        found = metric.corpus_score(hypotheses, [references], n_bootstrap=1000)
        lines.append("sacre" + found.format(width=2, signature=str(metric.get_signature())))
    return lines


if __name__ == "__main__":
    sys.exit(run_program(main))
