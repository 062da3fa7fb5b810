"""Many comparisons: Holm and letters by hand, max-T by what it must do."""

import numpy as np
import pytest

from segsweep.statistics.multiple import holm, letters, told_apart


def test_holm_by_hand():
    """4 × 0.005, 3 × 0.01, 2 × 0.03, and 1 × 0.04, which is raised to the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.6, 0.5]) == (1, 1)
    assert holm([]) == ()


def apart(*pairs, number):
    found = np.zeros((number, number), bool)
    for i, j in pairs:
        found[i, j] = found[j, i] = True
    return found


@pytest.mark.parametrize(
    ("value", "pairs", "wanted"),
    [
        ([3, 2, 1], [], ("a", "a", "a")),
        ([3, 2, 1], [(0, 1), (0, 2), (1, 2)], ("a", "b", "c")),
        ([3, 2, 1], [(0, 2)], ("a", "ab", "b")),
        ([1, 3, 2], [(0, 1)], ("b", "a", "ab")),
        # Neither neighbours nor nested: 1 and 4 are apart, and 2 and 3, so that pairs share four letters.
        ([4, 3, 2, 1], [(0, 3), (1, 2)], ("ab", "ac", "bd", "cd")),
        ([2, float("nan"), 1], [(0, 2)], ("a", "", "b")),
    ],
)
def test_letters_by_hand(value, pairs, wanted):
    assert letters(value, apart(*pairs, number=len(value))) == wanted


def test_letters_say_exactly_what_is_apart():
    rng = np.random.default_rng(0)
    for _ in range(50):
        value = rng.normal(0, 1, 8)
        differ = rng.random((8, 8)) < 0.4
        differ = (differ | differ.T) & ~np.eye(8, dtype=bool)
        given = letters(value.tolist(), differ)
        for i in range(8):
            for j in range(i):
                assert bool(set(given[i]) & set(given[j])) != differ[i, j]


def test_max_t_by_brute_force():
    """Each step by naive loops over the pairs left."""
    rng = np.random.default_rng(1)
    value = np.array([0.0, 0.1, 2.6, 3.0, 6.0])
    resampled = value[:, None] + rng.standard_normal((5, 500)) * np.array([1, 0.5, 1, 0.4, 0.7])[:, None]
    left = {(i, j) for i in range(5) for j in range(i)}
    rejected = set()
    while True:
        t, of_resamples = {}, []
        for i, j in left:
            deviation = (resampled[i] - resampled[j]) - (value[i] - value[j])
            error = np.sqrt(np.mean(deviation**2))
            t[i, j] = abs(value[i] - value[j]) / error
            of_resamples.append(np.abs(deviation) / error)
        critical = np.quantile(np.max(of_resamples, axis=0), 0.95)
        new = {pair for pair in left if t[pair] > critical}
        if not new:
            break
        rejected |= new
        left -= new
    ours = told_apart(value, resampled, 10**6)
    assert {(i, j) for i in range(5) for j in range(i) if ours[i, j]} == rejected
    assert 0 < len(rejected) < 10


def test_equal_configurations_are_not_told_apart():
    resampled = np.random.default_rng(0).standard_normal((1, 200)).repeat(3, 0)
    assert not told_apart(np.zeros(3), resampled, 200).any()
    found = told_apart(
        np.array([0, 5, np.nan]), np.stack([resampled[0], resampled[0] * 0.9 + 5, resampled[0]]), 200
    )
    assert found.tolist() == [[False, True, False], [True, False, False], [False, False, False]]
