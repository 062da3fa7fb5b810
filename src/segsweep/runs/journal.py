"""A sweep's journal: its members, with permanent numbers, and what happened to each.

sweeps/NAME.json    the members in their order, each with its number, run id and overrides; members that a
                    later command adds are appended
sweeps/NAME.jsonl   one line per event: a run began, was done, failed, was interrupted or left out, with its
                    attempt, the host and the process that launched it

Any number of launchers on any number of hosts may write at once: members are added under a lease, lines are
appended under a record lock. Of a run's lines the furthest counts, by attempt and then by progress, so that
no line, late or written twice, moves a state back. Whether a run *is* done is stored in its own folder alone.
"""

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from segsweep.files import cannot_write
from segsweep.runs.contents import Finite
from segsweep.runs.documents import write_json
from segsweep.runs.layout import SWEEPS
from segsweep.runs.lease import hold
from segsweep.runs.records import Record

log = logging.getLogger("segsweep")

SWEEP_AGAIN = "remove it, and the sweep's command, given again, writes it again; its runs are not touched"


class Fate(StrEnum):
    """What happened to a run within one attempt, in the order in which these may follow."""

    BEGAN = "began"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    LEFT_OUT = "left out"
    DONE = "done"


FORWARD = tuple(Fate)
BEGAN, INTERRUPTED, FAILED, LEFT_OUT, DONE = FORWARD


@dataclass(frozen=True, kw_only=True)
class Event(Record):
    """A line of a journal; it may have more fields, such as the run's Slurm job."""

    run: str
    state: Fate
    attempt: int
    host: str = ""
    pid: Any = None
    """The process that launched the run."""
    time: Finite
    reason: str | None = None
    """Why the run is not done."""


@dataclass(frozen=True, kw_only=True)
class Numbered(Record):
    """A member of a sweep, with its number."""

    run: str
    number: int
    also: tuple[str, ...] = ()
    """Overrides of further members that are the same run, where they differ from those that made it."""


@dataclass(frozen=True, kw_only=True)
class SweepRecord(Record):
    """sweeps/NAME.json."""

    name: str
    runs: tuple[str, ...]
    members: tuple[Numbered, ...] = ()
    started: Finite = 0.0
    named: bool = True
    """Whether its name was given instead of made from its members."""

    def numbered(self) -> list[Numbered]:
        """Return the members; an older record has only the ids of their runs."""
        first = [Numbered(run=run, number=number) for number, run in enumerate(self.runs, 1)]
        return list(self.members) or first


class Journal:
    """The journal of one sweep, as one launcher reads and writes it."""

    def __init__(self, runs_dir: Path, name: str) -> None:
        self.name = name
        self.members_file = runs_dir / SWEEPS / f"{name}.json"
        self.events_file = runs_dir / SWEEPS / f"{name}.jsonl"
        self._furthest: dict[str, Event] = {}
        self._read_to = 0
        self._attempts: dict[str, int] = {}

    def read(self) -> SweepRecord | None:
        """Read the record of the sweep; None if there is none.

        Raises:
            DamagedFileError: if the file cannot be read.
        """
        return SweepRecord.read(self.members_file, SWEEP_AGAIN)

    def members(self) -> list[Numbered]:
        """Return all members that the sweep ever had, by number."""
        record = self.read()
        return record.numbered() if record else []

    def numbers(self) -> dict[str, int]:
        """Return the number of each member, by its run's id."""
        return {member.run: member.number for member in self.members()}

    def delete(self) -> None:
        """Delete the sweep's files; its runs are not touched."""
        for file in (self.members_file, self.events_file):
            file.unlink(missing_ok=True)

    def extend(self, members: Sequence[Mapping[str, Any]], **facts: Any) -> int:
        """Append the members that are new; return how many were known.

        Raises:
            UserError: if the file cannot be written.
        """
        self.members_file.parent.mkdir(parents=True, exist_ok=True)
        lease = self.members_file.with_name(f".{self.members_file.name}.lease")
        with hold(lease, f"sweep {self.name}", wait=True, say=log.info) as held:
            record = self.read()
            known = record.numbered() if record else []
            ids = {member.run for member in known}
            new = [dict(member) for member in members if member["run"] not in ids]
            if new:
                numbered = [m.plain() for m in known]
                numbered += [{**m, "number": number} for number, m in enumerate(new, len(known) + 1)]
                before = record.plain() if record else {"name": self.name, "started": time.time(), **facts}
                runs = [member["run"] for member in numbered]
                held.check()
                write_json(self.members_file, {**before, "members": numbered, "runs": runs})
        return len(members) - len(new)

    def note(self, run: str, state: Fate, **facts: Any) -> None:
        """Append an event of a run, except that it is done if that is known already.

        A launcher's first event of a run, and each `began`, is a new attempt; its later events belong to this
        attempt, whatever other launchers begin meanwhile.

        Raises:
            UserError: if the file cannot be written.
        """
        try:
            self.events_file.parent.mkdir(parents=True, exist_ok=True)
            with self.events_file.open("ab+") as file:
                with suppress(OSError):  # without record locks on this file system, short lines have to do
                    fcntl.lockf(file, fcntl.LOCK_EX)
                self._take_in(file)
                if state is DONE and run in self._furthest and self._furthest[run].state is DONE:
                    return
                line = json.dumps(self._event(run, state) | facts)
                file.write(_fresh_line(file) + line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(self.events_file, error) from error

    def _event(self, run: str, state: Fate) -> dict[str, Any]:
        if state is BEGAN or run not in self._attempts:
            self._attempts[run] = 1 + (self._furthest[run].attempt if run in self._furthest else 0)
        who = {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time()}
        return {"run": run, "state": state, "attempt": self._attempts[run], **who}

    def states(self) -> dict[str, Event]:
        """Return the furthest event of each run that has any."""
        with suppress(FileNotFoundError), self.events_file.open("rb") as file:
            self._take_in(file)
        return dict(self._furthest)

    def _take_in(self, file: BinaryIO) -> None:
        """Read the new lines, up to the last whole one."""
        file.seek(self._read_to)
        lines = file.read()
        lines = lines[: lines.rfind(b"\n") + 1]
        self._read_to += len(lines)
        events = [_event(line) for line in lines.splitlines() if line.strip()]
        if damaged := events.count(None):  # by a flipped bit, or a power cut
            log.warning(f"{self.events_file}: {damaged} damaged of {len(events)} lines, left out")
        for event in filter(None, events):
            known = self._furthest.get(event.run)
            if known is None or _progress(event) > _progress(known):
                self._furthest[event.run] = event


def _event(line: bytes) -> Event | None:
    try:
        return Event.of(json.loads(line))
    except (ValueError, RecursionError):
        return None


def _progress(event: Event) -> tuple[int, int]:
    return event.attempt, FORWARD.index(event.state)


def _fresh_line(file: BinaryIO) -> bytes:
    """Return a line break if the last line was cut short, so that the next one is whole."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return b""
    file.seek(size - 1)
    return b"" if file.read(1) == b"\n" else b"\n"
