"""A paper's table beside what was measured here.

The runs of a row are found by their configuration: the experiment is composed as for training, and the
folders of these runs are read. Nothing is planned, trained or downloaded; networks are counted on torch's
meta device. What was measured otherwise than in the paper is named.

Systems whose figures the paper quotes are shown with their runs where there are any; an experiment that
trains them (`hydra.sweeper.systems`) shows those that are to come, too.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from segsweep import builders
from segsweep.config import groups as config_files
from segsweep.errors import ConfigError
from segsweep.evaluation.protocol import comparable
from segsweep.planning.compose import Request
from segsweep.planning.experiment import Published, published_table, quoted
from segsweep.planning.plan import Member
from segsweep.planning.stages import key_of
from segsweep.profiling.network import Network, find
from segsweep.runs.contents import Card, Metrics
from segsweep.runs.folder import RunFolder
from segsweep.runs.identity import is_identity
from segsweep.runs.tested import test_suffix
from segsweep.runs.versions import current_plan

COUNTED = {"params": "params_m", "gflops": "gmacs"}
"""What we call a printed size that is counted."""
ELSEWHERE = "the published figure is quoted from elsewhere"
COUNTS: dict[str, Mapping[str, float]] = {}
"""What networks count, by their keys."""
WORDS = {
    "images": "images",
    "num_classes": "classes",
    "split": "split",
    "image_sizes": "images of",
    "selection": "weights",
}


@dataclass(frozen=True)
class Line:
    """A printed row with the runs that repeat it, one a seed; none if it has none.

    `tests` are the runs' figures and protocol cards under the row's strategy, `strategy` is the name of that
    strategy as shipped, `counted` has the network's params_m and gmacs.
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
        return quoted(self.printed)

    @property
    def mean(self) -> float | None:
        """Mean of mIoU over seeds; None if nothing is measured yet."""
        return float(np.mean(self._mious)) if self.tests else None

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds; None if there are not several."""
        return float(np.std(self._mious, ddof=1)) if len(self.tests) > 1 else None

    @property
    def _mious(self) -> list[float]:
        return [float("nan") if found.miou is None else found.miou for found, _ in self.tests]

    @property
    def protocols(self) -> list[dict[str, Any]]:
        """The comparable part of the seeds' protocols: one, unless they were measured differently."""
        found: list[dict[str, Any]] = []
        for protocol in (comparable(card) for _, card in self.tests):
            if protocol not in found:
                found.append(protocol)
        return found

    @property
    def strategies(self) -> list[str]:
        """The names of the strategies that were measured, each once."""
        return list(dict.fromkeys(card.strategy.name for _, card in self.tests))

    def difference_percent(self, figure: str) -> float | None:
        """By how many percent a counted size differs from the printed one; None if one is missing."""
        published, counted = self.printed.get(figure), self.counted.get(COUNTED[figure])
        return None if published is None or counted is None else 100 * (counted / published - 1)


@dataclass(frozen=True)
class Comparison:
    """A published table with what was measured, and the overrides under which runs were looked for."""

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
        """How a measurement's protocol differs from the published one, in words."""
        return [
            f"{WORDS.get(key, key)} {protocol.get(key)} for {value}"
            for key, value in self.published.protocol.items()
            if protocol.get(key) != value
        ]

    def unlike(self, line: Line) -> list[str]:
        """How a row was measured otherwise than in the paper, in words, its protocol included."""
        if not line.tests:
            return []
        found = [words for protocol in line.protocols for words in self.departures(protocol)]
        changed = [
            f"strategy {name} for {line.strategy}" for name in line.strategies if name != line.strategy
        ]
        mixed = ["seeds that were measured unlike"] if len(line.protocols) > 1 else []
        elsewhere = [ELSEWHERE] if line.quoted else []
        return list(dict.fromkeys([*found, *changed, *mixed, *elsewhere]))

    def difference(self, line: Line) -> float | None:
        """Measured minus published mIoU, in points; None if one of them is missing."""
        published = line.printed.get(self.published.measured)
        return None if line.mean is None or published is None else 100 * line.mean - published

    @property
    def changes(self) -> list[str]:
        """Overrides that make other runs than the experiment's; further seeds do not count."""
        keys = {override: key_of(override) for override in self.overrides}
        return [override for override, key in keys.items() if key != "seed" and is_identity(key)]

    @property
    def runs(self) -> list[RunFolder]:
        """The runs behind the rows, each once, those that are not planned yet too."""
        return list({run.id: run for line in self.lines for run in line.runs}.values())


