"""The protocols of a report's tests, and which row of which protocol each configuration becomes."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsweep.errors import DamagedFileError
from segsweep.evaluation.predictions import TRUTH, read_picture
from segsweep.evaluation.protocol import comparable
from segsweep.reports.findings.counted import Result
from segsweep.reports.findings.fields import Protocol
from segsweep.reports.findings.members import Configuration
from segsweep.runs import layout
from segsweep.runs.contents import Card


@dataclass(frozen=True)
class Entry:
    """A configuration under one protocol, with its tests; under none, if nothing like it is measured yet.

    `id` is that of the report's row: the id of its first run, with the protocol's if there are several.
    """

    id: str
    configuration: Configuration
    protocol: str | None
    results: tuple[Result, ...]

    def of(self, strategy: str) -> list[Result]:
        """Return its tests under a strategy, one a seed."""
        return [result for result in self.results if result.strategy == strategy]

    @property
    def tested(self) -> int:
        """How many of its runs have a test."""
        return len({result.member.folder.id for result in self.results})


def key_of(card: Card) -> str:
    """Return a text that is equal for cards whose numbers may be compared."""
    return json.dumps(comparable(card), sort_keys=True)


def entries(configurations: Sequence[Configuration]) -> tuple[list[Entry], dict[str, Result]]:
    """Return a row for each configuration and protocol that it was measured by, and a test of each protocol.

    What is not measured yet joins the first protocol of its own dataset.
    """
    names: dict[str, str] = {}
    firsts: dict[str, Result] = {}
    found: list[tuple[Configuration, dict[str, list[Result]]]] = []
    for configuration in configurations:
        tests: dict[str, list[Result]] = {}
        for member in configuration.members:
            for test, (metrics, card) in member.tests.items():
                name = names.setdefault(key_of(card), f"p{len(names) + 1}")
                result = Result(member, test, metrics, card)
                firsts.setdefault(name, result)
                tests.setdefault(name, []).append(result)
        found.append((configuration, tests))
    rows = []
    for configuration, tests in found:
        measured: list[tuple[str | None, list[Result]]] = [*tests.items()]
        for protocol, results in measured or [(_expected(configuration, firsts), [])]:
            first = configuration.members[0].folder.id
            id = first if len(firsts) < 2 or protocol is None else f"{first}-{protocol}"
            rows.append(Entry(id, configuration, protocol, tuple(results)))
    return rows, firsts


def _expected(configuration: Configuration, firsts: Mapping[str, Result]) -> str | None:
    def dataset(one: Configuration | Result) -> str | None:
        member = one.members[0] if isinstance(one, Configuration) else one.member
        return member.folder.plan.choices.get("dataset")

    return next((name for name, first in firsts.items() if dataset(first) == dataset(configuration)), None)


def baseline_of(rows: Sequence[Entry], asked: Collection[str]) -> Entry | None:
    """Return the row to compare others with: the one of the asked runs, else head=none, else the first."""
    measured = [row for row in rows if row.results]

    def has_no_head(row: Entry) -> bool:
        return row.configuration.members[0].folder.plan.choices.get("head") == "none"

    def is_asked(row: Entry) -> bool:
        return any(member.folder.id in asked for member in row.configuration.members)

    if asked:
        return next(filter(is_asked, measured), None)
    return next(filter(has_no_head, measured), measured[0] if measured else None)


def record(name: str, first: Result, baseline: str | None) -> Protocol:
    """Return what a report says of a protocol, given one of its tests."""
    card = comparable(first.card)
    return Protocol(
        id=name,
        text=described(card),
        card=card,
        classes=tuple(first.metrics.per_class),
        palette=_palette(first),
        images=first.card.images,
        groups=None,
        unit="images",
        caveat=None,
        baseline=baseline,
    )


def described(card: Mapping[str, Any]) -> str:
    """Return the comparable part of a protocol card in a line."""
    sizes = card["image_sizes"]
    sizes = sizes if isinstance(sizes, str) else ", ".join(sizes)
    return (
        f"{card['dataset']} {card['split']}, {card['images']} images of {sizes}, "
        f"list {card['split_hash']}, {card['selection']} weights"
    )


def unlike(first: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how a protocol differs from another one, in words: `split val for test`."""
    keys = [key for key in {**first, **other} if first.get(key) != other.get(key)]
    return tuple(f"{key} {other.get(key)} for {first.get(key)}" for key in keys)


def _palette(first: Result) -> tuple[tuple[int, ...], ...]:
    """Return the classes' colours, from a picture of the run; none if it kept no pictures."""
    picture = next((first.member.folder.path / layout.PICTURES).glob(f"*/{TRUTH}.png"), None)
    if picture is None:
        return ()
    try:
        return tuple(read_picture(picture)[1][: len(first.metrics.per_class)])
    except DamagedFileError:  # a report has colours of its own
        return ()
