"""Finished runs as one page, in Markdown and HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape

from segsweep.reports import absent
from segsweep.reports.pictures import MOST_COLUMNS, Picture, classes, picture_rows
from segsweep.reports.table import Table, shown
from segsweep.runs.documents import write_text
from segsweep.runs.folder import RunFolder
from segsweep.terminal import escape_markdown, plural

BOLD = (
    "The best of a column is bold if it is further from each other one than both standard deviations "
    "together: a rule of thumb, no test of significance. Nothing is bold on one seed."
)
PICTURED = f"Pictures show the first run of each configuration, of the first {MOST_COLUMNS} at most."


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


def write_report(
    runs: Sequence[RunFolder],
    lacking: Sequence[Mapping[str, str]],
    found: Sequence[Table],
    out: Path,
    title: str,
) -> None:
    """Write the page of some runs: their tables, and the runs that these lack.

    Raises:
        UserError: the folder cannot be written.
    """
    sections = [section(table, out) for table in found]
    if lacking:
        sections.append(_absent_section(lacking))
    write_page(sections, out, title, intro(runs, lacking, found))


def write_page(sections: Sequence[Section], out: Path, title: str, intro: Sequence[str]) -> None:
    """Write report.md and report.html, which holds its pictures inside.

    Raises:
        UserError: the folder cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("segsweep.reports"), autoescape=select_autoescape(["html.j2"]), trim_blocks=True
    )
    environment.filters["markdown"] = escape_markdown
    content = {"title": title, "intro": intro, "sections": sections}
    for name in ("report.md", "report.html"):
        write_text(out / name, environment.get_template(f"{name}.j2").render(content))


def intro(
    runs: Sequence[RunFolder], lacking: Sequence[Mapping[str, str]], found: Sequence[Table]
) -> list[str]:
    """What a reader has to know before the tables."""
    tested = plural(sum(bool(run.strategies()) for run in runs), "tested run")
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
