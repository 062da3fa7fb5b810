"""A figure of each seed as observed, in every resample, and without each unit: what intervals are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segsweep.statistics.figures import FIGURES, Totals
from segsweep.statistics.measured import Measured
from segsweep.statistics.resampling import Resampling, swaps

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Replicates:
    """Replicates of a figure; contrasts of configurations are contrasts of these arrays.

    Attributes:
        value: [S, ...], of the images as they are; the dots are K for a figure of each class.
        resampled: [S, R, ...], of each resample.
        left_out: [S, U, ...], of all images but those of one unit (the jackknife).
    """

    value: Floats
    resampled: Floats
    left_out: Floats

    def mean(self) -> "Replicates":
        """Return the mean over seeds, with S = 1."""
        return Replicates(
            *(part.mean(0, keepdims=True) for part in (self.value, self.resampled, self.left_out))
        )

    def __sub__(self, other: "Replicates") -> "Replicates":
        return Replicates(
            self.value - other.value, self.resampled - other.resampled, self.left_out - other.left_out
        )


def weighted_totals(weights: Floats, measured: Measured) -> Floats:
    """Sum counts over images with weights [R, N]: float64 [S, R, 6, K], one matrix product a seed."""
    seeds, images, rows, classes = measured.counts.shape
    flat = measured.counts.reshape(seeds, images, rows * classes).astype(np.float64)
    return np.stack([weights @ counts for counts in flat]).reshape(seeds, -1, rows, classes)


# Kept for the last few: the figures of one test, and comparisons with one baseline, come one after another.
@lru_cache(maxsize=4)
def resampled_totals(measured: Measured, resampling: Resampling) -> Floats:
    """Totals of every resample, float64 [S, R, 6, K]."""
    return weighted_totals(resampling.weights, measured)


@lru_cache(maxsize=4)
def swapped_totals(measured: Measured, resampling: Resampling) -> Floats:
    """Totals of the images that are exchanged in each permutation, float64 [S, P, 6, K]."""
    return weighted_totals(swaps(resampling), measured)


@lru_cache(maxsize=4)
def left_out_totals(measured: Measured, resampling: Resampling) -> Totals:
    """Totals without each unit, int64 [S, U, 6, K]."""
    counts = measured.counts
    of_units = np.zeros((int(resampling.units.max()) + 1, len(counts), *counts.shape[2:]), np.int64)
    np.add.at(of_units, resampling.units, counts.swapaxes(0, 1))
    left: Totals = counts.sum(1, keepdims=True) - of_units.swapaxes(0, 1)
    return left


def replicates(
    measured: Measured, resampling: Resampling, figure: str | Callable[[Totals], Floats] = "miou"
) -> Replicates:
    """Compute a figure, by its name or as a function of totals [..., 6, K], from all totals."""
    function = FIGURES[figure] if isinstance(figure, str) else figure
    return Replicates(
        function(measured.counts.sum(1)),
        function(resampled_totals(measured, resampling)),
        function(left_out_totals(measured, resampling)),
    )
