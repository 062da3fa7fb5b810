"""A sweep: a named set of runs, and the journal of what happened to them."""

import hashlib
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from segsweep.errors import ConfigError, UserError
from segsweep.planning.compose import Request
from segsweep.planning.plan import Member, check_member
from segsweep.planning.stages import group_of
from segsweep.runs import compare
from segsweep.runs.folder import RunFolder
from segsweep.runs.journal import LEFT_OUT, Fate, Journal
from segsweep.runs.layout import SWEEPS
from segsweep.sweeps.same_sweep import check_settings, unnamed_sweep_of

log = logging.getLogger("segsweep")


@dataclass
class Sweep:
    """The runs of one `-m` command."""

    name: str
    runs_dir: Path
    runs: list[RunFolder]
    named: bool = True  # false if its name was made from its members' ids
    reasons: dict[str, str] = field(default_factory=dict)  # why runs failed, by id
    left_out: dict[str, str] = field(default_factory=dict)  # why poor runs were left out, by id
    gone: Sequence[str] = ()  # ids of members whose folders were removed
    also: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Other options that came to the same run, by its id."""
    started: float = field(default_factory=time.monotonic)
    trained_before: dict[str, float] = field(default_factory=dict)
    """Seconds that each run had trained when the command began."""

    @classmethod
    def of(cls, members: Sequence[Member]) -> "Sweep":
        """Return the sweep that `sweep=` names, or the unnamed one of these members.

        Raises:
            ConfigError: the name is invalid, or belongs to a sweep of other runs.
        """
        config = members[0].config
        runs_dir, given = Path(config.runs_dir), config.sweep
        if given is None:
            name = unnamed_sweep_of(runs_dir, {m.id for m in members}) or _hash(members)
        elif re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", str(given)):
            name = str(given)
            check_settings(Journal(runs_dir, name), runs_dir, members)
        else:
            raise ConfigError(
                f"sweep={given}: expected a name of letters, digits, '.', '_' and '-', with '/' between parts"
            )
        return cls(name, runs_dir, [member.folder for member in members], named=given is not None)

    @classmethod
    def read(cls, runs_dir: Path, name: str) -> "Sweep":
        """Return a sweep from its journal, with all members that it ever had.

        Raises:
            UserError: there is no sweep of this name.
        """
        record = Journal(runs_dir, name).read()
        if record is None:
            known = ", ".join(names(runs_dir)) or "none"
            raise UserError(f"sweep={name}: no such sweep in {runs_dir}; known: {known}")
        runs = [RunFolder(runs_dir / run) for run in record.runs]
        gone = [run.id for run in runs if not run.path.exists()]
        if gone:
            log.warning(f"sweep {name}: {len(gone)} of its {len(runs)} runs were removed: {', '.join(gone)}")
        also = {member.run: member.also for member in record.members if member.also}
        return cls(name, runs_dir, [run for run in runs if run.id not in gone], gone=gone, also=also)

    @cached_property
    def journal(self) -> Journal:
        """The record of its members and their outcomes."""
        return Journal(self.runs_dir, self.name)

    def write(
        self, members: Sequence[Member], same: Mapping[str, Sequence[Sequence[str]]] | None = None
    ) -> None:
        """Number the members and write them into the journal, behind those of earlier batches.

        `same` has, by a run's id, the overrides of all members that are this run.
        """
        there = {run.id for run in self.runs}
        self.runs += [member.folder for member in members if member.id not in there]
        for member in members:
            self.trained_before.setdefault(member.id, train_seconds(member.folder))
        self.__dict__.pop("_axes", None)
        records = [_record(member, (same or {}).get(member.id, ())) for member in members]
        known = self.journal.extend(records, named=self.named)
        if known:
            log.info(f"sweep {self.name}: {known} runs as before, {len(members) - known} new")

    def end(self, run: RunFolder, state: Fate, reason: str | None) -> None:
        """Record how a run ended."""
        for known in (self.reasons, self.left_out):  # from an earlier batch
            known.pop(run.id, None)
        if reason is not None:
            (self.left_out if state == LEFT_OUT else self.reasons)[run.id] = reason
        self.journal.note(run.id, state, reason=reason)

    def seconds(self) -> tuple[float, float]:
        """Return the seconds since the command began, and those that its runs have trained since."""
        trained = sum(map(train_seconds, self.runs)) - sum(self.trained_before.values())
        return time.monotonic() - self.started, max(0.0, trained)

    def label(self, run: RunFolder) -> str:
        """Return what distinguishes a run from the others of the sweep."""
        return compare.label(run, self._axes) or run.id

    @cached_property
    def _axes(self) -> list[str]:  # cached, because it compares all runs
        return compare.axes(self.runs)


def train_seconds(run: RunFolder) -> float:
    """Return the seconds that a run has trained, over all its attempts."""
    return float(run.status().train_seconds or 0.0)


def names(runs_dir: Path) -> list[str]:
    """Return the names of the sweeps in a folder of runs."""
    files = (runs_dir / SWEEPS).rglob("*.json")
    return sorted(path.relative_to(runs_dir / SWEEPS).with_suffix("").as_posix() for path in files)


def _record(member: Member, same: Sequence[Sequence[str]]) -> dict[str, Any]:
    def tells_apart(override: str) -> bool:
        # Members that differ in the tests alone are one run by design.
        return override not in member.overrides and group_of(override) != "test"

    others = (" ".join(filter(tells_apart, one)) for one in same)
    also = [one for one in dict.fromkeys(others) if one]
    return {
        **({"also": also} if also else {}),
        "run": member.id,
        "overrides": list(member.overrides),
        "stage": member.stage,
        "parent": member.parent.id if member.parent else None,
    }


def _hash(members: Sequence[Member]) -> str:
    return hashlib.sha256(" ".join(sorted(member.id for member in members)).encode()).hexdigest()[:8]


@dataclass
class Call:
    """One command's request for a sweep, and its result.

    Hydra creates launchers and sweepers and passes them one object of ours, the task function: this one.
    """

    request: Request
    may_train: bool = True  # false if runs may only be tested
    sweep: Sweep | None = None  # what was launched, however it ended; a sweeper's batches are one sweep

    def check(self, member: Member) -> None:
        """Raise UserError if a member cannot be run."""
        check_member(member, self.may_train)

    def __call__(self, config: object) -> None:
        """Never called: our launchers start processes, and other launchers receive work orders."""
        raise NotImplementedError
