"""The grader: what it reads, what it runs and where, what it writes."""

import ast
import csv
import io
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest

from common.grading import __main__ as command
from common.grading import cells
from common.grading.exercise import changed, find
from common.grading.judge import judge
from common.grading.teacher import bwrap, grade, handed_in, launch, memory, report, sandbox, seccomp, submissions
from common.grading.teacher.memory import new_group
from common.grading.teacher.rows import MAX_MESSAGE, Row, reproducible
from common.grading.teacher.steps import SETUP, Step, steps_of, without_drawing
from tests.grading.conftest import NOTEBOOK, SOLUTIONS, Classroom, small

RIGHT = "def weighted_sum(hs, a):\n    return (hs * a[:, :, None]).sum(axis=1)\n"
WRONG = "def weighted_sum(hs, a):\n    return (hs * a[:, :, None]).sum(axis=2)\n"
LOOPS = "def weighted_sum(hs, a):\n    return np.array([x.T @ y for x, y in zip(hs, a)])"
SQUARE = f"""{RIGHT}
f = weighted_sum
def weighted_sum(hs, a):
    assert hs.shape[1] == hs.shape[2]
    return f(hs, a)
"""
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


# --- reading submissions ----------------------------------------------------------------------------


def collected(room, only=()):
    return submissions.collect(room.folder, room.known, only).submissions


def answer_of(room, notebook, number="8.2.2"):
    """The Answer that is read out of a notebook."""
    room.hand_in("ada", notebook=notebook)
    (submission,) = collected(room)
    return submission.answers.get(number)


@pytest.mark.parametrize(
    ("file", "student"),
    [
        ("ada.ipynb", "ada"),
        ("ada__ch08_02_weight_sum.ipynb", "ada"),
        ("ada__ch08_2_weight_sum.ipynb", "ada"),
        ("ada lovelace - ch08_02_weight_sum (2).ipynb", "ada lovelace"),
        ("ada_ch08_02_weight_sum-Copy1.ipynb", "ada"),
        ("ada/ch08_02_weight_sum.ipynb", "ada"),
        ("ada/homework.ipynb", "ada"),
        ("=HYPERLINK(1).ipynb", "=HYPERLINK(1)"),
    ],
)
def test_layouts_of_a_folder(classroom, file, student):
    classroom.hand_in("", file=file)
    (submission,) = collected(classroom)
    assert (submission.student, submission.assignment.name, submission.problem) == (student, classroom.name, "")
    assert list(submission.answers) == ["8.2.2", "8.2.7"]
    assert submission.answers["8.2.2"].repairs == []


def test_checkpoints_and_hidden_files_are_not_submissions(classroom):
    classroom.hand_in("ada")
    classroom.hand_in("", file="ada/.ipynb_checkpoints/ch08_02_weight_sum-checkpoint.ipynb")
    classroom.hand_in("", file="ada/.hidden.ipynb")
    classroom.hand_in("", file=".ipynb_checkpoints/ada-checkpoint.ipynb")
    classroom.hand_in("", file="__MACOSX/ada.ipynb")
    (submission,) = collected(classroom)
    assert (submission.student, submission.note) == ("ada", "")


def test_of_two_files_one_is_graded_and_the_student_is_told(classroom):
    classroom.hand_in("ada", {"8.2.2": RIGHT})
    classroom.hand_in("", {"8.2.2": WRONG}, file="ada/ch08_02_weight_sum (1).ipynb")
    (submission,) = collected(classroom)
    assert "axis=1" in submission.answers["8.2.2"].source
    assert submission.note == "2 files were handed in for this notebook; graded: ch08_02_weight_sum.ipynb."


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "The file is empty."),
        (b"{", "its JSON is broken"),
        (b"[" * 100_000, "its JSON is broken"),
        (b'{"cells": ' + b"1" * 10_000 + b"}", "its JSON is broken"),
        (b"\xff\xfe{\x00}\x00", "its text is not UTF-8"),
        (b"[]", "it has no cells"),
        (b'{"cells": 3}', "it has no cells"),
        (b'{"cells": [1, null, {"source": 3}, {"source": [1]}]}', ""),
        (b"\0" * 1000, "its JSON is broken"),
    ],
)
def test_a_file_that_is_not_a_notebook(classroom, content, says):
    classroom.hand_in("ada", notebook=content)
    (submission,) = collected(classroom)
    assert says in submission.problem
    assert bool(submission.problem) == bool(says)
    assert submission.answers == {}


def test_a_file_that_is_too_large(classroom, monkeypatch):
    monkeypatch.setattr(handed_in, "MAX_BYTES", 1000)
    classroom.hand_in("ada")
    (submission,) = collected(classroom)
    assert "Clear its outputs" in submission.problem


@LINUX
def test_links_pipes_and_folders_are_not_read(classroom, tmp_path):
    secret = classroom.hand_in("", file="../secret.ipynb")
    (tmp_path / "elsewhere").mkdir()
    secret.rename(tmp_path / "elsewhere" / "secret.ipynb")
    (classroom.folder / "link.ipynb").symlink_to(tmp_path / "elsewhere" / "secret.ipynb")
    (classroom.folder / "linked").symlink_to(tmp_path / "elsewhere")
    (classroom.folder / "gone.ipynb").symlink_to(tmp_path / "nothing")
    (classroom.folder / "folder.ipynb").mkdir()
    os.mkfifo(classroom.folder / "pipe.ipynb")
    problems = {s.student: s.problem for s in collected(classroom)}
    assert sorted(problems) == ["folder", "gone", "link", "linked", "pipe"]
    for student in ("link", "linked", "gone"):
        assert "symbolic link" in problems[student]
    assert "not a regular file" in problems["pipe"]
    assert "cannot be read" in problems["folder"]


def test_a_student_who_handed_in_nothing_is_missing(classroom):
    classroom.hand_in("ada")
    (classroom.folder / "bob").mkdir()
    rows = classroom.grade()
    assert [rows["bob", n].status for n in ("8.2.2", "8.2.7")] == ["missing", "missing"]


def test_a_notebook_of_another_chapter(classroom):
    classroom.hand_in("ada")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("# Exercise 7.1.1\nx = 1")])
    classroom.hand_in("bob", notebook=notebook)
    bob = collected(classroom)[1]
    assert bob.answers == {}
    assert "exercises of another notebook: 7.1.1" in bob.note


