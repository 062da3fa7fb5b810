import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from segsweep.data import prepare
from segsweep.data.sets.coco_draw import VOC_OF_COCO
from segsweep.data.sets.coco_voc import CocoVoc
from segsweep.data.sets.voc2012 import CLASSES
from segsweep.errors import ConfigError, DataError
from tests.data.writers_coco import SIDE, crowd, square, write_coco, write_split
from tests.shared import shared

CAT, DOG, PERSON, TRUCK = 17, 18, 1, 8
VOC_CAT, VOC_DOG, VOC_PERSON = (CLASSES.index(name) for name in ("cat", "dog", "person"))


def coco(root: Path, **options) -> CocoVoc:
    return CocoVoc(root=root, **options)


def prepared(root: Path, **options) -> CocoVoc:
    data = coco(root, **options)
    prepare.run(data.preparations(), 0, lambda done, total: None)
    return data


def drawn(root: Path, *regions) -> np.ndarray:
    """The label of one image with these regions."""
    write_split(root, "train", [list(regions)])
    write_split(root, "val", [[square(CAT, 0, 0, 40)]])
    return prepared(root).split("train")[0].label


def test_the_table_of_classes_is_the_usual_one():
    content = json.loads((shared("data/lists") / "coco_voc_classes.json").read_text())
    rows = {row["coco_id"]: (row["voc_index"], row["coco_name"]) for row in content["classes"][1:]}
    assert rows == VOC_OF_COCO
    assert [row["voc_name"] for row in content["classes"]] == list(CLASSES)


@pytest.mark.parametrize("split", ["train", "val"])
def test_real_label_maps_equal_those_drawn_with_cocos_own_api(tmp_path, split, capsys):
    root = shared("data/samples/coco")
    data = prepared(root, prepared=tmp_path)
    api = COCO(str(root / "annotations" / f"instances_{split}2017.json"))
    voc = dict(zip(json.loads((shared("data/lists") / "coco_voc_classes.json").read_text())["coco_cat_ids"],
                   range(21), strict=True))  # fmt: skip
    expected = {}
    for image in api.loadImgs(api.getImgIds()):
        rows = api.loadAnns(api.getAnnIds(imgIds=image["id"], catIds=[k for k in voc if k]))
        if not any(row["area"] > 1000 and not row["iscrowd"] for row in rows):
            continue
        label = np.zeros((image["height"], image["width"]), dtype=int)
        # From the top down: what is drawn already is not drawn over.
        free = np.ones(label.shape, dtype=bool)
        for row in sorted((r for r in rows if not r["iscrowd"]), key=lambda row: row["area"]):
            mask = api.annToMask(row).astype(bool)
            label[mask & free] = voc[row["category_id"]]
            free &= ~mask
        for row in (r for r in rows if r["iscrowd"]):
            label[api.annToMask(row).astype(bool) & free] = 255
        expected[f"{image['id']:012d}"] = label
    read = data.split(split)
    assert sorted(expected) == read.ids.tolist()
    for sample in read:
        np.testing.assert_array_equal(sample.label, expected[sample.id])
    assert any((label == 255).any() for label in expected.values())
    data.check_files()


@pytest.mark.parametrize(
    ("region", "taken"),
    [
        (square(CAT, 0, 0, 40, area=1000), False),
        (square(CAT, 0, 0, 40, area=1001), True),
        (square(CAT, 0, 0, 40, area=1000.5), True),
        (square(TRUCK, 0, 0, 40), False),
        (crowd(CAT, 0, 0, 40), False),
    ],
)
def test_an_image_is_taken_for_one_object_above_1000_pixels(tmp_path, region, taken):
    write_split(tmp_path, "train", [[region], [square(DOG, 0, 0, 40)]])
    write_split(tmp_path, "val", [[square(CAT, 0, 0, 40)]])
    ids = prepared(tmp_path).split("train").ids.tolist()
    assert ids == (["000000000001"] if taken else []) + ["000000000002"]


def test_small_objects_lie_on_large_ones_whatever_their_order(tmp_path):
    for folder, regions in (("a", (0, 1)), ("b", (1, 0))):
        pair = [square(CAT, 0, 0, 40), square(DOG, 10, 10, 8)]
        label = drawn(tmp_path / folder, *(pair[i] for i in regions))
        assert (label[12, 12], label[2, 2], label[50, 50]) == (VOC_DOG, VOC_CAT, 0)


def test_other_classes_are_background_and_hide_nothing(tmp_path):
    label = drawn(tmp_path, square(CAT, 0, 0, 40), square(TRUCK, 10, 10, 8), square(TRUCK, 50, 50, 10))
    assert np.unique(label).tolist() == [0, VOC_CAT]
    assert (label[12, 12], label[55, 55]) == (VOC_CAT, 0)


