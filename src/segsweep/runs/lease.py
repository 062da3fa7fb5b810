"""A lease: the right to write to a run, for as long as its holder is alive.

A cluster's nodes share a file system and little else, so the lease is a file: made by `link`, which only one
process can win, touched every few seconds by its holder, and taken over by another process once the touching
has stopped. A holder that died on this machine is known to be dead at once; one on another machine is held
to be dead after `TIMEOUT` seconds of silence, by the file server's clock alone. A holder that finds its lease
gone stops: it was silent for so long that another process went on from its last checkpoint.
"""

import fcntl
import json
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from segsweep.errors import UserError
from segsweep.files import cannot_write

BEAT = 5.0
"""Seconds between two touches of a lease."""
TIMEOUT = 60.0
"""Seconds of silence after which a holder on another machine is held to be dead."""
POLL = 1.0


@dataclass(frozen=True)
class Holder:
    """A process that holds, or held, a lease."""

    host: str
    pid: int
    started: str
    """The process's start, in the system's ticks: process ids are used again."""
    since: float
    token: str

    def __str__(self) -> str:
        return (
            f"process {self.pid} on {self.host}, since {time.strftime('%F %T', time.localtime(self.since))}"
        )

    def is_dead(self) -> bool:
        """Whether the holder is known to be gone; on another machine nothing is known."""
        return self.host == socket.gethostname() and _started(self.pid) != self.started


class LeaseLostError(UserError):
    """Another process has taken over what this one held."""


class Lease:
    """A lease that this process took."""

    def __init__(self, path: Path, what: str, ours: Holder) -> None:
        self.path, self.what, self.ours = path, what, ours
        self._released, self._lost = threading.Event(), threading.Event()
        self._seen = time.time()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()

    def check(self) -> None:
        """Raise LeaseLostError where another process has taken the lease over."""
        if time.time() - self._seen > 3 * BEAT:  # suspended until now: the thread has not looked yet
            self._look()
        if self._lost.is_set():
            raise LeaseLostError(
                f"{self.what} was taken over by another process, as this one had been silent for "
                f"{TIMEOUT:.0f} s; see segsweep runs"
            )

    def release(self) -> None:
        """Give it back."""
        self._released.set()
        self._beating.join()
        if _read(self.path) == self.ours:
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._released.wait(BEAT) and self._look():
            with suppress(OSError):
                os.utime(self.path)

    def _look(self) -> bool:
        """Whether the lease is still ours."""
        self._seen = time.time()
        if _read(self.path) != self.ours:
            self._lost.set()
        return not self._lost.is_set()


@contextmanager
def hold(path: Path, what: str, wait: bool, say: Callable[[str], None]) -> Iterator[Lease]:
    """Hold the lease at `path` on `what`, kept alive by a thread.

    With `wait` this waits for as long as another process holds it, and says once who that is.

    Raises:
        UserError: another process holds it, or the file cannot be written.
    """
    lease = Lease(path, what, _take(path, what, wait, say))
    try:
        yield lease
    finally:
        lease.release()


def holder(path: Path) -> Holder | None:
    """Who holds the lease now; None where nobody does."""
    found = _read(path)
    return None if found is None or _is_stale(path, found) else found


def _take(path: Path, what: str, wait: bool, say: Callable[[str], None]) -> Holder:
    started = _started(os.getpid())
    ours = Holder(socket.gethostname(), os.getpid(), started, time.time(), uuid.uuid4().hex)
    said = False
    while (other := _try_to_take(path, ours)) is not None:
        if not wait:
            raise UserError(f"{what} is held by {other}; wait=true waits for it")
        if not said:
            say(f"{what} is held by {other}: waiting")
            said = True
        time.sleep(POLL)
    return ours


def _try_to_take(path: Path, ours: Holder) -> Holder | None:
    """Take the lease; who holds it where that fails."""
    try:
        # Where the file system knows record locks this leaves no moment for two at once; where it does not,
        # `link` and the check of the token still let one win.
        with (path.parent / f"{path.name}.mutex").open("a") as mutex:
            with suppress(OSError):
                fcntl.lockf(mutex, fcntl.LOCK_EX)
            found = _read(path)
            if found is not None:
                if not _is_stale(path, found):
                    return found
                _bury(path, found)
            return None if _make(path, ours) else _read(path) or ours
    except OSError as error:
        raise cannot_write(path, error) from error


def _make(path: Path, ours: Holder) -> bool:
    """Write the lease as one, only where there is none."""
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(asdict(ours), file)
        os.link(draft, path)
        return True
    except FileExistsError:
        return False
    finally:
        Path(draft).unlink(missing_ok=True)


def _bury(path: Path, dead: Holder) -> None:
    """Remove a dead holder's lease, and no other: one that came in its place meanwhile is put back."""
    grave = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):
        path.rename(grave)
        if _read(grave) != dead:
            with suppress(FileExistsError):
                os.link(grave, path)
        grave.unlink()


def _is_stale(path: Path, found: Holder) -> bool:
    if found.is_dead():
        return True
    try:
        # The clock of the server, read from a file just made: the machines' own clocks may differ.
        with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", dir=path.parent) as probe:
            now = os.fstat(probe.fileno()).st_mtime
        return now - path.stat().st_mtime > TIMEOUT
    except OSError:
        return False


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Holder("an unknown machine", 0, "", 0.0, "")  # written by hand or damaged: left to time out


def _started(pid: int) -> str:
    """When a process of this machine started; empty where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]  # one that is dead and not yet reaped counts as gone
