"""One column of a report: the cells of all its configurations under one test strategy.

Figures are those of the tests' metrics.json, averaged over seeds. Intervals, differences and letters come
from the counts of each image, which are read here once for a column and then dropped.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segsweep.evaluation.objects import OBJECT_SIZES
from segsweep.reports.findings import one_class
from segsweep.reports.findings.counted import Counted, Result, alike, read_counts
from segsweep.reports.findings.fields import (
    Cell,
    GroupInterval,
    Interval,
    NamedInterval,
    SeedFigure,
    ToBaseline,
)
from segsweep.statistics.effects import Effect, effects
from segsweep.statistics.intervals import class_estimates, estimate
from segsweep.statistics.paired import Difference
from segsweep.statistics.resampling import Resampling, resampling
from segsweep.statistics.sizes import size_estimates
from segsweep.statistics.table import compare_all

MOST_CLASSES = 40
"""With more classes than this, a report has no confusion matrix: of 150 it would be 22,500 numbers a cell."""
MOST_CHANGES = 12
"""With more changes of factors than this, a report has no effects: 100 learning rates would make 5,000."""


@dataclass(frozen=True)
class Column:
    """The cells of all configurations, with what is known of their images.

    `groups` has the number of images by group, `caveat` what an interval does not say, `left_out` what is
    not computed as there is too much of it.
    """

    cells: tuple[Cell, ...]
    groups: Mapping[str, int] | None = None
    caveat: str | None = None
    effects: tuple[Effect, ...] = ()
    left_out: tuple[str, ...] = ()


def column(
    results: Sequence[Sequence[Result]], baseline: int | None, levels: Sequence[Mapping[str, str]] = ()
) -> Column:
    """Return the cell of each configuration, given its tests, one a seed.

    Args:
        results: the tests by configuration, at least one each, all under one protocol and strategy.
        baseline: the index of the configuration that the others are compared with, if it is measured.
        levels: of each configuration's factors, then those of configurations that are not measured yet, for
            the effects of the factors; none for no effects.
    """
    cells = [plain_cell(tests) for tests in results]
    counted = alike([read_counts(tests) for tests in results])
    known = [index for index, found in enumerate(counted) if found is not None]
    if not known:
        return Column(tuple(cells))
    some = [found for found in counted if found is not None]
    images, grouped = resampling(some[0].measured.images), some[0].grouped()
    first = known.index(baseline) if baseline in known else None
    compared = compare_all([found.measured for found in some], images, first)
    for place, (index, found) in enumerate(zip(known, some, strict=True)):
        classes = list(results[index][0].metrics.per_class)
        cells[index] = replace(
            with_intervals(cells[index], found, images, grouped, classes),
            complete=compared.estimates[place].complete,
            letters=compared.letters[place],
            best=compared.best[place],
            difference=to_baseline(compared.differences[place], compared.p_holm[place]),
        )
    if not all(cell.best for cell in cells):
        cells = [replace(cell, bold=cell.best) for cell in cells]
    groups = Counter(some[0].groups.names) if some[0].groups else None
    whole = [found.measured if found else None for found in counted]
    of_factors = (
        effects(levels, [*whole, *[None] * (len(levels) - len(whole))], images)
        if 0 < changes(levels) <= MOST_CHANGES
        else ()
    )
    names = len(results[0][0].metrics.per_class)
    left_out = [
        f"No effects of the options: their values make {changes(levels)} changes, more than {MOST_CHANGES}."
        if changes(levels) > MOST_CHANGES
        else "",
        f"No confusion matrix: {names} classes, more than {MOST_CLASSES}." if names > MOST_CLASSES else "",
    ]
    caveat = grouped.caveat if grouped else None
    return Column(tuple(cells), groups, caveat, tuple(of_factors), tuple(filter(None, left_out)))


def changes(levels: Sequence[Mapping[str, str]]) -> int:
    """Return how many changes of a factor from its first level there are."""
    return len({item for each in levels for item in each.items()}) - len(
        {key for each in levels for key in each}
    )


def to_baseline(difference: Difference | None, p_holm: float | None) -> ToBaseline | None:
    """Return a difference as the report has it; None for the baseline itself."""
    if difference is None or p_holm is None:
        return None
    return ToBaseline(
        value=difference.value,
        low=difference.low,
        high=difference.high,
        p=difference.p_images,
        p_holm=p_holm,
        smallest=difference.smallest,
        seeds=difference.seeds,
        verdict=difference.verdict_seeds,
    )


def plain_cell(results: Sequence[Result]) -> Cell:
    """Return a cell of the tests' own figures, without intervals."""
    mious = [_number(result.metrics.miou) for result in results]

    def mean(name: str) -> Interval:
        return Interval(float(np.mean([_number(getattr(result.metrics, name)) for result in results])))

    return Cell(
        miou=mean("miou"),
        pixel_accuracy=mean("pixel_accuracy"),
        fwiou=mean("fwiou"),
        boundary_iou=mean("boundary_iou"),
        std=float(np.std(mious, ddof=1)) if len(mious) > 1 else None,
        seeds=tuple(
            SeedFigure(result.member.folder.id, result.member.seed, miou, result.test)
            for result, miou in zip(results, mious, strict=True)
        ),
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def with_intervals(
    cell: Cell, counted: Counted, images: Resampling, grouped: Resampling | None, classes: Sequence[str]
) -> Cell:
    """Return a cell with its figures' intervals, its classes' and its confusion matrix."""

    def over_images(name: str) -> Interval:
        found = estimate(counted.measured, images, name)
        return Interval(getattr(cell, name).value, found.low, found.high)

    per_class = zip(classes, class_estimates(counted.measured, images), strict=True)
    return replace(
        cell,
        miou=over_images("miou"),
        pixel_accuracy=over_images("pixel_accuracy"),
        fwiou=over_images("fwiou"),
        boundary_iou=over_images("boundary_iou"),
        groups=_over_groups(counted, grouped) if grouped else None,
        per_class=tuple(NamedInterval(each.value, each.low, each.high, name) for name, each in per_class),
        sizes=_by_size(counted, images),
        remark=one_class.told(counted.measured, classes),
        confusion=tuple(map(tuple, counted.confusion.tolist())) if len(classes) <= MOST_CLASSES else None,
    )


def _by_size(counted: Counted, images: Resampling) -> tuple[NamedInterval, ...] | None:
    if counted.objects is None:
        return None
    found = size_estimates(counted.measured, counted.objects, images)
    return tuple(
        NamedInterval(each.value, each.low, each.high, size)
        for size, each in zip(OBJECT_SIZES, found, strict=True)
    )


def _over_groups(counted: Counted, grouped: Resampling) -> GroupInterval:
    found = estimate(counted.measured, grouped)
    return GroupInterval(grouped.unit, found.low, found.high)
