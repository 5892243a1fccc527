"""Tools for tests of the grader: a small released notebook, submissions made of answers, one sandbox for all.

    def test_something(classroom):
        classroom.hand_in("ada", {"8.2.2": "def weighted_sum(hs, a):\\n    return hs.sum(axis=1)"})
        classroom.hand_in("bob", notebook=notebook)         # a NotebookNode, a text or bytes, as it is
        rows = classroom.grade()                            # (student, number) -> Row; classroom.rows in order
        assert rows["ada", "8.2.2"].status == "fail"

A submission takes two seconds or three, so hand in many and grade once. ``classroom.released()`` is a fresh copy of
the released notebook, ``classroom.answers`` holds the right answers by number.
"""

import copy
from pathlib import Path

import nbformat
import pytest

from common.grading import cells
from common.grading.teacher import grade, sandbox, submissions

SOLUTIONS = Path(__file__).resolve().parents[2] / "notebooks" / "solutions"
NOTEBOOK = "ch08_02_weight_sum"
NUMBERS = ("8.2.2", "8.2.7")  # a function that may not loop, a bug hunt
SEED = "a seed for tests"


def small(notebook, numbers=NUMBERS, more=()):
    """A copy of a solution notebook with just these exercises: setup, imports, answer and check cells, and ids more."""
    kept = {"setup", "imports", *more}
    kept |= {cells.cell_id(role, number) for number in numbers for role in ("answer", "check")}
    notebook = copy.deepcopy(notebook)
    texts = {cell.id for cell in notebook.cells if cell.cell_type == "markdown" and not cell.id.startswith("why-")}
    kept |= texts | {cells.cell_id("why", number) for number in numbers}
    notebook.cells = [cell for cell in notebook.cells if cell.id in kept]
    return notebook


class Classroom:
    """A folder of submissions to one small notebook."""

    def __init__(self, folder, solutions, sandboxes):
        self.folder, self.solutions, self.sandboxes = Path(folder), solutions, sandboxes
        self.known = submissions.assignments(solutions)
        (self.name,) = self.known
        solution = nbformat.read(str(solutions / f"{self.name}.ipynb"), as_version=4)
        self.answers = {cells.number_of(c): c.source for c in solution.cells if cells.number_of(c)}

    def released(self):
        """A fresh copy of the released notebook."""
        return copy.deepcopy(self.known[self.name].notebook)

    def with_answers(self, answers):
        """The released notebook with these answers by number; a source may leave out the first line."""
        notebook = self.released()
        for cell in notebook.cells:
            number = cells.number_of(cell)
            if number in answers:
                source = answers[number]
                first = cells.headline(number)
                cell.source = source if source.startswith((first, "%%", "\n")) else f"{first}\n{source}"
        return notebook

    def hand_in(self, student, answers=None, notebook=None, file=None):
        """Hand in right answers but for ``answers``, or a notebook (a NotebookNode, a text, bytes); return the path.

        Args: file, the name of the file; by default submissions/student/NAME.ipynb.
        """
        if notebook is None:
            notebook = self.with_answers({**self.answers, **(answers or {})})
        path = self.folder / file if file else self.folder / student / f"{self.name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(notebook, nbformat.NotebookNode):
            notebook = nbformat.writes(notebook, version=nbformat.NO_CONVERT)
        path.write_bytes(notebook if isinstance(notebook, bytes) else notebook.encode("utf-8", "surrogatepass"))
        return path

    def grade(self, seed=SEED, workers=2, only=()):
        """Grade all that was handed in; return the rows by (student, number)."""
        found = submissions.collect(self.folder, self.known, only)
        self.rows = grade.grade(found.submissions, seed, self.sandboxes, workers)
        return {(row.student, row.exercise.number): row for row in self.rows}


@pytest.fixture(scope="session")
def solutions(tmp_path_factory):
    """A folder with one small solution notebook."""
    folder = tmp_path_factory.mktemp("solutions")
    notebook = small(nbformat.read(str(SOLUTIONS / f"{NOTEBOOK}.ipynb"), as_version=4))
    nbformat.write(notebook, str(folder / f"{NOTEBOOK}.ipynb"))
    return folder


@pytest.fixture(scope="session")
def sandboxes():
    """Sandboxes as this machine allows them."""
    with sandbox.Sandboxes() as made:
        yield made


@pytest.fixture(scope="session")
def isolated(sandboxes):
    """Sandboxes that isolate; a test that needs them is skipped where there is no bubblewrap."""
    if sandboxes.isolation.missing:
        pytest.skip(sandboxes.isolation.words)
    return sandboxes


@pytest.fixture
def classroom(tmp_path, solutions, sandboxes):
    """An empty classroom."""
    folder = tmp_path / "submissions"
    folder.mkdir()
    return Classroom(folder, solutions, sandboxes)


@pytest.fixture(scope="module")
def shared_classroom(tmp_path_factory, solutions, sandboxes):
    """One classroom for all tests of a module, to be graded once."""
    return Classroom(tmp_path_factory.mktemp("submissions"), solutions, sandboxes)
