"""A member: one planned run, from its resolved configuration to its run folder."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segsweep.config.groups import GLOBAL, files, is_global, read
from segsweep.config.schema import GROUPS, RunConfig
from segsweep.config.trainer import AUTO
from segsweep.config.values import RULES, check_choices, check_keys, check_types, check_values, of_one_network
from segsweep.errors import ConfigError, FileError, OptionError, UserError
from segsweep.files import write_groups
from segsweep.planning.content import Found, classes_found, find
from segsweep.planning.experiment import KEY
from segsweep.planning.precision import with_precision
from segsweep.runs import layout
from segsweep.runs.contents import Plan, State
from segsweep.runs.documents import yaml_text
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import identity, is_without_data
from segsweep.runs.targets import foreign
from segsweep.runs.versions import IDENTITY_VERSION, with_echoes

log = logging.getLogger("segsweep")

SHOWN = 3  # runs that a line names
NOT_OF_A_RUN = ("hydra", KEY)
"""What a composed configuration has beside the run's own: Hydra's settings, and a paper's table."""


@dataclass(frozen=True)
class Member:
    """One planned run, as one command or one member of a sweep asks for it.

    `own` is its identity without what its data hold: these are looked at when it is asked which run it is.
    """

    config: RunConfig
    own: dict[str, Any]
    choices: dict[str, str]
    overrides: tuple[str, ...]
    stage: str | None = None
    parent: "Member | None" = None
    """The stage before this one in a chain."""

    @cached_property
    def found(self) -> Found:
        """Which run it is."""
        return find(self.own, self.config, self.parent.id if self.parent else None)

    @property
    def id(self) -> str:
        """The run's id."""
        return self.found.id

    @property
    def identity(self) -> dict[str, Any]:
        """What makes the run what it is."""
        return self.found.identity

    def lineage(self) -> "list[Member]":
        """Return the stages before this one, the first of them first, and this one."""
        return [*(self.parent.lineage() if self.parent else ()), self]

    @property
    def folder(self) -> RunFolder:
        """Where it lives; what its configuration names was named by the command that planned it."""
        return RunFolder(Path(self.config.runs_dir) / self.id, foreign(self.config))

    def record(self) -> Plan:
        """What its plan.json says."""
        record: dict[str, Any] = {
            "id": self.id,
            "identity_version": IDENTITY_VERSION,
            "identity": with_echoes(self.identity),
            "choices": self.choices,
            "overrides": list(self.overrides),
        }
        if self.stage is not None:
            record["stage"] = self.stage
            record["parent"] = self.parent.id if self.parent else None
            record["lineage"] = {str(m.stage): with_echoes(m.identity) for m in self.lineage()[:-1]}
        return Plan.of(record)

    def yaml(self) -> str:
        """Return its configuration as config.yaml keeps it."""
        return yaml_text({**self.config, "force": False})


def planned(
    resolved: dict[str, Any],
    choices: dict[str, str],
    overrides: Sequence[str],
    stage: str | None = None,
    parent: Member | None = None,
) -> Member:
    """Return the member of a resolved configuration, with what is found for `auto` and null written out.

    Raises:
        ConfigError: a wrong value, several choices where one is expected, or parts beside a whole network.
    """
    check_choices(overrides)
    check_keys(resolved, overrides)
    check_types(resolved, choices)
    resolved = of_one_network(resolved, choices, overrides)
    RULES["runs_dir"].check("runs_dir", resolved["runs_dir"])
    resolved = {**resolved, "trainer": with_precision(resolved["trainer"])}
    resolved = {**resolved, "dataset": with_name(resolved["dataset"])}
    if resolved["num_classes"] is None:
        resolved = {**resolved, "num_classes": classes_found(resolved["dataset"])}
    if resolved["augment"].get("extra"):
        # What extra transforms fill labels with shapes the weights, so it is written out as part of the run.
        from segsweep.data.extra import with_ignored_fill  # takes seconds to import

        resolved = {**resolved, "augment": with_ignored_fill(resolved["augment"])}
    # Callbacks have names of their own, and may be a list; runs before them have no such choice.
    named = [key for key, counts in GROUPS.items() if counts and key in resolved and key != "callbacks"]
    groups = {group: choices[group] for group in named if choices.get(group) is not None}
    return Member(RunConfig.of(resolved), identity(resolved), groups, tuple(overrides), stage, parent)


