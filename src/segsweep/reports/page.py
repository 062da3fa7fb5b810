"""`segsweep report`: finished runs as one page, in Markdown and HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape

from segsweep.errors import UserError
from segsweep.reports.pictures import Picture, classes, picture_rows
from segsweep.reports.table import FIRST_TO_GO, Table, shown, tables
from segsweep.runs.config.options import RUNS_DIR, parse
from segsweep.runs.config.output import check_format, print_rows
from segsweep.runs.files import write_text
from segsweep.runs.folder import all_runs
from segsweep.runs.launch.sweep import Sweep

HELP = """usage: segsweep report [EXPERIMENT] [key=value ...]

Writes report.md and report.html of the tested runs, and prints their table. Of an experiment that repeats a
paper's table, such as ksac/table2, it sets the published figures beside the measured ones; what was trained
with other values is found by the same overrides: segsweep report ksac/table2 dataset=shapes seed=0,1

options
  runs_dir=runs      where the runs are (environment: SEGSWEEP_RUNS)
  sweep=NAME         only the runs of one sweep
  out=report         folder to write to
  format=table       table, json or csv: what is printed
  title=TEXT         heading of the page
"""
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
    protocol: str
    columns: list[Column]
    rows: list[list[CellText]]
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
        from segsweep.reports import published_page

        return published_page.main(names, [a for a in arguments if a not in names])
    options = parse(arguments, DEFAULTS)
    check_format(options["format"])
    runs_dir = Path(options["runs_dir"])
    runs = Sweep.read(runs_dir, options["sweep"]).runs if options["sweep"] else all_runs(runs_dir)
    tested = [run for run in runs if run.strategies()]
    if not tested:
        raise UserError(f"runs_dir={runs_dir}: no tested run there; segsweep train makes some")
    found = tables(tested)
    out = Path(options["out"])
    write_page([section(table, out) for table in found], out, options["title"], len(tested))
    print_report(found, options["format"])
    return 0


def print_report(found: Sequence[Table], format: str) -> None:
    """The tables on stdout; as data, one list of rows that name their protocol."""
    if format == "table":
        for table in found:
            print_rows(shown(table), format, title=f"mIoU in %, {table.measured}", first_to_go=FIRST_TO_GO)
        return
    rows = [row for table in found for row in table.flat()]
    print_rows(rows, format, columns=list(dict.fromkeys(key for row in rows for key in row)))


def write_page(sections: Sequence[Section], out: Path, title: str, runs: int) -> None:
    """Write report.md and report.html, which holds its pictures inside.

    Raises:
        UserError: the folder cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("segsweep.reports"), autoescape=select_autoescape(["html.j2"]), trim_blocks=True
    )
    content = {"title": title, "runs": runs, "sections": sections}
    for name in ("report.md", "report.html"):
        write_text(out / name, environment.get_template(f"{name}.j2").render(content))


def section(table: Table, out: Path) -> Section:
    """A table of measured runs with their pictures, which are copied to `out`."""
    rows = shown(table)
    columns = [Column(name, name in table.strategies or name in ("params (M)", "seeds")) for name in rows[0]]
    best = {name: max(_means(table, name), default=None) for name in table.strategies}
    cells = [
        [
            CellText(text, name in best and name in r.cells and r.cells[name].mean == best[name])
            for name, text in row.items()
        ]
        for r, row in zip(table.rows, rows, strict=True)
    ]
    strategy = table.strategies[0]
    labels, pictures = picture_rows(table, strategy, out)
    return Section(
        heading=f"{table.protocol['dataset']} {table.protocol['split']}",
        protocol=f"Measured on {table.measured}; class {table.protocol['absent_classes']}.",
        columns=columns,
        rows=cells,
        picture_columns=["image", "truth", *labels],
        pictures=pictures,
        legend=classes(table),
    )


def _means(table: Table, strategy: str) -> list[float]:
    return [row.cells[strategy].mean for row in table.rows if strategy in row.cells]
