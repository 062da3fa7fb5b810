"""Fit a table of text to a terminal: one line a row, however narrow it is.

If the columns do not fit, some are left out, in an order that the caller states, and then long text is cut
with "…". Figures are shown whole or not at all.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

GAP = 2
"""Spaces between two columns, and before the first."""
SHORTEST = 10
"""Characters that text keeps when it is cut."""
SHORTEST_FOLDED = 24
SHORTEST_FIRST = 40
"""The first column tells the rows apart, and their names may begin alike."""
ELLIPSIS = "…"
ID = re.compile("[0-9a-f]{12}|")
"""A run's id is there to be copied, and never cut."""
NUMBER = re.compile(r"[-<]?[\d.,]+%?( ± [\d.]+)?|[\d:/]+|–|nan|")


@dataclass
class Column:
    """A column's heading and cells, and the width that they get."""

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
        """The cell of a row at the column's width; numbers stand on the right."""
        text = cut(self.cells[index], self.width)
        return text.rjust(self.width) if self.is_number else text.ljust(self.width)

    def heading(self) -> str:
        """The name at the column's width: of a dotted one the end says most."""
        name = self.name
        if len(name) > self.width:
            name = ELLIPSIS + name[1 - self.width :] if "." in name else cut(name, self.width)
        return name.rjust(self.width) if self.is_number else name.ljust(self.width)


def cut(text: str, width: int) -> str:
    """The beginning of a text that is too long, with "…" at its end."""
    return text if len(text) <= width else text[: width - 1] + ELLIPSIS


def fit(columns: Sequence[Column], room: int | None, first_to_go: Sequence[str]) -> list[Column]:
    """Set the columns' widths so that a line has at most `room` characters; the columns that are left.

    `first_to_go` names the columns that are left out first, in order; after them go the others from the
    right. The first column always stays, and is cut last.
    """
    kept = list(columns)
    if room is None:
        return kept
    columns[0].least = min(columns[0].width, SHORTEST_FIRST)
    named = [column for name in first_to_go for column in columns[1:] if column.name == name]
    others = [column for column in reversed(columns[1:]) if column not in named]
    for column in [*named, *others]:
        if _total([each.least for each in kept]) <= room:
            break
        kept.remove(column)
    while _total([column.width for column in kept]) > room:
        widest = max(kept, key=lambda one: (one.width > one.least, one.is_folded, one.width))
        if widest.width == widest.least:
            break  # the first column alone is wider than the terminal
        widest.width -= 1
    return kept


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * len(widths)


def lines(columns: Sequence[Column]) -> list[str]:
    """Heading, rule and rows of columns that are fitted."""
    gap = " " * GAP
    heading = gap + gap.join(column.heading() for column in columns)
    found = [heading.rstrip(), " " + "─" * (_total([column.width for column in columns]) - 1)]
    for index in range(len(columns[0].cells)):
        *before, last = columns
        line = gap + "".join(column.line(index) + gap for column in before)
        first, *others = _folded(last, index) if last.is_folded else [last.line(index)]
        found += [(line + first).rstrip(), *(" " * len(line) + other for other in others)]
    return found


def _folded(column: Column, index: int) -> list[str]:
    return textwrap.wrap(column.cells[index], column.width, break_on_hyphens=False) or [""]
