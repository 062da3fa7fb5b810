"""Progress of a sweep as log lines: when a run begins and ends, and once a minute in between."""

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

from segsweep.runs.contents import State
from segsweep.runs.folder import RunFolder
from segsweep.sweeps.sweep import Sweep, train_seconds
from segsweep.terminal import clock, one_line, printable, took

log = logging.getLogger("segsweep")

SAID = 60.0  # seconds between two progress lines of a run
WORK = {State.RUNNING: "training", State.DONE: "testing"}
"""What a run that is being executed does, by its state."""

InWork = tuple[RunFolder, Sequence[str]]  # a run that is being executed, and its devices


class Display(AbstractContextManager["Display"]):
    """Log lines."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self._held: set[str] = set()
        self.starts: dict[str, tuple[float, float]] = {}
        """For each run in execution: when it began, and the seconds it had trained before."""
        self._told: dict[str, float] = {}
        numbers = sweep.journal.numbers()
        self.number = {run.id: numbers.get(run.id, place) for place, run in enumerate(sweep.runs, 1)}
        self.total = max(len(numbers), len(sweep.runs))

    def __exit__(self, *_: object) -> None:
        """Log lines need no clearing."""

    def say(self, run: RunFolder, what: str) -> None:
        """Log a line about a run."""
        log.info(f"[{self.number[run.id]}/{self.total}] {one_line(self.sweep.label(run))}: {printable(what)}")

    def began(self, run: RunFolder) -> None:
        """Report that a run's process was started."""
        self.starts[run.id] = time.monotonic(), train_seconds(run)
        self._told[run.id] = time.monotonic()
        self.say(run, f"run {run.id} …")

    def ended(self, run: RunFolder, reason: str | None) -> None:
        """Report how a run's process ended; `reason` is given if the run is not finished."""
        outcome, trained = str(run.status().state), train_seconds(run)
        if run.id in self.starts:
            started, before = self.starts.pop(run.id)
            outcome += f" in {took(time.monotonic() - started, trained - before)}"
        elif trained:  # another process began it, such as Slurm's
            outcome += f" after {clock(trained)} of training"
        self.say(run, outcome if reason is None else f"{outcome}: {reason} (see {run.log})")

    def found_done(self, run: RunFolder) -> None:
        """Report that a run was already complete."""
        self.say(run, "done already")

    def held(self, run: RunFolder) -> None:
        """Report, once, that another process is executing a run."""
        if run.id not in self._held and (holder := run.holder()) is not None:
            self._held.add(run.id)
            self.say(run, f"held by {holder}: waiting")

    def remark(self, what: str) -> None:
        """Log a line about the sweep."""
        log.info(what)

    def tick(self, running: Sequence[InWork], waiting: Sequence[RunFolder]) -> None:
        """Update the progress; called several times a second with the runs in execution and those waiting."""
        for run, _ in running:
            if time.monotonic() - self._told[run.id] >= SAID:
                self._told[run.id] = time.monotonic()
                self.say(run, "  ".join(progress(run)))


def progress(run: RunFolder) -> list[str]:
    """Return the progress of a run in execution: activity and steps, loss, mIoU, time left."""
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
    """Return a figure as text; empty for None."""
    return "" if value is None else form.format(value)
