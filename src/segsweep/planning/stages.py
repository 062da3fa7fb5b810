"""Staged schedules: `stages` turns one configuration into a chain of runs, each the parent of the next.

A stage is written as the part of the configuration that it changes. The command line, a sweep and an
experiment win over the stages' files, in every stage; `stages.NAME.key=value` sets a value in one stage.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

from segsweep.errors import ConfigError, near

WHEN = "when"
"""Key of what a stage sets with certain choices only: `when: {backbone=mobilenetv2: {batch_size: 32}}`."""


@dataclass(frozen=True)
class Given:
    """What is set outside a stage's file, and wins over it.

    keys: options and groups. choices: the choice of each group among them.
    """

    keys: frozenset[str] = frozenset()
    choices: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Iterable[tuple[str, Any]], is_group: Callable[[str], bool]) -> "Given":
        """Collect what these settings set, the later of two for one group."""
        settings = list(settings)
        choices = {key: value for key, value in settings if is_group(key) and isinstance(value, str)}
        return cls(frozenset(key for key, _ in settings), choices)


def stage_overrides(
    stage: Mapping[str, Any], given: Given, defaults: Mapping[str, Any], is_group: Callable[[str], bool]
) -> list[str]:
    """Return a stage as Hydra overrides, omitting what is given elsewhere.

    If a group is given another choice than the stage's, the stage's options of that group are omitted too:
    they belong to its own choice. What stands under `when` names the choices that it goes with.

    Args:
        stage: nested configuration; a name where the configuration has a group chooses from that group.
        given: set by the command line, the sweep, the experiment, or `stages.NAME.key=value`.
        defaults: the choice of each group that the stage does not choose.
        is_group: whether a key is a configuration group.

    Raises:
        ConfigError: a condition under `when` that names no group.
    """
    own = dict(flatten({key: value for key, value in stage.items() if key != WHEN}))
    before = {**defaults, **{key: value for key, value in own.items() if is_group(key)}}
    chosen = {**before, **given.choices}
    replaced = {group for group, choice in chosen.items() if choice != before.get(group)}
    settings = {key: value for key, value in own.items() if key.split(".")[0] not in replaced}
    for condition, content in (stage.get(WHEN) or {}).items():
        if holds(condition, chosen, is_group):
            settings |= dict(flatten(content))
    kept = [(key, value) for key, value in settings.items() if key not in given.keys]
    # Groups first: their files set what values then change.
    kept.sort(key=lambda setting: not is_group(setting[0]))
    return [
        f"{key}={value if is_group(key) and isinstance(value, str) else spell(value)}" for key, value in kept
    ]


def holds(condition: str, chosen: Mapping[str, Any], is_group: Callable[[str], bool]) -> bool:
    """Return whether every `group=choice,choice…` of a condition holds; a choice may be a pattern."""
    found = True
    for part in condition.split():
        group, _, choices = part.partition("=")
        if not choices or not is_group(group):
            raise ConfigError(f"stages: {WHEN}: {condition}: expected group=choice, such as head=ksac,aspp")
        found &= any(fnmatch(str(chosen.get(group)), choice) for choice in choices.split(","))
    return found


def of_a_stage(override: str, name: str | None = None) -> bool:
    """Return whether an override is for one stage, or for this one: `stages.NAME.key=value`."""
    return key_of(override).startswith("stages." if name is None else f"stages.{name}.")


def in_stage(name: str, override: str) -> str:
    """Return `stages.NAME.key=value` as it is within the stage: `key=value`."""
    return override.lstrip("+").removeprefix(f"stages.{name}.")


def key_of(override: str) -> str:
    """Return the key of an override."""
    return override.partition("=")[0].lstrip("+~")


def group_of(override: str) -> str:
    """Return the first word of an override's key: the group that it chooses or sets an option of."""
    return key_of(override).partition(".")[0]


def setting_of(override: str) -> tuple[str, str]:
    """Return the key of an override, and its value as it is spelled."""
    return key_of(override), override.partition("=")[2].strip("'\"")


def check_names(overrides: Sequence[str], stages: Iterable[str]) -> None:
    """Raise ConfigError if an override is for a stage that the chain does not have."""
    stages = [str(name) for name in stages]
    for override in overrides:
        name = key_of(override).split(".")[1]
        if name not in stages:
            raise ConfigError(f"{override.lstrip('+')}: the chain has no stage {name}; {near(name, stages)}")


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested settings with their dotted keys; an empty mapping is a value."""
    for name, value in settings.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{key}.")
        else:
            yield key, value


def spell(value: Any) -> str:
    """Spell a value in Hydra's override grammar."""
    if isinstance(value, list | tuple):
        return f"[{','.join(spell(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{spell(item)}" for key, item in value.items()) + "}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, str):
        escaped = value.replace("'", "\\'")
        return f"'{escaped}'"
    return str(value)
