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
    """Return a sentence as HTML, readable in light and dark themes, announced by screen readers.

    kind: "status" for news, "alert" for something to fix; an alert is marked in words and by a thick left border.
    """
    border = "6px solid #D55E00" if kind == "alert" else "2px solid #0072B2"
    word = "<b>Please check:</b> " if kind == "alert" else ""
    style = f"background:#ffffff;color:{INK};border-left:{border};padding:4px 10px;font-size:14px;line-height:1.5"
    return f'<div role="{kind}" style="{style};max-width:800px">{word}{escape(text)}</div>'


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
