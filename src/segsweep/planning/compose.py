"""From a command's arguments to members: a single run is a sweep of one, composed by the same code.

Every member of a sweep is composed, and checked if the caller says how, before anything is written.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from segsweep.errors import ConfigError, UserError
from segsweep.planning.arguments import Arguments
from segsweep.planning.axes import Axes, as_given, expand
from segsweep.planning.composer import Composer
from segsweep.planning.explain import explained
from segsweep.planning.hydra_private import Application, context_of, parse_flags
from segsweep.planning.plan import Member, documents, merge

log = logging.getLogger("segsweep")

SHOWN = 5
"""Problems that a message lists."""

Check = Callable[[Member], object]
"""Raises UserError if a member cannot be used."""


def compose(command: str, arguments: Sequence[str], check: Check | None = None) -> list[Member]:
    """Compose the runs that the arguments of a command name, in order; nothing is written or started.

    A chain is given by its last stage. The list is empty if Hydra was asked to print the configuration.

    Raises:
        ConfigError: a member is wrong, unless the sweep says `skip_invalid=true`.
    """
    request = Request(command, arguments)
    return [] if request.show() else request.compose(check).sound()


@dataclass(frozen=True)
class Composed:
    """The members of a sweep, and what is wrong with those that cannot be used.

    members: in the order in which they were asked for; None for one with a problem.
    problems: the overrides that tell the member from the others, and what is wrong with it.
    skips: whether such members are to be left out.
    """

    members: list[Member | None] = field(default_factory=list)
    problems: list[tuple[str, UserError]] = field(default_factory=list)
    skips: bool = False

    def sound(self) -> list[Member]:
        """Return the members without a problem.

        Raises:
            ConfigError: some have one, unless the sweep says `skip_invalid=true`; or all have.
        """
        lines = [f"{words}: {error}" for words, error in self.problems]
        if lines and not self.skips:
            more = f"\n  … and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
            raise ConfigError(
                f"{len(lines)} of {len(self.members)} members cannot be built, so none was started "
                "(skip_invalid=true leaves them out):\n  " + "\n  ".join(lines[:SHOWN]) + more
            )
        for line in lines:
            log.info(f"skipped {line}")
        sound = [member for member in self.members if member is not None]
        if not sound:
            raise ConfigError("no member of the sweep can be built; see the lines above")
        return sound


class Request:
    """What the arguments of one command ask for, as Hydra reads them."""

    def __init__(self, command: str, arguments: Sequence[str]) -> None:
        self.flags = parse_flags(command, arguments)
        self.arguments = Arguments.of(self.flags.overrides, self.flags.multirun)
        self.application = Application(self.flags)

    def show(self) -> bool:
        """Print the configuration, of a chain that of each stage, if a flag asks for it; tell if so."""
        with explained():
            ours = self.arguments.chain or self.arguments.several
            if ours and self.flags.cfg == "job" and self.flags.package is None:
                print(documents(merge(self.compose().sound())), end="")
                return True
            return self.application.show(self.arguments.hydras)

    @cached_property
    def settings(self) -> DictConfig:
        """The composed configuration without the axes of a sweep, and with Hydra's own part, `hydra`."""
        with explained():
            settings = self.application.compose(self.arguments.hydras)
            self.application.check_axes(self.arguments.hydras, self.is_sweep_by(settings))
        return settings

    @property
    def is_sweep(self) -> bool:
        """Whether the command is one for a launcher: a sweep, or a chain of stages."""
        return self.is_sweep_by(self.settings)

    def is_sweep_by(self, settings: DictConfig) -> bool:
        """Return the same by the composed configuration: an experiment may ask for a sweep."""
        swept = self.flags.multirun or self.arguments.chain or settings.hydra.mode == RunMode.MULTIRUN
        return bool(swept or settings.get("stages"))

    @cached_property
    def composer(self) -> Composer:
        """What composes each member."""
        return Composer(self.application.loader, self.settings)

    @property
    def context(self) -> HydraContext:
        """What Hydra's plugins are set up with."""
        return context_of(self.application.loader, self.settings)

    @property
    def overrides(self) -> list[str]:
        """The overrides as Hydra has them, axes included, without those of its own settings."""
        found: Any = OmegaConf.to_container(self.settings.hydra.overrides.task)
        return list(found)

    @property
    def foreign_sweeper(self) -> str | None:
        """The name of the class that chooses the members, unless it is segsweep's own product of axes."""
        target = self.settings.hydra.sweeper.get("_target_")
        return None if target is None else str(target).rpartition(".")[2]

    @cached_property
    def axes(self) -> Axes:
        """The members as overrides, and which of them each row of an experiment became.

        Raises:
            ConfigError: another sweeper chooses the members, or an axis names what the rows are about.
        """
        if not self.is_sweep:
            return Axes([as_given(self.overrides, self.arguments.forced)])
        if self.foreign_sweeper is not None:
            raise ConfigError(
                f"hydra/sweeper: which members {self.foreign_sweeper} asks for is known only as they are "
                "done; leave it out, and give the axes' values"
            )
        with explained():
            return expand(self.settings, self.overrides, self.arguments.forced, self.composer)

    def compose(self, check: Check | None = None, members: Sequence[Sequence[str]] | None = None) -> Composed:
        """Compose all members, or those that a sweeper of Hydra's asks for; what is wrong is kept for each.

        Raises:
            ConfigError: the single run that is asked for cannot be composed.
        """
        asked = self.axes.members if members is None else members
        composed: list[Member | None] = []
        problems = []
        for overrides, words in zip(asked, distinct(asked), strict=True):
            try:
                member = self.composer.member(overrides)
                if check is not None:
                    check(member)
                composed.append(member)
            except UserError as error:
                if not self.is_sweep:
                    raise
                composed.append(None)
                problems.append((words, error))
        given = {override.lower().lstrip("+") for overrides in asked for override in overrides}
        return Composed(composed, problems, "skip_invalid=true" in given)


def distinct(members: Sequence[Sequence[str]]) -> list[str]:
    """Name each member by those of its overrides that not all have."""
    shared = set.intersection(*map(set, members)) if members else set()
    own = [[override for override in overrides if override not in shared] for overrides in members]
    return [" ".join(some or overrides) for some, overrides in zip(own, members, strict=True)]
