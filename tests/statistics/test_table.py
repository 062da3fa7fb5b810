"""A table's comparisons against each alone, and a real sweep's known difference."""

import json

import numpy as np
import pytest

from segsweep.statistics.intervals import estimate
from segsweep.statistics.measured import Measured
from segsweep.statistics.multiple import holm
from segsweep.statistics.paired import difference
from segsweep.statistics.resampling import resampling
from segsweep.statistics.table import compare_all
from tests.shared import shared
from tests.statistics.small import measured


def test_a_table_holds_what_its_cells_are_alone():
    drawn = resampling(40, resamples=300)
    all_of_them = [measured(40, 3, better=better) for better in (0, 0.01, 0.1)]
    table = compare_all(all_of_them, drawn, 1)
    assert table.estimates == tuple(estimate(one, drawn) for one in all_of_them)
    assert table.differences[1] is None
    assert table.p_holm[1] is None
    alone = [difference(all_of_them[1], all_of_them[i], drawn, comparisons=2) for i in (0, 2)]
    assert [table.differences[0], table.differences[2]] == alone
    assert (table.p_holm[0], table.p_holm[2]) == holm([one.p_images for one in alone])
    assert table.best == (False, False, True)
    assert table.letters[2] == "a"
    assert "a" not in table.letters[0] + table.letters[1]


def test_without_a_baseline_there_are_no_differences():
    table = compare_all([measured(40), measured(40)], resampling(40, resamples=100))
    assert table.differences == table.p_holm == (None, None)
    assert (table.best, table.letters) == ((True, True), ("a", "a"))


def test_letters_are_over_the_seeds_that_all_have():
    """One network twice, once with a worse third seed: the third seed must not set the two apart."""
    drawn, two = resampling(40, resamples=300), measured(40, 2)
    three = Measured((*two.seeds, "unlike"), np.concatenate([two.counts, measured(40, better=-0.2).counts]))
    table = compare_all([two, three, measured(40, 2, better=0.1)], drawn, 0)
    assert table.estimates[1].value < table.estimates[0].value
    assert table.letters == ("b", "b", "a")
    assert table.differences[1].value == 0


def test_verdicts_over_seeds_are_adjusted_for_the_table():
    """7 differences of one sign have p = 2/128 = 0.0156 alone, twice that in a table with two."""
    rows = [measured(25, 7, better=better) for better in (0, 0.1, 0.12)]
    table = compare_all(rows, resampling(25, resamples=100), 0)
    words = [one.verdict_seeds for one in table.differences if one]
    assert words == ["7 seeds: told apart over seeds (p = 0.031)"] * 2


def test_few_units_tell_nothing_apart():
    rows = [measured(10), measured(10, better=0.3)]
    assert compare_all(rows, resampling(10), 0).letters == ("a", "a")


def of_sweep(rates) -> Measured:
    """Runs of the sweep whose head has these rates, under test=single."""
    names = "tp", "fp", "fn", "boundary_tp", "boundary_fp", "boundary_fn"
    found = {}
    for file in sorted(shared("data/runs_camvid").glob("*/tests/single/counts.npz")):
        identity = json.loads((file.parents[2] / "plan.json").read_text())["identity"]
        if identity.get("head.rates") == rates:
            with np.load(file) as arrays:
                found[str(identity["seed"])] = np.stack([arrays[name] for name in names], axis=1)
    return Measured(tuple(found), np.stack(list(found.values())))


def test_difference_of_a_real_sweep():
    """MobileNetV2 without pyramid minus ASPP at rates 6, 12, 18 on CamVid: known from another program."""
    none, aspp = of_sweep(None), of_sweep([6, 12, 18])
    found = difference(aspp, none, resampling(233))
    assert 100 * found.value == pytest.approx(-1.64, abs=0.1)
    assert 100 * found.low == pytest.approx(-2.13, abs=0.1)
    assert 100 * found.high == pytest.approx(-1.14, abs=0.1)
    assert found.p_images < 0.001
    assert found.verdict_seeds == "3 seeds: too few for a verdict over seeds (6 would do)"


def test_a_configuration_without_a_figure_is_told_apart_from_none():
    """Its labels are all ignored in these images, or nothing is left of them."""
    one = measured(40)
    nothing = Measured(one.seeds, np.zeros_like(one.counts))
    table = compare_all([one, nothing, measured(40, better=0.1)], resampling(40, resamples=100), 0)
    assert np.isnan([table.estimates[1].value, table.estimates[1].low]).all()
    assert np.isnan([table.differences[1].value, table.differences[1].p_images, table.p_holm[1]]).all()
    assert table.p_holm[2] < 0.05
    assert (table.best, table.letters) == ((False, False, True), ("b", "", "a"))


def test_one_image_has_figures_and_no_intervals():
    table = compare_all([measured(1), measured(1, better=0.1)], resampling(1, resamples=10), 0)
    assert np.isnan([table.estimates[0].low, table.differences[1].low, table.differences[1].smallest]).all()
    assert table.differences[1].p_images == 1
    assert table.letters == ("a", "a")
