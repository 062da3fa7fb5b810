"""PASCAL VOC 2012 segmentation: 20 object classes and background.

Everingham, Van Gool, Williams, Winn, Zisserman, IJCV 2010; 1,464 train, 1,449 val and 1,456 test images. The
truth of test is on the evaluation server only, so many tables are on val.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from segsweep.data.dataset import OfficialSplit, SegmentationDataset, Submission
from segsweep.data.download import Archive
from segsweep.data.labels import plain
from segsweep.data.listing import read_ids
from segsweep.data.split import FileSplit, SplitDataset

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""In the order of the label files' values (VOC 2012 development kit, section 3.4)."""
PALETTE = (
    (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128),
    (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128), (192, 0, 128),
    (64, 128, 128), (192, 128, 128), (0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128),
)  # fmt: skip
LAYOUT = (
    "VOC's layout: VOC2012/JPEGImages/<id>.jpg, VOC2012/SegmentationClass/<id>.png and "
    "VOC2012/ImageSets/Segmentation/{train,val,test}.txt"
)
TRAINVAL = Archive(
    url="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    size=1_999_639_040,
    md5="6cd6e144f989b92b3379bac3b3de84fd",
    inside="VOCdevkit/VOC2012",
    marker="ImageSets/Segmentation/trainval.txt",
)


class Voc2012(SegmentationDataset):
    """VOC 2012 as unpacked: `root` is VOCdevkit (the folder that contains VOC2012) or VOC2012 itself.

    Label 255, borders and difficult objects, is ignored. `test` is a separate archive, unpacked into the same
    folders, without labels: only the server computes its figures. So `test_split` is val, and training on
    `trainval` is for submissions.
    """

    classes = CLASSES
    palette = PALETTE
    licence = "PASCAL VOC 2012: photographs from Flickr under Flickr's terms, for research"
    joined: ClassVar[Mapping[str, tuple[str, ...]]] = {"trainval": ("train", "val")}
    test_split = "val"
    official: ClassVar[Mapping[str, OfficialSplit]] = {
        "train": OfficialSplit(1464, "129f1fe991729b18"),
        "val": OfficialSplit(1449, "6f8edc37993764f6"),
        "trainval": OfficialSplit(2913, "09c882f4c5ae3c69"),
        "test": OfficialSplit(1456, "7d323bb3448fa174"),
    }
    layout = LAYOUT
    fetch = (
        "train and val: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ (or download=true); test images: "
        "from the evaluation server http://host.robots.ox.ac.uk:8080/ after registration, unpacked beside "
        "them"
    )
    submission: ClassVar[Submission | None] = Submission(
        archive="tar",
        member="results/VOC2012/Segmentation/comp6_test_cls/{id}.png",
        values={index: index for index in range(len(CLASSES))},
        palette=True,
        server="http://host.robots.ox.ac.uk:8080/",
    )

    def __init__(self, *, root: str | Path, **options: Any) -> None:
        """Take VOCdevkit or VOC2012, and the options that all datasets share."""
        super().__init__(**options)
        self.root = Path(root)
        self.voc = voc_folder(self.root)

    def read_split(self, name: str) -> SplitDataset:
        """Return VOC's own train, val or test, the last without labels."""
        return self.voc_split(name)

    def voc_split(self, name: str) -> FileSplit:
        """Return one of VOC's own splits, in the order of its list; raise DataError without that list."""
        ids = self.voc_ids(name)
        images = [self.voc / "JPEGImages" / f"{i}.jpg" for i in ids]
        labels = [self.voc / "SegmentationClass" / f"{i}.png" for i in ids]
        truth = None if name == "test" else labels
        return FileSplit(name, ids, images, truth, plain(len(CLASSES)), self.voc_list(name))

    def voc_ids(self, name: str) -> list[str]:
        """Return the ids of one of VOC's own splits, as listed."""
        return read_ids(self.voc_list(name), f"{self.layout}; {self.fetch}")

    def voc_list(self, name: str) -> Path:
        """Return the list file of a split."""
        return self.voc / "ImageSets" / "Segmentation" / f"{name}.txt"

    def archives(self) -> list[tuple[Archive, Path]]:
        """Return the archive of train and val; test needs an account."""
        return [(TRAINVAL, self.voc)]


def voc_folder(root: Path) -> Path:
    """Return the folder VOC2012 for a `root` that is it or contains it, directly or in VOCdevkit."""
    if (root / "ImageSets").is_dir():
        return root
    if (root / "VOCdevkit" / "VOC2012").is_dir():
        return root / "VOCdevkit" / "VOC2012"
    return root / "VOC2012"
