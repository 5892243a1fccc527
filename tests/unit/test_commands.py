"""make quotes its paths, .ci/ judges logs rightly, and a run of everything uses all cores."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import conftest

ROOT = Path(__file__).resolve().parents[2]
needs_make = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


def ci(name):
    """A module of .ci/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def course(tmp_path):
    """A folder with an awkward name, the Makefile in it, and a virtual environment that has all it needs."""
    folder = tmp_path / "Übung 1"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def make(folder, *arguments):
    theirs = ("VENV", "PYTHON", "ARGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")  # of a make above
    environment = {name: value for name, value in os.environ.items() if name not in theirs}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


@needs_make
@pytest.mark.parametrize("environment", [".venv", "my env", "a/b c/env"])
def test_make_runs_in_folders_with_spaces(course, environment):
    """With an environment that is there and newer than pyproject.toml, make installs nothing and runs its Python."""
    program = course / environment / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "[%s]" "$@"\n')
    program.chmod(0o755)
    for stamp in ("core", "test", "lab", "browser"):
        (course / environment / f".stamp-{stamp}").touch()
    for command, expected in {
        "train": "[-m][ch08.train]",
        "test": "[-m][pytest]",
        "bench": "[-m][tests.bench]",
    }.items():
        done = make(course, "--silent", f"VENV={environment}", command, "ARGS=--out 'x y'")
        assert done.stdout == f"{expected}[--out][x y]", done.stderr


@needs_make
def test_make_takes_a_python_whose_path_has_a_space(course):
    program = course / "my python"
    program.write_text('#!/bin/sh\ncase "$*" in *"-m venv"*) echo "environment: $3" ;; esac\n')
    program.chmod(0o755)
    done = make(course, "VENV=my env", f"PYTHON={program}", "my env/bin/python")
    assert "environment: my env\n" in done.stdout, done.stdout + done.stderr


@needs_make
def test_make_names_the_pythons_that_it_tried(course):
    done = make(course, "PYTHON=missing python", "train")
    assert done.returncode != 0
    assert "  missing python is not there, or does not run\n" in done.stdout


@pytest.mark.parametrize(
    ("log", "wrong"),
    [
        ("=== 2000 passed, 2 skipped in 300.12s (0:05:00) ===\nSKIPPED [2] x:1: PyTorch is not installed\n", []),
        ("=== 2000 passed in 9.12s ===\n", []),
        ("SKIPPED [1] x:1: spaCy is not installed; frozen above\n=== 2000 passed in 9.1s ===\n", []),
        ("SKIPPED [9] x:1: mpi4py is not installed\n=== 2000 passed in 9.1s ===\n", []),
        ("SKIPPED [1] x:1: Multi30k is not here: fetch it\n=== 2000 passed in 9.1s ===\n", []),
        ("", ["no closing line"]),
        ("=== 3 passed in 9.12s ===\n", ["the closing line has 3 passed tests, fewer than 1500: 3 passed"]),
        ("=== 1 failed, 2000 passed in 9.1s ===\n", ["the closing line says: 1 failed, 2000 passed"]),
        ("SKIPPED [3] x:1: no bubblewrap\n=== 2000 passed in 9.1s ===\n", ["skipped: x:1: no bubblewrap"]),
    ],
)
def test_ci_reads_the_closing_line(log, wrong):
    assert ci("check_test").problems(log) == wrong


def config(source="TESTPATHS", worker=False, **options):
    """What a conftest sees of a command line."""
    option = dict(numprocesses=None, dist="no", usepdb=False, trace=False, collectonly=False, capture="fd")
    made = SimpleNamespace(option=SimpleNamespace(**option | options, loadscopereorder=True))
    made.args_source = pytest.Config.ArgsSource[source]
    if worker:
        made.workerinput = {}
    return made


@pytest.mark.parametrize(
    ("given", "processes", "dist"),
    [
        (config(), 1 + os.cpu_count(), "loadfile"),
        (config("ARGS"), None, "no"),  # a file is named
        (config("ARGS", numprocesses=3), 3, "loadfile"),  # the cells of a notebook stay together
        (config("ARGS", numprocesses=3, dist="load"), 3, "load"),
        (config(numprocesses=0), 0, "no"),
        (config(usepdb=True), None, "no"),
        (config(capture="no"), None, "no"),
        (config(collectonly=True), None, "no"),
        (config(worker=True), None, "no"),  # or each process would begin others
    ],
)
def test_a_run_of_everything_uses_all_cores(given, processes, dist, monkeypatch):
    for name in conftest.THREADS:
        monkeypatch.delenv(name, raising=False)
    conftest.pytest_cmdline_main(given)
    assert (given.option.numprocesses, given.option.dist) == (processes, dist)
    assert all((name in conftest.os.environ) == bool(processes) for name in conftest.THREADS)
    for name in conftest.THREADS:
        monkeypatch.delenv(name, raising=False)


def test_the_processes_have_one_thread_each():
    """Whoever named another number gets it."""
    if "PYTEST_XDIST_WORKER" not in conftest.os.environ:
        pytest.skip("this run has one process")
    assert all(name in conftest.os.environ for name in conftest.THREADS)


def test_the_longest_files_begin_first():
    files = ["tests/unit/a.py", "notebooks/x.ipynb", "tests/grading/test_adversarial.py", "tests/grading/b.py"]
    assert sorted(files, key=lambda file: conftest._place_in_line(SimpleNamespace(nodeid=file))) == [
        "tests/grading/test_adversarial.py",
        "notebooks/x.ipynb",
        "tests/grading/b.py",
        "tests/unit/a.py",
    ]
    assert all((ROOT / name).exists() for name in conftest.LONGEST_FIRST)
