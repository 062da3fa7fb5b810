import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsweep.data.dataset import ids_hash
from segsweep.data.sets.camvid import CamVid
from segsweep.data.sets.camvid_release import COLOURS, split_of
from segsweep.errors import DataError
from tests.data.writers_camvid import FRAMES, write_camvid_release
from tests.shared import shared

# The frames of SegNet's lists as number ranges: drive, first, last, step.
RANGES = {
    "train": [
        ("0001TP_{:06d}", 6690, 8520, 30), ("0006R0_f{:05d}", 930, 3930, 30), ("0016E5_{:05d}", 390, 870, 30),
        ("0016E5_{:05d}", 901, 901, 1), ("0016E5_{:05d}", 930, 2400, 30), ("0016E5_{:05d}", 4350, 7920, 30),
        ("0016E5_{:05d}", 8190, 8640, 30),
    ],
    "val": [("0016E5_{:05d}", 7959, 8159, 2)],
    "test": [("0001TP_{:06d}", 8550, 10380, 30), ("Seq05VD_f{:05d}", 0, 5100, 30)],
}  # fmt: skip
FRAMES_OF = {
    split: [name.format(i) for name, first, last, step in ranges for i in range(first, last + 1, step)]
    for split, ranges in RANGES.items()
}


def camvid(root: Path, **options) -> CamVid:
    return CamVid(root=root, **options)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_rule_gives_every_frame_its_official_split(split):
    assert {split_of(frame) for frame in FRAMES_OF[split]} == {split}
    assert len(FRAMES_OF[split]) == CamVid.official[split].count
    assert ids_hash(FRAMES_OF[split]) == CamVid.official[split].ids


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_rule_and_the_official_facts_are_those_of_the_lists(split):
    listed = shared(f"data/camvid/{split}.txt").read_text().split()
    assert {split_of(frame) for frame in listed} == {split}
    assert (len(listed), ids_hash(listed)) == (CamVid.official[split].count, CamVid.official[split].ids)


@pytest.mark.parametrize("folders", [None, ("train", "train_labels"), ("test", "test_labels")])
def test_colours_become_classes_whatever_the_folder(tmp_path, folders):
    root = write_camvid_release(tmp_path, folders=folders)
    data = camvid(root, train_split="trainval")
    data.check_files()
    for split, frames in FRAMES.items():
        assert data.split(split).ids.tolist() == list(frames)
    sample = data.split("train")[0]
    colours = np.array(Image.open(next(root.glob(f"*/{sample.id}_L.png"))))
    for colour, name in COLOURS.values():
        expected = 255 if name == "void" else CamVid.classes.index(name)
        assert (sample.label[(colours == colour).all(axis=2)] == expected).all()
    assert np.unique(sample.label).tolist() == [*range(11), 255]


def test_hand_checked_colours_of_each_class(tmp_path):
    """One row a class of SegNet's grouping, last one void; each pixel a colour of the release's table."""
    rows = [
        [(128, 128, 128)] * 5,
        [(128, 0, 0), (64, 192, 0), (64, 0, 64), (0, 128, 64), (192, 0, 128)],
        [(192, 192, 128), (0, 0, 64)] * 2 + [(0, 0, 64)],
        [(128, 64, 128), (128, 0, 192), (192, 0, 64)] + [(128, 64, 128)] * 2,
        [(0, 0, 192), (64, 192, 128), (128, 128, 192)] + [(0, 0, 192)] * 2,
        [(128, 128, 0), (192, 192, 0)] * 2 + [(128, 128, 0)],
        [(192, 128, 128), (128, 128, 64), (0, 64, 64)] + [(0, 64, 64)] * 2,
        [(64, 64, 128)] * 5,
        [(64, 0, 128), (64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)],
        [(64, 64, 0), (192, 128, 64), (64, 0, 192), (64, 128, 64), (64, 64, 0)],
        [(0, 128, 192), (192, 0, 192)] * 2 + [(0, 128, 192)],
        [(0, 0, 0)] * 5,
    ]
    root = write_camvid_release(tmp_path)
    for folder, ending in (("701_StillsRaw_full", ""), ("LabeledApproved_full", "_L")):
        Image.fromarray(np.array(rows, np.uint8)).save(root / folder / f"0001TP_006690{ending}.png")
    label = camvid(root).split("train")[0].label
    assert label.tolist() == [[value] * 5 for value in (*range(11), 255)]
    assert len({colour for row in rows for colour in row}) == 32


