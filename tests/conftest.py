"""Fixtures that tests of several parts share."""

import os
import signal
from pathlib import Path

import pytest

from tests.data.every_set import write_every_set

pytest_plugins = ["tests.support.fixtures"]

# pytest imports readline, which gives its child processes, xdist's workers, a terminal of 80 columns.
os.environ.pop("COLUMNS", None)
# A job in a shell's background ignores Ctrl-C, and so would the processes that are sent one in a test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> Path:
    """Every data set of conf/dataset as a few fake files in its official layout, prepared, for reading."""
    return write_every_set(tmp_path_factory.mktemp("data"))
