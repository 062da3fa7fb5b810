"""A report's cells as flat rows of plain values, for CSV and for other programs."""

from collections.abc import Mapping
from typing import Any

from segsweep.reports.findings.fields import ALL_DIGITS, Cell, Findings, plain

FIGURES = ("pixel_accuracy", "fwiou", "boundary_iou")


def flat_rows(report: Findings) -> list[dict[str, Any]]:
    """Return a row for each configuration: axes, state, sizes, each strategy's figures, runs and protocol.

    Figures are fractions. `single` is the mIoU under that strategy, `single_low` and `single_high` the ends
    of its interval, `single_difference` that to the baseline, and so on.
    """
    cards = {protocol.id: protocol.card for protocol in report.protocols}
    keys = list(dict.fromkeys(key for card in cards.values() for key in card))
    found = []
    for row in report.rows:
        card: Mapping[str, Any] = cards.get(row.protocol or "", {})
        figures = [_cell(name, row.cells.get(name)) for name in report.strategies]
        values = {
            **{key: row.settings.get(key) for key in report.columns},
            "state": row.state,
            "why": row.why,
            "command": row.command,
            "params": row.params,
            "macs": row.macs,
            "latency_ms": row.latency_ms,
            **{key: value for each in figures for key, value in each.items()},
            "runs": list(row.runs),
            "remarks": row.remarks,
            "unlike": list(row.unlike),
            **{f"protocol.{key}": card.get(key) for key in keys},
        }
        found.append(plain(values, ALL_DIGITS))
    return found


def _cell(name: str, cell: Cell | None) -> dict[str, Any]:
    difference = cell and cell.difference
    return {
        name: cell and cell.miou.value,
        f"{name}_std": cell and cell.std,
        f"{name}_seeds": len(cell.seeds) if cell else 0,
        f"{name}_low": cell and cell.miou.low,
        f"{name}_high": cell and cell.miou.high,
        f"{name}_letters": cell and cell.letters,
        f"{name}_best": cell and cell.best,
        f"{name}_difference": difference and difference.value,
        f"{name}_difference_low": difference and difference.low,
        f"{name}_difference_high": difference and difference.high,
        f"{name}_p": difference and difference.p,
        f"{name}_p_holm": difference and difference.p_holm,
        f"{name}_verdict": difference and difference.verdict,
        **{f"{name}_{figure}": cell and getattr(cell, figure).value for figure in FIGURES},
    }
