import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsweep.data import prepare
from segsweep.data.dataset import ids_hash
from segsweep.data.sets.sbd import Sbd
from segsweep.errors import DataError
from tests.data.writers_voc import save_mat, write_release, write_voc
from tests.shared import shared

LISTS = "VOC2012/ImageSets/Segmentation"
OWN = ["2007_000000", "2007_000001", "2007_000002"]
EXTRA = ["2009_000000", "2009_000001", "2009_000002"]


def sbd(root: Path, **options) -> Sbd:
    return Sbd(root=root, **options)


def make(data: Sbd) -> None:
    prepare.run(data.preparations(), 0, lambda done, total: None)


@pytest.fixture
def release(tmp_path) -> Path:
    """The original release, beside a VOCdevkit without SegmentationClassAug."""
    write_release(tmp_path / "benchmark_RELEASE", write_voc(tmp_path / "full"))
    write_voc(tmp_path / "VOCdevkit", aug=False)
    return tmp_path / "benchmark_RELEASE"


def test_official_lists_give_10582_images_apart_from_val(tmp_path):
    lists = shared("data/lists/voc")
    (tmp_path / LISTS).mkdir(parents=True)
    for name in ("train", "val", "trainaug"):
        shutil.copy(lists / f"{name}.txt", tmp_path / LISTS)
    data = sbd(tmp_path)
    for name, count in (("trainaug", 10582), ("train", 9118), ("val", 1449)):
        ids = data.split(name).ids
        assert len(ids) == Sbd.official[name].count == count
        assert ids_hash(ids) == Sbd.official[name].ids
    assert data.split("trainaug").ids.tolist() == sorted((lists / "trainaug.txt").read_text().split())
    assert not set(data.split("train").ids) & set((lists / "train.txt").read_text().split())


def test_without_a_list_trainaug_is_every_label_that_is_not_in_val(tmp_path):
    """A thirtieth of the official ids: the rule is the same, and files take time to make."""
    lists = shared("data/lists/voc")
    (tmp_path / LISTS).mkdir(parents=True)
    for name in ("train", "val"):
        shutil.copy(lists / f"{name}.txt", tmp_path / LISTS)
    aug = tmp_path / "VOC2012" / "SegmentationClassAug"
    aug.mkdir()
    trainaug, val = ((lists / f"{name}.txt").read_text().split()[::30] for name in ("trainaug", "val"))
    for stem in trainaug + val:
        (aug / f"{stem}.png").touch()
    assert sbd(tmp_path).split("trainaug").ids.tolist() == trainaug


def test_official_release_lists_give_10582_images(tmp_path):
    """The release's own lists are rebuilt: every SBD image, with VOC's val among them."""
    lists = shared("data/lists/voc")
    trainaug, val = ((lists / f"{name}.txt").read_text().split() for name in ("trainaug", "val"))
    (tmp_path / "VOCdevkit" / LISTS).mkdir(parents=True)
    for name in ("train", "val"):
        shutil.copy(lists / f"{name}.txt", tmp_path / "VOCdevkit" / LISTS)
    dataset = tmp_path / "benchmark_RELEASE" / "dataset"
    dataset.mkdir(parents=True)
    (dataset / "train.txt").write_text("\n".join(trainaug[100:8000] + val[:500]))
    (dataset / "val.txt").write_text("\n".join(trainaug[8000:] + val[500:1200]))
    ids = sbd(tmp_path / "benchmark_RELEASE").split("trainaug").ids
    own = set((lists / "train.txt").read_text().split())
    missing = set(trainaug[:100]) - own
    assert set(ids) == set(trainaug) - missing


def test_real_labels_of_sbd_have_the_values_seen_in_the_file():
    data = sbd(shared("data/samples/voc2012/VOCdevkit"))
    assert [len(data.split(name)) for name in ("train", "trainaug", "val")] == [9, 16, 7]
    split = data.split("train")
    label = split[split.ids.tolist().index("2011_000233")].label
    assert (label[228, 170], label[352, 141]) == (0, 14)
    assert np.unique(label).tolist() == [0, 14]
    data.check_files()


def test_real_labels_on_vocs_own_images_are_the_same_in_both_folders():
    """Which of the two is read for VOC's train makes no difference with the real files."""
    root = shared("data/samples/voc2012/VOCdevkit")
    split = sbd(root).split("trainaug")
    own = (root / LISTS / "train.txt").read_text().split()
    for sample in own:
        png = Image.open(root / "VOC2012" / "SegmentationClass" / f"{sample}.png")
        np.testing.assert_array_equal(split[split.ids.tolist().index(sample)].label, np.array(png))


@pytest.mark.parametrize("name", [None, "trainaug", "train_aug"])
def test_trainaug_follows_the_list_where_there_is_one(tmp_path, name):
    devkit = write_voc(tmp_path)
    if name:
        (devkit / LISTS / f"{name}.txt").write_text("2009_000001\n2007_000001\n")
    expected = ["2007_000001", "2009_000001"] if name else OWN + EXTRA
    assert sbd(devkit).split("trainaug").ids.tolist() == expected
    assert sbd(devkit).split("train").ids.tolist() == [i for i in expected if i in EXTRA]


def test_lists_may_name_paths_as_deeplabs_do(tmp_path):
    devkit = write_voc(tmp_path)
    expected = sbd(devkit).split("trainaug").ids.tolist()
    lines = [f"/JPEGImages/{i}.jpg /SegmentationClassAug/{i}.png\n" for i in expected]
    (devkit / LISTS / "train_aug.txt").write_text("".join(lines))
    val = (devkit / LISTS / "val.txt").read_text().split()
    (devkit / LISTS / "val.txt").write_text("".join(f"JPEGImages/{i}.jpg\n" for i in val))
    data = sbd(devkit)
    data.check_files()
    assert (data.split("trainaug").ids.tolist(), data.split("val").ids.tolist()) == (expected, val)
    assert data.split("trainaug")[0].label.shape == data.split("trainaug")[0].image.shape[:2]


