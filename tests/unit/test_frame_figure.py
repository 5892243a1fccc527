"""The drawing of the frame of attention: every part is there, and no two texts overlap."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg

from common.frame_figure import frame_figure


def test_all_parts_are_drawn_and_told_and_no_two_texts_overlap():
    figure = frame_figure()
    FigureCanvasAgg(figure).draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    shown = {text.get_text() for text in texts}
    assert shown >= {"h", "hs_enc", "query q", "keys k", "values v", "score", "mask", "softmax", "context", "c"}
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), (one, two)
    assert "a branch to times Wk" in figure.alt_text
    assert "a branch to times Wv" in figure.alt_text
