"""The command line of a process that executes one run folder, for whoever starts one."""

import sys

from segsweep.runs.folder import RunFolder
from segsweep.runs.targets import spelled

PYTHON = (sys.executable, "-P")
"""Python without the working folder first among its modules, where a user's random.py would be taken for
Python's own; the user's own parts are found there last (build.py)."""


def execute_command(folder: RunFolder) -> list[str]:
    """`segsweep execute FOLDER`, with what this command allows to be built; options may be added."""
    return [*PYTHON, "-m", "segsweep", "execute", str(folder.path), *spelled(folder.allowed)]
