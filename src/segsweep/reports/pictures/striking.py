"""Which images a gallery shows, chosen from counts alone: where two networks differ most, and the worst.

Letters: `M` configurations, `N` images, `K` classes; counts are tp, fp and fn of each image and class.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segsweep.statistics.figures import iou, miou

Integers = NDArray[np.int64]


class Striking(NamedTuple):
    """A chosen image, and why in words."""

    image: int
    why: str


def pair(counts: Integers) -> tuple[int, int]:
    """Return the configurations with the highest and the lowest mIoU, counts [M, 3, N, K], M at least 2."""
    order = np.argsort(-np.nan_to_num(miou(counts.sum(2))), kind="stable")
    return int(order[0]), int(order[-1])


def striking(counts: Integers, titles: Sequence[str], classes: Sequence[str], number: int) -> list[Striking]:
    """Return at most `number` images: half of them from each rule, or all from `worst` if M is 1.

    Args:
        counts: int64 [M, 3, N, K], of the images that may be chosen.
        titles: of the M configurations.
        classes: names of the K classes.
        number: how many images.
    """
    if len(counts) < 2:
        return worst(counts[0], titles[0], classes, number)
    best, other = pair(counts)
    apart = most_different(counts[[best, other]], (titles[best], titles[other]), (number + 1) // 2)
    seen = [one.image for one in apart]
    return apart + worst(counts[best], titles[best], classes, number - len(apart), seen)


def most_different(counts: Integers, titles: tuple[str, str], number: int) -> list[Striking]:
    """Return the images in which the mIoU of two configurations is furthest apart, counts [2, 3, N, K].

    An image's mIoU is the mean IoU of the classes that it has in truth or prediction.
    """
    values = image_miou(counts)
    apart = np.abs(values[1] - values[0])
    order = np.argsort(-np.nan_to_num(apart, nan=-1.0), kind="stable")[:number]
    return [
        Striking(
            int(i),
            f"{100 * apart[i]:.1f} points of this image's mIoU apart: "
            + ", ".join(f"{title} {100 * one[i]:.1f} %" for title, one in zip(titles, values, strict=True)),
        )
        for i in order
        if apart[i] > 0
    ]


def image_miou(counts: Integers) -> NDArray[np.float64]:
    """Return the mIoU [..., N] of each image, counts [..., 3, N, K]; NaN if no pixel of it counts."""
    return miou(np.moveaxis(counts, -3, -2))


def worst(
    counts: Integers, title: str, classes: Sequence[str], number: int, seen: Sequence[int] = ()
) -> list[Striking]:
    """Return the image that costs each class most, from the class with the lowest IoU up, counts [3, N, K].

    That is the image with the most wrong pixels (fp + fn) of the class: IoU is of the whole set, and the
    lowest IoU of an image would be that of a speck. Images that were `seen` are passed over.
    """
    ious, wrong = iou(counts.sum(1)), counts[1] + counts[2]
    found: list[Striking] = []
    for k in np.argsort(ious, kind="stable"):  # NaN last
        taken = {*seen, *(one.image for one in found)}
        left = [i for i in np.argsort(-wrong[:, k], kind="stable") if i not in taken and wrong[i, k]]
        if len(found) < number and left:
            here = float(iou(counts[:, left[0]])[k])
            words = f"{wrong[left[0], k]:,} pixels wrong, IoU {100 * here:.1f} % in this image"
            found.append(Striking(int(left[0]), f"{classes[k]}, {title}: {words}"))
    return found
