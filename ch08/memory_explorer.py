"""The explorer of a memory, with a Neural Turing Machine of the course in it.

    from ch08.memory_explorer import memory_explorer
    memory_explorer()

The weights that the course ships lie in ``ch08/pretrained/<system>/weights.npz``, under the names of ``ch08.train``.
"""

import functools
from pathlib import Path

from ch08.explorer import PRETRAINED
from ch08.ntm import NTM
from ch08.recipes import memory
from common.functions import sigmoid
from common.language import say
from common.np import host, np, to_cpu
from common.npz import load_arrays
from common.parallel import replica
from common.svg import number, percent
from common.widgets import MemoryExplorer, MemoryRun, MemorySequence

FIRST = "ntm-copy"
LENGTHS = 1, 10  # vectors; the picture holds no more steps


def load_ntm(name=FIRST, folder=PRETRAINED, dtype=np.float32):
    """Return an NTM with the weights of ``folder/<name>/weights.npz``; its sizes are read from the file.

    Args: name, of a system in ``ch08.recipes.memory`` or of another folder; dtype to compute in.
    Raises: FileNotFoundError that says how to train the model; ValueError if the file holds another kind of model.
    """
    path = Path(folder) / name / "weights.npz"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist. To train this model: python -m ch08.train {name}; "
            f"then load_ntm({name!r}, 'runs/ch08')"
        )
    model = NTM(**_sizes(load_arrays(path), path), dtype=dtype, rng=0)
    model.load_params(path)
    return model


def _sizes(arrays, path):
    """Return the arguments of NTM, from its arrays by name."""
    try:
        heads, rows = arrays["first.weights"].shape
        read_heads, width = arrays["first.reads"].shape
        hidden_size = len(arrays["steps.step.heads.affine.W"])
        _, output_size = arrays["affine.W"].shape
        lstm = arrays.get("steps.step.controller.lstm.Wx")
        inputs = arrays["steps.step.controller.affine.W"] if lstm is None else lstm
    except (KeyError, ValueError):
        raise ValueError(f"{path} does not hold a Neural Turing Machine: its arrays are {', '.join(arrays)}") from None
    return dict(
        input_size=len(inputs) - read_heads * width,
        output_size=output_size,
        hidden_size=hidden_size,
        rows=rows,
        width=width,
        read_heads=read_heads,
        write_heads=heads - read_heads,
        controller="feedforward" if lstm is None else "lstm",
        first_memory="learned" if "first.memory" in arrays else "constant",
    )


def run_memory(model, inputs, edits=None):
    """Return the MemoryRun of an NTM that reads inputs (T, D), one sequence.

    Args: edits, a dict (step, row) -> numbers (W,): after that step they stand in that row of the memory, and the
    machine goes on with them. Raises: ValueError for a place that is not there.
    """
    model, edits = replica(model), edits or {}
    dtype = model.affine.params[0].dtype
    inputs = np.asarray(inputs, dtype)
    T, (_, R, W) = len(inputs), model.start(1)[0].shape
    for (step, row), numbers in edits.items():
        if step not in range(T) or row not in range(R) or host.shape(numbers) != (W,):
            raise ValueError(
                f"run_memory: an edit is (step, row): {W} numbers, with a step of 0 to {T - 1} and a row of 0 to "
                f"{R - 1}, got ({step}, {row}): {host.shape(numbers)}"
            )
    state = model.start(1)
    memories, weights, outputs, said = [state[0]], [], [], []
    for t, x in enumerate(inputs[:, None]):
        said.append(_said(model, x, state))
        logits, (after, *rest), w = model.step(x, state)
        changed = {row: numbers for (step, row), numbers in edits.items() if step == t}
        if changed:
            after = after.copy()
            for row, numbers in changed.items():
                after[0, row] = np.asarray(numbers, dtype)
        state = after, *rest
        for found, now in zip((memories, weights, outputs), (after, w, sigmoid(logits)), strict=True):
            found.append(now)
    memories, weights, outputs = (to_cpu(np.concatenate(found)) for found in (memories, weights, outputs))
    reading = model.read_heads
    return MemoryRun(outputs, memories, weights[:, :reading], weights[:, reading:], said)


def _said(model, x, state):
    """Return what each head says before a step, a list of sentences, the reading heads first."""
    _, _, reads, *controller_state = state
    step = model.steps.step
    out, *_ = step.controller.forward(np.concatenate((x, reads), axis=1), *controller_state)
    (_, strength, gate, shift, gamma), _, _ = step.heads.forward(out)
    numbers = host.concatenate(
        [to_cpu(part)[0] for part in (strength[..., None], gate[..., None], shift, gamma[..., None])], axis=1
    )
    sentences = []
    for k, (beta, g, back, stay, on, power) in enumerate(numbers):
        name = say("read head") if k < model.read_heads else say("write head")
        if len(numbers) > 2:
            name += f" {k if k < model.read_heads else k - model.read_heads}"
        said = say(
            "the {name} says gate {gate}, shift by −1, 0, +1: {shares}, power {power}, strength {strength}",
            name=name,
            gate=number(g),
            shares=", ".join(map(percent, (back, stay, on))),
            power=number(power, 1),
            strength=number(beta, 1),
        )
        sentences.append(said)
    return sentences


def draw_copy(length, example):
    """Return a MemorySequence of the copy task: ``length`` vectors of 8 bits; another number, other bits."""
    batch = memory.Copy().batch(host.random.default_rng([example, length]), 1, length=length)
    xs, ts, mask = (to_cpu(batch[name])[0] for name in ("xs", "ts", "mask"))
    return MemorySequence(xs, ts, mask)


def memory_explorer(model=None, *, folder=PRETRAINED, **options):
    """Return a MemoryExplorer: an NTM that copies, step by step.

    Args:
        model: an NTM that has learned to copy, such as one that you have just trained; None for the one in ``folder``.
        options: for MemoryExplorer, such as length, step, row, column, edits.

    Raises: FileNotFoundError that says how to train the model, if it is not in ``folder``.
    """
    if model is None:
        model = load_ntm(folder=folder, dtype=np.float64)  # so every machine draws the same picture
    return MemoryExplorer(functools.partial(run_memory, model), draw_copy, **{"lengths": LENGTHS} | options)
