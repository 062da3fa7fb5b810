"""One option of the configuration, declared as a dataclass field."""

from dataclasses import dataclass, field
from typing import Any

from segsweep.rules import Rule


@dataclass(frozen=True)
class Option:
    """The properties of an option besides its name and type."""

    default: Any
    meaning: str
    rule: Rule | None
    identity: bool
    """Whether another value may change the trained weights, and therefore makes another run."""


def identity(default: Any, meaning: str, rule: Rule | None = None) -> Any:
    """Return a dataclass field for an option that is part of a run's identity."""
    return field(default=default, metadata={"option": Option(default, meaning, rule, identity=True)})


def setting(default: Any, meaning: str, rule: Rule | None = None) -> Any:
    """Return a dataclass field for an option that may change without making another run."""
    return field(default=default, metadata={"option": Option(default, meaning, rule, identity=False)})
