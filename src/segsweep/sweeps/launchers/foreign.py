"""Execute a sweep through any other Hydra launcher (joblib, basic, ray, …).

Such a launcher composes a configuration from overrides and calls a function with it. Instead of members it
gets work orders: the run folders to execute, as a single override. So its workers compose almost nothing, and
the members are checked, merged and numbered as under segsweep's own launchers.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from segsweep.failures import one_line
from segsweep.planning.plan import Member
from segsweep.planning.stages import spell
from segsweep.runs.folder import RunFolder
from segsweep.runs.journal import BEGAN
from segsweep.sweeps.jobs import Job, jobs_of
from segsweep.sweeps.launchers.launcher import SweepLauncher
from segsweep.sweeps.outcome import judge
from segsweep.sweeps.sweep import Sweep
from segsweep.sweeps.worker import Order, perform

log = logging.getLogger("segsweep")

KEY = "order"


class ForeignLauncher(SweepLauncher):
    """Pass jobs to another launcher in waves: each wave depends only on earlier ones."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Have the other launcher call a plain function, which its workers can unpickle."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.launcher.setup(hydra_context=hydra_context, task_function=perform_order, config=config)

    def check(self, members: Sequence[Member]) -> None:
        """Check nothing: its workers may be on machines with other devices."""

    def do(self, members: Sequence[Member], sweep: Sweep) -> None:
        """Launch one wave after the other, and record the outcome of each run."""
        number = 0
        for wave in waves(jobs_of(members)):
            if sweep.reasons and members[0].config.on_failure == "stop":
                log.info("on_failure=stop: what comes after is not started")
                return
            todo = [job for job in wave if _left(job)]
            for run in (run for job in todo for run in _left(job)):
                sweep.journal.note(run.id, BEGAN)
            orders = [order_override(job, self.call.may_train) for job in todo]
            results = self.launcher.launch(orders, initial_job_idx=number) if orders else []
            number += len(todo)
            reasons = {job: _reason(result) for job, result in zip(todo, results, strict=True)}
            for job in wave:
                judge(job, sweep, reasons.get(job))


def _left(job: Job) -> list[RunFolder]:
    return [member.folder for member in job.runs if not member.folder.is_complete(member.config)]


def _reason(result: JobReturn) -> str | None:
    """Return why an order was not finished, as its worker reported it."""
    reason: Any = result._return_value  # the property would raise the worker's error
    return one_line(reason) if result.status == JobStatus.FAILED else reason


def waves(jobs: Sequence[Job]) -> list[list[Job]]:
    """Return the jobs that depend on no others, then those that depend only on these, and so on."""
    depth: dict[Job, int] = {}
    for job in jobs:  # parents come first
        depth[job] = 1 + max((depth[other] for other in job.after), default=-1)
    return [[job for job in jobs if depth[job] == d] for d in range(1 + max(depth.values()))]


def order_override(job: Job, train: bool) -> list[str]:
    """Return a job's work order as a single override."""
    return [f"+{KEY}={spell(Order.of(job, train).plain())}"]


def perform_order(config: DictConfig) -> str | None:
    """Execute the work order that a worker composed; return why it is not finished, or None."""
    plain: Any = OmegaConf.to_container(config[KEY])
    order: Mapping[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in plain.items()}
    return perform(Order(**order))
