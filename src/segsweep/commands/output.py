"""Tables for people and for programs: `format=table|json|csv`, with nothing but the data on stdout."""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from segsweep.commands import fitting
from segsweep.errors import ConfigError, near
from segsweep.terminal import cell, one_line, width

FORMATS = ("table", "json", "csv")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
Row = Mapping[str, Any]


def check_format(name: str) -> None:
    """Raise ConfigError for a format that does not exist."""
    if name not in FORMATS:
        raise ConfigError(f"format={name}: {near(name, FORMATS)}")


def print_rows(
    rows: Sequence[Row],
    format: str,
    title: str = "",
    columns: Sequence[str] | None = None,
    first_to_go: Sequence[str] = (),
    fold: str | None = None,
) -> None:
    """Print rows of equal keys; in a table, numbers are rounded for reading, elsewhere they are whole.

    A table is as wide as the terminal at most: see `fitting`. `fold` names a last column of long text that is
    folded and not cut.
    """
    check_format(format)
    columns = list(columns or (rows[0] if rows else ()))
    if format == "json":
        json.dump([dict(row) for row in rows], sys.stdout, indent=1)
        print()
    elif format == "csv":
        writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _csv_cell(value) for key, value in row.items()} for row in rows)
    elif not rows:
        print(f"{one_line(title)}: none")
    else:
        _print_table(rows, title, columns, first_to_go, fold)


def _print_table(
    rows: Sequence[Row], title: str, columns: Sequence[str], first_to_go: Sequence[str], fold: str | None
) -> None:
    room = width()
    all_columns = [
        fitting.Column(one_line(name), [cell(row.get(name)) for row in rows], is_folded=name == fold)
        for name in columns
    ]
    kept = fitting.fit(all_columns, room, first_to_go)
    print(*([one_line(title)] if title else ()), "", *fitting.lines(kept), sep="\n")
    if left_out := [column.name for column in all_columns if column not in kept]:
        print(fitting.cut(f"  no room for: {', '.join(left_out)}", room or sys.maxsize))
    print()


def _csv_cell(value: Any) -> Any:
    """A value for a spreadsheet, which takes text that begins so for a formula: an apostrophe marks text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
