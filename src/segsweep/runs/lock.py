"""A lock that dies with its holder.

These are POSIX record locks: the system drops them when the process ends, however it ends, and a loader's
worker that outlives its killed parent for a moment does not inherit them. Their one trap is that closing
any handle of the file drops the lock, so that a process must not look at a lock that it holds itself.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from segsweep.errors import UserError
from segsweep.runs.files import cannot_write

_ours: set[Path] = set()


@contextmanager
def hold(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock of a file that is made for it.

    Raises:
        UserError: another process holds it (`busy` is the message), or the file cannot be written.
    """
    try:
        file = path.open("a+")
    except OSError as error:
        raise cannot_write(path, error) from error
    with file:
        # Tried again, as another process that looks at the lock holds it for a moment.
        if not _take(file, attempts=5):
            raise UserError(busy)
        _ours.add(path.resolve())
        try:
            yield
        finally:
            _ours.remove(path.resolve())


def is_held(path: Path) -> bool:
    """Whether a process, this one included, holds the lock."""
    if path.resolve() in _ours:
        return True
    try:
        with path.open("a+") as file:
            return not _take(file)
    except OSError:
        return False


def _take(file: IO[str], attempts: int = 1) -> bool:
    for attempt in range(attempts):
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(0.05 if attempt + 1 < attempts else 0)
    return False
