"""Tables for people and for programs: `format=table|json|csv`, with nothing but the data on stdout."""

import csv
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from segsweep.errors import ConfigError, near

FORMATS = ("table", "json", "csv")
Row = Mapping[str, Any]


def check_format(name: str) -> None:
    """Raise ConfigError for a format that does not exist."""
    if name not in FORMATS:
        raise ConfigError(f"format={name}: {near(name, FORMATS)}")


def print_rows(
    rows: Sequence[Row], format: str, title: str = "", columns: Sequence[str] | None = None
) -> None:
    """Print rows of equal keys; in a table, numbers are rounded for reading, elsewhere they are whole."""
    check_format(format)
    columns = list(columns or (rows[0] if rows else ()))
    if format == "json":
        json.dump([dict(row) for row in rows], sys.stdout, indent=1)
        print()
    elif format == "csv":
        writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif not rows:
        print(f"{title}: none")
    else:
        _print_table(rows, title, columns)


def _print_table(rows: Sequence[Row], title: str, columns: Sequence[str]) -> None:
    """Print as it stands what the terminal has room for, a thousand rows in no time; fold what it has not."""
    lines = [list(columns), *([cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if room is not None and sum(widths) + 3 * len(widths) + 1 > room:
        _print_folded(rows, title, columns)
        return
    header, *body = ("   ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    rule = "─" * (sum(widths) + 3 * len(widths) - 1)
    print(*([title] if title else ()), "", f"  {header}", f" {rule}", sep="\n")
    print(*(f"  {line}" for line in body), "", sep="\n")


def _print_folded(rows: Sequence[Row], title: str, columns: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "run"))
    for row in rows:
        # As Text: the brackets of a list of rates are no markup.
        table.add_row(*(Text(cell(row.get(column))) for column in columns))
    console = Console()
    if title:
        console.print(Text(title))
    console.print(table)


def cell(value: Any) -> str:
    """A value as it stands in a table."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "[" + ",".join(map(cell, value)) + "]" if isinstance(value, list) else str(value)
