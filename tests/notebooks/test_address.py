"""The repository's address, the badge, and the setup cell on Colab and elsewhere."""

import subprocess
import sys
import tempfile
import textwrap

import nbformat
import pytest

from tests.notebooks import address, execute

NEW = "https://github.com/ada/my-course"


@pytest.mark.parametrize(
    "form",
    [
        "https://github.com/ada/my.course",
        "https://github.com/ada/my.course.git",
        "https://github.com/ada/my.course/",
        "https://token@github.com/ada/my.course.git",
        "git@github.com:ada/my.course.git",
        "ssh://git@github.com/ada/my.course.git",
        " ada/my.course\n",
    ],
)
def test_every_form_of_an_address_is_understood(form):
    assert address.slug(form) == "ada/my.course"


@pytest.mark.parametrize(
    "form", ["", "/srv/git/course.git", "https://example.com/ada/course", "ada", "a/b/c", "file:///x/y"]
)
def test_what_is_not_on_github_is_refused(form):
    with pytest.raises(ValueError, match="not the address"):
        address.slug(form)


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def test_the_remote_says_where_the_course_is(tmp_path):
    git(tmp_path, "init", "-q")
    with pytest.raises(SystemExit, match=r"make badges REPO="):
        address.remote_address(tmp_path)
    git(tmp_path, "remote", "add", "origin", "git@github.com:ada/my-course.git")
    assert address.remote_address(tmp_path) == NEW
    git(tmp_path, "remote", "set-url", "origin", str(tmp_path))
    with pytest.raises(SystemExit, match="not on GitHub"):
        address.remote_address(tmp_path)


def test_the_badge_names_the_notebook():
    badge = address.badge(address.NOTEBOOKS / "exercises" / "ch08_x.ipynb", NEW)
    assert badge.endswith("/github/ada/my-course/blob/main/notebooks/exercises/ch08_x.ipynb)")


def test_make_badges_writes_the_address_everywhere_and_once(tmp_path):
    old = "https://github.com/YOUR_ACCOUNT/attention-from-scratch"
    urls = '[project.urls]\nRepository = "{}"\nDocumentation = "{}"\n'
    (tmp_path / "pyproject.toml").write_text(urls.format(old, address.pages(old)))
    page = "git clone {0}{1}.git\n[x]({2}{1}/blob/main/x) {0}YOUR_ACCOUNT/attention-from-scratch-2 [web]({3}x.html)"
    page_of = {
        slug: page.format(address.GITHUB, slug, address.COLAB, address.pages(slug))
        for slug in map(address.slug, (old, NEW))
    }
    (tmp_path / "README.md").write_text(page_of[address.slug(old)])
    (tmp_path / "other.py").write_text(old)
    path = tmp_path / "notebooks" / "exercises" / "x.ipynb"
    v4 = nbformat.v4
    cells = [
        v4.new_markdown_cell(address.badge(address.NOTEBOOKS / "x.ipynb", old)),
        v4.new_code_cell(address.setup_source(old)),
    ]
    execute.write(path, execute.normalise(v4.new_notebook(cells=cells)))
    changed = address.write_address(NEW, tmp_path)
    assert sorted(p.name for p in changed) == ["README.md", "pyproject.toml", "x.ipynb"]
    assert (tmp_path / "pyproject.toml").read_text() == urls.format(NEW, "https://ada.github.io/my-course/")
    assert (tmp_path / "README.md").read_text() == page_of[address.slug(NEW)]
    notebook = execute.read(path)
    assert notebook.cells[0].source == address.badge(address.NOTEBOOKS / "x.ipynb", NEW)
    assert notebook.cells[1].source == address.setup_source(NEW)
    assert path.read_text() == execute.text_of(execute.normalise(notebook))
    assert address.write_address(NEW, tmp_path) == []
    address.write_address(old, tmp_path)
    assert (tmp_path / "pyproject.toml").read_text() == urls.format(old, address.pages(old))


# --- the setup cell -------------------------------------------------------------------------------


COURSE = {"ch08": "attention_layer", "ch07": "seq2seq", "common": "np alt_text", "dataset": "make_dates sequence words"}


