"""Memory explorer: a machine with a memory, step by step; the reader changes the memory and sees the output change."""

import math
from typing import NamedTuple

from common.language import say
from common.memory_figure import used_rows
from common.np import host, to_cpu
from common.svg import BLUE, INK, LINE, MUTED, ORANGE, Drawing, draw_shades, number, percent, shade
from common.widgets.attention import GAP, wrapped
from common.widgets.base import (
    UNSEEN,
    Picture,
    Widget,
    box_of,
    controls,
    live_region,
    message,
    picture_frame,
)
from common.widgets.explorer import PACE, side_by_side

EDGE, TAG = 14, 74  # margin of the picture; room for the names of rows
STEP, BIT, ROW = 18, 12, 18  # a step's column, the height of a bit, that of a row of the memory
CELL, BETWEEN = 19, 30  # a number of the memory; from the steps to the memory
MOST_ROWS = 24
LEAST = 740  # width of the picture
NEGATIVE, POSITIVE = (172, 72, 0), (0, 110, 80)  # colors of a number as large as the largest; 0 is white


class MemorySequence(NamedTuple):
    """What a machine is given, and what it should write.

    inputs (T, D); expected (T, B) of 0 and 1; counts (T,) bool, True for the steps at which it has to write.
    """

    inputs: object
    expected: object
    counts: object


class MemoryRun(NamedTuple):
    """What a machine did, step by step.

    outputs: (T, B), the probability that a bit is 1. memories: (T + 1, R, W), before the first step and after each of
    them. reads, writes: the weightings of the reading and the writing heads, (T, heads, R). said: for each step a list
    of sentences on what the heads said, without a period.
    """

    outputs: object
    memories: object
    reads: object
    writes: object
    said: list


def wrong_bits(run, sequence):
    """Return bool (T, B), True for the bits that are wrong where the machine has to write."""
    written = to_cpu(run.outputs) > 0.5
    return (written != (to_cpu(sequence.expected) > 0.5)) & to_cpu(sequence.counts)[:, None]


def _rows(*runs, also=()):
    return used_rows(*(weights for run in runs for weights in (run.reads, run.writes)), also=also, most=MOST_ROWS)


def describe_memory(sequence, run, step, row, edits=None):
    """Return in words what the picture shows, a list of sentences. Args: as for ``render_memory``."""
    edits = edits or {}
    words = [_said_of_bits(sequence, run, step)]
    for reads, weights in ((True, run.reads), (False, run.writes)):
        for k, w in enumerate(to_cpu(weights)[step]):
            there = dict(which=f" {k}" if len(weights[step]) > 1 else "", row=int(w.argmax()), share=percent(w.max()))
            if reads:
                words.append(say("The read head{which} is on row {row} ({share}).", **there))
            else:
                words.append(say("The write head{which} is on row {row} ({share}).", **there))
    words += [f"{sentence[0].upper()}{sentence[1:]}." for sentence in run.said[step]]
    numbers = ", ".join(number(x, 1) for x in to_cpu(run.memories)[step + 1, row])
    words.append(say("After the step row {row} holds {numbers}.", row=row, numbers=numbers))
    words += [say("Row {row} was changed by hand after step {step}.", row=r, step=t) for t, r in sorted(edits)]
    return words


def _said_of_bits(sequence, run, step):
    """Say what the machine reads or writes at a step."""
    if not to_cpu(sequence.counts)[step]:
        return say("Step {step} reads {bits}.", step=step, bits=_in_digits(sequence.inputs[step]))
    wrong, bits = int(wrong_bits(run, sequence)[step].sum()), _in_digits(run.outputs[step])
    if not wrong:
        return say("Step {step} writes {bits}, all bits right.", step=step, bits=bits)
    count = len(run.outputs[step])
    return say(
        "Step {step} writes {bits}, {wrong} of {count} bits wrong.", step=step, bits=bits, wrong=wrong, count=count
    )


