"""What a network says of one image."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsweep.data.labels import palette_image
from segsweep.inference.description import Description


@dataclass(frozen=True, eq=False)
class Prediction:
    """The classes of an image's pixels.

    Attributes:
        image: RGB, uint8 [H, W, 3], as the network saw it.
        labels: class indices, uint8 [H, W], at the image's own size.
        probabilities: float32 [K, H, W], if they were asked for.
        description: of the network: names and colours of the classes.
    """

    image: NDArray[np.uint8] = field(repr=False)
    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32] | None = field(repr=False)
    description: Description = field(repr=False)

    def picture(self) -> Image.Image:
        """Return the labels as a palette image: its pixels are class indices, its colours the dataset's."""
        return palette_image(self.labels, [(r, g, b) for r, g, b in self.description.palette])

    def overlay(self, opacity: float = 0.5) -> Image.Image:
        """Return the image with the classes' colours over it."""
        colours = self.picture().convert("RGB")
        return Image.blend(Image.fromarray(self.image), colours, opacity)

    def shares(self) -> dict[str, float]:
        """Return each class's share of the pixels, by its name."""
        counted = class_pixels(self.labels, len(self.description.classes))
        return dict(zip(self.description.classes, (counted / self.labels.size).tolist(), strict=True))


def class_pixels(labels: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Return the pixels of each class in labels [H, W]; those that no view saw (255) are left out."""
    return np.bincount(labels.reshape(-1), minlength=classes)[:classes]
