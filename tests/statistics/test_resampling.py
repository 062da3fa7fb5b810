"""Weights of resamples: what is drawn, how often, and what stays together."""

import numpy as np
import pytest

from segsweep.statistics.resampling import resampling, swaps

GROUPS = ["a"] * 30 + ["b"] * 12 + ["a"] * 10


@pytest.mark.parametrize("unit", ["images", "blocks", "groups"])
def test_every_image_is_drawn_once_on_average(unit):
    drawn = resampling(52, GROUPS, unit, 4000, noun="drives")
    assert drawn.weights.shape == (4000, 52)
    assert np.array_equal(drawn.weights, np.rint(drawn.weights))
    assert drawn.weights.mean(0) == pytest.approx(np.ones(52), abs=0.12)
    assert drawn.caveat == "conditional on these 2 drives"


def test_images_are_drawn_one_by_one():
    weights = resampling(50, resamples=4000).weights
    assert (weights.sum(1) == 50).all()
    assert weights.var(0).mean() == pytest.approx(49 / 50, abs=0.03)  # of a multinomial count


def test_groups_are_drawn_whole():
    weights = resampling(52, GROUPS, "groups", 100).weights
    of_a = np.array(GROUPS) == "a"
    assert (weights[:, of_a] == weights[:, :1]).all()
    assert set((weights[:, 0] + weights[:, 35]).tolist()) == {2.0}


def test_blocks_are_consecutive_frames_of_a_group():
    drawn = resampling(52, GROUPS, "blocks", 500, block=5)
    of_a = np.array(GROUPS) == "a"
    assert (drawn.weights[:, of_a].sum(1) == 40).all()
    assert (drawn.weights[:, ~of_a].sum(1) == 12).all()
    # 8 whole blocks of 5 in a ring of 40: weights change at the blocks' 16 ends at most.
    ring = drawn.weights[:, of_a]
    assert ((ring != np.roll(ring, 1, axis=1)).sum(1) <= 16).all()
    assert len(set(drawn.units)) == 8 + 3


def test_the_seed_decides_and_many_groups_need_no_caveat():
    assert np.array_equal(resampling(9, seed=3).weights, resampling(9, seed=3).weights)
    assert not np.array_equal(resampling(9, seed=3).weights, resampling(9, seed=4).weights)
    assert resampling(52).caveat is None
    assert resampling(52, list(map(str, range(52)))).caveat is None


def test_few_units_are_exchanged_in_every_way():
    found = swaps(resampling(52, GROUPS, "groups"))
    assert len(found) == 2
    assert not found[0].any()
    found = swaps(resampling(6))
    assert len({tuple(row) for row in found.tolist()}) == 2**5