def test_every_student_is_graded_for_a_notebook_that_is_named(classroom, tmp_path):
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1", id="answer-8-2-7")])
    known = {
        **classroom.known,
        "other": submissions.Assignment("other", other, (find("8.2.7"),)),
    }
    classroom.hand_in("ada")
    found = submissions.collect(classroom.folder, known, ["other", "other"]).submissions
    assert [(s.student, s.assignment.name) for s in found] == [("ada", "other")]
    assert found[0].problem == "No notebook was handed in for this. Handed in: ch08_02_weight_sum."


def test_folders_that_cannot_be_graded(classroom, tmp_path):
    with pytest.raises(submissions.SubmissionsError, match=r"no notebook \(\*\.ipynb\)"):
        collected(classroom)
    with pytest.raises(submissions.SubmissionsError, match="is not a folder"):
        submissions.collect(tmp_path / "nowhere", classroom.known)
    with pytest.raises(submissions.SubmissionsError, match="no notebook 'ch99'; there are ch08_02_weight_sum"):
        collected(classroom, ["ch99"])
    with pytest.raises(submissions.SubmissionsError, match="no solution notebooks"):
        submissions.assignments(tmp_path)


# --- answer cells -----------------------------------------------------------------------------------


def cell_of(notebook, name):
    return next(cell for cell in notebook.cells if cell.id == name)


def test_an_answer_is_found_without_ids(classroom):
    notebook = classroom.with_answers({"8.2.2": RIGHT})
    for k, cell in enumerate(notebook.cells):
        cell.id = f"other-{k}"
    answer = answer_of(classroom, notebook)
    assert "axis=1" in answer.source
    assert answer.repairs == ["the answer cell was found by its headline"]


def test_an_answer_is_found_by_the_id_that_colab_writes(classroom):
    notebook = classroom.with_answers({"8.2.2": RIGHT})
    data = json.loads(nbformat.writes(notebook))
    for cell in data["cells"]:
        cell["metadata"] = {"id": cell.pop("id")}
    answer = answer_of(classroom, json.dumps(data))
    assert "axis=1" in answer.source
    assert answer.repairs == []


def test_an_answer_in_a_notebook_of_the_third_format(classroom):
    cell = {"cell_type": "code", "input": ["# Exercise 8.2.2\n", RIGHT], "language": "python"}
    answer = answer_of(classroom, json.dumps({"nbformat": 3, "worksheets": [{"cells": [cell]}]}))
    assert answer.source.endswith(RIGHT)


def test_an_answer_in_a_markdown_cell_is_taken_for_code(classroom):
    notebook = classroom.with_answers({"8.2.2": RIGHT})
    cell_of(notebook, "answer-8-2-2").cell_type = "markdown"
    answer = answer_of(classroom, json.dumps(notebook))
    assert "axis=1" in answer.source
    assert answer.repairs == ["the answer was in a markdown cell"]


def test_the_heading_above_an_answer_is_not_an_answer(classroom):
    notebook = classroom.with_answers({"8.2.2": RIGHT})
    cell_of(notebook, "answer-8-2-2").source = "x = 1"
    cell_of(notebook, "answer-8-2-2").id = "other"
    assert any("Exercise 8.2.2" in cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert answer_of(classroom, notebook) is None


def test_of_two_answers_the_one_at_its_place_counts_else_the_last_one(classroom):
    notebook = classroom.with_answers({"8.2.2": RIGHT})
    stub = cell_of(classroom.released(), "answer-8-2-2").source
    for k, source in enumerate((f"# Exercise 8.2.2\n{RIGHT} * 1", f"# Exercise 8.2.2\n{WRONG}", stub)):
        notebook.cells.append(nbformat.v4.new_code_cell(source, id=f"copy-{k}"))
    answer = answer_of(classroom, notebook)
    assert answer.source == f"# Exercise 8.2.2\n{RIGHT}"
    assert answer.repairs == ["3 cells answer this exercise (the one at its place counts)"]
    cell_of(notebook, "answer-8-2-2").source = stub  # answered in another cell
    answer = answer_of(classroom, notebook)
    assert answer.source == f"# Exercise 8.2.2\n{WRONG}"
    assert answer.repairs[0] == "2 cells answer this exercise (the last one counts)"


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("code", "# Exercise 8.2.2: trying it out\nprint(weighted_sum(np.ones((1, 2, 3)), np.ones((1, 2))))"),
        ("code", "# Exercise 8.2.2\nc = weighted_sum(hs, a)\nassert c == 1"),
        ("markdown", "### Exercise 8.2.2\nmy note: the axis of time is 1"),
        ("code", "# Exercise 8.2.2\ncheck('8.2.2', weighted_sum)"),
    ],
)
def test_a_trial_or_a_note_below_an_answer_is_not_an_answer(classroom, kind, source):
    notebook = classroom.with_answers({"8.2.2": RIGHT})
    new = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    notebook.cells.append(new(source, id="more"))
    assert answer_of(classroom, notebook).source == f"# Exercise 8.2.2\n{RIGHT}"
    cell_of(notebook, "answer-8-2-2").id = "lost"
    assert answer_of(classroom, notebook).source == f"# Exercise 8.2.2\n{RIGHT}"


@pytest.mark.parametrize(
    "above",
    [
        "%%time\n",
        "# @title My answer\n",
        "\n# My answer\n\n",
        "#@markdown text\n%%capture\n",
        "%matplotlib inline\n",
        "!ls\n",
    ],
)
def test_an_answer_without_its_id_is_found_below_magics_titles_and_comments(classroom, above):
    notebook = classroom.with_answers({"8.2.2": RIGHT})
    cell = cell_of(notebook, "answer-8-2-2")
    cell.id, cell.source = "aB3xYz", above + cell.source
    assert answer_of(classroom, notebook).source == above + f"# Exercise 8.2.2\n{RIGHT}"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda cells, k: cells.pop(k), "the check cell was missing"),
        (lambda cells, k: cells.insert(0, cells.pop(k)), "the check cell was before the answer"),
        (lambda cells, k: cells.append(cells[k]), "the check cell was there 2 times"),
        (lambda cells, k: cells[k].update(source="print('Exercise 8.2.2 ok')"), "the check cell had been changed"),
        (lambda cells, k: cells[k].update(cell_type="raw"), "the check cell was not a code cell"),
        (lambda cells, k: cells[k].update(source=cells[k].source + "\n\n"), None),
    ],
)
def test_check_cells_may_be_changed(classroom, change, says):
    notebook = classroom.with_answers({"8.2.2": RIGHT})
    change(notebook.cells, notebook.cells.index(cell_of(notebook, "check-8-2-2")))
    assert answer_of(classroom, json.dumps(notebook)).repairs == ([says] if says else [])


