"""All counts of one image from one histogram of its pixels.

`K` classes, `H W` a label map.
"""

import numpy as np
from numpy.typing import NDArray

from segsweep.data.sample import IGNORE_INDEX
from segsweep.evaluation.boundary import boundary_band, boundary_width

Integers = NDArray[np.int64]
Map = NDArray[np.uint8]


def joint_histogram(prediction: Map, label: Map, num_classes: int) -> Integers:
    """Pixels by (in the truth's band, in the prediction's band, truth, prediction), int64 [2, 2, 256, K].

    One histogram holds the confusion matrix and all boundary counts as sums of its parts. On one thread
    it takes no longer than torchmetrics' confusion matrix alone, to which the tests hold it equal.
    """
    width = boundary_width(*label.shape)
    # Void is copied into the prediction so that its edge is a contour in both maps (see `boundary_band`).
    masked = np.where(label == IGNORE_INDEX, label, prediction)
    code = (2 * boundary_band(label, width) + boundary_band(masked, width)).astype(np.intp)
    code *= 256
    code += label
    code *= num_classes
    code += prediction
    bins = np.bincount(code.ravel(), minlength=4 * 256 * num_classes)
    return bins.astype(np.int64, copy=False).reshape(2, 2, 256, num_classes)


def boundary_counts(joint: Integers) -> tuple[Integers, Integers, Integers]:
    """True positives, false positives, false negatives [K] of the bands, of a histogram [2, 2, K, K]."""
    both = np.diagonal(joint[1, 1]).copy()
    predicted, true = joint[:, 1].sum((0, 1)), joint[1].sum((0, 2))
    return both, predicted - both, true - both
