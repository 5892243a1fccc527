"""Grade submissions: run each in a sandbox, start again without the culprit where one hung or crashed, judge."""

import concurrent.futures
import time

from common.grading import graded
from common.grading.sandbox import Failed, Interrupted

TRIES = 2  # before the grader calls its own failure one
SPARE = 180.0  # seconds for a submission beyond what its cells may take, for starting again


def grade(submissions, seed, sandboxes, workers=1, each_done=lambda submission: None):
    """Return the rows of all submissions, sorted by student, notebook and exercise.

    Args: each_done is called after each submission, in the order they end. The rows do not depend on ``workers``.
    Raises: KeyboardInterrupt, after everything that ran has been ended.
    """
    rows = {}
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(grade_one, s, seed, sandboxes): k for k, s in enumerate(submissions)}
        try:
            for future in concurrent.futures.as_completed(running):
                rows[running[future]] = future.result()
                each_done(submissions[running[future]])
        except BaseException:
            sandboxes.stop()
            for future in running:
                future.cancel()
            raise
    return [row for k in range(len(submissions)) for row in rows[k]]


def grade_one(submission, seed, sandboxes):
    """Return the rows of one submission."""
    listed = graded.steps(submission, seed)
    why = ""
    for _ in range(TRIES):
        try:
            ran = _run(listed, sandboxes) if submission.answers else {}
            return graded.rows(submission, listed, ran, seed)
        except Interrupted:
            raise
        except Failed as failure:
            why = str(failure)
        except Exception as error:  # a fault of ours, in a spec or in the grader, is never a student's
            why = f"{type(error).__name__}: {error}"
    return graded.infra_rows(submission, why)


def _run(listed, sandboxes):
    """Run all steps, starting again after each culprit; return what came of them, by index."""
    ran, dropped, suspects = {}, set(), set()
    end = time.monotonic() + SPARE + 2 * sum(step.seconds for step in listed if step.kind != "given")
    while time.monotonic() < end:
        left = [k for k, step in enumerate(listed) if k not in dropped and not (step.kind == "probe" and k in ran)]
        open_ = [k for k in left if listed[k].kind != "given" and k not in ran]
        if not open_:
            break
        # Answers that ran before run again, so that what they define is there. What comes after the last open step
        # is not needed.
        new, culprit = sandboxes.run([(k, listed[k]) for k in left if k <= open_[-1]])
        ended = new.pop(culprit, None)
        for k, what in new.items():
            ran.setdefault(k, what)
        if culprit is None:
            break
        exercise = listed[culprit].exercise
        called = {id(listed[k].exercise) for k in new if listed[k].kind == "probe"}
        if ended.how == "crashed" and called - {id(exercise)} and culprit not in suspects:
            suspects.add(culprit)  # a call of another answer may have done it, and will not be made again
            continue
        ran[culprit] = ended
        dropped.add(culprit)
        if exercise:
            dropped |= {k for k, step in enumerate(listed) if step.exercise is exercise}
    return ran
