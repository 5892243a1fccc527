"""The repository's address, and what is made of it: the setup cell and the badge of every notebook.

The address stands in pyproject.toml, `[project.urls]`. `write_address` (the command `make badges`) puts another one
there and into every file that names the old one.
"""

import re
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
GITHUB = "https://github.com/"
COLAB = "https://colab.research.google.com/github/"
BADGE_IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
READY = "Ready: the course is found.\n"  # all that the setup cell prints

# Leaves ROOT, the folder of the course, for cells that need a file of it.
SETUP = """\
# Setup, the same in every notebook: finds the course, on Colab fetches it first. A second run does no harm.
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

REPOSITORY = "@ADDRESS@"
here = Path.cwd()
places = [here, *here.parents, here / Path(REPOSITORY).name]
ROOT = next((place for place in places if (place / "ch08" / "attention_layer.py").is_file()), None)
if ROOT is None and find_spec("google") and find_spec("google.colab"):
    if "YOUR_ACCOUNT" in REPOSITORY:
        raise RuntimeError("Not published yet. Put the address of your copy on GitHub into REPOSITORY above.")
    ROOT = places[-1]
    done = subprocess.run(["git", "clone", "--depth=1", REPOSITORY, str(ROOT)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"git could not fetch the course from {REPOSITORY}:\\n{done.stderr}")
if ROOT is None:
    raise FileNotFoundError(f"No course in {here} or above. Get it and open the notebook in it: git clone {REPOSITORY}")
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
print("Ready: the course is found.")"""


def address():
    """The address in pyproject.toml, such as https://github.com/ada/attention-from-scratch."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["urls"]["Repository"]


def chapters():
    """The chapter notebooks in reading order."""
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def all_notebooks():
    """All notebooks: chapters, solutions, exercises."""
    return [path for path in sorted(NOTEBOOKS.rglob("*.ipynb")) if ".ipynb_checkpoints" not in path.parts]


def setup_source(repository=None):
    """The source of the setup cell."""
    return SETUP.replace("@ADDRESS@", repository or address())


def badge(path, repository=None):
    """The Markdown of the badge that opens the notebook `path` in Colab."""
    name = quote(Path(path).resolve().relative_to(ROOT).as_posix())
    return f"[![Open in Colab]({BADGE_IMAGE})]({COLAB}{slug(repository or address())}/blob/main/{name})"


def slug(repository):
    """'ada/attention' of any form of a GitHub address: https, ssh, with .git, or just ada/attention."""
    form = r"(?:https?://(?:[^@/\s]+@)?github\.com/|(?:ssh://)?git@github\.com[:/])?([\w-]+/[\w.-]+?)(?:\.git)?/?"
    found = re.fullmatch(form, repository.strip())
    if not found:
        raise ValueError(f"not the address of a repository on GitHub: {repository!r}")
    return found[1]


def remote_address(folder=ROOT):
    """The address of the git remote `origin`, where that is a GitHub repository."""
    command = ["git", "remote", "get-url", "origin"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    try:
        return GITHUB + slug(done.stdout)
    except ValueError:
        found = done.stdout.strip() or "none"
        raise SystemExit(
            f"The git remote `origin` is not on GitHub (it is: {found}). "
            "Say where the course will be:  make badges REPO=https://github.com/ACCOUNT/NAME"
        ) from None


def write_address(repository, root=ROOT):
    """Replace the address in pyproject.toml, pages and notebooks by `repository`; return the files that changed."""
    new = slug(repository)
    pyproject = root / "pyproject.toml"
    old = slug(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["urls"]["Repository"])
    # Wherever a link to the repository or to Colab's view of it begins, and nowhere else.
    link = re.compile(rf"(github\.com/|colab\.research\.google\.com/github/){re.escape(old)}(?![\w-]|\.(?!git\b)\w)")
    pages = [*root.glob("*.md"), *root.glob("notebooks/**/*.md"), *root.glob("tests/*.md")]
    notebooks = [path for path in root.glob("notebooks/**/*.ipynb") if ".ipynb_checkpoints" not in path.parts]
    changed = []
    for path in [pyproject, *sorted(pages), *sorted(notebooks)]:
        text = path.read_text(encoding="utf-8")
        replaced = link.sub(lambda found: found[1] + new, text)
        if replaced != text:
            path.write_text(replaced, encoding="utf-8", newline="\n")
            changed.append(path)
    return changed
