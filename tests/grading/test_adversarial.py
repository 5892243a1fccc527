"""All adversaries are graded together, with honest students beside them, by one run of the command line."""

import csv
import json
import os
import re
import socket
import sys
import time
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest

from common.grading import __main__ as command
from common.grading.check import observed
from common.grading.exercise import find
from common.grading.judge import judge
from common.grading.observe import Outcome, pack, unpack
from common.grading.picture import got_beside_expected
from common.grading.teacher import launch, sandbox
from common.grading.teacher.rows import MAX_MESSAGE, reproducible
from tests.grading import adversaries as adv
from tests.grading.adversaries import ADVERSARIES, BUG, NAME, NUMBERS, PASSES, POINTS, SUM, WIDTH

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks" / "solutions"
SEED = "adversaries"
WORKERS = "4"  # more than most machines have cores: some adversaries wait until their time is up
HONEST = {
    "Ada": PASSES,
    "Mia": {**PASSES, SUM: ("fail", 0, "plain mean"), WIDTH: ("fail", 0, "only the hidden state")},
    "zoe": {
        SUM: ("fail", 0, "Not solved yet"),
        BUG: ("fail", 0, "with the bug still in it"),
        WIDTH: ("fail", 0, "Not solved"),
    },
}


def honest(school):
    """Hand in for three students: all right, half right, nothing done."""
    school.hand_in("Ada", school.notebook())
    half = {SUM: adv.function(f"return {adv.WRONG}"), WIDTH: "def affine_shape(V, D, H):\n    return H, V"}
    school.hand_in("Mia", school.notebook(half))
    school.hand_in("zoe", school.released)


def grade(folder, out, solutions, *more):
    """Grade on the command line, in this process; return its exit code."""
    options = ["--out", str(out), "--solutions", str(solutions), "--seed", SEED, "-n", WORKERS, *more]
    return command.main(["grade", str(folder), *options])


def read(out):
    """Return the lines of scores.csv as dicts."""
    with (out / "scores.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def strangers():
    """Processes of users that this process makes up for its sandboxes, marked ones, and children of this process."""
    users = {launch.FIRST_UID + (os.getpid() * 64 + slot) % 4000 for slot in range(64)}
    found = []
    for process in psutil.process_iter(["pid", "uids", "cmdline"]):
        uids, words = process.info["uids"], process.info["cmdline"] or []
        if (uids and uids.real in users) or adv.MARK in words:
            found.append((process.pid, words))
    return found + [(child.pid, child.cmdline()) for child in psutil.Process().children(recursive=True)]


def listing(folder):
    """All Python files in a folder, and when they were written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.py")}


@pytest.fixture(scope="module")
def quick():
    """Less memory: some machines take long to hand out gigabytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "MEMORY_OF_ALL", 700 * launch.MIB)
        yield


@pytest.fixture(scope="module")
def solutions(tmp_path_factory):
    """A folder with one small solution notebook."""
    folder = tmp_path_factory.mktemp("solutions")
    read = [nbformat.read(str(NOTEBOOKS / f"{name}.ipynb"), 4) for name in (NAME, "ch08_05_attention_seq2seq")]
    nbformat.write(adv.assignment(*read), str(folder / f"{NAME}.ipynb"))
    return folder


@pytest.fixture(scope="module")
def isolated():
    """Whether this machine isolates."""
    with sandbox.Sandboxes() as made:
        return not made.isolation.missing


