"""Files that are whole or not there, for every part that writes some."""

import os
from contextlib import suppress
from pathlib import Path

from segsweep.errors import UserError

RUN_PLACES = "runs_dir=… or out=…"


def write_bytes(path: Path, content: bytes, places: str = RUN_PLACES) -> None:
    """Write beside the target, sync, rename; an older file stays until the new one is whole.

    `places` are the options that choose the folder, for the error message. A killed process may leave
    `<name>.<pid>.tmp` behind.

    Raises:
        UserError: the folder cannot be written or the disk is full; an older file stays as it was.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # Half a file takes up space on a disk that has none.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, error, places) from error


def fsync(path: Path) -> None:
    """See to it that a file, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cannot_write(path: Path, error: OSError, places: str = RUN_PLACES) -> UserError:
    """The error for a place that cannot be written, in the user's terms."""
    return UserError(
        f"{path} cannot be written ({error.strerror}): give a folder you can write, with free space, "
        f"as {places}"
    )
