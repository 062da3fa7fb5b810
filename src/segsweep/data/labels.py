"""How the label files of a dataset become label maps: class indices 0..K−1 and 255 for ignored pixels.

A dataset's files hold what its makers chose to store (ids of another table, colours, matrices). Each way of
storing is one class here with one method, so that whatever reads labels (training, tests, checks, caches)
reads them alike.

Shape letters: `H`, `W` the label map, `K` the number of classes.
"""

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
VOID_COLOUR = (224, 224, 192)
"""The palette's entry 255 in PASCAL VOC, of borders and hard objects."""
UNKNOWN = 254
"""What a stored value that stands for nothing is turned into on the way; no dataset has so many classes."""


class LabelFormat:
    """Reads one label file. Instances are plain values: equal settings have an equal `repr`."""

    def read(self, file: str | Path) -> LabelMap:
        """The label map [H, W] that a file stores.

        Raises:
            DataError: it is missing, unreadable or holds what stands for no class; names the file.
        """
        raise NotImplementedError

    def table(self, file: str | Path) -> "IndexLabels | None":
        """The table by which a file's stored values are looked up; None if it is no file of indices."""
        return None


class IndexLabels(LabelFormat):
    """Palette or 8-bit grey PNGs whose stored values are looked up in a table."""

    def __init__(self, values: Mapping[int, int]) -> None:
        """Take the class index (or `IGNORE_INDEX`) of each value that a file may hold."""
        self.values = dict(values)
        self._table = np.full(256, UNKNOWN, dtype=np.uint8)
        self._table[list(values)] = list(values.values())

    def __repr__(self) -> str:
        return f"IndexLabels({self.values})"

    def read(self, file: str | Path) -> LabelMap:
        """Look up what the file stores; DataError if it holds a value that is not in the table."""
        return self.look_up(read_indices(file), file)

    def table(self, file: str | Path) -> "IndexLabels":
        """Itself."""
        return self

    def look_up(self, stored: LabelMap, file: str | Path) -> LabelMap:
        """The classes of stored values [H, W]; DataError, naming the file, if one is not in the table."""
        label: LabelMap = np.asarray(cv2.LUT(stored, self._table), dtype=np.uint8)
        if (label == UNKNOWN).any():
            wrong = np.unique(stored[label == UNKNOWN])
            raise DataError(
                file,
                f"label value {', '.join(map(str, wrong[:8]))} stands for no class",
                (
                    f"expected {ranges(self.values)}, correct the file (segsweep data check tells what "
                    "it may be)"
                ),
            )
        return label


class ColourLabels(LabelFormat):
    """Images whose colours stand for classes; a palette PNG counts by the colours it shows."""

    def __init__(self, colours: Mapping[Colour, int], stray: Mapping[str, int] | None = None) -> None:
        """Take the class index (or `IGNORE_INDEX`) of each colour (RGB) that a file may hold.

        `stray`: names of files of the official release with the number of pixels in them whose colours
        stand for nothing; these are ignored pixels, in no other file and not more of them.
        """
        self.colours, self.stray = dict(colours), dict(stray or {})
        self._codes, self._indices = _colour_tables(self.colours)

    def __repr__(self) -> str:
        return f"ColourLabels({self.colours}, {self.stray})"

    def read(self, file: str | Path) -> LabelMap:
        """Look up each pixel's colour; DataError if one stands for no class."""
        colours = read_image(file)
        label = self._indices[sum(cv2.split(cv2.LUT(colours, self._codes)))]
        wrong = label == UNKNOWN
        if int(wrong.sum()) > self.stray.get(Path(file).name, 0):
            shown = [tuple(int(v) for v in colour) for colour in np.unique(colours[wrong], axis=0)[:4]]
            raise DataError(
                file,
                f"colour {', '.join(map(str, shown))} ({int(wrong.sum())} pixels) stands for no class",
                "expected the dataset's own colours, saved without loss and never resized",
            )
        label[wrong] = IGNORE_INDEX
        return np.asarray(label, dtype=np.uint8)


def read_indices(file: str | Path) -> LabelMap:
    """What a palette or 8-bit grey PNG stores [H, W]; a palette is not applied, as colours are for viewing.

    Raises:
        DataError: it is missing, truncated, corrupt or holds colours or 16-bit numbers.
    """
    stored = read_grey(file)
    return indices(open_image(file), file) if stored is None else stored


def indices(image: Image.Image, file: str | Path) -> LabelMap:
    """What an open label stores, as `read_indices`."""
    if image.mode not in ("P", "L"):
        raise DataError(
            file,
            f"label of mode {image.mode} holds colours or wide numbers, not class indices",
            "expected a palette or 8-bit grey PNG, convert each to its class index",
        )
    if image.mode == "L" and image.info[BITS] != 8:
        # Readers stretch such values to 0..255.
        raise DataError(
            file,
            f"label of {image.info[BITS]} bits a grey value",
            "expected a palette or 8-bit grey PNG, save its class indices as one",
        )
    return np.array(image, dtype=np.uint8)


def plain(num_classes: int, void: int = IGNORE_INDEX) -> IndexLabels:
    """Files that store class indices as they are, and `void` (255 too) for ignored pixels."""
    return IndexLabels({**{i: i for i in range(num_classes)}, void: IGNORE_INDEX, IGNORE_INDEX: IGNORE_INDEX})


def ranges(values: Mapping[int, Any]) -> str:
    """Stored values for an error message: 0..20, 255."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs)


def _colour_tables(colours: Mapping[Colour, int]) -> tuple[NDArray[np.int32], LabelMap]:
    """Two small look-ups for all 2^24 colours: [1, 256, 3] of each channel's value, and [N] of their sum.

    A channel's values are numbered from 1 among those of the given colours, 0 for any other; the numbers
    of the three channels are the digits of an entry in the second table, `UNKNOWN` if no colour is.
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
    """A label map [H, W] as an image with a palette; 255 has VOC's colour of void."""
    image = Image.fromarray(label.astype(np.uint8))
    image.putpalette(full_palette(palette).tobytes())
    return image


def full_palette(palette: Palette) -> NDArray[np.uint8]:
    """All 256 colours of a PNG [256, 3]: a dataset's, black for values without a class, VOC's void at 255."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    colours[IGNORE_INDEX] = VOID_COLOUR
    return colours


def label_png(label: LabelMap, palette: Palette | None) -> bytes:
    """A label map [H, W] as a PNG of the same values, grey without a palette; equal maps give equal bytes."""
    content = BytesIO()
    (Image.fromarray(label) if palette is None else palette_image(label, palette)).save(content, "PNG")
    return content.getvalue()
