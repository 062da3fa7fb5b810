"""`segsweep runs sweeps`: the sweeps of a folder of runs, one per row."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from segsweep.commands.options import RUNS_DIR, parse_words
from segsweep.commands.output import check_format, print_rows
from segsweep.errors import ConfigError, DamagedFileError
from segsweep.runs import layout
from segsweep.runs.contents import State
from segsweep.runs.folder import RunFolder
from segsweep.runs.journal import LEFT_OUT, Event, Journal
from segsweep.sweeps.sweep import names

HELP = """usage: segsweep runs sweeps [key=value ...]

List the sweeps: how many of their runs are in which state, and when and where the last event was.

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  format=table       table, json or csv
"""
log = logging.getLogger("segsweep")

REMOVED = "removed"
STATES = ("done", "failed", "interrupted", "running", LEFT_OUT, "planned", REMOVED)
"""States as run folders have them; only the journal knows which planned runs were left out."""


def main(arguments: Sequence[str]) -> int:
    """List the sweeps of a folder of runs; return the exit status."""
    words, asked = parse_words(arguments, {"runs_dir": RUNS_DIR, "format": "table"})
    check_format(asked["format"])
    if words:
        raise ConfigError(
            f"runs sweeps {words[0]}: sweeps takes no names; segsweep runs sweep=NAME lists its runs"
        )
    found = rows(Path(asked["runs_dir"]))
    shown = for_people(found) if asked["format"] == "table" else found
    print_rows(shown, asked["format"], title=f"sweeps in {asked['runs_dir']}")
    return 0


def rows(runs_dir: Path) -> list[dict[str, Any]]:
    """Return a row per sweep: its members by state, and its last event."""
    return [_row(runs_dir, journal) for journal in readable(runs_dir)]


def readable(runs_dir: Path) -> Iterator[Journal]:
    """Yield the sweeps of a folder; one with a damaged record is left out, with a warning."""
    for journal in (Journal(runs_dir, name) for name in names(runs_dir)):
        try:
            journal.read()
        except DamagedFileError as error:
            log.warning(f"left out: {error}")
        else:
            yield journal


def for_people(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with readable times, and without states that no run is in."""
    hidden = [state for state in STATES if not any(row[state] for row in rows)]
    shown = [{key: value for key, value in row.items() if key not in hidden} for row in rows]
    for row in shown:
        last = row.pop("last")
        row["last event"] = last and time.strftime("%F %T", time.localtime(last))
        row["on"] = row.pop("host")
    return shown


def numbers(runs_dir: Path) -> dict[str, dict[str, int]]:
    """Return the numbers of each sweep's members, by the sweep's name and the run's id."""
    return {journal.name: journal.numbers() for journal in readable(runs_dir)}


def of_run(run: RunFolder) -> dict[str, int]:
    """Return the sweeps that have a run as a member, with its number in each."""
    return {name: known[run.id] for name, known in numbers(run.path.parent).items() if run.id in known}


def _row(runs_dir: Path, journal: Journal) -> dict[str, Any]:
    events = journal.states()
    members = [member.run for member in journal.members()]
    states = Counter(_state(runs_dir / run, events.get(run)) for run in members)
    last = max(events.values(), key=lambda event: event.time, default=None)
    return {
        "sweep": journal.name,
        "members": len(members),
        **{state: states[state] for state in STATES},
        "last": last and last.time,
        "host": last and last.host,
    }


def _state(run: Path, last: Event | None) -> str:
    if not layout.is_run(run):
        return REMOVED
    state = RunFolder(run).status().state
    return LEFT_OUT if state is State.PLANNED and last and last.state is LEFT_OUT else state