@pytest.fixture(scope="module")
def graded(tmp_path_factory, quick, solutions, isolated):
    """What one run made of all submissions."""
    folder, out = tmp_path_factory.mktemp("submissions"), tmp_path_factory.mktemp("out") / "report"
    school = adv.School(folder, nbformat.read(str(solutions / f"{NAME}.ipynb"), 4))
    listening = [socket.create_server(("127.0.0.1", 0))]
    school.port = listening[0].getsockname()[1]
    if sys.platform == "linux":
        listening.append(socket.socket(socket.AF_UNIX))
        listening[-1].bind("\0" + adv.MARK)
        listening[-1].listen()
    there = [a for a in ADVERSARIES if isolated or not a.isolated]
    only = os.environ.get("ADVERSARIES")  # for work on one of them: a pattern
    there = [a for a in there if not only or re.search(only, a.student)]
    honest(school)
    for adversary in there:
        adversary.build(school)
    before = {"ipython": listing(Path.home() / ".ipython"), "processes": strangers()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(adv.SECRET, adv.SECRET)
        code = grade(folder, out, solutions)
    after = {"ipython": listing(Path.home() / ".ipython"), "processes": strangers()}
    reached = []
    for one in listening:
        one.settimeout(0)
        try:
            reached.append(one.accept())
        except OSError:
            pass
        one.close()
    return SimpleNamespace(
        folder=folder, out=out, code=code, there=there, before=before, after=after, reached=reached, rows=read(out)
    )


def unguarded(name):
    """A student's name, as a spreadsheet guard may have changed it."""
    return name[1:] if name.startswith("'") and name[1:2] in "=+-@" else name


def test_enough_adversaries():
    names = [adversary.student for adversary in ADVERSARIES]
    assert len(set(names)) == len(names) >= 50
    assert all(set(adversary.rows) == set(NUMBERS) for adversary in ADVERSARIES)


def test_the_grader_is_unharmed(graded):
    assert graded.code == 0


def test_every_row_is_there_once(graded):
    students = [*HONEST, *(adversary.student for adversary in graded.there)]
    found = [(unguarded(row["student"]), row["exercise"]) for row in graded.rows]
    assert sorted(found) == sorted((student, number) for student in students for number in NUMBERS)
    assert {row["notebook"] for row in graded.rows} == {NAME}
    assert all(row["max_points"] == str(POINTS[row["exercise"]]) for row in graded.rows)
    assert all(row["status"] != "infra" for row in graded.rows)


@pytest.mark.parametrize("student", [*HONEST, *(adversary.student for adversary in ADVERSARIES)], ids=ascii)
def test_rows(graded, student):
    wanted = {**{a.student: a.rows for a in graded.there}, **HONEST}.get(student)
    if wanted is None:
        pytest.skip("this adversary is graded only in a sandbox: apt-get install bubblewrap")
    mine = {row["exercise"]: row for row in graded.rows if unguarded(row["student"]) == student}
    for number, (status, points, part) in wanted.items():
        row = mine[number]
        wanted_status, wanted_points = (x if isinstance(x, tuple) else (x,) for x in (status, points))
        assert row["status"] in wanted_status, row
        assert float(row["points"]) in wanted_points, row
        assert part in row["message"], row


def test_honest_students_are_graded_as_if_alone(graded, quick, solutions, tmp_path):
    school = adv.School(tmp_path / "submissions", nbformat.read(str(solutions / f"{NAME}.ipynb"), 4))
    honest(school)
    assert grade(school.folder, tmp_path / "report", solutions) == 0
    assert read(tmp_path / "report") == [row for row in graded.rows if row["student"] in HONEST]


def arrived_as(data):
    """An Outcome as the grader reads it."""
    try:
        return unpack(json.loads(json.dumps(data)))
    except ValueError as error:
        return Outcome(error={"type": "ValueError", "message": str(error), "line": ""})


def arrived(outcome):
    """An Outcome as it reaches the grader."""
    try:
        return arrived_as(pack(outcome))
    except ValueError as error:  # in the student's kernel
        return Outcome(error={"type": "ValueError", "message": str(error), "line": ""})


@pytest.mark.parametrize(("name", "number", "source", "row"), adv.VALUES, ids=lambda x: x if isinstance(x, str) else "")
def test_values(name, number, source, row):
    exercise = find(number)
    answer = exercise.run(source)
    outcomes, large = (observed(exercise, cases, answer, (7,)) for cases in (exercise.cases, exercise.large))
    status, points, part = row
    result = judge(
        exercise, [[arrived(outcome) for outcome in drawn] for drawn in outcomes], [o for (o,) in large], (7,)
    )
    assert (result.status, result.points) == (status, points), result.message
    assert part in result.message
    wrong = result.first_wrong
    if wrong and wrong.what:
        got_beside_expected(wrong.what, wrong.got, wrong.expected)


PIECES = [
    "(",
    ")",
    "<ipython-input",
    "<",
    ">",
    ", line 1",
    "/",
    "a",
    "-",
    ".",
    "tmp",
    "/tmp/",
    "/a",
    "/-",
    "0x",
    "abcd",
    " ",
]
PIECES += [
    "ipykernel_1",
    "ipykernel_1/",
    "ipykernel_1\\",
    ".py",
    "\x1b[",
    "0;",
    "\x1b",
    "?",
    "\n",
    "\0",
    "T/",
    "sandbox",
    "\u2028",
]


def test_a_message_of_a_student_takes_no_time():
    """Each piece, and each two of them, again and again: what takes time for some text takes it for one of these."""
    slowest = 0.0
    for one in PIECES:
        for other in ["", *PIECES]:
            text = (one + other) * (10_000 // len(one + other))
            begin = time.process_time()
            assert len(reproducible(text)) <= MAX_MESSAGE
            slowest = max(slowest, time.process_time() - begin)
    assert slowest < 0.5


def test_what_comes_back_is_judged_in_no_time():
    """The grader compares what comes back, and writes it out, in its own process, where others wait for it."""
    exercise = find(SUM)
    nested = [0]
    for _ in range(6):
        nested = [nested] * 7
    for value in (nested, [[]] * 500_000, [0] * 1_000_000, {str(k): 0 for k in range(200_000)}, "x" * 4_000_000):
        for data in ({"values": {"c": value}, "inputs": {}}, {"values": {}, "inputs": {"hs": value}}):
            begin = time.process_time()
            outcome = arrived_as(data | {"error": None, "seconds": 0.0})
            outcomes = [[outcome] * 3 for _ in exercise.cases]
            result = judge(exercise, outcomes, [outcome] * len(exercise.large))
            assert result.points == 0
            assert time.process_time() - begin < 2


def test_nothing_stays_behind(graded):
    assert not graded.before["processes"]
    assert not graded.after["processes"]
    assert graded.before["ipython"] == graded.after["ipython"]
    assert not graded.reached
    assert not Path(f"/tmp/{adv.MARK}").exists()


VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks that tags are closed in order and that nothing but the report's own elements is there."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.attributes = [], set(), "", set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_pages_hold_no_markup_of_students(graded):
    pages = [graded.out / "index.html", *(graded.out / "students").iterdir()]
    assert len(pages) == 1 + len({row["student"] for row in graded.rows})
    text = ""
    for path in pages:
        page = Page()
        page.feed(path.read_text(encoding="utf-8"))
        page.close()
        assert not page.open, path
        assert not page.tags & {"script", "img", "b", "iframe", "object", "link"}, path
        assert not [name for name in page.attributes if name.startswith("on")], path
        assert path.stat().st_size < 2_000_000
        text += page.text
    assert "<script>alert(1)<script>" in text  # shown as text
    assert "]]>" in text
    assert all(c.isprintable() or c == "\n" for c in text)


def test_links_of_the_summary_lead_to_pages(graded):
    links = set(re.findall(r'href="(students/[^"]*)"', (graded.out / "index.html").read_text(encoding="utf-8")))
    assert links == {f"students/{path.name}" for path in (graded.out / "students").iterdir()}
    assert all(re.fullmatch(r"students/[A-Za-z0-9_-]+\.html", link) for link in links)


def test_junit_parses(graded):
    suites = ET.parse(graded.out / "junit.xml").getroot()
    cases = list(suites.iter("testcase"))
    assert len(cases) == len(graded.rows)
    assert sum(len(case) == 0 for case in cases) == sum(row["status"] == "pass" for row in graded.rows)
    assert {element.tag for element in suites.iter()} == {"testsuites", "testsuite", "testcase", "failure", "error"}


def test_csv_holds_no_formula_and_no_control_code(graded):
    raw = (graded.out / "scores.csv").read_bytes()
    assert raw.startswith(b"student,notebook,exercise,status,points,max_points,message\n")
    assert raw.count(b"\n") == len(graded.rows) + 1
    for row in graded.rows:
        assert None not in [*row, *row.values()]
        assert all(value.isprintable() and not value.startswith(tuple("=+-@")) for value in row.values())
        assert 0 <= float(row["points"]) <= float(row["max_points"])


# --- the grader's own trouble ------------------------------------------------------------------------------------


def broken(monkeypatch, name, text):
    """Put a module in the way of what starts in the sandbox."""
    stage = sandbox.stage

    def worse(folder):
        stage(folder)
        (folder / name).write_text(text, encoding="utf-8")

    monkeypatch.setattr(sandbox, "stage", worse)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ipykernel_launcher.py", "raise SystemExit(1)"),  # no kernel
        ("nbval/__init__.py", "raise ImportError('no nbval')"),  # no runner
        ("common/gradient_check.py", "raise SystemError('broken')"),  # no given cell
    ],
    ids=["kernel", "runner", "given"],
)
def test_kernel_that_does_not_start_is_infra(quick, solutions, tmp_path, monkeypatch, capsys, name, text):
    if name.startswith("nbval"):
        (tmp_path / "nbval").mkdir()
        stage = sandbox.stage
        monkeypatch.setattr(sandbox, "stage", lambda folder: (stage(folder), (folder / "nbval").mkdir()))
    broken(monkeypatch, name, text)
    school = adv.School(tmp_path / "submissions", nbformat.read(str(solutions / f"{NAME}.ipynb"), 4))
    school.hand_in("Ada", school.notebook())
    school.hand_in("nobody", {"cells": []})
    if name.startswith("common"):
        notebook = nbformat.read(str(solutions / f"{NAME}.ipynb"), 4)
        next(cell for cell in notebook.cells if cell.id == "imports").source += "\nimport common.gradient_check"
        solutions = tmp_path / "solutions"
        solutions.mkdir()
        nbformat.write(notebook, str(solutions / f"{NAME}.ipynb"))
    assert grade(school.folder, tmp_path / "report", solutions) == command.INFRA == 3
    rows = read(tmp_path / "report")
    mine = [row for row in rows if row["student"] == "Ada"]
    assert [(row["status"], row["points"]) for row in mine] == [("infra", "")] * 3
    assert all("grade again" in row["message"] for row in mine)
    assert {row["status"] for row in rows if row["student"] == "nobody"} == {"missing"}
    assert "'Ada'" in capsys.readouterr().err
    assert "infra" in (tmp_path / "report" / "students" / "Ada.html").read_text(encoding="utf-8")
    ET.parse(tmp_path / "report" / "junit.xml")


def test_a_failure_that_does_not_come_back_costs_nothing(quick, solutions, tmp_path, monkeypatch):
    tries = []
    run = sandbox.Sandboxes.run

    def sometimes(self, steps):
        tries.append(1)
        if len(tries) == 1:
            raise sandbox.SandboxError("the kernel did not answer")
        return run(self, steps)

    monkeypatch.setattr(sandbox.Sandboxes, "run", sometimes)
    school = adv.School(tmp_path / "submissions", nbformat.read(str(solutions / f"{NAME}.ipynb"), 4))
    school.hand_in("Ada", school.notebook())
    assert grade(school.folder, tmp_path / "report", solutions) == 0
    assert [row["status"] for row in read(tmp_path / "report")] == ["pass"] * 3
