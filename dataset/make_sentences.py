"""Make `sentences.txt`: `python -m dataset.make_sentences [--out PATH] [--seed N] [--lines N] [--check]`.

Every line is one meaning, said in English, German and Korean, and two alignments, separated by tabs:

    She calls the farmer.   Sie ruft den Bauern an.   그녀는 농부에게 전화해요.   012314   0314

(with a tab where you see three spaces). An alignment has one place for each German (Korean) token, words and marks: the
number of the English token that it goes with, in base 36 (0 to 9, a to z), `-` for none, and in parentheses where there
are several. "ruft" and "an" both go with token 1, "calls". They come from the meaning: words that say the same part of
it belong together (`dataset.english`). They are stored because a reader of the sentences alone would need a grammar of
each language to find them again, and they take a tenth of the file.

Lines that begin with `#` are comments; `# train`, `# valid` and `# test` begin the three parts, 90 %, 5 % and 5 % of
the lines. No sentence of any language occurs twice. Every sentence of the test part has a combination (of verb and
object, verb and place, or adjective and noun) that no sentence for training or validation has; likewise for validation.
Each of their words, in its form, is in at least `MIN_SEEN` training sentences, so none is new.

The same seed gives the same bytes on every machine.
"""

import argparse
import os
import random
import tempfile
from collections import Counter
from pathlib import Path

from dataset import english, german, korean
from dataset.generator import Draw, seed
from dataset.meanings import draw_sentence, pairs

LANGUAGES = {"en": english, "de": german, "ko": korean}
SPLITS = ("train", "valid", "test")
MARKS = frozenset(".,?!")
MIN_SEEN = 5
HELD_OUT = 7  # per cent of the combinations, for validation and for test each
ENOUGH = 5  # combinations of each word go to training first
MIN_LINES, MAX_LINES = 5_000, 30_000  # fewer do not show each word often enough
FILE = Path(__file__).with_name("sentences.txt")

HEADER = """\
# One meaning a line: English, German, Korean, and which English token each German and each Korean token goes with.
# Made by `python -m dataset.make_sentences`, which explains the form; read it with dataset.sentences.load.
"""


def make_splits(lines=20_000, seed=1984):
    """Draw that many distinct lines.

    Returns:
        `{"train": [...], "valid": [...], "test": [...]}`, lists of lines without line endings.
    """
    draw, fate = Draw(random.Random(seed)), _Fate(Draw(random.Random(seed + 1)))
    wanted = {"valid": lines // 20, "test": lines // 20}
    wanted["train"] = lines - sum(wanted.values())
    made, waiting, words = {split: [] for split in SPLITS}, {"valid": [], "test": []}, Counter()
    seen = {language: set() for language in LANGUAGES}
    while any(len(made[split]) < wanted[split] for split in SPLITS):
        sentence = draw_sentence(draw)
        said = {language: module.say(sentence) for language, module in LANGUAGES.items()}
        texts = {language: write(tokens) for language, tokens in said.items()}
        if any(texts[language] in seen[language] for language in LANGUAGES):
            continue
        split = fate.split(pairs(sentence))
        if split is None or len(made[split]) == wanted[split]:
            continue
        for language, text in texts.items():
            seen[language].add(text)
        forms = {(language, word.lower()) for language, tokens in said.items() for word, _ in tokens}
        if split == "train":
            made[split].append(_line(said, texts))
            words.update(forms)
        else:
            waiting[split].append((_line(said, texts), forms))
        if len(made["train"]) == wanted["train"]:  # now the counts of the words are final
            for split, rows in waiting.items():
                known = [line for line, forms in rows if all(words[form] >= MIN_SEEN for form in forms)]
                made[split] = (made[split] + known)[: wanted[split]]
                rows.clear()
    return made


class _Fate:
    """Deal the combinations out to the splits, once each; every word keeps several for training."""

    def __init__(self, draw):
        self.draw = draw
        self.known = {}
        self.trained = Counter()

    def split(self, combinations):
        """The split of a sentence with these combinations; None if they belong to validation and to test."""
        splits = {self._one(pair) for pair in sorted(combinations)} - {"train"}
        return None if len(splits) == 2 else (*splits, "train")[0]

    def _one(self, pair):
        if pair not in self.known:
            chance = self.draw.below(100)
            split = "test" if chance < HELD_OUT else "valid" if chance < 2 * HELD_OUT else "train"
            if any(self.trained[word] < ENOUGH for word in pair):
                split = "train"
            self.known[pair] = split
            if split == "train":
                self.trained.update(pair)
        return self.known[pair]


def write(tokens):
    """Write (word, units) pairs as a sentence: a capital at the start, no space before a mark."""
    text = "".join(word if word in MARKS else f" {word}" for word, _ in tokens).strip()
    return text[0].upper() + text[1:]


def align(tokens, others):
    """Which of the others each token goes with: they have a unit in common. One character for each, as in the file."""
    return "".join(_place([i for i, (_, theirs) in enumerate(others) if units & theirs]) for _, units in tokens)


def _place(numbers):
    digits = "".join("0123456789abcdefghijklmnopqrstuvwxyz"[i] for i in numbers)
    return digits if len(digits) == 1 else f"({digits})" if digits else "-"


def _line(said, texts):
    return "\t".join([*texts.values(), align(said["de"], said["en"]), align(said["ko"], said["en"])])


def make_text(lines=20_000, seed=1984):
    """The whole file as text."""
    splits = make_splits(lines, seed)
    return HEADER + "".join(f"# {split}\n" + "".join(f"{line}\n" for line in splits[split]) for split in SPLITS)


def main(argv=None):
    """Write the file, or compare it with what would be written; see `--help`. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Make sentences.txt: English, German and Korean with gold alignments.")
    parser.add_argument("--out", type=Path, default=FILE, help="file to write (default: the shipped file)")
    parser.add_argument("--seed", type=seed, default=1984, help="the same seed gives the same bytes (default: 1984)")
    parser.add_argument(
        "--lines", type=int, default=20_000, help=f"{MIN_LINES} to {MAX_LINES}, in all three parts (default: 20000)"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the file would change")
    args = parser.parse_args(argv)
    if not MIN_LINES <= args.lines <= MAX_LINES:
        parser.error(f"--lines must be {MIN_LINES} to {MAX_LINES}, got {args.lines}")

    content = make_text(args.lines, args.seed).encode("utf-8")
    try:
        if args.check:
            same = args.out.read_bytes() == content
            print(f"{args.out} is {'as it should be' if same else 'out of date: run without --check to make it anew'}")
            return 0 if same else 1
        _write_atomically(args.out, content)
    except OSError as error:
        verb, advice = ("read", "run without --check") if args.check else ("write", "name a file that you can write")
        parser.error(f"--out: cannot {verb} {str(args.out)!r}: {error.strerror}; {advice}")
    print(f"{args.lines} lines written to {args.out}")
    return 0


def _write_atomically(path, content):
    """Write a file that is there whole or not at all: first under another name, then under its own."""
    if path.is_dir():
        raise IsADirectoryError(21, "Is a directory")
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".tmp", delete=False) as file:
        try:
            file.write(content)
            file.close()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


if __name__ == "__main__":
    raise SystemExit(main())
