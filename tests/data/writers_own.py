"""A folder of images and masks as people keep their own, and the mistakes that they make in it."""

from pathlib import Path

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


def write_mistakes(root: Path) -> Path:
    """Write a folder of ten images with coloured masks and a table of classes, each with its own mistake."""
    write_folder(root, kind="colour")
    (root / "classes.csv").write_text(TABLE)  # 7: a class that no mask holds
    image, mask = (
        (lambda n, f=f, s=s: root / f / f"im{n:02}.{s}") for f, s in (("images", "jpg"), ("masks", "png"))
    )
    Image.open(mask(0)).resize((56, 48), Image.Resampling.NEAREST).save(mask(0))
    mask(1).unlink()
    pixels = np.array(Image.open(mask(2)))
    pixels[:3, :4] = (1, 2, 3)
    Image.fromarray(pixels).save(mask(2))
    cv2.imwrite(str(mask(3)), blocks(np.random.default_rng(3), (48, 64), [0, 1, 2]).astype(np.uint16))
    Image.open(mask(4)).save(mask(4).with_suffix(".jpg"))
    mask(4).unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.open(image(5))
    turned.load()
    turned.save(image(5), exif=exif, quality=95)
    image(6).rename(root / "images" / "IM06.JPG")
    Image.open(image(8)).convert("CMYK").save(image(8))
    mask(9).write_bytes(mask(9).read_bytes()[:60])
    return root
