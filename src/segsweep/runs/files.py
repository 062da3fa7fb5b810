"""Small files that are whole or not there."""

import json
import os
from pathlib import Path
from typing import Any

from segsweep.errors import UserError


class DamagedFileError(UserError):
    """A file of a run that cannot be read."""


def write_text(path: Path, text: str) -> None:
    """Write beside the target, sync, rename.

    Raises:
        UserError: the folder cannot be written or the disk is full; an older file stays as it was.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error


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


def cannot_write(path: Path, error: OSError) -> UserError:
    """The error for a place that cannot be written, in the user's terms."""
    return UserError(
        f"{path} cannot be written ({error.strerror}): give a folder you can write, with free space, "
        "as runs_dir=… or out=…"
    )
