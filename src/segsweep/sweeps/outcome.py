"""Decide from run folders alone whether a run may begin, and how it ended."""

from collections.abc import Container, Sequence

from segsweep.failures import PREEMPTED
from segsweep.runs.contents import State
from segsweep.runs.folder import RunFolder
from segsweep.runs.journal import DONE, FAILED, INTERRUPTED, LEFT_OUT, Fate
from segsweep.sweeps.early_stop import poor
from segsweep.sweeps.jobs import Job
from segsweep.sweeps.sweep import Sweep

Ending = tuple[Fate, str | None]
"""A state of the journal, and the reason if it is not done."""


def refusal(folder: RunFolder, peers: Sequence[RunFolder], left_out: Container[str] = ()) -> Ending | None:
    """Return why a run must not start: its parent is not done, or is poor among its peers; else None."""
    if (id := folder.plan.parent) is None:
        return None
    parent = RunFolder(folder.path.parent / id)
    if id in left_out:
        return LEFT_OUT, f"left out, as its parent {id} was"
    if parent.status().state is not State.DONE:
        return FAILED, f"not started, as its parent {id} is not done"
    begun = folder.status().step > 0
    reason = poor(parent, peers) if peers and not begun else None
    return None if reason is None else (LEFT_OUT, reason)


def ending(folder: RunFolder, reason: str | None) -> Ending:
    """Return a run's outcome after its process has ended; `reason` is None if it is finished."""
    if reason is None:
        return DONE, None
    status = folder.status()
    interrupted = status.state is State.INTERRUPTED or status.failure_class == PREEMPTED
    return INTERRUPTED if interrupted else FAILED, reason


def judge(job: Job, sweep: Sweep, told: str | None = None) -> None:
    """Record the outcome of each run of a job that another launcher executed, which reported `told`."""
    for member in job.runs:
        folder = member.folder
        if folder.is_complete(member.config):
            sweep.end(folder, DONE, None)
        elif refused := refusal(folder, [peer.folder for peer in job.peers], sweep.left_out):
            sweep.end(folder, *refused)
        else:
            sweep.end(folder, *ending(folder, str(folder.status().error or told or "not finished")))
