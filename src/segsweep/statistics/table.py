"""All comparisons of a table: each configuration with a baseline, and each with each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

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

    Args:
        configurations: all with the same images in the same order.
        resampling: weights of these images.
        baseline: index of the configuration that the others are compared with; None for none.
        figure: a name of `FIGURES`.
    """
    estimates = tuple(estimate(measured, resampling, figure) for measured in configurations)
    value = np.array([one.value for one in estimates])
    resampled = [replicates(one, resampling, figure).resampled.mean(0) for one in configurations]
    # Few units give resamples that are too much alike, which would tell everything apart.
    enough = int(resampling.units.max()) + 1 >= FEW_UNITS
    apart = told_apart(value, np.stack(resampled)) if enough else np.zeros((len(value),) * 2, np.bool_)
    known = not np.isnan(value).all()
    best = ~apart[np.nanargmax(value)] & ~np.isnan(value) if known else np.zeros(len(value), np.bool_)
    others = [i for i in range(len(configurations)) if baseline is not None and i != baseline]
    differences: list[Difference | None] = [None] * len(configurations)
    p_holm: list[float | None] = [None] * len(configurations)
    if baseline is not None:
        first = configurations[baseline]
        found = [difference(first, configurations[i], resampling, figure, len(others)) for i in others]
        adjusted = holm([one.p_images for one in found])
        for i, one, p in zip(others, _with_verdicts(found), adjusted, strict=True):
            differences[i], p_holm[i] = one, p
    return Compared(
        estimates, tuple(differences), tuple(p_holm), tuple(map(bool, best)), letters(value.tolist(), apart)
    )


def _with_verdicts(differences: Sequence[Difference]) -> list[Difference]:
    """Adjust the verdicts over seeds for all differences; with too few seeds, a p-value counts as 1."""
    adjusted = holm([1.0 if one.p_seeds is None else one.p_seeds for one in differences])
    return [
        replace(one, verdict_seeds=verdict(one.seeds, one.seeds_needed, None if one.p_seeds is None else p))
        for one, p in zip(differences, adjusted, strict=True)
    ]
