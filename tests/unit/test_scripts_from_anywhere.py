"""The programs of the chapters start as the book starts them, or name the command that works."""

import os
import subprocess
import sys

import pytest

PROGRAMS = ["ch07/train.py", "ch08/train.py", "ch08/compare.py", "ch08/translate.py", "ch08/visualize_attention.py"]


@pytest.mark.parametrize("inside", [False, True], ids=["from the root", "from the chapter"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_starts_or_names_the_command_that_works(root, program, inside):
    folder, file = program.split("/")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command, cwd = ([sys.executable, file], root / folder) if inside else ([sys.executable, program], root)
    done = subprocess.run([*command, "--help"], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode == 0:
        assert "usage:" in done.stdout
        assert done.stderr == ""
    else:
        assert f"python -m {folder}.{file.removesuffix('.py')}" in done.stderr
        assert "Traceback" not in done.stderr
