"""What a report says first: sentences on the comparisons with the baseline, and on what is not finished."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum

from segsweep.reports.findings.fields import Protocol, Row, ToBaseline
from segsweep.reports.findings.members import DONE
from segsweep.terminal import plural

MOST = 12
"""Pairs of configurations that are told in sentences: those of the largest differences."""
Differences = Mapping[str, ToBaseline]
"""Two configurations' differences by test strategy, the first minus the second."""


def sentences(rows: Sequence[Row], protocols: Sequence[Protocol], strategies: Sequence[str]) -> list[str]:
    """Return comparisons by protocol, then what has not finished."""
    found: list[str] = []
    for protocol in protocols:
        own = [row for row in rows if row.protocol == protocol.id]
        base = next((row for row in own if row.id == protocol.baseline), None)
        where = f"On {protocol.text.partition(',')[0]}: " if len(protocols) > 1 else ""
        found += [where + told for told in comparisons(own, base, strategies)]
    return [*found, *unfinished(rows)]


def comparisons(rows: Sequence[Row], base: Row | None, strategies: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each row's differences to the baseline, then the sets not told from the best."""
    compared = {row.id: found for row in rows if (found := _differences(row, strategies))}
    if base is None or not compared:
        return
    numbers = Counter(strategy for found in compared.values() for strategy in found)
    largest = sorted(compared, key=lambda id: -max(abs(each.value) for each in compared[id].values()))[:MOST]
    for row in rows:
        if row.id in largest:
            yield sentence(row.label, base.label, compared[row.id], numbers, len(strategies) > 1)
    if len(compared) > MOST:
        yield f"{len(compared) - MOST} smaller differences to {base.label} stand in the table."
    yield from _best(rows, strategies)


def _differences(row: Row, strategies: Sequence[str]) -> Differences:
    cells = {name: row.cells[name] for name in strategies if name in row.cells}
    return {name: cell.difference for name, cell in cells.items() if cell.difference is not None}


def _best(rows: Sequence[Row], strategies: Sequence[str]) -> Iterator[str]:
    """Yield each set not told apart from the best, with the strategies under which it is the set."""
    sets: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in strategies:
        sets[tuple(row.label for row in rows if name in row.cells and row.cells[name].best)].append(name)
    for labels, names in sets.items():
        if 1 < len(labels) <= MOST:
            under = f" under {listed(names)}" if len(strategies) > 1 else ""
            yield f"Not told apart from the best{under}: {', '.join(labels)}."


class Outcome(Enum):
    """What a comparison found over images."""

    BEATS = "told apart among all comparisons of the table"
    ALONE = "told apart by its own interval, but not among all comparisons"
    NEITHER = "not told apart"
    UNKNOWN = "no interval, as counts are not there"

    @classmethod
    def of(cls, difference: ToBaseline) -> "Outcome":
        """Return the outcome; the test decides, and the interval only where it finds more."""
        if difference.low is None or difference.high is None:
            return cls.UNKNOWN
        if difference.is_told_apart:
            return cls.BEATS
        return cls.ALONE if difference.low * difference.high > 0 else cls.NEITHER


def sentence(
    first: str, second: str, differences: Differences, numbers: Mapping[str, int], is_named: bool = False
) -> str:
    """Say in words how a configuration compares with another one, strategies of one outcome together.

    Args:
        first, second: the configurations' names.
        differences: the first minus the second, by strategy.
        numbers: how many comparisons the table makes under each strategy.
        is_named: whether to name the strategies, as the table has several.
    """
    outcomes: dict[tuple[Outcome, bool], dict[str, ToBaseline]] = defaultdict(dict)
    for name, each in differences.items():
        outcome = Outcome.of(each)
        is_second = each.value < 0 and outcome in (Outcome.BEATS, Outcome.ALONE)
        outcomes[outcome, is_second][name] = _swapped(each) if is_second else each
    found = []
    for (outcome, is_second), some in outcomes.items():
        one, two = (second, first) if is_second else (first, second)
        number = max(numbers[name] for name in some)
        found.append(_clause(outcome, one, two, some, number, is_named))
    verdicts = {each.verdict: None for each in differences.values() if each.verdict}
    if len(verdicts) == 1:
        found += verdicts
    else:
        found += [f"{each.verdict} under {name}" for name, each in differences.items() if each.verdict]
    return f"{'; '.join(found)}."


def _swapped(difference: ToBaseline) -> ToBaseline:
    """Return the second minus the first of a difference that has an interval."""
    assert difference.low is not None
    assert difference.high is not None
    return replace(difference, value=-difference.value, low=-difference.high, high=-difference.low)


def _clause(outcome: Outcome, one: str, two: str, some: Differences, number: int, is_named: bool) -> str:
    """Say one outcome of `number` comparisons; `one` has the larger figure if they are told apart."""
    figures = _figures(outcome, some, is_named)
    if outcome is Outcome.UNKNOWN:
        return f"{one} and {two} are {figures} apart, without an interval"
    if outcome is Outcome.BEATS:
        return f"{one} beats {two} by {figures}"
    if outcome is Outcome.NEITHER:
        smallest = span([points(each.smallest) for each in some.values()])
        test_set = f"this test set could tell apart {smallest} points"
        if all(each.value == each.smallest == 0 for each in some.values()):
            test_set = "no image shows a difference"  # so nothing says how far they would have to be apart
        return f"{one} and {two} cannot be told apart: {figures}; {test_set}"
    p = span([f"{each.p_holm:.2g}" for each in some.values()])
    above = f"{one} is above {two} by {figures}"
    if number == 1:
        return f"{above}, which the paired test does not confirm (p {p})"
    return (
        f"{above} in this comparison alone; over the table's {number} comparisons that is not enough to tell "
        f"them apart (adjusted p {p})"
    )


def _figures(outcome: Outcome, some: Differences, is_named: bool) -> str:
    """Return differences with their intervals; signed if nothing says which figure is the larger one."""
    found: list[str] = []
    for name, each in some.items():
        words = f"{100 * each.value:+.1f}" if outcome is Outcome.NEITHER else points(abs(each.value))
        words += ("" if found else " points") + (f" under {name}" if is_named else "")
        if each.low is not None and each.high is not None:
            # If the test tells apart and the interval does not, both are said.
            p = f", p {each.p_holm:.2g}" if outcome is Outcome.BEATS and each.low < 0 else ""
            words += f" ({points(each.low)} to {points(each.high)}{'' if found else ' over images'}{p})"
        found.append(words)
    return listed(found)


def listed(words: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def span(numbers: Sequence[str]) -> str:
    """Return the smallest and the largest of some numbers as written, once if they are the same."""
    return " to ".join(dict.fromkeys((min(numbers, key=float), max(numbers, key=float))))


def points(share: float) -> str:
    """Return a fraction as points of mIoU."""
    return f"{100 * share:.1f}"


def unfinished(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what did not finish: whole values of the first axis together, else each row."""
    lacking: dict[str, list[Row]] = defaultdict(list)
    measured = {_first(row) for row in rows if row.cells}
    for row in rows:
        if not row.cells:
            lacking[row.label if _first(row) in measured else _first(row)].append(row)
        elif row.state != DONE:
            yield f"{row.label}: {row.state} finished{_because(row)}."
    for name, found in lacking.items():
        states = Counter[str]()
        for row in found:
            states.update(row.states)
        told = ", ".join(f"{number} {state}" for state, number in states.items())
        yield f"No {name} run finished: {told}."


def _first(row: Row) -> str:
    return next(iter(row.axes.values()), row.label)


def _because(row: Row) -> str:
    return f" ({row.why})" if row.why else ""


def summary(rows: Sequence[Row]) -> str:
    """Return how many configurations are done, and how many are not."""
    done = sum(row.state == DONE for row in rows)
    return f"{done} of {plural(len(rows), 'configuration')} done"
