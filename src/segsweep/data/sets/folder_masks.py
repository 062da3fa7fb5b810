"""What the masks of a folder hold: their values and colours, read once from all of them and kept.

Shape letters: `H`, `W` the mask.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from segsweep.cores import usable_cores
from segsweep.data.cache import PLACES, WORTH_PROCESSES, default_folder, source_key
from segsweep.data.labels import Colour, indices, refuse_lossy
from segsweep.data.orientation import check_fit
from segsweep.data.parallel import spread
from segsweep.data.sample import open_image, read_image
from segsweep.data.split import fault
from segsweep.errors import DataError, UserError
from segsweep.files import write_bytes

log = logging.getLogger(__name__)
FORM = 2  # version of what is kept
MOST = 254  # classes, and so the colours that a mask may have besides a void one
CHUNK = 16  # masks handed to a process at once
Code = int
"""A stored value, or a colour as 0xRRGGBB."""
Pair = tuple[str, str | None]
"""A mask and its image, if that is there."""


class Seen(NamedTuple):
    """Where a value or colour was seen."""

    pixels: int
    files: int
    file: str  # the first one that holds it
    share: float  # of that file's pixels

    @property
    def stray(self) -> bool:
        """Whether it may be a slip of the pen rather than a class: a few pixels of a single mask."""
        return self.files == 1 and self.share < 0.01


class Mask(NamedTuple):
    """What one mask holds."""

    file: str
    kind: str  # grey, palette or colour
    codes: Mapping[Code, int]  # the pixels of each value, or of each colour
    palette: Mapping[int, Code]  # the colours that a palette gives to these values
    unfit: DataError | None = None  # why it cannot belong to its image


@dataclass
class Tally:
    """What all masks hold."""

    kinds: dict[str, tuple[int, str]] = field(default_factory=dict)  # number of masks, and the first one
    values: dict[Code, Seen] = field(default_factory=dict)
    colours: dict[Code, Seen] = field(default_factory=dict)  # those that palettes show included
    shown: dict[int, Code] = field(default_factory=dict)  # colour of each value in the first palette with it
    clash: str = ""  # a mask whose palette shows a value in another colour

    def add(self, mask: Mask) -> None:
        """Count one more mask."""
        count, first = self.kinds.get(mask.kind, (0, mask.file))
        self.kinds[mask.kind] = (count + 1, first)
        if mask.kind != "colour":
            _count(self.values, mask.codes, mask.file)
            for value, colour in mask.palette.items():
                if self.shown.setdefault(value, colour) != colour:
                    self.clash = self.clash or mask.file
        colours = mask.codes if mask.kind == "colour" else {}
        for value, colour in mask.palette.items():
            colours = {**colours, colour: colours.get(colour, 0) + mask.codes[value]}
        _count(self.colours, colours, mask.file)

    def number(self, *kinds: str) -> int:
        """Return the number of masks of some kinds."""
        return sum(self.kinds.get(kind, (0, ""))[0] for kind in kinds)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Tally":
        """Return a tally from its JSON."""
        seen = {key: {int(c): Seen(*row) for c, row in kept[key].items()} for key in ("values", "colours")}
        kinds = {kind: (count, first) for kind, (count, first) in kept["kinds"].items()}
        shown = {int(value): colour for value, colour in kept["shown"].items()}
        return cls(kinds, **seen, shown=shown, clash=kept["clash"])


def _count(seen: dict[Code, Seen], codes: Mapping[Code, int], file: str) -> None:
    whole = sum(codes.values())
    for code, pixels in codes.items():
        if code in seen:
            before = seen[code]
            seen[code] = before._replace(pixels=before.pixels + pixels, files=before.files + 1)
        else:
            seen[code] = Seen(pixels, 1, file, pixels / whole)


def survey(masks: Mapping[Path, Path | None], folder: Path | None) -> Tally:
    """Return what existing masks hold, as kept under `folder` if none has changed since they were read.

    Args:
        masks: the masks, each with its image.
        folder: where to keep what they hold; None for the user's cache.

    Raises:
        DataError: a mask cannot be read or does not fit its image (`split.fault`: a check collects these).
    """
    pairs = [
        (str(mask), str(image) if image is not None and image.is_file() else None)
        for mask, image in masks.items()
        if mask.is_file()
    ]
    files = [file for pair in pairs for file in pair if file is not None]
    kept = (folder or default_folder()) / f"masks-{source_key(files, FORM)}.json"
    if kept.is_file():
        return Tally.of(json.loads(kept.read_text()))
    found = _looked_at(kept.name, tuple(pairs))
    tally = Tally()
    wrong = [error for mask in found if (error := mask if isinstance(mask, DataError) else mask.unfit)]
    for error in wrong:
        fault(error)
    for mask in found:
        if isinstance(mask, Mask):
            tally.add(mask)
    if found and not wrong:
        try:
            write_bytes(kept, json.dumps(asdict(tally)).encode(), PLACES)
        except UserError as error:
            log.warning("%s; the masks are read again next time", error)
    return tally


@lru_cache(1)  # a dataset is built several times in a process, and mistakes are not kept on disk
def _looked_at(key: str, pairs: Sequence[Pair]) -> list[Mask | DataError]:
    log.info("reading %d masks for their classes, once", len(pairs))
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    parts = spread(_look_at_all, chunks, usable_cores(), "num_workers", WORTH_PROCESSES)
    return [mask for part in parts for mask in part]


def _look_at_all(pairs: Sequence[Pair]) -> list[Mask | DataError]:
    return [look_at(*pair) for pair in pairs]


def look_at(file: str, image_file: str | None) -> Mask | DataError:
    """Return what a mask holds and whether it fits its image, or why it cannot be used."""
    try:
        refuse_lossy(file)
        picture = open_image(file)
        unfit = None if image_file is None else _unfit(picture, file, image_file)
        if picture.mode not in ("RGB", "RGBA"):
            counts = np.bincount(indices(picture, file).ravel())
            codes = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
            palette = np.reshape(picture.getpalette() or [], (-1, 3)).tolist() if picture.mode == "P" else []
            shown = {value: code_of(palette[value]) for value in codes if value < len(palette)}
            return Mask(file, "palette" if picture.mode == "P" else "grey", codes, shown, unfit)
        packed = read_image(file).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        colours, pixels = np.unique(packed, return_counts=True)
        if len(colours) > MOST + 1:
            raise DataError(
                file,
                f"mask of {len(colours)} colours",
                "expected one colour a class, saved without loss and never resized: export it again",
            )
        return Mask(file, "colour", dict(zip(colours.tolist(), pixels.tolist(), strict=True)), {}, unfit)
    except DataError as error:
        return error


def _unfit(mask: Image.Image, file: str, image_file: str) -> DataError | None:
    """Return why an open mask cannot belong to its image, of which only the header is read."""
    try:
        check_fit(open_image(image_file, decode=False), (mask.height, mask.width), image_file, file)
    except DataError as error:
        return error
    return None


def code_of(colour: Sequence[int]) -> Code:
    """Return a colour (RGB) as one number."""
    return (colour[0] << 16) + (colour[1] << 8) + colour[2]


def colour_of(code: Code) -> Colour:
    """Return the colour (RGB) of a number."""
    return code >> 16, code >> 8 & 255, code & 255
