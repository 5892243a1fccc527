"""Graded work is never lost: where the report goes when its place fails; and what its pages show to whom."""

import ast
import dataclasses
import errno
import functools
import html
import json
import os
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from common.grading import __main__ as command
from common.grading.exercise import find
from common.grading.observe import observe, pack
from common.grading.teacher import bwrap, grade, handed_in, launch, pages, report, seccomp, submissions
from common.grading.teacher.rows import Row, in_both
from common.grading.teacher.rows import rows_of as table
from common.grading.teacher.steps import StepResult, steps_of
from common.grading.teacher.submissions import Notice
from common.language import Message, language

ISOLATION = bwrap.Isolation("bwrap")
EXERCISE = find("8.2.2")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


def rows_of(students=("ada", "bob"), points=2.0):
    return [Row(student, "ch08_02_weight_sum", EXERCISE, "pass", points) for student in students]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


WHOLE = ["index.html", "junit.xml", "scores.csv", "students"]


def disk_full_in(monkeypatch, *folders):
    """Let nothing be written below these folders, as on a full disk."""
    write = report._text

    def full(path, text):
        if any(path.is_relative_to(folder) for folder in folders):
            path.write_text(text[:10], encoding="utf-8")
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, text)

    monkeypatch.setattr(report, "_text", full)


# --- the place -----------------------------------------------------------------------------------------


def test_a_mount_point_takes_a_report(tmp_path, monkeypatch):
    """It can be neither renamed nor replaced, and what is beside it lies on another disk."""
    out = tmp_path / "mounted"
    out.mkdir()
    mounted = (
        sys.platform == "linux"
        and subprocess.run(["mount", "-t", "tmpfs", "none", str(out)], capture_output=True).returncode == 0
    )
    replace = os.replace

    def busy(source, target):
        if out in (Path(source), Path(target)):
            raise OSError(errno.EBUSY, "Device or resource busy")
        if Path(source).is_relative_to(out) != Path(target).is_relative_to(out):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy)
    try:
        (out / "lost+found").mkdir()
        for points in (1.0, 2.0):
            report.check_place(out, tmp_path / "submissions")
            with report.Place(out) as place:
                assert place.write(rows_of(points=points), "1", ISOLATION) == (out, "")
        assert names(out) == sorted([*WHOLE, "lost+found"])
        assert "pass,2,2" in (out / "scores.csv").read_text(encoding="utf-8")
    finally:
        if mounted:
            subprocess.run(["umount", str(out)], check=True)


def test_a_new_report_keeps_what_others_put_beside_the_old_one(tmp_path):
    out = tmp_path / "report"
    report.write(out, rows_of(), "1", ISOLATION)
    (out / "notes.txt").write_text("talk to bob")
    report.write(out, rows_of(["ada"]), "1", ISOLATION)
    assert names(out) == sorted([*WHOLE, "notes.txt"])
    assert names(out / "students") == ["ada.html"]


def test_on_a_full_disk_the_report_goes_elsewhere(tmp_path, monkeypatch):
    out, here = tmp_path / "disk" / "report", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    disk_full_in(monkeypatch, tmp_path / "disk")
    with report.Place(out) as place:
        folder, why = place.write(rows_of(), "1", ISOLATION)
    assert folder == here / "report-2"
    assert names(folder) == WHOLE
    assert why == f"it cannot be written to {out}: No space left on device"
    assert names(tmp_path / "disk") == []  # no half of a report


def test_a_file_that_a_spreadsheet_has_open_leaves_the_old_report_whole(tmp_path, monkeypatch):
    out = tmp_path / "report"
    report.write(out, rows_of(points=1.0), "1", ISOLATION)
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    replace = os.replace

    def locked(source, target):
        if Path(source) == out / "scores.csv":
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        replace(source, target)

    monkeypatch.setattr(os, "replace", locked)
    with report.Place(out) as place:
        folder, why = place.write(rows_of(points=2.0), "1", ISOLATION)
    assert folder == tmp_path / "report-2"
    assert "cannot access" in why
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    assert names(out) == WHOLE
    assert "pass,2,2" in (folder / "scores.csv").read_text(encoding="utf-8")


