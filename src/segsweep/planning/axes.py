"""Which members a sweep has: the product of its axes, and the rows of an experiment beside them.

A paper's table is seldom a product of axes. `hydra.sweeper.rows` lists overrides, a string a row, as do the
runs of a published table. Every row is combined with every member of the product of `hydra.sweeper.params`
and the command line, which win over the row. The network is what rows are about: naming it twice is a
mistake.

Choices may have different options, such as heads with atrous rates and a baseline without. A member whose own
choice lacks an option of the sweep leaves it out, so that the baseline is run once beside pyramids at several
rates, and a whole network once beside several heads. An option that no member has is a mistake, which the
composer reports.
"""

import logging
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from segsweep.config.groups import with_null
from segsweep.config.schema import NETWORK, PARTS
from segsweep.errors import ConfigError
from segsweep.planning.composer import Composer
from segsweep.planning.experiment import KEY, Published
from segsweep.planning.hydra_private import product
from segsweep.planning.stages import group_of, key_of, of_a_stage

log = logging.getLogger("segsweep")

Overrides = tuple[str, ...]


@dataclass(frozen=True)
class Axes:
    """The members of a sweep as overrides; `rows` has those that each row of an experiment became."""

    members: list[Overrides]
    rows: dict[str, list[Overrides]] = field(default_factory=dict)
    batch: int | None = None
    """At most so many members are launched at once; None for all."""


def expand(settings: DictConfig, overrides: Sequence[str], forced: Set[str], composer: Composer) -> Axes:
    """Expand the axes and rows of a sweep.

    Args:
        settings: the composed configuration with Hydra's own part.
        overrides: those of the command line, with all values of each axis.
        forced: keys of options that Hydra was told to add, which are given as the user wrote them.
        composer: tells which options a member's choices lack.

    Raises:
        ConfigError: an override names the part of the network that the rows are about.
    """
    options, rows = settings.hydra.sweeper, list(settings.hydra.sweeper.rows or [])
    if KEY in settings:
        table: Any = OmegaConf.to_container(settings[KEY])
        rows += Published.of(table).members(bool(options.systems))
    params = [f"{key}={value}" for key, value in (options.params or {}).items()]
    parser = OverridesParser.create(config_loader=composer.loader)
    members = [as_given(member, forced) for member in product(parser.parse_overrides([*params, *overrides]))]
    asked = [(row, combine(row, member)) for row in rows or [""] for member in members]
    fitting = fit([combined for _, combined in asked], composer)
    if not rows and fitting == members:  # with those that are given twice, which the plan reports
        return Axes(members, batch=options.max_batch_size)
    found: dict[str, list[Overrides]] = {row: [] for row in rows}
    for (row, _), member in zip(asked, fitting, strict=True):
        found.setdefault(row, []).append(member)
    return Axes(list(dict.fromkeys(fitting)), found, options.max_batch_size)


def as_given(overrides: Sequence[str], forced: Set[str]) -> Overrides:
    """Return overrides as the user gave them, if Hydra was told to add options of the keys `forced`."""
    return tuple(with_null(o.lstrip("+") if key_of(o) in forced else o) for o in overrides)


def combine(row: str, member: Overrides) -> Overrides:
    """Return a row's overrides whose keys the member does not set, then the member's.

    A member that chooses other tests than the row takes no option of the row's tests either.

    Raises:
        ConfigError: the member names the part of the network that the row is about.
    """
    given = {key_of(override): override for override in member}
    kept = []
    for override in row.split():
        key = key_of(override)
        clash = given.get(key, given.get(key.split(".")[0]))
        if clash is None:
            kept.append(override)
        elif key.split(".")[0] in NETWORK:
            raise ConfigError(
                f"{clash}: the experiment's rows say this themselves ({override}); leave it out, or train "
                "that network without the experiment"
            )
    return (*kept, *member)


def fit(members: Sequence[Overrides], composer: Composer) -> list[Overrides]:
    """Return each member without the options that its choices lack and another member's have; log which."""
    lacking = []
    for member in members:
        try:
            missed = composer.lacking(member)
        except ConfigError:  # reported when the member is composed
            missed = []
        chosen = {key_of(override): override for override in member}
        whole = chosen.get("network", "network=null") != "network=null"
        groups = {override: group_of(override) for override in missed if not of_a_stage(override)}
        groups |= {override: "network" for override, group in groups.items() if whole and group in PARTS}
        lacking.append({override: chosen[group] for override, group in groups.items() if group in chosen})
    pairs = list(zip(members, lacking, strict=True))
    had = {key_of(override) for member, missed in pairs for override in member if override not in missed}
    found: list[Overrides] = []
    lines: dict[str, None] = {}
    for member, left_out in pairs:
        for override in (o for o in left_out if key_of(o) in had):
            lines[f"{left_out[override]} has no {key_of(override)}: run once, without it"] = None
        found.append(tuple(o for o in member if o not in left_out or key_of(o) not in had))
    for line in lines:
        log.info(line)
    return found
