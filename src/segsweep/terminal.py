"""Text for people: lines, numbers and durations for terminals and pages, and a progress bar."""

import csv
import io
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

MARKUP = re.compile(r"([\\`*~|])|(?<!\w)(_)|(_)(?!\w)|(\[)(?=[^\]]*\]\()")
"""Markdown's code, emphasis, table cells, links and pictures; not an underscore within a word."""


def one_line(text: str) -> str:
    """Return text on one line, with control characters escaped."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Return text with control characters escaped, so that a terminal does not obey them."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def escape_markdown(text: object) -> str:
    """Return text on one line that Markdown shows literally: no HTML, markup, link or new table cell."""
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return MARKUP.sub(lambda match: f"\\{match[0]}", line)


def cell(value: Any) -> str:
    """Return a value as a table shows it: on one line, floats with four significant digits."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "[" + ",".join(map(cell, value)) + "]" if isinstance(value, list) else one_line(str(value))


FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters with which a formula begins in a spreadsheet."""


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as CSV; text that a spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        formulas = {k: f"'{v}" for k, v in row.items() if isinstance(v, str) and v.startswith(FORMULA)}
        writer.writerow({**row, **formulas})
    return text.getvalue()


def percent(share: float | None) -> str | None:
    """Return a share such as mIoU in %, without the sign; None for None."""
    return None if share is None else f"{100 * share:.2f}"


def clock(seconds: float | None) -> str:
    """Return a duration as hours, minutes and seconds, `0:02:05`; empty for None."""
    return "" if seconds is None else str(timedelta(seconds=round(seconds)))


def took(seconds: float, trained: float) -> str:
    """Return how long a run took, and how much of that was training."""
    return f"{clock(seconds)} ({clock(max(0.0, trained))} of it training)"


def mebibytes(size: int) -> str:
    """Return a size in bytes as MiB."""
    return f"{size / 2**20:,.1f} MiB"


def plural(number: int, noun: str) -> str:
    """Return `1 run`, `2 runs`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def width() -> int | None:
    """Return the width of the terminal, or COLUMNS; None without either, as in a pipe."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS", "").isdigit():
        return None
    return shutil.get_terminal_size().columns


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr if that is a terminal; call the function that this yields with (done, total)."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
