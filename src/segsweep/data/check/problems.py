"""Problems as they are reported: the file, what is wrong with it, and what repairs it."""

import os
from pathlib import Path
from shlex import join
from typing import NamedTuple

from segsweep.errors import DataError


class Problem(NamedTuple):
    """Something that would stop training or falsify its results."""

    file: str
    problem: str
    repair: str
    """A command, or what to do by hand."""

    @classmethod
    def of(cls, error: DataError) -> "Problem":
        """Return the problem that an error describes."""
        return cls(error.file, error.problem, error.remedy or "")


def unusable(file: str) -> Problem | None:
    """Return the problem of a listed file that cannot be opened; None if it exists and may be read."""
    # Not pathlib's, which raises if a folder may not be entered.
    if os.path.isfile(file):  # noqa: PTH113
        repair = join(["chmod", "u+r", file])
        return None if os.access(file, os.R_OK) else Problem(file, "may not be read by this user", repair)
    if os.path.islink(file):  # noqa: PTH114
        target = os.readlink(file)  # noqa: PTH115
        return Problem(file, f"symbolic link to {target}, which is not there", "restore the link's target")
    if Path(file).is_dir():
        return Problem(file, "is a folder, not a file", "remove it and fetch the file again")
    return (
        None
        if os.path.lexists(file)
        else Problem(file, "is missing", "fetch it again, or take it off the list")
    )