def test_crowds_are_ignored_and_objects_lie_on_them(tmp_path):
    label = drawn(tmp_path, square(PERSON, 0, 0, 40), crowd(PERSON, 30, 30, 20), crowd(TRUCK, 55, 55, 9))
    assert (label[35, 35], label[45, 45], label[60, 60]) == (VOC_PERSON, 255, 0)
    assert int((label == 255).sum()) == 20 * 20 - 10 * 10


def test_polygons_of_two_points_enclose_nothing(tmp_path):
    """pycocotools draws four numbers as a box, and fails where other polygons stand beside them."""
    line = {**square(DOG, 0, 0, 30), "segmentation": [[5.0, 5.0, 30.0, 30.0]]}
    mixed = {
        **square(CAT, 0, 0, 40),
        "segmentation": [[50.0, 50.0, 60.0, 60.0], *square(CAT, 0, 0, 40)["segmentation"]],
    }
    label = drawn(tmp_path, mixed, line, {**line, "segmentation": []})
    assert np.unique(label).tolist() == [0, VOC_CAT]
    assert int((label == VOC_CAT).sum()) == 40 * 40


@pytest.mark.parametrize(
    "segmentation",
    [
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "x",
        {"size": [SIDE, SIDE + 1], "counts": [SIDE * (SIDE + 1)]},
        {"size": [SIDE, SIDE], "counts": [5, 7]},
    ],
)
def test_regions_that_are_none_of_their_image_are_named(tmp_path, segmentation):
    wrong = {**square(CAT, 0, 0, 40), "segmentation": segmentation}
    with pytest.raises(DataError, match=r"instances_train2017\.json: annotation 2 of image 000000000001 is"):
        drawn(tmp_path, square(DOG, 0, 0, 40), wrong)


def test_objects_below_the_area_are_labelled_in_an_image_that_is_taken(tmp_path):
    assert drawn(tmp_path, square(CAT, 0, 0, 40), square(DOG, 50, 50, 5))[52, 52] == VOC_DOG


def test_the_release_of_2014_has_its_own_names(tmp_path):
    data = prepared(write_coco(tmp_path, year=2014), year=2014)
    data.check_files()
    split = data.split("train")
    assert split.ids.tolist() == ["COCO_train2014_000000000001", "COCO_train2014_000000000002"]
    assert split[0].image.shape == (SIDE, SIDE, 3)
    with pytest.raises(ConfigError, match=r"^year=2015: expected 2014 or 2017"):
        coco(tmp_path, year=2015)


def test_unprepared_data_gives_the_command(tmp_path):
    root = write_coco(tmp_path / "my coco")
    with pytest.raises(DataError) as error:
        coco(root).check_files()
    assert str(error.value).endswith(f"run: segsweep data prepare dataset=coco_voc dataset.root='{root}'")
    write_coco(root, year=2014)
    with pytest.raises(DataError, match=rf"dataset\.year=2014 dataset\.prepared={tmp_path}$"):
        coco(root, year=2014, prepared=tmp_path).split("val")


def test_maps_of_other_annotations_are_told_and_made_anew(tmp_path):
    data = prepared(write_coco(tmp_path, train=4))
    assert all(each.complete for each in data.preparations())
    write_coco(tmp_path, train=3, seed=0)
    with pytest.raises(DataError, match="made from other annotations"):
        data.split("train")
    assert [each.complete for each in data.preparations()] == [False, False]
    fresh = write_coco(tmp_path / "fresh", train=3, seed=0)
    prepared(tmp_path), prepared(fresh)
    assert _content(tmp_path / "segsweep") == _content(fresh / "segsweep")


def _content(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_annotations_of_the_same_length_are_told_apart_by_prepare(tmp_path):
    data = prepared(write_coco(tmp_path))
    file = tmp_path / "annotations" / "instances_train2017.json"
    file.write_text(file.read_text().replace("truck", "truce"))
    assert [each.complete for each in data.preparations()] == [False, True]


def test_label_maps_may_lie_elsewhere_and_nothing_is_written_beside_the_data(tmp_path):
    root = write_coco(tmp_path / "coco")
    before = sorted(root.rglob("*"))
    data = prepared(root, prepared=tmp_path / "made")
    assert sorted(root.rglob("*")) == before
    with Image.open(tmp_path / "made" / "coco_voc2017" / "train" / "000000000001.png") as label:
        assert label.mode == "P"
    data.check_files()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not a COCO instances file"),
        ('{"images": []}', "is not a COCO instances file"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 5, "name": "cat"}]}',
            "category 5 is 'cat'",
        ),
    ],
)
def test_wrong_annotations_are_named(tmp_path, content, words):
    root = write_coco(tmp_path)
    (root / "annotations" / "instances_train2017.json").write_text(content)
    with pytest.raises(DataError, match=rf"instances_train2017\.json: {words}"):
        coco(root).preparations()


def test_missing_annotations_tell_the_layout(tmp_path):
    with pytest.raises(DataError, match=r"instances_train2017\.json: no such file; expected COCO's layout"):
        coco(tmp_path).preparations()
