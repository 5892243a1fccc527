"""Gradient viewer: the computational graph of a tiny attention layer, its values and its gradients."""

from common.functions import softmax
from common.language import say
from common.np import host, to_cpu
from common.svg import BLUE, INK, MUTED, ORANGE, PALE, Drawing, number
from common.widgets.base import Picture, Widget, box_of, controls, picture_frame

HS = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.5))
H = (1.0, 0.5)
Y = (0.0, 1.0)
TITLE = "The computational graph of a small attention layer."


def attention_graph(hs, h, y=Y):
    """Compute a tiny attention layer and its gradients by hand.

    Forward: s = hs h, a = softmax(s), c = sum over t of a_t hs_t, L = 1/2 |c - y|^2.
    Args: hs (T, H), h (H,), and y (H,), what the context should be.
    Returns: a dict of float64 arrays: the values hs, h, y, s, a, c, L, and the gradients dhs, dh, ds, da, dc, dL.
    hs is used twice, so dhs = dhs_c (through the sum c) + dhs_s (through the scores s).
    Raises: ValueError for shapes that do not fit.
    """
    hs, h, y = (host.array(to_cpu(v), float) for v in (hs, h, y))
    if hs.ndim != 2 or h.shape != hs.shape[1:] or y.shape != h.shape:
        raise ValueError(
            f"attention_graph: hs must be (T, H), h and y must be (H,), got {hs.shape}, {h.shape}, {y.shape}"
        )
    s = hs @ h  # (T,)
    a = to_cpu(softmax(s))  # (T,)
    c = a @ hs  # (H,)
    L = 0.5 * ((c - y) ** 2).sum()
    dc = c - y
    da = hs @ dc  # sum rule: each weight gets the share of its vector
    dhs_c = host.outer(a, dc)
    ds = a * (da - (a * da).sum())  # softmax rule
    dhs_s = host.outer(ds, h)  # product rule
    dh = ds @ hs
    values = dict(hs=hs, h=h, y=y, s=s, a=a, c=c, L=host.array(L))
    return values | dict(dL=host.array(1.0), dc=dc, da=da, ds=ds, dh=dh, dhs_c=dhs_c, dhs_s=dhs_s, dhs=dhs_c + dhs_s)


def describe_graph(hs, h, y=Y, focus=("h", 0)):
    """Return in words what the picture shows: a list of sentences. Args: as for ``render_graph``."""
    g = attention_graph(hs, h, y)
    name, *place = focus
    place = tuple(place)
    slope = g[f"d{name}"][place]
    shown = name + "".join(f"[{i}]" for i in place)
    weights, context = (", ".join(number(x) for x in g[name]) for name in ("a", "c"))
    backward = dict(name=shown, gradient=number(slope, 3))
    if abs(slope) < 0.0005:
        said = say(
            "Backward: the gradient d{name} is {gradient}. If {name} grows by 0.1, the loss stays as it is.", **backward
        )
    else:
        said = say(
            "Backward: the gradient d{name} is {gradient}. If {name} grows by 0.1, the loss changes by about {change}.",
            **backward,
            change=number(0.1 * slope, 3),
        )
    return [
        say(
            "Forward: the weights are {weights}, the context is ({context}), the loss is {loss}.",
            weights=weights,
            context=context,
            loss=number(g["L"], 3),
        ),
        said,
        say("hs is used twice, so its two gradients are added: dhs = dhs by way of c + dhs by way of s."),
    ]


