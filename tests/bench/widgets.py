"""How long a widget takes from a changed control to the new picture: ``python -m tests.bench.widgets``.

The goal is 100 ms, median, on 2 cores, for models of the shipped size in float64, as `ch08.explorer.explorer` loads
them: H=256, D=16; the translator H=256, D=128, with sentences of 12 words, as it is not trained and finds no end; the
Transformer H=256, D=128, 3 layers of 8 heads, the same sentences; a Neural Turing Machine H=100 with a memory of 128
rows of 20 numbers, ten vectors to copy. What is measured is the kernel's side: from the
changed value to the new picture, ready for the browser.
"""

import argparse
import os
import sys
import time
from statistics import median

GOAL_MS = 100
NEW_TEXTS = [f"{month} {day}, {year}" for month in ("january", "may") for day in (3, 27) for year in range(1980, 2000)]


def build():
    """Return a dict name -> function of a number, which changes one control to something new."""
    import numpy as np

    from ch07.peeky_seq2seq import PeekySeq2seq
    from ch07.seq2seq import Seq2seq
    from ch08.attention_seq2seq import AttentionSeq2seq
    from ch08.bahdanau_seq2seq import BahdanauSeq2seq
    from ch08.explorer import explorer, reader
    from ch08.memory_explorer import memory_explorer
    from ch08.ntm import NTM
    from ch08.recipes.translation import sentence_corpus, sentence_tokens
    from ch08.transformer import Transformer
    from ch08.translation_explorer import heads_explorer, translation_explorer
    from ch08.translator import Translator
    from common.widgets import GradientViewer, TrainingMonitor, WeightedSumPlayground
    from dataset import sentences, sequence
    from dataset.words import WordVocab

    vocab = sequence.load("date.txt").vocab
    classes = dict(plain=Seq2seq, peeky=PeekySeq2seq, attention=AttentionSeq2seq)
    models = {name: model_class(len(vocab), 16, 256, dtype=np.float64, rng=0) for name, model_class in classes.items()}
    explore, play, view = explorer(models, gold=True), WeightedSumPlayground(), GradientViewer()
    both = explorer(models, gold=True, beside="peeky", why=True, column=3)
    monitor = TrainingMonitor(sample=lambda model: (text, answer, weights))
    text = "wednesday, september 27, 1994"
    answer, _, weights = reader(vocab)(models["attention"], text)
    monitor.samples = [(step, text, answer, weights) for step in range(1, 41)]
    monitor.state = "finished"
    monitor._offer_samples()
    curve = [(20 * k, float(np.exp(-k / 50))) for k in range(200)]

    corpus = sentence_corpus("de-en")
    source, target = (WordVocab.of(side, language) for side, language in zip(corpus.train[:2], corpus.languages))
    translator = BahdanauSeq2seq(len(source), len(target), 128, 256, dtype=np.float64, rng=0)
    translators = {"bahdanau": Translator(translator, source, target, tokenize=sentence_tokens, max_length=12)}
    translate = translation_explorer(translators, beam=5)
    transformer = Transformer(len(source), len(target), 128, 256, layers=3, heads=8, dtype=np.float64, rng=0)
    heads = heads_explorer(Translator(transformer, source, target, tokenize=sentence_tokens, max_length=12))
    machine = memory_explorer(NTM(9, 8, 100, dtype=np.float64, rng=0), length=10, step=5)
    new_sentences = [example.source for example in sentences.load("de-en").test[:200]]

    def type_text(model):
        def change(k):
            if explore.model.value != model:
                explore.model.value = model
            explore.text.value = NEW_TEXTS[k]

        return change

    def set_value(control, values):
        def change(k):
            control.value = values[k % len(values)]

        return change

    def draw_monitor(k):
        from common.widgets import render_training

        monitor.picture.value = render_training(curve, [(k, 0.5)], (text, answer, weights), "training", k, 1)

    return {
        "explorer, a text never asked, plain": type_text("plain"),
        "explorer, a text never asked, peeky": type_text("peeky"),
        "explorer, a text never asked, attention": type_text("attention"),  # the last, so the next ones draw weights
        "explorer, step": set_value(explore.step, range(10)),
        "explorer, gold on and off": set_value(explore.gold, (False, True)),
        "explorer, a column": set_value(explore.column, range(11)),
        "explorer, another beside, and why: a step": set_value(both.step, range(10)),
        "explorer, another beside, and why: a text": lambda k: setattr(both.text, "value", NEW_TEXTS[k]),
        "explorer, a model asked before": set_value(explore.model, tuple(models)),
        "translation, beam 5: a sentence never asked": set_value(translate.text, new_sentences),
        "translation, beam 5: a step": set_value(translate.step, range(5)),
        "translation, beam 5: an alternative": set_value(translate.alternative, range(5)),
        "heads, 3 layers of 8: a sentence never asked": set_value(heads.text, new_sentences),
        "heads, a word": set_value(heads.row, range(10)),
        "heads, a head": set_value(heads.head, range(8)),
        "heads, a kind": set_value(heads.kind, ("cross", "decoder", "encoder")),
        "memory, a step": set_value(machine.step, range(21)),
        "memory, a number changed": set_value(machine.value, [0.1 * k for k in range(-15, 15)]),
        "memory, another example": lambda k: machine.another.click(),
        "playground, a score": set_value(play.scores[0], [0.1 * k for k in range(-30, 30)]),
        "playground, temperature": set_value(play.temperature, [0.1 * k for k in range(2, 50)]),
        "gradient viewer, an input": set_value(view.hs[0][1], [0.1 * k for k in range(-20, 20)]),
        "training monitor, a picture": draw_monitor,
        "training monitor, a sample": set_value(monitor.moment, range(40)),
    }


def measure(change, rounds):
    """Return the milliseconds of every round, in order from the fastest to the slowest."""
    took = []
    change(0)
    for k in range(1, rounds + 1):
        start = time.perf_counter()
        change(k)
        took.append(1000 * (time.perf_counter() - start))
    return sorted(took)


def main(argv=None):
    """Print the table; return 1 if asked to check and a median misses the goal."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.widgets", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=40, help=f"changes of each control, 1 to {len(NEW_TEXTS) - 1}")
    parser.add_argument("--check", action="store_true", help=f"fail if a median is above {GOAL_MS} ms")
    args = parser.parse_args(argv)
    if not 1 <= args.rounds < len(NEW_TEXTS):
        parser.error(f"--rounds must be 1 to {len(NEW_TEXTS) - 1}")
    print(f"From a changed control to the new picture, {os.cpu_count()} cores, goal {GOAL_MS} ms\n")
    print(f"{'':46}{'median':>10}{'slowest':>10}")
    worst = 0.0
    for name, change in build().items():
        took = measure(change, args.rounds)
        worst = max(worst, median(took))
        print(f"{name:46}{median(took):7.1f} ms{took[-1]:7.1f} ms")
    met = worst <= GOAL_MS
    print(f"\nThe slowest median is {worst:.1f} ms: the goal of {GOAL_MS} ms is {'met' if met else 'missed'}.")
    return 1 if args.check and not met else 0


if __name__ == "__main__":
    sys.exit(main())
