"""Paired tests against scipy's, and what a few seeds can say."""

import numpy as np
import pytest
from scipy.stats import permutation_test, t, ttest_1samp, wilcoxon

from segsweep.statistics.measured import Measured
from segsweep.statistics.paired import difference
from segsweep.statistics.resampling import resampling
from segsweep.statistics.seeds import seeds_needed, sign_flip
from tests.statistics.small import measured, naive_miou


@pytest.mark.parametrize(("n", "better"), [(8, 0.03), (40, 0.02)])
def test_permutation_is_that_of_scipy(n, better):
    """8 images: all 256 arrangements, the same p-value; 40: random ones, to sampling error."""
    one, two = measured(n), measured(n, seed=9, better=better)

    def statistic(first, second):
        both = one.counts[0], two.counts[0]
        # scipy exchanges numbers: image i of the first configuration is i, of the second n + i.
        rows = np.concatenate(both)
        return naive_miou(rows[second.astype(int)]) - naive_miou(rows[first.astype(int)])

    theirs = permutation_test(
        (np.arange(n), np.arange(n) + n),
        statistic,
        permutation_type="samples",
        vectorized=False,
        n_resamples=3000,
        rng=np.random.default_rng(0),
    ).pvalue
    ours = difference(one, two, resampling(n, resamples=3000)).p_images
    assert ours == pytest.approx(theirs, abs=1e-9 if n == 8 else 0.04)
    assert 0.01 < ours < 0.99


def test_equal_networks_do_not_differ():
    one = measured(30, seeds=2)
    found = difference(one, Measured(one.seeds, one.counts.copy()), resampling(30))
    assert (found.value, found.low, found.high, found.p_images, found.smallest) == (0, 0, 0, 1, 0)


def test_sign_flip_over_seeds():
    """Of ranks, it is Wilcoxon's exact test; all of one sign have 2 / 2^S."""
    ranks = np.array([1.0, -2, 3, 4, -5, 6, 7, 8])
    assert sign_flip(ranks) == pytest.approx(wilcoxon(ranks, method="exact").pvalue)
    assert sign_flip(np.array([0.3, 0.1, 0.2, 0.5, 0.4, 0.1])) == 2 / 64
    many = np.random.default_rng(0).normal(0.3, 1, 40)
    assert sign_flip(many) == pytest.approx(ttest_1samp(many, 0).pvalue, abs=0.02)


def test_how_many_seeds_a_verdict_takes():
    assert [seeds_needed(m) for m in (1, 2, 3, 4, 5)] == [6, 7, 7, 8, 8]


@pytest.mark.parametrize(
    ("seeds", "comparisons", "words"),
    [
        (1, 1, "1 seed: too few for a verdict over seeds (6 would do)"),
        (3, 1, "3 seeds: too few for a verdict over seeds (6 would do)"),
        (7, 4, "7 seeds: too few for a verdict over seeds (8 would do)"),
        (6, 1, "6 seeds: told apart over seeds (p = 0.031)"),
    ],
)
def test_verdict_over_seeds(seeds, comparisons, words):
    one, two = measured(25, seeds), measured(25, seeds, better=0.1)
    found = difference(one, two, resampling(25, resamples=50), comparisons=comparisons)
    assert found.verdict_seeds == words
    assert (found.p_seeds is None) == ("too few" in words)


def test_seeds_are_paired_by_name():
    one = measured(25, 3)
    two = Measured(("2", "7", "0"), one.counts[[2, 1, 0]])
    found = difference(one, two, resampling(25, resamples=50))
    assert (found.seeds, found.by_seed, found.value) == (2, (0, 0), 0)
    unlike = difference(one, Measured(("x", "y"), one.counts[:2]), resampling(25, resamples=50))
    assert (unlike.seeds, unlike.by_seed, unlike.value) == (0, (), 0)


def test_smallest_difference_is_found_four_times_in_five():
    """Of a figure that is a mean over images, with errors known, by Student's test on many sets."""
    rng = np.random.default_rng(0)
    n, pixels = 50, 10000
    right = rng.integers(4000, 6000, n)

    def of(share: np.ndarray) -> Measured:
        counts = np.zeros((1, n, 6, 1), np.int64)
        counts[0, :, 0, 0], counts[0, :, 2, 0] = share, pixels - share
        return Measured(("0",), counts)

    noise = rng.normal(0, 300, n)
    found = difference(
        of(right), of((right + noise).astype(int)), resampling(n, resamples=50), "pixel_accuracy"
    )
    sets = found.smallest * pixels + rng.normal(0, np.std(noise, ddof=1), (4000, n))
    assert np.mean(ttest_1samp(sets, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.03)
    assert found.smallest * pixels > t.ppf(0.975, n - 1) * 300 / np.sqrt(n)