def test_two_gradings_into_one_folder_make_two_reports(tmp_path):
    out = tmp_path / "report"
    with report.Place(out) as first:
        assert first.why_not == ""
        with report.Place(out) as second:
            assert f"process {os.getpid()}, is about to write" in second.why_not
            folder, why = second.write(rows_of(["second"]), "2", ISOLATION)
            assert (folder, why) == (tmp_path / "report-2", second.why_not)
        assert first.write(rows_of(["first"]), "1", ISOLATION) == (out, "")
    assert names(tmp_path) == ["report", "report-2"]
    assert (names(out), names(folder)) == (WHOLE, WHOLE)
    assert names(out / "students") == ["first.html"]


def test_a_report_that_another_machine_wrote_meanwhile_is_kept(tmp_path):
    out = tmp_path / "report"
    report.write(out, rows_of(["old"]), "1", ISOLATION)
    with report.Place(out) as place:
        report.write(out, rows_of(["other"]), "1", ISOLATION)  # it sees none of our processes
        folder, why = place.write(rows_of(["mine"]), "1", ISOLATION)
    assert "another grading has written a report" in why
    assert (names(out / "students"), names(folder / "students")) == (["other.html"], ["mine.html"])


def test_a_grading_that_was_killed_claims_nothing(tmp_path):
    out = tmp_path / "report"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (out / f".grading-{dead.pid}-1-abc").mkdir(parents=True)
    report.check_place(out, tmp_path / "submissions")
    with report.Place(out) as place:
        assert place.write(rows_of(), "1", ISOLATION) == (out, "")
    assert names(out) == WHOLE


def test_a_place_that_was_not_used_is_left_as_it_was(tmp_path):
    with report.Place(tmp_path / "report"):
        pass
    assert names(tmp_path) == []
    (tmp_path / "empty").mkdir()
    with report.Place(tmp_path / "empty"):
        pass
    assert names(tmp_path) == ["empty"]


# --- the command line ----------------------------------------------------------------------------------


def run(classroom, out, *more):
    options = ["--out", str(out), "--solutions", str(classroom.solutions), "--no-isolation", *more]
    return command.main(["grade", str(classroom.folder), *options])


def all_right(submission, *args):
    """Stands in for ``grade_one``: takes no time and no sandbox."""
    exercises = submission.assignment.exercises
    return [Row(submission.student, submission.assignment.name, exercise, "pass", 2.0) for exercise in exercises]


@pytest.fixture
def nothing_runs(monkeypatch):
    """Every submission is graded at once."""
    monkeypatch.setattr(grade, "grade_one", all_right)


@pytest.mark.usefixtures("nothing_runs")
def test_the_program_says_where_the_report_is(classroom, tmp_path, capsys, monkeypatch):
    classroom.hand_in("ada")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    disk_full_in(monkeypatch, tmp_path / "out")
    assert run(classroom, tmp_path / "out" / "report") == command.ELSEWHERE == 4
    said = capsys.readouterr()
    assert f"THE REPORT IS IN {here / 'report-2'}: it cannot be written to" in said.err
    assert str(here / "report-2" / "index.html") in said.out


