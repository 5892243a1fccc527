"""Tools for notebooks. Through make: `make notebooks ARGS=...` and `make badges REPO=...`.

python -m tests.notebooks run [NOTEBOOK ...]      execute and store with outputs (all chapters, if none is named);
                                                  notebooks/ko/... too: there what messages and widgets say
python -m tests.notebooks check [NOTEBOOK ...]    hold against the rules, with advice
python -m tests.notebooks new NAME "TITLE"        begin notebooks/NAME.ipynb
python -m tests.notebooks badges [ADDRESS]        write the repository's address (by default the git remote's)
                                                  everywhere, and the setup cell into every notebook
python -m tests.notebooks translate LANGUAGE [NOTEBOOK ...] [--check]
                                                  write notebooks/LANGUAGE/ from the English notebooks and the catalogs,
                                                  after beginning catalogs for the notebooks named
"""

import argparse
import sys
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from tests.notebooks import address, execute, rules, translation


def find(names):
    """The notebooks of these names: a path, or just ch08_02_weight_sum; all chapters where none is named."""
    if not names:
        return address.chapters()
    paths = []
    for name in names:
        choices = [Path(name), address.NOTEBOOKS / name, address.NOTEBOOKS / f"{name}.ipynb"]
        path = next((choice for choice in choices if choice.is_file()), None)
        if path is None:
            raise SystemExit(f"no notebook {name}; there are: {', '.join(p.stem for p in address.all_notebooks())}")
        paths.append(path.resolve())
    return paths


def run(names):
    """Execute notebooks. One that fails stays as it was; the others are written all the same."""
    failed = []
    for path in find(names):
        name = path.relative_to(address.ROOT) if path.is_relative_to(address.ROOT) else path
        english = not any(path.is_relative_to(address.NOTEBOOKS / code) for code in translation.LANGUAGES)
        try:
            if english:
                update_setup_cell(path)
            seconds = (execute if english else translation).execute_file(path)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failed.append(name)
            print(f"{name}: FAILED, left as it was\n{error}")
        else:
            print(f"{name}: {seconds:.0f} s", flush=True)
    if failed:
        raise SystemExit(f"{len(failed)} failed: {', '.join(map(str, failed))}")


def update_setup_cell(path):
    """Replace a setup cell that is out of date and keep its output; return whether it was."""
    notebook = execute.read(path)
    cell = notebook.cells[1] if len(notebook.cells) > 1 else None
    if not cell or not cell.source.startswith("# Setup") or cell.source == address.setup_source():
        return False
    cell.source = address.setup_source()
    execute.write(path, execute.normalise(notebook))
    return True


def check(names):
    """Print what breaks a rule, and the advice; exit code 1 if a rule is broken."""
    broken = 0
    for path in find(names):
        notebook = rules.Notebook(path)
        for rule in rules.RULES + rules.ADVICE:
            for sentence in rule(notebook):
                advice = rule in rules.ADVICE
                broken += not advice
                print(f"{path.name}: {'advice' if advice else rule.__name__}: {sentence}")
    print(f"{broken} to fix" if broken else "All rules kept.")
    return 1 if broken else 0


def new(name, title):
    """Begin a notebook: title, badge, setup cell."""
    path = address.NOTEBOOKS / f"{name.removesuffix('.ipynb')}.ipynb"
    if path.exists():
        raise SystemExit(f"{path} is there already")
    text = f"# {title}\n\n{address.badge(path)}\n\nWhat you will build.\n\nTime: about 40 minutes."
    v4 = nbformat.v4
    cells = [
        v4.new_markdown_cell(text, id="title"),
        v4.new_code_cell(address.setup_source(), id="setup"),
        v4.new_markdown_cell("## ...", id="cell-02"),
    ]
    execute.write(path, execute.normalise(v4.new_notebook(cells=cells)))
    print(f"wrote {path.relative_to(address.ROOT)}; fill it, then:  make notebooks ARGS={path.stem}")


def badges(repository):
    """Write the address into pyproject.toml, pages and notebooks, and bring their setup cells up to date."""
    new_address = address.GITHUB + address.slug(repository) if repository else address.remote_address()
    changed = address.write_address(new_address)
    changed += [path for path in address.all_notebooks() if update_setup_cell(path) and path not in changed]
    for path in changed:
        print(f"wrote {path.relative_to(address.ROOT)}")
    print(f"The address is {new_address}" if changed else f"The address was {new_address} already.")


def translate(language, names, check):
    """Write the notebooks of another language, or with ``check`` only compare; say what is left to do.

    Args: names, of notebooks whose translation begins.
    """
    translation.begin(language, names)
    changed = translation.build(language, check)
    for path in changed:
        print(f"{'out of date:' if check else 'wrote'} {path.relative_to(address.ROOT)}")
    wrong = 0
    for path, count, missing, stale, faults in translation.state(language):
        name, wrong = path.relative_to(address.ROOT), wrong + len(faults)
        if missing or stale:
            print(f"{name}: of {count} texts {missing} are not translated, {stale} are out of date")
        for fault in faults:
            print(f"{name}: {fault}")
    return 1 if wrong or (check and changed) else 0


def main(arguments=None):
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.notebooks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "check"):
        commands.add_parser(name).add_argument("notebooks", nargs="*")
    begin = commands.add_parser("new")
    begin.add_argument("name")
    begin.add_argument("title")
    commands.add_parser("badges").add_argument("address", nargs="?", default="")
    translating = commands.add_parser("translate")
    translating.add_argument("language", choices=sorted(translation.LANGUAGES))
    translating.add_argument("notebooks", nargs="*")
    translating.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    if options.command == "translate":
        return translate(options.language, options.notebooks, options.check)
    if options.command == "run":
        return run(options.notebooks)
    if options.command == "check":
        return check(options.notebooks)
    if options.command == "new":
        return new(options.name, options.title)
    return badges(options.address)


if __name__ == "__main__":
    sys.exit(main())
