import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsweep.data.sample import IGNORE_INDEX
from segsweep.data.sets.camvid import CamVid
from segsweep.errors import ConfigError, DataError
from tests.data.writers import write_camvid, write_camvid_source


def camvid(root: Path, **options) -> CamVid:
    return CamVid(root=root, **options)


def real() -> Path:
    """The real data set: `$SEGSWEEP_CAMVID`, or the folder `shared` beside the repository."""
    shared = Path(__file__).parents[3] / "shared"
    root = Path(os.environ.get("SEGSWEEP_CAMVID", shared / "data" / "camvid"))
    if not (root / "train.txt").is_file():
        pytest.skip(f"CamVid is not at {root}; set SEGSWEEP_CAMVID to its folder")
    return root


def test_both_layouts_hold_the_same_samples(tmp_path):
    ours, source = camvid(write_camvid(tmp_path / "a")), camvid(write_camvid_source(tmp_path / "b"))
    for split in ("train", "val", "test"):
        assert ours.split(split).ids.tolist() == source.split(split).ids.tolist()
        for a, b in zip(ours.split(split), source.split(split), strict=True):
            np.testing.assert_array_equal(a.label, b.label)
            assert a.image.shape == b.image.shape == (36, 48, 3)
            # JPEG shifts colours a little; equal pictures and not others.
            assert np.abs(a.image.astype(int) - b.image).mean() < 20


@pytest.mark.parametrize("writer", [write_camvid, write_camvid_source])
def test_names_may_have_spaces(tmp_path, writer):
    """In both forms of a list: by stem and by two paths."""
    plain, root = camvid(writer(tmp_path / "plain")), writer(tmp_path / "spaces")
    for file in sorted(root.glob("*/*.*g")):
        file.rename(file.with_name(file.name.replace("_", " of  ")))
    for file in root.glob("*.txt"):
        file.write_text(file.read_text().replace("_", " of  "))
    spaced = camvid(root)
    spaced.check_files()
    assert spaced.split("train").ids.tolist() == [f"train of  000{i}" for i in range(4)]
    for a, b in zip(spaced.split("train"), plain.split("train"), strict=True):
        np.testing.assert_array_equal(a.label, b.label)


def test_lists_may_have_suffixes(tmp_path):
    data = camvid(write_camvid(tmp_path))
    before = data.split("train").ids.tolist()
    (tmp_path / "train.txt").write_text("".join(f"train/{i}.jpg\n" for i in before))
    assert data.split("train").ids.tolist() == before
    (tmp_path / "train.txt").write_text("a.png b.png c.png\n")
    with pytest.raises(DataError, match=r"train\.txt: lines of \[3\] paths"):
        data.split("train")


def test_every_class_and_void_are_read(tmp_path):
    sample = camvid(write_camvid(tmp_path)).split("train")[0]
    assert np.unique(sample.label).tolist() == [*range(11), IGNORE_INDEX]


def test_trainval_is_train_then_val_and_leaves_test_out(tmp_path):
    data = camvid(write_camvid(tmp_path, train=4, val=3), train_split="trainval")
    data.check_files()
    joined = data.split("trainval")
    assert joined.ids.tolist() == data.split("train").ids.tolist() + data.split("val").ids.tolist()
    assert [sample.id for sample in joined] == joined.ids.tolist()
    np.testing.assert_array_equal(joined[5].image, data.split("val")[1].image)


def test_split_hash_follows_ids_and_order(tmp_path):
    data = camvid(write_camvid(tmp_path))
    before = data.split_hash("train")
    assert before == camvid(write_camvid_source(tmp_path / "source")).split_hash("train")
    lines = (tmp_path / "train.txt").read_text().splitlines()
    (tmp_path / "train.txt").write_text("\n".join(reversed(lines)))
    assert data.split_hash("train") != before
    assert len(before) == 16


def overlap(root: Path) -> None:
    (root / "train.txt").write_text((root / "train.txt").read_text() + "val_0001\n")
    for folder, suffix in (("", "jpg"), ("annot", "png")):
        file = root / f"val{folder}" / f"val_0001.{suffix}"
        (root / f"train{folder}" / file.name).write_bytes(file.read_bytes())


def set_label(root: Path, label: Image.Image) -> None:
    label.save(root / "trainannot" / "train_0000.png")


