"""The jobs of a sweep, each after those that it depends on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from segsweep.planning.plan import Member
from segsweep.sweeps.early_stop import peers


@dataclass(frozen=True, eq=False)
class Job:
    """Runs that one process executes one after the other: stages of a chain, or a single run."""

    runs: tuple[Member, ...]
    after: tuple["Job", ...] = ()
    """Jobs that must have ended before: those of the parent, or of all runs to compare it with."""
    peers: tuple[Member, ...] = ()
    """Runs of the parent's stage to compare the parent with, if poor members are left out."""

    @property
    def devices(self) -> int | str:
        """The value of `trainer.devices` in its last run."""
        devices: int | str = self.runs[-1].config.trainer.devices
        return devices


def jobs_of(members: Sequence[Member], single: bool = False) -> list[Job]:
    """Return the jobs of merged members, parents first.

    Stages without branches are one job, so that a chain goes through a queue once; a stage from which several
    members start ends a job. With `single` every run is a job.
    """
    stops_early = any(member.config.early_stop for member in members)
    children = Counter(member.parent.id for member in members if member.parent)
    by_run: dict[str, list[Member]] = {}
    for member in members:
        parent = member.parent
        joins = parent is not None and children[parent.id] == 1 and not (single or stops_early)
        segment = by_run[parent.id] if parent is not None and joins else []
        segment.append(member)
        by_run[member.id] = segment
    segments = list({id(segment): segment for segment in by_run.values()}.values())
    if stops_early:  # a run comes after all runs of its parent's stage, whatever their order in the sweep
        segments.sort(key=lambda segment: len(segment[0].lineage()))
    jobs: dict[str, Job] = {}
    for segment in segments:
        parent = segment[0].parent
        compared = peers(parent, members) if parent and stops_early else []
        before = compared or ([parent] if parent else [])
        after = dict.fromkeys(jobs[member.id] for member in before)
        job = Job(tuple(segment), tuple(after), tuple(compared))
        jobs.update({member.id: job for member in segment})
    return list(dict.fromkeys(jobs.values()))
