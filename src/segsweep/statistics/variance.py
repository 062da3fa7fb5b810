"""How much of a figure's uncertainty is due to seeds, and how much to images: a balanced crossed design.

Every seed's network is tested on every image, so seeds and images are crossed, with one result a cell. All
functions take replicates of a figure or of a difference (`second - first`, seeds paired).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from segsweep.statistics.replicates import Replicates


@dataclass(frozen=True)
class Components:
    """Variance of the mean over S seeds and U units of images, by its sources.

    Attributes:
        seeds: from the choice of seeds, σ²_seed / S.
        images: from the choice of images, which are the same for all seeds, σ²_image / U.
        both: from what a seed does to an image in particular, σ²_both / (S U).
        freedom: degrees of freedom of the sum (Satterthwaite 1946).
    """

    seeds: float
    images: float
    both: float
    freedom: float


def components(of_figure: Replicates) -> Components:
    """Estimate the components of variance of the mean over seeds, of S seeds ≥ 2.

    Two-way analysis of variance without replication (Searle, Casella & McCulloch 1992, section 4.3) on the
    jackknife's pseudo-values y_su = U θ_s − (U − 1) θ_s(u), whose mean over units stands for a figure that
    is no mean itself (Efron & Tibshirani 1993, section 11.5). With mean squares M of seeds, units and rest:

        σ²_both = M_rest    σ²_seed = (M_seeds − M_rest) / U    σ²_image = (M_units − M_rest) / S

    An estimate below 0 is 0.

    Raises:
        ValueError: one seed, or one unit of images, says nothing about others.
    """
    seeds, units = of_figure.left_out.shape
    if min(seeds, units) < 2:
        raise ValueError("components of variance need 2 seeds and 2 units of images")
    y = units * of_figure.value[:, None] - (units - 1) * of_figure.left_out
    by_seed, by_unit = y.mean(1, keepdims=True), y.mean(0, keepdims=True)
    of_seeds = units * by_seed.var(ddof=1)
    of_units = seeds * by_unit.var(ddof=1)
    rest = ((y - by_seed - by_unit + y.mean()) ** 2).sum() / ((seeds - 1) * (units - 1))
    squares = of_seeds**2 / (seeds - 1) + of_units**2 / (units - 1) + rest**2 / ((seeds - 1) * (units - 1))
    freedom = (of_seeds + of_units - rest) ** 2 / squares if squares else np.inf
    cells = seeds * units
    return Components(
        float(max(of_seeds - rest, 0) / cells),
        float(max(of_units - rest, 0) / cells),
        float(rest / cells),
        float(max(freedom, seeds - 1)),
    )


def crossed_interval(of_figure: Replicates, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Interval for other seeds and other images, by drawing both independently.

    The pigeonhole bootstrap (Owen 2007), with two corrections for few seeds: deviations that come from the
    choice of seeds are enlarged by √(S / (S − 1)), as S draws from S seeds vary too little by that (Rao &
    Wu 1988), and all are enlarged from the normal's to Student's quantile at the degrees of freedom of
    `components`. NaN for one seed, or one unit of images.
    """
    seeds, resamples = of_figure.resampled.shape
    if min(of_figure.left_out.shape) < 2:
        return float("nan"), float("nan")
    draws = np.random.default_rng([seed, 2]).multinomial(seeds, np.full(seeds, 1 / seeds), resamples) / seeds
    by_images = of_figure.resampled.mean(0) - of_figure.value.mean()
    by_seeds = ((draws - 1 / seeds).T * of_figure.resampled).sum(0) * np.sqrt(seeds / (seeds - 1))
    tail = (1 + level) / 2
    wider = stdtrit(components(of_figure).freedom, tail) / ndtri(tail)
    low, high = of_figure.value.mean() + wider * np.nanquantile(by_images + by_seeds, [1 - tail, tail])
    return float(low), float(high)
