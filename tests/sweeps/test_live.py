"""What the live table of a pool says, drawn for a terminal of a given size, of runs in invented states."""

import json
import logging
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from segsweep.runs.folder import RunFolder
from segsweep.sweeps.display import Display, InWork
from segsweep.sweeps.live import LiveTable
from segsweep.sweeps.sweep import Sweep


@pytest.fixture
def runs(tmp_path) -> list[RunFolder]:
    """A hundred planned runs."""
    for number in range(100):
        folder = tmp_path / f"run{number:03d}"
        folder.mkdir()
        identity = {"seed": number, "trainer.max_steps": 50}
        plan = {"id": folder.name, "identity": identity, "choices": {}, "overrides": []}
        (folder / "plan.json").write_text(json.dumps(plan))
        status(folder, state="planned", step=0)
    return [RunFolder(tmp_path / f"run{number:03d}") for number in range(100)]


def status(folder: Path, **fields) -> None:
    (folder / "status.json").write_text(json.dumps({"step": 0, "updated": 0, **fields}))


@pytest.fixture
def table(runs, tmp_path) -> LiveTable:
    """Of the hundred runs 3 done, one failed, one left out, two at work."""
    found = LiveTable(Sweep("mine", tmp_path, runs), Console(file=StringIO(), height=20, width=120))
    for run in runs[:3]:
        status(run.path, state="done", step=50, val_miou=0.5)
        found.began(run)
        found.ended(run, None)
    status(runs[3].path, state="failed", failure={"class": "out of memory", "log": []})
    found.ended(runs[3], "OutOfMemoryError: 4 images do not fit")
    found.sweep.left_out[runs[4].id] = "poor"
    found.ended(runs[4], "poor")
    status(runs[5].path, state="running", step=20, loss=0.123456, val_miou=0.25, seconds_left=65)
    return found


def drawn(table: LiveTable, running: list[InWork], waiting: list[RunFolder]) -> list[str]:
    console = table.live.console
    with console.capture() as capture:
        console.print(table.drawing(running, waiting))
    return capture.get().splitlines()


def test_no_more_rows_than_the_terminal_has(table, runs):
    lines = drawn(table, [(runs[5], ["0"]), (runs[6], ["1"])], runs[7:])
    assert len(lines) <= 20 - 2
    numbers = [int(line.split()[0]) for line in lines[1:-1]]
    assert numbers == [4, *range(6, 21)], "failed, at work, and those that come next"


def test_the_summary_counts_all(table, runs):
    summary = drawn(table, [(runs[5], ["0"]), (runs[6], ["1"])], runs[7:90])[-1]
    assert summary.startswith("3 done, 1 failed, 1 left out, 2 running, 83 waiting, 10 not started")


def test_a_row_tells_where_a_run_stands(table, runs, monkeypatch):
    monkeypatch.setattr(RunFolder, "holder", lambda _: "somebody")
    lines = drawn(table, [(runs[5], ["0", "1"]), (runs[6], ["2"])], runs[7:])
    (at_work,) = [line.split() for line in lines if line.split()[0] == "6"]
    bar = "━━━━╌╌╌╌╌╌"
    assert at_work == ["6", "seed=5", "training", "0,1", bar, "20/50", "0.1235", "25.00%", "0:00:00"]
    (begun,) = [line.split() for line in lines if line.split()[0] == "7"]
    assert begun == ["7", "seed=6", "starting", "2", "╌" * 10, "0/50"]
    assert any("seed=3" in line and "failed: out of memory" in line for line in lines)


def test_where_there_is_room_every_run_has_a_row(runs, tmp_path):
    table = LiveTable(Sweep("mine", tmp_path, runs[:5]), Console(file=StringIO(), height=40, width=80))
    table.found_done(runs[0])
    lines = drawn(table, [], runs[1:5])
    assert [line.split()[2] for line in lines[1:-1]] == ["done", *["waiting"] * 4]


def test_the_time_left_is_that_of_the_runs_that_are_done(table, runs, monkeypatch):
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    table.seconds, table.starts = [50.0, 70.0], {runs[5].id: (970.0, 0), runs[6].id: (980.0, 0)}
    summary = drawn(table, [(runs[5], ["0"]), (runs[6], ["1"])], runs[7:17])[-1]
    assert summary.endswith("; about 0:05:35 left"), "(30 + 40 + 10 runs of 60 s) / 2"


def test_a_test_has_a_bar_of_its_images(table, runs):
    testing = {"done": 12, "images": 48, "seconds_left": 30.0}
    status(runs[5].path, state="done", step=50, val_miou=0.25, testing=testing)
    (row,) = [line.split() for line in drawn(table, [(runs[5], ())], []) if line.split()[0] == "6"]
    assert row == ["6", "seed=5", "testing", "━━╌╌╌╌╌╌╌╌", "12/48", "25.00%", "0:00:30"], "and no device"


@pytest.fixture
def said(monkeypatch) -> list[str]:
    """What is logged from now on."""
    lines: list[str] = []
    monkeypatch.setattr(logging.getLogger("segsweep"), "info", lines.append)
    return lines


def test_elsewhere_each_run_has_a_line_a_minute(runs, tmp_path, monkeypatch, said):
    monkeypatch.setattr(RunFolder, "holder", lambda _: "somebody")
    seconds = iter(range(1000))
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    monkeypatch.setattr("time.time", lambda: 1005.0)
    display = Display(Sweep("mine", tmp_path, runs[:2]))
    display.began(runs[0])
    status(runs[0].path, state="running", step=20, loss=0.5, val_miou=0.25, seconds_left=70, updated=1000)
    for _ in range(125):
        display.tick([(runs[0], ())], runs[1:])
    line = "[1/2] seed=0: training 20/50  loss 0.5  val mIoU 25.00%  left 0:01:05"
    assert said == [f"[1/2] seed=0: run {runs[0].id} …", line, line]


def test_done_in_is_wall_time_with_training_beside_it(runs, tmp_path, monkeypatch, said):
    """Also where the run had trained before: of that nothing counts."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    status(runs[0].path, state="interrupted", step=20, train_seconds=100.0)
    display = Display(Sweep("mine", tmp_path, runs[:2]))
    display.began(runs[0])
    status(runs[0].path, state="done", step=50, train_seconds=104.0)
    now = 1050.0
    display.ended(runs[0], None)
    assert said[-1] == "[1/2] seed=0: done in 0:00:50 (0:00:04 of it training)"
