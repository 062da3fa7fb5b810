"""The launcher behind `-m`: plan the whole sweep first, then do its runs, one fresh process each.

Hydra hands a launcher all members at once. That is the place to compose, check and merge them: a wrong
axis fails before anything trains, and members that are the same run train once. How the runs are done is
for subclasses; this one does them on this machine, one after the other.

A sweeper that looks for the best configuration launches several times, and is given each member's figure:
all of it is one sweep.
"""

import logging
import math
import sys
from collections.abc import Sequence

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from segsweep.distributed.ranks import Ranks
from segsweep.errors import ConfigError, UserError
from segsweep.planning.plan import Member, merge, note_older, write_all
from segsweep.planning.planner import Planner
from segsweep.runs.contents import State
from segsweep.sweeps.devices import Devices, one_at_a_time
from segsweep.sweeps.display import Display
from segsweep.sweeps.jobs import jobs_of
from segsweep.sweeps.launchers.local import LocalWork
from segsweep.sweeps.live import LiveTable
from segsweep.sweeps.options import check_options
from segsweep.sweeps.sweep import COMMAND, Sweep

log = logging.getLogger("segsweep")


class SweepLauncher(Launcher):
    """hydra/launcher=segsweep: runs the members of a sweep in order on this machine."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's hook: keep what is needed to compose members."""
        self.planner = Planner(hydra_context, config)
        self.sweeper = str(config.hydra.sweeper.get("_target_"))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Plan all, then do all; a member that fails leaves the others alone."""
        if COMMAND.collect is not None and "segsweep" not in self.sweeper:
            name = self.sweeper.rpartition(".")[2]
            raise ConfigError(
                f"hydra/sweeper: which members {name} asks for is known only as they are done; leave it out, "
                "and give the axes' values"
            )
        asked = self.planner.plan(job_overrides)
        if COMMAND.collect is not None:
            return [JobReturn(overrides=list(o), status=JobStatus.COMPLETED) for o in job_overrides]
        check_alone()
        members = merge([member for member in asked if member is not None])
        check_options(members[0].config)
        self.check(members)
        sweep = self._write(members)
        log.info(f"sweep {sweep.name}: {len(job_overrides)} members, {len(members)} runs")
        self.do(members, sweep)
        return [_job_return(*one, sweep) for one in zip(job_overrides, asked, strict=True)]

    def _write(self, members: Sequence[Member]) -> Sweep:
        """Write the runs, and the sweep that they are or add to: there is one a command."""
        sweep = COMMAND.sweeps[0] if COMMAND.sweeps else Sweep.of(members)
        for member in members:
            member.config["sweep"] = sweep.name
        note_older(members)
        write_all(members)
        sweep.write(members)
        COMMAND.sweeps = [sweep]
        return sweep

    def check(self, members: Sequence[Member]) -> None:
        """Raise ConfigError where this launcher cannot do some of the members; nothing is written yet."""
        from segsweep.distributed.ranks import check_devices

        for member in members:
            if not member.folder.is_complete(member.config):  # what is done needs no device, nor torch
                check_devices(member.config)

    def do(self, members: Sequence[Member], sweep: Sweep) -> None:
        """Do the runs, parents first, and tell the sweep how each ended."""
        self.work_locally(members, sweep, one_at_a_time())

    def work_locally(self, members: Sequence[Member], sweep: Sweep, devices: Devices) -> None:
        """Do the runs in processes of this machine."""
        config = members[0].config
        LocalWork(
            sweep,
            jobs_of(members, single=True),
            devices,
            LiveTable(sweep) if sys.stderr.isatty() else Display(sweep),
            train=COMMAND.may_train,
            on_failure=config["on_failure"],
            retries=config["retries"],
        ).do()


def check_alone() -> None:
    """Raise ConfigError where torchrun or srun started several of this process."""
    world = Ranks.of_environment().world
    if world > 1:
        raise ConfigError(
            f"torchrun or srun started {world} of this sweep at once, and each would do all of it: start it "
            "once; with trainer.devices=N each of its runs starts its ranks itself"
        )


def _job_return(overrides: Sequence[str], asked: Member | None, sweep: Sweep) -> JobReturn:
    """What a sweeper hears of a member: the last val mIoU of its run, NaN where there is none.

    Reading it raises UserError where the run failed.
    """
    result = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
    result.return_value = math.nan
    if asked is not None and asked.id not in sweep.left_out:
        status = asked.folder.status()
        result.return_value = float(status.val_miou) if status.val_miou is not None else math.nan
        if status.state is not State.DONE or asked.id in sweep.reasons:
            result.status = JobStatus.FAILED
            reason = sweep.reasons.get(asked.id, "not started, as an earlier one failed")
            result.return_value = UserError(f"run {asked.id}: {reason}")
    return result
