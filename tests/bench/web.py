"""How fast the explorer's pages are: ``python -m tests.bench.web``.

From the start of loading, from the disk, to the first picture, each time in a fresh page; and from a date or a sentence
that is typed to the answer and the picture, for every model of a page's menu. Needs Chromium and Playwright (extra
`browser`). The goals are 1 s and 30 ms, median.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from dataset import sentences
from tests.bench.widgets import NEW_TEXTS
from tests.browser.conftest import BROWSERS, FLAGS

LOAD_MS, ANSWER_MS = 1000, 30
FIRST_PICTURE = """new Promise((resolve) => {
    const there = () => document.querySelector('#picture svg');
    const look = () => there() ? resolve(performance.now()) : requestAnimationFrame(look);
    look();
})"""
ANSWER = """async ([name, texts]) => {
    await Promise.all([modelOf(name), ...CHAPTER.files([], name).map(loadFile)]);
    const state = {model: name, beside: NONE, step: 0, column: null, gold: false, why: false};
    return texts.map((text) => {
        const start = performance.now();
        document.getElementById('picture').innerHTML = pictures(CHAPTER.tokenize(text), state).picture;
        return performance.now() - start;
    });
}"""


def measure(page_file, browser, rounds, kind, texts):
    """Yield (what was measured, milliseconds of every round, the goal). Args: texts(name of a model)."""
    took, page = [], None
    for _ in range(rounds):
        page = browser.new_page()
        page.goto(page_file.as_uri(), wait_until="commit")
        took.append(page.evaluate(FIRST_PICTURE))
        if len(took) < rounds:
            page.close()
    yield f"{kind}s, from the disk to the first picture", took, LOAD_MS
    for name in page.evaluate("PAGE.models.map((model) => model.name)"):
        page.evaluate(ANSWER, [name, texts(name)[:5]])  # the browser compiles what runs often
        yield f"a new {kind}, {name}", page.evaluate(ANSWER, [name, texts(name)[5 : 5 + rounds]]), ANSWER_MS
    page.close()


def new_sentences(name):
    """Return test sentences in the language of a model, by its name in the menu."""
    pair = "ko-en" if name.startswith("Korean") else "de-en"
    return [example.source for example in sentences.load(pair).test[-len(NEW_TEXTS) :]]


def main(argv=None):
    """Print the table; return 1 if asked to check and a median misses its goal."""
    from playwright.sync_api import sync_playwright

    from ch08.web import SENTENCES, write_explorer

    parser = argparse.ArgumentParser(prog="python -m tests.bench.web", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help=f"of each, 1 to {len(NEW_TEXTS) - 5}")
    parser.add_argument("--check", action="store_true", help="fail if a median is above its goal")
    args = parser.parse_args(argv)
    if not 1 <= args.rounds <= len(NEW_TEXTS) - 5:
        parser.error(f"--rounds must be 1 to {len(NEW_TEXTS) - 5}")
    print(f"The explorer's pages, {os.cpu_count()} cores\n\n{'':44}{'median':>11}{'slowest':>11}{'goal':>11}")
    missed = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = write_explorer(Path(folder))
        executable = next(filter(None, map(shutil.which, BROWSERS)), None)
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        pages = (
            (page_file, "date", lambda name: NEW_TEXTS),
            (page_file.with_name(SENTENCES[1]), "sentence", new_sentences),
        )
        for file, kind, texts in pages:
            for what, took, goal in measure(file, browser, args.rounds, kind, texts):
                print(f"{what:44}{median(took):8.1f} ms{max(took):8.1f} ms{goal:8} ms")
                missed += [what] if median(took) > goal else []
        browser.close()
    print("\nAll goals are met." if not missed else f"\nMissed: {', '.join(missed)}.")
    return 1 if args.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
