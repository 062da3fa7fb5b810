"""A paper's table beside what was measured here.

The runs behind a row are found by what they are: the experiment is composed as for training, and the
folders of these runs are read. Nothing is planned, trained or downloaded; networks are counted on torch's
meta device. What was measured otherwise than the paper did says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from segsweep.errors import ConfigError, near
from segsweep.profiling.network import Network
from segsweep.profiling.published import find
from segsweep.reports.table import Cell
from segsweep.runs import app, build
from segsweep.runs.config import files as config_files
from segsweep.runs.folder import RunFolder, test_suffix
from segsweep.runs.identity import is_identity
from segsweep.runs.launch.sweep import COMMAND
from segsweep.runs.planning.plan import Member
from segsweep.runs.planning.published import KEY, Published
from segsweep.runs.planning.stages import key_of
from segsweep.testing.protocol import comparable

WORDS = {"images": "images", "num_classes": "classes", "split": "split", "image_sizes": "images of"}


@dataclass(frozen=True)
class Line:
    """A printed row with the runs that repeat it, one a seed; none where the paper quotes it itself.

    `tests` are the runs' figures and protocol cards under the row's strategy, `counted` the network's
    params_m and gmacs.
    """

    printed: Mapping[str, Any]
    runs: tuple[RunFolder, ...]
    tests: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...]
    counted: Mapping[str, float]
    discrepancy: str | None

    @property
    def quoted(self) -> bool:
        """Whether the paper took the row from elsewhere."""
        return "run" not in self.printed

    @property
    def cell(self) -> Cell | None:
        """mIoU over seeds; None where nothing is measured yet. Statistics over `tests` belong here."""
        values = [figures["miou"] for figures, _ in self.tests]
        return Cell(tuple(float("nan") if v is None else v for v in values)) if values else None

    @property
    def protocol(self) -> dict[str, Any] | None:
        """What the measurement may be compared by."""
        return comparable(self.tests[0][1]) if self.tests else None


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
        for line in self.lines:
            if line.protocol is not None and line.protocol not in found:
                found.append(line.protocol)
        return found

    def departures(self, protocol: Mapping[str, Any] | None) -> list[str]:
        """In what a measurement's protocol is not the published one, in words."""
        expected = self.published.protocol.items()
        return [
            f"{WORDS.get(key, key)} {protocol.get(key)} for {value}"
            for key, value in expected
            if protocol is not None and protocol.get(key) != value
        ]

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
    node = config_files.read(files[name]).get(KEY)
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
        lines.append(Line(row, tuple(m.folder for m in found), tests, *sizes.get(run, ({}, None))))
    return Comparison(name, table, tuple(lines), tuple(overrides))


def _members(name: str, overrides: Sequence[str]) -> dict[str, list[Member]]:
    """The planned runs behind each of the experiment's rows."""
    found: dict[tuple[str, ...], Member] = {}
    app.compose(
        "report",
        ["-m", f"+experiments={name}", *overrides],
        lambda member: found.update({member.overrides: member}),
    )
    return {row: [found[m] for m in members] for row, members in COMMAND.members.items()}


def _sizes(table: Published, member: Member) -> tuple[dict[str, float], str | None]:
    """What the network counts at the paper's input and classes, and what is known of a difference."""
    config = {**member.config, "num_classes": table.protocol["num_classes"]}
    network = Network.of(replace(member, config=config), (table.input[0], table.input[1]))
    counted = network.counted()
    return counted, (find(network.values, counted, network.size) or {}).get("discrepancy")


def _test(member: Member, key: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Figures and card of one run's test by a strategy of conf/test; None where there is none."""
    if key not in member.config["test"]:
        return None
    name = build.build(member.config["test"], key).name + test_suffix(member.config)
    return member.folder.read_tests().get(name)
