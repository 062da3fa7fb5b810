"""Leaving out poor members of a sweep of chains, at the borders of stages.

The median stopping rule (Golovin et al., Google Vizier, KDD 2017, section 3.2.2) applied where a chain may be
cut: what continues a run begins only if that run's validation mIoU is not below the median of its stage. The
rule looks at this command's members alone, and at runs that have not begun: with more members the median is
another one, and may take in what it left out before, but it never stops what it once let begin.
"""

import statistics
from collections.abc import Sequence

from segsweep.planning.plan import Member
from segsweep.runs.contents import State
from segsweep.runs.folder import RunFolder

FEWEST = 3
"""Runs of which a median says something."""


def peers(run: Member, members: Sequence[Member]) -> list[Member]:
    """The members that a run is compared with: of the same stage of like chains, on the same data set."""
    return [member for member in members if _kind(member) == _kind(run)]


def poor(parent: RunFolder, peers: Sequence[RunFolder]) -> str | None:
    """Why what starts from `parent` is left out, among the runs of its stage; None where it is not.

    Runs that failed do not count. The figure is the last validation's: it is the last weights that go on.
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
