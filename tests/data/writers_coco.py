"""A fake COCO in its official layout: small images, polygons, crowds as run lengths."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segsweep.data.sets.coco_draw import VOC_OF_COCO

Row = dict[str, Any]
CATEGORIES = [
    *({"id": number, "name": name} for number, (_, name) in VOC_OF_COCO.items()),
    {"id": 8, "name": "truck"},
    {"id": 84, "name": "book"},
]
SIDE = 64


def write_coco(root: Path, train: int = 3, val: int = 2, year: int = 2017, seed: int = 0) -> Path:
    """Write train, val and their annotations: images of 64x64 with a large square of some class each.

    The last image of each split shows none of VOC's classes.
    """
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        regions = []
        for number in range(1, count + 1):
            kind = int(rng.choice(list(VOC_OF_COCO))) if number < count else 8
            top, left = (int(v) for v in rng.integers(0, 20, 2))
            regions.append([square(kind, top, left, 40)])
        write_split(root, split, regions, year)
    return root


def write_split(root: Path, split: str, regions: list[list[Row]], year: int = 2017) -> None:
    """Write one split: an image for each list of regions, numbered from 1."""
    folder = root / f"{split}{year}"
    folder.mkdir(parents=True, exist_ok=True)
    (root / "annotations").mkdir(exist_ok=True)
    images, rows = [], []
    for number, image_regions in enumerate(regions, 1):
        stem = f"{number + (1000 if split == 'val' else 0):012d}"
        name = f"{stem}.jpg" if year == 2017 else f"COCO_{split}{year}_{stem}.jpg"
        Image.new("RGB", (SIDE, SIDE), (number % 256, 100, 50)).save(folder / name)
        images.append({"id": int(stem), "file_name": name, "height": SIDE, "width": SIDE})
        for row in image_regions:
            rows.append({**row, "id": len(rows) + 1, "image_id": int(stem)})
    content = {"images": images, "annotations": rows, "categories": CATEGORIES}
    (root / "annotations" / f"instances_{split}{year}.json").write_text(json.dumps(content))


def square(category: int, top: int, left: int, side: int, area: float | None = None) -> Row:
    """An object's annotation: a square polygon; `area` as stated, that of the square unless given."""
    bottom, right = top + side, left + side
    return {
        "category_id": category,
        "iscrowd": 0,
        "area": side * side if area is None else area,
        "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
    }


def crowd(category: int, top: int, left: int, side: int) -> Row:
    """A crowd's annotation: a square as uncompressed run lengths, down the columns."""
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    mask[top : top + side, left : left + side] = 1
    flat = mask.ravel(order="F")
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), len(flat)]
    runs = np.diff(edges).tolist()
    return {
        "category_id": category,
        "iscrowd": 1,
        "area": side * side,
        "segmentation": {"size": [SIDE, SIDE], "counts": runs if not flat[0] else [0, *runs]},
    }
