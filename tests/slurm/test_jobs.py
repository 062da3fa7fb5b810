"""Single jobs through a real Slurm: a time limit, several ranks, and what a launcher finds in the queue."""

import signal

import pytest

from tests.slurm.commands import finish, job_of, recorded, runs, start, until
from tests.slurm.test_sweep import assert_as_undisturbed

pytestmark = pytest.mark.slurm

LONG = ("seed=0", "trainer.max_steps=4000", "trainer.val_every=4000", "test=[]")
WAITING = ("+hydra.launcher.additional_parameters.begin=now+1hour",)


def test_a_job_that_meets_its_time_limit_goes_on_by_itself(cluster, tmp_path):
    steps = ("seed=0", "trainer.max_steps=120", "trainer.val_every=60", "checkpoint.every=1000")
    limit = ("hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=5")
    said = finish(start(cluster, tmp_path, *steps, *limit, slow=0.5))
    print(said)
    (run,) = runs(tmp_path)
    shown = cluster.shown(job_of(run))
    assert (shown["JobState"], shown["TimeLimit"]) == ("COMPLETED", "00:01:00")
    assert int(shown["Restarts"]) >= 1
    assert said.count("in the queue again at step") == int(shown["Restarts"])
    assert_as_undisturbed(run, tmp_path / "undisturbed", *steps)


def test_two_tasks_of_srun_are_the_two_ranks_of_a_run(cluster, tmp_path):
    """One job of two tasks: the same bits as two ranks that a run starts by itself."""
    ranks = ("seed=0", "trainer.max_steps=6", "trainer.devices=2")
    finish(start(cluster, tmp_path, *ranks))
    (run,) = runs(tmp_path)
    shown = cluster.shown(job_of(run))
    assert (shown["NumNodes"], shown["NumTasks"], shown["JobState"]) == ("1", "2", "COMPLETED")
    assert_as_undisturbed(run, tmp_path / "undisturbed", *ranks)


def test_two_ranks_that_are_preempted_go_on_together(cluster, tmp_path):
    steps = ("trainer.max_steps=100", "trainer.val_every=50", "checkpoint.every=1000")
    ranks = ("seed=0", "trainer.devices=2", *steps)
    launcher = start(cluster, tmp_path, *ranks, slow=0.1)
    until(lambda: runs(tmp_path) and recorded(runs(tmp_path)[0].path) >= 10, launcher)
    (run,) = runs(tmp_path)
    cluster.preempt(job_of(run))
    finish(launcher)
    assert cluster.shown(job_of(run))["Restarts"] == "1"
    assert_as_undisturbed(run, tmp_path / "undisturbed", *ranks)


def test_what_is_in_the_queue_is_not_submitted_twice(cluster, tmp_path):
    """Two runs are submitted and left; then again with a third; then the keyboard ends the waiting."""
    said = finish(start(cluster, tmp_path, *LONG[1:], "seed=0,1", "hydra.launcher.wait=false", *WAITING))
    assert "2 jobs are Slurm's now" in said
    first = {job_of(run) for run in runs(tmp_path)}
    launcher = start(cluster, tmp_path, *LONG[1:], "seed=0,1,2", *WAITING)
    until(lambda: len(cluster.call("squeue", "--noheader", "--array").splitlines()) == 3, launcher)
    launcher.send_signal(signal.SIGINT)
    said = finish(launcher, status=130)
    assert said.count("already") == 2
    jobs = {job_of(run) for run in runs(tmp_path)}
    assert first < jobs
    ids = sorted({job.partition("_")[0] for job in jobs})
    assert f"cancelled by: scancel {' '.join(ids)}" in said
    assert len(cluster.call("squeue", "--noheader", "--array").splitlines()) == 3


def test_a_job_that_is_cancelled_is_waited_for_no_longer(cluster, tmp_path):
    launcher = start(cluster, tmp_path, *LONG)
    until(lambda: runs(tmp_path) and recorded(runs(tmp_path)[0].path) >= 5, launcher)
    (run,) = runs(tmp_path)
    cluster.call("scancel", job_of(run))
    said = finish(launcher, status=1)
    assert f"Slurm's job {job_of(run)} ended before the run did: CANCELLED" in said
    assert run.status().state == "interrupted"
    assert cluster.shown(job_of(run))["Restarts"] == "0"


def test_what_sbatch_refuses_is_one_line(cluster, tmp_path):
    said = finish(start(cluster, tmp_path, *LONG, "hydra.launcher.partition=nowhere"), status=2)
    (line,) = (line for line in said.splitlines() if "segsweep: " in line)
    assert "invalid partition specified: nowhere" in line or "Invalid partition" in line
