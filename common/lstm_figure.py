"""Pictures of an LSTM with its numbers: one step as a computational graph, and several steps in a row."""

import itertools

from common.language import say
from common.np import host as np
from common.svg import BLUE, INK, MUTED, ORANGE, PALE, Drawing, number
from common.widgets.base import Picture

DIGITS = 3  # decimals of every number
APART = 3.5  # pixels from the middle of an edge to each of its two arrows
GATES = (
    ("f", "forget", "σ", 200),
    ("g", "candidate", "tanh", 345),
    ("i", "input", "σ", 455),
    ("o", "output", "σ", 650),
)
VALUES = ("x", "h_prev", "c_prev", "zf", "zg", "zi", "zo", "f", "g", "i", "o", "c", "tanh_c", "h")
GRADIENTS = (*VALUES, "c_next", "c_through_h")
STEP = ("x", "h_prev", "c_prev", "h", "dx", "dh_prev", "dc_prev", "dhs")


def lstm_step_picture(values, gradients):
    """Draw one step of an LSTM of single numbers, with the value and the gradient on every edge.

    Args:
        values: the numbers of the forward pass, a dict with the names in ``VALUES``; zf, zg, zi, zo are what the gates
            were before sigmoid and tanh.
        gradients: those of the backward pass, a dict with the names in ``GRADIENTS``. ``c`` is the whole gradient of
            the new memory; ``c_next`` is the part from the next step, ``c_through_h`` the part through h.
    Returns: a Picture with alternative text. Raises: ValueError that names what is missing.
    """
    _check("lstm_step_picture: values", values, VALUES)
    _check("lstm_step_picture: gradients", gradients, GRADIENTS)
    v, d = ({name: float(x) for name, x in numbers.items()} for numbers in (values, gradients))
    memory, shown, gate, affine = 80, 200, 335, 445  # the heights of the rows
    words = _step_words(v, d)
    drawing = Drawing(860, 545, words)
    _legend(drawing)

    _edge(drawing, [(96, memory), (186, memory)], v["c_prev"], d["c_prev"])
    _edge(drawing, [(214, memory), (386, memory)], v["f"] * v["c_prev"], d["c"])
    _edge(drawing, [(414, memory), (516, memory)], v["c"], d["c"])
    _edge(drawing, [(524, memory), (766, memory)], v["c"], d["c_next"])
    _edge(drawing, [(520, memory + 5), (520, shown - 16)], v["c"], d["c_through_h"])
    _edge(drawing, [(548, shown), (636, shown)], v["tanh_c"], d["tanh_c"])
    _edge(drawing, [(664, shown), (766, shown)], v["h"], d["h"])
    _edge(drawing, [(400, shown - 14), (400, memory + 14)], v["g"] * v["i"], d["c"])
    up = gate - 16
    _edge(drawing, [(200, up), (200, memory + 14)], v["f"], d["f"])
    _edge(drawing, [(345, up), (345, shown), (386, shown)], v["g"], d["g"])
    _edge(drawing, [(455, up), (455, shown), (414, shown)], v["i"], d["i"])
    _edge(drawing, [(650, up), (650, shown + 14)], v["o"], d["o"])
    for name, _, _, x in GATES:
        _edge(drawing, [(x, affine), (x, gate + 16)], v[f"z{name}"], d[f"z{name}"])
    _edge(drawing, [(96, affine + 20), (150, affine + 20)], v["x"], d["x"])
    _edge(drawing, [(96, affine + 66), (150, affine + 66)], v["h_prev"], d["h_prev"])

    for x, y, sign in ((200, memory, "×"), (400, memory, "+"), (400, shown, "×"), (650, shown, "×")):
        drawing.circle(x, y, 14, fill=PALE, stroke=INK, width=1.5)
        drawing.text(x, y + 5, sign, size=16, anchor="middle")
    drawing.circle(520, memory, 4.5)
    _box(drawing, 520, shown, 56, "tanh")
    for name, word, function, x in GATES:
        _box(drawing, x, gate, 56, function)
        drawing.text(x - 34, gate + 4, f"{say(word)} {name}", size=12, anchor="end", color=MUTED)
    drawing.rect(150, affine, 560, 86, fill=PALE, stroke=INK, width=1.5, radius=12)
    drawing.text(430, affine + 48, "z = x Wx + h_prev Wh + b", anchor="middle")
    for name, x, y in (("c_prev", 56, memory), ("x", 56, affine + 20), ("h_prev", 56, affine + 66)):
        _variable(drawing, x, y, name)
    for name, y in (("c", memory), ("h", shown)):
        _variable(drawing, 806, y, name)
    return Picture(str(drawing), words)


