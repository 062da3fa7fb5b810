"""ADE20K, 150 classes: the scene parsing benchmark (ADEChallengeData2016).

Zhou, Zhao, Puig, Fidler, Barriuso, Torralba, "Scene Parsing through ADE20K Dataset", CVPR 2017. The full
ADE20K, with its 3,000 object names and `_seg.png` files, is another release and is not read here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from segsweep.data.dataset import OfficialSplit, SegmentationDataset, Submission
from segsweep.data.labels import IndexLabels
from segsweep.data.listing import by_id, paired
from segsweep.data.sample import IGNORE_INDEX
from segsweep.data.split import FileSplit

# Names (the first synonym each) and colours are those of object150_info.csv and color150.mat in
# CSAILVision/semantic-segmentation-pytorch. Other code prints some names differently; the order is fixed.
CLASSES = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass",
    "cabinet", "sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair",
    "car", "water", "painting", "sofa", "shelf", "house", "sea", "mirror", "rug", "field", "armchair",
    "seat", "fence", "desk", "rock", "wardrobe", "lamp", "bathtub", "railing", "cushion", "base", "box",
    "column", "signboard", "chest of drawers", "counter", "sand", "sink", "skyscraper", "fireplace",
    "refrigerator", "grandstand", "path", "stairs", "runway", "case", "pool table", "pillow",
    "screen door", "stairway", "river", "bridge", "bookcase", "blind", "coffee table", "toilet",
    "flower", "book", "hill", "bench", "countertop", "stove", "palm", "kitchen island", "computer",
    "swivel chair", "boat", "bar", "arcade machine", "hovel", "bus", "towel", "light", "truck", "tower",
    "chandelier", "awning", "streetlight", "booth", "television", "airplane", "dirt track", "apparel",
    "pole", "land", "bannister", "escalator", "ottoman", "bottle", "buffet", "poster", "stage", "van",
    "ship", "fountain", "conveyer belt", "canopy", "washer", "plaything", "swimming pool", "stool",
    "barrel", "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball", "food",
    "step", "tank", "trade name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher",
    "screen", "blanket", "sculpture", "hood", "sconce", "vase", "traffic light", "tray", "ashcan",
    "fan", "pier", "crt screen", "plate", "monitor", "bulletin board", "shower", "radiator", "glass",
    "clock", "flag",
)  # fmt: skip
PALETTE = (
    (120, 120, 120), (180, 120, 120), (6, 230, 230), (80, 50, 50), (4, 200, 3), (120, 120, 80),
    (140, 140, 140), (204, 5, 255), (230, 230, 230), (4, 250, 7), (224, 5, 255), (235, 255, 7),
    (150, 5, 61), (120, 120, 70), (8, 255, 51), (255, 6, 82), (143, 255, 140), (204, 255, 4),
    (255, 51, 7), (204, 70, 3), (0, 102, 200), (61, 230, 250), (255, 6, 51), (11, 102, 255),
    (255, 7, 71), (255, 9, 224), (9, 7, 230), (220, 220, 220), (255, 9, 92), (112, 9, 255),
    (8, 255, 214), (7, 255, 224), (255, 184, 6), (10, 255, 71), (255, 41, 10), (7, 255, 255),
    (224, 255, 8), (102, 8, 255), (255, 61, 6), (255, 194, 7), (255, 122, 8), (0, 255, 20),
    (255, 8, 41), (255, 5, 153), (6, 51, 255), (235, 12, 255), (160, 150, 20), (0, 163, 255),
    (140, 140, 140), (250, 10, 15), (20, 255, 0), (31, 255, 0), (255, 31, 0), (255, 224, 0),
    (153, 255, 0), (0, 0, 255), (255, 71, 0), (0, 235, 255), (0, 173, 255), (31, 0, 255),
    (11, 200, 200), (255, 82, 0), (0, 255, 245), (0, 61, 255), (0, 255, 112), (0, 255, 133),
    (255, 0, 0), (255, 163, 0), (255, 102, 0), (194, 255, 0), (0, 143, 255), (51, 255, 0), (0, 82, 255),
    (0, 255, 41), (0, 255, 173), (10, 0, 255), (173, 255, 0), (0, 255, 153), (255, 92, 0),
    (255, 0, 255), (255, 0, 245), (255, 0, 102), (255, 173, 0), (255, 0, 20), (255, 184, 184),
    (0, 31, 255), (0, 255, 61), (0, 71, 255), (255, 0, 204), (0, 255, 194), (0, 255, 82), (0, 10, 255),
    (0, 112, 255), (51, 0, 255), (0, 194, 255), (0, 122, 255), (0, 255, 163), (255, 153, 0),
    (0, 255, 10), (255, 112, 0), (143, 255, 0), (82, 0, 255), (163, 255, 0), (255, 235, 0),
    (8, 184, 170), (133, 0, 255), (0, 255, 92), (184, 0, 255), (255, 0, 31), (0, 184, 255),
    (0, 214, 255), (255, 0, 112), (92, 255, 0), (0, 224, 255), (112, 224, 255), (70, 184, 160),
    (163, 0, 255), (153, 0, 255), (71, 255, 0), (255, 0, 163), (255, 204, 0), (255, 0, 143),
    (0, 255, 235), (133, 255, 0), (255, 0, 235), (245, 0, 255), (255, 0, 122), (255, 245, 0),
    (10, 190, 212), (214, 255, 0), (0, 204, 255), (20, 0, 255), (255, 255, 0), (0, 153, 255),
    (0, 41, 255), (0, 255, 204), (41, 0, 255), (41, 255, 0), (173, 0, 255), (0, 245, 255), (71, 0, 255),
    (122, 0, 255), (0, 255, 184), (0, 92, 255), (184, 255, 0), (0, 133, 255), (255, 214, 0),
    (25, 194, 194), (102, 255, 0), (92, 0, 255),
)  # fmt: skip
"""The classes' colours, in the order of the values 1..150 of the labels, as the names above."""
FOLDERS = {"train": "training", "val": "validation"}
STORED = {0: IGNORE_INDEX} | {index + 1: index for index in range(len(CLASSES))}
"""Values in label files: 0 for "other", which the benchmark ignores, and 1..150."""


class Ade20k(SegmentationDataset):
    """ADE20K as in ADEChallengeData2016.zip, with the test images of release_test.zip beside or in it.

    There are no lists: a split is the files of its folder, sorted by name. The truth of `test` is not public;
    papers report `val`, which is therefore the split to test on.
    """

    classes = CLASSES
    palette = PALETTE
    licence = "ADE20K: images for non-commercial research and education, annotations BSD-3-Clause"
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
    # The development kit's rule: one PNG per image with the labels' values; 0 is never predicted.
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
        """Return the files of a split's folders; raise DataError if a folder, image or label is missing."""
        if name == "test":
            # Images without labels, in the first of the places where they may be unpacked.
            places = [self.root / "images", self.root / "release_test", self.root.parent / "release_test"]
            folders = [place / "testing" for place in places]
            folder = next((place for place in folders if place.is_dir()), folders[0])
            images = by_id(folder, "*.jpg", self._expected)
            ids = sorted(images)
            return FileSplit("test", ids, [images[i] for i in ids], None, IndexLabels(STORED), folder)
        folder = self.root / "images" / FOLDERS[name]
        images = by_id(folder, "*.jpg", self._expected)
        labels = by_id(self.root / "annotations" / FOLDERS[name], "*.png", self._expected)
        return paired(name, images, labels, IndexLabels(STORED), folder)
