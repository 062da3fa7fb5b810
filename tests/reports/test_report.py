"""What a report says of runs that are finished, and of those that are not."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from segsweep.commands import report
from segsweep.commands.output import print_rows
from segsweep.data.check.problems import Problem
from segsweep.data.check.report import Report
from segsweep.planning.experiment import Published
from segsweep.planning.plan import write
from segsweep.reports.page import CellText, Column, Section, write_page
from segsweep.reports.paper import Comparison, Line
from segsweep.reports.table import shown, tables
from segsweep.runs.contents import Card, Metrics
from segsweep.runs.documents import write_json
from segsweep.runs.folder import RunFolder
from segsweep.terminal import escape_markdown
from tests.shared import shared
from tests.support.commands import TINY
from tests.support.composing import composed, configuration

CARD = {
    "dataset": "shapes", "split": "test", "split_hash": "0123", "images": 3, "image_sizes": ["48x48"],
    "absent_classes": "absent: left out", "checkpoint": {"which": "last", "sha256": "4567"}, "num_classes": 6,
}  # fmt: skip
EVIL = (
    "a|b",
    "<i>x</i>",
    "[x](http://y)",
    "![x](y)",
    "*b* `c` _d_ ~~e~~",
    "two\nlines",
    "&lt;",
    "\\|",
    "a_b_c",
)


def figures(miou: float) -> dict[str, object]:
    """A test's metrics.json."""
    others = dict.fromkeys(("pixel_accuracy", "fwiou", "boundary_iou"), miou)
    return {"miou": miou, **others, "per_class": {}, "absent": [], "images": 3}


def finished(folder: Path, overrides: tuple[str, ...], **tests: float) -> RunFolder:
    """A done run with these mIoU by strategy, without its training."""
    run = write(composed(*TINY, f"runs_dir={folder}", *overrides))
    run.update_status(state="done", step=4)
    for name, miou in tests.items():
        (run.tests / name).mkdir(parents=True)
        write_json(run.tests / name / "metrics.json", figures(miou))
        write_json(run.tests / name / "protocol.json", {**CARD, "strategy": {"name": name}})
    return run


@pytest.fixture
def runs(tmp_path):
    """Two heads with two seeds, of which one lacks a test; and one that failed with another learning rate."""
    with configuration():
        found = [
            finished(tmp_path, ("head.rates=[1,2]", f"seed={seed}"), single=single, **others)
            for seed, single, others in [(0, 0.50, {"flip": 0.6}), (1, 0.52, {})]
        ]
        found += [
            finished(tmp_path, ("head.rates=[1,3]", f"seed={seed}"), single=single, flip=0.9)
            for seed, single in [(0, 0.60), (1, 0.61)]
        ]
        failed = write(composed(*TINY, f"runs_dir={tmp_path}", "optimizer.lr=0.5"))
    failed.update_status(state="failed", step=2, error="loss is no number")
    return [*found, failed]


def test_seeds_are_counted_cell_by_cell(runs):
    (table,) = tables(runs)
    first, second = shown(table)
    assert (first["seeds"], first["single"], first["flip"]) == (
        "1 to 2",
        "51.00 ± 1.41 (2 seeds)",
        "60.00 (1 seed)",
    )
    assert (second["seeds"], second["single"]) == ("2", "60.50 ± 0.71")
    assert [row["flip_seeds"] for row in table.flat()] == [1, 2]


def test_only_what_is_told_apart_is_bold(runs):
    (table,) = tables(runs)
    assert table.best("single") is table.rows[1]  # 9.5 points apart, deviations of 1.41 and 0.71
    assert table.best("flip") is None  # the other has one seed
    metrics = runs[2].tests / "single" / "metrics.json"
    write_json(
        metrics, {"miou": 0.5, "per_class": {}}
    )  # now 50.00 and 61.00: 55.50 ± 7.78 against 51.00 ± 1.41
    assert tables(runs)[0].best("single") is None


def test_what_failed_is_named_and_its_axis_shown(runs, tmp_path, capsys):
    assert report.main([f"runs_dir={tmp_path}", f"out={tmp_path / 'out'}"]) == 0
    printed = capsys.readouterr().out
    assert "optimizer.lr" in printed.splitlines()[2]
    assert "not in the tables: 1 run (1 failed)" in printed
    (row,) = [line for line in printed.splitlines() if runs[-1].id in line]
    assert "optimizer.lr=0.5" in row
    assert row.endswith("failed  loss is no number")
    for name in ("report.md", "report.html"):
        text = (tmp_path / "out" / name).read_text()
        assert "Not in the tables: 1 run (1 failed)" in text
        assert "loss is no number" in text


