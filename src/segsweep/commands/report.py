"""`segsweep report`: what some runs say, as a folder to read and paste from, and in short on the terminal.

For an experiment that repeats a published table, the published figures stand beside the measured ones.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segsweep.commands.options import RUNS_DIR, parse, split
from segsweep.commands.output import check_format, print_rows
from segsweep.commands.runs.choice import chosen
from segsweep.config import groups as config_files
from segsweep.errors import ConfigError, OptionError, UserError, near
from segsweep.reports.findings.assemble import Wish, findings
from segsweep.reports.findings.fields import Findings
from segsweep.reports.findings.members import the_configuration
from segsweep.reports.findings.sentences import summary
from segsweep.reports.writers.flat_rows import flat_rows
from segsweep.reports.writers.text_table import text_tables
from segsweep.reports.writers.written import write_report
from segsweep.rules import is_whole
from segsweep.runs.folder import RunFolder, all_runs
from segsweep.sweeps.sweep import Sweep

HELP = """usage: segsweep report [EXPERIMENT | QUERY ...] [key=value ...]

Say what runs show: a sentence for each comparison, then a table with 95 % intervals, letters and differences
to a baseline. Runs that failed, were interrupted or never ran stand in it with the command that completes
them. Writes index.html (opens without a network), report.md, report.tex, report.csv and report.json.

which runs
  QUERY              ids, or settings that the runs must have: 'head=aspp,ksac' dataset=camvid
  sweep=NAME         the runs of one sweep
  EXPERIMENT         the runs of an experiment; if it repeats a paper's table, such as ksac/table2, the
                     published figures stand beside them. Other overrides find runs that were trained with
                     these: segsweep report ksac/table2 dataset=shapes seed=0,1
  none of these      all runs

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  baseline=QUERY     the configuration that others are compared with (default: head=none, else the first)
  mixed=false        true: numbers of unlike protocols in one table, marked ≠, instead of a table each
  gallery=6          images with predictions side by side: where two configurations differ most, and the worst
                     of classes; 0 for none. Predictions that no test kept are computed from checkpoints
  latency=null       auto, cpu, cuda or cuda:N: time the networks there, in turn, at the size of the tests'
                     images, batch 1, float32; some seconds each
  out=report         folder to write to
  format=table       what is printed: table, json or csv
  title=TEXT         heading of the page
"""
DEFAULTS = {
    "runs_dir": RUNS_DIR, "sweep": None, "baseline": None, "mixed": False, "gallery": 6, "latency": "null",
    "out": "report", "format": "table", "title": "segsweep report",
}  # fmt: skip
OF_EXPERIMENT = ("baseline", "mixed", "gallery", "latency", "out", "format", "title")
"""The options that may follow an experiment's name; any other argument is an override of its runs."""
SENTENCES = 10
"""Sentences on the terminal; all are in the files."""


def main(arguments: Sequence[str]) -> int:
    """Write the report, print it in short and return the exit status."""
    names = [a for a in arguments if "=" not in a and not a.startswith("-")]
    if any(not _may_be_id(name) for name in names):
        return _experiment(names, [a for a in arguments if a not in names])
    own, queries = split(arguments, DEFAULTS)
    options = parse(own, DEFAULTS)
    _check(options)
    runs_dir = Path(options["runs_dir"])
    sweep = Sweep.read(runs_dir, options["sweep"]) if options["sweep"] else None
    there = sweep.runs if sweep else all_runs(runs_dir)
    runs = chosen(there, " ".join(queries), DEFAULTS)
    report = findings(runs, _wish(arguments, options, there), sweep)
    if not report.protocols:
        told = f": {summary(report.rows)} ({_states(report)})" if report.rows else ""
        raise UserError(f"runs_dir={runs_dir}: no tested run there{told}; segsweep train makes some")
    report = _written(report, runs, options)
    print_report(report, options["format"], options["out"])
    return 0


def _check(options: Mapping[str, Any]) -> None:
    """Raise OptionError for an option whose value is wrong, before the work."""
    if options["latency"] != "null":
        from segsweep.profiling.latency import device  # imports torch

        device(options["latency"], "latency")
    check_format(options["format"])
    if not is_whole(options["gallery"], least=0):
        raise OptionError("gallery", options["gallery"], "a number of images, 0 for none")


def _written(report: Findings, runs: Sequence[RunFolder], options: Mapping[str, Any]) -> Findings:
    return write_report(report, runs, Path(options["out"]), options["gallery"])


def _may_be_id(name: str) -> bool:
    return all(letter in "0123456789abcdef" for letter in name)


def _wish(arguments: Sequence[str], options: dict[str, Any], runs: Sequence[RunFolder]) -> Wish:
    """Return what the options ask for; the baseline is looked for among all runs."""
    query, baseline = options["baseline"], list[str]()
    if query is not None:
        members = the_configuration(chosen(runs, query), f"baseline={query}").members
        baseline = [member.folder.id for member in members]
    command = shlex.join(["segsweep", "report", *arguments])
    device = None if options["latency"] == "null" else options["latency"]
    return Wish(options["title"], command, baseline, options["mixed"], device)


def _states(report: Findings) -> str:
    return ", ".join(f"{row.label}: {row.state}" for row in report.rows[:3]) + (
        ", …" if len(report.rows) > 3 else ""
    )


def _experiment(names: Sequence[str], arguments: Sequence[str]) -> int:
    """Report the runs of one experiment, beside the table that it repeats if it does; return the status."""
    from segsweep.reports.paper import compared as paper
    from segsweep.reports.paper import paper_page  # import torch and Hydra

    if len(names) > 1:
        raise ConfigError(
            f"{' '.join(names)}: expected one experiment; segsweep report takes them one by one"
        )
    known = dict(config_files.files("experiments"))
    if names[0] not in known:
        raise ConfigError(f"{names[0]}: no such experiment; {near(names[0], known)}")
    own, others = split(arguments, OF_EXPERIMENT)
    options = parse(own, {key: DEFAULTS[key] for key in OF_EXPERIMENT})
    _check(options)
    comparison = paper.compared(names[0], others)
    runs = comparison.runs if comparison else paper.planned_runs(names[0], others)
    report = findings(runs, _wish([*names, *arguments], options, runs))
    if comparison is None:
        print_report(_written(report, runs, options), options["format"], options["out"])
        return 0
    _written(replace(report, paper=paper_page.paper_part(comparison, report)), runs, options)
    if options["format"] != "table":
        print_rows(paper_page.flat(comparison, report), options["format"])
        return 0
    print_rows(paper_page.shown(comparison, report), "table", title=paper_page.heading(comparison))
    print(*paper_page.notes(comparison), sep="\n")
    return 0


def print_report(report: Findings, format: str, out: str) -> None:
    """Print sentences and tables; as data, one list of rows."""
    if format != "table":
        rows = flat_rows(report)
        print_rows(rows, format, columns=list(rows[0]))
        return
    print(*report.sentences[:SENTENCES], sep="\n")
    if len(report.sentences) > SENTENCES:
        print(f"… and {len(report.sentences) - SENTENCES} more sentences in {out}/report.md")
    print()
    for table in text_tables(report):
        title = f"mIoU in %, {table.measured}" if table.measured else table.heading
        print_rows(table.flat(), "table", title=title, first_to_go=table.first_to_go())
    print(*report.notes, f"the whole report: {out}/index.html", sep="\n")
