"""Objects of a label map and their size: the truth's connected components, as shares of the image.

An object is an 8-connected component of the pixels of one class, as semantic labels have no instances: cars
that touch are one object, and a street behind a pole is two. Diagonal neighbours belong together, so that
thin slanted things such as poles stay whole.

Size classes are COCO's, whose bounds of 32² and 96² pixels (cocodataset.org, detection evaluation) are taken
as shares of COCO's usual image of 640×480: 1/300 and 3/100. As shares they mean the same objects at
every resolution.

`H W` a label map.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Map = NDArray[np.uint8]

OBJECT_SIZES = ("small", "medium", "large")
BOUNDS = (Fraction(32 * 32, 640 * 480), Fraction(96 * 96, 640 * 480))
"""Share of the image's pixels from which on an object is medium, and large."""


def object_sizes(label: Map) -> Map:
    """Return the size class of the object that each pixel belongs to, uint8 [H, W], indices of OBJECT_SIZES.

    Void is taken for a class like any other; counts leave its pixels out.

    All classes are done at once, on horizontal runs of equal pixels: runs of neighbouring rows that touch are
    the edges of a graph, whose connected components are the objects. This takes a third of the time of
    OpenCV's components class by class, and as long for 150 classes as for 11.
    """
    height, width = label.shape
    begins = np.ones(label.shape, bool)  # where a run begins
    np.not_equal(label[:, 1:], label[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=label.size)
    same = label[1:] == label[:-1]
    # Where runs of neighbouring rows touch, at flat indices of the upper row: in the first of the pixels in
    # which one lies above the other, or in a corner only, down to the right or left, at its right pixel.
    touch = np.zeros((3, height - 1, width), bool)
    touch[0] = (begins[1:] | begins[:-1]) & same
    touch[1, :, 1:] = (label[1:, 1:] == label[:-1, :-1]) & begins[1:, 1:] & ~same[:, 1:]
    touch[2, :, 1:] = (label[1:, :-1] == label[:-1, 1:]) & begins[:-1, 1:] & ~same[:, :-1]
    above, right, left = map(np.flatnonzero, touch)
    pixels = np.concatenate([above, right - 1, left, *(row + width for row in (above, right, left - 1))])
    first, second = np.split(np.searchsorted(starts, pixels, side="right") - 1, 2)
    graph = coo_array((np.ones(len(first), np.uint8), (first, second)), shape=(len(starts),) * 2)
    objects = connected_components(graph, directed=False)[1]
    areas = np.bincount(objects, weights=lengths)
    sizes = np.zeros(len(areas), np.uint8)
    for bound in BOUNDS:
        sizes += areas * bound.denominator >= label.size * bound.numerator
    return np.repeat(sizes[objects], lengths).reshape(height, width)
