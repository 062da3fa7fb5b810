"""A fake ADE20K as ADEChallengeData2016.zip unpacks."""

from pathlib import Path

import numpy as np
from PIL import Image

from segsweep.data.sets.ade20k import Ade20k
from tests.data.writers import blocks, picture


def write_ade20k(
    root: Path, train: int = 4, val: int = 2, test: int = 2, size: tuple[int, int] = (104, 104), seed: int = 0
) -> Path:
    """Write images and grey labels of 0..150 (all of them at the given size); test images without labels."""
    rng = np.random.default_rng(seed)
    palette = {index + 1: colour for index, colour in enumerate(Ade20k.palette)}
    for folder, short, count in (
        ("training", "train", train),
        ("validation", "val", val),
        ("testing", "test", test),
    ):
        (root / "images" / folder).mkdir(parents=True, exist_ok=True)
        (root / "annotations" / folder).mkdir(parents=True, exist_ok=True)
        for index in range(1, count + 1):
            name, label = f"ADE_{short}_{index:08d}", blocks(rng, size, range(151))
            Image.fromarray(picture(rng, label, palette)).save(root / "images" / folder / f"{name}.jpg")
            if short != "test":
                Image.fromarray(label).save(root / "annotations" / folder / f"{name}.png")
    (root / "annotations" / "testing").rmdir()
    return root
