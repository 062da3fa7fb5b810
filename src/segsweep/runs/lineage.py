"""Which run starts from which: a stage from its parent, a run from the run that its `init` names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from segsweep.runs.contents import State, Status
from segsweep.runs.folder import RunFolder


def source(run: RunFolder) -> str | None:
    """Return the id of the run that this one starts from; None if there is none."""
    init = run.plan.identity.get("init")
    named = init if init and ":" not in init else None  # a file counts by its hash, `sha256:…`
    return run.plan.parent or named


def children(run: RunFolder, runs: Iterable[RunFolder]) -> list[RunFolder]:
    """Return the runs that start from this one's weights."""
    return [other for other in runs if source(other) == run.id]


def descendants(run: RunFolder, runs: Sequence[RunFolder]) -> list[RunFolder]:
    """Return children, their children and so on; each comes before the run that it starts from."""
    found: list[RunFolder] = []
    for child in children(run, runs):
        found += [*descendants(child, runs), child]
    return found


def with_ancestors(ids: Iterable[str], runs: Sequence[RunFolder]) -> set[str]:
    """Return these ids and those of all runs that they start from, directly or indirectly."""
    known, found = {run.id: run for run in runs}, set[str]()
    for id in ids:
        following: str | None = id
        while following is not None and following not in found:
            found.add(following)
            following = source(known[following]) if following in known else None
    return found


def is_waiting(run: RunFolder, states: Mapping[str, State], runs: dict[str, RunFolder]) -> bool:
    """Whether a planned run starts from one that is running, or is waiting itself."""
    origin = source(run)
    if states.get(run.id) is not State.PLANNED or origin not in runs:
        return False
    return states[origin] is State.RUNNING or is_waiting(runs[origin], states, runs)


def read_statuses(runs: Sequence[RunFolder]) -> dict[str, Status]:
    """Return each run's status by its id; here a state may be `waiting`."""
    statuses = {run.id: run.status() for run in runs}
    states = {id: status.state for id, status in statuses.items()}
    known = {run.id: run for run in runs}
    waiting = [run.id for run in runs if is_waiting(run, states, known)]
    return statuses | {id: replace(statuses[id], state=State.WAITING) for id in waiting}
