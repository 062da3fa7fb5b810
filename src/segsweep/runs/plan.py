"""Planning: from a composed configuration to a run folder that says what is to be done."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segsweep.errors import ConfigError, UserError
from segsweep.runs import published
from segsweep.runs.compatibility import IDENTITY_VERSION
from segsweep.runs.config.types import check_types
from segsweep.runs.folder import PREDICTIONS, RunFolder
from segsweep.runs.identity import identity, run_id

GROUPS = ("backbone", "head", "dataset", "augment", "sampling", "loss", "optimizer", "scheduler", "trainer")
NOT_OF_A_RUN = ("hydra", published.KEY)
"""What a composed configuration has beside the run's own: Hydra's settings, and a paper's table."""


@dataclass(frozen=True)
class Member:
    """One planned run, as one command or one member of a sweep asks for it."""

    id: str
    config: dict[str, Any]
    choices: dict[str, str]
    overrides: tuple[str, ...]
    stage: str | None = None
    parent: "Member | None" = None
    """The stage before this one in a chain."""

    def lineage(self) -> "list[Member]":
        """The stages before this one, the first of them first, and this one."""
        return [*(self.parent.lineage() if self.parent else ()), self]

    @property
    def folder(self) -> RunFolder:
        """Where it lives."""
        return RunFolder(Path(self.config["runs_dir"]) / self.id)


def plan(
    config: DictConfig,
    choices: dict[str, str],
    overrides: Sequence[str],
    stage: str | None = None,
    parent: Member | None = None,
) -> Member:
    """Resolve a composed configuration; nothing is built or written.

    Raises:
        ConfigError: a value that refers to nothing, or a size that is none.
    """
    resolved = _resolve(config)
    check_types(resolved, choices)
    wanted = resolved["predictions"]
    if wanted not in (None, *PREDICTIONS):
        raise ConfigError(f"predictions={wanted}: expected null, {' or '.join(PREDICTIONS)}")
    if not resolved["runs_dir"]:
        raise ConfigError("runs_dir is empty: expected a folder")
    groups = {group: choices[group] for group in GROUPS if choices.get(group) is not None}
    own_id = run_id(resolved, parent.id if parent else None)
    return Member(own_id, resolved, groups, tuple(overrides), stage, parent)


def _resolve(config: DictConfig) -> dict[str, Any]:
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key not in NOT_OF_A_RUN])
    if isinstance(config.size, int):
        config.size = [config.size, config.size]
    try:
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True, enum_to_str=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).split("\n")[0]) from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def check_member(member: Member, may_train: bool = True) -> None:
    """Build what the member names, once for each distinct combination, unless all of it is done already.

    Raises:
        UserError: it cannot be built, or it is not trained and may not be.
    """
    if member.parent is not None:
        check_member(member.parent, may_train)
    if member.folder.is_complete(member.config) and not member.config["force"]:
        return
    if not may_train and member.folder.status()["state"] != "done":
        raise UserError(f"run {member.id} is not trained yet: give its command to segsweep train first")
    dataset = {**member.config["dataset"], "seed": 0}
    _check_once(json.dumps({**member.config, "seed": 0, "dataset": dataset}, sort_keys=True))


@cache
def _check_once(config: str) -> None:
    # Imported here: the networks take seconds to import, and asking for a run that is done needs none.
    from segsweep.runs.build import check

    check(json.loads(config))


def merge(members: Sequence[Member]) -> list[Member]:
    """One member for each run, with the tests of all that ask for it, in the order of first mention.

    Stages that members have in common are one run; each comes before those that start from it.
    """
    merged: dict[str, Member] = {}
    for member in (stage for last in members for stage in last.lineage()):
        tests = merged[member.id].config["test"] if member.id in merged else {}
        config = {**member.config, "test": {**tests, **member.config["test"]}}
        merged[member.id] = replace(member, config=config)
    return list(merged.values())


def write(member: Member) -> RunFolder:
    """Write the member's run folder, or renew the part of it that may change.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = member.folder
    if member.config["force"]:
        _set_aside(folder)
    record: dict[str, Any] = {
        "id": member.id,
        "identity_version": IDENTITY_VERSION,
        "identity": identity(member.config),
        "choices": member.choices,
        "overrides": list(member.overrides),
    }
    if member.stage is not None:
        record["stage"] = member.stage
        record["parent"] = member.parent.id if member.parent else None
        record["lineage"] = {str(m.stage): identity(m.config) for m in member.lineage()[:-1]}
    folder.write_plan(record, OmegaConf.to_yaml({**member.config, "force": False}))
    return folder


def _set_aside(folder: RunFolder) -> None:
    """Move what stands there to runs_dir/replaced: force trains again, but nothing is lost."""
    if not folder.path.exists():
        return
    with folder.hold():
        replaced = folder.path.parent / "replaced"
        replaced.mkdir(exist_ok=True)
        number = sum(1 for path in replaced.iterdir() if path.name.startswith(folder.id)) + 1
        folder.path.rename(replaced / f"{folder.id}.{number}")
