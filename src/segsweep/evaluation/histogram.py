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
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.data.sample import IGNORE_INDEX
from segsweep.evaluation.objects import OBJECT_SIZES, object_sizes

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
    """
    window: Any = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    # Beyond the image lies void, which is no class; the minimum cannot see it, the maximum always does.
    border: dict[str, Any] = {"borderType": cv2.BORDER_CONSTANT, "borderValue": (IGNORE_INDEX,) * 4}
    highest = cv2.dilate(labels, window, **border)
    lowest = cv2.erode(labels, window, **border)
    return np.asarray((highest != labels) | (lowest != labels))


def truth_parts(label: Map) -> Map:
    """Return the part of the truth that each pixel is in, uint8 [H, W]: 2 × its object's size + in the band.

    It is the same for all predictions, so that strategies share it.
    """
    band = boundary_band(label, boundary_width(*label.shape))
    return np.asarray((object_sizes(label) << 1) | band.view(np.uint8))


def joint_histogram(prediction: Map, label: Map, parts: Map, num_classes: int) -> Integers:
    """Pixels by (size of the true object, in the truth's band, in the prediction's band, truth, prediction).

    One histogram, int64 [Z, 2, 2, K, K], holds the confusion matrix, all boundary counts and those by size
    as sums of its parts. Labels are classes or ignored; `parts` are the label's `truth_parts`.
    """
    # Void is copied into the prediction so that its edge is a contour in both maps (see `boundary_band`).
    masked = prediction | -(label == IGNORE_INDEX).view(np.uint8)
    predicted = boundary_band(masked, boundary_width(*label.shape)).view(np.uint8)
    shape = (len(OBJECT_SIZES), 2, 2, num_classes + 1, num_classes)
    small = math.prod(shape) <= 2**16
    code: NDArray[Any] = ((parts << 1) | predicted).astype(np.uint16 if small else np.uint32)
    code *= num_classes + 1
    code += label + np.uint8(1)  # void becomes 0
    code *= num_classes
    code += prediction
    bins = np.bincount(code.reshape(-1), minlength=math.prod(shape))
    return bins.astype(np.int64, copy=False).reshape(shape)[..., 1:, :]


def marginals(confusion: Integers) -> Integers:
    """True positives, false positives and false negatives, int64 [3, K], of a confusion matrix [K, K]."""
    true_positives = np.diagonal(confusion)
    return np.stack([true_positives, confusion.sum(0) - true_positives, confusion.sum(1) - true_positives])


def boundary_counts(joint: Integers) -> Integers:
    """True positives, false positives, false negatives of the bands, [3, K], of a histogram [2, 2, K, K]."""
    both = np.diagonal(joint[1, 1])
    return np.stack([both, joint[:, 1].sum((0, 1)) - both, joint[1].sum((0, 2)) - both])
