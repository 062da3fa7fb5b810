"""Images as people have them in a notebook, as the array that a network is given.

Letters: `H`, `W` the image.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from segsweep.data.sample import read_image
from segsweep.errors import OptionError

Pictured = str | Path | Image.Image | NDArray[np.uint8] | Tensor
"""An image file, a PIL image, uint8 [H, W, 3], or a uint8 tensor [3, H, W]; RGB."""
EXPECTED = "a file, a PIL image, a uint8 array [H, W, 3] or a uint8 tensor [3, H, W], values 0..255"


def as_array(image: Pictured) -> NDArray[np.uint8]:
    """Return an image as RGB, uint8 [H, W, 3]; pixels are as stored, without an EXIF orientation.

    Raises:
        DataError: a file is missing, damaged or does not have 8 bits per channel.
        OptionError: it is no image, or not of 8 bits per channel.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        if image.mode not in ("RGB", "RGBA", "CMYK", "L", "P", "1"):
            raise OptionError("image", f"PIL image of mode {image.mode}", "8 bits per channel")
        return np.array(image.convert("RGB"), dtype=np.uint8)
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