def test_lists_beside_the_folders_decide(tmp_path):
    root = write_camvid_release(tmp_path)
    (root / "train.txt").write_text("0016E5_00901\n0001TP_006690\n")
    (root / "val.txt").write_text(
        "/SegNet/CamVid/val/0016E5_08159.png /SegNet/CamVid/valannot/0016E5_08159.png\n"
    )
    data = camvid(root)
    assert data.split("train").ids.tolist() == ["0016E5_00901", "0001TP_006690"]
    assert data.split("val").ids.tolist() == ["0016E5_08159"]
    assert data.split("test").ids.tolist() == list(FRAMES["test"])
    (root / "train.txt").write_text("0016E5_00901\n0001TP_009999\n")
    with pytest.raises(DataError, match=r"'train' has 1 of 2 frames without image \(0001TP_009999\)"):
        data.split("train")


def spoil(root: Path, frame: str, pixels: int) -> None:
    file = root / "LabeledApproved_full" / f"{frame}_L.png"
    label = np.array(Image.open(file))
    label.reshape(-1, 3)[:pixels] = (128, 128, 51)
    Image.fromarray(label).save(file)


def test_blended_pixels_are_void_in_the_one_label_that_the_release_has_them_in(tmp_path):
    root = write_camvid_release(tmp_path)
    clean = camvid(root).split("test")[2]
    assert clean.id == "Seq05VD_f02610"
    spoil(root, clean.id, 175)
    label = camvid(root).split("test")[2].label.ravel()
    assert (label[:175] == 255).all()
    np.testing.assert_array_equal(label[175:], clean.label.ravel()[175:])
    spoil(root, clean.id, 176)
    with pytest.raises(DataError, match=r"Seq05VD_f02610_L.png: colour \(128, 128, 51\) \(176 pixels\)"):
        camvid(root).split("test")[2]
    spoil(root, "0001TP_006690", 1)
    with pytest.raises(DataError, match=r"0001TP_006690_L.png: colour \(128, 128, 51\) \(1 pixels\)"):
        camvid(root).split("train")[0]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda r: (r / "LabeledApproved_full" / "0006R0_f00930_L.png").unlink(),
            ["1 of 5 frames without label (0006R0_f00930)"],
        ),
        (
            lambda r: (r / "701_StillsRaw_full" / "0016E5_07959.png").unlink(),
            ["1 of 2 frames without image (0016E5_07959)"],
        ),
        (
            lambda r: (r / "701_StillsRaw_full").rename(r / "images"),
            ["701_StillsRaw_full: no such folder", "expected CamVid's layout"],
        ),
        (
            lambda r: (r / "label_colors.txt").write_text(
                (r / "label_colors.txt").read_text().replace("64 128 64", "64 128 65")
            ),
            ["label_colors.txt: differs", "64 128 64 Animal, 64 128 65 Animal"],
        ),
        (
            lambda r: (r / "701_StillsRaw_full" / "holiday.png").write_bytes(b""),
            ["frame holiday", "four drives", "0001TP_006690"],
        ),
    ],
)
def test_setup_names_what_is_wrong(tmp_path, damage, words):
    root = write_camvid_release(tmp_path)
    damage(root)
    with pytest.raises(DataError) as error:
        camvid(root).check_files()
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


def test_palette_and_classes_are_those_of_the_table():
    rows = list(csv.DictReader(shared("data/lists/camvid_classes.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == [*CamVid.classes, "void"]
    assert [(int(r["r"]), int(r["g"]), int(r["b"])) for r in rows] == [*CamVid.palette, (0, 0, 0)]
