"""What makes data the same, and what makes them others."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from segsweep.builders import build
from segsweep.data import prepare
from segsweep.data.dataset import SegmentationDataset, fingerprint
from segsweep.data.sets.camvid import CamVid
from segsweep.data.sets.cityscapes import Cityscapes
from segsweep.data.sets.coco_voc import CocoVoc
from segsweep.data.sets.sbd import Sbd
from segsweep.data.sets.shapes import Shapes
from segsweep.errors import ConfigError, DataError
from tests.data.preparing import quiet
from tests.data.writers import write_camvid
from tests.data.writers_coco import write_coco
from tests.data.writers_voc import write_release, write_voc


def camvid(root: Path, **options) -> SegmentationDataset:
    return CamVid(root=root, **options)


@pytest.fixture
def root(tmp_path) -> Path:
    return write_camvid(tmp_path / "camvid", train=30)


def test_the_same_data_elsewhere_are_the_same(root, tmp_path):
    before = fingerprint(camvid(root))
    copy = shutil.copytree(root, tmp_path / "copy")
    assert fingerprint(camvid(copy)) == before
    (copy / "notes.txt").write_text("of no split")
    assert fingerprint(camvid(copy, cache=tmp_path / "cache")) == before


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("change", ["image", "label", "list", "order"])
def test_corrected_data_are_others(root, split, change):
    before = fingerprint(camvid(root))
    lines = (root / f"{split}.txt").read_text().splitlines()
    file = (
        root / f"{split}annot" / f"{lines[1]}.png" if change == "label" else root / split / f"{lines[1]}.jpg"
    )
    if change in ("image", "label"):
        with Image.open(file) as picture:
            picture.point(lambda value: value // 2).rotate(90).save(file)
    else:
        (root / f"{split}.txt").write_text("\n".join(lines[1:] if change == "list" else lines[::-1]))
    assert fingerprint(camvid(root)) != before


def test_a_change_that_keeps_every_size_is_seen_in_the_sampled_files(root):
    before = fingerprint(camvid(root))
    first = root / "train" / f"{(root / 'train.txt').read_text().split()[0]}.jpg"
    content = bytearray(first.read_bytes())
    content[-3] ^= 1
    first.write_bytes(content)
    assert fingerprint(camvid(root)) != before


def test_images_that_are_only_tested_on_make_no_other_run(root):
    before = fingerprint(camvid(root))
    for file in (root / "test").iterdir():
        file.unlink()
    assert fingerprint(camvid(root)) == before


def test_what_is_trained_on_counts(root):
    assert fingerprint(camvid(root)) != fingerprint(camvid(root, train_split="trainval"))


def test_a_missing_file_is_named_as_everywhere(root):
    file = next((root / "trainannot").iterdir())
    file.unlink()
    with pytest.raises(DataError, match=f"{file.name}: label listed in .*train.txt is missing"):
        fingerprint(camvid(root))
    with pytest.raises(DataError, match="no such folder"):
        fingerprint(camvid(root / "nowhere"))


def test_preparing_labels_leaves_the_data_what_they_are(tmp_path):
    """SBD's PNGs stand for the release's .mat files; COCO's label maps for its annotations."""
    devkit = write_voc(tmp_path / "other")
    release = write_release(tmp_path / "benchmark_RELEASE", devkit)
    shutil.rmtree(devkit / "VOC2012" / "SegmentationClassAug")
    shutil.copytree(devkit, tmp_path / "VOCdevkit")
    data = Sbd(root=release)
    before = fingerprint(data)
    prepare.run(data.preparations(), 0, quiet)
    assert data.split("train").labels[-1].endswith(".png")
    assert fingerprint(data) == before
    coco = CocoVoc(root=write_coco(tmp_path / "coco"))
    prepare.run(coco.preparations(), 0, quiet)
    made = fingerprint(coco)
    for label in map(Path, coco.split("train").labels):
        with Image.open(label) as picture:
            picture.save(label, compress_level=0)
    assert fingerprint(coco) == made


def test_drawn_data_have_no_files():
    split = Shapes(size=32).split("train")
    assert split.sources() == []


@pytest.mark.parametrize(
    ("dataset", "id", "group"),
    [
        (CamVid, "0001TP_006690", "0001TP"),
        (CamVid, "Seq05VD_f00000", "Seq05VD"),
        (CamVid, "frame", None),
        (Cityscapes, "frankfurt_000000_000294", "frankfurt"),
        (Cityscapes, "bad-honnef_000000_000000", "bad-honnef"),
        (CocoVoc, "000000000009", None),
        (Sbd, "2008_000002", None),
        (Shapes, "s0_test_00001", None),
    ],
)
def test_groups_follow_from_ids(dataset, id, group):
    assert dataset.group_of(id) == group
    assert bool(dataset.group_unit) is (dataset in (CamVid, Cityscapes))


class Unread(SegmentationDataset):
    """One whose author forgot how it is read."""

    classes, palette = ("background", "object"), ((0, 0, 0), (1, 1, 1))


def test_a_dataset_that_cannot_be_read_is_refused_when_it_is_built():
    with pytest.raises(ConfigError, match=r"^dataset: .*abstract.* read_split"):
        build({"dataset": {"_target_": f"{__name__}.Unread"}}, "dataset")
