"""The expected cost of a plan: a row for each of its runs, and totals."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from segsweep.distributed.ranks import processes
from segsweep.planning.plan import Member, duplicates, merge
from segsweep.profiling.forecast import Cost, Pace, cost, hours, kind
from segsweep.runs import compare, layout
from segsweep.runs.contents import State
from segsweep.runs.versions import current_plan

GIB = 2**30
GOING_ON = ("running", "interrupted", "failed")
"""States of a run that continues from its last checkpoint, or starts if it has none."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan: its present state, and the cost of what is left."""

    member: Member
    state: str
    step: int
    cost: Cost
    pace: Pace | None
    tflops: float

    @classmethod
    def of(cls, member: Member, paces: Mapping[str, Pace], tflops: float) -> "PlannedRun":
        """Return the planned run, with the present state of its folder."""
        folder, status = member.folder, member.folder.status()
        all_steps = steps_of(member)
        if not layout.is_run(folder.path):
            state, step = "new", 0
        elif member.config.force:
            state, step = "again", 0
        elif status.state is State.DONE:
            state, step = "done" if folder.is_complete(member.config) else "to test", all_steps
        else:
            state, step = str(status.state), int(status.step) if status.state in GOING_ON else 0
        pace = paces.get(kind(member.identity))
        return cls(member, state, step, cost(member.config), pace, tflops)

    @property
    def steps(self) -> int:
        """Optimizer steps left to do."""
        return int(self.member.config.trainer.max_steps) - self.step

    @property
    def images(self) -> int:
        """Images left to train on."""
        return self.steps * int(self.member.config.batch_size)

    @cached_property
    def hours(self) -> float:
        """Device hours left, for training only."""
        if self.pace is not None:
            return self.steps * self.pace.seconds / 3600
        return hours(self.cost.macs, self.images, self.tflops)

    def row(self, label: str) -> dict[str, Any]:
        """Return the columns of a table; memory is an estimate, and hours are unless a pace was measured."""
        return {
            "id": self.member.id,
            "run": label,
            "stage": self.member.stage,
            "parent": self.member.parent.id if self.member.parent else None,
            "state": self.state + (f" at {self.step}" if self.state in GOING_ON else ""),
            "steps": self.steps,
            "images": self.images,
            "params_m": self.cost.parameters / 1e6,
            "memory_gib": self.cost.memory / GIB,
            "gpu_hours": self.hours,
            "by": f"{self.tflops:g} TFLOPS" if self.pace is None else f"measured on {self.pace.device}",
        }


class Outlook:
    """All runs of a plan. `members` are the requested ones, each the last of its chain."""

    def __init__(self, members: Sequence[Member], paces: Mapping[str, Pace], tflops: float) -> None:
        self.members = members
        self.runs = [PlannedRun.of(member, paces, tflops) for member in merge(members)]
        folders = [run.member.folder for run in self.runs]
        for folder, run in zip(folders, self.runs, strict=True):
            folder.plan = current_plan(run.member.record())  # as it will be read back; nothing is written
        axes = compare.axes(folders)
        self.labels = {folder.id: compare.label(folder, axes) for folder in folders}

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each distinct run, parents first."""
        return [run.row(self.labels[run.member.id]) for run in self.runs]

    def totals(self, gpus: int | None) -> dict[str, Any]:
        """Return the totals over runs that are left to do, and the steps saved by shared parents."""
        todo = [run for run in self.runs if run.steps or run.state != State.DONE]
        hours, longest = sum(run.hours for run in todo), self.longest()
        children = Counter(run.member.parent.id for run in self.runs if run.member.parent)
        chains = {member.id: member.lineage() for member in self.members}
        alone = sum(steps_of(stage) for chain in chains.values() for stage in chain)
        totals = {
            "members": len(self.members),
            "runs": len(self.runs),
            "duplicates": len(self.members) - len({member.id for member in self.members}),
            "done": len(self.runs) - len(todo),
            "to_do": len(todo),
            "shared_parents": sum(count > 1 for count in children.values()),
            "steps_saved": alone - sum(steps_of(run.member) for run in self.runs),
            "steps": sum(run.steps for run in todo),
            "images": sum(run.images for run in todo),
            "gpu_hours": hours,
            "longest_chain_hours": longest,
            "memory_gib": max((run.cost.memory / GIB for run in todo), default=0),
            "checkpoints_gib": sum(run.cost.checkpoints for run in todo) / GIB,
        }
        if gpus is not None:
            totals["days"] = max(hours / gpus, longest) / 24
        return totals

    def duplicates(self) -> list[list[tuple[str, ...]]]:
        """Return groups of overrides of members that are the same run."""
        return list(duplicates(self.members).values())

    def longest(self) -> float:
        """Return the hours of the longest chain, a lower bound for any number of GPUs."""
        by_end: dict[str, float] = {}
        for run in self.runs:
            before = by_end[run.member.parent.id] if run.member.parent else 0.0
            by_end[run.member.id] = before + run.hours / processes(run.member.config)
        return max(by_end.values(), default=0.0)


def steps_of(member: Member) -> int:
    """Return the optimizer steps of a run's whole training."""
    return int(member.config.trainer.max_steps)
