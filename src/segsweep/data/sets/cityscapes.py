"""Cityscapes, 19 classes, street scenes of 1024x2048 pixels.

Cordts, Omran, Ramos, Rehfeld, Enzweiler, Benenson, Franke, Roth, Schiele, "The Cityscapes Dataset for
Semantic Urban Scene Understanding", CVPR 2016.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from segsweep.data.dataset import OfficialSplit, SegmentationDataset, Submission
from segsweep.data.labels import IndexLabels, LabelMap, plain
from segsweep.data.listing import by_id, paired
from segsweep.data.sample import IGNORE_INDEX
from segsweep.data.split import FileSplit
from segsweep.errors import DataError, OptionError

# cityscapesScripts' helpers/labels.py. Of its ids 0..33 (and −1, license plate), 19 are classes; the others
# count neither in training nor in the benchmark.
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
"""Name, id and colour of each class, in order of train ids."""
IDS = {train_id: row[1] for train_id, row in enumerate(TABLE)}
"""The id of each class, in which the benchmark expects predictions."""
LICENSE_PLATE = 255  # its id −1 in 8 bits; cityscapesScripts draws no such pixels, but other tools do


class LabelIds(IndexLabels):
    """`_labelIds.png` files: ids 0..33.

    Train ids (0..18 and 255) are also valid ids, of other classes: a network would learn six of the 19,
    wrongly. They are detected by 255, which among ids is only a license plate and never without its vehicle.
    """

    def __init__(self) -> None:
        ignored = dict.fromkeys((*range(34), LICENSE_PLATE), IGNORE_INDEX)
        super().__init__(ignored | {label: index for index, label in IDS.items()})

    def __repr__(self) -> str:
        return "LabelIds()"

    def look_up(self, stored: LabelMap, file: str | Path) -> LabelMap:
        """Look up the ids; raise DataError if a value is not an id, or if all are train ids."""
        if (stored == LICENSE_PLATE).any() and not ((stored >= len(IDS)) & (stored < LICENSE_PLATE)).any():
            raise DataError(
                file,
                "holds train ids (0..18 and 255), not label ids 0..33",
                "restore the file of the release, or set dataset.labels to train_ids for files "
                "named _labelTrainIds.png",
            )
        return super().look_up(stored, file)


FORMATS = {"label_ids": ("labelIds", LabelIds()), "train_ids": ("labelTrainIds", plain(len(TABLE)))}
"""By the option `labels`: the end of the files' names, and their format."""
IMAGES = "*/*_leftImg8bit.png"


class Cityscapes(SegmentationDataset):
    """Cityscapes with its fine labels, and the coarse ones of `train_extra`.

    An id is an image's `<city>_<sequence>_<frame>`, a group its city; no city is in two of train, val and
    test. A split is the files of its folder, sorted by id.
    `train`, `val` and `trainval` have fine labels, `train_extra` coarse ones; `train_with_extra` and
    `trainval_with_extra` combine them. The truth of `test` is not public (its label files are dummies and not
    read); papers report `val`, which is therefore the split to test on.
    """

    classes = tuple(name for name, _, _ in TABLE)
    palette = tuple(colour for _, _, colour in TABLE)
    licence = "Cityscapes: non-commercial use under its own licence, which forbids passing images on"
    splits = ("train", "val", "test", "train_extra")
    joined: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "trainval": ("train", "val"),
        "train_with_extra": ("train", "train_extra"),
        "trainval_with_extra": ("train", "val", "train_extra"),
    }
    test_split = "val"
    group_unit = "city"
    official: ClassVar[Mapping[str, OfficialSplit]] = {
        "train": OfficialSplit(2975),
        "val": OfficialSplit(500),
        "test": OfficialSplit(1525),
        "train_extra": OfficialSplit(19998),
    }
    release_size = (1024, 2048)
    encodings: ClassVar[Mapping[str, frozenset[int]]] = {
        "label ids (the release's _labelIds.png; set dataset.labels=label_ids)": frozenset(range(34)),
        "train ids (cityscapesScripts' _labelTrainIds.png; set dataset.labels=train_ids)": frozenset(
            {*range(len(TABLE)), IGNORE_INDEX}
        ),
    }
    layout = (
        "Cityscapes' layout: leftImg8bit/<split>/<city>/*_leftImg8bit.png and gtFine/<split>/<city>/"
        "*_gtFine_labelIds.png (gtCoarse for train_extra; _labelTrainIds.png with dataset.labels=train_ids, "
        "made by cityscapesScripts)"
    )
    fetch = (
        "www.cityscapes-dataset.com, after registering, for non-commercial use: unpack "
        "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip (for train_extra "
        "leftImg8bit_trainextra.zip and gtCoarse.zip too) into the root"
    )
    # cityscapesScripts' evaluation accepts one file <city>_<sequence>_<frame>*.png per image, in any folder.
    submission = Submission(
        "zip", "{id}.png", IDS, size=(1024, 2048), server="www.cityscapes-dataset.com/submit"
    )

    def __init__(self, *, root: str | Path, labels: str = "label_ids", **options: Any) -> None:
        """Take the folder that holds leftImg8bit and gtFine, and the options that all datasets share.

        `labels` chooses the label files: `label_ids`, as released, or `train_ids`, as made by
        cityscapesScripts' createTrainIdLabelImgs. Both give the same label maps.
        """
        super().__init__(**options)
        if labels not in FORMATS:
            raise OptionError("labels", labels, near=FORMATS)
        self.root = Path(root)
        self._ending, self._format = FORMATS[labels]

    @classmethod
    def group_of(cls, id: str) -> str | None:
        """Return the city of an image, `<city>_<sequence>_<frame>`."""
        return id.partition("_")[0]

    def read_split(self, name: str) -> FileSplit:
        """Return the files of a split's folders; raise DataError if a folder, image or label is missing."""
        folder = self.root / "leftImg8bit" / name
        expected = f"{self.layout}; {self.fetch}"
        images = by_id(folder, IMAGES, expected)
        if name == "test":
            ids = sorted(images)
            return FileSplit(name, ids, [images[i] for i in ids], None, self._format, folder)
        kind = "gtCoarse" if name == "train_extra" else "gtFine"
        labels = by_id(self.root / kind / name, f"*/*_{kind}_{self._ending}.png", expected)
        return paired(name, images, labels, self._format, folder)
