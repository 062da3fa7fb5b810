"""COCO's regions as label maps of VOC's classes. Quick to import, because many processes do.

KSAC (section 4.1) trains first on COCO images "containing classes defined in PASCAL VOC 2012 and with an
annotation region greater than 1,000"; every other class is background.

Shape letters: `H`, `W` the image.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from segsweep.data.labels import LabelMap, label_png
from segsweep.data.sample import IGNORE_INDEX
from segsweep.data.sets.voc2012 import PALETTE
from segsweep.errors import DataError

VOC_OF_COCO = {
    5: (1, "airplane"), 2: (2, "bicycle"), 16: (3, "bird"), 9: (4, "boat"), 44: (5, "bottle"), 6: (6, "bus"),
    3: (7, "car"), 17: (8, "cat"), 62: (9, "chair"), 21: (10, "cow"), 67: (11, "dining table"),
    18: (12, "dog"), 19: (13, "horse"), 4: (14, "motorcycle"), 1: (15, "person"), 64: (16, "potted plant"),
    20: (17, "sheep"), 63: (18, "couch"), 7: (19, "train"), 72: (20, "tv"),
}  # fmt: skip
"""COCO's category id -> VOC's class index and COCO's name."""
LEAST_AREA = 1000  # an image is selected if it has a region of more pixels than this


class Region(NamedTuple):
    """One annotated object of a VOC class."""

    voc: int
    area: float  # in pixels, as stated by COCO
    crowd: bool
    segmentation: Any  # polygons or run lengths, as in COCO's file


class CocoImage(NamedTuple):
    """An image with its regions of VOC classes, in the order of the file."""

    stem: str
    height: int
    width: int
    regions: list[Region]

    @property
    def taken(self) -> bool:
        """Whether it is selected."""
        return any(not region.crowd and region.area > LEAST_AREA for region in self.regions)


def read_annotations(file: Path) -> list[CocoImage]:
    """Return all images of an `instances_*.json`, sorted by file name, with or without VOC classes.

    Raises:
        DataError: it is not COCO's annotation file, or its categories differ.
    """
    try:
        content = json.loads(file.read_bytes())
        _check_categories(content["categories"], file)
        images = {
            row["id"]: CocoImage(Path(row["file_name"]).stem, row["height"], row["width"], [])
            for row in content["images"]
        }
        for row in content["annotations"]:
            if row["category_id"] in VOC_OF_COCO:
                image = images[row["image_id"]]
                region = _region(row, image, file)
                image.regions.extend([region] if region.segmentation else [])
    except FileNotFoundError as error:
        raise DataError(file, "no such file", "unpack COCO's annotations under the dataset's root") from error
    except DataError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(file, f"is not a COCO instances file ({error!r})", "fetch it again") from error
    return sorted(images.values(), key=lambda image: image.stem)


def _region(row: Mapping[str, Any], image: CocoImage, file: Path) -> Region:
    """Return an annotation's region, without polygons of fewer than three points.

    pycocotools would take four numbers for a box. Raises DataError if the region does not fit the image.
    """
    voc, _ = VOC_OF_COCO[row["category_id"]]
    form, size = row["segmentation"], [image.height, image.width]
    if isinstance(form, list) and all(isinstance(polygon, list) for polygon in form):
        form = [polygon for polygon in form if len(polygon) >= 6]
    elif (
        not isinstance(form, dict)
        or form["size"] != size
        # Compressed run lengths are not checked.
        or not (isinstance(form["counts"], str) or sum(form["counts"]) == image.height * image.width)
    ):
        raise DataError(
            file,
            f"annotation {row.get('id')} of image {image.stem} is neither polygons nor run "
            f"lengths of {size[0]}x{size[1]} pixels",
            "fetch the file again, or correct or remove the annotation",
        )
    return Region(voc, row["area"], bool(row["iscrowd"]), form)


def _check_categories(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    named = {row["id"]: row["name"] for row in rows}
    for number, (_, name) in VOC_OF_COCO.items():
        if named.get(number) != name:
            raise DataError(
                file,
                f"category {number} is {named.get(number)!r}",
                f"expected COCO's {name!r}, as labels follow COCO's own numbers",
            )


def draw(height: int, width: int, regions: Sequence[Region]) -> LabelMap:
    """Return the label map [H, W] of an image: background 0, crowds 255, objects on top, small ones last.

    A crowd's mask is rough and contains much besides the objects, so it is ignored. Objects are drawn by
    area, the largest first and equal ones in the file's order, so that an object on a sofa stays visible.
    """
    label = np.zeros((height, width), dtype=np.uint8)
    for region in sorted(regions, key=lambda region: (not region.crowd, -region.area)):
        runs = region.segmentation
        if isinstance(runs, list):
            runs = coco_mask.merge(coco_mask.frPyObjects(runs, height, width))
        elif isinstance(runs["counts"], list):
            runs = coco_mask.frPyObjects(runs, height, width)
        label[coco_mask.decode(runs).astype(bool)] = IGNORE_INDEX if region.crowd else region.voc
    return label


def draw_png(height: int, width: int, regions: Sequence[Region]) -> bytes:
    """Return the label map of an image as a PNG in VOC's colours."""
    return label_png(draw(height, width, regions), PALETTE)