def planned_runs(experiment: str, overrides: Sequence[str]) -> list[RunFolder]:
    """Return the runs of an experiment, composed under further overrides, done or not.

    Raises:
        ConfigError: the overrides do not fit.
    """
    members = Request("report", ["-m", f"+experiments={experiment}", *overrides]).compose().sound()
    return [folder_of(member) for member in members]


def compared(name: str, overrides: Sequence[str]) -> Comparison | None:
    """Compare the table of an experiment with its runs, composed under further overrides.

    Returns:
        The comparison; None if the experiment repeats no table.

    Raises:
        ConfigError: the overrides do not fit.
    """
    node = published_table(name)
    if node is None:
        return None
    arguments, table = ["-m", f"+experiments={name}", *overrides], Published.of(node)
    request = Request("report", arguments)
    trains_systems = bool(request.settings.hydra.sweeper.systems)
    members = _with_systems(arguments, table) or _planned(request)
    lines = []
    for row in table.rows:
        found = members.get(table.member(row) or "", [])
        sizes = _sizes(table, row, found[0]) if found else ({}, None)
        if quoted(row) and not trains_systems:
            found = [member for member in found if member.folder.path.exists()]
        tests = []
        for member in found:
            if row["test"] in member.config.test:
                strategy = builders.build(member.config.test, row["test"]).name
                tests.append(member.folder.read_tests().get(strategy + test_suffix(member.config)))
        shipped = _shipped_strategy(row["test"]) if "test" in row else None
        folders, there = tuple(map(folder_of, found)), tuple(test for test in tests if test)
        lines.append(Line(row, folders, there, *sizes, shipped))
    return Comparison(name, table, tuple(lines), tuple(overrides))


def _with_systems(arguments: Sequence[str], table: Published) -> dict[str, list[Member]]:
    """What `_planned` gives of all rows that have a run; nothing if overrides fit the paper's own alone."""
    if not any(quoted(row) and "run" in row for row in table.rows):
        return {}
    with suppress(ConfigError):
        return _planned(Request("report", [*arguments, "hydra.sweeper.systems=true"]))
    return {}


def _planned(request: Request) -> dict[str, list[Member]]:
    """The members that each of an experiment's rows became."""
    planned = {member.overrides: member for member in request.compose().sound()}
    return {row: [planned[m] for m in found] for row, found in request.axes.rows.items()}


def folder_of(member: Member) -> RunFolder:
    """Return a member's folder with its plan, which is not written yet if nothing asked for the run."""
    folder = member.folder
    folder.plan = current_plan(member.record())
    return folder


def _sizes(
    table: Published, row: Mapping[str, Any], member: Member
) -> tuple[Mapping[str, float], str | None]:
    """What the network counts at the paper's input and classes, and what is known of a difference."""
    if not {"params", "gflops"} & set(table.figures()):
        return {}, None
    config = member.config.changed(num_classes=table.protocol["num_classes"])
    height, width = row.get("input", table.input)
    network = Network.of(replace(member, config=config), (height, width))
    if network.key not in COUNTS:
        COUNTS[network.key] = network.counted()
    counted = COUNTS[network.key]
    return counted, (find(network.values, counted, network.size) or {}).get("discrepancy")


@cache
def _shipped_strategy(key: str) -> str:
    """What a test of conf/test is called if no override changes it."""
    node = config_files.read(dict(config_files.files("test"))[key])
    return str(builders.build(node, key).name)
