"""Orders of an epoch: shares, repeats and coverage, each against counts worked out by hand."""

import numpy as np
import pytest

from segsweep.data.sampling import ClassUniform, Mixture, RepeatFactor, Shuffle, walk
from segsweep.errors import ConfigError

HOLDS = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 1]], dtype=bool)
"""4 images of 3 classes: the first is in all, the others in one each."""


def orders():
    return {
        "shuffle": Shuffle(40, seed=1),
        "mixture": Mixture([30, 8, 2], [1, 1, 2], seed=1),
        "repeat": RepeatFactor(1.0).over(np.tile(HOLDS, (10, 1)), seed=1),
        "uniform": ClassUniform(0.5).over(np.tile(HOLDS, (10, 1)), seed=1),
    }


@pytest.mark.parametrize("kind", ["shuffle", "mixture", "repeat", "uniform"])
def test_an_order_is_a_function_of_seed_and_epoch_of_constant_length(kind):
    order, again = orders()[kind], orders()[kind]
    seen = [order.order(epoch) for epoch in range(5)]
    for epoch in (4, 0, 2):
        np.testing.assert_array_equal(again.order(epoch), seen[epoch])
    assert {len(each) for each in seen} == {order.length}
    assert all(each.min() >= 0 and each.max() < order.samples for each in seen)
    assert all(each.dtype == np.int64 for each in seen)
    assert not np.array_equal(seen[0], seen[1])


def test_shuffle_is_the_permutation_of_the_runs_before_there_was_a_choice():
    assert Shuffle(9, seed=3).order(2).tolist() == [7, 0, 8, 5, 2, 1, 6, 3, 4]


def test_a_mixture_keeps_shares_and_gives_each_sample_of_a_part_its_turn():
    mixture = Mixture([30, 8, 2], [1, 1, 2], seed=0)
    assert (mixture.length, mixture.counts) == (40, (10, 10, 20))
    counts = np.zeros(40, dtype=int)
    for epoch in range(12):
        order = mixture.order(epoch)
        assert [int(((order >= a) & (order < b)).sum()) for a, b in ((0, 30), (30, 38), (38, 40))] == [
            10,
            10,
            20,
        ]
        counts += np.bincount(order, minlength=40)
    assert set(counts[:30]) == {4}, "12 epochs of 10 draws are 4 passes over 30"
    assert set(counts[30:38]) == {15}
    assert set(counts[38:]) == {120}


def test_a_mixtures_parts_are_spread_over_the_epoch():
    order = Mixture([500, 500], [1, 1], seed=0).order(0)
    assert 40 <= (order[:100] < 500).sum() <= 60


def test_a_part_that_would_never_be_drawn_is_an_error():
    with pytest.raises(ConfigError, match=r"dataset\.weights=.*part 2 gets none of the 20 draws"):
        Mixture([10, 10], [1, 0.01], seed=0)


def test_a_walk_goes_through_all_before_it_repeats():
    passed = np.concatenate([walk(7, 5, epoch, seed=9) for epoch in range(14)])
    for start in range(0, 70, 7):
        assert sorted(passed[start : start + 7]) == list(range(7))
    assert len(walk(7, 0, 3, seed=9)) == 0
    assert len(walk(3, 10, 1, seed=9)) == 10


def test_repeat_factors_are_those_of_the_paper():
    # f = (1, 1/4, 1/4): factors max(1, sqrt(t / f)) of the rarest class of each image.
    np.testing.assert_allclose(RepeatFactor(1.0).factors(HOLDS), [2, 1, 1, 2])
    np.testing.assert_allclose(RepeatFactor(0.5).factors(HOLDS), [2**0.5, 1, 1, 2**0.5])
    np.testing.assert_allclose(RepeatFactor(0.001).factors(HOLDS), [1, 1, 1, 1])
    empty = np.array([[0, 0], [1, 0]], dtype=bool)
    np.testing.assert_allclose(RepeatFactor(1.0).factors(empty), [1, 2**0.5])


def test_repeats_are_the_factor_rounded_up_or_down_and_its_mean_over_epochs():
    holds = np.tile(HOLDS, (25, 1))
    factors = RepeatFactor(0.5).factors(holds)
    order = RepeatFactor(0.5).over(holds, seed=4)
    assert order.length == round(factors.sum()) == 121
    counts = np.array([np.bincount(order.order(epoch), minlength=100) for epoch in range(400)])
    scaled = factors * 121 / factors.sum()
    assert (counts >= np.floor(scaled)).all()
    assert (counts <= np.ceil(scaled)).all()
    np.testing.assert_allclose(counts.mean(axis=0), scaled, atol=0.12)  # 4.8 standard errors


def test_class_uniform_draws_each_class_as_often():
    # 100 images: class 0 in all, class 1 in one of them, class 3 in none.
    holds = np.zeros((100, 4), dtype=bool)
    holds[:, 0], holds[7, 1], holds[50:, 2] = True, True, True
    order = ClassUniform(0.6).over(holds, seed=2)
    counts = sum(np.bincount(order.order(epoch), minlength=100) for epoch in range(100))
    # Of 100 draws an epoch 60 are by class, 20 a class; the other 40 walk through all: 40 times each here.
    assert 2000 + 40 <= counts[7] <= 2000 + 40 + 60
    lower = counts[np.arange(100) != 7]
    assert abs(lower[:49].sum() - (49 * 40 + 2000 * 0.49)) < 150
    assert abs(lower[49:].sum() - (50 * 40 + 2000 * 0.5 + 2000)) < 150


@pytest.mark.parametrize("share", [0, 1.1, "half", True])
def test_wrong_settings_name_the_option_in_one_line(share):
    for make, option in ((RepeatFactor, "threshold"), (ClassUniform, "share")):
        with pytest.raises(ConfigError, match=f"^{option}=") as error:
            make(share)
        assert "\n" not in str(error.value)
