"""Cells of exercises: making released notebooks from solutions, and finding answers in submitted notebooks.

In a solution notebook every exercise has an answer cell, with the ``id`` answer-8-2-1, that holds the solution between
``### BEGIN SOLUTION`` and ``### END SOLUTION``, and after it a check cell, with the ``id`` check-8-2-1. The first line
of an answer cell is ``# Exercise 8.2.1``, so that the cell can be found even if the ids are lost.

Between the two, a bug hunt shows its symptom, in cells whose ids begin with ``symptom``: whoever hunts the bug should
look at it before the check names the mistake. Below the check, a text cell with the ``id`` why-8-2-1 says what was
wrong and why the symptom followed. It is part of the solution, and so ``release`` leaves it out.
"""

import re

import nbformat

from common.grading.exercise import find

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
SHORT = 12  # characters; a shorter line of a solution may appear elsewhere by chance


class NotebookError(ValueError):
    """A solution notebook that cannot be released; the text says which cell and why."""


def cell_id(role, number):
    """Return the id of an answer or check cell: ('answer', '8.2.1') -> 'answer-8-2-1'."""
    return f"{role}-{number.replace('.', '-')}"


def number_of(cell, role="answer"):
    """Return '8.2.1' for a cell with the id answer-8-2-1, None for any other cell."""
    match = re.fullmatch(rf"{role}-(\d+)-(\d+)-(\d+)", cell.get("id", ""))
    return ".".join(match.groups()) if match else None


def headline(number):
    """Return the first line of an answer cell."""
    return f"# Exercise {number}"


def numbers(notebook):
    """Return the numbers of a notebook's exercises in order."""
    return [number for cell in notebook.cells if (number := number_of(cell))]


def release(solution):
    """Return the notebook for learners made from a solution notebook: no solutions, no explanations, no outputs.

    Args: solution, a NotebookNode; it is not changed.
    Raises: NotebookError for markers that are nested, unclosed or missing, ids that occur twice, an exercise without
    a check, an explanation that does not follow its check, and a line of a solution that would remain.
    """
    notebook = nbformat.from_dict(solution)
    _check_unique_ids(notebook)
    notebook.cells = _without_explanations(notebook.cells)
    solution_lines = []
    for index, cell in enumerate(notebook.cells):
        number = number_of(cell)
        if number is None:
            if BEGIN in cell.source or END in cell.source:
                raise NotebookError(f"cell {index} ({cell.get('id')}) has a solution marker but is not an answer cell")
            continue
        if not cell.source.startswith(headline(number) + "\n"):
            raise NotebookError(f"cell {index}: the first line must be {headline(number)!r}")
        _check_follows(notebook, index, number)
        kept, solved = _split(cell.source, index)
        exercise = find(number)
        if exercise.bug:
            cell.source = f"{headline(number)}\n{exercise.bug.source.strip()}"
            public = set(map(str.strip, exercise.bug.source.splitlines()))
            solved = [line for line in solved if line.strip() not in public]
        else:
            cell.source = kept.replace("@STUB@", f'raise NotImplementedError("Exercise {number}")')
        solution_lines += [(number, line.strip()) for line in solved]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    _check_nothing_left(notebook, solution_lines)
    return notebook


def _check_unique_ids(notebook):
    seen = set()
    for index, cell in enumerate(notebook.cells):
        name = cell.get("id")
        if name is None:
            raise NotebookError(f"cell {index} has no id")
        if name in seen:
            raise NotebookError(f"cell {index}: the id {name!r} occurs twice")
        seen.add(name)


def _without_explanations(notebook_cells):
    """Return the cells but for the texts that say what was wrong in a bug hunt."""
    kept, checks = [], set()
    for index, cell in enumerate(notebook_cells):
        number = number_of(cell, "why")
        if number_of(cell, "check"):
            checks.add(number_of(cell, "check"))
        if not cell.id.startswith("why-"):
            kept.append(cell)
        elif cell.cell_type != "markdown" or number not in checks:
            raise NotebookError(
                f"cell {index} ({cell.id}): a cell that says what was wrong is a text cell below its check, with an id "
                "such as why-8-2-1"
            )
    return kept


def _check_follows(notebook, index, number):
    """Check that the next code cell, but for those that show a symptom, calls check with this number."""
    following = [cell for cell in notebook.cells[index + 1 :] if cell.cell_type == "code"]
    code = next((cell for cell in following if not cell.id.startswith("symptom")), None)
    if code is None or code.get("id") != cell_id("check", number) or f'check("{number}", ' not in code.source:
        raise NotebookError(
            f"cell {index}: Exercise {number} has no check: the next code cell but for symptoms must have "
            f'the id {cell_id("check", number)!r} and call check("{number}", ...)'
        )


def _split(source, index):
    """Return (source with a stub in place of each solution, the lines of the solutions)."""
    kept, solved, inside = [], [], False
    for k, line in enumerate(source.splitlines(), 1):
        where = f"cell {index}, line {k}"
        text = line.strip()
        if text == BEGIN:
            if inside:
                raise NotebookError(f"{where}: {BEGIN} within a solution")
            inside = True
            kept.append(line[: len(line) - len(line.lstrip())] + "@STUB@")
        elif text == END:
            if not inside:
                raise NotebookError(f"{where}: {END} without {BEGIN}")
            inside = False
        elif BEGIN in line or END in line:
            raise NotebookError(f"{where}: a marker must be on a line of its own")
        elif inside:
            solved.append(line)
        else:
            kept.append(line)
    if inside:
        raise NotebookError(f"cell {index}: {BEGIN} without {END}")
    if "@STUB@" not in "\n".join(kept):
        raise NotebookError(f"cell {index}: no {BEGIN}")
    if not any(line.strip() for line in solved):
        raise NotebookError(f"cell {index}: the solution is empty")
    return "\n".join(kept), solved


def _check_nothing_left(notebook, solution_lines):
    """Check that no line of a solution remains in the release."""
    for index, cell in enumerate(notebook.cells):
        lines = {line.strip() for line in cell.source.splitlines()}
        for number, line in solution_lines:
            if len(line) >= SHORT and not line.startswith("#") and line in lines:
                raise NotebookError(f"cell {index}: a line of the solution of Exercise {number} remains: {line!r}")
