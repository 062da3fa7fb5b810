"""The cache of decoded samples: the same to the bit, whole or not there, built anew when sources change."""

import os
import pickle
import shutil
import signal
import threading
from multiprocessing import get_context

import numpy as np
import pytest
from PIL import Image

from segsweep.data import cache as module
from segsweep.data.cache import CachedSplit, cached
from segsweep.data.label_stats import classes_held
from segsweep.data.labels import plain
from segsweep.data.sets.camvid import CamVid
from segsweep.data.sets.shapes import Shapes
from segsweep.data.split import FileSplit, JoinedSplit
from segsweep.errors import ConfigError, DataError, UserError
from tests.data.writers import write_camvid

SIZES = [(20, 31), (36, 48), (1, 5), (64, 64), (36, 48)]


@pytest.fixture
def split(tmp_path):
    """Samples of five sizes."""
    rng = np.random.default_rng(0)
    images, labels = [], []
    for n, size in enumerate(SIZES):
        images.append(tmp_path / f"{n}.png")
        labels.append(tmp_path / f"{n}_label.png")
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(images[-1])
        Image.fromarray(rng.integers(0, 11, size, dtype=np.uint8)).save(labels[-1])
    return FileSplit("train", [f"s{n}" for n in range(5)], images, labels, plain(11), tmp_path / "train.txt")


def same(a, b) -> bool:
    equal = all(
        np.array_equal(getattr(x, f), getattr(y, f)) for x, y in pairs(a, b) for f in ("image", "label")
    )
    return equal and [a[i].id for i in range(len(a))] == [b[i].id for i in range(len(b))]


def pairs(a, b):
    return [(a[i], b[i]) for i in range(len(a))]


def folders(place):
    return sorted(path.name for path in place.iterdir() if path.is_dir())


def test_samples_of_any_size_are_those_of_the_files(split, tmp_path, caplog):
    caplog.set_level("INFO")
    place = tmp_path / "cache"
    first = cached(split, place, workers=0)
    assert isinstance(first, CachedSplit)
    assert same(split, first)
    assert first[1].image.dtype == first[1].label.dtype == np.uint8
    pixels = sum(h * w for h, w in SIZES)
    assert (place / folders(place)[0] / "samples.bin").stat().st_size == 4 * pixels
    assert "decoding 5 samples once" in caplog.text
    assert "GB, about" in caplog.text
    caplog.clear()
    assert same(split, cached(split, place, workers=0))
    assert not caplog.text, "found, and not built again"


