"""The command line of a process that executes one run folder, for whoever starts one."""

import sys
from pathlib import Path

PYTHON = (sys.executable, "-P")
"""Python without the working folder first among its modules, where a user's random.py would be taken for
Python's own; the user's own parts are found there last (build.py)."""


def execute_command(folder: Path) -> list[str]:
    """`segsweep execute FOLDER`, to which options may be added."""
    return [*PYTHON, "-m", "segsweep", "execute", str(folder)]
