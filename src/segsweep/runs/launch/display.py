"""What a sweep says while it is done: a line as each run begins and ends."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from segsweep.runs.config.output import one_line
from segsweep.runs.folder import RunFolder
from segsweep.runs.launch.sweep import Sweep

log = logging.getLogger("segsweep")


class InWork(Protocol):
    """A run that is being executed."""

    @property
    def folder(self) -> RunFolder:
        """Where it lives."""

    @property
    def devices(self) -> Sequence[str]:
        """Where it runs."""


class Display(AbstractContextManager["Display"]):
    """Log lines."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self._held: set[str] = set()
        numbers = {member["run"]: member["number"] for member in sweep.journal.members()}
        self.number = {run.id: numbers.get(run.id, place) for place, run in enumerate(sweep.runs, 1)}
        self.total = max(len(numbers), len(sweep.runs))

    def __exit__(self, *_: object) -> None:
        """Nothing to put away."""

    def said(self, run: RunFolder, what: str) -> None:
        """Something worth a line of one run."""
        log.info(one_line(f"[{self.number[run.id]}/{self.total}] {self.sweep.label(run)}: {what}"))

    def began(self, run: RunFolder) -> None:
        """A run's process was started."""
        self.said(run, f"run {run.id} …")

    def ended(self, run: RunFolder, reason: str | None) -> None:
        """A run's process has ended, for a reason where the run is not finished."""
        status = run.status()
        if reason is None:
            self.said(run, f"{status['state']} in {status.get('train_seconds', 0):.0f} s")
        else:
            self.said(run, f"{status['state']}: {reason} (see {run.log})")

    def found_done(self, run: RunFolder) -> None:
        """There was nothing to do for a run."""
        self.said(run, "done already")

    def held(self, run: RunFolder) -> None:
        """Another process is at work on a run: said once."""
        if run.id not in self._held and (holder := run.holder()) is not None:
            self._held.add(run.id)
            self.said(run, f"held by {holder}: waiting")

    def remark(self, what: str) -> None:
        """Something worth a line of the sweep."""
        log.info(what)

    def tick(self, running: Sequence[InWork], waiting: Sequence[RunFolder]) -> None:
        """Called several times a second, with the runs at work and those to come."""
