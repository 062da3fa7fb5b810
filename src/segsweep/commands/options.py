"""Options of the commands that take no run configuration: `key=value`, as everywhere else."""

import os
from collections.abc import Container, Mapping, Sequence
from typing import Any

import yaml

from segsweep.errors import ConfigError, OptionError, near

RUNS_DIR = os.environ.get("SEGSWEEP_RUNS", "runs")


def parse(arguments: Sequence[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults, changed by `key=value` arguments.

    Raises:
        ConfigError: if an argument lacks `=`, an option is unknown, or a flag is neither true nor false.
    """
    options = dict(defaults)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise ConfigError(f"{argument}: expected key=value; {near(key, defaults)}")
        if key not in defaults:
            raise ConfigError(f"{key}: no such option; {near(key, defaults)}")
        is_text = defaults[key] is None or isinstance(defaults[key], str)  # a run's id may look like a number
        options[key] = value if is_text else yaml.safe_load(value)
        if isinstance(defaults[key], bool) and not isinstance(options[key], bool):
            raise OptionError(key, value, "true or false")
    return options


def split(arguments: Sequence[str], own: Container[str]) -> tuple[list[str], list[str]]:
    """Return the arguments that give a command's own options, and all others, such as those for Hydra."""
    mine = [argument for argument in arguments if argument.partition("=")[0] in own]
    return mine, [argument for argument in arguments if argument not in mine]


def parse_words(arguments: Sequence[str], defaults: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Return the arguments without `=`, and the options that `parse` reads from the others."""
    words = [argument for argument in arguments if "=" not in argument]
    return words, parse([argument for argument in arguments if "=" in argument], defaults)
