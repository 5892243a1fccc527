"""Weighted sum playground: from scores to weights, from weights to the context vector."""

from common.functions import softmax
from common.language import say
from common.np import host, to_cpu
from common.svg import BLUE, INK, LINE, MUTED, PALE, Drawing, number
from common.widgets.base import Picture, Widget, box_of, controls, picture_frame

VECTORS = ((0.3, 1.0), (1.0, 0.4), (0.7, -0.8), (-0.6, -0.7), (-1.0, 0.4))
SCORES = (2.0, -0.1, -1.3, -0.8, -1.7)  # their softmax is 0.80, 0.10, 0.03, 0.05, 0.02


def weighted_sum(hs, scores, temperature=1.0):
    """Return (weights (T,), context (H,)): a = softmax(scores / temperature), c = sum over t of a_t hs_t.

    Args: hs (T, H), scores (T,). Raises: ValueError for a temperature that is not positive, or shapes that do not fit.
    """
    hs, scores = host.asarray(to_cpu(hs), float), host.asarray(to_cpu(scores), float)
    if hs.ndim != 2 or scores.shape != hs.shape[:1]:
        raise ValueError(f"weighted_sum: hs must be (T, H) and scores (T,), got {hs.shape} and {scores.shape}")
    if not temperature > 0:
        raise ValueError(f"weighted_sum: the temperature must be positive, got {temperature}")
    a = to_cpu(softmax(scores / temperature))  # (T,)
    return a, a @ hs


def describe_weighted_sum(hs, scores, temperature=1.0):
    """Return in words what the playground shows."""
    a, c = weighted_sum(hs, scores, temperature)
    k = int(a.argmax())
    most = f"hs[{k}]"
    terms = " + ".join(f"{number(w)}·hs[{t}]" for t, w in enumerate(a))
    if a[k] >= 0.95:
        comment = say("Almost all the weight lies on {vector}: c is nearly a copy of it.", vector=most)
    elif a.max() - a.min() < 0.05:
        comment = say("All weights are nearly equal: c is nearly the mean of the vectors.")
    else:
        comment = say(
            "{vector} has the largest weight, {weight}, so it counts most in c.", vector=most, weight=number(a[k])
        )
    return f"c = {terms} = ({number(c[0])}, {number(c[1])}). {comment}"


def render_weighted_sum(hs, scores, temperature=1.0):
    """Return the playground's picture as SVG: the weights as bars, the vectors and the context as arrows.

    Args: hs (T, 2) vectors, scores (T,), temperature, a positive number.
    """
    hs = host.asarray(to_cpu(hs), float)
    if hs.ndim != 2 or hs.shape[1] != 2:
        raise ValueError(f"render_weighted_sum draws vectors in the plane: hs must be (T, 2), got {hs.shape}")
    a, c = weighted_sum(hs, scores, temperature)
    T = len(a)
    words = describe_weighted_sum(hs, scores, temperature)
    height = max(414, 130 + 44 * T)
    title = say("Weighted sum at temperature {temperature}.", temperature=number(temperature, 1))
    drawing = Drawing(780, height, f"{title} {words}")
    _draw_bars(drawing, scores, a, temperature)
    _draw_plane(drawing, hs, a, c)
    formula, comment = words.split(". ", 1)
    drawing.text(20, height - 36, formula, mono=True)
    drawing.text(20, height - 14, comment)
    return str(drawing)


def _draw_bars(drawing, scores, a, temperature):
    drawing.text(20, 26, say("weights a = softmax(scores / temperature)"), bold=True)
    drawing.text(20, 46, say("temperature {temperature}", temperature=number(temperature, 1)), color=MUTED)
    left, full = 138, 180
    drawing.text(20, 76, say("vector"), size=11, color=MUTED)
    drawing.text(126, 76, say("score"), size=11, color=MUTED, anchor="end")
    drawing.text(left, 76, say("weight"), size=11, color=MUTED)
    for t, (s, w) in enumerate(zip(scores, a, strict=True)):
        y = 86 + 44 * t
        drawing.text(20, y + 19, f"hs[{t}]", mono=True)
        drawing.text(126, y + 19, number(s, 1), mono=True, anchor="end")
        bar = dict(vector=f"hs[{t}]", weight=number(w, 4))
        title = say("the whole bar is a weight of 1; {vector} has {weight}", **bar)
        drawing.rect(left, y, full, 28, fill=PALE, title=title)
        drawing.rect(left, y, full * w, 28, fill=BLUE)
        drawing.text(left + full + 8, y + 19, number(w), mono=True, bold=w == a.max())


