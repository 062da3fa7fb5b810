"""One labelled image, and how image files are read.

Shape letters: `H`, `W` the image, `K` the number of classes.
"""

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from kornia_rs.io import read_image_jpegturbo, read_image_png_u8
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segsweep.errors import DataError, OptionError

IGNORE_INDEX = 255  # the label of pixels that count in neither loss nor metrics (void, borders, padding)
BITS = "bits of a stored channel"
"""Key in an open image's `info` for the file's bit depth, which Pillow's mode does not tell."""
HEAD = 4096  # bytes at the start of a file that contain its header
Size = tuple[int, int]
"""(H, W)."""
SMALLEST_HUGE = 1 << 16
"""Smaller files cannot hold an image above `Image.MAX_IMAGE_PIXELS`, however compressed."""


class Sample(NamedTuple):
    """An image with its label map, at the resolution of the file unless augmented."""

    image: NDArray[np.uint8]  # [H, W, 3], RGB
    label: NDArray[np.uint8]  # [H, W], class indices in [0, K) and `IGNORE_INDEX`
    id: str  # the sample's name, unique in its split


def height_width(size: object, option: str = "size") -> Size:
    """Return an image size, given as one side or `[H, W]`, as `(H, W)`.

    Raises ConfigError, naming `option`, if it is neither.
    """
    sides: list[Any] = [size, size] if not isinstance(size, Sequence) or isinstance(size, str) else list(size)
    if len(sides) == 2 and all(type(side) is int and side > 0 for side in sides):
        return sides[0], sides[1]
    raise OptionError(option, size, "a size in pixels: one positive integer or [height,width]")


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file as RGB, uint8 [H, W, 3], without applying an EXIF orientation.

    Raises DataError if the file is missing, truncated, corrupt or does not have 8 bits per channel.
    """
    fast = _decode(path, rgb=True)
    if fast is not None:
        return fast
    image = open_image(path)
    check_depth(image, path)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def read_grey(path: str | Path) -> NDArray[np.uint8] | None:
    """Return the stored values [H, W] of an 8-bit grey or palette PNG; None for any other or damaged file."""
    return _decode(path, rgb=False)


def _decode(path: str | Path, rgb: bool) -> NDArray[np.uint8] | None:
    """Decode ordinary files quickly: 8-bit RGB PNG and JPEG, or one channel of a PNG.

    Gives Pillow's values in a third of its time for PNG, or less for JPEG. Returns None for any other or
    damaged file: Pillow reads more formats and reports what is wrong.
    """
    name = str(path)
    if os.path.isfile(name) and os.path.getsize(name) >= SMALLEST_HUGE:  # noqa: PTH113, PTH202 — for speed
        open_image(path, decode=False)  # refuses what is too large
    png = name.lower().endswith(".png")
    try:
        if not rgb:
            return np.asarray(read_image_png_u8(name, "mono"), dtype=np.uint8)[..., 0]
        return np.asarray(
            read_image_png_u8(name, "rgb") if png else read_image_jpegturbo(name), dtype=np.uint8
        )
    except Exception:  # what the library itself raises
        return None


def check_depth(image: Image.Image, path: str | Path) -> None:
    """Raise DataError if an image from `open_image` does not have 8 bits per channel."""
    if image.mode not in ("RGB", "RGBA", "CMYK", "L", "P"):
        raise DataError(path, f"image of mode {image.mode}", "expected 8 bits a channel, convert it to RGB")
    if image.info[BITS] > 8:
        raise DataError(
            path,
            f"image of {image.info[BITS]} bits a channel",
            "expected 8 bits a channel, convert it to RGB with its values scaled to 0..255",
        )


def image_size(path: str | Path) -> Size:
    """Return (H, W) from an image file's header; raise DataError if it is missing or not an image."""
    width, height = open_image(path, decode=False).size
    return height, width


def open_image(path: str | Path, decode: bool = True) -> Image.Image:
    """Read and decode an image file; raise DataError if it is missing, damaged or too large.

    Without `decode` only the header is read. Too large is what Pillow considers an attack: more than twice
    `MAX_IMAGE_PIXELS`, 179 megapixels.
    """
    try:
        with Path(path).open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file)
            image.info[BITS] = _stored_bits(image, file)
            if decode:
                image.load()
    except FileNotFoundError as error:
        raise DataError(path, "no such file", "restore it or take it off its split's list") from error
    except UnidentifiedImageError as error:
        raise DataError(path, "is not an image file", "fetch the file again") from error
    except Image.DecompressionBombError as error:
        found = re.search(r"\d+", str(error))
        raise DataError(
            path,
            f"image of {int(found[0]) / 1e6 if found else 0:,.0f} megapixels, more than "
            f"the {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:,.0f} that are read",
            "cut it into smaller ones",
        ) from error
    # Pillow reports damage in a header as SyntaxError or ValueError, in the data as OSError.
    except (OSError, SyntaxError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(path, f"cannot be read as an image ({reason})", "fetch the file again") from error
    return image


def _stored_bits(image: Image.Image, file: BinaryIO) -> int:
    """Return the bits per channel in an image's file, 8 if unknown, before its pixels are read.

    Pillow keeps the upper 8 bits of most deeper images, with the mode of an 8-bit one. The raw mode tells the
    depth, as in RGB;16B, L;4 or F;32F.
    """
    for codec, _, _, arguments in getattr(image, "tile", ()):
        unpacked, *more = arguments if isinstance(arguments, tuple) else (arguments,)
        if codec.startswith("ppm"):
            return int(more[-1]).bit_length()  # the largest value
        depth = re.search(r"^[LIF];(\d+)|;(\d+)[A-Z]", str(unpacked))
        if depth:
            return int(depth[1] or depth[2])
    # Depth of the first component: in JPEG 2000's SIZ marker (minus one), in AVIF's pixi box.
    marks = {"JPEG2000": (b"\xff\x4f\xff\x51", 42, 1), "AVIF": (b"pixi", 9, 0)}
    if image.format not in marks:
        return 8
    mark, offset, less = marks[image.format]
    file.seek(0)
    _, found, after = file.read(HEAD).partition(mark)
    file.seek(0)
    place = offset - len(mark)
    return (after[place] & 0x7F) + less if found and place < len(after) else 8


def check_sizes(image: Size, label: Size, image_file: str | Path, label_file: str | Path) -> None:
    """Raise DataError, naming the files, if the sizes (H, W) of image and label differ."""
    if image != label:
        (h, w), (label_h, label_w) = image, label
        raise DataError(
            label_file,
            f"label of {label_h}x{label_w} pixels (height x width) for image {image_file} of {h}x{w}",
            "expected equal sizes, replace the wrong one",
        )
