"""All counts of one image from one histogram of its pixels, its boundary bands included.

Boundary IoU (Cheng et al., CVPR 2021, sections 4 and 5) counts in bands: a class's band is the part of its
mask within `d` pixels of the mask's contour, that is the mask less its erosion by a 3×3 square repeated d
times. All classes are done at once: a pixel leaves its class's eroded mask exactly if some pixel in the
(2d+1)² window around it has another value, that is, if the window's maximum or minimum is not its own value.
The image border counts as contour, as in the authors' code (github.com/bowenc0221/boundary-iou-api,
`mask_to_boundary`).

Counts by object size (see `objects`) are the same histogram's, one for each size of the truth's objects.

`K` classes, `Z` sizes of objects, `H W` a label map.
"""

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.data.sample import IGNORE_INDEX
from segsweep.evaluation.objects import OBJECT_SIZES, sized_runs

Integers = NDArray[np.int64]
Map = NDArray[np.uint8]

DILATION_RATIO = 0.02  # of the image diagonal: the paper's choice for images of this size
BOUNDARY_RULE = "bands of round(0.02 x diagonal) pixels, at least 1; image border and void edges are contour"


def boundary_width(height: int, width: int) -> int:
    """Width d of the band in pixels: 2 % of the image diagonal, rounded, at least 1."""
    return max(1, round(DILATION_RATIO * math.hypot(height, width)))


def boundary_band(labels: Map, width: int) -> NDArray[np.bool_]:
    """Which pixels of labels uint8 [H, W] lie within `width` of their class's contour, bool [H, W].

    Void (255) is a value like any other here: its edge is a contour for the class beside it.
    `joint_histogram` copies the truth's void into the prediction first, so that both maps have that contour:
    a perfect prediction scores 1, and nothing predicted under void can cost a pixel outside it.

    A window of (2d+1)² pixels has several values exactly if one of its (2d)² blocks of 2×2 has. That is a
    sliding "or" over the blocks, in log2(2d) steps for each axis. Flat indices go on in the next row, which
    only pixels within `width` of the image border would see, and these are in the band anyway.
    """
    height, columns = labels.shape
    band = np.ones((height, columns), bool)
    if min(height, columns) <= 2 * width:
        return band
    flat = labels.reshape(-1)
    beside, below = flat[1:] != flat[:-1], flat[columns:] != flat[:-columns]
    mixed = beside[:-columns] | beside[columns:] | below[:-1]
    for stride in (1, columns):
        size = 1  # of the windows, in blocks along this axis, that `mixed` answers for
        while size < 2 * width:
            step = min(size, 2 * width - size)
            mixed = mixed[: -step * stride] | mixed[step * stride :]
            size += step
    first = width * columns + width
    band.reshape(-1)[first : first + len(mixed)] = mixed
    band[:, :width] = band[:, -width:] = True
    return band


class Truth(NamedTuple):
    """What all strategies need of one image's truth."""

    void: Map
    """255 where the label is ignored, 0 elsewhere, [H, W]."""
    code: NDArray[np.uint16] | NDArray[np.uint32]
    """Where each pixel's bins begin in the flat histogram: by size of its object, band and class, [H, W]."""


def truth_of(label: Map, num_classes: int) -> Truth:
    """Prepare a label uint8 [H, W] whose values are classes or ignored."""
    label = np.ascontiguousarray(label)
    shape, runs = _bins(num_classes), sized_runs(label)
    small: type = np.uint16 if math.prod(shape) <= 2**16 else np.uint32
    begin: NDArray[Any] = runs.sizes.astype(small)
    begin *= 2 * (num_classes + 1)
    begin += label.reshape(-1)[runs.starts] + np.uint8(1)  # void becomes 0
    begin *= 2 * num_classes
    code = np.repeat(begin, runs.lengths).reshape(label.shape)
    code += boundary_band(label, boundary_width(*label.shape)) * small(math.prod(shape[2:]))
    return Truth(-(label == IGNORE_INDEX).view(np.uint8), code)


def joint_histogram(prediction: Map, truth: Truth, num_classes: int) -> Integers:
    """Pixels by (size of the true object, in the truth's band, truth, in the prediction's band, prediction).

    One histogram, int64 [Z, 2, K, 2, K], holds the confusion matrix, all boundary counts and those by size
    as sums of its parts. Predictions uint8 [H, W] are classes.
    """
    # Void is copied into the prediction so that its edge is a contour in both maps (see `boundary_band`).
    predicted = boundary_band(prediction | truth.void, boundary_width(*prediction.shape))
    code = truth.code + prediction
    code += predicted * code.dtype.type(num_classes)
    shape = _bins(num_classes)
    return histogram(code, math.prod(shape)).reshape(shape)[:, :, 1:]


def _bins(num_classes: int) -> tuple[int, ...]:
    return len(OBJECT_SIZES), 2, num_classes + 1, 2, num_classes


def histogram(code: NDArray[Any], bins: int) -> Integers:
    """Count the values 0 to bins - 1 of an array [H, W], int64 [bins]."""
    # OpenCV counts 16 bits in a fifth of numpy's time, but in floats, which hold integers up to 2**24.
    if code.dtype == np.uint16 and 0 < code.size <= 2**24:
        return cv2.calcHist([code], [0], None, [bins], [0, bins]).reshape(-1).astype(np.int64)
    return np.bincount(code.reshape(-1), minlength=bins).astype(np.int64, copy=False)


def marginals(confusion: Integers) -> Integers:
    """True positives, false positives and false negatives, int64 [3, K], of a confusion matrix [K, K]."""
    true_positives = np.diagonal(confusion)
    return np.stack([true_positives, confusion.sum(0) - true_positives, confusion.sum(1) - true_positives])


def image_counts(joint: Integers) -> tuple[Integers, Integers]:
    """Return `Counts.rows` [6, K] and `Counts.objects` [Z, 2, K] of one image's `joint_histogram`."""
    hits = np.diagonal(joint, axis1=2, axis2=4)  # [Z, 2, 2, K], the truth's band first
    true, predicted = joint.sum((3, 4)), joint.sum((0, 1, 2))  # [Z, 2, K] and [2, K]
    of_size = hits.sum((1, 2))
    objects = np.stack([of_size, true.sum(1) - of_size], axis=1)
    region, band = of_size.sum(0), hits[:, 1, 1].sum(0)
    region_rows = [region, predicted.sum(0) - region, objects[:, 1].sum(0)]
    return np.stack([*region_rows, band, predicted[1] - band, true[:, 1].sum(0) - band]), objects
