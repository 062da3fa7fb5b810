"""Who is a rank, how many a run wants, and whose error is told where one of several fails."""

import pytest
import torch

from segsweep.config.schema import RunConfig
from segsweep.distributed.collectives import barrier, broadcast, gather
from segsweep.distributed.ranks import Ranks, check_devices, devices_wanted
from segsweep.errors import ConfigError, UserError
from tests.support.faulty import HEAD
from tests.support.inside import faulty, planned
from tests.training.ranks import execute, processes_of
from tests.training.test_ddp import picture

SRUN = {
    "SLURM_JOB_ID": "12", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1",
}  # fmt: skip
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Ranks(0, 1, 0, 1)),
        (TORCHRUN, Ranks(1, 2, 1, 2)),
        (SRUN, Ranks(3, 4, 1, 2)),
        (SRUN | TORCHRUN, Ranks(1, 2, 1, 2)),  # torchrun in an srun's task
        (SRUN | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "4"}, Ranks()),  # a pool of runs in a step
        ({"SLURM_JOB_ID": "12", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, Ranks()),  # a batch script
    ],
)
def test_who_is_a_rank(monkeypatch, variables, expected):
    for name in {*SRUN, *TORCHRUN, "SLURM_NTASKS"}:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Ranks.of_environment() == expected


def test_srun_with_uneven_machines(monkeypatch):
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    for name, value in (SRUN | {"SLURM_STEP_TASKS_PER_NODE": "3,1"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"srun started \[3, 1\] tasks a node.*--ntasks-per-node"):
        Ranks.of_environment()


@pytest.mark.parametrize(
    ("devices", "accelerator", "gpus", "expected"),
    [
        (1, "auto", 0, 1), (3, "cpu", 0, 3), (3, "cpu", 1, 3), (2, "auto", 2, 2), ("auto", "gpu", 4, 4),
        (-1, "auto", 4, 4), ("auto", "auto", 0, 1), ("auto", "cpu", 4, 1), (4, "auto", 0, 4),
        (4, "auto", 1, r"trainer\.devices=4: this machine has 1 GPU; use trainer\.devices=1"),
        (1, "gpu", 0, r"trainer\.accelerator=gpu: torch finds no GPU"),
        (4, "gpu", 2, "this machine has 2 GPUs"), (0, "cpu", 0, "expected a number"),
        (True, "cpu", 0, "expected a number"), ([0, 1], "auto", 2, "expected a number"),
    ],
)  # fmt: skip
def test_devices(monkeypatch, devices, accelerator, gpus, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    config = RunConfig.of({"trainer": {"devices": devices, "accelerator": accelerator}})
    if isinstance(expected, int):
        assert devices_wanted(config) == expected
        check_devices(config)
    else:
        with pytest.raises(ConfigError, match=expected):
            check_devices(config)


def test_a_run_for_another_machine_may_want_more_gpus_than_this_one_has(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert devices_wanted(RunConfig.of({"trainer": {"devices": 4, "accelerator": "gpu"}})) == 4


def test_alone_nothing_is_exchanged():
    assert gather("own") == ["own"]
    assert broadcast("own") == "own"
    barrier()


@pytest.mark.slow
def test_the_first_cause_is_told(tmp_path):
    """Rank 1 fails of itself; rank 0 sees a connection that is closed."""
    fault = faulty(tmp_path, (picture(1, 3), "error", None))
    folder = planned(*fault, f"runs_dir={tmp_path / 'runs'}", "trainer.devices=2")
    ended = execute(folder)
    status = folder.status()
    assert (ended.returncode, status.state, status.failure.kind) == (2, "failed", "unknown")
    assert status.error == "rank 1: RuntimeError: a fault to order"
    assert any("a fault to order" in line for line in status.failure.log)
    assert ended.stderr.splitlines()[-1] == f"segsweep: {status.error}"
    assert "Traceback" in (folder.path / "log_rank1.txt").read_text()
    assert processes_of(folder) == []


@pytest.mark.slow
def test_memory_that_runs_out_starts_all_ranks_anew(tmp_path):
    """In half the micro-batches, at the same batch; the command line of the process stays what it was."""
    hungry = (f"head._target_={HEAD}", "+head.limit=1")
    folder = planned(*hungry, f"runs_dir={tmp_path / 'runs'}", "trainer.devices=2", "trainer.on_oom=shrink")
    ended = execute(folder)
    assert ended.returncode == 0, ended.stderr
    assert (folder.status().state, folder.status().shrunk_to) == ("done", 2)


@pytest.mark.slow
def test_torchrun_ends_with_the_first_cause(tmp_path):
    fault = faulty(tmp_path, (picture(1, 3), "error", None))
    folder = planned(*fault, f"runs_dir={tmp_path / 'runs'}")
    assert execute(folder, torchrun=2).returncode == 1, "torchrun's own"
    assert folder.status().error == "rank 1: RuntimeError: a fault to order"
    assert processes_of(folder) == []
