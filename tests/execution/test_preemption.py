"""Asked to end by a signal: a checkpoint at the end of the step, and the bits of a run that never was."""

import json
import os
import signal
import subprocess
import time
from multiprocessing import get_context

import pytest
import torch

from segsweep.data.loading import start_worker
from segsweep.data.sampling import Shuffle
from segsweep.errors import PreemptedError
from segsweep.processes import Listening
from tests.execution.test_resume import LONGER, equal, outcome
from tests.support.commands import command, environment, segsweep
from tests.support.inside import checkpoint, faulty, planned, run

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


@pytest.mark.parametrize(
    "signals",
    [
        {2: signal.SIGTERM, 20: signal.SIGINT},
        pytest.param({9: signal.SIGHUP, 12: signal.SIGUSR1}, marks=pytest.mark.slow),
    ],
    ids=["TERM-INT", "HUP-USR1"],
)
def test_at_most_one_step_is_lost_and_none_is_changed(undisturbed, tmp_path, signals):
    """Signals, one after the other: within an interval, at a validation, near the end.

    To the whole process group, as a terminal, systemd and timeout send them: loader workers get them too.
    """
    for step, signum in signals.items():
        name = "Ctrl-C" if signum == signal.SIGINT else signum.name
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


def test_ctrl_c_saves_and_once_more_ends_at_once(tmp_path):
    """Pressed once in the second step; then twice within the fourth."""
    pressed = [(picture(1, 0), str(int(signal.SIGINT)), "once")]
    pressed += [(picture(3, place), str(int(signal.SIGINT)), f"twice{place}") for place in (0, 1)]
    folder = planned(*faulty(tmp_path, *pressed), "checkpoint.every=1000", f"runs_dir={tmp_path / 'runs'}")
    (tmp_path / "once").touch()
    with pytest.raises(PreemptedError, match=r"stopped by Ctrl-C after step 2 \(saved: step 2\)"):
        run(folder)
    assert (folder.status().state, checkpoint(folder)["global_step"]) == ("interrupted", 2)
    (tmp_path / "twice0").touch()
    (tmp_path / "twice1").touch()
    with pytest.raises(KeyboardInterrupt):
        run(folder)
    assert folder.status().state == "interrupted"
    assert checkpoint(folder)["global_step"] == 2, "the third is followed by a validation"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    run(folder)
    assert folder.status().state == "done"


def picture(step: int, place: int) -> int:
    """The training picture that is number `place` of the four of a step, both from 0."""
    return int(Shuffle(24, 0).order(0)[4 * step + place])


def test_what_a_process_was_started_to_ignore_stays_ignored():
    """As nohup has it, and a rank that leaves the keyboard to the one that started it."""
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Listening(lambda number, _: heard.append(number)):
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert heard == [signal.SIGUSR1]


def test_loader_workers_heed_their_parent_alone():
    """Signals from others leave a worker as it is; SIGTERM from its parent ends it."""
    ready = get_context("fork").Event()
    worker = get_context("fork").Process(target=_work, args=(ready,), daemon=True)
    worker.start()
    try:
        assert ready.wait(10)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            subprocess.run(["sh", "-c", f"kill -{int(number)} {worker.pid}"], check=True)
        worker.join(0.5)
        assert worker.is_alive()
        worker.terminate()
        worker.join(10)
        assert worker.exitcode == 0
    finally:
        worker.kill()


def _work(ready) -> None:
    start_worker(0)
    ready.set()
    time.sleep(60)
