"""What a sweep reports while it runs: a line as each run begins and ends, and one a minute in between."""

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

from segsweep.runs.contents import State
from segsweep.runs.folder import RunFolder
from segsweep.sweeps.sweep import Sweep, train_seconds
from segsweep.terminal import clock, one_line, printable, took

log = logging.getLogger("segsweep")

SAID = 60.0
"""Seconds between two lines about a run that is at work."""
WORK = {State.RUNNING: "training", State.DONE: "testing"}
"""What a run at work does, by its state."""


InWork = tuple[RunFolder, Sequence[str]]
"""A run that is being executed, and its devices."""


class Display(AbstractContextManager["Display"]):
    """Log lines."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self._held: set[str] = set()
        self.starts: dict[str, tuple[float, float]] = {}
        """When the runs at work began, by the clock and in seconds that they had trained before."""
        self._told: dict[str, float] = {}
        numbers = sweep.journal.numbers()
        self.number = {run.id: numbers.get(run.id, place) for place, run in enumerate(sweep.runs, 1)}
        self.total = max(len(numbers), len(sweep.runs))

    def __exit__(self, *_: object) -> None:
        """Log lines need no clearing."""

    def said(self, run: RunFolder, what: str) -> None:
        """Log a line about a run."""
        log.info(f"[{self.number[run.id]}/{self.total}] {one_line(self.sweep.label(run))}: {printable(what)}")

    def began(self, run: RunFolder) -> None:
        """A run's process was started."""
        self.starts[run.id] = time.monotonic(), train_seconds(run)
        self._told[run.id] = time.monotonic()
        self.said(run, f"run {run.id} …")

    def ended(self, run: RunFolder, reason: str | None) -> None:
        """A run's process has ended, with the reason if the run is not finished."""
        outcome, trained = str(run.status().state), train_seconds(run)
        if run.id in self.starts:
            started, before = self.starts.pop(run.id)
            outcome += f" in {took(time.monotonic() - started, trained - before)}"
        elif trained:  # another process began it, such as Slurm's
            outcome += f" after {clock(trained)} of training"
        self.said(run, outcome if reason is None else f"{outcome}: {reason} (see {run.log})")

    def found_done(self, run: RunFolder) -> None:
        """There was nothing to do for a run."""
        self.said(run, "done already")

    def held(self, run: RunFolder) -> None:
        """Another process is at work on a run; logged once."""
        if run.id not in self._held and (holder := run.holder()) is not None:
            self._held.add(run.id)
            self.said(run, f"held by {holder}: waiting")

    def remark(self, what: str) -> None:
        """Log a line about the sweep."""
        log.info(what)

    def tick(self, running: Sequence[InWork], waiting: Sequence[RunFolder]) -> None:
        """Called several times a second, with the runs at work and those to come."""
        for run, _ in running:
            if time.monotonic() - self._told[run.id] >= SAID:
                self._told[run.id] = time.monotonic()
                self.said(run, "  ".join(progress(run)))


def progress(run: RunFolder) -> list[str]:
    """Where a run at work stands: what it does, how far it is, loss, mIoU and time left."""
    status = run.status()
    done, total = status.progress(run.plan.max_steps)
    figures = {
        "loss": figure(status.loss, "{:.4g}"),
        "val mIoU": figure(status.val_miou, "{:.2%}"),
        "left": clock(status.seconds_until_idle),
    }
    doing = WORK.get(status.state, "starting")
    return [f"{doing} {done}/{total or '?'}", *(f"{name} {text}" for name, text in figures.items() if text)]


def figure(value: float | None, form: str) -> str:
    """A figure as text; empty without one."""
    return "" if value is None else form.format(value)
