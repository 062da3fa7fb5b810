"""Two configurations over the same images: the difference, its interval and its tests."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from segsweep.statistics.figures import FIGURES
from segsweep.statistics.intervals import interval, standard_error
from segsweep.statistics.measured import Measured
from segsweep.statistics.multiple import LEVEL
from segsweep.statistics.replicates import replicates, swapped_totals
from segsweep.statistics.resampling import Resampling
from segsweep.statistics.seeds import seeds_needed, sign_flip, verdict
from segsweep.statistics.variance import crossed_interval

Floats = NDArray[np.float64]

POWER = 0.8


@dataclass(frozen=True)
class Difference:
    """The second configuration's figure minus the first's.

    Attributes:
        value: mean over the seeds that both have; without any, seeds are paired in their order.
        low, high: 95 % interval over images, given the trained networks.
        p_images: p-value of the paired permutation test over images, not adjusted for other comparisons.
        seeds: number of seeds that both have.
        by_seed: the difference of each of these.
        p_seeds: p-value of the sign-flip test over seeds; None if these are too few to find anything.
        seeds_needed: how many seeds that test needs, with all comparisons of the table.
        verdict_seeds: what the seeds say, in words.
        smallest: the smallest difference that this test set tells apart from 0 with a probability of 80 %.
        crossed: 95 % interval over seeds and images, as if both were drawn again; NaN for one seed.
    """

    value: float
    low: float
    high: float
    p_images: float
    seeds: int
    by_seed: tuple[float, ...]
    p_seeds: float | None
    seeds_needed: int
    verdict_seeds: str
    smallest: float
    crossed: tuple[float, float]


def difference(
    first: Measured, second: Measured, resampling: Resampling, figure: str = "miou", comparisons: int = 1
) -> Difference:
    """Compare two configurations, second minus first.

    Args:
        first, second: over the same images in the same order; seeds with the same name are pairs.
        resampling: weights of these images.
        figure: a name of `FIGURES`.
        comparisons: how many a table makes, for `smallest`, `seeds_needed` and the verdict.
    """
    common = [seed for seed in first.seeds if seed in second.seeds]
    pairs = min(len(first.seeds), len(second.seeds))
    first, second = first.of(common or first.seeds[:pairs]), second.of(common or second.seeds[:pairs])
    one, two = replicates(first, resampling, figure), replicates(second, resampling, figure)
    between = two - one
    mean = between.mean()
    value = float(mean.value[0])
    # The bias of a figure cancels in a difference, so that BCa's correction would be noise.
    low, high = interval(value, mean.resampled[0], mean.left_out[0], "percentile")
    by_seed = between.value if common else np.zeros(0)
    needed = seeds_needed(comparisons)
    p_seeds = sign_flip(by_seed) if len(by_seed) >= needed and not np.isnan(by_seed).any() else None
    return Difference(
        value=value,
        low=low,
        high=high,
        p_images=permutation(first, second, resampling, figure),
        seeds=len(common),
        by_seed=tuple(map(float, by_seed)),
        p_seeds=p_seeds,
        seeds_needed=needed,
        verdict_seeds=verdict(len(common), needed, p_seeds),
        smallest=smallest_difference(mean.left_out[0], comparisons),
        crossed=crossed_interval(between, resampling.seed) if common else (float("nan"), float("nan")),
    )


def permutation(first: Measured, second: Measured, resampling: Resampling, figure: str = "miou") -> float:
    """Two-sided p-value of a difference, by exchanging the counts of whole images (or other units).

    If two configurations do not differ, their counts of an image are exchangeable, all seeds together
    (Good 2005, chapter 3; Yeh 2000 for figures that are no means). With X the images exchanged in each
    permutation, [P, N], totals of the first become T1 − X·C1 + X·C2, of the second T2 − X·C2 + X·C1.
    NaN without a figure.
    """
    mine, theirs = swapped_totals(first, resampling), swapped_totals(second, resampling)
    one = FIGURES[figure](first.counts.sum(1)[:, None] - mine + theirs)
    two = FIGURES[figure](second.counts.sum(1)[:, None] - theirs + mine)
    sizes = np.abs((two - one).mean(0))
    return float("nan") if np.isnan(sizes[0]) else float(np.mean(sizes >= sizes[0] - 1e-12))


def smallest_difference(left_out: Floats, comparisons: int = 1) -> float:
    """Smallest true difference that a two-sided test at 5 % finds with a probability of 80 %.

    (t at 1 − 0.05 / 2m + z at 0.8) × the jackknife's standard error, with m comparisons and U − 1 degrees of
    freedom: 2.8 standard errors for one comparison and many images (Cohen 1988, section 2.4).

    Args:
        left_out: [U], the difference without each unit.
        comparisons: m.
    """
    units = len(left_out)
    if units < 2:
        return float("nan")
    detected = stdtrit(units - 1, 1 - LEVEL / (2 * comparisons)) + ndtri(POWER)
    return float(detected * standard_error(left_out))
