"""Text for people: lines, numbers and times as a terminal or a page shows them, and a progress bar."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

MARKUP = re.compile(r"([\\`*~|])|(?<!\w)(_)|(_)(?!\w)|(\[)(?=[^\]]*\]\()")
"""Markdown's code, emphasis, table cells, links and pictures; not an underscore within a word."""


def one_line(text: str) -> str:
    """Text on one line, whatever white space and control characters it contains."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Text with its control characters escaped, so that a terminal does not obey them."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def escape_markdown(text: object) -> str:
    """Text on one line that Markdown shows as it stands: no HTML, markup, link or new table cell."""
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return MARKUP.sub(lambda match: f"\\{match[0]}", line)


def cell(value: Any) -> str:
    """A value as it stands in a table, on one line; numbers are rounded to four digits."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "[" + ",".join(map(cell, value)) + "]" if isinstance(value, list) else one_line(str(value))


def percent(share: float | None) -> str | None:
    """A share such as mIoU in %, without the sign; None for None."""
    return None if share is None else f"{100 * share:.2f}"


def clock(seconds: float | None) -> str:
    """A time as hours, minutes and seconds, `0:02:05`; empty for None."""
    return "" if seconds is None else str(timedelta(seconds=round(seconds)))


def took(seconds: float, trained: float) -> str:
    """How long a run took by the clock, and how much of that was training."""
    return f"{clock(seconds)} ({clock(max(0.0, trained))} of it training)"


def mebibytes(size: int) -> str:
    """A size in bytes, in MiB."""
    return f"{size / 2**20:,.1f} MiB"


def plural(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def width() -> int | None:
    """Characters in a line of the terminal, or as COLUMNS says; None without either, as in a pipe."""
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
