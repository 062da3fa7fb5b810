"""The papers' training augmentation, a function of (seed, epoch, draw).

KSAC, section 4.1: "horizontally flipping with 50% probability, randomly scaling the images with a scaling
factor between 0.5 and 2.0 and at a step size of 0.25, padding and randomly cropping the scaled images".

Scaling all of a 2048x1024 image would be most of the work, so only the part that the crop needs is scaled,
with the same result as scaling everything and then cropping.

Shape letters: `H`, `W` the source, `h`, `w` the crop.
"""

from collections.abc import Sequence
from fractions import Fraction
from random import Random
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from segsweep.data.extra import Extra
from segsweep.data.sample import IGNORE_INDEX, Sample, height_width
from segsweep.data.sampling import key
from segsweep.errors import OptionError

IMAGENET_MEAN_COLOUR = (124, 116, 104)
"""RGB. DeepLab pads with the mean colour, so that padding is near zero once images are normalised."""

Bytes = NDArray[np.uint8]


class Crop(NamedTuple):
    """A part of a scaled image."""

    scaled: tuple[int, int]  # (height, width) of the whole scaled image
    corner: tuple[int, int]  # (top, left) of the part in it
    size: tuple[int, int]  # (h, w) of the part, which lies inside


class Augment:
    """Scale, pad, crop and flip a sample to a fixed size, then apply the `extra` transforms.

    An instance keeps no random state: draws are the same in every loader process and after every resume.
    """

    takes = ("size",)

    def __init__(
        self,
        size: int | Sequence[int],
        scale_min: float = 0.5,
        scale_max: float = 2.0,
        scale_step: float | None = 0.25,
        flip: float = 0.5,
        fill: Sequence[int] = IMAGENET_MEAN_COLOUR,
        extra: Sequence[Any] | None = None,
        aspect: float | None = None,
    ) -> None:
        """Take the crop in pixels, the scales, the share of samples flipped left to right, the padding's RGB.

        Scales are `scale_min`, `scale_min + scale_step`, … `scale_max`, equally likely; any between the two,
        drawn evenly, if `scale_step` is None. With `aspect` the width is not scaled but made that many
        heights: ATONet's released code makes every image twice as wide as high. `extra` are
        transforms of albumentations, applied to the crop in this order; each must return an image and label
        of the crop's size and type (`Extra`). Raises ConfigError if an option is invalid.
        """
        self.size = height_width(size)
        self.scales = scale_choices(scale_min, scale_max, scale_step)
        self.any_between = scale_step is None
        self.aspect = aspect
        if aspect is not None and _number("aspect", aspect) <= 0:
            raise OptionError("aspect", aspect, "width / height, above 0, or null for the image's own")
        self.flip = _number("flip", flip)
        if not 0 <= self.flip <= 1:
            raise OptionError("flip", flip, "a probability from 0 to 1")
        self.fill = _colour(fill)
        self._extra = Extra(extra, self.size) if extra else None

    def __call__(self, sample: Sample, seed: int, epoch: int, draw: int) -> Sample:
        """Augment a sample of any size: image uint8 [H, W, 3] and label uint8 [H, W] with (H, W) = `size`.

        Padding is `fill` in the image and `IGNORE_INDEX` in the label. The result may be a view of the
        sample: do not write to it.
        """
        state = key(seed, "augment", epoch, draw)
        crop, flip = self._draw(Random(state), sample.label.shape)
        image: Any = crop_image(sample.image, crop)
        label: Any = crop_label(sample.label, crop, flip)
        # DeepLab's input pipeline pads below and to the right.
        below, beside = self.size[0] - crop.size[0], self.size[1] - crop.size[1]
        if below or beside:
            image = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=self.fill)
            sides = (beside, 0) if flip else (0, beside)  # the label is flipped already
            label = cv2.copyMakeBorder(label, 0, below, *sides, cv2.BORDER_CONSTANT, value=IGNORE_INDEX)
        if flip:
            image = cv2.flip(image, 1)
        done = Sample(image, label, sample.id)
        return self._extra(done, state) if self._extra else done

    def _draw(self, rng: Random, shape: tuple[int, ...]) -> tuple[Crop, bool]:
        """Return the part of the scaled image to keep, and whether to flip it."""
        # An unused draw, once albumentations' own: without it every sample of every run would change.
        rng.random()
        scale = self._scale(rng)
        # An image one pixel high keeps that pixel at any scale.
        height = max(1, int(shape[0] * scale))
        width = int(shape[1] * scale) if self.aspect is None else round(height * self.aspect)
        scaled = height, max(1, width)
        spare = max(0, scaled[0] - self.size[0]), max(0, scaled[1] - self.size[1])
        corner = int((spare[0] + 1) * rng.random()), int((spare[1] + 1) * rng.random())
        size = min(scaled[0], self.size[0]), min(scaled[1], self.size[1])
        return Crop(scaled, corner, size), rng.random() < self.flip

    def _scale(self, rng: Random) -> float:
        if self.any_between:
            return rng.uniform(*self.scales)
        return 1.0 if self.scales == (1.0,) else rng.choice(self.scales)