def test_a_list_with_an_image_of_val_is_refused(tmp_path):
    devkit = write_voc(tmp_path)
    (devkit / LISTS / "trainaug.txt").write_text("2009_000001\n2008_000001\n")
    with pytest.raises(DataError, match=r"share 1 of 2 ids \(2008_000001\)"):
        sbd(devkit).check_files()


def test_without_a_list_one_can_be_prepared(tmp_path):
    devkit = write_voc(tmp_path / "VOCdevkit")
    data = sbd(devkit, prepared=tmp_path / "made")
    before = data.split_hash("trainaug")
    make(data)
    assert (tmp_path / "made" / "sbd" / "trainaug.txt").read_text().split() == OWN + EXTRA
    assert data.split_hash("trainaug") == before
    assert data.preparations() == []


@pytest.mark.parametrize("prepared", [False, True])
def test_both_forms_hold_the_same_samples(tmp_path, release, prepared):
    aug, original = sbd(tmp_path / "full"), sbd(release)
    if prepared:
        make(original)
    original.check_files()
    assert original.split("trainaug").labels[-1].endswith(".png" if prepared else ".mat")
    for name in ("train", "trainaug", "val"):
        for a, b in zip(aug.split(name), original.split(name), strict=True):
            assert a.id == b.id
            np.testing.assert_array_equal(a.label, b.label)
            np.testing.assert_array_equal(a.image, b.image)


def test_the_release_is_found_beside_vocdevkit_or_by_voc_root(tmp_path, release):
    expected = sbd(release).split_hash("trainaug")
    assert sbd(tmp_path / "VOCdevkit").split_hash("trainaug") == expected
    (tmp_path / "VOCdevkit").rename(tmp_path / "voc")
    assert sbd(release, voc_root=tmp_path / "voc").split_hash("trainaug") == expected


def test_what_is_downloaded_after_the_data_set_was_built_is_found(tmp_path):
    data = sbd(tmp_path / "VOCdevkit")
    write_release(tmp_path / "benchmark_RELEASE", write_voc(tmp_path / "full"))
    write_voc(tmp_path / "VOCdevkit", aug=False)
    make(data)
    assert data.split("trainaug").labels[0].endswith("sbd/SegmentationClassAug/2007_000000.png")


def test_a_root_relative_to_the_working_folder_finds_the_release_too(tmp_path, release, monkeypatch):
    for folder, root in (("VOCdevkit", "."), ("VOCdevkit/VOC2012", "."), ("VOCdevkit", "VOC2012")):
        monkeypatch.chdir(tmp_path / folder)
        assert len(sbd(Path(root)).split("trainaug")) == 6


def test_a_list_beside_prepared_labels_leaves_them(tmp_path, release):
    make(sbd(release, prepared=tmp_path / "made"))
    devkit = write_voc(tmp_path / "aug" / "VOCdevkit", extra=1)
    (tmp_path / "made" / "sbd" / "trainaug.txt").unlink()
    make(sbd(devkit, prepared=tmp_path / "made"))
    assert len(list((tmp_path / "made" / "sbd" / "SegmentationClassAug").iterdir())) == 6


def test_prepared_labels_keep_their_values_and_are_not_used_for_other_lists(tmp_path, release):
    data = sbd(release)
    (preparation,) = data.preparations()
    assert (preparation.files, preparation.done) == (6, 0)
    make(data)
    folder = release / "segsweep" / "sbd"
    assert (folder / "trainaug.txt").read_text().split() == OWN + EXTRA
    own = np.array(Image.open(tmp_path / "VOCdevkit" / "VOC2012" / "SegmentationClass" / f"{OWN[1]}.png"))
    made = Image.open(folder / "SegmentationClassAug" / f"{OWN[1]}.png")
    assert made.mode == "P"
    np.testing.assert_array_equal(np.array(made), own)
    lines = (release / "dataset" / "val.txt").read_text().split()
    (release / "dataset" / "val.txt").write_text("\n".join(i for i in lines if i != EXTRA[1]))
    assert data.split("train").labels[0].endswith(".mat")
    assert not data.preparations()[0].complete


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: f.write_bytes(f.read_bytes()[:200]), "is not a label file of SBD"),
        (lambda f: f.write_bytes(b""), "is not a label file of SBD"),
        (lambda f: f.write_bytes(b"<html>" * 50), "is not a label file of SBD"),
        (
            lambda f: save_mat(f, np.full((36, 48), 21, np.uint8)),
            r"values up to 21; expected a map of 0\.\.20",
        ),
        (lambda f: save_mat(f, np.zeros((35, 48), np.uint8)), "35x48 pixels"),
        (lambda f: f.unlink(), "no such file"),
    ],
)
def test_a_damaged_mat_file_is_named(release, damage, words):
    damage(release / "dataset" / "cls" / f"{EXTRA[0]}.mat")
    with pytest.raises(DataError, match=rf"2009_000000\.mat.*{words}") as error:
        sbd(release).split("train")[0]
    assert "\n" not in str(error.value)


def test_a_folder_with_neither_form_is_told_where_to_get_them(tmp_path):
    with pytest.raises(DataError, match=r"SegmentationClassAug: no such folder.*benchmark_RELEASE"):
        sbd(write_voc(tmp_path / "VOCdevkit", aug=False)).split("trainaug")
