"""Intervals against scipy's bootstrap, which calls a naive figure for each resample."""

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, t

from segsweep.statistics.intervals import FEW_UNITS, class_estimates, estimate, interval
from segsweep.statistics.measured import Measured
from segsweep.statistics.paired import difference
from segsweep.statistics.resampling import resampling
from tests.statistics.small import counts, measured, naive_miou

N = 40
# scipy takes the normal's quantiles: asked for this level, it takes the ones that Student's become.
LEVEL = 2 * norm.cdf(np.sqrt(N / (N - 1)) * t.ppf(0.975, N - 1)) - 1


def by_scipy(statistic, method):
    options = {"paired": True, "vectorized": False, "confidence_level": LEVEL, "n_resamples": 4000}
    rng = np.random.default_rng(1)
    found = bootstrap((np.arange(N),), statistic, method=method, rng=rng, **options)
    return found.confidence_interval, found.standard_error


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_interval_is_that_of_scipy(method):
    one = measured(N)
    ours = estimate(one, resampling(N, resamples=4000), method=method)
    theirs, error = by_scipy(lambda images: naive_miou(one.counts[0, images]), method)
    # The standard error of a 2.5 % quantile of 4,000 resamples is 0.04 of the bootstrap's standard error.
    assert ours.low == pytest.approx(theirs.low, abs=0.2 * error)
    assert ours.high == pytest.approx(theirs.high, abs=0.2 * error)


def test_paired_difference_is_that_of_scipy():
    one, two = measured(N), measured(N, better=0.05)
    ours = difference(one, two, resampling(N, resamples=4000))
    theirs, error = by_scipy(
        lambda images: naive_miou(two.counts[0, images]) - naive_miou(one.counts[0, images]), "percentile"
    )
    assert ours.value == pytest.approx(naive_miou(two.counts[0]) - naive_miou(one.counts[0]))
    assert ours.low == pytest.approx(theirs.low, abs=0.2 * error)
    assert ours.high == pytest.approx(theirs.high, abs=0.2 * error)


def test_few_units_get_the_jackknife():
    """Of a mean, the jackknife's interval is Student's."""
    values = np.random.default_rng(0).standard_normal(FEW_UNITS - 1)
    left_out = (values.sum() - values) / (len(values) - 1)
    ours = interval(float(values.mean()), np.zeros(10), left_out)
    theirs = t.interval(0.95, len(values) - 1, values.mean(), values.std(ddof=1) / np.sqrt(len(values)))
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize("figure", ["miou", "pixel_accuracy", "fwiou", "boundary_iou"])
def test_estimate_is_the_mean_over_seeds(figure):
    several = measured(30, seeds=3)
    found = estimate(several, resampling(30, resamples=200), figure)
    assert len(found.by_seed) == 3
    assert found.value == pytest.approx(np.mean(found.by_seed))
    assert found.std == pytest.approx(np.std(found.by_seed, ddof=1))
    assert found.low < found.value < found.high
    assert estimate(measured(30), resampling(30, resamples=200), figure).std is None


def test_classes_that_resamples_miss_are_told():
    """A class in 1 of 30 images is missing from a resample with a chance of (29/30)^30, 36 %."""
    rows = counts(30)
    rows[1:, :, 3] = 0
    rows[0, :, 3] = 9
    one = Measured(("0",), rows[None])
    drawn = resampling(30, resamples=4000)
    by_class = class_estimates(one, drawn)
    assert by_class[3].complete == pytest.approx(1 - (29 / 30) ** 30, abs=0.03)
    assert by_class[3].caveat is not None
    assert "images with it: 1;" in by_class[3].caveat
    assert estimate(one, drawn).complete == by_class[3].complete
    assert [found.complete for found in by_class[:3]] == [1, 1, 1]
    assert by_class[0].caveat is None


def test_a_class_that_is_absent_has_no_figure():
    rows = counts(30)
    rows[:, :, 2] = 0
    found = class_estimates(Measured(("0",), rows[None]), resampling(30, resamples=100))
    assert np.isnan([found[2].value, found[2].low, found[2].high]).all()
    assert not np.isnan([found[0].value, found[0].low, found[0].high]).any()


@pytest.mark.parametrize("n", [30, 60])
def test_intervals_hold_about_as_often_as_they_claim(n):
    """200 test sets from a pool whose figure is known; benchmarks/coverage.py does it at length."""
    pool, other = counts(5000), counts(5000, better=0.02)
    truth = naive_miou(pool), naive_miou(other) - naive_miou(pool)
    drawn, rng = resampling(n, resamples=300), np.random.default_rng(3)
    hits = np.zeros(2)
    for _ in range(200):
        images = rng.integers(5000, size=n)
        one, two = (Measured(("0",), rows[images][None]) for rows in (pool, other))
        for i, found in enumerate((estimate(one, drawn), difference(one, two, drawn))):
            hits[i] += found.low <= truth[i] <= found.high
    assert (hits / 200 > 0.91).all()
    assert (hits / 200 < 0.99).all()
