"""What a report says, as typed records: all writers (page, Markdown, LaTeX, CSV, terminal) read these alone.

Shares (mIoU, accuracies, intervals) are fractions from 0 to 1, p-values and parameters are plain numbers, and
what is not known is None. `plain` makes report.json of them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from segsweep.statistics.multiple import LEVEL

DIGITS, ALL_DIGITS = 7, 17
"""Significant digits that report.json keeps of a figure, and those that a float has."""


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval over images; without one if the counts are not there."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class NamedInterval(Interval):
    """The IoU of a class, or the mIoU of objects of one size."""

    name: str = ""


@dataclass(frozen=True)
class GroupInterval:
    """The interval of mIoU if whole groups of images are resampled, or blocks within them."""

    unit: str
    low: float
    high: float


@dataclass(frozen=True)
class SeedFigure:
    """The mIoU of one run, and the folder's name of the test that gave it."""

    run: str
    seed: str
    value: float
    test: str


@dataclass(frozen=True)
class ToBaseline(Interval):
    """The mIoU of a cell minus that of the baseline's, paired over images and seeds.

    `p` is of the permutation test over images, `p_holm` the same after Holm's correction over the table's
    column; `smallest` is the smallest difference that this test set could tell apart; `verdict` says in words
    what can be said over seeds.
    """

    p: float = 1.0
    p_holm: float = 1.0
    smallest: float = 0.0
    seeds: int = 1
    verdict: str = ""

    @property
    def is_told_apart(self) -> bool:
        """Whether the difference is more than chance over images, at 5 % over the whole column."""
        return self.p_holm < LEVEL


@dataclass(frozen=True)
class Cell:
    """One configuration under one test strategy.

    `complete` is the share of resamples in which every class occurs. `best` says that the cell is not told
    apart from the column's best, and `bold` that it stands out by that, as some cell of the column is told
    apart; cells that share one of their `letters` are not told apart from each other.
    """

    miou: Interval
    pixel_accuracy: Interval
    fwiou: Interval
    boundary_iou: Interval
    std: float | None
    seeds: tuple[SeedFigure, ...]
    letters: str = ""
    best: bool = False
    bold: bool = False
    complete: float | None = None
    difference: ToBaseline | None = None
    groups: GroupInterval | None = None
    per_class: tuple[NamedInterval, ...] = ()
    confusion: tuple[tuple[int, ...], ...] | None = None
    """Pixels by truth (rows) and prediction, summed over seeds."""
    sizes: tuple[NamedInterval, ...] | None = None
    remark: str = ""
    """What its predictions are like, in words, if that is out of the ordinary."""


@dataclass(frozen=True)
class Protocol:
    """How the numbers of a table were measured: those of unlike protocols are not comparable."""

    id: str
    text: str
    card: Mapping[str, Any]
    classes: tuple[str, ...]
    palette: tuple[tuple[int, ...], ...]
    images: int
    groups: Mapping[str, int] | None
    unit: str
    caveat: str | None
    baseline: str | None
    """The id of the row that the table's differences are to."""


@dataclass(frozen=True)
class Row:
    """One configuration under one protocol, over its seeds.

    `settings` are all options that define it, `axes` those in which the report's rows differ, and `label` the
    same in words: `aspp rates [6,12,18]`. `states` has how many of its runs are in which state, and `state`
    sums that up in words. `command` trains and tests what is missing; `unlike` says how its
    protocol differs from the first one's, if numbers of unlike protocols were asked for side by side.
    """

    id: str
    protocol: str | None
    label: str
    axes: Mapping[str, str]
    settings: Mapping[str, Any]
    state: str
    states: Mapping[str, int]
    why: str
    command: str | None
    params: int | None
    macs: float | None
    latency_ms: float | None
    runs: tuple[str, ...]
    cells: Mapping[str, Cell]
    remarks: str = ""
    unlike: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One run: everything that leads from a number back to how it came about.

    `settings` are those that differ from its row's, `card` has by strategy what its protocol lacks, `data`
    the hashes of what was trained and tested on, `seconds` the time of training over all `starts`.
    """

    row: str
    seed: str
    state: str
    error: str | None
    command: str | None
    differs: Mapping[str, Any]
    settings: Mapping[str, Any]
    card: Mapping[str, Any]
    commit: str | None
    environment: Mapping[str, Any] | None
    data: Mapping[str, str]
    seconds: float | None
    starts: int | None
    curves: Mapping[str, tuple[tuple[float, float], ...]]


@dataclass(frozen=True)
class Findings:
    """A whole report."""

    title: str
    made: str
    segsweep: str
    command: str
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    strategies: tuple[str, ...]
    baseline: str | None
    protocols: tuple[Protocol, ...]
    rows: tuple[Row, ...]
    runs: Mapping[str, Run]
    effects: tuple[Mapping[str, Any], ...] = ()
    paper: Mapping[str, Any] | None = None
    gallery: tuple[Mapping[str, Any], ...] = ()
    mixed: bool = False
    """Whether numbers of unlike protocols stand side by side, as asked."""
    timed: str | None = None
    """How, where and at which size the rows' `latency_ms` were measured; None if they were not."""

    def row(self, id: str | None) -> Row | None:
        """Return the row of this id; None if there is none."""
        return next((row for row in self.rows if row.id == id), None)

    def plain(self) -> dict[str, Any]:
        """Return the report as values of JSON; what is not a number is null."""
        return dict(plain(self))


def plain(value: Any, digits: int = DIGITS) -> Any:
    """Return a record, or a container of records, as values of JSON; floats with that many digits."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name), digits) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, digits) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value