def test_half_of_a_surrogate_pair_and_a_long_answer(classroom):
    answer = answer_of(classroom, json.dumps(classroom.with_answers({"8.2.2": "x = '\ud800'"})))
    assert answer.source.endswith("x = '?'")
    answer = answer_of(classroom, classroom.with_answers({"8.2.2": "#" * 200_000}))
    assert answer.source == "raise ValueError('the answer has more than 100,000 characters')"


# --- the notebook that is run -----------------------------------------------------------------------


def steps_of_student(room, student="ada", seed="1"):
    if not (room.folder / student).exists():
        room.hand_in(student)
    submission = next(s for s in collected(room) if s.student == student)
    return steps_of(submission, seed)


def test_probes_stand_behind_their_answer_in_place_of_check_cells(classroom):
    listed = steps_of_student(classroom)
    order = [(step.kind, step.exercise and step.exercise.number, step.case) for step in listed]
    first = order.index(("answer", "8.2.2", 0))
    cases = len(find("8.2.2").cases)
    assert order[first + 1 : first + 1 + cases] == [("probe", "8.2.2", k) for k in range(cases)]
    assert not any(re.search(r"^check\(", step.source, re.M) for step in listed)
    assert listed[0].source == SETUP


SYMPTOM = "symptom-twice"  # of 8.2.8; it prints what LeanWeightSum returns


@pytest.fixture(scope="module")
def hunt(tmp_path_factory, sandboxes):
    """A classroom with one bug hunt and the cell that shows its symptom."""
    folder = tmp_path_factory.mktemp("hunt")
    notebook = nbformat.read(str(SOLUTIONS / f"{NOTEBOOK}.ipynb"), as_version=4)
    nbformat.write(small(notebook, ("8.2.8",), (SYMPTOM,)), str(folder / f"{NOTEBOOK}.ipynb"))
    return Classroom(tmp_path_factory.mktemp("submissions"), folder, sandboxes)


def test_a_symptom_is_shown_after_the_probes(hunt):
    kinds = [(step.kind, "first call" in step.source) for step in steps_of_student(hunt, "anna")]
    rest = kinds[kinds.index(("answer", False)) :]
    assert rest == [("answer", False)] + [("probe", False)] * len(find("8.2.8").cases) + [("given", True)]


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("%matplotlib inline\nimport matplotlib.pyplot as plt", "\nimport matplotlib.pyplot as plt"),
        ("x = 1  # as it is", "x = 1  # as it is"),
        ("%timeit 1\nplt.show()", "%timeit 1\nplt.show()"),  # not Python alone: as it is
        ("x = 1\nfigure, ax = plt.subplots()\nax.plot(x)\nplt.show()\nprint(x)", "x = 1\nprint(x)"),
        ("axes = [plt.figure()]\nfor ax in axes:\n    ax.plot([1])\n    last = ax\nlast.grid()\ny = 2", "y = 2"),
        ("def show(x):\n    plt.plot(x)\n\nshow(1)\ny = 2", "def show(x):\n    plt.plot(x)\ny = 2"),
        ("@cached\ndef f(x):\n    return x\n\nplt.plot(f(1))", "@cached\ndef f(x):\n    return x"),
    ],
)
def test_what_draws_is_left_out_with_what_needs_it(source, kept):
    assert without_drawing(source) == kept


def test_a_hunt_handed_out_with_its_symptom_after_the_check_counts_as_before(hunt):
    def old_order(answer):
        notebook = hunt.with_answers({"8.2.8": answer})
        ids = [cell.id for cell in notebook.cells]
        assert ids.index("answer-8-2-8") < ids.index(SYMPTOM) < ids.index("check-8-2-8")
        notebook.cells.append(notebook.cells.pop(ids.index(SYMPTOM)))
        return notebook

    nothing = changed(find("8.2.8").bug.source, ("return ar, da", "return None"))
    hunt.hand_in("new")
    hunt.hand_in("old", notebook=old_order(hunt.answers["8.2.8"]))
    hunt.hand_in("untouched", notebook=old_order(find("8.2.8").bug.source))
    hunt.hand_in("worse", {"8.2.8": nothing})  # its symptom cell stops with an error
    rows = {student: row for (student, _), row in hunt.grade().items() if student != "anna"}
    assert {student: row.status for student, row in rows.items()} == dict(
        new="pass", old="pass", untouched="fail", worse="fail"
    )
    assert rows["new"].message == rows["old"].message == ""
    assert "as released, with the bug still in it" in rows["untouched"].message
    assert find("8.2.8").bug.says not in rows["untouched"].message
    assert rows["untouched"].unsolved
    assert not rows["untouched"].picture
    assert not rows["worse"].unsolved


def test_what_is_run_says_nothing_of_what_is_right(classroom):
    listed = steps_of_student(classroom)
    text = "\n".join(step.source for step in listed if step.kind != "answer")
    exercise = find("8.2.2")
    for mistake in exercise.mistakes:
        assert mistake.says not in text
    assert exercise.hints[1] not in text
    assert "BEGIN SOLUTION" not in text


def test_inputs_follow_from_seed_and_student(classroom):
    def probes(*args):
        return [step.source for step in steps_of_student(classroom, *args) if step.kind == "probe"]

    assert probes("ada", "1") == probes("ada", "1")
    assert not set(probes("ada", "1")) & set(probes("ada", "2"))
    assert not set(probes("ada", "1")) & set(probes("bob", "1"))


def test_messages_are_the_same_in_every_run():
    temporary = "/tmp"
    said = f"\x1b[31m<f at 0x7f12ab34cd56>\x1b[0m in {temporary}/ipykernel_12/345.py\n\x00"
    said += f"(3456.py, line 2) in {temporary}/a/b.txt"
    assert reproducible(said) == "<f at 0x...> in the cell \ufffd(line 2) in a temporary file"
    assert reproducible("1/2 and T = H, x[0, 0]/y is 3.5") == "1/2 and T = H, x[0, 0]/y is 3.5"
    assert len(reproducible("x" * 10_000)) == MAX_MESSAGE


# --- the sandbox ------------------------------------------------------------------------------------

