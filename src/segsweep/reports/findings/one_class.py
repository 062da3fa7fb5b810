"""Networks that predict one class (nearly) everywhere: their mIoU alone looks merely poor."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from segsweep.reports.findings.fields import Cell
from segsweep.reports.findings.sentences import listed
from segsweep.statistics.measured import Integers, Measured

SHARE = 0.99
"""Of all counted pixels, at least so many are predicted as the one class,"""
OTHERS = 0.9
"""and so many of those that are of other classes: background may be nearly all of the truth as well."""


def the_class(totals: Integers) -> int | None:
    """Return the class that a network predicts nearly everywhere, though the truth has others; None if none.

    `totals` are tp, fp, fn and further counts of a whole test set, [6, K].
    """
    predicted, true, taken = totals[0] + totals[1], totals[0] + totals[2], totals[1]
    k = int(predicted.argmax())
    others = true.sum() - true[k]
    is_alone = predicted[k] >= SHARE * true.sum() and taken[k] >= OTHERS * others
    return k if others and is_alone else None


def told(measured: Measured, classes: Sequence[str]) -> str:
    """Return in words which class the networks of a configuration predict nearly everywhere; "" if none.

    The seeds are named if it is not so for all of them.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for seed, counts in zip(measured.seeds, measured.counts, strict=True):
        if (k := the_class(counts.sum(0))) is not None:
            found[classes[k]].append(seed)
    return ", ".join(
        f"predicts {name} for at least {100 * SHARE:.0f} % of pixels"
        + ("" if len(seeds) == len(measured.seeds) else f" with seed {listed(seeds)}")
        for name, seeds in found.items()
    )


def remarks_on_cells(cells: Mapping[str, Cell]) -> list[str]:
    """Return what is told of a row's cells, each once; the strategies are named if it is not so for all."""
    found: dict[str, list[str]] = defaultdict(list)
    for strategy, cell in cells.items():
        found[cell.remark].append(strategy)
    return [
        words + ("" if len(names) == len(cells) else f" under {listed(names)}")
        for words, names in found.items()
        if words
    ]