def test_processes_build_what_one_builds(split, tmp_path, monkeypatch):
    monkeypatch.setattr("segsweep.data.cache.WORTH_PROCESSES", 0)
    cached(split, tmp_path / "one", workers=0)
    cached(split, tmp_path / "two", workers=2)
    one, two = (next((tmp_path / name).glob("*/samples.bin")).read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_copy_in_another_process_maps_the_file_itself(split, tmp_path):
    kept = cached(split, tmp_path / "cache", workers=0)
    kept[0]
    sent = pickle.dumps(kept)
    assert len(sent) < 4000 < (kept.folder / "samples.bin").stat().st_size
    assert same(split, pickle.loads(sent))
    with pytest.raises(ValueError, match="read-only"):
        kept[0].image[:] = 0


def test_changed_sources_are_decoded_anew_and_the_old_are_gone(split, tmp_path, caplog):
    caplog.set_level("INFO")
    place = tmp_path / "cache"
    cached(split, place, workers=0)
    old = folders(place)
    Image.fromarray(np.full((36, 48), 7, np.uint8)).save(str(split.labels[1]))
    again = cached(split, place, workers=0)
    assert (again[1].label == 7).all()
    assert "sources changed since it was kept" in caplog.text
    assert len(folders(place)) == 1
    assert folders(place) != old
    # Other values for the same files are another cache too.
    split.label_format = plain(11, void=7)
    assert (cached(split, place, workers=0)[1].label == 255).all()


def test_a_killed_build_leaves_nothing_that_is_taken_for_whole(split, tmp_path, monkeypatch):
    place = tmp_path / "cache"
    write, written = module._write, []

    def die(*arguments):
        written.append(write(*arguments))
        if len(written) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(module, "_write", die)
    process = get_context("fork").Process(target=cached, args=(split, place, 0))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [name.endswith(".half") for name in folders(place)] == [True]
    monkeypatch.undo()
    assert same(split, cached(split, place, workers=0))
    assert [name.endswith(".half") for name in folders(place)] == [False]


def test_two_that_build_at_once_end_with_one(split, tmp_path, caplog):
    caplog.set_level("INFO")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(cached(split, tmp_path / "cache", 0))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert caplog.text.count("decoding 5 samples") == 1
    assert all(same(split, each) for each in found)


def test_a_damaged_source_is_named_and_nothing_stays(split, tmp_path):
    file = tmp_path / "4.png"
    file.write_bytes(file.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"4\.png"):
        cached(split, tmp_path / "cache", workers=0)
    assert folders(tmp_path / "cache") == []
    file.unlink()
    with pytest.raises(DataError, match=r"4\.png: No such file"):
        cached(split, tmp_path / "cache", workers=0)


def test_too_little_room_is_said_before_anything_is_written(split, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(ConfigError, match=r"dataset\.cache: train needs .* GB under .* are free"):
        cached(split, tmp_path / "cache", workers=0)
    assert folders(tmp_path / "cache") == []


def test_a_folder_that_cannot_be_made_is_named(split, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*dataset\.cache"):
        cached(split, tmp_path / "file" / "cache", workers=0)


def test_joined_splits_are_kept_part_by_part_and_drawn_ones_not_at_all(tmp_path):
    data = CamVid(root=write_camvid(tmp_path / "camvid"))
    joined = data.split("trainval")
    kept = cached(joined, tmp_path / "cache", workers=0)
    assert isinstance(kept, JoinedSplit)
    assert same(joined, kept)
    assert [name.split("-")[0] for name in folders(tmp_path / "cache")] == ["train", "val"]
    with pytest.raises(ConfigError, match=r"dataset\.cache=.*: split 'train' is not read from files"):
        cached(Shapes(size=16).split("train"), tmp_path, workers=0)


def test_images_without_labels_are_kept_as_ignored(split, tmp_path):
    images = [str(file) for file in split.images]
    bare = FileSplit("test", split.ids.tolist(), images, None, plain(11), tmp_path / "test.txt")
    kept = cached(bare, tmp_path / "cache", workers=0)
    assert not kept.has_truth
    assert same(bare, kept)


def test_classes_are_read_once_and_again_when_labels_change(split, tmp_path, caplog):
    caplog.set_level("INFO")
    place = tmp_path / "kept"
    expected = np.array([[c in np.unique(split[i].label) for c in range(11)] for i in range(5)])
    for _ in range(2):
        np.testing.assert_array_equal(classes_held(split, 11, place, workers=0), expected)
    assert caplog.text.count("reading the labels of 5 samples") == 1
    Image.fromarray(np.full((36, 48), 255, np.uint8)).save(str(split.labels[1]))
    expected[1] = False
    np.testing.assert_array_equal(classes_held(split, 11, place, workers=0), expected)
    shapes = Shapes(size=16, train_images=3).split("train")
    drawn = np.array([[c in np.unique(shapes[i].label) for c in range(6)] for i in range(3)])
    np.testing.assert_array_equal(classes_held(shapes, 6, place, workers=0), drawn)


def test_classes_are_read_where_nothing_can_be_kept(split, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    held = classes_held(split, 11, tmp_path / "file" / "kept", workers=0)
    assert held[3].all(), "64x64 pixels of 11 classes"
    assert "cannot be written" in caplog.text
