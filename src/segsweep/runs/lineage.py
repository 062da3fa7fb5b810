"""Which run starts from the weights of which: a stage from its parent, a run from what its `init` names."""

from collections.abc import Iterable, Sequence
from typing import Any

from segsweep.runs.folder import RunFolder
from segsweep.runs.records import STATES

LISTED_STATES = (*STATES, "waiting")
"""The states that a run records, and the one that only another run tells: its parent is in training."""


def source(run: RunFolder) -> str | None:
    """The id of the run that this one starts from; None where there is none."""
    init = run.plan["identity"].get("init")
    named = init if init and ":" not in init else None  # a file counts by its hash, `sha256:…`
    parent: str | None = run.plan.get("parent") or named
    return parent


def children(run: RunFolder, runs: Iterable[RunFolder]) -> list[RunFolder]:
    """The runs that start from this one's weights."""
    return [other for other in runs if source(other) == run.id]


def descendants(run: RunFolder, runs: Sequence[RunFolder]) -> list[RunFolder]:
    """Children, their children and so on; each stands before the run that it starts from."""
    found: list[RunFolder] = []
    for child in children(run, runs):
        found += [*descendants(child, runs), child]
    return found


def with_ancestors(ids: Iterable[str], runs: Sequence[RunFolder]) -> set[str]:
    """These ids and those of all runs that they start from, directly or not."""
    known, found = {run.id: run for run in runs}, set[str]()
    for id in ids:
        following: str | None = id
        while following is not None and following not in found:
            found.add(following)
            following = source(known[following]) if following in known else None
    return found


def is_waiting(run: RunFolder, states: dict[str, str], runs: dict[str, RunFolder]) -> bool:
    """Whether a planned run starts from one that is at work now, or waits itself."""
    origin = source(run)
    if states.get(run.id) != "planned" or origin not in runs:
        return False
    return states[origin] == "running" or is_waiting(runs[origin], states, runs)


def read_statuses(runs: Sequence[RunFolder]) -> dict[str, dict[str, Any]]:
    """Each run's status by its id; here a state may be `waiting`."""
    statuses = {run.id: run.status() for run in runs}
    states = {id: str(status["state"]) for id, status in statuses.items()}
    known = {run.id: run for run in runs}
    waiting = [run.id for run in runs if is_waiting(run, states, known)]
    return statuses | {id: {**statuses[id], "state": "waiting"} for id in waiting}