def render_graph(hs, h, y=Y, focus=("h", 0)):
    """Return the graph as SVG: the values of the forward pass, the gradients of the backward pass.

    Values are upright in solid frames and travel along solid arrows; gradients are in italics in dashed frames, their
    names begin with d, and they travel along dashed arrows.
    Args: hs (T, 2), h (2,), y (2,); focus, the input whose gradient is put into words, such as ("hs", 0, 1).
    """
    g = attention_graph(hs, h, y)
    words = describe_graph(hs, h, y, focus)
    T = len(g["hs"])
    tall = 24 + 17 * T  # a table with T rows
    mid = 60 + 2 * tall + 140  # the height of the main row of operations
    drawing = Drawing(990, mid + 190, f"{say(TITLE)} {' '.join(words)}")
    _legend(drawing)
    x_h, x_s, x_a, x_c, x_L = 14, 268, 472, 676, 880  # where the columns of numbers begin
    x_dot, x_soft, x_sum, x_loss = 210, 414, 618, 822  # the centers of the operations
    y_hs = 66 + tall  # the height of the edges that leave hs
    _edges(drawing, [(152, y_hs), (x_dot, y_hs), (x_dot, mid - 20)])
    _edges(drawing, [(x_dot, y_hs), (x_sum, y_hs), (x_sum, mid - 20)], start=False)
    for x, before, after in (
        (x_dot, 152, x_s),
        (x_soft, x_s + 88, x_a),
        (x_sum, x_a + 88, x_c),
        (x_loss, x_c + 88, x_L),
    ):
        _edges(drawing, [(before, mid), (x - 36, mid)])
        _edges(drawing, [(x + 36, mid), (after, mid)])
    drawing.arrow([(x_loss, y_hs + 26), (x_loss, mid - 20)], BLUE)
    for x, name, formula in (
        (x_dot, (say("multiply"), say("sum over H")), "hs[t]·h"),
        (x_soft, (say("softmax"),), say("over t")),
        (x_sum, (say("multiply"), say("sum over T")), "a[t]·hs[t]"),
        (x_loss, (say("loss"),), "½|c − y|²"),
    ):
        drawing.rect(x - 36, mid - 20, 72, 40, fill=PALE, stroke=INK, width=1.5, radius=12)
        for k, line in enumerate(name):
            drawing.text(x, mid + 4 + 14 * k - 7 * (len(name) - 1), line, size=11, anchor="middle")
        drawing.text(x, mid + 36, formula, size=11, anchor="middle", color=MUTED)
    _table(drawing, 14, 66, 138, "hs", g["hs"], say("dhs, both added"), g["dhs"])
    _column(drawing, x_h, mid, 138, "h", g["h"], g["dh"])
    for name, x in (("s", x_s), ("a", x_a), ("c", x_c), ("L", x_L)):
        _column(drawing, x, mid, 88, name, g[name], g[f"d{name}"])
    _gradient(drawing, x_dot + 18, y_hs + 26, 142, say("dhs by way of s"), g["dhs_s"])
    _gradient(drawing, x_sum + 18, y_hs + 26, 142, say("dhs by way of c"), g["dhs_c"])
    _values(drawing, x_loss - 10, y_hs - 36, 88, say("y, wanted"), g["y"])
    for k, sentence in enumerate(words):
        drawing.text(14, mid + 134 + 20 * k, sentence)
    return str(drawing)


def _legend(drawing):
    drawing.arrow([(176, 16), (216, 16)], BLUE, 2)
    drawing.text(226, 20, say("values of the forward pass: upright, in solid frames"))
    drawing.arrow([(216, 37), (176, 37)], ORANGE, 2, dash="5 3")
    how = say("d…, in italics, in dashed frames")
    drawing.words(226, 41, (say("gradients of the backward pass: "), {}), (how, dict(italic=True)))


def _edges(drawing, points, start=True):
    """Draw an edge in both directions: forward along points, and backward beside it."""
    shifted = []
    for k, (x, y) in enumerate(points):
        before, after = points[max(k - 1, 0)], points[min(k + 1, len(points) - 1)]
        across = any(p[1] == y and p[0] != x for p in (before, after))  # touches a horizontal piece
        down = any(p[0] == x and p[1] != y for p in (before, after))
        shifted.append((x - 4 if down else x, y + 4 if across else y))
    forward = [(2 * x - sx, 2 * y - sy) for (x, y), (sx, sy) in zip(points, shifted, strict=True)]
    drawing.arrow(forward, BLUE, 1.8)
    back = shifted[::-1]
    if start:
        drawing.arrow(back, ORANGE, 1.5, dash="5 3")
    else:
        drawing.polyline(back, ORANGE, 1.5, dash="5 3")


