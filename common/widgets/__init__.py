"""Widgets of the course: pictures that respond to sliders and typed text.

| widget                  | what it shows                                                       |
|-------------------------|---------------------------------------------------------------------|
| `WeightedSumPlayground` | scores, softmax, weights, and the context vector they make          |
| `AttentionExplorer`     | what a trained model answers to any text, where it looked, and why  |
| `SentenceExplorer`      | the same for sentences: all answers of a beam, unknown words marked |
| `HeadsExplorer`         | what every head of every layer of a Transformer looks at            |
| `MemoryExplorer`        | a machine with a memory, step by step, and what a changed row does  |
| `GradientViewer`        | a tiny attention layer with all its values and gradients            |
| `TrainingMonitor`       | loss, accuracy, sample heatmaps: while training runs, and afterward |
| `Comparison`            | how far each of several trainings is; one stop for all              |

`web` holds the AttentionExplorer once more, as a page of plain JavaScript.

They know no data set: what models read and write comes in as lists of tokens, and the words for it as ``Captions``.

Only core controls of ipywidgets are used, so the widgets work in JupyterLab, Colab and VS Code; a few lines of script
in the page (``base.SCRIPT``) add the names and the live region that screen readers need, let a picture be pressed, and
save it. Every picture is an SVG made
by a pure function ``render_...``; a widget puts it into its ``picture``. ipywidgets is imported when a widget is made,
not before, so that the pictures do not need it.

Put the widget in the last line of a cell, and ``widget.static()`` in the next cell for readers without a kernel.
"""

from common.widgets.attention import render_attention
from common.widgets.base import Captions, Picture
from common.widgets.comparison import Comparison, render_comparison
from common.widgets.explorer import AttentionExplorer
from common.widgets.gradients import GradientViewer, attention_graph, render_graph
from common.widgets.heads import HeadsExplorer, HeadWeights, render_head, render_head_grid
from common.widgets.memory import MemoryExplorer, MemoryRun, MemorySequence, render_memory
from common.widgets.monitor import TrainingMonitor, render_moments, render_training
from common.widgets.playground import WeightedSumPlayground, render_weighted_sum
from common.widgets.reasons import Reasons, render_reasons
from common.widgets.sentences import Alternative, Reading, SentenceExplorer

__all__ = [
    "Alternative",
    "AttentionExplorer",
    "Captions",
    "Comparison",
    "GradientViewer",
    "HeadWeights",
    "HeadsExplorer",
    "MemoryExplorer",
    "MemoryRun",
    "MemorySequence",
    "Picture",
    "Reading",
    "Reasons",
    "SentenceExplorer",
    "TrainingMonitor",
    "WeightedSumPlayground",
    "attention_graph",
    "render_attention",
    "render_comparison",
    "render_graph",
    "render_head",
    "render_head_grid",
    "render_memory",
    "render_moments",
    "render_reasons",
    "render_training",
    "render_weighted_sum",
]
