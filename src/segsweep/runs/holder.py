"""Who holds a lease: a process, in words that its neighbours and other machines can judge by."""

import os
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Holder:
    """A process that holds, or held, a lease."""

    host: str
    pid: int
    started: str
    """The process's start, in the system's ticks: process ids are used again."""
    since: float
    token: str
    place: str = ""
    """Boot id and pid namespace, within which a process id means one process; empty where it is unknown."""

    @classmethod
    def of_this_process(cls) -> "Holder":
        """Return a holder with a token of its own."""
        pid, token = os.getpid(), uuid.uuid4().hex
        return cls(socket.gethostname(), pid, _started(pid) or "", time.time(), token, _place(pid))

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> "Holder":
        """Return the holder that a lease file tells of.

        Raises:
            ValueError, TypeError: it tells of none.
        """
        found = cls(**plain)
        texts = (found.host, found.started, found.token, found.place)
        if not all(isinstance(text, str) for text in texts) or type(found.pid) is not int:
            raise TypeError("a lease of other values")
        time.localtime(found.since)
        return found

    def __str__(self) -> str:
        return (
            f"process {self.pid} on {self.host}, since {time.strftime('%F %T', time.localtime(self.since))}"
        )

    def is_dead(self) -> bool:
        """Whether the holder is known to be gone; of one in another place nothing is known."""
        same_place = self.place != "" and self.place == _place(os.getpid())
        return same_place and _started(self.pid) not in (self.started, None)


@cache
def _place(pid: int) -> str:
    """Where process ids mean what they mean to this process."""
    try:
        if Path("/proc/self").readlink().name != str(pid):  # /proc is that of another namespace
            return ""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process of this place started; empty where there is none, None where that is not to be seen."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None if _exists(pid) else ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]  # one that is dead and not yet reaped counts as gone


def _exists(pid: int) -> bool:
    """Whether there is such a process: /proc may be mounted so that it hides those of other users."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
