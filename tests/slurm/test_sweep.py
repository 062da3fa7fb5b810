"""A sweep through a real Slurm: an array, a failure, a preemption, a shared stage."""

import numpy as np
import pytest
import torch

from tests.execution.test_resume import equal
from tests.slurm.commands import PYTHONPATH, SHORT, finish, job_of, recorded, runs, start, until
from tests.support.commands import segsweep

pytestmark = pytest.mark.slurm

PREEMPTED = ("seed=3", "trainer.max_steps=150", "trainer.val_every=50", "checkpoint.every=1000")
SIX = f"""# @package _global_
hydra:
  sweeper:
    rows:
      - seed=0 trainer.max_steps=6
      - seed=1 trainer.max_steps=6
      - seed=2 trainer.max_steps=6 optimizer.lr=1e30
      - {" ".join(PREEMPTED)}
      - stages=pair stages.second.optimizer.lr=0.01
      - stages=pair stages.second.optimizer.lr=0.02
"""
PAIR = """# Two short stages.
first: {trainer: {max_steps: 4}}
second: {trainer: {max_steps: 3}}
"""


def outcome(run):
    """Everything that must be equal to the last bit."""
    last = torch.load(run.checkpoints / "last.ckpt", weights_only=True)
    with np.load(run.tests / "single" / "counts.npz") as counts:
        kept = {name: counts[name].tolist() for name in counts.files}
    return {
        "weights": last["state_dict"],
        "optimizer": last["optimizer_states"],
        "best": torch.load(run.checkpoints / "best.ckpt", weights_only=True)["state_dict"],
        "metrics": (run.path / "metrics.csv").read_text(),
        "counts": kept,
    }


def assert_as_undisturbed(run, folder, *overrides):
    """A run is bit for bit the one that the same overrides give outside Slurm."""
    folder.mkdir()
    segsweep("train", *SHORT, *overrides, cwd=folder, PYTHONPATH=PYTHONPATH)
    (other,) = runs(folder)
    assert other.id == run.id
    here, there = outcome(run), outcome(other)
    assert [name for name in here if not equal(here[name], there[name])] == []


def test_six_members_one_fails_one_is_preempted_two_share_a_stage(cluster, tmp_path):
    (tmp_path / "conf" / "experiments").mkdir(parents=True)
    (tmp_path / "conf" / "stages").mkdir()
    (tmp_path / "conf" / "experiments" / "six.yaml").write_text(SIX)
    (tmp_path / "conf" / "stages" / "pair.yaml").write_text(PAIR)
    launcher = start(cluster, tmp_path, "+experiments=six", slow=0.1)
    until(lambda: len(runs(tmp_path)) == 7, launcher)
    (long,) = (run for run in runs(tmp_path) if "seed=3" in run.plan.overrides)
    until(lambda: recorded(long.path) >= 20, launcher)
    cluster.preempt(job_of(long))
    until(lambda: cluster.shown(job_of(long))["Restarts"] == "1", launcher)
    assert 20 <= recorded(long.path) < 150
    said = finish(launcher, status=1)
    print(said)

    found = runs(tmp_path)
    states = {run.id: run.status().state for run in found}
    (failed,) = (run for run in found if states[run.id] != "done")
    assert failed.status().failure.kind == "diverged"
    assert cluster.shown(job_of(failed))["JobState"] == "FAILED"
    assert f": {failed.status().error} (see " in said

    # What comes after nothing is one array; the children of the shared stage are another, after it.
    parent = next(run for run in found if run.plan.stage == "first")
    children = [run for run in found if run.plan.parent == parent.id]
    first = {job_of(run).split("_")[0] for run in found if run not in children}
    second = {job_of(run).split("_")[0] for run in children}
    assert len(children) == 2
    assert (len(first), len(second)) == (1, 1)
    assert len(found) == 7  # the stage that both start from was trained once

    assert cluster.shown(job_of(long))["Restarts"] == "1"
    assert "in the queue again at step" in said
    assert "goes on as Slurm's job" in said
    assert_as_undisturbed(long, tmp_path / "undisturbed", *PREEMPTED)
