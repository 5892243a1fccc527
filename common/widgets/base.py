"""What the widgets share: ipywidgets when it is needed, display in a notebook, still pictures, captions."""

import base64
from dataclasses import dataclass

from common.svg import INK, escape


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


class Picture:
    """A still picture that a notebook shows and stores, also for readers without a kernel.

    It is shown as an HTML image with alternative text: JupyterLab displays that in a notebook that is not trusted yet,
    where it hides a bare SVG. Attributes: ``svg``, the drawing; ``text``, what it shows, in words.
    """

    def __init__(self, svg, text):
        self.svg, self.text = svg, text

    def _repr_html_(self):
        data = base64.b64encode(self.svg.encode()).decode()
        return f'<img alt="{escape(self.text)}" style="max-width:100%" src="data:image/svg+xml;base64,{data}"/>'

    def __repr__(self):
        return self.text


@dataclass(frozen=True)
class Captions:
    """The words a widget uses for what its models read and write.

    token: what one token is called. separator: what goes between two tokens in running text, such as a space between
    words. label, example: of the text box. about: what the widget is for. nothing_to_read: shown when the box is empty.
    no_truth: follows a text that has no right answer. no_source: follows "Gold alignment: " for a token of the answer
    that comes from no part of the question.
    """

    token: str = "character"
    separator: str = ""
    label: str = "text"
    example: str = ""
    about: str = "type a text and see what the model answers and where it looks"
    nothing_to_read: str = "There is nothing to read yet. Type a text."
    no_truth: str = "has no known right answer"
    no_source: str = "this part of the answer comes from no part of the question"

    def join(self, tokens):
        """Return tokens as running text."""
        return self.separator.join(tokens)


CHARACTERS = Captions()


def message(text, kind="status"):
    """Return a sentence as HTML, readable in light and dark themes; ``live_region`` holds it.

    kind: "status" for news, "alert" for something to fix; an alert is marked in words and by a thick left border.
    """
    border = "6px solid #D55E00" if kind == "alert" else "2px solid #0072B2"
    word = "<b>Please check:</b> " if kind == "alert" else ""
    style = f"background:#ffffff;color:{INK};border-left:{border};padding:4px 10px;font-size:14px;line-height:1.5"
    return f'<div data-kind="{kind}" style="{style};max-width:800px">{word}{escape(text)}</div>'


BOX, LIVE = "attention-widget", "attention-live"  # classes by which the script finds its way
# For screen readers: a slider is called what its label says, and the place where messages appear is a live region that
# stays while its text changes. ipywidgets has no option for either. A slider whose range changes is made anew.
SCRIPT = f"""
const name = (box) => {{
  for (const slider of box.querySelectorAll('.widget-slider')) {{
    const label = slider.querySelector('.widget-label');
    const handle = slider.querySelector('[role=slider]');
    if (label && handle) handle.setAttribute('aria-label', label.textContent);
  }}
  for (const region of box.querySelectorAll('.{LIVE}')) region.setAttribute('role', 'status');
}};
const start = (tries) => {{
  const box = this.closest('.{BOX}');
  if (!box) return tries && setTimeout(start, 100, tries - 1);
  new MutationObserver(() => name(box)).observe(box, {{childList: true, subtree: true}});
  name(box);
}};
start(100);
"""


def live_region():
    """Return an HTML control whose new values screen readers announce, in a box made by ``box_of``."""
    region = controls().HTML()
    region.add_class(LIVE)
    return region


def box_of(children):
    """Return a VBox of controls, with what screen readers need and ipywidgets leaves out."""
    w = controls()
    # An image that cannot be loaded: HTML runs its handler, where it does not run a script.
    image = f'<img alt="" src="data:," onerror="{escape(" ".join(SCRIPT.split()))}"/>'
    script = w.HTML(image, layout={"display": "none"})
    box = w.VBox([*children, script])
    box.add_class(BOX)
    return box


class Widget:
    """A widget: ``box`` holds its controls and its ``picture``.

    A notebook shows it as the last line of a cell, or by ``show()``. What is stored with the cell is the same in every
    run, except for the widget's own number, which nbval does not compare.
    """

    box = None
    about = "live widget"

    def _repr_mimebundle_(self, include=None, exclude=None):
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {"text/plain": repr(self), "application/vnd.jupyter.widget-view+json": view}

    def __repr__(self):
        return f"{type(self).__name__}: {self.about}. Run this cell to use it."

    def show(self):
        """Show the widget here."""
        from IPython.display import display

        display(self)
