"""What a factor of a sweep does: main effects and two-way interactions as contrasts of its configurations.

A cell is a combination of levels, such as head=ksac, rates=(6,12,18); a factor need not apply to every cell,
as rates do not to a head without pyramid. A context is the levels of all other factors than those in
question.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from segsweep.statistics.intervals import interval
from segsweep.statistics.measured import Measured
from segsweep.statistics.replicates import Replicates, replicates
from segsweep.statistics.resampling import Resampling

Levels = Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """A factor that goes from one level to another that comes later in the sweep."""

    factor: str
    first: str
    second: str


@dataclass(frozen=True)
class Effect:
    """The effect of a change on a figure or, with `given`, how much another change alters that effect.

    Attributes:
        change: what is changed.
        given: the other change, of an interaction; None for a main effect.
        value, low, high: the contrast and its 95 % interval over images; NaN if no context has all cells.
        contexts: number of contexts that it is the mean of.
        missing: cells without a result that kept contexts out, or are lacking in a context's mean.
    """

    change: Change
    given: Change | None
    value: float
    low: float
    high: float
    contexts: int
    missing: tuple[str, ...]


class _Cell(NamedTuple):
    levels: Levels
    seeds: tuple[str, ...]
    found: Replicates | None

    def __str__(self) -> str:
        return _named(self.levels)


class _Context(NamedTuple):
    levels: Levels
    sides: list[list[_Cell]]
    """The cells at each corner of a contrast; several if factors do not apply at other corners."""


def effects(
    levels: Sequence[Levels],
    configurations: Sequence[Measured | None],
    resampling: Resampling,
    figure: str = "miou",
) -> list[Effect]:
    """Estimate the main effects between all levels, then two-way interactions.

    Interactions are those of the changes from the first level, of the levels to which both factors apply.

    A main effect from a to b is the mean, over the contexts in which both have a result, of b's figure minus
    a's; an interaction the mean of (b − a at the second level of the other factor) − (b − a at its first),
    over the contexts that have all four. In a balanced factorial these are the contrasts of ordinary least
    squares on cell means (Montgomery 2017, chapter 5); in any other they stay contrasts within contexts,
    which a regression's coefficients would not. Factors that do not apply on one side are averaged over on
    the other. Figures are means over the seeds that all cells of a contrast have, or else over each one's
    own; intervals are of paired resamples, given the trained networks.

    Args:
        levels: of each configuration, by factor, without those that do not apply to it.
        configurations: over the same images; None for one that failed or is not finished.
        resampling: weights of these images.
        figure: a name of `FIGURES`.
    """
    cells = [
        _Cell(of_cell, one.seeds if one else (), replicates(one, resampling, figure) if one else None)
        for of_cell, one in zip(levels, configurations, strict=True)
    ]
    wanted: list[tuple[Change, Change | None]] = []
    for factor, known in _levels(levels).items():
        wanted += [(Change(factor, *pair), None) for pair in combinations(known, 2)]
    for one, other in combinations(_levels(levels), 2):
        both = _levels([cell for cell in levels if one in cell and other in cell])
        changes = [_from_first(factor, both.get(factor, [])) for factor in (one, other)]
        wanted += [(change, given) for change in changes[0] for given in changes[1]]
    estimated = [_effect(change, given, cells) for change, given in wanted]
    return [effect for effect in estimated if effect is not None]


def _levels(cells: Sequence[Levels]) -> dict[str, list[str]]:
    """Return each factor's levels, in the order of the sweep."""
    known: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in cells:
        for factor, level in cell.items():
            known[factor][level] = None
    return {factor: list(of_factor) for factor, of_factor in known.items()}


def _from_first(factor: str, levels: Sequence[str]) -> list[Change]:
    return [Change(factor, levels[0], other) for other in levels[1:]]


def _effect(change: Change, given: Change | None, cells: Sequence[_Cell]) -> Effect | None:
    """Estimate a contrast; None if the sweep has no cell at one of its corners, with a result or not."""
    corners = _corners(change, given)
    contexts = _contexts([fixed for _, fixed in corners], cells)
    if contexts is None:
        return None
    complete: list[list[list[_Cell]]] = []
    missing: list[str] = []
    for context in contexts:
        lacking = [cell for side in context.sides for cell in side if cell.found is None]
        missing += map(str, lacking)
        for (_, fixed), side in zip(corners, context.sides, strict=True):
            missing += [] if side else [_named({**fixed, **context.levels})]
        measured = [[cell for cell in side if cell.found] for side in context.sides]
        complete += [measured] if all(measured) else []
    weighted = [
        (sign / len(side) / len(complete), cell)
        for sides in complete
        for (sign, _), side in zip(corners, sides, strict=True)
        for cell in side
    ]
    return Effect(change, given, *_contrast(weighted), len(complete), tuple(dict.fromkeys(missing)))


def _corners(change: Change, given: Change | None) -> list[tuple[int, Levels]]:
    """Return sign and fixed levels of each corner of a contrast: two of a main effect, else four."""
    main: list[tuple[int, Levels]] = [
        (-1, {change.factor: change.first}),
        (1, {change.factor: change.second}),
    ]
    if given is None:
        return main
    levels = ((-1, given.first), (1, given.second))
    return [(sign * outer, {**fixed, given.factor: level}) for outer, level in levels for sign, fixed in main]


def _contexts(corners: Sequence[Levels], cells: Sequence[_Cell]) -> list[_Context] | None:
    """Sort the cells at the corners by context: by the levels of the factors that apply to all of them."""
    sides = [[cell for cell in cells if fixed.items() <= cell.levels.items()] for fixed in corners]
    if not all(sides):
        return None
    in_all = set.intersection(*(set(cell.levels) for side in sides for cell in side))
    shared = [factor for factor in sides[0][0].levels if factor in in_all - corners[0].keys()]
    contexts: dict[tuple[str, ...], _Context] = {}
    for place, side in enumerate(sides):
        for cell in side:
            levels = {factor: cell.levels[factor] for factor in shared}
            new = _Context(levels, [[] for _ in corners])
            contexts.setdefault(tuple(levels.values()), new).sides[place].append(cell)
    return list(contexts.values())


def _contrast(weighted: Sequence[tuple[float, _Cell]]) -> tuple[float, float, float]:
    """Estimate a weighted sum of cells, each the mean over its seeds."""
    if not weighted:
        return (float("nan"),) * 3
    common = set.intersection(*(set(cell.seeds) for _, cell in weighted))
    value, resampled, left_out = 0.0, np.zeros(1), np.zeros(1)
    for weight, cell in weighted:
        assert cell.found is not None
        rows = [place for place, seed in enumerate(cell.seeds) if seed in common or not common]
        value += weight * float(cell.found.value[rows].mean())
        resampled = resampled + weight * cell.found.resampled[rows].mean(0)
        left_out = left_out + weight * cell.found.left_out[rows].mean(0)
    return value, *interval(value, resampled, left_out)


def _named(levels: Levels) -> str:
    return " ".join(f"{factor}={level}" for factor, level in levels.items())
