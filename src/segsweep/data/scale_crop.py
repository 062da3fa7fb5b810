"""Part of a scaled image, without scaling all of it.

Scaling a 2048x1024 image twofold to keep a crop of it is most of an augmentation's work. What the crop needs
of the source is scaled here alone, with the result of scaling everything and cropping then.

Shape letters: `H`, `W` the source, `h`, `w` the crop.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


class Crop(NamedTuple):
    """A part of a scaled image."""

    scaled: tuple[int, int]
    """(height, width) of the whole scaled image."""
    corner: tuple[int, int]
    """(top, left) of the part in it."""
    size: tuple[int, int]
    """(h, w) of the part, which lies inside."""


def crop_image(image: Bytes, crop: Crop) -> Bytes:
    """Part [h, w, 3] of an image [H, W, 3] scaled bilinearly; a view of it where it keeps its size.

    Equal to `cv2.resize(image)[part]` to the bit in most cases, and to one grey level in all: OpenCV works
    out positions in single precision, which rounds those far from the origin more.
    """
    rows, columns = (_tile(*axis) for axis in zip(image.shape[:2], *crop, strict=True))
    source: Any = image[rows.source, columns.source]
    if image.shape[:2] != crop.scaled:
        source = cv2.resize(source, (columns.scaled, rows.scaled), interpolation=cv2.INTER_LINEAR)
    return np.asarray(source[rows.part, columns.part], dtype=np.uint8)


def crop_label(label: Bytes, crop: Crop, flip: bool = False) -> Bytes:
    """Part [h, w] of a label map [H, W] scaled to the nearest pixel, mirrored left to right after that.

    Equal to `cv2.resize(label)[part]` always.
    """
    rows, columns = (_nearest(*axis) for axis in zip(label.shape, *crop, strict=True))
    if flip:
        columns = columns[::-1]
    band = label[rows[0] : rows[-1] + 1].take(columns, axis=1)
    return np.asarray(band[rows - rows[0]], dtype=np.uint8)


class _Tile(NamedTuple):
    """What one axis of a part takes: pixels of the source, which become `scaled`, of which `part` is kept."""

    source: slice
    scaled: int
    part: slice


def _tile(source: int, scaled: int, start: int, size: int) -> _Tile:
    """The least tile whose ends fall on pixel borders both before and after scaling.

    Scaling such a tile samples at the positions of scaling everything. With scaled / source = p / q in
    lowest terms these are every q pixels of the source, p of the scaled image. The tile reaches one such
    block further than the part, as interpolation looks one pixel past it.
    """
    ratio = Fraction(scaled, source)
    p, q = ratio.numerator, ratio.denominator
    if p == q:
        return _Tile(slice(start, start + size), size, slice(None))
    first, last = max(0, start // p - 1), min(scaled // p, -(-(start + size) // p) + 1)
    kept = slice(start - first * p, start - first * p + size)
    return _Tile(slice(first * q, last * q), (last - first) * p, kept)


def _nearest(source: int, scaled: int, start: int, size: int) -> NDArray[Any]:
    """The source pixel [size] of each pixel of a part, along one axis."""
    if source == scaled:
        return np.arange(start, start + size)
    # OpenCV's plain nearest neighbour takes the pixel's corner and shifts labels against the bilinear image
    # by up to half a pixel; the exact one takes its centre. Where a centre lies between two pixels its
    # choice follows no formula that we know, so it is asked.
    every = np.arange(source, dtype=np.float32)[None]
    chosen = cv2.resize(every, (scaled, 1), interpolation=cv2.INTER_NEAREST_EXACT)[0]
    return np.asarray(chosen[start : start + size], dtype=np.intp)
