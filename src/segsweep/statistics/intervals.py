"""Figures with 95 % intervals by resampling, of one configuration."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from segsweep.statistics.figures import iou
from segsweep.statistics.measured import Measured
from segsweep.statistics.replicates import Replicates, replicates, resampled_totals
from segsweep.statistics.resampling import Resampling

Floats = NDArray[np.float64]

LEVEL = 0.95
FEW_UNITS = 20
"""With fewer units than this, resamples are too much alike to take quantiles of."""
RARE_IMAGES = 20
RARE_CLASS = "images with it: {}; of so few, an interval that claims 95 % held in 84 to 93 % of simulations"
"""Caveat for a class in fewer than RARE_IMAGES images; measured in docs/statistics.md."""


@dataclass(frozen=True)
class Estimate:
    """A figure of a configuration.

    Attributes:
        value: the mean over seeds of the seeds' figures; NaN if no pixel was counted.
        low, high: 95 % interval over images (or blocks, or groups), given the trained networks.
        by_seed: the figure of each seed, in the order of `Measured.seeds`.
        std: standard deviation over seeds (ddof=1); None for one seed.
        complete: share of the resamples with true pixels of every class that has some in the whole set.
        caveat: what the interval does not say, in words; None if there is nothing to add.
    """

    value: float
    low: float
    high: float
    by_seed: tuple[float, ...]
    std: float | None
    complete: float
    caveat: str | None = None


def interval(
    value: float, resampled: Floats, left_out: Floats, method: str = "bca", level: float = LEVEL
) -> tuple[float, float]:
    """Interval from replicates of a figure: [R] of resamples, [U] without each unit; NaN without a value.

    `percentile` takes the quantiles Φ(± z) of the resamples. `bca`, bias-corrected and accelerated, takes
    Φ(z0 + (z0 ± z) / (1 − a (z0 ± z))) instead, where z0 is the normal quantile of the share of resamples
    below the value (ties count half) and a = Σ d³ / 6 (Σ d²)^1.5 over d, the mean of `left_out` minus each
    (Efron & Tibshirani 1993, section 14.3). For both, z = √(U / (U − 1)) t, with Student's quantile t at
    U − 1 degrees of freedom: with the normal's 1.96, intervals of few units are too short (Hesterberg 2015,
    section 3.3). With fewer units than FEW_UNITS there are not enough different resamples, and both are

        value ± t √((U − 1) / U · Σ d²),

    the jackknife's standard error (Efron & Tibshirani 1993, section 11.2). Replicates without a figure
    (NaN) are left out.
    """
    resampled, left_out = resampled[~np.isnan(resampled)], left_out[~np.isnan(left_out)]
    units = len(left_out)
    if np.isnan(value) or units < 2 or not resampled.size:
        return float("nan"), float("nan")
    student = stdtrit(units - 1, [(1 - level) / 2, (1 + level) / 2])
    if units < FEW_UNITS:
        low, high = value + student * standard_error(left_out)
        return float(low), float(high)
    z = student * np.sqrt(units / (units - 1))
    below = (np.mean(resampled < value) + np.mean(resampled <= value)) / 2
    if method == "bca" and 0 < below < 1:
        d = left_out.mean() - left_out
        a = (d**3).sum() / (6 * (d**2).sum() ** 1.5) if d.any() else 0.0
        shifted = ndtri(below) + z
        z = ndtri(below) + shifted / (1 - np.minimum(a * shifted, 0.99))
    elif method not in ("bca", "percentile"):
        raise ValueError(f"method={method}: percentile or bca")
    low, high = np.quantile(resampled, ndtr(z))
    return float(low), float(high)


def standard_error(left_out: Floats) -> float:
    """Jackknife's standard error √((U − 1) / U · Σ d²) of a figure, from it without each unit [U]."""
    units = len(left_out)
    return float(np.sqrt((units - 1) * left_out.var()))


def estimate(
    measured: Measured, resampling: Resampling, figure: str = "miou", method: str = "bca"
) -> Estimate:
    """Estimate a figure of the whole set: the mean over seeds, each from its own totals."""
    of_truth = 5 if figure == "boundary_iou" else 2  # the row of false negatives, next to its true positives
    totals = resampled_totals(measured, resampling)[0]  # the truth is the same for all seeds
    true = totals[:, of_truth - 2] + totals[:, of_truth]
    complete = (true > 0).sum(1) == (true > 0).any(0).sum()
    return summarize(replicates(measured, resampling, figure), float(complete.mean()), method)


def class_estimates(measured: Measured, resampling: Resampling, method: str = "bca") -> list[Estimate]:
    """Estimate the IoU of each class, K estimates; `complete` and `caveat` are of that class alone."""
    of_all = replicates(measured, resampling, iou)
    totals, counts = resampled_totals(measured, resampling)[0], measured.counts[0]
    complete = (totals[:, 0] + totals[:, 2] > 0).mean(0)
    images = (counts[:, 0] + counts[:, 2] > 0).sum(0)
    found = []
    for k, number in enumerate(images):
        of_class = Replicates(of_all.value[:, k], of_all.resampled[..., k], of_all.left_out[..., k])
        caveat = RARE_CLASS.format(number) if 0 < number < RARE_IMAGES else None
        found.append(replace(summarize(of_class, float(complete[k]), method), caveat=caveat))
    return found


def summarize(of_figure: Replicates, complete: float, method: str = "bca") -> Estimate:
    """Summarize replicates of S seeds as an estimate of their mean."""
    mean = of_figure.mean()
    low, high = interval(float(mean.value[0]), mean.resampled[0], mean.left_out[0], method)
    by_seed = tuple(map(float, of_figure.value))
    std = float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else None
    return Estimate(float(mean.value[0]), low, high, by_seed, std, complete)
