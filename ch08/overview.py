"""All systems of chapter 8 that were measured, in one table: ``python -m ch08.overview``.

The figures are those of ``ch08/pretrained/results.json``, written by ``python -m ch08.compare ... --update-list``. The
number of parameters is that of a new model, the time of a step the median time of training by the number of steps. The
trainings ran on a machine that did other work at the same time, so times are good for their order of magnitude only.
"""

import argparse
import sys
from typing import NamedTuple

if __name__ == "__main__" and not __package__:
    sys.exit("Run this from the root of the repository, as a module: python -m ch08.overview")

from ch08.recipes import SYSTEMS
from ch08.recipes.dates import Dates
from ch08.recipes.sentences import sentence_task
from ch08.recipes.translation import multi30k_task
from ch08.train import RESULTS
from common.metrics import shown
from common.training.program import run_program
from common.training.run import read_json
from common.util import echo

ALIGNMENTS = "mass", "alignment_error"  # for dates the share of the attention, for sentences the error rate


class Row(NamedTuple):
    """What is known of a system.

    name, about: as in ``SYSTEMS``. measure: the name of its headline; median, worst: its values over the seeds, of
    which there are ``seeds``. alignment: None, or (name of the measure, median). seconds: of training, the median, or
    None. step: milliseconds of a training step, or None. parameters: how many numbers are learned, or None where the
    data that decide it are not there.
    """

    name: str
    about: str
    measure: str
    median: float
    worst: float
    seeds: int
    alignment: tuple | None
    seconds: float | None
    step: float | None
    parameters: int | None


def overview(names=None, results=RESULTS):
    """Return the Rows of the systems that were measured, in the order of ``SYSTEMS``.

    Args: names, some of them; None: all. results, the file with what was measured.
    Raises: KeyError for a name that there is not, or that was not measured.
    """
    measured = read_json(results)
    for name in names or ():
        if name not in SYSTEMS or name not in measured:
            raise KeyError(f"{name!r} was not measured; there are {', '.join(n for n in SYSTEMS if n in measured)}")
    tasks = {}
    return [_row(name, measured[name], tasks) for name in SYSTEMS if name in (names or measured) and name in measured]


def _task(system, tasks):
    """Return the task of a system, or one with the same data and batches of the same size; keep it in ``tasks``.

    Returns None for Multi30k, which is not part of the course: the table says the same with and without the captions.
    """
    if getattr(system.task, "func", system.task) is multi30k_task:
        return None
    key, batch_size = system.task, system.recipe.batch_size
    if getattr(key, "func", key) in (Dates, sentence_task):  # their options are noise and labels
        key = (getattr(key, "func", key), *getattr(key, "args", ()))
    if key not in tasks:
        tasks[key] = system.task(batch_size=batch_size, seed=0)
    tasks[key].batch_size = batch_size
    return tasks[key]


def _row(name, found, tasks):
    system = SYSTEMS[name]
    measure, values = next(iter(found["measures"].items()))
    alignments = [(key, found["measures"][key]["median"]) for key in ALIGNMENTS if key in found["measures"]]
    steps = parameters = None
    task = _task(system, tasks)
    if task is not None:
        steps = system.recipe.epochs * task.steps_per_epoch
        params = {id(param): param for param in system.model(task, rng=0).params}  # tied ones are one
        parameters = sum(param.size for param in params.values())
    return Row(
        name,
        system.about,
        measure,
        values["median"],
        values["worst"],
        len(found["seeds"]),
        alignments[0] if alignments else None,
        found["seconds"],
        1000 * found["seconds"] / steps if found["seconds"] and steps else None,
        parameters,
    )


def table(rows):
    """Return Rows as a table in text."""
    width = max(len(row.name) for row in rows)
    lines = [f"{'':{width}} {'median':>9} {'worst':>9} {'seeds':>5} {'alignment':>13} {'a step':>8} {'parameters':>10}"]
    for row in rows:
        unit = {"bleu": " BLEU", "bits": " bits", "bit_errors": " bits"}.get(row.measure, "")
        alignment = "-"
        if row.alignment:
            name, value = row.alignment
            alignment = f"{value:.1%}" + (" error" if name == "alignment_error" else "")
        step = "-" if row.step is None else f"{row.step:.0f} ms"
        parameters = "-" if row.parameters is None else f"{row.parameters:,}"
        lines.append(
            f"{row.name:{width}} {shown(row.measure, row.median):>9} {shown(row.measure, row.worst):>9} "
            f"{row.seeds:5} {alignment:>13} {step:>8} {parameters:>10}{unit and '  in' + unit}"
        )
    return "\n".join(lines)


def main(argv=None):
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m ch08.overview", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="some systems; none: all that were measured")
    args = parser.parse_args(argv)
    try:
        rows = overview(args.names)
    except KeyError as error:
        parser.error(error.args[0])
    echo(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
