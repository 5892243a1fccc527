"""What the grader's notebook runs instead of a check cell: calls of an answer, their values published as a message.

It runs in the student's kernel, so nothing here can be trusted: a student's code may change all of it. It publishes
values, not judgments; the grader compares them in its own process.
"""

import contextlib
import importlib.abc
import importlib.util
import io
import os
import random
import sys

from common.grading.observe import observe, pack, unpack_inputs
from common.np import host as np

MIME = "application/vnd.attention-from-scratch.outcome+json"


class _Discard(io.TextIOBase):
    """Takes what an answer prints while it is graded, and drops it."""

    def write(self, text):
        return len(text)


def probe(name, call, outputs, draws, repeat, seed):
    """Call the answer called ``name`` once for each of the packed inputs; publish the packed Outcomes as display data.

    Args: repeat, see ``observe``; seed, an integer: random numbers drawn from the global generators are the same each
    time it is graded.
    """
    from IPython import get_ipython
    from IPython.display import publish_display_data

    names = get_ipython().user_ns
    data = {"missing": True}
    if name in names:
        random.seed(seed)
        np.random.seed(seed)
        with contextlib.redirect_stdout(_Discard()), contextlib.redirect_stderr(_Discard()):
            data, process = [], os.getpid()
            for inputs in draws:
                data.append(pack(observe(call, outputs, names[name], unpack_inputs(inputs), repeat)))
                if os.getpid() != process:  # a fork within the answer made a second kernel
                    os._exit(0)
    publish_display_data({MIME: data}, metadata={})


class _Later(importlib.abc.MetaPathFinder):
    """Finds one module, which is loaded when something in it is first asked for."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def load_later(name):
    """Have the module called ``name`` loaded when something in it is first asked for."""
    sys.meta_path.insert(0, _Later(name))
