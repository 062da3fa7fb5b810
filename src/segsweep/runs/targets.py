"""The classes that a configuration names, and those among them that segsweep itself ships.

A run's configuration may come from somebody else. What it names is only read here; nothing is imported.
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
"""Said by a user who lets a run folder name any class. No option of a configuration, so no file says it."""
ALLOWED = "--allowed="
"""Said to a process that executes a run, before each name that the user's own command has."""


def named(config: Any) -> Iterator[tuple[str, Any]]:
    """Every class that a configuration names, at any depth, with the dotted key that names it."""
    return ((key, item) for key, item in items(config) if key.rpartition(".")[2] == TARGET)


def foreign(config: Mapping[str, Any]) -> set[str]:
    """The names of classes in a configuration that segsweep does not ship."""
    return {str(target) for _, target in named(config)} - shipped()


@cache
def shipped() -> frozenset[str]:
    """The names that the shipped configuration has."""
    return frozenset(_names_below(config_files.root() / "conf"))


def configured() -> set[str]:
    """The names that the user's own configuration folder has."""
    own = config_files.own_folder()
    return _names_below(own) if own is not None else set()


def _names_below(folder: Path) -> set[str]:
    return {str(target) for file in folder.rglob("*.yaml") for _, target in named(_content(file))}


def _content(file: Path) -> Mapping[str, Any]:
    try:
        return config_files.read(file)
    except (OSError, ValueError, TypeError, YAMLError):
        return {}  # it is told of where it is chosen


def spelled(allowed: Collection[str]) -> list[str]:
    """Names as arguments of a process that executes a run."""
    return [f"{ALLOWED}{name}" for name in sorted(allowed)]


def unspelled(arguments: Sequence[str]) -> set[str]:
    """The names among such arguments."""
    return {a.removeprefix(ALLOWED) for a in arguments if a.startswith(ALLOWED)}
