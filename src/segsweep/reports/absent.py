"""The runs that a report's tables lack: which they are, how far they are, and why."""

from collections import Counter
from collections.abc import Mapping, Sequence

from segsweep.reports.table import compared_axes
from segsweep.runs import compare
from segsweep.runs.contents import State
from segsweep.runs.folder import RunFolder
from segsweep.runs.journal import LEFT_OUT
from segsweep.runs.lineage import read_statuses, source
from segsweep.sweeps.sweep import Sweep
from segsweep.terminal import plural

COLUMNS = ("run", "member", "state", "why")


def rows(runs: Sequence[RunFolder], sweep: Sweep | None = None) -> list[dict[str, str]]:
    """A row for each run that is not done, whose tests failed, or that was not tested, by `COLUMNS`.

    An earlier stage of a chain is absent only until it is done: its weights are needed, and not its tests.
    """
    statuses, axes = read_statuses(runs), compared_axes(runs)
    events = sweep.journal.states() if sweep else {}
    used = {source(run) for run in runs}
    found = []
    for run in runs:
        status, event = statuses[run.id], events.get(run.id)
        if status.state is State.DONE and not status.error and (run.id in used or run.yields()):
            continue
        noted = event.reason if event else None
        at = f"step {status.step} of {run.plan.max_steps}"
        state, why = (
            str(status.state),
            {
                State.PLANNED: noted or "never started",
                State.WAITING: f"its parent {source(run)} is not done",
                State.RUNNING: f"at {at}",
                State.INTERRUPTED: f"stopped at {at}; the same command goes on",
                State.DONE: "trained, not tested",
            }.get(status.state, noted or ""),
        )
        if event is not None and event.state is LEFT_OUT:
            state, why = str(LEFT_OUT), str(noted)
        elif status.error:
            why = status.error
        found.append({"run": run.id, "member": compare.label(run, axes), "state": state, "why": why})
    removed = {"member": "", "state": "removed", "why": "its folder is not there"}
    return found + [{"run": id, **removed} for id in (sweep.gone if sweep else ())]


def how_many(rows: Sequence[Mapping[str, str]]) -> str:
    """Their number and their states: `16 runs (8 interrupted, 8 planned)`."""
    states = Counter(row["state"] for row in rows)
    return f"{plural(len(rows), 'run')} ({', '.join(f'{n} {state}' for state, n in states.items())})"
