"""The runs that a report's tables lack: which they are, how they stand, and why."""

from collections import Counter
from collections.abc import Mapping, Sequence

from segsweep.reports.table import compared_axes
from segsweep.runs import compare
from segsweep.runs.contents import State, Status
from segsweep.runs.folder import RunFolder
from segsweep.runs.lineage import read_statuses, source
from segsweep.sweeps.journal import LEFT_OUT, Event
from segsweep.sweeps.sweep import Sweep
from segsweep.terminal import plural

COLUMNS = ("run", "member", "state", "why")
_REMOVED = {"member": "", "state": "removed", "why": "its folder is not there"}


def rows(runs: Sequence[RunFolder], sweep: Sweep | None = None) -> list[dict[str, str]]:
    """A row for each run that is not done, whose tests failed, or that was not tested, by `COLUMNS`.

    An earlier stage of a chain is absent only until it is done: its weights, not its tests, are asked for.
    """
    statuses, axes = read_statuses(runs), compared_axes(runs)
    events = sweep.journal.states() if sweep else {}
    used = {source(run) for run in runs}
    lacking = [run for run in runs if not _is_there(run, statuses[run.id], run.id in used)]
    found = [_row(run, statuses[run.id], events.get(run.id), axes) for run in lacking]
    return found + [{"run": id, **_REMOVED} for id in (sweep.gone if sweep else ())]


def how_many(rows: Sequence[Mapping[str, str]]) -> str:
    """Their number and their states: `16 runs (8 interrupted, 8 planned)`."""
    states = Counter(row["state"] for row in rows)
    return f"{plural(len(rows), 'run')} ({', '.join(f'{n} {state}' for state, n in states.items())})"


def _is_there(run: RunFolder, status: Status, is_parent: bool) -> bool:
    return status.state is State.DONE and not status.error and bool(is_parent or run.yields())


def _row(run: RunFolder, status: Status, event: Event | None, axes: Sequence[str]) -> dict[str, str]:
    reason = event.reason if event else None
    left_out = event is not None and event.state is LEFT_OUT
    return {
        "run": run.id,
        "member": compare.label(run, axes),
        "state": LEFT_OUT if left_out else status.state,
        "why": str(reason) if left_out else _why(run, status, reason),
    }


def _why(run: RunFolder, status: Status, reason: str | None) -> str:
    """What it says of itself, else what the sweep noted, else where it stands."""
    if status.error:
        return str(status.error)
    at = f"step {status.step} of {run.plan.max_steps}"
    return {
        "planned": reason or "never started",
        "waiting": f"its parent {source(run)} is not done",
        "running": f"at {at}",
        "interrupted": f"stopped at {at}; the same command goes on",
        "done": "trained, not tested",
    }.get(status.state, reason or "")
