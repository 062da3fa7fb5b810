"""Leaving out poor members of a sweep of chains, at the borders of stages.

This is the median stopping rule (Golovin et al., Google Vizier, KDD 2017, section 3.2.2) applied between the
stages of a chain: a stage begins only if its parent's validation mIoU is not below the median of the parent's
stage. The rule compares members of this command only and never stops a run that has begun. With more members
the median changes, so that a member left out earlier may be run later.
"""

import statistics
from collections.abc import Sequence

from segsweep.planning.plan import Member
from segsweep.runs.contents import State
from segsweep.runs.folder import RunFolder

FEWEST = 3  # runs below which a median means little


def peers(run: Member, members: Sequence[Member]) -> list[Member]:
    """Return the members to compare a run with: same dataset, same names of stages in the chain."""
    return [member for member in members if _kind(member) == _kind(run)]


def poor(parent: RunFolder, peers: Sequence[RunFolder]) -> str | None:
    """Return why the children of `parent` are left out, given the runs of its stage; None if they are not.

    Failed runs do not count. The mIoU is the last validation's, because children start from the last weights.
    """
    found = {run.id: run.status() for run in [*peers, parent]}
    done = {id: status.val_miou for id, status in found.items() if status.state is State.DONE}
    mious = {id: miou for id, miou in done.items() if miou is not None}
    if len(mious) < FEWEST or parent.id not in mious:
        return None
    median = statistics.median(mious.values())
    if mious[parent.id] >= median:
        return None
    return (
        f"left out by early_stop=median: val mIoU {100 * mious[parent.id]:.2f} % of its parent {parent.id} "
        f"is below the median {100 * median:.2f} % of {len(mious)} runs"
    )


def _kind(member: Member) -> tuple[str | None, ...]:
    return member.choices.get("dataset"), *(stage.stage for stage in member.lineage())
