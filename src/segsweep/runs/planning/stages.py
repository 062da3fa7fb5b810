"""Staged schedules: `stages` turns one configuration into a chain of runs, each the parent of the next.

A stage is written as the part of the configuration that it changes. What the command line or a sweep says
wins over the stages' files, in every stage; `stages.NAME.key=value` on the command line speaks of one stage.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from segsweep.errors import ConfigError, near


def stage_overrides(
    stage: Mapping[str, Any], said: Sequence[str], is_group: Callable[[str], bool], named: Sequence[str] = ()
) -> list[str]:
    """A stage as Hydra overrides, without what `said` (the member's own overrides) has a word on.

    They come after `said`: what `named` lists, keys that the member gave for this stage, wins over that.

    Args:
        stage: nested configuration; a name where the configuration has a group chooses from that group.
        said: overrides of the command line or sweep, `key=value`.
        is_group: whether a key is a configuration group.
    """
    keys = [key_of(override) for override in said]
    changes = list(_flatten(stage, is_group))
    kept = [
        (key, value)
        for key, value in changes
        if key in named or (key not in keys and not (value_of_group(key, keys) and not is_group(key)))
    ]
    # Groups first: their files set what values then change.
    kept.sort(key=lambda change: not is_group(change[0]))
    return [
        f"{key}={value if is_group(key) and isinstance(value, str) else spell(value)}" for key, value in kept
    ]


def value_of_group(key: str, keys: Sequence[str]) -> bool:
    """Whether a data set's own option is meant while the command line chooses another data set."""
    return key.startswith("dataset.") and "dataset" in keys


def of_a_stage(override: str, name: str | None = None) -> bool:
    """Whether an override speaks of one stage, or of this one: `stages.NAME.key=value`."""
    return key_of(override).startswith("stages." if name is None else f"stages.{name}.")


def key_in(name: str, override: str) -> str:
    """The key that an override gives in a stage."""
    return key_of(override).removeprefix(f"stages.{name}.")


def key_of(override: str) -> str:
    """The key of an override."""
    return override.partition("=")[0].lstrip("+~")


def check_names(said: Sequence[str], stages: Iterable[str]) -> None:
    """Raise ConfigError where an override speaks of a stage that the chain does not have."""
    stages = [str(name) for name in stages]
    for override in said:
        name = key_of(override).split(".")[1]
        if name not in stages:
            raise ConfigError(f"{override.lstrip('+')}: the chain has no stage {name}; {near(name, stages)}")


def _flatten(
    stage: Mapping[str, Any], is_group: Callable[[str], bool], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, value in stage.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, is_group, f"{key}.")
        else:
            yield key, value


def spell(value: Any) -> str:
    """A value as Hydra's override grammar has it."""
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
