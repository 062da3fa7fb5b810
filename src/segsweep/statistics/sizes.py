"""Figures by size of the object: a test set's counts parted by size, each part a `Measured` like the whole.

Every function of this package takes the parts as it takes the whole: `estimate(part, …)` is the mean over
classes of the IoU on objects of that size, `difference(part, other_part, …)` compares two networks on them,
and `figures.class_accuracy` of a part's totals is the recall.

`Z` sizes; the other letters as in the package's legend.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segsweep.statistics.intervals import Estimate, estimate
from segsweep.statistics.measured import Measured
from segsweep.statistics.resampling import Resampling

Integers = NDArray[np.int64]


def by_size(measured: Measured, objects: Integers) -> tuple[Measured, ...]:
    """Part counts by the size of the true object, Z parts.

    True positives and false negatives lie in true objects and are counted by their size. False positives lie
    in none of their class. Within each image, a class's are shared out in proportion to the true pixels
    a_z = tp_z + fn_z of each size, in whole pixels:

        IoU_z = Σ tp_z / Σ (tp_z + fn_z + fp · a_z / Σ_z a_z)        sums over images

    Limits: within an image all sizes of a class have the same share of false positives, so that sizes differ
    in IoU by what is missed more than by what is added. False positives in images without a true object of
    the class belong to no size, so that IoU may be higher at every size than it is on the whole; a network
    that invents objects shows that in the IoU on the whole only. A class without an object of a size is left
    out of that size's mean, so that means of different sizes are over different classes: compare networks at
    one size rather than sizes of one network.

    Args:
        measured: the counts on the whole.
        objects: int64 [S, N, Z, 2, K], tp and fn by size, in the order of `measured`'s seeds and images.

    Raises:
        ValueError: the sizes do not add up to the whole.
    """
    tp, fp, fn = (measured.counts[:, :, row] for row in range(3))
    if not np.array_equal(objects.sum(2), np.stack([tp, fn], axis=2)):
        raise ValueError("counts by size do not add up to those of the images")
    true = objects.sum(3)  # [S, N, Z, K]
    shares = np.cumsum(true, axis=2) * fp[:, :, None] // np.maximum(tp + fn, 1)[:, :, None]
    shared = np.diff(shares, axis=2, prepend=0)
    parts = np.zeros((true.shape[2], *measured.counts.shape), np.int64)
    for size, part in enumerate(parts):
        part[:, :, 0], part[:, :, 1], part[:, :, 2] = (
            objects[:, :, size, 0],
            shared[:, :, size],
            objects[:, :, size, 1],
        )
    return tuple(Measured(measured.seeds, part) for part in parts)


def size_estimates(
    measured: Measured, objects: Integers, resampling: Resampling, figure: str = "miou"
) -> Sequence[Estimate]:
    """Estimate a figure of all pixels (not of boundaries) at each size, Z estimates."""
    return [estimate(part, resampling, figure) for part in by_size(measured, objects)]
