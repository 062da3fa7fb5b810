"""`segsweep report`: finished runs as one page, in Markdown and HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from segsweep.commands.options import RUNS_DIR, parse
from segsweep.commands.output import check_format, print_rows
from segsweep.commands.runs.rm import counted
from segsweep.errors import UserError
from segsweep.reports import absent, markdown
from segsweep.reports.pictures import MOST_COLUMNS, Picture, classes, picture_rows
from segsweep.reports.table import FIRST_TO_GO, Table, shown, tables
from segsweep.runs.documents import write_text
from segsweep.runs.folder import RunFolder, all_runs
from segsweep.sweeps.sweep import Sweep

HELP = """usage: segsweep report [EXPERIMENT] [key=value ...]

Writes report.md and report.html of the tested runs, and prints their table; runs that are not done are
named with their state. Of an experiment that repeats a
paper's table, such as ksac/table2, it sets the published figures beside the measured ones; what was trained
with other values is found by the same overrides: segsweep report ksac/table2 dataset=shapes seed=0,1

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  sweep=NAME         only the runs of one sweep
  out=report         folder to write to
  format=table       table, json or csv: what is printed
  title=TEXT         heading of the page
"""
BOLD = (
    "The best of a column is bold if it is further from each other one than both standard deviations "
    "together: a rule of thumb, no test of significance. Nothing is bold on one seed."
)
PICTURED = f"Pictures show the first run of each configuration, of the first {MOST_COLUMNS} at most."
DEFAULTS = {
    "runs_dir": RUNS_DIR,
    "sweep": None,
    "out": "report",
    "format": "table",
    "title": "segsweep report",
}


@dataclass(frozen=True)
class Column:
    """A column's heading and whether it holds numbers."""

    name: str
    number: bool


@dataclass(frozen=True)
class CellText:
    """What a cell shows, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Section:
    """One table of the page with its pictures."""

    heading: str
    columns: list[Column]
    rows: list[list[CellText]]
    protocol: str = ""
    notes: Sequence[str] = ()
    picture_columns: Sequence[str] = ()
    pictures: Sequence[list[Picture]] = ()
    legend: Sequence[tuple[str, tuple[int, ...]]] = ()


def main(arguments: Sequence[str]) -> int:
    """`segsweep report`."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP, end="")
        return 0
    names = [a for a in arguments if "=" not in a and not a.startswith("-")]
    if names:
        from segsweep.reports import paper_page as published_page

        return published_page.main(names, [a for a in arguments if a not in names])
    options = parse(arguments, DEFAULTS)
    check_format(options["format"])
    runs_dir, out = Path(options["runs_dir"]), Path(options["out"])
    sweep = Sweep.read(runs_dir, options["sweep"]) if options["sweep"] else None
    runs = sweep.runs if sweep else all_runs(runs_dir)
    lacking, found = absent.rows(runs, sweep), tables(runs)
    if not found:
        there = f": {absent.how_many(lacking)}" if lacking else ""
        raise UserError(f"runs_dir={runs_dir}: no tested run there{there}; segsweep train makes some")
    sections = [section(table, out) for table in found]
    if lacking:
        sections.append(_absent_section(lacking))
    write_page(sections, out, options["title"], intro(runs, lacking, found))
    print_report(found, lacking, options["format"])
    return 0


def print_report(found: Sequence[Table], lacking: Sequence[Mapping[str, str]], format: str) -> None:
    """The tables and what they lack on stdout; as data, one list of rows, each with its protocol or why."""
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


def write_page(sections: Sequence[Section], out: Path, title: str, intro: Sequence[str]) -> None:
    """Write report.md and report.html, which holds its pictures inside.

    Raises:
        UserError: the folder cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("segsweep.reports"), autoescape=select_autoescape(["html.j2"]), trim_blocks=True
    )
    environment.filters["markdown"] = markdown.escape
    content = {"title": title, "intro": intro, "sections": sections}
    for name in ("report.md", "report.html"):
        write_text(out / name, environment.get_template(f"{name}.j2").render(content))


def intro(
    runs: Sequence[RunFolder], lacking: Sequence[Mapping[str, str]], found: Sequence[Table]
) -> list[str]:
    """What a reader has to know before the tables."""
    tested = counted(sum(bool(run.strategies()) for run in runs), "tested run")
    several = "Numbers in different tables were measured differently and do not compare."
    return [
        f"{tested}. mIoU in %, mean ± standard deviation over seeds where there are several. {BOLD}",
        *([several] if len(found) > 1 else ()),
        *([f"Not in the tables: {absent.how_many(lacking)}, listed at the end."] if lacking else ()),
    ]


def section(table: Table, out: Path) -> Section:
    """A table of measured runs with their pictures, which are copied to `out`."""
    rows = shown(table)
    columns = [Column(name, name in table.strategies or name in ("params (M)", "seeds")) for name in rows[0]]
    best = {name: table.best(name) for name in table.strategies}
    cells = [
        [CellText(text, best.get(name) is row) for name, text in texts.items()]
        for row, texts in zip(table.rows, rows, strict=True)
    ]
    labels, pictures = picture_rows(table, table.strategies[0], out)
    return Section(
        heading=f"{table.protocol['dataset']} {table.protocol['split']}",
        protocol=f"Measured on {table.measured}; class {table.protocol['absent_classes']}.",
        columns=columns,
        rows=cells,
        notes=[PICTURED] if pictures else [],
        picture_columns=["image", "truth", *labels],
        pictures=pictures,
        legend=classes(table),
    )


def _absent_section(lacking: Sequence[Mapping[str, str]]) -> Section:
    columns = [Column(name, number=False) for name in absent.COLUMNS]
    rows = [[CellText(row[name]) for name in absent.COLUMNS] for row in lacking]
    return Section(f"Not in the tables: {absent.how_many(lacking)}", columns, rows)
