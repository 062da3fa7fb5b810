"""The cells of a report as text: what Markdown, LaTeX and the terminal show, one table for each protocol."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from segsweep.reports.findings.fields import Cell, Findings, Interval, Row
from segsweep.reports.findings.members import DONE
from segsweep.reports.findings.repeat import SEED
from segsweep.runs.compare import MISSING
from segsweep.terminal import plural

UNLIKE = "≠"
"""Marks numbers of another protocol than the first row's, if they were asked for side by side."""
FIRST_TO_GO = ("remarks", "latency (ms)", "MACs (G)", "params (M)", "seeds")
"""Columns that a narrow terminal has no room for, the first to go first; intervals and letters follow."""


@dataclass(frozen=True)
class TextCell:
    """What a cell shows, and whether it is emphasised."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class Column:
    """A column's heading, whether it holds numbers, and the strategy whose figures these are."""

    name: str
    number: bool = False
    strategy: str | None = None


@dataclass(frozen=True)
class TextTable:
    """One table: its heading, what it was measured on, columns, and rows of as many cells."""

    heading: str
    measured: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[TextCell, ...], ...]
    caption: str

    def flat(self) -> list[dict[str, str]]:
        """Return the rows as texts by the columns' names."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, (cell.text for cell in row), strict=True)) for row in self.rows]

    def first_to_go(self) -> list[str]:
        """Return the columns to leave out on a narrow terminal, in order."""
        own = [column.name for column in self.columns if column.strategy]
        ends = (" letters", " 95 %", " difference")
        return [*FIRST_TO_GO, *(name for end in ends for name in reversed(own) if name.endswith(end))]


def text_tables(report: Findings) -> list[TextTable]:
    """Return a table for each protocol, then one of rows without any; all in one if that was asked for."""
    if report.mixed and report.protocols:
        return [
            _table(report, list(report.rows), "all protocols", "; ".join(p.text for p in report.protocols))
        ]
    found = []
    for protocol in report.protocols:
        rows = [row for row in report.rows if row.protocol == protocol.id]
        heading = f"{protocol.card['dataset']} {protocol.card['split']}"
        found.append(_table(report, rows, heading, protocol.text))
    others = [row for row in report.rows if row.protocol is None]
    return [*found, *([_table(report, others, "not measured yet", "")] if others else ())]


def _table(report: Findings, rows: Sequence[Row], heading: str, measured: str) -> TextTable:
    strategies = [name for name in report.strategies if any(name in row.cells for row in rows)]
    cells = [dict(_cells(report, row, rows, strategies)) for row in rows]
    kept = [name for name in (cells[0] if cells else ()) if any(each[name].text for each in cells)]
    words = {*report.columns, "run", "state", "remarks"}
    owned = {f"{name}{end}": name for name in strategies for end in ("", " 95 %", " letters", " difference")}
    return TextTable(
        heading=heading,
        measured=measured,
        columns=tuple(Column(name, name not in words, owned.get(name)) for name in kept),
        rows=tuple(tuple(each[name] for name in kept) for each in cells),
        caption=caption(report, rows, strategies),
    )


def _cells(
    report: Findings, row: Row, rows: Sequence[Row], strategies: Sequence[str]
) -> Iterator[tuple[str, TextCell]]:
    """Yield the cells of a row by column, in order; empty ones too."""
    mark = f" {UNLIKE}" if row.unlike else ""
    if any(value != MISSING for each in rows for value in each.axes.values()):
        yield from ((name, TextCell(row.axes.get(name, MISSING))) for name in report.columns)
    else:
        yield "run", TextCell(row.label)
    yield "state", TextCell("" if all(each.state == DONE for each in rows) else row.state)
    yield "params (M)", TextCell("" if row.params is None else f"{row.params / 1e6:.2f}")
    yield "MACs (G)", TextCell("" if row.macs is None else f"{row.macs / 1e9:.2f}")
    yield "latency (ms)", TextCell("" if row.latency_ms is None else f"{row.latency_ms:.2f}")
    yield "seeds", TextCell(_seeds(row))
    for name in strategies:
        cell = row.cells.get(name)
        others = [each.cells[name] for each in rows if name in each.cells]
        yield name, TextCell(MISSING) if cell is None else TextCell(figure(cell, row) + mark, cell.bold)
        yield f"{name} 95 %", TextCell("" if cell is None else span(cell.miou))
        yield f"{name} letters", TextCell("" if cell is None or len(others) < 2 else cell.letters)
        yield f"{name} difference", TextCell("" if cell is None else difference(cell.difference))
    yield "remarks", TextCell(row.remarks)


def _seeds(row: Row) -> str:
    numbers = [len(cell.seeds) for cell in row.cells.values()]
    return "" if not numbers else " to ".join(map(str, sorted({min(numbers), max(numbers)})))


def figure(cell: Cell, row: Row) -> str:
    """Return mIoU in %, with the standard deviation over seeds; their number if it differs within the row."""
    spread = "" if cell.std is None else f" ± {100 * cell.std:.2f}"
    differ = len({len(each.seeds) for each in row.cells.values()}) > 1
    seeds = f" ({plural(len(cell.seeds), SEED)})" if differ else ""
    return f"{100 * cell.miou.value:.2f}{spread}{seeds}"


def span(interval: Interval) -> str:
    """Return the ends of an interval in %."""
    if interval.low is None or interval.high is None:
        return ""
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}"


def difference(found: Interval | None) -> str:
    """Return a difference in points with its interval: `+1.64 (1.14 to 2.13)`."""
    if found is None:
        return ""
    ends = "" if found.low is None else f" ({100 * found.low:.2f} to {100 * (found.high or 0):.2f})"
    return f"{100 * found.value:+.2f}{ends}"


def caption(report: Findings, rows: Sequence[Row], strategies: Sequence[str]) -> str:
    """Return what the columns are: unit, seeds, baseline, bold and letters."""
    cells = [cell for row in rows for name in strategies if (cell := row.cells.get(name))]
    if not cells:
        return ""
    seeds = sorted({len(cell.seeds) for cell in cells})
    base = next((row.label for row in rows if row.id in {p.baseline for p in report.protocols}), None)
    number = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    parts = [f"mIoU in %, mean ± standard deviation over seeds ({number})"]
    if any(cell.miou.low is not None for cell in cells):
        parts.append("95 %: interval over images, given the trained networks")
    caveats = {protocol.caveat for protocol in report.protocols if protocol.caveat}
    parts += [f"{caveat}, over which report.json has intervals too" for caveat in sorted(caveats)]
    if any(cell.difference for cell in cells):
        paired = f"difference: points to {base}, paired over images and the seeds that both have"
        parts.append(f"{paired}, with a 95 % interval for each comparison alone")
    if any(cell.letters for cell in cells) and len(rows) > 1:
        bold = ["bold: not told apart from the best"] if any(cell.bold for cell in cells) else []
        parts += [*bold, "rows that share a letter are not told apart"]
    if any(row.latency_ms is not None for row in rows):
        parts.append(f"latency: {report.timed}")
    if report.mixed and any(row.unlike for row in rows):
        parts.append(f"{UNLIKE}: measured by another protocol than the first, not comparable")
    return "; ".join(parts) + "."
