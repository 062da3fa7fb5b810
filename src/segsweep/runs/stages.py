"""Staged schedules: `stages` turns one configuration into a chain of runs, each the parent of the next.

A stage is written as the part of the configuration that it changes. What the command line or a sweep says
wins over the stages' files, in every stage; `stages.NAME.key=value` on the command line speaks of one stage.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from segsweep.errors import ConfigError, near


def stage_overrides(
    stage: Mapping[str, Any], said: Sequence[str], is_group: Callable[[str], bool]
) -> list[str]:
    """A stage as Hydra overrides, without what `said` (the member's own overrides) has a word on.

    Args:
        stage: nested configuration; a name where the configuration has a group chooses from that group.
        said: overrides of the command line or sweep, `key=value`.
        is_group: whether a key is a configuration group.
    """
    keys = [override.partition("=")[0].lstrip("+~") for override in said]
    changes = list(_flatten(stage, is_group))
    kept = [
        (key, value)
        for key, value in changes
        if key not in keys and not (value_of_group(key, keys) and not is_group(key))
    ]
    # Groups first: their files set what values then change.
    kept.sort(key=lambda change: not is_group(change[0]))
    return [
        f"{key}={value if is_group(key) and isinstance(value, str) else _spell(value)}" for key, value in kept
    ]


def value_of_group(key: str, keys: Sequence[str]) -> bool:
    """Whether a data set's own option is meant while the command line chooses another data set."""
    return key.startswith("dataset.") and "dataset" in keys


def check_names(said: Sequence[str], stages: Mapping[str, Any]) -> None:
    """Raise ConfigError where an override speaks of a stage that the chain does not have."""
    for override in said:
        parts = override.partition("=")[0].lstrip("+~").split(".")
        if parts[0] == "stages" and len(parts) > 1 and parts[1] not in stages:
            raise ConfigError(f"{override}: the chain has no stage {parts[1]}; {near(parts[1], stages)}")


def _flatten(
    stage: Mapping[str, Any], is_group: Callable[[str], bool], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, value in stage.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, is_group, f"{key}.")
        else:
            yield key, value


def _spell(value: Any) -> str:
    """A value as Hydra's override grammar has it."""
    if isinstance(value, list | tuple):
        return f"[{','.join(_spell(item) for item in value)}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, str):
        escaped = value.replace("'", "\\'")
        return f"'{escaped}'"
    return str(value)