def _draw_plane(drawing, hs, a, c):
    reach = 1.2 * max(abs(hs).max(), 0.1)
    x0, y0, unit = 580, 176, 150 / reach

    def at(v):
        return x0 + unit * v[0], y0 - unit * v[1]

    drawing.text(420, 26, say("the vectors hs[t] and the context c"), bold=True)
    hull = [at(v) for v in _hull(hs)]
    drawing.polyline([*hull, hull[0]], LINE, 1, fill="#f6f6f6")
    drawing.line(x0 - 140, y0, x0 + 140, y0, LINE)
    drawing.line(x0, y0 - 135, x0, y0 + 135, LINE)
    for t, v in enumerate(hs):
        drawing.arrow([(x0, y0), at(v)], MUTED, 1.5)
        x, y = at(v)
        away = 1 if v[0] >= 0 else -1
        drawing.text(
            x + 6 * away, y + (-4 if v[1] >= 0 else 14), f"hs[{t}]", mono=True, anchor="start" if away > 0 else "end"
        )
    steps = host.cumsum(a[:, None] * hs, axis=0)
    drawing.polyline([(x0, y0), *(at(v) for v in steps)], INK, 1.5, dash="3 3")
    for v in steps[:-1]:
        drawing.circle(*at(v), 2.2)
    drawing.arrow([(x0, y0), at(c)], BLUE, 5, head=16)
    x, y = at(c)
    drawing.circle(x, y, 5, fill=BLUE, stroke="#ffffff", width=1.5)
    drawing.text(
        x + (16 if c[0] > 0 else -16),
        y + 18,
        "c",
        size=18,
        bold=True,
        color=BLUE,
        mono=True,
        anchor="middle",
        halo=True,
    )
    drawing.text(425, 332, say("gray area: where c can lie, whatever the scores"), size=11, color=MUTED)
    drawing.text(425, 347, say("dashed: the parts a[t]·hs[t], end to end, lead to c"), size=11, color=MUTED)


def _hull(points):
    """Return the corners of the convex hull, in order. Source: Andrew's monotone chain, 1979."""
    points = sorted({(float(x), float(y)) for x, y in points})
    if len(points) < 3:
        return points
    ends = []
    for row in (points, points[::-1]):
        chain = []
        for p in row:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        ends += chain[:-1]
    return ends


def _turn(o, p, q):
    return (p[0] - o[0]) * (q[1] - o[1]) - (p[1] - o[1]) * (q[0] - o[0])


class WeightedSumPlayground(Widget):
    """Sliders for scores and temperature; the weights, the vectors and the context follow.

    Args: hs (T, 2), the vectors, by default five; scores (T,) and temperature at the start.
    Controls: ``scores``, a list of sliders; ``temperature``; ``picture``. After every change ``weights`` (T,) and
    ``context`` (2,) hold the new numbers.

        playground = WeightedSumPlayground()
        playground.temperature.value = 0.2
        playground.weights.round(2)
    """

    about = "sliders for scores and temperature, the weighted sum answers"

    def __init__(self, hs=VECTORS, scores=None, temperature=1.0):
        self.hs = host.array(to_cpu(hs), float)  # (T, 2)
        if scores is None:
            scores = (SCORES + (0.0,) * len(self.hs))[: len(self.hs)]
        self._start = tuple(float(s) for s in scores), float(temperature)
        render_weighted_sum(self.hs, *self._start)  # says what is wrong before anything is shown
        w = controls()
        wide = {"description_width": "90px"}
        self.scores = [
            w.FloatSlider(
                value=s,
                min=-4,
                max=4,
                step=0.1,
                description=say("score {place}", place=t),
                style=wide,
                readout_format=".1f",
            )
            for t, s in enumerate(self._start[0])
        ]
        self.temperature = w.FloatSlider(
            value=temperature,
            min=0.1,
            max=5,
            step=0.1,
            description=say("temperature"),
            style=wide,
            readout_format=".1f",
        )
        self.picture = picture_frame()
        for slider in [*self.scores, self.temperature]:
            slider.observe(self._draw, names="value")
        columns = w.HBox([w.VBox(self.scores), w.VBox([self.temperature])], layout={"flex_flow": "row wrap"})
        self.box = box_of([columns, self.picture], file="weighted-sum")
        self._draw()

    def _state(self):
        return [s.value for s in self.scores], self.temperature.value

    def _draw(self, change=None):
        self.weights, self.context = weighted_sum(self.hs, *self._state())
        self.picture.value = render_weighted_sum(self.hs, *self._state())

    def static(self, scores=None, temperature=None):
        """Return the Picture of the first state, or of other scores or another temperature."""
        first_scores, first_temperature = self._start
        state = (
            first_scores if scores is None else scores,
            first_temperature if temperature is None else temperature,
        )
        return Picture(render_weighted_sum(self.hs, *state), describe_weighted_sum(self.hs, *state))
