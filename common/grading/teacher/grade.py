"""Grade submissions: run each in a sandbox, start again without the culprit where one hung or crashed, judge."""

import concurrent.futures
import functools
import time

from common.grading.teacher.rows import in_both, infra_rows, rows_of
from common.grading.teacher.sandbox import PATIENCE, Interrupted, SandboxError
from common.grading.teacher.steps import steps_of
from common.language import ENGLISH

TRIES = 2  # before the grader gives up on a submission
EXTRA_SECONDS = 180.0  # for a submission, on top of what its cells may take: for starting again


def grade(
    submissions,
    seed,
    sandboxes,
    workers=1,
    begun=lambda submission: None,
    done=lambda submission, rows: None,
    chosen=ENGLISH,
):
    """Return the rows of all submissions, sorted by student, notebook and exercise.

    Args: begun and done are called when a submission begins (in the thread that grades it) and when it has ended, in
    the order they end; chosen, the language of the pages. The rows do not depend on ``workers``.
    Raises: KeyboardInterrupt, after everything that ran has been ended.
    """
    rows = {}

    def one(submission):
        begun(submission)
        return grade_one(submission, seed, sandboxes, chosen)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(one, submission): k for k, submission in enumerate(submissions)}
        try:
            left = set(running)
            while left:
                # Again and again: a signal that arrives just as a wait begins is only heard when the wait has ended.
                ended, left = concurrent.futures.wait(left, 1.0, concurrent.futures.FIRST_COMPLETED)
                for future in ended:
                    rows[running[future]] = future.result()
                    done(submissions[running[future]], rows[running[future]])
        except BaseException:
            sandboxes.stop()
            for future in running:
                future.cancel()
            raise
    return [row for k in range(len(submissions)) for row in rows[k]]


def grade_one(submission, seed, sandboxes, chosen=ENGLISH):
    """Return the rows of one submission."""
    steps = steps_of(submission, seed)
    why = ""
    for _ in range(TRIES):
        try:
            results = _run(steps, sandboxes) if submission.answers else {}
            return in_both(chosen, functools.partial(rows_of, submission, steps, results, seed))
        except Interrupted:
            raise
        except SandboxError as failure:
            why = str(failure)
        except Exception as error:  # a mistake in an exercise or in the grader is never the student's fault
            why = f"{type(error).__name__}: {error}"
    return in_both(chosen, lambda: infra_rows(submission, why))


def _run(steps, sandboxes):
    """Run all steps, starting again after each culprit; return their results by index."""
    results, dropped, suspects = {}, set(), set()
    end = time.monotonic() + EXTRA_SECONDS + 2 * PATIENCE * sum(step.seconds for step in steps if step.kind != "given")
    while time.monotonic() < end:
        left = [k for k, step in enumerate(steps) if k not in dropped and not (step.kind == "probe" and k in results)]
        open_ = [k for k in left if steps[k].kind != "given" and k not in results]
        if not open_:
            break
        # Answers that ran before run again, so that what they define is there. What comes after the last open step
        # is not needed.
        new, culprit = sandboxes.run([(k, steps[k]) for k in left if k <= open_[-1]])
        ended = new.pop(culprit, None)
        for k, result in new.items():
            results.setdefault(k, result)
        if culprit is None:
            break
        exercise = steps[culprit].exercise
        called = {id(steps[k].exercise) for k in new if steps[k].kind == "probe"}
        if ended.how == "crashed" and called - {id(exercise)} and culprit not in suspects:
            suspects.add(culprit)  # the call of another answer may be to blame; it is not made again
            continue
        results[culprit] = ended
        dropped.add(culprit)
        if exercise:
            dropped |= {k for k, step in enumerate(steps) if step.exercise is exercise}
    return results
