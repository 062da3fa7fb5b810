"""What a report says first: sentences on the comparisons with the baseline, and on what is not finished."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from segsweep.reports.findings.fields import Cell, Protocol, Row, ToBaseline
from segsweep.reports.findings.members import DONE
from segsweep.terminal import plural

MOST = 12
"""Comparisons under one strategy that are told in sentences: the largest ones."""


def sentences(rows: Sequence[Row], protocols: Sequence[Protocol], strategies: Sequence[str]) -> list[str]:
    """Return comparisons by protocol and strategy, then what has not finished."""
    found: list[str] = []
    for protocol in protocols:
        own = [row for row in rows if row.protocol == protocol.id]
        base = next((row for row in own if row.id == protocol.baseline), None)
        for strategy in strategies:
            where = f" on {protocol.text.partition(',')[0]}" if len(protocols) > 1 else ""
            under = f"{where} under {strategy}" if len(strategies) > 1 else where
            found += comparisons(own, base, strategy, under)
    return [*found, *unfinished(rows)]


def comparisons(rows: Sequence[Row], base: Row | None, strategy: str, under: str) -> Iterator[str]:
    """Yield a sentence for each row's difference to the baseline."""
    compared = {
        row.id: (row.label, cell.difference)
        for row in rows
        if (cell := row.cells.get(strategy)) is not None and cell.difference is not None
    }
    if base is None or not compared:
        return
    largest = sorted(compared, key=lambda id: -abs(compared[id][1].value))[:MOST]
    for id, (label, difference) in compared.items():
        if id in largest:
            yield sentence(label, base.label, difference, under)
    if len(compared) > MOST:
        yield f"{len(compared) - MOST} smaller differences to {base.label}{under} stand in the table."
    best = [(row.label, row.cells[strategy]) for row in rows if _is_best(row.cells.get(strategy))]
    if 1 < len(best) <= MOST:
        yield f"Not told apart from the best{under}: {', '.join(label for label, _ in best)}."


def _is_best(cell: Cell | None) -> bool:
    return cell is not None and cell.best


def sentence(first: str, second: str, difference: ToBaseline, under: str = "") -> str:
    """Say in words how a configuration compares with another one."""
    low, high = difference.low, difference.high
    if low is None or high is None:
        return f"{first} and {second} are {points(difference.value)} points apart{under}."
    if difference.is_told_apart:
        winner, loser = (first, second) if difference.value > 0 else (second, first)
        ends = sorted((abs(low), abs(high))) if low * high > 0 else sorted((low, high))
        return (
            f"{winner} beats {loser} by {abs(100 * difference.value):.1f} points{under} "
            f"({points(ends[0])} to {points(ends[1])} over images; {difference.verdict})."
        )
    return (
        f"{first} and {second} cannot be told apart{under}: {100 * difference.value:+.1f} points "
        f"({points(low)} to {points(high)} over images; {difference.verdict}); this test set could tell "
        f"apart {points(difference.smallest)} points."
    )


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
