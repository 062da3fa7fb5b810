"""Label formats: from label files to label maps of class indices 0..K−1 and 255 for ignored pixels.

Datasets store labels in different ways (other ids, colours, matrices). Each way is one class with one method,
so that training, tests, checks and caches read labels alike.

Shape letters: `H`, `W` the label map, `K` the number of classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsweep.data.sample import BITS, IGNORE_INDEX, open_image, read_grey, read_image
from segsweep.errors import DataError

LabelMap = NDArray[np.uint8]
Colour = tuple[int, int, int]
Palette = Sequence[Colour]
VOID_COLOUR = (224, 224, 192)  # PASCAL VOC's colour of 255, borders and difficult objects
OWN_COLOURS = "expected the dataset's own colours, saved without loss and never resized"
UNKNOWN = 254  # marks stored values without a meaning; no dataset has so many classes


class LabelFormat(ABC):
    """Reads label files. Equal settings have an equal `repr`."""

    @abstractmethod
    def read(self, file: str | Path) -> LabelMap:
        """Return the label map [H, W] of a file.

        Raises:
            DataError: the file is missing, unreadable or contains values without a class.
        """

    def table(self, file: str | Path) -> "IndexLabels | None":
        """Return the table for a file's stored values; None if it does not store indices."""
        return None


class IndexLabels(LabelFormat):
    """Palette or 8-bit grey PNGs whose stored values are looked up in a table."""

    def __init__(self, values: Mapping[int, int]) -> None:
        """Take the class index (or `IGNORE_INDEX`) of each allowed value."""
        self.values = dict(values)
        self._table = np.full(256, UNKNOWN, dtype=np.uint8)
        self._table[list(values)] = list(values.values())

    def __repr__(self) -> str:
        return f"IndexLabels({self.values})"

    def read(self, file: str | Path) -> LabelMap:
        """Look up the stored values; raise DataError if one is not in the table."""
        refuse_lossy(file)
        return self.look_up(read_indices(file), file)

    def table(self, file: str | Path) -> "IndexLabels":
        """Return the format itself."""
        return self

    def look_up(self, stored: LabelMap, file: str | Path) -> LabelMap:
        """Return the classes of stored values [H, W]; raise DataError if one is not in the table."""
        label: LabelMap = np.asarray(cv2.LUT(stored, self._table), dtype=np.uint8)
        if (label == UNKNOWN).any():
            wrong = np.unique(stored[label == UNKNOWN])
            raise DataError(
                file,
                f"label value {', '.join(map(str, wrong[:8]))} stands for no class",
                f"expected {ranges(self.values)}, correct the file (segsweep data check tells what "
                "it may be)",
            )
        return label


class ColourLabels(LabelFormat):
    """Images whose colours stand for classes; of a palette PNG, the colours it shows."""

    def __init__(
        self, colours: Mapping[Colour, int], stray: Mapping[str, int] | None = None, repair: str = OWN_COLOURS
    ) -> None:
        """Take the class index (or `IGNORE_INDEX`) of each allowed colour (RGB).

        `stray` maps files of the official release to the number of their pixels with meaningless colours: so
        many are ignored in these files, and none in others. `repair` says what to do about other colours.
        """
        self.colours, self.stray, self.repair = dict(colours), dict(stray or {}), repair
        self._codes, self._indices = _colour_tables(self.colours)

    def __repr__(self) -> str:
        return f"ColourLabels({self.colours}, {self.stray})"

    def read(self, file: str | Path) -> LabelMap:
        """Look up each pixel's colour; raise DataError if one stands for no class."""
        refuse_lossy(file)
        colours = read_image(file)
        label = self._indices[sum(cv2.split(cv2.LUT(colours, self._codes)))]
        wrong = label == UNKNOWN
        if int(wrong.sum()) > self.stray.get(Path(file).name, 0):
            shown = [tuple(int(v) for v in colour) for colour in np.unique(colours[wrong], axis=0)[:4]]
            raise DataError(
                file,
                f"colour {', '.join(map(str, shown))} ({int(wrong.sum())} pixels) stands for no class",
                self.repair,
            )
        label[wrong] = IGNORE_INDEX
        return np.asarray(label, dtype=np.uint8)


