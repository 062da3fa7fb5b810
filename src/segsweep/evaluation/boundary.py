"""The boundary bands of a label map, for Boundary IoU (Cheng et al., CVPR 2021, sections 4 and 5).

A class's band is the part of its mask within `d` pixels of the mask's contour: the mask less its erosion
by a 3×3 square repeated d times. All classes are done at once: a pixel leaves its class's eroded mask
exactly where some pixel in the (2d+1)² window around it has another value, that is, where the window's
maximum or minimum is not its own value. The image border counts as contour, as in the authors' code
(github.com/bowenc0221/boundary-iou-api, `mask_to_boundary`).
"""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.data.sample import IGNORE_INDEX

Map = NDArray[np.uint8]

DILATION_RATIO = 0.02  # of the image diagonal: the paper's choice for images of this size
BOUNDARY_RULE = "bands of round(0.02 x diagonal) pixels, at least 1; image border and void edges are contour"


def boundary_width(height: int, width: int) -> int:
    """Width d of the band in pixels: 2 % of the image diagonal, rounded, at least 1."""
    return max(1, round(DILATION_RATIO * math.hypot(height, width)))


def boundary_band(labels: Map, width: int) -> NDArray[np.bool_]:
    """Which pixels of labels uint8 [H, W] lie within `width` of their class's contour, bool [H, W].

    Void (255) is a value like another here: its edge is a contour for the class beside it. `counts`
    copies the truth's void into the prediction first, so that the two maps have that contour in common:
    a perfect prediction scores 1, and nothing predicted under void can cost a pixel outside it.
    """
    window: Any = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    # Beyond the image lies void, which is no class; the minimum cannot see it, the maximum always does.
    border: dict[str, Any] = {"borderType": cv2.BORDER_CONSTANT, "borderValue": (IGNORE_INDEX,) * 4}
    highest = cv2.dilate(labels, window, **border)
    lowest = cv2.erode(labels, window, **border)
    return np.asarray((highest != labels) | (lowest != labels))
