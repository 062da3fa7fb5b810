import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsweep.data.sets.cityscapes import Cityscapes
from segsweep.errors import ConfigError, DataError
from tests.data.writers_cityscapes import write_cityscapes, write_frame
from tests.shared import shared

# ids of the 19 classes in the order of their train ids, written down from the dataset's class table.
CLASS_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]


def cityscapes(root: Path, **options) -> Cityscapes:
    return Cityscapes(root=root, **options)


def label_file(root: Path, ending: str = "labelIds") -> Path:
    return root / "gtFine" / "train" / "aachen" / f"aachen_000000_000019_gtFine_{ending}.png"


def test_ids_become_train_ids_and_all_others_are_ignored(tmp_path):
    write_cityscapes(tmp_path)
    sample = cityscapes(tmp_path).split("train")[0]
    stored = np.array(Image.open(label_file(tmp_path)))
    assert sample.id == "aachen_000000_000019"
    assert np.unique(stored).tolist() == list(range(34))
    for value in range(34):
        expected = CLASS_IDS.index(value) if value in CLASS_IDS else 255
        assert (sample.label[stored == value] == expected).all()


def test_a_license_plate_is_ignored(tmp_path):
    label = np.array([[7, 255], [26, 33]], dtype=np.uint8)
    for split in ("train", "val"):
        write_frame(tmp_path, split, f"{split}_000000_000001", np.zeros((2, 2, 3), np.uint8), label)
    assert cityscapes(tmp_path).split("train")[0].label.tolist() == [[0, 255], [13, 18]]


def test_train_id_files_give_the_same_labels(tmp_path):
    write_cityscapes(tmp_path)
    ids, train_ids = cityscapes(tmp_path), cityscapes(tmp_path, labels="train_ids")
    for name in ("train", "val", "train_extra"):
        for a, b in zip(ids.split(name), train_ids.split(name), strict=True):
            np.testing.assert_array_equal(a.label, b.label)
    with pytest.raises(ConfigError, match=r"^labels=trainids: did you mean train_ids"):
        cityscapes(tmp_path, labels="trainids")


def test_splits_hold_their_cities_in_the_order_of_ids(tmp_path):
    data = cityscapes(write_cityscapes(tmp_path, frames=2), train_split="trainval_with_extra")
    data.check_files()
    fine = [f"{city}_00000{i}_000019" for city in ("aachen", "zurich") for i in range(2)]
    val, extra = [[f"{city}_00000{i}_000019" for i in range(2)] for city in ("frankfurt", "dortmund")]
    assert data.split("train").ids.tolist() == fine
    assert data.split("trainval").ids.tolist() == fine + val
    assert data.split("train_with_extra").ids.tolist() == fine + extra
    assert data.split("trainval_with_extra").ids.tolist() == fine + val + extra
    assert "gtCoarse" in str(data.split("train_extra").labels[0])


def test_test_frames_have_no_truth_with_or_without_their_dummy_labels(tmp_path):
    data = cityscapes(write_cityscapes(tmp_path))
    for file in list((tmp_path / "gtFine" / "test").rglob("*_labelIds.png"))[:1]:
        file.unlink()
    split = data.split("test")
    assert len(split) == 3
    assert not split.has_truth
    assert (split[0].label == 255).all()
    assert data.test_split == "val"


def test_what_is_handed_in_has_ids_at_full_size():
    submission = Cityscapes.submission
    assert [submission.values[index] for index in range(19)] == CLASS_IDS
    assert submission.size == (1024, 2048)
    assert submission.member.format(id="berlin_000000_000019").startswith("berlin_000000_000019")


def test_official_counts_are_the_releases():
    counts = {name: split.count for name, split in Cityscapes.official.items()}
    assert counts == {"train": 2975, "val": 500, "test": 1525, "train_extra": 19998}


def overwrite(root: Path, other: str) -> None:
    """Put a frame's file of another kind in place of its label of ids."""
    label_file(root).write_bytes(label_file(root, other).read_bytes())


@pytest.mark.parametrize(
    ("damage", "options", "words"),
    [
        (lambda r: overwrite(r, "labelTrainIds"), {}, ["labelIds.png: holds train ids", "dataset.labels"]),
        (lambda r: overwrite(r, "color"), {}, ["labelIds.png: label of mode RGBA"]),
        (lambda r: overwrite(r, "instanceIds"), {}, ["labelIds.png: label of mode I;16"]),
        (
            lambda r: label_file(r, "labelTrainIds").write_bytes(label_file(r).read_bytes()),
            {"labels": "train_ids"},
            ["labelTrainIds.png: label value 19, 20", "expected 0..18, 255"],
        ),
        (
            lambda r: Image.new("L", (96, 48), 34).save(label_file(r)),
            {},
            ["labelIds.png: label value 34", "expected 0..33, 255"],
        ),
    ],
)
def test_files_of_another_kind_are_an_error(tmp_path, damage, options, words):
    split = cityscapes(write_cityscapes(tmp_path), **options).split("train")
    damage(tmp_path)
    with pytest.raises(DataError) as error:
        split[0]
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("damage", "options", "words"),
    [
        (
            lambda r: label_file(r).unlink(),
            {},
            ["aachen_000000_000019_leftImg8bit.png: image without label", "1 of 6"],
        ),
        (
            lambda r: (r / "leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png").unlink(),
            {},
            ["aachen_000001_000019_gtFine_labelIds.png: label without image", "1 of 6"],
        ),
        (
            lambda r: (r / "gtFine").rename(r / "gt"),
            {},
            ["gtFine/train: no such folder", "Cityscapes' layout"],
        ),
        (
            lambda r: [file.unlink() for file in r.rglob("*_labelTrainIds.png")],
            {"labels": "train_ids"},
            ["gtFine/train: holds no */*_gtFine_labelTrainIds.png", "made by cityscapesScripts"],
        ),
    ],
)
def test_setup_names_what_is_missing(tmp_path, damage, options, words):
    write_cityscapes(tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError) as error:
        cityscapes(tmp_path, **options).check_files()
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


def test_classes_and_palette_are_those_of_the_official_table():
    rows = list(csv.DictReader(shared("data/lists/cityscapes_labels.csv").read_text().splitlines()))
    rows = sorted((r for r in rows if 0 <= int(r["trainId"]) < 255), key=lambda r: int(r["trainId"]))
    assert Cityscapes.classes == tuple(row["name"] for row in rows)
    assert Cityscapes.palette == tuple((int(r["r"]), int(r["g"]), int(r["b"])) for r in rows)
    assert [int(row["id"]) for row in rows] == CLASS_IDS
