"""One labelled image, and how image files are read.

Shape letters: `H`, `W` the image, `K` the number of classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segsweep.errors import ConfigError, DataError

IGNORE_INDEX = 255
"""The label of pixels that count neither in the loss nor in a metric (void, borders, padding)."""


class Sample(NamedTuple):
    """An image with its label map, at the resolution of the file unless augmented."""

    image: NDArray[np.uint8]
    """[H, W, 3], RGB."""
    label: NDArray[np.uint8]
    """[H, W], class indices in [0, K) and `IGNORE_INDEX`."""
    id: str
    """The sample's name, unique in its split."""


def height_width(size: object, option: str = "size") -> tuple[int, int]:
    """Turn an image size in pixels, one side or `[H, W]`, into `(H, W)`.

    Raises ConfigError, naming `option`, where it is neither.
    """
    sides: list[Any] = [size, size] if not isinstance(size, Sequence) or isinstance(size, str) else list(size)
    if len(sides) == 2 and all(type(side) is int and side > 0 for side in sides):
        return sides[0], sides[1]
    raise ConfigError(f"{option}: {size!r} is not a size; give one positive integer or [height, width]")


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file as RGB, uint8 [H, W, 3].

    Raises DataError where the file is missing, truncated, corrupt or not of 8 bits a channel.
    """
    image = open_image(path)
    if image.mode not in ("RGB", "RGBA", "CMYK", "L", "P"):
        raise DataError(f"{path}: image of mode {image.mode}; expected 8 bits a channel, convert it to RGB")
    return np.array(image.convert("RGB"), dtype=np.uint8)


def open_image(path: str | Path) -> Image.Image:
    """Read an image file and decode all of it; DataError where it is missing, truncated or corrupt."""
    try:
        with Path(path).open("rb") as file:
            image = Image.open(file)
            image.load()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; restore it or take it off its split's list") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: is not an image file; fetch the file again") from error
    # Pillow reports damage in a header as SyntaxError or ValueError, in the data as OSError.
    except (OSError, SyntaxError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as an image ({reason}); fetch the file again") from error
    return image


def check_sizes(
    image: NDArray[np.uint8], label: NDArray[np.uint8], image_file: str | Path, label_file: str | Path
) -> None:
    """Raise DataError, naming the files, where image [H, W, 3] and label [H, W] differ in size."""
    if image.shape[:2] != label.shape:
        (h, w), (label_h, label_w) = image.shape[:2], label.shape
        raise DataError(
            f"{label_file}: label of {label_h}x{label_w} pixels (height x width) for image {image_file} "
            f"of {h}x{w}; expected equal sizes, replace the wrong one"
        )
