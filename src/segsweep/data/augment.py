"""The papers' training augmentation, drawn anew from (seed, epoch, index) for every sample.

KSAC, section 4.1: "horizontally flipping with 50% probability, randomly scaling the images with a scaling
factor between 0.5 and 2.0 and at a step size of 0.25, padding and randomly cropping the scaled images".
"""

import random
from collections.abc import Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np

from segsweep.data.keys import key
from segsweep.data.sample import IGNORE_INDEX, Sample, height_width
from segsweep.errors import ConfigError

IMAGENET_MEAN_COLOUR = (124, 116, 104)
"""RGB. DeepLab pads with the mean colour, so that padding is near zero once images are normalised."""


class StepScale(A.RandomScale):
    """Resize image and label by one factor, drawn evenly from `choices`."""

    choices: tuple[float, ...] = (1.0,)

    def get_params(self) -> dict[str, float]:
        """Draw the factor of one sample."""
        return {"scale": self.py_random.choice(self.choices)}


class Augment:
    """Scale, pad, crop and flip a sample to a fixed size.

    An instance keeps no random state: what it draws is a pure function of (seed, epoch, index), the same
    in every worker and after every resume.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale_min: float = 0.5,
        scale_max: float = 2.0,
        scale_step: float = 0.25,
        flip: float = 0.5,
        fill: Sequence[int] = IMAGENET_MEAN_COLOUR,
    ) -> None:
        """Take the crop in pixels, the scales, the share of samples flipped left to right, the padding's RGB.

        Scales are `scale_min`, `scale_min + scale_step`, … `scale_max`, each as likely. Raises ConfigError,
        naming the option, on a value that makes no sense.
        """
        self.size = height_width(size, "augment.size")
        self.scales = scale_choices(scale_min, scale_max, scale_step)
        self.flip = _number("augment.flip", flip)
        if not 0 <= self.flip <= 1:
            raise ConfigError(f"augment.flip: {flip} is not a probability; give a number from 0 to 1")
        self.fill = _colour(fill)
        self._pipeline = self._build()

    def _build(self) -> A.Compose:
        """The albumentations pipeline; a transform that could never act is left out."""
        height, width = self.size
        transforms: list[A.BasicTransform] = []
        if self.scales != (1.0,):
            # OpenCV's plain nearest neighbour takes the pixel's corner and shifts labels against the
            # bilinear image by up to half a pixel; the exact one takes its centre.
            scale = StepScale(
                interpolation=cv2.INTER_LINEAR, mask_interpolation=cv2.INTER_NEAREST_EXACT, p=1.0
            )
            scale.choices = self.scales
            transforms.append(scale)
        transforms += [
            # DeepLab's input pipeline pads below and to the right.
            A.PadIfNeeded(height, width, position="top_left", fill=self.fill, fill_mask=IGNORE_INDEX),
            A.RandomCrop(height, width),
        ]
        if self.flip:
            transforms.append(A.HorizontalFlip(p=self.flip))
        # An unknown option of a transform is only a warning unless strict.
        return A.Compose(transforms, strict=True)

    def __call__(self, sample: Sample, seed: int, epoch: int, index: int) -> Sample:
        """Augment a sample of any size: image uint8 [H, W, 3] and label uint8 [H, W] with (H, W) = `size`.

        Padding is `fill` in the image and `IGNORE_INDEX` in the label.
        """
        state = key(seed, "augment", epoch, index)
        # Compose's own seeding gives every transform an equal generator, so that draws are correlated:
        # here all share one.
        self._pipeline.set_random_state(np.random.default_rng(state), random.Random(state))
        done: dict[str, Any] = self._pipeline(image=sample.image, mask=sample.label)
        return Sample(done["image"], done["mask"], sample.id)


def scale_choices(scale_min: float, scale_max: float, scale_step: float) -> tuple[float, ...]:
    """The scales from `scale_min` to `scale_max`, both included.

    Raises ConfigError where one is not positive, or the steps do not end at `scale_max`.
    """
    options = {"scale_min": scale_min, "scale_max": scale_max, "scale_step": scale_step}
    for name, value in options.items():
        if _number(f"augment.{name}", value) <= 0:
            raise ConfigError(f"augment.{name}: {value} is not positive; give a number above 0")
    steps = round((scale_max - scale_min) / scale_step)
    if steps < 0 or abs(scale_min + steps * scale_step - scale_max) > 1e-6:
        raise ConfigError(
            f"augment.scale_max: {scale_max} is not scale_min ({scale_min}) plus whole steps of scale_step "
            f"({scale_step}); give a scale_max that is"
        )
    return tuple(round(scale_min + i * scale_step, 9) for i in range(steps + 1))


def _number(option: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{option}: {value!r} is not a number; give one")
    return float(value)


def _colour(fill: object) -> tuple[int, int, int]:
    values = list(fill) if isinstance(fill, Sequence) and not isinstance(fill, str) else []
    if len(values) != 3 or not all(type(value) is int and 0 <= value <= 255 for value in values):
        raise ConfigError(f"augment.fill: {fill!r} is not a colour; give [red, green, blue], each 0 to 255")
    return values[0], values[1], values[2]