def setup(folder, *, repository=None, colab=None, before="", more="", path="/usr/local/bin:/usr/bin:/bin"):
    """Run the setup cell in a Python of its own that knows nothing of the course."""
    code = "\n".join([textwrap.dedent(before), address.setup_source(repository), textwrap.dedent(more)])
    environment = {"PATH": path, "PYTHONPATH": str(colab or ""), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["TMPDIR"] = str(tempfile.gettempdir())
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def course(folder):
    """A folder of files that looks like the course."""
    for package, modules in COURSE.items():
        (folder / package).mkdir(parents=True)
        for module in ("__init__", *modules.split()):
            (folder / package / f"{module}.py").write_text("HERE = __file__\n")
    (folder / "common" / "alt_text.py").write_text("def install():\n    pass\n")
    return folder


@pytest.fixture
def colab(tmp_path):
    """A folder with a stand-in for google.colab."""
    package = tmp_path / "stand_in" / "google" / "colab"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    return tmp_path / "stand_in"


@pytest.fixture
def published(tmp_path):
    """The address of a small repository that looks like the course."""
    folder = course(tmp_path / "published" / "my-course")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-qm", "x")
    return folder.as_uri()


@pytest.mark.parametrize("folder", [".", "notebooks", "tests/notebooks", "ch08"])
def test_setup_finds_the_course_from_any_folder_of_it(folder):
    done = setup(address.ROOT / folder, more="import ch08.attention_layer; print(ROOT)")
    assert done.stdout == f"{address.READY}{address.ROOT}\n", done.stderr


def test_setup_elsewhere_says_what_to_do(tmp_path):
    done = setup(tmp_path)
    assert done.stderr.strip().endswith(f"git clone {address.address()}")
    assert f"Unpack {address.address()}/archive/refs/heads/main.zip there" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["my-course", "my-course-main", "my-course-main (1)"])
def test_setup_finds_a_clone_or_an_unpacked_download_beside_the_notebook(name, tmp_path):
    course(tmp_path / name)
    done = setup(tmp_path, repository=NEW, more="print(ROOT)")
    assert done.stdout == f"{address.READY}{tmp_path / name}\n", done.stderr


def test_the_repository_of_the_book_is_not_the_course(tmp_path):
    """It has chapters, `common` and `dataset/sequence.py`, too."""
    (course(tmp_path) / "dataset" / "make_dates.py").unlink()
    done = setup(tmp_path / "ch08", repository=NEW)
    assert "FileNotFoundError: No course in" in done.stderr


def test_the_setup_cell_looks_for_the_last_file_that_a_notebook_imports():
    """A fetch writes files in the order of their names: where the last one is, all are."""
    command = ["git", "ls-files", "ch07/*.py", "ch08/*.py", "common/*.py", "dataset"]
    done = subprocess.run(command, cwd=address.ROOT, capture_output=True, text=True)
    files = done.stdout.split() or ["dataset/words.py"]  # an unpacked archive has no git
    assert max(files) == "dataset/words.py"
    assert "words.py" in address.SETUP


def test_setup_on_colab_fetches_the_course_once(tmp_path, colab, published):
    content = tmp_path / "content"
    content.mkdir()
    for _ in range(2):
        done = setup(content, repository=published, colab=colab, more="import ch08.attention_layer as m; print(m.HERE)")
        here = content / "my-course" / "ch08" / "attention_layer.py"
        assert done.stdout == f"{address.READY}{here}\n", done.stderr
    assert [path.name for path in content.iterdir()] == ["my-course"]
    history = subprocess.run(["git", "log", "--oneline"], cwd=here.parent, capture_output=True, text=True).stdout
    assert len(history.splitlines()) == 1


def cut_short(folder, *missing):
    """A fetch of the course that ended before these files were written."""
    course(folder)
    git(folder, "init", "-q")
    for name in missing:
        (folder / name).unlink()


