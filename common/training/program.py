"""The programs around training: one that trains a system and shows it, one that compares several."""

import argparse
import inspect
import json
import shlex
import statistics
import sys
import tempfile
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

from common.metrics import LESS_IS_BETTER, NOT_A_SHARE, family, shown
from common.npz import check_writable
from common.plots import accuracy_curves, learning_curve, save_figure
from common.ranks import Alone, connected
from common.trainer import DivergedError
from common.training.run import CHECKPOINT, flat, locked, peak_memory, read_json, train, versions, write_json
from common.util import echo

WEIGHTS, HISTORY, CURVES = "weights.npz", "history.json", "curves.json"
UNITS = {"bleu": " BLEU", "bit_errors": " wrong bits"}  # of headlines that are not shares


def run_program(main):
    """Run a program's main; an error that a user can fix becomes one line and exit code 1, an interrupt 130."""
    try:
        return main()
    except (DivergedError, OSError, ValueError, RuntimeError) as error:
        echo(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        echo("interrupted", file=sys.stderr)
        return 130


# --- flags --------------------------------------------------------------------------------------------------


def positive_int(text):
    """The type of a flag that counts something."""
    return _whole_number(text, 1)


def natural(text):
    """The type of a flag that is a whole number from 0, such as a seed."""
    return _whole_number(text, 0)


def _whole_number(text, least):
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None
    if value < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}, not {value}")
    return value


def add_flags(parser):
    """Add the flags that every training program has."""
    parser.add_argument("--epochs", type=positive_int, help="times through the training data (default: the recipe's)")
    parser.add_argument("--batch-size", type=positive_int, help="rows in a batch (default: the recipe's)")
    parser.add_argument("--hidden-size", type=positive_int, help="size H of the hidden states (default: the system's)")
    parser.add_argument("--data", metavar="PATH", help="data file, such as lines of question, tab, answer")
    parser.add_argument("--split", choices=("grouped", "random"), help="how test rows are chosen (default: grouped)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--mpi", action="store_true", help="share the work among the processes that mpiexec started")


def processes(args, program):
    """Return a context manager that yields the processes that do the work: with --mpi Ranks, else Alone."""
    return connected(program) if args.mpi else nullcontext(Alone())


def configured(system, args):
    """Return (system, sizes, options): the system with the recipe, sizes and task options that the flags ask for."""
    given = {name: getattr(args, name) for name in ("epochs", "batch_size") if getattr(args, name) is not None}
    sizes = {"hidden_size": args.hidden_size} if args.hidden_size is not None else {}
    options = {name: getattr(args, name) for name in ("data", "split") if getattr(args, name) is not None}
    for factory, words in ((system.model, sizes), (system.task, options)):
        known = inspect.signature(factory).parameters
        for word in words:
            if word not in known:
                raise ValueError(f"--{word.replace('_', '-')} does not apply here: {system.about}")
    return replace(system, recipe=replace(system.recipe, **given)), sizes, options


# --- train --------------------------------------------------------------------------------------------------


def train_main(systems, default, *, program, out, results=None, argv=None):
    """Train a system, print what it learned, write weights, history and figures; return the exit code.

    Args: systems, name -> System; default, the name to train without one; program, as in "python -m ch08.train"; out,
    the folder for the folders of all systems; results, the file with measured results for --list.
    """
    parser = argparse.ArgumentParser(prog=program, description="Train a model, and show what it learned.")
    parser.add_argument("name", nargs="?", type=_one_of(systems), default=default, metavar="NAME", help=_names(systems))
    parser.add_argument("--list", action="store_true", help="show all systems with their results, and stop")
    parser.add_argument("--seed", type=natural, default=0, help="of the weights and the batches (default: 0)")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"for the results (default: {out}/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on with the interrupted run in DIR")
    parser.add_argument("--half", action="store_true", help="write the weights as float16, at half the size")
    add_flags(parser)
    args = parser.parse_args(argv)
    if args.list:
        echo(table(systems, results))
        return 0
    with processes(args, program) as ranks, ExitStack() as stack:
        system, sizes, options = configured(systems[args.name], args)
        folder = args.out or Path(out) / args.name
        ranks.first(lambda: check_writable(folder))
        ranks.first(lambda: stack.enter_context(locked(folder)))
        run = train(
            system,
            args.name,
            seed=args.seed,
            out=folder,
            resume=args.resume,
            progress=not args.quiet,
            sizes=sizes,
            options=options,
            ranks=ranks,
        )
        if ranks.rank == 0:
            _report(run, folder, args.half)
    return 130 if run.interrupted else 0


