"""Predictions as PNG files: whole under their name or not there, whatever happens on the way."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from segsweep.data.dataset import Submission
from segsweep.data.sample import Sample
from segsweep.errors import ConfigError, DataError, UserError
from segsweep.evaluation.predictions import PredictionWriter, prediction_form
from tests.support.disks import small_disk

PALETTE = ((0, 0, 0), (230, 159, 0), (86, 180, 233))
PNGS = prediction_form("png", None, 3)
ZIP = Submission("zip", "{id}.png", {0: 10, 1: 11, 2: 12})
TAR = Submission("tar", "results/{id}.png", {0: 0, 1: 1, 2: 2}, palette=True)
FORMS = pytest.mark.parametrize("form", [PNGS, ZIP, TAR], ids=["png", "zip", "tar"])
SIZE = (40, 50)


def writer(folder, form, ids=("a", "b")):
    return PredictionWriter(folder, "flip-test", "flip", ids, form, PALETTE)


def give(into, ids, size=SIZE, classes=3):
    """Hand a writer random predictions, which are returned by id."""
    rng, made = np.random.default_rng(0), {}
    for id in ids:
        made[id] = rng.integers(0, classes, size, dtype=np.uint8)
        image = np.zeros((*SIZE, 3), np.uint8)
        into(Sample(image, image[..., 0], id), {"single": 0 * made[id], "flip": made[id]})
    return made


def test_a_folder_of_palette_pngs(tmp_path):
    """Under the images' ids, which may have folders in them."""
    ids = ("berlin/0001", "munich/0001")
    with writer(tmp_path / "predictions", PNGS, ids) as pngs:
        made = give(pngs, ids)
        assert not pngs.target.exists()
        target = pngs.finish()
    assert target == tmp_path / "predictions" / "flip-test"
    assert sorted(p.relative_to(target).as_posix() for p in target.rglob("*.png")) == [
        f"{i}.png" for i in ids
    ]
    for id in ids:
        with Image.open(target / f"{id}.png") as image:
            assert image.mode == "P"
            assert np.array_equal(np.array(image), made[id])
            assert np.array_equal(np.array(image.convert("RGB")), np.array(PALETTE, np.uint8)[made[id]])
    assert [path.name for path in target.parent.iterdir()] == ["flip-test"]


@FORMS
def test_a_missing_prediction_leaves_nothing(tmp_path, form):
    with writer(tmp_path, form) as unfinished:
        give(unfinished, ["a"])
        with pytest.raises(DataError, match="1 of 2 predictions are missing"):
            unfinished.finish()
    assert list(tmp_path.iterdir()) == []


@FORMS
def test_a_prediction_of_another_size_is_refused(tmp_path, form):
    with writer(tmp_path, form) as unfinished:
        give(unfinished, ["a", "b"], size=SIZE[::-1])
        with pytest.raises(DataError, match=r"\(50, 40\) \[H, W\] for an image of \(40, 50\)"):
            unfinished.finish()
    assert list(tmp_path.iterdir()) == []


@FORMS
def test_a_class_without_a_value_is_refused(tmp_path, form):
    with pytest.raises(DataError, match="a: class 3 has no value"), writer(tmp_path, form) as unfinished:
        give(unfinished, ["a", "b"], classes=4)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.evaluation.test_predictions import PNGS, TAR, ZIP, give, writer
with writer(Path(sys.argv[1]), dict(png=PNGS, zip=ZIP, tar=TAR)[sys.argv[2]]) as killed:
    give(killed, ["a", "b"])
    if sys.argv[3] == "packing":
        import segsweep.evaluation.predictions as module
        module.check = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        killed.finish()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("form", "kind", "when"), [(PNGS, "png", "packing"), (ZIP, "zip", "writing"), (TAR, "tar", "packing")]
)
def test_a_killed_process_leaves_no_half_result(tmp_path, form, kind, when):
    command = [sys.executable, "-c", KILLED, str(tmp_path), kind, when]
    assert subprocess.run(command, timeout=60).returncode == -9
    names = [path.name for path in tmp_path.iterdir()]
    assert names
    assert all(name.startswith(".") for name in names)
    with writer(tmp_path, form) as again:
        give(again, ["a", "b"])
        target = again.finish()
    assert list(tmp_path.iterdir()) == [target], "what the killed process left is cleared away"


IMAGES = [f"image{n}" for n in range(20)]


def fill(into):
    """Random predictions, which take half as many bytes as they have pixels."""
    for id in IMAGES:
        prediction = np.random.default_rng(0).integers(0, 3, (160, 200), dtype=np.uint8)
        image = np.zeros((160, 200, 3), np.uint8)
        into(Sample(image, image[..., 0], id), {"flip": prediction})
    into.finish()


@pytest.mark.parametrize("form", [PNGS, ZIP, TAR], ids=["png", "zip", "tar"])
@pytest.mark.parametrize("room", ["96k", "300k"])
def test_a_full_disk_is_named_and_leaves_no_archive(tmp_path, form, room):
    """PNGs of 240 kB: the disk is full while they are written, or when they are packed beside."""
    with small_disk(tmp_path / "disk", room) as disk:
        with writer(disk, form, IMAGES) as full:
            if form is PNGS and room == "300k":
                fill(full)
            else:
                with pytest.raises(UserError, match=r"flip-test.*could not be written \(No space left"):
                    fill(full)
        left = ["flip-test"] if form is PNGS and room == "300k" else []
        assert [path.name for path in disk.iterdir()] == left


@pytest.mark.parametrize(
    ("kind", "submission", "message"),
    [
        ("pngs", ZIP, "predictions=pngs: expected null, png or submission"),
        ("submission", None, "predictions=submission: the dataset has no benchmark"),
    ],
)
def test_forms_that_there_are_not(kind, submission, message):
    with pytest.raises(ConfigError, match=message):
        prediction_form(kind, submission, 3)
