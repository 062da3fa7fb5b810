"""Tables for people and for programs: `format=table|json|csv`, with only the data on stdout.

A table for people has one line per row, however narrow the terminal is. If the columns do not fit, some are
left out, in an order that the caller gives, and then long text is cut with "…". Figures are never cut.
"""

import json
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsweep.errors import OptionError
from segsweep.terminal import cell, csv_text, one_line, width

FORMATS = ("table", "json", "csv")
GAP = 2
"""Spaces between two columns, and before the first."""
SHORTEST = 10
"""The fewest characters to which text is cut."""
SHORTEST_FOLDED = 24
SHORTEST_FIRST = 40
"""The same for the first column, which tells the rows apart although its texts may begin alike."""
ELLIPSIS = "…"
ID = re.compile("[0-9a-f]{12}|")
"""A run's id is never cut, so that it can be copied."""
NUMBER = re.compile(r"[-+<]?[\d.,]+%?( ± [\d.]+)?( \([^()]*\))?( ≠)?|[\d:/]+|[\d.]+–[\d.]+|–|nan|")
"""Numbers, with their spread, interval or mark."""
Row = Mapping[str, Any]


@dataclass
class Column:
    """A column's heading and cells, and their width on the terminal."""

    name: str
    cells: list[str]
    is_folded: bool = False
    """Whether long cells are folded instead of cut; for the last column of a table."""
    width: int = 0

    def __post_init__(self) -> None:
        self.is_number = all(NUMBER.fullmatch(cell) for cell in self.cells)
        body = max(map(len, self.cells), default=0)
        self.width = max(body, len(self.name))
        is_whole = self.is_number or all(map(ID.fullmatch, self.cells))
        kept = body if is_whole else min(body, SHORTEST_FOLDED if self.is_folded else SHORTEST)
        self.least = max(kept, min(len(self.name), SHORTEST))

    def line(self, index: int) -> str:
        """Return the cell of a row at the column's width; numbers are aligned right."""
        text = cut(self.cells[index], self.width)
        return text.rjust(self.width) if self.is_number else text.ljust(self.width)

    def lines(self, index: int) -> list[str]:
        """Return the cell of a row as lines of the column's width; one line unless the column is folded."""
        if not self.is_folded:
            return [self.line(index)]
        return textwrap.wrap(self.cells[index], self.width, break_on_hyphens=False) or [""]

    def heading(self) -> str:
        """Return the name at the column's width; a dotted name keeps its end, which says most."""
        name = self.name
        if len(name) > self.width:
            name = ELLIPSIS + name[1 - self.width :] if "." in name else cut(name, self.width)
        return name.rjust(self.width) if self.is_number else name.ljust(self.width)


def check_format(name: str) -> None:
    """Raise OptionError for an unknown format."""
    if name not in FORMATS:
        raise OptionError("format", name, near=FORMATS)


def print_rows(
    rows: Sequence[Row],
    format: str,
    title: str = "",
    columns: Sequence[str] | None = None,
    first_to_go: Sequence[str] = (),
    fold: str | None = None,
) -> None:
    """Print rows with equal keys; numbers are rounded in a table, and unchanged in the other formats.

    A table is at most as wide as the terminal; `first_to_go` names the columns that it leaves out first.
    `fold` names a last column of long text, to be folded instead of cut.
    """
    check_format(format)
    names = list(columns or (rows[0] if rows else ()))
    if format == "json":
        json.dump([dict(row) for row in rows], sys.stdout, indent=1)
        print()
    elif format == "csv":
        sys.stdout.write(csv_text(rows, names))
    elif not rows:
        print(f"{one_line(title)}: none")
    else:
        room = width()
        found = [Column(one_line(n), [cell(row.get(n)) for row in rows], is_folded=n == fold) for n in names]
        kept = fit(found, room, first_to_go)
        print(*([one_line(title)] if title else ()), "", *lines(kept), sep="\n")
        if left_out := [column.name for column in found if column not in kept]:
            print(cut(f"  no room for: {', '.join(left_out)}", room or sys.maxsize))
        print()


def cut(text: str, width: int) -> str:
    """Return the text, cut to `width` characters with "…" at its end if it is longer."""
    return text if len(text) <= width else text[: width - 1] + ELLIPSIS


def fit(columns: Sequence[Column], room: int | None, first_to_go: Sequence[str]) -> list[Column]:
    """Set the columns' widths so that a line has at most `room` characters; return the columns that are kept.

    Columns are left out in the order of `first_to_go`, then from the right. The first one is always kept,
    and is cut last.
    """
    kept = list(columns)
    if room is None:
        return kept
    columns[0].least = min(columns[0].width, SHORTEST_FIRST)
    named = [column for name in first_to_go for column in columns[1:] if column.name == name]
    others = [column for column in reversed(columns[1:]) if column not in named]
    for column in [*named, *others]:
        if sum(each.least + GAP for each in kept) <= room:
            break
        kept.remove(column)
    while sum(column.width + GAP for column in kept) > room:
        widest = max(kept, key=lambda one: (one.width > one.least, one.is_folded, one.width))
        if widest.width == widest.least:
            break  # the first column alone is wider than the terminal
        widest.width -= 1
    return kept


def lines(columns: Sequence[Column]) -> list[str]:
    """Return heading, rule and rows of fitted columns."""
    gap = " " * GAP
    heading = gap + gap.join(column.heading() for column in columns)
    found = [heading.rstrip(), " " + "─" * (sum(column.width + GAP for column in columns) - 1)]
    *before, last = columns
    for index in range(len(last.cells)):
        line = gap + "".join(column.line(index) + gap for column in before)
        first, *others = last.lines(index)
        found += [(line + first).rstrip(), *(" " * len(line) + other for other in others)]
    return found
