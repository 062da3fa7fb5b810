"""Cityscapes' label ids, their train ids and colours, and how the two kinds of label files are read.

The table is that of cityscapesScripts' helpers/labels.py. Of its ids 0..33 (and −1, license plate), 19 are
classes; the other ones count neither in training nor in the benchmark.
"""

from pathlib import Path

from segsweep.data.labels import IndexLabels, LabelMap, plain
from segsweep.data.sample import IGNORE_INDEX
from segsweep.errors import DataError

TABLE = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)
"""Name, id and colour of each class; its place is its train id."""
IDS = {train_id: row[1] for train_id, row in enumerate(TABLE)}
"""The id of each class, as the benchmark takes predictions."""
LICENSE_PLATE = 255
"""Its id −1 in 8 bits. cityscapesScripts draws no such pixels, other tools do."""


class LabelIds(IndexLabels):
    """`_labelIds.png` files: ids 0..33.

    Train ids (0..18 and 255) are ids too, of other classes: a network would learn six of the 19, wrongly.
    They are told by 255, which in a file of ids is only a license plate, and never without its vehicle.
    """

    def __init__(self) -> None:
        """Know the ids."""
        ignored = dict.fromkeys((*range(34), LICENSE_PLATE), IGNORE_INDEX)
        super().__init__(ignored | {label: index for index, label in IDS.items()})

    def __repr__(self) -> str:
        return "LabelIds()"

    def look_up(self, stored: LabelMap, file: str | Path) -> LabelMap:
        """Look up the ids; DataError where a value is none, or where all of them are train ids."""
        if (stored == LICENSE_PLATE).any() and not ((stored >= len(IDS)) & (stored < LICENSE_PLATE)).any():
            raise DataError(
                file,
                "holds train ids (0..18 and 255), not label ids 0..33",
                (
                    "restore the file of the release, or set dataset.labels to train_ids for files "
                    "named _labelTrainIds.png"
                ),
            )
        return super().look_up(stored, file)


FORMATS = {"label_ids": ("labelIds", LabelIds()), "train_ids": ("labelTrainIds", plain(len(TABLE)))}
"""The option `labels`: the end of the files' names and how they are read."""
