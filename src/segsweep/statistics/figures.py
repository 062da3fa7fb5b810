"""Figures from totals: pure numpy, always from counts that were summed first, in float64.

Totals are [..., 6, K], the rows as in the package's legend; figures of all pixels need the first three only.
The rules that make published figures differ are decided here, once:

* figures are of the dataset: counts are summed first and divided last, never averaged over images;
* a class absent from truth and prediction alike is 0/0: its figure is NaN and the mean leaves it out;
* a class predicted but never true has IoU 0, and counts in the mean;
* a set without one counted pixel has NaN for every figure.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Totals = NDArray[Any]
"""Integers, or float64 if images were weighted."""
Floats = NDArray[np.float64]

ABSENT_RULE = "absent from truth and prediction: left out of the mean; predicted but never true: IoU 0"


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
    """Quotient in float64, NaN if the denominator is 0; shapes as numpy broadcasts them."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def sum_and_number(values: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Sum and number [...] of the values [..., K] that are not NaN."""
    present = ~np.isnan(values)
    # Without the classes that are absent everywhere, so that these do not change the order of summation.
    kept = present.any(tuple(range(values.ndim - 1)))
    return np.where(present, values, 0.0)[..., kept].sum(-1), present.sum(-1)


def mean_over_classes(values: Floats) -> Floats:
    """Mean [...] over the classes' values [..., K] that are not NaN; NaN, without a warning, if all are."""
    return ratio(*sum_and_number(values))


def iou(totals: Totals) -> Floats:
    """Intersection over union of each class, [..., K]; NaN for one absent from truth and prediction."""
    tp, fp, fn = np.moveaxis(totals[..., :3, :], -2, 0)
    return ratio(tp, tp + fp + fn)


def class_boundary_iou(totals: Totals) -> Floats:
    """IoU of each class within the boundary bands, [..., K] (Cheng et al., CVPR 2021)."""
    return iou(totals[..., 3:, :])


def class_accuracy(totals: Totals) -> Floats:
    """Share of each class's true pixels that were found (recall), [..., K]; NaN if it has none."""
    return ratio(totals[..., 0, :], totals[..., 0, :] + totals[..., 2, :])


def miou(totals: Totals) -> Floats:
    """Mean of the classes' IoU, [...]."""
    return mean_over_classes(iou(totals))


def boundary_iou(totals: Totals) -> Floats:
    """Mean of the classes' IoU within the boundary bands, [...]."""
    return mean_over_classes(class_boundary_iou(totals))


def pixel_accuracy(totals: Totals) -> Floats:
    """Share of all counted pixels that are right, [...]."""
    right = totals[..., 0, :].sum(-1)
    return ratio(right, right + totals[..., 2, :].sum(-1))


def fwiou(totals: Totals) -> Floats:
    """IoU weighted by each class's share of the true pixels, [...] (Long et al., CVPR 2015, section 5)."""
    true = totals[..., 0, :] + totals[..., 2, :]
    frequency = ratio(true, true.sum(-1, keepdims=True))
    # A class that is never true has weight 0; if only predicted, its IoU of 0 is left out with it.
    total, classes = sum_and_number(np.where(true > 0, frequency * iou(totals), np.nan))
    return np.where(classes > 0, total, np.nan)


FIGURES: Mapping[str, Callable[[Totals], Floats]] = {
    "miou": miou,
    "pixel_accuracy": pixel_accuracy,
    "fwiou": fwiou,
    "boundary_iou": boundary_iou,
}
"""The figures of a whole set by the names that they have in metrics.json."""
