"""The sweeper behind `-m`: which members a sweep has."""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from segsweep.config.groups import with_null
from segsweep.errors import ConfigError
from segsweep.planning.paper_table import KEY, Published
from segsweep.planning.stages import key_of
from segsweep.planning.unlike import fitted
from segsweep.sweeps.launchers.base import SweepLauncher
from segsweep.sweeps.launchers.foreign import ForeignLauncher
from segsweep.sweeps.sweep import COMMAND


class PlanningSweeper(Sweeper):
    """Hydra's product of axes, with rows beside them, and with the check of members left to our launchers.

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
        runner = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.runner = runner if isinstance(runner, SweepLauncher) else ForeignLauncher(runner)
        self.runner.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        """Hand the launcher all members, in batches where `max_batch_size` asks for them."""
        members = self._members(arguments)
        size = self.max_batch_size or len(members)
        batches = [members[first : first + size] for first in range(0, len(members), size)]
        for number, batch in enumerate(batches):
            self.runner.launch(batch, initial_job_idx=number * size)

    def _members(self, arguments: list[str]) -> list[list[str]]:
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        (split,) = BasicSweeper.split_arguments(parser.parse_overrides([*self.params, *arguments]), None)
        members = [[_as_given(override) for override in member] for member in split]
        rows = [(row, _combine(row, member)) for row in self.rows or [""] for member in members]
        asked = [combined for _, combined in rows]
        fitting = fitted(asked, self.runner.planner.composer)
        if not self.rows and fitting == asked:
            return members  # with those that are given twice, which the plan tells
        if self.rows:
            COMMAND.members = {row: [] for row in self.rows}
            for (row, _), member in zip(rows, fitting, strict=True):
                COMMAND.members[row].append(member)
        return [list(member) for member in dict.fromkeys(fitting)]


def _as_given(override: str) -> str:
    """An override as the user gave it, where Hydra was told to add the option, or knows no null."""
    return with_null(override.lstrip("+") if key_of(override) in COMMAND.forced else override)


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
