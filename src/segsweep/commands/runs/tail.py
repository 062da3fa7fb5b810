"""`segsweep runs tail`: the end of a run's log, and what is added to it."""

import sys
import time
from pathlib import Path

from segsweep.failures import log_tail
from segsweep.runs.folder import RunFolder

POLL = 0.5
"""Seconds between two looks at a log."""
ENDED = ("done", "failed", "interrupted")


def tail(run: RunFolder, lines: int, follow: bool) -> int:
    """Print the last lines of log.txt; with `follow` go on until nothing works on the run or Ctrl-C comes."""
    try:
        at = _size(run.log)
        for line in log_tail(run.log, lines) if lines else ():
            print(line)
        sys.stdout.flush()
        if follow:
            _follow(run, at)
    except KeyboardInterrupt:
        return 130
    return 0


def _follow(run: RunFolder, at: int) -> None:
    ended = False
    while not ended:
        # Before the reading: what a run said last is on disk when it is seen to have ended.
        ended = _has_ended(run)
        at = _print_from(run.log, at)
        time.sleep(0 if ended else POLL)


def _print_from(log: Path, at: int) -> int:
    """Print what stands behind a place in the file; the place behind that.

    A file that became shorter was begun anew, and is read from its beginning.
    """
    size = _size(log)
    if size == at:
        return at
    with log.open("rb") as file:
        file.seek(at if at < size else 0)
        content = file.read()
        sys.stdout.write(content.decode(errors="replace"))
        sys.stdout.flush()
        return file.tell()


def _has_ended(run: RunFolder) -> bool:
    return run.holder() is None and run.status()["state"] in ENDED


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0  # not begun yet
