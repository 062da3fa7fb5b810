"""CamVid's original release: 701 frames of 720x960 pixels, label images of 32 colours.

Brostow, Fauqueur, Cipolla, "Semantic object classes in video: A high-definition ground truth database",
Pattern Recognition Letters 2009. The colours are those of the release's label_colors.txt. Which of the 11
classes each belongs to is SegNet's grouping, as the function camvidPixelLabelIDs of MathWorks' SegNet example
writes it down ("following the original SegNet training methodology").
"""

from collections.abc import Sequence
from pathlib import Path

from segsweep.data.labels import Colour, ColourLabels
from segsweep.data.listing import by_id, read_ids, read_list
from segsweep.data.sample import IGNORE_INDEX
from segsweep.data.split import FileSplit, some
from segsweep.errors import DataError

COLOURS: dict[str, tuple[Colour, str]] = {
    "Animal": ((64, 128, 64), "pedestrian"),
    "Archway": ((192, 0, 128), "building"),
    "Bicyclist": ((0, 128, 192), "bicyclist"),
    "Bridge": ((0, 128, 64), "building"),
    "Building": ((128, 0, 0), "building"),
    "Car": ((64, 0, 128), "car"),
    "CartLuggagePram": ((64, 0, 192), "pedestrian"),
    "Child": ((192, 128, 64), "pedestrian"),
    "Column_Pole": ((192, 192, 128), "pole"),
    "Fence": ((64, 64, 128), "fence"),
    "LaneMkgsDriv": ((128, 0, 192), "road"),
    "LaneMkgsNonDriv": ((192, 0, 64), "road"),
    "Misc_Text": ((128, 128, 64), "sign"),
    "MotorcycleScooter": ((192, 0, 192), "bicyclist"),
    "OtherMoving": ((128, 64, 64), "car"),
    "ParkingBlock": ((64, 192, 128), "pavement"),
    "Pedestrian": ((64, 64, 0), "pedestrian"),
    "Road": ((128, 64, 128), "road"),
    "RoadShoulder": ((128, 128, 192), "pavement"),
    "Sidewalk": ((0, 0, 192), "pavement"),
    "SignSymbol": ((192, 128, 128), "sign"),
    "Sky": ((128, 128, 128), "sky"),
    "SUVPickupTruck": ((64, 128, 192), "car"),
    "TrafficCone": ((0, 0, 64), "pole"),
    "TrafficLight": ((0, 64, 64), "sign"),
    "Train": ((192, 64, 128), "car"),
    "Tree": ((128, 128, 0), "tree"),
    "Truck_Bus": ((192, 128, 192), "car"),
    "Tunnel": ((64, 0, 64), "building"),
    "VegetationMisc": ((192, 192, 0), "tree"),
    "Void": ((0, 0, 0), "void"),
    "Wall": ((64, 192, 0), "building"),
}
"""Colour and class of each of the 32 names."""
STRAY = {"Seq05VD_f02610_L.png": 175}
"""Pixels of blended colours in a label of the release itself, usually read as void."""
FOLDERS = {
    "701_StillsRaw_full": "LabeledApproved_full",
    "train": "train_labels", "val": "val_labels", "test": "test_labels",
}  # fmt: skip
"""Folders of images and of their labels: the release's, and those of a copy in three splits."""


def is_release(root: Path) -> bool:
    """Return whether a folder contains the colour labels of the release."""
    return any((root / labels).is_dir() for labels in FOLDERS.values())


def release_split(root: Path, name: str, classes: Sequence[str], layout: str) -> FileSplit:
    """Return the frames listed in `<name>.txt` or, without lists, SegNet's split sorted by name.

    Frames may be in any of the folders, because copies distribute them differently. Raises DataError if a
    frame lacks its image or label, or if label_colors.txt has another table.
    """
    _check_colours(root, layout)
    indices = {name: index for index, name in enumerate(classes)} | {"void": IGNORE_INDEX}
    label_format = ColourLabels({colour: indices[to] for colour, to in COLOURS.values()}, STRAY)
    images, labels = _files(root, layout)
    source = root / f"{name}.txt"
    if source.is_file():
        ids = read_ids(source, layout)
    else:
        ids = sorted(frame for frame in images | labels if split_of(frame) == name)
    for kind, files in (("image", images), ("label", labels)):
        lost = [frame for frame in ids if frame not in files]
        if lost:
            raise DataError(
                root,
                f"split {name!r} has {len(lost)} of {len(ids)} frames without {kind} ({some(lost)})",
                "restore the files, or list the frames that are whole in train.txt, val.txt and test.txt",
            )
    return FileSplit(name, ids, [images[i] for i in ids], [labels[i] for i in ids], label_format, source)


def split_of(frame: str) -> str:
    """Return SegNet's split of a frame, `<drive>_<number>`; raise DataError if the drive is unknown.

    val is a part of the drive 0016E5, test the drive Seq05VD and the second half of 0001TP; other frames of
    these and the drive 0006R0 are train.
    """
    drive, _, number = frame.rpartition("_")
    place = int(number.removeprefix("f")) if number.removeprefix("f").isdigit() else -1
    if place < 0 or drive not in ("0001TP", "0006R0", "0016E5", "Seq05VD"):
        raise DataError(
            f"frame {frame}",
            "in none of CamVid's four drives",
            "expected names as 0001TP_006690, or list the frames in train.txt, val.txt and "
            "test.txt of dataset.root",
        )
    if drive == "0016E5" and 7959 <= place <= 8159:
        return "val"
    return "test" if drive == "Seq05VD" or (drive == "0001TP" and place >= 8550) else "train"


def _files(root: Path, layout: str) -> tuple[dict[str, Path], dict[str, Path]]:
    images: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    for image_folder, label_folder in FOLDERS.items():
        if (root / label_folder).is_dir():
            images |= by_id(root / image_folder, "*.png", layout)
            labels |= by_id(root / label_folder, "*_L.png", layout)
    return images, labels


def _check_colours(root: Path, layout: str) -> None:
    """Raise DataError if the folder has a label_colors.txt that differs from our table."""
    file = root / "label_colors.txt"
    if not file.is_file():
        return
    ours = {" ".join([*map(str, colour), name]) for name, (colour, _) in COLOURS.items()}
    theirs = {" ".join(line.split()) for line in read_list(file, layout)}
    if ours != theirs:
        raise DataError(
            file,
            f"differs from the release's table in {some(sorted(ours ^ theirs))}",
            "labels of other colours are not CamVid's own, fetch the release",
        )
