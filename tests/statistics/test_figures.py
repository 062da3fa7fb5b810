"""Figures of many totals at once against each alone; what they are is tested in evaluation."""

import numpy as np
import pytest

from segsweep.statistics.figures import FIGURES
from tests.statistics.small import counts, naive_miou


@pytest.mark.parametrize("name", FIGURES)
def test_many_totals_at_once_are_each_alone(name):
    totals = np.stack([counts(3, seed=seed).sum(0) for seed in range(5)])
    totals[0, :, 1] = 0  # absent from one
    totals[1] = 0  # nothing counted at all
    totals[:, :, 3] = 0  # absent from all
    alone = [FIGURES[name](one) for one in totals]
    assert np.isnan(alone[1])
    np.testing.assert_allclose(FIGURES[name](totals), alone, rtol=1e-14)


def test_miou_is_that_of_the_sums():
    rows = counts(7, classes=9)
    assert FIGURES["miou"](rows.sum(0)) == pytest.approx(naive_miou(rows), rel=1e-14)
    assert FIGURES["boundary_iou"](rows.sum(0)) == pytest.approx(naive_miou(rows[:, 3:]), rel=1e-14)
