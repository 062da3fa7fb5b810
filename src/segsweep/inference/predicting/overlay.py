"""A prediction over its image, above a legend of its classes. Letters: `H`, `W` the image, `K` classes."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segsweep.data.labels import Palette

Map = NDArray[np.uint8]
OPACITY = 0.5
LEAST_SHARE = 0.001
"""Of the pixels: a class with fewer is not in the legend."""
SMALLEST_TEXT, GAP = 12, 6


def blended(image: Map, mask: Map, palette: Palette) -> Map:
    """Return an image [H, W, 3] under the colours of the classes in `mask` [H, W]."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    return np.asarray(cv2.addWeighted(image, 1 - OPACITY, colours[mask], OPACITY, 0), np.uint8)


def in_legend(pixels: Sequence[int]) -> list[int]:
    """Return the classes that a legend names, the largest area first, from the pixels of each class."""
    least = LEAST_SHARE * sum(pixels)
    return sorted((k for k, n in enumerate(pixels) if n and n >= least), key=lambda k: -pixels[k])


def legend(width: int, shown: Sequence[int], classes: Sequence[str], palette: Palette) -> Map:
    """Return a strip [h, width, 3] with colour and name of each class shown, in as many lines as needed."""
    size = max(SMALLEST_TEXT, width // 60)
    font = ImageFont.load_default(size)
    places, x, y = [], GAP, GAP
    for index in shown:
        wide = size + GAP + round(font.getlength(classes[index])) + 2 * GAP
        if x > GAP and x + wide > width:
            x, y = GAP, y + size + GAP
        places.append((x, y, index))
        x += wide
    strip = Image.new("RGB", (width, y + size + GAP), "white")
    draw = ImageDraw.Draw(strip)
    for x, y, index in places:
        draw.rectangle((x, y, x + size - 1, y + size - 1), fill=tuple(palette[index]), outline="black")
        draw.text((x + size + GAP, y + size // 2), classes[index], "black", font, anchor="lm")
    return np.array(strip, np.uint8)


def even(frame: Map) -> Map:
    """Return a frame with its last column and row repeated if their number is odd, as video codecs want."""
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