LOOK = """
import os, sys, json, resource, socket
found = {}
def attempt(name, f):
    try:
        found[name] = f()
    except Exception as error:
        found[name] = type(error).__name__
attempt("outside", lambda: os.path.exists(OUTSIDE))
attempt("write to the course", lambda: open(ROOT / "x", "w").close())
attempt("write to /", lambda: open("/x", "w").close())
attempt("write to Python", lambda: open(sys.prefix + "/x", "w").close())
attempt("write here", lambda: open("x", "w").close())
attempt("network", lambda: socket.create_connection(("127.0.0.1", PORT), 3))
attempt("processes", lambda: len([p for p in os.listdir("/proc") if p.isdigit()]))
others = [p for p in os.listdir("/proc") if p.isdigit() and p != str(os.getpid())]
attempt("worker", lambda: [open(f"/proc/{p}/mem", "rb") for p in others])
attempt("environment", lambda: sorted(set(os.environ) & {"SECRET", "VIRTUAL_ENV"}))
attempt("home", lambda: os.listdir(os.environ["HOME"]))
attempt("user", os.getuid)
attempt("root again", lambda: os.setuid(0))
attempt("memory", lambda: bytearray(3 << 30))
attempt("file", lambda: open("big", "wb").write(b"x" * (65 << 20)))
attempt("specs", lambda: __import__("ch08.exercises"))
attempt("layers", lambda: __import__("common.layers"))
attempt("judge", lambda: __import__("common.grading.judge"))
attempt("here", lambda: sorted(os.listdir(".")))
attempt("course", lambda: sorted(str(p.relative_to(ROOT)) for p in ROOT.rglob("*.py") if "dataset" not in p.parts))
attempt("check", lambda: __import__("common.grading", fromlist=["check"]).check("8.2.2", None))
raise RuntimeError(json.dumps(found))
"""


def run(sandboxes, *sources, seconds=10.0):
    """Run sources as answers; return what came of them, the culprit, the last error as a text."""
    listed = [Step("given", SETUP, 60.0), *(Step("answer", source, seconds) for source in sources)]
    ran, culprit = sandboxes.run(list(enumerate(listed)))
    last = ran[max(ran)]
    return ran, culprit, (last.error or {}).get("message", "")


def test_what_a_staged_file_imports_is_staged_too():
    """Else a given cell of a notebook fails within the sandbox, and no answer is graded."""
    for name in sandbox.STAGED:
        tree = ast.parse((launch.COURSE / "common" / name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("common."):
                module = node.module.removeprefix("common.").replace(".", "/")
                needed = {f"{module}.py", f"{module}/__init__.py"} | {
                    f"{module}/{alias.name}.py" for alias in node.names
                }
                assert needed & {*sandbox.STAGED}, f"common/{name} imports {node.module}"


def test_what_can_be_seen_from_within(isolated, monkeypatch):
    monkeypatch.setenv("SECRET", "1")
    with _listening() as port:
        names = f"OUTSIDE, PORT = {str(launch.COURSE / 'notebooks')!r}, {port}"
        _, culprit, said = run(isolated, names, LOOK)
    found = json.loads(said)
    assert culprit is None
    assert found.pop("user") != 0
    assert found.pop("processes") <= 4
    assert "conftest.py" not in found["here"]
    del found["here"], found["home"]
    assert found == {
        "outside": False,
        "write to the course": "OSError",
        "write to /": "OSError",
        "write to Python": "OSError",
        "write here": None,
        "network": "OSError",
        "worker": "PermissionError",
        "environment": [],
        "root again": "PermissionError",
        "memory": "MemoryError",
        "file": "OSError",
        "specs": "ModuleNotFoundError",
        "layers": "ModuleNotFoundError",
        "judge": "ModuleNotFoundError",
        "course": [
            "common/__init__.py",
            "common/alt_text.py",
            "common/config.py",
            "common/gradient_check.py",
            "common/grading/__init__.py",
            "common/grading/observe.py",
            "common/grading/teacher/__init__.py",
            "common/grading/teacher/probe.py",
            "common/grading/teacher/runner.py",
            "common/grading/teacher/worker.py",
            "common/language/__init__.py",
            "common/np.py",
            "common/optimizer.py",
            "common/plots.py",
            "common/svg.py",
            "debugpy.py",
        ],
        "check": None,
    }


class _listening:
    """A server on this machine that nobody may reach from within a sandbox."""

    def __enter__(self):
        import socket

        self.socket = socket.create_server(("127.0.0.1", 0))
        return self.socket.getsockname()[1]

    def __exit__(self, *error):
        self.socket.close()


def test_nothing_stays_between_two_runs(sandboxes):
    leave = "import os\nfor place in ('.', os.environ['HOME'], os.environ['TMPDIR']):\n    open(place + '/left', 'w')"
    look = leave.replace("open(place + '/left', 'w')", "assert not os.path.exists(place + '/left')")
    assert run(sandboxes, leave)[0][1].error is None
    assert run(sandboxes, look)[0][1].error is None


def test_pyplot_and_the_debugger_wait_until_they_are_asked_for(sandboxes):
    imports = "import sys\nimport matplotlib.pyplot as plt\nassert 'matplotlib.backend_bases' not in sys.modules"
    draw = "figure, ax = plt.subplots()\nassert 'matplotlib.backend_bases' in sys.modules and figure.axes == [ax]"
    again = "import matplotlib.pyplot as again\nassert again is plt and 'debugpy.server' not in sys.modules"
    results, culprit, _ = run(sandboxes, imports, draw, again)
    assert ([result.error for result in results.values()], culprit) == ([None] * 4, None)


MARK = "a-mark-that-only-this-test-has"
DETACHED = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", {MARK!r}], start_new_session=True)
"""


def marked():
    found = []
    for process in psutil.process_iter():
        try:
            if MARK in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("isolate", [True, False])
def test_no_process_is_left(isolate, request):
    if isolate:
        request.getfixturevalue("isolated")
    with sandbox.Sandboxes(isolate) as made:
        ran, _, _ = run(made, DETACHED)
    assert ran[1].error is None
    assert marked() == []


def test_a_sandbox_that_is_ended_at_once_leaves_no_process(isolated):
    """Bubblewrap starts in several steps, and may be ended between any two of them."""
    for k in range(40):
        with sandbox.Session(isolated, 0, [(0, Step("given", SETUP, 60.0))]) as session:
            time.sleep(k / 2000)
        assert not session.reader.is_alive()  # nobody is left who could write


def test_a_fork_bomb_is_contained(isolated):
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    ran, culprit, _ = run(isolated, bomb, "x = 1")
    assert (culprit, ran[1].how, ran[1].why) == (1, "crashed", "more than 32 processes")
    assert 2 not in ran


def test_a_cell_that_does_not_end_and_listens_to_nobody(sandboxes):
    ignore = "import signal\nfor s in (signal.SIGINT, signal.SIGTERM):\n    signal.signal(s, signal.SIG_IGN)\n"
    deaf = ignore + "while True: pass"
    ran, culprit, _ = run(sandboxes, deaf, seconds=1.0)  # it comes back at all
    assert (culprit, ran[1].how) == (1, "timeout")


def test_without_isolation_all_that_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(bwrap.shutil, "which", lambda name: None)
    isolation = bwrap.detect(tmp_path)
    assert isolation.words.startswith("NOT ISOLATED. Bubblewrap")
    for word in ("solutions", "network", "your rights"):
        assert word in isolation.words


def test_bubblewrap_that_does_not_work_is_not_taken_for_isolation(monkeypatch, tmp_path):
    if sys.platform != "linux":
        pytest.skip("bubblewrap, which this test breaks, is for Linux only")
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'No permission to create a namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(bwrap.shutil, "which", lambda name: str(broken))
    isolation = bwrap.detect(tmp_path)
    assert isolation.bwrap is None
    assert "does not work here: No permission to create a namespace." in isolation.words


def test_a_system_without_libseccomp_is_not_taken_for_isolation(monkeypatch, tmp_path):
    monkeypatch.setattr(bwrap.shutil, "which", lambda name: "/usr/bin/bwrap")
    monkeypatch.setattr(seccomp, "LIBRARY", "no-such-library.so")
    if sys.platform != "linux":
        pytest.skip("bubblewrap, and with it this filter, is for Linux only")
    isolation = bwrap.detect(tmp_path)
    assert isolation.bwrap is None
    assert "libseccomp is not installed" in isolation.words


@LINUX
def test_a_filter_that_lacks_a_system_call_is_not_made(monkeypatch):
    monkeypatch.setattr(seccomp, "UNCOUNTED", "no_such_call")
    with pytest.raises(seccomp.SeccompError, match="does not know the system call no_such_call"):
        seccomp.program()


NOBODY = 65_534  # the number of a user without rights
# What an ordinary user's sandbox says, in a process of its own.
ORDINARY = """
import json, os, sys
os.setgroups([])
os.setgid(NOBODY)
os.setuid(NOBODY)
from common.grading.teacher.sandbox import Sandboxes
from common.grading.teacher.steps import SETUP, Step
with Sandboxes() as made:
    found = {"missing": made.isolation.missing, "runs": []}
    for source in json.load(sys.stdin):
        ran, culprit = made.run([(0, Step("given", SETUP, 60.0)), (1, Step("answer", source, 10.0))])
        found["runs"].append([ran[1].how, ran[1].why, (ran[1].error or {}).get("message", "")])
print(json.dumps(found))
""".replace("NOBODY", str(NOBODY))


def readable_by_all(program):
    """The start of a command line: bubblewrap shows the course and its Python though root's folder may be closed."""
    options = [program, "--dev-bind", "/", "/", "--cap-add", "ALL", "--perms", "1777", "--tmpfs", "/dev/shm"]
    opened = []
    for path in map(Path, (launch.COURSE, *launch.python_folders())):
        closed = next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001), None)
        if closed:
            options += [] if closed in opened else ["--perms", "0755", "--tmpfs", str(closed)]
            opened.append(closed)
            for folder in reversed(path.parents):
                options += ["--perms", "0755", "--dir", str(folder)] if folder.is_relative_to(closed) else []
            options += ["--ro-bind", str(path), str(path)]
    return [*options, "--"]


