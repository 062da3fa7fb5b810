"""A live table of a sweep on a terminal: one row per run, as many as fit. Log lines appear above it.

It is drawn in `tick`, without a thread of its own, because the main thread must start the runs. What it shows
is read from their status.json, once a second.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from segsweep.runs.contents import Status
from segsweep.runs.folder import RunFolder
from segsweep.runs.journal import DONE, FAILED, INTERRUPTED, LEFT_OUT
from segsweep.sweeps.display import WORK, Display, InWork, figure, log
from segsweep.sweeps.outcome import ending
from segsweep.sweeps.sweep import Sweep
from segsweep.terminal import clock, one_line

EVERY = 1.0  # seconds between two drawings
MARGIN = 4  # lines besides rows: the table's head, the summary, a log line and the cursor's
RUNNING, WAITING, NOT_STARTED = "running", "waiting", "not started"
SHOWN_FIRST = (RUNNING, FAILED, INTERRUPTED, WAITING, LEFT_OUT, DONE, NOT_STARTED)
SUMMED_UP = (DONE, FAILED, INTERRUPTED, LEFT_OUT, RUNNING, WAITING, NOT_STARTED)
COLUMNS = ("", "run", "state", "device", "done", "step", "loss", "val mIoU", "left")
BAR = 10  # characters of a run's bar


class LiveTable(Display):
    """Log lines, and below them the progress of each run."""

    def __init__(self, sweep: Sweep, console: Console | None = None) -> None:
        super().__init__(sweep)
        self.live = Live(console=console or Console(stderr=True), auto_refresh=False, transient=True)
        self.ends: dict[str, tuple[str, Status]] = {}
        """How runs ended, the latest last: state and status."""
        self.seconds: list[float] = []
        """Durations of the runs that this command executed to their end."""
        self._drawn = 0.0

    def __enter__(self) -> "LiveTable":
        """Start drawing, and send log lines above the table."""
        plain = sys.stderr
        self.live.start()
        streams = [h for h in log.handlers if isinstance(h, logging.StreamHandler)]
        self._streams = [handler for handler in streams if handler.stream is plain]
        for handler in self._streams:
            handler.setStream(sys.stderr)
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the table; the closing one follows."""
        self.live.stop()
        for handler in self._streams:
            handler.setStream(sys.stderr)

    def ended(self, run: RunFolder, reason: str | None) -> None:
        """Remember how a run ended, and how long it took."""
        started = self.starts.get(run.id)
        super().ended(run, reason)
        if reason is None and started is not None:
            self.seconds.append(time.monotonic() - started[0])
        state = LEFT_OUT if run.id in self.sweep.left_out else ending(run, reason)[0]
        self.ends[run.id] = state, run.status()

    def found_done(self, run: RunFolder) -> None:
        """Remember a run that was already complete."""
        super().found_done(run)
        self.ends[run.id] = DONE, run.status()

    def tick(self, running: Sequence[InWork], waiting: Sequence[RunFolder]) -> None:
        """Draw the table if it is due."""
        if time.monotonic() - self._drawn >= EVERY:
            self._drawn = time.monotonic()
            self.live.update(self.drawing(running, waiting), refresh=True)

    def drawing(self, running: Sequence[InWork], waiting: Sequence[RunFolder]) -> Group:
        """Return the table and summary line as of now."""
        at_work = {run.id: devices for run, devices in running}
        states = {run.id: self.ends.get(run.id, (NOT_STARTED,))[0] for run in self.sweep.runs}
        states |= dict.fromkeys((run.id for run in waiting), WAITING) | dict.fromkeys(at_work, RUNNING)
        table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
        hidden = () if any(at_work.values()) else ("device",)
        for name in (name for name in COLUMNS if name not in hidden):  # names of runs shrink first
            justify: JustifyMethod = "left" if name in COLUMNS[1:5] else "right"
            table.add_column(name, no_wrap=True, justify=justify, ratio=1 if name == COLUMNS[1] else None)
        for run in self._chosen(states, self.live.console.height - MARGIN):
            row = zip(COLUMNS, self._row(run, states[run.id], at_work.get(run.id)), strict=True)
            table.add_row(*(Text(text) for name, text in row if name not in hidden))
        return Group(table, Text(self._summary(states)))

    def _chosen(self, states: dict[str, str], room: int) -> list[RunFolder]:
        """Return the most relevant runs in the sweep's order; of ended ones, the latest."""
        latest = {id: -place for place, id in enumerate(self.ends)}
        rank = {run.id: (SHOWN_FIRST.index(states[run.id]), latest.get(run.id, 0)) for run in self.sweep.runs}
        by_weight = sorted(self.sweep.runs, key=lambda run: rank[run.id])
        return sorted(by_weight[: max(room, 1)], key=lambda run: self.number[run.id])

    def _row(self, run: RunFolder, state: str, devices: Sequence[str] | None) -> Iterator[str]:
        at_work = devices is not None
        status = run.status() if at_work else self.ends[run.id][1] if run.id in self.ends else None
        if at_work:
            state = WORK.get(status.state, "starting") if status else ""
        elif status and status.failure and state in (FAILED, INTERRUPTED):
            state = f"{state}: {status.failure.kind}"
        done, total = status.progress(run.plan.max_steps) if status else (0, None)
        yield str(self.number[run.id])
        yield one_line(self.sweep.label(run))
        yield state
        yield ",".join(devices or ())
        filled = round(BAR * min(done / total, 1.0)) if total else 0
        yield "━" * filled + "╌" * (BAR - filled) if at_work and total else ""
        yield f"{done}/{total or '?'}" if status else ""
        yield figure(status.loss if status else None, "{:.4g}")
        yield figure(status.val_miou if status else None, "{:.2%}")
        yield clock(status.seconds_until_idle if at_work and status else None)

    def _summary(self, states: dict[str, str]) -> str:
        count = Counter(states.values())
        counts = ", ".join(f"{count[state]} {state}" for state in SUMMED_UP if count[state] or state == DONE)
        rest = self._left(count[WAITING], count[RUNNING])
        return counts + ("" if rest is None else f"; about {clock(rest)} left")

    def _left(self, waiting: int, running: int) -> float | None:
        """Estimate the seconds left from the mean duration of finished runs; None without any."""
        if not self.seconds or not running:
            return None
        mean = sum(self.seconds) / len(self.seconds)
        begun = sum(max(0.0, mean - (time.monotonic() - start)) for start, _ in self.starts.values())
        return (begun + mean * waiting) / running
