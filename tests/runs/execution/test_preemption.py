"""Asked to end by a signal: a checkpoint at the end of the step, and the bits of a run that never was."""

import json
import os
import signal
import subprocess
import time

import pytest
import torch

from tests.runs.commands import command, environment, segsweep
from tests.runs.execution.test_resume import LONGER, equal, outcome

# Between validations no checkpoint is due: what a stopped run has, it wrote because it was asked to stop.
SELDOM = (*LONGER, "checkpoint.every=1000")


def status(folder) -> dict:
    (path,) = folder.glob("runs/*/status.json")
    return json.loads(path.read_text())


def saved_step(folder) -> int:
    (path,) = folder.glob("runs/*/checkpoints/last.ckpt")
    return torch.load(path, weights_only=True)["global_step"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    segsweep("train", *LONGER, cwd=folder)
    return outcome(folder)


def stop_at(folder, step, signum, *options) -> tuple[int, int, str]:
    """Start, send the signal once a step is recorded; exit status, the step recorded last, what was said."""
    process = subprocess.Popen(
        command("train", *SELDOM, *options),
        cwd=folder, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    with process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            rows = [path.read_text().splitlines()[1:] for path in folder.glob("runs/*/metrics.csv")]
            if rows and rows[0] and int(rows[0][-1].split(",")[0]) >= step:
                os.killpg(process.pid, signum)
                break
            time.sleep(0.002)
        _, said = process.communicate(timeout=60)
    (metrics,) = folder.glob("runs/*/metrics.csv")
    recorded = int(metrics.read_text().splitlines()[-1].split(",")[0])
    return process.returncode, recorded, said


def test_at_most_one_step_is_lost_and_none_is_changed(undisturbed, tmp_path):
    """Signals, one after the other: within an interval, at a validation, near the end.

    To the whole process group, as a terminal, systemd and timeout send them: loader workers get them too.
    """
    for step, signum, name in (
        (2, signal.SIGTERM, "SIGTERM"), (9, signal.SIGHUP, "SIGHUP"), (12, signal.SIGUSR1, "SIGUSR1"),
        (20, signal.SIGINT, "Ctrl-C"),
    ):  # fmt: skip
        code, recorded, said = stop_at(tmp_path, step, signum, "num_workers=2")
        assert code == 128 + signum, said
        assert f"stopped by {name}" in said
        assert f"(saved: step {saved_step(tmp_path)})" in said
        assert ("Ctrl-C again ends at once" in said) == (signum == signal.SIGINT)
        assert "Traceback" not in said
        assert status(tmp_path)["state"] == "interrupted"
        assert status(tmp_path)["failure"]["class"] == "preempted"
        assert saved_step(tmp_path) >= recorded - 1
    segsweep("train", *SELDOM, cwd=tmp_path)
    again = outcome(tmp_path)
    assert [name for name in undisturbed if not equal(undisturbed[name], again[name])] == []
    assert status(tmp_path)["failure"] is None


def test_a_launcher_that_is_asked_to_end_passes_it_on(tmp_path):
    process = subprocess.Popen(
        command("train", "-m", *SELDOM, "trainer.max_steps=6000", "trainer.val_every=6000", "seed=0,1"),
        cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("runs/*/metrics.csv")) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    states = sorted(json.loads(path.read_text())["state"] for path in tmp_path.glob("runs/*/status.json"))
    assert states == ["interrupted", "planned"]
    assert saved_step(tmp_path) > 0