def _report(run, folder, half):
    """Print what a run has learned, write its weights, history and figures."""
    # The weights first: whatever ends the program while it prints, they are there.
    files = [save_weights(run, folder, half)]
    measures = run.task.measure(run.model)
    run.history["final"] = measures
    echo(f"\n{headline(run, measures)}\n\nTen of them:" if measures else "")
    for line in run.task.examples(run.model):
        echo(f"  {line}")
    files += save_results(run, files[0].parent)
    echo("\nwrote " + ", ".join(map(str, files)))
    if run.interrupted:
        echo("Interrupted; what was learned is kept. Go on with the same command and --resume.")


def _names(systems):
    return f"what to train: {', '.join(systems)}"


def _one_of(systems):
    def name(text):
        if text not in systems:
            raise argparse.ArgumentTypeError(f"there is no system {text!r}; there are {', '.join(systems)}")
        return text

    return name


def headline(run, measures):
    """Return sentences about what was measured on unseen data."""
    values = dict(measures)
    name, value = next(iter(values.items()))
    lines = [f"{shown(name, value)} {name.replace('_', ' ')} ({run.seconds:.0f} s of training)"]
    if name == "exact_match":
        lines = [f"{value:.2%} of {run.task.test_size:,} unseen questions right ({run.seconds:.0f} s of training)"]
    if more := {key: values[key] for key in ("alignment_error", "perplexity") if key in values}:
        lines.append(_listed(more))
    if "mass" in values:
        lines.append(
            f"alignment: {values['mass']:.1%} of the attention lies on the characters a digit comes from; "
            f"the largest weight lies there for {values['hit']:.1%} of the digits"
        )
    return "\n".join(lines)


def save_weights(run, folder, half=False):
    """Write the weights into ``folder`` and return the path; elsewhere if that fails, rather than lose them."""
    dtype = "float16" if half else None
    try:
        return run.model.save_params(folder / WEIGHTS, dtype=dtype)
    except OSError as error:
        elsewhere = Path(tempfile.mkdtemp(prefix="attention-from-scratch-"))
        echo(f"{folder} cannot be written anymore: {error}. The results are in {elsewhere}.", file=sys.stderr)
        return run.model.save_params(elsewhere / WEIGHTS, dtype=dtype)


def save_results(run, folder):
    """Write the history and the figures into ``folder``; return the paths."""
    write_json(folder / HISTORY, run.history)
    looks = [(step, *next(iter(found.items()))) for step, found in run.history["measures"] if found]
    measure = looks[0][1] if looks else "exact_match"
    curve = learning_curve(run.history["loss"], [(step, value) for step, _, value in looks], measure)
    figures = {"learning_curve": curve, **run.task.figures(run.model)}
    return [folder / HISTORY] + [save_figure(figure, folder / f"{name}.png") for name, figure in figures.items()]


# --- compare ------------------------------------------------------------------------------------------------


