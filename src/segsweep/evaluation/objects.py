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
from typing import Any

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.uint8]
Integers = NDArray[np.integer[Any]]

OBJECT_SIZES = ("small", "medium", "large")
BOUNDS = (Fraction(32 * 32, 640 * 480), Fraction(96 * 96, 640 * 480))
"""Share of the image's pixels from which on an object is medium, and large."""


def object_sizes(label: Map) -> Map:
    """Return the size class of the object that each pixel belongs to, uint8 [H, W], indices of OBJECT_SIZES.

    Void is taken for a class like any other; counts leave its pixels out.

    All classes are done at once, on horizontal runs of equal pixels: runs of neighbouring rows that touch are
    the edges of a graph, whose connected components are the objects. This takes a tenth of the time of
    OpenCV's components class by class, and as long for 150 classes as for 11.
    """
    height, width = label.shape
    begins = np.ones(label.shape, bool)  # where a run begins
    np.not_equal(label[:, 1:], label[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    objects = connected_components(len(starts), *_touching_runs(label, begins))
    lengths = np.diff(starts, append=label.size)
    areas = np.bincount(objects, weights=lengths)
    sizes = np.zeros(len(areas), np.uint8)
    for bound in BOUNDS:
        sizes += areas * bound.denominator >= label.size * bound.numerator
    return np.repeat(sizes[objects], lengths).reshape(height, width)


def _touching_runs(label: Map, begins: NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """Return the upper and the lower run of each pair of equal runs that touch, some pairs several times."""
    height, width = label.shape
    # At flat indices of the upper row: the first of the pixels in which one run lies above the other.
    above = np.flatnonzero((begins[1:] | begins[:-1]) & (label[1:] == label[:-1]))
    # Runs that touch in a corner only, down to the right or to the left: at the upper row's right pixel.
    corner = np.zeros((height - 1, width), bool)
    both_begin = begins[:-1, 1:] & begins[1:, 1:]
    equal = (label[:-1, :-1] == label[1:, 1:]) | (label[:-1, 1:] == label[1:, :-1])
    np.logical_and(both_begin, equal, out=corner[:, 1:])
    corners, flat = np.flatnonzero(corner), label.reshape(-1)
    right = corners[flat[corners - 1] == flat[corners + width]]
    left = corners[flat[corners] == flat[corners + width - 1]]
    run = np.cumsum(begins, dtype=np.int32) - 1  # of each pixel
    upper = np.concatenate([above, right - 1, left])
    lower = np.concatenate([above, right, left - 1]) + width
    return run[upper], run[lower]


def connected_components(nodes: int, low: Integers, high: Integers) -> Integers:
    """Return a number for each of the nodes, equal for those that edges connect.

    Each node is hooked to one of its lower neighbours, and trees are flattened; what edges remain between
    trees is the same problem on the few roots that have any.

    Args:
        nodes: how many there are.
        low: one end of each edge.
        high: the other end, the larger number.
    """
    parent = np.arange(nodes)
    parent[high] = low  # the last of a node's edges decides
    while not np.array_equal(above := parent[parent], parent):
        parent = above
    low, high = parent[low], parent[high]
    apart = np.flatnonzero(low != high)
    if apart.size:
        roots, ends = np.unique(np.stack([low[apart], high[apart]]), return_inverse=True)
        ends.sort(axis=0)
        # Hooked to the lowest neighbour, roots at least halve in number every other time, in any graph.
        ends = ends[:, np.argsort(-ends[0])]
        parent[roots] = roots[connected_components(len(roots), *ends)]
        parent = parent[parent]
    return parent
