"""EXIF orientations: viewers turn an image by them, while it is read as its pixels are stored.

Labels carry none, so they may have been drawn on either view. If the sizes tell that it was the stored one,
nothing is wrong; otherwise image and label might silently disagree, which is an error.
"""

import warnings

from PIL import Image

from segsweep.data.repairs import python
from segsweep.data.sample import Size, check_sizes
from segsweep.errors import DataError

ORIENTATION = 0x0112
"""EXIF's tag for how viewers should turn an image; 1 for not at all, 5 to 8 swap height and width."""
APPLY = "from PIL import ImageOps; ImageOps.exif_transpose(Image.open(f[0])).save(f[0], quality=95)"
DROP = 'i = Image.open(f[0]); i.load(); i.save(f[0], quality="keep", exif=b"")'


def orientation(image: Image.Image) -> int:
    """Return an open image's orientation, 1 to 8; 1 if there is none or its EXIF data are damaged.

    Of an image whose header alone was read, a PNG's is not found if it stands behind the pixels. A TIFF's is
    applied by Pillow whenever it is opened.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            turn = image.getexif().get(ORIENTATION, 1)
        except (OSError, SyntaxError, ValueError):
            return 1
    return turn if turn in range(1, 9) else 1


def is_of_stored_pixels(image: Image.Image, label: Size) -> bool:
    """Whether a label of size (H, W) can only belong to an image's pixels as they are stored."""
    stored = image.height, image.width
    return orientation(image) >= 5 and label == stored != stored[::-1]


def check_fit(image: Image.Image, label: Size | None, image_file: str, label_file: str) -> None:
    """Compare an image, of which the header suffices, with the size (H, W) of its label, if it has one.

    Raises:
        DataError: the sizes differ, or an EXIF orientation leaves open which view the label shows.
    """
    turn, stored = orientation(image), (image.height, image.width)
    what = f"EXIF orientation {turn} has viewers turn the image, while its pixels are read as they are stored"
    if turn >= 5 and label == stored[::-1] != stored:
        raise DataError(image_file, f"{what}, and its label is of the turned size", python(APPLY, image_file))
    if label is not None:
        check_sizes(stored, label, image_file, label_file)
    if turn != 1 and (label is None or not is_of_stored_pixels(image, label)):
        drop = python(DROP, image_file)
        raise DataError(image_file, f"{what} (its label was drawn on the stored pixels, or turn both)", drop)
