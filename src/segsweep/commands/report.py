"""`segsweep report`: finished runs as one page, in Markdown and HTML, and as a table on the terminal.

For an experiment that repeats a published table, the published figures stand beside the measured ones.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segsweep.commands.options import RUNS_DIR, parse, split
from segsweep.commands.output import check_format, print_rows
from segsweep.errors import ConfigError, UserError
from segsweep.reports import absent, page
from segsweep.reports.table import FIRST_TO_GO, Table, shown, tables
from segsweep.runs.folder import all_runs
from segsweep.sweeps.sweep import Sweep

HELP = """usage: segsweep report [EXPERIMENT] [key=value ...]

Write report.md and report.html of the tested runs, and print their table; unfinished runs are listed with
their state. For an experiment that repeats a paper's table, such as ksac/table2, the published figures stand
beside the measured ones; runs that were trained with other values are found by the same overrides:
segsweep report ksac/table2 dataset=shapes seed=0,1

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  sweep=NAME         only the runs of one sweep
  out=report         folder to write to
  format=table       what is printed: table, json or csv
  title=TEXT         heading of the page
"""
DEFAULTS = {
    "runs_dir": RUNS_DIR, "sweep": None, "out": "report", "format": "table", "title": "segsweep report"
}  # fmt: skip
OF_PAPER = ("out", "format", "title")
"""The options that may follow an experiment's name; any other argument is an override of its runs."""


def main(arguments: Sequence[str]) -> int:
    """Write the report, print its table and return the exit status."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP, end="")
        return 0
    names = [a for a in arguments if "=" not in a and not a.startswith("-")]
    if names:
        return _compare(names, [a for a in arguments if a not in names])
    options = parse(arguments, DEFAULTS)
    check_format(options["format"])
    runs_dir = Path(options["runs_dir"])
    sweep = Sweep.read(runs_dir, options["sweep"]) if options["sweep"] else None
    runs = sweep.runs if sweep else all_runs(runs_dir)
    lacking, found = absent.rows(runs, sweep), tables(runs)
    if not found:
        there = f": {absent.how_many(lacking)}" if lacking else ""
        raise UserError(f"runs_dir={runs_dir}: no tested run there{there}; segsweep train makes some")
    page.write_report(runs, lacking, found, Path(options["out"]), options["title"])
    print_report(found, lacking, options["format"])
    return 0


def _compare(names: Sequence[str], arguments: Sequence[str]) -> int:
    """Report one experiment beside the table that it repeats; return the exit status."""
    from segsweep.reports import paper_page  # imports torch
    from segsweep.reports.paper import compared

    if len(names) > 1:
        raise ConfigError(
            f"{' '.join(names)}: expected one experiment; segsweep report takes them one by one"
        )
    own, others = split(arguments, OF_PAPER)
    asked = parse(own, {key: DEFAULTS[key] for key in OF_PAPER})
    check_format(asked["format"])
    comparison = compared(names[0], others)
    paper_page.write(comparison, Path(asked["out"]), asked["title"])
    if asked["format"] != "table":
        print_rows(paper_page.flat(comparison), asked["format"])
        return 0
    print_rows(paper_page.shown(comparison), "table", title=paper_page.heading(comparison))
    for note in paper_page.notes(comparison):
        print(note)
    return 0


def print_report(found: Sequence[Table], lacking: Sequence[Mapping[str, str]], format: str) -> None:
    """Print the tables and the runs missing from them; as data, one list of rows with protocol or reason."""
    if format == "table":
        for table in found:
            print_rows(shown(table), format, title=f"mIoU in %, {table.measured}", first_to_go=FIRST_TO_GO)
        if lacking:
            print_rows(lacking, format, title=f"not in the tables: {absent.how_many(lacking)}", fold="why")
        return
    rows: list[dict[str, Any]] = [{**row, "state": "done"} for table in found for row in table.flat()]
    rows += [{**row, "runs": [row["run"]]} for row in lacking]
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "run"))
    print_rows([{key: row.get(key) for key in columns} for row in rows], format, columns=columns)
