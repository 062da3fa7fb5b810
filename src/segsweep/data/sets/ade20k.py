"""ADE20K, 150 classes: the scene parsing benchmark (ADEChallengeData2016).

Zhou, Zhao, Puig, Fidler, Barriuso, Torralba, "Scene Parsing through ADE20K Dataset", CVPR 2017. The full
ADE20K, with its 3,000 object names and `_seg.png` files, is another release and is not read here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from segsweep.data.dataset import OfficialSplit, SegmentationDataset, Submission
from segsweep.data.labels import IndexLabels
from segsweep.data.sample import IGNORE_INDEX
from segsweep.data.sets.ade20k_classes import CLASSES, PALETTE
from segsweep.data.sets.pairs import by_id, paired
from segsweep.data.split import FileSplit

FOLDERS = {"train": "training", "val": "validation"}
STORED = {0: IGNORE_INDEX} | {index + 1: index for index in range(len(CLASSES))}
"""What label files store: 0 for "other", which the benchmark leaves out, and 1..150."""


class Ade20k(SegmentationDataset):
    """ADE20K as ADEChallengeData2016.zip unpacks, and the test images of release_test.zip beside or in it.

    The set has no lists: a split is the files of its folder, in the order of their names. The truth of `test`
    is kept by the benchmark; papers report `val`, which is therefore the split that tests run on.
    """

    classes = CLASSES
    palette = PALETTE
    test_split = "val"
    # The ids are ADE_train_00000001 to ADE_train_00020210 and ADE_val_00000001 to ADE_val_00002000.
    official: ClassVar[Mapping[str, OfficialSplit]] = {
        "train": OfficialSplit(20210, "5812d1749bb33a21"),
        "val": OfficialSplit(2000, "ea1c90a7ccd457dd"),
        "test": OfficialSplit(3352),
    }
    layout = (
        "ADEChallengeData2016's layout: images/{training,validation}/*.jpg and annotations/{training,"
        "validation}/*.png, test images in images/testing or in release_test/testing in or beside it"
    )
    fetch = (
        "sceneparsing.csail.mit.edu, for research and education (non-commercial): unpack "
        "ADEChallengeData2016.zip, and release_test.zip for the test images, into data_dir"
    )
    # The development kit's rule: one PNG an image, of the image's name and values; 0 is never predicted.
    submission = Submission(
        "zip",
        "{id}.png",
        {index: index + 1 for index in range(len(CLASSES))},
        server="sceneparsing.csail.mit.edu",
    )

    def __init__(self, *, root: str | Path, **options: Any) -> None:
        """Take the folder ADEChallengeData2016, and the options that all datasets share."""
        super().__init__(**options)
        self.root = Path(root)
        self._expected = f"{self.layout}; {self.fetch}"

    def read_split(self, name: str) -> FileSplit:
        """The files of a split's folders; DataError where a folder is missing or an image or label alone."""
        if name == "test":
            return self._test()
        folder = self.root / "images" / FOLDERS[name]
        images = by_id(folder, "*.jpg", self._expected)
        labels = by_id(self.root / "annotations" / FOLDERS[name], "*.png", self._expected)
        return paired(name, images, labels, IndexLabels(STORED), folder)

    def _test(self) -> FileSplit:
        """The images without truth, from the first of the places where people unpack them."""
        places = [self.root / "images", self.root / "release_test", self.root.parent / "release_test"]
        folders = [place / "testing" for place in places]
        folder = next((place for place in folders if place.is_dir()), folders[0])
        images = by_id(folder, "*.jpg", self._expected)
        ids = sorted(images)
        return FileSplit("test", ids, [images[i] for i in ids], None, IndexLabels(STORED), folder)
