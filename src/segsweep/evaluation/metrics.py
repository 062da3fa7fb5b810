"""Figures from counts: pure numpy, always from one confusion matrix of the whole set, in float64.

`K` classes. A confusion matrix is int64 [K, K], rows the truth, columns the prediction, ignored pixels
left out. The rules that make published figures differ are decided here, once:

* figures are of the dataset: counts are summed first and divided last, never averaged over images;
* a class absent from truth and prediction alike is 0/0: its figure is NaN and the mean leaves it out;
* a class predicted but never true has IoU 0, and counts in the mean;
* a set without one counted pixel has NaN for every figure.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

ABSENT_RULE = "absent from truth and prediction: left out of the mean; predicted but never true: IoU 0"


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
    """Quotient in float64, NaN if the denominator is 0; shapes as numpy broadcasts them."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def nanmean(values: NDArray[np.float64]) -> float:
    """Mean over the values that are not NaN; NaN, without a warning, if there are none."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def marginals(confusion: Integers) -> tuple[Integers, Integers, Integers]:
    """True positives, false positives and false negatives, each int64 [K], of a confusion matrix [K, K]."""
    true_positives = np.diagonal(confusion).copy()
    return true_positives, confusion.sum(0) - true_positives, confusion.sum(1) - true_positives


def iou(tp: Integers, fp: Integers, fn: Integers) -> Floats:
    """Intersection over union of each class, float64, NaN for a class absent from truth and prediction."""
    return ratio(tp, tp + fp + fn)


def mean_iou(tp: Integers, fp: Integers, fn: Integers) -> float:
    """Mean of the classes' IoU [K], classes absent from truth and prediction left out."""
    return nanmean(iou(tp, fp, fn))


def class_accuracy(confusion: Integers) -> Floats:
    """Share of each class's true pixels that were found (recall), float64 [K]; NaN if it has none."""
    return ratio(np.diagonal(confusion), confusion.sum(1))


def pixel_accuracy(confusion: Integers) -> float:
    """Share of all counted pixels that are right."""
    return float(ratio(np.trace(confusion), confusion.sum()))


def frequency_weighted_iou(confusion: Integers) -> float:
    """IoU weighted by each class's share of the true pixels (Long et al., CVPR 2015, section 5)."""
    frequency = ratio(confusion.sum(1), confusion.sum())
    # A class that is never true has weight 0; its NaN must not reach the sum.
    weighted = (frequency * iou(*marginals(confusion)))[confusion.sum(1) > 0]
    return float(weighted.sum()) if weighted.size else float("nan")
