"""Counts and figures against torchmetrics, against numpy pixel by pixel, and against their definitions."""

import json

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex

from segsweep.errors import ConfigError, DataError
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.histogram import (
    boundary_band,
    boundary_width,
    image_counts,
    joint_histogram,
    marginals,
    truth_of,
)
from segsweep.statistics.figures import iou
from tests.runs.earlier import VERSION_2

CLASSES = [1, 2, 11, 21, 150]
SIZES = [(7, 5), (33, 47), (64, 64), (1, 1), (20, 90)]


def maps(classes, seed=0, ignored=0.2, absent=()):
    """Random label maps of several odd sizes, half right, with void and absent classes."""
    rng = np.random.default_rng(seed)
    present = np.setdiff1d(np.arange(classes), absent)
    for i, size in enumerate(SIZES):
        label = rng.choice(present, size).astype(np.uint8)
        prediction = np.where(rng.random(size) < 0.5, label, rng.choice(present, size)).astype(np.uint8)
        label[rng.random(size) < ignored] = 255
        yield f"image{i}", prediction, label


def counted(items, classes) -> Counts:
    counts = Counts(classes)
    for id, prediction, label in items:
        counts.update(id, prediction, label)
    return counts


def by_hand(items, classes):
    """[K, K], one pixel at a time."""
    matrix = np.zeros((classes, classes), np.int64)
    for _, prediction, label in items:
        for p, t in zip(prediction.flat, label.flat, strict=True):
            if t != 255:
                matrix[t, p] += 1
    return matrix


@pytest.mark.parametrize("classes", CLASSES)
def test_confusion_is_a_plain_count(classes):
    items = list(maps(classes, absent=range(2, classes, 7)))
    counts = counted(items, classes)
    matrix = by_hand(items, classes)
    assert np.array_equal(counts.confusion, matrix)
    for i, (_, prediction, label) in enumerate(items):
        tp = [np.sum((prediction == c) & (label == c)) for c in range(classes)]
        fp = [np.sum((prediction == c) & (label != c) & (label != 255)) for c in range(classes)]
        fn = [np.sum((prediction != c) & (label == c)) for c in range(classes)]
        assert np.array_equal(counts.region[:, i], [tp, fp, fn])


@pytest.mark.parametrize("classes", [c for c in CLASSES if c > 1])
def test_agrees_with_torchmetrics_to_the_last_bit(classes):
    items = list(maps(classes, seed=1, absent=range(3, classes, 5)))
    counts = counted(items, classes)
    options = {"num_classes": classes, "ignore_index": 255}
    confusion = MulticlassConfusionMatrix(**options)
    jaccard = MulticlassJaccardIndex(**options, average="none", zero_division=float("nan"))
    for _, prediction, label in items:
        pair = torch.tensor(prediction).long().flatten(), torch.tensor(label).long().flatten()
        confusion.update(*pair)
        jaccard.update(*pair)
    assert np.array_equal(counts.confusion, confusion.compute().numpy())
    ours = iou(marginals(counts.confusion))
    theirs = jaccard.compute().numpy()
    # torchmetrics divides in float32: ours, rounded to it, must be the same number.
    assert np.array_equal(ours.astype(np.float32), theirs, equal_nan=True)


@pytest.mark.parametrize("group", [1, 2, 5])
def test_totals_do_not_depend_on_how_images_come(group):
    """In groups of 1, 2, 5 images counted apart and merged, and in another order: the same totals."""
    items = list(maps(11))
    whole = counted(items, 11)
    parts = [counted(items[i : i + group][::-1], 11) for i in range(0, len(items), group)]
    merged = Counts.merge(parts[::-1], whole.ids)
    assert np.array_equal(merged.confusion, whole.confusion)
    assert np.array_equal(merged.region, whole.region)
    assert np.array_equal(merged.boundary, whole.boundary)
    assert np.array_equal(merged.objects, whole.objects)
    assert merged.summary([str(i) for i in range(11)]) == whole.summary([str(i) for i in range(11)])


def test_merging_refuses_an_image_counted_twice():
    one = counted(maps(3), 3)
    with pytest.raises(ValueError, match="exactly once"):
        Counts.merge([one, one], one.ids)


def test_the_rules_for_absent_classes():
    """Class 2 absent from both: left out. Class 3 predicted but never true: 0, and it counts."""
    counts = Counts(4)
    counts.update("a", np.array([[0, 0, 1, 3]]), np.array([[0, 0, 1, 1]], np.uint8))
    summary = counts.summary("wxyz")
    assert summary["per_class"]["y"]["iou"] is None
    assert summary["absent"] == ["y"]
    assert summary["per_class"]["z"]["iou"] == 0
    assert summary["miou"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert summary["pixel_accuracy"] == 0.75
    assert summary["fwiou"] == pytest.approx(0.5 * 1 + 0.5 * 0.5)


def test_a_set_of_nothing_but_void_has_no_figures():
    counts = Counts(3)
    counts.update("a", np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8))
    summary = counts.summary("abc")
    assert [summary[k] for k in ("miou", "pixel_accuracy", "fwiou", "boundary_iou")] == [None] * 4
    json.dumps(summary, allow_nan=False)


