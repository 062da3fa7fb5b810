"""The launcher behind `-m`: plan the whole sweep first, then do its runs, one fresh process each.

Hydra hands a launcher all members at once. That is the place to compose, check and merge them: a wrong
axis fails before anything trains, and members that are the same run train once.
"""

import logging
import sys
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from segsweep.errors import ConfigError, UserError
from segsweep.runs.composer import Composer
from segsweep.runs.folder import RunFolder
from segsweep.runs.plan import Member, check_member, merge, write
from segsweep.runs.process import run_process
from segsweep.runs.published import KEY, Published
from segsweep.runs.stages import key_of
from segsweep.runs.sweep import COMMAND, Sweep

log = logging.getLogger("segsweep")


class PlanningSweeper(Sweeper):
    """Hydra's product of axes, with rows beside them, and with the check of members left to our launcher.

    A paper's table is seldom a product of axes. `rows` lists overrides, a string a row, as do the runs of a
    published table; every row is combined with every member of the product of `params` and the command
    line, which win over the row. The network is what rows are about: naming it twice is a mistake.
    """

    def __init__(
        self,
        max_batch_size: int | None,
        params: dict[str, str] | None = None,
        rows: Sequence[str] | None = None,
    ) -> None:
        self.max_batch_size = max_batch_size
        self.params = [f"{key}={value}" for key, value in (params or {}).items()]
        self.rows = list(rows or [])

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's hook: make the launcher."""
        self.context, self.composed = hydra_context, config
        if KEY in config:
            self.rows += Published.of(OmegaConf.to_container(config[KEY])).members()  # type: ignore[arg-type]
        self.runner = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Hand the launcher all members, in batches where `max_batch_size` asks for them."""
        members = self._members(arguments)
        if not isinstance(self.runner, SweepLauncher):
            for member in members:  # ours composes and checks all of them itself
                if self.context.config_loader.load_sweep_config(self.composed, member).get("stages"):
                    raise ConfigError("stages: only the segsweep launcher trains chains, on this machine")
        size = self.max_batch_size or len(members)
        batches = [members[first : first + size] for first in range(0, len(members), size)]
        returns = [self.runner.launch(b, initial_job_idx=i * size) for i, b in enumerate(batches)]
        # Reading a value raises what a job of another launcher ended with.
        return [[result.return_value for result in batch] for batch in returns]

    def _members(self, arguments: list[str]) -> list[list[str]]:
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        (members,) = BasicSweeper.split_arguments(parser.parse_overrides([*self.params, *arguments]), None)
        if not self.rows:
            return members
        COMMAND.members = {row: [_combine(row, member) for member in members] for row in self.rows}
        combined = [member for row in self.rows for member in COMMAND.members[row]]
        return [list(member) for member in dict.fromkeys(combined)]


def _combine(row: str, member: Sequence[str]) -> tuple[str, ...]:
    """A row's overrides where the member has no word on them, then the member's.

    A member that chooses other tests than the row takes no option of the row's tests either.

    Raises:
        ConfigError: the member names the part of the network that the row is about.
    """
    said = {key_of(override): override for override in member}
    kept = []
    for override in row.split():
        key = key_of(override)
        clash = said.get(key, said.get(key.split(".")[0]))
        if clash is None:
            kept.append(override)
        elif key.split(".")[0] in ("backbone", "head"):
            raise ConfigError(
                f"{clash}: the experiment's rows say this themselves ({override}); leave it out, or train "
                "that network without the experiment"
            )
    return (*kept, *member)


class SweepLauncher(Launcher):
    """Runs the members of a sweep in order on this machine."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's hook: keep what is needed to compose members."""
        self.context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Plan all, then do all; a member that fails leaves the others alone."""
        members = self._plan(job_overrides)
        if COMMAND.collect is not None:
            return [_job_return(overrides) for overrides in job_overrides]
        sweep = Sweep.of(members)
        for member in members:
            member.config["sweep"] = sweep.name
            write(member)
        sweep.write()
        log.info(f"sweep {sweep.name}: {len(job_overrides)} members, {len(members)} runs")
        COMMAND.sweeps.append(sweep)
        for number, member in enumerate(members, 1):
            reason = self._do(member, f"[{number}/{len(members)}] {sweep.label(member.folder)}")
            if reason is not None:
                sweep.reasons[member.id] = reason
        return [_job_return(overrides) for overrides in job_overrides]

    def _plan(self, job_overrides: Sequence[Sequence[str]]) -> list[Member]:
        """Compose and check every member before any is written.

        Raises:
            ConfigError: one is wrong, unless the sweep says `skip_invalid=true`.
        """
        skip = any(
            override.lower().lstrip("+") == "skip_invalid=true" for o in job_overrides for override in o
        )
        shared = set.intersection(*map(set, job_overrides))
        composer = Composer(self.context, self.config)
        members, problems = [], []
        for overrides in job_overrides:
            try:
                member = composer.member(overrides)
                if COMMAND.collect is not None:
                    COMMAND.collect(member)
                else:
                    check_member(member, COMMAND.may_train)
                members.append(member)
            except UserError as error:
                own = [override for override in overrides if override not in shared]
                problems.append(f"{' '.join(own or overrides)}: {error}")
        for problem in problems if skip else ():
            log.info(f"skipped {problem}")
        if problems and not skip:
            raise ConfigError(_too_bad(problems, len(job_overrides)))
        if not members:
            raise ConfigError("no member of the sweep can be built; see the lines above")
        return merge(members)

    def _do(self, member: Member, title: str) -> str | None:
        """Execute one member in a process of its own; the reason where it failed."""
        folder = member.folder
        if member.parent is not None and member.parent.folder.status()["state"] != "done":
            log.info(f"{title}: not started, as its parent {member.parent.id} is not done")
            return f"its parent {member.parent.id} is not done"
        if folder.is_complete(member.config):
            log.info(f"{title}: done already")
            return None
        log.info(f"{title}: run {folder.id} …")
        command = [sys.executable, "-m", "segsweep", "execute", str(folder.path)]
        with folder.log.open("a") as output:
            returncode = run_process(command + ([] if COMMAND.may_train else ["--no-train"]), output)
        return _reason(folder, returncode)


def _reason(folder: RunFolder, returncode: int) -> str | None:
    status = folder.status()
    if returncode == 0:
        log.info(f"  {status['state']} in {status.get('train_seconds', 0):.0f} s")
        return None
    how = f"killed by signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
    reason = str(status.get("error") or how)
    log.info(f"  {status['state']}: {reason} (see {folder.log})")
    return reason


def _too_bad(problems: Sequence[str], members: int) -> str:
    shown = "\n  ".join(problems[:5]) + (f"\n  … and {len(problems) - 5} more" if len(problems) > 5 else "")
    return (
        f"{len(problems)} of {members} members cannot be built, so none was started "
        f"(skip_invalid=true leaves them out):\n  {shown}"
    )


def _job_return(overrides: Sequence[str]) -> JobReturn:
    result = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
    result.return_value = None
    return result
