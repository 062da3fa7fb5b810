"""A gallery's pictures, against networks built by hand and palettes read pixel by pixel."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from segsweep import builders
from segsweep.data.labels import palette_image
from segsweep.reports.pictures.gallery import AGREEMENT, Shown, agreement, gallery
from segsweep.runs.folder import RunFolder
from tests.support.inside import weights


@pytest.fixture
def shown(heads) -> list[Shown]:
    return [Shown(name, heads[name], "single") for name in ("ksac", "aspp")]


def without_weights(shown: list[Shown], place) -> list[Shown]:
    """The same from copies of the runs whose checkpoints are gone."""
    copies = []
    for one in shown:
        shutil.copytree(one.run.path, place / one.run.id)
        shutil.rmtree(place / one.run.id / "checkpoints")
        copies.append(Shown(one.title, RunFolder(place / one.run.id), one.test))
    return copies


def predicted(run: RunFolder, image: np.ndarray) -> np.ndarray:
    network = builders.build_segmenter(run.config(), load_weights=False)
    network.load_state_dict(weights(run))
    with torch.no_grad():
        scores = network.eval()(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])
    return scores[0].argmax(0).numpy()


def test_every_tile_shows_what_it_says(shown, tmp_path):
    data = builders.build_dataset(shown[0].run.config())
    found = gallery(shown, data.classes, tmp_path, number=6)
    assert found.notes == []
    assert len({line["image"] for line in found.images}) == len(found.images) >= 4
    samples = {sample.id: sample for sample in data.split("test")}
    colours = {**dict(enumerate(data.palette)), 255: (224, 224, 192)}
    for line in found.images:
        sample = samples[line["image"]]
        titles = [tile["title"] for tile in line["tiles"]]
        assert titles[:4] == ["image", "truth", "ksac", "aspp"]
        maps = [sample.label, *(predicted(one.run, sample.image) for one in shown)]
        for tile, label in zip(line["tiles"][1:4], maps, strict=True):
            pixels = np.array(Image.open(tmp_path / tile["src"]).convert("RGB"))
            assert [tuple(p) for p in pixels.reshape(-1, 3)] == [colours[int(k)] for k in label.flat]
        where = np.array(Image.open(tmp_path / line["tiles"][4]["src"]).convert("RGB")).reshape(-1, 3)
        names = titles[4].removeprefix("right: both grey, only ").split(" blue, only ")
        order = [titles.index(name.split(" orange")[0]) - 1 for name in names]
        for pixel, truth, first, second in zip(where, *(maps[i].flat for i in (0, *order)), strict=True):
            right = (first == truth, second == truth)
            expected = [(True, True), (True, False), (False, True), (False, False)].index(right)
            assert tuple(pixel) == ((255,) * 3 if truth == 255 else AGREEMENT[expected])


def test_without_checkpoints_kept_pictures_are_shown(shown, tmp_path):
    runs = without_weights(shown, tmp_path)
    found = gallery(runs, list("abcdef"), tmp_path / "out", number=9)
    kept = {path.name for path in (runs[0].run.path / "pictures").iterdir()}
    assert {line["image"].replace("/", "_") for line in found.images} == kept
    assert len(kept) == 4
    (note,) = found.notes
    assert note.startswith("The gallery chooses from the 4 of 6 images that runs kept: ")
    assert "last.ckpt" in note


def test_what_cannot_be_shown_is_noted(shown, tmp_path):
    runs = without_weights(shown, tmp_path)
    (runs[1].run.tests / "single" / "counts.npz").write_bytes(b"x")
    folder = next((runs[0].run.path / "pictures").iterdir())
    (folder / "truth.png").write_bytes(b"x")
    found = gallery(runs, list("abcdef"), tmp_path / "out", number=6)
    assert len(found.images) == 3
    assert [len(line["tiles"]) for line in found.images] == [4] * 3
    assert found.images[0]["tiles"][3]["title"] == "right: grey, wrong: black"
    assert any("aspp" in note and "counts.npz: damaged" in note for note in found.notes)
    assert any("truth.png: damaged" in note for note in found.notes)
    assert gallery(shown, list("abcdef"), tmp_path / "none", number=0).images == []
    assert not (tmp_path / "none").exists()


def test_large_images_are_made_smaller_and_classes_never_mixed(tmp_path):
    from segsweep.reports.pictures.gallery import _save

    label = np.random.default_rng(0).integers(0, 2, (300, 1280), np.uint8) * 5
    _save(palette_image(label, [(0, 0, 0)] * 6), tmp_path / "x.png")
    small = np.array(Image.open(tmp_path / "x.png"))
    assert small.shape == (150, 640)
    assert set(np.unique(small)) == {0, 5}


def test_agreement():
    truth = np.array([[0, 0, 1, 1, 255]], np.uint8)
    first = np.array([[0, 0, 0, 2, 0]], np.uint8)
    second = np.array([[0, 1, 1, 0, 0]], np.uint8)
    assert agreement(truth, first, second).tolist() == [[0, 1, 2, 3, 255]]
