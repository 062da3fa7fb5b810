"""Images as people have them in a notebook, as the array that a network is given.

Letters: `H`, `W` the image.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from segsweep.errors import DataError, OptionError
from segsweep.inference.picture_file import read_picture

Pictured = str | Path | Image.Image | NDArray[np.uint8] | Tensor
"""An image file, a PIL image, uint8 [H, W, 3], or a uint8 tensor [3, H, W]; RGB."""
EXPECTED = "a file, a PIL image, a uint8 array [H, W, 3] or a uint8 tensor [3, H, W], values 0..255"


def as_array(image: Pictured) -> NDArray[np.uint8]:
    """Return an image as RGB, uint8 [H, W, 3], turned upright by its EXIF orientation as in segsweep predict.

    Raises:
        DataError: a file is missing, damaged, or of values without a scale (32 bits, floats).
        OptionError: it is no image, or not of 8 bits per channel.
    """
    if isinstance(image, str | Path):
        if not Path(image).exists():
            raise DataError(image, "no such file")  # it is on no split's list
        return read_picture(Path(image)).image
    if isinstance(image, Image.Image):
        if image.mode not in ("RGB", "RGBA", "CMYK", "L", "P", "1"):
            raise OptionError("image", f"PIL image of mode {image.mode}", "8 bits per channel")
        return np.array(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.uint8)
    if isinstance(image, Tensor):
        tensor = image.squeeze(0) if image.ndim == 4 else image
        return _checked(tensor.permute(1, 2, 0).cpu().numpy() if tensor.ndim == 3 else tensor, image)
    return _checked(image, image)


def _checked(array: Any, given: Any) -> NDArray[np.uint8]:
    shape, kind = getattr(given, "shape", None), getattr(given, "dtype", None)
    if kind is None or shape is None:
        raise OptionError("image", type(given).__name__, EXPECTED)
    if array.ndim != 3 or array.shape[-1] != 3 or str(array.dtype).removeprefix("torch.") != "uint8":
        found = f"{str(kind).removeprefix('torch.')} {list(shape)}"
        raise OptionError("image", found, EXPECTED)
    return np.ascontiguousarray(array)
