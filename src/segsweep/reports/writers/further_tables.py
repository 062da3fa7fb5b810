"""What follows a report's results in Markdown and LaTeX: effects of options, and IoU by object size."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from segsweep.evaluation.objects import BOUNDS, OBJECT_SIZES
from segsweep.reports.findings.fields import Findings, Interval, Protocol
from segsweep.reports.writers.text_table import Column, TextCell, TextTable, difference, span
from segsweep.runs.compare import MISSING

OF_EFFECTS = (
    "mIoU in points, with the second value of the option minus with the first, averaged over the other "
    "options, and its 95 % interval over images for each effect alone; interaction: by how much that other "
    "change alters the effect"
)
OF_SIZES = (
    "mIoU in % of the pixels of objects (connected components of the truth): small ones below {:.2g} % of "
    "the image, large ones from {:.2g} % on; in brackets a 95 % interval over images, far to one side where "
    "resamples lack a class that has such objects in few images; a class without any is not in the mean, so "
    "compare rows, not columns"
)


def further_tables(report: Findings) -> list[TextTable]:
    """Return a table of effects and one of object sizes for each protocol, without those that are empty."""
    found = [make(report, protocol) for protocol in report.protocols for make in (_effects, _sizes)]
    return [table for table in found if table.rows]


def _effects(report: Findings, protocol: Protocol) -> TextTable:
    of_change: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for each in (each for each in report.effects if each["protocol"] == protocol.id):
        words = f"{each['factor']}: {each['from']} → {each['to']}", each["with"] or ""
        of_change.setdefault(words, {})[each["strategy"]] = each
    strategies = [name for name in report.strategies if any(name in found for found in of_change.values())]
    rows = [
        (*map(TextCell, words), *(TextCell(_points(found.get(name))) for name in strategies))
        for words, found in of_change.items()
    ]
    lacking = [one for found in of_change.values() for each in found.values() for one in each["missing"]]
    missing = f"; not measured: {', '.join(dict.fromkeys(lacking))}" if lacking else ""
    names = [
        Column("change"),
        Column("interaction with"),
        *(Column(name, number=True) for name in strategies),
    ]
    return _table(protocol, "effects of the options", names, rows, f"{OF_EFFECTS}{missing}.")


def _points(effect: Mapping[str, Any] | None) -> str:
    if effect is None or math.isnan(effect["value"]):
        return MISSING
    return difference(Interval(effect["value"], effect["low"], effect["high"]))


def _sizes(report: Findings, protocol: Protocol) -> TextTable:
    own = [row for row in report.rows if row.protocol == protocol.id]
    of_rows = {row.label: {name: cell.sizes for name, cell in row.cells.items() if cell.sizes} for row in own}
    strategies = [name for name in report.strategies if any(name in found for found in of_rows.values())]
    columns = [Column(f"{name} {size}", True, name) for name in strategies for size in OBJECT_SIZES]
    rows = [
        (TextCell(label), *(cell for name in strategies for cell in _cells(found.get(name))))
        for label, found in of_rows.items()
        if found
    ]
    older = [row.label for row in own if len(of_rows[row.label]) < len(row.cells)]
    lacking = (
        f"; tests without counts by size, of older versions or damaged: {', '.join(older)}" if older else ""
    )
    caption = OF_SIZES.format(*(float(100 * bound) for bound in BOUNDS))
    return _table(
        protocol, "IoU by object size", [Column("configuration"), *columns], rows, f"{caption}{lacking}."
    )


def _cells(sizes: Sequence[Interval] | None) -> list[TextCell]:
    if sizes is None:
        return [TextCell(MISSING)] * len(OBJECT_SIZES)
    return [
        TextCell(MISSING if math.isnan(each.value) else f"{100 * each.value:.2f} ({span(each)})")
        for each in sizes
    ]


def _table(
    protocol: Protocol,
    what: str,
    columns: Sequence[Column],
    rows: Sequence[tuple[TextCell, ...]],
    caption: str,
) -> TextTable:
    heading = f"{protocol.card['dataset']} {protocol.card['split']}: {what}"
    return TextTable(heading, protocol.text, tuple(columns), tuple(rows), caption)