def test_the_mean_is_over_the_set_not_over_images():
    counts = Counts(2)
    counts.update("a", np.zeros((1, 9), np.uint8), np.array([[0] * 9], np.uint8))
    counts.update("b", np.array([[0]]), np.array([[1]], np.uint8))
    # Per image: (1, absent) and (0, 0), of mean 0.5; over the set: class 0 has 9 of 10, class 1 none.
    assert counts.summary("ab")["miou"] == pytest.approx((9 / 10 + 0) / 2)


def scene(rng, classes, size):
    label = rng.integers(0, classes, size).astype(np.uint8)
    label = label.repeat(6, 0).repeat(6, 1)
    label[rng.random(label.shape) < 0.01] = 255
    return label


@pytest.mark.parametrize("seed", range(4))
def test_boundary_bands_are_mask_minus_erosion(seed):
    """Cheng et al. define a band class by class; ours are made for all classes at once."""
    rng = np.random.default_rng(seed)
    label = scene(rng, 4, (rng.integers(2, 9), rng.integers(2, 9)))
    width = int(rng.integers(1, 5))
    got = boundary_band(label, width)
    want = np.zeros(label.shape, bool)
    for value in np.unique(label):
        mask = label == value
        inner = binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=0)
        want |= mask & ~inner
    # Void's own band is never used: beyond the image lies void.
    assert np.array_equal(got[label != 255], want[label != 255])


def test_boundary_iou_class_by_class():
    rng = np.random.default_rng(5)
    label, prediction = scene(rng, 3, (9, 7)), scene(rng, 3, (9, 7))
    prediction[prediction == 255] = 0
    tp, fp, fn = image_counts(joint_histogram(prediction, truth_of(label, 3), 3))[0][3:]
    width = boundary_width(*label.shape)
    prediction = np.where(label == 255, 255, prediction)
    for c in range(3):
        bands = []
        for mask in (label == c, prediction == c):
            bands.append(mask & ~binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=0))
        truth, found = bands
        assert (tp[c], fp[c], fn[c]) == (
            (truth & found).sum(),
            (found & ~truth).sum(),
            (truth & ~found).sum(),
        )


def test_boundary_width_is_two_percent_of_the_diagonal():
    assert boundary_width(360, 480) == 12
    assert boundary_width(1024, 2048) == 46
    assert boundary_width(8, 8) == 1


def test_a_perfect_prediction_scores_one_everywhere():
    rng = np.random.default_rng(0)
    label = scene(rng, 3, (8, 8))
    counts = Counts(3)
    counts.update("a", np.where(label == 255, 1, label), label)
    summary = counts.summary("abc")
    assert [summary[k] for k in ("miou", "pixel_accuracy", "fwiou", "boundary_iou")] == [1.0] * 4


def test_saved_and_loaded(tmp_path):
    counts = counted(maps(5), 5)
    counts.save(tmp_path, list("abcde"))
    again = Counts.load(tmp_path)
    assert again.ids == counts.ids
    assert again.sizes == [(width, height) for height, width in SIZES]
    for name in ("confusion", "region", "boundary", "objects"):
        assert np.array_equal(getattr(again, name), getattr(counts, name))
    assert again.groups is None


def test_groups_are_kept(tmp_path):
    counts = counted(maps(5), 5)
    counts.group("drive", lambda id: None if id == "image3" else f"drive {int(id[-1]) % 2}")
    counts.save(tmp_path, list("abcde"))
    groups = Counts.load(tmp_path).groups
    assert groups == ("drive", ("drive 0", "drive 1", "drive 0", "image3", "drive 0"))
    counts.group("", lambda id: None)
    assert counts.groups is None


def test_counts_of_earlier_versions_have_neither_groups_nor_objects():
    counts = Counts.load(VERSION_2 / "tests" / "single")
    assert counts.rows.any()
    assert counts.groups is None
    assert counts.objects is None
    with_objects = counted(maps(counts.num_classes), counts.num_classes)
    assert Counts.merge([counts, with_objects]).objects is None, "not of all images"


def test_counts_by_other_bounds_are_not_taken_for_ours(tmp_path):
    counted(maps(5), 5).save(tmp_path, list("abcde"))
    with np.load(tmp_path / "counts.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "counts.npz", **{**arrays, "object_bounds": np.array([0.1, 0.5])})
    assert Counts.load(tmp_path).objects is None


@pytest.mark.parametrize("value", [3, 100, 254])
def test_a_label_that_is_no_class_is_named_with_its_image(value):
    with pytest.raises(DataError, match=f"street_7: label {value}"):
        Counts(3).update("street_7", np.zeros((2, 2), np.uint8), np.full((2, 2), value, np.uint8))


def test_an_image_is_counted_once():
    counts = counted(maps(3), 3)
    with pytest.raises(DataError, match="counted twice"):
        counts.update("image0", np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))


def test_every_class_needs_a_name_of_its_own():
    with pytest.raises(ConfigError, match="3 classes"):
        Counts(3).summary(["a", "b", "b"])