@pytest.mark.parametrize(
    "missing", [["dataset/words.py"], ["dataset/make_dates.py", "dataset/words.py", "common/np.py"]]
)
def test_setup_on_colab_replaces_what_a_fetch_that_was_cut_short_left(missing, tmp_path, colab, published):
    content = tmp_path / "content"
    cut_short(content / "my-course", *missing)
    (content / "my-course" / "answers.txt").write_text("mine")
    kept = tmp_path / "kept"
    kept.mkdir()
    before = f"import tempfile\n\ntempfile.tempdir = {str(kept)!r}"
    for _ in range(2):
        done = setup(content, repository=published, colab=colab, before=before, more="import dataset.words")
        assert done.stdout == address.READY, done.stderr
    assert [path.name for path in content.iterdir()] == ["my-course"]
    assert not (content / "my-course" / "answers.txt").exists()
    assert [path.read_text() for path in kept.rglob("answers.txt")] == ["mine"]  # moved away, not deleted


def test_a_fetch_that_is_cut_short_leaves_nothing_where_the_course_belongs(tmp_path, colab):
    content, programs = tmp_path / "content", tmp_path / "programs"
    content.mkdir()
    programs.mkdir()
    (programs / "git").write_text('#!/bin/sh\nfor last; do :; done\n/bin/mkdir -p "$last/ch08"\nkill -9 $PPID\n')
    (programs / "git").chmod(0o755)
    done = setup(content, repository=NEW, colab=colab, path=str(programs))
    assert done.returncode == -9
    assert list(content.iterdir()) == []


def test_setup_on_colab_without_git_says_what_to_do(tmp_path, colab):
    content = tmp_path / "content"
    content.mkdir()
    done = setup(content, repository=NEW, colab=colab, path=str(content))
    sentence = f"RuntimeError: There is no git here. Unpack {NEW}/archive/refs/heads/main.zip in {content} and run"
    assert sentence in done.stderr
    assert list(content.iterdir()) == []


@pytest.mark.parametrize("package", COURSE)
def test_setup_says_so_where_another_package_of_that_name_was_imported_first(package, tmp_path):
    other = tmp_path / "elsewhere" / package
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    before = f"import sys\n\nsys.path.insert(0, {str(other.parent)!r})\nimport {package}"
    done = setup(course(tmp_path / "course"), before=before)
    assert done.stderr.strip().splitlines()[-1] == (
        f"ImportError: Another `{package}` is loaded: {other / '__init__.py'}. "
        "Restart the kernel, then run this cell first."
    )
    assert done.stdout == ""
    (other / "__init__.py").unlink()  # a namespace package has no file
    done = setup(tmp_path / "course" / "ch08", before=before)
    assert f"ImportError: Another `{package}` is loaded: None." in done.stderr


def test_the_course_comes_before_other_packages_of_its_names(tmp_path):
    """Wherever on the path the course stands already."""
    (tmp_path / "elsewhere" / "common").mkdir(parents=True)
    (tmp_path / "elsewhere" / "common" / "__init__.py").write_text("")
    root = course(tmp_path / "course")
    before = f"import sys\n\nsys.path[:0] = [{str(tmp_path / 'elsewhere')!r}, {str(root)!r}]"
    done = setup(root, before=before, more="import common; print(common.__file__)")
    assert done.stdout == f"{address.READY}{root / 'common' / '__init__.py'}\n", done.stderr


def test_setup_finds_the_course_through_a_link(tmp_path):
    root = course(tmp_path / "course")
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    before = f"import sys\n\nsys.path.insert(0, {str(tmp_path / 'link')!r})\nimport common"
    assert setup(root, before=before).stdout == address.READY


def test_setup_twice_puts_the_course_on_the_path_once(tmp_path):
    more = address.setup_source() + "\nprint(sys.path.count(str(ROOT)))"
    done = setup(address.NOTEBOOKS, more=more)
    assert done.stdout == address.READY * 2 + "1\n", done.stderr


def test_setup_on_colab_before_the_course_is_published(tmp_path, colab):
    content = tmp_path / "content"
    content.mkdir()
    done = setup(content, repository="https://github.com/YOUR_ACCOUNT/attention-from-scratch", colab=colab)
    assert "RuntimeError: Not published yet. Put the address of your copy" in done.stderr
    assert list(content.iterdir()) == []


def test_setup_on_colab_says_what_git_said(tmp_path, colab):
    content = tmp_path / "content"
    content.mkdir()
    done = setup(content, repository=(tmp_path / "missing").as_uri(), colab=colab)
    assert "RuntimeError: git could not fetch the course from" in done.stderr
    assert "missing" in done.stderr.rsplit("fetch the course from", 1)[1]  # git's own words follow
