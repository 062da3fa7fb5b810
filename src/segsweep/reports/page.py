"""Finished runs as one page, in Markdown and HTML, with pictures of images, truth and predictions."""

import base64
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, select_autoescape
from PIL import Image

from segsweep.files import cannot_write
from segsweep.reports import absent
from segsweep.reports.table import Table, shown
from segsweep.runs import layout
from segsweep.runs.compare import MISSING
from segsweep.runs.documents import write_text
from segsweep.runs.folder import RunFolder
from segsweep.terminal import escape_markdown, plural

log = logging.getLogger("segsweep")

MOST_COLUMNS = 6
"""Predictions that a page shows side by side."""
BOLD = (
    "The best of a column is bold if it differs from every other one by more than both standard deviations "
    "together: a rule of thumb, not a test of significance. Nothing is bold on one seed."
)
PICTURED = f"Pictures show the first run of each configuration, of the first {MOST_COLUMNS} at most."


@dataclass(frozen=True)
class Picture:
    """A picture of the page: its file beside the Markdown, and its content for the HTML."""

    name: str
    file: str
    inline: str


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
        heading = f"Not in the tables: {absent.how_many(lacking)}"
        cells = [[CellText(row[name]) for name in absent.COLUMNS] for row in lacking]
        sections.append(Section(heading, [Column(name, number=False) for name in absent.COLUMNS], cells))
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
    """What a reader has to know before reading the tables."""
    tested = plural(sum(bool(run.strategies()) for run in runs), "tested run")
    several = "Numbers in different tables were measured differently and cannot be compared."
    return [
        f"{tested}. mIoU in %, mean ± standard deviation over seeds if there are several. {BOLD}",
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
        legend=legend(table),
    )


def picture_rows(table: Table, strategy: str, out: Path) -> tuple[list[str], list[list[Picture]]]:
    """Labels of the predictions, and for each image that all rows kept, its line of pictures.

    A row shows its first run. A page shows no more than a few predictions side by side: the first rows'.
    """
    shown = [row for row in table.rows if strategy in row.cells][:MOST_COLUMNS]
    labels = [" ".join(value for value in row.axes.values() if value != MISSING) for row in shown]
    places = [(row.runs[0].path / layout.PICTURES, row.tests[strategy]) for row in shown]
    kept = [{path.name for path in place.glob("*")} for place, _ in places]
    lines = []
    for name in sorted(set.intersection(*kept)) if kept else ():
        first = places[0][0] / name
        files = [first / "image.jpg", first / "truth.png"]
        files += [place / name / f"{test}.png" for place, test in places]
        lines.append([_picture(path, f"{name} {path.stem}", out) for path in files if path.is_file()])
    return labels, lines


def _picture(source: Path, name: str, out: Path) -> Picture:
    kind = "jpeg" if source.suffix == ".jpg" else "png"
    run = source.parents[2].name
    target = out / "pictures" / f"{run}-{source.parent.name}-{source.name}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        raise cannot_write(target, error) from error
    content = base64.b64encode(source.read_bytes()).decode()
    return Picture(name, f"pictures/{target.name}", f"data:image/{kind};base64,{content}")


def legend(table: Table) -> list[tuple[str, tuple[int, ...]]]:
    """Class names with their colours, read from the first run's files."""
    run = table.rows[0].runs[0]
    metrics, _ = next(iter(run.read_tests().values()))
    picture = next((run.path / layout.PICTURES).glob("*/truth.png"), None)
    if picture is None:
        return []
    try:
        with Image.open(picture) as image:
            palette = image.getpalette() or []
    except (OSError, ValueError, SyntaxError) as error:  # of PNG chunks
        log.warning(f"left out: {picture} is damaged ({error})")
        return []
    names = list(metrics.per_class)
    return [(name, tuple(palette[3 * i : 3 * i + 3])) for i, name in enumerate(names)]