def lstm_time_picture(steps):
    """Draw steps of an LSTM of single numbers side by side; the gradients of h and c run from each to the one before.

    Args: steps, a list of dicts with the names in ``STEP``, numbers or arrays of one number: what the step reads and
        returns, what it sends back (dx, dh_prev, dc_prev), and dhs, what the layer above sends to its h.
    Returns: a Picture with alternative text. Raises: ValueError for no steps, or one that names what is missing.
    """
    if not steps:
        raise ValueError("lstm_time_picture: there are no steps")
    for t, step in enumerate(steps):
        _check(f"lstm_time_picture: step {t}", step, STEP)
    steps = [{name: np.asarray(step[name]).item() for name in STEP} for step in steps]
    words = _time_words(steps)
    wide, memory, hidden, bottom = 210, 142, 197, 302
    drawing = Drawing(wide * len(steps) + 60, 325, words)
    _legend(drawing)
    left = 40  # of the first edge
    for t, step in enumerate(steps):
        x = left + wide * t  # where the edges into this step begin
        middle = x + 150
        _edge(drawing, [(x, memory), (x + 90, memory)], step["c_prev"], step["dc_prev"])
        _edge(drawing, [(x, hidden), (x + 90, hidden)], step["h_prev"], step["dh_prev"])
        _edge(drawing, [(middle, bottom - 14), (middle, hidden + 31)], step["x"], step["dx"])
        _edge(drawing, [(middle, memory - 31), (middle, 76)], step["h"], step["dhs"])
        drawing.rect(x + 90, memory - 30, 120, hidden - memory + 60, fill=PALE, stroke=INK, width=1.5, radius=12)
        drawing.text(middle, (memory + hidden) / 2 + 5, say("step {step}", step=t), anchor="middle")
        drawing.text(middle, bottom + 4, f"x[{t}]", anchor="middle", bold=True)
        drawing.text(middle, 68, f"hs[{t}]", anchor="middle", bold=True)
    drawing.text(left - 8, memory + 4, "c", anchor="end", bold=True)
    drawing.text(left - 8, hidden + 4, "h", anchor="end", bold=True)
    return Picture(str(drawing), words)


def _step_words(v, d):
    v, d = ({name: _n(x) for name, x in numbers.items()} for numbers in (v, d))
    gates = ", ".join(f"{name} {v[name]}" for name in "fgio")
    backs = ", ".join(f"d{name} {d[name]}" for name in "fgio")
    return say(
        "The computational graph of one LSTM step. Forward: the gates are {gates}; the old memory {c_prev} becomes "
        "{c}, and h is {h}. Backward: {dh} comes in at h and {dc_next} at c; where c branches, {dc_next} and "
        "{dc_through_h} add up to {dc}. It becomes {backs}, and for the inputs dc_prev {dc_prev}, dx {dx}, dh_prev "
        "{dh_prev}.",
        gates=gates,
        backs=backs,
        **v,
        **{f"d{name}": x for name, x in d.items()},
    )


def _time_words(steps):
    shown = [{name: _n(x) for name, x in step.items()} for step in steps]
    forth = "; ".join(
        say("step {step} starts from h {h_prev} and c {c_prev} and returns h {h}", step=t, **s)
        for t, s in enumerate(shown)
    )
    back = "; ".join(
        say("step {step} gets {dhs} from above and sends back dh {dh_prev}, dc {dc_prev} and dx {dx}", step=t, **s)
        for t, s in reversed(list(enumerate(shown)))
    )
    return say(
        "{count} steps of an LSTM in a row. Forward: {forth}. Backward: {back}.",
        count=len(steps),
        forth=forth,
        back=back,
    )


def _check(what, numbers, names):
    missing = [name for name in names if name not in numbers]
    if missing:
        raise ValueError(f"{what} lack {', '.join(missing)}")


def _n(x):
    return number(x, DIGITS)


def _legend(drawing):
    drawing.arrow([(14, 22), (50, 22)], BLUE, 1.8)
    drawing.text(58, 26, say("value, forward"))
    drawing.arrow([(226, 22), (190, 22)], ORANGE, 1.5, dash="5 3")
    drawing.text(234, 26, say("gradient, backward (italics)"), color=ORANGE, italic=True)


def _box(drawing, x, y, width, text):
    drawing.rect(x - width / 2, y - 16, width, 32, fill=PALE, stroke=INK, width=1.5, radius=12)
    drawing.text(x, y + 5, text, anchor="middle")


def _variable(drawing, x, y, name):
    drawing.rect(x - 40, y - 14, 80, 28, fill="#ffffff", stroke=INK, width=1.5)
    drawing.text(x, y + 5, name, anchor="middle", bold=True)


def _edge(drawing, points, value, gradient):
    """Draw both arrows along points, and beside the first piece the two numbers, each next to its own arrow."""
    drawing.arrow(_beside(points, APART), BLUE, 1.8)
    drawing.arrow(_beside(points, -APART)[::-1], ORANGE, 1.5, dash="5 3")
    (x1, y1), (x2, y2) = points[:2]
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    back = dict(size=12, color=ORANGE, italic=True)
    if y1 == y2:
        drawing.text(x, y - 10, _n(value), size=12, anchor="middle")
        drawing.text(x, y + 19, _n(gradient), anchor="middle", **back)
    else:
        side = 1 if y2 < y1 else -1  # of the gradient: the value stands on the left of an arrow that runs up
        anchors = {1: "start", -1: "end"}
        drawing.text(x - 9 * side, y + 4, _n(value), size=12, anchor=anchors[-side])
        drawing.text(x + 9 * side, y + 4, _n(gradient), anchor=anchors[side], **back)


def _beside(points, distance):
    """Return a line of level and upright pieces, shifted to the left of its direction, as seen on the page."""
    ways = []
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        length = abs(x2 - x1) + abs(y2 - y1)
        ways.append(((x2 - x1) / length, (y2 - y1) / length))
    shifted = []
    for k, (x, y) in enumerate(points):
        around = {ways[max(k - 1, 0)], ways[min(k, len(ways) - 1)]}
        shifted.append((x + distance * sum(dy for _, dy in around), y - distance * sum(dx for dx, _ in around)))
    return shifted
