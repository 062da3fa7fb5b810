"""Small files that are whole or not there."""

import json
from pathlib import Path
from typing import Any

from segsweep.errors import UserError
from segsweep.files import write_bytes


class DamagedFileError(UserError):
    """A file of a run that cannot be read."""


def write_text(path: Path, text: str) -> None:
    """Write beside the target, sync, rename.

    Raises:
        UserError: the folder cannot be written or the disk is full; an older file stays as it was.
    """
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; None where there is no such file.

    Raises:
        DamagedFileError: what is there is no JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged (no JSON): remove it, or the folder it is in") from error