def compare_main(systems, default, *, program, out, seeds=(0,), results=None, argv=None):
    """Train several systems over several seeds, write their curves, print a table; return the exit code.

    Every run has a folder of its own, DIR/NAME-SEED, so an interrupted comparison goes on where it stopped. At the end
    DIR/curves.json holds every run, and DIR/curves.png shows the headline after every epoch. Args: as for train_main.
    """
    parser = argparse.ArgumentParser(prog=program, description="Train systems over several seeds and compare them.")
    parser.add_argument("names", nargs="*", type=_one_of(systems), metavar="NAME", help=_names(systems))
    parser.add_argument("--seeds", nargs="+", type=natural, default=list(seeds), help=f"(default: {seeds})")
    parser.add_argument("--out", type=Path, default=Path(out), metavar="DIR", help=f"(default: {out})")
    if results:
        parser.add_argument("--update-list", action="store_true", help=f"write the results into {Path(results).name}")
    add_flags(parser)
    args = parser.parse_args(argv)
    names = args.names or list(default)
    with processes(args, program) as ranks, ExitStack() as stack:
        ranks.first(lambda: check_writable(args.out))
        ranks.first(lambda: stack.enter_context(locked(args.out)))
        say = echo if ranks.rank == 0 else _silent
        runs = []
        for seed in args.seeds:
            for name in names:
                history = _one_run(systems[name], name, seed, args, ranks)
                if history is None:
                    say("Interrupted; the same command goes on from here.")
                    return 130
                runs.append(history)
                say(f"{name:16} seed {seed:<4} {_listed(history['final'])}   {history['seconds']:.0f} s")
        if ranks.rank == 0:
            command = " ".join(filter(None, [program, shlex.join(_result_words(argv))]))
            summary = _report_comparison(systems, names, runs, args.out, command)
            if results and args.update_list:
                old = read_json(results) if Path(results).is_file() else {}
                write_json(results, old | summary)
                echo(f"wrote {results}")
    return 0


def _silent(*parts):
    """What a rank says that is not the first."""


def _report_comparison(systems, names, runs, out, command):
    """Write the curves of all runs, print a table; return the summary of each system."""
    write_json(out / CURVES, {"command": command, "versions": versions(), "runs": [_curve(r) for r in runs]})
    curves, measure = {}, next(iter(runs[0]["final"]), "exact_match")
    for history in runs:
        key = next(iter(history["final"]))
        label = f"{history['system']}: {systems[history['system']].about}"
        curves.setdefault(label, []).append([e[key] for e in history["epochs"]])
    save_figure(accuracy_curves(curves, measure=measure), out / "curves.png")
    summary = {name: summarize([r for r in runs if r["system"] == name], command) for name in names}
    echo(summary_table(summary))
    echo(f"wrote {out / CURVES} and {out / 'curves.png'}")
    return summary


def _result_words(argv):
    """Return the words of the command line on which the result depends."""
    words, kept = list(sys.argv[1:] if argv is None else argv), []
    while words:
        word = words.pop(0)
        if word == "--out":
            words.pop(0)
        elif word not in ("--quiet", "--update-list", "--mpi") and not word.startswith("--out="):
            kept.append(word)
    return kept


def _one_run(system, name, seed, args, ranks):
    """Train one system with one seed, or read the result if it is there; return the history, None if interrupted."""
    system, sizes, options = configured(system, args)
    folder = args.out / f"{name}-{seed}"
    result = folder / HISTORY
    found, begun = ranks.first(lambda: (read_json(result) if result.is_file() else {}, (folder / CHECKPOINT).is_file()))
    if "seconds" in found:  # not so after a program that trains one system: its checkpoint is measured below
        return _finished(found, system, sizes, options, folder)
    run = train(
        system,
        name,
        seed=seed,
        out=folder,
        resume=begun,
        progress=not args.quiet,
        label=f"{name}, seed {seed}",
        sizes=sizes,
        options=options,
        ranks=ranks,
    )
    if run.interrupted:
        return None

    def finish():
        run.history |= {"final": run.task.measure(run.model), "seconds": run.seconds, "peak_mb": peak_memory()}
        run.model.save_params(folder / WEIGHTS, dtype="float16")
        write_json(result, run.history)
        return run.history

    return ranks.first(finish)