@pytest.mark.usefixtures("nothing_runs")
def test_where_nothing_can_be_written_the_scores_go_to_the_screen(classroom, tmp_path, capsys, monkeypatch):
    classroom.hand_in("ada")
    disk_full_in(monkeypatch, Path("/"))
    for name in ("tmp", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(report.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    assert run(classroom, tmp_path / "report") == command.ELSEWHERE
    said = capsys.readouterr()
    assert "ada,ch08_02_weight_sum,8.2.2,pass,2,2," in said.out
    assert "NO REPORT WAS WRITTEN" in said.err
    assert [names(tmp_path / name) for name in ("home", "tmp")] == [[], []]
    assert not (tmp_path / "report").exists()


def test_a_terminal_that_is_gone_or_knows_few_letters_costs_no_report(classroom, tmp_path, monkeypatch):
    classroom.hand_in("Ünïcødé 学生")
    classroom.hand_in("", notebook="x", file="Ünïcødé 学生/学.pdf")
    read, write = os.pipe()
    os.close(read)  # what is written now raises BrokenPipeError
    for stream in (open(write, "w", encoding="utf-8"), open(tmp_path / "said", "w", encoding="ascii")):
        monkeypatch.setattr(grade, "grade_one", all_right)
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(sys, "stdout", stream)
        assert run(classroom, tmp_path / "report") == 0
        assert names(tmp_path / "report") == WHOLE
        monkeypatch.undo()
        stream.close()  # which fails if the program has not looked after it
    assert r"\u5b66.pdf, because" in (tmp_path / "said").read_text(encoding="ascii")


def test_a_mistake_in_the_grader_costs_no_graded_work(classroom, tmp_path, capsys, monkeypatch):
    def fails(submission, *args):
        if submission.student == "bob":
            time.sleep(1)
            raise SystemError("a mistake")
        return all_right(submission)

    monkeypatch.setattr(grade, "grade_one", fails)
    for student in ("ada", "bob"):
        classroom.hand_in(student)
    assert run(classroom, tmp_path / "report") == command.INFRA
    lines = (tmp_path / "report" / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0:4:3] for line in lines[1:]] == [["ada", "pass"]] * 2 + [["bob", "infra"]] * 2
    assert "SystemError: a mistake" in capsys.readouterr().err


LISTENING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from common.grading.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@LINUX
@pytest.mark.parametrize(
    ("how", "earlier"), [("SIGINT", False), ("SIGTERM", False), ("SIGHUP", False), ("SIGHUP", True)]
)
def test_what_was_graded_before_a_stop_is_reported(classroom, tmp_path, how, earlier):
    classroom.hand_in("ada", notebook='{"cells": []}')  # takes no time
    classroom.hand_in("bob", {"8.2.2": "import time\ntime.sleep(600)"})  # its limit is long
    out = tmp_path / "report"
    if earlier:
        report.write(out, rows_of(["earlier"]), "1", ISOLATION)
    options = [str(classroom.folder), "--out", str(out), "--solutions", str(classroom.solutions)]
    with subprocess.Popen(
        [sys.executable, "-c", LISTENING, "grade", *options],
        cwd=launch.COURSE,
        env={**os.environ, "TQDM_MININTERVAL": "0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        read = b""
        until = time.monotonic() + 600
        while (b"1/2" not in read or b"bob" not in read) and time.monotonic() < until and process.poll() is None:
            read += os.read(process.stderr.fileno(), 1000)
        process.send_signal(getattr(signal, how))
        if how == "SIGHUP":  # the terminal is gone as well
            process.stderr.close()
            process.stdout.close()
        assert process.wait(300) == 130
        said = "" if how == "SIGHUP" else process.stdout.read().decode()
    place = tmp_path / "report-2" if earlier else out
    lines = (place / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0:4:3] for line in lines[1:]] == [["ada", "missing"]] * 2 + [["bob", "infra"]] * 2
    assert "stopped before this was graded" in lines[-1]
    assert said == "" or "Stopped after 1 of 2 notebooks" in said
    if earlier:
        assert names(out / "students") == ["earlier.html"]


# --- what the pages show -------------------------------------------------------------------------------


class Page(HTMLParser):
    """The text of a page, and its elements as (tag, attributes)."""

    def __init__(self, text):
        super().__init__()
        self.text, self.elements = "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def graded_rows(room, answers):
    """Rows by student, of a dict from students to answers."""
    for student, mine in answers.items():
        room.hand_in(student, mine)
    return room.grade()


@pytest.fixture
def graded(classroom):
    stubs = {c.id: c.source for c in classroom.released().cells}
    answers = {
        "syntax": {"8.2.2": "def weighted_sum(hs, a):\n    return (hs * a\n"},
        "untouched": {"8.2.2": stubs["answer-8-2-2"], "8.2.7": stubs["answer-8-2-7"] + "\n# what is wrong here?\n"},
        "partial": {
            "8.2.2": "def weighted_sum(hs, a):\n"
            "    assert hs.shape[1] == hs.shape[2]\n    return (hs * a[:, :, None]).sum(axis=1)"
        },
    }
    rows = graded_rows(classroom, answers)
    text = {s: pages.student_page(s, [r for r in classroom.rows if r.student == s]) for s in answers}
    return classroom.rows, rows, {student: Page(page) for student, page in text.items()}


def test_pages_help_and_do_not_give_away(graded):
    all_rows, rows, page = graded
    said = rows["syntax", "8.2.2"].message  # the first line of the cell is its headline
    assert re.fullmatch(r"The answer cell raised SyntaxError: [^.`]+\. Line 3: `return \(hs \* a`", said), said
    assert "return (hs * a" in page["syntax"].text

    untouched = rows["untouched", "8.2.7"]
    assert (untouched.status, untouched.points) == ("fail", 0)
    assert "as released, with the bug still in it" in page["untouched"].text
    assert find("8.2.7").bug.says not in page["untouched"].text
    looks = [a["class"] for a in page["untouched"].of("section")]
    assert looks == ["card unsolved"] * 2
    assert page["untouched"].text.count("not solved yet") == 2
    assert page["partial"].of("section")[0]["class"] == "card partial"

    partial = rows["partial", "8.2.2"]
    labels = [case.label for case in EXERCISE.cases]
    assert partial.message.count("Right for: T = H. Wrong for: ") == 1
    for label in labels:
        assert partial.message.count(label) == 1 or label == "T = H"
        assert page["partial"].text.count(label) == 1
    assert page["partial"].text.count("✗ wrong") == len(labels) - 1
    assert page["partial"].text.count("✓ right") == 1

    index = Page(pages.index_page(all_rows, report.page_names(all_rows), "1", ISOLATION))
    assert "not solved yet" in index.text
    assert "partial" in index.text
    scopes = [a.get("scope") for a in index.of("th")]
    assert scopes == ["col"] * 4 + ["row"] * 3
    assert index.of("caption")
    for student in page.values():
        assert student.of("a")[0] == {"href": "../index.html"}


def test_an_explicit_list_of_cases_ends_where_the_time_was_up(classroom):
    answer = (
        "def weighted_sum(hs, a):\n    if hs.shape[0] > 1 and hs.shape[1] == 1:\n"
        "        __import__('os')._exit(3)\n    return (hs * a[:, :, None]).sum(axis=1)"
    )
    row = graded_rows(classroom, {"ada": {"8.2.2": answer}})["ada", "8.2.2"]
    marks = [mark for _, mark in row.cases]
    assert row.status == "crashed"
    stopped = marks.index("not ended")
    assert marks[:stopped] == ["right"] * stopped
    assert set(marks[stopped + 1 :]) <= {"not run"}


def test_two_names_that_look_the_same_are_told_apart_on_the_pages():
    rows = rows_of(["J\xfcrgen", "Ju\u0308rgen"])
    index = pages.index_page(rows, report.page_names(rows), "1", ISOLATION, ["alike: ..."])
    assert index.count("Ju\\u0308rgen") == 1
    assert "1 thing to look at" in index
    assert "Ju\\u0308rgen" in pages.student_page("Ju\u0308rgen", rows[1:])
    assert "\\" not in pages.student_page("J\xfcrgen", rows[:1])


def test_a_students_notices_stand_on_their_page(tmp_path):
    notices = [Notice("ignored: ada/<x>.pdf, because it is not a notebook (.ipynb)", "ada"), Notice("general")]
    report.write(tmp_path / "report", rows_of(), "1", ISOLATION, notices)
    text = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert "ada/&lt;x&gt;.pdf" in text["ada"]
    assert "ignored" not in text["bob"]
    assert "ada/&lt;x&gt;.pdf" in text["index"]
    assert "general" in text["index"]


def test_every_color_of_a_dark_page_can_be_read():
    from common.svg import contrast

    light, dark = (dict(re.findall(r"--([\w-]+): (#\w+)", part)) for part in pages.STYLE.split("@media (prefers", 1))
    assert light.keys() == dark.keys()
    for theme in (light, dark):
        full = {k: "#" + "".join(2 * c for c in v[1:]) if len(v) == 4 else v for k, v in theme.items()}
        for ink, paper in (
            ("ink", "paper"),
            ("muted", "paper"),
            ("link", "paper"),
            ("ink", "code"),
            ("ink", "alarm-paper"),
        ):
            assert contrast(full[ink], full[paper]) >= 4.5, (ink, paper)


# --- a large class -------------------------------------------------------------------------------------


class LargeAnswers:
    """Stands in for sandboxes: every probe brings back an array of half a megabyte, which is wrong."""

    def __init__(self):
        exercise = find("8.2.2")
        inputs = [exercise.draws(case, 0) for case in exercise.cases]
        wrong = lambda hs, a: np.zeros(60_000)  # noqa: E731
        self.data = json.dumps([pack(observe(*exercise.call_of(exercise.cases[0]), wrong, i)) for i in inputs[0]])

    def run(self, steps):
        """Return a result for every step."""
        return {k: StepResult(data=self.data if step.kind == "probe" else None) for k, step in steps}, None

    def stop(self):
        """Do nothing."""


def test_a_class_of_many_takes_little_memory(classroom):
    classroom.hand_in("ada")
    (one,) = submissions.collect(classroom.folder, classroom.known).submissions
    everybody = [dataclasses.replace(one, student=f"student {k}") for k in range(8)]
    sandboxes = LargeAnswers()
    grade.grade(everybody[:1], "1", sandboxes)  # what is loaded once
    tracemalloc.start()
    try:
        rows = grade.grade(everybody, "1", sandboxes, 2)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(rows) == 16
    assert {row.status for row in rows} == {"fail"}
    assert sum(bool(row.picture) for row in rows) >= 8
    assert kept < 8 * 100_000  # bytes for each; one array has five times as many


def test_the_screen_says_who_is_graded_and_how_long_it_takes(classroom, capsys):
    for student in ("ada", "b\x1b[31mob", "a name that is far too long for one line"):
        classroom.hand_in(student)
    todo = submissions.collect(classroom.folder, classroom.known).submissions
    with command.Progress(len(todo)) as progress:
        for submission in todo:
            progress.begun(submission)
        time.sleep(0.2)
        progress.done(todo[1])
    said = capsys.readouterr().err.split("\r")
    assert any("ada" in part and "b\ufffd[31mob" in part and "a name that is far too…" not in part for part in said)
    assert re.search(r"grading 1/3, 00:\d\d so far, 00:\d\d left", said[-1])
    assert "ada" not in said[-1]
    assert "\x1b" not in "".join(said)


# --- in Korean -----------------------------------------------------------------------------------------


def test_pages_in_korean_and_scores_in_english(classroom, tmp_path):
    """Every row is judged once and told twice; the files that machines read stay as they are."""
    classroom.hand_in("ada", {"8.2.2": "def weighted_sum(hs, a):\n    return (hs * a[:, :, None]).sum(axis=2)\n"})
    classroom.hand_in("bob", {"8.2.2": "1 / 0"})
    classroom.hand_in("eva", {"8.2.2": "raise SystemExit"})
    found = submissions.collect(classroom.folder, classroom.known, ())
    rows = grade.grade(found.submissions, "1", classroom.sandboxes, 2, chosen="ko")
    english = [dataclasses.replace(row, translated=None) for row in rows]
    report.write(tmp_path / "ko", rows, "1", ISOLATION, chosen="ko")
    report.write(tmp_path / "en", english, "1", ISOLATION)
    for name in ("scores.csv", "junit.xml"):
        text = (tmp_path / "ko" / name).read_text(encoding="utf-8")
        assert text == (tmp_path / "en" / name).read_text(encoding="utf-8")
        assert "c is summed over the hidden axis." in text
        assert "The answer cell raised ZeroDivisionError: division by zero." in text
        assert not re.search("[가-힣]", text)
    index, ada, bob = (
        (tmp_path / "ko" / name).read_text(encoding="utf-8")
        for name in ("index.html", "students/ada.html", "students/bob.html")
    )
    assert index.count('<html lang="ko">') == ada.count('<html lang="ko">') == 1
    assert '<html lang="en">' in (tmp_path / "en" / "index.html").read_text(encoding="utf-8")
    for text in (
        "<h1>연습 문제</h1>",
        "학생 3명.",
        ">학생</th>",
        ">합계</th>",
        "문제마다 통과한 학생 수",
        "통과</text>",
        "bubblewrap으로 격리했어요.",
    ):
        assert text in index
    assert "가중합" in ada
    assert "c를 은닉 축을 따라 더했어요." in ada
    assert "답 셀에서 예외가 났어요: ZeroDivisionError: division by zero." in bob
    for page in (index, ada, bob):
        plain = re.sub(r"<style>.*?</style>|<code>.*?</code>|<[^>]*>", " ", page, flags=re.DOTALL)
        for word in ("points", "student", "Exercise", "not solved", "mean", "Read again", "pass", "fail", "raised"):
            assert not re.search(rf"\b{word}\b", plain), word
    assert language() == "en"


def test_notices_repairs_and_isolation_in_korean(classroom, tmp_path):
    """What was found before the grading is said in the language of the page; screen and scores stay English."""
    notebook = classroom.with_answers(classroom.answers)
    for cell in notebook.cells:
        if cell.id == "answer-8-2-2":
            cell.cell_type = "markdown"
    notebook.cells = [cell for cell in notebook.cells if cell.id != "check-8-2-7"]
    classroom.hand_in("ada", notebook=notebook)
    classroom.hand_in("Ada", file=f"Ada/{classroom.name} (1).ipynb")
    classroom.hand_in("Ada", file=f"Ada/{classroom.name}.ipynb")
    classroom.hand_in("bob", notebook="x", file="bob/notes.pdf")
    classroom.hand_in("eva", notebook="{")
    found = submissions.collect(classroom.folder, classroom.known, ())
    rows = []
    for one in found.submissions:
        steps = steps_of(one, "1")
        results = {k: StepResult("timeout") for k in range(len(steps))}
        rows += in_both("ko", functools.partial(table, one, steps, results, "1"))
    isolation = bwrap.without(Message("Bubblewrap does not work here: {why}.", why=Message("no reason given")))
    report.write(tmp_path / "ko", rows, "1", isolation, found.notices, "ko")
    english = [dataclasses.replace(row, translated=None) for row in rows]
    report.write(tmp_path / "en", english, "1", isolation, found.notices)
    ko, en = (
        {path.stem: html.unescape(path.read_text(encoding="utf-8")) for path in (tmp_path / name).rglob("*.html")}
        for name in ("ko", "en")
    )
    lower, upper = (report.page_names(rows)[name].removesuffix(".html") for name in ("ada", "Ada"))
    for page, korean, before in (
        ("index", "닮은 이름: 학생 ", "alike: the students "),
        ("index", "대소문자만 달라요. 2명으로 채점해요.", " differ in case only; they are graded as 2 students"),
        (
            "index",
            "bob/notes.pdf를 무시했어요. 노트북(.ipynb)이 아니에요.",
            "ignored: bob/notes.pdf, because it is not a ",
        ),
        (
            "index",
            "여기서는 bubblewrap이 작동하지 않아요: 까닭을 알 수 없음. 학생의 코드가",
            "no reason given. Students' code",
        ),
        (
            "bob",
            "이 노트북은 내지 않았어요. bob/notes.pdf를 무시했어요.",
            "handed in for this. Ignored: bob/notes.pdf, because",
        ),
        (upper, "이 노트북에 파일을 2개 냈고, 채점한 것은", "2 files were handed in for this notebook; graded: "),
        (lower, "고친 것: 답이 markdown 셀에 있었음.", "Repaired: the answer was in a markdown cell."),
        (lower, "고친 것: check 셀이 없었음.", "Repaired: the check cell was missing."),
        ("eva", "노트북이 아니에요. 파일의 JSON이 깨졌어요.", "The file is not a notebook: its JSON is broken."),
    ):
        assert korean in ko[page]
        assert before not in ko[page]
        assert before in en[page]
    assert not re.search("[가-힣]", (tmp_path / "ko" / "scores.csv").read_text(encoding="utf-8"))
    assert language() == "en"


@pytest.mark.parametrize("module", [bwrap, handed_in, seccomp, submissions])
def test_what_a_page_may_show_can_be_said_in_another_language(module):
    """A plain string would stay English on a Korean page, and no catalog would ask for it."""
    told = {"Unreadable", "Ignored", "Notice", "SeccompError", "without", "_refused", "_ignored"}
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            repaired = name == "append" and getattr(node.func.value, "id", "") in ("repairs", "notes", "missing")
            texts = node.args if name in told or repaired else ()
            assert not [text for text in texts if isinstance(text, (ast.Constant, ast.JoinedStr))], ast.unparse(node)


def test_the_command_takes_a_language(tmp_path, capsys):
    assert command.main(["grade", str(tmp_path), "--out", str(tmp_path / "x"), "--language", "ko"]) == command.USAGE
    with pytest.raises(SystemExit):
        command.main(["grade", str(tmp_path), "--out", str(tmp_path / "x"), "--language", "xx"])
    assert "invalid choice: 'xx'" in capsys.readouterr().err
