import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsweep.data.dataset import ids_hash
from segsweep.data.sets.ade20k import Ade20k
from segsweep.errors import DataError
from tests.data.writers_ade20k import write_ade20k
from tests.shared import shared


def ade20k(root: Path, **options) -> Ade20k:
    return Ade20k(root=root, **options)


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def test_labels_are_the_stored_values_less_one_and_other_is_ignored(tmp_path):
    data = ade20k(write_ade20k(tmp_path))
    for name, folder in (("train", "training"), ("val", "validation")):
        split = data.split(name)
        for sample in split:
            stored = read(tmp_path / "annotations" / folder / f"{sample.id}.png").astype(int)
            assert np.unique(stored).tolist() == list(range(151))
            np.testing.assert_array_equal(sample.label, np.where(stored == 0, 255, stored - 1))
    assert data.split("train").ids.tolist() == [f"ADE_train_0000000{i}" for i in range(1, 5)]


@pytest.mark.parametrize("place", ["images/testing", "release_test/testing", "../release_test/testing"])
def test_test_images_are_found_where_people_unpack_them_and_have_no_truth(tmp_path, place):
    root = write_ade20k(tmp_path / "ADEChallengeData2016", train=1, val=1)
    (root / place).parent.mkdir(exist_ok=True)
    (root / "images" / "testing").rename(root / place)
    split = ade20k(root).split("test")
    split.check()
    assert split.ids.tolist() == ["ADE_test_00000001", "ADE_test_00000002"]
    assert not split.has_truth
    assert (split[0].label == 255).all()
    assert split[0].label.shape == split[0].image.shape[:2] == (104, 104)


def test_tests_run_on_val_and_what_is_handed_in_has_the_stored_values():
    assert Ade20k.test_split == "val"
    assert Ade20k.submission.values == {index: index + 1 for index in range(150)}
    assert (Ade20k.submission.archive, Ade20k.submission.member) == ("zip", "{id}.png")


@pytest.mark.parametrize(("split", "count"), [("train", 20210), ("val", 2000)])
def test_official_ids_are_the_numbers_from_one_on(split, count):
    official = Ade20k.official[split]
    assert official.count == count
    assert official.ids == ids_hash([f"ADE_{split}_{number:08d}" for number in range(1, count + 1)])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda r: (r / "annotations" / "training" / "ADE_train_00000002.png").unlink(),
            ["images/training/ADE_train_00000002.jpg: image without label", "1 of 4"],
        ),
        (
            lambda r: (r / "images" / "training" / "ADE_train_00000003.jpg").unlink(),
            ["annotations/training/ADE_train_00000003.png: label without image", "1 of 4"],
        ),
        (
            lambda r: (r / "images" / "validation").rename(r / "images" / "val"),
            ["images/validation: no such folder", "expected ADEChallengeData2016's layout"],
        ),
        (
            lambda r: [file.unlink() for file in (r / "annotations" / "training").iterdir()],
            ["annotations/training: holds no *.png"],
        ),
    ],
)
def test_setup_names_what_is_missing(tmp_path, damage, words):
    write_ade20k(tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError) as error:
        ade20k(tmp_path).check_files()
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


def test_labels_of_another_convention_are_an_error(tmp_path):
    """Class indices with 255 as ignored, as other code writes them; and the full ADE20K's colours."""
    write_ade20k(tmp_path)
    file = tmp_path / "annotations" / "training" / "ADE_train_00000001.png"
    Image.fromarray(read(file) - np.uint8(1)).save(file)
    with pytest.raises(DataError, match=r"ADE_train_00000001.png: label value 255 .*expected 0\.\.150"):
        ade20k(tmp_path).split("train")[0]
    Image.new("RGB", (104, 104)).save(file)
    with pytest.raises(DataError, match=r"ADE_train_00000001.png: label of mode RGB"):
        ade20k(tmp_path).split("train")[0]


def test_classes_and_palette_are_the_benchmarks():
    rows = list(csv.DictReader(shared("data/lists/ade20k_classes.csv").read_text().splitlines()))
    assert [int(row["train_index"]) for row in rows] == list(range(150))
    assert Ade20k.palette == tuple((int(row["r"]), int(row["g"]), int(row["b"])) for row in rows)
    assert len(set(Ade20k.classes)) == 150
    for name, row in zip(Ade20k.classes, rows, strict=True):
        # The table has ; for the spaces in names and between synonyms alike.
        assert (row["name"] + ";").startswith(name.replace(" ", ";") + ";")


def test_real_samples_show_what_the_pictures_show():
    """Seen in the pictures: a house on a lawn under the sky; a street."""
    data = ade20k(shared("data/samples/ade20k/ADEChallengeData2016"))
    data.check_files()
    house = next(sample for sample in data.split("val") if sample.id == "ADE_val_00000001")
    assert house.image.shape == (512, 683, 3)
    for (y, x), name in {(5, 5): "sky", (256, 341): "building", (507, 20): "grass"}.items():
        assert data.classes[house.label[y, x]] == name
    street = next(sample for sample in data.split("train") if sample.id == "ADE_train_00016869")
    assert data.classes[street.label[507, 20]] == "road"
    assert 255 in street.label
