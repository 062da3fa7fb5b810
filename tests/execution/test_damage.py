"""Damaged files of one run: named in a line, and no other run suffers."""

import logging
import shutil
from pathlib import Path

import pytest

from segsweep.commands import report
from tests.support.commands import TINY, segsweep, table
from tests.support.in_process import run


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    segsweep("train", "-m", *TINY, "seed=0,1", cwd=folder)
    return folder


@pytest.fixture
def damaged(two_runs, tmp_path):
    """A copy of both runs, and the one of seed 0 to be damaged."""
    shutil.copytree(two_runs / "runs", tmp_path / "runs")
    (run,) = (tmp_path / "runs" / row["id"] for row in table("runs", cwd=tmp_path) if row["seed"] == 0)
    return run


@pytest.mark.parametrize("file", ["plan.json", "tests/single/metrics.json", "tests/single/protocol.json"])
def test_the_others_are_listed_and_reported(damaged, tmp_path, file, capsys, monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(logging.getLogger("segsweep"), "warning", lines.append)
    (damaged / file).write_text("{gar")
    (other,) = {path.parent.name for path in damaged.parent.glob("*/plan.json")} - {damaged.name}
    for command, arguments in ((run, ()), (lambda *a: report.main(a), (f"out={tmp_path / 'report'}",))):
        lines.clear()
        assert command(f"runs_dir={damaged.parent}", "format=json", *arguments) == 0
        assert other in capsys.readouterr().out
        assert any(f"{damaged.name}/{file}: damaged" in line for line in lines)


def test_a_lost_status_is_written_anew(damaged, tmp_path):
    (damaged / "status.json").write_text("")
    assert {row["state"] for row in table("runs", cwd=tmp_path)} == {"interrupted", "done"}
    segsweep("train", *TINY, "seed=0", cwd=tmp_path)
    assert {row["state"] for row in table("runs", cwd=tmp_path)} == {"done"}


def test_a_damaged_test_is_tested_again(damaged, tmp_path):
    whole = (damaged / "tests" / "single" / "metrics.json").read_text()
    (damaged / "tests" / "single" / "metrics.json").write_text("")
    segsweep("train", *TINY, "seed=0", cwd=tmp_path)
    assert (damaged / "tests" / "single" / "metrics.json").read_text() == whole


def test_a_cut_checkpoint_is_named(damaged, tmp_path):
    last = damaged / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    result = segsweep("test", *TINY, "seed=0", "test=[flip]", cwd=tmp_path, status=2)
    assert "last.ckpt is damaged" in result.stderr
    assert "Traceback" not in result.stderr
