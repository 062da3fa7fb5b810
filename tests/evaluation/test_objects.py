"""Sizes of objects against scipy's components class by class, and counts by size against a count by hand."""

import numpy as np
import pytest
from scipy.ndimage import label as components

from segsweep.data.sample import IGNORE_INDEX
from segsweep.evaluation.counts import Counts
from segsweep.evaluation.objects import connected_components, sized_runs


def scene(seed, shape, classes=4, blocks=12):
    """Rectangles of all sizes upon one another, with single pixels of noise and void between them."""
    rng = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    for _ in range(blocks):
        (top, bottom), (left, right) = (np.sort(rng.integers(0, side + 1, 2)) for side in shape)
        label[top:bottom, left:right] = rng.integers(classes)
    noise = rng.random(shape)
    label[noise < 0.03] = rng.integers(0, classes, np.count_nonzero(noise < 0.03))
    label[noise > 0.97] = IGNORE_INDEX
    return label


def object_sizes(label):
    """The size of each pixel's object, as counts take it: run by run."""
    runs = sized_runs(label)
    assert (np.diff(runs.starts, append=label.size) == runs.lengths).all()
    return np.repeat(runs.sizes, runs.lengths).reshape(label.shape)


def by_scipy(label):
    """The size of each pixel's object, class by class; bounds are those of 640x480 images, scaled."""
    sizes = np.full(label.shape, -1)
    for value in np.unique(label):
        objects, found = components(label == value, structure=np.ones((3, 3)))
        for index in range(1, found + 1):
            pixels = objects == index
            area = pixels.sum() * 640 * 480 / label.size
            sizes[pixels] = 0 if area < 32**2 - 1e-6 else 1 if area < 96**2 - 1e-6 else 2
    return sizes


@pytest.mark.parametrize("shape", [(48, 64), (33, 57), (1, 300), (300, 1), (1, 1), (20, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_sizes_are_those_of_connected_components(shape, seed):
    label = scene(seed, shape)
    assert np.array_equal(object_sizes(label), by_scipy(label))


def test_noise_of_two_classes_is_held_together_by_corners():
    label = np.random.default_rng(0).integers(0, 2, (30, 40), dtype=np.uint8)
    assert np.array_equal(object_sizes(label), by_scipy(label))


@pytest.mark.parametrize("turns", range(4))
def test_a_comb_and_a_spiral_are_one_object_each(turns):
    """Shapes whose runs come together late: below many prongs, and from the outside to the middle."""
    comb, spiral = np.zeros((40, 61), np.uint8), np.zeros((61, 61), np.uint8)
    comb[:30, ::2], comb[30:] = 1, 1
    row, column, down, right = 0, -1, 0, 1
    for length in (61, *(side for side in range(60, 0, -2) for _ in range(2))):
        for _ in range(length):
            row, column = row + down, column + right
            spiral[row, column] = 1
        down, right = right, -down
    for label in (comb, spiral):
        turned = np.ascontiguousarray(np.rot90(label, turns))
        assert np.array_equal(object_sizes(turned), by_scipy(turned))
        assert len(np.unique(object_sizes(turned)[turned == 1])) == 1


def test_many_prongs_need_no_deep_recursion():
    """Edges in the least favourable order: the last one hooks to the highest of all neighbours."""
    low, high = np.arange(5000), np.full(5000, 5000)
    assert not connected_components(5001, low, high).any()


def test_bounds_are_cocos_on_cocos_usual_image():
    label = np.zeros((480, 640), np.uint8)
    label[:32, :32], label[100:131, 100:131], label[:96, 200:296] = 1, 1, 1
    sizes = object_sizes(label)
    assert (sizes[0, 0], sizes[100, 100], sizes[0, 200], sizes[-1, -1]) == (1, 0, 2, 2)


def test_sizes_do_not_depend_on_the_resolution():
    label = scene(3, (60, 80))
    assert np.array_equal(
        object_sizes(label.repeat(3, 0).repeat(3, 1)), object_sizes(label).repeat(3, 0).repeat(3, 1)
    )


@pytest.mark.parametrize("seed", range(3))
def test_counts_by_size(seed):
    label, prediction = scene(seed, (48, 64)), scene(seed + 100, (48, 64))
    prediction[prediction == IGNORE_INDEX] = 0
    prediction = np.where(scene(seed + 200, (48, 64)) < 3, label % 4, prediction)
    counts = Counts(4)
    counts.update("a", prediction, label)
    sizes = by_scipy(label)
    for size in range(3):
        for k in range(4):
            true = (label == k) & (sizes == size)
            tp, fn = counts.objects[0, size, :, k]
            assert (tp, fn) == ((true & (prediction == k)).sum(), (true & (prediction != k)).sum())
    region = counts.region[:, 0]
    assert np.array_equal(counts.objects[0].sum(0), region[[0, 2]]), "sizes add up to the image"
