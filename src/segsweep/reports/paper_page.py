"""A paper's table beside our measurements, as text for people, as plain values and as a page."""

from pathlib import Path
from typing import Any

from segsweep.errors import as_typed
from segsweep.reports.page import CellText, Column, Section, intro, section, write_page
from segsweep.reports.paper import COUNTED, Comparison, Line
from segsweep.reports.table import measured, tables
from segsweep.runs.compare import MISSING, remarks_on
from segsweep.runs.contents import State

HEADINGS = {
    "miou": "mIoU", "val_miou": "val mIoU", "test_miou": "test mIoU", "params": "params (M)",
    "gflops": "MACs (G)", "fps": "images/s", "time_ms": "ms",
}  # fmt: skip
QUOTED, OTHERWISE = "quoted", "≠"


def write(comparison: Comparison, out: Path, title: str) -> None:
    """Write the comparison, then the measured runs as every report shows them, with their pictures.

    Raises:
        UserError: the folder cannot be written.
    """
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
    """What is compared with what, and how the two differ."""
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
    """What is to be said of the rows: what was measured otherwise, remarks, and sizes that are not met."""
    lines = [(_label(comparison, line), line) for line in comparison.lines]
    in_heading = {words for protocol in comparison.protocols for words in comparison.departures(protocol)}
    unlike = {words: line for line in comparison.lines for words in comparison.unlike(line)}
    unlike = {words: line for words, line in unlike.items() if words not in in_heading}
    tested = [(label, [run for run in line.runs if run.strategies()]) for label, line in lines]
    found = [f"{OTHERWISE} test {line.printed['test']}: {words}." for words, line in unlike.items()]
    found += [f"{label}: {line.printed['note']}." for label, line in lines if "note" in line.printed]
    found += [f"{label}: {words}." for label, runs in tested if (words := remarks_on(runs))]
    found += [f"{label}: {line.discrepancy}" for label, line in lines if line.discrepancy]
    return list(dict.fromkeys(found))


def _label(comparison: Comparison, line: Line) -> str:
    """What tells a row apart, in words: `xception65, rates [6,12,18], ms`."""
    words = []
    for key in comparison.published.columns():
        value = line.printed.get(key)
        if key not in line.printed or value is False:
            continue
        words.append(
            key if value is True else value if isinstance(value, str) else f"{key} {as_typed(value)}"
        )
    return ", ".join(words)


def shown(comparison: Comparison) -> list[dict[str, str]]:
    """The rows as text for people; what was measured otherwise than in the paper is marked."""
    table = comparison.published
    decimals = {  # as many as the column's longest figure has in print
        figure: max(len(str(row[figure]).partition(".")[2]) for row in table.rows if figure in row)
        for figure in table.figures()
    }
    found = []
    for line in comparison.lines:
        row = line.printed
        cells = {key: as_typed(row[key]) if key in row else "" for key in table.columns()}
        for figure in table.figures():
            name, value = HEADINGS[figure], row.get(figure)
            cells[name] = MISSING if value is None else f"{value:.{decimals[figure]}f}"
            if figure == table.measured:
                cells |= _measured(comparison, line)
            elif figure in COUNTED:
                counted, apart = line.counted.get(COUNTED[figure]), line.difference_percent(figure)
                cells[f"{name} ours"] = "" if counted is None else f"{counted:.2f}"
                cells[f"{name} difference"] = "" if apart is None else f"{apart:+.1f} %"
        found.append(cells)
    return found


def _measured(comparison: Comparison, line: Line) -> dict[str, str]:
    """The cells of a row's own measurement; if there is none yet, where its runs stand."""
    mark = f" {OTHERWISE}" if comparison.unlike(line) else ""
    states = [run.status().state for run in line.runs if run.path.exists()]
    words = dict.fromkeys("not tested" if state is State.DONE else str(state) for state in states)
    ours = QUOTED if line.quoted else f"{line.cell}{mark}" if line.cell else ", ".join(words) or MISSING
    apart = comparison.difference(line)
    lacking = f" of {len(line.runs)}" if len(line.runs) > len(line.tests) else ""
    return {
        "ours": ours,
        "difference": "" if apart is None else f"{apart:+.2f}{mark}",
        "seeds": f"{len(line.tests)}{lacking}" if line.tests else "",
    }


def flat(comparison: Comparison) -> list[dict[str, Any]]:
    """The rows as plain values: as printed, `published_…` and our own figures, runs and protocol."""
    table = comparison.published
    return [
        {
            **{key: line.printed.get(key) for key in table.columns()},
            "quoted": line.quoted,
            **{f"published_{figure}": line.printed.get(figure) for figure in table.figures()},
            "miou": line.cell and 100 * line.cell.mean,
            "miou_std": None if line.cell is None or line.cell.std is None else 100 * line.cell.std,
            "seeds": len(line.tests),
            "miou_difference": comparison.difference(line),
            **{name: line.counted.get(name) for name in COUNTED.values()},
            **{f"{name}_difference_percent": line.difference_percent(fig) for fig, name in COUNTED.items()},
            "test": line.printed.get("test"),
            "runs": [run.id for run in line.runs],
            "departures": comparison.unlike(line),
            "protocol": line.protocols[0] if line.protocols else None,
            "changes": comparison.changes,
            "note": line.printed.get("note"),
            "discrepancy": line.discrepancy,
        }
        for line in comparison.lines
    ]
