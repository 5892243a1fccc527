"""A drawing of a beam search: which beginnings were kept at each step, which were dropped, which were finished."""

from typing import NamedTuple

from common.functions import softmax
from common.language import say
from common.np import host, np, to_cpu
from common.svg import BLUE, GREEN, HEAT_LETTER, INK, LINE, MUTED, ORANGE, Drawing, Picture, breadth

KEPT, DROPPED, FINISHED = "kept", "dropped", "finished"
_HEIGHT, _ROW, _GAP, _EDGE, _TOP = 38, 46, 26, 10, 36  # of a box, from box to box, between columns, around it all
_LEGEND = 350  # the width of the legend
_STYLES = {KEPT: (BLUE, 1.5, None), DROPPED: (LINE, 1.2, "4 3"), FINISHED: (GREEN, 3, None)}


class Branch(NamedTuple):
    """A beginning of an answer: the one that it extends, its last token, its probability, what became of it.

    parent: the position of the extended Branch in the list of the step before; any number at step 0. fate: KEPT,
    DROPPED or FINISHED.
    """

    parent: int
    token: str
    probability: float
    fate: str


def beam_tree(steps, best=None, start="<start>"):
    """Draw the tree of a beam search, a column for each step.

    Args: steps, a list of lists of Branch; best, (step, position) of the Branch whose path is drawn in orange; start,
    what stands at the root. Returns: a Picture.
    Raises: ValueError for a fate that does not exist, and for a parent that was not kept.
    """
    _check(steps)
    path = _path(steps, best)
    rows = _rows(steps)
    widths = [max(_width(branch) for branch in branches) for branches in steps]
    left, x = [], _EDGE + HEAT_LETTER * breadth(start) + 14 + _GAP
    for width in widths:
        left.append(x)
        x += width + _GAP
    count = max(map(len, steps))
    drawing = Drawing(max(x - _GAP + _EDGE, _LEGEND), _TOP + _ROW * count + 30, _in_words(steps, path))
    root = _TOP + _ROW * (count - 1) / 2 + _HEIGHT / 2
    middles = [[_TOP + _ROW * row + _HEIGHT / 2 for row in order] for order in rows]
    for t, branches in enumerate(steps):  # lines first, below the boxes; those of the best path last
        for k in sorted(range(len(branches)), key=lambda k: (t, k) in path):
            parent = branches[k].parent
            begin = (left[t - 1] + widths[t - 1], middles[t - 1][parent]) if t else (left[0] - _GAP, root)
            color, width, dash = (ORANGE, 3, None) if (t, k) in path else (LINE, 1.4, _STYLES[branches[k].fate][2])
            drawing.polyline([begin, (left[t], middles[t][k])], color, width, dash)
    _box(drawing, _EDGE, root, left[0] - _GAP - _EDGE, start, "", (INK, 1.2, None), INK)
    for t, branches in enumerate(steps):
        drawing.text(left[t] + widths[t] / 2, 20, say("step {t}", t=t), size=12, color=MUTED, anchor="middle")
        for k, branch in enumerate(branches):
            ink = MUTED if branch.fate == DROPPED else INK
            style = _STYLES[branch.fate]
            _box(drawing, left[t], middles[t][k], widths[t], branch.token, share(branch.probability), style, ink)
    _legend(drawing, _TOP + _ROW * count + 8, bool(path))
    return Picture(drawing, drawing.label)


