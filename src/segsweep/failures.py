"""Classify the failure that ended a run, and describe it in one line.

The class says what is to be done: a preempted run only needs its command again, a run that was out of memory
a smaller micro-batch, a run with a damaged dataset a repair.
"""

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segsweep.errors import ConfigError, DataError, DivergenceError, PreemptedError, UserError, causes

PREEMPTED, KILLED, OUT_OF_MEMORY, DIVERGED, DATA, DISK, USER, UNKNOWN = (
    "preempted", "killed", "out of memory", "diverged", "data", "disk", "user's error", "unknown",
)  # fmt: skip
PASSING = (PREEMPTED, KILLED, UNKNOWN)
"""Classes of faults that may be gone at the next attempt."""
ADVICE = {
    PREEMPTED: "the same command goes on from its last checkpoint",
    KILLED: "the same command goes on from its last checkpoint; retries=N does so by itself",
    OUT_OF_MEMORY: (
        "trainer.on_oom=shrink, a larger trainer.accumulate_grad_batches, or a smaller batch_size or size"
    ),
    DIVERGED: "lower optimizer.lr, set trainer.gradient_clip_val, or trainer.on_nan=skip",
    DATA: "segsweep data check dataset=… names all such files and what mends them",
    DISK: "free space, then the same command again",
    USER: "correct what the line names, then the same command again",
    UNKNOWN: "read the end of its log; retries=N tries again by itself",
}
"""What to do about each class."""
USER_STATUS = 2
"""Exit status of a process that a user's mistake ended: the last line of its output says which."""
LOG_LINES = 30


class AgainError(UserError):
    """The run must be executed once more, in a fresh process."""


class RankFailedError(UserError):
    """Another rank of the run failed, with that rank's message."""

    def __init__(self, rank: int, kind: str, error: str, signum: int | None = None) -> None:
        super().__init__(f"rank {rank}: {error}")
        self.rank, self.kind, self.error, self.signum = rank, kind, error, signum

    def cause(self) -> UserError:
        """Return the error that this rank raises: a preemption if the other rank was preempted."""
        return self if self.signum is None else PreemptedError(self.signum, f"on rank {self.rank}")

    def fields(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values."""
        return {"rank": self.rank, "kind": self.kind, "error": self.error, "signum": self.signum}


def of_rank(rank: int, error: BaseException) -> RankFailedError:
    """Return a rank's own failure as it is reported to the others."""
    if isinstance(error, RankFailedError):
        return error
    return RankFailedError(rank, classify(error), one_line(error), getattr(error, "signum", None))


def classify(error: BaseException) -> str:
    """Return the class of a failure, one of the names above."""
    if isinstance(error, RankFailedError):
        return error.kind
    if isinstance(error, KeyboardInterrupt | PreemptedError):
        return PREEMPTED
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    if isinstance(error, DivergenceError):
        return DIVERGED
    of_the_disk = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    if any(isinstance(one, OSError) and one.errno in of_the_disk for one in causes(error)):
        return DISK
    if isinstance(error, DataError):
        return DATA
    return USER if isinstance(error, ConfigError | UserError) else UNKNOWN


@dataclass(frozen=True)
class Failure:
    """A process's failure, as reported to the process that started it."""

    kind: str
    error: str

    @classmethod
    def read(cls, file: Path) -> "Failure | None":
        """Read what `failure_in` wrote; None if there is nothing to read, as after a kill."""
        with suppress(OSError, ValueError, TypeError):
            return cls(**json.loads(file.read_text("utf-8")))
        return None


@contextmanager
def failure_in(file: Path | None) -> Iterator[None]:
    """Write an error that ends the block to a file for the process that started this one."""
    try:
        yield
    except AgainError:
        raise  # not a failure: the same command starts again
    except Exception as error:
        if file is not None:
            with suppress(OSError):  # then only the exit status is left
                file.write_text(json.dumps(asdict(Failure(classify(error), one_line(error)))), "utf-8")
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the device, or this machine, had no memory left."""
    import torch

    if isinstance(error, RankFailedError):
        return error.kind == OUT_OF_MEMORY
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The allocator of the CPU has no exception of its own.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def one_line(error: BaseException) -> str:
    """Return an error as one line, with its type unless it is a user's mistake."""
    text = str(error).strip()
    if isinstance(error, UserError):
        return text
    if isinstance(error, SystemExit):
        return f"its code called exit({error.code!r})"
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"


def log_tail(log: Path, lines: int = LOG_LINES) -> list[str]:
    """Return the last lines of a run's log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 200 * lines))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []
