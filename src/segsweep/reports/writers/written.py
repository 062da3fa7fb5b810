"""A report's folder: page, Markdown, LaTeX, CSV and JSON of the same cells, and the gallery's pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, PackageLoader

from segsweep.reports.findings.fields import Findings
from segsweep.reports.pictures.gallery import Shown, gallery
from segsweep.reports.writers.flat_rows import flat_rows
from segsweep.reports.writers.further_tables import further_tables
from segsweep.reports.writers.html import write_html
from segsweep.reports.writers.latex import latex
from segsweep.reports.writers.text_table import TextTable, text_tables
from segsweep.runs.documents import write_json, write_text
from segsweep.runs.folder import RunFolder
from segsweep.terminal import csv_text, escape_markdown


def write_report(report: Findings, runs: Sequence[RunFolder], out: Path, number: int = 6) -> Findings:
    """Write index.html, report.md, .tex, .csv and .json, and pictures/; return the report with its gallery.

    `number` is that of the gallery's images.

    Raises:
        UserError: the folder cannot be written.
    """
    shown = with_gallery(report, {run.id: run for run in runs}, out, number)
    tables, content = [*text_tables(shown), *further_tables(shown)], shown.plain()
    write_text(out / "report.md", markdown(shown, tables))
    write_text(out / "report.tex", latex(shown, tables))
    flat = flat_rows(shown)
    write_text(out / "report.csv", csv_text(flat, list(flat[0]) if flat else []))
    write_json(out / "report.json", content)
    write_html(content, out)
    return shown


def with_gallery(report: Findings, runs: Mapping[str, RunFolder], out: Path, number: int) -> Findings:
    """Return the report with `number` images of the first protocol's rows under its first strategy."""
    if not report.protocols:
        return report
    protocol, strategy = report.protocols[0], report.strategies[0]
    rows = [row for row in report.rows if row.protocol == protocol.id and strategy in row.cells]
    firsts = [(row.label, row.cells[strategy].seeds[0]) for row in rows]
    shown = [Shown(label, runs[first.run], first.test) for label, first in firsts]
    images, notes = gallery(shown, protocol.classes, out, number)
    return replace(report, gallery=tuple(images), notes=(*report.notes, *notes))


def markdown(report: Findings, tables: Sequence[TextTable]) -> str:
    """Return the report in Markdown: sentences, the paper's table if there is one, tables, pictures."""
    environment = Environment(loader=PackageLoader("segsweep.reports.writers"), trim_blocks=True)
    environment.filters["markdown"] = escape_markdown
    unfinished = [row for row in report.rows if row.command]
    content = {"report": report, "tables": tables, "unfinished": unfinished}
    return environment.get_template("report.md.j2").render(content)
