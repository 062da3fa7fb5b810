"""Problems as they are told: the file, what is wrong with it, and what repairs it."""

import os
import sys
from pathlib import Path
from shlex import join
from typing import NamedTuple

from segsweep.errors import DataError


class Problem(NamedTuple):
    """Something that would stop a training or falsify it."""

    file: str
    problem: str
    repair: str
    """A command, or what to do by hand."""

    @classmethod
    def of(cls, error: DataError) -> "Problem":
        """What an error says."""
        return cls(error.file, error.problem, error.remedy or "")


def python(code: str, *files: str) -> str:
    """A command that runs a line of Python with Pillow on files, which the line finds as `f[0]`, `f[1]`…"""
    return join(
        [
            sys.executable or "python",
            "-c",
            f"import sys; from PIL import Image; f = sys.argv[1:]; {code}",
            *files,
        ]
    )


def unusable(file: str) -> Problem | None:
    """Why a listed file is none that can be opened; None where it is there and may be read."""
    # Not pathlib's, which raises where a folder may not be entered.
    if os.path.isfile(file):  # noqa: PTH113
        return None if os.access(file, os.R_OK) else _forbidden(file)
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


def _forbidden(file: str) -> Problem:
    return Problem(file, "may not be read by this user", join(["chmod", "u+r", file]))
