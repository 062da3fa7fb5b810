"""What the launcher for Slurm asks Slurm for, read from the scripts that it hands to a recorded sbatch.

What a real Slurm makes of them is in tests/slurm.
"""

import sys
from pathlib import Path

import pytest

from segsweep import cli
from segsweep.runs.folder import all_runs
from segsweep.sweeps.launchers import slurm_queue
from tests.support.inside import BASE, OPEN

DelayedSubmission = pytest.importorskip("submitit").helpers.DelayedSubmission

LAUNCHER = ("-m", "hydra/launcher=submitit_slurm", "hydra.launcher.wait=false")


def train(*arguments: str) -> int:
    return cli.run(["train", *LAUNCHER, *arguments])


def test_members_that_need_the_same_are_one_array(slurm):
    assert train(*BASE, "seed=0,1,2", "hydra.launcher.array_parallelism=2") == 0
    (one,) = slurm.submitted()
    assert one["array"] == "0-2%2"
    assert one["job-name"] == "segsweep"
    assert one["signal"] == "USR2@120"
    assert (one["time"], one["nodes"], one["ntasks-per-node"], one["cpus-per-task"]) == ("720", "1", "1", "1")
    assert "requeue" in one
    assert not {"gpus-per-node", "dependency", "partition"} & one.keys()
    assert "--kill-on-bad-exit=1" in one["command"]
    assert f"{sys.executable} -P -u -m submitit" in one["command"], "no module of the working folder first"
    assert [slurm_queue.noted(run) for run in all_runs(Path("runs"))] == ["10_0", "10_1", "10_2"]


def test_what_comes_after_a_shared_stage_is_an_array_after_its_job(slurm):
    """2 seeds, 2 rates each: two shared first stages, and for each an array of the two stages after it."""
    lr = "stages.second.optimizer.lr=1e-3,2e-3"
    assert train(*[o for o in OPEN if "checkpoint" not in o], "stages=pair", "seed=0,1", lr) == 0
    first, *after = slurm.submitted()
    assert (first["array"], first.get("dependency")) == ("0-1%2", None)
    assert [(one["array"], one["dependency"]) for one in after] == [
        ("0-1%2", "afterany:10_0"), ("0-1%2", "afterany:10_1"),
    ]  # fmt: skip


def test_a_chain_that_shares_nothing_is_one_job(slurm):
    assert train(*OPEN, "stages=pair", "seed=0") == 0
    (one,) = slurm.submitted()
    assert "array" not in one
    assert {slurm_queue.noted(run) for run in all_runs(Path("runs"))} == {"10"}


def test_a_task_for_each_device_and_a_gpu_for_each_task(slurm):
    assert train(*BASE, "trainer.devices=2", "trainer.accelerator=gpu", "num_workers=3") == 0
    (one,) = slurm.submitted()
    assert [one[key] for key in ("ntasks-per-node", "gpus-per-node", "cpus-per-task")] == ["2", "2", "4"]
    # One process of the job, which starts the two as a step within the same devices.
    assert "--ntasks=1 --nodes=1 --overlap" in one["command"]
    (pickled,) = Path("runs/sweeps/.submitit/10").glob("*_submitted.pkl")
    prefix = DelayedSubmission.load(pickled).function.order.prefix
    assert prefix[0] == "srun"
    assert {"--overlap", "--ntasks=2", "--ntasks-per-node=2", "--cpus-per-task=4"} < set(prefix)


def test_what_is_in_the_queue_is_waited_for_not_submitted(slurm, capsys):
    assert train(*BASE, "seed=0,1") == 0
    slurm.queue("10_0 RUNNING", "10_1 PENDING")
    assert train(*BASE, "seed=0,1,2") == 0
    assert [one.get("array") for one in slurm.submitted()] == ["0-1%2", None]
    slurm.queue()
    assert train(*BASE, "seed=0,1,2") == 0  # none is done, and none is in the queue any more
    assert slurm.submitted()[-1]["array"] == "0-2%3"


def test_what_comes_after_a_run_in_the_queue_comes_after_its_job(slurm):
    assert train(*OPEN, "stages=pair", "seed=0") == 0
    slurm.queue("10 RUNNING")
    assert train(*OPEN, "stages=pair", "seed=0", "stages.second.optimizer.lr=0.5") == 0
    assert slurm.submitted()[1]["dependency"] == "afterany:10"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("hydra.launcher.timeout_min=2",), "hydra.launcher.signal_delay_s=120: a job's whole time"),
        (("hydra.launcher.nodes=2", "trainer.devices=1"), "cannot be divided evenly among 2 nodes"),
        (("hydra.launcher.partiton=gpu",), "partiton"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_submitted(slurm, capsys, arguments, line):
    assert train(*BASE, *arguments) == 2
    assert line in capsys.readouterr().err
    assert slurm.submitted() == []


def test_without_submitit_the_extra_is_named(slurm, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert train(*BASE) == 2
    assert "pip install submitit" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_without_slurm_and_with_an_sbatch_that_refuses(slurm, capsys):
    slurm.program("sbatch", "#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    assert train(*BASE) == 2
    assert "sbatch: error: invalid partition" in capsys.readouterr().err
    slurm.program("squeue", "#!/bin/sh\nexit 1\n")
    assert train(*BASE) == 2
    assert "squeue does not answer" in capsys.readouterr().err