def refuse_lossy(file: str | Path) -> None:
    """Raise DataError for a label saved as JPEG, whose compression makes classes of neighbours' values."""
    if str(file).lower().endswith((".jpg", ".jpeg")):
        raise DataError(
            file, "label saved as JPEG, which changes values near edges", "export it again as PNG"
        )


def read_indices(file: str | Path) -> LabelMap:
    """Return the stored values [H, W] of a palette, 8-bit grey or 1-bit PNG, without applying the palette.

    Raises:
        DataError: the file is missing, truncated, corrupt or contains colours or 16-bit values.
    """
    stored = read_grey(file)
    return indices(open_image(file), file) if stored is None else stored


def indices(image: Image.Image, file: str | Path) -> LabelMap:
    """Return the stored values of an open label, as `read_indices` does."""
    if image.mode not in ("P", "L", "1"):
        raise DataError(
            file,
            f"label of mode {image.mode} holds colours or wide numbers, not class indices",
            "expected a palette or 8-bit grey PNG, convert each to its class index",
        )
    if image.mode == "L" and image.info[BITS] != 8:  # readers stretch such values to 0..255
        raise DataError(
            file,
            f"label of {image.info[BITS]} bits a grey value",
            "expected a palette or 8-bit grey PNG, save its class indices as one",
        )
    return np.array(image, dtype=np.uint8)


def plain(num_classes: int, void: int = IGNORE_INDEX) -> IndexLabels:
    """Return the format of files of class indices, with `void` or 255 for ignored pixels."""
    return IndexLabels({**{i: i for i in range(num_classes)}, void: IGNORE_INDEX, IGNORE_INDEX: IGNORE_INDEX})


def ranges(values: Mapping[int, Any]) -> str:
    """Return stored values for an error message: `0..20, 255`."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs)


def _colour_tables(colours: Mapping[Colour, int]) -> tuple[NDArray[np.int32], LabelMap]:
    """Return two small tables for all 2^24 colours: [1, 256, 3] for channel values, [N] for their sums.

    The first numbers each channel's values from 1 among the given colours, 0 for any other. These numbers are
    the digits of an index into the second, which is `UNKNOWN` for other colours.
    """
    known = np.array(list(colours), dtype=np.intp)
    digits, base = np.zeros((1, 256, 3), dtype=np.int32), 1
    for channel in range(3):
        values = np.unique(known[:, channel])
        digits[0, values, channel] = np.arange(1, len(values) + 1) * base
        base *= len(values) + 1
    indices = np.full(base, UNKNOWN, dtype=np.uint8)
    indices[digits[0, known, [0, 1, 2]].sum(axis=1)] = list(colours.values())
    return digits, indices


def palette_image(label: NDArray[Any], palette: Palette) -> Image.Image:
    """Return a label map [H, W] as an image with a palette; 255 has VOC's colour of void."""
    image = Image.fromarray(label.astype(np.uint8))
    image.putpalette(full_palette(palette).tobytes())
    return image


def standard_palette(number: int) -> tuple[Colour, ...]:
    """Return VOC's colours of the first values (VOC 2012 development kit, VOClabelcolormap).

    The bits of a value are dealt out to red, green and blue in turn, lowest first and as highest bits.
    """
    value = np.arange(number)
    channels = [
        sum((value >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8)) for channel in range(3)
    ]
    return tuple((int(r), int(g), int(b)) for r, g, b in zip(*channels, strict=True))


def full_palette(palette: Palette) -> NDArray[np.uint8]:
    """Return a PNG's 256 colours [256, 3]: the classes', black for other values, VOC's void at 255."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    colours[IGNORE_INDEX] = VOID_COLOUR
    return colours


def label_png(label: LabelMap, palette: Palette | None) -> bytes:
    """Return a label map [H, W] as a PNG, grey without a palette; equal maps give equal bytes."""
    content = BytesIO()
    (Image.fromarray(label) if palette is None else palette_image(label, palette)).save(content, "PNG")
    return content.getvalue()
