"""What is submitted scores what we said: read back as each benchmark reads it, by code of its own."""

import tarfile
import zipfile
from dataclasses import replace
from fnmatch import fnmatch
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from segsweep.data.sample import Sample
from segsweep.data.sets.ade20k import Ade20k
from segsweep.data.sets.cityscapes import Cityscapes
from segsweep.data.sets.voc2012 import Voc2012
from segsweep.errors import DataError
from segsweep.evaluation.evaluate import evaluate
from segsweep.evaluation.predictions import PredictionWriter
from segsweep.evaluation.strategies import Strategy
from segsweep.evaluation.submission import check, pack

IDS = {
    Voc2012: ["2008_000006", "2007_000033", "2011_003276"],
    Cityscapes: ["berlin_000000_000019"],
    Ade20k: ["ADE_val_00000002", "ADE_val_00000001"],
}
# cityscapesscripts/helpers/labels.py: the ids of its 19 evaluated classes, in the order of their trainIds
LABEL_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]


class Noisy(torch.nn.Module):
    """Reads a class off the red channel, which is the truth but for some pixels."""

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes

    def logits(self, image):
        return torch.nn.functional.one_hot(image[:, 0].long(), self.num_classes).movedim(-1, 1).float()


def samples(benchmark):
    """Images of the benchmark's size or of various ones; some classes are never true, some not predicted."""
    rng, classes = np.random.default_rng(0), len(benchmark.classes)
    made = []
    for number, id in enumerate(IDS[benchmark]):
        height, width = benchmark.submission.size or (60 + 7 * number, 90 - 5 * number)
        blocks = rng.integers(0, classes - 2, (height // 8 + 1, width // 8 + 1))
        label = np.kron(blocks, np.ones((8, 8), int))[:height, :width]
        wrong = rng.random(label.shape) < 0.2
        image = np.where(wrong, rng.integers(1, classes, label.shape), label)
        label[rng.random(label.shape) < 0.05] = 255
        made.append(Sample(np.stack([image] * 3, -1).astype(np.uint8), label.astype(np.uint8), id))
    return made


def written(benchmark, folder, made=None):
    """The evaluator's figures and the archive of one and the same pass."""
    made = made or samples(benchmark)
    form, palette = benchmark.submission, benchmark.palette
    with PredictionWriter(folder, "single", "single", IDS[benchmark], form, palette) as writer:
        network = Noisy(len(benchmark.classes))
        counts = evaluate(lambda stride: network, made, [Strategy()], len(benchmark.classes), on_image=writer)
        return counts["single"].summary(benchmark.classes), writer.finish()


def voc_colours():
    """The colour map of VOC's development kit (VOClabelcolormap.m): the bits of an index, spread out."""
    colours = np.zeros((256, 3), np.uint8)
    for index in range(256):
        for bit in range(8):
            for channel in range(3):
                colours[index, channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return colours


def read_voc(path):
    """By colours, which is what a viewer of the PNGs sees, into class indices."""
    index_of = {tuple(colour): index for index, colour in enumerate(voc_colours().tolist()[:21])}
    read = {}
    with tarfile.open(path) as tar:
        for member in tar.getmembers():
            assert member.isfile()
            folder, _, name = member.name.rpartition("/")
            assert folder == "results/VOC2012/Segmentation/comp6_test_cls"
            image = Image.open(tar.extractfile(member))
            assert image.mode == "P"
            rgb = np.array(image.convert("RGB"))
            by_colour = [index_of[tuple(c)] for c in rgb.reshape(-1, 3).tolist()]
            read[name.removesuffix(".png")] = np.array(by_colour).reshape(rgb.shape[:2])
    return read


def read_cityscapes(path):
    """By labelIds; files are found by city, sequence and frame as the benchmark's script finds them."""
    train_id = np.full(256, -1)
    train_id[LABEL_IDS] = np.arange(19)
    read = {}
    with zipfile.ZipFile(path) as zipped:
        for id in IDS[Cityscapes]:
            (name,) = [n for n in zipped.namelist() if fnmatch(n, f"{id}*.png")]
            image = Image.open(BytesIO(zipped.read(name)))
            assert (image.mode, image.size) == ("L", (2048, 1024))
            read[id] = train_id[np.array(image)]
        assert len(zipped.namelist()) == len(read)
    return read


def read_ade20k(path):
    """Values 1..150, as in the annotations; 0 is for what is not counted."""
    with zipfile.ZipFile(path) as zipped:
        images = {name: Image.open(BytesIO(zipped.read(name))) for name in zipped.namelist()}
    assert {image.mode for image in images.values()} == {"L"}
    return {name.removesuffix(".png"): np.array(image).astype(int) - 1 for name, image in images.items()}


READERS = {Voc2012: read_voc, Cityscapes: read_cityscapes, Ade20k: read_ade20k}
BENCHMARKS = pytest.mark.parametrize("benchmark", list(READERS), ids=lambda benchmark: benchmark.__name__)


@BENCHMARKS
def test_a_submission_scores_what_the_evaluator_says(benchmark, tmp_path):
    made = samples(benchmark)
    figures, path = written(benchmark, tmp_path, made)
    read, classes = READERS[benchmark](path), len(benchmark.classes)
    assert sorted(read) == sorted(IDS[benchmark])
    confusion = np.zeros((classes, classes), int)
    for sample in made:
        counted = sample.label != 255
        assert read[sample.id].shape == sample.label.shape
        assert read[sample.id].min() >= 0
        pairs = sample.label[counted].astype(int) * classes + read[sample.id][counted]
        confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    ious = {}
    for k, name in enumerate(benchmark.classes):
        union = int(confusion[k].sum() + confusion[:, k].sum() - confusion[k, k])
        ious[name] = int(confusion[k, k]) / union if union else None
    assert {name: row["iou"] for name, row in figures["per_class"].items()} == ious
    present = [iou for iou in ious.values() if iou is not None]
    assert figures["miou"] == np.mean(present)
    assert 0.2 < figures["miou"] < 0.9


@BENCHMARKS
def test_equal_predictions_are_equal_files(benchmark, tmp_path):
    """Whenever, wherever and in whichever order they were made."""
    if benchmark.submission.size:
        pytest.skip("large images; the archive is made as the others are")
    made = samples(benchmark)
    _, first = written(benchmark, tmp_path / "a", made)
    _, second = written(benchmark, tmp_path / "b", made[::-1])
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [first.name]


def test_an_image_of_another_size_than_the_benchmarks_is_refused(tmp_path):
    small = Sample(np.zeros((512, 1024, 3), np.uint8), np.zeros((512, 1024), np.uint8), IDS[Cityscapes][0])
    with pytest.raises(DataError, match=r"image of 512x1024 pixels .*, but the benchmark has 1024x2048"):
        written(Cityscapes, tmp_path, [small])
    assert list(tmp_path.iterdir()) == []


FORM = replace(Ade20k.submission, values={0: 1, 1: 2})
PALETTED = replace(Voc2012.submission, values={0: 0, 1: 1}, member="{id}.png")
RED = ((0, 0, 0), (255, 0, 0))


def archive(tmp_path, form, images):
    """An archive of other making, to be found wrong."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name, image in images.items():
        image.save(folder / name)
    pack(folder, tmp_path / "archive", form.archive)
    return tmp_path / "archive"


def grey(value=1, size=(6, 4), mode="L"):
    return Image.new(mode, size, value)


def paletted(colours=RED, value=1):
    image = Image.new("P", (6, 4), value)
    image.putpalette([*np.ravel(colours), *[0] * (3 * (255 - len(colours))), 224, 224, 192])
    return image


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"a.png": grey()}, r"1 of 2 predictions are missing: b\.png"),
        ({"a.png": grey(), "b.png": grey(), "c.png": grey()}, r"c\.png .* no prediction of the split"),
        (
            {"a.png": grey(), "b.png": grey(size=(4, 6))},
            r"b\.png: \(6, 4\) \[H, W\] for an image of \(4, 6\)",
        ),
        ({"a.png": grey(0), "b.png": grey()}, r"a\.png: value 0; expected 1\.\.2"),
        ({"a.png": grey(7), "b.png": grey()}, r"a\.png: value 7; expected 1\.\.2"),
        ({"a.png": paletted(), "b.png": grey()}, r"a\.png: depth and colour type \(8, 3\).* 8-bit grey"),
        ({"a.png": grey((1, 1, 1), mode="RGB"), "b.png": grey()}, r"a\.png: depth and colour type \(8, 2\)"),
        ({"a.png": grey(mode="I;16"), "b.png": grey()}, r"a\.png: depth and colour type \(16, 0\)"),
        ({"a.png": grey(True, mode="1"), "b.png": grey()}, r"a\.png: depth and colour type \(1, 0\)"),
    ],
)
def test_what_a_benchmark_would_refuse_is_refused(tmp_path, images, message):
    path = archive(tmp_path, FORM, images)
    with pytest.raises(DataError, match=message):
        check(path, FORM, {"a": (4, 6), "b": (4, 6)}, None)


def test_palettes_count(tmp_path):
    path = archive(tmp_path, PALETTED, {"a.png": paletted(), "b.png": paletted()})
    check(path, PALETTED, {"a": (4, 6), "b": (4, 6)}, RED)
    with pytest.raises(DataError, match=r"a\.png: another palette than the dataset's"):
        check(path, PALETTED, {"a": (4, 6), "b": (4, 6)}, ((0, 0, 0), (0, 255, 0)))


def test_few_colours_are_no_reason_for_fewer_bits(tmp_path):
    """Pillow packs a palette of two colours into single bits, unless it is told of all 256."""
    image = Image.new("P", (6, 4), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    path = archive(tmp_path, PALETTED, {"a.png": image})
    with pytest.raises(DataError, match=r"depth and colour type \(1, 3\) in its header"):
        check(path, PALETTED, {"a": (4, 6)}, RED)


@pytest.mark.parametrize(("form", "palette"), [(FORM, None), (PALETTED, RED)])
def test_a_damaged_archive_is_named(tmp_path, form, palette):
    picture = grey() if palette is None else paletted()
    path = archive(tmp_path, form, {"a.png": picture})
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(DataError, match=r"archive: cannot be read as a (zip|tar)"):
        check(path, form, {"a": (4, 6)}, palette)
