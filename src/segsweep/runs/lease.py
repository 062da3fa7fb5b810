"""A lease: the right to write to a run, for as long as its holder is alive.

A cluster's nodes share little besides a file system, so the lease is a file: created exclusively, which only
one process can win, touched every few seconds by its holder, and taken over by another process once the
touching has stopped. A holder that died in this process's own pid namespace is recognized as dead at once.
Any other holder, on another machine or in another container, is presumed dead after `TIMEOUT` seconds of
silence, by the file server's clock alone. Host names and process ids do not identify containers or machines
reliably, so a holder is identified by its token.

A holder checks its lease before each write that counts. If the lease is gone, the holder was silent for so
long that another process continued from its last checkpoint: it stops and leaves the run alone.
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
"""Seconds of silence after which a holder on another machine is presumed dead."""
POLL = 1.0


def is_time(seconds: float) -> bool:
    """Whether a number of seconds since 1970 can be shown as a time."""
    return bool(time.localtime(seconds))


@dataclass(frozen=True, kw_only=True)
class Holder(Record):
    """lease.json: a process that holds, or held, a lease."""

    host: str
    pid: int
    started: str
    """The process's start, in the system's ticks, as process ids are reused."""
    since: Annotated[float, is_time]
    token: str
    place: str = ""
    """Boot id and pid namespace, within which a process id is unique; empty if unknown."""

    @classmethod
    def of_this_process(cls) -> "Holder":
        """Return this process as a holder, with a new token."""
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
        """Whether the holder is known to be dead; False if it is in another place."""
        same_place = self.place != "" and self.place == place_of(os.getpid())
        return same_place and started(self.pid) not in (self.started, None)


class LeaseLostError(UserError):
    """Another process has taken over the lease of this one."""


class Lease:
    """A lease that this process has taken."""

    def __init__(self, path: Path, what: str, ours: Holder) -> None:
        self.path, self.what, self.ours = path, what, ours
        self._released = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()

    def check(self) -> None:
        """Check that this process still has the lease.

        Raises:
            LeaseLostError: if another process has taken it over.
        """
        if not self._is_ours():
            raise LeaseLostError(
                f"{self.what} was taken over by another process, as this one had been silent for "
                f"{TIMEOUT:.0f} s; see segsweep runs"
            )

    def release(self) -> None:
        """Stop the thread and remove the lease."""
        self._released.set()
        self._beating.join()
        with suppress(OSError):
            if self._is_ours():
                self.path.unlink()

    def _beat(self) -> None:
        while not self._released.wait(BEAT):
            with suppress(OSError):  # a file server that does not answer now may answer at the next beat
                if not self._is_ours():
                    return
                os.utime(self.path)

    def _is_ours(self) -> bool:
        found = _read(self.path)
        return found is not None and found.token == self.ours.token


@contextmanager
def hold(path: Path, what: str, wait: bool, say: Callable[[str], None]) -> Iterator[Lease]:
    """Hold the lease at `path` on `what`, kept alive by a thread.

    With `wait`, wait as long as another process holds it, and report the holder once.

    Raises:
        UserError: if another process holds it, or the file cannot be written.
    """
    lease = Lease(path, what, _take(path, what, wait, say))
    try:
        yield lease
    finally:
        lease.release()


def holder(path: Path) -> Holder | None:
    """Return the current holder of the lease; None if there is none."""
    found = _read(path)
    return None if found is None or _is_stale(path, found) else found


def _take(path: Path, what: str, wait: bool, say: Callable[[str], None]) -> Holder:
    ours = Holder.of_this_process()
    reported = False
    while (other := _try_to_take(path, ours)) is not None:
        if not wait:
            raise UserError(f"{what} is held by {other}; wait=true waits for it")
        if not reported:
            say(f"{what} is held by {other}: waiting")
            reported = True
        time.sleep(POLL)
    return ours


def _try_to_take(path: Path, ours: Holder) -> Holder | None:
    """Take the lease; return its holder if another process has it."""
    try:
        # The record lock keeps two processes from doing this at once. On a file system without such locks,
        # exclusive creation and the check of the token still let only one win.
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
    """Write the lease unless there is one; return whether it was written.

    Hard links would avoid half-written files, but some file systems lack them; half a file counts as held.
    Its mode follows the umask, so that a group that shares the folder can read it.
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
    """Remove a dead holder's lease; one that has replaced it meanwhile is put back."""
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
    """Return the file server's time, read from a new file, as the machines' clocks may differ.

    In a read-only folder, return this machine's time.
    """
    try:
        with tempfile.TemporaryFile(prefix=f".{path.name}.", dir=path.parent) as probe:
            return os.fstat(probe.fileno()).st_mtime
    except OSError:
        return time.time()


def _read(path: Path) -> Holder | None:
    """Return the holder that a lease's file names.

    A file that is half-written, damaged or private gives an unknown holder, whose lease has to time out.
    """
    try:
        return Holder.of(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (PermissionError, ValueError, TypeError, OverflowError):
        return Holder(host="an unknown machine", pid=0, started="", since=0.0, token="")