def _rows(drawing, x, y, w, array, **style):
    array = host.atleast_1d(array)
    array = array if array.ndim == 2 else array[:, None]
    K = array.shape[1]
    for t, row in enumerate(array):
        for j, value in enumerate(row):
            right = x + w / 2 + 24 + (0 if K == 1 else (-34 if j == 0 else 34))
            drawing.text(right, y + 17 * t, number(value), anchor="end", mono=True, **style)
    return len(array)


def _values(drawing, x, y, w, name, array):
    """Draw a table of values; return its height."""
    h = 26 + 17 * len(host.atleast_1d(array))
    drawing.rect(x, y, w, h, fill="#ffffff", stroke=BLUE, width=2)
    drawing.text(x + 8, y + 15, name, size=12, bold=True)
    _rows(drawing, x, y + 33, w, array)
    return h


def _gradient(drawing, x, y, w, name, array):
    """Draw a table of gradients; return its height."""
    h = 26 + 17 * len(host.atleast_1d(array))
    drawing.rect(x, y, w, h, fill="#ffffff", stroke=ORANGE, width=2, dash="5 3")
    drawing.text(x + 8, y + 15, name, size=12, bold=True, italic=True)
    _rows(drawing, x, y + 33, w, array, italic=True)
    return h


def _table(drawing, x, y, w, name, values, d_name, gradients):
    h = _values(drawing, x, y, w, name, values)
    _gradient(drawing, x, y + h + 4, w, d_name, gradients)


def _column(drawing, x, mid, w, name, values, gradients):
    """Draw values above and gradients below the height ``mid``."""
    h = 26 + 17 * len(host.atleast_1d(values))
    _values(drawing, x, mid - h - 2, w, name, values)
    _gradient(drawing, x, mid + 2, w, f"d{name}", gradients)


class GradientViewer(Widget):
    """Sliders for the inputs of a tiny attention layer; all its values and gradients follow.

    Args: hs (3, 2), h (2,), y (2,), the context that would make the loss 0; defaults that show something.
    Controls: ``hs``, sliders as ``hs[t][j]``; ``h``, sliders as ``h[j]``; ``picture``. After every change ``graph``
    holds the numbers (see ``attention_graph``).

        viewer = GradientViewer()
        viewer.h[0].value = -1.0
        viewer.graph["dh"]
    """

    about = "change an input, see values and gradients change"

    def __init__(self, hs=HS, h=H, y=Y):
        self.y = host.array(to_cpu(y), float)  # (2,)
        self._start = host.array(to_cpu(hs), float), host.array(to_cpu(h), float)
        if self._start[0].ndim != 2 or self._start[0].shape[1] != 2:
            raise ValueError(f"GradientViewer: hs must be (T, 2), got {self._start[0].shape}")
        attention_graph(*self._start, self.y)
        w = controls()
        self.focus = ("h", 0)

        def slider(name, value, *place):
            shown = name + "".join(f"[{i}]" for i in place)
            made = w.FloatSlider(
                value=value,
                min=-3,
                max=3,
                step=0.1,
                description=shown,
                readout_format=".1f",
                style={"description_width": "60px"},
            )

            def changed(change):
                self.focus = (name, *place)
                self._draw()

            made.observe(changed, names="value")
            return made

        start_hs, start_h = self._start
        self.hs = [[slider("hs", float(x), t, j) for j, x in enumerate(row)] for t, row in enumerate(start_hs)]
        self.h = [slider("h", float(x), j) for j, x in enumerate(start_h)]
        self.picture = picture_frame()
        wrap = {"flex_flow": "row wrap"}
        rows = [w.HBox(row, layout=wrap) for row in (*self.hs, self.h)]
        self.box = box_of([*rows, self.picture], file="gradients")
        self._draw()

    def _draw(self):
        hs = [[s.value for s in row] for row in self.hs]
        h = [s.value for s in self.h]
        self.graph = attention_graph(hs, h, self.y)
        self.picture.value = render_graph(hs, h, self.y, self.focus)

    def static(self, hs=None, h=None, focus=("h", 0)):
        """Return the Picture of the first state, or of other inputs."""
        state = self._start[0] if hs is None else hs, self._start[1] if h is None else h, self.y, focus
        words = f"{say(TITLE)} {' '.join(describe_graph(*state))}"
        return Picture(render_graph(*state), words)
