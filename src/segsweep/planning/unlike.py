"""Sweeps over choices with unlike options, such as heads with atrous rates and a baseline without.

A member whose own choice lacks an option of the sweep leaves it out, so that the baseline is run once beside
pyramids at several rates. An option that no member has is a mistake, and stays for the composer to tell.
"""

import logging
from collections.abc import Sequence

from segsweep.errors import ConfigError
from segsweep.planning.composer import Composer
from segsweep.planning.stages import key_of, of_a_stage

log = logging.getLogger("segsweep")


def fitted(members: Sequence[Sequence[str]], composer: Composer) -> list[tuple[str, ...]]:
    """Return each member without the options that its choices lack and another member's have; log which."""
    pairs = [(member, _lacking(member, composer)) for member in members]
    had = {key_of(override) for member, missed in pairs for override in member if override not in missed}
    found: list[tuple[str, ...]] = []
    lines: dict[str, None] = {}
    for member, missed in pairs:
        for override in (o for o in missed if key_of(o) in had):
            lines[f"{missed[override]} has no {key_of(override)}: run once, without it"] = None
        found.append(tuple(o for o in member if o not in missed or key_of(o) not in had))
    for line in lines:
        log.info(line)
    return found


def _lacking(member: Sequence[str], composer: Composer) -> dict[str, str]:
    """The overrides whose option the member's own choice of a group does not have, with that choice."""
    chosen = {key_of(override): override for override in member}
    try:
        missed = composer.lacking(member)
    except ConfigError:  # told when the member is composed
        return {}
    groups = {override: key_of(override).split(".")[0] for override in missed if not of_a_stage(override)}
    return {override: chosen[group] for override, group in groups.items() if group in chosen}
