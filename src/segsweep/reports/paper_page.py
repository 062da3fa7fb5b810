"""`segsweep report EXPERIMENT`: a paper's table beside our measurements, for people and for programs."""

from pathlib import Path
from typing import Any

from segsweep.errors import as_typed
from segsweep.planning.experiment import Published
from segsweep.reports.page import CellText, Column, Section, intro, section, write_page
from segsweep.reports.paper import Comparison, Line
from segsweep.reports.table import measured, tables
from segsweep.runs.compare import MISSING, remarks_on
from segsweep.runs.contents import State

OWN = ("out", "format", "title")
HEADINGS = {
    "miou": "mIoU", "val_miou": "val mIoU", "test_miou": "test mIoU", "params": "params (M)",
    "gflops": "MACs (G)", "fps": "images/s", "time_ms": "ms",
}  # fmt: skip
COUNTED = {"params": "params_m", "gflops": "gmacs"}
QUOTED, OTHERWISE = "quoted", "≠"


def write(comparison: Comparison, out: Path, title: str) -> None:
    """The comparison, then the measured runs as every report shows them, with their pictures."""
    rows = shown(comparison)
    descriptions = set(comparison.published.columns())
    content = Section(
        heading=comparison.published.title,
        protocol=heading(comparison),
        columns=[Column(name, name not in descriptions) for name in rows[0]],
        rows=[[CellText(text) for text in row.values()] for row in rows],
        notes=notes(comparison),
    )
    found = tables(comparison.runs)
    sections = [content, *(section(table, out) for table in found)]
    write_page(sections, out, title, intro(comparison.runs, (), found))


def heading(comparison: Comparison) -> str:
    """What is compared with what, and in what the two differ."""
    table = comparison.published
    parts = [f"{table.title}: published on {table.data}, measured on"]
    if not comparison.protocols:
        parts = [f"{table.title}: published on {table.data}; none of its runs is tested yet."]
    for protocol in comparison.protocols:
        departures = comparison.departures(protocol)
        otherwise = (
            f" ({OTHERWISE} not the published protocol: {', '.join(departures)})" if departures else ""
        )
        parts.append(f"{measured(protocol)}{otherwise};")
    if comparison.changes:
        parts.append(
            f"trained with {' '.join(comparison.changes)}, which is not the experiment's own training;"
        )
    return " ".join(parts).removesuffix(";") + ("." if comparison.protocols or comparison.changes else "")


def notes(comparison: Comparison) -> list[str]:
    """The rows' own remarks and their sizes that are not met, each once."""
    lines = [(_label(comparison, line), line) for line in comparison.lines]
    remarks = [f"{label}: {line.printed['note']}." for label, line in lines if "note" in line.printed]
    sizes = [f"{label}: {line.discrepancy}" for label, line in lines if line.discrepancy]
    unlike = [f"{OTHERWISE} {words}." for words in _words(comparison)]
    tested = [(label, [run for run in line.runs if run.strategies()]) for label, line in lines]
    runs = [f"{label}: {words}." for label, found in tested if (words := remarks_on(found))]
    return list(dict.fromkeys([*unlike, *remarks, *runs, *sizes]))


def _words(comparison: Comparison) -> list[str]:
    """In what rows are unlike the paper's beyond their protocols, which the heading tells."""
    told = [words for protocol in comparison.protocols for words in comparison.departures(protocol)]
    found = {words: line for line in comparison.lines for words in comparison.unlike(line)}
    return [f"test {line.printed['test']}: {words}" for words, line in found.items() if words not in told]


def _label(comparison: Comparison, line: Line) -> str:
    printed = {key: line.printed[key] for key in comparison.published.columns() if key in line.printed}
    words = {
        key: value if isinstance(value, str) else f"{key} {as_typed(value)}" for key, value in printed.items()
    }
    ticks = {key: key for key, value in printed.items() if value is True}
    return ", ".join({**words, **ticks}[key] for key, value in printed.items() if value is not False)


