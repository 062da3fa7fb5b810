"""`segsweep runs tail`: the end of a run's log, and what is added to it."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from segsweep.commands.options import RUNS_DIR, parse_words
from segsweep.commands.runs.choice import one_run
from segsweep.errors import OptionError
from segsweep.failures import log_tail
from segsweep.runs.folder import RunFolder

HELP = """usage: segsweep runs tail ID [key=value ...]

Print the end of a run's log.txt.

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  lines=20           how many lines
  follow=false       print what is added until the run ends (or Ctrl-C)
"""
POLL = 0.5
"""Seconds between two reads of a log."""
ENDED = ("done", "failed", "interrupted")


def main(arguments: Sequence[str]) -> int:
    """Print the last lines of log.txt; with `follow`, continue until the run ends or Ctrl-C is pressed."""
    words, asked = parse_words(arguments, {"runs_dir": RUNS_DIR, "lines": 20, "follow": False})
    lines = asked["lines"]
    if type(lines) is not int or lines < 0:
        raise OptionError("lines", lines, "a number of lines, 0 or more")
    run = one_run("tail", words, asked["runs_dir"])
    try:
        at = _size(run.log)
        for line in log_tail(run.log, lines) if lines else ():
            print(line)
        sys.stdout.flush()
        if asked["follow"]:
            _follow(run, at)
    except KeyboardInterrupt:
        return 130
    return 0


def _follow(run: RunFolder, at: int) -> None:
    """Print what is added to the log after a position, until no process works on the run."""
    ended = False
    while not ended:
        # Checked before reading: once the run is seen to have ended, its last lines are on disk.
        ended = run.holder() is None and run.status().state in ENDED
        if (size := _size(run.log)) != at:
            with run.log.open("rb") as file:
                file.seek(at if at < size else 0)  # a file that became shorter was restarted
                sys.stdout.write(file.read().decode(errors="replace"))
                sys.stdout.flush()
                at = file.tell()
        time.sleep(0 if ended else POLL)


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0  # not started yet
