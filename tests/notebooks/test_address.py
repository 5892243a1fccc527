"""The repository's address, the badge, and the setup cell on Colab and elsewhere."""

import subprocess
import sys
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
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{old}"\n')
    page = "git clone {0}{1}.git\n[x]({2}{1}/blob/main/x) {0}YOUR_ACCOUNT/attention-from-scratch-2"
    page_of = {slug: page.format(address.GITHUB, slug, address.COLAB) for slug in map(address.slug, (old, NEW))}
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
    assert (tmp_path / "pyproject.toml").read_text() == f'[project.urls]\nRepository = "{NEW}"\n'
    assert (tmp_path / "README.md").read_text() == page_of[address.slug(NEW)]
    notebook = execute.read(path)
    assert notebook.cells[0].source == address.badge(address.NOTEBOOKS / "x.ipynb", NEW)
    assert notebook.cells[1].source == address.setup_source(NEW)
    assert path.read_text() == execute.text_of(execute.normalise(notebook))
    assert address.write_address(NEW, tmp_path) == []
    address.write_address(old, tmp_path)
    assert (tmp_path / "pyproject.toml").read_text() == f'[project.urls]\nRepository = "{old}"\n'


# --- the setup cell -------------------------------------------------------------------------------


def setup(folder, *, repository=None, colab=None, more=""):
    """Run the setup cell in a Python of its own that knows nothing of the course."""
    code = address.setup_source(repository) + "\n" + textwrap.dedent(more)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(colab or "")}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)


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
    folder = tmp_path / "published" / "my-course"
    (folder / "ch08").mkdir(parents=True)
    (folder / "ch08" / "attention_layer.py").write_text("HERE = __file__\n")
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
    assert list(tmp_path.iterdir()) == []


def test_setup_finds_a_course_below(tmp_path, published):
    git(tmp_path, "clone", "-q", published, "my-course")
    assert setup(tmp_path, repository=published).stdout == address.READY


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
    assert "missing" in done.stderr.split("fetch the course from")[1]  # git's own words follow
