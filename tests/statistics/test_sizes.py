"""Counts by size against a loop over images and classes."""

import numpy as np
import pytest

from segsweep.statistics.figures import class_accuracy, iou
from segsweep.statistics.measured import Measured
from segsweep.statistics.resampling import resampling
from segsweep.statistics.sizes import by_size, size_estimates

SEEDS, IMAGES, SIZES, CLASSES = 2, 15, 3, 4


@pytest.fixture
def counted():
    """Counts on the whole and by size; class 3 has no large object, class 2 none in half of the images."""
    random = np.random.default_rng(0)
    objects = random.integers(0, 40, (SEEDS, IMAGES, SIZES, 2, CLASSES))
    objects[:, :, 2, :, 3] = 0
    objects[:, ::2, :, :, 2] = 0
    counts = random.integers(0, 40, (SEEDS, IMAGES, 6, CLASSES))
    counts[:, :, 0], counts[:, :, 2] = objects[:, :, :, 0].sum(2), objects[:, :, :, 1].sum(2)
    return Measured(("0", "1"), counts), objects


def test_iou_by_size_is_that_of_the_formula(counted):
    measured, objects = counted
    for size, part in enumerate(by_size(measured, objects)):
        for seed in range(SEEDS):
            found = iou(part.counts[seed].sum(0))
            for k in range(CLASSES):
                tp = union = shared = 0
                for n in range(IMAGES):
                    true = objects[seed, n, :, :, k].sum(1)
                    tp += objects[seed, n, size, 0, k]
                    share = measured.counts[seed, n, 1, k] * true[size] / true.sum() if true.sum() else 0
                    union += true[size] + share
                    shared += share
                if size == 2 and k == 3:
                    assert np.isnan(found[k])
                else:
                    # Whole pixels: less than one an image from the exact share.
                    assert found[k] == pytest.approx(tp / union, abs=IMAGES / union)
                    assert abs(part.counts[seed, :, 1, k].sum() - shared) < IMAGES


def test_sizes_add_up_to_the_whole_where_the_class_is_true(counted):
    measured, objects = counted
    total = sum(part.counts for part in by_size(measured, objects))[:, :, :3]
    true = objects.sum((2, 3)) > 0
    assert np.array_equal(total[:, :, 0], measured.counts[:, :, 0])
    assert np.array_equal(total[:, :, 2], measured.counts[:, :, 2])
    assert np.array_equal(total[:, :, 1], np.where(true, measured.counts[:, :, 1], 0))


def test_recall_needs_no_rule(counted):
    measured, objects = counted
    totals = objects.sum(1)
    for size, part in enumerate(by_size(measured, objects)):
        true = totals[:, size].sum(1)
        with np.errstate(invalid="ignore"):
            want = totals[:, size, 0] / true
        assert np.allclose(class_accuracy(part.counts.sum(1)), want, equal_nan=True)


def test_estimates_are_means_over_the_classes_with_objects_of_a_size(counted):
    measured, objects = counted
    estimates = size_estimates(measured, objects, resampling(IMAGES, resamples=100))
    parts = by_size(measured, objects)
    for one, part in zip(estimates, parts, strict=True):
        want = [np.nanmean(iou(counts.sum(0))) for counts in part.counts]
        assert one.by_seed == pytest.approx(want)
        assert one.low < one.value < one.high


def test_counts_that_do_not_add_up_are_refused(counted):
    measured, objects = counted
    with pytest.raises(ValueError, match="add up"):
        by_size(measured, objects + 1)
