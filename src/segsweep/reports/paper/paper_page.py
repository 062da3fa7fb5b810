"""A paper's table beside our measurements, as text for people and as plain values."""

from typing import Any

from segsweep.errors import as_typed
from segsweep.reports.findings.fields import Findings, Interval
from segsweep.reports.findings.protocols import described
from segsweep.reports.paper.compared import COUNTED, ELSEWHERE, Comparison, Line
from segsweep.reports.writers.text_table import UNLIKE, span
from segsweep.runs.compare import MISSING, remarks_on
from segsweep.runs.contents import State

HEADINGS = {
    "miou": "mIoU", "val_miou": "val mIoU", "test_miou": "test mIoU", "params": "params (M)",
    "gflops": "MACs (G)", "fps": "images/s", "time_ms": "ms",
}  # fmt: skip
QUOTED = "quoted"


def paper_part(comparison: Comparison, report: Findings) -> dict[str, Any]:
    """Return the comparison as the report's `paper`: title, heading, columns, rows of text, notes."""
    rows = shown(comparison, report)
    return {
        "title": comparison.published.title,
        "heading": heading(comparison),
        "columns": list(rows[0]),
        "rows": rows,
        "notes": notes(comparison),
    }


def interval_of(line: Line, report: Findings) -> Interval | None:
    """Return the interval of a line's mIoU: that of the report's cell with the same runs and strategy."""
    wanted = {run.id for run in line.runs}
    cells = [
        cell
        for row in report.rows
        if wanted & set(row.runs)
        for name, cell in row.cells.items()
        if name in line.strategies and len(cell.seeds) == len(line.tests)
    ]
    return cells[0].miou if len(cells) == 1 and cells[0].miou.low is not None else None


def heading(comparison: Comparison) -> str:
    """What is compared with what, and how the two differ."""
    table = comparison.published
    parts = [f"{table.title}: published on {table.data}, measured on"]
    if not comparison.protocols:
        parts = [f"{table.title}: published on {table.data}; none of its runs is tested yet."]
    for protocol in comparison.protocols:
        departures = comparison.departures(protocol)
        otherwise = f" ({UNLIKE} not the published protocol: {', '.join(departures)})" if departures else ""
        parts.append(f"{described(protocol)}{otherwise};")
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
    unlike = {words: line for words, line in unlike.items() if words not in (*in_heading, ELSEWHERE)}
    quoted = [label for label, line in lines if line.quoted and line.tests]
    tested = [(label, [run for run in line.runs if run.strategies()]) for label, line in lines]
    found = (
        [f"Published figures are {comparison.published.selected}."] if comparison.published.selected else []
    )
    if quoted:
        found.append(
            f"{UNLIKE} published figures of {'; '.join(quoted)}: quoted from elsewhere, measured by other "
            "protocols; ours are trained and tested by this paper's."
        )
    found += [f"{UNLIKE} test {line.printed['test']}: {words}." for words, line in unlike.items()]
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


def shown(comparison: Comparison, report: Findings) -> list[dict[str, str]]:
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
                cells |= _measured(comparison, line, interval_of(line, report))
            elif figure in COUNTED:
                counted, apart = line.counted.get(COUNTED[figure]), line.difference_percent(figure)
                cells[f"{name} ours"] = "" if counted is None else f"{counted:.2f}"
                cells[f"{name} difference"] = "" if apart is None else f"{apart:+.1f} %"
        found.append(cells)
    return found


def _measured(comparison: Comparison, line: Line, interval: Interval | None) -> dict[str, str]:
    """The cells of a row's own measurement; if there is none yet, where its runs stand."""
    mark = f" {UNLIKE}" if comparison.unlike(line) else ""
    states = [run.status().state for run in line.runs if run.path.exists()]
    words = dict.fromkeys("not tested" if state is State.DONE else str(state) for state in states)
    spread = "" if line.std is None else f" ± {100 * line.std:.2f}"
    found = "" if line.mean is None else f"{100 * line.mean:.2f}{spread}{mark}"
    apart = comparison.difference(line)
    ends = ""
    if apart is not None and interval and interval.low is not None and interval.high is not None:
        low, high = (apart + 100 * (end - interval.value) for end in (interval.low, interval.high))
        ends = f" ({low:+.2f} to {high:+.2f})"
    lacking = f" of {len(line.runs)}" if len(line.runs) > len(line.tests) else ""
    return {
        "ours": found or ", ".join(words) or (QUOTED if line.quoted else MISSING),
        "ours 95 %": "" if interval is None else span(interval),
        "difference": "" if apart is None else f"{apart:+.2f}{ends}{mark}",
        "seeds": f"{len(line.tests)}{lacking}" if line.tests else "",
    }


def _ends(interval: Interval | None) -> dict[str, float | None]:
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {"miou_low": low and 100 * low, "miou_high": high and 100 * high}


def flat(comparison: Comparison, report: Findings) -> list[dict[str, Any]]:
    """The rows as plain values: as printed, `published_…` and our own figures, runs and protocol."""
    table = comparison.published
    return [
        {
            **{key: line.printed.get(key) for key in table.columns()},
            "quoted": line.quoted,
            **{f"published_{figure}": line.printed.get(figure) for figure in table.figures()},
            "miou": None if line.mean is None else 100 * line.mean,
            "miou_std": None if line.std is None else 100 * line.std,
            **_ends(interval_of(line, report)),
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
