"""What was tried and solved: noted by check, whatever the place is like, and shown as a grid of links."""

import errno
import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import nbformat
import numpy as np
import pytest

from common.grading import WrongAnswer, check, progress
from common.grading.exercise import exercises, find
from common.grading.teacher import launch, sandbox
from tests.notebooks import address

module = sys.modules["common.grading.progress"]  # the package gives the same name to the function
note, read = module.note, module.read
EVERY = [exercise for chapter in (7, 8) for exercise in exercises(chapter).values()]
HUNT = next(exercise for exercise in EVERY if exercise.bug)
RIGHT = find("8.2.2").reference


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the file, which is not there yet."""
    monkeypatch.setenv("ATTENTION_PROGRESS", str(tmp_path / "kept"))
    return tmp_path / "kept"


def wrong(number, answer):
    with pytest.raises(WrongAnswer):
        check(number, answer)


# --- what check notes ---------------------------------------------------------------------------------------------


def test_check_notes_what_was_tried_and_solved(folder):
    wrong("8.2.1", lambda hs, a: hs[0])
    check("8.2.2", RIGHT)
    assert read() == {"8.2.1": "tried", "8.2.2": "solved"}
    assert json.loads((folder / "progress.json").read_text()) == read()
    assert os.listdir(folder) == ["progress.json"]


def test_what_was_solved_stays_solved_and_what_was_noted_last_is_last(folder):
    check("8.2.2", RIGHT)
    note("8.2.1", False)
    wrong("8.2.2", lambda hs, a: a)
    assert list(read().items()) == [("8.2.1", "tried"), ("8.2.2", "solved")]


def test_right_values_made_by_a_forbidden_loop_are_not_a_solution(folder):
    wrong("8.2.2", lambda hs, a: np.array([x.T @ y for x, y in zip(hs, a)]))
    assert read() == {"8.2.2": "tried"}


def test_what_is_still_as_released_was_not_tried(folder):
    def stub(hs, a):
        raise NotImplementedError("Exercise 8.2.2")

    wrong("8.2.2", stub)
    with pytest.raises(TypeError):
        check("8.2.2", 3)
    assert read() == {}


def test_a_hunt_that_was_not_begun_was_not_tried(folder, tmp_path, monkeypatch):
    (tmp_path / "answer.py").write_text("import numpy as np\n\nRNN = object\n\n\n" + HUNT.bug.source)
    monkeypatch.syspath_prepend(tmp_path)
    import answer  # from a file, so that its source can be found

    wrong(HUNT.number, getattr(answer, HUNT.name))
    assert read() == {}
    wrong(HUNT.number, HUNT.run(HUNT.mistakes[0].source))
    assert read() == {HUNT.number: "tried"}


def test_a_demonstration_is_not_noted(folder):
    check("8.2.2", RIGHT, noted=False)
    assert not folder.exists()


def test_nothing_is_kept_if_it_is_off(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    for value in ("off", " OFF "):
        monkeypatch.setenv("ATTENTION_PROGRESS", value)
        check("8.2.2", RIGHT)
        assert (read(), os.listdir(tmp_path)) == ({}, [])


@pytest.mark.parametrize(
    ("value", "place"),
    [(None, "runs"), ("", "runs"), ("mine", "mine"), ("/mnt/drive", "/mnt/drive"), ("~/kept", "~/kept")],
)
def test_place(value, place, monkeypatch):
    monkeypatch.delenv("ATTENTION_PROGRESS")
    if value is not None:
        monkeypatch.setenv("ATTENTION_PROGRESS", value)
    assert module.place() == address.ROOT / os.path.expanduser(place) / "progress.json"


def test_git_ignores_the_file():
    assert subprocess.run(["git", "check-ignore", "-q", "runs/progress.json"], cwd=address.ROOT).returncode == 0


# --- a place that makes trouble -----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["mkdir", "open", "replace"])
@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EIO])
def test_a_place_that_cannot_be_written_to_fails_no_check(folder, monkeypatch, capsys, call, code):
    def refuse(*args, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os if call == "replace" else Path, call, refuse)
    check("8.2.2", RIGHT)
    wrong("8.2.1", lambda hs, a: hs[0])
    assert capsys.readouterr().out == "Exercise 8.2.2 ok\n"
    assert read() == {}


def test_a_file_in_place_of_the_folder_is_told_by_the_grid(folder):
    folder.write_text("mine")
    check("8.2.2", RIGHT)
    assert folder.read_text() == "mine"
    for text in (str(progress()), progress()._repr_html_()):
        assert "Your progress cannot be kept: " in text
        assert html.escape(str(folder)) in text


def test_nothing_is_made_where_a_drive_is_not_mounted_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTENTION_PROGRESS", str(tmp_path / "drive" / "MyDrive" / "attention"))
    check("8.2.2", RIGHT)
    assert os.listdir(tmp_path) == []
    assert f"cannot be kept: there is no folder {tmp_path / 'drive' / 'MyDrive'}" in str(progress())
    (tmp_path / "drive" / "MyDrive").mkdir(parents=True)
    check("8.2.2", RIGHT)
    assert progress().summary.startswith("1 of ")


def test_looking_leaves_nothing_behind(folder):
    assert "cannot be kept" not in str(progress())
    assert not folder.exists()


BROKEN = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"[1]",
    b"null",
    b'{"8.2.1": "mastered"}',
    b'{"8.2.1": ["solved"]}',
    b'{"x": "solved"}',
]
BROKEN += [b"[" * 50_000, b'{"8.2.1": ' + b"1" * 5000 + b"}", b'{"8.2.1": "solved"}' + b" " * 200_000]


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: repr(content[:20]))
def test_a_broken_or_foreign_file_is_put_aside(folder, content):
    folder.mkdir()
    (folder / "progress.json").write_bytes(content)
    (folder / "progress-broken-1.json").write_text("an earlier one")
    assert read() == {}
    assert (folder / "progress.json").read_bytes() == content, "looking changes nothing"
    check("8.2.2", RIGHT)
    assert read() == {"8.2.2": "solved"}
    assert (folder / "progress-broken-1.json").read_text() == "an earlier one"
    assert (folder / "progress-broken-2.json").read_bytes() == content


def test_a_folder_in_place_of_the_file_is_put_aside(folder):
    (folder / "progress.json" / "mine").mkdir(parents=True)
    assert read() == {}
    check("8.2.2", RIGHT)
    assert read() == {"8.2.2": "solved"}
    assert (folder / "progress-broken-1.json" / "mine").is_dir()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_place_of_the_file_does_not_hang(folder):
    folder.mkdir()
    os.mkfifo(folder / "progress.json")
    assert read() == {}
    check("8.2.2", RIGHT)
    assert read() == {"8.2.2": "solved"}


NOTE = """
import sys
from common.grading import progress
progress.PATIENCE = 60  # on a busy machine one of four may wait for long
for number in sys.argv[1:]:
    progress.note(number, number.endswith("1"))
