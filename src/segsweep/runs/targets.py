"""The classes that a configuration names, and which of them segsweep ships.

A run's configuration may come from somebody else, so names are only read here; nothing is imported.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from yaml import YAMLError

from segsweep.config import groups as config_files
from segsweep.runs.settings import items

TARGET = "_target_"
TRUST = "trust=true"
"""The argument by which a user lets a run folder name any class. It is no configuration option, so that no
file can contain it."""
ALLOWED = "--allowed="
"""Prefix of the arguments by which a process that executes a run gets the classes of the user's command."""


def named(config: Any) -> Iterator[tuple[str, Any]]:
    """Return every class that a configuration names, at any depth, with its dotted key."""
    return ((key, item) for key, item in items(config) if key.rpartition(".")[2] == TARGET)


def foreign(config: Mapping[str, Any]) -> set[str]:
    """Return the names of classes in a configuration that segsweep does not ship."""
    return {str(target) for _, target in named(config)} - shipped()


@cache
def shipped() -> frozenset[str]:
    """Return the classes that the shipped configuration names."""
    return frozenset(_names_below(config_files.root() / "conf"))


def configured() -> set[str]:
    """Return the classes that the user's own configuration folder names."""
    own = config_files.own_folder()
    return _names_below(own) if own is not None else set()


def _names_below(folder: Path) -> set[str]:
    return {str(target) for file in folder.rglob("*.yaml") for _, target in named(_content(file))}


def _content(file: Path) -> Mapping[str, Any]:
    try:
        return config_files.read(file)
    except (OSError, ValueError, TypeError, YAMLError):
        return {}  # reported when it is chosen


def spelled(allowed: Collection[str]) -> list[str]:
    """Return names as arguments of a process that executes a run."""
    return [f"{ALLOWED}{name}" for name in sorted(allowed)]


def unspelled(arguments: Sequence[str]) -> set[str]:
    """Return the names in such arguments."""
    return {a.removeprefix(ALLOWED) for a in arguments if a.startswith(ALLOWED)}
