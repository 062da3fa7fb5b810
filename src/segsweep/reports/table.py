"""Results side by side: rows are configurations, columns test strategies, cells mean ± std over seeds.

A table has only numbers that were measured alike. What protocols may differ in (dataset, split list, sizes,
weights tested, …) is part of a table's heading, and makes another table.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segsweep.evaluation.protocol import comparable
from segsweep.runs import compare
from segsweep.runs.folder import RunFolder
from segsweep.terminal import plural

SEED = "seed"
Result = tuple[RunFolder, str, float]
"""A run, the name of one of its tests, and the mIoU there."""
FIRST_TO_GO = ("remarks", "params (M)", "seeds")
"""Columns that a narrow terminal has no room for, the first to go first."""


@dataclass(frozen=True)
class Cell:
    """mIoU of one configuration under one strategy, over its seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(np.mean(self.values))

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds (n − 1); None for a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    def is_apart_from(self, other: "Cell") -> bool:
        """Whether the means differ by more than both standard deviations together; False on a single seed.

        That is a rule of thumb for what may be emphasised, not a test of significance.
        """
        if self.std is None or other.std is None:
            return False
        return abs(self.mean - other.mean) > self.std + other.std

    def __str__(self) -> str:
        spread = "" if self.std is None else f" ± {100 * self.std:.2f}"
        return f"{100 * self.mean:.2f}{spread}"


@dataclass(frozen=True)
class Row:
    """One configuration: its value on each axis, its runs, its cells and test folders' names by strategy."""

    axes: dict[str, str]
    runs: tuple[RunFolder, ...]
    params: int | None
    cells: dict[str, Cell]
    tests: dict[str, str]

    def flat(self, strategies: Sequence[str]) -> dict[str, Any]:
        """The row as plain values."""
        flat = {**compare.values(self.runs[0], list(self.axes)), "params": self.params}
        for name in strategies:
            cell = self.cells.get(name)
            flat |= {name: cell and cell.mean, f"{name}_std": cell and cell.std}
            flat[f"{name}_seeds"] = len(cell.values) if cell else 0
        return {**flat, "runs": [run.id for run in self.runs], "remarks": compare.remarks_on(self.runs)}

    @property
    def seeds(self) -> str:
        """How many seeds its cells are of: one number, or a range if some cells have fewer."""
        numbers = [len(cell.values) for cell in self.cells.values()] or [0]
        return str(max(numbers)) if len(set(numbers)) == 1 else f"{min(numbers)} to {max(numbers)}"

    def text(self, strategy: str) -> str:
        """A cell, with its number of seeds if that differs within the row; – if there is none."""
        if (cell := self.cells.get(strategy)) is None:
            return compare.MISSING
        differ = len({len(cell.values) for cell in self.cells.values()}) > 1
        return f"{cell} ({plural(len(cell.values), SEED)})" if differ else str(cell)


@dataclass(frozen=True)
class Table:
    """Configurations whose results were measured alike."""

    protocol: dict[str, Any]
    strategies: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def measured(self) -> str:
        """The protocol in a line."""
        return measured(self.protocol)

    def best(self, strategy: str) -> Row | None:
        """The row with the highest mean if it stands apart from every other; else None."""
        rows = [row for row in self.rows if strategy in row.cells]
        rows = sorted(rows, key=lambda row: row.cells[strategy].mean, reverse=True)
        cells = [row.cells[strategy] for row in rows]
        apart = len(cells) > 1 and all(cells[0].is_apart_from(cell) for cell in cells[1:])
        return rows[0] if apart else None

    def flat(self) -> list[dict[str, Any]]:
        """Rows of plain values: axes, mean, std and number of seeds of each strategy, runs and protocol."""
        protocol = {f"protocol.{key}": value for key, value in self.protocol.items()}
        return [{**row.flat(self.strategies), **protocol} for row in self.rows]


def compared_axes(runs: Sequence[RunFolder]) -> list[str]:
    """The axes on which runs differ that have tests or should: not those of a chain's earlier stages."""
    parents = {run.plan.parent for run in runs}
    return compare.axes([run for run in runs if run.id not in parents or run.strategies()])


def tables(runs: Sequence[RunFolder]) -> list[Table]:
    """The tests of these runs as tables, one for each protocol that occurs.

    Runs without tests count for the axes too: an axis on which only failed runs differ is shown.
    """
    axes = [axis for axis in compared_axes(runs) if axis != SEED]
    by_protocol: dict[str, dict[tuple[str, ...], list[Result]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        key = tuple(compare.describe(run, axes).values())
        for name, (metrics, card) in run.read_tests().items():
            miou = float("nan") if metrics.miou is None else metrics.miou
            by_protocol[json.dumps(comparable(card), sort_keys=True)][key].append((run, name, miou))
    found = []
    for protocol, groups in by_protocol.items():
        rows = [row_of(dict(zip(axes, key, strict=True)), results) for key, results in groups.items()]
        names = {name for row in rows for name in row.cells}
        strategies = sorted(names, key=lambda name: (name != "single", len(name), name))
        found.append(Table(json.loads(protocol), tuple(strategies), tuple(rows)))
    return found


def row_of(axes: dict[str, str], results: Sequence[Result]) -> Row:
    """One configuration's row, made of the results of its runs."""
    values: dict[str, list[float]] = defaultdict(list)
    for _, name, miou in results:
        values[strategy_of(name)].append(miou)
    runs = tuple({run.id: run for run, _, _ in results}.values())
    tests = {strategy_of(name): name for _, name, _ in results}
    cells = {name: Cell(tuple(mious)) for name, mious in values.items()}
    return Row(axes, runs, runs[0].status().params, cells, tests)


def measured(protocol: Mapping[str, Any]) -> str:
    """The comparable part of a protocol card in a line."""
    p = protocol
    sizes = p["image_sizes"] if isinstance(p["image_sizes"], str) else ", ".join(p["image_sizes"])
    return (
        f"{p['dataset']} {p['split']}, {p['images']} images of {sizes}, "
        f"list {p['split_hash']}, {p['checkpoint.which']} weights"
    )


def strategy_of(name: str) -> str:
    """A test's strategy: its folder's name without the split or weights, which the table's heading names."""
    return name.split("-")[0]


def shown(table: Table) -> list[dict[str, str]]:
    """A table's rows as text for people; with remarks if there are any."""
    words = [compare.remarks_on(row.runs) for row in table.rows]
    return [
        {
            **(row.axes or {"run": row.runs[0].id}),
            "params (M)": "" if row.params is None else f"{row.params / 1e6:.2f}",
            "seeds": row.seeds,
            **{name: row.text(name) for name in table.strategies},
            **({"remarks": remark} if any(words) else {}),
        }
        for row, remark in zip(table.rows, words, strict=True)
    ]