NAMESPACES = """
import ctypes, os
libc, found = ctypes.CDLL(None), {"user": os.getuid()}
for name, flag in {"user": 0x10000000, "mount": 0x20000}.items():
    pid = os.fork()
    if pid == 0:
        os._exit(libc.unshare(flag) == 0)
    found["new " + name] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
try:
    found["files"] = open("/etc/passwd").read() and os.listdir("/root")
except OSError:
    found["files"] = None
raise RuntimeError(str(found))
"""


@LINUX
def test_an_ordinary_user_has_the_same_sandbox(isolated):
    """As root the worker becomes another user; as an ordinary user it lives in a namespace of its own."""
    if os.geteuid():
        pytest.skip("all the other tests run as an ordinary user")
    sources = [
        NAMESPACES,
        "import os\nfor k in range(400_000):\n    open(str(k), 'w').close()",
        "x = bytearray(3 << 30)",
    ]
    done = subprocess.run(
        [*readable_by_all(isolated.isolation.bwrap), sys.executable, "-c", ORDINARY],
        input=json.dumps(sources),
        cwd=launch.COURSE,
        env={"PATH": os.environ["PATH"], "HOME": "/dev/shm", "TMPDIR": "/dev/shm"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["missing"] == []
    spaces, files, memory = found["runs"]
    assert spaces == ["ended", "", str({"user": NOBODY, "new user": 0, "new mount": 0, "files": None})]
    assert files[:2] == ["crashed", "more than 20,000 files"]
    assert memory[0] == "ended"


def heard(monkeypatch, *lines, startup=sandbox.STARTUP):
    """What a Session makes of the lines of a worker that started so many seconds ago, and has not ended."""
    session = object.__new__(sandbox.Session)
    session.sandboxes = SimpleNamespace(stopped=threading.Event())
    session.steps, session.results, session.begun = {7: Step("answer", "x", 10.0)}, {}, None
    session.group = None
    session.lines = queue.Queue()
    for line in lines:
        session.lines.put(json.dumps(line).encode())
    session._too_much = session._last_words = lambda: ""
    monkeypatch.setattr(sandbox, "STARTUP", startup)
    return session.watch()


def test_what_has_arrived_is_read_before_it_is_too_late(monkeypatch):
    """The grader itself may have been busy, or stopped for a while, when a deadline passed."""
    begin, end = {"event": "begin", "i": 7}, {"event": "end", "i": 7, "seconds": 0.5}
    ran, culprit = heard(monkeypatch, begin, end, startup=-100.0)
    assert (ran[7].how, ran[7].seconds, culprit) == ("ended", 0.5, None)
    monkeypatch.setattr(sandbox, "GRACE", -100.0)  # the step's own deadline
    ran, culprit = heard(monkeypatch, begin, end)
    assert (ran[7].how, culprit) == ("ended", None)
    ran, culprit = heard(monkeypatch, begin)
    assert (ran[7].how, culprit) == ("timeout", 7)
    ran, culprit = heard(monkeypatch, begin, {"event": "noise"}, end)
    assert (ran[7].how, culprit) == ("timeout", 7)


def test_a_message_that_came_in_time_is_read_in_the_sandbox_too():
    runner = pytest.importorskip("common.grading.teacher.runner")
    kernel = object.__new__(runner.Kernel)
    message = {"parent_header": {}, "content": {}}
    waiting = []

    def get(timeout):
        if waiting:
            return waiting.pop()
        raise queue.Empty

    kernel.kc = SimpleNamespace(get_iopub_msg=get, get_shell_msg=get)
    kernel.km = SimpleNamespace(is_alive=lambda: True)
    kernel.seconds = lambda: 10.1
    for limits in ((10.0, time.monotonic() + 100), (100.0, time.monotonic() - 0.1)):
        kernel.limits = limits
        waiting.append(message)
        assert kernel.get_message("iopub", 1) is message
        with pytest.raises(runner.Stopped, match="timeout"):
            kernel.get_message("iopub", 1)


def test_where_the_machine_runs_short_of_memory_each_is_graded_alone(classroom, monkeypatch):
    together, alone = [], []

    def available():
        inside = classroom.sandboxes.inside
        (together if inside > 1 else alone).append(inside)
        return 1 if inside > 1 else 2**40

    monkeypatch.setattr(sandbox, "available", available)
    for student in ("ada", "bob", "eve"):
        classroom.hand_in(student)
    rows = classroom.grade(workers=3)
    assert {row.status for row in rows.values()} == {"pass"}
    assert together
    assert classroom.sandboxes.inside == 0


def test_who_takes_the_memory_of_the_machine_is_ended_and_nobody_else(classroom, monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: 1 if marked() else 2**40)
    classroom.hand_in("ada")
    classroom.hand_in("eve", {"8.2.2": f"{DETACHED}\nimport time\ntime.sleep(9)\n{RIGHT}"})
    classroom.hand_in("zoe")
    rows = classroom.grade(workers=3)
    assert [rows[student, "8.2.2"].status for student in ("ada", "eve", "zoe")] == ["pass", "crashed", "pass"]
    assert "ran out of memory" in rows["eve", "8.2.2"].message
    assert {rows[student, "8.2.7"].status for student in ("ada", "eve", "zoe")} == {"pass"}


def test_the_kernel_ends_who_takes_memory_between_two_looks(isolated, monkeypatch):
    """Where there are control groups. Where there are none, somebody looks five times a second, as everywhere."""
    group = new_group(64 * launch.MIB)
    if group is None:
        assert not isolated.grouped
        return
    try:
        take = [sys.executable, "-c", f"x = b'x' * {128 * launch.MIB}"]
        assert subprocess.run(group.command([sys.executable, "-c", ""])).returncode == 0
        assert not group.exceeded()
        assert subprocess.run(group.command(take)).returncode == -signal.SIGKILL
        assert group.exceeded()
    finally:
        group.remove()
    assert isolated.grouped
    assert not group.folder.exists()
    monkeypatch.setattr(sandbox, "MEMORY_OF_ALL", 512 * launch.MIB)
    monkeypatch.setattr(sandbox.Session, "_family", lambda self: [])  # nobody looks
    ran, culprit, _ = run(isolated, "x = b'x' * 2**29")
    assert (culprit, ran[culprit].how, ran[culprit].why) == (1, "crashed", "more than 512 MiB of memory")


def test_a_control_group_is_made_where_the_kernel_lets_it(tmp_path):
    own, root = tmp_path / "own", tmp_path / "groups"
    (root / "user" / "session").mkdir(parents=True)
    own.write_text("0::/user/session\n")
    assert new_group(10, own, root) is None
    for folder in (root, root / "user"):
        (folder / "cgroup.subtree_control").write_text("cpu memory pids\n")
    assert new_group(10, own, root) is None  # the kernel made no files in it, so it is not a group
    assert [folder.name for folder in (root / "user").iterdir() if folder.is_dir()] == ["session"]


def test_a_machine_without_memory_is_not_the_students_fault(classroom, monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: 100 * launch.MIB)
    classroom.hand_in("ada")
    rows = classroom.grade()
    assert {row.status for row in rows.values()} == {"infra"}
    assert "only 100 MiB of memory left" in rows["ada", "8.2.2"].message


def test_what_a_container_may_take_is_counted(tmp_path):
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    own = tmp_path / "cgroup"
    own.write_text("4:memory:/elsewhere\n0::/outer/inner\n")
    machine = memory.available(own, tmp_path)
    assert machine > 100 * launch.MIB  # no limit
    for folder, limit in ((inner, "max"), (inner.parent, str(10 * launch.MIB))):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{7 * launch.MIB}\n")
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {launch.MIB}\n")
    assert memory.available(own, tmp_path) == 4 * launch.MIB
    assert memory.available(tmp_path / "nothing", tmp_path) > 100 * launch.MIB


# --- grading ----------------------------------------------------------------------------------------


def test_answers_are_judged_and_the_same_bytes_come_again(classroom):
    """One folder, graded twice: with one worker and with two."""
    classroom.hand_in("right")
    classroom.hand_in("wrong", {"8.2.2": WRONG})
    classroom.hand_in("stub", notebook=classroom.released())
    classroom.hand_in("half", {"8.2.2": RIGHT + "\nweighted_sum(1, 2)"})
    classroom.hand_in("dies", {"8.2.2": "def weighted_sum(hs, a):\n    __import__('os')._exit(3)"})
    classroom.hand_in("other", {"8.2.2": "def other(hs, a):\n    pass"})
    classroom.hand_in("loops", {"8.2.2": LOOPS})
    classroom.hand_in("square", {"8.2.2": SQUARE})
    missing = classroom.with_answers(classroom.answers)
    missing.cells = [cell for cell in missing.cells if cell.id != "answer-8-2-2"]
    classroom.hand_in("missing", notebook=missing)
    rows = classroom.grade(workers=2)
    once = report.scores(classroom.rows)
    classroom.grade(workers=1)
    assert report.scores(classroom.rows) == once

    found = {student: (row.status, row.points) for (student, number), row in rows.items() if number == "8.2.2"}
    assert found == {
        "right": ("pass", 2),
        "wrong": ("fail", 0),
        "stub": ("fail", 0),
        "half": ("error", 0),
        "dies": ("crashed", 0),
        "other": ("error", 0),
        "loops": ("partial", 1),
        "square": ("partial", 0.5),
        "missing": ("missing", 0),
    }
    hunts = {student: row.status for (student, number), row in rows.items() if number == "8.2.7"}
    assert hunts == {student: "fail" if student == "stub" else "pass" for student in found}
    assert "hidden axis" in rows["wrong", "8.2.2"].message
    assert "Not solved yet" in rows["stub", "8.2.2"].message
    assert "exit code 3" in rows["dies", "8.2.2"].message
    assert "does not define weighted_sum" in rows["other", "8.2.2"].message
    assert "it handles them one by one" in rows["loops", "8.2.2"].message
    assert "Right for: T = H." in rows["square", "8.2.2"].message


def test_a_grader_that_cannot_start_takes_no_points(classroom, monkeypatch):
    monkeypatch.setattr(launch, "worker_command", lambda: [sys.executable, "-c", "raise SystemExit('no such kernel')"])
    classroom.hand_in("ada")
    rows = classroom.grade()
    assert [(row.status, row.points, row.shown_points) for row in rows.values()] == [("infra", None, "")] * 2
    for part in ("The grader itself failed, twice", "no such kernel", "grade again"):
        assert part in rows["ada", "8.2.2"].message
    line = list(csv.reader(io.StringIO(report.scores(classroom.rows))))[1]
    assert line[3:6] == ["infra", "", "2"]


def test_a_grader_that_fails_once_tries_again(classroom, monkeypatch):
    right, calls = launch.worker_command, []

    def flaky():
        calls.append(1)
        return [sys.executable, "-c", "raise SystemExit(1)"] if len(calls) == 1 else right()

    monkeypatch.setattr(launch, "worker_command", flaky)
    classroom.hand_in("ada")
    assert [row.status for row in classroom.grade().values()] == ["pass", "pass"]


def test_a_fault_of_a_spec_is_the_graders(classroom, monkeypatch):
    def broken(*args):
        raise RuntimeError("the reference fails")

    monkeypatch.setattr("common.grading.teacher.rows.judge", broken)
    classroom.hand_in("ada")
    assert {row.status for row in classroom.grade().values()} == {"infra"}


def test_a_given_cell_that_fails_is_the_graders_fault(classroom):
    cell_of(classroom.known[classroom.name].notebook, "imports").source = "import ch08.exercises"
    classroom.hand_in("ada")
    rows = classroom.grade()
    assert {row.status for row in rows.values()} == {"infra"}
    assert "a given cell raised ModuleNotFoundError" in rows["ada", "8.2.2"].message


def test_a_value_that_cannot_be_compared_is_the_students(classroom, monkeypatch):
    def too_large(exercise, outcomes, large, own):
        if any(outcome.values for drawn in outcomes for outcome in drawn):
            raise OverflowError("too large")
        return judge(exercise, outcomes, large, own)

    monkeypatch.setattr("common.grading.teacher.rows.judge", too_large)
    classroom.hand_in("ada")
    row = classroom.grade()["ada", "8.2.2"]
    assert (row.status, row.points) == ("fail", 0)
    assert row.message == "What weighted_sum returns cannot be compared (too large)."


# --- the report -------------------------------------------------------------------------------------

HARM = "<script>alert(1)</script> ]]> \x00\x1b[31m \x0b\x85 \ud800 & ' \" `x` ,\n=1+1"


def harmful_rows():
    exercise = find("8.2.2")
    names = [
        "=HYPERLINK(1)",
        "+1",
        "-1",
        "@x",
        "\tx",
        "../../x",
        "Ada",
        "ada",
        "ADA",
        "a" * 300,
        "",
        "<b>",
        "émile",
        HARM,
    ]
    return [Row(name, "ch08_02_weight_sum", exercise, "fail", 0.0, HARM) for name in names]


def test_what_students_write_harms_no_reader():
    rows = harmful_rows()
    table = list(csv.reader(io.StringIO(report.scores(rows))))
    assert table[0] == "student notebook exercise status points max_points message".split()
    assert len(table) == len(rows) + 1
    for line in table:
        for value in line:
            assert value.isprintable()
            assert not value.startswith(("=", "+", "-", "@"))
    tree = ET.fromstring(report.junit(rows))
    assert [len(suite) for suite in tree] == [1] * len(rows)
    pages = report.page_names(rows)
    assert len({name.lower() for name in pages.values()}) == len(rows)
    assert all(re.fullmatch(r"[\w-]{1,80}\.html", name, re.ASCII) for name in pages.values())
    assert pages["Ada"] == "Ada.html"
    isolation = bwrap.Isolation(missing=["<i>No</i> bubblewrap."])
    for page in (report.student_page(HARM, rows), report.index_page(rows, pages, "<s>", isolation)):
        assert "<script" not in page
        assert "<b>" not in page
        assert "<i>" not in page
        assert "<s>" not in page
        assert "\x1b" not in page
        page.encode("utf-8")


def test_a_report_takes_the_place_of_a_report_only(tmp_path):
    rows, isolation = harmful_rows(), bwrap.Isolation("bwrap")
    submitted = tmp_path / "submissions"
    submitted.mkdir()
    out = tmp_path / "report"
    for _ in range(2):
        report.check_place(out, submitted)
        report.write(out, rows, "1", isolation)
        assert sorted(path.name for path in out.iterdir()) == ["index.html", "junit.xml", "scores.csv", "students"]
        assert len(list((out / "students").iterdir())) == len(rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "submissions"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    for place in (mine, submitted, submitted / "report", tmp_path, mine / "thesis.txt"):
        with pytest.raises(report.ReportError):
            report.check_place(place, submitted)


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    rows, isolation = harmful_rows(), bwrap.Isolation("bwrap")
    out = tmp_path / "report"
    report.write(out, rows, "first", isolation)

    def fails(*args):
        raise OSError("disk full")

    monkeypatch.setattr(report, "index_page", fails)
    with pytest.raises(OSError, match="disk full"):
        report.write(out, rows, "second", isolation)
    assert "first" in (out / "index.html").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


# --- the command line -------------------------------------------------------------------------------


def call(*arguments):
    return command.main([str(argument) for argument in arguments])


def test_list_names_every_exercise(capsys, solutions):
    assert call("list", "--solutions", solutions) == 0
    said = capsys.readouterr().out
    assert "8.2.7" in said
    assert "(bug hunt)" in said
    assert said.endswith("2 exercises, 4 points\n")


def test_release_and_its_check(capsys, solutions, tmp_path):
    exercises = tmp_path / "exercises"
    options = ["--solutions", solutions, "--exercises", exercises]
    assert call("release", "--check", *options) == 1
    assert "Run: make exercises" in capsys.readouterr().err
    assert not exercises.exists()
    assert call("release", *options) == 0
    assert call("release", "--check", *options) == 0
    (path,) = exercises.iterdir()
    assert "BEGIN SOLUTION" not in path.read_text(encoding="utf-8")
    (exercises / "old.ipynb").write_text("{}")
    assert call("release", "--check", *options) == 1
    assert "no solution notebook" in capsys.readouterr().err


def test_a_solution_that_cannot_be_released_writes_nothing(capsys, solutions, tmp_path):
    broken, exercises = tmp_path / "solutions", tmp_path / "exercises"
    broken.mkdir()
    (path,) = solutions.iterdir()
    (broken / "a.ipynb").write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    text = path.read_text(encoding="utf-8").replace(cells.END, "")
    (broken / "b.ipynb").write_text(text, encoding="utf-8")
    assert call("release", "--solutions", broken, "--exercises", exercises) == 2
    assert "b.ipynb: cell" in capsys.readouterr().err
    assert not exercises.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "--out", "report"], "is not a folder"),
        ([".", "--out", "report"], "is inside the submissions"),
        (["submissions", "--out", "submissions/x"], "is inside the submissions"),
        (["submissions", "--out", "report"], "no notebook"),
        (["submissions", "--out", "report", "--notebook", "ch99"], "no notebook 'ch99'"),
    ],
)
def test_wrong_use_is_told_before_any_work(capsys, tmp_path, monkeypatch, solutions, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "submissions").mkdir()
    assert call("grade", *arguments, "--solutions", solutions) == 2
    assert says in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["submissions"]