def scale_choices(scale_min: float, scale_max: float, scale_step: float | None) -> tuple[float, ...]:
    """Return the scales from `scale_min` to `scale_max`, both included; these two alone without a step.

    Raises ConfigError if a value is not positive, or the steps do not end at `scale_max`.
    """
    options = {"scale_min": scale_min, "scale_max": scale_max, "scale_step": scale_step}
    for name, value in options.items():
        if value is not None and _number(name, value) <= 0:
            raise OptionError(name, value, "a number above 0")
    if scale_step is None:
        if scale_max < scale_min:
            raise OptionError("scale_max", scale_max, f"at least scale_min ({scale_min})")
        return scale_min, scale_max
    steps = round((scale_max - scale_min) / scale_step)
    if steps < 0 or abs(scale_min + steps * scale_step - scale_max) > 1e-6:
        expected = f"scale_min ({scale_min}) plus whole steps of scale_step ({scale_step})"
        raise OptionError("scale_max", scale_max, expected)
    return tuple(round(scale_min + i * scale_step, 9) for i in range(steps + 1))


def _number(option: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OptionError(option, value, "a number")
    return float(value)


def _colour(fill: object) -> tuple[int, int, int]:
    values = list(fill) if isinstance(fill, Sequence) and not isinstance(fill, str) else []
    if len(values) != 3 or not all(type(value) is int and 0 <= value <= 255 for value in values):
        raise OptionError("fill", fill, "a colour: [red,green,blue], each 0 to 255")
    return values[0], values[1], values[2]


def crop_image(image: Bytes, crop: Crop) -> Bytes:
    """Return part [h, w, 3] of a bilinearly scaled image [H, W, 3]; a view if the scale is 1.

    In most cases bitwise equal to `cv2.resize(image)[part]`, and always to one grey level: OpenCV computes
    positions in single precision, with larger errors far from the origin.
    """
    rows, columns = (_tile(*axis) for axis in zip(image.shape[:2], *crop, strict=True))
    source: Any = image[rows.source, columns.source]
    if image.shape[:2] != crop.scaled:
        source = cv2.resize(source, (columns.scaled, rows.scaled), interpolation=cv2.INTER_LINEAR)
    return np.asarray(source[rows.part, columns.part], dtype=np.uint8)


def crop_label(label: Bytes, crop: Crop, flip: bool = False) -> Bytes:
    """Return part [h, w] of a label map [H, W] scaled by nearest neighbour, then optionally flipped.

    Always equal to `cv2.resize(label)[part]`.
    """
    rows, columns = (_nearest(*axis) for axis in zip(label.shape, *crop, strict=True))
    if flip:
        columns = columns[::-1]
    band = label[rows[0] : rows[-1] + 1].take(columns, axis=1)
    return np.asarray(band[rows - rows[0]], dtype=np.uint8)


class _Tile(NamedTuple):
    """One axis of a part: the pixels of the source, their number once scaled, and those to keep."""

    source: slice
    scaled: int
    part: slice


def _tile(source: int, scaled: int, start: int, size: int) -> _Tile:
    """Return the smallest tile whose ends are pixel borders both before and after scaling.

    Scaling such a tile samples at the same positions as scaling everything. With scaled / source = p / q in
    lowest terms, common borders are every q pixels of the source and every p of the scaled image. The tile
    extends one such block beyond the part, because interpolation reads one pixel beyond it.
    """
    ratio = Fraction(scaled, source)
    p, q = ratio.numerator, ratio.denominator
    if p == q:
        return _Tile(slice(start, start + size), size, slice(None))
    first, last = max(0, start // p - 1), min(scaled // p, -(-(start + size) // p) + 1)
    kept = slice(start - first * p, start - first * p + size)
    return _Tile(slice(first * q, last * q), (last - first) * p, kept)


def _nearest(source: int, scaled: int, start: int, size: int) -> NDArray[Any]:
    """Return the source pixel [size] of each pixel of a part, along one axis."""
    if source == scaled:
        return np.arange(start, start + size)
    # OpenCV's plain nearest neighbour uses the pixel's corner, which shifts labels against the bilinear image
    # by up to half a pixel; the exact one uses its centre. Its choice between two equally near pixels follows
    # no known formula, so OpenCV computes it.
    every = np.arange(source, dtype=np.float32)[None]
    chosen = cv2.resize(every, (scaled, 1), interpolation=cv2.INTER_NEAREST_EXACT)[0]
    return np.asarray(chosen[start : start + size], dtype=np.intp)
