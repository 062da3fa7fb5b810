"""A lease: the right to write to a run, for as long as its holder is alive.

A cluster's nodes share a file system and little else, so the lease is a file: created exclusively, which only
one process can win, touched every few seconds by its holder, and taken over by another process once the
touching has stopped. A holder that died in this process's own pid namespace is known to be dead at once. Of
any other one, on another machine or in another container of this machine, nothing is known: it is presumed
dead after `TIMEOUT` seconds of silence, by the file server's clock alone. Host names and process ids tell
containers apart no better than they tell machines; a holder is known by its token.

A holder checks its lease before each write that counts. If the lease is gone, it was silent for so long that
another process went on from its last checkpoint: it stops and leaves the run alone.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from segsweep.errors import UserError
from segsweep.files import cannot_write
from segsweep.processes import place_of, started
from segsweep.runs.records import Record

BEAT = 5.0
"""Seconds between two touches of a lease."""
TIMEOUT = 60.0
"""Seconds of silence after which a holder on another machine is held to be dead."""
POLL = 1.0


def is_time(seconds: float) -> bool:
    """Whether a number can be shown as a time."""
    return bool(time.localtime(seconds))


@dataclass(frozen=True, kw_only=True)
class Holder(Record):
    """lease.json: a process that holds, or held, a lease."""

    host: str
    pid: int
    started: str
    """The process's start, in the system's ticks: process ids are used again."""
    since: Annotated[float, is_time]
    token: str
    place: str = ""
    """Boot id and pid namespace, within which a process id means one process; empty where it is unknown."""

    @classmethod
    def of_this_process(cls) -> "Holder":
        """Return a holder with a token of its own."""
        pid, host = os.getpid(), socket.gethostname()
        return cls(
            host=host, pid=pid, started=started(pid) or "", since=time.time(), token=uuid.uuid4().hex,
            place=place_of(pid),
        )  # fmt: skip

    def __str__(self) -> str:
        return (
            f"process {self.pid} on {self.host}, since {time.strftime('%F %T', time.localtime(self.since))}"
        )

    def is_dead(self) -> bool:
        """Whether the holder is known to be gone; of one in another place nothing is known."""
        same_place = self.place != "" and self.place == place_of(os.getpid())
        return same_place and started(self.pid) not in (self.started, None)


class LeaseLostError(UserError):
    """Another process has taken over what this one held."""


class Lease:
    """A lease that this process took."""

    def __init__(self, path: Path, what: str, ours: Holder) -> None:
        self.path, self.what, self.ours = path, what, ours
        self._released = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()

    def check(self) -> None:
        """Look whether the lease is still this process's.

        Raises:
            LeaseLostError: another process has taken it over.
        """
        if not self._is_ours():
            raise LeaseLostError(
                f"{self.what} was taken over by another process, as this one had been silent for "
                f"{TIMEOUT:.0f} s; see segsweep runs"
            )

    def release(self) -> None:
        """Give it back."""
        self._released.set()
        self._beating.join()
        with suppress(OSError):
            if self._is_ours():
                self.path.unlink()

    def _beat(self) -> None:
        while not self._released.wait(BEAT):
            with suppress(OSError):  # a file server that does not answer now may do so at the next beat
                if not self._is_ours():
                    return
                os.utime(self.path)

    def _is_ours(self) -> bool:
        found = _read(self.path)
        return found is not None and found.token == self.ours.token


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
    ours = Holder.of_this_process()
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
        # exclusive creation and the check of the token still let one win.
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
    """Write the lease, only where there is none.

    Hard links would show others no half-written file, but some file systems have none; half a file counts as
    held. Its mode follows the umask, so that a group that shares the folder can read who holds what.
    """
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(ours.plain(), file)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _bury(path: Path, dead: Holder) -> None:
    """Remove a dead holder's lease, and no other: one that came in its place meanwhile is put back."""
    grave = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):
        path.rename(grave)
        found = _read(grave)
        if found is not None and found != dead:
            _make(path, found)
        grave.unlink()


def _is_stale(path: Path, found: Holder) -> bool:
    if found.is_dead():
        return True
    try:
        return _now_beside(path) - path.stat().st_mtime > TIMEOUT
    except OSError:
        return False


def _now_beside(path: Path) -> float:
    """The file server's clock, read from a file just made: the machines' own clocks may differ.

    In a folder that may only be read, this machine's clock has to do.
    """
    try:
        with tempfile.TemporaryFile(prefix=f".{path.name}.", dir=path.parent) as probe:
            return os.fstat(probe.fileno()).st_mtime
    except OSError:
        return time.time()


def _read(path: Path) -> Holder | None:
    """Who holds the lease by its file.

    A file that cannot be read, as it is half-written, damaged or somebody's private one, is left to time out.
    """
    try:
        return Holder.of(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (PermissionError, ValueError, TypeError, OverflowError):
        return Holder(host="an unknown machine", pid=0, started="", since=0.0, token="")
