import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsweep.data.dataset import ids_hash
from segsweep.data.sample import IGNORE_INDEX
from segsweep.data.sets.voc2012 import Voc2012
from segsweep.errors import ConfigError, DataError
from tests.data.writers_voc import write_voc
from tests.shared import shared

LISTS = "ImageSets/Segmentation"


def voc(root: Path, **options) -> Voc2012:
    return Voc2012(root=root, **options)


def test_classes_and_colours_are_the_official_ones():
    with (shared("data/lists/voc") / "classes.csv").open() as table:
        rows = list(csv.DictReader(table))[:-1]
    assert [row["name"] for row in rows] == list(Voc2012.classes)
    assert [tuple(int(row[c]) for c in "rgb") for row in rows] == list(Voc2012.palette)


@pytest.mark.parametrize("split", ["train", "val", "trainval", "test"])
def test_official_lists_have_the_official_counts_and_ids(tmp_path, split):
    shutil.copytree(shared("data/lists/voc"), tmp_path / LISTS)
    ids = voc(tmp_path).split(split).ids
    assert (len(ids), ids_hash(ids)) == (
        Voc2012.official[split].count,
        Voc2012.official[split].ids,
    )
    listed = (shared("data/lists/voc") / f"{split}.txt").read_text().split()
    assert sorted(ids.tolist()) == sorted(listed)
    assert len(ids) == {"train": 1464, "val": 1449, "trainval": 2913, "test": 1456}[split]


@pytest.mark.parametrize(
    ("split", "sample", "pixels"),
    [
        ("train", "2011_000003", {(127, 152): 0, (186, 379): 5, (211, 452): 15, (292, 279): 255}),
        ("val", "2007_000129", {(297, 120): 0, (373, 128): 2, (147, 120): 15, (239, 165): 255}),
    ],
)
def test_real_labels_have_the_values_seen_in_the_files(split, sample, pixels):
    read = voc(shared("data/samples/voc2012/VOCdevkit")).split(split)
    found = read[read.ids.tolist().index(sample)]
    assert found.image.shape == (*found.label.shape, 3)
    assert {place: int(found.label[place]) for place in pixels} == pixels


def test_root_may_be_the_folder_itself_one_above_or_a_link(tmp_path):
    devkit = write_voc(tmp_path / "VOCdevkit")
    (tmp_path / "link").symlink_to(devkit)
    ids = voc(devkit).split("train").ids.tolist()
    for root in (devkit / "VOC2012", tmp_path, tmp_path / "link"):
        assert voc(root).split("train").ids.tolist() == ids
    file = devkit / "VOC2012" / "JPEGImages" / f"{ids[0]}.jpg"
    file.rename(tmp_path / "elsewhere.jpg")
    file.symlink_to(tmp_path / "elsewhere.jpg")
    voc(devkit).check_files()
    assert voc(devkit).split("train")[0].id == ids[0]


def test_lists_with_windows_line_ends_and_blank_lines_are_read(tmp_path):
    devkit = write_voc(tmp_path)
    file = devkit / "VOC2012" / LISTS / "train.txt"
    before = voc(devkit).split_hash("train")
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\r\n")
    assert voc(devkit).split_hash("train") == before


def test_test_images_come_without_truth(tmp_path):
    split = voc(write_voc(tmp_path)).split("test")
    split.check()
    assert not split.has_truth
    assert np.unique(split[0].label).tolist() == [IGNORE_INDEX]
    (tmp_path / "VOC2012" / LISTS / "test.txt").unlink()
    with pytest.raises(DataError, match=r"test\.txt: no such list.*after registration"):
        voc(tmp_path).split("test")


def test_val_is_tested_on_and_never_trained_on_unsaid(tmp_path, caplog):
    devkit = write_voc(tmp_path)
    assert Voc2012.test_split == Voc2012.val_split == "val"
    with pytest.raises(ConfigError, match="split to test on"):
        voc(devkit, train_split="val")
    voc(devkit, train_split="trainval").check_files()
    assert "trainval contains val" in caplog.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: [*lines, lines[0]], ["2007_000000", "twice"]),
        (lambda lines: [*lines, "2011_009999"], ["2011_009999.jpg", "train.txt", "missing"]),
        (lambda lines: [*lines, "2008_000001"], ["share 1 of 2", "2008_000001"]),
    ],
)
def test_a_wrong_list_is_named(tmp_path, change, words):
    devkit = write_voc(tmp_path)
    file = devkit / "VOC2012" / LISTS / "train.txt"
    file.write_text("\n".join(change(file.read_text().split())))
    with pytest.raises(DataError) as error:
        voc(devkit).check_files()
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_folder_tells_layout_and_source(tmp_path):
    with pytest.raises(DataError, match=r"no such folder.*VOC2012/JPEGImages.*host\.robots"):
        voc(tmp_path / "nowhere").split("train")


def test_a_value_above_20_is_an_error(tmp_path):
    devkit = write_voc(tmp_path)
    file = devkit / "VOC2012" / "SegmentationClass" / "2007_000000.png"
    Image.new("L", (48, 36), 21).save(file)
    with pytest.raises(DataError, match=r"2007_000000\.png: label value 21 .* 0\.\.20, 255"):
        voc(devkit).split("train")[0]
