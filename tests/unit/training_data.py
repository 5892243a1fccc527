"""Small data files and an interrupt, for the tests of training."""

import signal

from common.optimizer import Adam
from dataset import make_dates


def write_dates(path, lines=160, seed=1984):
    """Write a small file of dates; of 160 lines 144 are for training. Return the path."""
    path.write_text("\n".join(make_dates.make_lines(lines, seed)) + "\n", encoding="utf-8")
    return path


def press_ctrl_c(monkeypatch, at_step, times=1):
    """Let the program receive Ctrl-C during training step ``at_step``, in the middle of the optimizer's update."""
    original = Adam.update
    calls = []

    def update(self, params, grads):
        calls.append(1)
        if len(calls) == at_step:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        original(self, params, grads)

    monkeypatch.setattr(Adam, "update", update)
