"""Whether a command's members belong to an existing sweep.

A sweep may grow along its axes. If a setting that all of its runs had in common has changed, everything would
be trained again under the old name: that is refused with a message that names the changes.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segsweep.errors import ConfigError, DamagedFileError, as_typed
from segsweep.planning.plan import Member
from segsweep.runs import layout
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import CONTENT
from segsweep.runs.journal import Journal

log = logging.getLogger("segsweep")

ALWAYS_AN_AXIS = ("seed",)
"""Keys that may change from command to command, besides those outside a run's identity."""
SHOWN = 3

Settings = dict[str | None, list[dict[str, Any]]]  # choices and identity of each run, by stage


def unnamed_sweep_of(runs_dir: Path, ids: set[str]) -> str | None:
    """Return the oldest unnamed sweep whose runs are a subset or superset of these, or None."""
    found = []
    for path in (runs_dir / layout.SWEEPS).glob("*.json"):
        try:
            record = Journal(runs_dir, path.stem).read()
        except DamagedFileError as error:
            log.warning(f"left out: {error}")
            continue
        known = set(record.runs) if record else set()
        if record and known and not record.named and (known <= ids or ids <= known):
            found.append((record.started, path.stem))
    return min(found)[1] if found else None


def check_settings(journal: Journal, runs_dir: Path, members: Sequence[Member]) -> None:
    """Raise ConfigError if a setting shared by all of a sweep's runs has another value in all new members.

    If they have a run in common, the change is a new axis, as is any change to a sweep of one run.
    """
    known = {member.run for member in journal.members()}
    before = [run for run in (RunFolder(runs_dir / id) for id in known) if layout.is_run(run.path)]
    if len(before) < 2 or known & {member.id for member in members}:
        return
    old = _by_stage((run.plan.stage, run.plan.choices, run.plan.identity) for run in before)
    new = _by_stage((member.stage, member.choices, member.identity) for member in members)
    changes = _changes(old, new)
    if changes:
        shown = ", ".join(f"{key} was {was} and is {is_now}" for key, (was, is_now) in changes[:SHOWN])
        more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        key, (was, is_now) = changes[0]
        raise ConfigError(
            f"sweep={journal.name}: none of its {len(before)} runs is asked for, as {shown}{more}; give "
            f"another name, the old value, or both as an axis ({key}={was},{is_now})"
        )


def _changes(old: Settings, new: Settings) -> list[tuple[str, tuple[str, str]]]:
    """Return keys with one value in all old runs of a stage and another one in all new runs of it."""
    found: dict[str, dict[str | None, tuple[str, str]]] = {}
    stages = [stage for stage in new if stage in old]
    for stage in stages:
        for key in dict.fromkeys(key for one in [*old[stage], *new[stage]] for key in one):
            if _of_another_choice(key, old[stage], new[stage]):
                continue
            was, is_now = (_values(key, some[stage]) for some in (old, new))
            if len(was) == len(is_now) == 1 and was != is_now and key not in ALWAYS_AN_AXIS:
                found.setdefault(key, {})[stage] = (was.pop(), is_now.pop())
    changes = []
    for key, by_stage in found.items():
        if "." in key and key.split(".")[0] in found:
            continue  # another choice has other options
        if len(by_stage) == len(stages) and len(set(by_stage.values())) == 1:
            changes.append((key, next(iter(by_stage.values()))))
        else:
            changes += [(f"stages.{stage}.{key}", change) for stage, change in by_stage.items()]
    return changes


def _values(key: str, some: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the values that runs have of a key; a fingerprint that is not known yet does not count."""
    return {as_typed(one.get(key)) for one in some if key != CONTENT or key in one}


def _of_another_choice(key: str, *both: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether an option belongs to a choice that only new runs have: then the choice is the axis."""
    old, new = ({one.get(key.split(".")[0]) for one in some} for some in both) if "." in key else ((), ())
    return len(old) > 1 and not set(new) <= set(old)


def _by_stage(rows: Iterable[tuple[str | None, Mapping[str, Any], Mapping[str, Any]]]) -> Settings:
    found: Settings = {}
    for stage, choices, identity in rows:  # choices first: `head=ksac` says more than its options do
        found.setdefault(stage, []).append({**choices, **identity})
    return found
