"""Effects of factors against ordinary least squares on cell means, and against sums by hand."""

from itertools import product

import numpy as np
import pytest

from segsweep.statistics.effects import Change, effects
from segsweep.statistics.figures import miou
from segsweep.statistics.intervals import interval
from segsweep.statistics.measured import Measured
from segsweep.statistics.paired import difference
from segsweep.statistics.resampling import resampling

IMAGES, CLASSES = 12, 3
WEIGHTS = resampling(IMAGES, resamples=200)
FACTORS = {"head": ("none", "aspp", "ksac"), "decoder": ("no", "yes"), "aux": ("[]", "[2]")}
HEAD, DECODER = Change("head", "none", "ksac"), Change("decoder", "no", "yes")


def measured(seed, seeds=("0", "1")):
    random = np.random.default_rng(seed)
    return Measured(tuple(seeds), random.integers(1, 50, (len(seeds), IMAGES, 6, CLASSES)))


def factorial(*factors):
    """Every combination of the factors' levels, each with counts of its own."""
    levels = [dict(zip(factors, chosen, strict=True)) for chosen in product(*(FACTORS[f] for f in factors))]
    return levels, [measured(number) for number in range(len(levels))]


def cell_means(configurations):
    return np.array([np.mean([miou(counts.sum(0)) for counts in one.counts]) for one in configurations])


def least_squares(levels, y, pairs):
    """Coefficients by the columns' names: a column for each level but the first, and products of some."""
    columns = {(): np.ones(len(levels))}
    for factor in levels[0]:
        for level in FACTORS[factor][1:]:
            columns[((factor, level),)] = np.array([cell[factor] == level for cell in levels], float)
    singles = [name for name in columns if name]
    for a, b in product(singles, singles):
        if pairs and list(levels[0]).index(a[0][0]) < list(levels[0]).index(b[0][0]):
            columns[a + b] = columns[a] * columns[b]
    return dict(
        zip(columns, np.linalg.lstsq(np.stack([*columns.values()], 1), y, rcond=None)[0], strict=True)
    )


@pytest.mark.parametrize("factors", [("head", "decoder"), ("head", "decoder", "aux")])
def test_balanced_designs_agree_with_least_squares(factors):
    levels, configurations = factorial(*factors)
    y = cell_means(configurations)
    main, both = least_squares(levels, y, False), least_squares(levels, y, True)
    found = effects(levels, configurations, WEIGHTS)
    for effect in found:
        name = ((effect.change.factor, effect.change.second),)
        if effect.given is None:
            first = main.get(((effect.change.factor, effect.change.first),), 0)
            assert effect.value == pytest.approx(main[name] - first)
        else:
            assert effect.value == pytest.approx(both[(*name, (effect.given.factor, effect.given.second))])
        assert effect.low < effect.value < effect.high
        assert effect.missing == ()
    pairs = sum(len(FACTORS[factor]) * (len(FACTORS[factor]) - 1) // 2 for factor in factors)
    assert len(found) == pairs + sum(len(name) == 2 for name in both)


def test_two_configurations_are_a_paired_difference():
    """With another number of seeds each: over those that both have."""
    first, second = measured(0, "012"), measured(1, "12")
    (effect,) = effects([{"head": "none"}, {"head": "ksac"}], [first, second], WEIGHTS, "fwiou")
    paired = difference(first, second, WEIGHTS, "fwiou")
    assert (effect.value, effect.low, effect.high) == pytest.approx((paired.value, paired.low, paired.high))


def test_intervals_are_of_the_contrast_in_each_resample():
    levels, configurations = factorial("decoder", "aux")
    signs = [1, -1, -1, 1]

    def contrast(weights):
        return sum(
            sign * np.mean([miou(np.einsum("n,nrk->rk", weights, counts)) for counts in one.counts])
            for sign, one in zip(signs, configurations, strict=True)
        )

    value = contrast(np.ones(IMAGES))
    resampled = np.array([contrast(weights) for weights in WEIGHTS.weights])
    left_out = np.array([contrast(1 - row) for row in np.eye(IMAGES)])
    (effect,) = [one for one in effects(levels, configurations, WEIGHTS) if one.given]
    assert (effect.low, effect.high) == pytest.approx(interval(value, resampled, left_out))


def of(found, change, given=None):
    return next(one for one in found if (one.change, one.given) == (change, given))


def test_a_failed_cell_takes_its_context_out_and_is_named():
    levels, configurations = factorial("head", "decoder")
    failed = levels.index({"head": "ksac", "decoder": "yes"})
    without = [None if i == failed else one for i, one in enumerate(configurations)]
    found = effects(levels, without, WEIGHTS)
    y = dict(zip(map(tuple, (cell.values() for cell in levels)), cell_means(configurations), strict=True))
    head = of(found, HEAD)
    assert head.value == pytest.approx(y["ksac", "no"] - y["none", "no"])
    assert (head.contexts, head.missing) == (1, ("head=ksac decoder=yes",))
    assert of(found, DECODER).contexts == 2
    interaction = of(found, HEAD, DECODER)
    assert np.isnan(interaction.value)
    assert (interaction.contexts, interaction.missing) == (0, ("head=ksac decoder=yes",))
    assert of(found, Change("head", "none", "aspp"), DECODER).missing == ()


def test_a_cell_that_was_never_planned_is_named_too():
    levels, configurations = factorial("head", "decoder")
    found = effects(levels[:-1], configurations[:-1], WEIGHTS)
    assert of(found, HEAD).missing == ("head=ksac decoder=yes",)


def test_a_factor_that_does_not_apply_is_averaged_over():
    """A head without pyramid has no rates: it is compared with the mean over the pyramid's."""
    levels = [{"head": "none"}, *({"head": h, "rates": r} for h in ("aspp", "ksac") for r in ("6", "12"))]
    configurations = [measured(i) for i in range(5)]
    y = cell_means(configurations)
    found = effects(levels, configurations, WEIGHTS)
    assert of(found, HEAD).value == pytest.approx(y[3:].mean() - y[0])
    assert of(found, Change("rates", "6", "12")).value == pytest.approx((y[2] + y[4] - y[1] - y[3]) / 2)
    assert of(found, Change("head", "aspp", "ksac")).value == pytest.approx(y[3:].mean() - y[1:3].mean())
    (interaction,) = [one for one in found if one.given]
    assert interaction.change == Change("head", "aspp", "ksac"), "none × rates has no cells"
    assert interaction.value == pytest.approx(y[4] - y[2] - (y[3] - y[1]))