def search_steps(model, xs, width, start_id, end_id, id_to_word, max_length=30):
    """Return (steps, best) for ``beam_tree``: a beam search for one row of xs (1, T_enc), without a length penalty.

    At each step the 2 * width best extensions are recorded. It is done when no live hypothesis is as likely as the best
    finished one; best is None if none has finished after ``max_length`` steps. Args: see ``common.decoding.beam``;
    id_to_word, a dict.
    """
    ids, state, totals, places = host.array([start_id]), model.start(xs), host.ones(1), [0]
    steps, best, highest = [], None, 0.0
    while len(steps) < max_length and totals[0] > highest:
        logits, state, _ = model.step(np.asarray(ids), state)
        products = totals[:, None] * to_cpu(softmax(logits))  # (B, V)
        order = host.argsort(-products, axis=None, kind="stable")[: 2 * width]
        branches, live = [], []
        for k, (row, token) in enumerate(zip(*host.divmod(order, products.shape[1]))):
            p, fate = products[row, token], DROPPED
            if token == end_id and k < width:
                fate = FINISHED
                if p > highest:
                    best, highest = (len(steps), k), p
            elif token != end_id and len(live) < width:
                fate = KEPT
                live.append((k, row, token))
            branches.append(Branch(int(places[row]), id_to_word[int(token)], float(p), fate))
        steps.append([branch for branch in branches if branch.probability > 0])
        places, rows, ids = (host.array(part) for part in zip(*live))
        totals = products[rows, ids]
        state = tuple(array[np.asarray(rows)] for array in state)
    return steps, best


def share(probability):
    """Return a probability as a percentage with two digits that count: 0.324 -> '32 %', 0.00432 -> '0.43 %'."""
    percentage = 100 * float(probability)
    if percentage < 0.001:
        return "< 0.001 %"
    return f"{percentage + 1e-9:.0f} %" if percentage >= 9.5 else f"{percentage:.2g} %"


def _check(steps):
    for t, branches in enumerate(steps):
        for branch in branches:
            if branch.fate not in _STYLES:
                raise ValueError(f"beam_tree: step {t}: {branch.fate!r} is not one of {', '.join(_STYLES)}")
            if t and not (0 <= branch.parent < len(steps[t - 1]) and steps[t - 1][branch.parent].fate == KEPT):
                raise ValueError(f"beam_tree: step {t}: {branch.token!r} extends {branch.parent}, which was not kept")


def _path(steps, best):
    """Return the set of (step, position) from ``best`` back to the root."""
    path = set()
    if best is not None:
        t, k = best
        while t >= 0:
            path.add((t, k))
            t, k = t - 1, steps[t][k].parent
    return path


def _rows(steps):
    """Return the row of each Branch. Within a column those of the same parent stand together: no lines cross."""
    rows = []
    for t, branches in enumerate(steps):
        order = sorted(range(len(branches)), key=lambda k: rows[t - 1][branches[k].parent] if t else 0)
        shift = (max(map(len, steps)) - len(branches)) / 2
        rows.append([order.index(k) + shift for k in range(len(branches))])
    return rows


def _width(branch):
    return max(HEAT_LETTER * breadth(branch.token), 6.5 * len(share(branch.probability))) + 10


def _box(drawing, x, y, width, token, below, style, ink):
    drawing.rect(x, y - _HEIGHT / 2, width, _HEIGHT, "#ffffff", style[0], style[1], style[2], radius=4)
    drawing.text(x + width / 2, y - 2 if below else y + 5, token, anchor="middle", mono=True, color=ink)
    if below:
        drawing.text(x + width / 2, y + 13, below, size=11, anchor="middle", color=MUTED)


def _legend(drawing, y, path):
    x = _EDGE
    for fate, (color, width, dash) in _STYLES.items():
        drawing.rect(x, y, 16, 12, "#ffffff", color, width, dash, radius=2)
        drawing.text(x + 22, y + 11, say(fate), size=11, color=MUTED)
        x += 36 + 7 * breadth(say(fate))
    if path:
        drawing.line(x, y + 6, x + 16, y + 6, ORANGE, 3)
        drawing.text(x + 22, y + 11, say("the answer"), size=11, color=MUTED)


def _in_words(steps, path):
    """Return in words what ``beam_tree`` shows."""
    said = [say("The tree of a beam search.")]
    for t, branches in enumerate(steps):
        texts = []
        for branch in branches:
            after = say("after {token}", token=steps[t - 1][branch.parent].token) if t else ""
            texts.append(" ".join(filter(None, (branch.token, after, share(branch.probability), say(branch.fate)))))
        said.append(say("Step {t}: {texts}.", t=t, texts=", ".join(texts)))
    if path:
        answer = " ".join(steps[t][k].token for t, k in sorted(path))
        said.append(say("The answer: {answer}", answer=answer))
    return " ".join(said)