def with_name(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return a dataset's options with its folder's name for `name: auto`: a run keeps it if the data move."""
    if dataset.get("name") != AUTO or "root" not in dataset:
        return dataset
    root = os.path.abspath(Path(str(dataset["root"])).expanduser())  # noqa: PTH100 — keeps links' names
    return {**dataset, "name": Path(root).name}


def resolve(config: DictConfig) -> dict[str, Any]:
    """Return a composed configuration as plain values, with a size of two numbers.

    Raises:
        ConfigError: a value that refers to nothing, or one that the dataset's file does not set.
    """
    for _, file in files("dataset") if "dataset" in config.dataset else ():
        if "dataset" in read(file) and not is_global(file):
            raise FileError(file, "it sets options outside dataset too", f"its first line must be '{GLOBAL}'")
    for key in ("num_classes", "size"):
        if OmegaConf.is_missing(config, key):
            raise OptionError(key, problem="the dataset's file does not set it", remedy=f"add {key}: … there")
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key not in NOT_OF_A_RUN])
    if isinstance(config.size, int):
        config.size = [config.size, config.size]
    try:
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True, enum_to_str=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).split("\n")[0]) from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def check_member(member: Member, may_train: bool = True, is_parent: bool = False) -> None:
    """Build what the member names, unless all of it is done already.

    Data that cannot be read are an error, as they decide which run is asked for; only a stage that is done
    and that others start from needs none.

    Raises:
        UserError: it cannot be built, its data cannot be read, or it is not trained and may not be.
    """
    check_values(member.config)
    if member.parent is not None:
        check_member(member.parent, may_train, is_parent=True)
    unread = member.found.unread
    done = member.folder.is_complete(member.config) and not member.config.force
    if done and (unread is None or is_parent):
        return
    if unread is None and not may_train and member.folder.status().state is not State.DONE:
        raise UserError(f"run {member.id} is not trained yet: give its command to segsweep train first")
    # Imported here: the networks take seconds to import, and asking for a run that is done needs none.
    from segsweep.planning.dry_build import check

    check(member.config)
    if unread is not None:
        raise unread


def note_older(members: Sequence[Member]) -> None:
    """Log which runs may have been trained on other data than those that are there now."""
    for member in members:
        if member.found.unread is not None:
            log.info(f"{member.id} is done, and found without its data: {member.found.unread}")
    older = [member.id for member in members if is_without_data(member.identity)]
    if older:
        named = ", ".join(older[:SHOWN]) + (" …" if len(older) > SHOWN else "")
        log.info(
            f"{named}: not fingerprinted, as an earlier segsweep planned it: whether it was trained on the "
            "data that are there now is not known; force=true trains a run of which it is"
        )


def merge(members: Sequence[Member]) -> list[Member]:
    """Return one member for each run, with the tests of all that ask for it, by first mention.

    Stages that members have in common are one run; each comes before the runs that start from it.
    """
    merged: dict[str, Member] = {}
    for member in (stage for last in members for stage in last.lineage()):
        tests = merged[member.id].config.test if member.id in merged else {}
        config = member.config.changed(test={**tests, **member.config.test})
        merged[member.id] = replace(member, config=config)
    return list(merged.values())


def duplicates(members: Sequence[Member]) -> dict[str, list[tuple[str, ...]]]:
    """Return the overrides of members that are one run, by its id."""
    same: dict[str, list[tuple[str, ...]]] = {}
    for member in members:
        same.setdefault(member.id, []).append(member.overrides)
    return {id: some for id, some in same.items() if len(some) > 1}


def documents(members: Sequence[Member]) -> str:
    """Return the resolved configurations of runs as YAML documents, each under its id and stage."""
    heads = [f"# run {m.id}" + (f", stage {m.stage}" if m.stage else "") for m in members]
    return "".join(f"---\n{head}\n{m.yaml()}" for head, m in zip(heads, members, strict=True))


def write(member: Member) -> RunFolder:
    """Write the member's run folder, or renew the part of it that may change.

    Raises:
        UserError: the folder cannot be written.
    """
    write_all([member])
    return member.folder


def write_all(members: Sequence[Member]) -> None:
    """Write the run folders of merged members, as `write` does one.

    Raises:
        UserError: a folder cannot be written.
    """
    for member in members:
        if member.config.force:
            set_aside(member.folder)
    write_groups([member.folder.plan_files(member.record(), member.yaml()) for member in members])


def set_aside(folder: RunFolder) -> None:
    """Move an existing run folder to runs_dir/replaced: force trains again, but nothing is lost."""
    if not folder.path.exists():
        return
    with folder.hold():
        replaced = folder.path.parent / layout.REPLACED
        replaced.mkdir(exist_ok=True)
        ends = [path.suffix.removeprefix(".") for path in replaced.glob(f"{folder.id}.*")]
        number = 1 + max((int(end) for end in ends if end.isdigit()), default=0)
        folder.path.rename(replaced / f"{folder.id}.{number}")
