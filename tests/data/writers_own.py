"""A folder of images and masks as people keep their own, and the mistakes that they make in it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from tests.data.writers import blocks, picture

COLOURS = {0: (0, 0, 0), 1: (200, 40, 40), 2: (40, 200, 40)}
TABLE = "name,r,g,b\nground,0,0,0\nbarn,200,40,40\ntree,40,200,40\nunicorn,255,0,255\n"
"""Classes of coloured masks; no mask holds the last."""


def write_folder(
    root: Path, count: int = 10, kind: str = "grey", size: tuple[int, int] = (48, 64), seed: int = 0
) -> Path:
    """Write images/imNN.jpg and masks/imNN.png: `grey`, `palette` or `binary` values, or `colour`."""
    rng = np.random.default_rng(seed)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        label = blocks(rng, size, [0, 1, 2])
        image = picture(rng, label, COLOURS)
        Image.fromarray(image).save(root / "images" / f"im{number:02}.jpg", quality=95)
        save_mask(label, kind, root / "masks" / f"im{number:02}.png")
    return root


def save_mask(label: np.ndarray, kind: str, file: Path) -> None:
    """Save a label map [H, W] as a mask of a kind."""
    mask = Image.fromarray((label > 0).astype(np.uint8) * 255 if kind == "binary" else label)
    if kind == "palette":
        mask.putpalette([channel for colour in COLOURS.values() for channel in colour])
    if kind == "colour":
        mask = Image.fromarray(np.array(list(COLOURS.values()), np.uint8)[label])
    mask.save(file)


class Mistake(NamedTuple):
    """What someone does to image `n`, the file that is to be named, and words of the line about it."""

    do: Callable[[Path, int], object]
    file: str = ""
    problem: str = ""
    repair: str = ""
    note: str = ""
    """Words of a check's notes, if the mistake is understood."""


def image_file(root: Path, n: int) -> Path:
    return root / "images" / f"im{n:02}.jpg"


def mask_file(root: Path, n: int) -> Path:
    return root / "masks" / f"im{n:02}.png"


def resize_mask(root: Path, n: int) -> None:
    file = mask_file(root, n)
    Image.open(file).resize((56, 48), Image.Resampling.NEAREST).save(file)


def paint_mask(root: Path, n: int) -> None:
    pixels = np.array(Image.open(mask_file(root, n)))
    pixels[:3, :4] = (1, 2, 3)
    Image.fromarray(pixels).save(mask_file(root, n))


def deepen_mask(root: Path, n: int) -> None:
    deep = blocks(np.random.default_rng(3), (48, 64), [0, 1, 2]).astype(np.uint16)
    cv2.imwrite(str(mask_file(root, n)), deep)


def compress_mask(root: Path, n: int) -> None:
    file = mask_file(root, n)
    Image.open(file).save(file.with_suffix(".jpg"))
    file.unlink()


def turn(turn: int, pixels: bool) -> Callable[[Path, int], None]:
    """An image that viewers are told to turn, its pixels stored on their side, as phones do, or not."""

    def do(root: Path, n: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = turn
        image = Image.open(image_file(root, n))
        image.load()
        image = image.transpose(Image.Transpose.ROTATE_90) if pixels else image
        image.save(image_file(root, n), exif=exif, quality=95)

    return do


def cut(file: Callable[[Path, int], Path], kept: int) -> Callable[[Path, int], object]:
    return lambda root, n: file(root, n).write_bytes(file(root, n).read_bytes()[:kept])


def to_cmyk(root: Path, n: int) -> None:
    Image.open(image_file(root, n)).convert("CMYK").save(image_file(root, n))


def shout(root: Path, n: int) -> None:
    image_file(root, n).rename(root / "images" / f"IM{n:02}.JPG")


MISTAKES = {
    "sizes differ": Mistake(resize_mask, "masks/im00.png", "48x56 pixels", "replace the wrong one"),
    "mask missing": Mistake(
        lambda root, n: mask_file(root, n).unlink(), "images/im01.jpg", "without label", "restore the label"
    ),
    "unknown colour": Mistake(paint_mask, "masks/im02.png", "12 pixels", "classes.csv"),
    "16-bit mask": Mistake(deepen_mask, "masks/im03.png", "I;16", "convert"),
    "JPEG mask": Mistake(compress_mask, "masks/im04.jpg", "JPEG", "as PNG"),
    "EXIF rotation": Mistake(turn(6, True), "images/im05.jpg", "EXIF orientation 6", "exif_transpose"),
    "names differ in case": Mistake(shout),
    "an empty class": Mistake(lambda root, n: None, note="unicorn"),  # TABLE has one
    "CMYK image": Mistake(to_cmyk, note="1 CMYK images, read as RGB: im08"),
    "corrupt mask": Mistake(cut(mask_file, 60), "masks/im09.png", "truncated", "fetch the file again"),
}
"""One for each of ten images. What names no file is understood."""
MORE_MISTAKES = {
    "EXIF half turn": Mistake(turn(3, False), "images/im00.jpg", "EXIF orientation 3", 'exif=b""'),
    "EXIF of drawn pixels": Mistake(turn(6, False), note="by their EXIF orientation, read as stored"),
    "no image": Mistake(cut(image_file, 0), "images/im02.jpg", "is not an image", "fetch the file again"),
}
WITH_ONE = {**MISTAKES, **MORE_MISTAKES}


def write_one(root: Path, name: str) -> Path:
    """Write a folder with just one mistake, made to the image that it is made to in `MISTAKES`."""
    write_folder(root, kind="colour")
    (root / "classes.csv").write_text(TABLE)
    mistake = WITH_ONE[name]
    mistake.do(root, int(mistake.file[-6:-4] or 8))
    return root


def write_mistakes(root: Path) -> Path:
    """Write a folder of ten images with coloured masks and a table of classes, each with its own mistake."""
    write_folder(root, kind="colour")
    (root / "classes.csv").write_text(TABLE)
    for n, mistake in enumerate(MISTAKES.values()):
        mistake.do(root, n)
    return root
