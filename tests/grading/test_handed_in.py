"""No hand-in vanishes: every file is read, or a notice says which one was ignored and why."""

import io
import json
import os
import stat
import struct
import unicodedata
import zipfile
from pathlib import Path

import nbformat
import pytest

from common.grading import __main__ as command
from common.grading.teacher import handed_in, submissions
from tests.grading.conftest import NOTEBOOK

RIGHT = "def weighted_sum(hs, a):\n    return (hs * a[:, :, None]).sum(axis=1)\n"


def collected(room, only=(), place=None):
    """(students with the numbers of their answers or their problem, the notices as texts)."""
    found = submissions.collect(place or room.folder, room.known, only)
    students = {s.student: s.problem or list(s.answers) for s in found.submissions}
    assert len(students) == len(found.submissions)
    return students, [notice.text for notice in found.notices]


def notebook_of(room, answers=None):
    """The text of a notebook with right answers but for ``answers``."""
    return nbformat.writes(room.with_answers({**room.answers, **(answers or {})}), version=nbformat.NO_CONVERT)


def archive(files, **options):
    """The bytes of a .zip archive. Args: files, a dict from names to texts or bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return file.getvalue()


ALL = ["8.2.2", "8.2.7"]


# --- names and layouts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "student"),
    [
        ("ada.IPYNB", "ada"),
        ("ada/x.IPYNB", "ada"),
        ("ada.ipynb.txt", "ada"),
        ("ada/ch08_02_weight_sum.ipynb.json", "ada"),
        ("ada/notebook.json", "ada"),
        ("ada/week 8/notebook.ipynb", "ada"),
        ("ada/a/b/c/d/e/x.ipynb", "ada"),
        ("submitted/ada/week-8/ch08_02_weight_sum.ipynb", "ada"),
        ("lovelaceada_1234_567890_ch08_02_weight_sum-1.ipynb", "lovelaceada_1234"),
        ("lovelaceada_LATE_1234_567890_homework.ipynb", "lovelaceada_1234"),
        ("lovelaceada_1234_567890_Copy_of_ch08_2_weight_sum-2.ipynb.txt", "lovelaceada_1234"),
        ("Ada Lovelace_1234_assignsubmission_file/ch08_02_weight_sum.ipynb", "Ada Lovelace_1234"),
        ("Ada Lovelace_1234_assignsubmission_file_/homework.ipynb", "Ada Lovelace_1234"),
        ("Ada Lovelace_1234_assignsubmission_file_ch08_02_weight_sum.ipynb", "Ada Lovelace_1234"),
        ("j.smith/x.ipynb", "j.smith"),
        ("j.smith.ipynb", "j.smith"),
        ("hw_2024_0115_ada.ipynb", "hw_2024_0115_ada"),
        ("group_1_2_ch08_02_weight_sum.ipynb", "group_1_2"),
        ("ada/Copy of ch08_02_weight_sum (1)-Copy2.ipynb", "ada"),
    ],
)
def test_names_and_layouts(classroom, file, student):
    classroom.hand_in("", file=file)
    assert collected(classroom) == ({student: ALL}, [])
    (found,) = submissions.collect(classroom.folder, classroom.known).submissions
    assert (found.note, found.answers["8.2.2"].repairs) == ("", [])


def test_files_of_one_person_from_canvas_belong_together(classroom):
    classroom.hand_in("", {"8.2.2": RIGHT}, file="lovelaceada_1234_567890_ch08_02_weight_sum.ipynb")
    classroom.hand_in("", notebook="%PDF", file="lovelaceada_1234_567891_notes.pdf")
    classroom.hand_in("", file="lovelaceada_5678_567892_ch08_02_weight_sum.ipynb")  # a person of the same name
    students, notices = collected(classroom)
    assert students == {"lovelaceada_1234": ALL, "lovelaceada_5678": ALL}
    assert notices == ["ignored: lovelaceada_1234_567891_notes.pdf, because it is not a notebook (.ipynb)"]


def test_what_is_ignored_is_told_with_the_reason(classroom):
    room = classroom
    room.hand_in("ada")
    for name in ("notes.pdf", "work.tar.gz", "answers.txt", "data.json", "helper.py", ".old.ipynb"):
        room.hand_in("", notebook="{}" if name == "data.json" else "x = 1", file=f"ada/{name}")
    for name in ("timestamp.txt", ".DS_Store", "._x.ipynb", "__MACOSX/x.ipynb", ".ipynb_checkpoints/x.ipynb"):
        room.hand_in("", notebook="x", file=f"ada/{name}")
    room.hand_in("", notebook="name,group", file="roster.csv")
    assert collected(room) == (
        {"ada": ALL},
        [
            "ignored: ada/.old.ipynb, because its name begins with a dot",
            "ignored: ada/answers.txt, because it is not a notebook (.ipynb)",
            "ignored: ada/data.json, because it is not a notebook (.ipynb)",
            "ignored: ada/helper.py, because no line in it begins an answer, such as '# Exercise 8.2.1'",
            "ignored: ada/notes.pdf, because it is not a notebook (.ipynb)",
            "ignored: ada/work.tar.gz, because only .zip archives are opened",
            "ignored: roster.csv, because it is not a notebook (.ipynb)",
        ],
    )


def test_a_student_without_a_notebook_is_told_what_was_ignored(classroom):
    classroom.hand_in("ada")
    classroom.hand_in("", notebook="%PDF", file="bob/notes.pdf")
    students, _ = collected(classroom)
    assert students["bob"].startswith("No notebook was handed in for this. Ignored: bob/notes.pdf, because")


def test_of_several_files_the_one_with_most_work_is_graded_and_the_others_are_named(classroom):
    stub = {number: cell.source for cell in classroom.released().cells if (number := submissions.cells.number_of(cell))}
    classroom.hand_in("ada", stub)
    classroom.hand_in("", stub | {"8.2.2": RIGHT}, file="ada/a.ipynb")
    classroom.hand_in("", file="ada/later/ch08_02_weight_sum.ipynb")
    classroom.hand_in("", notebook="{", file="ada/broken.ipynb")
    found = submissions.collect(classroom.folder, classroom.known)
    (mine,) = found.submissions
    assert mine.answers["8.2.7"].source == classroom.answers["8.2.7"]
    assert "graded: later/ch08_02_weight_sum.ipynb." in mine.note
    graded = "ada/later/ch08_02_weight_sum.ipynb is graded for ch08_02_weight_sum"
    assert sorted(notice.text for notice in found.notices) == [
        f"ignored: ada/a.ipynb, because {graded}",
        "ignored: ada/broken.ipynb, because the file is not a notebook: its JSON is broken",
        f"ignored: ada/ch08_02_weight_sum.ipynb, because {graded}",
    ]


def test_a_notebook_that_is_not_graded_now_is_named(classroom):
    other = submissions.Assignment("ch07_01_seq2seq", nbformat.v4.new_notebook(), ())
    classroom.known["ch07_01_seq2seq"] = other
    classroom.hand_in("ada")
    classroom.hand_in("", file="ada/ch07_01_seq2seq.ipynb")
    students, notices = collected(classroom, [NOTEBOOK, NOTEBOOK])
    assert students == {"ada": ALL}
    assert notices == [
        "ignored: ada/ch07_01_seq2seq.ipynb, because it belongs to ch07_01_seq2seq, which is not graded now"
    ]


def test_students_whose_names_look_alike_are_graded_alone_and_told_apart(classroom):
    composed, decomposed = (unicodedata.normalize(form, "Jürgen") for form in ("NFC", "NFD"))
    names = ["Ada", "ada", composed, decomposed]
    for name in names:
        classroom.hand_in(name)
    if len(list(classroom.folder.iterdir())) < 4:
        pytest.skip("this file system takes some of these names for one")
    students, notices = collected(classroom)
    assert students == dict.fromkeys(names, ALL)
    assert notices == [
        "alike: the students 'Ada' and 'ada' differ in case only; they are graded as 2 students",
        r"alike: the students 'Ju\u0308rgen' and 'J\xfcrgen' look the same but are written with different characters; "
        "they are graded as 2 students",
    ]


@pytest.mark.parametrize("how", ["student", "deeper"])
def test_a_folder_that_may_not_be_read_is_a_row_or_a_notice(classroom, how, monkeypatch):
    classroom.hand_in("ada")
    hidden = classroom.hand_in("", file="eve/x.ipynb" if how == "student" else "ada/sub/x.ipynb").parent
    iterdir = Path.iterdir  # the tests may run as root, whom mode 000 does not stop
    hidden.chmod(0)

    def refusing(path):
        if path == hidden:
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refusing)
    try:
        students, notices = collected(classroom)
    finally:
        hidden.chmod(0o755)
    said = "The folder cannot be read: Permission denied."
    if how == "student":
        assert (students, notices) == ({"ada": ALL, "eve": said}, [])
    else:
        assert students == {"ada": ALL}
        assert notices == ["ignored: ada/sub/, because the folder cannot be read: Permission denied"]


def test_more_files_or_bytes_than_anyone_needs_are_not_read(classroom, monkeypatch):
    monkeypatch.setattr(handed_in, "MAX_FILES", 5)
    for k in range(20):
        classroom.hand_in("", file=f"ada/{k:02}.ipynb")
    students, notices = collected(classroom)
    assert students == {"ada": ALL}
    assert len(notices) == 5
    assert "ignored: ada/..., because there are more than 5 files" in notices
    monkeypatch.setattr(handed_in, "MAX_FILES", 100)
    monkeypatch.setattr(handed_in, "MAX_OF_STUDENT", 2 * len(notebook_of(classroom)))
    _, notices = collected(classroom)
    assert sum("have 0 MB already" in notice for notice in notices) >= 8
    assert len(notices) == submissions.MAX_NOTICES + 1
    assert notices[-1] == "ignored: 9 more files of ada"


# --- Python files --------------------------------------------------------------------------------------

NBCONVERT = """#!/usr/bin/env python
# coding: utf-8

