"""Effects and object sizes in Markdown and LaTeX: the figures of report.json, and what is left out."""

from dataclasses import replace

import pytest

from segsweep.reports.findings.assemble import Wish, findings
from segsweep.reports.findings.cells import MOST_CHANGES
from segsweep.reports.findings.fields import NamedInterval
from segsweep.reports.writers.further_tables import further_tables
from segsweep.reports.writers.latex import latex
from segsweep.reports.writers.written import markdown
from segsweep.runs.folder import all_runs
from tests.support.run_folders import write_run

SIZES = (
    NamedInterval(0.31, 0.284, 0.331, "small"),
    NamedInterval(0.52, 0.5, 0.54, "medium"),
    NamedInterval(float("nan"), float("nan"), float("nan"), "large"),
)


@pytest.fixture
def report(tmp_path):
    """Two heads at two learning rates, one of the four not measured; none's cell knows sizes."""
    for head, rate in (("none", 0.01), ("none", 0.1), ("ksac", 0.01)):
        write_run(tmp_path, {"head": head, "optimizer.lr": rate}, {"single": 0.7, "flip": 0.75})
    write_run(tmp_path, {"head": "ksac", "optimizer.lr": 0.1}, state="planned")
    made = findings(all_runs(tmp_path), Wish())
    first, *others = made.rows
    cells = {**first.cells, "single": replace(first.cells["single"], sizes=SIZES)}
    return replace(made, rows=(replace(first, cells=cells), *others))


def test_effects_stand_by_change_with_a_column_for_each_strategy(report):
    table = further_tables(report)[0]
    assert table.heading == "shapes test: effects of the options"
    assert [column.name for column in table.columns] == ["change", "interaction with", "single", "flip"]
    lines = {(line["change"], line["interaction with"]): line for line in table.flat()}
    for effect in report.effects:
        change = f"{effect['factor']}: {effect['from']} → {effect['to']}"
        shown = lines[change, effect["with"] or ""][effect["strategy"]]
        ends = f"({100 * effect['low']:.2f} to {100 * effect['high']:.2f})"
        known = effect["value"] == effect["value"]
        assert shown == (f"{100 * effect['value']:+.2f} {ends}" if known else "–")
    assert len(lines) == len(report.effects) / 2
    assert table.caption.endswith("; not measured: head=ksac optimizer.lr=0.1.")


def test_sizes_stand_by_configuration_and_name_those_without(report):
    table = further_tables(report)[1]
    (line,) = table.flat()
    assert line == {
        "configuration": report.rows[0].label,
        "single small": "31.00 (28.4–33.1)",
        "single medium": "52.00 (50.0–54.0)",
        "single large": "–",
    }
    assert ", ".join(row.label for row in report.rows if row.cells) in table.caption


def test_both_are_in_markdown_and_latex(report):
    tables = further_tables(report)
    text, paper = markdown(report, tables), latex(report, tables)
    for table in tables:
        assert f"## {table.heading}" in text
        assert table.heading in paper
    assert "31.00 (28.4–33.1)" in text
    assert "31.00 (28.4--33.1)" in paper
    assert r"head: none $\to$ ksac" in paper


def test_too_many_changes_are_a_note_and_no_table(tmp_path):
    for number in range(MOST_CHANGES + 2):
        write_run(tmp_path, {"optimizer.lr": (number + 1) / 1000}, {"single": 0.7})
    report = findings(all_runs(tmp_path), Wish())
    assert further_tables(report) == []
    assert "No effects of the options: their values make 13 changes, more than 12." in report.notes
