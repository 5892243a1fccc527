"""What the widgets share: ipywidgets when it is needed, display in a notebook, still pictures, captions."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

from common import language
from common.svg import BLUE, INK, ORANGE, Picture, escape
from common.widgets.phrases import say

__all__ = [
    "CHARACTERS",
    "Captions",
    "Picture",
    "Widget",
    "box_of",
    "controls",
    "live_region",
    "message",
    "picture_frame",
]


def controls():
    """Return the module ipywidgets. Raises: ModuleNotFoundError that says how to get it."""
    try:
        import ipywidgets
    except ModuleNotFoundError as error:
        if error.name != "ipywidgets":  # it is installed, but something that it needs is not
            raise
        raise ModuleNotFoundError(
            "the live widgets need ipywidgets: python -m pip install ipywidgets, then restart the notebook's kernel"
        ) from error
    return ipywidgets


@dataclass(frozen=True)
class Captions:
    """The words a widget uses for what its models read and write.

    token: what one token is called. separator: what goes between two tokens in running text, such as a space between
    words. label, example: of the text box. about: what the widget is for. nothing_to_read: shown when the box is empty.
    no_truth: follows a text that has no right answer. no_source: follows "Gold alignment: " for a token of the answer
    that comes from no part of the question. marks: tokens that are not text, such as those for the start and the end of
    a sentence; they are drawn small, and running text leaves them out. write: turns the others into running text, in
    place of separator.
    """

    token: str = "character"
    separator: str = ""
    label: str = "text"
    example: str = ""
    about: str = "type a text and see what the model answers and where it looks"
    nothing_to_read: str = "There is nothing to read yet. Type a text."
    no_truth: str = "has no known right answer"
    no_source: str = "this part of the answer comes from no part of the question"
    marks: frozenset = frozenset()
    write: Callable | None = None

    def said(self, name):
        """Return one of the words in the chosen language, such as ``said("token")``."""
        return language.say(getattr(self, name))

    def join(self, tokens):
        """Return tokens as running text."""
        tokens = [token for token in tokens if token not in self.marks]
        return self.separator.join(tokens) if self.write is None else self.write(tokens)


CHARACTERS = Captions()


def quoted(text):
    """Return a text in quotation marks as the end of a sentence: with a period, unless it has one of its own."""
    return closed(text, f"“{text}”")


def closed(text, said=None):
    """Return what is said of a text, or the text, with a period, unless the text ends a sentence itself."""
    return (text if said is None else said) + ("" if text.endswith((".", "?", "!")) else ".")


def message(text, kind="status"):
    """Return a sentence as HTML, readable in light and dark themes; ``live_region`` holds it.

    kind: "status" for news, "alert" for something to fix; an alert is marked in words and by a thick left border.
    """
    border = f"6px solid {ORANGE}" if kind == "alert" else f"2px solid {BLUE}"
    word = f"<b>{say('please_check')}</b> " if kind == "alert" else ""
    style = f"background:#ffffff;color:{INK};border-left:{border};padding:4px 10px;font-size:14px;line-height:1.5"
    return f'<div data-kind="{kind}" style="{style};max-width:800px;overflow-wrap:anywhere">{word}{escape(text)}</div>'


# Classes by which the script and the style below find their way.
BOX, LIVE, OLD, SAVE = "attention-widget", "attention-live", "attention-old", "attention-save"
HOVER, UNSEEN = "attention-hover", "attention-unseen"
# What ipywidgets has no option for. For screen readers: a slider is called what its label says (one whose range changes
# is made anew), and the place where messages appear is a live region that stays while its text changes. For the
# pointer: pressing a part of a picture named "NAME-k" (``Drawing.pressed``) presses button k of the box's group of
# class attention-NAME; "NAME-k OTHER-j" presses two. Where the group has the class HOVER, resting on such a part or on
# a button, or reaching a button by the keyboard, is enough. For everyone: the pictures can be saved.
RESTS = 80  # milliseconds after which a pointer is not just passing
SCRIPT = f"""
const name = (box) => {{
  for (const slider of box.querySelectorAll('.widget-slider')) {{
    const label = slider.querySelector('.widget-label');
    const handle = slider.querySelector('[role=slider]');
    if (label && handle) handle.setAttribute('aria-label', label.textContent);
  }}
  for (const region of box.querySelectorAll('.{LIVE}')) region.setAttribute('role', 'status');
}};
const save = (svg, file, kind) => {{
  const link = document.createElement('a');
  const text = new XMLSerializer().serializeToString(svg);
  const source = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(text);
  const finish = (href) => {{ link.href = href; link.download = file + '.' + kind; link.click(); }};
  if (kind === 'svg') return finish(source);
  const image = new Image();
  image.onload = () => {{
    const canvas = document.createElement('canvas');
    canvas.width = 2 * svg.getAttribute('width');
    canvas.height = 2 * svg.getAttribute('height');
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    finish(canvas.toDataURL('image/png'));
  }};
  image.src = source;
}};
const buttons = (box, part) => part.dataset.press.split(' ').map((name) => {{
  const [group, k] = name.split('-');
  return box.querySelectorAll('.attention-' + group + ' button')[k];
}}).filter((button) => button);
let resting;
const rest = (box, event) => {{
  clearTimeout(resting);
  const part = event.target.closest('[data-press]');
  const [button] = part ? buttons(box, part) : [event.target.closest('button')];
  if (button && button.closest('.{HOVER}') && !button.classList.contains('mod-active'))
    resting = setTimeout(() => button.click(), {RESTS});
}};
const press = (box, event) => {{
  const part = event.target.closest('[data-press]');
  if (part) buttons(box, part).forEach((button) => button.click());
  const link = event.target.closest('.{SAVE} a');
  if (link) {{
    event.preventDefault();
    box.querySelectorAll('svg[role=img]').forEach((svg, k) =>
      save(svg, link.dataset.file + (k ? '-' + (k + 1) : ''), link.dataset.kind));
  }}
}};
const start = (tries) => {{
  const box = this.closest('.{BOX}');
  if (!box) return tries && setTimeout(start, 100, tries - 1);
  new MutationObserver(() => name(box)).observe(box, {{childList: true, subtree: true}});
  box.addEventListener('click', (event) => press(box, event));
  for (const kind of ['mouseover', 'focusin']) box.addEventListener(kind, (event) => rest(box, event));
  name(box);
}};
start(100);
"""
STYLE = f"""
.{BOX} svg[role=img] {{min-width: var(--least)}}
.{OLD} {{opacity: 0.35}}
.{SAVE} a {{text-decoration: underline}}
.{UNSEEN} {{position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)}}
"""


def live_region():
    """Return an HTML control whose new values screen readers announce, in a box made by ``box_of``."""
    region = controls().HTML()
    region.add_class(LIVE)
    return region


def picture_frame():
    """Return an HTML control for a picture: where the page is narrower than the picture can be read, it scrolls."""
    return controls().HTML(layout={"overflow": "auto", "max_width": "100%"})


def box_of(children, file="picture"):
    """Return a VBox of controls, with what ipywidgets leaves out, and links that save the pictures as ``file``."""
    w = controls()
    links = say("or").join(
        f'<a href="#" role="button" data-file="{escape(file)}" data-kind="{kind}">{kind.upper()}</a>'
        for kind in ("svg", "png")
    )
    saves = w.HTML(f"{say('save')} {links}")
    saves.add_class(SAVE)
    # An image that cannot be loaded: HTML runs its handler, where it does not run a script.
    image = f'<img alt="" src="data:," onerror="{escape(" ".join(SCRIPT.split()))}"/>'
    script = w.HTML(f"<style>{STYLE}</style>{image}", layout={"display": "none"})
    box = w.VBox([*children, saves, script])
    box.add_class(BOX)
    return box


class Widget:
    """A widget: ``box`` holds its controls and its ``picture``.

    A notebook shows it as the last line of a cell, or by ``show()``. What is stored with the cell is the same in every
    run, except for the widget's own number, which nbval does not compare.
    """

    box = None
    about = "live widget"
    _setting = False  # whether this object, and not the reader, is changing a control

    @contextmanager
    def _silently(self):
        """Change controls without being told of it."""
        before, self._setting = self._setting, True
        try:
            yield
        finally:
            self._setting = before

    def _repr_mimebundle_(self, include=None, exclude=None):
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {"text/plain": repr(self), "application/vnd.jupyter.widget-view+json": view}

    def __repr__(self):
        return say("run_cell", widget=type(self).__name__, about=language.say(self.about))

    def show(self):
        """Show the widget here."""
        from IPython.display import display

        display(self)
