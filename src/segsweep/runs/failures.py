"""What kind of failure ended a run, and how it is told in one line.

A class says who has to do something: a run that was preempted needs nothing but its command again, one that
was out of memory a smaller micro-batch, one whose data set is damaged a repair.
"""

import errno
from pathlib import Path

from segsweep.errors import ConfigError, DataError, PreemptedError, UserError

PREEMPTED, OUT_OF_MEMORY, DIVERGED, DATA, DISK, USER, UNKNOWN = (
    "preempted", "out of memory", "diverged", "data", "disk", "user's error", "unknown",
)  # fmt: skip
LOG_LINES = 20


class AgainError(UserError):
    """The run is to be executed once more, in a fresh process."""


def classify(error: BaseException) -> str:
    """The class of what a run ended with, one of the names above."""
    from segsweep.training.divergence import DivergenceError

    if isinstance(error, KeyboardInterrupt | SystemExit | PreemptedError):
        return PREEMPTED
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    if isinstance(error, DivergenceError):
        return DIVERGED
    if _from_disk(error):
        return DISK
    if isinstance(error, DataError):
        return DATA
    return USER if isinstance(error, ConfigError | UserError) else UNKNOWN


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or this machine, had no memory left."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The allocator of the CPU has no exception of its own.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _from_disk(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return True
        error = error.__cause__
    return False


def one_line(error: BaseException) -> str:
    """An error as a line: a user's mistake in its own words, anything else with its kind."""
    text = str(error).strip()
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"


def log_tail(log: Path, lines: int = LOG_LINES) -> list[str]:
    """The last lines of a run's log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 200 * lines))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
