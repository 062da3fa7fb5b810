"""A resolved configuration as a file and as plain values: walks over them, one spelling for equal values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from segsweep.runs.contents import Finite, Node, Options
from segsweep.runs.records import Record


@dataclass(frozen=True, kw_only=True)
class Config(Record):
    """config.yaml: the resolved configuration, of any version."""

    network: Options | None = None
    backbone: Options = field(default_factory=dict)
    head: Options = field(default_factory=dict)
    dataset: Options = field(default_factory=dict)
    augment: Options = field(default_factory=dict)
    sampling: Options | None = None
    loss: Options = field(default_factory=dict)
    optimizer: Options | None = None
    scheduler: Options | None = None
    trainer: Options = field(default_factory=dict)
    checkpoint: Options = field(default_factory=dict)
    test: dict[str, Node] = field(default_factory=dict)
    logger: Options | None = None
    batch_size: int = 1
    num_workers: int = 0
    num_classes: int = 1
    retries: int = 0
    seed: Finite = 0
    split: str | None = None
    predictions: str | None = None
    sweep: str | None = None
    runs_dir: str = ""
    size: tuple[int, ...] = ()
    wait: bool = True


def items(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every item of mappings and lists at any depth, with its dotted key."""
    nested = isinstance(value, list | tuple)
    found = value.items() if isinstance(value, Mapping) else enumerate(value) if nested else ()
    for name, item in found:
        inner = f"{key}.{name}" if key else str(name)
        yield inner, item
        yield from items(item, inner)


def references(config: Any) -> Iterator[tuple[str, str]]:
    """Return every text of a configuration that OmegaConf would resolve, with its dotted key."""
    return ((key, item) for key, item in items(config) if isinstance(item, str) and "${" in item)


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a nested mapping with dotted keys; lists are leaves, empty mappings are omitted."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def canonical(value: Any) -> Any:
    """Return one spelling for equal values: 1 for 1.0, a list for a tuple."""
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
