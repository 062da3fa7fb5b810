"""The launcher of a sweep: write all runs, then execute each in a process of its own.

All members are composed, checked and merged first: a wrong axis fails before anything trains, and members
that are the same run train once. Subclasses decide how the runs are executed; this launcher executes them on
this machine, one after the other.

A Hydra sweeper that searches for the best configuration launches several batches and receives each member's
figure; all its batches are one sweep.
"""

import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import replace

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from segsweep.distributed.ranks import Ranks, check_devices
from segsweep.errors import ConfigError, OptionError, UserError
from segsweep.planning.plan import Member, duplicates, merge, note_older, write_all
from segsweep.runs.contents import State
from segsweep.sweeps.devices import Devices, one_at_a_time
from segsweep.sweeps.display import Display
from segsweep.sweeps.forks import ForkServer, Starter
from segsweep.sweeps.jobs import jobs_of
from segsweep.sweeps.launchers.local import LocalWork
from segsweep.sweeps.live import LiveTable
from segsweep.sweeps.sweep import Call, Sweep

log = logging.getLogger("segsweep")


class SweepLauncher(Launcher):
    """hydra/launcher=segsweep: execute the members of a sweep in order on this machine.

    Args:
        reuse: Whether runs share their imports (forks.py).
    """

    call: Call

    def __init__(self, reuse: bool = False) -> None:
        if type(reuse) is not bool:
            raise OptionError("hydra.launcher.reuse", reuse, "true or false")
        if reuse and not sys.platform.startswith("linux"):
            raise OptionError("hydra.launcher.reuse", reuse, problem="needs Linux", remedy="leave it out")
        self.reuse = reuse

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep the parsed command; Hydra calls this hook."""
        assert isinstance(task_function, Call)
        self.call = task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Compose and run the members that a Hydra sweeper asks for, and return each one's figure.

        Raises:
            ConfigError: a member is wrong.
        """
        composed = self.call.request.compose(self.call.check, job_overrides)
        sweep = self.run(composed.sound())
        return [_job_return(*one, sweep) for one in zip(job_overrides, composed.members, strict=True)]

    def run(self, asked: Sequence[Member]) -> Sweep:
        """Write the runs of the members, and execute them; a failed run does not affect the others.

        Raises:
            ConfigError: this launcher cannot run them; nothing is written.
        """
        check_alone()
        members = merge(asked)
        self.check(members)
        # A command has one sweep, to which later batches are added.
        sweep = self.call.sweep or Sweep.of(members)
        members = [replace(m, config=m.config.changed(sweep=sweep.name)) for m in members]
        note_older(members)
        write_all(members)
        sweep.write(members, duplicates(asked))
        self.call.sweep = sweep
        log.info(f"sweep {sweep.name}: {len(asked)} members, {len(members)} runs")
        self.do(members, sweep)
        return sweep

    def check(self, members: Sequence[Member]) -> None:
        """Raise ConfigError if this launcher cannot execute some of the members."""
        for member in members:
            if not member.folder.is_complete(member.config):  # a complete run needs neither devices nor torch
                check_devices(member.config)

    def do(self, members: Sequence[Member], sweep: Sweep) -> None:
        """Execute the runs, parents first, and record each outcome."""
        self.work_locally(members, sweep, one_at_a_time())

    def work_locally(self, members: Sequence[Member], sweep: Sweep, devices: Devices) -> None:
        """Execute the runs in processes on this machine."""
        config = members[0].config
        LocalWork(
            sweep,
            jobs_of(members, single=True),
            devices,
            LiveTable(sweep) if sys.stderr.isatty() else Display(sweep),
            train=self.call.may_train,
            starter=ForkServer() if self.reuse else Starter(),
            on_failure=config.on_failure,
            retries=config.retries,
        ).do()


def check_alone() -> None:
    """Raise ConfigError if torchrun or srun started several copies of this process."""
    world = Ranks.of_environment().world
    if world > 1:
        raise ConfigError(
            f"torchrun or srun started {world} of this sweep at once, and each would do all of it: start it "
            "once; with trainer.devices=N each of its runs starts its ranks itself"
        )


def _job_return(overrides: Sequence[str], asked: Member | None, sweep: Sweep) -> JobReturn:
    """Return a member's figure for a sweeper: the last val mIoU of its run, NaN if there is none.

    Reading the value raises UserError if the run failed.
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
