"""The repository's address, and what is made of it: the setup cell and the badge of every notebook.

The address stands in pyproject.toml, `[project.urls]`, with that of the web edition, which follows from it.
`write_address` (the command `make badges`) puts others there and into every file that names the old ones.
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

# Leaves ROOT, the folder of the course, for cells that need a file of it. Git writes files in the order of their names,
# so the last file of dataset/ is there only where everything that a notebook imports is. The book has a file of that
# name, too, but no make_dates.py. A fetch that is cut short leaves a folder that the next run moves out of the way.
SETUP = """\
# Setup, the same in every notebook: finds the course, on Colab fetches it first. Running it again does no harm.
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

REPOSITORY = "@ADDRESS@"
ZIP = f"{REPOSITORY}/archive/refs/heads/main.zip"
here, title = Path.cwd(), Path(REPOSITORY).name
places = [here, *here.parents, *sorted(here.glob(f"{title}*"))]  # an unpacked ZIP is called TITLE-main
files = "make_dates.py", "words.py"
ROOT = next((place for place in places if all((place / "dataset" / file).is_file() for file in files)), None)
if ROOT is None and find_spec("google") and find_spec("google.colab"):
    if "YOUR_ACCOUNT" in REPOSITORY:
        raise RuntimeError("Not published yet. Put the address of your copy on GitHub into REPOSITORY above.")
    if not shutil.which("git"):
        raise RuntimeError(f"There is no git here. Unpack {ZIP} in {here} and run this cell again.")
    ROOT, fetched = here / title, Path(mkdtemp(), title)
    done = subprocess.run(["git", "clone", "--depth=1", REPOSITORY, str(fetched)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"git could not fetch the course from {REPOSITORY}:\\n{done.stderr}")
    if ROOT.exists():  # the rest of a fetch that was cut short
        shutil.move(ROOT, mkdtemp())
    shutil.move(fetched, ROOT)
if ROOT is None:
    raise FileNotFoundError(f"No course in {here} or above. Unpack {ZIP} there, or: git clone {REPOSITORY}")
sys.path[:] = [str(ROOT), *(folder for folder in sys.path if folder != str(ROOT))]
for package in ("ch07", "ch08", "common", "dataset"):
    file = getattr(import_module(package), "__file__", None)
    if not file or not Path(file).resolve().is_relative_to(ROOT.resolve()):
        raise ImportError(f"Another `{package}` is loaded: {file}. Restart the kernel, then run this cell first.")
import_module("common.alt_text").install()  # figures are sharp and have alternative text
print("Ready: the course is found.")"""


def address():
    """The address in pyproject.toml, such as https://github.com/ada/attention-from-scratch."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["urls"]["Repository"]


def pages(repository=None):
    """The address of the web edition, where GitHub Pages puts it: https://ada.github.io/attention-from-scratch/."""
    owner, name = slug(repository or address()).split("/")
    return f"https://{owner}.github.io/{name}/"


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
    """Replace the addresses in pyproject.toml, pages and notebooks by those of `repository`; return what changed."""
    new = slug(repository)
    pyproject = root / "pyproject.toml"
    old = slug(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["urls"]["Repository"])
    # Wherever a link to the repository or to Colab's view of it begins, and nowhere else.
    link = re.compile(rf"(github\.com/|colab\.research\.google\.com/github/){re.escape(old)}(?![\w-]|\.(?!git\b)\w)")
    old_site, new_site = pages(old), pages(new)
    texts = [*root.glob("*.md"), *root.glob("notebooks/**/*.md"), *root.glob("tests/*.md")]
    notebooks = [path for path in root.glob("notebooks/**/*.ipynb") if ".ipynb_checkpoints" not in path.parts]
    changed = []
    for path in [pyproject, *sorted(texts), *sorted(notebooks)]:
        text = path.read_text(encoding="utf-8")
        replaced = link.sub(lambda found: found[1] + new, text).replace(old_site, new_site)
        if replaced != text:
            path.write_text(replaced, encoding="utf-8", newline="\n")
            changed.append(path)
    return changed
