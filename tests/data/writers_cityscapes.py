"""A fake Cityscapes: fine and coarse labels, as ids and as train ids, with the files that are not read."""

from pathlib import Path

import numpy as np
from PIL import Image

from segsweep.data.sets.cityscapes import IDS, TABLE
from tests.data.writers import blocks, picture

CITIES = {
    "train": ("aachen", "zurich"), "val": ("frankfurt",), "test": ("berlin",), "train_extra": ("dortmund",),
}  # fmt: skip


def write_cityscapes(root: Path, frames: int = 3, size: tuple[int, int] = (48, 96), seed: int = 0) -> Path:
    """Write `frames` frames a city; every label holds the ids 0..33, test labels are dummies of 0."""
    rng = np.random.default_rng(seed)
    palette = {label: TABLE[train_id][2] for train_id, label in IDS.items()}
    for split, cities in CITIES.items():
        for city in cities:
            for index in range(frames):
                label = blocks(rng, size, range(34))
                write_frame(root, split, f"{city}_{index:06d}_000019", picture(rng, label, palette), label)
    return root


def write_frame(root: Path, split: str, name: str, image: np.ndarray, label: np.ndarray) -> None:
    """Write an image [H, W, 3] and its label of ids [H, W]."""
    kind = "gtCoarse" if split == "train_extra" else "gtFine"
    city = name.partition("_")[0]
    for folder in ("leftImg8bit", kind):
        (root / folder / split / city).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png")
    to_train = np.full(256, 255, dtype=np.uint8)
    to_train[list(IDS.values())] = list(IDS)
    ids = np.zeros_like(label) if split == "test" else label
    files = {
        "labelIds": ids,
        "labelTrainIds": to_train[ids],
        "instanceIds": ids.astype(np.uint16) * 1000,
        "color": np.zeros((*ids.shape, 4), dtype=np.uint8),
    }
    for ending, content in files.items():
        Image.fromarray(content).save(root / kind / split / city / f"{name}_{kind}_{ending}.png")
    (root / kind / split / city / f"{name}_{kind}_polygons.json").write_text("{}")
