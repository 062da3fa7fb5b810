"""Trackers by themselves: wandb killed and gone on with, long names, logins, and errors that end nothing."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segsweep.errors import ConfigError
from segsweep.runs.layout import STEPS, VALIDATION
from segsweep.training.metrics_file import MetricsFile
from segsweep.training.trackers import Guarded, NoTracker, RunInfo
from segsweep.training.wandb_tracker import WandbTracker, cut, logged_in
from tests.training.wandb_records import found, history, summary

CLASSES = ("sky", "road, wet")


def train(folder: Path, after: int, until: int, killed: bool = False) -> None:
    """Steps of a run with a row each and a validation at every third, as the recorder tells of them."""
    rows = MetricsFile(folder / STEPS, ("step", "loss", "val_miou"))
    classes = MetricsFile(folder / VALIDATION, ("step", *CLASSES))
    for file in (rows, classes):
        file.rewind(after)
    tracker = WandbTracker(mode="offline")
    tracker.start(RunInfo("abc", folder, "a name", None, "train", ("x" * 99, "x" * 98), {}, CLASSES), after)
    for step in range(after + 1, until + 1):
        row = {"step": step, "loss": 1 / step}
        rows.append(row)
        tracker.log(row)
        if step % 3 == 0:
            iou, row = np.array([1 / step, np.nan]), {"step": step, "val_miou": 1 / step}
            classes.append({"step": step, "sky": float(iou[0])})
            rows.append(row)
            tracker.validated(step, iou)
            tracker.log(row)
    if killed:
        os.kill(os.getpid(), signal.SIGKILL)
    tracker.finish({"test/single/miou": 0.5})


def in_a_process(*arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-c", f"from tests.training.test_trackers import *; train(Path({arguments[0]!r}), "
         f"{arguments[1]}, {arguments[2]}, {arguments[3]})"],
        cwd=Path(__file__).parents[2], timeout=60, check=False,
    )  # fmt: skip


def test_steps_grow_over_kills_and_no_validation_is_lost(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SERVICE", "3-1-tcp-localhost-1")  # another process's, as a notebook leaves it
    in_a_process(str(tmp_path), 0, 400, True)  # enough to fill some of wandb's buffers
    there = [row["_step"] for row in history(tmp_path)]
    in_a_process(str(tmp_path), 390, 400, True)  # and again before its first buffer is full
    in_a_process(str(tmp_path), 390, 402, False)
    rows = history(tmp_path)
    assert 0 < len(there) < 400
    assert [row["_step"] for row in rows] == [row["step"] for row in rows] == list(range(1, 403))
    assert [row["loss"] for row in rows] == [1 / step for step in range(1, 403)]
    validations = {row["step"]: row["val_miou"] for row in rows if "val_miou" in row}
    assert validations == {step: 1 / step for step in range(3, 403, 3)}
    assert validations == {row["step"]: row["iou/sky"] for row in rows if "iou/sky" in row}
    runs = [record.run for record in found(tmp_path)["run"]]
    assert {run.run_id for run in runs} == {"abc"}
    assert summary(tmp_path)["test/single/miou"] == 0.5
    (tags,) = {tuple(run.tags) for run in runs}
    assert [len(tag) for tag in tags] == [64, 64]


def test_what_is_cut_stays_distinct():
    assert cut("x" * 64, 64) == "x" * 64
    first, second = cut("x" * 65, 64), cut("x" * 64 + "y", 64)
    assert len(first) == len(second) == 64
    assert first != second


@pytest.mark.parametrize("options", [{"mode": "on"}, {"project": "a/b"}, {"project": ""}])
def test_what_wandb_would_refuse_is_refused_before_training(options):
    ((name, value),) = options.items()
    with pytest.raises(ConfigError, match=f"logger.{name}={value}: expected"):
        WandbTracker(**options)


class Failing(NoTracker):
    """A tracker out of order."""

    pictures = 2

    def log(self, row):
        raise OSError("no route\nto the server")


def test_a_tracker_s_error_ends_nothing_and_is_told_once(caplog, tmp_path):
    tracker = Guarded(Failing())
    tracker.start(RunInfo("abc", tmp_path, "", None, "", (), {}, ()), 0)
    with caplog.at_level(logging.INFO, "segsweep"):
        for _ in range(3):
            tracker.log({"step": 1})
        tracker.finish({})
    assert [record.getMessage() for record in caplog.records] == [
        "Failing: no route; the run goes on without it, and keeps metrics.csv and validation.csv"
    ]
    assert tracker.pictures == 0


def test_a_login_is_looked_for_without_the_network(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not logged_in()
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password 0123\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert logged_in()
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("WANDB_API_KEY", "0123")
    assert logged_in()
