"""PASCAL VOC's classes and colours, and PNGs in them. Light: many processes that prepare files read it."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from segsweep.data.labels import LabelMap

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""In the order of the label files' values (VOC 2012 development kit, section 3.4)."""
PALETTE = (
    (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128),
    (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128), (192, 0, 128),
    (64, 128, 128), (192, 128, 128), (0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128),
)  # fmt: skip
VOID_COLOUR = (224, 224, 192)
"""The palette's entry 255, of borders and hard objects."""


def label_png(label: LabelMap, palette: Sequence[tuple[int, int, int]] = PALETTE) -> bytes:
    """A label map [H, W] as a palette PNG of the same values; equal maps give equal bytes."""
    colours = [*palette, *[(0, 0, 0)] * (255 - len(palette)), VOID_COLOUR]
    picture = Image.fromarray(label)
    picture.putpalette(np.ravel(colours).tolist())
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
