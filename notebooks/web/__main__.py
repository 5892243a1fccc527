"""Build the web edition. Through make: `make site`.

python -m notebooks.web                        writes it to runs/site/; open runs/site/index.html
python -m notebooks.web --out FOLDER           to another folder
python -m notebooks.web --external             only asks every link to the outside whether it is still there
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from ch08.web import write_explorer
from notebooks.web import stage

HERE = Path(__file__).resolve().parent
OUT = stage.ROOT / "runs" / "site"


def build(source, out, builder="html", jobs="auto"):
    """Run Sphinx over staged sources; a warning is an error. Return its exit code."""
    try:
        from sphinx.cmd.build import build_main
    except ModuleNotFoundError:
        raise SystemExit('Sphinx is not installed. Use `make site`, or: python -m pip install -e ".[site]"') from None
    doctrees = Path(source).parent / "doctrees"
    options = ["--quiet", "--fail-on-warning", f"--jobs={jobs}", f"--builder={builder}"]
    return build_main([*options, f"--conf-dir={HERE}", f"--doctree-dir={doctrees}", str(source), str(out)])


def clear(out):
    """Remove an earlier site, or an explorer alone. Raises: SystemExit if the folder holds something else."""
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if not (there <= {stage.EXPLORER} or ".buildinfo" in there):
        raise SystemExit(f"{out} holds something that is not a site built by this command. Name another folder.")
    if there:
        shutil.rmtree(out)


def main(arguments=None):
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m notebooks.web", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the site (runs/site)")
    parser.add_argument("--external", action="store_true", help="check links to the outside, build nothing")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        stage.stage(source)
        if options.external:
            return build(source, Path(scratch) / "links", "linkcheck")
        clear(options.out)
        code = build(source, options.out)
    if code == 0:
        write_explorer(options.out / stage.EXPLORER, lesson=lambda up, name: f"{up}../notebooks/{name}.html")
        print(f"wrote {options.out} in {time.monotonic() - start:.0f} s; open {options.out / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
