"""Any other launcher of Hydra's (joblib, basic, ray, …), doing what was planned here.

Such a launcher composes a configuration from overrides and calls the task with it. What it is given are no
members but orders: the run folders to execute, written out in one override. So its workers compose next to
nothing, and the members are checked, merged and numbered as under our own launchers.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from segsweep.failures import one_line
from segsweep.planning.plan import Member
from segsweep.planning.stages import spell
from segsweep.runs.folder import RunFolder
from segsweep.sweeps.jobs import Job, jobs_of
from segsweep.sweeps.journal import BEGAN
from segsweep.sweeps.launchers.base import SweepLauncher
from segsweep.sweeps.outcome import judge
from segsweep.sweeps.sweep import COMMAND, Sweep
from segsweep.sweeps.worker import Order, perform

log = logging.getLogger("segsweep")

KEY = "order"


class ForeignLauncher(SweepLauncher):
    """Hands jobs to another launcher in waves: each holds what comes after the waves before."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher

    def check(self, members: Sequence[Member]) -> None:
        """Nothing: its workers may be on machines with other devices than this one's."""

    def do(self, members: Sequence[Member], sweep: Sweep) -> None:
        """Launch wave after wave, and tell the sweep how each run ended."""
        number = 0
        for wave in waves(jobs_of(members)):
            if sweep.reasons and members[0].config["on_failure"] == "stop":
                log.info("on_failure=stop: what comes after is not started")
                return
            todo = [job for job in wave if _left(job)]
            for run in (run for job in todo for run in _left(job)):
                sweep.journal.note(run.id, BEGAN)
            orders = [override(job) for job in todo]
            results = self.launcher.launch(orders, initial_job_idx=number) if orders else []
            number += len(todo)
            told = dict(zip(todo, map(_told, results), strict=True))
            for job in wave:
                judge(job, sweep, told.get(job))


def _left(job: Job) -> list[RunFolder]:
    return [member.folder for member in job.runs if not member.folder.is_complete(member.config)]


def _told(result: JobReturn) -> str | None:
    """Why an order was not done to its end, in the words of its worker."""
    reason: Any = result._return_value  # reading the property raises what a worker ended with
    return one_line(reason) if result.status == JobStatus.FAILED else reason


def waves(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs that come after nothing, then those that come after these, and so on."""
    depth: dict[Job, int] = {}
    for job in jobs:  # parents come first
        depth[job] = 1 + max((depth[other] for other in job.after), default=-1)
    return [[job for job in jobs if depth[job] == d] for d in range(1 + max(depth.values()))]


def override(job: Job) -> list[str]:
    """A job as the one override of a member."""
    return [f"+{KEY}={spell(Order.of(job, COMMAND.may_train).plain())}"]


def is_order(config: DictConfig) -> bool:
    """Whether a composed configuration is an order."""
    return KEY in config


def do_order(config: DictConfig) -> str | None:
    """What a launcher's worker does with it; why it is not finished, or None."""
    plain: Any = OmegaConf.to_container(config[KEY])
    order: Mapping[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in plain.items()}
    return perform(Order(**order))
