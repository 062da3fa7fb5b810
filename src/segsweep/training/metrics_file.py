"""A CSV file that only grows, and that a resumed run truncates to its checkpoint."""

import csv
import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from segsweep.files import fsync

log = logging.getLogger("segsweep")


class MetricsFile:
    """Rows with a first column `step`, flushed as they are written.

    Steps never decrease, so `rewind` leaves exactly the rows of an uninterrupted run up to a step. It also
    drops a line that a kill cut in half.
    """

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.path, self.columns = path, columns

    def rewind(self, step: int) -> int:
        """Keep the header and whole rows up to `step`, or create the file; return the number of rows kept."""
        kept = [_line(self.columns)]
        if self.path.is_file():
            text = self.path.read_text("utf-8", errors="replace")
            header, *lines = text[: text.rfind("\n") + 1].split("\n")[:-1] or [""]
            widths = {len(self.columns), len(_values(header))}
            for number, line in enumerate(lines, 2):
                at = _step(line, widths)
                if at is None:
                    log.warning(f"{self.path}: line {number} is damaged and left out: {line!r:.100}")
                elif at <= step:
                    kept.append(line)
        temporary = self.path.with_name(self.path.name + ".tmp")
        with temporary.open("w") as file:
            file.write("\n".join(kept) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        return len(kept) - 1

    def sync(self) -> None:
        """Make sure that all rows are on disk."""
        if self.path.exists():
            fsync(self.path)

    def append(self, row: Mapping[str, float | int | None]) -> None:
        """Append a row; missing columns stay empty, floats keep every digit."""
        values = [row.get(name) for name in self.columns]
        line = _line(["" if value is None else repr(value) for value in values])
        with self.path.open("a") as file:
            file.write(line + "\n")

    @staticmethod
    def read(path: Path) -> Iterator[dict[str, float]]:
        """Yield the rows of a file as numbers, without empty columns and damaged rows."""
        if not path.is_file():
            return
        header, *lines = path.read_text("utf-8", errors="replace").split("\n")
        names = _values(header)
        for line in lines:
            if "step" in names and _step(line, {len(names)}) is not None:
                yield {name: float(value) for name, value in zip(names, _values(line), strict=True) if value}


def _line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(cells)
    return buffer.getvalue()


def _values(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return []


def _step(line: str, widths: set[int]) -> int | None:
    """Return the step of a row whose number of values is in `widths`; None for any other line."""
    step, *values = _values(line) or [""]
    try:
        [float(value) for value in values if value]
    except ValueError:
        return None
    return int(step) if step.isdecimal() and 1 + len(values) in widths else None
