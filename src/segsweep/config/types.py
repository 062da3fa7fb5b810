"""Values of the wrong kind, found before anything is built.

A composed value must be of the kind of its shipped default: `optimizer.lr=abc`, or a `1e-3` that some YAML
reader took for text, is an error here and not after hours of training.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from segsweep.config import groups as config_files
from segsweep.errors import ConfigError

# These take more kinds than their defaults show.
FREE = ("size", "num_classes", "stages", "trainer.devices", "test", "head.aux_weights")


def check_choices(overrides: Sequence[str]) -> None:
    """Raise ConfigError where a list is chosen of a group, whose files Hydra would lay over one another."""
    for override in overrides:
        group, _, choice = override.lstrip("+").partition("=")
        if group in config_files.GROUPS and group != "test" and choice.startswith("["):
            some = choice.strip("[]")
            instead = f"-m {group}={some} takes one after the other"
            if group == "logger":
                instead = "every run keeps metrics.csv and validation.csv, so logger=wandb has both"
            raise ConfigError(f"{override}: expected one choice; {instead}")


def check_types(config: Mapping[str, Any], choices: Mapping[str, str]) -> None:
    """Compare every value with the default of its option, where that is not null.

    Raises:
        ConfigError: the first that is of another kind.
    """
    for key, default in _defaults(tuple(choices.items()), tuple(config_files.folders())).items():
        group, _, option = key.rpartition(".")
        value = (config.get(group) or {}).get(option) if group else config.get(option)
        if value is not None and not _is_kind(value, default):
            raise ConfigError(f"{key}={value}: expected {_expected(default)}, such as {default}")


@cache
def _defaults(chosen: tuple[tuple[str, str], ...], folders: tuple[Path, ...]) -> dict[str, Any]:
    """The defaults that show a kind, for choices of groups from these folders."""
    choices = dict(chosen)
    top = config_files.read(config_files.root() / "conf" / "config.yaml")
    defaults = {key: value for key, value in top.items() if key not in ("defaults", "hydra")}
    flat = {f"checkpoint.{key}": value for key, value in defaults.pop("checkpoint").items()} | defaults
    for group in config_files.GROUPS:
        if choices.get(group) is not None and group not in FREE:
            own = config_files.own_options(group, choices[group])
            flat |= {f"{group}.{key}": value for key, value in own.items()}
    free = {key for key in flat if key.split(".")[0] in FREE or key in FREE}
    return {key: value for key, value in flat.items() if key not in free and _expected(value) is not None}


def _expected(default: Any) -> str | None:
    """What kind a default shows; None for null and for values that stand elsewhere."""
    if isinstance(default, str) and ("${" in default or default == "???"):
        return None
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a word", list: "a list"}
    return kinds.get(type(default))


def _is_kind(value: Any, default: Any) -> bool:
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)
