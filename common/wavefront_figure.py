"""The figure of model parallelism: when each layer, on a machine of its own, computes each step."""

from common.alt_text import set_alt
from common.language import say
from common.plots import COLORS
from common.scaling import wavefront
from common.svg import INK

WIDEST = 8.2  # inches: what a notebook shows without scrolling


def wavefront_figure(layers, steps, *, both_ways=False):
    """Draw the wavefront of layers over time, one row for each machine, and how much of the time machines wait.

    Args: as for ``common.scaling.wavefront``. Returns: a matplotlib Figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    start, idle = wavefront(layers, steps, both_ways=both_ways)
    rows = [(f"layer {k}", start[k], range(steps)) for k in range(layers)]
    if both_ways:
        rows[0] = ("layer 0, forward", start[0], range(steps))
        rows.insert(1, ("layer 0, backward", start[0], range(steps - 1, -1, -1)))
    end = start.max() + 1
    width = min(2.2 + 0.42 * end, WIDEST)
    size = min(10, 38 * (width - 1.2) / end)  # of the numbers: two digits fit into a step
    figure = Figure(figsize=(width, 0.9 + 0.42 * len(rows)), layout="constrained")
    ax = figure.subplots()
    for y, (_, begins, read) in enumerate(rows):
        for begin, t in zip(begins.tolist(), read, strict=True):
            color = COLORS[t % len(COLORS)]
            ax.add_patch(Rectangle((begin, y - 0.4), 1, 0.8, facecolor=color, edgecolor="white", alpha=0.45))
            ax.text(begin + 0.5, y, str(t), ha="center", va="center", color=INK, fontsize=size)
    ax.set(xlim=(0, end), ylim=(-0.6, len(rows) - 0.4), xlabel="time, in steps of one layer")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    ax.set_title(f"machines wait for {idle:.0%} of the time")
    words = say(
        "One row for each machine, time from left to right. Each of {layers} layers computes the steps 0 to {last} in "
        "order, one unit of time each; a layer begins a step when the layer below has ended it.",
        layers=layers,
        last=steps - 1,
    )
    late = say("Layer 1 begins when layer 0 has read the whole sentence from both ends.") if both_ways else ""
    wait = say("Together the machines wait for {idle:.0%} of the time.", idle=idle)
    return set_alt(figure, f"{words} {late} {wait}")