def test_a_sweep_that_was_cut_short_says_so(tmp_path, capsys):
    """A real one: 24 members of which 8 finished, none of them a ksac."""
    shutil.copytree(shared("data/runs_camvid"), tmp_path / "runs", copy_function=shutil.copyfile)
    options = ["sweep=camvid_gpu", f"runs_dir={tmp_path / 'runs'}", f"out={tmp_path / 'out'}"]
    assert report.main([*options, "format=json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    states = [row["state"] for row in rows]
    assert [states.count(state) for state in ("done", "interrupted", "planned")] == [3, 8, 8]
    measured = [(f"{row['single']:.4f}", row["single_seeds"]) for row in rows if row["state"] == "done"]
    assert measured == [("0.5404", 3), ("0.5569", 3), ("0.5614", 2)]
    ksac = [row for row in rows if row["member"] and "head=ksac" in row["member"]]
    assert len(ksac) == 12
    assert ksac[0]["why"] == "stopped at step 240 of 600; the same command goes on"
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert "Not in the tables: 16 runs (8 interrupted, 8 planned), listed at the end." in markdown
    assert "**" not in markdown


def test_names_of_the_user_s_are_shown_as_they_stand(tmp_path):
    section = Section("h", [Column(name, False) for name in EVIL], [[CellText(name) for name in EVIL]])
    write_page([section], tmp_path, "t", list(EVIL))
    markdown, html = ((tmp_path / f"report.{kind}").read_text() for kind in ("md", "html"))
    rendered = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown)
    shown = [name.replace("\n", " ") for name in EVIL]
    expected = [n.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for n in shown]
    for kind in ("td", "th"):
        cells = [part.split(f"</{kind}>")[0] for part in rendered.split(f"<{kind}>")[1:]]
        assert cells == expected
    assert [f"<p>{name}</p>" in rendered for name in expected] == [True] * len(EVIL)
    assert "<i>x</i>" not in html
    assert escape_markdown("head.rates=[1,6,12]") == "head.rates=[1,6,12]"


def test_a_check_of_data_shows_file_names_as_they_stand():
    problem = Problem("a|b/<i>x</i>\n.png", "is [not](an) image", "*mend* it")
    rendered = MarkdownIt("commonmark").enable("table").render(Report("t", (), {}, [problem], []).markdown())
    cells = [part.split("</td>")[0] for part in rendered.split("<td>")[1:]]
    assert cells[:3] == ["a|b/&lt;i&gt;x&lt;/i&gt; .png", "is [not](an) image", "*mend* it"]


def test_a_spreadsheet_takes_no_name_for_a_formula(capsys):
    print_rows([{"name": "=1+1", "lr": -0.5, "other": "a,b"}, {"name": "@x", "lr": 1, "other": "+1"}], "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["name"] for row in rows] == ["'=1+1", "'@x"]
    assert [row["lr"] for row in rows] == ["-0.5", "1"]


PUBLISHED = Published(
    title="T", data="d", protocol={"split": "test", "images": 3, "weights": "best"}, input=[8, 8],
    rows=[], unlike={"square": "the centre alone"},
)  # fmt: skip


def measurement(strategy: str, which: str) -> tuple[Metrics, Card]:
    figures = dict.fromkeys(("pixel_accuracy", "fwiou", "boundary_iou"), 0.5)
    card = {**CARD, "strategy": {"name": strategy}, "checkpoint": {**CARD["checkpoint"], "which": which}}
    return Metrics.of({"miou": 0.5, "images": 3, **figures}), Card.of(card)


@pytest.mark.parametrize(
    ("test", "measured", "which", "unlike"),
    [
        ("ms", "ms", "best", []),
        ("ms", "ms", "last", ["weights last for best"]),
        ("ms", "single", "best", ["strategy single for ms"]),
        ("square", "slide", "best", ["strategy slide for square", "the centre alone"]),
        ("square", "square", "best", ["the centre alone"]),
    ],
)
def test_a_row_is_compared_with_its_own_strategy_and_weights(test, measured, which, unlike):
    line = Line({"test": test, "run": "x"}, (), (measurement(measured, which),), {}, None, strategy=test)
    assert Comparison("t", PUBLISHED, (line,), ()).unlike(line) == unlike


def test_seeds_that_were_measured_unlike_are_marked():
    tests = tuple(measurement("ms", which) for which in ("best", "last"))
    line = Line({"test": "ms", "run": "x"}, (), tests, {}, None, "ms")
    assert "seeds that were measured unlike" in Comparison("t", PUBLISHED, (line,), ()).unlike(line)
