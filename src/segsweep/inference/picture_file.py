"""An image file as a network sees it: upright, three channels of eight bits.

Training refuses what is doubtful, such as 16 bits a channel. A picture to be predicted has no label that
could be wrong, so more is understood here, and what was done is said. Letters: `H`, `W` the image.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from segsweep.data.orientation import ORIENTATION, orientation
from segsweep.data.sample import BITS, check_depth, open_image, read_image

WITHOUT_SCALE = ("I", "F")
"""Modes of 32 bits and of floats: which value is white, the file does not say."""
NOTES = {
    "1": "black and white: read as three equal channels",
    "L": "grey: read as three equal channels",
    "CMYK": "CMYK: converted to RGB without a colour profile",
    "LAB": "CIELAB: converted to RGB",
}


class Picture(NamedTuple):
    """An image, and what was done to read it so."""

    image: NDArray[np.uint8]
    """[H, W, 3], RGB."""
    notes: tuple[str, ...]


def read_picture(path: Path) -> Picture:
    """Read an image file, turned upright by its EXIF orientation.

    Of 16 bits a channel the upper 8 are kept; alpha is left out, as in training.

    Raises:
        DataError: the file is missing, damaged, too large, or of values without a scale (32 bits, floats).
    """
    stored = open_image(path, decode=False)
    bits = 16 if stored.mode.startswith("I;16") else int(stored.info[BITS])
    notes = _notes(stored, bits)
    tags = getattr(stored, "tag_v2", {})  # of a TIFF, which Pillow turns itself when it decodes it
    if stored.mode in ("RGB", "L", "P") and bits == 8 and "exif" not in stored.info and not tags:
        return Picture(read_image(path), notes)
    image = open_image(path)
    if image.mode in WITHOUT_SCALE:
        check_depth(image, path)
    turn = tags.get(ORIENTATION) or orientation(image)
    if turn != 1:
        notes += (f"EXIF orientation {turn}: turned upright, as its outputs are",)
    upright = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    return Picture(np.array(upright.convert("RGB"), dtype=np.uint8), notes)


def _notes(stored: Image.Image, bits: int) -> tuple[str, ...]:
    notes = [NOTES[stored.mode]] if stored.mode in NOTES else []
    if stored.has_transparency_data:
        notes.append("alpha: left out")
    if bits > 8:
        notes.append(f"{bits} bits a channel: the upper 8 are used")
    return tuple(notes)
