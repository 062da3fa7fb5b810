"""How a run's process ended, and what is said of it."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segsweep import failures
from segsweep.cores import THREADS, WAITING
from segsweep.runs.documents import yaml_text
from segsweep.runs.folder import RunFolder
from segsweep.sweeps.devices import CPU, Devices
from segsweep.sweeps.worker import Attempt
from tests.support.inside import OPEN, AttemptInside, planned


class Killed(AttemptInside):
    """One whose process is ended by SIGKILL after it did what it did."""

    def __init__(self, folder: RunFolder, asked: bool = False) -> None:
        super().__init__(folder, train=True)
        self.asked = asked
        over: Any = SimpleNamespace(returncode=-signal.SIGKILL)
        self.process = over


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return planned(*OPEN, "trainer.max_steps=1", f"runs_dir={tmp_path}")


def test_what_is_done_is_done_however_its_process_ended(folder):
    assert Killed(folder).ended() is None
    assert (folder.status().state, folder.status().failure) == ("done", None)


@pytest.mark.parametrize(("asked", "kind"), [(False, "killed"), (True, "preempted")])
def test_who_asked_a_run_to_stop_takes_its_death_for_no_failure(folder, monkeypatch, asked, kind):
    monkeypatch.setattr(
        "tests.support.inside.run", lambda run, *_: run.update_status(state="running", failure=None)
    )
    assert Killed(folder, asked).ended() == "killed by SIGKILL"
    assert (folder.status().state, folder.status().failure.kind) == ("interrupted", kind)


@pytest.fixture
def openmp_tells(monkeypatch):
    """Have OpenMP print its settings as torch loads it, and say nothing of them."""
    monkeypatch.setenv("OMP_DISPLAY_ENV", "TRUE")
    for name in (*THREADS, *WAITING):
        monkeypatch.delenv(name, raising=False)


def test_a_process_that_may_not_begin_hands_over_why(folder, openmp_tells):
    """It is refused before it holds the run, so its status is for the process that started it to write."""
    config = folder.config()
    (folder.path / "config.yaml").write_text(yaml_text({**config, "head": {"_target_": "os.getcwd"}}))
    attempt = Attempt(folder, train=True, **Devices([CPU], cpus_per_run=3).environment([CPU]))
    assert attempt.process.wait() == failures.USER_STATUS
    reason = attempt.ended()
    assert reason is not None
    assert "head._target_=os.getcwd" in reason
    status = folder.status()
    assert (status.state, status.error) == ("failed", reason)
    assert status.failure.kind == failures.USER
    assert not list(folder.path.glob("*.tmp"))
    told = folder.log.read_text()
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in told
    assert "OMP_NUM_THREADS = '3'" in told