@pytest.mark.parametrize("arguments", [["-n", "0"], ["-n", "x"], ["--seed", ""], ["--seed", "a\nb"]])
def test_wrong_options(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        call("grade", tmp_path, "--out", tmp_path / "report", *arguments)
    assert stopped.value.code == 2


def test_a_whole_run_and_its_exit_codes(classroom, solutions, tmp_path, capsys, monkeypatch):
    classroom.hand_in("ada", {"8.2.2": WRONG})
    out = tmp_path / "report"
    options = [classroom.folder, "--out", out, "--solutions", solutions]
    assert call("grade", *options, "--no-isolation") == 0
    said = capsys.readouterr()
    (seed,) = re.findall(r"^seed (\w{16})$", said.out, re.M)
    assert "NOT ISOLATED" in said.err
    index = (out / "index.html").read_text(encoding="utf-8")
    assert "Not isolated." in index
    assert seed in index
    assert 'href="students/ada.html"' in index
    before = (out / "scores.csv").read_bytes()
    assert before.count(b"\n") == 3
    page = (out / "students" / "ada.html").read_text(encoding="utf-8")
    assert "hidden axis" in page
    assert page.count("<svg") == 1
    assert call("grade", *options, "--seed", seed, "-n", "2") == 0
    assert (out / "scores.csv").read_bytes() == before
    monkeypatch.setattr(launch, "worker_command", lambda: [sys.executable, "-c", "raise SystemExit(1)"])
    capsys.readouterr()
    assert call("grade", *options, "--no-isolation") == 3
    assert "NOT GRADED: 'ada'" in capsys.readouterr().err


# The process that starts the tests may have told its children to ignore Ctrl-C.
LISTENING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from common.grading.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@LINUX
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_nothing_behind(classroom, solutions, tmp_path, how):
    endless = DETACHED + "\nwhile True: pass"
    for student in ("ada", "bob", "eve"):
        classroom.hand_in(student, {"8.2.2": endless})
    options = [str(classroom.folder), "--out", str(tmp_path / "report"), "--solutions", str(solutions), "-n", "2"]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENING, "grade", *options],
        cwd=launch.COURSE,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with process:
        said = []
        reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
        reader.start()
        until = time.monotonic() + 600
        while not marked() and time.monotonic() < until and process.poll() is None:
            time.sleep(0.2)
        assert marked()
        process.send_signal(how)
        assert process.wait(30) == 130
        reader.join()
    assert b"Stopped; no report was written." in said[0]
    assert b"Traceback" not in said[0]
    assert marked() == []
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "report").exists()


