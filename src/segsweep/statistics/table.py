"""All comparisons of a table: each configuration with a baseline, and each with each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segsweep.statistics.intervals import FEW_UNITS, Estimate, estimate
from segsweep.statistics.measured import Measured
from segsweep.statistics.multiple import holm, letters, told_apart
from segsweep.statistics.paired import Difference, difference
from segsweep.statistics.replicates import replicates
from segsweep.statistics.resampling import Resampling
from segsweep.statistics.seeds import verdict


@dataclass(frozen=True)
class Compared:
    """The rows of a table, in the order of the configurations.

    Attributes:
        estimates: the figure of each.
        differences: from the baseline, None for the baseline itself; `p_images` is not adjusted, the
            verdict over seeds is adjusted for all differences of the table.
        p_holm: `p_images` of each difference, adjusted for all differences of the table.
        best: whether it is not told apart from the largest figure, over images.
        letters: two that share a letter are not told apart, over images. With fewer than FEW_UNITS units,
            none is told apart.
    """

    estimates: tuple[Estimate, ...]
    differences: tuple[Difference | None, ...]
    p_holm: tuple[float | None, ...]
    best: tuple[bool, ...]
    letters: tuple[str, ...]


def compare_all(
    configurations: Sequence[Measured],
    resampling: Resampling,
    baseline: int | None = None,
    figure: str = "miou",
) -> Compared:
    """Estimate and compare configurations over the same images.

    Letters and the set not told apart from the best are of the seeds that all have, if any: another choice of
    seeds must not look like a difference between configurations, nor contradict the paired differences.

    Args:
        configurations: all with the same images in the same order.
        resampling: weights of these images.
        baseline: index of the configuration that the others are compared with; None for none.
        figure: a name of `FIGURES`.
    """
    common = set.intersection(*(set(measured.seeds) for measured in configurations))
    estimates: list[Estimate] = []
    values: list[float] = []
    resampled: list[NDArray[np.float64]] = []
    found: dict[int, Difference] = {}
    # One configuration after the other, as the totals of the last few alone are kept.
    for i, measured in enumerate(configurations):
        estimates.append(estimate(measured, resampling, figure))
        seeds = [seed in common or not common for seed in measured.seeds]
        of_figure = replicates(measured, resampling, figure)
        values.append(float(of_figure.value[seeds].mean()))
        resampled.append(of_figure.resampled[seeds].mean(0))
        if baseline is not None and i != baseline:
            first, comparisons = configurations[baseline], len(configurations) - 1
            found[i] = difference(first, measured, resampling, figure, comparisons)
    p_holm = dict(zip(found, holm([one.p_images for one in found.values()]), strict=True))
    value = np.array(values)
    # Few units give resamples that are too much alike, which would tell everything apart.
    units = int(resampling.units.max()) + 1
    apart = np.zeros((len(value), len(value)), np.bool_)
    if units >= FEW_UNITS:
        apart = told_apart(value, np.stack(resampled), units)
    known = ~np.isnan(value)
    best = known & ~apart[np.nanargmax(value)] if known.any() else known
    rows = range(len(configurations))
    return Compared(
        tuple(estimates),
        tuple(map(_with_verdicts(found).get, rows)),
        tuple(map(p_holm.get, rows)),
        tuple(map(bool, best)),
        letters(value.tolist(), apart),
    )


def _with_verdicts(differences: Mapping[int, Difference]) -> dict[int, Difference]:
    """Adjust the verdicts over seeds for all differences; with too few seeds, a p-value counts as 1."""
    adjusted = holm([1.0 if one.p_seeds is None else one.p_seeds for one in differences.values()])
    return {
        i: replace(
            one, verdict_seeds=verdict(one.seeds, one.seeds_needed, None if one.p_seeds is None else p)
        )
        for (i, one), p in zip(differences.items(), adjusted, strict=True)
    }
