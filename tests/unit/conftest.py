"""Small data files for the tests of training."""

import signal

import pytest

from dataset import make_additions
from tests.unit.training_data import write_dates


@pytest.fixture(scope="session")
def dates_file(tmp_path_factory):
    """A small file of dates: 160 lines, so 144 for training."""
    return write_dates(tmp_path_factory.mktemp("data") / "dates.txt")


@pytest.fixture(scope="session")
def additions_file(tmp_path_factory):
    """A small file of additions; its answers have different lengths."""
    path = tmp_path_factory.mktemp("data") / "additions.txt"
    path.write_text("\n".join(make_additions.make_lines(160)) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def ctrl_c_is_heard():
    """A program started in the background ignores Ctrl-C; tests that press it listen, whoever started them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