def _in_digits(bits):
    return "".join("1" if bit > 0.5 else "0" for bit in to_cpu(bits))


def render_memory(sequence, run, step, row, column, edits=None, rows=None):
    """Return the picture as SVG: bits and heads over time, and beside them the memory after one step.

    Args:
        sequence, a MemorySequence; run, a MemoryRun of it.
        step: the step that is lit. row, column: the number of the memory that is framed.
        edits: the places that were changed by hand, as in ``MemoryExplorer``: (step, row).
        rows: which rows of the memory are drawn, in order; None for those that a head looked at.

    Pressing a number in a widget's box presses its buttons of the groups "row" and "column".
    Raises: ValueError for what does not fit.
    """
    edits = edits or {}
    rows = _rows(run, also=(row, *(r for _, r in edits))) if rows is None else list(rows)
    inputs, outputs = to_cpu(sequence.inputs), to_cpu(run.outputs)
    T, R, W = len(inputs), *run.memories.shape[1:]
    if len(run.memories) != T + 1 or len(outputs) != T or outputs.shape != sequence.expected.shape:
        raise ValueError(
            f"a run of {T} steps has outputs like what is expected, {tuple(sequence.expected.shape)}, and {T + 1} "
            f"memories, got {outputs.shape} and {len(run.memories)}"
        )
    for what, place, count in (("step", step, T), ("row", row, R), ("column", column, W)):
        if place not in range(count):
            raise ValueError(f"{what} must be 0 to {count - 1}, got {place!r}")
    words = describe_memory(sequence, run, step, row, edits)
    left, top = EDGE + TAG, 40
    read_top = top
    write_top = read_top + BIT * inputs.shape[1] + 10
    map_top = write_top + BIT * outputs.shape[1] + 26
    bottom = map_top + ROW * len(rows)
    right = left + STEP * T + BETWEEN
    width = max(right + CELL * W + EDGE, LEAST)
    drawing = Drawing(width, bottom + 52, " ".join(words))
    drawing.text(left, 22, say("time"), size=11, color=MUTED)
    drawing.arrow([(left + 32, 18), (left + STEP * T, 18)], MUTED, 1)
    _draw_bits(drawing, left, read_top, inputs, say("reads"))
    wrong = wrong_bits(run, sequence)
    counts = to_cpu(sequence.counts)
    _draw_bits(drawing, left, write_top, outputs, say("writes"), counts, wrong)
    _draw_heads(drawing, left, map_top, run, rows)
    drawing.rect(left + STEP * step - 1, read_top - 4, STEP + 2, bottom - read_top + 8, stroke=BLUE, width=GAP)
    _draw_rows(drawing, left, map_top, rows, row, edits)
    _draw_numbers(drawing, right, map_top, run, step, rows, row, column, edits)
    _write_words(drawing, right, words, len(edits), width)
    _draw_legend(drawing, bottom + 22, right)
    return str(drawing)


def _draw_bits(drawing, left, top, bits, name, counts=None, wrong=None):
    """Draw a column of bits for each step, from white at 0 to dark gray at 1; wrong ones have a frame and a cross."""
    T, B = bits.shape
    drawing.text(left - 10, top + BIT * B / 2 + 4, name, anchor="end", size=12)
    drawing.rect(left, top, STEP * T, BIT * B, stroke=LINE)
    for t in range(T):
        if counts is not None and not counts[t]:
            continue
        for b in range(B):
            x, y, p = left + STEP * t, top + BIT * b, min(max(float(bits[t, b]), 0.0), 1.0)
            title = say("step {step}, bit {bit}: {number}", step=t, bit=b, number=number(p))
            drawing.rect(x + 1, y + 1, STEP - 2, BIT - 2, fill=_gray(p), title=title)
            if wrong is not None and wrong[t, b]:
                drawing.rect(x + 1, y + 1, STEP - 2, BIT - 2, stroke=ORANGE, width=2)
                drawing.line(x + 3, y + 2, x + STEP - 3, y + BIT - 2, ORANGE, 2)


