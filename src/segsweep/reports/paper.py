"""A paper's table beside what was measured here.

The runs behind a row are found by what they are: the experiment is composed as for training, and the
folders of these runs are read. Nothing is planned, trained or downloaded; networks are counted on torch's
meta device. What was measured otherwise than the paper did says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from segsweep import build
from segsweep.config import groups as config_files
from segsweep.errors import ConfigError, near
from segsweep.evaluation.protocol import comparable
from segsweep.planning.compose import Request
from segsweep.planning.experiment import Published, published_table
from segsweep.planning.plan import Member
from segsweep.planning.stages import key_of
from segsweep.profiling.network import Network, find
from segsweep.reports.table import Cell
from segsweep.runs.contents import Card, Metrics
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import is_identity
from segsweep.runs.tested import test_suffix

WORDS = {
    "images": "images",
    "num_classes": "classes",
    "split": "split",
    "image_sizes": "images of",
    "weights": "weights",
}


@dataclass(frozen=True)
class Line:
    """A printed row with the runs that repeat it, one a seed; none where the paper quotes it itself.

    `tests` are the runs' figures and protocol cards under the row's strategy, `strategy` what that is called
    as shipped, `counted` the network's params_m and gmacs.
    """

    printed: Mapping[str, Any]
    runs: tuple[RunFolder, ...]
    tests: tuple[tuple[Metrics, Card], ...]
    counted: Mapping[str, float]
    discrepancy: str | None
    strategy: str | None = None

    @property
    def quoted(self) -> bool:
        """Whether the paper took the row from elsewhere."""
        return "run" not in self.printed

    @property
    def cell(self) -> Cell | None:
        """mIoU over seeds; None where nothing is measured yet. Statistics over `tests` belong here."""
        values = [figures.miou for figures, _ in self.tests]
        return Cell(tuple(float("nan") if v is None else v for v in values)) if values else None

    @property
    def protocols(self) -> list[dict[str, Any]]:
        """What the measurements may be compared by: one of all seeds, unless they were measured unlike."""
        found: list[dict[str, Any]] = []
        for protocol in (comparable(card) for _, card in self.tests):
            if protocol not in found:
                found.append(protocol)
        return found

    @property
    def strategies(self) -> list[str]:
        """What the strategies that were measured are called, each once."""
        return list(dict.fromkeys(card.strategy.name for _, card in self.tests))


@dataclass(frozen=True)
class Comparison:
    """A published table with what was measured, and the overrides under which the runs were looked for."""

    name: str
    published: Published
    lines: tuple[Line, ...]
    overrides: tuple[str, ...]

    @cached_property
    def protocols(self) -> list[dict[str, Any]]:
        """The protocols that occur among the measurements, each once."""
        found: list[dict[str, Any]] = []
        for protocol in (protocol for line in self.lines for protocol in line.protocols):
            if protocol not in found:
                found.append(protocol)
        return found

    def departures(self, protocol: Mapping[str, Any]) -> list[str]:
        """In what a measurement's protocol is not the published one, in words."""
        ours = {**protocol, "weights": protocol["checkpoint.which"]}
        return [
            f"{WORDS.get(key, key)} {ours.get(key)} for {value}"
            for key, value in self.published.protocol.items()
            if ours.get(key) != value
        ]

    def unlike(self, line: Line) -> list[str]:
        """In what a row was measured otherwise than in the paper, in words, its protocol included."""
        if not line.tests:
            return []
        found = [words for protocol in line.protocols for words in self.departures(protocol)]
        changed = [
            f"strategy {name} for {line.strategy}" for name in line.strategies if name != line.strategy
        ]
        mixed = ["seeds that were measured unlike"] if len(line.protocols) > 1 else []
        words = self.published.unlike.get(str(line.printed["test"]))
        return list(dict.fromkeys([*found, *changed, *mixed, *([words] if words else ())]))

    @property
    def changes(self) -> list[str]:
        """Overrides that make the runs others than the experiment's; more seeds do not."""
        keys = {override: key_of(override) for override in self.overrides}
        return [override for override, key in keys.items() if key != "seed" and is_identity(key)]

    @property
    def runs(self) -> list[RunFolder]:
        """The runs that were found, each once."""
        return list({run.id: run for line in self.lines for run in line.runs if run.strategies()}.values())


def compared(name: str, overrides: Sequence[str]) -> Comparison:
    """The table of an experiment, its runs composed under further overrides.

    Raises:
        ConfigError: there is no such experiment, it repeats no table, or the overrides do not fit.
    """
    files = dict(config_files.files("experiments"))
    if name not in files:
        raise ConfigError(f"{name}: no such experiment; {near(name, files)}")
    node = published_table(name)
    if node is None:
        raise ConfigError(f"{name} repeats no published table; segsweep report sweep={name} reports its runs")
    table, members = Published.of(node), _members(name, overrides)
    prints_sizes = bool({"params", "gflops"} & set(table.figures()))
    sizes = {run: _sizes(table, found[0]) for run, found in members.items() if prints_sizes}
    lines = []
    for row in table.rows:
        run = table.member(row) or ""
        found = members.get(run, [])
        tests = tuple(test for member in found if (test := _test(member, row["test"])) is not None)
        folders, strategy = tuple(m.folder for m in found), _shipped_strategy(row.get("test"))
        lines.append(Line(row, folders, tests, *sizes.get(run, ({}, None)), strategy))
    return Comparison(name, table, tuple(lines), tuple(overrides))


def _members(name: str, overrides: Sequence[str]) -> dict[str, list[Member]]:
    """The planned runs behind each of the experiment's rows."""
    request = Request("report", ["-m", f"+experiments={name}", *overrides])
    found = {member.overrides: member for member in request.compose().sound()}
    return {row: [found[m] for m in members] for row, members in request.axes.rows.items()}


def _sizes(table: Published, member: Member) -> tuple[dict[str, float], str | None]:
    """What the network counts at the paper's input and classes, and what is known of a difference."""
    config = {**member.config, "num_classes": table.protocol["num_classes"]}
    network = Network.of(replace(member, config=config), (table.input[0], table.input[1]))
    counted = network.counted()
    return counted, (find(network.values, counted, network.size) or {}).get("discrepancy")


@cache
def _shipped_strategy(key: str | None) -> str | None:
    """What the test is called if no override changes it."""
    if key is None:
        return None
    node = config_files.read(dict(config_files.files("test"))[key])
    return str(build.build(node, key).name)


def _test(member: Member, key: str) -> tuple[Metrics, Card] | None:
    """Figures and card of one run's test by a strategy of conf/test; None where there is none."""
    if key not in member.config["test"]:
        return None
    name = build.build(member.config["test"], key).name + test_suffix(member.config)
    return member.folder.read_tests().get(name)