# ## Exercise 8.2.2: a title

# In[3]:

# Exercise 8.2.2
{first}

# In[ ]:

check("8.2.2", weighted_sum)

# ## Exercise 8.2.7

# In[ ]:

{second}
"""
COLAB = '''# -*- coding: utf-8 -*-
"""ch08_02.ipynb

Automatically generated by Colab.
"""

# Exercise 8.2.2
{first}
check("8.2.2", weighted_sum)

"""## Exercise 8.2.7"""

{second}
check("8.2.7", WeightSum)
'''


@pytest.mark.parametrize("form", [NBCONVERT, COLAB], ids=["nbconvert", "colab"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_python_file_that_was_exported_is_read(classroom, form, end):
    text = form.format(first=RIGHT, second=classroom.answers["8.2.7"]).replace("\n", end)
    classroom.hand_in("", notebook=text, file="ada/export.py")
    (found,) = submissions.collect(classroom.folder, classroom.known).submissions
    assert found.answers["8.2.2"].source == f"# Exercise 8.2.2\n{RIGHT}".strip()
    assert found.answers["8.2.7"].source == classroom.answers["8.2.7"].strip()
    assert [answer.repairs for answer in found.answers.values()] == [[], []]
    assert "Python file" in found.note


# --- archives ------------------------------------------------------------------------------------------


def test_a_students_archive_with_one_notebook_or_many(classroom):
    text = notebook_of(classroom)
    classroom.hand_in("", notebook=archive({"homework.ipynb": text}), file="ada.zip")
    many = archive({"x/ch08_02_weight_sum.ipynb": text, "__MACOSX/x/._a.ipynb": "x", "x/.DS_Store": "", "x/r.pdf": ""})
    classroom.hand_in("", notebook=many, file="bob_ch08_02_weight_sum.ZIP")
    classroom.hand_in("", notebook=archive({"a/b.ipynb": text}, compression=zipfile.ZIP_DEFLATED), file="eve/work.zip")
    students, notices = collected(classroom)
    assert students == {"ada": ALL, "bob": ALL, "eve": ALL}
    assert notices == ["ignored: bob_ch08_02_weight_sum.ZIP/x/r.pdf, because it is not a notebook (.ipynb)"]


def test_a_whole_class_in_the_archive_of_a_learning_management_system(classroom, tmp_path):
    text = notebook_of(classroom)
    files = {
        "Ada Lovelace_11_assignsubmission_file/ch08_02_weight_sum.ipynb": text,
        "Ada Lovelace_11_assignsubmission_onlinetext/onlinetext.html": "<p>",
        "Bob_12_assignsubmission_file/all.zip": archive({"x.ipynb": text}),
        "lovelaceeve_1234_567890_ch08_02_weight_sum-1.ipynb": text,
    }
    place = tmp_path / "CS101-week 8-4321.zip"
    place.write_bytes(archive(files))
    expected = {"Ada Lovelace_11": ALL, "Bob_12": ALL, "lovelaceeve_1234": ALL}
    path = "Ada Lovelace_11_assignsubmission_onlinetext/onlinetext.html"
    notices = [f"ignored: {path}, because it is not a notebook (.ipynb)"]
    assert collected(classroom, place=place) == (expected, notices)
    place.write_bytes(archive({f"{place.stem}/{name}": content for name, content in files.items()}))
    assert collected(classroom, place=place) == (expected, notices)


def test_names_in_an_archive_lead_nowhere(classroom, tmp_path):
    text = notebook_of(classroom)
    names = ["../../evil.ipynb", "/etc/evil.ipynb", "C:\\evil.ipynb", "..\\..\\evil2.ipynb", "a/../../bob/x.ipynb"]
    before = sorted(path for path in tmp_path.rglob("*"))
    path = classroom.hand_in("", notebook=archive(dict.fromkeys(names, text)), file="ada.zip")
    students, notices = collected(classroom)
    assert students == {"ada": ALL}  # and nobody else
    assert len(notices) == 4  # one of the five is graded
    assert sorted(p for p in tmp_path.rglob("*") if p != path) == before


def test_a_student_cannot_hand_in_for_another_one(classroom):
    text = notebook_of(classroom, {"8.2.2": "def weighted_sum(hs, a):\n    pass"})
    forged = {"Bob_12_assignsubmission_file/ch08_02_weight_sum.ipynb": text, "lovelaceada_123_45678_x.ipynb": text}
    classroom.hand_in("", notebook=archive(forged), file="Eve_13_assignsubmission_file/x.zip")
    classroom.hand_in("", file="Bob_12_assignsubmission_file/ch08_02_weight_sum.ipynb")
    found = submissions.collect(classroom.folder, classroom.known).submissions
    assert [(s.student, "pass" in s.answers["8.2.2"].source) for s in found] == [("Bob_12", False), ("Eve_13", True)]


def bomb():
    """An archive that says it holds a small notebook and holds 1 GB of zeros."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made, made.open("a.ipynb", "w") as entry:
        for _ in range(100):
            entry.write(bytes(1_000_000))
    data = file.getvalue()
    size = struct.pack("<L", 100_000_000)
    assert data.count(size) == 2
    return data.replace(size, struct.pack("<L", 1000))


def test_a_bomb_does_not_go_off(classroom):
    honest = archive({"a.ipynb": b" " * 100_000_000}, compression=zipfile.ZIP_DEFLATED)
    assert len(honest) < 200_000
    classroom.hand_in("", notebook=honest, file="honest.zip")
    classroom.hand_in("", notebook=bomb(), file="liar.zip")
    once = archive({"a.zip": archive({"b.ipynb": notebook_of(classroom)})})
    classroom.hand_in("", notebook=once, file="nested.zip")
    classroom.hand_in("", notebook=archive({f"{k}" * 9: "" for k in range(30_000)}), file="entries.zip")
    classroom.hand_in("ada")
    students, _ = collected(classroom)
    assert students.pop("ada") == ALL
    said = {"honest": "more than 20 MB", "liar": "damaged", "nested": "in another archive", "entries": "too many files"}
    assert students.keys() == said.keys()
    for student, part in said.items():
        assert part in students[student], student


def test_archives_that_cannot_be_read_are_rows(classroom):
    text = notebook_of(classroom)
    whole = archive({"a.ipynb": text}, compression=zipfile.ZIP_DEFLATED)
    link = zipfile.ZipInfo("a.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    locked = bytearray(archive({"a.ipynb": text}))
    for start, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        locked[locked.index(start) + place] |= 1
    contents = {
        "none": b"my answers",
        "nothing": archive({}),
        "cut": whole[: len(whole) // 2],
        "damaged": whole[:200] + bytes(50) + whole[250:],
        "odd": archive({"a.ipynb": text}, compression=zipfile.ZIP_LZMA),
        "link": archive({link: "/etc/passwd"}),
        "locked": bytes(locked),
    }
    for student, content in contents.items():
        classroom.hand_in("", notebook=content, file=f"{student}.zip")
    students, notices = collected(classroom)
    said = {
        "none": "cannot be opened",
        "nothing": "The archive is empty",
        "cut": "cannot be opened",
        "damaged": "damaged",
        "odd": "in an unusual way",
        "link": "symbolic link",
        "locked": "encrypted",
    }
    assert notices == []
    assert students.keys() == said.keys()
    for student, part in said.items():
        assert part in students[student], student


def test_a_place_that_is_not_a_folder_or_an_archive(classroom, tmp_path):
    for name, content, part in (
        ("x.ipynb", b"{}", "is not a folder of submissions"),
        ("x.zip", b"PK", "The archive cannot be opened"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(submissions.SubmissionsError, match=part):
            collected(classroom, place=tmp_path / name)


# --- on the command line -------------------------------------------------------------------------------


def test_what_is_ignored_stands_on_the_screen_in_the_report_and_in_the_summary(classroom, tmp_path, capsys):
    classroom.hand_in("", notebook=json.dumps({"cells": []}), file="ada/ch08_02_weight_sum.ipynb")
    (classroom.folder / "ada" / os.fsdecode(b"no\xfftes\x1b[31m.pdf")).write_text("x")
    line = "ignored: ada/no\\xfftes\ufffd[31m.pdf, because it is not a notebook (.ipynb)"
    out = tmp_path / "report"
    options = ["--out", str(out), "--solutions", str(classroom.solutions), "--no-isolation"]
    assert command.main(["grade", str(classroom.folder), *options]) == 0
    assert capsys.readouterr().err.count(line) == 2  # before and after
    for page in (out / "index.html", out / "students" / "ada.html"):
        assert line in page.read_text(encoding="utf-8").replace("&#x27;", "'")