def _gray(p):
    return "#" + f"{round(255 - 205 * round(p, 2)):02x}" * 3


def _draw_heads(drawing, left, top, run, rows):
    """Draw where the heads were: writing, a blue cell; reading, an orange disc whose area is the weight."""
    writes, reads = (to_cpu(weights).max(axis=1) for weights in (run.writes, run.reads))  # (T, R)
    T = len(writes)
    drawing.rect(left, top, STEP * T, ROW * len(rows), stroke=LINE)
    for k, r in enumerate(rows):
        for t in range(T):
            x, y = left + STEP * t, top + ROW * k
            if writes[t, r] >= 0.005:
                there = dict(step=t, row=r, write=percent(writes[t, r]), read=percent(reads[t, r]))
                title = say("step {step}, row {row}: write {write}, read {read}", **there)
                drawing.rect(x + 1, y + 1, STEP - 2, ROW - 2, fill=shade(writes[t, r]), title=title)
            if reads[t, r] >= 0.02:
                drawing.circle(x + STEP / 2, y + ROW / 2, 7 * float(reads[t, r]) ** 0.5, ORANGE, "#ffffff", 1)


def _draw_rows(drawing, left, top, rows, row, edits):
    """Write the names of the rows; one that was changed by hand has a star."""
    changed = {r for _, r in edits}
    for k, r in enumerate(rows):
        with drawing.pressed(f"row-{k}"):
            drawing.rect(EDGE, top + ROW * k, TAG - 2, ROW, fill="transparent")
            style = dict(bold=True, color=BLUE) if r == row else dict(color=INK)
            name = say("row {row}", row=r) + (" *" if r in changed else "")
            drawing.text(left - 10, top + ROW * k + 13, name, size=11, anchor="end", **style)


def _draw_numbers(drawing, left, top, run, step, rows, row, column, edits):
    """Draw the memory after a step: negative numbers orange with a stroke, positive ones green, 0 white."""
    memories = to_cpu(run.memories)
    W, most = memories.shape[2], max(float(abs(memories).max()), 1e-3)
    drawing.text(left, top - 8, say("memory after step {step}", step=step), size=12, bold=True)
    drawing.rect(left, top, CELL * W, ROW * len(rows), stroke=LINE)
    for k, r in enumerate(rows):
        for j in range(W):
            x, y, value = left + CELL * j, top + ROW * k, float(memories[step + 1, r, j])
            share = min(abs(value) / most, 1)
            with drawing.pressed(f"row-{k} column-{j}"):
                title = say("row {row}, number {place}: {number}", row=r, place=j, number=number(value))
                drawing.rect(x + 1, y + 1, CELL - 2, ROW - 2, fill=_signed(value / most), title=title)
                if value < 0 and share >= 0.15:
                    ink = "#ffffff" if share > 0.6 else INK
                    drawing.line(x + 6, y + ROW / 2, x + CELL - 6, y + ROW / 2, ink, 1.5)
        if (step, r) in edits:
            drawing.rect(left - 1, top + ROW * k - 1, CELL * W + 2, ROW + 2, stroke=INK, width=1.5, dash="4 3")
    if row in rows:
        y = top + ROW * rows.index(row)
        drawing.rect(left + CELL * column, y, CELL, ROW, stroke=BLUE, width=GAP)


def _signed(share):
    """Return the color of a number: share is it by the largest there is, from −1 to 1."""
    s = round(min(abs(share), 1), 2)
    end = NEGATIVE if share < 0 else POSITIVE
    return "#" + "".join(f"{round(255 + s * (c - 255)):02x}" for c in end)


def _write_words(drawing, left, words, edited, width):
    """Write the sentences above the memory, as far as there is room; the numbers of the row are in the picture."""
    first, *others = words[: len(words) - 1 - edited]
    lines = [(line, True) for line in wrapped([first], width - left - EDGE)]
    lines += [(line, False) for line in wrapped(others, width - left - EDGE)]
    for k, (line, bold) in enumerate(lines):
        drawing.text(left, 36 + 18 * k, line, bold=bold)


