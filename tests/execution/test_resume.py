"""Killed anywhere and run again: the bits of a run that was never touched."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_exact import equal
from tests.support.commands import TINY, command, environment, segsweep

LONGER = (
    *TINY, "trainer.max_steps=24", "trainer.val_every=6", "checkpoint.every=4", "head.dropout=0.5",
    "trainer.accumulate_grad_batches=2", "trainer.ema_decay=0.9", "test=[single]",
)  # fmt: skip


def outcome(folder: Path) -> dict[str, object]:
    """Everything that must be equal: weights, optimizer, moving average, metrics, counts."""
    (run,) = (plan.parent for plan in folder.glob("runs/*/plan.json"))
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {
        "weights": last["state_dict"],
        "current": last["current_model_state"],
        "optimizer": last["optimizer_states"],
        "recorder": next(state for key, state in last["callbacks"].items() if "Recorder" in key),
        "best": torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"],
        "metrics": (run / "metrics.csv").read_text(),
        "classes": (run / "validation.csv").read_text(),
        "confusion": (run / "tests" / "single" / "confusion.csv").read_text(),
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    segsweep("train", *LONGER, cwd=folder)
    return outcome(folder)


def kill_when(folder: Path, step: int, sent: int, *options: str) -> None:
    """Start the run and send a signal once metrics.csv shows the step."""
    with (folder / "out.txt").open("a") as out:
        process = subprocess.Popen(
            command("train", *LONGER, *options), cwd=folder, env=environment(), stdout=out, stderr=out
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            rows = [path.read_text().splitlines()[1:] for path in folder.glob("runs/*/metrics.csv")]
            if rows and rows[0] and int(rows[0][-1].split(",")[0]) >= step:
                process.send_signal(sent)
                break
            time.sleep(0.005)
        process.wait(timeout=60)


@pytest.mark.parametrize(
    ("workers", "steps"),
    [(2, (6, 19)), *(pytest.param(n, (1, 6, 11, 19), marks=pytest.mark.slow) for n in (0, 2))],
)
def test_kill_9_and_the_same_command_again(undisturbed, tmp_path, workers, steps):
    """At the first step, within validation, between checkpoints, after the last step."""
    options = (f"num_workers={workers}",)
    for step in steps:
        kill_when(tmp_path, step, signal.SIGKILL, *options)
        (status,) = tmp_path.glob("runs/*/status.json")
        assert json.loads(status.read_text())["state"] == "running", (tmp_path / "out.txt").read_text()
        listed = segsweep("runs", "format=json", cwd=tmp_path)
        assert json.loads(listed.stdout)[0]["state"] == "interrupted"
    segsweep("train", *LONGER, *options, cwd=tmp_path)
    again = outcome(tmp_path)
    assert [name for name in undisturbed if not equal(undisturbed[name], again[name])] == []


def test_two_processes_do_not_train_one_run(tmp_path):
    long = ("train", *LONGER, "trainer.max_steps=6000", "trainer.val_every=6000")
    with (tmp_path / "out.txt").open("w") as out:
        first = subprocess.Popen(command(*long), cwd=tmp_path, env=environment(), stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("runs/*/metrics.csv")) and time.monotonic() < deadline:
            time.sleep(0.02)
        second = segsweep(*long, "wait=false", cwd=tmp_path, status=2)
        assert f"held by process {first.pid}" in second.stderr
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
