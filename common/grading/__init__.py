"""Exercises that answer at once, and a grader for a folder of submissions.

For a learner, in a notebook: ``check("8.2.1", weight_sum)``, ``hint("8.2.1")`` and ``progress()``.
For a teacher, on the command line: ``python -m common.grading grade SUBMISSIONS --out REPORT``.

| module         | what it does                                                                             |
|----------------|------------------------------------------------------------------------------------------|
| ``exercise``   | what an exercise is: cases, the right answer, common mistakes, hints; finds one by number |
| ``draws``      | what many cases have in common: a drawn size, normal numbers, the sizes of a batch       |
| ``observe``    | calls an answer and records what it returns; all that runs beside a learner's code       |
| ``judge``      | compares that with what is right, and names the mistake                                  |
| ``picture``    | draws the value an answer gave beside the expected one                                   |
| ``check``      | ``check`` and ``hint``                                                                   |
| ``progress``   | what was tried and solved: kept in a file by ``check``, shown as a grid                  |
| ``cells``      | answer cells: from solutions to released notebooks, and in submitted ones                |
| ``teacher/``   | grades a folder of submissions; only ``__main__`` imports it                             |

The exercises themselves are in ``ch07/exercises`` and ``ch08/exercises``.
"""

from common.grading.check import WrongAnswer, check, hint
from common.grading.progress import progress

__all__ = ["WrongAnswer", "check", "hint", "progress"]