def _draw_legend(drawing, y, right):
    draw_shades(drawing, EDGE, y, (0, 0.5, 1))
    drawing.text(EDGE + 190, y + 13, say("write head"), size=11, color=MUTED)
    drawing.circle(EDGE + 276, y + 9, 7, ORANGE)
    drawing.text(EDGE + 288, y + 13, say("read head"), size=11, color=MUTED)
    for k, (share, name) in enumerate(((-1, say("below 0")), (0, "0"), (1, say("above 0")))):
        x = max(right, EDGE + 380) + 86 * k
        drawing.rect(x, y + 1, 17, 15, fill=_signed(share), stroke=LINE)
        if share < 0:
            drawing.line(x + 5, y + 8.5, x + 12, y + 8.5, "#ffffff", 1.5)
        drawing.text(x + 23, y + 13, name, size=11, color=MUTED)


class MemoryExplorer(Widget):
    """Walk through a run of a machine with a memory, change a number or a row of it, and see what it writes then.

    Args:
        run: called as run(inputs, edits), the inputs (T, D) and a dict (step, row) -> numbers (W,) that stand in that
            row of the memory after that step; returns a MemoryRun.
        draw: called as draw(length, example), returns a MemorySequence; other numbers of ``example`` are others.
        lengths: the shortest and the longest sequence.
        length, example, step, row, column, edits: the first state; row None is the first that a head writes.
        note: a sentence that is always shown below the picture.

    Controls: ``length``, ``another`` (a button: the next example), ``step``, ``play`` (walks through the steps),
    ``row`` and ``column`` (buttons: the number that is framed; pressing it in the picture does the same), ``value``
    (a slider: changes that number after the step that is lit), ``clear`` (the row becomes 0), ``swap`` (it changes
    places with the row below), ``undo`` (takes the last change back), ``undo_all``, ``message`` (HTML), ``picture``.
    What is shown is in ``sequence``, ``shown`` (the MemoryRun), ``wrong`` (bool (T, B)) and ``edits``.

        explorer.step.value, explorer.row.value = 6, 3
        explorer.clear.click()
        explorer.wrong.sum()

    Raises: ValueError for a first state that cannot be shown.
    """

    about = "step through time, change the memory, and see what the machine writes"

    def __init__(
        self,
        run,
        draw,
        *,
        lengths=(1, 10),
        length=6,
        example=0,
        step=0,
        row=None,
        column=0,
        edits=None,
        note="",
    ):
        self.run, self.draw, self.lengths = run, draw, lengths
        self._known = {}
        self._start = dict(length=length, example=example, step=step, row=row, column=column, edits=dict(edits or {}))
        self.static()  # says what is wrong before anything is shown
        self._example, self._history = example, [self._start["edits"]]
        self._dragged = None  # the place of the number that the slider changed last
        self._make_controls(note)
        self._draw()

    def _make_controls(self, note):
        w, start = controls(), self._start
        label, wide = {"description_width": "initial"}, {"width": "330px"}
        low, high = self.lengths
        self.length = w.IntSlider(
            value=start["length"], min=low, max=high, description=say("vectors"), style=label, layout={"width": "250px"}
        )
        self.another = self._button(say("another example"), self._next_example)
        T = len(self._sequence(start["length"], start["example"]).inputs)
        steps = dict(value=start["step"], min=0, max=T - 1)
        self.step = w.IntSlider(**steps, description=say("step"), style=label, layout=wide)
        self.play = w.Play(**steps, interval=PACE, show_repeat=False, description=say("play the steps"))
        w.link((self.play, "value"), (self.step, "value"))
        self.row, self.column = self._buttons(say("row"), "row"), self._buttons(say("number"), "column")
        self.value = w.FloatSlider(
            value=0,
            min=-2,
            max=2,
            step=0.01,
            description=say("its value"),
            style=label,
            layout=wide,
            readout_format=".2f",
        )
        self.clear = self._button(say("set the row to 0"), self._clear)
        self.swap = self._button(say("swap with the row below"), self._swap)
        self.undo = self._button(say("undo"), self._undo)
        self.undo_all = self._button(say("undo all"), self._undo_all)
        self.message, self.heard = live_region(), live_region()
        self.heard.add_class(UNSEEN)
        self.picture = picture_frame()
        self.box = box_of(
            [
                side_by_side(self.length, self.another),
                side_by_side(self.step, self.play),
                self.message,
                self.picture,
                self.row,
                self.column,
                side_by_side(self.value, self.clear, self.swap, self.undo, self.undo_all),
                self.heard,
                *([w.HTML(message(note))] if note else []),
            ],
            file="memory",
        )
        self.length.observe(self._new_sequence, names="value")
        for control in (self.step, self.row, self.column):
            control.observe(self._draw, names="value")
        self.value.observe(self._set_number, names="value")

    def _button(self, text, act):
        made = controls().Button(description=text, layout={"width": "auto"})
        made.on_click(lambda _: act())
        return made

    def _buttons(self, description, group):
        """Return a row of buttons, which pictures can press as ``group``."""
        made = controls().ToggleButtons(
            options=[""],
            description=description,
            style={"button_width": "auto", "description_width": "70px"},
            layout={"width": "auto", "max_width": "100%"},
        )
        made.add_class(f"attention-{group}")
        return made

    # --- what is shown

    @property
    def edits(self):
        """The changes by hand: {(step, row): numbers (W,)}."""
        return dict(self._history[-1])

    def _sequence(self, length, example):
        low, high = self.lengths
        if length not in range(low, high + 1):
            raise ValueError(f"length must be {low} to {high}, got {length!r}")
        return self.draw(length, example)

    def _runs(self, length, example, edits):
        """Return (sequence, run without edits, run with them)."""
        if (length, example) not in self._known:
            sequence = self._sequence(length, example)
            self._known = {(length, example): (sequence, self.run(sequence.inputs, {}))}
        sequence, first = self._known[length, example]
        return sequence, first, self.run(sequence.inputs, edits) if edits else first

    def _first_row(self, run):
        return int(to_cpu(run.writes)[0].max(axis=0).argmax())

    def _draw(self, change=None):
        """Show what the controls say."""
        if self._setting:
            return
        edits = self.edits
        self.sequence, first, self.shown = self._runs(self.length.value, self._example, edits)
        self.wrong = wrong_bits(self.shown, self.sequence)
        rows, wanted = _rows(first, self.shown, also=(r for _, r in edits)), self.row.value
        if change is None and wanted in ("", None):
            wanted = self._start["row"]
        if wanted not in rows:
            wanted = self._first_row(first) if self._first_row(first) in rows else rows[0]
        step, W = self.step.value, self.shown.memories.shape[2]
        with self._silently():
            self._offer(self.row, rows, wanted)
            self._offer(self.column, range(W), self.column.value or (self._start["column"] if change is None else 0))
            reach = max(2, math.ceil(abs(to_cpu(self.shown.memories)).max()))
            self.value.max, self.value.min = reach, -reach
            self.value.value = self._number()
        self.undo.disabled = self.undo_all.disabled = len(self._history) == 1
        state = step, self.row.value, self.column.value
        self.picture.value = render_memory(self.sequence, self.shown, *state, edits, rows)
        self.heard.value = " ".join(describe_memory(self.sequence, self.shown, *state[:2], edits))
        self.message.value = message(self._news(self.sequence, first, self.shown, edits))

    def _offer(self, buttons, numbers, chosen):
        options = tuple((str(k), k) for k in numbers)
        if buttons.options != options:
            buttons.options = options
        buttons.value = chosen

    def _news(self, sequence, first, run, edits):
        """Say how many bits are wrong, and where."""
        wrong = wrong_bits(run, sequence)
        count, total = int(wrong.sum()), int(to_cpu(sequence.counts).sum()) * wrong.shape[1]
        if not count:
            said = say("All {total} bits that it writes are right.", total=total)
        else:
            steps = [str(t) for t in wrong.any(axis=1).nonzero()[0].tolist()]
            found = dict(count=count, total=total, steps=", ".join(steps))
            if len(steps) == 1:
                said = say("{count} of the {total} bits that it writes are wrong, at step {steps}.", **found)
            else:
                said = say("{count} of the {total} bits that it writes are wrong, at steps {steps}.", **found)
        if edits:
            before = int(wrong_bits(first, sequence).sum())
            places = ", ".join(say("row {row} after step {step}", row=r, step=t) for t, r in sorted(edits))
            changed = dict(places=places, count=before)
            said += " " + say("Changed by hand: {places}. Without that, {count} would be wrong.", **changed)
        return said

    # --- what the reader does

    def _new_sequence(self, change=None):
        """Another length or example: no changes by hand yet, and the first step."""
        if self._setting:
            return
        self._history, self._dragged = [{}], None
        T = len(self._sequence(self.length.value, self._example).inputs)
        with self._silently():
            self.step.value = 0
            self.step.max = self.play.max = T - 1
        self._draw()

    def _next_example(self):
        self._example += 1
        self._new_sequence()

    def _change(self, changed, on=False):
        """Put rows, {row: numbers}, into the memory after the step that is lit. on: it goes on with the last change."""
        edits = self.edits | {(self.step.value, row): numbers for row, numbers in changed.items()}
        if on:
            self._history[-1] = edits
        else:
            self._history.append(edits)
        self._draw()

    def _now(self, row):
        """Return the numbers of a row after the step that is lit, a copy."""
        return host.array(to_cpu(self.shown.memories)[self.step.value + 1, row], float)

    def _number(self):
        """Return the number that is framed, as the slider shows it: a page moves a slider to a step by itself."""
        return round(float(self.shown.memories[self.step.value + 1, self.row.value, self.column.value]), 2)

    def _set_number(self, change):
        if self._setting or abs(change["new"] - self._number()) < 0.005:
            return
        place = self.step.value, self.row.value, self.column.value
        numbers = self._now(self.row.value)
        numbers[self.column.value] = change["new"]
        dragged, self._dragged = self._dragged == place, place
        self._change({self.row.value: numbers}, on=dragged)

    def _clear(self):
        self._dragged = None
        self._change({self.row.value: 0 * self._now(self.row.value)})

    def _swap(self):
        """Exchange the row with the one below, as it is drawn; the last one with the first."""
        self._dragged = None
        rows = [r for _, r in self.row.options]
        one, other = self.row.value, rows[(rows.index(self.row.value) + 1) % len(rows)]
        if one != other:
            self._change({one: self._now(other), other: self._now(one)})

    def _undo(self):
        self._dragged = None
        del self._history[max(1, len(self._history) - 1) :]
        self._draw()

    def _undo_all(self):
        self._dragged = None
        del self._history[1:]
        self._draw()

    def static(self, step=None, row=None, column=None, *, length=None, example=None, edits=None):
        """Return the Picture of the first state, or of another step, row, column, length, example or other edits.

        Raises: ValueError for what is not there.
        """
        given = dict(step=step, row=row, column=column, length=length, example=example, edits=edits)
        state = self._start | {name: value for name, value in given.items() if value is not None}
        edits = dict(state["edits"])
        sequence, first, run = self._runs(state["length"], state["example"], edits)
        if state["row"] is None:
            state["row"] = self._first_row(first)
        rows = _rows(first, run, also=(state["row"], *(r for _, r in edits)))
        shown = sequence, run, state["step"], state["row"]
        svg = render_memory(*shown, state["column"], edits, rows)
        words = " ".join(describe_memory(*shown, edits))
        return Picture(svg, f"{self._news(sequence, first, run, edits)} {words}")
