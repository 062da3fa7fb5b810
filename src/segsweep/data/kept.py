"""What is worked out once from a data set's files and kept: under which key, and by one process at a time.

Knows neither what is worked out nor how.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from segsweep.data.pool import processes
from segsweep.errors import DataError, UserError
from segsweep.files import locked

Part = TypeVar("Part")
Result = TypeVar("Result")
WORTH_PROCESSES = 10.0
"""Seconds of work left for which processes are started, which takes some seconds itself."""
PLACES = "dataset.cache=…"


def default_folder() -> Path:
    """Where small things are kept when no folder is given: the user's own cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segsweep"


def source_key(files: Sequence[str] | NDArray[Any], *settings: object) -> str:
    """16 hex digits that change when a file's path, size or time of change does, or a setting's `repr`.

    Raises DataError where a file is missing.
    """
    digest = blake2b(repr(settings).encode(), digest_size=8)
    for file in files:
        path = Path(str(file)).absolute()
        try:
            found = path.stat()
        except OSError as error:
            raise DataError(
                file, str(error.strerror), "restore it or take it off its split's list"
            ) from error
        digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def alone(target: Path) -> AbstractContextManager[bool]:
    """Wait until no other process makes `target`, then hold it.

    Raises UserError where the folder cannot be written.
    """
    return locked(target.with_name(f"{target.name}.lock"), wait=True, places=PLACES)


def spread(function: Callable[[Part], Result], parts: Sequence[Part], workers: int) -> Iterator[Result]:
    """`function(part)` of each part in order, by `workers` processes where that is worth their start.

    Raises UserError where a process is killed.
    """
    start = time.perf_counter()
    yield function(parts[0])
    left = (time.perf_counter() - start) * (len(parts) - 1)
    if not workers or left < WORTH_PROCESSES:
        yield from map(function, parts[1:])
        return
    with processes(workers) as pool:
        try:
            yield from pool.map(function, parts[1:])
        except BrokenProcessPool as error:
            raise UserError(
                "a process that reads the data was killed, most often for want of memory: give fewer "
                "workers (num_workers=…), then the same command again"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