"""


def test_several_kernels_lose_no_entry(folder):
    numbers = [exercise.number for exercise in EVERY]
    commands = [[sys.executable, "-c", NOTE, *numbers[k::4]] for k in range(4)]
    kernels = [subprocess.Popen(command, cwd=address.ROOT) for command in commands]
    assert [kernel.wait() for kernel in kernels] == [0] * 4
    assert read() == {number: "solved" if number.endswith("1") else "tried" for number in numbers}
    assert os.listdir(folder) == ["progress.json"]


def test_a_lock_that_nobody_gives_back_does_not_stop_a_check(folder, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with module.locked(folder):
        check("8.2.2", RIGHT)
    assert read() == {"8.2.2": "solved"}


def test_ctrl_c_while_noting_stops(folder, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check("8.2.2", RIGHT)
    assert os.listdir(folder) == []


def test_a_graded_answer_cannot_note_anything(tmp_path):
    """In the sandbox check is a stand-in, and what would note is not there."""
    sandbox.stage(tmp_path)
    assert not list(tmp_path.rglob("progress*"))
    done = subprocess.run(
        [sys.executable, "-c", "from common.grading import check\ncheck('8.2.2', len)"],
        env=launch.environment(tmp_path, tmp_path / "work"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "ATTENTION_PROGRESS" not in launch.environment(tmp_path, tmp_path)
    assert not list(tmp_path.rglob("progress*"))


# --- the grid -----------------------------------------------------------------------------------------------------


def test_a_fresh_grid_is_what_the_start_notebook_shows(monkeypatch):
    notebook = nbformat.read(str(address.NOTEBOOKS / "00_start_here.ipynb"), as_version=4)
    cell = next(cell for cell in notebook.cells if cell.id == "progress")
    monkeypatch.chdir(address.NOTEBOOKS)
    assert cell.outputs[0].data == {"text/plain": repr(progress()), "text/html": progress()._repr_html_()}
    assert progress().summary == f"0 of {len(EVERY)} solved, 0 tried"


def test_each_exercise_notebook_is_a_row_with_its_exercises():
    rows = progress().rows
    assert [exercise for row in rows for exercise in row.exercises] == EVERY
    paths = sorted((address.NOTEBOOKS / "exercises").glob("*.ipynb"))
    for row, path in zip(rows, paths, strict=True):
        prefix = row.title.split()[0] + "."
        assert all(exercise.number.startswith(prefix) for exercise in row.exercises)
        assert all(f'"answer-{exercise.number.replace(".", "-")}"' in path.read_text() for exercise in row.exercises)
        assert Path(row.link).name == path.name


@pytest.mark.parametrize("here", ["notebooks", "notebooks/exercises", "."])
def test_every_link_leads_to_its_exercise(monkeypatch, here):
    """From the notebook that shows it, in JupyterLab: the file is there, and in it the cell with the task."""
    monkeypatch.chdir(address.ROOT / here)
    links = re.findall(r'<a href="([^"]*)"[^>]*>([^<]*)</a>', progress()._repr_html_())
    assert len(links) == len(EVERY) + len(progress().rows) + 1  # each exercise, each notebook, where to go on
    for link, text in links:
        file, _, anchor = html.unescape(link).partition("#")
        path = Path(unquote(file))
        assert path.is_file(), file
        assert not path.is_absolute()
        if anchor:
            number = re.search(r"\d+\.\d+\.\d+", text)[0]
            assert anchor == f"cell-id=spec-{number.replace('.', '-')}"
            assert f'"id": "{anchor.removeprefix("cell-id=")}"' in path.read_text(encoding="utf-8")


def test_on_colab_links_are_those_of_the_published_course(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    links = re.findall(r'<a href="([^"]*)" target="_blank"', progress()._repr_html_())
    published = {re.search(r"\]\((http[^)]*)\)$", address.badge(path))[1] for path in address.all_notebooks()}
    assert len(links) == len(EVERY) + len(progress().rows) + 1
    assert set(links) <= published


def test_states_are_told_by_signs_and_words_and_not_by_color_alone(folder):
    note("8.2.1", True)
    note("8.2.2", False)
    grid = progress()
    assert grid.summary == f"1 of {len(EVERY)} solved, 1 tried"
    for text in (str(grid), grid._repr_html_()):
        assert all(mark in text for mark in ("✓ 8.2.1", "◐ 8.2.2", "○ 8.2.3"))
        assert "✓\u00a0solved" in text
    for state, number in {"solved": "8.2.1", "tried": "8.2.2", "open": "8.2.3"}.items():
        label = html.escape(f"{number} {find(number).title}: {state}")
        assert f'title="{label}" aria-label="{label}"' in grid._repr_html_()


@pytest.mark.parametrize(
    ("noted", "number"),
    [
        ([], "7.0.1"),
        ([("8.2.1", True)], "8.2.2"),
        ([("8.2.1", True), ("8.2.3", False)], "8.2.3"),
        ([("8.2.3", False), ("8.2.1", True)], "8.2.2"),
        ([("8.2.8", True)], "8.3.1"),  # the next notebook
        ([(EVERY[-1].number, True)], EVERY[0].number),  # what was left out
        ([("8.2.1", True), ("9.9.9", True)], "8.2.2"),  # of another version of the course
    ],
)
def test_go_on(folder, noted, number):
    for entry in noted:
        note(*entry)
    grid = progress()
    assert grid.go_on()[1].number == number
    assert f"Go on here: {number} {find(number).title}" in str(grid)
    assert (
        html.escape(f"{number} {find(number).title}</a>", quote=False).replace("&lt;/a&gt;", "</a>")
        in (grid._repr_html_().split("Go on here:")[1])
    )


def test_all_solved(folder):
    folder.mkdir()
    (folder / "progress.json").write_text(json.dumps({exercise.number: "solved" for exercise in EVERY}))
    assert progress().go_on() is None
    assert str(progress()).endswith("All are solved.")
    assert "All are solved." in progress()._repr_html_()


def test_a_notebook_that_was_deleted_or_copied(monkeypatch, tmp_path):
    for name in ("ch08_02_weight_sum.ipynb", "ch08_02_weight_sum-Copy1.ipynb"):
        (tmp_path / "notebooks" / "exercises").mkdir(parents=True, exist_ok=True)
        (tmp_path / "notebooks" / "exercises" / name).write_text("{}")
    for chapter in ("ch07", "ch08"):
        (tmp_path / chapter / "exercises").mkdir(parents=True)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    links = {row.title: row.link for row in progress().rows}
    assert links["8.2 weight sum"] == "exercises/ch08_02_weight_sum.ipynb"
    assert links["8.3"] is None
    assert '<span style="color:inherit">8.3</span>' in progress()._repr_html_()
