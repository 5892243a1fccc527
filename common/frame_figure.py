"""The drawing of the frame that all attention shares: query, keys, values, score, mask, softmax. See chapter 8.12."""

from common.graph_figure import computational_graph


def frame_figure():
    """Draw how a query h and the states hs_enc become a context, with a box for every part that can be exchanged.

    Returns: a matplotlib Figure, with its content in words for screen readers.
    """
    nodes = {
        "h": (0, 0),
        "project q": (1, 0, "times Wq"),
        "hs_enc": (0, 1.5),
        "both": (0.5, 1.5, ""),
        "project k": (1, 1, "times Wk"),
        "project v": (1, 2, "times Wv"),
        "score": (2, 1),
        "mask": (3, 1),
        "softmax": (4, 1),
        "sum": (5, 2, "weighted\nsum"),
        "c": (6, 2),
    }
    edges = [
        ("h", "project q", "one state"),
        ("project q", "score", "query q"),
        ("hs_enc", "both", "all states"),
        ("both", "project k", ""),
        ("both", "project v", ""),
        ("project k", "score", "keys k"),
        ("score", "mask", "scores s"),
        ("mask", "softmax", ""),
        ("softmax", "sum", "weights a"),
        ("project v", "sum", "values v"),
        ("sum", "c", "context"),
    ]
    return computational_graph(nodes, edges)
