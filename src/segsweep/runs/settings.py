"""The plain values of a resolved configuration: walks over them, and one spelling for equal values."""

from collections.abc import Iterator, Mapping
from typing import Any


def items(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every item of mappings and lists at any depth, with its dotted key."""
    nested = isinstance(value, list | tuple)
    found = value.items() if isinstance(value, Mapping) else enumerate(value) if nested else ()
    for name, item in found:
        inner = f"{key}.{name}" if key else str(name)
        yield inner, item
        yield from items(item, inner)


def references(config: Any) -> Iterator[tuple[str, str]]:
    """Every text of a configuration that OmegaConf would resolve, with its dotted key."""
    return ((key, item) for key, item in items(config) if isinstance(item, str) and "${" in item)


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a nested mapping with their dotted keys; lists are leaves, empty mappings vanish."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def canonical(value: Any) -> Any:
    """One spelling for equal values: 1.0 is 1, 1e-3 is 0.001 (it is the same float), tuples are lists."""
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
