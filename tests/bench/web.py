"""How fast the explorer's page is: ``python -m tests.bench.web``.

From the start of loading, from the disk, to the first picture, each time in a fresh page; and from a date that is typed
to the answer and the picture, for every model of its menu. Needs Chromium and Playwright (extra `browser`). The goals
are 1 s and 30 ms, median.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.widgets import NEW_TEXTS
from tests.browser.conftest import BROWSERS, FLAGS

LOAD_MS, ANSWER_MS = 1000, 30
FIRST_PICTURE = """new Promise((resolve) => {
    const there = () => document.querySelector('#picture svg');
    const look = () => there() ? resolve(performance.now()) : requestAnimationFrame(look);
    look();
})"""
ANSWER = """async ([name, texts]) => {
    await modelOf(name);
    const state = {model: name, beside: NONE, step: 0, column: null, gold: false, why: false};
    return texts.map((text) => {
        const start = performance.now();
        document.getElementById('picture').innerHTML = pictures(characters(text), state).picture;
        return performance.now() - start;
    });
}"""


def measure(page_file, browser, rounds):
    """Yield (what was measured, milliseconds of every round, the goal)."""
    took, page = [], None
    for _ in range(rounds):
        page = browser.new_page()
        page.goto(page_file.as_uri(), wait_until="commit")
        took.append(page.evaluate(FIRST_PICTURE))
        if len(took) < rounds:
            page.close()
    yield "from the disk to the first picture", took, LOAD_MS
    for name in page.evaluate("PAGE.models.map((model) => model.name)"):
        page.evaluate(ANSWER, [name, NEW_TEXTS[:5]])  # the browser compiles what runs often
        yield f"a date never asked, {name}", page.evaluate(ANSWER, [name, NEW_TEXTS[5 : 5 + rounds]]), ANSWER_MS


def main(argv=None):
    """Print the table; return 1 if asked to check and a median misses its goal."""
    from playwright.sync_api import sync_playwright

    from ch08.web import write_explorer

    parser = argparse.ArgumentParser(prog="python -m tests.bench.web", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help=f"of each, 1 to {len(NEW_TEXTS) - 5}")
    parser.add_argument("--check", action="store_true", help="fail if a median is above its goal")
    args = parser.parse_args(argv)
    if not 1 <= args.rounds <= len(NEW_TEXTS) - 5:
        parser.error(f"--rounds must be 1 to {len(NEW_TEXTS) - 5}")
    print(f"The explorer's page, {os.cpu_count()} cores\n\n{'':40}{'median':>11}{'slowest':>11}{'goal':>11}")
    missed = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = write_explorer(Path(folder))
        executable = next(filter(None, map(shutil.which, BROWSERS)), None)
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        for what, took, goal in measure(page_file, browser, args.rounds):
            print(f"{what:40}{median(took):8.1f} ms{max(took):8.1f} ms{goal:8} ms")
            missed += [what] if median(took) > goal else []
        browser.close()
    print("\nAll goals are met." if not missed else f"\nMissed: {', '.join(missed)}.")
    return 1 if args.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
