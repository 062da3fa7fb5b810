"""Planning a sweep: every member composed, checked and merged before any is written."""

import logging
from collections.abc import Sequence

from hydra.types import HydraContext
from omegaconf import DictConfig

from segsweep.errors import ConfigError, UserError
from segsweep.planning.composer import Composer
from segsweep.planning.plan import Member, check_member
from segsweep.sweeps.sweep import COMMAND

log = logging.getLogger("segsweep")

SHOWN = 5
"""Problems that a message lists."""


class Planner:
    """Turns the overrides of members into runs."""

    def __init__(self, context: HydraContext, config: DictConfig) -> None:
        self.composer = Composer(context, config)

    def plan(self, job_overrides: Sequence[Sequence[str]]) -> list[Member | None]:
        """The run that each member asks for, the last of its chain; None for one that is left out.

        Raises:
            ConfigError: a member is wrong, unless the sweep says `skip_invalid=true`.
        """
        members: list[Member | None] = []
        problems = []
        for overrides, words in zip(job_overrides, named(job_overrides), strict=True):
            try:
                members.append(self._member(overrides))
            except UserError as error:
                members.append(None)
                if COMMAND.problem is None:
                    problems.append(f"{words}: {error}")
                else:
                    COMMAND.problem(words, error)
        if problems and not _skips(job_overrides):
            raise ConfigError(_too_bad(problems, len(job_overrides)))
        for problem in problems:
            log.info(f"skipped {problem}")
        if not any(members) and COMMAND.problem is None:
            raise ConfigError("no member of the sweep can be built; see the lines above")
        return members

    def _member(self, overrides: Sequence[str]) -> Member:
        member = self.composer.member(overrides)
        if COMMAND.collect is not None:
            COMMAND.collect(member)
        else:
            check_member(member, COMMAND.may_train)
        return member


def named(members: Sequence[Sequence[str]]) -> list[str]:
    """Each member by those of its overrides that are not everyone's."""
    shared = set.intersection(*map(set, members)) if members else set()
    own = [[override for override in overrides if override not in shared] for overrides in members]
    return [" ".join(some or overrides) for some, overrides in zip(own, members, strict=True)]


def _skips(job_overrides: Sequence[Sequence[str]]) -> bool:
    said = {override.lower().lstrip("+") for overrides in job_overrides for override in overrides}
    return "skip_invalid=true" in said


def _too_bad(problems: Sequence[str], members: int) -> str:
    shown = "\n  ".join(problems[:SHOWN])
    more = f"\n  … and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return (
        f"{len(problems)} of {members} members cannot be built, so none was started "
        f"(skip_invalid=true leaves them out):\n  {shown}{more}"
    )
