"""Options of the commands that need no configuration of a run: `key=value`, as everywhere else."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from segsweep.errors import ConfigError, OptionError, near

RUNS_DIR = os.environ.get("SEGSWEEP_RUNS", "runs")


def parse(arguments: Sequence[str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults with what `key=value` arguments change.

    Raises:
        ConfigError: an argument without `=`, an option that the command does not have, or neither true nor
            false for one that is either.
    """
    options = dict(defaults)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise ConfigError(f"{argument}: expected key=value; {near(key, defaults)}")
        if key not in defaults:
            raise ConfigError(f"{key}: no such option; {near(key, defaults)}")
        options[key] = _value(defaults[key], value)
        if isinstance(defaults[key], bool) and not isinstance(options[key], bool):
            raise OptionError(key, value, "true or false")
    return options


def parse_words(arguments: Sequence[str], defaults: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """The arguments without `=`, and the options that `parse` makes of the others."""
    words = [argument for argument in arguments if "=" not in argument]
    return words, parse([argument for argument in arguments if "=" in argument], defaults)


def _value(default: Any, text: str) -> Any:
    """Text options stay text: a run's id may look like a number."""
    return text if default is None or isinstance(default, str) else yaml.safe_load(text)
