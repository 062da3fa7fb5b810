"""Components of variance against a naive analysis of variance, and what crossed intervals must include."""

import numpy as np
import pytest

from segsweep.statistics.figures import ratio
from segsweep.statistics.intervals import interval
from segsweep.statistics.measured import Measured
from segsweep.statistics.replicates import replicates
from segsweep.statistics.resampling import resampling
from segsweep.statistics.variance import components, crossed_interval


def recall(totals):
    """A figure that is a mean over images: all have the same number of true pixels."""
    return ratio(totals[..., 0, 0], totals[..., 0, 0] + totals[..., 2, 0])


def crossed(seeds, images, of_seed, of_image, of_both, rng):
    mean = 5000 + of_seed * rng.standard_normal((seeds, 1)) + of_image * rng.standard_normal((1, images))
    right = (mean + of_both * rng.standard_normal((seeds, images))).astype(np.int64)
    counts = np.zeros((seeds, images, 6, 1), np.int64)
    counts[:, :, 0, 0], counts[:, :, 2, 0] = right, 10000 - right
    return right / 10000, Measured(tuple(map(str, range(seeds))), counts)


def test_components_are_those_of_an_analysis_of_variance():
    cells, one = crossed(4, 30, 60, 300, 100, np.random.default_rng(0))
    ours = components(replicates(one, resampling(30, resamples=10), recall))
    total = cells.mean()
    of_seeds = 30 * sum((row.mean() - total) ** 2 for row in cells) / 3
    of_images = 4 * sum((column.mean() - total) ** 2 for column in cells.T) / 29
    rest = sum(
        (cells[s, i] - cells[s].mean() - cells[:, i].mean() + total) ** 2 for s in range(4) for i in range(30)
    ) / (3 * 29)
    assert ours.both == pytest.approx(rest / 120)
    assert ours.seeds == pytest.approx((of_seeds - rest) / 120)
    assert ours.images == pytest.approx((of_images - rest) / 120)
    assert 3 <= ours.freedom <= 29 + 87 + 3


def test_components_find_what_was_put_in():
    rng = np.random.default_rng(1)
    drawn = resampling(60, resamples=2)
    found = [components(replicates(crossed(6, 60, 80, 300, 150, rng)[1], drawn, recall)) for _ in range(300)]
    assert np.mean([one.seeds for one in found]) == pytest.approx(0.008**2 / 6, rel=0.2)
    assert np.mean([one.images for one in found]) == pytest.approx(0.03**2 / 60, rel=0.1)
    assert np.mean([one.both for one in found]) == pytest.approx(0.015**2 / 360, rel=0.1)


def test_seeds_widen_the_interval_if_they_differ():
    drawn = resampling(100)
    for of_seed, least, most in ((0, 0.9, 1.3), (200, 1.5, 10)):
        one = replicates(crossed(8, 100, of_seed, 300, 50, np.random.default_rng(2))[1], drawn, recall)
        mean = one.mean()
        narrow = np.ptp(interval(float(mean.value[0]), mean.resampled[0], mean.left_out[0]))
        assert least < np.ptp(crossed_interval(one)) / narrow < most


@pytest.mark.parametrize(("seeds", "images"), [(1, 30), (3, 1)])
def test_one_seed_or_image_says_nothing_about_others(seeds, images):
    counted = crossed(seeds, images, 0, 300, 0, np.random.default_rng(0))[1]
    one = replicates(counted, resampling(images), recall)
    assert np.isnan(crossed_interval(one)).all()
    with pytest.raises(ValueError, match="2 seeds"):
        components(one)