def test_the_specs_and_the_grader_import_without_nbformat():
    """check() answers at once in a notebook: what grades folders is not imported for it."""
    code = (
        "import sys, common.grading; print([m for m in ('nbformat', 'nbval', 'psutil', 'pytest') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(launch.COURSE), capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_threads_share_nothing(classroom):
    """grade() itself may be called with more workers than submissions."""
    classroom.hand_in("ada")
    assert [row.status for row in grade.grade(collected(classroom), "1", classroom.sandboxes, 8)] == ["pass", "pass"]


# --- all notebooks ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_solution_gets_all_points_and_every_released_notebook_gets_none(tmp_path, sandboxes):
    folder = launch.COURSE / "notebooks"
    for student in ("solutions", "exercises"):
        (tmp_path / student).mkdir()
        for path in (folder / student).glob("*.ipynb"):
            (tmp_path / student / path.name).write_bytes(path.read_bytes())
    found = submissions.collect(tmp_path, submissions.assignments(folder / "solutions")).submissions
    assert len(found) == 2 * len(list((folder / "solutions").glob("*.ipynb")))
    rows = grade.grade(found, "all", sandboxes, 2)
    assert len(rows) >= 2 * 30
    full = {row.exercise.number: (row.status, row.message) for row in rows if row.student == "solutions"}
    assert set(full.values()) == {("pass", "")}, full
    none = {row.exercise.number: (row.status, row.points) for row in rows if row.student == "exercises"}
    assert set(none.values()) == {("fail", 0)}, none