def _finished(history, system, sizes, options, folder):
    """Return the history of an earlier run. Raises: ValueError if it was made with other settings than these."""
    task = system.task(batch_size=system.recipe.batch_size, seed=history.get("seed", 0), **options)
    wanted = {"sizes": sizes, "recipe": system.recipe.settings(), "task": json.loads(json.dumps(task.settings))}
    before = flat({key: history.get(key, {}) for key in wanted})
    for key, value in flat(wanted).items():
        if key != "task.data" and before.get(key) != value:
            raise ValueError(
                f"{folder} holds a run with {key} = {before.get(key)}, not {value}; name another folder with --out"
            )
    return history


def _curve(history):
    return {key: history[key] for key in ("system", "seed", "epochs", "final", "seconds", "peak_mb")}


def _listed(measures):
    return ", ".join(f"{name.replace('_', ' ')} {shown(name, value)}" for name, value in measures.items())


# --- tables -------------------------------------------------------------------------------------------------


def summarize(histories, command):
    """Return what the runs of one system came to: for each measure worst, median and best over the seeds.

    "steps_to_99" has the steps, worst and median, of the first quick look with 99 % of the headline; None if a run had
    no such look.
    """
    measures = {}
    for name in histories[0]["final"]:
        values = [h["final"][name] for h in histories]
        least, most = (values.index(end(values)) for end in (min, max))
        worst, best = (most, least) if family(name) in LESS_IS_BETTER else (least, most)
        measures[name] = {
            "worst": values[worst],
            "worst_seed": histories[worst]["seed"],
            "median": statistics.median(values),
            "best": values[best],
        }
    headline = next(iter(measures), None)
    steps = [None if headline in NOT_A_SHARE else _steps_to(h, 0.99) for h in histories]
    return {
        "seeds": [h["seed"] for h in histories],
        "measures": measures,
        "steps_to_99": None if None in steps else {"worst": max(steps), "median": statistics.median(steps)},
        "seconds": statistics.median(h["seconds"] or 0 for h in histories) or None,
        "peak_mb": min(h["peak_mb"] or 0 for h in histories) or None,  # of the first, later ones inherit it
        "command": command,
    }


def _steps_to(history, share):
    """Return the step of the first quick look at which the headline was at least ``share``, None if it never was."""
    return next((step for step, found in history["measures"] if next(iter(found.values()), 0) >= share), None)


def summary_table(summary):
    """Return the summaries of several systems as a table in text."""
    lines = [f"{'system':16} {'seeds':>5}  {'measure':15} {'worst':>8} {'(seed)':>7} {'median':>8} {'best':>8}"]
    for name, found in summary.items():
        for measure, v in found["measures"].items():
            worst, median, best = (shown(measure, v[key]) for key in ("worst", "median", "best"))
            lines.append(
                f"{name:16} {len(found['seeds']):5}  {measure:15} {worst:>8} {v['worst_seed']:7} {median:>8} {best:>8}"
            )
            name = ""
    return "\n".join(lines)


def table(systems, results=None):
    """Return all systems with the time, memory and result that were measured for them, as a table in text."""
    measured = read_json(results) if results and Path(results).is_file() else {}
    width = max(map(len, systems))
    lines = [f"{'name':{width}} {'time':>6} {'memory':>7} {'result (worst to best seed)':34} what it is"]
    for name, system in systems.items():
        found = measured.get(name)
        if found:
            measure, v = next(iter(found["measures"].items()))
            worst, best = shown(measure, v["worst"]), shown(measure, v["best"])
            time = f"{found['seconds']:.0f} s" if found["seconds"] else "-"
            memory = f"{found['peak_mb']} MB" if found["peak_mb"] else "-"
            unit = UNITS.get(measure, "")
            seeds = len(found["seeds"])
            result = f"{worst} to {best}{unit}, {seeds} seed{'s' if seeds > 1 else ''}"
        else:
            time, memory, result = "-", "-", "not measured"
        lines.append(f"{name:{width}} {time:>6} {memory:>7} {result:34} {system.about}")
    return "\n".join(lines)
