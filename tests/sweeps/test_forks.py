"""Runs that are forks of one process: their bits, their logs, and what becomes of one that is killed."""

import os
import signal
from pathlib import Path

import pytest
import torch

from segsweep.runs.folder import RunFolder
from segsweep.sweeps import forks
from segsweep.sweeps.forks import ForkServer
from segsweep.sweeps.worker import Attempt
from tests.support.commands import command
from tests.support.inside import OPEN, different, planned, run, weights

# As many threads as this process has: sums depend on them.
SAME = {"OMP_NUM_THREADS": str(torch.get_num_threads())}


@pytest.fixture(scope="module")
def server():
    with ForkServer() as server:
        yield server


def member(folder: Path, seed: int, steps: int = 2) -> RunFolder:
    return planned(*OPEN, f"trainer.max_steps={steps}", f"seed={seed}", f"runs_dir={folder}")


def test_forks_give_the_bits_of_processes_that_share_nothing(server, tmp_path):
    forked = [member(tmp_path / "forked", seed) for seed in range(3)]
    for folder in forked:
        attempt = Attempt(folder, train=True, starter=server, **SAME)
        assert attempt.process.wait() == 0
        assert attempt.ended() is None
    for seed, folder in enumerate(forked):
        alone = member(tmp_path / "alone", seed)
        run(alone)
        assert different(weights(folder), weights(alone)) == []
        assert folder.log.read_text().count("step 1/2") == 1, "its own lines alone"


def test_only_the_fork_that_is_killed_ends(server, tmp_path):
    killed, other = (member(tmp_path, seed, steps) for seed, steps in ((0, 300_000), (1, 2)))
    first = Attempt(killed, train=True, starter=server, **SAME)
    second = Attempt(other, train=True, starter=server, **SAME)
    assert second.process.wait() == 0
    assert first.process.poll() is None
    os.kill(first.process.pid, signal.SIGKILL)
    assert first.process.wait() == -signal.SIGKILL
    assert first.ended() == "killed by SIGKILL"
    assert killed.status().state == "interrupted"
    first.process.send_signal(signal.SIGTERM)  # to none: nobody else has its number yet


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_each_fork_starts_cuda_for_itself(server, tmp_path):
    for seed in range(2):
        folder = planned(
            *OPEN, "trainer.max_steps=2", "trainer.accelerator=gpu", f"seed={seed}", f"runs_dir={tmp_path}"
        )
        attempt = Attempt(folder, train=True, starter=server, CUDA_VISIBLE_DEVICES="0", **SAME)
        assert attempt.process.wait() == 0
        assert attempt.ended() is None


def test_a_fork_has_its_own_environment_output_and_exit_status(server, tmp_path):
    with (tmp_path / "output").open("w") as output:
        process = server.start(command("runs", "show"), output, {**os.environ, "SEGSWEEP_RUNS": "of its own"})
        assert process.wait() == 2
        assert os.getpgid(0) != process.pid
    assert (tmp_path / "output").read_text().startswith("segsweep: ")


def test_without_a_server_a_run_is_a_fresh_process(tmp_path, monkeypatch):
    monkeypatch.setattr(forks, "PYTHON", ("false",))
    with ForkServer() as dead, (tmp_path / "output").open("w") as output:
        for _ in range(2):
            assert dead.start(command("--version"), output, os.environ).wait() == 0
    assert (tmp_path / "output").read_text().count("segsweep") == 2