def truncate(root: Path) -> None:
    file = root / "train" / "train_0000.jpg"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda r: (r / "trainannot" / "train_0002.png").unlink(), ["trainannot/train_0002.png", "missing"]),
        (lambda r: (r / "val" / "val_0001.jpg").unlink(), ["val/val_0001.jpg", "missing"]),
        (lambda r: (r / "val.txt").unlink(), ["val.txt", "expected CamVid's layout"]),
        (lambda r: (r / "train.txt").write_text("\n"), ["train.txt", "empty"]),
        (lambda r: (r / "train.txt").write_text("a b c\n"), ["train/a b c.jpg", "train.txt"]),
        (lambda r: (r / "train.txt").write_text("train_0000\ntrain_0000\n"), ["train_0000", "twice"]),
        (lambda r: (r / "train.txt").write_bytes(b"\xff\xfe\x00"), ["train.txt", "text file"]),
        (overlap, ["share 1 of 2", "val_0001"]),
    ],
)
def test_setup_finds_what_is_wrong_with_the_files(tmp_path, damage, words):
    data = camvid(write_camvid(tmp_path))
    data.check_files()
    damage(tmp_path)
    with pytest.raises(DataError) as error:
        data.check_files()
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda r: set_label(r, Image.new("L", (48, 36), 200)), ["train_0000.png", "200", "0..10"]),
        (lambda r: set_label(r, Image.new("L", (48, 36), 11)), ["train_0000.png", "11"]),
        (lambda r: set_label(r, Image.new("L", (47, 36), 0)), ["36x47", "36x48", "train_0000.jpg"]),
        (lambda r: set_label(r, Image.new("RGB", (48, 36))), ["train_0000.png", "RGB", "colours"]),
        (truncate, ["train_0000.jpg", "truncated"]),
        (
            lambda r: (r / "train" / "train_0000.jpg").write_bytes(b"not an image"),
            ["train_0000.jpg: is not an image"],
        ),
        (lambda r: (r / "train" / "train_0000.jpg").unlink(), ["train_0000.jpg", "no such file"]),
    ],
)
def test_reading_finds_what_is_wrong_with_a_sample(tmp_path, damage, words):
    split = camvid(write_camvid(tmp_path)).split("train")
    damage(tmp_path)
    with pytest.raises(DataError) as error:
        split[0]
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_root_and_an_unknown_split_say_what_is_expected(tmp_path):
    with pytest.raises(
        DataError, match=r"nowhere: no such folder.*train\.txt|nowhere: no such folder.*<split>"
    ):
        camvid(tmp_path / "nowhere").split("train")
    with pytest.raises(ConfigError, match="did you mean train"):
        camvid(tmp_path).split("trian")
    with pytest.raises(ConfigError, match=r"train_split=.*trainval"):
        camvid(tmp_path, train_split="trainvall")
    with pytest.raises(ConfigError, match=r"train_split=.*split to test on"):
        camvid(tmp_path, train_split="test")


@pytest.mark.parametrize(
    ("split", "frames"), [("train", 367), ("val", 101), ("test", 233), ("trainval", 468)]
)
def test_real_splits_have_the_official_counts(split, frames):
    data = camvid(real(), train_split="trainval" if split == "trainval" else "train")
    data.check_files()
    assert len(data.split(split)) == frames


def test_real_test_labels_have_the_published_pixel_counts():
    """Against the table that comes with the data, counted once from the source's own label files."""
    root = real()
    split = camvid(root).split("test")
    counts = np.zeros(256, dtype=np.int64)
    for file in split.labels:
        counts += np.bincount(np.array(Image.open(file)).ravel(), minlength=256)
    with (root / "class_stats.csv").open() as table:
        rows = list(csv.DictReader(table))
    expected = {int(row["index"]): int(row["test_pixels"]) for row in rows}
    assert {int(index): int(counts[index]) for index in np.flatnonzero(counts)} == expected
    assert [row["name"] for row in rows] == [*CamVid.classes, "void"]


def test_real_sample_is_rgb_at_full_size_with_sky_on_top():
    sample = camvid(real()).split("train")[0]
    assert sample.id == "0001TP_006690"
    assert sample.image.shape == (360, 480, 3)
    seen = set(np.unique(sample.label).tolist())
    assert seen <= {*range(11), IGNORE_INDEX}
    rows = np.arange(360)[:, None] * np.ones((1, 480))
    assert rows[sample.label == 0].mean() < rows[sample.label == 3].mean(), "sky above road"


def test_the_drives_of_the_real_splits():
    """As the class says: one of the test's two drives is in training too."""
    data = camvid(real())
    drives = {name: Counter(map(data.group_of, map(str, data.split(name).ids))) for name in data.splits}
    assert drives == {
        "train": {"0001TP": 62, "0006R0": 101, "0016E5": 204},
        "val": {"0016E5": 101},
        "test": {"0001TP": 62, "Seq05VD": 171},
    }