def shown(comparison: Comparison) -> list[dict[str, str]]:
    """The rows as text for people; a measurement by another protocol than the published one is marked."""
    return [_shown(comparison, line) for line in comparison.lines]


def _shown(comparison: Comparison, line: Line) -> dict[str, str]:
    table, row = comparison.published, line.printed
    cells = {key: as_typed(row[key]) if key in row else "" for key in table.columns()}
    for figure in table.figures():
        name, value = HEADINGS[figure], row.get(figure)
        cells[name] = MISSING if value is None else f"{value:.{_decimals(table, figure)}f}"
        if figure == table.measured:
            mark = f" {OTHERWISE}" if comparison.unlike(line) else ""
            ours = QUOTED if line.quoted else f"{line.cell}{mark}" if line.cell else _standing(line)
            apart = _signed(difference(comparison, line), "")
            cells |= {"ours": ours, "difference": f"{apart}{mark}" if apart else ""}
            cells["seeds"] = _seeds(line)
        elif figure in COUNTED:
            counted = line.counted.get(COUNTED[figure])
            cells[f"{name} ours"] = "" if counted is None else f"{counted:.2f}"
            cells[f"{name} difference"] = _signed(_percent(line, figure), " %")
    return cells


def _standing(line: Line) -> str:
    """Where the runs of a row without a measurement stand; – if there is none yet."""
    states = [run.status().state for run in line.runs if run.path.exists()]
    return ", ".join(dict.fromkeys("not tested" if s is State.DONE else s for s in states)) or MISSING


def _seeds(line: Line) -> str:
    """How many seeds were measured, and of how many where others were not."""
    if not line.tests:
        return ""
    lacking = f" of {len(line.runs)}" if len(line.runs) > len(line.tests) else ""
    return f"{len(line.tests)}{lacking}"


def _decimals(table: Published, figure: str) -> int:
    """As many as the column's longest figure has in print."""
    values = [str(row[figure]) for row in table.rows if figure in row]
    return max(len(value.partition(".")[2]) for value in values)


def _signed(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:+.2f}{unit}" if not unit else f"{value:+.1f}{unit}"


def difference(comparison: Comparison, line: Line) -> float | None:
    """Measured minus published mIoU, in points; None where one of them is not there."""
    published = line.printed.get(comparison.published.measured)
    return None if line.cell is None or published is None else 100 * line.cell.mean - published


def _percent(line: Line, figure: str) -> float | None:
    published, counted = line.printed.get(figure), line.counted.get(COUNTED[figure])
    return None if published is None or counted is None else 100 * (counted / published - 1)


def flat(comparison: Comparison) -> list[dict[str, Any]]:
    """The rows as plain values: as printed, `published_…` and our own figures, runs and protocol."""
    return [_flat(comparison, line) for line in comparison.lines]


def _flat(comparison: Comparison, line: Line) -> dict[str, Any]:
    table, cell = comparison.published, line.cell
    return {
        **{key: line.printed.get(key) for key in table.columns()},
        "quoted": line.quoted,
        **{f"published_{figure}": line.printed.get(figure) for figure in table.figures()},
        "miou": cell and 100 * cell.mean,
        "miou_std": None if cell is None or cell.std is None else 100 * cell.std,
        "seeds": len(line.tests),
        "miou_difference": difference(comparison, line),
        **{name: line.counted.get(name) for name in COUNTED.values()},
        **{f"{name}_difference_percent": _percent(line, figure) for figure, name in COUNTED.items()},
        "test": line.printed.get("test"),
        "runs": [run.id for run in line.runs],
        "departures": comparison.unlike(line),
        "protocol": line.protocols[0] if line.protocols else None,
        "changes": comparison.changes,
        "note": line.printed.get("note"),
        "discrepancy": line.discrepancy,
    }
